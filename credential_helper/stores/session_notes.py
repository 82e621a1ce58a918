"""What stands beside a session's file: a refusal, a prompt, and who was told of it.

``ID.failure`` is a refusal worth remembering, ``ID.prompt`` says that a person is being asked, ``ID.told`` names the
callers that were told so, ``ID.window`` says that a browser was opened by itself, for a tool without a terminal, and
nobody has signed in since. They are written by the holder of the session's lock, but for ``ID.told``.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from credential_helper.model import Prompt
from credential_helper.stores.encoding import decode, encode
from credential_helper.stores.private_files import State

FOLDER = "sessions"

_T = TypeVar("_T")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal that the next processes need not provoke again (``ID.failure``)."""

    sentence: str
    hint: str | None
    exit_code: int
    made: float
    until: float
    passing: bool = False  # no answer came: only for the same parent and for those who waited behind it
    told: tuple[str, ...] = ()  # the parents to whom it was said
    other_account: bool = False  # the last person who signed in was not the profile's: outlives ``until``


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that was opened by itself (``ID.window``)."""

    opened: float  # the last time
    times: int  # since somebody has signed in
    until: float  # none is opened again before


class SessionNotes:
    """The notes beside the sessions of one state directory."""

    def __init__(self, state: State) -> None:
        self._state = state

    def failure(self, session_id: str) -> Failure | None:
        """Return the remembered refusal; None where there is none or it cannot be read."""
        return self._beside(file_name(session_id, "failure"), Failure)

    def remember(self, session_id: str, failure: Failure) -> None:
        """Keep a refusal."""
        self._state.write(file_name(session_id, "failure"), encode(failure))

    def clear_failure(self, session_id: str) -> None:
        """Forget a refusal."""
        self._state.remove(file_name(session_id, "failure"))

    def prompt(self, session_id: str) -> Prompt | None:
        """Return what a person is being asked; None where nobody is, or it cannot be read."""
        return self._beside(file_name(session_id, "prompt"), Prompt)

    def keep_prompt(self, session_id: str, prompt: Prompt) -> None:
        """Tell other processes what a person is being asked."""
        self._state.write(file_name(session_id, "prompt"), encode(prompt))

    def clear_prompt(self, session_id: str) -> None:
        """Say that nobody is asked any more."""
        for ending in ("prompt", "told"):
            self._state.remove(file_name(session_id, ending))

    def told(self, session_id: str) -> tuple[str, ...]:
        """Return the callers that were told that a person is being asked elsewhere."""
        return self._beside(file_name(session_id, "told"), tuple[str, ...]) or ()

    def keep_told(self, session_id: str, callers: tuple[str, ...]) -> None:
        """Note who was told."""
        self._state.write(file_name(session_id, "told"), encode(callers))

    def window(self, session_id: str) -> Window | None:
        """Return when a browser was opened by itself, where nobody has signed in since."""
        return self._beside(file_name(session_id, "window"), Window)

    def keep_window(self, session_id: str, window: Window) -> None:
        """Note that a browser is opened by itself."""
        self._state.write(file_name(session_id, "window"), encode(window))

    def clear_window(self, session_id: str) -> None:
        """Note that somebody has signed in."""
        self._state.remove(file_name(session_id, "window"))

    def _beside(self, name: str, kind: type[_T]) -> _T | None:
        found = self._state.read(name)
        return None if found is None else decode(found[0], kind)


def file_name(session_id: str, ending: str) -> str:
    """Return the name of a session's file, or of one beside it, within the state directory."""
    return f"{FOLDER}/{session_id}.{ending}"
