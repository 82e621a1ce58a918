"""Profiles that sign in with a password."""

from __future__ import annotations

from typing import Any

from integration.scenes.homes import write_config
from integration.servers.hostile_provider import HostileProvider
from integration.servers.oidc import ADA, AUDIENCE, CLI_PASSWORD, PASSWORD, Face

LABEL = r"password for (\S+) at (\S+): "


def configure(home: dict[str, str], face: Face, **more: object) -> None:
    """Write a profile that signs in with a password, which a person types."""
    write_config(home, **settings(face, **more))


def settings(face: Face | HostileProvider, **more: Any) -> dict[str, Any]:
    """Return the settings of such a profile; None leaves one out."""
    wanted = {
        "issuer": face.issuer,
        "client_id": CLI_PASSWORD,
        "audience": AUDIENCE,
        "flow": "password",
        "legacy": True,
        "account": ADA,
        **more,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def unattended(home: dict[str, str], face: Face, **more: object) -> None:
    """Write a profile whose password comes from the environment."""
    configure(home, face, password={"env": "LEGACY_PASSWORD"}, **more)
    home["LEGACY_PASSWORD"] = PASSWORD
