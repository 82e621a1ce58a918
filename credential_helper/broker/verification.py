"""Saved before verified, answered only when verified.

What a sign-in brings is saved at once with the mark ``unverified``, beside the grant that was there before; here its ID
token is checked and the mark removed. A check that cannot be made now leaves the mark, and so does one whose key is not
published yet; any other that fails wipes the tokens, and what was there before stands again.

An ID token that proves nothing is no reason to refuse an access token that came with it, where nobody has to know who
signed in: then that is not known, and the token keeps a mark of its own, as one that a refresh brought does.

A sign-in must name the profile's account. What a refresh brings must name who signed in, by iss and sub; it need not
say more of them (OIDC Core §12.2), and what it does not say stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Errand, Means
from credential_helper.broker.forget import forget_other_people
from credential_helper.broker.give_back import give_back
from credential_helper.errors import (
    AuthorizationError,
    ClockError,
    StoreError,
    TransportError,
    Unproven,
    UnpublishedKey,
)
from credential_helper.flows import FLOWS
from credential_helper.model import Identity, Profile, Token
from credential_helper.oauth import id_token
from credential_helper.oauth.claims import claims_of
from credential_helper.session import Place, Session, with_grant
from credential_helper.stores.sessions import Stored
from credential_helper.text import foreign

_ACCOUNT_CLAIMS = ("preferred_username", "email", "upn", "unique_name")


def finish(errand: Errand, session: CachedSession, means: Means) -> None:
    """Verify what was saved unverified, before anything stands on it.

    A refresh would bring an ID token without the nonce, so a sign-in is judged by its own token whatever its age, as of
    the time when it came; one whose key is not published as long as it lives is given up. An ID token that a refresh
    brought is judged only where it can be answered. Raises AuthorizationError where the check fails, TransportError
    where it cannot be made now.
    """
    if session.stored is None or errand.mode == "sign-in":
        return
    # What was not verified may be a sign-in for another session; then its grant is none of ours yet.
    place, kept = session.arrived() or (session.place, session.stored.session)
    if kept.id is None:
        if kept.unverified:
            _unmark(session, kept, place)
        return
    token, now = kept.id, means.clock.now()
    expired = token.expires_at is None or token.expires_at <= now
    if not kept.unverified and (expired or errand.mode == "renew"):
        return
    try:
        settle(errand, session, means, kept, place=place, at=token.received_at if expired else None)
    except UnpublishedKey as error:
        if not expired:
            raise
        means.note(f"never verified, and no use any more: {error.sentence}")
        wipe(errand, session, means, kept, place)
    except AuthorizationError as error:
        error.hint = error.hint or errand.login
        raise
    except TransportError as error:
        # A token for another audience than the sign-in's would take the place of what has to be checked.
        if place != session.place or not is_optional(errand) or session.still_valid():
            raise
        means.note(f"who signed in is checked later: {error.sentence}")  # keys that nobody needs stop no renewal


def settle(
    errand: Errand,
    session: CachedSession,
    means: Means,
    kept: Session,
    *,
    place: Place | None = None,
    at: float | None = None,
) -> Stored:
    """Check the ID token if its answer depends on it, and save the session without the mark.

    ``place`` is where it stands; None: where the errand's does. ``at``: the time to judge it by, in seconds since the
    epoch; None: now. Raises as ``finish`` does.
    """
    if kept.id is None and kept.unverified:
        return _unmark(session, kept, place)
    if kept.id is None or not (kept.unverified or (errand.kind == "id" and kept.id.unverified)):
        return session.stored or Stored(session=kept, stamp="")
    provider = means.provider(errand.profile)
    try:
        identity = id_token.validate(
            provider, kept.id.value, nonce=kept.id.nonce, at=at, came=kept.id.received_at, new=kept.unverified
        )
        _require_same_person(errand, means, kept, identity)
    except ClockError:
        raise  # the mark stays: the check is repeated when the clock is right
    except Unproven as error:
        if is_optional(errand):
            return _unknown_person(errand, session, means, kept, place, error)
        if isinstance(error, UnpublishedKey):
            mend = error.hint or "its key may be published in a moment; if it is not"
            error.hint = f"{mend}, {errand.login}" if error.hint is None else f"{mend}, then {errand.login}"
            raise  # the mark stays: the check is repeated
        mend = error.hint or _BROKEN
        if _must_be_somebody(errand.profile):
            error.hint = f"{mend}; {_NAMELESS}"
            wipe(errand, session, means, kept, place)
        else:
            error.hint = f'{mend}, then {errand.login}; or set token = "access"'
            _unmark(session, kept, place)  # the ID token keeps its own mark; who wants the access token may have it
        raise
    except AuthorizationError:
        wipe(errand, session, means, kept, place)
        raise
    proven = msgspec.structs.replace(kept, unverified=False, id=msgspec.structs.replace(kept.id, unverified=False))
    stored = session.save(with_grant(proven, identity=_with_older_claims(kept.identity, identity)), place=place)
    if kept.unverified and session.place.grant == session.main.grant and session.disk:
        forget_other_people(session.main.grant, identity, means)
    return stored


_BROKEN = "have whoever runs the provider mend its ID tokens"
_NAMELESS = "without account, and without a claim as a user name, nobody needs to know who signed in"


def is_optional(errand: Errand) -> bool:
    """Say whether the answer can do without an ID token: another is wanted, and nobody has to know who signed in."""
    return errand.kind == "access" and not _must_be_somebody(errand.profile)


def _must_be_somebody(profile: Profile) -> bool:
    """Say whether the ID token must name somebody: the profile's account, or a user name for a tool."""
    templates = (entry.username for _, entries in profile.listed for entry in entries)
    return account_of(profile) is not None or any("{" in name for name in templates)


