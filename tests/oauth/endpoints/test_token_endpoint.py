from __future__ import annotations

import base64
import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    RateLimited,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Endpoints, Profile, Secret, Tokens
from credential_helper.oauth.endpoints import form, redaction, reply, token_endpoint, token_response, wording
from credential_helper.oauth.provider import Provider
from credential_helper.providers import DEVICE_CODE, PASSWORD_REALM, PROVIDERS
from credential_helper.transport.client import Transport
from integration.servers.hostile_provider import (
    Behaviour,
    Exchange,
    HostileProvider,
    answer,
    empty,
    garbage,
    half_json,
    html,
    oauth_error,
    rate_limited,
    raw,
    redirect,
    reset,
)
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import REFRESH, TOKENS, provider_at, refresh
from tests.helpers.providers import Memory


@pytest.fixture
def provider(hostile: HostileProvider, clock: FakeClock) -> Provider:
    return provider_at(hostile, clock)


def tokens_from(hostile: HostileProvider, provider: Provider, **members: object) -> Tokens:
    """Return what is made of a token answer with these members; None leaves one out."""
    body = {name: value for name, value in {**TOKENS, **members}.items() if value is not None}
    hostile.script("/token", answer(body))
    return refresh(provider)


def failure(hostile: HostileProvider, provider: Provider, *behaviours: Behaviour) -> CredentialHelperError:
    """Return the error that these answers make of a refresh."""
    hostile.script("/token", *behaviours)
    with pytest.raises(CredentialHelperError) as caught:
        refresh(provider)
    return caught.value


# --- the request ------------------------------------------------------------------------------------------------------


def test_c14_the_request_is_a_post_and_its_address_has_no_parameter(
    hostile: HostileProvider, provider: Provider
) -> None:
    tokens_from(hostile, provider)
    (request,) = hostile.to("/token")
    assert (request.method, request.query) == ("POST", "")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept"] == "application/json"
    assert sorted(request.fields) == [
        ("client_id", "cli"),
        ("grant_type", "refresh_token"),
        ("refresh_token", "v1.refresh-token-in-use"),
    ]


def test_c15_no_parameter_is_empty_or_sent_twice_but_resource(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, parameters=(("organization", "org_1"), ("empty", ""), ("scope", "mine")))
    hostile.script("/token", answer(TOKENS))
    fields = [("scope", "a b"), ("audience", ""), ("resource", "urn:a"), ("resource", "urn:b"), ("resource", "urn:a")]
    token_endpoint.request(provider, "client_credentials", fields, refused="no")
    (request,) = hostile.to("/token")
    assert request.fields == [
        ("grant_type", "client_credentials"),
        ("scope", "a b"),
        ("resource", "urn:a"),
        ("resource", "urn:b"),
        ("organization", "org_1"),
        ("client_id", "cli"),
    ]


def test_the_token_endpoint_of_the_profile_replaces_the_discovered_one(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    provider = provider_at(hostile, clock, endpoints=Endpoints(token=f"{hostile.url}/mine"))
    hostile.script("/mine", answer(TOKENS))
    assert refresh(provider).access_token == Secret("at-1")
    assert not hostile.to("/token")


# --- a successful answer ----------------------------------------------------------------------------------------------


def test_a_complete_answer_becomes_tokens(hostile: HostileProvider, provider: Provider, clock: FakeClock) -> None:
    tokens = tokens_from(hostile, provider, refresh_token="rt-2", id_token="a.b.c", scope="openid  email")
    assert tokens == Tokens(
        access_token=Secret("at-1"),
        token_type="Bearer",
        received_at=clock.now(),
        expires_in=3600.0,
        refresh_token=Secret("rt-2"),
        id_token=Secret("a.b.c"),
        scope=("openid", "email"),
    )


def test_c18_unknown_members_are_ignored(hostile: HostileProvider, provider: Provider) -> None:
    assert tokens_from(hostile, provider, created_at=1, not_before_policy=[0]).access_token == Secret("at-1")


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER", None])
def test_c19_bearer_is_compared_without_case(
    hostile: HostileProvider, provider: Provider, token_type: str | None
) -> None:
    assert tokens_from(hostile, provider, token_type=token_type).token_type.lower() == "bearer"


@pytest.mark.parametrize("token_type", ["mac", "N_A", "Bearer DPoP"])
def test_c19_an_unknown_token_type_is_refused(hostile: HostileProvider, provider: Provider, token_type: str) -> None:
    with pytest.raises(TokenResponseError, match=f"'{token_type}', which no tool can carry"):
        tokens_from(hostile, provider, token_type=token_type)


@pytest.mark.parametrize("token_type", ["DPoP", "dpop"])
def test_c56_a_dpop_token_is_refused_with_a_sentence(
    hostile: HostileProvider, provider: Provider, token_type: str
) -> None:
    with pytest.raises(TokenResponseError, match="bound to a key") as caught:
        tokens_from(hostile, provider, token_type=token_type)
    assert "switch off DPoP" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (None, None),
        (300, 300.0),
        ("3600", 3600.0),
        (12.5, 12.5),
        (0, 0.0),
        (-5, 0.0),
        (10**300, token_response.LONGEST_LIFETIME),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        (True, None),
        ([60], None),
    ],
)
def test_c20_expires_in_is_missing_a_string_negative_huge_or_nonsense(
    hostile: HostileProvider, provider: Provider, sent: object, understood: float | None
) -> None:
    assert tokens_from(hostile, provider, expires_in=sent).expires_in == understood


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (None, None),
        ("openid email", ("openid", "email")),
        ("repo,gist", ("repo,gist",)),  # RFC 6749 §3.3: a comma may be part of a scope
        (["a", "b"], ("a", "b")),
        ("", ()),
        (7, None),
        (["a", 7], None),
        ("a\x1b[2J b", None),
    ],
)
def test_c21_scope_is_absent_separated_by_spaces_or_a_list(
    hostile: HostileProvider, provider: Provider, sent: object, understood: tuple[str, ...] | None
) -> None:
    assert tokens_from(hostile, provider, scope=sent).scope == understood


