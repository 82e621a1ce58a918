"""Jobs that have no secret, the installed program, and the real provider, which checks whose word a token is."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from integration.clients.programs import Kubectl, Runner
from integration.scenes.clusters import Cluster
from integration.scenes.platforms import JOB, Platform
from integration.scenes.sign_ins import Value, person, sign_in, write_profiles
from integration.servers.hostile_provider import HostileProvider, answer
from integration.servers.kube_api import POD, KubeApi
from integration.servers.oidc import AUDIENCE, JWT_BEARER, ODD_SECRET, TOKEN_EXCHANGE, OidcProvider
from tests.helpers.programs import Launcher, Result

CI = "ci-job"


@pytest.fixture
def platform(oidc: OidcProvider) -> Platform:
    platform = Platform()
    platform.trust(oidc)
    oidc.add_client(CI, grant_types=[JWT_BEARER, TOKEN_EXCHANGE])
    return platform


@pytest.fixture
def actions(home: dict[str, str]) -> Iterator[HostileProvider]:
    """Play GitHub's endpoint for the tokens of a job, whose variables are in the home."""
    with HostileProvider() as server:
        home |= {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{server.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "the-request-token",
        }
        yield server


def job(oidc: OidcProvider, **more: Value) -> dict[str, Value]:
    return {"issuer": oidc.issuer, "client_id": CI, "flow": "token-exchange", "audience": AUDIENCE, **more}


def claims_of(done: Result) -> dict[str, Any]:
    """Return the claims of a token that was printed, and nothing else was."""
    assert (done.code, done.stderr) == (0, ""), done
    found: dict[str, Any] = jwt.decode(done.text.strip(), options={"verify_signature": False})
    return found


def nothing_is_kept_of(home: dict[str, str], *secrets: str) -> bool:
    files = [path for path in Path(home["HOME"]).rglob("*") if path.is_file() and ".local" in path.parts]
    assert files
    return not any(secret.encode() in path.read_bytes() for path in files for secret in secrets)


# --- GitHub Actions, and kubectl -------------------------------------------------------------------------------------


def test_a_job_of_github_gets_pods(
    tmp_path: Path,
    kube_api: KubeApi,
    launch: Launcher,
    kubectl: Kubectl,
    run: Runner,
    oidc: OidcProvider,
    platform: Platform,
    actions: HostileProvider,
    home: dict[str, str],
) -> None:
    """Variables and nothing else; one exchange serves every kubectl."""
    token = platform.token(oidc)
    actions.script("/token", answer({"value": token}))
    for name, value in job(oidc, workload="github").items():
        home[f"CREDENTIAL_HELPER_{name.upper()}"] = str(value)
    cluster = Cluster(tmp_path, kube_api, launch, kubectl, run)
    for _ in range(2):
        done = cluster("get", "pods")
        assert POD in done.text, done
        assert done.stderr == ""
    assert kube_api.calls[-1].claims["sub"] == JOB
    (request,) = oidc.requests("token")
    assert request.fields["grant_type"] == TOKEN_EXCHANGE
    assert request.fields["subject_token"] == token
    (asked,) = actions.to("/token")
    assert asked.headers["authorization"] == "Bearer the-request-token"
    assert nothing_is_kept_of(home, token, "the-request-token")


def test_no_step_that_is_told_holds_a_token(
    run: Runner, oidc: OidcProvider, platform: Platform, actions: HostileProvider, home: dict[str, str]
) -> None:
    token = platform.token(oidc, aud="https://other.example")
    actions.script("/token", answer({"value": token}))
    path = write_profiles(home, prod=job(oidc))
    path.write_text(path.read_text() + 'workload = { github = { audience = "https://other.example" } }\n')
    done = run("token", "prod", "--verbose")
    assert done.code == 77
    assert f"GET {actions.url}/token answered 200" in done.stderr
    assert "it is for https://other.example" in done.stderr
    for secret in (*token.split("."), "the-request-token"):
        assert secret not in done.stderr + done.text


def test_a_job_without_the_permission_is_told_what_to_write(
    run: Runner, oidc: OidcProvider, platform: Platform, home: dict[str, str]
) -> None:
    assert platform
    home["GITHUB_ACTIONS"] = "true"
    write_profiles(home, prod=job(oidc, workload="auto"))
    for words in (["token", "prod"], ["status", "prod"]):
        done = run(*words)
        said = done.stderr + done.text
        assert "ACTIONS_ID_TOKEN_REQUEST_URL is not set" in said
        assert "permissions: id-token: write" in said
    assert not oidc.requests("token")


# --- a projected token -----------------------------------------------------------------------------------------------


def test_a_projected_token_is_read_anew_at_each_use(
    run: Runner, oidc: OidcProvider, platform: Platform, home: dict[str, str]
) -> None:
    path = Path(home["HOME"], "token")
    write_profiles(home, prod=job(oidc, workload={"file": str(path)}))
    tokens = [platform.token(oidc, sub=f"system:serviceaccount:ci:{name}") for name in ("first", "second")]
    for number, token in enumerate(tokens):
        path.write_text(token + "\n")
        done = run("login", "prod") if number else run("token", "prod")
        assert done.code == 0, done
    assert [request.fields["subject_token"] for request in oidc.requests("token")] == tokens
    assert claims_of(run("token", "prod"))["sub"] == "system:serviceaccount:ci:second"
    assert nothing_is_kept_of(home, *tokens)


def test_a_token_that_has_expired_is_not_sent(
    run: Runner, oidc: OidcProvider, platform: Platform, home: dict[str, str]
) -> None:
    home["IDP"] = platform.token(oidc, exp=int(time.time()) - 5)
    write_profiles(home, prod=job(oidc, workload={"env": "IDP"}))
    done = run("token", "prod")
    assert (done.code, done.stdout) == (77, b"")
    assert re.search(r"the token of .*workload.env expired at [-0-9: ]+, and was not sent", done.stderr)
    assert not oidc.requests("token")


# --- the three ways --------------------------------------------------------------------------------------------------


def test_the_token_is_the_grant(run: Runner, oidc: OidcProvider, platform: Platform, home: dict[str, str]) -> None:
    home["GITLAB_CI"], home["GITLAB_OIDC_TOKEN"] = "true", platform.token(oidc)
    write_profiles(home, prod=job(oidc, flow="jwt-bearer", workload="gitlab", scope="read:pods"))
    claims = claims_of(run("token", "prod"))
    assert (claims["sub"], claims["aud"], claims["scope"]) == (JOB, AUDIENCE, "read:pods")
    (request,) = oidc.requests("token")
    assert request.fields["assertion"] == home["GITLAB_OIDC_TOKEN"]


def test_the_token_proves_who_the_client_is(
    run: Runner, oidc: OidcProvider, platform: Platform, home: dict[str, str]
) -> None:
    """The provider knows a client by its own name only, so the platform calls the job by that here."""
    keys = {"keys": [platform.key.jwk()]}
    oidc.add_client("machine", authentication="private_key_jwt", grant_types=["client_credentials"], jwks=keys)
    home["IDP"] = platform.token(oidc, iss="machine", sub="machine")
    settings = job(oidc, client_id="machine", flow="client-credentials", workload={"env": "IDP"})
    write_profiles(home, prod=settings)
    assert claims_of(run("token", "prod"))["sub"] == "machine"
    (request,) = oidc.requests("token")
    assert (request.authentication, request.fields["client_assertion"]) == ("private_key_jwt", home["IDP"])


def test_a_person_s_token_is_exchanged(
    run: Runner, oidc: OidcProvider, platform: Platform, home: dict[str, str]
) -> None:
    assert platform
    oidc.add_client(
        "exchange", client_secret=ODD_SECRET, authentication="client_secret_basic", grant_types=[TOKEN_EXCHANGE]
    )
    home["EXCHANGE_SECRET"] = ODD_SECRET
    narrow = job(
        oidc, client_id="exchange", client_secret={"env": "EXCHANGE_SECRET"}, subject={"profile": "prod"},
        audience="https://billing.example.com",
    )  # fmt: skip
    write_profiles(home, prod=person(oidc), narrow=narrow)
    done = run("token", "narrow")
    assert done.code == 66
    assert "nobody is signed in" in done.stderr
    sign_in(run, oidc, "prod")
    claims = claims_of(run("token", "narrow"))
    assert (claims["sub"], claims["aud"], claims["client_id"]) == ("ada", "https://billing.example.com", "exchange")
    (request,) = [one for one in oidc.requests("token") if one.fields["grant_type"] == TOKEN_EXCHANGE]
    assert request.fields["subject_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert request.fields["subject_token"] == oidc.issued("device_code")[0].access_token


def test_profiles_that_exchange_each_other_s_tokens_are_told(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, one=job(oidc, subject={"profile": "tow"}), two=person(oidc))
    done = run("token", "one")
    assert (done.code, done.stdout) == (78, b"")
    assert 'subject: there is no profile "tow"; did you mean two?' in done.stderr
    write_profiles(
        home,
        one=job(oidc, subject={"profile": "two"}),
        two=job(oidc, client_id="other", subject={"profile": "one"}),
    )
    done = run("token", "one")
    assert (done.code, done.stdout) == (78, b"")
    assert "in a circle: one → two → one" in done.stderr
    assert not oidc.requests("token")


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_refusal_says_whom_the_token_named(
    run: Runner, oidc: OidcProvider, platform: Platform, home: dict[str, str]
) -> None:
    home["IDP"] = platform.token(oidc, iss="https://other.example", aud="https://x.example")
    write_profiles(home, prod=job(oidc, workload={"env": "IDP"}))
    done = run("token", "prod")
    assert (done.code, done.stdout) == (77, b"")
    assert (
        "refused to exchange the token (invalid_grant: the issuer https://other.example is not trusted)" in done.stderr
    )
    assert f"says iss https://other.example, sub {JOB}, aud https://x.example" in done.stderr
    assert home["IDP"] not in done.stderr


def test_a_command_line_sends_no_token_that_is_good_elsewhere(
    run: Runner, oidc: OidcProvider, platform: Platform, home: dict[str, str]
) -> None:
    home["GITLAB_CI"], home["ID_TOKEN"] = "true", platform.token(oidc, aud="https://vault.example")
    flags = ["--issuer", oidc.issuer, "--client-id", CI, "--flow", "token-exchange", "--audience", AUDIENCE]
    done = run("token", *flags, "--workload", "auto")
    assert (done.code, done.stdout) == (78, b"")
    assert f"the job's token is not for {oidc.issuer} alone" in done.stderr
    assert not oidc.requests("token")
    home["ID_TOKEN"] = platform.token(oidc)
    assert claims_of(run("token", *flags, "--workload", "auto"))["sub"] == JOB
