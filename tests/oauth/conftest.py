"""A provider per test, and silence on stderr."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.servers.hostile_provider import HostileProvider
from tests.helpers.clock import FakeClock
from tests.helpers.providers import World


@pytest.fixture
def world(clock: FakeClock) -> Iterator[World]:
    with HostileProvider(now=clock.now) as hostile:
        yield World(hostile, clock)


@pytest.fixture
def silent_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr().err == ""
