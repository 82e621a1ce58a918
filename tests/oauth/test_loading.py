"""PyJWT as we load it does all that it does, and leaves whoever imports the same modules later alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import credential_helper

BEGIN = f"""
import sys; sys.path.insert(0, {str(Path(credential_helper.__file__).parents[1])!r})
from credential_helper import lean
lean.load_msgspec()
from credential_helper.oauth.loading import load_jwt
load_jwt()
import jwt
"""


def python(code: str) -> list[str]:
    """Run code in a process that has loaded PyJWT as we do; return its lines."""
    done = subprocess.run([sys.executable, "-I", "-c", BEGIN + code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_algorithm_signs_and_verifies() -> None:
    code = """
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
rsa_key = rsa.generate_private_key(65537, 2048)
keys = {
    "RS256": rsa_key, "PS512": rsa_key, "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate(), "HS256": "k" * 32,
}
for name, key in keys.items():
    public = key if name == "HS256" else key.public_key()
    print(jwt.decode(jwt.encode({"sub": name}, key, algorithm=name), public, algorithms=[name])["sub"])
"""
    assert python(code) == ["RS256", "PS512", "ES256", "ES512", "EdDSA", "HS256"]


def test_what_is_loaded_late_is_there_when_it_is_needed() -> None:
    code = """
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
public = ed25519.Ed25519PrivateKey.generate().public_key()
written = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
print(jwt.algorithms.OKPAlgorithm().prepare_key(written) == public)
print(type(jwt.PyJWKClient("https://login.example.com/keys")).__name__)
try:
    jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).prepare_key(
        "-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n"
    )
except Exception as error:
    print(type(error).__name__)
from cryptography import x509
from cryptography.x509 import Certificate
print(x509.Certificate is Certificate, x509.__file__ is not None)
"""
    assert python(code) == ["True", "PyJWKClient", "InvalidKeyError", "True True"]
