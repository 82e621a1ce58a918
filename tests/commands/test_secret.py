"""The command ``secret`` with a keyring of files; the system's own is in integration/test_keyring_secrets.py.

What it refuses without a keyring is in conversations/secret.txt.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Unpack

import pytest

from credential_helper import replies, tools
from credential_helper.commands import secret
from tests.helpers.programs import CHECKOUT, DEADLINE, Launcher, Options, Result, Running

SECRET = "s3cr3t of the ci"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n"
JWK = '{"kty": "EC", "d": "s3cr3t"}'

# The command as cli.run runs it, with the keyring that the test has.
START = """\
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from credential_helper.commands import secret
from credential_helper.system.clock import SystemClock
from credential_helper.app import App
from credential_helper.errors import CredentialHelperError
from credential_helper.system.signals import Interrupted
from credential_helper.stores.named_secrets import NamedSecrets
from tests.helpers.keyrings import LOCKED, FolderKeyring

folder, refuses, *words = sys.argv[2:]
keyring = FolderKeyring(Path(folder))
keyring.refuses = {call: LOCKED for call in refuses.split()}
app = App(dict(os.environ), clock=SystemClock(), verbose=False)
app.interrupts.install()
secrets = NamedSecrets(app.state, keyring, clock=app.clock, note=app.note)
try:
    code = secret.carry_out(dict(zip(("action", "name"), words)), secrets, app)
except CredentialHelperError as error:
    app.terminal.error(error)
    code = error.exit_code
except Interrupted as stop:
    code = stop.exit_code
app.terminal.finish()
os._exit(code)
"""


class Desk:
    """A home, a keyring, and the command."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.environ = environ
        self.launcher = Launcher(environ)
        self.keyring = folder / "keyring"
        self.refuses = ""

    def start(self, *words: str, **options: Unpack[Options]) -> Running:
        command = [sys.executable, "-c", START, str(CHECKOUT), str(self.keyring), self.refuses, *words]
        return self.launcher.start(command, **options)

    def __call__(self, *words: str, stdin: bytes = b"") -> Result:
        return self.start(*words, stdin=stdin).finish()

    def kept(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.keyring.iterdir()} if self.keyring.exists() else {}

    def type(self, *words: str, **env: str) -> Running:
        """Start it on a terminal, where the person types."""
        return self.start(*words, stdin=None, terminal=True, env=env)


@pytest.fixture
def desk(environ: dict[str, str], tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(environ, tmp_path)
    yield desk
    desk.launcher.stop()


def said(result: Result) -> tuple[int, bytes, str]:
    return result.code, result.stdout, result.stderr


# --- from stdin -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdin", "kept", "setting"),
    [
        (SECRET, SECRET, "client_secret"),
        (f"{SECRET}\n", SECRET, "client_secret"),
        (f"{SECRET}\r\n", SECRET, "client_secret"),
        (f"{SECRET}\n\n", f"{SECRET}\n", "client_secret"),
        (f"  {SECRET} ", f"  {SECRET} ", "client_secret"),
        ("wörd\n", "wörd", "client_secret"),
        (PEM, PEM.removesuffix("\n"), "private_key"),
        (JWK, JWK, "private_key"),
        ("x" * secret.LARGEST, "x" * secret.LARGEST, "client_secret"),
    ],
)
def test_a_secret_comes_from_stdin_as_it_is_but_for_one_newline(
    desk: Desk, stdin: str, kept: str, setting: str
) -> None:
    result = desk("set", "ci", stdin=stdin.encode())
    assert said(result) == (0, b"", f'kept ci in the keyring; write {setting} = {{ keyring = "ci" }}\n')
    assert desk.kept() == {"ci": kept}


def test_a_second_one_says_that_it_replaces(desk: Desk) -> None:
    desk("set", "ci", stdin=b"old")
    assert said(desk("set", "ci", stdin=b"new")) == (0, b"", "replaced ci in the keyring\n")
    assert desk.kept() == {"ci": "new"}


