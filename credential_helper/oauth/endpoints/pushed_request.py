"""An authorization request that goes to the provider first, and to the browser as a reference (RFC 9126).

Where the metadata or the profile say so. The client proves who it is as at the token endpoint (§2), and learns here,
before anybody is asked, what the provider does not like about the request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError, TokenResponseError
from credential_helper.oauth.endpoints import form
from credential_helper.oauth.endpoints.reply import number
from credential_helper.text import span

if TYPE_CHECKING:
    from credential_helper.oauth.discovery.metadata import Metadata
    from credential_helper.oauth.provider import Provider

GRANT_TYPE = "pushed authorization_code"  # for hints: nothing that is sent here is spent

_REFERENCE = re.compile(r"[!-~]{1,2000}")


def is_wanted(provider: Provider) -> bool:
    """Say whether the request has to be pushed. Raises as ``provider.metadata`` does."""
    return provider.profile.pushed_authorization_requests or provider.metadata().require_pushed_authorization_requests


def push(provider: Provider, fields: Sequence[tuple[str, str]], *, patience: float) -> str:
    """Push an authorization request and return its request_uri (§2.2); ``patience`` is how long it has to be good.

    Raises Refusal (an AuthorizationError), RateLimited, TransportError, TokenResponseError, ConfigurationError.
    """

    def ask(address: str) -> dict[str, object]:
        refused = "did not take the request to sign in"
        return form.post(provider, address, fields, refused=refused, grant_type=GRANT_TYPE)

    body = form.at_current_address(provider, _endpoint, ask)
    reference = body.get("request_uri")
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        state = "without a" if reference is None else "with an unusable"
        raise TokenResponseError(f"{provider.host} answered {state} request_uri")
    lifetime = number(body.get("expires_in"))  # required by §2.2, and forgotten by some
    if lifetime is not None and lifetime < patience:
        provider.note(f"the address is good for {span(max(lifetime, 0.0))}")
    return reference


def _endpoint(metadata: Metadata) -> str:
    endpoint = metadata.address("pushed_authorization_request_endpoint")
    if endpoint is None:
        raise ConfigurationError(
            "the provider names no pushed_authorization_request_endpoint in its metadata",
            hint="set endpoints.pushed_authorization_request if it has one, or take pushed_authorization_requests out",
        )
    return endpoint
