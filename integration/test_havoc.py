"""Hundreds of mixed processes at once, many of them killed: no wrong answer, no lost sign-in, and nothing grows.

Hits, misses, renewals ahead and by ``refresh``, git's and docker's calls, real kubectl, logouts that are followed by
sign-ins; SIGKILL at random moments, to callers and to those that have left their caller. Two homes: in one of them
nobody is killed, so there nothing may be lost. The provider rotates refresh tokens and ends the whole sign-in when a
spent one comes back. Tokens live 12 seconds, so all of this happens again and again.

CREDENTIAL_HELPER_TEST_HAVOC=600 makes it ten minutes, CREDENTIAL_HELPER_TEST_SEED repeats the choices (not the order in
which the system runs the processes).
"""

from __future__ import annotations

import os
import random
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import jwt
import msgspec
import pytest

from integration.clients.programs import Kubectl
from integration.scenes.audiences import Desk, audience
from integration.scenes.clusters import Cluster
from integration.scenes.havoc import HELD_BACK, PURPOSES, Called, Havoc
from integration.scenes.homes import Approver, processes
from integration.scenes.lanes import total
from integration.scenes.sign_ins import wait_until
from integration.servers.kube_api import KubeApi
from integration.servers.oidc import OidcProvider, Recorded

SECONDS = float(os.environ.get("CREDENTIAL_HELPER_TEST_HAVOC", "40"))
SEED = os.environ.get("CREDENTIAL_HELPER_TEST_SEED") or str(secrets.randbelow(1_000_000))
WORKERS = 5  # in each of the two homes
REQUESTS = 20  # different ones that may be kept, at most
LEAST = 200  # processes in all, however slow the machine is

SIGNED_OUT = (66, 77)
BUSY = 75
LOCKED = 10.0  # seconds that the session's lock is waited for at least, before that is said
GONE = {"kubectl": (1,), "docker get": (1,)}  # the codes by which a tool's helper says that nobody is signed in
NOT_FOUND = {"docker get, not ours": 1}


class Outage(msgspec.Struct, frozen=True):
    """A time in which nobody may be signed in; seconds since the epoch."""

    begin: float
    since: float  # a token that was issued later is proof that somebody is signed in again
    end: float

    def touches(self, one: Called) -> bool:
        """Say whether a call ran while it lasted."""
        return one.began < self.end and self.begin < one.ended


class Judge:
    """What a lane's calls have to be, by what the provider says."""

    def __init__(self, lane: Havoc, began: float) -> None:
        self.lane = lane
        self.issued = {one.access_token: one for one in lane.issued()}
        self.refreshes = lane.requests("refresh_token")
        self.refused = [one for one in self.refreshes if one.error is not None]
        self.logouts = [one for one in lane.calls if one.kind == "logout"]
        spans = [(began, began)]
        spans += [(one.began, one.ended) for one in self.logouts]
        spans += [(one.at, one.at) for one in self.refused]
        self.outages = [Outage(begin, since, self._end(since)) for begin, since in spans]
        self._hits = sorted(lane.hits)

    def _end(self, since: float) -> float:
        ends = [one.ended for one in self.lane.calls if one.good and self._issued_at(one) > since]
        return min(ends, default=float("inf"))

    def _issued_at(self, one: Called) -> float:
        return self.issued[one.token].at if one.token in self.issued else 0.0

    # --- answers ---

    def answer(self, one: Called) -> None:
        """Judge a token that was answered: whose it is, until when it is good, and that no logout had ended it."""
        assert one.token is not None, one
        assert one.token in self.issued, one
        assert one.purpose in audience(one.token), one
        expires = jwt.decode(one.token, options={"verify_signature": False})["exp"]
        assert expires > one.began, one
        for logout in self.logouts:
            assert not (logout.code == 0 and self._issued_at(one) < logout.began and logout.ended < one.began), (
                "it is from before a logout",
                one,
                logout,
            )

    def code(self, one: Called) -> None:
        """Judge an exit code, and what was said."""
        assert "Traceback" not in one.said, one
        assert "a defect" not in one.said, one
        if one.hit is not None:
            return
        if one.code in (*SIGNED_OUT, *GONE.get(one.kind, ())):
            assert one.kind != "logout", one
            assert any(outage.touches(one) for outage in self.outages), one
            return
        if one.code == BUSY:
            assert one.ended - one.began >= LOCKED, one
            return
        assert one.code == NOT_FOUND.get(one.kind, 0), one

    # --- sign-ins ---

    def losses(self) -> int:
        """Count what kills have lost; AssertionError for what no kill explains."""
        tokens = list(dict.fromkeys(map(_token, self.refused)))
        for token in tokens:
            (spent,) = [one for one in self.refreshes if one.error is None and _token(one) == token]
            answered = next(answer.at for answer in self.lane.issued() if answer.at >= spent.at)
            assert self._excused(spent.at, answered), ("a spent refresh token was sent", token, spent.at, answered)
            self._is_dropped([one for one in self.refused if _token(one) == token])
        lost = len(tokens)
        for outage, ats in self._sign_ins().items():
            for earlier, _ in pairwise(ats):
                assert self._excused(earlier, earlier), ("a person was asked twice", outage, ats)
                lost += 1
        return lost

    def _is_dropped(self, refused: Sequence[Recorded]) -> None:
        """Assert that a refused token is not sent again, but by who was not told because the one before was killed.

        Whoever is refused a token for one server asks once more for the sign-in's own.
        """
        row = 1
        for one, other in pairwise(refused):
            row = 1 if any(one.at <= hit <= other.at for hit in self.lane.hits) else row + 1
            assert row <= 2, ("a refused token was not dropped", one.at, other.at)

    def _sign_ins(self) -> dict[Outage, list[float]]:
        """Return when people have signed in, by the outage that was the reason; each has one."""
        found: dict[Outage, list[float]] = {}
        for answer in self.lane.issued():
            if answer.grant_type == "device_code":
                reasons = [outage for outage in self.outages if outage.begin <= answer.at <= outage.end]
                assert reasons, ("a person was asked for nothing", answer.at)
                found.setdefault(max(reasons, key=lambda outage: outage.since), []).append(answer.at)
        return found

    def _excused(self, asked: float, answered: float) -> bool:
        """Say whether a process was killed before an answer had reached the disk; a kill excuses once."""
        for hit in self._hits:
            if asked - 1 <= hit <= answered + self.lane.excuse:
                self._hits.remove(hit)
                self.lane.killed.latest = max(self.lane.killed.latest, round(1000 * (hit - answered)))
                return True
        return False


