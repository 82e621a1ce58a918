"""What a person is told, and whether one is asked: on real pseudo-terminals, with a clock that does not wait."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import stat
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError, CredentialHelperError, InteractionRequired
from credential_helper.model import Credential, Identity, Profile, Prompt, Secret
from credential_helper.terminal.devices import Outlet, is_utf8
from credential_helper.terminal.may_ask import in_ci
from credential_helper.terminal.terminal import Terminal
from credential_helper.terminal.words import closing_line, prompt_lines, qr_lines
from credential_helper.text import host_of
from tests.conftest import FakeClock
from tests.helpers.requests import request_by

ROOT = Path(__file__).resolve().parents[2]
UTF8 = {"LANG": "C.UTF-8"}
NO_FIND = "no program may be looked for here"


class Pty:
    """A terminal of 80 columns and 24 lines, and what stands on it."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.name = os.ttyname(self.slave)

    def text(self) -> str:
        """Return what was written since the last time."""
        data = b""
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                data += os.read(self.master, 65536)
            except OSError:  # EIO: the other end is closed
                break
        return data.decode().replace("\r\n", "\n")

    def mode(self, flag: int, on: bool) -> None:
        attributes = termios.tcgetattr(self.slave)
        attributes[3] = attributes[3] | flag if on else attributes[3] & ~flag
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)

    def close(self) -> None:
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)


@pytest.fixture
def screen() -> Iterator[Pty]:
    opened = Pty()
    yield opened
    opened.close()


def profile(interactive: Literal["auto", "always", "never"] = "auto") -> Profile:
    return Profile(name="prod", issuer="https://example.eu.auth0.com/", client_id="c", interactive=interactive)


def prompt(clock: FakeClock, **changes: Any) -> Prompt:
    whole = Prompt(
        tool="kubectl",
        profile="prod",
        issuer="https://example.eu.auth0.com/",
        target="https://kubernetes.example.com",
        scope=("openid", "profile", "email", "offline_access"),
        device_code=Secret("device-code-that-is-secret"),
        user_code="WDJB-MJHT",
        verification_uri="https://example.eu.auth0.com/activate",
        verification_uri_complete="https://example.eu.auth0.com/activate?user_code=WDJB-MJHT",
        interval=5.0,
        next_poll=clock.now() + 5,
        made_at=clock.now(),
        expires_at=clock.now() + 900,
    )
    return msgspec.structs.replace(whole, **changes)


def credential(clock: FakeClock, **changes: Any) -> Credential:
    whole = Credential(
        profile="prod",
        kind="access",
        token=Secret("access-token-that-is-secret"),
        token_type="Bearer",
        received_at=clock.now(),
        expires_at=clock.now() + 3600,
        fresh_until=clock.now() + 3540,
        scope=(),
        identity=Identity(subject="auth0|1", name="ada@example.com"),
    )
    return msgspec.structs.replace(whole, **changes)


def terminal(screen: Pty | int, clock: FakeClock, environ: Mapping[str, str] = UTF8, **options: Any) -> Terminal:
    fd = screen if isinstance(screen, int) else screen.slave
    return Terminal(environ, clock=clock, stderr_fd=fd, **options)


PROMPT = """\
credential-helper: kubectl needs a sign-in to prod (example.eu.auth0.com)
  for https://kubernetes.example.com: openid profile email offline_access
  open  https://example.eu.auth0.com/activate?user_code=WDJB-MJHT
  and check that it shows  WDJB-MJHT        15 minutes; Ctrl-C stops
  go on only if you started this
"""
PLAIN = UTF8 | {"CREDENTIAL_HELPER_PROMPT": "plain"}


# --- may we ask? ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["kubectl", "git", "credential-helper"])
def test_a_person_at_a_terminal_can_answer(screen: Pty, clock: FakeClock, tool: str) -> None:
    assert terminal(screen, clock).can_answer(profile(), request_by(tool))


def test_nobody_can_answer_where_a_program_draws(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock)
    screen.mode(termios.ICANON, on=False)
    assert not told.can_answer(profile(), request_by("kubectl"))
    screen.mode(termios.ICANON, on=True)
    assert told.can_answer(profile(), request_by("kubectl"))


@pytest.mark.parametrize(
    ("value", "asks"), [("", True), ("0", True), ("false", True), ("False", True), ("true", False)]
)
def test_ci_asks_nobody(screen: Pty, clock: FakeClock, value: str, asks: bool) -> None:
    assert terminal(screen, clock, {"CI": value}).can_answer(profile(), request_by("kubectl")) is asks


def test_the_profile_says_never(screen: Pty, clock: FakeClock) -> None:
    assert not terminal(screen, clock).can_answer(profile("never"), request_by("kubectl"))


@pytest.mark.parametrize("interactive", ["auto", "never"])
def test_docker_does_not_ask(screen: Pty, clock: FakeClock, interactive: Literal["auto", "never"]) -> None:
    assert not terminal(screen, clock).can_answer(profile(interactive), request_by("docker"))


def test_docker_asks_when_the_profile_says_always(screen: Pty, clock: FakeClock) -> None:
    assert terminal(screen, clock).can_answer(profile("always"), request_by("docker"))


def test_always_skips_the_terminal_but_not_ci(screen: Pty, clock: FakeClock) -> None:
    screen.mode(termios.ICANON, on=False)
    assert terminal(screen, clock).can_answer(profile("always"), request_by("kubectl"))
    assert not terminal(screen, clock, {"CI": "1"}).can_answer(profile("always"), request_by("kubectl"))


@pytest.mark.parametrize(
    ("variable", "rule", "environ", "asks"),
    [
        ("never", "always", {}, False),
        ("always", "never", {"CI": "1"}, True),
        ("ALWAYS", "auto", {}, True),
        ("auto", "never", {}, True),
        ("auto", "always", {"CI": "1"}, False),
        ("", "never", {}, False),
    ],
)
def test_the_variable_overrides_the_profile(
    screen: Pty, clock: FakeClock, variable: str, rule: Any, environ: dict[str, str], asks: bool
) -> None:
    environ = environ | {"CREDENTIAL_HELPER_INTERACTIVE": variable}
    assert terminal(screen, clock, environ).can_answer(profile(rule), request_by("kubectl")) is asks


