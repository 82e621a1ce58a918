"""A provider's metadata and keys, over real HTTP, and what is kept of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from credential_helper.errors import (
    ConfigurationError,
    CredentialHelperError,
    RateLimited,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import DEFAULT_SCOPES, Endpoints, Profile, Secret
from credential_helper.oauth.discovery.cache import FORMAT
from credential_helper.oauth.provider import Provider
from credential_helper.transport.client import Transport
from integration.hostile_provider import (
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
    signing_key,
)
from tests.conftest import FakeClock

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
DAY = 86400.0


class Memory:
    """Documents in memory; what a disk would keep from one process to the next."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def write(self, name: str, document: bytes) -> None:
        self.kept[name] = document

    def change(self, kind: str, **changes: object) -> None:
        """Change members of the one document whose name ends so."""
        (name,) = (name for name in self.kept if re.fullmatch(rf"[0-9a-f]{{64}}\.{re.escape(kind)}", name))
        self.kept[name] = json.dumps({**json.loads(self.kept[name]), **changes}).encode()


class World:
    """One provider, one disk, one clock; every process is a new Provider."""

    def __init__(self, hostile: HostileProvider, clock: FakeClock) -> None:
        self.hostile = hostile
        self.clock = clock
        self.disk = Memory()
        self.notes: list[str] = []

    def process(self, **settings: Any) -> Provider:
        profile = Profile(**{"name": "prod", "issuer": self.hostile.issuer, "client_id": "cli", **settings})
        return Provider(
            profile,
            transport=Transport(clock=self.clock, ca_file=profile.ca_file),
            documents=self.disk,
            clock=self.clock,
            note=self.notes.append,
        )

    def asked(self, path: str = OPENID) -> int:
        return len(self.hostile.to(path))

    def said(self, words: str) -> bool:
        return any(words in line for line in self.notes)


@pytest.fixture
def hostile(clock: FakeClock) -> Iterator[HostileProvider]:
    with HostileProvider(now=clock.now) as hostile:
        yield hostile


@pytest.fixture
def world(hostile: HostileProvider, clock: FakeClock) -> World:
    return World(hostile, clock)


@pytest.fixture(autouse=True)
def _no_bytes_on_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr().err == ""


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


@pytest.mark.parametrize("configured", ["", "/"])
@pytest.mark.parametrize("published", ["", "/"])
@pytest.mark.parametrize("path", ["", "/realms/main"])
def test_the_documents_form_of_the_final_slash_is_adopted(
    world: World, path: str, configured: str, published: str
) -> None:
    base = world.hostile.url + path
    world.hostile.serve_metadata(f"{path}{OPENID}", issuer=base + published)
    provider = world.process(issuer=base + configured)
    assert provider.metadata().issuer == base + published
    assert provider.issuers == (base + published,)
    assert world.said("the issuer is") == (configured != published)
    assert world.process(issuer=base + configured).metadata().issuer == base + published, "as it was kept"


@pytest.mark.parametrize("change", ["//", "/x", "?", "UPPER", "other", "none"])
def test_any_other_difference_of_the_issuer_is_refused(world: World, change: str) -> None:
    changed: dict[str, object] = {
        "UPPER": world.hostile.url.upper(),
        "other": "https://evil.example/",
        "none": 7,
    }
    world.hostile.serve_metadata(issuer=changed.get(change, world.hostile.url + change))
    with pytest.raises(TokenResponseError) as caught:
        world.process().metadata()
    assert "another issuer" in caught.value.sentence or "no issuer" in caught.value.sentence
    assert world.disk.kept == {}


def test_a_refused_issuer_is_named_and_the_next_address_is_not_asked(world: World) -> None:
    world.hostile.serve_metadata(issuer="https://evil.example/\x1b[2J")
    world.hostile.serve_metadata(OAUTH)
    with pytest.raises(TokenResponseError, match=re.escape("another issuer (https://evil.example/[2J)")):
        world.process().metadata()
    assert world.asked(OAUTH) == 0


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
    assert caught.value.retry_after == pytest.approx(2147483647 - world.clock.now())


