"""What the tests of stores share: a state directory that is not there yet, and a keyring that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from credential_helper.stores.private_files import State
from tests.helpers.keyrings import MemoryKeyring


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(str(tmp_path / "state"))


@pytest.fixture
def keyring() -> MemoryKeyring:
    return MemoryKeyring()
