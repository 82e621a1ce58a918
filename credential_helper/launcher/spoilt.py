"""What may be wrong in a home, or only looks as if it were: files and folders, what a head says, a machine's proof."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from credential_helper.launcher.world import (
    ANSWER,
    SESSION,
    TOKEN,
    USUAL,
    Case,
    Kept,
    Wanted,
    World,
    call_of,
    setting,
    unsetting,
)
from credential_helper.replies.keep import NEVER

FORMAT, VERSION, MADE, UNTIL, RENEW, CODE, LENGTH, ANSWER_LENGTH, STAMP = range(9)  # the lines of a head


def cases() -> Iterator[Case]:
    """Yield every case."""
    yield from _each_file()
    yield from _each_number()
    yield from _each_reason()
    yield from _each_proof()
    yield from _each_variable()


def _touch(path: str) -> None:
    os.utime(path, ns=(1, 1))


def _replaced(path: str) -> None:
    with open(path, "rb") as file:
        content = file.read()
    os.unlink(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as new:
        new.write(content)


def _link(path: str) -> None:
    moved = f"{path}.moved"
    os.rename(path, moved)
    os.symlink(moved, path)


def _folder(path: str) -> None:
    os.unlink(path)
    os.mkdir(path, 0o700)


def _no_folder(world: World, path: str) -> None:
    os.rename(path, f"{world.home}/moved")
    world.write(path, "")


def _fifo(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path, 0o600)


def _dated(path: Callable[[World], str], seconds: float) -> Callable[[World], object]:
    return lambda world: os.utime(path(world), (seconds, seconds))


def _huge(path: str) -> None:
    os.truncate(path, 5 << 20)


def _each_file() -> Iterator[Case]:
    """What happens to the files and the folders."""
    changes: dict[str, Callable[[World], object]] = {
        "the config file is rewritten": lambda w: w.write(w.config, "[profiles.test]\n"),
        "the config file is touched": lambda w: _touch(w.config),
        "the config file becomes writable by others": lambda w: os.chmod(w.config, 0o666),  # noqa: S103
        "the config file is gone": lambda w: os.unlink(w.config),
        "the config file's folder is a file": lambda w: _no_folder(w, os.path.dirname(w.config)),
        "the session is rewritten": lambda w: w.write(w.session, "[]"),
        "the session is replaced": lambda w: _replaced(w.session),
        "the session is gone": lambda w: os.unlink(w.session),
        "the session is open to others": lambda w: os.chmod(w.session, 0o644),
        "the reply is open to others": lambda w: os.chmod(w.reply, 0o640),
        "the folder of the replies is open to others": lambda w: os.chmod(w.replies, 0o750),  # noqa: S103
        "the state directory is open to others": lambda w: os.chmod(w.state, 0o755),  # noqa: S103
        "everybody may write to the state directory": lambda w: os.chmod(w.state, 0o777),  # noqa: S103
        "the reply is cut short": lambda w: os.truncate(w.reply, os.path.getsize(w.reply) - 1),
        "the reply is longer by a byte": lambda w: w.overwrite(w.read() + b"x"),
        "the reply is empty": lambda w: w.overwrite(b""),
        "the reply is a link": lambda w: _link(w.reply),
        "the reply is a folder": lambda w: _folder(w.reply),
        "the reply is a FIFO": lambda w: _fifo(w.reply),
        "the reply is huge": lambda w: _huge(w.reply),
        "the folder of the replies is a link": lambda w: _link(w.replies),
        "the folder of the replies is a file": lambda w: _no_folder(w, w.replies),
        "the state directory is a link": lambda w: _link(w.state),
        "the state directory is gone": lambda w: os.rename(w.state, f"{w.home}/moved"),
    }
    for name, change in changes.items():
        yield Case(name, "handed on", call_of(*TOKEN), USUAL, change)
    yield Case("nothing happens", "answered", call_of(*TOKEN))
    yield Case("the session is read", "answered", call_of(*TOKEN), USUAL, lambda w: os.stat(w.session))
    for year, seconds in ((2500, 16725225600.25), (1970, 0.0), (1969, -1.5), (1960, -315619200.0)):
        yield Case(
            f"the session was written in {year}",
            "answered",
            call_of(*TOKEN),
            before=_dated(lambda w: w.session, seconds),
        )
    absent = Kept(stands_on=(SESSION, "passwords/index.json"))
    index = "passwords/index.json"
    yield Case("a file is not there", "answered", call_of(*TOKEN), absent)
    yield Case(
        "a file was not there, and is",
        "handed on",
        call_of(*TOKEN),
        absent,
        lambda w: w.write(os.path.join(w.state, index), ""),
    )


def _line(number: int, text: bytes) -> Callable[[World], object]:
    return lambda world: world.line(number, text)


def _move_a_byte(world: World) -> None:
    world.line(LENGTH, b"%d" % (len(world.request() or b"") + 1))
    world.line(ANSWER_LENGTH, b"%d" % (len(ANSWER) - 1))


def _marked(age: float) -> Callable[[World], object]:
    return lambda world: world.mark(age)


def _head(name: str, wanted: Wanted, change: Callable[[World], object], kept: Kept = USUAL) -> Case:
    return Case(f"head: {name}", wanted, call_of(*TOKEN), kept, change)


def _each_number() -> Iterator[Case]:
    """What the first lines of a head say."""
    call = call_of(*TOKEN)
    yield Case("head: no end of the time is known", "answered", call, Kept(until=NEVER))
    yield Case("head: exit code 1 and silence", "answered", call, Kept(answer=b"", code=1))
    yield Case("head: exit code 255", "answered", call, Kept(code=255))
    yield Case("head: a long answer", "answered", call, Kept(answer=b"x" * 300_000))
    yield Case("head: an answer with NULs and empty lines", "answered", call, Kept(answer=b"\n\n\0\n\n"))
    yield _head("its time has passed", "handed on", lambda w: w.line(UNTIL, b"%.6f" % (w.now - 1)))
    yield _head("made 50 s from now", "answered", lambda w: w.line(MADE, b"%.6f" % (w.now + 50)))
    yield _head("made 120 s from now", "handed on", lambda w: w.line(MADE, b"%.6f" % (w.now + 120)))
    yield _head("another format", "handed on", _line(FORMAT, b"credential-helper reply 2"))
    yield _head("another version", "handed on", _line(VERSION, b"0.0.0"))
    yield _head("made at the beginning", "answered", _line(MADE, b"0.0"))
    for text in (
        *(b"nan", b"Infinity", b"INF", b"+inf", b"-inf", b"1e300", b"9e9", b"0x7fffffffffff.0", b"99999999999"),
        *(b"99999999999.", b".99999999999", b" 99999999999.0", b"99999999999.0 ", b"99_999_999_999.0", b"x", b"1.2.3"),
        *(b"99999999999.0\0", b"9" * 30 + b".0", b"\xef\xbc\x99.0", b"99999999999,0", b"-1.0", b"+9.0"),
    ):
        yield _head(f"until {text!r}", "handed on", _line(UNTIL, text))
    yield _head("until with leading zeros", "answered", _line(UNTIL, b"00099999999999.0"))
    for text in (b"256", b"-1", b"+0", b" 0", b"0 ", b"0_0", b"0x0", b"0.0", b"9999999999999", b"x", b"\xef\xbc\x90"):
        yield _head(f"exit code {text!r}", "handed on", _line(CODE, text))
    yield _head("exit code 007", "answered", _line(CODE, b"007"))
    for number, name in (
        *((FORMAT, "format"), (VERSION, "version"), (MADE, "made"), (UNTIL, "until"), (RENEW, "renew")),
        *((CODE, "code"), (LENGTH, "length"), (ANSWER_LENGTH, "answer's length")),
    ):
        yield _head(f"no {name}", "handed on", _line(number, b""))


def _each_reason() -> Iterator[Case]:
    """What a reply stands on, and how it fits to its request."""
    call = call_of(*TOKEN)
    yield _head("no session", "answered", _line(STAMP, b""))
    yield _head("lengths that do not fit", "handed on", _line(LENGTH, b"3"))
    yield _head("a byte moves from the answer to the request", "handed on", _move_a_byte)
    yield _head("the request of somebody else", "handed on", lambda w: w.swap(b"token\0prod", b"token\0test"))
    yield _head("a line without a stamp", "handed on", _line(STAMP, b"sessions"))
    yield _head("a name that is no ASCII", "handed on", lambda w: w.line(STAMP, "ä absent".encode()))
    yield _head("a name that is no UTF-8", "handed on", _line(STAMP, b"\xff absent"))
    yield _head("a name with a NUL", "handed on", _line(STAMP, b"a\0b absent"))
    yield _head("an empty name", "handed on", _line(STAMP, b" absent"))
    yield _head("one config file more", "handed on", lambda w: w.swap(b"\nconfig ", b"\nconfig absent\nconfig "))
    yield _head("one config file less", "handed on", _line(STAMP + 2, b""))
    yield _head("no config file", "handed on", lambda w: w.swap(b"\nconfig absent\nconfig ", b"\nx absent\nx "))
    yield _head("a file elsewhere, which is not there", "answered", _line(STAMP, b"../x absent"))
    yield _head("a file elsewhere, which was there", "handed on", _line(STAMP, b"../x 0"))
    yield Case("head: to be renewed ahead", "handed on", call, Kept(renew=-1))
    yield Case("head: to be renewed ahead later", "answered", call, Kept(renew=100))
    for age in (1, 30, -50):
        yield _head(f"due, and marked {age} s ago", "answered", _marked(age), Kept(renew=-1))
    for age in (70, -200):
        yield _head(f"due, and marked {age} s ago", "handed on", _marked(age), Kept(renew=-1))
    yield Case("head: due, but of no session", "answered", call, Kept(renew=-1, stands_on=("passwords/x",)))


def _each_proof() -> Iterator[Case]:
    """The file that a machine proves itself with."""
    file, call = Kept(proof_file=True), call_of(*TOKEN)
    yield Case("proof: the same file", "answered", call, file)
    yield Case("proof: another file", "handed on", call, file, lambda w: w.write(w.secret, "y"))
    yield Case("proof: no file", "handed on", call, file, lambda w: os.unlink(w.secret))

    def hexed(w: World) -> bytes:
        return os.fsencode(w.secret).hex().encode()

    spoilt: dict[str, Callable[[World], object]] = {
        "in capitals": lambda w: w.swap(hexed(w), hexed(w).upper()),
        "with a tab in it": lambda w: w.swap(hexed(w), hexed(w)[:2] + b"\t" + hexed(w)[2:]),
        "with a NUL in it": lambda w: w.swap(hexed(w), hexed(w) + b"00"),
        "of half a byte": lambda w: w.swap(hexed(w), hexed(w)[:-1]),
        "without a stamp": lambda w: w.swap(b"\nfile " + hexed(w) + b" ", b"\nfile " + hexed(w)),
        "that is none": lambda w: w.swap(hexed(w), b"zz"),
    }
    for name, change in spoilt.items():
        yield Case(f"proof: a path {name}", "handed on", call, file, change)


def _each_variable() -> Iterator[Case]:
    """The variables that a machine proves itself with."""
    with_secret = call_of(
        *TOKEN, environ={"OUR_SECRET": "x", "EMPTY": "", "CREDENTIAL_HELPER_CLIENT_SECRET": "y" * 200}
    )
    bound = Kept(variables=("OUR_SECRET", "EMPTY", "CREDENTIAL_HELPER_CLIENT_SECRET", "NOT_SET"))
    yield Case("proof: the same variables", "answered", with_secret, bound)
    odd = {"OUR_SECRET": "ä\udcff\n", "EMPTY": "x" * 5000}
    yield Case("proof: odd values", "answered", call_of(*TOKEN, environ=odd), bound)
    for name, value in (("OUR_SECRET", "z"), ("EMPTY", "z"), ("CREDENTIAL_HELPER_CLIENT_SECRET", ""), ("NOT_SET", "")):
        yield Case(
            f"proof: {name} is another",
            "handed on",
            with_secret,
            bound,
            asked=setting({name: value}),
        )
        yield Case(
            f"proof: {name} is not set",
            "answered" if name == "NOT_SET" else "handed on",
            with_secret,
            bound,
            asked=unsetting(name),
        )
    tail = b"\nvariables "

    def edited(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[World], object]:
        def edit(world: World) -> None:
            head, _, body = world.read().partition(b"\n\n")
            before, _, value = head.rpartition(tail)
            world.overwrite(before + tail + b" ".join(change(value.split(b" "))) + b"\n\n" + body)

        return edit

    words: dict[str, Callable[[list[bytes]], list[bytes]]] = {
        "a digest in capitals": lambda v: [v[0], v[1].upper(), *v[2:]],
        "a digest with a sign": lambda v: [v[0], b"+" + v[1], *v[2:]],
        "a digest that begins by 0x": lambda v: [v[0], b"0x" + v[1], *v[2:]],
        "another digest": lambda v: [v[0], v[1][:-1] + (b"0" if v[1][-1:] != b"0" else b"1"), *v[2:]],
        "no digest": lambda v: v[:1],
        "no salt": lambda v: [b"", *v[1:]],
        "a name less": lambda v: v[:-1],
        "a name more": lambda v: [*v, b"41"],
        "a name of half a byte": lambda v: [*v[:-1], v[-1][:-1]],
        "a space more": lambda v: [*v, b""],
        "a name with a tab": lambda v: [*v[:-1], v[-1] + b"\t"],
    }
    for name, change_words in words.items():
        yield Case(f"proof: {name}", "handed on", with_secret, bound, edited(change_words))
