"""How a client proves that it has a key without a signature of its own: it shows the key's certificate (RFC 8705 §2).

- ``tls_client_auth`` and ``self_signed_tls_client_auth`` are one method here: what the provider knows of the
  certificate, an authority and a subject or the certificate itself, makes no difference to the client (§2.1, §2.2).
- The certificate is shown to the endpoints that authenticate the client, and to nobody else: the token, device
  authorization, revocation and pushed authorization request endpoints, by their addresses for mutual TLS where the
  metadata name some (§5, discovery/metadata.py). Metadata and keys are public, and a certificate says who asks: they
  are fetched without.
- Certificate and key are read for each handshake, so a rotated one needs no restart. Two files are not replaced at one
  moment: a pair that does not fit is read once more.
- A token that is bound to the certificate (§3) is of no use to a tool, which has neither it nor its key.

What a certificate is judged by, and how it is shown, is the affair of transport/client_certificate.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret, Source
from credential_helper.oauth.claims import claims_of
from credential_helper.transport import client_certificate

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider
    from credential_helper.transport.answer import Answer
    from credential_helper.transport.client_certificate import ClientCertificate

SOURCES = 'name both in the profile, for example tls = { certificate = "cert.pem", private_key = { file = "key.pem" } }'
REGISTER = "check client_id, and that the certificate is registered for this client"
NOT_SEEN = (
    "the address that was asked is not the one for mutual TLS, or a proxy on the way opens TLS: name the address in "
    "endpoints, or the host in NO_PROXY"
)
BOUND = "bound the access token to the client certificate (RFC 8705 §3): a server that checks this refuses every tool"
MAY_BE_BOUND = "binds access tokens to client certificates, for clients that are set up so: this one cannot be read"
NOT_BOUND = "switch off certificate-bound tokens for this client: tls_client_certificate_bound_access_tokens"

# What nginx answers in place of an alert (its statuses 495 and 496, sent as 400).
_PAGES = (b"the ssl certificate error", b"no required ssl certificate was sent")
_PAGE_STATUSES = (400, 403, 495, 496)


def certificate(provider: Provider) -> ClientCertificate:
    """Return the certificate that the client shows now. Raises ConfigurationError for one that cannot be used."""
    try:
        found = _read(provider)
    except client_certificate.KeyMismatchError:
        found = _read(provider)
    found.require_valid(provider.clock.now())
    return found


def _read(provider: Provider) -> ClientCertificate:
    sources = provider.profile.tls
    if provider.tls is None or sources is None:
        raise ConfigurationError("the profile has no client certificate", hint=SOURCES)
    return client_certificate.parse(sources, *provider.tls())


def check(provider: Provider) -> None:
    """Raise ConfigurationError where certificate or key cannot be read or used; the provider is not asked."""
    certificate(provider)


def hint(provider: Provider) -> str:
    """Return what to check when a provider refused the certificate (invalid_client). Raises ConfigurationError."""
    shown = certificate(provider)
    names = f", names {', '.join(shown.names)}" if shown.names else ""
    usage = "" if shown.for_clients else "; its extended key usage lacks clientAuth"
    return f"{REGISTER}: it saw {shown.described}{names}, issued by {shown.issuer or 'nobody'}{usage}"


def fingerprint(private_key: Secret, source: Source) -> str:
    """Return a public name of the client's key: the SHA-256 (hex) of its SubjectPublicKeyInfo.

    It is made from the key and not from the certificate, which anybody may have. A renewed certificate for the same key
    leaves it as it is; another key has another one. Raises ConfigurationError, which names the ``source``.
    """
    return client_certificate.public_key_digest(private_key, source)


def is_refused_by_page(answer: Answer) -> bool:
    """Say whether a server in front of the provider refused the certificate, or missed it, in words of HTML."""
    return answer.status in _PAGE_STATUSES and any(words in answer.body.lower() for words in _PAGES)


def is_bound(access_token: str) -> bool | None:
    """Say whether an access token is bound to a certificate (§3.1); None: it is no JWT, so that cannot be seen."""
    claims = claims_of(access_token)
    confirmation = None if claims is None else claims.get("cnf")
    return None if claims is None else isinstance(confirmation, dict) and "x5t#S256" in confirmation


def tell_if_bound(provider: Provider, host: str, access_token: str) -> None:
    """Warn of an access token that is bound to the client's certificate; note one that may be. Raises nothing."""
    bound = is_bound(access_token)
    if bound:
        provider.warn(f"{host} {BOUND}", NOT_BOUND)
    elif bound is None and provider.tls and provider.metadata().tls_client_certificate_bound_access_tokens:
        provider.note(f"{host} {MAY_BE_BOUND}")
