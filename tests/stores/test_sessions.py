from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from credential_helper.errors import NewerFormat, StoreError
from credential_helper.model import Identity, Secret, Session, Token
from credential_helper.stores.grant_notes import Failure
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from tests.helpers.keyrings import MemoryKeyring
from tests.helpers.prompts import prompt_at

ID = "a" * 64
NOW = 1_900_000_000.0


def a_session(**other: object) -> Session:
    session = Session(
        profile="prod",
        issuer="https://idp.example.com",
        client_id="client",
        kind="person",
        access=Token(value=Secret("the-access-token"), received_at=NOW, expires_at=NOW + 3600),
        id=Token(value=Secret("the-id-token"), received_at=NOW, expires_at=None, unverified=True),
        scope=("openid", "profile"),
        identity=Identity(subject="ada", name="ada@example.com", claims=(("sub", "ada"),)),
        record=("f" * 32, "prod ada@example.com"),
    )
    return msgspec.structs.replace(session, **other)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(str(tmp_path / "state"))


@pytest.fixture
def keyring() -> MemoryKeyring:
    return MemoryKeyring()


@pytest.fixture
def sessions(state: State, keyring: MemoryKeyring) -> Sessions:
    return Sessions(state, keyring, note=lambda _line: None)


def on_disk(state: State) -> bytes:
    return b"".join(file.read_bytes() for file in Path(str(state.path)).rglob("*") if file.is_file())


def test_a_saved_session_is_read_back_whole(sessions: Sessions) -> None:
    saved = sessions.save(ID, a_session(), store="file", refresh_token=Secret("refresh"))
    read = sessions.read(ID)
    assert read is not None
    assert read.session == saved.session
    assert read.stamp == saved.stamp == sessions.stamp(ID)
    assert read.session.refresh_token == Secret("refresh")


def test_the_refresh_token_lives_in_the_keyring_and_nowhere_on_disk(
    sessions: Sessions, state: State, keyring: MemoryKeyring
) -> None:
    sessions.save(ID, a_session(), refresh_token=Secret("the-refresh-token"))
    assert list(keyring.records.values()) == ["the-refresh-token"]
    assert b"the-refresh-token" not in on_disk(state)
    stored = sessions.read(ID)
    assert stored is not None
    assert sessions.refresh_token(stored.session) == Secret("the-refresh-token")


def test_without_a_usable_keyring_it_lives_in_the_session_file(sessions: Sessions, keyring: MemoryKeyring) -> None:
    keyring.works = False
    stored = sessions.save(ID, a_session(), refresh_token=Secret("refresh"))
    assert not stored.session.in_keyring
    assert sessions.refresh_token(stored.session) == Secret("refresh")


def test_store_keyring_never_falls_back_to_the_file(sessions: Sessions, state: State, keyring: MemoryKeyring) -> None:
    keyring.works = False
    stored = sessions.save(ID, a_session(), store="keyring", refresh_token=Secret("the-refresh-token"))
    assert not stored.session.refreshable
    assert b"the-refresh-token" not in on_disk(state)


def test_store_none_keeps_no_refresh_token(sessions: Sessions, state: State, keyring: MemoryKeyring) -> None:
    stored = sessions.save(ID, a_session(), store="none", refresh_token=Secret("the-refresh-token"))
    assert not stored.session.refreshable
    assert b"the-refresh-token" not in on_disk(state)
    assert keyring.calls == []


def test_a_save_without_a_new_refresh_token_keeps_the_old_one_where_it_is(
    sessions: Sessions, keyring: MemoryKeyring
) -> None:
    stored = sessions.save(ID, a_session(), refresh_token=Secret("refresh"))
    keyring.calls.clear()
    again = sessions.save(ID, msgspec.structs.replace(stored.session, scope=("openid",)))
    assert sessions.refresh_token(again.session) == Secret("refresh")
    assert keyring.calls == ["read"]


