"""What an earlier version has kept (format 1) is taken over at its first use: nobody signs in again for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from credential_helper.broker.errand import Errand
from credential_helper.broker.forget import drop, forget, forget_format_1
from credential_helper.broker.outlook import outlook
from credential_helper.errors import AuthorizationError, CredentialHelperError, InteractionRequired, StoreError
from credential_helper.model import Identity, Profile, Secret, Source
from credential_helper.session import place_of
from credential_helper.stores import lock
from credential_helper.stores.private_files import State
from integration.servers.hostile_provider import Exchange, HostileProvider, answer, html, oauth_error
from tests.helpers.broker import CODE, DEVICE, TOKEN, World
from tests.helpers.clock import FakeClock
from tests.helpers.format_1 import ACCESS, RECORD, RECORD_LATER, REFRESH, Kind, leave
from tests.helpers.keyrings import MemoryKeyring
from tests.helpers.requests import request_by

ONE = ACCESS.reveal()


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    with HostileProvider(now=clock.now) as provider:
        made = World(provider, tmp_path / "state", clock)
        made.person.there = False  # nobody signs in again
        yield made


def state(world: World) -> State:
    return State(str(world.state))


def left(world: World, kind: Kind = "in_the_file", profile: Profile | None = None, **other: object) -> str:
    """Leave what an earlier version has kept of a profile, with the record that it names in the keyring."""
    identifier = leave(state(world), profile or world.profile, kind, **other)
    if kind != "in_the_file":
        document = json.loads((world.state / "sessions" / f"{identifier}.json").read_bytes())
        name, username = document["session"]["record"]
        world.keyring.records[name, username] = REFRESH.reveal()
    return identifier


def names(world: World, folder: str) -> list[str]:
    """List the files of a folder but for the locks."""
    return [name for name in state(world).names(folder) if not name.endswith(".lock")]


def token_of(world: World) -> str | None:
    token = world.sessions.grants.refresh_token(world.place.grant, world.grant)
    return None if token is None else token.reveal()


def sent(world: World) -> list[str | None]:
    """Return the refresh tokens that were spent."""
    return [one.field("refresh_token") for one in world.provider.to(TOKEN)]


def other_audience(world: World) -> Profile:
    return msgspec.structs.replace(world.profile, audience="https://other.example.com")


def errand(world: World) -> Errand:
    return Errand(profile=world.profile, request=request_by("kubectl"), command=lambda: "credential-helper login prod")


# --- a fresh token ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["in_the_file", "in_the_keyring", "in_the_keyring_later"])
def test_a_token_that_is_fresh_is_answered_without_a_request(world: World, kind: Kind) -> None:
    left(world, kind)
    found = world.obtain()
    assert (found.credential.token, found.credential.kind) == (ACCESS, "access")
    assert found.credential.identity is not None
    assert found.credential.identity.name == "ada@example.com"
    assert world.token() == ONE
    assert world.requests() == []
    assert world.keyring.calls == []
    assert [note for note in world.notes if "earlier version" in note] == [
        "the sign-in of an earlier version is taken over"
    ]


def test_it_becomes_one_grant_and_one_session(world: World) -> None:
    left(world)
    world.token()
    place = place_of(world.profile)
    assert world.place == place
    assert names(world, "grants") == [f"{place.grant}.json"]
    assert names(world, "sessions") == [f"{place.session}.json"]
    assert (world.grant.session, world.grant.main, world.grant.audience) == (
        place.session,
        None,
        world.profile.audience,
    )
    assert world.obtain().stamp not in (None, "")


def test_the_next_audience_is_served_by_the_grant_that_was_taken_over(world: World) -> None:
    left(world, "in_the_keyring")
    world.token()
    world.profile = msgspec.structs.replace(other_audience(world), multi_resource="refresh")
    body = world.tokens(id_token=False, access_token=world.key.sign({"aud": "https://other.example.com"}))
    world.provider.script(TOKEN, answer(body))
    assert world.token() == body["access_token"]
    assert sent(world) == [REFRESH.reveal()]
    assert len(names(world, "grants")) == 1
    assert len(names(world, "sessions")) == 2


def test_a_look_at_it_changes_nothing(world: World) -> None:
    identifier = left(world, "in_the_keyring")
    before = (world.state / "sessions" / f"{identifier}.json").read_bytes()
    seen = outlook(errand(world), world.means)
    assert seen.ready
    assert seen.session is not None
    assert seen.session.identity == Identity(
        subject="ada",
        name="ada@example.com",
        claims=(("iss", world.profile.issuer), ("preferred_username", "ada@example.com"), ("sub", "ada")),
    )
    assert names(world, "sessions") == [f"{identifier}.json"]
    assert (world.state / "sessions" / f"{identifier}.json").read_bytes() == before
    assert names(world, "grants") == []


def test_a_refused_token_is_dropped_and_the_rest_taken_over(world: World) -> None:
    left(world)
    world.clock.advance(120)
    assert drop(world.profile, ACCESS, world.means)
    assert world.session.access is None
    assert token_of(world) == REFRESH.reveal()
    assert len(names(world, "sessions")) == 1
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"


# --- its refresh token ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["auto", "file"])
def test_a_refresh_token_in_clear_stays_in_clear_and_renews(world: World, store: str) -> None:
    world.profile = msgspec.structs.replace(world.profile, store=store)
    left(world)
    world.token()
    assert world.grant.refresh_token == REFRESH
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert sent(world) == [REFRESH.reveal()]
    assert world.grant.refresh_token == Secret("refresh-1")
    assert world.keyring.calls == []


def test_with_store_none_a_rotated_refresh_token_is_not_kept(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, store="none")
    left(world)
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert token_of(world) is None


class Watched(MemoryKeyring):
    """A keyring that notes what a grant's file holds when a record is deleted."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.seen: list[bytes] = []
        self._folder = folder

    def delete(self, name: str, username: str) -> None:
        super().delete(name, username)
        self.seen += [file.read_bytes() for file in self._folder.glob("*.json")]


