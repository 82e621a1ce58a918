"""What the files of grants and sessions hold, format 2: written as JSON, judged when they are read.

``grants/ID.json`` holds a grant, and beside it, until its ID token is verified, what a new sign-in has brought; so a
sign-in that fails its check costs nothing. ``sessions/ID.json`` names its grant, and which sign-in of it.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from credential_helper.model import Token
from credential_helper.session import Grant, Session
from credential_helper.stores.encoding import decode, newer, version_of

VERSION = 2

_ID = r"[0-9a-f]{64}"
_KEY = r"grant/[0-9a-f]{32}"  # what a key is called in the keyring
RECORD = r"(?:session/)?[0-9a-f]{32}"  # and a refresh token of format 1; the first ones had no namespace of their own

_T = TypeVar("_T")


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session without its grant."""

    audience: str | None = None
    resource: tuple[str, ...] = ()
    access: Token | None = None
    id: Token | None = None
    scope: tuple[str, ...] = ()
    id_not_renewed: bool = False
    sends_scope: bool = False
    forced_at: float | None = None


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-in has brought and nobody has verified yet."""

    session_id: str
    grant: Grant
    session: KeptSession


class GrantFile(msgspec.Struct, frozen=True, kw_only=True):
    """A grant's file; ``id`` says that it was not copied here from another name."""

    version: int = VERSION
    id: str
    key: tuple[str, str] | None = None  # (name, user name) of the keyring's record that holds the key
    grant: Grant | None = None  # None: nobody has signed in yet, or nobody was verified
    arrival: Arrival | None = None

    @property
    def latest(self) -> Grant | None:
        """Return the grant that stands, or what has arrived where none does."""
        return self.grant or (self.arrival.grant if self.arrival is not None else None)

    @property
    def grants(self) -> list[Grant]:
        """Return every grant that is in here."""
        arrived = self.arrival.grant if self.arrival is not None else None
        return [one for one in (self.grant, arrived) if one is not None]


class SessionFile(msgspec.Struct, frozen=True, kw_only=True):
    """A session's file."""

    version: int = VERSION
    id: str
    grant: str  # the id of its grant
    sign_in: str  # of the grant; another one's session is none
    session: KeptSession


def kept(session: Session) -> KeptSession:
    """Return a session without its grant."""
    return KeptSession(**{name: getattr(session, name) for name in KeptSession.__struct_fields__})


def joined(grant: Grant, session: KeptSession, *, unverified: bool = False) -> Session:
    """Return a session with its grant."""
    fields = {name: getattr(session, name) for name in KeptSession.__struct_fields__}
    return Session(grant=grant, unverified=unverified, **fields)


def grant_in(content: bytes, identifier: str) -> GrantFile | None:
    """Return what a grant's file holds; None: it is damaged, of another format, or another grant's.

    A record of the keyring that is not named as we name it is none: a file must not have us read, overwrite or delete
    what somebody else keeps there, a secret of ``secret set`` for one.
    """
    file = _decoded(content, GrantFile)
    if file is None or file.id != identifier:
        return None
    ids = [*(grant.session for grant in file.grants), *([file.arrival.session_id] if file.arrival is not None else [])]
    if not all(re.fullmatch(_ID, one) for one in ids):  # they name files
        return None
    records = [grant.record for grant in file.grants if grant.record is not None]
    ours = file.key is None or re.fullmatch(_KEY, file.key[0])
    return file if ours and all(re.fullmatch(RECORD, record[0]) for record in records) else None


def session_in(content: bytes, identifier: str) -> SessionFile | None:
    """Return what a session's file holds; None as ``grant_in`` does."""
    file = _decoded(content, SessionFile)
    return file if file is not None and file.id == identifier else None


def require_known(content: bytes, path: str) -> None:
    """Raise NewerFormat for a file that a later version of this program has written."""
    if (version_of(content) or 0) > VERSION:
        raise newer("the sign-in", path)


def _decoded(content: bytes, kind: type[_T]) -> _T | None:
    return decode(content, kind) if version_of(content) == VERSION else None
