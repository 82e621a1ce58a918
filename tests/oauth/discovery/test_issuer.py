"""What a provider may call itself: in its document, in an ID token, and at the redirect."""

from __future__ import annotations

import re
from typing import Any

import pytest

from credential_helper.errors import TokenResponseError
from credential_helper.model import Endpoints
from credential_helper.oauth.provider import Provider
from tests.helpers.providers import OAUTH, OPENID, World

pytestmark = pytest.mark.usefixtures("silent_stderr")


# --- the document's own form ------------------------------------------------------------------------------------------


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


# --- at the redirect --------------------------------------------------------------------------------------------------


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
