"""Sessions on disk, one 0600 file each, replaced atomically; each is read and saved together with its grant.

Readers take no lock; whoever writes holds the grant's. A refresh token that has rotated is saved before the session
that came with it. What a sign-in brought stands beside the old grant until it is verified; then the session is saved
before the grant. So a process that is killed in between costs a renewal at most. Whoever writes or erases a session
removes the kept answers that stand on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from credential_helper import places
from credential_helper.errors import NewerFormat
from credential_helper.model import Secret
from credential_helper.session import Grant, Place, Session
from credential_helper.stores import format_1
from credential_helper.stores.encoding import encode
from credential_helper.stores.grant_files import (
    Arrival,
    KeptSession,
    SessionFile,
    joined,
    kept,
    require_known,
    session_in,
)
from credential_helper.stores.grant_notes import BESIDE, GrantNotes
from credential_helper.stores.grants import Grants, Keyring, Store
from credential_helper.stores.private_files import State
from credential_helper.stores.replacing import Reservation
from credential_helper.text import Note

_FOLDER = "sessions"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A session with its grant, and the stamp of the session's file; "": it stands in none."""

    session: Session
    stamp: str


class Sessions:
    """The sessions of one state directory, and their grants."""

    def __init__(self, state: State, keyring: Keyring, *, note: Note) -> None:
        self.state = state
        self.grants = Grants(state, keyring, note=note)
        self.notes = GrantNotes(state)
        self._note = note

    # --- reading, without a lock ---

    def read(self, place: Place) -> Stored | None:
        """Return what is kept at a place; None where nobody has signed in or the file is damaged.

        A session without tokens is returned of a grant that has none there, and of a sign-in for another session that
        is not verified yet. StoreError: unsafe or unavailable; NewerFormat: a later version has written it.
        """
        file = self.grants.read(place.grant)
        if file is None:
            return None
        if (arrival := file.arrival) is not None:
            tokens = arrival.session if arrival.session_id == place.session else KeptSession()
            return Stored(session=joined(arrival.grant, tokens, unverified=True), stamp="")
        if file.grant is None:
            return None
        found = self._file(place.session)
        if found is None or (found[0].grant, found[0].sign_in) != (place.grant, file.grant.sign_in):
            return Stored(session=Session(grant=file.grant), stamp="")
        return Stored(session=joined(file.grant, found[0].session), stamp=found[1])

    def arrived(self, grant_id: str) -> tuple[Place, Session] | None:
        """Return what a sign-in has brought and nobody has verified yet, and where it belongs. Raises as ``read``."""
        file = self.grants.read(grant_id)
        if file is None or file.arrival is None:
            return None
        arrival = file.arrival
        return Place(grant_id, arrival.session_id), joined(arrival.grant, arrival.session, unverified=True)

    def of_grant(self, grant_id: str, grant: Grant) -> Iterator[tuple[str, Stored]]:
        """Yield id and content of every session of a grant's sign-in."""
        for identifier, (file, stamp) in self._files():
            if (file.grant, file.sign_in) == (grant_id, grant.sign_in):
                yield identifier, Stored(session=joined(grant, file.session), stamp=stamp)

    def stamp(self, session_id: str) -> str:
        """Return the stamp of a session's file as it is now, to see whether somebody wrote it."""
        return self.state.stamp(_name(session_id))

    def _file(self, session_id: str) -> tuple[SessionFile, str] | None:
        name = _name(session_id)
        found = self.state.read(name)
        if found is None:
            return None
        content, stamp = found
        require_known(content, self.state.locate(name))
        file = session_in(content, session_id)
        if file is None and format_1.session_in(content, session_id) is None:
            self._note(f"the session file {session_id[:8]}… is damaged or of another version: it counts as absent")
        return None if file is None else (file, stamp)

    def _files(self) -> Iterator[tuple[str, tuple[SessionFile, str]]]:
        """Yield every session that can be read."""
        for identifier in self.state.stems(_FOLDER, "json"):
            try:
                found = self._file(identifier)
            except NewerFormat as error:
                self._note(error.sentence)
                continue
            if found is not None:
                yield identifier, found

    # --- writing, under the grant's lock ---

    def save(
        self,
        place: Place,
        session: Session,
        *,
        store: Store = "auto",
        refresh_token: Secret | None = None,
        reservation: Reservation | None = None,
    ) -> Stored:
        """Keep a session and its grant. ``refresh_token`` is a new one to keep; without it the old one stays.

        What is ``unverified`` stands beside the grant that was there; any other takes its place, and the sessions of
        another sign-in go. ``reservation`` is the grant's.
        """
        file = self.grants.before(place.grant) or self.grants.new_file(place.grant)
        grant = session.grant
        anew = file.grant is None or file.grant.sign_in != grant.sign_in or file.arrival is not None
        anew = anew and grant.kind == "person"  # of a machine nothing tells one sign-in from the next
        if refresh_token is not None:
            grant = self.grants.holding(file, grant, refresh_token, store)
            session = msgspec.structs.replace(session, grant=grant)
        with reservation or self.grants.reserve(place.grant) as ready:
            if session.unverified:
                arrival = Arrival(session_id=place.session, grant=grant, session=kept(session))
                self.grants.write(msgspec.structs.replace(file, arrival=arrival), ready)
                stamp = ""
            elif file.grant is not None and file.grant.sign_in == grant.sign_in and file.arrival is None:
                if file.grant != grant:
                    self.grants.write(msgspec.structs.replace(file, grant=grant), ready)
                stamp = self._write(place, session)
            else:
                stamp = self._write(place, session)
                self._drop_others(place.grant, grant)  # before it stands: what was kept of them for replay goes, too
                self.grants.write(msgspec.structs.replace(file, grant=grant, arrival=None), ready)
        if anew:  # of whoever signed in before, and of what was exchanged for their tokens, too
            self.state.empty("replies")
        else:
            self.state.forget_replies(_name(place.session))
        old = file.grant.record if file.grant is not None else None
        if old != grant.record and not session.unverified:
            self.grants.forget_record(old)
        return Stored(session=session, stamp=stamp)

    def _write(self, place: Place, session: Session) -> str:
        """Write a session's file, where it has tokens; one that can be had again need not wait for the disk."""
        if session.access is None and session.id is None and session.forced_at is None:
            if self.stamp(place.session) != places.ABSENT:
                self.erase_session(place.session)
            return ""
        file = SessionFile(id=place.session, grant=place.grant, sign_in=session.grant.sign_in, session=kept(session))
        with self.state.reserve(_name(place.session)) as ready:
            return ready.commit(encode(file), durable=not session.refreshable)

    def _drop_others(self, grant_id: str, grant: Grant) -> None:
        """Remove the sessions of a grant's earlier sign-ins: nobody answers them any more."""
        for identifier, (file, _) in self._files():
            if file.grant == grant_id and file.sign_in != grant.sign_in:
                self.erase_session(identifier)

    def erase_session(self, session_id: str) -> None:
        """Remove one session; its grant stays."""
        self.state.remove_all(f"{_FOLDER}/{session_id}", ("json",))
        self.state.forget_replies(_name(session_id))

    def erase(self, grant_id: str) -> None:
        """Remove a grant, its sessions and all that stands beside it, but not its lock: others may wait for that one.

        The grant goes last: who is ended in between can be told again to erase it.
        """
        for identifier, (file, _) in self._files():
            if file.grant == grant_id:
                self.erase_session(identifier)
        self.grants.erase(grant_id)
        self.state.empty("replies")

    # --- format 1 ---

    def of_format_1(self, identifier: str) -> Session | None:
        """Return a session of format 1, as one that stands alone. StoreError: unsafe or unavailable."""
        found = self.state.read(_name(identifier))
        if found is None:
            return None
        session = format_1.session_in(found[0], identifier)
        if session is None and session_in(found[0], identifier) is None:
            self._note(f"the session file {identifier[:8]}… is damaged or of another version: it counts as absent")
        return session

    def ids_of_format_1(self) -> list[str]:
        """List the sessions of format 1 that nobody has taken over."""
        return [one for one in self.state.stems(_FOLDER, "json") if self.of_format_1(one) is not None]

    def take_up_format_1(self, identifier: str) -> None:
        """Finish a save of an older version whose writer was killed; as ``Grants.take_up``."""
        self.state.take_up(_name(identifier), lambda content: format_1.session_in(content, identifier) is not None)

    def erase_format_1(self, identifier: str) -> None:
        """Remove the files of a session of format 1, but not its lock: an older version of this program may wait."""
        self.state.remove_all(f"{_FOLDER}/{identifier}", ("json", *BESIDE))
        self.state.empty("replies")

    def lock_of_format_1(self, identifier: str) -> str:
        """Return the lock file's name within the state directory."""
        return _name(identifier, "lock")


def _name(session_id: str, ending: str = "json") -> str:
    return f"{_FOLDER}/{session_id}.{ending}"
