"""Sessions on disk with their grants: what is read together, saved in which order, and erased."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from credential_helper import places
from credential_helper.errors import NewerFormat, StoreError
from credential_helper.model import Secret, Token
from credential_helper.session import Place, with_grant
from credential_helper.stores.grant_notes import Failure
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions, Stored
from tests.helpers.grants import NOW, a_grant, a_session
from tests.helpers.keyrings import MemoryKeyring

GRANT = "a" * 64
ID = "b" * 64
OTHER = "c" * 64
PLACE = Place(GRANT, ID)  # of the session that the grant was made for
BESIDE = Place(GRANT, OTHER)  # of another audience
TOKEN = Secret("the-refresh-token")
NEXT = a_grant(sign_in="1" * 32)  # of the next sign-in


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def sessions(state: State, keyring: MemoryKeyring, notes: list[str]) -> Sessions:
    return Sessions(state, keyring, note=notes.append)


def signed_in(sessions: Sessions, place: Place = PLACE, token: Secret = TOKEN) -> Stored:
    """Sign in, with a key for the refresh token, and verify it."""
    sessions.grants.prepare(place.grant, "auto", "prod")
    arrived = sessions.save(place, a_session(unverified=True), refresh_token=token)
    return sessions.save(place, msgspec.structs.replace(arrived.session, unverified=False))


def derived(sessions: Sessions, place: Place = BESIDE) -> Stored:
    """Have the grant bring a token for another audience."""
    return sessions.save(place, a_session(read(sessions, PLACE).session.grant, audience="https://other.example.com"))


def read(sessions: Sessions, place: Place = PLACE) -> Stored:
    stored = sessions.read(place)
    assert stored is not None
    return stored


def token_of(sessions: Sessions, place: Place = PLACE) -> Secret | None:
    return sessions.grants.refresh_token(place.grant, read(sessions, place).session.grant)


def content(state: State, name: str) -> bytes:
    found = state.read(name)
    assert found is not None
    return found[0]


def on_disk(state: State) -> bytes:
    return b"".join(file.read_bytes() for file in Path(str(state.path)).rglob("*") if file.is_file())


# --- read and saved together ------------------------------------------------------------------------------------------


def test_a_saved_session_is_read_back_whole(sessions: Sessions) -> None:
    session = a_session(
        a_grant(
            ad_hoc=True,
            account="ada",
            realm="employees",
            parameters=(("organization", "org_1"),),
            provider="auth0",
            ca_file="/etc/ssl/corp.pem",
            main="d" * 64,
            resource=("https://a.example.com",),
            refused=(NOW, "no more"),
            underivable=((OTHER, NOW),),
        ),
        resource=("https://a.example.com",),
        id_not_renewed=True,
        sends_scope=True,
        forced_at=NOW,
    )
    saved = sessions.save(PLACE, session, store="file", refresh_token=TOKEN)
    assert saved.session == with_grant(session, refresh_token=TOKEN)
    assert read(sessions) == saved
    assert saved.stamp == sessions.stamp(ID) not in ("", places.ABSENT)


def test_nothing_is_there_at_first(sessions: Sessions, state: State) -> None:
    assert sessions.read(PLACE) is None
    assert sessions.arrived(GRANT) is None
    assert list(sessions.of_grant(GRANT, a_grant())) == []
    assert sessions.stamp(ID) == places.ABSENT
    sessions.erase(GRANT)
    sessions.erase_session(ID)
    assert not Path(str(state.path)).exists()


def test_no_session_holds_a_refresh_token(sessions: Sessions, state: State) -> None:
    sessions.save(PLACE, a_session(), store="file", refresh_token=TOKEN)
    derived(sessions)
    for name in state.names("sessions"):
        assert TOKEN.reveal().encode() not in content(state, f"sessions/{name}")
    assert TOKEN.reveal().encode() in content(state, f"grants/{GRANT}.json")


def test_the_refresh_token_is_nowhere_on_disk_where_a_keyring_is(
    sessions: Sessions, state: State, keyring: MemoryKeyring
) -> None:
    signed_in(sessions)
    assert TOKEN.reveal().encode() not in on_disk(state)
    assert TOKEN.reveal() not in keyring.records.values()
    assert token_of(sessions) == TOKEN


def test_a_save_without_a_new_refresh_token_keeps_the_old_one_where_it_is(
    sessions: Sessions, state: State, keyring: MemoryKeyring
) -> None:
    stored = signed_in(sessions)
    before = state.read(f"grants/{GRANT}.json")
    keyring.calls.clear()
    keyring.works = False
    sessions.save(PLACE, msgspec.structs.replace(stored.session, scope=("openid",)), store="file")
    assert state.read(f"grants/{GRANT}.json") == before  # its stamp, too: it was not written
    assert keyring.calls == []
    assert token_of(sessions) == TOKEN  # of the key that this process has


def test_a_rotated_refresh_token_is_sealed_under_the_same_key(sessions: Sessions, keyring: MemoryKeyring) -> None:
    stored = signed_in(sessions)
    key = dict(keyring.records)
    keyring.calls.clear()
    sessions.save(PLACE, stored.session, refresh_token=Secret("next"))
    assert keyring.calls == []
    assert keyring.records == key
    assert token_of(sessions) == Secret("next")


def test_a_new_refresh_token_goes_where_the_profile_says_and_leaves_nothing_behind(
    sessions: Sessions, state: State
) -> None:
    stored = signed_in(sessions)
    stored = sessions.save(PLACE, stored.session, store="file", refresh_token=Secret("in-clear"))
    assert stored.session.grant.refresh_token == Secret("in-clear")
    assert stored.session.grant.sealed is None
    stored = sessions.save(PLACE, stored.session, store="keyring", refresh_token=Secret("is-sealed"))
    assert stored.session.grant.sealed is not None
    assert token_of(sessions) == Secret("is-sealed")
    stored = sessions.save(PLACE, stored.session, store="none", refresh_token=Secret("not-kept"))
    assert not read(sessions).session.refreshable
    for token in (b"in-clear", b"is-sealed", b"not-kept"):
        assert token not in on_disk(state)


def test_the_sessions_of_a_grant_share_its_refresh_token_and_its_identity(sessions: Sessions) -> None:
    signed_in(sessions)
    stored = derived(sessions)
    sessions.save(BESIDE, stored.session, refresh_token=Secret("rotated"))
    assert token_of(sessions, PLACE) == token_of(sessions, BESIDE) == Secret("rotated")
    assert read(sessions).session.grant == read(sessions, BESIDE).session.grant
    assert read(sessions).session.audience == "https://api.example.com"
    assert read(sessions, BESIDE).session.audience == "https://other.example.com"


def test_of_a_session_that_the_grant_has_not_brought_yet_there_is_the_grant_alone(sessions: Sessions) -> None:
    signed_in(sessions)
    stored = read(sessions, BESIDE)
    assert (stored.stamp, stored.session.access, stored.session.id) == ("", None, None)
    assert stored.session.refreshable
    assert not stored.session.unverified


def test_a_session_is_none_without_its_grant(sessions: Sessions, state: State) -> None:
    signed_in(sessions)
    state.remove(f"grants/{GRANT}.json")
    assert sessions.read(PLACE) is None


def test_the_session_of_another_grant_or_of_another_sign_in_is_none(sessions: Sessions, state: State) -> None:
    signed_in(sessions)
    theirs = Place("d" * 64, "e" * 64)
    sessions.save(theirs, a_session())
    assert read(sessions, Place("d" * 64, ID)).session.access is None
    kept = content(state, f"sessions/{ID}.json")
    sessions.save(PLACE, a_session(NEXT, access=None, id=None))
    state.write(f"sessions/{ID}.json", kept)
    stored = read(sessions)
    assert (stored.stamp, stored.session.access, stored.session.grant) == ("", None, NEXT)


def test_every_session_of_a_grant_is_found(sessions: Sessions) -> None:
    signed_in(sessions)
    derived(sessions)
    sessions.save(Place("d" * 64, "e" * 64), a_session())
    grant = read(sessions).session.grant
    assert dict(sessions.of_grant(GRANT, grant)) == {ID: read(sessions), OTHER: read(sessions, BESIDE)}
    assert list(sessions.of_grant(GRANT, NEXT)) == []


def test_a_session_without_tokens_stands_in_no_file(sessions: Sessions, state: State) -> None:
    stored = signed_in(sessions)
    empty = msgspec.structs.replace(stored.session, access=None, id=None)
    assert sessions.save(PLACE, empty).stamp == ""
    assert state.names("sessions") == []
    assert token_of(sessions) == TOKEN
    sessions.save(PLACE, msgspec.structs.replace(empty, forced_at=NOW))  # when that was is not forgotten
    assert read(sessions).session.forced_at == NOW


# --- what is not verified yet -----------------------------------------------------------------------------------------


def test_what_a_sign_in_brought_stands_beside_the_grant_that_was_there(sessions: Sessions, state: State) -> None:
    signed_in(sessions)
    derived(sessions)
    before = read(sessions).session.grant
    session = a_session(NEXT, access=Token(value=Secret("new"), received_at=NOW), unverified=True)
    arrived = sessions.save(PLACE, session, refresh_token=Secret("new-refresh"))
    assert arrived.stamp == ""
    assert read(sessions) == arrived
    assert sessions.arrived(GRANT) == (PLACE, arrived.session)
    assert token_of(sessions) == Secret("new-refresh")
    file = sessions.grants.read(GRANT)
    assert file is not None
    assert file.grant == before
    assert len(state.names("sessions")) == 2


def test_a_sign_in_that_failed_its_check_costs_nothing(sessions: Sessions, state: State) -> None:
    stored = signed_in(sessions)
    beside = derived(sessions)
    files = {name: content(state, name) for name in (f"grants/{GRANT}.json", f"sessions/{ID}.json")}
    sessions.save(PLACE, a_session(NEXT, unverified=True), refresh_token=Secret("new-refresh"))
    assert sessions.grants.restore(GRANT) == stored.session.grant
    assert {name: content(state, name) for name in files} == files
    assert (read(sessions), read(sessions, BESIDE)) == (stored, beside)
    assert sessions.arrived(GRANT) is None
    assert token_of(sessions) == TOKEN


def test_the_first_sign_in_leaves_nothing_that_could_stand_again(sessions: Sessions) -> None:
    arrived = sessions.save(PLACE, a_session(unverified=True), store="file", refresh_token=TOKEN)
    assert sessions.grants.restore(GRANT) is None
    assert read(sessions) == arrived  # for logout to revoke


def test_other_sessions_are_not_answered_while_a_sign_in_is_not_verified(sessions: Sessions) -> None:
    signed_in(sessions)
    derived(sessions)
    sessions.save(PLACE, a_session(NEXT, unverified=True))
    stored = read(sessions, BESIDE)
    assert (stored.stamp, stored.session.access, stored.session.unverified) == ("", None, True)
    assert stored.session.grant == NEXT


def test_a_verified_sign_in_takes_the_place_of_the_one_before_with_all_its_sessions(
    sessions: Sessions, state: State
) -> None:
    signed_in(sessions)
    derived(sessions)
    theirs = Place("d" * 64, "e" * 64)
    sessions.save(theirs, a_session())
    arrived = sessions.save(PLACE, a_session(NEXT, unverified=True), refresh_token=Secret("new-refresh"))
    sessions.save(PLACE, msgspec.structs.replace(arrived.session, unverified=False))
    assert sessions.arrived(GRANT) is None
    assert read(sessions).session.grant.sign_in == NEXT.sign_in
    assert token_of(sessions) == Secret("new-refresh")
    assert state.names("sessions") == [f"{ID}.json", f"{theirs.session}.json"]
    assert read(sessions, BESIDE).session.access is None


def test_a_verified_sign_in_keeps_the_key(sessions: Sessions, keyring: MemoryKeyring) -> None:
    signed_in(sessions)
    file = sessions.grants.read(GRANT)
    assert file is not None
    (record,) = keyring.records
    assert file.key == record


# --- the order of a save ----------------------------------------------------------------------------------------------


def in_the_way(state: State, name: str) -> Path:
    """Put a folder where a file is to be written: that the process ends there would look the same."""
    folder = Path(state.locate(name))
    folder.unlink(missing_ok=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


def test_a_rotated_refresh_token_is_saved_before_the_session_that_came_with_it(
    sessions: Sessions, state: State
) -> None:
    stored = signed_in(sessions)
    in_the_way(state, f"sessions/{ID}.json").joinpath("full").touch()
    renewed = msgspec.structs.replace(stored.session, access=Token(value=Secret("new"), received_at=NOW))
    with pytest.raises(StoreError):
        sessions.save(PLACE, renewed, refresh_token=Secret("rotated"))
    file = sessions.grants.read(GRANT)
    assert file is not None
    assert file.grant is not None
    assert sessions.grants.refresh_token(GRANT, file.grant) == Secret("rotated")


def test_a_verified_session_is_saved_before_its_grant_which_is_taken_up(sessions: Sessions, state: State) -> None:
    arrived = sessions.save(PLACE, a_session(unverified=True), store="file", refresh_token=TOKEN)
    folder = in_the_way(state, f"grants/{GRANT}.json")
    verified = msgspec.structs.replace(arrived.session, unverified=False)
    with pytest.raises(StoreError):
        sessions.save(PLACE, verified)
    assert state.names("sessions") == [f"{ID}.json"]
    folder.rmdir()
    sessions.grants.take_up(GRANT)  # it had been written, and only its name was wanting
    assert read(sessions).session == verified


def test_a_reservation_is_the_grants_and_is_gone_with_the_save(sessions: Sessions, state: State) -> None:
    stored = signed_in(sessions)
    reservation = sessions.grants.reserve(GRANT)
    assert state.names("grants") == [f"{GRANT}.json", f"{GRANT}.json.new"]
    sessions.save(PLACE, stored.session, refresh_token=Secret("rotated"), reservation=reservation)
    assert token_of(sessions) == Secret("rotated")
    reservation = sessions.grants.reserve(GRANT)
    sessions.save(PLACE, read(sessions).session, reservation=reservation)  # nothing of the grant has changed
    assert state.names("grants") == [f"{GRANT}.json"]
    assert state.names("sessions") == [f"{ID}.json"]
    assert token_of(sessions) == Secret("rotated")


def test_the_record_that_the_old_grant_named_is_deleted_when_the_new_one_is_there(
    sessions: Sessions, keyring: MemoryKeyring
) -> None:
    record = ("session/" + "f" * 32, "prod")
    keyring.records[record] = "of format 1"
    stored = sessions.save(PLACE, a_session(a_grant(record=record)))
    assert token_of(sessions) == Secret("of format 1")
    sessions.save(PLACE, a_session(NEXT, unverified=True), refresh_token=Secret("new-refresh"), store="file")
    assert list(keyring.records) == [record]  # the grant that would stand again needs it
    sessions.grants.restore(GRANT)
    sessions.save(PLACE, stored.session, store="file", refresh_token=Secret("rotated"))
    assert keyring.records == {}
    assert token_of(sessions) == Secret("rotated")


# --- damaged and strange files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"{", b"null", b"[]", b'{"version":1}', b'{"version":2}', b"\xff\xfe", b"\0" * 100),
        *(b'{"version":0,"id":"x","session":{}}', b"[" * 100_000, b'{"a":' * 100_000, b'{"version":' * 100_000),
    ],
)
def test_a_damaged_session_counts_as_absent(sessions: Sessions, state: State, notes: list[str], damaged: bytes) -> None:
    stored = signed_in(sessions)
    state.write(f"sessions/{ID}.json", damaged)
    assert read(sessions) == Stored(session=a_session(stored.session.grant, **NOTHING), stamp="")
    assert any("damaged" in note for note in notes)
    assert list(sessions.of_grant(GRANT, stored.session.grant)) == []
    sessions.save(PLACE, stored.session)
    assert read(sessions).session == stored.session


NOTHING = {"access": None, "id": None, "scope": (), "audience": None}


def test_a_session_cut_short_at_any_length_counts_as_absent(sessions: Sessions, state: State) -> None:
    signed_in(sessions)
    whole = content(state, f"sessions/{ID}.json")
    for length in range(0, len(whole), 7):
        state.write(f"sessions/{ID}.json", whole[:length])
        assert read(sessions).session.access is None, length


def test_a_session_under_another_name_counts_as_absent(sessions: Sessions, state: State) -> None:
    signed_in(sessions)
    state.write(f"sessions/{OTHER}.json", content(state, f"sessions/{ID}.json"))
    assert read(sessions, BESIDE).session.access is None


NEWER = b'{"version":3,"id":"' + b"b" * 64 + b'","session":[]}'


def test_a_session_of_a_newer_version_is_kept_not_read_and_said(
    sessions: Sessions, state: State, notes: list[str]
) -> None:
    grant = signed_in(sessions).session.grant
    derived(sessions)
    state.write(f"sessions/{ID}.json", NEWER)
    with pytest.raises(NewerFormat, match="newer version") as caught:
        sessions.read(PLACE)
    assert state.locate(f"sessions/{ID}.json") in str(caught.value.hint)
    assert [identifier for identifier, _ in sessions.of_grant(GRANT, grant)] == [OTHER]
    assert any("newer version" in note for note in notes)
    sessions.save(BESIDE, a_session(NEXT))
    sessions.erase(GRANT)
    assert content(state, f"sessions/{ID}.json") == NEWER


def test_with_a_grant_of_a_newer_version_its_sessions_are_not_read(sessions: Sessions, state: State) -> None:
    signed_in(sessions)
    state.write(f"grants/{GRANT}.json", b'{"version":3}')
    for call in (lambda: sessions.read(PLACE), lambda: sessions.arrived(GRANT)):
        with pytest.raises(NewerFormat):
            call()


def test_what_was_there_and_cannot_be_read_does_not_keep_a_new_one_out(sessions: Sessions, state: State) -> None:
    signed_in(sessions)
    for name in (f"grants/{GRANT}.json", f"sessions/{ID}.json"):
        file = Path(state.locate(name))
        file.unlink()
        os.mkfifo(file, 0o600)
    with pytest.raises(StoreError):
        sessions.read(PLACE)
    sessions.save(PLACE, a_session(), store="file", refresh_token=TOKEN)
    assert read(sessions).session.access is not None
    assert token_of(sessions) == TOKEN


# --- the end ----------------------------------------------------------------------------------------------------------


def test_writing_and_erasing_empties_the_replies(sessions: Sessions, state: State) -> None:
    for change in (
        lambda: signed_in(sessions),
        lambda: sessions.save(PLACE, a_session(unverified=True)),
        lambda: sessions.erase_session(ID),
        lambda: sessions.erase(GRANT),
        lambda: sessions.erase_format_1(OTHER),
    ):
        state.write("replies/one", b"")
        change()
        assert state.names("replies") == []


def test_erasing_leaves_only_the_lock(sessions: Sessions, state: State, keyring: MemoryKeyring) -> None:
    signed_in(sessions)
    derived(sessions)
    sessions.save(Place("d" * 64, "e" * 64), a_session())
    sessions.notes.remember(GRANT, Failure(sentence="declined", hint=None, exit_code=77, made=NOW, until=NOW + 60))
    sessions.grants.reserve(GRANT)
    state.reserve(f"sessions/{ID}.json")
    state.write(sessions.grants.lock_name(GRANT), b"")
    sessions.erase(GRANT)
    assert state.names("grants") == [f"{GRANT}.lock", f"{'d' * 64}.json"]
    assert state.names("sessions") == [f"{'e' * 64}.json"]
    assert keyring.records == {}


def test_the_grant_goes_last(sessions: Sessions, state: State) -> None:
    """Who is ended in between can be told again to erase it."""
    signed_in(sessions)
    derived(sessions)
    in_the_way(state, f"sessions/{ID}.json.new").joinpath("full").touch()
    with pytest.raises(StoreError):
        sessions.erase(GRANT)
    assert token_of(sessions) == TOKEN


def test_erasing_one_session_leaves_the_grant_and_its_others(sessions: Sessions, keyring: MemoryKeyring) -> None:
    signed_in(sessions)
    beside = derived(sessions)
    sessions.erase_session(ID)
    assert (read(sessions).session.access, read(sessions, BESIDE)) == (None, beside)
    assert token_of(sessions) == TOKEN
    assert len(keyring.records) == 1
