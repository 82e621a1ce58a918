"""Sessions of format 1, as commit 21e00de wrote them into ``sessions/ID.json``, and for other profiles than its own.

The files in tests/stores/format_1 are that version's, byte for byte; ``in_the_keyring_later`` is by 336c181, the last
version that wrote this format, whose records have a namespace. Their profile is ``PROFILE``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from credential_helper.model import Profile, Secret
from credential_helper.stores import format_1
from credential_helper.stores.private_files import State

FOLDER = Path(__file__).parent.parent / "stores" / "format_1"

Kind = Literal["in_the_file", "in_the_keyring", "in_the_keyring_later"]

PROFILE = Profile(
    name="prod",
    issuer="https://idp.example.com",
    client_id="client",
    flow="device",
    audience="https://api.example.com",
)
ID = "34afa50fef6777afb87c65e388870895ebdc10d6c197f8609284b7f93dcddeed"
MADE = 1_900_000_000.0  # when the tokens came, in seconds since the epoch; they live for an hour
ACCESS = Secret("the-access-token")
REFRESH = Secret("the-refresh-token")
RECORD = ("0123456789abcdef0123456789abcdef", "prod client")
RECORD_LATER = (f"session/{RECORD[0]}", RECORD[1])


def content(kind: Kind) -> bytes:
    """Return a file as it was written."""
    return (FOLDER / f"{kind}.json").read_bytes()


def leave(state: State, profile: Profile, kind: Kind = "in_the_file", **other: Any) -> str:
    """Put into a state directory what that version had kept for a profile, with other members; return its id."""
    identifier = format_1.session_id(profile)
    document = json.loads(content(kind))
    document["id"] = identifier
    document["session"] |= {
        "profile": profile.name,
        "issuer": profile.issuer,
        "client_id": profile.client_id,
        "kind": profile.session_kind,
        "account": profile.account,
        "audience": profile.audience,
    }
    identity = document["session"]["identity"]
    claims = dict(identity["claims"]) | {"iss": profile.issuer}
    identity["claims"] = [list(claim) for claim in claims.items()]
    document["session"] |= other
    state.write(f"sessions/{identifier}.json", json.dumps(document).encode())
    return identifier
