"""The ways to sign in, and what one may ask of whoever runs it.

A grant is one module with ``sign_in(provider, stage)`` and one row in ``GRANTS``. ``flow = "auto"`` is the browser
flow where a person has a browser and the provider an authorization endpoint, else the device flow; the prompt says
which, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from credential_helper.errors import ConfigurationError, InteractionRequired
from credential_helper.model import Prompt, Secret, Tokens
from credential_helper.oauth.client_authentication import SECRET_SOURCES

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider


class Stage(Protocol):
    """What a grant may ask for while it signs in."""

    tool: str  # the word for who asks: kubectl, git, docker, credential-helper
    target: str | None  # what the token is for, where known
    because: str  # why this flow, where "auto" chose it; a prompt says so

    def browser(self) -> tuple[bool, str]:
        """Say whether a browser can be opened here, and what tells so: "there is a display"."""

    def waiting(self) -> Prompt | None:
        """Return the prompt of a dead holder of the lock that can be gone on with, still unexpired."""

    def ask(self, prompt: Prompt) -> None:
        """Keep the prompt for other processes and show it to the person.

        A browser's prompt opens the browser, too; a password's comes back when it stands on the terminal.
        """

    def pause(self, prompt: Prompt, until: Callable[[float], bool] | None = None) -> None:
        """Write the prompt's interval and next_poll for whoever takes over, then wait until next_poll.

        ``until`` waits for at most so many seconds, and ends the pause when it returns True. Raises when the sign-in
        was cancelled, or when nobody waits any more.
        """

    def type(self, label: str, *, hidden: bool) -> Secret:
        """Read one line from the person's terminal, without an echo where it is ``hidden``."""

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        """Say what should not be so, and what to do about it."""

    def redeem(self, exchange: Callable[[], Tokens]) -> None:
        """Run an exchange that may spend what it sends, and save its tokens at once; its exceptions pass through."""

    def at_end(self, tell: Callable[[bool], None]) -> None:
        """Have ``tell`` called when the sign-in is over: True when its tokens were verified, too."""


# Where each flow is enacted: the module beside this one.
GRANTS = {
    "authorization-code": "authorization_code",
    "device": "device_authorization",
    "client-credentials": "client_credentials",
    "password": "password",
}


def sign_in(provider: Provider, stage: Stage) -> None:
    """Run the profile's flow; its tokens go to ``stage.redeem``.

    Raises ConfigurationError where ``auto`` finds no way, and whatever the flow raises.
    """
    flow = provider.profile.flow
    if flow != "auto":
        return _run(flow, provider, stage)
    problem = _why_no_browser_flow(provider, stage)
    if problem is None:
        from credential_helper.oauth.grants.loopback import PortTaken

        stage.because = stage.browser()[1]
        try:
            return _run("authorization-code", provider, stage)
        except PortTaken as error:
            problem = error.sentence
    if not _offers_codes(provider) and _offers_a_browser(provider):
        raise InteractionRequired(
            f"{provider.host} signs a person in with a browser only, and here none can be used: {problem}",
            hint='sign in where a browser can be seen; through "ssh -L PORT:127.0.0.1:PORT" with --flow '
            "authorization-code and --redirect-uri http://127.0.0.1:PORT/callback it may be elsewhere",
        )
    stage.because = problem
    return _run("device", provider, stage)


def _why_no_browser_flow(provider: Provider, stage: Stage) -> str | None:
    """Return what keeps ``auto`` from the browser flow; None: nothing does."""
    if stage.waiting() is not None:
        return "a sign-in with this code is under way"
    possible, why = stage.browser()
    if not possible:
        return why
    if not _offers_a_browser(provider):
        return f"{provider.host} has no authorization endpoint"
    if _lacks_secret(provider, "authorization-code"):
        return f"{provider.known.title} wants a client_secret in a browser"
    return None


def _lacks_secret(provider: Provider, flow: str) -> bool:
    return flow in provider.known.needs_secret and provider.client_secret is None and provider.private_key is None


def _offers_a_browser(provider: Provider) -> bool:
    return "authorization-code" in provider.known.flows and bool(provider.metadata(fresh=True).authorization_endpoint)


def _offers_codes(provider: Provider) -> bool:
    return "device" in provider.known.flows and bool(provider.metadata(fresh=True).device_authorization_endpoint)


def _run(flow: str, provider: Provider, stage: Stage) -> None:
    if _lacks_secret(provider, flow):  # said before a person signs in for nothing
        less = sorted({"authorization-code", "device"} - provider.known.needs_secret)
        others = "".join(f'; flow = "{other}" needs none' for other in less)
        raise ConfigurationError(
            f'{provider.known.title} wants a client_secret for flow = "{flow}"', hint=f"{SECRET_SOURCES}{others}"
        )
    from importlib import import_module  # each flow is loaded only where it is used

    provider.note(f"signing in with the flow {flow}" + (f": {stage.because}" if stage.because else ""))
    import_module(f"credential_helper.oauth.grants.{GRANTS[flow]}").sign_in(provider, stage)
