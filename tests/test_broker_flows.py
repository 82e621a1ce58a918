"""The other ways in, through the broker: a browser's answer is saved, verified and told to the browser; a password."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest

from credential_helper.errors import AuthorizationError, CredentialHelperError, InteractionRequired
from credential_helper.model import Prompt, Source
from integration.hostile_provider import HostileProvider, answer, oauth_error
from tests.conftest import FakeClock
from tests.test_broker import CODE, TOKEN, FakePerson, World


class Browser(FakePerson):
    """A person whose browser goes where a prompt says, signs in there, and comes back; keeps the page it ends on."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.blind = None
        self.world = world
        self.nonce: str | None = None  # None: the ID token answers the nonce that was sent
        self.pages: list[str] = []
        self.threads: list[threading.Thread] = []

    def show(self, prompt: Prompt, *, ours: bool) -> str | None:
        if ours and prompt.flow == "browser":
            thread = threading.Thread(target=self.sign_in, args=(prompt.verification_uri,), daemon=True)
            self.threads.append(thread)
            thread.start()
        return super().show(prompt, ours=ours)

    def sign_in(self, address: str) -> None:
        request = {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}
        id_token = self.world.id_token(nonce=self.nonce or request["nonce"])
        self.world.provider.script(TOKEN, answer({**self.world.tokens(id_token=False), "id_token": id_token}))
        back = request["redirect_uri"] + "?" + urlencode({"code": "the-code", "state": request["state"]})
        with urllib.request.urlopen(back, timeout=20) as response:
            self.pages.append(response.read().decode())

    def close(self) -> None:
        for thread in self.threads:
            thread.join(20)


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    with HostileProvider(now=clock.now) as provider:
        world = World(provider, tmp_path / "state", clock)
        world.profile = msgspec.structs.replace(world.profile, flow="auto")
        yield world


@pytest.fixture
def browser(world: World) -> Iterator[Browser]:
    world.person = browser = Browser(world)
    yield browser
    browser.close()


def test_a_browser_s_sign_in_is_saved_verified_and_told(world: World, browser: Browser) -> None:
    assert world.token() == "access-1"
    browser.close()
    [page] = browser.pages
    assert "signed in" in page.lower()
    [prompt] = browser.prompts
    assert prompt.because == "one can be opened here"
    assert world.session.id is not None
    assert not world.session.unverified
    assert world.session.id.nonce
    assert world.grants() == ["authorization_code"]
    assert world.token() == "access-1"
    assert world.grants() == ["authorization_code"]


def test_an_id_token_that_answers_another_request_is_refused_and_the_page_says_so(
    world: World, browser: Browser
) -> None:
    browser.nonce = "of another sign-in"
    with pytest.raises(AuthorizationError, match="answers another request"):
        world.token()
    browser.close()
    [page] = browser.pages
    assert "signed in" not in page.lower()
    assert world.session.access is None
    assert world.session.revoke_only


def test_the_next_process_checks_the_nonce_that_this_one_sent(world: World, browser: Browser) -> None:
    """The keys cannot be had now: what was saved waits for its check, nonce included."""
    browser.nonce = "of another sign-in"
    world.provider.script("/jwks", oauth_error("server_error", 503))
    assert world.token() == "access-1"  # with a warning
    assert world.session.unverified
    world.provider.serve_keys(world.key)
    world.clock.advance(11)  # a network failure is remembered for 10 s
    with pytest.raises(AuthorizationError, match="answers another request"):
        world.token()


