"""What every row is given: where it may work, which installations there are, how often it measures."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

from integration.bench.installations import Installation
from integration.bench.measuring import WARM_UPS


class Setting(NamedTuple):
    folder: Path
    installations: list[Installation]  # the first one is the environment's own
    turns: int  # counted ones
    quick: bool

    @property
    def own(self) -> Installation:
        """Return the installation of this environment."""
        return self.installations[0]

    @property
    def starts(self) -> int:
        """Return how often each program is started by ``measure``."""
        return self.turns + WARM_UPS

    def place(self, name: str) -> Path:
        """Return a folder that nobody else uses; it is not there yet."""
        names = (f"{name}-{number}" for number in itertools.count())
        return next(path for path in (self.folder / name for name in names) if not path.exists())
