"""Which sign-ins a logout ends, and what it says; the rest of what people type is in conversations/people.txt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.app import App
from credential_helper.commands import logout
from credential_helper.errors import UsageError
from credential_helper.model import Endpoints, Identity, Profile, Prompt
from credential_helper.profiles.configuration import load
from credential_helper.session import Place, place_of
from credential_helper.stores.grant_notes import Failure
from integration.servers.hostile_provider import Behaviour, HostileProvider, answer, empty, html
from tests.helpers import format_1
from tests.helpers.clock import FakeClock
from tests.helpers.config import write_config
from tests.helpers.prompts import prompt_at
from tests.helpers.sessions import ADA, BOB, keep, token

A, B, C = "https://a.example.com", "https://b.example.com", "https://c.example.com"


class World:
    """A provider that revokes, a state directory, and the command."""

    def __init__(self, environ: dict[str, str], clock: FakeClock, provider: HostileProvider) -> None:
        provider.serve_metadata(revocation_endpoint=f"{provider.url}/revoke")
        provider.script("/revoke", answer(b""))
        self.provider = provider
        self.clock = clock
        self.environ = environ
        self.configure({"prod": ""})

    def configure(self, profiles: dict[str, str]) -> None:
        """Write profiles of one client, with what else each says."""
        client = f'issuer = "{self.provider.issuer}"\nclient_id = "client"\nstore = "file"\n'
        write_config(self.environ, "".join(f"[profiles.{name}]\n{client}{more}\n" for name, more in profiles.items()))

    @property
    def app(self) -> App:
        return App(self.environ, clock=self.clock, verbose=False)

    def profile(self, name: str = "prod", **changes: Any) -> Profile:
        """Return a profile of the file; ``made_by``: another name, which no file may have."""
        made_by = changes.pop("made_by", name)
        return msgspec.structs.replace(load(self.environ).profile(name), name=made_by, **changes)

    def keep(
        self, profile: Profile | None = None, *, alone: bool = False, identity: Identity | None = None, **changes: Any
    ) -> Place:
        """Keep a session of a profile (None: of prod's), with a refresh token that is called after its place."""
        profile = profile or self.profile()
        place = place_of(profile)
        mine = place.session if alone or profile.session_kind == "client" else place.grant
        fields = {"access": token("the-access-token", self.clock.now()), "refresh_token": f"refresh-of-{mine[:8]}"}
        return keep(self.app.sessions(), profile, alone=alone, identity=identity, **{**fields, **changes})

    def leave(self, profile: Profile | None = None, **other: Any) -> str:
        """Keep a session as an earlier version did, with a refresh token that is called after it."""
        profile = profile or self.profile()
        named = {"refresh_token": f"refresh-of-{profile.audience}", "identity": None}
        made = {"value": "the-access-token", "received_at": self.clock.now(), "expires_at": self.clock.now() + 3600}
        return format_1.leave(self.app.state, profile, access=made, id=None, **{**named, **other})

    def left(self) -> list[str]:
        """Return the ids of all grants, and of all sessions of an earlier version."""
        sessions = self.app.sessions()
        return sorted([*sessions.grants.ids("json", "failure", "prompt"), *sessions.ids_of_format_1()])

    def sessions(self) -> list[str]:
        return self.app.state.stems("sessions", "json")

    def out(self, *profiles: str, **given: Any) -> int:
        return logout.run({**({"profiles": list(profiles)} if profiles else {}), **given}, self.app)

    def revoked(self, path: str = "/revoke") -> list[str]:
        return [dict(request.fields)["token"] for request in self.provider.to(path)]


Capture = pytest.CaptureFixture[str]


@pytest.fixture
def world(environ: dict[str, str], clock: FakeClock) -> Iterator[World]:
    with HostileProvider() as provider:
        yield World(environ, clock, provider)


def refresh_of(*identifiers: str) -> list[str]:
    return sorted(f"refresh-of-{one[:8]}" for one in identifiers)


# --- what is a profile's own ------------------------------------------------------------------------------------------


def test_the_grant_ends_with_all_its_sessions_and_so_do_those_of_single_ones(world: World, capfd: Capture) -> None:
    main = world.keep()
    assert world.keep(world.profile(audience=A)).grant == world.keep(world.profile(audience=B)).grant == main.grant
    single = world.keep(world.profile(audience=C), alone=True)
    others = [
        world.keep(world.profile(account="bob@example.com")),
        world.keep(world.profile(client_id="another")),
        world.keep(world.profile(audience="https://git.example.com", made_by="git"), alone=True),
        world.keep(world.profile(ad_hoc=True, made_by="127.0.0.1:1/client")),
    ]
    assert world.out("prod") == 0
    assert world.left() == sorted(place.grant for place in others)
    assert world.sessions() == sorted(place.session for place in others)
    assert sorted(world.revoked()) == refresh_of(main.grant, single.grant)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("signed out of prod\n") == 1
    assert err.count(f"signed out of prod for {C}\n") == 1
    assert err.count("the refresh token is revoked; the access token is accepted until ") == 2
    assert "refresh-of" not in err


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "bob@example.com"},
        {"client_id": "another"},
        {"issuer": "https://idp.example.com/realm"},
        {"realm": "employees"},
        {"parameters": (("organization", "org_1"),)},
        {"endpoints": Endpoints(token="https://lab.example.com/token")},
        {"flow": "client-credentials"},
        {"ad_hoc": True},
    ],
    ids=str,
)
def test_a_sign_in_to_somewhere_else_or_as_somebody_else_stays(world: World, changes: dict[str, Any]) -> None:
    """It stays whatever name it was made under: a profile may have been another one then."""
    other = world.profile(**changes)
    places = [world.keep(other), world.keep(msgspec.structs.replace(other, audience=A), alone=True)]
    assert world.out("prod") == 0
    assert world.left() == sorted(place.grant for place in places)
    assert world.provider.requests == []


