"""Who started this process, and whether anybody still waits for its answer.

kubectl and git do not stop their helpers when they are killed, so a helper that waits for a person looks after that by
itself.
"""

from __future__ import annotations

import os


class Abandoned(KeyboardInterrupt):
    """Nobody waits for the answer any more."""

    exit_code = 129


class Caller:
    """Who started this process, as far as it can be seen; asked now and then whether it still waits."""

    def __init__(self, answer: int = 1) -> None:
        """``answer`` is the descriptor that the answer goes to."""
        self._parent = os.getppid()
        self._answer = answer
        self._leader = self._group_leader()

    @staticmethod
    def _group_leader() -> int | None:
        """Return the process group's leader where it is another, living process."""
        if not hasattr(os, "getpgrp"):
            return None
        leader = os.getpgrp()
        return leader if leader != os.getpid() and _alive(leader) else None

    @property
    def key(self) -> str:
        """Name the parent process: what was said once to it need not be said again."""
        return f"{self._parent}:{_started(self._parent)}"

    @property
    def name(self) -> str:
        """Say which process started this one, as far as the system tells: its command's name and its number."""
        try:
            with open(f"/proc/{self._parent}/comm", "rb") as file:
                name = file.read(64).decode(errors="replace").strip()
        except OSError:
            name = ""
        return f"{name or 'process'} ({self._parent})"

    def waits(self) -> bool:
        """Say whether the answer is still wanted.

        Gone is: another parent than at the start, the end of the process group's leader (git puts a shell and itself
        between: the parent alone proves nothing), or a stdout that nobody reads any more.
        """
        if os.getppid() != self._parent:
            return False
        if self._leader is not None and not _alive(self._leader):
            return False
        return not self._reader_gone()

    def _reader_gone(self) -> bool:
        import select

        if not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(self._answer, 0)  # no event is asked for: errors are told anyway
        return any(events & (select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))


class Nobody(Caller):
    """Who waits for a process that has left its caller: there is nobody who could give up."""

    def waits(self) -> bool:
        """Say yes: what was begun is to be finished."""
        return True


def _alive(process: int) -> bool:
    if not _state(process):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stat(process: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command's name; empty where there is none."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode("ascii", "replace").split()
    except OSError:
        return []


def _state(process: int) -> bool:
    """Return False for a zombie, which still answers kill(pid, 0)."""
    fields = _stat(process)
    return not fields or fields[0] not in ("Z", "X")


def _started(process: int) -> str:
    fields = _stat(process)
    return fields[19] if len(fields) > 19 else "0"
