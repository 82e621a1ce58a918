"""What every tool's answers have in common: a subclass says what is mine, what is not, and what is broken.

Each test runs the program as the tool would, in a process of its own, with a session that is signed in already.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import pytest

from credential_helper.profiles.configuration import load
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from credential_helper.tools import TOOLS
from tests.helpers.programs import CHECKOUT
from tests.helpers.sessions import keep, token

TOKEN = "the-access-token-of-prod"
CONFIG = """
[profiles.prod]
issuer = "https://idp.example.com/"
client_id = "client"
audience = "https://api.example.com"
store = "file"
"""

# Runs the program, and says on the last line of stderr how often it wrote to stdout.
PROGRAM = """
import os, sys
write, leave, writes = os.write, os._exit, []
def counted(descriptor, data):
    writes.extend([data] * (descriptor == 1))
    return write(descriptor, data)
def left(code):
    write(2, b"writes: %d\\n" % len(writes))
    leave(code)
sys.path.insert(0, {root!r})
from credential_helper.light import system
os.write = system.write = counted
os._exit = system._exit = left
sys.argv = sys.argv[1:]
from credential_helper.__main__ import main
main()
"""


def write_config(environ: dict[str, str], listed: str) -> None:
    config = Path(environ["HOME"]) / ".config" / "credential-helper" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(CONFIG + listed + "\n")
    config.chmod(0o600)


class Outcome(NamedTuple):
    code: int
    stdout: bytes
    stderr: str
    writes: int


class ToolContract:
    """A tool's ten lines: the class attributes, and how a token is found in an answer."""

    tool: ClassVar[str]
    words: ClassVar[tuple[str, ...]] = ()  # what follows the command
    listed: ClassVar[str] = ""  # the line of the profile that makes it ours
    mine: ClassVar[bytes] = b""
    broken: ClassVar[tuple[tuple[bytes, bytes, int], ...]] = ()  # request, stdout, exit code
    refused: ClassVar[tuple[bytes, int]] = (b"", 66)  # stdout and code where nobody is signed in, nor can be asked

    def token(self, stdout: bytes) -> str:
        """Return the token of an answer."""
        raise NotImplementedError

    def declined(self, stdout: bytes) -> bytes:
        """Return what the class attributes call stdout, of a refusal."""
        return stdout

    def handed_over(self, data: bytes) -> tuple[bytes, dict[str, str]]:
        """Return stdin and the variables by which the tool hands a request over."""
        return data, {}

    # --- the world ---

    @pytest.fixture
    def home(self, tmp_path: Path) -> dict[str, str]:
        """A home with one profile, and somebody signed in to it."""
        environ = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        write_config(environ, self.listed)
        profile = load(environ).profile("prod")
        keep(self.sessions(environ), profile, access=token(TOKEN, time.time()))
        return environ

    def sessions(self, environ: dict[str, str]) -> Sessions:
        folder = Path(environ["HOME"]) / ".local" / "state" / "credential-helper"
        return Sessions(State(str(folder)), cast(Any, None), note=lambda _: None)

    def sign_out(self, environ: dict[str, str]) -> None:
        sessions = self.sessions(environ)
        for one in sessions.grants.ids("json"):
            sessions.erase(one)

    def run(self, environ: dict[str, str], data: bytes, *words: str) -> Outcome:
        stdin, variables = self.handed_over(data)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(root=str(CHECKOUT)), *(words or self.command)],
            input=stdin,
            env=environ | variables,
            capture_output=True,
            start_new_session=True,
            timeout=60,
        )
        said, _, count = done.stderr.decode().rstrip("\n").rpartition("writes: ")
        return Outcome(done.returncode, done.stdout, said, int(count))

    @property
    def command(self) -> tuple[str, ...]:
        return ("credential-helper", self.tool, *self.words)

    # --- the contract ---

    def test_mine_is_answered_in_one_write_and_in_silence(self, home: dict[str, str]) -> None:
        done = self.run(home, self.mine)
        assert (done.code, done.stderr, done.writes) == (0, "", 1)
        assert self.token(done.stdout) == TOKEN

    def test_the_same_again_is_the_same_answer(self, home: dict[str, str]) -> None:
        first, second = self.run(home, self.mine), self.run(home, self.mine)
        assert second == first
        replies = Path(home["HOME"]) / ".local" / "state" / "credential-helper" / "replies"
        assert len(list(replies.iterdir())) == 1

    def test_its_own_program_s_name_is_enough(self, home: dict[str, str]) -> None:
        for name in TOOLS[self.tool].names:
            assert self.token(self.run(home, self.mine, f"/usr/bin/{name}", *self.words).stdout) == TOKEN

    def test_mine_but_broken_is_refused_with_a_sentence(self, home: dict[str, str]) -> None:
        assert self.broken
        for data, stdout, code in self.broken:
            done = self.run(home, data)
            assert (done.code, self.declined(done.stdout)) == (code, stdout)
            assert (done.stderr + done.stdout.decode()).strip()
            assert "Traceback" not in done.stderr

    def test_nobody_signed_in_is_told_and_no_token_is_made_up(self, home: dict[str, str]) -> None:
        self.sign_out(home)
        done = self.run(home, self.mine)
        assert (self.declined(done.stdout), done.code) == self.refused
        assert "sign" in done.stderr
        assert "Traceback" not in done.stderr


class ListedToolContract(ToolContract):
    """A tool that is served for the URLs or servers that a profile lists."""

    others: ClassVar[bytes]  # a request for another host
    not_mine: ClassVar[tuple[bytes, int]]  # stdout and exit code
    silent: ClassVar[bool] = True  # about another host

    def test_not_mine_is_said_in_the_tool_s_own_way(self, home: dict[str, str]) -> None:
        done = self.run(home, self.others)
        assert (self.declined(done.stdout), done.code) == self.not_mine
        assert (done.stderr == "") is self.silent

    def test_without_a_list_nothing_is_mine(self, home: dict[str, str]) -> None:
        write_config(home, "")
        done = self.run(home, self.mine)
        assert TOKEN.encode() not in done.stdout
