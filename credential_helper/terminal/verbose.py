"""Where --verbose goes: stderr, or a private file that is appended to."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

from credential_helper import PROGRAM
from credential_helper.text import foreign


class Verbose:
    """Where --verbose goes: stderr, or the file whose absolute path CREDENTIAL_HELPER_VERBOSE is."""

    def __init__(self, environ: Mapping[str, str], flag: bool) -> None:
        value = environ.get("CREDENTIAL_HELPER_VERBOSE", "").strip()
        self._path = value if os.path.isabs(value) else None
        self._fd: int | None = None
        self.on_stderr = flag or (self._path is None and value.lower() not in ("", "0", "false", "no", "off"))

    @property
    def on(self) -> bool:
        """Say whether anything is written at all."""
        return self.on_stderr or self._path is not None

    def write(self, line: str, *, now: float) -> str | None:
        """Append a line to the file, if there is one; returns, once, a sentence if it cannot be."""
        if self._path is None:
            return None
        try:
            if self._fd is None:
                self._fd = _open_log(self._path)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
            os.write(self._fd, f"{stamp} {PROGRAM}[{os.getpid()}]: {line}\n".encode())
        except OSError as error:
            path, self._path = self._path, None
            return f"CREDENTIAL_HELPER_VERBOSE: {foreign(path)}: {foreign(error.strerror or 'cannot be written')}"
        return None


def _open_log(path: str) -> int:
    """Open a private file of ours to append to; a symlink, a device or somebody else's file is refused (OSError)."""
    import errno
    import stat

    # O_NONBLOCK: opening a FIFO that nobody reads would wait.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    fd = os.open(path, flags, 0o600)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or (sys.platform != "win32" and status.st_uid != os.geteuid()):
        os.close(fd)
        raise OSError(errno.EPERM, "not a regular file of yours")
    if sys.platform != "win32" and status.st_mode & 0o077:
        os.fchmod(fd, 0o600)
    return fd
