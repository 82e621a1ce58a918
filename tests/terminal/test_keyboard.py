"""Lines typed on real pseudo-terminals: when the echo is off, when it is on again, and what becomes of odd keys.

Each reader is a process of its own, with the terminal as its controlling one. The echo is looked at from the other end.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from credential_helper.errors import InteractionRequired, UsageError
from credential_helper.terminal import keyboard
from tests.helpers.programs import CHECKOUT, DEADLINE, Launcher, Result, Running

# Reads a line and says on stdout what came of it; SIGTERM and the like are taken over as in cli.run.
READ = """\
import json, os, sys
sys.path.insert(0, sys.argv[1])
from credential_helper.terminal import keyboard
from credential_helper.errors import CredentialHelperError
from credential_helper.system.signals import Interrupted, Interrupts

hidden, times, fails_at = json.loads(sys.argv[2])
calls = 0

def go_on():
    global calls
    calls += 1
    if calls == fails_at:
        raise ZeroDivisionError

def tell(**what):
    os.write(1, (json.dumps(what | {"calls": calls}) + "\\n").encode())

Interrupts().install()
try:
    for _ in range(times):
        tell(line=keyboard.read_line(0, "password for ada: ", hidden=hidden, go_on=go_on).reveal())
except CredentialHelperError as error:
    tell(error=type(error).__name__, sentence=error.sentence, hint=error.hint, cause=repr(error.__context__))
except Interrupted as stop:
    sys.exit(stop.exit_code)
except ZeroDivisionError:
    tell(error="go_on")
"""

# A shell with one job: runs it in the foreground, says when it stops, and continues it as told.
SHELL = """\
import json, os, signal, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-c", *sys.argv[2:]])
try:
    os.setpgid(job, job)
except OSError:
    pass
orders = open(sys.argv[1])
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpid())
    if not os.WIFSTOPPED(status):
        break
    echo = bool(termios.tcgetattr(0)[3] & termios.ECHO)
    os.write(1, (json.dumps({"stopped": os.WSTOPSIG(status), "echo": echo}) + "\\n").encode())
    for order in orders:
        if order == "fg\\n":
            os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)
        if order == "fg\\n":
            break
        line = os.read(0, 1000).decode()
        os.write(1, (json.dumps({"shell": line}) + "\\n").encode())
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture
def launcher(environ: dict[str, str]) -> Iterator[Launcher]:
    launcher = Launcher(environ)
    yield launcher
    launcher.stop()


@pytest.fixture
def read(launcher: Launcher) -> Callable[..., Running]:
    """Return what starts a reader on a new terminal."""

    def start(*, hidden: bool = True, times: int = 1, fails_at: int = 0) -> Running:
        options = json.dumps([hidden, times, fails_at])
        return launcher.start([sys.executable, "-c", READ, str(CHECKOUT), options], terminal=True, stdin=None)

    return start


def terminal(running: Running) -> int:
    assert running._terminal is not None
    return running._terminal


def flags(running: Running) -> int:
    """Return the terminal's local modes (c_lflag), as its other end sees them."""
    return int(termios.tcgetattr(terminal(running))[3])


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def said(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.text.splitlines()]


def echoes_after(running: Running) -> bool:
    """Say whether a terminal echoes after its reader's end; its other end outlives that."""
    running.process.wait(DEADLINE)
    return running.echoes


# --- what is typed ----------------------------------------------------------------------------------------------------


def test_a_hidden_line_is_read_and_shown_nowhere(read: Callable[..., Running]) -> None:
    running = read()
    running.wait_for("password for ada: ")
    assert not running.echoes
    assert flags(running) & termios.ICANON
    assert flags(running) & termios.ISIG
    running.type("pass wörd\r".encode())
    eventually(lambda: running.process.poll() is not None)
    assert running.echoes
    result = running.finish()
    assert [one["line"] for one in said(result)] == ["pass wörd"]
    assert result.terminal == "password for ada: \n"


def test_a_shown_line_is_echoed(read: Callable[..., Running]) -> None:
    running = read(hidden=False)
    running.wait_for("password for ada: ")
    assert running.echoes
    running.type(b"ada\r")
    result = running.finish()
    assert [one["line"] for one in said(result)] == ["ada"]
    assert result.terminal == "password for ada: ada\n"


