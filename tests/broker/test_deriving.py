"""One sign-in, many audiences: what a grant that was made for one brings for another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.broker.errand import Errand, Mode
from credential_helper.broker.forget import forget
from credential_helper.broker.obtain import obtain
from credential_helper.errors import AuthorizationError, InteractionRequired, StoreError, TransportError
from credential_helper.model import Source
from integration.servers.hostile_provider import Behaviour, HostileProvider, answer, oauth_error, reset
from tests.helpers.broker import CODE, DEVICE, TOKEN, World
from tests.helpers.clock import FakeClock
from tests.helpers.requests import request_by

API, GIT, DOCKER = "https://api.example.com", "https://git.example.com", "https://registry.example.com"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


class Audiences(World):
    """A world whose profile is asked for several audiences."""

    def __init__(self, provider: HostileProvider, state: Path, clock: FakeClock) -> None:
        super().__init__(provider, state, clock)
        self.queue: list[Behaviour] = []

    def then(self, *behaviours: Behaviour) -> None:
        """Have the token endpoint answer so, after what it was told before."""
        self.queue.extend(behaviours)
        self.provider.script(TOKEN, lambda exchange: self.queue.pop(0)(exchange))

    def token_for(self, audience: str | None, mode: Mode = "any", **more: Any) -> str:
        return self.at(audience, **more).token(mode, target=audience)

    def at(self, audience: str | None, **more: Any) -> Audiences:
        self.profile = msgspec.structs.replace(self.profile, audience=audience, **more)
        return self

    def jwt(self, audience: object, **more: object) -> str:
        """Return an access token that says whom it is for."""
        now = int(self.clock.now())
        claims = {"iat": now, "exp": now + 3600, "jti": str(self.issued), **more}
        return self.key.sign({**self.provider.claims("client", **claims), "aud": audience})

    def brings(self, audience: object, **more: Any) -> str:
        """Have the next answer of the token endpoint bring a token for an audience; return that token."""
        body = self.tokens(**more)
        body["access_token"] = self.jwt(audience)
        self.then(answer(body))
        return str(body["access_token"])

    def sign_in_for(self, audience: str, **more: Any) -> None:
        """Sign in for one audience."""
        self.provider.script(DEVICE, answer(CODE))
        self.brings(audience, **more)
        self.at(audience).obtain()
        self.forget_requests()

    def forget_requests(self) -> None:
        self.provider.requests.clear()
        self.person.prompts.clear()
        self.person.closings.clear()
        self.person.told.clear()

    @property
    def host(self) -> str:
        return self.provider.url.partition("://")[2]

    def sent(self, name: str) -> list[str | None]:
        return [one.field(name) for one in self.provider.to(TOKEN)]


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[Audiences]:
    with HostileProvider(now=clock.now) as provider:
        yield Audiences(provider, tmp_path / "state", clock)


def confidential(world: Audiences, provider: str = "generic", **more: Any) -> None:
    source = Source(kind="env", value=("SECRET",), origin="here")
    world.profile = msgspec.structs.replace(world.profile, provider=provider, client_secret=source, **more)


def resources(world: Audiences, path: str, number: int = 0) -> list[str]:
    return [value for name, value in world.provider.to(path)[number].fields if name == "resource"]


# --- by refresh ---


def test_another_audience_costs_one_request_and_no_prompt(world: Audiences) -> None:
    world.sign_in_for(API)
    token = world.brings(GIT)
    assert world.token_for(GIT) == token
    assert world.requests() == [TOKEN]
    assert (world.sent("grant_type"), world.sent("audience")) == (["refresh_token"], [GIT])
    assert world.person.prompts == []
    assert world.refresh_tokens() == ["refresh-2"], "it has rotated"
    assert world.token_for(GIT) == token, "now it is kept"
    assert world.token_for(API) != token
    assert world.requests() == [TOKEN]


def test_a_session_has_no_refresh_token_of_its_own(world: Audiences) -> None:
    world.sign_in_for(API)
    world.brings(GIT)
    world.token_for(GIT)
    assert world.sessions.grants.ids("json") == [world.at(API).place.grant]
    files = [file.read_bytes() for file in (world.state / "sessions").glob("*.json")]
    assert len(files) == 2
    assert not any(b"refresh-" in content or b"sealed" in content for content in files)


def test_each_audience_is_renewed_by_the_same_grant(world: Audiences) -> None:
    world.sign_in_for(API)
    world.brings(GIT)
    world.token_for(GIT)
    for audience in (GIT, API, DOCKER, GIT):
        world.clock.advance(3600)
        token = world.brings(audience)
        assert world.token_for(audience) == token
    assert world.person.prompts == []
    assert world.sent("refresh_token") == [f"refresh-{number}" for number in (1, 2, 3, 4, 5)]
    assert world.sent("audience") == [GIT, GIT, None, DOCKER, GIT]


def test_resources_are_asked_for_at_once_and_served_one_by_one(world: Audiences) -> None:
    world.profile = msgspec.structs.replace(
        world.profile, audience=None, resource=(API,), other_resources=(GIT, DOCKER)
    )
    world.provider.script(DEVICE, answer(CODE))
    world.brings(API)
    world.obtain()
    assert resources(world, DEVICE, 0) == [API, GIT, DOCKER]
    assert resources(world, TOKEN, 0) == [API]
    world.forget_requests()
    world.profile = msgspec.structs.replace(world.profile, resource=(GIT,), other_resources=(API, DOCKER))
    token = world.brings([GIT, "https://other.example.com"])
    assert world.token() == token
    assert resources(world, TOKEN, 0) == [GIT]
    world.clock.advance(3600)
    world.profile = msgspec.structs.replace(world.profile, resource=(API,), other_resources=(GIT, DOCKER))
    world.brings(API)
    world.token()
    assert resources(world, TOKEN, 1) == [API]


def test_a_resource_that_no_sign_in_asked_for_is_not_asked_for(world: Audiences) -> None:
    """npm's oidc-provider spends the refresh token before it says invalid_target, and sends no other one then."""
    world.profile = msgspec.structs.replace(world.profile, audience=None, resource=(API,))
    world.then(answer({**world.tokens(), "access_token": world.jwt(API)}))
    world.provider.script(DEVICE, answer(CODE))
    world.obtain()
    world.forget_requests()
    world.profile = msgspec.structs.replace(world.profile, resource=(GIT,))
    own = world.brings(GIT)
    assert world.token(target=GIT) == own
    assert world.sent("grant_type") == ["urn:ietf:params:oauth:grant-type:device_code"]
    assert world.person.told == [f"{world.host} gives one token per sign-in; this one is for {GIT}"]


