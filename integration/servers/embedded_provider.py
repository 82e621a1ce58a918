"""A small OAuth 2.0 and OpenID Connect provider for the demo and for quick tests: loopback only, nothing kept.

It speaks device authorization with an approval page (RFC 8628), refresh with rotation and reuse detection (RFC 6749 §6,
RFC 9700 §4.14.2), client credentials (RFC 6749 §4.4), revocation (RFC 7009), metadata and JWKS (RFC 8414, OpenID
Connect Discovery). There is one person, ada@example.com, and two clients: one that is public and signs her in, and one
with a secret that acts for itself. Whoever opens the approval page is taken to be her: its tokens are worth nothing.

``Provider`` is the protocol: a request in, a reply out, no sockets. ``EmbeddedProvider`` puts it on a free port.
``python -m integration.servers.embedded_provider`` prints the address and runs until it is told to stop or its parent
is gone.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import html
import json
import os
import secrets
import signal
import socketserver
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from integration.servers.lifecycle import Started

DEVICE_CLIENT = "demo-kubectl"  # public; signs a person in
MACHINE_CLIENT = "demo-machine"  # confidential; acts for itself
SECRET_VARIABLE = "EMBEDDED_PROVIDER_CLIENT_SECRET"  # the machine client's secret, for main()

EMAIL = "ada@example.com"
PERSON = {"sub": "demo|ada", "name": "Ada", "email": EMAIL, "email_verified": True}
SCOPES = ("openid", "profile", "email", "offline_access")
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 §6.1: no vowels, so that no word is made
BODY_LIMIT = 64 * 1024

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Reply:
    """What goes back: a status, a body, and headers beyond the usual ones."""

    def __init__(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        self.status = status
        self.body = body
        self.headers = {"Content-Type": content_type, "Cache-Control": "no-store", "Pragma": "no-cache"} | headers


def as_json(document: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(document).encode(), "application/json", **headers)


class Refused(Exception):
    """An OAuth error (RFC 6749 §5.2, RFC 8628 §3.5, RFC 7009 §2.2.1)."""

    def __init__(self, error: str, description: str, status: int = 400, **headers: str) -> None:
        super().__init__(error)
        self.reply = as_json({"error": error, "error_description": description}, status, **headers)


class Grant:
    """What one sign-in allowed; every refresh token that descends from it, and none once it is revoked."""

    def __init__(self, client_id: str, scope: tuple[str, ...], audience: tuple[str, ...], auth_time: float) -> None:
        self.client_id = client_id
        self.scope = scope
        self.audience = audience
        self.auth_time = auth_time
        self.refresh_token: str | None = None  # the only one that is still good
        self.revoked = False


class DeviceCode:
    """A device authorization from its request to its token (RFC 8628 §3)."""

    def __init__(
        self, client_id: str, scope: tuple[str, ...], audience: tuple[str, ...], expires_at: float, interval: float
    ) -> None:
        self.client_id = client_id
        self.scope = scope
        self.audience = audience
        self.expires_at = expires_at
        self.interval = interval
        self.next_poll = 0.0
        self.answer: bool | None = None  # what the person said
        self.grant: Grant | None = None  # set when the code has been spent


class Settings(TypedDict, total=False):
    """What a provider can be made with; durations in seconds."""

    client_secret: str | None
    token_lifetime: float
    code_lifetime: float
    interval: float
    clock: Callable[[], float]
    key: rsa.RSAPrivateKey


class Provider:
    """The protocol. Every public method may be called from any thread; times are seconds since the epoch."""

    def __init__(
        self,
        *,
        client_secret: str | None = None,
        token_lifetime: float = 3600,
        code_lifetime: float = 900,
        interval: float = 5,
        clock: Callable[[], float] = time.time,
        key: rsa.RSAPrivateKey | None = None,
    ) -> None:
        self.issuer = ""  # known when the port is; ends with a slash, as Auth0's does
        self.client_secret = client_secret or secrets.token_urlsafe(24)
        self.token_lifetime = token_lifetime
        self.code_lifetime = code_lifetime
        self.interval = interval
        self.counters: Counter[str] = Counter()  # requests by endpoint, tokens by grant; the page is counted apart
        self._clock = clock
        self._lock = threading.RLock()
        self._key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._jwk: dict[str, Any] = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._kid = hashlib.sha256(str(self._jwk["n"]).encode()).hexdigest()[:16]
        self._codes: dict[str, DeviceCode] = {}  # by device_code
        self._user_codes: dict[str, str] = {}  # user_code without its dash -> device_code
        self._refresh_tokens: dict[str, Grant] = {}  # the spent ones too: a spent one that comes back is theft
        self._access_tokens: set[str] = set()

    # --- the person -------------------------------------------------------------------------------------------------

    def pending(self) -> list[str]:
        """Return the user codes that wait for the person."""
        with self._lock:
            return [
                self._shown(code)
                for code, device_code in self._user_codes.items()
                if self._waits(self._codes[device_code])
            ]

    def approve(self, user_code: str) -> bool:
        """Let the person allow it; False when no such code waits."""
        return self._decide(user_code, allow=True)

    def deny(self, user_code: str) -> bool:
        """Let the person refuse it; False when no such code waits."""
        return self._decide(user_code, allow=False)

    def _decide(self, user_code: str, *, allow: bool) -> bool:
        with self._lock:
            code = self._by_user_code(user_code)
            if code is None:
                return False
            code.answer = allow
            return True

    def _by_user_code(self, user_code: str) -> DeviceCode | None:
        plain = "".join(c for c in user_code.upper() if c in LETTERS)  # RFC 8628 §6.1: dashes and case do not matter
        code = self._codes.get(self._user_codes.get(plain, ""))
        return code if code is not None and self._waits(code) else None

    def _waits(self, code: DeviceCode) -> bool:
        return code.answer is None and self._clock() < code.expires_at

    @staticmethod
    def _shown(plain: str) -> str:
        return f"{plain[:4]}-{plain[4:]}"

    # --- requests ---------------------------------------------------------------------------------------------------

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request; ``headers`` with lower-case names."""
        url = urlsplit(target)
        routes: dict[str, tuple[str, str, Callable[[], Reply]]] = {
            "/.well-known/openid-configuration": ("GET", "metadata", self._metadata),
            "/.well-known/oauth-authorization-server": ("GET", "metadata", self._metadata),
            "/jwks.json": ("GET", "keys", self._keys),
            "/oauth/device/code": ("POST", "device_authorization", lambda: self._device_authorization(headers, body)),
            "/oauth/token": ("POST", "token", lambda: self._token(headers, body)),
            "/oauth/revoke": ("POST", "revocation", lambda: self._revocation(headers, body)),
            "/demo/state": ("GET", "", self._state),
        }
        if url.path == "/activate" and method in ("GET", "POST"):
            return self._page(method, url.query, headers, body)
        if url.path not in routes:
            return as_json({"error": "not_found"}, 404)
        allowed, name, answer = routes[url.path]
        with self._lock:
            if name:
                self.counters["requests"] += 1
                self.counters[name] += 1
            if method != allowed:
                return as_json({"error": "method_not_allowed"}, 405, Allow=allowed)
            try:
                return answer()
            except Refused as refused:
                return refused.reply

    def _state(self) -> Reply:
        """Tell the demo what it wants to show; not counted, no part of any RFC."""
        return as_json({"counters": dict(self.counters), "pending": self.pending()})

    def _metadata(self) -> Reply:
        base = self.issuer.rstrip("/")
        methods = ["none", "client_secret_basic", "client_secret_post"]
        return as_json(
            {
                "issuer": self.issuer,
                "token_endpoint": f"{base}/oauth/token",
                "device_authorization_endpoint": f"{base}/oauth/device/code",
                "revocation_endpoint": f"{base}/oauth/revoke",
                "jwks_uri": f"{base}/jwks.json",
                "scopes_supported": SCOPES,
                "response_types_supported": [],
                "grant_types_supported": [DEVICE_GRANT, "refresh_token", "client_credentials"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": methods,
                "revocation_endpoint_auth_methods_supported": methods,
                "claims_supported": ["iss", "aud", "exp", "iat", "auth_time", *PERSON],
            }
        )

    def _keys(self) -> Reply:
        return as_json({"keys": [self._jwk | {"kid": self._kid, "use": "sig", "alg": "RS256"}]})

    def _device_authorization(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """RFC 8628 §3.1, §3.2."""
        fields, audience = form(headers, body)
        client_id = self._client(headers, fields)
        if client_id != DEVICE_CLIENT:
            raise Refused("unauthorized_client", "this client signs nobody in")
        device_code = secrets.token_urlsafe(32)
        plain = "".join(secrets.choice(LETTERS) for _ in range(8))
        self._codes[device_code] = DeviceCode(
            client_id, scopes(fields, SCOPES), audience, self._clock() + self.code_lifetime, self.interval
        )
        self._user_codes[plain] = device_code
        page = f"{self.issuer}activate"
        return as_json(
            {
                "device_code": device_code,
                "user_code": self._shown(plain),
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={self._shown(plain)}",
                "expires_in": whole(self.code_lifetime),
                "interval": whole(self.interval),
            }
        )

    def _token(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """RFC 6749 §3.2."""
        fields, audience = form(headers, body)
        client_id = self._client(headers, fields)
        grant_type = fields.get("grant_type")
        if grant_type == DEVICE_GRANT:
            reply = self._device_token(client_id, required(fields, "device_code"))
        elif grant_type == "refresh_token":
            reply = self._refreshed(client_id, required(fields, "refresh_token"), fields)
        elif grant_type == "client_credentials":
            reply = self._client_token(client_id, fields, audience)
        elif grant_type is None:
            raise Refused("invalid_request", "grant_type is missing")
        else:
            raise Refused("unsupported_grant_type", "this provider does not know the grant type")
        self.counters[grant_type.rpartition(":")[2]] += 1
        return reply

    def _device_token(self, client_id: str, device_code: str) -> Reply:
        """RFC 8628 §3.4, §3.5."""
        code = self._codes.get(device_code)
        if code is None or code.client_id != client_id:
            raise Refused("invalid_grant", "the device code is unknown")
        if code.grant is not None:
            code.grant.revoked = True  # somebody has it twice
            raise Refused("invalid_grant", "the device code was used before")
        now = self._clock()
        if now >= code.expires_at:
            raise Refused("expired_token", "the code was not confirmed in time")
        if now < code.next_poll:
            code.interval += 5
            code.next_poll = now + code.interval
            raise Refused("slow_down", "asked before the interval was over")
        if code.answer is None:
            code.next_poll = now + code.interval
            raise Refused("authorization_pending", "the person has not answered yet")
        if not code.answer:
            raise Refused("access_denied", "the person refused")
        code.grant = Grant(client_id, code.scope, code.audience, now)
        return self._tokens(code.grant, code.scope, new_refresh_token="offline_access" in code.scope)

    def _refreshed(self, client_id: str, refresh_token: str, fields: Mapping[str, str]) -> Reply:
        """RFC 6749 §6, with rotation: a spent token that comes back ends the whole family (RFC 9700 §4.14.2)."""
        grant = self._refresh_tokens.get(refresh_token)
        if grant is None or grant.client_id != client_id:
            raise Refused("invalid_grant", "the refresh token is unknown")
        if refresh_token != grant.refresh_token:
            grant.revoked = True
        if grant.revoked:
            raise Refused("invalid_grant", "the refresh token was used before, or revoked")
        return self._tokens(grant, scopes(fields, grant.scope), new_refresh_token=True)

    def _client_token(self, client_id: str, fields: Mapping[str, str], audience: tuple[str, ...]) -> Reply:
        """RFC 6749 §4.4."""
        if client_id != MACHINE_CLIENT:
            raise Refused("unauthorized_client", "a public client cannot act for itself")
        if not audience:
            raise Refused("invalid_request", "audience or resource is missing")  # as Auth0 wants it
        if "scope" in fields:
            raise Refused("invalid_scope", "this client has no scopes")
        grant = Grant(client_id, (), audience, self._clock())
        claims = {"sub": f"{client_id}@clients"}
        return as_json(self._access_token(grant, (), claims))

    def _tokens(self, grant: Grant, scope: tuple[str, ...], *, new_refresh_token: bool) -> Reply:
        answer = self._access_token(grant, scope, {"sub": PERSON["sub"]})
        if "openid" in scope:
            hidden = set() if "email" in scope else {"email", "email_verified"}
            hidden |= set() if "profile" in scope else {"name"}
            claims = {name: value for name, value in PERSON.items() if name not in hidden}
            answer["id_token"] = self._signed(claims | {"aud": grant.client_id, "auth_time": int(grant.auth_time)})
        if new_refresh_token:
            answer["refresh_token"] = grant.refresh_token = secrets.token_urlsafe(32)
            self._refresh_tokens[grant.refresh_token] = grant
        return as_json(answer)

    def _access_token(self, grant: Grant, scope: tuple[str, ...], claims: dict[str, Any]) -> dict[str, Any]:
        """Return an answer with a JWT (RFC 9068) for a known audience, with an opaque token for none."""
        if grant.audience:
            audience = grant.audience[0] if len(grant.audience) == 1 else list(grant.audience)
            claims = claims | {"aud": audience, "client_id": grant.client_id, "jti": secrets.token_hex(16)}
            token = self._signed(claims | ({"scope": " ".join(scope)} if scope else {}), typ="at+jwt")
        else:
            token = secrets.token_urlsafe(32)
        self._access_tokens.add(token)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": whole(self.token_lifetime)}
        return answer | ({"scope": " ".join(scope)} if scope else {})

    def _signed(self, claims: dict[str, Any], typ: str = "JWT") -> str:
        now = int(self._clock())
        lifetime = int(self.token_lifetime)
        return jwt.encode(
            {"iss": self.issuer, "iat": now, "exp": now + lifetime} | claims,
            self._key,
            algorithm="RS256",
            headers={"kid": self._kid, "typ": typ},
        )

    def _revocation(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """RFC 7009 §2: an unknown token is as good as revoked; an access token cannot be called back, and we say so."""
        fields, _ = form(headers, body)
        client_id = self._client(headers, fields)
        token = required(fields, "token")
        grant = self._refresh_tokens.get(token)
        if grant is not None:
            if grant.client_id != client_id:
                raise Refused("invalid_grant", "the token was issued to another client")
            grant.revoked = True
        elif token in self._access_tokens:
            raise Refused("unsupported_token_type", "an access token stays good until it expires")
        return Reply(200, b"", "application/json")

    def _client(self, headers: Mapping[str, str], fields: Mapping[str, str]) -> str:
        """Return the client's id once it has proved itself by exactly one method (RFC 6749 §2.3)."""
        authorization = headers.get("authorization")
        if authorization is None:
            client_id, secret = fields.get("client_id"), fields.get("client_secret")
            challenge = {}
        else:
            challenge = {"WWW-Authenticate": 'Basic realm="embedded provider", charset="UTF-8"'}
            client_id, secret = basic(authorization)
            if "client_secret" in fields or fields.get("client_id", client_id) != client_id:
                raise Refused("invalid_request", "the client authenticates twice")
        expected = {DEVICE_CLIENT: None, MACHINE_CLIENT: self.client_secret}
        good = client_id in expected and (
            secrets.compare_digest((secret or "").encode(), (expected[client_id] or "").encode())
        )
        if client_id is None or not good:
            raise Refused("invalid_client", "unknown client, or a wrong secret", 401, **challenge)
        return client_id

    # --- the page ---------------------------------------------------------------------------------------------------

    def _page(self, method: str, query: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Show what is asked (RFC 8628 §3.3.1), and take the person's answer."""
        with self._lock:
            self.counters["page"] += 1
            if method == "GET":
                user_code = parse_qs(query).get("user_code", [""])[0]
                code = self._by_user_code(user_code)
                if code is None:
                    words = "That code is unknown, expired or used." if user_code else "Which code does it show?"
                    return page(words, CODE_FORM, 404 if user_code else 200)
                shown = next(plain for plain, device in self._user_codes.items() if self._codes[device] is code)
                return page("Is this the code that you see?", confirm_form(self._shown(shown), code))
            origin = headers.get("origin")
            if origin is not None and origin != f"http://{headers.get('host')}":
                return page("This form was sent from another site.", "", 403)
            try:
                fields, _ = form(headers, body)
            except Refused:
                return page("This form could not be read.", "", 400)
            allow = fields.get("action") == "allow"
            if not self._decide(fields.get("user_code", ""), allow=allow):
                return page("That code is unknown, expired or used.", CODE_FORM, 404)
            return page("Signed in. Go back to the terminal." if allow else "Refused. Nobody was signed in.", "")


# --- parts of a request -----------------------------------------------------------------------------------------------


def form(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the fields of a form, and what audience and resource ask for; an empty value is none (RFC 6749 §3.2)."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refused("invalid_request", "the body is not application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=64)
    except ValueError:
        raise Refused("invalid_request", "the body cannot be read") from None
    fields: dict[str, str] = {}
    resources: list[str] = []
    for name, value in pairs:
        if name == "resource":  # the only one that may come more than once (RFC 8707 §2)
            resources.append(value)
        elif name in fields:
            raise Refused("invalid_request", "a parameter comes twice")
        else:
            fields[name] = value
    audience = [fields["audience"]] if "audience" in fields else []
    return fields, tuple(audience + resources)


def whole(seconds: float) -> float:
    """Return an integer where it is one, as providers write it."""
    return int(seconds) if seconds == int(seconds) else seconds


def required(fields: Mapping[str, str], name: str) -> str:
    if name not in fields:
        raise Refused("invalid_request", f"{name} is missing")
    return fields[name]


def scopes(fields: Mapping[str, str], allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes asked for, all that are allowed when none is (RFC 6749 §3.3)."""
    if "scope" not in fields:
        return allowed
    asked = tuple(dict.fromkeys(fields["scope"].split(" ")))
    if not set(asked) <= set(allowed):
        raise Refused("invalid_scope", "a scope is unknown, or more than was allowed")
    return asked


def basic(authorization: str) -> tuple[str | None, str | None]:
    """Return both halves, form-decoded (RFC 6749 §2.3.1); None where it is not Basic."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    if scheme.lower() != "basic" or not colon:
        return None, None
    return unquote_plus(client_id), unquote_plus(secret)


# --- HTML -------------------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; font: 18px/1.5 system-ui, sans-serif }
body { max-width: 26rem; margin: 18vh auto 0; padding: 0 1.5rem }
h1 { font-size: 1.25rem; font-weight: 600 }
code { display: block; font: 600 2rem ui-monospace, monospace; letter-spacing: .1em; margin: 1.5rem 0 }
button, input { font: inherit; padding: .5rem 1.25rem; border-radius: .5rem; border: 1px solid #8888 }
button[value=allow] { background: #1a5fb4; border-color: #1a5fb4; color: #fff }
small { display: block; margin-top: 2rem; opacity: .7 }
"""

CODE_FORM = """<form method="get" action="/activate">
<label>Code <input name="user_code" autocomplete="off" autocapitalize="characters" size="12" autofocus required></label>
<button>Next</button></form>"""


def confirm_form(user_code: str, code: DeviceCode) -> str:
    target = ", ".join(code.audience) or "your identity"
    return f"""<code>{html.escape(user_code)}</code>
<p>{html.escape(code.client_id)} asks for {html.escape(target)} ({html.escape(" ".join(code.scope))}).</p>
<form method="post" action="/activate"><input type="hidden" name="user_code" value="{html.escape(user_code)}">
<button name="action" value="allow">Allow</button> <button name="action" value="deny">Refuse</button></form>"""


def page(heading: str, content: str, status: int = 200) -> Reply:
    """Return a page that loads nothing and can be framed by nobody."""
    text = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in (demo)</title><link rel="icon" href="data:,"><style>{STYLE}</style>
<h1>{html.escape(heading)}</h1>
{content}
<small>credential-helper's demo provider, on this machine only. You are {html.escape(EMAIL)} here.</small>
</html>
"""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"
    # Not "no-referrer": browsers then send the form with "Origin: null".
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
    return Reply(status, text.encode(), "text/html; charset=utf-8", **headers)


# --- HTTP -------------------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, provider: Provider, tls: ssl.SSLContext | None) -> None:
        self.provider = provider
        super().__init__(("127.0.0.1", port), _Handler)
        if tls is not None:  # each connection's own thread shakes hands, with its first read
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for a name of 127.0.0.1, which can take seconds without a network.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "embedded-provider"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 10
    wbufsize = -1  # head and body leave as one packet

    def _answer(self) -> None:
        self.close_connection = True
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= BODY_LIMIT or "Transfer-Encoding" in self.headers:
            reply = as_json({"error": "invalid_request"}, 413)
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = self.server.provider.handle(self.command, self.path, headers, self.rfile.read(length))
        self.send_response(reply.status)
        for name, value in (reply.headers | {"Content-Length": str(len(reply.body)), "Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: requests are counted instead."""


class EmbeddedProvider(Started, Provider):
    """The provider on http://127.0.0.1:PORT/, from ``start`` to ``stop``; with ``tls`` on https://."""

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None, **settings: Unpack[Settings]) -> None:
        super().__init__(**settings)
        self._port = port
        self._tls = tls
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Take requests, on the port given or a free one; ``issuer`` is set after that."""
        self._server = _Server(self._port, self, self._tls)
        self.issuer = f"http{'s' if self._tls else ''}://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Take no more requests and give the port back; may be called twice."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None


def main() -> None:
    """Run until SIGTERM, SIGINT or the parent's end; the address is the first line of stdout."""
    parser = argparse.ArgumentParser(prog="python -m integration.servers.embedded_provider", allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--interval", type=float, default=5, metavar="SECONDS", help="between two polls")
    parser.add_argument("--token-lifetime", type=float, default=3600, metavar="SECONDS")
    parser.add_argument("--parent", type=int, default=os.getppid(), metavar="PID", help="stop when it is gone")
    options = parser.parse_args()
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    provider = EmbeddedProvider(
        port=options.port,
        interval=options.interval,
        token_lifetime=options.token_lifetime,
        client_secret=os.environ.get(SECRET_VARIABLE),
    )
    with provider:
        print(provider.issuer, flush=True)
        if SECRET_VARIABLE not in os.environ:
            print(f"client ids: {DEVICE_CLIENT} (public), {MACHINE_CLIENT} with secret {provider.client_secret}")
            print("Ctrl-C stops", flush=True)
        while os.getppid() == options.parent and not stopped.wait(0.2):
            pass


if __name__ == "__main__":
    main()