@pytest.mark.parametrize(
    ("stdin", "problem", "hint"),
    [
        (b"", "is empty", "credential-helper secret set ci < FILE"),
        (b"\r\n", "is empty", "credential-helper secret set ci < FILE"),
        (b"s3cr3t\xff", "is not text in UTF-8", "a key has to be in the form of PEM or JWK, not of DER"),
        (b"s3cr3t\0more", "is not text in UTF-8", "a key has to be in the form of PEM or JWK, not of DER"),
        (b"s3cr3t" * 11000, "is longer than 65536 bytes", "is it the right file?"),
    ],
)
def test_what_is_no_secret_is_refused_without_a_word_of_it(desk: Desk, stdin: bytes, problem: str, hint: str) -> None:
    result = desk("set", "ci", stdin=stdin)
    told = f"credential-helper: the secret on stdin {problem}: nothing is kept\n"
    assert said(result) == (64, b"", f"{told}hint: {hint}\n")
    assert desk.kept() == {}


def test_a_locked_keyring_is_said_with_what_else_there_is(desk: Desk) -> None:
    desk.refuses = "read write delete"
    result = desk("set", "ci", stdin=SECRET.encode())
    assert (result.code, result.stdout) == (74, b"")
    assert result.stderr == (
        "credential-helper: the keyring is locked\n"
        "hint: unlock the keyring; or write { file = … } or { command = … } in the profile instead of "
        "{ keyring = … }\n"
    )


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_are_listed_and_deleted(desk: Desk) -> None:
    assert said(desk("list")) == (0, b"", "")
    for name in ("ci", "Backup-1", "a.b_c"):
        desk("set", name, stdin=SECRET.encode())
    assert said(desk("list")) == (0, b"Backup-1\na.b_c\nci\n", "")
    assert said(desk("delete", "ci")) == (0, b"", "deleted ci from the keyring\n")
    assert said(desk("list")) == (0, b"Backup-1\na.b_c\n", "")
    assert sorted(desk.kept()) == ["Backup-1", "a.b_c"]


def test_a_refusal_of_the_old_secret_is_not_remembered(desk: Desk) -> None:
    folder = Path(desk.environ["HOME"], ".local", "state", "credential-helper", "grants")
    folder.mkdir(parents=True, mode=0o700)
    for path in (folder.parent, folder):
        path.chmod(0o700)
    for name in ("a" * 64 + ".failure", "b" * 64 + ".json"):
        (folder / name).write_text("{}")
    desk("set", "ci", stdin=b"new")
    assert [path.name for path in folder.iterdir()] == ["b" * 64 + ".json"]


def test_the_list_asks_no_keyring(desk: Desk) -> None:
    desk("set", "ci", stdin=SECRET.encode())
    desk.refuses = "read write delete"
    assert said(desk("list")) == (0, b"ci\n", "")


def test_who_is_not_there_cannot_be_deleted(desk: Desk) -> None:
    result = desk("delete", "ci")
    assert said(result) == (
        78,
        b"",
        "credential-helper: the keyring has no secret ci\nhint: credential-helper secret list\n",
    )


def test_no_secret_is_in_a_file_of_ours(desk: Desk) -> None:
    desk("set", "ci", stdin=SECRET.encode())
    home = Path(desk.environ["HOME"])
    files = [path for path in home.rglob("*") if path.is_file()]
    assert [json.loads(path.read_bytes())["names"] for path in files if path.suffix == ".json"] == [["ci"]]
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


# --- typed ------------------------------------------------------------------------------------------------------------


def type_twice(running: Running, first: bytes, second: bytes) -> Result:
    running.wait_for("secret for ci: ")
    running.type(first)
    running.wait_for("the same again: ")
    running.type(second)
    return running.finish()


def test_a_person_types_it_twice_and_sees_nothing(desk: Desk) -> None:
    result = type_twice(desk.type("set", "ci"), SECRET.encode() + b"\r", SECRET.encode() + b"\r")
    assert (result.code, result.stdout) == (0, b"")
    assert result.terminal == (
        'secret for ci: \nthe same again: \nkept ci in the keyring; write client_secret = { keyring = "ci" }\n'
    )
    assert desk.kept() == {"ci": SECRET}


