from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Endpoints, Prompt, Secret, Tokens
from credential_helper.oauth.grants import authorization_code
from credential_helper.oauth.grants.loopback import PortTaken
from credential_helper.oauth.provider import Provider
from integration.servers.hostile_provider import HostileProvider, answer, half_json, html, oauth_error, reset
from tests.helpers.clock import FakeClock
from tests.helpers.endpoints import TOKENS, provider_at
from tests.helpers.ports import free_port
from tests.helpers.programs import DEADLINE
from tests.helpers.providers import Memory

CODE = "c0de-that-nobody-repeats"
SUCCESS = answer({**TOKENS, "refresh_token": "rt-1", "id_token": "a.b.c"})

Visit = Callable[[str], None]
Play = Callable[[dict[str, str], Visit], None]  # what a browser does with the parameters of the request


def comes_back(**changes: str | None) -> Play:
    """Come back with a code and the right state, with ``changes`` to that; None leaves a parameter out."""

    def play(asked: dict[str, str], visit: Visit) -> None:
        query = {"code": CODE, "state": asked["state"], **changes}
        visit(
            asked["redirect_uri"] + "?" + urlencode({name: value for name, value in query.items() if value is not None})
        )

    return play


def comes_back_with_error(error: str, description: str | None = None, **changes: str | None) -> Play:
    return comes_back(code=None, error=error, error_description=description, **changes)


def stays_away(_asked: dict[str, str], _visit: Visit) -> None:
    """Somebody closes the tab."""


