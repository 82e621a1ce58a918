from __future__ import annotations

import threading
from pathlib import Path

import pytest

from credential_helper.errors import StoreError
from credential_helper.model import Secret
from credential_helper.stores.private_files import State
from credential_helper.stores.proof_key import digest
from credential_helper.system.clock import SystemClock

ONE, TWO = Secret("one"), Secret("two")


def test_a_digest_is_the_same_in_one_state_directory_and_in_no_other(state: State, tmp_path: Path) -> None:
    found = digest(state, [ONE], clock=SystemClock())
    assert digest(State(state.path), [ONE], clock=SystemClock()) == found
    assert digest(State(str(tmp_path / "other")), [ONE], clock=SystemClock()) != found


def test_every_part_and_where_it_ends_counts(state: State) -> None:
    wanted = [[ONE], [TWO], [], [ONE, TWO], [TWO, ONE], [Secret("onetwo")], [Secret(""), ONE], [Secret("\udcff")]]
    assert len({digest(state, parts, clock=SystemClock()) for parts in wanted}) == len(wanted)


def test_the_key_is_private_and_of_a_damaged_one_another_is_made(state: State) -> None:
    first = digest(state, [ONE], clock=SystemClock())
    path = Path(state.locate("proof/key"))
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    again = digest(state, [ONE], clock=SystemClock())
    assert again != first
    assert digest(state, [ONE], clock=SystemClock()) == again


def test_of_several_that_come_first_one_makes_the_key(tmp_path: Path) -> None:
    found: set[str | None] = set()
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        found.add(digest(State(str(tmp_path / "state")), [ONE], clock=SystemClock()))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_without_a_disk_there_is_no_digest(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError):
        digest(State(str(tmp_path / "state")), [ONE], clock=SystemClock())
