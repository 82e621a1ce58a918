"""The installed program, and kubectl."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Unpack

import msgspec

from tests.helpers.programs import Launcher, Options, Result, Running


class Runner:
    """The installed ``credential-helper``: ``run("login", "prod")``, or ``run.start(…)`` where a test looks on.

    ``program`` is the name that it is called by: git-credential-helper, docker-credential-helper.
    """

    def __init__(self, launcher: Launcher, executable: Path) -> None:
        self._launcher = launcher
        self.executable = executable

    def __call__(
        self, *argv: str, timeout: float = 30.0, program: str = "credential-helper", **options: Unpack[Options]
    ) -> Result:
        """Run it to its end with these arguments; AssertionError after ``timeout`` seconds."""
        return self.start(*argv, program=program, **options).finish(timeout)

    def start(self, *argv: str, program: str = "credential-helper", **options: Unpack[Options]) -> Running:
        """Start it with these arguments, and return at once."""
        return self._launcher.start([self.executable.with_name(program), *argv], **options)


# What one thread imports is taken off what another one does meanwhile, so a time may be below zero.
_IMPORTED = re.compile(r"import time: +(?:-?\d+|self \[us\]) \| +(?:-?\d+|cumulative) \| +(\S.*)\n")


def imported_by(stderr: str) -> tuple[set[str], str]:
    """Return the modules that Python says it imports (-X importtime), and what else stands on stderr."""
    return {found[1] for found in _IMPORTED.finditer(stderr)}, _IMPORTED.sub("", stderr)


class Kubectl(msgspec.Struct, frozen=True):
    """A real kubectl."""

    version: str  # "1.30"
    path: str


def kubectls() -> list[Kubectl]:
    """Return every kubectl found, oldest first: the one on PATH, and the kubectl.1.NN that the gcloud CLI brings.

    gcloud's own ``kubectl`` only picks one of those by asking the server for its version first, with a plugin call of
    its own: where it is the one on PATH, its choices stand in for it.
    """
    found: dict[str, Kubectl] = {}
    for program in ("kubectl", "gcloud"):
        path = shutil.which(program)
        for file in Path(path).resolve().parent.glob("kubectl.1.*") if path else ():
            if re.fullmatch(r"kubectl\.1\.\d+", file.name) and os.access(file, os.X_OK):
                version = file.name.removeprefix("kubectl.")
                found.setdefault(version, Kubectl(version, str(file)))
    on_path = shutil.which("kubectl")
    if on_path and (named := _kubectl_version(on_path)):
        found.setdefault(named, Kubectl(named, on_path))
    return sorted(found.values(), key=lambda kubectl: [int(part) for part in kubectl.version.split(".")])


def _kubectl_version(path: str) -> str | None:
    """Return "1.NN"; None for a dispatcher, or where it will not say."""
    command = [path, "version", "--client", "--output=json"]
    environ = {"PATH": os.environ["PATH"], "HOME": os.devnull, "KUBECONFIG": os.devnull}
    answer = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    said = re.search(r'"gitVersion": *"v(1\.\d+)[^"]*"', answer.stdout)
    return said[1] if said and "dispatcher" not in said[0] else None