def test_a_variable_that_means_nothing_is_refused(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"CREDENTIAL_HELPER_INTERACTIVE": "yes\x1b[2J"})
    with pytest.raises(ConfigurationError) as caught:
        told.can_answer(profile(), request_by("kubectl"))
    assert caught.value.sentence == ('CREDENTIAL_HELPER_INTERACTIVE is "yes[2j", which is none of auto, always, never')


@pytest.mark.parametrize(("value", "asks"), [("0", False), ("false", False), ("", False), ("1", True), ("true", True)])
def test_git_has_said_no_in_a_variable(screen: Pty, clock: FakeClock, value: str, asks: bool) -> None:
    environ = {"GIT_TERMINAL_PROMPT": value}
    assert terminal(screen, clock, environ).can_answer(profile(), request_by("git")) is asks
    assert terminal(screen, clock, environ).can_answer(profile(), request_by("kubectl"))


@pytest.mark.parametrize(
    ("value", "asks"),
    [("never", False), ("false", False), ("Never\n", False), ("auto", True), ("true", True), (None, True)],
)
def test_git_has_said_no_in_its_configuration(screen: Pty, clock: FakeClock, value: str | None, asks: bool) -> None:
    calls: list[str] = []

    def run(words: Sequence[str]) -> str | None:
        calls.append(" ".join(words[:2]))
        return value

    told = terminal(screen, clock, run=run)
    assert told.can_answer(profile(), request_by("kubectl"))
    assert calls == []
    assert [told.can_answer(profile(), request_by("git")) for _ in range(3)] == [asks] * 3
    assert calls == ["git config"]  # a process that waits for a lock asks every 50 ms


def test_why_nobody_is_asked_is_noted_once(clock: FakeClock, tmp_path: Path) -> None:
    log = tmp_path / "log"
    environ = {"CI": "true", "CREDENTIAL_HELPER_VERBOSE": str(log)}
    with open(os.devnull, "wb") as null:
        told = terminal(null.fileno(), clock, environ)
        for _ in range(3):
            told.can_answer(profile(), request_by("kubectl"))
    assert log.read_text().count("nobody can be asked: CI is set") == 1


# --- which terminal: each of these runs in a session of its own, controlled by a real pseudo-terminal -----------------

SESSION = """
import os, signal, subprocess, sys, time
from tests.helpers.requests import request_by
from tests.terminal.test_terminal import PLAIN, FakeClock, profile, prompt, terminal
clock = FakeClock()
def report(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\\n").encode())
"""


def session(screen: Pty | None, snippet: str, *, stderr: int | None) -> str:
    """Run a snippet as leader of a session whose controlling terminal is screen, if any; stdin is not a terminal."""
    control = f"os.close(os.open({screen.name!r}, os.O_RDWR))\n" if screen else ""
    process = subprocess.run(
        [sys.executable, "-c", "import os\n" + control + SESSION + snippet],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        text=True,
        timeout=30,
        check=True,
    )
    return process.stdout


def test_dev_tty_is_used_when_stderr_is_not_a_terminal(screen: Pty) -> None:
    snippet = """
told = terminal(2, clock, PLAIN)
report(told.can_answer(profile(), request_by("kubectl")), told.show(prompt(clock)) is not None)
"""
    assert session(screen, snippet, stderr=subprocess.PIPE) == "True True\n"
    assert screen.text() == PROMPT


def test_stderr_at_dev_null_asked_for_silence(screen: Pty) -> None:
    snippet = """
told = terminal(2, clock, PLAIN)
report(told.can_answer(profile(), request_by("kubectl")), told.show(prompt(clock)))
"""
    assert session(screen, snippet, stderr=subprocess.DEVNULL) == "False None\n"
    assert screen.text() == ""


def test_without_a_controlling_terminal_nobody_can_answer() -> None:
    snippet = 'report(terminal(2, clock).can_answer(profile(), request_by("kubectl")))'
    assert session(None, snippet, stderr=subprocess.PIPE) == "False\n"


def test_a_closed_stderr_is_silence_and_no_crash(screen: Pty) -> None:
    snippet = """
os.close(2)
told = terminal(2, clock, PLAIN)
report(told.can_answer(profile(), request_by("kubectl")), told.show(prompt(clock)))
told.warn("nobody hears this")
report("always", told.can_answer(profile("always"), request_by("kubectl")), told.show(prompt(clock)))
"""
    assert session(screen, snippet, stderr=subprocess.PIPE) == "False None\nalways True None\n"


def test_a_background_job_asks_nobody_and_writes_nothing(screen: Pty) -> None:
    """The job is put in the background after it was allowed to ask: show() looks again."""
    snippet = """
told = terminal(2, clock, PLAIN)
first = told.can_answer(profile(), request_by("kubectl"))
tty = os.open("/dev/tty", os.O_RDWR)
child = subprocess.Popen(["sleep", "20"], process_group=0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.tcsetpgrp(tty, child.pid)
report(first, told.can_answer(profile(), request_by("kubectl")), told.show(prompt(clock)))
os.tcsetpgrp(tty, os.getpgrp())
report(told.can_answer(profile(), request_by("kubectl")), told.show(prompt(clock)) is not None)
child.kill()
child.wait()
"""
    assert session(screen, snippet, stderr=screen.slave) == "True False None\nTrue True\n"
    assert screen.text() == PROMPT


def test_a_background_job_that_may_not_write_is_not_stopped_by_a_warning(screen: Pty) -> None:
    """`stty tostop` sends SIGTTOU to a background job that writes, which would stop it for good."""
    screen.mode(termios.TOSTOP, on=True)
    snippet = """
tty = os.open("/dev/tty", os.O_RDWR)
leader = os.getpgrp()
script = '''
from tests.terminal.test_terminal import FakeClock, terminal
terminal(2, FakeClock()).warn("from the background")
'''
child = subprocess.Popen([sys.executable, "-c", script], process_group=0)
for _ in range(200):
    pid, status = os.waitpid(child.pid, os.WNOHANG | os.WUNTRACED)
    if pid:
        break
    time.sleep(0.05)
report(os.WIFSTOPPED(status), os.WIFEXITED(status) and os.WEXITSTATUS(status))
child.returncode = 0
if os.WIFSTOPPED(status):
    os.kill(child.pid, signal.SIGKILL)
"""
    assert session(screen, snippet, stderr=screen.slave) == "False 0\n"
    assert screen.text() == "credential-helper: warning: from the background\n"


