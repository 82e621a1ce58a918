"""Crowds: many processes find the same session expired at once, and the provider takes three seconds to answer."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from integration.bench.crowds import Crowd, crowd
from integration.bench.homes import Place
from integration.bench.measuring import Command, Failed, bare, measure
from integration.bench.providers import Provider
from integration.bench.report import Report
from integration.bench.rows.refreshes import stale
from integration.bench.setting import Setting

COUNTS = (20, 100, 300)
WEIGHED = 100  # the crowd whose memory is looked at, in a run of its own: looking takes time from them
DELAY = 3.0  # seconds
ROUNDS = 3


def crowds(setting: Setting, report: Report) -> None:
    """Measure crowds: what each takes, how long the last one waits for nothing, what all of them hold in memory."""
    with Provider() as provider:
        place = Place(setting.place("crowd"), setting.own, provider)
        place.signed_in(provider)
        provider.delay = DELAY
        command = stale(place)
        (alone,) = measure([bare(setting.own.python, place.environ)], setting.turns)
        interpreter = statistics.median(one.cpu for one in alone.spent)
        report.say(f"\ncrowds that find a session expired; the provider answers after {DELAY:.0f} s")
        report.say(f"{'':<22}{'cpu each, to python':>22}{'last after the provider':>26}{'memory of all':>16}")
        for count in COUNTS:
            found = [once(command, provider, count) for _ in range(1 if setting.quick else ROUNDS)]
            cpu = statistics.median(one.cpu for one, _ in found)
            last = statistics.median(late for _, late in found)
            report.keep(f"crowd {count} cpu", cpu * 1000)
            report.keep(f"crowd {count} last", last)
            memory = ""
            if count == WEIGHED and _can_be_weighed(report):
                mebibytes = once(command, provider, count, weighed=True)[0].memory
                report.keep(f"crowd {count} memory", mebibytes)
                memory = f"{mebibytes:.0f} MiB"
            report.say(f"{count:>9} waiters{cpu / interpreter:>24.1f}{last:>24.2f} s{memory:>16}")


def once(command: Command, provider: Provider, count: int, *, weighed: bool = False) -> tuple[Crowd, float]:
    """Return a crowd, and how many seconds after the provider's answer the last one ended."""
    assert command.prepare is not None
    command.prepare()
    with provider.asked(token=1, refresh_token=1):
        found = crowd(command, count, weighed=weighed)
    if len(set(found.outputs)) != 1 or not found.outputs[0]:
        raise Failed(f"a crowd of {count} was given different answers")
    return found, found.ended - provider.answered


def _can_be_weighed(report: Report) -> bool:
    if sys.platform == "linux" and Path("/proc/self/smaps_rollup").exists():
        return True
    report.lacks("no /proc/PID/smaps_rollup here", f"crowd {WEIGHED} memory")
    return False
