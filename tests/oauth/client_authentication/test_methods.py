from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError, TokenResponseError
from credential_helper.model import Endpoints, Secret
from credential_helper.oauth import client_authentication
from credential_helper.oauth.endpoints import revocation, token_endpoint
from credential_helper.oauth.grants import client_credentials, device_authorization
from credential_helper.oauth.provider import Provider
from credential_helper.providers import DEVICE_CODE
from integration.servers.hostile_provider import (
    Behaviour,
    Exchange,
    HostileProvider,
    Received,
    answer,
    empty,
    oauth_error,
    rate_limited,
    signing_key,
)
from tests.helpers.assertions import Assertion, certificate_of, client_at, jwk, verified
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at, refresh
from tests.helpers.interaction import DEVICE, FakeStage
from tests.helpers.providers import Memory

ODD_ID, ODD_SECRET = "m2m-basic:odd/id", "p%c+r t&=/e"

REFUSALS = [
    pytest.param(oauth_error("invalid_client", 401), id="invalid_client"),
    pytest.param(oauth_error("invalid_client", 400), id="invalid_client with 400"),
    pytest.param(oauth_error("access_denied", 401, "Unauthorized"), id="what Auth0 says"),
    pytest.param(empty(401), id="bare 401"),
    pytest.param(answer("who are you?", 401), id="401 and words"),
    pytest.param(answer({"error": "Unauthorized"}, 401), id="401 and its phrase"),
]


def method_of(request: Received) -> str:
    """Return how a request was authenticated; more than one way fails (RFC 6749 §2.3)."""
    header, secret = "authorization" in request.headers, request.field("client_secret") is not None
    assertion = request.field("client_assertion") is not None
    assert header + secret + assertion <= 1
    assert header == (request.field("client_id") is None)
    return "basic" if header else "post" if secret else "private_key_jwt" if assertion else "none"


def methods_used(hostile: HostileProvider) -> list[str]:
    return [method_of(request) for request in hostile.to("/token")]


def test_without_a_secret_the_client_names_itself_and_no_more(hostile: HostileProvider, clock: FakeClock) -> None:
    refresh(provider_at(hostile, clock))
    (request,) = hostile.to("/token")
    assert method_of(request) == "none"
    assert request.field("client_id") == "cli"


def test_none_does_not_send_a_secret_that_is_there(hostile: HostileProvider, clock: FakeClock) -> None:
    refresh(provider_at(hostile, clock, secret="s3cr3t", client_authentication="none"))
    assert methods_used(hostile) == ["none"]