@pytest.mark.parametrize(("kind", "record"), [("in_the_keyring", RECORD), ("in_the_keyring_later", RECORD_LATER)])
def test_a_refresh_token_in_the_keyring_is_sealed_when_it_is_renewed(
    world: World, kind: Kind, record: tuple[str, str]
) -> None:
    """The key is made before the token is spent, and the old record goes when the new token is on the disk."""
    keyring = Watched(world.state / "grants")
    world.keyring = keyring
    left(world, kind)
    world.token()
    assert (world.grant.record, token_of(world)) == (record, REFRESH.reveal())
    world.clock.advance(3600)
    world.keyring.calls.clear()
    at_the_request: list[list[str]] = []
    tokens = answer(world.tokens())

    def renews(exchange: Exchange) -> None:
        at_the_request.append(sorted(name for name, _ in world.keyring.records))
        tokens(exchange)

    world.provider.script(TOKEN, renews)
    assert world.token() == "access-1"
    assert sent(world) == [REFRESH.reveal()]
    assert world.keyring.calls == ["read", "write", "delete"]
    ((key, label),) = world.keyring.records
    assert key.startswith("grant/")
    assert label == record[1]
    assert at_the_request == [sorted([record[0], key])]
    (file,) = keyring.seen
    assert json.loads(file)["grant"]["sealed"]
    assert (world.grant.record, world.grant.refresh_token, token_of(world)) == (None, None, "refresh-1")
    world.clock.advance(3600)
    world.keyring.calls.clear()
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-2"
    assert world.keyring.calls == ["read"]


def test_a_refresh_token_that_does_not_rotate_stays_reachable_through_its_record(world: World) -> None:
    left(world, "in_the_keyring")
    for number in (1, 2):
        world.clock.advance(3600)
        world.provider.script(TOKEN, answer(world.tokens(refresh=False)))
        assert world.token() == f"access-{number}"
        assert world.keyring.records[RECORD] == REFRESH.reveal()
        assert token_of(world) == REFRESH.reveal()
    assert len(world.keyring.records) == 2  # and one key


@pytest.mark.parametrize("kind", ["in_the_file", "in_the_keyring"])
def test_a_renewal_that_fails_loses_nothing(world: World, kind: Kind) -> None:
    left(world, kind)
    world.clock.advance(3600)
    world.provider.script(TOKEN, html(502))
    with pytest.raises(Exception, match="502"):
        world.token()
    assert token_of(world) == REFRESH.reveal()
    world.clock.advance(60)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert sent(world)[-1] == REFRESH.reveal()


def test_a_dead_refresh_token_goes_with_its_record(world: World) -> None:
    left(world, "in_the_keyring")
    world.clock.advance(3600)
    world.provider.script(TOKEN, oauth_error("invalid_grant"))
    with pytest.raises(AuthorizationError):
        world.token()
    assert RECORD not in world.keyring.records
    assert not world.grant.has_refresh_token


# --- a keyring that cannot be used now --------------------------------------------------------------------------------


