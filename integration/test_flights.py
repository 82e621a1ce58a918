"""Waiting before importing: of processes with the same request one does the work, the others load next to nothing.

That one may be killed, or may have to ask a person, and its work may need another process of ours: nobody waits for
what does not come. Python itself says what a process imports.
"""

from __future__ import annotations

import signal
from pathlib import Path

from credential_helper import replies
from integration.clients.programs import Runner, imported_by
from integration.clients.real import need
from integration.scenes.ahead import LIFETIME, age, begin, state
from integration.scenes.homes import NOBODY
from integration.scenes.sign_ins import asked, person, prompts, wait_until, write_profiles
from integration.servers.oidc import AUDIENCE, OidcProvider
from tests.helpers.programs import Launcher, Result

MANY = 20
LATER = 'echo ready >&2; while [ ! -e "$1" ]; do sleep 0.02; done; shift; exec "$@"'
LOADED = "credential_helper.cli"  # and with it all that is heavy
WAITS = r"\| +credential_helper\.replies\.flights\n"
HEAVY = {LOADED, "msgspec", "filelock", "socket", "ssl", "requests"}
MARK = "?"  # in the file that is waited for: a person is being asked


def flights(home: dict[str, str]) -> list[Path]:
    """Return the files by which processes wait for one another."""
    return sorted(state(home).glob("flights/[0-9][0-9]"))


def expired(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    """Let ada have signed in, and her token be no good any more."""
    begin(run, oidc, home)
    age(home, LIFETIME)


def answered(done: list[Result], oidc: OidcProvider) -> None:
    """Assert that each has the token of the only refresh that was answered."""
    [issued] = oidc.issued("refresh_token")
    assert [(one.code, one.text) for one in done] == [(0, f"{issued.access_token}\n")] * len(done)


def test_a_crowd_loads_the_program_once(
    run: Runner, observed: Runner, launch: Launcher, oidc: OidcProvider, home: dict[str, str]
) -> None:
    expired(run, oidc, home)
    oidc.fail_next("refresh_token", delay=2.0)
    go = Path(home["HOME"], "go")
    shell = [need("sh"), "-c", LATER, "sh", str(go), str(observed.executable), "token", "prod"]
    crowd = [launch.start(shell, env=NOBODY) for _ in range(MANY)]
    for one in crowd:
        one.wait_for("ready", where="stderr")
    go.touch()
    done = [one.finish() for one in crowd]

    answered(done, oidc)
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    loaded = [imported_by(one.stderr)[0] for one in done]
    assert len([modules for modules in loaded if modules & HEAVY]) == 1
    assert len([modules for modules in loaded if LOADED in modules]) == 1
    assert len([modules for modules in loaded if "credential_helper.replies.flights" in modules]) > 1


def test_when_the_first_is_killed_another_one_renews(
    run: Runner, observed: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    """The provider never sees the refresh of the first, so nothing is spent by it."""
    expired(run, oidc, home)
    oidc.fail_next("refresh_token", status=503, delay=6.0)
    first = run.start("token", "prod", env=NOBODY)
    wait_until(lambda: oidc.counts().get("refresh_token") == 1, "the first has asked")
    others = [observed.start("token", "prod", env=NOBODY) for _ in range(5)]
    for one in others:
        one.wait_for(WAITS, where="stderr")
    first.signal(signal.SIGKILL)
    assert first.finish().code == -signal.SIGKILL
    answered([one.finish() for one in others], oidc)
    assert oidc.counts() == {"token": 2, "refresh_token": 2}
    assert [one.error for one in oidc.requests("refresh_token")][1:] == [None]


def test_a_failure_is_not_waited_for_by_one_after_the_other(
    run: Runner, observed: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    """Each goes on by itself; what the first was told is told to those who have waited for it, without a request."""
    expired(run, oidc, home)
    oidc.fail_next("refresh_token", status=503, delay=3.0)
    oidc.fail_next("refresh_token", status=503, times=None)
    crowd = [observed.start("token", "prod", env=NOBODY) for _ in range(5)]
    for one in crowd:
        one.wait_for(WAITS, where="stderr")
    done = [one.finish() for one in crowd]
    assert {(one.code, one.stdout) for one in done} == {(69, b"")}
    assert all(LOADED in imported_by(one.stderr)[0] for one in done)
    assert oidc.counts()["refresh_token"] < 5


def test_two_terminals_show_the_prompt(run: Runner, observed: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    """The second one waits before there is a prompt; the first says that it asks, and both show the same code."""
    write_profiles(home, prod=person(oidc, flow="device"))
    oidc.fail_next("device_authorization", delay=4.0)
    first = run.start("token", "prod", terminal=True)
    wait_until(lambda: oidc.counts().get("device_authorization") == 1, "the first has asked for a code")
    second = observed.start("token", "prod", terminal=True, stderr="pipe")
    second.wait_for(WAITS, where="stderr")
    user_code = asked(first)
    assert asked(second) == user_code
    (file,) = flights(home)
    assert file.read_text().partition("\n")[2] == MARK
    oidc.approve(user_code)
    done = [first.finish(), second.finish()]
    [issued] = oidc.issued("device_code")
    assert [(one.code, one.text) for one in done] == [(0, f"{issued.access_token}\n")] * 2
    assert [prompts(one.terminal) for one in done] == [1, 1]
    assert oidc.counts()["device_authorization"] == 1


def test_a_call_within_a_call_does_not_wait_for_it(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    """A machine's secret is the answer of another process of ours; both requests fall on the same file."""
    home |= NOBODY
    same = flight_of(name_of(home, "token", "inner"))
    outer = next(name for name in map(str, range(5000)) if flight_of(name_of(home, "token", name)) == same)
    ada = person(oidc, flow="device")
    write_profiles(home, inner=ada)
    signing_in = run.start("login", "inner", terminal=True, env={"CREDENTIAL_HELPER_INTERACTIVE": None})
    oidc.approve(asked(signing_in))
    assert signing_in.finish().code == 0
    secret = run("token", "inner").text.strip()
    grants = ["client_credentials"]
    oidc.add_client("outer", client_secret=secret, authentication="client_secret_post", grant_types=grants)
    machine = {"issuer": oidc.issuer, "client_id": "outer", "audience": AUDIENCE, "flow": "client-credentials"}
    command = {"command": [str(run.executable), "token", "inner"]}
    write_profiles(home, inner=ada, **{outer: {**machine, "client_secret": command}})
    for file in (*flights(home), *state(home).glob("replies/*")):
        file.unlink()

    done = run("token", outer)
    [issued] = oidc.issued("client_credentials")
    assert (done.code, done.text, done.stderr) == (0, f"{issued.access_token}\n", "")
    (file,) = flights(home)
    assert int(file.name) == same
    assert file.read_text().partition("\n")[2] == MARK  # the outer one's, which runs a command: nobody waits for it
    assert name_of(home, "token", "inner") in {reply.name for reply in state(home).glob("replies/*")}


def name_of(home: dict[str, str], *words: str) -> str:
    """Return the name of a request."""
    request = replies.request_of(["credential-helper", *words], home, b"")
    assert request is not None
    return replies.name_of(request)


def flight_of(name: str) -> int:
    """Return the number of the file that a request falls on, of 61."""
    return int(name.partition("-")[2], 16) % 61