# --- what a document may say ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member", ["token_endpoint", "device_authorization_endpoint", "revocation_endpoint", "jwks_uri"]
)
@pytest.mark.parametrize(
    "value", ["https://example.com/token", "http://127.0.0.1:1/token", "http://example.com/", "javascript:1", 7, ["x"]]
)
def test_an_http_issuer_has_every_endpoint_on_its_own_origin(world: World, member: str, value: object) -> None:
    world.hostile.serve_metadata(**{member: value})
    with pytest.raises(TokenResponseError, match=f"the {member} in the metadata of {world.hostile.host} "):
        world.process().metadata()
    assert world.disk.kept == {}


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


def test_what_is_believed_by_one_ca_file_is_not_believed_by_another(clock: FakeClock) -> None:
    with HostileProvider(tls="good", now=clock.now) as secure:
        world = World(secure, clock)
        secure.serve_metadata()
        world.process(ca_file=secure.ca_file).metadata()
        with pytest.raises(TransportError, match="not trusted"):
            world.process().metadata()


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
    ("issuer", "host"),
    [
        ("https://example.eu.auth0.com/", "example.eu.auth0.com"),
        ("https://sso.example:8443/realms/a", "sso.example:8443"),
    ],
)
def test_messages_name_the_issuers_host(world: World, issuer: str, host: str) -> None:
    assert world.process(issuer=issuer).host == host


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


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("base", ["https://github.com", "https://git.example.com", "https://example.com/git"])
def test_what_github_calls_itself_at_the_redirect_may_be_its_issuer(world: World, base: str, slash: str) -> None:
    provider = world.process(provider="github", issuer=f"{base}/login/oauth{slash}")
    metadata, plain = provider.metadata(), world.process(provider="github", issuer=base).metadata()
    assert metadata.token_endpoint == plain.token_endpoint == f"{base}/login/oauth/access_token"
    assert metadata.authorization_endpoint == plain.authorization_endpoint == f"{base}/login/oauth/authorize"
    assert metadata.device_authorization_endpoint == plain.device_authorization_endpoint == f"{base}/login/device/code"
    assert provider.is_response_issuer(f"{base}/login/oauth")


@pytest.mark.parametrize(
    ("provider", "iss", "right"),
    [
        ("github", "https://github.com/login/oauth", True),
        ("github", "https://github.com", True),
        ("github", "https://github.com/login/oauth/", False),
        ("github", "https://github.com/login", False),
        ("github", "https://git.example.com/login/oauth", False),
        ("github", "{issuer}/login/oauth", False),
        ("generic", "https://github.com/login/oauth", False),
    ],
)
def test_github_says_at_the_redirect_who_it_is_in_its_own_way(
    world: World, provider: str, iss: str, right: bool
) -> None:
    """https://github.com/langfuse/langfuse/issues/13091."""
    endpoints = Endpoints(token="https://github.com/t", authorization="https://github.com/a")
    settings: dict[str, Any] = {"issuer": "https://github.com", "endpoints": endpoints, "scope": ("repo",)}
    assert world.process(provider=provider, **settings).is_response_issuer(iss) is right


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


@pytest.mark.parametrize("told", [True, False, "true", 1, None])
def test_only_true_promises_an_iss_in_the_authorization_response(world: World, told: object) -> None:
    world.hostile.serve_metadata(authorization_response_iss_parameter_supported=told)
    for _ in ("asked", "kept"):
        metadata = world.process().metadata()
        assert metadata.authorization_response_iss_parameter_supported is (told is True)
        assert metadata.authorization_endpoint == f"{world.hostile.url}/authorize"
    assert world.asked() == 1


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


def test_a_provider_is_handed_its_key_and_password_unread(world: World) -> None:
    def read() -> Secret:
        raise AssertionError

    provider = Provider(
        Profile(name="prod", issuer=world.hostile.issuer, client_id="cli"),
        transport=Transport(clock=world.clock),
        documents=world.disk,
        clock=world.clock,
        private_key=read,
        password=read,
    )
    assert provider.private_key is provider.password is read
    assert provider.client_secret is None
    assert provider.known.name == "generic"


