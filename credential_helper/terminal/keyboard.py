"""One line from a person's keyboard, and what must never happen to the terminal that it is read from.

- Hidden means: the echo is off before the label is written, and on again whatever happens: an exception, Ctrl-C,
  SIGQUIT, SIGTERM. Lines stay lines (ICANON): the person can correct, and Ctrl-C and Ctrl-Z stay what they are.
- What was typed before a hidden line was asked for is no answer to it: a command for the shell, say, or a secret for
  another program, which would be sent away as a password. It is discarded once, with the echo off, before the label
  stands; what is typed later counts, also across Ctrl-Z and fg. For a line that is shown, all counts.
- Where the reading is given up, what is half-typed goes (the shell would show it at its next prompt). SIGQUIT leaves
  no core: what was typed would be in it.
- Ctrl-Z gives the terminal back with its echo; in the foreground again the label is written anew. In the background the
  terminal is left alone and the wait goes on: a process that SIGTTIN or SIGTTOU stops would keep the session's lock.
- A terminal takes 4095 bytes per line and drops the rest without a word, so a line of that length is refused. So is a
  key that was pasted: of its many lines all but the first would be the shell's.
- On Windows it is the console, by msvcrt. Untested.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from credential_helper.errors import InteractionRequired, UsageError
from credential_helper.model import Secret
from credential_helper.terminal.devices import in_foreground
from credential_helper.text import foreign

PACE = 0.5  # seconds between two calls of go_on
LONGEST = 1023 if sys.platform == "darwin" else 4095  # bytes per line: MAX_CANON of macOS, N_TTY_BUF_SIZE of Linux
_QUIET = 0.3  # seconds without a key after which a paste is over
_KEY = b"-----BEGIN "  # RFC 7468 §2


def read_line(fd: int, label: str, *, hidden: bool, go_on: Callable[[], None]) -> Secret:
    """Write a label on the terminal ``fd`` and read one line from it; without an echo where it is ``hidden``.

    ``fd`` can be read and written. ``go_on`` is called about twice a second, and may raise. Raises InteractionRequired
    where nothing is typed (Ctrl-D), there is no terminal, or it is gone; UsageError for what cannot be a line of text.
    """
    shown = f"{foreign(label, 200)} "
    if sys.platform == "win32":
        return Secret(_checked(_from_console(shown, hidden=hidden, go_on=go_on)))
    if not os.isatty(fd):
        raise InteractionRequired("there is no terminal to type on")
    return Secret(_checked(Reading(fd, shown.encode(), hidden=hidden).line(go_on)))


def _checked(line: bytes) -> str:
    """Return the text of a line. No exception here has any of it: UnicodeDecodeError's would have it all."""
    text = line.decode("utf-8", "replace")
    if len(line) >= LONGEST:
        problem = f"what was typed is longer than a terminal's line of {LONGEST} bytes, which cuts it"
    elif text.encode() != line:
        problem = "what was typed is not UTF-8"
    elif any(character < " " or character == "\x7f" for character in text):
        problem = "what was typed has a control character in it: an arrow key's, for example"
    else:
        return text
    raise UsageError(problem, hint="type it again; what cannot be typed comes from a file or a pipe")


def _ready(fd: int | None, seconds: float) -> bool:
    """Wait until something was typed, at most so many seconds; None: just wait. Signals are obeyed meanwhile."""
    import select

    return bool(select.select([] if fd is None else [fd], [], [], seconds)[0])


def _leave_no_core() -> None:
    """Forbid a core of this process.

    A limit of 0 does not: it is not enforced where core_pattern is a program (core(5)), systemd's or apport's. With one
    of 1 byte Linux starts no such program (fs/coredump.c), and it is less than any file.
    """
    import resource

    with suppress(ValueError, OSError):  # a hard limit of 0 forbids as much
        resource.setrlimit(resource.RLIMIT_CORE, (1, resource.getrlimit(resource.RLIMIT_CORE)[1]))


