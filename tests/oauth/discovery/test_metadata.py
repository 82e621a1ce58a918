"""A provider's metadata, over real HTTP: where they are asked for, what they may say, and when they are renewed."""

from __future__ import annotations

from typing import Any

import pytest

from credential_helper.errors import ConfigurationError, RateLimited, TokenResponseError, TransportError
from credential_helper.model import DEFAULT_SCOPES, Endpoints, Source
from credential_helper.transport import waits
from integration.servers.hostile_provider import (
    Behaviour,
    HostileProvider,
    answer,
    closed_port,
    empty,
    garbage,
    half_json,
    html,
    oversized,
    rate_limited,
    redirect,
    reset,
)
from tests.helpers.clock import FakeClock
from tests.helpers.providers import DAY, OAUTH, OPENID, World

pytestmark = pytest.mark.usefixtures("silent_stderr")


# --- discovery --------------------------------------------------------------------------------------------------------


def test_the_openid_document_is_asked_for_first_and_alone(world: World) -> None:
    world.hostile.serve_metadata()
    metadata = world.process().metadata()
    url = world.hostile.url
    assert metadata.issuer == url
    assert metadata.token_endpoint == f"{url}/token"
    assert metadata.device_authorization_endpoint == f"{url}/device/code"
    assert metadata.revocation_endpoint == f"{url}/revoke"
    assert metadata.jwks_uri == f"{url}/jwks"
    assert metadata.scopes_supported == DEFAULT_SCOPES
    assert metadata.id_token_signing_alg_values_supported == ("RS256", "PS256", "ES256", "EdDSA")
    assert metadata.token_endpoint_auth_methods_supported == ("none", "client_secret_basic", "client_secret_post")
    assert [request.path for request in world.hostile.requests] == [OPENID]


@pytest.mark.parametrize(
    "nothing",
    [empty(404), html(404), html(200), html(502), empty(200), half_json(), garbage(), answer({"message": "hello"})],
)
def test_what_is_no_document_leads_to_the_rfc_8414_address(world: World, nothing: Behaviour) -> None:
    world.hostile.script(OPENID, nothing)
    world.hostile.serve_metadata(OAUTH)
    assert world.process().metadata().issuer == world.hostile.url
    assert [request.path for request in world.hostile.requests] == [OPENID, OAUTH]


def test_an_issuer_with_a_path_has_two_forms(world: World) -> None:
    issuer = f"{world.hostile.url}/realms/main"
    document = world.hostile.serve_metadata("/elsewhere", issuer=issuer)
    assert document["issuer"] == issuer
    with pytest.raises(TokenResponseError):
        world.process(issuer=issuer).metadata()
    assert [request.path for request in world.hostile.requests] == [f"/realms/main{OPENID}", f"{OAUTH}/realms/main"]
    world.hostile.serve_metadata(f"{OAUTH}/realms/main", issuer=issuer)
    assert world.process(issuer=issuer).metadata().issuer == issuer
    world.hostile.serve_metadata(f"/realms/main{OPENID}", issuer=issuer, token_endpoint=f"{world.hostile.url}/first")
    assert world.process(issuer=issuer, client_id="x").renew_metadata().token_endpoint == f"{world.hostile.url}/first"


def test_no_metadata_at_all_says_what_would_do_without(world: World) -> None:
    with pytest.raises(TokenResponseError) as caught:
        world.process(endpoints=Endpoints(token=f"{world.hostile.url}/t")).metadata()
    assert caught.value.sentence == (f"{world.hostile.host} has no metadata (404 for {world.hostile.url}{OPENID})")
    assert caught.value.hint is not None
    assert "write endpoints.device_authorization, endpoints.jwks into the profile" in caught.value.hint


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_in_trouble_is_a_matter_of_transport(world: World, status: int) -> None:
    world.hostile.fallback = html(status)
    with pytest.raises(TransportError, match=f"answered {status} where its metadata were expected"):
        world.process().metadata()


@pytest.mark.parametrize("behaviour", [reset(), oversized(), redirect(302, "https://login.example/")])
def test_a_broken_exchange_is_not_tried_at_the_next_address(world: World, behaviour: Behaviour) -> None:
    world.hostile.script(OPENID, behaviour)
    with pytest.raises(TransportError):
        world.process().metadata()
    assert world.asked(OAUTH) == 0