@pytest.mark.parametrize("told", [None, ["openid", "email"]])
def test_google_says_itself_which_scopes_it_has_or_the_row_does(world: World, told: list[str] | None) -> None:
    world.hostile.serve_metadata(scopes_supported=told)
    assert world.process(provider="google").scopes() == tuple(told or ("openid", "profile", "email"))


def test_an_audience_may_be_a_scope(world: World) -> None:
    world.hostile.serve_metadata()
    entra = world.process(provider="entra", audience="api://app-1")
    assert entra.scopes() == (*DEFAULT_SCOPES, "api://app-1/.default")
    machine = world.process(provider="entra", audience="api://app-1", flow="client-credentials")
    assert machine.scopes() == ("api://app-1/.default",)
    named = world.process(provider="entra", audience="api://app-1", scope=("openid", "api://app-1/Read"))
    assert named.scopes() == ("openid", "api://app-1/Read")
    zitadel = world.process(provider="zitadel", audience="42", scope=("openid",))
    assert zitadel.scopes() == ("openid", "urn:zitadel:iam:org:project:id:42:aud")
    assert world.process(provider="auth0", audience="api", scope=("openid",)).scopes() == ("openid",)


@pytest.mark.parametrize("audience", ["a b", "a\nb", 'a"b', "ä"])
def test_an_audience_that_would_be_two_scopes_is_refused(world: World, audience: str) -> None:
    world.hostile.serve_metadata()
    with pytest.raises(ConfigurationError, match="as part of a scope"):
        world.process(provider="zitadel", audience=audience).scopes()
    assert world.process(provider="auth0", audience=audience).scopes() == DEFAULT_SCOPES


def test_consent_is_asked_for_where_offline_access_needs_it(world: World) -> None:
    """OIDC Core §11; npm's oidc-provider drops offline_access otherwise, Auth0 and others do not."""
    world.hostile.serve_metadata()
    assert world.process().authorization_parameters() == (("prompt", "consent"),)
    assert world.process(scope=("offline_access",)).authorization_parameters() == ()
    assert world.process(scope=("openid",)).authorization_parameters() == ()
    assert world.process(provider="auth0").authorization_parameters() == ()
    google = world.process(provider="google").authorization_parameters()
    assert google == (("access_type", "offline"), ("prompt", "consent"))


# --- issuers for several tenants --------------------------------------------------------------------------------------

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"


def entra(world: World, word: str, issuer: str, **settings: Any) -> Provider:
    """Return Entra's tenant ``word``, whose document calls itself ``issuer``."""
    url = world.hostile.url
    world.hostile.serve_metadata(f"/{word}/v2.0{OPENID}", issuer=issuer)
    return world.process(**{"provider": "entra", "issuer": f"{url}/{word}/v2.0", **settings})


@pytest.mark.parametrize("word", ["common", "organizations", "consumers"])
def test_the_document_for_several_tenants_names_none(world: World, word: str) -> None:
    provider = entra(world, word, world.hostile.url + "/{tenantid}/v2.0")
    assert provider.metadata().issuer == world.hostile.url + "/{tenantid}/v2.0"
    assert world.process(provider="entra", issuer=provider.profile.issuer).metadata() == provider.metadata()
    assert world.asked(f"/{word}/v2.0{OPENID}") == 1  # the kept one is judged by the same rule


