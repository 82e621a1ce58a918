"""The URLs and servers that a profile lists: whose requests it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from credential_helper import urls
from credential_helper.model import DockerEntry, GitEntry
from credential_helper.profiles.parse import choice, http_url, scope, text
from credential_helper.profiles.written import Written, check_keys, items_of, typed


def listed_url(written: Written) -> str:
    """Return the normal form of a URL whose requests are served."""
    url = http_url(written)
    if url.query is not None:
        raise written.impossible("has a query (?…), expected https://HOST[:PORT][/PATH]")
    if url.loopback and not url.port_given:
        raise written.impossible("is loopback, expected its port, too")
    if "%" in url.path:
        raise written.impossible("has a % in its path, expected the character itself: that is what git sends")
    if urls.segments(url.path.removesuffix("/")) is None or url.path == "/":  # https://HOST// is not all of HOST
        raise written.impossible("has an empty, . or .. segment in its path")
    return url.normal


def _server(written: Written) -> str:
    value = text(written)
    return listed_url(written if "://" in value else Written(f"https://{value}", written.where, written.origin))


def _entry(written: Written, key: str, parsers: Mapping[str, Callable[[Written], object]]) -> dict[str, Any]:
    """Parse one item of ``git_urls`` or ``docker_servers``: a string, or a table of which ``key`` is required."""
    if isinstance(written.value, str):
        return {key: parsers[key](written)}
    table = typed(written, dict[str, Any], f"a string or a table with {', '.join(parsers)}")
    for error in check_keys(written, table, tuple(parsers)):
        raise error
    if key not in table:
        raise written.malformed(f"{key} is missing")
    return {name: parse(written.part(name, table[name])) for name, parse in parsers.items() if name in table}


GIT_KEYS: Mapping[str, Callable[[Written], object]] = {
    "url": listed_url,
    "username": text,
    "scheme": choice("auto", "basic", "bearer"),
    "audience": text,
    "scope": scope,
}
DOCKER_KEYS: Mapping[str, Callable[[Written], object]] = {
    "server": _server,
    "username": text,
    "audience": text,
    "scope": scope,
}


def git_urls(written: Written) -> tuple[GitEntry, ...]:
    """Return the git URLs that a profile lists."""
    return tuple(GitEntry(**_entry(item, "url", GIT_KEYS)) for item in items_of(written, "a list of URLs or tables"))


def docker_servers(written: Written) -> tuple[DockerEntry, ...]:
    """Return the registries that a profile lists."""
    several = items_of(written, "a list of servers or tables")
    return tuple(DockerEntry(**_entry(item, "server", DOCKER_KEYS)) for item in several)


def kubernetes_servers(written: Written) -> tuple[str, ...]:
    """Return the Kubernetes servers that a profile is restricted to."""
    return tuple(listed_url(item) for item in items_of(written, "a list of URLs"))
