"""``run``: renew now, without asking anybody."""

from __future__ import annotations

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.broker.errand import Obtained
from credential_helper.commands.selection import selected
from credential_helper.model import Request
from credential_helper.profiles.settings import Given
from credential_helper.text import foreign, moment


def run(given: Given, app: App) -> int:
    """Renew now; nobody is asked."""
    for chosen in selected(given, app):
        obtained = app.obtain(chosen, Request(tool=PROGRAM), mode="renew")
        app.terminal.say(f"renewed {what_came(obtained, app)}")
    return 0


def what_came(obtained: Obtained, app: App) -> str:
    """Say which token came, for which profile, and until when it is good."""
    credential = obtained.credential
    token = "the ID token" if credential.kind == "id" else "an access token"
    expires_at = credential.expires_at
    until = moment(expires_at, app.clock.now()) if expires_at is not None else None
    end = f"until {until}" if until else "for as long as the provider lets it"
    return f"{token} for {foreign(credential.profile)} {end}"
