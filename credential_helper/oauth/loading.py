"""PyJWT, without what it loads for what is never used here: a third of the time."""

from __future__ import annotations

from credential_helper import lean

# A client that fetches keys, dates, certificates, keys of ssh. cryptography's own modules take these names from it.
_LATER = {
    "calendar": ("timegm",),
    "cryptography.x509": (),
    "cryptography.hazmat.primitives.serialization.ssh": (
        *("SSHCertificate", "SSHCertificateBuilder", "SSHCertificateType", "SSHCertPrivateKeyTypes"),
        *("SSHCertPublicKeyTypes", "SSHPrivateKeyTypes", "SSHPublicKeyTypes", "load_ssh_private_key"),
        *("load_ssh_public_identity", "load_ssh_public_key", "ssh_key_fingerprint"),
    ),
    "jwt.jwks_client": ("PyJWKClient",),
    "random": (),
}


def load_jwt() -> None:
    """Import it, before anything else of ours does."""
    lean.load("jwt", later=_LATER)
