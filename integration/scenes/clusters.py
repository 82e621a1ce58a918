"""A cluster as kubectl sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

from integration.clients.programs import Kubectl, Runner
from integration.scenes.sign_ins import asked
from integration.servers.kube_api import KubeApi, write_kubeconfig
from integration.servers.oidc import Face
from tests.helpers.programs import Launcher, Options, Result, Running


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
