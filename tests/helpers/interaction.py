"""The interaction of a grant with nobody at the terminal."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from credential_helper.model import Prompt, Secret, Tokens
from tests.helpers.clock import FakeClock

DEVICE: dict[str, object] = {
    "device_code": "dc-s3cr3t-device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://op.example/activate",
    "verification_uri_complete": "https://op.example/activate?user_code=WDJB-MJHT",
    "expires_in": 900,
    "interval": 5,
}


class FakeStage:
    """Keeps what a grant hands over; waits on the fake clock."""

    def __init__(self, clock: FakeClock, left: Prompt | None = None) -> None:
        self.tool = "kubectl"
        self.target: str | None = "https://kubernetes.example.com"
        self.because = ""
        self.clock = clock
        self.left = left
        self.asked: list[Prompt] = []
        self.paused: list[Prompt] = []
        self.polled: list[float] = []  # when each poll started
        self.tokens: list[Tokens] = []
        self.before_poll: Callable[[], None] = lambda: None
        self.fails_to_save: Exception | None = None

    def waiting(self) -> Prompt | None:
        return self.left

    def ask(self, prompt: Prompt) -> None:
        self.asked.append(prompt)

    def browser(self) -> tuple[bool, str]:
        return False, "a code was asked for"

    def type(self, label: str, *, hidden: bool) -> Secret:
        raise NotImplementedError

    def can_paste(self) -> bool:
        return False

    def pasted(self) -> Secret | None:
        raise NotImplementedError

    def tell(self, sentence: str) -> None:
        raise NotImplementedError

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        raise NotImplementedError

    def at_end(self, tell: Callable[[bool], None]) -> None:
        raise NotImplementedError

    def pause(self, prompt: Prompt, until: Callable[[float], bool] | None = None) -> None:
        assert until is None
        self.paused.append(prompt)
        self.clock.sleep(max(0.0, prompt.next_poll - self.clock.now()))
        self.before_poll()

    def redeem(self, exchange: Callable[[], Tokens]) -> None:
        self.polled.append(self.clock.now())
        self.tokens.append(exchange())
        if self.fails_to_save:
            raise self.fails_to_save

    @property
    def gaps(self) -> list[float]:
        """Seconds before each poll, the first counted from the prompt."""
        times = [self.asked[0].made_at, *self.polled]
        return [round(later - earlier, 3) for earlier, later in pairwise(times)]
