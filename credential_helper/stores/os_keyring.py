"""The OS keyring: where refresh tokens live when there is a real one.

- A record is service ``credential-helper/NAME``, where NAME is the random one that the caller drew, and the user name
  that a person recognises. NAME is in the service because the Windows Credential Manager keeps one entry per service
  and moves the older one elsewhere when a second user name comes; a lookup is by both, exactly.
- Which keyring that is, which_keyring.py says.
- Every call has a deadline, kept by a daemon thread that nobody waits for at exit: a keyring may hang (its daemon does,
  or a dialog that no one sees). While one hangs the next call fails at once.
- *There is none* (None) is said only by a keyring that is open. Locked, absent, slow or broken is StoreError: a refresh
  token behind it must not be taken for lost.
- Dialogs come up only where the deadline leaves a person the time to answer one: a token fetched by cron must not make
  a dialog flash over the desktop. A Secret Service that has no default collection is never asked to make one.
- Nothing reaches stderr: neither log records nor warnings of keyring and its plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from credential_helper.errors import StoreError
from credential_helper.model import Secret
from credential_helper.text import Note, foreign

if TYPE_CHECKING:
    import threading

    from keyring.backend import KeyringBackend

    from credential_helper.stores.which_keyring import Store

_T = TypeVar("_T")

SERVICE = "credential-helper"
PERSON_SECONDS = 10.0  # with less than this nobody can answer a dialog, so none is put up
WINDOWS_LARGEST = 2560  # bytes of UTF-16: CRED_MAX_CREDENTIAL_BLOB_SIZE of wincred.h

_UNLOCK = "unlock the keyring"


class Keyring:
    """The keyring of whoever runs us. Every method may raise StoreError, within the deadline."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        deadline: Callable[[], float],
        store: Store = "auto",
        note: Note = lambda _line: None,
    ) -> None:
        """Take the environment, the seconds that a call may last (asked anew each time), and which keyring is meant.

        ``store`` is the one that read, write and delete use until ``usable`` is asked about another.
        """
        self._environ = environ
        self._deadline = deadline
        self._store: Store = store
        self._note = note
        self._backends: dict[Store, KeyringBackend] = {}
        self._hanging: threading.Thread | None = None

    def usable(self, store: Store) -> bool:
        """Say whether secrets can be kept in this keyring now, and make it the one that is used from here on.

        A Secret Service is asked whether its default collection is there and open; that a keyring keeps what it is
        given is for ``write`` to find out, which reads it back.
        """
        self._store = store
        try:
            self._call("be opened", lambda backend, person: _require_open(backend, person=person))
        except StoreError as error:
            self._note(f"no keyring: {error.sentence}")
            return False
        return True

    def backend(self) -> str:
        """Return the keyring's name, ``SecretService Keyring``, or ``none (why)``."""
        try:
            return self._call("be opened", lambda backend, _person: str(backend.name))
        except StoreError as error:
            return f"none ({error.sentence})"

    def read(self, name: str, username: str) -> Secret | None:
        """Return a record's secret; None: the keyring is open and has none. StoreError: it cannot tell now."""
        value = self._call("be read", lambda backend, person: _get(backend, person, name, username))
        return None if value is None else Secret(value)

    def write(self, name: str, username: str, secret: Secret) -> None:
        """Keep a secret under a name, instead of what was there, and read it back. StoreError: it is not kept.

        What is done too late is undone: a dialog was answered after the deadline, and the secret has long found another
        place, or a person was told that the old one stays.
        """
        import threading

        given_up = threading.Event()

        def put(backend: KeyringBackend, person: bool) -> None:
            before = _get(backend, person, name, username)
            if given_up.is_set():
                return
            _set(backend, person, name, username, secret)
            if given_up.is_set():
                if before is None:
                    backend.delete_password(*_record(name, username))
                else:
                    backend.set_password(*_record(name, username), before)

        try:
            self._call("be written", put)
        except StoreError:
            given_up.set()
            raise

    def delete(self, name: str, username: str) -> None:
        """Remove a record; one that is not there is removed already. StoreError: it may still be there."""
        self._call("forget a record", lambda backend, person: _delete(backend, person, name, username))

    def records(self) -> list[tuple[str, str]] | None:
        """Return name and user name of every record of ours; None: this keyring does not tell. StoreError: not now."""
        from credential_helper.stores.which_keyring import listing

        found = self._call("be searched", lambda backend, _person: listing(backend, f"{SERVICE}/"))
        return None if found is None else [(service.removeprefix(f"{SERVICE}/"), user) for service, user in found]

    def _call(self, what: str, work: Callable[[KeyringBackend, bool], _T]) -> _T:
        """Run a piece of work on the chosen keyring within the deadline, quietly."""
        import threading

        seconds = self._deadline()
        if self._hanging is not None and self._hanging.is_alive():
            raise StoreError("the keyring still does not answer", hint=_UNLOCK)
        results: list[_T] = []
        failures: list[StoreError] = []

        def run() -> None:
            try:
                results.append(self._work(what, work, person=seconds >= PERSON_SECONDS))
            except StoreError as error:
                failures.append(error)

        self._hanging = threading.Thread(target=run, daemon=True, name="keyring")
        try:
            self._hanging.start()
        except RuntimeError:  # no more threads (ulimit -u)
            self._hanging = None
            raise StoreError("the keyring could not be asked (no more threads)") from None
        self._hanging.join(seconds)
        if failures:
            raise failures[0]
        if not results:
            raise StoreError(f"the keyring did not answer within {seconds:g} s", hint=_UNLOCK)
        return results[0]

    def _work(self, what: str, work: Callable[[KeyringBackend, bool], _T], *, person: bool) -> _T:
        """Run in the thread: importing keyring (70 ms) and asking plugins are under the deadline, too."""
        import warnings

        from credential_helper.stores.which_keyring import choose, dialogs

        store = self._store
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of plugins; stderr is not theirs
                _mute_logging()
                if store not in self._backends:
                    self._backends[store] = choose(store, self._environ)
                with dialogs(person):
                    return work(self._backends[store], person)
        except StoreError:
            raise
        except BaseException as error:  # plugins are foreign code: whatever they raise ends here, SystemExit too
            raise _explained(error, what, self._backends.get(store)) from None


