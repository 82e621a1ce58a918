"""git's credential protocol: ``key=value`` lines on stdin, ``key=value`` lines on stdout.

The other side is git's credential.c; the words are those of gitcredentials(7) and git-credential(1).

- Bytes are read as git reads them: lines end at LF, one CR before it is dropped, and the first empty line is the end. A
  CR anywhere else is data to git and a line end to others (CVE-2024-50338, CVE-2024-52006): a request with one, or with
  a NUL, is refused. Nothing after the empty line is looked at.
- Of a key that comes twice the last value counts; a key that ends in ``[]`` is a list, which an empty value empties.
  Unknown keys are ignored.
- An answer never says ``protocol``, ``host`` or ``path``: git would believe it (CVE-2020-5260). A value with CR, LF or
  NUL is never written, and nothing is, before all of it is known to be good.
- A token goes out in one of three forms, never in two: as a password (every git), or, where git says that it
  understands ``authtype`` (2.46), as a Bearer token or as the whole of a Basic header. Only these two are said to be
  ``ephemeral``: other helpers store a password whatever is said of it. Before 2.54 either of them fails when a push is
  larger than http.postBuffer (git's probe_rpc sends no credentials; fixed by ed0f7a62f7).
- git asks once more, in the same command, for a credential that said ``continue`` and was rejected (2.46). It brings
  our ``state[]``, which names the rejected token by its hash; that of others is left alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from credential_helper.errors import ConfigurationError, CredentialHelperError, ProtocolError, TokenResponseError
from credential_helper.model import Credential, Manners, Request, Run, Secret
from credential_helper.text import foreign
from credential_helper.tools.wire import token_text

Form = Literal["password", "basic", "bearer"]
Scheme = Literal["auto", "basic", "bearer"]
Version = tuple[int, int]

LIMIT = 16 << 20  # bytes of a request; git itself has no limit, and servers write its wwwauth[] lines
STATE = "credential_helper:"  # begins a state[] of ours; 16 hex digits follow
SENDS_AUTHTYPE_WITH_ALL = (2, 54)  # the first git whose large pushes carry what ``authtype`` says

_KEY = ("protocol", "host", "path", "username")  # what a stored password is found by
SECRETS = ("password", "credential")
_WITH_IT = ("password_expiry_utc", "oauth_refresh_token")  # what git only carries from helper to helper
_KEPT = (*_KEY, *SECRETS, "authtype", *_WITH_IT)
_NO = ("0", "false", "no", "off")
_TRUE = ("1", "true", "yes", "on")  # git_config_bool
_QUIT = (66, 69, 74, 75, 76, 77, 78)  # ours, and it cannot be served now: nobody else can, nor a password box


# --- what git says ----------------------------------------------------------------------------------------------------


class Message:
    """The attributes of a request. It prints as their names: a value may be a password."""

    def __init__(self, fields: Mapping[str, str], lists: Mapping[str, tuple[str, ...]]) -> None:
        """``fields`` are single values, ``lists`` are those of keys in ``[]``, named without it."""
        self.fields = fields
        self.lists = lists

    def __repr__(self) -> str:
        return f"<{' '.join([*self.fields, *self.lists])}>"

    @property
    def protocol(self) -> str:
        """Return https, or whatever else git speaks; empty where none is given."""
        return self.fields.get("protocol", "")

    @property
    def host(self) -> str:
        """Return HOST[:PORT] as it was written in the URL; empty where none is given."""
        return self.fields.get("host", "")

    @property
    def path(self) -> str | None:
        """Return the path, which git sends with ``credential.useHttpPath`` only."""
        return self.fields.get("path")

    @property
    def named(self) -> bool:
        """Say whether it names a protocol and a host; what does not is a wildcard to some, and nothing to us."""
        return bool(self.protocol and self.host)

    @property
    def refused(self) -> str | None:
        """Return 16 hex digits of the SHA-256 of the token that we answered and the server rejected."""
        mine = [value.removeprefix(STATE) for value in self.lists.get("state", ()) if value.startswith(STATE)]
        return mine[-1] if mine and re.fullmatch(r"[0-9a-f]{16}", mine[-1]) else None

    def understands(self, capability: Literal["authtype", "state"]) -> bool:
        """Say whether git offers a capability."""
        return capability in self.lists.get("capability", ())

    @property
    def offered_bearer(self) -> bool:
        """Say whether the server offers Bearer (RFC 9110 §11.6.1); one header may hold several challenges."""
        headers = self.lists.get("wwwauth", ())
        return any("bearer" in header.lower() and re.search(_BEARER, _unquoted(header), _FLAGS) for header in headers)

    @property
    def rejected(self) -> Secret | None:
        """Return the token in a credential that we may have answered, as a password or in a header."""
        credential = self.fields.get("credential")
        if credential is None:
            password = self.fields.get("password")
            return Secret(password) if password else None
        if self.fields.get("authtype", "").lower() != "basic":
            return Secret(credential) if credential else None
        import binascii

        try:
            pair = binascii.a2b_base64(credential, strict_mode=True).decode()
        except (binascii.Error, ValueError):
            return None
        return Secret(pair.partition(":")[2]) if pair.partition(":")[2] else None


_BEARER, _FLAGS = r"(?:^|,)[ \t]*bearer(?=[ \t,]|$)", re.IGNORECASE | re.ASCII


def _unquoted(header: str) -> str:
    """Return a header without what stands in quotes; linear, however long a line a server writes."""
    return '""'.join(header.replace("\\\\", "").replace('\\"', "").split('"')[::2])


def read(data: bytes) -> Message:
    """Return what a request says. Raises ProtocolError, which quotes none of it."""
    if len(data) > LIMIT:
        raise ProtocolError(f"stdin is larger than {LIMIT >> 20} MiB")
    fields: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        if not line:
            break
        if b"\r" in line or b"\0" in line:
            raise ProtocolError(f"stdin, line {number}: a carriage return or a NUL is in the middle of a line")
        name, equals, value = line.decode(errors="surrogateescape").partition("=")
        if not equals:
            raise ProtocolError(f"stdin, line {number}: there is no = in it")
        if name.endswith("[]"):
            values = lists.setdefault(name.removesuffix("[]"), [])
            values.append(value) if value else values.clear()
        elif name == "url":
            fields = _from_url(value, number)
            lists.clear()
        else:
            fields[name] = value
    return Message(fields, {name: tuple(values) for name, values in lists.items()})


def _from_url(url: str, number: int) -> dict[str, str]:
    """Take a URL apart as git does (credential_from_url); people type it, git sends its parts."""
    from urllib.parse import unquote_to_bytes

    scheme, separator, rest = url.partition("://")
    if not (scheme and separator):
        raise ProtocolError(f"stdin, line {number}: the URL has no scheme")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :].strip("/")
    user, at, host = authority.partition("@")
    if not at:
        user, host = "", authority
    username, colon, password = user.partition(":")
    parts = {"protocol": scheme, "host": host}
    parts |= {"path": path} if path else {}
    parts |= {"username": username} if at else {}
    parts |= {"password": password} if colon else {}
    decoded = {name: unquote_to_bytes(part.encode(errors="surrogateescape")) for name, part in parts.items()}
    if any(byte < 32 for part in decoded.values() for byte in part):
        raise ProtocolError(f"stdin, line {number}: the URL has a control character in it")
    return {name: part.decode(errors="surrogateescape") for name, part in decoded.items()}


def request(message: Message) -> Request:
    """Return what is asked for; git's ``username`` is nobody's account."""
    target = f"{message.protocol}://{message.host}" + (f"/{message.path}" if message.path else "")
    # A path need not be UTF-8, what is kept of a prompt must be.
    return Request(
        tool="git", manners=MANNERS, target=target.encode(errors="replace").decode(), refused=message.refused
    )


# --- whether a person may be asked ------------------------------------------------------------------------------------


def says_no(environ: Mapping[str, str], run: Run) -> str | None:
    """Return why nobody is to be asked: GIT_TERMINAL_PROMPT, ``credential.interactive`` (-c included), or VS Code.

    VS Code fetches by itself every few minutes, and marks that for its own askpass program.
    """
    if environ.get("VSCODE_GIT_FETCH_SILENT"):
        return "VSCODE_GIT_FETCH_SILENT says that an editor fetches by itself"
    if environ.get("GIT_TERMINAL_PROMPT", "1").strip().lower() in ("", *_NO):  # git reads empty as false
        return "GIT_TERMINAL_PROMPT says no"
    if (run(["git", "config", "--get", "credential.interactive"]) or "").strip().lower() in ("never", *_NO):
        return "git's credential.interactive says no"
    return None


MANNERS = Manners(warns=False, says_no=says_no)


# --- a profile's token ------------------------------------------------------------------------------------------------


def form(message: Message, scheme: Scheme, version: Callable[[], Version | None]) -> Form:
    """Say how a token goes out; ``version`` is the calling git's, and is asked for only where it matters.

    Raises ConfigurationError where only Bearer will do and git cannot send it: it would ignore the answer, and ask
    a person for a password.
    """
    if scheme == "basic":
        return "password"
    if scheme == "bearer":
        if not message.understands("authtype"):
            raise ConfigurationError(
                f'{foreign(message.host, 100)} takes Bearer tokens only (scheme = "bearer"); this git cannot send one',
                hint="git 2.46 and newer can",
            )
        return "bearer"
    if not message.understands("authtype") or (version() or (0, 0)) < SENDS_AUTHTYPE_WITH_ALL:
        return "password"
    return "bearer" if message.offered_bearer else "basic"


def version_of(output: bytes) -> Version | None:
    """Return the first two numbers of what ``git version`` says; None for anything else."""
    found = re.match(rb"git version (\d{1,4})\.(\d{1,4})(?!\d)", output)
    return (int(found[1]), int(found[2])) if found else None


def render(credential: Credential, *, form: Form, username: str, state: str | None) -> bytes:
    """Return the answer: a token in one form, until when it is good, and a ``state`` if git may ask once more.

    Raises TokenResponseError when the token cannot stand in an Authorization header.
    """
    token = token_text(credential)
    lines: list[tuple[str, str]] = []
    if form != "password":
        lines.append(("capability[]", "authtype"))
    if state is not None:
        lines.append(("capability[]", "state"))
    if form == "password":
        lines += [("username", username), ("password", token)]
    elif form == "bearer":
        lines += [("authtype", "Bearer"), ("credential", token), ("ephemeral", "1")]
    else:
        import binascii

        pair = binascii.b2a_base64(f"{username}:{token}".encode(), newline=False).decode("ascii")
        lines += [("authtype", "Basic"), ("credential", pair), ("ephemeral", "1")]
    if credential.expires_at is not None and math.isfinite(credential.expires_at):
        lines.append(("password_expiry_utc", str(math.floor(credential.expires_at))))
    if state is not None:
        lines += [("state[]", STATE + state), ("continue", "1")]
    return write(lines)


def write(lines: Iterable[tuple[str, str]]) -> bytes:
    """Return attributes as git reads them. Raises TokenResponseError for a value that would be more than one line."""
    lines = list(lines)
    for name, value in lines:
        if any(character in value for character in "\r\n\0"):
            raise TokenResponseError(f"the {name.removesuffix('[]')} has a line end in it")
    try:
        return "".join(f"{name}={value}\n" for name, value in lines).encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise TokenResponseError("a value of the answer is not UTF-8") from None  # the cause's repr holds it


def decline(error: CredentialHelperError) -> tuple[bytes, int]:
    """Return stdout and the exit code for a request of ours that fails: git is to ask nobody else.

    An invalid command line or request says nothing about whose host it is: there git goes on.
    """
    return b"quit=1\n" if error.exit_code in _QUIT else b"", error.exit_code


# --- other hosts' passwords -------------------------------------------------------------------------------------------


def pattern(message: Message, *, secrets: bool = False) -> dict[str, str]:
    """Return what a stored password is found by: what is present constrains (git's credential_match).

    With ``secrets``, for ``erase``, the password and the credential constrain too.
    """
    names = (*_KEY, *SECRETS) if secrets else _KEY
    return {name: message.fields[name] for name in names if name in message.fields}


def to_keep(message: Message) -> dict[str, str] | None:
    """Return what is kept of a ``store``; None: it is nothing whole, or not to be kept.

    Expiry is checked by the caller, which has the clock.
    """
    has_password = "username" in message.fields and "password" in message.fields
    has_header = bool(message.fields.get("authtype") and message.fields.get("credential"))
    ephemeral = message.fields.get("ephemeral", "").lower() in _TRUE
    if not message.named or ephemeral or not (has_password or has_header):
        return None
    return {name: message.fields[name] for name in _KEPT if name in message.fields}


def stored(attributes: Mapping[str, str], message: Message) -> bytes:
    """Return the answer for a stored password; nothing where git would not understand it.

    A header goes only to a git that knows ``authtype``; one without it would ask a person for the rest.
    """
    header = message.understands("authtype") and "authtype" in attributes and "credential" in attributes
    if not header and not ("username" in attributes and "password" in attributes):
        return b""
    names = ("username", *(("authtype", "credential") if header else ("password",)), *_WITH_IT)
    lines = [("capability[]", "authtype")] if header else []
    return write([*lines, *((name, attributes[name]) for name in names if name in attributes)])