def test_the_person_can_correct_a_line(read: Callable[..., Running]) -> None:
    running = read()
    running.wait_for("ada: ")
    running.type(b"wrong\x15rigth\x7f\x7fht\r")
    assert said(running.finish())[0]["line"] == "right"


def test_where_lines_are_shown_what_was_typed_ahead_counts(read: Callable[..., Running]) -> None:
    """Two lines at once: the second one is for the second question."""
    running = read(times=2, hidden=False)
    running.wait_for("ada: ")
    running.type(b"first\rsecond\r")
    assert [one["line"] for one in said(running.finish())] == ["first", "second"]


@pytest.mark.parametrize(("keys", "line"), [(b"abc\x04\x04", "abc"), (b"abc\x04def\r", "abcdef"), (b"\r", "")])
def test_ctrl_d_behind_other_keys_hands_them_over(read: Callable[..., Running], keys: bytes, line: str) -> None:
    running = read()
    running.wait_for("ada: ")
    running.type(keys)
    assert said(running.finish())[0]["line"] == line


def test_ctrl_d_alone_is_no_answer(read: Callable[..., Running]) -> None:
    running = read()
    running.wait_for("ada: ")
    running.type(b"\x04")
    assert echoes_after(running)
    result = running.finish()
    (one,) = said(result)
    assert (one["error"], one["sentence"]) == ("InteractionRequired", "nothing was typed")
    assert result.terminal == "password for ada: \n"


def test_the_longest_line_that_a_terminal_takes(read: Callable[..., Running]) -> None:
    running = read()
    running.wait_for("ada: ")
    running.type(b"x" * (keyboard.LONGEST - 1) + b"\r")
    assert said(running.finish())[0]["line"] == "x" * (keyboard.LONGEST - 1)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (b"s3cr3t" * 700, "longer than a terminal's line of 4095 bytes"),
        (b"s3cr3t" * 2000, "longer than a terminal's line of 4095 bytes"),
        (b"s3cr3t\xff\xfe", "is not UTF-8"),
        (b"s3cr3t\x00", "a control character"),
        (b"s3cr3t\x1b[A", "a control character"),
    ],
    ids=["just too long", "far too long", "latin", "nul", "arrow"],
)
def test_what_cannot_be_a_line_is_refused_without_a_word_of_it(
    read: Callable[..., Running], keys: bytes, sentence: str
) -> None:
    running = read()
    running.wait_for("ada: ")
    for start in range(0, len(keys), 1000):
        running.type(keys[start : start + 1000])
    running.type(b"\r")
    assert echoes_after(running)
    result = running.finish()
    (one,) = said(result)
    assert one["error"] == "UsageError"
    assert sentence in one["sentence"]
    assert one["hint"]
    assert "s3cr3t" not in result.text + result.terminal


def test_a_pasted_key_is_refused_whole(read: Callable[..., Running]) -> None:
    """Its other lines must not be the shell's, neither as input nor on the screen."""
    running = read()
    running.wait_for("ada: ")
    running.type(b"-----BEGIN PRIVATE KEY-----\r" + b"MIIEvQIBADANBgkqhkiG9w0B\r" * 20 + b"-----END PRIVATE KEY-----\r")
    assert echoes_after(running)
    result = running.finish()
    assert "a key has many lines" in said(result)[0]["sentence"]
    assert "MIIE" not in result.text + result.terminal


# --- how it ends ------------------------------------------------------------------------------------------------------


