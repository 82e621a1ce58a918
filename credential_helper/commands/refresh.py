"""``run``: renew now, without asking anybody."""

from __future__ import annotations

from credential_helper import PROGRAM, broker
from credential_helper.app import App
from credential_helper.commands.selection import selected
from credential_helper.model import Request
from credential_helper.profiles.settings import Given
from credential_helper.text import foreign, moment


def run(given: Given, context: App) -> int:
    """Renew now; nobody is asked."""
    for chosen in selected(given, context):
        obtained = context.obtain(chosen, Request(tool=PROGRAM), mode="renew")
        context.terminal.say(f"renewed {what_came(obtained, context)}")
    return 0


def what_came(obtained: broker.Obtained, context: App) -> str:
    """Say which token came, for which profile, and until when it is good."""
    credential = obtained.credential
    token = "the ID token" if credential.kind == "id" else "an access token"
    expires_at = credential.expires_at
    until = moment(expires_at, context.clock.now()) if expires_at is not None else None
    end = f"until {until}" if until else "for as long as the provider lets it"
    return f"{token} for {foreign(credential.profile)} {end}"
