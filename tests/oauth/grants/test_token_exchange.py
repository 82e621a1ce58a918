from __future__ import annotations

from typing import Any

import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError, TokenResponseError
from credential_helper.model import Secret, Tokens
from credential_helper.oauth.grants import token_exchange
from credential_helper.oauth.grants.token_exchange import ACCESS_TOKEN, ID_TOKEN, JWT
from credential_helper.oauth.provider import Provider
from credential_helper.workloads import Workload
from integration.servers.hostile_provider import HostileProvider, answer, oauth_error
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at
from tests.helpers.interaction import FakeStage
from tests.helpers.workloads import job_token

SUBJECT = Secret("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2ItNDIifQ.c2lnbmF0dXJl")
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"


def exchanged(provider: Provider) -> Tokens:
    return token_exchange.exchange(provider, SUBJECT, JWT)


def test_an_exchange_sends_what_it_is_told_and_who_the_client_is(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, secret="s3cr3t", audience="another", parameters=(("connector_id", "ci"),))
    token_exchange.exchange(
        provider,
        SUBJECT,
        ID_TOKEN,
        audience="https://api.example",
        resource=("urn:a", "urn:b"),
        scope=("read", "write"),
    )
    (request,) = hostile.to("/token")
    assert request.fields == [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", SUBJECT.reveal()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", "https://api.example"),
        ("scope", "read write"),
        ("resource", "urn:a"),
        ("resource", "urn:b"),
        ("connector_id", "ci"),
    ]
    assert "authorization" in request.headers


def test_what_is_not_given_is_not_sent(hostile: HostileProvider, clock: FakeClock) -> None:
    exchanged(provider_at(hostile, clock, audience="the profile's", scope=("openid",)))
    (request,) = hostile.to("/token")
    assert [name for name, _ in request.fields] == [
        *("grant_type", "subject_token", "subject_token_type", "requested_token_type", "client_id"),
    ]


def test_an_audience_goes_as_a_scope_where_the_provider_has_it_so(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, provider="dex", audience="kubernetes")
    wanted = "audience:server:client_id:kubernetes"
    token_exchange.exchange(provider, SUBJECT, ID_TOKEN, audience="kubernetes", scope=("openid", wanted))
    (request,) = hostile.to("/token")
    assert request.field("scope") == f"openid {wanted}"
    assert request.field("audience") is None


