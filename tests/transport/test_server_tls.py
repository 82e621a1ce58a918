"""The certificate of an https redirect URI: what a browser would refuse is refused before anybody is asked."""

from __future__ import annotations

import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from credential_helper.errors import ConfigurationError
from credential_helper.transport.server_tls import server_tls

NOW = time.time()


class Files:
    """A certificate and its key."""

    def __init__(self, folder: Path, stem: str = "one") -> None:
        self.certificate = folder / f"{stem}.pem"
        self.key = folder / f"{stem}-key.pem"

    def write(
        self,
        *names: str,
        begins: float = -3600.0,
        ends: float = 3600.0,
        password: bytes | None = None,
        subject_alone: bool = False,
    ) -> Files:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        at = datetime.fromtimestamp(NOW, UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at + timedelta(seconds=begins))
            .not_valid_after(at + timedelta(seconds=ends))
        )
        if not subject_alone:
            several: list[x509.GeneralName] = [
                x509.IPAddress(ip_address(one)) if one[0].isdigit() or ":" in one else x509.DNSName(one)
                for one in names or ("localhost", "127.0.0.1", "::1")
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(several), critical=False)
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
        self.certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        self.key.chmod(0o600)
        return self


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def made(files: Files, host: str = "localhost") -> ssl.SSLContext:
    return server_tls(str(files.certificate), str(files.key), host=host, now=NOW)


def refused(files: Files, host: str = "localhost") -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        made(files, host)
    assert "PRIVATE" not in repr(caught.value)
    return caught.value


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_certificate_for_the_host_and_its_key_will_do(files: Files, host: str) -> None:
    assert isinstance(made(files.write(), host), ssl.SSLContext)


@pytest.mark.parametrize(
    ("begins", "ends", "sentence"),
    [(-7200.0, -60.0, "has expired ("), (60.0, 7200.0, "is not valid yet (")],
)
def test_a_certificate_whose_time_is_not_now_is_told(files: Files, begins: float, ends: float, sentence: str) -> None:
    error = refused(files.write(begins=begins, ends=ends))
    assert error.sentence.startswith(f"redirect_certificate {files.certificate} {sentence}")
    assert error.hint == "mkcert 127.0.0.1 localhost ::1"


def test_a_certificate_for_another_host_is_told(files: Files) -> None:
    error = refused(files.write("dev.example.com", "127.0.0.1"))
    assert error.sentence.endswith(
        " is for 127.0.0.1, dev.example.com, not for localhost, where redirect_uri points to"
    )


def test_a_name_in_the_subject_alone_is_no_name_to_a_browser(files: Files) -> None:
    assert "that names its hosts" in refused(files.write(subject_alone=True)).sentence


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_told(files: Files, content: bytes) -> None:
    files.write().certificate.write_bytes(content)
    assert "holds no certificate in PEM form" in refused(files).sentence


def test_a_key_of_another_certificate_is_told(tmp_path: Path, files: Files) -> None:
    other = Files(tmp_path, "other").write()
    files.write().key.write_bytes(other.key.read_bytes())
    assert " is not the key of " in refused(files).sentence


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(files: Files, mode: int) -> None:
    files.write().key.chmod(mode)
    error = refused(files)
    assert error.sentence == f"redirect_private_key {files.key} can be read by others"
    assert error.hint == f"chmod 600 {files.key}"


def test_an_encrypted_key_and_what_is_no_key_are_told(files: Files) -> None:
    error = refused(files.write(password=b"hunter2"))
    assert "is encrypted" in error.sentence
    assert "hunter2" not in f"{error.sentence} {error.hint}"
    files.key.write_bytes(b"nothing")
    assert "holds no private key in PEM form" in refused(files).sentence


def test_files_that_are_none_are_told_and_not_waited_for(files: Files) -> None:
    files.write().certificate.unlink()
    assert "cannot be read: no such file" in refused(files).sentence
    files.write().key.unlink()
    os.mkfifo(files.key)
    assert "is not a regular file" in refused(files).sentence
