"""The key under which a state directory digests what machines prove themselves with: random, made once, never sent.

A digest is part of a session's name, so a job with another secret finds no session that it could not have made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from credential_helper.model import Secret
from credential_helper.stores import lock
from credential_helper.stores.private_files import State
from credential_helper.system.clock import Clock

_FILE = "proof/key"
_SIZE = 32  # bytes


def digest(state: State, parts: Sequence[Secret], *, clock: Clock, make: bool = True) -> str | None:
    """Return HMAC-SHA256 (RFC 2104, hex) of all parts, in order; None: there is no key, and none is to be made.

    StoreError: the key can be neither had nor made.
    """
    import hashlib
    import hmac

    key = _read(state) or (_make(state, clock) if make else None)
    if key is None:
        return None
    made = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        content = part.reveal().encode(errors="surrogatepass")
        made.update(len(content).to_bytes(8, "big") + content)
    return made.hexdigest()


def _read(state: State) -> bytes | None:
    found = state.read(_FILE)
    return found[0] if found is not None and len(found[0]) == _SIZE else None


def _make(state: State, clock: Clock) -> bytes:
    """Make the key once: of several processes that come first, one does."""
    with lock.alone(state, f"{_FILE}.lock", "the state directory", clock=clock):
        key = _read(state)
        if key is None:
            key = os.urandom(_SIZE)
            with state.reserve(_FILE) as reservation:
                reservation.commit(key)
        return key
