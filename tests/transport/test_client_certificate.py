"""A client certificate against real servers that demand one, and what is wrong with one before any is asked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from credential_helper.errors import AuthorizationError, ConfigurationError, CredentialHelperError, TransportError
from credential_helper.model import Secret, Source
from credential_helper.transport import client_certificate
from credential_helper.transport.client import Transport
from credential_helper.transport.client_certificate import ClientCertificate, KeyMismatchError
from integration.servers.hostile_provider import Exchange, HostileProvider, answer, redirect, reset, tunnel
from integration.servers.proxy import RecordingProxy
from integration.servers.tls import Authority
from tests.helpers.assertions import pem
from tests.helpers.clock import FakeClock
from tests.helpers.programs import DEADLINE

PROFILE = "config.toml: profiles.prod.tls"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(name)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "Corp CA")


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def strict(request: pytest.FixtureRequest, authority: Authority) -> Iterator[HostileProvider]:
    """Serve only clients with a certificate of the authority; in TLS 1.2 and, with later alerts, in TLS 1.3."""
    with HostileProvider(tls="good", clients=authority.ca_file, version=request.param) as provider:
        provider.script("/token", answer({}))
        yield provider


def sources(certificate: Path | str, key: Path | str) -> tuple[Source, Source]:
    return (
        Source(kind="file", value=(str(certificate),), origin=f"{PROFILE}.certificate", public=True),
        Source(kind="file", value=(str(key),), origin=f"{PROFILE}.private_key.file"),
    )


def parsed(certificate: Path, key: Path) -> ClientCertificate:
    texts = (Secret(path.read_text()) for path in (certificate, key))
    return client_certificate.parse(sources(certificate, key), *texts)


def posted(
    provider: HostileProvider,
    certificate: ClientCertificate | None,
    environ: dict[str, str] | None = None,
    host: str = "",
) -> int:
    transport = Transport(clock=FakeClock(time.time()), environ=environ or {}, ca_file=provider.ca_file)
    return transport.post(f"https://{host or provider.host}/token", [("a", "b")], certificate=certificate).status


def refused(provider: HostileProvider, certificate: ClientCertificate | None) -> AuthorizationError:
    with pytest.raises(AuthorizationError) as caught:
        posted(provider, certificate)
    assert caught.value.exit_code == 77
    assert not provider.requests
    return caught.value


def der(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(file.read_text())


def day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


# --- shown ------------------------------------------------------------------------------------------------------------


def test_it_is_shown_to_a_server_that_asks(strict: HostileProvider, authority: Authority) -> None:
    files = authority.issue_client("ci")
    assert posted(strict, parsed(*files)) == 200
    assert [request.certificate for request in strict.requests] == [der(files[0])]


def test_what_it_was_issued_by_goes_along(authority: Authority) -> None:
    files = authority.issue_client("ci")
    files[0].write_bytes(b"Bag Attributes\n  friendlyName: ci\n" + files[0].read_bytes() + authority.ca_pem)
    found = parsed(*files)
    assert found.chain.count("BEGIN CERTIFICATE") == 2
    assert found.subject == "CN=ci"


def test_one_file_may_hold_both(strict: HostileProvider, authority: Authority) -> None:
    certificate, key = authority.issue_client("ci")
    both = authority.folder / "both.pem"
    for content in (certificate.read_bytes() + key.read_bytes(), key.read_bytes() + certificate.read_bytes()):
        both.write_bytes(content)
        assert posted(strict, parsed(both, both)) == 200


@pytest.mark.parametrize("environ", ["http", "socks5h"])
def test_it_goes_through_a_proxy_to_the_host_behind_it(
    strict: HostileProvider, authority: Authority, environ: str
) -> None:
    with RecordingProxy(to=strict.port) as proxy:
        variables = {"HTTPS_PROXY": f"{environ}://{proxy.host}"}
        assert posted(strict, parsed(*authority.issue_client("ci")), variables, "provider.test") == 200
        assert [asked.host for asked in proxy.asked] == ["provider.test"]


def test_a_server_may_ask_when_it_has_seen_the_path(authority: Authority) -> None:
    """As Apache does for a <Location> (RFC 8446 §4.6.2)."""
    before: list[bytes | None] = []

    def late(exchange: Exchange) -> None:
        connection = exchange.connection
        assert isinstance(connection, ssl.SSLSocket)
        before.append(connection.getpeercert(binary_form=True))
        connection.verify_client_post_handshake()
        connection.do_handshake()
        connection.setblocking(False)
        while connection.getpeercert(binary_form=True) is None and select.select([connection], [], [], DEADLINE)[0]:
            with contextlib.suppress(ssl.SSLWantReadError):
                connection.read(1)
        connection.setblocking(True)
        exchange.received.certificate = connection.getpeercert(binary_form=True)
        answer({})(exchange)

    files = authority.issue_client("ci")
    with HostileProvider(tls="good", clients=authority.ca_file) as provider:
        assert provider._server.context is not None
        provider._server.context.post_handshake_auth = True
        provider.script("/token", late)
        assert posted(provider, parsed(*files)) == 200
        assert [*before, provider.requests[0].certificate] == [None, der(files[0])]


@pytest.mark.parametrize("proxy_tls", [None, "good"])
def test_it_is_shown_and_refused_behind_either_kind_of_proxy(
    strict: HostileProvider, authority: Authority, proxy_tls: Literal["good"] | None
) -> None:
    with HostileProvider(tls=proxy_tls) as proxy:
        proxy.script("provider.test:443", tunnel(strict.port))
        environ = {"HTTPS_PROXY": proxy.url}
        files = authority.issue_client("ci")
        assert posted(strict, parsed(*files), environ, "provider.test") == 200
        own = parsed(*authority.issue_client("own", own=True))
        with pytest.raises((AuthorizationError, TransportError)) as caught:  # a proxy may lose the alert of TLS 1.3
            posted(strict, own, environ, "provider.test")
        said = caught.value
        assert own.described in (said.sentence if isinstance(said, AuthorizationError) else said.hint or "")
        assert [request.certificate for request in strict.requests] == [der(files[0])]
        assert [request.certificate for request in proxy.requests] == [None, None]


def test_a_proxy_never_sees_it(authority: Authority) -> None:
    """Not even one that asks every client for a certificate, as the host behind it may."""
    files = authority.issue_client("ci")
    with HostileProvider(tls="good", clients=authority.ca_file) as proxy:
        environ = {"HTTPS_PROXY": f"https://{proxy.host}"}
        transport = Transport(clock=FakeClock(time.time()), environ=environ, ca_file=proxy.ca_file)
        with pytest.raises(TransportError) as caught:
            transport.post("https://provider.test/token", [], certificate=parsed(*files))
        assert f"cannot be reached through the proxy {proxy.host}: " in caught.value.sentence
        assert not proxy.requests


def test_another_request_of_the_same_transport_does_not_show_it(authority: Authority) -> None:
    with HostileProvider(tls="good") as public, HostileProvider(tls="good", clients=authority.ca_file) as strict:
        for provider in (public, strict):
            provider.script("/token", answer({}))
        transport = Transport(clock=FakeClock(time.time()), ca_file=strict.ca_file)
        transport.post(f"{strict.url}/token", [], certificate=parsed(*authority.issue_client("ci")))
        with pytest.raises(AuthorizationError, match="wants a client certificate"):
            transport.get(f"{strict.url}/token")
        assert transport.post(f"{public.url}/token", []).status == 200
        assert public.requests[0].certificate is None


def test_no_redirect_takes_it_elsewhere(strict: HostileProvider, authority: Authority) -> None:
    with HostileProvider(tls="good", clients=authority.ca_file) as other:
        strict.script("/token", redirect(307, f"{other.url}/token"))
        with pytest.raises(TransportError, match="no redirect is followed"):
            posted(strict, parsed(*authority.issue_client("ci")))
        assert not other.requests


def test_without_tls_there_is_nothing_to_show_it_in(authority: Authority) -> None:
    with HostileProvider() as plain, pytest.raises(TransportError, match="no client certificate can be shown to 127"):
        Transport(clock=FakeClock()).post(f"{plain.url}/token", [], certificate=parsed(*authority.issue_client("ci")))


def test_a_server_whose_certificate_is_not_trusted_gets_no_request(
    strict: HostileProvider, authority: Authority
) -> None:
    transport = Transport(clock=FakeClock(time.time()))
    with pytest.raises(TransportError, match="is not trusted on this machine"):
        transport.post(f"{strict.url}/token", [], certificate=parsed(*authority.issue_client("ci")))
    assert not strict.requests


# --- refused by the server --------------------------------------------------------------------------------------------


def test_one_of_another_authority_is_refused(strict: HostileProvider, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = Authority(tmp_path / "other", "Other CA").issue_client("ci")
    error = refused(strict, parsed(*files))
    about = f"{files[0]} (CN=ci, valid until {day(time.time() + 2 * 86400)})"
    assert error.sentence == f"{strict.host} refused the client certificate {about} (unknown ca)"
    assert error.hint == (
        "register it with the provider, or what issued it (CN=Other CA); certificates in between stand after it in its "
        "file"
    )


def test_one_that_signs_itself_is_refused_where_an_authority_is_wanted(
    strict: HostileProvider, authority: Authority
) -> None:
    assert "refused the client certificate" in refused(strict, parsed(*authority.issue_client("ci", own=True))).sentence


def test_one_that_the_server_finds_expired(strict: HostileProvider, authority: Authority) -> None:
    """By this machine's clock it may be good."""
    error = refused(strict, parsed(*authority.issue_client("ci", ends=timedelta(minutes=-1))))
    assert error.sentence.endswith("(certificate expired)")
    assert error.hint == "by the server's clock it, or what issued it, has expired: renew it"


