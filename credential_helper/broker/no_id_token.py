"""A refresh that brings no ID token, where a tool wants one: what may stand in for it, and what is said.

OpenID Connect Core 1.0 §12.2 leaves it to the provider whether a refresh brings one.
"""

from __future__ import annotations

import msgspec

from credential_helper.broker import freshness, verification
from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Errand, Means
from credential_helper.errors import AuthorizationError, InteractionRequired
from credential_helper.model import Token
from credential_helper.oauth import id_token
from credential_helper.oauth.claims import audiences, numeric_date
from credential_helper.session import Session
from credential_helper.stores.sessions import Stored

# What an ID token says of its sign-in and not of a person: nobody who is shown another token misses it.
_OF_THE_SIGN_IN = frozenset(
    {
        *("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "nonce", "auth_time", "acr", "amr", "sid"),
        *("at_hash", "c_hash", "s_hash", "rt_hash", "typ", "session_state", "ver", "uti", "rh", "aio"),
    }
)


def is_lacking(errand: Errand, means: Means, session: Session) -> bool:
    """Say whether an ID token is wanted, and there is none that could be answered now."""
    return errand.kind == "id" and not freshness.valid(session, "id", errand.request, means.clock.now())


def stand_in(errand: Errand, session: CachedSession, means: Means, stored: Stored) -> Stored | None:
    """Have the access token stand in for an ID token, where it passes every check of one; None: it does not.

    Such a token is a JWT of the same issuer for this client and this person, and a cluster that takes the ID token
    takes it too. It has to say of the person all that the ID token said: a cluster may go by any of it. Whoever asks
    for an ID token by name gets none but that. Raises TransportError where it cannot be checked now.
    """
    access, old = stored.session.access, stored.session.id
    if errand.request.token is not None or access is None or old is None or stored.session.identity is None:
        return None
    claims, before = verification.unverified(access), verification.unverified(old)
    ours = errand.profile.client_id in audiences(claims)
    if not ours or not before.keys() - _OF_THE_SIGN_IN <= claims.keys():
        return None
    provider = means.provider(errand.profile)
    try:
        identity = id_token.validate(provider, access.value, came=access.received_at)
    except AuthorizationError as error:
        means.note(f"the access token is no ID token: {error.sentence}")
        return None
    if verification.is_another(stored.session.identity, dict(identity.claims) | {"sub": identity.subject}):
        return None
    means.note(f"{provider.host} renews no ID tokens; its access token passes every check of one, and is answered")
    expires_at = numeric_date(claims.get("exp"))
    token = Token(value=access.value, received_at=access.received_at, expires_at=expires_at)
    return session.save(msgspec.structs.replace(stored.session, id=token))


def refusal(errand: Errand, means: Means, stored: Stored, *, asked_for: bool) -> InteractionRequired:
    """Return why a new sign-in is needed; ``asked_for``: the scope "openid" was sent, and did not help.

    Raises AuthorizationError where the provider has never sent an ID token: a new sign-in would bring none either.
    """
    host = means.provider(errand.profile).host
    if stored.session.id is None:
        raise AuthorizationError(
            f"{host} has never sent an ID token for this sign-in, though the scope has openid",
            error="no_id_token",
            hint='let this client have the scope "openid" at the provider, then '
            f'{errand.login}; or set token = "access"',
        )
    tried = ', not even when asked for the scope "openid"' if asked_for else ""
    return InteractionRequired(
        f'{host} renews no ID tokens{tried}, so token = "id" needs a new sign-in', hint=errand.login
    )
