"""What the answers of real providers mean, and what is said of them."""

from __future__ import annotations

import pytest

from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    RateLimited,
    TokenResponseError,
    TransportError,
)
from credential_helper.oauth.endpoints import form, token_endpoint
from credential_helper.oauth.provider import Provider
from credential_helper.providers import DEVICE_CODE
from integration.servers.hostile_provider import Behaviour, HostileProvider, answer, empty, html, oauth_error
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at


def failure(
    provider: Provider, hostile: HostileProvider, *behaviours: Behaviour, grant_type: str = "refresh_token"
) -> CredentialHelperError:
    hostile.script("/token", *behaviours)
    fields = form.what_for(provider) if grant_type == "client_credentials" else []
    with pytest.raises(CredentialHelperError) as caught:
        token_endpoint.request(provider, grant_type, fields, refused="said no")
    return caught.value


# --- the status of a server that failed -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
@pytest.mark.parametrize("code", ["internal_server_error", "invalid_grant", "invalid_client", "access_denied"])
def test_a_5xx_is_the_provider_s_failure_whatever_its_body_calls_it(
    hostile: HostileProvider, clock: FakeClock, status: int, code: str
) -> None:
    provider = provider_at(hostile, clock, secret="s3cr3t")
    error = failure(provider, hostile, oauth_error(code, status, "the database is away"))
    assert type(error) is TransportError
    assert error.exit_code == 69
    assert f"answered {status}" in error.sentence
    assert error.sentence.endswith(f"({code}: the database is away)")
    assert len(hostile.to("/token")) == 1


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("code", ["authorization_pending", "slow_down"])
def test_a_5xx_that_says_that_nobody_has_decided_says_so(
    hostile: HostileProvider, clock: FakeClock, status: int, code: str
) -> None:
    error = failure(provider_at(hostile, clock), hostile, oauth_error(code, status), grant_type=DEVICE_CODE)
    assert isinstance(error, AuthorizationError)
    assert error.error == code


# --- a client that is turned away without a word ----------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_client_that_is_turned_away_without_a_word_is_told_what_to_check(
    hostile: HostileProvider, clock: FakeClock, status: int
) -> None:
    """Glewlwyd's 403 for a wrong secret has no body."""
    provider = provider_at(hostile, clock, secret="s3cr3t")
    error = failure(provider, hostile, empty(status), grant_type="client_credentials")
    assert isinstance(error, AuthorizationError)
    assert error.sentence == f"{hostile.host} refused the client id or secret"
    assert error.hint == "check client_id, client_secret and client_authentication"
    assert len(hostile.to("/token")) == 2  # as post, too


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("secret", "hint"), [("s3cr3t", "only one method was tried"), (None, "a client without a secret")]
)
def test_where_no_second_method_may_be_tried_there_is_a_hint(
    hostile: HostileProvider, clock: FakeClock, status: int, secret: str | None, hint: str
) -> None:
    provider = provider_at(hostile, clock, secret=secret)
    error = failure(provider, hostile, empty(status), grant_type="authorization_code")
    assert isinstance(error, TokenResponseError)
    assert hint in (error.hint or "")
    assert len(hostile.to("/token")) == 1


def test_a_403_with_words_is_not_about_the_client(hostile: HostileProvider, clock: FakeClock) -> None:
    error = failure(provider_at(hostile, clock, secret="s3cr3t"), hostile, html(403))
    assert isinstance(error, TokenResponseError)
    assert "gateway" in (error.hint or "")
    assert "client" not in (error.hint or "")
    assert len(hostile.to("/token")) == 1


@pytest.mark.parametrize(
    ("behaviour", "hint"),
    [
        (html(200), "gateway"),
        (html(400), "gateway"),
        (empty(404), "endpoints in the profile"),
        (html(404), "endpoints in the profile"),
        (empty(405), "endpoints in the profile"),
        (empty(415), "endpoints in the profile"),
        (empty(400), "does not say what is wrong"),
        (oauth_error("invalid_request"), "check scope, audience, resource and parameters"),
        (oauth_error("invalid_resource"), "check audience and resource"),
        (oauth_error("interaction_required"), "no person is part of this flow"),
        (oauth_error("insufficient_user_authentication"), "acr_values"),
        (oauth_error("unmet_authentication_requirements"), "acr_values"),
    ],
)
def test_whatever_is_wrong_there_is_something_to_do(
    hostile: HostileProvider, clock: FakeClock, behaviour: Behaviour, hint: str
) -> None:
    provider = provider_at(hostile, clock, secret="s3cr3t")
    assert hint in (failure(provider, hostile, behaviour, grant_type="client_credentials").hint or "")


