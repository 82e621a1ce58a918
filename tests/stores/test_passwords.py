from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credential_helper.answers.stored_passwords import DOCKER as OF_DOCKER
from credential_helper.answers.stored_passwords import GIT as OF_GIT
from credential_helper.errors import LockTimeout, StoreError
from credential_helper.stores import lock
from credential_helper.stores.passwords import INDEX, LARGEST, Passwords, Storage, expired
from credential_helper.system.clock import SystemClock
from tests.helpers.credentials import NOW
from tests.helpers.keyrings import LOCKED
from tests.helpers.passwords import House
from tests.helpers.programs import CHECKOUT, DEADLINE

GIT = {"protocol": "https", "host": "git.example.com", "username": "ada", "password": "s3cret-of-ada"}
DOCKER = {"server": "registry.example.com", "username": "ada", "password": "s3cret-of-ada"}
HOST = {"protocol": "https", "host": "git.example.com"}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(params=["keyring", "file"])
def passwords(request: pytest.FixtureRequest, house: House) -> Passwords:
    return house.passwords(request.param)


# --- as git's own helpers match ---------------------------------------------------------------------------------------


def test_what_is_stored_is_got_whole(passwords: Passwords) -> None:
    stored = GIT | {"path": "a/b.git", "password_expiry_utc": "1900000100", "oauth_refresh_token": "refresh"}
    passwords.store(OF_GIT, stored)
    assert passwords.get(OF_GIT, HOST) == stored


def test_nothing_stored_is_none_and_makes_no_directory(passwords: Passwords, house: House) -> None:
    assert passwords.get(OF_GIT, HOST) is None
    assert passwords.listing(OF_DOCKER) == []
    assert passwords.erase(OF_DOCKER, DOCKER) == 0
    assert not Path(str(house.state.path)).exists()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (HOST, True),
        (HOST | {"username": "ada"}, True),
        (HOST | {"username": "bob"}, False),
        (HOST | {"username": ""}, False),
        (HOST | {"path": "a.git"}, True),
        (HOST | {"path": "b.git"}, False),
        (HOST | {"path": ""}, False),
        (HOST | {"host": "git.example.com:443"}, False),
        (HOST | {"protocol": "http"}, False),
        ({"protocol": "https"}, False),  # CVE-2020-11008
        ({"host": "git.example.com"}, False),
        (HOST | {"host": ""}, False),
        (HOST | {"protocol": ""}, False),
        ({}, False),
        ({"username": "ada", "path": "a.git"}, False),
    ],
)
def test_a_field_constrains_when_it_is_present(passwords: Passwords, pattern: Mapping[str, str], found: bool) -> None:
    passwords.store(OF_GIT, GIT | {"path": "a.git"})
    assert (passwords.get(OF_GIT, pattern) is not None) is found
    assert passwords.erase(OF_GIT, pattern) == int(found)
    assert (passwords.get(OF_GIT, HOST) is None) is found


def test_a_record_without_a_path_does_not_match_a_pattern_with_one(passwords: Passwords) -> None:
    passwords.store(OF_GIT, GIT)
    assert passwords.get(OF_GIT, HOST | {"path": "a.git"}) is None


def test_the_newest_match_answers(passwords: Passwords) -> None:
    passwords.store(OF_GIT, GIT)
    passwords.store(OF_GIT, GIT | {"username": "bob", "password": "bobs"})
    assert passwords.get(OF_GIT, HOST) == GIT | {"username": "bob", "password": "bobs"}
    assert passwords.get(OF_GIT, HOST | {"username": "ada"}) == GIT
    passwords.store(OF_GIT, GIT)
    assert passwords.get(OF_GIT, HOST) == GIT


def test_store_replaces_the_record_of_the_same_key(passwords: Passwords, house: House) -> None:
    passwords.store(OF_GIT, GIT | {"password_expiry_utc": "1900000100", "oauth_refresh_token": "old"})
    passwords.store(OF_GIT, GIT | {"password": "new"})
    assert passwords.get(OF_GIT, HOST) == GIT | {"password": "new"}
    assert len(passwords.listing(OF_GIT)) == 1
    assert len(house.keyring.names()) <= 1


def test_records_with_another_path_or_user_stay(passwords: Passwords) -> None:
    for more in ({}, {"path": "a.git"}, {"path": "b.git"}, {"username": "bob"}, {"username": ""}):
        passwords.store(OF_GIT, GIT | more)
    assert len(passwords.listing(OF_GIT)) == 5


