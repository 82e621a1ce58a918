"""What the tests of bad days share: a home of one's own, its state read and bent from outside, disks that fail.

Nothing here knows the program but by its executable and by the files that DESIGN names.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from integration.clients.programs import Runner
from integration.clients.real import missing, need
from integration.scenes.sign_ins import write_profiles
from integration.servers.oidc import CLI, Face, ProviderError
from tests.helpers.programs import Launcher

PERSON = {"CREDENTIAL_HELPER_INTERACTIVE": "always"}  # a person reads stderr, wherever that goes
NOBODY = {"CREDENTIAL_HELPER_INTERACTIVE": "never"}
PROMPT = r"shows\s+(\S+)"  # the user code in the prompt


T = TypeVar("T")


class Home:
    """A home folder with one profile, ``prod``, and the program in it."""

    def __init__(self, folder: Path, executable: Path, **profile: object) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.environ = {
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "XDG_STATE_HOME": str(folder / ".local" / "state"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self.state = folder / ".local" / "state" / "credential-helper"
        self.grants = self.state / "grants"
        self.sessions = self.state / "sessions"
        self.launcher = Launcher(self.environ)
        self.run = Runner(self.launcher, executable)
        if profile:
            self.configure(**profile)

    def configure(self, **profile: object) -> None:
        """Write the config file: the one profile ``prod``, kept in files unless ``store`` says otherwise."""
        write_config(self.environ, **profile)

    # --- the grant and its session, seen and bent from outside ---

    def grant_file(self) -> Path:
        """Return the only grant's file; its lock, prompt and failure stand beside it."""
        (file,) = self.grants.glob("*.json")
        return file

    def grant(self) -> dict[str, Any]:
        """Return what the only grant's file holds of the grant."""
        grant: dict[str, Any] = _document(self.grant_file())["grant"]
        return grant

    def key(self) -> str:
        """Return the name of the keyring's record that holds the only grant's key."""
        name: str = _document(self.grant_file())["key"][0]
        return name

    def session_file(self) -> Path:
        """Return the only session's file."""
        (file,) = self.sessions.glob("*.json")
        return file

    def session(self) -> dict[str, Any]:
        """Return what the only session's file holds of the session."""
        session: dict[str, Any] = _document(self.session_file())["session"]
        return session

    def unfinished_token(self) -> str | None:
        """Return the refresh token in a save that was whole and had not got its name; None where there is none."""
        for file in self.grants.glob("*.json.new"):
            with contextlib.suppress(ValueError):  # spaces only, or cut short
                return _refresh_token_in(_document(file))
        return None

    def refresh_token(self) -> str | None:
        """Return the refresh token that stands in clear in the only grant's file, None where there is none, or no file.

        Of a sign-in that nobody has verified yet it is what that one brought.
        """
        if not list(self.grants.glob("*.json")):
            return None
        return _refresh_token_in(_document(self.grant_file()))

    def age(self, *, received: float, expires: float) -> None:
        """Let the session's tokens have been received so many seconds ago, and expire in so many."""
        file = self.session_file()
        document = json.loads(file.read_bytes())
        for kind in ("access", "id"):
            if document["session"].get(kind):
                now = time.time()
                document["session"][kind] |= {"received_at": now - received, "expires_at": now + expires}
        file.write_text(json.dumps(document))

    def expire(self) -> None:
        """Let the session's tokens be expired for an hour."""
        self.age(received=7200, expires=-3600)

    def fade(self) -> None:
        """Let the session's tokens be valid for 40 s more, and so no longer fresh (a minute is the margin)."""
        self.age(received=3560, expires=40)

    def leftovers(self) -> list[str]:
        """Return the names of unfinished files among the grants and the sessions."""
        return sorted(file.name for folder in (self.grants, self.sessions) for file in folder.glob("*.new"))

    def is_signed_out(self) -> bool:
        """Say whether nothing but locks is left of grants and sessions."""
        files = [file for folder in (self.grants, self.sessions) for file in folder.glob("*")]
        return {file.suffix for file in files} <= {".lock"}

    def lock_is_free(self) -> bool:
        """Say whether nobody holds the only grant's lock."""
        (file,) = self.grants.glob("*.lock")
        with file.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def files(self) -> dict[str, bytes]:
        """Return every file of the home, by its path within."""
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in walk(self.folder)}

    # --- people ---

    def sign_in(self, face: Face, account: str = "ada", **environ: str) -> None:
        """Sign in as a person does: read the code, approve it."""
        running = self.run.start("login", "prod", env=PERSON | environ)
        face.approve(running.wait_for(PROMPT)[1], account)
        result = running.finish()
        assert result.code == 0, result.stderr


