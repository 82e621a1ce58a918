"""The ways to sign in, and what one may ask of whoever runs it.

A grant is one module with ``sign_in(provider, stage)`` and one row in ``GRANTS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from credential_helper.errors import ConfigurationError
from credential_helper.model import Prompt, Tokens

if TYPE_CHECKING:
    from credential_helper.oauth.metadata import Provider


class Stage(Protocol):
    """What a grant may ask for while it signs in."""

    tool: str  # the word for who asks: kubectl, git, docker, credential-helper
    target: str | None  # what the token is for, where known

    def waiting(self) -> Prompt | None:
        """Return the prompt that a dead holder of the lock left, still unexpired."""

    def ask(self, prompt: Prompt) -> None:
        """Keep the prompt for other processes and show it to the person."""

    def pause(self, prompt: Prompt) -> None:
        """Write the prompt's interval and next_poll for whoever takes over, then sleep until next_poll.

        Raises when the sign-in was cancelled, or when nobody waits any more.
        """

    def redeem(self, exchange: Callable[[], Tokens]) -> None:
        """Run an exchange that may spend what it sends, and save its tokens at once; its exceptions pass through."""


class Grant(NamedTuple):
    """Where a flow is enacted, and whether it needs a person."""

    module: str | None  # beside this one; None: a later version
    person: bool


GRANTS = {
    "auto": Grant("device_authorization", person=True),  # until the browser flow exists
    "device": Grant("device_authorization", person=True),
    "client-credentials": Grant("client_credentials", person=False),
    "authorization-code": Grant(None, person=True),
    "password": Grant(None, person=True),
}


def sign_in(provider: Provider, stage: Stage) -> None:
    """Run the profile's flow; its tokens go to ``stage.redeem``.

    Raises ConfigurationError for a flow that comes later, and whatever the flow raises.
    """
    flow = provider.profile.flow
    module = GRANTS[flow].module
    if module is None:
        raise ConfigurationError(
            f'flow = "{flow}" is not supported yet',
            hint='flow = "device" signs a person in, flow = "client-credentials" a machine',
        )
    from importlib import import_module  # each flow is loaded only where it is used

    import_module(f"credential_helper.oauth.{module}").sign_in(provider, stage)
