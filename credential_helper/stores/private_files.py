"""Private files under one private directory: judged before they are trusted, replaced and never rewritten in place.

*Damaged* is for the caller to find (the content). *Too open to read but ours* is closed with chmod. *Unsafe* (our
folder or a file in it is a symlink, somebody else's, or writable by others) and *unavailable* (cannot be made,
read-only, full) raise StoreError; whoever catches it answers without the disk. Only our own folder and below are
judged, its parents may be symlinks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from credential_helper import places
from credential_helper.errors import StoreError

_HEADROOM = 16 * 1024  # bytes that a session may grow by from one save to the next
_HINT = "set CREDENTIAL_HELPER_STATE_DIR to a folder of yours that nobody else can write"


def _why(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


class State:
    """The state directory; every method raises StoreError where it is unsafe or unavailable."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._judged: set[str] = set()

    def _root(self) -> str:
        if self.path is None:
            raise StoreError(
                "there is no place for the state directory (HOME is not set, or a path is relative)",
                hint="set CREDENTIAL_HELPER_STATE_DIR to an absolute path",
            )
        return self.path

    def locate(self, name: str) -> str:
        """Return the path of ``folder/file``."""
        return os.path.join(self._root(), *name.split("/"))

    def _judge_folder(self, path: str, *, make: bool) -> bool:
        """Say whether the folder is there and private; make it if asked."""
        if path in self._judged:
            return True
        try:
            if make:
                self._make(path)
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode):
                raise StoreError(f"{path} is not a folder (a symbolic link is not followed)", hint=_HINT)
            if not places.ours(status):
                raise StoreError(f"{path} belongs to somebody else", hint=_HINT)
            if places.writable_by_others(status):
                raise StoreError(f"{path} is writable by others", hint=f"chmod 700 {path}, or " + _HINT)
            if not places.private(status):
                os.chmod(path, 0o700)
        except (FileNotFoundError, NotADirectoryError):
            if make:
                raise StoreError(f"{path} cannot be made: one of its parents is not a folder", hint=_HINT) from None
            return False
        except OSError as error:
            raise StoreError(f"{path} cannot be used: {_why(error)}", hint=_HINT) from None
        self._judged.add(path)
        return True

    def _make(self, path: str) -> None:
        try:
            if path == self.path:
                self._make_parents(os.path.dirname(path))
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.lexists(path):
                raise NotADirectoryError from None  # a parent is a file

    def _make_parents(self, folder: str) -> None:
        """Make what is missing for nobody else (XDG Base Directory), whatever the umask: os.makedirs heeds it."""
        if not os.path.isdir(folder):
            self._make_parents(os.path.dirname(folder))
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.mkdir(folder, 0o700)

    def prepare(self, folder: str, *, make: bool = True) -> bool:
        """Judge the state directory and one folder in it, making them if asked; False: not there."""
        return self._judge_folder(self._root(), make=make) and self._judge_folder(self.locate(folder), make=make)

    def _open(self, path: str) -> int | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | places.OPEN_FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            reason = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read: {_why(error)}"
            raise StoreError(f"{path} {reason}", hint=_HINT) from None
        status = os.fstat(descriptor)
        problem = None
        if not stat.S_ISREG(status.st_mode):
            problem = "is not a regular file"
        elif not places.ours(status):
            problem = "belongs to somebody else"
        elif places.writable_by_others(status):
            problem = "is writable by others"
        if problem is not None:
            os.close(descriptor)
            raise StoreError(f"{path} {problem}", hint=f"remove it, or {_HINT}")
        if not places.private(status):
            os.chmod(descriptor if os.chmod in os.supports_fd else path, 0o600)
        return descriptor

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return a file's content and the stamp that it had before it was read; None: not there."""
        if not self.prepare(name.rpartition("/")[0], make=False):
            return None
        path = self.locate(name)
        descriptor = self._open(path)
        if descriptor is None:
            return None
        try:
            with os.fdopen(descriptor, "rb") as file:
                stamp = places.stamp(os.fstat(file.fileno()))
                return file.read(), stamp
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {_why(error)}", hint=_HINT) from None

    def stamp(self, name: str) -> str:
        """Return the stamp of a file as it is now, places.ABSENT where there is none."""
        try:
            return places.stamp(os.lstat(self.locate(name)))
        except OSError:
            return places.ABSENT

    def reserve(self, name: str) -> Reservation:
        """Open the file that will replace ``name`` and fill it, so that the disk is known to hold what comes."""
        self.prepare(name.rpartition("/")[0])
        path = self.locate(name)
        try:
            old = os.lstat(path).st_size
        except OSError:
            old = 0
        return Reservation(path, old + _HEADROOM)

    def write(self, name: str, content: bytes) -> str:
        """Replace a file that could be had again, so without waiting for the disk; return its stamp."""
        with self.reserve(name) as reservation:
            return reservation.commit(content, durable=False)

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        try:
            os.unlink(self.locate(name))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise StoreError(f"{self.locate(name)} cannot be removed: {_why(error)}") from None

    def names(self, folder: str) -> list[str]:
        """List the files of a folder, sorted."""
        if not self.prepare(folder, make=False):
            return []
        try:
            return sorted(os.listdir(self.locate(folder)))
        except OSError as error:
            raise StoreError(f"{self.locate(folder)} cannot be listed: {_why(error)}") from None

    def empty(self, folder: str) -> None:
        """Remove every file of a folder; what cannot be removed is passed over."""
        try:
            for name in self.names(folder):
                os.unlink(os.path.join(self.locate(folder), name))
        except (OSError, StoreError):
            pass


