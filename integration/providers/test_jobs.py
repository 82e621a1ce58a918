"""Jobs without a secret at real providers (docs/machines.md): their platform's token is the client's proof, or a grant.

The platform is ``https://ci.example.com``, which the providers know by its key alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from integration.clients.programs import Runner
from integration.scenes.real_providers import assertion, by_browser, claims_of
from integration.scenes.sign_ins import write_profiles
from integration.servers.hostile_provider import HostileProvider, SigningKey, answer
from integration.servers.providers import dex as of_dex
from integration.servers.providers import hydra as of_hydra
from integration.servers.providers.dex import UPSTREAM, Dex
from integration.servers.providers.hydra import Hydra
from integration.servers.providers.keycloak import CI, FEDERATED, GRANTED, SUBJECT, Keycloak
from integration.servers.providers.real import SECRET, RealProvider
from tests.helpers.programs import Result

Hand = Callable[[str], dict[str, str]]

CLIENT_SECRET = {"env": "CLIENT_SECRET"}

by = pytest.mark.parametrize
EITHER_WAY = by("hand", ["file", "env"], indirect=True)


@pytest.fixture
def hand(request: pytest.FixtureRequest, home: dict[str, str]) -> Hand:
    """Return what lays a token into a file, or a variable; it returns the profile's ``workload``."""

    def handed(token: str) -> dict[str, str]:
        if getattr(request, "param", "file") == "env":
            home["CI_TOKEN"] = token
            return {"env": "CI_TOKEN"}
        path = Path(home["HOME"], "token")
        path.write_text(token + "\n")
        return {"file": str(path)}

    return handed


class Job:
    """A job of the platform, with one profile, ``prod``, and a token."""

    def __init__(self, run: Runner, home: dict[str, str], key: SigningKey, hand: Hand) -> None:
        self._run, self._home, self._key, self._hand = run, home, key, hand

    def asks(
        self,
        provider: RealProvider,
        client_id: str,
        wanted: str,
        subject: str = SUBJECT,
        *,
        lives: int = 60,
        **settings: Any,
    ) -> Result:
        """Ask for a token, by a job's token that is for ``wanted`` and lives so many seconds."""
        self._home["CLIENT_SECRET"] = SECRET
        workload = self._hand(assertion(self._key, CI, wanted, subject, exp=int(time.time()) + lives))
        write_profiles(self._home, prod=provider.settings(client_id, workload=workload, **settings))
        return self._run("token", "prod")


@pytest.fixture
def job(run: Runner, home: dict[str, str], ci_key: SigningKey, hand: Hand) -> Job:
    return Job(run, home, ci_key, hand)


def refused(done: Result) -> str:
    """Return what was said instead of a token."""
    assert (done.code, done.stdout) == (77, b""), done
    return done.stderr


# --- Keycloak ---------------------------------------------------------------------------------------------------------

PROOF: dict[str, Any] = {"flow": "client-credentials", "client_authentication": "workload"}
GRANT: dict[str, Any] = {"flow": "jwt-bearer", "client_secret": CLIENT_SECRET}
WAYS = by(("client_id", "settings"), [(FEDERATED, PROOF), (GRANTED, GRANT)], ids=["proof", "grant"])


@EITHER_WAY
@WAYS
def test_keycloak_takes_a_job_s_token(job: Job, keycloak: Keycloak, client_id: str, settings: dict[str, Any]) -> None:
    found = claims_of(job.asks(keycloak, client_id, keycloak.issuer, **settings))
    assert (found["iss"], found["azp"]) == (keycloak.issuer, client_id)


def test_keycloak_s_job_needs_not_say_what_its_token_is_for(job: Job, keycloak: Keycloak) -> None:
    """A token and no secret is the client's proof, by itself."""
    found = claims_of(job.asks(keycloak, FEDERATED, keycloak.issuer, flow="client-credentials"))
    assert found["azp"] == FEDERATED


@WAYS
def test_keycloak_refuses_another_job(job: Job, keycloak: Keycloak, client_id: str, settings: dict[str, Any]) -> None:
    said = refused(job.asks(keycloak, client_id, keycloak.issuer, "repo:other", **settings))
    place = (
        "that the provider takes this token" if settings is PROOF else "(Keycloak: Identity providers > NAME, and Users"
    )
    assert place in said
    assert f"says iss {CI}, sub repo:other, aud {keycloak.issuer}" in said