@pytest.mark.parametrize("changes", [{"audience": A}, {"resource": (A,)}, {"scope": ("x",)}, {"ca_file": "/x.pem"}])
def test_the_same_sign_in_ends_whatever_its_token_is_for(world: World, changes: dict[str, Any]) -> None:
    place = world.keep(world.profile(**changes))
    assert world.out("prod") == 0
    assert world.left() == world.sessions() == []
    assert world.revoked() == refresh_of(place.grant)


@pytest.mark.parametrize("kept", ["a grant", "a grant of one session", "format 1"])
def test_a_profile_with_other_endpoints_ends_and_reveals_nothing_of_another(world: World, kept: str) -> None:
    """A lab's profile copied from prod's: its endpoints must never see what is prod's."""
    url = world.provider.url
    lab = f'endpoints = {{ token = "{url}/lab/token", revocation = "{url}/lab/revoke" }}\n'
    world.configure({"prod": "", "lab": lab})
    world.provider.script("/lab/revoke", answer(b""))
    if kept == "format 1":
        world.leave()
    else:
        world.keep(alone=kept != "a grant")
    before = world.left()
    assert len(before) == 1
    assert world.out("lab") == 0
    assert world.left() == before
    assert world.provider.requests == []
    mine = world.keep(world.profile("lab"))
    assert world.out("lab") == 0
    assert world.left() == before
    assert world.revoked("/lab/revoke") == refresh_of(mine.grant)
    assert world.out("prod") == 0
    assert world.left() == []
    assert len(world.revoked()) == 1
    assert len(world.revoked("/lab/revoke")) == 1


def test_what_was_signed_in_before_the_profile_changed_is_revoked_where_it_was_issued(world: World) -> None:
    url = world.provider.url
    before = world.keep(world.profile(endpoints=Endpoints(revocation=f"{url}/old")))
    world.provider.script("/old", answer(b""))
    world.provider.script("/new", answer(b""))
    world.configure({"prod": f'endpoints = {{ revocation = "{url}/new" }}\n'})
    assert world.out("prod") == 0
    assert world.left() == [before.grant]
    assert world.out(all=True) == 0
    assert world.revoked("/old") == refresh_of(before.grant)
    assert world.revoked("/new") == world.revoked() == []


