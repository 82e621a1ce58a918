"""The embedded provider, over TLS where wanted, with an answer that takes as long as a row says."""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from integration.bench.measuring import Failed, Unmeasured
from integration.scenes.homes import unshare
from integration.servers.embedded_provider import EmbeddedProvider, Reply
from integration.servers.tls import Authority, server_tls

TOKEN = "/oauth/token"


class Provider(EmbeddedProvider):
    """Waits ``delay`` seconds before each answer of the token endpoint, and knows what it gave, and when at last."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls, interval=1)
        self.delay = 0.0
        self.given: list[dict[str, Any]] = []  # the answers since ``asked`` was called
        self.answered = 0.0  # by time.monotonic

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if target != TOKEN:
            return super().handle(method, target, headers, body)
        time.sleep(self.delay)
        reply = super().handle(method, target, headers, body)
        self.given.append(json.loads(reply.body))
        self.answered = time.monotonic()
        return reply

    @contextlib.contextmanager
    def asked(self, **times: int) -> Iterator[None]:
        """Check that meanwhile each endpoint, and each grant, is asked as often as said; no other one is.

        A grant counts as itself and as a request to the token endpoint. Failed: otherwise.
        """
        self.counters.clear()
        self.given.clear()
        yield
        counted = {name: count for name, count in self.counters.items() if name != "requests"}
        if counted != {name: count for name, count in times.items() if count}:
            raise Failed(f"the provider was asked {counted} instead of {times}")


def secure(folder: Path) -> tuple[Provider, Authority]:
    """Return a provider on https://127.0.0.1, and who has issued its certificate."""
    authority = Authority(folder)
    return Provider(server_tls(authority, "provider")), authority


class Trust(NamedTuple):
    """How the programs of a measurement are told whom to trust beside everybody whom this machine trusts."""

    inside: Sequence[str]  # words that start a program where the machine's folder of roots is another one
    folder: Path  # the same folder, for SSL_CERT_DIR


def trusted(authority: Authority) -> Trust:
    """Make a copy of the system's roots with one more in it, as an administrator's ``update-ca-certificates`` does.

    Only what is started with ``inside`` has it for its own; no words, where a machine forbids that. Unmeasured: it has
    no such folder, or no openssl.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise Unmeasured("openssl, which names a root by its hash, is not on PATH")
    paths = ssl.get_default_verify_paths()
    if paths.capath is None:
        raise Unmeasured("this machine has no folder of roots")
    words = [openssl, "x509", "-noout", "-subject_hash", "-in", str(authority.ca_file)]
    name = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    system, folder = Path(paths.capath).resolve(), authority.folder / "roots"
    shutil.copytree(system, folder, symlinks=True)
    shutil.copy(authority.ca_file, folder / f"{name}.0")
    if paths.cafile is not None and Path(paths.cafile).resolve().parent == system:
        with (folder / Path(paths.cafile).resolve().name).open("ab") as bundle:
            bundle.write(authority.ca_pem)
    mount = unshare()
    if mount is None:
        return Trust((), folder)
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    return Trust([*mount, "sh", "-c", script, "sh", str(folder), str(system)], folder)
