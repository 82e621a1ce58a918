"""What is done on the server of a fleet's cache: five scripts (Lua), and what they return.

KEYS are token, lock, generation, note. Each script is one step: nobody sees the half of it. All times are the server's.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class Kept(NamedTuple):
    """A sealed value as it stands there."""

    generation: int
    expires_at: int  # by the server's clock
    sealed: bytes


class Seen(NamedTuple):
    """What stands there of one token."""

    now: int  # seconds since the epoch, by the server's clock
    token: Kept | None
    note: Kept | None  # its generation is 0
    locked: bool
    mine: int = 0  # the generation that comes with our lock; 0: it is not ours


# --- the scripts -----------------------------------------------------------------------------------------------------

_SEEN = """
local function number(text)
  local found = tonumber(text or '')
  if found and found >= 0 and found < 9e15 then return math.floor(found) end
  return 0
end
local function seen(mine)
  local token = redis.call('HMGET', KEYS[1], 'gen', 'exp', 'ct')
  local note = redis.call('HMGET', KEYS[4], 'exp', 'ct')
  local now = redis.call('TIME')
  return {now[1], token[1], token[2], token[3], note[1], note[2], redis.call('EXISTS', KEYS[2]), mine}
end
"""

LOOK = f"{_SEEN}return seen(0)"

# A counter that was lost (a flush, a failover, an eviction) goes on behind what is kept. What an error interrupts (a
# server that is full, a user who may do too little) is not undone: the lock is taken last, and released first.
ENTER = f"""{_SEEN}
if redis.call('EXISTS', KEYS[2]) == 1 then return seen(0) end
local mine = redis.call('INCR', KEYS[3])
local kept = number(redis.call('HGET', KEYS[1], 'gen'))
if kept >= mine then
  mine = kept + 1
  redis.call('SET', KEYS[3], string.format('%d', mine))
end
redis.call('EXPIRE', KEYS[3], ARGV[3])
redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
return seen(mine)
"""

STORE = f"""{_SEEN}
local stored = 0
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
redis.call('PUBLISH', ARGV[6], ARGV[7])
if number(redis.call('HGET', KEYS[1], 'gen')) < tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[1], KEYS[4])
  redis.call('HSET', KEYS[1], 'gen', ARGV[2], 'exp', ARGV[3], 'ct', ARGV[4])
  redis.call('EXPIREAT', KEYS[1], ARGV[5])
  stored = 1
end
return stored
"""

LEAVE = """
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
if ARGV[4] ~= '' then
  redis.call('DEL', KEYS[4])
  redis.call('HSET', KEYS[4], 'exp', ARGV[4], 'ct', ARGV[5])
  redis.call('EXPIREAT', KEYS[4], ARGV[4])
end
return 1
"""

DROP = """
if redis.call('HGET', KEYS[1], 'gen') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


# --- what they return ------------------------------------------------------------------------------------------------

_DIGITS = re.compile(rb"[0-9]{1,15}")


def seen(answer: Any) -> Seen:
    """Read what the scripts return; what is no number counts as absent. Raises ValueError."""
    if not isinstance(answer, list) or len(answer) != 8 or _number(answer[0]) is None:
        raise ValueError("not what the scripts return")
    now, generation, expires_at, sealed, until, note, locked, mine = answer
    return Seen(
        now=_number(now) or 0,
        token=_kept(generation, expires_at, sealed),
        note=_kept(b"0", until, note),
        locked=locked == 1,
        mine=mine if isinstance(mine, int) else 0,
    )


def _kept(generation: Any, expires_at: Any, sealed: Any) -> Kept | None:
    number, end = _number(generation), _number(expires_at)
    return None if number is None or end is None or not isinstance(sealed, bytes) else Kept(number, end, sealed)


def _number(text: Any) -> int | None:
    return int(text) if isinstance(text, bytes) and _DIGITS.fullmatch(text) else None
