"""Which sessions a logout ends, and what it says; the rest of what people type is in conversations/people.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.app import App
from credential_helper.broker.forget import same_account
from credential_helper.commands import logout
from credential_helper.errors import UsageError
from credential_helper.model import Profile, Secret, Session, Token, session_id
from integration.servers.hostile_provider import HostileProvider, answer, html
from tests.helpers.clock import FakeClock

PROFILE = Profile(
    name="prod", issuer="https://idp.example.com/", client_id="client", audience="https://api.example.com"
)
SESSION = Session(profile="prod", issuer="https://idp.example.com/", client_id="client", kind="person")


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"issuer": "https://idp.example.com"}, True),
        ({"audience": "https://other.example.com"}, True),
        ({"scope": ("openid",)}, True),
        ({"profile": "another-name"}, True),
        ({"issuer": "https://other.example.com/"}, False),
        ({"issuer": "https://idp.example.com/realm"}, False),
        ({"client_id": "another"}, False),
        ({"kind": "client"}, False),
        ({"account": "bob@example.com"}, False),
    ],
)
def test_one_account_of_one_client_whatever_its_audience(changes: dict[str, Any], *, same: bool) -> None:
    assert same_account(msgspec.structs.replace(SESSION, **changes), PROFILE) == same


def test_two_accounts_of_one_issuer_are_apart() -> None:
    ada = msgspec.structs.replace(PROFILE, account="ada@example.com")
    assert same_account(msgspec.structs.replace(SESSION, account="ada@example.com"), ada)
    assert not same_account(msgspec.structs.replace(SESSION, account="bob@example.com"), ada)
    assert not same_account(SESSION, ada)


class World:
    """A provider that revokes, a state directory, and the command."""

    def __init__(self, environ: dict[str, str], clock: FakeClock, provider: HostileProvider) -> None:
        provider.serve_metadata(revocation_endpoint=f"{provider.url}/revoke")
        provider.script("/revoke", answer(b""))
        self.provider = provider
        self.clock = clock
        folder = Path(environ["HOME"], ".config", "credential-helper")
        folder.mkdir(parents=True)
        self.file = folder / "config.toml"
        self.configure(f'profiles.prod = {{ issuer = "{provider.issuer}", client_id = "client" }}\n')
        self.app = App(environ, clock=clock, verbose=False)

    def configure(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def add(self, **changes: Any) -> str:
        """Keep a session of the profile, with another audience or account; return its id."""
        profile = Profile(name="prod", issuer=self.provider.issuer, client_id="client")
        known = {key: value for key, value in changes.items() if key in ("audience", "account", "client_id")}
        identifier = session_id(msgspec.structs.replace(profile, **known))
        now = self.clock.now()
        session = Session(
            profile="prod",
            issuer=self.provider.issuer,
            client_id="client",
            kind="person",
            access=Token(value=Secret("the-access-token"), received_at=now, expires_at=now + 3600),
        )
        session = msgspec.structs.replace(session, **changes)
        self.app.sessions().save(
            identifier, session, store="file", refresh_token=Secret(f"refresh-of-{identifier[:8]}")
        )
        return identifier

    def left(self) -> list[str]:
        return self.app.sessions().ids("json", "failure", "prompt")

    def revoked(self) -> list[str]:
        return [dict(request.fields)["token"] for request in self.provider.to("/revoke")]


@pytest.fixture
def world(environ: dict[str, str], clock: FakeClock) -> Any:
    with HostileProvider() as provider:
        yield World(environ, clock, provider)


def test_a_logout_ends_every_session_of_the_account_and_no_other(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    mine = [world.add(), world.add(audience="https://a.example.com"), world.add(audience="https://b.example.com")]
    others = [world.add(account="bob@example.com"), world.add(client_id="another")]
    assert logout.run({"profiles": ["prod"]}, world.app) == 0
    assert world.left() == sorted(others)
    assert sorted(world.revoked()) == sorted(f"refresh-of-{one[:8]}" for one in mine)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("signed out of prod\n") == 3
    assert err.count("the refresh token is revoked; the access token is accepted until ") == 3
    assert "refresh-of" not in err


def test_everything_ends_with_all(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    for changes in (
        {},
        {"audience": "https://a.example.com"},
        {"account": "bob@example.com"},
        {"client_id": "another"},
    ):
        world.add(**changes)
    assert logout.run({"all": True}, world.app) == 0
    assert world.left() == []
    assert len(world.revoked()) == 4
    assert capfd.readouterr().err.count("signed out of prod\n") == 4


def test_all_ends_what_no_profile_knows_any_more(world: World) -> None:
    world.add()
    world.configure("")
    assert logout.run({"all": True}, world.app) == 0
    assert world.left() == []
    assert len(world.revoked()) == 1


def test_all_and_a_profile_contradict_each_other(world: World) -> None:
    with pytest.raises(UsageError):
        logout.run({"all": True, "profiles": ["prod"]}, world.app)


def test_what_is_erased_and_not_revoked_is_told(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.add()
    world.provider.script("/revoke", html(502))
    assert logout.run({"profiles": ["prod"]}, world.app) == 69
    assert world.left() == []
    err = capfd.readouterr().err
    assert "signed out of prod\n" in err
    assert "credential-helper: prod: the refresh token was erased here but not revoked: " in err
    assert "the refresh token is revoked" not in err


def test_the_first_thing_that_went_wrong_is_the_exit_code_and_the_rest_is_done(world: World) -> None:
    world.add()
    world.add(audience="https://a.example.com")
    world.provider.script("/revoke", html(502), answer(b""))
    assert logout.run({"profiles": ["prod"]}, world.app) == 69
    assert world.left() == []
    assert len(world.revoked()) == 2


def test_a_provider_that_revokes_nothing_is_told(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.provider.serve_metadata(revocation_endpoint=None)
    world.add()
    assert logout.run({"profiles": ["prod"]}, world.app) == 0
    assert "revokes no tokens: the refresh token ends by itself" in capfd.readouterr().err
    assert world.left() == []


def test_an_access_token_that_is_over_is_not_said_to_be_accepted(
    world: World, clock: FakeClock, capfd: pytest.CaptureFixture[str]
) -> None:
    world.add()
    clock.advance(7200)
    assert logout.run({"profiles": ["prod"]}, world.app) == 0
    assert "the access token" not in capfd.readouterr().err


def test_a_failure_that_is_remembered_goes_too(world: World) -> None:
    from credential_helper.stores.session_notes import Failure

    identifier = world.add()
    now = world.clock.now()
    failure = Failure(sentence="declined", hint=None, exit_code=77, made=now, until=now + 60)
    world.app.sessions().notes.remember(identifier, failure)
    assert logout.run({"profiles": ["prod"]}, world.app) == 0
    assert world.left() == []


def test_nobody_there_is_said_and_is_no_error(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert logout.run({"profiles": ["prod"]}, world.app) == 0
    assert capfd.readouterr().err == "nobody was signed in to prod\n"
    assert world.provider.requests == []
