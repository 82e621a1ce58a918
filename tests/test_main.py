"""The entry point, as a process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.helpers.programs import CHECKOUT

# Sends SIGINT in the middle of an import that, like a library's, catches whatever it raises.
PROGRAM = f"""\
import importlib.abc, os, sys
sys.path.insert(0, {str(CHECKOUT)!r})
where = sys.argv.pop(1)

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == where:
            try:
                os.kill(os.getpid(), {int(signal.SIGINT)})
                for _ in range(1000):
                    pass
            except BaseException:
                pass

sys.meta_path.insert(0, Finder())
from credential_helper.__main__ import main
main()
"""

LOADS = ("--verbose", "--version")  # more than --version alone, which is a line


@pytest.mark.usefixtures("default_signals")
@pytest.mark.parametrize("where", ["credential_helper.cli", "msgspec", "msgspec._core", "credential_helper.app"])
def test_ctrl_c_is_obeyed_while_libraries_are_loaded(environ: dict[str, str], where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, where, *LOADS],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_an_ignored_ctrl_c_stays_ignored(environ: dict[str, str]) -> None:
    """As a shell without job control starts what is in the background."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", PROGRAM, "msgspec", *LOADS],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
