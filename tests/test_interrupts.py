from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from credential_helper.system.caller import Caller
from credential_helper.system.signals import Interrupted, Interrupts


@pytest.fixture
def interrupts(default_signals: None) -> Interrupts:  # noqa: ARG001 - it takes them over, and they are put back
    one = Interrupts()
    one.install()
    return one


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_obeyed_at_once(interrupts: Interrupts, number: int, code: int) -> None:
    assert interrupts is not None
    with pytest.raises(Interrupted) as caught:
        signal.raise_signal(number)
    assert caught.value.exit_code == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_held_signal_is_obeyed_afterwards(interrupts: Interrupts, number: int) -> None:
    done = []
    with pytest.raises(Interrupted), interrupts.held():
        signal.raise_signal(number)
        done.append("saved")
    assert done == ["saved"]


def test_a_held_signal_wins_over_an_error_in_the_block(interrupts: Interrupts) -> None:
    with pytest.raises(Interrupted), interrupts.held():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError


def test_a_second_ctrl_c_is_obeyed_even_when_held(interrupts: Interrupts) -> None:
    done = []
    with pytest.raises(Interrupted), interrupts.held():
        signal.raise_signal(signal.SIGINT)
        done.append("first")
        signal.raise_signal(signal.SIGINT)
        done.append("second")
    assert done == ["first"]


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_an_object_is_finalized_is_obeyed_a_moment_later(
    number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(number)

    with pytest.raises(Interrupted) as caught:
        Finalized()
        time.sleep(10)
    assert caught.value.exit_code == 128 + number
    assert capfd.readouterr() == ("", "")


def test_without_a_signal_nothing_happens(interrupts: Interrupts) -> None:
    with interrupts.held():
        pass


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Interrupts().install()
        signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_caller_waits_while_everything_stands() -> None:
    reader, writer = os.pipe()
    try:
        assert Caller(answer=writer).waits()
    finally:
        os.close(reader)
        os.close(writer)


def test_nobody_waits_when_the_reader_of_stdout_has_closed() -> None:
    reader, writer = os.pipe()
    try:
        caller = Caller(answer=writer)
        os.close(reader)
        assert not caller.waits()
    finally:
        os.close(writer)


CHILD = """
import pathlib, sys, time
from credential_helper.system.caller import Caller
caller = Caller()
sys.stderr.write("ready\\n"); sys.stderr.flush()
end = time.time() + 10
while caller.waits() and time.time() < end:
    time.sleep(0.02)
pathlib.Path(sys.argv[1]).write_text("gone" if time.time() < end else "still waiting")
"""


def _wait_for(path: Path) -> str:
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    return "nothing"


def test_nobody_waits_when_the_parent_is_gone(tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]])",
            CHILD,
            str(answer),
        ],
        stderr=subprocess.PIPE,
    )
    assert parent.stderr is not None
    assert parent.stderr.readline() == b"ready\n"
    parent.kill()
    assert _wait_for(answer) == "gone"
    parent.communicate()


def test_nobody_waits_when_the_leader_of_the_group_is_gone(tmp_path: Path) -> None:
    # The leader's child (a shell, as git has one) lives on: the parent alone proves nothing.
    answer = tmp_path / "answer"
    script = '"$0" -c "import subprocess, sys; subprocess.run(sys.argv[1:])" "$0" -c "$1" "$2"; true'
    leader = subprocess.Popen(
        ["/bin/sh", "-c", script, sys.executable, CHILD, str(answer)],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert leader.stderr is not None
    assert leader.stderr.readline() == b"ready\n"
    leader.kill()
    assert _wait_for(answer) == "gone"
    leader.communicate()


def test_one_parent_has_one_key() -> None:
    assert Caller().key == Caller().key
    assert Caller().key.startswith(f"{os.getppid()}:")
