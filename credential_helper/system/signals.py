"""When a process may be stopped.

SIGINT, SIGTERM and SIGHUP are obeyed at once, except between the first byte of a token request and the end of its
save: there they are noted, and obeyed afterwards (a second Ctrl-C is obeyed even there).
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # signal itself gives the numbers names, which takes 0.5 ms
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

_MOMENT = 0.01  # seconds after which a signal that was lost comes again


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to stop; the exit code is 128 + its number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


class Interrupts:
    """The signals of this process; one object per process."""

    def __init__(self) -> None:
        self._holding = 0
        self._noted: int | None = None
        self._others = sys.unraisablehook
        self._deaf = False  # what is raised now would be lost

    def install(self) -> None:
        """Take the signals over, but not those that the caller ignores (nohup).

        An ignored SIGCHLD is taken back: under it no child has an exit status, and whatever failed looks like success.
        """
        if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._arrived)
        self._others, sys.unraisablehook = sys.unraisablehook, self._lost

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if self._deaf:
            _send_again(number)
            return
        again = number == signal.SIGINT and self._noted == signal.SIGINT
        self._noted = number
        if not self._holding or again:
            raise Interrupted(number)

    def _lost(self, unraisable: UnraisableHookArgs) -> None:
        """Send a signal again that came while an object was finalized: nothing can be raised there, Python goes on."""
        if not isinstance(unraisable.exc_value, Interrupted):
            self._others(unraisable)
            return
        self._deaf = True  # it may come again before this hook is left, where the machine is busy
        _send_again(unraisable.exc_value.exit_code - 128)
        self._deaf = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Note signals during the block and obey them at its end, whatever the block raised."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            if self._noted is not None and not self._holding:
                raise Interrupted(self._noted)


def _send_again(number: int) -> None:
    """Send a signal to this process a moment later; nothing is waited for, as threading does for a thread's start."""
    import _thread

    def send() -> None:
        time.sleep(_MOMENT)
        os.kill(os.getpid(), number)

    with suppress(RuntimeError):  # no more threads
        _thread.start_new_thread(send, ())
