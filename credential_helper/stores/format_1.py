"""Sessions of format 1, which had a refresh token each: read, and taken over as a grant and a session.

One session of that format is one sign-in. Its refresh token stood in its file, or was the keyring's record itself.
"""

from __future__ import annotations

import os
import re
from typing import Any

import msgspec

from credential_helper.model import Identity, Profile, Secret, SessionKind, Token, sha256
from credential_helper.session import Grant, Session
from credential_helper.stores.encoding import decode, version_of
from credential_helper.stores.grant_files import RECORD

VERSION = 1
_FIRST_ENDPOINTS = ("token", "device_authorization", "revocation", "jwks")
_NAME = r"[A-Za-z0-9_-]+"  # of a profile of the file; an ad-hoc one is named HOST/CLIENT_ID


class _Session(msgspec.Struct, frozen=True, kw_only=True):
    profile: str
    issuer: str
    client_id: str
    kind: SessionKind
    account: str | None = None
    audience: str | None = None
    access: Token | None = None
    id: Token | None = None
    scope: tuple[str, ...] = ()
    identity: Identity | None = None
    refresh_token: Secret | None = None
    record: tuple[str, str] | None = None
    in_keyring: bool = False
    revoke_only: bool = False
    unverified: bool = False
    refused: tuple[float, str] | None = None
    id_not_renewed: bool = False
    sends_scope: bool = False
    forced_at: float | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    id: str
    session: _Session


def session_id(profile: Profile) -> str:
    """Name the session of a profile as format 1 did; a pinned vector in tests keeps it."""
    import json

    endpoints = msgspec.structs.asdict(profile.endpoints).items()
    identity: dict[str, Any] = {
        "issuer": profile.issuer.rstrip("/"),
        "client_id": profile.client_id,
        "kind": profile.session_kind,
        "audience": profile.audience,
        "resource": sorted(set(profile.resource)),
        "scope": sorted(set(profile.scopes)),
        "parameters": sorted(profile.parameters),
        "endpoints": {name: url for name, url in endpoints if url is not None or name in _FIRST_ENDPOINTS},
        "account": profile.account,
    }
    if profile.realm is not None:
        identity["realm"] = profile.realm
    canonical = json.dumps(identity, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(canonical.encode())


def session_in(content: bytes, identifier: str) -> Session | None:
    """Return the session in a file of format 1, as one that stands alone; None: it is none, or damaged.

    The refresh token stays where it is: of one in the keyring the grant knows the ``record``. A record that is not of
    the form that we drew is none, and neither is its file.
    """
    file = decode(content, _File) if version_of(content) == VERSION else None
    if file is None or file.id != identifier:
        return None
    old = file.session
    if old.record is not None and not re.fullmatch(RECORD, old.record[0]):
        return None
    grant = Grant(
        sign_in=os.urandom(16).hex(),
        session=identifier,
        profile=old.profile,
        ad_hoc=re.fullmatch(_NAME, old.profile) is None,
        issuer=old.issuer,
        client_id=old.client_id,
        kind=old.kind,
        account=old.account,
        identity=old.identity,
        refresh_token=old.refresh_token,
        record=old.record if old.in_keyring else None,
        revoke_only=old.revoke_only,
        refused=old.refused,
    )
    return Session(
        grant=grant,
        audience=old.audience,
        access=old.access,
        id=old.id,
        scope=old.scope,
        unverified=old.unverified,
        id_not_renewed=old.id_not_renewed,
        sends_scope=old.sends_scope,
        forced_at=old.forced_at,
    )


def is_of(session: Session, profile: Profile) -> bool:
    """Say whether a session of format 1 is a profile's, and may be taken over.

    Profiles of the file and ad-hoc ones shared theirs then, and nobody knew by which CA an ad-hoc one's was fetched.
    What a machine had proved is not known either; its next token is one request away.
    """
    if session.grant.kind == "client" or (profile.ad_hoc and profile.ca_file is not None):
        return False
    return session.grant.ad_hoc == profile.ad_hoc


def taken_over(session: Session, profile: Profile, session_id: str, main: str | None) -> Session:
    """Return the session with what a grant knows of its server; ``session_id`` is what it is called now."""
    grant = msgspec.structs.replace(
        session.grant,
        session=session_id,
        audience=profile.audience,
        resource=profile.resource,
        realm=profile.realm,
        parameters=profile.parameters,
        endpoints=profile.endpoints,
        provider=profile.provider,
        ca_file=profile.ca_file,
        main=main,
    )
    return msgspec.structs.replace(session, grant=grant, resource=profile.resource)
