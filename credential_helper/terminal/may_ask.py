"""Whether a person can be asked, here and now.

Rules of this page:
- CREDENTIAL_HELPER_INTERACTIVE has the last word: it was set in this very environment. Its ``always`` skips every
  test, the profile's ``always`` those of the terminal alone: CI and git's own no still count.
- A terminal has to be there, take whole lines (a full-screen program, a pager or a shell inside TAB does not), and
  have us as its foreground job.
- docker asks only where the profile says ``always``: docker calls helpers in loops, and draws over the terminal.
- git says no for itself, in GIT_TERMINAL_PROMPT and in its credential.interactive.
- Cheap reasons come first: a process that waits for a lock asks many times per second.

The terminal is opened by whoever has it, and handed in: this file writes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from credential_helper.errors import ConfigurationError
from credential_helper.terminal.devices import in_foreground, takes_lines
from credential_helper.text import foreign

if TYPE_CHECKING:
    from credential_helper.model import Profile
    from credential_helper.terminal.devices import Screen

_NO = ("0", "false", "no", "off")


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
    """Says why nobody can be asked; git's own setting is read at most once, and only for git."""

    def __init__(self, environ: Mapping[str, str], *, git_interactive: Callable[[], str | None]) -> None:
        """``git_interactive`` returns git's ``credential.interactive``, None if unset."""
        self._environ = environ
        self._git_interactive = git_interactive
        self._git_said: str | None = None

    def why_not(self, rule: Rule, tool: str, *, find_screen: Callable[[], Screen | None]) -> str | None:
        """Return why nobody can be asked on behalf of a tool now, None where a person can be.

        ``find_screen`` opens the terminal that prompts go to, and returns None where there is none; it is not called
        where a cheaper reason is found, nor where the terminal does not matter.
        """
        if rule.interactive == "never":
            return f"{'CREDENTIAL_HELPER_INTERACTIVE' if rule.of_variable else 'the profile'} says never"
        if rule.of_variable and rule.always:
            return None
        if in_ci(self._environ):
            return "CI is set"
        if tool == "docker" and not rule.always:
            return 'docker does not ask unless the profile says interactive = "always"'
        if not rule.always and (reason := _terminal_says_no(find_screen())):
            return reason
        return self._git_says_no() if tool == "git" else None

    def _git_says_no(self) -> str | None:
        if self._environ.get("GIT_TERMINAL_PROMPT", "1").strip().lower() in ("", *_NO):  # git reads empty as false
            return "GIT_TERMINAL_PROMPT says no"
        if self._git_said is None:
            self._git_said = (self._git_interactive() or "").strip().lower()
        if self._git_said in ("never", *_NO):
            return "git's credential.interactive says no"
        return None


def _terminal_says_no(screen: Screen | None) -> str | None:
    if screen is None:
        return "there is no terminal"
    if not takes_lines(screen.fd):
        return "another program draws on the terminal"
    if not in_foreground(screen.fd):
        return "this job is in the background"
    return None


def in_ci(environ: Mapping[str, str]) -> bool:
    """Say whether CI is set to anything but empty, 0 or false."""
    return environ.get("CI", "").strip().lower() not in ("", "0", "false")
