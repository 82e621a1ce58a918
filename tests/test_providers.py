"""The table of providers: who is known by what, and that every row is one that the rest can use."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from credential_helper import providers, urls
from credential_helper.flows import FLOWS
from credential_helper.model import DEFAULT_SCOPES, Endpoints, Profile
from credential_helper.oauth.endpoints.wording import _WORDS
from credential_helper.providers import PROVIDERS, TENANT, KnownProvider
from credential_helper.session import place_of

NAMES = (
    *("generic", "auth0", "okta", "entra", "keycloak", "google", "github", "gitlab", "hydra", "dex", "zitadel"),
    *("cognito", "pingfederate", "google-sts"),
)

GRANT_TYPES = {
    *("authorization_code", "client_credentials", "password", "refresh_token"),
    *(providers.DEVICE_CODE, providers.JWT_BEARER, providers.TOKEN_EXCHANGE),
}


def of(issuer: str, provider: str | None = None) -> str:
    return providers.of(Profile(name="prod", issuer=issuer, client_id="cli", provider=provider)).name


# --- who is known by what ---------------------------------------------------------------------------------------------


def test_there_is_a_row_for_each() -> None:
    assert tuple(PROVIDERS) == NAMES
    assert all(row.name == name for name, row in PROVIDERS.items())


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        ("https://example.eu.auth0.com/", "auth0"),
        ("https://example.auth0.com", "auth0"),
        ("https://EXAMPLE.AUTH0.COM./", "auth0"),
        ("https://auth0.com/", "generic"),
        ("https://evilauth0.com/", "generic"),
        ("https://example.auth0.com.evil.example/", "generic"),
        ("https://evil.example/x.auth0.com/", "generic"),
        ("https://evil.example?.auth0.com", "generic"),
        ("https://acme.okta.com/oauth2/default", "okta"),
        ("https://acme.oktapreview.com", "okta"),
        ("https://login.microsoftonline.com/common/v2.0", "entra"),
        ("https://x.login.microsoftonline.com/common/v2.0", "generic"),
        ("https://accounts.google.com", "google"),
        ("https://github.com", "github"),
        ("https://octocorp.ghe.com", "github"),
        ("https://token.actions.githubusercontent.com", "generic"),
        ("https://gitlab.com", "gitlab"),
        ("https://acme-x1y2z3.us1.zitadel.cloud", "zitadel"),
        ("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab1", "cognito"),
        ("https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_Ab1", "cognito"),
        ("https://cognito-idp.a.b.amazonaws.com/x", "generic"),
        ("https://oidc.eks.eu-central-1.amazonaws.com/id/AB", "generic"),
        ("https://sso.example.com/realms/main", "generic"),
        ("http://127.0.0.1:8080", "generic"),
        ("not an address", "generic"),
    ],
)
def test_a_provider_is_known_by_the_whole_labels_of_its_host(issuer: str, name: str) -> None:
    assert of(issuer) == name


@pytest.mark.parametrize("name", NAMES)
def test_the_profile_says_better_who_it_is(name: str) -> None:
    assert of("https://sso.example.com", name) == name
    assert of("https://example.auth0.com", name) == name


def test_a_public_service_is_known_by_its_own_issuer() -> None:
    public = {row.name: row.issuer for row in PROVIDERS.values() if row.issuer}
    assert public == {
        "google": "https://accounts.google.com",
        "github": "https://github.com",
        "gitlab": "https://gitlab.com",
        "google-sts": "https://sts.googleapis.com",
    }
    assert all(of(issuer) == name for name, issuer in public.items())


def test_no_host_is_in_two_rows() -> None:
    listed = [host for row in PROVIDERS.values() for host in row.hosts]
    assert len(listed) == len(set(listed))
    assert all(host == host.lower() for host in listed)


# --- the rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", PROVIDERS.values(), ids=NAMES)
def test_a_row_fits_the_rest(row: KnownProvider) -> None:
    assert row.flows
    assert row.flows <= set(FLOWS)
    names = {field.name for field in msgspec.structs.fields(Endpoints)}
    assert set(row.endpoints) <= names
    for template in row.endpoints.values():
        assert urls.parse_url(template.format(issuer="https://sso.example.com/x")).host == "sso.example.com"
    for template in row.response_issuers:
        assert template.startswith("{issuer}/")
        assert urls.parse_url(template.format(issuer="https://sso.example.com/x")).host == "sso.example.com"
    needed = {"token", *(endpoint for name in row.flows if (endpoint := FLOWS[name].endpoint))}
    assert row.discovery or needed <= set(row.endpoints)
    redirect = urls.parse_url(row.redirect_uri)
    assert redirect.scheme == "http"
    assert redirect.loopback
    assert redirect.path == "callback"
    assert redirect.port_given in (False, True)
    if row.audience_scope is not None:
        assert row.audience_parameter is None
        assert "{audience}" in row.audience_scope
        assert " " not in row.audience_scope.format(audience="api")
    assert set(row.scopes_supported or ()) <= set(DEFAULT_SCOPES)
    assert set(row.switches) <= GRANT_TYPES
    contexts = GRANT_TYPES | {providers.PASSWORD_REALM, "confidential", "public", ""}
    assert {context for context, _ in (*row.places, *row.spellings)} <= contexts
    assert all("{" not in words for words in row.places.values())
    if row.workload_audience is not None:
        assert row.workload_audience.format(audience="//iam.example", issuer="https://sso.example.com")


def test_who_compares_the_port_is_asked_with_one() -> None:
    """Auth0, Okta, Cognito and PingFederate compare the whole address, and Cognito lets only localhost be http."""
    fixed = {row.name: row.redirect_uri for row in PROVIDERS.values() if urls.parse_url(row.redirect_uri).port_given}
    assert set(fixed) == {"auth0", "okta", "cognito", "pingfederate"}
    assert fixed["cognito"] == "http://localhost:8252/callback"
    assert set(fixed.values()) - {fixed["cognito"]} == {"http://127.0.0.1:8252/callback"}
    assert PROVIDERS["entra"].redirect_uri == "http://localhost/callback"


def test_the_flows_are_those_that_are_documented() -> None:
    assert PROVIDERS["generic"].flows == set(FLOWS)
    assert PROVIDERS["github"].flows == PROVIDERS["google"].flows == {"device", "authorization-code"}
    assert "device" not in PROVIDERS["cognito"].flows
    assert "password" not in PROVIDERS["zitadel"].flows
    assert {name for name, row in PROVIDERS.items() if "jwt-bearer" in row.flows} == {
        *("generic", "keycloak", "hydra", "zitadel", "pingfederate"),
    }
    assert {name for name, row in PROVIDERS.items() if "token-exchange" in row.flows} == {
        *("generic", "auth0", "okta", "keycloak", "dex", "zitadel", "pingfederate", "google-sts"),
    }
    assert PROVIDERS["google-sts"].flows == {"token-exchange"}


def test_a_platform_s_token_proves_who_a_client_is_where_that_is_documented() -> None:
    assert {name for name, row in PROVIDERS.items() if row.federated} == {"generic", "entra", "keycloak"}
    assert PROVIDERS["entra"].workload_audience == "api://AzureADTokenExchange"


def test_who_gives_one_token_per_sign_in() -> None:
    none = {name for name, row in PROVIDERS.items() if row.other_audiences == "none"}
    assert none == {"okta", "google", "github", "gitlab", "hydra", "cognito", "google-sts"}
    assert {name for name, row in PROVIDERS.items() if row.other_audiences == "exchange"} == {"keycloak", "zitadel"}


def test_entra_documents_one_algorithm_for_assertions() -> None:
    """https://learn.microsoft.com/entra/identity-platform/certificate-credentials."""
    assert {row.name: row.assertion_algorithm for row in PROVIDERS.values() if row.assertion_algorithm} == {
        "entra": "PS256"
    }


