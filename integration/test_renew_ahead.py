"""Nobody waits for a renewal: a kept answer is renewed before its time has passed, by a process that nobody waits for.

Real kubectl, git and docker's own protocol against a provider that rotates refresh tokens, so that one that was lost,
or was spent twice, cannot go unnoticed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.clients.programs import Kubectl, Runner
from integration.clients.real import need
from integration.scenes.ahead import DUE, LIFETIME, LISTED, PAST, age, begin, due, state, token
from integration.scenes.clusters import Cluster
from integration.scenes.homes import NOBODY, processes
from integration.scenes.sign_ins import person, wait_until, write_profiles
from integration.servers.kube_api import KubeApi
from integration.servers.oidc import M2M_BASIC, ODD_SECRET, OidcProvider
from tests.helpers.programs import Launcher, Result

SHORT = 40  # seconds; such a token is answered for 25
AHEAD = 18.75  # seconds after which it is renewed
DELAY = 4.0
HOST = "git.example.com"
REQUEST = f"protocol=https\nhost={HOST}\n\n".encode()


@pytest.fixture
def cluster(tmp_path: Path, kube_api: KubeApi, launch: Launcher, kubectl: Kubectl, run: Runner) -> Cluster:
    return Cluster(tmp_path, kube_api, launch, kubectl, run)


Settled = Callable[[], None]


@pytest.fixture
def settled(home: dict[str, str]) -> Settled:
    """Return what waits until nobody is left in the home."""
    return lambda: wait_until(lambda: not processes(home), "the process that renews ahead to end")


def test_a_due_answer_is_given_at_once_and_renewed_behind_it(
    run: Runner, oidc: OidcProvider, home: dict[str, str], settled: Settled
) -> None:
    begin(run, oidc, home)
    old = due(run, home)
    oidc.fail_next("refresh_token", delay=1.0)
    assert token(run).text.strip() == old
    settled()
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    new = token(run).text.strip()
    assert new != old
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    assert not list(state(home).glob("flights/*.ahead"))


def test_every_other_answer_of_the_session_is_made_anew(
    run: Runner, oidc: OidcProvider, home: dict[str, str], settled: Settled
) -> None:
    begin(run, oidc, home)
    age(home, DUE)
    calls: list[tuple[tuple[str, ...], dict[str, object]]] = [
        (("token", "prod"), {}),
        (("token", "--profile", "prod"), {"env": {**NOBODY, "CREDENTIAL_HELPER_PROMPT": "plain"}}),
        (("get",), {"program": "git-credential-helper", "stdin": REQUEST}),
        (("get",), {"program": "docker-credential-helper", "stdin": b"registry.example.com"}),
        (("kubectl",), {"env": {**NOBODY, "KUBERNETES_EXEC_INFO": json.dumps(INFO)}}),
    ]
    before = [run(*argv, **({"env": NOBODY} | options)).text for argv, options in calls]  # type: ignore[arg-type]
    token(run)
    settled()
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    names = {reply.name: reply.stat().st_mtime_ns for reply in state(home).glob("replies/*")}
    after = [run(*argv, **({"env": NOBODY} | options)).text for argv, options in calls]  # type: ignore[arg-type]
    assert all(one and one != other for one, other in zip(before, after, strict=True))
    assert {reply.name: reply.stat().st_mtime_ns for reply in state(home).glob("replies/*")} == names
    assert len(names) == len(calls)


INFO = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {"interactive": False}}


def test_nobody_waits_for_it_whatever_is_inherited(
    run: Runner, launch: Launcher, oidc: OidcProvider, home: dict[str, str], settled: Settled, tmp_path: Path
) -> None:
    """stdout, stderr, a lock on descriptor 9 and the pipe of a shell that waits for its end: none is held."""
    begin(run, oidc, home)
    old = due(run, home)
    oidc.fail_next("refresh_token", delay=9.0)  # a machine would have given up after 8 s
    lock = tmp_path / "lock"
    script = f'( flock 9; "$0" token prod ) 9>{lock} 2>&1 | cat; flock --nonblock {lock} echo free; jobs'
    done = launch.start([need("bash"), "-c", script, str(run.executable)], env=NOBODY).finish()
    assert done.text.splitlines() == [old, "free"]
    assert processes(home)  # it is still at it
    settled()
    assert token(run).text.strip() != old


def test_it_goes_on_when_its_caller_s_process_group_is_killed(
    run: Runner, oidc: OidcProvider, home: dict[str, str], settled: Settled
) -> None:
    begin(run, oidc, home)
    old = due(run, home)
    oidc.fail_next("refresh_token", delay=1.0)
    running = run.start("token", "prod", env=NOBODY)
    assert running.finish().text.strip() == old
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.process.pid, signal.SIGKILL)
    settled()
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    assert token(run).text.strip() != old


def test_where_the_provider_is_away_it_asks_once_and_nobody_is_told(
    run: Runner, oidc: OidcProvider, home: dict[str, str], settled: Settled
) -> None:
    begin(run, oidc, home)
    old = due(run, home)
    oidc.fail_next("refresh_token", status=503, times=None)
    for _ in range(3):
        assert token(run).text.strip() == old
        settled()
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    assert len(list(state(home).glob("flights/*.ahead"))) == 1
    assert not list(state(home).glob("grants/*.failure"))
    oidc.clear_faults()
    age(home, PAST)  # its time has passed: this one waits, and asks although somebody has in vain
    assert token(run).text.strip() != old


def test_no_call_but_the_first_waits_over_several_lifetimes(
    run: Runner, oidc: OidcProvider, home: dict[str, str], settled: Settled, cluster: Cluster
) -> None:
    """kubectl, git and docker by turns, while the provider takes its time.

    Who waits is under way when a refresh arrives, and still when it is answered. CREDENTIAL_HELPER_TEST_LIFETIMES=10
    makes it a thousand calls.
    """
    begin(run, oidc, home, lifetime=SHORT)
    oidc.fail_next("refresh_token", delay=DELAY, times=None)
    lifetimes = int(os.environ.get("CREDENTIAL_HELPER_TEST_LIFETIMES", "2"))
    calls: list[tuple[float, float]] = []

    def call(client: Callable[[], Result]) -> None:
        began = time.time()
        done = client()
        calls.append((began, time.time()))
        assert done.code == 0, done

    clients = (
        lambda: cluster("get", "pods"),
        lambda: run("get", program="git-credential-helper", stdin=REQUEST, env=NOBODY),
        lambda: run("get", program="docker-credential-helper", stdin=b"registry.example.com", env=NOBODY),
    )
    began = time.monotonic()
    while time.monotonic() - began < lifetimes * (AHEAD + DELAY + 1) + 3 or len(calls) < 100 * lifetimes:
        for client in clients:
            call(client)
        time.sleep(0.1)
    settled()
    refreshes = [request.at for request in oidc.requests("token")]
    passed = int((time.monotonic() - began) / AHEAD)
    assert lifetimes <= len(refreshes) <= passed + 1
    assert oidc.counts()["refresh_token"] == len(refreshes)
    assert not [at for at in refreshes for begun, ended in calls if begun <= at and at + DELAY <= ended]


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ({"renew": "on-demand"}, {}),
        ({"renew": "auto"}, {"CI": "true"}),
        ({"renew": "ahead", "client_secret": {"command": ["/bin/echo", "x"]}}, {}),
    ],
)
def test_none_is_started(
    run: Runner,
    oidc: OidcProvider,
    home: dict[str, str],
    settings: dict[str, object],
    variables: dict[str, str],
) -> None:
    begin(run, oidc, home)
    home |= variables
    write_profiles(home, prod=person(oidc, flow="device", store="file", **LISTED, **settings))  # type: ignore[arg-type]
    old = due(run, home)
    for _ in range(3):
        assert token(run).text.strip() == old
        assert not processes(home)
    assert oidc.counts() == {}


def test_a_machine_renews_ahead_in_ci_too(
    run: Runner, oidc: OidcProvider, home: dict[str, str], settled: Settled
) -> None:
    oidc.configure(M2M_BASIC, access_token_ttl=LIFETIME)
    home |= {"OUR_SECRET": ODD_SECRET, "CI": "true"}
    write_profiles(
        home,
        prod=person(
            oidc, client_id=M2M_BASIC, flow="client-credentials", renew="ahead", client_secret={"env": "OUR_SECRET"}
        ),
    )
    first = token(run).text.strip()
    assert due(run, home) == first
    assert token(run).text.strip() == first
    settled()
    assert token(run).text.strip() != first
    assert oidc.counts()["client_credentials"] == 2
