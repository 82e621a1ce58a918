"""A proxy on loopback that speaks CONNECT and SOCKS5 on one port, and remembers who asked it for what.

    with RecordingProxy(to=secure.port) as proxy:       # whatever host is asked for, the bytes go to that port
        …                                               # HTTPS_PROXY=http://HOST, or socks5h://HOST
        assert proxy.asked == [Asked("socks", "idp.corp.test", 443, None)]

``login`` is the user name and password that it demands. ``refusal`` is how it answers instead: for SOCKS a code of
RFC 1928 §6, for CONNECT the status line. ``to=None`` refuses whatever is asked: what a test wants to know may be only
that it was.
"""

from __future__ import annotations

import base64
import contextlib
import select
import socket
from typing import Any, Literal, NamedTuple

from integration.servers.listener import Listener


class Asked(NamedTuple):
    """What a client asked for."""

    by: Literal["connect", "socks"]
    host: str
    port: int
    login: tuple[str, str] | None


class RecordingProxy(Listener):
    """See the head of this file."""

    def __init__(
        self, *, to: int | None = None, login: tuple[str, str] | None = None, refusal: tuple[int, str] | None = None
    ) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self._to = to
        self._login = login
        self._refusal = refusal or ((2, "403 Forbidden") if to is None else None)
        self.host = f"127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            connection.settimeout(60)
            first = _read(connection, 1)
            passed = self._by_socks(connection) if first == b"\x05" else self._by_connect(connection, first)
            if passed and self._to is not None:
                with socket.create_connection(("127.0.0.1", self._to)) as behind:
                    self._pipe(connection, behind)

    def _by_connect(self, connection: socket.socket, head: bytes) -> bool:
        while b"\r\n\r\n" not in head:
            head += _read(connection, 1)
        request, *lines = head.decode("latin-1").split("\r\n")
        host, _, port = request.split()[1].rpartition(":")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        login = None
        if value := headers.get("proxy-authorization"):
            user, _, password = base64.b64decode(value.removeprefix("Basic ")).decode().partition(":")
            login = (user, password)
        self.asked.append(Asked("connect", host.strip("[]"), int(port), login))
        status = self._refusal[1] if self._refusal else "200 Connected"
        if login != self._login:
            status = "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x"
        passed = status == "200 Connected"
        more = "" if passed else "Content-Length: 0\r\nConnection: close\r\n"
        connection.sendall(f"HTTP/1.1 {status}\r\n{more}\r\n".encode())
        return passed

    def _by_socks(self, connection: socket.socket) -> bool:
        methods = _read(connection, _read(connection, 1)[0])
        wanted = 0 if self._login is None else 2
        connection.sendall(bytes([5, wanted if wanted in methods else 0xFF]))
        if wanted not in methods:
            return False
        login = None
        if wanted:
            _read(connection, 1)
            user, password = (_read(connection, _read(connection, 1)[0]).decode() for _ in range(2))
            login = (user, password)
            connection.sendall(bytes([1, login != self._login]))
            if login != self._login:
                return False
        kind = _read(connection, 4)[3]
        if kind == 3:
            host = _read(connection, _read(connection, 1)[0]).decode()
        else:
            family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, _read(connection, length))
        port = int.from_bytes(_read(connection, 2), "big")
        self.asked.append(Asked("socks", host, port, login))
        connection.sendall(bytes([5, self._refusal[0] if self._refusal else 0, 0, 3, 1]) + b"x\0\0")
        return self._refusal is None

    def _pipe(self, one: socket.socket, other: socket.socket) -> None:
        ends: dict[Any, socket.socket] = {one: other, other: one}
        while not self.closing.is_set():
            for end in select.select(list(ends), [], [], 0.02)[0]:
                data = end.recv(65536)
                if not data:
                    return
                ends[end].sendall(data)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
