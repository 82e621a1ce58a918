"""The command line as argparse reads it: what people type, help, and every mistake.

It is made of the same tables as ``words``, which reads what a tool says. argparse and a parser for each command take
longer than all that a kept session needs, so nothing else stands here.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from credential_helper import PROGRAM, __version__
from credential_helper.app import write
from credential_helper.commands import COMMANDS, Command
from credential_helper.errors import UsageError
from credential_helper.profiles import settings
from credential_helper.profiles.elsewhere import of_kubelogin
from credential_helper.profiles.written import nearest_word
from credential_helper.text import either, harmless_word
from credential_helper.tools import TOOLS, Tool
from credential_helper.words import arguments_of

_DESCRIPTION = """\
Sign in once with OAuth 2.0 / OpenID Connect, and serve kubectl, git, docker and scripts from then on.

A profile says who is asked: [profiles.NAME] in the config file, or --issuer and --client-id."""

_EPILOG = """\
exit codes: 64 usage, 65 request, 66 a person has to sign in, 69 no network, 70 a defect,
74 disk, keyring or stdout, 75 try again later, 76 not an OAuth answer, 77 refused,
78 configuration, 130 interrupted"""

_COMMON = "the common settings; with --help --all every one of them"

_HELP = ("--help", "-h")
_LEADING = ("--verbose", "--version", *_HELP)  # the options that may stand before a command
_NAME = re.compile(r"--[a-z][a-z-]{0,39}|-[A-Za-z]")  # of an option; what has a digit in it may be a secret


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours and echo no value: people paste tokens into the wrong place."""

    def error(self, message: str) -> NoReturn:
        where, _, rest = message.removeprefix("argument ").partition(": ")
        if rest.startswith("invalid choice"):
            choices = next((action.choices for action in self._actions if where == action.metavar), None)
            named = where != "COMMAND" and choices
            message = (
                f"{where} should be {either(sorted(choices))}" if named and choices else "there is no such command"
            )
        elif rest.startswith("ignored explicit argument"):
            message = f"{where} takes no value"
        elif rest.startswith("expected "):
            message = f"{where} needs a value"
        elif where.startswith("the following arguments are required"):
            message = f"{rest} is missing"
        raise UsageError(message, hint=f"{self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Let nothing be left over, so that the command itself complains and its own help is the hint."""
        given, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.refuse(unknown)
        return given, unknown

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Say which option is unknown, as far as it can be told from a value, and which one was probably meant."""
        options = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        if not options:
            self.error("too many arguments")
        name = options[0] if options[0].startswith("--") else options[0][:2]
        known = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        if (word := of_kubelogin(name[2:])) is not None:  # by its flag, here as in a profile
            flag = settings.BY_NAME[word].flag if word in settings.BY_NAME else f"--{word.replace('_', '-')}-file"
            self.error(f"{name} is kubelogin's; here it is {flag}")
        if name[2:] in (secret.replace("_", "-").replace(".", "-") for secret in settings.SECRETS):
            before_a_command = self.prog == PROGRAM
            sources = [flag for flag in (f"{name}-env", f"{name}-file") if flag in known or before_a_command]
            raise UsageError(
                f"{name}: a secret is never an argument, which every process can read",
                hint=f"{sources[0]} NAME, or {sources[1]} PATH" if sources else f"{self.prog} --help",
            )
        near = nearest_word(name[2:], [flag[2:].replace("-", "_") for flag in known]) if name[2:] else None
        shown = f" {name}" if _NAME.fullmatch(name) else ""
        guess = f"; did you mean --{near.replace('_', '-')}?" if near else ""
        self.error(f"unknown option{shown}{guess}")

    def _print_message(self, message: str, file: object = None) -> None:  # noqa: ARG002 - its signature
        """Put help and version on stdout by the way that every answer takes: a full disk is told."""
        write(message.encode())


def parse(rest: Sequence[str], row: Tool | None, *, name: str) -> dict[str, Any]:
    """Return the command and what is given with it, by name; ``rest`` is what stands behind a tool's name.

    ``name`` is what --version calls us. Raises UsageError, and SystemExit where help or the version was asked for.
    """
    every = "--all" in rest and any(word in _HELP for word in rest)
    words = [word for word in rest if word != "--all" or not every]
    if row is None:
        _require_command(words)
    return vars(parser_of(name, every=every).parse_args(words if row is None else [row.name, *words]))


def parser_of(name: str = PROGRAM, *, every: bool = False) -> _Parser:
    """Return the parser of every command; ``name`` is what --version calls us. ``every``: help names every flag."""
    shared = _Parser(add_help=False)
    shared.add_argument("--version", action="version", version=f"{name} {__version__}", help="say the version and exit")
    shared.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help="tell each step on stderr")
    parser = _Parser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[shared],
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", parser_class=_Parser)

    for row in TOOLS.values():
        _add_tool(commands, row, shared, every=every)
    for one in COMMANDS.values():
        _add_command(commands, one, shared, every=every)
    return parser


def _add_tool(commands: Any, row: Tool, shared: _Parser, *, every: bool) -> None:
    """Add a tool's command, as its row says; of one whose words are all its own only the line in --help."""
    if row.whole:
        one = commands.add_parser(row.name, help=row.summary, add_help=False)
    else:
        one = _add(commands, row.name, row.summary, shared)
        _add_flags(one, every=every)
    for name, options in arguments_of(row):
        one.add_argument(name, **options)


def _add(commands: Any, name: str, summary: str, shared: _Parser, *, description: str | None = None) -> Any:
    return commands.add_parser(
        name,
        help=summary,
        description=description or summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter if description else argparse.HelpFormatter,
        allow_abbrev=False,
        parents=[shared],
        argument_default=argparse.SUPPRESS,
    )


def _add_flags(one: Any, *, every: bool) -> None:
    """Add the flags of a profile; help names the common ones, or every one."""
    settings.add_flags(one, every=every, remark=None if every else _COMMON)


def _add_command(commands: Any, row: Command, shared: _Parser, *, every: bool) -> None:
    """Add a command for people, as its row says."""
    one = _add(commands, row.name, row.summary, shared, description=row.description)
    if row.flags:
        _add_flags(one, every=every)
    for name, options in row.arguments:
        one.add_argument(name, **options)


def _require_command(words: Sequence[str]) -> None:
    """Raise UsageError where the first word is no command, or an option stands before it that belongs behind it."""
    for word in words:
        if not word.startswith("-"):
            break
        flag = word.partition("=")[0]
        if flag not in _LEADING and any(flag == setting.flag for setting in (settings.PROFILE, *settings.SETTINGS)):
            command = next((word for word in words if word in TOOLS or word in COMMANDS), "COMMAND")
            raise UsageError(f"{flag} belongs behind the command", hint=f"{PROGRAM} {command} {flag} …")
        if flag not in _LEADING:
            parser_of().refuse([flag])
    else:
        return
    if word in TOOLS or word in COMMANDS:
        return
    near = f"--{word}" if f"--{word}" in _LEADING else nearest_word(word, [*TOOLS, *COMMANDS])
    if near is None:
        raise UsageError("there is no such command", hint=f"{PROGRAM} --help")
    named = f'"{word}" is no command' if harmless_word(word) else "there is no such command"
    raise UsageError(f"{named}; did you mean {near}?", hint=f"{PROGRAM} --help")
