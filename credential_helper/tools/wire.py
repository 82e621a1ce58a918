"""What the tools' formats share: one strict JSON object, a token fit for a header, a user name.

Reading is strict: a key twice or NaN is refused with the key's name, and never with the value, which may be a token.
"""

from __future__ import annotations

import re
from typing import NoReturn

from credential_helper.errors import ConfigurationError, ProtocolError, TokenResponseError
from credential_helper.model import Credential, Identity
from credential_helper.text import foreign

LIMIT = 1 << 20  # bytes of a request; whoever reads stdin stops one byte later

BOM = b"\xef\xbb\xbf"


def described(value: object, expected: tuple[type, ...] = ()) -> str:
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
    import json  # git's lines need none

    if len(data) > LIMIT:
        raise ProtocolError(f"{what} is larger than {LIMIT >> 20} MiB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ProtocolError(f"{what} is UTF-16; JSON is UTF-8 (RFC 8259 §8.1)")
    if data.startswith(BOM):
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
        raise ProtocolError(f"{what} should be one JSON object; found {described(value)}")
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


def token_text(credential: Credential) -> str:
    """Return the token itself, fit for an Authorization header.

    A line end inside it makes kubectl fail with ``net/http: invalid header field value`` and never ask again. Raises
    TokenResponseError when it is empty, or has a space, a control character or anything else beyond visible ASCII.
    """
    text = credential.token.reveal()
    if not _visible(text):
        raise TokenResponseError(f"the {credential.kind} token has characters that an HTTP header cannot carry")
    return text


def token_type(credential: Credential) -> str:
    """Return the token's type, "Bearer" however the provider spelled it (RFC 6749 §5.1: case does not matter)."""
    if credential.token_type.lower() == "bearer":
        return "Bearer"
    if not _visible(credential.token_type):
        raise TokenResponseError("the token type has characters that an HTTP header cannot carry")
    return credential.token_type


def _visible(text: str) -> bool:
    return text != "" and all("!" <= character <= "~" for character in text)


def username(template: str, identity: Identity | None) -> str:
    """Return a user name: as it is written, its ``{claim}`` replaced by that claim of the ID token.

    Raises ConfigurationError where there is no such claim, or where Basic cannot carry the name (RFC 7617 §2).
    """
    claims = dict(identity.claims) if identity is not None else {}

    def claim(found: re.Match[str]) -> str:
        if found[1] not in claims:
            what = "the ID token has no such claim" if claims else "there is no ID token"
            raise ConfigurationError(
                f'username = "{foreign(template, 60)}": {what}',
                hint=f"it has {foreign(', '.join(claims))}" if claims else 'write the name itself, or "oauth2"',
            )
        return claims[found[1]]

    name = re.sub(r"\{([^{}]+)\}", claim, template)
    if ":" in name or not name.isprintable():
        raise ConfigurationError(
            f'username = "{foreign(template, 60)}" makes a name with a colon or a control character in it',
            hint="write another name, or another claim",
        )
    return name
