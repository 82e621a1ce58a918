"""How a client proves that it has a private key: it signs its assertion with that (RFC 7523 §2.2, OIDC Core §9).

Where the profile names the key's certificate, its thumbprint goes along (``x5t#S256``, RFC 7515 §4.1.8): Entra ID finds
the key by nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret
from credential_helper.oauth.client_authentication import assertion
from credential_helper.oauth.client_authentication.private_keys import Signer, load
from credential_helper.text import foreign

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider

KEY_SOURCES = 'name its source in the profile, for example private_key = { file = "key.pem" }'


def make(provider: Provider) -> Secret:
    """Return an assertion for one request.

    Raises ConfigurationError where the key cannot be read or used, and what ``provider.metadata`` does.
    """
    signer = _signer_of(provider)
    return assertion.of_bearable_length(signer.sign(assertion.claims(provider), _algorithm(provider, signer)))


def check(provider: Provider) -> None:
    """Raise ConfigurationError where the key, or its certificate, cannot be read or used; the provider is not asked."""
    _signer_of(provider)


def hint(provider: Provider) -> str:
    """Return what to check when a provider refused an assertion (invalid_client). Raises as ``make`` does."""
    signer = _signer_of(provider)
    algorithm = _algorithm(provider, signer)
    kid = f", kid {foreign(signer.kid, 60)}" if signer.kid else ""
    audience, clock = assertion.audience_and_clock(provider)
    if signer.thumbprint is None and provider.known.name == "entra":
        return (
            "Entra ID finds a key by its certificate: upload one there, and name it in the profile, "
            f'private_key = {{ …, certificate = "cert.pem" }} ({algorithm}{kid}){clock}'
        )
    registered = "public key" if signer.thumbprint is None else "certificate"
    return (
        f"check that the {registered} is registered for this client ({algorithm}{kid}), and the audience: the "
        f'assertion was for {audience}, private_key = {{ audience = "…" }} changes that{clock}'
    )


# --- the key ----------------------------------------------------------------------------------------------------------


def _signer_of(provider: Provider) -> Signer:
    settings = provider.profile.private_key
    if provider.private_key is None or settings is None:
        raise ConfigurationError("the profile has no private_key", hint=KEY_SOURCES)
    return load(provider.private_key(), settings, provider.known.assertion_algorithm)


def _algorithm(provider: Provider, signer: Signer) -> str:
    return signer.algorithm(provider.metadata().token_endpoint_auth_signing_alg_values_supported)
