"""The table at the end: what is wanted of each path, beside what was found."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Unit(NamedTuple):
    """How a figure is written, and so how exactly it is compared."""

    text: str
    digits: int

    def rounded(self, value: float) -> float:
        return round(value, self.digits)

    def write(self, value: float) -> str:
        return f"{value:,.{self.digits}f}{self.text}"


RATIO = Unit("", 2)
MILLISECONDS = Unit(" ms", 0)
SECONDS = Unit(" s", 2)
MEBIBYTES = Unit(" MiB", 0)


class Goal(NamedTuple):
    """A path; the row that measures it and the key of its figure; the goal, and what is beyond it (None: nothing)."""

    path: str
    row: str
    key: str
    unit: Unit
    goal: float | None
    beyond: float | None = None
    words: str = ""  # beyond, where that is no number


# Ratios are of cpu, to the bare interpreter, where nothing else is said.
GOALS = (
    Goal("cached answer, the dearest", "cached", "cached", RATIO, 1.0),
    Goal("git store, not mine, capability, the dearest", "silence", "silence", RATIO, 1.0),
    Goal("cached answer, through the launcher", "launcher", "launched", RATIO, None, 0.1),
    Goal("silence, through the launcher", "launcher", "launched silence", RATIO, None, 0.1),
    Goal("kubectl as a whole, to one with a static token", "kubectl", "kubectl", RATIO, None, 1.05),
    Goal("valid session, no reply, the dearest", "valid", "valid", RATIO, 4.0, 2.5),
    Goal("refresh, http", "refresh", "refresh http", RATIO, 9.5, words="seen by no user"),
    Goal("refresh, TLS", "refresh", "refresh TLS", RATIO, 10.5, words="seen by no user"),
    Goal("refresh with ID token, http", "refresh-id", "refresh-id http", RATIO, 13.0),
    Goal("refresh with ID token, TLS", "refresh-id", "refresh-id TLS", RATIO, 14.0),
    Goal("refresh, TLS, line of 30 ms, wall over bare", "line", "line", MILLISECONDS, 155.0, 0.0),
    Goal("refresh with ID token, TLS, line of 30 ms, wall over bare", "line", "line id", MILLISECONDS, 165.0, 0.0),
    Goal("refresh with keyring, wall", "keyring", "keyring", RATIO, 16.0, 12.0),
    Goal("100 waiters, cpu each", "crowds", "crowd 100 cpu", MILLISECONDS, 25.0),
    Goal("100 waiters, last after the provider's answer", "crowds", "crowd 100 last", SECONDS, 0.1),
    Goal("100 waiters, memory of all", "crowds", "crowd 100 memory", MEBIBYTES, 300.0),
    Goal("300 waiters, last after the provider's answer", "crowds", "crowd 300 last", SECONDS, None, 0.25),
    Goal("device flow until the prompt stands, wall", "prompt", "prompt", RATIO, 10.0, 8.0),
    Goal("fleet hit, unix socket", "fleet", "fleet unix", RATIO, None),
    Goal("fleet hit, TLS", "fleet", "fleet TLS", RATIO, None),
)

HEAD = ("path", "goal", "beyond", "now", "reached")


def keys(row: str) -> list[str]:
    """Return the keys of the figures that a row brings."""
    return [goal.key for goal in GOALS if goal.row == row]


def reached(goal: Goal, figure: float) -> str:
    """Say how far a figure goes, as it is written in the table."""
    shown = goal.unit.rounded(figure)
    if goal.beyond is not None and shown <= goal.beyond:
        return "beyond"
    if goal.goal is None:
        return "no goal" if goal.beyond is None else "no"
    return "yes" if shown <= goal.goal else "no"


def text(figures: Mapping[str, float], missing: Mapping[str, str], rows: Collection[str]) -> str:
    """Return the table of some rows, as lines."""
    lines = [HEAD]
    for goal in GOALS:
        if goal.row not in rows:
            continue
        wanted = "" if goal.goal is None else f"≤ {goal.unit.write(goal.goal)}"
        beyond = goal.words if goal.beyond is None else f"≤ {goal.unit.write(goal.beyond)}"
        figure = figures.get(goal.key)
        if figure is None:
            end = ("-", missing.get(goal.key, "not measured"))
        else:
            end = (goal.unit.write(figure), reached(goal, figure))
        lines.append((goal.path, wanted, beyond, *end))
    widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)][:-1]
    return "\n".join(
        "".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)) + line[-1] for line in lines
    )
