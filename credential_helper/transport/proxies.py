"""Which proxy a host is reached through: the environment as the Go tools beside us read it.

They read it by golang.org/x/net/http/httpproxy. Its rules:

- HTTPS_PROXY names the proxy, else https_proxy; NO_PROXY, else no_proxy, the hosts that are reached without it. One
  that is empty counts as absent. ALL_PROXY means nothing, and here neither does HTTP_PROXY, nor what Go does about it
  in a CGI program: only loopback is ever spoken to without TLS.
- This machine (localhost, 127.0.0.0/8, ::1) is never reached through a proxy.
- NO_PROXY is a list with commas. ``corp.test`` is that host and all below it, ``.corp.test`` and ``*.corp.test`` those
  below it, ``10.0.0.0/8`` and ``10.0.0.1`` an address that was written as one, each perhaps with ``:PORT``; ``*`` is
  every host. An entry that is nothing of the kind matches nothing.
- What the operating system's settings say is not asked, as kubectl, docker and git do not.

One thing differs: a variable that names no proxy is an error. Go goes straight, or to a host that nobody meant.
No sentence here repeats a variable: there may be a password in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from credential_helper.errors import TransportError
from credential_helper.model import Secret

if TYPE_CHECKING:
    from credential_helper.urls import Url

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}  # of a proxy that names none


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy, and who we are to it; its repr holds no password."""

    variable: str  # the one that names it
    scheme: str  # http, https: asked by CONNECT (RFC 9110 §9.3.6); socks5, socks5h: RFC 1928
    host: str  # without brackets
    port: int
    user: Secret | None = None  # some proxies take a token there
    password: Secret | None = None

    @property
    def authority(self) -> str:
        """Return host:port, how a message names it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def socks(self) -> bool:
        """Say whether it speaks SOCKS5; both spellings let it look up the name, as they do in Go."""
        return self.scheme.startswith("socks5")

    @property
    def url(self) -> str:
        """Return its address, without user name and password."""
        return f"{self.scheme}://{self.authority}"

    @property
    def login(self) -> tuple[bytes, bytes] | None:
        """Return user name and password, None where it gets none."""
        if self.user is None or self.password is None:
            return None
        return _encoded(self.user), _encoded(self.password)

    @property
    def authorization(self) -> str | None:
        """Return the value of Proxy-Authorization (RFC 7617, UTF-8), None where it gets none."""
        from base64 import b64encode

        return None if self.login is None else "Basic " + b64encode(b":".join(self.login)).decode("ascii")


def _encoded(part: Secret) -> bytes:
    return part.reveal().encode("utf-8", "surrogateescape")


def proxy_for(url: Url, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for an address, None where there is none.

    Raises TransportError for a variable that names no proxy.
    """
    variable = next((name for name in ("HTTPS_PROXY", "https_proxy") if environ.get(name)), None)
    if variable is None or url.scheme != "https":
        return None
    excepted = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if not _is_proxied(url.host.strip("[]"), str(url.port), excepted):
        return None
    try:
        return parse(environ[variable], variable)
    except ValueError as error:
        raise TransportError(
            f"{url.authority} cannot be reached: {variable} names no proxy ({error})",
            hint=f"{variable}=http://HOST:PORT, or https://, or socks5h://; unset it where there is no proxy",
        ) from None


# --- the proxy's address ----------------------------------------------------------------------------------------------

# Not compiled here: that takes a millisecond, and most calls have no proxy.
_SCHEME = r"([A-Za-z][A-Za-z0-9+.-]*)://"
_HOST = r"[A-Za-z0-9._-]+|\[([0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._-]+)?)\]"
_BROKEN_ESCAPE = r"%(?![0-9A-Fa-f]{2})"


