"""A connection to a host by any of its addresses (RFC 8305, Happy Eyeballs).

The addresses are tried in the system's order (RFC 6724), IPv6 and IPv4 by turns, each a quarter of a second after the
one before it or as soon as that one fails; the first connection that stands is taken. So a dead address costs a quarter
of a second, and the next call nothing: where one was waited for in vain, the one that answered is kept for a day and
tried first. What is kept only sorts what the name server says now; it never adds an address.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import selectors
    import socket

    from credential_helper.system.clock import Clock

DELAY = 0.25  # seconds between two attempts (RFC 8305 §5: "Connection Attempt Delay")
KEPT = 86400.0  # seconds that an address is tried first
MOST = 100  # hosts that are kept

_NAME = "addresses.json"

Sockaddr = tuple[str | int | bytes, ...]
Lookup = Callable[[str, int], list[tuple[int, Sockaddr]]]  # host, port → family and address; raises socket.gaierror


class Documents(Protocol):
    """A place for what may be forgotten; a failure there is never an error."""

    def read(self, name: str) -> bytes | None:
        """Return what was written, None where there is nothing to trust."""

    def write(self, name: str, document: bytes) -> None:
        """Keep a document, or don't."""


class _Kept(msgspec.Struct):
    """On disk: by HOST:PORT the address that answered, and when (seconds since the epoch)."""

    answered: dict[str, tuple[str, float]] = {}


class Addresses:
    """Which address of a host answered last; ``documents`` None: for this process only."""

    def __init__(self, documents: Documents | None, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._known: _Kept | None = None

    def preferred(self, place: str) -> str | None:
        """Return the address of HOST:PORT that is to be tried first."""
        address, at = self._read().answered.get(place, ("", 0.0))
        return address if address and -60 <= self._clock.now() - at < KEPT else None

    def prefer(self, place: str, address: str) -> None:
        """Try this address of HOST:PORT first from now on."""
        self._known = None  # another process may have written meanwhile
        answered = self._read().answered
        answered.pop(place, None)
        for oldest in sorted(answered, key=lambda known: answered[known][1])[: max(0, len(answered) - MOST + 1)]:
            del answered[oldest]
        answered[place] = (address, self._clock.now())
        if self._documents is not None:
            with contextlib.suppress(OSError):  # the connection stands: nothing may end it now
                self._documents.write(_NAME, msgspec.json.encode(self._known))

    def _read(self) -> _Kept:
        if self._known is None:
            self._known = _Kept()
            content = None if self._documents is None else self._documents.read(_NAME)
            if content is not None:
                with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
                    self._known = msgspec.json.decode(content, type=_Kept)
        return self._known


def look_up(host: str, port: int) -> list[tuple[int, Sockaddr]]:
    """Return a host's addresses in the system's order. Raises socket.gaierror where there is none."""
    import socket

    try:
        found = socket.getaddrinfo(spelled(host), port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label of over 63 characters, or an empty one
        raise socket.gaierror(socket.EAI_NONAME, "no name") from None
    return [(int(family), tuple(sockaddr)) for family, _, _, _, sockaddr in found]


def spelled(host: str) -> bytes | str:
    """Return a host's name as sockets take it as it is: of a str they make an IDNA name, and load what that takes."""
    return host.encode() if host.isascii() else host


def dial(host: str, port: int, *, seconds: float, addresses: Addresses, look_up: Lookup = look_up) -> socket.socket:
    """Return a connection to a host, which may be an address without brackets.

    Raises socket.gaierror where the name has no address, TimeoutError after ``seconds``, else OSError.
    """
    place = f"{host}:{port}"
    order = by_turns(look_up(host, port))
    many = len(order) > 1
    if many and (preferred := addresses.preferred(place)) is not None:
        order.sort(key=lambda one: one[1][0] != preferred)
    started = time.monotonic()
    connected, address = _first_of(order, seconds)
    if address != order[0][1][0] and time.monotonic() - started >= DELAY:
        addresses.prefer(place, address)
    return connected


def by_turns(found: list[tuple[int, Sockaddr]]) -> list[tuple[int, Sockaddr]]:
    """Sort addresses so that the families alternate, beginning with the first one's (RFC 8305 §4)."""
    families: dict[int, list[tuple[int, Sockaddr]]] = {}
    for one in found:
        families.setdefault(one[0], []).append(one)
    return [one for turn in range(len(found)) for family in families.values() for one in family[turn : turn + 1]]


def _first_of(order: list[tuple[int, Sockaddr]], seconds: float) -> tuple[socket.socket, str]:
    """Return the first connection that stands, and its address."""
    import selectors

    waiting = list(order)
    failed: list[OSError] = []
    next_at = started = time.monotonic()
    with selectors.DefaultSelector() as trying:
        try:
            while waiting or trying.get_map():
                now = time.monotonic()
                if waiting and (now >= next_at or not trying.get_map()):
                    if error := _attempt(waiting.pop(0), trying):
                        failed.append(error)
                    else:
                        next_at = now + DELAY
                    continue
                until = min(next_at, started + seconds) if waiting else started + seconds
                ready = trying.select(max(0.0, until - now))
                for key, _ in ready:
                    connection, address = trying.unregister(key.fileobj).data
                    if error := _outcome(connection):
                        connection.close()
                        failed.append(error)
                        next_at = now
                    else:
                        return connection, address
                # What is ready counts first: the process may have been stopped for a while.
                if not ready and time.monotonic() >= started + seconds:
                    raise TimeoutError
        finally:
            for key in list(trying.get_map().values()):
                key.data[0].close()
    raise next((error for error in failed if isinstance(error, ConnectionRefusedError)), failed[-1])


def _attempt(one: tuple[int, Sockaddr], trying: selectors.BaseSelector) -> OSError | None:
    """Begin to connect; what failed at once is returned."""
    import selectors
    import socket

    family, sockaddr = one
    try:
        connection = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # there is no IPv6 here
        return error
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = connection.connect_ex(sockaddr)
    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)):
        connection.close()
        return OSError(code, os.strerror(code))
    trying.register(connection, selectors.EVENT_WRITE, (connection, str(sockaddr[0])))
    return None


def _outcome(connection: socket.socket) -> OSError | None:
    import socket

    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(code, os.strerror(code)) if code else None
