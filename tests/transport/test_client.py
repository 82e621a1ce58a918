"""The transport against a real, hostile HTTP server, a real proxy and real certificates."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from credential_helper import __version__
from credential_helper.errors import ConfigurationError, TokenResponseError, TransportError
from credential_helper.model import Secret
from credential_helper.transport.addresses import address_problem, is_loopback
from credential_helper.transport.answer import Answer
from credential_helper.transport.client import Transport
from integration.servers.hostile_provider import (
    Behaviour,
    Exchange,
    HostileProvider,
    answer,
    broken_length,
    closed_port,
    empty,
    garbage,
    half_json,
    html,
    oauth_error,
    oversized,
    rate_limited,
    raw,
    redirect,
    reset,
    silence,
    trickle_body,
    trickle_head,
    tunnel,
)
from integration.servers.proxy import Asked, RecordingProxy
from tests.helpers.clock import FakeClock
from tests.helpers.programs import CHECKOUT, DEADLINE

SECRET = "s3cr3t-refresh-token"
FIELDS = [("grant_type", "refresh_token"), ("refresh_token", SECRET)]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Requests reads the environment: leave nothing of the machine's in it."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in (
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "NETRC",
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with HostileProvider() as provider:
        yield provider


@pytest.fixture
def transport(clock: FakeClock) -> Transport:
    return Transport(environ=os.environ, clock=clock)


def failure(transport: Transport, url: str) -> TransportError:
    """Post a secret, expect it to fail, and see that nothing of it is in what is raised."""
    with pytest.raises(TransportError) as caught:
        transport.post(url, FIELDS, authorization=Secret(f"Basic {SECRET}"))
    assert caught.value.__cause__ is None
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.hint)
    assert SECRET not in told
    return caught.value


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_get_says_who_asks_and_wants_plain_json(provider: HostileProvider, transport: Transport) -> None:
    provider.script("/x", answer({"a": 1}))
    assert transport.get(f"{provider.url}/x?q=1").json_object("thing") == {"a": 1}
    (received,) = provider.requests
    assert (received.method, received.path, received.query, received.body) == ("GET", "/x", "q=1", b"")
    assert received.headers["user-agent"] == f"credential-helper/{__version__}"
    assert received.headers["accept"] == "application/json"
    assert received.headers["accept-encoding"] == "identity"
    assert "authorization" not in received.headers


def test_a_post_sends_its_fields_in_order_as_an_utf8_form(provider: HostileProvider, transport: Transport) -> None:
    provider.script("/token", answer({}))
    fields = [("b", "zwei & drei"), ("a", "ü+%"), ("resource", "https://one"), ("resource", "https://two")]
    transport.post(f"{provider.url}/token", fields, authorization=Secret("Basic YTpi"))
    (received,) = provider.requests
    assert received.method == "POST"
    assert received.fields == fields
    assert received.query == ""
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert received.headers["authorization"] == "Basic YTpi"


def test_netrc_neither_replaces_nor_adds_authorization(
    provider: HostileProvider, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password other\ndefault login mallory password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    provider.script("/token", answer({}))
    transport.post(f"{provider.url}/token", FIELDS)
    transport.post(f"{provider.url}/token", FIELDS, authorization=Secret("Bearer mine"))
    assert [received.headers.get("authorization") for received in provider.requests] == [None, "Bearer mine"]


def test_an_answer_has_status_headers_body_host_and_time(
    provider: HostileProvider, transport: Transport, clock: FakeClock
) -> None:
    provider.script("/token", answer(b"body", 418, {"X-Request-Id": "8f3c"}))
    got = transport.post(f"{provider.url}/token", [])
    assert (got.status, got.body, got.host, got.received_at) == (418, b"body", provider.host, clock.now())
    assert got.headers["x-request-id"] == "8f3c"


@pytest.mark.parametrize("status", [201, 400, 401, 403, 404, 428, 429, 500, 503])
def test_every_status_but_a_redirect_is_an_answer(provider: HostileProvider, transport: Transport, status: int) -> None:
    provider.script("/token", oauth_error("slow_down", status))
    got = transport.post(f"{provider.url}/token", [])
    assert got.status == status
    assert got.json_object("token answer") == {"error": "slow_down"}


def test_the_note_of_an_exchange_holds_no_query(provider: HostileProvider, clock: FakeClock) -> None:
    lines: list[str] = []
    provider.script("/x", answer({}))
    Transport(environ=os.environ, clock=clock, note=lines.append).get(f"{provider.url}/x?user_code=ABCD")
    (line,) = lines
    assert line.startswith(f"GET {provider.url}/x answered 200 in ")
    assert "ABCD" not in line


# --- redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_and_the_sentence_names_its_target(
    provider: HostileProvider, transport: Transport, status: int
) -> None:
    with HostileProvider() as other:
        provider.script("/token", redirect(status, f"{other.url}/token?x=1"))
        error = failure(transport, f"{provider.url}/token")
        assert other.requests == []
    assert error.sentence == (
        f"{provider.host} redirects to {other.url}, and no redirect is followed ({status} for {provider.url}/token)"
    )
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("//evil.example/x", "redirects to evil.example,"),
        ("//user:pass@evil.example/x", "redirects to evil.example,"),
        ("/elsewhere", "redirects elsewhere on the same host,"),
        ("https://evil.example/\x1b[2J", "redirects elsewhere on the same host,"),
    ],
)
def test_a_redirect_without_a_whole_address(
    provider: HostileProvider, transport: Transport, location: str, said: str
) -> None:
    provider.script("/token", redirect(307, location))
    assert said in failure(transport, f"{provider.url}/token").sentence


def test_a_redirect_without_location(provider: HostileProvider, transport: Transport) -> None:
    provider.script("/token", empty(302))
    assert "redirects without saying where to" in failure(transport, f"{provider.url}/token").sentence


# --- where nothing is sent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://provider.example/token",
        "http://127.0.0.2/token",
        "http://[::ffff:127.0.0.1]/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
        "//127.0.0.1/token",
        "",
    ],
)
def test_nothing_is_sent_without_tls_but_to_loopback(transport: Transport, url: str) -> None:
    assert "sent" in failure(transport, url).sentence


def test_user_information_in_an_address_is_refused_and_not_repeated(
    provider: HostileProvider, transport: Transport
) -> None:
    error = failure(transport, provider.url.replace("://", "://ada:pass-word@") + "/token")
    assert "user name" in error.sentence
    assert "pass-word" not in error.sentence
    assert provider.requests == []


# --- proxies ----------------------------------------------------------------------------------------------------------


LOADED = """
import sys; sys.path.insert(0, sys.argv[1])
from credential_helper.system.clock import SystemClock
from credential_helper.transport.client import Transport
try:
    Transport(clock=SystemClock(), environ={"HTTPS_PROXY": sys.argv[3]}).get(sys.argv[2])
