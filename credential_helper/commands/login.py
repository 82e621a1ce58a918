"""``run``: sign in anew, and say what that brought."""

from __future__ import annotations

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.commands.refresh import what_came
from credential_helper.commands.selection import selected
from credential_helper.model import Request
from credential_helper.profiles.settings import Given


def run(given: Given, app: App) -> int:
    """Sign in anew, and say what that brought."""
    app.configure(login=True, browser=not given.pop("no_browser", False))
    for chosen in list(selected(given, app)):
        obtained = app.obtain(chosen, Request(tool=PROGRAM), mode="sign-in")
        if chosen.profile.session_kind == "client":
            app.terminal.say(f"got {what_came(obtained, app)}")
    return 0
