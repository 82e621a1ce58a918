"""What is kept of a provider on disk: its metadata, its keys, and how our clients authenticate there.

What is kept is public. Its name is the SHA-256 of who is asked and by whose word it is believed (ca_file); all profiles
of one issuer share it. What is damaged, or of another format, counts as absent; a metadata document is also judged
again when it is read, by the rules that a new one meets (metadata.py). What comes from the future counts as old: a
clock that was wrong once keeps nothing for ever.

A failure to read or to write is never an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from credential_helper.transport.addresses import authority_of

if TYPE_CHECKING:
    from credential_helper.model import Profile
    from credential_helper.system.clock import Clock
    from credential_helper.text import Note

KEPT = 86400.0  # seconds that metadata and keys count as young
RENEWED = 300.0  # seconds between two renewals of either, for a token that what is kept does not explain
AHEAD = 60.0  # seconds that something kept may come from the future

FORMAT = 4  # of what is kept on disk


class Documents(Protocol):
    """A place for public documents; a failure there is never an error."""

    def read(self, name: str) -> bytes | None:
        """Return what was written, None where there is nothing to trust."""

    def write(self, name: str, document: bytes) -> None:
        """Keep a document, or don't."""


class KeptMetadata(msgspec.Struct, kw_only=True):
    """On disk: the metadata of one issuer as it was received, and how our clients authenticate there."""

    format: int = FORMAT
    made: float = 0.0  # seconds since the epoch
    document: dict[str, object] | None = None
    authentication: dict[str, str] = {}  # by client_id


class KeptKeys(msgspec.Struct, kw_only=True):
    """On disk: the keys of one issuer."""

    format: int = FORMAT
    made: float  # seconds since the epoch
    jwks_uri: str
    keys: list[dict[str, object]]


_Record = TypeVar("_Record", KeptMetadata, KeptKeys)


class Cache:
    """What is kept for a profile: of its issuer, as its ca_file lets it be believed."""

    def __init__(self, profile: Profile, documents: Documents, *, clock: Clock, note: Note) -> None:
        self._profile = profile
        self._documents = documents
        self._clock = clock
        self._note = note

    def metadata(self) -> KeptMetadata:
        """Return what is on disk now, so that a write takes nothing back that another process has written."""
        return self._read("json", KeptMetadata) or KeptMetadata()

    def keep_document(self, document: dict[str, object]) -> None:
        """Keep a metadata document that was received now."""
        record = self.metadata()
        record.made = self._clock.now()
        record.document = document
        self._write("json", record)

    def keys(self) -> KeptKeys | None:
        """Return the keys on disk, None where there are none."""
        return self._read("keys.json", KeptKeys)

    def keep_keys(self, keys: list[dict[str, object]], *, jwks_uri: str) -> KeptKeys:
        """Keep the keys that were received now from ``jwks_uri``, and return them as they are kept."""
        record = KeptKeys(made=self._clock.now(), jwks_uri=jwks_uri, keys=keys)
        self._write("keys.json", record)
        return record

    @property
    def authentication_worked(self) -> str | None:
        """Which of "basic" and "post" worked for the profile's client, None where it is not known."""
        worked = self.metadata().authentication.get(self._profile.client_id)
        return worked if worked in ("basic", "post") else None

    @authentication_worked.setter
    def authentication_worked(self, method: str | None) -> None:
        record = self.metadata()
        if record.authentication.get(self._profile.client_id) == method:
            return
        record.authentication.pop(self._profile.client_id, None)
        if method is not None:
            record.authentication[self._profile.client_id] = method
        self._write("json", record)

    def now(self) -> float:
        """Return the time that what is received now is kept under, in seconds since the epoch."""
        return self._clock.now()

    def is_young(self, made: float, limit: float) -> bool:
        """Say whether what was made then (seconds since the epoch) is less than ``limit`` seconds old."""
        return -AHEAD <= self._clock.now() - made < limit

    def is_newer(self, made: float, moment: float) -> bool:
        """Say whether what was made then was made after ``moment``, and not by a clock that was wrong."""
        return moment <= made <= self._clock.now() + AHEAD

    def may_be_renewed(self, made: float, came: float, *, at_once: bool) -> bool:
        """Say whether to ask again for what was made then, for a token that came at ``came`` and is not explained.

        Once in 5 minutes; ``at_once``: if it is older than the token, however short the last time is ago.
        """
        return (at_once and made < came) or not self.is_young(made, RENEWED)

    def _name(self, kind: str) -> str:
        import hashlib

        identity = f"{self._profile.issuer}\n{self._profile.ca_file or ''}"
        encoded = identity.encode(errors="surrogateescape")  # a path need not be UTF-8
        return f"{hashlib.sha256(encoded).hexdigest()}.{kind}"

    def _read(self, kind: str, record: type[_Record]) -> _Record | None:
        content = self._documents.read(self._name(kind))
        if content is None:
            return None
        try:
            found = msgspec.json.decode(content, type=record)
            if found.format == FORMAT:
                return found
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
        host = authority_of(self._profile.issuer)
        self._note(f"what was kept of {host} is damaged or of another version: it counts as absent")
        return None

    def _write(self, kind: str, record: _Record) -> None:
        self._documents.write(self._name(kind), msgspec.json.encode(record))
