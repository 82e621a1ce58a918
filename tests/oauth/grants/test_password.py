from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    InteractionRequired,
    RateLimited,
    StoreError,
    TransportError,
)
from credential_helper.model import Profile, Prompt, Secret, Source, Tokens
from credential_helper.oauth.grants import password
from credential_helper.oauth.provider import Provider
from credential_helper.providers import PASSWORD_REALM
from credential_helper.transport.client import Transport
from integration.servers.hostile_provider import (
    Behaviour,
    HostileProvider,
    answer,
    empty,
    html,
    oauth_error,
    rate_limited,
    reset,
)
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS
from tests.helpers.providers import Memory

PASSWORD = "correct+horse/battery&staple"
NAME = "ada@example.com"


class TypingStage:
    """A person who types, and what they are shown."""

    def __init__(self, *typed: str) -> None:
        self.tool = "kubectl"
        self.target: str | None = "https://kubernetes.example.com"
        self.because = ""
        self.typed = list(typed)
        self.events: list[tuple[str, object]] = []
        self.tokens: list[Tokens] = []
        self.exchange: Callable[[], Tokens] | None = None
        self.fails_to_save: Exception | None = None

    def browser(self) -> tuple[bool, str]:
        raise AssertionError

    def waiting(self) -> Prompt | None:
        raise AssertionError

    def pause(self, prompt: Prompt, until: Callable[[float], bool] | None = None) -> None:
        raise AssertionError(prompt, until)

    def at_end(self, tell: Callable[[bool], None]) -> None:
        raise AssertionError(tell)

    def ask(self, prompt: Prompt) -> None:
        self.events.append(("ask", prompt))

    def type(self, label: str, *, hidden: bool) -> Secret:
        self.events.append(("hidden" if hidden else "shown", label))
        return Secret(self.typed.pop(0))

    def can_paste(self) -> bool:
        raise AssertionError

    def pasted(self) -> Secret | None:
        raise NotImplementedError

    def tell(self, sentence: str) -> None:
        raise AssertionError(sentence)

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        self.events.append(("warn", f"{sentence}\n{hint}"))

    def redeem(self, exchange: Callable[[], Tokens]) -> None:
        self.exchange = exchange
        self.events.append(("redeem", None))
        self.tokens.append(exchange())
        if self.fails_to_save:
            raise self.fails_to_save

    def order(self) -> list[str]:
        return [event for event, _ in self.events]


Make = Callable[..., Provider]


@pytest.fixture
def make(hostile: HostileProvider, clock: FakeClock) -> Make:
    """Return what makes a provider whose profile has these settings; ``secret`` is the password's source."""

    def made(secret: str | None = None, client_secret: str | None = None, **settings: Any) -> Provider:
        def source(value: str | None) -> Source | None:
            return None if value is None else Source(kind="env", value=("NAME",), origin="test")

        settings = {"issuer": hostile.issuer, "client_id": "cli", "flow": "password", "legacy": True, **settings}
        return Provider(
            Profile(name="prod", password=source(secret), client_secret=source(client_secret), **settings),
            transport=Transport(clock=clock),
            documents=Memory(),
            clock=clock,
            client_secret=None if client_secret is None else lambda: Secret(client_secret),
            password=None if secret is None else lambda: Secret(secret),
        )

    return made


def failure(provider: Provider, stage: TypingStage) -> CredentialHelperError:
    """Return the error of a sign-in; whatever it is, the password is nowhere in it."""
    with pytest.raises(CredentialHelperError) as caught:
        password.sign_in(provider, stage)
    error = caught.value
    told = "".join(traceback.format_exception(error)) + repr((error.args, error.sentence, error.hint))
    for form in (PASSWORD, quote_plus(PASSWORD), "correct", "staple"):
        assert form not in told
    return error


def refusal(hostile: HostileProvider, provider: Provider, *behaviours: Behaviour) -> CredentialHelperError:
    """Return the error that the provider's answers make of a sign-in with a typed password."""
    hostile.script("/token", *behaviours)
    return failure(provider, TypingStage(PASSWORD))


# --- the request ------------------------------------------------------------------------------------------------------


