"""The command ``secret``: what a profile's client_secret, private_key or password needs, put into the OS keyring.

A secret comes from stdin, or is typed twice without an echo; never from an argument, which every process can read. It
is never shown, neither whole nor in part: ``list`` tells names.
"""

from __future__ import annotations

import os

from credential_helper import replies
from credential_helper.app import App, write
from credential_helper.errors import InteractionRequired, StoreError, UsageError
from credential_helper.model import Secret
from credential_helper.stores import named_secrets
from credential_helper.stores.named_secrets import NamedSecrets
from credential_helper.system.caller import Abandoned
from credential_helper.system.ci import in_ci

LARGEST = 64 * 1024  # bytes, as for every other source of a secret

_KEYS = ("-----BEGIN ", "{")  # of a PEM (RFC 7468 §2), of a JWK (RFC 7517 §4)


def run(given: dict[str, object], app: App) -> int:
    """Set, delete or list, in the system's own keyring; a dialog of it may come up where a person types this."""
    person = os.isatty(2) and not in_ci(app.environ)
    return carry_out(given, app.named_secrets(person=person), app)


def carry_out(given: dict[str, object], secrets: NamedSecrets, app: App) -> int:
    """Set, delete or list. Raises UsageError, InteractionRequired, StoreError, LockTimeout, ConfigurationError."""
    action, name = str(given["action"]), given.get("name")
    if action == "list":
        if name is not None:
            raise UsageError("secret list takes no NAME")
        write("".join(f"{one}\n" for one in secrets.names()).encode())
        return 0
    if not isinstance(name, str):
        raise UsageError(f"secret {action} needs a NAME", hint=f"credential-helper secret {action} NAME")
    named_secrets.require_name(name)
    if action == "delete":
        secrets.delete(name)
        app.terminal.say(f"deleted {name} from the keyring")
    else:
        _set(name, secrets, app)
    return 0


def _set(name: str, secrets: NamedSecrets, app: App) -> None:
    if os.isatty(0):
        secrets.find(name)  # nobody types for a keyring that cannot be used
        secret = _typed(name, app)
    else:
        secret = _heard(name, replies.read_input(LARGEST))
    replaced = secrets.set(name, secret)
    _forget_refusals(app)
    if replaced:
        app.terminal.say(f"replaced {name} in the keyring")
        return
    setting = "private_key" if secret.reveal().startswith(_KEYS) else "client_secret"
    app.terminal.say(f'kept {name} in the keyring; write {setting} = {{ keyring = "{name}" }}')


def _forget_refusals(app: App) -> None:
    """What was refused with the secret before need not wait: it is as if a config file had changed."""
    sessions = app.sessions()
    try:
        for identifier in sessions.grants.ids("failure"):
            sessions.notes.clear_failures(identifier)
    except StoreError as error:
        app.note(f"an old refusal stays remembered: {error.sentence}")


def _heard(name: str, data: bytes) -> Secret:
    """Judge what came from stdin; one newline at its end is cut. No exception has any of it."""
    text = data.decode("utf-8", "replace")
    if len(data) > LARGEST:
        problem, hint = f"is longer than {LARGEST} bytes", "is it the right file?"
    elif "\0" in text or text.encode() != data:
        problem, hint = "is not text in UTF-8", "a key has to be in the form of PEM or JWK, not of DER"
    elif text in ("", "\n", "\r\n"):
        problem, hint = "is empty", _from_a_file(name)
    else:
        return Secret(text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text)
    raise UsageError(f"the secret on stdin {problem}: nothing is kept", hint=hint)


def _from_a_file(name: str) -> str:
    return f"credential-helper secret set {name} < FILE"


def _typed(name: str, app: App) -> Secret:
    """Ask twice, as passwd does: nobody sees what is typed."""
    hint = _from_a_file(name)
    if in_ci(app.environ):
        raise InteractionRequired("CI is set: nobody is asked to type a secret", hint=hint)

    def go_on() -> None:
        if not app.caller.waits():
            raise Abandoned

    secret = app.terminal.type(f"secret for {name}:", hidden=True, go_on=go_on)
    if not secret:
        raise UsageError("the secret is empty: nothing is kept", hint=hint)
    if app.terminal.type("the same again:", hidden=True, go_on=go_on) != secret:
        raise UsageError("the two are not the same: nothing is kept", hint="try again")
    return secret