def test_another_scope_of_the_same_audience_is_narrowed(world: Audiences) -> None:
    world.sign_in_for(API)
    world.profile = msgspec.structs.replace(world.profile, scope=("read",))
    token = world.brings(API, scope="read", id_token=False)
    assert world.token() == token
    assert world.sent("scope") == ["read"]
    assert world.session.scope == ("read",)


def test_scopes_that_were_not_granted_are_noted(world: Audiences) -> None:
    world.sign_in_for(API)
    world.profile = msgspec.structs.replace(world.profile, scope=("read", "write"))
    token = world.brings(API, scope="read", id_token=False)
    assert world.token() == token
    assert any("granted the scope 'read', not 'read write'" in note for note in world.notes)


def test_an_audience_in_a_scope_is_known_by_the_scope(world: Audiences) -> None:
    """Entra ID names an application by its id in the token, and by its URI in the scope."""
    world.profile = msgspec.structs.replace(world.profile, provider="entra")
    world.sign_in_for("api://one")
    token = world.brings("6b7a5e6c-one-of-its-ids", scope="api://two/user_impersonation openid")
    assert world.token_for("api://two") == token
    assert "api://two/.default" in str(world.sent("scope")[0])


def test_dex_is_asked_by_scope(world: Audiences) -> None:
    """It says invalid_request of one that the sign-in did not ask for, and of a refresh token that is dead."""
    world.profile = msgspec.structs.replace(world.profile, provider="dex")
    world.sign_in_for(API)
    token = world.brings(["client", GIT])
    assert world.token_for(GIT) == token
    assert f"audience:server:client_id:{GIT}" in str(world.sent("scope")[0]).split()
    world.forget_requests()
    world.then(oauth_error("invalid_request"))
    world.brings(["client", API])
    expect_one_of_its_own(world, DOCKER)


