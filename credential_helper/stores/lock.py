"""One lock per session, held for the whole of a grant: no two processes spend the same refresh token.

It is taken by flock(2), as FileLock does it, so each excludes the other. FileLock is loaded only where there is no
flock (Windows) or a file system refuses it. It is never downgraded to a soft lock, which a killed holder would leave
behind. The kernel frees it the moment its holder dies. The file stays when the session goes, because a second file of
the same name would be a second lock.

Only where there are hundreds of them (each audience that a provider refuses leaves one), the oldest are removed, if
nothing is kept that they protect. That is done by whoever holds them, and nobody takes a file for a lock that was
unlinked while it was waited for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from credential_helper.errors import LockTimeout, StoreError
from credential_helper.stores.private_files import State
from credential_helper.system.clock import Clock

DEADLINE = 60.0  # seconds that a lock is waited for, where no person is involved

# A waiter costs 0.44 % of a core at 50 ms; a refresh takes a few hundred ms, a sign-in minutes.
_QUICK_POLL = 0.05
_QUICK_FOR = 2.0
_SLOW_POLL = 0.25

MOST = 200  # lock files in one folder
_LEFT = 100  # of them, after the oldest are gone
_WORTHLESS = {"lock", "failure", "failure.new"}  # endings of files that are not missed when they are this old

Release = Callable[[], None]


@contextmanager
def held(state: State, name: str, *, clock: Clock, waiting: Callable[[float], bool]) -> Iterator[bool]:
    """Hold the lock file ``name``; yields False if ``waiting`` said to stop first.

    ``waiting(seconds)`` is called before each pause with the time waited so far; it returns False to give up, or
    raises. StoreError: the lock cannot be had at all (read-only, no locks on this file system).
    """
    state.prepare(name.rpartition("/")[0])
    path = state.locate(name)
    made = not os.path.lexists(path)
    started = clock.monotonic()
    while (release := _acquire(path)) is None:
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
        release()


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


def _acquire(path: str) -> Release | None:
    """Take a lock and return what frees it; None: another process holds it."""
    try:
        release = _taken(path)
    except (OSError, NotImplementedError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "locks do not work there"
        raise StoreError(
            f"{path} cannot be locked: {reason}",
            hint="set CREDENTIAL_HELPER_STATE_DIR to a folder on a local disk",
        ) from None
    if release is not None:
        with suppress(OSError):
            os.utime(path)  # when it was last held: the oldest go first
    return release


def _taken(path: str) -> Release | None:
    """As ``_acquire``; raises OSError and NotImplementedError."""
    try:
        import fcntl  # noqa: F401 - there is none on Windows
    except ImportError:
        return _by_filelock(path)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if _flocked(path, descriptor):
            return lambda: _unlock(descriptor)
    except OSError:
        return _by_filelock(path)  # which may know another way, or says what is wrong
    return None


def _flocked(path: str, descriptor: int) -> bool:
    """Say whether an open file is locked now, and closed if not: it may have been removed while it was waited for."""
    import fcntl

    locked = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.fstat(descriptor)
        locked = os.path.samestat(ours, os.lstat(path))
        if locked and stat.S_IMODE(ours.st_mode) != 0o600:  # a umask may have taken bits that are needed
            os.fchmod(descriptor, 0o600)
    except (BlockingIOError, FileNotFoundError):
        pass
    except PermissionError:  # some file systems say so of a lock that is held; and of a file that is not ours
        pass
    finally:
        if not locked:
            os.close(descriptor)
    return locked


def _unlock(descriptor: int) -> None:
    """Free a lock, also where a child has the open file."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _by_filelock(path: str) -> Release | None:
    """As ``_by_flock``, by whatever means FileLock has here."""
    from filelock import FileLock, Timeout  # 40 ms

    lock = FileLock(path, timeout=0, mode=0o600, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock.release


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
    path = state.locate(f"{stem}.lock")
    with suppress(OSError, StoreError):
        if (release := _acquire(path)) is None:
            return
        try:
            if not any(os.path.lexists(state.locate(f"{stem}.{ending}")) for ending in ("json", "json.new", "prompt")):
                state.remove(f"{stem}.failure")
                os.unlink(path)
        finally:
            release()
