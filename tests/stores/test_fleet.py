"""A fleet's cache as one process uses it: what it says to a server, and that no server can hurt or keep it."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from credential_helper.model import Secret
from credential_helper.stores import fleet
from credential_helper.stores.fleet import Server, Unavailable
from credential_helper.stores.fleet_notes import ALONE, FleetNotes
from credential_helper.stores.fleet_scripts import Kept, Seen, seen
from credential_helper.stores.fleet_values import PREFIX, Keys, SharedNote, SharedToken
from credential_helper.stores.private_files import State
from tests.helpers.programs import DEADLINE

KEYS = Keys([Secret("a-secret-of-a-whole-fleet")])
NAMES = KEYS.names({"client_id": "ci"})
NOTHING = b"*8\r\n$10\r\n1900000000\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n:0\r\n:0\r\n"


class Scripted:
    """A server that answers each command with the next of these, whatever it is asked; None: not at all."""

    def __init__(self, *answers: bytes | None) -> None:
        self.asked: list[bytes] = []
        self.opened = 0
        self._answers = list(answers)
        self._sockets: list[socket.socket] = []
        self.timeouts: list[float | None] = []

    def connect(self, connect: float, seconds: float) -> socket.socket:
        assert 0 < connect <= fleet.CONNECT
        assert 0 < seconds <= fleet.PATIENCE
        self.opened += 1
        ours, theirs = socket.socketpair()
        self._sockets += [ours, theirs]
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return ours

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.asked.append(data)
                answer = self._answers.pop(0) if self._answers else None
                if answer is not None:
                    connection.sendall(answer)

    def close(self) -> None:
        for one in self._sockets:
            one.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(*answers: bytes | None) -> Scripted:
        made.append(Scripted(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


def why(work: Callable[[], object]) -> str:
    with pytest.raises(Unavailable) as caught:
        work()
    return caught.value.why


# --- what is said -----------------------------------------------------------------------------------------------------


def test_one_step_is_one_command_on_one_connection(scripted: Callable[..., Scripted]) -> None:
    other = scripted(NOTHING, NOTHING)
    server = Server(other.connect, database=0)
    assert server.look(NAMES) == Seen(1_900_000_000, None, None, False)
    server.enter(NAMES, "me")
    server.close()
    assert other.opened == 1
    assert len(other.asked) == 2  # neither HELLO nor CLIENT: the ACL has no leave for them
    for command in other.asked:
        assert command.split(b"\r\n")[2] == b"EVAL"
        assert NAMES.token.encode() in command


def test_a_user_and_a_database_are_said_first(scripted: Callable[..., Scripted]) -> None:
    other = scripted(b"+OK\r\n", b"+OK\r\n", NOTHING)
    server = Server(other.connect, database=3, user="fleet", password=Secret("hunter2"))
    server.look(NAMES)
    server.close()
    said = [command.split(b"\r\n")[2::2] for command in other.asked]
    assert said[:2] == [[b"AUTH", b"fleet", b"hunter2"], [b"SELECT", b"3"]]


def test_the_scripts_names_are_of_one_slot_and_under_one_prefix() -> None:
    assert {name.partition("}")[0] for name in NAMES} == {f"{PREFIX}{{{NAMES.token[len(PREFIX) + 1 :][:32]}"}
    assert len(set(NAMES)) == 5


# --- what is not believed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"-ERR nonsense\r\n",
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*8\r\n" + b"$-1\r\n" * 8,
        b"*8\r\n" + b"*0\r\n" * 8,
        b"*1\r\n" * 20_000 + b":1\r\n",
        b"$x\r\n",
        b"*99999999999\r\n",
        b"?what\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\r\n",
        b"-" + b"\xff" * 100 + b"\r\n",
        b"$5000000\r\n" + b"x" * 1_500_000,
    ],
    ids=lambda answer: answer[:12].decode("latin-1").strip(),
)
def test_whatever_a_server_says_is_unavailable_and_no_more(scripted: Callable[..., Scripted], answer: bytes) -> None:
    other = scripted(answer)
    server = Server(other.connect, database=0)
    said = why(lambda: server.look(NAMES))
    assert said in fleet._WHY.values() or said == "answers what it should not"
    assert other.opened == 1


def test_what_a_server_says_is_not_repeated(scripted: Callable[..., Scripted]) -> None:
    other = scripted(b"-WRONGPASS hunter2 is wrong\r\n")
    server = Server(other.connect, database=0, user="fleet", password=Secret("hunter2"))
    with pytest.raises(Unavailable) as caught:
        server.look(NAMES)
    assert caught.value.why == "refuses the user or the password"
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hunter2" not in repr(chain) or chain.__suppress_context__
        chain = chain.__cause__
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("generation", "token"),
    [(b"7", True), (b"", False), (b"-7", False), (b"7.5", False), (b"9" * 16, False), (None, False), (7, False)],
)
def test_a_generation_is_a_number_or_there_is_no_token(generation: object, *, token: bool) -> None:
    found = seen([b"1900000000", generation, b"1900003600", b"sealed", None, None, 0, 0])
    assert (found.token is not None) == token


# --- how long it is waited for ----------------------------------------------------------------------------------------


class Timed:
    """A socket that notes how long it would wait, and never gets an answer."""

    def __init__(self) -> None:
        self.waits: list[float | None] = []
        self.sent = 0
        self.closed = False

    def settimeout(self, seconds: float | None) -> None:
        self.waits.append(seconds)

    def sendall(self, _data: bytes) -> None:
        self.sent += 1

    def recv(self, _size: int) -> bytes:
        raise TimeoutError

    def recv_into(self, _buffer: Any) -> int:
        raise TimeoutError

    def close(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> Any:
        if name == "shutdown":
            return lambda _: None
        raise AttributeError(name)


def test_a_server_that_says_nothing_is_waited_for_once_and_not_for_long() -> None:
    opened: list[Timed] = []

    def connect(_: float, seconds: float) -> socket.socket:
        assert seconds <= fleet.PATIENCE
        opened.append(Timed())
        return opened[-1]  # type: ignore[return-value]

    server = Server(connect, database=0)
    assert why(lambda: server.look(NAMES)) == "does not answer in time"
    [only] = opened
    assert only.sent == 1
    assert only.closed
    assert all(seconds is not None and 0 < seconds <= fleet.PATIENCE for seconds in only.waits)


def test_all_steps_together_have_one_patience() -> None:
    """A server that answers each step just in time costs no more than one that answers none."""
    now = [1000.0]
    left: list[float] = []

    def connect(_: float, seconds: float) -> socket.socket:
        left.append(seconds)
        now[0] += 0.3
        raise ConnectionRefusedError

    server = Server(connect, database=0, monotonic=lambda: now[0])
    for _ in range(3):
        why(lambda: server.look(NAMES))
    assert left == pytest.approx([fleet.PATIENCE, fleet.PATIENCE - fleet.CONNECT, fleet.LEAST])
    server.renew_patience()
    why(lambda: server.look(NAMES))
    assert left[-1] == fleet.PATIENCE
    # TCP and TLS, then the answer to the first step, then two more of them.
    assert fleet.PATIENCE + (fleet.PATIENCE - fleet.CONNECT) + 2 * fleet.LEAST <= 0.5 + 1e-9


def test_without_the_package_nothing_is_opened_and_the_server_is_not_to_blame(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)

    def connect(_: float, __: float) -> socket.socket:
        raise AssertionError("opened")

    with pytest.raises(Unavailable) as caught:
        Server(connect, database=0).look(NAMES)
    assert not caught.value.lasting
    assert caught.value.why == "needs the package redis: install credential-helper[fleet]"


# --- what is told -----------------------------------------------------------------------------------------------------


def test_what_is_told_is_heard_and_what_is_no_message_is_not(scripted: Callable[..., Scripted]) -> None:
    subscribed = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"
    told = b"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$6\r\nstored\r\n"
    other = scripted(subscribed + told + b":7\r\n")
    server = Server(other.connect, database=0)
    listener = server.listen(NAMES)
    assert listener.wait(DEADLINE) == b"stored"
    assert listener.wait(DEADLINE) is None
    assert listener.wait(0.01) is None
    listener.close()


# --- what stands there ------------------------------------------------------------------------------------------------

TOKEN = SharedToken(value="at-1", lifetime=3600.0, expires_at=1_900_003_600.0, scope=("read",))


def test_the_names_are_the_same_in_every_version() -> None:
    """Machines of one fleet need not be of one version: a change here halves what they share."""
    identity = {"client_id": "ci", "audience": "https://api.example.com", "scope": ["a", "ö"]}
    names = Keys([Secret("secret"), Secret("key")]).names(identity)
    assert names.token == "credential-helper:{7150192911caca4d2b502227ddfbb9fb}:token"
    assert Keys([Secret("secret"), Secret("key")]).names(dict(reversed(identity.items()))) == names


def test_parts_of_a_secret_are_not_run_together() -> None:
    names = {Keys([Secret(part) for part in parts]).names({}) for parts in (["ab", "c"], ["a", "bc"], ["abc"], [])}
    assert len(names) == 4


def test_what_was_sealed_opens_for_the_same_secret_and_place_alone() -> None:
    sealed = KEYS.seal(TOKEN, "name", 7, 1_900_003_600)
    assert KEYS.unseal(sealed, SharedToken, "name", 7, 1_900_003_600) == TOKEN
    assert KEYS.seal(TOKEN, "name", 7, 1_900_003_600) != sealed
    for name, generation, expires_at in (("other", 7, 1_900_003_600), ("name", 8, 1_900_003_600), ("name", 7, 1)):
        assert KEYS.unseal(sealed, SharedToken, name, generation, expires_at) is None
    assert Keys([Secret("another")]).unseal(sealed, SharedToken, "name", 7, 1_900_003_600) is None
    assert KEYS.unseal(sealed, SharedNote, "name", 7, 1_900_003_600) is None
    for broken in (b"", sealed[:11], sealed[:-1], sealed + b"x"):
        assert KEYS.unseal(broken, SharedToken, "name", 7, 1_900_003_600) is None
    assert b"at-1" not in sealed


def test_a_fleet_s_keys_show_nothing() -> None:
    assert "secret" not in repr(KEYS)
    assert Kept(1, 2, b"x") == (1, 2, b"x")


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_a_server_is_left_alone_for_a_while_by_all_that_name_it_alike(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    notes = FleetNotes(state, "rediss://a/0", "1" * 64)
    assert notes.away(1000.0) is None
    notes.leave_alone("cannot be reached", 1000.0)
    found = FleetNotes(state, "rediss://a/0", "2" * 64).away(1000.0 + ALONE - 1)
    assert found is not None
    assert found.why == "cannot be reached"
    assert FleetNotes(state, "rediss://b/0", "1" * 64).away(1001.0) is None
    assert notes.away(1000.0 + ALONE) is None
    assert notes.away(999.0) is None  # made in the future: a clock was set back


@pytest.mark.parametrize("content", [b"", b"{", b'{"made":0,"until":1e12,"why":"x"}', b"\xff", b"[]"])
def test_a_damaged_note_is_none(tmp_path: Path, content: bytes) -> None:
    notes = FleetNotes(State(str(tmp_path)), "rediss://a/0", "1" * 64)
    notes.leave_alone("cannot be reached", 1000.0)
    notes.count(1000.0, hit=True)
    for file in (tmp_path / "fleet").iterdir():
        file.write_bytes(content)
    assert notes.away(1001.0) is None
    assert notes.counters() is None
    notes.count(1001.0, hit=False)
    counters = notes.counters()
    assert counters is not None
    assert (counters.hits, counters.misses) == (0, 1)


def test_without_a_state_directory_nothing_is_remembered() -> None:
    notes = FleetNotes(State(None), "rediss://a/0", "1" * 64)
    notes.leave_alone("cannot be reached", 1000.0)
    notes.count(1000.0, hit=True)
    assert notes.away(1001.0) is None
    assert notes.counters() is None
