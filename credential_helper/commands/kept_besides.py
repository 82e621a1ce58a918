"""What ``logout --all`` is not about: passwords that git and docker stored, and records that no file here names.

The keyring is the person's, the files are one state directory's: a record may be another home's, or what is left of a
state directory that was removed. So it is reported, and erased only by ``--keyring``; a secret of ``secret set`` stays.
"""

from __future__ import annotations

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.errors import CredentialHelperError, StoreError
from credential_helper.stores.os_keyring import Keyring
from credential_helper.stores.passwords import Passwords
from credential_helper.text import foreign

_ERASE = f"{PROGRAM} logout --all --keyring"


def report(app: App) -> None:
    """Say what stays, where that can be found out without a person."""
    keyring = _keyring(app)
    stored = _passwords(app, keyring).records()
    if stored:
        app.terminal.say(f"{_many(len(stored), 'stored password')} of git and docker stay; {_ERASE} erases them, too")
    found = _unnamed(app, keyring, {record for record in stored if record is not None})
    if found:
        app.terminal.say(
            f"the keyring holds {_many(len(found), 'record')} that no file here names, of another home or of a state "
            f"directory that was removed; {_ERASE} erases them"
        )


def erase(app: App) -> int:
    """Erase passwords and unnamed records, and say so; return the exit code."""
    keyring = _keyring(app)
    try:
        count = _passwords(app, keyring).erase_all()
        found = keyring.records()
        for name, username in _ours(found or []):
            keyring.delete(name, username)
            count += 1
    except CredentialHelperError as error:
        app.terminal.error(error)
        return error.exit_code
    app.terminal.say(f"erased {_many(count, 'stored password or record', 'stored passwords or records')}")
    if found is None:
        app.terminal.say("this keyring cannot be searched: what no file here names is still in it")
    secrets = sorted(name.removeprefix("secret/") for name, _ in found or [] if name.startswith("secret/"))
    if secrets:
        names = ", ".join(foreign(name) for name in secrets)
        app.terminal.say(f"the keyring keeps {names}; {PROGRAM} secret delete NAME deletes one")
    return 0


def _keyring(app: App) -> Keyring:
    return app.keyring(store="keyring" if app.owners({}).password_storage == "keyring" else "auto")


def _passwords(app: App, keyring: Keyring) -> Passwords:
    return Passwords(app.state, keyring, storage="keyring", clock=app.clock, note=app.note)


def _unnamed(app: App, keyring: Keyring, named: set[tuple[str, str]]) -> list[tuple[str, str]]:
    try:
        found = _ours(keyring.records() or [])
    except StoreError as error:
        app.note(f"what is in the keyring is not known: {error.sentence}")
        return []
    sessions = app.sessions()
    for identifier in sessions.grants.ids("json"):  # of those that could not be ended
        file = sessions.grants.look(identifier)
        records = [] if file is None else [file.key, *(one.record for one in file.grants)]
        named |= {record for record in records if record is not None}
    for identifier in sessions.ids_of_format_1():
        session = sessions.of_format_1(identifier)
        named |= {session.grant.record} if session is not None and session.grant.record is not None else set()
    return [record for record in found if record not in named]


def _ours(records: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [record for record in records if not record[0].startswith("secret/")]


def _many(count: int, one: str, several: str | None = None) -> str:
    return f"1 {one}" if count == 1 else f"{count} {several or one + 's'}"
