"""The command line: argv (or argv[0]) to a command, and the one place that turns an error into words and a code.

What a tool asks for ends on stdout, written once when it is whole; everything else that is said goes to stderr or to
the terminal. A command for people is in ``commands``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from credential_helper import PROGRAM, __version__
from credential_helper.answers import get, scripts
from credential_helper.answers.call import Call
from credential_helper.app import App, write
from credential_helper.commands import COMMANDS, Command
from credential_helper.errors import CredentialHelperError, UsageError
from credential_helper.profiles import settings
from credential_helper.system.caller import Abandoned
from credential_helper.system.clock import SystemClock
from credential_helper.system.signals import Interrupted

_DESCRIPTION = """\
Sign in once with OAuth 2.0 / OpenID Connect, and serve kubectl, git, docker and scripts from then on.

A profile says who is asked: [profiles.NAME] in the config file, or --issuer and --client-id."""

_EPILOG = """\
exit codes: 64 usage, 65 request, 66 a person has to sign in, 69 no network, 70 a defect,
74 disk, keyring or stdout, 75 try again later, 76 not an OAuth answer, 77 refused,
78 configuration, 130 interrupted"""

# The names under which this one executable is reached, beside its own, and the command that each is.
_NAMES = {"git-credential-helper": "git", "docker-credential-helper": "docker"}


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

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            allow_abbrev=False,
            parents=[shared],
            argument_default=argparse.SUPPRESS,
        )
        settings.add_flags(one)
        return one

    one = command("kubectl", "answer kubectl (an exec plugin of a kubeconfig)")
    one.add_argument(
        "--api-version",
        metavar="VERSION",
        help="v1 or v1beta1, where KUBERNETES_EXEC_INFO does not say (default: v1beta1)",
    )
    one = command("git", "answer git (a credential helper)")
    one.add_argument("operation", metavar="OPERATION", nargs="?", help="get, store, erase or capability, as git says")
    docker = commands.add_parser("docker", help="answer docker, podman and skopeo (a credential store)", add_help=False)
    docker.add_argument(
        "action", metavar="ACTION", nargs="?", help="get, store, erase, list or version, as docker says"
    )
    command("get", "answer a request on stdin: our JSON, an ExecCredential, or git's lines")
    command("store", "answer git's store, with git's lines on stdin")
    command("erase", "answer git's erase, with git's lines on stdin")
    one = command("token", "print a token and a newline, for curl and scripts")
    one.add_argument("profiles", metavar="PROFILE", nargs="?", help="the profile's name")
    for row in COMMANDS.values():
        _add_command(commands, row, shared)
    return parser


def _add_command(commands: Any, row: Command, shared: _Parser) -> None:
    """Add a command for people, as its row says."""
    one = commands.add_parser(
        row.name,
        help=row.summary,
        description=row.description or row.summary[0].upper() + row.summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter if row.description else argparse.HelpFormatter,
        allow_abbrev=False,
        parents=[shared],
        argument_default=argparse.SUPPRESS,
    )
    if row.flags:
        settings.add_flags(one)
    for argument in row.arguments:
        one.add_argument(argument.name, **argument.options)


def run(argv: Sequence[str], environ: Mapping[str, str], *, heard: bytes | None = None) -> int:
    """Run a command and return its exit code; ``heard`` is what the hot path has read from stdin already."""
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
        app.terminal.error(_defect(error))
        return CredentialHelperError.exit_code
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
    name = call.program
    words = [_NAMES[name], *argv[1:]] if name in _NAMES else list(argv[1:])
    if words[:1] == ["docker"]:
        from credential_helper.answers import docker  # one word, and answers of its own for everything else

        return docker.answer(call, words[1:])
    try:
        given = vars(_parser(name if name in _NAMES else PROGRAM).parse_args(words))
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)
    verbose = bool(given.pop("verbose", False))
    command = given.pop("command", None)
    if verbose:
        app.configure(verbose=True)
    if command is None:
        return get.bare(call)
    if command in ("git", "store", "erase"):
        from credential_helper.answers import git

        return git.answer(call, given if command == "git" else {**given, "operation": command})
    if command in scripts.COMMANDS:
        return scripts.COMMANDS[command](call, given)
    from importlib import import_module  # a tool's answer need not load what only people use

    return int(import_module(f"credential_helper.commands.{command}").run(given, app))
