"""Who gets a token: only hosts that a profile lists, compared on scheme, host, port and whole path segments."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from credential_helper import urls
from credential_helper.errors import AuthorizationError
from credential_helper.model import DockerEntry, GitEntry, Profile
from credential_helper.profiles.configuration import Configuration, Entry, address_of
from credential_helper.text import Note, foreign, silent
from credential_helper.urls import Url, parse_url, segments


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
    asked = git_url(protocol, host, path)
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
    found = longest_entry([(name, entry) for name, entry in entries if only in (None, name)], asked, note)
    return None if found is None else (configuration.profile(found[0]), found[1])


def git_url(protocol: str, host: str, path: str | None) -> urls.Url | None:
    """Return what git asks for as one address; None: that is no http or https one."""
    origin = urls.parse_host(protocol, host)
    return None if origin is None else msgspec.structs.replace(origin, path=path or "")


def longest_entry(entries: Sequence[tuple[str, Entry]], asked: urls.Url, note: Note) -> tuple[str, Entry] | None:
    """Return the entry with the longest path that serves a request, and its profile's name."""
    addresses = [address_of(entry) for _, entry in entries]
    found = longest_match(addresses, asked)
    if found is None and not asked.path:
        for url in addresses:
            if url.startswith(f"{asked.origin}/"):
                note(f"{foreign(url)} is listed with a path, which git sends with credential.useHttpPath only")
    return None if found is None else entries[found]


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