def test_dev_tty_and_stderr_of_one_terminal_share_one_name_and_one_lock(screen: Pty) -> None:
    snippet = """
one, other = terminal(2, clock, PLAIN), terminal(os.open(".", os.O_RDONLY), clock, PLAIN)
key = one.show(prompt(clock))
report(other.show(prompt(clock, user_code="OTHER")))
report(other.show(prompt(clock, shown_on=(key,))) == key)
one.finish()
report(other.show(prompt(clock, user_code="OTHER")) == key)
"""
    assert session(screen, snippet, stderr=screen.slave) == "None\nTrue\nTrue\n"


# --- the prompt -------------------------------------------------------------------------------------------------------


def test_the_prompt_says_who_asks_for_what_where_with_which_code_and_for_how_long(
    screen: Pty, clock: FakeClock
) -> None:
    assert terminal(screen, clock, PLAIN).show(prompt(clock))
    assert screen.text() == PROMPT


def test_a_terminal_that_draws_when_the_prompt_is_due_is_left_alone(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN)
    assert told.can_answer(profile(), request_by("kubectl"))
    screen.mode(termios.ICANON, on=False)
    assert told.show(prompt(clock)) is None
    assert screen.text() == ""
    screen.mode(termios.ICANON, on=True)
    other = terminal(screen, clock, PLAIN)
    assert other.show(prompt(clock)) is not None  # what could not be shown does not keep others away
    other.finish()
    assert told.show(prompt(clock)) is not None


def test_git_names_its_host_and_a_login_names_itself(clock: FakeClock) -> None:
    asked = prompt(clock, tool="git", target="https://git.example.com", scope=("openid",))
    assert prompt_lines(asked, now=clock.now())[:2] == [
        "credential-helper: git needs a sign-in to prod (example.eu.auth0.com)",
        "  for https://git.example.com: openid",
    ]
    asked = prompt(clock, tool="credential-helper", target=None)
    assert prompt_lines(asked, now=clock.now())[:2] == [
        "credential-helper: signing in to prod (example.eu.auth0.com)",
        "  for openid profile email offline_access",
    ]


def test_without_a_complete_uri_the_code_is_to_be_entered(clock: FakeClock) -> None:
    lines = prompt_lines(prompt(clock, verification_uri_complete=None, target=None, scope=()), now=clock.now())
    assert lines[1:] == [
        "  open  https://example.eu.auth0.com/activate",
        "  and enter  WDJB-MJHT        15 minutes; Ctrl-C stops",
        "  go on only if you started this",
    ]


def test_a_verification_host_that_is_not_the_issuers_is_named_apart(clock: FakeClock) -> None:
    uri = "https://example.eu.auth0.com@evil.example/activate"
    lines = prompt_lines(prompt(clock, verification_uri_complete=None, verification_uri=uri), now=clock.now())
    assert "  that page is on evil.example, not on example.eu.auth0.com" in lines


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.COM:443/a?b#c", "example.com"),
        ("https://example.com:8443", "example.com:8443"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("https://a@b@evil.example?x", "evil.example"),
        ("https://evil.example\\@example.com/", "evil.example"),
        ("https://[::1]:443/x", "[::1]"),
        ("nonsense", ""),
    ],
)
def test_a_host_is_read_as_a_browser_reads_it(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (899.6, "15 minutes"),
        (1800, "30 minutes"),
        (104, "1 minute"),
        (59.9, "1 minute"),
        (44, "44 seconds"),
        (-3, "0 seconds"),
    ],
)
def test_the_time_left(clock: FakeClock, seconds: float, words: str) -> None:
    lines = prompt_lines(prompt(clock, expires_at=clock.now() + seconds), now=clock.now())
    assert lines[-2].endswith(f"        {words}; Ctrl-C stops")


def test_no_escape_of_the_providers_reaches_the_terminal(screen: Pty, clock: FakeClock) -> None:
    nasty = "\x1b]0;owned\x07\u202e\u200bx\nline"
    asked = prompt(
        clock,
        tool=nasty,
        profile=nasty,
        target=nasty,
        scope=(nasty,),
        user_code=nasty + "C" * 100,
        verification_uri_complete="https://example.eu.auth0.com/" + nasty,
    )
    told = terminal(screen, clock, PLAIN)
    assert told.show(asked)
    told.signed_in(
        credential(clock, profile=nasty, identity=Identity(subject=nasty)),
        request=request_by("kubectl"),
        took=1,
        refresh_token=True,
        advice="do this",
    )
    told.say(nasty)
    told.warn(nasty, hint=nasty)
    told.error(AuthorizationError(nasty, hint=nasty))
    text = screen.text()
    assert not [character for character in text if character != "\n" and not character.isprintable()]
    assert text.count("\n") == 5 + 1 + 1 + 2 + 2
    assert "C" * 65 not in text


def test_no_secret_is_shown(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN | {"CREDENTIAL_HELPER_VERBOSE": "1"})
    told.can_answer(profile(), request_by("kubectl"))
    told.show(prompt(clock))
    told.signed_in(credential(clock), request=request_by("kubectl"), took=1, refresh_token=True, advice="do this")
    assert "secret" not in screen.text()


def test_names_are_kept_in_utf8_and_replaced_elsewhere(clock: FakeClock) -> None:
    for environ, shown in ((UTF8, "José…"), ({"LC_ALL": "C", "LANG": "C.UTF-8"}, "Jos?...")):
        opened = Pty()
        terminal(opened, clock, environ).say("José…")
        assert opened.text() == shown + "\n"
        opened.close()


@pytest.mark.parametrize(
    ("environ", "utf8"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "en_US.utf8"}, True),
        ({"LC_CTYPE": "UTF-8"}, True),  # macOS
        ({"LC_ALL": "C", "LANG": "C.UTF-8"}, False),
        ({"LC_ALL": "", "LANG": "ca_ES.UTF-8@valencia"}, True),
        ({"LANG": "de_DE@euro"}, False),
        ({}, False),
    ],
)
def test_the_locale_is_utf8(environ: dict[str, str], utf8: bool) -> None:
    assert is_utf8(environ) is utf8


