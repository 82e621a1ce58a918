"""The options, the rows in order, and the table at the end."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from integration.bench import installations, table
from integration.bench.measuring import Failed, Unmeasured
from integration.bench.report import Report
from integration.bench.rows import ROWS
from integration.bench.setting import Setting

TURNS = 41


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code. A goal that is not reached is no failure, a wrong answer is one.

    A row that fails has no figure, and the others are measured all the same.
    """
    options = _options(arguments)
    print(f"medians of {options.pairs} turns; in each of them all that is compared runs once")
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load > processors / 2:
        print(f"this machine is busy ({load:.1f} of {processors} processors): ms, s and MiB below say little")
    report, failed = Report(), []
    with tempfile.TemporaryDirectory(prefix="credential-helper-bench-") as temporary:
        folder = Path(temporary)
        found = [installations.own()]
        if options.with_installers:
            found += installations.of_installers(folder)
        setting = Setting(folder, found, options.pairs, options.quick)
        for name in options.rows:
            try:
                ROWS[name](setting, report)
            except Unmeasured as why:
                report.say(f"\n{name} cannot be measured here: {why}")
                report.lacks(str(why), *table.keys(name))
            except (Failed, AssertionError, subprocess.TimeoutExpired) as error:
                failed.append(name)
                report.say(f"\n{name} FAILED: {error}")
                report.lacks("failed, see above", *table.keys(name))
    print("\n" + table.text(report.figures, report.missing, options.rows))
    if failed:
        print(f"\nbench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", allow_abbrev=False)
    parser.add_argument(
        "--rows", type=_rows, default=list(ROWS), metavar="NAME,NAME", help=f"only these of {', '.join(ROWS)}"
    )
    parser.add_argument("--pairs", type=int, metavar="N", help=f"counted turns (default: {TURNS}, with --quick 7)")
    parser.add_argument("--quick", action="store_true", help="fewer turns, and each crowd once: rough figures")
    parser.add_argument("--with-installers", action="store_true", help="also install with pipx and uv, and measure")
    options = parser.parse_args(arguments)
    options.pairs = options.pairs or (7 if options.quick else TURNS)
    return options


def _rows(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in ROWS:
            raise argparse.ArgumentTypeError(f"there is no row {name!r}")
    return names


if __name__ == "__main__":
    sys.exit(main())
