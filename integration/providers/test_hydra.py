"""What Ory Hydra does, seen with plain requests: what its row and docs/providers/hydra.md say."""

from __future__ import annotations

import pytest

from integration.scenes.real_providers import (
    ACCESS_TOKEN,
    ASSERTION,
    EXCHANGE,
    JWT_BEARER,
    REFRESH,
    assertion,
    audience,
    basic,
    by_browser,
    claims,
    error,
    good,
)
from integration.servers.hostile_provider import SigningKey, signing_key
from integration.servers.providers.hydra import BASIC, FEDERATED, KEYED, KUBERNETES, PEOPLE, POST, REGISTRY, Hydra
from integration.servers.providers.real import SECRET

MACHINE = {"grant_type": "client_credentials"}
CI = "https://ci.example.com"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"audience": REGISTRY},
        {"resource": REGISTRY},
        {"scope": "openid email"},
        {"audience": "https://unknown.example"},
    ],
    ids=str,
)
def test_what_a_refresh_takes(hydra: Hydra, more: dict[str, str]) -> None:
    """Nothing: each gives all that was granted, for all that it was granted for."""
    first = by_browser(hydra, audience=f"{KUBERNETES} {REGISTRY}")
    answer = good(hydra.token(grant_type=REFRESH, client_id=PEOPLE, refresh_token=first["refresh_token"], **more))
    assert audience(answer["access_token"]) == {KUBERNETES, REGISTRY}
    assert claims(answer["access_token"])["scp"] == claims(first["access_token"])["scp"]
    assert answer["refresh_token"] != first["refresh_token"]


def test_what_a_refresh_token_that_was_used_ends(hydra: Hydra) -> None:
    old = by_browser(hydra)["refresh_token"]
    fields = {"grant_type": REFRESH, "client_id": PEOPLE}
    new = good(hydra.token(**fields, refresh_token=old))["refresh_token"]
    assert [error(hydra.token(**fields, refresh_token=token)) for token in (old, new)] == [(400, "invalid_grant")] * 2


def test_what_revocation_ends(hydra: Hydra) -> None:
    token = by_browser(hydra)["refresh_token"]
    assert hydra.post("revocation_endpoint", client_id=PEOPLE, token=token)[0] == 200
    answer = hydra.token(grant_type=REFRESH, client_id=PEOPLE, refresh_token=token)
    assert error(answer) == (400, "invalid_grant")


def test_what_a_machine_may_ask_for(hydra: Hydra) -> None:
    """An audience that its client lists; no resource (RFC 8707)."""
    for more, expected in (({"audience": REGISTRY}, {REGISTRY}), ({"resource": REGISTRY}, set()), ({}, set())):
        assert audience(good(hydra.token(basic(BASIC), **MACHINE, **more))["access_token"]) == expected
    unknown = hydra.token(basic(BASIC), **MACHINE, audience="https://unknown.example")
    assert error(unknown) == (400, "invalid_request")
    assert error(hydra.token(basic(BASIC), **MACHINE, scope="unknown")) == (400, "invalid_scope")


def test_what_a_wrong_client_is_told(hydra: Hydra) -> None:
    assert error(hydra.token((BASIC, "wrong"), **MACHINE)) == (401, "invalid_client")
    assert error(hydra.token(basic(POST), **MACHINE)) == (401, "invalid_client")
    assert error(hydra.token(**MACHINE, client_id=BASIC, client_secret=SECRET)) == (401, "invalid_client")
    assert error(hydra.token((BASIC, SECRET), **MACHINE)) == (400, "invalid_request")  # not encoded (RFC 6749 §2.3.1)


def test_what_an_assertion_names(hydra: Hydra, client_key: SigningKey) -> None:
    """The token endpoint, not the issuer."""
    fields = {**MACHINE, "client_id": KEYED, "client_assertion_type": ASSERTION}
    issuer = assertion(client_key, KEYED, hydra.issuer)
    assert error(hydra.token(**fields, client_assertion=issuer)) == (401, "invalid_client")
    good(hydra.token(**fields, client_assertion=assertion(client_key, KEYED, hydra.metadata()["token_endpoint"])))


def test_what_it_does_not_have(hydra: Hydra) -> None:
    """No device flow (it came with 25.4), no token exchange, no password."""
    assert "device_authorization_endpoint" not in hydra.metadata()
    subject = by_browser(hydra)["access_token"]
    exchange = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN}
    for fields in (exchange, {"grant_type": "password", "username": "ada", "password": "x"}):
        assert error(hydra.token(basic(BASIC), **fields)) == (400, "invalid_request")


def test_what_a_foreign_assertion_needs(hydra: Hydra) -> None:
    """An issuer that its administrator trusts, for one subject; it names the token endpoint (RFC 7523 §2.1)."""
    key = signing_key("RS256", "ci")
    trusted = {"issuer": CI, "subject": "repo:main", "scope": ["read"], "jwk": key.jwk()}
    hydra.administer("POST", "/trust/grants/jwt-bearer/issuers", {**trusted, "expires_at": "2999-01-01T00:00:00Z"})
    endpoint = hydra.metadata()["token_endpoint"]
    fields = {"grant_type": JWT_BEARER, "scope": "read", "audience": KUBERNETES}
    answer = good(hydra.token(basic(FEDERATED), **fields, assertion=assertion(key, CI, endpoint, "repo:main")))
    assert claims(answer["access_token"])["sub"] == "repo:main"
    assert audience(answer["access_token"]) == {endpoint, KUBERNETES}
    for wrong in (assertion(key, CI, hydra.issuer, "repo:main"), assertion(key, CI, endpoint, "repo:other")):
        assert error(hydra.token(basic(FEDERATED), **fields, assertion=wrong)) == (400, "invalid_grant")
