"""A request that goes to the provider before the browser (RFC 9126)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    RateLimited,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Endpoints, Prompt
from credential_helper.oauth import grants
from credential_helper.oauth.grants import authorization_code
from credential_helper.oauth.provider import Provider
from integration.servers.hostile_provider import (
    Behaviour,
    HostileProvider,
    answer,
    empty,
    half_json,
    html,
    oauth_error,
    rate_limited,
)
from tests.helpers.assertions import client_at
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import provider_at
from tests.helpers.providers import Memory

REFERENCE = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"
PUSHED = answer({"request_uri": REFERENCE, "expires_in": 60}, 201)


class Asked(Exception):
    """Somebody is asked: the browser would open now."""


class Stage:
    """The interaction of a grant, as far as the browser's prompt."""

    def __init__(self) -> None:
        self.tool = "kubectl"
        self.target: str | None = None
        self.because = ""
        self.prompt: Prompt | None = None

    def at_end(self, tell: object) -> None:
        assert tell is not None

    def ask(self, prompt: Prompt) -> None:
        self.prompt = prompt
        raise Asked

    def browser(self) -> tuple[bool, str]:
        return True, "there is a display"

    def waiting(self) -> Prompt | None:
        return None

    def tell(self, sentence: str) -> None:
        raise AssertionError(sentence)


def asked(provider: Provider) -> dict[str, str]:
    """Return what the browser brings; no parameter twice."""
    stage = Stage()
    with pytest.raises(Asked):
        authorization_code.sign_in(provider, stage)  # type: ignore[arg-type]
    assert stage.prompt is not None
    pairs = parse_qsl(urlsplit(stage.prompt.verification_uri).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def refused(provider: Provider) -> CredentialHelperError:
    stage = Stage()
    with pytest.raises(CredentialHelperError) as caught:
        authorization_code.sign_in(provider, stage)  # type: ignore[arg-type]
    assert stage.prompt is None  # nobody was asked
    return caught.value


@pytest.fixture
def hostile(hostile: HostileProvider) -> HostileProvider:
    serve(hostile)
    hostile.script("/par", PUSHED)
    return hostile


def serve(hostile: HostileProvider, **more: object) -> None:
    hostile.serve_metadata(
        authorization_endpoint=f"{hostile.url}/authorize",
        **{"pushed_authorization_request_endpoint": f"{hostile.url}/par", **more},
    )


def wanting(hostile: HostileProvider, clock: FakeClock, **settings: Any) -> Provider:
    return provider_at(hostile, clock, **{"pushed_authorization_requests": True, **settings})


# --- when -------------------------------------------------------------------------------------------------------------


def test_a_request_is_pushed_only_where_somebody_wants_it(hostile: HostileProvider, clock: FakeClock) -> None:
    assert "redirect_uri" in asked(provider_at(hostile, clock))
    assert not hostile.to("/par")
    serve(hostile, require_pushed_authorization_requests=True)
    assert asked(provider_at(hostile, clock)) == {"client_id": "cli", "request_uri": REFERENCE}
    serve(hostile, require_pushed_authorization_requests="true")
    assert "redirect_uri" in asked(provider_at(hostile, clock))
    assert asked(wanting(hostile, clock)) == {"client_id": "cli", "request_uri": REFERENCE}
    assert len(hostile.to("/par")) == 2


def test_without_an_endpoint_the_way_out_is_told(hostile: HostileProvider, clock: FakeClock) -> None:
    serve(hostile, pushed_authorization_request_endpoint=None, require_pushed_authorization_requests=True)
    error = refused(provider_at(hostile, clock))
    assert isinstance(error, ConfigurationError)
    assert "endpoints.pushed_authorization_request" in (error.hint or "")
    mine = Endpoints(pushed_authorization_request=f"{hostile.url}/par")
    assert asked(provider_at(hostile, clock, endpoints=mine))["request_uri"] == REFERENCE


def test_the_endpoint_must_be_one_that_may_be_used(hostile: HostileProvider, clock: FakeClock) -> None:
    serve(hostile, pushed_authorization_request_endpoint="http://elsewhere.example/par")
    assert isinstance(refused(wanting(hostile, clock)), TokenResponseError)
    assert "redirect_uri" in asked(provider_at(hostile, clock))  # nobody needs it


# --- what -------------------------------------------------------------------------------------------------------------


def test_the_whole_request_is_pushed_and_the_browser_brings_no_more_than_its_reference(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    provider = wanting(
        hostile,
        clock,
        audience="https://api.example.com",
        resource=("urn:a", "urn:b"),
        account="ada@example.com",
        parameters=(("organization", "org_1"),),
    )
    assert asked(provider) == {"client_id": "cli", "request_uri": REFERENCE}
    (request,) = hostile.to("/par")
    assert (request.method, request.query) == ("POST", "")
    fields = request.fields
    assert [value for name, value in fields if name == "resource"] == ["urn:a", "urn:b"]
    once = {name: value for name, value in fields if name != "resource"}
    assert len(once) == len(fields) - 2
    assert once["redirect_uri"].startswith("http://127.0.0.1:")
    for name in ("state", "nonce", "code_challenge"):
        assert len(once.pop(name)) >= 43
    del once["redirect_uri"]
    assert once == {
        "response_type": "code",
        "client_id": "cli",
        "code_challenge_method": "S256",
        "scope": "openid profile email offline_access",
        "audience": "https://api.example.com",
        "organization": "org_1",
        "prompt": "consent",
        "login_hint": "ada@example.com",
    }


@pytest.mark.parametrize("method", ["basic", "post", "client_secret_jwt"])
def test_a_client_proves_who_it_is_once(hostile: HostileProvider, clock: FakeClock, method: str) -> None:
    asked(wanting(hostile, clock, secret="s3cr3t", client_authentication=method))
    (request,) = hostile.to("/par")
    names = [name for name, _ in request.fields]
    assert names.count("client_id") == 1  # RFC 9126 §2.1: also beside Basic
    proofs = {"basic": "authorization" in request.headers, "post": "client_secret" in names}
    proofs["client_secret_jwt"] = "client_assertion" in names
    assert [name for name, there in proofs.items() if there] == [method]


def test_a_client_with_a_key_signs_for_the_issuer(hostile: HostileProvider, clock: FakeClock) -> None:
    asked(client_at(hostile, clock, pushed_authorization_requests=True))
    (request,) = hostile.to("/par")
    assert request.field("client_assertion")


@pytest.mark.parametrize("refusal", [oauth_error("invalid_client", 401), empty(401), empty(403)])
def test_a_provider_that_takes_only_post_there_gets_post(
    hostile: HostileProvider, clock: FakeClock, refusal: Behaviour
) -> None:
    hostile.script("/par", refusal, PUSHED)
    assert asked(wanting(hostile, clock, secret="s3cr3t"))["request_uri"] == REFERENCE
    first, second = hostile.to("/par")
    assert "authorization" in first.headers
    assert second.field("client_secret") == "s3cr3t"


# --- the answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("lifetime", [None, 60, "60", 0, -1, 10**400, "soon", True, 1.5])
@pytest.mark.parametrize("reference", [REFERENCE, "https://op.example/r/1?x=1"])
def test_an_answer_needs_a_reference_and_no_more(
    hostile: HostileProvider, clock: FakeClock, status: int, lifetime: object, reference: str
) -> None:
    body = {"request_uri": reference, "expires_in": lifetime}
    hostile.script("/par", answer({name: value for name, value in body.items() if value is not None}, status))
    assert asked(wanting(hostile, clock))["request_uri"] == reference


@pytest.mark.parametrize("reference", [None, "", 7, ["x"], "a b", "a\nb", "\x1b[2J", "é", "x" * 2001])
def test_a_reference_that_is_none_is_refused(hostile: HostileProvider, clock: FakeClock, reference: object) -> None:
    hostile.script("/par", answer({"request_uri": reference, "expires_in": 60}, 201))
    assert isinstance(refused(wanting(hostile, clock)), TokenResponseError)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (html(502), TransportError),
        (oauth_error("server_error", 500), TransportError),
        (oauth_error("invalid_scope", 500), TransportError),
        (rate_limited(3600), RateLimited),
        (half_json(), TokenResponseError),
        (empty(201), TokenResponseError),
        (oauth_error("invalid_request"), AuthorizationError),
    ],
)
def test_what_goes_wrong_there_is_told_before_anybody_is_asked(
    hostile: HostileProvider, clock: FakeClock, behaviour: Behaviour, error: type[Exception]
) -> None:
    hostile.script("/par", behaviour)
    assert type(refused(wanting(hostile, clock))) is error or isinstance(refused(wanting(hostile, clock)), error)


