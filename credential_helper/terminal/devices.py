"""Descriptors of terminals: where a prompt goes, whether it may go there now, and who else has one up.

- Writing never raises and never waits for longer than ``PATIENCE``: a terminal can be stopped (Ctrl-S), hung up, or
  have nobody at its other end.
- One prompt per terminal at a time: a flock on the terminal's own device, held while the prompt is up.
- On Windows the console is CONIN$/CONOUT$, without a lock or a job test. Untested.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from credential_helper.errors import InteractionRequired

if TYPE_CHECKING:
    import threading


PATIENCE = 2.0  # seconds that a write may take


def _write_all(fd: int, data: bytes) -> bool:
    import signal

    if hasattr(signal, "pthread_sigmask"):
        # With `stty tostop` a background job that writes is stopped for good; blocked, the signal lets the write pass.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    give_up = time.monotonic() + PATIENCE
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # somebody who shares this descriptor made it non-blocking (node does)
            if time.monotonic() > give_up:
                return False
            time.sleep(0.01)
        except OSError:  # EIO: hung up; EPIPE, EBADF: nobody there
            return False
    return True


def is_utf8(environ: Mapping[str, str]) -> bool:
    """Say whether the locale's characters are UTF-8 (POSIX: LC_ALL, then LC_CTYPE, then LANG)."""
    value = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    return value.partition("@")[0].lower().replace("-", "").endswith("utf8")


class Outlet:
    """A descriptor that a person, or a log, reads. Writing never raises, nor waits for longer than ``patience`` s.

    O_NONBLOCK would do the same, but it belongs to the open file and so to the shell as well; and a write that only
    poll() promised may still block. So a thread writes, and nobody waits for one that hangs.
    """

    def __init__(self, fd: int, *, encoding: str, patience: float = PATIENCE) -> None:
        self.fd = fd
        self._encoding = encoding
        self._patience = patience
        self._writer: threading.Thread | None = None

    @property
    def stuck(self) -> bool:
        """Say whether an earlier write still hangs."""
        return self._writer is not None and self._writer.is_alive()

    def write(self, text: str) -> bool:
        """Write text in one piece; False if it did not get through."""
        import threading

        if self.stuck:
            return False
        if self._encoding != "utf-8":
            text = text.replace("…", "...")
        data = text.encode(self._encoding, "replace")
        done: list[bool] = []
        self._writer = threading.Thread(target=lambda: done.append(_write_all(self.fd, data)), daemon=True)
        try:
            self._writer.start()
        except RuntimeError:  # no more threads (ulimit -u): better to risk a wait than to be silent
            self._writer = None
            return _write_all(self.fd, data)
        self._writer.join(self._patience)
        return done == [True]


class Screen(Outlet):
    """Where a prompt goes: a terminal, or under ``always`` whatever stderr is."""

    def __init__(self, fd: int, *, owned: bool, encoding: str, patience: float = PATIENCE) -> None:
        super().__init__(fd, encoding=encoding, patience=patience)
        self._owned = owned
        self._held = False
        self.is_terminal = os.isatty(fd)
        self._device = _device(fd) if self.is_terminal else None
        self.key = _key(fd, self._device)

    def ready(self) -> bool:
        """Say whether the terminal takes lines now (ICANON) and is ours to write on: we are its foreground job."""
        return takes_lines(self.fd) and in_foreground(self.fd)

    def size(self) -> tuple[int, int]:
        """Return columns and lines; (0, 0): unknown."""
        try:
            columns, lines = os.get_terminal_size(self.fd)
        except OSError:
            return (0, 0)
        return (columns, lines)

    def claim(self) -> bool:
        """Reserve the terminal for our prompt, without waiting; False: another process has one up.

        Where there is no lock to be had (another user's device after su, macOS, Windows) the claim is granted: two
        prompts are better than none.
        """
        if self._held or self._device is None:
            return True
        import fcntl

        try:
            fcntl.flock(self._device, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        self._held = True
        return True

    def release(self) -> None:
        """Let others prompt here."""
        if self._held and self._device is not None:
            import fcntl

            fcntl.flock(self._device, fcntl.LOCK_UN)
        self._held = False

    def close(self) -> None:
        """Close what was opened here, the lock with it."""
        self._held = False
        if self._device is not None:
            os.close(self._device)
            self._device = None
        if self._owned and not self.stuck:  # a hanging write would go on into whatever gets the number next
            os.close(self.fd)
            self._owned = False


def keyboard_of(screen: Screen | None, *, encoding: str) -> Screen:
    """Return the terminal to type on: the screen, or ours (/dev/tty) where that is a pipe, or written to only.

    Raises InteractionRequired.
    """
    path = "CONIN$"
    if sys.platform != "win32":
        import fcntl

        if screen is not None and screen.is_terminal:
            mode = fcntl.fcntl(screen.fd, fcntl.F_GETFL) & os.O_ACCMODE
            if mode == os.O_RDWR:
                return screen
        path = "/dev/tty"
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_NOCTTY", 0))
    except OSError:
        raise InteractionRequired("there is no terminal to type on", hint="run it in a terminal") from None
    return Screen(fd, owned=True, encoding=encoding)


def is_silenced(fd: int) -> bool:
    """Say whether nobody wants to hear what goes to a descriptor: it is closed, or /dev/null."""
    try:
        return _same_device(os.fstat(fd), os.devnull)
    except OSError:
        return True


def open_terminal(stderr_fd: int) -> tuple[int, bool] | None:
    """Find where a person can be asked: (descriptor, whether we opened it), or None.

    stderr if it is a terminal, else /dev/tty unless stderr is /dev/null: somebody asked for silence (shell completion
    does, while a /dev/tty stands open).
    """
    if os.isatty(stderr_fd):
        return stderr_fd, False
    if is_silenced(stderr_fd):
        return None
    try:
        if sys.platform == "win32":
            os.close(os.open("CONIN$", os.O_RDWR))
            return os.open("CONOUT$", os.O_WRONLY | os.O_BINARY), True
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY), True
    except OSError:  # there is no controlling terminal
        return None


