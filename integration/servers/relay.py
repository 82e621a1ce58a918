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
from typing import Literal

from integration.servers.listener import Listener

Manner = Literal["pass", "slow", "silent", "trickle", "refuse"]

SLOW = 0.35  # seconds that each answer is kept back
_PACE = 0.02  # seconds between two bytes that trickle


class Relay(Listener):
    """See the head of this file."""

    def __init__(self, to: int) -> None:
        super().__init__()
        self.to = to
        self.manner: Manner = "pass"
        self._seen = bytearray()
        self._lock = threading.Lock()

    @property
    def seen(self) -> bytes:
        with self._lock:
            return bytes(self._seen)

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self.manner == "refuse":
                return
            with socket.create_connection(("127.0.0.1", self.to)) as behind:
                while not self.closing.is_set():
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
            self.closing.wait(SLOW)
        if self.manner != "trickle":
            connection.sendall(data)
            return
        for byte in data:
            connection.sendall(bytes([byte]))
            if self.closing.wait(_PACE):
                return
