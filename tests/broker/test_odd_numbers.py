"""Whatever number a provider sends, the call ends with a token or with an error of ours, and what came is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.errors import CredentialHelperError
from credential_helper.session import Session
from integration.servers.hostile_provider import Behaviour, HostileProvider, answer
from tests.helpers.broker import CODE, DEVICE, TOKEN, World
from tests.helpers.clock import FakeClock

LITERALS = [
    "0",
    "-1",
    "-0.0",
    "1e308",
    "-1e308",
    "1e400",
    "1e-400",
    "1" + "0" * 400,
    "-1" + "0" * 400,
    "9" * 5000,
    "NaN",
    "Infinity",
    "-Infinity",
    "true",
    '"1e3"',
    '"' + "9" * 5000 + '"',
    '"NaN"',
    "null",
    "[]",
    "{}",
    "253402300800",
    "1e18",
]
JSON = "application/json"


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    with HostileProvider(now=clock.now) as provider:
        yield World(provider, tmp_path / "state", clock)


def with_literal(body: dict[str, object], member: str, literal: str) -> Behaviour:
    """Answer with a literal that no library would write."""
    written = json.dumps({**body, member: "@@@"}).replace('"@@@"', literal)
    return answer(written.encode(), 200, {"Content-Type": JSON})


def outcome(world: World, **request: Any) -> str | CredentialHelperError:
    found: str | CredentialHelperError
    try:
        found = world.token(**request)
    except CredentialHelperError as error:
        found = error
    if isinstance(found, CredentialHelperError):
        assert found.exit_code != 70, found
        assert found.sentence.isprintable()
        assert len(found.sentence) < 1000
    return found


def keeps_its_head(session: Session) -> None:
    """Check that what is kept is a number that every reader takes."""
    for token in (session.access, session.id):
        if token is not None and token.expires_at is not None:
            assert abs(token.expires_at) < 1e12
            assert msgspec.json.decode(msgspec.json.encode(token.expires_at)) == token.expires_at


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("member", ["expires_in", "refresh_expires_in", "created_at"])
def test_a_number_of_a_token_answer(world: World, literal: str, member: str) -> None:
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, with_literal(world.tokens(), member, literal))
    assert outcome(world) == "access-1"
    keeps_its_head(world.session)
    world.provider.script(TOKEN, with_literal(world.tokens(), member, literal))
    world.obtain("renew")
    assert world.refresh_tokens() == ["refresh-2"]
    keeps_its_head(world.session)


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("member", ["expires_in", "interval"])
def test_a_number_of_a_device_authorization(world: World, literal: str, member: str) -> None:
    world.provider.script(DEVICE, with_literal(CODE, member, literal))
    world.provider.script(TOKEN, answer(world.tokens()))
    assert outcome(world) == "access-1"


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "auth_time"])
@pytest.mark.parametrize("kind", ["access", "id"])
def test_a_number_of_a_jwt(world: World, literal: str, claim: str, kind: str) -> None:
    header, _, signature = world.id_token().split(".")
    claims = json.dumps({**world.provider.claims("client"), claim: "@@@"}).replace('"@@@"', literal)
    token = world.key.sign_raw(claims.encode())
    world.approves(id_token=token, access_token=f"{header}.{token.split('.')[1]}.{signature}")
    found = outcome(world, token=kind)
    assert isinstance(found, str) or kind == "id"
    assert world.refresh_tokens() == ["refresh-1"]
    keeps_its_head(world.session)


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["Retry-After", "X-Rate-Limit-Reset", "RateLimit"])
def test_a_number_of_a_pause(world: World, literal: str, status: int, header: str) -> None:
    world.signed_in()
    world.clock.advance(3600)
    value = f"t={literal}" if header == "RateLimit" else literal
    world.provider.script(TOKEN, answer("later", status, {header: value[:4000]}))
    assert isinstance(outcome(world), CredentialHelperError)
    assert world.refresh_tokens() == ["refresh-1"]
