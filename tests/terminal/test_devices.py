"""Where a prompt goes and who else has one up, on real pseudo-terminals; what a write does that nobody reads."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import termios
import time

import pytest

from credential_helper.errors import AuthorizationError
from credential_helper.terminal import devices
from credential_helper.terminal.devices import Outlet, is_utf8
from tests.helpers.clock import FakeClock
from tests.helpers.programs import CHECKOUT, DEADLINE
from tests.helpers.requests import request_by
from tests.helpers.terminal import PLAIN, PROMPT, UTF8, Pty, profile, prompt, session, terminal

# --- which terminal: each of these runs in a session of its own, controlled by a real pseudo-terminal -----------------


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
from tests.helpers.clock import FakeClock
from tests.helpers.terminal import terminal
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


def test_auto_after_always_looks_for_a_terminal_again(screen: Pty) -> None:
    snippet = """
told = terminal(2, clock, PLAIN)
report(told.can_answer(profile("always"), request_by("kubectl")), told.show(prompt(clock)) is not None)
report(told.can_answer(profile(), request_by("kubectl")), told.show(prompt(clock)) is not None)
"""
    assert session(screen, snippet, stderr=subprocess.PIPE) == "True True\nTrue True\n"
    assert screen.text() == PROMPT


# --- one prompt per terminal at a time --------------------------------------------------------------------------------


def test_a_killed_process_frees_the_terminal(screen: Pty, clock: FakeClock) -> None:
    script = """
from tests.helpers.clock import FakeClock
from tests.helpers.terminal import prompt, terminal
clock = FakeClock()
held = terminal(2, clock)
held.show(prompt(clock))
print(1)
input()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=CHECKOUT,
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
    second = of_the_same_number(first.name)
    two = terminal(second, clock, PLAIN).show(prompt(clock, shown_on=(str(one),)))
    assert one != two
    assert second.text() == PROMPT
    second.close()


def of_the_same_number(name: str) -> Pty:
    """Open pseudo-terminals until one has this name: whatever else runs here may have it for a moment."""
    others = []
    try:
        while True:
            opened = Pty()
            if opened.name == name:
                return opened
            others.append(opened)
            assert len(others) < 1000
            time.sleep(0.02)
    finally:
        for other in others:
            other.close()


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
    assert time.monotonic() - began > 0.05
    assert told._screen is not None
    told._screen._patience = told._stderr._patience = 3600.0  # whoever waits again does it for an hour
    told.warn("nor is this")
    told.waiting(prompt(clock))
    termios.tcflow(screen.slave, termios.TCOON)


def test_a_reader_that_never_reads_costs_a_moment_once() -> None:
    reader, writer = os.pipe()
    outlet = Outlet(writer, encoding="utf-8", patience=0.1)
    began = time.monotonic()
    assert not outlet.write("x" * 200_000)
    assert outlet.stuck
    assert time.monotonic() - began > 0.05
    outlet._patience = 3600.0  # whoever waits again does it for an hour
    assert not outlet.write("more")
    os.close(reader)  # EPIPE ends the thread


def test_a_descriptor_that_somebody_made_non_blocking_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "PATIENCE", DEADLINE)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    outlet = Outlet(writer, encoding="utf-8", patience=0.05)
    text = "x" * 200_000
    assert not outlet.write(text)  # nobody has read yet, the thread goes on
    data = b""
    while len(data) < len(text) and select.select([reader], [], [], DEADLINE)[0]:
        data += os.read(reader, 65536)
    assert data.decode() == text
    os.close(reader)
    os.close(writer)


# --- characters -------------------------------------------------------------------------------------------------------


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
