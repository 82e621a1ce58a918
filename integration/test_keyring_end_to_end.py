"""The installed program with a real keyring: gnome-keyring on a D-Bus session of its own, without a display.

A sign-in puts a key there, and the refresh token on disk, sealed; a refresh reads the key, logout removes it. A
keyring that is locked, absent, slow or lying loses nothing and fails nothing that can be answered without it. Two homes
with one keyring never touch each other's record.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.scenes.homes import NOBODY, PERSON, PROMPT, Home
from integration.scenes.keyrings import SERVICE, KeyringSession, absent, deaf, frozen, gone, locked, on_disk
from integration.servers.oidc import OidcProvider


@pytest.fixture
def make(tmp_path: Path, installed: Path, oidc: OidcProvider) -> Iterator[Callable[..., Home]]:
    """Return what makes homes, each with the profile ``prod`` on the same provider."""
    homes: list[Home] = []

    def made(keyring: KeyringSession | None = None, **profile: object) -> Home:
        home = Home(tmp_path / f"home-{len(homes)}", installed, issuer=oidc.issuer, **{"store": "auto", **profile})
        if keyring is not None:
            home.environ["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
        homes.append(home)
        return home

    yield made
    for home in homes:
        home.launcher.stop()


# --- an unlocked keyring ----------------------------------------------------------------------------------------------


def in_clear(home: Home, keyring: KeyringSession, token: str | None) -> bool:
    """Say whether a refresh token can be read on disk or in the keyring without the other one."""
    assert token is not None
    folders = [home.folder, keyring.folder]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return token in keyring.records().values() or any(token.encode() in file.read_bytes() for file in files)


def test_a_refresh_token_is_on_disk_and_only_the_keyring_opens_it(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    home = make(keyring)
    home.sign_in(oidc)
    first = oidc.issued("device_code")[-1].refresh_token
    ((service, key),) = keyring.records().items()
    assert service == f"{SERVICE}{home.key()}"
    assert on_disk(home, key) == []
    assert not in_clear(home, keyring, first)

    home.expire()
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stderr) == (0, "")
    answer = oidc.issued("refresh_token")[-1]
    assert result.text.strip() == answer.access_token
    assert answer.refresh_token != first
    assert keyring.records() == {service: key}
    assert not in_clear(home, keyring, answer.refresh_token)

    for words in (("status",), ("status", "--json", "--verbose")):
        status = home.run(*words)
        assert status.code == 0
        assert "keyring" in status.text
        assert (answer.refresh_token or "?") not in status.text + status.stderr

    logout = home.run("logout", "prod")
    assert logout.code == 0, logout.stderr
    assert keyring.records() == {}
    assert oidc.refresh_tokens() == []
    assert home.is_signed_out()


def test_a_new_sign_in_takes_the_same_key(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    home = make(keyring)
    home.sign_in(oidc)
    records = keyring.records()
    home.sign_in(oidc)
    assert keyring.records() == records
    home.expire()
    assert home.run("token", "prod", env=NOBODY).code == 0
    assert oidc.issued("refresh_token")[-1].refresh_token is not None


def test_a_refresh_token_moves_where_the_profile_says(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    """With each rotation it goes where it may, and is readable nowhere else; with a sign-in it gets its key."""
    home = make(keyring, store="file")
    home.sign_in(oidc)
    assert keyring.records() == {}
    for store, clear in (("auto", True), ("login", False), ("auto", False), ("file", True)):
        if store == "login":
            home.sign_in(oidc)
            token = oidc.issued("device_code")[-1].refresh_token
        else:
            home.configure(issuer=oidc.issuer, store=store)
            home.expire()
            assert home.run("token", "prod", env=NOBODY).code == 0, store
            token = oidc.issued("refresh_token")[-1].refresh_token
        assert in_clear(home, keyring, token) == clear, store
        assert home.grant()["refresh_token"] == (token if clear else None)
        assert bool(home.grant()["sealed"]) != clear
    home.configure(issuer=oidc.issuer, store="none")
    home.expire()
    assert home.run("token", "prod", env=NOBODY).code == 0
    assert (home.grant()["refresh_token"], home.grant()["sealed"]) == (None, None)


def test_two_homes_with_one_keyring_keep_two_grants_apart(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    one, other = make(keyring), make(keyring)
    one.sign_in(oidc, "ada")
    other.sign_in(oidc, "ada")
    assert one.grant_file().name == other.grant_file().name  # the same grant to the provider and to us
    assert len(keyring.records()) == 2
    one.expire()
    assert one.run("token", "prod", env=NOBODY).code == 0
    assert one.run("logout", "prod").code == 0
    ((service, _),) = keyring.records().items()
    assert service == f"{SERVICE}{other.key()}"
    other.expire()
    result = other.run("token", "prod", env=NOBODY)
    assert (result.code, result.text.strip()) == (0, oidc.issued("refresh_token")[-1].access_token)


# --- a keyring that cannot be used now --------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [locked, frozen, absent, gone, deaf], ids=lambda trouble: trouble.__name__)
def test_a_token_that_cannot_be_had_now_is_not_lost(
    trouble: Callable[[Home, KeyringSession], contextlib.AbstractContextManager[object]],
    keyring: KeyringSession,
    make: Callable[..., Home],
    oidc: OidcProvider,
) -> None:
    """Fresh: answered. Valid: answered. Expired: 74, and what is there stays there."""
    home = make(keyring)
    home.sign_in(oidc)
    token, records = oidc.issued()[-1], keyring.records()
    with trouble(home, keyring):
        assert home.run("token", "prod", env=NOBODY).text.strip() == token.access_token
        home.fade()
        valid = home.run("token", "prod", env=NOBODY)
        assert (valid.code, valid.text.strip()) == (0, token.access_token), valid.stderr
        home.expire()
        result = home.run("token", "prod", env=NOBODY)
        assert (result.code, result.stdout) == (74, b""), result.stderr
        assert "keyring" in result.stderr
        assert "Traceback" not in result.stderr
    assert home.grant()["sealed"]
    assert keyring.records() == records
    assert "refresh_token" not in oidc.counts()
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.text.strip()) == (0, oidc.issued("refresh_token")[-1].access_token)


def test_the_hint_for_a_locked_keyring_says_what_helps(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    home = make(keyring)
    home.sign_in(oidc)
    home.expire()
    keyring.ask("lock")
    result = home.run("token", "prod", env=NOBODY)
    assert result.code == 74
    assert "prod: the keyring is locked\nhint: unlock the keyring\n" in result.stderr


def test_where_a_person_can_be_asked_a_locked_keyring_costs_a_sign_in(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    home = make(keyring)
    home.sign_in(oidc)
    home.expire()
    keyring.ask("lock")
    running = home.run.start("token", "prod", env=PERSON)
    oidc.approve(running.wait_for(PROMPT)[1])
    result = running.finish()
    answer = oidc.issued("device_code")[-1]
    assert (result.code, result.text.strip()) == (0, answer.access_token)
    assert on_disk(home, answer.refresh_token or "") != []
    assert home.refresh_token() == answer.refresh_token


def test_a_keyring_that_hangs_costs_a_sign_in_its_deadline_and_a_renewal_nothing(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    """The first sign-in was without a keyring; now there is one, and it hangs: the token stays in the file."""
    home = make()
    home.sign_in(oidc)
    home.expire()
    home.environ["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
    with deaf(home, keyring) as bus:
        result = home.run("token", "prod", env=NOBODY)
        assert (result.code, result.stderr) == (0, "")
        bus.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has asked the keyring
            bus.accept()
    with frozen(home, keyring):
        assert home.refresh_token() == oidc.issued("refresh_token")[-1].refresh_token
        began = time.monotonic()
        home.sign_in(oidc)
        assert time.monotonic() - began >= 3  # a person could have unlocked it meanwhile
        assert home.refresh_token() == oidc.issued("device_code")[-1].refresh_token


def test_a_logout_with_a_locked_keyring_says_so_and_ends_later(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    home = make(keyring)
    home.sign_in(oidc)
    access = oidc.issued()[-1].access_token or "?"
    keyring.ask("lock")
    result = home.run("logout", "prod", env=NOBODY)
    assert (result.code, result.stdout) == (74, b""), result.stderr
    assert "keyring" in result.stderr
    assert on_disk(home, access) == []
    assert home.run("token", "prod", env=NOBODY).code != 0
    keyring.ask("unlock")
    result = home.run("logout", "prod", env=NOBODY)
    assert result.code == 0, result.stderr
    assert keyring.records() == {}
    assert oidc.refresh_tokens() == []


# --- keyrings that lie ------------------------------------------------------------------------------------------------

LIARS = """
from keyring.backend import KeyringBackend

