"""Files that a person names, and who else may write to them."""

from __future__ import annotations

import grp
import os
import pwd
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from credential_helper import places
from credential_helper.system.files import is_alone, others_may_write, quoted, read_bytes, reason

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owner and mode are not judged there")


def test_a_file_is_read_whole_and_no_more_than_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5)
    data, status = read_bytes(str(path), 5)
    assert (data, status.st_size) == (b"xxxxx", 5)
    with pytest.raises(ValueError, match="is larger than 0 KiB"):
        read_bytes(str(path), 4)


def test_the_stamp_is_taken_before_reading(tmp_path: Path) -> None:
    """A file that grows while it is read has, after it, another stamp than the one that was kept."""
    path = tmp_path / "file"
    path.write_text("a = 1\n")
    data, status = read_bytes(str(path), 100)
    with open(path, "ab") as more:
        more.write(b"b = 2\n")
    assert data == b"a = 1\n"
    assert places.stamp(status) != places.stamp(os.stat(path))


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


def file_of(folder: Path, mode: int) -> str:
    path = folder / "file"
    path.touch()
    path.chmod(mode)
    return str(path)


def may(path: Path, mode: int) -> bool:
    path.chmod(mode)
    return others_may_write(str(path), path.stat())


def test_others_may_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert [may(path, mode) for mode in (0o600, 0o644, 0o755, 0o646, 0o602)] == [False, False, False, True, True]


def user(name: str, uid: int, gid: int) -> Any:
    return pwd.struct_passwd((name, "x", uid, gid, "", f"/home/{name}", "/bin/sh"))


def group(name: str, gid: int, *members: str) -> Any:
    return grp.struct_group((name, "x", gid, list(members)))


ADA, BOB = user("ada", 1000, 1000), user("bob", 1001, 1001)


@pytest.mark.parametrize("members", [(), ("ada",)])
def test_a_group_of_one_is_nobody_else(members: tuple[str, ...]) -> None:
    """With umask 002, the default of Ubuntu and Fedora, every file is writable by the user's own group."""
    assert is_alone(ADA, group("ada", 1000, *members), [ADA, BOB])


@pytest.mark.parametrize(
    ("one", "users"),
    [
        (group("ada", 1000, "bob"), [ADA, BOB]),
        (group("ada", 1000, "ada", "bob"), [ADA, BOB]),
        (group("ada", 1000), [ADA, user("bob", 1001, 1000)]),  # it is his own group, too
        (group("users", 1000), [ADA]),  # a directory may not tell who else is in it
        (group("bob", 1001), [ADA, BOB]),
    ],
)
def test_a_group_of_several_is_somebody_else(one: Any, users: list[Any]) -> None:
    assert not is_alone(ADA, one, users)


def test_the_machine_s_own_databases_are_asked(tmp_path: Path) -> None:
    path = file_of(tmp_path, 0o664)
    mine, me = os.stat(path).st_gid, pwd.getpwuid(os.geteuid())
    alone = is_alone(me, grp.getgrgid(mine), pwd.getpwall())
    assert others_may_write(path, os.stat(path)) is not alone


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="POSIX access control lists")
def test_an_access_control_list_behind_the_group_s_bit_is_somebody_else(tmp_path: Path) -> None:
    path = file_of(tmp_path, 0o664)
    entries = [(1, 6, -1), (2, 6, 12345), (4, 4, -1), (16, 6, -1), (32, 4, -1)]  # user:12345:rw-
    try:
        os.setxattr(
            path, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)
        )
    except OSError:
        pytest.skip("no access control lists on this file system")
    assert others_may_write(path, os.stat(path))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a file to any group")
def test_any_other_group_is_somebody(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    for gid in (next(group.gr_gid for group in grp.getgrall() if group.gr_gid != os.getegid()), 4_000_000_000):
        os.chown(path, -1, gid)
        assert may(path, 0o664)