def test_a_locked_keyring_loses_nothing(world: World) -> None:
    """Fresh: answered. Valid: answered. Expired: 74, and what is there stays there."""
    left(world, "in_the_keyring")
    world.keyring.works = False
    for seconds in (0, 3600 - 30):
        world.clock.advance(seconds)
        assert world.token() == ONE
    world.clock.advance(60)
    with pytest.raises(StoreError) as caught:
        world.token()
    assert caught.value.hint == "unlock the keyring"
    assert world.requests() == []
    assert world.grant.record == RECORD
    assert world.keyring.records == {RECORD: REFRESH.reveal()}
    world.keyring.works = True
    world.clock.advance(10)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert token_of(world) == "refresh-1"


def test_a_keyring_that_is_locked_from_the_start_loses_nothing(world: World) -> None:
    left(world, "in_the_keyring")
    world.keyring.works = False
    world.clock.advance(3600)
    with pytest.raises(StoreError):
        world.token()
    world.keyring.works = True
    assert token_of(world) == REFRESH.reveal()
    world.clock.advance(10)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"


def test_where_no_key_can_be_made_the_rotated_token_stands_in_the_file(world: World) -> None:
    left(world, "in_the_keyring")
    world.clock.advance(3600)
    world.keyring.asks = True
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert world.grant.refresh_token == Secret("refresh-1")
    assert RECORD not in world.keyring.records


def test_a_record_that_is_gone_needs_a_sign_in(world: World) -> None:
    left(world, "in_the_keyring")
    world.keyring.records.clear()
    assert world.token() == ONE
    world.clock.advance(3600)
    with pytest.raises(InteractionRequired):
        world.token()
    assert world.requests() == []


# --- several of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["in_the_file", "in_the_keyring"])
@pytest.mark.parametrize("first", [0, 1])
def test_two_audiences_keep_their_refresh_tokens(world: World, kind: Kind, first: int) -> None:
    """Each had a sign-in of its own: the first that is used becomes the grant of all, the other stands alone."""
    profiles = [world.profile, other_audience(world)]
    tokens = ["of-one", "of-the-other"]
    for number, profile in enumerate(profiles):
        record = ("session/" + str(number) * 32, "prod")
        in_clear = tokens[number] if kind == "in_the_file" else None
        left(world, kind, profile, record=record, refresh_token=in_clear)
        if kind == "in_the_keyring":
            world.keyring.records[record] = tokens[number]
    order = [first, 1 - first]
    for number in order:
        world.profile = profiles[number]
        assert world.token() == ONE
        assert token_of(world) == tokens[number]
    assert world.requests() == []
    assert len(names(world, "grants")) == len(names(world, "sessions")) == 2
    main = place_of(world.profile)
    assert world.place == main.own
    assert world.grant.main == main.grant
    world.clock.advance(3600)
    for number in order:
        world.profile = profiles[number]
        world.provider.script(TOKEN, answer(world.tokens()))
        assert world.token() == f"access-{world.issued}"
        assert token_of(world) == f"refresh-{world.issued}"
    assert sent(world) == [tokens[number] for number in order]
    assert [name for name, _ in world.keyring.records if not name.startswith("grant/")] == []


def test_beside_a_sign_in_of_this_version_it_stands_alone(world: World) -> None:
    world.person.there = True
    world.signed_in()
    world.person.there = False
    mine = world.grant
    world.profile = other_audience(world)
    left(world)
    assert world.token() == ONE
    assert token_of(world) == REFRESH.reveal()
    assert world.grant.main == place_of(world.profile).grant
    world.profile = msgspec.structs.replace(world.profile, audience=mine.audience)
    assert world.grant == mine
    assert world.requests() == []


def test_what_another_person_left_goes(world: World) -> None:
    world.person.there = True
    world.approves(id_token=world.id_token(sub="bob", preferred_username="bob@example.com"))
    world.obtain()
    world.profile = other_audience(world)
    left(world)
    world.provider.requests.clear()
    world.person.there = False
    with pytest.raises(InteractionRequired):
        world.token()
    assert len(names(world, "sessions")) == 1
    assert REFRESH.reveal().encode() not in b"".join(file.read_bytes() for file in world.state.rglob("*.json"))


