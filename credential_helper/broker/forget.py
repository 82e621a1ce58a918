"""Back to nothing: one rejected token, or a whole session.

A session is erased here before it is revoked there, and what stays is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import msgspec

from credential_helper import places
from credential_helper.broker import freshness
from credential_helper.broker.errand import Means
from credential_helper.errors import CredentialHelperError, StoreError
from credential_helper.model import Identity, Profile, Secret, Session, SessionKind, Token
from credential_helper.oauth.endpoints import revocation
from credential_helper.oauth.provider import Provider
from credential_helper.stores import lock
from credential_helper.stores.sessions import Sessions

LOGOUT_DEADLINE = 10.0  # seconds


def same_account(session: Session, profile: Profile) -> bool:
    """Say whether a session is of a profile's issuer, client and account, whatever its audience and scope."""
    mine = (profile.issuer.rstrip("/"), profile.client_id, profile.account, profile.session_kind)
    return (session.issuer.rstrip("/"), session.client_id, session.account, session.kind) == mine


def same_person(one: Identity | None, other: Identity | None) -> bool:
    """Say whether two sign-ins may be of one person; where one of them is not known, they may."""
    return one is None or other is None or one.subject == other.subject


def _alone(session_id: str, means: Means, meanwhile: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Hold the session's lock; a person waits for it, so not for as long as a tool would."""
    return lock.alone(
        means.sessions.state,
        means.sessions.lock_name(session_id),
        "the session",
        clock=means.clock,
        deadline=LOGOUT_DEADLINE,
        hint="try again",
        meanwhile=meanwhile,
    )


def drop(session_id: str, rejected: Secret | None, means: Means) -> bool:
    """Drop the tokens of a session but the refresh token; say whether any was dropped.

    Drops the token only if it is still the one that was ``rejected`` (another process may have replaced it) and at
    least a minute old. None: a person wants them dropped, however young. Raises StoreError and LockTimeout.
    """
    if means.sessions.stamp(session_id) == places.ABSENT:
        return False
    sessions = means.sessions
    with _alone(session_id, means):
        sessions.take_up(session_id)
        stored = sessions.read(session_id)
        if stored is None:
            return False
        session, now = stored.session, means.clock.now()

        def goes(token: Token | None) -> bool:
            if token is None or rejected is None:
                return token is not None
            return token.value == rejected and not freshness.just_made(session, token, now)

        changes: dict[str, object] = {kind: None for kind in ("access", "id") if goes(getattr(session, kind))}
        if changes:
            changes |= {"forced_at": now} if rejected is not None else {}
            sessions.save(session_id, msgspec.structs.replace(session, **changes))
        return bool(changes)


class SignedOut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a session at logout."""

    profile: str
    audience: str | None
    kind: SessionKind
    host: str
    identity: Identity | None
    had_access: bool  # an access token that the provider's resource servers still take
    accepted_until: float | None  # until when they do; None: unknown
    revoked: bool | None  # None: there was nothing to revoke; False: the provider revokes nothing
    error: CredentialHelperError | None = None  # why it was not revoked


def forget(
    session_id: str, profile_of: Callable[[Session], Profile], means_for: Callable[[Profile | None], Means]
) -> SignedOut | None:
    """Erase a session here, then revoke it there; None: there was none.

    A sign-in that waits for a person is cancelled. LockTimeout: another process works on it for longer than 10 s;
    StoreError: the disk or a locked keyring keeps what should go.
    """
    means = means_for(None)
    sessions = means.sessions
    with _alone(session_id, means, lambda: sessions.notes.clear_prompt(session_id)):
        with suppress(StoreError):  # what cannot get its name can still be removed
            sessions.take_up(session_id)
        stored = sessions.read(session_id)
        if stored is None:
            sessions.erase(session_id)
            return None
        profile = profile_of(stored.session)
        means = means_for(profile)
        token = _last_use(session_id, stored.session, means.sessions)
        means.sessions.erase(session_id)
    return _revoke(stored.session, token, means.provider(profile), means.clock.now())


def _last_use(session_id: str, session: Session, sessions: Sessions) -> Secret | None:
    """Fetch the refresh token, to revoke it; where the keyring is locked the tokens go and its record stays known."""
    try:
        return sessions.refresh_token(session)
    except StoreError as error:
        wiped = msgspec.structs.replace(session, access=None, id=None, unverified=False, revoke_only=True)
        sessions.save(session_id, wiped)
        trouble = StoreError(
            f"signed out here, but the refresh token is still in the keyring, and not revoked: {error.sentence}",
            hint="log out again where the keyring can be used",
        )
        trouble.profile = session.profile
        raise trouble from None


def _revoke(session: Session, token: Secret | None, provider: Provider, now: float) -> SignedOut:
    revoked: bool | None = None
    failure: CredentialHelperError | None = None
    if token is not None:
        try:
            revoked = revocation.revoke(provider, token, "refresh_token")
        except CredentialHelperError as error:
            failure = error
    access = session.access
    return SignedOut(
        profile=session.profile,
        audience=session.audience,
        kind=session.kind,
        host=provider.host,
        identity=session.identity,
        had_access=access is not None and (access.expires_at is None or access.expires_at > now),
        accepted_until=access.expires_at if access is not None else None,
        revoked=revoked,
        error=failure,
    )
