"""Back to nothing: one rejected token, one session, or a whole grant with all its sessions.

What is erased here goes first, then it is revoked there, and what stays is reported. A grant is revoked where it was
issued: it remembers its server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress

import msgspec

from credential_helper import places
from credential_helper.broker import freshness
from credential_helper.broker.errand import Means
from credential_helper.broker.whereabouts import before, place_now, take_over_format_1
from credential_helper.errors import CredentialHelperError, LockTimeout, StoreError
from credential_helper.model import Identity, Profile, Secret, SessionKind, Token
from credential_helper.oauth.endpoints import revocation
from credential_helper.oauth.provider import Provider
from credential_helper.session import Grant, Place, Session, place_of, same_person, with_grant
from credential_helper.stores import format_1, lock
from credential_helper.stores.grant_files import GrantFile, joined
from credential_helper.stores.sessions import Sessions

LOGOUT_DEADLINE = 10.0  # seconds

ProfileOf = Callable[[Grant], Profile]
MeansFor = Callable[[Profile | None], Means]


def _alone(name: str, means: Means, meanwhile: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Hold a lock; a person waits for it, so not for as long as a tool would."""
    return lock.alone(
        means.sessions.state,
        name,
        "the session",
        clock=means.clock,
        deadline=LOGOUT_DEADLINE,
        hint="try again",
        meanwhile=meanwhile,
    )


# --- one token, one session -------------------------------------------------------------------------------------------


def drop(profile: Profile, rejected: Secret | None, means: Means) -> bool:
    """Drop the tokens of a profile's session but no refresh token; say whether any was dropped.

    Drops the token only if it is still the one that was ``rejected`` (another process may have replaced it) and at
    least a minute old. None: a person wants them dropped, however young. Raises StoreError and LockTimeout.
    """
    sessions = means.sessions
    main = place_of(profile, means.proof(profile))
    if profile in means.unbound:  # then nothing is kept
        return False
    place = place_now(sessions, profile, main)
    if sessions.stamp(place.session) == places.ABSENT and before(sessions, profile)[0] is None:
        return False
    with _alone(sessions.grants.lock_name(place.grant), means):
        sessions.grants.take_up(place.grant)
        take_over_format_1(means, profile, place, main)
        stored = sessions.read(place)
        if stored is None or stored.session.unverified:
            return False
        session, now = stored.session, means.clock.now()

        def goes(token: Token | None) -> bool:
            if token is None or rejected is None:
                return token is not None
            return token.value == rejected and not freshness.just_made(session, token, now)

        changes: dict[str, object] = {kind: None for kind in ("access", "id") if goes(getattr(session, kind))}
        if changes:
            changes |= {"forced_at": now} if rejected is not None else {}
            sessions.save(place, msgspec.structs.replace(session, **changes))
            if session.access is not None and "access" in changes and profile.shared_cache is not None:
                from credential_helper.broker import fleet_cache  # few machines have one

                fleet_cache.reject(profile, means, session.access)
        return bool(changes)


def forget_session(place: Place, means: Means) -> bool:
    """Erase one session of a grant that serves others, too; say whether there was one. Raises as ``drop`` does."""
    if means.sessions.stamp(place.session) == places.ABSENT:
        return False
    with _alone(means.sessions.grants.lock_name(place.grant), means):
        means.sessions.erase_session(place.session)
    return True


def forget_other_people(main: str, identity: Identity | None, means: Means) -> None:
    """Erase the grants of single sessions that another person made before: who signs in anew is meant from now on."""
    sessions = means.sessions
    for identifier in sessions.grants.ids("json"):
        file = sessions.grants.look(identifier)
        grant = file.grant if file is not None else None
        if grant is None or grant.main != main or same_person(grant.identity, identity):
            continue
        try:
            with _alone(sessions.grants.lock_name(identifier), means):
                sessions.erase(identifier)
        except (StoreError, LockTimeout) as error:
            means.note(f"an earlier sign-in of somebody else stays: {error.sentence}")


def forget_own(main: Place, means: Means) -> None:
    """Erase the grant of a single session that is served by the grant of all from now on."""
    sessions = means.sessions
    try:
        if sessions.grants.look(main.session) is None:
            return
        with _alone(sessions.grants.lock_name(main.session), means):
            sessions.grants.erase(main.session)
    except (StoreError, LockTimeout) as error:
        means.note(f"an earlier sign-in stays: {error.sentence}")


# --- a whole grant ----------------------------------------------------------------------------------------------------


