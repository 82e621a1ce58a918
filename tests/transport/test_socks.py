"""The client's half of SOCKS5, against a proxy that says what a test makes it say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

import pytest

from credential_helper.transport.socks import SocksError, open_tunnel

OPEN = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


def spoken(
    *steps: tuple[int, bytes], host: str = "idp.corp.test", login: tuple[bytes, bytes] | None = None
) -> Sequence[bytes]:
    """Open a tunnel where the proxy reads so many bytes and answers these, step by step; return what it read."""
    ours, theirs = socket.socketpair()
    heard: list[bytes] = []

    def proxy() -> None:
        for count, reply in steps:
            heard.append(theirs.recv(count, socket.MSG_WAITALL))
            theirs.sendall(reply)
        theirs.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=proxy)
    with ours, theirs:
        thread.start()
        try:
            open_tunnel(ours, host, 8443, login)
        finally:
            thread.join()
    return heard


def test_the_proxy_looks_the_name_up() -> None:
    assert spoken((3, b"\x05\x00"), (20, OPEN)) == [b"\x05\x01\x00", b"\x05\x01\x00\x03\x0didp.corp.test\x20\xfb"]


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("10.1.2.3", b"\x01\x0a\x01\x02\x03"),
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
        ("10.1", b"\x03\x0410.1"),
    ],
)
def test_an_address_goes_as_one(host: str, sent: bytes) -> None:
    assert spoken((3, b"\x05\x00"), (5 + len(sent), OPEN), host=host)[1] == b"\x05\x01\x00" + sent + b"\x20\xfb"


@pytest.mark.parametrize("bound", [b"\x01" + bytes(6), b"\x04" + bytes(18), b"\x03\x05proxy\x00\x00"])
def test_what_the_proxy_connects_from_is_read_to_its_end(bound: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\x05\x00\x05\x00\x00" + bound + b"the host")
        open_tunnel(ours, "idp.corp.test", 443, None)
        assert ours.recv(100) == b"the host"


def test_user_name_and_password() -> None:
    steps = (4, b"\x05\x02"), (10, b"\x01\x00"), (20, OPEN)
    assert spoken(*steps, login=(b"ada", b"hush"))[:2] == [b"\x05\x02\x00\x02", b"\x01\x03ada\x04hush"]


def test_a_login_that_is_not_wanted_is_not_sent() -> None:
    assert spoken((4, b"\x05\x00"), (20, OPEN), login=(b"ada", b"hush"))[1].startswith(b"\x05\x01")


LOGIN = (b"ada", b"hush")


@pytest.mark.parametrize(
    ("steps", "login", "said"),
    [
        ([(3, b"HTTP/1.1 400 Bad Request\r\n")], None, "it does not speak SOCKS5"),
        ([(3, b"\x04\x5b")], None, "it does not speak SOCKS5"),
        ([(3, b"\x05\xff")], None, "it wants a user name and a password"),
        ([(4, b"\x05\xff")], LOGIN, "it takes none of our ways to sign in"),
        ([(3, b"\x05\x02")], None, "it wants a way to sign in that was not offered"),
        ([(3, b"\x05\x01")], None, "it wants a way to sign in that was not offered"),
        ([(4, b"\x05\x02"), (10, b"\x01\x01")], LOGIN, "it refuses the user name and password"),
        ([(4, b"\x05\x02")], (b"", b"hush"), "it takes a user name and a password of at most 255 bytes"),
        ([(4, b"\x05\x02")], (b"ada", b"h" * 256), "it takes a user name and a password of at most 255 bytes"),
        ([(3, b"")], None, "it broke the connection off"),
        ([(3, b"\x05\x00"), (20, b"\x05\x00\x00")], None, "it broke the connection off"),
        ([(3, b"\x05\x00"), (20, b"\x05\x02\x00\x01")], None, "its rules do not allow it"),
        ([(3, b"\x05\x00"), (20, b"\x05\x04\x00\x01")], None, "it says that the host is unreachable"),
        ([(3, b"\x05\x00"), (20, b"\x05\x63\x00\x01")], None, "it refuses with code 99"),
        ([(3, b"\x05\x00"), (20, b"\x04\x00\x00\x01")], None, "it does not speak SOCKS5"),
    ],
)
def test_a_proxy_that_does_not_open(
    steps: list[tuple[int, bytes]], login: tuple[bytes, bytes] | None, said: str
) -> None:
    with pytest.raises(SocksError) as caught:
        spoken(*steps, login=login)
    assert str(caught.value) == said
