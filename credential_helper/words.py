"""The words of a call, read by the tables that argparse is fed from, without argparse.

Tools call us with the same few words again and again: ``--flag VALUE``, ``--flag=VALUE``, a switch, an operation or a
name. Those are read here. All else is argparse's (``command_line``), which knows what is wrong with it: a word that
begins with a dash and is no flag of ours, a flag without a value, a word too many. What is read here, argparse reads to
the same end; a test gives both the same words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from credential_helper.profiles.settings import PROFILE, SETTINGS
from credential_helper.tools import Tool

if TYPE_CHECKING:
    from credential_helper.commands import Argument

_Takes = Literal["a value", "a value each time", "nothing"]


def arguments_of(row: Tool) -> tuple[Argument, ...]:
    """Return a tool's own arguments; of one that calls us with an operation and has no other, that operation."""
    words = " or ".join(word for word in row.replayed if word)
    if row.arguments or not words:
        return row.arguments
    return (("operation", {"metavar": "OPERATION", "nargs": "?", "help": f"{words}, as {row.name} says"}),)


def of_tool(row: Tool, words: Sequence[str]) -> dict[str, Any] | None:
    """Return what is given behind a tool's name, by name; None: argparse is to read it."""
    return None if row.whole else _read(row.name, arguments_of(row), words)


def of_command(words: Sequence[str]) -> dict[str, Any] | None:
    """Return the command that people type and what is given with it; None: argparse is to read it, or to refuse it."""
    from credential_helper.commands import COMMANDS

    row = COMMANDS.get(words[0]) if words else None
    return None if row is None or not row.flags else _read(row.name, row.arguments, words[1:])


def _read(command: str, arguments: Sequence[Argument], words: Sequence[str]) -> dict[str, Any] | None:
    """Return what is given behind a command that takes the flags of a profile, by name; None: argparse is to read it.

    ``arguments`` are the command's own.
    """
    flags = {flag: (name, takes) for flag, name, takes in _flags(arguments)}
    given: dict[str, Any] = {"command": command}
    plain: list[int] = []  # where the words stand that are neither a flag nor its value
    at = 0
    while at < len(words):
        flag, equals, value = words[at].partition("=")
        name, takes = flags.get(flag, ("", None))
        if not flag.startswith("-"):
            plain.append(at)
        elif takes is None or (equals and (takes == "nothing" or value == "--")):  # of which argparse makes a list
            return None
        elif takes == "nothing":
            given[name] = True
        else:
            if not equals:
                at += 1
                value = words[at] if at < len(words) else "-"
                if value.startswith("-"):  # the next flag, or a value that argparse takes for one
                    return None
            given[name] = [*given.get(name, ()), value] if takes == "a value each time" else value
        at += 1
    return given if not plain or _placed(given, arguments, [words[at] for at in plain], plain) else None


def _flags(arguments: Sequence[Argument]) -> Iterator[tuple[str, str, _Takes | None]]:
    """Yield each flag, the name that it is given by, and what it takes; None: that is more than can be said here."""
    yield "--verbose", "verbose", "nothing"
    for setting in (PROFILE, *SETTINGS):
        if setting.flag:
            yield (
                setting.flag,
                setting.name,
                "nothing" if setting.switch else "a value each time" if setting.repeat else "a value",
            )
    for flag, said in arguments:
        if flag.startswith("-"):
            switch = said.get("action") == "store_true"
            known = said.keys() <= ({"action", "help"} if switch else {"metavar", "help"})
            yield flag, flag[2:].replace("-", "_"), None if not known else "nothing" if switch else "a value"


def _placed(given: dict[str, Any], arguments: Sequence[Argument], plain: Sequence[str], at: Sequence[int]) -> bool:
    """Put the words that are no flags where they belong; False: there is no place for them, or not for so many."""
    places = [(name, said) for name, said in arguments if not name.startswith("-")]
    if len(places) != 1 or not places[0][1].keys() <= {"metavar", "help", "nargs"}:
        return False
    name, nargs = places[0][0], places[0][1].get("nargs")
    together = at[-1] - at[0] == len(at) - 1
    if nargs == "?" and len(plain) == 1:
        given[name] = plain[0]
    elif nargs == "*" and together:
        given[name] = list(plain)
    else:
        return False
    return True
