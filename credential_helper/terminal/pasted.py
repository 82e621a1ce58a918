"""A line that is pasted while something else is waited for: the address at which a browser elsewhere ended.

- It holds an authorization code, so it is not shown: the echo is off from the prompt to the end of the wait, and on
  again whatever happens (keyboard.Reading).
- Nothing is waited for here; whoever waits looks in between.
- The lines after the first one were pasted with it, and are not meant for the shell that comes after us: they are
  discarded with the end of the wait.
- On Windows nothing is read: the console has no line that could be looked for. Untested.
"""

from __future__ import annotations

import os
import sys

from credential_helper.errors import CredentialHelperError
from credential_helper.model import Secret
from credential_helper.terminal.devices import Screen, keyboard_of
from credential_helper.terminal.keyboard import LONGEST, Reading

_BRACKETS = (b"\x1b[200~", b"\x1b[201~")  # around a paste, where a shell has left the terminal so (bracketed paste)


class Pasting:
    """What is pasted below the prompt of a screen, from ``begin`` to ``end``. Nothing here raises."""

    def __init__(self, *, encoding: str) -> None:
        self._encoding = encoding
        self._keyboard: Screen | None = None
        self._screen: Screen | None = None
        self._pasted: _Pasted | None = None

    def possible(self, screen: Screen | None) -> bool:
        """Say whether a line could be pasted now."""
        can = self._open(screen)
        self.end()
        return can

    def begin(self, screen: Screen) -> bool:
        """Switch the echo off and begin to read; False where nothing can be typed."""
        if self._open(screen) and self._keyboard is not None:
            self._pasted = _Pasted.on(self._keyboard.fd)
        return self._pasted is not None

    def line(self) -> bytes | None:
        """Return a line that was typed since the last call, as it was; None: none was."""
        return None if self._pasted is None else self._pasted.line()

    def end(self) -> None:
        """Give the terminal back; later calls do nothing."""
        if self._pasted is not None:
            self._pasted.end()
        if self._keyboard is not None and self._keyboard is not self._screen:
            self._keyboard.close()
        self._pasted = self._keyboard = self._screen = None

    def _open(self, screen: Screen | None) -> bool:
        try:
            self._keyboard, self._screen = keyboard_of(screen, encoding=self._encoding), screen
        except CredentialHelperError:
            return False
        return self._keyboard.ready()


class _Pasted:
    """The lines of one keyboard, from ``on`` to ``end``."""

    def __init__(self, reading: Reading) -> None:
        self._reading: Reading | None = reading
        self._heard = b""

    @classmethod
    def on(cls, fd: int) -> _Pasted | None:
        """Begin on a terminal that can be read and written; None where nothing can be typed there."""
        if sys.platform == "win32" or not os.isatty(fd):
            return None
        pasted = cls(Reading(fd, b"", hidden=True))
        pasted._piece(begin=True)  # the echo is off from now on
        return None if pasted._reading is None else pasted

    def line(self) -> bytes | None:
        """Return a line that was typed since the last call, as it was; None: none was."""
        while piece := self._piece():
            self._heard += piece
            if self._heard.endswith(b"\n"):
                heard, self._heard = self._heard, b""
                return heard
        return None

    def _piece(self, *, begin: bool = False) -> bytes | None:
        if self._reading is None:
            return None
        try:
            if begin:
                self._reading.begin()
            return self._reading.piece(0.0)
        except (CredentialHelperError, OSError):  # the terminal is gone, or was another program's from the start
            self.end()
            return None

    def end(self) -> None:
        """Give the terminal back; later calls do nothing."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.end(done=False)


def is_cut(line: bytes) -> bool:
    """Say whether the terminal has probably cut a line: it keeps so many bytes, and drops the rest without a word."""
    return len(line.rstrip(b"\n")) >= LONGEST


def secret_of(line: bytes) -> Secret:
    """Return a line without what a terminal adds to a paste, and without control characters."""
    return Secret(_text(line))


def _text(heard: bytes) -> str:
    for bracket in _BRACKETS:
        heard = heard.replace(bracket, b"")
    text = heard.decode("utf-8", "replace")
    return "".join(character for character in text if character >= " " and character != "\x7f").strip()
