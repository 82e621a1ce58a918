"""What follows from a profile and its provider's row: scopes, and parameters of an authorization request."""

from __future__ import annotations

import pytest

from credential_helper.errors import ConfigurationError
from credential_helper.model import DEFAULT_SCOPES, Profile, Secret
from credential_helper.oauth.provider import Provider
from credential_helper.transport.client import Transport
from tests.helpers.providers import World

pytestmark = pytest.mark.usefixtures("silent_stderr")


@pytest.mark.parametrize(
    ("issuer", "host"),
    [
        ("https://example.eu.auth0.com/", "example.eu.auth0.com"),
        ("https://sso.example:8443/realms/a", "sso.example:8443"),
    ],
)
def test_messages_name_the_issuers_host(world: World, issuer: str, host: str) -> None:
    assert world.process(issuer=issuer).host == host


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


# --- authorization parameters -----------------------------------------------------------------------------------------


def test_consent_is_asked_for_where_offline_access_needs_it(world: World) -> None:
    """OIDC Core §11; npm's oidc-provider drops offline_access otherwise, Auth0 and others do not."""
    world.hostile.serve_metadata()
    assert world.process().authorization_parameters() == (("prompt", "consent"),)
    assert world.process(scope=("offline_access",)).authorization_parameters() == ()
    assert world.process(scope=("openid",)).authorization_parameters() == ()
    assert world.process(provider="auth0").authorization_parameters() == ()
    google = world.process(provider="google").authorization_parameters()
    assert google == (("access_type", "offline"), ("prompt", "consent"))


@pytest.mark.parametrize(
    ("supported", "provider", "prompt"),
    [
        (None, "generic", "login consent"),
        (["login", "consent", "none"], "generic", "login consent"),
        (["login", "select_account"], "generic", "select_account consent"),
        (None, "google", "select_account consent"),
        (None, "entra", "select_account"),
        (None, "auth0", "login"),
    ],
)
def test_who_may_be_signed_in_as_somebody_else_is_asked_to_choose(
    world: World, supported: list[str] | None, provider: str, prompt: str
) -> None:
    """OpenID Connect Core 1.0 §3.1.2.1; a provider need not know select_account, and refuses what it does not know."""
    world.hostile.serve_metadata(prompt_values_supported=supported)
    process = world.process(provider=provider)
    process.other_account = True
    assert dict(process.authorization_parameters())["prompt"] == prompt