class Reading:
    """One line that is read, and the state of the terminal while it is; without a label it leaves no trace there."""

    def __init__(self, fd: int, label: bytes, *, hidden: bool) -> None:
        self._fd = fd
        self._label = label
        self._hidden = hidden
        self._muted = 0  # the flags of termios that we took away and owe the terminal
        self._asked = False  # the label has stood: what is typed from then on is an answer
        self._begun = False  # the label has been written, or was about to be: its line wants an end
        self._stands = False  # the label does, and the echo is as it should be
        self._over = False
        self._handlers: dict[signal.Signals, Any] = {}
        self._mask: set[int | signal.Signals] | None = None

    def line(self, go_on: Callable[[], None]) -> bytes:
        """Read the line; without its end."""
        done = False
        try:
            self.begin()
            line = self._typed(go_on)
            done = True
        finally:
            self.end(done=done)
        return line

    def begin(self) -> None:
        """Take the terminal; ``end`` must follow."""
        if not self._takes_lines():
            raise InteractionRequired("another program draws on the terminal")
        # Both signals stop a background job for good. Blocked, a read fails instead, and the echo can be restored.
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTIN, signal.SIGTTOU])
        self._watch_job_control()

    def end(self, *, done: bool) -> None:
        """Give the terminal back."""
        self._over = True
        try:
            self._leave(done=done)
        finally:  # once more: a second Ctrl-C may have come in between
            self._unmute()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            if self._mask is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def piece(self, seconds: float) -> bytes | None:
        """Wait for at most so many seconds, and return what was typed: a line, or a part of it before a Ctrl-D."""
        here = self._stands or self._put_up()
        return self._read() if _ready(self._fd if here else None, seconds) else None

    def _typed(self, go_on: Callable[[], None]) -> bytes:
        heard = b""
        while not heard.endswith(b"\n"):
            go_on()
            piece = self.piece(PACE)
            if piece == b"":  # Ctrl-D; behind other keys it only hands them over, a second one ends the line
                if not heard:
                    raise InteractionRequired("nothing was typed")
                break
            heard += piece or b""
        if self._hidden and heard.startswith(_KEY):
            while _ready(self._fd, _QUIET) and self._read():
                go_on()
            raise UsageError(
                "a key has many lines, and only one was asked for", hint="it comes from a file, or from a pipe"
            )
        return heard.removesuffix(b"\n").removesuffix(b"\r")

    def _read(self) -> bytes | None:
        """Return what was typed, b"" for Ctrl-D; None: the terminal is not ours now, or has nothing after all."""
        self._stands = self._stands and in_foreground(self._fd)
        if self._stands:
            try:
                return os.read(self._fd, LONGEST + 1)
            except BlockingIOError:  # somebody who shares this descriptor made it non-blocking (node does)
                return None
            except OSError:
                self._stands = False
        return None

    # --- the terminal

    def _takes_lines(self) -> bool:
        import termios

        try:
            return bool(termios.tcgetattr(self._fd)[3] & termios.ICANON)
        except termios.error:
            raise InteractionRequired("the terminal is gone") from None

    def _put_up(self) -> bool:
        """Switch the echo off and write the label, if the terminal is ours now."""
        self._stands = False
        if not self._over and self._takes_lines() and in_foreground(self._fd):
            if self._hidden:
                self._mute()
                if not self._asked:
                    self._discard()
            asked, self._asked = self._asked, True  # before the write: Ctrl-Z may be the answer to it, and nest this
            self._begun = True
            self._stands = self._write(self._label)
            if not self._stands:
                self._asked = asked
        return self._stands

    def _write(self, text: bytes) -> bool:
        """Write unless the terminal is stopped (Ctrl-S), where a write would block."""
        import select

        try:
            return bool(select.select([], [self._fd], [], 0)[1]) and os.write(self._fd, text) == len(text)
        except OSError:
            return False

    def _mute(self) -> None:
        import termios

        with suppress(termios.error):  # gone: the next look says so
            attributes = termios.tcgetattr(self._fd)
            flags = attributes[3] & (termios.ECHO | termios.ECHONL)
            self._muted |= flags
            attributes[3] &= ~flags
            termios.tcsetattr(self._fd, termios.TCSANOW, attributes)

    def _unmute(self) -> None:
        """Give back what was taken, but not to a shell that has the terminal again, and settings of its own on it."""
        import termios

        if not self._muted:
            return
        with suppress(termios.error):
            attributes = termios.tcgetattr(self._fd)
            if attributes[3] & termios.ICANON or in_foreground(self._fd):
                attributes[3] |= self._muted
                termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        self._muted = 0

    def _discard(self) -> None:
        """Forget what was typed and not read yet."""
        import termios

        with suppress(termios.error):
            termios.tcflush(self._fd, termios.TCIFLUSH)

    def _leave(self, *, done: bool) -> None:
        if not done and self._hidden and in_foreground(self._fd):
            self._discard()
        self._unmute()
        if self._begun and self._label and (self._hidden or not done) and in_foreground(self._fd):
            self._write(b"\n")

    # --- job control

    def _watch_job_control(self) -> None:
        """Take SIGQUIT, and Ctrl-Z and its end, where signals can be taken and are not ignored (as without jobs)."""
        import threading

        if threading.current_thread() is not threading.main_thread():
            return
        handlers = {signal.SIGQUIT: self._quit, signal.SIGTSTP: self._stop, signal.SIGCONT: self._continue}
        for number, handler in handlers.items():
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.SIG_DFL
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._unmute()
        self._stands = False
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # stops here until SIGCONT; does nothing where no shell could continue us
        signal.signal(number, self._stop)
        if not self._stands:
            self._put_up()

    def _quit(self, number: int, _frame: FrameType | None) -> None:
        self._stands = False
        self._leave(done=False)
        _leave_no_core()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # ends here; does nothing to the first process of a container
        signal.signal(number, self._quit)

    def _continue(self, _number: int, _frame: FrameType | None) -> None:
        self._put_up()


def _from_console(label: str, *, hidden: bool, go_on: Callable[[], None]) -> bytes:
    """Read a line from the console of Windows, a key at a time: only so can its echo be left out."""
    if sys.platform != "win32":
        raise InteractionRequired("there is no console")
    import msvcrt
    import time

    def echo(text: str) -> None:
        for character in text:
            msvcrt.putwch(character)

    while hidden and msvcrt.kbhit():  # typed before it was asked for
        msvcrt.getwch()
    echo(label)
    line = ""
    while True:
        while not msvcrt.kbhit():
            go_on()
            time.sleep(0.05)
        key = msvcrt.getwch()
        if key in "\x00\xe0":  # an arrow or function key, whose second half says which
            msvcrt.getwch()
        elif key == "\x03":
            raise KeyboardInterrupt
        elif key == "\b":
            echo("\b \b" if line and not hidden else "")
            line = line[:-1]
        elif key in "\r\n":
            echo("\r\n")
            return line.encode("utf-8", "surrogatepass")
        elif key in "\x04\x1a" and not line:  # Ctrl-Z is the end of input here
            echo("\r\n")
            raise InteractionRequired("nothing was typed")
        else:
            echo(key if not hidden else "")
            line += key