@pytest.mark.parametrize(("nonce", "good"), [(None, True), ("the one that was sent", True), ("another", False)])
def test_a_refresh_brings_the_nonce_of_the_sign_in_or_none(
    world: World, browser: Browser, nonce: str | None, *, good: bool
) -> None:
    """OIDC Core §12.2."""
    world.profile = msgspec.structs.replace(world.profile, token="id")
    world.token()
    browser.close()
    assert world.session.id is not None
    sent = world.session.id.nonce if nonce == "the one that was sent" else nonce
    world.clock.advance(3600)
    fresh = world.id_token() if sent is None else world.id_token(nonce=sent)
    world.provider.script(TOKEN, answer({**world.tokens(id_token=False), "id_token": fresh}))
    if good:
        assert world.token() == fresh
    else:
        with pytest.raises(AuthorizationError, match="answers another request"):
            world.token()


def test_a_dead_process_s_browser_is_not_waited_for(world: World, browser: Browser) -> None:
    world.token()
    browser.close()
    prompt = browser.prompts[0]
    sessions = world.sessions
    sessions.erase(next(iter(sessions.ids("json"))))
    from credential_helper.model import session_id

    sessions.keep_prompt(session_id(world.profile), prompt)
    browser.there = False
    with pytest.raises(InteractionRequired, match="nobody is signed in"):
        world.token()


# --- a password


def passwords(world: World, *, unattended: bool) -> None:
    source = Source(kind="env", value=("PASSWORD",), origin="test") if unattended else None
    world.profile = msgspec.structs.replace(world.profile, flow="password", legacy=True, account="ada", password=source)


def test_a_password_is_typed_sent_once_and_kept_nowhere(world: World) -> None:
    passwords(world, unattended=False)
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    [request] = world.provider.to(TOKEN)
    assert (request.field("username"), request.field("password")) == ("ada", "correct horse")
    assert len(world.person.labels) == len(world.person.warnings) == 1
    assert [prompt.flow for prompt in world.person.prompts] == ["password"]
    for file in world.state.rglob("*"):
        assert not file.is_file() or b"correct horse" not in file.read_bytes()
    assert "correct horse" not in " ".join([*world.notes, *world.person.warnings])


def test_the_user_name_of_a_password_need_not_be_a_claim(world: World) -> None:
    passwords(world, unattended=False)
    world.provider.script(TOKEN, answer(world.tokens()))  # preferred_username is ada@example.com
    world.token()
    assert world.session.account == "ada"


def test_a_password_that_can_be_read_asks_nobody(world: World) -> None:
    passwords(world, unattended=True)
    world.person.there = False
    world.provider.script(TOKEN, answer(world.tokens()))
    assert world.token() == "access-1"
    assert not world.person.labels
    assert world.person.warnings


def test_a_wrong_password_that_is_read_is_sent_once_in_five_minutes(world: World) -> None:
    passwords(world, unattended=True)
    world.provider.script(TOKEN, oauth_error("invalid_grant", 403, "Wrong email or password."))
    for _ in range(3):
        with pytest.raises(CredentialHelperError, match="refused the user name or password"):
            world.token()
    assert len(world.provider.to(TOKEN)) == 1
    world.clock.advance(301)
    with pytest.raises(AuthorizationError):
        world.token()
    assert len(world.provider.to(TOKEN)) == 2


def test_nobody_types_a_password_where_nobody_is(world: World) -> None:
    passwords(world, unattended=False)
    world.person.there = False
    with pytest.raises(InteractionRequired):
        world.token()
    assert not world.provider.to(TOKEN)


# --- what a provider's own ways are good for


@pytest.mark.parametrize(("provider", "advice"), [("auth0", "Allow Offline Access"), ("github", None)])
def test_a_missing_refresh_token_is_mended_as_the_provider_says(
    world: World, browser: Browser, provider: str, advice: str | None
) -> None:
    world.profile = msgspec.structs.replace(world.profile, provider=provider, flow="device", token="access")
    world.provider.script("/login/device/code", answer(CODE))
    world.provider.script("/login/oauth/access_token", answer(world.tokens(id_token=False, refresh=False)))
    world.approves(refresh=False)
    world.token()
    assert (advice or "") in (browser.advice or "")
    assert (browser.advice is None) == (advice is None)
