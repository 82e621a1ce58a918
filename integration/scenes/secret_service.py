"""A D-Bus session of one's own, whose keyring is brought into one state for a few lines of Python (``main`` below)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from integration.clients.real import need
from tests.helpers.programs import CHECKOUT, DEADLINE

SECRETS = "org.freedesktop.secrets"

# What each snippet finds; `keyring` waits as long as it does where nobody can be asked.
PRELUDE = """
import json, os, sys, time
from credential_helper.errors import StoreError
from credential_helper.model import Secret
from credential_helper.stores.os_keyring import Keyring

NAME, OTHER = "a" * 32, "b" * 32
notes = []
keyring = Keyring(environ=os.environ, deadline=lambda: 9.0, note=notes.append)
patient = Keyring(environ=os.environ, deadline=lambda: 60.0)

def refused(call):
    began = time.monotonic()
    try:
        call()
    except StoreError as error:
        return [error.sentence, error.hint, time.monotonic() - began]
    return None
"""


class Run:
    """What a snippet left behind."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        assert process.returncode == 0, process.stderr
        self.outcome: dict[str, Any] = json.loads(process.stdout)
        self.stderr: str = self.outcome["stderr"]
        self.seconds: float = self.outcome["seconds"]

    def answer(self) -> Any:
        """Return what the snippet printed as JSON; it must have ended well and in silence."""
        assert self.outcome["code"] == 0, self.stderr
        assert self.stderr == ""
        return json.loads(self.outcome["stdout"])


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a D-Bus session whose files are all in this folder; its run directory is made."""
    (home / "run").mkdir(mode=0o700)
    folders = {f"XDG_{name}_HOME": str(home / name) for name in ("DATA", "CONFIG", "CACHE", "STATE")}
    own = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **own, **folders}


def run(home: Path, state: str, snippet: str, **environ: str) -> Run:
    """Run a snippet in a D-Bus session whose keyring is unlocked, locked, empty, frozen or absent."""
    launcher, daemon = need("dbus-run-session"), need("gnome-keyring-daemon")
    (home / "no-services.conf").write_text(
        "<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen>"
        '<auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" eavesdrop="true"/>'
        '<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>'
    )
    options = [f"--config-file={home / 'no-services.conf'}"] if state == "absent" else []
    process = subprocess.run(
        [launcher, *options, "--", sys.executable, "-m", "integration.scenes.secret_service", state, daemon, snippet],
        cwd=CHECKOUT,
        env=environment(home) | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return Run(process)


def main(state: str, daemon: str, snippet: str) -> int:
    """Bring the keyring into a state, run the snippet, print what came of it as JSON."""
    keyring = None
    if state in ("unlocked", "locked", "frozen"):
        keyring = unlocked(daemon)
        if state == "locked":
            wait_for_default_collection(lock=True, daemon=keyring.pid)
    try:
        if keyring is not None and state == "frozen":
            keyring.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        process = subprocess.run([sys.executable, "-c", PRELUDE + snippet], capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
    finally:
        if keyring is not None:
            keyring.kill()
            keyring.wait()
    outcome = {"code": process.returncode, "stdout": process.stdout, "stderr": process.stderr, "seconds": seconds}
    print(json.dumps(outcome))
    return 0


def unlocked(program: str) -> subprocess.Popen[bytes]:
    """Start gnome-keyring with its collection unlocked: only its start takes a password without a dialog."""
    daemon = subprocess.Popen(
        [program, "--foreground", "--unlock", "--components=secrets"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert daemon.stdin is not None
    daemon.stdin.write(b"password of the keyring")
    daemon.stdin.close()
    wait_for_default_collection(lock=False, daemon=daemon.pid)
    return daemon


def wait_for_default_collection(*, lock: bool, daemon: int) -> None:
    """Wait until the gnome-keyring of this process id has made and unlocked its collection; lock it, where wanted.

    Until the daemon owns its name nothing is asked of it: the bus would answer the question by starting another one
    from its service file, which takes the name and stays locked.
    """
    import secretstorage
    from jeepney import DBusErrorResponse
    from jeepney.bus_messages import message_bus

    deadline = time.monotonic() + 60
    problem = "no daemon has taken the name"
    while time.monotonic() < deadline:
        with contextlib.closing(secretstorage.dbus_init()) as connection:
            try:
                reply = connection.send_and_get_reply(message_bus.GetConnectionUnixProcessID(SECRETS), timeout=DEADLINE)
                if reply.body == (daemon,):
                    collection = secretstorage.get_collection_by_alias(connection, "default")
                    if not collection.is_locked():
                        if lock:
                            collection.lock()
                        return
                    problem = "the collection is locked"
                else:
                    problem = f"the owner of the name is {reply.body}"
            except (secretstorage.SecretStorageException, DBusErrorResponse, OSError) as error:
                problem = repr(error)  # a busy daemon answers late, or with an error that secretstorage has no name for
        time.sleep(0.05)
    raise TimeoutError(f"gnome-keyring {daemon}: {problem}")


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
