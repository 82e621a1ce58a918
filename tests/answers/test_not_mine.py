"""A host that nobody lists is left to others, whatever is wrong with files, variables, flags or the state directory.

git never gets ``quit=1``, docker its sentence for "no credentials" and never another one, Bazel that no profile lists
what it asks for.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credential_helper import places
from credential_helper.answers import docker as docker_answers
from credential_helper.answers import git as git_answers
from credential_helper.answers import plain
from credential_helper.answers.call import Call
from credential_helper.app import App
from credential_helper.profiles.settings import PROFILE_KEYS, SETTINGS
from credential_helper.stores.passwords import INDEX
from credential_helper.tools import TOOLS
from tests.helpers.clock import FakeClock

HOST = "nobody-lists-this.example"
NOT_FOUND = b"credentials not found in native keychain\n"

# --- a file of any shape ----------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "https://git.example.com",
        "https://*.corp",
        "*",
        "",
        " ",
        "x",
        "\x1b[31m",
        "\ud800",
        "é",
        "https://a@b",
        "a" * 400,
    ]
)
KEYS = st.one_of(
    st.sampled_from([*PROFILE_KEYS, "url", "server", "username", "env", "file", "x.y", "é"]), st.text(max_size=4)
)
VALUES = st.recursive(
    st.one_of(WORDS, st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
GOOD = {
    "issuer": "https://idp.example.com",
    "client_id": "x",
    "git": ["https://git.example.com"],
    "docker": ["r.example"],
}
PROFILES = st.one_of(
    VALUES,
    st.dictionaries(
        st.one_of(st.sampled_from(["prod", "a b", "a.b", "", "é"]), st.text(max_size=4)),
        st.one_of(VALUES, st.just(GOOD), st.dictionaries(KEYS, VALUES, max_size=4).map(lambda more: {**GOOD, **more})),
        max_size=3,
    ),
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "profiles": PROFILES,
        "default_profile": VALUES,
        "password_storage": st.one_of(VALUES, st.sampled_from(["auto", "keyring", "file", "off"])),
        "secret_files": VALUES,
        "prod": VALUES,
    },
)


def toml(value: object) -> str:
    """Write a value as TOML; a lone surrogate stays one, so that the file is no UTF-8 then."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value)


def document(table: Mapping[str, object]) -> bytes:
    return "".join(f"{key} = {toml(value)}\n" for key, value in table.items()).encode(errors="surrogatepass")


@st.composite
def cut(draw: Any, whole: Any) -> bytes:
    """Return a file with a piece taken out or put in: a typing error."""
    text: bytes = draw(whole)
    at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 5))
    piece: bytes = draw(
        st.one_of(st.just(b""), st.binary(max_size=3), st.sampled_from([b"[", b"]", b'"', b"=", b"\n"]))
    )
    return text[:at] + piece + text[at + length :]


CONTENTS = st.one_of(DOCUMENTS.map(document), cut(DOCUMENTS.map(document)), st.binary(max_size=40))
KINDS = st.sampled_from(["file", "file", "file", "folder", "fifo", "loop", "absent", "a file above", "zero"])
MODES = st.one_of(st.sampled_from([0o600, 0o644, 0o664, 0o666, 0o000]), st.integers(0, 0o777))
OWNERS = st.sampled_from([(-1, -1), (-1, -1), (12345, -1), (-1, 12345)])


def put(path: Path, kind: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "a file above":
        path.parent.rmdir()
        path.parent.write_bytes(content)
    elif kind == "file":
        path.write_bytes(content)
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, *owner)


# --- variables and flags ----------------------------------------------------------------------------------------------

NAMES = sorted(
    {setting.variable for setting in SETTINGS if setting.variable}
    | {
        f"CREDENTIAL_HELPER_{name}"
        for name in ("PROFILE", "CONFIG", "PASSWORD_STORAGE", "INTERACTIVE", "CLIENT_SECRET")
    }
    | {"XDG_CONFIG_HOME", "XDG_STATE_HOME", "CREDENTIAL_HELPER_STATE_DIR", "HOME", "SUDO_UID", "AUDIANCE"}
)
TEXT = st.one_of(
    WORDS.filter(lambda word: "\ud800" not in word), st.sampled_from(["prod", "~/x", "/dev/null/x", "/proc/nowhere"])
)
VARIABLES = st.dictionaries(st.sampled_from(NAMES), TEXT, max_size=3)
FLAGS = st.dictionaries(
    st.sampled_from([setting.name for setting in SETTINGS if setting.flag and not setting.switch] + ["profile"]),
    WORDS,
    max_size=2,
).map(
    lambda flags: {
        name: [word] if any(one.name == name and one.repeat for one in SETTINGS) else word
        for name, word in flags.items()
    }
)


