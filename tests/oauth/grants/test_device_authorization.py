from __future__ import annotations

from typing import Any

import pytest

from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    InteractionRequired,
    RateLimited,
    StoreError,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Endpoints, Prompt, Secret
from credential_helper.oauth.grants import device_authorization
from credential_helper.oauth.provider import Provider
from integration.servers.hostile_provider import (
    Behaviour,
    Exchange,
    HostileProvider,
    answer,
    empty,
    half_json,
    html,
    oauth_error,
    rate_limited,
    redirect,
    reset,
)
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at
from tests.helpers.interaction import DEVICE, FakeStage
from tests.helpers.prompts import prompt_at
from tests.helpers.providers import Memory

PENDING = oauth_error("authorization_pending", 403)  # the status is Auth0's
SUCCESS = answer(TOKENS)


@pytest.fixture
def hostile(hostile: HostileProvider) -> HostileProvider:
    hostile.script("/device/code", answer(DEVICE))
    return hostile


@pytest.fixture
def provider(hostile: HostileProvider, clock: FakeClock) -> Provider:
    return provider_at(hostile, clock)


def device_answer(**changes: object) -> Behaviour:
    """Answer a device authorization with ``changes``; None leaves a member out."""
    return answer({name: value for name, value in {**DEVICE, **changes}.items() if value is not None})


def prompt_from(hostile: HostileProvider, provider: Provider, **changes: object) -> Prompt:
    hostile.script("/device/code", device_answer(**changes))
    return device_authorization.request(provider, tool="git", target=None)


def ends(provider: Provider, stage: FakeStage) -> AuthorizationError:
    """Return the error that ends a sign-in."""
    with pytest.raises(AuthorizationError) as caught:
        device_authorization.sign_in(provider, stage)
    return caught.value


# --- the device authorization request ---------------------------------------------------------------------------------


