"""What the config files say, as a whole.

A user's profile replaces the system's of the same name. Only the profile in use is judged as a whole, of the others no
more than which URLs they list: what cannot be read there owns nothing, and stops nobody else. ``problems`` judges all.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from credential_helper import places
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError, raise_all
from credential_helper.model import Profile
from credential_helper.profiles import config_file, elsewhere, leave, parse, settings
from credential_helper.profiles.assembly import assemble
from credential_helper.profiles.config_file import ConfigFile
from credential_helper.profiles.elsewhere import TOP_LEVEL
from credential_helper.profiles.entries import parser_of, urls_in
from credential_helper.profiles.inputs import from_table, refuses_nothing
from credential_helper.profiles.lines import Lines
from credential_helper.profiles.written import (
    FileKind,
    Origin,
    Written,
    check_keys,
    items_of,
    kind_of_value,
    nearest_word,
    typed,
)
from credential_helper.text import Note, foreign, harmless_word, silent
from credential_helper.tools import LISTED, Tool

NAME = re.compile(r"[A-Za-z0-9_-]+")

_PASSWORD_STORAGE = parse.choice("auto", "keyring", "file", "off")


class Claim(msgspec.Struct, frozen=True):
    """A URL that a profile lists: whose request it is, before anything else of the profile is judged."""

    profile: str
    url: str


class Configuration:
    """What the config files say; profiles are judged when they are asked for."""

    def __init__(self, environ: Mapping[str, str], *, note: Note = silent) -> None:
        self.files: tuple[ConfigFile, ...] = ()
        self.default_profile: str | None = None
        self.password_storage = "auto"  # auto | keyring | file | off
        self.hidden: frozenset[str] = frozenset()  # the variables that hold secrets: no child may see them
        self.secret_files: tuple[str, ...] = ()  # folders whose files flags and variables may name as secrets
        self.errors: list[CredentialHelperError] = []  # what is wrong with the files, apart from their profiles
        self.passed_over: list[ConfigurationError] = []  # files that are not for us, below sudo
        self.remarks: list[str] = []  # what status tells although it stops nothing
        self._environ = environ
        self._note = note
        self._tables: dict[str, Written] = {}
        self._claims: dict[str, tuple[Claim, ...]] = {}  # by tool, as far as they were asked for
        self._judged: dict[str, Profile] = {}  # profiles that were asked for as they stand

    @property
    def found(self) -> bool:
        """Say whether there is a config file at all."""
        return any(file.stamp != places.ABSENT for file in self.files)

    def add(self, place: FileKind, path: str) -> None:
        """Read one more file; its profiles replace those of the same name as a whole.

        What is wrong with it as a whole is in ``errors`` then: a file that cannot be read or parsed has no profiles.
        """
        try:
            found = config_file.read(place, path, self._environ)
        except config_file.PassedOver as error:
            self.passed_over.append(error)
        except ConfigurationError as error:
            self.errors.append(error)
        else:
            self.files += (found.file if found else ConfigFile(path=path, stamp=places.ABSENT, place=place),)
            if found is None:
                self._note(f"there is no {foreign(path)}")
            else:
                self._take(found)
            return
        self.files += (ConfigFile(path=path, stamp="", place=place),)  # no answer is kept by such a stamp

    def _take(self, found: config_file.Found) -> None:
        file, document = found.file, found.document
        self._claims.clear()
        self._judged.clear()
        named = leave.named_by(file.place, file.path, found.status, self._environ)
        origin = Origin(
            kind=file.place,
            expand=lambda path: places.expand(path, self._environ),
            folder=os.path.dirname(file.path),
            shown=foreign(file.path),
            line_of=Lines(found.text).of,
            refuses=refuses_nothing if named is None else named.refuses,
            remark=self._remark,
        )
        root = Written(document, f"{foreign(file.path)}:", origin)
        self.errors += check_keys(root, document, TOP_LEVEL)
        before = self.secret_files
        tables = self._typed(root.part("profiles", document.get("profiles", {})), "tables [profiles.NAME]")
        for name, table in tables.items():
            self._tables[name] = root.part("profiles", tables).part(name, table)
        for key, take in (
            ("default_profile", self._take_default),
            ("password_storage", self._take_storage),
            ("secret_files", self._take_folders),
        ):
            if key in document:
                try:
                    take(root.part(key, document[key]))
                except CredentialHelperError as error:
                    self.errors.append(error)
        if named is not None and not named.trusted:
            self.secret_files = before
        self.hidden |= frozenset(_variables_named(tables))
        self._note(f"read {foreign(file.path)}: {', '.join(map(foreign, tables)) or 'no profile'}")

    def _typed(self, written: Written, expected: str) -> dict[str, Any]:
        """Return a table, or an empty one where something else stands."""
        try:
            return typed(written, dict[str, Any], expected)
        except CredentialHelperError as error:
            self.errors.append(error)
            return {}

    def _take_default(self, written: Written) -> None:
        self.default_profile = parse.text(written)

    def _take_storage(self, written: Written) -> None:
        self.password_storage = _PASSWORD_STORAGE(written)

    def _take_folders(self, written: Written) -> None:
        self.secret_files += tuple(parse.path(item) for item in items_of(written, "a list of folders"))

    def _remark(self, sentence: str) -> None:
        if sentence not in self.remarks:
            self.remarks.append(sentence)
            self._note(sentence)

    def names(self) -> tuple[str, ...]:
        """Return the names of all profiles, judged or not."""
        return tuple(self._tables)

    def profile(self, name: str, laid_over: Mapping[str, Written] | None = None) -> Profile:
        """Return a profile, with other settings laid over it, judged whole. Raises ConfigurationError."""
        if not laid_over and name in self._judged:
            return self._judged[name]
        profile, errors = self._parsed(name, laid_over or {})
        raise_all(errors)
        assert profile is not None
        if not laid_over:
            self._judged[name] = profile
        return profile

    def _parsed(
        self, name: str, laid_over: Mapping[str, Written]
    ) -> tuple[Profile | None, list[CredentialHelperError]]:
        written = self.table(name)
        if not NAME.fullmatch(name):
            return None, [written.impossible("a profile's name has letters, digits, - and _ only")]
        if not isinstance(written.value, dict):
            return None, [written.malformed(f"found {kind_of_value(written.value)}, expected a table [profiles.NAME]")]

        values, errors = from_table(written)
        meant = {elsewhere.meant(key) for key in written.value} if errors else set()
        unneeded: list[CredentialHelperError] = []  # what is there, only under another name, is not missing

        def absent(setting: settings.Setting) -> CredentialHelperError:
            error = written.malformed(f"{setting.name} is missing")
            error.line = sys.maxsize  # after what is there
            if setting.name in meant:
                unneeded.append(error)
            return error

        profile, more = assemble(name, {**values, **laid_over}, absent=absent)
        errors += [error for error in more if error not in unneeded]
        return profile, sorted(errors, key=lambda error: error.line)

    def table(self, name: str, named_by: str | None = None) -> Written:
        """Return a profile as it was written. Raises ConfigurationError where there is none of that name."""
        if name in self._tables:
            return self._tables[name]
        first, _, rest = name.partition(".")
        nearest = nearest_word(name, self.names())
        table = self._tables[first].value if first in self._tables else {}
        if rest and isinstance(table, dict) and rest in table:
            hint = f"a dot makes a table inside a table: write [profiles.{foreign(first)}-{foreign(rest)}]"
        elif self._tables:
            hint = f"there {'are' if len(self._tables) > 1 else 'is only'} {', '.join(map(foreign, self._tables))}"
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
        errors = list(self.errors)
        for name in self._tables:
            errors += self._parsed(name, {})[1]
        for tool in LISTED.values():
            if tool.hosts is not None and not tool.hosts.restricts:
                errors += self.listing_errors(tool)
        try:
            self.default_name()
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

    def claims(self, tool: Tool) -> tuple[Claim, ...]:
        """Return every URL that a profile lists for a tool, as far as it can be read; nothing else of it is judged."""
        assert tool.hosts is not None
        key = tool.hosts.key
        if tool.name not in self._claims:
            self._claims[tool.name] = tuple(
                Claim(profile=name, url=url)
                for name, written in self._tables.items()
                if isinstance(written.value, dict) and key in written.value
                for url in urls_in(written.part(key, written.value[key]), tool.hosts)
            )
        return self._claims[tool.name]

    def listing_errors(self, tool: Tool) -> list[CredentialHelperError]:
        """Return what is wrong with the lists for a tool: what owns nothing, and what is listed twice."""
        assert tool.hosts is not None
        key, parse_list = tool.hosts.key, parser_of(tool.hosts)
        errors: list[CredentialHelperError] = []
        for written in self._tables.values():
            try:
                table = typed(written, dict[str, Any], "a table [profiles.NAME]")
                if key in table:
                    parse_list(written.part(key, table[key]))
            except CredentialHelperError as error:
                errors.append(error)
        listed: set[str] = set()
        twice: dict[str, None] = {}
        for claim in self.claims(tool):
            if claim.url in listed:
                twice[claim.url] = None
            listed.add(claim.url)
        return errors + [self.listed_twice(tool, url) for url in twice]

    def listed_twice(self, tool: Tool, url: str) -> CredentialHelperError:
        """Return the error for a URL that is listed more than once."""
        assert tool.hosts is not None
        listers = [claim.profile for claim in self.claims(tool) if claim.url == url]
        first, last = listers[0], listers[-1]
        other = "twice" if first == last else f"by profile {foreign(first)}, too"
        part = self._tables[last].part(tool.hosts.key, None)
        return part.impossible(f"{foreign(url)} is listed {other}", hint="list it once")


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


def read(environ: Mapping[str, str], *, note: Note = silent) -> Configuration:
    """Read the config files that ``places.config_files`` names, in order; what is wrong with them is in ``errors``."""
    configuration = Configuration(environ, note=note)
    for place, path in places.config_files(environ):
        configuration.add(cast(FileKind, place), path)
    return configuration


def load(environ: Mapping[str, str], *, note: Note = silent) -> Configuration:
    """Read the config files, as ``read`` does. Raises ConfigurationError, with all that is wrong."""
    configuration = read(environ, note=note)
    raise_all(configuration.errors)
    return configuration
