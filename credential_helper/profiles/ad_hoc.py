"""A profile of flags and variables: an issuer makes it, and no file is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from credential_helper import urls
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Request, session_id
from credential_helper.profiles import settings
from credential_helper.profiles.assembly import assemble
from credential_helper.profiles.chosen import Chosen, with_request
from credential_helper.profiles.inputs import from_flags, from_variables
from credential_helper.profiles.written import Written


def ad_hoc_only(given: Mapping[str, Written]) -> Iterator[Written]:
    """Walk over what says who is asked, and with what: of no use without an issuer."""
    return (written for key, written in given.items() if settings.by_key(key).fixed)


def ad_hoc_profile(request: Request, flags: Mapping[str, object], environ: Mapping[str, str]) -> Chosen:
    """Return the profile that flags, then variables make; it is named after its issuer's host and its session."""
    given = from_flags(flags, environ)
    values = from_variables(environ)
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
    profile = with_request(profile, request)
    name = f"{urls.parse_url(profile.issuer).authority}/{session_id(profile)[:8]}"
    key = None if profile.private_key is None else profile.private_key.source
    read = (profile.client_secret, key, profile.password)
    hidden = frozenset(name for source in read if source is not None and source.kind == "env" for name in source.value)
    return Chosen(profile=msgspec.structs.replace(profile, name=name), hidden=hidden)
