"""What a sign-in brought, saved at once and unverified; and what is not kept, given back."""

from __future__ import annotations

import os
from typing import TypeGuard

from credential_helper.broker import verification
from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Errand, Means
from credential_helper.broker.give_back import give_back
from credential_helper.errors import AuthorizationError, TokenResponseError
from credential_helper.model import Credential, Secret, Token, Tokens
from credential_helper.oauth.claims import claims_of as unverified
from credential_helper.oauth.claims import numeric_date
from credential_helper.oauth.provider import Provider
from credential_helper.session import Grant, Session, grant_made
from credential_helper.stores.replacing import Reservation
from credential_helper.stores.sessions import Stored
from credential_helper.text import foreign


def keep(
    errand: Errand,
    session: CachedSession,
    means: Means,
    tokens: Tokens,
    reservation: Reservation | None,
) -> Stored:
    """Save what a sign-in brought, beside what was there before until it is verified.

    Raises AuthorizationError where it is refused, TokenResponseError where it lacks the token that the tool is to get.
    """
    profile, provider = errand.profile, means.provider(errand.profile)
    claims = claims_of(tokens)
    account = verification.account_of(profile)
    if account is not None and claims and not verification.is_account(account, claims, str(claims.get("sub"))):
        give_back(provider, tokens.refresh_token, means.note)
        raise verification.wrong_account(profile, _who(claims) or "somebody else")
    try:
        require_access_token(errand, tokens)
    except TokenResponseError:
        give_back(provider, tokens.refresh_token, means.note)
        raise
    known = _is_known(errand, means, tokens)
    new = Session(
        grant=grant_of(errand, session, means),
        audience=profile.audience,
        resource=profile.resource,
        access=access_token_of(tokens, renewable=profile.unattended or tokens.refresh_token is not None),
        id=id_token_of(tokens),
        scope=tokens.scope or provider.scopes(),
        # Without an ID token nothing has to be verified; what would be lost is saved in one piece all the same.
        unverified=tokens.id_token is not None or tokens.refresh_token is not None,
        forced_at=means.clock.now() if errand.request.refused is not None else None,
    )
    stored = session.save(new, tokens.refresh_token, reservation)  # before a word is said: a terminal can fail, too
    if not known:
        means.person.warn(f"{provider.host} sent no ID token: who signed in is not known")
    _tell_scope(provider, tokens.scope)
    return stored


def grant_of(errand: Errand, session: CachedSession, means: Means) -> Grant:
    """Return the grant of a sign-in, without its refresh token: who signs in where, and what for."""
    profile = errand.profile
    return grant_made(
        profile,
        sign_in=os.urandom(16).hex(),
        session=session.place.session,
        main=session.main.grant if session.place != session.main else None,
        resources=means.provider(profile).resources(),
    )


def require_access_token(errand: Errand, tokens: Tokens) -> None:
    """Raise TokenResponseError where an answer lacks the access token that the tool is to get."""
    if errand.kind == "access" and tokens.lacking is not None:
        sentence, hint = tokens.lacking
        raise TokenResponseError(sentence, hint=hint or _ID_TOKEN)


_ID_TOKEN = 'token = "id" gives the tools its ID token; an access token may need the scope or the audience of an API'


def _is_known(errand: Errand, means: Means, tokens: Tokens) -> bool:
    """Say whether the provider tells who signed in, where it owes an ID token (OIDC Core §3.1.3.3).

    A machine is nobody who signs in. Raises AuthorizationError where the profile has an account.
    """
    if errand.profile.session_kind == "client":
        return True
    provider = means.provider(errand.profile)
    asked = provider.scopes()
    granted = tokens.scope if tokens.scope is not None else asked
    if tokens.id_token is not None or "openid" not in asked or "openid" not in granted:
        return True
    account = verification.account_of(errand.profile)
    if account is not None:
        give_back(provider, tokens.refresh_token, means.note)
        raise AuthorizationError(
            f"{provider.host} does not say who signed in (no ID token), "
            f"and profile {errand.profile.name} is for {account}",
            error="no_id_token",
            hint="take account out of the profile, or openid into the client's scopes at the provider",
        )
    return False


