from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from credential_helper.errors import ConfigurationError
from credential_helper.system import children
from tests.helpers.programs import CHECKOUT, DEADLINE

Script = Callable[[str, str], str]
Environ = dict[str, str]
ENDLESS = 3600.0  # seconds: whoever waits for them does not end


@pytest.fixture
def script(tmp_path: Path, environ: Environ) -> Script:
    """Return a maker of executables on PATH, written for sh."""
    folder = tmp_path / "bin"
    folder.mkdir()
    environ["PATH"] = f"{folder}{os.pathsep}{environ['PATH']}"

    def make(name: str, body: str) -> str:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return make


# --- which program


def test_a_program_is_the_first_executable_on_path(script: Script, environ: Environ, tmp_path: Path) -> None:
    path = script("secret-tool", "true")
    (tmp_path / "not-executable").mkdir()
    (tmp_path / "not-executable" / "secret-tool").write_text("")
    environ["PATH"] = f"{tmp_path / 'not-executable'}{os.pathsep}{environ['PATH']}"
    assert children.find("secret-tool", environ) == path


def test_a_folder_is_no_program(environ: Environ, tmp_path: Path) -> None:
    (tmp_path / "op").mkdir()
    assert children.find("op", environ | {"PATH": str(tmp_path)}) is None


def test_path_s_relative_and_empty_entries_and_the_current_directory_are_not_searched(
    script: Script, environ: Environ, tmp_path: Path
) -> None:
    script("op", "true")
    with contextlib.chdir(tmp_path / "bin"):
        assert_not_found(environ, tmp_path)


def assert_not_found(environ: Environ, tmp_path: Path) -> None:
    for path in ("", ".", "bin", "..:.:", f"../{(tmp_path / 'bin').name}", "~/bin"):
        assert children.find("op", environ | {"PATH": path}) is None
    assert children.find("op", {}) is None
    for word in ("./op", "bin/op", "../bin/op", "", "op\0"):
        assert children.find(word, environ) is None


def test_an_absolute_path_is_taken_as_it_is(script: Script, environ: Environ) -> None:
    path = script("op", "true")
    assert children.find(path, {}) == path
    assert children.find(f"{path}-not", environ) is None


def test_no_shell_reads_the_words(script: Script, environ: Environ) -> None:
    script("show", 'printf "%s|" "$@"')
    words = ["show", "$HOME; echo x", "a b", "", "*", "`id`"]
    assert children.run(words, environ=environ) == b"$HOME; echo x|a b||*|`id`|"


# --- what it is given


def test_stdin_is_dev_null(script: Script, environ: Environ) -> None:
    script("reads", "cat; echo end")
    ours = os.dup(0)
    reader, writer = os.pipe()
    try:
        os.write(writer, b"what git said\n")
        os.close(writer)
        os.dup2(reader, 0)
        assert children.run(["reads"], environ=environ) == b"end\n"
    finally:
        os.dup2(ours, 0)
        os.close(ours)
        os.close(reader)


def test_secrets_are_not_in_the_environment_of_a_child(script: Script, environ: Environ) -> None:
    script("shows", "env")
    environ |= {
        "CREDENTIAL_HELPER_CLIENT_SECRET": "s3cr3t",
        "CREDENTIAL_HELPER_PRIVATE_KEY": "s3cr3t",
        "CREDENTIAL_HELPER_PASSWORD": "s3cr3t",
        "CI_SECRET": "s3cr3t",
        "OTHER": "plain",
    }
    output = children.run(["shows"], environ=environ, hidden={"CI_SECRET"})
    assert b"s3cr3t" not in output
    assert b"OTHER=plain" in output
    assert b"HOME=" in output


def test_the_environment_is_the_one_given_and_not_this_process_s(script: Script, environ: Environ) -> None:
    script("shows", "env")
    assert b"PYTEST_CURRENT_TEST" not in children.run(["shows"], environ=environ)


def test_stderr_is_ours_so_that_the_command_can_say_something(
    script: Script, environ: Environ, capfd: pytest.CaptureFixture[str]
) -> None:
    script("talks", "echo unlock me >&2; echo out")
    assert children.run(["talks"], environ=environ) == b"out\n"
    assert capfd.readouterr() == ("", "unlock me\n")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX sessions")
def test_a_child_has_a_session_of_its_own(script: Script, environ: Environ) -> None:
    script("session", "ps -o sid= -p $$")
    if children.find("ps", environ) is None:
        pytest.skip("ps is missing")
    assert int(children.run(["session"], environ=environ)) != os.getsid(0)


# --- what comes back


def test_stdout_is_returned_as_it_is(script: Script, environ: Environ) -> None:
    script("bytes", r"printf 'a\nb\000\377\n\n'")
    assert children.run(["bytes"], environ=environ) == b"a\nb\0\xff\n\n"


def test_stdout_may_be_64_kib_and_no_more(script: Script, environ: Environ) -> None:
    script("much", 'head -c "$1" /dev/zero')
    assert len(children.run(["much", "65536"], environ=environ)) == 65536
    with pytest.raises(ConfigurationError) as caught:
        children.run(["much", "65537"], environ=environ)
    assert caught.value.sentence == "the command much wrote more than 64 KiB"


