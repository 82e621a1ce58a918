"""Nobody is asked where nobody can answer, and what is said then is enough; and what a person sees who can.

The surroundings are the real ones: bash completing a word, watch, a program in raw mode, a background job, CI, a
provider that has gone. The API server's pod shows that the same surroundings work once somebody is signed in.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
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
from integration.servers.oidc import AUDIENCE, CLI, CLI_SHORT, OidcProvider
from tests.helpers.programs import Launcher, Options, Result, Running

OTHER_AUDIENCE = "https://other.example.com"
ESCAPE = "\x1b"

# bash-completion's function that kubectl's script asks for; the package need not be installed.
COMPLETION = """\
PS1='$ '
_get_comp_words_by_ref() {
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
}
source <(kubectl completion bash)
"""

# A program that draws on the terminal itself, and runs another one meanwhile.
RAW = """\
import subprocess, sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
code = subprocess.call(sys.argv[1:])
termios.tcsetattr(0, termios.TCSANOW, before)
sys.exit(code)
"""


@pytest.fixture
def cluster(
    tmp_path: Path,
    kube_api: KubeApi,
    launch: Launcher,
    kubectl: Kubectl,
    run: Runner,
    oidc: OidcProvider,
    home: dict[str, str],
) -> Cluster:
    """A cluster that wants a sign-in, and ``kubectl`` as people type it."""
    write_profiles(home, prod=person(oidc))
    cluster = Cluster(tmp_path, kube_api, launch, kubectl, run)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl.path)
    home["PATH"] = f"{programs}:{run.executable.parent}:{home['PATH']}"
    home["KUBECONFIG"] = str(cluster.kubeconfig)
    return cluster


@pytest.fixture
def silent(oidc: OidcProvider) -> Iterator[None]:
    """The provider gave no code to anybody."""
    yield
    assert "device_authorization" not in oidc.counts()


def bash(launch: Launcher, *argv: str) -> Running:
    """Start an interactive bash, with job control, on a terminal of its own."""
    command = [need("bash"), "--noprofile", *(argv or ("--norc",)), "-i"]
    return launch.start(command, terminal=True, stdin=None, env={"PS1": "$ "})


def leave(shell: Running) -> Result:
    r"""End a bash with Ctrl-U and "exit"."""
    shell.type(b"\x15exit\r")
    return shell.finish()


# --- where nobody is asked --------------------------------------------------------------------------------------------


def test_completion_is_silent_and_completes_once_somebody_is_signed_in(
    cluster: Cluster, tmp_path: Path, launch: Launcher, run: Runner, oidc: OidcProvider
) -> None:
    (tmp_path / "bashrc").write_text(COMPLETION)
    shell = bash(launch, "--rcfile", str(tmp_path / "bashrc"))
    shell.wait_for(r"\$ ")
    shell.type(b"kubectl get pods h\t\x15echo do''ne\r")  # TAB, and what is typed meanwhile
    shell.wait_for("^done$", where="stdout")
    assert len(cluster.calls) >= 1
    shown = shell.output("terminal")
    assert prompts(shown) == 0
    assert "credential-helper" not in shown
    assert POD not in shown
    assert "device_authorization" not in oidc.counts()

    sign_in(run, oidc)
    oidc.reset_counts()
    shell.type(b"kubectl get pods h\t")
    shell.wait_for(f"kubectl get pods {POD} ")
    leave(shell)
    assert oidc.counts() == {}


def test_watch_is_never_drawn_over(cluster: Cluster, launch: Launcher, run: Runner, oidc: OidcProvider) -> None:
    command = [need("watch"), "--interval", "1", "kubectl", "get", "pods"]
    watching = launch.start(command, terminal=True, stdin=None, size=(40, 160))
    watching.wait_for("nobody")  # watch shows what its children wrote to stderr, too
    wait_until(lambda: len({kubectl for _, kubectl in cluster.calls}) >= 2, "watch's second round")
    assert prompts(watching.output("terminal")) == 0
    assert "device_authorization" not in oidc.counts()

    sign_in(run, oidc)
    watching.wait_for(POD)
    watching.type(b"\x03")
    watching.finish()


@pytest.mark.usefixtures("silent")
def test_a_program_in_raw_mode_is_never_drawn_over(cluster: Cluster, launch: Launcher) -> None:
    done = launch.run([sys.executable, "-c", RAW, *cluster.command, "get", "pods"], terminal=True, stdin=None)
    assert done.code == 1
    assert len(cluster.calls) == 5
    assert prompts(done.terminal) == 0
    assert done.terminal.count("nobody is signed in") == 1


@pytest.mark.usefixtures("silent")
def test_a_background_job_asks_nobody(cluster: Cluster, launch: Launcher) -> None:
    shell = bash(launch)
    shell.type(b"kubectl get pods & wait $!; echo code $?\r")
    shell.wait_for(r"^code 1\n", where="stdout")
    shell.type(b"stty tostop; credential-helper token prod & wait $!; echo code $?\r")
    shell.wait_for(r"\ncode 66\n", where="stdout")
    done = leave(shell)
    assert len(cluster.calls) == 5
    assert prompts(done.terminal) == 0
    assert done.terminal.count("credential-helper: prod: nobody is signed in") == 1  # once per terminal


def test_a_job_in_the_foreground_of_the_same_shell_is_asked(
    cluster: Cluster, launch: Launcher, oidc: OidcProvider
) -> None:
    shell = bash(launch)
    shell.type(b"kubectl get pods 2>&1 | cat\r")  # stderr is a pipe: there is still /dev/tty
    oidc.approve(asked(shell))
    shell.wait_for(rf"\n{POD} ")
    done = leave(shell)
    assert prompts(done.terminal) == 1
    assert len(cluster.calls) == 1


SILENCERS: dict[str, Options] = {
    "CI": {"terminal": True, "env": {"CI": "true"}},
    "stderr is /dev/null": {"terminal": True, "stderr": "null"},
    "the variable": {"terminal": True, "env": {"CREDENTIAL_HELPER_INTERACTIVE": "never"}},
    "no terminal": {"terminal": False},
}


@pytest.mark.parametrize("silencer", SILENCERS.values(), ids=SILENCERS)
@pytest.mark.usefixtures("silent")
def test_nobody_is_asked_where(cluster: Cluster, run: Runner, silencer: Options) -> None:
    done = cluster("get", "pods", **silencer)
    assert (done.code, done.stdout) == (1, b"")
    assert prompts(done.terminal) == 0
    assert len(cluster.calls) == 5
    alone = run("token", "prod", **silencer)
    assert (alone.code, alone.stdout) == (66, b"")
    said = alone.stderr + alone.terminal
    if silencer.get("stderr") == "null":
        assert said == ""
    else:
        hint = 'use a profile with flow = "client-credentials"' if "CI" in silencer.get("env", {}) else None
        assert said.splitlines()[0].startswith("credential-helper: prod: nobody is signed in to 127.0.0.1:")
        assert said.splitlines()[1:] == [f"hint: {hint or 'credential-helper login prod'}"]


def test_ci_that_is_false_is_no_ci(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(oidc))
    sign_in(run, oidc, env={"CI": "false"})


# --- the hint ---------------------------------------------------------------------------------------------------------


class Call(msgspec.Struct, frozen=True):
    """A call that finds nobody signed in."""

    argv: list[str]
    stdin: bytes = b""
    env: dict[str, str] = {}


def _exec_info(config: Mapping[str, object]) -> str:
    cluster = {"server": "https://127.0.0.1:6443", "config": config}
    spec = {"interactive": False, "cluster": cluster}
    return json.dumps({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "spec": spec})


SCOPES = ["email", "offline_access", "openid"]
CALLS = {
    "a profile": Call(["token", "prod"]),
    "the only profile": Call(["kubectl"]),
    "flags over a profile": Call(["kubectl", "--profile", "prod", "--audience", OTHER_AUDIENCE, "--scope", "openid"]),
    "our JSON": Call(
        ["get"], json.dumps({"profile": "prod", "audience": OTHER_AUDIENCE, "scope": " ".join(SCOPES)}).encode()
    ),
    "a cluster's config": Call(
        ["kubectl"],
        env={"KUBERNETES_EXEC_INFO": _exec_info({"audience": OTHER_AUDIENCE, "scope": SCOPES, "token": "id"})},
    ),
    "no profile, flags": Call(
        ["token", "--issuer", "ISSUER", "--client-id", CLI, "--parameter", "organization=it's $(false); a 'b' #1"]
    ),
    "no profile, variables": Call(
        ["kubectl"],
        env={
            "CREDENTIAL_HELPER_ISSUER": "ISSUER",
            "CREDENTIAL_HELPER_CLIENT_ID": CLI,
            "CREDENTIAL_HELPER_AUDIENCE": AUDIENCE,
            "CREDENTIAL_HELPER_ACCOUNT": "ada@example.com",
        },
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_hint_makes_exactly_the_session_that_was_missing(
    launch: Launcher, run: Runner, oidc: OidcProvider, home: dict[str, str], call: Call
) -> None:
    write_profiles(home, prod=person(oidc))
    home["PATH"] = f"{run.executable.parent}:{home['PATH']}"
    argv = [word.replace("ISSUER", oidc.issuer) for word in call.argv]
    env = {name: value.replace("ISSUER", oidc.issuer) for name, value in call.env.items()}

    def ask() -> Result:
        return run(*argv, stdin=call.stdin, env=env)

    refused = ask()
    assert refused.code == 66
    assert (b'"kind":"Status"' in refused.stdout) is ("kubectl" in argv)
    assert refused.stdout.count(b"\n") == argv.count("kubectl")
    [sentence, hint] = refused.stderr.splitlines()
    assert "nobody is signed in" in sentence
    assert oidc.counts() == {}

    # Whoever pastes it has a shell, and none of the variables that the tool's configuration gave its helper.
    command = hint.removeprefix("hint: ")
    assert shlex.split(command)[:2] == ["credential-helper", "login"]
    pasted = launch.start([need("sh"), "-c", command], terminal=True)
    oidc.approve(asked(pasted))
    assert pasted.finish().code == 0

    oidc.reset_counts()
    answered = ask()
    assert (answered.code, answered.stderr) == (0, "")
    assert answered.stdout
    assert oidc.counts() == {}
    assert len(sessions(home)) == 1


def sessions(home: Mapping[str, str]) -> list[str]:
    """Return the texts of the session files."""
    folder = Path(home["XDG_STATE_HOME"], "credential-helper", "sessions")
    return [file.read_text() for file in folder.glob("*.json")]


# --- the provider cannot be reached -----------------------------------------------------------------------------------


def test_without_the_network_what_is_valid_is_answered_and_nothing_is_lost(
    cluster: Cluster, run: Runner, home: dict[str, str]
) -> None:
    with OidcProvider() as provider:  # one of our own: it ends here
        cluster.kube.trust(provider.issuer, [AUDIENCE])
        short = person(provider, client_id=CLI_SHORT, audience=OTHER_AUDIENCE, account="ada@example.com")
        write_profiles(home, prod=person(provider), ageing=person(provider, client_id=CLI_SHORT), short=short)
        cluster.configure("--profile", "prod")
        sign_in(run, provider, "prod")
        assert cluster("get", "pods").code == 0  # the API server fetches its keys while it can
        provider.configure(CLI_SHORT, access_token_ttl=600)
        sign_in(run, provider, "ageing")
        provider.configure(CLI_SHORT, access_token_ttl=2)
        sign_in(run, provider, "short")
        refresh_tokens = {str(issued.refresh_token) for issued in provider.issued("device_code")}
        assert len(refresh_tokens) == 3
    time.sleep(3.1)

    done = cluster("get", "pods")
    assert (done.code, done.stderr) == (0, "")
    assert POD in done.text

    # Not as long as was asked for, but longer than nothing.
    ageing = run("get", stdin=json.dumps({"profile": "ageing", "minimum_validity": 3600}).encode())
    assert (ageing.code, ageing.stderr) == (0, "")
    assert ageing.stdout

    for terminal in (False, True):  # that a person sits there changes nothing
        expired = run("token", "short", terminal=terminal)
        assert (expired.code, expired.stdout) == (69, b"")
        said = expired.stderr + expired.terminal
        assert said.startswith("credential-helper: short: ")
        assert provider.host in said
        assert prompts(said) == 0
    cluster.configure("--profile", "short")
    done = cluster("get", "pods")
    assert done.code == 1
    assert len(re.findall("^credential-helper: short: ", done.stderr, re.MULTILINE)) == 1
    kept = [file.read_text() for file in Path(home["XDG_STATE_HOME"], "credential-helper", "grants").glob("*.json")]
    assert [sum(token in grant for grant in kept) for token in refresh_tokens] == [1, 1, 1]


def test_without_the_network_and_without_a_session_it_says_so_at_once(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    nowhere = "http://127.0.0.1:9"  # discard: nothing listens there
    write_profiles(home, prod=person(oidc, issuer=nowhere))
    for command in ("token", "login"):
        done = run(command, "prod", terminal=True)
        assert (done.code, done.stdout) == (69, b"")
        assert done.terminal.startswith("credential-helper: prod: ")
        assert "127.0.0.1:9" in done.terminal
        assert prompts(done.terminal) == 0


# --- what a person sees -----------------------------------------------------------------------------------------------


PLAIN = {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CREDENTIAL_HELPER_PROMPT": "plain"}


@pytest.mark.parametrize("plain", PLAIN, ids=["NO_COLOR", "dumb", "plain"])
def test_plain_is_lines_and_nothing_else(
    run: Runner, oidc: OidcProvider, home: dict[str, str], plain: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    running = run.start("login", "prod", terminal=True, env=plain)
    user_code = asked(running)
    oidc.approve(user_code)
    done = running.finish()
    assert re.fullmatch(prompt(oidc, user_code, asks="signing in to prod") + CLOSING, done.terminal)
    assert not {character for character in done.terminal if ord(character) < 32} - {"\n"}


def test_login_counts_down_and_wipes_it_away(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(oidc))
    running = run.start("login", "prod", terminal=True)
    user_code = asked(running)
    running.wait_for(r"  \d+:\d\d left")
    oidc.approve(user_code)
    done = running.finish()
    assert ESCAPE in done.terminal
    lines = [line.rpartition(f"\r{ESCAPE}[K")[2] for line in done.terminal.split("\n")]
    assert re.fullmatch(prompt(oidc, user_code, asks="signing in to prod") + CLOSING, "\n".join(lines))


@pytest.mark.parametrize("command", ["login", "token"])
def test_ctrl_c_ends_it_at_once(run: Runner, oidc: OidcProvider, home: dict[str, str], command: str) -> None:
    write_profiles(home, prod=person(oidc))
    running = run.start(command, "prod", terminal=True)
    user_code = asked(running)
    running.type(b"\x03")
    done = running.finish()
    assert (done.code, done.stdout) == (130, b"")
    shown = re.sub(rf"\r{ESCAPE}\[K|  \d+:\d\d left|\^C", "", done.terminal)
    assert re.fullmatch(prompt(oidc, user_code, asks="signing in to prod"), shown)
    left = [file.suffix for file in Path(home["XDG_STATE_HOME"], "credential-helper", "grants").iterdir()]
    assert left == [".lock"]


def test_ctrl_c_ends_kubectl_and_its_helper(cluster: Cluster) -> None:
    running = cluster.start("get", "pods", terminal=True)
    asked(running)
    running.type(b"\x03")
    done = running.finish()
    assert done.code in (130, -signal.SIGINT)
    assert done.stdout == b""
    assert "Traceback" not in done.terminal
    [(helper, _)] = cluster.calls
    wait_until(lambda: gone(helper), "the helper's end")
