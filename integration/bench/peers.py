"""Other credential helpers that are on PATH, beside the same interpreter.

Each is called so that it changes nothing and asks nobody for anything; what the call is stands beside the number,
because few of them can answer without an account.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from integration.bench.measuring import WARM_UPS, Command, bare, measure, true
from integration.bench.report import Report
from integration.bench.setting import Setting

FIRST = 20.0  # seconds for a peer's first call; slower ones are not measured
BUDGET = 10.0  # seconds for all turns of one peer


class Peer(NamedTuple):
    """Another credential helper: its program, a harmless call, and what that call shows."""

    program: str
    arguments: tuple[str, ...]
    shows: str


PEERS = (
    Peer("git-credential-oauth", ("get",), "an empty request"),
    Peer("kubelogin", ("--version",), "start-up only"),
    Peer("kubectl-oidc_login", ("--version",), "start-up only"),
    Peer("gke-gcloud-auth-plugin", ("--version",), "start-up only"),
    Peer("gcloud", ("config", "config-helper"), "nobody signed in"),
    Peer("aws", ("eks", "get-token", "--cluster-name", "demo", "--region", "eu-west-1"), "made-up keys, no network"),
)
OF_DOCKER = "docker-credential-"  # every program whose name begins so, ours apart

# Keys that open nothing: with them, aws signs a token without asking anybody.
MADE_UP = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def peers(setting: Setting, report: Report) -> None:
    """Measure every peer that is there, and name those that are not."""
    home = setting.place("peers")
    home.mkdir()
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **MADE_UP}
    report.title("peers")
    missing = []
    for peer in (*PEERS, *_of_docker(setting)):
        path = shutil.which(peer.program)
        if path is None:
            missing.append(peer.program)
            continue
        shim = ", through a shim" if Path(path).parent.name == "shims" else ""
        words = [word for word in (peer.program, *peer.arguments[:2]) if not word.startswith("--cluster")]
        _measure(setting, report, f"{' '.join(words)} ({peer.shows}{shim})", Command([path, *peer.arguments], environ))
    report.say(f"not on PATH: {', '.join(missing) or 'none'}")
    report.say("memory below the measuring program's own (a bare interpreter's) shows as the latter")


def _of_docker(setting: Setting) -> list[Peer]:
    ours = setting.own.executable.parent
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep) if os.path.isabs(folder)]
    names = {
        file.name
        for folder in folders
        if folder.is_dir() and folder != ours
        for file in folder.glob(f"{OF_DOCKER}*")
        if file.name != "docker-credential-helper"
    }
    return [Peer(name, ("version",), "start-up only") for name in sorted(names)]


def _measure(setting: Setting, report: Report, label: str, command: Command) -> None:
    began = time.monotonic()
    try:
        subprocess.run(
            command.words,
            env=dict(command.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=FIRST,
        )
        once = time.monotonic() - began
        turns = max(3, min(setting.turns, int(BUDGET / once) - WARM_UPS))
        every = [
            bare(setting.own.python, command.environ),
            true(command.environ),
            command._replace(code=None),
        ]
        runs = measure(every, turns, deadline=(turns + WARM_UPS) * (once + 1) * 3)
    except subprocess.TimeoutExpired:
        report.say(f"{label} takes too long")
        return
    report.lines([label], runs)