def processes(environ: Mapping[str, str]) -> list[int]:
    """Return every process that runs in a home: those that nobody waits for, too."""
    found = []
    marker = f"HOME={environ['HOME']}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker in folder.joinpath("environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def walk(folder: Path) -> Iterator[Path]:
    """Yield every regular file below a folder."""
    return (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def write_config(environ: Mapping[str, str], **profile: object) -> None:
    """Write the one profile ``prod`` into the config file of a home; its refresh token lives in files."""
    write_profiles(environ, prod={"client_id": CLI, "store": "file", **profile})


class Approver:
    """A person who approves every code of a face, as soon as it is asked for."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._done.wait(0.05):
            for code in self._face.pending():
                with contextlib.suppress(ProviderError):  # its process was killed, and the code has been replaced
                    self._face.approve(code)

    def __enter__(self) -> Approver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def each(cases: Mapping[str, T], work: Callable[[str, T], None], *, at_once: int) -> None:
    """Do a piece of work for every case, several at a time; AssertionError names the cases that failed, and why."""
    failures: list[str] = []

    def attempt(name: str) -> None:
        try:
            work(name, cases[name])
        except AssertionError as error:
            failures.append(f"{name}: {error}")

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(attempt, cases))
    assert not failures, "\n\n".join(failures)


# --- disks ------------------------------------------------------------------------------------------------------------


class Report(msgspec.Struct, frozen=True):
    """What a program on a bad disk said."""

    code: int
    stdout: str
    stderr: str


@functools.cache
def unshare() -> list[str] | None:
    """Return the words that start a program with mounts of its own, None where this machine forbids that."""
    program = shutil.which("unshare")
    if program is None:
        return None
    for words in ([program, "-m"], [program, "-rm"]):
        probe = [*words, "sh", "-c", "mount -t tmpfs none /mnt"]
        if subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
            return words
    return None


def with_mounts(
    home: Home, mounts: str, *argv: str, after: str = "", environ: Mapping[str, str | None] | None = None
) -> Report:
    """Run the program where ``mounts``, a few lines of shell, changed the disks for it alone; then ``after``.

    $STATE is the state directory. What is mounted is gone afterwards: ``after`` copies what a test wants to see.
    """
    need("unshare")
    words = unshare()
    if words is None:
        missing("mounts of one's own (unshare -m)")
    command = shlex.join([str(home.run.executable), *argv])
    script = f"set -e\n{mounts}\nset +e\n{command} </dev/null\ncode=$?\n{after}\nexit $code\n"
    wanted = {**home.environ, "STATE": str(home.state), **NOBODY, **(environ or {})}
    done = subprocess.run(
        [*words, "sh", "-c", script],
        env={name: value for name, value in wanted.items() if value is not None},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Report(done.returncode, done.stdout, done.stderr)


def _document(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_bytes())
    assert document["version"] == 2
    assert document["id"] == file.name.partition(".")[0]
    return document


def _refresh_token_in(document: dict[str, Any]) -> str | None:
    grant = (document["arrival"] or document)["grant"] or {}
    token: str | None = grant.get("refresh_token")
    return token
