"""The single place that opens a connection: requests, with the operating system's roots (truststore).

Rules. TLS is verified, always, and there is no switch. No redirect is followed: a 307 would hand the body, and the
secret in it, to another host. .netrc is not read: it would replace our Authorization. A proxy is used where the
environment names one (proxies.py), never for loopback. Nothing is sent twice. An exchange, from the lookup of the name
to the last byte, ends after 30 s in which this process ran; a body has at most 1 MiB. Every exchange has a connection
of its own: a kept one may be closed by the server just while we send (node does after 5 s, the usual poll interval),
and a POST is not repeated. Which certificates count is said in certificates.py; how a client shows one of its own in
client_certificate.py.

The first https connection of a process is opened while requests is imported, or what is loaded before that (early.py),
and while an answer is waited for, the caller's modules are: neither costs the time that the other takes.

Knows nothing of OAuth. No exception here holds a body, a header or a URL's query.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError, TransportError
from credential_helper.model import Secret
from credential_helper.system.clock import Clock
from credential_helper.text import Note, silent
from credential_helper.transport.addresses import parse
from credential_helper.transport.answer import FORM, Answer
from credential_helper.transport.certificates import Roots, read_roots
from credential_helper.transport.connection import Exchange, Way
from credential_helper.transport.dialling import Addresses, Documents
from credential_helper.transport.failures import redirected, trouble
from credential_helper.transport.loading import load_requests
from credential_helper.urls import Url

if TYPE_CHECKING:
    from credential_helper.transport.client_certificate import ClientCertificate
    from credential_helper.transport.early import Early
    from credential_helper.transport.proxies import Proxy

CONNECT = 10.0  # seconds, for a connection
DEADLINE = 30.0  # seconds, for a whole exchange

_SLICE = 0.5  # seconds
_PROXY = ("HTTPS_PROXY", "https_proxy")  # without them, what knows of proxies is not even loaded


# --- the transport ----------------------------------------------------------------------------------------------------


class Transport:
    """Makes one exchange at a time; see the head of this file.

    ``environ`` names proxies and where the system's certificates are; ``documents`` keep which address of a host
    answered; ``connect`` and ``deadline`` are seconds. Every exchange raises TransportError, and ConfigurationError
    when ca_file cannot be used.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        environ: Mapping[str, str] | None = None,
        documents: Documents | None = None,
        ca_file: str | None = None,
        note: Note = silent,
        connect: float = CONNECT,
        deadline: float = DEADLINE,
    ) -> None:
        self.skew: float | None = None  # seconds that the last server that told the time is ahead of our clock
        self.meanwhile: Callable[[], None] | None = None  # done while the next answer is waited for: an import
        self._clock = clock
        self._environ = environ or {}
        self._addresses = Addresses(documents, clock)
        self._ca_file = ca_file
        self._note = note
        self._connect = connect
        self._deadline = deadline
        self._trusted: Roots | None = None
        self._everything = False  # all of the system's roots are read
        self._expected: Early | None = None  # a connection that nothing has been sent on

    def get(self, url: str, *, authorization: Secret | None = None) -> Answer:
        """Fetch a document, a public one without ``authorization``: the whole value of that header."""
        headers = {} if authorization is None else {"Authorization": authorization.reveal()}
        return self._exchange("GET", url, None, headers)

    def post(
        self,
        url: str,
        fields: Sequence[tuple[str, str]],
        *,
        authorization: Secret | None = None,
        certificate: ClientCertificate | None = None,
    ) -> Answer:
        """Send a form (application/x-www-form-urlencoded, UTF-8), once.

        ``authorization`` is the whole value of that header, its scheme included. ``certificate`` is shown to this host
        if it asks for one, and to no proxy on the way. Raises AuthorizationError, too, where the host refuses it.
        """
        from urllib.parse import urlencode

        headers = {"Content-Type": FORM}
        if authorization is not None:
            headers["Authorization"] = authorization.reveal()
        return self._exchange("POST", url, urlencode(fields).encode(), headers, certificate)

    def expect(self, address: str) -> None:
        """Begin to connect to a host that is about to be asked; what is wrong with it is told when it is."""
        if self._expected is not None:
            return
        with contextlib.suppress(ValueError, ConfigurationError):
            url = parse(address)
            self._expected = self._early(url, self._way(url, None))

    def _exchange(
        self,
        method: str,
        address: str,
        body: bytes | None,
        headers: dict[str, str],
        certificate: ClientCertificate | None = None,
    ) -> Answer:
        try:
            url = parse(address)
        except ValueError as error:
            raise TransportError(f"an address {error}, nothing was sent") from None
        if url.scheme != "https" and not url.loopback:
            raise TransportError(f"nothing is sent to {url.authority} without TLS")
        if url.scheme != "https" and certificate is not None:
            raise TransportError(f"no client certificate can be shown to {url.authority} without TLS")
        started = time.monotonic()
        exchange, left = self._made(method, address, url, body, headers, certificate, self._deadline)
        refused = exchange.refused
        if refused is not None and refused.for_its_issuer and exchange.way.provisional:  # so nothing was sent
            self._note(f"the certificate of {url.authority} is judged once more, by all roots that this machine has")
            self._everything, self._trusted = True, None
            exchange, _ = self._made(method, address, url, body, headers, certificate, left)
        way = exchange.way
        answer = exchange.answer
        if answer is None:
            raise trouble(exchange, self._roots().hint)
        shown = address.partition("?")[0]
        through = "" if way.proxy is None else f" through the proxy {way.proxy.authority}"
        self._note(f"{method} {shown} answered {answer.status} in {time.monotonic() - started:.2f} s{through}")
        if answer.date is not None:
            self.skew = answer.date - answer.received_at
        if 300 <= answer.status < 400:
            raise redirected(answer, shown)
        return answer

    def _made(
        self,
        method: str,
        address: str,
        url: Url,
        body: bytes | None,
        headers: dict[str, str],
        certificate: ClientCertificate | None,
        seconds: float,
    ) -> tuple[Exchange, float]:
        """Make an exchange of at most that many seconds; return how it ended, and how many are left."""
        way = self._way(url, certificate)
        early = self._ready(url, way) or self._early(url, way)
        try:
            load_requests()
            exchange = Exchange(method, address, url, body, headers, way, self._clock, early)
            exchange.start()
        except BaseException:
            if early is not None:
                early.end()
            raise
        try:
            return exchange, self._wait(exchange, seconds)
        finally:
            exchange.end()

    def _ready(self, url: Url, way: Way) -> Early | None:
        """Return the connection that was begun for this exchange, once."""
        expected, self._expected = self._expected, None
        if expected is None:
            return None
        if expected.authority == url.authority and url.scheme == "https" and way.certificate is None:
            return expected
        expected.end()
        return None

    def _early(self, url: Url, way: Way) -> Early | None:
        """Begin to connect where importing what sends the request takes longer, and nobody stands between."""
        if "requests" in sys.modules or url.scheme != "https" or way.proxy is not None or "%" in url.host:
            return None
        if way.certificate is not None:  # it is for one host's eyes, once
            return None
        from credential_helper.transport.early import Early

        early = Early(url, way.context, self._addresses, self._connect, self._clock)
        try:
            early.start()
        except RuntimeError:  # no more threads (ulimit -u)
            return None
        return early

    def _way(self, url: Url, certificate: ClientCertificate | None) -> Way:
        usual = self._roots()
        roots = usual if certificate is None else self._showing(certificate)
        return Way(
            context=roots.context,
            proxy_context=usual.context,
            provisional=usual.provisional,
            certificate=certificate,
            proxy=self._proxy(url),
            addresses=self._addresses,
            connect=self._connect,
            deadline=self._deadline,
        )

    def _showing(self, certificate: ClientCertificate) -> Roots:
        """Return TLS settings that show a certificate, for one exchange: no other host gets to see it."""
        from credential_helper.transport import client_certificate

        roots = read_roots(self._ca_file, self._environ, silent, everything=self._everything)
        client_certificate.show(roots.context, certificate, self._environ)
        return roots

    def _proxy(self, url: Url) -> Proxy | None:
        if url.loopback or not any(self._environ.get(name) for name in _PROXY):
            return None
        from credential_helper.transport.proxies import proxy_for

        return proxy_for(url, self._environ)

    def _wait(self, exchange: Exchange, left: float) -> float:
        """Wait for the end of an exchange, or until this process has run for ``left`` seconds; return the rest.

        In slices, because Windows hands Ctrl-C over only between two waits, and because a process may be stopped in
        between (Ctrl-Z, a debugger): what the server sent meanwhile waits in the socket, and a token may be in it.
        """
        meanwhile, self.meanwhile = self.meanwhile, None
        while left > 0:
            before, slice_ = time.monotonic(), min(_SLICE, left)
            if meanwhile is not None:
                with contextlib.suppress(Exception):  # whoever needs it will tell
                    meanwhile()
                meanwhile, slice_ = None, 0.0
            if exchange.done.wait(slice_):
                break
            left -= min(time.monotonic() - before, slice_ + _SLICE)
        return left

    def require_roots(self) -> None:
        """Raise ConfigurationError where ca_file cannot be read, or holds no certificate."""
        if self._ca_file is not None:
            self._roots()

    def _roots(self) -> Roots:
        """Return the TLS settings of every connection, made once."""
        if self._trusted is None:
            note = silent if self._everything else self._note
            self._trusted = read_roots(self._ca_file, self._environ, note, everything=self._everything)
        return self._trusted
