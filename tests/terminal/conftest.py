"""A terminal per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.terminal import Pty


@pytest.fixture
def screen() -> Iterator[Pty]:
    opened = Pty()
    yield opened
    opened.close()
