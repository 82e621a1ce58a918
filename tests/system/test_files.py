"""Files that a person names, and who else may write to them."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from pathlib import Path

import pytest

from credential_helper.system.files import others_may_write, quoted, read_bytes, reason

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owner and mode are not judged there")


def test_a_file_is_read_whole_and_no_more_than_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5)
    data, status = read_bytes(str(path), 5)
    assert (data, status.st_size) == (b"xxxxx", 5)
    with pytest.raises(ValueError, match="is larger than 0 KiB"):
        read_bytes(str(path), 4)


def test_what_is_not_regular_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(ValueError, match="is not a regular file"):
            read_bytes(str(path), 10)


def test_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_bytes(str(tmp_path / "missing"), 10)
    assert reason(caught.value) == "cannot be read: no such file or directory"
    assert reason(ValueError("is odd")) == "is odd"


def test_a_path_is_quoted_for_a_shell_and_shows_nothing_odd() -> None:
    assert quoted("/a b/\x1b[2J") == "'/a b/[2J'"


def may(path: Path, mode: int) -> bool:
    path.chmod(mode)
    return others_may_write(str(path), path.stat())


def test_others_may_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert [may(path, mode) for mode in (0o600, 0o644, 0o755, 0o646, 0o602)] == [False, False, False, True, True]


def test_a_group_that_is_its_users_own_is_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    user = pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(user.pw_gid)
    alone = not set(group.gr_mem) - {user.pw_name} and not any(
        one.pw_gid == user.pw_gid and one.pw_uid != user.pw_uid for one in pwd.getpwall()
    )
    os.chown(path, -1, user.pw_gid)
    assert may(path, 0o664) != (group.gr_name == user.pw_name and alone)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a file to any group")
def test_any_other_group_is_somebody(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    for gid in (next(group.gr_gid for group in grp.getgrall() if group.gr_gid != os.getegid()), 4_000_000_000):
        os.chown(path, -1, gid)
        assert may(path, 0o664)
