"""Killed, interrupted, hung up: a session file is never corrupt, and no refresh token is lost that reached the disk.

The provider rotates refresh tokens and ends the whole sign-in when a spent one comes back, so a token that was lost or
sent twice cannot go unnoticed. A hundred runs are killed with SIGKILL at moments that a seed decides, half of them
during a refresh and half during a sign-in: anywhere in the life of the process, and, every other one, close to the
provider's answer (which is held back a little, so that its moment is known). The only excuse for a lost refresh token
is that the process was killed between the provider's decision and its save; how often that happened is printed, and
recorded as a property of the test.

SIGINT, SIGTERM and SIGHUP during a token request lose nothing; while a person is waited for they are obeyed at once.
"""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration.scenes.homes import NOBODY, PERSON, PROMPT, Approver, Home
from integration.scenes.lanes import Killed, Lane, total
from integration.servers.oidc import Face, OidcProvider
from tests.helpers.programs import DEADLINE, Running

SEED = 20261
LANES = 10  # homes in which things go wrong at the same time
KILLS = 5  # a lane, of each kind
HELD_BACK = 0.15  # seconds between a token request and its answer
CLOSE = (-0.01, 0.03)  # seconds around the answer, for the kills that aim at it


class HomeLane(Lane):
    """One home, one client of the provider, and a random generator of its own."""

    def __init__(self, home: Home, face: Face, number: int, kind: str) -> None:
        super().__init__(face, f"lane-{kind}-{number}", f"{SEED} {kind} {number}")
        self.home = home
        home.configure(issuer=face.issuer, client_id=self.client_id)

    def measure(self, run: Callable[[], Running]) -> None:
        """See how long the program lives when nobody kills it."""
        result = run().finish()
        assert result.code == 0, result.stderr
        self.life = result.seconds

    def wait_for_answer(self, running: Running, requests: int) -> None:
        """Wait until just before the provider answers a token request."""
        while len(asked := self.requests("token")) == requests and running.process.poll() is None:
            time.sleep(0.01)
        if len(asked) > requests:
            time.sleep(max(0.0, asked[-1].at + HELD_BACK + self.random.uniform(*CLOSE) - time.time()))

    def kill(self, run: Callable[[], Running]) -> float:
        """Start the program and kill it at a random moment; return when, in seconds since the epoch."""
        self.killed.runs += 1
        before, requests = len(self.issued()), len(self.requests("token"))
        running = run()
        if self.killed.runs % 2:
            self.wait_for_answer(running, requests)
        else:
            time.sleep(self.random.uniform(0, self.life))
        running.signal(signal.SIGKILL)
        at = time.time()
        assert running.process.wait(DEADLINE) in (0, -signal.SIGKILL)
        self.killed.landed += running.process.returncode != 0
        self.settle()
        self.killed.asked += running.process.returncode != 0 and len(self.issued()) > before
        return at

    def look(self, at: float, before: int) -> bool:
        """Judge what a process killed ``at`` left behind; return whether its answer was lost on the way to the disk."""
        files = {file.name for file in self.home.sessions.glob("*")} if self.home.sessions.exists() else set()
        sessions = {name.partition(".")[0] for name in files}
        assert len(sessions) <= 1, files
        assert len(self.home.leftovers()) <= 2, files  # of a sign-in both are reserved, its grant and its session
        token = self.home.refresh_token()  # parses the file: a corrupt one fails here
        if {token, self.home.unfinished_token()} & self.live():
            return False
        answers = self.issued()[before:]
        if token is None and not answers:
            return False  # a sign-in that had not come to its answer
        self.excuse_loss(at, answers)
        return True

    def next_run_works(self, *, lost: bool) -> None:
        """Ask for a token: without a person where the session was kept, else with a new sign-in."""
        codes, had, spent = self.codes(), self.home.refresh_token(), self.refused()
        result = self.home.run("token", "prod", env=PERSON)
        assert result.code == 0, result.stderr
        assert "Traceback" not in result.stderr
        assert result.text.strip() in {answer.access_token for answer in self.issued()}
        if had is not None and not lost:
            assert self.codes() == codes, f"a person was asked again: {result.stderr}"
            assert self.refused() == spent
        assert self.home.refresh_token() in self.live()

    def sign_out(self) -> None:
        """Log out: nothing is left but the lock and what the provider never told us."""
        mine = self.home.refresh_token()
        result = self.home.run("logout", "prod")
        assert result.code == 0, result.stderr
        assert mine not in self.live()
        assert {file.suffix for file in self.home.grants.glob("*")} == {".lock"}
        assert list(self.home.sessions.glob("*")) == []