def test_a_rotated_refresh_token_takes_the_same_record(sessions: Sessions, keyring: MemoryKeyring) -> None:
    stored = sessions.save(ID, a_session(), refresh_token=Secret("one"))
    sessions.save(ID, stored.session, refresh_token=Secret("two"))
    assert list(keyring.records.values()) == ["two"]


def test_what_the_old_file_pointed_to_is_deleted_after_the_new_one_is_there(
    sessions: Sessions, keyring: MemoryKeyring
) -> None:
    stored = sessions.save(ID, a_session(), refresh_token=Secret("one"))
    sessions.save(ID, stored.session, store="file", refresh_token=Secret("two"))
    assert keyring.records == {}


def test_a_keyring_that_got_locked_does_not_lose_a_rotated_token(sessions: Sessions, keyring: MemoryKeyring) -> None:
    stored = sessions.save(ID, a_session(), refresh_token=Secret("one"))
    keyring.works = False
    again = sessions.save(ID, stored.session, refresh_token=Secret("two"))
    assert sessions.refresh_token(again.session) == Secret("two")


def test_a_locked_keyring_is_unavailable_and_not_empty(sessions: Sessions, keyring: MemoryKeyring) -> None:
    stored = sessions.save(ID, a_session(), refresh_token=Secret("one"))
    keyring.works = False
    with pytest.raises(StoreError):
        sessions.refresh_token(stored.session)


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"{",
            b"null",
            b"[]",
            b'{"version":1}',
            b"\xff\xfe",
            b'{"version":0,"id":"x","session":{}}',
            b"\0" * 100,
        ),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"version":' * 100_000),
    ],
)
def test_a_damaged_session_counts_as_absent(state: State, keyring: MemoryKeyring, content: bytes) -> None:
    notes: list[str] = []
    sessions = Sessions(state, keyring, note=notes.append)
    state.write(f"sessions/{ID}.json", content)
    assert sessions.read(ID) is None
    assert any("damaged" in note for note in notes)


NEWER = b'{"version":2,"grant":"' + b"a" * 64 + b'","session":[]}'


def test_a_session_of_a_newer_version_is_kept_not_read_and_said(sessions: Sessions, state: State) -> None:
    state.write(f"sessions/{ID}.json", NEWER)
    with pytest.raises(NewerFormat, match="newer version") as caught:
        sessions.read(ID)
    assert state.locate(f"sessions/{ID}.json") in str(caught.value.hint)
    assert sessions.look(ID) is None
    with pytest.raises(NewerFormat):
        sessions.erase(ID)
    assert (state.read(f"sessions/{ID}.json") or (b"",))[0] == NEWER


def test_a_save_that_its_writer_did_not_finish_is_taken_up(sessions: Sessions, state: State) -> None:
    stored = sessions.save(ID, a_session(), store="file", refresh_token=Secret("spent"))
    sessions.save(ID, stored.session, store="file", refresh_token=Secret("next"))
    file = Path(state.locate(f"sessions/{ID}.json"))
    file.rename(f"{file}.new")
    sessions.save("b" * 64, stored.session)
    Path(state.locate(f"sessions/{'b' * 64}.json")).rename(file)  # another session's: not to be believed
    sessions.take_up(ID)
    taken = sessions.read(ID)
    assert taken is not None
    assert taken.session.refresh_token == Secret("next")
    Path(f"{file}.new").write_bytes(file.read_bytes()[:-1] + b" " * 100)
    sessions.take_up(ID)
    assert sessions.read(ID) == taken


@pytest.mark.parametrize("name", ["secret/ci", "../secret/ci", "session/ci", "password/" + "f" * 32, "F" * 32, ""])
def test_a_session_names_no_record_of_another_kind(
    sessions: Sessions, state: State, keyring: MemoryKeyring, name: str
) -> None:
    keyring.records[name, "ci"] = "the secret of somebody else"
    session = a_session(record=("f" * 32, "ci"), in_keyring=True)
    sessions.save(ID, session)
    found = state.read(f"sessions/{ID}.json")
    assert found is not None
    state.write(f"sessions/{ID}.json", found[0].replace(b"f" * 32, name.encode()))
    assert sessions.read(ID) is None
    sessions.save(ID, a_session(), store="file", refresh_token=Secret("refresh"))
    sessions.erase(ID)
    assert keyring.records == {(name, "ci"): "the secret of somebody else"}


