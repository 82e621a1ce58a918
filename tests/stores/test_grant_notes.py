"""What stands beside a grant's file, read back, and told apart by session."""

from __future__ import annotations

from pathlib import Path

import pytest

from credential_helper.stores.grant_notes import Failure, GrantNotes, Window
from credential_helper.stores.private_files import State
from tests.helpers.grants import NOW
from tests.helpers.prompts import prompt_at

ID = "a" * 64
ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def notes(state: State) -> GrantNotes:
    return GrantNotes(state)


def refused(sentence: str, *, session: str | None = None, made: float = NOW) -> Failure:
    return Failure(sentence=sentence, hint=None, exit_code=77, made=made, until=made + 60, session=session)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_nothing_is_there_at_first(notes: GrantNotes, state: State) -> None:
    assert notes.failures(ID) == ()
    assert notes.failure(ID, ONE) is None
    assert notes.prompt(ID) is None
    assert notes.told(ID) == ()
    assert notes.window(ID) is None
    for clear in (notes.clear_failures, notes.clear_prompt, notes.clear_window):
        clear(ID)
    notes.clear_failure(ID, ONE)
    assert not Path(str(state.path)).exists()


def test_a_refusal_is_read_back_whole(notes: GrantNotes) -> None:
    failure = Failure(
        sentence="declined",
        hint="ask again",
        exit_code=77,
        made=NOW,
        until=NOW + 60,
        passing=True,
        told=("parent-1", "parent-2"),
        other_account=True,
        session=ONE,
    )
    notes.remember(ID, failure)
    assert notes.failure(ID, ONE) == failure


def test_a_refusal_of_the_grant_is_every_sessions_and_one_of_a_session_only_its_own(notes: GrantNotes) -> None:
    notes.remember(ID, refused("of one", session=ONE))
    assert notes.failure(ID, TWO) is None
    assert notes.failure(ID, None) is None
    notes.remember(ID, refused("of all", made=NOW + 1))
    assert [one and one.sentence for one in (notes.failure(ID, ONE), notes.failure(ID, TWO))] == ["of all", "of all"]


def test_of_two_refusals_the_later_one_counts(notes: GrantNotes) -> None:
    notes.remember(ID, refused("of all"))
    notes.remember(ID, refused("of one", session=ONE, made=NOW + 1))
    found = notes.failure(ID, ONE), notes.failure(ID, TWO)
    assert [one and one.sentence for one in found] == ["of one", "of all"]


def test_a_refusal_takes_the_place_of_the_one_before_about_the_same(notes: GrantNotes) -> None:
    for number, session in enumerate([ONE, None, TWO, ONE, None]):
        notes.remember(ID, refused(f"number {number}", session=session, made=NOW + number))
    assert sorted(one.sentence for one in notes.failures(ID)) == ["number 2", "number 3", "number 4"]


def test_hundreds_of_refused_sessions_do_not_pile_up(notes: GrantNotes) -> None:
    for number in range(200):
        notes.remember(ID, refused(str(number), session=f"{number:064}", made=NOW + number))
    assert [one.sentence for one in notes.failures(ID)] == [str(number) for number in range(180, 200)]


def test_forgetting_a_sessions_refusal_leaves_the_other_sessions_theirs(notes: GrantNotes, state: State) -> None:
    for session in (ONE, TWO, None):
        notes.remember(ID, refused("refused", session=session))
    notes.clear_failure(ID, ONE)  # it was answered, so the grant is good
    assert [one.session for one in notes.failures(ID)] == [TWO]
    notes.clear_failure(ID, ONE)
    assert [one.session for one in notes.failures(ID)] == [TWO]
    notes.clear_failure(ID, TWO)
    assert state.names("grants") == []


def test_all_refusals_are_forgotten_at_once(notes: GrantNotes, state: State) -> None:
    for session in (ONE, TWO, None):
        notes.remember(ID, refused("refused", session=session))
    notes.clear_failures(ID)
    assert notes.failures(ID) == ()
    assert state.names("grants") == []


def test_the_notes_of_two_grants_are_kept_apart(notes: GrantNotes) -> None:
    notes.remember(ID, refused("refused"))
    notes.keep_prompt(ID, prompt_at(NOW))
    notes.keep_told(ID, ("parent-1",))
    notes.keep_window(ID, Window(opened=NOW, times=1, until=NOW + 60))
    other = "b" * 64
    assert (notes.failures(other), notes.prompt(other), notes.told(other), notes.window(other)) == ((), None, (), None)


# --- a prompt, who was told of it, and a window -----------------------------------------------------------------------


def test_a_prompt_is_read_back(notes: GrantNotes) -> None:
    prompt = prompt_at(NOW)
    notes.keep_prompt(ID, prompt)
    assert notes.prompt(ID) == prompt
    notes.clear_prompt(ID)
    assert notes.prompt(ID) is None


def test_who_was_told_of_a_prompt_is_forgotten_with_it(notes: GrantNotes, state: State) -> None:
    notes.keep_prompt(ID, prompt_at(NOW))
    notes.keep_told(ID, ("parent-1", "parent-2"))
    assert notes.told(ID) == ("parent-1", "parent-2")
    notes.clear_prompt(ID)
    assert notes.told(ID) == ()
    assert state.names("grants") == []


def test_a_window_is_read_back_until_somebody_has_signed_in(notes: GrantNotes) -> None:
    window = Window(opened=NOW, times=3, until=NOW + 3600)
    notes.keep_window(ID, window)
    assert notes.window(ID) == window
    notes.clear_window(ID)
    assert notes.window(ID) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[7]",
        b"\xff",
        b"\0" * 100,
        b"[" * 100_000,
        b'{"sentence":"of before","exit_code":1}',
    ],
)
def test_damaged_notes_count_as_absent_and_are_replaced(notes: GrantNotes, state: State, content: bytes) -> None:
    for ending in ("failure", "prompt", "told", "window"):
        state.write(f"grants/{ID}.{ending}", content)
    assert notes.failures(ID) == ()
    assert notes.failure(ID, ONE) is None
    assert notes.prompt(ID) is None
    assert notes.told(ID) == ()
    assert notes.window(ID) is None
    notes.remember(ID, refused("refused"))
    assert [one.sentence for one in notes.failures(ID)] == ["refused"]
