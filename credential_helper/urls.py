r"""Hosts and URLs, parsed by one strict function, and the question who gets a token.

No urlsplit: if it and the calling tool disagree about where the host ends, the token goes to the wrong server.

- A host is ASCII letters, digits, ``-``, ``_`` and ``.``, or an IPv6 literal in brackets; then perhaps ``:`` and a
  port. RFC 952 has no ``_``, but git and curl take it, and internal names have it.
  Anything else (non-ASCII, ``@``, ``/``, ``\``, ``#``, ``%``, ``:`` without digits) is not a host.
- It is compared in ASCII lower case, without one trailing dot, with the scheme's default port filled in.
- Loopback is the literal 127.0.0.1, [::1] or localhost, and nothing else.
- Paths are compared by whole segments; a path that a server could read differently matches no path: Java servers cut
  ``;…`` off a segment, some decode ``%2e`` once more, Windows drops dots and spaces at a segment's end.

What a tool asked for is "not mine" (None) when it does not parse; what a config file says is an error with a reason.
"""

from __future__ import annotations

import re

import msgspec

DEFAULT_PORTS = {"https": 443, "http": 80}
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")

# Explicit classes: \w, \d and re.IGNORECASE know letters and digits that are not ASCII.
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([1-9][0-9]{0,4}))?")
# Sets, for to compile an expression takes longer than all that is looked at in a process.
_CONTROL = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
_CHARACTERS = frozenset(map(chr, range(0x21, 0x7F))) - {*'"<>\\^`{|}'}  # which no URL holds as they are (RFC 3986 §2)
_AMBIGUOUS = frozenset(";%\\")  # a parameter (RFC 3986 §3.3), an escape that git has not decoded, Windows' slash


class Url(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed http or https URL; ``host`` and ``port`` are normalised, ``path`` is as written."""

    scheme: str
    host: str
    port: int
    port_given: bool
    path: str = ""  # without the first slash; empty: none
    query: str | None = None

    @property
    def origin(self) -> str:
        """Return scheme://host:port, the port always there."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def normal(self) -> str:
        """Return the origin and the path, without one final slash."""
        path = self.path.removesuffix("/")
        return f"{self.origin}/{path}" if path else self.origin

    @property
    def shown(self) -> str:
        """Return the address as people write it: without the scheme's default port."""
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{'/' if self.path else ''}{self.path}"

    @property
    def loopback(self) -> bool:
        """Say whether the host is this machine, by its name alone."""
        return is_loopback(self.host)

    @property
    def authority(self) -> str:
        """Return host, and the port where it was written: how a message names it."""
        return f"{self.host}:{self.port}" if self.port_given else self.host


def is_loopback(host: str) -> bool:
    """Say whether a normalised host is the literal 127.0.0.1, [::1] or localhost; 127.0.0.2 and ::ffff:… are not."""
    return host in LOOPBACK


def parse_host(scheme: str, text: str) -> Url | None:
    """Parse ``HOST[:PORT]`` of a request; None when it is anything else, or the scheme is neither http nor https."""
    default = DEFAULT_PORTS.get(scheme)
    found = _AUTHORITY.fullmatch(text)
    if default is None or found is None:
        return None
    host = found[1].lower()
    if host.startswith("["):
        if not _is_ipv6(host[1:-1]):
            return None
    else:
        host = host.removesuffix(".")
        if not all(host.split(".")):  # empty, or two dots side by side
            return None
    port = int(found[2] or default)
    return Url(scheme=scheme, host=host, port=port, port_given=bool(found[2])) if port <= 65535 else None


def _is_ipv6(text: str) -> bool:
    import socket  # 3 ms, and hardly anyone writes an address in brackets

    try:
        socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        return False
    return True


def parse_url(text: str) -> Url:
    """Parse ``SCHEME://HOST[:PORT][/PATH][?QUERY]``; ValueError says in words what is wrong, and echoes nothing."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in DEFAULT_PORTS:
        raise ValueError("does not begin with https://")
    if not _CONTROL.isdisjoint(text):
        raise ValueError("has a control character in it")
    if "\\" in text:
        raise ValueError("has a backslash in it")
    if "#" in text:
        raise ValueError("has a fragment (#…)")
    rest, question, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise ValueError("has a user name in it (what stands before @)")
    if not authority.isascii():
        raise ValueError("has a host that is not ASCII (write its xn-- form)")
    origin = parse_host(scheme, authority)
    if origin is None:
        raise ValueError("has no valid host[:port]")
    return msgspec.structs.replace(origin, path=path if slash else "", query=query if question else None)


def has_url_characters(text: str) -> bool:
    """Say whether a text has only characters that a URL may have as they are (RFC 3986 §2)."""
    return _CHARACTERS.issuperset(text)


def parse_server(text: str) -> Url | None:
    """Parse what docker, podman and skopeo ask for: ``[SCHEME://]HOST[:PORT][/PATH]``; no scheme means https."""
    try:
        url = parse_url(text if "://" in text else f"https://{text}")
    except ValueError:
        return None
    return None if url.query is not None else msgspec.structs.replace(url, path=url.path.removesuffix("/"))


def segments(path: str) -> tuple[str, ...] | None:
    """Split a request's path; () where there is none, None where a server could read it differently than we do."""
    if not path:
        return ()
    parts = tuple(path.split("/"))
    return None if _is_ambiguous(path) or any(_is_dots(part) for part in parts) else parts


def _is_ambiguous(path: str) -> bool:
    """Say whether some server might split or decode a path once more, after it has folded what looks alike."""
    if not (_CONTROL | _AMBIGUOUS).isdisjoint(path):
        return True
    if path.isascii():
        return False
    if any(0xD800 <= ord(character) < 0xE000 for character in path):
        return True  # bytes that are not UTF-8: an overlong form of . or / is among them
    import unicodedata

    folded = unicodedata.normalize("NFKC", path)
    return not _AMBIGUOUS.isdisjoint(folded) or [_is_dots(part) for part in folded.split("/")] != [False] * (
        path.count("/") + 1
    )


def _is_dots(segment: str) -> bool:
    """Say whether a segment is empty or a dot segment, or is one on a system that drops dots and spaces at an end."""
    return not segment.strip(". ")
