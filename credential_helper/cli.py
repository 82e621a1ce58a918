"""The command line: argv (or argv[0]) to a command, and the one place that turns an error into words and a code.

What a tool asks for ends on stdout, written once when it is whole; everything else that is said goes to stderr or to
the terminal. A command for people is in ``commands``.

Nothing is loaded before it is known what is called: a version is a line, and ``words`` reads what tools say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from credential_helper import PROGRAM, __version__, replies
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.system.caller import Abandoned
from credential_helper.system.limits import exhausted, forbid_core_dumps
from credential_helper.system.signals import Interrupted
from credential_helper.tools import TOOLS, Tool, called, program_name

if TYPE_CHECKING:
    from credential_helper.answers.call import Call
    from credential_helper.app import App
    from credential_helper.replies.flights import Flight

_BEGIN = """\
sign in once, and kubectl, git, docker and scripts are served from then on
to sign in: credential-helper login
who is signed in, and until when: credential-helper status
every command: credential-helper --help"""


def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    heard: bytes | None = None,
    ahead: bool = False,
    flight: Flight | None = None,
) -> int:
    """Run a command and return its exit code; ``heard`` is what the hot path has read from stdin already.

    ``ahead``: the command was answered, and is run once more to renew what it was answered from. ``flight`` is what
    this process does for others with the same request.
    """
    forbid_core_dumps()
    if _has_told_its_version(argv):
        return 0
    from credential_helper import lean

    lean.load_msgspec()
    from credential_helper.app import App
    from credential_helper.system.clock import SystemClock

    app = App(environ, clock=SystemClock(), verbose=False, ahead=ahead, flight=flight)
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


def _has_told_its_version(argv: Sequence[str]) -> bool:
    """Tell the version, where that is all that is asked for; False: it is not, or stdout takes nothing."""
    program = program_name(argv[0])
    row, words = called(program, list(argv[1:]))
    if words != ["--version"] or (row is not None and row.whole):
        return False
    try:
        replies.write_out(f"{_own_name(program, row)} {__version__}\n".encode())
    except OSError:  # the other way says so
        return False
    return True


def _own_name(program: str, row: Tool | None) -> str:
    """Return what we call ourselves: as we were called, where that is a tool's name for us."""
    return program if row is not None and program in row.names else PROGRAM


def _dispatch(argv: Sequence[str], heard: bytes | None, app: App) -> int:
    from credential_helper.answers.call import Call

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
    try:
        given = _given(call.program, row, rest)
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)
    except UsageError as error:
        if row is not None and row.answer == "plain":
            from credential_helper.answers import plain

            plain.decline(row, error)
        raise
    if given.pop("verbose", False):
        app.configure(verbose=True)
    _introduce(call)
    command = given.pop("command", None)
    if command is None:
        return _without_a_command(call)
    if command in TOOLS:
        return int(_answer_of(TOOLS[command])(call, TOOLS[command], given))
    return int(import_module(f"credential_helper.commands.{command}").run(given, app))


def _given(program: str, row: Tool | None, rest: Sequence[str]) -> dict[str, Any]:
    """Return the command and what is given with it, by name. Raises UsageError, and SystemExit for help."""
    if row is None and not rest:
        return {}
    from credential_helper import words

    given = words.of_tool(row, rest) if row is not None else words.of_command(rest)
    if given is not None:
        return given
    from credential_helper import command_line  # argparse and all its parsers: 12 ms, of Python 3.14 25

    return command_line.parse(rest, row, name=_own_name(program, row))


def _introduce(call: Call) -> None:
    """Begin what --verbose tells: which version of us was called, by what name and by whom."""
    call.app.note(f"version {__version__}, called as {call.program} by {call.app.caller.name}")


def _without_a_command(call: Call) -> int:
    """Answer what stands on stdin; tell a person who typed our name alone where to begin."""
    if not os.isatty(0) or call.exec_info is not None:
        from credential_helper.answers import get

        return get.bare(call)
    from credential_helper.profiles.configuration import load

    for line in _BEGIN.splitlines():  # stdout is for answers
        call.app.terminal.say(line)
    try:
        load(call.app.environ).default()
    except (ConfigurationError, UsageError) as error:
        call.app.terminal.error(error)
    return UsageError.exit_code


def _answer_of(row: Tool) -> Any:
    """Return the function that answers a tool; a tool's answer need not load what only others use."""
    return import_module(f"credential_helper.answers.{row.answer}").answer
