"""One sign-in for five servers, when twenty processes want tokens at once, and when they are killed.

The provider rotates refresh tokens and ends the whole sign-in when a spent one comes back, so a refresh token that was
lost or sent twice cannot go unnoticed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration.scenes.audiences import ALL, Desk, asked_for, audience, prod, refreshes
from integration.scenes.homes import NOBODY, PERSON, Approver
from integration.scenes.lanes import Lane, total
from integration.servers.oidc import CLI, Face, OidcProvider, Recorded
from tests.helpers.programs import DEADLINE, Running

MANY = 20
SEED = os.environ.get("CREDENTIAL_HELPER_TEST_SEED") or str(secrets.randbelow(1_000_000))


@pytest.fixture
def make(tmp_path: Path, installed: Path) -> Iterator[Callable[[], Desk]]:
    """Return what makes desks."""
    made: list[Desk] = []

    def desk() -> Desk:
        made.append(Desk(tmp_path / f"desk-{len(made)}", installed))
        return made[-1]

    yield desk
    for one in made:
        one.launcher.stop()


# --- a crowd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "what"), [("resource", "expired"), ("audience", "never had")])
def test_a_crowd_for_five_servers_sends_one_refresh_for_each(
    make: Callable[[], Desk], oidc: OidcProvider, by: str, what: str
) -> None:
    """All tokens have expired at once, or all but the sign-in's were never had; nobody can be asked, and nobody is."""
    desk, face = make(), oidc if by == "resource" else oidc.auth0
    desk.by = by
    face.configure(CLI, multi_resource=None if face is oidc else [*ALL])
    if what == "expired":
        face.configure(CLI, access_token_ttl=2)
        desk.lay(prod=prod(face, key=by))
        desk.sign_in(face)
        assert desk.purposes() == sorted(ALL)
        time.sleep(2.1)
        face.configure(CLI, access_token_ttl=3600)
    else:
        desk.begin(face)
    face.reset_counts()
    face.fail_next("refresh_token", times=None, delay=0.1)
    purposes = [*ALL] * (MANY // len(ALL))
    random.Random(SEED).shuffle(purposes)
    with desk.at_once(*purposes) as crowd:
        assert len(crowd) == MANY
    answers: dict[str, set[str]] = {}
    for purpose, running in zip(purposes, crowd, strict=True):
        done = running.finish()
        assert (done.code, done.stderr) == (0, ""), (SEED, done)
        assert purpose in audience(done.text.strip())
        answers.setdefault(purpose, set()).add(done.text.strip())
    assert all(len(tokens) == 1 for tokens in answers.values())

    wanted = {*ALL} if what == "expired" else {*ALL[1:]}
    requests = refreshes(face)
    assert Counter(asked_for(one) or ALL[0] for one in requests) == Counter(wanted), SEED
    assert {one.error for one in requests} == {None}
    assert len({one.fields["refresh_token"] for one in requests}) == len(wanted), "none was sent twice"
    assert set(face.counts()) == {"token", "refresh_token"}
    assert [one.refresh_token for one in face.refresh_tokens()] == [desk.refresh_token()]
    desk.expire_all()
    for purpose in ALL:
        desk.token(purpose)


# --- kill -9 ----------------------------------------------------------------------------------------------------------

LANES = 5  # homes in which things go wrong at the same time
KILLS = 20  # a lane, that find their process alive
HELD_BACK = 0.1  # seconds between a token request and its answer
CLOSE = (-0.005, 0.025)  # seconds around the answer, for the kills that aim at it


class DeskLane(Lane):
    """One desk, one client of the provider, and a random generator of its own."""

    pause = 0.3
    excuse = 1.0

    def __init__(self, desk: Desk, face: Face, number: int) -> None:
        super().__init__(face, f"lane-{number}", f"{SEED} {number}")
        self.desk = desk
        desk.lay(prod=prod(face, client_id=self.client_id))

    def sign_in(self) -> None:
        """Sign in as a person does whose code somebody approves at once."""
        codes = self.codes()
        done = self.desk.ask(ALL[0], env=PERSON)
        assert (done.code, self.codes()) == (0, codes + 1), done

    def work(self) -> None:
        """Kill and look, again and again; in the end every token can still be had."""
        self.sign_in()
        self.make_stale(ALL[1])
        self.life = self.desk.ask(ALL[1]).seconds
        while self.killed.landed < KILLS:
            assert self.killed.runs < 3 * KILLS, "too many have ended before they were killed"
            purpose = self.random.choice(ALL)
            self.make_stale(purpose)
            before = len(self.issued())
            at = self.kill(purpose)
            if self.look(at, before):
                self.sign_in()
            else:
                self.goes_on(self.random.choice(ALL))
        for purpose in ALL:
            self.goes_on(purpose)
        assert self.codes() == 1 + self.killed.lost
        assert self.refused() == self.killed.lost, "a spent refresh token was sent"
        assert len(self.live()) == 1

    def make_stale(self, purpose: str) -> None:
        """Let a token have expired, or never have been had."""
        self.desk.expire_all()
        if self.random.random() < 0.5:
            for file in self.desk.kept():
                if purpose in json.loads(file.read_bytes())["session"]["resource"]:
                    file.unlink()

    def kill(self, purpose: str) -> float:
        """Start the program and kill it at a random moment; return when, in seconds since the epoch."""
        self.killed.runs += 1
        before, requests = len(self.issued()), len(self.requests("token"))
        running = self.desk.run.start(*self.desk.words(purpose), env=NOBODY)
        if self.random.random() < 0.7:
            self.wait_for_answer(running, requests)
        else:
            time.sleep(self.random.uniform(0, self.life))
        with contextlib.suppress(ProcessLookupError):
            running.signal(signal.SIGKILL)
        at = time.time()
        assert running.process.wait(DEADLINE) in (0, -signal.SIGKILL)
        self.settle()
        if running.process.returncode != 0:
            self.killed.landed += 1
            self.killed.asked += len(self.issued()) > before
        return at

    def wait_for_answer(self, running: Running, requests: int) -> None:
        """Wait until about the moment when the provider answers a token request."""
        asked: list[Recorded] = []
        while len(asked) <= requests and running.process.poll() is None:
            time.sleep(0.01)
            if [*self.desk.grants.glob("*.json.new")]:  # what the next save needs is opened just before the request
                asked = self.requests("token")
        if asked:
            time.sleep(max(0.0, asked[-1].at + HELD_BACK + self.random.uniform(*CLOSE) - time.time()))

    def look(self, at: float, before: int) -> bool:
        """Judge what a process killed ``at`` left behind; return whether its answer was lost on the way to the disk."""
        files = {file.name for file in self.desk.grants.iterdir()}
        assert len({name.partition(".")[0] for name in files}) == 1, files
        assert len(self.desk.leftovers()) <= 2, files
        token = self.desk.refresh_token()  # parses the file: a corrupt one fails here
        if {token, self.desk.unfinished_token()} & self.live():
            return False
        answers = self.issued()[before:]
        self.excuse_loss(at, answers)
        return True

    def goes_on(self, purpose: str) -> None:
        """Ask for a token that has to be had from the provider; it is had, without a person and without a word."""
        self.desk.expire_all()
        codes, refused = self.codes(), self.refused()
        self.desk.token(purpose)
        assert (self.codes(), self.refused()) == (codes, refused), (SEED, self.client_id)
        assert self.desk.refresh_token() in self.live()


def test_a_hundred_kills_lose_no_sign_in_that_anybody_could_have_kept(
    make: Callable[[], Desk], oidc: OidcProvider, record_property: Callable[[str, object], None]
) -> None:
    """After each kill the next token, for whatever server, is had without a prompt, in the end those for all five.

    A hundred processes that renew a token for one of five servers, or fetch one that was never had, are killed with
    SIGKILL; 30 % at any moment of their life, 70 % close to the provider's answer. What is claimed of each:

    - The refresh token on disk (in the grant's file, or in its whole successor that had not got its name) is the one
      that the provider honours, and the next process goes on with it; no spent one is ever sent, no person asked.
    - The only exception is a process that was killed after the provider had rotated the token and before the answer was
      on disk: that answer was nowhere but in its memory, and nobody can save it. Such a kill is recognised by what the
      provider says, not by what the program does: exactly one answer was given, its refresh token is the one that is
      honoured, and the kill came within a second of it. It is counted and printed, one sign-in is needed for it, and
      exactly one spent refresh token is sent.
    """
    print(f"seed {SEED}")
    record_property("kill -9: seed", SEED)
    lanes = [DeskLane(make(), oidc, number) for number in range(LANES)]
    oidc.fail_next("token", times=None, delay=HELD_BACK)
    with Approver(oidc), ThreadPoolExecutor(LANES) as pool:
        for future in [pool.submit(lane.work) for lane in lanes]:
            future.result()
    sums = total(lanes, record_property)
    assert sums.landed == LANES * KILLS
    assert sums.asked > 0, "no kill came after the answer"
