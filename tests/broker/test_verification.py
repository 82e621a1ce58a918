"""Answered only when verified, and never refused by facts that are older than the answer."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    TokenResponseError,
    TransportError,
    UnpublishedKey,
)
from credential_helper.model import Identity, Listed
from credential_helper.providers import DEVICE_CODE
from integration.servers.hostile_provider import (
    HostileProvider,
    SigningKey,
    answer,
    empty,
    html,
    reset,
    signing_key,
)
from tests.helpers.broker import CODE, DEVICE, TOKEN, World
from tests.helpers.clock import FakeClock

METADATA = "/.well-known/openid-configuration"


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    with HostileProvider(now=clock.now) as provider:
        world = World(provider, tmp_path / "state", clock)
        world.profile = msgspec.structs.replace(world.profile, token="id")
        yield world


def publishes(world: World, key: SigningKey, **metadata: object) -> None:
    endpoints = {
        "device_authorization_endpoint": world.provider.url + DEVICE,
        "revocation_endpoint": world.provider.url + "/revoke",
    }
    world.provider.serve_metadata(**{**endpoints, **metadata})
    world.provider.serve_keys(key)


def renews(world: World, **tokens: Any) -> None:
    world.provider.script(TOKEN, answer(world.tokens(**tokens)))


# --- a provider that changes what it signs with ---


@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA"])
def test_another_algorithm_is_found_in_new_metadata(world: World, alg: str) -> None:
    publishes(world, world.key, id_token_signing_alg_values_supported=["RS256"])
    world.signed_in()
    world.clock.advance(7200)
    world.key = signing_key(alg, "k2")
    publishes(world, world.key, id_token_signing_alg_values_supported=[alg])
    renews(world)
    found = world.obtain()
    assert found.credential.kind == "id"
    assert world.session.refreshable
    assert world.requests() == [TOKEN, "/jwks", METADATA]


@pytest.mark.parametrize("left", [None, reset()])
def test_another_address_of_the_keys_is_found_in_new_metadata(world: World, left: Any) -> None:
    world.signed_in()
    world.clock.advance(7200)
    world.key = signing_key("RS256", "k2", 3072)
    world.provider.serve_metadata(jwks_uri=world.provider.url + "/moved")
    world.provider.script("/moved", answer({"keys": [world.key.jwk()]}))
    if left is not None:
        world.provider.script("/jwks", left)
    renews(world)
    assert world.obtain().credential.kind == "id"


@pytest.mark.parametrize("mode", ["any", "sign-in"])
def test_a_person_may_sign_in_again_at_once_when_the_keys_have_changed(world: World, mode: Any) -> None:
    world.signed_in()
    for number in (2, 3):
        world.clock.advance(1)
        world.key = signing_key("RS256", f"k{number}", 3072)
        publishes(world, world.key)
        world.approves()
        if mode == "any":
            world.obtain("sign-in")
            world.sessions.erase(world.place.grant)
            world.approves()
        assert world.obtain(mode).credential.kind == "id"
        assert not world.session.unverified


def test_a_key_that_is_not_published_yet_wipes_nothing_and_is_answered_when_it_is(world: World) -> None:
    """A key set may come through a cache that is behind."""
    world.signed_in()
    world.clock.advance(7200)
    old, world.key = world.key, signing_key("RS256", "k2", 3072)
    publishes(world, old)
    renews(world)
    with pytest.raises(UnpublishedKey) as caught:
        world.obtain()
    assert caught.value.exit_code == 77
    assert "credential-helper login prod" in (caught.value.hint or "")
    assert world.session.refreshable
    world.clock.advance(31)
    with pytest.raises(UnpublishedKey):
        world.obtain()
    assert world.grants() == ["refresh_token"]
    world.clock.advance(300)
    publishes(world, world.key)
    assert world.obtain().credential.kind == "id"
    assert world.grants() == ["refresh_token"]


def test_a_sign_in_whose_key_is_never_published_gives_way_to_a_new_one(world: World) -> None:
    """It has to name the account, so its access token is not answered; when it is of no use any more, ask a person."""
    world.profile = msgspec.structs.replace(world.profile, token="access", account="ada@example.com")
    published, world.key = world.key, signing_key("RS256", "k2", 3072)
    world.approves()
    with pytest.raises(UnpublishedKey):
        world.obtain()
    world.clock.advance(31)
    with pytest.raises(UnpublishedKey):
        world.obtain()
    world.clock.advance(3600)
    world.key = published
    world.approves()
    assert world.token() == "access-2"
    assert len(world.person.prompts) == 2


@pytest.mark.parametrize("kid", ["k1", None])
def test_keys_that_changed_and_cannot_be_had_leave_the_mark(world: World, kid: str | None) -> None:
    world.key = signing_key("RS256", kid)
    publishes(world, world.key)
    world.signed_in()
    world.clock.advance(3600)
    new = signing_key("RS256", kid, 3072)
    body = world.tokens(id_token=False)
    body["id_token"] = world.id_token(new)
    world.provider.script(TOKEN, answer(body))
    world.provider.script("/jwks", html(503))
    with pytest.raises(TransportError):
        world.obtain()
    assert world.session.refreshable
    assert world.refresh_tokens() == ["refresh-2"]
    world.clock.advance(60)
    world.provider.serve_keys(new)
    world.provider.requests.clear()
    assert world.token() == body["id_token"]
    assert world.grants() == []


@pytest.mark.parametrize("kid", ["k1", None])
def test_keys_that_changed_after_they_were_asked_for_leave_the_mark(world: World, kid: str | None) -> None:
    """At a refresh they are asked for once in 5 minutes."""
    world.key = signing_key("RS256", kid)
    publishes(world, world.key)
    world.signed_in(expires_in=120)
    world.clock.advance(120)
    new = signing_key("RS256", kid, 3072)
    world.provider.serve_keys(new)
    body = world.tokens(id_token=False)
    body["id_token"] = world.id_token(new)
    world.provider.script(TOKEN, answer(body))
    with pytest.raises(TransportError, match="once in 5 minutes"):
        world.obtain("renew")
    assert world.session.refreshable
    world.clock.advance(300)
    world.provider.requests.clear()
    assert world.token() == body["id_token"]
    assert world.grants() == []


def test_a_forged_token_is_refused_by_keys_that_are_newer_than_it(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    body = world.tokens()
    body["id_token"] = world.id_token(signing_key("RS256", "k1", 3072))
    world.provider.script(TOKEN, answer(body))
    with pytest.raises(AuthorizationError, match="does not explain"):
        world.obtain()
    assert world.grant.revoke_only
    assert world.session.id is None


def test_whoever_was_killed_before_the_check_leaves_it_to_the_next(world: World) -> None:
    """Saved, and not a step further; the keys have changed under the same id in the meantime."""
    world.signed_in()
    world.clock.advance(1)
    world.key = signing_key("RS256", "k1", 3072)
    publishes(world, world.key)
    world.approves()

    world.provider.script("/jwks", reset())
    with pytest.raises(TransportError):
        world.obtain("sign-in")
    assert world.session.unverified
    world.clock.advance(30)
    publishes(world, world.key)
    world.provider.requests.clear()
    assert world.obtain().credential.kind == "id"
    assert world.grants() == []


# --- a refresh that says less than the sign-in did (OpenID Connect Core 1.0 §12.2) ---


def brings(world: World, **claims: Any) -> str:
    body = world.tokens()
    body["id_token"] = world.id_token(**claims)
    world.provider.script(TOKEN, answer(body))
    return str(body["id_token"])


@pytest.mark.parametrize("account", ["ada@example.com", "ADA@example.com", "ada", None])
def test_a_refresh_need_not_name_the_account_again(world: World, account: str | None) -> None:
    world.profile = msgspec.structs.replace(world.profile, account=account)
    world.signed_in()
    before = world.session.identity
    for _ in range(3):
        world.clock.advance(3600)
        token = brings(world, email=None, preferred_username=None, auth_time=1)
        assert world.token() == token
    assert world.session.identity == before
    assert world.session.identity is not None
    assert dict(world.session.identity.claims)["email"] == "ada@example.com"


def test_what_a_refresh_says_of_a_person_is_newer(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, account="ada@example.com")
    world.signed_in()
    world.clock.advance(3600)
    brings(world, email="lovelace@example.com", preferred_username=None)
    world.obtain()
    identity = world.session.identity
    assert isinstance(identity, Identity)
    assert identity.name == "ada@example.com"  # preferred_username, of the sign-in
    assert dict(identity.claims)["email"] == "lovelace@example.com"


@pytest.mark.parametrize("email", ["mallory@example.com", "ada@example.com", None])
def test_another_subject_is_another_person_whatever_it_is_called(world: World, email: str | None) -> None:
    world.profile = msgspec.structs.replace(world.profile, account="ada@example.com")
    world.signed_in()
    world.clock.advance(3600)
    brings(world, sub="mallory", email=email)
    with pytest.raises(AuthorizationError, match="another person"):
        world.obtain()
    assert world.grant.revoke_only


def test_an_issuer_that_lost_its_final_slash_is_no_other_person(world: World) -> None:
    world.signed_in()
    world.clock.advance(7200)
    slashed = f"{world.provider.issuer}/"
    publishes(world, world.key, issuer=slashed)
    token = brings(world, iss=slashed)
    assert world.token() == token


def test_a_sign_in_must_name_the_account(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, account="ada@example.com")
    world.provider.script(DEVICE, answer(CODE))
    brings(world, email=None, preferred_username=None)
    with pytest.raises(AuthorizationError, match="signed in as ada, but profile prod is for ada@example"):
        world.obtain()
    assert world.stored() is None


# --- what proves nothing, where nobody has to know who signed in ---


def unproven(world: World) -> dict[str, str]:
    signed = world.id_token()
    _, payload, signature = signed.split(".")
    hs256 = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    return {
        "a shared secret": f"{hs256}.{payload}.{signature}",
        "an unknown key": world.id_token(signing_key("RS256", "k7", 3072)),
        "no JWT": "opaque",
        "encrypted": "a.b.c.d.e",
        "no subject": world.id_token(sub=None),
        "an old one": world.id_token(exp=1, iat=0),
    }


UNPROVEN = ["a shared secret", "an unknown key", "no JWT", "encrypted", "no subject", "an old one"]


@pytest.mark.parametrize("what", UNPROVEN)
def test_an_id_token_that_proves_nothing_does_not_cost_the_access_token(world: World, what: str) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="access")
    world.approves(id_token=unproven(world)[what])
    found = world.obtain()
    assert found.credential.token.reveal() == "access-1"
    assert found.credential.identity is None
    (warning,) = world.person.warnings
    assert warning.endswith(": who signed in is not known | None")
    assert world.token() == "access-1"  # nothing is asked, and nothing said, again
    assert len(world.person.warnings) == 1
    assert world.grants() == [DEVICE_CODE]


@pytest.mark.parametrize("what", UNPROVEN)
@pytest.mark.parametrize(
    "needs",
    [
        {"account": "ada@example.com"},
        {"token": "id"},
        {"listed": (("git", (Listed(url="https://git.example.com", username="{email}"),)),)},
    ],
)
def test_where_it_is_needed_an_id_token_that_proves_nothing_is_refused_with_the_way_out(
    world: World, what: str, needs: dict[str, Any]
) -> None:
    world.profile = msgspec.structs.replace(world.profile, **{"token": "access", **needs})
    world.approves(id_token=unproven(world)[what])
    with pytest.raises(AuthorizationError) as caught:
        world.obtain()
    assert caught.value.hint
    assert not world.person.warnings


def test_a_key_that_is_published_later_makes_the_id_token_good(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="access")
    old, world.key = world.key, signing_key("RS256", "k2", 3072)
    world.approves()
    assert world.token() == "access-1"
    world.clock.advance(301)
    publishes(world, world.key)
    assert world.obtain(token="id").credential.identity is not None
    assert world.grants() == [DEVICE_CODE]
    assert old.kid == "k1"


NO_KEYS = [empty(404), html(500), html(200), answer({"keys": None}), answer([]), reset()]


@pytest.mark.parametrize("keys", NO_KEYS)
@pytest.mark.parametrize("id_token", [True, False])
def test_keys_that_nobody_needs_stop_no_renewal(world: World, keys: Any, *, id_token: bool) -> None:
    """They may be away for days; the refresh token dies of that, where it is not used."""
    world.profile = msgspec.structs.replace(world.profile, token="access")
    world.provider.script("/jwks", keys)
    world.approves()
    assert world.token() == "access-1"
    for number in (2, 3):
        world.clock.advance(3600)
        renews(world, id_token=id_token)
        assert world.token() == f"access-{number}"
        assert world.refresh_tokens() == [f"refresh-{number}"]
        assert any("not verified yet" in warning for warning in world.person.warnings)
    assert len(world.person.prompts) == 1
    publishes(world, world.key)
    world.clock.advance(3600)
    renews(world)
    assert world.token() == "access-4"
    assert not world.session.unverified


@pytest.mark.parametrize("needs", [{"token": "id"}, {"account": "ada@example.com"}])
def test_keys_that_somebody_needs_are_waited_for(world: World, needs: dict[str, Any]) -> None:
    world.profile = msgspec.structs.replace(world.profile, **{"token": "access", **needs})
    world.provider.script("/jwks", html(500))
    world.approves()
    with contextlib.suppress(TransportError):
        world.obtain()
    world.clock.advance(3600)
    with pytest.raises(TransportError, match="where its keys were expected"):
        world.obtain()
    assert world.grants() == [DEVICE_CODE]
    publishes(world, world.key)
    world.clock.advance(11)
    renews(world)
    assert world.obtain().credential.identity is not None


@pytest.mark.parametrize("jwks_uri", [None, 7, "/jwks", "http://elsewhere.example/jwks"])
def test_a_provider_that_publishes_no_keys_costs_no_access_token(world: World, jwks_uri: object) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="access")
    publishes(world, world.key, jwks_uri=jwks_uri)
    world.approves()
    assert world.token() == "access-1"
    (warning,) = world.person.warnings
    assert warning.endswith(": who signed in is not known | None")
    world.clock.advance(3600)
    renews(world)
    assert world.token() == "access-2"
    with pytest.raises(AuthorizationError, match="cannot be checked: ") as caught:
        world.obtain(token="id")
    assert "endpoints.jwks" in (caught.value.hint or "")
    assert len(world.person.warnings) == 1


@pytest.mark.parametrize(
    ("id_token", "way"),
    [
        ("a.b.c.d.e", "id_token_encrypted_response_alg"),
        ("opaque", "id_token_signed_response_alg"),
        ({"iat": None}, "whoever runs the provider"),
        ({"exp": "soon"}, "whoever runs the provider"),
        ({"aud": "other"}, "client_id"),
        ({"azp": "other"}, "client_id"),
        ({"iss": "https://evil.example"}, "issuer"),
    ],
)
def test_the_way_out_is_that_of_what_is_wrong(world: World, id_token: Any, way: str) -> None:
    world.approves(id_token=id_token if isinstance(id_token, str) else world.id_token(**id_token))
    with pytest.raises(AuthorizationError) as caught:
        world.obtain(token="id")
    assert way in (caught.value.hint or "")


@pytest.mark.parametrize("changes", [{"aud": "other"}, {"iss": "https://evil.example"}, {"azp": "other"}])
def test_another_s_id_token_costs_the_access_token(world: World, changes: dict[str, Any]) -> None:
    """Then whose answer this is is in doubt."""
    world.profile = msgspec.structs.replace(world.profile, token="access")
    world.approves(id_token=world.id_token(**changes))
    with pytest.raises(AuthorizationError):
        world.obtain()
    assert world.session.access is None


def test_another_s_id_token_is_not_signed_in_for_at_each_of_five_tries(world: World) -> None:
    world.approves(id_token=world.id_token(aud="other"))
    for _ in range(5):
        with pytest.raises(CredentialHelperError, match="is for another client"):
            world.obtain()
        world.clock.advance(1)
    assert len(world.person.prompts) == 1
    world.clock.advance(30)
    world.approves()
    assert world.obtain().credential.kind == "id"


# --- an answer without the access token that nobody needs ---


@pytest.mark.parametrize(
    "access", [{"access_token": None}, {"access_token": ""}, {"access_token": "a b"}, {"token_type": "DPoP"}]
)
def test_without_an_access_token_there_is_the_id_token(world: World, access: dict[str, object]) -> None:
    """Azure AD B2C sends none where no API's scope is asked for."""
    world.approves(**access)
    found = world.obtain()
    assert found.credential.kind == "id"
    assert world.session.access is None
    world.clock.advance(3600)
    renews(world, **access)
    assert world.obtain().credential.received_at == world.clock.now()
    assert world.refresh_tokens() == ["refresh-2"]