def test_the_request_says_what_the_tokens_are_for(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    provider = provider_at(
        hostile,
        clock,
        audience="https://kubernetes.example.com",
        resource=("urn:a", "urn:b"),
        account="ada@example.com",
        parameters=(("organization", "org_1"),),
    )
    device_authorization.sign_in(provider, stage)
    (request,) = hostile.to("/device/code")
    assert (request.method, request.query) == ("POST", "")
    assert request.fields == [
        ("scope", "openid profile email offline_access"),
        ("audience", "https://kubernetes.example.com"),
        ("resource", "urn:a"),
        ("resource", "urn:b"),
        ("organization", "org_1"),
        ("login_hint", "ada@example.com"),
        ("client_id", "cli"),
    ]
    (poll,) = hostile.to("/token")
    assert poll.fields == [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", "dc-s3cr3t-device-code"),
        ("organization", "org_1"),
        ("client_id", "cli"),
    ]


def test_scopes_that_the_provider_does_not_have_are_not_asked_for_by_default(
    hostile: HostileProvider, provider: Provider
) -> None:
    hostile.serve_metadata(scopes_supported=["openid", "email"])
    prompt = prompt_from(hostile, provider)
    assert prompt.scope == ("openid", "email")
    assert hostile.to("/device/code")[0].field("scope") == "openid email"


def test_a_login_hint_of_the_profile_is_kept(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, account="ada@example.com", parameters=(("login_hint", "EXAMPLE/ada"),))
    prompt_from(hostile, provider)
    assert hostile.to("/device/code")[0].field("login_hint") == "EXAMPLE/ada"


def test_the_prompt_holds_what_a_person_and_another_process_need(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, clock: FakeClock
) -> None:
    now = clock.now()
    device_authorization.sign_in(provider, stage)
    assert stage.asked == [
        Prompt(
            tool="kubectl",
            profile="prod",
            issuer=hostile.issuer,
            target="https://kubernetes.example.com",
            scope=("openid", "profile", "email", "offline_access"),
            device_code=Secret("dc-s3cr3t-device-code"),
            user_code="WDJB-MJHT",
            verification_uri="https://op.example/activate",
            verification_uri_complete="https://op.example/activate?user_code=WDJB-MJHT",
            interval=5.0,
            next_poll=now + 5,
            made_at=now,
            expires_at=now + 900,
        )
    ]


def test_c12_a_confidential_client_authenticates_on_both_requests(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    device_authorization.sign_in(provider_at(hostile, clock, secret="s3cr3t"), stage)
    assert "authorization" in hostile.to("/device/code")[0].headers
    assert "authorization" in hostile.to("/token")[0].headers


def test_c12_what_worked_for_the_code_is_used_for_the_polls(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    hostile.script("/device/code", oauth_error("invalid_client", 401), device_answer())
    device_authorization.sign_in(provider_at(hostile, clock, secret="s3cr3t"), stage)
    (poll,) = hostile.to("/token")
    assert poll.field("client_secret") == "s3cr3t"


def test_a_provider_without_the_endpoint_is_a_matter_of_configuration(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.serve_metadata(device_authorization_endpoint=None)
    with pytest.raises(ConfigurationError, match="no device_authorization_endpoint") as caught:
        device_authorization.sign_in(provider, stage)
    assert "endpoints.device_authorization" in (caught.value.hint or "")


def test_the_endpoint_of_the_profile_replaces_the_discovered_one(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    hostile.script("/mine", answer(DEVICE))
    endpoints = Endpoints(device_authorization=f"{hostile.url}/mine")
    device_authorization.sign_in(provider_at(hostile, clock, endpoints=endpoints), stage)
    assert len(hostile.to("/mine")) == 1
    assert not hostile.to("/device/code")


def test_a_refused_client_gets_no_code_and_a_hint(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/device/code", oauth_error("unauthorized_client", 403, "Grant type not allowed for the client."))
    error = ends(provider, stage)
    assert error.error == "unauthorized_client"
    assert error.sentence.startswith(f"{hostile.host} gave no code to sign in with (unauthorized_client: Grant type")
    assert 'switch on the grant "Device Code"' in (error.hint or "")
    assert not stage.asked


def test_access_denied_before_anybody_was_asked_is_about_the_audience(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/device/code", oauth_error("access_denied", 403, "Service not found: urn:typo"))
    error = ends(provider, stage)
    assert error.sentence.startswith(f"{hostile.host} gave no code to sign in with (access_denied: Service not found")
    assert "audience" in (error.hint or "")


def test_a_code_is_not_asked_for_again_when_the_answer_is_lost(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/device/code", reset(), device_answer())
    with pytest.raises(TransportError):
        device_authorization.sign_in(provider, stage)
    assert len(hostile.to("/device/code")) == 1


def test_old_metadata_is_renewed_at_a_sign_in(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    documents = Memory()
    provider_at(hostile, clock, documents=documents).metadata()
    clock.advance(25 * 3600)
    device_authorization.sign_in(provider_at(hostile, clock, documents=documents), stage)
    assert len(hostile.to("/.well-known/openid-configuration")) == 2


# --- what is in the answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (None, 5.0),
        (0, 5.0),
        (-3, 5.0),
        ("soon", 5.0),
        (True, 5.0),
        ("nan", 5.0),
        ({}, 5.0),
        ("5", 5.0),
        ("7", 7.0),
        (1, 1.0),
        (3600, 60.0),
        (10**300, 60.0),
    ],
)
def test_c2_an_interval_that_is_missing_zero_or_garbage_is_five_seconds(
    hostile: HostileProvider, provider: Provider, clock: FakeClock, sent: object, understood: float
) -> None:
    prompt = prompt_from(hostile, provider, interval=sent)
    assert prompt.interval == understood
    assert prompt.next_poll == clock.now() + understood


@pytest.mark.parametrize(
    ("sent", "understood"),
    [(None, 900.0), (0, 900.0), (-1, 900.0), ("soon", 900.0), ("300", 300.0), (1800, 1800.0), (86400, 1800.0)],
)
def test_c11_a_missing_expires_in_is_fifteen_minutes_and_none_is_longer_than_thirty(
    hostile: HostileProvider, provider: Provider, clock: FakeClock, sent: object, understood: float
) -> None:
    assert prompt_from(hostile, provider, expires_in=sent).expires_at == clock.now() + understood


def test_c10_verification_uri_complete_may_be_absent(hostile: HostileProvider, provider: Provider) -> None:
    prompt = prompt_from(hostile, provider, verification_uri_complete=None)
    assert prompt.verification_uri_complete is None
    assert prompt.verification_uri == "https://op.example/activate"


def test_verification_url_is_accepted(hostile: HostileProvider, provider: Provider) -> None:
    changes = {"verification_uri": None, "verification_url": "https://www.google.com/device"}
    assert prompt_from(hostile, provider, **changes).verification_uri == "https://www.google.com/device"


UNUSABLE = [
    "",
    17,
    "http://op.example/activate",
    "ftp://op.example/activate",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "//op.example/activate",
    "https://",
    "https:///activate",
    "https://op.example:port/",
    "https://op.example/\x1b[2J",
    "https://op.example/\n",
    "https://op.example/a b",
    "https://op.example/\u202eetavitca",
    "https://b\u00fccher.example/",
    "https://op.example@evil.example/",
    "https://op.example\\@evil.example/",
    "https://[::1/",
    "https://op.example/" + "a" * 2000,
    "-https://op.example/",
]


@pytest.mark.parametrize("uri", UNUSABLE)
def test_c13_an_unusable_verification_uri_is_refused(hostile: HostileProvider, provider: Provider, uri: object) -> None:
    with pytest.raises(TokenResponseError, match=r"with an unusable verification_uri|without a verification_uri"):
        prompt_from(hostile, provider, verification_uri=uri)


@pytest.mark.parametrize("uri", UNUSABLE)
def test_c13_an_unusable_complete_uri_is_dropped(hostile: HostileProvider, provider: Provider, uri: object) -> None:
    assert prompt_from(hostile, provider, verification_uri_complete=uri).verification_uri_complete is None


@pytest.mark.parametrize(
    "uri", ["https://op.example", "https://OP.example:8443/#/activate?a=b", "https://[2001:db8::1]/"]
)
def test_c13_https_addresses_are_accepted_as_they_are(hostile: HostileProvider, provider: Provider, uri: str) -> None:
    assert prompt_from(hostile, provider, verification_uri=uri).verification_uri == uri


def test_c13_http_on_loopback_only_where_the_issuer_is_there(clock: FakeClock) -> None:
    with HostileProvider(now=clock.now) as hostile:  # an issuer on loopback, by http
        hostile.serve_metadata()
        uri = f"{hostile.url}/activate"
        assert prompt_from(hostile, provider_at(hostile, clock), verification_uri=uri).verification_uri == uri
    with HostileProvider(tls="good", now=clock.now) as hostile:
        hostile.serve_metadata()
        provider = provider_over_tls(hostile, clock)
        with pytest.raises(TokenResponseError, match="with an unusable verification_uri"):
            prompt_from(hostile, provider, verification_uri="http://127.0.0.1/activate")


def provider_over_tls(hostile: HostileProvider, clock: FakeClock) -> Provider:
    from credential_helper.model import Profile
    from credential_helper.transport.client import Transport

    profile = Profile(name="prod", issuer=hostile.issuer, client_id="cli", ca_file=hostile.ca_file)
    transport = Transport(clock=clock, ca_file=hostile.ca_file)
    return Provider(profile, transport=transport, documents=Memory(), clock=clock)


@pytest.mark.parametrize("code", [None, "", "  ", 17, "A" * 65, "A\x1b[2J", "A\nB", "\u202eABC", "caf\u00e9"])
def test_a_user_code_that_cannot_be_shown_refuses_the_answer(
    hostile: HostileProvider, provider: Provider, code: object
) -> None:
    with pytest.raises(TokenResponseError, match="user_code"):
        prompt_from(hostile, provider, user_code=code)


@pytest.mark.parametrize("code", ["1", "123 456 789", "wdjb_mjht", "A" * 64])
def test_the_form_of_a_user_code_is_the_providers_affair(
    hostile: HostileProvider, provider: Provider, code: str
) -> None:
    assert prompt_from(hostile, provider, user_code=code).user_code == code


@pytest.mark.parametrize("code", [None, "", 17, "a\nb"])
def test_an_answer_without_a_device_code_is_refused(hostile: HostileProvider, provider: Provider, code: object) -> None:
    with pytest.raises(TokenResponseError, match="device_code"):
        prompt_from(hostile, provider, device_code=code)


# --- the pace of polling ----------------------------------------------------------------------------------------------


def slowly(behaviour: Behaviour, clock: FakeClock, seconds: float) -> Behaviour:
    """Answer after ``seconds`` have gone by."""

    def behave(exchange: Exchange) -> None:
        clock.advance(seconds)
        behaviour(exchange)

    return behave


def test_c1_a_poll_starts_an_interval_after_the_end_of_the_one_before(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, clock: FakeClock
) -> None:
    hostile.script("/token", slowly(PENDING, clock, 3), slowly(PENDING, clock, 3), SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, 8, 8]


def test_auth0s_statuses_are_no_errors(hostile: HostileProvider, provider: Provider, stage: FakeStage) -> None:
    hostile.script("/token", oauth_error("authorization_pending", 403), oauth_error("slow_down", 429), SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, 5, 10]
    assert len(stage.tokens) == 1


def test_githubs_errors_with_200_are_understood(hostile: HostileProvider, provider: Provider, stage: FakeStage) -> None:
    hostile.script("/token", oauth_error("authorization_pending", 200), oauth_error("slow_down", 200), SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, 5, 10]


def test_c3_slow_down_adds_five_seconds_for_good(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", oauth_error("slow_down"), PENDING, oauth_error("slow_down"), PENDING, PENDING, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, 10, 10, 15, 15, 15]


@pytest.mark.parametrize(("interval", "gap"), [(20, 20), ("20", 20), (1, 10), (0, 10), ("soon", 10), (3600, 60)])
def test_c3_an_interval_beside_slow_down_lengthens_and_never_shortens(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, interval: object, gap: float
) -> None:
    hostile.script("/token", oauth_error("slow_down", interval=interval), PENDING, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, gap, gap]


TROUBLES = [
    pytest.param(reset(), id="reset"),
    pytest.param(html(502), id="502"),
    pytest.param(oauth_error("temporarily_unavailable", 400), id="temporarily_unavailable"),
    pytest.param(oauth_error("server_error", 500), id="server_error"),
    pytest.param(empty(404), id="404"),
    pytest.param(redirect(302, "https://portal.example/"), id="captive portal"),
]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_c5_trouble_doubles_the_pause_until_the_provider_answers_again(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, trouble: Behaviour
) -> None:
    hostile.script("/token", PENDING, trouble, trouble, PENDING, PENDING, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, 5, 10, 20, 5, 5]
    assert len(stage.tokens) == 1


def test_c5_the_pause_is_never_longer_than_a_minute(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", *[reset()] * 6, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, 10, 20, 40, 60, 60, 60]


def test_c5_trouble_goes_on_until_the_code_expires(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", html(503))
    with pytest.raises(TransportError):
        device_authorization.sign_in(provider, stage)
    assert stage.clock.now() == stage.asked[0].expires_at


def test_a_rate_limit_doubles_the_interval_for_good_and_is_not_waited_for_twice(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", rate_limited(None), rate_limited(2), PENDING, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, 10, 20, 20]


def test_retry_after_of_a_poll_is_honoured_up_to_a_minute(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", rate_limited(33), PENDING, rate_limited(3600), SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert stage.gaps == [5, 33, 10, 60]


def test_a_rate_limited_device_authorization_is_told(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/device/code", rate_limited(600))
    with pytest.raises(RateLimited):
        device_authorization.sign_in(provider, stage)


def test_the_pace_is_handed_to_the_stage_for_whoever_takes_over(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", oauth_error("slow_down"), PENDING, reset(), PENDING, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert [prompt.interval for prompt in stage.paused] == [5.0, 10.0, 10.0, 20.0, 10.0]
    assert [prompt.next_poll for prompt in stage.paused] == stage.polled
    assert {prompt.expires_at for prompt in stage.paused} == {stage.asked[0].expires_at}


# --- the end of it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["invalid_request", "invalid_client", "unauthorized_client", "odd_error", "invalid_scope"]
)
def test_c4_any_other_error_stops_polling(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, code: str
) -> None:
    hostile.script("/token", PENDING, oauth_error(code), SUCCESS)
    error = ends(provider, stage)
    assert error.error == code
    assert len(hostile.to("/token")) == 2


@pytest.mark.parametrize("behaviour", [html(200), html(400), html(403)])
def test_a_page_is_a_gateways_and_ends_no_sign_in(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, behaviour: Behaviour
) -> None:
    hostile.script("/token", behaviour, behaviour, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert len(hostile.to("/token")) == 3


def test_a_page_to_the_end_is_told(hostile: HostileProvider, provider: Provider, stage: FakeStage) -> None:
    hostile.script("/token", html(403))
    with pytest.raises(TransportError, match=r"is not known: .* with an HTML page .*in a row") as caught:
        device_authorization.sign_in(provider, stage)
    assert "gateway" in (caught.value.hint or "")


@pytest.mark.parametrize("behaviour", [half_json(), empty(400), answer([])])
def test_an_answer_that_is_not_oauth_stops_polling(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, behaviour: Behaviour
) -> None:
    hostile.script("/token", behaviour, SUCCESS)
    with pytest.raises(TokenResponseError):
        device_authorization.sign_in(provider, stage)
    assert len(hostile.to("/token")) == 1


@pytest.mark.parametrize("code", ["access_denied", "authorization_declined"])
def test_a_refusal_by_the_person_says_where(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, code: str
) -> None:
    hostile.script("/token", oauth_error(code, 403, "User cancelled", trace_id="8f3c"))
    error = ends(provider, stage)
    assert error.error == "access_denied"
    assert error.sentence == f"declined at {hostile.host} ({code}: User cancelled; request 8f3c)"


def test_an_expired_code_is_explained(hostile: HostileProvider, provider: Provider, stage: FakeStage) -> None:
    hostile.script("/token", PENDING, oauth_error("expired_token", 403))
    error = ends(provider, stage)
    assert error.error == "expired_token"
    assert error.sentence == f"nobody signed in at {hostile.host} before the code expired (expired_token)"


def test_invalid_grant_after_a_lost_expired_token_is_explained(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", reset(), oauth_error("invalid_grant", 403, "Invalid or expired device code."))
    error = ends(provider, stage)
    assert error.error == "invalid_grant"
    assert error.sentence == (
        f"{hostile.host} refused the code: it was declined, has expired, was used or may not be used "
        "(invalid_grant: Invalid or expired device code.)"
    )


def test_c6_polling_stops_when_the_code_expires(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, clock: FakeClock
) -> None:
    hostile.script("/device/code", device_answer(expires_in=12))
    hostile.script("/token", PENDING)
    error = ends(provider, stage)
    assert error.error == "expired_token"
    assert error.sentence == f"nobody signed in at {hostile.host} before the code expired"
    assert stage.gaps == [5, 5]
    assert clock.now() == stage.asked[0].expires_at


def test_c6_a_suspended_machine_is_seen_on_the_wall_clock(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, clock: FakeClock
) -> None:
    def suspend() -> None:
        clock.time += 3600  # the monotonic clock stood still

    stage.before_poll = suspend
    assert ends(provider, stage).error == "expired_token"
    assert not hostile.to("/token")


def test_c6_a_clock_that_is_set_back_does_not_prolong_the_code(
    hostile: HostileProvider, provider: Provider, stage: FakeStage, clock: FakeClock
) -> None:
    def set_back() -> None:
        clock.time -= 100

    hostile.script("/token", PENDING)
    stage.before_poll = set_back
    started = clock.monotonic()
    assert ends(provider, stage).error == "expired_token"
    assert clock.monotonic() - started <= 905


def test_after_a_success_no_poll_is_made_whatever_becomes_of_it(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    for failure in (
        TransportError("keys cannot be had"),
        RateLimited("later", retry_after=1.0),
        StoreError("disk full"),
    ):
        stage.fails_to_save = failure
        polls = len(hostile.to("/token"))
        with pytest.raises(type(failure)):
            device_authorization.sign_in(provider, stage)
        assert len(hostile.to("/token")) == polls + 1


def test_a_code_that_expires_while_the_provider_fails_is_the_provider_s_failure(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", PENDING, html(500))
    with pytest.raises(TransportError) as caught:
        device_authorization.sign_in(provider, stage)
    assert caught.value.sentence == (
        "the code expired, and whether anybody had signed in is not known: "
        f"{provider.host} answered 500 Internal Server Error, 17 times in a row"
    )
    assert caught.value.hint == f"sign in again when {provider.host} answers"
    assert caught.value.exit_code == 69


def test_a_code_that_expires_after_the_provider_recovered_is_the_person_s(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    hostile.script("/token", html(500), html(500), PENDING)
    assert "nobody signed in" in ends(provider, stage).sentence


def test_a_dead_process_s_code_that_expires_while_the_provider_fails_leads_to_a_new_one(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    stage = FakeStage(clock, left_behind(hostile, clock, expires_at=clock.now() + 8))
    hostile.script("/token", html(500), SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert [prompt.user_code for prompt in stage.asked] == ["WDJB-MJHT"]


@pytest.mark.parametrize(
    ("failure", "trouble"),
    [
        (html(502), "answers 502"),
        (oauth_error("temporarily_unavailable", 503), "answers 503"),
        (rate_limited(None), "answers 429"),
        (reset(), "does not answer"),
    ],
)
def test_the_prompt_says_what_keeps_the_provider_from_answering(
    hostile: HostileProvider,
    provider: Provider,
    stage: FakeStage,
    failure: Behaviour,
    trouble: str,
) -> None:
    hostile.script("/token", PENDING, failure, failure, PENDING, SUCCESS)
    device_authorization.sign_in(provider, stage)
    said = f"{provider.host} {trouble}"
    assert [prompt.trouble for prompt in stage.paused] == ["", "", said, said, ""]


def test_a_cancelled_sign_in_stops_before_the_poll(
    hostile: HostileProvider, provider: Provider, stage: FakeStage
) -> None:
    def cancel() -> None:
        raise InteractionRequired("cancelled by logout")

    stage.before_poll = cancel
    with pytest.raises(InteractionRequired):
        device_authorization.sign_in(provider, stage)
    assert not hostile.to("/token")


def test_c7_a_code_is_asked_for_once(hostile: HostileProvider, provider: Provider, stage: FakeStage) -> None:
    hostile.script("/token", oauth_error("expired_token"))
    ends(provider, stage)
    assert len(hostile.to("/device/code")) == 1


def test_c8_code_and_address_are_handed_over_beside_the_complete_one(
    hostile: HostileProvider, provider: Provider
) -> None:
    prompt = prompt_from(hostile, provider)
    assert prompt.user_code
    assert prompt.verification_uri
    assert prompt.verification_uri_complete


def test_c9_the_device_code_is_in_no_message_and_no_note(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    def mirror(exchange: Exchange) -> None:
        said = f"bad request: {exchange.received.body.decode()}"
        oauth_error("invalid_request", description=said)(exchange)

    notes: list[str] = []
    hostile.script("/token", html(502), oauth_error("slow_down"), mirror)
    error = ends(provider_at(hostile, clock, notes=notes), stage)
    assert "dc-s3cr3t" not in error.sentence + repr(stage.asked) + "".join(notes)
    assert "invalid_request" in error.sentence
    assert notes  # the 502 was told


# --- the code of a dead process ---------------------------------------------------------------------------------------


def left_behind(hostile: HostileProvider, clock: FakeClock, **changes: Any) -> Prompt:
    """Return the prompt of a process that died a minute ago, two seconds before its next poll."""
    left = {
        "tool": "git",
        "issuer": hostile.issuer,
        "device_code": Secret("dc-of-the-dead"),
        "user_code": "DEAD-CODE",
        "verification_uri": "https://op.example/activate",
        "interval": 10.0,
        "next_poll": clock.now() + 2,
        "expires_at": clock.now() + 600,
    }
    return prompt_at(clock.now() - 60, **{**left, **changes})


def test_a_dead_process_s_code_is_polled_at_its_pace(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    stage = FakeStage(clock, left_behind(hostile, clock))
    started = clock.now()
    hostile.script("/token", PENDING, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert [when - started for when in stage.polled] == [2, 12]
    assert [poll.field("device_code") for poll in hostile.to("/token")] == ["dc-of-the-dead"] * 2
    assert not hostile.to("/device/code")
    assert not stage.asked
    assert len(stage.tokens) == 1


@pytest.mark.parametrize("code", ["expired_token", "invalid_grant"])
def test_a_dead_process_s_code_that_is_no_good_leads_to_a_new_one(
    hostile: HostileProvider, provider: Provider, clock: FakeClock, code: str
) -> None:
    stage = FakeStage(clock, left_behind(hostile, clock))
    hostile.script("/token", oauth_error(code, 403), PENDING, SUCCESS)
    device_authorization.sign_in(provider, stage)
    assert [prompt.user_code for prompt in stage.asked] == ["WDJB-MJHT"]
    assert [poll.field("device_code") for poll in hostile.to("/token")] == [
        "dc-of-the-dead",
        "dc-s3cr3t-device-code",
        "dc-s3cr3t-device-code",
    ]


def test_a_dead_process_s_code_that_runs_out_leads_to_a_new_one(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    stage = FakeStage(clock, left_behind(hostile, clock, expires_at=clock.now() + 1))
    device_authorization.sign_in(provider, stage)
    assert [poll.field("device_code") for poll in hostile.to("/token")] == ["dc-s3cr3t-device-code"]


def test_a_dead_process_s_code_is_not_polled_for_longer_than_thirty_minutes(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    stage = FakeStage(clock, left_behind(hostile, clock, expires_at=clock.now() + 86400, interval=60.0))
    hostile.script("/token", PENDING)
    started = clock.monotonic()
    assert ends(provider, stage).error == "expired_token"
    assert [prompt.user_code for prompt in stage.asked] == ["WDJB-MJHT"]
    assert clock.monotonic() - started <= 1860 + 905


@pytest.mark.parametrize("code", ["access_denied", "invalid_client"])
def test_a_dead_process_s_code_that_was_declined_leads_nowhere(
    hostile: HostileProvider, provider: Provider, clock: FakeClock, code: str
) -> None:
    hostile.script("/token", oauth_error(code, 403))
    assert ends(provider, FakeStage(clock, left_behind(hostile, clock))).error == code
    assert not hostile.to("/device/code")


def test_a_pace_left_behind_that_makes_no_sense_is_bounded(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    stage = FakeStage(clock, left_behind(hostile, clock, interval=0.0, next_poll=clock.now() + 500))
    hostile.script("/token", PENDING, SUCCESS)
    started = clock.now()
    device_authorization.sign_in(provider, stage)
    assert [when - started for when in stage.polled] == [5, 10]


def test_a_code_that_may_not_be_used_has_the_provider_s_way_out(hostile: HostileProvider, clock: FakeClock) -> None:
    """Entra's Conditional Access says so at the token endpoint, after the person has signed in."""
    hostile.script("/token", oauth_error("invalid_grant", 400, "AADSTS53003: Access has been blocked"))
    stage = FakeStage(clock)
    with pytest.raises(AuthorizationError, match=r"refused the code.*may not be used.*AADSTS53003") as caught:
        device_authorization.sign_in(provider_at(hostile, clock, provider="entra"), stage)
    assert 'Conditional Access may forbid codes: flow = "authorization-code"' in (caught.value.hint or "")
