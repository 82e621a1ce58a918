from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credential_helper.errors import ConfigurationError
from credential_helper.oauth.grants import loopback
from credential_helper.oauth.grants.loopback import LONGEST_HEAD, MOST, Listener, PortTaken, callback
from tests.helpers.ports import free_port
from tests.helpers.programs import DEADLINE

STATE = "the-state-of-this-sign-in"
ROUNDS = 60_000  # of serving that a test waits at most
PATIENCE = 600.0  # seconds, instead of the 5 that a busy machine may take for a step


class Ahead:
    """Real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.seconds


Listen = Callable[..., Listener]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "PATIENCE", PATIENCE)


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Return a maker of listeners, which are closed after the test."""
    with contextlib.ExitStack() as made:

        def make(
            redirect_uri: str = "http://127.0.0.1/callback", *, monotonic: Callable[[], float] = time.monotonic
        ) -> Listener:
            listener = Listener(redirect_uri, state=STATE, monotonic=monotonic)
            made.callback(listener.close)
            return listener

        yield make


@pytest.fixture
def listener(listen: Listen) -> Listener:
    return listen()


def port_of(listener: Listener) -> int:
    found = re.match(r"http://[^/]+:([0-9]+)", listener.redirect_uri)
    assert found
    return int(found[1])


def connect(listener: Listener, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, port_of(listener)), timeout=DEADLINE)


def get(
    listener: Listener, query: str = f"code=c0de&state={STATE}", *, path: str = "/callback", host: str = ""
) -> bytes:
    """Return a request as a browser sends it."""
    host = host or f"127.0.0.1:{port_of(listener)}"
    target = f"{path}?{query}" if query else path
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n".encode("latin-1")


def ask(listener: Listener, data: bytes) -> bytes:
    """Send ``data`` and serve until the listener hangs up; return what it said."""
    left, said = memoryview(data), b""
    with connect(listener) as client:
        client.setblocking(False)
        for _ in range(ROUNDS):
            assert not listener.wait(0.001)
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                left = left[client.send(left) :]
            try:
                got = client.recv(65536)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return said
            if not got:
                return said
            said += got
    raise AssertionError("no answer")


def serve_until(listener: Listener, happened: Callable[[], bool]) -> None:
    for _ in range(ROUNDS):
        if happened():
            return
        listener.wait(0.001)
    raise AssertionError("it did not happen")


def hung_up(client: socket.socket) -> bool:
    """Say whether the other end has closed, without reading what it said."""
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def brings_callback(listener: Listener, client: socket.socket, request: bytes | None = None) -> None:
    client.sendall(request or get(listener))
    serve_until(listener, lambda: bool(listener.parameters))


def answer(client: socket.socket) -> bytes:
    """Return all that is said until the other end hangs up."""
    client.settimeout(DEADLINE)
    said = b""
    while got := client.recv(65536):
        said += got
    return said


def still_waits(listener: Listener) -> None:
    """Fail unless the valid callback is still served."""
    assert not listener.parameters
    with connect(listener) as browser:
        brings_callback(listener, browser)
        listener.finish(True)
        assert b"Signed in" in answer(browser)


def refused(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=DEADLINE).close()
    except ConnectionRefusedError:
        return True
    return False


# --- where it listens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("redirect_uri", "sent"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:PORT/callback"),
        ("http://127.0.0.1", "http://127.0.0.1:PORT"),
        ("http://127.0.0.1/", "http://127.0.0.1:PORT/"),
        ("http://[::1]/a/b%20c", "http://[::1]:PORT/a/b%20c"),
        ("http://localhost/callback", "http://localhost:PORT/callback"),
    ],
)
def test_a_redirect_uri_without_a_port_gets_a_free_one_and_is_else_sent_as_written(
    listen: Listen, redirect_uri: str, sent: str
) -> None:
    listener = listen(redirect_uri)
    assert listener.redirect_uri == sent.replace("PORT", str(port_of(listener)))
    path = "/" + sent.partition("PORT")[2].lstrip("/")
    host = sent.partition("//")[2].partition("/")[0].replace("PORT", str(port_of(listener)))
    with connect(listener, "::1" if "::1" in host else "127.0.0.1") as browser:
        brings_callback(listener, browser, get(listener, path=path, host=host))
    assert listener.parameters == {"code": "c0de", "state": STATE}


