from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from credential_helper.errors import ConfigurationError, LockTimeout, StoreError, UsageError
from credential_helper.model import Secret
from credential_helper.stores import lock
from credential_helper.stores.named_secrets import INDEX, NamedSecrets
from credential_helper.stores.private_files import State
from credential_helper.system.clock import SystemClock
from tests.helpers.clock import FakeClock
from tests.helpers.keyrings import LOCKED, FolderKeyring
from tests.helpers.programs import CHECKOUT

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n"


class House:
    """A state directory, a keyring, and what was said."""

    def __init__(self, folder: Path) -> None:
        self.state = State(str(folder / "state"))
        self.keyring = FolderKeyring(folder / "keyring")
        self.clock = FakeClock()
        self.notes: list[str] = []
        self.secrets = NamedSecrets(self.state, self.keyring, clock=self.clock, note=self.notes.append)

    @property
    def index(self) -> Path:
        return Path(self.state.locate(INDEX))

    def on_disk(self) -> bytes:
        return b"".join(file.read_bytes() for file in Path(str(self.state.path)).rglob("*") if file.is_file())

    def truthful(self) -> bool:
        """Say whether all that was put into the keyring is listed."""
        return set(self.keyring.names()) <= set(self.secrets.names())

    def beside(self, folder: Path) -> House:
        """Return another home of the same person: it has the same keyring."""
        folder.mkdir()
        other = House(folder)
        other.secrets = NamedSecrets(other.state, self.keyring, clock=other.clock, note=other.notes.append)
        return other


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --- set, read, list, delete ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["s3cr3t", " wörd ", PEM, "x" * 65536], ids=["plain", "spaces", "pem", "64 KiB"])
def test_what_is_set_is_read_whole_and_is_nowhere_on_disk(house: House, value: str) -> None:
    assert house.secrets.set("ci", Secret(value)) is False
    assert house.secrets.read("ci") == Secret(value)
    assert house.secrets.names() == ("ci",)
    assert house.keyring.names() == ["ci"]
    assert value.encode() not in house.on_disk()
    assert house.truthful()


def test_a_second_one_replaces_the_first(house: House) -> None:
    house.secrets.set("ci", Secret("old"))
    assert house.secrets.set("ci", Secret("new")) is True
    assert house.secrets.read("ci") == Secret("new")
    assert house.secrets.names() == ("ci",)


def test_whoever_sets_or_deletes_a_secret_empties_the_replies(house: House) -> None:
    """A kept answer of a machine is compared with no keyring: it goes with the secret that it was made with."""
    for change in (
        lambda: house.secrets.set("ci", Secret("old")),
        lambda: house.secrets.set("ci", Secret("new")),
        lambda: house.secrets.delete("ci"),
    ):
        house.state.write("replies/9-a", b"an answer")
        change()
        assert house.state.names("replies") == []


def test_replies_go_also_where_the_keyring_does_not_say_what_it_did(house: House) -> None:
    house.secrets.set("ci", Secret("old"))
    silent = StoreError("the keyring does not answer")
    house.keyring.refuses = {"write": silent, "delete": silent}
    for change in (lambda: house.secrets.set("ci", Secret("new")), lambda: house.secrets.delete("ci")):
        house.state.write("replies/9-a", b"an answer")
        with pytest.raises(StoreError):
            change()
        assert house.state.names("replies") == []


def test_names_are_sorted_and_apart(house: House) -> None:
    for name in ("b", "a.1", "A", "_", "-", "x" * 100):
        house.secrets.set(name, Secret(f"secret of {name}"))
    assert house.secrets.names() == tuple(sorted(("b", "a.1", "A", "_", "-", "x" * 100)))
    assert house.secrets.read("A") == Secret("secret of A")
    house.secrets.delete("b")
    assert "b" not in house.secrets.names()
    assert house.secrets.find("b") is None
    assert house.secrets.find("a.1") == Secret("secret of a.1")


def test_nothing_set_is_said_and_makes_no_directory(house: House) -> None:
    assert house.secrets.find("ci") is None
    with pytest.raises(ConfigurationError, match="the keyring has no secret ci") as caught:
        house.secrets.read("ci")
    assert caught.value.hint == "credential-helper secret set ci"
    assert house.secrets.names() == ()
    assert not Path(str(house.state.path)).exists()


def test_a_secret_needs_no_state_directory_to_be_read(house: House) -> None:
    """A profile is served where the disk is not: on a read-only home, in another home."""
    house.secrets.set("ci", Secret("s3cr3t"))
    elsewhere = NamedSecrets(State(None), house.keyring, clock=house.clock, note=house.notes.append)
    assert elsewhere.read("ci") == Secret("s3cr3t")
    with pytest.raises(StoreError):
        elsewhere.names()


def test_what_is_not_there_cannot_be_deleted(house: House) -> None:
    with pytest.raises(ConfigurationError, match="the keyring has no secret ci") as caught:
        house.secrets.delete("ci")
    assert caught.value.hint == "credential-helper secret list"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../a", "ä", "a\n", "x" * 101, "a=b"])