def test_the_person_is_asked_for_name_and_password(hostile: HostileProvider, make: Make, clock: FakeClock) -> None:
    stage = TypingStage(NAME, PASSWORD)
    password.sign_in(make(audience="https://api.example.com"), stage)
    assert stage.order() == ["ask", "warn", "shown", "hidden", "redeem"]
    prompt = dict(stage.events)["ask"]
    assert isinstance(prompt, Prompt)
    assert (prompt.flow, prompt.tool, prompt.profile, prompt.target) == ("password", "kubectl", "prod", stage.target)
    assert prompt.scope == ("openid", "profile", "email", "offline_access")
    assert (prompt.made_at, prompt.expires_at) == (clock.now(), clock.now() + password.PATIENCE)
    assert not prompt.outlives_its_process
    host = hostile.issuer.removeprefix("http://").rstrip("/")
    assert stage.events[2:4] == [("shown", "user name:"), ("hidden", f"password for {NAME} at {host}:")]
    (request,) = hostile.to("/token")
    assert (request.method, request.query) == ("POST", "")
    assert request.fields == [
        ("grant_type", "password"),
        ("username", NAME),
        ("password", PASSWORD),
        ("scope", "openid profile email offline_access"),
        ("audience", "https://api.example.com"),
        ("client_id", "cli"),
    ]
    (tokens,) = stage.tokens
    assert tokens.access_token == Secret("at-1")


def test_the_account_is_the_user_name(hostile: HostileProvider, make: Make) -> None:
    stage = TypingStage(PASSWORD)
    password.sign_in(make(account=NAME), stage)
    assert stage.order() == ["ask", "warn", "hidden", "redeem"]
    assert hostile.to("/token")[0].field("username") == NAME


def test_an_unattended_job_reads_it_and_asks_nobody(hostile: HostileProvider, make: Make) -> None:
    stage = TypingStage()
    password.sign_in(make(secret=PASSWORD, account=NAME), stage)
    assert stage.order() == ["warn", "redeem"]
    assert hostile.to("/token")[0].field("password") == PASSWORD


def test_a_realm_makes_it_auth0_s_variant(hostile: HostileProvider, make: Make) -> None:
    password.sign_in(make(account=NAME, realm="Username-Password-Authentication"), TypingStage(PASSWORD))
    (request,) = hostile.to("/token")
    assert request.field("grant_type") == PASSWORD_REALM
    assert request.field("realm") == "Username-Password-Authentication"


def test_a_confidential_client_proves_itself(hostile: HostileProvider, make: Make) -> None:
    password.sign_in(make(account=NAME, client_secret="s3cr3t", client_authentication="post"), TypingStage(PASSWORD))
    assert hostile.to("/token")[0].field("client_secret") == "s3cr3t"


def test_a_password_is_sent_as_it_was_typed(hostile: HostileProvider, make: Make) -> None:
    odd = "  pass wörd \N{SNOWMAN}%2B "
    password.sign_in(make(), TypingStage(f" {NAME} ", odd))
    (request,) = hostile.to("/token")
    assert (request.field("username"), request.field("password")) == (NAME, odd)


def test_a_name_from_outside_is_shown_harmless(make: Make) -> None:
    stage = TypingStage(PASSWORD)
    password.sign_in(make(account="ada\x1b[31m\u202e@example.com"), stage)
    assert str(stage.events[2][1]).startswith("password for ada[31m@example.com at ")


# --- what is said, every time -----------------------------------------------------------------------------------------


def test_it_warns_every_time_and_says_what_is_better(make: Make) -> None:
    provider = make(secret=PASSWORD, account=NAME)
    stage = TypingStage()
    password.sign_in(provider, stage)
    password.sign_in(provider, stage)
    warnings = [str(said) for event, said in stage.events if event == "warn"]
    assert len(warnings) == 2
    for word in ("RFC 9700", "OAuth 2.1", "second factor", 'flow = "device"', 'flow = "authorization-code"'):
        assert word in warnings[0]


def test_without_legacy_nothing_is_asked_or_sent(hostile: HostileProvider, make: Make) -> None:
    stage = TypingStage(NAME, PASSWORD)
    error = failure(make(legacy=False), stage)
    assert isinstance(error, ConfigurationError)
    assert "legacy = true" in error.sentence
    assert 'flow = "device"' in (error.hint or "")
    assert stage.events == []
    assert hostile.requests == []


def test_no_password_is_typed_for_nothing(hostile: HostileProvider, make: Make) -> None:
    """Where the provider cannot be reached it is known before anybody types."""
    hostile.script("/.well-known/openid-configuration", html(503))
    hostile.script("/.well-known/oauth-authorization-server", html(503))
    stage = TypingStage(NAME, PASSWORD)
    failure(make(), stage)
    assert stage.events == []


