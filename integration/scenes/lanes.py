"""Lanes for processes that are killed: one client of the provider each, and what became of its kills."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import msgspec

from integration.servers.oidc import Face, Issued, Recorded


class Killed(msgspec.Struct):
    """What became of the runs of one lane."""

    runs: int = 0
    landed: int = 0  # kills that found the process alive
    asked: int = 0  # of these, after the provider had answered
    lost: int = 0  # of these, before the answer had reached the disk
    latest: int = 0  # milliseconds from an answer to the kill that lost it, at most


class Lane:
    """One client of the provider, whose refresh tokens rotate, and a random generator of its own."""

    pause = 0.05  # seconds after a kill, in which what the process sent may still be on its way
    excuse = 0.5  # seconds between answer and kill, beyond which nothing can have been on its way to the disk

    def __init__(self, face: Face, client_id: str, seed: str) -> None:
        self.face = face
        self.client_id = client_id
        self.seed = seed
        self.random = random.Random(seed)
        self.killed = Killed()
        self.life = 0.0  # seconds that a process lives when nobody kills it
        face.add_client(self.client_id, application_type="native")

    def issued(self) -> list[Issued]:
        """Return the answers that had a refresh token."""
        return [answer for answer in self.face.issued() if answer.client_id == self.client_id and answer.refresh_token]

    def live(self) -> set[str]:
        """Return the refresh tokens that the provider honours."""
        return {one.refresh_token for one in self.face.refresh_tokens() if one.client_id == self.client_id}

    def requests(self, endpoint: str | None = None) -> list[Recorded]:
        """Return this client's requests; of one endpoint or grant, where named."""
        return [one for one in self.face.requests(endpoint) if one.client_id == self.client_id]

    def codes(self) -> int:
        """Return how many times a person was asked."""
        return len(self.requests("device_authorization"))

    def refused(self) -> int:
        """Return how many refresh tokens the provider refused: spent ones that came back."""
        return sum(1 for one in self.requests("refresh_token") if one.error is not None)

    def settle(self) -> None:
        """Wait until the provider has done what a dead process asked of it."""
        time.sleep(self.pause)
        self.face.catch_up()
        while any(one.status == 0 for one in self.requests()):
            time.sleep(0.01)

    def excuse_loss(self, at: float, answers: list[Issued]) -> None:
        """Count the answer that a process killed ``at`` has lost, if it was lost on its way to the disk."""
        assert len(answers) == 1, (
            self.seed,
            self.client_id,
            f"no token on disk is honoured, after {len(answers)} answers",
        )
        assert answers[0].refresh_token in self.live()
        assert at - answers[0].at < self.excuse, "the answer had all the time it needed to reach the disk"
        self.killed.latest = max(self.killed.latest, round(1000 * (at - answers[0].at)))
        self.killed.lost += 1


def total(lanes: Sequence[Lane], record: Callable[[str, object], None]) -> Killed:
    """Return the sums of all lanes, and report them."""
    found = Killed()
    for name in Killed.__struct_fields__:
        values = [getattr(lane.killed, name) for lane in lanes]
        setattr(found, name, max(values) if name == "latest" else sum(values))
        record(f"kill -9: {name}", getattr(found, name))
    print(
        f"kill -9: {found.runs} runs, {found.landed} killed alive, {found.asked} of them after the provider had"
        f" answered; {found.lost} answers had not reached the disk, the latest {found.latest} ms after it was given"
    )
    return found