def test_what_is_no_name_is_refused_without_repeating_it(house: House, name: str) -> None:
    for call in (lambda: house.secrets.set(name, Secret("s")), lambda: house.secrets.delete(name)):
        with pytest.raises(UsageError) as caught:
            call()
        assert not name or name not in caught.value.sentence
    assert house.keyring.calls == []


def test_the_index_is_private(house: House) -> None:
    house.secrets.set("ci", Secret("s3cr3t"))
    assert stat.S_IMODE(house.index.stat().st_mode) == 0o600
    assert stat.S_IMODE(house.index.parent.stat().st_mode) == 0o700
    assert json.loads(house.index.read_bytes()) == {"version": 1, "names": ["ci"]}


def test_a_record_of_another_home_is_replaced_listed_and_deleted(house: House, tmp_path: Path) -> None:
    """Two homes with one keyring share its named secrets: that is what the name is for."""
    other = house.beside(tmp_path / "other")
    house.secrets.set("ci", Secret("old"))
    assert other.secrets.names() == ()
    assert other.secrets.set("ci", Secret("new")) is True
    assert other.secrets.names() == ("ci",)
    assert house.secrets.read("ci") == Secret("new")
    other.secrets.delete("ci")
    assert house.secrets.find("ci") is None
    house.secrets.delete("ci")  # it is listed there: this clears the list
    assert house.secrets.names() == ()


def test_a_name_whose_record_was_deleted_elsewhere_can_be_set_and_deleted(house: House) -> None:
    house.secrets.set("ci", Secret("old"))
    (house.keyring.folder / "ci").unlink()
    assert house.secrets.set("ci", Secret("new")) is False
    assert house.truthful()
    (house.keyring.folder / "ci").unlink()
    house.secrets.delete("ci")
    assert house.secrets.names() == ()


# --- a keyring that cannot be used now --------------------------------------------------------------------------------

NONE = StoreError("there is no keyring here", hint='store = "file" in the profile keeps the refresh token in a file')


@pytest.mark.parametrize(("error", "first"), [(LOCKED, "unlock the keyring; or write"), (NONE, "write { file = … }")])
@pytest.mark.parametrize("call", ["read", "write", "delete"])
def test_a_keyring_that_fails_changes_nothing_and_the_hint_is_about_secrets(
    house: House, error: StoreError, first: str, call: str
) -> None:
    house.secrets.set("ci", Secret("old"))
    before = house.index.read_bytes()
    house.keyring.refuses = {call: StoreError(error.sentence, hint=error.hint)}
    work: dict[str, Callable[[], object]] = {
        "read": lambda: house.secrets.read("ci"),
        "write": lambda: house.secrets.set("ci", Secret("new")),
        "delete": lambda: house.secrets.delete("ci"),
    }
    with pytest.raises(StoreError) as caught:
        work[call]()
    assert caught.value.sentence == error.sentence
    assert (caught.value.hint or "").startswith(first)
    assert "refresh token" not in (caught.value.hint or "")
    house.keyring.refuses = {}
    assert house.index.read_bytes() == before
    assert house.secrets.read("ci") == Secret("old")


def test_a_new_secret_that_is_not_kept_is_not_listed(house: House) -> None:
    house.keyring.refuses = {"write": LOCKED}
    with pytest.raises(StoreError):
        house.secrets.set("ci", Secret("s3cr3t"))
    house.keyring.refuses = {}
    assert house.secrets.names() == ()
    assert house.secrets.set("ci", Secret("s3cr3t")) is False
    assert house.truthful()


def test_a_new_secret_that_may_be_kept_all_the_same_is_listed(house: House) -> None:
    """It was not read back, or a dialog was answered too late: somebody has to see that it is there."""

    def slow(call: str) -> None:
        if call == "write":
            house.keyring.refuses = {"read": LOCKED}
            raise StoreError("the keyring did not answer within 3 s")

    house.keyring.after = slow
    with pytest.raises(StoreError, match="did not answer"):
        house.secrets.set("ci", Secret("s3cr3t"))
    assert house.keyring.names() == ["ci"]
    assert house.secrets.names() == ("ci",)


def test_a_disk_that_fails_keeps_nothing_in_the_keyring(house: House) -> None:
    house.state.prepare("secrets")
    house.index.with_name("index.json.new").mkdir()
    with pytest.raises(StoreError):
        house.secrets.set("ci", Secret("s3cr3t"))
    assert house.keyring.names() == []


def test_a_damaged_index_counts_as_absent_and_is_said(house: House) -> None:
    house.secrets.set("ci", Secret("s3cr3t"))
    for content in (b"", b"{", b"\xff", b"[" * 100_000, b'{"names": ["a/b"]}', b'{"names": "ci"}'):
        house.index.write_bytes(content)
        house.notes.clear()
        assert house.secrets.names() == ()
        assert house.notes == ["the index of secrets is damaged or of another version: it counts as absent"]
    assert house.secrets.read("ci") == Secret("s3cr3t")
    assert house.secrets.set("ci", Secret("new")) is True
    assert house.secrets.names() == ("ci",)


