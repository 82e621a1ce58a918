"""A client that shows a certificate: to whom, which one, and what is said when it does not do."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from credential_helper.errors import AuthorizationError, ConfigurationError
from credential_helper.model import Profile, Secret, Source
from credential_helper.oauth import client_authentication
from credential_helper.oauth.client_authentication import tls
from credential_helper.oauth.endpoints import revocation, token_endpoint
from credential_helper.oauth.provider import Provider
from credential_helper.text import Note, silent
from credential_helper.transport.client import Transport
from credential_helper.transport.client_certificate import KeyMismatchError
from integration.servers.hostile_provider import Behaviour, HostileProvider, answer, oauth_error
from integration.servers.tls import Authority
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS
from tests.helpers.providers import OPENID, Memory

PROFILE = "config.toml: profiles.prod.tls"
Files = tuple[Path, Path]
NOW = time.time()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "Corp CA")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)  # the servers' own TLS goes by the real time


@pytest.fixture
def strict(clock: FakeClock, authority: Authority) -> Iterator[HostileProvider]:
    """Run the provider's addresses for mutual TLS."""
    with HostileProvider(tls="good", clients=authority.ca_file, now=clock.now) as provider:
        provider.script("/token", answer(TOKENS))
        provider.script("/revoke", answer({}))
        yield provider


@pytest.fixture
def hostile(clock: FakeClock, strict: HostileProvider) -> Iterator[HostileProvider]:
    """Run the provider that says where those are."""
    with HostileProvider(tls="good", now=clock.now) as provider:
        aliases = {"token_endpoint": f"{strict.url}/token", "revocation_endpoint": f"{strict.url}/revoke"}
        provider.serve_metadata(mtls_endpoint_aliases=aliases)
        yield provider


def provider_at(
    hostile: HostileProvider,
    clock: FakeClock,
    files: Files,
    *,
    read: Callable[[], tuple[Secret, Secret]] | None = None,
    note: Note = silent,
    warn: Callable[[str, str], None] | None = None,
    **more: Any,
) -> Provider:
    """Return the provider object of a client with a certificate."""
    certificate, key = files
    sources = (
        Source(kind="file", value=(str(certificate),), origin=f"{PROFILE}.certificate", public=True),
        Source(kind="file", value=(str(key),), origin=f"{PROFILE}.private_key.file"),
    )
    profile = Profile(
        name="prod", issuer=hostile.issuer, client_id="ci", flow="client-credentials", tls=sources, **more
    )
    return Provider(
        profile,
        transport=Transport(clock=clock, ca_file=hostile.ca_file),
        documents=Memory(),
        clock=clock,
        tls=read or (lambda: (Secret(certificate.read_text()), Secret(key.read_text()))),
        note=note,
        warn=warn,
    )


def request(provider: Provider) -> Any:
    return token_endpoint.request(provider, "client_credentials", [], refused="said no")


# --- which method -----------------------------------------------------------------------------------------------------


