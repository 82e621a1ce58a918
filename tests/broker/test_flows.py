"""The other ways in, through the broker: a browser's answer is saved, verified and told to the browser; a password."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest

from credential_helper.errors import AuthorizationError, CredentialHelperError, InteractionRequired
from credential_helper.model import Prompt, Source
from credential_helper.session import with_grant
from integration.servers.hostile_provider import Behaviour, Exchange, HostileProvider, answer, html, oauth_error
from tests.helpers.broker import CODE, TOKEN, FakePerson, World
from tests.helpers.clock import FakeClock
from tests.helpers.programs import DEADLINE
from tests.helpers.prompts import prompt_at


class Browser(FakePerson):
    """A person whose browser goes where a prompt says, signs in there, and comes back; keeps the page it ends on."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.blind = None
        self.world = world
        self.nonce: str | None = None  # None: the ID token answers the nonce that was sent
        self.token: Behaviour | None = None  # what the token endpoint answers; None: tokens
        self.hidden = False  # another prompt has the terminal
        self.pages: list[str] = []
        self.threads: list[threading.Thread] = []

    def show(self, prompt: Prompt, *, ours: bool) -> str | None:
        if ours and prompt.flow == "browser" and not self.hidden:
            thread = threading.Thread(target=self.sign_in, args=(prompt.verification_uri,), daemon=True)
            self.threads.append(thread)
            thread.start()
        return None if self.hidden else super().show(prompt, ours=ours)

    def sign_in(self, address: str) -> None:
        request = {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}
        id_token = self.world.id_token(nonce=self.nonce or request["nonce"])
        tokens = answer({**self.world.tokens(id_token=False), "id_token": id_token})
        self.world.provider.script(TOKEN, self.token or tokens)
        back = request["redirect_uri"] + "?" + urlencode({"code": "the-code", "state": request["state"]})
        with urllib.request.urlopen(back, timeout=DEADLINE) as response:
            self.pages.append(response.read().decode())

    def close(self) -> None:
        for thread in self.threads:
            thread.join(DEADLINE)


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
    assert prompt.because == "there is a display"
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
    assert world.grant.revoke_only


def asked_for(world: World, prompt: int) -> str | None:
    person = world.person
    query = parse_qs(urlsplit(person.prompts[prompt].verification_uri).query)
    return query.get("prompt", [None])[0]


def test_after_a_sign_in_by_somebody_else_the_person_is_asked_to_choose(world: World, browser: Browser) -> None:
    """The browser is signed in already: without a question it would bring the same person back."""
    world.profile = msgspec.structs.replace(world.profile, account="grace@example.com")
    for mode, seconds in (("any", 61), ("any", 3600), ("sign-in", 0)):
        with pytest.raises(AuthorizationError, match=r"signed in as ada@example\.com, but profile prod is for grace@"):
            world.obtain(mode)  # type: ignore[arg-type]
        world.clock.advance(seconds)
    assert [asked_for(world, prompt) for prompt in range(3)] == ["consent", "login consent", "login consent"]
    assert {prompt.account for prompt in browser.prompts} == {"grace@example.com"}
    world.profile = msgspec.structs.replace(world.profile, account="ada@example.com")
    world.obtain("sign-in")
    world.obtain("sign-in")
    assert [asked_for(world, prompt) for prompt in (3, 4)] == ["consent", "consent"]


def test_a_failure_in_between_does_not_forget_that_somebody_else_signed_in(world: World, browser: Browser) -> None:
    world.profile = msgspec.structs.replace(world.profile, account="grace@example.com")
    with pytest.raises(AuthorizationError):
        world.obtain()
    browser.token = oauth_error("server_error", 503)
    with pytest.raises(CredentialHelperError):
        world.obtain("sign-in")
    browser.token = None
    with pytest.raises(AuthorizationError):
        world.obtain("sign-in")
    assert asked_for(world, 2) == "login consent"


def test_the_nonce_is_looked_at_whether_or_not_the_keys_can_be_had(world: World, browser: Browser) -> None:
    browser.nonce = "of another sign-in"
    world.provider.script("/jwks", oauth_error("server_error", 503))
    with pytest.raises(AuthorizationError, match="answers another request"):
        world.token()
    assert world.session.access is None
    assert not world.session.refreshable


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


# --- a browser alone: an editor, without a terminal -------------------------------------------------------------------


def refused(world: World, browser: Browser) -> InteractionRequired:
    """Return why nobody is asked; nothing was opened."""
    opened = len(browser.prompts)
    with pytest.raises(InteractionRequired) as caught:
        world.token()
    assert len(browser.prompts) == opened
    return caught.value


