"""A token for another audience, from a grant that was made for one: by refresh, or by token exchange.

How a provider gives one says its row in providers.py (``other_audiences``), or the profile (``multi_resource``). What
comes is answered only if it is for what was asked: some providers ignore what they cannot serve and send a token for
the old audience (Auth0 outside a client's policy). The refresh token that came with it has rotated, so it is saved
first in any case.

Where a provider gives none, that is remembered with the grant, and a sign-in of its own follows, whose grant serves
this one session. RFC 6749 §6, RFC 8707 §2.2, RFC 8693.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from credential_helper import providers
from credential_helper.broker import new_session, renewal, verification
from credential_helper.broker.cached_session import CachedSession, NeedsItsOwn
from credential_helper.broker.errand import Attempt, Errand, Means, Obtained
from credential_helper.broker.reach import was_asked_for
from credential_helper.errors import AuthorizationError, CredentialHelperError
from credential_helper.model import Secret, Tokens
from credential_helper.oauth import client_authentication
from credential_helper.oauth.claims import audiences, claims_of
from credential_helper.oauth.grants import refresh_token
from credential_helper.session import Grant, Place, Session, with_grant
from credential_helper.text import foreign

REMEMBERED = 86400.0  # seconds that a provider which gave no token for a session is not asked for it again
_MOST = 50  # sessions that are remembered so


def derive(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained | None:
    """Have the grant serve this session; None: it is dead, and only a new sign-in helps.

    Raises NeedsItsOwn where the provider gives no token for this session, and as ``renewal.renew`` does.
    """
    stored, now = session.stored, means.clock.now()
    if stored is None or not renewal.may_spend(errand, means, stored.session):
        return None
    grant = stored.session.grant
    if errand.mode in ("any", "ahead") and any(
        one == session.place.session and now < until for one, until in grant.underivable
    ):
        raise needs_its_own(errand, means)
    ways = _ways(errand, means) if was_asked_for(errand.profile, grant) else []
    if not ways:
        raise needs_its_own(errand, means)
    for way in ways:
        found = way(errand, session, means, attempt)
        if found is not None:
            return found
        if attempt.refusal is not None or attempt.spent_nothing:
            return None
    remembered = [*grant.underivable[-_MOST:], (session.place.session, now + REMEMBERED)]
    if session.stored is not None:
        session.save(with_grant(session.stored.session, underivable=tuple(remembered)))
    raise needs_its_own(errand, means)


def needs_its_own(errand: Errand, means: Means) -> NeedsItsOwn:
    """Say why a second sign-in is asked for."""
    target = errand.request.target or errand.profile.audience or " ".join(errand.profile.resource)
    what = f"this one is for {foreign(target)}" if target else "this one is for another scope"
    return NeedsItsOwn(f"{means.provider(errand.profile).host} gives one token per sign-in; {what}")


_Way = Callable[[Errand, CachedSession, Means, Attempt], Obtained | None]


def _ways(errand: Errand, means: Means) -> list[_Way]:
    """Return how this provider gives tokens for other audiences, in the order in which it is to be tried."""
    profile, provider = errand.profile, means.provider(errand.profile)
    if profile.multi_resource != "auto":
        chosen: dict[str, list[_Way]] = {"refresh": [_by_refresh], "exchange": [_by_exchange]}
        return chosen.get(profile.multi_resource, [])
    can_exchange = client_authentication.methods(provider) != ("none",)
    known = provider.known.other_audiences
    if known == "exchange":
        return [_by_exchange] if can_exchange else []
    if known != "refresh":
        return []
    offered = providers.TOKEN_EXCHANGE in (provider.metadata().grant_types_supported or ())
    return [_by_refresh, _by_exchange] if can_exchange and offered else [_by_refresh]


# --- by refresh -------------------------------------------------------------------------------------------------------


def _by_refresh(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained | None:
    """Refresh for this audience, resource or scope; None: that gives no such token."""
    provider = means.provider(errand.profile)
    problems: list[str] = []

    def ask(token: Secret) -> Tokens:
        return refresh_token.refresh_for(provider, token)

    def made(old: Session, tokens: Tokens) -> Session:
        problem = _problem(errand, means, old.grant, tokens)
        problems.extend([problem] if problem else [])
        return with_grant(old, refused=None) if problem else _derived(errand, means, old, tokens)

    try:
        spent = renewal.spend(errand, session, means, attempt, ask=ask, made=made)
    except CredentialHelperError as error:
        if not renewal.is_refusal(error):
            raise
        means.note(error.sentence)
        if isinstance(error, AuthorizationError) and error.error == "invalid_grant":
            _require_life(errand, session, means, attempt)
        return None
    if spent is None or problems:
        means.note("; ".join(problems))
        return None
    return _answer(errand, session, means, spent[0].session)


def _require_life(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> None:
    """Find out whether a refusal was about this audience or about the refresh token: then that one is dead.

    Some providers say ``invalid_grant`` of both (Entra ID of a consent that is missing).
    """
    try:
        _renew_the_grants_own(errand, session, means, attempt)
    except CredentialHelperError as error:
        if not renewal.is_refusal(error):
            raise
        attempt.refusal = error
        renewal.keep_refusal(errand, session, means, error)


def _renew_the_grants_own(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Session | None:
    """Refresh for the session that the grant was made for, and return it."""
    assert session.stored is not None
    grant, provider = session.stored.session.grant, means.provider(errand.profile)
    place = Place(session.place.grant, grant.session)
    before = means.sessions.read(place)

    def ask(token: Secret) -> Tokens:
        return refresh_token.refresh(provider, token, resource=grant.resource)

    def made(old: Session, tokens: Tokens) -> Session:
        own = before.session if before is not None else old
        renewed = msgspec.structs.replace(
            own,
            audience=grant.audience,
            resource=grant.resource,
            access=new_session.access_token_of(tokens, renewable=True),
            id=new_session.id_token_of(tokens, renewed=own.id) or own.id,
            scope=tokens.scope or own.scope,
        )
        return with_grant(renewed, refused=None)

    spent = renewal.spend(errand, session, means, attempt, ask=ask, made=made, place=place)
    return None if spent is None else spent[0].session


# --- by token exchange ------------------------------------------------------------------------------------------------


def _by_exchange(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained | None:
    """Exchange the access token of the grant's own session (RFC 8693 §2.1); None: that gives no such token."""
    from credential_helper.oauth.grants import token_exchange  # few providers need it

    assert session.stored is not None
    provider, profile, now = means.provider(errand.profile), errand.profile, means.clock.now()
    place = Place(session.place.grant, session.stored.session.grant.session)
    own, before = means.sessions.read(place), session.stored
    subject = own.session.access if own is not None else None
    if subject is None or (subject.expires_at is not None and subject.expires_at <= now + _LEFT):
        renewed = _renew_the_grants_own(errand, session, means, attempt)
        subject = renewed.access if renewed is not None else None
    if subject is None:
        return None
    try:
        tokens = token_exchange.exchange(
            provider,
            subject.value,
            token_exchange.ACCESS_TOKEN,
            audience=profile.audience,
            resource=profile.resource,
            scope=profile.scope or (),
        )
    except CredentialHelperError as error:
        if not renewal.is_refusal(error):
            raise
        means.note(error.sentence)
        return None
    old = (session.stored or before).session  # the disk may be lost by now
    problem = _problem(errand, means, old.grant, tokens)
    if problem:
        means.note(problem)
        return None
    return _answer(errand, session, means, session.save(_derived(errand, means, old, tokens)).session)


