r"""docker's credential-helper protocol: one word in argv, a server URL or JSON on stdin, JSON or a sentence on stdout.

The other side is docker/docker-credential-helpers (credentials/credentials.go, client/client.go), and through it
docker, podman, skopeo, buildah, Helm and ORAS.

- Three sentences are compared exactly by those who call us: they stand on stdout, with exit 1, and nothing beside them.
  Any other sentence makes docker drop the credentials of *all* servers (docker/cli#1989), so who is merely not signed
  in gets the first one.
- The reference implementation joins lines, so that ``https://good.example\n.evil.example`` becomes another host; here
  a control character is refused.
- Docker Hub has several names, and they are exactly those in ``HUB``: every other path below them is a key of its own
  (docker keeps ``…/v1/access-token`` and ``…/v1/refresh-token`` beside the password).
"""

from __future__ import annotations

import json
import re

import msgspec

from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    InteractionRequired,
    ProtocolError,
)
from credential_helper.model import Credential, Identity, Listed, Manners, Request, Secret
from credential_helper.text import foreign
from credential_helper.tools.wire import token_text, username

NOT_FOUND = "credentials not found in native keychain"
NO_SERVER = "no credentials server URL"
NO_USERNAME = "no credentials username"

LARGEST = 4 << 20  # bytes of what is stored; a registry's secret has a few thousand

ACTIONS = ("store", "get", "erase", "list", "version")

MANNERS = Manners(warns=False, asks="always")  # it calls helpers in loops, and draws over the terminal

HUB_KEY = "https://index.docker.io/v1/"  # what docker itself calls it
HUB = ("index.docker.io/v1", "index.docker.io", "docker.io", "registry-1.docker.io", "registry.hub.docker.com")

_SPACE = " \t\r\n\v\f\x85\xa0"  # what Go's TrimSpace trims of Latin-1
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Stored(msgspec.Struct, frozen=True):
    """What ``store`` brings."""

    server: str
    username: str
    secret: Secret


class _Credentials(msgspec.Struct, frozen=True):
    """The JSON of ``store``, in the spelling of Go's struct; null is its zero value, as Go reads it."""

    server: str | None = msgspec.field(name="ServerURL", default=None)
    username: str | None = msgspec.field(name="Username", default=None)
    secret: str | None = msgspec.field(name="Secret", default=None)


# --- what is asked ----------------------------------------------------------------------------------------------------


def request(server: str | None = None) -> Request:
    """Return the request for a server's token; None: for what a session would answer, whatever the server."""
    return Request(tool="docker", manners=MANNERS, target=server)


def read_server(data: bytes) -> str:
    """Return the server URL of ``get`` and ``erase``, without white space around it. Raises ProtocolError."""
    try:
        return _server(data.decode())
    except UnicodeDecodeError:
        raise ProtocolError("the server URL is not UTF-8") from None


def _server(text: str) -> str:
    server = text.strip(_SPACE)
    if not server:
        raise ProtocolError(NO_SERVER)
    if _CONTROL.search(server):
        raise ProtocolError("the server URL has a control character in it")
    return server


def read_store(data: bytes) -> Stored:
    """Return what ``store`` brings, one JSON object. Raises ProtocolError, which quotes none of it."""
    if len(data) > LARGEST:
        raise ProtocolError(f"what should be stored is larger than {LARGEST >> 20} MiB")
    try:
        found = msgspec.json.decode(data, type=_Credentials)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError(
            "what should be stored is not one JSON object with ServerURL, Username and Secret"
        ) from None
    server = _server(found.server or "")
    if not found.username:
        raise ProtocolError(NO_USERNAME)
    return Stored(server=server, username=found.username, secret=Secret(found.secret or ""))


# --- servers ----------------------------------------------------------------------------------------------------------


def hub(server: str) -> bool:
    """Say whether a server is Docker Hub, by one of its names."""
    return server.removeprefix("https://").removesuffix("/") in HUB


def spellings(server: str) -> tuple[str, ...]:
    """Return the servers one of which a profile has to list for this one to be its; none: a key of its own."""
    if hub(server):
        return HUB
    host = server.removeprefix("https://").partition("/")[0].lower().removesuffix(":443").removesuffix(".")
    return () if host in HUB else (server,)


def key_of(entry: Listed) -> str:
    """Return the key by which docker looks up a server that a profile lists: HOST[:PORT][/PATH], or the Hub's."""
    if not entry.url.startswith("https://"):
        return entry.url
    host, slash, path = entry.url.removeprefix("https://").partition("/")
    server = host.removesuffix(":443") + slash + path
    return HUB_KEY if hub(server) else server


def username_of(entry: Listed, identity: Identity | None) -> str:
    """Return the user name for a registry: as it is written, ``{claim}`` replaced by what the ID token says.

    Raises ConfigurationError where there is no such claim, or where Basic cannot carry the name.
    """
    name = username(entry.username, identity)
    if not name:  # docker would take the answer for "no credentials"
        raise ConfigurationError(f'username = "{foreign(entry.username, 60)}" makes an empty name')
    return name


# --- an answer --------------------------------------------------------------------------------------------------------


def render(server: str, username: str, secret: Secret) -> bytes:
    """Return the answer to ``get``: one JSON object and a newline."""
    return json.dumps({"ServerURL": server, "Username": username, "Secret": secret.reveal()}).encode() + b"\n"


def render_token(server: str, entry: Listed, credential: Credential) -> bytes:
    """Return the answer to ``get`` for a server that a profile lists. Raises TokenResponseError, ConfigurationError."""
    return render(server, username_of(entry, credential.identity), Secret(token_text(credential)))


def render_list(servers: dict[str, str]) -> bytes:
    """Return the answer to ``list``: user names by server."""
    return json.dumps(servers).encode() + b"\n"


def usage(name: str) -> bytes:
    """Return what the reference implementation says to a wrong number of arguments, and to --help."""
    return f"Usage: {name} <{'|'.join(ACTIONS)}>\n".encode()


def unknown_action(name: str, action: str) -> bytes:
    """Return what the reference implementation says to an action that it does not know; not what may be a secret."""
    shown = foreign(action, 60)
    named = f": {shown}" if re.fullmatch("[A-Za-z]{0,20}", shown) else ""
    return f"{name}: unknown action{named}\n".encode()


def version(name: str, package: str, number: str) -> bytes:
    """Return the answer to ``version``: NAME (PACKAGE) VERSION."""
    return f"{name} ({package}) {number}\n".encode()


def signed_out(error: CredentialHelperError) -> bool:
    """Say whether an error means that a person has to sign in (again): for docker there are no credentials then."""
    return error.exit_code in (InteractionRequired.exit_code, AuthorizationError.exit_code)


def decline(error: CredentialHelperError | None) -> tuple[bytes, int]:
    """Return stdout and the exit code for a request that fails; None: there are no such credentials.

    stdout is never empty: docker shows it in its own error, and shows nothing else.
    """
    if error is None:
        return NOT_FOUND.encode() + b"\n", 1
    if error.sentence in (NO_SERVER, NO_USERNAME):
        return error.sentence.encode() + b"\n", 1
    where = f"{foreign(error.profile)}: " if error.profile else ""
    return f"credential-helper: {where}{foreign(error.sentence, 2000)}\n".encode(errors="replace"), error.exit_code
