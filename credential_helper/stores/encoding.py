"""Values as JSON in private files: with their secrets on the way in, and without a word of them in an error."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from credential_helper.errors import NewerFormat
from credential_helper.model import Secret

_T = TypeVar("_T")


def reveal(part: object) -> object:
    """Unwrap a secret, as msgspec's ``enc_hook``."""
    if isinstance(part, Secret):
        return part.reveal()
    raise NotImplementedError(type(part).__name__)


def conceal(wanted: type, part: object) -> object:
    """Wrap a secret, as msgspec's ``dec_hook``."""
    if wanted is Secret and isinstance(part, str):
        return Secret(part)
    raise NotImplementedError(wanted.__name__)


def encode(value: object) -> bytes:
    """Write a value with its secrets: these bytes go into a private file and nowhere else."""
    return msgspec.json.encode(value, enc_hook=reveal)


def decode(content: bytes, kind: type[_T]) -> _T | None:
    """Read a value back; None where it is damaged. The cause is dropped: its repr may hold the content."""
    try:
        return msgspec.json.decode(content, type=kind, dec_hook=conceal)
    except (msgspec.DecodeError, UnicodeDecodeError, NotImplementedError, RecursionError):
        return None


class _Version(msgspec.Struct):
    version: int


def version_of(content: bytes) -> int | None:
    """Return the number of a file's format, whatever else is in it; None where it says none."""
    head = decode(content, _Version)
    return None if head is None else head.version


def newer(what: str, path: str) -> NewerFormat:
    """Return the error for a file that a later version of this program has written."""
    return NewerFormat(
        f"{what} was written by a newer version of this program, and is kept as it is",
        hint=f"use that version, or remove {path}",
    )