def test_a_browser_that_somebody_refused_does_not_open_by_itself_again_all_day(world: World, browser: Browser) -> None:
    browser.by_window = True
    browser.token = oauth_error("invalid_grant", 400)
    with pytest.raises(AuthorizationError):
        world.token()
    browser.close()
    assert len(browser.prompts) == 1
    world.clock.advance(3601)
    error = refused(world, browser)
    assert "a browser was opened for it 60 min ago, and is not opened again by itself" in error.sentence
    assert error.hint == "credential-helper login prod"
    world.clock.advance(12 * 3600)
    browser.token = None
    assert world.token().startswith("access-")
    assert len(browser.prompts) == 2


def test_a_browser_whose_process_was_ended_may_open_again_but_ever_later(world: World, browser: Browser) -> None:
    """An editor that gives its commands half a minute, over a weekend."""
    browser.by_window = True
    browser.token = oauth_error("server_error", 503)  # nobody has refused anything
    opened = []
    for minute in range(0, 60 * 60, 4):
        before = len(browser.prompts)
        with pytest.raises(CredentialHelperError):
            world.token()
        browser.close()
        opened += [minute] if len(browser.prompts) > before else []
        world.clock.advance(240)
    assert opened[:4] == [0, 8, 40, 220]
    assert len(opened) == 8


@pytest.mark.parametrize("there", ["a login", "a terminal"])
def test_whoever_is_at_a_terminal_or_signs_in_is_asked_all_the_same(world: World, browser: Browser, there: str) -> None:
    browser.by_window = True
    browser.token = oauth_error("invalid_grant", 400)
    with pytest.raises(AuthorizationError):
        world.token()
    browser.close()
    world.clock.advance(61)
    refused(world, browser)
    world.clock.advance(11)  # one parent's five tries are over
    browser.token, browser.by_window = None, there == "a login"
    token = world.token("sign-in" if there == "a login" else "any")
    assert token.startswith("access-")
    browser.by_window = True
    world.sessions.erase(world.place.grant)  # and from now on a browser may open by itself again
    assert world.token().startswith("access-")


def test_a_sign_in_by_itself_is_asked_for_again_once_it_has_worked(world: World, browser: Browser) -> None:
    browser.by_window = True
    world.token()
    browser.close()
    assert world.sessions.notes.window(world.place.grant) is None


def test_a_code_that_a_dead_process_has_shown_is_not_taken_over_where_none_can_be_shown(
    world: World, browser: Browser
) -> None:
    browser.by_window = True
    left = prompt_at(world.clock.now())
    world.sessions.notes.keep_prompt(world.place.grant, left)
    world.token()
    browser.close()
    assert [prompt.flow for prompt in browser.prompts] == ["browser"]


# --- the other ways in ------------------------------------------------------------------------------------------------


def test_a_dead_process_s_browser_is_not_waited_for(world: World, browser: Browser) -> None:
    world.token()
    browser.close()
    prompt = browser.prompts[0]
    sessions = world.sessions
    sessions.erase(next(iter(sessions.grants.ids("json"))))
    sessions.notes.keep_prompt(world.place.grant, prompt)
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
    assert world.grant.account == "ada"


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


# --- what a browser that is signed in already must not make of a failure ---


@pytest.mark.parametrize("trouble", ["invalid_grant", "html", "nonce", "account"])
def test_a_sign_in_that_fails_after_the_browser_opens_no_second_tab(
    world: World, browser: Browser, trouble: str
) -> None:
    """kubectl asks five times, and a browser that is signed in comes back at once."""
    if trouble == "nonce":
        browser.nonce = "of another sign-in"
    elif trouble == "account":
        world.profile = msgspec.structs.replace(world.profile, account="bob@example.com")
    elif trouble == "html":
        browser.token = html(200)
    else:
        browser.token = oauth_error("invalid_grant", 400)
    for _ in range(5):
        with pytest.raises(CredentialHelperError):
            world.obtain()
    assert len(browser.prompts) == 1
    world.clock.advance(31)
    with pytest.raises(CredentialHelperError):
        world.obtain()
    assert len(browser.prompts) == 2


# --- an unverified sign-in is judged before anything stands on it ---


@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("mode", ["any", "renew"])
@pytest.mark.usefixtures("browser")
def test_a_refresh_does_not_make_good_a_sign_in_that_was_never_verified(
    world: World, mode: Literal["any", "renew"], *, expired: bool
) -> None:
    """The ID token of a refresh has no nonce, and nobody to be compared with."""
    world.provider.script("/jwks", oauth_error("server_error", 503))
    world.token()
    saved = world.session
    assert saved.unverified
    assert saved.id is not None
    other = msgspec.structs.replace(saved.id, nonce="of another sign-in")
    world.sessions.save(world.place, msgspec.structs.replace(saved, id=other))
    world.provider.serve_keys(world.key)
    world.clock.advance(4000 if expired else 11)
    world.provider.script(TOKEN, answer(world.tokens()))
    grants = len(world.grants())
    with pytest.raises(AuthorizationError, match="answers another request"):
        world.obtain(mode)
    assert len(world.grants()) == grants
    assert world.session.access is None
    assert not world.session.refreshable


