"""The password flow, for what has no other way: Auth0's ``password`` and ``password-realm``, typed or from a source.

The provider is the face that answers as Auth0 documents it; the terminal is a real one, so what is echoed is seen. The
password of everybody here is a canary: it is looked for in every place where something could be left.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.clients.programs import Kubectl, Runner
from integration.clients.real import need
from integration.scenes.clusters import Cluster
from integration.scenes.homes import walk
from integration.scenes.passwords import LABEL, configure, settings, unattended
from integration.scenes.sign_ins import CLOSING, wait_until, write_profiles
from integration.servers.hostile_provider import HostileProvider, answer
from integration.servers.kube_api import POD, KubeApi
from integration.servers.oidc import (
    ADA,
    AUDIENCE,
    BLOCKED,
    BOB,
    CLI,
    CLI_PASSWORD_CONFIDENTIAL,
    CONNECTION,
    LOCKED,
    MFA,
    ODD_SECRET,
    PASSWORD,
    Face,
    OidcProvider,
)
from tests.helpers.programs import DEADLINE, Launcher, Result, Running

WARNING = "credential-helper: warning: "


def typed(running: Running, password: str = PASSWORD) -> None:
    """Wait for the label, and type the password."""
    running.wait_for(LABEL, where="terminal")
    assert not running.echoes
    running.type(f"{password}\r".encode())


def by_password(run: Runner, password: str = PASSWORD, *argv: str) -> Result:
    """Run ``token prod`` on a terminal, and type the password."""
    running = run.start(*(argv or ("token", "prod")), terminal=True)
    typed(running, password)
    return running.finish()


def token_of(face: Face, grant: str = "password") -> str:
    """Return the access token of the only answer."""
    [issued] = face.issued(grant)
    assert issued.access_token is not None
    return issued.access_token


@pytest.fixture
def cluster(tmp_path: Path, kube_api: KubeApi, launch: Launcher, kubectl: Kubectl, run: Runner) -> Cluster:
    """Return a cluster that wants a sign-in."""
    return Cluster(tmp_path, kube_api, launch, kubectl, run)


@pytest.fixture(autouse=True)
def caged(tmp_path: Path) -> Iterator[None]:
    """After every test: the password is in no file but the one that the test has put it into."""
    yield
    found = [file for file in walk(tmp_path) if PASSWORD.encode() in file.read_bytes()]
    assert [file for file in found if file.name != "password"] == []


# --- typed ------------------------------------------------------------------------------------------------------------


def test_a_password_is_asked_for_without_an_echo_and_spent_once(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0)
    running = run.start("token", "prod", terminal=True)
    asked = running.wait_for(LABEL, where="terminal")
    assert asked.groups() == (ADA, auth0.host)
    assert not running.echoes
    running.type(f"{PASSWORD}\r".encode())
    done = running.finish()

    assert (done.code, done.text) == (0, f"{token_of(auth0)}\n")
    assert PASSWORD not in done.terminal
    lines = done.terminal.splitlines()
    assert [line.startswith(WARNING) for line in lines].count(True) == 1
    assert [line.startswith("hint: ") for line in lines].count(True) == 1
    assert 'flow = "authorization-code" signs in with a browser' in done.terminal
    assert re.search(
        rf"credential-helper: signing in to prod as {ADA} \({re.escape(auth0.host)}\)\n  for \S+: openid", done.terminal
    )
    assert re.search(rf"(?m)^{LABEL}\n{CLOSING}", done.terminal)
    assert auth0.counts() == {"discovery": 1, "token": 1, "password": 1, "jwks": 1}
    [request] = auth0.requests("password")
    assert request.fields["username"] == ADA
    assert request.fields["audience"] == AUDIENCE
    assert "realm" not in request.fields

    auth0.reset_counts()
    again = run("token", "prod", terminal=True)
    assert (again.code, again.text, again.terminal) == (0, done.text, "")
    assert auth0.counts() == {}


def test_a_renewal_needs_no_password(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0)
    by_password(run)
    auth0.reset_counts()
    assert run("refresh", "prod").code == 0
    done = run("token", "prod")
    assert (done.code, done.text) == (0, f"{token_of(auth0, 'refresh_token')}\n")
    assert (done.stderr, done.terminal) == ("", "")
    assert auth0.counts() == {"token": 1, "refresh_token": 1}


def test_a_realm_is_sent_with_auth0_s_own_grant(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0, realm="employees", account=BOB)
    done = by_password(run)
    assert (done.code, done.text) == (0, f"{token_of(auth0, 'password-realm')}\n")
    [request] = auth0.requests("password-realm")
    assert request.fields["realm"] == "employees"
    assert request.fields["grant_type"] == "http://auth0.com/oauth/grant-type/password-realm"


def test_without_an_account_the_user_name_is_asked_for_and_shown(
    run: Runner, auth0: Face, home: dict[str, str]
) -> None:
    configure(home, auth0, account=None)
    running = run.start("token", "prod", terminal=True)
    running.wait_for("user name: ", where="terminal")
    assert running.echoes
    running.type(f"{ADA}\r".encode())
    typed(running)
    done = running.finish()
    assert (done.code, done.text) == (0, f"{token_of(auth0)}\n")
    assert f"user name: {ADA}\n" in done.terminal
    assert PASSWORD not in done.terminal


def test_every_time_it_asks_it_warns(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0)
    for _ in range(2):
        done = by_password(run)
        assert done.code == 0
        assert done.terminal.count(WARNING) == 1
        assert run("logout", "prod").code == 0


def test_kubectl_asks_on_the_terminal_while_its_stdin_waits(
    cluster: Cluster, auth0: Face, home: dict[str, str]
) -> None:
    configure(home, auth0)
    document = b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}'
    running = cluster.start("apply", "-f", "-", stdin=document, terminal=True)
    typed(running)
    done = running.finish()
    assert (done.code, done.text) == (0, "configmap/settings created\n")
    assert PASSWORD not in done.terminal
    assert "kubectl needs a sign-in to prod" in done.terminal
    assert auth0.counts()["password"] == 1
    assert POD in cluster("get", "pods").text


def test_five_helpers_on_one_terminal_ask_once(
    tmp_path: Path, launch: Launcher, run: Runner, auth0: Face, home: dict[str, str]
) -> None:
    configure(home, auth0)
    many = "for i in 1 2 3 4 5; do { $0 token prod >$i.out; echo $? >$i.code; } & done; wait"
    running = launch.start([need("sh"), "-c", many, run.executable], cwd=tmp_path, terminal=True)
    typed(running)
    done = running.finish()
    assert [file.read_text() for file in tmp_path.glob("*.code")] == ["0\n"] * 5
    assert [file.read_text() for file in tmp_path.glob("*.out")] == [f"{token_of(auth0)}\n"] * 5
    assert len(re.findall(LABEL, done.terminal)) == 1
    assert PASSWORD not in done.terminal


def test_two_prompts_on_one_terminal_take_turns(
    tmp_path: Path, launch: Launcher, run: Runner, home: dict[str, str]
) -> None:
    """What is typed first goes to the provider whose prompt is up, and to nobody else; nothing of it is shown."""
    typed_lines = ["first canary", "second canary"]
    with HostileProvider() as one, HostileProvider() as other:
        for provider in (one, other):
            provider.serve_metadata()
            provider.script("/token", answer({"access_token": "x", "token_type": "Bearer", "expires_in": 3600}))
        write_profiles(home, one=settings(one, scope="api"), other=settings(other, scope="api"))
        both = "for name in one other; do { $0 token $name >$name.out; echo $? >$name.code; } & done; wait"
        running = launch.start([need("sh"), "-c", both, run.executable], cwd=tmp_path, terminal=True)
        first = one if running.wait_for(LABEL, where="terminal")[2] == one.host else other
        second = other if first is one else one
        wait_until(lambda: len(second.requests) > 0, "the other one's way to its prompt")
        time.sleep(1.5)  # for the other one to be waiting for its turn
        for provider, line in zip((first, second), typed_lines, strict=True):
            running.wait_for(f"password for .* at {re.escape(provider.host)}: ", where="terminal")
            assert len(re.findall(LABEL, running.output("terminal"))) == 1 + (provider is second)
            wait_until(lambda: not running.echoes, "no echo")
            running.type(f"{line}\r".encode())
            wait_until(lambda: len(provider.to("/token")) == 1, "the request")  # noqa: B023 - waited for here
        done = running.finish()
        assert [provider.to("/token")[0].field("password") for provider in (first, second)] == typed_lines
    assert [(tmp_path / f"{name}.code").read_text() for name in ("one", "other")] == ["0\n"] * 2
    assert len(re.findall(LABEL, done.terminal)) == 2
    assert "canary" not in done.terminal


# --- from a source ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["env", "file", "command"])
def test_an_unattended_job_has_its_password_from_a_source(
    run: Runner, auth0: Face, home: dict[str, str], source: str
) -> None:
    file = Path(home["HOME"], "password")
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    sources = {"env": "LEGACY_PASSWORD", "file": str(file), "command": [need("cat"), str(file)]}
    configure(home, auth0, password={source: sources[source]})
    if source == "env":
        home["LEGACY_PASSWORD"] = PASSWORD
    home["CI"] = "true"
    done = run("token", "prod")
    assert (done.code, done.text) == (0, f"{token_of(auth0)}\n")
    assert done.stderr.count(WARNING) == 1
    assert "password for" not in done.stderr
    assert PASSWORD not in done.stderr
    again = run("token", "prod")
    assert (again.code, again.text, again.stderr) == (0, done.text, "")
    file.unlink()


def test_a_confidential_client_sends_its_secret_too(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    secret = {"client_id": CLI_PASSWORD_CONFIDENTIAL, "client_secret": {"env": "OUR_SECRET"}}
    unattended(home, auth0, realm=CONNECTION, client_authentication="post", **secret)
    home["OUR_SECRET"] = ODD_SECRET
    done = run("token", "prod")
    assert (done.code, done.text) == (0, f"{token_of(auth0, 'password-realm')}\n")
    [request] = auth0.requests("password-realm")
    assert request.authentication == "client_secret_post"


def test_a_wrong_password_from_a_source_is_not_sent_again_and_again(
    run: Runner, auth0: Face, home: dict[str, str]
) -> None:
    """Auth0 locks an account after ten."""
    unattended(home, auth0)
    home["LEGACY_PASSWORD"] = "of last year"
    for _ in range(3):
        done = run("token", "prod")
        assert (done.code, done.stdout) == (77, b"")
        assert "Wrong email or password." in done.stderr
    assert auth0.counts()["password"] == 1


# --- refusals ---------------------------------------------------------------------------------------------------------


def said(done: Result) -> str:
    """Return the sentence of an error, its hint too; nothing was answered, and nothing secret is in it."""
    assert done.stdout == b""
    shown = done.terminal or done.stderr
    assert PASSWORD not in shown
    assert "Fe26" not in shown
    assert "Traceback" not in shown
    *_, sentence, hint = shown.splitlines()
    assert sentence.startswith("credential-helper: ")
    assert hint.startswith("hint: ")
    return f"{sentence}\n{hint}"


def test_a_second_factor_is_explained_with_a_better_flow(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0, account=MFA)
    done = by_password(run)
    assert done.code == 77
    words = said(done)
    assert "second factor" in words
    assert "mfa_required" in words
    assert 'flow = "authorization-code"' in words
    assert 'flow = "device"' in words


def test_a_second_factor_is_not_asked_about_five_times(cluster: Cluster, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0, account=MFA)
    running = cluster.start("get", "pods", terminal=True)
    typed(running)
    done = running.finish()
    assert done.code == 1
    assert len(cluster.calls) == 5
    assert len(re.findall(LABEL, done.terminal)) == 1
    assert auth0.counts()["password"] == 1


def test_a_wrong_password_is_told_and_the_right_one_works(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0)
    done = by_password(run, "wrong-canary")
    assert done.code == 77
    assert "Wrong email or password." in said(done)
    assert "wrong-canary" not in done.terminal
    assert by_password(run).code == 0


@pytest.mark.parametrize(
    ("account", "code", "words"),
    [(BLOCKED, 77, "user is blocked"), (LOCKED, 77, "blocked after multiple consecutive login attempts")],
    ids=["blocked", "too many attempts"],
)
def test_an_account_that_is_blocked_is_told(
    run: Runner, auth0: Face, home: dict[str, str], account: str, code: int, words: str
) -> None:
    unattended(home, auth0, account=account)
    done = run("token", "prod")
    assert done.code == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert auth0.counts()["password"] == 1


def test_a_missing_default_connection_asks_for_a_realm(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    unattended(home, auth0)
    auth0.configure(default_connection=None)
    done = run("token", "prod")
    assert done.code == 78
    assert "default connection" in said(done)
    assert 'realm = "NAME"' in said(done)
    unattended(home, auth0, realm=CONNECTION)
    assert run("token", "prod").code == 0


def test_an_unknown_realm_is_told(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    unattended(home, auth0, realm="nowhere")
    done = run("token", "prod")
    assert done.code in (77, 78)
    assert "the connection was not found" in done.stderr


def test_a_client_that_may_not_is_told_what_to_switch_on(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    unattended(home, auth0, client_id=CLI)
    done = run("token", "prod")
    assert done.code == 77
    assert "Grant type 'password' not allowed for the client." in said(done)


def test_a_provider_without_the_grant_is_told(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    unattended(home, oidc, client_id=CLI)
    done = run("token", "prod")
    assert done.code in (77, 78)
    assert "unsupported_grant_type" in done.stderr


def test_somebody_else_s_token_is_not_kept(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    """Not to be confused: the user name is what was sent, and the ID token says who that is."""
    unattended(home, auth0, account="ada")
    assert run("token", "prod").code == 0


# --- only where somebody said so --------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [None, False])
def test_nothing_is_asked_without_legacy(run: Runner, auth0: Face, home: dict[str, str], legacy: bool | None) -> None:
    configure(home, auth0, legacy=legacy)
    done = run("token", "prod", terminal=True)
    assert (done.code, done.stdout) == (78, b"")
    assert "legacy = true" in done.terminal
    assert "password for" not in done.terminal
    assert auth0.counts() == {}


def test_where_nobody_can_type_nothing_is_asked(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0)
    for done in (run("token", "prod"), run("token", "prod", terminal=True, env={"CI": "1"})):
        assert (done.code, done.stdout) == (66, b"")
        assert "password for" not in done.stderr + done.terminal
    assert "token" not in auth0.counts()


@pytest.mark.parametrize("key", [b"\x03", b"\x04", b"\r"], ids=["Ctrl-C", "Ctrl-D", "Return"])
def test_a_prompt_that_is_left_leaves_nothing(run: Runner, auth0: Face, home: dict[str, str], key: bytes) -> None:
    configure(home, auth0)
    running = run.start("token", "prod", terminal=True)
    running.wait_for(LABEL, where="terminal")
    assert not running.echoes
    running.type(key)
    wait_until(lambda: running.process.poll() is not None, "its end")
    assert running.echoes
    done = running.finish()
    assert (done.code, done.stdout) == (130 if key == b"\x03" else 66, b"")
    assert "token" not in auth0.counts()
    state = Path(home["XDG_STATE_HOME"])
    assert [file.name for file in walk(state) if file.suffix in (".prompt", ".new")] == []


def test_a_terminated_prompt_gives_the_echo_back(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0)
    running = run.start("token", "prod", terminal=True)
    running.wait_for(LABEL, where="terminal")
    running.signal(signal.SIGTERM)
    running.process.wait(DEADLINE)
    assert running.echoes
    assert running.finish().stdout == b""


def test_logout_cancels_a_password_prompt(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    configure(home, auth0)
    running = run.start("token", "prod", terminal=True)
    running.wait_for(LABEL, where="terminal")
    assert run("logout", "prod").code == 0
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "the sign-in was cancelled by a logout" in done.terminal


# --- nowhere else -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["typed", "file"])
def test_the_password_is_seen_nowhere(run: Runner, auth0: Face, home: dict[str, str], tmp_path: Path, way: str) -> None:
    if way == "typed":
        configure(home, auth0)
    else:
        file = Path(home["HOME"], "password")
        file.write_text(PASSWORD)
        file.chmod(0o600)
        configure(home, auth0, password={"file": str(file)})
    auth0.fail_next("password", delay=0.5)
    log = tmp_path / "verbose.log"
    running = run.start("token", "prod", "--verbose", terminal=True, env={"CREDENTIAL_HELPER_VERBOSE": str(log)})
    seen: list[bytes] = []
    enough = threading.Event()

    def look() -> None:
        while not enough.is_set():
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if os.getsid(int(folder.name)) == running.pid:
                        seen.extend((folder / name).read_bytes() for name in ("cmdline", "environ"))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        if way == "typed":
            typed(running)
        done = running.finish()
    finally:
        enough.set()
        looking.join()
    assert (done.code, done.text) == (0, f"{token_of(auth0)}\n")
    [request] = auth0.requests("password")
    assert request.fields["password"] == PASSWORD
    assert seen
    quoted = PASSWORD.replace(" ", "+")
    for needle in (PASSWORD, quoted, PASSWORD.replace(" ", "%20")):
        assert needle not in done.terminal + log.read_text()
        assert all(needle.encode() not in words for words in seen)
        files = [file for file in walk(tmp_path) if needle.encode() in file.read_bytes()]
        assert {file.name for file in files} <= ({"password"} if way == "file" else set())
    assert "signing in with the flow password" in log.read_text()


@pytest.mark.parametrize("status", [400, 502])
def test_a_provider_that_sends_the_password_back_is_not_repeated(
    run: Runner, auth0: Face, home: dict[str, str], status: int
) -> None:
    unattended(home, auth0)
    mirrored = {"error": "invalid_request", "error_description": f"username={ADA} password={PASSWORD}"}
    auth0.fail_next("password", status=status, body=mirrored, times=None)
    done = run("token", "prod", "--verbose")
    assert done.code != 0
    assert PASSWORD not in done.stderr
    assert done.stdout == b""
