"""A provider, a state directory, a person and a caller: the world of the broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from credential_helper.broker.errand import Errand, Means, Mode, Obtained
from credential_helper.broker.obtain import obtain
from credential_helper.broker.whereabouts import place_now
from credential_helper.model import Credential, Profile, Prompt, Request, Secret
from credential_helper.session import Grant, Place, Session, place_of
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions, Stored
from credential_helper.system.signals import Interrupts
from integration.servers.hostile_provider import HostileProvider, SigningKey, answer, signing_key
from tests.helpers.clock import FakeClock
from tests.helpers.keyrings import MemoryKeyring
from tests.helpers.requests import request_by

DEVICE = "/device"
TOKEN = "/token"

CODE = {
    "device_code": "the-device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "http://127.0.0.1/activate",
    "expires_in": 900,
    "interval": 5,
}


class FakePerson:
    """Somebody at a terminal, or nobody."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.by_window = False
        self.why_not: str | None = None
        self.background: str | None = None
        self.blind: str | None = "there is no display"
        self.typed = "correct horse"
        self.labels: list[str] = []
        self.prompts: list[Prompt] = []
        self.ours: list[bool] = []
        self.warnings: list[str] = []
        self.told: list[str] = []
        self.advice: str | None = None
        self.unkept: str | None = None
        self.closings: list[tuple[Credential, bool]] = []
        self.on_waiting: Callable[[], None] = lambda: None

    def can_answer(self, profile: Profile, request: Request) -> bool:
        assert profile is not None
        assert request.tool
        return self.there

    def show(self, prompt: Prompt, *, ours: bool) -> str | None:
        self.prompts.append(prompt)
        self.ours.append(ours)
        return "terminal"

    def browser(self) -> tuple[bool, str]:
        return self.blind is None, self.blind or "there is a display"

    def type(self, label: str, *, hidden: bool, go_on: Callable[[], None]) -> Secret:
        self.labels.append(label)
        assert hidden
        go_on()
        return Secret(self.typed)

    def waiting(self, prompt: Prompt) -> None:
        assert prompt is not None
        self.on_waiting()

    def can_paste(self) -> bool:
        return False

    def pasted(self) -> Secret | None:
        return None

    def tell(self, sentence: str) -> None:
        self.told.append(sentence)

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        self.warnings.append(f"{sentence} | {hint}")

    def signed_in(
        self,
        credential: Credential,
        *,
        request: Request,
        took: float,
        refresh_token: bool,
        advice: str | None,
        unkept: str | None = None,
    ) -> None:
        assert request.tool
        assert took >= 0
        self.advice = advice
        self.unkept = unkept
        self.closings.append((credential, refresh_token))


class FakeCaller:
    def __init__(self, key: str = "parent-1") -> None:
        self.key = key
        self.there = True

    def waits(self) -> bool:
        return self.there


class World:
    """A provider, a state directory, and what a test changes of them."""

    def __init__(self, provider: HostileProvider, state: Path, clock: FakeClock) -> None:
        self.provider = provider
        self.key: SigningKey = signing_key("RS256", "k1")
        provider.serve_metadata(
            device_authorization_endpoint=provider.url + DEVICE, revocation_endpoint=provider.url + "/revoke"
        )
        provider.serve_keys(self.key)
        self.state = state
        self.clock = clock
        self.keyring = MemoryKeyring()
        self.person = FakePerson()
        self.caller = FakeCaller()
        self.notes: list[str] = []
        self.profile = Profile(
            name="prod", issuer=provider.issuer, client_id="client", flow="device", audience="https://api.example.com"
        )
        self.issued = 0
        self.client_secret = "the-client-secret"

    # --- what the provider says ---

    def tokens(
        self, *, expires_in: object = 3600, id_token: bool | str = True, refresh: bool = True, **more: object
    ) -> dict[str, object]:
        self.issued += 1
        body: dict[str, object] = {
            "access_token": f"access-{self.issued}",
            "token_type": "Bearer",
            "expires_in": expires_in,
        }
        if id_token:
            body["id_token"] = id_token if isinstance(id_token, str) else self.id_token()
        if refresh:
            body["refresh_token"] = f"refresh-{self.issued}"
        return {**body, **more}

    def id_token(self, key: SigningKey | None = None, **changes: object) -> str:
        now = int(self.clock.now())
        claims = {"iat": now, "exp": now + 3600, "preferred_username": "ada@example.com", **changes}
        return (key or self.key).sign(self.provider.claims("client", **claims))

    def approves(self, *before: Any, **tokens: Any) -> None:
        self.provider.script(DEVICE, answer(CODE))
        self.provider.script(TOKEN, *before, answer(self.tokens(**tokens)))

    # --- what we do ---

    @property
    def sessions(self) -> Sessions:
        return Sessions(State(str(self.state)), self.keyring, note=self.notes.append)

    @property
    def means(self) -> Means:
        return Means(
            sessions=self.sessions,
            person=lambda: self.person,
            interrupts=Interrupts(),
            caller=self.caller,  # type: ignore[arg-type]
            clock=self.clock,
            note=self.notes.append,
            read_secret=lambda _: Secret(self.client_secret),
        )

    def obtain(self, mode: Mode = "any", tool: str = "kubectl", **request: Any) -> Obtained:
        errand = Errand(
            profile=self.profile,
            request=request_by(tool, **request),
            mode=mode,
            command=lambda: "credential-helper login prod",
        )
        return obtain(errand, self.means)

    def token(self, mode: Mode = "any", **request: Any) -> str:
        return self.obtain(mode, **request).credential.token.reveal()

    @property
    def place(self) -> Place:
        return place_now(self.sessions, self.profile, place_of(self.profile, self.means.proof(self.profile)))

    def stored(self) -> Stored | None:
        return self.sessions.read(self.place)

    @property
    def session(self) -> Session:
        stored = self.stored()
        assert stored is not None
        return stored.session

    @property
    def grant(self) -> Grant:
        return self.session.grant

    def refresh_tokens(self) -> list[str]:
        """Return every refresh token that is kept, wherever it stands."""
        grants, found = self.sessions.grants, []
        for identifier in grants.ids("json"):
            file = grants.read(identifier)
            assert file is not None
            arrived = file.arrival.grant if file.arrival is not None else None
            tokens = [grants.refresh_token(identifier, one) for one in (file.grant, arrived) if one is not None]
            found += [token.reveal() for token in tokens if token is not None]
        return found

    def requests(self) -> list[str]:
        return [one.path for one in self.provider.requests]

    def grants(self) -> list[str | None]:
        return [one.field("grant_type") for one in self.provider.to(TOKEN)]

    def signed_in(self, **tokens: Any) -> None:
        self.approves(**tokens)
        self.obtain()
        self.provider.requests.clear()
        self.person.prompts.clear()
        self.person.closings.clear()