def test_endless_output_is_stopped_at_once(script: Script, environ: Environ) -> None:
    script("endless", "exec cat /dev/zero")
    with pytest.raises(ConfigurationError, match="more than 64 KiB"):
        children.run(["endless"], environ=environ, deadline=ENDLESS)


def test_a_failure_names_the_status_and_neither_output_nor_arguments(script: Script, environ: Environ) -> None:
    script("fails", "echo s3cr3t; exit 3")
    with pytest.raises(ConfigurationError) as caught:
        children.run(["fails", "hunter2"], environ=environ)
    assert caught.value.sentence == "the command fails exited with status 3"
    assert "s3cr3t" not in f"{caught.value.hint}{caught.value!r}"
    assert "hunter2" not in f"{caught.value.hint}{caught.value!r}"
    script("dies", "kill -9 $$")
    with pytest.raises(ConfigurationError, match=r"^the command dies was ended by signal 9$"):
        children.run(["dies"], environ=environ)


def test_a_command_that_is_not_there_says_so(environ: Environ) -> None:
    with pytest.raises(ConfigurationError) as caught:
        children.run(["no-such-command", "hunter2"], environ=environ)
    assert caught.value.sentence == "the command no-such-command was not found on PATH"
    assert "hunter2" not in f"{caught.value.hint}{caught.value!r}"


def test_a_command_that_cannot_be_started_says_so(script: Script, environ: Environ) -> None:
    Path(script("garbage", "")).write_bytes(b"\x7fELF")
    with pytest.raises(ConfigurationError, match=r"^the command garbage cannot be started: "):
        children.run(["garbage"], environ=environ)
    script("fine", "true")
    with pytest.raises(ConfigurationError, match=r"^the command fine cannot be started: "):
        children.run(["fine", "a\0b"], environ=environ)


# --- how long


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX process groups")
def test_past_the_deadline_the_whole_group_is_killed(script: Script, environ: Environ, tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script("slow", f"(echo grandchild; sleep 300) > '{fifo}' & sleep 300")
    with pytest.raises(ConfigurationError) as caught:
        children.run(["slow"], environ=environ, deadline=2.0)
    assert caught.value.sentence == "the command slow did not end within 2 s"
    os.set_blocking(reader, True)  # its end comes only when nobody holds it open for writing
    assert os.read(reader, 100) == b"grandchild\n"
    assert os.read(reader, 100) == b""
    os.close(reader)


@pytest.mark.skipif(sys.platform == "win32", reason="there a pipe cannot be asked")
def test_a_machine_that_is_busy_cuts_nothing_off(
    script: Script, environ: Environ, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the pipe gets no time until long after the child's end."""

    def late(pipe: BinaryIO, output: bytearray, limit: int) -> None:
        time.sleep(1)
        drain(pipe, output, limit)

    drain = children._drain
    monkeypatch.setattr(children, "_drain", late)
    monkeypatch.setattr(children, "GRACE", 0.01)
    script("quick", "echo secret")
    assert children.run(["quick"], environ=environ) == b"secret\n"


def test_a_child_that_closes_stdout_and_stays_is_killed_too(script: Script, environ: Environ) -> None:
    script("lingers", "exec >&-; sleep 300")
    with pytest.raises(ConfigurationError, match="did not end within"):
        children.run(["lingers"], environ=environ, deadline=1.0)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
def test_what_a_child_leaves_behind_with_its_stdout_does_not_hold_us_up(
    script: Script, environ: Environ, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    script("agent", f"sleep 300 & echo $! > '{pid}'; echo secret")
    try:
        assert children.run(["agent"], environ=environ, deadline=ENDLESS) == b"secret\n"
    finally:
        os.kill(int(pid.read_text()), 9)
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                thread.join(DEADLINE)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.usefixtures("default_signals")
def test_an_interruption_kills_the_child_and_goes_on(script: Script, environ: Environ, tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script("interrupts", f"exec 3> '{fifo}'; sleep 0.1; kill -INT {os.getpid()}; sleep 300")
    with pytest.raises(KeyboardInterrupt):
        children.run(["interrupts"], environ=environ)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_child_does_not_outlive_us_even_where_we_are_killed(script: Script, environ: Environ, tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script("waits", f"exec 3> '{fifo}'; sleep 0.5; echo started >&3; sleep 300")  # not before it is watched
    program = f"from credential_helper.system import children; children.run(['waits'], environ={environ!r})"
    with subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT) as process:
        os.set_blocking(reader, True)
        with open(fifo, "rb") as other:  # the first reader sees its end before there is a writer
            assert other.readline() == b"started\n"
        process.kill()
    assert os.read(reader, 1) == b""
    os.close(reader)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX process groups")
def test_a_command_may_leave_an_agent_behind(script: Script, environ: Environ, tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    pid = tmp_path / "pid"
    script("agent", f"sleep 300 > /dev/null 2>&1 & echo $! > '{pid}'; echo secret")
    assert children.run(["agent"], environ=environ) == b"secret\n"
    os.kill(int(pid.read_text()), 9)  # ProcessLookupError: it was not there any more
