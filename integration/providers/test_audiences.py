"""One sign-in at a real provider, and tokens of several audiences: by exchange, by refresh, or by a sign-in each.

As the rows of providers.py have it (``other_audiences``). A token that is answered says itself whom it is for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from integration.clients.programs import Runner
from integration.scenes.browsers import Tabs
from integration.scenes.real_providers import SCOPE, Person, audience
from integration.scenes.sign_ins import prompts
from integration.servers.providers import dex as of_dex
from integration.servers.providers import hydra as of_hydra
from integration.servers.providers.keycloak import DESK, EXCHANGER, KUBERNETES, MACHINE, PEOPLE, REGISTRY
from integration.servers.providers.real import SECRET, RealProvider
from tests.helpers.programs import Result

Met = Callable[..., Person]

NOBODY = {"CREDENTIAL_HELPER_INTERACTIVE": "never"}
GIT_HOST, DOCKER_HOST = "git.example.com", "registry.example.com"
ENTRIES = {
    "git": [{"url": f"https://{GIT_HOST}", "audience": REGISTRY}],
    "docker": [{"server": DOCKER_HOST, "audience": REGISTRY}],
}

by = pytest.mark.parametrize


@pytest.fixture
def meet(run: Runner, home: dict[str, str], tabs: Tabs, provider: RealProvider) -> Met:
    """Return what makes the person with these settings, who signs in with a browser."""

    def met(**settings: Any) -> Person:
        if settings.get("client_id") == DESK:
            home["CLIENT_SECRET"] = SECRET
            settings["client_secret"] = {"env": "CLIENT_SECRET"}
        return Person(run, home, tabs, provider, flow="authorization-code", **settings)

    return met


def quiet(done: Result) -> str:
    """Return the token of a program that said nothing else."""
    assert (done.code, done.stderr) == (0, ""), done
    return done.text.strip()


def for_audience(person: Person, wanted: str) -> str:
    """Return the token of an audience, which is had where nobody can be asked."""
    return quiet(person.run("token", "prod", "--audience", wanted, env=NOBODY))


def for_git(person: Person) -> str:
    request = f"protocol=https\nhost={GIT_HOST}\n\n".encode()
    done = person.run("get", program="git-credential-helper", stdin=request, env=NOBODY)
    lines = dict(line.partition("=")[::2] for line in quiet(done).splitlines() if line)
    return lines["password"]


def for_docker(person: Person) -> str:
    done = person.run("get", program="docker-credential-helper", stdin=DOCKER_HOST.encode(), env=NOBODY)
    found: str = json.loads(quiet(done))["Secret"]
    return found


def own_sign_in(person: Person, wanted: str) -> Result:
    """Ask for the token of an audience that costs a sign-in of its own, of which the person is told why."""
    alone = person.run("token", "prod", "--audience", wanted, env=NOBODY)
    assert (alone.code, alone.stdout) == (66, b""), alone
    done, _ = person.with_a_browser("token", "prod", "--audience", wanted)
    assert (done.code, prompts(done.terminal)) == (0, 1), done
    host = person.provider.issuer.split("/")[2]
    assert f"{host} gives one token per sign-in; this one is for {wanted}" in done.terminal, done
    return done


# --- Keycloak: by exchange --------------------------------------------------------------------------------------------


@by("provider", ["keycloak", "rotating"], indirect=True)
def test_one_sign_in_serves_every_tool(meet: Met) -> None:
    """The exchanged token is for one audience, that of the sign-in for all that the client's mappers add."""
    person = meet(client_id=DESK, **ENTRIES)
    done, _ = person.with_a_browser("token", "prod")
    assert prompts(done.terminal) == 1, done
    assert audience(done.text.strip()) >= {KUBERNETES, REGISTRY}
    assert audience(for_audience(person, KUBERNETES)) == {KUBERNETES}
    git, docker = for_git(person), for_docker(person)
    assert audience(git) == {REGISTRY}
    assert git == docker == for_audience(person, REGISTRY)


@by("provider", ["keycloak", "rotating"], indirect=True)
def test_what_is_exchanged_is_renewed_by_itself(meet: Met) -> None:
    person = meet(client_id=DESK, **ENTRIES)
    person.with_a_browser()
    tokens = [for_git(person)]
    for _ in range(2):
        person.expire()
        tokens.append(for_git(person))
    assert len(set(tokens)) == len(tokens)
    assert [audience(token) for token in tokens] == [{REGISTRY}] * 3
    assert person.token()["azp"] == DESK


@by("provider", ["keycloak"], indirect=True)
def test_login_gets_all_that_is_listed(meet: Met) -> None:
    person = meet(client_id=DESK, **ENTRIES)
    done, _ = person.with_a_browser()
    assert prompts(done.terminal) == 1, done
    got = re.findall(r"^https://(\S+): got an access token for prod until ", done.terminal, re.MULTILINE)
    assert got == [GIT_HOST], done