# --- what is done with it, in the thread ------------------------------------------------------------------------------


def _record(name: str, username: str) -> tuple[str, str]:
    """Return service and user name of a record; an empty user name is deprecated in keyring and never used."""
    return f"{SERVICE}/{name}", foreign(username, 200) or SERVICE


def _require_open(backend: KeyringBackend, *, person: bool) -> None:
    """Raise StoreError where a Secret Service is locked and nobody can unlock it, or has no default collection.

    Without this, keyring itself would put a dialog up (unlock, or make a collection), and wait for it without end.
    """
    from keyring.backends.SecretService import Keyring as SecretService

    from credential_helper.stores.which_keyring import require_collection

    for member in getattr(backend, "backends", [backend]):  # a chainer asks several
        if isinstance(member, SecretService) and require_collection(member) and not person:
            raise StoreError("the keyring is locked", hint=_UNLOCK)


def _get(backend: KeyringBackend, person: bool, name: str, username: str) -> str | None:
    _require_open(backend, person=person)
    return backend.get_password(*_record(name, username))


def _set(backend: KeyringBackend, person: bool, name: str, username: str, secret: Secret) -> None:
    from credential_helper.stores.which_keyring import USE_A_FILE

    size = len(secret.reveal().encode("utf-16-le"))
    if type(backend).__name__ == "WinVaultKeyring" and size > WINDOWS_LARGEST:
        raise StoreError(
            f"the secret is too long for the Windows Credential Manager ({size} of {WINDOWS_LARGEST} bytes)",
            hint=USE_A_FILE,
        )
    _require_open(backend, person=person)
    service, user = _record(name, username)
    backend.set_password(service, user, secret.reveal())
    if backend.get_password(service, user) != secret.reveal():  # the null keyring says yes to everything
        raise StoreError(f"the keyring {backend.name} did not keep what was written to it", hint=USE_A_FILE)


def _delete(backend: KeyringBackend, person: bool, name: str, username: str) -> None:
    from keyring.errors import PasswordDeleteError

    _require_open(backend, person=person)
    service, user = _record(name, username)
    try:
        backend.delete_password(service, user)
    except PasswordDeleteError:  # said of a record that is not there, and of one that cannot be deleted
        if backend.get_password(service, user) is not None:
            raise


def _explained(error: BaseException, what: str, backend: KeyringBackend | None) -> StoreError:
    """Turn whatever a keyring raised into a sentence.

    Only keyring's own exceptions, raised by a keyring that we know, are quoted: the text of any other may hold the
    secret (a plugin that runs a program with it, for one).
    """
    from keyring.errors import KeyringError, KeyringLocked, NoKeyringError

    from credential_helper.stores.which_keyring import USE_A_FILE

    if isinstance(error, KeyringLocked) or type(error).__name__ == "LockedException":
        return StoreError("the keyring is locked", hint=_UNLOCK)
    if isinstance(error, NoKeyringError):
        return StoreError("there is no keyring here", hint=USE_A_FILE)
    known = type(backend).__module__.startswith("keyring.backends.")
    reason = f": {foreign(str(error), 120)}" if known and isinstance(error, KeyringError) else ""
    where = f" {foreign(str(backend.name), 60)}" if backend is not None else ""
    return StoreError(f"the keyring{where} could not {what} ({type(error).__name__}{reason})", hint=_UNLOCK)


def _mute_logging() -> None:
    """Give log records somewhere to vanish: without a handler, Python prints warnings on stderr."""
    import logging

    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
