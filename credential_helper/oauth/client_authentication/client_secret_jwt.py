"""How a client proves that it has its secret without sending it: an HMAC under its assertion (OIDC Core §9).

PyJWT is not needed for it: an HMAC of Python's own takes 25 ms less, and takes a secret that looks like a key for what
it is.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from credential_helper.model import Secret
from credential_helper.oauth.client_authentication import assertion

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider

_ALGORITHMS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}  # RFC 7518 §3.2


def make(provider: Provider, client_secret: str) -> Secret:
    """Return an assertion for one request. Raises what ``provider.metadata`` does."""
    import hmac  # brings hashlib, 2.5 ms
    import json

    algorithm = _algorithm(provider)
    parts = ({"alg": algorithm, "typ": "JWT"}, assertion.claims(provider))
    signed = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    mac = hmac.digest(client_secret.encode("utf-8", "surrogateescape"), signed.encode("ascii"), _ALGORITHMS[algorithm])
    return assertion.of_bearable_length(f"{signed}.{_encoded(mac)}")


def hint(provider: Provider) -> str:
    """Return what to check when a provider refused an assertion (invalid_client). Raises as ``make`` does."""
    audience, clock = assertion.audience_and_clock(provider)
    return (
        f"check client_id and client_secret, and that this client is registered for client_secret_jwt "
        f"({_algorithm(provider)}); the assertion was for {audience}{clock}"
    )


def _algorithm(provider: Provider) -> str:
    """Return what the provider takes, by its metadata; HS256 where they name none of the three."""
    listed = provider.metadata().token_endpoint_auth_signing_alg_values_supported or ()
    return next((algorithm for algorithm in _ALGORITHMS if algorithm in listed), "HS256")


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode("ascii")
