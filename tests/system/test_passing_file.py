"""A file that a library reads: what is in it, who can open it, and what is left of it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from credential_helper import places
from credential_helper.system import passing_file

DATA = os.urandom(200_000)


@pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")
def test_on_linux_it_is_in_memory_and_gone_afterwards(tmp_path: Path) -> None:
    with passing_file.holding(DATA, {"TMPDIR": str(tmp_path)}) as path:
        assert Path(path).read_bytes() == DATA
        assert Path(path).read_bytes() == DATA, "a library may open it twice"
        assert "memfd" in os.readlink(path)
        assert list(tmp_path.iterdir()) == []
    assert not os.path.exists(path) or "memfd" not in os.readlink(path)


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR", "TEMP"])
def test_elsewhere_it_is_private_and_removed(variable: str, tmp_path: Path) -> None:
    with passing_file.holding(DATA, {variable: str(tmp_path)}, memory=False) as path:
        assert Path(path).read_bytes() == DATA
        (folder,) = tmp_path.iterdir()
        assert os.path.dirname(path) == str(folder)
        if not places.WINDOWS:
            assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(os.stat(path).st_mode)) == (0o700, 0o600)
    assert list(tmp_path.iterdir()) == []


def test_it_is_removed_when_the_library_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), passing_file.holding(DATA, {"TMPDIR": str(tmp_path)}, memory=False):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "good").mkdir()
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "file"), "TMPDIR": "relative", "TEMP": str(tmp_path / "good")}
    with passing_file.holding(DATA, environ, memory=False) as path:
        assert path.startswith(str(tmp_path / "good"))