# --- a scope ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "hint"),
    [(None, "give a scope"), ((), "give a scope"), (("api",), "check scope: this client may not ask for all of it")],
)
def test_where_no_scope_was_sent_one_is_missing(
    hostile: HostileProvider, clock: FakeClock, scope: tuple[str, ...] | None, hint: str
) -> None:
    provider = provider_at(hostile, clock, secret="s3cr3t", flow="client-credentials", scope=scope)
    error = failure(provider, hostile, oauth_error("invalid_scope"), grant_type="client_credentials")
    assert hint in (error.hint or "")


# --- what some providers demand of a client ---------------------------------------------------------------------------

DPOP = ("demands tokens that are bound to a key (DPoP, RFC 9449)", "switch off DPoP")
SIGNED = ("demands a signed request object (RFC 9101)", "switch off signed request objects")


@pytest.mark.parametrize(
    ("code", "description", "words", "hint"),
    [
        ("use_dpop_nonce", None, *DPOP),
        ("invalid_dpop_proof", "missing", *DPOP),
        ("invalid_grant", "DPoP proof JWT not provided", *DPOP),
        ("invalid_request", "the DPoP header is required", *DPOP),
        ("invalid_request_object", None, *SIGNED),
        ("invalid_request", "Request Object must be used by this client", *SIGNED),
        ("invalid_request", "request_object is required", *SIGNED),
        ("request_not_supported", None, "takes no request object", "take request out of parameters"),
        ("request_uri_not_supported", None, "takes no request_uri", "take request_uri out of parameters"),
        ("invalid_grant", "mutual TLS client certificate not provided", "demands a client certificate", "register"),
        (
            "invalid_request",
            "Pushed Authorization Request must be used",
            "said no",
            "pushed_authorization_requests = true",
        ),
    ],
)
def test_what_is_demanded_and_not_supported_is_said(
    hostile: HostileProvider, clock: FakeClock, code: str, description: str | None, words: str, hint: str
) -> None:
    error = failure(provider_at(hostile, clock), hostile, oauth_error(code, 400, description))
    assert isinstance(error, AuthorizationError)
    assert f"{hostile.host} {words}" in error.sentence
    assert f"({code}" in error.sentence
    assert hint in (error.hint or "")


def test_a_refresh_token_is_not_at_fault_where_its_client_has_to_prove_a_key(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    error = failure(provider_at(hostile, clock), hostile, oauth_error("invalid_grant", 400, "DPoP proof not provided"))
    assert isinstance(error, AuthorizationError)
    assert error.error == "invalid_dpop_proof"


@pytest.mark.parametrize("grant_type", ["client_credentials", "authorization_code", DEVICE_CODE])
def test_where_a_provider_knows_dpop_a_refused_grant_may_be_about_that(
    hostile: HostileProvider, clock: FakeClock, grant_type: str
) -> None:
    """oidc-provider does not say what it misses."""
    words = "if this client is registered for tokens that are bound to a key, switch off DPoP"
    refusal = oauth_error("invalid_grant", 400, "grant request is invalid")
    hostile.serve_metadata(dpop_signing_alg_values_supported=["ES256"])
    error = failure(provider_at(hostile, clock, secret="s3cr3t"), hostile, refusal, grant_type=grant_type)
    assert words in (error.hint or "")
    hostile.serve_metadata()
    error = failure(provider_at(hostile, clock, secret="s3cr3t"), hostile, refusal, grant_type=grant_type)
    assert words not in (error.hint or "")


# --- when to come back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X-Rate-Limit-Reset", "X-RateLimit-Reset", "RateLimit-Reset"])
@pytest.mark.parametrize("epoch", [True, False])
def test_the_end_of_a_rate_limit_is_honoured_like_retry_after(
    hostile: HostileProvider, clock: FakeClock, name: str, epoch: bool
) -> None:
    """Okta's is seconds since the epoch."""
    end = int(clock.now()) + 47 if epoch else 47
    error = failure(provider_at(hostile, clock), hostile, answer("later", 429, {name: str(end)}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == pytest.approx(47.0, abs=1.0)
    assert error.sentence.endswith("it asks to come back in 47 s")
    hostile.script("/token", answer("later", 429, {name: str(end - 40)}), answer(TOKENS))
    token_endpoint.request(provider_at(hostile, clock), "refresh_token", [], refused="no")
    assert clock.slept == [pytest.approx(7.0, abs=1.0)]


def test_an_outage_is_not_the_end_of_a_rate_limit(hostile: HostileProvider, clock: FakeClock) -> None:
    error = failure(provider_at(hostile, clock), hostile, answer("down", 503, {"X-Rate-Limit-Reset": "47"}))
    assert isinstance(error, TransportError)
    assert "come back" not in error.sentence
