"""Processes of every kind in one home at once, of which some are killed; and what was seen of each.

Nothing is judged here: a call says what was asked and when, what came, and when it was hit.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from integration.clients.real import need
from integration.scenes.audiences import GIT, KUBE, REGISTRY, Desk, prod
from integration.scenes.clusters import Cluster
from integration.scenes.homes import NOBODY, PERSON, processes
from integration.scenes.lanes import Lane
from integration.servers.oidc import Face
from tests.helpers.programs import Running

PURPOSES = (KUBE, GIT, REGISTRY)
LIFETIME = 12  # seconds; answered from a kept reply for 4, renewed ahead after 3, fresh for 9
HELD_BACK = 0.1  # seconds between a token request and its answer
CLOSE = (-0.02, 0.1)  # seconds around the answer, for the kills that aim at it
KILLED = 0.12  # of the calls of a lane in which any are
PODS = "/api/v1/namespaces/default/pods"
EXEC_INFO = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}'
OF_ITS_OWN = '"$0" kubectl; exit $?'  # what one kubectl was told is not told it again: each has a parent of its own
ATTRIBUTES = b"protocol=https\nhost=git.example.com\npath=api\n"
STRANGER = b"protocol=https\nhost=stranger.example.org\n\n"

# What is called, and how often of a hundred.
CALLS: Mapping[str, int] = {
    "token": 14,
    "exec": 14,
    "kubectl": 8,
    "git get": 14,
    "git store": 6,
    "git erase": 4,
    "git get, not ours": 3,
    "docker get": 14,
    "docker list": 6,
    "docker erase": 2,
    "docker get, not ours": 3,
    "refresh": 5,
    "logout": 4,
    "status": 2,
}


class Called(msgspec.Struct):
    """One call, and what came of it; moments are seconds since the epoch."""

    kind: str
    purpose: str | None = None  # whose token was asked for; None: none was
    began: float = 0.0
    ended: float = 0.0
    code: int = 0
    answer: str = ""
    said: str = ""
    token: str | None = None
    number: int = 0
    hit: float | None = None  # when it, or a process that it had started, was killed

    @property
    def good(self) -> bool:
        """Say whether a token was answered."""
        return self.code == 0 and self.purpose is not None


class Havoc(Lane):
    """One home, the calls in it, and the kills: of a call's own processes, and of those that have left their caller."""

    excuse = 3.0

    def __init__(self, desk: Desk, face: Face, cluster: Cluster, seed: str, *, kills: bool) -> None:
        super().__init__(face, f"havoc-{'killed' if kills else 'alive'}", f"{seed} {kills}")
        self.desk = desk
        self.calls: list[Called] = []
        self.hits: list[float] = []  # when processes were killed
        self.kills = kills
        self._cluster = cluster
        self._lock = threading.Lock()
        self._numbers = 0
        self._last: dict[str, str] = {}  # the token that git was given, to be stored and erased
        face.configure(self.client_id, access_token_ttl=LIFETIME)
        desk.lay(prod=prod(face, client_id=self.client_id, renew="ahead"))

    # --- calls ---

    def work(self, number: int, goes_on: Callable[[], bool]) -> None:
        """Call again and again, as long as it ``goes_on``; who finds nobody signed in may sign in."""
        dice = random.Random(f"{self.seed} {number}")
        while goes_on():
            (kind,) = dice.choices([*CALLS], [*CALLS.values()])
            done = self.call(kind, dice)
            if kind == "logout" or (done.code != 0 and done.hit is None and dice.random() < 0.5):
                self.call("sign in", dice)
            time.sleep(dice.uniform(0, 0.1))

    def call(self, kind: str, dice: random.Random) -> Called:
        """Make one call, and kill it if its turn has come."""
        with self._lock:
            self._numbers += 1
            done = Called(kind, number=self._numbers)
        done.began = time.time()
        running = self._start(done, dice)
        hit = self._kill(running, dice) if self.kills and dice.random() < KILLED else None
        result = running.finish(120)
        done.ended = time.time()
        done.code, done.said, done.answer = result.code, result.stderr, result.text
        if result.code == -signal.SIGKILL:
            done.hit = hit or done.ended
        self._understand(done)
        with self._lock:
            self.calls.append(done)
            self.killed.runs += 1
            self.killed.landed += done.hit is not None
            self.hits += [hit] if hit is not None and done.hit is not None else []
        return done

    def _start(self, done: Called, dice: random.Random) -> Running:
        run = self.desk.run.start
        tool, _, action = done.kind.partition(" ")
        if tool in ("git", "docker"):
            action, _, other = action.partition(",")
            if tool == "git":
                password = self._last.get(GIT, "none") if action in ("store", "erase") else None
                stdin = STRANGER if other else ATTRIBUTES + (_said(password) if password else b"\n")
            else:
                stdin = b"registry.example.org" if other else b"registry.example.com"
            if action == "get" and not other:
                done.purpose = {"git": GIT, "docker": REGISTRY}[tool]
            return run(action, program=f"{tool}-credential-helper", stdin=stdin, env=NOBODY)
        if done.kind in ("token", "sign in"):
            done.purpose = dice.choice(PURPOSES)
            return run(*self.desk.words(done.purpose), env=NOBODY if done.kind == "token" else PERSON)
        if done.kind == "exec":
            done.purpose = KUBE
            command = [need("sh"), "-c", OF_ITS_OWN, str(self.desk.run.executable)]
            return self.desk.launcher.start(command, env={**NOBODY, "KUBERNETES_EXEC_INFO": EXEC_INFO})
        if done.kind == "kubectl":
            done.purpose = KUBE
            return self._cluster.start("get", "--raw", f"{PODS}?call={self.client_id}-{done.number}", env=NOBODY)
        return run(done.kind, *([] if done.kind == "status" else ["prod"]), env=NOBODY)

    def _understand(self, done: Called) -> None:
        """Take the token out of an answer; of kubectl it is what has arrived at the API server."""
        if not done.good:
            return
        if done.kind == "kubectl":
            mine = f"call={self.client_id}-{done.number}"
            done.token = next((one.token for one in self._cluster.kube.calls if one.query == mine and one.user), None)
        elif done.kind == "exec":
            done.token = json.loads(done.answer)["status"]["token"]
        elif done.kind == "docker get":
            done.token = json.loads(done.answer)["Secret"]
        elif done.kind == "git get":
            done.token = dict(line.split("=", 1) for line in done.answer.splitlines())["password"]
            self._last[GIT] = done.token
        else:
            done.token = done.answer.removesuffix("\n")

    # --- kills ---

    def _kill(self, running: Running, dice: random.Random) -> float | None:
        """Kill a call at a random moment, alone or with all that it has started; return when."""
        time.sleep(dice.uniform(0, dice.choice((0.15, 0.6, 2.0))))
        if running.process.poll() is not None:
            return None
        whom = os.kill if dice.random() < 0.5 else os.killpg
        with contextlib.suppress(ProcessLookupError):
            whom(running.pid, signal.SIGKILL)
        return time.time()

    def hunt(self, goes_on: Callable[[], bool]) -> None:
        """Kill those that have left their caller, every third that is met; and, now and then, everybody at once."""
        dice = random.Random(f"{self.seed} hunt")
        while goes_on():
            time.sleep(dice.uniform(0, 0.3))
            if dice.random() < 0.05:
                self._wait_for_an_answer(dice, goes_on)
                prey = sorted(processes(self.desk.environ))  # callers before what they have called
            else:
                prey = [pid for pid in processes(self.desk.environ) if _has_left(pid) and dice.random() < 1 / 3]
            for pid in prey:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if prey:
                self.hits.append(time.time())

    def _wait_for_an_answer(self, dice: random.Random, goes_on: Callable[[], bool]) -> None:
        """Wait until about the moment when the provider answers a token request."""
        waiting: list[float] = []
        while goes_on() and not waiting:
            time.sleep(0.01)
            if [*self.desk.grants.glob("*.json.new")]:  # what the next save needs is opened just before the request
                waiting = [one.at for one in self.requests("token") if one.status == 0]
        if waiting:
            time.sleep(max(0.0, waiting[-1] + HELD_BACK + dice.uniform(*CLOSE) - time.time()))


def _said(password: str) -> bytes:
    """Return the lines with which git says what it used, or what was rejected."""
    return f"username=oauth2\npassword={password}\n\n".encode()


def _has_left(pid: int) -> bool:
    """Say whether a process has a lower priority than its caller: who renews ahead has."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[16]) > os.getpriority(os.PRIO_PROCESS, 0)
