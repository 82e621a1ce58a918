"""Secrets that a person puts into the OS keyring by name: ``client_secret = { keyring = "ci" }`` and the like.

- A secret is the record ``credential-helper/secret/NAME`` of the keyring, and is nowhere else. Who reads one asks the
  keyring alone: no file, no lock.
- ``secrets/index.json`` says which names there are, because a keyring is not asked for that (macOS puts up a dialog for
  each record). No secret is in it.
- Writers hold one lock. A name is listed before its record is made, and until its record has been deleted: a killed
  writer leaves nothing in the keyring that is not listed. What it does leave is a name that may have no record, and
  ``set`` or ``delete`` mends that.
- Whoever writes or deletes a record empties ``replies/``: a machine's kept answer is compared with no keyring.
- Only ``delete NAME`` deletes, and only NAME. The index is one state directory's, the keyring is the person's. The
  index of another home or container cannot know whose record a name is, so nothing is deleted automatically.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import msgspec

from credential_helper.errors import ConfigurationError, StoreError, UsageError
from credential_helper.model import SECRET_NAME, Secret
from credential_helper.stores import lock
from credential_helper.stores.encoding import decode, newer, version_of
from credential_helper.stores.grants import Keyring
from credential_helper.stores.private_files import State
from credential_helper.system.clock import Clock
from credential_helper.text import Note

INDEX = "secrets/index.json"

_LOCK = "secrets/index.lock"
_VERSION = 1
_UNLOCK = "unlock the keyring"
_INSTEAD = "write { file = … } or { command = … } in the profile instead of { keyring = … }"


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """The file; the names are sorted."""

    version: int = _VERSION
    names: tuple[str, ...] = ()  # whose records may be in the keyring

    def with_name(self, name: str) -> _Index:
        """List a name."""
        return _Index(names=tuple(sorted({*self.names, name})))

    def without(self, name: str) -> _Index:
        """List a name no more."""
        return _Index(names=tuple(sorted({*self.names} - {name})))


def require_name(name: str) -> None:
    """Raise UsageError for what is no name, without repeating it: it may be a secret in the wrong place."""
    if not re.fullmatch(SECRET_NAME, name):
        raise UsageError("NAME is up to 100 letters, digits, -, _ and .", hint="credential-helper secret set NAME")


class NamedSecrets:
    """The named secrets of one keyring, and the names that one state directory knows."""

    def __init__(self, state: State, keyring: Keyring, *, clock: Clock, note: Note) -> None:
        self._state = state
        self._keyring = keyring
        self._clock = clock
        self._note = note

    def read(self, name: str) -> Secret:
        """Return a secret. ConfigurationError: there is none of that name. StoreError: the keyring cannot tell now."""
        secret = self.find(name)
        if secret is None:
            raise _absent(name, hint=f"credential-helper secret set {name}")
        return secret

    def find(self, name: str) -> Secret | None:
        """Return a secret; None: the keyring is open and has none of that name. StoreError: it cannot tell now."""
        with _other_hint():
            return self._keyring.read(*_record(name))

    def names(self) -> tuple[str, ...]:
        """Return the names that were set here, sorted. StoreError: the state directory cannot be used."""
        return self._read().names

    def set(self, name: str, secret: Secret) -> bool:
        """Keep a secret; say whether another one was there. StoreError, LockTimeout: it is not kept."""
        require_name(name)
        with self._locked():
            index = self._read()
            old = self.find(name)
            if name not in index.names:
                self._write(index.with_name(name))
            try:
                with _other_hint():
                    self._keyring.write(*_record(name), secret)
            except StoreError:
                if name not in index.names:
                    self._take_back(name, old, index)
                raise
            finally:
                self._state.empty("replies")  # also where it is not known whether the keyring took it
        return old is not None

    def _take_back(self, name: str, old: Secret | None, index: _Index) -> None:
        """Write the index from before, if the keyring is sure to hold what it held then."""
        with suppress(StoreError):
            if self._keyring.read(*_record(name)) == old:
                self._write(index)

    def delete(self, name: str) -> None:
        """Forget a secret. ConfigurationError: there is none of that name. StoreError, LockTimeout: it stays listed."""
        require_name(name)
        with self._locked():
            index = self._read()
            if name not in index.names and self.find(name) is None:
                raise _absent(name, hint="credential-helper secret list")
            try:
                with _other_hint():
                    self._keyring.delete(*_record(name))
            finally:
                self._state.empty("replies")
            if name in index.names:
                self._write(index.without(name))

    # --- the file

    def _locked(self) -> AbstractContextManager[None]:
        return lock.alone(self._state, _LOCK, "the secrets' index", clock=self._clock)

    def _read(self) -> _Index:
        found = self._state.read(INDEX)
        if found is None:
            return _Index()
        index = decode(found[0], _Index)
        if (version_of(found[0]) or 0) > _VERSION:
            raise newer("the list of secrets", self._state.locate(INDEX))
        if index is None or index.version != _VERSION or not all(re.fullmatch(SECRET_NAME, one) for one in index.names):
            self._note("the index of secrets is damaged or of another version: it counts as absent")
            return _Index()
        return index

    def _write(self, index: _Index) -> None:
        with self._state.reserve(INDEX) as place:
            place.commit(msgspec.json.encode(index), sync_folder=True)


def _record(name: str) -> tuple[str, str]:
    """Return the keyring's name of a record, and what a person sees beside it."""
    return f"secret/{name}", name


def _absent(name: str, *, hint: str) -> ConfigurationError:
    return ConfigurationError(f"the keyring has no secret {name}", hint=hint)


@contextmanager
def _other_hint() -> Iterator[None]:
    """Say what helps with a secret: the keyring's own hints are about refresh tokens."""
    try:
        yield
    except StoreError as error:
        locked = error.hint is not None and error.hint.startswith(_UNLOCK)
        error.hint = f"{error.hint}; or {_INSTEAD}" if locked else _INSTEAD
        raise