def test_a_certificate_is_the_method_where_nobody_says(
    hostile: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    for method in ("auto", "tls"):
        provider = provider_at(hostile, clock, authority.issue_client("ci"), client_authentication=method)
        assert client_authentication.methods(provider) == ("tls",)
        fields, authorization = client_authentication.authenticate(provider, "tls", [("a", "b")])
        assert (fields, authorization) == ((("a", "b"), ("client_id", "ci")), None)
        assert client_authentication.certificate(provider, "tls") is not None
        assert client_authentication.certificate(provider, "none") is None


def test_it_needs_one(hostile: HostileProvider, clock: FakeClock) -> None:
    profile = Profile(name="prod", issuer=hostile.issuer, client_id="ci", client_authentication="tls")
    provider = Provider(profile, transport=Transport(clock=clock), documents=Memory(), clock=clock)
    with pytest.raises(ConfigurationError) as caught:
        client_authentication.methods(provider)
    assert caught.value.sentence == 'client_authentication = "tls" needs a certificate'
    assert caught.value.hint == tls.SOURCES


# --- to whom ----------------------------------------------------------------------------------------------------------


def test_it_is_shown_where_the_client_proves_itself_and_metadata_are_fetched_without(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    provider = provider_at(hostile, clock, authority.issue_client("ci"))
    assert request(provider).access_token is not None
    assert revocation.revoke(provider, Secret("t"), "refresh_token")
    assert [one.path for one in strict.requests] == ["/token", "/revoke"]
    assert all(one.certificate and one.field("client_id") == "ci" for one in strict.requests)
    assert [(one.path, one.certificate) for one in hostile.requests] == [(OPENID, None)]


def test_a_client_without_one_does_not_go_there(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock
) -> None:
    hostile.script("/token", answer(TOKENS))
    profile = Profile(name="prod", issuer=hostile.issuer, client_id="ci", flow="client-credentials")
    transport = Transport(clock=clock, ca_file=hostile.ca_file)
    request(Provider(profile, transport=transport, documents=Memory(), clock=clock))
    assert not strict.requests
    assert [one.path for one in hostile.requests] == [OPENID, "/token"]


# --- which one --------------------------------------------------------------------------------------------------------


def test_it_is_read_for_each_handshake(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    files = authority.issue_client("ci")
    provider = provider_at(hostile, clock, files)
    request(provider)
    assert authority.issue_client("ci") == files
    request(provider)
    assert len({one.certificate for one in strict.requests}) == 2


def pairs(*texts: Files) -> Callable[[], tuple[Secret, Secret]]:
    """Return a reader that finds one pair after the other, and the last one ever after."""
    read = [(Secret(certificate.read_text()), Secret(key.read_text())) for certificate, key in texts]

    def reader() -> tuple[Secret, Secret]:
        return read.pop(0) if len(read) > 1 else read[0]

    return reader


def test_a_pair_that_is_just_being_replaced_is_read_once_more(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    old, new = authority.issue_client("old"), authority.issue_client("new")
    half = old[0], new[1]
    assert request(provider_at(hostile, clock, new, read=pairs(half, new))).access_token is not None
    with pytest.raises(KeyMismatchError):
        request(provider_at(hostile, clock, new, read=pairs(half, half, new)))
    assert len(strict.requests) == 1


def test_one_that_has_expired_is_not_shown(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    provider = provider_at(hostile, clock, authority.issue_client("ci"))
    request(provider)
    clock.advance(3 * 86400)
    with pytest.raises(ConfigurationError, match="has expired"):
        request(provider)
    with pytest.raises(ConfigurationError, match="has expired"):
        tls.check(provider)
    assert len(strict.requests) == 1


# --- refused ----------------------------------------------------------------------------------------------------------


def refused(provider: Provider) -> AuthorizationError:
    with pytest.raises(AuthorizationError) as caught:
        request(provider)
    assert caught.value.exit_code == 77
    return caught.value


def test_one_that_the_provider_does_not_know(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    strict.script("/token", oauth_error("invalid_client", 401))
    files = authority.issue_client("ci")
    error = refused(provider_at(hostile, clock, files))
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 2 * 86400))
    assert error.sentence == f"{strict.host} refused the client's certificate (invalid_client)"
    assert error.hint == (
        "check client_id, and that the certificate is registered for this client: it saw "
        f"{files[0]} (CN=ci, valid until {day}), names ci.test, issued by CN=Corp CA"
    )


NGINX = "<html><head><title>400 {0}</title></head><body><center><h1>400 Bad Request</h1></center>{0}</body></html>"


@pytest.mark.parametrize("words", ["The SSL certificate error", "No required SSL certificate was sent"])
def test_a_page_about_certificates_is_a_refusal(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority, words: str
) -> None:
    """As nginx has it, which then speaks HTTP and not TLS."""
    page = answer(NGINX.format(words).encode(), 400, {"Content-Type": "text/html"})
    strict.script("/token", page)
    error = refused(provider_at(hostile, clock, authority.issue_client("ci")))
    assert error.sentence == f"{strict.host} refused the client's certificate"
    assert error.error == "invalid_client"


@pytest.mark.parametrize(
    "other",
    [
        answer(NGINX.format("Request Header Or Cookie Too Large").encode(), 400, {"Content-Type": "text/html"}),
        answer(NGINX.format("The SSL certificate error").encode(), 502, {"Content-Type": "text/html"}),
    ],
)
def test_no_other_page_is(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority, other: Behaviour
) -> None:
    strict.script("/token", other)
    with pytest.raises(Exception, match=r"answered (400 with an HTML page|502)") as caught:
        request(provider_at(hostile, clock, authority.issue_client("ci")))
    assert not isinstance(caught.value, AuthorizationError)


def test_a_handshake_that_fails_says_who_was_refused(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    """Metadata that are kept are not at fault: they are not asked for again."""
    files = authority.issue_client("ci", own=True)
    error = refused(provider_at(hostile, clock, files))
    assert error.sentence.startswith(f"{strict.host} refused the client certificate {files[0]} (CN=ci, valid until ")
    assert [one.path for one in hostile.requests] == [OPENID]


def test_a_provider_that_saw_none(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    strict.script("/token", oauth_error("invalid_grant", 400, "mutual TLS client certificate not provided"))
    error = refused(provider_at(hostile, clock, authority.issue_client("ci")))
    assert error.sentence.startswith(f"{strict.host} saw no client certificate (invalid_grant")
    assert error.hint == tls.NOT_SEEN


def test_one_that_is_not_for_clients_is_told_as_well(
    hostile: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    provider = provider_at(hostile, clock, authority.issue_client("ci", usage=ExtendedKeyUsageOID.SERVER_AUTH))
    assert tls.hint(provider).endswith("; its extended key usage lacks clientAuth")
    assert not tls.hint(provider_at(hostile, clock, authority.issue_client("ci", usage=None))).endswith("clientAuth")


# --- bound tokens -----------------------------------------------------------------------------------------------------


def token(**claims: object) -> str:
    parts = ({"alg": "none"}, claims, "x")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize(
    ("access_token", "bound"),
    [
        (token(cnf={"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}), True),
        (token(cnf={"jkt": "x"}), False),
        (token(cnf="x5t#S256"), False),
        (token(sub="ci"), False),
        ("opaque", False),
    ],
)
def test_a_token_that_is_bound_to_the_certificate_is_a_warning(
    hostile: HostileProvider,
    strict: HostileProvider,
    clock: FakeClock,
    authority: Authority,
    access_token: str,
    bound: bool,
) -> None:
    strict.script("/token", answer({**TOKENS, "access_token": access_token}))
    warned: list[tuple[str, str]] = []
    provider = provider_at(
        hostile, clock, authority.issue_client("ci"), warn=lambda sentence, hint: warned.append((sentence, hint))
    )
    assert request(provider).access_token == Secret(access_token)
    assert warned == ([(f"{strict.host} {tls.BOUND}", tls.NOT_BOUND)] if bound else [])


def test_where_nobody_is_to_be_warned_it_is_noted(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority
) -> None:
    strict.script("/token", answer({**TOKENS, "access_token": token(cnf={"x5t#S256": "x"})}))
    notes: list[str] = []
    request(provider_at(hostile, clock, authority.issue_client("ci"), note=notes.append))
    assert f"{strict.host} {tls.BOUND}; {tls.NOT_BOUND}" in notes


@pytest.mark.parametrize("says", [True, False])
def test_a_token_that_nobody_can_read_may_be_bound_where_the_metadata_say_so(
    hostile: HostileProvider, strict: HostileProvider, clock: FakeClock, authority: Authority, says: bool
) -> None:
    aliases = {"token_endpoint": f"{strict.url}/token"}
    hostile.serve_metadata(mtls_endpoint_aliases=aliases, tls_client_certificate_bound_access_tokens=says)
    notes: list[str] = []
    provider = provider_at(hostile, clock, authority.issue_client("ci"), note=notes.append)
    request(provider)
    assert (f"{strict.host} {tls.MAY_BE_BOUND}" in notes) == says
    strict.script("/token", answer({**TOKENS, "access_token": token(sub="ci")}))
    notes.clear()
    request(provider)
    assert not [line for line in notes if tls.MAY_BE_BOUND in line], "that one says that it is not"


# --- the key's name ---------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_the_keys(authority: Authority) -> None:
    """A renewed certificate keeps what was cached, another key does not; a certificate, which is public, has none."""
    key = ec.generate_private_key(ec.SECP256R1())
    source = Source(kind="file", value=("/k",), origin=f"{PROFILE}.private_key.file")

    def of(files: Files) -> str:
        return tls.fingerprint(Secret(files[1].read_text()), source)

    first = of(authority.issue_client("one", key=key))
    assert first == of(authority.issue_client("two", "other", key=key, ends=timedelta(days=9)))
    assert len(first) == 64
    assert first != of(authority.issue_client("three"))
    with pytest.raises(ConfigurationError, match="that is no private key in PEM form"):
        tls.fingerprint(Secret(authority.issue_client("four")[0].read_text()), source)