def test_ctrl_c_gives_the_echo_back(read: Callable[..., Running]) -> None:
    running = read()
    running.wait_for("ada: ")
    running.type(b"half\x03")
    assert echoes_after(running)
    result = running.finish()
    assert (result.code, result.stdout, result.terminal) == (130, b"", "password for ada: \n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_echo_back(read: Callable[..., Running], number: signal.Signals) -> None:
    running = read()
    running.wait_for("ada: ")
    running.type(b"half")
    running.signal(number)
    assert echoes_after(running)
    assert running.finish().code == 128 + number


def test_sigquit_gives_the_echo_back_and_leaves_no_core(launcher: Launcher) -> None:
    """Ctrl-\\ on a terminal; what was typed would be in the core, in whatever folder this is."""
    code = "import os, resource as r, sys; hard = r.getrlimit(r.RLIMIT_CORE)[1]; "
    code += "r.setrlimit(r.RLIMIT_CORE, (hard, hard)); os.execv(sys.executable, sys.argv[1:])"
    argv = [sys.executable, "-c", READ, str(CHECKOUT), json.dumps([True, 1, 0])]
    running = launcher.start([sys.executable, "-c", code, *argv], terminal=True, stdin=None)
    running.wait_for("ada: ")
    running.type(b"half\x1c")
    assert echoes_after(running)
    result = running.finish()
    assert (result.code, result.stdout, result.terminal) == (-signal.SIGQUIT, b"", "password for ada: \n")
    assert list(Path(launcher.environ["HOME"]).glob("core*")) == []


def test_what_go_on_raises_gives_the_echo_back(read: Callable[..., Running]) -> None:
    running = read(fails_at=3)
    running.wait_for("ada: ")
    running.type(b"half")
    assert echoes_after(running)
    result = running.finish()
    assert said(result) == [{"error": "go_on", "calls": 3}]
    assert result.terminal == "password for ada: \n"


def test_what_is_half_typed_when_it_ends_is_nobody_s(launcher: Launcher) -> None:
    """The next reader of the terminal, a shell, must not find it."""
    script = f"{json.dumps([True, 1, 3])}"
    code = "import subprocess, sys; a = sys.argv; subprocess.run([sys.executable, '-c', *a[1:4]]); "
    code += "sys.stdout.write('rest=' + sys.stdin.readline())"
    running = launcher.start([sys.executable, "-c", code, READ, str(CHECKOUT), script], terminal=True, stdin=None)
    running.wait_for("ada: ")
    running.type(b"half-typed")
    running.wait_for("go_on")
    running.type(b"ls\r")
    assert "rest=ls\n" in running.finish().text


def test_a_terminal_without_an_echo_keeps_none(launcher: Launcher) -> None:
    """What was off before stays off: a terminal inside Emacs, say."""
    code = "import os, subprocess, sys; subprocess.run(['stty', '-echo']); os.execv(sys.executable, sys.argv[1:])"
    argv = [sys.executable, "-c", READ, str(CHECKOUT), json.dumps([True, 1, 0])]
    running = launcher.start([sys.executable, "-c", code, *argv], terminal=True, stdin=None)
    running.wait_for("ada: ")
    running.type(b"line\r")
    running.process.wait(DEADLINE)
    assert not running.echoes
    assert said(running.finish())[0]["line"] == "line"


def test_a_closed_window_ends_it(read: Callable[..., Running]) -> None:
    running = read()
    running.wait_for("ada: ")
    running.hang_up()
    assert running.finish().code in (128 + signal.SIGHUP, 0)


# --- job control ------------------------------------------------------------------------------------------------------


class Job:
    """A reader that is the job of a small shell."""

    def __init__(self, launcher: Launcher, folder: Path) -> None:
        orders = folder / "orders"
        os.mkfifo(orders)
        self._orders = os.open(orders, os.O_RDWR)
        inner = [READ, str(CHECKOUT), json.dumps([True, 1, 0])]
        words = [sys.executable, "-c", SHELL, str(orders), *inner]
        self.running = launcher.start(words, terminal=True, stdin=None)

    def order(self, word: str) -> None:
        os.write(self._orders, f"{word}\n".encode())

    def close(self) -> None:
        os.close(self._orders)

    def labels(self) -> int:
        return self.running.output("terminal").count("password for ada: ")

    @property
    def process(self) -> int:
        """Return the reader's process id."""
        children = Path(f"/proc/{self.running.pid}/task/{self.running.pid}/children").read_text().split()
        return int(children[0])


@pytest.fixture
def job(launcher: Launcher, tmp_path: Path) -> Iterator[Job]:
    job = Job(launcher, tmp_path)
    job.running.wait_for("ada: ")
    yield job
    job.close()


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(job: Job) -> None:
    running = job.running
    running.type(b"half\x1a")
    stopped = running.wait_for(r'{"stopped": (\d+), "echo": (\w+)}')
    assert (int(stopped[1]), stopped[2]) == (signal.SIGTSTP, "true")
    assert job.labels() == 1
    job.order("fg")
    eventually(lambda: job.labels() == 2)
    assert not running.echoes
    running.type(b"whole\r")
    eventually(lambda: running.process.poll() is not None)
    assert running.echoes
    result = running.finish()
    assert said(result)[-1]["line"] == "whole"
    assert "half" not in result.terminal
    assert "whole" not in result.terminal


def test_what_is_typed_behind_fg_counts(job: Job) -> None:
    running = job.running
    running.type(b"\x1a")
    running.wait_for("stopped")
    running.type(b"fast\r")
    job.order("fg")
    assert said(running.finish())[-1]["line"] == "fast"


def test_in_the_background_it_waits_and_leaves_the_terminal_alone(job: Job) -> None:
    """``bg`` must not stop it for good: it may hold a session's lock."""
    running = job.running
    running.type(b"\x1a")
    running.wait_for("stopped")
    job.order("bg")
    time.sleep(1.2)  # two looks at the terminal
    eventually(lambda: Path(f"/proc/{job.process}/stat").read_text().rpartition(")")[2].split()[0] == "S")
    assert running.echoes
    assert job.labels() == 1
    running.type(b"for the shell\r")
    running.wait_for(r'{"shell": "for the shell\\n"}')
    job.order("fg")
    eventually(lambda: job.labels() == 2)
    running.type(b"line\r")
    assert said(running.finish())[-1]["line"] == "line"


def test_stopped_by_another_it_hides_again(job: Job) -> None:
    """SIGSTOP cannot be seen coming; whoever continues us may have switched the echo on."""
    running = job.running
    os.kill(job.process, signal.SIGSTOP)
    running.wait_for("stopped")
    attributes = termios.tcgetattr(terminal(running))
    attributes[3] |= termios.ECHO
    termios.tcsetattr(terminal(running), termios.TCSANOW, attributes)
    job.order("fg")
    eventually(lambda: job.labels() == 2)
    assert not running.echoes
    running.type(b"line\r")
    assert said(running.finish())[-1]["line"] == "line"


def test_where_nobody_could_continue_it_ctrl_z_does_nothing(read: Callable[..., Running]) -> None:
    """A session's leader is no shell's job: the kernel lets it run on, and so must the hiding."""
    running = read()
    running.wait_for("ada: ")
    running.type(b"\x1a")
    eventually(lambda: running.output("terminal").count("ada: ") == 2)
    assert not running.echoes
    running.type(b"line\r")
    assert echoes_after(running)
    assert said(running.finish())[0]["line"] == "line"


# --- no terminal, or not ours -----------------------------------------------------------------------------------------


def never() -> None:
    raise AssertionError


def test_a_pipe_is_no_terminal() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(InteractionRequired, match="there is no terminal"):
            keyboard.read_line(reader, "name:", hidden=True, go_on=never)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_closed_descriptor_is_no_terminal() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(InteractionRequired):
        keyboard.read_line(reader, "name:", hidden=True, go_on=never)


def test_a_full_screen_program_has_the_terminal() -> None:
    master, slave = pty.openpty()
    try:
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ICANON
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        with pytest.raises(InteractionRequired, match="another program draws"):
            keyboard.read_line(slave, "name:", hidden=True, go_on=never)
        assert termios.tcgetattr(slave)[:4] == attributes[:4]
    finally:
        os.close(master)
        os.close(slave)


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Yield a terminal that nobody controls: its other end, and itself."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def when_asked(master: int, keys: bytes) -> Callable[[], None]:
    """Return a go_on that types as soon as the label stands: what comes before it is lost."""
    left = iter((b"", keys))  # the first call is made before the label

    def go_on() -> None:
        os.write(master, next(left, b""))

    return go_on


def test_a_terminal_of_somebody_else_will_do(pair: tuple[int, int]) -> None:
    """It knows no job of ours: in a container, say, whose terminal belongs to the host."""
    master, slave = pair
    assert keyboard.read_line(slave, "name:", hidden=True, go_on=when_asked(master, b"line\r")).reveal() == "line"


def type_ahead(pair: tuple[int, int], line: bytes) -> None:
    """Type a line and wait until it can be read."""
    master, slave = pair
    os.write(master, line)
    assert select.select([slave], [], [], DEADLINE)[0]


@pytest.mark.parametrize(("hidden", "line"), [(True, "late"), (False, "cat key")])
def test_what_was_typed_before_a_hidden_line_was_asked_for_is_no_answer(
    pair: tuple[int, int], line: str, *, hidden: bool
) -> None:
    """It was meant for the shell, or for another program, and would be sent away as a password."""
    master, slave = pair
    type_ahead(pair, b"cat key\r")
    go_on = when_asked(master, b"late\r")
    assert keyboard.read_line(slave, "password:", hidden=hidden, go_on=go_on).reveal() == line


def test_what_was_typed_before_the_label_could_be_shown_is_no_answer(pair: tuple[int, int]) -> None:
    """The terminal was stopped (Ctrl-S) all the while."""
    master, slave = pair
    calls = []

    def go_on() -> None:
        calls.append(True)
        if len(calls) == 2:
            type_ahead(pair, b"early\r")
        elif len(calls) > 2:  # again and again: what is discarded may be the Ctrl-Q, too
            os.write(master, b"\x11late\r")

    type_ahead(pair, b"\x13very early\r")
    assert keyboard.read_line(slave, "password:", hidden=True, go_on=go_on).reveal() == "late"


def test_signals_are_as_before(pair: tuple[int, int]) -> None:
    master, slave = pair

    def state() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGQUIT)]
        return (*handlers, signal.pthread_sigmask(signal.SIG_BLOCK, []))

    before = state()
    keyboard.read_line(slave, "name:", hidden=True, go_on=when_asked(master, b"line\r"))
    assert state() == before
    with pytest.raises(InteractionRequired):
        keyboard.read_line(slave, "name:", hidden=True, go_on=when_asked(master, b"\x04"))
    assert state() == before


