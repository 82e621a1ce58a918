"""Where a job's token is, platform by platform: the token, None for "not here", an error for "here, but broken"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Secret
from credential_helper.oauth import workload
from credential_helper.oauth.provider import Provider
from credential_helper.oauth.workload import projected
from credential_helper.oauth.workload.job import Job, Trace
from credential_helper.workloads import WORKLOADS, Workload
from integration.servers.hostile_provider import HostileProvider, answer, garbage, html, redirect
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import provider_at
from tests.helpers.workloads import job_token

GITHUB = {"GITHUB_ACTIONS": "true"}


@pytest.fixture
def notes() -> list[str]:
    return []


class Here:
    """A job with this environment, of a profile with this workload."""

    def __init__(self, hostile: HostileProvider, clock: FakeClock, notes: list[str]) -> None:
        self.hostile, self.clock, self.notes = hostile, clock, notes

    def provider(self, environ: dict[str, str], **settings: Any) -> Provider:
        workload_ = Workload(**{"origin": "f.toml: profiles.ci.workload", **settings})
        return provider_at(self.hostile, self.clock, environ=environ, notes=self.notes, workload=workload_)

    def read(self, environ: dict[str, str], **settings: Any) -> str:
        return workload.read(self.provider(environ, **settings)).reveal()

    def refused(self, environ: dict[str, str], **settings: Any) -> CredentialHelperError:
        with pytest.raises(CredentialHelperError) as caught:
            self.read(environ, **settings)
        return caught.value

    def github(self, path: str = "/actions?api-version=2.0") -> dict[str, str]:
        url = f"{self.hostile.url}{path}"
        return {**GITHUB, "ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token"}


@pytest.fixture
def here(hostile: HostileProvider, clock: FakeClock, notes: list[str]) -> Here:
    return Here(hostile, clock, notes)


def test_every_platform_has_a_source_and_nothing_else_has() -> None:
    assert set(workload._SOURCES) == {*WORKLOADS, "file", "env", "command"}


# --- GitHub Actions --------------------------------------------------------------------------------------------------


def test_github_is_asked_for_a_token_for_the_issuer(here: Here, hostile: HostileProvider) -> None:
    token = job_token(aud=hostile.issuer)
    hostile.script("/actions", answer({"value": token, "count": 4}))
    assert here.read(here.github(), source="github") == token
    (request,) = hostile.to("/actions")
    assert request.method == "GET"
    assert request.headers["authorization"] == "Bearer request-token"
    assert parse_qsl(request.query) == [("api-version", "2.0"), ("audience", hostile.issuer)]


def test_github_is_asked_for_another_audience_where_the_profile_says_so(here: Here, hostile: HostileProvider) -> None:
    hostile.script("/actions", answer({"value": job_token()}))
    here.read(here.github("/actions"), source="github", audience="api://x?y=1&z")
    (request,) = hostile.to("/actions")
    assert parse_qsl(request.query) == [("audience", "api://x?y=1&z")]


def test_the_clock_that_counts_is_not_the_platform_s(here: Here, hostile: HostileProvider, clock: FakeClock) -> None:
    hostile.script("/actions", answer({"value": job_token(exp=clock.now() + 60)}))
    provider = here.provider(here.github(), source="github")
    provider.transport.skew = -5.0
    workload.read(provider)
    assert provider.transport.skew == -5.0


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        (GITHUB, "ACTIONS_ID_TOKEN_REQUEST_URL"),
        ({**GITHUB, "ACTIONS_ID_TOKEN_REQUEST_URL": "https://x.example"}, "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    ],
)
@pytest.mark.parametrize("source", ["github", "auto"])
def test_a_job_of_github_without_the_permission_is_told_which(
    here: Here, environ: dict[str, str], missing: str, source: str
) -> None:
    error = here.refused(environ, source=source)
    assert isinstance(error, ConfigurationError)
    assert error.sentence == f"this job of GitHub Actions has no identity: {missing} is not set"
    assert error.hint == "give the job, or the whole workflow, permissions: id-token: write"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_job_that_github_gives_no_token_is_told_so(here: Here, hostile: HostileProvider, status: int) -> None:
    hostile.script("/actions", answer({"message": "request-token is not allowed"}, status=status))
    error = here.refused(here.github(), source="github")
    assert isinstance(error, AuthorizationError)
    assert error.sentence == f"{hostile.host} gives this job no token: it answered {status}"
    assert "id-token: write" in (error.hint or "")


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (html(502), TransportError),
        (garbage(), TokenResponseError),
        (answer({"value": ""}), TokenResponseError),
        (answer({"value": 1}), TokenResponseError),
        (answer([]), TokenResponseError),
        (redirect(307, "http://127.0.0.1:1/"), TransportError),
    ],
)
def test_an_answer_that_is_none_is_an_error(
    here: Here, hostile: HostileProvider, behaviour: Any, kind: type[Exception]
) -> None:
    hostile.script("/actions", behaviour)
    error = here.refused(here.github(), source="github")
    assert isinstance(error, kind)
    assert "request-token" not in f"{error.sentence} {error.hint}"


@pytest.mark.parametrize("url", ["http://actions.example/x", "ftp://actions.example", "actions", "https://u:p@h/"])
def test_the_request_token_goes_to_https_only(here: Here, url: str) -> None:
    environ = {**here.github(), "ACTIONS_ID_TOKEN_REQUEST_URL": url}
    error = here.refused(environ, source="github")
    assert isinstance(error, ConfigurationError)
    assert error.sentence.startswith("ACTIONS_ID_TOKEN_REQUEST_URL ")


@pytest.mark.parametrize("proof", ["a b", "a\nX-Evil: 1", "ä"])
def test_a_request_token_that_would_end_a_header_is_not_sent(here: Here, hostile: HostileProvider, proof: str) -> None:
    error = here.refused({**here.github(), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": proof}, source="github")
    assert "ACTIONS_ID_TOKEN_REQUEST_TOKEN has a character in it" in error.sentence
    assert not hostile.requests


# --- variables -------------------------------------------------------------------------------------------------------

VARIABLES = [
    ("gitlab", {"GITLAB_CI": "true"}, ["GITLAB_OIDC_TOKEN", "ID_TOKEN"]),
    ("circleci", {"CIRCLECI": "true"}, ["CIRCLE_OIDC_TOKEN_V2", "CIRCLE_OIDC_TOKEN"]),
    ("bitbucket", {"BITBUCKET_BUILD_NUMBER": "7"}, ["BITBUCKET_STEP_OIDC_TOKEN"]),
]


@pytest.mark.parametrize(("source", "environ", "names"), VARIABLES)
@pytest.mark.parametrize("how", ["by name", "auto"])
def test_the_first_variable_of_a_platform_is_the_token(
    here: Here, source: str, environ: dict[str, str], names: list[str], how: str
) -> None:
    tokens = {name: job_token(sub=name) for name in names}
    wanted = "auto" if how == "auto" else source
    assert here.read({**environ, **tokens}, source=wanted) == tokens[names[0]]
    assert here.read({**environ, names[-1]: tokens[names[-1]]}, source=wanted) == tokens[names[-1]]


@pytest.mark.parametrize(("source", "environ", "names"), VARIABLES)
def test_a_platform_s_job_without_its_variable_is_told_what_to_do(
    here: Here, source: str, environ: dict[str, str], names: list[str]
) -> None:
    for wanted in (source, "auto"):
        error = here.refused(environ, source=wanted)
        assert error.sentence.startswith(f"this job of {WORKLOADS[source].title} has no identity: ")
        assert all(name in error.sentence for name in names)
        assert error.hint == WORKLOADS[source].missing


def test_a_variable_that_the_profile_names(here: Here) -> None:
    token = job_token()
    assert here.read({"IDP": f" {token}\n"}, source="env", value=("IDP",)) == token
    for environ in ({}, {"IDP": " "}):
        error = here.refused(environ, source="env", value=("IDP",))
        assert error.sentence == "f.toml: profiles.ci.workload: the variable that it names is not set, or empty"


# --- commands --------------------------------------------------------------------------------------------------------


def agent(folder: Path, name: str, script: str) -> dict[str, str]:
    program = folder / name
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{folder}/argv\n{script}\n')
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_buildkite_s_agent_is_asked_for_a_token_for_the_issuer(
    here: Here, hostile: HostileProvider, tmp_path: Path
) -> None:
    token = job_token()
    environ = {"BUILDKITE": "true", **agent(tmp_path, "buildkite-agent", f"echo {token}")}
    for source in ("buildkite", "auto"):
        assert here.read(environ, source=source) == token
        said = (tmp_path / "argv").read_text().split()
        assert said == ["oidc", "request-token", "--audience", hostile.issuer]


def test_circleci_s_command_makes_a_token_for_another_audience(here: Here, tmp_path: Path) -> None:
    token = job_token()
    environ = {"CIRCLECI": "true", "CIRCLE_OIDC_TOKEN": "x", **agent(tmp_path, "circleci", f"echo {token}")}
    assert here.read(environ, source="circleci", audience='api://"x"') == token
    *words, claims = (tmp_path / "argv").read_text().splitlines()
    assert words == ["run", "oidc", "get", "--claims"]
    assert json.loads(claims) == {"aud": 'api://"x"'}


@pytest.mark.parametrize(
    ("script", "words"),
    [("exit 3", "exited with status 3"), ("true", "the command wrote nothing"), ("printf '\\351'", "no token")],
)
def test_a_command_that_brings_no_token_is_an_error_without_what_it_wrote(
    here: Here, tmp_path: Path, script: str, words: str
) -> None:
    environ = {"BUILDKITE": "true", **agent(tmp_path, "buildkite-agent", script)}
    error = here.refused(environ, source="buildkite")
    assert error.sentence.startswith("the token of Buildkite: ")
    assert words in error.sentence


def test_a_missing_agent_is_told(here: Here, tmp_path: Path) -> None:
    error = here.refused({"BUILDKITE": "true", "PATH": str(tmp_path)}, source="auto")
    assert error.sentence == "the token of Buildkite: the command buildkite-agent was not found on PATH"


def test_a_command_of_the_profile(here: Here, tmp_path: Path) -> None:
    token = job_token()
    environ = agent(tmp_path, "mint", f"echo {token}")
    assert here.read(environ, source="command", value=("mint", "a b")) == token
    assert (tmp_path / "argv").read_text() == "a b\n"
    error = here.refused(environ, source="command", value=("other",))
    assert error.sentence == "f.toml: profiles.ci.workload: the command other was not found on PATH"


# --- files -----------------------------------------------------------------------------------------------------------


def test_azure_names_a_file_that_is_read_anew_each_time(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "azure-identity-token"
    environ = {"AZURE_FEDERATED_TOKEN_FILE": str(path)}
    for source in ("azure", "auto"):
        for sub in ("first", "second"):
            path.write_text(job_token(sub=sub) + "\n")
            assert here.read(environ, source=source) == job_token(sub=sub)


def test_a_file_that_azure_names_and_is_not_there_is_broken(here: Here, tmp_path: Path) -> None:
    error = here.refused({"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "none")}, source="auto")
    assert error.sentence.startswith("AZURE_FEDERATED_TOKEN_FILE: ")
    assert error.sentence.endswith("cannot be read: no such file or directory")


@pytest.mark.parametrize("source", ["kubernetes", "file"])
def test_a_file_that_the_profile_names(here: Here, tmp_path: Path, source: str) -> None:
    path = tmp_path / "token"
    path.write_text(job_token())
    assert here.read({}, source=source, value=(str(path),)) == job_token()
    path.write_text("\n")
    assert here.refused({}, source=source, value=(str(path),)).sentence.endswith("/token is empty")


def pod(folder: Path, **files: str) -> Secret | None:
    for name, text in files.items():
        (folder / name).write_text(text)
    job = Job(settings=Workload(), environ={}, audience=str, get=_never, run=_never, trace=Trace())
    return projected.kubernetes(job, str(folder))


def _never(*_: object) -> Any:
    raise AssertionError


def test_the_only_projected_token_of_a_pod_is_the_one(tmp_path: Path) -> None:
    assert pod(tmp_path) is None
    assert pod(tmp_path / "none") is None
    data = tmp_path / "..2026_11_27"  # as a kubelet does: the file is a link through ..data
    data.mkdir()
    (data / "idp").write_text(job_token())
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "idp").symlink_to("..data/idp")
    assert pod(tmp_path) == Secret(job_token())


def test_several_projected_tokens_are_not_guessed_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pod(tmp_path, vault="x", idp="y")
    assert caught.value.sentence == f"there are several tokens in {tmp_path}: idp, vault"
    assert f'kubernetes = {{ path = "{tmp_path}/NAME" }}' in (caught.value.hint or "")


# --- which -----------------------------------------------------------------------------------------------------------


def test_auto_says_which_it_has_found(here: Here, notes: list[str]) -> None:
    here.read({"GITLAB_CI": "true", "ID_TOKEN": job_token()})
    assert "workload: this is a job of GitLab CI, which has given it a token" in notes


def test_auto_takes_the_first_that_is_here(here: Here, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(job_token(sub="pod"))
    pod_too = {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")}
    assert here.read({"GITLAB_CI": "true", "ID_TOKEN": job_token(sub="job"), **pod_too}) == job_token(sub="job")


def test_nowhere_is_told(here: Here) -> None:
    error = here.refused({"PATH": "/usr/bin"})
    assert error.sentence == ("f.toml: profiles.ci.workload: no platform that gives its jobs a token is found here")
    assert 'workload = { file = "PATH" }' in (error.hint or "")


@pytest.mark.parametrize("source", sorted(WORKLOADS))
def test_a_platform_that_is_named_and_is_not_here_is_told_with_what_to_do(here: Here, source: str) -> None:
    error = here.refused({}, source=source)
    assert error.sentence == f"f.toml: profiles.ci.workload: there is no token of {WORKLOADS[source].title} here"
    assert error.hint == WORKLOADS[source].missing
