"""Sockets for a protocol that is not HTTP."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from credential_helper.text import silent
from credential_helper.transport.certificates import read_roots
from credential_helper.transport.sockets import to_file, to_host
from integration.servers.hostile_provider import TLS, HostileProvider
from tests.helpers.clock import FakeClock
from tests.helpers.ports import free_port


def opened(host: str, port: int, clock: FakeClock, ca_file: str | None = None) -> socket.socket:
    context = None if ca_file is None else read_roots(ca_file, {}, silent).context
    return to_host(host, port, context=context, connect=5.0, seconds=10.0, clock=clock)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_connection_stands(clock: FakeClock, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, opened(host, server.getsockname()[1], clock) as ours:
        theirs, _ = server.accept()
        with theirs:
            theirs.sendall(b"hello")
            assert ours.recv(5) == b"hello"


def test_nobody_is_there(clock: FakeClock) -> None:
    with pytest.raises(ConnectionRefusedError):
        opened("127.0.0.1", free_port(), clock)


def test_a_host_s_certificate_is_verified_and_its_name(clock: FakeClock) -> None:
    with HostileProvider(tls="good") as provider:
        port = int(provider.url.rpartition(":")[2])
        with opened("127.0.0.1", port, clock, provider.ca_file) as ours:
            assert isinstance(ours, ssl.SSLSocket)
            assert ours.version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize("kind", ["other-host", "expired", "self-signed"])
def test_a_certificate_that_is_no_good_gets_no_connection(clock: FakeClock, kind: TLS) -> None:
    with HostileProvider(tls=kind) as provider:
        port = int(provider.url.rpartition(":")[2])
        with pytest.raises(ssl.SSLCertVerificationError):
            opened("127.0.0.1", port, clock, provider.ca_file)


def test_a_name_server_that_does_not_answer_is_not_waited_for(clock: FakeClock) -> None:
    never = threading.Event()

    def look_up(host: str, port: int) -> list[tuple[int, tuple[str | int | bytes, ...]]]:
        assert (host, port) == ("cache.example.com", 6380)
        never.wait(60)
        return []

    with pytest.raises(TimeoutError, match="name server"):
        to_host("cache.example.com", 6380, context=None, connect=0.01, seconds=0.02, clock=clock, look_up=look_up)
    never.set()


def test_a_name_that_there_is_not_is_an_error_of_the_system_s(clock: FakeClock) -> None:
    def look_up(_host: str, _port: int) -> list[tuple[int, tuple[str | int | bytes, ...]]]:
        raise socket.gaierror(socket.EAI_NONAME, "no name")

    with pytest.raises(socket.gaierror):
        to_host("cache.example.com", 1, context=None, connect=5.0, seconds=5.0, clock=clock, look_up=look_up)


def test_a_socket_s_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        to_file(str(tmp_path / "none"), seconds=1.0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with to_file(str(tmp_path / "s"), seconds=5.0) as ours:
            assert ours.getpeername() == str(tmp_path / "s")