@pytest.mark.parametrize(("typed", "named"), [(("", PASSWORD), "user name"), ((NAME, ""), "password")])
def test_nothing_typed_is_nothing_sent(
    hostile: HostileProvider, make: Make, typed: tuple[str, str], named: str
) -> None:
    error = failure(make(), TypingStage(*typed))
    assert isinstance(error, InteractionRequired)
    assert error.sentence == f"no {named} was typed: nothing was sent"
    assert hostile.to("/token") == []


def test_an_empty_source_is_nothing_sent(hostile: HostileProvider, make: Make) -> None:
    assert isinstance(failure(make(secret="", account=NAME), TypingStage()), ConfigurationError)
    assert hostile.to("/token") == []


def test_a_password_without_an_account_is_nobody_s(hostile: HostileProvider, make: Make) -> None:
    error = failure(make(secret=PASSWORD), TypingStage())
    assert isinstance(error, ConfigurationError)
    assert "account" in (error.hint or "")
    assert hostile.to("/token") == []


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_sent_once(hostile: HostileProvider, make: Make) -> None:
    """Providers lock an account after a few wrong ones."""
    error = refusal(hostile, make(account=NAME), oauth_error("invalid_grant", 403, "Wrong email or password."))
    assert isinstance(error, AuthorizationError)
    assert (error.error, error.exit_code) == ("invalid_grant", 77)
    assert "refused the user name or" in error.sentence
    assert "(invalid_grant: Wrong email or password.)" in error.sentence
    assert len(hostile.to("/token")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        oauth_error("mfa_required", 403, "Multifactor authentication required", mfa_token="Fe26.2**the-mfa-token"),
        oauth_error("mfa_required", 403, "give Fe26.2**the-mfa-token", mfa_token="Fe26.2**the-mfa-token"),
        oauth_error("interaction_required", 400, "AADSTS50076: you must use multi-factor authentication"),
    ],
)
def test_a_second_factor_needs_another_flow(hostile: HostileProvider, make: Make, wrong: Behaviour) -> None:
    error = refusal(hostile, make(account=NAME), wrong)
    assert isinstance(error, AuthorizationError)
    assert (error.error, error.exit_code) == ("mfa_required", 77)
    assert error.sentence.startswith("this account has a second factor, which the password flow cannot ask for: ")
    assert 'flow = "authorization-code"' in (error.hint or "")
    assert "the-mfa-token" not in error.sentence
    assert len(hostile.to("/token")) == 1


@pytest.mark.parametrize("realm", [None, "Username-Password-Authentication"])
def test_a_client_without_the_grant_is_told_its_name(hostile: HostileProvider, make: Make, realm: str | None) -> None:
    wrong = oauth_error("unauthorized_client", 403, "Grant type 'password' not allowed for the client.")
    error = refusal(hostile, make(account=NAME, realm=realm, provider="auth0"), wrong)
    assert isinstance(error, AuthorizationError)
    assert error.error == "unauthorized_client"
    assert 'switch on the grant "Password"' in (error.hint or "")
    assert "Grant Types" in (error.hint or "")


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize("code", ["server_error", "invalid_request"])
def test_a_tenant_without_a_default_directory_needs_a_realm(
    hostile: HostileProvider, make: Make, code: str, status: int
) -> None:
    wrong = oauth_error(code, status, "Authorization server not configured with default connection.")
    error = refusal(hostile, make(account=NAME), wrong)
    assert isinstance(error, ConfigurationError)
    assert "Authorization server not configured with default connection" in error.sentence
    assert (error.hint or "").startswith('write realm = "NAME"')


def test_a_locked_account_is_said_as_it_came(hostile: HostileProvider, make: Make) -> None:
    wrong = oauth_error("too_many_attempts", 429, "Your account has been blocked after multiple login attempts.")
    error = refusal(hostile, make(account=NAME), wrong)
    assert isinstance(error, AuthorizationError)
    assert error.error == "too_many_attempts"
    assert "Your account has been blocked" in error.sentence
    assert len(hostile.to("/token")) == 1


