"""What stands below a prompt while a person is waited for: the time left, and what keeps the provider from answering.

- One line that is drawn again, where lines may be drawn again (``login``). A thread does that, because a provider that
  hangs keeps us in its request for half a minute, and a countdown that stands still looks like a program that does.
- Elsewhere lines are only appended: what is in the way is said once per sentence, and not more than a few times.
- Whoever writes anything else erases it first; it comes back with the next ``show``.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from credential_helper.text import foreign

if TYPE_CHECKING:
    from credential_helper.model import Prompt
    from credential_helper.system.clock import Clock
    from credential_helper.terminal.devices import Screen

ERASE_LINE = "\r\x1b[K"
_PACE = 1.0  # seconds between two looks whether another second has gone
_MOST = 5  # sentences that are appended per sign-in


class Countdown:
    """The time left of one prompt. Nothing here raises."""

    def __init__(self, *, clock: Clock, redraws: bool) -> None:
        """``redraws``: one line may be drawn again and again."""
        self._clock = clock
        self._redraws = redraws
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._shown: tuple[Prompt, Screen] | None = None
        self._drawn = ""
        self._said: set[str] = set()

    def show(self, prompt: Prompt, screen: Screen) -> None:
        """Bring it up to date; called about twice per second while we wait."""
        if not self._redraws or not screen.is_terminal:
            self._append(prompt, screen)
            return
        with self._lock:
            self._shown = (prompt, screen)
            self._draw()
            if self._thread is None and self._drawn:
                self._thread = threading.Thread(target=self._go_on, args=(self._wake,), daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no more threads (ulimit -u): it is drawn when we are called
                    self._thread = None

    def erase(self) -> None:
        """Take it away until it is shown again."""
        with self._lock:
            shown, self._shown = self._shown, None
            drawn, self._drawn = self._drawn, ""
            if shown is not None and drawn and shown[1].ready():
                shown[1].write(ERASE_LINE)

    def stop(self) -> None:
        """Take it away for good."""
        self.erase()
        self._wake.set()
        self._wake, self._thread = threading.Event(), None

    def _append(self, prompt: Prompt, screen: Screen) -> None:
        line = _in_the_way(prompt)
        if line and line not in self._said and len(self._said) < _MOST and (not screen.is_terminal or screen.ready()):
            self._said.add(line)
            screen.write(f"  {line}\n")

    def _go_on(self, stopped: threading.Event) -> None:
        while not stopped.wait(_PACE):
            with self._lock:
                if not stopped.is_set():
                    self._draw()

    def _draw(self) -> None:
        if self._shown is None:
            return
        prompt, screen = self._shown
        seconds = max(0, int(prompt.expires_at - self._clock.now()))
        line, why = f"  {seconds // 60}:{seconds % 60:02d} left", _in_the_way(prompt)
        columns = screen.size()[0]
        if why and len(line) + len(why) + 2 < columns:
            line = f"{line}; {why}"
        if line != self._drawn and columns > len(line) and screen.ready() and screen.write(ERASE_LINE + line):
            self._drawn = line


def _in_the_way(prompt: Prompt) -> str:
    return f"{foreign(prompt.trouble, 200)}, still asking" if prompt.trouble else ""
