"""The token endpoint: a grant in, tokens out (RFC 6749 §3.2)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from credential_helper.errors import TokenResponseError
from credential_helper.model import Tokens
from credential_helper.oauth.endpoints.form import at_current_address, exchange
from credential_helper.oauth.endpoints.reply import Reply
from credential_helper.oauth.endpoints.token_response import tokens_of

if TYPE_CHECKING:
    from credential_helper.oauth.discovery.metadata import Metadata
    from credential_helper.oauth.provider import Provider


def request(
    provider: Provider,
    grant_type: str,
    fields: Sequence[tuple[str, str]],
    *,
    refused: str,
    busy: Collection[int] = (429,),
) -> Tokens:
    """Exchange a grant for tokens (RFC 6749 §4, §5.1); whatever was sent may be spent afterwards.

    ``refused`` is the predicate of the sentence for an OAuth error: ``HOST refused the refresh token (…)``. An
    answer of one of the ``busy`` statuses is waited for once, if it asks for at most 10 s.

    Raises Refusal (an AuthorizationError), RateLimited, TransportError, TokenResponseError, ConfigurationError. An
    answer that is no good may bring a refresh token all the same: the error holds it.
    """
    sent = (("grant_type", grant_type), *fields, *provider.profile.parameters)

    def ask(address: str) -> Reply:
        return exchange(provider, address, sent, grant_type, refused=refused, busy=busy)

    reply = at_current_address(provider, _token_endpoint, ask)
    try:
        return tokens_of(provider, reply)
    except TokenResponseError as error:
        raise reply.spent_for(error) from None


def _token_endpoint(metadata: Metadata) -> str:
    return metadata.token_endpoint
