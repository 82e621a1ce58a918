from __future__ import annotations

import pytest

from credential_helper.errors import AuthorizationError, RateLimited, TokenResponseError, TransportError
from credential_helper.model import Endpoints, Secret
from credential_helper.oauth.endpoints import revocation
from credential_helper.oauth.provider import Provider
from integration.servers.hostile_provider import (
    Behaviour,
    HostileProvider,
    answer,
    empty,
    html,
    oauth_error,
    rate_limited,
)
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import provider_at

TOKEN = Secret("v1.refresh-token-in-use")


@pytest.fixture
def hostile(hostile: HostileProvider) -> HostileProvider:
    hostile.script("/revoke", empty(200))
    return hostile


def revoke(provider: Provider) -> bool:
    return revocation.revoke(provider, TOKEN, "refresh_token")


def test_the_token_and_its_kind_are_sent_in_the_form(hostile: HostileProvider, clock: FakeClock) -> None:
    assert revoke(provider_at(hostile, clock, parameters=(("organization", "org_1"),))) is True
    (request,) = hostile.to("/revoke")
    assert (request.method, request.query) == ("POST", "")
    assert request.fields == [
        ("token", "v1.refresh-token-in-use"),
        ("token_type_hint", "refresh_token"),
        ("client_id", "cli"),
    ]


def test_c12_a_confidential_client_authenticates(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/revoke", oauth_error("invalid_client", 401), empty(200))
    assert revoke(provider_at(hostile, clock, secret="s3cr3t")) is True
    first, second = hostile.to("/revoke")
    assert "authorization" in first.headers
    assert second.field("client_secret") == "s3cr3t"


def test_c28_an_endpoint_without_tls_gets_nothing(clock: FakeClock) -> None:
    with HostileProvider(now=clock.now) as hostile, HostileProvider(now=clock.now) as other:
        hostile.serve_metadata(revocation_endpoint=f"{other.url}/revoke")
        with pytest.raises(TokenResponseError):
            revoke(provider_at(hostile, clock))
        assert not other.requests


@pytest.mark.parametrize("body", [empty(200), html(200), answer({}), answer("ok"), empty(204)])
def test_c29_a_200_is_done_whatever_its_body(hostile: HostileProvider, clock: FakeClock, body: Behaviour) -> None:
    hostile.script("/revoke", body)
    assert revoke(provider_at(hostile, clock)) is True


def test_an_oauth_error_on_a_200_is_no_success(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/revoke", oauth_error("invalid_request", 200))
    with pytest.raises(AuthorizationError, match="did not revoke the token"):
        revoke(provider_at(hostile, clock))


def test_c30_a_503_means_that_the_token_lives(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/revoke", empty(503))
    with pytest.raises(TransportError, match="answered 503"):
        revoke(provider_at(hostile, clock))
    assert not clock.slept


def test_c30_retry_after_of_a_503_is_honoured_once(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/revoke", rate_limited(5, status=503), empty(200))
    assert revoke(provider_at(hostile, clock)) is True
    assert clock.slept == [5.0]


def test_c30_a_longer_retry_after_is_told(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/revoke", rate_limited(600, status=503))
    with pytest.raises(TransportError, match="it asks to come back in 10 min"):
        revoke(provider_at(hostile, clock))
    hostile.script("/revoke", rate_limited(600))
    with pytest.raises(RateLimited):
        revoke(provider_at(hostile, clock))
    assert not clock.slept


def test_c31_unsupported_token_type_is_tolerated(hostile: HostileProvider, clock: FakeClock) -> None:
    notes: list[str] = []
    hostile.script("/revoke", oauth_error("unsupported_token_type", 400))
    assert revoke(provider_at(hostile, clock, notes=notes)) is False
    assert notes == [f"{hostile.host} does not revoke tokens of the kind refresh_token"]


def test_a_provider_without_a_revocation_endpoint_is_asked_nothing(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.serve_metadata(revocation_endpoint=None)
    assert revoke(provider_at(hostile, clock)) is False
    assert not hostile.to("/revoke")


def test_the_revocation_endpoint_of_the_profile_replaces_the_discovered_one(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    hostile.script("/mine", empty(200))
    assert revoke(provider_at(hostile, clock, endpoints=Endpoints(revocation=f"{hostile.url}/mine"))) is True
    assert len(hostile.to("/mine")) == 1


def test_a_refused_client_is_an_error(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/revoke", oauth_error("invalid_client", 401))
    with pytest.raises(AuthorizationError, match="refused the client"):
        revoke(provider_at(hostile, clock))
