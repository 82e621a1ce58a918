"""The URLs and servers that a profile lists: whose requests it serves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from credential_helper import urls
from credential_helper.errors import CredentialHelperError
from credential_helper.model import Listed
from credential_helper.profiles.parse import choice, http_url, resource, scope, text
from credential_helper.profiles.written import Written, check_keys, items_of, typed
from credential_helper.tools import Hosts


def listed_url(written: Written) -> str:
    """Return the normal form of a URL whose requests are served."""
    url = http_url(written)
    if url.query is not None:
        raise written.impossible("has a query (?…), expected https://HOST[:PORT][/PATH]")
    if url.loopback and not url.port_given:
        raise written.impossible("is loopback, expected its port, too")
    if "%" in url.path:
        raise written.impossible("has a % in its path, expected the character itself: that is what git sends")
    if ";" in url.path:
        raise written.impossible("has a ; in its path: some servers read it as another path, so none is served")
    if urls.segments(url.path.removesuffix("/")) is None or url.path == "/":  # https://HOST// is not all of HOST
        raise written.impossible("has an empty, . or .. segment in its path")
    return url.normal


def _server(written: Written) -> str:
    value = text(written)
    return listed_url(
        written if "://" in value else Written(f"https://{value}", written.where, written.origin, written.path)
    )


def parser_of(hosts: Hosts) -> Callable[[Written], tuple[Listed, ...]]:
    """Return what parses the list of one tool, as its row says."""
    parsers = _parsers(hosts)
    what = f"a list of {'URLs' if hosts.entry == 'url' else f'{hosts.entry}s'} or tables"

    def entries(written: Written) -> tuple[Listed, ...]:
        return tuple(_entry(item, hosts, parsers) for item in items_of(written, what))

    return entries


def urls_in(written: Written, hosts: Hosts) -> list[str]:
    """Return every URL that can be read in the list of one tool; what is wrong beside it is its profile's to pay for.

    One entry that stands where a list should is read, too: whose host it is, is plain.
    """
    parse_url = _parsers(hosts)[hosts.entry]
    found: list[str] = []
    for item in written.value if isinstance(written.value, list) else [written.value]:
        value = item.get(hosts.entry) if isinstance(item, dict) else item
        with contextlib.suppress(CredentialHelperError):
            found.append(str(parse_url(Written(value, written.where, written.origin))))
    return found


def _parsers(hosts: Hosts) -> Mapping[str, Callable[[Written], object]]:
    """Return the keys that a table in the list may have."""
    parsers: dict[str, Callable[[Written], object]] = {hosts.entry: listed_url if hosts.entry == "url" else _server}
    if hosts.username:
        parsers["username"] = text
    if hosts.schemes:
        parsers["scheme"] = choice(*hosts.schemes)
    return parsers | {"audience": text, "resource": resource, "scope": scope}


def _entry(written: Written, hosts: Hosts, parsers: Mapping[str, Callable[[Written], object]]) -> Listed:
    """Parse one item of a list: a string, or a table."""
    if isinstance(written.value, str):
        return Listed(url=str(parsers[hosts.entry](written)), username=hosts.username)
    table = typed(written, dict[str, Any], f"a string or a table with {', '.join(parsers)}")
    for error in check_keys(written, table, tuple(parsers)):
        raise error
    if hosts.entry not in table:
        raise written.malformed(f"{hosts.entry} is missing")
    found: dict[str, Any] = {
        name: parse(written.part(name, table[name])) for name, parse in parsers.items() if name in table
    }
    url = found.pop(hosts.entry)
    return Listed(**{"url": url, "username": hosts.username, **found})
