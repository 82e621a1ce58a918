"""A grant and a session as a sign-in makes them."""

from __future__ import annotations

from typing import Any

import msgspec

from credential_helper.model import Identity, Secret, Token
from credential_helper.session import Grant, Session

NOW = 1_900_000_000.0  # seconds since the epoch, when they were made


def a_grant(**other: Any) -> Grant:
    """Return the grant of a person, without a refresh token."""
    grant = Grant(
        sign_in="0" * 32,
        session="b" * 64,
        profile="prod",
        issuer="https://idp.example.com",
        client_id="client",
        kind="person",
        audience="https://api.example.com",
        identity=Identity(subject="ada", name="ada@example.com", claims=(("sub", "ada"),)),
    )
    return msgspec.structs.replace(grant, **other)


def a_session(grant: Grant | None = None, **other: Any) -> Session:
    """Return a session that is verified but for its ID token, which somebody may want later."""
    session = Session(
        grant=grant or a_grant(),
        audience="https://api.example.com",
        access=Token(value=Secret("the-access-token"), received_at=NOW, expires_at=NOW + 3600),
        id=Token(value=Secret("the-id-token"), received_at=NOW, expires_at=None, unverified=True),
        scope=("openid", "profile"),
    )
    return msgspec.structs.replace(session, **other)
