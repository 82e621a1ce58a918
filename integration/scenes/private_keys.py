"""Clients that have a private key, and profiles of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integration.scenes.sign_ins import Value, write_profiles
from integration.servers.hostile_provider import SigningKey
from integration.servers.oidc import AUDIENCE, DEVICE_CODE_GRANT, Face
from tests.helpers.assertions import pem

MACHINE, PERSON = "machine-with-a-key", "cli-with-a-key"
GRANTS = {MACHINE: ["client_credentials"], PERSON: [DEVICE_CODE_GRANT, "refresh_token"]}
FLOWS = {MACHINE: "client-credentials", PERSON: "device"}


def written(key: SigningKey, password: bytes | None = None) -> str:
    """Return the private half as PEM."""
    return pem(key.private, password=password)


def keep(home: Mapping[str, str], text: str) -> str:
    """Write a key file into the home, and return its path."""
    path = Path(home["HOME"], "key.pem")
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def register(face: Face, client_id: str, *keys: SigningKey) -> None:
    """Let a client sign with these keys; as at Auth0, which algorithm each is for is a part of that."""
    jwks = {"keys": [key.jwk() for key in keys]}
    face.add_client(client_id, authentication="private_key_jwt", grant_types=GRANTS[client_id], jwks=jwks)


def profile(face: Face, client_id: str, **private_key: Value) -> dict[str, Any]:
    """Return a profile whose ``private_key`` is this table."""
    settings = {"issuer": face.issuer, "client_id": client_id, "flow": FLOWS[client_id], "audience": AUDIENCE}
    return {**settings, "private_key": private_key}


def with_key(home: dict[str, str], face: Face, client_id: str, key: SigningKey, **private_key: Value) -> None:
    """Register a client with a key, and write its profile and the key's file."""
    register(face, client_id, key)
    file = keep(home, written(key))
    write_profiles(home, prod=profile(face, client_id, file=file, algorithm=key.alg, **private_key))
