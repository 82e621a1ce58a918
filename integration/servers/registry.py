"""Registries behind real and fake doors: what docker, podman and skopeo log in to.

    service = TokenService(folder, accept)       # a token service (Distribution's token specification) in front of …
    with Registry(folder, service=service)       # … a real docker-registry that believes it
    with Registry(folder, users={"ada": "pw"})   # or one with htpasswd
    with FakeDaemon() as daemon:                 # what a docker daemon is sent: X-Registry-Auth, X-Registry-Config
        docker("pull", …, env={"DOCKER_HOST": daemon.address}); daemon.received

``accept(username, password)`` returns who that is, or None: ``provider_tokens(face, audience)`` accepts what the
provider issued and nothing else. All listen on loopback and keep what they have in ``folder``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import jwt
import msgspec
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from integration.clients.real import need
from integration.servers.oidc import Face
from integration.servers.tls import Authority

START_DEADLINE = 60.0  # seconds
SERVICE = "registry.test"

Accept = Callable[[str, str], str | None]


def provider_tokens(face: Face, audience: str) -> Accept:
    """Return what accepts an access token (a JWT) of the provider as password, whatever the user name."""

    def accept(username: str, password: str) -> str | None:
        assert username
        try:
            kid = jwt.get_unverified_header(password)["kid"]
            keys = requests.get(face.jwks_uri, timeout=60, verify=face.ca_file or True).json()
            key = jwt.PyJWKSet.from_dict(keys)[kid]
            claims = jwt.decode(password, key, algorithms=["RS256", "ES256"], audience=audience, issuer=face.issuer)
        except (jwt.PyJWTError, KeyError):
            return None
        return str(claims["sub"])

    return accept


class Knock(msgspec.Struct, frozen=True):
    """A request to the token service, and whether it was let in."""

    username: str | None  # None: no credentials
    password: str | None
    grant_type: str | None  # of a POST (OAuth 2): password or refresh_token
    scope: list[str]
    subject: str | None  # None: refused


class TokenService:
    """Issues the short-lived tokens that a registry trusts, to whoever ``accept`` lets in.

    With ``offline`` it gives a refresh token to who asks for one, which docker keeps as an identity token.
    """

    def __init__(self, folder: Path, accept: Accept, *, offline: bool = False) -> None:
        folder.mkdir()
        authority = Authority(folder)
        certificate, key = authority.issue("token-service")
        self.ca_file = authority.ca_file
        self.accept = accept
        self.offline = offline
        self.knocks: list[Knock] = []
        self.refresh_tokens: dict[str, str] = {}  # token → subject
        self._key = load_pem_private_key(key.read_bytes(), None)
        der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
        self._x5c = [base64.b64encode(der).decode()]
        self._server = _serve(self)
        self.realm = f"http://127.0.0.1:{self._server.server_port}/token"

    def handle(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, object]:
        """Answer GET (Basic) and POST (RFC 6749) of the token endpoint."""
        fields = parse_qs(urlsplit(request.path).query)
        grant_type = None
        username, password = _basic(request.headers.get("Authorization", ""))
        if request.command == "POST":
            fields = parse_qs(body.decode())
            grant_type = fields["grant_type"][0]
            username, password = (fields.get(name, [""])[0] for name in ("username", "password"))
        if grant_type == "refresh_token":
            subject = self.refresh_tokens.get(fields["refresh_token"][0])
        else:
            subject = self.accept(username, password) if username and password else None
        scope = [word for value in fields.get("scope", []) for word in value.split()]
        self.knocks.append(Knock(username, password, grant_type, scope, subject))
        if subject is None:
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        token = self._token(subject, fields["service"][0], scope)
        answer: dict[str, object] = {"token": token, "access_token": token, "expires_in": 300, "scope": " ".join(scope)}
        wanted = fields.get("offline_token") == ["true"] or fields.get("access_type") == ["offline"]
        if self.offline and wanted:
            refresh_token = secrets.token_urlsafe()
            self.refresh_tokens[refresh_token] = subject
            answer["refresh_token"] = refresh_token
        return 200, answer

    def _token(self, subject: str, service: str, scope: list[str]) -> str:
        now = int(time.time())
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (re.fullmatch(r"(.+?):(.+):(.+)", word).groups() for word in scope)  # type: ignore[union-attr]
        ]
        claims = {"iss": SERVICE, "sub": subject, "aud": service, "nbf": now - 10, "iat": now, "exp": now + 300}
        headers = {"x5c": self._x5c}
        return jwt.encode(
            {**claims, "jti": secrets.token_hex(8), "access": access},
            self._key,  # type: ignore[arg-type]
            algorithm="ES256",
            headers=headers,
        )

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    username, _, password = base64.b64decode(value).decode().partition(":")
    return username, password


class Registry:
    """A real docker-registry on a free port, started and stopped by its process id."""

    def __init__(
        self, folder: Path, *, service: TokenService | None = None, users: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir()
        self._folder = folder
        self._service = service
        self._users = users or {}
        self._process: subprocess.Popen[str] | None = None
        self.host = ""  # 127.0.0.1:PORT, once it runs

    def _auth(self) -> dict[str, object]:
        if self._service is not None:
            return {
                "token": {
                    "realm": self._service.realm,
                    "service": SERVICE,
                    "issuer": SERVICE,
                    "rootcertbundle": str(self._service.ca_file),
                }
            }
        path = self._folder / "htpasswd"
        lines = [
            subprocess.run(
                [need("htpasswd"), "-niB", user], input=password, capture_output=True, text=True, check=True
            ).stdout.strip()
            for user, password in self._users.items()
        ]
        path.write_text("\n".join(lines) + "\n")
        return {"htpasswd": {"realm": "test", "path": str(path)}}

    def __enter__(self) -> Self:
        config = self._folder / "config.yml"
        settings = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "data")}},
            "http": {"addr": "127.0.0.1:0", "secret": secrets.token_hex()},
            "auth": self._auth(),
        }
        config.write_text(json.dumps(settings))  # JSON is YAML
        self._process = subprocess.Popen(
            [need("docker-registry"), "serve", str(config)],
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        log: list[str] = []
        for line in self._process.stderr:
            log.append(line)
            if found := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
                self.host = found[1]
                break
        assert self.host, f"docker-registry did not start: {''.join(log)}"
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)  # a full pipe would stop it
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._reader.join(30)
        self._process.stderr.close()
        if self._service is not None:
            self._service.close()


class Sent(msgspec.Struct, frozen=True):
    """A request of docker to its daemon that may carry credentials.

    Without ``serveraddress``, which docker before 23 does not send and which is the registry's name again.
    """

    path: str
    auth: dict[str, Any] | None  # X-Registry-Auth, decoded; None: there was none, or it was empty
    config: dict[str, Any] | None  # X-Registry-Config, decoded


class FakeDaemon:
    """Answers /_ping and /auth, and 500 to the rest; remembers what came with credentials or could have.

    /auth logs in to a registry on loopback as a real daemon does, without TLS.
    """

    def __init__(self) -> None:
        self.received: list[Sent] = []
        self._server = _serve(self)
        self.address = f"tcp://127.0.0.1:{self._server.server_port}"

    def handle(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, object]:
        """Answer as a daemon that can do nothing but log in."""
        path = re.sub(r"^/v1\.\d+", "", urlsplit(request.path).path)
        if path == "/_ping":
            return 200, "OK"
        if path == "/auth":
            return _log_in(**json.loads(body))
        if path.startswith(("/images/", "/build")):
            auth, config = (_header(request.headers.get(f"X-Registry-{name}")) for name in ("Auth", "Config"))
            for one in (auth or {}, *(config or {}).values()):
                one.pop("serveraddress", None)
            self.received.append(Sent(path, auth, config))
        return 500, {"message": "this daemon is a fake"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _log_in(username: str, serveraddress: str, password: str = "", **_: str) -> tuple[int, object]:
    """Log in by the door that the registry shows: Basic, or a token service (Bearer)."""
    url = f"http://{serveraddress}/v2/"
    shown = requests.get(url, timeout=60).headers["WWW-Authenticate"]
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', shown))
    fields: dict[str, str] = {}
    if shown.startswith("Bearer "):
        url = parameters["realm"]
        fields = {"service": parameters["service"], "account": username, "offline_token": "true", "client_id": "docker"}
    answer = requests.get(url, params=fields, auth=(username, password), timeout=60)
    if answer.status_code != 200:
        return 401, {"message": f"login attempt to {url} failed with status: {answer.status_code}"}
    return 200, {"Status": "Login Succeeded", "IdentityToken": answer.json().get("refresh_token", "") if fields else ""}


def _header(value: str | None) -> dict[str, Any] | None:
    if not value:
        return None
    decoded: dict[str, Any] | None = json.loads(base64.urlsafe_b64decode(value))
    return decoded or None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: TokenService | FakeDaemon


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        body = self._body()
        status, answer = self.server.owner.handle(self, body)
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Api-Version", "1.43")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_POST = do_HEAD = do_GET  # noqa: N815 - http.server's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
        """Say nothing."""


def _serve(owner: TokenService | FakeDaemon) -> _Server:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.owner = owner
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def write_image(folder: Path) -> str:
    """Write a smallest image as an OCI layout, and return it as skopeo names it: oci:FOLDER:1."""
    import hashlib

    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    layer = bytes(1024)  # an empty tar file
    layer_digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    }
    image = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{image}.manifest.v1+json",
        "config": {"mediaType": f"{image}.config.v1+json", **blob(json.dumps(config).encode())},
        "layers": [{"mediaType": f"{image}.layer.v1.tar", **blob(layer)}],
    }
    entry = {"mediaType": f"{image}.manifest.v1+json", **blob(json.dumps(manifest).encode())}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci:{folder}:1"