def parse(text: str, variable: str) -> Proxy:
    """Parse ``[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]``; what comes after it is ignored.

    Raises ValueError in words that repeat nothing of it.
    """
    from urllib.parse import unquote_to_bytes

    text = text.strip()
    found = re.match(_SCHEME, text)
    scheme, rest = (found[1].lower(), text[found.end() :]) if found else ("http", text)
    if scheme not in PORTS:
        raise ValueError("it is of another kind than http, https, socks5 and socks5h")
    login, at, place = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
    host, port = _host_and_port(place, PORTS[scheme])
    user = password = None
    if at:
        if re.search(_BROKEN_ESCAPE, login):
            raise ValueError("a % in its user name or password is written %25")
        user, password = (
            Secret(unquote_to_bytes(part.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape"))
            for part in login.partition(":")[::2]
        )
    return Proxy(variable=variable, scheme=scheme, host=host, port=port, user=user, password=password)


def _host_and_port(place: str, default: int) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, ""
    if not host:
        raise ValueError("it has no host")
    host = _ascii(host)
    found = re.fullmatch(_HOST, host)
    if found is None:
        raise ValueError("its host has a character in it that a host cannot have")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65535):
        raise ValueError("its port is no number of a port; a @ / ? or # in a password is written %40 %2F %3F %23")
    return (found[1] or host).replace("%25", "%"), int(port) if port else default


def _ascii(host: str) -> str:
    """Return a name in its ASCII form (RFC 3490), unchanged where it has none."""
    if host.isascii():
        return host
    try:
        return ".".join(label.encode("idna").decode() if label else "" for label in host.split("."))
    except UnicodeError:
        return host


# --- NO_PROXY ---------------------------------------------------------------------------------------------------------


def _is_proxied(host: str, port: str, excepted: str) -> bool:
    """Say whether a host (in lower case, IPv6 without brackets) is reached through the proxy."""
    address = _address(host)
    if host == "localhost" or (address is not None and _is_loopback(address)):
        return False
    return not any(_matches(entry.strip().lower(), host, address, port) for entry in excepted.split(","))


def _matches(entry: str, host: str, address: int | None, port: str) -> bool:
    if entry == "*":
        return True
    if (network := _network(entry)) is not None:
        return address is not None and _contains(network, address)
    name, wanted = _split(entry)
    if not name or wanted not in ("", port):
        return False
    if (one := _address(name)) is not None:
        return one == address
    if address is not None:
        return False
    name = _ascii(name.removeprefix("*") if name.startswith("*.") else name)
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith("." + name)


def _split(entry: str) -> tuple[str, str]:
    """Return host and port of ``HOST:PORT`` or ``[IPv6]:PORT``, and of all else itself and an empty port."""
    host, colon, port = entry.rpartition(":")
    if not colon:
        return entry, ""
    if host.startswith("[") and host.endswith("]"):
        inner = host[1:-1]
        return (entry, "") if "[" in inner or "]" in inner else (inner, port)
    return (entry, "") if ":" in host or "[" in host or "]" in host else (host, port)


_MAPPED = 0xFFFF << 32  # ::ffff:0.0.0.0, where the addresses of IPv4 stand among those of IPv6


def _address(text: str) -> int | None:
    """Return an IP address as one number, IPv4 as its IPv6; None for anything else."""
    import socket

    if not re.fullmatch(r"[0-9a-fA-F:.]+", text):
        return None
    try:
        return _MAPPED | int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except OSError:
        pass
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except OSError:
        return None


def _is_ipv4(address: int) -> bool:
    return address >> 32 == 0xFFFF


def _is_loopback(address: int) -> bool:
    return address >> 24 == (_MAPPED | 127 << 24) >> 24 or address == 1


def _network(entry: str) -> tuple[int, int] | None:
    """Return the first address of a network in CIDR notation and how many of its last bits are free, or None."""
    text, slash, length = entry.partition("/")
    address = _address(text) if slash else None
    if address is None or not (length.isascii() and length.isdigit() and len(length) <= 3):
        return None
    free = (128 if ":" in text else 32) - int(length)
    return (address >> free << free, free) if free >= 0 else None


def _contains(network: tuple[int, int], address: int) -> bool:
    number, free = network
    return number == address >> free << free and _is_ipv4(number) == _is_ipv4(address)