def test_an_index_of_a_newer_version_is_kept_and_not_read(house: House) -> None:
    house.secrets.set("ci", Secret("s3cr3t"))
    house.index.write_bytes(b'{"version": 2, "names": {}}')
    for use in (house.secrets.names, lambda: house.secrets.set("ci", Secret("x")), lambda: house.secrets.delete("ci")):
        with pytest.raises(StoreError, match="newer version"):
            use()
    assert house.index.read_bytes() == b'{"version": 2, "names": {}}'
    assert house.secrets.read("ci") == Secret("s3cr3t")


# --- a process that is killed -----------------------------------------------------------------------------------------

WORK = """\
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from credential_helper.system.clock import SystemClock
from credential_helper.model import Secret
from credential_helper.stores.private_files import State
from credential_helper.stores.named_secrets import NamedSecrets
from tests.helpers.keyrings import FolderKeyring

folder, action, name, value, where, call = sys.argv[2:]
keyring = FolderKeyring(Path(folder) / "keyring")

def die(made):
    if made == call:
        os.kill(os.getpid(), signal.SIGKILL)

setattr(keyring, where, die)
secrets = NamedSecrets(State(folder + "/state"), keyring, clock=SystemClock(), note=print)
if action == "set":
    secrets.set(name, Secret(value))
else:
    secrets.delete(name)
"""


def work(folder: Path, action: str, name: str, value: str = "", where: str = "", call: str = "") -> list[str]:
    return [sys.executable, "-c", WORK, str(CHECKOUT), str(folder), action, name, value, where or "before", call]


@pytest.mark.parametrize(
    ("action", "call", "there"), [("set", "write", False), ("set", "write", True), ("delete", "delete", True)]
)
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_killed_process_leaves_nothing_in_the_keyring_that_is_not_listed(
    house: House, tmp_path: Path, action: str, call: str, where: str, *, there: bool
) -> None:
    house.secrets.set("other", Secret("untouched"))
    if there:
        house.secrets.set("ci", Secret("old"))
    done = subprocess.run(work(tmp_path, action, "ci", "new", where, call), timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert house.secrets.names() == ("ci", "other")
    kept = {("set", "before"): "old" if there else None, ("set", "after"): "new", ("delete", "before"): "old"}
    expected = kept.get((action, where))
    assert house.secrets.find("ci") == (Secret(expected) if expected else None)
    house.secrets.delete("ci")  # mends it, whatever it was
    assert house.secrets.names() == ("other",)
    assert house.keyring.names() == ["other"]


def test_what_a_killed_process_left_can_be_set_again(house: House, tmp_path: Path) -> None:
    subprocess.run(work(tmp_path, "set", "ci", "half", "before", "write"), timeout=60)
    assert house.secrets.set("ci", Secret("whole")) is False
    assert house.secrets.read("ci") == Secret("whole")
    assert house.truthful()


@pytest.mark.parametrize("action", ["set", "delete"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_what_a_killed_process_left_costs_no_other_home_its_secret(
    house: House, tmp_path: Path, action: str, where: str
) -> None:
    """The index is a home's, the keyring the person's: a change here must not delete what was set there since."""
    if action == "delete":
        house.secrets.set("ci", Secret("old"))
    subprocess.run(work(tmp_path, action, "ci", "half", where, "write" if action == "set" else "delete"), timeout=60)
    house.beside(tmp_path / "other").secrets.set("ci", Secret("good"))
    house.secrets.set("x", Secret("any"))
    house.secrets.delete("x")
    assert house.secrets.read("ci") == Secret("good")


# --- several at once --------------------------------------------------------------------------------------------------


def test_two_at_once_lose_nothing(house: House, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(4)]
    running = [subprocess.Popen(work(tmp_path, "set", name, f"secret of {name}")) for name in names]
    assert [process.wait(60) for process in running] == [0] * 4
    assert house.secrets.names() == tuple(names)
    assert house.keyring.names() == names
    assert house.truthful()


def test_of_two_that_set_the_same_one_wins_whole(house: House, tmp_path: Path) -> None:
    values = ["a" * 5000, "b" * 5000]
    running = [subprocess.Popen(work(tmp_path, "set", "ci", value)) for value in values]
    assert [process.wait(60) for process in running] == [0, 0]
    assert house.secrets.read("ci").reveal() in values
    assert house.truthful()


def test_a_lock_that_is_never_free_is_a_lock_timeout(house: House) -> None:
    house.secrets.set("ci", Secret("old"))
    with (
        lock.held(house.state, "secrets/index.lock", clock=SystemClock(), waiting=lambda _waited: False),
        pytest.raises(LockTimeout),
    ):
        house.secrets.set("ci", Secret("new"))
    assert sum(house.clock.slept) >= lock.DEADLINE
    assert house.secrets.read("ci") == Secret("old")


def test_readers_take_no_lock(house: House) -> None:
    house.secrets.set("ci", Secret("s3cr3t"))
    with lock.held(house.state, "secrets/index.lock", clock=SystemClock(), waiting=lambda _waited: False):
        assert house.secrets.read("ci") == Secret("s3cr3t")
        assert house.secrets.names() == ("ci",)
    assert house.clock.slept == []
    assert os.listdir(house.index.parent)
