"""What the scenes with kubectl, with many processes and with nobody at the keyboard share."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Unpack

from integration.conftest import Kubectl, Launcher, Options, Result, Runner, Running
from integration.servers.kube_api import KubeApi, write_kubeconfig
from integration.servers.oidc import AUDIENCE, CLI, Face

CODE = re.compile(r"shows  ([A-Z]{4}-[A-Z]{4}) ")
CLOSING = r"signed in to prod as ada@example\.com until [-0-9: ]+, then again by itself\n"

Value = str | list[str] | dict[str, str]


def write_profiles(home: Mapping[str, str], **profiles: Mapping[str, Value]) -> Path:
    """Write the user's config file, and return its path."""
    path = Path(home["XDG_CONFIG_HOME"], "credential-helper", "config.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, settings in profiles.items():
        lines += [f"[profiles.{name}]", *(f"{key} = {_toml(value)}" for key, value in settings.items())]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def _toml(value: Value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)  # of strings and lists of them, JSON is TOML


def person(face: Face, **more: Value) -> dict[str, Value]:
    """Return a profile of a person who wants a token for AUDIENCE."""
    return {"issuer": face.issuer, "client_id": CLI, "audience": AUDIENCE, **more}


def prompt(
    face: Face,
    user_code: str,
    *,
    asks: str = "kubectl needs a sign-in to prod",
    because: str = "there is no display",
) -> str:
    """Return a prompt with a code as a regular expression: every line, nothing but lines."""
    lines = [
        re.escape(f"credential-helper: {asks} ({face.host})"),
        r"  for (https://\S+: )?openid profile email offline_access",
        f"  with a code, because {because}",
        re.escape(f"  open  {face.url('code_verification')}?user_code={user_code}"),
        re.escape(f"  and check that it shows  {user_code}        ") + r"\d+ minutes; Ctrl-C stops",
        r"  go on only if you started this",
    ]
    return "".join(line + "\n" for line in lines)


def prompts(screen: str) -> int:
    """Return how often a person was asked on a screen."""
    return screen.count("go on only if you started this")


def asked(running: Running) -> str:
    """Wait for a prompt on a program's terminal, and return its user code."""
    return running.wait_for(CODE.pattern, where="terminal")[1]


def sign_in(run: Runner, face: Face, *argv: str, **options: Unpack[Options]) -> Result:
    """Let ada sign in with ``credential-helper login``."""
    running = run.start("login", *argv, **(Options(terminal=True) | options))
    face.approve(asked(running))
    done = running.finish()
    assert (done.code, done.stdout) == (0, b""), done
    return done


def wait_until(true: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
    """Look again and again; AssertionError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Say whether a process has ended, be it collected or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


class Cluster:
    """A kubeconfig whose plugin is the installed program behind a script that counts; and the kubectl that reads it."""

    def __init__(self, folder: Path, kube: KubeApi, launch: Launcher, kubectl: Kubectl, run: Runner) -> None:
        self.kube = kube
        self.kubeconfig = folder / "kubeconfig"
        self._launch = launch
        self._kubectl = kubectl
        self._calls = folder / "calls"
        self._plugin = folder / "plugin"
        # exec: the program's parent is kubectl, as without the script.
        self._plugin.write_text(f"#!/bin/sh\necho $$ $PPID >>'{self._calls}'\nexec '{run.executable}' \"$@\"\n")
        self._plugin.chmod(0o700)
        self.configure()

    def configure(
        self,
        *args: str,
        version: Literal["v1", "v1beta1"] = "v1",
        interactive_mode: Literal["Never", "IfAvailable", "Always"] | None = "Never",
        provide_cluster_info: bool = False,
        config: object = None,
    ) -> None:
        """Write the kubeconfig anew."""
        write_kubeconfig(
            self.kubeconfig,
            self.kube,
            command=str(self._plugin),
            args=["kubectl", *args],
            version=version,
            interactive_mode=interactive_mode,
            provide_cluster_info=provide_cluster_info,
            config=config,
        )

    @property
    def command(self) -> list[str]:
        """Return ``kubectl --kubeconfig FILE``."""
        return [self._kubectl.path, "--kubeconfig", str(self.kubeconfig)]

    @property
    def calls(self) -> list[tuple[int, int]]:
        """Return the process ids of plugin and kubectl of each call so far."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [(int(plugin), int(kubectl)) for plugin, kubectl in (line.split() for line in lines)]

    def start(self, *argv: str, **options: Unpack[Options]) -> Running:
        """Start kubectl, and return at once."""
        return self._launch.start([*self.command, *argv], **options)

    def __call__(self, *argv: str, **options: Unpack[Options]) -> Result:
        """Run kubectl to its end."""
        return self.start(*argv, **options).finish()

    def get_pods_as(self, face: Face, **options: Unpack[Options]) -> Result:
        """Run ``kubectl get pods`` with a terminal, and sign in when asked."""
        running = self.start("get", "pods", **(Options(terminal=True) | options))
        face.approve(asked(running))
        return running.finish()