def test_empty_values_are_values(passwords: Passwords) -> None:
    passwords.store(OF_GIT, HOST | {"username": "", "password": ""})
    assert passwords.get(OF_GIT, HOST | {"username": ""}) == HOST | {"username": "", "password": ""}
    assert passwords.get(OF_GIT, HOST | {"username": "ada"}) is None


def test_erase_removes_all_matches(passwords: Passwords, house: House) -> None:
    for name in ("ada", "bob", "eve"):
        passwords.store(OF_GIT, GIT | {"username": name})
    passwords.store(OF_GIT, GIT | {"host": "other.example.com"})
    assert passwords.erase(OF_GIT, HOST) == 3
    assert passwords.listing(OF_GIT) == [{"protocol": "https", "host": "other.example.com", "username": "ada"}]
    assert len(house.keyring.names()) <= 1


@pytest.mark.parametrize("secret", ["password", "credential"])
def test_a_distinct_secret_is_not_erased(passwords: Passwords, secret: str) -> None:
    passwords.store(OF_GIT, HOST | {"username": "ada", secret: "theirs"})
    assert passwords.erase(OF_GIT, HOST | {secret: "another"}) == 0
    assert passwords.get(OF_GIT, HOST) is not None
    assert passwords.erase(OF_GIT, HOST | {secret: "theirs"}) == 1
    assert passwords.get(OF_GIT, HOST) is None


def test_an_expired_password_is_not_answered(passwords: Passwords, house: House) -> None:
    passwords.store(OF_GIT, GIT)
    passwords.store(OF_GIT, GIT | {"username": "bob", "password_expiry_utc": str(int(house.clock.now()) + 10)})
    found = passwords.get(OF_GIT, HOST)
    assert found is not None
    assert found["username"] == "bob"
    house.clock.advance(10)
    assert passwords.get(OF_GIT, HOST) == GIT


@pytest.mark.parametrize("expiry", ["0", "", "soon", "-1", "١٢", "9" * 30])
def test_an_expiry_that_is_none_never_passes(passwords: Passwords, expiry: str) -> None:
    passwords.store(OF_GIT, GIT | {"password_expiry_utc": expiry})
    assert passwords.get(OF_GIT, HOST) is not None


def test_what_docker_stored_is_never_answered_to_git(passwords: Passwords) -> None:
    both = DOCKER | HOST
    passwords.store(OF_DOCKER, both)
    assert passwords.get(OF_GIT, HOST) is None
    assert passwords.listing(OF_GIT) == []
    assert passwords.erase(OF_GIT, HOST) == 0
    passwords.store(OF_GIT, both)
    assert len(passwords.listing(OF_DOCKER)) == 1
    assert passwords.get(OF_DOCKER, {"server": "registry.example.com"}) == both


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/access-token", "registry.example.com:5000/a", "é ü", " x"])
def test_dockers_keys_are_kept_exactly(passwords: Passwords, key: str) -> None:
    passwords.store(OF_DOCKER, DOCKER | {"server": key})
    assert passwords.listing(OF_DOCKER) == [{"server": key, "username": "ada"}]
    assert passwords.get(OF_DOCKER, {"server": key}) == DOCKER | {"server": key}
    assert passwords.get(OF_DOCKER, {"server": key + "/"}) is None


def test_dockers_user_is_no_part_of_the_key(passwords: Passwords) -> None:
    passwords.store(OF_DOCKER, DOCKER)
    passwords.store(OF_DOCKER, DOCKER | {"username": "bob"})
    assert passwords.listing(OF_DOCKER) == [{"server": "registry.example.com", "username": "bob"}]
    assert passwords.get(OF_DOCKER, {"server": ""}) is None
    assert passwords.get(OF_DOCKER, {}) is None


@pytest.mark.parametrize("secret", ["x" * 100_000, "a\nb\r\n\0c", "é\u2028\x7f", "\udcff\udc80", '"\\', ""])
def test_any_secret_survives(passwords: Passwords, secret: str) -> None:
    passwords.store(OF_GIT, GIT | {"password": secret})
    assert passwords.get(OF_GIT, HOST) == GIT | {"password": secret}
    assert passwords.erase(OF_GIT, HOST | {"password": secret}) == 1


