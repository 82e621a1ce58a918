"""What Dex does, seen with plain requests: what its row and docs/providers/dex.md say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.clients.pages import PageError
from integration.scenes.real_providers import (
    ACCESS_TOKEN,
    EXCHANGE,
    ID_TOKEN,
    JWT_BEARER,
    REFRESH,
    SCOPE,
    audience,
    basic,
    by_browser,
    by_code,
    claims,
    error,
    good,
)
from integration.servers.oidc import DEVICE_CODE_GRANT
from integration.servers.providers.dex import CONFIDENTIAL, KUBERNETES, PEOPLE, REGISTRY, UPSTREAM, Dex
from integration.servers.providers.real import EMAIL, PASSWORD, RealProvider

FOR_KUBERNETES = f"audience:server:client_id:{KUBERNETES}"
FOR_REGISTRY = f"audience:server:client_id:{REGISTRY}"


def renewed(dex: Dex, token: str, **more: str) -> tuple[int, dict[str, str]]:
    return dex.token(grant_type=REFRESH, client_id=PEOPLE, refresh_token=token, **more)


def test_what_a_refresh_takes(dex: Dex) -> None:
    """A narrower scope, audiences among them, for this one token; neither audience nor resource (RFC 8707)."""
    token = by_browser(dex, scope=f"{SCOPE} {FOR_KUBERNETES}")["refresh_token"]
    for more, expected in (
        ({}, {PEOPLE, KUBERNETES}),
        ({"scope": "openid"}, {PEOPLE}),
        ({"scope": f"openid {FOR_KUBERNETES}"}, {PEOPLE, KUBERNETES}),
        ({"audience": REGISTRY}, {PEOPLE, KUBERNETES}),
        ({"resource": REGISTRY}, {PEOPLE, KUBERNETES}),
    ):
        answer = good(renewed(dex, token, **more))
        assert audience(answer["access_token"]) == audience(answer["id_token"]) == expected
        assert answer["refresh_token"] != token
        token = answer["refresh_token"]
    assert error(renewed(dex, token, scope=f"openid {FOR_REGISTRY}")) == (400, "invalid_request")
    good(renewed(dex, token))  # that did not spend it


def test_what_a_refresh_token_that_was_used_means(dex: Dex) -> None:
    """An invalid_request, not the invalid_grant of RFC 6749 §5.2; the newer one stays good."""
    old = by_browser(dex)["refresh_token"]
    new = good(renewed(dex, old))["refresh_token"]
    assert error(renewed(dex, old)) == error(renewed(dex, "unknown")) == (400, "invalid_request")
    good(renewed(dex, new))


def test_what_a_second_sign_in_ends(dex: Dex) -> None:
    """The refresh token of the first: Dex keeps one for each person and client."""
    first, second = (by_browser(dex)["refresh_token"] for _ in range(2))
    assert error(renewed(dex, first)) == (400, "invalid_request")
    good(renewed(dex, second))


def test_what_codes_end_in(dex: Dex) -> None:
    """Nothing tells whoever waits that a person did not agree, nor that there is no such client."""
    fields = {"grant_type": DEVICE_CODE_GRANT, "client_id": PEOPLE}
    _, asked = dex.post("device_authorization_endpoint", client_id=PEOPLE, scope="openid")
    dex.decline(asked["verification_uri_complete"])
    assert error(dex.token(**fields, device_code=asked["device_code"])) == (400, "authorization_pending")
    assert error(dex.token(**fields, device_code="unknown")) == (400, "invalid_request")
    assert dex.post("device_authorization_endpoint", client_id="nobody", scope="openid")[0] == 200


def test_what_an_audience_needs(dex: Dex) -> None:
    assert audience(by_code(dex, scope=f"openid {FOR_KUBERNETES}")["id_token"]) == {PEOPLE, KUBERNETES}
    with pytest.raises(PageError, match="error=invalid_scope"):  # REGISTRY lists PEOPLE not among its trustedPeers
        by_browser(dex, scope=f"openid {FOR_REGISTRY}")


def test_what_it_does_not_have(dex: Dex) -> None:
    """Revocation, machines, and foreign assertions."""
    assert "revocation_endpoint" not in dex.metadata()
    for grant in ("client_credentials", JWT_BEARER):
        answer = dex.token(basic(CONFIDENTIAL), grant_type=grant, scope="openid")
        assert error(answer) == (400, "unsupported_grant_type")


def test_what_a_wrong_password_and_a_wrong_client_are_told(dex: Dex) -> None:
    password = {"grant_type": "password", "username": EMAIL, "password": PASSWORD, "scope": "openid"}
    good(dex.token(basic(CONFIDENTIAL), **password))
    assert error(dex.token(basic(CONFIDENTIAL), **password | {"password": "no"})) == (401, "access_denied")
    assert error(dex.token((CONFIDENTIAL, "wrong"), **password)) == (401, "invalid_client")


def test_what_token_exchange_takes(dex: Dex, start: Callable[[RealProvider], RealProvider]) -> None:
    """A token of the provider behind a connector; the audience is a scope, and no connector no exchange."""
    subject = by_browser(dex)
    below = start(Dex(upstream=dex))
    fields = {"grant_type": EXCHANGE, "connector_id": UPSTREAM}
    from_id = {"subject_token": subject["id_token"], "subject_token_type": ID_TOKEN}
    for more, expected in (({}, {CONFIDENTIAL}), ({"audience": KUBERNETES}, {CONFIDENTIAL})):
        answer = good(below.token(basic(CONFIDENTIAL), **fields, **from_id, scope="openid", **more))
        assert audience(answer["access_token"]) == expected
        assert claims(answer["access_token"])["iss"] == below.issuer
        assert "refresh_token" not in answer
    scoped = good(below.token(basic(CONFIDENTIAL), **fields, **from_id, scope=f"openid {FOR_KUBERNETES}"))
    assert audience(scoped["access_token"]) == {CONFIDENTIAL, KUBERNETES}
    own = {"grant_type": EXCHANGE, "subject_token": subject["access_token"], "subject_token_type": ACCESS_TOKEN}
    refused = dex.token(basic(CONFIDENTIAL), **own, connector_id="local", scope="openid")
    assert error(refused) == (400, "invalid_request")