@pytest.mark.parametrize("client_secret", [None, "s3cr3t"])
@pytest.mark.parametrize(
    "unclear",
    [
        answer({"message": "Bad credentials"}, 401),
        answer({"error": "Unauthorized"}, 401),
        html(401),
        empty(401),
        oauth_error("access_denied", 401, "Unauthorized"),
        oauth_error("unauthorized", 401, "user is blocked"),
    ],
)
def test_an_answer_that_may_be_about_the_password_does_not_send_it_again(
    hostile: HostileProvider, make: Make, unclear: Behaviour, client_secret: str | None
) -> None:
    refusal(hostile, make(account=NAME, client_secret=client_secret), unclear, answer(TOKENS))
    assert [request.field("password") for request in hostile.to("/token")] == [PASSWORD]


def test_a_client_that_was_refused_in_so_many_words_tries_its_other_method(
    hostile: HostileProvider, make: Make
) -> None:
    hostile.script("/token", oauth_error("invalid_client", 401), answer(TOKENS))
    password.sign_in(make(account=NAME, client_secret="s3cr3t"), TypingStage(PASSWORD))
    assert [request.field("client_secret") for request in hostile.to("/token")] == [None, "s3cr3t"]


def test_a_rate_limit_is_not_waited_for(hostile: HostileProvider, make: Make, clock: FakeClock) -> None:
    """The request that was turned away may have counted as an attempt."""
    error = refusal(hostile, make(account=NAME), rate_limited(3), answer(TOKENS))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 3
    assert len(hostile.to("/token")) == 1
    assert clock.slept == []


@pytest.mark.parametrize("trouble", [reset(), html(502)])
def test_a_provider_that_is_down_is_not_asked_twice(hostile: HostileProvider, make: Make, trouble: Behaviour) -> None:
    assert isinstance(refusal(hostile, make(account=NAME), trouble, answer(TOKENS)), TransportError)
    assert len(hostile.to("/token")) == 1


# --- the password is forgotten ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [PASSWORD, quote_plus(PASSWORD), quote_plus(PASSWORD).lower(), PASSWORD.upper()])
def test_a_provider_that_repeats_it_is_not_quoted(hostile: HostileProvider, make: Make, text: str) -> None:
    wrong = oauth_error("invalid_grant", 403, f"no such user: username={NAME}&password={text}")
    assert "no such user" in refusal(hostile, make(account=NAME), wrong).sentence


@pytest.mark.parametrize("text", ["pw", "hunter2"])
def test_a_short_one_is_not_quoted_either(hostile: HostileProvider, make: Make, text: str) -> None:
    hostile.script("/token", oauth_error("invalid_grant", 403, f"wrong: {text}!"))
    with pytest.raises(AuthorizationError) as caught:
        password.sign_in(make(account=NAME), TypingStage(text))
    assert "wrong: ***!" in caught.value.sentence


def frames(error: BaseException | None) -> Iterator[object]:
    """Yield every local variable that an exception keeps alive, and those of what it came from."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            yield from frame.f_locals.values()
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "wrong",
    [
        oauth_error("invalid_grant", 403),
        oauth_error("mfa_required", 403),
        oauth_error("server_error", 403, "no default connection"),
        reset(),
        html(502),
        answer(b"no JSON"),
    ],
)
def test_no_exception_keeps_it(hostile: HostileProvider, make: Make, wrong: Behaviour) -> None:
    """Neither in its words nor in the frames behind it, where the request was put together."""
    hostile.script("/token", wrong)
    stage = TypingStage(PASSWORD)
    provider = make(account=NAME)
    try:
        password.sign_in(provider, stage)
    except CredentialHelperError as error:
        caught = error
    module = Path(password.__file__).name
    held = [value for value in frames(caught) if value is not PASSWORD]
    assert any(module in frame.f_code.co_filename for frame, _ in traceback.walk_tb(caught.__traceback__))
    assert [value for value in held if PASSWORD in repr(value)] == []
    assert not any(isinstance(value, Secret) and value.reveal() == PASSWORD for value in held)


def test_what_was_sent_is_forgotten(make: Make) -> None:
    stage = TypingStage(PASSWORD)
    password.sign_in(make(account=NAME), stage)
    kept = vars(stage.exchange).values()
    assert not any(isinstance(value, Secret) and value for value in kept)


def test_a_failed_save_is_told_as_it_is(make: Make) -> None:
    stage = TypingStage(PASSWORD)
    stage.fails_to_save = StoreError("the disk is full: no default connection")
    assert failure(make(account=NAME), stage) is stage.fails_to_save
