"""Who gets a token: only hosts that a profile lists, compared on scheme, host, port and whole path segments."""

from __future__ import annotations

from collections.abc import Sequence

from credential_helper.errors import AuthorizationError, of_profile
from credential_helper.model import Listed, Profile
from credential_helper.profiles.chosen import Chosen
from credential_helper.text import foreign
from credential_helper.urls import Url, parse_url, segments


def serves(chosen: Chosen, key: str, server: str | None) -> None:
    """Refuse a server (spec.cluster.server) that the profile's list under ``key``, or a flag's beside it, leaves out.

    An empty list has all. Raises AuthorizationError; also when the server is not known.
    """
    for listed in ([entry.url for entry in chosen.profile.lists(key)], chosen.narrowed.get(key, ())):
        if listed:
            _serves(chosen.profile.name, listed, key, server)


def _serves(name: str, listed: Sequence[str], key: str, server: str | None) -> None:
    with of_profile(name):
        if server is None:
            raise AuthorizationError(
                "the profile lists the clusters it serves, and kubectl does not say which one this is",
                hint="write provideClusterInfo: true into the exec section of the kubeconfig",
            )
        if not _is_one_of(listed, server):
            raise AuthorizationError(
                f"the profile does not list the cluster {foreign(server)}",
                hint=f"it serves {', '.join(map(foreign, listed))} (its {key} says so)",
            )


def entry_of(profile: Profile, key: str, server: str | None) -> Listed | None:
    """Return what a profile's list says of a server; None: nothing."""
    return next((entry for entry in profile.lists(key) if server is not None and _is_one_of([entry.url], server)), None)


def _is_one_of(listed: Sequence[str], server: str) -> bool:
    try:
        asked = parse_url(server)
    except ValueError:
        return False
    return asked.query is None and asked.normal in listed


def longest_match(listed: Sequence[str], asked: Url) -> int | None:
    """Return which of the normalised URLs serves a request: same scheme, host and port, the longest path before it.

    An entry without a path serves every path of its host; an entry with one only a request that has it, too.
    """
    path = segments(asked.path)
    best, depth = None, -1
    for index, text in enumerate(listed):
        url = parse_url(text)
        wanted = segments(url.path)
        if url.origin != asked.origin or wanted is None or (wanted and (path is None or path[: len(wanted)] != wanted)):
            continue
        if len(wanted) > depth:
            best, depth = index, len(wanted)
    return best
