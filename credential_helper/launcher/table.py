"""What both readers know, written for the compiler: the tools, the words of a reply, its limits.

It is made anew for each compilation, so that there is no second copy of anything that could grow old. An operation of a
kind that launcher.c has no name for is not kept there: Python answers it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from credential_helper import PROGRAM, __version__, places, replies, tools

_KINDS = {
    tools.STDIN: "KIND_STDIN",
    tools.LINES: "KIND_LINES",
    tools.SECRETLESS: "KIND_SECRETLESS",
    tools.ENVIRONMENT: "KIND_ENVIRONMENT",
    tools.EITHER: "KIND_EITHER",
    tools.NOTHING: "KIND_NOTHING",
}


def table(folder: str, mark: str) -> str:
    """Return the text of table.h for the installation whose programs are in a folder."""
    rows = tools.TOOLS.values()
    return "\n".join(
        [
            *(f"#define {name} {_value(value)}" for name, value in _definitions(folder, mark).items()),
            *(_strings(name, values) for name, values in _lists().items()),
            _array("program", "PROGRAMS", ((_string(name), _string(row.name)) for row in rows for name in row.names)),
            _array(
                "operation",
                "OPERATIONS",
                (
                    (_string(row.name), _string(word), _KINDS.get(kind, "KIND_NOT_KEPT"))
                    for row in rows
                    for word, kind in row.replayed.items()
                ),
            ),
            _array(
                "fixed",
                "FIXED",
                (
                    (_string(row.name), _string(word), f"{{{_string(answer)}, {len(answer)}}}")
                    for row in rows
                    for word, answer in row.fixed.items()
                ),
            ),
            "",
        ]
    )


def _definitions(folder: str, mark: str) -> Mapping[str, str | int | float]:
    return {
        "PROGRAM": PROGRAM,
        "FOLDER": folder,
        "SOURCED": f". {shlex.quote(f'{folder}/{PROGRAM}')}",
        "MARK": mark,
        "VERSION": __version__,
        "FORMAT": replies.FORMAT,
        "HEAD": replies.HEAD,
        "LARGEST": replies.LARGEST,
        "BACKWARDS": replies.BACKWARDS,
        "MARKED": replies.MARKED,
        "PREFIX": replies.PREFIX,
        "VERBOSE": replies.VERBOSE,
        "EXEC_INFO": tools.EXEC_INFO,
        "ABSENT": places.ABSENT,
        "CONFIG": replies.CONFIG,
        "PROOF_FILE": replies.PROOF_FILE,
        "PROOF_VARIABLES": replies.PROOF_VARIABLES,
        "SESSIONS": replies.SESSIONS,
        "MARKERS": replies.MARKERS,
        "WITHOUT_WORDS": tools.WITHOUT_WORDS,
    }


def _lists() -> Mapping[str, Iterable[str | bytes]]:
    return {
        "SECRET_VARIABLES": places.SECRET_VARIABLES,
        "CONFIDENTIAL": (line.removeprefix(b"\n") for line in replies.CONFIDENTIAL),
        "WITH_SECRETS": replies.WITH_SECRETS,
        "ROWS": tools.TOOLS,
    }


def _value(value: str | int | float) -> str:
    return _string(value) if isinstance(value, str) else repr(value)


def _string(value: str | bytes) -> str:
    """Return a string literal; what is no plain character is written in octal, in full, so that nothing joins it."""
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    plain = {ord(character) for character in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-./=:[]"}
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in data) + '"'


def _strings(name: str, values: Iterable[str | bytes]) -> str:
    return f"static const char *const {name}[] = {{{', '.join([*(_string(value) for value in values), 'NULL'])}}};"


def _array(kind: str, name: str, rows: Iterable[Iterable[str]]) -> str:
    """Return an array of structures, which ends with one of zeros."""
    items = [*(f"{{{', '.join(row)}}}" for row in rows), "{0}"]
    return f"static const struct {kind} {name}[] = {{{', '.join(items)}}};"
