"""The private directory: what is trusted, what is closed, what is refused, and what a killed writer leaves."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from credential_helper.errors import StoreError
from credential_helper.stores.private_files import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(str(tmp_path / "deep" / "down" / "state"))


def path(state: State, name: str) -> Path:
    return Path(state.locate(name))


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_what_is_written_is_read(state: State) -> None:
    stamp = state.write("sessions/a.json", b"content")
    assert state.read("sessions/a.json") == (b"content", stamp)
    assert state.stamp("sessions/a.json") == stamp


def test_nothing_is_made_by_reading(state: State, tmp_path: Path) -> None:
    assert state.read("sessions/a.json") is None
    assert state.names("sessions") == []
    assert list(tmp_path.iterdir()) == []


def test_folders_are_0700_and_files_0600_whatever_the_umask(state: State) -> None:
    old = os.umask(0)
    try:
        state.write("sessions/a.json", b"content")
    finally:
        os.umask(old)
    assert mode(path(state, "sessions/a.json")) == 0o600
    assert mode(path(state, "sessions")) == 0o700
    assert mode(Path(state.locate("x")).parent) == 0o700


def test_too_open_but_ours_is_closed(state: State) -> None:
    state.write("sessions/a.json", b"content")
    path(state, "sessions/a.json").chmod(0o644)
    path(state, "sessions").chmod(0o755)
    again = State(state.path)
    assert again.read("sessions/a.json") is not None
    assert mode(path(state, "sessions/a.json")) == 0o600
    assert mode(path(state, "sessions")) == 0o700


@pytest.mark.parametrize("name", ["", "sessions", "sessions/a.json"])
def test_writable_by_others_is_unsafe(state: State, name: str) -> None:
    state.write("sessions/a.json", b"content")
    file = path(state, name) if name else Path(str(state.path))
    file.chmod(mode(file) | 0o020)
    with pytest.raises(StoreError, match="writable by others"):
        State(state.path).read("sessions/a.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["", "sessions", "sessions/a.json"])
def test_somebody_elses_is_unsafe(state: State, name: str) -> None:
    state.write("sessions/a.json", b"content")
    os.chown(path(state, name) if name else str(state.path), 12345, -1)
    with pytest.raises(StoreError, match="belongs to somebody else"):
        State(state.path).read("sessions/a.json")


def test_a_linked_folder_is_unsafe(state: State, tmp_path: Path) -> None:
    state.write("sessions/a.json", b"content")
    path(state, "sessions").rename(tmp_path / "elsewhere")
    path(state, "sessions").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="symbolic link"):
        State(state.path).read("sessions/a.json")


def test_a_linked_file_is_unsafe(state: State, tmp_path: Path) -> None:
    state.write("sessions/a.json", b"content")
    path(state, "sessions/a.json").rename(tmp_path / "elsewhere")
    path(state, "sessions/a.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="symbolic link"):
        state.read("sessions/a.json")


def test_a_linked_new_file_is_not_followed(state: State, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state.write("sessions/a.json", b"content")
    path(state, "sessions/a.json.new").symlink_to(victim)
    with pytest.raises(StoreError):
        state.write("sessions/a.json", b"other")
    assert victim.read_text() == "precious"


def test_parents_may_be_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    state = State(str(tmp_path / "link" / "state"))
    state.write("sessions/a.json", b"content")
    assert state.read("sessions/a.json") is not None


def test_a_folder_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError):
        State(str(tmp_path / "state")).write("sessions/a.json", b"content")
    with pytest.raises(StoreError):
        State(str(tmp_path / "state" / "below")).write("sessions/a.json", b"content")


def test_no_place_at_all_says_what_to_set() -> None:
    with pytest.raises(StoreError) as caught:
        State(None).read("sessions/a.json")
    assert caught.value.hint is not None
    assert "CREDENTIAL_HELPER_STATE_DIR" in caught.value.hint


def test_a_killed_writer_leaves_one_file_that_the_next_save_overwrites(state: State) -> None:
    for _ in range(3):
        state.reserve("sessions/a.json")  # never committed, never discarded: as if killed
    assert state.names("sessions") == ["a.json.new"]
    state.write("sessions/a.json", b"content")
    assert state.names("sessions") == ["a.json"]


def test_a_reservation_that_is_not_committed_changes_nothing(state: State) -> None:
    state.write("sessions/a.json", b"old")
    with state.reserve("sessions/a.json") as reservation:
        assert path(state, "sessions/a.json.new").stat().st_size == 3 + 16 * 1024
        assert reservation is not None
    found = state.read("sessions/a.json")
    assert found is not None
    assert found[0] == b"old"
    assert state.names("sessions") == ["a.json"]


def test_a_full_disk_is_noticed_before_and_loses_nothing(state: State) -> None:
    import resource
    import signal

    state.write("sessions/a.json", b"old")
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            state.reserve("sessions/a.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    found = state.read("sessions/a.json")
    assert found is not None
    assert found[0] == b"old"
    assert state.names("sessions") == ["a.json"]


def test_the_stamp_of_a_written_file_holds_after_the_replacement(state: State) -> None:
    stamp = state.write("sessions/a.json", b"one")
    found = state.read("sessions/a.json")
    assert found is not None
    assert found[1] == stamp


def test_what_cannot_be_removed_does_not_save_the_rest(state: State) -> None:
    for name in ("a", "b", "c"):
        state.write(f"replies/{name}", b"1")
    path(state, "replies/aa").mkdir()
    state.empty("replies")
    assert state.names("replies") == ["aa"]


def test_empty_and_remove(state: State) -> None:
    state.write("replies/a", b"1")
    state.write("replies/b", b"2")
    state.remove("replies/a")
    state.remove("replies/a")
    assert state.names("replies") == ["b"]
    state.empty("replies")
    state.empty("nothing")
    assert state.names("replies") == []
