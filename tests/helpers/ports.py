"""A port that is free."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port() -> int:
    """Return a port that is free, and that the system gives to nobody who does not name it."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
