"""Waiting before importing: one goes on, the others look for its reply, and nobody waits in vain."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from credential_helper import places, replies
from credential_helper.replies.flights import Flight, join_in
from credential_helper.replies.keep import keep
from tests.helpers.programs import CHECKOUT, DEADLINE

ARGV = ("/usr/bin/credential-helper", "token", "prod")
SESSION = "sessions/" + "a" * 64 + ".json"


class Home:
    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        self.state = Path(environ["HOME"], ".local", "state", "credential-helper")
        self.request = self.request_of("prod")
        self.config = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
        self.config.parent.mkdir(parents=True)
        self.config.touch(0o600)

    def request_of(self, profile: str) -> bytes:
        request = replies.request_of((*ARGV[:2], profile), self.environ, b"")
        assert request is not None
        return request

    def keep(self) -> None:
        """Keep the answer, as who goes on does in the end."""
        session = self.state / SESSION
        session.parent.mkdir(parents=True, exist_ok=True)
        session.touch(0o600)
        stamp = places.stamp(session.stat())
        files = [(SESSION, stamp)]
        until = time.time() + 60
        keep(self.request, b"token\n", until=until, state_files=files, config_stamps=None, environ=self.environ)

    def waiting(self, **options: float) -> Callable[[], replies.Reply | Flight]:
        """Have somebody else join in; returns what waits for what becomes of it."""
        found: list[replies.Reply | Flight] = []
        thread = threading.Thread(target=lambda: found.append(join_in(self.request, self.environ, **options)))
        thread.start()

        def result() -> replies.Reply | Flight:
            thread.join(2 * DEADLINE)
            return found[0]

        return result


@pytest.fixture
def home(environ: dict[str, str]) -> Home:
    return Home(environ)


def leads(home: Home) -> Flight:
    found = join_in(home.request, home.environ)
    assert isinstance(found, Flight)
    return found


def test_the_first_goes_on_and_the_second_answers_with_its_reply(home: Home) -> None:
    flight = leads(home)
    other = home.waiting()
    home.keep()
    found = other()
    assert isinstance(found, replies.Reply)
    assert found.answer == b"token\n"
    assert flight.waited == 0.0
    flight.end()


def test_who_comes_when_the_reply_is_there_answers_with_it(home: Home) -> None:
    leads(home).end()
    home.keep()
    assert isinstance(join_in(home.request, home.environ), replies.Reply)


def test_where_the_first_fails_the_others_go_on_and_not_one_after_the_other(home: Home) -> None:
    flight = leads(home)
    others = [home.waiting() for _ in range(5)]
    flight.end()
    assert all(isinstance(other(), Flight) for other in others)
    again = leads(home)  # nobody holds it
    again.end()


def test_where_a_person_is_asked_nobody_waits(home: Home) -> None:
    flight = leads(home)
    other = home.waiting(longest=DEADLINE)
    flight.asks()
    flight.asks()
    found = other()
    assert isinstance(found, Flight)
    assert 0 < found.waited < DEADLINE
    flight.end()


def test_where_it_takes_long_they_go_on(home: Home) -> None:
    flight = leads(home)
    found = home.waiting(longest=0.2)()
    assert isinstance(found, Flight)
    assert found.waited >= 0.2
    flight.end()


def test_another_request_is_not_waited_for_in_the_same_file(home: Home) -> None:
    number = [int.from_bytes(home.request, "little") % (2**61 - 1) % 61]
    same = next(
        request
        for profile in range(10_000)
        if int.from_bytes(request := home.request_of(f"p{profile}"), "little") % (2**61 - 1) % 61 in number
    )
    flight = leads(home)
    found = join_in(same, home.environ, longest=DEADLINE)
    assert isinstance(found, Flight)
    assert found.waited < DEADLINE
    flight.end()


def test_requests_that_differ_in_a_few_letters_have_files_of_their_own(home: Home) -> None:
    for number in range(30):
        found = join_in(home.request_of(f"cluster-{number:02}"), home.environ)
        assert isinstance(found, Flight)
        found.end()
    assert len(list((home.state / "flights").iterdir())) > 10


@pytest.mark.parametrize("what", ["is a link", "is open to others", "is a file", "cannot be made"])
def test_without_a_place_for_it_nobody_waits(home: Home, tmp_path: Path, what: str) -> None:
    folder = home.state / "flights"
    home.state.mkdir(parents=True, mode=0o700)
    if what == "is a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif what == "is a file":
        folder.touch()
    elif what == "is open to others":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        home.environ["CREDENTIAL_HELPER_STATE_DIR"] = "/dev/null/state"
    assert leads(home).waited == 0.0
    assert leads(home).waited == 0.0


def test_the_state_directory_is_made_for_nobody_else(home: Home) -> None:
    leads(home).end()
    for folder in (home.state, home.state / "flights"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in (home.state / "flights").iterdir()] == [0o600]


def test_who_has_not_begun_gets_no_state_directory(home: Home) -> None:
    home.config.unlink()
    assert leads(home).descriptor is None
    assert not home.state.exists()


def test_no_more_than_16_bits_of_a_request_are_written(home: Home) -> None:
    """It may hold what is not to be written: a checksum of all its bits gives a short secret away."""
    flight = leads(home)
    (file,) = (home.state / "flights").iterdir()
    number, process = map(int, file.read_text().split())
    assert 0 <= number < 65536
    assert process == os.getpid()
    flight.end()


def test_a_leader_that_was_stopped_is_not_waited_for(home: Home) -> None:
    program = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from credential_helper.replies import flights\n"
        f"flights.join_in({home.request!r}, {home.environ!r})\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as leader:
        os.waitid(os.P_PID, leader.pid, os.WSTOPPED)
        found = join_in(home.request, home.environ, longest=DEADLINE)
        leader.kill()
    assert isinstance(found, Flight)
    assert 0 < found.waited < DEADLINE


def test_no_child_holds_it(home: Home) -> None:
    flight = leads(home)
    assert flight.descriptor is not None
    assert not os.get_inheritable(flight.descriptor)
    flight.end()
