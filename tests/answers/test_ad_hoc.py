"""A profile of variables with the issuer and client of one of the file gets nothing of that one's, whatever it lists.

Variables are a checkout's (.envrc, a devcontainer), the sign-in is the person's: the two never meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from credential_helper import cli
from credential_helper.answers import docker as docker_answers
from credential_helper.answers import git as git_answers
from credential_helper.answers.call import Call
from credential_helper.app import App
from credential_helper.model import Profile, Request
from credential_helper.profiles.choose import choose
from credential_helper.profiles.configuration import load
from credential_helper.tools import TOOLS
from integration.servers.hostile_provider import HostileProvider, answer
from tests.helpers import format_1
from tests.helpers.clock import FakeClock
from tests.helpers.sessions import keep, token

EVIL = "evil.example"
TOKEN, REFRESH = "the-token-of-the-file", "the-refresh-token-of-the-file"
NOT_FOUND = b"credentials not found in native keychain\n"


class World:
    """A profile of the file that somebody is signed in to, and variables that name its issuer and its client."""

    def __init__(self, provider: HostileProvider, environ: dict[str, str], capfdbinary: pytest.CaptureFixture[bytes]):
        provider.serve_metadata(revocation_endpoint=f"{provider.url}/revoke")
        provider.script("/token", answer({"access_token": "renewed", "token_type": "Bearer", "expires_in": 3600}))
        provider.script("/revoke", answer(b""))
        self.provider = provider
        self.clock = FakeClock()
        self.environ = environ
        self.capture = capfdbinary
        config = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
        config.parent.mkdir(parents=True)
        config.write_text(
            f'[profiles.prod]\nissuer = "{provider.issuer}"\nclient_id = "client"\nstore = "file"\n'
            'git = ["https://git.example.com"]\n'
        )
        config.chmod(0o600)
        self.profile = load(environ).profile("prod")
        ca_file = Path(environ["HOME"], "theirs.pem")
        ca_file.write_text("of whoever stands between")
        self.variables = {
            "CREDENTIAL_HELPER_ISSUER": provider.issuer,
            "CREDENTIAL_HELPER_CLIENT_ID": "client",
            "CREDENTIAL_HELPER_GIT": f"https://{EVIL}",
            "CREDENTIAL_HELPER_DOCKER": EVIL,
            "CREDENTIAL_HELPER_CA_FILE": str(ca_file),
            "CREDENTIAL_HELPER_STORE": "file",
        }

    def app(self, *, theirs: bool) -> App:
        return App(self.environ | (self.variables if theirs else {}), clock=self.clock, verbose=False)

    def sign_in(self, how: str, *, left: float = 3600.0) -> None:
        app = self.app(theirs=False)
        now = self.clock.now()
        if how == "format 1":
            access = {"value": TOKEN, "received_at": now - 60, "expires_at": now + left}
            format_1.leave(app.state, self.profile, access=access, id=None, refresh_token=REFRESH)
        else:
            access_token = token(TOKEN, now, left=left)
            alone = how == "a grant of its own"
            keep(app.sessions(), self.profile, alone=alone, access=access_token, refresh_token=REFRESH)

    def git(self, host: str, *, theirs: bool, operation: str = "get") -> tuple[int, bytes]:
        heard = f"protocol=https\nhost={host}\npassword={TOKEN}\n".encode()
        call = Call(argv=["git-credential-helper", operation], heard=heard, app=self.app(theirs=theirs))
        return self._said(git_answers.answer(call, TOOLS["git"], {"operation": operation}))

    def docker(self, action: str) -> tuple[int, bytes]:
        heard = b"" if action == "list" else EVIL.encode()
        call = Call(argv=["docker-credential-helper", action], heard=heard, app=self.app(theirs=True))
        return self._said(docker_answers.answer(call, TOOLS["docker"], [action]))

    def command(self, *words: str) -> tuple[int, bytes]:
        return self._said(cli.run(["credential-helper", *words], self.environ | self.variables))

    def _said(self, code: int) -> tuple[int, bytes]:
        out, err = self.capture.readouterr()
        assert TOKEN.encode() not in err
        assert REFRESH.encode() not in out + err
        return code, out

    def sent(self) -> list[str]:
        return [request.path for request in self.provider.requests if REFRESH in str(request.fields)]


@pytest.fixture
def world(environ: dict[str, str], capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[World]:
    with HostileProvider() as provider:
        yield World(provider, environ, capfdbinary)


KEPT = pytest.mark.parametrize("kept", ["the profile's grant", "a grant of its own", "format 1"])
LEFT = pytest.mark.parametrize("left", [3600.0, -60.0], ids=["fresh", "expired"])


@LEFT
@KEPT
@pytest.mark.parametrize("ca_file", [True, False])
def test_it_never_gets_the_token_of_the_file_s_profile(world: World, kept: str, left: float, *, ca_file: bool) -> None:
    world.sign_in(kept, left=left)
    if not ca_file:
        del world.variables["CREDENTIAL_HELPER_CA_FILE"]
    assert world.git(EVIL, theirs=True) == (66, b"quit=1\n")
    assert world.docker("get") == (1, NOT_FOUND)
    assert world.docker("list") == (0, b"{}\n")
    for words in (["token"], ["refresh"], ["status"], ["login"]):
        assert world.command(*words)[0] == 66
    code, out = world.command("kubectl")
    assert (code, TOKEN.encode() in out) == (66, False)
    assert world.sent() == []


@KEPT
def test_it_neither_drops_nor_ends_what_is_the_file_s(world: World, kept: str) -> None:
    world.sign_in(kept)
    assert world.git(EVIL, theirs=True, operation="erase") == (0, b"")
    assert world.docker("erase") == (0, b"")
    assert world.command("logout") == (0, b"")
    assert world.sent() == []
    code, out = world.git("git.example.com", theirs=False)
    assert (code, f"password={TOKEN}".encode() in out) == (0, True)


def ad_hoc(world: World) -> Profile:
    return choose(Request(tool="credential-helper"), {}, world.environ | world.variables).profile


def test_the_file_s_profile_gets_nothing_of_it_either(world: World) -> None:
    keep(world.app(theirs=True).sessions(), ad_hoc(world), access=token("theirs", world.clock.now()), refresh_token="r")
    assert world.git("git.example.com", theirs=False) == (66, b"quit=1\n")
    code, out = world.git(EVIL, theirs=True)
    assert (code, b"password=theirs" in out) == (0, True)


@pytest.mark.parametrize("changed", ["CA_FILE", "TOKEN_ENDPOINT", "ACCOUNT"])
def test_two_that_ask_in_different_ways_share_nothing(world: World, changed: str) -> None:
    keep(world.app(theirs=True).sessions(), ad_hoc(world), access=token("first", world.clock.now()), refresh_token="r")
    other = {"CA_FILE": "/none.pem", "TOKEN_ENDPOINT": f"{world.provider.url}/other", "ACCOUNT": "bob@example.com"}
    world.variables[f"CREDENTIAL_HELPER_{changed}"] = other[changed]
    assert world.git(EVIL, theirs=True) == (66, b"quit=1\n")
    assert world.provider.to("/token") == world.provider.to("/other") == []
