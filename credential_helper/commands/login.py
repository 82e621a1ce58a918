"""``run``: sign in anew, and say what that brought."""

from __future__ import annotations

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.commands.refresh import what_came
from credential_helper.commands.selection import selected
from credential_helper.model import Request
from credential_helper.profiles.settings import Given


def run(given: Given, context: App) -> int:
    """Sign in anew, and say what that brought."""
    context.configure(login=True, browser=not given.pop("no_browser", False))
    for chosen in list(selected(given, context)):
        obtained = context.obtain(chosen, Request(tool=PROGRAM), mode="sign-in")
        if chosen.profile.session_kind == "client":
            context.terminal.say(f"got {what_came(obtained, context)}")
    return 0