def test_c17_both_halves_of_basic_are_form_urlencoded(hostile: HostileProvider, clock: FakeClock) -> None:
    refresh(provider_at(hostile, clock, secret=ODD_SECRET, client_id=ODD_ID))
    (request,) = hostile.to("/token")
    scheme, _, encoded = request.headers["authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded) == b"m2m-basic%3Aodd%2Fid:p%25c%2Br+t%26%3D%2Fe"


@pytest.mark.parametrize("method", ["basic", "post"])
def test_an_empty_secret_is_sent_as_one(hostile: HostileProvider, clock: FakeClock, method: str) -> None:
    """Cloud Foundry's UAA knows the client cf by it."""
    refresh(provider_at(hostile, clock, secret="", client_id="cf", client_authentication=method))
    (request,) = hostile.to("/token")
    if method == "basic":
        assert request.headers["authorization"] == "Basic Y2Y6"
    else:
        assert (request.field("client_id"), request.field("client_secret")) == ("cf", "")


def test_post_puts_both_in_the_body(hostile: HostileProvider, clock: FakeClock) -> None:
    refresh(provider_at(hostile, clock, secret=ODD_SECRET, client_id=ODD_ID, client_authentication="post"))
    (request,) = hostile.to("/token")
    assert method_of(request) == "post"
    assert (request.field("client_id"), request.field("client_secret")) == (ODD_ID, ODD_SECRET)


@pytest.mark.parametrize("method", ["none", "basic", "post", "auto"])
def test_c16_there_is_exactly_one_method_a_request(hostile: HostileProvider, clock: FakeClock, method: str) -> None:
    refresh(provider_at(hostile, clock, secret="s3cr3t", client_authentication=method))
    assert methods_used(hostile) == ["basic" if method == "auto" else method]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_auto_is_basic_and_once_again_post_when_the_client_is_refused(
    hostile: HostileProvider, clock: FakeClock, refusal: Behaviour
) -> None:
    hostile.script("/token", refusal, answer(TOKENS))
    assert refresh(provider_at(hostile, clock, secret="s3cr3t")).access_token == Secret("at-1")
    assert methods_used(hostile) == ["basic", "post"]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_client_that_is_refused_with_every_method_is_told_about_its_secret(
    hostile: HostileProvider, clock: FakeClock, refusal: Behaviour
) -> None:
    hostile.script("/token", refusal)
    provider = provider_at(hostile, clock, secret="s3cr3t")
    with pytest.raises(AuthorizationError, match="refused the client id or secret") as caught:
        refresh(provider)
    assert caught.value.error == "invalid_client"
    assert "client_secret" in (caught.value.hint or "")
    assert methods_used(hostile) == ["basic", "post"]
    assert provider.authentication_worked is None


def test_what_worked_is_remembered_with_the_metadata(hostile: HostileProvider, clock: FakeClock) -> None:
    documents = Memory()
    hostile.script("/token", oauth_error("invalid_client", 401), answer(TOKENS))
    refresh(provider_at(hostile, clock, secret="s3cr3t", documents=documents))
    refresh(provider_at(hostile, clock, secret="s3cr3t", documents=documents))
    assert methods_used(hostile) == ["basic", "post", "post"]


def test_what_worked_once_and_is_refused_now_is_tried_the_other_way(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, secret="s3cr3t")
    provider.authentication_worked = "post"
    hostile.script("/token", oauth_error("invalid_client", 401), answer(TOKENS))
    refresh(provider)
    assert methods_used(hostile) == ["post", "basic"]
    assert provider.authentication_worked == "basic"


@pytest.mark.parametrize(("known", "first"), [("github", "post"), ("generic", "basic")])
def test_a_provider_is_known_for_the_method_that_is_tried_first(
    hostile: HostileProvider, clock: FakeClock, known: str, first: str
) -> None:
    tokens = f"{hostile.url}/token"
    settings: dict[str, Any] = {"provider": known, "endpoints": Endpoints(token=tokens), "flow": "client-credentials"}
    refresh(provider_at(hostile, clock, secret="s3cr3t", **settings))
    remembered = provider_at(hostile, clock, secret="s3cr3t", **settings)
    remembered.authentication_worked = "basic" if first == "post" else "post"
    refresh(remembered)
    assert methods_used(hostile) == [first, remembered.authentication_worked]


def test_a_pending_sign_in_proves_the_method_too(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, secret="s3cr3t")
    hostile.script("/token", oauth_error("invalid_client", 401), oauth_error("authorization_pending", 403))
    with pytest.raises(AuthorizationError):
        token_endpoint.request(provider, DEVICE_CODE, [("device_code", "dc-1")], refused="refused the code")
    assert provider.authentication_worked == "post"


def test_another_oauth_error_is_not_tried_again(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", oauth_error("invalid_grant", 401))
    provider = provider_at(hostile, clock, secret="s3cr3t")
    with pytest.raises(AuthorizationError):
        refresh(provider)
    assert methods_used(hostile) == ["basic"]


@pytest.mark.parametrize("method", ["basic", "post"])
def test_a_method_that_the_profile_names_is_the_only_one(
    hostile: HostileProvider, clock: FakeClock, method: str
) -> None:
    hostile.script("/token", oauth_error("invalid_client", 401), answer(TOKENS))
    with pytest.raises(AuthorizationError):
        refresh(provider_at(hostile, clock, secret="s3cr3t", client_authentication=method))
    assert methods_used(hostile) == [method]


def test_a_public_client_is_refused_once_and_told_what_may_be_missing(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    hostile.script("/token", oauth_error("invalid_client", 401))
    with pytest.raises(AuthorizationError, match="refused the client ") as caught:
        refresh(provider_at(hostile, clock, provider="auth0"))
    assert "authentication method None" in (caught.value.hint or "")
    assert methods_used(hostile) == ["none"]


def test_a_bare_401_says_nothing_about_a_client_that_has_no_secret(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", empty(401))
    with pytest.raises(TokenResponseError, match="answered 401"):
        refresh(provider_at(hostile, clock))
    assert methods_used(hostile) == ["none"]


@pytest.mark.parametrize("method", ["basic", "post"])
def test_a_method_that_needs_a_secret_says_so_before_anything_is_sent(
    hostile: HostileProvider, clock: FakeClock, method: str
) -> None:
    provider = provider_at(hostile, clock, client_authentication=method)
    with pytest.raises(ConfigurationError, match="needs a client_secret") as caught:
        refresh(provider)
    assert "client_secret = { env" in (caught.value.hint or "")
    assert not hostile.to("/token")
    with pytest.raises(ConfigurationError, match="no client_secret"):
        client_authentication.authenticate(provider, method, [])


def test_every_form_of_a_secret_is_known(hostile: HostileProvider, clock: FakeClock) -> None:
    provider: Provider = provider_at(hostile, clock, secret=ODD_SECRET, client_id=ODD_ID)
    fields, authorization = client_authentication.authenticate(provider, "basic", [("refresh_token", "rt-1")])
    encoded = "bTJtLWJhc2ljJTNBb2RkJTJGaWQ6cCUyNWMlMkJyK3QlMjYlM0QlMkZl"
    assert client_authentication.secrets_in(fields, authorization) == (
        "rt-1",
        encoded,
        "p%25c%2Br+t%26%3D%2Fe",
        ODD_SECRET,
    )
    fields, authorization = client_authentication.authenticate(provider, "post", [("scope", "openid")])
    assert authorization is None
    assert client_authentication.secrets_in(fields, authorization) == (ODD_SECRET,)


# --- private_key_jwt --------------------------------------------------------------------------------------------------


def assertions(hostile: HostileProvider, *paths: str) -> list[Assertion]:
    """Return the assertion of every request to these paths, each verified with the public key."""
    found = [request for request in hostile.requests if request.path in paths]
    assert found
    for request in found:
        assert method_of(request) == "private_key_jwt"
        assert request.field("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return [verified(request.field("client_assertion") or "", signing_key("ES256").private) for request in found]


def identities(hostile: HostileProvider, *paths: str) -> list[str]:
    """Return the jti of every request to these paths; none may come twice."""
    found = [assertion.claims["jti"] for assertion in assertions(hostile, *paths)]
    assert len(set(found)) == len(found)
    return found


@pytest.mark.parametrize("method", ["auto", "private_key_jwt"])
def test_a_client_with_a_key_sends_an_assertion_and_its_name(
    hostile: HostileProvider, clock: FakeClock, method: str
) -> None:
    refresh(client_at(hostile, clock, client_id=ODD_ID, client_authentication=method))
    (request,) = hostile.to("/token")
    assert [name for name, _ in request.fields] == [
        *("grant_type", "refresh_token", "client_id", "client_assertion_type", "client_assertion"),
    ]
    assert "authorization" not in request.headers
    (assertion,) = assertions(hostile, "/token")
    assert request.field("client_id") == ODD_ID == assertion.claims["iss"] == assertion.claims["sub"]


def test_private_key_jwt_without_a_key_says_so_before_anything_is_sent(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    provider = provider_at(hostile, clock, client_authentication="private_key_jwt")
    with pytest.raises(ConfigurationError, match='"private_key_jwt" needs a private_key') as caught:
        refresh(provider)
    assert "private_key = { file" in (caught.value.hint or "")
    assert not hostile.to("/token")


def test_none_does_not_use_a_key_that_is_there(hostile: HostileProvider, clock: FakeClock) -> None:
    refresh(client_at(hostile, clock, client_authentication="none"))
    assert methods_used(hostile) == ["none"]


def test_a_key_that_will_not_do_stops_the_request(hostile: HostileProvider, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="no private key"):
        refresh(client_at(hostile, clock, "s3cr3t"))
    assert not hostile.to("/token")


def test_every_request_of_a_device_sign_in_has_an_assertion_of_its_own(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    hostile.script("/device/code", answer(DEVICE))
    pending = oauth_error("authorization_pending", 403)
    hostile.script("/token", pending, oauth_error("slow_down", 429), rate_limited(1), pending, answer(TOKENS))
    stage = FakeStage(clock)
    device_authorization.sign_in(client_at(hostile, clock, flow="device"), stage)
    assert len(stage.tokens) == 1
    assert len(identities(hostile, "/device/code", "/token")) == 6
    sent = assertions(hostile, "/device/code", "/token")
    assert {assertion.claims["aud"] for assertion in sent} == {hostile.issuer}
    for earlier, later in pairwise(sent):
        assert later.claims["iat"] >= earlier.claims["iat"] + 5 or earlier is sent[0]


def test_a_request_that_is_repeated_after_a_pause_has_an_assertion_of_its_own(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    hostile.script("/token", rate_limited(7), answer(TOKENS))
    refresh(client_at(hostile, clock))
    first, second = assertions(hostile, "/token")
    assert len(identities(hostile, "/token")) == 2
    assert second.claims["iat"] == first.claims["iat"] + 7


@pytest.mark.parametrize("aud", ["issuer", "token_endpoint"])
def test_a_request_to_a_renewed_address_has_an_assertion_of_its_own(
    hostile: HostileProvider, clock: FakeClock, aud: str
) -> None:
    documents = Memory()
    client_at(hostile, clock, documents=documents).metadata()
    hostile.script("/token", empty(404))
    hostile.script("/oauth/token", answer(TOKENS))
    hostile.serve_metadata(token_endpoint=f"{hostile.url}/oauth/token")
    refresh(client_at(hostile, clock, documents=documents, aud=aud))
    assert len(identities(hostile, "/token", "/oauth/token")) == 2
    first, second = (assertion.claims["aud"] for assertion in assertions(hostile, "/token", "/oauth/token"))
    if aud == "token_endpoint":
        assert (first, second) == (f"{hostile.url}/token", f"{hostile.url}/oauth/token")
    else:
        assert first == second == hostile.issuer


@pytest.mark.parametrize(("known", "meant"), [("generic", ""), ("entra", "/token")])
def test_every_endpoint_gets_an_assertion_for_the_same_audience(
    hostile: HostileProvider, clock: FakeClock, known: str, meant: str
) -> None:
    hostile.script("/device/code", answer(DEVICE))
    hostile.script("/revoke", empty(200))
    provider = client_at(hostile, clock, provider=known)
    device_authorization.request(provider, tool="git", target=None)
    refresh(provider)
    assert revocation.revoke(provider, Secret("rt-1"), "refresh_token")
    sent = assertions(hostile, "/device/code", "/token", "/revoke")
    assert [assertion.claims["aud"] for assertion in sent] == [hostile.url + meant] * 3
    assert len(identities(hostile, "/device/code", "/token", "/revoke")) == 3


def test_a_machine_signs_in_with_its_key(hostile: HostileProvider, clock: FakeClock) -> None:
    stage = FakeStage(clock)
    client_credentials.sign_in(client_at(hostile, clock, flow="client-credentials"), stage)
    (request,) = hostile.to("/token")
    assert request.field("grant_type") == "client_credentials"
    assert len(identities(hostile, "/token")) == 1
    assert [tokens.access_token for tokens in stage.tokens] == [Secret("at-1")]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_assertion_is_the_only_try_and_its_hint_says_what_to_check(
    hostile: HostileProvider, clock: FakeClock, refusal: Behaviour
) -> None:
    hostile.script("/token", refusal, answer(TOKENS))
    provider = client_at(hostile, clock, kid="k7")
    with pytest.raises(AuthorizationError) as caught:
        refresh(provider)
    assert caught.value.error == "invalid_client"
    assert caught.value.sentence.startswith(f"{hostile.host} refused the client's assertion")
    assert methods_used(hostile) == ["private_key_jwt"]
    assert provider.authentication_worked is None
    hint = client_authentication.hint(provider, "private_key_jwt")
    assert caught.value.hint == hint
    assert hint == (
        "check that the public key is registered for this client (ES256, kid k7), and the audience: the assertion was "
        f'for {hostile.issuer}, private_key = {{ audience = "…" }} changes that'
    )


def test_the_hint_names_the_certificate_where_the_provider_finds_the_key_by_it(
    hostile: HostileProvider, clock: FakeClock, tmp_path: Path
) -> None:
    provider = client_at(hostile, clock, provider="entra", kid="k7")
    assert client_authentication.hint(provider, "private_key_jwt") == (
        "Entra ID finds a key by its certificate: upload one there, and name it in the profile, "
        'private_key = { …, certificate = "cert.pem" } (ES256, kid k7)'
    )
    path = tmp_path / "cert.pem"
    path.write_text(certificate_of(signing_key("ES256").private)[0])
    hint = client_authentication.hint(client_at(hostile, clock, provider="entra", certificate=path), "private_key_jwt")
    assert hint is not None
    assert hint.startswith("check that the certificate is registered for this client (ES256), and the audience: ")


@pytest.mark.parametrize(("ahead", "words"), [(840.0, "14 min behind"), (-840.0, "14 min ahead of"), (9.0, "")])
def test_the_hint_speaks_of_a_clock_that_is_wrong(clock: FakeClock, ahead: float, words: str) -> None:
    with HostileProvider(now=lambda: clock.now() + ahead) as hostile:
        hostile.serve_metadata()
        provider = client_at(hostile, clock, jwk("RS256"), aud="urn:x")
        provider.metadata()
        hint = client_authentication.hint(provider, "private_key_jwt") or ""
    assert "(RS256)" in hint
    assert "for urn:x," in hint
    assert hint.endswith(f"; this machine's clock is {words} {hostile.host}") == bool(words)
    assert ("clock" in hint) == bool(words)


@pytest.mark.parametrize("method", ["none", "basic", "post"])
def test_other_methods_have_no_hint_of_their_own(hostile: HostileProvider, clock: FakeClock, method: str) -> None:
    assert client_authentication.hint(provider_at(hostile, clock, secret="s3cr3t"), method) is None


def test_the_whole_assertion_is_a_secret(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = client_at(hostile, clock)
    fields, authorization = client_authentication.authenticate(provider, "private_key_jwt", [("scope", "openid")])
    assert authorization is None
    assertion = dict(fields)["client_assertion"]
    assert client_authentication.secrets_in(fields, authorization) == (assertion,)


# The whole, the part that is signed, the signature alone, and what is left of a part that was cut somewhere.
@pytest.mark.parametrize("part", [slice(None), slice(0, -90), slice(-86, None), slice(37, 60), slice(100, 108)])
def test_an_assertion_that_a_provider_quotes_is_cut_out_of_its_words(
    hostile: HostileProvider, clock: FakeClock, part: slice
) -> None:
    def quote(exchange: Exchange) -> None:
        assertion = exchange.received.field("client_assertion") or ""
        oauth_error("invalid_client", 401, f"bad assertion <{assertion[part]}>, {assertion[part].lower()}!")(exchange)

    hostile.script("/token", quote)
    notes: list[str] = []
    with pytest.raises(AuthorizationError) as caught:
        refresh(client_at(hostile, clock, notes=notes))
    assertion = hostile.to("/token")[0].field("client_assertion") or ""
    said = " ".join([str(caught.value), repr(caught.value), caught.value.hint or "", *notes])
    assert "bad assertion <***>, ***!" in said
    assert not [start for start in range(len(assertion) - 8) if assertion[start : start + 8] in said]
