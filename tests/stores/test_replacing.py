"""One step of a save that the system refuses: what was spent for it is kept all the same."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from credential_helper.errors import StoreError
from credential_helper.stores.private_files import State
from tests.helpers.programs import CHECKOUT

NAME = "sessions/a.json"

# A process whose system refuses a call: the first time only, or always.
WORK = """\
import errno, os, sys
sys.path.insert(0, sys.argv[1])
from credential_helper.errors import StoreError
from credential_helper.stores.private_files import State

folder, call, how, code = sys.argv[2:6]
state = State(folder, default=sys.argv[6] == "default")
place = state.reserve("sessions/a.json")
real, times = getattr(os, call), []

def refuse(*given, **more):
    times.append(1)
    if how == "always" or len(times) == 1:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
    return real(*given, **more)

setattr(os, call, refuse)
try:
    place.commit(b'{"new":true}', sync_folder=True, precious=True)
except StoreError as error:
    print(error.sentence)
    sys.exit(74)
"""


def refused(
    folder: Path, call: str, how: str, code: str = "EIO", which: str = "default"
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", WORK, str(CHECKOUT), str(folder), call, how, code, which]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("which", ["default", "chosen"])
@pytest.mark.parametrize("code", ["EIO", "ESTALE", "ENOSPC"])
@pytest.mark.parametrize(
    ("call", "how"),
    [("fsync", "once"), ("fsync", "always"), ("ftruncate", "always"), ("replace", "once"), ("lseek", "once")],
)
def test_a_refused_step_does_not_lose_what_was_written(
    tmp_path: Path, call: str, how: str, code: str, which: str
) -> None:
    state = State(str(tmp_path / "state"), default=which == "default")
    state.write(NAME, b'{"old":true}')
    result = refused(tmp_path / "state", call, how, code, which)
    assert (result.returncode, result.stderr) == (0, "")
    found = state.read(NAME)
    assert found is not None
    assert found[0].rstrip() == b'{"new":true}'
    assert state.names("sessions") == ["a.json"]


@pytest.mark.parametrize("which", ["default", "chosen"])
def test_what_could_not_get_its_name_is_taken_up_later(tmp_path: Path, which: str) -> None:
    notes: list[str] = []
    state = State(str(tmp_path / "state"), default=which == "default", note=notes.append)
    state.write(NAME, b'{"old":true}')
    result = refused(tmp_path / "state", "replace", "always", "ESTALE", which)
    assert (result.returncode, result.stderr) == (74, "")
    assert os.strerror(errno.ESTALE).lower() in result.stdout
    assert (state.read(NAME) or (b"",))[0] == b'{"old":true}'
    state.take_up(NAME, lambda content: content == b'{"new":true}')
    assert (state.read(NAME) or (b"",))[0] == b'{"new":true}'
    assert state.names("sessions") == ["a.json"]
    assert len(notes) == 1


@pytest.mark.parametrize("which", ["default", "chosen"])
def test_what_a_killed_writer_had_only_reserved_is_not_taken_up(tmp_path: Path, which: str) -> None:
    state = State(str(tmp_path / "state"), default=which == "default")
    state.write(NAME, b'{"old":true}')
    state.reserve(NAME)  # never committed, never discarded: as if killed
    state.take_up(NAME, lambda content: content.startswith(b"{"))
    assert (state.read(NAME) or (b"",))[0] == b'{"old":true}'
    state.take_up("sessions/other.json", lambda _content: True)
    assert state.read("sessions/other.json") is None


def test_what_can_be_had_again_leaves_nothing_behind(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"))
    (tmp_path / "state" / NAME / "below").mkdir(parents=True)
    for folder in (tmp_path / "state", tmp_path / "state" / "sessions"):
        folder.chmod(0o700)
    with pytest.raises(StoreError, match="cannot be written"):
        state.write(NAME, b"content")
    assert state.names("sessions") == ["a.json"]


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    state = State(str(tmp_path / "state"))
    state.write("sessions/b.json", b"content")
    for path in (Path(state.locate(NAME)), Path(state.locate(f"{NAME}.new"))):
        if kind == "fifo":
            os.mkfifo(path, 0o600)
        elif kind == "folder":
            path.mkdir(0o700)
        else:
            try:
                os.mknod(path, 0o20600, os.makedev(1, 5))  # /dev/zero
            except PermissionError:
                pytest.skip("only root makes devices")
    with pytest.raises(StoreError, match="is not a regular file"):
        state.read(NAME)
    with pytest.raises(StoreError, match="is not a regular file"):
        state.take_up(NAME, lambda _content: True)
    with pytest.raises(StoreError):
        state.reserve(NAME)
