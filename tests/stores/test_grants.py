"""Grants on disk: the refresh token is sealed under a key that the keyring had before, and nothing there is lost."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from credential_helper.errors import NewerFormat, StoreError
from credential_helper.model import Secret
from credential_helper.session import Grant
from credential_helper.stores.grant_files import Arrival, GrantFile, KeptSession
from credential_helper.stores.grants import Grants, Store
from credential_helper.stores.private_files import State
from tests.helpers.grants import a_grant
from tests.helpers.keyrings import LOCKED, FolderKeyring, MemoryKeyring

ID = "a" * 64
LABEL = "prod ada@example.com"
TOKEN = Secret("the-refresh-token")


def file_of(grants: Grants, grant_id: str) -> GrantFile:
    """Return a grant's file as whoever saves it has it."""
    return grants.before(grant_id) or grants.new_file(grant_id)


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def grants(state: State, keyring: MemoryKeyring, notes: list[str]) -> Grants:
    return Grants(state, keyring, note=notes.append)


def another_process(state: State, keyring: MemoryKeyring) -> Grants:
    """Return the same grants without what this process has had from the keyring."""
    return Grants(State(str(state.path)), keyring, note=lambda _line: None)


def keep(grants: Grants, grant: Grant, *, identifier: str = ID) -> None:
    file = grants.before(identifier) or GrantFile(id=identifier)
    grants.write(msgspec.structs.replace(file, grant=grant))


def signed_in(grants: Grants, *, store: Store = "auto", token: Secret = TOKEN, identifier: str = ID) -> Grant:
    """Keep what a sign-in brings, as it does: the key first."""
    grants.prepare(identifier, store, LABEL)
    grant = grants.holding(file_of(grants, identifier), a_grant(), token, store)
    keep(grants, grant, identifier=identifier)
    return grant


def found(grants: Grants, identifier: str = ID) -> Secret | None:
    file = grants.read(identifier)
    assert file is not None
    assert file.grant is not None
    return grants.refresh_token(identifier, file.grant)


def on_disk(state: State) -> bytes:
    return b"".join(file.read_bytes() for file in Path(str(state.path)).rglob("*") if file.is_file())


# --- where a refresh token stands -------------------------------------------------------------------------------------


def test_a_refresh_token_stands_sealed_in_the_file_and_its_key_in_the_keyring(
    grants: Grants, state: State, keyring: MemoryKeyring
) -> None:
    grant = signed_in(grants)
    ((name, label), key) = next(iter(keyring.records.items()))
    assert re.fullmatch("grant/[0-9a-f]{32}", name)
    assert label == LABEL
    assert len(keyring.records) == 1
    assert grant.in_keyring
    assert TOKEN.reveal().encode() not in on_disk(state)
    assert key.encode() not in on_disk(state)
    assert TOKEN.reveal() not in keyring.records.values()
    assert found(grants) == found(another_process(state, keyring)) == TOKEN


def test_without_a_usable_keyring_it_stands_there_in_clear(
    grants: Grants, state: State, keyring: MemoryKeyring
) -> None:
    keyring.works = False
    assert grants.prepare(ID, "auto", LABEL) == "no keyring is usable"
    grant = signed_in(grants)
    assert (grant.refresh_token, grant.in_keyring) == (TOKEN, False)
    assert found(another_process(state, keyring)) == TOKEN
    assert keyring.calls == []


def test_store_keyring_never_falls_back_to_the_file(grants: Grants, state: State, keyring: MemoryKeyring) -> None:
    keyring.works = False
    assert grants.prepare(ID, "keyring", LABEL) == "no keyring is usable"
    assert not signed_in(grants, store="keyring").has_refresh_token
    assert TOKEN.reveal().encode() not in on_disk(state)


