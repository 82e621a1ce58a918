"""One token for another (RFC 8693): a platform's for a provider's, or a token for one of another audience.

What came is judged where every token answer is, endpoints/token_response.py: a token of another type than was wanted is
no answer. The subject token is a secret; whatever the provider repeats of it is cut out of messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from credential_helper.errors import ConfigurationError, TokenResponseError
from credential_helper.oauth import workload
from credential_helper.oauth.endpoints import token_endpoint
from credential_helper.providers import TOKEN_EXCHANGE, TOKEN_TYPE, TOKEN_TYPE_JWT

if TYPE_CHECKING:
    from credential_helper.model import Secret, Tokens
    from credential_helper.oauth.interaction import Interaction
    from credential_helper.oauth.provider import Provider

GRANT_TYPE = TOKEN_EXCHANGE
ACCESS_TOKEN, ID_TOKEN, JWT = f"{TOKEN_TYPE}access_token", f"{TOKEN_TYPE}id_token", TOKEN_TYPE_JWT  # RFC 8693 §3


def sign_in(provider: Provider, interaction: Interaction) -> None:
    """Exchange the job's token, or another profile's, and hand what comes to ``interaction.redeem``.

    Raises as ``exchange`` does, and whatever obtaining the token that is exchanged does.
    """
    provider.metadata(fresh=True)
    # Before anything is spent: a platform may be slow, and a person may have to sign in to the other profile.
    token = workload.read(provider) if provider.subject is None else provider.subject()
    interaction.redeem(partial(_exchange, provider, token))


def _exchange(provider: Provider, token: Secret) -> Tokens:
    profile = provider.profile
    by_default = provider.known.subject_token_type or JWT if provider.subject is None else ACCESS_TOKEN
    with workload.named(provider):
        tokens = exchange(
            provider,
            token,
            profile.subject_token_type or by_default,
            audience=profile.audience,
            resource=profile.resource,
            scope=provider.scopes(),
        )
    return msgspec.structs.replace(tokens, refresh_token=None, id_token=None)


def exchange(
    provider: Provider,
    subject_token: Secret,
    subject_token_type: str,
    *,
    audience: str | None = None,
    resource: Sequence[str] = (),
    scope: Sequence[str] = (),
) -> Tokens:
    """Exchange a token (RFC 8693 §2.1); the client says who it is, as for every token request.

    ``subject_token_type`` is a URI: one of §3, or the provider's own. A refresh token that comes along is handed on;
    where it comes with an answer that is no good, the error holds it.

    Raises AuthorizationError, RateLimited, TransportError, ConfigurationError; TokenResponseError for an answer without
    a token that a tool can carry.
    """
    if not subject_token:
        raise ConfigurationError("there is no token to exchange: it is empty")
    known, scopes = provider.known, list(scope)
    fields = [("subject_token", subject_token.reveal())]
    fields += [("subject_token_type", subject_token_type), ("requested_token_type", known.requested_token_type)]
    template = known.audience_scope
    if audience and template is not None:
        scopes.append(template.format(audience=audience))
    elif audience:
        fields.append(("audience", audience))  # §2.1, also where other grants call it something else, or have none
    fields.append(("scope", " ".join(dict.fromkeys(scopes))))
    fields += [("resource", one) for one in resource]
    tokens = token_endpoint.request(provider, GRANT_TYPE, fields, refused="refused to exchange the token")
    if tokens.access_token is None and tokens.lacking is not None:
        error = TokenResponseError(tokens.lacking[0], hint=tokens.lacking[1])
        error.refresh_token = tokens.refresh_token
        raise error
    return tokens
