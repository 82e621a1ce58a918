"""config.toml, flags and environment → the profile that serves a request.

- A profile comes whole from one place. A *name* (the request's, ``--profile``, ``CREDENTIAL_HELPER_PROFILE``,
  ``default_profile``, the only one there is) takes it from the file: variables never change it, and flags may change
  anything but who is asked and with what, so that a secret goes only to the issuer it was written beside.
  An *issuer* (``--issuer``, ``CREDENTIAL_HELPER_ISSUER``, or a provider with one public service) makes an ad-hoc
  profile of flags, then variables; no file is read.
- Audience, resource, scope and token: the request first, then flags, then the profile.
- Hosts are served only where a profile lists them, and never by the default profile: see ``ownership``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, cast

import msgspec

from credential_helper import PROGRAM
from credential_helper.errors import ConfigurationError, UsageError
from credential_helper.model import Listed, Request
from credential_helper.profiles import parse, settings
from credential_helper.profiles.ad_hoc import ad_hoc_only, ad_hoc_profile, narrowed_by
from credential_helper.profiles.chosen import Chosen, as_written, with_request
from credential_helper.profiles.configuration import Configuration, load
from credential_helper.profiles.inputs import from_flags, from_variables
from credential_helper.profiles.matching import entry_of
from credential_helper.profiles.remarks import remarks_on
from credential_helper.profiles.targets import only_what_is_named, with_all_resources
from credential_helper.profiles.written import Origin, Written
from credential_helper.text import Note, foreign, silent
from credential_helper.tools import LISTED

# What names a profile, or makes one, and its variable.
_NAMING = {key: f"CREDENTIAL_HELPER_{key.upper()}" for key in ("profile", "issuer", "provider")}

_BY_POSITION = "by position"  # among the flags: the profile was named as an argument of its own


def choose(
    request: Request,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    key: str | None = None,
    note: Note = silent,
) -> Chosen:
    """Return the profile that serves a request whose tool names no host, or one that only narrows a profile.

    ``flags`` are those that were given, by setting name; ``key`` is where the profile lists such hosts. Raises
    UsageError, ProtocolError, ConfigurationError.
    """
    how, name, named_by = selected(request, flags, environ)
    if how == "issuer":
        return ad_hoc_profile(request, flags, environ)
    configuration = load(environ, note=note)
    if how == "profile":
        configuration.table(name, named_by)
    elif configuration.default_name() is None:
        _check_leftovers(configuration, flags, environ)
    name = name or configuration.default()
    entry = None if key is None else entry_of(configuration.profile(name), key, request.target)
    return named(configuration, name, request, flags, environ, entry)


def selected(
    request: Request, flags: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Literal["profile", "issuer", "default"], str, str]:
    """Say what names the profile, then its name and where that was said (both empty where it is none).

    Raises UsageError, ProtocolError, ConfigurationError.
    """
    flag, variable = Origin(kind="flag"), Origin(kind="variable")
    levels: tuple[dict[str, Written], ...] = (
        {} if request.profile is None else {"profile": as_written(request, "profile", request.profile)},
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
    given = from_flags(flags, environ)
    if "provider" in given:
        settings.BY_NAME["provider"].parse(given["provider"])
    for written in ad_hoc_only(given):
        raise UsageError(f"{written.where} needs --issuer, too", hint=settings.without_issuer("--provider"))
    if not configuration.names():
        for written in ad_hoc_only(from_variables(environ)):
            hint = settings.without_issuer("CREDENTIAL_HELPER_PROVIDER")
            raise ConfigurationError(f"{written.where} needs CREDENTIAL_HELPER_ISSUER, too", hint=hint)


def is_ad_hoc(flags: Mapping[str, object], environ: Mapping[str, str]) -> bool:
    """Say whether flags and variables make the profile, so that no file is read. Raises as ``choose`` does."""
    return selected(Request(tool=PROGRAM), flags, environ)[0] == "issuer"


def _spelled(key: str, flags: Mapping[str, object]) -> str:
    return "PROFILE" if key == "profile" and _BY_POSITION in flags else f"--{key}"


def by_position(flags: Mapping[str, object], name: str) -> dict[str, object]:
    """Add a profile that was named as an argument of its own. Raises UsageError if a flag names one, too."""
    if "profile" in flags:
        raise UsageError("PROFILE and --profile are both given", hint="a profile comes whole from one place")
    return {**flags, "profile": name, _BY_POSITION: True}


def each_by_position(given: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Yield the flags for each profile that was named as an argument (``profiles``), or once for none.

    A name that is given twice counts once. An empty one is a name, too (a shell's ``"$UNSET"``): it must not mean the
    profile that is meant when none is named.
    """
    flags = {key: value for key, value in given.items() if key != "profiles"}
    names = given.get("profiles", [])
    for name in dict.fromkeys([names] if isinstance(names, str) else cast("list[str]", names)):
        yield by_position(flags, name)
    if not names:
        yield flags


def named(
    configuration: Configuration,
    name: str,
    request: Request,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    entry: Listed | None = None,
) -> Chosen:
    """Return a profile of the file, with what a listed host says of it, flags and the request laid over it."""
    given = from_flags(flags, environ)
    for key, written in given.items():
        if settings.by_key(key).fixed:
            raise UsageError(
                f"{written.where} cannot change profile {foreign(name)}: who is asked, and with what, is written there",
                hint="give --issuer, and what else it needs, instead of a profile",
            )
    lists = {key: given.pop(key) for key in LISTED if key in given}
    laid_over = {**_of_entry(configuration, name, entry), **given}
    profile = with_request(configuration.profile(name, laid_over), request)
    of_entry = {} if entry is None else msgspec.structs.asdict(entry)
    profile = only_what_is_named(profile, msgspec.structs.asdict(request), given, of_entry)
    profile = with_all_resources(profile, configuration.profile(name))
    return Chosen(
        profile=profile,
        files=configuration.files,
        hidden=configuration.hidden,
        remarks=remarks_on(configuration, environ),
        narrowed=narrowed_by(lists),
    )


def _of_entry(configuration: Configuration, name: str, entry: Listed | None) -> dict[str, Written]:
    """Return the audience, resource and scope that a listed host asks for instead of its profile's."""
    if entry is None:
        return {}
    table = configuration.table(name).part(entry.url, None)
    several = {"resource": entry.resource, "scope": entry.scope}
    wishes = {"audience": entry.audience, **{key: None if one is None else list(one) for key, one in several.items()}}
    return {key: table.part(key, value) for key, value in wishes.items() if value is not None}
