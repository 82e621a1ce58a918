"""What a row says: a line for each thing that it measured, and figures for the table at the end."""

from __future__ import annotations

from collections.abc import Sequence

from integration.bench.measuring import Run
from integration.bench.ratios import Ratios, ratios

WIDTH = 66


class Report:
    """Prints lines as they come; keeps figures by their keys, and why there is none."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.missing: dict[str, str] = {}

    def title(self, text: str) -> None:
        """Begin a group of lines."""
        print(f"\n{text}\n{'':<{WIDTH}}{'to python':>16}{'to true':>14}{'peak':>11}")
        print(f"{'':<{WIDTH}}{'wall':>8}{'cpu':>8}{'wall':>7}{'cpu':>7}{'memory':>11}", flush=True)

    def line(self, label: str, own: Run, bare: Run, true: Run) -> Ratios:
        """Tell what a program took beside the two; return it beside the interpreter."""
        one, two = ratios(own.spent, bare.spent), ratios(own.spent, true.spent)
        numbers = f"{one.wall:>8.2f}{one.cpu:>8.2f}{two.wall:>7.1f}{two.cpu:>7.1f}{one.memory:>+7.1f} MiB"
        print(f"{label:<{WIDTH}}{numbers}", flush=True)
        return one

    def lines(self, labels: Sequence[str], runs: Sequence[Run]) -> list[Ratios]:
        """Tell what several programs took; the first two runs are the interpreter's and true's."""
        bare, true, *own = runs
        return [self.line(label, one, bare, true) for label, one in zip(labels, own, strict=True)]

    def say(self, text: str) -> None:
        """Tell something else."""
        print(text, flush=True)

    def keep(self, key: str, *values: float) -> None:
        """Keep the largest of these, and of what is kept under that key already."""
        self.figures[key] = max([*values, *([self.figures[key]] if key in self.figures else [])])

    def lacks(self, why: str, *keys: str) -> None:
        """Say why there are no figures under these keys."""
        for key in keys:
            self.missing.setdefault(key, why)