def test_another_person_stays_signed_in_and_is_named(world: World, capfd: Capture) -> None:
    mine = [world.keep(identity=ADA), world.keep(world.profile(audience=A), alone=True, identity=ADA)]
    unknown = world.keep(world.profile(audience=B), alone=True)
    bob = world.keep(world.profile(audience=C), alone=True, identity=BOB)
    assert world.out("prod") == 0
    assert world.left() == [bob.grant]
    assert sorted(world.revoked()) == refresh_of(*(place.grant for place in (*mine, unknown)))
    assert f"bob@example.com stays signed in to prod for {C}\n" in capfd.readouterr().err
    assert world.out("prod", audience=C) == 0
    assert world.left() == []
    assert "signed out of prod (bob@example.com)\n" in capfd.readouterr().err


def test_a_profile_with_an_account_and_one_without_end_apart(world: World) -> None:
    world.configure({"prod": "", "admin": 'account = "bob@example.com"\n'})
    ada = world.keep(identity=ADA)
    world.keep(world.profile("admin"), identity=BOB)
    for _ in range(2):
        assert world.out("admin") == 0
        assert world.left() == [ada.grant]
    bob = world.keep(world.profile("admin"), identity=BOB)
    assert world.out("prod") == 0
    assert world.left() == [bob.grant]


def test_a_sign_in_that_is_not_verified_yet_ends_with_the_one_that_was_there(world: World) -> None:
    old = world.keep()
    world.keep(unverified=True, sign_in="f" * 32, refresh_token="refresh-of-the-new-one")
    assert world.out("prod") == 0
    assert world.left() == world.sessions() == []
    assert sorted(world.revoked()) == sorted([*refresh_of(old.grant), "refresh-of-the-new-one"])


def test_a_sign_in_that_is_under_way_is_called_off(world: World) -> None:
    sessions = world.app.sessions()
    prompt: Prompt = msgspec.structs.replace(prompt_at(world.clock.now()), profile="prod", issuer=world.provider.issuer)
    other = msgspec.structs.replace(prompt, profile="git")
    sessions.notes.keep_prompt("a" * 64, prompt)
    sessions.notes.keep_prompt("b" * 64, other)
    assert world.out("prod") == 0
    assert world.left() == ["b" * 64]


# --- profiles that share ----------------------------------------------------------------------------------------------


def test_a_profile_that_has_the_same_sign_in_is_named(world: World, capfd: Capture) -> None:
    world.configure({"prod": "", "kube": "", "git": f'audience = "{A}"\n', "other": 'account = "bob@example.com"\n'})
    world.keep()
    assert world.out("kube") == 0
    assert world.left() == []
    err = capfd.readouterr().err
    assert err.startswith("signed out of kube\nprod, git had the same sign-in, which has ended for them, too\n")
    world.keep()
    assert world.out("kube", "prod") == 0
    err = capfd.readouterr().err
    assert "nobody" not in err
    assert err.count("signed out of ") == 1


def test_a_profile_that_has_a_sign_in_of_its_own_is_not(world: World, capfd: Capture) -> None:
    world.configure({"prod": "", "git": f'audience = "{A}"\n'})
    main = world.keep()
    git = world.keep(world.profile("git"), alone=True)
    assert world.out("prod") == 0
    assert world.left() == [git.grant]
    assert "git" not in capfd.readouterr().err
    world.keep()
    assert world.out("prod", "git") == 0
    assert world.left() == []
    assert sorted(world.revoked()) == refresh_of(main.grant, main.grant, git.grant)
    err = capfd.readouterr().err
    assert [line for line in err.splitlines() if line.startswith("signed out of ")] == [
        "signed out of prod",
        "signed out of git",
    ]


def test_what_another_profile_has_made_and_this_one_is_answered_from_ends(world: World, capfd: Capture) -> None:
    world.configure({"prod": "", "git": f'audience = "{A}"\n'})
    world.keep(world.profile(audience=A), alone=True)
    assert world.out("git") == 0
    assert world.left() == []
    assert "signed out of git\n" in capfd.readouterr().err


MACHINE = 'flow = "client-credentials"\nclient_secret = { env = "CI_SECRET" }\n'


