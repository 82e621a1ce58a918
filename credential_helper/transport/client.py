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

import contextlib
import re
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from credential_helper import __version__, urls
from credential_helper.errors import ConfigurationError, TokenResponseError, TransportError
from credential_helper.model import Secret
from credential_helper.system.clock import Clock
from credential_helper.text import Note, foreign, silent

if TYPE_CHECKING:
    import socket

    import requests
    import truststore
    from urllib3.connectionpool import HTTPConnectionPool


CONNECT = 10.0  # seconds, for each address of a host
DEADLINE = 30.0  # seconds, for a whole exchange
BODY_LIMIT = 1 << 20  # bytes
FRESH = 5.0  # seconds of age at which an answer still tells the time

FORM = "application/x-www-form-urlencoded"


# --- addresses --------------------------------------------------------------------------------------------------------

_HARMLESS = re.compile(r"[!#-;=?-\[\]_a-z~]*")  # printable ASCII without " < > \ ^ ` { | }


def is_loopback(host: str) -> bool:
    """Say whether a host is 127.0.0.1, ::1 (with or without brackets) or localhost; nothing else is loopback."""
    host = host.lower()
    return urls.is_loopback(f"[{host}]" if ":" in host and not host.startswith("[") else host)


def parse(address: str) -> urls.Url:
    """Return the parts of an http or https address.

    ValueError says in words what is wrong, and does not repeat the address: there may be a password in it.
    """
    url = urls.parse_url(address)
    if not _HARMLESS.fullmatch(address):
        raise ValueError("has a character in it that an address cannot have")
    return url


def address_problem(address: str, issuer: str) -> str | None:
    """Say what is wrong with an address of ``issuer``, None if nothing is; an issuer is judged by giving it twice.

    Beside an https issuer only https will do. An http issuer has to be loopback, and then only its own origin will.
    """
    try:
        url, own = parse(address), parse(issuer)
    except ValueError as error:
        return str(error)
    if own.scheme == "https":
        return None if url.scheme == "https" else f"is not https (http://{url.authority})"
    if not own.loopback:
        return f"is not https (http://{own.authority})"
    return None if url.origin == own.origin else f"is not on the issuer's own {own.origin} ({url.origin})"


def require_address(url: str, *, issuer: str, what: str) -> str:
    """Return ``url`` if it may be used beside ``issuer``; ``what`` names it in the sentence: "its token_endpoint".

    Raises TokenResponseError.
    """
    problem = address_problem(url, issuer)
    if problem is not None:
        raise TokenResponseError(f"{what} {problem}")
    return url


