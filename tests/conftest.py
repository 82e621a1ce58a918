"""What several test files share: a clock that does not wait, and an environment of one's own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.umask import umask as umask  # a fixture of every test


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose HOME is empty and ours alone, and that inherits nothing that could steer us."""
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


@pytest.fixture
def default_signals() -> Iterator[None]:
    """Let signals do what they do by default, in a test and in its children, whatever pytest was started from.

    A shell's ``&`` ignores SIGINT, nohup SIGHUP, and children inherit that. Only for the tests that are about signals:
    between them, a pytest under nohup outlives its terminal.
    """
    numbers = [signal.SIGTERM, *(getattr(signal, name) for name in ("SIGHUP", "SIGQUIT") if hasattr(signal, name))]
    wanted = dict.fromkeys(numbers, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    hook = sys.unraisablehook
    yield
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)
