from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args, get_type_hints

import pytest

from credential_helper.errors import ConfigurationError
from credential_helper.model import Profile, Secret
from credential_helper.oauth import grants
from integration.hostile_provider import HostileProvider, answer
from tests.conftest import FakeClock
from tests.test_device_authorization import DEVICE, FakeStage
from tests.test_token_endpoint import TOKENS, provider_at


@pytest.fixture
def hostile(clock: FakeClock) -> Iterator[HostileProvider]:
    with HostileProvider(now=clock.now) as provider:
        provider.serve_metadata()
        provider.script("/device/code", answer(DEVICE))
        provider.script("/token", answer(TOKENS))
        yield provider


@pytest.mark.parametrize("flow", ["auto", "device"])
def test_a_person_signs_in_with_a_code(hostile: HostileProvider, clock: FakeClock, flow: str) -> None:
    stage: grants.Stage = (fake := FakeStage(clock))
    grants.sign_in(provider_at(hostile, clock, flow=flow), stage)
    assert [prompt.user_code for prompt in fake.asked] == ["WDJB-MJHT"]
    assert [tokens.access_token for tokens in fake.tokens] == [Secret("at-1")]


def test_a_machine_signs_in_with_its_credentials(hostile: HostileProvider, clock: FakeClock) -> None:
    stage = FakeStage(clock)
    grants.sign_in(provider_at(hostile, clock, flow="client-credentials", secret="s3cr3t"), stage)
    assert not stage.asked
    assert [tokens.access_token for tokens in stage.tokens] == [Secret("at-1")]


@pytest.mark.parametrize("flow", ["authorization-code", "password"])
def test_a_flow_that_comes_later_names_what_works(hostile: HostileProvider, clock: FakeClock, flow: str) -> None:
    with pytest.raises(ConfigurationError, match=f'flow = "{flow}" is not supported yet') as caught:
        grants.sign_in(provider_at(hostile, clock, flow=flow), FakeStage(clock))
    assert 'flow = "device"' in (caught.value.hint or "")
    assert 'flow = "client-credentials"' in (caught.value.hint or "")
    assert not hostile.requests


def test_every_flow_of_a_profile_has_its_row() -> None:
    assert set(grants.GRANTS) == set(get_args(get_type_hints(Profile)["flow"]))


@pytest.mark.parametrize("flow", list(grants.GRANTS))
def test_a_row_says_who_signs_in_as_the_profile_does(flow: Any) -> None:
    profile = Profile(name="prod", issuer="https://op.example", client_id="cli", flow=flow)
    assert grants.GRANTS[flow].person == (profile.session_kind == "person")


@pytest.mark.parametrize("module", sorted({grant.module for grant in grants.GRANTS.values() if grant.module}))
def test_a_row_names_a_module_that_signs_in(module: str) -> None:
    assert callable(import_module(f"credential_helper.oauth.{module}").sign_in)
