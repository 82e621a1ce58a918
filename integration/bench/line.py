"""A line with a round trip of its own: ``python -m integration.bench.line PORT SECONDS`` relays to a port of loopback.

Each direction takes half of it. Connecting takes a whole one, as on a real line: what the client says first does not
set out before. A process of its own, so that no interpreter's lock is in the way; it prints its port, and ends with
stdin.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from tests.helpers.programs import CHECKOUT


@contextlib.contextmanager
def line_to(port: int, round_trip: float) -> Iterator[int]:
    """Return the port of a line to another port of loopback, with so many seconds of round trip."""
    words = [sys.executable, "-m", __name__, str(port), str(round_trip)]
    with subprocess.Popen(words, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


class Direction:
    """What one end says, on its way to the other one."""

    def __init__(self, source: socket.socket, target: socket.socket, delay: float, earliest: float) -> None:
        self._source, self._target, self._delay, self._earliest = source, target, delay, earliest
        self._under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        for work in (self._take, self._give):
            threading.Thread(target=work, daemon=True).start()

    def _take(self) -> None:
        data = b"x"
        while data:
            try:
                data = self._source.recv(65536)
            except OSError:
                data = b""
            self._under_way.put((max(time.monotonic(), self._earliest) + self._delay, data))

    def _give(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = self._under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    self._target.shutdown(socket.SHUT_WR)
                    return
                self._target.sendall(data)


def serve(port: int, round_trip: float) -> None:
    """Relay until stdin ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        print(server.getsockname()[1], flush=True)
        threading.Thread(target=_accept, args=(server, port, round_trip), daemon=True).start()
        sys.stdin.read()


def _accept(server: socket.socket, port: int, round_trip: float) -> None:
    while True:
        near, _ = server.accept()
        connected = time.monotonic() + round_trip
        far = socket.create_connection(("127.0.0.1", port))
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Direction(near, far, round_trip / 2, connected)
        Direction(far, near, round_trip / 2, 0.0)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
