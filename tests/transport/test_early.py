"""The connection that is opened while other things are imported, against servers that count who connects."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import pytest

from credential_helper.transport.certificates import read_roots
from credential_helper.transport.dialling import Addresses
from credential_helper.transport.early import KEPT, Early
from credential_helper.urls import parse_url
from integration.servers.hostile_provider import HostileProvider, answer, closed_port
from integration.servers.proxy import RecordingProxy
from tests.helpers.clock import FakeClock
from tests.helpers.programs import CHECKOUT, DEADLINE

PROCESS = """
import sys, threading; sys.path.insert(0, sys.argv[1])
from credential_helper.errors import CredentialHelperError
from credential_helper.system.clock import SystemClock
from credential_helper.transport.client import Transport
_, _, url, ca_file, proxy, times, when, seconds, expected = sys.argv
if when == "late":
    import requests
class Standing(SystemClock):  # a connection does not grow old while a busy machine imports
    def monotonic(self):
        return 0.0
transport = Transport(
    clock=Standing(), environ={"HTTPS_PROXY": proxy}, ca_file=ca_file or None, connect=float(seconds), deadline=60.0
)
for address in expected.split():
    transport.expect(address)
for _ in range(int(times)):
    try:
        print(transport.get(url).status)
    except CredentialHelperError as error:
        print(error.sentence)
for thread in threading.enumerate():
    if thread.name.startswith("connection to"):
        thread.join()