def test_the_id_token_comes_with_any_refresh(world: Audiences) -> None:
    world.sign_in_for(GIT)
    world.brings(GIT)
    assert world.token_for(None, token="id") == world.session.id.value.reveal()  # type: ignore[union-attr]
    assert world.session.access is None, "which is for git, and nothing was asked for"
    assert world.person.prompts == []


# --- what is none for what was asked ---

WRONG = {
    "for the old audience": API,
    "for somebody else": "https://elsewhere.example.com",
    "a list without it": [API, "https://issuer.example.com/userinfo"],
    "for nobody": None,
    "for a longer one": f"{GIT}/",
}


def expect_one_of_its_own(world: Audiences, audience: str = GIT) -> str:
    """Check that another audience is asked a person for, once and with the reason, and is quiet then."""
    world.provider.script(DEVICE, answer(CODE))
    own = world.brings(audience)
    assert world.token_for(audience) == own
    assert world.person.told == [f"{world.host} gives one token per sign-in; this one is for {audience}"]
    assert len(world.person.prompts) == 1
    world.forget_requests()
    assert world.token_for(audience) == own
    assert (world.requests(), world.person.prompts) == ([], [])
    return own


@pytest.mark.parametrize("audience", WRONG.values(), ids=WRONG)
def test_a_token_for_something_else_is_answered_to_nobody(world: Audiences, audience: object) -> None:
    world.sign_in_for(API)
    wrong = world.brings(audience)
    assert wrong != expect_one_of_its_own(world)
    assert sorted(world.refresh_tokens()) == ["refresh-2", "refresh-3"], "what came with it has rotated"
    files = b"".join(file.read_bytes() for file in world.state.rglob("*.json"))
    assert wrong.encode() not in files


def test_an_opaque_token_is_answered_to_nobody(world: Audiences) -> None:
    world.sign_in_for(API)
    world.then(answer(world.tokens()))
    expect_one_of_its_own(world)
    assert sorted(world.refresh_tokens()) == ["refresh-2", "refresh-3"]


def test_none_of_the_scopes_is_a_refusal(world: Audiences) -> None:
    world.sign_in_for(API)
    world.profile = msgspec.structs.replace(world.profile, scope=("write",))
    world.brings(API, scope="read", id_token=False)
    world.person.there = False
    with pytest.raises(InteractionRequired):
        world.token()
    assert any("granted none of the scopes write" in note for note in world.notes)


@pytest.mark.parametrize(
    "error",
    ["invalid_target", "invalid_scope", "interaction_required", "consent_required", "access_denied", "invalid_request"],
)
def test_a_refusal_is_about_this_audience_alone(world: Audiences, error: str) -> None:
    world.sign_in_for(API)
    world.then(oauth_error(error))
    expect_one_of_its_own(world)
    world.clock.advance(3600)
    token = world.brings(API)
    assert world.token_for(API) == token
    assert world.sent("refresh_token") == ["refresh-1"]


def test_invalid_grant_of_this_audience_alone_ends_no_grant(world: Audiences) -> None:
    """Entra ID says so of a consent that is missing."""
    world.sign_in_for(API)
    world.then(oauth_error("invalid_grant"))
    world.brings(API)
    expect_one_of_its_own(world)
    world.clock.advance(3600)
    world.brings(API)
    world.token_for(API)
    assert world.person.prompts == []


def test_a_dead_grant_is_replaced_and_serves_both_then(world: Audiences) -> None:
    world.sign_in_for(API)
    world.clock.advance(3600)
    world.then(oauth_error("invalid_grant"), oauth_error("invalid_grant"))
    world.provider.script(DEVICE, answer(CODE))
    token = world.brings(GIT)
    assert world.token_for(GIT) == token
    assert len(world.person.prompts) == 1
    assert world.person.told == []
    api = world.brings(API)
    assert world.token_for(API) == api
    assert len(world.person.prompts) == 1
    assert len(world.sessions.grants.ids("json")) == 1