def test_a_port_in_the_redirect_uri_is_the_one(listen: Listen) -> None:
    port = free_port()
    listener = listen(f"http://127.0.0.1:{port}/callback")
    assert listener.redirect_uri == f"http://127.0.0.1:{port}/callback"
    still_waits(listener)


def test_two_listeners_have_two_ports(listen: Listen) -> None:
    assert port_of(listen()) != port_of(listen())


def own_address() -> str | None:
    """Return an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return address


def test_no_other_interface_is_listened_on(listen: Listen) -> None:
    port = port_of(listen())
    assert refused(port, "::1")
    if sys.platform == "linux":
        assert refused(port, "127.0.0.2")
    address = own_address()
    if address is not None:
        assert refused(port, address)
        assert refused(port_of(listen("http://localhost/callback")), address)


def test_ipv6_is_ipv6_alone(listen: Listen) -> None:
    port = port_of(listen("http://[::1]/callback"))
    assert refused(port, "127.0.0.1")
    assert not refused(port, "::1")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_localhost_is_both_families_on_one_port(listen: Listen, address: str) -> None:
    listener = listen("http://localhost/callback")
    with connect(listener, address) as browser:
        brings_callback(listener, browser, get(listener, host=f"localhost:{port_of(listener)}"))
        listener.finish(True)
        assert b"Signed in" in answer(browser)
    assert refused(port_of(listener), "127.0.0.1")
    assert refused(port_of(listener), "::1")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_localhost_is_not_shared_with_who_listens_on_one_family(listen: Listen, address: str) -> None:
    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"the port {port} "):
            listen(f"http://localhost:{port}/callback")
        assert refused(port, "::1" if address == "127.0.0.1" else "127.0.0.1")  # nothing is left behind


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_says_so(listen: Listen, address: str) -> None:
    with socket.create_server((address, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            listen(f"http://127.0.0.1:{port}/callback")
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.in_use == port
    assert caught.value.sentence == f"the port {port} of redirect_uri is in use by another program"
    assert "another sign-in may be waiting in a browser" in (caught.value.hint or "")
    assert 'flow = "device"' in (caught.value.hint or "")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no list of forbidden ports to read")
def test_a_port_that_the_system_forbids_says_why(listen: Listen) -> None:
    from pathlib import Path

    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1 or _may_bind_any_port():
        pytest.skip("this process may listen on any port")
    with pytest.raises(PortTaken, match=r"cannot listen on 127\.0\.0\.1:1, .* \(Permission denied\)") as caught:
        listen("http://127.0.0.1:1/callback")
    assert caught.value.in_use is None


def _may_bind_any_port() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 1))
        except PermissionError:
            return False
        except OSError:
            return True
        return True


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("option", ["SO_REUSEADDR", "SO_REUSEPORT"])
@pytest.mark.parametrize("fixed", [False, True])
def test_nobody_shares_or_takes_over_the_port(listen: Listen, address: str, option: str, *, fixed: bool) -> None:
    listener = listen(f"http://127.0.0.1:{free_port()}/callback" if fixed else "http://127.0.0.1/callback")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        with pytest.raises(OSError, match=r"."):
            other.bind((address, port_of(listener)))
            other.listen()
            if sys.platform != "linux" and address == "0.0.0.0":  # BSD lets it bind, and prefers the closer address
                raise OSError("as good as refused")
    still_waits(listener)


def test_the_port_can_be_used_again_at_once(listen: Listen) -> None:
    """Who hangs up first keeps a connection in TIME_WAIT, and its port from whoever does not know SO_REUSEADDR."""
    port = free_port()
    for _ in range(3):
        still_waits(listen(f"http://127.0.0.1:{port}/callback"))


def test_no_child_inherits_the_listener_or_a_connection(listener: Listener) -> None:
    port = port_of(listener)
    with connect(listener) as browser:
        brings_callback(listener, browser)
        code = "print('runs', flush=True); input()"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
        )
        try:
            assert child.stdout
            assert child.stdout.readline() == b"runs\n"  # a vfork ends before exec has closed what is not inherited
            listener.finish(True)
            assert b"Signed in" in answer(browser)
            assert refused(port)
        finally:
            child.communicate(b"\n")


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://127.0.0.1/callback",
        "http://0.0.0.0/callback",
        "http://127.0.0.2/callback",
        "http://[::]/callback",
        "http://[::ffff:127.0.0.1]/callback",
        "http://app.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://ada@127.0.0.1/callback",
        "http://127.0.0.1/callback?a=b",
        "http://127.0.0.1/callback#a",
        "http://127.0.0.1:0/callback",
        "urn:ietf:wg:oauth:2.0:oob",
        "",
    ],
)
def test_nothing_but_loopback_is_listened_on(listen: Listen, redirect_uri: str) -> None:
    with pytest.raises(ConfigurationError, match="redirect_uri") as caught:
        listen(redirect_uri)
    assert not isinstance(caught.value, PortTaken)


# --- the valid callback -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (f"code=c0de&state={STATE}", {"code": "c0de", "state": STATE}),
        (f"state={STATE}&code=a%2Fb%3D%2B+c&iss=https%3A%2F%2Fop.example", None),
        (f"error=access_denied&error_description=no+thanks&state={STATE}", None),
        (f"code=c0de&state={STATE}&error=&iss=", {"code": "c0de", "state": STATE}),
        (f"code=c0de&state={STATE}&session_state=1&session_state=2&scope=a", {"code": "c0de", "state": STATE}),
        (f"code={'c' * 8000}&state={STATE}", {"code": "c" * 8000, "state": STATE}),
    ],
)
def test_what_the_browser_brought_is_told(listener: Listener, query: str, parameters: dict[str, str] | None) -> None:
    with connect(listener) as browser:
        brings_callback(listener, browser, get(listener, query))
    from urllib.parse import parse_qsl

    assert listener.parameters == (parameters or dict(parse_qsl(query)))


def test_a_callback_that_dribbles_in_is_one(listener: Listener) -> None:
    with connect(listener) as browser:
        for byte in get(listener):
            browser.sendall(bytes([byte]))
            listener.wait(0.0)
        serve_until(listener, lambda: bool(listener.parameters))


def test_a_browser_may_bring_many_cookies(listener: Listener) -> None:
    cookies = b"Cookie: " + b"c" * (LONGEST_HEAD - 1000) + b"\r\n"
    with connect(listener) as browser:
        first, _, rest = get(listener).partition(b"\r\n")
        brings_callback(listener, browser, first + b"\r\n" + cookies + rest)


@pytest.mark.parametrize("host", ["Host: 127.0.0.1:PORT", "host:127.0.0.1:PORT", "HOST: \t127.0.0.1:PORT \t"])
def test_a_header_may_be_written_in_several_ways(listener: Listener, host: str) -> None:
    header = host.replace("PORT", str(port_of(listener)))
    with connect(listener) as browser:
        brings_callback(listener, browser, f"GET /callback?code=c&state={STATE} HTTP/1.0\r\n{header}\r\n\r\n".encode())


def test_on_the_default_port_a_browser_leaves_it_out() -> None:
    names = ("127.0.0.1:80", "127.0.0.1")
    for name in names:
        head = f"GET /cb?code=c&state={STATE} HTTP/1.1\r\nHost: {name}".encode()
        assert callback(head, path="/cb", names=names, state=STATE) == {"code": "c", "state": STATE}


@pytest.mark.parametrize("worked", [True, False])
def test_the_browser_is_held_until_the_end_and_hears_the_truth(listener: Listener, *, worked: bool) -> None:
    with connect(listener) as browser:
        brings_callback(listener, browser)
        assert listener.wait(0.05)
        browser.setblocking(False)
        with pytest.raises(BlockingIOError):
            browser.recv(1)
        listener.finish(worked)
        page = answer(browser)
    assert page.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (b"Signed in" in page) is worked
    assert (b"did not work" in page) is not worked


@pytest.mark.parametrize("end", [lambda one: one.finish(True), lambda one: one.finish(False), Listener.close])
def test_afterwards_nothing_listens_any_more(listener: Listener, end: Callable[[Listener], None]) -> None:
    with connect(listener) as browser, connect(listener) as silent:
        brings_callback(listener, browser)
        end(listener)
        assert answer(browser)
        assert refused(port_of(listener))
        silent.settimeout(DEADLINE)
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
    end(listener)
    listener.finish(True)
    listener.close()
    assert listener.wait(0.0)
    assert listener.parameters


def test_giving_up_before_anybody_came(listener: Listener) -> None:
    port = port_of(listener)
    listener.close()
    assert refused(port)
    assert not listener.wait(1.0)


def test_a_browser_that_has_gone_hears_nothing(listener: Listener) -> None:
    with connect(listener) as browser:
        brings_callback(listener, browser)
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    listener.finish(True)
    assert refused(port_of(listener))


def test_a_real_client_gets_its_page(listener: Listener) -> None:
    pages: list[tuple[int, bytes]] = []

    def browse() -> None:
        for path in ("/favicon.ico", f"/callback?code=c0de&state={STATE}"):
            connection = http.client.HTTPConnection("127.0.0.1", port_of(listener), timeout=DEADLINE)
            connection.request("GET", path)
            got = connection.getresponse()
            pages.append((got.status, got.read()))
            connection.close()

    browser = threading.Thread(target=browse)
    browser.start()
    assert listener.wait(DEADLINE)
    listener.finish(True)
    browser.join()
    assert [status for status, _ in pages] == [404, 200]
    assert b"Signed in" in pages[1][1]


# --- copies of it -----------------------------------------------------------------------------------------------------


def test_a_copy_gets_the_same_page_and_changes_nothing(listener: Listener) -> None:
    with connect(listener) as first, connect(listener) as second, connect(listener) as other:
        brings_callback(listener, first)
        second.sendall(get(listener))  # a reload, a prefetch
        other.sendall(get(listener, f"code=another&state={STATE}"))
        assert listener.wait(0.0)
        listener.finish(True)
        assert answer(first) == answer(second) == answer(other)
    assert listener.parameters["code"] == "c0de"


def test_a_reload_that_hung_up_the_first_request_hears_how_it_ended(listener: Listener) -> None:
    with connect(listener) as first:
        brings_callback(listener, first)
    with connect(listener) as reload:
        reload.sendall(get(listener))
        listener.finish(False)
        assert b"did not work" in answer(reload)


def test_whatever_else_comes_during_the_exchange_gets_nothing(listener: Listener) -> None:
    with connect(listener) as browser, connect(listener) as other:
        brings_callback(listener, browser)
        other.sendall(get(listener, path="/favicon.ico"))
        listener.finish(True)
        assert b"Signed in" not in answer(other)


# --- what is waited over ----------------------------------------------------------------------------------------------

OK = f"code=c0de&state={STATE}"
OWN = "Host: 127.0.0.1:PORT\r\n"
STRAY = {
    "favicon": f"GET /favicon.ico HTTP/1.1\r\n{OWN}\r\n",
    "root": f"GET /?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "longer path": f"GET /callback/?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "shorter path": f"GET /callbac?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "other case": f"GET /Callback?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "dots": f"GET /x/../callback?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "two slashes": f"GET //callback?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "encoded path": f"GET /callbac%6b?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "absolute form": f"GET http://127.0.0.1:PORT/callback?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "asterisk": f"GET * HTTP/1.1\r\n{OWN}\r\n",
    "no query": f"GET /callback HTTP/1.1\r\n{OWN}\r\n",
    "empty query": f"GET /callback? HTTP/1.1\r\n{OWN}\r\n",
    "no state": f"GET /callback?code=c0de HTTP/1.1\r\n{OWN}\r\n",
    "empty state": f"GET /callback?code=c0de&state= HTTP/1.1\r\n{OWN}\r\n",
    "wrong state": f"GET /callback?code=c0de&state=x{STATE[1:]} HTTP/1.1\r\n{OWN}\r\n",
    "half a state": f"GET /callback?code=c0de&state={STATE[:-1]} HTTP/1.1\r\n{OWN}\r\n",
    "longer state": f"GET /callback?code=c0de&state={STATE}x HTTP/1.1\r\n{OWN}\r\n",
    "state of another case": f"GET /callback?code=c0de&state={STATE.upper()} HTTP/1.1\r\n{OWN}\r\n",
    "state that is no ASCII": f"GET /callback?code=c0de&state=%C3%A4%FF HTTP/1.1\r\n{OWN}\r\n",
    "state twice": f"GET /callback?code=c0de&state={STATE}&state={STATE} HTTP/1.1\r\n{OWN}\r\n",
    "two states": f"GET /callback?code=c0de&state=x&state={STATE} HTTP/1.1\r\n{OWN}\r\n",
    "state in another name": f"GET /callback?code=c0de&State={STATE} HTTP/1.1\r\n{OWN}\r\n",
    "state in a header": f"GET /callback?code=c0de HTTP/1.1\r\n{OWN}Cookie: state={STATE}\r\n\r\n",
    "neither code nor error": f"GET /callback?state={STATE} HTTP/1.1\r\n{OWN}\r\n",
    "empty code": f"GET /callback?code=&state={STATE} HTTP/1.1\r\n{OWN}\r\n",
    "code and error": f"GET /callback?{OK}&error=access_denied HTTP/1.1\r\n{OWN}\r\n",
    "code twice": f"GET /callback?{OK}&code=c0de HTTP/1.1\r\n{OWN}\r\n",
    "error twice": f"GET /callback?state={STATE}&error=a&error=b HTTP/1.1\r\n{OWN}\r\n",
    "description twice": (
        f"GET /callback?state={STATE}&error=a&error_description=b&error_description=c HTTP/1.1\r\n{OWN}\r\n"
    ),
    "iss twice": f"GET /callback?{OK}&iss=https://a&iss=https://b HTTP/1.1\r\n{OWN}\r\n",
    "semicolons": f"GET /callback?code=c0de;state={STATE} HTTP/1.1\r\n{OWN}\r\n",
    "a thousand parameters": f"GET /callback?{OK}{'&a=b' * 1000} HTTP/1.1\r\n{OWN}\r\n",
    "no host": f"GET /callback?{OK} HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "no header": f"GET /callback?{OK} HTTP/1.0\r\n\r\n",
    "rebinding": f"GET /callback?{OK} HTTP/1.1\r\nHost: evil.example:PORT\r\n\r\n",
    "rebinding that looks like us": f"GET /callback?{OK} HTTP/1.1\r\nHost: 127.0.0.1.evil.example:PORT\r\n\r\n",
    "localhost is not the literal": f"GET /callback?{OK} HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n",
    "ipv6 is not the literal": f"GET /callback?{OK} HTTP/1.1\r\nHost: [::1]:PORT\r\n\r\n",
    "host without port": f"GET /callback?{OK} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "host with another port": f"GET /callback?{OK} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
    "host with a user": f"GET /callback?{OK} HTTP/1.1\r\nHost: ada@127.0.0.1:PORT\r\n\r\n",
    "empty host": f"GET /callback?{OK} HTTP/1.1\r\nHost:\r\n\r\n",
    "host twice": f"GET /callback?{OK} HTTP/1.1\r\n{OWN}{OWN}\r\n",
    "two hosts": f"GET /callback?{OK} HTTP/1.1\r\n{OWN}hOsT: evil.example\r\n\r\n",
    "space before the colon": f"GET /callback?{OK} HTTP/1.1\r\nHost : 127.0.0.1:PORT\r\n\r\n",
    "folded host": f"GET /callback?{OK} HTTP/1.1\r\nX: a\r\n Host: 127.0.0.1:PORT\r\n\r\n",
    "smuggled host": f"GET /callback?{OK} HTTP/1.1\r\nX: a\n{OWN}\r\n",
    "HEAD": f"HEAD /callback?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "POST": f"POST /callback HTTP/1.1\r\n{OWN}Content-Length: {len(OK)}\r\n\r\n{OK}",
    "POST with a query": f"POST /callback?{OK} HTTP/1.1\r\n{OWN}Content-Length: 0\r\n\r\n",
    "OPTIONS": f"OPTIONS /callback?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "CONNECT": f"CONNECT 127.0.0.1:PORT HTTP/1.1\r\n{OWN}\r\n",
    "lower case": f"get /callback?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "no version": f"GET /callback?{OK}\r\n{OWN}\r\n",
    "HTTP/0.9": f"GET /callback?{OK}\r\n\r\n",
    "HTTP/1.2": f"GET /callback?{OK} HTTP/1.2\r\n{OWN}\r\n",
    "HTTP/2": f"GET /callback?{OK} HTTP/2\r\n{OWN}\r\n",
    "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces": f"GET  /callback?{OK} HTTP/1.1\r\n{OWN}\r\n",
    "another word": f"GET /callback?{OK} x HTTP/1.1\r\n{OWN}\r\n",
    "only ends": "\r\n\r\n\r\n\r\n",
    "garbage": "\x00\x01\xff\xfe" * 100,
    "garbage after GET": "GET \x00\x01\xff\xfe" + "\xff" * 100 + "\r\n\r\n",
    "a TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x11" * 500,
    "ssh": "SSH-2.0-OpenSSH_9.9\r\n",
    "redis": "*1\r\n$4\r\nPING\r\n",
    "a query of megabytes": f"GET /callback?{OK}&x={'y' * (4 << 20)} HTTP/1.1\r\n{OWN}\r\n",
    "headers without end": f"GET /callback?{OK} HTTP/1.1\r\n{OWN}" + "X-Endless: yes\r\n" * 100_000,
    "a line without end": "GET /" + "a" * (2 << 20),
}


@pytest.mark.parametrize("request_text", STRAY.values(), ids=STRAY)
def test_anything_else_gets_a_404_and_the_wait_goes_on(listener: Listener, request_text: str) -> None:
    said = ask(listener, request_text.replace("PORT", str(port_of(listener))).encode("latin-1"))
    assert said.startswith(b"HTTP/1.1 404 ")
    assert b"c0de" not in said
    assert STATE.encode() not in said
    still_waits(listener)


@given(st.binary(max_size=300))
def test_no_bytes_upset_the_reader(head: bytes) -> None:
    assert callback(head, path="/callback", names=("127.0.0.1:1",), state=STATE) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["state", "code", "error", "error_description", "iss", "scope"]),
            st.sampled_from([STATE, "", "a", "\u00e4", " ", "&", "%"]),
        ),
        max_size=6,
    )
)
def test_a_callback_is_valid_only_with_one_state_and_one_of_code_and_error(pairs: list[tuple[str, str]]) -> None:
    head = f"GET /cb?{urlencode(pairs)} HTTP/1.1\r\nHost: 127.0.0.1:1".encode()
    found = callback(head, path="/cb", names=("127.0.0.1:1",), state=STATE)
    meant = [(name, value) for name, value in pairs if value and name != "scope"]
    names = [name for name, _ in meant]
    valid = (
        len(set(names)) == len(names) and dict(meant).get("state") == STATE and ("code" in names) != ("error" in names)
    )
    assert found == (dict(meant) if valid else None)


def test_a_port_scan_is_nothing(listener: Listener) -> None:
    for number in range(60):
        scan = connect(listener)
        if number % 2:  # a reset instead of an end
            scan.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        scan.close()
        listener.wait(0.0)
    still_waits(listener)


def test_connections_that_stay_silent_are_in_nobodys_way(listener: Listener) -> None:
    """Browsers open some in advance."""
    silent = [connect(listener) for _ in range(3)]
    listener.wait(0.0)
    still_waits(listener)
    for one in silent:
        one.close()


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET /callback", b"GET / HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nA: b\r\n"]
)
def test_who_is_not_done_in_time_is_hung_up_on(listen: Listen, sent: bytes) -> None:
    time_passes = Ahead()
    listener = listen(monotonic=time_passes)
    with connect(listener) as slow:
        slow.sendall(sent)
        listener.wait(0.05)
        time_passes.seconds = PATIENCE / 2
        listener.wait(0.0)
        assert not hung_up(slow)
        time_passes.seconds = PATIENCE
        serve_until(listener, lambda: hung_up(slow))
    still_waits(listener)


def test_a_slow_loris_does_not_live_longer_by_sending(listen: Listen) -> None:
    time_passes = Ahead()
    listener = listen(monotonic=time_passes)
    with connect(listener) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        listener.wait(0.05)
        for second in range(int(PATIENCE) + 1):
            time_passes.seconds = second + 0.5
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                slow.send(b"X: y\r\n")
            listener.wait(0.0)
        serve_until(listener, lambda: hung_up(slow))
    still_waits(listener)


def test_who_does_not_hang_up_after_a_404_is_hung_up_on(listen: Listen) -> None:
    time_passes = Ahead()
    listener = listen(monotonic=time_passes)
    with connect(listener) as stays:
        stays.sendall(get(listener, path="/favicon.ico"))
        serve_until(listener, lambda: _readable(stays))
        assert stays.recv(65536).startswith(b"HTTP/1.1 404 ")
        time_passes.seconds = PATIENCE
        listener.wait(0.0)
        stays.settimeout(DEADLINE)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                stays.sendall(b"x" * 1000)
            raise AssertionError("it still reads")
    still_waits(listener)


def _readable(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


def test_half_a_request_and_gone(listener: Listener) -> None:
    for end in range(0, len(get(listener)) - 1, 7):
        with connect(listener) as half:
            half.sendall(get(listener)[:end])
        listener.wait(0.0)
    still_waits(listener)


def test_of_too_many_connections_the_oldest_makes_way(listener: Listener) -> None:
    clients = []
    for _ in range(MOST + 10):
        clients.append(connect(listener))
        listener.wait(0.0)
    serve_until(listener, lambda: all(hung_up(client) for client in clients[:10]))
    assert not any(hung_up(client) for client in clients[10:])
    still_waits(listener)
    for client in clients:
        client.close()


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Allow this process a thousand open files, whatever ``ulimit -n`` it was started with."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= before[0] < 1024:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024 if before[1] < 0 else min(1024, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("descriptors")
def test_a_flood_of_connections_leaves_room_for_the_callback(listener: Listener) -> None:
    clients = []
    for number in range(600):
        clients.append(connect(listener))
        if number % 20 == 0:
            listener.wait(0.0)
        if len(clients) > 200:
            clients.pop(0).close()
    still_waits(listener)
    for client in clients:
        client.close()


def test_without_a_free_descriptor_the_wait_goes_on(listener: Listener) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connect(listener) as silent, connect(listener) as browser:
        listener.wait(0.05)
        browser.sendall(get(listener))
        with connect(listener) as other:
            with socket.socket() as probe:
                lowest = probe.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
            try:
                serve_until(listener, lambda: hung_up(silent))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            other.sendall(get(listener))
            serve_until(listener, lambda: bool(listener.parameters))


def test_a_wait_ends_in_time_whatever_arrives(listen: Listen) -> None:
    ticks = iter(range(10**6))
    listener = listen(monotonic=lambda: next(ticks) / 100)  # time passes with each look at the clock
    with connect(listener) as chatty:
        chatty.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                chatty.send(b"x" * 65536)
        began = next(ticks)
        assert not listener.wait(0.2)
        assert not hung_up(chatty) or _readable(chatty)  # there is more to read than fits into that time
    assert next(ticks) - began < 40


# --- the page ---------------------------------------------------------------------------------------------------------

MARK = "m4rk3d<script>"
VOID = {"meta"}


class Page(HTMLParser):
    """Reads strictly: every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.declared = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_decl(self, decl: str) -> None:
        self.declared = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data


