"""The installed program, secrets by name, and a real gnome-keyring: set, typed, listed, used by a profile, deleted.

A client secret or a private key is in the keyring's record ``credential-helper/secret/NAME`` and nowhere on disk, and
it never reaches stdout, stderr or the terminal.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jwt import get_algorithm_by_name

from integration.scenes.homes import NOBODY, Home
from integration.scenes.keyrings import KeyringSession, absent, deaf, frozen, gone, locked, on_disk
from integration.scenes.private_keys import MACHINE, register, written
from integration.servers.hostile_provider import signing_key
from integration.servers.oidc import (
    ADA,
    AUDIENCE,
    CLI_PASSWORD,
    CONNECTION,
    M2M_BASIC,
    M2M_SHORT,
    ODD_SECRET,
    PASSWORD,
    SHORT_SECRET,
    Face,
    OidcProvider,
)
from tests.helpers.programs import Result

RECORD = "credential-helper/secret/ci"
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIB\n" * 25
    + "-----END PRIVATE KEY-----"
)
INSTEAD = "write { file = … } or { command = … } in the profile instead of { keyring = … }"


@pytest.fixture
def make(tmp_path: Path, installed: Path) -> Iterator[Callable[[KeyringSession | None], Home]]:
    """Return what makes empty homes, which share one keyring."""
    homes: list[Home] = []

    def made(session: KeyringSession | None) -> Home:
        home = Home(tmp_path / f"home-{len(homes)}", installed)
        if session is not None:
            home.environ["DBUS_SESSION_BUS_ADDRESS"] = session.address
        homes.append(home)
        return home

    yield made
    for home in homes:
        home.launcher.stop()


@pytest.fixture
def home(make: Callable[[KeyringSession | None], Home], keyring: KeyringSession) -> Home:
    return make(keyring)


def machine(home: Home, oidc: OidcProvider, client_id: str = M2M_BASIC, **settings: object) -> None:
    """Write a machine's profile whose client secret is in the keyring."""
    home.configure(
        issuer=oidc.issuer,
        client_id=client_id,
        flow="client-credentials",
        audience=AUDIENCE,
        client_secret={"keyring": "ci"},
        **settings,
    )


def said(result: Result) -> tuple[int, bytes, str]:
    return result.code, result.stdout, result.stderr


# --- set, list, delete ------------------------------------------------------------------------------------------------


def test_a_secret_from_stdin_is_in_the_keyring_alone(home: Home, keyring: KeyringSession) -> None:
    result = home.run("secret", "set", "ci", stdin=f"{ODD_SECRET}\n".encode())
    assert said(result) == (0, b"", 'kept ci in the keyring; write client_secret = { keyring = "ci" }\n')
    assert keyring.records() == {RECORD: ODD_SECRET}
    assert on_disk(home, ODD_SECRET) == []
    assert said(home.run("secret", "list")) == (0, b"ci\n", "")

    result = home.run("secret", "set", "ci", stdin=b"another")
    assert said(result) == (0, b"", "replaced ci in the keyring\n")
    assert keyring.records() == {RECORD: "another"}

    assert said(home.run("secret", "delete", "ci")) == (0, b"", "deleted ci from the keyring\n")
    assert keyring.records() == {}
    assert said(home.run("secret", "list")) == (0, b"", "")
    result = home.run("secret", "delete", "ci")
    assert said(result) == (
        78,
        b"",
        "credential-helper: the keyring has no secret ci\nhint: credential-helper secret list\n",
    )


@pytest.mark.parametrize("secret", [PEM, "x" * 65535, '{"kty": "EC"}\n\n{}', "wörd \N{SNOWMAN}"])
def test_a_key_of_many_lines_is_kept_whole(home: Home, keyring: KeyringSession, secret: str) -> None:
    assert home.run("secret", "set", "ci", stdin=f"{secret}\n".encode()).code == 0
    assert keyring.records() == {RECORD: secret}
    assert on_disk(home, secret) == []


