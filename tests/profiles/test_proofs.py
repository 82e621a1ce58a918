"""Tokens that others give: how a workload and a subject are written, and what does not go together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Profile
from credential_helper.profiles import settings
from credential_helper.profiles.assembly import assemble
from credential_helper.profiles.hints import hint_flags
from credential_helper.profiles.inputs import from_flags, from_table, from_variables
from credential_helper.profiles.written import Origin, Written
from credential_helper.workloads import WORKLOADS, Workload

WHERE = "f.toml: profiles.job"
CI: dict[str, object] = {"flow": "token-exchange", "workload": "auto"}
PLATFORM = "a.b.c"


def missing(setting: settings.Setting) -> CredentialHelperError:
    return UsageError(f"{setting.name} is missing")


def judged(table: dict[str, object]) -> tuple[Profile | None, list[CredentialHelperError]]:
    written = {"issuer": "https://x", "client_id": "c", **table}
    values, errors = from_table(Written(written, WHERE, Origin(kind="user", folder="/etc/x"), ("profiles", "job")))
    profile, more = assemble("job", values, absent=missing) if not errors else (None, [])
    return profile, [*errors, *more]


def profile(**table: object) -> Profile:
    found, errors = judged(table)
    assert not errors, errors[0].sentence
    assert found is not None
    return found


def refused(**table: object) -> CredentialHelperError:
    _, errors = judged(table)
    assert errors
    assert isinstance(errors[0], ConfigurationError)
    return errors[0]


# --- how it is written


@pytest.mark.parametrize("name", ["auto", *WORKLOADS])
def test_a_workload_is_a_platform_s_name(name: str) -> None:
    assert profile(**{**CI, "workload": name}).workload == Workload(source=name, origin=f"{WHERE}.workload")


@pytest.mark.parametrize(
    ("table", "source", "value"),
    [
        ({"file": "token"}, "file", ("/etc/x/token",)),
        ({"env": "IDP"}, "env", ("IDP",)),
        ({"command": ["bin/mint", "a b"]}, "command", ("/etc/x/bin/mint", "a b")),
        ({"kubernetes": {"path": "/var/t"}}, "kubernetes", ("/var/t",)),
        ({"kubernetes": {}}, "kubernetes", ()),
        ({"github": {}}, "github", ()),
    ],
)
def test_a_table_says_where_it_is(table: object, source: str, value: tuple[str, ...]) -> None:
    found = profile(**{**CI, "workload": table}).workload
    assert found is not None
    assert (found.source, found.value, found.for_issuer_only) == (source, value, False)
    assert found.origin == f"{WHERE}.workload.{source}"


def test_a_table_says_for_whom_it_is() -> None:
    found = profile(**{**CI, "workload": {"github": {"audience": "api://x"}}}).workload
    assert found is not None
    assert (found.source, found.audience) == ("github", "api://x")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (1, "found a number, expected a word (auto, github, "),
        ("gitlub", 'found "gitlub", expected auto, github, gitlab'),
        ({}, "found an empty table, expected one: "),
        ({"file": "x", "env": "Y"}, "found several keys, expected one: "),
        ({"jenkins": {}}, "unknown key, expected one of file, env, command, github"),
        ({"github": "x"}, "found a string, expected a table"),
        ({"env": "a.b.c"}, "expected the name of a variable"),
        ({"command": []}, "found an empty list"),
        ({"gitlab": {"audience": "x"}}, "GitLab CI has no such key; the audience is said where the job is"),
        ({"github": {"path": "/x"}}, "GitHub Actions has no such key"),
        ({"kubernetes": {"audience": "x"}}, "Kubernetes has no such key; the audience is said where the job is"),
    ],
)
def test_what_is_no_workload_is_told(value: object, sentence: str) -> None:
    error = refused(**{**CI, "workload": value})
    assert error.sentence.startswith(f"{WHERE}.workload")
    assert sentence in error.sentence


def test_a_token_in_its_place_is_not_echoed() -> None:
    secret = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2ItNDIifQ.c2lnbmF0dXJl"
    for value in (secret, {"env": secret}, {"file": [secret]}):
        assert secret not in refused(**{**CI, "workload": value}).sentence


def test_a_subject_is_another_profile() -> None:
    assert profile(flow="token-exchange", subject={"profile": "prod"}).subject == "prod"
    for value in ({}, {"profile": "x", "y": 1}, {"name": "x"}):
        assert "expected { profile =" in refused(flow="token-exchange", subject=value).sentence
    assert "is this profile itself" in refused(flow="token-exchange", subject={"profile": "job"}).sentence
    assert "expected a table" in refused(flow="token-exchange", subject="prod").sentence


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        ("jwt", "urn:ietf:params:oauth:token-type:jwt"),
        ("id_token", "urn:ietf:params:oauth:token-type:id_token"),
        ("access-token", "urn:ietf:params:oauth:token-type:access_token"),
        ("urn:acme:token", "urn:acme:token"),
    ],
)
def test_the_type_of_what_is_exchanged(value: str, uri: str) -> None:
    assert profile(**CI, subject_token_type=value).subject_token_type == uri
    assert "jwt, id-token or access-token, or a URI" in refused(**CI, subject_token_type="saml").sentence


# --- what it is for


@pytest.mark.parametrize(
    "table",
    [
        CI,
        {**CI, "flow": "urn:ietf:params:oauth:grant-type:token-exchange"},
        {"flow": "jwt-bearer", "workload": "github"},
        {"flow": "client-credentials", "workload": "github"},
        {"client_authentication": "workload", "workload": "github"},
        {"flow": "token-exchange", "subject": {"profile": "p"}, "client_secret": {"env": "S"}},
        {**CI, "client_secret": {"env": "S"}},
        {**CI, "subject": {"profile": "p"}, "client_authentication": "workload"},
        {**CI, "client_authentication": "workload"},
    ],
)
def test_what_goes_together(table: dict[str, object]) -> None:
    assert profile(**table).workload or table.get("subject")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"flow": "jwt-bearer"}, "flow: jwt-bearer needs workload: the token that is sent"),
        ({"flow": "token-exchange"}, "flow: token-exchange needs workload or subject: the token that is sent"),
        ({**CI, "subject": {"profile": "p"}}, f"subject: {WHERE}.workload is given, too, and one token is exchanged"),
        ({"flow": "jwt-bearer", "subject": {"profile": "p"}}, 'subject: does not go with flow = "jwt-bearer"'),
        ({"subject": {"profile": "p"}}, 'subject: does not go with flow = "auto"'),
        ({"subject_token_type": "jwt"}, 'subject_token_type: does not go with flow = "auto"'),
        (
            {"flow": "client-credentials", "workload": "auto", "client_secret": {"env": "S"}},
            "workload: nothing uses it",
        ),
        (
            {"client_authentication": "workload", "workload": "auto", "client_secret": {"env": "S"}},
            f"client_authentication: workload does not go with {WHERE}.client_secret.env",
        ),
        ({"client_authentication": "workload"}, "client_authentication: workload needs a workload"),
        ({**CI, "parameters": {"subject_token": "x"}}, "parameters.subject_token: this program sets subject_token"),
    ],
)
def test_what_does_not_go_together_is_told(table: dict[str, object], sentence: str) -> None:
    assert refused(**table).sentence.startswith(f"{WHERE}.{sentence}")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({**CI, "provider": "auth0"}, "Auth0 takes a subject_token_type of its own only"),
        ({**CI, "provider": "entra"}, 'Entra ID has no flow "token-exchange"'),
        ({**CI, "provider": "github"}, 'GitHub has no flow "token-exchange"'),
        (
            {"provider": "dex", "flow": "client-credentials", "workload": "auto"},
            "Dex takes no platform's token for the proof of a client",
        ),
        (
            {"provider": "gitlab", "client_authentication": "workload", "workload": "auto"},
            "GitLab takes no platform's token for the proof of a client",
        ),
    ],
)
def test_what_a_provider_does_not_take_is_told(table: dict[str, object], sentence: str) -> None:
    assert sentence in refused(**table).sentence


def test_google_s_token_service_needs_no_issuer() -> None:
    written = {"provider": "google-sts", "client_id": "ci", **CI, "audience": "//iam.example/p", "scope": "x"}
    values, _ = from_table(Written(written, WHERE, Origin(kind="user")))
    found, errors = assemble("gcp", values, absent=missing)
    assert not errors
    assert found is not None
    assert found.issuer == "https://sts.googleapis.com"


# --- flags and variables


def by_flags(environ: dict[str, str] | None = None, **flags: Any) -> tuple[Profile | None, list[CredentialHelperError]]:
    given = {"issuer": "https://x", "client_id": "c", "flow": "token-exchange", **flags}
    values = {**from_variables(environ or {}), **from_flags(given, {})}
    return assemble("", values, absent=missing, ad_hoc=True)


@pytest.mark.parametrize("name", ["auto", *WORKLOADS])
def test_a_command_line_names_a_platform_whose_token_is_for_the_issuer_alone(name: str) -> None:
    for found, errors in (by_flags(workload=name), by_flags({"CREDENTIAL_HELPER_WORKLOAD": name})):
        assert not errors
        assert found is not None
        assert found.workload is not None
        assert (found.workload.source, found.workload.for_issuer_only) == (name, True)


@pytest.mark.parametrize("key", ["endpoints.token", "endpoints.jwks", "ca_file"])
def test_a_command_line_sends_no_job_s_token_to_another_server(key: str) -> None:
    more: dict[str, Any] = {key: "/x.pem" if key == "ca_file" else "https://y/token"}
    _, errors = by_flags(workload="github", **more)
    assert [error.exit_code for error in errors] == [78]
    assert errors[0].sentence.startswith("--workload: the job's token goes to the issuer alone, and --")


@pytest.mark.parametrize("more", [{"flow": "jwt-bearer"}, {"flow": "auto", "client_authentication": "workload"}])
def test_what_needs_a_workload_says_how_one_is_given(more: dict[str, Any]) -> None:
    _, errors = by_flags(**more)
    assert errors[0].hint == "give --workload auto (a platform gives the job its token)"
    assert refused(**more).hint == 'write workload = "auto" (a platform gives the job its token)'


def test_a_command_line_names_no_file_and_no_variable_as_a_workload() -> None:
    _, errors = by_flags(workload="{ env = AWS_SECRET }")
    assert errors[0].exit_code == 64


def test_the_hint_has_the_flag() -> None:
    found, _ = by_flags(workload="github", subject_token_type="id-token")
    assert found is not None
    words = hint_flags(msgspec.structs.replace(found, name="x/c"))
    assert words[words.index("--workload") + 1] == "github"
    assert words[words.index("--subject-token-type") + 1] == "urn:ietf:params:oauth:token-type:id_token"
