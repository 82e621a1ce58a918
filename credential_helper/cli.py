"""The command line: argv (or argv[0]) to a command, and the one place that turns an error into words and a code.

What a tool asks for ends on stdout, written once when it is whole; everything else that is said goes to stderr or to
the terminal. A command for people is in ``commands``.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

from credential_helper import PROGRAM, __version__
from credential_helper.answers import get, plain
from credential_helper.answers.call import Call
from credential_helper.app import App, write
from credential_helper.commands import COMMANDS, Command
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.profiles import settings
from credential_helper.profiles.configuration import load
from credential_helper.profiles.elsewhere import of_kubelogin
from credential_helper.profiles.written import nearest_word
from credential_helper.system.caller import Abandoned
from credential_helper.system.clock import SystemClock
from credential_helper.system.limits import exhausted, forbid_core_dumps
from credential_helper.system.signals import Interrupted
from credential_helper.text import either, harmless_word
from credential_helper.tools import TOOLS, Tool, called

_DESCRIPTION = """\
Sign in once with OAuth 2.0 / OpenID Connect, and serve kubectl, git, docker and scripts from then on.

A profile says who is asked: [profiles.NAME] in the config file, or --issuer and --client-id."""

_EPILOG = """\
exit codes: 64 usage, 65 request, 66 a person has to sign in, 69 no network, 70 a defect,
74 disk, keyring or stdout, 75 try again later, 76 not an OAuth answer, 77 refused,
78 configuration, 130 interrupted"""


_BEGIN = """\
sign in once, and kubectl, git, docker and scripts are served from then on
to sign in: credential-helper login
who is signed in, and until when: credential-helper status
every command: credential-helper --help"""

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


def _parser(name: str = PROGRAM, *, every: bool = False) -> _Parser:
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
    for name, options in row.arguments or _operation(row):
        one.add_argument(name, **options)


def _operation(row: Tool) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the argument of a tool that calls us with an operation, where its row has none of its own."""
    words = " or ".join(word for word in row.replayed if word)
    if not words:
        return ()
    return (("operation", {"metavar": "OPERATION", "nargs": "?", "help": f"{words}, as {row.name} says"}),)


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


def run(argv: Sequence[str], environ: Mapping[str, str], *, heard: bytes | None = None) -> int:
    """Run a command and return its exit code; ``heard`` is what the hot path has read from stdin already."""
    forbid_core_dumps()
    app = App(environ, clock=SystemClock(), verbose=False)
    try:
        app.interrupts.install()
        return _dispatch(argv, heard, app)
    except CredentialHelperError as error:
        app.terminal.error(error)
        return error.exit_code
    except (Interrupted, Abandoned) as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        known = exhausted(error) or _defect(error)
        app.terminal.error(known)
        return known.exit_code
    finally:
        app.finish()


def _defect(error: Exception) -> CredentialHelperError:
    """Say where we failed; neither the error's text nor any value, which may be a secret."""
    where = "somewhere"
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if "credential_helper" in code.co_filename:
            where = f"{os.path.basename(code.co_filename)}:{step.tb_lineno}"
        step = step.tb_next
    return CredentialHelperError(
        f"a defect of ours: {type(error).__name__} at {where} of version {__version__}",
        hint="please report this line, and what you did, to the project",
    )


def _dispatch(argv: Sequence[str], heard: bytes | None, app: App) -> int:
    call = Call(argv=argv, heard=heard, app=app)
    words = list(argv[1:])
    while words and words[0] == "--verbose":  # before a tool whose words are its own, too
        app.configure(verbose=True)
        del words[0]
    row, rest = called(call.program, words)
    if row is not None and row.whole:
        if "--verbose" in rest:
            app.configure(verbose=True)
        _introduce(call)
        return int(_answer_of(row)(call, row, [word for word in rest if word != "--verbose"]))
    by_name = row is not None and call.program in row.names
    every = "--all" in rest and any(word in _HELP for word in rest)
    rest = [word for word in rest if word != "--all" or not every]
    if row is None:
        _require_command(rest)
    try:
        words = [row.name, *rest] if row is not None else rest
        given = vars(_parser(call.program if by_name else PROGRAM, every=every).parse_args(words))
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)
    except UsageError as error:
        if row is not None and row.answer == "plain":
            plain.decline(row, error)
        raise
    if given.pop("verbose", False):
        app.configure(verbose=True)
    _introduce(call)
    command = given.pop("command", None)
    if command is None:
        return _begin(app) if os.isatty(0) and call.exec_info is None else get.bare(call)
    if command in TOOLS:
        return int(_answer_of(TOOLS[command])(call, TOOLS[command], given))
    return int(import_module(f"credential_helper.commands.{command}").run(given, app))


def _introduce(call: Call) -> None:
    """Begin what --verbose tells: which version of us was called, by what name and by whom."""
    call.app.note(f"version {__version__}, called as {call.program} by {call.app.caller.name}")


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
            _parser().refuse([flag])
    else:
        return
    if word in TOOLS or word in COMMANDS:
        return
    near = f"--{word}" if f"--{word}" in _LEADING else nearest_word(word, [*TOOLS, *COMMANDS])
    if near is None:
        raise UsageError("there is no such command", hint=f"{PROGRAM} --help")
    named = f'"{word}" is no command' if harmless_word(word) else "there is no such command"
    raise UsageError(f"{named}; did you mean {near}?", hint=f"{PROGRAM} --help")


def _begin(app: App) -> int:
    """Tell who typed our name alone where to begin; stdout is for answers."""
    for line in _BEGIN.splitlines():
        app.terminal.say(line)
    try:
        load(app.environ).default()
    except (ConfigurationError, UsageError) as error:
        app.terminal.error(error)
    return UsageError.exit_code


def _answer_of(row: Tool) -> Any:
    """Return the function that answers a tool; a tool's answer need not load what only others use."""
    return import_module(f"credential_helper.answers.{row.answer}").answer
