"""What may be asked for beside a profile: the keys of a request in JSON, and of a cluster's extension.

Reading is strict: a key that is not known, null or a value of another type is refused with the key's name, what was
found and what was expected, and never with the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from credential_helper.errors import ProtocolError
from credential_helper.text import foreign
from credential_helper.tools.wire import described

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


KEYS: Mapping[str, _Key] = {
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
        key = KEYS[name]
        try:
            fields[name] = key.make(msgspec.convert(value, key.type))
        except (msgspec.ValidationError, ValueError):
            raise ProtocolError(
                f'{where}: "{name}" should be {key.expected}; found {described(value, key.kinds)}'
            ) from None
    return fields
