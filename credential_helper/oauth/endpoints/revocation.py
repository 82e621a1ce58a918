"""Ending a token's life at the provider (RFC 7009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper.errors import AuthorizationError, TokenResponseError, TransportError
from credential_helper.oauth.endpoints import form

if TYPE_CHECKING:
    from credential_helper.model import Secret
    from credential_helper.oauth.discovery.metadata import Metadata
    from credential_helper.oauth.provider import Provider

_PASSING = (408, 425, 429)  # nobody has looked at the request: it may go through later


def revoke(provider: Provider, token: Secret, token_type_hint: str) -> bool:
    """Revoke a token; a token that the provider does not know any more counts as revoked (RFC 7009 §2.2).

    False: it cannot be revoked here, for lack of an endpoint or of support for this kind of token (§2.2.1). Raises
    AuthorizationError (any other 4xx, too), RateLimited, TransportError (503: the token still lives),
    ConfigurationError, and TokenResponseError for an endpoint that may not be used.
    """
    if not _endpoint(provider.metadata()):
        return False
    fields = (("token", token.reveal()), ("token_type_hint", token_type_hint))

    def ask(address: str) -> None:
        form.post(
            provider,
            address,
            fields,
            refused="did not revoke the token",
            content=False,  # RFC 7009 §2.2: the client ignores the body of a 200
            busy=(429, 503),  # RFC 7009 §2.2.1: 503 may come with Retry-After
        )

    try:
        form.at_current_address(provider, _endpoint, ask)
    except (TransportError, TokenResponseError) as error:
        if error.status is not None and 400 <= error.status < 500 and error.status not in _PASSING:
            raise AuthorizationError(error.sentence, hint=error.hint) from None  # it was heard, and refused
        raise
    except AuthorizationError as error:
        if error.error != "unsupported_token_type":
            raise
        provider.note(f"{provider.host} does not revoke tokens of the kind {token_type_hint}")
        return False
    return True


def _endpoint(metadata: Metadata) -> str:
    return metadata.address("revocation_endpoint") or ""
