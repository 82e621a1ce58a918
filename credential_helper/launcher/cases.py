"""What tools ask, in every way that the tables know, and where the state and the configuration may be.

Both readers answer a case, with the same bytes, or neither does; ``spoilt`` has what is wrong in a home.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import msgspec

from credential_helper import PROGRAM, replies, tools
from credential_helper.launcher import spoilt
from credential_helper.launcher.world import (
    ENTRY,
    INFO,
    TOKEN,
    Call,
    Case,
    Kept,
    Wanted,
    World,
    call_of,
    setting,
    unsetting,
)


def cases() -> Iterator[Case]:
    """Yield every case."""
    yield from _each_tool()
    yield from spoilt.cases()
    yield from _each_state()
    yield from _each_config()
    yield from _each_request()
    yield from _each_stdin()


def _stdin(kind: str) -> bytes:
    return {tools.STDIN: b"example.com\n", tools.LINES: ENTRY, tools.SECRETLESS: ENTRY}.get(kind, b"")


def _each_tool() -> Iterator[Case]:
    """Each operation that the table names, by each name that it has."""
    for row in tools.TOOLS.values():
        for program, words in ((PROGRAM, (row.name,)), *((name, ()) for name in row.names)):
            for word, kind in row.replayed.items():
                all_words = (*words, word) if word else (*words, "--profile", "prod")
                kinds = (tools.ENVIRONMENT, tools.LINES) if kind == tools.EITHER else (kind,)
                for one in kinds:
                    environ = {tools.EXEC_INFO: INFO} if one == tools.ENVIRONMENT else {}
                    call = Call((program, *all_words), environ, _stdin(one))
                    said = " ".join(call.argv)
                    yield Case(f"{said}, {one}", "answered", call)
                    yield Case(f"{said}, {one}, nothing kept", "handed on", call, None)
            for word in row.fixed:
                call = Call((program, *words, word))
                said = " ".join(call.argv)
                yield Case(f"{said}: always the same", "answered", call, None)
                verbose = msgspec.structs.replace(call, environ={replies.VERBOSE: "1"})
                yield Case(f"{said}, and somebody wants to read", "handed on", verbose, None)
                more = msgspec.structs.replace(call, argv=(*call.argv, "x"))
                yield Case(f"{said}, and one word more", "handed on", more, None)
            yield Case(f"{program} {row.name} no-such-word", "handed on", call_of(*words, "no-such-word"), None)


def _mode(mode: int) -> Callable[[World], object]:
    return lambda world: os.chmod(f"{world.home}/run", mode)


def _each_state() -> Iterator[Case]:
    """Where the state directory is."""
    on_nothing = Kept(stands_on=())
    for name, environ, wanted in (
        ("named", {"CREDENTIAL_HELPER_STATE_DIR": "HOME/there"}, "answered"),
        ("named from home", {"CREDENTIAL_HELPER_STATE_DIR": "~/there"}, "answered"),
        ("named with slashes at its end", {"CREDENTIAL_HELPER_STATE_DIR": "HOME/there//"}, "answered"),
        ("a relative path", {"CREDENTIAL_HELPER_STATE_DIR": "there"}, "handed on"),
        ("by XDG", {"XDG_STATE_HOME": "HOME/xdg"}, "answered"),
        ("by an XDG that is relative", {"XDG_STATE_HOME": "xdg"}, "answered"),
        ("beside a runtime directory", {"XDG_RUNTIME_DIR": "HOME"}, "answered"),
        ("beside a relative runtime directory", {"XDG_RUNTIME_DIR": "x"}, "answered"),
    ):
        yield Case(f"state: {name}", wanted, call_of(*TOKEN, environ=environ))  # type: ignore[arg-type]
    for name, environ, wanted in (
        ("of the default, on no file", {}, "answered"),
        ("of the default, spelled otherwise", {"XDG_STATE_HOME": "HOME/.local//share/.././state/"}, "answered"),
        ("of another, on no file", {"XDG_STATE_HOME": "HOME/xdg"}, "handed on"),
        ("of another, named, on no file", {"CREDENTIAL_HELPER_STATE_DIR": "HOME/there"}, "handed on"),
    ):
        yield Case(f"state: {name}", wanted, call_of(*TOKEN, environ=environ), on_nothing)  # type: ignore[arg-type]
    yield Case(
        "state: by a link, the default's",
        "answered",
        call_of(*TOKEN),
        on_nothing,
        lambda w: os.symlink(f"{w.home}/.local", f"{w.home}/linked"),
        lambda c: setting({"XDG_STATE_HOME": f"{c.environ['HOME']}/linked/state"})(c),
    )
    runtime = {"XDG_STATE_HOME": "/dev/null", "XDG_RUNTIME_DIR": "HOME/run"}
    in_runtime = call_of(*TOKEN, environ=runtime)
    yield Case("state: in the runtime directory", "answered", in_runtime)
    yield Case("state: in the runtime directory, on no file", "handed on", in_runtime, on_nothing)
    for mode in (0o750, 0o500):
        yield Case(
            f"state: in a runtime directory of mode {mode:o}",
            "handed on" if mode & 0o077 else "answered",
            in_runtime,
            change=_mode(mode),
        )


def _each_config() -> Iterator[Case]:
    """Where the config files are, and home."""
    for name, value in (
        ("named", "HOME/c.toml"),
        ("named from home", "~/c.toml"),
        ("named from home as Windows has it", "~\\c.toml"),
        ("that is home", "~"),
        ("that is home, with a slash", "~/"),
        ("of somebody else's home", "~root/c.toml"),
        ("of a relative path", "c.toml"),
        ("that is no name", ""),
    ):
        yield Case(f"config: {name}", "answered", call_of(*TOKEN, environ={"CREDENTIAL_HELPER_CONFIG": value}))
    yield Case(
        "config: by XDG",
        "answered",
        call_of(*TOKEN, environ={"XDG_CONFIG_HOME": "HOME/xdg"}),
    )
    yield Case("config: by an XDG that is relative", "answered", call_of(*TOKEN, environ={"XDG_CONFIG_HOME": "xdg"}))
    yield Case(
        "config: by an XDG that is the usual one",
        "answered",
        call_of(*TOKEN),
        asked=lambda c: setting({"XDG_CONFIG_HOME": f"{c.environ['HOME']}/.config"})(c),
    )
    yield Case("config: by another XDG", "handed on", call_of(*TOKEN), asked=setting({"XDG_CONFIG_HOME": "/xdg"}))
    yield Case("home: of slashes at its end", "answered", call_of(*TOKEN, environ={"HOME": "HOME//"}))
    yield Case("home: is not set", "handed on", call_of(*TOKEN), asked=unsetting("HOME"))
    named = {"CREDENTIAL_HELPER_STATE_DIR": "HOME/there", "CREDENTIAL_HELPER_CONFIG": "HOME/c.toml"}
    yield Case(
        "home: is not set, and not asked for",
        "answered",
        call_of(*TOKEN, environ=named),
        asked=unsetting("HOME"),
    )


def _each_request() -> Iterator[Case]:
    """What a request consists of, beside stdin."""

    def asked(name: str, wanted: Wanted, change: Callable[[Call], Call]) -> Case:
        return Case(f"request: {name}", wanted, call_of(*TOKEN), asked=change)

    def argv(*words: str) -> Callable[[Call], Call]:
        return lambda c: msgspec.structs.replace(c, argv=(PROGRAM, *words))

    yield asked("another profile", "handed on", argv("token", "test"))
    yield asked("one word more", "handed on", argv("token", "prod", ""))
    yield asked("one word less", "handed on", argv("token"))
    yield asked("words that are joined", "handed on", argv("token\nprod"))
    yield asked("an option before the command", "handed on", argv("--verbose", "token", "prod"))
    yield asked("no such command", "handed on", argv("prod"))
    yield asked("a command for people", "handed on", argv("status"))
    yield asked("no command", "handed on", argv())
    yield asked("another name", "handed on", lambda c: msgspec.structs.replace(c, argv=("other", *TOKEN)))
    yield Case("request: by another name", "answered", call_of(*TOKEN, program="other"))
    yield Case("request: by a name with spaces", "answered", call_of(*TOKEN, program="an other's"))
    yield Case("request: no command, lines", "answered", call_of(stdin=ENTRY))
    yield Case("request: no command, ExecCredential", "answered", call_of(environ={tools.EXEC_INFO: INFO}))
    yield Case("request: odd words", "answered", call_of("token", "", "\udcff\n\\\x01 '\"$(", "ä"))
    yield asked("a variable more", "handed on", setting({"CREDENTIAL_HELPER_SCOPE": "x"}))
    yield asked("an empty variable more", "handed on", setting({"CREDENTIAL_HELPER_SCOPE": ""}))
    yield asked("a secret variable more", "answered", setting({"CREDENTIAL_HELPER_PASSWORD": "x"}))
    yield asked("somebody else's variable more", "answered", setting({"CREDENTIAL_HELPE": "x", "OTHER": "y"}))
    yield asked("another git", "handed on", setting({"GIT_EXEC_PATH": "/usr/libexec"}))
    several = {
        f"{replies.PREFIX}{name}": "x"
        for name in ("B", "A", "A_", "A1", "", "a", "ä", "\udcff", "\uff21", "\U0001d400")
    }
    yield Case("request: several variables", "answered", call_of(*TOKEN, environ=several))
    yield Case("request: a long word", "answered", call_of("token", "x" * 60_000))
    yield Case("request: a word that is too long", "handed on", call_of("token", "x" * replies.LARGEST))
    yield Case("request: a word of two bytes a letter", "handed on", call_of("token", "ä" * 40_000))


def _each_stdin() -> Iterator[Case]:
    """What is on stdin, and what is answered to it."""
    longest, lines, stored = replies.LARGEST, call_of("get", stdin=ENTRY), call_of("store", stdin=ENTRY)

    def asked(name: str, wanted: Wanted, base: Call, stdin: bytes) -> Case:
        return Case(f"stdin: {name}", wanted, base, asked=lambda c: msgspec.structs.replace(c, stdin=stdin))

    by_stdin = next(
        (row.name, word) for row in tools.TOOLS.values() for word in row.replayed if row.replayed[word] == tools.STDIN
    )
    whole = call_of(*by_stdin, stdin=b"x" * longest)
    yield Case("stdin: the longest", "answered", whole)
    yield asked("stdin is another", "handed on", whole, b"y" * longest)
    yield asked("stdin is one byte longer", "handed on", whole, b"x" * (longest + 1))
    yield asked("stdin is of 300 KB", "handed on", whole, bytes(range(256)) * 1200)
    yield asked("stdin is empty", "handed on", whole, b"")
    yield asked("lines of 300 KB", "handed on", lines, b"wwwauth[]=x\n" * 25_000 + b"\n")
    yield asked("lines without an end", "handed on", lines, ENTRY[:-1])
    yield Case("stdin: lines as Windows ends them", "answered", call_of("get", stdin=ENTRY.replace(b"\n", b"\r\n")))
    yield Case("stdin: JSON with empty lines", "answered", call_of("get", stdin=b'\n {\n\n"a":1\n\n}\n'))
    yield Case("stdin: nothing", "answered", call_of("get"))
    yield Case("stdin: NULs", "answered", call_of("get", stdin=b"\0\0\n\n"))
    for line in (*replies.WITH_SECRETS, b"url="):
        confidential = b"protocol=https\n" + line + b"x\nhost=example.com\n\n"
        wanted: Wanted = "handed on" if b"\n" + line in replies.CONFIDENTIAL else "answered"
        yield Case(f"stdin: lines with {line!r}", wanted, call_of("get", stdin=confidential))
        if line in replies.WITH_SECRETS:
            yield asked(f"store with {line!r}", "answered", stored, line + b"x\n" + ENTRY)
            yield asked(f"store, which ends by {line!r}", "answered", stored, ENTRY[:-1] + line + b"x")
    yield asked("store, and something behind it", "answered", stored, ENTRY + b"host=x\n")
    yield asked("store of another host", "handed on", stored, b"host=x\n\n")
    yield asked("store with a NUL", "handed on", stored, b"a\0\n" + ENTRY)
    yield asked("store with a CR", "handed on", stored, ENTRY.replace(b"\n", b"\r\n"))
