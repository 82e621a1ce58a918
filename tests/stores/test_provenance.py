"""A state directory that a variable chose: what others brought there is not ours, whatever its owner and its mode."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from credential_helper.errors import StoreError
from credential_helper.stores.documents import DiskDocuments
from credential_helper.stores.private_files import State

NAME = "metadata/a.json"


def chosen(folder: Path, notes: list[str] | None = None) -> State:
    return State(str(folder), default=False, note=notes.append if notes is not None else lambda _line: None)


def plant(folder: Path, content: bytes, name: str = NAME) -> Path:
    """Write a file as an archive does that keeps private modes."""
    file = folder / name
    for part in (folder, file.parent):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o600)
    return file


def test_what_this_program_wrote_there_is_read_again(tmp_path: Path) -> None:
    stamp = chosen(tmp_path / "state").write(NAME, b'{"a":1}')
    assert chosen(tmp_path / "state").read(NAME) == (b'{"a":1}', stamp)
    chosen(tmp_path / "state").write(NAME, b'{"a":2}')
    found = chosen(tmp_path / "state").read(NAME)
    assert found is not None
    assert found[0] == b'{"a":2}'


def test_a_planted_file_counts_as_absent_and_that_is_said(tmp_path: Path) -> None:
    file = plant(tmp_path / "state", b'{"a":1}')
    notes: list[str] = []
    assert chosen(tmp_path / "state", notes).read(NAME) is None
    assert notes == [f"{file} was not written there by this program: it counts as absent"]
    assert DiskDocuments(chosen(tmp_path / "state")).read("a.json") is None
    chosen(tmp_path / "state").write(NAME, b"ours")
    assert (chosen(tmp_path / "state").read(NAME) or (b"",))[0] == b"ours"


def test_a_directory_that_was_copied_with_all_its_proofs_is_not_taken_over(tmp_path: Path) -> None:
    chosen(tmp_path / "state").write(NAME, b"content")
    shutil.copytree(tmp_path / "state", tmp_path / "copy", copy_function=shutil.copy2)
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o700
    assert chosen(tmp_path / "copy").read(NAME) is None


def test_a_file_that_comes_later_is_not_read(tmp_path: Path) -> None:
    chosen(tmp_path / "state").write("sessions/b.json", b"content")
    chosen(tmp_path / "elsewhere").write(NAME, b"planted")
    plant(tmp_path / "state", (tmp_path / "elsewhere" / NAME).read_bytes())
    assert chosen(tmp_path / "state").read(NAME) is None
    assert chosen(tmp_path / "state").read("sessions/b.json") is not None


def test_a_proof_is_for_one_name_and_one_content(tmp_path: Path) -> None:
    state = chosen(tmp_path / "state")
    state.write("sessions/b.json", b"content")
    whole = (tmp_path / "state/sessions/b.json").read_bytes()
    plant(tmp_path / "state", whole)
    assert state.read(NAME) is None
    for changed in (whole.replace(b"content", b"CONTENT"), whole[:-1], whole + b"\n", whole[1:], b""):
        plant(tmp_path / "state", changed, "sessions/b.json")
        assert state.read("sessions/b.json") is None


def test_two_processes_that_come_first_read_each_other(tmp_path: Path) -> None:
    """Each has made a key before it saw the other's."""
    one, two = chosen(tmp_path / "state"), chosen(tmp_path / "state")
    one.write("sessions/a.json", b"one")
    (origin,) = (tmp_path / "state").glob("origin-*")
    hidden = origin.rename(tmp_path / "state" / ("x" + origin.name))
    two.write("sessions/b.json", b"two")
    assert hidden.rename(origin).exists()
    # A renamed file's change time is another one, so the first key is gone; what the second one wrote is not.
    assert chosen(tmp_path / "state").read("sessions/b.json") is not None


def test_only_a_file_of_the_right_form_makes_a_key(tmp_path: Path) -> None:
    state = chosen(tmp_path / "state")
    state.write(NAME, b"content")
    (origin,) = (tmp_path / "state").glob("origin-*")
    assert (origin.stat().st_size, origin.stat().st_mtime_ns, stat.S_IMODE(origin.stat().st_mode)) == (0, 0, 0o600)
    os.utime(origin, ns=(1, 1))
    assert chosen(tmp_path / "state").read(NAME) is None


@pytest.mark.parametrize("name", ["", "metadata", NAME])
def test_what_others_can_read_is_not_adopted(tmp_path: Path, name: str) -> None:
    chosen(tmp_path / "state").write(NAME, b"content")
    path = tmp_path / "state" / name
    path.chmod(0o755 if path.is_dir() else 0o644)
    with pytest.raises(StoreError, match="can be read by others") as caught:
        chosen(tmp_path / "state").read(NAME)
    assert caught.value.hint is not None
    assert "CREDENTIAL_HELPER_STATE_DIR" in caught.value.hint
    assert stat.S_IMODE(path.stat().st_mode) in (0o755, 0o644)
    if name == "":
        assert f"chmod 700 {path}" in caught.value.hint


def test_an_empty_folder_that_was_made_for_it_is_closed_and_used(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    chosen(tmp_path / "state").write(NAME, b"content")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
