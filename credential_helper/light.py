"""What the hot path needs of os, without os: loading that takes a tenth of a kept answer's time.

On POSIX ``posix`` is built in, and os is made of it; elsewhere os itself is loaded.
"""

import sys

if sys.platform == "win32":
    import os

    system = os
else:
    import posix

    system = posix

WINDOWS = sys.platform == "win32"


def decode(value: bytes) -> str:
    """Return the text of a path, an argument or a variable, as os.fsdecode does."""
    return value.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def encode(text: str) -> bytes:
    """Return the bytes of a path, an argument or a variable, as os.fsencode does."""
    return text.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def is_absolute(path: str) -> bool:
    """Say whether a path is absolute."""
    if WINDOWS:
        import os

        return os.path.isabs(path)
    return path[:1] == "/"


def join(folder: str, *names: str) -> str:
    """Join a path's parts; none of them but the first is absolute."""
    if WINDOWS:
        import os

        return os.path.join(folder, *names)
    return "/".join((folder.rstrip("/") if folder != "/" else "", *names))


def base_name(path: str) -> str:
    """Return a path without its folder."""
    if WINDOWS:
        import os

        return os.path.basename(path)
    return path.rpartition("/")[2]


def exists(path: str) -> bool:
    """Say whether there is something at a path, be it a link that leads nowhere."""
    try:
        system.lstat(path)
    except (OSError, ValueError):
        return False
    return True