finally:
    print(*(name for name in ("proxies", "socks", "connect") if f"credential_helper.transport.{name}" in sys.modules))
"""


def test_what_knows_of_proxies_is_loaded_where_there_is_one(provider: HostileProvider) -> None:
    def loaded(url: str, proxy: str) -> str:
        command = [sys.executable, "-I", "-c", LOADED, str(CHECKOUT), url, proxy]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()

    with RecordingProxy() as proxy:
        assert loaded(f"{provider.url}/x", f"http://{proxy.host}") == ""
        assert loaded("https://provider.invalid/x", "") == ""
        assert loaded("https://provider.test/x", f"http://{proxy.host}").startswith("proxies")


def test_loopback_never_goes_through_a_proxy(
    provider: HostileProvider, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileProvider() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        provider.script("/token", answer({}))
        for host in ("127.0.0.1", "localhost", "LOCALHOST"):
            transport.post(f"http://{host}:{provider.port}/token", FIELDS)
        assert proxy.requests == []
    assert len(provider.requests) == 3


def test_loopback_never_goes_through_a_proxy_with_tls(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    with HostileProvider() as proxy, HostileProvider(tls="good") as secure:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        secure.script("/token", answer({}))
        Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file).post(f"{secure.url}/token", FIELDS)
        assert proxy.requests == []


@pytest.mark.parametrize("proxy_tls", [None, "good"])
def test_https_goes_through_the_proxy_and_ca_file_holds_behind_it(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, proxy_tls: str | None
) -> None:
    with HostileProvider(tls="good") as secure, HostileProvider(tls="good" if proxy_tls else None) as proxy:
        proxy.script("provider.test:443", tunnel(secure.port))
        secure.script("/token", answer({"through": "proxy"}))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://ada:pass-word@"))
        got = Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file).post(
            "https://provider.test/token", FIELDS
        )
        assert got.json_object("token answer") == {"through": "proxy"}
        (connect,) = proxy.requests
        assert (connect.method, connect.path) == ("CONNECT", "provider.test:443")
        assert connect.headers["proxy-authorization"].startswith("Basic ")
        assert "proxy-authorization" not in secure.requests[0].headers


def test_an_untrusted_certificate_behind_a_proxy_is_named_too(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileProvider(tls="good") as secure, HostileProvider() as proxy:
        proxy.script("provider.test:443", tunnel(secure.port))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure(Transport(environ=os.environ, clock=clock), "https://provider.test/token")
        assert error.sentence == (
            f"the certificate of provider.test that comes through the proxy {proxy.host}, issued by 'Hostile Test CA', "
            "is not trusted on this machine"
        )
        assert secure.requests == []


def test_an_untrusted_certificate_of_the_proxy_is_said_to_be_the_proxys(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileProvider(tls="self-signed") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure(Transport(environ=os.environ, clock=clock), "https://provider.test/token")
        assert f"the certificate of the proxy {proxy.host}, issued by 'hostile provider', is not" in error.sentence
        assert proxy.requests == []


@pytest.mark.parametrize("entry", ["provider.invalid", ".invalid", "*"])
def test_no_proxy_is_honoured(transport: Transport, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    with HostileProvider() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", entry)
        assert "(provider.invalid)" in failure(transport, "https://provider.invalid/token").sentence
        assert proxy.requests == []


def test_a_proxy_that_says_no_is_named_without_its_password(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileProvider() as proxy:
        proxy.script("provider.test:443", raw(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"))
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:pass-word@{proxy.host}")
        error = failure(transport, "https://provider.test/token")
    assert error.sentence == (
        f"provider.test cannot be reached through the proxy {proxy.host}: it said 407 Proxy Authentication Required"
    )
    assert error.hint == "it does not take the user name and password of HTTPS_PROXY"


def test_a_proxy_that_wants_to_know_who_we_are(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy(login=("ada", "right")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        error = failure(transport, "https://provider.test/token")
    assert error.sentence.endswith(f"{proxy.host}: it said 407 Proxy Authentication Required")
    assert error.hint == f"HTTPS_PROXY=http://USER:PASSWORD@{proxy.host}, with @ : / ? # % in them %-escaped"


def test_a_proxy_that_wants_what_we_do_not_have(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    said = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n"
    with HostileProvider() as proxy:
        proxy.script("provider.test:443", raw(said))
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:pass-word@{proxy.host}")
        error = failure(transport, "https://provider.test/token")
    assert error.hint == (
        "it takes Negotiate or NTLM, which is not supported: only a user name and a password (Basic) are"
    )


def test_a_proxy_that_forbids_a_host(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy() as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
        error = failure(transport, "https://provider.test/token")
    assert error.sentence == f"provider.test cannot be reached through the proxy {proxy.host}: it said 403 Forbidden"
    assert error.hint == "the proxy is the one that https_proxy names; hosts in NO_PROXY are reached without it"


def test_a_proxy_that_is_not_there(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = failure(transport, "https://provider.test/token")
        assert error.sentence.endswith(f"through the proxy 127.0.0.1:{port}: it refused the connection")
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:pass-word@proxy.invalid:3128")
    error = failure(transport, "https://provider.test/token")
    assert "the proxy proxy.invalid:3128: no " in error.sentence
    assert "pass-word" not in error.sentence
    assert not error.stale_address


def test_a_variable_that_names_no_proxy(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:pass-word@[bad")
    error = failure(transport, "https://provider.test/token")
    assert error.sentence.startswith("provider.test cannot be reached: HTTPS_PROXY names no proxy (its host has ")
    assert "pass-word" not in f"{error.sentence}{error.hint}"


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "SOCKS5H"])
def test_a_socks_proxy_gets_the_name_and_the_certificate_is_the_hosts(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with HostileProvider(tls="good") as secure, RecordingProxy(to=secure.port) as proxy:
        secure.script("/token", answer({"through": "proxy"}))
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{proxy.host}")
        notes: list[str] = []
        transport = Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file, note=notes.append)
        got = transport.post("https://provider.test:8443/token", FIELDS)
        assert notes.pop(0) == f"ca_file {secure.ca_file} holds a certificate"
        assert got.json_object("token answer") == {"through": "proxy"}
        assert proxy.asked == [Asked("socks", "provider.test", 8443, None)]
        assert notes[0].startswith("POST https://provider.test:8443/token answered 200 in ")
        assert notes[0].endswith(f" through the proxy {proxy.host}")
        error = failure(transport, "https://other.test/token")
        assert error.sentence == (
            f"the certificate of other.test that comes through the proxy {proxy.host}, issued by 'Hostile Test CA', "
            "is for another host"
        )


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_who_we_are_to_a_proxy_is_unescaped(clock: FakeClock, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    who = ("ada@corp", "pä:ss/wörd €")
    with HostileProvider(tls="good") as secure, RecordingProxy(to=secure.port, login=who) as proxy:
        secure.script("/token", answer({}))
        escaped = "ada%40corp:p%C3%A4%3Ass%2Fw%C3%B6rd%20%E2%82%AC"
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{escaped}@{proxy.host}")
        Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file).post("https://provider.test/token", FIELDS)
        assert [asked.login for asked in proxy.asked] == [who]


def test_a_socks_proxy_that_does_not_open_is_named(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    through = "provider.test cannot be reached through the proxy"
    with RecordingProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"socks5h://{proxy.host}")
        error = failure(transport, "https://provider.test/token")
        assert error.sentence == f"{through} {proxy.host}: its rules do not allow it"
    with RecordingProxy(login=("ada", "right")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"socks5h://{proxy.host}")
        error = failure(transport, "https://provider.test/token")
        assert error.sentence == f"{through} {proxy.host}: it wants a user name and a password"
        monkeypatch.setenv("HTTPS_PROXY", f"socks5h://ada:pass-word@{proxy.host}")
        error = failure(transport, "https://provider.test/token")
        assert error.sentence == f"{through} {proxy.host}: it refuses the user name and password"
        assert "pass-word" not in f"{error!r} {error.hint}"
    with HostileProvider() as web:
        monkeypatch.setenv("HTTPS_PROXY", f"socks5h://{web.host}")
        said = failure(
            Transport(environ=os.environ, clock=transport._clock, connect=0.5), "https://provider.test/token"
        )
        assert said.sentence.startswith(f"{through} {web.host}: it ")


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (html(503), "it said 503 Because"),
        (html(200), None),  # a captive portal says yes to everything, and then speaks no TLS
        (raw(b"SSH-2.0-OpenSSH_9.7\r\n"), "its answer is not HTTP"),
        (raw(b""), "it broke the connection off"),
        (reset(), "it broke the connection off"),
        (raw(b"HTTP/1.1 403 \x1b[2JForbidden\r\n\r\n"), "it said 403 [2JForbidden"),
    ],
)
def test_what_a_proxy_answers_instead(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, said: str | None
) -> None:
    with HostileProvider() as proxy:
        proxy.script("provider.test:443", behaviour)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        sentence = failure(transport, "https://provider.test/token").sentence
    if said is None:
        assert sentence.startswith(f"no TLS with provider.test through the proxy {proxy.host}: ")
    else:
        assert sentence == f"provider.test cannot be reached through the proxy {proxy.host}: {said}"


def test_a_proxy_that_does_not_answer_is_who_was_waited_for(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    through = "provider.test cannot be reached through the proxy"
    with HostileProvider() as proxy:
        proxy.script("provider.test:443", silence())
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        for impatient in (
            Transport(environ=os.environ, clock=clock, connect=1.5),
            Transport(environ=os.environ, clock=clock, deadline=1.5),
        ):
            assert failure(impatient, "https://provider.test/token").sentence == (
                f"{through} {proxy.host}: it did not answer within 1.5 s"
            )


def test_a_host_that_is_silent_behind_a_proxy_is_who_was_waited_for(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileProvider(tls="good") as secure, RecordingProxy(to=secure.port) as proxy:
        secure.script("/token", silence())
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        slow = Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file, deadline=2.0)
        assert failure(slow, "https://provider.test/token").sentence == (
            f"provider.test did not finish its answer through the proxy {proxy.host} within 2 s"
        )


def test_a_host_that_speaks_no_tls_behind_a_proxy(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with HostileProvider() as plain, RecordingProxy(to=plain.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"socks5h://{proxy.host}")
        sentence = failure(transport, "https://provider.test/token").sentence
        assert sentence.startswith(f"no TLS with provider.test through the proxy {proxy.host}: ")
        assert plain.requests == []


def test_an_ipv6_address_goes_through_a_proxy(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy() as proxy:
        for scheme in ("http", "socks5h"):
            monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{proxy.host}/path")
            failure(transport, "https://[2001:db8::1]:8443/token")
        assert [(asked.by, asked.host, asked.port) for asked in proxy.asked] == [
            ("connect", "2001:db8::1", 8443),
            ("socks", "2001:db8::1", 8443),
        ]


def test_a_proxys_password_is_in_no_traceback(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor in the threads' names, nor in what is reported by whoever prints the exchange."""
    with RecordingProxy(login=("ada", "right")) as proxy:
        lines: list[str] = []
        for scheme in ("http", "socks5h"):
            monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://ada:pass-word@{proxy.host}")
            with pytest.raises(TransportError) as caught:
                Transport(environ=os.environ, clock=clock, note=lines.append).get("https://provider.test/x")
            told = "".join(traceback.format_exception(caught.value)) + str(caught.value.hint) + "".join(lines)
            assert "pass-word" not in told
            assert proxy.host in told


