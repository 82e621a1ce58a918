"""Which certificates count, against real servers with TLS; and which files may say so."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from credential_helper.errors import ConfigurationError, TransportError
from credential_helper.transport.client import Transport
from integration.servers.hostile_provider import HostileProvider, answer
from tests.helpers.clock import FakeClock
from tests.helpers.programs import CHECKOUT


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL itself reads these two."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.fixture(scope="module")
def between() -> Iterator[HostileProvider]:
    """Serve under a certificate that an intermediate CA issued."""
    with HostileProvider(tls="intermediate") as provider:
        provider.script("/x", answer({}))
        yield provider


@pytest.fixture(scope="module")
def good() -> Iterator[HostileProvider]:
    with HostileProvider(tls="good") as provider:
        provider.script("/x", answer({}))
        yield provider


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return tmp_path / "ca.pem"


def trusts(provider: HostileProvider, ca_file: Path | str, notes: list[str] | None = None) -> bool:
    """Say whether a profile with that ca_file trusts a server."""
    note = (lambda _: None) if notes is None else notes.append
    transport = Transport(clock=FakeClock(), environ=os.environ, ca_file=str(ca_file), note=note)
    try:
        return transport.get(f"{provider.url}/x").status == 200
    except TransportError as error:
        said = error
    assert said.sentence.endswith("is not trusted on this machine")
    assert said.hint == f"ca_file {ca_file} does not hold that issuer's certificate: add it to the file"
    return False


def refusal(ca_file: Path | str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Transport(clock=FakeClock(), ca_file=str(ca_file)).get("https://provider.test/")
    return caught.value


# --- what a ca_file may hold ------------------------------------------------------------------------------------------


def test_the_issuing_ca_is_trusted_root_or_not(between: HostileProvider) -> None:
    assert trusts(between, between.intermediate_file)
    assert trusts(between, between.ca_file)


def test_the_issuing_ca_is_not_trusted_for_what_another_issued(between: HostileProvider, good: HostileProvider) -> None:
    assert not trusts(good, between.intermediate_file)


@pytest.mark.parametrize("tls", ["good", "self-signed"])
def test_a_servers_own_certificate_is_trusted_for_this_server(tls: str, good: HostileProvider) -> None:
    with HostileProvider(tls="self-signed" if tls == "self-signed" else "good") as own:
        own.script("/x", answer({}))
        assert trusts(own, own.certificate), "its private key stands in the same file, and is passed over"
        assert not trusts(good, own.certificate)


def test_a_servers_own_certificate_is_no_excuse_for_another_name() -> None:
    with HostileProvider(tls="other-host") as other, pytest.raises(TransportError, match="is for another host"):
        Transport(clock=FakeClock(), ca_file=other.certificate).get(f"{other.url}/x")


def test_one_of_several_is_enough(between: HostileProvider, good: HostileProvider, ca_file: Path) -> None:
    with HostileProvider(tls="self-signed") as other:
        files = (other.certificate, between.intermediate_file, good.ca_file)
        ca_file.write_text("# our own\n".join(Path(file).read_text() for file in files))
    notes: list[str] = []
    assert trusts(between, ca_file, notes)
    assert f"ca_file {ca_file} holds 3 certificates" in notes


def pem(provider: HostileProvider) -> bytes:
    return Path(provider.ca_file).read_bytes()


def test_how_it_may_be_written(good: HostileProvider, ca_file: Path) -> None:
    plain = pem(good)
    broken = b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
    forms = {
        "with words": "# T\xfcrktrust\nIssuer: us\n".encode("latin-1") + plain + b"thanks",
        "crlf": plain.replace(b"\n", b"\r\n"),
        "no last line end": plain.rstrip(),
        "byte order mark": b"\xef\xbb\xbf" + plain,
        "utf-16": plain.decode().encode("utf-16"),
        "twice": plain + plain,
        "a broken one before it": broken + plain,
        "a key before it": Path(good.certificate).read_bytes().partition(b"-----BEGIN CERT")[0] + plain,
        "der": ssl.PEM_cert_to_DER_cert(plain.decode()),
    }
    for form, content in forms.items():
        ca_file.write_bytes(content)
        assert trusts(good, ca_file), form


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", None),
        (b"no certificate", None),
        (b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n", None),
        (b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", None),
        (b"-----BEGIN CERTIFICATE-----\n", None),
        (b"\x30\x03abc", None),
        (b"-----BEGIN PKCS7-----\n-----END PKCS7-----\n", "openssl pkcs7 -print_certs -in {} -out ca.pem"),
        (b"-----BEGIN TRUSTED CERTIFICATE-----\n-----END", "openssl x509 -in {} -out ca.pem"),
    ],
)
def test_a_file_without_a_certificate(content: bytes, hint: str | None, ca_file: Path) -> None:
    ca_file.write_bytes(content)
    error = refusal(ca_file)
    assert error.sentence == f"ca_file {ca_file} holds no certificate in PEM form"
    assert error.hint == (None if hint is None else hint.format(ca_file))


# --- which file may be one --------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
def test_only_a_regular_file_is_read(ca_file: Path, tmp_path: Path) -> None:
    os.mkfifo(ca_file)
    assert refusal(ca_file).sentence == f"ca_file {ca_file} is not a regular file"
    assert refusal(tmp_path).sentence == f"ca_file {tmp_path} is not a regular file"
    assert refusal("/dev/zero").sentence == "ca_file /dev/zero is not a regular file"
    assert refusal("/dev/null").sentence == "ca_file /dev/null is not a regular file"


def test_a_file_without_end_is_not_read_to_it(ca_file: Path) -> None:
    with ca_file.open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(ca_file).sentence == f"ca_file {ca_file} is larger than 4096 KiB"


def test_a_link_to_a_file_is_that_file(good: HostileProvider, ca_file: Path) -> None:
    ca_file.symlink_to(good.ca_file)
    assert trusts(good, ca_file)


@pytest.mark.skipif(sys.platform == "win32", reason="the folder's ACL is trusted there")
@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_a_file_that_others_may_write_is_refused(mode: int, good: HostileProvider, tmp_path: Path) -> None:
    ca_file = tmp_path / "our ca.pem"
    shutil.copy(good.ca_file, ca_file)
    ca_file.chmod(mode)
    error = refusal(ca_file)
    assert error.sentence == f"others may write to ca_file {ca_file}, and so choose what is trusted"
    assert error.hint == f"chmod go-w '{ca_file}'"
    ca_file.chmod(0o644)
    assert trusts(good, ca_file)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(good: HostileProvider, ca_file: Path) -> None:
    shutil.copy(good.ca_file, ca_file)
    os.chown(ca_file, 65534, -1)
    assert refusal(ca_file).sentence == f"ca_file {ca_file} belongs to somebody else, who could choose what is trusted"


# --- the system's -----------------------------------------------------------------------------------------------------

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="these variables name the system's roots there")


def without(provider: HostileProvider, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Exception | None:
    """Ask a server without a ca_file, in an environment; return what went wrong."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    try:
        assert Transport(clock=FakeClock(), environ=os.environ).get(f"{provider.url}/x").status == 200
    except (TransportError, ConfigurationError) as error:
        return error
    return None


