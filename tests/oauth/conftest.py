"""A provider per test, the person's side of a grant, and silence on stderr."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.servers.hostile_provider import HostileProvider, answer
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS
from tests.helpers.interaction import FakeStage
from tests.helpers.providers import World


@pytest.fixture
def hostile(clock: FakeClock) -> Iterator[HostileProvider]:
    """Run a provider that says where its endpoints are, and whose token endpoint gives tokens."""
    with HostileProvider(now=clock.now) as provider:
        provider.serve_metadata()
        provider.script("/token", answer(TOKENS))
        yield provider


@pytest.fixture
def stage(clock: FakeClock) -> FakeStage:
    return FakeStage(clock)


@pytest.fixture
def world(clock: FakeClock) -> Iterator[World]:
    with HostileProvider(now=clock.now) as hostile:
        yield World(hostile, clock)


@pytest.fixture
def silent_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr().err == ""
