"""What is done with a job's token, wherever it came from: judged, described, and sent if it may be."""

from __future__ import annotations

from typing import Any

import pytest

from credential_helper.errors import AuthorizationError, ConfigurationError
from credential_helper.model import Secret
from credential_helper.oauth import workload
from credential_helper.oauth.provider import Provider
from credential_helper.workloads import Workload
from integration.servers.hostile_provider import HostileProvider, answer
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import provider_at
from tests.helpers.workloads import PLATFORM, job_token


def with_token(hostile: HostileProvider, clock: FakeClock, token: str, **settings: Any) -> Provider:
    narrow = settings.pop("for_issuer_only", False)
    source = Workload(source="env", value=("TOKEN",), origin="--workload", for_issuer_only=narrow)
    return provider_at(hostile, clock, environ={"TOKEN": token}, workload=source, **settings)


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "e30.e30.e30.e30.e30", job_token() + ".x"])
def test_what_is_no_jwt_is_not_sent_and_not_shown(hostile: HostileProvider, clock: FakeClock, token: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a JWT \(RFC 7519\)") as caught:
        workload.read(with_token(hostile, clock, token))
    assert token not in f"{caught.value.sentence} {caught.value.hint}"


def test_a_token_that_has_expired_is_not_sent(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = with_token(hostile, clock, job_token(exp=clock.now() - 1))
    with pytest.raises(AuthorizationError) as caught:
        workload.read(provider)
    assert caught.value.sentence.startswith("the token of --workload expired at ")
    assert caught.value.sentence.endswith(", and was not sent")
    assert not hostile.to("/token")


def test_expired_is_what_the_provider_s_clock_says(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = with_token(hostile, clock, job_token(exp=clock.now() + 60))
    provider.transport.skew = 61.0
    with pytest.raises(AuthorizationError):
        workload.read(provider)
    assert not hostile.requests


def test_a_clock_that_nobody_has_compared_is_compared_first(clock: FakeClock) -> None:
    with HostileProvider(now=lambda: clock.now() - 600) as hostile:
        hostile.serve_metadata()
        provider = with_token(hostile, clock, job_token(exp=clock.now() - 300))
        assert workload.read(provider)


@pytest.mark.parametrize("exp", [None, "soon", True])
def test_a_token_that_does_not_say_when_it_ends_is_the_provider_s_affair(
    hostile: HostileProvider, clock: FakeClock, exp: object
) -> None:
    assert workload.read(with_token(hostile, clock, job_token(exp=exp)))


def test_the_subject_is_who_and_by_whose_word() -> None:
    assert workload.subject_of(Secret(job_token(sub="job 7"))) == f"{PLATFORM} job 7"
    with pytest.raises(ConfigurationError):
        workload.subject_of(Secret("opaque"))


def test_a_refusal_says_whom_the_token_named(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = with_token(hostile, clock, job_token(sub="\x1b[2Jjob", aud=["a", "b"]))
    workload.read(provider)
    refusal = AuthorizationError("no", hint="check it")
    with pytest.raises(AuthorizationError), workload.named(provider):
        raise refusal
    assert refusal.hint == f"check it; the token that was sent says iss {PLATFORM}, sub [2Jjob, aud a b"


# --- a command line may not send a token that is good elsewhere ------------------------------------------------------


def test_a_token_for_the_issuer_alone_may_be_sent_by_a_command_line(hostile: HostileProvider, clock: FakeClock) -> None:
    for aud in (hostile.issuer, f"{hostile.issuer}/", [hostile.issuer]):
        assert workload.read(with_token(hostile, clock, job_token(aud=aud), for_issuer_only=True))


@pytest.mark.parametrize("aud", ["https://sts.example", ["{issuer}", "https://sts.example"], [], None, 7])
def test_a_token_that_is_good_elsewhere_is_not(hostile: HostileProvider, clock: FakeClock, aud: Any) -> None:
    said = [hostile.issuer if one == "{issuer}" else one for one in aud] if isinstance(aud, list) else aud
    with pytest.raises(ConfigurationError) as caught:
        workload.read(with_token(hostile, clock, job_token(aud=said), for_issuer_only=True))
    assert caught.value.sentence == (
        f"--workload: the job's token is not for {hostile.issuer} alone, and could be used elsewhere"
    )


def test_a_provider_s_own_audience_counts_for_its_own_hosts_only(hostile: HostileProvider, clock: FakeClock) -> None:
    token = job_token(aud="api://AzureADTokenExchange")
    tenant = "https://login.microsoftonline.com/00000000-1111-2222-3333-444444444444/v2.0"
    assert workload.read(with_token(hostile, clock, token, for_issuer_only=True, issuer=tenant))
    with pytest.raises(ConfigurationError):
        workload.read(with_token(hostile, clock, token, for_issuer_only=True, provider="entra"))


def test_an_address_of_the_issuer_is_the_issuer(hostile: HostileProvider, clock: FakeClock) -> None:
    """Ory Hydra's own word for it: whoever wrote the issuer gains nothing by naming the provider, too."""
    endpoint = f"{hostile.issuer}/oauth2/token"
    assert workload.read(with_token(hostile, clock, job_token(aud=endpoint), for_issuer_only=True, provider="hydra"))
    for aud in ("https://other.example/oauth2/token", hostile.issuer, [endpoint, "https://other.example"]):
        with pytest.raises(ConfigurationError) as caught:
            workload.read(with_token(hostile, clock, job_token(aud=aud), for_issuer_only=True, provider="hydra"))
        assert caught.value.sentence.startswith(f"--workload: the job's token is not for {endpoint} alone")


def test_whom_a_token_is_for(hostile: HostileProvider, clock: FakeClock) -> None:
    def audience(**settings: Any) -> str:
        return workload.audience_for(with_token(hostile, clock, "", **settings))

    assert audience() == hostile.issuer
    assert audience(provider="entra") == "api://AzureADTokenExchange"
    assert audience(provider="google-sts", audience="//iam.example/p") == "https://iam.example/p"
    assert audience(provider="hydra") == f"{hostile.issuer}/oauth2/token"
    assert audience(provider="hydra", issuer="https://hydra.example.com/") == "https://hydra.example.com/oauth2/token"


# --- looking ---------------------------------------------------------------------------------------------------------


def test_looking_asks_nobody(hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/actions", answer({"value": "x"}))
    environ = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{hostile.url}/actions", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t"}
    workload.look(provider_at(hostile, clock, environ=environ, workload=Workload()))
    workload.look(provider_at(hostile, clock, environ={"BUILDKITE": "true"}, workload=Workload(source="buildkite")))
    assert not hostile.requests
    with pytest.raises(ConfigurationError, match="has no identity"):
        workload.look(provider_at(hostile, clock, environ={"GITHUB_ACTIONS": "true"}, workload=Workload()))
    with pytest.raises(ConfigurationError, match="is not a JWT"):
        workload.look(with_token(hostile, clock, "opaque"))
