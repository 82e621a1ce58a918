"""The client's half of CONNECT (RFC 9110 §9.3.6), with a Basic login (RFC 7617).

Ours, because http.client sends it as HTTP/1.0 and without a Host before Python 3.12, which some proxies refuse (Envoy),
takes 200 alone for a yes, and does not show which login a proxy wants.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from credential_helper import __version__
from credential_helper.text import foreign

if TYPE_CHECKING:
    import socket

_LIMIT = 1 << 16  # bytes of a proxy's answer


class ConnectError(OSError):
    """What a proxy said instead of yes, or that it is none; the words go into a sentence."""

    def __init__(self, words: str, *, status: int = 0, wanted: tuple[str, ...] = ()) -> None:
        super().__init__(words)
        self.status = status
        self.wanted = wanted  # the ways to sign in that it takes (Proxy-Authenticate)


def open_tunnel(connection: socket.socket, host: str, port: int, authorization: str | None) -> None:
    """Let the proxy connect to a host (an IPv6 address without brackets); what is sent then goes there.

    Raises ConnectError, and OSError where the connection fails.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", f"User-Agent: credential-helper/{__version__}"]
    if authorization is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    head = _head(connection)
    while head.startswith(("HTTP/1.1 1", "HTTP/1.0 1")):  # not yet the answer
        head = _head(connection)
    found = re.match(r"HTTP/1\.[0-9] ([0-9]{3})(?: ([^\r\n]*))?\r?\n", head)
    if found is None:
        raise ConnectError("its answer is not HTTP")
    if not found[1].startswith("2"):
        wanted = re.findall(r"(?im)^proxy-authenticate:[ \t]*([A-Za-z0-9-]+)", head)
        said = foreign(f"{found[1]} {found[2] or ''}", 100)
        raise ConnectError(f"it said {said}", status=int(found[1]), wanted=tuple(dict.fromkeys(wanted)))


def _head(connection: socket.socket) -> str:
    """Read to the first empty line, and not a byte more: what comes after it is the host's."""
    head = b""
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        byte = connection.recv(1)
        if not byte:
            raise ConnectError("it broke the connection off")
        head += byte
        if not head.startswith(b"HTTP/"[: len(head)]) or len(head) > _LIMIT:
            raise ConnectError("its answer is not HTTP")
    return head.decode("latin-1")