print("early" if "credential_helper.transport.early" in sys.modules else "late", sys.getswitchinterval())
"""


class Counter:
    """A port on loopback that counts who connects, and what it does with them."""

    def __init__(self, does: Literal["pipe", "close", "hang"], behind: int = 0) -> None:
        self.connections = 0
        self.bytes_before_tls = b""
        self._does = does
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/x"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(client)
            if self._does == "close":
                client.recv(65536)  # else the system resets the connection, which is another failure
                client.close()
            elif self._does == "pipe":
                server = socket.create_connection(("127.0.0.1", self._behind))
                self._open.append(server)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=pipe, args=(source, target), daemon=True).start()


def pipe(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class Said(NamedTuple):
    lines: list[str]
    early: bool


def ask(
    url: str,
    *,
    ca_file: str = "",
    proxy: str = "",
    times: int = 1,
    when: Literal["early", "late"] = "early",
    seconds: float = 20,
    expected: str = "",
) -> Said:
    """Ask a server in a process of its own, in which requests is not loaded yet, or is ("late")."""
    words = (str(CHECKOUT), url, ca_file, proxy, str(times), when, str(seconds), expected)
    command = [sys.executable, "-I", "-c", PROCESS, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done
    *lines, last = done.stdout.splitlines()
    how, interval = last.split()
    assert interval == "0.005"
    return Said(lines, how == "early")


@pytest.fixture(scope="module")
def good() -> Iterator[HostileProvider]:
    with HostileProvider(tls="good") as provider:
        provider.script("/x", answer({}))
        yield provider


# --- what a server sees -----------------------------------------------------------------------------------------------


def test_it_is_used_once_for_the_request_it_was_opened_for(good: HostileProvider) -> None:
    good.requests.clear()
    with Counter("pipe", good.port) as server:
        assert ask(server.url, ca_file=good.ca_file) == Said(["200"], True)
        assert (server.connections, len(good.requests)) == (1, 1)
        assert ask(server.url, ca_file=good.ca_file, times=2) == Said(["200", "200"], True)
        assert (server.connections, len(good.requests)) == (3, 3)


def test_who_is_expected_is_connected_to_before_it_is_asked(good: HostileProvider) -> None:
    good.requests.clear()
    with Counter("pipe", good.port) as server:
        expected = f"{server.url} {server.url}/other"
        assert ask(server.url, ca_file=good.ca_file, expected=expected, times=2) == Said(["200", "200"], True)
        assert (server.connections, len(good.requests)) == (2, 2)


def test_what_was_opened_for_one_host_is_not_taken_for_another(good: HostileProvider) -> None:
    good.requests.clear()
    with Counter("pipe", good.port) as server, Counter("pipe", good.port) as other:
        assert ask(server.url, ca_file=good.ca_file, expected=other.url) == Said(["200"], True)
        assert server.connections == 1
        assert other.connections <= 1  # it may have been ended first
        assert len(good.requests) == 1


@pytest.mark.parametrize("expected", ["http://provider.test/x", "nothing", "https://[/", "ftp://provider.test/x"])
def test_who_cannot_be_expected_is_told_of_when_it_is_asked(good: HostileProvider, expected: str) -> None:
    with Counter("pipe", good.port) as server:
        assert ask(server.url, ca_file=good.ca_file, expected=expected).lines == ["200"]
        assert server.connections == 1


def test_a_file_of_roots_that_is_not_there_is_told_when_it_is_needed(tmp_path: Path) -> None:
    said = ask("https://127.0.0.1:9/x", ca_file=str(tmp_path / "none.pem"), expected="https://127.0.0.1:9/x")
    assert said.lines == ask("https://127.0.0.1:9/x", ca_file=str(tmp_path / "none.pem")).lines
    assert "none.pem" in said.lines[0]


def test_nobody_is_expected_past_a_proxy_nor_where_requests_is_loaded(good: HostileProvider) -> None:
    with RecordingProxy(to=good.port) as proxy, Counter("hang") as server:
        url = server.url.replace("127.0.0.1", "provider.test")
        good.script("/x", answer({}))
        assert not ask(url, ca_file=good.ca_file, proxy=f"http://{proxy.host}", expected=url).early
        assert not ask("http://127.0.0.1:9/x", expected=server.url, when="late").early
        assert server.connections == 0


def test_where_requests_is_loaded_there_is_nothing_to_gain(good: HostileProvider) -> None:
    with Counter("pipe", good.port) as server:
        assert ask(server.url, ca_file=good.ca_file, when="late") == Said(["200"], False)
        assert server.connections == 1


def test_neither_past_a_proxy_nor_to_it(good: HostileProvider) -> None:
    with RecordingProxy() as proxy:
        said = ask("https://provider.test/x", ca_file=good.ca_file, proxy=f"http://{proxy.host}")
    assert not said.early
    assert len(proxy.asked) == 1


def test_nothing_without_tls() -> None:
    with HostileProvider() as plain:
        plain.script("/x", answer({}))
        assert ask(f"{plain.url}/x") == Said(["200"], False)


# --- what goes wrong is said as ever ----------------------------------------------------------------------------------


def same_sentence(
    url: str,
    connections: dict[str, int],
    server: Counter | None = None,
    *,
    ca_file: str = "",
    seconds: float = 20,
) -> str:
    """Return what is said of a server, the same in both ways; compare how often it is connected to."""
    said = {}
    whens: tuple[Literal["early", "late"], ...] = ("early", "late")
    for when in whens:
        before = 0 if server is None else server.connections
        found = ask(url, when=when, ca_file=ca_file, seconds=seconds)
        assert found.early == (when == "early")
        (said[when],) = found.lines
        if server is not None:
            assert server.connections - before == connections[when], when
    assert said["early"] == said["late"]
    return said["early"]


def test_a_server_that_breaks_the_handshake_off() -> None:
    with Counter("close") as server:
        sentence = same_sentence(server.url, {"early": 2, "late": 1}, server)
    assert "127.0.0.1" in sentence


def test_a_server_that_accepts_and_hangs_is_waited_for_once() -> None:
    with Counter("hang") as server:
        sentence = same_sentence(server.url, {"early": 1, "late": 1}, server, seconds=1)
    assert sentence.endswith("did not finish its TLS handshake within 1 s")


def test_a_port_that_nobody_listens_on() -> None:
    with closed_port() as port:
        assert same_sentence(f"https://127.0.0.1:{port}/x", {}) == f"127.0.0.1:{port} refused the connection"


def test_a_name_that_is_none() -> None:
    assert same_sentence("https://provider.invalid/x", {}).endswith("(provider.invalid)")


@pytest.mark.parametrize(
    ("tls", "says"),
    [
        ("good", "issued by 'Hostile Test CA', is not trusted on this machine"),
        ("expired", "issued by 'Hostile Test CA', has expired"),
        ("other-host", "issued by 'Hostile Test CA', is for another host"),
        ("self-signed", "issued by 'hostile provider', is not trusted on this machine"),
    ],
)
def test_a_certificate_that_is_refused(tls: Literal["good", "expired", "other-host", "self-signed"], says: str) -> None:
    with HostileProvider(tls=tls) as provider:
        ca_file = "" if tls in ("good", "self-signed") else provider.ca_file
        assert same_sentence(f"{provider.url}/x", {}, ca_file=ca_file).endswith(says)
        assert provider.requests == []


# --- one connection ---------------------------------------------------------------------------------------------------


def opened(provider: HostileProvider, clock: FakeClock, url: str | None = None) -> Early:
    context = read_roots(provider.ca_file, {}, lambda _: None).context
    early = Early(parse_url(url or provider.url), context, Addresses(None, clock), DEADLINE, clock)
    early.start()
    return early


def test_it_is_taken_once(good: HostileProvider, clock: FakeClock) -> None:
    early = opened(good, clock)
    connection = early.take()
    assert isinstance(connection, ssl.SSLSocket)
    assert early.take() is None
    connection.close()


def test_an_old_one_is_closed(good: HostileProvider, clock: FakeClock) -> None:
    early = opened(good, clock)
    assert early.done.wait(DEADLINE)
    clock.sleep(KEPT + 1)
    assert early.take() is None


def test_one_that_the_server_has_closed_is_not_taken(good: HostileProvider, clock: FakeClock) -> None:
    with Counter("pipe", good.port) as server:
        early = opened(good, clock, server.url)
        assert early.done.wait(DEADLINE)
        held = early._held
        assert held is not None
    held.settimeout(DEADLINE)
    while held.recv(65536):  # what came before the end: tickets
        pass
    assert early.take() is None


def test_what_failed_long_ago_is_tried_again(clock: FakeClock) -> None:
    """A laptop wakes, a VPN comes up; between the two a person may have signed in."""
    context = read_roots(None, {}, lambda _: None).context
    with closed_port() as port:
        early = Early(parse_url(f"https://127.0.0.1:{port}/x"), context, Addresses(None, clock), DEADLINE, clock)
        early.start()
        with pytest.raises(ConnectionRefusedError):
            early.take()
    clock.sleep(KEPT + 1)
    assert early.take() is None


class Particular(ssl.SSLContext):
    """As truststore's on macOS and Windows, which encodes the name itself."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        options["server_hostname"].encode("ascii")
        return super().wrap_socket(sock, *args, **options)