def page_after(listener: Listener, *, worked: bool) -> tuple[dict[str, str], str]:
    """Return the headers and the text of the page for a callback that is full of what must not come back."""
    query = urlencode({"error": MARK, "error_description": MARK, "iss": MARK, "state": STATE, "other": MARK})
    with connect(listener) as browser:
        brings_callback(
            listener, browser, get(listener, query).replace(b"Accept:", f"X-Mark: {MARK}\r\nAccept:".encode())
        )
        listener.finish(worked)
        return split(answer(browser))


def split(said: bytes) -> tuple[dict[str, str], str]:
    head, _, body = said.partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode("ascii").split("\r\n")[1:]]
    headers = {name: value for name, _, value in lines}
    assert len(headers) == len(lines)
    assert int(headers["Content-Length"]) == len(body)
    return headers, body.decode("utf-8")


@pytest.mark.parametrize("worked", [True, False])
def test_the_page_is_small_valid_html_that_needs_nothing(listener: Listener, *, worked: bool) -> None:
    _, text = page_after(listener, worked=worked)
    page = Page(text)
    assert page.declared == "DOCTYPE html"
    assert page.tags == ["html", "head", "meta", "meta", "title", "style", "body", "main", "h1", "p"]
    assert ("lang", "en") in page.attributes
    assert ("charset", "utf-8") in page.attributes
    assert not {"src", "href", "style", "onload", "http-equiv"} & {name for name, _ in page.attributes}
    assert "url(" not in text
    assert "://" not in text
    assert len(text) < 2000
    assert page.texts["title"] == page.texts["h1"]


