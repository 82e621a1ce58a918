"""The rows of ``status``: what counts as ready, what is shown, and what never is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.app import App
from credential_helper.commands import status
from credential_helper.model import Identity, Profile, Secret, Session, Token, session_id
from credential_helper.stores.session_notes import Failure
from tests.helpers.clock import FakeClock

PROD = Profile(name="prod", issuer="https://idp.example.com", client_id="client")
CANARY = "the-secret-canary"


class World:
    """A config file, a state directory, and the command."""

    def __init__(self, environ: dict[str, str], clock: FakeClock, capfd: pytest.CaptureFixture[str]) -> None:
        self.clock = clock
        self.capfd = capfd
        self.environ = environ
        self.configure("")

    def configure(self, more: str) -> None:
        folder = Path(self.environ["HOME"], ".config", "credential-helper")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "config.toml"
        file.write_text(f'[profiles.prod]\nissuer = "https://idp.example.com"\nclient_id = "client"\n{more}')
        file.chmod(0o600)

    def app(self) -> App:
        return App(self.environ, clock=self.clock, verbose=False)

    def token(self, *, left: float | None = 3600.0, **changes: Any) -> Token:
        now = self.clock.now()
        token = Token(value=Secret(CANARY), received_at=now - 60, expires_at=None if left is None else now + left)
        return msgspec.structs.replace(token, **changes)

    def keep(self, profile: Profile = PROD, *, refresh_token: bool = False, **changes: Any) -> None:
        session = Session(
            profile=profile.name,
            issuer=profile.issuer,
            client_id=profile.client_id,
            kind=profile.session_kind,
            audience=profile.audience,
            access=self.token(),
            identity=Identity(subject="ada", name="ada@example.com"),
        )
        self.app().sessions().save(
            session_id(profile),
            msgspec.structs.replace(session, **changes),
            store="file",
            refresh_token=Secret(CANARY) if refresh_token else None,
        )

    def show(self, **given: object) -> tuple[int, str, str]:
        code = status.run(dict(given), self.app())
        out, err = self.capfd.readouterr()
        assert CANARY not in out + err
        return code, out, err

    def rows(self, **given: object) -> tuple[int, list[dict[str, Any]]]:
        code, out, _ = self.show(json=True, **given)
        document = json.loads(out)
        assert document["version"] == 1
        return code, document["profiles"]

    def row(self) -> dict[str, Any]:
        """Return the one row, whose ``ready`` the exit code repeats."""
        code, [row] = self.rows()
        assert code == (0 if row["ready"] else 66)
        return row


@pytest.fixture
def world(environ: dict[str, str], clock: FakeClock, capfd: pytest.CaptureFixture[str]) -> World:
    return World(environ, clock, capfd)


# --- ready: it answers without a person


def test_nobody_is_signed_in(world: World) -> None:
    row = world.row()
    assert (row["profile"], row["issuer"], row["ready"]) == ("prod", "idp.example.com", False)
    assert "who" not in row
    assert "token" not in row


@pytest.mark.parametrize(("left", "ready"), [(3600.0, True), (1.0, True), (0.0, False), (-1.0, False), (None, True)])
def test_an_access_token_alone_is_ready_until_it_expires(world: World, left: float | None, *, ready: bool) -> None:
    world.keep(access=world.token(left=left))
    row = world.row()
    assert row["ready"] == ready
    assert (row["who"], row["token"]) == ("ada@example.com", "access")
    assert row.get("expires_in") == (None if left is None else int(left))


def test_a_refresh_token_makes_it_ready_whatever_the_access_token_is(world: World) -> None:
    world.keep(refresh_token=True, access=world.token(left=-7200.0))
    row = world.row()
    assert row["ready"]
    assert row["refresh_token"] == "file"
    assert row["expires_in"] == -7200


def test_a_refresh_token_that_is_kept_only_to_be_revoked_makes_nothing_ready(world: World) -> None:
    world.keep(refresh_token=True, access=None, identity=None, revoke_only=True)
    assert not world.row()["ready"]


def test_what_is_not_verified_is_not_ready(world: World) -> None:
    world.keep(unverified=True)
    assert not world.row()["ready"]


def test_a_token_from_the_future_is_not_ready(world: World, clock: FakeClock) -> None:
    world.keep(access=world.token(received_at=clock.now() + 61.0))
    assert not world.row()["ready"]


def test_a_profile_that_gives_id_tokens_is_judged_by_its_id_token(world: World) -> None:
    world.configure('token = "id"\n')
    world.keep(access=world.token(), id=world.token(left=-1.0))
    row = world.row()
    assert (row["token"], row["expires_in"], row["ready"]) == ("id", -1, False)
    world.keep(access=world.token(left=-1.0), id=world.token(left=100.0))
    row = world.row()
    assert (row["token"], row["expires_in"], row["ready"]) == ("id", 100, True)


def test_a_machine_is_always_ready(world: World) -> None:
    world.configure('flow = "client-credentials"\nclient_secret = { env = "X" }\n')
    row = world.row()
    assert (row["ready"], row["refresh_token"]) == (True, "not needed")
    world.keep(msgspec.structs.replace(PROD, flow="client-credentials"), identity=None, access=world.token(left=-5.0))
    row = world.row()
    assert (row["ready"], row["refresh_token"], row["expires_in"]) == (True, "not needed", -5)


# --- what is shown


def test_every_profile_has_a_row_and_sessions_of_others_come_after_them(world: World) -> None:
    world.configure('[profiles.staging]\nissuer = "https://idp.example.com"\nclient_id = "other"\n')
    world.keep(msgspec.structs.replace(PROD, audience="https://b.example.com"))
    world.keep(Profile(name="idp.example.com/12345678", issuer="https://idp.example.com", client_id="adhoc"))
    code, rows = world.rows()
    assert code == 66
    assert [row["profile"] for row in rows[:2]] == ["prod", "staging"]
    assert {(row["profile"], row.get("audience")) for row in rows[2:]} == {
        ("prod", "https://b.example.com"),
        ("idp.example.com/12345678", None),
    }


def test_one_profile_that_is_named_brings_its_own_sessions_only(world: World) -> None:
    world.keep(msgspec.structs.replace(PROD, audience="https://b.example.com"))
    world.keep(Profile(name="idp.example.com/12345678", issuer="https://idp.example.com", client_id="adhoc"))
    _, rows = world.rows(profiles=["prod"])
    assert [(row["profile"], row.get("audience")) for row in rows] == [
        ("prod", None),
        ("prod", "https://b.example.com"),
    ]


def test_the_last_failure_is_told_with_its_age(world: World, clock: FakeClock) -> None:
    now = clock.now()
    failure = Failure(sentence="declined at idp.example.com", hint=None, exit_code=77, made=now, until=now + 60)
    world.app().sessions().notes.remember(session_id(PROD), failure)
    clock.advance(12)
    assert "12 s" in world.row()["last_failure"]
    _, table, _ = world.show()
    assert "declined at idp.example.com" in table.splitlines()[2]
    world.app().sessions().notes.remember(session_id(PROD), msgspec.structs.replace(failure, made=now + 1000))
    assert "last_failure" not in world.row()


def test_names_from_outside_can_do_nothing_to_a_terminal(world: World) -> None:
    world.keep(identity=Identity(subject="ada", name="ada\x1b[31m\u202egpj.exe\n" + "x" * 500))
    _, table, _ = world.show()
    assert "\x1b" not in table
    assert "\u202e" not in table
    assert len(table.splitlines()) == 2
    assert max(map(len, table.splitlines())) < 300


def test_a_subject_stands_in_for_a_name(world: World) -> None:
    world.keep(identity=Identity(subject="auth0|123"))
    assert world.row()["who"] == "auth0|123"


def test_the_columns_stand_below_their_heads(world: World) -> None:
    world.keep(refresh_token=True)
    code, table, err = world.show()
    head, row = table.splitlines()
    assert (code, err) == (0, "")
    assert head.split("  ")[0] == "profile"
    for title, cell in (("issuer", "idp.example.com"), ("who", "ada@example.com"), ("expires in", "60 min")):
        assert head.index(title) == row.index(cell)


# --- what is off


def test_a_bad_profile_is_told_and_the_good_ones_are_shown(world: World) -> None:
    world.configure('[profiles.broken]\nisuer = "x"\n')
    world.keep()
    code, table, err = world.show()
    assert code == 78
    assert "prod " in table
    assert "profiles.broken.isuer: unknown key; did you mean issuer?" in err


def test_an_unsafe_state_directory_is_told_and_nothing_is_read_from_it(world: World) -> None:
    world.keep()
    state = world.app().state.path
    assert state is not None
    os.chmod(state, 0o777)
    code, out, err = world.show()
    assert code == 66
    assert "nobody" in out
    assert "others can write" in err or "writable" in err
    assert "Traceback" not in err


def test_a_damaged_session_is_absent(world: World) -> None:
    world.keep()
    path = Path(world.app().state.locate(f"sessions/{session_id(PROD)}.json"))
    path.write_bytes(path.read_bytes()[:-20])
    assert not world.row()["ready"]
