"""What is said to a person: a prompt, what follows it, and lines on stderr.

Rules of this page:
- Nothing here ever touches stdout, and nothing raises but what says so.
- What a line says is words.py's business; what is written here goes through ``text.foreign``.
- A person is asked only where one can answer (may_ask.py). The terminal is tested again right before a prompt is
  written, because a shell or a pager may have taken it in the meantime.
- Lines are only ever appended; ``login`` alone redraws one line, the time left, and erases it at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from credential_helper import PROGRAM
from credential_helper.errors import CredentialHelperError, InteractionRequired
from credential_helper.system.ci import in_ci
from credential_helper.terminal.browser import Browser, over_ssh
from credential_helper.terminal.countdown import Countdown
from credential_helper.terminal.desktop import somebody_is_there
from credential_helper.terminal.devices import PATIENCE, Outlet, Screen, is_utf8, keyboard_of, open_terminal
from credential_helper.terminal.keyboard import read_line
from credential_helper.terminal.may_ask import NO_TERMINAL, MayAsk, background_of, rule_of
from credential_helper.terminal.pasted import Pasting, is_cut, secret_of
from credential_helper.terminal.verbose import Verbose
from credential_helper.terminal.words import closing_line, error_lines, prompt_lines, with_qr
from credential_helper.text import foreign, printable_ascii

if TYPE_CHECKING:
    from credential_helper.model import Credential, Profile, Prompt, Request, Run, Secret
    from credential_helper.system.clock import Clock

WINDOW = "window"  # what stands in Prompt.shown_on for a browser without a terminal
CLAIM_PACE = 0.25  # seconds between two looks whether another prompt has gone


class Terminal:
    """What is said to a person, and whether one can be asked. Nothing here raises but what is said to raise."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        clock: Clock,
        tool_is_login: bool = False,
        browser: bool = True,
        verbose: bool = False,
        children_find: Callable[[str, Mapping[str, str]], str | None] = lambda _program, _environ: None,
        run: Run = lambda _words: None,
        hidden: Collection[str] = (),
        stderr_fd: int = 2,
        patience: float = PATIENCE,
        asks: Callable[[], None] = lambda: None,
    ) -> None:
        """Store what the terminal needs.

        tool_is_login: the command is ``login``: it may open a browser and redraw the time left.
        browser: False after ``--no-browser``.  verbose: True after ``--verbose``.
        children_find: ``children.find``.
        asks: called before a person is asked for anything.
        run: runs a command by which a tool says that nobody is to be asked; at most once per command.
        hidden: variables that a browser must not see; those of our prefix it never sees.
        """
        self._environ = environ
        self._clock = clock
        self._asks = asks
        self._tool_is_login = tool_is_login
        self._browser = Browser(environ, allowed=browser, find=children_find, hidden=hidden)
        self._may_ask = MayAsk(environ, run=run)
        self._encoding = "utf-8" if is_utf8(environ) else "ascii"
        self._patience = patience
        self._stderr = Outlet(stderr_fd, encoding=self._encoding, patience=patience)
        self._plain = (
            bool(environ.get("NO_COLOR"))
            or environ.get("TERM") == "dumb"
            or environ.get("CREDENTIAL_HELPER_PROMPT", "").lower() == "plain"
        )
        self._verbose = Verbose(environ, verbose)
        self._always = False
        self._window: bool | None = None  # whether a browser alone could ask; None: nobody has looked
        self.by_window = False  # a person can be asked, but by a browser alone: there is no terminal
        self._reason: str | None = None
        self._screen: Screen | None = None
        self._shown: str | None = None  # the name of the prompt that stands on our screen
        self._pasting = Pasting(encoding=self._encoding)
        self._countdown = Countdown(clock=clock, redraws=tool_is_login and not self._plain)
        self._warned: set[str] = set()

    # --- may we ask?

    def can_answer(self, profile: Profile, request: Request) -> bool:
        """Say whether a person can be asked to sign in to a profile, now, for a tool's request.

        Raises ConfigurationError for a CREDENTIAL_HELPER_INTERACTIVE that is not auto, always or never.
        """
        rule = rule_of(profile, self._environ)
        self._set_always(rule.always)
        reason = self._may_ask.why_not(
            rule,
            request,
            find_screen=self._find_screen,
            find_window=lambda: self._find_window(profile),
        )
        self.by_window = reason is None and self._screen is None and not rule.always
        if reason != self._reason and reason:  # whoever waits for a lock asks many times
            self.note(f"nobody can be asked: {reason}")
        self._reason = reason
        return reason is None

    @property
    def why_not(self) -> str | None:
        """Say why can_answer has found nobody; None: it found somebody, or there is just no terminal."""
        return None if self._reason == NO_TERMINAL else self._reason

    @property
    def background(self) -> str | None:
        """Name the terminal that this is a background job of, and where it is read what we say."""
        return background_of(self._find_screen(), self._stderr.fd)

    def _find_window(self, profile: Profile) -> bool:
        """Say whether a browser that is opened without a word here would ask somebody."""
        if profile.flow not in ("auto", "authorization-code"):
            return False
        if self._window is None:  # whoever waits for a lock asks many times
            there = somebody_is_there(self._environ, stderr_fd=self._stderr.fd)
            self._window = there and self._browser.available()[0]
        return self._window

    def _set_always(self, always: bool) -> None:
        if always != self._always:
            self.finish()
            self._always = always

    def _find_screen(self) -> Screen | None:
        """Open where prompts go, once."""
        if self._screen is None:
            found = (self._stderr.fd, False) if self._always else open_terminal(self._stderr.fd)
            if found is not None:
                fd, owned = found
                try:
                    self._screen = Screen(fd, owned=owned, encoding=self._encoding, patience=self._patience)
                except OSError:  # stderr is closed
                    return None
        return self._screen

    # --- the prompt

    def show(self, prompt: Prompt, *, ours: bool = True) -> str | None:
        """Put a prompt up, once per terminal for the same code; never waits for the terminal to become free.

        ``ours``: this process signs in; others that wait for it open no browser.

        Returns the name of the terminal that shows it, for ``Prompt.shown_on``; None: not now (another prompt is up
        there, we are in the background, or it cannot be written), try again later. Raises InteractionRequired where
        there is no terminal, and a browser alone cannot ask.
        """
        self._asks()
        screen = self._find_screen()
        if screen is None:
            return self._show_window(prompt, ours=ours) if self.by_window else None
        if self._shown == prompt.name or screen.key in prompt.shown_on:
            screen.claim()  # if it is free: whoever put the prompt up may be gone
            self._shown = prompt.name
            return screen.key
        if not screen.claim():
            return None
        self._countdown.erase()
        if not self._may_write(screen) or not screen.write(self._prompt_text(prompt, screen, ours=ours)):
            self._pasting.end()
            screen.release()
            return None
        self._shown = prompt.name
        return screen.key

    def _show_window(self, prompt: Prompt, *, ours: bool) -> str:
        """Have a browser ask, where there is no terminal; what it is about is said on stderr."""
        if prompt.flow != "browser":
            raise InteractionRequired("there is no terminal here, and a sign-in with a code has to be shown on one")
        if self._shown != prompt.name and ours:
            if not self.open_browser(printable_ascii(prompt.verification_uri)):
                raise InteractionRequired("there is no terminal here, and no browser could be started")
            lines = prompt_lines(prompt, now=self._clock.now(), browser=True)
            self._stderr.write("\n".join(lines) + "\n")
        self._shown = prompt.name
        return WINDOW

    def _may_write(self, screen: Screen) -> bool:
        return self._always or screen.ready()

    def _prompt_text(self, prompt: Prompt, screen: Screen, *, ours: bool) -> str:
        uri = printable_ascii(prompt.verification_uri_complete or prompt.verification_uri)
        browser = ours and (self._tool_is_login or prompt.flow == "browser") and self.open_browser(uri)
        remote = over_ssh(self._environ) is not None
        # A browser that was opened here comes back by itself; any other one may be on another machine.
        far = remote or not browser or self._browser.elsewhere() is not None
        paste = bool(ours and prompt.redirect_uri and far) and self._pasting.begin(screen)
        machine = os.uname().nodename if hasattr(os, "uname") else ""
        lines = prompt_lines(
            prompt,
            now=self._clock.now(),
            browser=browser,
            ours=ours,
            remote=remote,
            paste=paste,
            machine=machine or "HOST",
        )
        if not browser and prompt.verification_uri_complete and not self._plain and self._encoding == "utf-8":
            lines = with_qr(lines, uri, size=screen.size())
        return "\n".join(lines) + "\n"

    def can_paste(self) -> bool:
        """Say whether an address can be pasted where prompts go."""
        return self._pasting.possible(self._find_screen())

    def pasted(self) -> Secret | None:
        """Return a line that was pasted below a browser's prompt since the last call; None: none was."""
        line = self._pasting.line()
        if line is None:
            return None
        if is_cut(line):
            self.tell("that is longer than a line of this terminal, which cut it; paste only what begins with code=")
            return None
        return secret_of(line) or None

    def waiting(self, prompt: Prompt) -> None:
        """Say how long is left, and what is in the way; called about twice per second while we wait."""
        if self._screen is not None and self._shown is not None:
            self._countdown.show(prompt, self._screen)

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
        """Close the prompt: who is signed in and until when; silent where no prompt stands, but for ``login``.

        took: seconds since this process began to wait.  refresh_token: whether it goes on without a person.
        advice: what to do where a refresh token was asked for and none came; None: none was asked for.
        unkept: why one that came could not be kept.
        """
        now = self._clock.now()
        line = closing_line(credential, now=now, refresh_token=refresh_token, advice=advice, unkept=unkept)
        manners = request.manners
        if manners.patience is not None and took > manners.patience:
            line += f" ({request.tool} may now print {manners.complaint}; the command goes on)"
        self._countdown.erase()
        self._pasting.end()
        if self._screen is not None and self._shown is not None:
            if self._may_write(self._screen):
                self._screen.write(line + "\n")
        elif self._tool_is_login:
            self._stderr.write(line + "\n")
        self.finish()

    def finish(self) -> None:
        """Leave the terminal to others: erase the time left, let go of the lock. May be called at any time."""
        self._countdown.stop()
        self._pasting.end()
        if self._screen is not None:
            self._screen.close()
        self._screen = None
        self._shown = None

    # --- lines on stderr

    def say(self, line: str) -> None:
        """Put one line on stderr."""
        self._countdown.erase()
        self._stderr.write(foreign(line, 4000) + "\n")

    def tell(self, sentence: str) -> None:
        """Say what is going on to whoever sits where prompts go; else on stderr."""
        self._countdown.erase()
        screen = self._find_screen()
        outlet = screen if screen is not None and self._may_write(screen) else self._stderr
        outlet.write(f"{PROGRAM}: {foreign(sentence, 2000)}\n")

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        """Put a warning on stderr, the same one once, and what to do on a second line."""
        if sentence in self._warned:
            return
        self._warned.add(sentence)
        lines = [f"{PROGRAM}: warning: {foreign(sentence, 2000)}"]
        self._countdown.erase()
        self._stderr.write("\n".join([*lines, f"hint: {foreign(hint, 4000)}"] if hint else lines) + "\n")

    def error(self, error: CredentialHelperError) -> None:
        """Say what went wrong, and on a second line what to do; nothing where the same was said a moment ago."""
        if error.silent:
            return
        self._countdown.erase()
        lines = [line for one in (error, *error.also) for line in error_lines(one, ci=in_ci(self._environ))]
        self._stderr.write("\n".join(lines) + "\n")

    def note(self, line: str) -> None:
        """Tell one step under --verbose; a path in CREDENTIAL_HELPER_VERBOSE gets it whatever becomes of stderr."""
        if self._verbose.on:
            self._countdown.erase()
            problem = self._verbose.write(foreign(line, 1000), now=self._clock.now())
            if problem:
                self.warn(problem)
            if self._verbose.on_stderr:
                self._stderr.write(f"{PROGRAM}: {foreign(line, 1000)}\n")

    # --- the keyboard

    def type(self, label: str, *, hidden: bool, go_on: Callable[[], None]) -> Secret:
        """Read one line from the terminal, without an echo where it is ``hidden``; ``go_on`` may raise meanwhile.

        Another prompt on the terminal is waited for: what is typed then is not for us. Raises InteractionRequired where
        nobody can type, or nothing was typed.
        """
        self._asks()
        self._countdown.erase()
        screen = self._find_screen()
        keyboard = keyboard_of(screen, encoding=self._encoding)
        try:
            one = screen if screen is not None and screen.is_terminal else keyboard
            while not one.claim():
                go_on()
                self._clock.sleep(CLAIM_PACE)
            if not keyboard.ready():
                raise InteractionRequired("nobody can type on this terminal now", hint="run it in the foreground")
            return read_line(keyboard.fd, label, hidden=hidden, go_on=go_on)
        finally:
            if keyboard is not screen:
                keyboard.close()

    # --- the browser

    def browser(self) -> tuple[bool, str]:
        """Say whether a browser can be seen and started here, and what tells so: "there is a display"."""
        return self._browser.available()

    def open_browser(self, url: str) -> bool:
        """Ask a browser to show an address, once per sign-in; False where none can be seen or started."""
        return self._browser.open(url)
