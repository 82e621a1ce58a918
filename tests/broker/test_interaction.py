"""Showing, waiting and redeeming: what a grant may ask of the broker, on a real disk, and nobody sleeps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Errand, Means, Mode
from credential_helper.broker.interaction import OTHERS_PROMPT, SignIn, current_prompt, under_way
from credential_helper.errors import AuthorizationError, InteractionRequired, StoreError, TransportError
from credential_helper.model import Profile, Prompt, Secret, Tokens
from credential_helper.session import Place
from credential_helper.stores.private_files import State
from credential_helper.stores.replacing import Reservation
from credential_helper.stores.sessions import Sessions
from credential_helper.system.caller import Abandoned
from credential_helper.system.signals import Interrupted, Interrupts
from tests.helpers.clock import FakeClock
from tests.helpers.keyrings import MemoryKeyring
from tests.helpers.prompts import prompt_at
from tests.helpers.requests import request_by

ID = "c" * 64
TOKENS = Tokens(
    access_token=Secret("the-access-token"),
    token_type="Bearer",
    received_at=0.0,
    refresh_token=Secret("the-refresh-token"),
)


class Screen:
    """A terminal that takes prompts, or is taken."""

    def __init__(self) -> None:
        self.name: str | None = "tty-1"
        self.by_window = False
        self.shown: list[Prompt] = []
        self.waited = 0
        self.blind: str | None = "there is no display"
        self.labels: list[tuple[str, bool]] = []
        self.slow = 1  # looks that typing takes
        self.warnings: list[tuple[str, str | None]] = []

    def show(self, prompt: Prompt, *, ours: bool) -> str | None:
        assert ours
        if self.name is not None:
            self.shown.append(prompt)
        return self.name

    def waiting(self, prompt: Prompt) -> None:
        assert prompt.user_code in ("WDJB-MJHT", "")
        self.waited += 1

    def browser(self) -> tuple[bool, str]:
        return self.blind is None, self.blind or "there is a display"

    def type(self, label: str, *, hidden: bool, go_on: Callable[[], None]) -> Secret:
        self.labels.append((label, hidden))
        for _ in range(self.slow):
            go_on()
        return Secret("typed")

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        self.warnings.append((sentence, hint))


class Caller:
    key = "parent"

    def __init__(self) -> None:
        self.there = True

    def waits(self) -> bool:
        return self.there


class EventfulClock(FakeClock):
    """A clock on which something happens once it has been slept on for so long."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[tuple[float, Callable[[], None]]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self._events.append((self.ticks + seconds, action))

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        due = [event for event in self._events if event[0] <= self.ticks]
        for event in due:
            self._events.remove(event)
            event[1]()


