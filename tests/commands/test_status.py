"""The rows of ``status``: what counts as ready, what is shown, and what never is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper import cli
from credential_helper.app import App
from credential_helper.commands import status
from credential_helper.commands.status_rows import GrantRow, Row, SessionRow
from credential_helper.model import Identity, Profile, Token
from credential_helper.profiles.configuration import load
from credential_helper.session import Place, place_of
from credential_helper.stores.grant_notes import Failure
from credential_helper.text import foreign
from tests.helpers import format_1
from tests.helpers.clock import FakeClock
from tests.helpers.config import write_config
from tests.helpers.sessions import ADA, keep, token

PROD = Profile(name="prod", issuer="https://idp.example.com", client_id="client")
CANARY = "the-secret-canary"
A, B = "https://a.example.com", "https://b.example.com"


class World:
    """A config file, a state directory, and the command."""

    def __init__(self, environ: dict[str, str], clock: FakeClock, capfd: pytest.CaptureFixture[str]) -> None:
        self.clock = clock
        self.capfd = capfd
        self.environ = environ
        self.grants: list[dict[str, Any]] = []
        self.configure("")

    def configure(self, more: str) -> None:
        prod = '[profiles.prod]\nissuer = "https://idp.example.com"\nclient_id = "client"\n'
        write_config(self.environ, prod + more)

    def app(self) -> App:
        return App(self.environ, clock=self.clock, verbose=False)

    def proof(self) -> str | None:
        """Return what the machine of prod proves itself with now."""
        profile = load(self.environ).profile("prod")
        return self.app().means(profile).proof(profile)

    def seal(self, **changes: Any) -> None:
        """Keep a session whose refresh token cannot be read without the keyring."""
        place = self.keep(sealed="c2VhbGVk", **changes)
        grants = self.app().sessions().grants
        file = grants.read(place.grant)
        assert file is not None
        grants.write(msgspec.structs.replace(file, key=("grant/" + "0" * 32, "prod ada")))

    def token(self, *, left: float | None = 3600.0, **changes: Any) -> Token:
        return msgspec.structs.replace(token(CANARY, self.clock.now(), left=left), **changes)

    def keep(self, profile: Profile = PROD, *, refresh_token: bool = False, **changes: Any) -> Place:
        kept = {"access": self.token(), "identity": ADA, "refresh_token": CANARY if refresh_token else None, **changes}
        return keep(self.app().sessions(), profile, **kept)

    def leave(self, profile: Profile = PROD, **other: Any) -> str:
        """Keep a session as an earlier version did."""
        now = self.clock.now()
        access = {"value": CANARY, "received_at": now - 60, "expires_at": now + 3600}
        return format_1.leave(self.app().state, profile, access=access, id=None, refresh_token=CANARY, **other)

    def show(self, **given: object) -> tuple[int, str, str]:
        code = status.run(dict(given), self.app())
        out, err = self.capfd.readouterr()
        assert CANARY not in out + err
        return code, out, err

    def rows(self, **given: object) -> tuple[int, list[dict[str, Any]]]:
        code, out, _ = self.show(json=True, **given)
        document = json.loads(out)
        assert document["version"] == status.VERSION
        for row in document["profiles"]:
            assert list(row) == list(Row.__struct_fields__)
            assert row["ready"] == (row["exit_code"] == 0)
        for row in document["grants"]:
            assert list(row) == list(GrantRow.__struct_fields__)
            assert all(list(session) == list(SessionRow.__struct_fields__) for session in row["sessions"])
        self.grants = document["grants"]
        return code, document["profiles"]

    def served(self) -> list[tuple[list[str], str, list[str | None]]]:
        """Return of each grant whose it is, who made it, and the audiences of its sessions."""
        return [
            (grant["profiles"], grant["made_by"], sorted(one["audience"] or "" for one in grant["sessions"]))
            for grant in self.grants
        ]

    def row(self) -> dict[str, Any]:
        """Return the one row, whose ``ready`` the exit code repeats."""
        code, [row] = self.rows()
        assert code == row["exit_code"]
        return row


@pytest.fixture
def world(environ: dict[str, str], clock: FakeClock, capfd: pytest.CaptureFixture[str]) -> World:
    return World(environ, clock, capfd)


# --- ready: it answers without a person


def test_nobody_is_signed_in(world: World) -> None:
    row = world.row()
    assert (row["profile"], row["issuer"], row["client_id"]) == ("prod", "https://idp.example.com", "client")
    assert (row["ready"], row["exit_code"], row["renewable"]) == (False, 66, False)
    for key in ("who", "token", "expires_at", "expires_in", "account", "audience", "same_sign_in_as", "last_failure"):
        assert row[key] is None
    assert row["problem"].startswith("nobody is signed in to idp.example.com")


@pytest.mark.parametrize(("left", "ready"), [(3600.0, True), (1.0, True), (0.0, False), (-1.0, False), (None, True)])
def test_an_access_token_alone_is_ready_until_it_expires(world: World, left: float | None, *, ready: bool) -> None:
    world.keep(access=world.token(left=left))
    row = world.row()
    assert row["ready"] == ready
    assert (row["who"], row["token"]) == ("ada@example.com", "access")
    assert row["expires_in"] == (None if left is None else max(0, int(left)))


def test_a_refresh_token_makes_it_ready_whatever_the_access_token_is(world: World) -> None:
    world.keep(refresh_token=True, access=world.token(left=-7200.0))
    row = world.row()
    assert row["ready"]
    assert row["refresh_token"] == "file"
    assert (row["expires_in"], row["renewable"]) == (0, True)
    _, table, _ = world.show()
    assert "renews at the next use" in table
    assert "file (no keyring here)" in table


def test_a_refresh_token_is_in_a_file_by_choice_or_for_want_of_a_keyring(world: World) -> None:
    world.keep(refresh_token=True)
    assert "file (no keyring here)" in world.show()[1]
    world.configure('store = "file"\n')
    assert world.show()[1].splitlines()[1].endswith("  file")


def test_a_refresh_token_that_is_kept_only_to_be_revoked_makes_nothing_ready(world: World) -> None:
    world.keep(refresh_token=True, access=None, identity=None, revoke_only=True)
    assert not world.row()["ready"]


@pytest.mark.parametrize("identity", [True, False])
def test_what_waits_for_its_check_is_ready_as_if_that_had_been_made(world: World, *, identity: bool) -> None:
    world.keep(unverified=True, id=world.token(unverified=True) if identity else None)
    assert world.row()["ready"]


def test_a_sign_in_for_another_audience_that_waits_for_its_check_is_none(world: World) -> None:
    world.keep(msgspec.structs.replace(PROD, audience=B), unverified=True)
    assert not world.row()["ready"]


def test_a_token_from_the_future_is_not_ready(world: World, clock: FakeClock) -> None:
    world.keep(access=world.token(received_at=clock.now() + 61.0))
    assert not world.row()["ready"]


def test_a_profile_that_gives_id_tokens_is_judged_by_its_id_token(world: World) -> None:
    world.configure('token = "id"\n')
    world.keep(access=world.token(), id=world.token(left=-1.0))
    row = world.row()
    assert (row["token"], row["expires_in"], row["ready"]) == ("id", 0, False)
    world.keep(access=world.token(left=-1.0), id=world.token(left=100.0))
    row = world.row()
    assert (row["token"], row["expires_in"], row["ready"]) == ("id", 100, True)


MACHINE = 'flow = "client-credentials"\nclient_secret = { env = "CI_SECRET" }\n'


def test_a_machine_is_ready_with_its_secret(world: World) -> None:
    world.configure(MACHINE)
    world.environ["CI_SECRET"] = CANARY
    row = world.row()
    assert (row["ready"], row["renewable"], row["refresh_token"]) == (True, True, "not needed")
    machine = msgspec.structs.replace(PROD, flow="client-credentials")
    world.keep(machine, proof=world.proof(), identity=None, access=world.token(left=-5.0))
    row = world.row()
    assert (row["ready"], row["refresh_token"], row["expires_in"]) == (True, "not needed", 0)


# --- not ready, and why: the exit code is the one that a tool would get


def meets(world: World, code: int, words: str) -> None:
    """Look whether status and token have one story: the exit code, and the sentence."""
    row = world.row()
    assert (row["ready"], row["exit_code"]) == (False, code)
    assert words in row["problem"]
    _, table, _ = world.show()
    assert f"not ready: {words}" in table or words in table
    arguments = ["credential-helper", "token", "prod"]
    assert cli.run(arguments, world.environ) == code
    assert words in world.capfd.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (MACHINE, "the variable CI_SECRET is not set, or empty"),
        ('flow = "client-credentials"\nclient_secret = { file = "none" }\n', "none cannot be read"),
        ('flow = "client-credentials"\nclient_secret = { command = ["none-at-all"] }\n', "was not found on PATH"),
        ('flow = "client-credentials"\nclient_secret = { command = ["/no/op"] }\n', "/no/op is not there, or cannot"),
        ('flow = "client-credentials"\nprivate_key = { env = "CI_KEY" }\n', "the variable CI_KEY is not set"),
        (
            'flow = "client-credentials"\nprivate_key = { env = "NO_KEY" }\n',
            "that is no private key in PEM or JWK form",
        ),
        ('flow = "client-credentials"\ntoken = "id"\n' + MACHINE.partition("\n")[2], "a machine gets no ID token"),
        ('token = "id"\nscope = "email"\n', 'the scope lacks "openid"'),
    ],
)
def test_what_a_profile_lacks_is_told_with_the_tools_exit_code(world: World, more: str, words: str) -> None:
    world.configure(more)
    world.environ["NO_KEY"] = "anything else"
    meets(world, 78, words)


def test_a_password_that_is_not_set(world: World) -> None:
    world.configure('flow = "password"\nlegacy = true\naccount = "ada"\npassword = { env = "PASSWORD" }\n')
    row = world.row()
    assert (row["ready"], row["exit_code"]) == (False, 78)
    assert "the variable PASSWORD is not set" in row["problem"]


@pytest.mark.parametrize(("text", "words"), [(None, "cannot be read"), ("no certificate", "no certificate")])
def test_certificates_that_are_not_there(world: World, tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "corp.pem").write_text(text)
        (tmp_path / "corp.pem").chmod(0o644)
    world.configure(f'{MACHINE}ca_file = "{tmp_path}/corp.pem"\n')
    world.environ["CI_SECRET"] = CANARY
    meets(world, 78, words)


def test_a_secret_in_a_keyring_that_is_not_there(world: World) -> None:
    world.configure('flow = "client-credentials"\nclient_secret = { keyring = "ci" }\n')
    meets(world, 74, "there is no keyring here")


def test_a_refresh_token_in_a_keyring_that_is_not_there(world: World) -> None:
    world.seal(access=world.token(left=-5.0))
    meets(world, 74, "there is no keyring here")


def test_what_is_kept_is_ready_and_what_comes_then_is_told(world: World) -> None:
    world.seal()
    row = world.row()
    assert (row["ready"], row["exit_code"], row["renewable"]) == (True, 0, False)
    assert "there is no keyring here" in row["problem"]
    assert "once it ends: there is no keyring here" in world.show()[1]


def test_a_confidential_client_needs_its_secret_to_renew(world: World) -> None:
    world.configure('client_secret = { env = "WEB_SECRET" }\n')
    world.keep(refresh_token=True, access=world.token(left=-5.0))
    meets(world, 78, "the variable WEB_SECRET is not set")


def test_a_command_of_a_secret_is_not_run(world: World, tmp_path: Path) -> None:
    world.configure(f'flow = "client-credentials"\nclient_secret = {{ command = ["touch", "{tmp_path}/ran"] }}\n')
    assert world.row()["ready"]
    assert not (tmp_path / "ran").exists()


def test_a_refusal_of_a_moment_ago_is_what_a_tool_would_be_told(world: World, clock: FakeClock) -> None:
    world.configure(MACHINE)
    world.environ["CI_SECRET"] = CANARY
    place = place_of(msgspec.structs.replace(PROD, flow="client-credentials"), world.proof())
    now = clock.now()
    failure = Failure(sentence="the client is refused", hint=None, exit_code=77, made=now, until=now + 60)
    world.app().sessions().notes.remember(place.grant, failure)
    row = world.row()
    assert (row["ready"], row["exit_code"]) == (False, 77)
    assert "the client is refused; that was " in row["problem"]
    assert world.app().sessions().notes.failures(place.grant) == (failure,)  # nothing is noted
    clock.advance(61)
    assert world.row()["ready"]


def test_after_a_refused_renewal_it_is_told_until_when_and_that_a_sign_in_is_needed(world: World) -> None:
    refused = (world.clock.now() - 300, "idp.example.com refused the refresh token (invalid_grant)")
    world.keep(refused=refused)
    row = world.row()
    assert (row["ready"], row["renewable"]) == (True, False)
    assert "refused the refresh token (invalid_grant)" in row["problem"]
    world.keep(refused=refused, access=world.token(left=-1.0))
    meets(world, 66, "idp.example.com refused the refresh token (invalid_grant) at ")


# --- what is shown


def test_every_profile_has_a_row_and_the_grants_of_others_stand_apart_and_do_not_count(world: World) -> None:
    world.configure('[profiles.staging]\nissuer = "https://idp.example.com"\nclient_id = "other"\n')
    world.keep(refresh_token=True)
    world.keep(msgspec.structs.replace(PROD, name="staging", client_id="other"))
    world.keep(msgspec.structs.replace(PROD, audience=B), access=world.token(left=-1.0))
    ad_hoc = Profile(name="idp.example.com/adhoc", ad_hoc=True, issuer="https://idp.example.com", client_id="adhoc")
    world.keep(ad_hoc, access=world.token(left=-1.0), identity=None)
    code, rows = world.rows()
    assert code == 0
    assert [row["profile"] for row in rows] == ["prod", "staging"]
    assert sorted(world.served()) == [
        ([], "idp.example.com/adhoc", [""]),
        (["prod"], "prod", ["", B]),
        (["staging"], "staging", [""]),
    ]
    assert world.show()[1].splitlines()[1:] == [
        "prod     idp.example.com  ada@example.com  access  60 min      file (no keyring here)",
        f"  also for {B}: access, expired",
        "staging  idp.example.com  ada@example.com  access  60 min      none",
        "",
        "of no profile here:",
        "idp.example.com/adhoc  idp.example.com  somebody  refresh token: none",
        "  for no audience: access, expired",
    ]


def test_one_profile_that_is_named_brings_its_own_grants_only(world: World) -> None:
    world.keep(msgspec.structs.replace(PROD, audience=B), alone=True)
    world.keep(Profile(name="idp.example.com/adhoc", ad_hoc=True, issuer="https://idp.example.com", client_id="adhoc"))
    _, rows = world.rows(profiles=["prod"])
    assert [(row["profile"], row["audience"]) for row in rows] == [("prod", None)]
    assert world.served() == [(["prod"], "prod", [B])]
    assert "of no profile here" not in world.show(profiles=["prod"])[1]


def test_a_grant_says_whose_it_is_and_what_it_serves(world: World) -> None:
    place = world.keep(refresh_token=True, scope=("openid",))
    other = world.keep(msgspec.structs.replace(PROD, resource=(A, B)), access=None, id=world.token(left=None))
    world.rows()
    [grant] = world.grants
    sessions = {one.pop("id"): one for one in grant.pop("sessions")}
    assert grant == {
        "id": place.grant,
        "profiles": ["prod"],
        "made_by": "prod",
        "issuer": "https://idp.example.com",
        "client_id": "client",
        "account": None,
        "machine": False,
        "who": "ada@example.com",
        "refresh_token": "file",
        "single": False,
    }
    first = sessions.pop(place.session)
    assert first.pop("expires_at").endswith("Z")
    assert first == {"audience": None, "resource": [], "scope": ["openid"], "token": "access", "expires_in": 3600}
    none: dict[str, Any] = {"scope": [], "expires_at": None, "expires_in": None}
    assert sessions == {other.session: {"audience": None, "resource": [A, B], "token": "id", **none}}
    assert f"  also for {A} {B}: id, for as long as the provider lets it\n" in world.show()[1]


def test_a_session_by_a_sign_in_of_its_own_says_so(world: World) -> None:
    world.configure(f'[profiles.git]\nissuer = "https://idp.example.com"\nclient_id = "client"\naudience = "{A}"\n')
    main = world.keep(refresh_token=True)
    git = world.keep(msgspec.structs.replace(PROD, audience=A), alone=True)  # made under prod's name
    single = world.keep(msgspec.structs.replace(PROD, audience=B), alone=True)
    _, rows = world.rows()
    assert [(row["profile"], row["ready"], row["same_sign_in_as"]) for row in rows] == [
        ("prod", True, None),
        ("git", True, None),  # it has one of its own
    ]
    grants = {grant["id"]: (grant["profiles"], grant["single"]) for grant in world.grants}
    assert grants == {
        main.grant: (["prod"], False),
        git.grant: (["prod", "git"], True),
        single.grant: (["prod"], True),
    }
    _, table, _ = world.show()
    assert f"  also for {B}: access, 60 min, by a sign-in of its own\n" in table
    assert f"also for {A}" not in table  # git has a row


def test_another_profile_s_session_is_not_said_twice(world: World) -> None:
    world.configure(f'[profiles.git]\nissuer = "https://idp.example.com"\nclient_id = "client"\naudience = "{A}"\n')
    world.keep(refresh_token=True)
    world.keep(msgspec.structs.replace(PROD, name="git", audience=A))
    _, rows = world.rows()
    assert [row["same_sign_in_as"] for row in rows] == [None, "prod"]
    assert world.served() == [(["prod", "git"], "prod", ["", A])]
    assert world.show()[1].splitlines()[2:] == [
        "git      idp.example.com  ada@example.com  access  60 min      file (no keyring here)",
        f"  for {A}",
        "  same sign-in as prod",
    ]
    assert f"  also for {A}: access, 60 min\n" in world.show(profiles=["prod"])[1]


def test_what_the_grant_can_bring_is_ready_and_has_no_token_yet(world: World) -> None:
    world.configure(f'[profiles.git]\nissuer = "https://idp.example.com"\nclient_id = "client"\naudience = "{A}"\n')
    world.keep(refresh_token=True)
    _, [_, row] = world.rows()
    assert (row["ready"], row["token"], row["renewable"], row["same_sign_in_as"]) == (True, None, True, "prod")
    world.keep(underivable=((place_of(msgspec.structs.replace(PROD, audience=A)).session, world.clock.now() + 60),))
    code, [_, row] = world.rows()
    assert (code, row["ready"], row["renewable"], row["same_sign_in_as"]) == (66, False, False, None)


def test_a_profile_with_other_endpoints_has_no_part_in_it(world: World) -> None:
    world.configure(
        '[profiles.lab]\nissuer = "https://idp.example.com"\nclient_id = "client"\n'
        'endpoints = { token = "https://idp.example.com/lab" }\n'
    )
    world.keep(refresh_token=True)
    code, [_, lab] = world.rows()
    assert (code, lab["ready"], lab["who"], lab["same_sign_in_as"]) == (66, False, None, None)
    assert world.served() == [(["prod"], "prod", [""])]


def test_a_resource_is_what_a_row_is_for(world: World) -> None:
    world.configure(f'resource = ["{A}", "{B}"]\n')
    row = world.row()
    assert (row["audience"], row["resource"]) == (None, [A, B])
    assert f"  for {A} {B}\n" in world.show()[1]


def test_what_is_not_verified_is_no_grant_yet(world: World) -> None:
    world.keep(unverified=True)
    world.rows()
    assert world.grants == []


def test_what_an_earlier_version_has_kept_counts(world: World) -> None:
    old = world.leave()
    other = world.leave(msgspec.structs.replace(PROD, audience=B))
    stranger = world.leave(msgspec.structs.replace(PROD, name="gone", client_id="gone"))
    row = world.row()
    assert (row["ready"], row["who"], row["token"], row["refresh_token"]) == (True, "ada@example.com", "access", "file")
    grants = {grant["id"]: (grant["profiles"], [one["id"] for one in grant["sessions"]]) for grant in world.grants}
    assert grants == {old: (["prod"], [old]), other: (["prod"], [other]), stranger: ([], [stranger])}
    assert world.show()[1].splitlines()[1:] == [
        "prod     idp.example.com  ada@example.com  access  60 min      file (no keyring here)",
        f"  also for {B}: access, 60 min",
        "",
        "of no profile here:",
        "gone  idp.example.com  ada@example.com  refresh token: file",
        "  for openid profile email offline_access: access, 60 min",
    ]
    assert world.app().sessions().ids_of_format_1() == sorted([old, other, stranger])  # nothing is taken over


def test_a_machine_s_session_that_another_secret_has_made_is_none(world: World) -> None:
    world.configure(MACHINE)
    machine = msgspec.structs.replace(PROD, flow="client-credentials")
    world.environ["CI_SECRET"] = CANARY
    mine = world.keep(machine, proof=world.proof(), identity=None)
    world.environ["CI_SECRET"] = f"another-{CANARY}"
    row = world.row()
    assert (row["ready"], row["token"]) == (True, None)
    assert [(grant["id"], grant["profiles"], grant["machine"]) for grant in world.grants] == [
        (mine.grant, ["prod"], True)
    ]
    assert "also for" not in world.show()[1]
    del world.environ["CI_SECRET"]
    assert "also for" not in world.show()[1]


def test_two_profiles_with_one_session_are_both_there(world: World) -> None:
    world.configure('[profiles.kube]\nissuer = "https://idp.example.com"\nclient_id = "client"\n')
    _, rows = world.rows()
    assert [row["same_sign_in_as"] for row in rows] == [None, None]  # nobody is signed in
    world.keep()
    _, rows = world.rows()
    assert [(row["profile"], row["who"], row["same_sign_in_as"]) for row in rows] == [
        ("prod", "ada@example.com", None),
        ("kube", "ada@example.com", "prod"),
    ]
    assert "  same sign-in as prod\n" in world.show()[1]


def test_json_has_no_character_that_a_terminal_would_obey(world: World) -> None:
    name = "ada\u009b31m\u202egpj\x7f\u2028\u2800\u200b\u0301\U000e0041é李"
    world.keep(identity=Identity(subject="ada", name=name))
    _, out, _ = world.show(json=True)
    shown = json.loads(out)["profiles"][0]["who"]
    assert shown == name
    assert "\\u009b31m\\u202egpj\\u007f\\u2028\\u2800\\u200b\\u0301\\udb40\\udc41é李" in out
    assert out == out.rstrip("\n") + "\n"
    assert all(foreign(character) or character == " " for character in out.rstrip("\n"))


def test_the_last_failure_is_told_with_its_age(world: World, clock: FakeClock) -> None:
    now = clock.now()
    failure = Failure(sentence="declined at idp.example.com", hint=None, exit_code=77, made=now, until=now + 60)
    world.app().sessions().notes.remember(place_of(PROD).grant, failure)
    clock.advance(12)
    assert "12 s" in world.row()["last_failure"]
    _, table, _ = world.show()
    assert "not ready: declined at idp.example.com; that was 12 s ago" in table
    assert "last failure" not in table  # it is said already
    clock.advance(60)
    assert "last failure 72 s ago: declined at idp.example.com" in world.show()[1]
    world.app().sessions().notes.remember(place_of(PROD).grant, msgspec.structs.replace(failure, made=now + 1000))
    assert world.row()["last_failure"] is None


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
    code, out, _ = world.show(json=True)
    document = json.loads(out)
    assert (code, [row["profile"] for row in document["profiles"]]) == (78, ["prod"])
    assert any("profiles.broken.isuer: unknown key; did you mean issuer?" in one for one in document["problems"])


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
    path = Path(world.app().state.locate(f"sessions/{place_of(PROD).session}.json"))
    path.write_bytes(path.read_bytes()[:-20])
    assert not world.row()["ready"]
    assert [grant["sessions"] for grant in world.grants] == [[]]


def test_a_damaged_grant_is_absent_and_so_are_its_sessions(world: World) -> None:
    world.keep(refresh_token=True)
    path = Path(world.app().state.locate(f"grants/{place_of(PROD).grant}.json"))
    path.write_bytes(path.read_bytes()[:-20])
    assert not world.row()["ready"]
    assert world.grants == []


@pytest.mark.parametrize("kind", ["grants", "sessions"])
def test_a_file_of_a_newer_version_is_told_and_kept(world: World, kind: str) -> None:
    place = world.keep(refresh_token=True)
    path = Path(world.app().state.locate(f"{kind}/{place.grant if kind == 'grants' else place.session}.json"))
    newer = path.read_bytes().replace(b'"version":2', b'"version":9')
    path.write_bytes(newer)
    meets(world, 74, "the sign-in was written by a newer version of this program, and is kept as it is")
    assert path.read_bytes() == newer


def test_what_may_be_a_mistake_is_told_and_counts_for_nothing(world: World) -> None:
    world.keep()
    world.environ["CREDENTIAL_HELPER_AUDIANCE"] = "https://api.example.com"
    code, out, err = world.show(json=True)
    assert code == 0
    assert json.loads(out)["profiles"][0]["ready"]
    assert err.count("\n") == 1
    assert "CREDENTIAL_HELPER_AUDIANCE is not known; did you mean CREDENTIAL_HELPER_AUDIENCE?" in err
