"""The umask that tests run under."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def umask() -> Iterator[None]:
    """Write what tests write as most people would: under umask 000 every config file would be one to refuse."""
    before = os.umask(0o022)
    yield
    os.umask(before)
