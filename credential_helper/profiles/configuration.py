"""What the config files say, as a whole.

A user's profile replaces the system's of the same name. Only the profile in use is parsed, of the others no more than
the URLs and servers that they list; ``problems`` parses all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, cast

from credential_helper import places
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Listed, Profile
from credential_helper.profiles import config_file, parse, settings
from credential_helper.profiles.assembly import assemble
from credential_helper.profiles.config_file import ConfigFile
from credential_helper.profiles.entries import parser_of
from credential_helper.profiles.inputs import from_table
from credential_helper.profiles.written import FileKind, Origin, Written, check_keys, nearest_word, typed
from credential_helper.text import Note, foreign, harmless_word, silent
from credential_helper.tools import LISTED, Tool

TOP_LEVEL = ("default_profile", "password_storage", "profiles")
NAME = re.compile(r"[A-Za-z0-9_-]+")

_PASSWORD_STORAGE = parse.choice("auto", "keyring", "file", "off")


class Configuration:
    """What the config files say; profiles are judged when they are asked for."""

    def __init__(self, environ: Mapping[str, str], *, note: Note = silent) -> None:
        self.files: tuple[ConfigFile, ...] = ()
        self.default_profile: str | None = None
        self.password_storage = "auto"  # auto | keyring | file | off
        self.hidden: frozenset[str] = frozenset()  # the variables that hold secrets: no child may see them
        self.remarks: list[str] = []  # what status tells although it stops nothing
        self._environ = environ
        self._note = note
        self._tables: dict[str, Written] = {}

    def add(self, place: FileKind, path: str) -> None:
        """Read one more file; its profiles replace those of the same name as a whole. Raises ConfigurationError."""
        file, document = config_file.read(place, path)
        self.files += (file,)
        if document is None:
            self._note(f"there is no {foreign(path)}")
            return

        def expand(path: str) -> str | None:
            return places.expand(path, self._environ)

        origin = Origin(kind=place, expand=expand, folder=os.path.dirname(path), remark=self._remark)
        root = Written(document, f"{foreign(path)}:", origin)
        for error in check_keys(root, document, TOP_LEVEL):
            raise error
        profiles = root.part("profiles", document.get("profiles", {}))
        tables: dict[str, Any] = typed(profiles, dict[str, Any], "tables [profiles.NAME]")
        for name, table in tables.items():
            self._tables[name] = profiles.part(name, table)
            typed(self._tables[name], dict[str, Any], "a table [profiles.NAME]")
        if "default_profile" in document:
            self.default_profile = parse.text(root.part("default_profile", document["default_profile"]))
        if "password_storage" in document:
            self.password_storage = _PASSWORD_STORAGE(root.part("password_storage", document["password_storage"]))
        self.hidden |= frozenset(_variables_named(tables))
        self._note(f"read {foreign(path)}: {', '.join(map(foreign, tables)) or 'no profile'}")

    def _remark(self, sentence: str) -> None:
        if sentence not in self.remarks:
            self.remarks.append(sentence)
            self._note(sentence)

    def names(self) -> tuple[str, ...]:
        """Return the names of all profiles, judged or not."""
        return tuple(self._tables)

    def profile(self, name: str, laid_over: Mapping[str, Written] | None = None) -> Profile:
        """Return a profile, with other settings laid over it, judged whole. Raises ConfigurationError."""
        profile, errors = self._parsed(name, laid_over or {})
        for error in errors:
            raise error
        assert profile is not None
        return profile

    def _parsed(
        self, name: str, laid_over: Mapping[str, Written]
    ) -> tuple[Profile | None, list[CredentialHelperError]]:
        written = self.table(name)
        if not NAME.fullmatch(name):
            return None, [written.impossible("a profile's name has letters, digits, - and _ only")]

        def absent(setting: settings.Setting) -> CredentialHelperError:
            return written.malformed(f"{setting.name} is missing")

        values, errors = from_table(written)
        profile, more = assemble(name, {**values, **laid_over}, absent=absent)
        return profile, errors + more

    def table(self, name: str, named_by: str | None = None) -> Written:
        """Return a profile as it was written. Raises ConfigurationError where there is none of that name."""
        if name in self._tables:
            return self._tables[name]
        first, _, rest = name.partition(".")
        nearest = nearest_word(name, self.names())
        if rest and first in self._tables and rest in self._tables[first].value:
            hint = f"a dot makes a table inside a table: write [profiles.{foreign(first)}-{foreign(rest)}]"
        elif self._tables:
            hint = f"there are {', '.join(map(foreign, self._tables))}"
        else:
            hint = _smallest_config(self._environ)
        guess = f"; did you mean {foreign(nearest)}?" if nearest else ""
        lead = f"{named_by}: " if named_by else ""
        # A word that stands alone on a command line may be anything that was pasted there.
        shown = (
            "of that name"
            if named_by == "PROFILE" and not (nearest or harmless_word(name))
            else f'"{foreign(name, 60)}"'
        )
        raise ConfigurationError(f"{lead}there is no profile {shown}{guess}", hint=hint)

    def problems(self) -> list[ConfigurationError]:
        """Judge every profile, and what they say about each other; return all that is wrong."""
        errors: list[CredentialHelperError] = []
        for name in self._tables:
            errors += self._parsed(name, {})[1]
        lists = [tool for tool in LISTED.values() if tool.hosts is not None and not tool.hosts.restricts]
        collectors: list[Callable[[], object]] = [*(partial(self.entries, tool) for tool in lists), self.default_name]
        for collect in collectors:
            try:
                collect()
            except CredentialHelperError as error:
                errors.append(error)
        unique = {error.sentence: error for error in errors}
        return [error for error in unique.values() if isinstance(error, ConfigurationError)]

    def default_name(self) -> str | None:
        """Return default_profile, or the only profile, or None. Raises ConfigurationError."""
        if self.default_profile is not None:
            self.table(self.default_profile, "default_profile")
            return self.default_profile
        return next(iter(self._tables)) if len(self._tables) == 1 else None

    def default(self) -> str:
        """Return the name of the profile that serves when none is named. Raises ConfigurationError, UsageError."""
        name = self.default_name()
        if name is not None:
            return name
        if not self._tables:
            raise ConfigurationError("no profile is configured", hint=_smallest_config(self._environ))
        names = ", ".join(map(foreign, self._tables))
        raise UsageError(f"which profile? there are {names}", hint="give --profile NAME, or set default_profile")

    def entries(self, tool: Tool) -> list[tuple[str, Listed]]:
        """Return what all profiles list for a tool, with their names.

        Raises ConfigurationError for an entry that is wrong, or that is listed twice.
        """
        assert tool.hosts is not None
        key, parse_list = tool.hosts.key, parser_of(tool.hosts)
        entries: list[tuple[str, Listed]] = []
        lister: dict[str, str] = {}
        for name, written in self._tables.items():
            if key not in written.value:
                continue
            part = written.part(key, written.value[key])
            for entry in parse_list(part):
                url = entry.url
                if url in lister:
                    other = "twice" if lister[url] == name else f"by profile {foreign(lister[url])}, too"
                    raise part.impossible(f"{foreign(url)} is listed {other}", hint="list it once")
                lister[url] = name
                entries.append((name, entry))
        return entries


def _variables_named(value: object) -> Iterator[str]:
    """Walk over every ``{ env = … }``."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "env" and isinstance(inner, str):
                yield inner
            yield from _variables_named(inner)