# --- certificates -----------------------------------------------------------------------------------------------------


def test_ca_file_is_trusted(clock: FakeClock) -> None:
    with HostileProvider(tls="good") as secure:
        secure.script("/x", answer({"a": 1}))
        transport = Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file)
        assert transport.get(f"{secure.url}/x").json_object("thing") == {"a": 1}
        assert transport.get(f"{secure.url}/x").status == 200


def test_an_untrusted_certificate_says_who_issued_it_and_names_ca_file(transport: Transport) -> None:
    with HostileProvider(tls="good") as secure:
        error = failure(transport, f"{secure.url}/token")
        assert secure.requests == []
    assert error.sentence == (
        f"the certificate of {secure.host}, issued by 'Hostile Test CA', is not trusted on this machine"
    )
    assert error.hint is not None
    assert "ca_file" in error.hint
    assert error.stale_address


def test_a_self_signed_certificate_is_refused(transport: Transport) -> None:
    with HostileProvider(tls="self-signed") as secure:
        assert "issued by 'hostile provider', is not trusted" in failure(transport, f"{secure.url}/token").sentence


def test_a_certificate_for_another_host_is_refused(clock: FakeClock) -> None:
    with HostileProvider(tls="other-host") as secure:
        error = failure(Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file), f"{secure.url}/token")
        assert secure.requests == []
    assert error.sentence.endswith("issued by 'Hostile Test CA', is for another host")
    assert error.stale_address


