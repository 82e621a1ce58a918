"""The command line: argv (or argv[0]) to a command, and the one place that turns an error into words and a code.

What a tool asks for ends on stdout, written once when it is whole; everything else that is said goes to stderr or to
the terminal. A command for people is in ``commands``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

from credential_helper import PROGRAM, __version__
from credential_helper.answers import get
from credential_helper.answers.call import Call
from credential_helper.app import App, write
from credential_helper.commands import COMMANDS, Command
from credential_helper.errors import CredentialHelperError, UsageError
from credential_helper.profiles import settings
from credential_helper.system.caller import Abandoned
from credential_helper.system.clock import SystemClock
from credential_helper.system.limits import exhausted, forbid_core_dumps
from credential_helper.system.signals import Interrupted
from credential_helper.tools import TOOLS, Tool, called

_DESCRIPTION = """\
Sign in once with OAuth 2.0 / OpenID Connect, and serve kubectl, git, docker and scripts from then on.

A profile says who is asked: [profiles.NAME] in the config file, or --issuer and --client-id."""

_EPILOG = """\
exit codes: 64 usage, 65 request, 66 a person has to sign in, 69 no network, 70 a defect,
74 disk, keyring or stdout, 75 try again later, 76 not an OAuth answer, 77 refused,
78 configuration, 130 interrupted"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours and echo no value: people paste tokens into the wrong place."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message:
            message = "there is no such command"
        elif "ignored explicit argument" in message:
            message = f"{message.partition(':')[0].removeprefix('argument ')} takes no value"
        raise UsageError(message, hint=f"{self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Let nothing be left over, so that the command itself complains and its own help is the hint."""
        given, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(_without_values(unknown))
        return given, unknown

    def _print_message(self, message: str, file: object = None) -> None:  # noqa: ARG002 - its signature
        """Put help and version on stdout by the way that every answer takes: a full disk is told."""
        write(message.encode())


def _without_values(words: list[str]) -> str:
    flags = [word.partition("=")[0] for word in words if word.startswith("-")]
    return f"unknown option {' '.join(flags)}" if flags else "too many arguments"


def _parser(name: str = PROGRAM) -> _Parser:
    """Return the parser of every command; ``name`` is what --version calls us."""
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
        _add_tool(commands, row, shared)
    for one in COMMANDS.values():
        _add_command(commands, one, shared)
    return parser


def _add_tool(commands: Any, row: Tool, shared: _Parser) -> None:
    """Add a tool's command, as its row says; of one whose words are all its own only the line in --help."""
    if row.whole:
        one = commands.add_parser(row.name, help=row.summary, add_help=False)
    else:
        one = _add(commands, row.name, row.summary, shared)
        settings.add_flags(one)
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


def _add_command(commands: Any, row: Command, shared: _Parser) -> None:
    """Add a command for people, as its row says."""
    one = _add(commands, row.name, row.summary, shared, description=row.description)
    if row.flags:
        settings.add_flags(one)
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
        app.terminal.finish()


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
    row, rest = called(call.program, list(argv[1:]))
    if row is not None and row.whole:
        return int(_answer_of(row)(call, row, rest))
    by_name = row is not None and call.program in row.names
    try:
        words = [row.name, *rest] if row is not None else rest
        given = vars(_parser(call.program if by_name else PROGRAM).parse_args(words))
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)
    verbose = bool(given.pop("verbose", False))
    command = given.pop("command", None)
    if verbose:
        app.configure(verbose=True)
    if command is None:
        return get.bare(call)
    if command in TOOLS:
        row = TOOLS[command]
        whole = [str(word) for word in given.values() if word]  # of --verbose before a tool whose words are its own
        return int(_answer_of(row)(call, row, whole if row.whole else given))
    return int(import_module(f"credential_helper.commands.{command}").run(given, app))


def _answer_of(row: Tool) -> Any:
    """Return the function that answers a tool; a tool's answer need not load what only others use."""
    return import_module(f"credential_helper.answers.{row.answer}").answer
