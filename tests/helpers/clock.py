"""A clock that nobody waits for."""

from __future__ import annotations


class FakeClock:
    """A clock that moves only when somebody sleeps, or when a test moves it."""

    def __init__(self, now: float = 1_900_000_000.0) -> None:
        self.time = now
        self.ticks = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.ticks

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.time += seconds
        self.ticks += seconds
