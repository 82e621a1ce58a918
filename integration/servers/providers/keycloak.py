"""Keycloak: its own distribution, two realms from keycloak_realm.json, everything in memory.

``main`` gives a refresh token that stays the same, ``rotating`` (*Revoke Refresh Token* on, reuse 0) a new one each
time. A realm is a provider of its own; ``Keycloak(…).realm("rotating")`` is the same process seen as that one.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

from integration.clients.pages import Visitor
from integration.servers.providers import made
from integration.servers.providers.real import EMAIL, PASSWORD, PERSON, SECRET, RealProvider

PEOPLE = "people"  # public: code flow and device flow
IMPATIENT = "impatient"  # the same, its codes live 2 seconds
CONSENT = "careful"  # the same, and people are asked for their consent in a browser, too
PASSWORDS = "passwords"  # public: the password grant
MACHINE = "machine"  # confidential with SECRET, sent either way: client credentials
KEYED = "machine-with-a-key"  # confidential: client credentials by private_key_jwt, with the key that a test gives
FEDERATED = "federated"  # confidential: client credentials by an assertion of CI for its subject SUBJECT
GRANTED = "granted"  # confidential with SECRET: an assertion of CI for a token of the person who is SUBJECT there
EXCHANGER = "exchanger"  # confidential with SECRET: the standard token exchange
DESK = "desk"  # confidential with SECRET: code flow, and the standard token exchange of its own tokens
KUBERNETES, REGISTRY = "kubernetes", "registry"  # audiences: both of EXCHANGER and DESK; the first of PEOPLE, MACHINE
CI, SUBJECT = "https://ci.example.com", "repo:main"  # an identity provider of the realm, by the key that a test gives

REALM = Path(__file__).with_name("keycloak_realm.json")

# As bin/kc.sh starts it, without the shell between, and with a compiler that thinks less: it lives for minutes.
JAVA_WORDS = (
    *("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("util", "util.concurrent", "security", "lang")),
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
)


class Keycloak(RealProvider):
    """The process, seen as one of its realms."""

    name = "keycloak"
    version = made.KEYCLOAK
    shown = PERSON
    realms: ClassVar[tuple[str, ...]] = ("main", "rotating")

    def __init__(self, jwks: dict[str, Any] | None = None, ci: str = "") -> None:
        super().__init__()
        self._ci = ci  # public key of CI, as PEM
        self._realm = "main"
        self._jwks = jwks or {"keys": []}  # public keys of KEYED

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/{self._realm}"

    def realm(self, name: str) -> Keycloak:
        """Return the same process as another realm; it is not to be stopped by itself."""
        other = copy.copy(self)
        other._realm = name
        return other

    def _start(self) -> None:
        java, distribution = made.java(), made.keycloak()
        (self.folder / "lib").symlink_to(distribution / "lib")
        shutil.copytree(distribution / "conf", self.folder / "conf")
        (self.folder / "providers").mkdir()
        realms = self.folder / "data" / "import"
        realms.mkdir(parents=True)
        for name in self.realms:
            (realms / f"{name}-realm.json").write_text(json.dumps(self._written(name)))
        places = (f"-Dkc.home.dir={self.folder}", f"-Djboss.server.config.dir={self.folder / 'conf'}")
        entry = ("-cp", self.folder / "lib" / "quarkus-run.jar", "io.quarkus.bootstrap.runner.QuarkusEntryPoint")
        words = ("start", "--optimized", "--cache=local", "--import-realm")
        here = ("--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={self.port}", "--hostname-strict=false")
        ready = f"{self.realm(self.realms[-1]).issuer}/.well-known/openid-configuration"
        self._run([java, *JAVA_WORDS, *places, *entry, *words, *here], ready)

    def _written(self, name: str) -> dict[str, Any]:
        """Return a realm as it is imported: ours, with its name, its person and its secrets."""
        realm: dict[str, Any] = json.loads(REALM.read_bytes())
        realm["realm"] = name
        realm["revokeRefreshToken"] = name == "rotating"
        (person,) = realm["users"]
        person |= {"username": PERSON, "email": EMAIL}
        person["credentials"] = [{"type": "password", "value": PASSWORD, "temporary": False}]
        realm["identityProviders"][0]["config"]["publicKeySignatureVerifier"] = self._ci
        for client in realm["clients"]:
            if client.get("secret") == "SECRET":
                client["secret"] = SECRET
            if client["clientId"] == KEYED:
                client["attributes"]["jwks.string"] = json.dumps(self._jwks)
        return realm

    # --- people ---

    def _signed_in(self, url: str) -> Visitor:
        visitor = Visitor()
        visitor.open(url)
        visitor.submit(username=PERSON, password=PASSWORD)
        return visitor

    def approve(self, url: str) -> None:
        self._signed_in(url).submit(press="accept")

    def decline(self, url: str) -> None:
        self._signed_in(url).submit(press="cancel")

    def sign_in(self, url: str) -> str:
        return self._signed_in(url).text

    def refuse(self, url: str) -> str:
        visitor = self._signed_in(url)
        visitor.submit(press="cancel")
        return visitor.text
