"""What the servers and browsers of the tests have in common: they are started, and stopped whatever happens."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from types import TracebackType
from typing import Any, Self


class Started:
    """Runs from ``start`` to ``stop``, or as long as a ``with`` block."""

    def start(self) -> Self:
        """Begin, and return when it serves."""
        raise NotImplementedError

    def stop(self) -> None:
        """End, and leave nothing behind; may be called again."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class LoopbackServer(ThreadingHTTPServer):
    """A server on a free port of loopback, with TLS on demand, that ends with every connection it has."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        if context is not None:
            # The handshake is left to the connection's own thread: a client that stalls must not keep others out.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._open: set[socket] = set()

    def get_request(self) -> tuple[socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that refuse our certificate or hang up are what tests are about."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(SHUT_RDWR)
            except OSError:
                continue


class Served(Started):
    """What answers on a free port of 127.0.0.1 while it runs."""

    _server: LoopbackServer | None = None

    def _made(self) -> LoopbackServer:
        """Return the server, which listens already and answers nobody yet."""
        raise NotImplementedError

    def start(self) -> Self:
        """Answer whoever comes."""
        self._server = self._made()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port and every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