class Broken(ssl.SSLContext):
    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        raise ValueError(sock, args, options)


@pytest.mark.parametrize(("kind", "opened"), [(Particular, True), (Broken, False)])
def test_another_s_tls_settings_get_what_they_know_and_what_they_raise_is_told_later(
    good: HostileProvider, clock: FakeClock, kind: type[ssl.SSLContext], opened: bool
) -> None:
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=good.ca_file)
    early = Early(parse_url(good.url), context, Addresses(None, clock), DEADLINE, clock)
    early.start()
    connection = early.take()
    assert (connection is not None) == opened
    if connection is not None:
        connection.close()
    early.end()
    early.join(DEADLINE)  # pytest makes an error of what a thread does not catch


def test_one_that_is_ended_is_not_opened_any_more(good: HostileProvider, clock: FakeClock) -> None:
    context = read_roots(good.ca_file, {}, lambda _: None).context
    early = Early(parse_url(good.url), context, Addresses(None, clock), 5.0, clock)
    early.end()
    early.start()
    with pytest.raises(TimeoutError):
        early.take()


def test_who_ends_it_ends_the_wait() -> None:
    with Counter("hang") as server:
        context = read_roots(None, {}, lambda _: None).context
        clock = FakeClock()
        early = Early(parse_url(server.url), context, Addresses(None, clock), 60.0, clock)
        early.start()
        while early._held is None:
            assert not early.done.wait(0.01)
        early.end()
        assert early.done.wait(DEADLINE)