class BrowserStage:
    """Keeps what a grant hands over, and plays the browser by real HTTP; when that is done, the fake clock runs on."""

    def __init__(self, clock: FakeClock, play: Play | None = None) -> None:
        self.tool = "kubectl"
        self.target: str | None = "https://kubernetes.example.com"
        self.because = ""
        self.clock = clock
        self.play = play or comes_back()
        self.asked: list[Prompt] = []
        self.paused: list[Prompt] = []
        self.tokens: list[Tokens] = []
        self.ends: list[Callable[[bool], None]] = []
        self.warned: list[tuple[float, str, str | None]] = []
        self.told: list[str] = []
        self.pastes: list[Secret] = []
        self.pages: list[tuple[int, str]] = []
        self.while_waiting: Callable[[], None] = lambda: None
        self.before_redeeming: Callable[[], None] = lambda: None
        self.sleep: Callable[[float], None] = clock.sleep
        self._browser = threading.Thread(target=self._browse, daemon=True)

    def browser(self) -> tuple[bool, str]:
        return True, "there is a display"

    def waiting(self) -> Prompt | None:
        return None

    def type(self, label: str, *, hidden: bool) -> Secret:
        raise AssertionError(f"{label} {hidden}")

    def can_paste(self) -> bool:
        raise AssertionError("who chose this flow has asked")

    def pasted(self) -> Secret | None:
        return self.pastes.pop(0) if self.pastes else None

    def tell(self, sentence: str) -> None:
        self.told.append(sentence)

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        self.warned.append((self.clock.now(), sentence, hint))

    def ask(self, prompt: Prompt) -> None:
        self.asked.append(prompt)
        self._browser.start()

    def pause(self, prompt: Prompt, until: Callable[[float], bool] | None = None) -> None:
        assert until is not None
        self.paused.append(prompt)
        self.while_waiting()
        while self._browser.is_alive():
            if until(0.02):
                return
        if not until(0.0):
            self.sleep(max(0.0, prompt.next_poll - self.clock.now()))

    def redeem(self, exchange: Callable[[], Tokens]) -> None:
        self.before_redeeming()
        self.tokens.append(exchange())

    def at_end(self, tell: Callable[[bool], None]) -> None:
        self.ends.append(tell)

    def end(self, worked: bool) -> None:
        """Do as the broker does when all is over."""
        while self.ends:
            self.ends.pop()(worked)

    @property
    def page(self) -> str:
        """The last page that the browser has shown."""
        if self.asked:
            self._browser.join(DEADLINE)
        return self.pages[-1][1]

    @property
    def parameters(self) -> dict[str, str]:
        """What the one request has asked for; none of it twice."""
        (prompt,) = self.asked
        pairs = parse_qsl(urlsplit(prompt.verification_uri).query, keep_blank_values=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def _browse(self) -> None:
        self.play(dict(parse_qsl(urlsplit(self.asked[0].verification_uri).query)), self._visit)

    def _visit(self, address: str) -> None:
        url = urlsplit(address)
        connection = http.client.HTTPConnection(url.netloc, timeout=DEADLINE)
        try:
            connection.request("GET", f"{url.path or '/'}?{url.query}")
            got = connection.getresponse()
            self.pages.append((got.status, got.read().decode()))
        finally:
            connection.close()


@pytest.fixture
def hostile(hostile: HostileProvider) -> HostileProvider:
    hostile.script("/token", SUCCESS)
    return hostile


def browser_provider(hostile: HostileProvider, clock: FakeClock, **settings: Any) -> Provider:
    return provider_at(hostile, clock, **{"flow": "authorization-code", **settings})


@pytest.fixture
def provider(hostile: HostileProvider, clock: FakeClock) -> Provider:
    return browser_provider(hostile, clock)


@pytest.fixture
def stage(clock: FakeClock) -> Iterator[BrowserStage]:
    made = BrowserStage(clock)
    yield made
    made.end(False)


def signs_in(provider: Provider, stage: BrowserStage) -> None:
    authorization_code.sign_in(provider, stage)
    stage.end(True)


def ends(provider: Provider, stage: BrowserStage) -> CredentialHelperError:
    """Return the error that ends a sign-in, after which nobody listens and no code was exchanged."""
    with pytest.raises(CredentialHelperError) as caught:
        authorization_code.sign_in(provider, stage)
    if stage.asked:
        assert nobody_listens(stage)
    said = f"{caught.value.sentence} {caught.value.hint}"
    assert CODE not in said
    if stage.asked:
        assert stage.parameters["state"] not in said
    return caught.value


def nobody_listens(stage: BrowserStage) -> bool:
    url = urlsplit(stage.parameters["redirect_uri"])
    try:
        socket.create_connection((url.hostname, url.port), timeout=DEADLINE).close()
    except ConnectionRefusedError:
        return True
    return False


# --- the authorization request ----------------------------------------------------------------------------------------


def test_the_request_says_who_asks_for_what(hostile: HostileProvider, clock: FakeClock, stage: BrowserStage) -> None:
    provider = browser_provider(
        hostile,
        clock,
        audience="https://kubernetes.example.com",
        resource=("urn:a",),
        account="ada@example.com",
        parameters=(("organization", "org_1"), ("prompt", "select_account")),
    )
    signs_in(provider, stage)
    address = stage.asked[0].verification_uri
    assert address.startswith(f"{hostile.url}/authorize?response_type=code&client_id=cli&redirect_uri=http%3A%2F%2F127")
    sent = stage.parameters
    for fresh in ("state", "nonce", "code_challenge", "redirect_uri"):
        assert sent.pop(fresh)
    assert sent == {
        "response_type": "code",
        "client_id": "cli",
        "code_challenge_method": "S256",
        "scope": "openid profile email offline_access",
        "audience": "https://kubernetes.example.com",
        "resource": "urn:a",
        "organization": "org_1",
        "prompt": "select_account",
        "login_hint": "ada@example.com",
    }


def test_no_parameter_is_empty_or_sent_twice_but_resource(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    provider = browser_provider(
        hostile,
        clock,
        resource=("urn:a", "urn:b", "urn:a"),
        account="ada@example.com",
        parameters=(("login_hint", "EXAMPLE/ada"), ("empty", "")),
    )
    prompt = asked_only(provider, stage)
    pairs = parse_qsl(urlsplit(prompt.verification_uri).query, keep_blank_values=True)
    assert all(value for _, value in pairs)
    values = parse_qs(urlsplit(prompt.verification_uri).query)
    assert values.pop("resource") == ["urn:a", "urn:b"]
    assert values["login_hint"] == ["EXAMPLE/ada"]
    assert all(len(found) == 1 for found in values.values())
    assert "audience" not in values


class Enough(Exception):
    """The prompt has been seen."""


def asked_only(provider: Provider, stage: BrowserStage) -> Prompt:
    """Return the prompt of a sign-in that goes no further."""

    def stop() -> None:
        raise Enough

    stage.while_waiting = stop
    stage.play = stays_away
    with pytest.raises(Enough):
        authorization_code.sign_in(provider, stage)
    return stage.asked[0]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("p=B2C_1_sign_in&x=a%20b+c", "?p=B2C_1_sign_in&x=a%20b+c&response_type=code&"),
        ("p=1&p=2&flag", "?p=1&p=2&flag&response_type=code&"),
        ("state=theirs&p=1&code_challenge_method=plain&client%5Fid=other", "?p=1&response_type=code&"),
        ("", "?response_type=code&"),
        ("&&", "?response_type=code&"),
    ],
)
def test_the_query_of_the_endpoint_is_kept_but_never_doubles_ours(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage, query: str, kept: str
) -> None:
    hostile.serve_metadata(authorization_endpoint=f"{hostile.url}/authorize?{query}")
    address = asked_only(provider, stage).verification_uri
    assert address.startswith(f"{hostile.url}/authorize{kept}")
    names = [name for name, _ in parse_qsl(urlsplit(address).query)]
    assert {names.count(name) for name in ("state", "client_id", "code_challenge_method")} == {1}


