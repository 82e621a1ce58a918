"""A machine signs in with its platform's token as the grant (RFC 7523 §2.1).

The provider trusts the platform that issued the token, and knows by a rule whom it stands for. A refresh token has no
place here: the platform gives a new token whenever one is needed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from credential_helper.oauth import workload
from credential_helper.oauth.endpoints import form, token_endpoint
from credential_helper.providers import JWT_BEARER

if TYPE_CHECKING:
    from credential_helper.model import Secret, Tokens
    from credential_helper.oauth.interaction import Interaction
    from credential_helper.oauth.provider import Provider

GRANT_TYPE = JWT_BEARER


def sign_in(provider: Provider, interaction: Interaction) -> None:
    """Get tokens for the job and hand them to ``interaction.redeem``.

    Raises AuthorizationError, RateLimited, TransportError, TokenResponseError; ConfigurationError where the job has no
    token.
    """
    provider.metadata(fresh=True)
    token = workload.read(provider)  # before anything is spent: a platform may be slow, and Ctrl-C ends it
    interaction.redeem(partial(_exchange, provider, token))


def _exchange(provider: Provider, token: Secret) -> Tokens:
    fields = [("assertion", token.reveal()), *form.what_for(provider)]
    with workload.named(provider):
        tokens = token_endpoint.request(provider, GRANT_TYPE, fields, refused="refused the token of this job")
    return msgspec.structs.replace(tokens, refresh_token=None, id_token=None)
