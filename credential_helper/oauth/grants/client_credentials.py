"""A machine signs in for itself (RFC 6749 §4.4).

Providers bill for these tokens (Auth0 has a monthly quota), so nothing is requested that a kept one could answer;
that is the caller's affair. A refresh token has no place here (§4.4.3) and is dropped if one comes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from credential_helper.errors import ConfigurationError
from credential_helper.oauth import client_authentication
from credential_helper.oauth.endpoints import form, token_endpoint

if TYPE_CHECKING:
    from credential_helper.model import Tokens
    from credential_helper.oauth.interaction import Interaction
    from credential_helper.oauth.provider import Provider

GRANT_TYPE = "client_credentials"


def sign_in(provider: Provider, interaction: Interaction) -> None:
    """Get tokens for the client itself and hand them to ``interaction.redeem``.

    Raises AuthorizationError, RateLimited, TransportError, TokenResponseError; ConfigurationError without a secret
    or a private key: only a confidential client may use this grant (RFC 6749 §4.4).
    """
    if client_authentication.methods(provider) == ("none",):
        raise ConfigurationError(
            'flow = "client-credentials" needs a client secret or a private key',
            hint=f'{client_authentication.SECRET_SOURCES}; or private_key = {{ file = "key.pem" }}',
        )
    provider.metadata(fresh=True)
    interaction.redeem(partial(_exchange, provider))


def _exchange(provider: Provider) -> Tokens:
    fields = form.what_for(provider)
    tokens = token_endpoint.request(provider, GRANT_TYPE, fields, refused="refused the client credentials")
    if tokens.refresh_token is not None:
        provider.note(f"{provider.host} sent a refresh token to a machine: dropped (RFC 6749 §4.4.3)")
    return msgspec.structs.replace(tokens, refresh_token=None)
