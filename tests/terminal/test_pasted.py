"""A line that is pasted while something else is waited for, on a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from credential_helper.terminal.keyboard import LONGEST
from credential_helper.terminal.terminal import Terminal
from tests.helpers.clock import FakeClock
from tests.helpers.programs import DEADLINE
from tests.helpers.terminal import PLAIN, UTF8, Pty, in_a_browser, session, terminal

BACK = "http://127.0.0.1:41515/callback"
ADDRESS = f"{BACK}?code=c0de-that-is-secret&state=abc"
SSH = PLAIN | {"SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22"}


def echoes(screen: Pty) -> bool:
    return bool(termios.tcgetattr(screen.slave)[3] & termios.ECHO)


def typed(screen: Pty, keys: bytes) -> None:
    os.write(screen.master, keys)
    if keys.endswith((b"\n", b"\r", b"\x04")):
        assert select.select([screen.slave], [], [], DEADLINE)[0]
    time.sleep(0.05)  # for what stands behind the first line


def line(told: Terminal) -> str | None:
    pasted = told.pasted()
    return None if pasted is None else pasted.reveal()


Make = Callable[..., Terminal]


@pytest.fixture
def make(screen: Pty, clock: FakeClock) -> Iterator[Make]:
    """Make terminals, which give the screen, and the signals of this process, back at the end."""
    with contextlib.ExitStack() as ends:

        def made(environ: Mapping[str, str] = SSH, fd: Pty | int = screen, **options: Any) -> Terminal:
            told = terminal(fd, clock, environ, **options)
            ends.callback(told.finish)
            return told

        yield made


@pytest.fixture
def prompted(make: Make, clock: FakeClock) -> Terminal:
    """A terminal with a prompt below which an address can be pasted."""
    told = make()
    assert told.show(in_a_browser(clock, redirect_uri=BACK))
    return told


@pytest.mark.parametrize(
    "keys",
    [
        ADDRESS.encode() + b"\n",
        b"\x1b[200~" + ADDRESS.encode() + b"\x1b[201~\r",
        b"  " + ADDRESS.encode() + b" \t\r\n",
        b"oops\x15" + ADDRESS.encode() + b"x\x7f\n",  # Ctrl-U, and a key that is taken back
        ADDRESS[:30].encode() + b"\x04" + ADDRESS[30:].encode() + b"\n",
    ],
    ids=["a line", "bracketed", "with spaces", "corrected", "in two parts"],
)
def test_a_pasted_line_is_read_and_never_shown(screen: Pty, prompted: Terminal, keys: bytes) -> None:
    assert "  or paste the final address here, which is not shown\n" in screen.text()
    assert not echoes(screen)
    assert line(prompted) is None
    typed(screen, keys)
    assert line(prompted) == ADDRESS
    assert line(prompted) is None
    prompted.finish()
    assert echoes(screen)
    assert screen.text() == ""


def test_what_was_typed_before_the_prompt_is_no_answer_to_it(screen: Pty, clock: FakeClock, make: Make) -> None:
    typed(screen, b"kubectl get pods\n")
    told = make()
    told.show(in_a_browser(clock, redirect_uri=BACK))
    assert line(told) is None
    typed(screen, b"\n \n\x04")
    assert [line(told), line(told), line(told)] == [None, None, None]
    typed(screen, b"code=a\n")
    assert line(told) == "code=a"


def test_the_rest_of_a_paste_is_not_left_to_the_shell(screen: Pty, prompted: Terminal) -> None:
    typed(screen, ADDRESS.encode() + b"\nrm -rf important\nhalf a li")
    assert line(prompted) == ADDRESS
    prompted.finish()
    os.set_blocking(screen.slave, False)
    with pytest.raises(BlockingIOError):
        os.read(screen.slave, 100)


def test_a_line_that_the_terminal_cut_is_told_and_not_used(screen: Pty, prompted: Terminal) -> None:
    screen.text()
    for start in range(0, LONGEST + 600, 500):
        typed(screen, b"x" * 500)
        assert start >= 0
    typed(screen, b"\n")
    assert line(prompted) is None
    assert "longer than a line of this terminal" in screen.text()
    typed(screen, b"code=a&state=b\n")
    assert line(prompted) == "code=a&state=b"


@pytest.mark.parametrize(
    ("environ", "pastes"),
    [
        (SSH, True),
        (UTF8, True),  # no browser can be seen
        (UTF8 | {"BROWSER": "/bin/true"}, False),  # one was opened here, and comes back by itself
        (SSH | {"BROWSER": "/bin/true"}, True),
        (UTF8 | {"BROWSER": "/bin/true", "CODESPACES": "true"}, True),  # it was opened on another machine
    ],
)
def test_an_address_can_be_pasted_where_the_browser_may_be_elsewhere(
    screen: Pty, clock: FakeClock, make: Make, environ: dict[str, str], pastes: bool
) -> None:
    told = make(environ, children_find=lambda program, _environ: program)
    assert told.show(in_a_browser(clock, redirect_uri=BACK))
    assert ("paste" in screen.text()) is pastes
    assert echoes(screen) is not pastes
    told.finish()
    assert echoes(screen)


def test_who_waits_for_another_process_reads_nothing(screen: Pty, clock: FakeClock, make: Make) -> None:
    told = make()
    assert told.show(in_a_browser(clock, redirect_uri=BACK), ours=False)
    assert echoes(screen)
    assert told.pasted() is None


def test_nothing_is_read_where_another_program_draws(screen: Pty, clock: FakeClock, make: Make) -> None:
    told = make()
    assert told.can_paste()
    screen.mode(termios.ICANON, on=False)
    assert not told.can_paste()
    assert told.show(in_a_browser(clock, redirect_uri=BACK)) is None
    assert told.pasted() is None


def test_without_a_terminal_nothing_is_read() -> None:
    snippet = """
from tests.helpers.terminal import in_a_browser
told = terminal(2, clock, PLAIN | {"CREDENTIAL_HELPER_INTERACTIVE": "always", "SSH_TTY": "/dev/pts/1"})
told.can_answer(profile(), request_by("kubectl"))
report(told.can_paste(), told.show(in_a_browser(clock, redirect_uri="http://127.0.0.1:9/callback")) is not None)
report(told.pasted())
"""
    assert session(None, snippet, stderr=subprocess.DEVNULL).splitlines() == ["False True", "None"]


def test_a_terminal_that_is_closed_in_the_middle_is_survived(screen: Pty, prompted: Terminal) -> None:
    typed(screen, b"half an addr")
    assert line(prompted) is None
    os.close(screen.master)
    assert [line(prompted), line(prompted)] == [None, None]
    prompted.waiting(in_a_browser(FakeClock(), redirect_uri=BACK))
    prompted.tell("nobody hears this")
    prompted.finish()


@pytest.mark.usefixtures("default_signals")
def test_the_terminal_is_given_back_whatever_happens(screen: Pty) -> None:
    """A signal ends the wait; the shell that comes after it has its echo."""
    snippet = """
from tests.helpers.terminal import in_a_browser
import termios
told = terminal(2, clock, PLAIN | {"SSH_TTY": "/dev/pts/1"})
def echo():
    return bool(termios.tcgetattr(2)[3] & termios.ECHO)
try:
    told.show(in_a_browser(clock, redirect_uri="http://127.0.0.1:9/callback"))
    report(echo())
    signal.raise_signal(signal.SIGINT)
    told.pasted()
except KeyboardInterrupt:
    report("stopped")
finally:
    told.finish()
report(echo(), signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    assert session(screen, snippet, stderr=screen.slave).splitlines() == ["False", "stopped", "True True set()"]