@pytest.mark.parametrize("sent", ["repo,gist", "repo, gist", "repo gist", ["repo", "gist"]])
def test_c21_github_separates_scopes_with_commas(hostile: HostileProvider, clock: FakeClock, sent: object) -> None:
    github = provider_at(hostile, clock, provider="github", endpoints=Endpoints(token=f"{hostile.url}/token"))
    assert tokens_from(hostile, github, scope=sent).scope == ("repo", "gist")


def test_c21_a_differing_scope_is_reported(hostile: HostileProvider, clock: FakeClock) -> None:
    notes: list[str] = []
    provider = provider_at(hostile, clock, notes=notes, scope=("openid", "offline_access"))
    tokens_from(hostile, provider, scope="offline_access openid")
    assert not notes
    tokens_from(hostile, provider, scope="openid")
    assert notes == [f"{hostile.host} granted the scope 'openid', not 'openid offline_access'"]


def test_c23_a_token_may_have_any_length(hostile: HostileProvider, provider: Provider) -> None:
    assert tokens_from(hostile, provider, access_token="x" * 100_000).access_token == Secret("x" * 100_000)


@pytest.mark.parametrize(
    "token", ["at\n1", "at 1", "at\t1", "\x00", "at\x1b[2J", "at\x7f", "caf\u00e9", "at\u200b1", "at-1\n"]
)
def test_an_access_token_with_white_space_or_control_characters_is_refused(
    hostile: HostileProvider, provider: Provider, token: str
) -> None:
    with pytest.raises(TokenResponseError, match="white space or control characters") as caught:
        tokens_from(hostile, provider, access_token=token)
    assert token not in caught.value.sentence


@pytest.mark.parametrize("token", [None, "", 17, ["at"], {"value": "at"}])
def test_an_answer_without_an_access_token_is_refused(
    hostile: HostileProvider, provider: Provider, token: object
) -> None:
    with pytest.raises(TokenResponseError, match="answered without an access token"):
        tokens_from(hostile, provider, access_token=token)


@pytest.mark.parametrize("name", ["refresh_token", "id_token"])
@pytest.mark.parametrize("value", [17, "", "rt\n2", "rt 2", {"a": 1}])
def test_an_optional_token_that_does_not_fit_is_dropped_and_told(
    hostile: HostileProvider, clock: FakeClock, name: str, value: object
) -> None:
    notes: list[str] = []
    provider = provider_at(hostile, clock, notes=notes)
    tokens = tokens_from(hostile, provider, **{name: value})
    assert (tokens.refresh_token, tokens.id_token) == (None, None)
    assert tokens.access_token == Secret("at-1")
    assert notes == [f"{hostile.host} sent a {name} that does not fit: dropped"]


# --- OAuth errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429])
def test_an_oauth_error_is_known_by_its_code_and_not_by_its_status(
    hostile: HostileProvider, provider: Provider, status: int
) -> None:
    error = failure(hostile, provider, oauth_error("invalid_grant", status, "Unknown or invalid refresh token."))
    assert isinstance(error, AuthorizationError)
    assert error.error == "invalid_grant"
    assert error.sentence == (
        f"{hostile.host} refused the refresh token (invalid_grant: Unknown or invalid refresh token.)"
    )
    assert len(hostile.to("/token")) == 1


def test_error_is_tested_even_beside_a_token_on_a_200(hostile: HostileProvider, provider: Provider) -> None:
    error = failure(hostile, provider, answer({**TOKENS, "error": "invalid_request"}))
    assert isinstance(error, AuthorizationError)
    assert error.error == "invalid_request"


@pytest.mark.parametrize("value", [None, ""])
def test_an_error_without_content_is_none(hostile: HostileProvider, provider: Provider, value: object) -> None:
    hostile.script("/token", answer({**TOKENS, "error": value}))
    assert refresh(provider).access_token == Secret("at-1")


@pytest.mark.parametrize("value", [{"code": 5, "message": "odd"}, 17, ["invalid_grant"], "Some words", False])
def test_an_error_that_is_not_oauths_is_no_success(hostile: HostileProvider, provider: Provider, value: object) -> None:
    error = failure(hostile, provider, answer({**TOKENS, "error": value}))
    assert isinstance(error, TokenResponseError)
    assert error.sentence.startswith(f"{hostile.host} answered 200 OK with an error that is not OAuth's")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("incorrect_client_credentials", "invalid_client"),
        ("token_expired", "expired_token"),
        ("authorization_declined", "access_denied"),
        ("bad_verification_code", "invalid_grant"),
        ("bad_refresh_token", "invalid_grant"),
    ],
)
def test_other_spellings_of_the_codes_are_understood_and_quoted_as_they_came(
    hostile: HostileProvider, provider: Provider, said: str, meant: str
) -> None:
    error = failure(hostile, provider, oauth_error(said))
    assert isinstance(error, AuthorizationError)
    assert error.error == meant
    assert f"({said})" in error.sentence