@WAYS
def test_keycloak_is_sent_no_token_that_has_expired(
    job: Job, keycloak: Keycloak, client_id: str, settings: dict[str, Any]
) -> None:
    said = refused(job.asks(keycloak, client_id, keycloak.issuer, lives=-5, **settings))
    assert re.search(r"the token of .*workload\.file expired at [-0-9: ]+, and was not sent", said)
    assert "hint: a job has to have a new one" in said


def test_keycloak_takes_no_token_that_names_the_token_endpoint_as_a_proof(job: Job, keycloak: Keycloak) -> None:
    endpoint = keycloak.metadata()["token_endpoint"]
    said = refused(job.asks(keycloak, FEDERATED, endpoint, **PROOF))
    assert f"aud {endpoint}" in said


# --- Ory Hydra --------------------------------------------------------------------------------------------------------


@pytest.fixture
def trusting(hydra: Hydra, ci_key: SigningKey) -> Hydra:
    """Return Ory Hydra, which trusts the platform, for one subject."""
    issuers = "/trust/grants/jwt-bearer/issuers"
    for known in hydra.administer("GET", issuers):
        hydra.administer("DELETE", f"{issuers}/{known['id']}")
    trusted = {"issuer": CI, "subject": SUBJECT, "scope": ["read"], "jwk": ci_key.jwk()}
    hydra.administer("POST", issuers, {**trusted, "expires_at": "2999-01-01T00:00:00Z"})
    return hydra


HYDRA: dict[str, Any] = {**GRANT, "scope": "read", "audience": of_hydra.KUBERNETES}


@EITHER_WAY
def test_hydra_takes_a_job_s_token_as_a_grant(job: Job, trusting: Hydra) -> None:
    endpoint = trusting.metadata()["token_endpoint"]
    found = claims_of(job.asks(trusting, of_hydra.FEDERATED, endpoint, **HYDRA))
    assert (found["iss"], found["sub"], found["scp"]) == (trusting.issuer, SUBJECT, ["read"])
    assert of_hydra.KUBERNETES in found["aud"]


def test_hydra_refuses_another_job(job: Job, trusting: Hydra) -> None:
    endpoint = trusting.metadata()["token_endpoint"]
    said = refused(job.asks(trusting, of_hydra.FEDERATED, endpoint, "repo:other", **HYDRA))
    assert "(Ory Hydra: /admin/trust/grants/jwt-bearer/issuers; aud is the token endpoint)" in said
    assert f"says iss {CI}, sub repo:other, aud {endpoint}" in said


def test_hydra_takes_no_token_that_names_the_issuer(job: Job, trusting: Hydra) -> None:
    said = refused(job.asks(trusting, of_hydra.FEDERATED, trusting.issuer, **HYDRA))
    assert f"aud {trusting.issuer}" in said


def test_a_job_of_github_asks_for_a_token_that_hydra_takes(
    run: Runner, home: dict[str, str], trusting: Hydra, ci_key: SigningKey
) -> None:
    endpoint = trusting.metadata()["token_endpoint"]
    with HostileProvider() as actions:
        actions.script("/token", answer({"value": assertion(ci_key, CI, endpoint, SUBJECT)}))
        home |= {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{actions.url}/token",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "the-request-token",
            "CLIENT_SECRET": SECRET,
        }
        write_profiles(home, prod=trusting.settings(of_hydra.FEDERATED, workload="github", **HYDRA))
        assert claims_of(run("token", "prod"))["sub"] == SUBJECT
        (asked,) = actions.to("/token")
    assert parse_qs(asked.query)["audience"] == [endpoint]


# --- Dex --------------------------------------------------------------------------------------------------------------


@EITHER_WAY
def test_dex_exchanges_the_token_of_a_connector_s_provider(
    run: Runner, home: dict[str, str], dex: Dex, start: Callable[[RealProvider], RealProvider], hand: Hand
) -> None:
    """Another Dex is the platform; what comes is for this client and the audience."""
    below = start(Dex(upstream=dex))
    home["CLIENT_SECRET"] = SECRET
    workload = hand(by_browser(dex)["id_token"])
    more = {"client_secret": CLIENT_SECRET, "parameters": {"connector_id": UPSTREAM}, "scope": "openid"}
    settings = {"flow": "token-exchange", "workload": workload, "audience": of_dex.KUBERNETES, **more}
    write_profiles(home, prod=below.settings(of_dex.CONFIDENTIAL, **settings))
    found = claims_of(run("token", "prod"))
    assert (found["iss"], set(found["aud"])) == (below.issuer, {of_dex.CONFIDENTIAL, of_dex.KUBERNETES})