@pytest.fixture
def homes(tmp_path: Path, installed: Path) -> Iterator[Callable[[int], Home]]:
    """Return what makes homes, by number."""
    made: list[Home] = []

    def make(number: int) -> Home:
        made.append(Home(tmp_path / f"home-{number}", installed))
        return made[-1]

    yield make
    for home in made:
        home.launcher.stop()


def havoc(lanes: list[HomeLane], work: Callable[[HomeLane], None], record: Callable[[str, object], None]) -> Killed:
    """Run every lane's work at once; return the sums, and report them."""
    lanes[0].face.fail_next("token", times=None, delay=HELD_BACK)
    with Approver(lanes[0].face), ThreadPoolExecutor(len(lanes)) as pool:
        for future in [pool.submit(work, lane) for lane in lanes]:
            future.result()
    return total(lanes, record)


def test_a_refresh_killed_anywhere_loses_nothing_that_reached_the_disk(
    oidc: OidcProvider, homes: Callable[[int], Home], record_property: Callable[[str, object], None]
) -> None:
    def work(lane: HomeLane) -> None:
        lane.next_run_works(lost=True)  # the first sign-in
        lane.home.expire()
        refresh = functools.partial(lane.home.run.start, "token", "prod", env=NOBODY)
        lane.measure(refresh)
        for _ in range(KILLS):
            lane.home.expire()
            before = len(lane.issued())
            at = lane.kill(refresh)
            lane.next_run_works(lost=lane.look(at, before))
        lane.sign_out()

    lanes = [HomeLane(homes(number), oidc, number, "refresh") for number in range(LANES)]
    sums = havoc(lanes, work, record_property)
    assert sums.runs == LANES * KILLS
    assert sums.landed > sums.runs / 2
    assert sums.asked > 0, "no kill came after the answer"
    assert sum(lane.refused() for lane in lanes) == sums.lost, "a spent refresh token was sent"


def test_a_sign_in_killed_anywhere_loses_nothing_that_reached_the_disk(
    oidc: OidcProvider, homes: Callable[[int], Home], record_property: Callable[[str, object], None]
) -> None:
    def work(lane: HomeLane) -> None:
        lane.next_run_works(lost=True)  # metadata and keys are on disk from here on
        lane.sign_out()
        login = functools.partial(lane.home.run.start, "login", "prod", env=PERSON)
        lane.measure(login)
        lane.sign_out()
        for _ in range(KILLS):
            before = len(lane.issued())
            at = lane.kill(login)
            lost = lane.look(at, before)
            codes = lane.codes()
            prompt = bool(list(lane.home.grants.glob("*.prompt")))
            lane.next_run_works(lost=lost)
            if prompt and not lost:
                assert lane.codes() == codes, "a new code was asked for while the dead process's was good"
            lane.sign_out()

    lanes = [HomeLane(homes(number), oidc, number, "login") for number in range(LANES)]
    sums = havoc(lanes, work, record_property)
    assert sums.runs == LANES * KILLS
    assert sums.landed > sums.runs / 2
    assert sum(lane.refused() for lane in lanes) == 0