def _unmark(session: CachedSession, kept: Session, place: Place | None) -> Stored:
    return session.save(msgspec.structs.replace(kept, unverified=False), place=place)


def _unknown_person(
    errand: Errand, session: CachedSession, means: Means, kept: Session, place: Place | None, error: Unproven
) -> Stored:
    """Go on without knowing who signed in; of a machine nobody asks."""
    sentence = f"{error.sentence}: who signed in is not known"
    if errand.profile.session_kind == "person":
        means.person.warn(sentence)
    else:
        means.note(sentence)
    return _unmark(session, kept, place)


def wipe(errand: Errand, session: CachedSession, means: Means, kept: Session, place: Place | None = None) -> None:
    """Forget the tokens of an answer that failed its check.

    What a sign-in brought is revoked where another grant was there before, which stands again; else the refresh token
    stays for logout to revoke.
    """
    if kept.unverified and session.restorable:
        try:
            refresh_token = means.sessions.grants.refresh_token(session.place.grant, kept.grant)
        except StoreError as error:
            refresh_token = None
            means.note(f"the refused sign-in was not revoked: {error.sentence}")
        session.restore()
        give_back(means.provider(errand.profile), refresh_token, means.note)
        return
    wiped = msgspec.structs.replace(kept, access=None, id=None, unverified=False)
    session.save(with_grant(wiped, identity=None, revoke_only=True), place=place)


# --- who it is ---


def unverified(token: Token) -> dict[str, object]:
    """Return what a kept token says of itself: for a first look, never for a decision to trust."""
    return claims_of(token.value.reveal()) or {}


def account_of(profile: Profile) -> str | None:
    """Return whom the ID token must name; a password's user name was sent, and need not be a claim."""
    flow = FLOWS.get(profile.flow)
    return None if flow is not None and flow.sends_account else profile.account


def is_account(account: str, claims: Mapping[str, object], subject: str) -> bool:
    """Say whether claims name an account: by the subject exactly, by a name without regard to case."""
    names = {value.casefold() for claim in _ACCOUNT_CLAIMS if isinstance(value := claims.get(claim), str)}
    return account == subject or account.casefold() in names


def is_another(identity: Identity | None, claims: Mapping[str, object]) -> bool:
    """Say whether claims name another person: a subject is one of its issuer only (OIDC Core §12.2)."""
    if identity is None:
        return False
    if claims.get("sub", identity.subject) != identity.subject:
        return True
    before = dict(identity.claims).get("iss")
    if before is None or "iss" not in claims:
        return False
    now = claims["iss"]  # its final slash is the metadata's, and may come and go with them
    return not isinstance(now, str) or before.removesuffix("/") != now.removesuffix("/")


def _require_same_person(errand: Errand, means: Means, kept: Session, identity: Identity) -> None:
    if kept.identity is not None:
        if is_another(kept.identity, dict(identity.claims) | {"sub": identity.subject}):
            raise another_subject(errand, means)
        return
    account = account_of(errand.profile)
    if account is not None and not is_account(account, dict(identity.claims), identity.subject):
        raise wrong_account(errand.profile, identity.shown)


def _with_older_claims(older: Identity | None, identity: Identity) -> Identity:
    """Return who it is with what the sign-in said of them, where a refresh says less."""
    if older is None:
        return identity
    return id_token.identity(dict(older.claims) | dict(identity.claims), identity.subject)


def wrong_account(profile: Profile, who: str) -> AuthorizationError:
    """Return the refusal of a sign-in by another account than the profile's."""
    return AuthorizationError(
        f"signed in as {foreign(who)}, but profile {profile.name} is for {profile.account}",
        error="wrong_account",
        hint="sign in with that account, or change account in the profile",
    )


def another_subject(errand: Errand, means: Means) -> AuthorizationError:
    """Return the refusal of a refresh that brought another person's tokens."""
    host = means.provider(errand.profile).host
    return AuthorizationError(
        f"{host} renewed the session for another person than the one who signed in", hint=errand.login
    )
