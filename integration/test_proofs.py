"""A machine's kept answer is replayed only to who has the same proof, whatever else of the call is the same.

Each test marks the one reply that is kept, so that its replay can be seen. Who is not answered from it goes the slow
way; what is found there is another matter.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from integration.clients.programs import Runner
from integration.scenes.homes import walk
from integration.scenes.keyrings import KeyringSession
from integration.scenes.private_keys import MACHINE, with_key
from integration.scenes.sign_ins import Value, person, write_profiles
from integration.servers.hostile_provider import signing_key
from integration.servers.oidc import AUDIENCE, M2M_BASIC, M2M_POST, ODD_SECRET, OidcProvider
from tests.helpers.programs import Result

MARK = b"was-replayed"
CALLS = {
    "token": (("token", "prod"), b""),
    "get": (("get", "--profile", "prod"), b"{}"),
    "git": (("git", "get"), b"protocol=https\nhost=git.example.com\n\n"),
    "docker": (("docker", "get"), b"registry.example.com"),
}


@pytest.fixture
def replies(home: dict[str, str]) -> Path:
    """Return the folder of the kept answers."""
    return Path(home["XDG_STATE_HOME"], "credential-helper", "replies")


def mark(replies: Path) -> None:
    """Let the only kept answer be told from one that is made: its token, a JWT, begins otherwise."""
    (reply,) = replies.iterdir()
    content, marked = re.subn(rb"eyJ[\w-]{9}", MARK, reply.read_bytes(), count=1)
    assert marked == 1
    reply.write_bytes(content)


def replayed(done: Result) -> bool:
    """Say whether a program was answered with the marked answer."""
    return MARK in done.stdout


def machine(home: dict[str, str], oidc: OidcProvider, client_id: str = M2M_BASIC, **source: Value) -> None:
    """Write the profile of a machine whose secret comes from there."""
    settings = person(oidc, client_id=client_id, flow="client-credentials", git=["https://git.example.com"])
    write_profiles(home, prod={**settings, "docker": ["registry.example.com"], "client_secret": source})


@pytest.mark.parametrize("tool", CALLS)
def test_a_job_with_another_secret_in_its_variable_gets_no_kept_answer(
    run: Runner, oidc: OidcProvider, home: dict[str, str], replies: Path, tool: str
) -> None:
    machine(home, oidc, env="CI_SECRET")
    argv, tool_input = CALLS[tool]

    def job(secret: str | None) -> Result:
        return run(*argv, stdin=tool_input, env={"CI_SECRET": secret})

    for other in ("wrong", f"{ODD_SECRET}\n", "", None):
        for reply in replies.glob("*"):
            reply.unlink()
        assert job(ODD_SECRET).code == 0
        mark(replies)
        assert replayed(job(ODD_SECRET))
        assert not replayed(job(other))
    assert [file for file in walk(Path(home["HOME"])) if ODD_SECRET.encode() in file.read_bytes()] == []


def test_a_job_is_told_from_another_one_without_a_config_file(
    run: Runner, oidc: OidcProvider, home: dict[str, str], replies: Path
) -> None:
    home |= {
        "CREDENTIAL_HELPER_ISSUER": oidc.issuer,
        "CREDENTIAL_HELPER_CLIENT_ID": M2M_BASIC,
        "CREDENTIAL_HELPER_FLOW": "client-credentials",
        "CREDENTIAL_HELPER_AUDIENCE": AUDIENCE,
    }

    def job(secret: str) -> Result:
        return run("token", env={"CREDENTIAL_HELPER_CLIENT_SECRET": secret})

    first = job(ODD_SECRET)
    assert first.code == 0, first
    mark(replies)
    marked = job(ODD_SECRET)
    assert replayed(marked)
    assert not replayed(job("wrong"))
    again = job(ODD_SECRET)
    assert again.code == 0
    assert again.stdout in (first.stdout, marked.stdout), "its own, made anew or kept"
    assert [file for file in walk(Path(home["HOME"])) if ODD_SECRET.encode() in file.read_bytes()] == []


def test_a_secret_s_file_that_is_replaced_or_gone_ends_the_kept_answer(
    run: Runner, oidc: OidcProvider, home: dict[str, str], replies: Path
) -> None:
    file = Path(home["HOME"], "a secret")
    file.write_text(ODD_SECRET)
    machine(home, oidc, file=str(file))

    def replace() -> None:
        file.with_name("new").write_text("wrong")
        file.with_name("new").rename(file)

    for change in (lambda: file.write_text("wrong"), replace, file.unlink):
        file.write_text(ODD_SECRET)
        assert run("token", "prod").code == 0
        mark(replies)
        assert replayed(run("token", "prod"))
        change()
        assert not replayed(run("token", "prod"))


def test_another_private_key_ends_the_kept_answer(
    run: Runner, oidc: OidcProvider, home: dict[str, str], replies: Path
) -> None:
    with_key(home, oidc, MACHINE, signing_key("RS256"))
    assert run("token", "prod").code == 0
    mark(replies)
    assert replayed(run("token", "prod"))
    (key,) = (file for file in walk(Path(home["HOME"])) if b"PRIVATE KEY" in file.read_bytes())
    os.utime(key)
    assert not replayed(run("token", "prod"))


def test_what_a_command_would_say_is_not_known_without_running_it(
    run: Runner, oidc: OidcProvider, home: dict[str, str], replies: Path
) -> None:
    home["CI_SECRET"] = ODD_SECRET
    machine(home, oidc, command=["sh", "-c", 'echo >>"$HOME/asked"; printf %s "$JOB"'])
    for _ in range(2):
        assert run("token", "prod", env={"JOB": ODD_SECRET}).code == 0
        assert not replies.exists() or list(replies.iterdir()) == []


@pytest.mark.parametrize("change", [("set", "ci"), ("delete", "ci")])
def test_another_secret_in_the_keyring_ends_the_kept_answer(
    run: Runner,
    oidc: OidcProvider,
    home: dict[str, str],
    replies: Path,
    keyring: KeyringSession,
    change: tuple[str, str],
) -> None:
    home["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
    assert run("secret", "set", "ci", stdin=ODD_SECRET.encode()).code == 0
    machine(home, oidc, M2M_POST, keyring="ci")
    assert run("token", "prod").code == 0
    mark(replies)
    assert replayed(run("token", "prod"))
    assert run("secret", *change, stdin=b"wrong").code == 0
    assert list(replies.iterdir()) == []


def test_a_secret_in_a_variable_that_is_part_of_each_request_is_on_no_disk(
    run: Runner, oidc: OidcProvider, home: dict[str, str], replies: Path
) -> None:
    home["CREDENTIAL_HELPER_CI"] = ODD_SECRET
    machine(home, oidc, env="CREDENTIAL_HELPER_CI")
    for argv, tool_input in (CALLS["token"], CALLS["git"], CALLS["docker"], (("docker", "list"), b"")):
        assert run(*argv, stdin=tool_input).code == 0
    assert [file for file in walk(Path(home["HOME"])) if ODD_SECRET.encode() in file.read_bytes()] == []
    assert not replies.exists() or list(replies.iterdir()) == []
