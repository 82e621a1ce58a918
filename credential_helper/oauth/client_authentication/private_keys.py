"""A client's private key: parsed, found fit, and how it signs (RFC 7468, RFC 7517, RFC 7518 §3.1, RFC 8037, RFC 9864).

- It signs with RSA, ECDSA or EdDSA; each algorithm belongs to a kind of key, and EdDSA has another name for each curve.
- The key is a PEM or a JWK, private and not encrypted. What is wrong with one is said in words that never quote it, and
  no exception of a library is chained to ours: its text or its frames may hold the key. One is parsed once per run (RSA
  takes 55 ms).
- Where the profile names the key's certificate, its thumbprint goes along (``x5t#S256``, RFC 7515 §4.1.8).
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import msgspec

from credential_helper.errors import ConfigurationError
from credential_helper.model import PrivateKey, Secret
from credential_helper.oauth.loading import load_jwt
from credential_helper.system import files
from credential_helper.text import foreign

# The kinds of key that an algorithm is for; the first algorithm of a kind is its default.
_ALGORITHMS = {
    "RS256": ("RSA",),
    "RS384": ("RSA",),
    "PS256": ("RSA",),
    "PS384": ("RSA",),
    "ES256": ("P-256",),
    "ES384": ("P-384",),
    "EdDSA": ("Ed25519", "Ed448"),
    "Ed25519": ("Ed25519",),
    "Ed448": ("Ed448",),
}
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}  # as cryptography spells them
_SHORTEST = 2048  # bits of an RSA key (RFC 7518 §3.3)


class Signer(msgspec.Struct, frozen=True):
    """A private key that was found fit, and how it signs."""

    key: Any  # cryptography's, whose repr is an address
    algorithms: tuple[str, ...]  # the one that is wanted comes first
    kid: str | None
    thumbprint: str | None  # of the certificate

    def algorithm(self, listed: Collection[str] | None) -> str:
        """Return what to sign with, of a provider whose metadata list these."""
        return next((one for one in self.algorithms if one in (listed or ())), self.algorithms[0])

    def sign(self, claims: dict[str, object], algorithm: str) -> str:
        """Return a JWT of exactly these claims (RFC 7515 §3.1)."""
        import json

        load_jwt()
        import jwt

        signer = jwt.PyJWS()
        for name in _ALGORITHMS.keys() - set(signer.get_algorithms()):  # PyJWT 2.15 has EdDSA by that name only
            signer.register_algorithm(name, jwt.get_algorithm_by_name("EdDSA"))
        headers = {"kid": self.kid, "x5t#S256": self.thumbprint}
        given = {name: value for name, value in headers.items() if value is not None}
        payload = json.dumps(claims, separators=(",", ":")).encode()
        return signer.encode(payload, self.key, algorithm=algorithm, headers=given)


@lru_cache(maxsize=4)  # one run asks for few keys, and a poll every few seconds
def load(secret: Secret, settings: PrivateKey, wanted: str | None) -> Signer:
    """Parse a key and find out how it signs: as the profile says, the JWK, the provider where the key can, or usual."""
    text = secret.reveal().lstrip("\ufeff").strip()
    jwk = _jwk(text, settings) if text.startswith("{") else None
    key = _loaded(jwk or _pem(text, settings))
    if key is None:
        other = None if jwk else _other_kind(text)
        if other is not None:
            raise _unusable(settings, *_not_ours(other))
        raise _unusable(
            settings,
            "the private key cannot be read",
            f"it may be cut short or damaged; RSA keys, EC keys of P-256 and P-384, and Ed25519 will do; {_MAKE}",
        )
    own = _algorithms_for(key, settings)
    said = jwk or {}
    algorithm = settings.algorithm or said.get("alg")
    if algorithm is not None and algorithm not in own:
        place = "the algorithm of private_key" if settings.algorithm else "the alg of the JWK"
        raise _unusable(
            settings, f"{place} is {foreign(str(algorithm), 20)}, which does not fit the key", f"use {', '.join(own)}"
        )
    kid = settings.kid or said.get("kid")
    certificate = None if settings.certificate is None else _certificate(settings.certificate, key, settings)
    chosen = own if algorithm is None else [algorithm]
    first = (wanted,) if algorithm is None and wanted in own else ()
    return Signer(key, (*first, *chosen), kid if isinstance(kid, str) and kid else None, _thumbprint(certificate))


def _algorithms_for(key: Any, settings: PrivateKey) -> list[str]:
    """Return what a key can sign with, its default first. Raises ConfigurationError where that is nothing."""
    kind = _kind_of(key)
    if kind == "RSA" and key.key_size < _SHORTEST:
        raise _unusable(settings, f"the RSA key has {key.key_size} bits, and {_SHORTEST} are the least", _MAKE)
    own = [algorithm for algorithm, kinds in _ALGORITHMS.items() if kind in kinds]
    if not own:
        raise _unusable(settings, f"the private key is on the curve {kind}, and only P-256 and P-384 will do", _MAKE)
    return own


def _kind_of(key: Any) -> str:
    curve = getattr(key, "curve", None)
    if curve is not None:
        return _CURVES.get(curve.name, str(curve.name))
    return next((kind for kind in ("Ed25519", "Ed448") if kind in type(key).__name__), "RSA")


def _loaded(written: str | dict[str, Any]) -> Any:
    """Return cryptography's private key; None where there is none.

    NOTE: whatever PyJWT and cryptography raise or warn of ends here: some of it quotes the key.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load_jwt()
        from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

        for algorithm in (RSAAlgorithm(RSAAlgorithm.SHA256), ECAlgorithm(ECAlgorithm.SHA256), OKPAlgorithm()):
            with contextlib.suppress(Exception):
                key = algorithm.prepare_key(written) if isinstance(written, str) else algorithm.from_jwk(written)
                return key if hasattr(key, "private_bytes") else None
    return None