# --- an answer --------------------------------------------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back, whatever its status; its repr holds no body."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    host: str  # host, or host:port, for messages
    received_at: float  # seconds since the epoch, when the head had arrived

    def __repr__(self) -> str:
        return f"<Answer {self.status} of {self.host}, {len(self.body)} bytes>"

    def members(self, what: str) -> dict[str, object]:
        """Return the members of the body: of its JSON object, or of a form where Content-Type says that it is one.

        GitHub answers with a form to whoever does not ask for JSON; a proxy may take that wish away. Raises as
        ``json_object`` does, also for a member that comes twice.
        """
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM or not self.body:
            return self.json_object(what)
        members = _form(self.body)
        if members is None:
            raise TokenResponseError(
                f"{self.host} answered {self.status} with a broken form where a {what} was expected"
            )
        return members

    def json_object(self, what: str) -> dict[str, object]:
        """Return the body's JSON object; ``what`` is the noun for what was expected: "token answer".

        Raises TokenResponseError. The body is never repeated: there may be half a token in it.
        """
        body = self.body.removeprefix(b"\xef\xbb\xbf")
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            found = self._nature(body.lstrip())
        else:
            if isinstance(value, dict):
                return value
            found = "JSON that is not an object"
        raise TokenResponseError(f"{self.host} answered {self.status} with {found} where a {what} was expected")

    @property
    def retry_after(self) -> float | None:
        """Return the seconds that Retry-After asks for (RFC 9110 §10.2.3), None where it is absent or nonsense."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        then = _http_date(value)
        return None if then is None else max(0.0, then - (self.date or self.received_at))

    @property
    def date(self) -> float | None:
        """Return the server's clock (RFC 9110 §6.6.1) in seconds since the epoch, None where it is absent or nonsense.

        None also for an answer that a cache kept (RFC 9111 §5.1): its Date may be the time at which it was made. Adding
        the Age would not do: some caches write a Date of their own and the Age beside it.
        """
        age = self.headers.get("age", "0").strip()
        if not (age.isascii() and age.isdigit() and float(age) <= FRESH):
            return None
        return _http_date(self.headers.get("date", ""))

    def _nature(self, body: bytes) -> str:
        if not body:
            return "an empty body"
        if body.startswith(b"<") or "html" in self.headers.get("content-type", ""):
            return "an HTML page"
        return "broken JSON" if body.startswith((b"{", b"[")) else "something that is not JSON"


def _form(body: bytes) -> dict[str, object] | None:
    """Return the members of a form, None for what is none: a name that is empty or comes twice, a broken escape."""
    from urllib.parse import unquote_to_bytes

    members: dict[str, object] = {}
    try:
        for pair in body.decode("ascii").strip().split("&"):
            if _BROKEN_ESCAPE.search(pair):
                return None
            name, equals, value = (unquote_to_bytes(part).decode() for part in pair.replace("+", " ").partition("="))
            if not name or not equals or name in members:
                return None
            members[name] = value
    except UnicodeError:
        return None
    return members


_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _http_date(value: str) -> float | None:
    from email.utils import parsedate_to_datetime  # requests needs email, too

    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


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
        exchange = _Exchange(method, address, url, body, headers, self._roots(), timeouts, self._clock)
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
            raise _trouble(exchange)
        shown = address.partition("?")[0]
        self._note(f"{method} {shown} answered {answer.status} in {time.monotonic() - started:.2f} s")
        if answer.date is not None:
            self.skew = answer.date - answer.received_at
        if 300 <= answer.status < 400:
            raise _redirected(answer, shown)
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
                    raise ConfigurationError(f"ca_file {path} cannot be read: {_strerror(error)}") from None
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


# --- one exchange -----------------------------------------------------------------------------------------------------


class _Exchange(threading.Thread):
    """One exchange, which the one who waits for it can end, whatever it is waiting for.

    A read timeout counts from the last byte, so a server that trickles never meets it; the lookup of a name has none.
    So the exchange has a thread, and ending it shuts its sockets down: the server learns of it, and what had not been
    sent by then never is.

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
        context: truststore.SSLContext,
        timeouts: tuple[float, float],
        clock: Clock,
    ) -> None:
        super().__init__(name=f"exchange with {url.authority}", daemon=True)
        self.host = url.authority
        self.context = context
        self.timeouts = timeouts  # to connect, and for all of it
        self.done = threading.Event()
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.proxy: str | None = None  # host:port of the proxy that is used
        self.connected = False
        self.refused: _Refused | None = None
        self._request = (method, address, url, body, headers)
        self._clock = clock
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._over = False

    def hold(self, connected: socket.socket) -> socket.socket:
        """Take note of a connected socket before a byte is sent on it; refuse it when the exchange is over."""
        with self._lock:
            if self._over:
                connected.close()
                raise TimeoutError
            self._held.append(connected.dup())
            self.connected = True
        return connected

    def end(self) -> None:
        """Shut every socket down; from now on none is taken."""
        import socket

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
            for link in _causes(error):
                link.__traceback__ = None  # its frames hold the request, and keep sockets open
        with self._lock:
            if not self._over:
                self.answer, self.error = answer, failed
        self.done.set()

    def _make(self) -> Answer:
        import requests
        from requests.utils import resolve_proxies

        method, address, url, body, headers = self._request
        always = {
            "User-Agent": f"credential-helper/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a small body cannot unpack into a large one
            "Connection": "close",
        }
        with _session(self) as session:
            request = session.prepare_request(requests.Request(method, address, headers=always | headers, data=body))
            proxies = {} if url.loopback else resolve_proxies(request, {})
            if proxies:
                self.proxy = _without_password(next(iter(proxies.values())))
            # NOTE: send(), not request(), which lets REQUESTS_CA_BUNDLE replace verify=True.
            with session.send(
                request, stream=True, allow_redirects=False, verify=True, proxies=proxies, timeout=self.timeouts
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


def _session(exchange: _Exchange) -> requests.Session:
    """Return a session for one exchange."""
    import requests
    from requests.adapters import HTTPAdapter

    context, pools = exchange.context, _pools(exchange)

    class Adapter(HTTPAdapter):
        """Hands our TLS settings to direct connections, to those through a proxy, and to the one with a TLS proxy."""

        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options, ssl_context=context)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options, ssl_context=context, proxy_ssl_context=context)
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


