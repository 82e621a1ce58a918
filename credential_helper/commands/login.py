"""``run``: sign in anew, and say what that brought: a token for the profile, and one per audience that it lists."""

from __future__ import annotations

import msgspec

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.commands.refresh import what_came
from credential_helper.commands.selection import PURPOSE, selected
from credential_helper.errors import CredentialHelperError
from credential_helper.model import Request
from credential_helper.profiles import targets
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.settings import Given
from credential_helper.text import foreign
from credential_helper.urls import parse_url


def run(given: Given, app: App) -> int:
    """Sign in anew; the exit code is that of the first host that has got nothing."""
    app.configure(login=True, browser=not given.pop("no_browser", False))
    exactly = any(key in given for key in PURPOSE)  # that one session is meant
    codes = []
    for chosen in list(selected(given, app)):
        obtained = app.obtain(chosen, Request(tool=PROGRAM), mode="sign-in")
        if chosen.profile.session_kind == "client":
            app.terminal.say(f"got {what_came(obtained, app)}")
        codes += [] if exactly else _for_hosts(chosen, app)
    return next((code for code in codes if code), 0)


def _for_hosts(chosen: Chosen, app: App) -> list[int]:
    """Have the sign-in bring a token for each host that has an audience of its own, and say what each got."""
    codes = []
    for entry, profile in targets.others(chosen.profile):
        shown = parse_url(entry.url).shown
        request = Request(tool=PROGRAM, target=shown)
        try:
            host = targets.with_all_resources(profile, chosen.profile)
            obtained = app.obtain(msgspec.structs.replace(chosen, profile=host), request)
        except CredentialHelperError as error:
            error.sentence = f"{foreign(shown)} got none: {error.sentence}"
            app.terminal.error(error)
            codes.append(error.exit_code)
        else:
            app.terminal.say(f"{foreign(shown)}: got {what_came(obtained, app)}")
    return codes
