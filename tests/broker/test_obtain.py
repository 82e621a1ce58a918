"""The order of things, over real HTTP against a provider that does what a test says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.broker.errand import Errand
from credential_helper.broker.forget import SignedOut, drop, forget
from credential_helper.broker.obtain import obtain
from credential_helper.errors import (
    AuthorizationError,
    ClockError,
    ConfigurationError,
    CredentialHelperError,
    InteractionRequired,
    LockTimeout,
    NewerFormat,
    RateLimited,
    RememberedError,
    StoreError,
    TransportError,
)
from credential_helper.model import Prompt, Secret, Source, Token
from credential_helper.session import Session
from credential_helper.stores import lock
from credential_helper.stores.private_files import State
from credential_helper.system.caller import Abandoned
from credential_helper.transport.client import Transport
from integration.servers.hostile_provider import (
    HostileProvider,
    answer,
    html,
    oauth_error,
    rate_limited,
    reset,
    signing_key,
)
from tests.helpers.broker import CODE, DEVICE, TOKEN, FakeCaller, World
from tests.helpers.clock import FakeClock
from tests.helpers.grants import a_grant
from tests.helpers.requests import request_by

PENDING = oauth_error("authorization_pending")


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    with HostileProvider(now=clock.now) as provider:
        yield World(provider, tmp_path / "state", clock)


def file_in(world: World, ending: str) -> Path:
    return world.state / "grants" / f"{world.place.grant}.{ending}"


# --- signing in ---


def test_a_device_sign_in_is_asked_answered_and_kept(world: World) -> None:
    world.approves(PENDING)
    obtained = world.obtain()
    assert obtained.credential.token.reveal() == "access-1"
    assert obtained.stamp == world.sessions.stamp(obtained.session_id)
    assert [prompt.user_code for prompt in world.person.prompts] == ["WDJB-MJHT"]
    assert world.person.closings[0][0].identity is not None
    assert world.session.identity is not None
    assert world.session.identity.name == "ada@example.com"
    assert not world.session.unverified
    assert not file_in(world, "prompt").exists()


def test_a_fresh_session_answers_without_a_request_a_lock_or_a_word(world: World) -> None:
    world.signed_in()
    file_in(world, "lock").unlink()
    assert world.token() == "access-1"
    assert world.requests() == []
    assert world.person.prompts == []
    assert not file_in(world, "lock").exists()


def test_a_connection_is_begun_where_a_refresh_token_is_about_to_be_spent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(Transport, "expect", lambda _, address: begun.append(address))
    world.signed_in()
    world.token()
    assert begun == []
    world.approves()
    world.obtain("sign-in")  # a person may take minutes, and the token is not spent
    assert begun == []
    world.clock.advance(10_000)
    world.provider.script(TOKEN, answer(world.tokens()))
    world.token()
    assert begun == [world.provider.url + "/token"]


def test_nobody_to_ask_is_66_with_the_command_that_signs_in(world: World) -> None:
    world.person.there = False
    with pytest.raises(InteractionRequired) as caught:
        world.obtain()
    assert caught.value.hint == "credential-helper login prod"
    assert caught.value.profile == "prod"
    assert world.provider.to(DEVICE) == []


def test_kubectl_without_audience_gets_the_id_token(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, audience=None)
    world.approves()
    assert world.obtain().credential.kind == "id"
    assert world.obtain(tool="credential-helper").credential.kind == "access"
    assert world.obtain(tool="credential-helper", token="id").credential.kind == "id"


def test_a_declined_sign_in_is_told_and_remembered(world: World) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied", 403))
    with pytest.raises(AuthorizationError) as caught:
        world.obtain()
    assert caught.value.exit_code == 77
    world.provider.requests.clear()
    for _ in range(4):  # kubectl's other tries
        with pytest.raises(RememberedError) as again:
            world.obtain()
        assert again.value.silent
        assert again.value.exit_code == 77
    assert world.requests() == []
    world.caller = FakeCaller("parent-2")
    with pytest.raises(RememberedError) as other:
        world.obtain()
    assert not other.value.silent
    assert "credential-helper login prod asks again" in other.value.sentence
    with pytest.raises(RememberedError) as repeated:
        world.obtain()
    assert repeated.value.silent
    assert len(world.person.prompts) == 1


def test_a_remembered_refusal_ends_by_itself(world: World) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied", 403))
    with pytest.raises(AuthorizationError):
        world.obtain()
    world.clock.advance(61)
    world.approves()
    assert world.token() == "access-1"
    assert not file_in(world, "failure").exists()


def test_login_asks_again_at_once_and_forgets_the_refusal(world: World) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied", 403))
    with pytest.raises(AuthorizationError):
        world.obtain()
    world.approves()
    assert world.token("sign-in") == "access-1"
    assert world.token() == "access-1"


def test_a_newer_config_file_voids_the_refusal(world: World) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied", 403))
    with pytest.raises(AuthorizationError):
        world.obtain()
    world.approves()
    errand = Errand(profile=world.profile, request=request_by("kubectl"), config_changed_at=world.clock.now() + 1)
    assert obtain(errand, world.means).credential.token.reveal() == "access-1"


@pytest.mark.parametrize("shift", [-10.0, 3700.0])
def test_a_refusal_from_the_future_or_for_too_long_is_ignored(world: World, shift: float) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied", 403))
    with pytest.raises(AuthorizationError):
        world.obtain()
    failure = world.sessions.notes.failure(world.place.grant, world.place.session)
    assert failure is not None
    changed = (
        msgspec.structs.replace(failure, made=world.clock.now() + 10)
        if shift < 0
        else msgspec.structs.replace(failure, until=failure.made + shift)
    )
    world.sessions.notes.remember(world.place.grant, changed)
    world.approves()
    assert world.token() == "access-1"


def test_login_always_signs_in_anew(world: World) -> None:
    world.signed_in()
    world.approves()
    assert world.token("sign-in") == "access-2"
    assert world.token() == "access-2"
    assert len(world.person.prompts) == 1


def test_another_person_at_a_new_sign_in_is_told(world: World) -> None:
    world.signed_in()
    body = world.tokens()
    body["id_token"] = world.id_token(sub="bob", preferred_username="bob@example.com")
    world.provider.script(TOKEN, answer(body))
    world.obtain("sign-in")
    assert any("bob@example.com" in warning and "ada@example.com" in warning for warning in world.person.warnings)


def test_the_wrong_account_is_refused_and_nothing_is_kept(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, account="grace@example.com")
    world.provider.script("/revoke", answer({}))
    world.approves()
    with pytest.raises(AuthorizationError, match=r"signed in as ada@example\.com, but profile prod is for grace@"):
        world.obtain()
    assert world.stored() is None
    assert world.refresh_tokens() == []
    assert [one.field("token") for one in world.provider.to("/revoke")] == ["refresh-1"]


def test_the_right_account_is_accepted_without_its_case(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, account="Ada@Example.com")
    world.approves()
    assert world.token() == "access-1"


def test_an_id_token_without_openid_is_a_configuration_error(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="id", scope=("profile",))
    with pytest.raises(ConfigurationError, match="openid"):
        world.obtain()
    assert world.requests() == []


def test_an_id_token_that_never_came_is_remembered_and_not_asked_for_in_a_storm(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="id")
    world.approves(id_token=False)
    with pytest.raises(AuthorizationError, match="sent no ID token"):
        world.obtain()
    with pytest.raises(CredentialHelperError):
        world.obtain()
    assert len(world.person.prompts) == 1


# --- a machine ---


def machine(world: World) -> None:
    secret = Source(kind="env", value=("CI_SECRET",), origin="test")
    world.profile = msgspec.structs.replace(world.profile, flow="client-credentials", client_secret=secret)
    world.person.there = False


def test_a_job_with_a_wrong_secret_gets_a_refusal_and_not_anothers_token(world: World) -> None:
    machine(world)
    world.provider.script(TOKEN, answer(world.tokens(id_token=False, refresh=False)))
    first = world.token()
    world.client_secret = "a-wrong-one"
    world.provider.script(TOKEN, oauth_error("invalid_client", 401))
    with pytest.raises(AuthorizationError) as caught:
        world.token()
    assert caught.value.exit_code == 77
    world.provider.requests.clear()
    world.client_secret = "the-client-secret"
    assert world.token() == first
    assert world.requests() == []


def test_another_jobs_right_secret_gets_its_own_token(world: World) -> None:
    machine(world)
    world.provider.script(TOKEN, *(answer(world.tokens(id_token=False, refresh=False)) for _ in range(2)))
    first = world.token()
    world.client_secret = "the-next-one"
    second = world.token()
    assert second != first
    world.client_secret = "the-client-secret"
    assert world.token() == first
    files = b"".join(file.read_bytes() for file in world.state.rglob("*") if file.is_file())
    assert b"the-client-secret" not in files


def test_where_the_proof_cannot_be_kept_no_job_gets_anothers_token(world: World) -> None:
    machine(world)
    world.state.mkdir(mode=0o700)
    (world.state / "proof").mkdir(mode=0o700)
    (world.state / "proof").chmod(0o770)
    world.provider.script(TOKEN, *(answer(world.tokens(id_token=False, refresh=False)) for _ in range(2)))
    first = world.token()
    world.client_secret = "another job's"
    assert world.token() != first
    assert all("nothing is remembered" in warning for warning in world.person.warnings)
    assert len(world.person.warnings) == 2


def test_the_same_secret_names_another_session_in_another_state_directory(world: World, tmp_path: Path) -> None:
    machine(world)
    here = world.place
    assert world.place == here
    world.state = tmp_path / "elsewhere"
    assert world.place != here


def test_a_machine_signs_in_by_itself_and_is_cached(world: World) -> None:
    machine(world)
    world.provider.script(TOKEN, answer(world.tokens(id_token=False, refresh=False)))
    assert world.token() == "access-1"
    assert world.token() == "access-1"
    assert world.grants() == ["client_credentials"]
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens(id_token=False, refresh=False)))
    assert world.token() == "access-2"


@pytest.mark.parametrize("lifetime", [0, -1, "0", None, 315360000, 31536000000, "3600000000"])
def test_a_machines_token_is_kept_whatever_its_lifetime_is_said_to_be(world: World, lifetime: object) -> None:
    machine(world)
    world.provider.script(TOKEN, answer(world.tokens(id_token=False, refresh=False, expires_in=lifetime)))
    for _ in range(3):
        assert world.token() == "access-1"
        world.clock.advance(60)
    assert len(world.grants()) == 1


def test_a_machine_with_the_scope_openid_is_nobody_who_signs_in(world: World) -> None:
    machine(world)
    world.profile = msgspec.structs.replace(world.profile, scope=("openid", "api"))
    world.provider.script(TOKEN, answer(world.tokens(id_token=False, refresh=False)))
    assert world.token() == "access-1"
    assert world.person.warnings == []


def test_a_machines_wrong_secret_is_remembered_for_30_s(world: World) -> None:
    machine(world)
    world.provider.script(TOKEN, oauth_error("invalid_client", 401))
    with pytest.raises(AuthorizationError):
        world.obtain()
    before = len(world.requests())
    with pytest.raises(RememberedError):
        world.obtain()
    assert len(world.requests()) == before
    world.clock.advance(31)
    with pytest.raises(AuthorizationError):
        world.obtain()
    assert len(world.requests()) > before


def test_a_rate_limit_is_remembered_for_as_long_as_it_lasts(world: World) -> None:
    machine(world)
    world.provider.script(TOKEN, rate_limited(1800))
    with pytest.raises(RateLimited):
        world.obtain()
    before = len(world.requests())
    world.clock.advance(1790)
    with pytest.raises(RememberedError) as caught:
        world.obtain()
    assert caught.value.exit_code == 75
    assert len(world.requests()) == before


def test_a_machine_gets_no_id_token(world: World) -> None:
    machine(world)
    with pytest.raises(ConfigurationError):
        world.obtain(token="id")


# --- renewing ---


def test_an_expired_token_is_renewed_with_exactly_one_request(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"
    assert world.requests() == [TOKEN]
    assert world.grants() == ["refresh_token"]
    assert world.refresh_tokens() == ["refresh-2"]
    assert world.person.prompts == []
    assert world.person.closings == []


def test_an_answer_without_a_refresh_token_keeps_the_old_one(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens(refresh=False)))
    world.obtain()
    assert world.refresh_tokens() == ["refresh-1"]


def test_a_refused_refresh_token_is_dropped_and_a_person_is_asked(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.approves(oauth_error("invalid_grant"))
    assert world.token() == "access-2"
    assert len(world.person.prompts) == 1


def test_a_refused_refresh_token_without_a_person_is_77_once_and_66_then(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.person.there = False
    world.provider.script(TOKEN, oauth_error("invalid_grant", 403, "Unknown or invalid refresh token"))
    with pytest.raises(AuthorizationError, match="refused the refresh token"):
        world.obtain(tool="credential-helper")
    assert not world.session.refreshable
    assert world.refresh_tokens() == []
    with pytest.raises(InteractionRequired):
        world.obtain(tool="credential-helper")


@pytest.mark.parametrize("trouble", [html(502), reset(), rate_limited(600)])
def test_trouble_keeps_the_refresh_token(world: World, trouble: Any) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.provider.script(TOKEN, trouble)
    with pytest.raises(CredentialHelperError) as caught:
        world.obtain()
    assert caught.value.exit_code in (69, 75)
    assert world.session.refreshable
    assert world.refresh_tokens() == ["refresh-1"]


@pytest.mark.parametrize("trouble", [html(502), reset(), rate_limited(600)])
def test_trouble_answers_a_token_that_is_still_valid(world: World, trouble: Any) -> None:
    world.signed_in()
    world.clock.advance(3600 - 30)
    world.provider.script(TOKEN, trouble)
    obtained = world.obtain()
    assert obtained.credential.token.reveal() == "access-1"
    assert obtained.stamp is None
    assert world.token() == "access-1"  # remembered, and answered all the same
    assert len(world.provider.to(TOKEN)) == 1


def test_a_transport_failure_is_remembered_for_the_same_parent_only(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.provider.script(TOKEN, html(502))
    with pytest.raises(TransportError):
        world.obtain()
    with pytest.raises(RememberedError):
        world.obtain()
    world.clock.advance(1)
    world.caller = FakeCaller("parent-2")
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"


def test_refresh_renews_a_fresh_token_and_never_asks(world: World) -> None:
    world.signed_in()
    world.clock.advance(10)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token("renew") == "access-2"
    world.clock.advance(10)
    world.provider.script(TOKEN, oauth_error("invalid_grant"))
    with pytest.raises(AuthorizationError):
        world.obtain("renew")
    assert world.person.prompts == []
    with pytest.raises(InteractionRequired):
        world.obtain("renew")


def test_minimum_validity_renews(world: World) -> None:
    world.signed_in()
    world.clock.advance(1800)
    assert world.token(minimum_validity=1700) == "access-1"
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token(minimum_validity=1900) == "access-2"


def test_a_refused_token_is_renewed_but_not_more_than_once_a_minute(world: World) -> None:
    world.signed_in()
    world.clock.advance(100)
    world.provider.script(TOKEN, answer(world.tokens()), answer(world.tokens()))
    first = world.session.access
    assert first is not None
    assert world.token(refused=first.sha256()) == "access-2"
    second = world.session.access
    assert second is not None
    assert world.token(refused=second.sha256()) == "access-2"
    assert world.token(refused=first.sha256()) == "access-2"
    world.clock.advance(61)
    assert world.token(refused=second.sha256()) == "access-3"


def test_another_subject_at_a_refresh_is_77_and_wiped(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    body = world.tokens()
    body["id_token"] = world.id_token(sub="mallory")
    world.provider.script(TOKEN, answer(body))
    with pytest.raises(AuthorizationError, match="another person"):
        world.obtain()
    assert world.session.access is None
    assert world.grant.revoke_only
    assert world.refresh_tokens() == ["refresh-2"]


def test_a_refresh_without_an_id_token_keeps_the_old_one_until_its_end(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="id")
    world.signed_in()
    old = world.session.id
    assert old is not None
    world.clock.advance(3600 - 30)
    world.provider.script(TOKEN, answer(world.tokens(id_token=False)))
    assert world.token() == old.value.reveal()
    world.provider.requests.clear()
    assert world.token() == old.value.reveal()
    assert world.requests() == []  # no refresh that would bring none
    world.clock.advance(31)
    world.person.there = False
    with pytest.raises(CredentialHelperError, match="new sign-in"):
        world.obtain(tool="credential-helper")


# --- saved before verified, answered only when verified ---


def forged(world: World) -> dict[str, object]:
    body = world.tokens()
    body["id_token"] = world.id_token(signing_key("RS256", "k1", 3072))
    return body


def test_a_forged_id_token_is_never_answered_not_by_the_second_call_either(world: World) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, answer(forged(world)))
    with pytest.raises(AuthorizationError):
        world.obtain()
    assert world.session.access is None
    assert world.session.id is None
    world.person.there = False
    with pytest.raises(InteractionRequired):
        world.obtain(tool="credential-helper")
    assert world.refresh_tokens() == ["refresh-1"]  # for logout to revoke


def test_a_forged_id_token_at_a_refresh_is_never_answered(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(forged(world)))
    assert world.token() == "access-2"  # the access token does not depend on it
    with pytest.raises(AuthorizationError):
        world.obtain(token="id")
    assert world.session.id is None
    assert world.session.access is None


def test_keys_that_cannot_be_had_leave_the_mark_and_answer_the_access_token_with_a_warning(world: World) -> None:
    world.approves()
    world.provider.script("/jwks", html(502))
    obtained = world.obtain()
    assert obtained.credential.token.reveal() == "access-1"
    assert obtained.stamp is None
    assert world.session.unverified
    assert any("not verified" in warning for warning in world.person.warnings)


def test_the_next_process_repeats_the_check_first_and_makes_no_new_grant(world: World) -> None:
    world.approves()
    world.provider.script("/jwks", html(502))
    world.obtain()
    world.clock.advance(11)
    world.provider.serve_keys(world.key)
    world.provider.requests.clear()
    obtained = world.obtain()
    assert obtained.credential.token.reveal() == "access-1"
    assert obtained.stamp is not None
    assert world.grants() == []
    assert not world.session.unverified


def test_an_id_token_that_cannot_be_checked_is_not_answered(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="id")
    world.approves()
    world.provider.script("/jwks", html(502))
    with pytest.raises(TransportError):
        world.obtain()
    with pytest.raises(CredentialHelperError) as caught:
        world.obtain()
    assert caught.value.exit_code == 69


def test_two_requests_when_the_id_token_names_a_key_that_is_not_on_disk(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, token="id")
    world.signed_in()
    world.clock.advance(3600)
    world.key = signing_key("RS256", "k2", 3072)
    world.provider.serve_keys(world.key)
    world.provider.script(TOKEN, answer(world.tokens()))
    world.obtain()
    assert world.requests() == [TOKEN, "/jwks"]


def test_a_wrong_clock_keeps_the_mark_and_the_check_is_repeated_when_it_is_right(world: World) -> None:
    world.provider.script(DEVICE, answer(CODE))
    body = world.tokens()
    world.clock.advance(600)  # the provider's time, at which it signs and which its Date header tells
    body["id_token"] = world.id_token()
    world.clock.time -= 600
    world.provider.now = lambda: world.clock.now() + 600
    world.provider.script(TOKEN, answer(body))
    with pytest.raises(ClockError, match="10 min behind"):
        world.obtain()
    assert world.session.unverified
    with pytest.raises(RememberedError):
        world.obtain()
    world.clock.advance(600)
    world.provider.requests.clear()
    assert world.token() == "access-1"
    assert world.grants() == []


def test_what_was_never_verified_and_has_expired_is_renewed_and_verified(world: World) -> None:
    world.approves()
    world.provider.script("/jwks", html(502))
    world.obtain()
    world.clock.advance(3700)
    world.provider.serve_keys(world.key)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"
    assert not world.session.unverified


# --- the keyring ---


def test_a_locked_keyring_does_not_fail_what_can_be_answered(world: World) -> None:
    world.signed_in()
    world.keyring.works = False
    assert world.token() == "access-1"
    world.clock.advance(3600 - 30)
    assert world.token() == "access-1"
    assert world.requests() == []


def test_a_locked_keyring_asks_a_person_and_drops_nothing(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.keyring.works = False
    world.approves()
    assert world.token() == "access-2"
    assert len(world.person.prompts) == 1


def test_a_locked_keyring_and_nobody_to_ask_is_74(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.keyring.works = False
    world.person.there = False
    with pytest.raises(StoreError) as caught:
        world.obtain()
    assert caught.value.hint == "unlock the keyring"
    assert world.grant.in_keyring
    world.keyring.works = True
    world.clock.advance(10)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"


def test_a_renewal_reads_the_keyring_once_and_never_writes_it(world: World) -> None:
    world.signed_in()
    world.keyring.asks = True  # before it writes
    for tokens in (2, 3):
        world.clock.advance(3600)
        world.keyring.calls.clear()
        world.provider.script(TOKEN, answer(world.tokens()))
        assert world.token() == f"access-{tokens}"
        assert world.keyring.calls == ["read"]
    assert world.person.warnings == []
    assert world.refresh_tokens() == ["refresh-3"]


def test_a_keyring_that_keeps_nothing_loses_nothing(world: World) -> None:
    world.keyring.asks = True
    world.signed_in()
    assert not world.grant.in_keyring
    assert world.refresh_tokens() == ["refresh-1"]
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"


def test_a_token_in_clear_is_sealed_where_the_profile_turns_to_the_keyring(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, store="file")
    world.signed_in()
    world.profile = msgspec.structs.replace(world.profile, store="keyring")
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"
    assert world.grant.in_keyring
    assert world.refresh_tokens() == ["refresh-2"]


def test_store_keyring_says_before_a_person_signs_in_that_nothing_will_be_kept(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, store="keyring")
    world.keyring.works = False
    said_before: list[list[str]] = []
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, answer(world.tokens()))
    world.person.on_waiting = lambda: said_before.append(list(world.person.warnings))
    world.obtain()
    assert said_before[0] == [
        'the refresh token will not be kept: no keyring is usable, and the profile says store = "keyring" | '
        'unlock the keyring first, or set store = "auto"'
    ]
    assert world.refresh_tokens() == []


def test_the_key_of_a_sign_in_that_failed_serves_the_next(world: World) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied"))
    with pytest.raises(AuthorizationError):
        world.obtain()
    key = dict(world.keyring.records)
    assert len(key) == 1
    world.approves()
    world.obtain("sign-in")
    assert world.keyring.records == key
    assert world.grant.in_keyring


def test_two_homes_with_one_keyring_keep_two_sessions_apart(world: World, tmp_path: Path) -> None:
    world.signed_in()
    first = world.state
    world.state = tmp_path / "another-home"
    world.approves()
    assert world.token() == "access-2"
    assert world.refresh_tokens() == ["refresh-2"]
    world.state = first
    assert world.refresh_tokens() == ["refresh-1"]


# --- the disk ---


def test_what_a_killed_process_had_saved_but_not_renamed_is_what_goes_on(world: World) -> None:
    world.signed_in()
    world.keyring.works = False  # the tokens are in the file
    world.clock.advance(3600)
    world.approves()
    world.obtain("sign-in")
    file = file_in(world, "json")
    spent = file.read_bytes()
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-3"
    file.rename(f"{file}.new")  # as it stands between the last write and the renaming
    file.write_bytes(spent)
    file.chmod(0o600)
    world.clock.advance(3600)
    world.provider.requests.clear()
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-4"
    assert [one.field("refresh_token") for one in world.provider.to(TOKEN)] == ["refresh-3"]


@pytest.mark.parametrize("which", ["grant", "session"])
def test_a_sign_in_of_a_newer_version_is_never_overwritten_without_a_word(world: World, which: str) -> None:
    world.signed_in()
    file = file_in(world, "json") if which == "grant" else world.state / "sessions" / f"{world.place.session}.json"
    newer = file.read_bytes().replace(b'"version":2', b'"version":3')
    file.write_bytes(newer)
    for mode in ("any", "renew"):
        with pytest.raises(NewerFormat, match="newer version") as caught:
            world.obtain(mode)
        assert caught.value.hint == "use that version, or sign in anew with this one: credential-helper login prod"
        assert caught.value.profile == "prod"
    assert (file.read_bytes(), world.requests(), world.person.prompts) == (newer, [], [])
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied"))
    with pytest.raises(AuthorizationError):
        world.obtain("sign-in")
    assert file.read_bytes() == newer
    world.approves()
    assert world.token("sign-in") == "access-2"
    assert world.person.warnings == ["the sign-in that a newer version of this program has kept is replaced | None"]
    assert world.token() == "access-2"


def test_a_machine_does_not_stop_where_a_newer_version_runs_beside_it(world: World) -> None:
    machine(world)
    world.provider.script(TOKEN, *(answer(world.tokens(id_token=False, refresh=False)) for _ in range(2)))
    first = world.token()
    file = Path(world.sessions.state.locate(f"sessions/{world.place.session}.json"))
    file.write_bytes(file.read_bytes().replace(b'"version":2', b'"version":3'))
    second = world.token()
    assert second != first
    assert world.token() == second
    assert world.person.warnings == []
    assert len(world.provider.to(TOKEN)) == 2


def test_an_unsafe_state_directory_costs_the_memory_and_not_the_answer(world: World) -> None:
    world.state.mkdir(mode=0o777)
    world.state.chmod(0o777)
    world.approves()
    obtained = world.obtain()
    assert obtained.credential.token.reveal() == "access-1"
    assert obtained.stamp is None
    assert list(world.state.iterdir()) == []
    (warning,) = world.person.warnings
    assert "writable by others" in warning
    assert "CREDENTIAL_HELPER_STATE_DIR" in warning


@pytest.mark.parametrize(("refresh", "store"), [(True, "auto"), (True, "file"), (False, "auto"), (True, "none")])
def test_what_could_not_be_kept_is_not_the_providers_fault(world: World, refresh: bool, store: Any) -> None:
    world.profile = msgspec.structs.replace(world.profile, store=store)
    world.state.write_text("no folder")
    world.approves(refresh=refresh)
    assert world.token() == "access-1"
    assert ("is not a folder" in (world.person.unkept or "")) == (refresh and store != "none")
    assert len(world.person.warnings) == (store != "none"), "nobody who keeps nothing is warned"


def test_a_full_disk_before_the_request_answers_what_is_valid_and_spends_nothing(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600 - 30)
    file_in(world, "json.new").mkdir()  # nothing can be written there
    assert world.token() == "access-1"
    assert world.requests() == []
    assert len(world.person.warnings) == 1


def test_a_lock_that_cannot_be_had_answers_what_is_valid_and_spends_nothing(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600 - 30)
    file_in(world, "lock").unlink()
    file_in(world, "lock").mkdir()
    assert world.token() == "access-1"
    assert world.requests() == []
    assert len(world.person.warnings) == 1
    world.clock.advance(30)
    world.person.there = False
    with pytest.raises(StoreError, match="cannot be locked"):
        world.obtain()
    assert world.requests() == []


def test_a_full_disk_with_nothing_valid_signs_in_without_spending_the_refresh_token(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    file_in(world, "json.new").mkdir()
    world.approves()
    assert world.token() == "access-2"
    assert "refresh_token" not in world.grants()
    assert world.refresh_tokens() == ["refresh-1"]
    assert len(world.person.warnings) == 1


# --- interrupted, cancelled, taken over ---


def test_a_prompt_that_logout_removed_cancels_the_sign_in(world: World) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, PENDING)
    world.person.on_waiting = lambda: file_in(world, "prompt").unlink(missing_ok=True)
    with pytest.raises(AuthorizationError, match="cancelled"):
        world.obtain()
    assert not file_in(world, "prompt").exists()


def test_a_dead_holders_code_is_polled_on_without_a_new_one(world: World) -> None:
    leave_a_prompt(world)
    world.approves()
    assert world.token() == "access-1"
    assert world.provider.to(DEVICE) == []
    assert world.provider.to(TOKEN)[0].field("device_code") == "left-behind"
    assert not file_in(world, "prompt").exists()


def test_a_dead_holders_code_may_be_redeemed_by_one_who_may_not_ask(world: World) -> None:
    leave_a_prompt(world)
    world.person.there = False
    world.approves()
    assert world.token() == "access-1"
    assert world.person.prompts == []


def test_one_who_may_not_ask_waits_five_seconds_and_leaves_the_code_to_the_next(world: World) -> None:
    leave_a_prompt(world)
    world.person.there = False
    world.provider.script(TOKEN, PENDING)
    began = world.clock.now()
    with pytest.raises(InteractionRequired, match="under way"):
        world.obtain()
    assert 5 <= world.clock.now() - began <= 7
    assert file_in(world, "prompt").exists()


def test_the_code_of_who_died_after_the_sign_in_was_saved_is_shown_to_nobody_once_that_is_renewed(
    world: World,
) -> None:
    world.signed_in()
    world.clock.advance(3600)
    leave_a_prompt(world)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"
    assert world.grants() == ["refresh_token"]
    assert not file_in(world, "prompt").exists()
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    with held_by_another(world), pytest.raises(LockTimeout):
        world.token()
    assert world.person.prompts == []


def test_the_code_of_a_dead_holder_stays_where_the_renewal_has_failed(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    leave_a_prompt(world)
    world.provider.script(TOKEN, answer({}, status=503))
    with pytest.raises(TransportError):
        world.token()
    assert file_in(world, "prompt").exists()


@pytest.mark.parametrize(("made", "expires"), [(-1000.0, -1.0), (100.0, 900.0)])
def test_a_prompt_that_is_expired_or_from_the_future_means_nothing(world: World, made: float, expires: float) -> None:
    leave_a_prompt(world, made=made, expires=expires)
    world.approves()
    assert world.token() == "access-1"
    assert len(world.provider.to(DEVICE)) == 1


def leave_a_prompt(world: World, made: float = -10.0, expires: float = 890.0) -> None:
    now = world.clock.now()
    prompt = Prompt(
        tool="kubectl",
        profile="prod",
        issuer=world.provider.issuer,
        target=None,
        scope=("openid",),
        device_code=Secret("left-behind"),
        user_code="LEFT-BEHIND",
        verification_uri=world.provider.url + "/activate",
        verification_uri_complete=None,
        interval=5.0,
        next_poll=now + 1,
        made_at=now + made,
        expires_at=now + expires,
    )
    world.sessions.notes.keep_prompt(world.place.grant, prompt)


# --- a token that a server rejected ---


def drop_token(world: World, token: str) -> bool:
    return drop(world.profile, Secret(token), world.means)


def test_a_rejected_token_is_dropped_and_renewed_by_the_next_command(world: World) -> None:
    world.signed_in()
    world.clock.advance(100)
    assert not drop_token(world, "access-0")
    assert drop_token(world, "access-1")
    assert world.session.access is None
    assert not drop_token(world, "access-1")
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"
    world.clock.advance(30)
    assert not drop_token(world, "access-2")  # a minute has not passed
    assert world.token() == "access-2"
    assert drop(world.profile, None, world.means)
    assert world.session.access is None
    assert world.session.refreshable


# --- behind another process's lock ---


def held_by_another(world: World) -> AbstractContextManager[bool]:
    state = State(str(world.state))
    name = world.sessions.grants.lock_name(world.place.grant)
    return lock.held(state, name, clock=world.clock, waiting=lambda _: False)


def test_who_may_not_ask_waits_five_seconds_and_kubectl_is_told_once(world: World) -> None:
    leave_a_prompt(world)
    world.person.there = False
    with held_by_another(world):
        began = world.clock.now()
        with pytest.raises(InteractionRequired, match="under way in another terminal") as first:
            world.obtain()
        assert 5 <= world.clock.now() - began <= 6
        began = world.clock.now()
        for _ in range(4):
            with pytest.raises(InteractionRequired) as again:
                world.obtain()
            assert again.value.silent
        assert world.clock.now() - began < 1
        world.caller = FakeCaller("parent-2")
        with pytest.raises(InteractionRequired) as other:
            world.obtain()
    assert not first.value.silent
    assert not other.value.silent
    assert world.requests() == []


def test_who_may_ask_shows_the_same_code_and_waits_for_what_it_brings(world: World) -> None:
    leave_a_prompt(world, made=0.0)
    session = Session(
        grant=a_grant(session=world.place.session),
        access=Token(
            value=Secret("from-the-other"), received_at=world.clock.now(), expires_at=world.clock.now() + 3600
        ),
    )
    sleep = world.clock.sleep

    def until_it_comes(seconds: float) -> None:
        sleep(seconds)
        if len(world.clock.slept) == 20:
            world.sessions.save(world.place, session)

    world.clock.sleep = until_it_comes  # type: ignore[method-assign]
    with held_by_another(world):
        assert world.token() == "from-the-other"
    assert {prompt.user_code for prompt in world.person.prompts} == {"LEFT-BEHIND"}
    assert world.requests() == []


def test_a_lock_that_is_held_for_a_minute_without_a_person_is_75(world: World) -> None:
    with held_by_another(world), pytest.raises(LockTimeout):
        world.obtain()
    assert 60 <= world.clock.now() - 1_900_000_000 <= 62


def test_a_lock_that_is_held_too_long_answers_what_is_still_valid(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600 - 300)
    with held_by_another(world):
        assert world.token(minimum_validity=600) == "access-1"


def test_nobody_waits_behind_a_lock_for_a_caller_that_is_gone(world: World) -> None:
    world.caller.there = False
    with held_by_another(world), pytest.raises(Abandoned):
        world.obtain()


# --- back to nothing ---


def sign_out(world: World) -> SignedOut | None:
    return forget(world.place.grant, lambda _: world.profile, lambda _: world.means)


def test_logout_erases_here_and_revokes_there(world: World) -> None:
    world.signed_in()
    world.provider.script("/revoke", answer({}))
    farewell = sign_out(world)
    assert farewell is not None
    assert farewell.revoked
    assert farewell.had_access
    assert [one.field("token") for one in world.provider.to("/revoke")] == ["refresh-1"]
    assert world.stored() is None
    assert world.keyring.records == {}
    assert sign_out(world) is None


def test_logout_erases_even_where_revoking_fails(world: World) -> None:
    world.signed_in()
    world.provider.script("/revoke", html(503))
    farewell = sign_out(world)
    assert farewell is not None
    assert isinstance(farewell.error, TransportError)
    assert world.stored() is None


def test_logout_with_a_locked_keyring_forgets_the_tokens_and_says_so(world: World) -> None:
    world.signed_in()
    world.keyring.works = False
    with pytest.raises(StoreError) as caught:
        sign_out(world)
    assert caught.value.sentence == (
        "signed out here, but the refresh token cannot be read, and is not revoked: the keyring is locked"
    )
    assert caught.value.hint == "log out again where the keyring can be used"
    assert world.session.access is None
    assert not world.session.refreshable
    world.keyring.works = True
    world.provider.script("/revoke", answer({}))
    farewell = sign_out(world)
    assert farewell is not None
    assert farewell.revoked


# --- secrets ---


def test_no_secret_is_in_a_note_a_warning_or_an_error(world: World) -> None:
    world.signed_in()
    world.clock.advance(3600)
    world.provider.script(TOKEN, oauth_error("invalid_grant", 400, "you sent refresh-1 and the-client-secret"))
    world.person.there = False
    with pytest.raises(AuthorizationError) as caught:
        world.obtain()
    said = " ".join(
        [*world.notes, *world.person.warnings, str(caught.value), repr(caught.value), str(caught.value.hint)]
    )
    for secret in ("refresh-1", "access-1", "the-device-code"):
        assert secret not in said
