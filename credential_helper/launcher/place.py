"""The launcher to a folder on PATH: one program, and a link to it for each other name that tools call us by.

- The folder is the user's own or root's, and nobody else may write to it.
- What is there and is no launcher stays as it is: it is named, and nothing is written.
- Each name is made beside and put in its place in one step, so that a tool finds the old one or the new one.
"""

from __future__ import annotations

import os

from credential_helper import PROGRAM, places
from credential_helper.errors import StoreError, UsageError
from credential_helper.launcher.build import MARK
from credential_helper.system.files import others_may_write
from credential_helper.tools import TOOLS

NAMES = (PROGRAM, *(name for row in TOOLS.values() for name in row.names))
_LARGEST = 64 << 20  # bytes; no launcher is larger


def require_folder(path: str) -> None:
    """Raise UsageError where a folder is not one to put programs into, or has others of their names."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError(f"{path}: {os.strerror(error.errno or 0).lower()}", hint="make it, or name another") from None
    if not os.path.isdir(path):
        raise UsageError(f"{path} is no folder")
    if not places.ours(status) and status.st_uid != 0:
        raise UsageError(f"{path} is another user's", hint="name a folder of yours that is on PATH")
    if others_may_write(path, status):
        raise UsageError(f"others may write to {path}", hint=f"chmod go-w {path}")
    for name in NAMES:
        there = os.path.join(path, name)
        if os.path.lexists(there) and not is_launcher(there):
            raise UsageError(
                f"{there} is there, and is no launcher: nothing was written",
                hint="remove it, or name another folder that comes earlier on PATH",
            )


def is_launcher(path: str, mark: str = MARK) -> bool:
    """Say whether a file, or what a link beside one leads to, is a launcher; ``mark``: of which installation."""
    try:
        if os.path.islink(path) and os.readlink(path) != PROGRAM:
            return False
        if not os.path.isfile(path) or os.path.getsize(path) > _LARGEST:
            return False
        with open(path, "rb") as file:
            return mark.encode() in file.read()
    except OSError:
        return False


def put(launcher: str, folder: str) -> None:
    """Put a launcher, which is in a folder of ours on the same disk, in its places. Raises StoreError."""
    beside = os.path.dirname(launcher)
    try:
        os.chmod(launcher, 0o755)  # noqa: S103 - whoever may look into the folder may call it
        os.replace(launcher, os.path.join(folder, PROGRAM))
        for name in NAMES[1:]:
            link = os.path.join(beside, f"{name}.link")
            os.symlink(PROGRAM, link)
            os.replace(link, os.path.join(folder, name))
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {os.strerror(error.errno or 0).lower()}") from None


def missing(folder: str, mark: str) -> list[str]:
    """Return the names that stand in a folder for no launcher of this installation and version."""
    return [name for name in NAMES if not is_launcher(os.path.join(folder, name), mark)]
