"""A state directory and a keyring that many processes share."""

from __future__ import annotations

from pathlib import Path

from credential_helper.stores.passwords import INDEX, Passwords, Storage
from credential_helper.stores.private_files import State
from tests.helpers.clock import FakeClock
from tests.helpers.keyrings import FolderKeyring


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
