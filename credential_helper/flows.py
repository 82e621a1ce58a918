"""The ways to sign in, and the ways in which a client says who it is: one row each, data only.

Whatever else depends on a flow reads it here: what a setting may be, which endpoints the metadata have to name, which
module enacts it. It imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One way to sign in."""

    name: str
    spellings: tuple[str, ...] = ()  # others that a setting may have: the RFC's
    module: str  # of oauth/grants/
    who: Literal["person", "client"] = "person"  # whom the provider then knows
    confidential: bool = False  # only a client that proves who it is may use it
    endpoint: str | None = None  # that it needs beside the token endpoint, by its name in model.Endpoints
    unattended_with: str | None = None  # the setting with which nobody has to be asked
    sends_account: bool = False  # the account is sent, so the ID token need not name it
    own: tuple[str, ...] = ()  # the settings that are for it alone, a table by its name
    legacy: bool = False  # a profile has to say so
    subjects: tuple[str, ...] = ()  # the settings one of which says what it sends in exchange


class ClientAuthentication(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a client says who it is (RFC 6749 §2.3)."""

    name: str
    spellings: tuple[str, ...] = ()
    needs: str | None = None  # the setting that it takes its proof from


_FLOWS = (
    Flow(
        name="device",
        spellings=("device-code", "urn:ietf:params:oauth:grant-type:device-code"),
        module="device_authorization",
        endpoint="device_authorization",
    ),
    Flow(
        name="authorization-code",
        module="authorization_code",
        endpoint="authorization",
        own=("redirect_uri", "redirect_certificate", "redirect_private_key", "pushed_authorization_requests"),
    ),
    Flow(name="client-credentials", module="client_credentials", who="client", confidential=True),
    Flow(
        name="password",
        module="password",
        unattended_with="password",
        sends_account=True,
        own=("realm", "password"),
        legacy=True,
    ),
    Flow(
        name="jwt-bearer",
        spellings=("urn:ietf:params:oauth:grant-type:jwt-bearer",),
        module="jwt_bearer",
        who="client",
        subjects=("workload",),
    ),
    Flow(
        name="token-exchange",
        spellings=("urn:ietf:params:oauth:grant-type:token-exchange",),
        module="token_exchange",
        who="client",
        subjects=("workload", "subject"),
        own=("subject", "subject_token_type"),
    ),
)

_CLIENT_AUTHENTICATION = (
    ClientAuthentication(name="none"),
    ClientAuthentication(name="basic", spellings=("client-secret-basic",), needs="client_secret"),
    ClientAuthentication(name="post", spellings=("client-secret-post",), needs="client_secret"),
    ClientAuthentication(name="client_secret_jwt", spellings=("client-secret-jwt",), needs="client_secret"),
    ClientAuthentication(name="private_key_jwt", spellings=("private-key-jwt",), needs="private_key"),
    ClientAuthentication(name="tls", spellings=("tls-client-auth", "self-signed-tls-client-auth"), needs="tls"),
    ClientAuthentication(name="workload", needs="workload"),
)

FLOWS: Mapping[str, Flow] = {row.name: row for row in _FLOWS}
CLIENT_AUTHENTICATION: Mapping[str, ClientAuthentication] = {row.name: row for row in _CLIENT_AUTHENTICATION}

PEOPLE = frozenset(name for name, row in FLOWS.items() if row.who == "person" and not row.legacy)


def spelt(rows: Mapping[str, Flow] | Mapping[str, ClientAuthentication]) -> dict[str, str]:
    """Return the other spellings of a table's names."""
    return {other: row.name for row in rows.values() for other in row.spellings}
