"""A person or a machine at a real provider, through the installed program."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import jwt

from integration.clients.programs import Runner
from integration.scenes.browsers import Tabs
from integration.scenes.sign_ins import write_profiles
from integration.servers.hostile_provider import SigningKey
from integration.servers.lifecycle import LoopbackServer, Served
from integration.servers.oidc import DEVICE_CODE_GRANT
from integration.servers.providers.real import SECRET, RealProvider
from tests.helpers.programs import Result, Running

SCOPE = "openid profile email offline_access"
ADDRESS = r"open  (http://\S+)"

REFRESH = "refresh_token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


# --- the program ------------------------------------------------------------------------------------------------------


class Person:
    """Who has one profile, ``prod``, and uses the program."""

    def __init__(self, run: Runner, home: dict[str, str], tabs: Tabs, provider: RealProvider, **settings: Any) -> None:
        self.run, self.provider, self._tabs, self._home = run, provider, tabs, home
        client_id = settings.pop("client_id", "people")
        write_profiles(home, prod=provider.settings(client_id, **settings))

    def with_a_code(self) -> Result:
        """Sign in with a code."""
        running, url = self.asked()
        self.provider.approve(url)
        return running.finish()

    def asked(self) -> tuple[Running, str]:
        """Begin to sign in with a code; return the program, which waits, and where the code is to be entered."""
        running = self.run.start("login", "prod", terminal=True)
        return running, running.wait_for(ADDRESS, where="terminal")[1]

    def with_a_browser(self, *argv: str) -> tuple[Result, str]:
        """Sign in with a browser, by ``login prod`` or another command; return also what the last page says."""
        running = self.run.start(*(argv or ("login", "prod")), terminal=True)
        page = self.provider.sign_in(self._tabs.wait(len(self._tabs.opened) + 1).url)
        return running.finish(), page

    def token(self) -> dict[str, Any]:
        """Return the claims of the token that ``token prod`` prints, without a word to a person."""
        return claims_of(self.run("token", "prod"))

    def refresh_token(self) -> str:
        """Return the refresh token of the only sign-in."""
        found: str = self._grant()[1]["grant"]["refresh_token"]
        return found

    def expire(self) -> None:
        """Let the tokens of all sessions have expired an hour ago."""
        for file in self._state().glob("sessions/*.json"):
            document = json.loads(file.read_bytes())
            for kind in ("access", "id"):
                if document["session"].get(kind):
                    times = {"received_at": time.time() - 7200, "expires_at": time.time() - 3600}
                    document["session"][kind] |= times
            file.write_text(json.dumps(document))

    def put_back(self, refresh_token: str) -> None:
        """Keep another refresh token than the one that is kept, as a restored backup does."""
        file, document = self._grant()
        document["grant"]["refresh_token"] = refresh_token
        file.write_text(json.dumps(document))

    def _grant(self) -> tuple[Path, dict[str, Any]]:
        (file,) = self._state().glob("grants/*.json")
        return file, json.loads(file.read_bytes())

    def _state(self) -> Path:
        return Path(self._home["XDG_STATE_HOME"], "credential-helper")


def claims_of(done: Result, warning: str = "") -> dict[str, Any]:
    """Return the claims of a token that was printed, and nothing else was but a warning that begins so."""
    assert done.code == 0, done
    assert done.stderr.startswith(warning) if warning else not done.stderr, done
    return claims(done.text.strip())


def claims(token: str) -> dict[str, Any]:
    """Return what a JWT says, unverified."""
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def audience(token: str) -> set[str]:
    """Return for whom a JWT is."""
    found = claims(token).get("aud", [])
    return {found} if isinstance(found, str) else set(found)


# --- the protocol, without the program --------------------------------------------------------------------------------


def basic(client_id: str) -> tuple[str, str]:
    """Return the halves of client_secret_basic, encoded as RFC 6749 §2.3.1 says."""
    return quote_plus(client_id), quote_plus(SECRET)


def assertion(key: SigningKey, issuer: str, audience: str, subject: str | None = None, **more: Any) -> str:
    """Return a JWT that is good once, for a minute."""
    now = int(time.time())
    content = {"iss": issuer, "sub": subject or issuer, "aud": audience, "iat": now, "exp": now + 60, **more}
    headers = {"kid": key.jwk()["kid"]}
    return jwt.encode({"jti": secrets.token_hex(8), **content}, key.private, key.alg, headers=headers)


def public_pem(key: SigningKey) -> str:
    """Return the public half as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public: bytes = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def by_code(provider: RealProvider, client_id: str = "people", scope: str = SCOPE) -> dict[str, Any]:
    """Sign ada in with a code (RFC 8628), and return the answer of the token endpoint."""
    status, asked = provider.post("device_authorization_endpoint", client_id=client_id, scope=scope)
    assert status == 200, asked
    provider.approve(asked["verification_uri_complete"])
    return good(provider.token(grant_type=DEVICE_CODE_GRANT, client_id=client_id, device_code=asked["device_code"]))


def by_browser(provider: RealProvider, client_id: str = "people", scope: str = SCOPE, **more: str) -> dict[str, Any]:
    """Sign ada in with a browser and PKCE (RFC 7636), and return the answer of the token endpoint."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    with _Callback() as callback:
        request = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": callback.url,
            "scope": scope,
            "state": secrets.token_urlsafe(),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **more,
        }
        provider.sign_in(f"{provider.metadata()['authorization_endpoint']}?{urlencode(request)}")
        (code,) = callback.codes
    fields = {"code": code, "redirect_uri": callback.url, "code_verifier": verifier}
    return good(provider.token(grant_type="authorization_code", client_id=client_id, **fields))


def good(answer: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """Return an answer that has to be 200."""
    assert answer[0] == 200, answer
    return answer[1]


def error(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    """Return the status and the OAuth error of an answer that has to be one."""
    assert answer[0] != 200, answer
    return answer[0], answer[1]["error"]


class _Callback(Served):
    """A redirect URI that keeps the codes that come."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.url = ""

    def _made(self) -> LoopbackServer:
        from http.server import BaseHTTPRequestHandler

        callback = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Write nothing to stderr."""

            def do_GET(self) -> None:
                callback.codes += parse_qs(urlsplit(self.path).query).get("code", [])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        server = LoopbackServer(Handler, None)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/callback"
        return server