@pytest.mark.parametrize(
    ("code", "description", "hint"),
    [
        ("unauthorized_client", None, 'switch on the grant "Authorization Code"'),
        ("invalid_scope", None, "check scope"),
        ("invalid_request", "redirect_uri did not match any registered", "register http://127.0.0.1/callback"),
        ("invalid_redirect_uri", "no such redirect", "register http://127.0.0.1/callback"),
        ("invalid_request", "Request Object must be used by this client", "switch off signed request objects"),
        ("invalid_request", "DPoP proof is required", "switch off DPoP"),
        ("invalid_client", None, "check client_id"),
    ],
)
def test_a_refusal_has_the_hint_of_a_request_that_the_browser_brings(
    hostile: HostileProvider, clock: FakeClock, code: str, description: str | None, hint: str
) -> None:
    hostile.script("/par", oauth_error(code, 400, description))
    error = refused(wanting(hostile, clock))
    assert isinstance(error, AuthorizationError)
    assert hint in (error.hint or "")


def test_an_endpoint_that_has_moved_is_found(hostile: HostileProvider, clock: FakeClock) -> None:
    disk = Memory()
    wanting(hostile, clock, documents=disk).metadata()
    hostile.script("/par", empty(404))
    hostile.script("/new/par", PUSHED)
    serve(hostile, pushed_authorization_request_endpoint=f"{hostile.url}/new/par")
    assert asked(wanting(hostile, clock, documents=disk))["request_uri"] == REFERENCE
    assert len(hostile.to("/par")) == 1


# --- a provider that takes signed requests only -----------------------------------------------------------------------


def test_a_provider_that_takes_signed_requests_only_is_told_at_once(hostile: HostileProvider, clock: FakeClock) -> None:
    serve(hostile, require_signed_request_object=True)
    error = refused(provider_at(hostile, clock))
    assert isinstance(error, AuthorizationError)
    assert error.sentence == f"{hostile.host} demands a signed request object (RFC 9101), which is not supported"
    assert "require_signed_request_object" in (error.hint or "")


def test_auto_turns_to_a_code_there(hostile: HostileProvider, clock: FakeClock) -> None:
    serve(hostile, require_signed_request_object=True)
    stage = Stage()
    with pytest.raises(CredentialHelperError):
        grants.sign_in(provider_at(hostile, clock), stage)  # type: ignore[arg-type]
    assert "takes only signed requests from a browser" in stage.because
    assert hostile.to("/device/code")
