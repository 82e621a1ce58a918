"""An HTTP provider on loopback that answers what a script tells it to, however wrong, and remembers who asked for what.

    with HostileProvider() as provider:
        provider.serve_metadata()                           # discovery at /.well-known/openid-configuration
        provider.serve_keys(signing_key("RS256", "k1"))     # the JWKS at /jwks
        provider.script("/token", oauth_error("authorization_pending", 403), html(502), answer({"access_token": "…"}))
        …                                                   # provider.issuer, provider.url + "/token"
        assert provider.to("/token")[0].fields == [("grant_type", "…"), …]

``script(path, *behaviours)`` says how a path answers: each request takes the next behaviour, the last one repeats for
ever; a new script for the path replaces the old one. Unscripted paths get ``provider.fallback`` (a JSON 404). A
behaviour is a function of one ``Exchange``; the ones here are

    answer(body, status=200, headers=…)  a JSON body for anything but bytes and str, which are sent as they are
    oauth_error(code, status=400, description=…, **more)    RFC 6749 §5.2
    html(status)            what a gateway says       rate_limited(retry_after)   429, without an OAuth error
    redirect(status, to)    with a Location           empty(status)               no body at all
    half_json()             cut short                 broken_length()             fewer bytes than announced
    garbage()               latin-1, not UTF-8        oversized(size)             a body of that many bytes
    trickle_head()          header bytes, one each 20 ms and no end to them
    trickle_body()          the same after a proper head
    silence()               reads the request and never answers
    reset()                 a TCP reset instead of an answer
    raw(bytes)              exactly these, then close
    tunnel(port)            for CONNECT, scripted under "HOST:PORT": pipe the bytes to a port on loopback

``HostileProvider(tls="good")`` serves https for 127.0.0.1, localhost and provider.test under a CA of its own
(``provider.ca_file``, "Hostile Test CA"; ``provider.certificate`` is the server's file); the other kinds are "expired",
"other-host", "self-signed" and "intermediate" (issued by "Hostile Test Issuer", whose certificate the server sends too
and ``provider.intermediate_file`` holds). ``now`` gives the Date header, in seconds since the epoch.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import select
import shutil
import socket
import ssl
import struct
import tempfile
import threading
import time
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self

Behaviour = Callable[["Exchange"], None]
TLS = Literal["good", "expired", "other-host", "self-signed", "intermediate"]

PACE = 0.02  # seconds between two trickled bytes, and between two looks at a silent connection


class Received:
    """One request as it arrived: header names in lower case, ``fields`` in the order of the form."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.target = target
        split = urllib.parse.urlsplit(target)
        self.path = target if method == "CONNECT" else split.path
        self.query = split.query
        self.headers = headers
        self.body = body
        self.fields = urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        self.at = time.monotonic()
        self.left = threading.Event()  # the client went before it had the whole answer
        self.certificate: bytes | None = None  # that the client has shown (DER)

    def field(self, name: str) -> str | None:
        """Return the one value of a form field, None if it is not there; a repeated field fails."""
        values = [value for key, value in self.fields if key == name]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def __repr__(self) -> str:
        return f"<{self.method} {self.target} {dict(self.fields)}>"


