"""Somebody who is signed in at the provider, and what is done to that before each start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from integration.bench.installations import Installation
from integration.bench.measuring import Command, Failed
from integration.bench.providers import Provider
from integration.scenes.homes import PERSON, Home
from integration.servers.embedded_provider import DEVICE_CLIENT

AUDIENCE = "https://kubernetes.example.com"
GIT_HOST = "git.example.com"
REGISTRY = "registry.example.com"

# By what the answer is. An ID token is verified, which needs another library; without ``openid`` none comes.
PROFILES = {
    "access": {"scope": "offline_access"},
    "id": {"scope": "openid profile email offline_access", "token": "id"},
}

# What kubectl sets for a plugin with interactiveMode: Never.
INFO = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "spec": {"interactive": False}}


class Place(Home):
    """A home with the profile ``prod``, in which the program finds git's and docker's hosts, too."""

    def __init__(self, folder: Path, installation: Installation, provider: Provider, **profile: object) -> None:
        self.installation = installation
        hosts = {"git": [f"https://{GIT_HOST}"], "docker": [REGISTRY], "bazel": ["https://cache.example.com"]}
        person = {"client_id": DEVICE_CLIENT, "flow": "device", **PROFILES["access"]}
        asked = {"issuer": provider.issuer, "audience": AUDIENCE}
        super().__init__(folder, installation.executable, **{**asked, **hosts, **person, **profile})
        self.environ["AWS_EC2_METADATA_DISABLED"] = "true"

    def call(self, *words: str, program: str = "credential-helper") -> list[str]:
        """Return the words that start the program by one of its names."""
        return [str(self.installation.executable.with_name(program)), *words]

    def kubectl(self) -> Command:
        """Return what kubectl calls."""
        return Command(self.call("kubectl"), self.environ | {"KUBERNETES_EXEC_INFO": json.dumps(INFO)})

    def as_git(self) -> dict[str, str]:
        """Return the environment of what git calls: it puts its own folder first, and says which that is."""
        git = shutil.which("git")
        if git is None:
            return dict(self.environ)
        folder = subprocess.run([git, "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
        return {**self.environ, "GIT_EXEC_PATH": folder, "PATH": f"{folder}{os.pathsep}{self.environ['PATH']}"}

    def signed_in(self, provider: Provider, **environ: str) -> None:
        """Let ada sign in with a code, with more variables than calls will have."""
        running = self.run.start("login", "prod", env=PERSON | environ)
        deadline = time.monotonic() + 30
        while not provider.pending():
            if time.monotonic() > deadline or running.process.poll() is not None:
                raise Failed(f"nobody asked for a code: {running.output('stderr')}")
            time.sleep(0.02)
        for code in provider.pending():
            provider.approve(code)
        done = running.finish()
        if done.code != 0:
            raise Failed(f"the sign-in ended with {done.code}: {done.stderr}")

    def forget_replies(self) -> None:
        """Let nothing be kept that could be replayed."""
        for file in self.state.glob("replies/*"):
            file.unlink()

    def forget_all(self) -> None:
        """Let nobody have signed in here."""
        shutil.rmtree(self.state, ignore_errors=True)