def test_generic_says_nothing_that_a_standard_does_not() -> None:
    row = PROVIDERS["generic"]
    changed = {name for name in row.__struct_fields__ if getattr(row, name) != getattr(_plain(), name)}
    # OIDC Core §11, RFC 8707 §2, RFC 7523 §2.2
    assert changed == {"consent_for_offline_access", "several_resources", "federated"}


def _plain() -> KnownProvider:
    return KnownProvider(name="generic", title="this provider")


def test_only_entra_has_issuers_for_several_tenants() -> None:
    several = [row for row in PROVIDERS.values() if row.tenants]
    assert [row.name for row in several] == ["entra"]
    assert set(several[0].tenants) == {"common", "organizations", "consumers"}
    assert TENANT == "{tenantid}"


def test_a_place_belongs_to_an_error_that_is_explained_or_stands_alone() -> None:
    """A place that nobody can see is a typing error: its code is one of the RFCs', or this provider's own."""
    own = {"server_error", "unauthorized", "redirect_uri_mismatch", "unverified_user_email", "invalid_request"}
    known = {code for _, code in _WORDS} | own | {"access_denied", "invalid_grant"}
    assert {code for row in PROVIDERS.values() for _, code in row.places} <= known


def test_a_session_has_one_name_whatever_the_table_says() -> None:
    profile = Profile(name="prod", issuer="https://example.auth0.com/", client_id="cli")
    same = {place_of(msgspec.structs.replace(profile, provider=name)) for name in (None, *NAMES)}
    assert len(same) == 1


# --- docs/ ------------------------------------------------------------------------------------------------------------


def test_the_documentation_has_a_row_and_a_page_for_each() -> None:
    pages = Path(__file__).parent.parent / "docs" / "providers"
    text = (pages / "index.md").read_text(encoding="utf-8")
    rows = {
        name: cells
        for line in text.splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")]) and len(cells) == 5
        for name in re.findall(r"^`([a-z0-9-]+)`$", cells[0])
        if name in PROVIDERS
    }
    assert set(rows) == set(NAMES)
    for row in PROVIDERS.values():
        _, known_by, _, redirect, _ = rows[row.name]
        assert redirect.startswith("none") or redirect == f"`{row.redirect_uri}`"
        assert all(any(host in known_by for host in (first, f"*{first}")) for first in row.hosts[:1])
        assert (pages / f"{row.name}.md").is_file()
