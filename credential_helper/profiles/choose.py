"""config.toml, flags and environment → the profile that serves a request; and the secret it needs, when it needs it.

- A profile comes whole from one place. A *name* (the request's, ``--profile``, ``CREDENTIAL_HELPER_PROFILE``,
  ``default_profile``, the only one there is) takes it from the file: variables never change it, and flags may change
  anything but who is asked and with what, so that a secret goes only to the issuer it was written beside.
  An *issuer* (``--issuer``, ``CREDENTIAL_HELPER_ISSUER``, or a provider with one public service) makes an ad-hoc
  profile of flags, then variables; no file is read.
- Audience, resource, scope and token: the request first, then flags, then the profile.
- git and docker are served only for hosts that a profile lists; anything else is "not mine", never the default profile.
  A profile that is named narrows this to its own hosts.
- Only the profile in use is judged, of the others no more than their git and docker hosts; ``problems`` judges all.
- A secret's source is read when a request needs it, and never before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

import msgspec

from credential_helper import places, urls
from credential_helper.errors import AuthorizationError, ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import DockerEntry, GitEntry, Profile, Request, Secret, Source, session_id
from credential_helper.profiles import config_file, parse, settings
from credential_helper.profiles.config_file import ConfigFile
from credential_helper.profiles.entries import docker_servers, git_urls
from credential_helper.profiles.written import FileKind, Origin, Written, check_keys, nearest_word, typed
from credential_helper.system import children
from credential_helper.text import Note, foreign, silent

Entry = TypeVar("Entry", GitEntry, DockerEntry)

TOP_LEVEL = ("default_profile", "password_storage", "profiles")
NAME = re.compile(r"[A-Za-z0-9_-]+")
SECRET_LIMIT = 1 << 16  # bytes, as for a command's stdout
_DER = "write a key in DER form as PEM: openssl pkcs8 -topk8 -nocrypt -in OLD -out key.pem -inform DER"

_PASSWORD_STORAGE = parse.choice("auto", "keyring", "file", "off")

# What names a profile, or makes one, and its variable.
_NAMING = {key: f"CREDENTIAL_HELPER_{key.upper()}" for key in ("profile", "issuer", "provider")}

_BY_POSITION = "by position"  # among the flags: the profile was named as an argument of its own


# --- the files --------------------------------------------------------------------------------------------------------


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

        values, errors = settings.from_table(written)
        profile, more = settings.assemble(name, {**values, **laid_over}, absent=absent)
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
        raise ConfigurationError(f'{lead}there is no profile "{foreign(name, 60)}"{guess}', hint=hint)

    def problems(self) -> list[ConfigurationError]:
        """Judge every profile, and what they say about each other; return all that is wrong."""
        errors: list[CredentialHelperError] = []
        for name in self._tables:
            errors += self._parsed(name, {})[1]
        for collect in (self.git_entries, self.docker_entries, self.default_name):
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

    def git_entries(self) -> list[tuple[str, GitEntry]]:
        """Return every git URL with its profile's name; raises as ``entries`` does."""
        return self.entries("git", git_urls)

    def docker_entries(self) -> list[tuple[str, DockerEntry]]:
        """Return every registry with its profile's name; raises as ``entries`` does."""
        return self.entries("docker", docker_servers)

    def entries(self, key: str, parse: Callable[[Written], tuple[Entry, ...]]) -> list[tuple[str, Entry]]:
        """Return what all profiles list under a key, with their names.

        Raises ConfigurationError for an entry that is wrong, or that is listed twice.
        """
        entries: list[tuple[str, Entry]] = []
        lister: dict[str, str] = {}
        for name, written in self._tables.items():
            if key not in written.value:
                continue
            part = written.part(key, written.value[key])
            for entry in parse(part):
                url = _address(entry)
                if url in lister:
                    other = "twice" if lister[url] == name else f"by profile {foreign(lister[url])}, too"
                    raise part.impossible(f"{foreign(url)} is listed {other}", hint="list it once")
                lister[url] = name
                entries.append((name, entry))
        return entries


def _address(entry: GitEntry | DockerEntry) -> str:
    return entry.url if isinstance(entry, GitEntry) else entry.server


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