def test_one_that_is_not_for_clients(strict: HostileProvider, authority: Authority) -> None:
    """Public authorities issue no others any more."""
    error = refused(strict, parsed(*authority.issue_client("ci", usage=ExtendedKeyUsageOID.SERVER_AUTH)))
    assert error.hint is not None
    assert error.hint.endswith("; its extended key usage lacks clientAuth, which many servers demand")


def test_a_server_that_wants_one_and_gets_none_in_tls_1_3(authority: Authority) -> None:
    with HostileProvider(tls="good", clients=authority.ca_file) as strict:
        error = refused(strict, None)
    assert error.sentence == f"{strict.host} wants a client certificate (mutual TLS)"
    assert error.hint is not None
    assert error.hint.startswith("tls = { certificate = …, private_key = … } in the profile shows one")


def test_a_server_that_says_no_by_closing_the_connection(authority: Authority) -> None:
    with HostileProvider(tls="good", clients=authority.ca_file) as strict:
        strict.script("/token", reset())
        found = parsed(*authority.issue_client("ci"))
        with pytest.raises(TransportError) as caught:
            posted(strict, found)
    assert caught.value.sentence == f"{strict.host} broke the connection off before its answer was complete"
    assert caught.value.hint == f"some servers refuse a client certificate so; it saw {found.described}"


