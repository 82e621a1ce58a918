"""``make bench``: what a cached answer costs, as ratios to ``python -c pass`` of the same environment.

Both programs of a pair run one right after the other, in turns, in the same run; a ratio is the median over the pairs.
No absolute time is printed: it says more about the machine than about us. The answer is made by the installed
executable, from a session that was fetched from the embedded provider; the provider is stopped before anything is
measured, so that a cached answer is all that it can be. Every answer is compared with the first.

Peers that are on PATH are measured against the same interpreter, each with a call that changes nothing and asks nobody
for anything; what the call is stands beside the number, because few of them can answer without an account.
"""

from __future__ import annotations

import argparse
import json
import marshal
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from integration.servers.embedded_provider import MACHINE_CLIENT, EmbeddedProvider

ROOT = Path(__file__).parents[1]
PAIRS = 41
WARM_UPS = 3
PEER_DEADLINE = 20.0  # seconds for a peer's first call; slower ones are not measured
PEER_BUDGET = 20.0  # seconds for all pairs of one peer

# The program that starts and measures the others. ru_maxrss of a process begins with what its parent had in memory
# (Linux keeps the old image's high-water mark across exec), so the parent has to be smaller than what it measures:
# an interpreter without site, that has imported nothing.
RUNNER = """
import marshal, posix, sys, time
folder = sys.argv[1]
with open(folder + "/plan", "rb") as file:
    pairs, environ, commands = marshal.load(file)
write = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC
lines = []
for turn in range(pairs):
    line = [None, None]
    for which in (0, 1) if turn % 2 else (1, 0):
        actions = [
            (posix.POSIX_SPAWN_OPEN, 0, folder + "/input", posix.O_RDONLY, 0),
            (posix.POSIX_SPAWN_OPEN, 1, folder + "/" + str(which), write, 0o600),
            (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0),
        ]
        began = time.perf_counter()
        pid = posix.posix_spawn(commands[which][0], commands[which], environ, file_actions=actions)
        _, status, used = posix.wait4(pid, 0)
        wall = time.perf_counter() - began
        line[which] = (wall, used.ru_utime + used.ru_stime, used.ru_maxrss, status)
    lines.append(line)
with open(folder + "/measured", "wb") as file:
    marshal.dump(lines, file)
"""

Spent = tuple[float, float, int, int]  # wall and cpu in seconds, the system's ru_maxrss, the exit status


class Ratios(NamedTuple):
    """Medians over the pairs: wall and cpu as ratios to the baseline, memory in KiB above it."""

    wall: float
    cpu: float
    memory: float


class Failed(Exception):
    """A program did not do what is measured."""


def measure(
    command: Sequence[str],
    baseline: Sequence[str],
    environ: dict[str, str],
    *,
    pairs: int = PAIRS,
    tool_input: bytes = b"",
    answer: bytes | None = None,
    any_exit: bool = False,
    deadline: float | None = None,
) -> Ratios:
    """Return what ``command`` costs beside ``baseline``; both by absolute path, stderr on /dev/null.

    Raises Failed when one of them ends with another code than 0 (unless ``any_exit``), or when the last answer is not
    ``answer``; subprocess.TimeoutExpired after ``deadline`` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="credential-helper-bench-") as temporary:
        folder = Path(temporary)
        folder.joinpath("plan").write_bytes(marshal.dumps((pairs + WARM_UPS, environ, (list(command), list(baseline)))))
        folder.joinpath("input").write_bytes(tool_input)
        runner = [os.path.realpath(sys.executable), "-I", "-S", "-c", RUNNER, temporary]
        if bounded(runner, dict(os.environ), deadline) != 0:
            raise Failed("the measuring program failed")
        measured: list[tuple[Spent, Spent]] = marshal.loads(folder.joinpath("measured").read_bytes())
        if answer is not None and folder.joinpath("0").read_bytes() != answer:
            raise Failed(f"{Path(command[0]).name} gave another answer")
    if any(bare[3] or (own[3] and not any_exit) for own, bare in measured):
        raise Failed(f"{Path(command[0]).name} failed")
    measured = measured[WARM_UPS:]
    kib = 1024 if sys.platform == "darwin" else 1  # ru_maxrss is in bytes there
    return Ratios(
        wall=statistics.median(own[0] / bare[0] for own, bare in measured),
        cpu=statistics.median(own[1] / bare[1] for own, bare in measured),
        memory=statistics.median((own[2] - bare[2]) / kib for own, bare in measured),
    )


def bounded(command: Sequence[str], environ: dict[str, str], deadline: float | None) -> int:
    """Run a program and what it starts, silently, and end all of them at the deadline; return the exit code.

    Raises subprocess.TimeoutExpired.
    """
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, env=environ, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    ) as process:
        try:
            return process.wait(deadline)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


# --- our own executable -----------------------------------------------------------------------------------------------


class Installation(NamedTuple):
    """An executable, and the interpreter that it runs in."""

    name: str
    executable: Path
    python: Path


def environment(folder: Path) -> dict[str, str]:
    """Return an environment of its own, in which byte code may be written: its absence is not what is measured."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "AWS_EC2_METADATA_DISABLED": "true"}