def test_what_the_provider_needs_is_sent_unless_the_profile_says_otherwise(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    provider = browser_provider(hostile, clock, provider="google", parameters=(("prompt", "select_account"),))
    known = dict(provider.known.authorization_parameters)
    assert known["access_type"] == "offline"
    assert known["prompt"] == "consent"
    asked_only(provider, stage)
    assert stage.parameters["access_type"] == "offline"
    assert stage.parameters["prompt"] == "select_account"


def test_offline_access_is_consented_to_where_nobody_knows_the_provider(
    hostile: HostileProvider, clock: FakeClock, provider: Provider, stage: BrowserStage
) -> None:
    """OIDC Core §11 lets a provider ignore offline_access without it."""
    asked_only(provider, stage)
    assert stage.parameters["prompt"] == "consent"
    other = BrowserStage(clock)
    asked_only(browser_provider(hostile, clock, scope=("openid",)), other)
    assert "prompt" not in other.parameters


def test_an_empty_parameter_takes_out_what_the_provider_would_need(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    asked_only(browser_provider(hostile, clock, provider="google", parameters=(("prompt", ""),)), stage)
    assert "prompt" not in stage.parameters


def test_c35_the_challenge_is_s256_of_a_verifier_that_only_the_token_request_has(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage
) -> None:
    signs_in(provider, stage)
    (request,) = hostile.to("/token")
    verifier = request.field("code_verifier") or ""
    assert 43 <= len(verifier) <= 128
    assert set(verifier) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert stage.parameters["code_challenge"] == digest
    assert stage.parameters["code_challenge_method"] == "S256"
    assert verifier not in repr(stage.asked)


def test_c35_verifier_state_and_nonce_are_new_for_each_sign_in(
    hostile: HostileProvider, provider: Provider, clock: FakeClock
) -> None:
    seen: list[str] = []
    for _ in range(3):
        stage = BrowserStage(clock)
        signs_in(provider, stage)
        fresh = [stage.parameters[name] for name in ("state", "nonce", "code_challenge")]
        assert all(len(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))) >= 16 for value in fresh)
        seen += [*fresh, hostile.to("/token")[-1].field("code_verifier") or ""]
    assert len(set(seen)) == 12


@pytest.mark.parametrize(("scope", "expected"), [(("openid", "email"), True), (("read:user",), False)])
def test_a_nonce_is_sent_and_handed_on_only_where_an_id_token_is_asked_for(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage, scope: tuple[str, ...], *, expected: bool
) -> None:
    signs_in(browser_provider(hostile, clock, scope=scope), stage)
    assert ("nonce" in stage.parameters) is expected
    assert stage.tokens[0].nonce == stage.parameters.get("nonce")