def test_a_person_types_it_twice(home: Home, keyring: KeyringSession) -> None:
    running = home.run.start("secret", "set", "ci", terminal=True, stdin=None)
    running.wait_for("secret for ci: ")
    running.type(ODD_SECRET.encode() + b"\r")
    running.wait_for("the same again: ")
    running.type(ODD_SECRET.encode() + b"\r")
    result = running.finish()
    assert (result.code, result.stdout) == (0, b"")
    assert result.terminal == (
        'secret for ci: \nthe same again: \nkept ci in the keyring; write client_secret = { keyring = "ci" }\n'
    )
    assert keyring.records() == {RECORD: ODD_SECRET}


def test_several_at_once_lose_nothing(home: Home, keyring: KeyringSession) -> None:
    names = ["a", "b", "c", "ci", "ci"]
    running = [home.run.start("secret", "set", name, stdin=b"the secret") for name in names]
    assert [one.finish().code for one in running] == [0] * 5
    assert home.run("secret", "list").text.split() == ["a", "b", "c", "ci"]
    assert sorted(keyring.records()) == [f"credential-helper/secret/{name}" for name in ("a", "b", "c", "ci")]


def test_another_home_finds_the_secret_and_lists_its_own_names(
    home: Home,
    make: Callable[[KeyringSession | None], Home],
    keyring: KeyringSession,
    oidc: OidcProvider,
) -> None:
    home.run("secret", "set", "ci", stdin=ODD_SECRET.encode())
    other = make(keyring)
    assert other.run("secret", "list").text == ""
    machine(other, oidc)
    assert other.run("token", "prod", env=NOBODY).code == 0


# --- used by a profile ------------------------------------------------------------------------------------------------


def test_a_machine_signs_in_with_it(home: Home, keyring: KeyringSession, oidc: OidcProvider) -> None:
    machine(home, oidc)
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stdout) == (78, b"")
    assert "the keyring has no secret ci\nhint: credential-helper secret set ci\n" in result.stderr
    assert oidc.counts().get("client_credentials", 0) == 0

    home.run("secret", "set", "ci", stdin=f"{ODD_SECRET}\n".encode())
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stderr) == (0, "")
    assert result.text.strip() == oidc.issued("client_credentials")[-1].access_token
    verbose = home.run("refresh", "prod", "--verbose", env=NOBODY)
    assert verbose.code == 0, verbose.stderr
    assert ODD_SECRET not in verbose.stderr
    assert on_disk(home, ODD_SECRET) == []
    assert keyring.records() == {RECORD: ODD_SECRET}


def test_a_deleted_secret_leaves_the_token_until_it_ends(home: Home, oidc: OidcProvider) -> None:
    """What is cached are tokens: they end by themselves, or by logout."""
    machine(home, oidc)
    home.run("secret", "set", "ci", stdin=ODD_SECRET.encode())
    token = home.run("token", "prod", env=NOBODY).text
    assert home.run("secret", "delete", "ci").code == 0
    again = home.run("token", "prod", env=NOBODY)
    assert said(again) == (0, token.encode(), "")
    home.expire()
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stdout) == (78, b"")
    assert "credential-helper secret set ci" in result.stderr


def test_a_replaced_secret_is_used_with_the_next_request(home: Home, oidc: OidcProvider) -> None:
    machine(home, oidc, client_id=M2M_SHORT)
    home.run("secret", "set", "ci", stdin=b"an old one")
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stdout) == (77, b""), result.stderr
    assert "an old one" not in result.stderr
    home.run("secret", "set", "ci", stdin=SHORT_SECRET.encode())
    result = home.run("token", "prod", env=NOBODY)  # at once: the refusal was the old one's
    assert result.code == 0, result.stderr


@pytest.mark.parametrize("form", ["PEM", "JWK"])
def test_a_private_key_signs_from_the_keyring(
    home: Home, keyring: KeyringSession, oidc: OidcProvider, form: str
) -> None:
    key = signing_key("ES256", "k1")
    text = (
        written(key) if form == "PEM" else json.dumps(get_algorithm_by_name("ES256").to_jwk(key.private, as_dict=True))
    )
    register(oidc, MACHINE, key)
    result = home.run("secret", "set", "ci", stdin=text.encode())
    assert said(result) == (0, b"", 'kept ci in the keyring; write private_key = { keyring = "ci" }\n')
    home.configure(
        issuer=oidc.issuer,
        client_id=MACHINE,
        flow="client-credentials",
        audience=AUDIENCE,
        private_key={"keyring": "ci", "kid": "k1"},
    )
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stderr) == (0, "")
    assert keyring.records() == {RECORD: text.removesuffix("\n")}
    assert on_disk(home, text.splitlines()[1 if form == "PEM" else 0]) == []


