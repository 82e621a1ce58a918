"""Grants on disk: one 0600 file each, replaced atomically, with the refresh token in it, sealed where a keyring is.

The key that opens a sealed refresh token is the keyring's. It is made before the first token is asked for, so a renewal
reads the keyring once and never writes it, and a keyring that locks, lies or is slow in the middle loses nothing.
"""

from __future__ import annotations

import os
from typing import Literal, Protocol

import msgspec

from credential_helper.errors import NewerFormat, StoreError
from credential_helper.model import Secret
from credential_helper.session import Grant
from credential_helper.stores.encoding import encode
from credential_helper.stores.grant_files import GrantFile, grant_in, require_known
from credential_helper.stores.grant_notes import BESIDE, GRANTS, file_name
from credential_helper.stores.private_files import State
from credential_helper.stores.replacing import Reservation
from credential_helper.text import Note

Store = Literal["auto", "keyring", "file", "none"]


class Keyring(Protocol):
    """The OS keyring, as stores.os_keyring offers it; every method may raise StoreError."""

    def usable(self, store: Literal["auto", "keyring"]) -> bool:
        """Say whether secrets of this machine's user can be kept there."""

    def read(self, name: str, username: str) -> Secret | None:
        """Return the secret of a record, None where there is none."""

    def write(self, name: str, username: str, secret: Secret) -> None:
        """Keep a secret, and read it back."""

    def delete(self, name: str, username: str) -> None:
        """Remove a record if it is there."""