def test_store_none_keeps_no_refresh_token_and_store_file_asks_no_keyring(
    grants: Grants, state: State, keyring: MemoryKeyring
) -> None:
    assert grants.prepare(ID, "none", LABEL) is None
    assert not signed_in(grants, store="none").has_refresh_token
    assert TOKEN.reveal().encode() not in on_disk(state)
    assert grants.prepare(ID, "file", LABEL) is None
    assert signed_in(grants, store="file").refresh_token == TOKEN
    assert keyring.calls == []
    assert found(grants) == TOKEN


def test_a_grant_without_a_refresh_token_asks_no_keyring(grants: Grants, keyring: MemoryKeyring) -> None:
    keyring.works = False
    assert grants.refresh_token(ID, a_grant()) is None


def test_holding_a_new_one_leaves_no_trace_of_the_old_one(grants: Grants, keyring: MemoryKeyring) -> None:
    record = ("session/" + "f" * 32, LABEL)
    for old in (a_grant(refresh_token=Secret("old")), a_grant(sealed="b2xk"), a_grant(record=record)):
        in_clear = grants.holding(file_of(grants, ID), old, TOKEN, "file")
        assert (in_clear.refresh_token, in_clear.sealed, in_clear.record) == (TOKEN, None, None)
        assert not grants.holding(file_of(grants, ID), old, TOKEN, "none").has_refresh_token
    grants.prepare(ID, "auto", LABEL)
    sealed = grants.holding(file_of(grants, ID), a_grant(refresh_token=Secret("old"), record=record), TOKEN, "auto")
    assert (sealed.refresh_token, sealed.record) == (None, None)
    assert grants.holding(file_of(grants, ID), sealed, TOKEN, "file").sealed is None
    assert keyring.calls == ["write"]  # holding is of this process alone


# --- the key ----------------------------------------------------------------------------------------------------------


def test_a_key_is_made_once_for_a_grant(grants: Grants, state: State, keyring: MemoryKeyring) -> None:
    for _ in range(2):
        signed_in(grants)
    signed_in(another_process(state, keyring), token=Secret("of the next sign-in"))
    assert keyring.calls == ["write", "read"]
    assert len(keyring.records) == 1
    assert found(grants) == Secret("of the next sign-in")


def test_a_rotation_reads_the_keyring_once_and_never_writes_it(
    grants: Grants, state: State, keyring: MemoryKeyring
) -> None:
    grant = signed_in(grants)
    records = dict(keyring.records)
    keyring.calls.clear()
    renewing = another_process(state, keyring)
    for token in ("one", "two", "three"):
        assert renewing.refresh_token(ID, grant) is not None
        grant = renewing.holding(file_of(renewing, ID), grant, Secret(token), "auto")
        keep(renewing, grant)
    assert keyring.calls == ["read"]
    assert keyring.records == records
    assert found(another_process(state, keyring)) == Secret("three")


def test_a_keyring_that_gets_locked_meanwhile_does_not_lose_a_rotated_token(
    grants: Grants, state: State, keyring: MemoryKeyring
) -> None:
    grant = signed_in(grants)
    renewing = another_process(state, keyring)
    assert renewing.refresh_token(ID, grant) == TOKEN
    keyring.works = False
    keep(renewing, renewing.holding(file_of(renewing, ID), grant, Secret("rotated"), "keyring"))
    assert b"rotated" not in on_disk(state)
    keyring.works = True
    assert found(another_process(state, keyring)) == Secret("rotated")


def test_a_locked_keyring_is_unavailable_and_not_empty(grants: Grants, state: State, keyring: MemoryKeyring) -> None:
    grant = signed_in(grants)
    keyring.works = False
    with pytest.raises(StoreError, match="locked"):
        another_process(state, keyring).refresh_token(ID, grant)


@pytest.mark.parametrize("secret", [None, "", "the-refresh-token", "QUFBQQ=="])
def test_a_key_that_is_gone_or_none_leaves_nothing_to_use_and_is_made_anew(
    grants: Grants, state: State, keyring: MemoryKeyring, secret: str | None
) -> None:
    signed_in(grants)
    (record,) = keyring.records
    del keyring.records[record]
    if secret is not None:
        keyring.records[record] = secret
    other = another_process(state, keyring)
    assert found(other) is None
    signed_in(other, token=Secret("of the next sign-in"))
    assert list(keyring.records) == [record]
    assert found(another_process(state, keyring)) == Secret("of the next sign-in")