@pytest.mark.parametrize(
    "name",
    ["X-Request-Id", "X-Correlation-Id", "X-Auth0-RequestId", "X-Okta-Request-Id", "X-MS-Request-Id", "Request-Id"],
)
def test_the_providers_request_id_is_in_the_message(hostile: HostileProvider, provider: Provider, name: str) -> None:
    body = {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token"}
    error = failure(hostile, provider, answer(body, 403, {name: "8f3c"}))
    assert error.sentence == (
        f"{hostile.host} refused the refresh token (invalid_grant: Unknown or invalid refresh token; request 8f3c)"
    )


@pytest.mark.parametrize("name", ["trace_id", "correlation_id"])
def test_the_request_id_may_stand_in_the_body(hostile: HostileProvider, provider: Provider, name: str) -> None:
    error = failure(hostile, provider, answer({"error": "invalid_grant", name: "8f3c"}, 400))
    assert error.sentence.endswith("(invalid_grant; request 8f3c)")


def test_what_a_provider_says_is_one_harmless_line(hostile: HostileProvider, provider: Provider) -> None:
    error = failure(hostile, provider, oauth_error("invalid_grant", description="a\n\x1b[2Jb\u202e" + "c" * 5000))
    assert "\n" not in error.sentence
    assert "\x1b" not in error.sentence
    assert "\u202e" not in error.sentence
    assert len(error.sentence) < 400


HINTS = [
    ("refresh_token", "unauthorized_client", 'switch on the grant "Refresh Token"'),
    ("client_credentials", "unauthorized_client", 'switch on the grant "Client Credentials"'),
    (DEVICE_CODE, "unauthorized_client", 'switch on the grant "Device Code"'),
    ("refresh_token", "invalid_client", "check client_id"),
    ("client_credentials", "invalid_scope", "check scope"),
    ("refresh_token", "invalid_scope", "sign in again"),
    ("refresh_token", "invalid_target", "check audience and resource"),
    ("client_credentials", "access_denied", "check client_id, client_secret and audience"),
    ("password", "mfa_required", 'flow = "device"'),
    ("refresh_token", "use_dpop_nonce", "switch off DPoP"),
]


@pytest.mark.parametrize(("grant_type", "code", "hint"), HINTS)
def test_where_a_person_can_do_something_a_hint_says_what(
    hostile: HostileProvider, provider: Provider, grant_type: str, code: str, hint: str
) -> None:
    hostile.script("/token", oauth_error(code))
    with pytest.raises(AuthorizationError) as caught:
        token_endpoint.request(provider, grant_type, [], refused="said no")
    assert hint in (caught.value.hint or "")
    assert caught.value.error == code


def client_of(context: str) -> tuple[str, str]:
    """Return a grant type and a method of client authentication that have this context."""
    grant_type, _, method = context.partition(" ")
    if context == "private_key_jwt":
        return "x", context
    return grant_type, method or ("none" if context == "public" else "post")


def test_every_hint_can_be_formatted(hostile: HostileProvider, clock: FakeClock) -> None:
    for name, row in PROVIDERS.items():
        provider = provider_at(hostile, clock, provider=name)
        for (context, code), (predicate, _) in wording._WORDS.items():
            said, hint = wording.sentence_and_hint(provider, code, *client_of(context))
            assert said == predicate
            assert hint
            assert "{" not in hint
        for context, code in row.places:
            _, hint = wording.sentence_and_hint(provider, code, *client_of(context))
            assert hint is not None
            assert f"{row.title}: {row.places[context, code]}" in hint


@pytest.mark.parametrize(
    ("name", "grant_type", "code", "hint"),
    [
        ("generic", "refresh_token", "unauthorized_client", 'switch on the grant "Refresh Token" for this client'),
        (
            "auth0",
            "refresh_token",
            "unauthorized_client",
            'switch on the grant "Refresh Token" for this client (Auth0: Applications > NAME > Settings > Advanced '
            "Settings > Grant Types)",
        ),
        (
            "keycloak",
            "password",
            "unauthorized_client",
            'switch on the grant "Direct access grants" for this client (Keycloak: Clients > NAME > Settings > '
            "Capability config)",
        ),
        (
            "github",
            "x",
            "unverified_user_email",
            "GitHub: the primary e-mail address has to be verified",
        ),
    ],
)
def test_a_hint_names_the_place_where_this_provider_has_the_switch(
    hostile: HostileProvider, clock: FakeClock, name: str, grant_type: str, code: str, hint: str
) -> None:
    provider = provider_at(hostile, clock, provider=name, endpoints=Endpoints(token=f"{hostile.url}/token"))
    hostile.script("/token", oauth_error(code))
    with pytest.raises(AuthorizationError) as caught:
        token_endpoint.request(provider, grant_type, [], refused="said no")
    assert caught.value.hint == hint


@pytest.mark.parametrize("grant_type", ["password", PASSWORD_REALM])
@pytest.mark.parametrize(
    ("code", "status", "sentence", "hint"),
    [
        ("invalid_grant", 403, "refused the user name or password", "check account and password"),
        ("unauthorized", 403, "refused this account", "blocked"),
        ("too_many_attempts", 429, "refused this account for a while", "wait"),
    ],
)
def test_what_auth0_says_of_a_password_is_about_the_person(
    hostile: HostileProvider, clock: FakeClock, grant_type: str, code: str, status: int, sentence: str, hint: str
) -> None:
    hostile.script("/token", oauth_error(code, status))
    with pytest.raises(AuthorizationError) as caught:
        token_endpoint.request(provider_at(hostile, clock, provider="auth0"), grant_type, [], refused="said no")
    assert f"{hostile.host} {sentence} ({code})" == caught.value.sentence
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("grant_type", ["password", PASSWORD_REALM])
@pytest.mark.parametrize("secret", [None, "s3cr3t"])
def test_a_blocked_account_is_told_with_401_as_well(
    hostile: HostileProvider, clock: FakeClock, grant_type: str, secret: str | None
) -> None:
    """The code is HTTP's own word for a 401, but for its capital."""
    hostile.script("/token", oauth_error("unauthorized", 401, "user is blocked"))
    with pytest.raises(AuthorizationError) as caught:
        asked = provider_at(hostile, clock, provider="auth0", secret=secret)
        token_endpoint.request(asked, grant_type, [], refused="said no")
    assert caught.value.sentence == f"{hostile.host} refused this account (unauthorized: user is blocked)"
    assert caught.value.error == "unauthorized"
    assert len(hostile.to("/token")) == 1


# --- a 401 of a client that proved who it is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grant_type", "behaviour", "code", "sent"),
    [
        ("client_credentials", empty(401), "invalid_client", 2),
        ("client_credentials", answer({"message": "odd"}, 401), "invalid_client", 2),
        ("client_credentials", oauth_error("unauthorized", 401, "Bad credentials"), "invalid_client", 2),
        ("client_credentials", oauth_error("access_denied", 401), "invalid_client", 2),
        ("refresh_token", html(401), "invalid_client", 2),
        ("refresh_token", oauth_error("unauthorized", 401, "user is blocked"), "unauthorized", 1),
        ("authorization_code", html(401), None, 1),
        ("authorization_code", answer({"error": "Unauthorized"}, 401), None, 1),
        ("authorization_code", oauth_error("access_denied", 401), "invalid_client", 2),
        ("password", answer({"message": "Bad credentials"}, 401), None, 1),
        ("password", answer({"error": "Unauthorized"}, 401), None, 1),
        ("password", answer({"error": "UNAUTHORIZED"}, 401), None, 1),
        ("password", answer({"error": "Not Found"}, 401), None, 1),
        ("password", html(401), None, 1),
        ("password", empty(401), None, 1),
        ("password", oauth_error("access_denied", 401), "access_denied", 1),
        (PASSWORD_REALM, html(401), None, 1),
        (PASSWORD_REALM, oauth_error("access_denied", 401), "access_denied", 1),
        ("password", oauth_error("invalid_client", 401), "invalid_client", 2),
    ],
)
def test_a_401_is_about_the_client_only_where_it_can_be_about_nothing_else(
    hostile: HostileProvider, clock: FakeClock, grant_type: str, behaviour: Behaviour, code: str | None, sent: int
) -> None:
    hostile.script("/token", behaviour)
    with pytest.raises(CredentialHelperError) as caught:
        token_endpoint.request(provider_at(hostile, clock, secret="s3cr3t"), grant_type, REFRESH, refused="said no")
    error = caught.value
    assert (error.error if isinstance(error, AuthorizationError) else None) == code
    assert len(hostile.to("/token")) == sent
    if code is None:
        assert isinstance(error, TokenResponseError)
        assert "client_authentication: only one method was tried" in (error.hint or "")


