"""Private files under one private directory: judged before they are trusted, replaced and never rewritten in place.

*Damaged* is for the caller to find (the content). *Too open to read but ours* is closed with chmod in the default state
directory; in another one only where nothing is in it yet, because what a checkout brings is ours, too. *Unsafe* (our
folder or a file in it is a symlink, somebody else's, or writable by others) and *unavailable* (cannot be made,
read-only, full) raise StoreError; whoever catches it answers without the disk. Only our own folder and below are
judged, its parents may be symlinks.

In a state directory that is not the default one, a file that this program did not write there counts as absent
(provenance.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Sequence

from credential_helper import places
from credential_helper.errors import StoreError
from credential_helper.stores.provenance import Provenance
from credential_helper.stores.replacing import Reservation, replace, why
from credential_helper.text import Note, silent

_HEADROOM = 16 * 1024  # bytes that a session may grow by from one save to the next
_LONGEST_HEAD = 64 * 1024  # bytes
_HINT = places.ELSEWHERE


class State:
    """The state directory; every method raises StoreError where it is unsafe or unavailable."""

    def __init__(self, path: str | None, *, default: bool = True, note: Note = silent) -> None:
        """``default``: no variable chose this one, so nobody's checkout can have brought it."""
        self.path = path
        self._default = default
        self._note = note
        self._provenance = None if default or path is None else Provenance(path)
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
                self._close_folder(path)
        except (FileNotFoundError, NotADirectoryError):
            if make:
                raise StoreError(f"{path} cannot be made: one of its parents is not a folder", hint=_HINT) from None
            return False
        except OSError as error:
            raise StoreError(f"{path} cannot be used: {why(error)}", hint=_HINT) from None
        self._judged.add(path)
        return True

    def _close_folder(self, path: str) -> None:
        """Close what others can read. What is in another than the default state directory is not adopted by that."""
        if not self._default and os.listdir(path):
            raise StoreError(
                f"{path} can be read by others, so what is in it may be anybody's",
                hint=f"if it is yours: chmod 700 {path}; or {_HINT}",
            )
        os.chmod(path, 0o700)

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
            reason = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read: {why(error)}"
            raise StoreError(f"{path} {reason}", hint=_HINT) from None
        status = os.fstat(descriptor)
        problem = None
        if not places.regular(status):
            problem = "is not a regular file"
        elif not places.ours(status):
            problem = "belongs to somebody else"
        elif places.writable_by_others(status):
            problem = "is writable by others"
        elif not self._default and not places.private(status):
            problem = "can be read by others"
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
        return self._content(name, self.locate(name))

    def _content(self, name: str, path: str) -> tuple[bytes, str] | None:
        """Read ``path``, which holds what was written as ``name``."""
        descriptor = self._open(path)
        if descriptor is None:
            return None
        try:
            with os.fdopen(descriptor, "rb") as file:
                stamp = places.stamp(os.fstat(file.fileno()))
                content: bytes | None = file.read()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {why(error)}", hint=_HINT) from None
        if self._provenance is not None and content is not None:
            content = self._provenance.proven(name, content)
        if content is None:
            self._note(f"{path} was not written there by this program: it counts as absent")
            return None
        return content, stamp

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
        provenance = self._provenance
        if provenance is None:
            return Reservation(path, old + _HEADROOM)
        provenance.prove(name, b"")  # where there can be no key, nothing is spent that has to be kept
        return Reservation(path, old + _HEADROOM, prove=lambda content: provenance.prove(name, content))

    def write(self, name: str, content: bytes) -> str:
        """Replace a file that could be had again, so without waiting for the disk; return its stamp."""
        with self.reserve(name) as reservation:
            return reservation.commit(content, durable=False)

    def take_up(self, name: str, whole: Callable[[bytes], bool]) -> None:
        """Put ``NAME.new`` in the place of ``NAME`` if its writer got as far as that, under the lock of its writers.

        It did not where the writer was killed, or the file could not be replaced. ``whole`` says whether content is all
        there; what is not stays for the next writer to overwrite.
        """
        new = self.locate(f"{name}.new")
        if not os.path.lexists(new) or not self.prepare(name.rpartition("/")[0], make=False):
            return
        found = self._content(name, new)
        if found is None or not whole(found[0]):
            return
        try:
            replace(new, self.locate(name))
        except OSError as error:
            raise StoreError(f"{self.locate(name)} cannot be written: {why(error)}", hint=_HINT) from None
        self._note(f"{new} was whole: its writer ended before it had its name")

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        try:
            os.unlink(self.locate(name))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise StoreError(f"{self.locate(name)} cannot be removed: {why(error)}") from None

    def remove_all(self, stem: str, endings: Sequence[str]) -> None:
        """Remove the files of a stem that have these endings, and those that were to take their place."""
        for ending in endings:
            self.remove(f"{stem}.{ending}")
            self.remove(f"{stem}.{ending}.new")

    def names(self, folder: str) -> list[str]:
        """List the files of a folder, sorted."""
        if not self.prepare(folder, make=False):
            return []
        try:
            return sorted(os.listdir(self.locate(folder)))
        except OSError as error:
            raise StoreError(f"{self.locate(folder)} cannot be listed: {why(error)}") from None

    def stems(self, folder: str, *endings: str) -> list[str]:
        """List the names before the first dot of a folder's files that have one of these endings."""
        parts = [name.partition(".") for name in self.names(folder)]
        return sorted({stem for stem, _, ending in parts if ending in endings})

    def empty(self, folder: str) -> None:
        """Remove every file of a folder; what cannot be removed, or is gone by now, is passed over."""
        self._remove_from(folder, lambda _path: True)

    def forget_replies(self, name: str) -> None:
        """Remove the kept answers that stand on a file, as their heads say; what cannot be read is removed, too."""
        line = f"\n{name} ".encode()
        self._remove_from("replies", lambda path: _names(path, line))

    def _remove_from(self, folder: str, goes: Callable[[str], bool]) -> None:
        try:
            paths = [os.path.join(self.locate(folder), name) for name in self.names(folder)]
        except StoreError:
            return
        for path in paths:
            with contextlib.suppress(OSError):
                if goes(path):
                    os.unlink(path)

    def origin(self) -> list[tuple[str, str]]:
        """Return name and stamp of what shows that nobody has brought this folder; [] where a brought one is not used.

        StoreError: nothing does.
        """
        if self._provenance is None:
            return []
        self._judge_folder(self._root(), make=True)
        name = self._provenance.origin()
        return [(name, self.stamp(name))]


def _names(path: str, line: bytes) -> bool:
    """Say whether the head of a file, which ends at the first empty line, has a line that begins so, or none at all."""
    try:
        descriptor = os.open(path, os.O_RDONLY | places.OPEN_FLAGS)
    except OSError:
        return True
    try:
        head, end, _ = os.read(descriptor, _LONGEST_HEAD).partition(b"\n\n")
    finally:
        os.close(descriptor)
    return not end or line in head
