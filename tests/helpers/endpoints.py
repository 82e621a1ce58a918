"""A provider over real HTTP, and what its token endpoint is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from credential_helper.model import Profile, Secret, Source, Tokens
from credential_helper.oauth.endpoints import token_endpoint
from credential_helper.oauth.provider import Provider
from credential_helper.transport.client import Transport
from integration.servers.hostile_provider import HostileProvider
from tests.helpers.clock import FakeClock
from tests.helpers.providers import Memory

TOKENS: dict[str, object] = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600}
REFRESH = [("refresh_token", "v1.refresh-token-in-use")]


def provider_at(
    hostile: HostileProvider,
    clock: FakeClock,
    *,
    secret: str | None = None,
    documents: Memory | None = None,
    notes: list[str] | None = None,
    environ: Mapping[str, str] | None = None,
    subject: Callable[[], Secret] | None = None,
    **settings: Any,
) -> Provider:
    """Return the provider object of a profile with these settings."""
    source = None if secret is None else Source(kind="env", value=("SECRET",), origin="test")
    settings = {"issuer": hostile.issuer, "client_id": "cli", "client_secret": source, **settings}
    return Provider(
        Profile(name="prod", **settings),
        transport=Transport(clock=clock),
        documents=documents or Memory(),
        clock=clock,
        client_secret=None if secret is None else lambda: Secret(secret),
        environ=environ,
        subject=subject,
        note=(notes if notes is not None else []).append,
    )


def refresh(provider: Provider) -> Tokens:
    return token_endpoint.request(provider, "refresh_token", REFRESH, refused="refused the refresh token")