def _smallest_config(environ: Mapping[str, str]) -> str:
    files = places.config_files(environ)
    path = foreign(files[-1][1]) if files else "config.toml"
    return f'write into {path}: profiles.prod = {{ issuer = "https://example.eu.auth0.com/", client_id = "Xyz" }}'


def load(environ: Mapping[str, str], *, note: Note = silent) -> Configuration:
    """Read the config files that ``places.config_files`` names, in order. Raises ConfigurationError."""
    configuration = Configuration(environ, note=note)
    for place, path in places.config_files(environ):
        configuration.add(cast(FileKind, place), path)
    return configuration


def password_storage(
    configuration: Configuration | None, environ: Mapping[str, str]
) -> Literal["auto", "keyring", "file", "off"]:
    """Say where passwords of hosts that no profile lists are kept: the variable's word, then the files'.

    ``configuration`` is None where no file is read. Raises ConfigurationError.
    """
    said = environ.get("CREDENTIAL_HELPER_PASSWORD_STORAGE", "").strip().lower()
    if said not in ("", "auto", "keyring", "file", "off"):
        raise ConfigurationError(
            f'CREDENTIAL_HELPER_PASSWORD_STORAGE is "{foreign(said, 40)}", which is none of auto, keyring, file, off'
        )
    said = said or (configuration.password_storage if configuration is not None else "auto")
    return cast(Literal["auto", "keyring", "file", "off"], said)
