"""What programs took, as numbers that say more about them than about the machine: medians over ratios of one turn."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Spent(NamedTuple):
    """What one process took."""

    wall: float  # seconds
    cpu: float  # seconds, of its own and of the children that it has waited for
    memory: int  # ru_maxrss: KiB, on macOS bytes
    status: int  # as wait4 gives it


class Ratios(NamedTuple):
    """Medians over the turns: a program beside another one."""

    wall: float
    cpu: float
    memory: float  # MiB above it
    longer: float  # seconds of wall time above it


def ratios(own: Sequence[Spent], other: Sequence[Spent]) -> Ratios:
    """Compare two programs turn by turn."""
    pairs = list(zip(own, other, strict=True))
    in_a_mebibyte = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Ratios(
        wall=statistics.median(one.wall / two.wall for one, two in pairs),
        cpu=statistics.median(one.cpu / two.cpu for one, two in pairs if two.cpu),  # 0: less than a clock tick
        memory=statistics.median((one.memory - two.memory) / in_a_mebibyte for one, two in pairs),
        longer=statistics.median(one.wall - two.wall for one, two in pairs),
    )


def proportional(rollup: bytes) -> int:
    """Return the proportional set size in /proc/PID/smaps_rollup, in KiB; 0 where the process is ending.

    A page that several processes share counts for each of them in part, so that the sum over all is what they take.
    """
    for line in rollup.splitlines():
        name, _, rest = line.partition(b":")
        if name == b"Pss":
            number, unit = rest.split()
            if unit != b"kB":
                raise ValueError(f"smaps_rollup counts in {unit!r}")
            return int(number)
    return 0