def test_a_machine_s_sessions_end_without_its_secret(world: World, capfd: Capture) -> None:
    world.configure({"ci": MACHINE, "deploy": MACHINE, "other": f'{MACHINE}audience = "{B}"\n'})
    ci = world.profile("ci")
    world.keep(ci, proof="of the secret", refresh_token=None)
    world.keep(ci, proof="of the secret before", refresh_token=None)
    world.keep(msgspec.structs.replace(ci, audience=A), proof="of the secret", refresh_token=None)
    other = world.keep(world.profile("other"), proof="of the secret", refresh_token=None)
    assert world.out("ci", "deploy") == 0
    assert world.left() == [other.grant]
    err = capfd.readouterr().err
    assert err.count("signed out of ci\ndeploy had the same sign-in, which has ended for it, too\n") == 2
    assert err.count(f"signed out of ci for {A}\n") == 1
    assert err.count("signed out of ") == 3
    assert "nobody" not in err
    assert world.out("ci", audience=B) == 0
    assert world.left() == []


# --- one session ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"audience": A}, {"resource": [A]}, {"scope": ["read"]}])
def test_a_session_of_a_grant_that_serves_others_is_erased_alone(
    world: World, given: dict[str, Any], capfd: Capture
) -> None:
    main = world.keep()
    purpose: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in given.items()}
    mine = world.keep(world.profile(**purpose))
    other = world.keep(world.profile(audience=B))
    assert world.sessions() == sorted([main.session, mine.session, other.session])
    assert world.out("prod", **given) == 0
    assert world.sessions() == sorted([main.session, other.session])
    assert world.left() == [main.grant]
    assert world.provider.requests == []
    what = "" if "scope" in given else f" for {A}"
    serves = "the sign-in serves on; credential-helper logout prod ends it\n"
    assert capfd.readouterr().err == f"the token of prod{what} is erased\n{serves}"
    assert world.out("prod", **given) == 0
    assert capfd.readouterr().err == f"there was no token of prod{what}\n{serves}"


def test_the_session_that_the_grant_was_made_for_ends_alone_too_where_there_are_others(world: World) -> None:
    main = world.keep(world.profile(audience=A))
    other = world.keep(world.profile(audience=B))
    assert world.out("prod", audience=A) == 0
    assert (world.left(), world.sessions()) == ([main.grant], [other.session])
    assert world.out("prod") == 0
    assert (world.left(), world.sessions()) == ([], [])


def test_the_only_session_of_a_grant_ends_with_it(world: World) -> None:
    main = world.keep(world.profile(audience=A))
    single = world.keep(world.profile(audience=B), alone=True)
    assert world.out("prod", audience=B) == 0
    assert world.left() == [main.grant]
    assert world.out("prod", audience=A) == 0
    assert world.left() == []
    assert world.revoked() == [*refresh_of(single.grant), *refresh_of(main.grant)]


def test_one_session_that_two_profiles_name_is_erased_once(world: World, capfd: Capture) -> None:
    world.configure({"prod": "", "kube": ""})
    world.keep()
    world.keep(world.profile(audience=A))
    assert world.out("prod", "kube", audience=A) == 0
    assert capfd.readouterr().err.count("\n") == 2


# --- ad hoc -----------------------------------------------------------------------------------------------------------


def test_an_ad_hoc_profile_ends_what_was_signed_in_without_a_file(world: World) -> None:
    ad_hoc = world.profile(ad_hoc=True, made_by=f"{world.provider.url.partition('://')[2]}/client")
    named = world.keep()
    main, single = world.keep(ad_hoc), world.keep(msgspec.structs.replace(ad_hoc, audience=A), alone=True)
    given = {"issuer": world.provider.issuer, "client_id": "client"}
    for other in ({"audience": C}, {"account": "nobody@example.com"}, {"ca_file": "/elsewhere.pem"}):
        assert world.out(**given, **other) == 0
        assert world.left() == sorted([named.grant, main.grant, single.grant])
    assert world.out(**given) == 0
    assert world.left() == [named.grant]