def test_an_ad_hoc_profile_and_one_of_the_file_take_only_their_own(world: World) -> None:
    """They shared a session then; who named no CA must not be served by what somebody else's flags have brought."""
    of_the_file = world.profile
    ad_hoc = msgspec.structs.replace(of_the_file, name="127.0.0.1/client", ad_hoc=True)
    for mine, other in ((of_the_file, ad_hoc), (ad_hoc, of_the_file)):
        identifier = left(world, profile=mine)
        world.profile = other
        with pytest.raises(InteractionRequired):
            world.token()
        assert f"{identifier}.json" in names(world, "sessions")
        world.profile = mine
        assert world.token() == ONE
        assert f"{identifier}.json" not in names(world, "sessions")
        world.sessions.erase(world.place.grant)
    assert world.requests() == []


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [b"", b"{", b"null", b"\0" * 100, b'{"version":1}', b"[" * 100_000])
def test_a_damaged_file_counts_as_absent(world: World, damaged: bytes) -> None:
    identifier = left(world)
    state(world).write(f"sessions/{identifier}.json", damaged)
    with pytest.raises(InteractionRequired):
        world.token()
    world.clock.advance(10)  # for so long that is remembered
    world.person.there = True
    world.approves()
    assert world.token() == "access-1"
    assert world.token() == "access-1"


@pytest.mark.parametrize("record", [("secret/ci", "ci"), ("password/" + "f" * 32, "x"), ("grant/" + "f" * 32, "x")])
def test_a_file_with_a_record_that_is_not_ours_is_none(world: World, record: tuple[str, str]) -> None:
    left(world, "in_the_keyring", record=record)
    world.keyring.records = {record: "the secret of somebody else"}
    world.keyring.calls.clear()
    with pytest.raises(InteractionRequired):
        world.token()
    assert world.keyring.calls == []
    assert world.requests() == []
    world.clock.advance(10)
    world.person.there = True
    world.approves()
    assert world.token() == "access-1"
    assert world.keyring.records[record] == "the secret of somebody else"


# --- in the middle of something ---------------------------------------------------------------------------------------


def test_a_sign_in_that_was_not_verified_is_verified(world: World) -> None:
    identity = {"value": world.id_token(), "received_at": world.clock.now(), "expires_at": world.clock.now() + 3600}
    left(world, unverified=True, identity=None, id={**identity, "unverified": True, "nonce": None})
    assert world.token() == ONE
    assert world.provider.to(TOKEN) == []
    assert world.session.identity is not None
    assert not world.session.unverified
    assert token_of(world) == REFRESH.reveal()


def test_a_refresh_token_that_is_only_there_to_be_revoked_is_not_used(world: World) -> None:
    left(world, revoke_only=True, access=None, id=None)
    with pytest.raises(InteractionRequired):
        world.token()
    assert world.requests() == []
    assert token_of(world) == REFRESH.reveal()


def test_what_a_killed_writer_had_finished_is_taken_over(world: World) -> None:
    """What stands in the file is spent."""
    identifier = left(world, refresh_token="the-newest")
    file = world.state / "sessions" / f"{identifier}.json"
    newest = file.read_bytes()
    left(world, refresh_token="spent")
    new = file.with_suffix(".json.new")
    new.write_bytes(newest)
    new.chmod(0o600)
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert sent(world) == ["the-newest"]


# --- sign-in and logout -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["in_the_file", "in_the_keyring"])
def test_a_sign_in_takes_its_place(world: World, kind: Kind) -> None:
    left(world, kind)
    world.person.there = True
    world.approves()
    assert world.token("sign-in") == "access-1"
    assert token_of(world) == "refresh-1"
    assert len(names(world, "grants")) == len(names(world, "sessions")) == 1
    assert [name for name, _ in world.keyring.records if not name.startswith("grant/")] == []


@pytest.mark.parametrize("kind", ["in_the_file", "in_the_keyring"])
def test_a_sign_in_that_is_declined_costs_nothing(world: World, kind: Kind) -> None:
    left(world, kind)
    world.person.there = True
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied"))
    with pytest.raises(AuthorizationError):
        world.obtain("sign-in")
    world.clock.advance(3600)
    world.person.there = False
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert sent(world)[-1] == REFRESH.reveal()


@pytest.mark.parametrize("kind", ["in_the_file", "in_the_keyring"])
def test_a_logout_before_its_first_use_revokes_and_leaves_nothing(world: World, kind: Kind) -> None:
    identifier = left(world, kind)
    world.provider.script("/revoke", answer({}))
    ended = forget_format_1(identifier, lambda _grant: world.profile, lambda _profile: world.means)
    assert ended is not None
    assert (ended.profile, ended.revoked, ended.error, ended.had_access) == ("prod", True, None, True)
    assert world.provider.to("/revoke")[0].field("token") == REFRESH.reveal()
    assert names(world, "sessions") == []
    assert world.keyring.records == {}


