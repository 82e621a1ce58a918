"""The profile that serves a request, with what the request asks for laid over it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from credential_helper.model import Profile, Request
from credential_helper.profiles import settings
from credential_helper.profiles.config_file import ConfigFile
from credential_helper.profiles.written import Origin, Written


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The profile that serves a request, and what it was made of."""

    profile: Profile
    files: tuple[ConfigFile, ...] = ()  # looked for; empty for an ad-hoc profile
    hidden: frozenset[str] = frozenset()  # the variables that hold secrets, for children.run and read_secret
    remarks: tuple[str, ...] = ()  # what stops nothing and may be a mistake, for whoever types a command
    narrowed: Mapping[str, tuple[str, ...]] = {}  # what flags leave of the profile's lists, by their keys


def with_request(profile: Profile, request: Request) -> Profile:
    """Lay the request's audience, resource, scope and token over a profile. Raises ProtocolError."""
    wishes = {key: getattr(request, key) for key in ("audience", "resource", "scope", "token")}
    asked = {key: as_written(request, key, wish) for key, wish in wishes.items() if wish is not None}
    laid_over = {key: settings.BY_NAME[key].parse(written) for key, written in asked.items()}
    origins = dict(profile.origins) | {key: written.where for key, written in asked.items()}
    return msgspec.structs.replace(profile, **laid_over, origins=tuple(origins.items()))


def as_written(request: Request, key: str, value: object) -> Written:
    """Return what a request asks for; only kubectl's has a place that a person wrote it in."""
    where = request.manners.written.format(key=key)
    return Written(
        list(value) if isinstance(value, tuple) else value, where, Origin(kind="request", expand=lambda _: None)
    )
