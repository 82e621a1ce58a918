"""What stands beside a grant's file: a refusal, a prompt, and who was told of it.

``ID.failure`` is a refusal worth remembering, ``ID.prompt`` says that a person is being asked, ``ID.told`` names the
callers that were told so, ``ID.window`` says that a browser was opened by itself, for a tool without a terminal, and
nobody has signed in since. They are written by the holder of the grant's lock, but for ``ID.told``.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from credential_helper.model import Prompt
from credential_helper.stores.encoding import decode, encode
from credential_helper.stores.private_files import State

GRANTS = "grants"
BESIDE = ("failure", "prompt", "told", "window")  # endings

_MOST = 19  # refusals of sessions that are kept beside the newest one

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
    session: str | None = None  # the id of the only session that it is about; None: all of the grant's


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that was opened by itself (``ID.window``)."""

    opened: float  # the last time
    times: int  # since somebody has signed in
    until: float  # none is opened again before


class GrantNotes:
    """The notes beside the grants of one state directory."""

    def __init__(self, state: State) -> None:
        self._state = state

    def failures(self, grant_id: str) -> tuple[Failure, ...]:
        """Return the remembered refusals; none where they cannot be read."""
        return self._beside(file_name(grant_id, "failure"), tuple[Failure, ...]) or ()

    def failure(self, grant_id: str, session_id: str | None) -> Failure | None:
        """Return the latest remembered refusal that is about a session, or about the whole grant."""
        return max(
            (one for one in self.failures(grant_id) if one.session in (None, session_id)),
            key=lambda one: one.made,
            default=None,
        )

    def remember(self, grant_id: str, failure: Failure) -> None:
        """Keep a refusal, instead of what is remembered about the same session."""
        others = [one for one in self.failures(grant_id) if one.session != failure.session]
        self._state.write(file_name(grant_id, "failure"), encode((*others[-_MOST:], failure)))

    def clear_failure(self, grant_id: str, session_id: str | None) -> None:
        """Forget what was refused about a session, and about the grant; the other sessions' refusals stay."""
        failures = self.failures(grant_id)
        others = [one for one in failures if one.session not in (None, session_id)]
        if not others:
            self._state.remove(file_name(grant_id, "failure"))
        elif len(others) < len(failures):
            self._state.write(file_name(grant_id, "failure"), encode(others))

    def clear_failures(self, grant_id: str) -> None:
        """Forget every refusal."""
        self._state.remove(file_name(grant_id, "failure"))

    def prompt(self, grant_id: str) -> Prompt | None:
        """Return what a person is being asked; None where nobody is, or it cannot be read."""
        return self._beside(file_name(grant_id, "prompt"), Prompt)

    def keep_prompt(self, grant_id: str, prompt: Prompt) -> None:
        """Tell other processes what a person is being asked."""
        self._state.write(file_name(grant_id, "prompt"), encode(prompt))

    def clear_prompt(self, grant_id: str) -> None:
        """Say that nobody is asked any more."""
        for ending in ("prompt", "told"):
            self._state.remove(file_name(grant_id, ending))

    def told(self, grant_id: str) -> tuple[str, ...]:
        """Return the callers that were told that a person is being asked elsewhere."""
        return self._beside(file_name(grant_id, "told"), tuple[str, ...]) or ()

    def keep_told(self, grant_id: str, callers: tuple[str, ...]) -> None:
        """Note who was told."""
        self._state.write(file_name(grant_id, "told"), encode(callers))

    def window(self, grant_id: str) -> Window | None:
        """Return when a browser was opened by itself, where nobody has signed in since."""
        return self._beside(file_name(grant_id, "window"), Window)

    def keep_window(self, grant_id: str, window: Window) -> None:
        """Note that a browser is opened by itself."""
        self._state.write(file_name(grant_id, "window"), encode(window))

    def clear_window(self, grant_id: str) -> None:
        """Note that somebody has signed in."""
        self._state.remove(file_name(grant_id, "window"))

    def _beside(self, name: str, kind: type[_T]) -> _T | None:
        found = self._state.read(name)
        return None if found is None else decode(found[0], kind)


def file_name(grant_id: str, ending: str) -> str:
    """Return the name of a grant's file, or of one beside it, within the state directory."""
    return f"{GRANTS}/{grant_id}.{ending}"
