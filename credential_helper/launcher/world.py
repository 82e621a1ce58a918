"""What a case is made in: a home with a config file, a session, and a reply that ``keep`` has kept for a call.

Then something is changed there, and the call, or another one, is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from credential_helper import PROGRAM, places, replies, tools
from credential_helper.replies.keep import NEVER, keep
from credential_helper.system.clock import SystemClock

Wanted = Literal["answered", "handed on"]

ANSWER = b'{"token":"the-token"}\n'
SESSION = "sessions/" + "a" * 64 + ".json"
MARKER = replies.MARKERS + "/" + "a" * 64 + ".ahead"
ENTRY = b"protocol=https\nhost=example.com\n\n"
INFO = '{"kind":"ExecCredential"}'
TOKEN = ("token", "prod")


class Call(msgspec.Struct, frozen=True):
    """What a tool calls us with. ``argv[0]`` is a name without a folder."""

    argv: tuple[str, ...]
    environ: dict[str, str] = {}
    stdin: bytes = b""


class World:
    """A home with a session and a reply, and the call that the reply is for."""

    def __init__(self, folder: str, call: Call) -> None:
        self.home = os.path.join(folder, "home")
        self.environ = {"HOME": self.home} | {name: self.filled(value) for name, value in call.environ.items()}
        self.call = msgspec.structs.replace(
            call, argv=tuple(self.filled(word) for word in call.argv), environ=self.environ
        )
        os.makedirs(os.path.join(self.home, "run"), 0o700)
        self.state = places.state_directory(self.environ) or ""
        self.now = SystemClock().now()
        self.config = os.path.join(self.home, ".config", PROGRAM, "config.toml")
        self.session = os.path.join(self.state, SESSION)
        self.secret = os.path.join(self.home, "secret")
        for path, content in ((self.config, "[profiles.prod]\n"), (self.session, "{}"), (self.secret, "x")):
            self.write(path, content)
        if self.state:
            os.chmod(self.state, 0o700)

    def filled(self, text: str) -> str:
        """Return a value with the home's path in it."""
        return text.replace("HOME", self.home) if text.startswith("HOME") else text

    def write(self, path: str, content: str) -> None:
        """Write a file that nobody else may read, and make its folders."""
        if not os.path.isabs(path):
            return
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)

    def keep(self, kept: Kept) -> None:
        """Keep the reply."""
        request = self.request()
        if request is None:
            return
        keep(
            request,
            kept.answer,
            until=kept.until if kept.until == NEVER else self.now + kept.until,
            state_files=[(name, replies.stamp_now(os.path.join(self.state, name)) or "") for name in kept.stands_on],
            config_stamps=None,
            environ=self.environ,
            proof_files=[(self.secret, replies.stamp_now(self.secret) or "")] if kept.proof_file else (),
            proof_variables=[(name, self.environ.get(name)) for name in kept.variables],
            renew=kept.renew if kept.renew == NEVER else self.now + kept.renew,
            code=kept.code,
        )

    def request(self) -> bytes | None:
        """Return the request of the call, as ``replies.replay`` makes it."""
        argv, environ = self.call.argv, self.environ
        kind = tools.input_of(argv[0], list(argv[1:]), environ)
        data: bytes | None = b""
        if kind == tools.ENVIRONMENT:
            data = os.fsencode(environ.get(tools.EXEC_INFO, ""))
        elif kind == tools.SECRETLESS:
            data = replies.without_secrets(self.call.stdin)
        elif kind != tools.NOTHING:
            data = self.call.stdin
        return None if kind is None or data is None else replies.request_of(argv, environ, data)

    @property
    def replies(self) -> str:
        """Return the folder of the replies."""
        return os.path.join(self.state, "replies")

    @property
    def reply(self) -> str:
        """Return the path of the only reply."""
        (name,) = os.listdir(self.replies)
        return os.path.join(self.replies, name)

    def read(self) -> bytes:
        """Return the reply."""
        with open(self.reply, "rb") as file:
            return file.read()

    def overwrite(self, content: bytes) -> None:
        """Put other bytes into the reply."""
        with open(self.reply, "wb") as file:
            file.write(content)

    def line(self, number: int, text: bytes) -> None:
        """Write another line into the head; empty: take it out."""
        head, _, body = self.read().partition(b"\n\n")
        lines = head.split(b"\n")
        lines[number : number + 1] = [text] if text else []
        self.overwrite(b"\n".join(lines) + b"\n\n" + body)

    def swap(self, old: bytes, new: bytes) -> None:
        """Write something else into the reply."""
        content = self.read()
        assert old in content
        self.overwrite(content.replace(old, new, 1))

    def mark(self, age: float) -> None:
        """Leave the mark of a process that renews."""
        path = os.path.join(self.state, MARKER)
        self.write(path, "")
        os.utime(path, (self.now - age, self.now - age))


class Kept(msgspec.Struct, frozen=True):
    """What a reply says; ``until`` and ``renew`` are seconds from now."""

    answer: bytes = ANSWER
    until: float = 600.0
    renew: float = NEVER
    code: int = 0
    stands_on: tuple[str, ...] = (SESSION,)
    proof_file: bool = False
    variables: tuple[str, ...] = ()


USUAL = Kept()


class Case(msgspec.Struct, frozen=True):
    """One row. ``before`` is done before the reply is kept, ``change`` after it.

    ``asked`` is what is asked in the end, where that is not the call that the reply was kept for.
    """

    name: str
    wanted: Wanted
    call: Call
    kept: Kept | None = USUAL
    change: Callable[[World], object] | None = None
    asked: Callable[[Call], Call] | None = None
    before: Callable[[World], object] | None = None

    def prepare(self, folder: str) -> Call:
        """Make the home of the case in a folder, and return the call that has to be judged there."""
        world = World(folder, self.call)
        if self.before is not None:
            self.before(world)
        if self.kept is not None:
            world.keep(self.kept)
        if self.change is not None:
            self.change(world)
        return world.call if self.asked is None else self.asked(world.call)


def call_of(*words: str, stdin: bytes = b"", program: str = PROGRAM, environ: Mapping[str, str] | None = None) -> Call:
    """Return a call by its words; a value that begins by HOME has the home's path there."""
    return Call((program, *words), dict(environ or {}), stdin)


def setting(environ: Mapping[str, str]) -> Callable[[Call], Call]:
    """Return what sets variables of a call."""
    return lambda call: msgspec.structs.replace(call, environ={**call.environ, **environ})


def unsetting(name: str) -> Callable[[Call], Call]:
    """Return what takes a variable out of a call."""
    return lambda call: msgspec.structs.replace(call, environ={k: v for k, v in call.environ.items() if k != name})