def _unusable(settings: PrivateKey, sentence: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{settings.source.origin}: {sentence}", hint=hint)


_MAKE = "a new one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem"
_CONVERT = "openssl pkcs8 -topk8 -nocrypt -in OLD -out key.pem"


def _not_ours(kind: str) -> tuple[str, str]:
    return f"the private key is an {kind} key, which is not one of RSA, EC P-256, EC P-384 and Ed25519", _MAKE


_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)

_NOTHING = ("that is no private key in PEM or JWK form", _MAKE)
_PUBLIC = ("that is a public key", "the public key is the provider's; name the private key that belongs to it")
_DER = ("the private key is in DER form", f"write it as PEM: {_CONVERT} -inform DER")
_ENCRYPTED = ("the private key is encrypted", f"decrypt it: {_CONVERT}")

# What a PEM may hold instead of a key that can be used.
_OTHERS = {
    "ENCRYPTED PRIVATE KEY": _ENCRYPTED,
    "OPENSSH PRIVATE KEY": ("that is an SSH key", _MAKE),
    "DSA PRIVATE KEY": ("that is a DSA key", _MAKE),
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


# The kinds of key that PKCS #8 may hold and that sign nothing here (RFC 8410 §3, RFC 3279 §2.3): the OID, with its tag.
_KINDS = {
    bytes.fromhex("06032b656e"): "X25519",
    bytes.fromhex("06032b656f"): "X448",
    bytes.fromhex("06072a8648ce380401"): "old DSA",
}


def _other_kind(text: str) -> str | None:
    """Name the kind of a whole PKCS #8 key that no library of ours would sign with; None: none that is known."""
    body = next((found[2] for found in _BLOCK.finditer(text) if found[1] == "PRIVATE KEY"), "")
    der = _decoded(body) or b""
    return next((kind for oid, kind in _KINDS.items() if oid in der[:24]), None)


def _decoded(body: str) -> bytes | None:
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        return None


_CERTIFICATE_LIMIT = 1 << 18  # bytes: a chain, with words between its certificates


def _certificate(path: str, key: Any, settings: PrivateKey) -> bytes:
    """Return the first certificate of a PEM file, as DER. Raises ConfigurationError."""
    place = f"private_key's certificate {foreign(path)}"
    text, why = "", ""
    try:
        text = files.read_bytes(path, _CERTIFICATE_LIMIT)[0].decode("ascii", "replace")
    except (OSError, ValueError) as error:
        why = files.reason(error)
    if why:
        raise _unusable(settings, f"{place} {why}", _CERTIFY)
    body = next((found[2] for found in _BLOCK.finditer(text) if found[1] == "CERTIFICATE"), None)
    der = _decoded(body) if body is not None else None
    if not der:
        raise _unusable(settings, f"{place} has no certificate in PEM form in it", _CERTIFY)
    if _public_number(key) not in der:
        raise _unusable(settings, f"{place} is of another key", "name the certificate of this key; " + _CERTIFY)
    return der


_CERTIFY = "one for the key: openssl req -x509 -new -key key.pem -days 365 -subj /CN=NAME -out cert.pem"


def _public_number(key: Any) -> bytes:
    """Return what a certificate has of its key, whatever wraps it there: the modulus, or a point (SEC 1 §2.3.3)."""
    public = key.public_key()
    if hasattr(public, "public_bytes_raw"):  # Ed25519 and Ed448 (RFC 8410 §4)
        return bytes(public.public_bytes_raw())
    numbers = public.public_numbers()
    number, bits = (numbers.n, key.key_size) if hasattr(numbers, "n") else (numbers.x, key.curve.key_size)
    return bytes(number.to_bytes((bits + 7) // 8, "big"))


def _thumbprint(certificate: bytes | None) -> str | None:
    """Return ``x5t#S256`` (RFC 7515 §4.1.8): base64url, without padding, of the SHA-256 of the DER."""
    if certificate is None:
        return None
    import hashlib  # 2.5 ms

    return base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode("ascii")


def _jwk(text: str, settings: PrivateKey) -> dict[str, Any]:
    """Return the one private key that may sign, of a JWK or a JWK Set; among several the profile's kid chooses."""
    value = _json(text)
    if value is None:
        raise _unusable(settings, "that begins like a JWK, but is not JSON", "is it whole?")
    listed = value["keys"] if isinstance(value.get("keys"), list) else [value]
    keys = [key for key in listed if isinstance(key, dict) and _is_ours(key)]
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
    for key in listed:
        if isinstance(key, dict) and key.get("kty") == "OKP":  # RFC 8037 §2
            raise _unusable(settings, *_not_ours(foreign(str(key.get("crv", "OKP")), 20)))
    raise _unusable(settings, "that is JSON without an RSA, EC or Ed25519 key (kty)", "name a JWK, a JWK Set or a PEM")


def _is_ours(key: dict[str, Any]) -> bool:
    kty = key.get("kty")
    return kty in ("RSA", "EC") or (kty == "OKP" and key.get("crv") in ("Ed25519", "Ed448"))


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