def test_a_trouble_on_the_way_is_no_answer(world: Audiences) -> None:
    world.sign_in_for(API)
    world.then(reset())
    with pytest.raises(TransportError):
        world.token_for(GIT)
    assert world.person.prompts == []
    world.clock.advance(60)
    token = world.brings(GIT)
    assert world.token_for(GIT) == token


def test_what_the_provider_does_not_give_is_remembered_for_a_day(world: Audiences) -> None:
    world.sign_in_for(API)
    world.person.there = False
    world.brings(API)
    with pytest.raises(InteractionRequired):
        world.token_for(GIT)
    world.forget_requests()
    world.clock.advance(60)
    with pytest.raises(InteractionRequired):
        world.token_for(GIT)
    assert world.requests() == []
    world.clock.advance(86400)
    token = world.brings(GIT)
    assert world.token_for(GIT) == token


def test_a_refresh_by_hand_asks_again(world: Audiences) -> None:
    world.sign_in_for(API)
    world.person.there = False
    world.brings(API)
    with pytest.raises(InteractionRequired):
        world.token_for(GIT)
    token = world.brings(GIT)
    assert world.token_for(GIT, "renew") == token


@pytest.mark.parametrize("changes", [{"multi_resource": "off"}, {"provider": "gitlab"}])
def test_who_gives_one_token_per_sign_in_is_not_asked(world: Audiences, changes: dict[str, Any]) -> None:
    world.profile = msgspec.structs.replace(world.profile, **changes)
    world.sign_in_for(API)
    expect_one_of_its_own(world)


def test_each_sign_in_of_its_own_is_renewed_by_itself(world: Audiences) -> None:
    world.profile = msgspec.structs.replace(world.profile, multi_resource="off")
    world.sign_in_for(API)
    expect_one_of_its_own(world)
    world.clock.advance(3600)
    tokens = {audience: world.brings(audience) for audience in (API, GIT)}
    assert {audience: world.token_for(audience) for audience in (API, GIT)} == tokens
    assert world.sent("refresh_token") == ["refresh-1", "refresh-2"]
    assert world.person.prompts == []


def test_without_a_refresh_token_each_audience_signs_in(world: Audiences) -> None:
    world.sign_in_for(API, refresh=False)
    before = world.token_for(API)
    expect_one_of_its_own(world)
    assert world.token_for(API) == before


def test_a_key_that_cannot_be_had_now_is_no_answer_of_the_provider_s(world: Audiences) -> None:
    world.sign_in_for(API)
    world.person.there = False
    records = dict(world.keyring.records)
    for kept in ({}, dict.fromkeys(records, "another key")):
        world.keyring.records = dict(kept)
        with pytest.raises(InteractionRequired):
            world.token_for(GIT)
        world.clock.advance(60)
    world.keyring.works = False
    with pytest.raises(StoreError):
        world.token_for(GIT)
    assert world.requests() == []
    world.clock.advance(60)
    world.keyring.works, world.keyring.records = True, records
    token = world.brings(GIT)
    assert world.token_for(GIT) == token


# --- by token exchange ---


def test_a_token_is_exchanged_where_the_row_says_so(world: Audiences) -> None:
    confidential(world, "keycloak")
    world.sign_in_for(API)
    token = world.brings(
        GIT, refresh=False, id_token=False, issued_token_type="urn:ietf:params:oauth:token-type:access_token"
    )
    before = world.token_for(API)
    assert world.token_for(GIT) == token
    assert (world.sent("grant_type"), world.sent("audience")) == ([EXCHANGE], [GIT])
    assert world.sent("subject_token") == [before]
    assert world.person.prompts == []


def test_what_is_exchanged_is_renewed_first(world: Audiences) -> None:
    confidential(world, "keycloak")
    world.sign_in_for(API)
    world.clock.advance(3600)
    api = world.brings(API)
    git = world.brings(GIT, refresh=False, id_token=False)
    assert world.token_for(GIT) == git
    assert world.sent("grant_type") == ["refresh_token", EXCHANGE]
    assert world.sent("subject_token")[1] == api
    assert world.token_for(API) == api


