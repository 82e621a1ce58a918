"""One 0600 file per session, replaced atomically; its refresh token in the OS keyring where one is usable.

Readers take no lock; whoever writes holds the session's. The order of a save is: keyring, session file, then delete
what the old file pointed to, so that a process killed in between leaves nothing unreadable. Whoever writes or erases
a session empties ``replies/``. What stands beside ``ID.json`` is in session_notes.py, but for ``ID.lock``.
"""

from __future__ import annotations

import os
import re
from typing import Literal, Protocol

import msgspec

from credential_helper.errors import NewerFormat, StoreError
from credential_helper.model import Secret, Session
from credential_helper.stores.encoding import decode, encode, newer, version_of
from credential_helper.stores.private_files import State
from credential_helper.stores.replacing import Reservation
from credential_helper.stores.session_notes import FOLDER, SessionNotes, file_name
from credential_helper.text import Note

Store = Literal["auto", "keyring", "file", "none"]

_VERSION = 1
_RECORD = r"(?:session/)?[0-9a-f]{32}"  # the name of a keyring's record; before, sessions had no namespace of their own


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


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """What a session file holds; ``id`` says that it was not copied here from another name."""

    version: int
    id: str
    session: Session


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A session, and the stamp of the file it was read from."""

    session: Session
    stamp: str
    moved: str | None = None  # why the refresh token has left the keyring for the file, with this very save


def new_record(label: str) -> tuple[str, str]:
    """Name a record of the keyring: 128 random bits for us, and a label that a person recognises."""
    return f"session/{os.urandom(16).hex()}", label


class Sessions:
    """The sessions of one state directory."""

    def __init__(self, state: State, keyring: Keyring, *, note: Note) -> None:
        self.state = state
        self.notes = SessionNotes(state)
        self._keyring = keyring
        self._note = note

    # --- reading, without a lock ---

    def read(self, session_id: str) -> Stored | None:
        """Return a session; None where there is none or the file is damaged.

        StoreError: unsafe or unavailable; NewerFormat: a later version of this program has written it.
        """
        found = self.state.read(file_name(session_id, "json"))
        if found is None:
            return None
        content, stamp = found
        session = _decoded(content, session_id)
        if session is None:
            if (version_of(content) or 0) > _VERSION:
                raise newer("the sign-in", self.state.locate(file_name(session_id, "json")))
            self._note(f"the session file {session_id[:8]}… is damaged or of another version: it counts as absent")
            return None
        return Stored(session=session, stamp=stamp)

    def look(self, session_id: str) -> Stored | None:
        """Return a session as ``read`` does, None for one of a newer version too: for whoever looks through them all.

        StoreError: unsafe or unavailable.
        """
        try:
            return self.read(session_id)
        except NewerFormat as error:
            self._note(error.sentence)
            return None

    def stamp(self, session_id: str) -> str:
        """Return the stamp of a session's file as it is now, to see whether somebody wrote it."""
        return self.state.stamp(file_name(session_id, "json"))

    def ids(self, *endings: str) -> list[str]:
        """List the ids that have a file of one of these endings: json, prompt, failure."""
        parts = [name.partition(".") for name in self.state.names(FOLDER)]
        return sorted({name for name, _, ending in parts if ending in endings})

    def refresh_token(self, session: Session) -> Secret | None:
        """Return the refresh token, wherever it lives; None: there is none. StoreError: it cannot be had now."""
        if session.in_keyring and session.record is not None:
            return self._keyring.read(*session.record)
        return session.refresh_token

    # --- writing, under the session's lock ---

    def take_up(self, session_id: str) -> None:
        """Finish a save whose writer was killed, or could not rename its file: what it had spent is in there."""
        self.state.take_up(file_name(session_id, "json"), lambda content: _decoded(content, session_id) is not None)

    def reserve(self, session_id: str) -> Reservation:
        """Open and fill the file that the next save will need; before the request whose answer must not be lost."""
        return self.state.reserve(file_name(session_id, "json"))

    def save(
        self,
        session_id: str,
        session: Session,
        *,
        store: Store = "auto",
        refresh_token: Secret | None = None,
        reservation: Reservation | None = None,
    ) -> Stored:
        """Keep a session. ``refresh_token`` is a new one to keep; without it the session's own stays where it is."""
        old = self._before(session_id)
        reason: str | None = None
        if refresh_token is not None:
            session, reason = self._place(session, refresh_token, store)
        content = encode(_File(version=_VERSION, id=session_id, session=session))
        with reservation or self.reserve(session_id) as place:
            stamp = place.commit(content, sync_folder=refresh_token is not None, precious=True)
        self.state.empty("replies")
        if (
            old is not None
            and old.in_keyring
            and old.record
            and not (session.in_keyring and session.record == old.record)
        ):
            self._forget_record(old.record)
        moved = old is not None and old.in_keyring and session.refresh_token is not None
        return Stored(session=session, stamp=stamp, moved=reason if moved else None)

    def _before(self, session_id: str) -> Session | None:
        """Return the session that is replaced. That it cannot be read is no reason to lose what takes its place."""
        try:
            stored = self.read(session_id)
        except StoreError as error:
            self._note(error.sentence)
            return None
        return stored.session if stored is not None else None

    def _place(self, session: Session, refresh_token: Secret, store: Store) -> tuple[Session, str | None]:
        """Put a new refresh token into the keyring where one is usable, else into the session; say why not there."""
        nowhere = msgspec.structs.replace(session, refresh_token=None, in_keyring=False)
        if store == "none":
            return nowhere, None
        reason: str | None = None
        if store in ("auto", "keyring") and (record := session.record) is not None:
            record = record if "/" in record[0] else new_record(record[1])
            try:
                if self._keyring.usable("keyring" if store == "keyring" else "auto"):
                    self._keyring.write(*record, refresh_token)
                    return msgspec.structs.replace(nowhere, record=record, in_keyring=True), None
                reason = "no keyring is usable"
            except StoreError as error:
                reason = error.sentence
            if store == "keyring":
                self._note(f"the refresh token is not kept: {reason}")
                return nowhere, reason
            self._note(f"the refresh token is kept in the session file: {reason}")
        return msgspec.structs.replace(session, refresh_token=refresh_token, in_keyring=False), reason

    def erase(self, session_id: str) -> None:
        """Remove a session with all that stands beside it, but not its lock: that one others may wait for."""
        before = self.read(session_id)
        for ending in ("json", "failure", "prompt", "told", "window"):
            for name in (ending, f"{ending}.new"):
                self.state.remove(file_name(session_id, name))
        self.state.empty("replies")
        if before is not None and before.session.record is not None:
            self._forget_record(before.session.record)

    def _forget_record(self, record: tuple[str, str]) -> None:
        try:
            self._keyring.delete(*record)
        except StoreError as error:
            self._note(f"the keyring keeps an old record: {error.sentence}")

    def lock_name(self, session_id: str) -> str:
        """Return the lock file's name within the state directory."""
        return file_name(session_id, "lock")


def _decoded(content: bytes, session_id: str) -> Session | None:
    """Return the session in a file; None: it is damaged, of another format, or another session's.

    A record that is not of the form that we draw is none: a file must not have us read, overwrite or delete what
    somebody else keeps in the keyring, a secret of ``secret set`` for one.
    """
    file = decode(content, _File)
    if file is None or file.version != _VERSION or file.id != session_id:
        return None
    record = file.session.record
    return file.session if record is None or re.fullmatch(_RECORD, record[0]) else None
