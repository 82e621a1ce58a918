"""The prompt of a sign-in: what every flow's has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credential_helper.model import Prompt

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider


def made_now(
    provider: Provider, *, tool: str, target: str | None, lifetime: float, interval: float, **more: Any
) -> Prompt:
    """Return a prompt for ``tool``, which wants a token for ``target``; ``more`` is what the flow knows of it.

    ``lifetime`` and ``interval`` are in seconds from now.
    """
    now = provider.clock.now()
    return Prompt(
        tool=tool,
        profile=provider.profile.name,
        issuer=provider.profile.issuer,
        target=target,
        scope=provider.scopes(),
        account=provider.profile.account,
        interval=interval,
        next_poll=now + interval,
        made_at=now,
        expires_at=now + lifetime,
        **more,
    )
