"""What a profile's tokens are for: its own audience, and those of the hosts that it lists.

A host that names an audience or a resource has neither of its profile's; its scopes are its own, too, where it names
some. One sign-in serves them all, where the provider can. The origins of what is changed go along, for a hint makes the
session of what is written there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from credential_helper.model import Listed, Profile

_NONE: dict[str, object] = {"audience": None, "resource": ()}


def at(profile: Profile, entry: Listed) -> Profile:
    """Return a profile as a listed host has it."""
    changes: dict[str, object] = {}
    if entry.audience is not None or entry.resource is not None:
        changes |= {"audience": entry.audience, "resource": entry.resource or ()}
    if entry.scope is not None:
        changes["scope"] = entry.scope
    return _changed(profile, changes, origin=entry.url)


def only_what_is_named(profile: Profile, *levels: Mapping[str, object]) -> Profile:
    """Drop the audience of a level below one that names a resource alone, and the other way round.

    ``levels`` are what was laid over a profile, the most specific first; a key that is absent or None is not named.
    """
    for level in levels:
        named = {key for key in ("audience", "resource") if level.get(key) is not None}
        if named:
            return _changed(profile, {key: _NONE[key] for key in _NONE.keys() - named})
    return profile


def _changed(profile: Profile, changes: dict[str, object], *, origin: str = "") -> Profile:
    """Return a profile with other values; what is none has no origin."""
    kept = [(key, where) for key, where in profile.origins if key not in changes]
    new = [(key, origin) for key, value in changes.items() if value != _NONE.get(key)]
    return msgspec.structs.replace(profile, **changes, origins=(*kept, *new))


def others(profile: Profile) -> Iterator[tuple[Listed, Profile]]:
    """Yield each listed host whose tokens are not the profile's own, with the profile as it has it; no two the same."""
    seen = {_purpose(profile)}
    for _, entries in profile.listed:
        for entry in entries:
            found = at(profile, entry)
            if _purpose(found) not in seen:
                seen.add(_purpose(found))
                yield entry, found


def with_all_resources(profile: Profile, whole: Profile) -> Profile:
    """Return a profile that knows what else its sign-in is to ask for; ``whole`` is the profile as it was written."""
    resources = [one for _, found in [(None, whole), *others(whole)] for one in found.resource]
    mine = set(profile.resource)
    other = tuple(dict.fromkeys(one for one in resources if one not in mine))
    return msgspec.structs.replace(profile, other_resources=other)


def _purpose(profile: Profile) -> tuple[object, ...]:
    return profile.audience, frozenset(profile.resource), frozenset(profile.scopes)
