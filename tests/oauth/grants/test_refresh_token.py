from __future__ import annotations

import pytest

from credential_helper.errors import AuthorizationError, TransportError
from credential_helper.model import Secret
from credential_helper.oauth.grants import refresh_token
from integration.servers.hostile_provider import HostileProvider, answer, html, oauth_error
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at

IN_USE = Secret("v1.refresh-token-in-use")


def test_a_refresh_sends_the_token_and_nothing_more(hostile: HostileProvider, clock: FakeClock) -> None:
    refresh_token.refresh(provider_at(hostile, clock, audience="https://api.example"), IN_USE)
    (request,) = hostile.to("/token")
    assert request.fields == [
        ("grant_type", "refresh_token"),
        ("refresh_token", "v1.refresh-token-in-use"),
        ("client_id", "cli"),
    ]


def test_c22_a_returned_refresh_token_is_handed_on(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", answer({**TOKENS, "refresh_token": "rt-2"}))
    assert refresh_token.refresh(provider_at(hostile, clock), IN_USE).refresh_token == Secret("rt-2")


def test_c22_an_answer_without_a_refresh_token_is_handed_on_as_it_is(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    tokens = refresh_token.refresh(provider_at(hostile, clock), IN_USE)
    assert (tokens.access_token, tokens.refresh_token) == (Secret("at-1"), None)


def test_c22_the_scope_is_never_widened(hostile: HostileProvider, clock: FakeClock) -> None:
    refresh_token.refresh(provider_at(hostile, clock, scope=("openid", "admin")), IN_USE)
    (request,) = hostile.to("/token")
    assert request.field("scope") is None


def test_resource_is_sent_where_it_is_given(hostile: HostileProvider, clock: FakeClock) -> None:
    refresh_token.refresh(provider_at(hostile, clock), IN_USE, resource=("urn:a", "urn:b"))
    (request,) = hostile.to("/token")
    assert [value for name, value in request.fields if name == "resource"] == ["urn:a", "urn:b"]


@pytest.mark.parametrize(
    ("provider", "sent"),
    [
        ("generic", [("audience", "urn:api"), ("resource", "urn:a")]),
        ("entra", [("scope", "openid profile email offline_access urn:api/.default"), ("resource", "urn:a")]),
        ("pingfederate", [("aud", "urn:api"), ("resource", "urn:a")]),
    ],
)
def test_another_audience_is_asked_for_in_the_provider_s_words(
    hostile: HostileProvider, clock: FakeClock, provider: str, sent: list[tuple[str, str]]
) -> None:
    profile = {"audience": "urn:api", "resource": ("urn:a",), "flow": "device"}
    refresh_token.refresh_for(provider_at(hostile, clock, provider=provider, **profile), IN_USE)  # type: ignore[arg-type]
    (request,) = hostile.to("/token")
    assert [field for field in request.fields if field[0] in ("audience", "aud", "resource", "scope")] == sent


def test_scopes_are_sent_for_another_audience_where_the_profile_has_them(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    refresh_token.refresh_for(provider_at(hostile, clock, audience="urn:api", scope=("read",)), IN_USE)
    (request,) = hostile.to("/token")
    assert request.field("scope") == "read"


def test_a_refused_refresh_token_is_told_by_code(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", oauth_error("invalid_grant", 403, "Unknown or invalid refresh token"))
    with pytest.raises(AuthorizationError) as caught:
        refresh_token.refresh(provider_at(hostile, clock), IN_USE)
    assert caught.value.error == "invalid_grant"
    assert caught.value.sentence == (
        f"{hostile.host} refused the refresh token (invalid_grant: Unknown or invalid refresh token)"
    )


def test_a_refresh_that_may_have_been_seen_is_never_sent_again(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", html(502), answer(TOKENS))
    with pytest.raises(TransportError):
        refresh_token.refresh(provider_at(hostile, clock), IN_USE)
    assert len(hostile.to("/token")) == 1
