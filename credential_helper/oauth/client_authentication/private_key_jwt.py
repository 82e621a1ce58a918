"""How a client proves that it has a private key: an assertion of its own (RFC 7521 §4.2, RFC 7523 §2.2 and §3).

- An assertion serves one request: ``jti`` is drawn anew for each, also for a repeated one, and 60 s later it is void.
- Its times are the provider's: by its clock, where an answer of this process has shown it.
- Whom it is for (``aud``) differs: the issuer, in the form of the provider's own document (Auth0's ends in a slash), or
  the token endpoint, also of requests to other endpoints. The profile may say anything else.
- Where the profile names the key's certificate, its thumbprint goes along (``x5t#S256``, RFC 7515 §4.1.8): Entra ID
  finds the key by nothing else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret
from credential_helper.oauth.client_authentication.private_keys import Signer, load
from credential_helper.text import foreign, span

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME = 60  # seconds; Auth0 takes at most 300
LIMIT = 2048  # bytes that Auth0 takes at most
CLOCK = 10.0  # seconds that the provider's clock may differ: Auth0 allows so much

KEY_SOURCES = 'name its source in the profile, for example private_key = { file = "key.pem" }'


def make(provider: Provider) -> Secret:
    """Return an assertion for one request.

    Raises ConfigurationError where the key cannot be read or used, and what ``provider.metadata`` does.
    """
    signer = _signer_of(provider)
    client_id, meant_for = provider.profile.client_id, audience(provider)
    now = int(provider.clock.now() + (provider.transport.skew or 0.0))  # after the metadata, which tell the skew
    claims: dict[str, object] = {
        "iss": client_id,
        "sub": client_id,
        "aud": meant_for,
        "jti": os.urandom(16).hex(),
        "iat": now,
        "exp": now + LIFETIME,
    }
    assertion = signer.sign(claims)
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


def hint(provider: Provider) -> str:
    """Return what to check when a provider refused an assertion (invalid_client). Raises as ``make`` does."""
    signer = _signer_of(provider)
    kid = f", kid {foreign(signer.kid, 60)}" if signer.kid else ""
    skew = provider.transport.skew or 0.0
    way = "behind" if skew > 0 else "ahead of"
    clock = f"; this machine's clock is {span(abs(skew))} {way} {provider.host}" if abs(skew) > CLOCK else ""
    if signer.thumbprint is None and provider.known.name == "entra":
        return (
            "Entra ID finds a key by its certificate: upload one there, and name it in the profile, "
            f'private_key = {{ …, certificate = "cert.pem" }} ({signer.algorithm}{kid}){clock}'
        )
    registered = "public key" if signer.thumbprint is None else "certificate"
    return (
        f"check that the {registered} is registered for this client ({signer.algorithm}{kid}), and the audience: the "
        f'assertion was for {foreign(audience(provider), 200)}, private_key = {{ audience = "…" }} changes that{clock}'
    )


# --- the key ----------------------------------------------------------------------------------------------------------


def _signer_of(provider: Provider) -> Signer:
    settings = provider.profile.private_key
    if provider.private_key is None or settings is None:
        raise ConfigurationError("the profile has no private_key", hint=KEY_SOURCES)
    return load(provider.private_key(), settings, provider.known.assertion_algorithm)
