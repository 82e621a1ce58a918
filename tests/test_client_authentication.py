from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError, TokenResponseError
from credential_helper.model import Secret
from credential_helper.oauth import client_authentication
from credential_helper.oauth.metadata import Provider
from integration.hostile_provider import Behaviour, HostileProvider, Received, answer, empty, oauth_error
from tests.conftest import FakeClock
from tests.test_token_endpoint import TOKENS, Memory, provider_at, refresh

ODD_ID, ODD_SECRET = "m2m-basic:odd/id", "p%c+r t&=/e"

REFUSALS = [
    pytest.param(oauth_error("invalid_client", 401), id="invalid_client"),
    pytest.param(oauth_error("invalid_client", 400), id="invalid_client with 400"),
    pytest.param(oauth_error("access_denied", 401, "Unauthorized"), id="what Auth0 says"),
    pytest.param(empty(401), id="bare 401"),
    pytest.param(answer("who are you?", 401), id="401 and words"),
    pytest.param(answer({"error": "Unauthorized"}, 401), id="401 and its phrase"),
]


@pytest.fixture
def hostile(clock: FakeClock) -> Iterator[HostileProvider]:
    with HostileProvider(now=clock.now) as provider:
        provider.serve_metadata()
        provider.script("/token", answer(TOKENS))
        yield provider


def method_of(request: Received) -> str:
    """Return how a request was authenticated; more than one way fails (RFC 6749 §2.3)."""
    header, secret = "authorization" in request.headers, request.field("client_secret") is not None
    assert not (header and secret)
    assert header == (request.field("client_id") is None)
    return "basic" if header else "post" if secret else "none"


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


def test_a_pending_sign_in_proves_the_method_too(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, secret="s3cr3t")
    hostile.script("/token", oauth_error("invalid_client", 401), oauth_error("authorization_pending", 403))
    with pytest.raises(AuthorizationError):
        refresh(provider)
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
        refresh(provider_at(hostile, clock))
    assert "authentication method None" in (caught.value.hint or "")
    assert methods_used(hostile) == ["none"]


def test_a_bare_401_says_nothing_about_a_client_that_has_no_secret(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", empty(401))
    with pytest.raises(TokenResponseError, match="answered 401"):
        refresh(provider_at(hostile, clock))
    assert methods_used(hostile) == ["none"]


def test_private_key_jwt_comes_later(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, client_authentication="private_key_jwt")
    with pytest.raises(ConfigurationError, match='"private_key_jwt" is not supported yet'):
        refresh(provider)
    assert not hostile.to("/token")


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
