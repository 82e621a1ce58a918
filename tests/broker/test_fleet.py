"""Machines that share a token: each has a state directory and a clock of its own, and all one cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper.broker import fleet as fleet_module
from credential_helper.broker import new_session
from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Errand, Means, Mode, Obtained
from credential_helper.broker.fleet_cache import described
from credential_helper.broker.forget import drop
from credential_helper.broker.obtain import obtain
from credential_helper.errors import AuthorizationError, CredentialHelperError, RateLimited
from credential_helper.model import Profile, Secret, SharedCache, Source, Token
from credential_helper.session import Session
from credential_helper.stores.fleet import LOCK
from credential_helper.stores.fleet_scripts import Kept, Seen
from credential_helper.stores.fleet_values import Names
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from credential_helper.system.caller import Abandoned
from credential_helper.system.signals import Interrupts
from integration.servers.hostile_provider import Behaviour, Exchange, HostileProvider, answer, oauth_error, rate_limited
from integration.servers.hostile_provider import signing_key as key
from tests.helpers.broker import TOKEN, FakeCaller, FakePerson
from tests.helpers.clock import FakeClock
from tests.helpers.fleet import MemoryFleet, MemoryServer
from tests.helpers.keyrings import MemoryKeyring
from tests.helpers.requests import request_by

SECRET = "the-client-secret-of-all"


def sources(value: str) -> Source:
    return Source(kind="env", value=(value,), origin=value)


class Machine:
    """One machine of a fleet."""

    def __init__(self, fleet: Fleet, name: str, clock: FakeClock | None = None) -> None:
        self.fleet = fleet
        self.clock = clock or fleet.clock
        self.state: Path | None = fleet.folder / name
        self.person = FakePerson(there=False)
        self.caller = FakeCaller(name)
        self.notes: list[str] = []
        self.secrets = {"CI_SECRET": SECRET}
        self.profile = fleet.profile
        self.deadline: float | None = None

    @property
    def means(self) -> Means:
        return Means(
            sessions=Sessions(
                State(None if self.state is None else str(self.state)), MemoryKeyring(), note=self.notes.append
            ),
            person=lambda: self.person,
            interrupts=Interrupts(),
            caller=self.caller,  # type: ignore[arg-type]
            clock=self.clock,
            note=self.notes.append,
            read_secret=lambda source: Secret(self.secrets[source.value[0]]),
            deadline=self.deadline,
            server=self.fleet.cache.server,  # type: ignore[arg-type]
        )

    def token(self, mode: Mode = "any", **request: Any) -> str:
        errand = Errand(profile=self.profile, request=request_by("kubectl", **request), mode=mode)
        return obtain(errand, self.means).credential.token.reveal()

    def session(self) -> dict[str, Any]:
        assert self.state is not None
        (file,) = (self.state / "sessions").glob("*.json")
        session: dict[str, Any] = msgspec.json.decode(file.read_bytes())["session"]
        return session

    def said(self, words: str) -> bool:
        return any(words in line for line in self.notes)


class Fleet:
    """A provider, a cache, and machines."""

    def __init__(self, provider: HostileProvider, folder: Path, clock: FakeClock) -> None:
        self.provider = provider
        self.folder = folder
        self.clock = clock
        self.cache = MemoryFleet(clock)
        self.issued = 0
        self.profile = Profile(
            name="ci",
            issuer=provider.issuer,
            client_id="ci",
            flow="client-credentials",
            audience="https://api.example.com",
            client_secret=sources("CI_SECRET"),
            shared_cache=SharedCache(scheme="rediss", host="cache.example.com"),
        )
        self.gives()

    def gives(self, *before: Behaviour, lifetime: object = 3600, **more: object) -> None:
        """Have the provider answer so; from then on with tokens."""

        def token(exchange: Exchange) -> None:
            self.issued += 1
            body = {"access_token": f"at-{self.issued}", "token_type": "Bearer", "expires_in": lifetime, **more}
            answer(body)(exchange)

        self.provider.script(TOKEN, *before, token)

    def machine(self, name: str, clock: FakeClock | None = None) -> Machine:
        return Machine(self, name, clock)

    @property
    def grants(self) -> int:
        return len(self.provider.to(TOKEN))


@pytest.fixture
def fleet(tmp_path: Path, clock: FakeClock) -> Iterator[Fleet]:
    with HostileProvider(now=clock.now) as provider:
        provider.serve_metadata()
        yield Fleet(provider, tmp_path, clock)


# --- one token --------------------------------------------------------------------------------------------------------


def test_a_second_machine_gets_the_token_of_the_first(fleet: Fleet) -> None:
    assert [fleet.machine(name).token() for name in "abc"] == ["at-1"] * 3
    assert fleet.grants == 1


def test_what_was_found_is_a_session_as_any_other_and_the_cache_is_not_asked_again(fleet: Fleet) -> None:
    fleet.machine("a").token()
    fleet.clock.advance(600)
    other = fleet.machine("b")
    assert other.token() == "at-1"
    session, now = other.session(), fleet.clock.now()
    assert session["access"]["expires_at"] == pytest.approx(now + 3000, abs=2)
    assert session["access"]["received_at"] == pytest.approx(now - 600, abs=2)
    asked = len(fleet.cache.asked)
    assert other.token() == "at-1"
    assert len(fleet.cache.asked) == asked


def test_a_profile_without_a_cache_asks_none(fleet: Fleet) -> None:
    machine = fleet.machine("a")
    machine.profile = msgspec.structs.replace(machine.profile, shared_cache=None)
    assert machine.token() == "at-1"
    assert fleet.cache.opened == 0


def test_what_a_token_is_for_tells_it_from_others(fleet: Fleet) -> None:
    fleet.machine("a").token()
    for number, changes in enumerate(
        (
            {"audience": "https://other.example.com"},
            {"scope": ("read",)},
            {"client_id": "other"},
            {"parameters": (("organization", "org_1"),)},
            {"resource": ("https://api.example.com",), "audience": None},
        )
    ):
        machine = fleet.machine(f"other-{number}")
        machine.profile = msgspec.structs.replace(machine.profile, **changes)  # type: ignore[arg-type]
        assert machine.token() == f"at-{number + 2}"
    assert len(fleet.cache.places) == 6


def test_the_order_of_scopes_and_the_profile_s_name_are_nothing(fleet: Fleet) -> None:
    for name, scope in (("a", ("read", "write")), ("b", ("write", "read"))):
        machine = fleet.machine(name)
        machine.profile = msgspec.structs.replace(machine.profile, scope=scope, name=f"profile-{name}")
        machine.token()
    assert fleet.grants == 1


# --- who can read it --------------------------------------------------------------------------------------------------


def test_another_secret_is_another_name_and_another_key(fleet: Fleet) -> None:
    fleet.machine("a").token()
    stranger = fleet.machine("b")
    stranger.secrets["CI_SECRET"] = "another-secret-of-somebody"
    assert stranger.token() == "at-2"
    assert len(fleet.cache.places) == 2


@pytest.mark.parametrize("least", ["secret", "key"])
def test_a_secret_that_could_be_guessed_makes_no_key(fleet: Fleet, least: str) -> None:
    machine = fleet.machine("a")
    if least == "secret":
        machine.secrets["CI_SECRET"] = "fifteen-letters"
    else:
        machine.profile = msgspec.structs.replace(machine.profile, cache_key=sources("KEY"))
        machine.secrets["KEY"] = "k" * 31
    assert machine.token() == "at-1"
    assert fleet.cache.places == {}
    why = f"has less than {16 if least == 'secret' else 32} bytes"
    assert machine.said(why)
    told = described(machine.profile, machine.means) or ""
    assert ": not used: " in told
    assert why in told


def test_a_key_of_the_fleet_counts_beside_the_secret(fleet: Fleet) -> None:
    machines = [fleet.machine(name) for name in "abc"]
    for machine, fleets_key in zip(machines, ("k" * 32, "k" * 32, "l" * 32), strict=True):
        machine.profile = msgspec.structs.replace(machine.profile, cache_key=sources("KEY"))
        machine.secrets |= {"KEY": fleets_key}
    assert [machine.token() for machine in machines] == ["at-1", "at-1", "at-2"]


def test_what_stands_there_shows_nothing(fleet: Fleet) -> None:
    fleet.machine("a").token()
    (name,) = fleet.cache.places
    shown = repr((name, fleet.cache.only))
    for secret in ("at-1", SECRET, "api.example.com", fleet.provider.issuer):
        assert secret not in shown


@pytest.mark.parametrize("change", ["sealed", "generation", "longer", "another's"])
def test_what_was_tampered_with_is_no_token_and_is_removed(fleet: Fleet, change: str) -> None:
    fleet.machine("a").token()
    place = fleet.cache.only
    assert place.token is not None
    generation, ends, sealed = place.token
    place.token = {
        "sealed": Kept(generation, ends, bytes([sealed[0] ^ 1]) + sealed[1:]),
        "generation": Kept(generation + 5, ends, sealed),
        "longer": Kept(generation, ends + 3600, sealed),
        "another's": Kept(generation, ends, sealed[:20]),
    }[change]
    machine = fleet.machine("b")
    assert machine.token() == "at-2"
    assert machine.said("was not made by this fleet")
    assert fleet.machine("c").token() == "at-2"


def test_a_value_of_another_place_is_no_token(fleet: Fleet) -> None:
    fleet.machine("a").token()
    other = fleet.machine("b")
    other.profile = msgspec.structs.replace(other.profile, audience="https://admin.example.com")
    other.token()
    low, high = fleet.cache.places.values()
    low.token, high.token = high.token, low.token
    assert fleet.machine("c").token() == "at-3"


def test_an_old_value_that_somebody_brings_back_is_over_when_it_is_over(fleet: Fleet) -> None:
    fleet.machine("a").token()
    old = fleet.cache.only.token
    fleet.clock.advance(4000)
    place = fleet.cache.only
    place.token, place.forget_at = old, int(fleet.clock.time) + 10_000
    assert fleet.machine("b").token() == "at-2"


# --- clocks -----------------------------------------------------------------------------------------------------------


def machine_at(fleet: Fleet, name: str, offset: float) -> Machine:
    return fleet.machine(name, FakeClock(fleet.clock.time + offset))


@pytest.mark.parametrize("writer", [-300.0, 0.0, 300.0])
@pytest.mark.parametrize("reader", [-300.0, 0.0, 300.0])
@pytest.mark.parametrize("age", [0.0, 3000.0, 3200.0, 3500.0, 3610.0])
@pytest.mark.parametrize("jwt", [True, False])
def test_clocks_five_minutes_apart_never_bring_a_token_that_has_expired(
    fleet: Fleet, writer: float, reader: float, age: float, *, jwt: bool
) -> None:
    """The provider's clock is right, and so is the cache's."""
    born = fleet.clock.time
    if jwt:
        token = key().sign({"iat": born, "exp": born + 3600})
        fleet.provider.script(TOKEN, answer({"access_token": token, "token_type": "Bearer", "expires_in": 3600}))
    first = machine_at(fleet, "a", writer).token()
    fleet.gives()
    fleet.clock.advance(age)
    other = machine_at(fleet, "b", reader)
    found = other.token()
    if found != first:  # it has asked the provider
        return
    assert age < 3600
    # By its own clock it goes on to answer this token; by then it has really not expired.
    session = other.session()
    left = session["access"]["expires_at"] - other.clock.time
    assert age + left <= 3600 + 1


def test_a_reader_whose_clock_is_right_uses_most_of_a_token(fleet: Fleet) -> None:
    machine_at(fleet, "a", -300.0).token()
    fleet.clock.advance(2000)
    assert machine_at(fleet, "b", -300.0).token() == "at-1"
    assert machine_at(fleet, "c", 0.0).token() == "at-1"


def test_a_server_whose_clock_was_set_back_brings_nothing(fleet: Fleet) -> None:
    fleet.machine("a").token()
    fleet.cache.clock = FakeClock(fleet.clock.time - 600)
    other = fleet.machine("b")
    assert other.token() == "at-2"


# --- what is never shared ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lifetime", [119, 60, None])
def test_a_token_that_lives_for_a_moment_is_not_shared(fleet: Fleet, lifetime: object) -> None:
    fleet.gives(lifetime=lifetime)
    assert [fleet.machine(name).token() for name in "abc"] == ["at-1", "at-2", "at-3"]
    assert fleet.cache.only.token is None
    assert fleet.cache.asked.count("enter") == 1  # the others know that there is nothing to wait for


def test_a_token_that_is_bound_to_a_key_is_not_shared(fleet: Fleet) -> None:
    now = fleet.clock.time
    token = key().sign(
        {"iat": now, "exp": now + 3600, "cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}
    )
    fleet.provider.script(TOKEN, answer({"access_token": token, "token_type": "Bearer", "expires_in": 3600}))
    machine = fleet.machine("a")
    machine.token()
    assert fleet.cache.only.token is None
    assert machine.said("bound to a key (cnf)")


def test_a_person_s_tokens_are_not_shared(fleet: Fleet) -> None:
    machine = fleet.machine("a")
    machine.profile = msgspec.structs.replace(machine.profile, flow="device")
    with pytest.raises(CredentialHelperError):
        machine.token()
    assert fleet.cache.opened == 0


# --- one at a time ----------------------------------------------------------------------------------------------------


def lock(fleet: Fleet) -> None:
    """Let a machine that is none of ours hold the lock of what others have shared and lost."""
    place = fleet.cache.only
    place.token, place.owner, place.locked_until = None, "somebody", fleet.clock.ticks + LOCK


def test_who_comes_while_another_machine_fetches_waits_for_it(fleet: Fleet) -> None:
    fleet.machine("a").token()
    shared = fleet.cache.only.token
    lock(fleet)

    def bring() -> None:
        place = fleet.cache.only
        place.token, place.owner = shared, None
        place.told.append(b"stored")

    fleet.cache.while_waiting = bring
    assert fleet.machine("b").token() == "at-1"
    assert fleet.grants == 1


def test_where_the_holder_was_killed_the_next_one_goes_on_when_its_lock_has_ended(fleet: Fleet) -> None:
    fleet.machine("a").token()
    lock(fleet)
    started = fleet.clock.ticks
    assert fleet.machine("b").token() == "at-2"
    assert LOCK <= fleet.clock.ticks - started < LOCK + 1
    assert fleet.machine("c").token() == "at-2"


def test_a_message_that_is_lost_is_made_up_for_by_looking(fleet: Fleet) -> None:
    fleet.machine("a").token()
    shared = fleet.cache.only.token
    lock(fleet)

    def bring() -> None:
        fleet.cache.only.token, fleet.cache.only.owner = shared, None

    fleet.cache.while_waiting = bring
    assert fleet.machine("b").token() == "at-1"


@pytest.mark.parametrize(("told", "waits"), [(b"left", False), (b"free", True)])
def test_where_the_holder_failed_the_others_go_their_own_way(fleet: Fleet, told: bytes, *, waits: bool) -> None:
    """But where it was only stopped, the next one takes its turn, and shares."""
    fleet.machine("a").token()
    lock(fleet)

    def fail() -> None:
        place = fleet.cache.only
        if place.owner == "somebody":
            place.owner = None
            place.told.append(told)

    fleet.cache.while_waiting = fail
    assert fleet.machine("b").token() == "at-2"
    assert (fleet.cache.only.token is not None) == waits


def test_a_tool_s_patience_ends_the_wait(fleet: Fleet) -> None:
    fleet.machine("a").token()
    lock(fleet)
    machine = fleet.machine("b")
    machine.deadline = 5.0
    started = fleet.clock.ticks
    assert machine.token() == "at-2"
    assert fleet.clock.ticks - started < 5.0
    assert machine.said("not waited for any longer")


def test_who_is_waited_for_by_nobody_ends(fleet: Fleet) -> None:
    fleet.machine("a").token()
    lock(fleet)
    machine = fleet.machine("b")
    machine.caller.there = False
    with pytest.raises(Abandoned):
        machine.token()


def test_an_older_generation_never_takes_the_place_of_a_newer_one(fleet: Fleet) -> None:
    """A holder that sleeps for longer than its lock lasts."""
    slow, quick = fleet.machine("slow"), fleet.machine("quick")

    def sleeps(exchange: Exchange) -> None:
        fleet.clock.advance(LOCK + 1)
        fleet.gives()
        assert quick.token() == "at-1"
        answer({"access_token": "late", "token_type": "Bearer", "expires_in": 3600})(exchange)

    fleet.gives(sleeps)
    assert slow.token() == "late"
    assert slow.said("a newer token than this one is shared already")
    assert fleet.machine("c").token() == "at-1"


def test_a_flush_in_the_middle_costs_a_grant_and_no_more(fleet: Fleet) -> None:
    def flushed(exchange: Exchange) -> None:
        fleet.cache.flush()
        answer({"access_token": "at-0", "token_type": "Bearer", "expires_in": 3600})(exchange)

    fleet.gives(flushed)
    assert fleet.machine("a").token() == "at-0"
    assert fleet.machine("b").token() == "at-0"


# --- ahead of its end -------------------------------------------------------------------------------------------------


def test_one_machine_fetches_the_next_token_while_the_old_one_serves_the_others(fleet: Fleet) -> None:
    fleet.machine("a").token()
    fleet.clock.advance(3600 * 0.69)
    assert fleet.machine("b").token() == "at-1"  # not before 70 % of its life
    fleet.clock.advance(3600 * 0.12)
    served: list[str] = []

    def meanwhile(exchange: Exchange) -> None:
        served.extend(fleet.machine(name).token() for name in ("d", "e"))
        fleet.gives()
        answer({"access_token": "next", "token_type": "Bearer", "expires_in": 3600})(exchange)

    fleet.gives(meanwhile)
    assert fleet.machine("c").token() == "next"
    assert served == ["at-1", "at-1"]
    assert fleet.machine("f").token() == "next"
    assert fleet.grants == 2


def test_who_finds_the_next_one_already_there_fetches_none(fleet: Fleet) -> None:
    """Another machine looked at the same moment, and was faster."""
    fleet.machine("a").token()
    fleet.clock.advance(3600 * 0.81)
    late = fleet.machine("late")
    enter = MemoryServer.enter

    class Late(MemoryServer):
        def enter(self, names: Names, owner: str) -> Seen:
            fleet.cache.made = MemoryServer
            assert fleet.machine("quick").token() == "at-2"
            return enter(self, names, owner)

    fleet.cache.made = Late
    assert late.token() == "at-1"
    assert fleet.cache.only.owner is None
    assert fleet.machine("b").token() == "at-2"
    assert fleet.grants == 2


def test_where_the_next_one_cannot_be_had_the_old_one_answers_and_the_others_do_not_try_at_once(fleet: Fleet) -> None:
    fleet.machine("a").token()
    fleet.clock.advance(3600 * 0.81)
    fleet.gives(oauth_error("server_error", 503), oauth_error("server_error", 503))
    assert fleet.machine("b").token() == "at-1"
    tried = fleet.grants
    assert fleet.machine("c").token() == "at-1"
    assert fleet.grants == tried
    fleet.clock.advance(62)
    fleet.gives()
    assert fleet.machine("d").token() == "at-2"


def test_a_wish_for_more_life_than_is_left_brings_a_new_token_for_all(fleet: Fleet) -> None:
    fleet.machine("a").token()
    fleet.clock.advance(1800)
    assert fleet.machine("b").token(minimum_validity=2000.0) == "at-2"
    assert fleet.machine("c").token() == "at-2"


# --- the provider says no ---------------------------------------------------------------------------------------------


def test_the_whole_fleet_waits_where_the_provider_asks_one_of_it_to(fleet: Fleet) -> None:
    fleet.gives(rate_limited(120))
    for name in "ab":
        with pytest.raises(RateLimited):
            fleet.machine(name).token()
    assert fleet.grants == 1
    fleet.clock.advance(122)
    assert fleet.machine("c").token() == "at-1"


def test_an_old_token_serves_while_the_fleet_waits(fleet: Fleet) -> None:
    fleet.machine("a").token()
    fleet.clock.advance(2000)
    fleet.gives(rate_limited(300))
    assert fleet.machine("b").token(minimum_validity=2400.0) == "at-1"
    assert fleet.machine("c").token(minimum_validity=2400.0) == "at-1"
    assert fleet.grants == 2


def test_a_rate_limit_is_believed_for_an_hour_at_most(fleet: Fleet) -> None:
    fleet.gives(rate_limited(86400))
    with pytest.raises(RateLimited):
        fleet.machine("a").token()
    fleet.clock.advance(3605)
    assert fleet.machine("b").token() == "at-1"


def test_a_refusal_is_each_machine_s_own(fleet: Fleet) -> None:
    fleet.gives(oauth_error("invalid_client", 401), oauth_error("invalid_client", 401))
    with pytest.raises(AuthorizationError):
        fleet.machine("a").token()
    assert fleet.cache.only.owner is None
    fleet.gives()
    assert fleet.machine("b").token() == "at-1"


def test_a_signal_frees_the_lock(fleet: Fleet) -> None:
    fleet.machine("a").token()
    fleet.cache.only.token = None

    machine = fleet.machine("b")
    means = machine.means

    def stop() -> Any:
        raise KeyboardInterrupt

    errand = Errand(profile=machine.profile, request=request_by("kubectl"))
    with pytest.raises(KeyboardInterrupt):
        fleet_module.share(errand, CachedSession(errand, means), means, stop)
    assert fleet.cache.only.owner is None
    assert fleet.cache.only.told[-1] == b"free"


# --- a token that was rejected ----------------------------------------------------------------------------------------


def test_a_thousand_machines_that_hear_of_a_rejection_cost_one_token(fleet: Fleet) -> None:
    machines = [fleet.machine(f"m{number}") for number in range(20)]
    assert {machine.token() for machine in machines} == {"at-1"}
    fleet.clock.advance(120)
    for machine in machines:
        drop(machine.profile, Secret("at-1"), machine.means)
        assert machine.token() == "at-2"
    assert fleet.grants == 2


def test_a_token_that_took_the_place_of_the_rejected_one_stays(fleet: Fleet) -> None:
    a, b = fleet.machine("a"), fleet.machine("b")
    a.token()
    b.token()
    fleet.clock.advance(120)
    assert a.token("renew") == "at-2"
    drop(b.profile, Secret("at-1"), b.means)
    assert b.token() == "at-2"
    assert fleet.grants == 2


def test_a_request_that_names_the_rejected_token_gets_another_one(fleet: Fleet) -> None:
    a, b = fleet.machine("a"), fleet.machine("b")
    a.token()
    fleet.clock.advance(120)
    refused = hashlib.sha256(b"at-1").hexdigest()
    assert b.token(refused=refused) == "at-2"
    assert a.token(refused=refused) == "at-2"
    assert fleet.grants == 2


def test_a_young_token_is_not_made_anew_for_a_server_that_means_something_else(fleet: Fleet) -> None:
    fleet.machine("a").token()
    fleet.clock.advance(10)
    assert fleet.machine("b").token(refused=hashlib.sha256(b"at-1").hexdigest()) == "at-1"


def test_refresh_on_every_machine_costs_one_token(fleet: Fleet) -> None:
    machines = [fleet.machine(name) for name in "abcd"]
    assert {machine.token() for machine in machines} == {"at-1"}
    assert {machine.token("renew") for machine in machines} == {"at-2"}
    assert machines[0].token("renew") == "at-3"
    assert fleet.grants == 3


def test_login_brings_a_new_one_for_all(fleet: Fleet) -> None:
    fleet.machine("a").token()
    assert fleet.machine("b").token("sign-in") == "at-2"
    assert fleet.machine("c").token() == "at-2"


# --- a server that fails ----------------------------------------------------------------------------------------------


def test_a_server_that_fails_is_left_alone_for_a_while_and_costs_no_answer(fleet: Fleet) -> None:
    fleet.cache.broken = "cannot be reached"
    machine = fleet.machine("a")
    assert machine.token() == "at-1"
    assert machine.said("the shared cache cache.example.com:6379 cannot be reached")
    assert machine.person.warnings == machine.person.told == []
    assert machine.token("renew") == "at-2"
    assert machine.said("is left alone for")
    assert fleet.cache.asked == ["look"]
    fleet.cache.broken = None
    fleet.clock.advance(31)
    assert machine.token("renew") == "at-3"
    assert fleet.machine("b").token() == "at-3"


@pytest.mark.parametrize("step", ["look", "enter", "store"])
def test_a_server_that_fails_in_the_middle_costs_no_answer(fleet: Fleet, step: str) -> None:
    asked = fleet.cache.asked

    class Breaking(list[str]):
        def append(self, one: str) -> None:
            super().append(one)
            if one == step:
                fleet.cache.broken = "does not answer in time"

    fleet.cache.asked = Breaking(asked)
    assert fleet.machine("a").token() == "at-1"


def test_a_waiter_whose_server_goes_away_goes_its_own_way(fleet: Fleet) -> None:
    fleet.machine("a").token()
    lock(fleet)

    def gone() -> None:
        fleet.cache.broken = "cannot be reached"

    fleet.cache.while_waiting = gone
    started = fleet.clock.ticks
    assert fleet.machine("b").token() == "at-2"
    assert fleet.clock.ticks - started < 1


def test_a_state_directory_that_cannot_be_used_shares_all_the_same(fleet: Fleet, tmp_path: Path) -> None:
    fleet.machine("a").token()
    (tmp_path / "b").write_text("a file, no folder")
    assert fleet.machine("b").token() == "at-1"


def test_the_counters_tell_hits_from_misses(fleet: Fleet) -> None:
    a, b = fleet.machine("a"), fleet.machine("b")
    a.token()
    a.token("renew")
    b.token()
    assert "it answers; hits 0, misses 2 since " in (described(a.profile, a.means) or "")
    assert "it answers; hits 1, misses 0 since " in (described(b.profile, b.means) or "")


# --- two thousand machines --------------------------------------------------------------------------------------------

JOBS = 2000 * 6  # an hour: two thousand ephemeral runners, six jobs each
AT_THE_PROVIDER = 4.0  # seconds


class Simulation:
    """Jobs that begin with nothing: only what stands in the cache, and the provider, whose answer takes a while.

    What comes meanwhile is served meanwhile.
    """

    def __init__(self, fleet: Fleet) -> None:
        machine = fleet.machine("every")
        machine.state = None
        self.clock, self.granted, self.served = fleet.clock, list[float](), 0
        self.began = self.next = self.clock.time
        self._errand, self._means = Errand(profile=machine.profile, request=request_by("kubectl")), machine.means
        self._session = CachedSession(self._errand, self._means)
        self._working = False

    def run(self, until: float) -> None:
        while self.next < until:
            self.clock.advance(max(0.0, self.next - self.clock.time))
            self.next += 3600 / JOBS
            self._job()

    def _job(self) -> None:
        found = fleet_module.share(self._errand, self._session, self._means, self._fetch)
        assert found.credential.expires_at is not None
        assert found.credential.expires_at > self.clock.time
        self.served += 1

    def _fetch(self) -> Obtained:
        assert not self._working, "two machines are at the provider"
        self._working, first = True, not self.granted
        self.granted.append(self.clock.time)
        until = self.clock.time + AT_THE_PROVIDER
        if not first:  # then there is nothing yet, and whoever comes would wait
            self.run(until)
        self.clock.advance(max(0.0, until - self.clock.time))
        self._working = False
        now = self.clock.time
        access = Token(value=Secret(f"at-{len(self.granted)}"), received_at=now, expires_at=now + 3600)
        grant = new_session.grant_of(self._errand, self._session, self._means)
        return self._session.answer(Session(grant=grant, access=access), stamp=None)


def test_two_thousand_ephemeral_runners_fetch_two_tokens_an_hour_at_most(fleet: Fleet) -> None:
    hours = 3
    simulation = Simulation(fleet)
    simulation.run(simulation.began + hours * 3600)
    assert simulation.served == pytest.approx(hours * JOBS, abs=1)
    hour = [int((at - simulation.began) // 3600) for at in simulation.granted]
    assert max(hour.count(one) for one in range(hours)) <= 2
    assert hours <= len(hour) <= hours / 0.7 + 1
