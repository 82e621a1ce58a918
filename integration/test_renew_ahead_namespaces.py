"""Who renews ahead, and the end of what it runs in: a container whose first process is killed, kubectl, its group.

Process ids of one's own (unshare --pid) are what a container has of them: process 1 reaps what is left behind, or does
not, and its end is the end of all. Such a process 1 is a copy of sh, under a name of its own.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.clients.programs import Kubectl, Runner
from integration.clients.real import need
from integration.scenes.ahead import DUE, PAST, age, begin, state, token
from integration.scenes.clusters import Cluster
from integration.scenes.homes import NOBODY, processes
from integration.scenes.sign_ins import asked, wait_until
from integration.servers.kube_api import POD, KubeApi
from integration.servers.oidc import OidcProvider
from tests.helpers.programs import Launcher, Result, Running

# What process 1 does: ask twice, a kept answer is due from the first one on, and stay until it is told to go.
TWICE = '"$0" token prod && "$0" token prod && echo both; while [ ! -e go ]; do sleep 0.05; done; "$0" token prod'


@functools.cache
def words() -> list[str]:
    """Return the words that start a program as process 1; none where the system forbids that."""
    program = need("unshare")
    for wanted in (["--pid", "--fork", "--mount-proc"], ["--map-root-user", "--pid", "--fork", "--mount-proc"]):
        if subprocess.run([program, *wanted, "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
            return [program, *wanted]
    return []


class Container:
    """Something with process ids of its own, and a home in it that is also seen from outside."""

    def __init__(self, folder: Path, launch: Launcher, run: Runner, home: dict[str, str], first: str) -> None:
        """``first`` is the name of process 1."""
        self._home = home
        self.first = first
        program = folder / first
        shutil.copy(os.path.realpath(need("sh")), program)
        self._go = folder / "go"
        command = [*words(), str(program), "-c", TWICE, str(run.executable)]
        self.running: Running = launch.start(command, cwd=folder, env=NOBODY)

    def asked_twice(self) -> list[str]:
        """Return the answers to the two calls."""
        self.running.wait_for("both\n", where="stdout")
        return self.running.output("stdout").split()[:2]

    def finish(self) -> str:
        """Let process 1 ask once more, and go; return the answer."""
        self._go.touch()
        done = self.running.finish()
        assert (done.code, done.stderr) == (0, ""), done
        return done.text.split()[-1]

    def kill(self) -> None:
        """Kill process 1, and with it everything; nothing is left."""
        (pid,) = [pid for pid in processes(self._home) if name_of(pid) == self.first]
        os.kill(pid, signal.SIGKILL)
        self.running.finish()
        wait_until(lambda: not processes(self._home), "the end of all")


def name_of(pid: int) -> str:
    """Return the name of a process as the system has it."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


Begin = Callable[[str, str], Container]


@pytest.fixture
def container(tmp_path: Path, launch: Launcher, run: Runner, home: dict[str, str], oidc: OidcProvider) -> Begin:
    """Return what signs in, lets a token be due, and starts a container: the name of its process 1, and ``renew``."""
    if not words():
        pytest.skip("this system lets nobody have process ids of one's own (unshare --pid)")

    def started(first: str, renew: str) -> Container:
        begin(run, oidc, home, renew=renew)
        age(home, DUE)
        return Container(tmp_path, launch, run, home, first)

    return started


def marks(home: dict[str, str]) -> list[Path]:
    """Return what those leave who renew ahead, until they have."""
    return list(state(home).glob("flights/*.ahead"))


@pytest.mark.parametrize("first", ["shell", "tini"])
def test_where_the_end_of_process_1_may_come_at_any_time_none_is_started(
    container: Begin, oidc: OidcProvider, home: dict[str, str], first: str
) -> None:
    inside = container(first, "auto")
    one, other = inside.asked_twice()
    assert one == other == inside.finish()
    assert oidc.counts() == {}
    assert not marks(home)
    assert not processes(home)


@pytest.mark.parametrize(("first", "renew"), [("init", "auto"), ("tini", "ahead")])
def test_where_process_1_is_that_of_a_machine_or_the_profile_wants_it_the_answer_is_renewed(
    container: Begin, run: Runner, oidc: OidcProvider, home: dict[str, str], first: str, renew: str
) -> None:
    inside = container(first, renew)
    one, other = inside.asked_twice()
    assert one == other
    wait_until(lambda: bool(oidc.issued("refresh_token")) and not marks(home), "the renewal")
    third = inside.finish()
    assert third == oidc.issued("refresh_token")[0].access_token != one
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    assert not processes(home)
    assert token(run).text.strip() == third


# --- the init is killed -----------------------------------------------------------------------------------------------


def renewing(container: Begin, oidc: OidcProvider) -> tuple[Container, str]:
    """Start a container with an init; return once its renewal has reached the provider, which takes its time."""
    inside = container("tini", "ahead")
    old, _ = inside.asked_twice()
    wait_until(lambda: oidc.counts().get("refresh_token") == 1, "the renewal to be asked for")
    return inside, old


