"""Sockets for a protocol that is not HTTP: to a host, with TLS where it is asked for, or to a file.

A server that is away must cost no more than a moment, whatever it is that does not answer: the name server, the host,
or its TLS. No proxy is used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from credential_helper.transport import dialling
from credential_helper.urls import is_loopback

if TYPE_CHECKING:
    import socket
    import ssl

    from credential_helper.system.clock import Clock

_Found = list[tuple[int, dialling.Sockaddr]]


def to_host(
    host: str,
    port: int,
    *,
    context: ssl.SSLContext | None,
    connect: float,
    seconds: float,
    clock: Clock,
    look_up: dialling.Lookup = dialling.look_up,
) -> socket.socket:
    """Return a connection that stands, with TLS if there is a ``context``, which verifies the host's name.

    TCP takes ``connect`` seconds at most, all of it ``seconds``. Raises OSError (of which ssl.SSLError,
    socket.gaierror and TimeoutError are kinds).
    """
    started = time.monotonic()
    found = look_up(host, port) if _is_known(host) else _in_time(lambda: look_up(host, port), connect)
    addresses = dialling.Addresses(None, clock)
    plain = dialling.dial(host, port, seconds=connect, addresses=addresses, look_up=lambda *_: found)
    try:
        plain.settimeout(max(0.001, seconds - (time.monotonic() - started)))
        return plain if context is None else context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def to_file(path: str, *, seconds: float) -> socket.socket:
    """Return a connection to a socket's file. Raises OSError."""
    import socket

    if not hasattr(socket, "AF_UNIX"):  # Windows
        raise OSError("there are no such sockets here")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_known(host: str) -> bool:
    """Say whether nobody has to be asked for a host's address."""
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return is_loopback(host)


def _in_time(look_up: Callable[[], _Found], seconds: float) -> _Found:
    """Return a host's addresses; the system's own resolver may wait for many seconds, and cannot be told not to."""
    outcome: list[_Found | OSError] = []

    def work() -> None:
        try:
            outcome.append(look_up())
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError("the name server does not answer")
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]
