"""Where --verbose goes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.terminal import Pty, terminal


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