def test_a_rate_limit_is_told(world: World) -> None:
    world.hostile.fallback = rate_limited(17)
    with pytest.raises(RateLimited) as caught:
        world.process().metadata()
    assert caught.value.retry_after == 17
    assert len(world.hostile.requests) == 1
    world.hostile.fallback = rate_limited(None)
    with pytest.raises(RateLimited) as caught:
        world.process().metadata()
    assert caught.value.retry_after == 60
    world.hostile.fallback = rate_limited("Tue, 19 Jan 2038 03:14:07 GMT")
    with pytest.raises(RateLimited) as caught:
        world.process().metadata()
    assert caught.value.retry_after == waits.LONGEST


def test_no_network_and_nothing_kept(clock: FakeClock) -> None:
    with closed_port() as port, HostileProvider(now=clock.now) as hostile:
        world = World(hostile, clock)
        with pytest.raises(TransportError, match="refused the connection"):
            world.process(issuer=f"http://127.0.0.1:{port}").metadata(fresh=True)


# --- what a document may say ------------------------------------------------------------------------------------------


NOT_ON_THE_ISSUERS_ORIGIN = pytest.mark.parametrize(
    "value", ["https://example.com/token", "http://127.0.0.1:1/token", "http://example.com/", "javascript:1", 7, ["x"]]
)


@NOT_ON_THE_ISSUERS_ORIGIN
def test_an_http_issuer_has_its_token_endpoint_on_its_own_origin(world: World, value: object) -> None:
    world.hostile.serve_metadata(token_endpoint=value)
    with pytest.raises(TokenResponseError, match=f"the token_endpoint in the metadata of {world.hostile.host} "):
        world.process().metadata()
    assert world.disk.kept == {}


@pytest.mark.parametrize(
    ("member", "setting"),
    [
        ("authorization_endpoint", "authorization"),
        ("device_authorization_endpoint", "device_authorization"),
        ("revocation_endpoint", "revocation"),
        ("jwks_uri", "jwks"),
    ],
)
@NOT_ON_THE_ISSUERS_ORIGIN
def test_another_endpoint_elsewhere_counts_as_absent_until_it_is_needed(
    world: World, member: str, setting: str, value: object
) -> None:
    world.hostile.serve_metadata(**{member: value})
    for _ in ("asked", "kept"):
        metadata = world.process().metadata()
        assert metadata.token_endpoint == f"{world.hostile.url}/token"
        assert getattr(metadata, member) is None
        assert world.said("it counts as absent")
        with pytest.raises(
            TokenResponseError, match=f"the {member} in the metadata of {world.hostile.host} "
        ) as caught:
            metadata.address(member)
        assert f"endpoints.{setting}" in (caught.value.hint or "")
    assert world.asked() == 1


def test_an_endpoint_of_the_profile_stands_for_one_that_may_not_be_used(world: World) -> None:
    world.hostile.serve_metadata(revocation_endpoint="http://example.com/revoke")
    mine = f"{world.hostile.url}/mine"
    assert world.process(endpoints=Endpoints(revocation=mine)).metadata().address("revocation_endpoint") == mine


@pytest.mark.parametrize("value", [None, ""])
def test_a_document_without_token_endpoint_is_refused(world: World, value: object) -> None:
    world.hostile.serve_metadata(token_endpoint=value)
    with pytest.raises(TokenResponseError, match="names no token_endpoint"):
        world.process().metadata()


def test_other_endpoints_may_be_missing_and_unknown_members_are_ignored(world: World) -> None:
    world.hostile.serve_metadata(
        device_authorization_endpoint=None, revocation_endpoint="", jwks_uri=None, x={"y": [1]}, scopes_supported=None
    )
    metadata = world.process().metadata()
    assert (metadata.device_authorization_endpoint, metadata.revocation_endpoint, metadata.jwks_uri) == (None,) * 3
    assert metadata.scopes_supported is None


@pytest.mark.parametrize("value", ["openid", [1], {"openid": True}, 7])
def test_a_list_that_does_not_fit_is_dropped_and_said(world: World, value: object) -> None:
    world.hostile.serve_metadata(scopes_supported=value)
    assert world.process().metadata().scopes_supported is None
    assert world.said("scopes_supported in the metadata of")