@pytest.mark.parametrize(
    ("word", "path", "settings"),
    [
        ("common", "{tenantid}/v2.0", {"provider": "generic"}),
        ("common", "{tenantid}/v2.0", {"provider": "auth0"}),
        (TENANT, "{tenantid}/v2.0", {}),
        ("contoso.onmicrosoft.com", f"{TENANT}/v2.0", {}),
        ("common", f"{TENANT}/v2.0", {}),
        ("common", "{tenantid}/v1.0", {}),
        ("common", "{tenantid}", {}),
        ("common", "{TenantId}/v2.0", {}),
        ("common", "x/{tenantid}/v2.0", {}),
        ("common", "organizations/v2.0", {}),
        ("commons", "{tenantid}/v2.0", {}),
        ("organizations", f"{CONSUMERS}/v2.0", {}),
    ],
)
def test_no_other_document_may_call_itself_otherwise(
    world: World, word: str, path: str, settings: dict[str, str]
) -> None:
    provider = entra(world, word, f"{world.hostile.url}/{path}", **settings)
    with pytest.raises(TokenResponseError, match="is that of another issuer") as caught:
        provider.metadata()
    assert world.disk.kept == {}
    expected = "https://HOST/TENANT/v2.0" if provider.known.name == "entra" else "exactly the provider's own"
    assert expected in (caught.value.hint or "")


def test_another_host_is_another_issuer_whatever_the_tenant(world: World) -> None:
    with pytest.raises(TokenResponseError, match="is that of another issuer"):
        entra(world, "common", "https://login.microsoftonline.com/{tenantid}/v2.0").metadata()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", ["{tenantid}/v2.0", f"{CONSUMERS}/v2.0"])
def test_a_tenant_of_several_is_one_by_its_id(world: World, path: str, slash: str) -> None:
    url = world.hostile.url
    consumers = entra(world, "consumers", f"{url}/{path}{slash}")
    assert consumers.is_issuer(f"{url}/{CONSUMERS}/v2.0{slash}", CONSUMERS)
    assert not consumers.is_issuer(f"{url}/{TENANT}/v2.0{slash}", TENANT)
    assert not consumers.is_issuer(f"{url}/{{tenantid}}/v2.0{slash}", "{tenantid}")


@pytest.mark.parametrize(
    ("iss", "tid", "right"),
    [
        (f"/{TENANT}/v2.0", TENANT, True),
        (f"/{TENANT}/v2.0/", TENANT, False),
        (f"/{CONSUMERS}/v2.0", TENANT, False),
        ("/{tenantid}/v2.0", TENANT, False),
        ("/{tenantid}/v2.0", "{tenantid}", False),
        ("/common/v2.0", "common", False),
        ("/common/v2.0", TENANT, False),
        (f"/{TENANT}/v2.0", None, False),
        (f"/{TENANT}/v2.0", [TENANT], False),
        ("//evil/v2.0", "/evil", False),
        (f"/{TENANT.upper()}/v2.0", TENANT.upper(), False),
        (f"/{TENANT}\n/v2.0", f"{TENANT}\n", False),
        (f"/{TENANT[:-1]}/v2.0", TENANT[:-1], False),
        (7, TENANT, False),
        (None, None, False),
    ],
)
def test_an_issuer_is_the_template_with_the_tokens_own_tenant(
    world: World, iss: object, tid: object, right: bool
) -> None:
    provider = entra(world, "common", world.hostile.url + "/{tenantid}/v2.0")
    assert provider.is_issuer(world.hostile.url + iss if isinstance(iss, str) else iss, tid) is right


@pytest.mark.parametrize(
    ("word", "path", "right"),
    [
        ("common", f"/{TENANT}/v2.0", True),
        ("common", f"/{CONSUMERS}/v2.0", True),
        ("consumers", f"/{CONSUMERS}/v2.0", True),
        ("consumers", f"/{TENANT}/v2.0", False),
        ("common", "/{tenantid}/v2.0", False),
        ("common", "/common/v2.0", False),
        ("common", f"/{TENANT}/v2.0/", False),
        ("common", f"/{TENANT}{TENANT}/v2.0", False),
        ("common", f"/x/{TENANT}/v2.0", False),
        ("common", f"/{TENANT.upper()}/v2.0", False),
        ("common", "", False),
        (TENANT, f"/{TENANT}/v2.0", True),
        (TENANT, f"/{CONSUMERS}/v2.0", False),
    ],
)
def test_at_the_redirect_an_issuer_for_several_tenants_is_any_tenants(
    world: World, word: str, path: str, right: bool
) -> None:
    own = TENANT if word == TENANT else "{tenantid}"
    provider = entra(world, word, f"{world.hostile.url}/{own}/v2.0")
    assert provider.is_response_issuer(world.hostile.url + path) is right
    assert not provider.is_response_issuer(f"https://evil.example{path}")