# --- one prompt a terminal --------------------------------------------------------------------------------------------


def test_the_same_code_is_printed_once(screen: Pty, clock: FakeClock) -> None:
    first, second = terminal(screen, clock, PLAIN), terminal(screen, clock, PLAIN)
    key = first.show(prompt(clock))
    assert key is not None
    screen.text()
    assert first.show(prompt(clock)) == key
    assert second.show(prompt(clock, shown_on=("elsewhere", key))) == key
    assert screen.text() == ""


def test_another_code_waits_until_the_first_prompt_is_done(screen: Pty, clock: FakeClock) -> None:
    first, second = terminal(screen, clock, PLAIN), terminal(screen, clock, PLAIN)
    assert first.show(prompt(clock))
    screen.text()
    other = prompt(clock, profile="staging", user_code="OTHER")
    assert second.show(other) is None
    assert second.show(other) is None
    assert screen.text() == ""
    first.signed_in(credential(clock), request=request_by("kubectl"), took=1, refresh_token=True, advice="do this")
    screen.text()
    assert second.show(other) is not None
    assert "OTHER" in screen.text()


def test_a_killed_process_frees_the_terminal(screen: Pty, clock: FakeClock) -> None:
    script = """
from tests.terminal.test_terminal import FakeClock, prompt, terminal
clock = FakeClock()
held = terminal(2, clock)
held.show(prompt(clock))
print(1)
input()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=screen.slave,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdout.readline()
    other = terminal(screen, clock, PLAIN)
    assert other.show(prompt(clock, user_code="OTHER")) is None
    holder.kill()
    holder.communicate()
    assert other.show(prompt(clock, user_code="OTHER")) is not None


def test_two_terminals_have_two_names_and_two_locks(screen: Pty, clock: FakeClock) -> None:
    other = Pty()
    one, two = terminal(screen, clock, PLAIN).show(prompt(clock)), terminal(other, clock, PLAIN).show(prompt(clock))
    assert None not in (one, two)
    assert one != two
    other.close()


def test_the_next_terminal_of_the_same_number_has_another_name(clock: FakeClock) -> None:
    first = Pty()
    told = terminal(first, clock, PLAIN)
    one = told.show(prompt(clock))
    told.finish()
    first.close()
    time.sleep(0.02)  # ctime moves with the kernel's tick, 10 ms at most
    second = Pty()
    assert second.name == first.name
    two = terminal(second, clock, PLAIN).show(prompt(clock, shown_on=(str(one),)))
    assert one != two
    assert second.text() == PROMPT
    second.close()


def test_whoever_takes_a_prompt_over_takes_the_terminal_too(screen: Pty, clock: FakeClock) -> None:
    first = terminal(screen, clock, PLAIN)
    key = first.show(prompt(clock))
    first.finish()  # as if it had been killed
    second, third = terminal(screen, clock, PLAIN), terminal(screen, clock, PLAIN)
    assert second.show(prompt(clock, shown_on=(str(key),))) == key
    assert third.show(prompt(clock, user_code="OTHER")) is None


def test_a_new_code_is_shown_after_the_old_one(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN)
    assert told.show(prompt(clock)) == told.show(prompt(clock, user_code="SECOND"))
    assert screen.text().count("go on only if you started this") == 2


# --- always: stderr, whatever it is -----------------------------------------------------------------------------------


def test_always_writes_to_stderr(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "stderr"
    with open(path, "ab") as file:
        one, two = terminal(file.fileno(), clock), terminal(file.fileno(), clock)
        assert one.can_answer(profile("always"), request_by("docker"))
        assert two.can_answer(profile("always"), request_by("docker"))
        key = one.show(prompt(clock))
        assert key is not None
        assert two.show(prompt(clock, shown_on=(key,))) == key
        assert path.read_text() == PROMPT


def test_auto_after_always_looks_for_a_terminal_again(screen: Pty) -> None:
    snippet = """
