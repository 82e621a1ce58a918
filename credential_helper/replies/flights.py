"""Waiting before importing: of processes with the same request one goes on, the others look for its reply.

A hundred processes that load all that a refresh needs, to wait for a lock, take a gigabyte. So on a miss, before
anything else is loaded, each tries to lock one of 61 files, by its request. Whoever has the lock goes on, and holds it
to its end. The others look for a reply every 20 ms, later every 50, and less often whether to wait on. They go on by
themselves, without the lock, where it is free again and there is no reply (a failure is not waited for by one after the
other), where a person is being asked (who asks says so in the file: they show the prompt, too), where the file is
locked for another request, and after some seconds.

The files stay: a second file of the same name would be a second lock.
"""

import time

from credential_helper import places, replies
from credential_helper.light import exists, join, system

TYPE_CHECKING = False  # typing takes longer than all that is here
if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = 61  # a prime: of 64, the last six bits would choose, and they are the same for most names of a profile
LONGEST = 8.0  # seconds
_QUICK = 0.02  # between two looks, for a second
_SLOW = 0.05
_BETWEEN = 0.2  # seconds between two looks at whether to wait on
_ASKS = b"?"
_STOPPED = (b"T", b"t", b"Z", b"X")  # states of a process that does not go on: proc(5)


class Abandoned(KeyboardInterrupt):
    """The process that waited for the answer is gone."""


class Flight:
    """What this process does for others with the same request; ``waited``: the seconds that it waited for another."""

    def __init__(self, descriptor: "int | None" = None, waited: float = 0.0) -> None:
        self.descriptor = descriptor
        self._told = False
        self.waited = waited

    def asks(self) -> None:
        """Let the others go on: a person is being asked, which may take minutes, or there will be no reply."""
        if self.descriptor is not None and not self._told:
            self._told = True
            try:
                system.write(self.descriptor, _ASKS)
            except OSError:  # a full disk: they go on a little later
                return

    def end(self) -> None:
        """Let the next one go on; the end of the process does that, too."""
        if self.descriptor is not None:
            system.close(self.descriptor)
            self.descriptor = None


def join_in(request: bytes, environ: "Mapping[str, str]", *, longest: float = LONGEST) -> "replies.Reply | Flight":
    """Return the reply that another process has made within ``longest`` s, or what this one goes on with.

    Raises Abandoned.
    """
    try:
        import fcntl

        descriptor = _open(request, environ)
    except (ImportError, OSError):
        return Flight()
    if descriptor is None:
        return Flight()
    name = b"%d" % (replies.checksum(request) % 65521)  # no more of a request: it may hold what is not to be written
    try:
        if not _locked(fcntl, descriptor):
            found = _wait(fcntl, descriptor, name, request, environ, longest)
            system.close(descriptor)
            return found
        system.ftruncate(descriptor, 0)
        line = b"%b %d\n" % (name, system.getpid())
        system.pwrite(descriptor, line, 0)
        system.lseek(descriptor, len(line), 0)
    except OSError:
        return Flight()
    return replies.find(request, environ) or Flight(descriptor)  # somebody has just made it


def _wait(
    fcntl: "object", descriptor: int, name: bytes, request: bytes, environ: "Mapping[str, str]", longest: float
) -> "replies.Reply | Flight":
    parent = system.getppid()
    state = places.state_directory(environ)
    path = None if state is None else join(join(state, "replies"), replies.name_of(request))
    stamp: str | None = ""
    began = time.monotonic()
    waited = looked = 0.0
    while waited < longest:
        time.sleep(_QUICK if waited < 1 else _SLOW)
        waited = time.monotonic() - began
        free = _locked(fcntl, descriptor)
        before, stamp = stamp, None if path is None else replies.stamp_now(path)
        if not free and stamp == before and waited < looked + _BETWEEN:
            continue  # of a hundred that wait, each takes two calls of the system, and not twelve
        looked = waited
        reply = replies.find(request, environ)
        if reply is not None:
            return reply
        if system.getppid() != parent:
            raise Abandoned
        line, _, asks = system.pread(descriptor, 64, 0).partition(b"\n")
        whose, _, leader = line.partition(b" ")
        if free or whose != name or asks or _is_stopped(leader):
            break
    return Flight(waited=waited)


def _is_stopped(process: bytes) -> bool:
    """Say whether a process was stopped, as far as the system tells (/proc)."""
    try:
        descriptor = system.open(b"/proc/%b/stat" % process, system.O_RDONLY | places.OPEN_FLAGS)
    except (OSError, ValueError):
        return False
    try:
        fields: list[bytes] = system.read(descriptor, 512).rpartition(b")")[2].split()
    except OSError:
        return False
    finally:
        system.close(descriptor)
    return bool(fields) and fields[0] in _STOPPED


def _locked(fcntl: "object", descriptor: int) -> bool:
    """Lock the file if nobody else has; it is free again when its descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[attr-defined]
    except BlockingIOError:
        return False
    return True


def _open(request: bytes, environ: "Mapping[str, str]") -> "int | None":
    """Open the file of a request. OSError: there is no place for it."""
    state = places.state_directory(environ)
    if state is None:
        return None
    if not exists(state) and not any(exists(path) for _, path in places.config_files(environ)):
        return None  # who has not begun has no state directory either
    folder = join(state, replies.MARKERS)
    for path in (state, folder):
        _make(path)
        if not replies.private_folder(path):
            return None
    number = replies.checksum(request) % _FILES
    flags = system.O_RDWR | system.O_CREAT | places.OPEN_FLAGS
    descriptor: int = system.open(join(folder, f"{number:02}"), flags, 0o600)
    if not places.private(system.fstat(descriptor)):
        system.close(descriptor)
        return None
    return descriptor


def _make(path: str) -> None:
    """Make a folder, and what is missing above it, for nobody else (XDG Base Directory). OSError: it cannot be."""
    try:
        system.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make(path.rpartition("/")[0])
        system.mkdir(path, 0o700)