def test_a_record_of_before_is_read_and_moves_when_its_token_is_renewed(
    sessions: Sessions, keyring: MemoryKeyring
) -> None:
    old = ("f" * 32, "prod ada@example.com")
    keyring.records[old] = "one"
    stored = sessions.save(ID, a_session(record=old, in_keyring=True))
    assert sessions.refresh_token(stored.session) == Secret("one")
    renewed = sessions.save(ID, stored.session, refresh_token=Secret("two"))
    ((name, label), token), *others = keyring.records.items()
    assert re.fullmatch("session/[0-9a-f]{32}", name)
    assert (label, token, others) == (old[1], "two", [])
    assert sessions.refresh_token(renewed.session) == Secret("two")
    sessions.erase(ID)
    assert keyring.records == {}


def test_what_was_there_and_cannot_be_read_does_not_keep_a_new_one_out(sessions: Sessions, state: State) -> None:
    sessions.save(ID, a_session())
    file = Path(state.locate(f"sessions/{ID}.json"))
    file.unlink()
    os.mkfifo(file, 0o600)
    sessions.save(ID, a_session(), store="file", refresh_token=Secret("refresh"))
    read = sessions.read(ID)
    assert read is not None
    assert read.session.refresh_token == Secret("refresh")


def test_a_truncated_session_counts_as_absent(sessions: Sessions, state: State) -> None:
    sessions.save(ID, a_session(), store="file", refresh_token=Secret("refresh"))
    found = state.read(f"sessions/{ID}.json")
    assert found is not None
    for length in range(0, len(found[0]), 17):
        state.write(f"sessions/{ID}.json", found[0][:length])
        assert sessions.read(ID) is None


def test_a_session_under_another_name_counts_as_absent(sessions: Sessions, state: State) -> None:
    sessions.save(ID, a_session())
    found = state.read(f"sessions/{ID}.json")
    assert found is not None
    state.write(f"sessions/{'b' * 64}.json", found[0])
    assert sessions.read("b" * 64) is None


def test_writing_and_erasing_empties_the_replies(sessions: Sessions, state: State) -> None:
    state.write("replies/one", b"")
    sessions.save(ID, a_session())
    assert state.names("replies") == []
    state.write("replies/one", b"")
    sessions.erase(ID)
    assert state.names("replies") == []


def test_erasing_leaves_only_the_lock(sessions: Sessions, state: State, keyring: MemoryKeyring) -> None:
    sessions.save(ID, a_session(), refresh_token=Secret("refresh"))
    sessions.notes.remember(ID, Failure(sentence="declined", hint=None, exit_code=77, made=NOW, until=NOW + 60))
    state.reserve(f"sessions/{ID}.json")
    state.write(f"sessions/{ID}.lock", b"")
    sessions.erase(ID)
    assert state.names("sessions") == [f"{ID}.lock"]
    assert keyring.records == {}


def test_a_prompt_is_read_back(sessions: Sessions) -> None:
    prompt = prompt_at(NOW)
    sessions.notes.keep_prompt(ID, prompt)
    assert sessions.notes.prompt(ID) == prompt
    sessions.notes.clear_prompt(ID)
    assert sessions.notes.prompt(ID) is None


def test_a_damaged_failure_or_prompt_counts_as_absent(sessions: Sessions, state: State) -> None:
    state.write(f"sessions/{ID}.failure", b"{")
    state.write(f"sessions/{ID}.prompt", b"\xff")
    assert sessions.notes.failure(ID) is None
    assert sessions.notes.prompt(ID) is None
