"""One exchange on a connection of its own, which the one who waits for it can end."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from credential_helper import __version__, urls
from credential_helper.errors import TransportError
from credential_helper.system.clock import Clock
from credential_helper.transport.answer import Answer
from credential_helper.transport.dialling import Addresses, dial
from credential_helper.transport.refused import Refused, refusal

if TYPE_CHECKING:
    import socket
    import ssl

    import requests
    from urllib3.connectionpool import HTTPConnectionPool

    from credential_helper.transport.client_certificate import ClientCertificate
    from credential_helper.transport.early import Early
    from credential_helper.transport.proxies import Proxy


BODY_LIMIT = 1 << 20  # bytes


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How a host is reached."""

    context: ssl.SSLContext  # what the host is shown, and how it is verified
    proxy_context: ssl.SSLContext  # the same for a proxy, which is never shown a client certificate
    proxy: Proxy | None
    addresses: Addresses
    connect: float  # seconds for a connection, for a proxy's answer and for a TLS handshake
    deadline: float  # seconds for all of it
    certificate: ClientCertificate | None = None  # that the context shows
    provisional: bool = False  # a certificate that is not trusted is judged once more, by more roots


class Exchange(threading.Thread):
    """One exchange, which the one who waits for it can end, whatever it is waiting for.

    A read timeout counts from the last byte, so a server that trickles never meets it, and it counts on while this
    process is stopped; the lookup of a name has none. So the exchange has a thread and reads without one, and ending it
    shuts its sockets down: the server learns of it, and what had not been sent by then never is.

    NOTE: shut down is a duplicate of each TCP socket. SSLSocket.shutdown() drops its TLS layer first, and the thread's
    next send would put the request on the wire in clear.
    """

    def __init__(
        self,
        method: str,
        address: str,
        url: urls.Url,
        body: bytes | None,
        headers: dict[str, str],
        way: Way,
        clock: Clock,
        early: Early | None = None,
    ) -> None:
        """``early``: a connection that is being opened for it, by the same way."""
        super().__init__(name=f"exchange with {url.authority}", daemon=True)
        self.host = url.authority
        self.way = way
        self.done = threading.Event()
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.step: Literal["connect", "proxy", "handshake", "answer"] = "connect"  # what is waited for
        self.refused: Refused | None = None
        self._request = (method, address, url, body, headers)
        self._early = early
        self._clock = clock
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._over = False

    @property
    def at_proxy(self) -> bool:
        """Say whether the way has not yet led past the proxy."""
        return self.way.proxy is not None and self.step in ("connect", "proxy")

    def take_early(self) -> ssl.SSLSocket | None:
        """Return the connection that was opened for this exchange; None: one may be opened. Raises OSError."""
        if self._early is None:
            return None
        try:
            connected = self._early.take()
        except OSError:
            self.step = self._early.step
            raise
        if connected is not None:
            connected.settimeout(self.way.connect)
        return connected

    def dial(self, host: str, port: int) -> socket.socket:
        """Return a connection to a host, through the proxy where that speaks SOCKS. Raises OSError."""
        if self._over:
            raise TimeoutError
        way, proxy = self.way, self.way.proxy if self.way.proxy is not None and self.way.proxy.socks else None
        peer = (host.strip("[]"), port) if proxy is None else (proxy.host, proxy.port)
        connected = self._hold(dial(*peer, seconds=way.connect, addresses=way.addresses))
        connected.settimeout(way.connect)
        if proxy is not None:
            from credential_helper.transport import socks

            try:
                socks.open_tunnel(connected, host.strip("[]"), port, proxy.login)
            except BaseException:
                connected.close()
                raise
            self.step = "handshake"
        return connected

    def _hold(self, connected: socket.socket) -> socket.socket:
        """Take note of a connected socket before a byte is sent on it; refuse it when the exchange is over."""
        with self._lock:
            if self._over:
                connected.close()
                raise TimeoutError
            self._held.append(connected.dup())
            https = self._request[2].scheme == "https"
            self.step = "proxy" if self.way.proxy is not None else "handshake" if https else "answer"
        return connected

    def end(self) -> None:
        """Shut every socket down; from now on none is taken."""
        import socket

        if self._early is not None:
            if not self._early.done.is_set():
                self.step = self._early.step
            self._early.end()
        with self._lock:
            self._over = True
            for held in self._held:
                with contextlib.suppress(OSError):  # the other side may have been faster
                    held.shutdown(socket.SHUT_RDWR)
                held.close()
            self._held.clear()

    def run(self) -> None:
        """Make the exchange and keep what became of it, unless it is over by then."""
        answer, failed = None, None
        try:
            answer = self._make()
        except BaseException as error:
            failed = error
            for link in causes(error):
                link.__traceback__ = None  # its frames hold the request, and keep sockets open
        with self._lock:
            if not self._over:
                self.answer, self.error = answer, failed
        self.done.set()

    def _make(self) -> Answer:
        import requests

        method, address, _, body, headers = self._request
        always = {
            "User-Agent": f"credential-helper/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a small body cannot unpack into a large one
            "Connection": "close",
        }
        proxy = self.way.proxy
        proxies = {"https": proxy.url} if proxy is not None and not proxy.socks else {}
        with _session(self) as session:
            request = session.prepare_request(requests.Request(method, address, headers=always | headers, data=body))
            # NOTE: send(), not request(), which lets REQUESTS_CA_BUNDLE replace verify=True.
            timeouts = (self.way.connect, None)
            with session.send(
                request, stream=True, allow_redirects=False, verify=True, proxies=proxies, timeout=timeouts
            ) as response:
                return self._read(response)

    def _read(self, response: requests.Response) -> Answer:
        received_at = self._clock.now()
        headers = {name.lower(): value for name, value in response.headers.items()}
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise TransportError(f"{self.host} sent a compressed answer, which was not asked for")
        body = bytearray()
        while chunk := response.raw.read(65536, decode_content=False):
            body += chunk
            if len(body) > BODY_LIMIT:
                raise TransportError(f"{self.host} sent more than {BODY_LIMIT >> 20} MiB")
        return Answer(
            status=response.status_code, headers=headers, body=bytes(body), host=self.host, received_at=received_at
        )