class Call(NamedTuple):
    """What a tool calls: the program's name, its words, what it writes to it, and how the row is called."""

    program: str
    words: tuple[str, ...]
    tool_input: bytes
    label: str
    variable: bool = False  # the machine's secret is in a variable, not in a file: a hash instead of a stamp


# As each tool calls us; the profile comes from the config file and a variable, because docker gives no options.
CALLS = (
    Call("credential-helper", ("kubectl",), b"", "kubectl"),
    Call("credential-helper", ("kubectl",), b"", "kubectl, machine, secret in a variable", variable=True),
    Call(
        "git-credential-helper",
        ("get",),
        b"capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example.com\nwwwauth[]=Basic realm=x\n",
        "git get",
    ),
    Call("docker-credential-helper", ("get",), b"registry.example.com", "docker get"),
)
SERVERS = 500  # that docker has stored


def write_profile(environ: Mapping[str, str], issuer: str, source: tuple[str, str]) -> None:
    """Write the config file of a machine, with where its secret is."""
    file = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "issuer": issuer,
        "client_id": MACHINE_CLIENT,
        "flow": "client-credentials",
        "audience": "https://kubernetes.example.com",
        f"client_secret.{source[0]}": source[1],
        "git": ["https://git.example.com"],
        "docker": ["registry.example.com"],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    file.write_text("\n".join(["[profiles.bench]", *lines]) + "\n")
    file.chmod(0o600)


def cached_answer(installation: Installation, call: Call, folder: Path, pairs: int) -> Ratios:
    """Measure a call as the tool makes it, once the answer is in the cache."""
    info = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "spec": {"interactive": False}}
    environ = environment(folder) | {
        "CREDENTIAL_HELPER_STATE_DIR": str(folder / f"state-{installation.name}"),
        "CREDENTIAL_HELPER_PROFILE": "bench",
    }
    if call.program == "credential-helper":
        environ["KUBERNETES_EXEC_INFO"] = json.dumps(info)
    command = [str(installation.executable.with_name(call.program)), *call.words]
    with EmbeddedProvider() as provider:
        secret = folder / "secret"
        secret.write_text(provider.client_secret)
        if call.variable:
            environ["BENCH_SECRET"] = provider.client_secret
        source = ("env", "BENCH_SECRET") if call.variable else ("file", str(secret))
        write_profile(environ, provider.issuer, source)
        answers = {run(command, environ, call.tool_input) for _ in range(2)}
    if len(answers) != 1 or answers == {b""}:
        raise Failed("the second answer was another one")
    bare = [str(installation.python), "-c", "pass"]
    return measure(command, bare, environ, pairs=pairs, tool_input=call.tool_input, answer=answers.pop())


def docker_list(installation: Installation, folder: Path, pairs: int) -> tuple[Ratios, Ratios]:
    """Measure ``list`` with many stored servers: from a kept answer, and as it is made the first time."""
    # What another program wrote counts in the default place only.
    environ = environment(folder) | {"HOME": str(folder / "list"), "CREDENTIAL_HELPER_PASSWORD_STORAGE": "file"}
    index = folder / "list" / ".local" / "state" / "credential-helper" / "passwords" / "index.json"
    index.parent.mkdir(mode=0o700, parents=True)
    index.parent.parent.chmod(0o700)
    records = [
        {
            "tool": "docker",
            "attributes": {"server": f"registry-{number}.example.com", "username": "ada"},
            "secrets": json.dumps({"password": "made-up"}),
        }
        for number in range(SERVERS)
    ]
    index.touch(0o600)
    index.write_text(json.dumps({"version": 1, "records": records}))
    command = [str(installation.executable.with_name("docker-credential-helper")), "list"]
    bare = [str(installation.python), "-c", "pass"]
    answer = run(command, environ)
    if len(json.loads(answer)) != SERVERS:
        raise Failed("the list lacks servers")
    kept = measure(command, bare, environ, pairs=pairs, answer=answer)
    told = environ | {"CREDENTIAL_HELPER_VERBOSE": "/dev/null"}  # what is told step by step is never kept
    return kept, measure(command, bare, told, pairs=pairs, answer=answer)