def test_a_logout_with_a_locked_keyring_is_told_and_can_be_done_later(world: World) -> None:
    identifier = left(world, "in_the_keyring")
    world.keyring.works = False
    world.provider.script("/revoke", answer({}))
    with pytest.raises(StoreError, match="locked"):
        forget_format_1(identifier, lambda _grant: world.profile, lambda _profile: world.means)
    assert names(world, "sessions") == [], "the tokens are gone"
    world.keyring.works = True
    ended = forget(identifier, lambda _grant: world.profile, lambda _profile: world.means)
    assert ended is not None
    assert ended.revoked
    assert world.keyring.records == {}


# --- what could go wrong on the way -----------------------------------------------------------------------------------


def test_killed_between_taking_over_and_erasing_there_is_one_grant(world: World) -> None:
    identifier = leave(state(world), world.profile)
    file = world.state / "sessions" / f"{identifier}.json"
    content = file.read_bytes()
    world.token()
    state(world).write(f"sessions/{identifier}.json", content)
    assert world.token() == ACCESS.reveal()
    assert world.place == place_of(world.profile)
    assert len(world.sessions.grants.ids("json")) == 1, "else one refresh token stands in two grants"
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    world.token()
    assert not file.exists()


def test_what_another_person_left_goes_with_its_record(world: World) -> None:
    world.person.there = True
    world.approves(id_token=world.id_token(sub="bob", preferred_username="bob@example.com"))
    world.obtain()
    world.person.there = False
    world.profile = msgspec.structs.replace(world.profile, audience="https://other.example.com")
    leave(state(world), world.profile, "in_the_keyring")
    world.keyring.records[RECORD] = REFRESH.reveal()
    with pytest.raises(InteractionRequired):
        world.token()
    assert RECORD not in world.keyring.records


def test_a_declined_sign_in_for_another_audience_costs_nothing(world: World) -> None:
    world.person.there = True
    world.provider.script(DEVICE, answer(CODE))
    world.provider.script(TOKEN, oauth_error("access_denied"))
    with pytest.raises(AuthorizationError):
        world.obtain("sign-in")
    world.profile = msgspec.structs.replace(world.profile, audience="https://other.example.com")
    leave(state(world), world.profile)
    with pytest.raises(AuthorizationError):
        world.obtain("sign-in")
    world.person.there = False
    world.clock.advance(61)
    assert world.token() == ACCESS.reveal()


def test_a_machine_s_session_is_not_taken_over(world: World) -> None:
    """What the job that fetched it had proved is not known."""
    source = Source(kind="env", value=("SECRET",), origin="config")
    world.profile = msgspec.structs.replace(world.profile, flow="client-credentials", client_secret=source, scope=())
    identifier = leave(state(world), world.profile, refresh_token=None, record=None, identity=None, id=None)
    world.client_secret = "a wrong one"
    world.provider.script(TOKEN, oauth_error("invalid_client", 401))
    with pytest.raises(AuthorizationError):
        world.token()
    assert not (world.state / "sessions" / f"{identifier}.json").exists()


def test_while_an_older_version_works_on_it_what_is_valid_is_answered(world: World, clock: FakeClock) -> None:
    identifier = leave(state(world), world.profile)
    with lock.alone(state(world), f"sessions/{identifier}.lock", "the session", clock=clock):
        assert world.token() == ACCESS.reveal()
    assert clock.now() < 1_900_000_000 + 10
    assert world.requests() == []


def test_a_damaged_file_is_noted(world: World) -> None:
    identifier = leave(state(world), world.profile)
    state(world).write(f"sessions/{identifier}.json", b"{")
    with pytest.raises(InteractionRequired):
        world.token()
    assert any("is damaged" in note for note in world.notes)


def test_by_which_ca_an_ad_hoc_profile_s_was_fetched_is_not_known(world: World, tmp_path: Path) -> None:
    ad_hoc = msgspec.structs.replace(world.profile, name="127.0.0.1/client", ad_hoc=True)
    identifier = leave(state(world), ad_hoc)
    world.profile = msgspec.structs.replace(ad_hoc, ca_file=str(tmp_path / "other.pem"))
    with pytest.raises(CredentialHelperError):
        world.token()
    assert (world.state / "sessions" / f"{identifier}.json").exists()


def test_store_keyring_spends_nothing_whose_next_could_not_be_kept(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, store="keyring")
    leave(state(world), world.profile, "in_the_keyring")
    world.keyring.records[RECORD] = REFRESH.reveal()
    world.clock.advance(3600)
    world.keyring.asks = True
    with pytest.raises(StoreError, match="the next refresh token could not be kept"):
        world.token()
    assert world.requests() == []
    assert world.refresh_tokens() == [REFRESH.reveal()]
    world.keyring.asks = False
    world.clock.advance(60)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert world.refresh_tokens() == ["refresh-1"]