def test_an_https_issuer_is_kept_to_https_and_may_use_other_hosts(clock: FakeClock) -> None:
    with HostileProvider(tls="good", now=clock.now) as secure:
        world = World(secure, clock)
        secure.serve_metadata(token_endpoint="https://other.example/token")
        metadata = world.process(ca_file=secure.ca_file).metadata()
        assert metadata.token_endpoint == "https://other.example/token"
        assert world.said(f"the token_endpoint of {secure.host} is on other.example")
        for plain in ("http://other.example/token", secure.url.replace("https", "http")):
            secure.serve_metadata(token_endpoint=plain)
            with pytest.raises(TokenResponseError, match=r"the token_endpoint in the metadata of .* is not https"):
                world.process(ca_file=secure.ca_file).renew_metadata()


@pytest.mark.parametrize("told", [True, False, "true", 1, None])
def test_only_true_promises_an_iss_in_the_authorization_response(world: World, told: object) -> None:
    world.hostile.serve_metadata(authorization_response_iss_parameter_supported=told)
    for _ in ("asked", "kept"):
        metadata = world.process().metadata()
        assert metadata.authorization_response_iss_parameter_supported is (told is True)
        assert metadata.authorization_endpoint == f"{world.hostile.url}/authorize"
    assert world.asked() == 1


# --- the profile's own addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [
        "http://example.com/",
        "https://example.com/?tenant=1",
        "https://example.com/#x",
        "https://ada:pass-word@example.com/",
        "example.com",
        "ftp://example.com",
        "https://",
    ],
)
def test_an_issuer_that_cannot_be_used_is_a_matter_of_configuration(world: World, issuer: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^issuer ") as caught:
        world.process(issuer=issuer)
    assert "pass-word" not in caught.value.sentence


@pytest.mark.parametrize("name", ["token", "device_authorization", "revocation", "jwks"])
@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://example.com", "http://example.com/token"),
        ("https://example.com", "nonsense"),
        ("http://127.0.0.1:9", "http://127.0.0.1:10/token"),
        ("http://127.0.0.1:9", "https://example.com/token"),
    ],
)
def test_an_endpoint_of_the_profile_obeys_the_same_rules(world: World, name: str, issuer: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^endpoints\.{name} "):
        world.process(issuer=issuer, endpoints=Endpoints(**{name: url}))


def test_endpoints_of_the_profile_are_laid_over_the_document(world: World) -> None:
    url = world.hostile.url
    world.hostile.serve_metadata(token_endpoint="http://judged.only/if/used")
    metadata = world.process(endpoints=Endpoints(token=f"{url}/mine")).metadata()
    assert (metadata.token_endpoint, metadata.jwks_uri) == (f"{url}/mine", f"{url}/jwks")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"flow": "device"}, ("token", "device_authorization", "jwks")),
        ({"flow": "auto", "scope": ("read:user",)}, ("token", "device_authorization")),
        ({"flow": "client-credentials"}, ("token",)),
        ({"flow": "password"}, ("token", "jwks")),
    ],
)
def test_where_the_profile_names_all_that_is_needed_nothing_is_asked(
    world: World, settings: dict[str, Any], names: tuple[str, ...]
) -> None:
    url = world.hostile.url
    endpoints = Endpoints(**{name: f"{url}/{name}" for name in names})
    provider = world.process(endpoints=endpoints, **settings)
    metadata = provider.metadata(fresh=True)
    assert metadata.token_endpoint == f"{url}/token"
    assert metadata.revocation_endpoint is None
    assert provider.renew_metadata() == metadata
    assert provider.issuers == (url, f"{url}/")
    assert provider.scopes() == provider.profile.scopes
    assert world.hostile.requests == []
    for name in names:
        fewer = Endpoints(**{other: f"{url}/{other}" for other in names if other != name})
        with pytest.raises(TokenResponseError, match="has no metadata"):
            world.process(endpoints=fewer, **settings).metadata()


def test_an_https_issuer_may_be_a_name_for_endpoints_on_loopback(world: World) -> None:
    url = world.hostile.url
    endpoints = Endpoints(token=f"{url}/token", device_authorization=f"{url}/device/code")
    provider = world.process(issuer="https://github.com", scope=("read:user",), endpoints=endpoints)
    assert provider.metadata().token_endpoint == f"{url}/token"
    with pytest.raises(ConfigurationError, match=r"^endpoints\.device_authorization is not on the issuer's own"):
        world.process(
            issuer="https://github.com",
            endpoints=Endpoints(token=f"{url}/token", device_authorization="http://127.0.0.1:1/device"),
        )


