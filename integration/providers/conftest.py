"""Keycloak, Ory Hydra and Dex, each started once a session by the one worker that runs all of its tests.

Where Java, Maven or Go is missing, the provider is skipped by name, even where everything must be real: nothing here
installs a language. Where they are there, CREDENTIAL_HELPER_REQUIRE_REAL=1 wants the provider, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from integration.clients.real import missing
from integration.scenes.real_providers import public_pem
from integration.servers.hostile_provider import SigningKey, signing_key
from integration.servers.oidc import ProviderError
from integration.servers.providers.dex import Dex
from integration.servers.providers.hydra import Hydra
from integration.servers.providers.keycloak import Keycloak
from integration.servers.providers.made import Absent, ArtefactError
from integration.servers.providers.real import RealProvider

Start = Callable[[RealProvider], RealProvider]

GROUPS = {"keycloak": "keycloak", "rotating": "keycloak", "hydra": "hydra", "dex": "dex"}  # fixture → its worker


@pytest.hookimpl(tryfirst=True)  # xdist's own looks for the marks that are there
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a provider's tests to one worker, by the fixture that they ask for."""
    for item in items:
        asked = {*getattr(item, "fixturenames", ()), *_parameters(item)}
        for name in sorted({GROUPS[one] for one in asked & GROUPS.keys()}):
            item.add_marker(pytest.mark.xdist_group(name))


def _parameters(item: pytest.Item) -> list[str]:
    callspec = getattr(item, "callspec", None)
    return [value for value in callspec.params.values() if isinstance(value, str)] if callspec else []


@pytest.fixture(scope="session")
def client_key() -> SigningKey:
    """Return the key of the clients that sign."""
    return signing_key("ES256", "k1")


@pytest.fixture(scope="session")
def ci_key() -> SigningKey:
    """Return the key of the foreign issuer that Keycloak's realms trust."""
    return signing_key("RS256", "ci")


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Return what starts a provider until the session ends, or says by name why there is none."""
    started: list[RealProvider] = []

    def begin(provider: RealProvider) -> RealProvider:
        try:
            started.append(provider.start())
        except Absent as error:
            pytest.skip(f"{provider.name}: {error}")
        except (ArtefactError, ProviderError) as error:
            missing(f"{provider.name}: {error}")
        return provider

    yield begin
    for provider in started:
        provider.stop()


@pytest.fixture(scope="session")
def keycloak(start: Start, client_key: SigningKey, ci_key: SigningKey) -> Keycloak:
    """Return the realm whose refresh tokens do not end with their use."""
    provider = start(Keycloak({"keys": [client_key.jwk()]}, public_pem(ci_key)))
    assert isinstance(provider, Keycloak)
    return provider


@pytest.fixture(scope="session")
def rotating(keycloak: Keycloak) -> Keycloak:
    """Return the realm that takes each refresh token once."""
    return keycloak.realm("rotating")


@pytest.fixture(scope="session")
def hydra(start: Start, client_key: SigningKey) -> Hydra:
    """Return Ory Hydra."""
    provider = start(Hydra({"keys": [client_key.jwk()]}))
    assert isinstance(provider, Hydra)
    return provider


@pytest.fixture(scope="session")
def dex(start: Start) -> Dex:
    """Return Dex."""
    provider = start(Dex())
    assert isinstance(provider, Dex)
    return provider


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> RealProvider:
    """Return the provider that a test names by its parameter."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, RealProvider)
    return found
