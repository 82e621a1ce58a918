"""A profile of flags and variables: an issuer makes it, and no file is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

from credential_helper import urls
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Listed, Request
from credential_helper.profiles import leave, settings
from credential_helper.profiles.assembly import assemble
from credential_helper.profiles.chosen import Chosen, with_request
from credential_helper.profiles.configuration import read
from credential_helper.profiles.inputs import from_flags, from_variables, refuses_nothing
from credential_helper.profiles.remarks import remarks_on
from credential_helper.profiles.targets import only_what_is_named, with_all_resources
from credential_helper.profiles.written import Written
from credential_helper.text import foreign
from credential_helper.tools import LISTED, Tool


def ad_hoc_only(given: Mapping[str, Written]) -> Iterator[Written]:
    """Walk over what says who is asked, and with what: of no use without an issuer."""
    return (written for key, written in given.items() if settings.by_key(key).fixed)


def ad_hoc_profile(request: Request, flags: Mapping[str, object], environ: Mapping[str, str]) -> Chosen:
    """Return the profile that flags, then variables make; it is named after its issuer's host and its client."""
    refuses = leave.of_command_line(flags, environ, lambda: read(environ).secret_files)
    given = from_flags(flags, environ, refuses_nothing if settings.TYPED in flags else refuses)
    values = from_variables(environ, refuses)
    redirected = None if leave.made_by_flags(flags) else leave.redirected_by(flags, environ)
    if redirected is not None:  # to it would go the secret, or the token, that is the variables' issuer's
        raise UsageError(
            f"{redirected} cannot change the profile of CREDENTIAL_HELPER_ISSUER: who is asked is said there",
            hint="give --issuer, and what else it needs, too",
        )
    if leave.of_another_issuer(flags, environ):  # whom they ask, and with what, is said of that one
        values = {key: written for key, written in values.items() if not settings.by_key(key).fixed and "." not in key}
    lists = {} if leave.made_by_flags(flags) else {key: given.pop(key) for key in LISTED if key in given}
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

    profile, errors = assemble("", values, absent=absent, ad_hoc=True)
    for error in errors:
        raise error
    assert profile is not None
    profile = only_what_is_named(with_request(profile, request), msgspec.structs.asdict(request))
    profile = with_all_resources(profile, profile)
    name = f"{urls.parse_url(profile.issuer).authority}/{foreign(profile.client_id, 40)}"
    key = None if profile.private_key is None else profile.private_key.source
    given_by = (profile.client_secret, key, profile.password, *(profile.tls or ()))
    given_by = (*given_by, profile.shared_cache_password, profile.cache_key)
    hidden = frozenset(
        name for source in given_by if source is not None and source.kind == "env" for name in source.value
    )
    return Chosen(
        profile=msgspec.structs.replace(profile, name=name),
        hidden=hidden,
        remarks=remarks_on(None, environ, hidden),
        narrowed=narrowed_by(lists),
    )


def list_of(tool: Tool, flags: Mapping[str, object], environ: Mapping[str, str]) -> list[object]:
    """Return what an ad-hoc profile lists for a tool, as it was written; nothing else of it is judged."""
    assert tool.hosts is not None
    key = tool.hosts.key
    listed = flags.get(key) if leave.made_by_flags(flags) else None
    if listed is None:
        return list(environ.get(settings.BY_NAME[key].variable or "", "").split())
    return listed if isinstance(listed, list) else [listed]


def narrowed_by(lists: Mapping[str, Written]) -> dict[str, tuple[str, ...]]:
    """Return the URLs that flags leave of what a profile lists, by its keys. Raises UsageError, ConfigurationError."""
    parsed = {key: cast(tuple[Listed, ...], settings.BY_NAME[key].parse(one)) for key, one in lists.items()}
    return {key: tuple(entry.url for entry in entries) for key, entries in parsed.items()}