class Grants:
    """The grants of one state directory."""

    def __init__(self, state: State, keyring: Keyring, *, note: Note) -> None:
        self.state = state
        self._keyring = keyring
        self._note = note
        self._keys: dict[tuple[str, str], Secret] = {}  # by record, as this process has had them from the keyring
        self._records: dict[str, tuple[str, str]] = {}  # what such a key is called, where no file may be written yet

    # --- reading, without a lock ---

    def read(self, grant_id: str) -> GrantFile | None:
        """Return the file of a grant; None where there is none or it is damaged.

        StoreError: unsafe or unavailable; NewerFormat: a later version of this program has written it.
        """
        name = file_name(grant_id, "json")
        found = self.state.read(name)
        if found is None:
            return None
        require_known(found[0], self.state.locate(name))
        file = grant_in(found[0], grant_id)
        if file is None:
            self._note(f"the file of the sign-in {grant_id[:8]}… is damaged or of another version: it counts as absent")
        return file

    def look(self, grant_id: str) -> GrantFile | None:
        """Return the file of a grant, None for one of a newer version too: for whoever looks through them all.

        StoreError: unsafe or unavailable.
        """
        try:
            return self.read(grant_id)
        except NewerFormat as error:
            self._note(error.sentence)
            return None

    def before(self, grant_id: str) -> GrantFile | None:
        """Return the file that is replaced. That it cannot be read is no reason to lose what takes its place."""
        try:
            return self.read(grant_id)
        except StoreError as error:
            self._note(error.sentence)
            return None

    def standing(self, grant_id: str) -> Grant | None:
        """Return the grant that stands, or what has arrived and is not verified yet; None: neither, or it is damaged.

        Raises as ``read`` does.
        """
        file = self.read(grant_id)
        return None if file is None else file.latest

    def ids(self, *endings: str) -> list[str]:
        """List the ids that have a file of one of these endings: json, prompt, failure."""
        return self.state.stems(GRANTS, *endings)

    def refresh_token(self, grant_id: str, grant: Grant) -> Secret | None:
        """Return a grant's refresh token; None: there is none, or its key is gone. StoreError: it cannot be had now."""
        if grant.record is not None:
            return self._keyring.read(*grant.record)
        if grant.sealed is None:
            return grant.refresh_token
        from credential_helper.stores import sealing  # as everywhere here: for what is kept in a keyring

        file = self.read(grant_id)
        key = self._key(file.key) if file is not None and file.key is not None else None
        return None if key is None else sealing.unseal(grant.sealed, key, grant_id)

    def _key(self, record: tuple[str, str]) -> Secret | None:
        if record not in self._keys:
            from credential_helper.stores import sealing

            key = self._keyring.read(*record)
            if key is None or not sealing.usable(key):
                return None
            self._keys[record] = key
        return self._keys[record]

    # --- writing, under the grant's lock ---

    def prepare(self, grant_id: str, store: Store, label: str) -> str | None:
        """Have a key for what is asked for next, before it is asked for; return why there is none.

        The file names the key before the keyring has it, so none is ever left there that no file names. ``label`` is
        what a person knows it by. StoreError: the disk.
        """
        if store in ("none", "file"):
            return None
        from credential_helper.stores import sealing

        newer, file = False, GrantFile(id=grant_id)
        try:
            file = self.read(grant_id) or file
        except NewerFormat:  # it is kept until there is something to take its place
            newer = True
        try:
            if not self._keyring.usable("keyring" if store == "keyring" else "auto"):
                return "no keyring is usable"
            if file.key is not None and self._key(file.key) is not None:
                return None
        except StoreError as error:
            return error.sentence
        record = file.key or (f"grant/{os.urandom(16).hex()}", label)
        if newer:
            self._records[grant_id] = record
        elif file.key is None:
            self.write(msgspec.structs.replace(file, key=record))
        key = sealing.new_key()
        try:
            self._keyring.write(*record, key)
        except StoreError as error:
            return error.sentence
        self._keys[record] = key
        return None

    def new_file(self, grant_id: str) -> GrantFile:
        """Return what a grant's file holds before anybody has signed in."""
        return GrantFile(id=grant_id, key=self._records.get(grant_id))

    def holding(self, file: GrantFile, grant: Grant, refresh_token: Secret, store: Store) -> Grant:
        """Return a grant with a new refresh token: sealed if the key is at hand, else in clear if it may be."""
        grant = msgspec.structs.replace(grant, refresh_token=None, sealed=None, record=None)
        if store == "none":
            return grant
        key = self._keys.get(file.key) if file.key is not None and store != "file" else None
        if key is not None:
            from credential_helper.stores import sealing

            sealed = sealing.seal(refresh_token, key, file.id)
            return msgspec.structs.replace(grant, sealed=sealed)
        return grant if store == "keyring" else msgspec.structs.replace(grant, refresh_token=refresh_token)

    def take_up(self, grant_id: str) -> None:
        """Finish a save whose writer was killed, or could not rename its file: what it had spent is in there."""
        self.state.take_up(file_name(grant_id, "json"), lambda content: grant_in(content, grant_id) is not None)

    def reserve(self, grant_id: str) -> Reservation:
        """Open and fill the file that the next save will need; before the request whose answer must not be lost."""
        return self.state.reserve(file_name(grant_id, "json"))

    def write(self, file: GrantFile, reservation: Reservation | None = None) -> None:
        """Replace the file of a grant."""
        with reservation or self.reserve(file.id) as ready:
            ready.commit(encode(file), sync_folder=True, precious=True)

    def restore(self, grant_id: str) -> Grant | None:
        """Forget what a sign-in brought that has failed its check; return the grant that stands again, if any."""
        file = self.before(grant_id)
        if file is None or file.grant is None:
            return None
        if file.arrival is not None:
            self.write(msgspec.structs.replace(file, arrival=None))
        return file.grant

    def erase(self, grant_id: str) -> None:
        """Remove a grant and all that stands beside it, but not its lock: others may wait for that one."""
        file = self.before(grant_id)
        self.state.remove_all(f"{GRANTS}/{grant_id}", ("json", *BESIDE))
        if file is not None:
            self.forget_record(file.key)
            self.forget_record(file.grant.record if file.grant is not None else None)

    def forget_record(self, record: tuple[str, str] | None) -> None:
        """Delete a record of the keyring, if there is one."""
        try:
            if record is not None:
                self._keyring.delete(*record)
        except StoreError as error:
            self._note(f"the keyring keeps an old record: {error.sentence}")

    def lock_name(self, grant_id: str) -> str:
        """Return the lock file's name within the state directory."""
        return file_name(grant_id, "lock")
