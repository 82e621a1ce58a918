"""Machines at real providers: a secret sent either way, a key, and what is said when the secret is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from integration.clients.programs import Runner
from integration.scenes.private_keys import keep, written
from integration.scenes.real_providers import claims_of
from integration.scenes.sign_ins import write_profiles
from integration.servers.hostile_provider import SigningKey
from integration.servers.providers.real import SECRET, RealProvider

by = pytest.mark.parametrize

# The provider, its client, and how the secret is sent.
SECRETS = [
    ("keycloak", "machine", "client_secret_basic"),
    ("keycloak", "machine", "client_secret_post"),
    ("keycloak", "machine", "auto"),
    ("hydra", "machine-basic", "client_secret_basic"),
    ("hydra", "machine-basic", "auto"),
    ("hydra", "machine-post", "client_secret_post"),
    ("hydra", "machine-post", "auto"),
]


def machine(home: dict[str, str], provider: RealProvider, client_id: str, **more: Any) -> None:
    """Write the profile of a machine, with its secret."""
    home["CLIENT_SECRET"] = SECRET
    settings = {"flow": "client-credentials", "client_secret": {"env": "CLIENT_SECRET"}, **more}
    write_profiles(home, prod=provider.settings(client_id, **settings))


@by(("provider", "client_id", "how"), SECRETS, indirect=["provider"])
def test_a_machine_signs_in_with_its_secret(
    run: Runner, home: dict[str, str], provider: RealProvider, client_id: str, how: str
) -> None:
    machine(home, provider, client_id, client_authentication=how)
    found = claims_of(run("token", "prod"))
    assert found["iss"] == provider.issuer
    assert client_id in (found.get("azp"), found.get("client_id"))


@by("provider", ["keycloak", "hydra"], indirect=True)
def test_a_machine_signs_in_with_its_key(
    run: Runner, home: dict[str, str], provider: RealProvider, client_key: SigningKey
) -> None:
    file = keep(home, written(client_key))
    key = {"file": file, "algorithm": client_key.alg, "kid": "k1"}
    settings = {"flow": "client-credentials", "private_key": key}
    write_profiles(home, prod=provider.settings("machine-with-a-key", **settings))
    assert claims_of(run("token", "prod"))["iss"] == provider.issuer


@by(("provider", "client_id"), [("keycloak", "machine"), ("hydra", "machine-basic")], indirect=["provider"])
def test_a_wrong_secret_is_said_to_be_wrong(
    run: Runner, home: dict[str, str], provider: RealProvider, client_id: str
) -> None:
    machine(home, provider, client_id, client_authentication="client_secret_basic")
    home["CLIENT_SECRET"] = "wrong"
    done = run("token", "prod")
    assert done.code == 77, done
    assert "secret" in done.stderr  # Keycloak says unauthorized_client, as it does of a grant that is switched off
