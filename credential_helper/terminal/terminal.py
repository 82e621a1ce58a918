"""Every word said to a person, and whether there is a person to say it to.

Rules of this page:
- Lower case, no full stop; an error is ``credential-helper: PROFILE: sentence`` and its next step a second line,
  ``hint: …``. Nothing here ever touches stdout.
- What comes from outside goes through ``errors.foreign``; addresses and codes are reduced to printable ASCII.
- A person is asked only where one can answer: see ``Terminal.can_answer``. Tested again right before a prompt is
  written, because a shell or a pager may have taken the terminal in the meantime.
- Lines are only ever appended; ``login`` alone redraws one line, the time left, and erases it at the end.
- One prompt a terminal at a time: a flock on the terminal's own device, held while the prompt is up.
- Writing never raises and never waits for longer than ``PATIENCE``: a terminal can be stopped (Ctrl-S), hung up, or
  have nobody at its other end.
- On Windows the console is CONIN$/CONOUT$, without a lock, a job test or a QR code. Untested.

``Screen`` and the functions above it know descriptors, the functions below it know words, ``Terminal`` joins them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from credential_helper import PROGRAM
from credential_helper.errors import ConfigurationError, CredentialHelperError, InteractionRequired
from credential_helper.terminal.keyboard import in_foreground, read_line
from credential_helper.text import foreign, host_of, moment, printable_ascii, time_left

if TYPE_CHECKING:
    import threading

    from credential_helper.model import Credential, Profile, Prompt, Secret
    from credential_helper.system.clock import Clock

PATIENCE = 2.0  # seconds that a write may take
CLAIM_PACE = 0.25  # seconds between two looks whether another prompt has gone
KUBECTL_PATIENCE = 30.0  # seconds after which kubectl's discovery (32 s) may have complained
QR_LONGEST = 300  # characters; a longer address makes a code that no terminal holds
QR_BORDER = 2  # modules; ISO/IEC 18004 asks for 4, phones read 2, and a small terminal has no room for more
ERASE_LINE = "\r\x1b[K"

# --- descriptors ------------------------------------------------------------------------------------------------------


def _write_all(fd: int, data: bytes) -> bool:
    import signal

    if hasattr(signal, "pthread_sigmask"):
        # With `stty tostop` a background job that writes is stopped for good; blocked, the signal lets the write pass.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    give_up = time.monotonic() + PATIENCE
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # somebody who shares this descriptor made it non-blocking (node does)
            if time.monotonic() > give_up:
                return False
            time.sleep(0.01)
        except OSError:  # EIO: hung up; EPIPE, EBADF: nobody there
            return False
    return True


class Outlet:
    """A descriptor that a person, or a log, reads. Writing never raises, nor waits for longer than ``patience`` s.

    O_NONBLOCK would do the same, but it belongs to the open file and so to the shell as well; and a write that only
    poll() promised may still block. So a thread writes, and nobody waits for one that hangs.
    """

    def __init__(self, fd: int, *, encoding: str, patience: float = PATIENCE) -> None:
        self.fd = fd
        self._encoding = encoding
        self._patience = patience
        self._writer: threading.Thread | None = None

    @property
    def stuck(self) -> bool:
        """Say whether an earlier write still hangs."""
        return self._writer is not None and self._writer.is_alive()

    def write(self, text: str) -> bool:
        """Write text in one piece; False if it did not get through."""
        import threading

        if self.stuck:
            return False
        if self._encoding != "utf-8":
            text = text.replace("…", "...")
        data = text.encode(self._encoding, "replace")
        done: list[bool] = []
        self._writer = threading.Thread(target=lambda: done.append(_write_all(self.fd, data)), daemon=True)
        try:
            self._writer.start()
        except RuntimeError:  # no more threads (ulimit -u): better to risk a wait than to be silent
            self._writer = None
            return _write_all(self.fd, data)
        self._writer.join(self._patience)
        return done == [True]


class Screen(Outlet):
    """Where a prompt goes: a terminal, or under ``always`` whatever stderr is."""

    def __init__(self, fd: int, *, owned: bool, encoding: str, patience: float = PATIENCE) -> None:
        super().__init__(fd, encoding=encoding, patience=patience)
        self._owned = owned
        self._held = False
        self.is_terminal = os.isatty(fd)
        self._device = _device(fd) if self.is_terminal else None
        self.key = _key(fd, self._device)

    def ready(self) -> bool:
        """Say whether the terminal takes lines now (ICANON) and is ours to write on: we are its foreground job."""
        return takes_lines(self.fd) and in_foreground(self.fd)

    def size(self) -> tuple[int, int]:
        """Return columns and lines; (0, 0): unknown."""
        try:
            columns, lines = os.get_terminal_size(self.fd)
        except OSError:
            return (0, 0)
        return (columns, lines)

    def claim(self) -> bool:
        """Reserve the terminal for our prompt, without waiting; False: another process has one up.

        Where there is no lock to be had (another user's device after su, macOS, Windows) the claim is granted: two
        prompts are better than none.
        """
        if self._held or self._device is None:
            return True
        import fcntl

        try:
            fcntl.flock(self._device, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        self._held = True
        return True

    def release(self) -> None:
        """Let others prompt here."""
        if self._held and self._device is not None:
            import fcntl

            fcntl.flock(self._device, fcntl.LOCK_UN)
        self._held = False

    def close(self) -> None:
        """Close what was opened here, the lock with it."""
        self._held = False
        if self._device is not None:
            os.close(self._device)
            self._device = None
        if self._owned and not self.stuck:  # a hanging write would go on into whatever gets the number next
            os.close(self.fd)
            self._owned = False


def _keyboard(screen: Screen | None, *, encoding: str) -> Screen:
    """Return the terminal to type on: the screen, or ours (/dev/tty) where that is a pipe, or written to only.

    Raises InteractionRequired.
    """
    path = "CONIN$"
    if sys.platform != "win32":
        import fcntl

        if screen is not None and screen.is_terminal:
            mode = fcntl.fcntl(screen.fd, fcntl.F_GETFL) & os.O_ACCMODE
            if mode == os.O_RDWR:
                return screen
        path = "/dev/tty"
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_NOCTTY", 0))
    except OSError:
        raise InteractionRequired("there is no terminal to type on", hint="run it in a terminal") from None
    return Screen(fd, owned=True, encoding=encoding)


def open_terminal(stderr_fd: int) -> tuple[int, bool] | None:
    """Find where a person can be asked: (descriptor, whether we opened it), or None.

    stderr if it is a terminal, else /dev/tty unless stderr is /dev/null: somebody asked for silence (shell completion
    does, while a /dev/tty stands open).
    """
    if os.isatty(stderr_fd):
        return stderr_fd, False
    try:
        if _same_device(os.fstat(stderr_fd), os.devnull):
            return None
        if sys.platform == "win32":
            os.close(os.open("CONIN$", os.O_RDWR))
            return os.open("CONOUT$", os.O_WRONLY | os.O_BINARY), True
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY), True
    except OSError:  # stderr is closed, or there is no controlling terminal
        return None


def takes_lines(fd: int) -> bool:
    """Say whether a terminal is in canonical mode; full-screen programs, watch, less and a shell inside TAB are not."""
    if sys.platform == "win32":
        return True
    import termios

    try:
        return bool(termios.tcgetattr(fd)[3] & termios.ICANON)
    except (termios.error, OSError):
        return False


def _same_device(status: os.stat_result, path: str) -> bool:
    import stat

    try:
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(path).st_rdev
    except OSError:
        return False


def _device(fd: int) -> int | None:
    """Open a terminal's own device, for a lock that all its processes share and no other terminal does.

    The descriptor that we were given will not do: its open file, and so its flock, is shared with the shell. Nor
    will /dev/tty: it is one file for every terminal of the machine.
    """
    if sys.platform == "win32":
        return None
    indirect = _same_device(os.fstat(fd), "/dev/tty")
    wanted = None if indirect else os.fstat(fd).st_rdev
    for path in _controlling_terminal() if indirect else (f"/proc/self/fd/{fd}", *_name(fd)):
        try:
            # Read-only: we lock and never read. O_NONBLOCK: a modem line would wait for its carrier.
            device = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            continue
        status = os.fstat(device)
        if os.isatty(device) and not _same_device(status, "/dev/tty") and wanted in (None, status.st_rdev):
            return device
        os.close(device)
    return None


def _name(fd: int) -> tuple[str, ...]:
    try:
        return (os.ttyname(fd),)
    except OSError:  # a terminal of another mount namespace: docker exec -t
        return ()


def _controlling_terminal() -> tuple[str, ...]:
    """Return paths by which the device behind /dev/tty may be opened.

    Linux tells its number in field 7 of /proc/self/stat (proc(5)); elsewhere a standard descriptor is often open on it.
    """
    try:
        with open("/proc/self/stat", "rb") as file:
            number = int(file.read().rpartition(b")")[2].split()[4])
    except (OSError, ValueError, IndexError):
        return tuple(name for fd in range(3) if _is_controlling(fd) for name in _name(fd))
    major, minor = os.major(number), os.minor(number)
    if 136 <= major <= 143:  # Unix98 pseudo-terminals, Documentation/admin-guide/devices.txt
        return (f"/dev/pts/{(major - 136) * 256 + minor}",)
    return ("/dev/" + os.path.basename(os.path.realpath(f"/sys/dev/char/{major}:{minor}")),)


def _is_controlling(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) > 0
    except OSError:
        return False


def _key(fd: int, device: int | None) -> str:
    """Name a terminal for ``Prompt.shown_on``: two that are open never share a name, nor does the next of its number.

    A pseudo-terminal's ctime is when it was opened; a pipe's and a file's would be its last write.
    """
    if device is None and _same_device(os.fstat(fd), "/dev/tty"):
        return f"session-{os.getsid(0)}"
    status = os.fstat(fd if device is None else device)
    key = f"{status.st_dev:x}-{status.st_ino:x}"
    return f"{key}-{status.st_ctime_ns:x}" if os.isatty(fd) else key


# --- words ------------------------------------------------------------------------------------------------------------


def prompt_lines(
    prompt: Prompt, *, now: float, browser: bool = False, ours: bool = True, remote: bool = False
) -> list[str]:
    """Say who asks for what, where to go, which code belongs there, and for how long (RFC 8628 §3.3).

    ``browser``: one has been asked to show the address. ``ours``: this process signs in; else it waits for another.
    ``remote``: the person sits elsewhere (SSH), where an address that leads back to this machine's loopback is no use.
    """
    issuer_host = printable_ascii(host_of(prompt.issuer))
    profile = f"{foreign(prompt.profile)} ({issuer_host})"
    tool = foreign(prompt.tool)
    if not ours and prompt.flow == "password":
        return [f"{PROGRAM}: waiting for a sign-in to {profile}, whose password is asked for in another terminal"]
    if not ours and prompt.flow == "browser" and remote:
        return [f"{PROGRAM}: waiting for a sign-in to {profile}, which goes on in a browser on this machine"]
    asks = f"signing in to {profile}" if tool == PROGRAM else f"{tool} needs a sign-in to {profile}"
    purpose = ": ".join(part for part in (foreign(prompt.target or ""), foreign(" ".join(prompt.scope))) if part)
    because = f"  {_WAYS[prompt.flow]}, because {foreign(prompt.because)}" if prompt.because else ""
    head = [f"{PROGRAM}: {asks}", *([f"  for {purpose}"] if purpose else []), *([because] if because else [])]
    if prompt.flow == "password":
        return head
    return head + _where_to_go(prompt, issuer_host, now=now, browser=browser)


_WAYS = {"device": "with a code", "browser": "in a browser", "password": "with a password"}


def _where_to_go(prompt: Prompt, issuer_host: str, *, now: float, browser: bool) -> list[str]:
    uri = printable_ascii(prompt.verification_uri_complete or prompt.verification_uri)
    host = printable_ascii(host_of(uri))
    check = "and check that it shows" if prompt.verification_uri_complete else "and enter"
    left = f"{time_left(prompt.expires_at - now)}; Ctrl-C stops"
    code = (
        f"  {check}  {printable_ascii(prompt.user_code)[:64]}        {left}" if prompt.user_code else f"  within {left}"
    )
    return [
        f"  open  {uri}",
        *(["  (a browser has been asked to show it)"] if browser else []),
        *([f"  that page is on {host}, not on {issuer_host}"] if host != issuer_host else []),
        code,
        "  go on only if you started this",
    ]


def closing_line(credential: Credential, *, now: float, refresh_token: bool, advice: str | None) -> str:
    """Say who is signed in, until when, and what happens then."""
    name = foreign(credential.identity.name or credential.identity.subject, 100) if credential.identity else ""
    until = None if credential.expires_at is None else moment(credential.expires_at, now)
    words = [f"signed in to {foreign(credential.profile)}"]
    words += [f" as {name}"] if name else []
    words += [f" until {until}" if until else " for as long as the provider lets it"]
    words += [", then again by itself" if refresh_token else ", then a new sign-in"]
    if advice and not refresh_token:
        words += [f" (no refresh token came: {foreign(advice)})"]
    return "".join(words)


def error_lines(error: CredentialHelperError, *, ci: bool) -> list[str]:
    """Say what went wrong and what to do about it."""
    where = f"{PROGRAM}: {foreign(error.profile)}" if error.profile else PROGRAM
    hint = error.hint
    if ci and isinstance(error, InteractionRequired):
        hint = 'use a profile with flow = "client-credentials"'
    lines = [f"{where}: {foreign(error.sentence, 2000)}"]
    return [*lines, f"hint: {foreign(hint, 4000)}"] if hint else lines


def qr_lines(uri: str) -> list[str]:
    """Draw a QR code with half blocks, white on black whatever the terminal's colours are."""
    import io

    import segno  # 25 ms, and only where a code is drawn

    drawing = io.StringIO()
    segno.make_qr(uri, error="l").terminal(drawing, border=QR_BORDER, compact=True)
    return drawing.getvalue().splitlines()


def is_utf8(environ: Mapping[str, str]) -> bool:
    """Say whether the locale's characters are UTF-8 (POSIX: LC_ALL, then LC_CTYPE, then LANG)."""
    value = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    return value.partition("@")[0].lower().replace("-", "").endswith("utf8")


def in_ci(environ: Mapping[str, str]) -> bool:
    """Say whether CI is set to anything but empty, 0 or false."""
    return environ.get("CI", "").strip().lower() not in ("", "0", "false")


# --- the terminal -----------------------------------------------------------------------------------------------------


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
        git_interactive: Callable[[], str | None] = lambda: None,
        hidden: Collection[str] = (),
        stderr_fd: int = 2,
        patience: float = PATIENCE,
    ) -> None:
        """Take the world as it is given.

        tool_is_login: the command is ``login``: it may open a browser and redraw the time left.
        browser: False after ``--no-browser``.  verbose: True after ``--verbose``.
        children_find: ``children.find``.
        git_interactive: returns git's ``credential.interactive``, None if unset; called at most once, only for git.
        hidden: variables that a browser must not see; those of our prefix it never sees.
        """
        self._environ = environ
        self._clock = clock
        self._tool_is_login = tool_is_login
        self._browser = browser
        self._find = children_find
        self._git_interactive = git_interactive
        self._hidden = hidden
        self._encoding = "utf-8" if is_utf8(environ) else "ascii"
        self._patience = patience
        self._stderr = Outlet(stderr_fd, encoding=self._encoding, patience=patience)
        self._plain = (
            bool(environ.get("NO_COLOR"))
            or environ.get("TERM") == "dumb"
            or environ.get("CREDENTIAL_HELPER_PROMPT", "").lower() == "plain"
        )
        self._verbose = _Verbose(environ, verbose)
        self._always = False
        self._reason: str | None = None
        self._git_said: str | None = None
        self._screen: Screen | None = None
        self._shown: str | None = None  # the name of the prompt that stands on our screen
        self._drawn = ""  # the time left, as it was last drawn
        self._warned: set[str] = set()
        self._browsed = False

    # --- may we ask?

    def can_answer(self, profile: Profile, tool: str) -> bool:
        """Say whether a person can be asked to sign in to a profile, now, on behalf of a tool.

        Raises ConfigurationError for a CREDENTIAL_HELPER_INTERACTIVE that is not auto, always or never.
        """
        reason = self._why_not(profile, tool)
        if reason != self._reason and reason:  # whoever waits for a lock asks many times
            self.note(f"nobody can be asked: {reason}")
        self._reason = reason
        return reason is None

    def _why_not(self, profile: Profile, tool: str) -> str | None:
        """Return why nobody can be asked, cheap reasons first.

        The variable is the last word: it was said in this very environment. A profile's ``always`` skips the tests
        of the terminal, not CI nor git's own no; docker is asked for in loops, and draws over the terminal.
        """
        variable = self._interactive_variable()
        rule = variable or profile.interactive
        self._set_always(rule == "always")
        if rule == "never":
            return f"{'CREDENTIAL_HELPER_INTERACTIVE' if variable else 'the profile'} says never"
        if variable == "always":
            return None
        if in_ci(self._environ):
            return "CI is set"
        if tool == "docker" and not self._always:
            return 'docker does not ask unless the profile says interactive = "always"'
        if not self._always and (reason := self._terminal_says_no()):
            return reason
        return self._git_says_no() if tool == "git" else None

    def _interactive_variable(self) -> str:
        value = self._environ.get("CREDENTIAL_HELPER_INTERACTIVE", "").strip().lower()
        if value not in ("", "auto", "always", "never"):
            raise ConfigurationError(
                f'CREDENTIAL_HELPER_INTERACTIVE is "{foreign(value, 40)}", which is none of auto, always, never'
            )
        return value

    def _terminal_says_no(self) -> str | None:
        screen = self._find_screen()
        if screen is None:
            return "there is no terminal"
        if not takes_lines(screen.fd):
            return "another program draws on the terminal"
        if not in_foreground(screen.fd):
            return "this job is in the background"
        return None

    def _git_says_no(self) -> str | None:
        no = ("0", "false", "no", "off")
        if self._environ.get("GIT_TERMINAL_PROMPT", "1").strip().lower() in ("", *no):  # git reads empty as false
            return "GIT_TERMINAL_PROMPT says no"
        if self._git_said is None:
            self._git_said = (self._git_interactive() or "").strip().lower()
        if self._git_said in ("never", *no):
            return "git's credential.interactive says no"
        return None

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
        """Put a prompt up, once a terminal for the same code; never waits for the terminal to become free.

        ``ours``: this process signs in; others that wait for it open no browser.

        Returns the name of the terminal that shows it, for ``Prompt.shown_on``; None: not now (another prompt is up
        there, we are in the background, or it cannot be written), try again later.
        """
        screen = self._find_screen()
        if screen is None:
            return None
        if self._shown == prompt.name or screen.key in prompt.shown_on:
            screen.claim()  # if it is free: whoever put the prompt up may be gone
            self._shown = prompt.name
            return screen.key
        if not screen.claim():
            return None
        self._erase()
        if not self._may_write(screen) or not screen.write(self._prompt_text(prompt, screen, ours=ours)):
            screen.release()
            return None
        self._shown = prompt.name
        return screen.key

    def _may_write(self, screen: Screen) -> bool:
        return self._always or screen.ready()

    def _prompt_text(self, prompt: Prompt, screen: Screen, *, ours: bool) -> str:
        uri = printable_ascii(prompt.verification_uri_complete or prompt.verification_uri)
        browser = ours and (self._tool_is_login or prompt.flow == "browser") and self.open_browser(uri)
        remote = "SSH_CONNECTION" in self._environ
        lines = prompt_lines(prompt, now=self._clock.now(), browser=browser, ours=ours, remote=remote)
        if not browser and prompt.verification_uri_complete:
            lines = self._with_qr(lines, uri, screen)
        return "\n".join(lines) + "\n"

    def _with_qr(self, lines: list[str], uri: str, screen: Screen) -> list[str]:
        """Add a QR code where it can be read: not where lines must be plain, nor where it would scroll away."""
        from credential_helper.urls import is_loopback  # a phone would knock at its own door

        columns, rows = screen.size()
        host = host_of(uri)
        name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        if self._plain or self._encoding != "utf-8" or is_loopback(name) or columns == 0 or len(uri) > QR_LONGEST:
            return lines
        drawing = qr_lines(uri)
        text_rows = sum(-(-len(line) // columns) for line in lines)
        if len(drawing[0]) + 2 > columns or len(drawing) + text_rows + 1 > rows:
            return lines
        coloured = [f"  \x1b[97;40m{line}\x1b[0m" for line in drawing]
        return [*lines[:-1], *coloured, lines[-1]]

    def waiting(self, prompt: Prompt) -> None:
        """Redraw the time left; called about once a second while we wait. Only ``login`` draws, and not in plain."""
        screen = self._screen
        if screen is None or not self._tool_is_login or self._plain or not screen.is_terminal or self._shown is None:
            return
        seconds = max(0, int(prompt.expires_at - self._clock.now()))
        line = f"  {seconds // 60}:{seconds % 60:02d} left"
        if line != self._drawn and screen.size()[0] > len(line) and screen.ready() and screen.write(ERASE_LINE + line):
            self._drawn = line

    def _erase(self) -> None:
        if self._drawn and self._screen is not None:
            self._drawn = ""
            if self._screen.ready():
                self._screen.write(ERASE_LINE)

    def signed_in(
        self, credential: Credential, *, tool: str, took: float, refresh_token: bool, advice: str | None
    ) -> None:
        """Close the prompt: who is signed in and until when; silent where no prompt stands, but for ``login``.

        took: seconds since this process began to wait.  refresh_token: whether it goes on without a person.
        advice: what to do where a refresh token was asked for and none came; None: none was asked for.
        """
        line = closing_line(credential, now=self._clock.now(), refresh_token=refresh_token, advice=advice)
        if tool == "kubectl" and took > KUBECTL_PATIENCE:
            line += ' (kubectl may now print "context deadline exceeded"; the command goes on)'
        self._erase()
        if self._screen is not None and self._shown is not None:
            if self._may_write(self._screen):
                self._screen.write(line + "\n")
        elif self._tool_is_login:
            self._stderr.write(line + "\n")
        self.finish()

    def finish(self) -> None:
        """Leave the terminal to others: erase the time left, let go of the lock. May be called at any time."""
        self._erase()
        if self._screen is not None:
            self._screen.close()
        self._screen = None
        self._shown = None

    # --- lines on stderr

    def say(self, line: str) -> None:
        """Put one line on stderr."""
        self._erase()
        self._stderr.write(foreign(line, 4000) + "\n")

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        """Put a warning on stderr, the same one once, and what to do on a second line."""
        if sentence in self._warned:
            return
        self._warned.add(sentence)
        lines = [f"{PROGRAM}: warning: {foreign(sentence, 2000)}"]
        self._erase()
        self._stderr.write("\n".join([*lines, f"hint: {foreign(hint, 4000)}"] if hint else lines) + "\n")

    def error(self, error: CredentialHelperError) -> None:
        """Say what went wrong, and on a second line what to do; nothing where the same was said a moment ago."""
        if error.silent:
            return
        self._erase()
        self._stderr.write("\n".join(error_lines(error, ci=in_ci(self._environ))) + "\n")

    def note(self, line: str) -> None:
        """Tell one step under --verbose; a path in CREDENTIAL_HELPER_VERBOSE gets it whatever becomes of stderr."""
        if self._verbose.on:
            self._erase()
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
        self._erase()
        screen = self._find_screen()
        keyboard = _keyboard(screen, encoding=self._encoding)
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
        """Say whether a browser can be seen and started here, and what tells so."""
        if not self._browser:
            return False, "--no-browser was given"
        named = bool(self._environ.get("BROWSER"))
        if self._browser_command("") is not None:
            return True, "BROWSER is set" if named else "there is a display"
        if named:
            return False, "no program that BROWSER names was found"
        if "SSH_CONNECTION" in self._environ:
            return False, "SSH_CONNECTION is set"
        return False, "no program that opens one was found" if self._display() else "there is no display"

    def _display(self) -> bool:
        return bool(
            self._environ.get("DISPLAY") or self._environ.get("WAYLAND_DISPLAY") or sys.platform in ("darwin", "win32")
        )

    def open_browser(self, url: str) -> bool:
        """Ask a browser to show an address, once a sign-in; False where none can be seen or started.

        It is started by its absolute path, detached, with the address as one argument and its output discarded.
        """
        if not self._browser or self._browsed or not url.startswith(("https://", "http://")):
            return False
        command = self._browser_command(url)
        self._browsed = command is not None and self._start(command)
        return self._browsed

    def _browser_command(self, url: str) -> list[str] | None:
        """Return $BROWSER's first command that exists (colon-separated, %s is the address), else the desktop's own."""
        import shlex

        candidates: list[list[str]] = []
        for command in self._environ.get("BROWSER", "").split(os.pathsep):
            try:
                words = shlex.split(command)
            except ValueError:  # a quote that is never closed
                continue
            if words:
                candidates.append([w.replace("%s", url) for w in words] if "%s" in command else [*words, url])
        if self._display() and "SSH_CONNECTION" not in self._environ:
            candidates += [[*words, url] for words in DESKTOP_BROWSERS.get(sys.platform, DESKTOP_BROWSERS["linux"])]
        for program, *arguments in candidates:
            path = self._find(program, self._environ)
            if path is not None:
                return [path, *arguments]
        return None

    def _start(self, command: list[str]) -> bool:
        import subprocess
        import threading

        environ = {
            name: value
            for name, value in self._environ.items()
            if name not in self._hidden and not name.startswith("CREDENTIAL_HELPER_")
        }
        quiet = subprocess.DEVNULL
        try:
            child = subprocess.Popen(  # noqa: S603 - an absolute path, no shell
                command, stdin=quiet, stdout=quiet, stderr=quiet, env=environ, start_new_session=True
            )
        except (OSError, ValueError):
            return False
        threading.Thread(target=child.wait, daemon=True).start()  # some browsers stay: nobody else waits for it
        return True


DESKTOP_BROWSERS: dict[str, list[list[str]]] = {
    "linux": [["xdg-open"], ["wslview"], ["x-www-browser"]],
    "darwin": [["open"]],
    "win32": [["rundll32.exe", "url.dll,FileProtocolHandler"]],
}


class _Verbose:
    """Where --verbose goes: stderr, or the file whose absolute path CREDENTIAL_HELPER_VERBOSE is."""

    def __init__(self, environ: Mapping[str, str], flag: bool) -> None:
        value = environ.get("CREDENTIAL_HELPER_VERBOSE", "").strip()
        self._path = value if os.path.isabs(value) else None
        self._fd: int | None = None
        self.on_stderr = flag or (self._path is None and value.lower() not in ("", "0", "false", "no", "off"))

    @property
    def on(self) -> bool:
        return self.on_stderr or self._path is not None

    def write(self, line: str, *, now: float) -> str | None:
        """Append a line to the file, if there is one; returns, once, a sentence if it cannot be."""
        if self._path is None:
            return None
        try:
            if self._fd is None:
                self._fd = _open_log(self._path)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
            os.write(self._fd, f"{stamp} {PROGRAM}[{os.getpid()}]: {line}\n".encode())
        except OSError as error:
            path, self._path = self._path, None
            return f"CREDENTIAL_HELPER_VERBOSE: {foreign(path)}: {foreign(error.strerror or 'cannot be written')}"
        return None


def _open_log(path: str) -> int:
    """Open a private file of ours to append to; a symlink, a device or somebody else's file is refused (OSError)."""
    import errno
    import stat

    # O_NONBLOCK: opening a FIFO that nobody reads would wait.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    fd = os.open(path, flags, 0o600)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or (sys.platform != "win32" and status.st_uid != os.geteuid()):
        os.close(fd)
        raise OSError(errno.EPERM, "not a regular file of yours")
    if sys.platform != "win32" and status.st_mode & 0o077:
        os.fchmod(fd, 0o600)
    return fd