def test_two_that_differ_keep_nothing(desk: Desk) -> None:
    result = type_twice(desk.type("set", "ci"), b"one\r", b"other\r")
    assert result.code == 64
    assert "credential-helper: the two are not the same: nothing is kept\n" in result.terminal
    assert "one" not in result.terminal
    assert desk.kept() == {}


@pytest.mark.parametrize(
    ("keys", "code", "words"),
    [
        (b"\r", 64, "the secret is empty: nothing is kept\nhint: credential-helper secret set ci < FILE"),
        (b"\x04", 66, "nothing was typed"),
        (b"half\x03", 130, ""),
        (PEM.replace("\n", "\r").encode(), 64, "a key has many lines"),
    ],
    ids=["empty", "Ctrl-D", "Ctrl-C", "a key"],
)
def test_what_is_not_typed_is_not_kept(desk: Desk, keys: bytes, code: int, words: str) -> None:
    running = desk.type("set", "ci")
    running.wait_for("secret for ci: ")
    running.type(keys)
    result = running.finish()
    assert (result.code, result.stdout) == (code, b"")
    assert words in result.terminal
    assert "MIIE" not in result.terminal
    assert "Traceback" not in result.terminal
    assert desk.kept() == {}


def test_the_echo_comes_back_after_sigterm(desk: Desk) -> None:
    running = desk.type("set", "ci")
    running.wait_for("secret for ci: ")
    assert not running.echoes
    running.signal(signal.SIGTERM)
    running.process.wait(DEADLINE)
    assert running.echoes
    assert running.finish().code == 128 + signal.SIGTERM


def test_nobody_types_for_a_keyring_that_cannot_be_used(desk: Desk) -> None:
    desk.refuses = "read"
    result = desk.type("set", "ci").finish()
    assert result.code == 74
    assert "secret for ci" not in result.terminal


def test_in_ci_nobody_is_asked(desk: Desk) -> None:
    """A job may have a terminal (docker run -t), and would wait for ever."""
    result = desk.type("set", "ci", CI="true").finish()
    assert result.code == 66
    assert "CI is set" in result.terminal
    assert "secret for ci" not in result.terminal


def test_stdin_is_read_though_there_is_a_terminal(desk: Desk) -> None:
    result = desk.start("set", "ci", stdin=SECRET.encode(), terminal=True).finish()
    assert result.code == 0
    assert "secret for ci" not in result.terminal
    assert desk.kept() == {"ci": SECRET}


# --- the rest of the house --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["secret", "set", "ci"], ["--verbose", "secret", "set", "ci"], ["secret", "list"]])
def test_the_hot_path_leaves_its_stdin_alone(words: list[str]) -> None:
    """A secret is never part of a request that a reply could be kept for."""
    assert tools.input_of("credential-helper", words, {}) is None
    reader, writer = os.pipe()
    saved = os.dup(0)
    try:
        os.dup2(reader, 0)
        os.write(writer, SECRET.encode())
        missed = replies.replay(["credential-helper", *words], {})
        assert isinstance(missed, replies.Rest)
        assert (missed.heard, missed.request) == (None, None)
        assert os.read(0, 100) == SECRET.encode()
    finally:
        os.dup2(saved, 0)
        for descriptor in (reader, writer, saved):
            os.close(descriptor)


def test_two_at_once_both_say_what_they_did(desk: Desk) -> None:
    running = [desk.start("set", name, stdin=SECRET.encode()) for name in ("a", "b", "ci", "ci")]
    results = [one.finish() for one in running]
    assert [result.code for result in results] == [0] * 4
    assert sorted(result.stderr.partition(" ")[0] for result in results) == ["kept", "kept", "kept", "replaced"]
    assert desk("list").text == "a\nb\nci\n"


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_typed_again_after_ctrl_z(desk: Desk) -> None:
    """As a session's leader it cannot be stopped, but the label comes anew; with a shell: test_keyboard.py."""
    running = desk.type("set", "ci")
    running.wait_for("secret for ci: ")
    running.type(b"half\x1a")
    eventually(lambda: running.output("terminal").count("secret for ci: ") == 2)
    running.type(SECRET.encode() + b"\r")
    running.wait_for("the same again: ")
    running.type(SECRET.encode() + b"\r")
    assert running.finish().code == 0
    assert desk.kept() == {"ci": SECRET}