class World:
    """What one sign-in works with."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.clock = clock
        self.sessions = Sessions(State(str(folder / "state")), MemoryKeyring(), note=lambda _: None)
        self.screen = Screen()
        self.caller = Caller()
        self.interrupts = Interrupts()
        self.notes: list[str] = []
        self.kept: list[tuple[Tokens, bool]] = []
        self.given_back: list[Secret | None] = []

    def sign_in(self, *, may_ask: bool = True, mode: Mode = "any", disk: bool = True) -> SignIn:
        profile = Profile(name="prod", issuer="https://idp.example.com", client_id="client")
        means = SimpleNamespace(
            sessions=self.sessions,
            person=self.screen,
            caller=self.caller,
            interrupts=self.interrupts,
            clock=self.clock,
            note=self.notes.append,
        )
        return SignIn(
            Errand(profile=profile, request=request_by("kubectl"), mode=mode),
            cast(CachedSession, SimpleNamespace(place=Place(ID, ID), disk=disk)),
            cast(Means, means),
            may_ask=may_ask,
            keep=self.keep,
            give_back=self.given_back.append,
        )

    def keep(self, tokens: Tokens, reservation: Reservation | None) -> None:
        self.kept.append((tokens, reservation is not None))

    def prompt(self, **changes: Any) -> Prompt:
        return prompt_at(self.clock.now(), **changes)

    def on_disk(self) -> Prompt | None:
        return self.sessions.notes.prompt(ID)


@pytest.fixture
def clock() -> EventfulClock:
    return EventfulClock()


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> World:
    return World(tmp_path, clock)


# --- asking


def test_the_prompt_is_on_disk_before_it_is_shown_and_names_the_terminal_afterwards(world: World) -> None:
    seen: list[Prompt | None] = []

    class Watching(Screen):
        def show(self, prompt: Prompt, *, ours: bool) -> str | None:
            seen.append(world.on_disk())
            return super().show(prompt, ours=ours)

    world.screen = Watching()
    stage = world.sign_in()
    stage.ask(world.prompt())
    assert [prompt.shown_on for prompt in seen if prompt is not None] == [()]
    kept = world.on_disk()
    assert kept is not None
    assert kept.shown_on == ("tty-1",)
    assert kept.device_code.reveal() == "the-device-code"
    assert stage.asked


def test_who_may_not_ask_asks_for_no_new_code(world: World) -> None:
    with pytest.raises(InteractionRequired, match="under way in another terminal"):
        world.sign_in(may_ask=False).ask(world.prompt())
    assert world.on_disk() is None
    assert world.screen.shown == []


def test_a_terminal_that_another_prompt_has_is_tried_again(world: World) -> None:
    world.screen.name = None
    stage = world.sign_in()
    stage.ask(world.prompt())
    assert not stage.asked
    world.screen.name = "tty-1"
    stage.pause(world.prompt())
    assert stage.asked
    assert len(world.screen.shown) == 1


def test_it_is_shown_once(world: World) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())
    for _ in range(3):
        stage.pause(world.prompt())
    assert len(world.screen.shown) == 1


def test_without_a_disk_the_person_is_asked_all_the_same(world: World) -> None:
    stage = world.sign_in(disk=False)
    assert stage.waiting() is None
    stage.ask(world.prompt())
    stage.pause(world.prompt())
    stage.redeem(lambda: TOKENS)
    stage.close(finished=True, verified=True)
    assert len(world.screen.shown) == 1
    assert world.kept == [(TOKENS, False)]


def test_a_disk_that_fails_is_told_and_cancels_nothing(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    world.sessions = Sessions(State(str(tmp_path / "file" / "state")), MemoryKeyring(), note=lambda _: None)
    stage = world.sign_in()
    stage.ask(world.prompt())
    stage.pause(world.prompt())
    stage.redeem(lambda: TOKENS)
    stage.close(finished=True, verified=True)
    assert any("other processes cannot see the prompt" in note for note in world.notes)
    assert world.kept == [(TOKENS, False)]


def test_a_prompt_that_could_not_be_written_again_is_missed_by_nobody(world: World) -> None:
    """A disk that filled up in between: where ID.prompt is not known to be ours, its absence is no logout."""
    stage = world.sign_in()
    stage.ask(world.prompt())
    Path(world.sessions.state.locate(f"grants/{ID}.prompt.new")).mkdir()
    stage.pause(world.prompt())
    world.sessions.notes.clear_prompt(ID)
    stage.pause(world.prompt())
    assert any("other processes cannot see the prompt" in note for note in world.notes)


# --- waiting


def test_a_pause_ends_at_the_next_poll_and_looks_up_now_and_then(world: World, clock: FakeClock) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())
    started = clock.monotonic()
    stage.pause(world.prompt(next_poll=clock.now() + 5.0))
    assert clock.monotonic() - started == pytest.approx(5.0)
    assert max(clock.slept) <= 0.5
    assert world.screen.waited >= 10


@pytest.mark.parametrize(("ahead", "waits"), [(-3.0, 0.0), (3600.0, 5.0)], ids=["past", "after a clock was set back"])
def test_a_pause_is_never_longer_than_the_interval(world: World, clock: FakeClock, ahead: float, waits: float) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())
    started = clock.monotonic()
    stage.pause(world.prompt(next_poll=clock.now() + ahead))
    assert clock.monotonic() - started == pytest.approx(waits)


def test_the_pace_is_on_disk_for_whoever_takes_over(world: World, clock: EventfulClock) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())
    slower = world.prompt(interval=10.0, next_poll=clock.now() + 10.0)
    seen: list[Prompt | None] = []
    clock.after(5.0, lambda: seen.append(world.on_disk()))
    stage.pause(slower)
    (kept,) = seen
    assert kept is not None
    assert (kept.interval, kept.next_poll) == (10.0, slower.next_poll)


def test_who_dies_during_a_poll_leaves_the_time_of_the_next_one(world: World, clock: FakeClock) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())
    stage.pause(world.prompt(interval=10.0, next_poll=clock.now() + 10.0))
    kept = world.on_disk()
    assert kept is not None
    assert kept.next_poll >= clock.now() + 10.0


def test_a_logout_cancels_a_pause_and_is_not_undone(world: World, clock: EventfulClock) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())
    clock.after(2.0, lambda: world.sessions.notes.clear_prompt(ID))
    with pytest.raises(AuthorizationError, match="cancelled by a logout") as caught:
        stage.pause(world.prompt())
    assert caught.value.error == "cancelled"
    assert world.on_disk() is None
    assert sum(clock.slept) < 3.0


def test_a_logout_between_two_pauses_is_not_undone_either(world: World) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())
    world.sessions.notes.clear_prompt(ID)
    with pytest.raises(AuthorizationError, match="cancelled by a logout"):
        stage.pause(world.prompt())
    assert world.on_disk() is None


def test_a_caller_who_has_gone_ends_a_pause(world: World, clock: EventfulClock) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())

    def leave() -> None:
        world.caller.there = False

    clock.after(1.0, leave)
    with pytest.raises(Abandoned):
        stage.pause(world.prompt())
    assert sum(clock.slept) < 2.0


def test_who_may_not_ask_waits_five_seconds_for_a_person_elsewhere(world: World, clock: FakeClock) -> None:
    world.sessions.notes.keep_prompt(ID, world.prompt(shown_on=("tty-9",)))
    stage = world.sign_in(may_ask=False)
    prompt = stage.waiting()
    assert prompt is not None
    with pytest.raises(InteractionRequired, match="a sign-in to prod is under way in another terminal"):
        while True:
            stage.pause(msgspec.structs.replace(prompt, next_poll=clock.now() + 5.0))
    assert OTHERS_PROMPT < sum(clock.slept) <= OTHERS_PROMPT + 1.0
    assert world.screen.shown == []
    stage.close(finished=False, verified=False)
    assert world.on_disk() is not None, "the code is still good for the next holder"


# --- going on with a dead holder's code


def test_a_dead_holder_s_code_is_gone_on_with_and_shown_here(world: World) -> None:
    world.sessions.notes.keep_prompt(ID, world.prompt(shown_on=("tty-9",)))
    stage = world.sign_in()
    prompt = stage.waiting()
    assert prompt is not None
    assert prompt.device_code.reveal() == "the-device-code"
    assert [shown.shown_on for shown in world.screen.shown] == [("tty-9",)]
    kept = world.on_disk()
    assert kept is not None
    assert kept.shown_on == ("tty-9", "tty-1")
    assert world.notes == ["going on with the code of a process that ended"]


def test_a_code_that_stands_on_this_terminal_is_not_listed_twice(world: World) -> None:
    world.sessions.notes.keep_prompt(ID, world.prompt(shown_on=("tty-1",)))
    stage = world.sign_in()
    assert stage.waiting() is not None
    stage.pause(world.prompt())
    kept = world.on_disk()
    assert kept is not None
    assert kept.shown_on == ("tty-1",)


def test_login_begins_anew(world: World) -> None:
    world.sessions.notes.keep_prompt(ID, world.prompt())
    assert world.sign_in(mode="sign-in").waiting() is None


@pytest.mark.parametrize(
    ("made", "expires", "counts"),
    [(0.0, 900.0, True), (60.0, 900.0, True), (61.0, 900.0, False), (-900.0, 0.0, False), (-900.0, 1.0, True)],
)
def test_a_prompt_that_is_expired_or_from_the_future_means_nothing(
    world: World, clock: FakeClock, made: float, expires: float, *, counts: bool
) -> None:
    now = clock.now()
    world.sessions.notes.keep_prompt(ID, world.prompt(made_at=now + made, expires_at=now + expires))
    assert (current_prompt(world.sessions, ID, now) is not None) == counts
    assert (world.sign_in().waiting() is not None) == counts


# --- redeeming


def test_what_is_redeemed_is_kept_with_room_reserved_before_the_request(world: World) -> None:
    seen: list[bool] = []

    def exchange() -> Tokens:
        seen.append(Path(world.sessions.state.locate(f"grants/{ID}.json.new")).exists())
        return TOKENS

    world.sign_in().redeem(exchange)
    assert seen == [True]
    assert world.kept == [(TOKENS, True)]
    assert not Path(world.sessions.state.locate(f"grants/{ID}.json.new")).exists(), "nothing was saved into it"


def test_a_request_that_fails_keeps_nothing_and_leaves_nothing(world: World) -> None:
    def exchange() -> Tokens:
        raise TransportError("no network")

    with pytest.raises(TransportError):
        world.sign_in().redeem(exchange)
    assert world.kept == []
    assert not Path(world.sessions.state.locate(f"grants/{ID}.json.new")).exists()


def test_a_logout_during_the_request_gives_back_what_it_brought(world: World) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())

    def exchange() -> Tokens:
        world.sessions.notes.clear_prompt(ID)
        return TOKENS

    with pytest.raises(AuthorizationError, match="cancelled by a logout"):
        stage.redeem(exchange)
    assert world.kept == []
    assert world.given_back == [TOKENS.refresh_token]


@pytest.mark.usefixtures("default_signals")
def test_a_signal_during_the_request_is_obeyed_when_the_answer_is_kept(world: World) -> None:
    world.interrupts.install()

    def exchange() -> Tokens:
        os.kill(os.getpid(), signal.SIGTERM)
        return TOKENS

    with pytest.raises(Interrupted) as caught:
        world.sign_in().redeem(exchange)
    assert caught.value.exit_code == 143
    assert world.kept == [(TOKENS, True)]


# --- the end


@pytest.mark.parametrize("finished", [True, False])
def test_at_the_end_nobody_is_asked_any_more(world: World, *, finished: bool) -> None:
    stage = world.sign_in()
    stage.ask(world.prompt())
    stage.close(finished=finished, verified=finished)
    assert world.on_disk() is None


def test_what_was_not_announced_is_not_removed(world: World) -> None:
    world.sessions.notes.keep_prompt(ID, world.prompt())
    world.sign_in(mode="sign-in").close(finished=False, verified=False)
    assert world.on_disk() is not None


def test_the_sentence_for_those_elsewhere_names_the_profile() -> None:
    error = under_way("prod")
    assert error.exit_code == 66
    assert error.sentence == "a sign-in to prod is under way in another terminal"
    assert error.hint


def test_a_state_directory_that_became_unsafe_is_no_prompt(world: World) -> None:
    world.sessions.notes.keep_prompt(ID, world.prompt())
    path = Path(world.sessions.state.locate(f"grants/{ID}.prompt"))
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(StoreError):
        world.sessions.notes.prompt(ID)
    assert world.sign_in().waiting() is None


# --- a browser, a password


def browser(world: World, **changes: Any) -> Prompt:
    uri = "https://idp.example.com/authorize?response_type=code"
    lasting = {"interval": 300.0, "next_poll": world.clock.now() + 300.0, "expires_at": world.clock.now() + 300.0}
    return world.prompt(
        **{"flow": "browser", "device_code": Secret(""), "user_code": "", "verification_uri": uri, **lasting, **changes}
    )


def test_what_is_waited_for_ends_the_pause(world: World) -> None:
    asked: list[float] = []

    def until(seconds: float) -> bool:
        asked.append(seconds)
        world.clock.advance(seconds)
        return len(asked) == 3

    stage = world.sign_in()
    stage.ask(browser(world))
    began = world.clock.now()
    stage.pause(browser(world), until)
    assert asked == [0.5, 0.5, 0.5]  # short looks: a logout or an end of the caller is seen in between
    assert world.clock.now() == began + 1.5


def test_what_never_happens_is_waited_for_until_the_prompt_s_time(world: World) -> None:
    def never(seconds: float) -> bool:
        world.clock.advance(seconds)
        return False

    stage = world.sign_in()
    stage.ask(browser(world))
    stage.pause(browser(world), never)
    assert world.clock.now() >= browser(world).made_at
    assert world.screen.waited > 500


def test_a_logout_ends_the_wait_for_a_browser(world: World) -> None:
    stage = world.sign_in()
    stage.ask(browser(world))

    def until(seconds: float) -> bool:
        world.clock.advance(seconds)
        world.sessions.notes.clear_prompt(ID)
        return False

    with pytest.raises(AuthorizationError, match="cancelled by a logout"):
        stage.pause(browser(world), until)


@pytest.mark.parametrize("flow", ["browser", "password"])
def test_what_ended_with_its_process_is_not_gone_on_with(world: World, flow: str) -> None:
    world.sessions.notes.keep_prompt(ID, browser(world, flow=flow))
    assert world.sign_in().waiting() is None
    assert not world.screen.shown


def test_a_code_that_is_gone_on_with_is_shown_once(world: World) -> None:
    world.sessions.notes.keep_prompt(ID, world.prompt())
    stage = world.sign_in()
    assert stage.waiting() == stage.waiting() == world.prompt()
    assert len(world.screen.shown) == 1


def test_the_reason_for_a_flow_is_shown_and_kept_for_other_processes(world: World) -> None:
    stage = world.sign_in()
    stage.because = "SSH_CONNECTION is set"
    stage.ask(world.prompt())
    kept = world.on_disk()
    assert kept is not None
    assert kept.because == "SSH_CONNECTION is set"
    assert world.screen.shown[0].because == "SSH_CONNECTION is set"


def test_a_line_is_typed_at_the_person_s_terminal(world: World) -> None:
    stage = world.sign_in()
    stage.ask(browser(world, flow="password", verification_uri=""))
    assert stage.type("password: ", hidden=True) == Secret("typed")
    assert world.screen.labels == [("password: ", True)]


def test_who_may_not_ask_is_not_typed_to(world: World) -> None:
    with pytest.raises(InteractionRequired, match="under way in another terminal"):
        world.sign_in(may_ask=False).type("password: ", hidden=True)
    assert not world.screen.labels


def test_typing_ends_when_its_time_is_over(world: World) -> None:
    stage = world.sign_in()
    stage.ask(browser(world, flow="password"))
    world.clock.advance(301.0)
    with pytest.raises(AuthorizationError, match="nobody typed") as caught:
        stage.type("password: ", hidden=True)
    assert caught.value.error == "expired_token"


def test_typing_ends_when_nobody_waits_any_more(world: World) -> None:
    stage = world.sign_in()
    stage.ask(browser(world, flow="password"))
    world.caller.there = False
    with pytest.raises(Abandoned):
        stage.type("password: ", hidden=True)


def test_warnings_and_the_browser_are_the_terminal_s(world: World) -> None:
    stage = world.sign_in()
    stage.warn("this is old", hint="use something new")
    assert world.screen.warnings == [("this is old", "use something new")]
    assert stage.browser() == (False, "there is no display")
    world.screen.blind = None
    assert stage.browser() == (True, "there is a display")


@pytest.mark.parametrize("verified", [True, False])
def test_whoever_wants_to_know_how_it_ended_is_told_once(world: World, *, verified: bool) -> None:
    told: list[bool] = []
    stage = world.sign_in()
    stage.at_end(told.append)
    assert not told
    stage.close(finished=True, verified=verified)
    stage.close(finished=True, verified=not verified)
    assert told == [verified]


def test_a_password_s_prompt_waits_until_another_one_has_gone(world: World, clock: EventfulClock) -> None:
    """What is typed meanwhile belongs to that one."""
    world.screen.name = None

    def goes() -> None:
        assert not world.screen.labels
        world.screen.name = "tty-1"

    clock.after(3.0, goes)
    stage = world.sign_in()
    stage.ask(browser(world, flow="password"))
    assert clock.ticks >= 3.0
    assert stage.asked


def test_a_password_s_prompt_does_not_wait_for_ever(world: World) -> None:
    world.screen.name = None
    with pytest.raises(AuthorizationError, match="nobody typed"):
        world.sign_in().ask(browser(world, flow="password"))


@pytest.mark.parametrize(("flow", "name", "browsed"), [("browser", "tty-1", True), ("browser", None, False)])
def test_whether_a_browser_was_sent_somewhere(world: World, flow: str, name: str | None, *, browsed: bool) -> None:
    world.screen.name = name
    stage = world.sign_in()
    assert not stage.browsed
    stage.ask(browser(world, flow=flow))
    assert stage.browsed == browsed
