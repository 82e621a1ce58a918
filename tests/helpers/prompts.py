"""A prompt as the device flow makes it."""

from __future__ import annotations

from typing import Any

import msgspec

from credential_helper.model import Prompt, Secret


def prompt_at(now: float, **changes: Any) -> Prompt:
    """Return a prompt that is made at this time, is polled for every 5 s and lives for a quarter of an hour."""
    prompt = Prompt(
        tool="kubectl",
        profile="prod",
        issuer="https://idp.example.com",
        target=None,
        scope=("openid",),
        device_code=Secret("the-device-code"),
        user_code="WDJB-MJHT",
        verification_uri="https://idp.example.com/activate",
        verification_uri_complete=None,
        interval=5.0,
        next_poll=now + 5.0,
        made_at=now,
        expires_at=now + 900.0,
    )
    return msgspec.structs.replace(prompt, **changes)
