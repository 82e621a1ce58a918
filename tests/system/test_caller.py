"""Who has called: whether they still wait, and how they are recognised."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from credential_helper.system.caller import Caller


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
end = time.time() + 60
while caller.waits() and time.time() < end:
    time.sleep(0.02)
pathlib.Path(sys.argv[1]).write_text("gone" if time.time() < end else "still waiting")
"""


def _wait_for(path: Path) -> str:
    end = time.monotonic() + 90
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