def test_an_expired_certificate_is_refused(clock: FakeClock) -> None:
    with HostileProvider(tls="expired") as secure:
        error = failure(Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file), f"{secure.url}/token")
    assert error.sentence.endswith("has expired")
    assert error.hint == "is this machine's clock right?"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_bundles_of_requests_and_curl_mean_nothing(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with HostileProvider(tls="good") as secure:
        secure.script("/token", answer({}))
        monkeypatch.setenv(variable, secure.ca_file)
        assert "not trusted" in failure(Transport(environ=os.environ, clock=clock), f"{secure.url}/token").sentence
        monkeypatch.setenv(variable, "/nowhere.pem")
        assert (
            Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file)
            .post(f"{secure.url}/token", FIELDS)
            .status
            == 200
        )


@pytest.mark.skipif(sys.platform != "linux", reason="OpenSSL's variables name the system's roots on Linux only")
def test_ssl_cert_file_replaces_the_systems_roots_and_ca_file_is_added(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with HostileProvider(tls="good") as secure, HostileProvider(tls="self-signed") as other:
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        secure.script("/token", answer({}))
        monkeypatch.setenv("SSL_CERT_FILE", secure.ca_file)
        transport = Transport(environ=os.environ, clock=clock)
        assert transport.post(f"{secure.url}/token", FIELDS).status == 200
        # One root, and not certifi's beside it: requests adds those to a context that it is given.
        roots: dict[str, int] = transport._roots().context._ctx.cert_store_stats()  # type: ignore[attr-defined]
        assert roots["x509_ca"] == 1
        monkeypatch.setenv("SSL_CERT_FILE", other.certificate)
        assert "not trusted" in failure(Transport(environ=os.environ, clock=clock), f"{secure.url}/token").sentence
        assert (
            Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file)
            .post(f"{secure.url}/token", FIELDS)
            .status
            == 200
        )