def _pools(exchange: _Exchange) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools, whose connections are shown to the exchange before a byte is sent on them."""
    import ssl

    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return exchange.hold(super()._new_conn())

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return exchange.hold(super()._new_conn())

    class Verified(Tls):
        def connect(self) -> None:
            try:
                super().connect()
            except ssl.SSLCertVerificationError as error:
                of_proxy = self.proxy is not None and not self.has_connected_to_proxy
                exchange.refused = _Refused(error.verify_code, self._issuer(of_proxy), of_proxy)
                raise

        def _issuer(self, of_proxy: bool) -> str | None:
            """Look at the refused certificate again, on a connection of its own on which nothing is ever sent.

            Python does not show a certificate that it refused, and who issued it is what a person has to know.
            """
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            look = Tls(
                self.host,
                self.port,
                timeout=self.timeout,
                proxy=None if of_proxy else self.proxy,
                proxy_config=None if of_proxy else self.proxy_config,
                ssl_context=context,
                cert_reqs="CERT_NONE",
                assert_hostname=False,
            )
            try:
                if self._tunnel_host is not None and not of_proxy:
                    headers = getattr(self, "_tunnel_headers", None)
                    look.set_tunnel(self._tunnel_host, self._tunnel_port, headers, self._tunnel_scheme or "http")
                look.connect()
                peer: Any = look.sock
                return _issuer_name(peer.getpeercert(binary_form=True))
            except Exception:
                return None  # a sentence without the name is still true
            finally:
                look.close()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class VerifiedPool(HTTPSConnectionPool):
        ConnectionCls = Verified

    return {"http": PlainPool, "https": VerifiedPool}


# --- what went wrong, in one sentence ---------------------------------------------------------------------------------


class _Refused(msgspec.Struct, frozen=True):
    """A certificate that was refused."""

    verify_code: int  # OpenSSL's X509_V_ERR_…; truststore uses the same numbers where it can tell
    issuer: str | None
    of_proxy: bool


_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64  # x509_vfy.h


def _trouble(exchange: _Exchange) -> TransportError:
    """Return the sentence for an exchange without an answer.

    Nothing of what requests and urllib3 say is repeated but the system's own words: they quote addresses and headers.
    """
    import ssl

    from urllib3 import exceptions as urllib3

    host, (connect, deadline) = exchange.host, exchange.timeouts
    if exchange.error is None:
        what = "did not finish its answer" if exchange.connected else "could not be reached"
        return TransportError(f"{host} {what} within {deadline:g} s")
    if isinstance(exchange.error, TransportError):
        return TransportError(exchange.error.sentence)
    if exchange.refused is not None:
        return _untrusted(exchange.refused, f"the proxy {exchange.proxy}" if exchange.refused.of_proxy else host)
    chain = _causes(exchange.error)

    def caused_by(*classes: type[BaseException]) -> bool:
        return any(isinstance(link, classes) for link in chain)

    if exchange.proxy is not None and (reason := _proxy_trouble(chain)):
        return TransportError(
            f"{host} cannot be reached through the proxy {exchange.proxy}: {reason}",
            hint="the proxy is the one that HTTPS_PROXY or the system names; hosts in NO_PROXY are reached without it",
        )
    if caused_by(urllib3.NameResolutionError):
        return TransportError(f"{_lookup(chain)} ({host})", stale_address=True)
    if caused_by(urllib3.NewConnectionError):
        if caused_by(ConnectionRefusedError):
            return TransportError(f"{host} refused the connection")
        return TransportError(f"{host} cannot be reached: {_system_words(chain)}")
    if caused_by(urllib3.ConnectTimeoutError):
        return TransportError(f"{host} could not be reached within {connect:g} s")
    if caused_by(urllib3.TimeoutError, TimeoutError):
        return TransportError(f"{host} did not finish its answer within {deadline:g} s")
    if caused_by(urllib3.SSLError, ssl.SSLError):
        return TransportError(f"no TLS with {host}: {_tls_words(chain)}", stale_address=True)
    if caused_by(urllib3.HTTPError, OSError):
        return TransportError(f"{host} broke the connection off before its answer was complete")
    return TransportError(f"the exchange with {host} failed ({type(exchange.error).__name__})")


def _causes(error: BaseException) -> list[BaseException]:
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


def _untrusted(refused: _Refused, host: str) -> TransportError:
    """Return the sentence for a certificate that was refused."""
    certificate = f"the certificate of {host}" + (f", issued by {refused.issuer!r}," if refused.issuer else "")
    if refused.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        return TransportError(f"{certificate} is for another host", stale_address=True)
    if refused.verify_code in (_EXPIRED, _NOT_YET_VALID):
        word = "has expired" if refused.verify_code == _EXPIRED else "is not valid yet"
        return TransportError(f"{certificate} {word}", hint="is this machine's clock right?", stale_address=True)
    return TransportError(
        f"{certificate} is not trusted on this machine",
        hint="if that issuer is your organisation's own, name its certificate's file as ca_file in the profile",
        stale_address=True,
    )


def _issuer_name(certificate: bytes) -> str | None:
    """Return who issued a certificate (DER): the common name, else the organisation."""
    from cryptography import x509  # PyJWT[crypto] brings it, and only a refused certificate asks for it
    from cryptography.x509.oid import NameOID

    issuer = x509.load_der_x509_certificate(certificate).issuer
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME):
        for attribute in issuer.get_attributes_for_oid(kind):
            if name := foreign(str(attribute.value), 100):
                return name
    return None


def _redirected(answer: Answer, shown: str) -> TransportError:
    """Return the sentence for a redirect."""
    location = answer.headers.get("location", "")
    try:
        target = urls.parse_url(location.partition("#")[0])
        where = f"to {target.scheme}://{target.authority}"
    except ValueError:
        authority = location[2:].partition("/")[0] if location.startswith("//") else ""
        where = f"to {foreign(authority.rpartition('@')[2], 100)}" if authority else "elsewhere on the same host"
    return TransportError(
        f"{answer.host} redirects {where if location else 'without saying where to'}, and no redirect is followed "
        f"({answer.status} for {shown})"
    )


def _proxy_trouble(chain: list[BaseException]) -> str | None:
    """Return what stopped us at the proxy, None when the trouble is beyond it."""
    from requests.exceptions import InvalidProxyURL, InvalidSchema
    from urllib3 import exceptions as urllib3

    if any(isinstance(link, InvalidSchema) for link in chain):
        return "it is a SOCKS proxy, and the package PySocks is not installed"
    if any(isinstance(link, InvalidProxyURL | urllib3.LocationValueError) for link in chain):
        return "that is no address of a proxy"
    if not any(isinstance(link, urllib3.ProxyError) for link in chain):
        return None
    if any(isinstance(link, urllib3.NameResolutionError) for link in chain):
        return _lookup(chain)
    if any(isinstance(link, ConnectionRefusedError) for link in chain):
        return "it refused the connection"
    for link in chain:
        said = str(link)
        if isinstance(link, OSError) and said.startswith("Tunnel connection failed: "):
            return f"it said {foreign(said.removeprefix('Tunnel connection failed: '), 100)}"
    return _system_words(chain)


def _without_password(proxy: str) -> str:
    """Return host and port of a proxy; its user name and password are nobody's business."""
    return foreign(proxy.rpartition("@")[2].rpartition("//")[2].partition("/")[0], 100)


def _lookup(chain: list[BaseException]) -> str:
    """Say why a name was not found."""
    import socket

    again = any(isinstance(link, socket.gaierror) and link.errno == socket.EAI_AGAIN for link in chain)
    return "no name server answers" if again else "no host has that name"


def _system_words(chain: list[BaseException]) -> str:
    """Return what the operating system says: "network is unreachable"."""
    return next((_strerror(link) for link in chain if isinstance(link, OSError) and link.strerror), "no connection")


def _strerror(error: OSError) -> str:
    return foreign(error.strerror or "unreadable").lower()


def _tls_words(chain: list[BaseException]) -> str:
    """Return OpenSSL's reason in words: "wrong version number"."""
    said = (getattr(link, "reason", None) for link in chain)
    reason = next((text for text in said if isinstance(text, str) and text), "the handshake failed")
    return foreign(reason).replace("_", " ").lower()