def test_a_descriptor_that_does_not_wait_is_waited_for(pair: tuple[int, int]) -> None:
    master, slave = pair
    os.set_blocking(slave, False)
    assert keyboard.read_line(slave, "name:", hidden=True, go_on=when_asked(master, b"line\r")).reveal() == "line"


def test_a_stopped_terminal_keeps_nobody_from_going(pair: tuple[int, int]) -> None:
    """After Ctrl-S a write would wait for ever; go_on has the last word all the same."""
    master, slave = pair
    os.write(master, b"\x13")
    calls = []

    def go_on() -> None:
        calls.append(True)
        if len(calls) == 3:
            raise UsageError("enough")

    with pytest.raises(UsageError, match="enough"):
        keyboard.read_line(slave, "name:", hidden=True, go_on=go_on)
    assert termios.tcgetattr(slave)[3] & termios.ECHO


def test_a_hung_up_terminal_is_gone() -> None:
    master, slave = pty.openpty()
    os.close(master)
    try:
        with pytest.raises(InteractionRequired):
            keyboard.read_line(slave, "name:", hidden=True, go_on=lambda: None)
    finally:
        os.close(slave)


def test_a_label_is_harmless(pair: tuple[int, int]) -> None:
    master, slave = pair
    label = "password for \x1b[31mada\x1b]0;x\x07\r\nb:"
    keyboard.read_line(slave, label, hidden=True, go_on=when_asked(master, b"\r"))
    shown = b""
    while not shown.endswith(b"b: \r\n"):  # its pieces may come one by one
        shown += os.read(master, 1000)
    assert b"\x1b" not in shown
    assert b"password for [31mada]0;x b: " in shown


def test_it_costs_nothing_to_load() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import credential_helper.terminal.keyboard; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code, str(CHECKOUT)], capture_output=True, text=True, check=True)
    assert not {"termios", "select", "fcntl", "threading", "msvcrt"} & set(done.stdout.split())