def test_attributes_that_are_not_utf_8_survive(passwords: Passwords) -> None:
    odd = GIT | {"username": b"\xff\xe9".decode(errors="surrogateescape"), "path": "\x00\x1b[31m"}
    passwords.store(OF_GIT, odd)
    assert passwords.get(OF_GIT, HOST) == odd


_texts = st.sampled_from(["a", "\udc80é\n", ""])
_patterns = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("protocol", "host", "path", "username", "password", "credential"), _texts)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["store", "erase", "get"]), _patterns), max_size=12))
def test_it_behaves_as_gits_own_model(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, dict[str, str]]]
) -> None:
    """The model is a list, newest last, and credential_match in four lines."""
    house = House(tmp_path_factory.mktemp("house"))
    passwords = house.passwords("keyring")
    model: list[dict[str, str]] = []
    key = ("protocol", "host", "path", "username")

    def matches(record: dict[str, str], pattern: dict[str, str], keys: tuple[str, ...]) -> bool:
        if not pattern.get("protocol") or not pattern.get("host"):
            return False
        return all(record.get(name) == pattern[name] for name in keys if name in pattern)

    for operation, pattern in steps:
        if operation == "store":
            newest = [r for r in model if matches(r, {k: pattern.get(k, "") for k in ("protocol", "host")}, key)]
            if newest[-1:] != [pattern]:
                model = [r for r in model if any(r.get(name) != pattern.get(name) for name in key)] + [pattern]
            passwords.store(OF_GIT, pattern)
        elif operation == "erase":
            gone = [r for r in model if matches(r, pattern, (*key, "password", "credential"))]
            model = [r for r in model if r not in gone]
            assert passwords.erase(OF_GIT, pattern) == len(gone)
        else:
            found = [r for r in model if matches(r, pattern, key)]
            assert passwords.get(OF_GIT, pattern) == (found[-1] if found else None)
    assert len(passwords.listing(OF_GIT)) == len(model) == len(house.keyring.names())


# --- where it is ------------------------------------------------------------------------------------------------------


def test_in_a_keyring_no_secret_is_on_disk(house: House) -> None:
    secrets = {"password": "the-password", "credential": "the-credential", "oauth_refresh_token": "the-refresh"}
    house.passwords("keyring").store(OF_GIT, GIT | secrets)
    assert b"the-" not in house.on_disk()
    assert len(house.keyring.names()) == 1
    (house.keyring.folder / house.keyring.names()[0]).unlink()
    assert house.passwords("keyring").get(OF_GIT, HOST) is None
    assert house.notes == ["a stored password is gone, or damaged: its record counts as absent"]


def test_in_a_file_it_is_private_and_the_keyring_is_not_asked(house: House) -> None:
    passwords = house.passwords("file")
    passwords.store(OF_DOCKER, DOCKER)
    assert passwords.get(OF_DOCKER, DOCKER) == DOCKER
    passwords.erase(OF_DOCKER, DOCKER)
    passwords.store(OF_DOCKER, DOCKER)
    assert b"s3cret-of-ada" in house.on_disk()
    assert house.keyring.calls == []
    assert stat.S_IMODE(house.index.stat().st_mode) == 0o600
    assert stat.S_IMODE(house.index.parent.stat().st_mode) == 0o700


def test_whoever_changes_the_setting_loses_nothing_and_the_next_store_moves_it(house: House) -> None:
    house.passwords("file").store(OF_DOCKER, DOCKER)
    keyring = house.passwords("keyring")
    assert keyring.get(OF_DOCKER, DOCKER) == DOCKER
    keyring.store(OF_DOCKER, DOCKER | {"password": "s3cret-of-today"})
    assert b"s3cret" not in house.on_disk()
    file = house.passwords("file")
    assert file.get(OF_DOCKER, DOCKER) == DOCKER | {"password": "s3cret-of-today"}
    file.store(OF_DOCKER, DOCKER)
    assert house.keyring.names() == []


def test_the_listing_asks_no_keyring_and_shows_no_secret(house: House) -> None:
    passwords = house.passwords("keyring")
    passwords.store(OF_DOCKER, DOCKER | {"server": "a"})
    passwords.store(OF_DOCKER, DOCKER | {"server": "b"})
    house.keyring.refuses = dict.fromkeys(("read", "write", "delete"), LOCKED)
    house.keyring.calls.clear()
    assert passwords.listing(OF_DOCKER) == [{"server": "a", "username": "ada"}, {"server": "b", "username": "ada"}]
    assert house.keyring.calls == []


