"""Certificates of an authority of one's own, and the TLS of a server that has one."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# All that RFC 5280 §4.2.1.3 knows, as cryptography names them.
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Authority:
    """A certificate authority in a folder, which nobody trusts but who is given ``ca_file``."""

    def __init__(self, folder: Path, name: str = "Credential Helper Test CA") -> None:
        self.folder = folder
        self.name = name
        self.ca_file = folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = dict.fromkeys(KEY_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        certificate = (
            self._certificate(self._subject, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))

    @property
    def ca_pem(self) -> bytes:
        """Return the certificate of the authority."""
        return self.ca_file.read_bytes()

    def issue(self, stem: str) -> tuple[Path, Path]:
        """Write a certificate for 127.0.0.1, ::1 and localhost and its key, and return both files."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(ip)) for ip in ("127.0.0.1", "::1"))]
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(identifier, critical=False)  # Python 3.13 verifies strictly (RFC 5280 §4.2.1.1)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return self._write(stem, certificate, key)

    def issue_client(
        self,
        stem: str,
        name: str = "ci",
        *,
        own: bool = False,
        key: ec.EllipticCurvePrivateKey | None = None,
        begins: timedelta = timedelta(hours=-1),
        ends: timedelta = timedelta(days=2),
        usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
        names: bool = True,
    ) -> tuple[Path, Path]:
        """Write a client's certificate and its key, and return both files; ``own``: it is signed by its own key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key((key if own else self._key).public_key())
        builder = self._certificate(subject, key, subject if own else None, begins, ends)
        builder = builder.add_extension(identifier, critical=False)
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(f"{name}.test")])
            builder = builder.add_extension(alternatives, critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return self._write(stem, builder.sign(key if own else self._key, hashes.SHA256()), key)

    def _write(self, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
        files = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        files[1].chmod(0o600)
        return files

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Name | None = None,
        begins: timedelta = timedelta(hours=-1),
        ends: timedelta = timedelta(days=2),
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )


def server_tls(authority: Authority, stem: str) -> ssl.SSLContext:
    """Return the TLS of a server whose certificate the authority issues, into files of that stem."""
    certificate, key = authority.issue(stem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