def _token(request: Recorded) -> str:
    return request.fields["refresh_token"]


@pytest.fixture
def desks(tmp_path: Path, installed: Path) -> Iterator[Sequence[Desk]]:
    made = [Desk(tmp_path / name, installed) for name in ("killed", "alive")]
    yield made
    for one in made:
        one.launcher.stop()


@pytest.mark.timeout(SECONDS + 400)
def test_havoc(
    desks: Sequence[Desk],
    oidc: OidcProvider,
    kube_api: KubeApi,
    kubectl: Kubectl,
    record_property: Callable[[str, object], None],
) -> None:
    print(f"seed {SEED}")
    record_property("havoc: seed", SEED)
    began = time.time()
    lanes = []
    for desk, kills in zip(desks, (True, False), strict=True):
        cluster = Cluster(desk.folder, kube_api, desk.launcher, kubectl, desk.run)
        lanes.append(Havoc(desk, oidc, cluster, SEED, kills=kills))
    oidc.fail_next("token", times=None, delay=HELD_BACK)

    def goes_on() -> bool:
        return time.time() < began + SECONDS or sum(len(lane.calls) for lane in lanes) < LEAST

    with Approver(oidc), ThreadPoolExecutor(2 * WORKERS + 1) as pool:
        work = [pool.submit(lane.work, number, goes_on) for lane in lanes for number in range(WORKERS)]
        work.append(pool.submit(lanes[0].hunt, goes_on))
        for future in work:
            future.result()
        for lane in lanes:
            quiet(lane)

    for lane in lanes:
        print(lane.client_id, sorted(Counter((one.kind, one.code) for one in lane.calls).items()))
        judge = Judge(lane, began)
        for one in lane.calls:
            judge.code(one)
            if one.good:
                judge.answer(one)
        lane.killed.lost = judge.losses()
        lane.killed.asked = sum(any(0 < hit - one.at < 0.5 for one in lane.issued()) for hit in lane.hits)
    _, alive = lanes
    assert alive.refused() == alive.killed.lost == alive.killed.landed == 0
    assert {one.error for one in alive.requests("device_code")} <= {None, "authorization_pending"}
    sums = total(lanes, record_property)
    assert sums.runs >= LEAST
    assert sums.landed > 0
    assert sums.asked > 0, "no kill came after an answer"
    for lane in lanes:
        nothing_has_grown(lane.desk)
        ended(lane)


def quiet(lane: Havoc) -> None:
    """Wait for the last process, and let one more call be made for each purpose."""
    desk = lane.desk
    wait_until(lambda: not processes(desk.environ), "those that have left their caller to end", timeout=60)
    for reply in desk.state.glob("replies/*.*"):  # of a writer that was killed: removed when it is a minute old
        os.utime(reply, (time.time() - 90, time.time() - 90))
    desk.expire_all()
    lane.kills = False
    assert lane.call("sign in", random.Random(SEED)).code == 0
    for purpose in PURPOSES:
        desk.token(purpose)


def nothing_has_grown(desk: Desk) -> None:
    """Look at what is left, which is what one quiet hour would have left."""
    left = {folder.name: {file.name for file in folder.iterdir()} for folder in desk.state.iterdir()}
    (grant,) = {name.partition(".")[0] for name in left.pop("grants")}
    assert {file.name for file in desk.grants.iterdir()} == {f"{grant}.json", f"{grant}.lock"}
    assert len(left["sessions"]) == len(PURPOSES)
    assert {os.path.splitext(name)[1] for name in left["sessions"]} == {".json"}
    assert len(left["replies"]) <= REQUESTS
    assert not [name for name in left["replies"] if "." in name]
    locks = {name for name in left["flights"] if re.fullmatch(r"\d\d", name)}
    assert len(locks) <= min(REQUESTS, 64)
    assert left["flights"] - locks <= {name.replace(".json", ".ahead") for name in left["sessions"]}
    assert len(left.pop("metadata")) == 2
    assert set(left) == {"sessions", "replies", "flights"}


def ended(lane: Havoc) -> None:
    """Log out: nothing is left here, and at the provider nothing but what it never told us."""
    desk = lane.desk
    assert desk.run("logout", "prod").code == 0
    assert desk.is_signed_out()
    assert len(lane.live()) <= lane.killed.lost + sum(1 for one in lane.calls if one.kind == "logout" and one.hit)