@pytest.mark.parametrize("access", [{"access_token": None}, {"access_token": "a b"}, {"token_type": "N_A"}])
def test_an_answer_without_the_access_token_that_is_needed_is_saved_and_refused(
    world: World, access: dict[str, object]
) -> None:
    """The refresh token that was sent for it is spent."""
    world.profile = msgspec.structs.replace(world.profile, token="access")
    world.signed_in()
    world.clock.advance(3600)
    renews(world, **access)
    with pytest.raises(TokenResponseError) as caught:
        world.obtain()
    assert 'token = "id"' in (caught.value.hint or "")
    assert world.refresh_tokens() == ["refresh-2"]
    renews(world)
    world.clock.advance(31)
    assert world.token() == "access-3"


@pytest.mark.parametrize("first", ["access", "id"])
def test_who_needs_the_id_token_does_not_spoil_it_for_who_needs_the_access_token(world: World, first: Any) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="auto")
    world.approves(id_token=unproven(world)["a shared secret"])
    for kind in (first, "id", "access", "id", "access"):
        if kind == "access":
            assert world.token(token="access") == "access-1"
        else:
            with pytest.raises(AuthorizationError, match="is signed with HS256") as caught:
                world.obtain(token="id")
            assert "credential-helper login prod" in (caught.value.hint or "")
        world.clock.advance(31)
    assert world.grants() == [DEVICE_CODE]  # and nobody was asked again
