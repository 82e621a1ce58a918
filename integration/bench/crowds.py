"""Many processes that ask for the same thing at once, and what all of them take."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from integration.bench.measuring import Command, Failed
from integration.bench.ratios import proportional

RUNNER = Path(__file__).with_name("crowd_runner.py")
PATIENCE = 180.0  # seconds for a crowd
BETWEEN = 0.25  # seconds between two looks at their memory, which takes time from them


class Crowd(NamedTuple):
    """What came of it."""

    cpu: float  # seconds, on average
    ended: float  # when the last one ended, by time.monotonic
    memory: float  # MiB of all at once, the most that was seen; 0 where nobody looked
    outputs: list[bytes]


def crowd(command: Command, count: int, *, weighed: bool = False) -> Crowd:
    """Start a command so many times at once and wait for all; ``weighed`` looks at their memory meanwhile.

    Raises Failed where one of them fails, or is not done in time.
    """
    with tempfile.TemporaryDirectory(prefix="credential-helper-bench-") as temporary:
        folder = Path(temporary)
        plan = (count, list(command.words), dict(command.environ))
        folder.joinpath("plan").write_bytes(marshal.dumps(plan))
        words = [os.path.realpath(sys.executable), "-I", "-S", str(RUNNER), temporary]
        most, until = 0, time.monotonic() + PATIENCE
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True) as process:
            try:
                while weighed and process.poll() is None and time.monotonic() < until:
                    if folder.joinpath("pids").exists():
                        most = max(most, _weight(marshal.loads(folder.joinpath("pids").read_bytes())))
                    time.sleep(BETWEEN)
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise Failed(f"a crowd of {count} is not done after {PATIENCE:.0f} s") from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        ended: list[tuple[float, float, int]] = marshal.loads(folder.joinpath("ended").read_bytes())
        outputs = [folder.joinpath(str(number)).read_bytes() for number in range(count)]
    if failed := [status for _, _, status in ended if status]:
        raise Failed(f"{len(failed)} of {count} failed, the first with status {failed[0]}")
    return Crowd(
        cpu=sum(cpu for _, cpu, _ in ended) / count,
        ended=max(at for at, _, _ in ended),
        memory=most / 1024,
        outputs=outputs,
    )


def _weight(pids: Sequence[int]) -> int:
    """Return what these processes have in memory, in KiB, each shared page once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            total += proportional(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    return total
