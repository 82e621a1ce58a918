"""A reply whose token is in the last part of its life is renewed ahead, by a process that nobody waits for.

The answer has been written when this is loaded. One process per session and minute goes on, a child that has left the
caller: in a session of its own, without a terminal, with nothing of the caller's open. A shell that waits for a lock on
descriptor 9, or for the end of a pipe, does not wait for it. What comes of it, nobody is told; the mark that it leaves
is the only memory, so a provider that is away is asked once a minute.

Only where a process may be forked: on macOS the system's frameworks do not survive that.
"""

import sys
import time

from credential_helper.light import WINDOWS, join, system
from credential_helper.places import OPEN_FLAGS
from credential_helper.replies import is_marked, private_folder

FORKS = not WINDOWS and sys.platform != "darwin"
_LATER = 10  # added to the niceness


def begin(marker: str) -> bool:
    """Return True in the process that is to renew; False where the answer was all."""
    if not FORKS or not _claim(marker):
        return False
    try:
        here, there = system.pipe()
        if system.fork():
            system.close(there)
            system.read(here, 1)  # ends when the child has left: a lock that the caller waits for is free then
            return False
        _leave(marker.rpartition("/")[0])
    except OSError:  # no more processes; a child that could not leave has nothing else to do either
        return False
    return True


def _claim(marker: str) -> bool:
    """Leave a mark, unless somebody else has a moment ago. Two that find an old one may both go on: a lock waits."""
    folder = marker.rpartition("/")[0]
    try:
        if not private_folder(folder):
            return False
        if is_marked(marker, time.time()):
            return False
        _remove_old(folder)
        system.close(system.open(marker, system.O_WRONLY | system.O_CREAT | system.O_EXCL | OPEN_FLAGS, 0o600))
        if not is_marked(marker, time.time()):  # a file system with another clock: each call would begin
            return False
    except FileNotFoundError:
        return _made(folder) and _claim(marker)
    except OSError:
        return False
    return True


def _made(folder: str) -> bool:
    try:
        system.mkdir(folder, 0o700)
    except OSError:
        return False
    return True


def _remove_old(folder: str) -> None:
    """Remove the marks of what was renewed long ago, or never."""
    now = time.time()
    for name in system.listdir(folder):
        path = join(folder, name)
        try:
            if name[-6:] == ".ahead" and not is_marked(path, now):
                system.unlink(path)
        except OSError:
            continue


def _leave(folder: str) -> None:
    """Leave the caller: whoever waits for the end of a pipe does so no longer than this takes.

    A lock on another descriptor is let go of first: who sees stdout end may look at it the next moment. The caller's
    folder may be a medium that is to be taken out. "/" would be above every config file, which counts.
    """
    system.closerange(3, _most())
    nowhere = system.open("/dev/null", system.O_RDWR)
    for descriptor in (0, 1, 2):
        system.dup2(nowhere, descriptor)
    system.close(nowhere)
    system.setsid()
    system.chdir(folder)
    system.nice(_LATER)


def _most() -> int:
    """Return one more than the highest descriptor that is open."""
    try:
        return max(map(int, system.listdir("/proc/self/fd"))) + 1
    except (OSError, ValueError):
        return 4096
