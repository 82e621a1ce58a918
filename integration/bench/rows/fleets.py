"""A fleet's cache: a machine that has nothing yet finds there what another one has fetched."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from integration.bench.homes import AUDIENCE, Place
from integration.bench.measuring import Command, Failed, Unmeasured, bare, measure, true
from integration.bench.providers import Provider
from integration.bench.report import Report
from integration.bench.setting import Setting
from integration.servers.embedded_provider import MACHINE_CLIENT
from integration.servers.tls import Authority

PATIENCE = 10.0  # seconds for the server to start


def fleet(setting: Setting, report: Report) -> None:
    """Measure the first call of a machine whose token stands in the cache, over a socket's file and over TLS."""
    program = shutil.which("redis-server")
    if program is None:
        raise Unmeasured("redis-server is not on PATH")
    if importlib.util.find_spec("redis") is None:
        raise Unmeasured("the redis package is not installed")
    folder = setting.place("redis")
    folder.mkdir()
    authority = Authority(folder)
    with Provider() as provider, _redis(program, folder, authority) as port:
        file = str(folder / "socket")
        addresses = {"unix": f"unix://{file}?db=0", "TLS": f"rediss://127.0.0.1:{port}/1"}
        commands = {}
        for label, address in addresses.items():
            place = _machine(setting, provider, address, authority)
            commands[label] = Command(place.call("token", "prod"), place.environ, prepare=place.forget_all)
        environ = commands["unix"].environ
        every = [bare(setting.own.python, environ), true(environ), *commands.values()]
        grants = provider.counters["token"]
        runs = measure(every, setting.turns)
        if provider.counters["token"] != grants or len({run.output for run in runs[2:]} | {b""}) != 3:
            raise Failed("a machine asked the provider, or found nothing")
    report.title("a machine without a session, its token in the fleet's cache (ca_file for TLS)")
    for label, found in zip(commands, report.lines(list(commands), runs), strict=True):
        report.keep(f"fleet {label}", found.cpu)


def _machine(setting: Setting, provider: Provider, address: str, authority: Authority) -> Place:
    """Return a machine's home; its token is in the cache, and each cache has one of its own."""
    place = Place(setting.place("fleet"), setting.own, provider)
    secret = place.folder / "secret"
    secret.write_text(provider.client_secret)
    secret.chmod(0o600)
    place.configure(
        issuer=provider.issuer,
        client_id=MACHINE_CLIENT,
        client_secret={"file": str(secret)},
        flow="client-credentials",
        audience=AUDIENCE,
        shared_cache=address,
        ca_file=str(authority.ca_file),
    )
    first = place.run("token", "prod")
    if first.code != 0 and "shared_cache" in first.stderr:
        raise Unmeasured("the program knows no shared_cache")
    if first.code != 0:
        raise Failed(f"the first machine ended with {first.code}: {first.stderr}")
    return place


@contextlib.contextmanager
def _redis(program: str, folder: Path, authority: Authority) -> Iterator[int]:
    """Run a server that keeps nothing on disk; yield its port for TLS."""
    certificate, key = authority.issue("redis")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    file = folder / "socket"
    settings = {
        "port": "0",
        "bind": "127.0.0.1",
        "dir": str(folder),
        "unixsocket": str(file),
        "unixsocketperm": "700",
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(authority.ca_file),
        "tls-auth-clients": "no",
        "save": "",
        "appendonly": "no",
    }
    words = [program, *(word for name, value in settings.items() for word in (f"--{name}", value))]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not file.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Unmeasured(f"{program} does not start, or has no TLS")
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(10)
