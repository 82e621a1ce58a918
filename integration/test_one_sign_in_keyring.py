"""One sign-in for five servers whose refresh token is sealed under a key of a real keyring, and the keyring's bad days.

The keyring is gnome-keyring. Where its calls are counted, or it lies or is read-only, a plugin stands before it, which
does what a word in a file says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.clients.installers import layer, packages_of
from integration.scenes.audiences import ALL, GIT, KUBE, Desk
from integration.scenes.homes import NOBODY
from integration.scenes.keyrings import KeyringSession
from integration.scenes.sign_ins import wait_until
from integration.servers.oidc import OidcProvider

PLUGIN = """
import base64, pathlib, time
from keyring.backends.SecretService import Keyring
from keyring.errors import PasswordSetError

HERE = pathlib.Path(__file__).parent

class Watched(Keyring):
    priority = 9

    def _heard(self, call):
        with (HERE / "calls").open("a") as file:
            file.write(call + "\\n")
        return (HERE / "mood").read_text()

    def get_password(self, service, username):
        mood = self._heard("read")
        if mood == "slow":
            time.sleep(3.5)
        if mood == "forgetful":
            return None
        if mood == "lying":
            return base64.b64encode(bytes(32)).decode()
        return super().get_password(service, username)

    def set_password(self, service, username, password):
        if self._heard("write") == "read-only":
            raise PasswordSetError("read-only")
        super().set_password(service, username, password)

    def delete_password(self, service, username):
        self._heard("delete")
        super().delete_password(service, username)
"""


class Watch:
    """The plugin before the keyring."""

    def __init__(self, packages: Path, desk: Desk) -> None:
        """``packages`` is the folder of the installation, which is where plugins are looked for."""
        (packages / "watch.py").write_text(PLUGIN)
        self._calls, self._mood = packages / "calls", packages / "mood"
        self.be("good")
        desk.environ["PYTHON_KEYRING_BACKEND"] = "watch.Watched"

    def be(self, mood: str) -> None:
        self._mood.write_text(mood)

    def calls(self) -> list[str]:
        """Return what the keyring was asked since the last time."""
        calls = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return calls


@pytest.fixture
def desk(tmp_path: Path, installed: Path, keyring: KeyringSession) -> Iterator[Desk]:
    layer(installed, tmp_path / "installation")
    made = Desk(tmp_path / "desk", tmp_path / "installation" / "bin" / "credential-helper")
    made.environ["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
    yield made
    made.launcher.stop()


@pytest.fixture
def watch(desk: Desk) -> Watch:
    return Watch(packages_of(desk.run.executable), desk)


def in_clear(desk: Desk, oidc: OidcProvider) -> list[str]:
    """Return the refresh tokens of the provider, spent ones too, that stand in a file of the state directory."""
    every = {one.refresh_token for one in oidc.refresh_tokens(live=False)}
    assert every
    return [token for token in every if desk.arrives(token)]


def test_a_renewal_reads_the_keyring_once_and_never_writes_it(desk: Desk, watch: Watch, oidc: OidcProvider) -> None:
    desk.begin(oidc, store="keyring")
    assert "write" in watch.calls()
    for purpose in (GIT, KUBE):  # one is derived, the other is renewed
        desk.expire_all()
        desk.token(purpose)
        assert watch.calls() == ["read"], purpose
        desk.token(purpose)
        assert watch.calls() == [], "what is fresh needs no keyring"
    assert oidc.counts() == {"token": 2, "refresh_token": 2}
    assert in_clear(desk, oidc) == []


def test_no_refresh_token_stands_in_clear_while_there_is_a_keyring(
    desk: Desk, keyring: KeyringSession, oidc: OidcProvider
) -> None:
    desk.begin(oidc, store="auto")
    [(name, key)] = keyring.records().items()
    for purpose in ALL:
        desk.token(purpose)
        assert in_clear(desk, oidc) == []
    assert not desk.arrives(key)
    assert keyring.records() == {name: key}, "one key, made once"
    assert desk.run("logout", "prod", env=NOBODY).code == 0
    assert keyring.records() == {}
    assert oidc.refresh_tokens() == []


# --- bad days ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_(mood: str, watch: Watch, keyring: KeyringSession) -> Iterator[None]:
    """Have the keyring be locked, frozen, or what the plugin can do, as long as the block lasts."""
    words = {"locked": ("lock", "unlock"), "frozen": ("freeze", "thaw")}
    if mood in words:
        keyring.ask(words[mood][0])
    else:
        watch.be(mood)
    yield
    if mood in words:
        keyring.ask(words[mood][1])
    else:
        watch.be("good")


@pytest.mark.parametrize("mood", ["locked", "frozen", "slow", "forgetful", "lying"])
def test_a_key_that_cannot_be_had_now_costs_nothing(
    desk: Desk, watch: Watch, keyring: KeyringSession, oidc: OidcProvider, mood: str
) -> None:
    """Nothing is spent, dropped or overwritten: when the keyring is itself again, every server is served."""
    desk.begin(oidc, store="keyring")
    desk.expire_all()
    [before] = oidc.refresh_tokens()
    watch.calls()
    with as_(mood, watch, keyring):
        for purpose in (KUBE, GIT):
            done = desk.ask(purpose)
            assert done.code in (66, 74), done
            assert done.stdout == b""
            assert "Traceback" not in done.stderr
    assert "write" not in watch.calls()
    assert oidc.counts() == {}
    assert oidc.refresh_tokens() == [before]
    for purpose in (KUBE, GIT):
        desk.token(purpose)
    assert oidc.counts() == {"token": 2, "refresh_token": 2}


@pytest.mark.parametrize("mood", ["locked", "frozen", "read-only", "forgetful", "lying"])
def test_a_keyring_that_goes_wrong_in_the_middle_of_a_renewal_costs_nothing(
    desk: Desk, watch: Watch, keyring: KeyringSession, oidc: OidcProvider, mood: str
) -> None:
    """The refresh token is spent and its successor is on the way when it happens."""
    desk.begin(oidc, store="keyring")
    oidc.fail_next("refresh_token", delay=0.8)
    running = desk.run.start(*desk.words(GIT), env=NOBODY)
    wait_until(lambda: oidc.counts().get("refresh_token") == 1, "the request")
    with as_(mood, watch, keyring):
        done = running.finish()
        assert (done.code, done.stderr) == (0, ""), done
    assert in_clear(desk, oidc) == []
    desk.expire_all()
    for purpose in (GIT, KUBE):
        desk.token(purpose)
    assert "device_authorization" not in oidc.counts()
    assert [one.error for one in oidc.requests("refresh_token")] == [None] * 3


def test_a_read_only_keyring_serves_every_renewal_and_the_next_sign_in(
    desk: Desk, watch: Watch, oidc: OidcProvider
) -> None:
    desk.begin(oidc, store="keyring")
    watch.be("read-only")
    for purpose in (GIT, KUBE):
        desk.expire_all()
        desk.token(purpose)
    desk.sign_in(oidc)
    watch.calls()
    assert in_clear(desk, oidc) == []
    desk.expire_all()
    desk.token(GIT)
