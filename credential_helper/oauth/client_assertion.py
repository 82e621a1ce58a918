"""How a client proves that it has a private key: an assertion of its own (RFC 7521 §4.2, RFC 7523 §2.2 and §3).

- An assertion serves one request: ``jti`` is drawn anew for each, also for a repeated one, and 60 s later it is void.
- Its times are the provider's: by its clock, where an answer of this process has shown it.
- Whom it is for (``aud``) differs: the issuer, in the form of the provider's own document (Auth0's ends in a slash), or
  the token endpoint, also of requests to other endpoints. The profile may say anything else.
- It is signed with RSA or ECDSA and one of six algorithms; each belongs to one kind of key (RFC 7518 §3.1).
- The key is a PEM or a JWK, private and not encrypted. What is wrong with one is said in words that never quote it, and
  no exception of a library is chained to ours: its text or its frames may hold the key. One is parsed once a run (RSA
  takes 55 ms).
"""

from __future__ import annotations

import contextlib
import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from credential_helper.errors import ConfigurationError, foreign, span
from credential_helper.model import PrivateKey, Secret

if TYPE_CHECKING:
    from credential_helper.oauth.metadata import Provider

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME = 60  # seconds; Auth0 takes at most 300
LIMIT = 2048  # bytes that Auth0 takes at most
CLOCK = 10.0  # seconds that the provider's clock may differ: Auth0 allows so much

KEY_SOURCES = 'name its source in the profile, for example private_key = { file = "key.pem" }'

# The kind of key that an algorithm needs; the first of a kind is its default.
_ALGORITHMS = {
    "RS256": "RSA",
    "RS384": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
}
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}  # as cryptography spells them
_SHORTEST = 2048  # bits of an RSA key (RFC 7518 §3.3)


# --- the assertion ----------------------------------------------------------------------------------------------------


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
    return (
        f"check that the public key is registered for this client ({signer.algorithm}{kid}), and the audience: the "
        f'assertion was for {foreign(audience(provider), 200)}, private_key = {{ audience = "…" }} changes that{clock}'
    )


# --- the key ----------------------------------------------------------------------------------------------------------


class _Signer(msgspec.Struct, frozen=True):
    """A private key that was found fit, and how it signs."""

    key: Any  # cryptography's, whose repr is an address
    algorithm: str
    kid: str | None

    def sign(self, claims: dict[str, object]) -> str:
        """Return a JWT of exactly these claims (RFC 7515 §3.1)."""
        import jwt  # 75 ms

        headers = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers=headers)


def _signer_of(provider: Provider) -> _Signer:
    settings = provider.profile.private_key
    if provider.private_key is None or settings is None:
        raise ConfigurationError("the profile has no private_key", hint=KEY_SOURCES)
    return _signer(provider.private_key(), settings)


@lru_cache(maxsize=4)  # one run asks for few keys, and a poll every few seconds
def _signer(secret: Secret, settings: PrivateKey) -> _Signer:
    """Parse a key and find out how it signs: as the profile says, else as the JWK does, else the usual way."""
    text = secret.reveal().lstrip("\ufeff").strip()
    jwk = _jwk(text, settings) if text.startswith("{") else None
    key = _loaded(jwk or _pem(text, settings))
    if key is None:
        raise _unusable(
            settings,
            "the private key cannot be read",
            "it may be cut short or damaged; RSA keys and EC keys of P-256 and P-384 will do, as PEM or JWK; " + _MAKE,
        )
    own = _algorithms_for(key, settings)
    said = jwk or {}
    algorithm = settings.algorithm or said.get("alg") or own[0]
    if algorithm not in own:
        place = "the algorithm of private_key" if settings.algorithm else "the alg of the JWK"
        raise _unusable(
            settings, f"{place} is {foreign(str(algorithm), 20)}, which does not fit the key", f"use {', '.join(own)}"
        )
    kid = settings.kid or said.get("kid")
    return _Signer(key, algorithm, kid if isinstance(kid, str) and kid else None)


def _algorithms_for(key: Any, settings: PrivateKey) -> list[str]:
    """Return what a key can sign with, its default first. Raises ConfigurationError where that is nothing."""
    curve = getattr(key, "curve", None)
    kind = "RSA" if curve is None else _CURVES.get(curve.name, curve.name)
    if kind == "RSA" and key.key_size < _SHORTEST:
        raise _unusable(settings, f"the RSA key has {key.key_size} bits, and {_SHORTEST} are the least", _MAKE)
    own = [algorithm for algorithm, needed in _ALGORITHMS.items() if needed == kind]
    if not own:
        raise _unusable(settings, f"the private key is on the curve {kind}, and only P-256 and P-384 will do", _MAKE)
    return own


