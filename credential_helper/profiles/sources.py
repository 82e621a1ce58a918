"""A secret's source, read when a request needs it and never before."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from credential_helper import places
from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret, Source
from credential_helper.proof import UNKNOWN, Proof
from credential_helper.system import children, files
from credential_helper.text import Note, foreign, silent

SECRET_LIMIT = 1 << 16  # bytes, as for a command's stdout
_DER = "write a key in DER form as PEM: openssl pkcs8 -topk8 -nocrypt -in OLD -out key.pem -inform DER"
_DER_CERTIFICATE = "write a certificate in DER form as PEM: openssl x509 -in OLD -out cert.pem -inform DER"


def read_secret(
    source: Source, environ: Mapping[str, str], *, hidden: Collection[str] = (), note: Note = silent
) -> tuple[Secret, Proof]:
    """Read a secret from its variable, file or command, now; one trailing newline is cut. The proof says what was read.

    A keyring is a store, and read where the stores are. ``hidden`` are the variables that a command must not see.
    Raises ConfigurationError, which never has the secret in it.
    """
    if source.kind == "env":
        value = _variable_secret(source, environ)
        proof = Proof(variables=((source.value[0], Secret(value)),))
    elif source.kind == "file":
        data, stamp = _file_secret(source, note)
        value, proof = _text(source, data), Proof(files=((source.value[0], stamp),))
    else:
        value, proof = _text(source, _command_secret(source, environ, hidden)), UNKNOWN
    value = _without_newline(value)
    if not value and not source.may_be_empty:
        raise ConfigurationError(f"{source.origin}: the secret is empty", hint=_empty(source))
    return Secret(value), proof


def trimmed(secret: Secret) -> Secret:
    """Return what a keyring holds as every other source has it: another program may have put it there."""
    return Secret(_without_newline(secret.reveal()))


def _without_newline(value: str) -> str:
    """Return a secret without one newline at its end, which an editor, a shell or a web form has put there."""
    return value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value


def _empty(source: Source) -> str | None:
    if "client_secret" not in source.origin.lower().replace("-", "_"):
        return None
    return 'an empty one is sent only where the profile says how: client_authentication = "basic" or "post"'


def _variable_secret(source: Source, environ: Mapping[str, str]) -> str:
    name = source.value[0]
    # In lower case it may be the secret itself, written where its variable's name belongs.
    shown = name if name.isupper() else "that it names"
    value = environ.get(name)
    if value is None or (not value and not source.may_be_empty):
        hint = _empty(source) if value is not None else None
        raise ConfigurationError(f"{source.origin}: the variable {shown} is not set, or empty", hint=hint)
    if any(0xD800 <= ord(character) < 0xE000 for character in value):  # os.fsdecode of bytes that are not UTF-8
        raise ConfigurationError(f"{source.origin}: the variable {shown} is not UTF-8")
    return value


def _text(source: Source, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        hint = (
            (_DER_CERTIFICATE if source.public else _DER) if data[:2] in (b"\x30\x81", b"\x30\x82") else None
        )  # a SEQUENCE with its length (X.690 §8.1.3)
        what = "certificate" if source.public else "secret"
        raise ConfigurationError(f"{source.origin}: the {what} is not UTF-8", hint=hint) from None


def _file_secret(source: Source, note: Note) -> tuple[bytes, str]:
    """Return a file's content, and the stamp that it had before it was read."""
    path = source.value[0]
    try:
        data, status = files.read_bytes(path, SECRET_LIMIT)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{source.origin}: {foreign(path)} {files.reason(error)}") from None
    if not places.WINDOWS and status.st_mode & 0o044 and not source.public:
        note(f"{foreign(path)} holds a secret that others may read: chmod go-r {foreign(path)}")
    return data, places.stamp(status)


def _command_secret(source: Source, environ: Mapping[str, str], hidden: Collection[str]) -> bytes:
    assert source.kind == "command"  # else the name of a keyring's record would be run
    try:
        return children.run(source.value, environ=environ, hidden=hidden)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source.origin}: {error.sentence}", hint=error.hint) from None
