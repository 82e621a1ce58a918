"""One lock per session, held for the whole of a grant: no two processes spend the same refresh token.

The lock file is never downgraded to a soft lock, which a killed holder would leave behind. The kernel frees it the
moment its holder dies. It stays when the session goes, because a second file of the same name would be a second lock.

Only where there are hundreds of them (each audience that a provider refuses leaves one), the oldest are removed, if
nothing is kept that they protect. That is done by whoever holds them, and FileLock does not take a file for a lock
that was unlinked while it was waited for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from credential_helper.errors import LockTimeout, StoreError
from credential_helper.stores.private_files import State
from credential_helper.system.clock import Clock

if TYPE_CHECKING:
    from filelock import FileLock

DEADLINE = 60.0  # seconds that a lock is waited for, where no person is involved

# A waiter costs 0.44 % of a core at 50 ms; a refresh takes a few hundred ms, a sign-in minutes.
_QUICK_POLL = 0.05
_QUICK_FOR = 2.0
_SLOW_POLL = 0.25

MOST = 200  # lock files in one folder
_LEFT = 100  # of them, after the oldest are gone
_WORTHLESS = {"lock", "failure", "failure.new"}  # endings of files that are not missed when they are this old


@contextmanager
def held(state: State, name: str, *, clock: Clock, waiting: Callable[[float], bool]) -> Iterator[bool]:
    """Hold the lock file ``name``; yields False if ``waiting`` said to stop first.

    ``waiting(seconds)`` is called before each pause with the time waited so far; it returns False to give up, or
    raises. StoreError: the lock cannot be had at all (read-only, no locks on this file system).
    """
    from filelock import FileLock  # 40 ms, and only a stale session needs it

    state.prepare(name.rpartition("/")[0])
    path = state.locate(name)
    made = not os.path.lexists(path)
    lock = FileLock(path, timeout=0, mode=0o600, fallback_to_soft=False)
    started = clock.monotonic()
    while not _acquire(lock, path):
        waited = clock.monotonic() - started
        if not waiting(waited):
            yield False
            return
        clock.sleep(_QUICK_POLL if waited < _QUICK_FOR else _SLOW_POLL)
    try:
        if made:
            _remove_oldest(state, name)
        yield True
    finally:
        lock.release()


@contextmanager
def alone(
    state: State,
    name: str,
    what: str,
    *,
    clock: Clock,
    deadline: float = DEADLINE,
    hint: str = "try again, or look for a hanging credential-helper process",
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the lock file ``name``, with no person involved; raises LockTimeout after ``deadline`` s, and as ``held``.

    ``what`` completes the message: ``another process has held WHAT for 60 s``. ``meanwhile`` is called between two
    tries.
    """

    def wait(waited: float) -> bool:
        meanwhile()
        return waited < deadline

    with held(state, name, clock=clock, waiting=wait) as mine:
        if not mine:
            raise LockTimeout(f"another process has held {what} for {deadline:.0f} s", hint=hint)
        yield


def _acquire(lock: FileLock, path: str) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
        with suppress(OSError):
            os.utime(path)  # when it was last held: the oldest go first
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "locks do not work there"
        raise StoreError(
            f"{path} cannot be locked: {reason}",
            hint="set CREDENTIAL_HELPER_STATE_DIR to a folder on a local disk",
        ) from None
    return True


def _remove_oldest(state: State, own: str) -> None:
    """Remove lock files that protect nothing, where there are too many; what cannot be removed is passed over."""
    folder = own.rpartition("/")[0]
    endings: dict[str, set[str]] = {}
    with suppress(OSError, StoreError):
        for name in state.names(folder):
            stem, _, ending = name.partition(".")
            endings.setdefault(stem, set()).add(ending)
        locks = [stem for stem, found in endings.items() if "lock" in found]
        if len(locks) <= MOST:
            return
        free = [stem for stem in locks if endings[stem] <= _WORTHLESS and f"{folder}/{stem}.lock" != own]
        free.sort(key=lambda stem: os.lstat(state.locate(f"{folder}/{stem}.lock")).st_mtime_ns)
        for stem in free[: len(locks) - _LEFT]:
            _remove(state, f"{folder}/{stem}")


def _remove(state: State, stem: str) -> None:
    from filelock import FileLock

    path = state.locate(f"{stem}.lock")
    lock = FileLock(path, timeout=0, mode=0o600, fallback_to_soft=False)
    with suppress(OSError, StoreError):
        if not _acquire(lock, path):
            return
        try:
            if not any(os.path.lexists(state.locate(f"{stem}.{ending}")) for ending in ("json", "json.new", "prompt")):
                state.remove(f"{stem}.failure")
                os.unlink(path)
        finally:
            lock.release()
