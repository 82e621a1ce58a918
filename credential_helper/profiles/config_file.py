"""One config file: found, judged safe, read through one descriptor, decoded.

- It belongs to the user or root and is writable by nobody else; a symlink to such a file is fine. A group that has no
  other member is nobody else: with umask 002, the default of Ubuntu and Fedora, files are writable by it.
- Below sudo, a file of whoever typed it is passed over: what it names would be read, and run, as root.
- Its stamp is taken by fstat of the descriptor that is read, before the first byte.
- What is wrong in it is said with the file, the line and a sentence, never with what stands there: it may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from credential_helper import lean, places
from credential_helper.errors import ConfigurationError
from credential_helper.profiles.written import SINGLE_QUOTES, FileKind
from credential_helper.system import files
from credential_helper.text import foreign

LIMIT = 1 << 20  # bytes

# A key of so many parts: tomllib takes time that grows with their square, minutes where a line has 100,000.
_DEEP = 50
_DEEP_KEY = rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_DEEP}}}"""


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True):
    """A config file that was looked for, there or not."""

    path: str
    stamp: str  # places.stamp of the descriptor that was read, places.ABSENT if there is none
    place: FileKind

    @property
    def changed_at(self) -> float:
        """Return when it was last changed, in seconds since the epoch; 0 where nobody knows."""
        parts = self.stamp.split()
        return int(parts[2]) / 1e9 if len(parts) > 2 else 0.0


class PassedOver(ConfigurationError):
    """The file belongs to the person behind sudo: nothing is wrong with it, and nothing of it counts."""


class Found(NamedTuple):
    """A config file as it was read."""

    file: ConfigFile
    text: str
    document: dict[str, Any]
    status: os.stat_result


def read(place: FileKind, path: str, environ: Mapping[str, str]) -> Found | None:
    """Return a config file; None where there is no such file. Raises ConfigurationError, PassedOver."""
    shown = foreign(path)
    if not os.path.isabs(path):
        raise ConfigurationError("CREDENTIAL_HELPER_CONFIG: expected an absolute path or ~/…")
    try:
        data, status = files.read_bytes(path, LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        if place == "named":
            raise ConfigurationError(f"{shown}: there is no such file, and CREDENTIAL_HELPER_CONFIG names it") from None
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{shown}: {files.reason(error)}") from None
    if not places.ours(status) and status.st_uid != 0:
        if environ.get("SUDO_UID") == str(status.st_uid):
            raise PassedOver(
                f"{shown}: is passed over, as it belongs to the person behind sudo",
                hint="run it without sudo, or write the profile into the system's file",
            )
        raise ConfigurationError(f"{shown}: belongs to somebody else", hint="a config file belongs to you or to root")
    if files.others_may_write(path, status):
        raise ConfigurationError(f"{shown}: others may write to it", hint=f"chmod go-w {files.quoted(path)}")
    text, document = decode(data, shown)
    return Found(ConfigFile(path=path, stamp=places.stamp(status), place=place), text, document, status)


def decode(data: bytes, shown: str) -> tuple[str, dict[str, Any]]:
    """Decode TOML; return it as text, too. Raises ConfigurationError with the file's name as ``shown``."""
    _load_tomllib()
    import tomllib  # only the slow path reads a config

    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        raise ConfigurationError(f"{shown}: found UTF-16, expected UTF-8", hint="save it as UTF-8")
    try:
        document = data.removeprefix(b"\xef\xbb\xbf").decode()  # a BOM is accepted
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{shown}: line {line}: is not UTF-8", hint="save it as UTF-8") from None
    try:
        if document.count(".") >= _DEEP and re.search(_DEEP_KEY, document):
            raise RecursionError
        return document, tomllib.loads(document)
    except RecursionError:
        raise ConfigurationError(f"{shown}: is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one; int() has a limit of its own
        raise _syntax_error(str(error), document, shown) from None


def _load_tomllib() -> None:
    """Import it without string, whose templates it does not use, but some letters of which."""
    letters, digits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
    string = {"ascii_letters": letters, "digits": digits, "hexdigits": f"{digits}abcdefABCDEF"}
    lean.load("tomllib", instead={"string": string})


def _syntax_error(said: str, document: str, shown: str) -> ConfigurationError:
    """Turn tomllib's sentence, which quotes at most a character or a key, into ours."""
    sentence, _, position = said.partition(" (at ")
    lines = document.rstrip().split("\n")
    found = re.match(r"line (\d+),", position)
    number = int(found[1]) if found else len(lines)
    line = lines[min(number, len(lines)) - 1]
    hint = None
    if set(line.partition("#")[0]) & _CURLY:
        sentence, hint = "curly quotes", 'write straight ones: issuer = "https://…"'
    elif sentence.startswith(("Illegal character '\\n'", "Unterminated string")):
        sentence, hint = "a string does not end", 'it ends on its line, with a quote: issuer = "https://…"'
    elif sentence == "Invalid statement" or re.match(r"\s*[\w.\"'-]+\s*:(\s|$)", line):
        hint = "TOML writes key = value, and [profiles.NAME] above a profile's keys"
    elif sentence.startswith("Expected newline or end of document"):
        sentence, hint = "more stands behind the value", "write one key per line, and # before a remark"
    elif re.search(r'"[^"]*\\', line):
        hint = SINGLE_QUOTES
    elif sentence == "Invalid value":
        hint = 'a string stands in quotes: issuer = "https://…"'
    twice = _twice(sentence, lines[: min(number, len(lines))])
    if twice is not None:
        sentence, hint = twice
    sentence = foreign(sentence[:1].lower() + sentence[1:])
    return ConfigurationError(f"{shown}: line {number}: {sentence}", hint=hint)


_CURLY = frozenset("\u201c\u201d\u201e\u2018\u2019")  # as text processors write quotes
_TWICE = ("Cannot declare", "Cannot overwrite", "Cannot mutate", "Duplicate inline table key", "Cannot redefine")


def _twice(sentence: str, lines: list[str]) -> tuple[str, str] | None:
    """Say in words that a table or a key is there already, and where; ``lines`` end with the one that is wrong."""
    if not sentence.startswith(_TWICE):
        return None
    last = lines[-1].strip()
    header = re.match(r"\[+([^\]]+)\]", last)
    key = re.match(r"""["']?[\w.-]+["']?(?=\s*=)""", last)
    if header is not None:
        first = next((n for n, line in enumerate(lines[:-1], 1) if line.strip().startswith(f"[{header[1]}]")), None)
        where = f", first in line {first}" if first else ""
        inner = re.escape(header[1].rpartition(".")[2].strip())
        if first is None and (
            keys := [n for n, line in enumerate(lines[:-1], 1) if re.match(rf"\s*{inner}\s*=", line)]
        ):
            return f"[{header[1]}] is written twice, first in line {keys[-1]}", "leave one of them"
        return (
            f"[{header[1]}] is written twice{where}",
            "give each profile a name of its own, or put all its keys below one",
        )
    name = key[0] if key is not None else "a key"
    return f"{name} is written twice", "leave one of them"
