"""A relay on loopback between a client and a server: it records what goes by, and can be slow, silent or led elsewhere.

with Relay(server.port) as relay:
    relay.port
    relay.manner = "silent"         # or pass, slow, trickle, refuse
    relay.to = other.port           # for whoever connects from now on
    relay.seen                      # all bytes of both directions so far
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Literal, Self

Manner = Literal["pass", "slow", "silent", "trickle", "refuse"]

SLOW = 0.35  # seconds that each answer is kept back
_PACE = 0.02  # seconds between two bytes that trickle


class Relay:
    """See the head of this file."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.manner: Manner = "pass"
        self.connections = 0
        self._seen = bytearray()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._server.settimeout(0.05)
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def seen(self) -> bytes:
        with self._lock:
            return bytes(self._seen)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for thread in list(self._threads):
            thread.join()
        self._server.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._server.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self.manner == "refuse":
                return
            with socket.create_connection(("127.0.0.1", self.to)) as behind:
                while not self._closing.is_set():
                    for end in select.select([connection, behind], [], [], 0.05)[0]:
                        data = end.recv(65536)
                        if not data:
                            return
                        with self._lock:
                            self._seen += data
                        if end is connection:
                            behind.sendall(data)
                        else:
                            self._answer(connection, data)

    def _answer(self, connection: socket.socket, data: bytes) -> None:
        if self.manner == "silent":
            return
        if self.manner == "slow":
            self._closing.wait(SLOW)
        if self.manner != "trickle":
            connection.sendall(data)
            return
        for byte in data:
            connection.sendall(bytes([byte]))
            if self._closing.wait(_PACE):
                return