_LEFT = 10.0  # seconds that a token which is exchanged has to live


# --- what came --------------------------------------------------------------------------------------------------------


def _answer(errand: Errand, session: CachedSession, means: Means, derived: Session) -> Obtained:
    stored = verification.settle(errand, session, means, derived)
    return session.answer(stored.session, stamp=stored.stamp or None)


def _derived(errand: Errand, means: Means, old: Session, tokens: Tokens) -> Session:
    """Return the session that an answer makes. It has no refresh token: a new one is the grant's."""
    profile = errand.profile
    derived = msgspec.structs.replace(
        old,
        audience=profile.audience,
        resource=profile.resource,
        access=None
        if _mistaken(errand, means, old.grant, tokens)
        else new_session.access_token_of(tokens, renewable=True),
        id=new_session.id_token_of(tokens, renewed=old.id),
        scope=tokens.scope or profile.scope or (),
        id_not_renewed=tokens.id_token is None,
        forced_at=means.clock.now() if errand.request.refused is not None else old.forced_at,
    )
    return with_grant(
        derived,
        refused=None,
        underivable=tuple(one for one in old.grant.underivable if one[1] > means.clock.now()),
    )


def _problem(errand: Errand, means: Means, grant: Grant, tokens: Tokens) -> str | None:
    """Say why an answer is none for this session; None: it is one."""
    host = means.provider(errand.profile).host
    if errand.kind == "id":
        return None if tokens.id_token is not None else f"{host} sent no ID token"
    return _mistaken(errand, means, grant, tokens)


def _mistaken(errand: Errand, means: Means, grant: Grant, tokens: Tokens) -> str | None:
    """Say why an access token is for something else than what was asked; None: it is for that.

    What it says of itself is not verified: it came from the token endpoint.
    """
    profile, provider = errand.profile, means.provider(errand.profile)
    if tokens.access_token is None:
        return f"{provider.host} sent no access token"
    granted = tokens.scope
    if profile.scope and granted is not None and not set(profile.scope) & set(granted):
        return f"{provider.host} granted none of the scopes {foreign(' '.join(profile.scope))}"
    wanted = {*profile.resource, *([profile.audience] if profile.audience else [])}
    if not wanted:
        same = grant.audience is None and not grant.resource
        return None if same else f"{provider.host} was asked for nothing, and its token may be for anything"
    claims = claims_of(tokens.access_token.reveal()) or {}
    whom = {str(one) for one in audiences(claims)}
    if wanted <= whom:
        return None
    # Entra ID names an application by its id in the token, and by its URI in the scope.
    named = provider.known.audience_scope is not None and profile.audience is not None
    if named and any(scope.startswith(f"{profile.audience}/") for scope in granted or ()):
        return None
    if not claims:
        return f"{provider.host} sent an opaque token, which does not say what it is for"
    return f"{provider.host} sent a token for {foreign(', '.join(sorted(whom))) or 'nobody'}"