def test_a_public_client_exchanges_nothing(world: Audiences) -> None:
    world.profile = msgspec.structs.replace(world.profile, provider="keycloak")
    world.sign_in_for(API)
    expect_one_of_its_own(world)


def test_a_refused_exchange_is_about_this_audience(world: Audiences) -> None:
    confidential(world, "keycloak")
    world.sign_in_for(API)
    world.then(oauth_error("access_denied", 403))
    expect_one_of_its_own(world)


def test_an_audience_that_keycloak_does_not_know_is_no_wrong_secret(world: Audiences) -> None:
    """It says invalid_client of it, which elsewhere is about the client: that one has just signed in."""
    confidential(world, "keycloak")
    world.sign_in_for(API)
    world.then(oauth_error("invalid_client"))
    expect_one_of_its_own(world)


# --- signing in anew ---


def test_a_new_sign_in_ends_the_sessions_of_the_old_one(world: Audiences) -> None:
    world.sign_in_for(API)
    world.brings(GIT)
    old = world.token_for(GIT)
    world.provider.script(DEVICE, answer(CODE))
    world.brings(API)
    world.token_for(API, "sign-in")
    world.forget_requests()
    new = world.brings(GIT)
    assert world.token_for(GIT) == new != old
    assert world.sent("audience") == [GIT]


def test_another_person_takes_no_single_sign_in_over(world: Audiences) -> None:
    world.profile = msgspec.structs.replace(world.profile, multi_resource="off")
    world.sign_in_for(API)
    expect_one_of_its_own(world)
    assert len(world.sessions.grants.ids("json")) == 2
    world.provider.script(DEVICE, answer(CODE))
    world.brings(API, id_token=world.id_token(sub="bob", preferred_username="bob@example.com"))
    world.token_for(API, "sign-in")
    assert world.sessions.grants.ids("json") == [world.at(API).place.grant]


def test_a_sign_in_that_fails_its_check_costs_nothing(world: Audiences) -> None:
    world.sign_in_for(API)
    good = world.token_for(API)
    world.provider.script("/revoke", answer({}))
    world.provider.script(DEVICE, answer(CODE))
    world.brings(API, id_token=world.id_token(aud="somebody-else"))
    with pytest.raises(AuthorizationError):
        world.token_for(API, "sign-in")
    assert [one.field("token") for one in world.provider.to("/revoke")] == ["refresh-2"]
    world.forget_requests()
    assert world.token_for(API) == good
    assert world.requests() == []
    assert world.refresh_tokens() == ["refresh-1"]
    world.clock.advance(3600)
    world.brings(API)
    world.token_for(API)
    assert world.sent("refresh_token") == ["refresh-1"]


def test_a_sign_in_that_cannot_be_checked_now_is_checked_first_whatever_for(world: Audiences) -> None:
    world.profile = msgspec.structs.replace(world.profile, account="ada@example.com")
    world.provider.script(DEVICE, answer(CODE))
    world.brings(API, id_token=world.id_token())
    world.provider.script("/jwks", *(reset() for _ in range(4)))
    with pytest.raises(TransportError):
        world.token_for(API, token="id")
    assert world.sessions.arrived(world.place.grant) is not None
    world.provider.serve_keys(world.key)
    world.clock.advance(30)
    token = world.brings(GIT)
    assert world.token_for(GIT, token="auto") == token
    assert world.sessions.arrived(world.place.grant) is None
    assert len(world.person.prompts) == 1


# --- what an attack found ---------------------------------------------------------------------------------------------


def one_per_sign_in(world: Audiences) -> str:
    """Have two grants stand: one for API, and one of its own for GIT; return the token of the latter."""
    world.profile = msgspec.structs.replace(world.profile, multi_resource="off")
    world.sign_in_for(API)
    return expect_one_of_its_own(world)


def is_bob(world: Audiences) -> str:
    return world.id_token(sub="bob", preferred_username="bob@example.com")