# --- who is asked -----------------------------------------------------------------------------------------------------


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The profile that serves a request, and what it was made of."""

    profile: Profile
    files: tuple[ConfigFile, ...] = ()  # looked for; empty for an ad-hoc profile
    hidden: frozenset[str] = frozenset()  # the variables that hold secrets, for children.run and read_secret


def choose(request: Request, flags: Mapping[str, object], environ: Mapping[str, str], *, note: Note = silent) -> Chosen:
    """Return the profile that serves a request which names no host of git's or docker's.

    ``flags`` are those that were given, by setting name. Raises UsageError, ProtocolError, ConfigurationError.
    """
    how, name, named_by = _selected(request, flags, environ)
    if how == "issuer":
        return _ad_hoc(request, flags, environ)
    configuration = load(environ, note=note)
    if how == "profile":
        configuration.table(name, named_by)
    elif configuration.default_name() is None:
        _check_leftovers(configuration, flags, environ)
    return _named(configuration, name or configuration.default(), request, flags, environ)


def choose_git(
    request: Request,
    protocol: str,
    host: str,
    path: str | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    note: Note = silent,
) -> tuple[Chosen, GitEntry] | None:
    """Return the profile that lists what git asks for, and how; None: not mine. Raises as ``choose`` does."""
    return _choose_listed("git", git_urls, _git_url(protocol, host, path), request, flags, environ, note)


def choose_docker(
    request: Request, server: str, flags: Mapping[str, object], environ: Mapping[str, str], *, note: Note = silent
) -> tuple[Chosen, DockerEntry] | None:
    """Return the profile that lists what docker asks for, and how; None: not mine. Raises as ``choose`` does."""
    return _choose_listed("docker", docker_servers, urls.parse_server(server), request, flags, environ, note)


def _choose_listed(
    key: Literal["git", "docker"],
    parse: Callable[[Written], tuple[Entry, ...]],
    asked: urls.Url | None,
    request: Request,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    note: Note,
) -> tuple[Chosen, Entry] | None:
    how, name, named_by = _selected(request, flags, environ)
    if asked is None:
        return None
    if how == "issuer":
        chosen = _ad_hoc(request, flags, environ)
        found = _longest([("", entry) for entry in getattr(chosen.profile, key)], asked, note)
        return None if found is None else (chosen, found[1])
    configuration = load(environ, note=note)
    entries = configuration.entries(key, parse)
    if how == "profile":
        configuration.table(name, named_by)
        entries = [(lister, entry) for lister, entry in entries if lister == name]
    if key in flags:  # the list of the one profile that is named; without a name there is none to change
        if how == "default":
            raise UsageError(f"--{key} needs --profile or --issuer")
        entries = [(name, entry) for entry in parse(settings.from_flags(flags, environ)[key])]
    found = _longest(entries, asked, note)
    if found is None:
        return None
    name, entry = found
    return _named(configuration, name, request, flags, environ, entry), entry


def _selected(
    request: Request, flags: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Literal["profile", "issuer", "default"], str, str]:
    """Say what names the profile, then its name and where that was said (both empty where it is none).

    Raises UsageError, ProtocolError, ConfigurationError.
    """
    flag, variable = Origin(kind="flag"), Origin(kind="variable")
    levels: tuple[dict[str, Written], ...] = (
        {} if request.profile is None else {"profile": _wish(request, "profile", request.profile)},
        {key: Written(flags[key], _spelled(key, flags), flag) for key in _NAMING if key in flags},
        {key: Written(environ[name], name, variable) for key, name in _NAMING.items() if environ.get(name)},
    )
    for level in levels:
        if "profile" in level and "issuer" in level:
            both = f"{level['profile'].where} and {level['issuer'].where}"
            raise UsageError(f"{both} are both given", hint="a profile comes whole from one place")
        if "profile" in level:
            return "profile", parse.text(level["profile"]), level["profile"].where
        if "issuer" in level or ("provider" in level and settings.names_an_issuer(level["provider"])):
            return "issuer", "", ""
    return "default", "", ""


def _check_leftovers(configuration: Configuration, flags: Mapping[str, object], environ: Mapping[str, str]) -> None:
    """Say what an ad-hoc profile lacks, where its settings are given and there is no profile that would serve instead.

    Variables stop nothing where a file has profiles, which they never change. Raises UsageError, ConfigurationError.
    """
    given = settings.from_flags(flags, environ)
    if "provider" in given:
        settings.BY_NAME["provider"].parse(given["provider"])
    for written in _ad_hoc_only(given):
        raise UsageError(f"{written.where} needs --issuer, too", hint=settings.without_issuer("--provider"))
    if not configuration.names():
        for written in _ad_hoc_only(settings.from_variables(environ)):
            hint = settings.without_issuer("CREDENTIAL_HELPER_PROVIDER")
            raise ConfigurationError(f"{written.where} needs CREDENTIAL_HELPER_ISSUER, too", hint=hint)


def _ad_hoc_only(given: Mapping[str, Written]) -> Iterator[Written]:
    """Walk over what says who is asked, and with what: of no use without an issuer."""
    return (written for key, written in given.items() if settings.by_key(key).fixed)


def is_ad_hoc(flags: Mapping[str, object], environ: Mapping[str, str]) -> bool:
    """Say whether flags and variables make the profile, so that no file is read. Raises as ``choose`` does."""
    return _selected(Request(tool="git"), flags, environ)[0] == "issuer"


def _spelled(key: str, flags: Mapping[str, object]) -> str:
    return "PROFILE" if key == "profile" and _BY_POSITION in flags else f"--{key}"


def by_position(flags: Mapping[str, object], name: str) -> dict[str, object]:
    """Add a profile that was named as an argument of its own. Raises UsageError if a flag names one, too."""
    if "profile" in flags:
        raise UsageError("PROFILE and --profile are both given", hint="a profile comes whole from one place")
    return {**flags, "profile": name, _BY_POSITION: True}


def each_by_position(given: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Yield the flags for each profile that was named as an argument (``profiles``), or once for none."""
    flags = {key: value for key, value in given.items() if key != "profiles"}
    names = given.get("profiles") or []
    for name in [names] if isinstance(names, str) else cast("list[str]", names):
        yield by_position(flags, name)
    if not names:
        yield flags