def test_the_redirect_uri_of_the_profile_is_used(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    redirect_uri = f"http://localhost:{free_port()}/back"
    signs_in(browser_provider(hostile, clock, redirect_uri=redirect_uri), stage)
    assert stage.parameters["redirect_uri"] == redirect_uri
    assert hostile.to("/token")[0].field("redirect_uri") == redirect_uri


def test_without_one_the_providers_is_used_and_a_free_port(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage
) -> None:
    assert provider.known.redirect_uri == "http://127.0.0.1/callback"
    signs_in(provider, stage)
    sent = urlsplit(stage.parameters["redirect_uri"])
    assert (sent.scheme, sent.hostname, sent.path) == ("http", "127.0.0.1", "/callback")
    assert sent.port
    assert hostile.to("/token")[0].field("redirect_uri") == stage.parameters["redirect_uri"]


def test_where_the_provider_compares_the_port_it_is_the_one(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    provider = browser_provider(hostile, clock, provider="auth0")
    try:
        asked_only(provider, stage)
    except PortTaken:
        pytest.skip("another program has that port")
    assert stage.parameters["redirect_uri"] == provider.known.redirect_uri == "http://127.0.0.1:8252/callback"


def test_the_prompt_holds_what_a_person_and_another_process_need(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage, clock: FakeClock
) -> None:
    now = clock.now()
    signs_in(provider, stage)
    (prompt,) = stage.asked
    assert prompt == Prompt(
        flow="browser",
        tool="kubectl",
        profile="prod",
        issuer=hostile.issuer,
        target="https://kubernetes.example.com",
        scope=("openid", "profile", "email", "offline_access"),
        verification_uri=prompt.verification_uri,
        redirect_uri=stage.parameters["redirect_uri"],
        interval=300.0,
        next_poll=now + 300,
        made_at=now,
        expires_at=now + 300,
    )
    assert prompt.verification_uri.isascii()
    assert prompt.verification_uri.isprintable()
    assert all(paused.expires_at == prompt.expires_at for paused in stage.paused)
    assert not stage.warned
    assert not prompt.outlives_its_process


def test_a_provider_without_the_endpoint_is_a_matter_of_configuration(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage
) -> None:
    hostile.serve_metadata(authorization_endpoint=None)
    error = ends(provider, stage)
    assert isinstance(error, ConfigurationError)
    assert "no authorization_endpoint" in error.sentence
    assert "endpoints.authorization" in (error.hint or "")
    assert not stage.asked


def test_the_endpoint_of_the_profile_replaces_the_discovered_one(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    endpoints = Endpoints(authorization=f"{hostile.url}/mine?a=b")
    prompt = asked_only(browser_provider(hostile, clock, endpoints=endpoints), stage)
    assert prompt.verification_uri.startswith(f"{hostile.url}/mine?a=b&response_type=code&")


def test_old_metadata_is_renewed_at_a_sign_in(hostile: HostileProvider, clock: FakeClock, stage: BrowserStage) -> None:
    documents = Memory()
    browser_provider(hostile, clock, documents=documents).metadata()
    clock.advance(25 * 3600)
    signs_in(browser_provider(hostile, clock, documents=documents), stage)
    assert len(hostile.to("/.well-known/openid-configuration")) == 2


def test_a_port_that_is_taken_is_told_before_anything_is_asked(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        redirect_uri = f"http://127.0.0.1:{other.getsockname()[1]}/callback"
        with pytest.raises(PortTaken):
            authorization_code.sign_in(browser_provider(hostile, clock, redirect_uri=redirect_uri), stage)
    assert not stage.asked
    assert not stage.ends
    assert not hostile.to("/token")


def test_a_fixed_port_is_waited_for_because_another_sign_in_may_have_it(
    hostile: HostileProvider, stage: BrowserStage
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        redirect_uri = f"http://127.0.0.1:{other.getsockname()[1]}/callback"

        class Ends(FakeClock):
            """Time in which another sign-in comes to its end."""

            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                if len(self.slept) == 3:
                    other.close()

        ends = Ends()
        signs_in(browser_provider(hostile, ends, redirect_uri=redirect_uri), stage)
    assert stage.tokens
    assert ends.slept[:3] == [0.5, 0.5, 0.5]
    port = redirect_uri.split(":")[2].partition("/")[0]
    assert stage.told == [f"port {port} is in use; waiting 10 s for it"]


def port_is_waited_for(hostile: HostileProvider, **settings: Any) -> float:
    """Return for how many seconds a sign-in waits for a port that never becomes free."""
    clock = FakeClock()
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortTaken) as caught:
        redirect_uri = f"http://127.0.0.1:{other.getsockname()[1]}/callback"
        provider = browser_provider(hostile, clock, redirect_uri=redirect_uri, **settings)
        authorization_code.sign_in(provider, BrowserStage(clock))
    assert "another sign-in may be waiting in a browser" in (caught.value.hint or "")
    return sum(clock.slept)


def test_a_port_is_waited_for_only_where_there_is_no_other_way(hostile: HostileProvider) -> None:
    assert port_is_waited_for(hostile) == 10
    assert port_is_waited_for(hostile, flow="auto") == 0
    assert port_is_waited_for(hostile, flow="auto", provider="cognito") == 10
    hostile.serve_metadata(device_authorization_endpoint=None)
    assert port_is_waited_for(hostile, flow="auto") == 10


# --- the callback -----------------------------------------------------------------------------------------------------


def test_the_code_is_exchanged_for_tokens(hostile: HostileProvider, provider: Provider, stage: BrowserStage) -> None:
    signs_in(provider, stage)
    (request,) = hostile.to("/token")
    assert (request.method, request.query) == ("POST", "")
    assert request.fields == [
        ("grant_type", "authorization_code"),
        ("code", CODE),
        ("redirect_uri", stage.parameters["redirect_uri"]),
        ("code_verifier", request.field("code_verifier")),
        ("client_id", "cli"),
    ]
    (tokens,) = stage.tokens
    assert tokens.access_token == Secret("at-1")
    assert tokens.refresh_token == Secret("rt-1")
    assert tokens.nonce == stage.parameters["nonce"]


def test_a_confidential_client_authenticates(hostile: HostileProvider, clock: FakeClock, stage: BrowserStage) -> None:
    signs_in(browser_provider(hostile, clock, secret="s3cr3t"), stage)
    assert "authorization" in hostile.to("/token")[0].headers
    assert "s3cr3t" not in stage.asked[0].verification_uri


@pytest.mark.parametrize("worked", [True, False])
def test_the_page_tells_how_everything_ended(provider: Provider, stage: BrowserStage, *, worked: bool) -> None:
    authorization_code.sign_in(provider, stage)
    assert stage.tokens
    assert not stage.pages  # the tokens have still to be verified
    stage.end(worked)
    assert ("Signed in" in stage.page) is worked
    assert ("did not work" in stage.page) is not worked
    assert nobody_listens(stage)


def test_strays_are_waited_over(hostile: HostileProvider, provider: Provider, stage: BrowserStage) -> None:
    def play(asked: dict[str, str], visit: Visit) -> None:
        own = asked["redirect_uri"]
        visit(f"{own.removesuffix('/callback')}/favicon.ico")
        visit(f"{own}?code=evil&state=guessed")
        visit(f"{own}?error=access_denied&state=guessed")
        visit(f"{own}?error=access_denied")
        visit(f"{own}?state={asked['state']}")
        comes_back()(asked, visit)

    stage.play = play
    signs_in(provider, stage)
    assert "Signed in" in stage.page
    assert [status for status, _ in stage.pages] == [404, 404, 404, 404, 404, 200]
    assert [request.field("code") for request in hostile.to("/token")] == [CODE]


def test_a_reload_is_no_second_exchange(hostile: HostileProvider, provider: Provider, stage: BrowserStage) -> None:
    def play(asked: dict[str, str], visit: Visit) -> None:
        def reload() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):  # it may be over already
                comes_back()(asked, visit)

        reloads = [threading.Thread(target=reload) for _ in range(3)]
        for one in reloads:
            one.start()
        for one in reloads:
            one.join(DEADLINE)

    stage.play = play
    authorization_code.sign_in(provider, stage)
    stage.end(True)
    assert "Signed in" in stage.page
    assert {page for _, page in stage.pages} == {stage.page}
    assert len(hostile.to("/token")) == 1


@pytest.mark.parametrize(
    ("error", "description", "sentence", "hint"),
    [
        ("access_denied", "The user said no", "declined at HOST (access_denied: The user said no)", None),
        ("access_denied", None, "declined at HOST (access_denied)", None),
        ("unauthorized_client", "no", "HOST refused the sign-in (unauthorized_client: no)", "switch on the grant"),
        ("invalid_scope", "no", "HOST refused the sign-in (invalid_scope: no)", "check scope"),
        ("invalid_target", "no", "HOST refused the sign-in (invalid_target: no)", "check audience and resource"),
        ("invalid_request", "no", "HOST refused the sign-in (invalid_request: no)", "check audience, scope"),
        ("unsupported_response_type", "no", "HOST refused the sign-in (unsupported_response_type: no)", "browser flow"),
        ("login_required", "no", "HOST refused the sign-in (login_required: no)", 'prompt = "none"'),
        ("interaction_required", "no", "HOST refused the sign-in (interaction_required: no)", 'prompt = "none"'),
        ("consent_required", "no", "HOST refused the sign-in (consent_required: no)", 'prompt = "none"'),
        ("account_selection_required", "", "HOST refused the sign-in (account_selection_required)", 'prompt = "none"'),
        ("something_else", "no", "HOST refused the sign-in (something_else: no)", None),
    ],
)
def test_what_the_provider_refuses_is_explained(
    hostile: HostileProvider,
    provider: Provider,
    stage: BrowserStage,
    error: str,
    description: str | None,
    sentence: str,
    hint: str | None,
) -> None:
    stage.play = comes_back_with_error(error, description)
    refused = ends(provider, stage)
    assert isinstance(refused, AuthorizationError)
    assert refused.error == error
    assert refused.sentence == sentence.replace("HOST", hostile.host)
    assert (hint or "") in (refused.hint or "")
    assert "did not work" in stage.page
    assert not hostile.to("/token")


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
def test_a_provider_that_cannot_answer_now_is_no_refusal(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage, error: str
) -> None:
    stage.play = comes_back_with_error(error, "try later")
    failed = ends(provider, stage)
    assert isinstance(failed, TransportError)
    assert failed.sentence == f"{hostile.host} cannot answer now ({error}: try later)"
    assert "did not work" in stage.page


def test_what_the_provider_says_is_harmless(provider: Provider, stage: BrowserStage) -> None:
    def play(asked: dict[str, str], visit: Visit) -> None:
        words = f"\x1b[2Jno\u202e\n{asked['state']} {'x' * 1000}"
        comes_back_with_error("access_denied", words)(asked, visit)

    stage.play = play
    sentence = ends(provider, stage).sentence
    assert sentence.isprintable()
    assert "***" in sentence
    assert len(sentence) < 400


@pytest.mark.parametrize("error", ["\x1b[2J", "two words", "x" * 500, "\u00e4"])
def test_an_error_that_is_none_of_oauths_ends_the_sign_in_as_well(
    provider: Provider, stage: BrowserStage, error: str
) -> None:
    stage.play = comes_back_with_error(error)
    refused = ends(provider, stage)
    assert isinstance(refused, AuthorizationError)
    assert refused.error == "invalid_request"
    assert refused.sentence.isprintable()
    assert len(refused.sentence) < 500


# --- who answers (RFC 9207) -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("advertised", [True, False])
def test_c51_an_answer_of_the_issuer_is_believed(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage, *, advertised: bool
) -> None:
    hostile.serve_metadata(authorization_response_iss_parameter_supported=advertised)
    stage.play = comes_back(iss=hostile.issuer)
    signs_in(provider, stage)
    assert stage.tokens


def test_c51_without_the_announcement_an_answer_need_not_say_whose_it_is(
    provider: Provider, stage: BrowserStage
) -> None:
    signs_in(provider, stage)
    assert stage.tokens


@pytest.mark.parametrize("advertised", [True, False])
@pytest.mark.parametrize("iss", ["https://evil.example", "ISSUER/", "issuer", "ISSUER?", "\x1b[2J"])
def test_c51_an_answer_of_another_issuer_ends_the_sign_in(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage, iss: str, *, advertised: bool
) -> None:
    hostile.serve_metadata(authorization_response_iss_parameter_supported=advertised)
    stage.play = comes_back(iss=iss.replace("ISSUER", hostile.issuer))
    error = ends(provider, stage)
    assert isinstance(error, AuthorizationError)
    assert error.sentence.startswith("the browser brought an answer of another issuer (")
    assert error.sentence.endswith(f"), not of {hostile.host}")
    assert error.sentence.isprintable()
    assert error.error is None
    assert "did not work" in stage.page
    assert not hostile.to("/token")


def test_c51_an_answer_that_does_not_say_whose_it_is_ends_the_sign_in_where_it_was_announced(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage
) -> None:
    hostile.serve_metadata(authorization_response_iss_parameter_supported=True)
    error = ends(provider, stage)
    assert isinstance(error, AuthorizationError)
    assert "no iss in it" in error.sentence
    assert not hostile.to("/token")


def test_c51_an_error_of_another_issuer_is_not_taken_for_the_providers(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage
) -> None:
    stage.play = comes_back_with_error("access_denied", "no", iss="https://evil.example")
    error = ends(provider, stage)
    assert isinstance(error, AuthorizationError)
    assert error.sentence.endswith(f"not of {hostile.host} (access_denied: no)")
    assert "declined" not in error.sentence
    assert error.error is None


def test_c51_the_form_of_the_document_counts(hostile: HostileProvider, provider: Provider, stage: BrowserStage) -> None:
    hostile.serve_metadata(issuer=f"{hostile.issuer}/", authorization_response_iss_parameter_supported=True)
    stage.play = comes_back(iss=f"{hostile.issuer}/")
    signs_in(provider, stage)
    assert stage.tokens


def test_c51_without_a_document_a_final_slash_is_no_difference(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    endpoints = Endpoints(
        authorization=f"{hostile.url}/authorize", token=f"{hostile.url}/token", jwks=f"{hostile.url}/jwks"
    )
    stage.play = comes_back(iss=f"{hostile.issuer}/")
    signs_in(browser_provider(hostile, clock, endpoints=endpoints), stage)
    assert stage.tokens
    assert not hostile.to("/.well-known/openid-configuration")


@pytest.mark.parametrize("issuer", ["", "/login/oauth"])
@pytest.mark.parametrize(
    ("iss", "believed"), [("/login/oauth", True), (None, True), ("/login", False), ("/login/oauth/x", False)]
)
def test_c51_github_calls_itself_otherwise_at_the_redirect(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage, issuer: str, iss: str | None, *, believed: bool
) -> None:
    """Since 2026: https://github.com/openiddict/openiddict-core/pull/2529."""
    hostile.script("/login/oauth/access_token", SUCCESS)
    stage.play = comes_back(iss=None if iss is None else f"{hostile.url}{iss}")
    settings: dict[str, Any] = {"provider": "github", "secret": "s3cr3t", "scope": ("repo",)}
    provider = browser_provider(hostile, clock, issuer=f"{hostile.url}{issuer}", **settings)
    if believed:
        signs_in(provider, stage)
        assert stage.asked[0].verification_uri.startswith(f"{hostile.url}/login/oauth/authorize?")
        assert stage.tokens
    else:
        assert "another issuer" in ends(provider, stage).sentence
    assert len(hostile.to("/login/oauth/access_token")) == believed


@pytest.mark.parametrize(
    ("iss", "believed"),
    [
        ("72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0", True),
        ("{tenantid}/v2.0", False),
        ("common/v2.0", False),
        ("72f988bf-86f1-41af-91ab-2d7cd011db47/v1.0", False),
    ],
)
def test_c51_of_several_tenants_one_answers(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage, iss: str, *, believed: bool
) -> None:
    """Entra's common: which tenant it is says the ID token."""
    path = "/common/v2.0/.well-known/openid-configuration"
    hostile.serve_metadata(path, issuer=hostile.url + "/{tenantid}/v2.0")
    stage.play = comes_back(iss=f"{hostile.url}/{iss}")
    redirect_uri = "http://127.0.0.1/callback"
    settings: dict[str, Any] = {"provider": "entra", "redirect_uri": redirect_uri}
    provider = browser_provider(hostile, clock, issuer=f"{hostile.url}/common/v2.0", **settings)
    if believed:
        signs_in(provider, stage)
        assert stage.tokens
    else:
        assert "another issuer" in ends(provider, stage).sentence
    assert len(hostile.to("/token")) == believed


# --- nobody comes -----------------------------------------------------------------------------------------------------


def test_c39_nobody_is_waited_for_longer_than_five_minutes(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage, clock: FakeClock
) -> None:
    stage.play = stays_away
    began = clock.now()
    error = ends(provider, stage)
    assert isinstance(error, AuthorizationError)
    assert error.error == "expired_token"
    assert error.sentence == f"nobody signed in at {hostile.host} within 5 minutes"
    assert clock.now() == began + 300
    assert error.hint == (
        "if the browser showed an error about the redirect or callback URL, register http://127.0.0.1/callback at the "
        'provider, for any port (else set redirect_uri to one with a port), or use flow = "device"'
    )


def test_the_hint_names_the_redirect_uri_that_was_sent(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    redirect_uri = f"http://127.0.0.1:{free_port()}/callback"
    stage.play = stays_away
    hint = ends(browser_provider(hostile, clock, redirect_uri=redirect_uri), stage).hint or ""
    assert f"register {redirect_uri} at the provider, or use" in hint


@pytest.mark.parametrize(("wall", "ticks"), [(1e6, 0.0), (-1e6, 300.0)], ids=["suspended", "set back"])
def test_c39_each_clock_alone_ends_the_wait(
    provider: Provider, stage: BrowserStage, clock: FakeClock, wall: float, ticks: float
) -> None:
    def jump() -> None:
        assert len(stage.paused) == 1
        clock.time += wall
        clock.ticks += ticks

    stage.play = stays_away
    stage.while_waiting = jump
    stage.sleep = lambda _seconds: None
    assert isinstance(ends(provider, stage), AuthorizationError)


def test_a_pause_that_ends_early_is_followed_by_another(
    provider: Provider, stage: BrowserStage, clock: FakeClock
) -> None:
    stage.sleep = lambda seconds: clock.sleep(min(seconds, 100.0))
    stage.play = stays_away
    ends(provider, stage)
    assert [round(paused.next_poll - paused.made_at) for paused in stage.paused] == [60, 300, 300, 300]


def test_after_a_minute_the_terminal_says_what_the_browser_may_be_showing(
    provider: Provider, stage: BrowserStage, clock: FakeClock
) -> None:
    """A redirect URI that is not registered is an error of the provider's own page: nothing comes back here."""
    stage.play = stays_away
    began = clock.now()
    error = ends(provider, stage)
    [(when, sentence, hint)] = stage.warned
    assert when == began + 60
    assert sentence == "nothing has come back from the browser yet"
    assert hint == error.hint


# --- whatever happens -------------------------------------------------------------------------------------------------


def raises(problem: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise problem

    return fail


def test_ctrl_c_while_waiting_closes_the_listener(provider: Provider, stage: BrowserStage) -> None:
    stage.play = stays_away
    stage.while_waiting = raises(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        authorization_code.sign_in(provider, stage)
    assert nobody_listens(stage)


def test_ctrl_c_after_the_callback_tells_the_browser(
    hostile: HostileProvider, provider: Provider, stage: BrowserStage
) -> None:
    stage.before_redeeming = raises(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        authorization_code.sign_in(provider, stage)
    assert "did not work" in stage.page
    assert nobody_listens(stage)
    assert not hostile.to("/token")


def test_a_stage_that_cannot_ask_leaves_nobody_listening(
    hostile: HostileProvider, clock: FakeClock, stage: BrowserStage
) -> None:
    class CannotAsk(BrowserStage):
        def ask(self, prompt: Prompt) -> None:
            self.asked.append(prompt)
            raise Enough

    stage = CannotAsk(clock)
    with pytest.raises(Enough):
        authorization_code.sign_in(browser_provider(hostile, clock), stage)
    assert nobody_listens(stage)
    stage.end(False)  # and the broker may tell it once more


@pytest.mark.parametrize(
    ("behaviour", "expected", "code"),
    [
        (oauth_error("invalid_grant", description="unknown code"), AuthorizationError, "invalid_grant"),
        (oauth_error("bad_verification_code", 200), AuthorizationError, "invalid_grant"),
        (oauth_error("invalid_client", 401), AuthorizationError, "invalid_client"),
        (oauth_error("something_else", 403), AuthorizationError, "something_else"),
        (html(401), TokenResponseError, None),
        (html(502), TransportError, None),
        (reset(), TransportError, None),
        (half_json(), TokenResponseError, None),
        (answer({"token_type": "Bearer"}), TokenResponseError, None),
    ],
)
def test_a_code_is_exchanged_once_whatever_comes_of_it(
    hostile: HostileProvider,
    provider: Provider,
    stage: BrowserStage,
    behaviour: Any,
    expected: type[CredentialHelperError],
    code: str | None,
) -> None:
    hostile.script("/token", behaviour, SUCCESS)
    error = ends(provider, stage)
    assert isinstance(error, expected)
    assert getattr(error, "error", None) == code
    assert len(hostile.to("/token")) == 1
    assert not stage.tokens
    assert "did not work" in stage.page


def test_a_refused_code_is_said_in_words(hostile: HostileProvider, provider: Provider, stage: BrowserStage) -> None:
    hostile.script("/token", oauth_error("invalid_grant", description=f"Invalid authorization code {CODE}"))
    error = ends(provider, stage)
    assert error.sentence.startswith(f"{hostile.host} refused the authorization code (invalid_grant: Invalid")
    assert "sign in again" in (error.hint or "")