def test_a_file_whose_key_is_another_grants_opens_nothing(grants: Grants, state: State, keyring: MemoryKeyring) -> None:
    mine = signed_in(grants)
    signed_in(grants, identifier="b" * 64)
    file = grants.read("b" * 64)
    assert file is not None
    grants.write(msgspec.structs.replace(file, id=ID, grant=mine))
    assert found(another_process(state, keyring)) is None


def test_the_file_names_a_key_before_the_keyring_has_it(state: State, tmp_path: Path) -> None:
    """So whoever is killed in between leaves no key that no file names."""
    keyring = FolderKeyring(tmp_path / "keyring")
    grants = Grants(state, keyring, note=lambda _line: None)
    named: list[str] = []

    def look(call: str) -> None:
        if call == "write":
            file = grants.read(ID)
            assert file is not None
            assert file.key is not None
            named.append(file.key[0])

    keyring.before = look
    assert grants.prepare(ID, "auto", LABEL) is None
    assert [name.rpartition("/")[2] for name in named] == keyring.names()
    assert (file := grants.read(ID)) is not None
    assert file.grant is None
    assert grants.standing(ID) is None, "nobody has signed in"


def test_a_key_that_could_not_be_kept_keeps_its_name_for_the_next_try(grants: Grants, keyring: MemoryKeyring) -> None:
    keyring.asks = True
    assert grants.prepare(ID, "auto", LABEL) == "the keyring wants to ask a person first"
    assert grants.holding(file_of(grants, ID), a_grant(), TOKEN, "auto").refresh_token == TOKEN
    assert not grants.holding(file_of(grants, ID), a_grant(), TOKEN, "keyring").has_refresh_token
    first = grants.read(ID)
    assert first is not None
    keyring.asks = False
    assert grants.prepare(ID, "auto", LABEL) is None
    assert grants.read(ID) == first
    assert list(keyring.records) == [first.key]


def test_a_keyring_that_cannot_be_read_gets_no_second_key(grants: Grants, state: State, tmp_path: Path) -> None:
    folder = FolderKeyring(tmp_path / "keyring")
    signed_in(Grants(state, folder, note=lambda _line: None))
    folder.calls.clear()
    folder.refuses = {"read": LOCKED}
    other = Grants(state, folder, note=lambda _line: None)
    before = grants.read(ID)
    assert other.prepare(ID, "auto", LABEL) == "the keyring is locked"
    assert folder.calls == ["read"]
    assert grants.read(ID) == before


def test_a_key_for_a_grant_that_stands_in_clear_changes_nothing_of_it(
    grants: Grants, state: State, keyring: MemoryKeyring
) -> None:
    signed_in(grants, store="file")
    assert grants.prepare(ID, "auto", LABEL) is None
    assert found(another_process(state, keyring)) == TOKEN


def test_a_record_that_is_not_ours_makes_a_file_none(grants: Grants, keyring: FolderKeyring) -> None:
    grants.write(GrantFile(id=ID, grant=a_grant(record=("secret/ci", "ci"))))
    assert grants.read(ID) is None
    arrival = Arrival(session_id=ID, grant=a_grant(record=("secret/ci", "ci")), session=KeptSession())
    grants.write(GrantFile(id=ID, grant=a_grant(), arrival=arrival))
    assert grants.read(ID) is None
    keyring.calls.clear()
    grants.erase(ID)
    assert keyring.calls == []


# --- what is no grant -------------------------------------------------------------------------------------------------