# --- refused before a handshake ---------------------------------------------------------------------------------------


def unusable(certificate: Path, key: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        parsed(certificate, key)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None, "a library's exception may hold the key"
    return caught.value


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [(-2, -1, "has expired"), (-1, 0, "has expired"), (2, 3, "is not valid before"), (-1, 1, None)],
)
def test_its_time(authority: Authority, begins: int, ends: int, words: str | None) -> None:
    files = authority.issue_client("ci", begins=timedelta(days=begins), ends=timedelta(days=ends))
    found = parsed(*files)
    if words is None:
        found.require_valid(time.time())
        return
    with pytest.raises(ConfigurationError) as caught:
        found.require_valid(time.time())
    sentence = caught.value.sentence
    assert sentence.startswith(f"{PROFILE}.certificate: the client certificate {files[0]} (CN=ci, valid until ")
    assert words in sentence
    assert day(found.ends) in sentence
    assert caught.value.hint


def test_it_may_come_from_a_clock_that_is_a_little_fast(authority: Authority) -> None:
    found = parsed(*authority.issue_client("ci"))
    found.require_valid(found.begins - 59)
    with pytest.raises(ConfigurationError):
        found.require_valid(found.begins - 61)


def test_a_key_of_another_certificate(authority: Authority) -> None:
    one, other = authority.issue_client("one"), authority.issue_client("other")
    error = unusable(one[0], other[1])
    assert isinstance(error, KeyMismatchError)
    assert error.sentence == f"{PROFILE}.private_key.file: it is not the key of {one[0]}"
    one[0].write_bytes(other[0].read_bytes() + one[0].read_bytes())  # the own one comes first
    assert isinstance(unusable(one[0], one[1]), KeyMismatchError)