def test_an_outage_that_a_setting_explains_says_so(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", oauth_error("server_error", 403, "not configured with default connection"))
    with pytest.raises(TransportError) as caught:
        token_endpoint.request(provider_at(hostile, clock, provider="auth0"), "password", [], refused="said no")
    assert "Default Directory" in (caught.value.hint or "")


def test_dex_calls_a_declined_code_an_invalid_request_and_nobody_else_does(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    hostile.script("/token", oauth_error("invalid_request"))
    for asked, code in ((provider_at(hostile, clock, provider="dex"), "invalid_grant"), (provider, "invalid_request")):
        with pytest.raises(AuthorizationError) as caught:
            token_endpoint.request(asked, DEVICE_CODE, [], refused="said no")
        assert caught.value.error == code


@pytest.mark.parametrize(
    ("behind", "known", "sent"), [(600.0, False, 2), (-600.0, False, 2), (5.0, False, 1), (600.0, True, 1)]
)
def test_an_assertion_of_a_wrong_clock_is_made_again_once_the_time_is_known(
    clock: FakeClock, behind: float, known: bool, sent: int
) -> None:
    from tests.helpers.assertions import client_at  # which imports this module

    with HostileProvider(now=lambda: clock.now() + behind) as hostile:
        endpoints = Endpoints(token=f"{hostile.url}/token", device_authorization=f"{hostile.url}/d")
        provider = client_at(hostile, clock, endpoints=endpoints, scope=("read",))
        provider.transport.skew = behind if known else None
        hostile.script("/token", oauth_error("invalid_client", 401))
        with pytest.raises(AuthorizationError) as caught:
            refresh(provider)
        assertions = [received.field("client_assertion") for received in hostile.to("/token")]
    assert len(assertions) == len(set(assertions)) == sent
    assert caught.value.sentence == f"{hostile.host} refused the client's assertion (invalid_client)"
    assert "public key is registered" in (caught.value.hint or "")


@pytest.mark.parametrize("age", ["3000", None])
def test_an_assertion_has_the_right_time_behind_a_cache(clock: FakeClock, age: str | None) -> None:
    """Also behind one that does not say so: the answer that refuses the client is no cache's, and tells the time."""
    from tests.helpers.assertions import client_at

    def judge(exchange: Exchange) -> None:
        payload = (exchange.received.field("client_assertion") or "").split(".")[1]
        issued = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iat"]
        (answer(TOKENS) if abs(issued - clock.now()) < 10 else oauth_error("invalid_client", 401))(exchange)

    with HostileProvider(now=clock.now) as hostile:
        document = hostile.serve_metadata()
        headers = {"Date": formatdate(clock.now() - 3000, usegmt=True)} | ({} if age is None else {"Age": age})
        hostile.script(
            "/.well-known/openid-configuration",
            raw(
                "\r\n".join(
                    [
                        "HTTP/1.1 200 OK",
                        *(f"{name}: {value}" for name, value in headers.items()),
                        "",
                        json.dumps(document),
                    ]
                ).encode()
            ),
        )
        hostile.script("/token", judge)
        assert refresh(client_at(hostile, clock, scope=("read",))).access_token == Secret("at-1")
        assert len(hostile.to("/token")) == (1 if age else 2)


def test_a_machine_with_a_key_has_no_secret_to_check(hostile: HostileProvider, clock: FakeClock) -> None:
    from tests.helpers.assertions import client_at

    hostile.script("/token", oauth_error("access_denied", 403))
    with pytest.raises(AuthorizationError) as caught:
        token_endpoint.request(client_at(hostile, clock), "client_credentials", [], refused="said no")
    assert "secret" not in caught.value.sentence + (caught.value.hint or "")


# --- what the tokens are for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "field", "scope", "note"),
    [
        ("generic", ("audience", "api"), "openid", ""),
        ("auth0", ("audience", "api"), "openid", ""),
        ("pingfederate", ("aud", "api"), "openid", ""),
        ("entra", None, "openid api/.default", ""),
        ("zitadel", None, "openid urn:zitadel:iam:org:project:id:api:aud", ""),
        ("dex", None, "openid audience:server:client_id:api", ""),
        ("okta", None, "openid", "Okta takes no audience with a request: not sent"),
        ("google", None, "openid", "Google takes no audience with a request: not sent"),
    ],
)
def test_an_audience_is_sent_as_the_provider_takes_it(
    hostile: HostileProvider, clock: FakeClock, name: str, field: tuple[str, str] | None, scope: str, note: str
) -> None:
    notes: list[str] = []
    provider = provider_at(hostile, clock, provider=name, audience="api", scope=("openid",), notes=notes)
    fields = dict(form.what_for(provider))
    assert fields == {"scope": scope, **dict([field] if field else [])}
    assert [line for line in notes if "audience" in line] == ([note] if note else [])


def test_without_an_audience_nothing_is_said_of_it(hostile: HostileProvider, clock: FakeClock) -> None:
    for name in PROVIDERS:
        notes: list[str] = []
        provider = provider_at(hostile, clock, provider=name, scope=("openid",), notes=notes)
        assert {value for _, value in form.what_for(provider)} <= {"openid", ""}
        assert not [line for line in notes if "audience" in line]


# --- an error that came by another way --------------------------------------------------------------------------------


def test_an_error_at_the_redirect_uri_is_explained_like_any_other(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, provider="auth0")
    error = reply.refusal(
        provider,
        "unauthorized_client",
        "grant\x1b[2J for state-1-is-secret",
        grant_type="authorization_code",
        refused="refused the sign-in",
        secrets=("state-1-is-secret",),
    )
    assert isinstance(error, reply.Refusal)
    assert error.sentence.startswith(f"{hostile.host} refused the sign-in (unauthorized_client: grant")
    assert "secret" not in error.sentence
    assert "\x1b" not in error.sentence
    assert "Authorization Code" in (error.hint or "")
    assert error.error == "unauthorized_client"
    assert error.interval is None


def test_what_is_no_code_is_still_told(provider: Provider) -> None:
    error = reply.refusal(provider, "Not Found", grant_type="authorization_code", refused="said no")
    assert error.error == "invalid_request"
    assert error.details == "(Not Found)"


# --- an answer in the form of a form ----------------------------------------------------------------------------------

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def test_tokens_may_come_as_a_form(hostile: HostileProvider, provider: Provider) -> None:
    """GitHub answers so whoever does not ask for JSON, and who stands between may take that wish away."""
    hostile.script(
        "/token", answer("access_token=gho_16C7%2Fe&expires_in=28800&scope=a+b&token_type=bearer", 200, FORM)
    )
    tokens = refresh(provider)
    assert tokens.access_token == Secret("gho_16C7/e")
    assert tokens.expires_in == 28800
    assert tokens.scope == ("a", "b")
    assert tokens.token_type == "bearer"


def test_an_error_may_come_as_a_form(hostile: HostileProvider, provider: Provider) -> None:
    body = "error=incorrect_client_credentials&error_description=The+client_id+is+wrong.&error_uri=https%3A%2F%2Fx"
    error = failure(hostile, provider, answer(body, 200, FORM))
    assert isinstance(error, AuthorizationError)
    assert error.error == "invalid_client"
    assert "(incorrect_client_credentials: The client_id is wrong.)" in error.sentence


@pytest.mark.parametrize("body", ["access_token=a&access_token=b", "access_token", "access_token=%zz", "=x", "a=%ff"])
def test_a_broken_form_is_no_answer(hostile: HostileProvider, provider: Provider, body: str) -> None:
    error = failure(hostile, provider, answer(body, 200, FORM))
    assert isinstance(error, TokenResponseError)
    assert "a broken form" in error.sentence
    assert "access" not in error.sentence


# --- no secret is repeated --------------------------------------------------------------------------------------------


def mirror(status: int = 400) -> Behaviour:
    """Answer with everything that was sent, as some providers do."""

    def behave(exchange: Any) -> None:
        received = exchange.received
        said = f"cannot serve {received.body.decode()} {received.fields} {received.headers}"
        answer({"error": "invalid_request", "error_description": said, "trace_id": said}, status)(exchange)

    return behave


@pytest.mark.parametrize("method", ["basic", "post"])
def test_a_provider_that_mirrors_the_request_leaks_no_secret(
    hostile: HostileProvider, clock: FakeClock, method: str
) -> None:
    secret, refresh_token = "p%c+r t&=/e secret", "v1.~rt/with+odd=chars"
    provider = provider_at(hostile, clock, secret=secret, client_authentication=method)
    hostile.script("/token", mirror())
    with pytest.raises(AuthorizationError) as caught:
        token_endpoint.request(provider, "refresh_token", [("refresh_token", refresh_token)], refused="no")
    (request,) = hostile.to("/token")
    said = caught.value.sentence + caught.value.details if isinstance(caught.value, reply.Refusal) else ""
    assert "grant_type=***" in said or "grant_type=refresh_token" in said
    for part in (secret, refresh_token, "p%25c", "with%2Bodd", "with+odd", request.headers.get("authorization", "§")):
        assert part not in said


def test_a_mirrored_part_of_a_secret_is_cut_as_well() -> None:
    cut = redaction.without_secrets
    secrets = ["v1.MabcdefghijklmnopQRSTuvwxyz", "a/b c"]
    assert cut("token v1.MabcdefghijklmnopQRSTuvwxyz is unknown", secrets) == "token *** is unknown"
    assert cut("token v1.Mabcdefg… is unknown", secrets) == "token ***… is unknown"
    assert cut("sent a%2fb+c", secrets) == "sent ***"
    assert cut("nothing of ours", secrets) == "nothing of ours"


@pytest.mark.parametrize("echo", ["correct%20horse%20%20b", "correct+horse++b", "correct horse b", "correct horse  b"])
def test_a_password_with_spaces_is_cut_however_it_comes_back(
    hostile: HostileProvider, provider: Provider, echo: str
) -> None:
    hostile.script("/token", oauth_error("invalid_grant", 403, f"no {echo}!"))
    with pytest.raises(AuthorizationError) as caught:
        token_endpoint.request(provider, "password", [("password", "correct horse  b")], refused="no")
    assert caught.value.sentence.endswith("(invalid_grant: no ***!)")


@given(st.text(min_size=1), st.text(), st.text())
def test_no_secret_survives_anywhere_in_a_text(secret: str, before: str, after: str) -> None:
    cut = redaction.without_secrets(before + secret + after, [secret])
    assert secret.strip("*") == "" or secret not in cut or secret in "***"


def test_tokens_in_a_refused_answer_are_not_repeated(hostile: HostileProvider, provider: Provider) -> None:
    more = {"mfa_token": "Fe26.2**sealed-token", "access_token": "at-in-an-error"}
    said = "continue with Fe26.2**sealed-token or at-in-an-error"
    error = failure(hostile, provider, oauth_error("mfa_required", 403, said, **more))
    assert error.sentence.endswith("(mfa_required: continue with *** or ***)")


def test_a_member_that_is_no_token_is_no_secret(hostile: HostileProvider, provider: Provider) -> None:
    error = failure(hostile, provider, answer({"error": "invalid_request", "code": "invalid_request"}, 400))
    assert error.sentence.endswith("(invalid_request)")


def test_no_exception_holds_a_body_or_a_secret(hostile: HostileProvider, provider: Provider) -> None:
    for behaviour in (
        half_json(),
        garbage(),
        html(200),
        answer({"access_token": "bad token", "secret": "s3cr3t-body"}),
    ):
        error: BaseException | None = failure(hostile, provider, behaviour)
        while error is not None:
            told = repr(error) + str(error) + repr(error.args) + repr(vars(error))
            for secret in ("half-a-tok", "caf", "bad token", "s3cr3t-body", "v1.refresh-token-in-use"):
                assert secret not in told
            error = error.__cause__ or error.__context__


# --- answers that are not OAuth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (html(200), "answered 200 with an HTML page where a JSON object was expected"),
        (html(403), "answered 403 with an HTML page where a JSON object was expected"),
        (empty(200), "answered 200 with an empty body where a JSON object was expected"),
        (empty(400), "answered 400 Bad Request without an OAuth error"),
        (empty(401), "answered 401 Unauthorized without an OAuth error"),
        (half_json(), "answered 200 with broken JSON where a JSON object was expected"),
        (garbage(), "answered 200 with broken JSON where a JSON object was expected"),
        (answer([TOKENS]), "answered 200 with JSON that is not an object where a JSON object was expected"),
        (answer({"message": "odd"}, 418), "answered 418 I'm a Teapot without an OAuth error (odd)"),
        (
            answer({"errorSummary": "odd", "errorId": "e1"}, 403),
            "answered 403 Forbidden without an OAuth error (odd; request e1)",
        ),
        (
            answer({"statusCode": 401, "error": "Unauthorized", "message": "bad"}, 401),
            "answered 401 Unauthorized with an error that is not OAuth's (bad)",
        ),
        (answer({"access_token": "at-1"}, 400), "answered 400 Bad Request without an OAuth error"),
        (
            answer("no", 400, {"X-Request-Id": "8f3c"}),
            "answered 400 with something that is not JSON where a JSON object was expected (request 8f3c)",
        ),
    ],
)
def test_an_answer_that_is_not_oauth_is_told_in_one_sentence(
    hostile: HostileProvider, provider: Provider, behaviour: Behaviour, sentence: str
) -> None:
    error = failure(hostile, provider, behaviour)
    assert isinstance(error, TokenResponseError)
    assert error.sentence == f"{hostile.host} {sentence}"
    assert len(hostile.to("/token")) == 1


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (html(502), "answered 502 Bad Gateway"),
        (empty(503), "answered 503 Service Unavailable"),
        (empty(599), "answered 599"),
        (answer({"error": "Internal Server Error"}, 500), "answered 500 Internal Server Error"),
        (
            answer({"message": "odd"}, 500, {"X-Request-Id": "8f3c"}),
            "answered 500 Internal Server Error (odd; request 8f3c)",
        ),
        (empty(408), "answered 408 Request Timeout"),
        (rate_limited(120, status=503), "answered 503 Service Unavailable; it asks to come back in 2 min"),
        (oauth_error("temporarily_unavailable", 400, "busy"), "cannot answer now (temporarily_unavailable: busy)"),
        (oauth_error("server_error", 500), "cannot answer now (server_error)"),
        (oauth_error("server_error", 200), "cannot answer now (server_error)"),
    ],
)
def test_a_provider_in_trouble_is_a_transport_error(
    hostile: HostileProvider, provider: Provider, behaviour: Behaviour, sentence: str
) -> None:
    error = failure(hostile, provider, behaviour)
    assert isinstance(error, TransportError)
    assert error.sentence == f"{hostile.host} {sentence}"
    assert not error.stale_address
    assert len(hostile.to("/token")) == 1