def test_without_a_document_the_tenant_is_still_the_tokens_own(world: World) -> None:
    url = world.hostile.url
    endpoints = Endpoints(token=f"{url}/t", device_authorization=f"{url}/d", jwks=f"{url}/jwks")
    provider = world.process(provider="entra", issuer=f"{url}/common/v2.0", endpoints=endpoints)
    assert provider.is_issuer(f"{url}/{TENANT}/v2.0", TENANT)
    assert not provider.is_issuer(f"{url}/common/v2.0", TENANT)
    assert world.hostile.requests == []


def test_an_issuer_of_one_tenant_does_not_look_at_the_tenant(world: World) -> None:
    provider = entra(world, TENANT, f"{world.hostile.url}/{TENANT}/v2.0")
    assert provider.is_issuer(f"{world.hostile.url}/{TENANT}/v2.0", None)
    assert not provider.is_issuer(f"{world.hostile.url}/{CONSUMERS}/v2.0", CONSUMERS)


# --- scopes -----------------------------------------------------------------------------------------------------------


def test_default_scopes_are_what_the_provider_supports(world: World) -> None:
    world.hostile.serve_metadata(scopes_supported=["openid", "email", "x"])
    assert world.process().scopes() == ("openid", "email")
    assert world.process(scope=("openid", "offline_access")).scopes() == ("openid", "offline_access")
    assert world.process(scope=()).scopes() == ()
    assert world.process(flow="client-credentials").scopes() == ()


@pytest.mark.parametrize("supported", [None, [], "openid"])
def test_a_provider_that_does_not_say_gets_all_defaults(world: World, supported: object) -> None:
    world.hostile.serve_metadata(scopes_supported=supported)
    assert world.process().scopes() == DEFAULT_SCOPES


# --- kept metadata ----------------------------------------------------------------------------------------------------


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


def test_metadata_from_the_future_is_old(world: World) -> None:
    world.hostile.serve_metadata()
    world.clock.advance(300 * DAY)
    world.process().metadata()
    world.clock.advance(-300 * DAY)
    world.process().metadata(fresh=True)
    assert world.asked() == 2
    world.clock.advance(-59)
    world.process().metadata(fresh=True)
    assert world.asked() == 2
    world.clock.advance(-2)
    world.process().metadata(fresh=True)
    assert world.asked() == 3


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


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"format": 1, "made": "now", "document": 7}'],
)
def test_a_damaged_document_counts_as_absent(world: World, damage: bytes) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    for name in world.disk.kept:
        world.disk.kept[name] = damage
    assert world.process().metadata().token_endpoint.endswith("/token")
    assert world.asked() == 2
    assert world.said("counts as absent")


def test_a_document_of_another_version_counts_as_absent(world: World) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    world.disk.change("json", format=FORMAT + 1)
    world.process().metadata()
    assert world.asked() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"token_endpoint": "https://evil.example/"},
        {"issuer": "https://evil.example/"},
        {"jwks_uri": 7},
        {"issuer": None},
    ],
)
def test_what_was_kept_is_judged_again(world: World, change: dict[str, object]) -> None:
    document = world.hostile.serve_metadata()
    world.process().metadata()
    world.disk.change("json", document={**document, **change})
    assert world.process().metadata().token_endpoint == f"{world.hostile.url}/token"
    assert world.asked() == 2
    assert world.said("cannot be used")


def test_two_issuers_share_nothing(world: World) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    other = f"{world.hostile.url}/other"
    world.hostile.serve_metadata(f"/other{OPENID}", issuer=other)
    assert world.process(issuer=other).metadata().issuer == other
    assert len(world.disk.kept) == 2