@pytest.mark.usefixtures("browser")
def test_a_sign_in_that_was_good_is_verified_late_and_renewed(world: World) -> None:
    world.provider.script("/jwks", oauth_error("server_error", 503))
    world.token()
    assert world.session.unverified
    world.provider.serve_keys(world.key)
    world.clock.advance(4000)
    world.provider.script(TOKEN, answer({**world.tokens(), "access_token": "access-renewed"}))
    assert world.token() == "access-renewed"
    assert not world.session.unverified


@pytest.mark.usefixtures("browser")
def test_a_refresh_by_another_issuer_is_another_person(world: World) -> None:
    """Where one configured issuer stands for several (Entra's common), the same subject may be somebody else."""
    world.token()
    session = world.session
    assert session.identity is not None
    claims = dict(session.identity.claims)
    assert claims["iss"] == world.provider.issuer
    elsewhere = tuple({**claims, "iss": "https://another.example.com"}.items())
    identity = msgspec.structs.replace(session.identity, claims=elsewhere)
    world.sessions.save(world.place, with_grant(session, identity=identity))
    world.clock.advance(3600)
    world.provider.script(TOKEN, answer(world.tokens()))
    with pytest.raises(AuthorizationError, match="for another person"):
        world.token()


# --- prompts that ended with their process ---


def dead(world: World, flow: Literal["browser", "password"]) -> Prompt:
    now = world.clock.now()
    return Prompt(
        flow=flow,
        tool="kubectl",
        profile="prod",
        issuer=world.provider.issuer,
        target=None,
        scope=("openid",),
        verification_uri="http://127.0.0.1:1/authorize?dead=1",
        interval=300.0,
        next_poll=now + 300.0,
        made_at=now,
        expires_at=now + 300.0,
    )


@pytest.mark.usefixtures("browser")
@pytest.mark.parametrize("flow", ["browser", "password"])
def test_whoever_gets_the_lock_removes_a_dead_prompt(world: World, flow: Literal["browser", "password"]) -> None:
    world.token()
    world.clock.advance(3600)
    world.sessions.notes.keep_prompt(world.place.grant, dead(world, flow))
    seen: list[Prompt | None] = []

    def refresh(exchange: Exchange) -> None:
        seen.append(world.sessions.notes.prompt(world.place.grant))
        answer(world.tokens())(exchange)

    world.provider.script(TOKEN, refresh)
    world.token()
    assert seen == [None]


def test_a_sign_in_that_was_never_shown_is_nobody_s_refusal(world: World, browser: Browser) -> None:
    """Another prompt had the terminal all the time: the next command asks as soon as it has gone."""
    world.profile = msgspec.structs.replace(world.profile, flow="device")
    browser.hidden = True
    world.provider.script("/device", answer({**CODE, "expires_in": 20}))
    world.provider.script("/device/code", answer({**CODE, "expires_in": 20}))
    world.provider.script(TOKEN, oauth_error("authorization_pending", 400))
    with pytest.raises(InteractionRequired, match="another prompt has had this terminal"):
        world.obtain(tool="git")
    browser.hidden = False
    world.approves()
    assert world.token().startswith("access-")


# --- an ID token that does not come ---


@pytest.mark.usefixtures("browser")
def test_an_account_needs_an_id_token(world: World) -> None:
    world.profile = msgspec.structs.replace(world.profile, flow="device", account="ada@example.com")
    world.approves(id_token=False)
    world.provider.script("/revoke", answer({}))
    with pytest.raises(AuthorizationError, match="does not say who signed in"):
        world.token()
    assert [one.field("token") for one in world.provider.to("/revoke")] == ["refresh-1"]
    assert world.stored() is None


def test_a_missing_id_token_is_told(world: World, browser: Browser) -> None:
    world.profile = msgspec.structs.replace(world.profile, flow="device")
    world.approves(id_token=False)
    world.token()
    assert [warning for warning in browser.warnings if "sent no ID token" in warning]


def test_where_openid_was_not_granted_no_id_token_is_missed(world: World, browser: Browser) -> None:
    world.profile = msgspec.structs.replace(world.profile, flow="device")
    world.approves(id_token=False, scope="profile")
    world.token()
    assert not browser.warnings
