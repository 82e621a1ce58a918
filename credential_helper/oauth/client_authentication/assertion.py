"""The assertion of a client: who it is, told in a JWT of its own (RFC 7521 §4.2, RFC 7523 §2.2 and §3).

- An assertion serves one request: ``jti`` is drawn anew for each, also for a repeated one, and 60 s later it is void.
- Its times are the provider's: by its clock, where an answer of this process has shown it.
- Whom it is for (``aud``) differs: the issuer, in the form of the provider's own document (Auth0's ends in a slash), or
  the token endpoint, also of requests to other endpoints. The profile may say anything else.

What proves it, a private key or the client's secret, is the affair of private_key_jwt.py and client_secret_jwt.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret
from credential_helper.text import foreign, span

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME = 60  # seconds; Auth0 takes at most 300
LIMIT = 2048  # bytes that Auth0 takes at most
CLOCK = 10.0  # seconds that the provider's clock may differ: Auth0 allows so much


def claims(provider: Provider) -> dict[str, object]:
    """Return what an assertion for one request says. Raises what ``provider.metadata`` does."""
    client_id, meant_for = provider.profile.client_id, audience(provider)
    now = int(provider.clock.now() + (provider.transport.skew or 0.0))  # after the metadata, which tell the skew
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": meant_for,
        "jti": os.urandom(16).hex(),
        "iat": now,
        "exp": now + LIFETIME,
    }


def of_bearable_length(assertion: str) -> Secret:
    """Return an assertion that a provider will take. Raises ConfigurationError."""
    if len(assertion) > LIMIT:
        raise ConfigurationError(
            f"the client assertion has {len(assertion)} bytes, and a provider takes at most {LIMIT}",
            hint="use an EC key or an RSA key of 2048 to 4096 bits, and a short kid and audience",
        )
    return Secret(assertion)


def audience(provider: Provider) -> str:
    """Return whom an assertion is for. Raises what ``provider.metadata`` does."""
    settings = provider.profile.private_key
    wanted = (settings.audience if settings is not None else None) or provider.known.assertion_audience
    if wanted == "issuer":
        return provider.metadata().issuer
    return provider.metadata().token_endpoint if wanted == "token_endpoint" else wanted


def audience_and_clock(provider: Provider) -> tuple[str, str]:
    """Return what a hint about a refused assertion says of whom it was for, and of a clock that may be the reason."""
    skew = provider.transport.skew or 0.0
    way = "behind" if skew > 0 else "ahead of"
    clock = f"; this machine's clock is {span(abs(skew))} {way} {provider.host}" if abs(skew) > CLOCK else ""
    return foreign(audience(provider), 200), clock
