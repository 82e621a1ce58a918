"""Renewing without a person: what is saved first, and what only a sign-in can mend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    InteractionRequired,
    TokenResponseError,
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
    return list(world.keyring.records.values())


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
    assert world.session.revoke_only


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
    assert world.session.refused is None


@pytest.mark.parametrize("status", [400, 401, 403, 410, 422])
@pytest.mark.parametrize(
    "body", [{"message": "Refresh token inactive"}, {"error": {"message": "gone"}}, "", "<p>no</p>"]
)
def test_a_refusal_without_an_oauth_error_is_one_too(world: World, body: Any, status: int) -> None:
    expired(world)
    world.approves(answer(body, status))
    assert world.token() == "access-2"
    assert len(world.person.prompts) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_what_is_no_refusal_asks_nobody_and_keeps_everything(world: World, status: int) -> None:
    expired(world)
    world.provider.script(TOKEN, answer({"message": "later"}, status))
    with pytest.raises(CredentialHelperError) as caught:
        world.obtain()
    assert caught.value.exit_code in (69, 75)
    assert world.person.prompts == []
    assert kept(world) == ["refresh-1"]
    assert world.session.refused is None


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
    assert world.session.refused is None


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
    refused = world.session.refused
    assert refused is not None
    assert refused.sentence == first.value.sentence
    assert refused.at == world.clock.now()
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
    assert world.session.refused is None