RECORD = {"tool": "docker", "attributes": {"server": "x"}, "secrets": None, "record": None}
INDEXES = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.just(b"[" * 5000),
    st.fixed_dictionaries(
        {"version": st.sampled_from([1, 2, 99, "1", None]), "records": st.one_of(VALUES, st.just([RECORD]))},
        optional={"discarded": VALUES},
    ).map(lambda index: json.dumps(index).encode()),
)


class World:
    """A home of any shape, and the answers to three tools in it."""

    def __init__(self, home: Path, capture: Any, environ: dict[str, str]) -> None:
        self.home = home
        self.capture = capture
        self.environ = environ

    def git(self, operation: str, flags: Mapping[str, object]) -> tuple[int, bytes]:
        lines = f"protocol=https\nhost={HOST}\nusername=a\npassword=b\n".encode()
        given = {**flags, "operation": operation}
        return self._run(
            ["git-credential-helper", operation], lines, lambda call: git_answers.answer(call, TOOLS["git"], given)
        )

    def docker(self, action: str) -> tuple[int, bytes]:
        server = b"unused" if action == "list" else HOST.encode()
        words = [action]
        return self._run(
            ["docker-credential-helper", action],
            server,
            lambda call: docker_answers.answer(call, TOOLS["docker"], words),
        )

    def bazel(self, flags: Mapping[str, object]) -> tuple[int, bytes]:
        asked = json.dumps({"uri": f"https://{HOST}/a"}).encode()
        given = {**flags, "operation": "get"}
        return self._run(
            ["bazel-credential-helper", "get"], asked, lambda call: plain.answer(call, TOOLS["bazel"], given)
        )

    def _run(self, argv: Sequence[str], heard: bytes, answer: Any) -> tuple[int, bytes]:
        app = App(self.environ, clock=FakeClock(), verbose=False)
        self.capture.readouterr()
        code = answer(Call(argv=argv, heard=heard, app=app))
        out, self.said = self.capture.readouterr()
        return code, out

    def check(self, flags: Mapping[str, object]) -> None:
        for operation in ("get", "store", "erase"):
            code, out = self.git(operation, flags)
            assert out == b""
            assert (code, self.said) == (0, b"") or operation == "store", self.said  # a disk that keeps no password
        assert self.docker("get") == (1, NOT_FOUND)
        code, out = self.docker("erase")
        assert (code, out) == (0, b"")
        code, out = self.docker("list")
        assert (code, type(json.loads(out))) == (0, dict)
        code, out = self.bazel(flags)
        assert (code, out) == (78, b"")
        assert f"no profile lists https://{HOST}/a for bazel".encode() in self.said


@pytest.mark.skipif(places.WINDOWS, reason="modes, owners and FIFOs")
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    kind=KINDS,
    content=CONTENTS,
    mode=MODES,
    owner=OWNERS,
    variables=st.one_of(st.just({}), VARIABLES),
    flags=st.one_of(st.just({}), FLAGS),
    index=INDEXES,
    state_mode=st.sampled_from([0o700, 0o700, 0o777, 0o000]),
)
def test_a_host_that_nobody_lists_is_left_to_others(
    tmp_path_factory: pytest.TempPathFactory,
    capfdbinary: Any,
    environ: dict[str, str],
    kind: str,
    content: bytes,
    mode: int,
    owner: tuple[int, int],
    variables: Mapping[str, str],
    flags: Mapping[str, object],
    index: bytes | None,
    state_mode: int,
) -> None:
    home = tmp_path_factory.mktemp("home")
    put(home / ".config" / "credential-helper" / "config.toml", kind, content, mode, owner)
    state = home / ".local" / "state" / "credential-helper"
    if index is not None:
        (state / INDEX).parent.mkdir(parents=True)
        (state / INDEX).write_bytes(index)
        state.chmod(state_mode)
    with contextlib.chdir(home):
        World(home, capfdbinary, {**environ, "HOME": str(home), **variables}).check(flags)


# --- where it is told -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(places.WINDOWS, reason="terminals")
@pytest.mark.parametrize("tool", ["git", "docker"])
def test_the_trouble_is_told_once_where_stderr_is_a_terminal(
    tmp_path: Path, capfdbinary: Any, environ: dict[str, str], tool: str
) -> None:
    config = Path(environ["HOME"]) / ".config" / "credential-helper" / "config.toml"
    put(config, "file", b"", 0o606, (-1, -1))
    world = World(tmp_path, capfdbinary, environ)
    master, slave = pty.openpty()
    stderr = os.dup(2)
    os.dup2(slave, 2)
    try:
        answered = world.git("get", {}) if tool == "git" else world.docker("get")
        if tool == "git":
            world.git("store", {})
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(slave)
    said = os.read(master, 4096).decode()
    os.close(master)
    assert answered == ((0, b"") if tool == "git" else (1, NOT_FOUND))
    assert said.replace("\r\n", "\n") == (
        f"credential-helper: warning: {config}: others may write to it\nhint: chmod go-w {config}\n"
    )
