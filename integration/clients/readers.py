"""Launchers, compiled in several ways, and one call of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from credential_helper import PROGRAM
from credential_helper.launcher import build, table
from credential_helper.launcher.readers import Outcome
from credential_helper.launcher.world import Call

# Every warning is an error, and nothing is let pass that the standard does not define.
_STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
_SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WAYS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "glibc": ("cc", ()),
    "glibc, static": ("cc", ("-static",)),
    "musl, static": ("musl-gcc", ("-static",)),
    "sanitized": ("cc", _SANITIZED),
}


def compiled(way: str, folder: Path, leads_to: Path, source: str | Path = build.SOURCE) -> Path | None:
    """Compile a launcher in one way; None where this machine cannot."""
    compiler, flags = WAYS[way]
    path = shutil.which(compiler)
    if path is None:
        return None
    folder.mkdir()
    (folder / "table.h").write_text(table.table(str(leads_to), build.mark(str(leads_to))), encoding="ascii")
    words = [
        path,
        *build.FLAGS,
        *(_STRICT if source == build.SOURCE else ()),
        *flags,
        "-I",
        str(folder),
        "-o",
        str(folder / PROGRAM),
        str(source),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    if done.returncode and "cannot find" not in done.stderr:  # a library that is not installed
        pytest.fail(done.stderr, pytrace=False)
    return None if done.returncode else folder / PROGRAM


def by_launcher(launcher: Path, call: Call, stdin: Path) -> Outcome:
    """Let a launcher judge a call, with a file as its stdin as Python had it."""
    stdin.write_bytes(call.stdin)
    with stdin.open("rb") as file:
        done = subprocess.run(
            call.argv,
            executable=launcher,
            stdin=file,
            capture_output=True,
            env=call.environ,
            timeout=60,
            check=False,
        )
    assert done.stderr == b"", done.stderr.decode(errors="replace")  # a sanitizer's complaint
    return Outcome(done.returncode, done.stdout)