told = terminal(2, clock, PLAIN)
report(told.can_answer(profile("always"), request_by("kubectl")), told.show(prompt(clock)) is not None)
report(told.can_answer(profile(), request_by("kubectl")), told.show(prompt(clock)) is not None)
"""
    assert session(screen, snippet, stderr=subprocess.PIPE) == "True True\nTrue True\n"
    assert screen.text() == PROMPT


# --- QR code ----------------------------------------------------------------------------------------------------------


def has_qr(opened: Pty, clock: FakeClock, environ: Mapping[str, str] = UTF8, **changes: Any) -> bool:
    told = terminal(opened, clock, environ)
    assert told.show(prompt(clock, **changes))
    text = opened.text()
    assert text.splitlines()[0].startswith("credential-helper: kubectl needs")
    assert text.endswith("  go on only if you started this\n")
    told.finish()
    return "█" in text


def test_a_qr_code_comes_where_it_can_be_read(clock: FakeClock) -> None:
    opened = Pty(columns=100, lines=50)
    assert has_qr(opened, clock)
    assert not has_qr(opened, clock, {"LANG": "C"})
    assert not has_qr(opened, clock, PLAIN)
    assert not has_qr(opened, clock, UTF8 | {"NO_COLOR": "1"})
    assert not has_qr(opened, clock, UTF8 | {"TERM": "dumb"})
    assert has_qr(opened, clock, UTF8 | {"NO_COLOR": "", "TERM": "xterm"})
    assert not has_qr(opened, clock, verification_uri_complete=None)
    assert not has_qr(opened, clock, verification_uri_complete="http://127.0.0.1:3000/device?user_code=X")
    assert not has_qr(opened, clock, verification_uri_complete="http://[::1]:3000/device?user_code=X")
    assert not has_qr(opened, clock, verification_uri_complete="https://a.example/" + "x" * 300)
    opened.close()


def test_a_qr_code_is_left_out_where_it_would_scroll_or_wrap(clock: FakeClock) -> None:
    drawing = qr_lines("https://example.eu.auth0.com/activate?user_code=WDJB-MJHT")
    width, height = len(drawing[0]), len(drawing)
    assert [len(line) > 70 for line in PROMPT.splitlines()] == [True, True, False, False, False]
    for columns, lines, drawn in (
        (90, height + 5 + 1, True),
        (90, height + 5, False),
        (width + 2, 80, True),
        (width + 1, 80, False),
        (70, height + 5 + 2 + 1, True),  # the first two lines wrap
        (70, height + 5 + 2, False),
        (0, 0, False),
    ):
        opened = Pty(columns=columns, lines=lines)
        assert has_qr(opened, clock) is drawn, (columns, lines)
        opened.close()


def test_a_qr_code_has_its_own_colours_and_ends_them(clock: FakeClock) -> None:
    opened = Pty(columns=100, lines=50)
    terminal(opened, clock).show(prompt(clock))
    drawn = [line for line in opened.text().splitlines() if "█" in line]
    assert len(drawn) > 10
    assert all(line.startswith("  \x1b[97;40m") and line.endswith("\x1b[0m") for line in drawn)
    opened.close()


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_login_redraws_the_time_left_and_erases_it_at_the_end(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"LANG": "C"}, tool_is_login=True)
    asked = prompt(clock, tool="credential-helper")
    told.waiting(asked)
    assert screen.text() == ""
    told.show(asked)
    screen.text()
    told.waiting(asked)
    clock.advance(0.5)
    told.waiting(asked)
    told.waiting(asked)
    clock.advance(60)
    told.waiting(asked)
    assert screen.text() == "\r\x1b[K  15:00 left\r\x1b[K  14:59 left\r\x1b[K  13:59 left"
    told.warn("the keyring is locked")
    assert screen.text() == "\r\x1b[Kcredential-helper: warning: the keyring is locked\n"
    told.waiting(asked)
    told.signed_in(
        credential(clock), request=request_by("credential-helper"), took=1, refresh_token=True, advice="do this"
    )
    assert screen.text().startswith("\r\x1b[K  13:59 left\r\x1b[Ksigned in to prod as ada@example.com")


def test_finish_erases_the_time_left(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"LANG": "C"}, tool_is_login=True)
    told.show(prompt(clock))
    told.waiting(prompt(clock))
    screen.text()
    told.finish()
    told.finish()
    assert screen.text() == "\r\x1b[K"


@pytest.mark.parametrize(("environ", "login"), [(UTF8, False), (PLAIN, True), ({"TERM": "dumb"}, True)])
def test_helpers_and_plain_terminals_only_get_lines(
    screen: Pty, clock: FakeClock, environ: dict[str, str], login: bool
) -> None:
    told = terminal(screen, clock, environ, tool_is_login=login)
    told.show(prompt(clock))
    screen.text()
    told.waiting(prompt(clock))
    assert screen.text() == ""


def test_nothing_is_redrawn_over_another_program(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"LANG": "C"}, tool_is_login=True)
    told.show(prompt(clock))
    screen.text()
    screen.mode(termios.ICANON, on=False)
    told.waiting(prompt(clock))
    assert screen.text() == ""


# --- the closing line -------------------------------------------------------------------------------------------------


def local(at: float, form: str) -> str:
    return time.strftime(form, time.localtime(at))


def close(clock: FakeClock, *, refresh_token: bool = True, advice: str | None = "do this", **changes: Any) -> str:
    return closing_line(credential(clock, **changes), now=clock.now(), refresh_token=refresh_token, advice=advice)


def noon() -> FakeClock:
    return FakeClock(time.mktime((2030, 3, 17, 12, 0, 0, 0, 0, -1)))


def test_the_closing_line_says_who_until_when_and_what_then() -> None:
    clock = noon()
    assert close(clock) == "signed in to prod as ada@example.com until 13:00, then again by itself"
    assert close(clock, identity=None) == "signed in to prod until 13:00, then again by itself"
    assert close(clock, identity=Identity(subject="auth0|1")) == (
        "signed in to prod as auth0|1 until 13:00, then again by itself"
    )


def test_the_date_is_told_when_it_is_another_day() -> None:
    clock = noon()
    assert "until 2030-03-18 12:00," in close(clock, expires_at=clock.now() + 86400)


@pytest.mark.parametrize("expires_at", [None, 1e300, float("inf")])
def test_an_unknown_expiry_is_not_invented(expires_at: float | None) -> None:
    assert close(noon(), expires_at=expires_at) == (
        "signed in to prod as ada@example.com for as long as the provider lets it, then again by itself"
    )


def test_no_refresh_token_although_one_was_wanted_names_the_switches() -> None:
    clock = noon()
    assert close(clock, refresh_token=False) == (
        "signed in to prod as ada@example.com until 13:00, then a new sign-in (no refresh token came: do this)"
    )
    assert close(clock, refresh_token=False, advice=None) == (
        "signed in to prod as ada@example.com until 13:00, then a new sign-in"
    )


@pytest.mark.parametrize(
    ("tool", "took", "told"), [("kubectl", 30.5, True), ("kubectl", 29, False), ("git", 90, False)]
)
def test_kubectl_may_have_complained_after_30_seconds(
    screen: Pty, clock: FakeClock, tool: str, took: float, told: bool
) -> None:
    said = terminal(screen, clock, PLAIN)
    said.show(prompt(clock))
    said.signed_in(credential(clock), request=request_by(tool), took=took, refresh_token=True, advice="do this")
    ending = ' by itself (kubectl may now print "context deadline exceeded"; the command goes on)\n'
    assert screen.text().endswith(ending) is told


def test_a_helper_that_showed_nothing_says_nothing_and_login_always_closes(screen: Pty, clock: FakeClock) -> None:
    for login, count in ((False, 0), (True, 1)):
        said = terminal(screen, clock, UTF8, tool_is_login=login)
        said.signed_in(credential(clock), request=request_by("kubectl"), took=1, refresh_token=True, advice=None)
        assert screen.text().count("signed in") == count


# --- errors and warnings ----------------------------------------------------------------------------------------------


def test_an_error_names_the_profile_and_the_next_step(screen: Pty, clock: FakeClock) -> None:
    error: CredentialHelperError = AuthorizationError("the sign-in was declined", hint="credential-helper login prod")
    error.profile = "prod"
    terminal(screen, clock).error(error)
    terminal(screen, clock).error(CredentialHelperError("no profile, no hint"))
    assert screen.text() == (
        "credential-helper: prod: the sign-in was declined\nhint: credential-helper login prod\n"
        "credential-helper: no profile, no hint\n"
    )


def test_under_ci_the_hint_is_a_machines(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"CI": "true"})
    told.error(InteractionRequired("a person has to sign in", hint="credential-helper login prod"))
    told.error(AuthorizationError("declined", hint="credential-helper login prod"))
    assert screen.text() == (
        'credential-helper: a person has to sign in\nhint: use a profile with flow = "client-credentials"\n'
        "credential-helper: declined\nhint: credential-helper login prod\n"
    )


def test_what_was_said_a_moment_ago_is_not_repeated(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock)
    error = AuthorizationError("declined")
    error.silent = True
    told.error(error)
    told.warn("the state directory is full", hint="set CREDENTIAL_HELPER_STATE_DIR")
    told.warn("the state directory is full", hint="set CREDENTIAL_HELPER_STATE_DIR")
    assert screen.text() == (
        "credential-helper: warning: the state directory is full\nhint: set CREDENTIAL_HELPER_STATE_DIR\n"
    )


def test_a_long_hint_is_a_whole_command(screen: Pty, clock: FakeClock) -> None:
    command = "credential-helper login --audience " + "x" * 1500
    terminal(screen, clock).error(InteractionRequired("a person has to sign in", hint=command))
    assert f"hint: {command}\n" in screen.text()


@pytest.mark.parametrize(("value", "ci"), [("", False), (" 0 ", False), ("FALSE", False), ("1", True), ("yes", True)])
def test_ci_is_anything_but_no(value: str, ci: bool) -> None:
    assert in_ci({"CI": value}) is ci
    assert not in_ci({})


# --- writing never blocks nor raises ----------------------------------------------------------------------------------


def test_a_terminal_that_is_hung_up_is_no_error(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN)
    assert told.can_answer(profile(), request_by("kubectl"))
    os.close(screen.master)
    assert told.show(prompt(clock)) is None
    told.error(AuthorizationError("nobody hears this"))
    told.waiting(prompt(clock))
    told.finish()


def test_a_pipe_without_a_reader_is_no_error(clock: FakeClock) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    terminal(writer, clock).error(AuthorizationError("nobody hears this"))
    os.close(writer)


def test_a_stopped_terminal_costs_a_moment_once(screen: Pty, clock: FakeClock) -> None:
    termios.tcflow(screen.slave, termios.TCOOFF)  # Ctrl-S
    told = terminal(screen, clock, PLAIN, patience=0.1)
    began = time.monotonic()
    assert told.show(prompt(clock)) is None
    told.warn("not heard either")
    assert 0.05 < time.monotonic() - began < 1
    termios.tcflow(screen.slave, termios.TCOON)


def test_a_reader_that_never_reads_costs_a_moment_once() -> None:
    reader, writer = os.pipe()
    outlet = Outlet(writer, encoding="utf-8", patience=0.1)
    began = time.monotonic()
    assert not outlet.write("x" * 200_000)
    assert outlet.stuck
    assert 0.05 < time.monotonic() - began < 1
    began = time.monotonic()
    assert not outlet.write("more")
    assert time.monotonic() - began < 0.05
    os.close(reader)  # EPIPE ends the thread


def test_a_descriptor_that_somebody_made_non_blocking_gets_everything() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    outlet = Outlet(writer, encoding="utf-8", patience=0.05)
    text = "x" * 200_000
    assert not outlet.write(text)  # nobody has read yet, the thread goes on
    data = b""
    while len(data) < len(text) and select.select([reader], [], [], 2)[0]:
        data += os.read(reader, 65536)
    assert data.decode() == text
    os.close(reader)
    os.close(writer)


# --- verbose ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "flag", "shown"),
    [({}, False, False), ({}, True, True), ({"CREDENTIAL_HELPER_VERBOSE": "1"}, False, True)]
    + [({"CREDENTIAL_HELPER_VERBOSE": value}, False, False) for value in ("", "0", "false")],
)
def test_verbose_goes_to_stderr(
    screen: Pty, clock: FakeClock, environ: dict[str, str], flag: bool, shown: bool
) -> None:
    terminal(screen, clock, environ, verbose=flag).note("session read")
    assert screen.text() == ("credential-helper: session read\n" if shown else "")


def test_verbose_into_a_file_that_nobody_else_can_read(screen: Pty, clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    path.chmod(0o644)
    told = terminal(screen, clock, {"CREDENTIAL_HELPER_VERBOSE": str(path)})
    told.note("session\nread\x1b[2J")
    told.note("refreshed")
    pid = os.getpid()
    assert path.read_text() == (
        f"before\n2030-03-17T17:46:40Z credential-helper[{pid}]: session read[2J\n"
        f"2030-03-17T17:46:40Z credential-helper[{pid}]: refreshed\n"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert screen.text() == ""


def test_a_new_verbose_file_is_private(screen: Pty, clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "log"
    terminal(screen, clock, {"CREDENTIAL_HELPER_VERBOSE": str(path)}).note("x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def make_symlink(path: Path) -> None:
    path.symlink_to(path.parent / "target")


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_missing(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.parametrize("make", [make_symlink, make_fifo, make_folder, make_missing])
def test_a_verbose_file_that_is_none_is_told_once_and_not_followed(
    screen: Pty, clock: FakeClock, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "log"
    make(path)
    told = terminal(screen, clock, {"CREDENTIAL_HELPER_VERBOSE": str(path)})
    told.note("one")
    told.note("two")
    text = screen.text()
    assert text.startswith(f"credential-helper: warning: CREDENTIAL_HELPER_VERBOSE: {path}: ")
    assert text.count("\n") == 1
    assert not (folder / "target").exists()


# --- the browser ------------------------------------------------------------------------------------------------------


class Browser:
    """A browser that notes down how it was started."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "started"
        self.path = folder / "browser"
        self.path.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/new\nenv >> {folder}/new\n'
            f"echo noise; echo noise >&2\nmv {folder}/new {self.log}\nsleep 0.2\n"
        )
        self.path.chmod(0o700)

    def find(self, program: str, _environ: Mapping[str, str]) -> str | None:
        return str(self.path) if program in ("browser", "xdg-open") else None

    def arguments(self) -> list[str]:
        """Return its arguments and then its environment, one a line; waits for it to start."""
        deadline = time.monotonic() + 5
        while not self.log.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.log.read_text().splitlines()