def test_without_a_keyring_store_says_what_to_do_and_leaves_nothing(house: House) -> None:
    house.keyring.refuses = {"write": LOCKED}
    passwords = house.passwords("keyring")
    with pytest.raises(StoreError) as caught:
        passwords.store(OF_DOCKER, DOCKER)
    assert caught.value.sentence == (
        'the password is not kept: the keyring is locked; password_storage = "file" keeps passwords in a private file'
        " instead"
    )
    assert "CREDENTIAL_HELPER_PASSWORD_STORAGE=file" in (caught.value.hint or "")
    assert passwords.listing(OF_DOCKER) == []
    assert b"s3cret" not in house.on_disk()


def test_a_failed_store_keeps_what_was_there(house: House) -> None:
    passwords = house.passwords("keyring")
    passwords.store(OF_DOCKER, DOCKER)
    house.keyring.refuses = {"write": LOCKED}
    with pytest.raises(StoreError):
        passwords.store(OF_DOCKER, DOCKER | {"password": "new"})
    assert passwords.get(OF_DOCKER, DOCKER) == DOCKER


def test_a_locked_keyring_is_unavailable_and_not_empty(house: House) -> None:
    passwords = house.passwords("keyring")
    passwords.store(OF_GIT, GIT)
    house.keyring.refuses = {"read": LOCKED}
    with pytest.raises(StoreError):
        passwords.get(OF_GIT, HOST)
    with pytest.raises(StoreError):
        passwords.erase(OF_GIT, HOST | {"password": "s3cret-of-ada"})
    assert passwords.get(OF_GIT, HOST | {"username": "bob"}) is None
    house.keyring.refuses = {}
    assert passwords.get(OF_GIT, HOST) == GIT


def test_what_a_locked_keyring_would_not_delete_is_never_answered_and_goes_later(house: House) -> None:
    passwords = house.passwords("keyring")
    passwords.store(OF_DOCKER, DOCKER)
    house.keyring.refuses = {"delete": LOCKED}
    assert passwords.erase(OF_DOCKER, DOCKER) == 1
    assert passwords.get(OF_DOCKER, DOCKER) is None
    assert len(house.keyring.names()) == 1
    assert "until the next change" in house.notes[-1]
    house.keyring.refuses = {}
    passwords.store(OF_DOCKER, DOCKER | {"server": "other"})
    assert len(house.keyring.names()) == 1
    assert passwords.get(OF_DOCKER, {"server": "other"}) is not None


def test_storing_the_same_again_writes_nothing(house: House) -> None:
    """git calls ``store`` after every command that succeeded."""
    passwords = house.passwords("keyring")
    passwords.store(OF_GIT, GIT)
    before = house.state.stamp(INDEX)
    house.keyring.calls.clear()
    passwords.store(OF_GIT, GIT)
    assert house.state.stamp(INDEX) == before
    assert house.keyring.calls == ["read"]
    passwords.store(OF_GIT, GIT | {"password_expiry_utc": "1900000100"})
    assert house.state.stamp(INDEX) != before


def test_a_change_empties_the_kept_replies(passwords: Passwords, house: House) -> None:
    def reply() -> Path:
        house.state.write("replies/1-1", b"an old answer")
        return Path(house.state.locate("replies/1-1"))

    kept = reply()
    passwords.store(OF_DOCKER, DOCKER)
    assert not kept.exists()
    kept = reply()
    assert passwords.erase(OF_DOCKER, {"server": "unknown"}) == 0
    passwords.get(OF_DOCKER, DOCKER)
    assert kept.exists()
    passwords.erase(OF_DOCKER, DOCKER)
    assert not kept.exists()


