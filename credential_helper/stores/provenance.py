"""Who wrote a file: the proof that this program did, in this very folder, where the folder itself proves nothing.

CREDENTIAL_HELPER_STATE_DIR and XDG_STATE_HOME may name a folder that came with somebody's checkout or archive. It is
ours by owner, and private if they wanted it so: who reads its metadata sends a secret wherever they say. So in a state
directory that is not the default one every file begins with a keyed digest of its name and its content; without a
right one it counts as absent.

The key is made of an empty file, ``origin-…``: of the random digits in its name, its inode's number and its change
time. Who brings files cannot know the last two, because the system assigns them on arrival; who adds files later cannot
know the first. So nothing has to be kept outside the folder, and a folder that was copied is not taken over.

Its modification time is set to 0. A file system whose change time is no more than the modification time (FAT) shows
itself by that, and keys are not made there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from credential_helper import places
from credential_helper.errors import StoreError

_PREFIX = b"credential-helper wrote this here: "
_DIGITS = 64
_NAME = r"origin-[0-9a-f]{32}"
_MOST = 16  # of such files there is one, or a few where several processes came first; more are not ours


class Provenance:
    """The proofs of one state directory."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._kept: bytes | None = None  # the key that this process writes with

    def prove(self, name: str, content: bytes) -> bytes:
        """Return content with its proof. StoreError: no key can be made."""
        if self._kept is None:
            self._kept = next(iter(self._keys()), None) or self._make()
        return _PREFIX + _digest(self._kept, name, content) + b"\n" + content

    def proven(self, name: str, content: bytes) -> bytes | None:
        """Return the content without its proof; None: this program did not write it here under this name."""
        import hmac

        head, _, body = content.partition(b"\n")
        if not head.startswith(_PREFIX) or len(head) != len(_PREFIX) + _DIGITS:
            return None
        body = body.rstrip(b" ")  # a file that could not be cut to its length
        given = head[len(_PREFIX) :]
        right = [hmac.compare_digest(_digest(key, name, body), given) for key in self._keys()]
        return body if any(right) else None

    def origin(self) -> str:
        """Return the name of a file that cannot have been brought here as it is now. StoreError: none can be made."""
        name = next(self._origins(), None)
        if name is None:
            self._kept = self._make()
            name = next(self._origins())
        return name

    def _keys(self) -> list[bytes]:
        return [key for name in self._origins() if (key := self._key(name)) is not None]

    def _origins(self) -> Iterator[str]:
        try:
            names = sorted(name for name in os.listdir(self._folder) if re.fullmatch(_NAME, name))
        except OSError:
            return
        yield from (name for name in names[:_MOST] if self._key(name) is not None)

    def _key(self, name: str) -> bytes | None:
        import hashlib

        try:
            status = os.lstat(os.path.join(self._folder, name))
        except OSError:
            return None
        if not places.regular(status) or not places.private(status) or status.st_mtime_ns != 0:
            return None
        # On Windows st_ctime_ns is the time of birth up to Python 3.11; later that has a name of its own.
        changed = getattr(status, "st_birthtime_ns", status.st_ctime_ns) if places.WINDOWS else status.st_ctime_ns
        if changed == 0:
            return None
        return hashlib.sha256(f"{name} {status.st_ino} {changed}".encode()).digest()

    def _make(self) -> bytes:
        name = f"origin-{os.urandom(16).hex()}"
        path = os.path.join(self._folder, name)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | places.OPEN_FLAGS, 0o600))
            os.utime(path, ns=(0, 0))
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
            raise StoreError(f"{path} cannot be written: {reason}", hint=places.ELSEWHERE) from None
        key = self._key(name)
        if key is None:
            raise StoreError(
                f"{self._folder} is on a file system that does not say when a file was changed", hint=places.ELSEWHERE
            )
        return key


def _digest(key: bytes, name: str, content: bytes) -> bytes:
    import hashlib
    import hmac

    return hmac.new(key, name.encode() + b"\0" + content, hashlib.sha256).hexdigest().encode()