def takes_lines(fd: int) -> bool:
    """Say whether a terminal is in canonical mode; full-screen programs, watch, less and a shell inside TAB are not."""
    if sys.platform == "win32":
        return True
    import termios

    try:
        return bool(termios.tcgetattr(fd)[3] & termios.ICANON)
    except (termios.error, OSError):
        return False


def _same_device(status: os.stat_result, path: str) -> bool:
    import stat

    try:
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(path).st_rdev
    except OSError:
        return False


def _device(fd: int) -> int | None:
    """Open a terminal's own device, for a lock that all its processes share and no other terminal does.

    The descriptor that we were given will not do: its open file, and so its flock, is shared with the shell. Nor
    will /dev/tty: it is one file for every terminal of the machine.
    """
    if sys.platform == "win32":
        return None
    indirect = _same_device(os.fstat(fd), "/dev/tty")
    wanted = None if indirect else os.fstat(fd).st_rdev
    for path in _controlling_terminal() if indirect else (f"/proc/self/fd/{fd}", *_name(fd)):
        try:
            # Read-only: we lock and never read. O_NONBLOCK: a modem line would wait for its carrier.
            device = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            continue
        status = os.fstat(device)
        if os.isatty(device) and not _same_device(status, "/dev/tty") and wanted in (None, status.st_rdev):
            return device
        os.close(device)
    return None


def _name(fd: int) -> tuple[str, ...]:
    try:
        return (os.ttyname(fd),)
    except OSError:  # a terminal of another mount namespace: docker exec -t
        return ()


def _controlling_terminal() -> tuple[str, ...]:
    """Return paths by which the device behind /dev/tty may be opened.

    Linux tells its number in field 7 of /proc/self/stat (proc(5)); elsewhere a standard descriptor is often open on it.
    """
    try:
        with open("/proc/self/stat", "rb") as file:
            number = int(file.read().rpartition(b")")[2].split()[4])
    except (OSError, ValueError, IndexError):
        return tuple(name for fd in range(3) if _is_controlling(fd) for name in _name(fd))
    major, minor = os.major(number), os.minor(number)
    if 136 <= major <= 143:  # Unix98 pseudo-terminals, Documentation/admin-guide/devices.txt
        return (f"/dev/pts/{(major - 136) * 256 + minor}",)
    return ("/dev/" + os.path.basename(os.path.realpath(f"/sys/dev/char/{major}:{minor}")),)


def _is_controlling(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) > 0
    except OSError:
        return False


def _key(fd: int, device: int | None) -> str:
    """Name a terminal for ``Prompt.shown_on``: two that are open never share a name, nor does the next of its number.

    A pseudo-terminal's ctime is when it was opened; a pipe's and a file's would be its last write.
    """
    if device is None and _same_device(os.fstat(fd), "/dev/tty"):
        return f"session-{os.getsid(0)}"
    status = os.fstat(fd if device is None else device)
    key = f"{status.st_dev:x}-{status.st_ino:x}"
    return f"{key}-{status.st_ctime_ns:x}" if os.isatty(fd) else key


def in_foreground(fd: int) -> bool:
    """Say whether we are the terminal's foreground job; a terminal that does not control us knows no job of ours."""
    if sys.platform == "win32":
        return True
    import errno

    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError as error:
        return error.errno == errno.ENOTTY  # not our controlling terminal; anything else: hung up
