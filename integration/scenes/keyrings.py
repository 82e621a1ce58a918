"""A real keyring, gnome-keyring on a D-Bus session of its own, and its bad days.

The bus and the keyring run in a process of their own (``main`` below), with folders of their own; the tests reach the
bus by its address, and bring the keyring into a state with a word on that process's stdin.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from integration.clients.real import need
from integration.scenes.homes import Home
from integration.scenes.secret_service import environment, unlocked, wait_for_default_collection
from tests.helpers.programs import CHECKOUT, DEADLINE

SERVICE = "credential-helper/"


class KeyringSession:
    """A D-Bus session with an unlocked gnome-keyring, and the controls of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [need("dbus-run-session"), "--", sys.executable, "-m", __name__, need("gnome-keyring-daemon")],
                cwd=CHECKOUT,
                env=environment(folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.address: str = self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the keyring's process has ended: {self._log.read_text(errors='replace')}"
        return json.loads(line)

    def ask(self, word: str) -> Any:
        """Say ``lock``, ``unlock``, ``freeze``, ``thaw`` or ``records``, and wait until that is so."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._read()

    def records(self) -> dict[str, str]:
        """Return the secrets of our records, by service."""
        records: dict[str, str] = self.ask("records")
        return {service: secret for service, secret in records.items() if service.startswith(SERVICE)}

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(DEADLINE)
        self._process.stdout.close()


def on_disk(home: Home, secret: str) -> list[str]:
    """Return the files of a home that hold a secret."""
    return [name for name, content in home.files().items() if secret.encode() in content]


@contextlib.contextmanager
def locked(_home: Home, keyring: KeyringSession) -> Iterator[None]:
    keyring.ask("lock")
    yield
    keyring.ask("unlock")


@contextlib.contextmanager
def frozen(_home: Home, keyring: KeyringSession) -> Iterator[None]:
    keyring.ask("freeze")
    yield
    keyring.ask("thaw")


@contextlib.contextmanager
def absent(home: Home, keyring: KeyringSession) -> Iterator[None]:
    """As over ssh, or under cron: no session bus is known."""
    del home.environ["DBUS_SESSION_BUS_ADDRESS"]
    yield
    home.environ["DBUS_SESSION_BUS_ADDRESS"] = keyring.address


@contextlib.contextmanager
def gone(home: Home, keyring: KeyringSession) -> Iterator[None]:
    """As in an old tmux: the address of a bus that is no more."""
    home.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={keyring.folder}/no-bus"
    yield
    home.environ["DBUS_SESSION_BUS_ADDRESS"] = keyring.address


@contextlib.contextmanager
def deaf(home: Home, keyring: KeyringSession) -> Iterator[socket.socket]:
    """A bus that takes the call and never says a word: where the calls arrive."""
    with socket.socket(socket.AF_UNIX) as bus:
        path = keyring.folder / "deaf"
        path.unlink(missing_ok=True)
        bus.bind(str(path))
        bus.listen(64)
        home.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={path}"
        yield bus
    home.environ["DBUS_SESSION_BUS_ADDRESS"] = keyring.address


class Daemon:
    """gnome-keyring, and the words that bring it into a state."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None

    def unlock(self) -> None:
        """Start it anew."""
        self.stop()
        self.process = unlocked(self.program)

    def lock(self) -> None:
        assert self.process is not None
        wait_for_default_collection(lock=True, daemon=self.process.pid)

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def records(self) -> dict[str, str]:
        import secretstorage

        with contextlib.closing(secretstorage.dbus_init()) as connection:
            items = list(secretstorage.get_default_collection(connection).get_all_items())
            return {item.get_attributes().get("service", "?"): item.get_secret().decode() for item in items}


def main(program: str) -> None:
    """Print the bus's address, then do what each line of stdin says; end with stdin."""
    parent = os.getppid()
    threading.Thread(target=lambda: end_with(parent), daemon=True).start()
    daemon = Daemon(program)
    daemon.unlock()
    print(json.dumps(os.environ["DBUS_SESSION_BUS_ADDRESS"]), flush=True)
    try:
        for line in sys.stdin:
            print(json.dumps(getattr(daemon, line.strip())()), flush=True)
    finally:
        daemon.stop()


def end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