def test_nothing_is_there_at_first(grants: Grants, state: State) -> None:
    assert (grants.read(ID), grants.look(ID), grants.before(ID), grants.standing(ID)) == (None, None, None, None)
    assert grants.restore(ID) is None
    assert grants.ids("json", "prompt", "failure") == []
    grants.take_up(ID)
    grants.erase(ID)
    assert not Path(str(state.path)).exists()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"null", b"[]", b'{"version":2}', b"\xff\xfe", b'{"version":1,"id":"x"}', b"\0" * 100),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"version":' * 100_000),
        *(b'{"version":2.5,"id":"x"}', b'{"version":"2","id":"x"}', b'{"version":-1,"id":"x"}', b'{"version":true}'),
    ],
)
def test_a_damaged_grant_counts_as_absent_and_is_said(
    grants: Grants, state: State, notes: list[str], content: bytes
) -> None:
    state.write(f"grants/{ID}.json", content)
    assert (grants.read(ID), grants.look(ID), grants.before(ID)) == (None, None, None)
    assert len(notes) == 3
    assert all("damaged" in note for note in notes)
    signed_in(grants)
    assert found(grants) == TOKEN


def test_a_grant_cut_short_at_any_length_counts_as_absent(grants: Grants, state: State) -> None:
    signed_in(grants)
    content = (state.read(f"grants/{ID}.json") or (b"",))[0]
    for length in range(0, len(content), 7):
        state.write(f"grants/{ID}.json", content[:length])
        assert grants.read(ID) is None, length


def test_a_grant_under_another_name_counts_as_absent(grants: Grants, state: State) -> None:
    signed_in(grants)
    content = (state.read(f"grants/{ID}.json") or (b"",))[0]
    state.write(f"grants/{'b' * 64}.json", content)
    assert grants.read("b" * 64) is None


NEWER = b'{"version":3,"id":"' + b"a" * 64 + b'","grants":[]}'


def test_a_grant_of_a_newer_version_is_kept_not_read_and_said(grants: Grants, state: State, notes: list[str]) -> None:
    state.write(f"grants/{ID}.json", NEWER)
    with pytest.raises(NewerFormat, match="newer version") as caught:
        grants.read(ID)
    assert state.locate(f"grants/{ID}.json") in str(caught.value.hint)
    assert grants.look(ID) is None
    assert grants.before(ID) is None
    assert len([note for note in notes if "newer version" in note]) == 2
    assert (state.read(f"grants/{ID}.json") or (b"",))[0] == NEWER


def test_a_key_is_made_beside_a_grant_of_a_newer_version_and_named_by_what_takes_its_place(
    grants: Grants, state: State, keyring: MemoryKeyring
) -> None:
    """Nobody has signed in yet: what is there stays until somebody has."""
    state.write(f"grants/{ID}.json", NEWER)
    assert grants.prepare(ID, "auto", LABEL) is None
    assert (state.read(f"grants/{ID}.json") or (b"",))[0] == NEWER
    (record,) = keyring.records
    assert grants.new_file(ID) == GrantFile(id=ID, key=record)
    assert grants.new_file("b" * 64) == GrantFile(id="b" * 64)
    grants.write(
        msgspec.structs.replace(
            grants.new_file(ID), grant=grants.holding(file_of(grants, ID), a_grant(), TOKEN, "keyring")
        )
    )
    assert found(another_process(state, keyring)) == TOKEN


@pytest.mark.parametrize(
    "name",
    [
        *("secret/ci", "../secret/ci", "grant/ci", "session/" + "f" * 32, "password/" + "f" * 32, "f" * 32, ""),
        *("grant/" + "F" * 32, "grant/" + "f" * 33, "grant/" + "f" * 32 + "\n", "x/grant/" + "f" * 32),
    ],
)
def test_a_grant_names_no_key_of_another_kind(grants: Grants, state: State, keyring: MemoryKeyring, name: str) -> None:
    """A file must not have us read, overwrite or delete what somebody else keeps there."""
    signed_in(grants)
    ((key, label),) = keyring.records
    keyring.records = {(name, label): "the secret of somebody else"}
    file = grants.read(ID)
    assert file is not None
    grants.write(msgspec.structs.replace(file, key=(name, label)))
    keyring.calls.clear()
    other = another_process(state, keyring)
    assert other.read(ID) is None
    assert other.refresh_token(ID, file.grant or a_grant()) is None
    assert keyring.calls == []
    signed_in(other)
    other.erase(ID)
    assert keyring.records == {(name, label): "the secret of somebody else"}
    assert key != name


