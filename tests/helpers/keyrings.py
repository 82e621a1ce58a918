"""Keyrings that keep what they are given, in memory or in a folder, or fail as they are told to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from credential_helper.errors import StoreError
from credential_helper.model import Secret

_OF_FORMAT_1 = ("session", "")  # they are read and deleted, and none is written any more
_FOLDERS = ("grant", "password", *_OF_FORMAT_1)


class MemoryKeyring:
    """A keyring that keeps what it is given, or fails as it is told to."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], str] = {}
        self.works = True
        self.asks = False  # a person, before it writes anything
        self.calls: list[str] = []

    def usable(self, store: Literal["auto", "keyring"]) -> bool:
        assert store in ("auto", "keyring")
        return self.works

    def read(self, name: str, username: str) -> Secret | None:
        self.calls.append("read")
        self._check()
        value = self.records.get((name, username))
        return None if value is None else Secret(value)

    def write(self, name: str, username: str, secret: Secret) -> None:
        self.calls.append("write")
        self._check()
        if self.asks:
            raise StoreError("the keyring wants to ask a person first")
        self.records[name, username] = secret.reveal()

    def delete(self, name: str, username: str) -> None:
        self.calls.append("delete")
        self._check()
        self.records.pop((name, username), None)

    def _check(self) -> None:
        if not self.works:
            raise StoreError("the keyring is locked", hint="unlock the keyring")


class FolderKeyring:
    """A keyring that several processes share: a file a record. ``refuses`` are the calls that fail, and how."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.refuses: Mapping[str, StoreError] = {}
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda _call: None
        self.after: Callable[[str], None] = lambda _call: None

    def usable(self, store: Literal["auto", "keyring"]) -> bool:
        return store in ("auto", "keyring") and "write" not in self.refuses

    def read(self, name: str, username: str) -> Secret | None:
        path = self._path("read", name, username)
        return Secret(path.read_text()) if path.exists() else None

    def write(self, name: str, username: str, secret: Secret) -> None:
        self._path("write", name, username).write_text(secret.reveal())
        self.after("write")

    def delete(self, name: str, username: str) -> None:
        self._path("delete", name, username).unlink(missing_ok=True)
        self.after("delete")

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def _path(self, call: str, name: str, username: str) -> Path:
        folder, _, own = name.rpartition("/")
        assert username
        assert (folder, own) == ("secret", username) or (folder in _FOLDERS and re.fullmatch("[0-9a-f]{32}", own))
        assert call != "write" or folder not in _OF_FORMAT_1
        self.calls.append(call)
        self.before(call)
        if call in self.refuses:
            raise self.refuses[call]
        return self.folder / own


LOCKED = StoreError("the keyring is locked", hint="unlock the keyring")