def test_seen_is_the_stamp_of_what_was_read(passwords: Passwords, house: House) -> None:
    assert passwords.seen == "absent"
    passwords.store(OF_DOCKER, DOCKER)
    passwords.listing(OF_DOCKER)
    assert passwords.seen == house.state.stamp(INDEX) != "absent"


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"version":0,"records":[]}',
        b'{"version":1,"records":[],"discarded":[["secret/ci","ci"]]}',
        b'{"version":1,"records":[{"tool":"git","attributes":{},"record":["secret/ci","ci"]}]}',
        b'{"version":1,"records":[{"tool":"git","attributes":{},"record":["session/' + b"f" * 32 + b'","ci"]}]}',
        b'{"version":1,"records":[{"tool":1,"attributes":{}}]}',
        b'{"version":1,"records":[{"tool":"git","attributes":{"host":1}}]}',
        b'{"version":1,"records":[{"tool":"git","attributes":{},"secrets":1}]}',
    ],
)
def test_a_damaged_index_counts_as_absent(passwords: Passwords, house: House, content: bytes) -> None:
    house.state.write(INDEX, content)
    assert passwords.get(OF_GIT, HOST) is None
    assert passwords.listing(OF_DOCKER) == []
    assert passwords.erase(OF_GIT, HOST) == 0
    assert "damaged" in house.notes[0]
    passwords.store(OF_GIT, GIT)
    assert passwords.get(OF_GIT, HOST) == GIT


@pytest.mark.parametrize("secret", ["", "{", "[]", '{"password":1}', "[" * 100_000])
def test_a_damaged_secret_counts_as_absent(house: House, secret: str) -> None:
    passwords = house.passwords("keyring")
    passwords.store(OF_GIT, GIT)
    (house.keyring.folder / house.keyring.names()[0]).write_text(secret)
    assert passwords.get(OF_GIT, HOST) is None
    assert passwords.erase(OF_GIT, HOST | {"password": "another"}) == 1


def test_an_unsafe_state_directory_is_neither_read_nor_written(passwords: Passwords, house: House) -> None:
    passwords.store(OF_DOCKER, DOCKER)
    moved = house.index.with_name("elsewhere.json")
    house.index.rename(moved)
    house.index.symlink_to(moved)
    before = moved.read_bytes()
    assert passwords.get(OF_DOCKER, DOCKER) is None
    assert passwords.listing(OF_DOCKER) == []
    assert passwords.erase(OF_DOCKER, DOCKER) == 0
    with pytest.raises(StoreError, match="symbolic link"):
        passwords.store(OF_DOCKER, DOCKER | {"password": "new"})
    assert moved.read_bytes() == before


def test_an_index_that_cannot_be_written_leaves_no_secret_in_the_keyring(house: House) -> None:
    passwords = house.passwords("keyring")
    passwords.store(OF_DOCKER, DOCKER)

    def block(call: str) -> None:  # the disk fails after the secret is written
        if call == "write":
            Path(f"{house.index}.new").mkdir()

    house.keyring.before = block
    with pytest.raises(StoreError):
        passwords.store(OF_DOCKER, DOCKER | {"password": "new"})
    assert len(house.keyring.names()) == 1
    assert passwords.get(OF_DOCKER, DOCKER) == DOCKER


def test_a_reader_finds_what_another_process_put_in_place_of_what_it_was_about_to_read(
    tmp_path: Path, house: House
) -> None:
    passwords = house.passwords("keyring")
    passwords.store(OF_DOCKER, DOCKER)
    other = House(tmp_path)

    def replace(_call: str) -> None:
        house.keyring.before = lambda _call: None
        other.passwords("keyring").store(OF_DOCKER, DOCKER | {"password": "of-now"})

    house.keyring.before = replace
    assert passwords.get(OF_DOCKER, DOCKER) == DOCKER | {"password": "of-now"}


def test_a_lock_that_another_process_holds_is_waited_for_and_not_for_ever(house: House) -> None:
    passwords = house.passwords("file")
    with lock.held(house.state, "passwords/index.lock", clock=SystemClock(), waiting=lambda _waited: False) as mine:
        assert mine
        with pytest.raises(LockTimeout, match="60 s"):
            passwords.store(OF_GIT, GIT)
    assert 60 <= sum(house.clock.slept) < 61
    passwords.store(OF_GIT, GIT)


@pytest.mark.parametrize("storage", ["keyring", "file"])
def test_secrets_are_in_no_repr_and_no_error(house: House, storage: Storage) -> None:
    passwords = house.passwords(storage)
    passwords.store(OF_GIT, GIT)
    assert "s3cret" not in repr(passwords._read())
    house.state.write(INDEX, house.index.read_bytes().replace(b'"tool"', b'"took"'))
    passwords.get(OF_GIT, HOST)
    assert "s3cret" not in " ".join(house.notes)