def test_two_profiles_of_an_issuer_share_its_document_but_not_their_endpoints(world: World) -> None:
    world.hostile.serve_metadata()
    world.process(endpoints=Endpoints(token=f"{world.hostile.url}/mine")).metadata()
    assert world.process(client_id="other").metadata().token_endpoint == f"{world.hostile.url}/token"
    assert world.asked() == 1


# --- client authentication --------------------------------------------------------------------------------------------


def test_what_worked_is_kept_by_client_and_outlives_a_renewal(world: World) -> None:
    world.hostile.serve_metadata()
    provider = world.process()
    assert provider.authentication_worked is None
    provider.authentication_worked = "post"
    assert provider.authentication_worked == "post"
    provider.metadata()
    assert world.process().authentication_worked == "post"
    assert world.process(client_id="other").authentication_worked is None
    world.process().renew_metadata()
    assert world.process().authentication_worked == "post"
    world.process().authentication_worked = "basic"
    assert world.process().authentication_worked == "basic"
    world.process().authentication_worked = None
    assert world.process().authentication_worked is None
    assert world.asked() == 2, "none of this takes the metadata away"


def test_what_worked_is_kept_without_metadata_too(world: World) -> None:
    endpoints = Endpoints(token=f"{world.hostile.url}/token")
    settings: dict[str, Any] = {"flow": "client-credentials", "endpoints": endpoints}
    world.process(**settings).authentication_worked = "post"
    assert world.process(**settings).authentication_worked == "post"
    world.disk.change("json", authentication={"cli": "magic"})
    assert world.process(**settings).authentication_worked is None


# --- keys -------------------------------------------------------------------------------------------------------------


def kids(provider: Provider, *, renew: bool = False) -> list[object]:
    keys = provider.keys(renew=renew)["keys"]
    assert isinstance(keys, list)
    return [key.get("kid") for key in keys]


@pytest.fixture
def keyed(world: World) -> World:
    world.hostile.serve_metadata()
    world.hostile.serve_keys(signing_key("ES256", "k1"))
    return world


def test_keys_are_kept_for_a_day(keyed: World) -> None:
    provider = keyed.process()
    assert kids(provider) == ["k1"]
    assert provider.keys_are_new
    keyed.clock.advance(DAY - 1)
    provider = keyed.process()
    assert kids(provider) == ["k1"]
    assert not provider.keys_are_new
    assert keyed.asked("/jwks") == 1
    keyed.clock.advance(1)
    keyed.hostile.serve_keys(signing_key("ES256", "k2"))
    assert kids(keyed.process()) == ["k2"]
    assert keyed.asked("/jwks") == 2


def test_keys_from_the_future_are_old(keyed: World) -> None:
    keyed.clock.advance(300 * DAY)
    keyed.process().keys()
    keyed.clock.advance(-300 * DAY)
    keyed.process().keys(renew=True)
    assert keyed.asked("/jwks") == 2


def test_keys_are_renewed_once_a_process_and_once_in_five_minutes(keyed: World) -> None:
    keyed.process().keys()
    keyed.hostile.serve_keys(signing_key("ES256", "k2"))
    keyed.clock.advance(299)
    provider = keyed.process()
    assert kids(provider, renew=True) == ["k1"]
    assert not provider.keys_are_new
    keyed.clock.advance(1)
    assert kids(provider, renew=True) == ["k2"]
    assert provider.keys_are_new
    keyed.clock.advance(3600)
    assert kids(provider, renew=True) == ["k2"]
    assert keyed.asked("/jwks") == 2


@pytest.mark.parametrize("trouble", [html(502), html(200), reset(), rate_limited(5), half_json(), answer({"keys": 7})])
def test_old_keys_serve_while_there_are_no_others(keyed: World, trouble: Behaviour) -> None:
    keyed.process().keys()
    keyed.clock.advance(2 * DAY)
    keyed.hostile.script("/jwks", trouble)
    provider = keyed.process()
    assert kids(provider) == ["k1"]
    assert not provider.keys_are_new
    assert keyed.said("serve on")
    with pytest.raises(CredentialHelperError):
        provider.keys(renew=True)