class Exchange:
    """A request and the means to answer it."""

    def __init__(self, provider: HostileProvider, received: Received, connection: socket.socket) -> None:
        self.provider = provider
        self.received = received
        self.connection = connection

    def send(self, data: bytes) -> bool:
        """Send bytes as they are; False when the client has gone."""
        try:
            self.connection.sendall(data)
        except OSError:
            self.received.left.set()
            return False
        return True

    def head(self, status: int, headers: dict[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} Because", f"Date: {formatdate(self.provider.now(), usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send(self.head(status, {"Content-Length": str(len(body)), "Connection": "close", **headers}) + body)

    def hold(self) -> None:
        """Wait until the client goes or the provider closes."""
        while not self.provider.closing.wait(0):
            readable, _, _ = select.select([self.connection], [], [], PACE)
            with contextlib.suppress(OSError):
                if readable and not self.connection.recv(4096):
                    self.received.left.set()
                    return
                continue
            self.received.left.set()
            return


# --- behaviours -------------------------------------------------------------------------------------------------------


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer a JSON body, or bytes or text as they are."""
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    sent = body
    return lambda exchange: exchange.respond(status, {"Content-Type": "application/json", **(headers or {})}, sent)


def oauth_error(code: str, status: int = 400, description: str | None = None, **more: object) -> Behaviour:
    """Answer an OAuth error; ``more`` are further members of the body."""
    body: dict[str, object] = {"error": code, **more}
    if description is not None:
        body["error_description"] = description
    return answer(body, status)


def html(status: int = 502) -> Behaviour:
    """Answer what a gateway says when nobody is behind it."""
    page = f"<!DOCTYPE html>\n<html><head><title>{status} Bad Gateway</title></head><body>nginx</body></html>"
    return answer(page, status, {"Content-Type": "text/html"})


def rate_limited(retry_after: float | str | None, status: int = 429) -> Behaviour:
    """Answer as a rate limiter does: text that is not OAuth, and Retry-After where one is given."""
    headers = {"Content-Type": "text/plain"} | ({} if retry_after is None else {"Retry-After": str(retry_after)})
    return answer("Too many requests. Check the X-RateLimit-Limit header.", status, headers)


def redirect(status: int, to: str) -> Behaviour:
    """Answer a redirect; 307 and 308 ask the client to send its body again."""
    return answer(b"", status, {"Location": to})


def empty(status: int = 200) -> Behaviour:
    """Answer no body at all."""
    return answer(b"", status)


def half_json() -> Behaviour:
    """Answer JSON that stops in the middle."""
    return answer(b'{"access_token": "half-a-tok')


def garbage() -> Behaviour:
    """Answer bytes that are no UTF-8."""
    return answer(b'{"access_token": "caf\xe9-secret"}', headers={"Content-Type": "application/json; charset=utf-8"})


def oversized(size: int = 2 << 20) -> Behaviour:
    """Answer valid JSON of more than ``size`` bytes."""
    return answer({"padding": "x" * size})


def broken_length() -> Behaviour:
    """Announce more bytes than are sent."""
    return lambda exchange: exchange.respond(200, {"Content-Length": "4096"}, b'{"access_token": "secret"}')


def raw(data: bytes) -> Behaviour:
    """Send exactly these bytes and close."""

    def behave(exchange: Exchange) -> None:
        exchange.send(data)

    return behave


def _trickle(exchange: Exchange, first: bytes) -> None:
    exchange.send(first)
    while not exchange.provider.closing.wait(PACE) and exchange.send(b"a"):
        pass


def trickle_head(first: bytes = b"HTTP/1.1 200 OK\r\nX-Endless: ") -> Behaviour:
    """Send ``first`` and then no end of bytes, one at a time."""
    return lambda exchange: _trickle(exchange, first)


def trickle_body() -> Behaviour:
    """Send a proper head, then a body that does not end, a byte at a time."""
    return lambda exchange: _trickle(exchange, exchange.head(200, {"Content-Length": "1000000"}))


def silence() -> Behaviour:
    """Never answer."""
    return lambda exchange: exchange.hold()


def reset() -> Behaviour:
    """Break the connection off with a TCP reset."""

    def behave(exchange: Exchange) -> None:
        exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        exchange.connection.close()

    return behave


def tunnel(port: int) -> Behaviour:
    """Answer CONNECT and pass the bytes on to a port on loopback, whatever host was asked for."""

    def behave(exchange: Exchange) -> None:
        with socket.create_connection(("127.0.0.1", port)) as behind:
            exchange.send(b"HTTP/1.1 200 Connected\r\n\r\n")
            ends = {exchange.connection: behind, behind: exchange.connection}
            while not exchange.provider.closing.wait(0):
                for end in select.select(list(ends), [], [], PACE)[0]:
                    try:
                        data = end.recv(65536)
                        ends[end].sendall(data)
                    except OSError:
                        return
                    if not data:
                        return

    return behave


# --- keys and tokens --------------------------------------------------------------------------------------------------


class SigningKey:
    """A private key that signs ID tokens, and its public half as a JWK (RFC 7517)."""

    def __init__(self, alg: str, kid: str | None, private: Any) -> None:
        self.alg = alg
        self.kid = kid
        self.private = private

    def jwk(self, **changes: object) -> dict[str, object]:
        """Return the public JWK; a change to None leaves the member out."""
        import jwt

        algorithm = jwt.get_algorithm_by_name("EdDSA" if self.alg.startswith("Ed") else self.alg)
        public: dict[str, object] = json.loads(algorithm.to_jwk(self.private.public_key(), as_dict=False))
        public.pop("key_ops", None)
        members = {**public, "kid": self.kid, "alg": self.alg, "use": "sig", **changes}
        return {name: value for name, value in members.items() if value is not None}

    def sign(self, claims: dict[str, object], /, **header: object) -> str:
        """Return a JWT of exactly these claims; ``header`` adds to its header or replaces (``kid=None`` removes)."""
        return self.sign_raw(json.dumps(claims).encode(), **header)

    def sign_raw(self, payload: bytes, /, **header: object) -> str:
        """Return a JWT of what may be no JSON at all."""
        import jwt

        members = {name: value for name, value in {"kid": self.kid, **header}.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about short keys, which are wanted here
            jws = jwt.PyJWS()
            for name in ("Ed25519", "Ed448"):  # RFC 9864; PyJWT has the older name
                jws.register_algorithm(name, jwt.get_algorithm_by_name("EdDSA"))
            return jws.encode(payload, self.private, self.alg, headers=members)


_making = threading.Lock()  # two threads would make two keys of the same name


def signing_key(alg: str = "RS256", kid: str | None = "k1", size: int = 2048) -> SigningKey:
    """Return a key for RS*, PS*, ES*, EdDSA (Ed25519, as is its newer name) or Ed448.

    The same arguments give the same key, another kid gives another key.
    """
    with _making:
        return _key(alg, kid, size)


@functools.cache
def _key(alg: str, kid: str | None, size: int) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if alg[:2] in ("RS", "PS"):
        return SigningKey(alg, kid, rsa.generate_private_key(public_exponent=65537, key_size=size))
    if alg in ("EdDSA", "Ed25519"):
        return SigningKey(alg, kid, ed25519.Ed25519PrivateKey.generate())
    if alg == "Ed448":
        return SigningKey(alg, kid, ed448.Ed448PrivateKey.generate())
    curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    return SigningKey(alg, kid, ec.generate_private_key(curves[alg]))


@functools.cache
def _authority(common_name: str, above: str | None = None) -> tuple[Any, Any]:
    """Return the private key and certificate of a CA, its own or issued by another; one for the whole process."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    signer, issuer = (key, name) if above is None else ((other := _authority(above))[0], other[1].subject)
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1000))
        .not_valid_after(today + datetime.timedelta(days=1000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return key, certificate


def write_certificates(folder: Path, kind: TLS) -> tuple[Path, Path]:
    """Write ca.pem, intermediate.pem and server.pem (key and certificates); return the first and the last."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    root = _authority("Hostile Test CA")
    between = _authority("Hostile Test Issuer", "Hostile Test CA")
    ca_key, ca_certificate = between if kind == "intermediate" else root
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hostile provider")])
    today = datetime.datetime.now(datetime.UTC)
    hosts: list[x509.GeneralName] = [x509.DNSName("other.example")]
    if kind != "other-host":
        hosts = [x509.DNSName("localhost"), x509.DNSName("provider.test")]
        hosts.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    own = kind == "self-signed"
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if own else ca_certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=20))
        .not_valid_after(today + datetime.timedelta(days=-10 if kind == "expired" else 10))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((key if own else ca_key).public_key()), critical=False
        )
        .sign(key if own else ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    ca_file, server_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(root[1].public_bytes(pem))
    (folder / "intermediate.pem").write_bytes(between[1].public_bytes(pem))
    sent = [certificate, *([ca_certificate] if kind == "intermediate" else [])]
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server_file.write_bytes(private + b"".join(one.public_bytes(pem) for one in sent))
    return ca_file, server_file


# --- the server -------------------------------------------------------------------------------------------------------


class HostileProvider:
    """A threaded HTTP server on a free port of 127.0.0.1; a context manager. See the head of this file."""

    def __init__(
        self,
        *,
        tls: TLS | None = None,
        now: Callable[[], float] = time.time,
        clients: Path | None = None,
        version: ssl.TLSVersion | None = None,
    ) -> None:
        """``clients`` is a file of authorities: with it a client has to show a certificate that one has issued.

        ``version`` of TLS is then the newest that is spoken.
        """
        self.now = now
        self.closing = threading.Event()
        self.requests: list[Received] = []
        self.fallback: Behaviour = answer({"message": "nothing here"}, 404)
        self._scripts: dict[str, list[Behaviour]] = {}
        self._lock = threading.Lock()
        self._folder: Path | None = None
        context: ssl.SSLContext | None = None
        if tls is not None:
            self._folder = Path(tempfile.mkdtemp(prefix="hostile-provider-"))
            ca_file, server_file = write_certificates(self._folder, tls)
            self.ca_file = str(ca_file)
            self.intermediate_file = str(self._folder / "intermediate.pem")
            self.certificate = str(server_file)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(server_file)
            if clients is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(clients)
            if version is not None:
                context.maximum_version = version
        self._server = _Server(self, context)
        self.port: int = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'http' if tls is None else 'https'}://{self.host}"
        self.issuer = self.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(PACE,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def script(self, path: str, *behaviours: Behaviour) -> None:
        """Say how ``path`` answers from now on: one behaviour a request, the last one repeats."""
        assert behaviours
        with self._lock:
            self._scripts[path] = list(behaviours)

    def to(self, path: str) -> list[Received]:
        """Return the requests that came to one path, in order."""
        return [received for received in self.requests if received.path == path]

    def serve_metadata(
        self, path: str = "/.well-known/openid-configuration", /, **changes: object
    ) -> dict[str, object]:
        """Script a correct discovery document with ``changes`` to it (None leaves a member out); return it."""
        document: dict[str, object] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "device_authorization_endpoint": f"{self.url}/device/code",
            "revocation_endpoint": f"{self.url}/revoke",
            "jwks_uri": f"{self.url}/jwks",
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            **changes,
        }
        document = {name: value for name, value in document.items() if value is not None}
        self.script(path, answer(document))
        return document

    def serve_keys(self, *keys: SigningKey | dict[str, object]) -> None:
        """Script the JWKS at /jwks; rotation is another call."""
        members = [key.jwk() if isinstance(key, SigningKey) else key for key in keys]
        self.script("/jwks", answer({"keys": members}))

    def claims(self, client_id: str, /, **changes: object) -> dict[str, object]:
        """Return the claims of a correct ID token, valid for an hour from ``now``; a change to None leaves one out."""
        issued = int(self.now())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": "ada",
            "aud": client_id,
            "iat": issued,
            "exp": issued + 3600,
            "email": "ada@example.com",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def behaviour(self, received: Received) -> Behaviour:
        """Record a request and return how to answer it."""
        with self._lock:
            self.requests.append(received)
            script = self._scripts.get(received.path)
            if script is None:
                return self.fallback
            return script.pop(0) if len(script) > 1 else script[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined when the provider closes, so that no socket outlives its test
    request_queue_size = 128

    def __init__(self, provider: HostileProvider, context: ssl.SSLContext | None) -> None:
        self.provider = provider
        self.context = context
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        socket.socket.bind(self.socket, self.server_address)  # HTTPServer's own asks the name server for our name
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        if self.server.context is not None:
            plain = self.request
            self.request = self.server.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            try:
                self.request.do_handshake()
            except OSError:
                self.request.close()
                raise
        super().setup()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        if self.server.context is not None:
            self.request.close()

    def handle_one_request(self) -> None:
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            return
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            assert name.lower() not in headers, f"{name} was sent twice"
            headers[name.lower()] = value
        body = self.rfile.read(int(headers.get("content-length", "0")))
        received = Received(self.command, self.path, headers, body)
        if isinstance(self.connection, ssl.SSLSocket):
            received.certificate = self.connection.getpeercert(binary_form=True)
        self.server.provider.behaviour(received)(Exchange(self.server.provider, received, self.connection))
        self.close_connection = True  # parse_request keeps it for a CONNECT, which Python 3.12 sends as HTTP/1.1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Hold a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