def test_zitadel_is_asked_for_a_jwt_because_its_access_tokens_are_opaque(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    token_exchange.exchange(provider_at(hostile, clock, provider="zitadel"), SUBJECT, ACCESS_TOKEN, audience="2000")
    (request,) = hostile.to("/token")
    assert request.field("requested_token_type") == JWT
    assert request.field("scope") == "urn:zitadel:iam:org:project:id:2000:aud"


@pytest.mark.parametrize("issued", [ACCESS_TOKEN, JWT, ID_TOKEN])
def test_what_was_issued_may_be_an_access_token_or_a_jwt(
    hostile: HostileProvider, clock: FakeClock, issued: str
) -> None:
    hostile.script("/token", answer({**TOKENS, "issued_token_type": issued}))
    tokens = exchanged(provider_at(hostile, clock))
    assert (tokens.access_token, tokens.token_type, tokens.expires_in) == (Secret("at-1"), "Bearer", 3600)


@pytest.mark.parametrize("issued", [JWT, ID_TOKEN])
def test_a_jwt_that_is_no_access_token_is_carried_as_a_bearer_token(
    hostile: HostileProvider, clock: FakeClock, issued: str
) -> None:
    hostile.script("/token", answer({**TOKENS, "token_type": "N_A", "issued_token_type": issued}))
    tokens = exchanged(provider_at(hostile, clock))
    assert (tokens.access_token, tokens.token_type) == (Secret("at-1"), "Bearer")


@pytest.mark.parametrize("issued", [{"issued_token_type": ACCESS_TOKEN}, {}])
def test_any_other_token_of_the_type_n_a_is_none_that_a_tool_carries(
    hostile: HostileProvider, clock: FakeClock, issued: dict[str, str]
) -> None:
    hostile.script("/token", answer({**TOKENS, "token_type": "N_A", **issued}))
    with pytest.raises(TokenResponseError, match="a token of the type 'N_A', which no tool can carry"):
        exchanged(provider_at(hostile, clock))


@pytest.mark.parametrize(
    ("issued", "words"),
    [
        (REFRESH_TOKEN, "gave a refresh token for the token"),
        ("urn:ietf:params:oauth:token-type:saml2", "of the type 'urn:ietf:params:oauth:token-type:saml2'"),
        ("\x1b[2J", "gave a token of the type "),
        ([], "without a type that is one"),
    ],
)
def test_another_type_is_refused_in_a_sentence(
    hostile: HostileProvider, clock: FakeClock, issued: object, words: str
) -> None:
    hostile.script("/token", answer({**TOKENS, "issued_token_type": issued}))
    with pytest.raises(TokenResponseError) as caught:
        exchanged(provider_at(hostile, clock))
    assert words in caught.value.sentence
    assert caught.value.sentence.startswith(hostile.host)
    assert "\x1b" not in caught.value.sentence
    assert caught.value.hint == "have the provider issue access tokens for this exchange (RFC 8693 §2.2.1)"


def test_an_answer_without_a_type_is_said_and_taken(hostile: HostileProvider, clock: FakeClock) -> None:
    notes: list[str] = []
    assert exchanged(provider_at(hostile, clock, notes=notes)).access_token == Secret("at-1")
    assert notes == [f"{hostile.host} does not say of what type the token is that it gave for another one"]


@pytest.mark.parametrize("others", [{}, {"id_token": "a.b.c"}])
def test_what_came_with_an_answer_that_is_no_good_is_not_lost(
    hostile: HostileProvider, clock: FakeClock, others: dict[str, str]
) -> None:
    hostile.script("/token", answer({**TOKENS, "token_type": "N_A", "refresh_token": "rt-2", **others}))
    with pytest.raises(TokenResponseError) as caught:
        exchanged(provider_at(hostile, clock))
    assert caught.value.refresh_token == Secret("rt-2")


def test_the_subject_token_is_cut_out_of_what_the_provider_says(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", oauth_error("invalid_grant", 400, f"no trust in {SUBJECT.reveal()} of ci"))
    with pytest.raises(AuthorizationError) as caught:
        exchanged(provider_at(hostile, clock))
    assert caught.value.sentence == (
        f"{hostile.host} refused to exchange the token (invalid_grant: no trust in *** of ci)"
    )
    assert caught.value.hint == (
        "check that the provider trusts the issuer of the token that was sent, and its audience"
    )


def test_an_empty_token_is_sent_nowhere(hostile: HostileProvider, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="there is no token to exchange"):
        token_exchange.exchange(provider_at(hostile, clock), Secret(""), JWT)
    assert not hostile.requests


# --- as a flow


def job(hostile: HostileProvider, clock: FakeClock, **settings: Any) -> Provider:
    source = Workload(source="env", value=("IDP",))
    environ = {"IDP": job_token()}
    return provider_at(hostile, clock, flow="token-exchange", workload=source, environ=environ, **settings)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, JWT),
        ({"provider": "dex"}, ID_TOKEN),
        ({"provider": "okta"}, ACCESS_TOKEN),
        ({"subject_token_type": "urn:acme:job"}, "urn:acme:job"),
    ],
)
def test_a_job_s_token_is_exchanged_as_what_the_provider_takes(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage, settings: dict[str, str], kind: str
) -> None:
    token_exchange.sign_in(job(hostile, clock, **settings), stage)
    (request,) = hostile.to("/token")
    assert (request.field("subject_token"), request.field("subject_token_type")) == (job_token(), kind)
    assert [tokens.access_token for tokens in stage.tokens] == [Secret("at-1")]


def test_what_the_profile_asks_for_is_asked_for(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    provider = job(hostile, clock, audience="https://api.example", resource=("urn:a",), scope=("read",))
    token_exchange.sign_in(provider, stage)
    (request,) = hostile.to("/token")
    assert [request.field(name) for name in ("audience", "resource", "scope")] == [
        *("https://api.example", "urn:a", "read"),
    ]


def test_another_profile_s_access_token_is_exchanged(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    provider = provider_at(hostile, clock, flow="token-exchange", subject=lambda: Secret("at-0"), provider="dex")
    token_exchange.sign_in(provider, stage)
    (request,) = hostile.to("/token")
    assert (request.field("subject_token"), request.field("subject_token_type")) == ("at-0", ACCESS_TOKEN)


def test_what_a_machine_has_no_use_for_is_dropped(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    hostile.script("/token", answer({**TOKENS, "refresh_token": "rt-1", "id_token": "a.b.c"}))
    token_exchange.sign_in(job(hostile, clock), stage)
    assert (stage.tokens[0].refresh_token, stage.tokens[0].id_token) == (None, None)


def test_google_s_token_service_is_told_of_no_client(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    provider = job(hostile, clock, provider="google-sts", audience="//iam.example/p", scope=("x",))
    hostile.script("/v1/token", answer({**TOKENS, "issued_token_type": ACCESS_TOKEN}))
    token_exchange.sign_in(provider, stage)
    (request,) = hostile.to("/v1/token")
    assert request.field("client_id") is None
    assert "authorization" not in request.headers
    assert [received.path for received in hostile.requests] == ["/v1/token"]
