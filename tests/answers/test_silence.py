"""Silence is an answer, too: what is said where nothing is served is kept, and never where a password would be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from credential_helper import places, replies
from credential_helper.answers import docker as docker_answers
from credential_helper.answers import git as git_answers
from credential_helper.answers.call import Call
from credential_helper.app import App
from credential_helper.stores.sessions import Sessions
from credential_helper.tools import TOOLS
from tests.helpers.clock import FakeClock
from tests.helpers.keyrings import MemoryKeyring
from tests.helpers.sessions import keep, token

CONFIG = """\
[profiles.prod]
issuer = "https://idp.example.com"
client_id = "client"
store = "file"
git = ["https://git.example.com"]
docker = ["registry.example.com"]
"""
NOT_FOUND = b"credentials not found in native keychain"


class House:
    def __init__(self, environ: dict[str, str], capture: Any) -> None:
        self.environ = environ
        self.clock = FakeClock(time.time())
        self._capture = capture
        self.config = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
        self.config.parent.mkdir(parents=True)
        self.write(CONFIG)

    def write(self, text: str) -> None:
        self.config.write_text(text)
        self.config.chmod(0o600)

    @property
    def state(self) -> Path:
        found = places.state_directory(self.environ)
        assert found is not None
        return Path(found)

    def answer(self, argv: Sequence[str], data: bytes) -> tuple[int, bytes, bytes]:
        """Answer by the slow path."""
        app = App(self.environ, clock=self.clock, verbose=False)
        call = Call(argv=argv, heard=data, app=app)
        self._capture.readouterr()
        if argv[0].startswith("git"):
            code = git_answers.answer(call, TOOLS["git"], {"operation": argv[-1]})
        else:
            code = docker_answers.answer(call, TOOLS["docker"], argv[1:])
        app.terminal.finish()
        return (code, *self._capture.readouterr())

    def replayed(self, argv: Sequence[str], data: bytes) -> tuple[int, bytes] | None:
        """Answer by the hot path; None: it does not."""
        tool_input = replies.without_secrets(data) if argv[-1] == "store" else data
        request = replies.request_of(argv, self.environ, tool_input) if tool_input is not None else None
        found = replies.find(request, self.environ) if request is not None else None
        return None if found is None else (found.code, found.answer)

    def sign_in(self) -> None:
        profile = App(self.environ, clock=self.clock, verbose=False).owners({}).configuration.profile("prod")  # type: ignore[union-attr]
        sessions = Sessions(App(self.environ, clock=self.clock, verbose=False).state, MemoryKeyring(), note=print)
        keep(sessions, profile, access=token("t", self.clock.now()), refresh_token="r")


@pytest.fixture
def house(environ: dict[str, str], capfdbinary: Any) -> House:
    return House(environ, capfdbinary)


GIT, DOCKER = "git-credential-helper", "docker-credential-helper"


def lines(*pairs: str, host: str = "git.example.com") -> bytes:
    return "".join(f"{line}\n" for line in ("protocol=https", f"host={host}", *pairs, "")).encode()


SILENT: dict[str, tuple[tuple[str, ...], bytes, bytes, tuple[int, bytes]]] = {
    "git store of ours": (
        (GIT, "store"),
        lines("username=oauth2", "password=one", "password_expiry_utc=1", "oauth_refresh_token=a"),
        lines("username=oauth2", "password=two", "password_expiry_utc=2"),
        (0, b""),
    ),
    "git store of another's": (
        (GIT, "store"),
        lines("username=a", "password=one", host="elsewhere.example"),
        lines("username=a", "password=two", host="elsewhere.example"),
        (0, b""),
    ),
    "git store of a header": (
        (GIT, "store"),
        lines("authtype=Basic", "credential=one", "state[]=credential_helper:0123456789abcdef"),
        lines("authtype=Basic", "credential=two"),
        (0, b""),
    ),
    "git get of another's": (
        (GIT, "get"),
        lines(host="elsewhere.example"),
        lines(host="elsewhere.example"),
        (0, b""),
    ),
    "docker get of another's": ((DOCKER, "get"), b"elsewhere.example", b"elsewhere.example", (1, NOT_FOUND)),
}


@pytest.mark.parametrize("what", SILENT)
def test_what_is_not_served_is_replayed(house: House, what: str) -> None:
    argv, first, second, said = SILENT[what]
    house.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "off"
    assert house.replayed(argv, second) is None
    code, stdout, stderr = house.answer(argv, first)
    assert (code, stdout.strip(), stderr) == (*said, b"")
    found = house.replayed(argv, second)
    assert found is not None
    assert found == (code, stdout)


@pytest.mark.parametrize("what", SILENT)
def test_a_host_that_is_ours_from_now_on_is_served(house: House, what: str) -> None:
    argv, first, second, _ = SILENT[what]
    house.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "off"
    house.answer(argv, first)
    house.write(CONFIG.replace("example.com", "elsewhere.example").replace("git.elsewhere", "elsewhere"))
    assert house.replayed(argv, second) is None


def test_no_secret_is_written(house: House) -> None:
    argv, first, _, _ = SILENT["git store of ours"]
    secret = lines("username=oauth2", "password=canary-1", "credential=canary-2", "oauth_refresh_token=canary-3")
    house.answer(argv, first)
    house.answer(argv, secret)
    kept = [reply.read_bytes() for reply in (house.state / "replies").iterdir()]
    assert len(kept) == 1
    assert b"canary" not in kept[0]
    assert b"one" not in kept[0].partition(b"\n\n")[2]


@pytest.mark.parametrize("storage", ["file", "keyring"])
def test_where_a_password_would_be_stored_no_store_is_replayed(house: House, storage: str) -> None:
    house.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = storage
    argv, first, second, _ = SILENT["git store of another's"]
    house.answer(argv, first)
    assert house.replayed(argv, second) is None
    argv, first, second, said = SILENT["git store of ours"]
    house.answer(argv, first)
    assert house.replayed(argv, second) == said


def test_a_password_that_is_stored_later_is_answered(house: House) -> None:
    house.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    argv, first, _, said = SILENT["git get of another's"]
    house.answer(argv, first)
    assert house.replayed(argv, first) == said
    house.answer((GIT, "store"), lines("username=a", "password=b", host="elsewhere.example"))
    assert house.replayed(argv, first) is None
    assert b"password=b\n" in house.answer(argv, first)[1]
    assert house.replayed(argv, first) is None


def test_a_password_of_another_host_ends_no_silence_for_good(house: House) -> None:
    house.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    argv, first, _, said = SILENT["docker get of another's"]
    house.answer((DOCKER, "store"), b'{"ServerURL":"other.example","Username":"a","Secret":"b"}')
    assert house.replayed(argv, first) is None
    house.answer(argv, first)
    found = house.replayed(argv, first)
    assert found is not None
    assert (found[0], found[1].strip()) == said


def test_what_is_wrong_is_told_again(house: House) -> None:
    house.write(CONFIG + "\n[profiles.other]\ngit = 5\n")
    argv, first, second, _ = SILENT["git get of another's"]
    house.answer(argv, first)
    assert house.replayed(argv, second) is None


@pytest.mark.parametrize(
    "data",
    [
        b"protocol=https\nhost=elsewhere.example\nurl=https://ada:canary@elsewhere.example\n\n",
        b"protocol=https\nhost=elsewhere.example\r\n\r\n",
        b"protocol=https\nhost=elsewhere.example\nusername=\0\n\n",
        b"protocol=https\nhost=elsewhere.example\n" + b"wwwauth[]=x\n" * 8000 + b"\n",
    ],
    ids=["a URL", "CR", "NUL", "too long"],
)
def test_a_store_that_git_would_not_write_is_not_kept(house: House, data: bytes) -> None:
    house.answer((GIT, "store"), data)
    assert not (house.state / "replies").exists()


def test_a_pasted_url_is_not_kept(house: House) -> None:
    house.answer((DOCKER, "get"), b"https://ada:canary@elsewhere.example")
    assert not (house.state / "replies").exists()


def test_a_renewal_leaves_silence_and_what_stands_on_other_sessions(house: House) -> None:
    argv, first, second, said = SILENT["git store of ours"]
    house.sign_in()
    house.answer(argv, first)
    house.answer((GIT, "get"), lines())
    assert house.replayed((GIT, "get"), lines()) is not None
    house.sign_in()
    assert house.replayed((GIT, "get"), lines()) is None
    assert house.replayed(argv, second) == said


Chosen = Callable[[dict[str, str], Path], None]


@pytest.mark.parametrize("variable", ["CREDENTIAL_HELPER_STATE_DIR", "XDG_STATE_HOME"])
def test_in_a_folder_that_somebody_may_have_brought_it_stands_on_a_mark(
    house: House, tmp_path: Path, variable: str
) -> None:
    house.environ[variable] = str(tmp_path / "state")
    argv, first, second, said = SILENT["git store of ours"]
    house.answer(argv, first)
    assert house.replayed(argv, second) == said
    (mark,) = house.state.glob("origin-*")
    mark.unlink()
    assert house.replayed(argv, second) is None


def test_only_what_is_fixed_is_said_without_a_look(house: House) -> None:
    assert TOOLS["git"].fixed == {"capability": b"version 0\ncapability authtype\ncapability state\n"}
    assert house.answer((GIT, "capability"), b"") == (0, TOOLS["git"].fixed["capability"], b"")
