"""What the operating system refuses is no defect of ours, and a crash writes no token to a file."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from credential_helper.system.limits import exhausted
from tests.helpers.programs import CHECKOUT


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "may open no more files"),
        (OSError(errno.ENFILE, "Too many open files in system"), "this machine can open no more files"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no more processes"),
        (RuntimeError("can't start new thread"), "no more processes"),
        (MemoryError(), "no memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no memory"),
    ],
)
def test_what_the_system_refuses_has_its_own_sentence(error: BaseException, words: str) -> None:
    found = exhausted(error)
    assert found is not None
    assert words in found.sentence
    assert found.exit_code == 75


def test_the_reason_may_stand_behind_another_error() -> None:
    other = ImportError("a package that could not be read")
    other.__cause__ = OSError(errno.EMFILE, "Too many open files")
    found = exhausted(other)
    assert found is not None
    assert "files" in found.sentence


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "No such file"), RuntimeError("another"), ValueError()])
def test_anything_else_is_something_else(error: BaseException) -> None:
    assert exhausted(error) is None


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize(("most", "soft"), [("hard", 1), ("0", 0)])
def test_no_core_dump_is_written(most: str, soft: int) -> None:
    program = (
        "import resource as r\n"
        "_, hard = r.getrlimit(r.RLIMIT_CORE)\n"
        f"r.setrlimit(r.RLIMIT_CORE, ({most}, {most}))\n"
        "from credential_helper.system.limits import forbid_core_dumps\n"
        "forbid_core_dumps()\n"
        f"assert r.getrlimit(r.RLIMIT_CORE) == ({soft}, {most}), r.getrlimit(r.RLIMIT_CORE)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=CHECKOUT)
    assert (done.returncode, done.stderr) == (0, b"")
