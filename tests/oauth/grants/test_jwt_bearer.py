from __future__ import annotations

from typing import Any

import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError
from credential_helper.model import Secret
from credential_helper.oauth.grants import jwt_bearer
from credential_helper.oauth.provider import Provider
from credential_helper.workloads import Workload
from integration.servers.hostile_provider import HostileProvider, answer, oauth_error
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at
from tests.helpers.interaction import FakeStage
from tests.helpers.workloads import PLATFORM, job_token


def job(hostile: HostileProvider, clock: FakeClock, token: str | None = None, **settings: Any) -> Provider:
    environ = {"IDP": job_token() if token is None else token}
    source = Workload(source="env", value=("IDP",))
    return provider_at(hostile, clock, flow="jwt-bearer", workload=source, environ=environ, **settings)


def test_the_job_s_token_is_the_assertion(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    provider = job(hostile, clock, audience="https://api.example", resource=("urn:a",), scope=("read",))
    jwt_bearer.sign_in(provider, stage)
    (request,) = hostile.to("/token")
    assert request.fields == [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", job_token()),
        ("scope", "read"),
        ("audience", "https://api.example"),
        ("resource", "urn:a"),
        ("client_id", "cli"),
    ]
    assert [tokens.access_token for tokens in stage.tokens] == [Secret("at-1")]


def test_the_client_may_have_a_secret_of_its_own(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    jwt_bearer.sign_in(job(hostile, clock, secret="s3cr3t"), stage)
    (request,) = hostile.to("/token")
    assert "authorization" in request.headers


def test_what_a_machine_has_no_use_for_is_dropped(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    hostile.script("/token", answer({**TOKENS, "refresh_token": "rt-1", "id_token": "a.b.c"}))
    jwt_bearer.sign_in(job(hostile, clock), stage)
    assert (stage.tokens[0].refresh_token, stage.tokens[0].id_token) == (None, None)


def test_a_refusal_says_whom_the_token_named_and_not_the_token(
    hostile: HostileProvider, clock: FakeClock, stage: FakeStage
) -> None:
    hostile.script("/token", oauth_error("invalid_grant", 400, f"not {job_token()}"))
    with pytest.raises(AuthorizationError) as caught:
        jwt_bearer.sign_in(job(hostile, clock), stage)
    assert caught.value.sentence == f"{hostile.host} refused the token of this job (invalid_grant: not ***)"
    assert f"says iss {PLATFORM}, sub repo:acme/shop:ref:refs/heads/main, aud https://login.example" in (
        caught.value.hint or ""
    )


def test_without_a_token_nothing_is_sent(hostile: HostileProvider, clock: FakeClock, stage: FakeStage) -> None:
    with pytest.raises(ConfigurationError, match="is not set, or empty"):
        jwt_bearer.sign_in(job(hostile, clock, ""), stage)
    assert not hostile.to("/token")