def test_one_session_of_an_ad_hoc_profile_is_erased_alone(world: World, capfd: Capture) -> None:
    ad_hoc = world.profile(ad_hoc=True, made_by=f"{world.provider.url.partition('://')[2]}/client")
    main = world.keep(ad_hoc)
    world.keep(msgspec.structs.replace(ad_hoc, audience=A))
    given = {"issuer": world.provider.issuer, "client_id": "client"}
    assert world.out(**given, audience=A) == 0
    assert (world.left(), world.sessions()) == ([main.grant], [main.session])
    whole = f"credential-helper logout --issuer {world.provider.issuer} --client-id client"
    assert f"the sign-in serves on; {whole} ends it\n" in capfd.readouterr().err


# --- what an earlier version has kept ---------------------------------------------------------------------------------


def test_what_an_earlier_version_has_kept_ends_too(world: World, capfd: Capture) -> None:
    world.configure({"prod": "", "kube": "", "git": f'audience = "{B}"\n'})
    old = [world.leave(), world.leave(world.profile(audience=A))]
    others = [
        world.leave(world.profile("git")),
        world.leave(world.profile(audience=C, made_by="127.0.0.1:1/client")),
        world.leave(world.profile(audience=C, client_id="another")),
        world.leave(world.profile(audience=C, account="bob@example.com")),
    ]
    assert len(set(world.left())) == len([*old, *others])
    assert world.out("kube") == 0
    assert world.left() == sorted([old[1], *others])
    err = capfd.readouterr().err
    assert err.startswith("signed out of kube\nprod had the same sign-in, which has ended for it, too\n")
    assert world.out("prod") == 0
    assert world.left() == sorted(others)
    assert f"signed out of prod for {A}\n" in capfd.readouterr().err
    assert world.revoked() == ["refresh-of-None", f"refresh-of-{A}"]


def test_it_ends_beside_what_this_version_has_kept_but_not_of_another_person(world: World, capfd: Capture) -> None:
    world.keep(identity=ADA)
    ada: dict[str, object] = {"subject": ADA.subject, "name": ADA.name, "claims": []}
    world.leave(world.profile(audience=A), identity=ada)
    bob = world.leave(world.profile(audience=B), identity={"subject": BOB.subject, "name": BOB.name, "claims": []})
    assert world.out("prod") == 0
    assert world.left() == [bob]
    assert len(world.revoked()) == 2
    assert f"bob@example.com stays signed in to prod for {B}\n" in capfd.readouterr().err
    assert world.out("prod", audience=B) == 0
    assert world.left() == []


def test_one_session_of_it_is_erased_alone(world: World) -> None:
    old = [world.leave(), world.leave(world.profile(audience=A))]
    assert world.out("prod", audience=A) == 0
    assert world.left() == [old[0]]
    assert world.revoked() == [f"refresh-of-{A}"]


def test_an_ad_hoc_profile_ends_what_an_earlier_version_has_kept_of_one(world: World) -> None:
    """Profiles of the file and ad-hoc ones shared their sessions then; each ends what was made as it is."""
    world.leave(world.profile(made_by=f"{world.provider.url.partition('://')[2]}/client"))
    assert world.out("prod") == 0
    assert len(world.left()) == 1
    assert world.out(issuer=world.provider.issuer, client_id="client") == 0
    assert world.left() == []


@pytest.mark.parametrize("changed", ["endpoints.revocation", "endpoints.token", "ca_file"])
def test_what_one_of_an_earlier_version_had_is_not_sent_where_variables_say_now(world: World, changed: str) -> None:
    old = world.leave(world.profile(ad_hoc=True, made_by=f"{world.provider.url.partition('://')[2]}/client"))
    elsewhere = {"ca_file": "/elsewhere.pem"}.get(changed, f"{world.provider.url}/evil")
    assert world.out(issuer=world.provider.issuer, client_id="client", **{changed: elsewhere}) == 0
    assert world.left() == [old]
    assert world.provider.requests == []


