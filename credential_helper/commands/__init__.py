"""What people type: one row per command, one file per row, loaded by name.

They talk on stderr; only status and secret have a stdout. From a row come the parser, the line in ``--help`` and the
dispatch: ``commands/NAME.py`` has ``run(given, app)``, which returns the exit code.
"""

from __future__ import annotations

from typing import Any

import msgspec

Argument = tuple[str, dict[str, Any]]  # a name, with dashes where it is an option, and argparse's words for it


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command."""

    name: str
    summary: str  # the line in --help; lower case, no full stop
    description: str | None = None  # of its own --help, where the summary is not enough
    arguments: tuple[Argument, ...] = ()
    flags: bool = True  # it takes the flags of a profile


def _profiles(nargs: str, what: str) -> Argument:
    return "profiles", {"metavar": "PROFILE", "nargs": nargs, "help": what}


def _switch(name: str, what: str) -> Argument:
    return name, {"action": "store_true", "help": what}


_SECRET = """\
Put a client secret, a key or a password into the OS keyring, where a profile's
client_secret = { keyring = "NAME" }, private_key or password finds it.

set reads it from stdin, or asks for it without an echo; list tells the names."""

_LAUNCHER = """\
Compile a small program that answers from the cache without starting Python, and
put it into DIRECTORY under every name that tools call. It leaves everything else
to the program that you call now. DIRECTORY has to come first on PATH.

Before anything is put there, both are asked the same in many ways, and have to
agree; --check does only that. To undo it, delete what was put there."""

_ROWS = (
    Command(
        name="login",
        summary="sign in anew",
        arguments=(_profiles("*", "profiles to sign in to"), _switch("--no-browser", "open no browser")),
    ),
    Command(
        name="refresh",
        summary="renew now, without asking anybody",
        arguments=(_profiles("?", "the profile's name"),),
    ),
    Command(
        name="logout",
        summary="end a profile's sign-in, here and at the provider",
        arguments=(
            _profiles("*", "profiles to sign out of"),
            _switch("--all", "every session in the state directory"),
            _switch("--keyring", "with --all: stored passwords and what else is ours in the keyring, too"),
        ),
    ),
    Command(
        name="status",
        summary="say who is signed in, and until when",
        arguments=(_profiles("*", "profiles to tell about (default: all)"), _switch("--json", "as JSON")),
    ),
    Command(
        name="secret",
        summary="put a client secret, a key or a password into the OS keyring",
        description=_SECRET,
        arguments=(
            ("action", {"metavar": "ACTION", "choices": ("set", "delete", "list"), "help": "set, delete or list"}),
            ("name", {"metavar": "NAME", "nargs": "?", "help": "letters, digits, -, _ and ."}),
        ),
        flags=False,
    ),
    Command(
        name="launcher",
        summary="compile a program that answers from the cache without Python",
        description=_LAUNCHER,
        arguments=(
            ("directory", {"metavar": "DIRECTORY", "nargs": "?", "help": "a folder of yours that is on PATH"}),
            _switch("--check", "say whether both answer alike, and whether what is in DIRECTORY is of this version"),
        ),
        flags=False,
    ),
)

COMMANDS = {row.name: row for row in _ROWS}
