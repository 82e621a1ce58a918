"""Many processes and one session: one of them works, the others wait for what it brings, and each may die at any time.

A crowd is started by one shell, so that all of them have the same terminal and are its foreground job. A process that
is to be killed has a terminal, or a job, of its own.
"""

from __future__ import annotations

import os
import re
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from integration.clients.programs import Kubectl, Runner
from integration.clients.real import need
from integration.scenes.clusters import Cluster
from integration.scenes.sign_ins import (
    CLOSING,
    asked,
    gone,
    person,
    prompt,
    prompts,
    sign_in,
    wait_until,
    write_profiles,
)
from integration.servers.kube_api import POD, KubeApi
from integration.servers.oidc import CLI, M2M_BASIC, ODD_SECRET, OidcProvider
from tests.helpers.programs import DEADLINE, Launcher, Running

MANY = 20
SELF = "signing in to prod"  # what a prompt says when no other tool asks

# $1 processes, each with its number as $0: NUMBER.pid, NUMBER.out and NUMBER.code tell of it. With FIRST set, all but
# number 0 wait for the file "go".
CROWD = """\
count=$1 number=0
shift
while [ $number -lt $count ]; do
    { sh -c 'echo $$ >$0.pid; exec "$@" >$0.out' $number "$@"; echo $? >$number.code; } &
    while [ -n "$FIRST" ] && [ ! -e go ]; do sleep 0.05; done
    number=$((number + 1))
done
wait
"""


class Crowd:
    """The same command many times at once."""

    def __init__(self, folder: Path, launch: Launcher, run: Runner) -> None:
        self.folder = folder / "crowd"
        self.folder.mkdir()
        self._launch = launch
        self._executable = str(run.executable)

    def start(self, count: int, *argv: str, terminal: bool = False, first: bool = False) -> Running:
        """Start them, and return when each is a process (the first, with ``first``)."""
        shell = [need("sh"), "-c", CROWD, "crowd", str(count), self._executable, *argv]
        env = {"FIRST": "1"} if first else {}
        running = self._launch.start(shell, cwd=self.folder, terminal=terminal, env=env)
        wait_until(lambda: self._pids() >= (1 if first else count), "all are started")
        return running

    def _pids(self) -> int:
        return sum(file.stat().st_size > 0 for file in self.folder.glob("*.pid"))

    def go(self, count: int) -> None:
        """Let the others start, too."""
        (self.folder / "go").touch()
        wait_until(lambda: self._pids() == count, "all are started")

    def kill(self, number: int) -> None:
        """Kill one of them."""
        os.kill(int((self.folder / f"{number}.pid").read_text()), signal.SIGKILL)

    def answers(self, *numbers: int) -> list[str]:
        """Return what each (or those named) wrote to stdout; all must have ended with 0."""
        outs = [self.folder / f"{number}.out" for number in numbers] or sorted(self.folder.glob("*.out"))
        assert {out.name: out.with_suffix(".code").read_text() for out in outs} == {out.name: "0\n" for out in outs}
        return [out.read_text() for out in outs]


@pytest.fixture
def crowd(tmp_path: Path, launch: Launcher, run: Runner) -> Crowd:
    return Crowd(tmp_path, launch, run)


# --- a crowd ----------------------------------------------------------------------------------------------------------


def test_a_crowd_without_a_session_asks_once(crowd: Crowd, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(oidc))
    running = crowd.start(MANY, "token", "prod", terminal=True)
    user_code = asked(running)
    time.sleep(1.5)  # for the last of them to be waiting; whoever comes later is answered from the disk
    oidc.approve(user_code)
    done = running.finish()

    [issued] = oidc.issued("device_code")
    assert crowd.answers() == [f"{issued.access_token}\n"] * MANY
    assert re.fullmatch(prompt(oidc, user_code, asks=SELF) + CLOSING, done.terminal)
    counts = oidc.counts()
    assert counts.pop("token") == counts.pop("device_code")
    assert counts == {"discovery": 1, "device_authorization": 1, "jwks": 1}
    polls = oidc.requests("device_code")
    assert {poll.error for poll in polls[:-1]} <= {"authorization_pending"}  # nobody polled too early
    assert all(later.at - earlier.at > 0.9 for earlier, later in pairwise(polls))


