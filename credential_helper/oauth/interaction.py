"""What a grant may ask of whoever runs it: show a prompt, wait, read a line, redeem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from credential_helper.model import Prompt, Secret, Tokens


class Interaction(Protocol):
    """What a grant may ask for while it signs in."""

    tool: str  # the word for who asks: kubectl, git, docker, credential-helper
    target: str | None  # what the token is for, where known
    because: str  # why this flow, where "auto" chose it; a prompt says so

    def browser(self) -> tuple[bool, str]:
        """Say whether a browser can be opened here, and what tells so: "there is a display"."""

    def waiting(self) -> Prompt | None:
        """Return the prompt of a dead holder of the lock that can be gone on with, still unexpired."""

    def ask(self, prompt: Prompt) -> None:
        """Keep the prompt for other processes and show it to the person.

        A browser's prompt opens the browser, too; a password's comes back when it stands on the terminal.
        """

    def pause(self, prompt: Prompt, until: Callable[[float], bool] | None = None) -> None:
        """Write the prompt's interval and next_poll for whoever takes over, then wait until next_poll.

        Its ``trouble`` is what the person is to see beside the time left: the provider's name is harmless in it.
        ``until`` waits for at most so many seconds, and ends the pause when it returns True. Raises when the sign-in
        was cancelled, or when nobody waits any more.
        """

    def type(self, label: str, *, hidden: bool) -> Secret:
        """Read one line from the person's terminal, without an echo where it is ``hidden``."""

    def can_paste(self) -> bool:
        """Say whether a person can paste the last address of a browser that is on another machine."""

    def pasted(self) -> Secret | None:
        """Return a line that was pasted below a browser's prompt since the last call; None: none was."""

    def tell(self, sentence: str) -> None:
        """Say what is going on, in one line."""

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        """Say what should not be so, and what to do about it."""

    def redeem(self, exchange: Callable[[], Tokens]) -> None:
        """Run an exchange that may spend what it sends, and save its tokens at once; its exceptions pass through."""

    def at_end(self, tell: Callable[[bool], None]) -> None:
        """Have ``tell`` called when the sign-in is over: True when its tokens were verified, too."""
