"""A state directory and a keyring that many processes share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from credential_helper.errors import StoreError
from credential_helper.model import Secret
from credential_helper.stores.passwords import INDEX, Passwords, Storage
from credential_helper.stores.private_files import State
from tests.helpers.clock import FakeClock


class FolderKeyring:
    """A keyring that several processes share: a file a record. ``refuses`` are the calls that fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.refuses: set[str] = set()
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda _call: None

    def usable(self, store: Literal["auto", "keyring"]) -> bool:
        return store in ("auto", "keyring") and "write" not in self.refuses

    def read(self, name: str, username: str) -> Secret | None:
        path = self._path("read", name, username)
        return Secret(path.read_text()) if path.exists() else None

    def write(self, name: str, username: str, secret: Secret) -> None:
        self._path("write", name, username).write_text(secret.reveal())

    def delete(self, name: str, username: str) -> None:
        self._path("delete", name, username).unlink(missing_ok=True)

    def names(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def _path(self, call: str, name: str, username: str) -> Path:
        assert len(name) == 32
        assert username
        self.calls.append(call)
        self.before(call)
        if call in self.refuses:
            raise StoreError("the keyring is locked", hint="unlock the keyring")
        return self.folder / name


class House:
    """A state directory, a keyring, and what was said."""

    def __init__(self, folder: Path, clock: FakeClock | None = None) -> None:
        self.state = State(str(folder / "state"))
        self.keyring = FolderKeyring(folder / "keyring")
        self.clock = clock or FakeClock()
        self.notes: list[str] = []

    def passwords(self, storage: Storage) -> Passwords:
        return Passwords(self.state, self.keyring, storage=storage, clock=self.clock, note=self.notes.append)

    @property
    def index(self) -> Path:
        return Path(self.state.locate(INDEX))

    def on_disk(self) -> bytes:
        return b"".join(file.read_bytes() for file in Path(str(self.state.path)).rglob("*") if file.is_file())