def test_a_ca_file_that_cannot_be_used_is_a_matter_of_configuration(clock: FakeClock, tmp_path: Path) -> None:
    missing, wrong = tmp_path / "missing.pem", tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"ca_file .*missing.pem cannot be read: no such file"):
        Transport(environ=os.environ, clock=clock, ca_file=str(missing)).get("https://provider.test/")
    with pytest.raises(ConfigurationError, match=r"ca_file .*wrong.pem holds no certificate"):
        Transport(environ=os.environ, clock=clock, ca_file=str(wrong)).get("https://provider.test/")


def test_a_server_without_tls_is_not_spoken_to(provider: HostileProvider, transport: Transport) -> None:
    error = failure(transport, f"https://{provider.host}/token")
    assert error.sentence.startswith(f"no TLS with {provider.host}: ")
    assert error.stale_address
    assert provider.requests == []


# --- deadlines and sizes ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded() -> None:
    """Load what the first exchange with TLS loads: that takes as long as the deadlines here."""
    with HostileProvider(tls="good") as provider:
        provider.script("/token", answer({}))
        Transport(environ=os.environ, clock=FakeClock(), ca_file=provider.ca_file).post(f"{provider.url}/token", FIELDS)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("behaviour", [trickle_head(), trickle_body(), silence()])
@pytest.mark.parametrize("tls", [False, True])
def test_the_whole_exchange_has_a_deadline(clock: FakeClock, behaviour: Behaviour, tls: bool) -> None:
    with HostileProvider(tls="good" if tls else None) as slow:
        slow.script("/token", behaviour)
        started = time.monotonic()
        ca_file = slow.ca_file if tls else None
        error = failure(Transport(environ=os.environ, clock=clock, ca_file=ca_file, deadline=2.0), f"{slow.url}/token")
        assert time.monotonic() - started >= 2.0
        assert error.sentence == f"{slow.host} did not finish its answer within 2 s"
        assert slow.requests[0].left.wait(DEADLINE), "the server was not told"
    assert len(slow.requests) == 1


