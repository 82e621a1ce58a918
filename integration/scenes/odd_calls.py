"""Calls and homes at random, for both readers of kept replies: a reply is kept, then this and that is changed.

All that happens follows from a seed, but for the clock.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from credential_helper import places, replies, tools
from credential_helper.launcher.cases import cases
from credential_helper.launcher.world import INFO, SESSION, Call, Kept, World
from credential_helper.replies.keep import NEVER

CALLS = [case.call for case in cases()]

NAMES = (
    *("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "GIT_EXEC_PATH", tools.EXEC_INFO, "OUR_SECRET"),
    *("CREDENTIAL_HELPER_STATE_DIR", "CREDENTIAL_HELPER_CONFIG", replies.VERBOSE, *places.SECRET_VARIABLES),
    *(f"{replies.PREFIX}{name}" for name in ("", "A", "A_", "A1", "a", "ä")),
    *(f"{replies.PREFIX}{name}" for name in ("\udcff", "\udc80", "\uff21", "\U0001d400")),
    *("CREDENTIAL_HELPER", "credential_helper_a", "PATH", "LANG"),
)
VALUES = (
    *("", "x", "y", "HOME", "HOME/", "HOME//", "HOME/there", "HOME/run", "HOME/run/", "HOME/.local/state"),
    *("HOME/.local/../.local/state", "HOME/.local/./state//", "HOME/run/../there", "/dev/null", "/dev/null/x", "//x"),
    *("~", "~/", "~/there", "~\\there", "~//there", "~root", "there", "./there", ".", "ä", "\udcff", INFO),
    *("a=b", "a\nb"),
)
WORDS = (
    *(row.name for row in tools.TOOLS.values()),
    *(word for row in tools.TOOLS.values() for word in (*row.replayed, *row.fixed)),
    *("prod", "--profile", "--verbose", "", "x", "ä", "\udcff\udcfe", "-", "a\nb", "x" * 3000),
)
PROGRAMS = (
    *("credential-helper", *(name for row in tools.TOOLS.values() for name in row.names)),
    *("other", "an other", "credential-helper.exe", "sh"),
)
LINES = (
    *(b"protocol=https\n", b"host=example.com\n", b"\n", b"\r\n", b"\n\n", b" ", b"\t", b"{", b"[", b'"', b"\0", b"x"),
    *(b"state[]=other:1\n", b"url=https://example.com\n", b"\xff\xfe"),
    *(line + b"x\n" for line in replies.WITH_SECRETS),
)
TOKENS = (
    *(b"\n", b"\n\n", b" ", b"\0", b"0", b"1", b"9", b"255", b"256", b".", b"inf", b"nan", b"-", b"+", b"_"),
    *(b"absent", b"config", b"\nconfig absent", b"file", b"\nfile 2f absent", b"variables", b"\nvariables 00 00"),
    *(b"sessions/", b".json", b"../", b"/", b"./x absent", b"\nx absent", b"\n absent", b"2.0", b"99999999999.0"),
    *(b"A", b"f", b"\xff", b"e5", b"0x"),
    *(replies.FORMAT.encode(), b"\xc3\xa4", b"\t", b"\r"),
)
_INDEX = "passwords/index.json"
MODES = (0o700, 0o755, 0o770, 0o707, 0o600, 0o640, 0o604, 0o644, 0o500, 0o000)


def _values(rng: random.Random, home: str) -> str:
    value = rng.choice(VALUES)
    if rng.random() < 0.1:
        value += rng.choice(VALUES)
    return value.replace("HOME", home) if value.startswith("HOME") else value


def mutated(call: Call, rng: random.Random, home: str) -> Call:
    """Return another call."""
    what = rng.choice(("variable", "variable", "variable", "word", "program", "stdin", "unset", "long"))
    argv, environ, stdin = list(call.argv), dict(call.environ), call.stdin
    if what == "variable":
        environ[rng.choice(NAMES)] = _values(rng, home)
    elif what == "unset" and environ:
        del environ[rng.choice(sorted(environ))]
    elif what == "word":
        at = rng.randrange(1, len(argv) + 1)
        argv[at : at + rng.randrange(2)] = [rng.choice(WORDS)] * rng.randrange(3)
    elif what == "program":
        argv[0] = rng.choice(PROGRAMS)
    elif what == "long":
        size = replies.LARGEST + rng.randrange(-3, 3)
        where = rng.choice(("stdin", "lines", "word", "huge"))
        if where == "word":
            argv.append("x" * (size - rng.randrange(400)))
        else:
            long = {"stdin": b"y" * size, "lines": b"a=b\n" * (size // 4) + b"\n", "huge": b"z\n" * 150_000}
            stdin = long[where]
    elif what == "stdin":
        pieces = [stdin, *(rng.choice(LINES) for _ in range(rng.randrange(4)))]
        rng.shuffle(pieces)
        stdin = b"".join(pieces)[rng.choice((0, 0, 0, 1)) :]
    return msgspec.structs.replace(call, argv=tuple(argv), environ=environ, stdin=stdin)


def _kept(rng: random.Random) -> Kept:
    several = ("OUR_SECRET", "NOT_SET", *places.SECRET_VARIABLES)
    return Kept(
        answer=rng.choice((b"", b"x", b"an answer\n", b"\n\n", b"\0" * 10, b"x" * 100_000)),
        until=rng.choice((600.0, 600.0, 3600.0, NEVER)),
        renew=rng.choice((NEVER, NEVER, 600.0, -1.0)),
        code=rng.choice((0, 0, 1, 255)),
        stands_on=rng.choice(((SESSION,), (SESSION,), (), (_INDEX,), (SESSION, _INDEX))),
        proof_file=rng.random() < 0.2,
        variables=tuple(rng.sample(several, rng.randrange(4))) if rng.random() < 0.3 else (),
    )


def _spoil_bytes(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        head = content.find(b"\n\n") + 2
        at = rng.randrange(max(1, head if rng.random() < 0.8 else len(content)))
        how = rng.choice(("flip", "insert", "cut", "token", "token", "line", "digit"))
        if how == "flip" and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif how == "insert":
            content[at:at] = bytes([rng.randrange(256)])
        elif how == "cut":
            del content[at : at + rng.choice((1, 2, 8))]
        elif how == "token":
            content[at : at + rng.choice((0, 0, 1, 3))] = rng.choice(TOKENS)
        elif how == "digit":
            digits = [index for index, byte in enumerate(content[:head]) if 48 <= byte < 58]
            if digits:
                content[rng.choice(digits)] = rng.choice(b"0123456789")
        elif how == "line":
            lines = bytes(content[:head]).split(b"\n")
            one = rng.randrange(len(lines))
            lines[one:one] = [rng.choice(lines), rng.choice(TOKENS)][: rng.randrange(3)]
            if rng.random() < 0.5:
                del lines[rng.randrange(len(lines))]
            content[:head] = b"\n".join(lines)
    path.write_bytes(content)


def _replace(path: Path, _rng: random.Random) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def _link(path: Path, rng: random.Random) -> None:
    moved = path.with_name(f"moved-{rng.randrange(1000)}")
    path.rename(moved)
    path.symlink_to(moved)


def _grow(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.choice((0, 1, 100, 4 << 20, (4 << 20) + 1)))


CHANGES: tuple[Callable[[Path, random.Random], object], ...] = (
    lambda path, rng: path.chmod(rng.choice(MODES)),
    lambda path, rng: os.utime(path, ns=(0, rng.choice((0, 1, -1, 10**9, 16725225600 * 10**9, -(10**18) - 5)))),
    lambda path, _: path.unlink(),
    lambda path, _: path.write_bytes(b"{}"),
    lambda path, _: shutil.rmtree(path),
    _replace,
    _link,
    _grow,
)


def _spoil(world: World, rng: random.Random) -> None:
    """Change something in a home."""
    kept = list(Path(world.replies).glob("*-*")) if world.state else []
    if kept and rng.random() < 0.6:
        _spoil_bytes(rng.choice(kept), rng)
    elif rng.random() < 0.15:
        world.mark(rng.choice((0.0, 20.0, 120.0, -20.0, -200.0)))
    else:
        every = sorted(Path(world.home).rglob("*"))
        rng.choice(CHANGES)(rng.choice([*kept, *every]), rng)


def odd(seed: str, folder: Path) -> Call | None:
    """Make a home in a folder, and return the call that has to be judged there; None: none came about."""
    rng = random.Random(seed)
    call = rng.choice(CALLS)
    home = str(folder / "home")
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        call = mutated(call, rng, home)
    if not _stays_in(home, call):
        return None
    with contextlib.suppress(OSError):  # where a state directory or a session cannot be made there is no reply
        world = World(str(folder), call)
        if rng.random() < 0.95:
            world.keep(_kept(rng))
        call = world.call
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            with contextlib.suppress(OSError):
                _spoil(world, rng)
    call = msgspec.structs.replace(call, environ={"HOME": home} | call.environ)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
        call = mutated(call, rng, home)
    return call


def _stays_in(home: str, call: Call) -> bool:
    """Say whether a reply to a call would be kept in a home, and nowhere else on this machine."""
    chosen = [call.environ.get(name, home) for name in ("HOME", "XDG_STATE_HOME", "CREDENTIAL_HELPER_STATE_DIR")]
    return chosen[0] != "" and not any(
        value.startswith("/") and not value.startswith((home, "/dev/null")) for value in chosen
    )