def _loaded(written: str | dict[str, Any]) -> Any:
    """Return cryptography's private key; None where there is none.

    NOTE: whatever PyJWT and cryptography raise or warn of ends here: some of it quotes the key.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jwt.algorithms import ECAlgorithm, RSAAlgorithm  # 75 ms

        for algorithm in (RSAAlgorithm(RSAAlgorithm.SHA256), ECAlgorithm(ECAlgorithm.SHA256)):
            with contextlib.suppress(Exception):
                key = algorithm.prepare_key(written) if isinstance(written, str) else algorithm.from_jwk(written)
                return key if hasattr(key, "private_numbers") else None
    return None


def _unusable(settings: PrivateKey, sentence: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{settings.source.origin}: {sentence}", hint=hint)


_MAKE = "a new one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem"
_CONVERT = "openssl pkcs8 -topk8 -nocrypt -in OLD -out key.pem"


# --- PEM (RFC 7468) ---------------------------------------------------------------------------------------------------

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)

_NOTHING = ("that is no private key in PEM or JWK form", _MAKE)
_PUBLIC = ("that is a public key", "the public key is the provider's; name the private key that belongs to it")
_DER = ("the private key is in DER form", f"write it as PEM: {_CONVERT} -inform DER")
_ENCRYPTED = ("the private key is encrypted", f"decrypt it: {_CONVERT}")

# What a PEM may hold instead of a key that can be used.
_OTHERS = {
    "ENCRYPTED PRIVATE KEY": _ENCRYPTED,
    "OPENSSH PRIVATE KEY": ("that is an SSH key", _MAKE),
    "CERTIFICATE": ("that is a certificate", "name the private key that belongs to it"),
    "TRUSTED CERTIFICATE": ("that is a certificate", "name the private key that belongs to it"),
    "PUBLIC KEY": _PUBLIC,
    "RSA PUBLIC KEY": _PUBLIC,
}
_PRIVATE = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")  # RFC 5208 (PKCS #8), RFC 8017 (PKCS #1), RFC 5915


def _pem(text: str, settings: PrivateKey) -> str:
    """Return the one block with a private key; parameters and certificates may stand beside it."""
    blocks = [(found[1], found[2], found[0]) for found in _BLOCK.finditer(text)]
    private = [(body, whole) for label, body, whole in blocks if label in _PRIVATE]
    if len(private) > 1:
        raise _unusable(settings, f"there are {len(private)} private keys", "keep the one to sign with")
    if private:
        body, whole = private[0]
        if "ENCRYPTED" in body:  # Proc-Type: 4,ENCRYPTED (RFC 1421 §4.6.1.1)
            raise _unusable(settings, *_ENCRYPTED)
        if "\\n" in body:
            raise _unusable(settings, r"the lines of the key end in the two characters \n", "write real line ends")
        return whole
    others = (_OTHERS[label] for label, _, _ in blocks if label in _OTHERS)
    raise _unusable(settings, *next(others, _NOTHING if blocks else _no_pem(text)))


# What a text without a whole block begins with.
_BEGINNINGS = {
    "-----BEGIN ": ("the PEM is cut short or damaged", "is its last line, -----END …-----, there?"),
    "ssh-": _PUBLIC,
    "ecdsa-sha2-": _PUBLIC,
    "LS0tLS1CRUdJTi": ("the PEM is encoded in base64 once more", "decode it: base64 -d OLD > key.pem"),
    "MI": (
        "the private key is in DER form and base64",
        "write it as PEM: base64 -d OLD | openssl pkcs8 -topk8 -nocrypt -inform DER -out key.pem",
    ),
}


def _no_pem(text: str) -> tuple[str, str]:
    """Say what a text without a block that is known is."""
    if any(character < " " and character not in "\t\r\n" for character in text):
        return _DER
    found = (words for beginning, words in _BEGINNINGS.items() if text.startswith(beginning))
    return next(found, _NOTHING)


# --- JWK (RFC 7517) ---------------------------------------------------------------------------------------------------


def _jwk(text: str, settings: PrivateKey) -> dict[str, Any]:
    """Return the one private key that may sign, of a JWK or a JWK Set; among several the profile's kid chooses."""
    value = _json(text)
    if value is None:
        raise _unusable(settings, "that begins like a JWK, but is not JSON", "is it whole?")
    listed = value["keys"] if isinstance(value.get("keys"), list) else [value]
    keys = [key for key in listed if isinstance(key, dict) and key.get("kty") in ("RSA", "EC")]
    private = [key for key in keys if "d" in key]
    signing = [key for key in private if _may_sign(key)]
    named = [key for key in signing if key.get("kid") == settings.kid] if len(signing) > 1 else signing
    if len(named) == 1:
        return named[0]
    if signing:
        raise _unusable(settings, f"the JWK Set has {len(signing)} private keys", "name one of them with kid")
    if private:
        raise _unusable(settings, "the JWK is not meant for signatures (use, key_ops)", _MAKE)
    if keys:
        raise _unusable(settings, *_PUBLIC)
    raise _unusable(settings, "that is JSON without an RSA or EC key (kty)", "a JWK or a JWK Set is needed, or a PEM")


def _json(text: str) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _may_sign(key: dict[str, Any]) -> bool:
    """Obey ``use`` and ``key_ops`` (RFC 7517 §4.2, §4.3)."""
    operations = key.get("key_ops", ["sign"])
    return key.get("use", "sig") == "sig" and isinstance(operations, list) and "sign" in operations
