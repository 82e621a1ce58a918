"""Our own JSON, version 1: an object on stdin, an object on stdout; and which protocol a caller speaks.

    in   {"version": 1, "profile", "audience", "resource", "scope", "token", "minimum_validity", "refused"}
    out  {"version": 1, "token_type": "Bearer", "access_token" or "id_token", "expires_at", "scope"}

Every key of a request is optional, so is the request itself. Reading is strict: a key that we do not know, a key twice,
null, NaN or a value of another type is refused with the key's name, what was found and what was expected, and never
with the value, which may be a token. Only the token that was asked for is in an answer, as one line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from credential_helper.errors import CredentialHelperError, ProtocolError, TokenResponseError
from credential_helper.model import Credential, Request
from credential_helper.text import foreign, rfc3339

VERSION = 1
LIMIT = 1 << 20  # bytes of a request; whoever reads stdin stops one byte later

Protocol = Literal["json", "exec-credential", "git", "uri", "empty"]

_GIT_KEYS = frozenset((b"protocol", b"host", b"url", b"capability[]"))  # what git or a person begins a request with
_BOM = b"\xef\xbb\xbf"


# --- which protocol ---------------------------------------------------------------------------------------------------


def detect(data: bytes) -> Protocol | None:
    """Say which protocol a request on stdin speaks; None for none that we know. Reads it no further than that.

    JSON of any kind that is neither an ExecCredential nor ``{"uri": …}`` is "json", broken JSON too: ``read`` has the
    sentence for it.
    """
    start = data.removeprefix(_BOM).lstrip()
    if not start:
        return "empty"
    if start[:1] in (b"[", b'"'):
        return "json"
    if start[:1] != b"{":
        return "git" if _is_git(data) else None
    try:
        names = json_object(data, "stdin").keys()
    except ProtocolError:
        return "json"
    if "kind" in names or "apiVersion" in names:
        return "exec-credential"
    return "uri" if "uri" in names else "json"


def unanswerable(found: Protocol | None) -> ProtocolError:
    """Return the refusal of a request in a protocol that the command does not speak."""
    if found == "uri":
        return ProtocolError('a request by "uri" on stdin is not supported yet')
    if found == "empty":
        return ProtocolError("stdin is empty")
    return ProtocolError(
        "stdin is neither a JSON object, nor an ExecCredential, nor git's key=value lines",
        hint='an empty request, or {"version": 1}, asks for the default profile\'s token',
    )


def _is_git(data: bytes) -> bool:
    lines = data[:LIMIT].split(b"\n")
    keys = [line.partition(b"=")[0] for line in lines[: lines.index(b"") if b"" in lines else None] if b"=" in line]
    return b"=" in lines[0] and not _GIT_KEYS.isdisjoint(keys)


# --- a request --------------------------------------------------------------------------------------------------------

_Text = Annotated[str, Meta(min_length=1)]


class _Key(msgspec.Struct, frozen=True):
    """What a key may hold: as a type, in words, and what is made of it."""

    type: Any
    expected: str
    make: Callable[[Any], object]  # raises ValueError
    kinds: tuple[type, ...] = (str,)  # a value of these, where it does not fit, is "another" one


def _printable(value: str) -> str:
    if not value.isprintable():  # also refuses half a surrogate pair, which cannot be encoded
        raise ValueError
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value


def _scopes(value: str | list[str]) -> tuple[str, ...]:
    words = tuple(value.split(" ")) if isinstance(value, str) else tuple(value)
    if any(" " in _printable(word) for word in words):
        raise ValueError
    return tuple(word for word in words if word)


def _resources(value: str | list[str]) -> tuple[str, ...]:
    resources = (value,) if isinstance(value, str) else tuple(value)
    for resource in resources:
        scheme, colon, rest = _printable(resource).partition(":")
        if not (scheme[:1].isalpha() and colon and rest) or "#" in resource or " " in resource:
            raise ValueError
    return resources


_KEYS: Mapping[str, _Key] = {
    "version": _Key(Literal[1], "1", int, (int, float)),
    "profile": _Key(_Text, "a profile's name", _printable),
    "audience": _Key(_Text, "a string of printable characters", _printable),
    # RFC 8707 §2
    "resource": _Key(
        _Text | list[_Text], "an absolute URI without a fragment, or a list of them", _resources, (str, list)
    ),
    # RFC 6749 §3.3
    "scope": _Key(str | list[_Text], "scopes with a space between them, or a list of them", _scopes, (str, list)),
    "token": _Key(Literal["access", "id"], '"access" or "id"', str),
    "minimum_validity": _Key(
        Annotated[float, Meta(ge=0)], "a number of seconds, 0 or more", _finite, kinds=(int, float)
    ),
    "refused": _Key(
        Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{64}\Z")], "the SHA-256 of a token as 64 hex digits", str.lower
    ),
}


def read(data: bytes) -> Request:
    """Return the request that our JSON makes; no bytes, or nothing but white space, leave everything to the profile.

    Raises ProtocolError when it is not one JSON object, or when a key or a value does not fit.
    """
    if not data.strip():
        return Request(tool="credential-helper")
    wishes = read_keys(json_object(data, "stdin"), _KEYS, "stdin")
    wishes.pop("version", None)
    return Request(tool="credential-helper", **wishes)


def read_keys(found: Mapping[str, object], allowed: Iterable[str], where: str) -> dict[str, Any]:
    """Return fields of a ``Request`` from the keys of a JSON object; ``where`` begins each sentence.

    Raises ProtocolError when a key is not allowed here, or when its value does not fit.
    """
    allowed = tuple(allowed)
    fields: dict[str, Any] = {}
    for name, value in found.items():
        if name not in allowed:
            raise ProtocolError(
                f'{where}: unknown key "{foreign(name, 60)}"', hint=f"the keys are {', '.join(allowed)}"
            )
        key = _KEYS[name]
        try:
            fields[name] = key.make(msgspec.convert(value, key.type))
        except (msgspec.ValidationError, ValueError):
            raise ProtocolError(
                f'{where}: "{name}" should be {key.expected}; found {_found(value, key.kinds)}'
            ) from None
    return fields


def _found(value: object, expected: tuple[type, ...] = ()) -> str:
    """Name a JSON value's type, and nothing of the value; "another" where the type alone would have been right."""
    if value is None:
        return "null (leave the key out instead)" if expected else "null"
    if isinstance(value, bool):
        return "true or false"
    article = "another" if isinstance(value, expected) else "a"
    if isinstance(value, str):
        return f"{article} string" if value else "an empty string"
    if isinstance(value, int | float):
        return f"{article} number"
    return f"{article} list" if isinstance(value, list) else "an object"


