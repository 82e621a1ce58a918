"""Ory Hydra, in memory, with JWT access tokens; clients are made at its admin address, people by hydra_pages.py."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import requests

from integration.clients.pages import Visitor
from integration.servers.oidc import ProviderError
from integration.servers.providers import made
from integration.servers.providers.hydra_pages import HydraPages
from integration.servers.providers.real import EMAIL, PERSON, SECRET, RealProvider, free_port

PEOPLE = "people"  # public: code flow, refresh tokens, which rotate
BASIC = "machine-basic"  # confidential with SECRET as client_secret_basic: client credentials
POST = "machine-post"  # the same as client_secret_post
KEYED = "machine-with-a-key"  # confidential: client credentials by private_key_jwt
FEDERATED = "federated"  # confidential with SECRET: an assertion of a trusted issuer for a token (RFC 7523 §2.1)
KUBERNETES, REGISTRY = "https://kubernetes.example.com", "https://registry.example.com"  # audiences of every client

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAKING_TRIES = 10
SCOPE = "openid profile email offline_access read"


class Hydra(RealProvider):
    """The process, and its pages."""

    name = "hydra"
    version = made.HYDRA

    def __init__(self, jwks: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.admin = f"http://127.0.0.1:{free_port()}"
        self._pages = HydraPages(self.admin, PERSON, {"email": EMAIL, "email_verified": True})
        self._jwks = jwks or {"keys": []}  # public keys of KEYED

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _start(self) -> None:
        executable = made.hydra()
        self._pages.start()
        loopback = {"host": "127.0.0.1", "request_log": {"disable_for_health": True}}
        config = {
            "dsn": "memory",
            "log": {"level": "warn"},
            "serve": {
                "public": {"port": self.port, **loopback},
                "admin": {"port": int(self.admin.rpartition(":")[2]), **loopback},
            },
            "urls": {
                "self": {"issuer": self.issuer},
                "login": f"{self._pages.url}/login",
                "consent": f"{self._pages.url}/consent",
            },
            "secrets": {"system": ["a secret of this process alone"]},
            "strategies": {"access_token": "jwt"},
            "sqa": {"opt_out": True},  # it reports nothing to anybody
        }
        file = self.folder / "hydra.json"
        file.write_text(json.dumps(config))
        self._run([executable, "serve", "all", "--dev", "--config", file], f"{self.issuer}/health/ready")
        for client in self._clients():
            self.administer("POST", "/clients", client)
        self._make_keys()

    def stop(self) -> None:
        super().stop()
        self._pages.stop()

    def administer(self, method: str, path: str, body: object = None) -> Any:
        """Ask its admin API; ProviderError."""
        answer = self.http.request(method, f"{self.admin}/admin{path}", json=body, timeout=60)
        if not answer.ok:
            raise ProviderError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def _make_keys(self) -> None:
        """Have it make its keys (RSA with 4096 bits) now: on a busy machine that takes longer than its connections."""
        for _ in range(MAKING_TRIES):
            try:
                self.http.get(f"{self.issuer}/.well-known/jwks.json", timeout=60).raise_for_status()
                self.token((BASIC, quote_plus(SECRET)), grant_type="client_credentials")
                return
            except requests.RequestException:
                continue
        raise ProviderError("hydra does not come to an end with its keys")

    def _clients(self) -> list[dict[str, Any]]:
        every = {"scope": SCOPE, "audience": [KUBERNETES, REGISTRY]}
        machine = {**every, "grant_types": ["client_credentials"], "client_secret": SECRET}
        return [
            {
                **every,
                "client_id": PEOPLE,
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "redirect_uris": ["http://127.0.0.1/callback"],
                "token_endpoint_auth_method": "none",
            },
            {**machine, "client_id": BASIC, "token_endpoint_auth_method": "client_secret_basic"},
            {**machine, "client_id": POST, "token_endpoint_auth_method": "client_secret_post"},
            {
                **every,
                "client_id": KEYED,
                "grant_types": ["client_credentials"],
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": "ES256",  # without it only RS256 is taken
                "jwks": self._jwks,
            },
            {**machine, "client_id": FEDERATED, "grant_types": [JWT_BEARER]},
        ]

    # --- people ---

    def sign_in(self, url: str) -> str:
        return self._answered(url, "accept", "accept")

    def refuse(self, url: str) -> str:
        return self._answered(url, "accept", "reject")

    def _answered(self, url: str, *answers: str) -> str:
        visitor = Visitor()
        visitor.open(url)
        for answer in answers:
            visitor.submit(press="answer", value=answer)
        return visitor.text
