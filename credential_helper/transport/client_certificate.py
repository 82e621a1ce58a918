"""The certificate that this client shows in a TLS handshake, and its key (RFC 8446 §4.4.2, RFC 8705 §2).

- Both are judged before a handshake: a server says no in an alert of one word, or closes the connection without one.
- A server sees the certificates and a signature, never the key.
- Python loads a key from a file only, and a key that came from a command or a keyring must not be left on a disk. So
  the file is one in memory, or lives in a private folder for as long as it is read (system/passing_file.py).
- No exception of a library is chained to ours: its text or its frames may hold the key.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret, Source
from credential_helper.system import passing_file
from credential_helper.text import foreign

if TYPE_CHECKING:
    import ssl

    from cryptography.x509 import Certificate

AHEAD = 60.0  # seconds that a certificate may be too new: what issued it a moment ago may have a faster clock

_NO_PEM = "it is PEM, and begins with -----BEGIN CERTIFICATE-----: openssl x509 -inform DER -in OLD -out cert.pem"
_DECRYPT = "decrypt it, and keep it private: openssl pkey -in OLD -out key.pem"


class KeyMismatchError(ConfigurationError):
    """The key is another certificate's; while both are being replaced, that passes."""


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate, what it was issued by, and its key; what a message says of it."""

    chain: str  # PEM, the client's own first
    private_key: Secret  # PEM (PKCS #8), not encrypted
    place: str  # where the profile names it: "/etc/…/config.toml: profiles.prod.tls.certificate"
    path: str  # of its file, "" where it is read elsewhere
    subject: str  # RFC 4514, harmless; "" where there is none
    names: tuple[str, ...]  # its subjectAltName: what an authority may have written instead, harmless
    issuer: str
    begins: float  # seconds since the epoch
    ends: float
    for_clients: bool  # no extended key usage forbids it (RFC 5280 §4.2.1.12)

    @property
    def described(self) -> str:
        """Return what tells it from others: ``/etc/ci.pem (CN=ci, valid until 2026-12-01)``."""
        who = self.subject or next(iter(self.names), "without a subject")
        about = f"{who}, valid until {_day(self.ends)}"
        return f"{foreign(self.path)} ({about})" if self.path else f"of {about}"

    def require_valid(self, now: float) -> None:
        """Raise ConfigurationError for one that no server will take; ``now`` is in seconds since the epoch."""
        if now >= self.ends:
            raise ConfigurationError(
                f"{self.place}: the client certificate {self.described} has expired",
                hint="renew it; it is read anew each time, so nothing has to be restarted",
            )
        if now < self.begins - AHEAD:
            raise ConfigurationError(
                f"{self.place}: the client certificate {self.described} is not valid before {_day(self.begins)}",
                hint="is this machine's clock right?",
            )


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


@lru_cache(maxsize=4)  # one run shows few, and polls every few seconds
def parse(sources: tuple[Source, Source], certificate: Secret, private_key: Secret) -> ClientCertificate:
    """Return what a profile's sources, of a certificate and of its key, hold. Raises ConfigurationError.

    Its dates are judged by ``require_valid``: what was parsed once may expire.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    source, key_source = sources
    key = _key(private_key, key_source)
    chain = _chain(certificate, source)
    own = chain[0]
    if _public_key(own) != _spki(key):
        raise KeyMismatchError(
            f"{key_source.origin}: it is not the key of {_shown(source)}",
            hint="name the key and the certificate that were made together; the client's own certificate comes first",
        )
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return ClientCertificate(
        chain="".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in chain),
        private_key=Secret(written.decode("ascii")),
        place=source.origin,
        path=source.value[0] if source.kind == "file" else "",
        subject=foreign(own.subject.rfc4514_string(), 100),
        names=_names(own),
        issuer=foreign(own.issuer.rfc4514_string(), 100),
        begins=own.not_valid_before_utc.timestamp(),
        ends=own.not_valid_after_utc.timestamp(),
        for_clients=_is_for_clients(own),
    )


def show(context: ssl.SSLContext, certificate: ClientCertificate, environ: Mapping[str, str]) -> None:
    """Let a context show a certificate to the servers that ask for one.

    ``environ`` says where a private folder can be made. Raises ConfigurationError.
    """
    import ssl

    problem = ""
    data = (certificate.chain + certificate.private_key.reveal()).encode("ascii")
    try:
        with passing_file.holding(data, environ) as path:
            context.load_cert_chain(path)
    except ssl.SSLError as error:  # a key that is too short for this machine's policy, for example
        problem = foreign(error.reason or "unusable").replace("_", " ").lower()
    except OSError as error:
        problem = foreign(error.strerror or "no room for it").lower()
    if problem:
        raise ConfigurationError(
            f"{certificate.place}: the client certificate {certificate.described} cannot be used: {problem}"
        )
    # A server may ask only when it has seen the path (Apache's <Location>): RFC 8446 §4.6.2.
    context.post_handshake_auth = True


def public_key_digest(private_key: Secret, source: Source) -> str:
    """Return the SHA-256 (hex) of a key's SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). Raises ConfigurationError."""
    import hashlib

    return hashlib.sha256(_spki(_key(private_key, source))).hexdigest()


def _shown(source: Source) -> str:
    return foreign(source.value[0]) if source.kind == "file" else source.origin.rpartition(": ")[2]


# --- the certificate --------------------------------------------------------------------------------------------------


def _chain(certificate: Secret, source: Source) -> list[Certificate]:
    from cryptography import x509

    chain: list[Certificate] = []
    text = certificate.reveal().encode("utf-8", "replace")  # a key may stand beside it
    with contextlib.suppress(ValueError):
        chain = x509.load_pem_x509_certificates(text)
    if not chain:
        where = f"{foreign(source.value[0])} holds" if source.kind == "file" else "that is"
        raise ConfigurationError(f"{source.origin}: {where} no certificate in PEM form", hint=_NO_PEM)
    return chain


def _public_key(certificate: Certificate) -> bytes:
    """Return a certificate's SubjectPublicKeyInfo; none of a kind of key that is not known, which fits no key."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return _der(certificate.public_key())
    except (UnsupportedAlgorithm, ValueError):
        return b""


def _names(certificate: Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    plain = (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name, x509.IPAddress)
    return tuple(foreign(str(name.value), 100) for name in found if isinstance(name, plain))[:4]


def _is_for_clients(certificate: Certificate) -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return True
    return bool({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usages))


# --- the key ----------------------------------------------------------------------------------------------------------


def _key(private_key: Secret, source: Source) -> Any:
    """Return cryptography's private key. Raises ConfigurationError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key, problem = None, ""
    text = private_key.reveal().encode("utf-8", "replace")
    encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in text or b"Proc-Type: 4,ENCRYPTED" in text
    try:
        key = None if encrypted else load_pem_private_key(text, password=None)
    except UnsupportedAlgorithm:
        problem = "it is a private key of a kind that is not supported"
    except (ValueError, TypeError):
        problem = "that is no private key in PEM form"
    if encrypted:
        raise ConfigurationError(
            f"{source.origin}: the private key is encrypted, and there is nobody to ask for its password", hint=_DECRYPT
        )
    if key is None:
        raise ConfigurationError(f"{source.origin}: {problem}", hint="name the key that belongs to the certificate")
    return key


def _spki(key: Any) -> bytes:
    return _der(key.public_key())


def _der(public: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return bytes(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