@on_linux
def test_a_folder_of_certificates_without_hashed_names_is_read(
    good: HostileProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (first / "README").write_text("nothing")
    (first / "sub").mkdir()
    os.mkfifo(first / "fifo")
    shutil.copy(good.ca_file, second / "corp.crt")
    assert without(good, {"SSL_CERT_DIR": f"{first}:/nowhere:{second}"}, monkeypatch) is None
    (second / "01234567.0").symlink_to("corp.crt")  # made for OpenSSL: it looks for itself, and for another name
    assert isinstance(without(good, {}, monkeypatch), TransportError)


@on_linux
def test_the_issuing_ca_may_be_the_systems(between: HostileProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    assert without(between, {"SSL_CERT_FILE": between.intermediate_file}, monkeypatch) is None


@on_linux
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_hint_names_a_variable_that_takes_the_place_of_the_systems(
    variable: str, good: HostileProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = without(good, {variable: str(tmp_path / "nothing")}, monkeypatch)
    assert isinstance(error, TransportError)
    assert error.hint is not None
    assert error.hint.endswith(f"as ca_file in the profile; {variable} says where this machine's are")


@on_linux
def test_a_fifo_as_the_systems_file_is_refused(
    good: HostileProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    error = without(good, {"SSL_CERT_FILE": str(tmp_path / "fifo")}, monkeypatch)
    assert isinstance(error, ConfigurationError)
    assert error.sentence == f"SSL_CERT_FILE {tmp_path / 'fifo'} is not a regular file"
    assert isinstance(without(good, {"SSL_CERT_FILE": str(tmp_path)}, monkeypatch), TransportError), "passed over"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY"])
def test_variables_of_other_programs_mean_nothing(
    variable: str, good: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(without(good, {variable: good.ca_file}, monkeypatch), TransportError)


# --- the folder that OpenSSL looks into by itself ---------------------------------------------------------------------

FOLDER = """
import ssl, sys; sys.path.insert(0, sys.argv[1])
from credential_helper.errors import CredentialHelperError
from credential_helper.system.clock import SystemClock
from credential_helper.transport.client import Transport
_, _, url, folder, bundle, ca_file = sys.argv
own = ssl.get_default_verify_paths()
default = own._replace(cafile=bundle or None, capath=folder or None)
ssl.get_default_verify_paths = lambda: default
ssl.SSLContext.set_default_verify_paths = lambda self: self.load_verify_locations(bundle or None, folder or None)
lines = []
try:
    print(Transport(clock=SystemClock(), environ={}, ca_file=ca_file or None, note=lines.append).get(url).status)
except CredentialHelperError as error:
    print(error.sentence)
print("truststore" if "truststore" in sys.modules else "folder", sum("judged once more" in line for line in lines))
"""


def hashed(folder: Path, provider: HostileProvider) -> str:
    """Put a provider's authority into a folder as c_rehash does."""
    folder.mkdir()
    command = ["openssl", "x509", "-noout", "-hash", "-in", provider.ca_file]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    shutil.copy(provider.ca_file, folder / f"{name}.0")
    return str(folder)


def by_folder(provider: HostileProvider, folder: str = "", bundle: str = "", ca_file: str = "") -> tuple[str, str]:
    """Ask a server on a machine whose OpenSSL has this folder and this bundle; say what read the roots."""
    command = [sys.executable, "-I", "-c", FOLDER, str(CHECKOUT), f"{provider.url}/x", folder, bundle, ca_file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said, by = done.stdout.splitlines()
    return said, by


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl tells the name of a root's file")


@on_linux
@needs_openssl
def test_a_root_in_the_folder_is_found_without_reading_the_others(good: HostileProvider, tmp_path: Path) -> None:
    assert by_folder(good, hashed(tmp_path / "certs", good)) == ("200", "folder 0")


@on_linux
@needs_openssl
def test_ca_file_is_added_to_the_folder(between: HostileProvider, good: HostileProvider, tmp_path: Path) -> None:
    folder = hashed(tmp_path / "certs", good)
    assert by_folder(between, folder, ca_file=between.intermediate_file) == ("200", "folder 0")


@on_linux
@needs_openssl
def test_what_somebody_added_to_the_bundle_alone_is_trusted(good: HostileProvider, tmp_path: Path) -> None:
    with HostileProvider(tls="self-signed") as other:
        other.script("/x", answer({}))
        folder = hashed(tmp_path / "certs", good)
        assert by_folder(other, folder, bundle=other.certificate) == ("200", "truststore 1")
        assert len(other.requests) == 1


@on_linux
@needs_openssl
def test_what_neither_holds_is_refused_by_its_issuers_name(good: HostileProvider, tmp_path: Path) -> None:
    with HostileProvider(tls="self-signed") as other:
        said, by = by_folder(other, hashed(tmp_path / "certs", good), bundle=good.ca_file)
        assert other.requests == []
    assert said == (f"the certificate of {other.host}, issued by 'hostile provider', is not trusted on this machine")
    assert by == "truststore 1"


@on_linux
@needs_openssl
@pytest.mark.parametrize(("tls", "says"), [("expired", "has expired"), ("other-host", "is for another host")])
def test_more_roots_mend_neither_a_date_nor_a_name(
    tls: Literal["expired", "other-host"], says: str, tmp_path: Path
) -> None:
    with HostileProvider(tls=tls) as provider:
        said, by = by_folder(provider, hashed(tmp_path / "certs", provider))
    assert said == f"the certificate of {provider.host}, issued by 'Hostile Test CA', {says}"
    assert by == "folder 0"


@on_linux
def test_a_folder_without_hashed_names_is_left_to_truststore(good: HostileProvider, tmp_path: Path) -> None:
    shutil.copy(good.ca_file, tmp_path / "corp.pem")
    said, by = by_folder(good, str(tmp_path), bundle=good.ca_file)
    assert (said, by) == ("200", "truststore 0")
    assert by_folder(good, "", bundle=good.ca_file) == ("200", "truststore 0")
