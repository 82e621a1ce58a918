"""Signing in on another device (RFC 8628): ask for a code, show it, poll until the person has decided.

- The code and its address are shown by the interaction; nothing here prints, sleeps or saves. The device code is a
  secret.
- A poll starts no earlier than ``interval`` after the end of the one before (§3.5).
- ``slow_down`` adds 5 s for good. A rate limit doubles the interval for good. No answer at all, or a 5xx, doubles the
  pause until the provider answers again; so does a page, which is a gateway's. None of them ends the sign-in before the
  code expires: the person may already have agreed.
- While the provider does not say whether the person has decided, the prompt says so (``trouble``). A code that expires
  then is the provider's failure, and not the person's: it may have been approved long ago.
- Any other OAuth error ends it, and so does a parsed success: a code is good for one exchange, and a second one makes
  some providers revoke what the first one brought.
- A new code is asked for once, by the person's request. The code of a dead process is taken over; where that one
  turns out to be expired or spent, and only there, a new one follows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    RateLimited,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Prompt, Secret, Tokens
from credential_helper.oauth.endpoints import form, token_endpoint
from credential_helper.oauth.endpoints.reply import Refusal, number
from credential_helper.oauth.grants import prompts
from credential_helper.providers import DEVICE_CODE
from credential_helper.transport.addresses import parse

if TYPE_CHECKING:
    from credential_helper.oauth.discovery.metadata import Metadata
    from credential_helper.oauth.interaction import Interaction
    from credential_helper.oauth.provider import Provider

DEFAULT_INTERVAL = 5.0  # seconds, RFC 8628 §3.2
SLOW_DOWN = 5.0  # seconds, RFC 8628 §3.5
LONGEST_INTERVAL = 60.0  # seconds
DEFAULT_LIFETIME = 15 * 60.0  # seconds, where the provider forgot the required expires_in
LONGEST_LIFETIME = 30 * 60.0  # seconds

_PRINTABLE = re.compile(r"[ -~]+")
_ADDRESS = re.compile(r"[!-~]{1,2000}")
_LONGEST_USER_CODE = 64


def sign_in(provider: Provider, interaction: Interaction) -> None:
    """Let a person sign in with a code; the tokens go to ``interaction.redeem``.

    Raises AuthorizationError (``error`` is "access_denied" when the person declined, "expired_token" when nobody
    answered in time), TransportError, RateLimited, TokenResponseError, ConfigurationError, and what the interaction
    raises.
    """
    prompt = interaction.waiting()
    if prompt is not None and _Wait(provider, interaction, prompt).taken_over():
        return
    prompt = request(provider, tool=interaction.tool, target=interaction.target)
    interaction.ask(prompt)
    _Wait(provider, interaction, prompt).until_decided()


# --- the device authorization request (RFC 8628 §3.1, §3.2) -----------------------------------------------------------


def request(provider: Provider, *, tool: str, target: str | None) -> Prompt:
    """Ask for a code for ``tool``, which wants a token for ``target``. Raises as ``sign_in`` does."""
    provider.metadata(fresh=True)
    profile = provider.profile
    fields = [*form.what_for(provider, everything=True), *profile.parameters, ("login_hint", profile.account or "")]

    def ask(address: str) -> dict[str, object]:
        return form.post(provider, address, fields, refused="gave no code to sign in with", grant_type=DEVICE_CODE)

    return _prompt(provider, form.at_current_address(provider, _endpoint, ask), tool=tool, target=target)


def _endpoint(metadata: Metadata) -> str:
    endpoint = metadata.address("device_authorization_endpoint")
    if endpoint is None:
        raise ConfigurationError(
            "the provider offers no sign-in with a code (no device_authorization_endpoint in its metadata)",
            hint="set endpoints.device_authorization if it has one, or choose another flow",
        )
    return endpoint


def _prompt(provider: Provider, body: dict[str, object], *, tool: str, target: str | None) -> Prompt:
    """Check the device authorization response (RFC 8628 §3.2); what a person will see must be harmless."""
    return prompts.made_now(
        provider,
        tool=tool,
        target=target,
        lifetime=_lifetime(body.get("expires_in")),
        interval=_interval(body.get("interval")),
        device_code=Secret(_required(provider, body, "device_code")),
        user_code=_user_code(provider, body),
        verification_uri=_verification_uri(provider, body),
        verification_uri_complete=_verification_uri_complete(provider, body),
    )


def _required(provider: Provider, body: dict[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value) or not value.strip():
        state = "without a" if value is None else "with an unusable"
        raise TokenResponseError(f"{provider.host} answered {state} {name}")
    return value


def _user_code(provider: Provider, body: dict[str, object]) -> str:
    """A code's form is the provider's affair (RFC 8628 §6.1); that it can be shown on one line is ours."""
    user_code = _required(provider, body, "user_code")
    if len(user_code) > _LONGEST_USER_CODE:
        raise TokenResponseError(f"{provider.host} answered with a user_code of {len(user_code)} characters")
    return user_code


def _verification_uri(provider: Provider, body: dict[str, object]) -> str:
    value = body.get("verification_uri") or body.get("verification_url")  # the draft's name, which Google kept
    if not _can_be_opened(provider, value):
        state = "without a" if value is None else "with an unusable"
        raise TokenResponseError(f"{provider.host} answered {state} verification_uri")
    return str(value)


def _verification_uri_complete(provider: Provider, body: dict[str, object]) -> str | None:
    value = body.get("verification_uri_complete")
    if _can_be_opened(provider, value):
        return str(value)
    if value is not None:
        provider.note(f"{provider.host} sent a verification_uri_complete that cannot be used: dropped")
    return None


def _can_be_opened(provider: Provider, value: object) -> bool:
    """Say whether an address may be shown and handed to a browser: https; http only where the issuer is on loopback.

    Control characters would be obeyed by a terminal, and ``https://known@elsewhere/`` reads as the wrong host.
    """
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        return False
    try:
        address = parse(value.partition("#")[0])
        issuer = parse(provider.profile.issuer)  # http only on loopback: metadata sees to that
    except ValueError:
        return False
    return address.scheme == "https" or (address.loopback and issuer.scheme == "http")


def _interval(value: object) -> float:
    """Read ``interval`` (seconds), which is sometimes missing, a string, zero or nonsense."""
    seconds = number(value)
    return DEFAULT_INTERVAL if seconds is None or seconds < 1 else min(seconds, LONGEST_INTERVAL)


def _lifetime(value: object) -> float:
    seconds = number(value)
    return DEFAULT_LIFETIME if seconds is None or seconds <= 0 else min(seconds, LONGEST_LIFETIME)


# --- polling (RFC 8628 §3.4, §3.5) ------------------------------------------------------------------------------------


class _Exchange:
    """One poll; tells afterwards whether it brought tokens, whatever became of them then."""

    def __init__(self, provider: Provider, prompt: Prompt) -> None:
        self.provider = provider
        self.prompt = prompt
        self.succeeded = False

    def __call__(self) -> Tokens:
        tokens = poll(self.provider, self.prompt)
        self.succeeded = True
        return tokens


def poll(provider: Provider, prompt: Prompt) -> Tokens:
    """Ask once whether the person has decided (RFC 8628 §3.4).

    Raises AuthorizationError: ``error`` is "authorization_pending" or "slow_down" while there is no decision. A rate
    limit is not waited for here: a repeated poll has its own time.
    """
    fields = [("device_code", prompt.device_code.reveal()), *form.which_one(provider)]
    return token_endpoint.request(provider, DEVICE_CODE, fields, refused="refused the code", busy=())


_Failure = RateLimited | TransportError | TokenResponseError  # of a poll that brought no decision


class _Expired(TransportError):
    """The code expired while the provider did not say whether the person had decided."""

    def __init__(self, host: str, failure: _Failure, polls: int) -> None:
        times = "" if polls == 1 else f", {polls} times in a row"
        super().__init__(
            f"the code expired, and whether anybody had signed in is not known: {failure.sentence}{times}",
            hint=failure.hint or f"sign in again when {host} answers",
        )


def _state(failure: _Failure) -> str:
    """Say in three words what a provider does instead of telling whether the person has decided."""
    if isinstance(failure, TokenResponseError):
        return "answers with a page"
    if failure.status is None:
        return "does not answer"
    return f"answers {failure.status}" if failure.status >= 400 else "cannot answer"


class _Wait:
    """The wait for one code's decision, and its pace."""

    def __init__(self, provider: Provider, interaction: Interaction, prompt: Prompt) -> None:
        self.provider = provider
        self.interaction = interaction
        self.clock = provider.clock
        self.interval = _interval(prompt.interval)
        self.pause = self.interval  # longer than the interval while the provider cannot be reached
        self.failure: _Failure | None = None  # of the last poll
        self.failures = 0  # polls in a row that brought no decision and no word about it
        now = self.clock.now()
        self.prompt = self._paced(prompt, min(prompt.next_poll, now + self.interval))
        # The wall clock sees a suspended machine, the monotonic one is safe from a clock that is set back.
        self.deadline = self.clock.monotonic() + min(prompt.expires_at - now, LONGEST_LIFETIME)

    def taken_over(self) -> bool:
        """Wait for the decision on another process's code; False: that code is no good any more."""
        try:
            self.until_decided()
        except _Expired as expired:
            problem = expired.sentence
        except AuthorizationError as error:
            if error.error not in ("expired_token", "invalid_grant"):
                raise
            problem = error.sentence
        else:
            return True
        self.provider.note(f"the code of the sign-in that was under way is no good any more: {problem}")
        return False

    def until_decided(self) -> None:
        """Poll until tokens were saved; every other end is an exception."""
        while True:
            self._sleep()
            exchange = _Exchange(self.provider, self.prompt)
            try:
                return self.interaction.redeem(exchange)
            except (Refusal, RateLimited, TransportError, TokenResponseError) as error:
                if isinstance(error, TokenResponseError) and not error.page:
                    raise  # it may have been the tokens
                if exchange.succeeded:  # what failed came after it, and the code is spent
                    raise
                self._go_on_after(error)

    def _sleep(self) -> None:
        """Let the interaction wait until the next poll, or until the code expires."""
        self._raise_if_expired()
        self.interaction.pause(self.prompt)
        self._raise_if_expired()

    def _raise_if_expired(self) -> None:
        if self.clock.now() < self.prompt.expires_at and self.clock.monotonic() < self.deadline:
            return
        if self.failure is not None:
            raise _Expired(self.provider.host, self.failure, self.failures)
        raise AuthorizationError(
            f"nobody signed in at {self.provider.host} before the code expired", error="expired_token"
        )

    def _go_on_after(self, error: Refusal | _Failure) -> None:
        """Set the time of the next poll; raise what ends the wait."""
        if isinstance(error, Refusal):
            self.interval = self._interval_after(error)
            self.pause = self.interval
            self.failure, self.failures = None, 0
        elif isinstance(error, RateLimited):
            self.interval = min(2 * self.interval, LONGEST_INTERVAL)
            self.pause = max(self.interval, min(error.retry_after, LONGEST_INTERVAL))
        else:
            self.pause = min(2 * self.pause, LONGEST_INTERVAL)
        if not isinstance(error, Refusal):
            self.failure, self.failures = error, self.failures + 1
            self.provider.note(f"the next poll is in {self.pause:.0f} s: {error.sentence}")
        # Counted from the end of the answer, as Auth0 does.
        self.prompt = self._paced(self.prompt, self.clock.now() + self.pause)

    def _paced(self, prompt: Prompt, next_poll: float) -> Prompt:
        """Return the prompt to show; its interval is the pause, so that who takes over is as patient as we."""
        trouble = "" if self.failure is None else f"{self.provider.host} {_state(self.failure)}"
        return msgspec.structs.replace(
            prompt, interval=self.pause, next_poll=min(next_poll, prompt.expires_at), trouble=trouble
        )

    def _interval_after(self, refusal: Refusal) -> float:
        if refusal.error == "authorization_pending":
            return self.interval
        if refusal.error == "slow_down":  # the provider's own interval, which GitHub sends, never shortens ours
            return min(max(self.interval + SLOW_DOWN, refusal.interval or 0.0), LONGEST_INTERVAL)
        words = _ENDS.get(refusal.error or "")
        if words is None:
            raise refusal
        # The hints of access_denied are for who asked for the code, not for a person who declined.
        hint = refusal.hint if refusal.error == "invalid_grant" else None
        raise AuthorizationError(
            words.format(host=self.provider.host, details=refusal.details), error=refusal.error, hint=hint
        ) from None


# What it means to a person that a poll was refused for good; any other OAuth error is said as it came.
_ENDS = {
    "access_denied": "declined at {host} {details}",
    "expired_token": "nobody signed in at {host} before the code expired {details}",
    "invalid_grant": "{host} refused the code: it was declined, has expired, was used or may not be used {details}",
}
