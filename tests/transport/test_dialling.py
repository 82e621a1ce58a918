"""Several addresses of one host, on loopback: some answer, some refuse, and some are dead."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from credential_helper.transport.dialling import MOST, Addresses, Sockaddr, by_turns, dial
from integration.servers.hostile_provider import closed_port
from tests.helpers.clock import FakeClock

SECONDS = 120.0  # far more than a test takes


class Memory:
    """Documents in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def write(self, name: str, document: bytes) -> None:
        self.kept[name] = document


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def live() -> Iterator[Sockaddr]:
    """Give the address of somebody who takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


@pytest.fixture
def dead() -> Iterator[Sockaddr]:
    """Give an address that answers nothing: its queue is full, so the system drops what comes."""
    if sys.platform != "linux":
        pytest.skip("other systems refuse what their queue cannot hold")
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        time.sleep(0.05)
        yield full.getsockname()


def connect(addresses: Addresses, *found: Sockaddr, seconds: float = SECONDS) -> Sockaddr:
    """Connect to a host with these addresses, and return the one that was taken."""

    def look_up(host: str, port: int) -> list[tuple[int, Sockaddr]]:
        assert (host, port) == ("idp.test", 443)
        return [(int(socket.AF_INET6 if ":" in str(one[0]) else socket.AF_INET), one) for one in found]

    with dial("idp.test", 443, seconds=seconds, addresses=addresses, look_up=look_up) as connected:
        taken: Sockaddr = connected.getpeername()
        return taken


def test_a_dead_first_address_costs_a_moment_and_the_next_call_nothing(
    dead: Sockaddr, live: Sockaddr, memory: Memory, clock: FakeClock
) -> None:
    started = time.monotonic()
    assert connect(Addresses(memory, clock), dead, live) == live
    assert time.monotonic() - started < SECONDS / 4  # without a second attempt beside the first it would be all of it
    assert json.loads(memory.kept["addresses.json"]) == {"answered": {"idp.test:443": [live[0], clock.now()]}}
    # The next process: were the dead one tried first again, this would be kept anew.
    kept = dict(memory.kept)
    clock.advance(60)
    assert connect(Addresses(memory, clock), dead, live) == live
    assert memory.kept == kept


def test_the_address_that_answered_last_is_tried_first(live: Sockaddr, memory: Memory, clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.3", 0)) as server:
        other = server.getsockname()
        addresses = Addresses(memory, clock)
        assert connect(addresses, live, other) == live
        assert memory.kept == {}, "the first one answered: there is nothing to know"
        addresses.prefer("idp.test:443", other[0])
        assert connect(addresses, live, other) == other
        clock.advance(86401)
        assert connect(addresses, live, other) == live


def test_an_address_that_is_kept_but_no_longer_the_hosts_is_not_used(
    live: Sockaddr, memory: Memory, clock: FakeClock
) -> None:
    with socket.create_server(("127.0.0.3", 0)) as server:
        Addresses(memory, clock).prefer("idp.test:443", server.getsockname()[0])
        assert connect(Addresses(memory, clock), live) == live
        with closed_port() as port:
            assert connect(Addresses(memory, clock), ("127.0.0.1", port), live) == live


def test_an_address_that_refuses_is_passed_over_at_once(live: Sockaddr, memory: Memory, clock: FakeClock) -> None:
    with closed_port() as port:
        assert connect(Addresses(memory, clock), ("127.0.0.3", port), live) == live
    assert memory.kept == {}, "localhost is so on many machines, and it costs nothing"


def test_there_may_be_no_ipv6_here(live: Sockaddr, clock: FakeClock) -> None:
    unreachable = ("100::1", 443, 0, 0)  # RFC 6666: packets to it are dropped
    assert connect(Addresses(None, clock), unreachable, live) == live


def test_nobody_answers(dead: Sockaddr, clock: FakeClock) -> None:
    with pytest.raises(TimeoutError):
        connect(Addresses(None, clock), dead, dead, seconds=0.4)


def test_everybody_refuses(clock: FakeClock) -> None:
    with closed_port() as port, pytest.raises(ConnectionRefusedError):
        connect(Addresses(None, clock), ("127.0.0.1", port), ("127.0.0.3", port))


def test_a_refusal_says_more_than_silence_of_the_network(clock: FakeClock) -> None:
    with closed_port() as port, pytest.raises(ConnectionRefusedError):
        connect(Addresses(None, clock), ("127.0.0.1", port), ("255.255.255.255", 443))


def test_a_name_that_cannot_be_one_has_no_address(clock: FakeClock) -> None:
    for host in ("x" * 70 + ".test", "nowhere.invalid"):
        with pytest.raises(socket.gaierror):
            dial(host, 443, seconds=SECONDS, addresses=Addresses(None, clock))


def test_families_take_turns() -> None:
    six, four = int(socket.AF_INET6), int(socket.AF_INET)
    found: list[tuple[int, Sockaddr]] = [(six, ("a",)), (six, ("b",)), (six, ("c",)), (four, ("1",)), (four, ("2",))]
    assert [one[1][0] for one in by_turns(found)] == ["a", "1", "b", "2", "c"]
    assert [one[1][0] for one in by_turns(found[::-1])] == ["2", "c", "1", "b", "a"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"answered": {"idp.test:443": 1}}', b"\xff", b"[" * 100_000])
def test_what_is_damaged_counts_as_absent(content: bytes, live: Sockaddr, memory: Memory, clock: FakeClock) -> None:
    memory.kept["addresses.json"] = content
    assert Addresses(memory, clock).preferred("idp.test:443") is None
    assert connect(Addresses(memory, clock), live, live) == live
    Addresses(memory, clock).prefer("idp.test:443", str(live[0]))
    assert Addresses(memory, clock).preferred("idp.test:443") == live[0]


def test_what_comes_from_the_future_does_not_count(memory: Memory, clock: FakeClock) -> None:
    Addresses(memory, clock).prefer("idp.test:443", "127.0.0.1")
    clock.advance(-3600)
    assert Addresses(memory, clock).preferred("idp.test:443") is None


def test_a_bounded_number_of_hosts_is_kept_the_newest(memory: Memory, clock: FakeClock) -> None:
    addresses = Addresses(memory, clock)
    for number in range(MOST + 5):
        addresses.prefer(f"h{number}:443", "127.0.0.1")
        clock.advance(1)
    kept = json.loads(memory.kept["addresses.json"])["answered"]
    assert list(kept) == [f"h{number}:443" for number in range(5, MOST + 5)]
