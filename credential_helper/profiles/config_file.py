"""One config file: found, judged safe, read through one descriptor, decoded.

- It belongs to the user or root and is writable by nobody else; a symlink to such a file is fine.
- Its stamp is taken by fstat of the descriptor that is read, before the first byte.
- What is wrong in it is said with the file, the line and a sentence, never with what stands there: it may be a secret.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any

import msgspec

from credential_helper import places
from credential_helper.errors import ConfigurationError
from credential_helper.profiles.written import SINGLE_QUOTES, FileKind
from credential_helper.text import foreign

LIMIT = 1 << 20  # bytes


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True):
    """A config file that was looked for, there or not."""

    path: str
    stamp: str  # places.stamp of the descriptor that was read, places.ABSENT if there is none
    place: FileKind


def read_bytes(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    """Read a regular file of at most ``limit`` bytes; its status is taken before the first byte.

    Raises OSError, and ValueError (in words) where the file is not regular or too large.
    """
    # O_NONBLOCK: opening a FIFO would wait for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        data = b""
        while chunk := os.read(descriptor, limit + 1 - len(data)):
            data += chunk
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise ValueError(f"is larger than {limit // 1024} KiB")
    return data, status


def reason(error: OSError | ValueError) -> str:
    """Say why ``read_bytes`` failed."""
    if isinstance(error, OSError):
        return f"cannot be read: {(error.strerror or 'unknown error').lower()}"
    return str(error)


def read(place: FileKind, path: str) -> tuple[ConfigFile, dict[str, Any] | None]:
    """Return a config file and its document; None where there is no such file. Raises ConfigurationError."""
    shown = foreign(path)
    if not os.path.isabs(path):
        raise ConfigurationError("CREDENTIAL_HELPER_CONFIG: expected an absolute path or ~/…")
    try:
        data, status = read_bytes(path, LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        if place == "named":
            raise ConfigurationError(f"{shown}: there is no such file, and CREDENTIAL_HELPER_CONFIG names it") from None
        return ConfigFile(path=path, stamp=places.ABSENT, place=place), None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{shown}: {reason(error)}") from None
    if not places.ours(status) and status.st_uid != 0:
        raise ConfigurationError(f"{shown}: belongs to somebody else", hint="a config file belongs to you or to root")
    if places.writable_by_others(status):
        raise ConfigurationError(f"{shown}: others may write to it", hint=f"chmod go-w {shown}")
    return ConfigFile(path=path, stamp=places.stamp(status), place=place), decode(data, shown)


def decode(data: bytes, shown: str) -> dict[str, Any]:
    """Decode TOML. Raises ConfigurationError with the file's name as ``shown``."""
    import tomllib  # 11 ms, and only the slow path reads a config

    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        raise ConfigurationError(f"{shown}: found UTF-16, expected UTF-8", hint="save it as UTF-8")
    try:
        document = data.decode("utf-8-sig")  # a BOM is accepted
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{shown}: line {line}: is not UTF-8", hint="save it as UTF-8") from None
    try:
        return tomllib.loads(document)
    except RecursionError:
        raise ConfigurationError(f"{shown}: is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one; int() has a limit of its own
        raise _syntax_error(str(error), document, shown) from None


def _syntax_error(said: str, document: str, shown: str) -> ConfigurationError:
    """Turn tomllib's sentence, which quotes at most a character or a key, into ours."""
    sentence, _, position = said.partition(" (at ")
    lines = document.rstrip().split("\n")
    found = re.match(r"line (\d+),", position)
    number = int(found[1]) if found else len(lines)
    line = lines[min(number, len(lines)) - 1]
    hint = None
    if re.match(r"\s*[\w.\"'-]+\s*:(\s|$)", line):
        hint = "TOML writes key = value, and [profiles.NAME] above a profile's keys"
    elif re.search(r'"[^"]*\\', line):
        hint = SINGLE_QUOTES
    elif sentence == "Invalid value":
        hint = 'a string stands in quotes: issuer = "https://…"'
    sentence = foreign(sentence[:1].lower() + sentence[1:])
    return ConfigurationError(f"{shown}: line {number}: {sentence}", hint=hint)
