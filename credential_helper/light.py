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


def sha256(data: bytes) -> str | None:
    """Return the SHA-256 (FIPS 180-4) in hex; None: this Python was built without it, and has it from OpenSSL alone.

    hashlib, which loads OpenSSL and takes 2.5 ms, stands on the module that is loaded here.
    """
    try:
        if sys.version_info >= (3, 12):
            from _sha2 import sha256 as made
        else:
            from _sha256 import sha256 as made  # type: ignore[import-not-found]
    except ImportError:
        return None
    found: str = made(data).hexdigest()
    return found


def exists(path: str) -> bool:
    """Say whether there is something at a path, be it a link that leads nowhere."""
    try:
        system.lstat(path)
    except (OSError, ValueError):
        return False
    return True