class SignedOut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a grant at logout."""

    profile: str
    kind: SessionKind
    host: str
    identity: Identity | None
    had_access: bool  # an access token that the provider's resource servers still take
    accepted_until: float | None  # until when they do; None: unknown
    revoked: bool | None  # None: there was nothing to revoke; False: the provider revokes nothing
    error: CredentialHelperError | None = None  # why it was not revoked


def forget(grant_id: str, profile_of: ProfileOf, means_for: MeansFor) -> SignedOut | None:
    """Erase a grant and its sessions here, then revoke it there; None: there was none.

    A sign-in that waits for a person is cancelled. LockTimeout: another process works on it for longer than 10 s;
    StoreError: the disk or a locked keyring keeps what should go.
    """
    means = means_for(None)
    sessions = means.sessions
    with _alone(sessions.grants.lock_name(grant_id), means, lambda: sessions.notes.clear_prompt(grant_id)):
        with suppress(StoreError):  # what cannot get its name can still be removed
            sessions.grants.take_up(grant_id)
        file = sessions.grants.read(grant_id)
        grant = None if file is None else file.latest
        if file is None or grant is None:
            sessions.erase(grant_id)
            return None
        profile = profile_of(grant)
        means = means_for(profile)
        tokens = _last_use(grant_id, file, means.sessions)
        ended = [stored.session for _, stored in sessions.of_grant(grant_id, grant)]
        if file.arrival is not None:
            ended.append(joined(file.arrival.grant, file.arrival.session))
        means.sessions.erase(grant_id)
    return _revoke(grant, ended, tokens, means.provider(profile), means.clock.now())


def _last_use(grant_id: str, file: GrantFile, sessions: Sessions) -> list[Secret]:
    """Fetch the refresh tokens, to revoke them; where the keyring is locked all else goes and they stay known."""
    try:
        found = [sessions.grants.refresh_token(grant_id, grant) for grant in file.grants]
    except StoreError as error:
        grant = file.latest
        assert grant is not None
        place = Place(grant_id, grant.session)
        for identifier, _ in list(sessions.of_grant(grant_id, grant)):
            sessions.erase_session(identifier)
        sessions.save(place, with_grant(Session(grant=grant), revoke_only=True))
        raise _kept_by_keyring(grant, error) from None
    return [token for token in found if token is not None]


def _kept_by_keyring(grant: Grant, error: StoreError) -> StoreError:
    trouble = StoreError(
        f"signed out here, but the refresh token cannot be read, and is not revoked: {error.sentence}",
        hint="log out again where the keyring can be used",
    )
    trouble.profile = grant.profile
    return trouble


def _revoke(
    grant: Grant, ended: Sequence[Session], tokens: Sequence[Secret], provider: Provider, now: float
) -> SignedOut:
    revoked: bool | None = None
    failure: CredentialHelperError | None = None
    for token in tokens:
        try:
            revoked = revocation.revoke(provider, token, "refresh_token")
        except CredentialHelperError as error:
            failure = error
    live = [one.access for one in ended if one.access is not None]
    live = [one for one in live if one.expires_at is None or one.expires_at > now]
    ends = [one.expires_at for one in live]
    return SignedOut(
        profile=grant.profile,
        kind=grant.kind,
        host=provider.host,
        identity=grant.identity,
        had_access=bool(live),
        accepted_until=max((one for one in ends if one is not None), default=None) if None not in ends else None,
        revoked=None if failure is not None else revoked,
        error=failure,
    )


# --- format 1 ---------------------------------------------------------------------------------------------------------


def forget_format_1(identifier: str, profile_of: ProfileOf, means_for: MeansFor) -> SignedOut | None:
    """Erase a session that an earlier version has kept, then revoke it; as ``forget``."""
    means = means_for(None)
    sessions = means.sessions
    with _alone(sessions.lock_of_format_1(identifier), means):
        with suppress(StoreError):
            sessions.take_up_format_1(identifier)
        session = sessions.of_format_1(identifier)
        if session is None:
            sessions.erase_format_1(identifier)
            return None
        profile = profile_of(session.grant)
        means = means_for(profile)
        try:
            token = means.sessions.grants.refresh_token(identifier, session.grant)
        except StoreError as error:  # all else goes, and the record stays known
            known = format_1.taken_over(session, profile, identifier, None)
            grant = msgspec.structs.replace(known.grant, revoke_only=True)
            sessions.grants.write(GrantFile(id=identifier, grant=grant))
            sessions.erase_format_1(identifier)
            raise _kept_by_keyring(session.grant, error) from None
        sessions.erase_format_1(identifier)
        means.sessions.grants.forget_record(session.grant.record)
    tokens = [] if token is None else [token]
    return _revoke(session.grant, [session], tokens, means.provider(profile), means.clock.now())
