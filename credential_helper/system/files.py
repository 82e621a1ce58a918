"""Files that a person names: read without waiting for anybody, and the question who else may write to them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING

from credential_helper import places
from credential_helper.text import foreign

if TYPE_CHECKING:
    from grp import struct_group
    from pwd import struct_passwd


def read_bytes(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    """Read a regular file of at most ``limit`` bytes; its status is taken before the first byte.

    Raises OSError, and ValueError (in words) where the file is not regular or too large.
    """
    # O_NONBLOCK: opening a FIFO would wait for somebody to write into it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        data = b""
        while chunk := os.read(descriptor, limit + 1 - len(data)):
            data += chunk
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise ValueError(f"is larger than {limit // 1024} KiB")
    return data, status


def reason(error: OSError | ValueError) -> str:
    """Say why ``read_bytes`` failed."""
    if isinstance(error, OSError):
        return f"cannot be read: {(error.strerror or 'unknown error').lower()}"
    return str(error)


def quoted(path: str) -> str:
    """Return a path as a hint's command has it."""
    import shlex  # for a hint

    return shlex.quote(foreign(path))


def others_may_write(path: str, status: os.stat_result) -> bool:
    """Say whether anybody but the file's owner and root may write to it: others, or whoever else is in its group.

    Where an access control list stands behind the group's bit, that bit says nothing of whom the list names.
    """
    if not places.writable_by_others(status):
        return False
    return bool(status.st_mode & 0o002) or _has_acl(path) or not _is_private_group(status.st_gid, status.st_uid)


def _has_acl(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "system.posix_acl_access"))
    except (OSError, AttributeError):  # there is none, or this system has other ones
        return False


def _is_private_group(gid: int, uid: int) -> bool:
    """Say whether a group is its user's own: of his name, with nobody else in it, by either of the two databases.

    The name counts because a directory service need not tell who else is in a group; one of a user's name is made for
    that user alone (USERGROUPS_ENAB of login.defs).
    """
    import grp
    import pwd

    try:
        return is_alone(pwd.getpwuid(uid), grp.getgrgid(gid), pwd.getpwall())
    except (KeyError, OSError):
        return False


def is_alone(user: struct_passwd, group: struct_group, users: Iterable[struct_passwd]) -> bool:
    """Say whether a user is the only one in a group of his name, whether it lists him or is his by his own entry."""
    others = any(one.pw_gid == group.gr_gid and one.pw_uid != user.pw_uid for one in users)
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name} and not others