@pytest.mark.parametrize(
    ("worked", "title", "words"),
    [
        (True, "Signed in", "You can close this tab."),
        (False, "The sign-in did not work", "The terminal says why. You can close this tab."),
    ],
)
def test_the_page_says_calmly_how_it_ended(listener: Listener, title: str, words: str, *, worked: bool) -> None:
    page = Page(page_after(listener, worked=worked)[1])
    assert (page.texts["title"], page.texts["p"]) == (title, words)


@pytest.mark.parametrize("worked", [True, False])
def test_nothing_from_the_request_is_reflected(listener: Listener, *, worked: bool) -> None:
    headers, text = page_after(listener, worked=worked)
    assert "m4rk3d" not in text + str(headers)
    assert STATE not in text + str(headers)


def test_the_headers_forbid_everything(listener: Listener) -> None:
    headers, text = page_after(listener, worked=True)
    policy = headers.pop("Content-Security-Policy").split("; ")
    style = Page(text).texts["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    assert headers == {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(text.encode())),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Connection": "close",
    }


def test_the_page_is_readable_on_dark_and_on_light(listener: Listener) -> None:
    style = Page(page_after(listener, worked=True)[1]).texts["style"]
    assert "color-scheme:light dark" in style
    assert not re.search(r"(?<![-\w])(color|background[-a-z]*):", style)  # the browser's own colours fit each other


def test_a_404_is_as_calm_and_as_careful(listener: Listener) -> None:
    headers, text = split(ask(listener, get(listener, f"code={MARK}&state={MARK}")))
    assert "m4rk3d" not in text
    assert Page(text).texts["title"] == "No sign-in here"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"


def test_a_page_fits_the_smallest_send_buffer() -> None:
    """It is sent in one piece and without waiting."""
    for words in (loopback._WORKED, loopback._FAILED, loopback._UNKNOWN):
        assert len(loopback._response("200 OK", words)) < 4096