def test_nothing_is_sent_again_after_a_broken_connection(hostile: HostileProvider, provider: Provider) -> None:
    assert isinstance(failure(hostile, provider, reset()), TransportError)
    assert len(hostile.to("/token")) == 1


def test_c55_no_secret_follows_a_redirect(hostile: HostileProvider, provider: Provider) -> None:
    error = failure(hostile, provider, redirect(307, f"{hostile.url}/elsewhere"))
    assert isinstance(error, TransportError)
    assert not hostile.to("/elsewhere")


# --- an endpoint that has moved ---------------------------------------------------------------------------------------


def test_a_404_is_a_stale_address(hostile: HostileProvider, provider: Provider) -> None:
    error = failure(hostile, provider, empty(404))
    assert isinstance(error, TransportError)
    assert error.stale_address
    assert error.sentence == f"{hostile.host} answered 404: nothing is at /token"


def test_after_a_404_the_request_goes_once_to_where_the_endpoint_is_now(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    documents = Memory()
    provider_at(hostile, clock, documents=documents).metadata()
    hostile.serve_metadata(token_endpoint=f"{hostile.url}/new/token")
    hostile.script("/token", empty(404))
    hostile.script("/new/token", answer(TOKENS))
    assert refresh(provider_at(hostile, clock, documents=documents)).access_token == Secret("at-1")
    assert (len(hostile.to("/token")), len(hostile.to("/new/token"))) == (1, 1)


def test_a_provider_that_is_gone_altogether_is_told_as_the_first_failure(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    documents, notes = Memory(), list[str]()
    provider_at(hostile, clock, documents=documents).metadata()
    hostile.script("/.well-known/openid-configuration", html(502))
    error = failure(hostile, provider_at(hostile, clock, documents=documents, notes=notes), empty(404))
    assert error.sentence == f"{hostile.host} answered 404: nothing is at /token"
    assert any("cannot be renewed" in note for note in notes)


@pytest.mark.parametrize("behaviour", [html(502), reset()])
def test_what_may_have_been_seen_is_not_sent_to_another_address(
    hostile: HostileProvider, clock: FakeClock, behaviour: Behaviour
) -> None:
    documents = Memory()
    provider_at(hostile, clock, documents=documents).metadata()
    hostile.serve_metadata(token_endpoint=f"{hostile.url}/new/token")
    failure(hostile, provider_at(hostile, clock, documents=documents), behaviour)
    assert not hostile.to("/new/token")


def test_an_oauth_error_with_404_says_nothing_about_the_address(hostile: HostileProvider, provider: Provider) -> None:
    provider.metadata()
    hostile.serve_metadata(token_endpoint=f"{hostile.url}/new/token")
    assert isinstance(failure(hostile, provider, oauth_error("invalid_grant", 404)), AuthorizationError)
    assert not hostile.to("/new/token")


# --- a provider that asks us to come back later -----------------------------------------------------------------------


@pytest.mark.parametrize("wait", [0, 7, 10])
def test_a_429_that_asks_for_a_short_pause_is_waited_for_once(
    hostile: HostileProvider, provider: Provider, clock: FakeClock, wait: int
) -> None:
    hostile.script("/token", rate_limited(wait), answer(TOKENS))
    assert refresh(provider).access_token == Secret("at-1")
    assert clock.slept == [wait]


def test_a_second_429_is_not_waited_for(hostile: HostileProvider, provider: Provider, clock: FakeClock) -> None:
    error = failure(hostile, provider, rate_limited(3), rate_limited(4), answer(TOKENS))
    assert isinstance(error, RateLimited)
    assert (error.retry_after, clock.slept) == (4.0, [3.0])


def test_a_429_that_asks_for_a_long_pause_is_told_with_the_wait(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    error = failure(hostile, provider, rate_limited(7200))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7200.0
    assert error.sentence == f"{hostile.host} gets too many requests; it asks to come back in 2 h"
    assert not clock.slept
    assert len(hostile.to("/token")) == 1


def test_retry_after_may_be_a_date_on_the_providers_clock(clock: FakeClock) -> None:
    ahead = 5000.0
    with HostileProvider(now=lambda: clock.now() + ahead) as hostile:
        hostile.serve_metadata()
        error = failure(
            hostile, provider_at(hostile, clock), rate_limited(formatdate(clock.now() + ahead + 90, usegmt=True))
        )
    assert isinstance(error, RateLimited)
    assert error.retry_after == pytest.approx(90.0, abs=1.0)


@pytest.mark.parametrize("header", [45, 1_900_000_045])
def test_x_ratelimit_reset_is_a_date_or_seconds(hostile: HostileProvider, provider: Provider, header: int) -> None:
    error = failure(hostile, provider, answer("later", 429, {"X-RateLimit-Reset": str(header)}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == pytest.approx(45.0, abs=1.0)


@pytest.mark.parametrize("header", [None, "soon", "-7", ""])
def test_a_429_that_does_not_say_when_is_not_waited_for(
    hostile: HostileProvider, provider: Provider, clock: FakeClock, header: str | None
) -> None:
    error = failure(hostile, provider, rate_limited(header))
    assert isinstance(error, RateLimited)
    assert error.retry_after == reply.UNKNOWN_WAIT
    assert error.sentence == f"{hostile.host} gets too many requests"
    assert not clock.slept


@pytest.mark.parametrize("code", ["too_many_requests", "temporarily_unavailable", "Too Many Requests"])
def test_a_429_that_only_names_itself_is_a_rate_limit(hostile: HostileProvider, provider: Provider, code: str) -> None:
    assert isinstance(failure(hostile, provider, oauth_error(code, 429)), RateLimited)


def test_slow_down_with_429_is_no_rate_limit_of_a_poll(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    hostile.script("/token", answer({"error": "slow_down"}, 429, {"Retry-After": "3"}))
    with pytest.raises(AuthorizationError) as caught:
        token_endpoint.request(provider, DEVICE_CODE, [("device_code", "dc-1")], refused="refused the code", busy=())
    assert caught.value.error == "slow_down"
    assert not clock.slept


@pytest.mark.parametrize("status", [200, 400, 403, 429, 503])
def test_slow_down_is_a_rate_limit_of_anything_else(hostile: HostileProvider, provider: Provider, status: int) -> None:
    assert isinstance(failure(hostile, provider, oauth_error("slow_down", status)), RateLimited)


@pytest.mark.parametrize("code", ["invalid_request", "interaction_required", "quota_exceeded", "request_denied"])
def test_a_429_is_a_rate_limit_whatever_stands_beside_it(
    hostile: HostileProvider, provider: Provider, clock: FakeClock, code: str
) -> None:
    error = failure(hostile, provider, answer({"error": code}, 429, {"Retry-After": "47"}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 47.0
    hostile.script("/token", answer({"error": code}, 429, {"Retry-After": "3"}), answer(TOKENS))
    refresh(provider)
    assert clock.slept == [3.0]


@pytest.mark.parametrize("status", [500, 503])
def test_a_pending_sign_in_is_none_of_a_refresh(hostile: HostileProvider, provider: Provider, status: int) -> None:
    assert isinstance(failure(hostile, provider, oauth_error("authorization_pending", status)), TransportError)


# --- whatever comes ---------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = st.sampled_from(
    ["error", "error_description", "access_token", "token_type", "expires_in", "scope", "refresh_token", "trace_id"]
)


@given(status=st.sampled_from([200, 201, 400, 401, 404, 429, 500]), body=st.dictionaries(MEMBERS, JSON, max_size=5))
def test_any_answer_gives_tokens_or_one_of_our_errors(status: int, body: dict[str, object]) -> None:
    from credential_helper.transport.answer import Answer

    clock = FakeClock()

    class Canned(Transport):
        def get(self, url: str, *, authorization: Secret | None = None) -> Answer:  # noqa: ARG002
            metadata = {"issuer": "https://op.example", "token_endpoint": "https://op.example/token"}
            return Answer(
                status=200, headers={}, body=json.dumps(metadata).encode(), host="op.example", received_at=1.0
            )

        def post(self, *_: object, **__: object) -> Answer:
            return Answer(status=status, headers={}, body=json.dumps(body).encode(), host="op.example", received_at=1.0)

    profile = Profile(name="prod", issuer="https://op.example", client_id="cli")
    provider = Provider(profile, transport=Canned(clock=clock), documents=Memory(), clock=clock)
    outcome = outcome_of(provider)
    if isinstance(outcome, Tokens):
        assert outcome.access_token is None or outcome.access_token.reveal().isascii()
        assert status < 300
    else:
        assert type(outcome) is not CredentialHelperError
        assert outcome.sentence.isprintable()


def outcome_of(provider: Provider) -> Tokens | CredentialHelperError:
    try:
        return refresh(provider)
    except CredentialHelperError as error:
        return error
