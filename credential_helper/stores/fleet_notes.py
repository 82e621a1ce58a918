"""What this machine remembers of a fleet's cache: until when a server is left alone, and how often it helped.

A server that is away costs a moment once in ``ALONE`` seconds, and not with every call. All of it may be forgotten:
where the state directory cannot be used, nothing is remembered.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

import msgspec

from credential_helper.errors import StoreError
from credential_helper.stores.private_files import State
from credential_helper.text import span

ALONE = 30.0  # seconds that a server is left alone after it failed

_FOLDER = "fleet"

T = TypeVar("T")


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """A server that failed."""

    made: float  # seconds since the epoch
    until: float
    why: str  # completes "the shared cache …"


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """How often one session was looked for."""

    since: float  # seconds since the epoch
    hits: int = 0
    misses: int = 0


class FleetNotes:
    """The notes of one state directory about one server, and one session. Whoever counts holds the grant's lock."""

    def __init__(self, state: State, server: str, session_id: str) -> None:
        import hashlib

        self._state = state
        self._away = f"{_FOLDER}/{hashlib.sha256(server.encode()).hexdigest()[:32]}.away"
        self._counters = f"{_FOLDER}/{session_id}.json"

    def away(self, now: float) -> Away | None:
        """Return why and until when the server is left alone; None: it is not."""
        found = self._read(self._away, Away)
        counts = found is not None and found.made <= now < found.until <= found.made + ALONE
        return found if counts else None

    def leave_alone(self, why: str, now: float) -> None:
        """Leave the server alone for a while."""
        self._write(self._away, Away(made=now, until=now + ALONE, why=why))

    def count(self, now: float, *, hit: bool) -> None:
        """Count a look into the cache."""
        kept = self.counters() or Counters(since=now)
        hits, misses = kept.hits + hit, kept.misses + (not hit)
        self._write(self._counters, Counters(since=kept.since, hits=hits, misses=misses))

    def counters(self) -> Counters | None:
        """Return what was counted; None: nothing yet."""
        return self._read(self._counters, Counters)

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            found = self._state.read(name)
            return None if found is None else msgspec.json.decode(found[0], type=kind)
        except (StoreError, msgspec.DecodeError, UnicodeError):
            return None

    def _write(self, name: str, note: msgspec.Struct) -> None:
        with suppress(StoreError, OSError):
            self._state.write(name, msgspec.json.encode(note))


def left(away: Away, now: float) -> str:
    """Say for how long a server is left alone."""
    return span(max(1.0, away.until - now))