def _tell_scope(provider: Provider, granted: tuple[str, ...] | None) -> None:
    missing = [scope for scope in provider.scopes() if granted and scope not in granted]
    if missing:
        provider.note(f"{provider.host} did not grant {foreign(' '.join(missing))}")


# --- tokens ---


def claims_of(tokens: Tokens) -> dict[str, object]:
    """Return the ID token's claims, unverified: for a first look, never for a decision to trust."""
    return (unverified(tokens.id_token.reveal()) or {}) if tokens.id_token is not None else {}


def claims_in(credential: Credential) -> dict[str, object]:
    """Return what a token that is answered says of itself, unverified; empty where it is no JWT."""
    return unverified(credential.token.reveal()) or {}


_BELIEVED = 366 * 86400.0  # seconds; more is a mistake: milliseconds, a date, "for ever"
_INSTEAD_OF_NONE = 300.0  # seconds that a token lives whose provider says that it does not
_INSTEAD_OF_EVER = 3600.0
_MILLISECONDS = 1e11  # since the epoch: of 1973; seconds would be of the year 5138


def access_token_of(tokens: Tokens, *, renewable: bool = False) -> Token | None:
    """Return the access token, if one came, with what is known of its life.

    ``renewable``: the next one needs no person.
    A lifetime that cannot be meant (none at all, or years) is not believed: the token's own is, else a short one, so
    that there is neither one grant a call nor one token for ever. Where a person would have to sign in for the next
    one, it lives until it is refused.
    """
    if tokens.access_token is None:
        return None
    lifetime = _lifetime(tokens, tokens.access_token)
    if lifetime is None and renewable:
        said = tokens.expires_in if tokens.expires_in is not None else _own_dates(tokens.access_token)[1]
        lifetime = None if said is None else _INSTEAD_OF_EVER if said > 0 else _INSTEAD_OF_NONE
    expires_at = None if lifetime is None else tokens.received_at + lifetime
    return Token(value=tokens.access_token, received_at=tokens.received_at, expires_at=expires_at)


def _lifetime(tokens: Tokens, access_token: Secret) -> float | None:
    """Return the seconds that a token lives, by the provider and by itself; None: neither says so credibly.

    Its ``exp`` is compared with its ``iat`` where that can be: both are by the provider's clock, and ours may be wrong.
    """
    said = tokens.expires_in
    iat, exp = _own_dates(access_token)
    left = None if exp is None else exp - tokens.received_at
    own = None if exp is None or iat is None else exp - iat
    if said is not None and said <= 0 and not _credible(left):
        return None
    # expires_in may be in milliseconds, and exp hours away by our clock.
    return min((seconds for seconds in (said if _credible(said) else left, own) if _credible(seconds)), default=None)


def _credible(lifetime: float | None) -> TypeGuard[float]:
    return lifetime is not None and 0.0 < lifetime <= _BELIEVED


def _own_dates(token: Secret) -> tuple[float | None, float | None]:
    """Return ``iat`` and ``exp`` of a JWT, which nobody has verified; some are written in milliseconds."""
    claims = unverified(token.reveal()) or {}
    iat, exp = numeric_date(claims.get("iat")), numeric_date(claims.get("exp"))
    return _in_seconds(iat), _in_seconds(exp)


def _in_seconds(moment: float | None) -> float | None:
    return moment if moment is None or moment < _MILLISECONDS else moment / 1000


def id_token_of(tokens: Tokens, *, renewed: Token | None = None) -> Token | None:
    """Return the ID token, with the nonce that it must answer; a refresh may bring that of the sign-in, or none.

    OIDC Core §3.1.3.7 point 11, §12.2.
    """
    if tokens.id_token is None:
        return None
    claims = claims_of(tokens)
    exp = numeric_date(claims.get("exp"))
    return Token(
        value=tokens.id_token,
        received_at=tokens.received_at,
        expires_at=exp if exp is not None and exp <= tokens.received_at + _BELIEVED else None,
        unverified=True,
        nonce=renewed.nonce if renewed is not None and "nonce" in claims else tokens.nonce,
    )


def _who(claims: dict[str, object]) -> str | None:
    for claim in ("preferred_username", "email", "name", "sub"):
        if isinstance(value := claims.get(claim), str) and value:
            return value
    return None
