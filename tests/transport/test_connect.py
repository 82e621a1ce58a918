"""The client's half of CONNECT, against a proxy that says what a test makes it say."""

from __future__ import annotations

import socket

import pytest

from credential_helper import __version__
from credential_helper.transport.connect import ConnectError, open_tunnel


def opened(answer: bytes, host: str = "idp.corp.test", authorization: str | None = None) -> tuple[str, bytes]:
    """Open a tunnel where the proxy answers this; return what it was sent, and what is left to be read."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        open_tunnel(ours, host, 8443, authorization)
        return theirs.recv(65536).decode(), ours.recv(65536)


def test_what_is_sent() -> None:
    ours = f"User-Agent: credential-helper/{__version__}\r\n"
    place = "idp.corp.test:8443"
    sent, _ = opened(b"HTTP/1.1 200 OK\r\n\r\n")
    assert sent == f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{ours}\r\n"
    sent, _ = opened(b"HTTP/1.1 200 OK\r\n\r\n", authorization="Basic YTpi")
    assert sent == f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{ours}Proxy-Authorization: Basic YTpi\r\n\r\n"
    sent, _ = opened(b"HTTP/1.1 200 OK\r\n\r\n", host="2001:db8::1")
    assert sent.startswith("CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n",
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_a_yes_is_read_to_its_end_and_no_further(answer: bytes) -> None:
    assert opened(answer + b"the host")[1] == b"the host"


@pytest.mark.parametrize(
    ("answer", "said", "status", "wanted"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\n<html>", "it said 403 Forbidden", 403, ()),
        (b"HTTP/1.1 502\r\n\r\n", "it said 502", 502, ()),
        (b"HTTP/1.1 302 \x1b[2JFound\r\nLocation: https://portal\r\n\r\n", "it said 302 [2JFound", 302, ()),
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", "it said 407 No", 407, ("Basic",)),
        (
            b"HTTP/1.1 407 No\r\nproxy-authenticate: Negotiate\r\nProxy-Authenticate:NTLM\r\n\r\n",
            "it said 407 No",
            407,
            ("Negotiate", "NTLM"),
        ),
        (b"", "it broke the connection off", 0, ()),
        (b"HTTP/1.1 200 OK\r\n", "it broke the connection off", 0, ()),
        (b"SSH-2.0-OpenSSH\r\n", "its answer is not HTTP", 0, ()),
        (b"HTTP/2 200\r\n\r\n", "its answer is not HTTP", 0, ()),
        (b"HTTP/1.1 2xx\r\n\r\n", "its answer is not HTTP", 0, ()),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "its answer is not HTTP", 0, ()),
    ],
)
def test_a_no(answer: bytes, said: str, status: int, wanted: tuple[str, ...]) -> None:
    with pytest.raises(ConnectError) as caught:
        opened(answer)
    assert (str(caught.value), caught.value.status, caught.value.wanted) == (said, status, wanted)
