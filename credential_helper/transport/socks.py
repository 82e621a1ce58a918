"""The client's half of SOCKS5 (RFC 1928), with user name and password (RFC 1929), for CONNECT alone.

Ours, because the one package for it (PySocks) has had no release since 2019, opens its connections itself, and would be
one more in a process that reads tokens. The proxy looks the name up, whether it was written socks5 or socks5h: Go does
so, and a name of an inner network has no address here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_VERSION, _NO_LOGIN, _LOGIN, _NONE, _CONNECT = 5, 0, 2, 0xFF, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4

_REFUSALS = {  # RFC 1928 §6
    1: "it says that it failed",
    2: "its rules do not allow it",
    3: "it says that the network is unreachable",
    4: "it says that the host is unreachable",
    5: "it says that the host refused the connection",
    6: "it says that it took too long",
    7: "it does not open connections",
    8: "it does not take this kind of address",
}


class SocksError(OSError):
    """What a SOCKS proxy said, or that it is none; the words go into a sentence."""


def open_tunnel(connection: socket.socket, host: str, port: int, login: tuple[bytes, bytes] | None) -> None:
    """Let the proxy connect to a host (an IPv6 address without brackets); what is sent then goes there.

    Raises SocksError, and OSError where the connection fails.
    """
    connection.sendall(bytes([_VERSION, 2, _NO_LOGIN, _LOGIN] if login else [_VERSION, 1, _NO_LOGIN]))
    version, method = _read(connection, 2)
    if version != _VERSION:
        raise SocksError("it does not speak SOCKS5")
    if method == _LOGIN and login:
        _sign_in(connection, *login)
    elif method == _NONE:
        raise SocksError("it takes none of our ways to sign in" if login else "it wants a user name and a password")
    elif method != _NO_LOGIN:
        raise SocksError("it wants a way to sign in that was not offered")
    connection.sendall(bytes([_VERSION, _CONNECT, 0]) + _destination(host) + port.to_bytes(2, "big"))
    version, refusal, _, kind = _read(connection, 4)
    if version != _VERSION:
        raise SocksError("it does not speak SOCKS5")
    if refusal:
        raise SocksError(_REFUSALS.get(refusal, f"it refuses with code {refusal}"))
    length = {_IPV4: 4, _IPV6: 16}.get(kind) or _read(connection, 1)[0]
    _read(connection, length + 2)  # the address from which it connects, of no use to anybody


def _sign_in(connection: socket.socket, user: bytes, password: bytes) -> None:
    if not 0 < len(user) <= 255 or len(password) > 255:
        raise SocksError("it takes a user name and a password of at most 255 bytes")
    connection.sendall(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
    if _read(connection, 2)[1] != 0:
        raise SocksError("it refuses the user name and password")


def _destination(host: str) -> bytes:
    import socket

    if ":" in host:
        return bytes([_IPV6]) + socket.inet_pton(socket.AF_INET6, host)
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return bytes([_IPV4]) + socket.inet_pton(socket.AF_INET, host)
        except OSError:
            pass
    name = host.encode("ascii")
    return bytes([_NAME, len(name)]) + name


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise SocksError("it broke the connection off")
        data += more
    return data
