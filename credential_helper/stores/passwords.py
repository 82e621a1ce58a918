"""What git and docker ask us to keep: passwords of hosts that no profile lists, each tool's apart from the other's.

- ``passwords/index.json`` says what is kept, and for whom; the secrets are in the OS keyring, under random names.
  ``storage="file"`` puts them into the index itself (0600, plain). Where a secret is, its record says: whoever changes
  the setting loses nothing, and the next ``store`` of the same record moves it.
- Readers take no lock. Writers hold one, so that twenty parallel ``store`` lose nothing.
- Order of a ``store``: the new secret, the index, then the old secret goes; of an ``erase``: the index, then the
  secret. A killed process leaves nothing that is listed and cannot be read. What the keyring would not delete stays
  named in the index as *discarded*: it is never answered again, and goes with the next change.
- Matching is that of git's own helpers (credential.c, credential_match): a field constrains when it is present in the
  pattern, the empty string is a value, ``erase`` compares the secrets too and removes every match, ``store`` replaces
  the record of the same key. ``Kind.required`` lists the fields that a pattern must have; a pattern without them
  matches nothing (CVE-2020-11008).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal

import msgspec

from credential_helper import places
from credential_helper.errors import StoreError
from credential_helper.model import Secret
from credential_helper.stores import lock
from credential_helper.stores.encoding import conceal, newer, reveal, version_of
from credential_helper.stores.grants import Keyring
from credential_helper.stores.private_files import State
from credential_helper.system.clock import Clock
from credential_helper.text import Note, foreign

Storage = Literal["keyring", "file"]

INDEX = "passwords/index.json"
SECRETS = ("password", "credential", "oauth_refresh_token")

LARGEST = 8 << 20  # characters of a record's secrets as JSON; whoever sends more means no password

_VERSION = 1
_NAME = r"(?:password/)?[0-9a-f]{32}"  # of a record of the keyring that we made: never a session's, never a secret's
_LOCK = "passwords/index.lock"
_COMPARED = ("password", "credential")

_USE_A_FILE = 'password_storage = "file" keeps passwords in a private file instead'
_ANEW = 'unlock the keyring, or store the password anew with password_storage = "file"'
_HOW = 'write password_storage = "file" at the top of config.toml, or set CREDENTIAL_HELPER_PASSWORD_STORAGE=file'


class Kind(msgspec.Struct, frozen=True):
    """Whose passwords these are, and what finds one."""

    tool: str
    key: tuple[str, ...]  # the attributes that tell two records apart
    required: tuple[str, ...]  # the fields that a pattern must have; one without them matches nothing


def expired(attributes: Mapping[str, str], now: float) -> bool:
    """Say whether ``password_expiry_utc`` has passed; as in git, 0 and what is no number mean never."""
    text = attributes.get("password_expiry_utc", "")
    return text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= now


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """One password; its secrets are a JSON object, here or in the keyring."""

    tool: str
    attributes: dict[str, str]  # without secrets
    secrets: Secret | None = None
    record: tuple[str, str] | None = None  # (name, user name) in the keyring

    def matches(self, kind: Kind, pattern: Mapping[str, str]) -> bool:
        """Say whether the pattern means this record, its secrets apart."""
        if self.tool != kind.tool or any(not pattern.get(key) for key in kind.required):
            return False
        return all(self.attributes.get(key) == pattern[key] for key in kind.key if key in pattern)

    def replaced_by(self, kind: Kind, attributes: Mapping[str, str]) -> bool:
        """Say whether this is the record that new attributes take the place of."""
        return self.tool == kind.tool and all(self.attributes.get(key) == attributes.get(key) for key in kind.key)


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """The file, oldest record first."""

    version: int = _VERSION
    records: tuple[_Record, ...] = ()
    discarded: tuple[tuple[str, str], ...] = ()  # records of the keyring that have still to go


class Passwords:
    """The stored passwords of one state directory."""

    def __init__(self, state: State, keyring: Keyring, *, storage: Storage, clock: Clock, note: Note) -> None:
        """``storage`` says where ``store`` puts secrets; wherever they are, the others find them."""
        self._state = state
        self._keyring = keyring
        self._storage = storage
        self._clock = clock
        self._note = note
        self.seen = places.ABSENT  # the stamp of the index when it was last read

    # --- reading, without a lock ---

    def get(self, kind: Kind, pattern: Mapping[str, str]) -> dict[str, str] | None:
        """Return all attributes of the newest match, secrets too; None: there is none, or it has expired.

        StoreError: the keyring cannot be read now.
        """
        while True:
            vanished = False
            for record in reversed(self._look().records):
                if record.matches(kind, pattern) and not expired(record.attributes, self._clock.now()):
                    secrets = self._secrets(record)
                    if secrets is not None:
                        return {**record.attributes, **secrets}
                    vanished = True
            # Another process may have replaced the record, and its secret, since the index was read.
            if not vanished or self._state.stamp(INDEX) == self.seen:
                return None

    def listing(self, kind: Kind) -> list[dict[str, str]]:
        """Return every record's attributes without its secrets, oldest first; the keyring is not asked."""
        return [dict(record.attributes) for record in self._look().records if record.tool == kind.tool]

    def holds(self, kind: Kind, pattern: Mapping[str, str]) -> bool:
        """Say whether a record matches, whatever has become of its secret."""
        return any(record.matches(kind, pattern) for record in self._look().records)

    def records(self) -> list[tuple[str, str] | None]:
        """Return the keyring's record of each password, None for one that is in the index itself."""
        return [record.record for record in self._look().records]

    # --- writing, under the lock ---

    def store(self, kind: Kind, attributes: Mapping[str, str]) -> None:
        """Keep attributes and secrets in place of the record of the same key. StoreError, LockTimeout: not kept."""
        if self._unchanged(kind, attributes):
            return
        plain = {key: value for key, value in attributes.items() if key not in SECRETS}
        secrets = Secret(json.dumps({key: value for key, value in attributes.items() if key in SECRETS}))
        if len(secrets.reveal()) > LARGEST:
            raise StoreError(f"the password is not kept: it is larger than {LARGEST >> 20} MiB")
        with self._locked():
            index = self._read()
            old = [record for record in index.records if record.replaced_by(kind, plain)]
            record = _Record(tool=kind.tool, attributes=plain, secrets=secrets)
            if self._storage == "keyring":
                record = self._into_keyring(record, secrets)
            try:
                self._replace(index, old, record)
            except BaseException:  # a full disk, Ctrl-C: a secret that no index names would stay for ever
                if record.record is not None and record not in self._look().records:
                    self._delete(record.record)
                raise

    def erase(self, kind: Kind, pattern: Mapping[str, str]) -> int:
        """Forget every match, and return how many there were. StoreError, LockTimeout: nothing is changed."""
        if not any(record.matches(kind, pattern) for record in self._look().records):
            return 0
        with self._locked():
            index = self._read()
            gone = [r for r in index.records if r.matches(kind, pattern) and self._has_secrets_of(r, pattern)]
            if gone:
                self._replace(index, gone)
            return len(gone)

    def erase_all(self) -> int:
        """Forget every password of every tool, and return how many there were. Raises as ``erase`` does."""
        if self._state.stamp(INDEX) == places.ABSENT:
            return 0
        with self._locked():
            index = self._read()
            self._replace(index, list(index.records))
            return len(index.records)

    def _unchanged(self, kind: Kind, attributes: Mapping[str, str]) -> bool:
        """Say whether this is just what ``get`` would answer: git repeats its ``store`` after every command."""
        try:
            found = self.get(kind, {key: attributes[key] for key in kind.required if key in attributes})
        except StoreError:
            return False
        return found == dict(attributes)

    def _into_keyring(self, record: _Record, secrets: Secret) -> _Record:
        named = (f"password/{os.urandom(16).hex()}", _label(record))
        try:
            self._keyring.write(*named, secrets)
        except StoreError as error:
            raise StoreError(f"the password is not kept: {error.sentence}; {_USE_A_FILE}", hint=_HOW) from None
        return msgspec.structs.replace(record, secrets=None, record=named)

    def _replace(self, index: _Index, gone: list[_Record], *new: _Record) -> None:
        """Write the index without some records and with a new one, then delete what nobody needs any more."""
        kept = tuple(record for record in index.records if record not in gone)
        discarded = (*index.discarded, *(record.record for record in gone if record.record is not None))
        self._write(_Index(records=(*kept, *new), discarded=discarded))
        self._state.empty("replies")
        left = tuple(named for named in discarded if not self._delete(named))
        if left != discarded:
            self._write(_Index(records=(*kept, *new), discarded=left))

    def _delete(self, named: tuple[str, str]) -> bool:
        try:
            self._keyring.delete(*named)
        except StoreError as error:
            self._note(f"the keyring keeps an old password until the next change: {error.sentence}")
            return False
        return True

    # --- secrets ---

    def _secrets(self, record: _Record) -> dict[str, str] | None:
        """Return a record's secrets; None: the keyring is open and has none, or they are damaged."""
        secrets = record.secrets
        if record.record is not None:
            try:
                secrets = self._keyring.read(*record.record)
            except StoreError as error:
                raise StoreError(error.sentence, hint=_ANEW) from None
        found = None
        if secrets is not None:
            try:
                found = msgspec.convert(json.loads(secrets.reveal()), dict[str, str])
            except (ValueError, RecursionError, msgspec.ValidationError):  # whose text may hold the secret
                found = None
        if found is None:
            self._note("a stored password is gone, or damaged: its record counts as absent")
        return found

    def _has_secrets_of(self, record: _Record, pattern: Mapping[str, str]) -> bool:
        """Say whether a pattern's secrets, if it has any, are the record's: a distinct password is not erased."""
        compared = {key: pattern[key] for key in _COMPARED if key in pattern}
        if not compared:
            return True
        secrets = self._secrets(record)
        return secrets is None or all(secrets.get(key) == value for key, value in compared.items())

    # --- the file ---

    def _locked(self) -> AbstractContextManager[None]:
        return lock.alone(self._state, _LOCK, "the stored passwords", clock=self._clock)

    def _look(self) -> _Index:
        """Return the index; where the state directory cannot be used, nothing is stored for us."""
        try:
            return self._read()
        except StoreError as error:
            self.seen = places.ABSENT
            self._note(f"no stored password is read: {error.sentence}")
            return _Index()

    def _read(self) -> _Index:
        found = self._state.read(INDEX)
        self.seen = found[1] if found is not None else places.ABSENT
        if found is None:
            return _Index()
        if (version_of(found[0]) or 0) > _VERSION:
            raise newer("the list of stored passwords", self._state.locate(INDEX))
        index = _decode(found[0])
        if index is None or index.version != _VERSION:
            self._note("the index of stored passwords is damaged or of another version: it counts as absent")
            return _Index()
        return index

    def _write(self, index: _Index) -> None:
        with self._state.reserve(INDEX) as place:
            place.commit(_encode(index), sync_folder=True)


def _label(record: _Record) -> str:
    """Return what a person recognises in the keyring's own program."""
    known = record.attributes
    where = known.get("server") or f"{known.get('protocol', '')}://{known.get('host', '')}/{known.get('path', '')}"
    return foreign(f"{record.tool} {where.removesuffix('/')} {known.get('username', '')}", 200)


def _encode(index: _Index) -> bytes:
    """Write the index; json, not msgspec: what git sends need not be UTF-8, and arrives with lone surrogates."""
    return json.dumps(msgspec.to_builtins(index, enc_hook=reveal)).encode()


def _decode(content: bytes) -> _Index | None:
    """Read an index back; None where it is damaged. The cause is dropped: its repr may hold the content."""
    try:
        index = msgspec.convert(json.loads(content), _Index, dec_hook=conceal)
    except (ValueError, RecursionError, msgspec.ValidationError, NotImplementedError):
        return None
    named = [*index.discarded, *(record.record for record in index.records if record.record is not None)]
    return index if all(re.fullmatch(_NAME, name) for name, _user in named) else None
