"""Which flow signs in: each by its row, and what ``auto`` makes of a browser, a provider and a taken port."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from credential_helper.errors import ConfigurationError, InteractionRequired
from credential_helper.flows import FLOWS
from credential_helper.model import Prompt, Secret
from credential_helper.oauth import grants, interaction
from credential_helper.profiles import settings
from credential_helper.profiles.written import Origin, Written
from integration.servers.hostile_provider import HostileProvider, answer
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at
from tests.helpers.interaction import DEVICE, FakeStage


@pytest.fixture
def hostile(hostile: HostileProvider) -> HostileProvider:
    hostile.serve_metadata(authorization_endpoint=hostile.url + "/authorize")
    hostile.script("/device/code", answer(DEVICE))
    return hostile


class Desk(FakeStage):
    """A stage with a browser, or without one; nobody answers in it."""

    def __init__(self, clock: FakeClock, blind: str | None = None) -> None:
        super().__init__(clock)
        self.blind = blind

    def browser(self) -> tuple[bool, str]:
        return self.blind is None, self.blind or "there is a display"

    def at_end(self, tell: Callable[[bool], None]) -> None:
        assert callable(tell)

    def pause(self, prompt: Prompt, until: Callable[[float], bool] | None = None) -> None:
        if until is not None:
            raise Asked
        super().pause(prompt)


class Asked(BaseException):
    """A browser was asked to show something."""


def test_auto_is_the_browser_flow_where_there_is_a_browser(hostile: HostileProvider, clock: FakeClock) -> None:
    stage = Desk(clock)
    with pytest.raises(Asked):
        grants.sign_in(provider_at(hostile, clock, flow="auto"), stage)
    [prompt] = stage.asked
    assert prompt.flow == "browser"
    assert prompt.verification_uri.startswith(hostile.url + "/authorize?")
    assert stage.because == "there is a display"


def test_auto_is_the_device_flow_where_no_browser_is_seen(hostile: HostileProvider, clock: FakeClock) -> None:
    stage = Desk(clock, blind="SSH_CONNECTION is set")
    grants.sign_in(provider_at(hostile, clock, flow="auto"), stage)
    assert [prompt.user_code for prompt in stage.asked] == ["WDJB-MJHT"]
    assert stage.because == "SSH_CONNECTION is set"
    assert [tokens.access_token for tokens in stage.tokens] == [Secret("at-1")]


def test_auto_is_the_device_flow_where_the_provider_has_no_authorization_endpoint(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    hostile.serve_metadata(authorization_endpoint=None)
    stage = Desk(clock)
    grants.sign_in(provider_at(hostile, clock, flow="auto"), stage)
    assert [prompt.flow for prompt in stage.asked] == ["device"]
    assert "has no authorization endpoint" in stage.because


def test_auto_is_the_device_flow_where_the_port_is_taken(hostile: HostileProvider, clock: FakeClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stage = Desk(clock)
        address = f"http://127.0.0.1:{port}/callback"
        grants.sign_in(provider_at(hostile, clock, flow="auto", redirect_uri=address), stage)
    assert [prompt.flow for prompt in stage.asked] == ["device"]
    assert str(port) in stage.because


def test_auto_goes_on_with_the_code_of_a_dead_process_though_there_is_a_browser(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    first = Desk(clock, blind="there is no display")
    grants.sign_in(provider_at(hostile, clock, flow="auto"), first)
    second = Desk(clock)
    second.left = first.asked[0]
    grants.sign_in(provider_at(hostile, clock, flow="auto"), second)
    assert not second.asked
    assert [tokens.access_token for tokens in second.tokens] == [Secret("at-1")]


def test_auto_says_what_is_missing_where_neither_will_do(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.serve_metadata(authorization_endpoint=hostile.url + "/authorize", device_authorization_endpoint=None)
    with pytest.raises(InteractionRequired, match=r"with a browser only.*there is no display") as caught:
        grants.sign_in(provider_at(hostile, clock, flow="auto"), Desk(clock, blind="there is no display"))
    assert "on a terminal of this machine" in (caught.value.hint or "")


class Shell(Desk):
    """A terminal, whose person has a browser elsewhere."""

    def can_paste(self) -> bool:
        return True


def test_auto_is_the_browser_flow_of_another_machine_where_there_are_no_codes(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    hostile.serve_metadata(authorization_endpoint=hostile.url + "/authorize", device_authorization_endpoint=None)
    stage = Shell(clock, blind="SSH_CONNECTION is set")
    with pytest.raises(Asked):
        grants.sign_in(provider_at(hostile, clock, flow="auto"), stage)
    [prompt] = stage.asked
    assert prompt.flow == "browser"
    assert stage.because == "SSH_CONNECTION is set"


def test_a_code_is_preferred_where_an_address_could_be_pasted(hostile: HostileProvider, clock: FakeClock) -> None:
    stage = Shell(clock, blind="SSH_CONNECTION is set")
    grants.sign_in(provider_at(hostile, clock, flow="auto"), stage)
    assert [prompt.user_code for prompt in stage.asked] == ["WDJB-MJHT"]


def test_a_person_signs_in_with_a_code(hostile: HostileProvider, clock: FakeClock) -> None:
    stage: interaction.Interaction = (fake := Desk(clock))
    grants.sign_in(provider_at(hostile, clock, flow="device"), stage)
    assert [prompt.user_code for prompt in fake.asked] == ["WDJB-MJHT"]
    assert [tokens.access_token for tokens in fake.tokens] == [Secret("at-1")]
    assert not fake.because


def test_a_machine_signs_in_with_its_credentials(hostile: HostileProvider, clock: FakeClock) -> None:
    stage = Desk(clock)
    grants.sign_in(provider_at(hostile, clock, flow="client-credentials", secret="s3cr3t"), stage)
    assert not stage.asked
    assert [tokens.access_token for tokens in stage.tokens] == [Secret("at-1")]


def test_every_row_is_a_choice_of_the_setting() -> None:
    setting = settings.BY_NAME["flow"]
    for name in ("auto", *FLOWS):
        assert setting.parse(Written(name, "--flow", Origin(kind="flag"))) == name
    for row in FLOWS.values():
        for other in row.spellings:
            assert setting.parse(Written(other, "--flow", Origin(kind="flag"))) == row.name


@pytest.mark.parametrize("module", [row.module for row in FLOWS.values()])
def test_a_row_names_a_module_that_signs_in(module: str) -> None:
    assert callable(import_module(f"credential_helper.oauth.grants.{module}").sign_in)


def test_auto_is_the_device_flow_where_a_browser_needs_a_secret_that_is_not_there(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    settings: dict[str, Any] = {"flow": "auto", "provider": "github"}
    hostile.script("/login/device/code", answer(DEVICE))
    hostile.script("/login/oauth/access_token", answer(TOKENS))
    stage = Desk(clock)
    grants.sign_in(provider_at(hostile, clock, **settings), stage)
    assert stage.because == "GitHub wants a client_secret in a browser"
    with pytest.raises(Asked):
        grants.sign_in(provider_at(hostile, clock, secret="s3cr3t", **settings), Desk(clock))


@pytest.mark.parametrize(
    ("provider", "flow", "way_out"),
    [("github", "authorization-code", True), ("google", "authorization-code", False), ("google", "device", False)],
)
def test_a_secret_that_the_provider_wants_is_missed_before_anybody_signs_in(
    hostile: HostileProvider, clock: FakeClock, provider: str, flow: str, *, way_out: bool
) -> None:
    settings: dict[str, Any] = {"flow": flow, "provider": provider}
    stage = Desk(clock)
    with pytest.raises(ConfigurationError, match="wants a client_secret") as caught:
        grants.sign_in(provider_at(hostile, clock, **settings), stage)
    assert not stage.asked
    assert ('flow = "device" needs none' in (caught.value.hint or "")) == way_out
    hostile.serve_metadata(authorization_endpoint=hostile.url + "/authorize")
    if flow == "device":
        grants.sign_in(provider_at(hostile, clock, secret="s3cr3t", **settings), stage)
        assert stage.tokens