def test_the_command_of_the_hint_mends_a_dead_sign_in_of_its_own_and_no_other(world: Audiences) -> None:
    one_per_sign_in(world)
    world.clock.advance(3600)
    world.person.there = False
    world.then(oauth_error("invalid_grant"))
    with pytest.raises(AuthorizationError):
        world.token_for(GIT)
    world.person.there = True
    world.provider.script(DEVICE, answer(CODE))
    git = world.brings(GIT)
    assert world.token_for(GIT, "sign-in") == git
    world.person.there = False
    world.clock.advance(60)
    assert world.token_for(GIT) == git
    api = world.brings(API)
    assert world.token_for(API) == api


def test_a_sign_in_for_all_takes_the_place_of_one_of_its_own(world: Audiences) -> None:
    one_per_sign_in(world)
    world.profile = msgspec.structs.replace(world.profile, multi_resource="auto")
    world.provider.script(DEVICE, answer(CODE))
    git = world.brings(GIT)
    assert world.token_for(GIT, "sign-in") == git
    assert len(world.sessions.grants.ids("json")) == 1
    assert world.token_for(GIT) == git


def test_another_person_who_is_verified_later_ends_the_others_single_sign_ins(world: Audiences) -> None:
    one_per_sign_in(world)
    shutil.rmtree(world.state / "metadata")
    world.provider.script(DEVICE, answer(CODE))
    world.brings(API, id_token=is_bob(world))
    world.provider.script("/jwks", *(reset() for _ in range(6)))
    with pytest.raises(TransportError):
        world.at(API).token("sign-in", token="id")
    world.provider.serve_keys(world.key)
    world.clock.advance(60)
    world.at(API).obtain()
    world.person.there = False
    with pytest.raises(InteractionRequired):
        world.token_for(GIT)


def test_so_does_one_who_signs_in_where_nobody_was(world: Audiences) -> None:
    one_per_sign_in(world)
    world.provider.script("/revoke", answer({}))
    forget(world.at(API).place.grant, lambda _: world.profile, lambda _: world.means)
    world.provider.script(DEVICE, answer(CODE))
    world.brings(API, id_token=is_bob(world))
    world.token_for(API, "sign-in")
    world.person.there = False
    with pytest.raises(InteractionRequired):
        world.token_for(GIT)


def test_a_process_that_still_has_the_key_of_an_earlier_sign_in_does_not_use_it(world: Audiences) -> None:
    world.sign_in_for(API)
    means = world.means

    def by_the_old_process(audience: str) -> str:
        profile = msgspec.structs.replace(world.profile, audience=audience)
        return obtain(Errand(profile=profile, request=request_by("kubectl")), means).credential.token.reveal()

    world.brings(GIT)
    by_the_old_process(GIT)
    world.provider.script("/revoke", answer({}))
    forget(world.at(API).place.grant, lambda _: world.profile, lambda _: world.means)
    world.sign_in_for(API)
    world.person.there = False
    token = world.brings(DOCKER)
    assert by_the_old_process(DOCKER) == token
    world.clock.advance(3600)
    token = world.brings(DOCKER)
    assert world.token_for(DOCKER) == token, "it was sealed under the key that the keyring has"


def test_a_disk_that_is_lost_between_renewal_and_exchange_costs_no_answer(world: Audiences) -> None:
    confidential(world, "keycloak")
    world.sign_in_for(API)
    world.clock.advance(3600)
    (world.state / "sessions" / f"{world.at(API).place.session}.json.new").mkdir()
    world.brings(API)
    git = world.brings(GIT, refresh=False, id_token=False)
    assert world.token_for(GIT) == git


def test_what_is_still_valid_is_answered_where_the_provider_has_changed_its_mind(world: Audiences) -> None:
    world.sign_in_for(API)
    token = world.brings(GIT)
    world.token_for(GIT)
    world.clock.advance(3600 - 30)
    world.person.there = False
    world.then(oauth_error("access_denied"))
    assert world.token_for(GIT) == token


def test_store_none_drops_nothing_that_another_profile_keeps(world: Audiences) -> None:
    world.sign_in_for(API)
    world.clock.advance(3600)
    world.brings(GIT)
    world.token_for(GIT, store="none", name="other")
    world.clock.advance(3600)
    world.person.there = False
    token = world.brings(API)
    assert world.token_for(API, store="auto", name="prod") == token
