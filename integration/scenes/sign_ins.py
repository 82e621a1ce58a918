"""A profile, a person who signs in, and the words of the prompt."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Unpack

from integration.clients.programs import Runner
from integration.servers.oidc import AUDIENCE, CLI, Face
from tests.helpers.programs import DEADLINE, Options, Result, Running

CODE = re.compile(r"shows  ([A-Z]{4}-[A-Z]{4}) ")
CLOSING = r"signed in to prod as ada@example\.com until [-0-9: ]+, renews by itself\n"

Value = bool | str | list[str] | dict[str, str]


def write_profiles(home: Mapping[str, str], **profiles: Mapping[str, object]) -> Path:
    """Write the user's config file, and return its path."""
    path = Path(home["XDG_CONFIG_HOME"], "credential-helper", "config.toml")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = []
    for name, settings in profiles.items():
        lines += [f"[profiles.{name}]", *(f"{key} = {_toml(value)}" for key, value in settings.items())]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)  # strings and numbers are written alike


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


def wait_until(true: Callable[[], bool], what: str, timeout: float = DEADLINE) -> None:
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
