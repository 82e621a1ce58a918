"""A client that proves that it has its secret, and does not send it."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError
from credential_helper.oauth import client_authentication
from integration.servers.hostile_provider import HostileProvider, answer, oauth_error
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at, refresh

SECRET = "s3cr3t-of-at-least-thirty-two-bytes, é"
CLAIMS = {"verify_exp": False, "verify_iat": False, "verify_aud": False}


def sent(hostile: HostileProvider, secret: str = SECRET) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of the assertion that was sent last, verified by PyJWT."""
    request = hostile.to("/token")[-1]
    assert "authorization" not in request.headers
    assert request.field("client_secret") is None
    assert request.field("client_id") == "cli"
    assert request.field("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assertion = request.field("client_assertion") or ""
    assert secret.encode() not in request.body
    header = jwt.get_unverified_header(assertion)
    claims = jwt.decode(assertion, secret, algorithms=[header["alg"]], options=CLAIMS)  # type: ignore[arg-type]
    return header, claims


def test_the_assertion_is_an_hmac_over_the_secret(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = provider_at(hostile, clock, secret=SECRET, client_authentication="client_secret_jwt")
    refresh(provider)
    header, claims = sent(hostile)
    first = claims.pop("jti")
    now = int(clock.now())
    assert header == {"alg": "HS256", "typ": "JWT"}
    assert claims == {"iss": "cli", "sub": "cli", "aud": hostile.issuer, "iat": now, "exp": now + 60}
    refresh(provider)
    assert sent(hostile)[1]["jti"] != first


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    ("listed", "alg"),
    [
        (["HS256", "HS512"], "HS256"),
        (["RS256", "HS384", "HS512"], "HS384"),
        (["HS512"], "HS512"),
        (["RS256"], "HS256"),
        ([], "HS256"),
        (None, "HS256"),
    ],
)
def test_the_metadata_choose_the_algorithm(
    hostile: HostileProvider, clock: FakeClock, listed: list[str] | None, alg: str
) -> None:
    hostile.serve_metadata(token_endpoint_auth_signing_alg_values_supported=listed)
    refresh(provider_at(hostile, clock, secret=SECRET, client_authentication="client_secret_jwt"))
    assert sent(hostile)[0]["alg"] == alg


def test_auto_takes_it_where_the_secret_itself_is_of_no_use(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.serve_metadata(token_endpoint_auth_methods_supported=["private_key_jwt", "client_secret_jwt"])
    refresh(provider_at(hostile, clock, secret=SECRET))
    sent(hostile)


@pytest.mark.parametrize("method", ["auto", "basic", "post"])
def test_a_client_that_is_refused_with_its_secret_is_told_of_it(
    hostile: HostileProvider, clock: FakeClock, method: str
) -> None:
    hostile.serve_metadata(token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_jwt"])
    hostile.script("/token", oauth_error("invalid_client", 401))
    with pytest.raises(AuthorizationError) as caught:
        refresh(provider_at(hostile, clock, secret=SECRET, client_authentication=method))
    assert 'client_authentication = "client_secret_jwt"' in (caught.value.hint or "")
    assert len(hostile.to("/token")) == (2 if method == "auto" else 1)


def test_a_refused_assertion_is_told_with_what_to_check(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", oauth_error("invalid_client", 401, f"bad {SECRET}"))
    with pytest.raises(AuthorizationError) as caught:
        refresh(provider_at(hostile, clock, secret=SECRET, client_authentication="client_secret_jwt"))
    assert caught.value.sentence == f"{hostile.host} refused the client's assertion (invalid_client: bad {SECRET})"
    assert "registered for client_secret_jwt (HS256)" in (caught.value.hint or "")
    assert hostile.issuer in (caught.value.hint or "")


def test_an_assertion_of_a_clock_that_was_wrong_is_made_again(clock: FakeClock) -> None:
    with HostileProvider(now=lambda: clock.now() + 840) as hostile:
        hostile.serve_metadata()
        provider = provider_at(hostile, clock, secret=SECRET, client_authentication="client_secret_jwt")
        provider.metadata()
        provider.transport.skew = 0.0
        hostile.script("/token", oauth_error("invalid_client", 401), answer(TOKENS))
        refresh(provider)
        assert sent(hostile)[1]["iat"] == int(clock.now() + 840)


def test_without_a_secret_nothing_is_sent(hostile: HostileProvider, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="needs a client_secret"):
        refresh(provider_at(hostile, clock, client_authentication="client_secret_jwt"))
    assert not hostile.to("/token")
    provider = provider_at(hostile, clock)
    with pytest.raises(ConfigurationError, match="has no client_secret"):
        client_authentication.authenticate(provider, "client_secret_jwt", ())
