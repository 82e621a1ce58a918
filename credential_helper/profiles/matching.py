"""Who gets a token: only hosts that a profile lists, compared on scheme, host, port and whole path segments."""

from __future__ import annotations

from collections.abc import Sequence

from credential_helper.errors import AuthorizationError, of_profile
from credential_helper.model import Listed, Profile
from credential_helper.profiles.configuration import Configuration
from credential_helper.text import Note, foreign, silent
from credential_helper.tools import Tool
from credential_helper.urls import Url, parse_url, segments


def match_listed(
    configuration: Configuration, tool: Tool, asked: Url | None, *, note: Note = silent
) -> tuple[Profile, Listed] | None:
    """Return the profile that lists what a tool asks for, and how it does; None: not mine.

    Raises ConfigurationError when what is listed, or that profile, is wrong.
    """
    if asked is None:
        return None
    found = longest_entry(configuration.entries(tool), asked, note)
    return None if found is None else (configuration.profile(found[0]), found[1])


def longest_entry(entries: Sequence[tuple[str, Listed]], asked: Url, note: Note) -> tuple[str, Listed] | None:
    """Return the entry with the longest path that serves a request, and its profile's name."""
    addresses = [entry.url for _, entry in entries]
    found = longest_match(addresses, asked)
    if found is None and not asked.path:
        for url in addresses:
            if url.startswith(f"{asked.origin}/"):
                note(f"{foreign(url)} is listed with a path, which git sends with credential.useHttpPath only")
    return None if found is None else entries[found]


def serves(profile: Profile, key: str, server: str | None) -> None:
    """Refuse a server (spec.cluster.server) that the profile's list under ``key`` leaves out; an empty list has all.

    Raises AuthorizationError; also when the server is not known.
    """
    listed = [entry.url for entry in profile.lists(key)]
    if not listed:
        return
    with of_profile(profile.name):
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