def still_answers(run: Runner, oidc: OidcProvider, old: str) -> None:
    """Assert that the token, which is good for some more seconds, is answered, and nothing else happens."""
    before = oidc.counts()
    assert token(run).text.strip() == old
    assert oidc.counts() == before


def test_killed_before_the_provider_has_decided_nothing_is_lost(
    container: Begin, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    oidc.fail_next("refresh_token", status=503, delay=3.0)
    inside, old = renewing(container, oidc)
    inside.kill()
    still_answers(run, oidc, old)
    age(home, PAST)
    new = token(run).text.strip()
    assert new == oidc.issued("refresh_token")[0].access_token
    assert new != old


def test_killed_after_the_answer_was_kept_it_is_the_one_that_is_used(
    container: Begin, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    inside, old = renewing(container, oidc)
    (file,) = state(home).glob("sessions/*.json")
    wait_until(
        lambda: (one := oidc.issued("refresh_token")) != [] and str(one[0].access_token) in file.read_text(), "it"
    )
    inside.kill()
    new = oidc.issued("refresh_token")[0].access_token
    assert token(run).text.strip() == new != old
    assert oidc.counts() == {"token": 1, "refresh_token": 1}


def test_killed_while_the_answer_was_on_its_way_the_sign_in_is_lost_once_the_token_has_expired(
    container: Begin, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    """The provider has spent the refresh token, and its answer was nowhere but in a process that is gone."""
    oidc.fail_next("refresh_token", delay=3.0)
    inside, old = renewing(container, oidc)
    assert not oidc.issued("refresh_token")
    inside.kill()
    wait_until(lambda: bool(oidc.issued("refresh_token")), "the provider to spend the refresh token")
    still_answers(run, oidc, old)
    age(home, PAST)
    done = run("token", "prod", env=NOBODY)
    assert (done.code, done.stdout) in ((66, b""), (77, b""))
    assert "hint: credential-helper login prod\n" in done.stderr
    again = run.start("token", "prod", terminal=True)
    oidc.approve(asked(again))
    assert again.finish().code == 0


# --- kubectl is killed, or holds a lock -------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path, kube_api: KubeApi, launch: Launcher, kubectl: Kubectl, run: Runner) -> Cluster:
    return Cluster(tmp_path, kube_api, launch, kubectl, run)


def test_the_renewal_goes_on_when_kubectl_is_killed(
    run: Runner, launch: Launcher, oidc: OidcProvider, home: dict[str, str], cluster: Cluster
) -> None:
    """kubectl waits for a server that never answers, until it is killed: itself, its group, or by ``timeout``."""
    begin(run, oidc, home)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kubectl = [*cluster.command, "--server", f"https://127.0.0.1:{silent.getsockname()[1]}", "get", "pods"]
        for how, command, kill in (
            ("itself", kubectl, lambda one, _: one.signal(signal.SIGKILL)),
            ("its group", [need("setsid"), "--wait", *kubectl], kill_groups),
            ("timeout", [need("timeout"), "600", *kubectl], lambda one, _: one.signal(signal.SIGTERM)),
        ):
            with_kubectl(cluster, home)
            oidc.reset_counts()
            oidc.fail_next("refresh_token", delay=2.0)
            running = launch.start(command, env=NOBODY)
            wait_until(lambda: oidc.counts().get("refresh_token") == 1, "the renewal to be asked for")
            kill(running, home)
            assert running.finish().code != 0, how
            wait_until(lambda: not processes(home), "the end of the renewal")
            assert oidc.counts() == {"token": 1, "refresh_token": 1}, how
            assert token(run).text.strip() == oidc.issued("refresh_token")[0].access_token, how


def with_kubectl(cluster: Cluster, home: dict[str, str]) -> Result:
    """Let the token be due, and an answer with it be kept for kubectl."""
    age(home, DUE)
    done = cluster("get", "pods", env=NOBODY)
    assert done.code == 0, done
    return done


def kill_groups(_: Running, home: dict[str, str]) -> None:
    """Kill kubectl's process group, and that of whoever waits for it; not the one of who renews ahead."""
    for pid in processes(home):
        if name_of(pid).startswith(("setsid", "kubectl")):
            os.killpg(os.getpgid(pid), signal.SIGKILL)


def test_a_lock_that_kubectl_inherits_is_free_while_the_token_is_renewed(
    run: Runner, launch: Launcher, oidc: OidcProvider, home: dict[str, str], cluster: Cluster, tmp_path: Path
) -> None:
    begin(run, oidc, home)
    with_kubectl(cluster, home)
    oidc.fail_next("refresh_token", delay=5.0)
    script = '( flock 9; "$@" ) 9>"$0" && flock "$0" date +%s.%N'
    command = [need("bash"), "-c", script, str(tmp_path / "lock"), *cluster.command, "get", "pods"]
    done = launch.start(command, env=NOBODY).finish()
    assert done.code == 0, done
    *pods, free = done.text.splitlines()
    assert POD in "\n".join(pods)
    wait_until(lambda: not processes(home), "the end of the renewal")
    assert float(free) < oidc.issued("refresh_token")[0].at
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
