"""What is kept of a sign-in: a grant, and a session for each audience that it serves; and what both are called.

- A *grant* is a sign-in: who signed in where, and the refresh token that came of it. Its lock, its prompt and its
  refusals go with it, because a refresh token that rotates is spent by one process at a time, whatever for.
- A *session* is an access token for one audience, resources and scope, and the ID token that came with it. It has no
  refresh token of its own.
- A provider that gives one token per sign-in has a grant of its own for each session; it bears the session's id. So has
  a machine, which has nothing to share.

Both ids are SHA-256 (hex) over canonical JSON. No secret, no path of a profile of the file, and nothing that a tool
sends is in them, the order of scopes, resources and parameters is not either; a pinned vector in tests keeps them
stable from version to version.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from credential_helper.model import Endpoints, Identity, Profile, Secret, SessionKind, Token, sha256


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in. It remembers its server: what it brought is revoked where it was issued, and nowhere else."""

    sign_in: str  # 32 hex digits, drawn for each sign-in: a session of another one is none of this grant's
    session: str  # the id of the session that it was made for
    profile: str  # the name it was made under, for messages
    ad_hoc: bool = False
    issuer: str
    client_id: str
    kind: SessionKind
    account: str | None = None
    realm: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    endpoints: Endpoints = Endpoints()
    provider: str | None = None
    ca_file: str | None = None
    main: str | None = None  # of one that serves a single session: the id of the grant that does not serve it
    audience: str | None = None  # of the session that it was made for
    resource: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()  # all that the sign-in asked for, where it asked for several (RFC 8707 §2.1)
    identity: Identity | None = None
    refresh_token: Secret | None = None  # one that stands in the file in clear
    sealed: str | None = None  # one that stands there sealed (stores/sealing.py)
    record: tuple[str, str] | None = None  # (name, user name) of the keyring's record that is one: of format 1
    revoke_only: bool = False  # a check failed: the refresh token is kept for logout to revoke, never used
    refused: tuple[float, str] | None = None  # (when, what it said): the provider would not renew it; none has since
    underivable: tuple[tuple[str, float], ...] = ()  # (session, until): the provider gives no token for it

    @property
    def has_refresh_token(self) -> bool:
        """Say whether a refresh token came, wherever it stands and whatever it is still good for."""
        return not (self.refresh_token is None and self.sealed is None and self.record is None)

    @property
    def in_keyring(self) -> bool:
        """Say whether nobody can use the refresh token without the keyring."""
        return self.sealed is not None or self.record is not None

    @property
    def refreshable(self) -> bool:
        """Say whether there is a refresh token that may be used."""
        return self.has_refresh_token and not self.revoke_only


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One access token and what came with it, and the grant that it was made from."""

    grant: Grant
    audience: str | None = None
    resource: tuple[str, ...] = ()
    access: Token | None = None
    id: Token | None = None
    scope: tuple[str, ...] = ()
    unverified: bool = False  # the sign-in's ID token has still to be checked: nothing here is fresh
    id_not_renewed: bool = False  # this provider's refresh brings no ID token
    sends_scope: bool = False  # it brings one where the scope is sent along
    forced_at: float | None = None  # when a refused token last made us renew

    @property
    def refreshable(self) -> bool:
        """Say whether it can be renewed without a person."""
        return self.grant.refreshable

    @property
    def identity(self) -> Identity | None:
        """Return who signed in, where that is known."""
        return self.grant.identity


def same_person(one: Identity | None, other: Identity | None) -> bool:
    """Say whether two sign-ins may be of one person; where one of them is not known, they may."""
    return one is None or other is None or one.subject == other.subject


def with_grant(session: Session, **changes: Any) -> Session:
    """Return a session whose grant has changed."""
    return msgspec.structs.replace(session, grant=msgspec.structs.replace(session.grant, **changes))


def grant_made(
    profile: Profile, *, sign_in: str, session: str, main: str | None = None, resources: tuple[str, ...] = ()
) -> Grant:
    """Return the grant of a profile's sign-in, without its refresh token: it knows its server, and what it is for."""
    return Grant(
        sign_in=sign_in,
        session=session,
        profile=profile.name,
        ad_hoc=profile.ad_hoc,
        issuer=profile.issuer,
        client_id=profile.client_id,
        kind=profile.session_kind,
        account=profile.account,
        realm=profile.realm,
        parameters=profile.parameters,
        endpoints=profile.endpoints,
        provider=profile.provider,
        ca_file=profile.ca_file,
        audience=profile.audience,
        resource=profile.resource,
        main=main,
        resources=resources,
    )


def is_of(grant: Grant, profile: Profile) -> bool:
    """Say whether a grant is a sign-in to where a profile signs in, by its client and account; whatever for."""
    mine = (profile.issuer.rstrip("/"), profile.client_id, profile.session_kind, profile.account, profile.realm)
    more = (sorted(profile.parameters), profile.endpoints, profile.ad_hoc)
    ca_file = profile.ca_file if profile.ad_hoc else grant.ca_file
    return ca_file == grant.ca_file and (*mine, *more) == (
        grant.issuer.rstrip("/"),
        grant.client_id,
        grant.kind,
        grant.account,
        grant.realm,
        sorted(grant.parameters),
        grant.endpoints,
        grant.ad_hoc,
    )


class Place(NamedTuple):
    """Where a session is kept, and with which grant: two ids."""

    grant: str
    session: str

    @property
    def own(self) -> Place:
        """Return the place of the session with a grant of its own."""
        return Place(self.session, self.session)

    @property
    def stands_alone(self) -> bool:
        """Say whether the grant serves no other session."""
        return self == self.own


def place_of(profile: Profile, proof: str | None = None) -> Place:
    """Return the place of a profile's session, with the grant that serves all its audiences; a machine's has its own.

    ``proof`` is a keyed digest of what a machine proves itself with: who proves something else is somebody else.
    """
    grant = grant_id(profile, proof)
    session = session_id(profile, grant)
    return Place(session if profile.session_kind == "client" else grant, session)


def grant_id(profile: Profile, proof: str | None = None) -> str:
    """Name the grant of a profile: who is asked, by which client, as whom; whatever for.

    An ad-hoc profile shares none with a profile of the file, and says itself whom it asks and by which CA: these are
    part of its name.
    """
    identity: dict[str, Any] = {
        "issuer": profile.issuer.rstrip("/"),
        "client_id": profile.client_id,
        "kind": profile.session_kind,
        "account": profile.account,
        "realm": profile.realm,
        "parameters": sorted(profile.parameters),
        "endpoints": _given(profile.endpoints),
        "ad_hoc": profile.ad_hoc,
    }
    if profile.ad_hoc:
        identity["ca_file"] = profile.ca_file
    more = {"subject": profile.subject, "proof": proof}
    identity |= {name: value for name, value in more.items() if value is not None}
    return _digest(identity)


def session_id(profile: Profile, grant: str) -> str:
    """Name the session of a profile: a grant, and what its token is for."""
    return _digest(
        {
            "grant": grant,
            "audience": profile.audience,
            "resource": sorted(set(profile.resource)),
            "scope": sorted(set(profile.scopes)),
        }
    )


def _given(endpoints: Endpoints) -> dict[str, str]:
    return {name: url for name, url in msgspec.structs.asdict(endpoints).items() if url is not None}


def _digest(identity: dict[str, Any]) -> str:
    import json

    canonical = json.dumps(identity, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(canonical.encode(errors="surrogateescape"))  # a path need not be UTF-8