def test_it_is_a_profile_s_with_endpoints_where_its_id_says_so(world: World) -> None:
    url = world.provider.url
    world.provider.script("/own", answer(b""))
    world.configure({"prod": f'audience = "{A}"\nendpoints = {{ revocation = "{url}/own" }}\n'})
    own = [world.leave(), world.leave(world.profile(audience=B))]
    before = world.leave(world.profile(audience=C, endpoints=Endpoints()))
    assert len({*own, before}) == 3
    assert world.out("prod") == 0
    assert world.left() == [before]
    assert world.revoked("/own") == [f"refresh-of-{one}" for _, one in sorted(zip(own, (A, B), strict=True))]
    assert world.out(all=True) == 0
    assert world.revoked() == [f"refresh-of-{C}"]


# --- what became of it ------------------------------------------------------------------------------------------------


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
def test_a_revocation_that_is_refused_is_no_missing_network(world: World, refused: Behaviour, capfd: Capture) -> None:
    world.keep()
    world.provider.script("/revoke", refused)
    assert world.out("prod") == 77
    assert world.left() == []
    err = capfd.readouterr().err
    assert "the refresh token stays good at 127.0.0.1:" in err
    assert "credential-helper: prod: the refresh token was erased here but not revoked: 127.0.0.1:" in err


@pytest.mark.parametrize(("status", "code"), [(500, 69), (503, 69), (408, 69), (429, 75)])
def test_a_revocation_that_nobody_heard_is_none_that_is_refused(world: World, status: int, code: int) -> None:
    world.keep()
    world.provider.script("/revoke", empty(status))
    assert world.out("prod") == code


def test_what_is_erased_and_not_revoked_is_told(world: World, capfd: Capture) -> None:
    world.keep()
    world.provider.script("/revoke", html(502))
    assert world.out("prod") == 69
    assert world.left() == []
    err = capfd.readouterr().err
    assert "signed out of prod\n" in err
    assert "credential-helper: prod: the refresh token was erased here but not revoked: " in err
    assert "the refresh token is revoked" not in err


def test_the_first_thing_that_went_wrong_is_the_exit_code_and_the_rest_is_done(world: World) -> None:
    world.keep()
    world.keep(world.profile(audience=A), alone=True)
    world.provider.script("/revoke", html(502), answer(b""))
    assert world.out("prod") == 69
    assert world.left() == []
    assert len(world.revoked()) == 2


def test_a_provider_that_revokes_nothing_is_told(world: World, capfd: Capture) -> None:
    world.provider.serve_metadata(revocation_endpoint=None)
    world.keep()
    assert world.out("prod") == 0
    assert "revokes no tokens: the refresh token ends by itself" in capfd.readouterr().err
    assert world.left() == []


def test_access_tokens_are_accepted_until_the_last_of_them_ends(world: World, clock: FakeClock, capfd: Capture) -> None:
    world.keep()
    world.keep(world.profile(audience=A), access=token("another", clock.now(), left=7200))
    clock.advance(3700)
    assert world.out("prod") == 0
    assert "the access token is accepted until " in capfd.readouterr().err


def test_an_access_token_that_is_over_is_not_said_to_be_accepted(
    world: World, clock: FakeClock, capfd: Capture
) -> None:
    world.keep()
    clock.advance(7200)
    assert world.out("prod") == 0
    assert "the access token" not in capfd.readouterr().err


def test_a_failure_that_is_remembered_goes_too(world: World) -> None:
    place = world.keep()
    now = world.clock.now()
    failure = Failure(sentence="declined", hint=None, exit_code=77, made=now, until=now + 60)
    world.app.sessions().notes.remember(place.grant, failure)
    assert world.out("prod") == 0
    assert world.left() == []


def test_nobody_there_is_said_and_is_no_error(world: World, capfd: Capture) -> None:
    assert world.out("prod") == 0
    assert capfd.readouterr().err == "nobody was signed in to prod\n"
    assert world.provider.requests == []


@pytest.mark.parametrize("kept", ["format 2", "format 1"])
def test_a_sign_in_of_a_newer_version_stays_and_is_told(world: World, kept: str, capfd: Capture) -> None:
    path = Path(world.app.state.locate(f"grants/{world.keep().grant}.json"))
    newer = path.read_bytes().replace(b'"version":2', b'"version":9')
    path.write_bytes(newer)
    if kept == "format 1":
        world.leave()
    for given in ({"profiles": ["prod"]}, {"all": True}):
        assert logout.run(dict(given), world.app) == 74
        err = capfd.readouterr().err
        assert "the sign-in was written by a newer version of this program, and is kept as it is" in err
        assert ("signed out" in err) is (kept == "format 1" and "profiles" in given)
        assert path.read_bytes() == newer