def test_a_record_of_a_tool_that_this_version_does_not_know_is_kept(house: House) -> None:
    passwords = house.passwords("file")
    passwords.store(OF_DOCKER, DOCKER)
    index = json.loads(house.index.read_bytes())
    index["records"].append({"tool": "svn", "attributes": {"server": "svn.example.com"}})
    house.index.write_text(json.dumps(index))
    passwords.store(OF_DOCKER, DOCKER | {"password": "another"})
    kept = json.loads(house.index.read_bytes())["records"]
    assert {"svn", "docker"} == {record["tool"] for record in kept}
    assert passwords.listing(OF_DOCKER) == [{"server": "registry.example.com", "username": "ada"}]


# --- many processes ---------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from credential_helper.system.clock import SystemClock
from credential_helper.answers.stored_passwords import DOCKER as OF_DOCKER
from tests.helpers.passwords import House
house = House(Path(sys.argv[1]), SystemClock())
passwords = house.passwords(sys.argv[2])
for turn in range(int(sys.argv[4])):
    passwords.store(OF_DOCKER, {"server": sys.argv[3], "username": "ada", "password": f"{sys.argv[3]} {turn}"})
print(passwords.get(OF_DOCKER, {"server": sys.argv[3]})["password"])
"""


def child(folder: Path, storage: Storage, server: str, turns: int = 1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), storage, server, str(turns)],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("storage", ["keyring", "file"])
def test_twenty_parallel_stores_lose_nothing(tmp_path: Path, house: House, storage: Storage) -> None:
    children = [child(tmp_path, storage, f"r{number}.example.com") for number in range(20)]
    outputs = {process.communicate(timeout=120)[0].strip() for process in children}
    assert outputs == {f"r{number}.example.com 0" for number in range(20)}
    passwords = house.passwords(storage)
    assert {record["server"] for record in passwords.listing(OF_DOCKER)} == {f"r{n}.example.com" for n in range(20)}
    for number in range(20):
        found = passwords.get(OF_DOCKER, {"server": f"r{number}.example.com"})
        assert found is not None
        assert found["password"] == f"r{number}.example.com 0"


@pytest.mark.parametrize("storage", ["keyring", "file"])
def test_whoever_is_killed_leaves_nothing_listed_that_cannot_be_read(
    tmp_path: Path, house: House, storage: Storage
) -> None:
    passwords = house.passwords(storage)
    tool = OF_DOCKER
    passwords.store(tool, DOCKER)
    killed = 0
    for attempt in range(12):
        process = child(tmp_path, storage, "busy.example.com", turns=100_000)
        deadline = time.monotonic() + DEADLINE
        while not any(r["server"] == "busy.example.com" for r in passwords.listing(tool)):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.003 * attempt)
        process.send_signal(signal.SIGKILL)
        killed += process.wait(DEADLINE) == -signal.SIGKILL
        process.communicate()
        for record in passwords.listing(tool):
            assert passwords.get(tool, record) is not None
        assert json.loads(house.index.read_bytes())["version"] == 1
    assert killed == 12
    assert passwords.get(tool, DOCKER) == DOCKER
    assert passwords.erase(tool, {"server": "busy.example.com"}) == 1


@pytest.mark.parametrize(
    ("text", "past"),
    [
        (str(int(NOW) - 1), True),
        (str(int(NOW) + 1), False),
        ("0", False),
        ("", False),
        ("soon", False),
        ("-1", False),
        ("²", False),
        ("9" * 30, False),
    ],
)
def test_expiry_is_read_as_git_reads_it(text: str, past: bool) -> None:
    assert expired({"password_expiry_utc": text}, NOW) is past
    assert not expired({}, NOW)


def test_an_index_of_a_newer_version_is_kept_and_not_read(passwords: Passwords, house: House) -> None:
    newer = b'{"version":2,"records":{"git":[]}}'
    house.state.write(INDEX, newer)
    assert passwords.get(OF_GIT, HOST) is None
    assert passwords.listing(OF_DOCKER) == []
    assert "newer version" in house.notes[0]
    with pytest.raises(StoreError, match="newer version"):
        passwords.store(OF_GIT, GIT)
    assert (house.state.read(INDEX) or (b"",))[0] == newer
    assert house.keyring.names() == []


def test_what_is_too_long_for_a_password_is_not_kept(passwords: Passwords) -> None:
    with pytest.raises(StoreError, match="larger than 8 MiB"):
        passwords.store(OF_GIT, {**GIT, "password": "x" * LARGEST})
    assert passwords.get(OF_GIT, HOST) is None