def run(command: Sequence[str], environ: dict[str, str], tool_input: bytes = b"") -> bytes:
    done = subprocess.run(command, env=environ, input=tool_input, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise Failed(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def installations(folder: Path, *, with_installers: bool) -> list[Installation]:
    """Return the one that we run in; on demand also what pipx and uv make of this checkout, in a folder that goes."""
    python = Path(sys.executable)
    found = [Installation("pip", python.with_name("credential-helper"), python)]
    if not with_installers:
        return found
    checkout = folder / "checkout"  # a copy: setuptools leaves build/ and an .egg-info where it builds
    shutil.copytree(ROOT / "credential_helper", checkout / "credential_helper")
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(ROOT / name, checkout)
    plans = {
        "pipx": (["install", "--quiet", str(checkout)], "PIPX_HOME", "venvs", "PIPX_BIN_DIR"),
        "uv": (["tool", "install", "--quiet", str(checkout)], "UV_TOOL_DIR", "", "UV_TOOL_BIN_DIR"),
    }
    for name, (words, home, below, bin_dir) in plans.items():
        tool = shutil.which(name)
        if tool is None:
            print(f"{name} is not on PATH", file=sys.stderr)
            continue
        places = {home: str(folder / name), bin_dir: str(folder / f"{name}-bin")}
        done = subprocess.run([tool, *words], env=os.environ | places, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            print(f"{name} could not install: {done.stderr.decode(errors='replace').strip()}", file=sys.stderr)
            continue
        tool_python = folder / name / below / "credential-helper" / "bin" / "python"
        found.append(Installation(name, folder / f"{name}-bin" / "credential-helper", tool_python))
    return found


# --- peers ------------------------------------------------------------------------------------------------------------


class Peer(NamedTuple):
    """Another credential helper: its program, a harmless call, and what that call shows."""

    program: str
    arguments: tuple[str, ...]
    shows: str


PEERS = (
    Peer("git-credential-oauth", ("get",), "an empty request"),
    Peer("docker-credential-secretservice", ("version",), "start-up only"),
    Peer("kubelogin", ("--version",), "start-up only"),
    Peer("kubectl-oidc_login", ("--version",), "start-up only"),
    Peer("gke-gcloud-auth-plugin", ("--version",), "start-up only"),
    Peer("gcloud", ("config", "config-helper"), "nobody signed in"),
    Peer("aws", ("eks", "get-token", "--cluster-name", "demo", "--region", "eu-west-1"), "made-up keys, no network"),
)

# Keys that open nothing: with them, aws signs a token without asking anybody.
MADE_UP = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}


def measure_peer(peer: Peer, path: str, baseline: Sequence[str], environ: dict[str, str]) -> Ratios | None:
    """Measure a peer; None when its call takes too long for that."""
    command = [path, *peer.arguments]
    began = time.monotonic()
    try:
        bounded(command, environ, PEER_DEADLINE)
        once = time.monotonic() - began
        pairs = max(3, min(PAIRS, int(PEER_BUDGET / once) - WARM_UPS))
        deadline = (pairs + WARM_UPS) * (once + 1) * 3
        return measure(command, baseline, environ, pairs=pairs, any_exit=True, deadline=deadline)
    except subprocess.TimeoutExpired:
        return None


# --- the report -------------------------------------------------------------------------------------------------------


def row(label: str, ratios: Ratios | None) -> str:
    if ratios is None:
        return f"{label:<62}  takes too long"
    return f"{label:<62}{ratios.wall:>7.2f}{ratios.cpu:>7.2f}{ratios.memory / 1024:>+9.1f} MiB"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", allow_abbrev=False)
    parser.add_argument("--with-installers", action="store_true", help="also install with pipx and uv, and measure")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="runs of each program (default: %(default)s)")
    options = parser.parse_args()
    print(f"ratios to `python -c pass` of the same environment, medians of {options.pairs} pairs in turns\n")
    print(f"{'':<62}{'wall':>7}{'cpu':>7}{'peak memory':>13}")
    with tempfile.TemporaryDirectory(prefix="credential-helper-bench-") as temporary:
        folder = Path(temporary)
        for installation in installations(folder, with_installers=options.with_installers):
            for call in CALLS:
                ratios = cached_answer(installation, call, folder, options.pairs)
                print(row(f"cached answer, {call.label} ({installation.name})", ratios), flush=True)
        own = Installation("pip", Path(sys.executable).with_name("credential-helper"), Path(sys.executable))
        for label, ratios in zip(("kept", "the first time"), docker_list(own, folder, options.pairs), strict=True):
            print(row(f"docker list of {SERVERS} stored servers, {label}", ratios), flush=True)
        environ = environment(folder) | MADE_UP
        missing = []
        for peer in PEERS:
            path = shutil.which(peer.program)
            if path is None:
                missing.append(peer.program)
                continue
            shim = ", through a shim" if Path(path).parent.name == "shims" else ""
            words = [word for word in (peer.program, *peer.arguments[:2]) if not word.startswith("--cluster")]
            label = f"{' '.join(words)} ({peer.shows}{shim})"
            baseline = [sys.executable, "-c", "pass"]
            print(row(label, measure_peer(peer, path, baseline, environ)), flush=True)
    print(f"\nnot on PATH: {', '.join(missing) or 'none'}")
    print("a peer's memory below the measuring program's own (a bare interpreter) shows as the latter")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(f"bench: {error}")
