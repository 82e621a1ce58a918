"""A platform's token as the client's proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError
from credential_helper.oauth import client_authentication
from credential_helper.oauth.grants import client_credentials
from credential_helper.oauth.provider import Provider
from credential_helper.workloads import Workload
from integration.servers.hostile_provider import HostileProvider, oauth_error
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import provider_at, refresh
from tests.helpers.interaction import FakeStage
from tests.helpers.workloads import PLATFORM, job_token

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def job(hostile: HostileProvider, clock: FakeClock, **settings: Any) -> Provider:
    settings = {"environ": {"IDP": job_token()}, "workload": Workload(source="env", value=("IDP",)), **settings}
    return provider_at(hostile, clock, **settings)


def test_the_token_is_the_assertion_as_it_is(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    client_credentials.sign_in(job(hostile, clock, flow="client-credentials"), stage)
    (request,) = hostile.to("/token")
    assert request.fields == [
        ("grant_type", "client_credentials"),
        ("client_id", "cli"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", job_token()),
    ]


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"flow": "client-credentials"}, "workload"),
        ({"flow": "auto"}, "workload"),
        ({"flow": "jwt-bearer"}, "none"),
        ({"flow": "token-exchange"}, "none"),
        ({"flow": "token-exchange", "client_authentication": "workload"}, "workload"),
        ({"flow": "client-credentials", "workload": None}, "none"),
    ],
)
def test_which_method_is_meant(
    hostile: HostileProvider, clock: FakeClock, settings: dict[str, Any], method: str
) -> None:
    assert client_authentication.methods(job(hostile, clock, **settings)) == (method,)


def test_a_token_that_was_replaced_is_read_anew(hostile: HostileProvider, clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "token"
    source = Workload(source="file", value=(str(path),))
    provider = job(hostile, clock, client_authentication="workload", workload=source)
    for sub in ("first", "second"):
        path.write_text(job_token(sub=sub))
        refresh(provider)
    sent = [request.field("client_assertion") for request in hostile.to("/token")]
    assert sent == [job_token(sub="first"), job_token(sub="second")]


def test_a_refusal_says_what_the_provider_has_to_trust(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/token", oauth_error("invalid_client", 401, f"no {job_token()}"))
    with pytest.raises(AuthorizationError) as caught:
        refresh(job(hostile, clock, client_authentication="workload"))
    assert caught.value.sentence == (
        f"{hostile.host} refused the token of this job as the client's proof (invalid_client: no ***)"
    )
    assert caught.value.hint == (
        "check client_id, and that the provider takes this token for this client: the token that was sent says "
        f"iss {PLATFORM}, sub repo:acme/shop:ref:refs/heads/main, aud https://login.example"
    )


def test_without_a_token_nothing_is_sent(hostile: HostileProvider, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError):
        refresh(job(hostile, clock, client_authentication="workload", environ={}))
    assert not hostile.to("/token")
