"""A file for a library that reads secrets from files only: nobody else can open it, and it is gone at once.

- Linux: a file in memory (memfd) without a name on any disk, read as /proc/self/fd/N.
- Elsewhere, and where /proc is not there: a 0600 file in a 0700 folder of a random name, both removed when the library
  has read it. Of the places for it, XDG_RUNTIME_DIR comes first: it is in memory where there is one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

_PLACES = ("XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "LOCALAPPDATA")


@contextlib.contextmanager
def holding(data: bytes, environ: Mapping[str, str], *, memory: bool = True) -> Iterator[str]:
    """Give the path of a file that holds ``data``, within this block only; ``memory`` False: not one in memory.

    Raises OSError where none can be made.
    """
    descriptor = _in_memory(data) if memory else None
    if descriptor is None:
        with _in_a_folder(data, environ) as path:
            yield path
        return
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _in_memory(data: bytes) -> int | None:
    """Return the descriptor of a file in memory; None: this system has none that can be opened by a path."""
    if not hasattr(os, "memfd_create"):
        return None
    try:
        descriptor = os.memfd_create("credential-helper", os.MFD_CLOEXEC)
    except OSError:  # a sandbox that knows no such call
        return None
    try:
        _write(descriptor, data)
        if os.path.exists(f"/proc/self/fd/{descriptor}"):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


@contextlib.contextmanager
def _in_a_folder(data: bytes, environ: Mapping[str, str]) -> Iterator[str]:
    folder = _private_folder(environ)
    path = os.path.join(folder, "file")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            _write(descriptor, data)
        finally:
            os.close(descriptor)
        yield path
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _private_folder(environ: Mapping[str, str]) -> str:
    """Make a folder that only we can enter; mkdir makes it with that mode, and never takes one that is there."""
    places = [place for name in _PLACES if os.path.isabs(place := environ.get(name, ""))]
    failed = OSError("no folder for a private file")
    for place in (*places, "/tmp"):  # noqa: S108 - the name is random, and nobody else can enter it
        folder = os.path.join(place, f"credential-helper-{os.urandom(16).hex()}")
        try:
            os.mkdir(folder, 0o700)
        except OSError as error:
            failed = error
            continue
        return folder
    raise failed


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