@by("provider", ["keycloak"], indirect=True)
def test_logout_ends_what_was_exchanged_too(meet: Met, provider: RealProvider) -> None:
    person = meet(client_id=DESK, **ENTRIES)
    person.with_a_browser()
    for_git(person)
    token = person.refresh_token()
    assert person.run("logout", "prod").code == 0
    assert provider.token((DESK, SECRET), grant_type="refresh_token", refresh_token=token)[0] == 400
    assert person.run("token", "prod", "--audience", REGISTRY, env=NOBODY).code == 66


@by(("provider", "wanted"), [("keycloak", MACHINE), ("keycloak", "nobody")], indirect=["provider"])
def test_an_audience_that_keycloak_refuses_has_a_sign_in_of_its_own(meet: Met, wanted: str) -> None:
    """One that the client's mappers do not add, and one that is no client; the first sign-in stays good."""
    person = meet(client_id=DESK)
    person.with_a_browser()
    own_sign_in(person, wanted)
    assert audience(for_audience(person, REGISTRY)) == {REGISTRY}


@by("provider", ["keycloak"], indirect=True)
def test_a_public_client_cannot_exchange(meet: Met) -> None:
    person = meet(client_id=PEOPLE)
    person.with_a_browser()
    own = own_sign_in(person, KUBERNETES).text.strip()
    assert audience(own) == {KUBERNETES, EXCHANGER}
    assert for_audience(person, KUBERNETES) == own


@by("provider", ["keycloak"], indirect=True)
@pytest.mark.xfail(strict=True, reason="what a sign-in of its own brings is not judged by its audience")
def test_a_token_for_something_else_is_given_to_nobody(meet: Met) -> None:
    """Keycloak reads no audience, and the mappers of this client do not add this one: git would get kubectl's token."""
    person = meet(client_id=PEOPLE)
    person.with_a_browser()
    done, _ = person.with_a_browser("token", "prod", "--audience", REGISTRY)
    assert done.code == 77 or audience(done.text.strip()) == {REGISTRY}, done


# --- Dex: by refresh, what the sign-in asked for ----------------------------------------------------------------------


@by("provider", ["dex"], indirect=True)
def test_dex_serves_the_audiences_that_the_scope_names(meet: Met) -> None:
    """Of one sign-in, and also a narrower scope of one entry."""
    both = [f"audience:server:client_id:{name}" for name in (of_dex.KUBERNETES, of_dex.OTHER)]
    git = [{"url": f"https://{GIT_HOST}", "audience": of_dex.OTHER, "scope": f"openid {both[1]}"}]
    person = meet(audience=of_dex.KUBERNETES, scope=" ".join([SCOPE, *both]), git=git)
    person.with_a_browser()
    for _ in range(2):
        assert audience(for_git(person)) == {of_dex.PEOPLE, of_dex.OTHER}
        for wanted in (of_dex.KUBERNETES, of_dex.OTHER):
            assert audience(for_audience(person, wanted)) == {of_dex.PEOPLE, of_dex.KUBERNETES, of_dex.OTHER}
        person.expire()


# --- a sign-in each ---------------------------------------------------------------------------------------------------

ONE_EACH = "each sign-in ends the refresh token of the one before, of the same person and client"
EACH = [
    pytest.param("hydra", of_hydra.KUBERNETES, of_hydra.REGISTRY, id="hydra"),
    pytest.param("dex", of_dex.KUBERNETES, of_dex.OTHER, id="dex"),
]
BOTH_RENEW = [EACH[0], pytest.param(*EACH[1].values, id="dex", marks=pytest.mark.xfail(strict=True, reason=ONE_EACH))]


@by(("provider", "first", "second"), EACH, indirect=["provider"])
def test_a_second_audience_asks_for_a_sign_in_of_its_own(meet: Met, first: str, second: str) -> None:
    person = meet(audience=first)
    person.with_a_browser()
    own = own_sign_in(person, second).text.strip()
    assert second in audience(own)
    assert first not in audience(own)
    assert first in audience(for_audience(person, first))
    assert for_audience(person, second) == own


@by(("provider", "first", "second"), BOTH_RENEW, indirect=["provider"])
def test_both_sign_ins_renew_by_themselves(meet: Met, first: str, second: str) -> None:
    person = meet(audience=first)
    person.with_a_browser()
    own = own_sign_in(person, second).text.strip()
    for _ in range(2):
        person.expire()
        for wanted in (first, second):
            token = for_audience(person, wanted)
            assert wanted in audience(token)
            assert token != own