def no_find(program: str, _environ: Mapping[str, str]) -> str | None:
    raise AssertionError(f"{NO_FIND}: {program}")


URI = "https://example.eu.auth0.com/activate?user_code=WDJB-MJHT"


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        ({"BROWSER": "browser"}, [URI]),
        ({"BROWSER": "browser", "SSH_CONNECTION": "1 2 3 4"}, [URI]),
        ({"BROWSER": "missing:browser --new '%s#a b'"}, ["--new", f"{URI}#a b"]),
        ({"BROWSER": "'unclosed:browser"}, [URI]),
        ({"DISPLAY": ":0"}, [URI]),
        ({"WAYLAND_DISPLAY": "wayland-0"}, [URI]),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"}, None),
        ({"DISPLAY": "", "BROWSER": ""}, None),
        ({"BROWSER": "missing"}, None),
    ],
)
def test_login_opens_a_browser_where_one_can_be_seen(
    screen: Pty, clock: FakeClock, tmp_path: Path, environ: dict[str, str], arguments: list[str] | None
) -> None:
    browser = Browser(tmp_path)
    told = terminal(
        screen, clock, PLAIN | {"PATH": os.environ["PATH"]} | environ, tool_is_login=True, children_find=browser.find
    )
    assert told.show(prompt(clock))
    text = screen.text()
    assert ("  (a browser has been asked to show it)\n" in text) is (arguments is not None)
    assert URI in text
    assert "WDJB-MJHT" in text
    if arguments is None:
        assert not browser.log.exists()
    else:
        assert browser.arguments()[: len(arguments)] == arguments
        assert screen.text() == ""  # its output is discarded