def _named(
    configuration: Configuration,
    name: str,
    request: Request,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    entry: GitEntry | DockerEntry | None = None,
) -> Chosen:
    """Return a profile of the file, with what a listed host says of it, flags and the request laid over it."""
    given = settings.from_flags(flags, environ)
    for key, written in given.items():
        if settings.by_key(key).fixed:
            raise UsageError(
                f"{written.where} cannot change profile {foreign(name)}: who is asked, and with what, is written there",
                hint="give --issuer, and what else it needs, instead of a profile",
            )
    laid_over = {**_of_entry(configuration, name, entry), **given}
    profile = _with_request(configuration.profile(name, laid_over), request)
    return Chosen(profile=profile, files=configuration.files, hidden=configuration.hidden)


def _of_entry(configuration: Configuration, name: str, entry: GitEntry | DockerEntry | None) -> dict[str, Written]:
    """Return the audience and scope that a listed host asks for instead of its profile's."""
    if entry is None:
        return {}
    table = configuration.table(name).part(_address(entry), None)
    wishes = {"audience": entry.audience, "scope": None if entry.scope is None else list(entry.scope)}
    return {key: table.part(key, value) for key, value in wishes.items() if value is not None}


def _ad_hoc(request: Request, flags: Mapping[str, object], environ: Mapping[str, str]) -> Chosen:
    """Return the profile that flags, then variables make; it is named after its issuer's host and its session."""
    given = settings.from_flags(flags, environ)
    values = settings.from_variables(environ)
    for secret in settings.SECRETS:  # a source by flag replaces one by variable
        sources = {f"{secret}.{kind}" for kind in settings.KINDS}
        if sources & given.keys():
            values = {key: written for key, written in values.items() if key not in sources}
    values |= given

    def absent(setting: settings.Setting) -> CredentialHelperError:
        named = values.get("issuer", values.get("provider"))
        assert named is not None  # else nothing has made this profile
        sentence = f"{named.where} needs {setting.flag} {setting.metavar} (or {setting.variable}), too"
        return UsageError(sentence) if named.origin.kind == "flag" else ConfigurationError(sentence)

    profile, errors = settings.assemble("", values, absent=absent, ad_hoc=True)
    for error in errors:
        raise error
    assert profile is not None
    profile = _with_request(profile, request)
    name = f"{urls.parse_url(profile.issuer).authority}/{session_id(profile)[:8]}"
    key = None if profile.private_key is None else profile.private_key.source
    read = (profile.client_secret, key, profile.password)
    hidden = frozenset(name for source in read if source is not None and source.kind == "env" for name in source.value)
    return Chosen(profile=msgspec.structs.replace(profile, name=name), hidden=hidden)


def _with_request(profile: Profile, request: Request) -> Profile:
    """Lay the request's audience, resource, scope and token over a profile. Raises ProtocolError."""
    wishes = {key: getattr(request, key) for key in ("audience", "resource", "scope", "token")}
    asked = {key: _wish(request, key, wish) for key, wish in wishes.items() if wish is not None}
    laid_over = {key: settings.BY_NAME[key].parse(written) for key, written in asked.items()}
    origins = dict(profile.origins) | {key: written.where for key, written in asked.items()}
    return msgspec.structs.replace(profile, **laid_over, origins=tuple(origins.items()))


def _wish(request: Request, key: str, value: object) -> Written:
    """Return what a request asks for; only kubectl's has a place that a person wrote it in."""
    where = f"spec.cluster.config.{key}" if request.tool == "kubectl" else f"the request's {key}"
    return Written(
        list(value) if isinstance(value, tuple) else value, where, Origin(kind="request", expand=lambda _: None)
    )


# --- who gets a token -------------------------------------------------------------------------------------------------