def test_a_crowd_with_an_expired_token_renews_once(
    crowd: Crowd, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    oidc.configure(CLI, access_token_ttl=2)
    sign_in(run, oidc)
    oidc.configure(CLI, access_token_ttl=3600)
    oidc.reset_counts()
    time.sleep(2.1)

    done = crowd.start(MANY, "token", "prod").finish()
    assert done.stderr == ""
    [issued] = oidc.issued("refresh_token")
    assert crowd.answers() == [f"{issued.access_token}\n"] * MANY
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    # One that was sent twice would have ended the whole family.
    assert issued.refresh_token is not None
    assert oidc.honoured(issued.refresh_token)
    assert run("refresh").code == 0


def test_a_crowd_of_machines_fetches_one_token(crowd: Crowd, oidc: OidcProvider, home: dict[str, str]) -> None:
    machine = person(oidc, client_id=M2M_BASIC, flow="client-credentials", client_secret={"env": "CI_SECRET"})
    write_profiles(home, prod=machine)
    home |= {"CI": "true", "CI_SECRET": ODD_SECRET}
    done = crowd.start(MANY, "token", "prod").finish()
    assert done.stderr == ""
    [issued] = oidc.issued("client_credentials")
    assert crowd.answers() == [f"{issued.access_token}\n"] * MANY
    assert oidc.counts() == {"discovery": 1, "token": 1, "client_credentials": 1}


def test_a_crowd_that_is_denied_hears_it_and_asks_nobody_again(
    crowd: Crowd, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    running = crowd.start(5, "token", "prod", terminal=True)
    user_code = asked(running)
    time.sleep(0.5)
    oidc.deny(user_code)
    done = running.finish()
    assert [file.read_text() for file in crowd.folder.glob("*.code")] == ["77\n"] * 5
    assert [file.read_text() for file in crowd.folder.glob("*.out")] == [""] * 5
    assert prompts(done.terminal) == 1
    assert oidc.counts()["device_authorization"] == 1


# --- who works is killed ----------------------------------------------------------------------------------------------


def test_a_second_terminal_shows_the_same_code_and_goes_on_when_the_first_is_killed(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    leader = run.start("token", "prod", terminal=True)
    user_code = asked(leader)
    waiter = run.start("token", "prod", terminal=True)
    assert asked(waiter) == user_code

    wait_until(lambda: oidc.counts().get("device_code", 0) >= 1, "a poll of the first")
    leader.signal(signal.SIGKILL)
    leader.process.wait(DEADLINE)
    killed = time.time()
    wait_until(lambda: oidc.requests("device_code")[-1].at > killed, "a poll of the second")
    polls = oidc.requests("device_code")
    assert [poll.error for poll in polls] == ["authorization_pending"] * len(polls)
    assert len({poll.fields["device_code"] for poll in polls}) == 1

    oidc.approve(user_code)
    done = waiter.finish()
    [issued] = oidc.issued("device_code")
    assert (done.code, done.text) == (0, f"{issued.access_token}\n")
    assert re.fullmatch(prompt(oidc, user_code, asks=SELF) + CLOSING, done.terminal)
    assert prompts(leader.finish().terminal) == 1
    assert oidc.counts()["device_authorization"] == 1


def test_on_the_same_terminal_nothing_is_said_when_the_first_is_killed(
    crowd: Crowd, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    running = crowd.start(4, "token", "prod", terminal=True, first=True)
    user_code = asked(running)
    crowd.go(4)
    time.sleep(0.5)
    crowd.kill(0)
    oidc.approve(user_code)
    done = running.finish()
    [issued] = oidc.issued("device_code")
    assert crowd.answers(1, 2, 3) == [f"{issued.access_token}\n"] * 3
    shown = done.terminal.replace("Killed\n", "")  # the shell's own word, where it has one
    assert re.fullmatch(prompt(oidc, user_code, asks=SELF) + CLOSING, shown)
    assert oidc.counts()["device_authorization"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_when_kubectl_is_killed_its_helper_ends_and_the_next_run_asks_anew(
    tmp_path: Path,
    kube_api: KubeApi,
    launch: Launcher,
    kubectl: Kubectl,
    run: Runner,
    oidc: OidcProvider,
    home: dict[str, str],
    number: signal.Signals,
) -> None:
    write_profiles(home, prod=person(oidc))
    cluster = Cluster(tmp_path, kube_api, launch, kubectl, run)
    # A job of an interactive shell: kubectl's end hangs up no terminal, so nothing tells the helper of it.
    shell = launch.start([need("bash"), "--norc", "--noprofile", "-i"], terminal=True, stdin=None, env={"PS1": "$ "})
    shell.type(" ".join([*cluster.command, "get", "pods"]).encode() + b"\r")
    first = asked(shell)
    [(helper, parent)] = cluster.calls

    os.kill(parent, number)
    wait_until(lambda: gone(helper), "the helper's end")
    polls = oidc.counts().get("device_code", 0)
    alone = run("token", "prod")  # nobody holds the lock, and nobody is being asked
    assert (alone.code, alone.stdout) == (66, b"")
    assert "nobody is signed in" in alone.stderr

    second = run.start("token", "prod", terminal=True)
    user_code = asked(second)
    assert user_code != first
    oidc.approve(user_code)
    assert second.finish().code == 0
    fresh = oidc.requests("device_code")[polls:]
    assert len({poll.fields["device_code"] for poll in fresh}) == 1  # the first code was never polled again
    assert POD not in shell.output("terminal")


def test_when_its_terminal_is_closed_the_helper_ends(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(oidc))
    running = run.start("token", "prod", terminal=True)
    asked(running)
    running.hang_up()
    done = running.finish()
    assert done.stdout == b""
    assert done.code in (129, -signal.SIGHUP)
    assert run("token", "prod").code == 66


def test_a_lost_approval_is_not_asked_for_again(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    """The approval came while nobody polled: the next process finds the code of the dead one and is answered."""
    write_profiles(home, prod=person(oidc))
    running = run.start("token", "prod", terminal=True)
    user_code = asked(running)
    running.signal(signal.SIGKILL)
    running.process.wait(DEADLINE)
    oidc.approve(user_code)
    done = run("token", "prod")
    [issued] = oidc.issued("device_code")
    assert (done.code, done.text, done.stderr) == (0, f"{issued.access_token}\n", "")
    assert oidc.counts()["device_authorization"] == 1


# --- who may not ask --------------------------------------------------------------------------------------------------


def test_who_may_not_ask_does_not_wait_for_a_person_elsewhere(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    leader = run.start("token", "prod", terminal=True)
    user_code = asked(leader)
    waiting = run.start("token", "prod")
    done = waiting.finish()
    assert (done.code, done.stdout) == (66, b"")
    assert done.stderr.startswith("credential-helper: prod: a sign-in to prod is under way in another terminal\n")
    assert done.seconds > 4.0

    lucky = run.start("token", "prod")  # within its 5 s, the person answers
    oidc.approve(user_code)
    done = lucky.finish()
    assert (done.code, done.stderr) == (0, "")
    assert done.text == leader.finish().text
    assert oidc.counts()["device_authorization"] == 1


def test_another_account_is_another_sign_in_and_asks_for_itself(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc), other=person(oidc, account="ada@example.com"))
    codes = {}
    running = {name: run.start("token", name, terminal=True) for name in ("prod", "other")}
    for name, one in running.items():
        codes[name] = asked(one)
        oidc.approve(codes[name])
    tokens = {one.finish().text for one in running.values()}
    assert len(tokens) == len(set(codes.values())) == 2


# --- other commands meanwhile -----------------------------------------------------------------------------------------


def test_two_sign_ins_on_one_terminal_take_turns(
    tmp_path: Path, launch: Launcher, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc), other=person(oidc, account="ada@example.com"))
    both = "for name in prod other; do { $0 token $name >$name; echo $? >$name.code; } & done; wait"
    running = launch.start([need("sh"), "-c", both, run.executable], cwd=tmp_path, terminal=True)
    first = asked(running)
    wait_until(lambda: len(oidc.pending()) == 2, "both have a code")
    time.sleep(0.5)
    assert prompts(running.output("terminal")) == 1
    oidc.approve(first)
    wait_until(lambda: prompts(running.output("terminal")) == 2, "the turn of the second")
    [second] = oidc.pending()
    oidc.approve(second)
    done = running.finish()
    assert [(tmp_path / f"{name}.code").read_text() for name in ("prod", "other")] == ["0\n", "0\n"]
    lines = done.terminal.splitlines()
    asking = [number for number, line in enumerate(lines) if line.startswith("credential-helper: signing in to ")]
    closing = [number for number, line in enumerate(lines) if line.startswith("signed in to ")]
    assert asking[0] < closing[0] < asking[1] < closing[1]
    assert oidc.counts()["device_authorization"] == 2


def test_login_joins_a_sign_in_that_is_under_way(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(oidc))
    leader = run.start("token", "prod", terminal=True)
    user_code = asked(leader)
    login = run.start("login", "prod", terminal=True)
    assert asked(login) == user_code
    oidc.approve(user_code)
    assert login.finish().code == leader.finish().code == 0
    assert oidc.counts()["device_authorization"] == 1


def test_logout_cancels_a_sign_in_that_is_under_way(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(oidc))
    leader = run.start("token", "prod", terminal=True)
    user_code = asked(leader)
    farewell = run("logout", "prod")
    assert farewell.code == 0
    done = leader.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "the sign-in was cancelled by a logout" in done.terminal
    oidc.approve(user_code)  # too late
    assert run("token", "prod").code == 66
    assert oidc.refresh_tokens() == []


def test_twenty_kubectls_sign_in_once(
    tmp_path: Path,
    kube_api: KubeApi,
    launch: Launcher,
    kubectl: Kubectl,
    run: Runner,
    oidc: OidcProvider,
    home: dict[str, str],
) -> None:
    write_profiles(home, prod=person(oidc))
    cluster = Cluster(tmp_path, kube_api, launch, kubectl, run)
    many = 'for i in $(seq "$0"); do { "$@" get pods >$i.out; echo $? >$i.code; } & done; wait'
    command = [need("sh"), "-c", many, str(MANY), *cluster.command]
    running = launch.start(command, cwd=tmp_path, terminal=True)
    user_code = asked(running)
    wait_until(lambda: len(cluster.calls) == MANY, "every kubectl runs its helper", timeout=60.0)
    oidc.approve(user_code)
    done = running.finish(60.0)
    assert [file.read_text() for file in tmp_path.glob("*.code")] == ["0\n"] * MANY
    assert all(POD in file.read_text() for file in tmp_path.glob("*.out"))
    assert re.fullmatch(prompt(oidc, user_code) + CLOSING, done.terminal)
    assert oidc.counts()["device_authorization"] == 1
    assert len(cluster.calls) == MANY
    assert len(kube_api.tokens()) == 1
