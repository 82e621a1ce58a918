"""What one run is put together from: a hint that can be pasted, a secret that is read once, a keyring's patience."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from credential_helper import command_line, places
from credential_helper.answers.stored_passwords import DOCKER, docker_passwords
from credential_helper.app import App
from credential_helper.errors import ConfigurationError, StoreError
from credential_helper.model import PrivateKey, Profile, Request, Secret, Source
from credential_helper.profiles import targets
from credential_helper.profiles.choose import choose, each_by_position
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.hints import login_command
from credential_helper.proof import UNKNOWN, Proof
from tests.helpers.backends import Memory
from tests.helpers.clock import FakeClock
from tests.helpers.profiles import choose_git
from tests.helpers.requests import request_by
from tests.helpers.sessions import same_session

CONFIG = """
default_profile = "prod"
[profiles.prod]
issuer = "https://idp.example.com/"
client_id = "client"
audience = "https://a.example.com"
[profiles.both]
issuer = "https://idp.example.com/"
client_id = "client"
audience = "https://a.example.com"
resource = ["https://r1.example.com", "https://r2.example.com"]
git = [
  { url = "https://a.example.com", audience = "https://git.example.com" },
  { url = "https://r.example.com", resource = ["https://git.example.com", "urn:x"] },
  { url = "https://both.example.com", audience = "https://git.example.com", resource = "urn:x" },
  { url = "https://s.example.com", scope = "" },
  "https://same.example.com",
]
[profiles.ci]
issuer = "https://idp.example.com/"
client_id = "machine"
flow = "client-credentials"
client_secret = { command = ["sh", "-c", "echo asked >> ~/asked; echo $CI_SECRET$OTHER the-secret"] }
[profiles.other]
issuer = "https://idp.example.com/"
client_id = "other"
flow = "client-credentials"
client_secret = { env = "OTHER" }
"""

AD_HOC = ["--issuer", "https://idp.example.com", "--client-id", "it's; rm -rf ~"]


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    file = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
    file.parent.mkdir(parents=True)
    file.write_text(CONFIG)
    file.chmod(0o600)
    return environ


def chosen(environ: dict[str, str], words: list[str], request: Request | None = None) -> Chosen:
    """Return what a command line means."""
    given = vars(command_line.parser_of().parse_args(words))
    given.pop("command")
    [flags] = each_by_position(given)
    return choose(request or request_by("kubectl"), flags, environ)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["token"], None),
        (["token", "ci"], None),
        (["token", "prod", "--audience", "https://b.example.com/?x=1&y='2'"], None),
        (["token", "prod", "--scope", "openid", "--scope", "email"], None),
        (["token", "prod", "--resource", "https://r.example.com", "--resource", "urn:x"], None),
        (["token", "prod", "--parameter", "organization=org 1", "--parameter", "empty="], None),
        (["token", "prod", "--account=--odd-name"], None),
        (["token", "prod", "--audience=--verbose"], None),
        (["token", "prod", "--flow", "authorization-code", "--redirect-uri", "http://127.0.0.1:8400/callback"], None),
        (["token", "prod"], request_by("kubectl", audience="https://c.example.com", scope=("openid",))),
        (["token", "prod"], request_by("kubectl", resource=("https://r.example.com",), profile="prod")),
        (["token", "both"], request_by("kubectl", resource=("https://r.example.com",), profile="both")),
        (["token", "both"], request_by("kubectl", audience="https://c.example.com", profile="both")),
        (["token", "both", "--resource", "urn:x"], request_by("kubectl", audience="https://c.example.com")),
        (["token", "both", "--audience", "https://b.example.com", "--resource", "urn:x"], None),
        (["token", *AD_HOC, "--audience", "https://a.example.com"], request_by("kubectl", resource=("urn:x",))),
        (["token", *AD_HOC, "--resource", "urn:x"], request_by("kubectl", audience="https://a.example.com")),
        (["token", *AD_HOC, "--ca-file", "/etc/ssl/corp.pem"], None),
        (["token", *AD_HOC], None),
        (["token", *AD_HOC, "--audience", "$(reboot)", "--scope", ""], None),
        (
            ["token", *AD_HOC, "--token-endpoint", "https://idp.example.com/t?a=b", "--jwks-uri", "https://k.test/"],
            None,
        ),
        (["token", *AD_HOC, "--flow", "client_credentials", "--client-secret-env", "CREDENTIAL_HELPER_OTHER"], None),
    ],
)
def test_a_hint_that_is_pasted_makes_exactly_that_session(
    environ: dict[str, str], words: list[str], request_: Request | None
) -> None:
    profile = chosen(environ, words, request_).profile
    program, command, *rest = shlex.split(login_command(profile))
    assert (program, command) == ("credential-helper", "login")
    again = chosen(environ, [command, *rest], Request(tool="credential-helper")).profile
    assert same_session(again, profile)
    assert again.name == profile.name


@pytest.mark.parametrize("flags", [{}, {"audience": "https://f.example.com"}, {"resource": ["urn:f"]}])
@pytest.mark.parametrize("host", ["a", "r", "both", "s", "same"])
def test_a_hint_for_a_listed_host_makes_the_session_that_this_host_has(
    environ: dict[str, str], host: str, flags: dict[str, object]
) -> None:
    found = choose_git(request_by("git"), "https", f"{host}.example.com", None, flags, environ)
    assert found is not None
    profile = found[0].profile
    words = shlex.split(login_command(profile))[1:]
    assert same_session(chosen(environ, words, Request(tool="credential-helper")).profile, profile)
    at_login = targets.at(choose(Request(tool="credential-helper"), {"profile": "both"}, environ).profile, found[1])
    assert same_session(at_login, profile) or flags
    words = shlex.split(login_command(at_login))[1:]
    assert same_session(chosen(environ, words, Request(tool="credential-helper")).profile, at_login)


def test_variables_are_written_into_the_hint_for_a_shell_that_has_none(environ: dict[str, str]) -> None:
    variables = {
        "CREDENTIAL_HELPER_ISSUER": "https://idp.example.com",
        "CREDENTIAL_HELPER_CLIENT_ID": "client",
        "CREDENTIAL_HELPER_AUDIENCE": "https://v.example.com",
    }
    profile = chosen(environ | variables, ["token"]).profile
    words = shlex.split(login_command(profile))[1:]
    assert same_session(chosen(environ, words).profile, profile)


def test_a_command_is_asked_for_the_secret_once_a_run_and_sees_no_other_secret(
    environ: dict[str, str], clock: FakeClock
) -> None:
    environ |= {"OTHER": "hunter2", "CREDENTIAL_HELPER_CLIENT_SECRET": "hunter3"}
    app = App(environ, clock=clock, verbose=False)
    found = chosen(environ, ["token", "ci"])
    app.hidden |= found.hidden
    tools = app.means(found.profile)
    assert found.profile.client_secret is not None
    secrets = {tools.read_secret(found.profile.client_secret).reveal() for _ in range(3)}
    assert secrets == {"the-secret"}
    assert Path(environ["HOME"], "asked").read_text() == "asked\n"


PERSON = Profile(name="prod", issuer="https://idp.example.com/", client_id="client", flow="device")
CLIENT = msgspec.structs.replace(PERSON, flow="client-credentials")


def source(kind: Literal["env", "file", "command", "keyring"], *value: str) -> Source:
    return Source(kind=kind, value=value, origin="here")


@pytest.fixture
def app(environ: dict[str, str], clock: FakeClock) -> App:
    return App(environ, clock=clock, verbose=False)


def test_a_machine_s_proof_is_all_that_it_reads_as_it_was_read(app: App, environ: dict[str, str]) -> None:
    file = Path(environ["HOME"], "key.pem")
    file.write_text("the-key")
    environ["OTHER"] = "hunter2\n"
    key = PrivateKey(source=source("file", str(file)))
    profile = msgspec.structs.replace(CLIENT, client_secret=source("env", "OTHER"), private_key=key)
    stamp = places.stamp(file.stat())
    proof = app.proof(profile)
    assert proof == Proof(files=((str(file), stamp),), variables=(("OTHER", Secret("hunter2\n")),))
    environ["OTHER"] = "another"
    file.write_text("another")
    assert app.proof(profile) == proof, "what was read in this run is what counts"


def test_the_broker_and_the_proof_read_a_secret_once(app: App, environ: dict[str, str]) -> None:
    environ["OTHER"] = "right"
    profile = msgspec.structs.replace(CLIENT, client_secret=source("env", "OTHER"))
    assert app.means(profile).read_secret(source("env", "OTHER")) == Secret("right")
    environ["OTHER"] = "wrong"
    assert app.proof(profile).variables == (("OTHER", Secret("right")),)


def test_no_command_is_run_for_a_proof(app: App, environ: dict[str, str]) -> None:
    found = chosen(environ, ["token", "ci"]).profile
    assert app.proof(found) == UNKNOWN
    assert not Path(environ["HOME"], "asked").exists()


def test_the_keyring_is_not_asked_for_a_proof(app: App, environ: dict[str, str]) -> None:
    environ["PYTHON_KEYRING_BACKEND"] = "no.such.Backend"
    assert app.proof(msgspec.structs.replace(CLIENT, client_secret=source("keyring", "ci"))) == Proof()


def test_a_person_proves_nothing_here_and_a_machine_without_its_secret_fails(app: App) -> None:
    secret = source("env", "UNSET")
    assert app.proof(msgspec.structs.replace(PERSON, client_secret=secret)) == Proof()
    with pytest.raises(ConfigurationError):
        app.proof(msgspec.structs.replace(CLIENT, client_secret=secret))


def test_the_files_of_a_certificate_are_read_each_time_and_a_command_once_a_run(
    environ: dict[str, str], clock: FakeClock
) -> None:
    """The files may be replaced while a person is waited for; a command may ask a person."""
    file = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
    command = '{ command = ["sh", "-c", "echo asked >> ~/asked; echo key"] }'
    for key in ('{ file = "key.pem" }', command):
        tls = f'tls = {{ certificate = "cert.pem", private_key = {key} }}'
        issuer = 'issuer = "https://idp.example.com/"\nclient_id = "ci"\nflow = "client-credentials"'
        file.write_text(f"[profiles.ci]\n{issuer}\n{tls}\n")
        app = App(environ, clock=clock, verbose=False)
        profile = chosen(environ, ["token", "ci"]).profile
        read = app.means(profile).provider(profile).tls
        assert read is not None
        seen = []
        for text in ("one", "two"):
            file.with_name("cert.pem").write_text(f"{text}-certificate\n")
            file.with_name("key.pem").write_text(f"{text}-key\n")
            seen.append([secret.reveal() for secret in read()])
        assert [certificate for certificate, _ in seen] == ["one-certificate", "two-certificate"]
        assert [key for _, key in seen] == (["key", "key"] if "command" in tls else ["one-key", "two-key"])
    assert Path(environ["HOME"], "asked").read_text() == "asked\n"


def test_nobody_to_ask_means_that_no_keyring_is_waited_for_long(environ: dict[str, str], clock: FakeClock) -> None:
    profile = chosen(environ, ["token"]).profile
    for interactive, seconds in (("never", 3.0), ("always", 15.0)):
        app = App(environ | {"CREDENTIAL_HELPER_INTERACTIVE": interactive}, clock=clock, verbose=False)
        assert app.keyring(profile)._deadline() == seconds
    assert App(environ, clock=clock, verbose=False).keyring()._deadline() == 3.0


def test_keyring_means_one_thing_wherever_it_is_written(environ: dict[str, str], clock: FakeClock) -> None:
    """A secret, a password that is stored and a session each name it; what PYTHON_KEYRING_BACKEND names takes all."""
    environ["PYTHON_KEYRING_BACKEND"] = "tests.helpers.backends.Memory"
    Memory.records.clear()
    app = App(environ, clock=clock, verbose=False)
    app.named_secrets().set("ci", Secret("the-secret"))
    assert Memory.records == {("credential-helper/secret/ci", "ci"): "the-secret"}
    assert app.named_secrets().read("ci") == Secret("the-secret")
    profile = msgspec.structs.replace(chosen(environ, ["token"]).profile, store="keyring")
    assert app.keyring(profile).backend() == app.keyring(store="keyring").backend() == "backends Memory"
    assert app.keyring().backend().startswith("none (there is no keyring here (no D-Bus session)")


@pytest.mark.parametrize(("storage", "found"), [("keyring", True), ("auto", False)])
def test_docker_stores_in_the_keyring_that_its_setting_means(
    environ: dict[str, str], clock: FakeClock, storage: str, found: bool
) -> None:
    environ |= {"PYTHON_KEYRING_BACKEND": "tests.helpers.backends.Memory"}
    environ |= {"CREDENTIAL_HELPER_PASSWORD_STORAGE": storage}
    Memory.records.clear()
    passwords = docker_passwords(App(environ, clock=clock, verbose=False))
    assert passwords is not None
    kept = {"server": "r.example.com", "username": "ada", "password": "s3cret"}
    with contextlib.nullcontext() if found else pytest.raises(StoreError, match="no D-Bus session"):
        passwords.store(DOCKER, kept)
    assert [value.find("s3cret") > 0 for value in Memory.records.values()] == [True] * found


@pytest.mark.parametrize(("value", "verbose"), [("", False), ("0", False), ("off", False), ("1", True), ("/log", True)])
def test_verbose_is_what_the_variable_says(
    environ: dict[str, str], clock: FakeClock, value: str, *, verbose: bool
) -> None:
    app = App(environ | {"CREDENTIAL_HELPER_VERBOSE": value}, clock=clock, verbose=False)
    assert app.verbose == verbose