@pytest.mark.parametrize("trouble", [html(502), empty(403), reset(), redirect(307, "https://evil.example/")])
def test_keys_that_cannot_be_had_are_a_matter_of_transport(keyed: World, trouble: Behaviour) -> None:
    keyed.hostile.script("/jwks", trouble)
    with pytest.raises(TransportError):
        keyed.process().keys()


def test_keys_that_have_moved_are_found_through_new_metadata(keyed: World) -> None:
    keyed.process().metadata()
    keyed.hostile.script("/jwks", empty(404))
    keyed.hostile.serve_metadata(jwks_uri=f"{keyed.hostile.url}/jwks2")
    keyed.hostile.script("/jwks2", answer({"keys": [signing_key("ES256", "k2").jwk()]}))
    assert kids(keyed.process()) == ["k2"]
    assert kids(keyed.process()) == ["k2"]
    assert (keyed.asked(), keyed.asked("/jwks"), keyed.asked("/jwks2")) == (2, 1, 1)


def test_keys_are_renewed_from_where_they_are_now(keyed: World) -> None:
    """The address that was left may go on serving the old keys."""
    keyed.process().keys()
    keyed.hostile.serve_metadata(jwks_uri=f"{keyed.hostile.url}/jwks2")
    keyed.hostile.script("/jwks2", answer({"keys": [signing_key("ES256", "k2").jwk()]}))
    keyed.clock.advance(DAY - 1)
    assert kids(keyed.process(), renew=True) == ["k1"]
    keyed.clock.advance(301)
    provider = keyed.process()
    assert kids(provider, renew=True) == ["k2"]
    assert provider.keys_are_new
    assert (keyed.asked(), keyed.asked("/jwks"), keyed.asked("/jwks2")) == (2, 2, 1)


def test_keys_that_are_nowhere_are_asked_for_once_more_only_where_they_moved(keyed: World) -> None:
    keyed.process().metadata()
    keyed.hostile.script("/jwks", empty(404))
    with pytest.raises(TransportError, match="answered 404 where its keys were expected"):
        keyed.process().keys()
    assert (keyed.asked(), keyed.asked("/jwks")) == (2, 1)


def test_kept_keys_of_another_address_do_not_count(keyed: World) -> None:
    keyed.process().keys()
    keyed.hostile.script("/mine", answer({"keys": [signing_key("ES256", "mine").jwk()]}))
    assert kids(keyed.process(endpoints=Endpoints(jwks=f"{keyed.hostile.url}/mine"))) == ["mine"]


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"format": 1, "made": 1, "jwks_uri": "x", "keys": [7]}'])
def test_damaged_keys_count_as_absent(keyed: World, damage: bytes) -> None:
    keyed.process().keys()
    (name,) = (name for name in keyed.disk.kept if name.endswith(".keys.json"))
    keyed.disk.kept[name] = damage
    assert kids(keyed.process()) == ["k1"]
    assert keyed.asked("/jwks") == 2


def test_only_public_asymmetric_keys_are_kept(keyed: World) -> None:
    public = signing_key("ES256", "k1").jwk()
    keyed.hostile.script(
        "/jwks",
        answer(
            {
                "keys": [
                    {"kty": "oct", "k": "c2VjcmV0"},
                    7,
                    {"kid": "x"},
                    {**public, "d": "c2VjcmV0", "x5c": ["c2VjcmV0"]},
                ]
            }
        ),
    )
    assert keyed.process().keys() == {"keys": [public]}
    assert b"c2VjcmV0" not in b"".join(keyed.disk.kept.values())


def test_a_provider_without_jwks_uri(world: World) -> None:
    world.hostile.serve_metadata(jwks_uri=None)
    with pytest.raises(TokenResponseError, match="publishes no keys"):
        world.process().keys()


def test_no_network_and_nothing_kept(clock: FakeClock) -> None:
    with closed_port() as port, HostileProvider(now=clock.now) as hostile:
        world = World(hostile, clock)
        with pytest.raises(TransportError, match="refused the connection"):
            world.process(issuer=f"http://127.0.0.1:{port}").metadata(fresh=True)