# --- signals that can be caught ---------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, installed: Path, oidc: OidcProvider) -> Iterator[Home]:
    made = Home(tmp_path / "home", installed, issuer=oidc.issuer)
    yield made
    made.launcher.stop()


def wait_until(true: Callable[[], bool], timeout: float = DEADLINE) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def slow_refresh(home: Home, face: Face, delay: float, *, terminal: bool = False) -> Running:
    """Start a refresh, and return once the provider has the request and takes its time."""
    home.sign_in(face)
    home.expire()
    face.reset_counts()
    face.fail_next("refresh_token", delay=delay)
    running = home.run.start("token", "prod", terminal=terminal, env=NOBODY)
    wait_until(lambda: face.counts().get("refresh_token") == 1)
    return running


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_a_signal_during_a_refresh_waits_for_the_save(
    home: Home, oidc: OidcProvider, number: signal.Signals, code: int
) -> None:
    running = slow_refresh(home, oidc, 2.0)
    old = home.refresh_token()
    running.signal(number)
    result = running.finish()
    assert (result.code, result.stdout, result.stderr) == (code, b"", "")
    (answer,) = oidc.issued("refresh_token")
    assert home.refresh_token() == answer.refresh_token != old
    assert oidc.honoured(answer.refresh_token or "")
    assert home.leftovers() == []
    after = home.run("token", "prod", env=NOBODY)
    assert (after.code, after.text.strip()) == (0, answer.access_token)
    assert oidc.counts()["refresh_token"] == 1


def test_ctrl_c_at_the_keyboard_during_a_refresh_waits_for_the_save(home: Home, oidc: OidcProvider) -> None:
    running = slow_refresh(home, oidc, 2.0, terminal=True)
    running.type(b"\x03")
    result = running.finish()
    assert (result.code, result.stdout, result.terminal.replace("^C", "").strip()) == (130, b"", "")
    (answer,) = oidc.issued("refresh_token")
    assert home.refresh_token() == answer.refresh_token


def test_a_second_ctrl_c_is_obeyed_at_once(home: Home, oidc: OidcProvider) -> None:
    running = slow_refresh(home, oidc, 20)
    old = home.refresh_token()
    running.signal(signal.SIGINT)
    time.sleep(0.3)
    assert running.process.poll() is None, "the first one was obeyed during the request"
    running.signal(signal.SIGINT)
    result = running.finish()
    assert (result.code, result.stdout) == (130, b"")
    assert home.refresh_token() == old, "the answer was waited for"
    assert "Traceback" not in result.stderr
    assert home.leftovers() == []


def test_a_lost_answer_and_a_ctrl_c_keep_the_session(home: Home, oidc: OidcProvider) -> None:
    """The provider spends the token and says nothing: what is on disk stays there until it is refused."""
    home.sign_in(oidc)
    home.expire()
    old = home.refresh_token()
    oidc.fail_next("refresh_token", delay=2.0, lose=True)
    oidc.reset_counts()
    running = home.run.start("token", "prod", env=NOBODY)
    wait_until(lambda: oidc.counts().get("refresh_token") == 1)
    running.signal(signal.SIGINT)
    result = running.finish()
    assert (result.code, result.stdout) == (130, b"")
    assert "Traceback" not in result.stderr
    assert home.refresh_token() == old


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_a_signal_while_a_person_is_waited_for_is_obeyed_at_once(
    home: Home, oidc: OidcProvider, number: signal.Signals, code: int
) -> None:
    oidc.configure(interval=300)  # between two polls
    running = home.run.start("token", "prod", terminal=True)
    running.wait_for(PROMPT)
    (prompt,) = home.grants.glob("*.prompt")
    assert not home.lock_is_free()
    if number == signal.SIGINT:
        running.type(b"\x03")
    else:
        os.kill(running.pid, number)
    result = running.finish()
    assert (result.code, result.stdout) == (code, b"")
    assert "Traceback" not in result.terminal
    assert not prompt.exists()
    assert home.lock_is_free()
    assert home.leftovers() == []
