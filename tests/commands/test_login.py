"""What one sign-in brings: a token for the profile, and one for each host that has an audience of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from credential_helper.app import App
from credential_helper.commands import login
from credential_helper.errors import CredentialHelperError
from credential_helper.model import Profile
from credential_helper.profiles import targets
from credential_helper.profiles.configuration import load
from credential_helper.session import place_of
from integration.servers.hostile_provider import (
    Behaviour,
    Exchange,
    HostileProvider,
    SigningKey,
    answer,
    html,
    oauth_error,
    signing_key,
)
from tests.helpers.broker import CODE
from tests.helpers.clock import FakeClock
from tests.helpers.config import write_config
from tests.helpers.sessions import ADA, keep, token

A, GIT, HARBOR = "https://a.example.com", "https://git.example.com", "https://harbor.example.com"
LISTED = f"""\
git = ["https://plain.example.com", {{ url = "https://git.example.com", audience = "{GIT}" }}]
docker = [
  {{ server = "same.example.com", audience = "{GIT}" }},
  {{ server = "harbor.example.com", resource = "{HARBOR}" }},
  {{ server = "base.example.com", audience = "{A}" }},
]
"""

REFRESH, MACHINE, DEVICE = "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"

Given = dict[str, object]


def _asked(exchange: Exchange) -> tuple[str, str]:
    """Return the grant type of a request, and the audience or resource."""
    asked = exchange.received
    resources = " ".join(value for key, value in asked.fields if key == "resource")
    return asked.field("grant_type") or "", asked.field("audience") or resources


class World:
    """A provider that gives whatever it is asked for, and a person at a device who approves."""

    def __init__(
        self, provider: HostileProvider, environ: dict[str, str], clock: FakeClock, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.provider = provider
        self.key: SigningKey = signing_key("ES256", "k1")
        self.clock = clock
        self.capfd = capfd
        self.environ = environ | {"CREDENTIAL_HELPER_INTERACTIVE": "always"}
        self.instead: dict[tuple[str, str], Behaviour] = {}  # by the grant type, and what it is asked for
        self.issued = 0
        provider.serve_metadata(device_authorization_endpoint=f"{provider.url}/device")
        provider.serve_keys(self.key)
        provider.script("/device", lambda exchange: self.instead.get(_asked(exchange), answer(CODE))(exchange))
        provider.script("/token", self.issue)
        self.configure()

    def issue(self, exchange: Exchange) -> None:
        """Give a token for what is asked for; at a sign-in an ID token, too."""
        grant_type, wanted = _asked(exchange)
        if (grant_type, wanted) in self.instead:
            self.instead[grant_type, wanted](exchange)
            return
        self.issued += 1
        access = self.key.sign(self.provider.claims("client", aud=wanted or A, jti=str(self.issued)))
        body = {"access_token": access, "token_type": "Bearer", "expires_in": 3600}
        if grant_type != MACHINE:
            body["refresh_token"] = f"refresh-{self.issued}"
        if grant_type == DEVICE:
            body["id_token"] = self.key.sign(self.provider.claims("client", preferred_username="ada@example.com"))
        answer(body)(exchange)

    def configure(self, more: str = "", *, listed: str = LISTED) -> None:
        client = f'issuer = "{self.provider.issuer}"\nclient_id = "client"\nstore = "file"\n'
        write_config(self.environ, f'[profiles.prod]\n{client}audience = "{A}"\n{listed}{more}')

    @property
    def app(self) -> App:
        return App(self.environ, clock=self.clock, verbose=False)

    def login(self, *profiles: str, **given: Any) -> tuple[int, list[str]]:
        """Sign in; return the exit code, and what is said once somebody has."""
        app = self.app
        code = login.run({**({"profiles": list(profiles)} if profiles else {}), **given}, app)
        app.terminal.finish()
        out, err = self.capfd.readouterr()
        assert out == ""
        lines = err.splitlines()
        said = [number for number, line in enumerate(lines) if line.startswith("signed in to ")]
        return code, lines[said[0] :] if said else lines

    def profile(self, name: str = "prod") -> Profile:
        return load(self.environ).profile(name)

    def kept(self) -> dict[str, str | None]:
        """Return the audiences and resources that there is a token for, and the ids of their grants."""
        sessions = self.app.sessions()
        return {
            stored.session.audience or " ".join(stored.session.resource): identifier
            for identifier in sessions.grants.ids("json")
            if (file := sessions.grants.read(identifier)) is not None and file.grant is not None
            for _, stored in sessions.of_grant(identifier, file.grant)
        }

    def asked(self, grant_type: str) -> int:
        return sum(1 for request in self.provider.to("/token") if request.field("grant_type") == grant_type)


@pytest.fixture
def world(environ: dict[str, str], clock: FakeClock, capfd: pytest.CaptureFixture[str]) -> Iterator[World]:
    with HostileProvider(now=clock.now) as provider:
        yield World(provider, environ, clock, capfd)


def test_one_sign_in_brings_a_token_for_each_host_and_says_so(world: World) -> None:
    code, said = world.login("prod")
    assert code == 0
    assert [line.partition(" until ")[0] for line in said] == [
        "signed in to prod as ada@example.com",
        "https://git.example.com: got an access token for prod",
        "https://harbor.example.com: got an access token for prod",
    ]
    main = place_of(world.profile()).grant
    assert world.kept() == {A: main, GIT: main, HARBOR: main}
    assert len(world.provider.to("/device")) == 1
    assert world.asked("refresh_token") == 2


def test_login_signs_in_anew_and_asks_for_all_of_it_again(world: World) -> None:
    world.login("prod")
    before = world.issued
    code, said = world.login("prod")
    assert (code, len(said), world.issued) == (0, 3, 2 * before)
    assert len(world.provider.to("/device")) == 2
    assert len(world.kept()) == 3


def test_a_profile_that_lists_nothing_of_its_own_says_one_thing(world: World) -> None:
    world.configure(listed='git = ["https://git.example.com"]\n')
    code, said = world.login("prod")
    assert (code, len(said), world.asked("refresh_token")) == (0, 1, 0)


@pytest.mark.parametrize("given", [{"audience": GIT}, {"resource": [HARBOR]}, {"scope": ["openid read"]}])
def test_a_purpose_that_is_given_means_that_one_session(world: World, given: Given) -> None:
    code, said = world.login("prod", **given)
    assert (code, len(said), world.asked("refresh_token")) == (0, 1, 0)
    assert len(world.kept()) == 1


def test_what_a_host_does_not_get_is_told_and_the_others_get_theirs(world: World) -> None:
    world.instead[REFRESH, GIT] = oauth_error("invalid_target")
    world.instead["", GIT] = oauth_error("access_denied")  # of the device code for it
    code, said = world.login("prod")
    assert code == 77
    assert said[0].startswith("signed in to prod as ada@example.com until ")
    assert sum(line.startswith("credential-helper: prod: https://git.example.com got none: ") for line in said) == 1
    assert said[-1].startswith("https://harbor.example.com: got an access token for prod until ")
    assert set(world.kept()) == {A, HARBOR}


def test_a_provider_that_is_down_is_asked_once(world: World) -> None:
    world.instead[REFRESH, GIT] = html(502)
    code, said = world.login("prod")
    assert code == 69
    assert said[1].startswith("credential-helper: prod: https://git.example.com got none: 127.0.0.1:")
    assert said[-1].startswith("credential-helper: prod: https://harbor.example.com got none: 127.0.0.1:")
    assert f"that was 0 s ago, and credential-helper login prod --resource {HARBOR} asks again" in said[-1]
    assert set(world.kept()) == {A}


def test_the_exit_code_is_that_of_the_first_that_failed(world: World) -> None:
    world.configure(
        f'[profiles.ci]\nissuer = "{world.provider.issuer}"\nclient_id = "client"\nflow = "client-credentials"\n'
        'client_secret = { env = "CI_SECRET" }\n'
        f'git = [{{ url = "https://ci.example.com", audience = "{HARBOR}" }}]\n'
    )
    world.environ["CI_SECRET"] = "the-secret"
    world.instead[REFRESH, GIT] = html(502)
    world.instead[MACHINE, HARBOR] = oauth_error("invalid_target")
    code, said = world.login("prod", "ci")
    assert code == 69
    assert sum(line.startswith("credential-helper: ci: https://ci.example.com got none: ") for line in said) == 1
    del world.instead[REFRESH, GIT]
    assert world.login("prod", "ci")[0] == 77


def test_a_machine_gets_one_for_each_host_too(world: World) -> None:
    world.configure('flow = "client-credentials"\nclient_secret = { env = "CI_SECRET" }\n')
    world.environ["CI_SECRET"] = "the-secret"
    code, said = world.login("prod")
    assert code == 0
    assert [line.partition(" until ")[0] for line in said] == [
        "got an access token for prod",
        "https://git.example.com: got an access token for prod",
        "https://harbor.example.com: got an access token for prod",
    ]
    assert world.asked("client_credentials") == 3
    assert len(set(world.kept().values())) == 3


# --- a provider that gives one token per sign-in ----------------------------------------------------------------------


def test_where_one_sign_in_does_not_do_the_person_is_asked_again_and_told_why(world: World) -> None:
    world.instead[REFRESH, GIT] = oauth_error("invalid_target")
    code, said = world.login("prod")
    assert code == 0
    told = "\n".join(said)
    assert "gives one token per sign-in; this one is for https://git.example.com" in told
    assert "https://git.example.com: got an access token for prod until " in told
    assert len(world.provider.to("/device")) == 2
    place = place_of(targets.at(world.profile(), world.profile().lists("git")[1]))
    main = place_of(world.profile()).grant
    assert world.kept() == {A: main, HARBOR: main, GIT: place.session}


def test_what_another_person_has_left_for_a_host_goes(world: World) -> None:
    profile = targets.at(world.profile(), world.profile().lists("git")[1])
    keep(world.app.sessions(), world.profile(), access=token("old", world.clock.now()), identity=ADA)
    keep(world.app.sessions(), profile, alone=True, access=token("old", world.clock.now()), identity=ADA)
    code, _ = world.login("prod")
    assert code == 0
    main = place_of(world.profile()).grant
    assert world.kept() == {A: main, GIT: main, HARBOR: main}


# --- nobody there -----------------------------------------------------------------------------------------------------


def test_where_nobody_signs_in_no_host_is_asked_for(world: World) -> None:
    world.environ["CREDENTIAL_HELPER_INTERACTIVE"] = "never"
    with pytest.raises(CredentialHelperError) as caught:
        world.login("prod")
    assert caught.value.exit_code == 66
    assert world.provider.to("/token") == []
