"""A client that has a private key, and what its assertions say."""

from __future__ import annotations

import base64
import datetime
import json
from typing import Any, NamedTuple

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from jwt.types import Options

from credential_helper.model import PrivateKey, Profile, Secret, Source
from credential_helper.oauth.provider import Provider
from credential_helper.transport.client import Transport
from integration.servers.hostile_provider import HostileProvider, signing_key
from tests.helpers.clock import FakeClock
from tests.helpers.providers import Memory

ORIGIN = "/etc/credential-helper/config.toml: profiles.prod.private_key"


def jwk(kind: str, /, **changes: object) -> dict[str, object]:
    """Return a private JWK without use, alg and kid, but with ``changes``; None leaves a member out."""
    name = "EdDSA" if kind.startswith("Ed") else kind
    members: dict[str, object] = jwt.get_algorithm_by_name(name).to_jwk(signing_key(kind).private, as_dict=True)
    members.pop("key_ops", None)
    return {name: value for name, value in {**members, **changes}.items() if value is not None}


def client_at(
    hostile: HostileProvider,
    clock: FakeClock,
    key: str | dict[str, object] | None = None,
    *,
    kid: str | None = None,
    algorithm: str | None = None,
    certificate: object = None,
    aud: str | None = None,
    documents: Memory | None = None,
    notes: list[str] | None = None,
    **settings: Any,
) -> Provider:
    """Return the provider object of a client with a private key: an EC key, or the PEM or JWK that is given."""
    if key is None:
        key = pem(signing_key("ES256").private)
    secret = Secret(key if isinstance(key, str) else json.dumps(key))
    source = Source(kind="file", value=("/keys/key.pem",), origin=ORIGIN)
    private_key = PrivateKey(
        source=source,
        kid=kid,
        algorithm=algorithm,
        certificate=None if certificate is None else str(certificate),
        audience=aud,
    )
    return Provider(
        Profile(name="prod", **{"issuer": hostile.issuer, "client_id": "cli", "private_key": private_key, **settings}),
        transport=Transport(clock=clock),
        documents=documents or Memory(),
        clock=clock,
        private_key=lambda: secret,
        note=(notes if notes is not None else []).append,
    )


class Assertion(NamedTuple):
    """One that was verified: signed with the key, by the algorithm that its header names."""

    header: dict[str, Any]
    claims: dict[str, Any]


def verified(assertion: str, private: Any) -> Assertion:
    header = jwt.get_unverified_header(assertion)
    unchecked: Options = {"verify_exp": False, "verify_iat": False, "verify_aud": False}
    signed, _, signature = assertion.rpartition(".")
    if header["alg"] in ("Ed25519", "Ed448"):  # RFC 9864; PyJWT has the older name
        private.public_key().verify(base64.urlsafe_b64decode(signature + "=="), signed.encode())
        unchecked["verify_signature"] = False
    claims = jwt.decode(assertion, private.public_key(), algorithms=[header["alg"]], options=unchecked)
    return Assertion(header, claims)


def certificate_of(private: Any) -> tuple[str, str]:
    """Return a certificate that a key has signed for itself, as PEM, and its x5t#S256."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ci")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=365))
        .sign(private, None if type(private).__name__.startswith("Ed") else SHA256())
    )
    thumbprint = base64.urlsafe_b64encode(made.fingerprint(SHA256())).decode().rstrip("=")
    return made.public_bytes(Encoding.PEM).decode(), thumbprint


def pem(private: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> str:
    """Return a private key of cryptography's as PEM."""
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    written: bytes = private.private_bytes(Encoding.PEM, form, encryption)
    return written.decode()
