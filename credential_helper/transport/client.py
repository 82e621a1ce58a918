"""The single place that opens a connection: requests, with the operating system's roots (truststore).

Rules. TLS is verified, always, and there is no switch. No redirect is followed: a 307 would hand the body, and the
secret in it, to another host. .netrc is not read: it would replace our Authorization. A proxy is used where the
environment names one, never for loopback. Nothing is sent twice. An exchange, from the lookup of the name to the last
byte, ends after 30 s; a body has at most 1 MiB. Every exchange has a connection of its own: a kept one may be closed
by the server just while we send (node does after 5 s, the usual poll interval), and a POST is not repeated.

Which certificates count: the operating system's, and the profile's ``ca_file`` beside them. REQUESTS_CA_BUNDLE and
CURL_CA_BUNDLE mean nothing here. SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own way to say where the system's roots
are: on Linux they take the place of those roots, as they do for kubectl and git, and ``ca_file`` is still added.

Knows nothing of OAuth. No exception here holds a body, a header or a URL's query.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError, TransportError
from credential_helper.model import Secret
from credential_helper.system.clock import Clock
from credential_helper.text import Note, foreign, silent
from credential_helper.transport.addresses import parse
from credential_helper.transport.answer import FORM, Answer
from credential_helper.transport.connection import Exchange
from credential_helper.transport.failures import redirected, strerror, trouble

if TYPE_CHECKING:
    import truststore


CONNECT = 10.0  # seconds, for each address of a host
DEADLINE = 30.0  # seconds, for a whole exchange


# --- the transport ----------------------------------------------------------------------------------------------------


class Transport:
    """Makes one exchange at a time; see the head of this file.

    ``connect`` and ``deadline`` are seconds. Every exchange raises TransportError, and ConfigurationError when ca_file
    cannot be used.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        ca_file: str | None = None,
        note: Note = silent,
        connect: float = CONNECT,
        deadline: float = DEADLINE,
    ) -> None:
        self.skew: float | None = None  # seconds that the last server that told the time is ahead of our clock
        self._clock = clock
        self._ca_file = ca_file
        self._note = note
        self._connect = connect
        self._deadline = deadline
        self._trusted: truststore.SSLContext | None = None

    def get(self, url: str) -> Answer:
        """Fetch a public document."""
        return self._exchange("GET", url, None, {})

    def post(self, url: str, fields: Sequence[tuple[str, str]], *, authorization: Secret | None = None) -> Answer:
        """Send a form (application/x-www-form-urlencoded, UTF-8), once.

        ``authorization`` is the whole value of that header, its scheme included.
        """
        from urllib.parse import urlencode

        headers = {"Content-Type": FORM}
        if authorization is not None:
            headers["Authorization"] = authorization.reveal()
        return self._exchange("POST", url, urlencode(fields).encode(), headers)

    def _exchange(self, method: str, address: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        try:
            url = parse(address)
        except ValueError as error:
            raise TransportError(f"an address {error}, nothing was sent") from None
        if url.scheme != "https" and not url.loopback:
            raise TransportError(f"nothing is sent to {url.authority} without TLS")
        _import_requests()
        timeouts = (self._connect, self._deadline)
        exchange = Exchange(method, address, url, body, headers, self._roots(), timeouts, self._clock)
        started = time.monotonic()
        exchange.start()
        try:
            # In slices, because Windows hands Ctrl-C over only between two waits.
            while not exchange.done.wait(min(0.5, self._deadline)):
                if time.monotonic() - started >= self._deadline:
                    break
        finally:
            exchange.end()
        answer = exchange.answer
        if answer is None:
            raise trouble(exchange)
        shown = address.partition("?")[0]
        self._note(f"{method} {shown} answered {answer.status} in {time.monotonic() - started:.2f} s")
        if answer.date is not None:
            self.skew = answer.date - answer.received_at
        if 300 <= answer.status < 400:
            raise redirected(answer, shown)
        return answer

    def _roots(self) -> truststore.SSLContext:
        """Return the TLS settings of every connection, made once."""
        import ssl

        import truststore

        if self._trusted is None:
            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if self._ca_file is not None:
                path = foreign(self._ca_file)
                try:
                    context.load_verify_locations(cafile=self._ca_file)
                except ssl.SSLError:
                    raise ConfigurationError(f"ca_file {path} holds no certificate in PEM form") from None
                except OSError as error:
                    raise ConfigurationError(f"ca_file {path} cannot be read: {strerror(error)}") from None
            self._trusted = context
        return self._trusted


def _import_requests() -> None:
    """Import requests (90 ms, so not at the head of the file) without a word on stderr.

    It warns there about the versions of what it depends on.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import requests  # noqa: F401