def test_what_is_there_and_cannot_be_read_does_not_keep_a_new_one_out(
    grants: Grants, state: State, notes: list[str]
) -> None:
    signed_in(grants)
    file = Path(state.locate(f"grants/{ID}.json"))
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(StoreError):
        grants.read(ID)
    assert grants.before(ID) is None
    assert notes
    signed_in(grants, store="file")
    assert found(grants) == TOKEN


# --- saves that were not finished, and the end ------------------------------------------------------------------------


def test_a_save_that_its_writer_did_not_finish_is_taken_up(grants: Grants, state: State) -> None:
    signed_in(grants, token=Secret("spent"))
    signed_in(grants, token=Secret("next"))
    file = Path(state.locate(f"grants/{ID}.json"))
    file.rename(f"{file}.new")
    signed_in(grants, token=Secret("another's"), identifier="b" * 64)
    Path(state.locate(f"grants/{'b' * 64}.json")).rename(file)  # another grant's: not to be believed
    assert grants.read(ID) is None
    grants.take_up(ID)
    assert found(grants) == Secret("next")
    taken = grants.read(ID)
    Path(f"{file}.new").write_bytes(file.read_bytes()[:-1] + b" " * 100)  # not whole
    grants.take_up(ID)
    assert grants.read(ID) == taken


def test_a_reservation_that_nothing_came_of_leaves_the_old_grant(grants: Grants, state: State) -> None:
    signed_in(grants)
    with grants.reserve(ID):
        assert state.names("grants") == [f"{ID}.json", f"{ID}.json.new"]
        grants.take_up(ID)  # spaces only
        assert found(grants) == TOKEN
    assert state.names("grants") == [f"{ID}.json"]


def test_erasing_leaves_only_the_lock(grants: Grants, state: State, keyring: MemoryKeyring) -> None:
    signed_in(grants)
    signed_in(grants, identifier="b" * 64)
    grants.reserve(ID)
    for ending in ("failure", "prompt", "told", "window", "failure.new", "prompt.new", "told.new", "window.new"):
        state.write(f"grants/{ID}.{ending}", b"[]")
    state.write(grants.lock_name(ID), b"")
    grants.erase(ID)
    assert state.names("grants") == [f"{ID}.lock", f"{'b' * 64}.json"]
    assert len(keyring.records) == 1
    assert found(grants, "b" * 64) == TOKEN


def test_erasing_takes_the_record_of_format_1_along(grants: Grants, keyring: MemoryKeyring) -> None:
    record = ("f" * 32, LABEL)
    keyring.records[record] = TOKEN.reveal()
    keep(grants, a_grant(record=record))
    assert found(grants) == TOKEN
    grants.erase(ID)
    assert keyring.records == {}


def test_a_locked_keyring_does_not_keep_a_grant_from_being_erased(
    grants: Grants, state: State, keyring: MemoryKeyring, notes: list[str]
) -> None:
    signed_in(grants)
    keyring.works = False
    grants.erase(ID)
    assert state.names("grants") == []
    assert notes == ["the keyring keeps an old record: the keyring is locked"]


def test_grants_are_listed_by_what_stands_there(grants: Grants, state: State) -> None:
    signed_in(grants, identifier="c" * 64)
    state.write(f"grants/{ID}.prompt", b"{}")
    state.write(f"grants/{'b' * 64}.failure", b"[]")
    state.write(f"grants/{'d' * 64}.lock", b"")
    assert grants.ids("json") == ["c" * 64]
    assert grants.ids("json", "prompt", "failure") == [ID, "b" * 64, "c" * 64]