def test_a_browser_is_opened_once_a_sign_in(screen: Pty, clock: FakeClock, tmp_path: Path) -> None:
    browser = Browser(tmp_path)
    environ = PLAIN | {"BROWSER": "browser", "PATH": os.environ["PATH"]}
    told = terminal(screen, clock, environ, tool_is_login=True, children_find=browser.find)
    told.show(prompt(clock))
    browser.arguments()
    browser.log.unlink()
    told.show(prompt(clock, user_code="SECOND"))
    assert screen.text().count("a browser has been asked") == 1
    time.sleep(0.1)
    assert not browser.log.exists()


@pytest.mark.parametrize("options", [{"tool_is_login": False}, {"tool_is_login": True, "browser": False}])
def test_helpers_and_no_browser_open_none(screen: Pty, clock: FakeClock, options: dict[str, bool]) -> None:
    environ = PLAIN | {"BROWSER": "browser", "DISPLAY": ":0"}
    assert terminal(screen, clock, environ, children_find=no_find, **options).show(prompt(clock))


def test_a_browser_sees_none_of_our_secrets(screen: Pty, clock: FakeClock, tmp_path: Path) -> None:
    browser = Browser(tmp_path)
    environ = PLAIN | {"BROWSER": "browser", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    environ |= {"CREDENTIAL_HELPER_CLIENT_SECRET": "hidden-1", "MY_SECRET": "hidden-2"}
    told = terminal(
        screen, clock, environ, tool_is_login=True, children_find=browser.find, hidden=frozenset({"MY_SECRET"})
    )
    told.show(prompt(clock))
    started = browser.arguments()
    assert "LANG=C.UTF-8" in started
    assert not [line for line in started if "hidden" in line or line.startswith("CREDENTIAL_HELPER")]


def test_a_browser_that_cannot_be_started_leaves_the_prompt_and_the_qr_code(clock: FakeClock, tmp_path: Path) -> None:
    opened = Pty(columns=100, lines=50)
    broken = tmp_path / "broken"
    broken.write_text("not a program")
    environ = UTF8 | {"BROWSER": "browser"}
    told = terminal(opened, clock, environ, tool_is_login=True, children_find=lambda _p, _e: str(broken))
    assert told.show(prompt(clock))
    text = opened.text()
    assert "█" in text
    assert "browser" not in text
    opened.close()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "--version", ""])
def test_only_web_addresses_are_handed_to_a_browser(screen: Pty, clock: FakeClock, url: str) -> None:
    told = terminal(screen, clock, {"BROWSER": "browser"}, tool_is_login=True, children_find=no_find)
    assert not told.open_browser(url)


# --- the browser flow -------------------------------------------------------------------------------------------------

AUTHORIZE = "https://example.eu.auth0.com/authorize?response_type=code&client_id=Xyz&state=abc"


def in_a_browser(clock: FakeClock, **changes: Any) -> Prompt:
    gone = {"device_code": Secret(""), "user_code": "", "verification_uri_complete": None}
    return prompt(
        clock, **{"flow": "browser", "verification_uri": AUTHORIZE, "expires_at": clock.now() + 300, **gone, **changes}
    )


IN_A_BROWSER = f"""\
credential-helper: kubectl needs a sign-in to prod (example.eu.auth0.com)
  for https://kubernetes.example.com: openid profile email offline_access
  in a browser, because BROWSER is set
  open  {AUTHORIZE}
  (a browser has been asked to show it)
  within 5 minutes; Ctrl-C stops
  go on only if you started this
"""


def test_the_browser_flow_opens_the_browser_of_any_tool(screen: Pty, clock: FakeClock, tmp_path: Path) -> None:
    browser = Browser(tmp_path)
    environ = PLAIN | {"BROWSER": "browser", "PATH": os.environ["PATH"]}
    told = terminal(screen, clock, environ, children_find=browser.find)
    assert told.show(in_a_browser(clock, because="BROWSER is set"))
    assert screen.text() == IN_A_BROWSER
    assert browser.arguments()[0] == AUTHORIZE