def match_git(
    configuration: Configuration,
    protocol: str,
    host: str,
    path: str | None,
    *,
    only: str | None = None,
    note: Note = silent,
) -> tuple[Profile, GitEntry] | None:
    """Return the profile that lists a git request's host, and how it does; None: not mine.

    ``only`` narrows to one profile's hosts. Raises ConfigurationError when what is listed, or that profile, is wrong.
    """
    asked = _git_url(protocol, host, path)
    return None if asked is None else _match(configuration, configuration.git_entries(), asked, only, note)


def match_docker(
    configuration: Configuration, server: str, *, only: str | None = None, note: Note = silent
) -> tuple[Profile, DockerEntry] | None:
    """Return the profile that lists a docker request's server, and how it does; None: not mine. Else as match_git."""
    asked = urls.parse_server(server)
    return None if asked is None else _match(configuration, configuration.docker_entries(), asked, only, note)


def _match(
    configuration: Configuration, entries: Sequence[tuple[str, Entry]], asked: urls.Url, only: str | None, note: Note
) -> tuple[Profile, Entry] | None:
    found = _longest([(name, entry) for name, entry in entries if only in (None, name)], asked, note)
    return None if found is None else (configuration.profile(found[0]), found[1])


def _git_url(protocol: str, host: str, path: str | None) -> urls.Url | None:
    origin = urls.parse_host(protocol, host)
    return None if origin is None else msgspec.structs.replace(origin, path=path or "")


def _longest(entries: Sequence[tuple[str, Entry]], asked: urls.Url, note: Note) -> tuple[str, Entry] | None:
    """Return the entry with the longest path that serves a request, and its profile's name."""
    addresses = [_address(entry) for _, entry in entries]
    found = urls.longest_match(addresses, asked)
    if found is None and not asked.path:
        for url in addresses:
            if url.startswith(f"{asked.origin}/"):
                note(f"{foreign(url)} is listed with a path, which git sends with credential.useHttpPath only")
    return None if found is None else entries[found]


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


def serves(profile: Profile, server: str | None) -> None:
    """Refuse a Kubernetes server (spec.cluster.server) that the profile's ``kubernetes`` does not list.

    Raises AuthorizationError; also when the server is not known.
    """
    if not profile.kubernetes:
        return
    error = None
    if server is None:
        error = AuthorizationError(
            "the profile lists the clusters it serves, and kubectl does not say which one this is",
            hint="write provideClusterInfo: true into the exec section of the kubeconfig",
        )
    elif not _listed(profile, server):
        error = AuthorizationError(
            f"the profile does not list the cluster {foreign(server)}",
            hint=f"it serves {', '.join(map(foreign, profile.kubernetes))} (its kubernetes says so)",
        )
    if error is not None:
        error.profile = profile.name
        raise error


def _listed(profile: Profile, server: str) -> bool:
    try:
        asked = urls.parse_url(server)
    except ValueError:
        return False
    return asked.query is None and asked.normal in profile.kubernetes


# --- secrets ----------------------------------------------------------------------------------------------------------


def read_secret(
    source: Source, environ: Mapping[str, str], *, hidden: Collection[str] = (), note: Note = silent
) -> Secret:
    """Read a secret from its variable, file or command, now; one trailing newline of the last two is cut.

    A keyring is a store, and read where the stores are. ``hidden`` are the variables that a command must not see.
    Raises ConfigurationError, which never has the secret in it.
    """
    if source.kind == "env":
        name = source.value[0]
        value = environ.get(name, "")
        if not value:  # in lower case it may be the secret itself, written where its variable's name belongs
            shown = name if name.isupper() else "that it names"
            raise ConfigurationError(f"{source.origin}: the variable {shown} is not set, or empty")
        return Secret(value)
    data = _file_secret(source, note) if source.kind == "file" else _command_secret(source, environ, hidden)
    try:
        value = data.decode()
    except UnicodeDecodeError:
        hint = _DER if data[:2] in (b"\x30\x81", b"\x30\x82") else None  # a SEQUENCE with its length (X.690 §8.1.3)
        raise ConfigurationError(f"{source.origin}: the secret is not UTF-8", hint=hint) from None
    value = value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value
    if not value:
        raise ConfigurationError(f"{source.origin}: the secret is empty")
    return Secret(value)


def _file_secret(source: Source, note: Note) -> bytes:
    path = source.value[0]
    try:
        data, status = config_file.read_bytes(path, SECRET_LIMIT)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{source.origin}: {foreign(path)} {config_file.reason(error)}") from None
    if not places.WINDOWS and status.st_mode & 0o044:
        note(f"{foreign(path)} holds a secret that others may read: chmod go-r {foreign(path)}")
    return data


def _command_secret(source: Source, environ: Mapping[str, str], hidden: Collection[str]) -> bytes:
    assert source.kind == "command"  # else the name of a keyring's record would be run
    try:
        return children.run(source.value, environ=environ, hidden=hidden)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source.origin}: {error.sentence}", hint=error.hint) from None
