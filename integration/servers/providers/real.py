"""What the real providers have in common: a process of their own on free ports, one person, and what a test is told.

with Keycloak() as provider:
    provider.settings("people")        # of a profile: provider, issuer, client_id …
    provider.approve(verification_uri_complete)
    provider.sign_in(authorization_request)
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import requests

from integration.servers.lifecycle import Started
from integration.servers.oidc import ProviderError

PERSON = "ada"
EMAIL = "ada@example.com"
PASSWORD = "correct horse battery staple"
SECRET = "p%c+r t&=/e"  # of every confidential client; odd characters break whoever does not encode them

START_DEADLINE = 280.0  # seconds; Keycloak needs 20 of two idle processors, and pytest kills a test after 300


def free_port() -> int:
    """Return a port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RealProvider(Started):
    """One provider, as a process."""

    name: ClassVar[str]  # of the setting "provider"
    version: ClassVar[str]
    shown: ClassVar[str] = EMAIL  # who is signed in, by its ID token's preferred_username, else email

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.port = free_port()
        self.http = requests.Session()
        self.http.trust_env = False  # neither a proxy nor ~/.netrc on the way to loopback
        self._process: subprocess.Popen[bytes] | None = None

    # --- what each says ---

    @property
    def issuer(self) -> str:
        """Return its issuer."""
        raise NotImplementedError

    def approve(self, url: str) -> None:
        """Let ada enter a code's address, sign in and agree."""
        raise NotImplementedError

    def decline(self, url: str) -> None:
        """Let ada enter a code's address, sign in and not agree."""
        raise NotImplementedError

    def sign_in(self, url: str) -> str:
        """Let ada answer an authorization request; return what she reads at the end, where the client was sent her."""
        raise NotImplementedError

    def refuse(self, url: str) -> str:
        """Let ada turn down an authorization request at its consent page; return what she reads at the end."""
        raise NotImplementedError

    # --- what a client has ---

    def settings(self, client_id: str, /, **more: Any) -> dict[str, Any]:
        """Return the settings of a profile; its refresh token lives in files."""
        return {"provider": self.name, "issuer": self.issuer, "client_id": client_id, "store": "file", **more}

    def metadata(self) -> dict[str, Any]:
        """Return its discovery document."""
        found: dict[str, Any] = self.http.get(f"{self.issuer}/.well-known/openid-configuration", timeout=60).json()
        return found

    def post(self, endpoint: str, basic: tuple[str, str] | None = None, /, **form: str) -> tuple[int, dict[str, Any]]:
        """Send a form to an endpoint by its name in the metadata, without a line of ours; return status and answer."""
        answer = self.http.post(self.metadata()[endpoint], data=form, auth=basic, timeout=60)
        return answer.status_code, answer.json() if answer.text.startswith("{") else {}

    def token(self, basic: tuple[str, str] | None = None, /, **form: str) -> tuple[int, dict[str, Any]]:
        """Send a form to the token endpoint."""
        return self.post("token_endpoint", basic, **form)

    # --- the process ---

    def _run(self, argv: Sequence[str | Path], ready: str, environ: Mapping[str, str] | None = None) -> None:
        """Start it, and wait until an address answers; ProviderError says what it wrote."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_DEADLINE
        while not self._answers(ready):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-3000:]
                self.stop()
                raise ProviderError(f"{self.name} did not start: {said}")
            time.sleep(0.1)

    def _answers(self, url: str) -> bool:
        try:
            return self.http.get(url, timeout=60).status_code == 200
        except requests.ConnectionError:
            return False

    @property
    def log(self) -> Path:
        """Return the file with what it wrote."""
        return self.folder / "log"

    def start(self) -> Self:
        """Start it, and return when it serves; Absent, ArtefactError or ProviderError say why not."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """End the process by its id, and remove its folder."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)
        self.http.close()
        shutil.rmtree(self.folder, ignore_errors=True)