def test_who_waits_for_another_process_opens_no_browser(screen: Pty, clock: FakeClock) -> None:
    for login in (True, False):
        told = terminal(screen, clock, PLAIN | {"BROWSER": "browser"}, tool_is_login=login, children_find=no_find)
        assert told.show(in_a_browser(clock, because="BROWSER is set"), ours=False)
        assert screen.text() == IN_A_BROWSER.replace("  (a browser has been asked to show it)\n", "")
        assert told.show(prompt(clock, user_code="SECOND"), ours=False)
        assert "a browser" not in screen.text()
        told.finish()


def test_no_code_is_drawn_for_a_browser(clock: FakeClock) -> None:
    opened = Pty(columns=200, lines=90)
    assert terminal(opened, clock, UTF8).show(in_a_browser(clock))
    assert "█" not in opened.text()
    opened.close()


def test_one_address_is_shown_once(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN)
    assert told.show(in_a_browser(clock))
    assert screen.text()
    assert told.show(in_a_browser(clock))
    assert not screen.text()


def test_the_reason_for_a_code_is_shown(clock: FakeClock) -> None:
    lines = prompt_lines(prompt(clock, because="SSH_CONNECTION is set\x1b\n"), now=clock.now())
    assert lines[2] == "  with a code, because SSH_CONNECTION is set"


@pytest.mark.parametrize(
    ("environ", "options", "reason"),
    [
        ({}, {}, "there is no display"),
        ({"DISPLAY": ":0"}, {}, "+there is a display"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, {}, "+there is a display"),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"}, {}, "SSH_CONNECTION is set"),
        ({"SSH_CONNECTION": "1 2 3 4"}, {}, "SSH_CONNECTION is set"),
        ({"SSH_CONNECTION": "1 2 3 4", "BROWSER": "browser"}, {}, "+BROWSER is set"),
        ({"BROWSER": "browser"}, {}, "+BROWSER is set"),
        ({"BROWSER": "missing"}, {}, "no program that BROWSER names was found"),
        ({"BROWSER": "browser", "DISPLAY": ":0"}, {"browser": False}, "--no-browser was given"),
    ],
)
def test_whether_a_browser_can_be_opened_and_why(
    screen: Pty, clock: FakeClock, environ: dict[str, str], options: dict[str, bool], reason: str
) -> None:
    def find(program: str, _environ: Mapping[str, str]) -> str | None:
        return f"/usr/bin/{program}" if program in ("browser", "xdg-open") else None

    told = terminal(screen, clock, environ, children_find=find, **options)
    assert told.browser() == (reason.startswith("+"), reason.removeprefix("+"))


def test_a_display_without_a_program_that_opens_a_browser(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"DISPLAY": ":0"}, children_find=lambda _p, _e: None)
    assert told.browser() == (False, "no program that opens one was found")


# --- a password -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def typed(screen: Pty, line: str) -> Iterator[None]:
    """Type a line when a label asks for it; what is typed before does not count."""

    def wait_and_type() -> None:
        shown = ""
        while not re.search("password.*: ", shown):
            shown += os.read(screen.master, 4096).decode()
        os.write(screen.master, f"{line}\r".encode())

    thread = threading.Thread(target=wait_and_type, daemon=True)
    thread.start()
    yield
    thread.join(20)


def with_a_password(clock: FakeClock) -> Prompt:
    return in_a_browser(clock, flow="password", verification_uri="")


def test_a_password_is_asked_for_below_what_it_is_for(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN)
    assert told.show(with_a_password(clock))
    assert screen.text() == (
        "credential-helper: kubectl needs a sign-in to prod (example.eu.auth0.com)\n"
        "  for https://kubernetes.example.com: openid profile email offline_access\n"
    )
    with typed(screen, "correct horse"):
        assert told.type("password for ada:", hidden=True, go_on=lambda: None).reveal() == "correct horse"
    assert "correct" not in screen.text()


def test_who_waits_for_a_password_that_is_typed_elsewhere_says_so(screen: Pty, clock: FakeClock) -> None:
    assert terminal(screen, clock, PLAIN).show(with_a_password(clock), ours=False)
    assert screen.text() == (
        "credential-helper: waiting for a sign-in to prod (example.eu.auth0.com), "
        "whose password is asked for in another terminal\n"
    )


TYPED = """
told = terminal(2, clock, PLAIN)
told.can_answer(profile("always"), request_by("kubectl"))
try:
    report(repr(told.type("password:", hidden=True, go_on=lambda: None).reveal()))
except Exception as error:
    report(error)
"""


def test_a_password_is_typed_on_dev_tty_where_stderr_is_not_a_terminal(screen: Pty) -> None:
    with typed(screen, "correct horse"):
        assert session(screen, TYPED, stderr=subprocess.PIPE) == "'correct horse'\n"


def test_a_password_needs_a_terminal_though_the_profile_says_always() -> None:
    assert session(None, TYPED, stderr=subprocess.PIPE) == "there is no terminal to type on\n"


def test_no_password_is_typed_where_a_program_draws(screen: Pty) -> None:
    screen.mode(termios.ICANON, on=False)
    assert session(screen, TYPED, stderr=subprocess.PIPE) == "nobody can type on this terminal now\n"


def test_a_password_waits_until_another_prompt_has_gone(screen: Pty, clock: FakeClock) -> None:
    """What is typed meanwhile is for that one."""
    first, second = terminal(screen, clock, PLAIN), terminal(screen, clock, PLAIN)
    assert first.show(prompt(clock))
    screen.text()
    looks: list[str] = []

    def go_on() -> None:
        looks.append(screen.text())
        if len(looks) == 3:
            first.finish()
        elif "password: " in looks[-1]:
            os.write(screen.master, b"\x04")  # Ctrl-D

    with pytest.raises(InteractionRequired, match="nothing was typed"):
        second.type("password:", hidden=True, go_on=go_on)
    assert looks[:3] == ["", "", ""]
    assert "password: " in "".join(looks[3:])


def test_who_waits_over_ssh_is_not_sent_to_an_address_of_this_machine(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN | {"SSH_CONNECTION": "1 2 3 4"})
    assert told.show(in_a_browser(clock), ours=False)
    assert screen.text() == (
        "credential-helper: waiting for a sign-in to prod (example.eu.auth0.com), "
        "which goes on in a browser on this machine\n"
    )
