"""Dex, in memory, with its own password database as the only connector."""

from __future__ import annotations

import json
from typing import Any

from integration.clients.pages import Visitor
from integration.servers.providers import made
from integration.servers.providers.real import EMAIL, PASSWORD, PERSON, SECRET, RealProvider

PEOPLE = "people"  # public without redirectURIs: code flow on any port of loopback, device flow
CONFIDENTIAL = "exchanger"  # confidential with SECRET: password, token exchange
KUBERNETES = "kubernetes"  # whose tokens PEOPLE may ask for
OTHER = "other"  # whose tokens PEOPLE may ask for, too
REGISTRY = "registry"  # whose tokens PEOPLE may not ask for
CONNECTOR = "local"  # the id of the password database
UPSTREAM = "upstream"  # the id of the connector to another Dex, where there is one

# Of PASSWORD; bcrypt at the lowest cost that it takes. Made anew with: htpasswd -nbBC 10 ada PASSWORD
HASH = "$2b$10$mWtMRe0/Yu4HvAj2ho5WhuUVV6sbW1XMXSdp7XZO.nzxs.DzjKEgS"


class Dex(RealProvider):
    """The process."""

    name = "dex"
    version = made.DEX

    def __init__(self, *, upstream: Dex | None = None) -> None:
        super().__init__()
        self._upstream = upstream  # whose tokens it exchanges

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/dex"

    def _start(self) -> None:
        executable = made.dex()
        file = self.folder / "dex.yaml"
        file.write_text(json.dumps(self._config()))  # every JSON is YAML
        self._run([executable, "serve", file], f"{self.issuer}/.well-known/openid-configuration")

    def _config(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "storage": {"type": "memory"},
            "web": {"http": f"127.0.0.1:{self.port}"},
            "logger": {"level": "warn"},
            "oauth2": {"passwordConnector": CONNECTOR},
            "expiry": {"refreshTokens": {"reuseInterval": "0s"}},  # by default a used one is taken for 3 s more
            "connectors": [] if self._upstream is None else [self._connector(self._upstream)],
            "enablePasswordDB": True,
            "staticPasswords": [{"email": EMAIL, "hash": HASH, "username": PERSON, "userID": "1815"}],
            "staticClients": [
                {"id": PEOPLE, "name": PEOPLE, "public": True},
                {"id": CONFIDENTIAL, "name": CONFIDENTIAL, "secret": SECRET},
                {"id": KUBERNETES, "name": KUBERNETES, "secret": SECRET, "trustedPeers": [PEOPLE, CONFIDENTIAL]},
                {"id": OTHER, "name": OTHER, "secret": SECRET, "trustedPeers": [PEOPLE]},
                {"id": REGISTRY, "name": REGISTRY, "secret": SECRET},
            ],
        }

    def _connector(self, upstream: Dex) -> dict[str, Any]:
        config = {
            "issuer": upstream.issuer,
            "clientID": PEOPLE,
            "redirectURI": f"{self.issuer}/callback",
            "insecureSkipEmailVerified": True,
            "userNameKey": "email",
        }
        return {"type": "oidc", "id": UPSTREAM, "name": UPSTREAM, "config": config}

    # --- people ---

    def _signed_in(self, visitor: Visitor) -> Visitor:
        visitor.submit(login=EMAIL, password=PASSWORD)
        return visitor

    def _at_code(self, url: str) -> Visitor:
        visitor = Visitor()
        visitor.open(url)
        visitor.submit(press="")
        return self._signed_in(visitor)

    def approve(self, url: str) -> None:
        self._at_code(url).submit(press="", approval="approve")

    def decline(self, url: str) -> None:
        self._at_code(url).submit(press="", approval="rejected")

    def _at_request(self, url: str) -> Visitor:
        visitor = Visitor()
        visitor.open(url)
        return self._signed_in(visitor)

    def sign_in(self, url: str) -> str:
        visitor = self._at_request(url)
        visitor.submit(approval="approve")
        return visitor.text

    def refuse(self, url: str) -> str:
        visitor = self._at_request(url)
        visitor.submit(approval="rejected")
        return visitor.text
