"""The real OpenID provider (npm ``oidc-provider``) as a Python object: started, steered and stopped by its process id.

    with OidcProvider() as oidc:                   # itself the plain face; http, RFC statuses
        oidc.issuer, oidc.token_endpoint …         # and oidc.auth0, oidc.tls, oidc.auth0_tls: the other faces
        oidc.approve("WDJB-MJHT", account="ada")   # a person signs in through the provider's own pages
        oidc.fail_next("token", status=502, body="<html>")
        oidc.counts()["refresh_token"]

A face is a provider of its own (issuer, port, clients, sessions, counts); four of them share one process:

    plain       http, issuer without a final slash, the statuses of the RFCs
    auth0       http, issuer with a final slash, Auth0's paths, statuses and words; ``audience`` required of machines
    tls         plain over https        auth0_tls   auth0 over https; both under ``ca_file``, which nothing else trusts

An https face has a second port, ``mtls``, which asks clients for a certificate (RFC 8705): the metadata name its
addresses as ``mtls_endpoint_aliases``. ``authority`` issues what it trusts.

An endpoint, in counts and faults, is ``discovery``, ``jwks``, ``authorization``, ``device_authorization``, ``token``,
``revocation``, ``introspection``, ``userinfo`` or ``pushed_authorization_request``; a token request also counts, and
can be made to fail, as the last word of its grant type: ``authorization_code``, ``device_code``, ``refresh_token``,
``client_credentials``, and of Auth0's faces ``password`` and ``password-realm``.

A browser that comes to the authorization endpoint is ada and agrees to everything, unless ``configure(pages=True)``
shows it a sign-in page and a page that asks for consent, whose parts have the ids ``username``, ``password``,
``sign-in``, ``scopes``, ``allow`` and ``cancel``. The plain faces give ``offline_access`` only where ``prompt=consent``
is asked for as well (OpenID Connect Core §11), Auth0's always. A public client has to use PKCE, which is the
provider's own default, and every callback names its ``iss`` (RFC 9207).

The device answer carries ``interval`` 1, and an early poll gets slow_down; from then on the provider wants 5 s more of
that client (RFC 8628 §3.5). ``configure`` changes that. JWT access tokens come with ``audience`` or ``resource`` (any
absolute URI whose host does not begin with ``unknown``), opaque ones without.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import msgspec
import requests

from integration.servers.lifecycle import Started
from integration.servers.tls import Authority

HERE = Path(__file__).parent / "oidc_provider"
INSTALL_DEADLINE = 300.0  # seconds; npm on a slow line
START_DEADLINE = 30.0  # seconds; half a second where nothing else runs
START_TRIES = 3  # node 20 may stand still for ever at its start, once in some hundred times

# Client ids that every face knows; odd characters are there to break whoever does not encode them.
CLI = "cli"  # a person's: public, device flow, refresh tokens that rotate
CLI_SHORT = "cli-short"  # the same, its access and ID tokens live OIDC_SHORT_TTL (4) seconds
CLI_NO_REFRESH = "cli-no-refresh"  # the same, never given a refresh token
CLI_CONFIDENTIAL = "cli-confidential"  # the same, with ODD_SECRET as client_secret_basic
CLI_BROWSER = "cli-browser"  # public; code flow, device flow, refresh tokens; /callback on any loopback port
CLI_BROWSER_CONFIDENTIAL = "cli-browser-confidential"  # the same, with ODD_SECRET as client_secret_basic
CLI_PASSWORD = "cli-password"  # public; Auth0's faces: password, password-realm, device flow, refresh tokens
CLI_PASSWORD_CONFIDENTIAL = "cli-password-confidential"  # the same but for the device flow; ODD_SECRET as post
M2M_BASIC = "m2m-basic:odd/id"  # a machine's: client_secret_basic and nothing else, ODD_SECRET
M2M_POST = "m2m-post:odd/id"  # a machine's: client_secret_post and nothing else, ODD_SECRET
M2M_SHORT = "m2m-short"  # client_secret_basic with SHORT_SECRET; its tokens live 4 seconds
ODD_SECRET = "p%c+r t&=/e"
SHORT_SECRET = "short-secret"

AUDIENCE = "https://kubernetes.example.com"  # what the tests' API server calls itself

# People whom the pages and the password grants know: NAME or NAME@example.com, all with the same password.
PASSWORD = "correct horse battery staple"
CONNECTION = "Username-Password-Authentication"  # the realm of ADA and of those who are refused
ADA = "ada@example.com"
BOB = "bob@example.com"  # in the realm "employees"
MFA = "mfa@example.com"  # 403 mfa_required
BLOCKED = "blocked@example.com"  # 403 unauthorized
LOCKED = "locked@example.com"  # 429 too_many_attempts

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


T = TypeVar("T")


class ProviderError(Exception):
    """The provider could not be installed or started, or refused what a test asked of its controls."""


class Recorded(msgspec.Struct, frozen=True):
    """A request that a client made, and what came of it."""

    at: float  # seconds since the epoch, on arrival
    endpoint: str
    method: str
    grant_type: str  # its last word: device_code, refresh_token …; empty but for the token endpoint
    authentication: str  # client_secret_basic, _post, _jwt, private_key_jwt or none
    client_id: str | None
    resource: list[str]  # all that were sent (RFC 8707 §2); of the others ``fields`` has the last one
    fields: dict[str, str]  # the form, secrets and all
    headers: dict[str, str]
    status: int
    error: str | None  # the OAuth error code
    certificate: str | None = None  # SHA-256 (hex) of what the client has shown


class Issued(msgspec.Struct, frozen=True):
    """An answer 200 of the token or the device authorization endpoint."""

    at: float
    endpoint: str
    grant_type: str
    client_id: str | None
    access_token: str | None = None
    refresh_token: str | None = None
    id_token: str | None = None
    expires_in: int | None = None
    scope: str | None = None
    device_code: str | None = None
    user_code: str | None = None
    verification_uri: str | None = None
    verification_uri_complete: str | None = None

    @property
    def secrets(self) -> list[str]:
        """Return what of this must never be printed but as the answer."""
        return [s for s in (self.access_token, self.refresh_token, self.id_token, self.device_code) if s]


class RefreshToken(msgspec.Struct, frozen=True):
    """A refresh token that the provider remembers, spent ones too."""

    refresh_token: str
    account: str
    client_id: str
    rotations: int
    honoured: bool  # neither spent, expired nor revoked


class _FaceRecord(msgspec.Struct, frozen=True):
    issuer: str
    routes: dict[str, str]
    mtls: str


class _Ready(msgspec.Struct, frozen=True):
    admin: str
    faces: dict[str, _FaceRecord]


class Face:
    """One issuer of the provider, and the controls of it that only tests have."""

    def __init__(self, name: str, *, ca_file: str | None = None) -> None:
        self.name = name
        self.ca_file = ca_file  # PEM, absolute; None for http
        self.issuer = ""  # known once the provider runs
        self.mtls = ""  # https://127.0.0.1:PORT of the port that asks for client certificates; "" for http
        self._routes: dict[str, str] = {}
        self._admin = ""
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor ~/.netrc on the way to loopback

    def _connect(self, ready: _Ready) -> None:
        record = ready.faces[self.name]
        self.issuer, self._routes, self._admin = record.issuer, record.routes, ready.admin
        self.mtls = record.mtls

    def _close(self) -> None:
        self._session.close()

    def url(self, endpoint: str) -> str:
        """Return the address of an endpoint; also ``discovery`` and ``code_verification``, where a person goes."""
        path = "/.well-known/openid-configuration" if endpoint == "discovery" else self._routes[endpoint]
        return self.issuer.rstrip("/") + path

    @property
    def host(self) -> str:
        """Return ``127.0.0.1:PORT``, as messages name the provider."""
        return self.issuer.split("://")[1].rstrip("/")

    @property
    def token_endpoint(self) -> str:
        """Return the address that its metadata gives for tokens."""
        return self.url("token")

    @property
    def device_authorization_endpoint(self) -> str:
        """Return the address that its metadata gives for user codes."""
        return self.url("device_authorization")

    @property
    def revocation_endpoint(self) -> str:
        """Return the address that its metadata gives for revocation."""
        return self.url("revocation")

    @property
    def jwks_uri(self) -> str:
        """Return the address that its metadata gives for keys."""
        return self.url("jwks")

    def _control(self, operation: str, returns: type[T], **arguments: Any) -> T:
        answer = self._session.post(f"{self._admin}/{self.name}/{operation}", json=arguments, timeout=30)
        if answer.status_code != 200:
            raise ProviderError(f"{operation}: {answer.json()['error']}")
        return msgspec.json.decode(answer.content, type=returns)

    # --- people ---

    def approve(self, user_code: str, account: str = "ada") -> None:
        """Sign in as ``account`` (e-mail ACCOUNT@example.com) and let the device in; ProviderError for a dead code."""
        self._control("approve", Any, user_code=user_code, account=account)

    def deny(self, user_code: str) -> None:
        """Press "abort" on the page that confirms the code."""
        self._control("deny", Any, user_code=user_code)

    def pending(self) -> list[str]:
        """Return the user codes that nobody has answered yet."""
        return self._control("pending", list[str])

    def wait_for_user_code(self, timeout: float = 60.0) -> str:
        """Return the only pending user code, as soon as there is one; for clients whose prompt cannot be read."""
        deadline = time.monotonic() + timeout
        while not (codes := self.pending()):
            if time.monotonic() > deadline:
                raise ProviderError(f"nobody asked for a user code within {timeout} s")
            time.sleep(0.02)
        if len(codes) > 1:
            raise ProviderError(f"{len(codes)} user codes are pending where one was expected")
        return codes[0]

    def expire_device_code(self, user_code: str) -> None:
        """Let a code be too old from now on."""
        self._control("expire_device_code", Any, user_code=user_code)

    # --- what clients did ---

    def catch_up(self) -> None:
        """Wait until the provider has begun with all that has reached it: later connections are accepted later."""
        verify: str | bool = True if self.ca_file is None else self.ca_file
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(2):
                session.get(self.url("jwks"), headers={"Connection": "close"}, verify=verify, timeout=60)

    def counts(self) -> dict[str, int]:
        """Return how many requests each endpoint and grant had; an endpoint nobody asked is absent."""
        return self._control("counts", dict[str, int])

    def reset_counts(self) -> None:
        """Forget counts, recorded requests and issued tokens."""
        self._control("reset_counts", Any)

    def requests(self, endpoint: str | None = None) -> list[Recorded]:
        """Return the requests since the last reset, oldest first; of one endpoint or grant, where named."""
        found = self._control("requests", list[Recorded])
        return [r for r in found if endpoint is None or endpoint in (r.endpoint, r.grant_type)]

    def issued(self, grant_type: str | None = None) -> list[Issued]:
        """Return the successful answers since the last reset, oldest first; of one grant, where named."""
        found = self._control("issued", list[Issued])
        return [i for i in found if grant_type is None or i.grant_type == grant_type]

    def secrets(self) -> set[str]:
        """Return every token and device code issued since the last reset: none may show up in a log."""
        return {secret for answer in self.issued() for secret in answer.secrets}

    # --- refresh tokens ---

    def honoured(self, refresh_token: str) -> bool:
        """Say whether a refresh with it would succeed now; does not spend it."""
        return self._control("honoured", bool, refresh_token=refresh_token)

    def refresh_tokens(self, *, live: bool = True) -> list[RefreshToken]:
        """Return the refresh tokens that are still honoured, or all that are remembered."""
        found = self._control("refresh_tokens", list[RefreshToken])
        return [token for token in found if token.honoured or not live]

    def revoke_grants(self, account: str | None = None) -> int:
        """End every sign-in (of one account): refresh tokens are refused from now on. Return how many."""
        return self._control("revoke_grants", int, account=account)

    # --- trouble ---

    def fail_next(
        self,
        endpoint: str,
        *,
        times: int | None = 1,
        status: int | None = None,
        body: str | Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        lose: bool = False,
    ) -> None:
        """Make the next ``times`` answers of an endpoint (or grant) fail; None: until ``clear_faults`` or a reset.

        With ``status`` the provider never sees the request: ``body`` is sent, as HTML if a string, else as JSON.
        Without, it is answered as ever, after ``delay`` seconds. ``lose`` does what was asked (a code or a refresh
        token is spent) and then closes the connection without an answer. Several faults queue up.
        """
        fault: dict[str, object] = {"endpoint": endpoint, "times": times, "delay": delay, "lose": lose}
        if status is not None:
            fault |= {"status": status, "body": body, "headers": dict(headers or {})}
        self._control("fail", Any, **fault)

    def clear_faults(self) -> None:
        """Let every endpoint work again."""
        self._control("clear_faults", Any)

    def rotate_keys(self, *, keep_old: bool = True, algorithm: str = "RS256", jwks: str | None = None) -> list[str]:
        """Sign with new keys from now on and return their key ids; without ``keep_old`` the JWKS drops the others.

        ``algorithm`` (RS256 or ES256) is that of ID tokens, and the only one that the metadata name; ``jwks`` is a new
        path for the keys, at the old one is nothing any more. Both are undone by the next reset.
        """
        return self._control("rotate_keys", list[str], keep_old=keep_old, algorithm=algorithm, jwks=jwks)

    # --- settings ---

    def configure(
        self, client_id: str | None = None, **settings: float | bool | str | list[str] | dict[str, Any] | None
    ) -> None:
        """Change settings until the next reset.

        For all clients, or for one: ``access_token_ttl``, ``id_token_ttl``, ``refresh_token_ttl``,
        ``device_code_ttl`` (whole seconds), ``pages`` (True: a browser is shown pages with forms),
        ``multi_resource`` (the audiences that a refresh may be for beside its sign-in's; another one is ignored and
        the old one's token comes, as Auth0 does it; None: none on Auth0's faces, while the others obey RFC 8707 §2.2
        and refuse what the sign-in did not ask for). For all only:
        ``interval`` (seconds, None sends none), ``enforce_interval`` (False: never slow_down), ``date_offset``
        (seconds that the Date header is ahead), ``default_connection`` (None: Auth0's ``password`` has none),
        ``id_token_algorithms`` (what ID tokens may be signed with), ``require_par`` and ``require_jar`` (True:
        authorization requests are to be pushed, or signed, by everybody), ``platform`` (whose tokens are taken for
        the grants JWT_BEARER and TOKEN_EXCHANGE: its ``issuer``, and its ``keys`` as a JWKS has them).
        """
        arguments: dict[str, Any] = dict(settings)
        self._control("configure", Any, client_id=client_id, **arguments)

    def add_client(
        self,
        client_id: str,
        *,
        client_secret: str | None = None,
        authentication: Literal[
            "none",
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
        ] = "none",
        grant_types: Sequence[str] = (DEVICE_CODE_GRANT, "refresh_token"),
        **metadata: Any,
    ) -> None:
        """Register a client, or change one, until the next reset; more of its metadata is RFC 7591's.

        Without ``redirect_uris`` it has no code flow; with them it is a native one, as far as nothing else is said.
        """
        if "redirect_uris" in metadata:
            metadata = {"application_type": "native", "response_types": ["code"], **metadata}
        metadata = {"response_types": [], "redirect_uris": [], **metadata}
        metadata |= {"client_id": client_id, "token_endpoint_auth_method": authentication}
        metadata["grant_types"] = list(grant_types)
        if client_secret is not None:
            metadata["client_secret"] = client_secret
        self._control("add_client", Any, **metadata)

    def reset(self) -> None:
        """Forget sign-ins, counts, faults and settings; keys stay as they are."""
        self._control("reset", Any)


class OidcProvider(Started, Face):
    """The process with its four faces; itself the plain one."""

    def __init__(self, *, short_ttl: int = 4) -> None:
        super().__init__("plain")
        self._folder = Path(tempfile.mkdtemp(prefix="oidc-provider-"))
        self.authority = Authority(self._folder)
        ca_file = str(self.authority.ca_file)
        self.auth0 = Face("auth0")
        self.tls = Face("tls", ca_file=ca_file)
        self.auth0_tls = Face("auth0_tls", ca_file=ca_file)
        self.faces = (self, self.auth0, self.tls, self.auth0_tls)
        self._short_ttl = short_ttl
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def certificate(self) -> Path:
        """Return the file with the certificate of the https faces, once they run."""
        return self._folder / "server.pem"

    @property
    def pid(self) -> int:
        """Return the process id of node."""
        assert self._process is not None, "the provider is not running"
        return self._process.pid

    def start(self) -> Self:
        """Install what is missing, start node and wait until it listens; ProviderError says what it wrote."""
        install()
        certificate, key = self.authority.issue("server")
        environ = {
            "PATH": os.environ["PATH"],
            "OIDC_TLS_CERT": str(certificate),
            "OIDC_TLS_KEY": str(key),
            "OIDC_TLS_CA": str(self.authority.ca_file),
            "OIDC_SHORT_TTL": str(self._short_ttl),
        }
        try:
            ready = self._launch(environ)
        except BaseException:
            self.stop()
            raise
        for face in self.faces:
            face._connect(ready)
        return self

    def _launch(self, environ: dict[str, str]) -> _Ready:
        for tries_left in reversed(range(START_TRIES)):
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    ["node", "server.mjs"],
                    cwd=HERE,
                    env=environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
            try:
                return self._ready(self._process)
            except ProviderError:
                if not tries_left:
                    raise
                self._end()
        raise AssertionError("unreachable")

    @property
    def log(self) -> Path:
        """Return the file with what node wrote to stderr."""
        return self._folder / "stderr.log"

    def _ready(self, process: subprocess.Popen[bytes]) -> _Ready:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], START_DEADLINE)
        line = process.stdout.readline() if readable else b""
        if not line:
            raise ProviderError(f"the provider did not start: {self.log.read_text()[-2000:]}")
        return msgspec.json.decode(line, type=_Ready)

    def stop(self) -> None:
        """End the process that ``start`` began, by its id, and remove its folder."""
        self._end()
        for face in self.faces:
            face._close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def reset_all(self) -> None:
        """Reset every face."""
        for face in self.faces:
            face.reset()


def install() -> None:
    """Run ``npm ci`` in integration/servers/oidc_provider unless node_modules is what package-lock.json asks for.

    Two test runs may come at once: the first works, the second waits for the lock and finds everything done.
    """
    lock_file = HERE / "package-lock.json"
    wanted = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".installed"  # npm removes it with the rest before it begins
    with lock_file.open("rb") as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        try:
            done = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_DEADLINE,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProviderError(f"npm ci: {error}") from None
        if done.returncode != 0:
            raise ProviderError(f"npm ci: exit {done.returncode}: {done.stderr[-2000:]}")
        stamp.write_text(wanted)