class Reservation:
    """``NAME.new``, open, filled and ours; becomes NAME by ``commit``, or is gone at the end of the block.

    The name is fixed, so a killed writer leaves at most one file, which the next save overwrites.
    """

    def __init__(self, path: str, size: int) -> None:
        self._path = path
        self._new = path + ".new"
        self._done = False
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | places.OPEN_FLAGS
        try:
            self._descriptor = os.open(self._new, flags, 0o600)
        except OSError as error:
            raise StoreError(f"{self._new} cannot be written: {_why(error)}", hint=_HINT) from None
        try:
            status = os.fstat(self._descriptor)
            if not places.ours(status) or places.writable_by_others(status):
                raise StoreError(f"{self._new} is not ours alone", hint=f"remove it, or {_HINT}")
            if not places.private(status):
                os.chmod(self._new, 0o600)
            self._fill(size)
        except OSError as error:
            self.discard()
            raise StoreError(f"{self._new} cannot be written: {_why(error)}", hint=_HINT) from None
        except BaseException:  # Ctrl-C, too
            self.discard()
            raise

    def _fill(self, size: int) -> None:
        """Write real bytes: a sparse file would prove nothing about the disk."""
        _write_all(self._descriptor, b" " * size)

    def commit(self, content: bytes, *, durable: bool = True, sync_folder: bool = False) -> str:
        """Write, sync, replace; return the stamp of the file as it then stands.

        ``durable`` waits until the disk has the content, ``sync_folder`` until it has the new name too.
        """
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            _write_all(self._descriptor, content)
            os.ftruncate(self._descriptor, len(content))
            if durable:
                os.fsync(self._descriptor)
            _replace(self._new, self._path)
            self._done = True
            if sync_folder:
                _sync_folder(os.path.dirname(self._path))
            return places.stamp(os.fstat(self._descriptor))
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {_why(error)}", hint=_HINT) from None
        finally:
            self.discard()

    def discard(self) -> None:
        """Close, and remove what did not become the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if not self._done:
            self._done = True
            with contextlib.suppress(OSError):
                os.unlink(self._new)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _replace(source: str, target: str) -> None:
    if not places.WINDOWS:
        os.replace(source, target)
        return
    import time  # another process that reads the target makes Windows refuse for a moment

    for attempt in range(40):
        try:
            os.replace(source, target)
        except PermissionError:
            if attempt == 39:
                raise
            time.sleep(0.05)
        else:
            return


def _sync_folder(folder: str) -> None:
    if places.WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
