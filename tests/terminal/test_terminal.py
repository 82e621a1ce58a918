"""What a person is shown, on real pseudo-terminals, with a clock that does not wait."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from credential_helper.errors import AuthorizationError, CredentialHelperError, InteractionRequired
from credential_helper.model import Identity, Prompt
from credential_helper.terminal.words import qr_lines
from tests.helpers.clock import FakeClock
from tests.helpers.programs import DEADLINE
from tests.helpers.requests import request_by
from tests.helpers.terminal import (
    PLAIN,
    PROMPT,
    UTF8,
    Pty,
    credential,
    in_a_browser,
    profile,
    prompt,
    session,
    terminal,
)

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


def test_the_same_code_is_printed_once(screen: Pty, clock: FakeClock) -> None:
    first, second = terminal(screen, clock, PLAIN), terminal(screen, clock, PLAIN)
    key = first.show(prompt(clock))
    assert key is not None
    screen.text()
    assert first.show(prompt(clock)) == key
    assert second.show(prompt(clock, shown_on=("elsewhere", key))) == key
    assert screen.text() == ""


def test_one_address_is_shown_once(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN)
    assert told.show(in_a_browser(clock))
    assert screen.text()
    assert told.show(in_a_browser(clock))
    assert not screen.text()


def test_a_new_code_is_shown_after_the_old_one(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN)
    assert told.show(prompt(clock)) == told.show(prompt(clock, user_code="SECOND"))
    assert screen.text().count("go on only if you started this") == 2


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


def test_whoever_takes_a_prompt_over_takes_the_terminal_too(screen: Pty, clock: FakeClock) -> None:
    first = terminal(screen, clock, PLAIN)
    key = first.show(prompt(clock))
    first.finish()  # as if it had been killed
    second, third = terminal(screen, clock, PLAIN), terminal(screen, clock, PLAIN)
    assert second.show(prompt(clock, shown_on=(str(key),))) == key
    assert third.show(prompt(clock, user_code="OTHER")) is None


def test_who_waits_over_ssh_is_not_sent_to_an_address_of_this_machine(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, PLAIN | {"SSH_CONNECTION": "1 2 3 4"})
    assert told.show(in_a_browser(clock), ours=False)
    assert screen.text() == (
        "credential-helper: waiting for a sign-in to prod (example.eu.auth0.com), "
        "which goes on in a browser on this machine\n"
    )


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


# --- what no prompt and no line may hold ------------------------------------------------------------------------------


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


def test_no_code_is_drawn_for_a_browser(clock: FakeClock) -> None:
    opened = Pty(columns=200, lines=90)
    assert terminal(opened, clock, UTF8).show(in_a_browser(clock))
    assert "█" not in opened.text()
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


TROUBLE = "example.eu.auth0.com answers 502"


def test_the_time_left_says_what_keeps_the_provider_from_answering(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"LANG": "C"}, tool_is_login=True)
    asked = prompt(clock)
    told.show(asked)
    screen.text()
    told.waiting(asked)
    clock.advance(5)
    for trouble in (TROUBLE, "\x1b[2Jexample answers\n 429", "x" * 70, ""):
        told.waiting(prompt(clock, trouble=trouble, expires_at=asked.expires_at))
    told.finish()
    assert screen.text().split("\r\x1b[K") == [
        "",
        "  15:00 left",
        f"  14:55 left; {TROUBLE}, still asking",
        "  14:55 left; [2Jexample answers 429, still asking",
        "  14:55 left",  # of 80 columns; so is the next one
        "",
    ]


@pytest.mark.parametrize(("environ", "login"), [(UTF8, False), (PLAIN, True)])
def test_where_lines_are_only_appended_each_trouble_is_said_once(
    screen: Pty, clock: FakeClock, environ: dict[str, str], login: bool
) -> None:
    told = terminal(screen, clock, environ, tool_is_login=login)
    told.waiting(prompt(clock, trouble=TROUBLE))
    assert screen.text() == ""
    told.show(prompt(clock))
    screen.text()
    for trouble in ("", TROUBLE, TROUBLE, "", TROUBLE, "example.eu.auth0.com does not answer"):
        told.waiting(prompt(clock, trouble=trouble))
    one, two = f"  {TROUBLE}, still asking\n", "  example.eu.auth0.com does not answer, still asking\n"
    assert screen.text() == one + two
    for status in range(500, 520):
        told.waiting(prompt(clock, trouble=f"example.eu.auth0.com answers {status}"))
    assert screen.text().count("\n") == 3


def test_a_countdown_goes_on_while_the_provider_hangs(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"LANG": "C"}, tool_is_login=True)
    asked = prompt(clock)
    told.show(asked)
    screen.text()
    told.waiting(asked)
    clock.advance(7)  # and nobody calls: a request is on its way
    assert screen.reads("\r\x1b[K  14:53 left")
    told.signed_in(credential(clock), request=request_by("credential-helper"), took=1, refresh_token=True, advice=None)
    assert screen.text().startswith("\r\x1b[Ksigned in to prod")


def test_what_goes_on_is_told_where_prompts_are(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, UTF8)
    told.tell("port 8252 is in use; waiting\x1b 10 s for it")
    assert screen.text() == "credential-helper: port 8252 is in use; waiting 10 s for it\n"
    screen.mode(termios.ICANON, on=False)
    told.tell("this goes to stderr, whatever draws there")
    assert screen.text() == "credential-helper: this goes to stderr, whatever draws there\n"


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
    thread.join(DEADLINE)


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
