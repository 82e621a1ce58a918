"""Which refusals are remembered, for how long, who hears them again, and what makes them void."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Attempt, Errand, Means, Mode
from credential_helper.broker.refusals import Refusals
from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    InteractionRequired,
    LockTimeout,
    RateLimited,
    RememberedError,
    StoreError,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Profile, Secret
from credential_helper.session import Place
from credential_helper.stores.grant_notes import Failure
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from credential_helper.system.signals import Interrupts
from tests.helpers.clock import FakeClock
from tests.helpers.keyrings import MemoryKeyring
from tests.helpers.requests import request_by

ID = "b" * 64
DECLINED = AuthorizationError("declined at idp.example.com", error="access_denied", hint="approve it next time")
AGAIN = "credential-helper login prod"


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(State(str(tmp_path / "state")), MemoryKeyring(), note=lambda _: None)


class Process:
    """One process of ours, as the remembered refusals see it."""

    def __init__(
        self, sessions: Sessions, clock: FakeClock, parent: str = "kubectl-1", background: str | None = None
    ) -> None:
        self.notes: list[str] = []
        self.means = Means(
            sessions=sessions,
            person=lambda: cast(Any, SimpleNamespace(background=background)),  # nobody is asked here
            interrupts=Interrupts(),
            caller=cast(Any, SimpleNamespace(key=parent)),
            clock=clock,
            note=self.notes.append,
            read_secret=lambda _: Secret(""),
        )
        self.session = CachedSession(self.errand(), self.means)
        self.session.place = Place(ID, ID)

    def errand(self, *, tool: str = "kubectl", unattended: bool = False, config_changed_at: float = 0.0) -> Errand:
        profile = Profile(
            name="prod",
            issuer="https://idp.example.com",
            client_id="client",
            flow="client-credentials" if unattended else "device",
        )
        request = request_by(tool, token="access")
        return Errand(profile=profile, request=request, command=lambda: AGAIN, config_changed_at=config_changed_at)

    @property
    def refusals(self) -> Refusals:
        return Refusals(self.errand(), self.session, self.means)

    def remember(
        self, error: CredentialHelperError, *, unattended: bool = False, tool: str = "kubectl", mode: Mode = "any"
    ) -> None:
        errand = msgspec.structs.replace(self.errand(tool=tool, unattended=unattended), mode=mode)
        Refusals(errand, self.session, self.means).remember(error, Attempt())

    def recall(self, *, config_changed_at: float = 0.0, quiet: bool = True) -> RememberedError | None:
        errand = self.errand(tool="kubectl" if quiet else "git", config_changed_at=config_changed_at)
        try:
            Refusals(errand, self.session, self.means).recall()
        except RememberedError as error:
            return error
        return None


# --- for how long


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (DECLINED, 60),
        (AuthorizationError("x", error="authorization_declined"), 60),
        (AuthorizationError("x", error="expired_token"), 300),
        (AuthorizationError("x", error="invalid_client"), 30),
        (AuthorizationError("x", error="unauthorized_client"), 30),
        (AuthorizationError("x", error="invalid_scope"), 30),
        (AuthorizationError("x", error="invalid_target"), 30),
        (RateLimited("x", retry_after=120), 120),
        (RateLimited("x", retry_after=86400), 3600),
        (TransportError("x"), 10),
        (AuthorizationError("x", error="invalid_grant"), 0),
        (AuthorizationError("x", error="cancelled"), 0),
        (AuthorizationError("an ID token's check failed"), 0),
        (ConfigurationError("x"), 0),
        (StoreError("x"), 0),
        (LockTimeout("x"), 0),
        (TokenResponseError("x"), 0),
        (RateLimited("x", retry_after=0), 0),
    ],
)
def test_a_refusal_is_remembered_for_its_time_and_not_longer(
    sessions: Sessions, clock: FakeClock, error: CredentialHelperError, seconds: float
) -> None:
    process = Process(sessions, clock)
    process.remember(error)
    remembered = process.recall()
    assert (remembered is not None) == (seconds > 0)
    if remembered is None:
        assert sessions.notes.failure(ID, ID) is None
        return
    assert remembered.exit_code == error.exit_code
    clock.advance(seconds - 0.5)
    assert process.recall() is not None
    clock.advance(0.5)
    assert process.recall() is None


@pytest.mark.parametrize("error", [DECLINED, TransportError("x"), AuthorizationError("x", error="invalid_client")])
def test_what_happens_to_a_renewal_ahead_is_nobody_s_business(
    sessions: Sessions, clock: FakeClock, error: CredentialHelperError
) -> None:
    process = Process(sessions, clock)
    process.remember(error, mode="ahead")
    assert process.recall() is None


def test_a_pause_that_a_renewal_ahead_is_asked_for_is_kept_by_all(sessions: Sessions, clock: FakeClock) -> None:
    process = Process(sessions, clock)
    process.remember(RateLimited("x", retry_after=120), mode="ahead")
    clock.advance(119)
    assert process.recall() is not None
    clock.advance(1)
    assert process.recall() is None


def test_a_machine_s_access_denied_is_a_wrong_secret_and_no_person(sessions: Sessions, clock: FakeClock) -> None:
    process = Process(sessions, clock)
    process.remember(DECLINED, unattended=True)
    clock.advance(29)
    assert process.recall() is not None
    clock.advance(1)
    assert process.recall() is None


@pytest.mark.parametrize(("code", "attended"), [("invalid_grant", 0.0), ("unauthorized", 0.0), ("mfa_required", 60.0)])
def test_a_wrong_password_that_nobody_types_is_not_sent_with_every_command(
    sessions: Sessions, clock: FakeClock, code: str, attended: float
) -> None:
    """Providers lock an account after some wrong passwords; a person who mistypes may try again at once."""
    process = Process(sessions, clock)
    process.remember(AuthorizationError("refused the password", error=code), unattended=False)
    assert (process.recall() is not None) == (attended > 0)
    clock.advance(attended)
    assert process.recall() is None
    process.remember(AuthorizationError("refused the password", error=code), unattended=True)
    clock.advance(299)
    assert process.recall() is not None
    clock.advance(1)
    assert process.recall() is None


def test_what_is_no_answer_to_a_password_is_not_asked_for_again_at_once(sessions: Sessions, clock: FakeClock) -> None:
    process = Process(sessions, clock)
    process.remember(TokenResponseError("an HTML page"), unattended=True)
    clock.advance(29)
    assert process.recall() is not None
    clock.advance(1)
    assert process.recall() is None


@pytest.mark.parametrize(("tool", "remembered"), [("kubectl", True), ("credential-helper", False), ("git", False)])
def test_nobody_to_ask_is_remembered_for_kubectl_s_five_tries_only(
    sessions: Sessions, clock: FakeClock, tool: str, *, remembered: bool
) -> None:
    process = Process(sessions, clock)
    process.remember(InteractionRequired("nobody can be asked here"), tool=tool)
    assert (process.recall() is not None) == remembered
    clock.advance(9)  # a busy machine: the five tries of one kubectl
    assert (process.recall() is not None) == remembered
    assert Process(sessions, clock, "another kubectl").recall() is None
    clock.advance(1)
    assert process.recall() is None


def test_of_a_terminal_s_background_jobs_one_says_it(sessions: Sessions, clock: FakeClock) -> None:
    nobody = InteractionRequired("nobody is signed in: this is a background job")
    Process(sessions, clock, "bash", "tty 1").remember(nobody, tool="credential-helper")
    for parent in ("bash", "kubectl-2"):
        error = Process(sessions, clock, parent, "tty 1").recall()
        assert error is not None
        assert error.silent
    elsewhere: tuple[tuple[str, str | None], ...] = (("bash", None), ("bash", "tty 2"), ("kubectl-2", None))
    for parent, background in elsewhere:  # a person may be asked, or has not read it
        assert Process(sessions, clock, parent, background).recall() is None
    clock.advance(10)
    assert Process(sessions, clock, "bash", "tty 1").recall() is None


def test_who_waited_behind_a_background_job_may_have_a_person_to_ask(sessions: Sessions, clock: FakeClock) -> None:
    waits = Process(sessions, clock, "bash")
    Process(sessions, clock, "kubectl-1", "tty 1").remember(InteractionRequired("this is a background job"))
    assert waits.recall() is None


# --- what is said


def test_the_sentence_says_how_long_ago_and_what_asks_again(sessions: Sessions, clock: FakeClock) -> None:
    Process(sessions, clock, "one").remember(DECLINED)
    clock.advance(12)
    error = Process(sessions, clock, "two").recall()
    assert error is not None
    assert error.sentence == f"declined at idp.example.com; that was 12 s ago, and {AGAIN} asks again"
    assert error.hint == "approve it next time"
    assert not error.silent


def test_one_parent_hears_it_once_and_another_one_too(sessions: Sessions, clock: FakeClock) -> None:
    Process(sessions, clock, "one").remember(DECLINED)
    for parent, silent in (("one", True), ("one", True), ("two", False), ("two", True), ("one", True)):
        error = Process(sessions, clock, parent).recall()
        assert error is not None
        assert error.silent == silent


def test_where_repeats_are_not_quiet_it_is_said_each_time(sessions: Sessions, clock: FakeClock) -> None:
    process = Process(sessions, clock)
    process.remember(DECLINED)
    for _ in range(3):
        error = process.recall(quiet=False)
        assert error is not None
        assert not error.silent


def test_a_crowd_of_parents_does_not_fill_the_disk(sessions: Sessions, clock: FakeClock) -> None:
    Process(sessions, clock, "first").remember(DECLINED)
    for number in range(150):
        assert Process(sessions, clock, f"parent-{number}").recall() is not None
    failure = sessions.notes.failure(ID, ID)
    assert failure is not None
    assert len(failure.told) == 100
    assert failure.told[-1] == "parent-149"
    assert failure.until == failure.made + 60  # being told does not lengthen it


# --- what makes it void


def test_a_config_file_that_is_newer_makes_it_void(sessions: Sessions, clock: FakeClock) -> None:
    process = Process(sessions, clock)
    process.remember(DECLINED)
    assert process.recall(config_changed_at=clock.now() - 1) is not None
    assert process.recall(config_changed_at=clock.now() + 0.001) is None


def test_success_makes_it_void(sessions: Sessions, clock: FakeClock) -> None:
    process = Process(sessions, clock)
    process.remember(DECLINED)
    process.refusals.forget()
    assert process.recall() is None
    process.refusals.forget()  # nothing there: no error
    assert process.notes == []


@pytest.mark.parametrize(
    ("made", "until"),
    [(1.0, 60.0), (-10.0, -1.0), (-10.0, 0.0), (-10.0, 3591.0), (0.0, 3600.5)],
    ids=["from the future", "over", "over this moment", "too long by a second", "too long"],
)
def test_times_that_cannot_be_are_ignored(sessions: Sessions, clock: FakeClock, made: float, until: float) -> None:
    """The times are relative to now."""
    process = Process(sessions, clock)
    process.remember(DECLINED)
    failure = sessions.notes.failure(ID, ID)
    assert failure is not None
    sessions.notes.remember(ID, msgspec.structs.replace(failure, made=clock.now() + made, until=clock.now() + until))
    assert process.recall() is None


def test_an_hour_is_the_longest(sessions: Sessions, clock: FakeClock) -> None:
    process = Process(sessions, clock)
    sessions.notes.remember(
        ID, Failure(sentence="x", hint=None, exit_code=75, made=clock.now(), until=clock.now() + 3600, told=())
    )
    assert process.recall() is not None


# --- a network that failed


def test_a_network_failure_is_for_the_same_parent_and_for_those_who_waited_for_this_try(
    sessions: Sessions, clock: FakeClock
) -> None:
    waiting = Process(sessions, clock, "waited behind it")
    clock.advance(5)
    leader = Process(sessions, clock, "leader")
    leader.remember(TransportError("idp.example.com refused the connection"))
    clock.advance(1)
    assert waiting.recall() is not None
    assert Process(sessions, clock, "leader").recall() is not None
    assert Process(sessions, clock, "came later").recall() is None


def test_what_the_provider_said_is_for_everybody(sessions: Sessions, clock: FakeClock) -> None:
    Process(sessions, clock, "leader").remember(DECLINED)
    clock.advance(1)
    assert Process(sessions, clock, "came later").recall() is not None


# --- a disk that cannot be used


def test_a_disk_that_cannot_be_used_costs_the_memory_and_no_error(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("")
    sessions = Sessions(State(str(tmp_path / "file" / "state")), MemoryKeyring(), note=lambda _: None)
    process = Process(sessions, clock)
    process.remember(DECLINED)
    assert len(process.notes) == 1
    assert process.notes[0].startswith("the refusal is not remembered: ")
    process.refusals.forget()


def test_a_damaged_file_is_no_refusal(sessions: Sessions, clock: FakeClock) -> None:
    process = Process(sessions, clock)
    process.remember(DECLINED)
    path = Path(sessions.state.locate(f"grants/{ID}.failure"))
    path.write_bytes(path.read_bytes()[:-5])
    assert process.recall() is None


def test_no_secret_is_in_the_file(sessions: Sessions, clock: FakeClock) -> None:
    Process(sessions, clock).remember(DECLINED)
    path = Path(sessions.state.locate(f"grants/{ID}.failure"))
    [kept] = msgspec.json.decode(path.read_bytes())
    assert set(kept) == {
        *("sentence", "hint", "exit_code", "made", "until", "passing", "told", "other_account", "session")
    }
    assert path.stat().st_mode & 0o777 == 0o600
