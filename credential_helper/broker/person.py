"""Whoever sits at the terminal, as the broker sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from credential_helper.model import Credential, Profile, Prompt, Request, Secret


class Person(Protocol):
    """Somebody at a terminal, or nobody."""

    @property
    def by_window(self) -> bool:
        """Say whether the person that can_answer found can be asked by a browser alone: there is no terminal."""

    @property
    def why_not(self) -> str | None:
        """Say why can_answer has found nobody; None: it found somebody, or nobody is there to read why."""

    @property
    def background(self) -> str | None:
        """Name the terminal that this is a background job of; None: it is none, or nobody reads there what it says."""

    def can_answer(self, profile: Profile, request: Request) -> bool:
        """Say whether a person can be asked here and now."""

    def show(self, prompt: Prompt, *, ours: bool) -> str | None:
        """Show a prompt, once per terminal; return the terminal's name, None while another prompt has it.

        ``ours``: this process signs in, so a browser may be opened.
        """

    def waiting(self, prompt: Prompt) -> None:
        """Called now and then while a person is waited for."""

    def browser(self) -> tuple[bool, str]:
        """Say whether a browser can be opened here, and what shows it: "there is a display"."""

    def type(self, label: str, *, hidden: bool, go_on: Callable[[], None]) -> Secret:
        """Read one line; ``go_on`` is called now and then, and may raise."""

    def can_paste(self) -> bool:
        """Say whether a person can paste the last address of a browser that is on another machine."""

    def pasted(self) -> Secret | None:
        """Return a line that was pasted below a browser's prompt since the last call; None: none was."""

    def tell(self, sentence: str) -> None:
        """Say what is going on, in one line."""

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        """Say what did not go as it should, and what to do about it."""

    def signed_in(
        self,
        credential: Credential,
        *,
        request: Request,
        took: float,
        refresh_token: bool,
        advice: str | None,
        unkept: str | None = None,
    ) -> None:
        """Say who is signed in, and until when; ``took`` is in seconds.

        ``advice`` is what to do where a refresh token was asked for and none came; None: none was asked for. One that
        came is not the provider's fault: ``unkept`` is why it could not be kept.
        """