def test_a_key_that_is_encrypted(authority: Authority) -> None:
    certificate, key = authority.issue_client("ci")
    private = load_pem_private_key(key.read_bytes(), None)
    key.write_text(pem(private, password=b"x"))
    error = unusable(certificate, key)
    assert error.sentence == (
        f"{PROFILE}.private_key.file: the private key is encrypted, and there is nobody to ask for its password"
    )
    assert error.hint == "decrypt it, and keep it private: openssl pkey -in OLD -out key.pem"


def test_what_is_no_certificate_and_what_is_no_key(authority: Authority) -> None:
    certificate, key = authority.issue_client("ci")
    broken = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
    for content in ("", "hunter2", key.read_text(), broken):
        file = authority.folder / "broken.pem"
        file.write_text(content)
        error = unusable(file, key)
        assert error.sentence == f"{PROFILE}.certificate: {file} holds no certificate in PEM form"
        assert error.hint
    for content in ("", "hunter2", certificate.read_text(), key.read_text()[:100], '{"kty": "EC"}'):
        file = authority.folder / "broken.key"
        file.write_text(content)
        error = unusable(certificate, file)
        assert error.sentence == f"{PROFILE}.private_key.file: that is no private key in PEM form"
        assert "hunter2" not in f"{error!r}{error.hint}"


def test_a_key_that_signs_nothing_fits_no_certificate(authority: Authority) -> None:
    certificate, key = authority.issue_client("ci")
    key.write_text(pem(x25519.X25519PrivateKey.generate()))
    assert isinstance(unusable(certificate, key), KeyMismatchError)


def test_a_key_that_is_too_short_for_this_machine(authority: Authority) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    files = authority.issue_client("ci", own=True, key=short)  # type: ignore[arg-type]
    with HostileProvider(tls="good") as provider, pytest.raises(CredentialHelperError) as caught:
        posted(provider, parsed(*files))
    assert caught.value.exit_code == 78
    assert caught.value.sentence.endswith("cannot be used: ee key too small")


# --- what is said of it -----------------------------------------------------------------------------------------------


def test_its_repr_has_no_key_in_it(authority: Authority) -> None:
    found = parsed(*authority.issue_client("ci"))
    assert "PRIVATE KEY" not in repr(found)
    assert found.names == ("ci.test",)
    assert found.issuer == "CN=Corp CA"


def test_what_a_certificate_calls_itself_is_foreign(authority: Authority) -> None:
    found = parsed(*authority.issue_client("ci", "\x1b[31mevil\u202e", names=False))
    assert found.described.isprintable()
    assert "\u202e" not in found.described


def test_the_digest_of_the_key_outlives_the_certificate(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    source = sources("c", "k")[1]
    digests = set()
    for stem in ("one", "renewed"):
        certificate, file = authority.issue_client(stem, key=key)
        digests.add(client_certificate.public_key_digest(Secret(file.read_text()), source))
        spki = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
        written = spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert digests == {hashlib.sha256(written).hexdigest()}
    other = authority.issue_client("other")[1]
    assert client_certificate.public_key_digest(Secret(other.read_text()), source) not in digests