# --- JSON -------------------------------------------------------------------------------------------------------------


class _Repeated(ValueError):
    """A JSON object has a key twice."""


class _NotANumber(ValueError):
    """NaN or Infinity, which Python reads and JSON does not have."""


def json_object(data: bytes, what: str) -> dict[str, object]:
    """Return the one JSON object (RFC 8259) that the bytes are; ``what`` names them in messages.

    msgspec decodes JSON too, but takes the last of two equal keys without a word: two readers of the same bytes could
    then disagree about who is asked for what.

    Raises ProtocolError with one sentence that quotes none of the bytes, a repeated key's name apart.
    """
    if len(data) > LIMIT:
        raise ProtocolError(f"{what} is larger than {LIMIT >> 20} MiB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ProtocolError(f"{what} is UTF-16; JSON is UTF-8 (RFC 8259 §8.1)")
    if data.startswith(_BOM):
        raise ProtocolError(f"{what} begins with a byte order mark, which JSON may not have (RFC 8259 §8.1)")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unrepeated, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ProtocolError(f"{what} is not UTF-8") from None  # the cause's repr holds the whole request
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ProtocolError(f"{what} is not one JSON object: {_lower(error.msg)} ({place})") from None
    except _Repeated as error:
        raise ProtocolError(f'{what} has the key "{error}" twice') from None
    except _NotANumber:
        raise ProtocolError(f"{what} holds a number that JSON cannot write (RFC 8259 §6)") from None
    except ValueError:  # sys.set_int_max_str_digits
        raise ProtocolError(f"{what} holds a number of too many digits") from None
    except RecursionError:
        raise ProtocolError(f"{what} is nested too deeply") from None
    if not isinstance(value, dict):
        raise ProtocolError(f"{what} should be one JSON object; found {_found(value)}")
    return value


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _Repeated(foreign(name, 60))
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise _NotANumber(name)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


# --- an answer --------------------------------------------------------------------------------------------------------


def render(credential: Credential) -> bytes:
    """Return the answer: one JSON object and a newline.

    ``expires_at`` is the token's own expiry (UTC, RFC 3339, whole seconds rounded down), absent when it is unknown;
    ``scope`` is absent when nothing is known of it.

    Raises TokenResponseError when the token cannot stand in an Authorization header.
    """
    answer: dict[str, object] = {
        "version": VERSION,
        "token_type": _token_type(credential),
        f"{credential.kind}_token": token_text(credential),
    }
    if credential.expires_at is not None and math.isfinite(credential.expires_at):
        answer["expires_at"] = rfc3339(credential.expires_at)
    if credential.scope:
        answer["scope"] = " ".join(credential.scope).encode(errors="replace").decode()
    return msgspec.json.encode(answer) + b"\n"


def decline(error: CredentialHelperError) -> tuple[bytes, int]:
    """Return stdout and the exit code for a request that fails: nothing, and the error's own code."""
    return b"", error.exit_code


def token_text(credential: Credential) -> str:
    """Return the token itself, fit for an Authorization header.

    A line end inside it makes kubectl fail with ``net/http: invalid header field value`` and never ask again. Raises
    TokenResponseError when it is empty, or has a space, a control character or anything else beyond visible ASCII.
    """
    text = credential.token.reveal()
    if not _visible(text):
        raise TokenResponseError(f"the {credential.kind} token has characters that an HTTP header cannot carry")
    return text


def _token_type(credential: Credential) -> str:
    """Return the token's type, "Bearer" however the provider spelled it (RFC 6749 §5.1: case does not matter)."""
    if credential.token_type.lower() == "bearer":
        return "Bearer"
    if not _visible(credential.token_type):
        raise TokenResponseError("the token type has characters that an HTTP header cannot carry")
    return credential.token_type


def _visible(text: str) -> bool:
    return text != "" and all("!" <= character <= "~" for character in text)
