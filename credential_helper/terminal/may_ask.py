"""Whether a person can be asked, here and now.

Rules of this page:
- CREDENTIAL_HELPER_INTERACTIVE has the last word: it was set in this very environment. Its ``always`` skips every
  test, the profile's ``always`` those of the terminal alone: CI and the tool's own no still count.
- A terminal has to be there, take whole lines (a full-screen program, a pager or a shell inside TAB does not), and
  have us as its foreground job.
- Where there is none at all, as in an editor, a person can be asked by a browser alone, if somebody sits at the screen
  (desktop.py) and the profile signs in with one. Nothing of it is said but on stderr, so no code can be shown there.
- Some tools ask only where the profile says ``always``: they call helpers in loops, and draw over the terminal. Others
  say no for themselves, in variables and settings of their own (``model.Manners``).
- Cheap reasons come first: a process that waits for a lock asks many times per second.

The terminal is opened by whoever has it, and handed in: this file writes nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from credential_helper.errors import ConfigurationError
from credential_helper.system.ci import in_ci
from credential_helper.terminal.devices import in_foreground, takes_lines
from credential_helper.text import foreign

if TYPE_CHECKING:
    from credential_helper.model import Profile, Request, Run
    from credential_helper.terminal.devices import Screen


NO_TERMINAL = "there is no terminal"


class Rule(msgspec.Struct, frozen=True):
    """What was decided about asking before anything is looked at."""

    interactive: str  # auto, always or never
    of_variable: bool  # CREDENTIAL_HELPER_INTERACTIVE says it, not the profile

    @property
    def always(self) -> bool:
        """Say whether the tests of the terminal are skipped; prompts go to stderr then, whatever it is."""
        return self.interactive == "always"


def rule_of(profile: Profile, environ: Mapping[str, str]) -> Rule:
    """Return what the environment says about asking, else what the profile says.

    Raises ConfigurationError for a CREDENTIAL_HELPER_INTERACTIVE that is not auto, always or never.
    """
    value = environ.get("CREDENTIAL_HELPER_INTERACTIVE", "").strip().lower()
    if value == "":
        return Rule(profile.interactive, of_variable=False)
    if value not in ("auto", "always", "never"):
        raise ConfigurationError(
            f'CREDENTIAL_HELPER_INTERACTIVE is "{foreign(value, 40)}", which is none of auto, always, never'
        )
    return Rule(value, of_variable=True)


class MayAsk:
    """Says why nobody can be asked; a command of the tool's runs at most once, and only for that tool."""

    def __init__(self, environ: Mapping[str, str], *, run: Run) -> None:
        """``run`` runs a command by which a tool says no."""
        self._environ = environ
        self._run = run
        self._said: dict[tuple[str, ...], str | None] = {}  # by commands

    def why_not(
        self,
        rule: Rule,
        request: Request,
        *,
        find_screen: Callable[[], Screen | None],
        find_window: Callable[[], bool],
    ) -> str | None:
        """Return why nobody can be asked on behalf of a tool now, None where a person can be.

        ``find_screen`` opens the terminal that prompts go to, and returns None where there is none; it is not called
        where a cheaper reason is found, nor where the terminal does not matter. ``find_window`` says whether a browser
        will do where there is no terminal.
        """
        if rule.interactive == "never":
            return f"{'CREDENTIAL_HELPER_INTERACTIVE' if rule.of_variable else 'the profile'} says never"
        if rule.of_variable and rule.always:
            return None
        if in_ci(self._environ):
            return "CI is set"
        manners = request.manners
        if manners.asks == "always" and not rule.always:
            return f'{request.tool} does not ask unless the profile says interactive = "always"'
        if not rule.always:
            screen = find_screen()
            reason = _terminal_says_no(screen)
            if reason is not None and not (screen is None and find_window()):
                return reason
        return None if manners.says_no is None else manners.says_no(self._environ, self._once)

    def _once(self, words: Sequence[str]) -> str | None:
        """Run a command, or say what it said before."""
        key = tuple(words)
        if key not in self._said:
            self._said[key] = self._run(words)
        return self._said[key]


def _terminal_says_no(screen: Screen | None) -> str | None:
    if screen is None:
        return NO_TERMINAL
    if not takes_lines(screen.fd):
        return "another program draws on the terminal"
    if not in_foreground(screen.fd):
        return "this is a background job"
    return None


def background_of(screen: Screen | None, stderr_fd: int) -> str | None:
    """Name the terminal that we are a background job of and talk to, None where that is not so.

    What one such job has said there need not be said by the next.
    """
    if screen is None or not screen.is_terminal or not os.isatty(stderr_fd) or in_foreground(screen.fd):
        return None
    return screen.key
