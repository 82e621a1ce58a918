"""Renewing without a person: the refresh token is spent, and what it brings is saved before anything else happens."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from credential_helper.broker import new_session, no_id_token, verification
from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.client_secrets import bring_secrets
from credential_helper.broker.errand import Attempt, Errand, Means, Obtained
from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    StoreError,
    TokenResponseError,
)
from credential_helper.model import Secret, Tokens
from credential_helper.oauth import id_token
from credential_helper.oauth.grants import refresh_token
from credential_helper.session import Place, Session, with_grant
from credential_helper.stores.sessions import Stored

_PAUSE = 30.0  # seconds between two tries with a refresh token that was refused

Ask = Callable[[Secret], Tokens]
Made = Callable[[Session, Tokens], Session]


def renew(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained | None:
    """Spend the refresh token; None: there is none, or it is refused, and only a sign-in can help.

    Raises StoreError where it cannot be spent now and a token is still valid, AuthorizationError, TransportError,
    RateLimited, TokenResponseError and ConfigurationError.
    """
    old = session.stored.session if session.stored is not None else None
    if old is None or not may_spend(errand, means, old):
        return None
    try:
        stored = _refreshed(errand, session, means, attempt, scope=old.scope if old.sends_scope else ())
    except CredentialHelperError as error:
        if not is_refusal(error):
            raise
        attempt.refusal = error
        keep_refusal(errand, session, means, error)
        return None
    if stored is None:
        return None
    stored = verification.settle(errand, session, means, stored.session)
    if no_id_token.is_lacking(errand, means, stored.session):
        asked = "openid" in old.scope
        found = _with_scope(errand, session, means, old.scope) if asked and not old.sends_scope else None
        stored = session.stored or stored
        found = found or no_id_token.stand_in(errand, session, means, stored)
        if found is None:
            attempt.refusal = no_id_token.refusal(errand, means, stored, asked_for=asked)
            return None
        stored = found
    return session.answer(stored.session, stamp=stored.stamp or None)


def may_spend(errand: Errand, means: Means, old: Session) -> bool:
    """Say whether there is a refresh token to try: it was not refused a moment ago, or somebody insists."""
    if not old.refreshable or errand.mode == "sign-in":
        return False
    refused = old.grant.refused
    since = means.clock.now() - refused[0] if refused is not None else _PAUSE
    return not (errand.mode in ("any", "ahead") and 0 <= since < _PAUSE)


def _refreshed(
    errand: Errand, session: CachedSession, means: Means, attempt: Attempt, *, scope: tuple[str, ...]
) -> Stored | None:
    """Renew the session itself. Raises as ``spend`` does."""
    provider = means.provider(errand.profile)

    def ask(token: Secret) -> Tokens:
        if errand.kind == "id":
            provider.transport.meanwhile = id_token.prepare
        return refresh_token.refresh(provider, token, scope=scope, resource=errand.profile.resource)

    def made(old: Session, tokens: Tokens) -> Session:
        return _renewed(errand, means, old, tokens, with_scope=bool(scope))

    spent = spend(errand, session, means, attempt, ask=ask, made=made)
    if spent is None:
        return None
    stored, tokens = spent
    new_session.require_access_token(errand, tokens)
    if stored.session.unverified and tokens.id_token is None and not verification.is_optional(errand):
        return None  # who signed in was never verified, and there is nothing left to verify
    return stored


def _with_scope(errand: Errand, session: CachedSession, means: Means, scope: tuple[str, ...]) -> Stored | None:
    """Renew once more, and ask for what was granted by name: some providers send an ID token then; None: not this one.

    Whatever is refused here was only a question.
    """
    means.note('no ID token came: asking for the scope "openid"')
    try:
        stored = _refreshed(errand, session, means, Attempt(), scope=scope)
    except CredentialHelperError as error:
        if not is_refusal(error):
            raise
        means.note(error.sentence)
        return None
    if stored is None or not stored.session.sends_scope:
        return None
    return verification.settle(errand, session, means, stored.session)


def _not_now(session: CachedSession, old: Session, error: StoreError, attempt: Attempt) -> None:
    """Raise where a token is still valid, for that to be answered; else only a sign-in can help."""
    if session.still_valid(old):
        raise error
    attempt.refusal = error


def spend(
    errand: Errand,
    session: CachedSession,
    means: Means,
    attempt: Attempt,
    *,
    ask: Ask,
    made: Made,
    place: Place | None = None,
) -> tuple[Stored, Tokens] | None:
    """Send the refresh token and save what comes, with signals held; None: it cannot be sent, and only a sign-in helps.

    ``ask`` sends it, ``made`` returns the session to save at ``place`` (None: the errand's). Raises as ``renew`` does;
    where the provider refuses, nothing has changed.
    """
    assert session.stored is not None
    old, grants = session.stored.session, means.sessions.grants
    provider = means.provider(errand.profile)
    try:
        token = grants.refresh_token(session.place.grant, old.grant)
        if token is not None:
            _prepare(errand, session, means, old)
    except StoreError as error:  # a locked keyring
        _not_now(session, old, error, attempt)
        attempt.spent_nothing = True
        return None
    bring_secrets(errand.profile, provider)
    try:
        reservation = grants.reserve(session.place.grant)
    except StoreError as error:  # a full disk: what cannot be saved is not spent
        session.lose_disk(error)
        _not_now(session, old, error, attempt)
        attempt.spent_nothing = True
        return None
    if token is None:
        attempt.spent_nothing = True
        reservation.discard()
        means.note("the keyring holds no refresh token any more")
        return None
    with reservation, means.interrupts.held():
        try:
            tokens = ask(token)
        except CredentialHelperError as error:
            if error.refresh_token is not None:  # the old one is spent, whatever is wrong with the rest
                session.save(old, error.refresh_token, reservation)
            raise
        stored = session.save(made(old, tokens), tokens.refresh_token, reservation, place=place)
    if verification.is_another(old.identity, new_session.claims_of(tokens)):
        verification.wipe(errand, session, means, stored.session, place)
        raise verification.another_subject(errand, means)
    return stored, tokens


def _prepare(errand: Errand, session: CachedSession, means: Means, old: Session) -> None:
    """Have a key before a refresh token is spent that was not sealed. StoreError: the next one could not be kept."""
    store, record = errand.profile.store, old.grant.record
    if record is None and (old.grant.sealed is not None or store != "keyring"):
        return
    label = record[1] if record is not None else old.grant.profile
    why = means.sessions.grants.prepare(session.place.grant, store, label)
    if why is not None and store == "keyring":
        raise StoreError(f"the next refresh token could not be kept: {why}", hint="unlock the keyring")


def is_refusal(error: CredentialHelperError) -> bool:
    """Say whether the provider would not renew this session, so that a sign-in may help.

    Providers say so in many ways: any 4xx, and an OAuth error on a 200 (GitHub). Those that are not about the refresh
    token are left out: where nothing was looked at, or the client could not sign in either. An answer that brings a
    refresh token is none.
    """
    status = error.status
    if status is None or error.refresh_token is not None:
        return False
    if isinstance(error, AuthorizationError):
        return status < 500 and error.error not in _OF_THE_CLIENT
    return isinstance(error, TokenResponseError) and 400 <= status < 500 and status not in _OF_THE_WAY


_OF_THE_CLIENT = ("invalid_client", "invalid_dpop_proof", "use_dpop_nonce", "certificate_required")
_OF_THE_WAY = (404, 405, 407, 408, 413, 421, 425, 426, 429, 431, 451)


def keep_refusal(errand: Errand, session: CachedSession, means: Means, error: CredentialHelperError) -> None:
    """Note that the renewal was refused, and drop a refresh token that is no good any more.

    Another one stays until a sign-in brings the next: what was refused may be mended at the provider.
    """
    assert session.stored is not None
    changes: dict[str, object] = {"refused": (means.clock.now(), error.sentence)}
    if isinstance(error, AuthorizationError) and error.error == "invalid_grant":
        # The lock is ours and the file was read under it, so this is the token that was sent.
        changes |= {"refresh_token": None, "sealed": None, "record": None}
    session.save(with_grant(session.stored.session, **changes))
    means.note(error.sentence)
    if not (isinstance(error, AuthorizationError) and error.error == "unauthorized_client" and error.hint):
        error.hint = errand.login


def _renewed(errand: Errand, means: Means, old: Session, tokens: Tokens, *, with_scope: bool) -> Session:
    renewed = msgspec.structs.replace(
        old,
        access=new_session.access_token_of(tokens, renewable=True),
        id=new_session.id_token_of(tokens, renewed=old.id) or old.id,
        id_not_renewed=tokens.id_token is None,
        sends_scope=with_scope and tokens.id_token is not None,
        scope=tokens.scope or old.scope,
        forced_at=means.clock.now() if errand.request.refused is not None else old.forced_at,
    )
    return with_grant(renewed, refused=None)
