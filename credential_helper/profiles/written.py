"""What somebody wrote, where it stands, and the error for it.

- A flag or a request that cannot be understood is exit 64 or 65; a value that names something impossible is exit 78,
  and so is everything that is wrong in a file or a variable.
- A message says where, what was found, what was expected. What was found is echoed only from a file, only where a word
  from a list is wanted, and only when it is short: people paste tokens into the wrong key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from credential_helper.errors import ConfigurationError, CredentialHelperError, ProtocolError, UsageError
from credential_helper.text import foreign

T = TypeVar("T")

FileKind = Literal["system", "user", "named"]
Kind = FileKind | Literal["flag", "variable", "request"]

SINGLE_QUOTES = r"in double quotes a backslash begins an escape; write paths in single quotes: 'C:\corp\ca.pem'"


Refusal = tuple[str, str]  # a sentence, and what to do instead


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A file, the flags, the variables or a request: what its values may do and which error they raise."""

    kind: Kind
    expand: Callable[[str], str | None] = lambda _: None  # places.expand; a repr must not show the environment in it
    folder: str | None = None  # what a relative path in a file is relative to
    shown: str = ""  # the file, as it begins ``where``
    line_of: Callable[[Sequence[str | int]], int | None] = lambda _path: None  # in that file
    refuses: Callable[[str, str], Refusal | None] = lambda _kind, _value: None  # why a secret's source may not be read
    remark: Callable[[str], None] = lambda _: None  # takes what is only told: an unknown key in the system file

    @property
    def is_file(self) -> bool:
        """Say whether this is a config file."""
        return self.kind in ("system", "user", "named")


class Written(msgspec.Struct, frozen=True):
    """A value as it was written, and where: ``/etc/…/config.toml: profiles.prod.flow``, ``--flow``."""

    value: Any
    where: str
    origin: Origin
    path: tuple[str | int, ...] = ()  # the same as keys and indexes

    def __repr__(self) -> str:
        return f"<Written {self.where}>"  # the value may be a secret in the wrong place

    def part(self, key: str | int, value: object) -> Written:
        """Return what stands under a key, or at an index, of this table or list."""
        path = (*self.path, key)
        if isinstance(key, int):
            return Written(value, f"{self.where}[{key}]" if self.origin.is_file else self.where, self.origin, path)
        dot = " " if self.where.endswith(":") else "."
        return Written(value, f"{self.where}{dot}{foreign(key, 60)}", self.origin, path)

    @property
    def place(self) -> str:
        """Return where it stands with its line, for an error: ``/etc/…/config.toml: line 7: profiles.prod.flow``."""
        line = self.origin.line_of(self.path)
        lead = f"{self.origin.shown}:"
        if line is None or not self.where.startswith(lead):
            return self.where
        return f"{lead} line {line}:{self.where.removeprefix(lead)}"

    def malformed(self, sentence: str, *, hint: str | None = None) -> CredentialHelperError:
        """Return the error for a value that cannot be understood."""
        kinds: dict[str, type[CredentialHelperError]] = {"flag": UsageError, "request": ProtocolError}
        return self._at_its_line(
            kinds.get(self.origin.kind, ConfigurationError)(f"{self.place}: {sentence}", hint=hint)
        )

    def impossible(self, sentence: str, *, hint: str | None = None) -> CredentialHelperError:
        """Return the error for a value that is understood, and cannot be."""
        error = ProtocolError if self.origin.kind == "request" else ConfigurationError
        return self._at_its_line(error(f"{self.place}: {sentence}", hint=hint))

    def _at_its_line(self, error: CredentialHelperError) -> CredentialHelperError:
        error.line = self.origin.line_of(self.path) or 0
        return error


def kind_of_value(value: object) -> str:
    """Name the kind of a value from TOML, never the value."""
    kinds = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a table",
    }
    return kinds.get(type(value), "a date or time")


def typed(written: Written, kind: type[T], expected: str) -> T:
    """Return the value as the type it must have."""
    try:
        return msgspec.convert(written.value, kind)
    except msgspec.ValidationError:
        raise written.malformed(f"found {kind_of_value(written.value)}, expected {expected}") from None


_FEW = 8  # keys that a sentence lists
Explain = Callable[[Written, str], Refusal | None]  # what an unknown key is, and what to write instead


def check_keys(
    written: Written,
    table: Mapping[str, object],
    known: Sequence[str],
    explain: Explain = lambda _part, _key: None,
) -> list[CredentialHelperError]:
    """Return an error for each key that is not known; ``explain`` knows some of them from elsewhere.

    In the system file it is only remarked: a fleet runs several versions of this program under one such file.
    """
    errors: list[CredentialHelperError] = []
    for key, value in table.items():
        if key in known:
            continue
        part = written.part(key, value)
        explained = explain(part, key)
        meant = nearest_word(key, known) if explained is None else None
        if not written.path and (meant == "profiles") != isinstance(value, dict):  # [default], profile = "prod"
            meant = "default_profile" if meant == "profiles" else None if isinstance(value, dict) else meant
        few = f", expected one of {', '.join(known)}" if len(known) <= _FEW else ""
        sentence = f"unknown key; did you mean {meant}?" if meant else f"unknown key{few}"
        hint = _misplaced(part, meant) or (None if meant or few else "docs/configuration.md has every key")
        if explained is not None:
            sentence, hint = explained
        if written.origin.kind == "system":
            written.origin.remark(f"{part.place}: {sentence}")
        else:
            errors.append(part.impossible(sentence, hint=hint))
    return errors


def _misplaced(part: Written, meant: str | None) -> str | None:
    """Return a hint for ``[prod]`` and for ``[profiles.prod.eu]``, which TOML takes for a table inside of prod."""
    names = part.where.rpartition(" ")[2].split(".")
    table = isinstance(part.value, dict)
    if len(names) == 1 and meant is None:
        return f"write [profiles.{names[0]}]" if table else "a profile's keys stand below [profiles.NAME]"
    if len(names) == 3 and names[0] == "profiles" and table:
        return f"a dot makes a table inside a table: write [profiles.{names[1]}-{names[2]}]"
    return None


def nearest_word(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that was probably meant."""
    import difflib  # 2 ms, and only for a message

    close = difflib.get_close_matches(word.lower().replace("-", "_"), known, n=1)
    return close[0] if close else None


def items_of(written: Written, expected: str) -> list[Written]:
    """Return the items of a list."""
    return [written.part(index, item) for index, item in enumerate(typed(written, list[Any], expected))]