def _session(exchange: Exchange) -> requests.Session:
    """Return a session for one exchange."""
    import requests
    from requests.adapters import HTTPAdapter

    context, proxy_context, pools = exchange.way.context, exchange.way.proxy_context, _pools(exchange)

    class Adapter(HTTPAdapter):
        """Hands our TLS settings to direct connections, to those through a proxy, and to the one with a TLS proxy."""

        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options, ssl_context=context)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options, ssl_context=context, proxy_ssl_context=proxy_context)
            manager.pool_classes_by_scheme = pools
            return manager

        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ARG002 - its signature
            """Add nothing: requests would add certifi's roots to ours."""
            conn.cert_reqs = "CERT_REQUIRED"

    session = requests.Session()
    session.auth = lambda request: request  # not None: else .netrc is read (psf/requests #3929)
    session.mount("https://", Adapter(max_retries=0))
    session.mount("http://", Adapter(max_retries=0))
    return session


def _pools(exchange: Exchange) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools, whose connections are shown to the exchange before a byte is sent on them."""
    import ssl

    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return exchange.dial(self._dns_host, self.port)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return exchange.dial(self._dns_host, self.port)

        def _tunnel(self) -> None:
            from credential_helper.transport import connect

            host, port, proxy = self._tunnel_host, self._tunnel_port, exchange.way.proxy
            assert host is not None
            assert port is not None
            assert proxy is not None
            connect.open_tunnel(self.sock, host.strip("[]"), port, proxy.authorization)
            exchange.step = "handshake"

    class Verified(Tls):
        def connect(self) -> None:
            if (ready := exchange.take_early()) is not None:
                self.sock = ready
                self.is_verified = True  # by the same settings; else there would be none
                exchange.step = "answer"
                return
            try:
                super().connect()
            except ssl.SSLCertVerificationError as error:
                final = not exchange.way.provisional
                exchange.refused = refusal(error.verify_code, self, Tls, of_proxy=exchange.at_proxy, final=final)
                raise
            exchange.step = "answer"

        def send(self, data: Any) -> None:
            """Send; where that fails, hear the alert that came before (with TLS 1.3 after the handshake)."""
            try:
                super().send(data)
            except BrokenPipeError:  # urllib3 goes on to the answer by itself
                raise
            except OSError:
                if self.sock is not None:
                    self.sock.recv(1)  # raises it; nobody reads what else may be there
                raise

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class VerifiedPool(HTTPSConnectionPool):
        ConnectionCls = Verified

    return {"http": PlainPool, "https": VerifiedPool}


def causes(error: BaseException) -> list[BaseException]:
    """Return an exception and all that it wraps, in the several ways of requests, urllib3 and Python."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < 20:
        link = waiting.pop(0)
        if isinstance(link, BaseException) and not any(link is known for known in found):
            found.append(link)
            inner = (getattr(link, name, None) for name in ("reason", "original_error", "__cause__", "__context__"))
            waiting += [*link.args, *inner]
    return found