class Forgets(KeyringBackend):
    priority = 9
    def set_password(self, service, username, password): pass
    def get_password(self, service, username): return None
    def delete_password(self, service, username): pass

class Changes(Forgets):
    def get_password(self, service, username): return "something else"

class Blabs(Forgets):
    def set_password(self, service, username, password):
        import sys, logging, warnings
        warnings.warn(password)
        logging.error(password)
        raise RuntimeError(password)

class Leaves(Forgets):
    def set_password(self, service, username, password):
        raise SystemExit(password)
"""


PRETENDERS = ["keyring.backends.null.Keyring", "keyring.backends.fail.Keyring", "no.such.Thing"]
PRETENDERS += ["liars.Forgets", "liars.Changes", "liars.Blabs", "liars.Leaves"]


@pytest.mark.parametrize("backend", PRETENDERS)
def test_a_lying_keyring_keeps_nothing_and_fails_nothing(
    make: Callable[..., Home], oidc: OidcProvider, backend: str
) -> None:
    home = make(store="keyring")
    plugins = home.folder.parent / "plugins"
    plugins.mkdir()
    (plugins / "liars.py").write_text(LIARS)
    home.environ |= {"PYTHON_KEYRING_BACKEND": backend, "PYTHONPATH": str(plugins)}
    running = home.run.start("login", "prod", "--verbose", env=PERSON)
    oidc.approve(running.wait_for(PROMPT)[1])
    result = running.finish()
    assert result.code == 0, result.stderr
    assert "then a new sign-in" in result.stderr
    assert "Traceback" not in result.stderr
    answer = oidc.issued("device_code")[-1]
    assert answer.refresh_token is not None
    assert answer.refresh_token not in result.stderr + result.text
    assert on_disk(home, answer.refresh_token) == []
    assert home.run("token", "prod", env=NOBODY).text.strip() == answer.access_token
    home.expire()
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stdout) == (66, b""), result.stderr
    assert home.run("logout", "prod").code == 0


def test_auto_does_not_fall_for_a_configured_liar(make: Callable[..., Home], oidc: OidcProvider) -> None:
    home = make(store="auto")
    home.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    home.sign_in(oidc)
    assert home.refresh_token() == oidc.issued("device_code")[-1].refresh_token


# --- what is not a session's ------------------------------------------------------------------------------------------


def stored(home: Home, server: str) -> None:
    data = json.dumps({"ServerURL": server, "Username": "ada", "Secret": "s3cret"}).encode()
    assert home.run("docker", "store", env=NOBODY, stdin=data).code == 0


def test_a_logout_of_everything_says_what_the_keyring_keeps_and_erases_it_on_request(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    home, another = make(keyring), make(keyring)
    home.sign_in(oidc)
    stored(home, "one.example.com")
    stored(home, "two.example.com")
    assert home.run("secret", "set", "ci", env=NOBODY, stdin=b"the-secret").code == 0
    logout = home.run("logout", "--all", env=NOBODY)
    assert logout.code == 0, logout.stderr
    assert logout.stderr.splitlines()[-1] == (
        "2 stored passwords of git and docker stay; credential-helper logout --all --keyring erases them, too"
    )
    assert len(keyring.records()) == 3

    # The state directory is removed by hand: nothing names the passwords any more.
    logout = another.run("logout", "--all", env=NOBODY)
    assert logout.stderr.splitlines() == [
        "nobody is signed in",
        "the keyring holds 2 records that no file here names, of another home or of a state directory that was "
        "removed; credential-helper logout --all --keyring erases them",
    ]
    logout = another.run("logout", "--all", "--keyring", env=NOBODY)
    assert (logout.code, logout.stderr.splitlines()) == (
        0,
        [
            "nobody is signed in",
            "erased 2 stored passwords or records",
            "the keyring keeps ci; credential-helper secret delete NAME deletes one",
        ],
    )
    assert list(keyring.records()) == [f"{SERVICE}secret/ci"]

    stored(home, "three.example.com")
    logout = home.run("logout", "--all", "--keyring", env=NOBODY)
    assert logout.code == 0, logout.stderr
    assert list(keyring.records()) == [f"{SERVICE}secret/ci"]
    assert home.run("docker", "list", env=NOBODY).text == "{}\n"


def test_a_logout_from_cron_says_what_stays_and_is_done_later(
    keyring: KeyringSession, make: Callable[..., Home], oidc: OidcProvider
) -> None:
    home = make(keyring)
    home.sign_in(oidc)
    with absent(home, keyring):
        logout = home.run("logout", "prod", env=NOBODY)
    assert (logout.code, logout.stderr) == (
        74,
        "credential-helper: prod: signed out here, but the refresh token cannot be read, and is not "
        "revoked: there is no keyring here (no D-Bus session)\n"
        "hint: log out again where the keyring can be used\n",
    )
    assert home.run("logout", "prod", env=NOBODY).code == 0
    assert keyring.records() == {}
