"""A connection to a host that is about to be asked, opened while what asks it is being imported.

A thread looks up the name, connects and shakes hands; nothing is sent. It is opened for one exchange, on the way of
that exchange and with its TLS settings, so nobody is reached whom the exchange would not reach. What went wrong on the
way is raised where the exchange would have met it; a handshake that failed is made once more, for its sentence.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Literal

from credential_helper.transport.dialling import dial, spelled

if TYPE_CHECKING:
    import socket
    import ssl

    from credential_helper.system.clock import Clock
    from credential_helper.transport.dialling import Addresses
    from credential_helper.urls import Url

KEPT = 2.0  # seconds for which what became of it counts: a server may close an idle one, a network may come up

_SWITCHING = 0.0005  # seconds; by Python's own 5 ms each return from OpenSSL waits as long for whoever imports
_USUAL = sys.getswitchinterval()


class Early(threading.Thread):
    """One connection, for whoever takes it first."""

    def __init__(self, url: Url, context: ssl.SSLContext, addresses: Addresses, seconds: float, clock: Clock) -> None:
        """``seconds`` may pass for the connection, and again for the handshake."""
        super().__init__(name=f"connection to {url.authority}", daemon=True)
        self.authority = url.authority
        self.done = threading.Event()
        self.step: Literal["connect", "handshake"] = "connect"
        self.error: OSError | None = None
        self._failed_at = 0.0
        self._peer = url.host.strip("[]"), url.port
        self._settings = context
        self._addresses = addresses
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._held: socket.socket | None = None  # a duplicate, to end what waits for it
        self._made: tuple[ssl.SSLSocket, float] | None = None
        self._over = False

    def run(self) -> None:
        """Connect, and keep what became of it, unless it is over by then."""
        sys.setswitchinterval(_SWITCHING)
        try:
            made = self._connect()
            with self._lock:
                if self._over:
                    made.close()
                else:
                    self._made = made, self._clock.monotonic()
        except OSError as error:
            error.__traceback__ = None  # its frames keep the socket open
            self.error, self._failed_at = error, self._clock.monotonic()
        except Exception:  # noqa: S110 - one is opened for the exchange, which tells
            pass
        finally:
            sys.setswitchinterval(_USUAL)
            self.done.set()

    def _connect(self) -> ssl.SSLSocket:
        import ssl

        host, port = self._peer
        connected = dial(host, port, seconds=self._seconds, addresses=self._addresses)
        try:
            with self._lock:
                if self._over:
                    raise TimeoutError
                self._held = connected.dup()
            self.step = "handshake"
            connected.settimeout(self._seconds)
            self._settings.set_alpn_protocols(["http/1.1"])  # as urllib3 does
            name = host.rstrip(".")
            named = spelled(name) if type(self._settings) is ssl.SSLContext else name  # truststore takes a str
            return self._settings.wrap_socket(connected, server_hostname=named)
        except BaseException:
            connected.close()
            raise

    def take(self) -> ssl.SSLSocket | None:
        """Wait for the connection and return it; None: there is none, and one may be opened.

        Raises OSError where none can be opened: the name is unknown, the host refuses, or does not answer in time.
        """
        import ssl

        self.done.wait()
        with self._lock:
            made, self._made = self._made, None
        if made is not None and self._is_good(*made):
            return made[0]
        self.end()
        recent = self._clock.monotonic() - self._failed_at <= KEPT  # else the way there may be open by now
        if self.error is not None and recent and not isinstance(self.error, ssl.SSLError):
            raise self.error
        return None

    def _is_good(self, connection: ssl.SSLSocket, at: float) -> bool:
        """Say whether a request can be sent: the server has not closed the connection meanwhile, as far as is known."""
        import socket

        with self._lock:
            good = self._held is not None and 0 <= self._clock.monotonic() - at <= KEPT
            if good and self._held is not None:
                self._held.setblocking(False)
                with contextlib.suppress(BlockingIOError):  # nothing came; what may come is a ticket (RFC 8446 §4.6.1)
                    good = self._held.recv(1, socket.MSG_PEEK) != b""
        if not good:
            connection.close()
        return good

    def end(self) -> None:
        """Shut the connection down, whoever has it; from now on nothing is opened."""
        import socket

        with self._lock:
            self._over = True
            if self._held is not None:
                with contextlib.suppress(OSError):  # the other side may have been faster
                    self._held.shutdown(socket.SHUT_RDWR)
                self._held.close()
                self._held = None
            if self._made is not None:
                self._made[0].close()
                self._made = None
