"""Secrets that a person puts into the OS keyring by name: ``client_secret = { keyring = "ci" }`` and the like.

- A secret is the record ``credential-helper/secret/NAME`` of the keyring, and is nowhere else. Who reads one asks the
  keyring alone: no file, no lock.
- ``secrets/index.json`` says which names there are, because a keyring is not asked for that (macOS puts up a dialog for
  each record). No secret is in it.
- Writers hold one lock. A name is listed only while its record stands: before a record is made, and before one is
  deleted, the index calls it *leaving*. What a killed writer left so goes with the next change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import msgspec

from credential_helper.clock import Clock
from credential_helper.errors import ConfigurationError, StoreError, UsageError
from credential_helper.model import Secret
from credential_helper.stores import lock
from credential_helper.stores.files import State
from credential_helper.stores.sessions import Keyring, Note

INDEX = "secrets/index.json"

_LOCK = "secrets/index.lock"
_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_UNLOCK = "unlock the keyring"
_INSTEAD = "write { file = … } or { command = … } in the profile instead of { keyring = … }"


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """The file; both lists are sorted, and no name is in both."""

    version: int = _VERSION
    names: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()  # records that may be in the keyring, and have to go

    def with_name(self, name: str) -> _Index:
        """List a name."""
        return _Index(names=_sorted({*self.names, name}), leaving=_sorted({*self.leaving} - {name}))

    def without(self, name: str, *, leaving: bool = False) -> _Index:
        """List a name no more; ``leaving``: its record has still to go."""
        left = {*self.leaving} - {name} | ({name} if leaving else set())
        return _Index(names=_sorted({*self.names} - {name}), leaving=_sorted(left))


def judge(name: str) -> None:
    """Raise UsageError for what is no name, without repeating it: it may be a secret in the wrong place."""
    if not _NAME.fullmatch(name):
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
        judge(name)
        with self._locked():
            index = self._read()
            replaces = self.find(name) is not None and name not in index.leaving
            before = index.with_name(name) if replaces else index.without(name, leaving=True)
            if before != index:
                self._write(before)
            with _other_hint():
                self._keyring.write(*_record(name), secret)
            self._settle(before, before.with_name(name))
        return replaces

    def delete(self, name: str) -> None:
        """Forget a secret. ConfigurationError: there is none of that name. StoreError, LockTimeout: it stays."""
        judge(name)
        with self._locked():
            index = self._read()
            if name not in index.names and self.find(name) is None:
                raise _absent(name, hint="credential-helper secret list")
            leaving = index.without(name, leaving=True)
            self._write(leaving)
            try:
                with _other_hint():
                    self._keyring.delete(*_record(name))
            except StoreError:
                self._write(index)
                raise
            self._settle(leaving, index.without(name))

    def _settle(self, written: _Index, wanted: _Index) -> None:
        """Write an index, less what can be deleted of what has to go."""
        for name in wanted.leaving:
            try:
                self._keyring.delete(*_record(name))
            except StoreError as error:
                self._note(f"the keyring keeps an old secret until the next change: {error.sentence}")
            else:
                wanted = wanted.without(name)
        if wanted != written:
            self._write(wanted)

    # --- the file

    def _locked(self) -> AbstractContextManager[None]:
        return lock.alone(self._state, _LOCK, "the secrets' index", clock=self._clock)

    def _read(self) -> _Index:
        found = self._state.read(INDEX)
        if found is None:
            return _Index()
        try:
            index = msgspec.json.decode(found[0], type=_Index)
        except (msgspec.DecodeError, UnicodeDecodeError):
            index = _Index(version=0)
        if index.version != _VERSION or not all(map(_NAME.fullmatch, (*index.names, *index.leaving))):
            self._note("the index of secrets is damaged or of another version: it counts as absent")
            return _Index()
        return index

    def _write(self, index: _Index) -> None:
        with self._state.reserve(INDEX) as place:
            place.commit(msgspec.json.encode(index), sync_folder=True)


def _sorted(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


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
