"""What is kept of a provider from one process to the next, and who shares it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from credential_helper.errors import TransportError
from credential_helper.model import Endpoints
from credential_helper.oauth.discovery.cache import FORMAT
from integration.servers.hostile_provider import HostileProvider
from tests.helpers.clock import FakeClock
from tests.helpers.providers import DAY, OPENID, World

pytestmark = pytest.mark.usefixtures("silent_stderr")


# --- what counts ------------------------------------------------------------------------------------------------------


def test_metadata_from_the_future_is_old(world: World) -> None:
    world.hostile.serve_metadata()
    world.clock.advance(300 * DAY)
    world.process().metadata()
    world.clock.advance(-300 * DAY)
    world.process().metadata(fresh=True)
    assert world.asked() == 2
    world.clock.advance(-59)
    world.process().metadata(fresh=True)
    assert world.asked() == 2
    world.clock.advance(-2)
    world.process().metadata(fresh=True)
    assert world.asked() == 3


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"format": 1, "made": "now", "document": 7}'],
)
def test_a_damaged_document_counts_as_absent(world: World, damage: bytes) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    for name in world.disk.kept:
        world.disk.kept[name] = damage
    assert world.process().metadata().token_endpoint.endswith("/token")
    assert world.asked() == 2
    assert world.said("counts as absent")


def test_a_document_of_another_version_counts_as_absent(world: World) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    world.disk.change("json", format=FORMAT + 1)
    world.process().metadata()
    assert world.asked() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"token_endpoint": "https://evil.example/"},
        {"issuer": "https://evil.example/"},
        {"token_endpoint": 7},
        {"issuer": None},
    ],
)
def test_what_was_kept_is_judged_again(world: World, change: dict[str, object]) -> None:
    document = world.hostile.serve_metadata()
    world.process().metadata()
    world.disk.change("json", document={**document, **change})
    assert world.process().metadata().token_endpoint == f"{world.hostile.url}/token"
    assert world.asked() == 2
    assert world.said("cannot be used")


# --- who shares what --------------------------------------------------------------------------------------------------


def test_two_issuers_share_nothing(world: World) -> None:
    world.hostile.serve_metadata()
    world.process().metadata()
    other = f"{world.hostile.url}/other"
    world.hostile.serve_metadata(f"/other{OPENID}", issuer=other)
    assert world.process(issuer=other).metadata().issuer == other
    assert len(world.disk.kept) == 2


def test_two_profiles_of_an_issuer_share_its_document_but_not_their_endpoints(world: World) -> None:
    world.hostile.serve_metadata()
    world.process(endpoints=Endpoints(token=f"{world.hostile.url}/mine")).metadata()
    assert world.process(client_id="other").metadata().token_endpoint == f"{world.hostile.url}/token"
    assert world.asked() == 1


def test_what_is_believed_by_one_ca_file_is_not_believed_by_another(clock: FakeClock) -> None:
    with HostileProvider(tls="good", now=clock.now) as secure:
        world = World(secure, clock)
        secure.serve_metadata()
        world.process(ca_file=secure.ca_file).metadata()
        with pytest.raises(TransportError, match="not trusted"):
            world.process().metadata()


def test_a_path_of_a_ca_file_need_not_be_utf8(clock: FakeClock, tmp_path: Path) -> None:
    """A HOME of other bytes comes with ``ca_file = "~/…"``."""
    with HostileProvider(tls="good", now=clock.now) as secure:
        world = World(secure, clock)
        secure.serve_metadata()
        path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.pem")
        shutil.copy(secure.ca_file, path)
        os.chmod(path, 0o600)
        world.process(ca_file=path).metadata()
        assert world.process(ca_file=path).metadata()
        assert world.asked() == 1


# --- client authentication --------------------------------------------------------------------------------------------


def test_what_worked_is_kept_by_client_and_outlives_a_renewal(world: World) -> None:
    world.hostile.serve_metadata()
    provider = world.process()
    assert provider.authentication_worked is None
    provider.authentication_worked = "post"
    assert provider.authentication_worked == "post"
    provider.metadata()
    assert world.process().authentication_worked == "post"
    assert world.process(client_id="other").authentication_worked is None
    world.process().renew_metadata()
    assert world.process().authentication_worked == "post"
    world.process().authentication_worked = "basic"
    assert world.process().authentication_worked == "basic"
    world.process().authentication_worked = None
    assert world.process().authentication_worked is None
    assert world.asked() == 2, "none of this takes the metadata away"


def test_what_worked_is_kept_without_metadata_too(world: World) -> None:
    endpoints = Endpoints(token=f"{world.hostile.url}/token")
    settings: dict[str, Any] = {"flow": "client-credentials", "endpoints": endpoints}
    world.process(**settings).authentication_worked = "post"
    assert world.process(**settings).authentication_worked == "post"
    world.disk.change("json", authentication={"cli": "magic"})
    assert world.process(**settings).authentication_worked is None