@pytest.mark.parametrize(
    ("flow", "endpoints", "asked"),
    [
        ("auto", {"token"}, True),
        ("auto", {"token", "authorization"}, False),
        ("auto", {"token", "device_authorization"}, False),
        ("auto", {"authorization", "device_authorization"}, True),
        ("device", {"token", "authorization"}, True),
        ("device", {"token", "device_authorization"}, False),
        ("authorization-code", {"token", "device_authorization"}, True),
        ("authorization-code", {"token", "authorization"}, False),
        ("password", {"token"}, False),
        ("client-credentials", {"token"}, False),
        ("client-credentials", set(), True),
    ],
)
def test_a_document_is_asked_for_where_the_profile_has_too_little(
    world: World, flow: str, endpoints: set[str], asked: bool
) -> None:
    world.hostile.serve_metadata()
    own = Endpoints(**{name: f"{world.hostile.url}/{name}" for name in endpoints})
    world.process(flow=flow, endpoints=own, scope=("read",)).metadata()
    assert (world.asked() == 1) is asked


# --- what a provider's row adds ---------------------------------------------------------------------------------------


def test_a_provider_without_a_document_is_never_asked_for_one(world: World) -> None:
    provider = world.process(provider="github")
    metadata = provider.metadata(fresh=True)
    assert metadata.authorization_endpoint == f"{world.hostile.url}/login/oauth/authorize"
    assert metadata.token_endpoint == f"{world.hostile.url}/login/oauth/access_token"
    assert metadata.device_authorization_endpoint == f"{world.hostile.url}/login/device/code"
    assert (metadata.revocation_endpoint, metadata.jwks_uri) == (None, None)
    assert provider.renew_metadata() == metadata
    assert provider.scopes() == ()
    assert world.hostile.requests == []


def test_a_github_server_of_ones_own_has_the_same_paths(world: World) -> None:
    provider = world.process(provider="github", issuer="https://git.example.com/")
    assert provider.metadata().token_endpoint == "https://git.example.com/login/oauth/access_token"


def test_the_row_stands_in_for_what_the_document_lacks_and_the_profile_for_both(world: World) -> None:
    world.hostile.serve_metadata(device_authorization_endpoint=None, revocation_endpoint=None)
    metadata = world.process(provider="auth0").metadata()
    assert metadata.device_authorization_endpoint == f"{world.hostile.url}/oauth/device/code"
    assert metadata.revocation_endpoint == f"{world.hostile.url}/oauth/revoke"
    assert metadata.token_endpoint == f"{world.hostile.url}/token"
    own = Endpoints(revocation=f"{world.hostile.url}/mine", token=f"{world.hostile.url}/t")
    metadata = world.process(provider="auth0", endpoints=own).metadata()
    assert metadata.revocation_endpoint == f"{world.hostile.url}/mine"
    assert metadata.token_endpoint == f"{world.hostile.url}/t"
    assert world.process(provider="generic").metadata().device_authorization_endpoint is None


# --- when it is asked again -------------------------------------------------------------------------------------------


def test_one_process_asks_once(world: World) -> None:
    world.hostile.serve_metadata()
    provider = world.process()
    for _ in range(3):
        provider.metadata()
        provider.metadata(fresh=True)
        provider.renew_metadata()
    assert world.asked() == 1


def test_kept_metadata_serves_whatever_its_age(world: World) -> None:
    world.hostile.serve_metadata()
    first = world.process().metadata()
    world.clock.advance(400 * DAY)
    assert world.process().metadata() == first
    assert world.asked() == 1


def test_a_sign_in_renews_metadata_older_than_a_day(world: World) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    world.hostile.serve_metadata(token_endpoint=f"{world.hostile.url}/new")
    world.clock.advance(DAY - 1)
    assert world.process().metadata(fresh=True).token_endpoint.endswith("/token")
    world.clock.advance(1)
    provider = world.process()
    assert provider.metadata().token_endpoint.endswith("/token")
    assert provider.metadata(fresh=True).token_endpoint.endswith("/new")
    assert provider.metadata().token_endpoint.endswith("/new")
    assert world.process().metadata().token_endpoint.endswith("/new")
    assert world.asked() == 2


@pytest.mark.parametrize("trouble", [html(502), html(200), empty(404), reset(), rate_limited(5)])
def test_a_sign_in_goes_on_with_old_metadata_when_there_is_no_other(world: World, trouble: Behaviour) -> None:
    world.hostile.serve_metadata()
    first = world.process().metadata()
    world.clock.advance(2 * DAY)
    world.hostile.script(OPENID, trouble)
    provider = world.process()
    assert provider.metadata(fresh=True) == first
    assert provider.metadata(fresh=True) == first
    assert world.asked() == 2
    assert world.said("serves on")


