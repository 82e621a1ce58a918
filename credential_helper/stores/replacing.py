"""A file is written beside, synced and put in the place of the old one, and what cannot be had again is not lost there.

The system may refuse any single step (EIO, ESTALE, ENOSPC), after a refresh token has been spent for what is to be
written: the steps that can be done without are, the others are tried again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from credential_helper import places
from credential_helper.errors import StoreError

_HINT = places.ELSEWHERE


def why(error: OSError) -> str:
    """Return the system's reason."""
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


class Reservation:
    """``NAME.new``, open, filled and ours; becomes NAME by ``commit``, or is gone at the end of the block.

    The name is fixed, so a killed writer leaves at most one file, which the next save overwrites.
    """

    def __init__(self, path: str, size: int, *, prove: Callable[[bytes], bytes] = bytes) -> None:
        self._path = path
        self._new = path + ".new"
        self._prove = prove
        self._done = False
        self._descriptor = -1
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | places.OPEN_FLAGS
        try:
            self._descriptor = os.open(self._new, flags, 0o600)
        except OSError as error:
            self._done = True  # what stands there is not ours to remove
            raise StoreError(f"{self._new} cannot be written: {why(error)}", hint=_HINT) from None
        except BaseException:  # a signal that came meanwhile is raised before the descriptor has its name
            self.discard()
            raise
        try:
            status = os.fstat(self._descriptor)
            if not places.regular(status) or not places.ours(status) or places.writable_by_others(status):
                raise StoreError(f"{self._new} is not ours alone", hint=f"remove it, or {_HINT}")
            if not places.private(status):
                os.chmod(self._new, 0o600)
            _write_all(self._descriptor, b" " * size)  # real bytes: a sparse file would prove nothing about the disk
        except OSError as error:
            self.discard()
            raise StoreError(f"{self._new} cannot be written: {why(error)}", hint=_HINT) from None
        except BaseException:  # Ctrl-C, too
            self.discard()
            raise

    def commit(self, content: bytes, *, durable: bool = True, sync_folder: bool = False, precious: bool = False) -> str:
        """Write, sync, replace; return the stamp of the file as it then stands.

        ``durable`` waits until the disk has the content, ``sync_folder`` until it has the new name too. One call of the
        system's that fails does not undo the others: what was written is in the file, synced or not, and the spaces
        that stay behind where it cannot be cut are no part of JSON. ``precious`` content, which cannot be had again,
        stays as ``NAME.new`` where the file cannot be replaced; ``State.take_up`` finds it there.
        """
        proven = self._prove(content)
        try:
            _twice(lambda: self._fill(proven))
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, len(proven))
            if durable:
                _sync(self._descriptor)
            self._done = precious
            replace(self._new, self._path)
            self._done = True
            if sync_folder:
                _sync_folder(os.path.dirname(self._path))
            return places.stamp(os.fstat(self._descriptor))
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {why(error)}", hint=_HINT) from None
        finally:
            self.discard()

    def _fill(self, content: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        _write_all(self._descriptor, content)

    def discard(self) -> None:
        """Close, and remove what did not become the file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with contextlib.suppress(OSError):  # of a network's disk: what it could not write was told by fsync
                os.close(descriptor)
        if not self._done:
            self._done = True
            with contextlib.suppress(OSError):
                os.unlink(self._new)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def _twice(work: Callable[[], None]) -> None:
    """Try again where it fails once: a network's disk (ESTALE), one that has just made room (ENOSPC)."""
    try:
        work()
    except OSError:
        work()


def _sync(descriptor: int) -> None:
    """Have the disk take what was written, if it can (EIO, or a file system without fsync)."""
    with contextlib.suppress(OSError):
        os.fsync(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def replace(source: str, target: str) -> None:
    """Give a file another's name. OSError: it keeps its own, tried twice."""
    _twice(lambda: _replace(source, target))


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
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        _sync(descriptor)
        os.close(descriptor)