def test_a_proxy_that_trickles_meets_the_deadline_too(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    with HostileProvider() as proxy:
        proxy.script("provider.test:443", trickle_head(b"HTTP/1.1 "))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        failure(Transport(environ=os.environ, clock=clock, deadline=1.5), "https://provider.test/token")
        assert proxy.requests[0].left.wait(DEADLINE)


@pytest.mark.usefixtures("loaded")
def test_after_the_deadline_nothing_more_is_sent(clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the connection, never answers the handshake
        port = server.getsockname()[1]
        failure(Transport(environ=os.environ, clock=clock, deadline=2.0), f"https://127.0.0.1:{port}/token")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(DEADLINE)
            seen = b""
            while data := connection.recv(65536):
                seen += data
    assert seen[:1] == b"\x16", "a TLS handshake record"
    assert SECRET.encode() not in seen


@pytest.mark.usefixtures("loaded")
def test_after_a_deadline_the_next_exchange_is_like_the_first(clock: FakeClock) -> None:
    """An exchange that was given up in the middle of a handshake holds nothing that another needs."""
    with HostileProvider(tls="good") as secure, socket.create_server(("127.0.0.1", 0)) as mute:
        secure.script("/token", answer({}))
        transport = Transport(environ=os.environ, clock=clock, ca_file=secure.ca_file, deadline=2.0)
        failure(transport, f"https://127.0.0.1:{mute.getsockname()[1]}/token")
        assert transport.post(f"{secure.url}/token", FIELDS).status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse what their queue cannot hold")
def test_a_host_that_does_not_take_the_connection(clock: FakeClock) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        queue = []
        try:
            for _ in range(4):  # fill the backlog: the next handshake gets no answer
                waiting = socket.socket()
                waiting.setblocking(False)
                waiting.connect_ex(address)
                queue.append(waiting)
            time.sleep(0.05)
            error = failure(
                Transport(environ=os.environ, clock=clock, connect=0.2), f"http://127.0.0.1:{address[1]}/token"
            )
        finally:
            for waiting in queue:
                waiting.close()
    assert error.sentence == f"127.0.0.1:{address[1]} could not be reached within 0.2 s"


POST = """
import sys; sys.path.insert(0, sys.argv[1])
from credential_helper.system.clock import SystemClock
from credential_helper.transport.client import Transport
print(Transport(clock=SystemClock(), deadline=3.0).post(sys.argv[2], [("a", "b")]).body.decode())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no process is stopped there")
@pytest.mark.parametrize("late", [False, True])
def test_what_comes_while_the_process_is_stopped_counts(provider: HostileProvider, late: bool) -> None:
    """Ctrl-Z between a POST and its answer, for longer than the deadline: a new refresh token may be in it."""
    stopped, goes_on = threading.Event(), threading.Event()

    def stop_and_answer(exchange: Exchange) -> None:
        process.send_signal(signal.SIGSTOP)
        stopped.set()
        assert not late or goes_on.wait(DEADLINE)
        exchange.respond(200, {}, b"the new token")

    provider.script("/token", stop_and_answer)
    command = [sys.executable, "-I", "-c", POST, str(CHECKOUT), f"{provider.url}/token"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert stopped.wait(DEADLINE)
            threading.Event().wait(3.2)  # the deadline passes
            process.send_signal(signal.SIGCONT)
            goes_on.set()
            assert process.communicate(timeout=DEADLINE)[0] == "the new token\n"
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C there")
def test_ctrl_c_ends_the_exchange_at_once(provider: HostileProvider, clock: FakeClock) -> None:
    provider.script("/token", silence())
    transport = Transport(environ=os.environ, clock=clock, deadline=3600.0)

    def press() -> None:
        while not provider.requests:  # it has been sent
            time.sleep(0.01)
        time.sleep(0.2)  # and an answer is waited for
        os.kill(os.getpid(), signal.SIGINT)

    person = threading.Thread(target=press, daemon=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            person.start()
            transport.post(f"{provider.url}/token", FIELDS)
    finally:
        signal.signal(signal.SIGINT, before)
        person.join(DEADLINE)
    assert provider.requests[0].left.wait(DEADLINE)


def test_a_body_has_at_most_a_mebibyte(provider: HostileProvider, transport: Transport) -> None:
    provider.script("/token", oversized(2 << 20))
    assert failure(transport, f"{provider.url}/token").sentence == f"{provider.host} sent more than 1 MiB"
    provider.script("/token", answer(b"x" * (1 << 20)))
    assert len(transport.get(f"{provider.url}/token").body) == 1 << 20


def test_a_body_without_an_announced_end_has_at_most_a_mebibyte(
    provider: HostileProvider, transport: Transport
) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while exchange.send(b"x" * 65536):
            pass

    provider.script("/token", endless)
    assert "1 MiB" in failure(transport, f"{provider.url}/token").sentence
    assert provider.requests[0].left.wait(DEADLINE)


def test_a_decompression_bomb_is_not_unpacked(provider: HostileProvider, transport: Transport) -> None:
    bomb = gzip.compress(b"x" * (8 << 20))
    provider.script("/token", answer(bomb, headers={"Content-Encoding": "gzip"}))
    assert "compressed" in failure(transport, f"{provider.url}/token").sentence


# --- broken connections -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [reset(), raw(b""), raw(b"SSH-2.0-OpenSSH_9.7\r\n"), broken_length()],
    ids=["reset", "closed", "not http", "half a body"],
)
def test_a_post_on_a_broken_connection_fails_once(
    provider: HostileProvider, transport: Transport, behaviour: Behaviour
) -> None:
    provider.script("/token", behaviour)
    error = failure(transport, f"{provider.url}/token")
    assert error.sentence == f"{provider.host} broke the connection off before its answer was complete"
    assert len(provider.requests) == 1
    assert not error.stale_address


def test_a_refused_connection(transport: Transport) -> None:
    with closed_port() as port:
        error = failure(transport, f"http://127.0.0.1:{port}/token")
    assert error.sentence == f"127.0.0.1:{port} refused the connection"


def test_an_unknown_host_may_be_a_stale_address(transport: Transport) -> None:
    error = failure(transport, "https://nowhere.invalid/token")
    assert error.sentence in (
        "no host has that name (nowhere.invalid)",
        "no name server answers (nowhere.invalid)",
    )
    assert error.stale_address


def test_a_host_that_cannot_be_looked_up_gets_a_sentence(transport: Transport) -> None:
    assert "x" * 70 in failure(transport, f"https://{'x' * 70}.invalid/token").sentence


def test_an_authorization_that_is_no_header_is_not_repeated(provider: HostileProvider, transport: Transport) -> None:
    for value in (f"Basic {SECRET}\r\nX-Injected: 1", f"Basic {SECRET}\N{SNOWMAN}"):
        with pytest.raises(TransportError) as caught:
            transport.post(f"{provider.url}/token", FIELDS, authorization=Secret(value))
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert provider.requests == []


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_skew_is_how_far_the_servers_clock_is_ahead(clock: FakeClock) -> None:
    transport = Transport(environ=os.environ, clock=clock)
    assert transport.skew is None
    with HostileProvider(now=lambda: clock.now() + 840) as ahead:
        transport.get(f"{ahead.url}/x")
        assert transport.skew == pytest.approx(840, abs=1)
        ahead.script("/x", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: yesterday\r\n\r\n"))
        transport.get(f"{ahead.url}/x")
        assert transport.skew == pytest.approx(840, abs=1), "the last answer that had one"


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (None, True),
        ("0", True),
        ("5", True),
        ("6", False),
        ("3000", False),
        ("9" * 400, False),
        ("0000000006", False),
        ("-1", False),
        ("", False),
    ],
)
def test_an_answer_that_a_cache_kept_does_not_tell_the_time(clock: FakeClock, age: str | None, told: bool) -> None:
    transport = Transport(environ=os.environ, clock=clock)
    lines = ["HTTP/1.1 200 OK", "Content-Length: 0", f"Date: {formatdate(clock.now() - 3000, usegmt=True)}"]
    lines += [] if age is None else [f"Age: {age}"]
    with HostileProvider(now=clock.now) as cache:
        cache.script("/x", raw("\r\n".join([*lines, "", ""]).encode()))
        answered = transport.get(f"{cache.url}/x")
        assert (transport.skew, answered.date is not None) == (-3000.0 if told else None, told)
        transport.skew = 840.0
        transport.get(f"{cache.url}/x")
        assert transport.skew == (-3000.0 if told else 840.0)


# --- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "found"),
    [
        (html(502), "502 with an HTML page"),
        (empty(400), "400 with an empty body"),
        (half_json(), "200 with broken JSON"),
        (garbage(), "200 with broken JSON"),
        (answer([1, 2]), "200 with JSON that is not an object"),
        (answer("null"), "200 with JSON that is not an object"),
        (answer("[" * 100_000), "200 with broken JSON"),
        (answer("access_token=x&token_type=bearer"), "200 with something that is not JSON"),
        (rate_limited(3), "429 with something that is not JSON"),
    ],
)
def test_what_is_not_a_json_object_is_named(
    provider: HostileProvider, transport: Transport, behaviour: Behaviour, found: str
) -> None:
    provider.script("/token", behaviour)
    got = transport.post(f"{provider.url}/token", FIELDS)
    with pytest.raises(TokenResponseError) as caught:
        got.json_object("token answer")
    assert caught.value.sentence == f"{provider.host} answered {found} where a token answer was expected"
    assert caught.value.__cause__ is None
    assert "caf" not in "".join(traceback.format_exception(caught.value))


def test_a_byte_order_mark_is_forgiven() -> None:
    got = Answer(status=200, headers={}, body=b'\xef\xbb\xbf{"a": 1}', host="h", received_at=0.0)
    assert got.json_object("thing") == {"a": 1}


FORM = "application/x-www-form-urlencoded"


def formed(body: bytes, content_type: str = FORM) -> Answer:
    return Answer(status=200, headers={"content-type": content_type}, body=body, host="h", received_at=0.0)


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (b"a=1", {"a": "1"}),
        (b"a=b+c%20d&e=%2F%C3%BC&f=\n", {"a": "b c d", "e": "/ü", "f": ""}),
        (b"a==&b=c=d", {"a": "=", "b": "c=d"}),
        (b"scope=&x%5B%5D=1", {"scope": "", "x[]": "1"}),
    ],
)
@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=utf-8", "Application/X-WWW-Form-Urlencoded ;x"])
def test_a_form_has_members_where_its_type_says_so(body: bytes, members: dict[str, str], content_type: str) -> None:
    assert formed(body, content_type).members("token answer") == members


@pytest.mark.parametrize(
    "body",
    [
        *(b"a=1&a=1", b"a=1&%61=2", b"a", b"a&b=1", b"=1", b"&", b"a=1&", b"a=1&&b=2", b"a=%", b"a=%4", b"a=%zz"),
        *(b"a=%ff", "a=ü".encode(), b"a=\xff", b"\n", b'{"a": 1}', b"<html>"),
    ],
)
def test_a_form_that_is_broken_or_repeats_a_member_is_no_answer(body: bytes) -> None:
    with pytest.raises(TokenResponseError) as caught:
        formed(body).members("token answer")
    assert caught.value.sentence == "h answered 200 with a broken form where a token answer was expected"
    assert caught.value.__cause__ is None


def test_a_form_is_read_as_one_only_by_its_type() -> None:
    assert formed(b'{"a": 1}', "application/json").members("thing") == {"a": 1}
    for answered in (formed(b"a=1", "text/plain"), formed(b"a=1", ""), formed(b"a=1", f"text/{FORM}")):
        with pytest.raises(TokenResponseError, match="something that is not JSON"):
            answered.members("thing")
    with pytest.raises(TokenResponseError, match="something that is not JSON"):
        formed(b"a=1").json_object("metadata document")
    with pytest.raises(TokenResponseError, match="an empty body"):
        formed(b"").members("thing")


def test_an_answer_prints_without_its_body() -> None:
    got = Answer(status=200, headers={}, body=SECRET.encode(), host="h", received_at=0.0)
    assert SECRET not in f"{got} {got!r} {[got]}"


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.2", "127.1", "0.0.0.0", "::", "[::ffff:127.0.0.1]", "localhost.", "localhost.evil.example", "", "0x7f.1"],
)
def test_nothing_else_is_loopback(host: str) -> None:
    assert not is_loopback(host)


LOCAL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("url", "issuer"),
    [
        ("https://example.com/token", "https://example.com"),
        ("https://other.example:8443/token?x=1", "https://example.com/"),
        ("https://127.0.0.1/token", "https://example.com/"),
        ("http://127.0.0.1:8080/token", LOCAL),
        ("http://localhost/token", "http://localhost:80/issuer"),
        ("http://[::1]:99/token", "http://[::1]:99"),
        (LOCAL, LOCAL),
    ],
)
def test_addresses_that_may_be_used(url: str, issuer: str) -> None:
    assert address_problem(url, issuer) is None


@pytest.mark.parametrize(
    ("url", "issuer"),
    [
        ("http://example.com/token", "https://example.com"),
        ("http://127.0.0.1/token", "https://example.com"),  # an https issuer never sends us to http
        ("http://example.com", "http://example.com"),  # no http but on loopback
        ("http://127.0.0.1:8081/token", LOCAL),  # another origin
        ("http://localhost:8080/token", LOCAL),
        ("https://127.0.0.1:8080/token", LOCAL),
        ("https://example.com/token", LOCAL),
        ("https://user:pass-word@example.com/", "https://example.com"),
        ("https://example.com\\@evil.example/", "https://example.com"),
        ("https://example.com/\\..", "https://example.com"),
        ("https://example.com/a b", "https://example.com"),
        ("https://example.com/\x1b[2J", "https://example.com"),
        ("https://example.com/\u202egro", "https://example.com"),
        ("https://exämple.com/", "https://example.com"),
        ("https://example.com/#fragment", "https://example.com"),
        ("https://example.com:0/", "https://example.com"),
        ("https://example.com:99999/", "https://example.com"),
        ("https:///token", "https://example.com"),
        ("https://[::1", "https://example.com"),
        ("javascript:alert(1)", "https://example.com"),
        ("file:///etc/passwd", "https://example.com"),
        ("/token", "https://example.com"),
        ("", "https://example.com"),
    ],
)
def test_addresses_that_may_not_be_used(url: str, issuer: str) -> None:
    problem = address_problem(url, issuer)
    assert problem is not None
    assert "pass-word" not in problem
    assert problem.isprintable()


# --- while an answer is waited for ------------------------------------------------------------------------------------


def test_what_will_be_needed_is_imported_once_while_the_answer_is_on_its_way(
    provider: HostileProvider, transport: Transport
) -> None:
    imported = threading.Event()

    def after_it(exchange: Exchange) -> None:
        assert imported.wait(DEADLINE)
        answer({})(exchange)

    provider.script("/x", after_it, answer({}))
    transport.meanwhile = imported.set
    assert transport.get(f"{provider.url}/x").status == 200
    imported.clear()
    assert transport.get(f"{provider.url}/x").status == 200
    assert not imported.is_set()


def test_what_cannot_be_imported_is_told_by_whoever_needs_it(provider: HostileProvider, transport: Transport) -> None:
    def broken() -> None:
        raise ImportError("a broken package")

    provider.script("/x", answer({}))
    transport.meanwhile = broken
    assert transport.get(f"{provider.url}/x").status == 200


def test_the_deadline_counts_meanwhile(provider: HostileProvider, clock: FakeClock) -> None:
    provider.script("/x", silence())
    transport = Transport(environ=os.environ, clock=clock, deadline=0.5)
    transport.meanwhile = lambda: time.sleep(0.3)
    assert "within 0.5 s" in failure(transport, f"{provider.url}/x").sentence