def test_a_sign_in_does_not_go_on_when_the_new_document_is_refused(world: World) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    world.clock.advance(2 * DAY)
    world.hostile.serve_metadata(issuer="https://evil.example/")
    with pytest.raises(TokenResponseError, match="another issuer"):
        world.process().metadata(fresh=True)


def test_a_renewal_asks_whatever_the_age_and_once_a_process(world: World) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    world.hostile.serve_metadata(token_endpoint=f"{world.hostile.url}/moved")
    provider = world.process()
    assert provider.metadata().token_endpoint.endswith("/token")
    assert provider.renew_metadata().token_endpoint.endswith("/moved")
    assert provider.metadata().token_endpoint.endswith("/moved")
    assert provider.renew_metadata().token_endpoint.endswith("/moved")
    assert world.asked() == 2


def test_a_renewal_that_fails_is_not_repeated(world: World) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    world.hostile.script(OPENID, reset())
    provider = world.process()
    with pytest.raises(TransportError):
        provider.renew_metadata()
    assert provider.renew_metadata().token_endpoint.endswith("/token")
    assert world.asked() == 2


# --- addresses for mutual TLS -----------------------------------------------------------------------------------------

CERTIFICATE = (
    Source(kind="file", value=("/cert.pem",), origin="tls.certificate", public=True),
    Source(kind="file", value=("/key.pem",), origin="tls.private_key"),
)
ALIASED = {
    "token_endpoint": "token",
    "device_authorization_endpoint": "device",
    "revocation_endpoint": "revoke",
    "pushed_authorization_request_endpoint": "par",
}


def serve_aliases(world: World, **changes: object) -> None:
    aliases = {member: f"{world.hostile.url}/mtls/{path}" for member, path in ALIASED.items()}
    others = dict.fromkeys(("jwks_uri", "authorization_endpoint", "userinfo_endpoint"), f"{world.hostile.url}/mtls/x")
    world.hostile.serve_metadata(mtls_endpoint_aliases=aliases | others | changes)


def test_a_client_that_shows_a_certificate_takes_the_addresses_for_it(world: World) -> None:
    """RFC 8705 §5; a browser and the keys are none of it."""
    serve_aliases(world)
    url = world.hostile.url
    metadata = world.process(tls=CERTIFICATE).metadata()
    assert {member: metadata.address(member) for member in ALIASED} == {
        member: f"{url}/mtls/{path}" for member, path in ALIASED.items()
    }
    assert (metadata.jwks_uri, metadata.authorization_endpoint) == (f"{url}/jwks", f"{url}/authorize")
    other = world.process().metadata()
    assert (other.token_endpoint, other.revocation_endpoint) == (f"{url}/token", f"{url}/revoke")
    assert world.asked() == 1, "what is kept serves both kinds of client"


def test_the_profiles_own_endpoint_comes_before_an_alias(world: World) -> None:
    serve_aliases(world)
    url = world.hostile.url
    metadata = world.process(tls=CERTIFICATE, endpoints=Endpoints(token=f"{url}/mine")).metadata()
    assert (metadata.token_endpoint, metadata.revocation_endpoint) == (f"{url}/mine", f"{url}/mtls/revoke")


@pytest.mark.parametrize("aliases", [None, {}, [], "x", {"token_endpoint": None}])
def test_without_an_alias_the_usual_address_serves(world: World, aliases: object) -> None:
    world.hostile.serve_metadata(mtls_endpoint_aliases=aliases)
    assert world.process(tls=CERTIFICATE).metadata().token_endpoint == f"{world.hostile.url}/token"


@pytest.mark.parametrize("address", ["http://example.com/token", "https://user@example.com/token", "token", 7])
def test_an_alias_obeys_the_rules_of_every_address(world: World, address: object) -> None:
    """One that may not be used is not passed over for the usual one: that takes no certificate."""
    serve_aliases(world, revocation_endpoint=address)
    metadata = world.process(tls=CERTIFICATE).metadata()
    with pytest.raises(TokenResponseError, match="the revocation_endpoint in the metadata of "):
        metadata.address("revocation_endpoint")
    serve_aliases(world, token_endpoint=address)
    with pytest.raises(TokenResponseError, match="the token_endpoint in the metadata of "):
        World(world.hostile, world.clock).process(tls=CERTIFICATE).metadata()
