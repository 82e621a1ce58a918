"""Clients that show a certificate (RFC 8705), and profiles of them."""

from __future__ import annotations

import base64
import hashlib
import shutil
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from jwt.algorithms import ECAlgorithm

from integration.servers.oidc import AUDIENCE, DEVICE_CODE_GRANT, Face

MACHINE, PERSON = "machine-with-a-certificate", "cli-with-a-certificate"
GRANTS = {MACHINE: ["client_credentials"], PERSON: [DEVICE_CODE_GRANT, "refresh_token"]}
FLOWS = {MACHINE: "client-credentials", PERSON: "device"}


class Files(NamedTuple):
    """A certificate and its key, in a home."""

    certificate: Path
    key: Path

    @property
    def sha256(self) -> str:
        """Return what the provider records of the certificate."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())


def keep(home: Mapping[str, str], issued: tuple[Path, Path]) -> Files:
    """Copy a certificate and its key into a home, over those that are there."""
    files = Files(Path(home["HOME"], "tls.crt"), Path(home["HOME"], "tls.key"))
    for source, target in zip(issued, files, strict=True):
        shutil.copy(source, target)
    return files


def register(face: Face, client_id: str, *, name: str = "ci", own: Path | None = None, **metadata: Any) -> None:
    """Let a client in that shows a certificate for that name, or (``own``) this very one."""
    if own is None:
        metadata |= {"authentication": "tls_client_auth", "tls_client_auth_subject_dn": f"CN={name}"}
    else:
        certificate = x509.load_pem_x509_certificate(own.read_bytes())
        public = certificate.public_key()
        assert isinstance(public, EllipticCurvePublicKey)
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
        chain = [base64.b64encode(ssl.PEM_cert_to_DER_cert(own.read_text())).decode()]
        jwk.pop("key_ops", None)
        jwks = {"keys": [{**jwk, "x5c": chain, "use": "sig"}]}
        metadata |= {"authentication": "self_signed_tls_client_auth", "jwks": jwks}
    face.add_client(client_id, grant_types=GRANTS[client_id], **metadata)


def profile(face: Face, client_id: str, tls: Mapping[str, object], **more: object) -> dict[str, Any]:
    """Return a profile whose ``tls`` is this table."""
    settings = {"issuer": face.issuer, "client_id": client_id, "flow": FLOWS[client_id], "audience": AUDIENCE}
    return {**settings, "ca_file": face.ca_file, "tls": dict(tls), **more}
