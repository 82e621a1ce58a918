"""Renewing without a person: what is saved first, and what only a sign-in can mend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    InteractionRequired,
    TokenResponseError,
    TransportError,
)
from integration.servers.hostile_provider import HostileProvider, answer, html, oauth_error, raw, reset
from tests.helpers.broker import CODE, DEVICE, TOKEN, World
from tests.helpers.clock import FakeClock


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    with HostileProvider(now=clock.now) as provider:
        yield World(provider, tmp_path / "state", clock)


def expired(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)


def kept(world: World) -> list[str]:
    return world.refresh_tokens()


# --- an answer that is no good, with a refresh token in it ---

NO_GOOD: list[dict[str, object]] = [
    {"token_type": "DPoP"},
    {"token_type": "N_A"},
    {"access_token": "with a space"},
    {"access_token": "with\nbreak"},
    {"access_token": None},
    {"access_token": ""},
    {"access_token": 7},
    {"access_token": ["access"]},
    {"error": {"code": 7}},
    {"error": "Not an OAuth error"},
    {"error": "server_error"},
    {"error": "temporarily_unavailable"},
    {"error": "invalid_request"},
    {"error": "invalid_grant"},
    {"error": "rate_limit_exceeded"},
]


@pytest.mark.parametrize("wrong", NO_GOOD)
def test_the_refresh_token_of_an_answer_that_is_no_good_is_saved_before_it_is_refused(
    world: World, wrong: dict[str, object]
) -> None:
    expired(world)
    world.provider.script(TOKEN, answer({**world.tokens(), **wrong}))
    with pytest.raises(CredentialHelperError) as caught:
        world.obtain()
    assert caught.value.exit_code in (69, 75, 76, 77)
    assert kept(world) == ["refresh-2"]
    assert world.session.refreshable
    assert "refresh-2" not in f"{caught.value} {caught.value.refresh_token!r} {vars(caught.value)}"
    world.clock.advance(61)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-3"
    assert world.provider.to(TOKEN)[-1].field("refresh_token") == "refresh-2"


@pytest.mark.parametrize(
    "odd",
    [
        {"expires_in": "soon"},
        {"expires_in": {"seconds": 3600}},
        {"expires_in": 10**400},
        {"expires_in": -(10**30)},
        {"expires_in": True},
        {"scope": 7},
        {"scope": ["a b", "c"]},
        {"scope": "openid " + "x" * 100_000},
        {"id_token": 7},
        {"id_token": "no.jwt"},
        {"id_token": "a.b.c"},
        {"id_token": "eyJhbGciOiJub25lIn0.eyJleHAiOjFlOTk5fQ."},
        {"id_token": ""},
        {"token_type": 7},
        {"token_type": None},
        {"received_at": 1},
        {"nonce": ["n"]},
    ],
)
def test_odd_members_beside_a_good_token_stop_nothing_from_being_saved(world: World, odd: dict[str, object]) -> None:
    expired(world)
    world.provider.script(TOKEN, answer({**world.tokens(), **odd}))
    assert world.token() == "access-2"
    assert kept(world) == ["refresh-2"]


def test_the_refresh_token_beside_another_persons_id_token_is_saved_for_logout(world: World) -> None:
    expired(world)
    body = world.tokens()
    body["id_token"] = world.id_token(sub="mallory")
    world.provider.script(TOKEN, answer(body))
    with pytest.raises(AuthorizationError, match="another person"):
        world.obtain()
    assert kept(world) == ["refresh-2"]
    assert world.grant.revoke_only


@pytest.mark.parametrize("wrong", [{"token_type": "DPoP"}, {"access_token": None}])
def test_a_sign_in_that_is_no_good_is_given_back(world: World, wrong: dict[str, object]) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, answer({**world.tokens(), **wrong}))
    world.provider.script("/revoke", answer({}))
    with pytest.raises(TokenResponseError):
        world.obtain()
    assert world.stored() is None
    assert [one.field("token") for one in world.provider.to("/revoke")] == ["refresh-1"]


# --- what only a sign-in can mend ---

REFUSED = [
    *("interaction_required", "login_required", "consent_required", "account_selection_required", "mfa_required"),
    *("unmet_authentication_requirements", "invalid_request", "invalid_scope", "invalid_target", "access_denied"),
    *("unauthorized_client", "unsupported_grant_type", "invalid_token", "expired_token", "session_expired"),
]


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("code", REFUSED)
def test_whatever_the_provider_calls_it_a_person_is_asked(world: World, code: str, status: int) -> None:
    expired(world)
    world.approves(oauth_error(code, status))
    assert world.token() == "access-2"
    assert len(world.person.prompts) == 1
    assert kept(world) == ["refresh-2"]
    assert world.grant.refused is None


@pytest.mark.parametrize("status", [400, 401, 403, 410, 422])
@pytest.mark.parametrize(
    "body", [{"message": "Refresh token inactive"}, {"error": {"message": "gone"}}, "", "<p>no</p>"]
)
def test_a_refusal_without_an_oauth_error_is_one_too(world: World, body: Any, status: int) -> None:
    expired(world)
    world.approves(answer(body, status))
    assert world.token() == "access-2"
    assert len(world.person.prompts) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        *((status, {"message": "later"}) for status in (408, 425, 429, 500, 502, 503)),
        (429, {"error": "rate_limit_exceeded"}),
        (429, {"error": "interaction_required"}),
        (400, {"error": "slow_down"}),
        (500, {"error": "authorization_pending"}),
        (500, {"error": "internal_server_error"}),
        (500, {"error": "invalid_grant"}),
        (503, {"error": "invalid_request", "error_description": "the database is away"}),
        (400, {"error": "temporarily_unavailable"}),
    ],
)
def test_what_is_no_refusal_asks_nobody_and_keeps_everything(
    world: World, status: int, said: dict[str, object]
) -> None:
    expired(world)
    world.provider.script(TOKEN, answer(said, status))
    with pytest.raises(CredentialHelperError) as caught:
        world.obtain()
    assert caught.value.exit_code in (69, 75)
    assert world.person.prompts == []
    assert kept(world) == ["refresh-1"]
    assert world.grant.refused is None


def test_a_dead_refresh_token_is_dead_whatever_the_status(world: World) -> None:
    expired(world)
    world.approves(oauth_error("invalid_grant", 429))
    assert world.token() == "access-2"
    assert len(world.person.prompts) == 1


@pytest.mark.parametrize("trouble", [reset(), html(404), html(407), raw(b"HTTP/1.1 200 OK\r\n\r\n{half")])
def test_what_never_reached_the_provider_is_no_refusal(world: World, trouble: Any) -> None:
    expired(world)
    world.provider.script(TOKEN, trouble)
    with pytest.raises(CredentialHelperError):
        world.obtain()
    assert world.person.prompts == []
    assert kept(world) == ["refresh-1"]


@pytest.mark.parametrize("code", ["invalid_client", "use_dpop_nonce"])
def test_a_refused_client_cannot_be_mended_by_a_person(world: World, code: str) -> None:
    expired(world)
    world.provider.script(TOKEN, oauth_error(code))
    with pytest.raises(AuthorizationError):
        world.obtain()
    assert world.person.prompts == []
    assert kept(world) == ["refresh-1"]


def test_a_refused_refresh_token_stays_until_a_sign_in_brings_the_next(world: World) -> None:
    """What was refused may be mended at the provider."""
    expired(world)
    world.person.there = False
    world.provider.script(TOKEN, oauth_error("invalid_request", 400, "no"))
    with pytest.raises(AuthorizationError, match=r"refused the refresh token \(invalid_request: no\)") as caught:
        world.obtain(tool="credential-helper")
    assert caught.value.hint == "credential-helper login prod"
    assert kept(world) == ["refresh-1"]
    world.clock.advance(31)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"
    assert world.grant.refused is None


def test_a_declined_prompt_loses_no_refresh_token(world: World) -> None:
    expired(world)
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("invalid_request"), oauth_error("access_denied", 403))
    with pytest.raises(AuthorizationError):
        world.obtain()
    assert kept(world) == ["refresh-1"]


def test_a_refused_refresh_token_is_not_sent_again_in_a_storm(world: World) -> None:
    expired(world)
    world.person.there = False
    world.provider.script(TOKEN, oauth_error("invalid_request"))
    with pytest.raises(AuthorizationError):
        world.obtain(tool="credential-helper")
    for _ in range(3):
        world.clock.advance(9)
        with pytest.raises(InteractionRequired, match="refused the refresh token"):
            world.obtain(tool="credential-helper")
    assert len(world.grants()) == 1
    with pytest.raises(AuthorizationError):
        world.obtain("renew", tool="credential-helper")  # a person insists
    assert len(world.grants()) == 2


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_request"])
def test_after_a_refusal_each_command_tells_the_same_story(world: World, code: str) -> None:
    world.signed_in()
    world.clock.advance(600)
    world.provider.script(TOKEN, oauth_error(code, 400, "inactive"))
    with pytest.raises(AuthorizationError) as first:
        world.obtain("renew", tool="credential-helper")
    assert world.grant.refused == (world.clock.now(), first.value.sentence)
    assert world.token() == "access-1"  # it is good until its end, and is answered as long
    world.person.there = False
    world.clock.advance(3000)
    for _ in range(2):
        for insists in (False, True):
            with pytest.raises(CredentialHelperError) as caught:
                world.obtain("renew" if insists else "any", tool="credential-helper")
            assert "refused the refresh token" in caught.value.sentence
            assert caught.value.hint == "credential-helper login prod"
    world.approves()
    world.person.there = True
    assert world.token() == "access-2"
    assert world.grant.refused is None


# --- a refresh that brings no ID token, where a tool wants one ---


def wants_id_tokens(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="auto", audience=None)


def without(world: World, **more: Any) -> Any:
    return answer(world.tokens(id_token=False, **more))


def test_an_id_token_is_asked_for_by_its_scope_where_none_came(world: World) -> None:
    wants_id_tokens(world)
    expired(world)
    world.provider.script(TOKEN, without(world), answer(world.tokens()))
    found = world.obtain()
    assert found.credential.kind == "id"
    assert [one.field("scope") for one in world.provider.to(TOKEN)] == [None, "openid profile email offline_access"]
    assert [one.field("refresh_token") for one in world.provider.to(TOKEN)] == ["refresh-1", "refresh-2"]
    assert world.person.prompts == []


def test_what_brought_an_id_token_is_done_at_once_the_next_time(world: World) -> None:
    wants_id_tokens(world)
    expired(world)
    world.provider.script(TOKEN, without(world), answer(world.tokens()))
    world.obtain()
    world.clock.advance(3600)
    world.provider.requests.clear()
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.obtain().credential.kind == "id"
    assert [one.field("scope") for one in world.provider.to(TOKEN)] == ["openid profile email offline_access"]


@pytest.mark.parametrize("said", [oauth_error("invalid_scope"), oauth_error("invalid_request", 401), None])
def test_where_the_scope_does_not_help_a_person_signs_in(world: World, said: Any) -> None:
    wants_id_tokens(world)
    expired(world)
    world.approves(without(world), said or without(world))
    assert world.obtain().credential.kind == "id"
    assert len(world.person.prompts) == 1
    (warning,) = world.person.warnings
    assert "renews no ID tokens" in warning
    assert 'token = "access" needs none' in warning


def test_what_was_tried_is_said_before_a_sign_in_is_asked_for(world: World) -> None:
    wants_id_tokens(world)
    expired(world)
    world.person.there = False
    world.provider.script(TOKEN, without(world), oauth_error("invalid_scope"))
    with pytest.raises(InteractionRequired) as caught:
        world.obtain()
    assert caught.value.sentence == (
        f'{world.provider.host} renews no ID tokens, not even when asked for the scope "openid", so '
        'token = "id" needs a new sign-in'
    )
    assert caught.value.hint == "credential-helper login prod"
    assert kept(world) == ["refresh-2"]
    assert world.grant.refused is None
    assert world.obtain(tool="credential-helper").credential.token.reveal() == "access-2"


def test_no_network_for_the_second_question_is_no_reason_to_sign_in(world: World) -> None:
    wants_id_tokens(world)
    expired(world)
    world.provider.script(TOKEN, without(world), html(502))
    with pytest.raises(TransportError):
        world.obtain()
    assert kept(world) == ["refresh-2"]
    assert world.person.prompts == []


def as_jwt(world: World, **claims: Any) -> dict[str, object]:
    return {**world.tokens(id_token=False), "access_token": world.id_token(**claims)}


def test_an_access_token_that_passes_every_check_of_an_id_token_stands_in_for_one(world: World) -> None:
    wants_id_tokens(world)
    expired(world)
    body = as_jwt(world, scope="openid", jti="1")
    world.provider.script(TOKEN, answer(body))
    assert world.token() == body["access_token"]
    assert world.person.prompts == []
    requests = len(world.requests())
    assert world.token() == body["access_token"]
    assert len(world.requests()) == requests


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://api.example.com"},
        {"sub": "client"},
        {"email": None},
        {"iss": "https://elsewhere.example"},
        {"azp": "another"},
        {"exp": 1},
        {"iat": None},
    ],
)
def test_any_other_access_token_does_not(world: World, claims: dict[str, Any]) -> None:
    wants_id_tokens(world)
    expired(world)
    world.person.there = False
    world.provider.script(TOKEN, answer(as_jwt(world, **claims)))
    with pytest.raises(InteractionRequired, match="renews no ID tokens"):
        world.obtain()
    assert world.session.refreshable


def test_whoever_asks_for_an_id_token_by_name_gets_no_other(world: World) -> None:
    wants_id_tokens(world)
    expired(world)
    world.person.there = False
    world.provider.script(TOKEN, answer(as_jwt(world)))
    with pytest.raises(InteractionRequired, match="renews no ID tokens"):
        world.obtain(tool="credential-helper", token="id")


def test_a_provider_that_has_never_sent_an_id_token_gets_its_own_sentence(world: World) -> None:
    """A sign-in would change nothing, so nobody is asked."""
    wants_id_tokens(world)
    world.approves(id_token=False)
    world.obtain(tool="credential-helper")
    world.person.prompts.clear()
    world.provider.script(TOKEN, without(world))
    with pytest.raises(AuthorizationError, match="has never sent an ID token") as caught:
        world.obtain()
    assert caught.value.error == "no_id_token"
    assert 'scope "openid"' in (caught.value.hint or "")
    assert 'token = "access"' in (caught.value.hint or "")
    assert world.person.prompts == []
    assert world.session.refreshable
