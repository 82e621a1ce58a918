"""Renewing tokens without a person (RFC 6749 §6).

No scope is sent unless it is given: what was granted is granted again, so that it is never widened and never refused as
too wide. Some providers send an ID token only where ``openid`` is asked for again.
``resource`` is sent, because without it RFC 8707 §2.2 lets the server choose for which one the token is. For another
audience than the sign-in's the request says which, in this provider's words. An answer without a refresh token is
passed on as it is: the old one stays in use, and whoever keeps it knows that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from credential_helper.oauth.endpoints import form, token_endpoint

if TYPE_CHECKING:
    from credential_helper.model import Secret, Tokens
    from credential_helper.oauth.provider import Provider

GRANT_TYPE = "refresh_token"


def refresh(
    provider: Provider, refresh_token: Secret, *, scope: Sequence[str] = (), resource: Sequence[str] = ()
) -> Tokens:
    """Exchange a refresh token, which the provider may thereby have spent: save the answer at once.

    ``scope`` is what was granted (RFC 6749 §6 allows no more).

    Raises AuthorizationError (``error`` is "invalid_grant" for a refresh token that is no good any more),
    RateLimited, TransportError, TokenResponseError, ConfigurationError.
    """
    fields = [("scope", " ".join(scope)), *(("resource", one) for one in resource)]
    return _spend(provider, refresh_token, fields)


def refresh_for(provider: Provider, refresh_token: Secret) -> Tokens:
    """Exchange a refresh token for what the profile asks for, which its sign-in need not have asked for.

    Its scopes are sent where the profile has them, or where they carry the audience. Raises as ``refresh`` does.
    """
    by_scope = provider.known.audience_scope is not None and provider.profile.audience
    scoped = provider.profile.scope is not None or by_scope
    fields = [(name, value) for name, value in form.what_for(provider) if name != "scope" or scoped]
    return _spend(provider, refresh_token, fields)


def _spend(provider: Provider, refresh_token: Secret, fields: Sequence[tuple[str, str]]) -> Tokens:
    sent = [("refresh_token", refresh_token.reveal()), *fields]
    return token_endpoint.request(provider, GRANT_TYPE, sent, refused="refused the refresh token")