@pytest.mark.parametrize("kept", ["format 2", "format 1"])
def test_without_the_keyring_it_says_what_stays_of_this_profile_and_touches_no_other(
    world: World, kept: str, capfd: Capture
) -> None:
    git = world.profile(audience="https://git.example.com", made_by="git")
    record = ("grant/" + "0" * 32, "ada")
    for profile in (world.profile(), git):
        if kept == "format 1":
            world.leave(profile, refresh_token=None, in_keyring=True, record=["0" * 32, "ada"])
        else:
            place = world.keep(profile, alone=profile is git, refresh_token=None, sealed="c2VhbGVk")
            file = world.app.sessions().grants.read(place.grant)
            assert file is not None
            world.app.sessions().grants.write(msgspec.structs.replace(file, key=record))
    for given, names in (({"profiles": ["prod"]}, ["prod"]), ({"all": True}, ["git", "prod"])):
        assert logout.run(dict(given), world.app) == 74
        err = capfd.readouterr().err
        lines = sorted(line for line in err.splitlines() if not line.startswith("hint: "))
        assert [line.split(": ")[1] for line in lines] == names
        for line in lines:
            assert "signed out here, but the refresh token cannot be read, and is not revoked: " in line
        assert err.count("hint: log out again where the keyring can be used") == len(names)
        assert "store" not in err
    assert world.provider.to("/revoke") == []
    assert len(world.left()) == 2
    files = Path(str(world.app.state.path)).rglob("*.json")
    assert b"the-access-token" not in b"".join(path.read_bytes() for path in files)


# --- all --------------------------------------------------------------------------------------------------------------


def test_everything_ends_with_all(world: World, capfd: Capture) -> None:
    grants = [
        world.keep(),
        world.keep(world.profile(audience=A)),
        world.keep(world.profile(audience=B), alone=True),
        world.keep(world.profile(account="bob@example.com"), identity=BOB),
        world.keep(world.profile(client_id="another")),
        world.keep(world.profile(ad_hoc=True)),
        world.keep(world.profile(flow="client-credentials"), refresh_token=None),
    ]
    world.leave(world.profile(audience=C))
    assert world.out(all=True) == 0
    assert world.left() == world.sessions() == []
    expected = refresh_of(*{place.grant for place in grants[:-1]})
    assert sorted(world.revoked()) == sorted([*expected, f"refresh-of-{C}"])
    assert capfd.readouterr().err.count("signed out of prod") == 7
    assert world.out(all=True) == 0
    assert capfd.readouterr().err == "nobody is signed in\n"


def test_all_ends_what_no_profile_knows_any_more(world: World) -> None:
    world.keep()
    world.leave(world.profile(audience=A))
    write_config(world.environ, "")
    assert world.out(all=True) == 0
    assert world.left() == []
    assert len(world.revoked()) == 2


def test_all_revokes_as_the_profile_does_that_knows_how(world: World) -> None:
    """A confidential client has to prove itself, and no grant knows its secret."""
    world.configure({"prod": 'client_secret = { env = "WEB_SECRET" }\nclient_authentication = "post"\n'})
    world.environ["WEB_SECRET"] = "the-secret"
    world.keep()
    world.leave(world.profile(audience=A))
    assert world.out(all=True) == 0
    assert [request.field("client_secret") for request in world.provider.to("/revoke")] == ["the-secret"] * 2


def test_all_ends_everything_whatever_the_config_file_says(world: World, capfd: Capture) -> None:
    world.keep()
    write_config(world.environ, "profiles = ")
    assert world.out(all=True) == 0
    assert world.left() == []
    assert len(world.revoked()) == 1
    assert "warning: " in capfd.readouterr().err


def test_all_and_a_profile_contradict_each_other(world: World) -> None:
    with pytest.raises(UsageError):
        world.out("prod", all=True)
    with pytest.raises(UsageError):
        world.out(keyring=True)
