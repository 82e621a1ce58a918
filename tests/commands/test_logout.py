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
from credential_helper.model import Identity, Profile, Secret, Session, Token, session_id
from integration.servers.hostile_provider import Behaviour, HostileProvider, answer, empty, html
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


def test_a_logout_ends_the_profile_s_own_sessions_and_no_other(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    mine = [world.add(), world.add(audience="https://a.example.com"), world.add(audience="https://b.example.com")]
    others = [
        world.add(account="bob@example.com"),
        world.add(client_id="another"),
        world.add(audience="https://git.example.com", profile="git"),
        world.add(audience="https://ad-hoc.example.com", profile="127.0.0.1:1/0123abcd"),
    ]
    assert logout.run({"profiles": ["prod"]}, world.app) == 0
    assert world.left() == sorted(others)
    assert sorted(world.revoked()) == sorted(f"refresh-of-{one[:8]}" for one in mine)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("signed out of prod\n") == 1
    assert err.count("signed out of prod for https://") == 2
    assert err.count("the refresh token is revoked; the access token is accepted until ") == 3
    assert "refresh-of" not in err


ADA, BOB = Identity(subject="1", name="ada@example.com"), Identity(subject="2", name="bob@example.com")


def test_another_person_stays_signed_in_and_is_named(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    mine = [world.add(identity=ADA), world.add(identity=ADA, audience="https://a.example.com")]
    unknown = world.add(audience="https://b.example.com")
    bob = world.add(identity=BOB, audience="https://c.example.com")
    assert logout.run({"profiles": ["prod"]}, world.app) == 0
    assert world.left() == [bob]
    assert len(world.revoked()) == len([*mine, unknown])
    assert "bob@example.com stays signed in to prod for https://c.example.com\n" in capfd.readouterr().err
    assert logout.run({"profiles": ["prod"], "audience": "https://c.example.com"}, world.app) == 0
    assert world.left() == []
    assert "signed out of prod (bob@example.com)\n" in capfd.readouterr().err


def test_a_profile_with_an_account_and_one_without_end_apart(world: World) -> None:
    world.configure(
        f"""\
        profiles.prod = {{ issuer = "{world.provider.issuer}", client_id = "client" }}
        profiles.admin = {{ issuer = "{world.provider.issuer}", client_id = "client", account = "bob@example.com" }}
        """
    )
    ada, bob = world.add(identity=ADA), world.add(identity=BOB, account="bob@example.com", profile="admin")
    assert logout.run({"profiles": ["admin"]}, world.app) == 0
    assert world.left() == [ada]
    assert logout.run({"profiles": ["admin"]}, world.app) == 0
    assert world.left() == [ada]
    bob = world.add(identity=BOB, account="bob@example.com", profile="admin")
    assert logout.run({"profiles": ["prod"]}, world.app) == 0
    assert world.left() == [bob]


def test_a_profile_that_has_the_same_sign_in_is_named(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    same = f'{{ issuer = "{world.provider.issuer}", client_id = "client" }}'
    world.configure(f"profiles.prod = {same}\nprofiles.kube = {same}\nprofiles.git = {same}\n")
    world.add()
    assert logout.run({"profiles": ["kube"]}, world.app) == 0
    assert world.left() == []
    err = capfd.readouterr().err
    assert err.startswith("signed out of kube\nprod, git had the same sign-in, which has ended for them, too\n")
    world.add()
    assert logout.run({"profiles": ["kube", "prod"]}, world.app) == 0
    assert "nobody" not in capfd.readouterr().err


def test_an_ad_hoc_profile_ends_what_was_signed_in_without_a_file(world: World) -> None:
    named, other = world.add(), world.add(audience="https://a.example.com", profile="127.0.0.1:1/0123abcd")
    given: dict[str, object] = {"issuer": world.provider.issuer, "client_id": "client"}
    assert logout.run({**given, "audience": "https://c.example.com"}, world.app) == 0
    assert sorted(world.left()) == sorted([named, other])
    assert logout.run({**given, "account": "nobody@example.com"}, world.app) == 0
    assert sorted(world.left()) == sorted([named, other])
    world.app.sessions().erase(named)
    assert logout.run(given, world.app) == 0
    assert world.left() == []


def test_a_given_audience_is_the_one_session_that_ends(world: World) -> None:
    base, mine = world.add(), world.add(audience="https://a.example.com")
    assert logout.run({"profiles": ["prod"], "audience": "https://a.example.com"}, world.app) == 0
    assert mine not in world.left()
    assert world.left() == [base]


@pytest.mark.parametrize(
    "refused",
    [
        empty(401),
        empty(403),
        html(404),
        answer({"error": "invalid_client"}, 401),
        answer({"error": "invalid_request"}, 400),
        answer("no", 400),
    ],
)
def test_a_revocation_that_is_refused_is_no_missing_network(
    world: World, refused: Behaviour, capfd: pytest.CaptureFixture[str]
) -> None:
    world.add()
    world.provider.script("/revoke", refused)
    assert logout.run({"profiles": ["prod"]}, world.app) == 77
    assert world.left() == []
    err = capfd.readouterr().err
    assert "the refresh token stays good at 127.0.0.1:" in err
    assert "credential-helper: prod: the refresh token was erased here but not revoked: 127.0.0.1:" in err


@pytest.mark.parametrize(("status", "code"), [(500, 69), (503, 69), (408, 69), (429, 75)])
def test_a_revocation_that_nobody_heard_is_none_that_is_refused(world: World, status: int, code: int) -> None:
    world.add()
    world.provider.script("/revoke", empty(status))
    assert logout.run({"profiles": ["prod"]}, world.app) == code


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


def test_all_ends_everything_whatever_the_config_file_says(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.add()
    world.configure("profiles = ")
    assert logout.run({"all": True}, world.app) == 0
    assert world.left() == []
    assert len(world.revoked()) == 1
    assert "warning: " in capfd.readouterr().err


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
    from credential_helper.stores.grant_notes import Failure

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


def test_a_session_of_a_newer_version_stays_and_is_told(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    identifier = world.add()
    path = Path(world.app.state.locate(f"sessions/{identifier}.json"))
    newer = path.read_bytes().replace(b'"version":1', b'"version":9')
    path.write_bytes(newer)
    for given in ({"profiles": ["prod"]}, {"all": True}):
        assert logout.run(dict(given), world.app) == 74
        err = capfd.readouterr().err
        assert "the sign-in was written by a newer version of this program, and is kept as it is" in err
        assert "signed out" not in err
        assert path.read_bytes() == newer


def test_without_the_keyring_it_says_what_stays_of_this_profile_and_touches_no_other(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    for changes in ({}, {"profile": "git", "audience": "https://git.example.com"}):
        identifier = world.add(**changes)
        session = world.app.sessions().read(identifier)
        assert session is not None
        kept = msgspec.structs.replace(session.session, refresh_token=None, in_keyring=True, record=("0" * 32, "ada"))
        world.app.sessions().save(identifier, kept)
    for given, names in (({"profiles": ["prod"]}, ["prod"]), ({"all": True}, ["git", "prod"])):
        assert logout.run(dict(given), world.app) == 74
        err = capfd.readouterr().err
        lines = sorted(line for line in err.splitlines() if not line.startswith("hint: "))
        assert [line.split(": ")[1] for line in lines] == names
        for line in lines:
            assert "signed out here, but the refresh token is still in the keyring, and not revoked: " in line
        assert err.count("hint: log out again where the keyring can be used") == len(names)
        assert "store" not in err
    assert world.provider.to("/revoke") == []
