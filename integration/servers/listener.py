"""A port on loopback that serves each connection in a thread, until it is closed: what relay and proxy stand on."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class Listener:
    """Whoever is one says in ``serve`` what is done with a connection, which ends soon after ``closing`` is set."""

    def __init__(self) -> None:
        self.connections = 0
        self.closing = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._server.settimeout(0.05)
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection, and close it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._threads[0].join()  # then nobody adds to the others
        for thread in self._threads[1:]:
            thread.join()
        self._server.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._server.accept()
                self.connections += 1
                thread = threading.Thread(target=self.serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()
