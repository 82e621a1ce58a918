"""The listener of an https redirect URI: the same callback, over TLS; nobody is waited for."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from credential_helper.errors import ConfigurationError
from credential_helper.oauth.grants.loopback import Listener
from integration.servers.tls import Authority, server_tls
from tests.helpers.programs import DEADLINE

STATE = "the-state-of-this-sign-in"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def listener(authority: Authority) -> Iterator[Listener]:
    made = Listener("https://localhost/callback", state=STATE, tls=server_tls(authority, "redirect"))
    yield made
    made.close()


def port_of(listener: Listener) -> int:
    port = urlsplit(listener.redirect_uri).port
    assert port is not None
    return port


class Browser:
    """Goes to an address in a thread of its own, and keeps what it is shown."""

    def __init__(self, listener: Listener, query: str, trusted: ssl.SSLContext, *, host: str = "localhost") -> None:
        self.said: list[tuple[int, str]] = []
        self.trouble: list[str] = []

        def visit() -> None:
            connection = http.client.HTTPSConnection(host, port_of(listener), context=trusted, timeout=DEADLINE)
            try:
                connection.request("GET", f"/callback?{query}")
                answer = connection.getresponse()
                self.said.append((answer.status, answer.read().decode()))
            except (OSError, http.client.HTTPException) as error:
                self.trouble.append(type(error).__name__)
            finally:
                connection.close()

        self.thread = threading.Thread(target=visit, daemon=True)
        self.thread.start()


def until(listener: Listener, done: Callable[[], bool]) -> None:
    for _ in range(6000):
        if done():
            return
        listener.wait(0.01)
    raise AssertionError("nothing came")


def test_a_callback_over_tls_gets_the_page_that_says_how_it_ended(listener: Listener, authority: Authority) -> None:
    assert listener.redirect_uri == f"https://localhost:{port_of(listener)}/callback"
    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    browser = Browser(listener, f"code=c0de&state={STATE}", trusted)
    until(listener, lambda: bool(listener.parameters))
    assert listener.parameters == {"code": "c0de", "state": STATE}
    listener.finish(True)
    browser.thread.join(DEADLINE)
    [(status, page)] = browser.said
    assert status == 200
    assert "Signed in" in page


def test_who_does_not_trust_the_certificate_ends_nothing(listener: Listener, authority: Authority) -> None:
    doubtful = Browser(listener, f"code=c0de&state={STATE}", ssl.create_default_context())
    until(listener, lambda: bool(doubtful.trouble))
    assert doubtful.trouble == ["SSLCertVerificationError"]
    assert not listener.parameters
    stranger = Browser(listener, "code=c0de&state=x", ssl.create_default_context(cafile=str(authority.ca_file)))
    until(listener, lambda: bool(stranger.said))
    assert stranger.said[0][0] == 404


@pytest.mark.parametrize("words", [b"GET /callback?code=a HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01", b""])
def test_who_speaks_no_tls_or_stays_silent_is_in_nobody_s_way(
    listener: Listener, authority: Authority, words: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", port_of(listener)), timeout=DEADLINE) as client:
        client.sendall(words)
        assert not listener.wait(0.05)
        trusted = ssl.create_default_context(cafile=str(authority.ca_file))
        browser = Browser(listener, f"error=access_denied&state={STATE}", trusted)
        until(listener, lambda: bool(listener.parameters))
        listener.close()
        browser.thread.join(DEADLINE)
    assert "did not work" in browser.said[0][1]


def test_https_and_a_certificate_belong_together(authority: Authority) -> None:
    with pytest.raises(ConfigurationError, match="is not an http address"):
        Listener("https://localhost/callback", state=STATE)
    with pytest.raises(ConfigurationError, match="is not an https address"):
        Listener("http://localhost/callback", state=STATE, tls=server_tls(authority, "redirect"))