def test_a_password_is_sent_from_the_keyring(home: Home, auth0: Face) -> None:
    home.run("secret", "set", "ci", stdin=PASSWORD.encode())
    home.configure(
        issuer=auth0.issuer,
        client_id=CLI_PASSWORD,
        flow="password",
        legacy=True,
        realm=CONNECTION,
        account=ADA,
        password={"keyring": "ci"},
    )
    result = home.run("token", "prod", env=NOBODY)
    assert result.code == 0, result.stderr
    assert 'warning: flow = "password"' in result.stderr
    assert result.text.strip() == auth0.issued()[-1].access_token
    assert PASSWORD not in result.stderr
    assert on_disk(home, PASSWORD) == []


# --- a keyring that cannot be used now --------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [locked, frozen, absent, gone, deaf], ids=lambda trouble: trouble.__name__)
def test_a_keyring_that_cannot_be_used_loses_nothing_and_hangs_nobody(
    trouble: Callable[[Home, KeyringSession], contextlib.AbstractContextManager[object]],
    home: Home,
    keyring: KeyringSession,
    oidc: OidcProvider,
) -> None:
    machine(home, oidc)
    home.run("secret", "set", "ci", stdin=ODD_SECRET.encode())
    with trouble(home, keyring):
        for words in (("secret", "set", "ci"), ("secret", "set", "new"), ("secret", "delete", "ci"), ("token", "prod")):
            result = home.run(*words, stdin=b"another one", env=NOBODY)
            assert (result.code, result.stdout) == (74, b""), (words, result.stderr)
            assert INSTEAD in result.stderr
            assert "keyring" in result.stderr
            assert "Traceback" not in result.stderr
        assert said(home.run("secret", "list")) == (0, b"ci\n", "")
    assert keyring.records() == {RECORD: ODD_SECRET}
    assert home.run("token", "prod", env=NOBODY).code == 0
    assert home.run("secret", "delete", "ci").code == 0
    assert keyring.records() == {}


def test_a_token_that_is_still_valid_needs_no_secret(home: Home, keyring: KeyringSession, oidc: OidcProvider) -> None:
    machine(home, oidc)
    home.run("secret", "set", "ci", stdin=ODD_SECRET.encode())
    token = home.run("token", "prod", env=NOBODY).text
    home.fade()
    keyring.ask("lock")
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.text) == (0, token), result.stderr
    home.expire()
    assert home.run("token", "prod", env=NOBODY).code == 74
    keyring.ask("unlock")
    assert home.run("token", "prod", env=NOBODY).code == 0


def test_a_person_who_cannot_be_served_types_nothing(home: Home, keyring: KeyringSession) -> None:
    del home.environ["DBUS_SESSION_BUS_ADDRESS"]
    result = home.run.start("secret", "set", "ci", terminal=True, stdin=None).finish()
    assert result.code == 74
    assert "secret for ci" not in result.terminal
    assert f"hint: {INSTEAD}\n" in result.terminal
    assert keyring.records() == {}


def test_a_shell_s_pipe_is_read_to_its_end(home: Home, keyring: KeyringSession) -> None:
    """Slowly, in pieces, from another program: as `op read … | credential-helper secret set ci`."""
    slow = "import sys, time\nfor part in 's3c', 'r3t', '\\n': time.sleep(0.1); print(part, end='', flush=True)"
    programs = [sys.executable, "-c", slow], [str(home.run.executable), "secret", "set", "ci"]
    pipe = " | ".join(map(shlex.join, programs))
    result = home.launcher.run(["/bin/sh", "-c", pipe])
    assert result.code == 0, result.stderr
    assert keyring.records() == {RECORD: "s3cr3t"}
