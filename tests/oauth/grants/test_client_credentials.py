from __future__ import annotations

from typing import Any

import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError, RateLimited, TransportError
from credential_helper.model import Secret
from credential_helper.oauth.grants import client_credentials
from credential_helper.oauth.provider import Provider
from integration.servers.hostile_provider import HostileProvider, answer, oauth_error, rate_limited, reset
from tests.helpers.assertions import client_at
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at
from tests.helpers.interaction import FakeStage
from tests.helpers.providers import Memory


def machine(hostile: HostileProvider, clock: FakeClock, **settings: Any) -> Provider:
    return provider_at(hostile, clock, **{"flow": "client-credentials", "secret": "s3cr3t", **settings})


def test_a_machine_signs_in_with_one_request(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    client_credentials.sign_in(machine(hostile, clock), stage)
    (request,) = hostile.to("/token")
    assert request.fields == [("grant_type", "client_credentials")]
    assert "authorization" in request.headers
    assert [tokens.access_token for tokens in stage.tokens] == [Secret("at-1")]
    assert not stage.asked


def test_audience_resource_scope_and_parameters_are_sent(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    provider = machine(
        hostile,
        clock,
        audience="https://api.example",
        resource=("urn:a", "urn:b"),
        scope=("read", "write"),
        parameters=(("organization", "org_1"),),
    )
    client_credentials.sign_in(provider, stage)
    (request,) = hostile.to("/token")
    assert request.fields == [
        ("grant_type", "client_credentials"),
        ("scope", "read write"),
        ("audience", "https://api.example"),
        ("resource", "urn:a"),
        ("resource", "urn:b"),
        ("organization", "org_1"),
    ]


def test_c25_a_refresh_token_is_dropped(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    notes: list[str] = []
    hostile.script("/token", answer({**TOKENS, "refresh_token": "rt-1"}))
    client_credentials.sign_in(machine(hostile, clock, notes=notes), stage)
    assert stage.tokens[0].refresh_token is None
    assert notes == [f"{hostile.host} sent a refresh token to a machine: dropped (RFC 6749 §4.4.3)"]


@pytest.mark.parametrize("settings", [{"secret": None}, {"client_authentication": "none"}])
def test_a_machine_without_a_secret_is_told_so_before_anything_is_sent(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="needs a client secret or a private key") as caught:
        client_credentials.sign_in(machine(hostile, clock, **settings), stage)
    assert "client_secret = {" in (caught.value.hint or "")
    assert "private_key = {" in (caught.value.hint or "")
    assert not hostile.requests


def test_a_machine_with_a_private_key_needs_no_secret(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    client_credentials.sign_in(client_at(hostile, clock, flow="client-credentials"), stage)
    (request,) = hostile.to("/token")
    assert request.field("grant_type") == "client_credentials"
    assert request.field("client_assertion")
    assert request.field("client_secret") is None
    assert len(stage.tokens) == 1


def test_auth0s_401_access_denied_is_about_the_secret_and_not_about_a_person(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    hostile.script("/token", oauth_error("access_denied", 401, "Unauthorized"))
    with pytest.raises(AuthorizationError) as caught:
        client_credentials.sign_in(machine(hostile, clock), stage)
    assert caught.value.sentence == f"{hostile.host} refused the client id or secret (access_denied: Unauthorized)"
    assert caught.value.error == "invalid_client"
    assert caught.value.hint == "check client_id, client_secret and client_authentication"


def test_auth0s_403_access_denied_is_about_the_audience_too(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    hostile.script("/token", oauth_error("access_denied", 403, 'Client is not authorized to access "urn:a"'))
    with pytest.raises(AuthorizationError, match="secret, or its right to this audience") as caught:
        client_credentials.sign_in(machine(hostile, clock, provider="auth0"), stage)
    assert "Machine to Machine" in (caught.value.hint or "")
    assert len(hostile.to("/token")) == 1


def test_a_machine_with_a_key_is_not_told_about_a_secret(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    hostile.script("/token", oauth_error("access_denied", 403, 'Client is not authorized to access "urn:a"'))
    with pytest.raises(AuthorizationError, match="its right to this audience") as caught:
        client_credentials.sign_in(client_at(hostile, clock, flow="client-credentials"), stage)
    assert "secret" not in caught.value.sentence + (caught.value.hint or "")


def test_a_token_that_costs_money_is_never_asked_for_twice(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    hostile.script("/token", reset(), answer(TOKENS))
    with pytest.raises(TransportError):
        client_credentials.sign_in(machine(hostile, clock), stage)
    assert len(hostile.to("/token")) == 1


def test_a_used_up_quota_is_told_with_its_wait(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    hostile.script("/token", rate_limited(3540))
    with pytest.raises(RateLimited, match="come back in 59 min") as caught:
        client_credentials.sign_in(machine(hostile, clock), stage)
    assert caught.value.retry_after == 3540.0


def test_old_metadata_is_renewed_at_a_sign_in(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    documents = Memory()
    client_credentials.sign_in(machine(hostile, clock, documents=documents), stage)
    clock.advance(23 * 3600)
    client_credentials.sign_in(machine(hostile, clock, documents=documents), stage)
    assert len(hostile.to("/.well-known/openid-configuration")) == 1
    clock.advance(2 * 3600)
    client_credentials.sign_in(machine(hostile, clock, documents=documents), stage)
    assert len(hostile.to("/.well-known/openid-configuration")) == 2
