"""Who is signed in, until when, and what a tool would be told now: read without a lock or a request, never a token.

Each profile has a row, whose ``exit_code`` is that of a call that nobody can help with (``broker.outlook``). Below it
stand the other sessions that its grant serves. Grants that serve no profile here stand apart, and count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from credential_helper import __version__, places
from credential_helper.app import App, write
from credential_helper.commands.selection import selected
from credential_helper.commands.status_rows import grant_rows, profile_rows, with_hint
from credential_helper.commands.status_table import table
from credential_helper.errors import ConfigurationError
from credential_helper.model import Profile
from credential_helper.profiles.choose import is_ad_hoc
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.configuration import Configuration, read
from credential_helper.profiles.remarks import remarks_on
from credential_helper.text import json_line

VERSION = 3  # of the JSON; docs/status.md describes it


def configured(configuration: Configuration, app: App) -> list[Profile]:
    """Return every profile of the config files that can be used."""
    usable = []
    for name in configuration.names():
        try:
            usable.append(configuration.profile(name))
        except ConfigurationError as error:
            app.note(error.sentence)
    return usable


def run(given: dict[str, object], app: App) -> int:
    """Print the table, or JSON; the exit code is 78 for a bad file, else of the first profile that is not ready."""
    as_json = bool(given.pop("json", False))
    problems: list[ConfigurationError] = []
    if given or is_ad_hoc({}, app.environ):
        subjects = list(selected(given, app))
        every = False
    else:
        configuration = read(app.environ, note=app.note)
        problems = configuration.problems()
        files, hidden = configuration.files, configuration.hidden
        subjects = [Chosen(profile=one, files=files, hidden=hidden) for one in configured(configuration, app)]
        every = True
        for remark in remarks_on(configuration, app.environ):
            app.terminal.warn(remark)
    sessions = app.sessions()
    rows, own = profile_rows(subjects, sessions, app)
    grants = grant_rows([chosen.profile for chosen in subjects], sessions, app, every=every)
    if not rows and not grants and not problems:
        try:
            list(selected({}, app))  # says what the smallest configuration is
        except ConfigurationError as error:
            problems = [error]
    if as_json:
        wrong = [with_hint(problem) for problem in problems]
        document = {"version": VERSION, "profiles": rows, "grants": grants, "problems": wrong}
        write(json_line(msgspec.to_builtins(document)))
    else:
        in_file = {chosen.profile.name for chosen in subjects if chosen.profile.store == "file"}
        write(table(rows, grants, own, lambda row: row.profile in in_file or app.has_keyring).encode())
    if app.verbose:
        _tell_more([chosen.profile for chosen in subjects], app)
    for problem in problems:
        app.terminal.error(problem)
    if problems:
        return ConfigurationError.exit_code
    return next((row.exit_code for row in rows if row.exit_code), 0)


def _tell_more(subjects: Iterable[Profile], app: App) -> None:
    say = app.terminal.say
    say(f"version: {__version__}")
    configuration = read(app.environ)
    for file in configuration.files:
        say(f"{file.place} config file: {file.path}{' (not there)' if file.stamp == places.ABSENT else ''}")
    say(f"state directory: {app.state.path or 'none'}")
    say(f"keyring: {app.keyring().backend()}")
    for profile in subjects:
        for setting, origin in profile.origins:
            say(f"{profile.name}: {setting} from {origin}")
        shared = app.shared_cache(profile)
        if shared is not None:
            say(f"{profile.name}: {shared}")
