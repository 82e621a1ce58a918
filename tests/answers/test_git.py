"""git's calls, from lines on stdin to lines on stdout: who gets a token, who gets silence, and what is kept."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from credential_helper import places, replies
from credential_helper.answers import git as git_answers
from credential_helper.answers.call import Call
from credential_helper.answers.stored_passwords import DOCKER
from credential_helper.app import App
from credential_helper.broker import freshness
from credential_helper.errors import UsageError
from credential_helper.model import Identity, Profile, Token
from credential_helper.profiles.choose import choose
from credential_helper.session import Grant, Place, Session, place_of
from credential_helper.stores import lock
from credential_helper.stores.sessions import Sessions
from credential_helper.tools import TOOLS, git
from integration.servers.hostile_provider import (
    Behaviour,
    HostileProvider,
    answer,
    half_json,
    html,
    oauth_error,
    rate_limited,
    reset,
    signing_key,
)
from tests.helpers.broker import CODE
from tests.helpers.clock import FakeClock
from tests.helpers.requests import request_by
from tests.helpers.sessions import keep, token

HOST = "git.example.com"
GIT = "https://git.example.com"  # the audience of its tokens, where it has one of its own
CAPABLE = ("capability[]=authtype", "capability[]=state")
STATE_OF_OLD = "credential_helper:" + hashlib.sha256(b"old-token").hexdigest()[:16]


class Answer(msgspec.Struct):
    """What one call left behind."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.decode().splitlines()

    @property
    def values(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.lines)

    @property
    def silent(self) -> bool:
        return (self.code, self.stdout, self.stderr) == (0, b"", "")


class World:
    """A home with two profiles, a provider, a git that says its version, and what git says."""

    def __init__(
        self, provider: HostileProvider, environ: dict[str, str], clock: FakeClock, capfdbinary: Any, tmp_path: Path
    ) -> None:
        self.provider = provider
        self.environ = environ
        self.clock = clock
        self._capture = capfdbinary
        home = Path(environ["HOME"])
        self.config = home / ".config" / "credential-helper" / "config.toml"
        self.config.parent.mkdir(parents=True)
        self.state = home / ".local" / "state" / "credential-helper"
        self.issued = 0
        self.asked_git = tmp_path / "asked"
        self._bin = tmp_path / "bin"
        self._bin.mkdir()
        environ["PATH"] = str(self._bin)
        environ["CREDENTIAL_HELPER_INTERACTIVE"] = "never"
        provider.serve_metadata(device_authorization_endpoint=provider.url + "/device")
        self.configure()
        self.git("2.55.0")

    def configure(self, *, more: str = "", top: str = "", git: str | None = None) -> None:
        """Write two profiles: prod with ``git`` and ``more``, and other."""
        listed = git or f'["https://{HOST}", "https://{HOST}:8443", "http://127.0.0.1:8080"]'
        self.config.write_text(
            f'{top}\n[profiles.prod]\nissuer = "{self.provider.issuer}"\nclient_id = "client"\nstore = "file"\n'
            f"git = {listed}\n{more}\n"
            f'[profiles.other]\nissuer = "{self.provider.issuer}"\nclient_id = "other"\n'
            'git = ["https://other.example.com"]\n'
        )

    def git(self, version: str | None) -> None:
        """Put a git on PATH that says its version and that it was asked; None: there is none."""
        program = self._bin / "git"
        program.unlink(missing_ok=True)
        if version is not None:
            program.write_text(f"#!/bin/sh\necho \"$@\" >>'{self.asked_git}'\necho git version {version}\n")
            program.chmod(0o700)

    # --- a session ---

    @property
    def profile(self) -> Profile:
        return Profile(name="prod", issuer=self.provider.issuer, client_id="client", store="file")

    @property
    def sessions(self) -> Sessions:
        return self.app.sessions(self.profile)

    @property
    def app(self) -> App:
        return App(self.environ, clock=self.clock, verbose=False)

    def sign_in(self, access: str = "old-token", *, age: float = 120.0, refresh: bool = True, **other: Any) -> None:
        """Keep a session whose token came ``age`` seconds ago and lives an hour."""
        changes = {
            "access": self.a_token(access, age=age),
            "scope": ("openid",),
            "identity": Identity(subject="1", name="ada", claims=(("preferred_username", "ada"),)),
            **other,
        }
        keep(self.sessions, self.profile, refresh_token="refresh-token" if refresh else None, **changes)

    def a_token(self, value: str = "old-token", *, age: float = 120.0) -> Token:
        return token(value, self.clock.now(), age=age, left=3600 - age)

    @property
    def place(self) -> Place:
        return place_of(self.profile)

    @property
    def session(self) -> Session:
        stored = self.sessions.read(self.place)
        assert stored is not None
        return stored.session

    @property
    def grant(self) -> Grant:
        return self.session.grant

    @property
    def token(self) -> str | None:
        return self.session.access.value.reveal() if self.session.access else None

    def renews(self) -> None:
        """Let every refresh bring new tokens."""
        more = [
            answer({"access_token": f"new-{n}", "token_type": "Bearer", "expires_in": 3600, "refresh_token": f"r-{n}"})
            for n in range(1, 9)
        ]
        self.provider.script("/token", *more)

    @property
    def grants(self) -> int:
        return len(self.provider.to("/token"))

    # --- what git does ---

    def call(
        self, operation: str, *lines: str | bytes, argv: tuple[str, ...] = (), given: Mapping[str, object] | None = None
    ) -> Answer:
        """Answer one call in a process of its own, as it were."""
        data = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        app = self.app
        words = ("/usr/bin/git-credential-helper", *argv, operation)
        call = Call(argv=words, heard=data, app=app)
        self._capture.readouterr()
        try:
            code = git_answers.answer(call, TOOLS["git"], {**(given or {}), "operation": operation})
        finally:
            app.terminal.finish()
        stdout, stderr = self._capture.readouterr()
        return Answer(code, stdout, stderr.decode())

    def get(self, *lines: str | bytes, host: str = HOST, **more: Any) -> Answer:
        return self.call("get", "protocol=https", f"host={host}", *lines, **more)

    def store(self, *lines: str | bytes, host: str = "elsewhere.example", **more: Any) -> Answer:
        return self.call("store", "protocol=https", f"host={host}", *lines, **more)

    def erase(self, *lines: str | bytes, host: str = HOST, **more: Any) -> Answer:
        return self.call("erase", "protocol=https", f"host={host}", *lines, **more)

    def replayed(self, *lines: str, argv: tuple[str, ...] = ()) -> bytes | None:
        """Return what the hot path would answer to the same ``get``."""
        data = "".join(f"{line}\n" for line in ("protocol=https", f"host={HOST}", *lines)).encode()
        words = ("/usr/bin/git-credential-helper", *argv, "get")
        request = replies.request_of(words, self.environ, data)
        found = None if request is None else replies.find(request, self.environ)
        return None if found is None else found.answer


@pytest.fixture
def world(environ: dict[str, str], capfdbinary: Any, tmp_path: Path) -> Iterator[World]:
    clock = FakeClock(time.time())  # what the hot path goes by
    with HostileProvider(now=clock.now) as provider:
        yield World(provider, environ, clock, capfdbinary, tmp_path)


def basic(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


# --- a host that a profile lists --------------------------------------------------------------------------------------


def test_a_listed_host_gets_the_token_as_a_password(world: World) -> None:
    world.sign_in()
    got = world.get()
    expiry = int(world.clock.now() - 120 + 3600)
    assert got.lines == ["username=oauth2", "password=old-token", f"password_expiry_utc={expiry}"]
    assert (got.code, got.stderr) == (0, "")


@pytest.mark.parametrize(
    ("version", "lines", "form"),
    [
        ("2.39.5", (), "password"),
        ("2.55.0", CAPABLE, "basic"),
        ("2.54.0", (*CAPABLE, "wwwauth[]=Basic realm=x"), "basic"),
        ("2.54.0", (*CAPABLE, 'wwwauth[]=Basic realm="x"', "wwwauth[]=Bearer"), "bearer"),
        ("2.53.1", (*CAPABLE, "wwwauth[]=Bearer"), "password"),
        ("2.46.0", (*CAPABLE, "wwwauth[]=Bearer"), "password"),
        (None, (*CAPABLE, "wwwauth[]=Bearer"), "password"),
        ("next", (*CAPABLE, "wwwauth[]=Bearer"), "password"),
    ],
)
def test_the_form_is_one_that_this_git_sends(
    world: World, version: str | None, lines: tuple[str, ...], form: git.Form
) -> None:
    world.sign_in()
    world.git(version)
    found = world.get(*lines).values
    one = {
        "password": {"username": "oauth2", "password": "old-token"},
        "bearer": {"authtype": "Bearer", "credential": "old-token", "ephemeral": "1"},
        "basic": {"authtype": "Basic", "credential": basic("oauth2:old-token"), "ephemeral": "1"},
    }
    secrets = {"username", "password", "authtype", "credential", "ephemeral"}
    assert {name: value for name, value in found.items() if name in secrets} == one[form]


def test_git_is_asked_for_its_version_where_it_matters_only(world: World) -> None:
    world.sign_in()
    world.get()
    assert not world.asked_git.exists()
    world.get(*CAPABLE)
    assert world.asked_git.read_text() == "version\n"
    world.configure(git=f'[{{ url = "https://{HOST}", scheme = "basic" }}]')
    assert world.get(*CAPABLE).values["password"] == "old-token"
    world.configure(git=f'[{{ url = "https://{HOST}", scheme = "bearer" }}]')
    assert world.get(*CAPABLE).values["credential"] == "old-token"
    assert world.asked_git.read_text() == "version\n"


def test_the_git_that_calls_us_is_asked_once_for_as_long_as_it_is_the_same(world: World) -> None:
    world.sign_in()
    world.environ["GIT_EXEC_PATH"] = str(world._bin)
    for _ in range(3):
        assert world.get(*CAPABLE).values["authtype"] == "Basic"
    assert world.asked_git.read_text() == "version\n"
    world.git("2.53.0")
    assert world.get(*CAPABLE).values["username"] == "oauth2"
    assert world.asked_git.read_text() == "version\n" * 2


def test_a_git_that_may_be_a_script_for_several_is_asked_each_time(world: World) -> None:
    world.sign_in()
    world.environ["GIT_EXEC_PATH"] = "/usr/lib/git-core"
    for _ in range(3):
        world.get(*CAPABLE)
    assert world.asked_git.read_text() == "version\n" * 3


def test_git_s_version_is_asked_for_without_our_secrets(world: World) -> None:
    world.sign_in()
    world.environ["CREDENTIAL_HELPER_CLIENT_SECRET"] = "canary"
    world.environ["CI_SECRET"] = "canary"
    world.configure(more='client_authentication = "basic"\nclient_secret = { env = "CI_SECRET" }')
    program = world._bin / "git"
    program.write_text(f"#!/bin/sh\n/usr/bin/env >'{world.asked_git}'\necho git version 2.55.0\n")
    assert "credential" in world.get(*CAPABLE).values
    seen = world.asked_git.read_text()
    assert "HOME=" in seen
    assert "canary" not in seen


def test_bearer_that_git_cannot_send_is_said_and_nobody_else_is_asked(world: World) -> None:
    world.sign_in()
    world.configure(git=f'[{{ url = "https://{HOST}", scheme = "bearer" }}]')
    got = world.get()
    assert (got.code, got.stdout) == (78, b"quit=1\n")
    assert got.stderr.splitlines()[1] == "hint: git 2.46 and newer can"


@pytest.mark.parametrize(("username", "name"), [("oauth2", "oauth2"), ("{preferred_username}", "ada"), ("x", "x")])
def test_the_user_name_is_the_configured_one_whatever_git_says(world: World, username: str, name: str) -> None:
    world.sign_in()
    world.configure(git=f'[{{ url = "https://{HOST}", username = "{username}" }}]')
    assert world.get("username=bob").values["username"] == name


def test_a_claim_that_is_not_there_is_our_error_with_the_profile_s_name(world: World) -> None:
    world.sign_in()
    world.configure(git=f'[{{ url = "https://{HOST}", username = "{{nick}}" }}]')
    got = world.get()
    assert (got.code, got.stdout) == (78, b"quit=1\n")
    assert got.stderr.startswith('credential-helper: prod: username = "{nick}": the ID token has no such claim\n')


def test_a_claim_is_not_needed_where_bearer_carries_no_name(world: World) -> None:
    world.sign_in()
    world.configure(git=f'[{{ url = "https://{HOST}", username = "{{nick}}" }}]')
    assert world.get(*CAPABLE, "wwwauth[]=Bearer").values["credential"] == "old-token"


def test_the_profile_s_token_setting_holds_for_git(world: World) -> None:
    world.sign_in(id=token("the-id-token", world.clock.now()))
    world.configure(more='token = "id"')
    assert world.get().values["password"] == "the-id-token"


@pytest.mark.parametrize("access", ["a\nhost=evil.example", "a\rb", "two words"])
def test_a_token_that_would_break_out_prints_nothing(world: World, access: str) -> None:
    """CVE-2020-5260."""
    world.sign_in(access)
    got = world.get()
    assert (got.code, got.stdout) == (76, b"quit=1\n")
    assert "evil" not in got.stderr


def test_nobody_signed_in_is_our_sentence_and_nobody_else_is_asked(world: World) -> None:
    got = world.get()
    assert (got.code, got.stdout) == (66, b"quit=1\n")
    host = world.provider.url.partition("://")[2]
    assert got.stderr == (
        f"credential-helper: prod: nobody is signed in to {host}: CREDENTIAL_HELPER_INTERACTIVE says never\n"
        "hint: credential-helper login prod\n"
    )


def test_a_prompt_names_git_and_what_the_token_is_for(world: World) -> None:
    world.environ["CREDENTIAL_HELPER_INTERACTIVE"] = "always"
    world.provider.script("/device", answer(CODE))
    world.provider.script("/token", oauth_error("access_denied"))
    got = world.get("path=team/a.git")
    assert (got.code, got.stdout) == (77, b"quit=1\n")
    first, second = got.stderr.splitlines()[:2]
    assert first.startswith("credential-helper: git needs a sign-in to prod (")
    assert second == f"  for https://{HOST}/team/a.git: openid profile email offline_access"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("[profiles.prod", 0o600),
        ("profiles = 1", 0o600),
        ("[profiles]\nprod = 1", 0o600),
        ("", 0o606),
        ("\0" * 9, 0o600),
    ],
)
def test_a_config_file_that_cannot_be_read_owns_nothing(world: World, text: str, mode: int) -> None:
    world.config.write_text(text)
    world.config.chmod(mode)
    for operation in (world.get, world.store, world.erase):
        assert operation("username=a", "password=b", host="github.com").silent
    world.environ["CREDENTIAL_HELPER_VERBOSE"] = "1"
    said = world.get(host="github.com").stderr
    assert "config.toml: " in said


def test_a_mistake_in_a_profile_is_for_its_own_hosts(world: World) -> None:
    """git would ask neither another helper nor a person for any host."""
    world.sign_in()
    world.configure(
        more='[profiles.x]\nflow = 1\ngit = ["https://*.corp", "https://x.example.com"]\n[profiles.y]\ngit = 1\n'
    )
    assert world.get().values["password"] == "old-token"
    assert world.get(host="github.com").silent
    got = world.get(host="x.example.com")
    assert (got.code, got.stdout) == (78, b"quit=1\n")
    said = [line.partition("profiles.x.")[2].partition(":")[0] for line in got.stderr.splitlines()]
    assert said[:2] == ["flow", "git[0]"]


@pytest.mark.parametrize(
    "given",
    [
        {"profile": "nope"},
        {"profile": ""},
        {"profile": "prod", "issuer": "https://x"},
        {"issuer": "x"},
        {"issuer": "https://x", "git": ["*"]},
        {"provider": "githb"},
        {"git": ["*"]},
        {"parameters": ["x"]},
        {"flow": "x"},
    ],
)
def test_a_flag_that_is_wrong_owns_nothing(world: World, given: dict[str, object]) -> None:
    for operation in (world.get, world.store, world.erase):
        assert operation("username=a", "password=b", host="github.com", given=dict(given)).silent


def test_whose_a_host_is_not_is_told_under_verbose(world: World) -> None:
    world.environ["CREDENTIAL_HELPER_VERBOSE"] = "1"
    said = world.get(host="127.0.0.1:1").stderr
    assert said.count(": read ") == 1
    assert (
        f"no profile lists https://127.0.0.1:1; prod lists https://{HOST}, https://{HOST}:8443, http://127.0.0.1:8080; "
        "other lists https://other.example.com"
    ) in said


def test_what_a_listed_host_asks_for_makes_a_session_of_its_own(world: World) -> None:
    world.sign_in(refresh=False)
    world.configure(git=f'[{{ url = "https://{HOST}", audience = "{GIT}" }}]')
    assert world.get().code == 66


@pytest.mark.parametrize(
    ("entry", "name"),
    [(f'audience = "{GIT}"', "audience"), (f'resource = "{GIT}"', "resource"), (f'resource = ["{GIT}"]', "resource")],
)
def test_the_sign_in_of_the_profile_brings_it_and_keeps_its_own_token(world: World, entry: str, name: str) -> None:
    world.sign_in(resources=(GIT,))
    world.configure(git=f'[{{ url = "https://{HOST}", {entry} }}, "http://127.0.0.1:8080"]')
    access = signing_key("ES256", "k1").sign(world.provider.claims("client", aud=GIT))
    world.provider.script("/token", answer({"access_token": access, "token_type": "Bearer", "expires_in": 3600}))
    for _ in range(2):
        assert world.get().values["password"] == access
    [asked] = world.provider.to("/token")
    assert (asked.field("grant_type"), asked.field(name)) == ("refresh_token", GIT)
    assert world.token == "old-token"
    got = world.call("get", "protocol=http", "host=127.0.0.1:8080")
    assert got.values["password"] == "old-token"
    assert world.erase(f"password={access}").silent
    assert world.token == "old-token"


def test_a_token_for_somebody_else_is_never_answered_for_it(world: World) -> None:
    """Some providers ignore an audience that they cannot serve, and send a token for the old one."""
    world.sign_in()
    world.configure(git=f'[{{ url = "https://{HOST}", audience = "{GIT}" }}]')
    other = signing_key("ES256", "k1").sign(world.provider.claims("client", aud="https://api.example.com"))
    world.provider.script("/token", answer({"access_token": other, "token_type": "Bearer", "expires_in": 3600}))
    got = world.get()
    assert (got.code, got.stdout) == (66, b"quit=1\n")
    assert world.token == "old-token"


def test_an_entry_may_be_a_table_and_have_a_path(world: World) -> None:
    world.sign_in()
    world.configure(git=f'[{{ url = "https://{HOST}/team", username = "t" }}, {{ url = "https://{HOST}/team/a" }}]')
    assert world.get("path=team/b.git").values["username"] == "t"
    assert world.get("path=team/a").values["username"] == "oauth2"
    for path in ("team2/b.git", "x/team/b.git", "team/../other", "team//b", "team/./b", "team\\b", "Team/b"):
        assert world.get(f"path={path}").silent
    assert world.get().silent
    world.environ["CREDENTIAL_HELPER_VERBOSE"] = "1"
    assert "credential.useHttpPath" in world.get().stderr


def test_an_issuer_on_the_command_line_needs_no_file(world: World) -> None:
    world.config.write_text("broken")
    flags = {"issuer": world.provider.issuer, "client_id": "client", "git": [f"https://{HOST}"], "store": "file"}
    keep(world.sessions, choose(request_by("git"), flags, world.environ).profile, access=world.a_token())
    assert world.get(given=flags).values["password"] == "old-token"
    world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    assert world.get(host="elsewhere.example", given=flags).silent
    assert world.store("username=a", "password=b", host=HOST, given=flags).silent
    assert not (world.state / "passwords").exists()
    del world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"]
    assert world.get(host="elsewhere.example", given=flags).silent
    assert world.store("username=a", "password=b", given=flags).silent
    assert not (world.state / "passwords").exists()


# --- any other host ---------------------------------------------------------------------------------------------------

LOOKALIKES = [
    f"{HOST}.attacker.example",
    f"x{HOST}",
    f"{HOST}@evil.example",
    f"evil.example@{HOST}",
    f"{HOST}:444",
    f"{HOST}..",
    f"{HOST}/",
    f"{HOST}#",
    f"{HOST}%00",
    f"{HOST}:",
    f" {HOST}",
    f"{HOST} ",
    "g\u0131t.example.com",  # a dotless i
    "git-example.com",
    "git.example.co",
    "[::1]",
    "127.0.0.1:8080",
    "localhost",
]


@pytest.mark.parametrize("host", LOOKALIKES)
def test_only_the_very_host_gets_the_token(world: World, host: str) -> None:
    """CVE-2024-53858, CVE-2025-23040 and vscode#320634: an allow-list is exact."""
    world.sign_in()
    assert world.get(host=host).silent


@pytest.mark.parametrize("host", [HOST.upper(), f"{HOST}.", f"{HOST}:443", f"{HOST}:8443", f"{HOST}.:8443"])
def test_the_same_host_in_other_letters_is_the_same_host(world: World, host: str) -> None:
    world.sign_in()
    assert world.get(host=host).values["password"] == "old-token"


@pytest.mark.parametrize("protocol", ["http", "HTTPS", "ssh", "smtp", "https "])
def test_a_token_goes_nowhere_in_the_clear(world: World, protocol: str) -> None:
    """git-credential-oauth 0.4.2 answers ``protocol=http``, too."""
    world.sign_in()
    assert world.call("get", f"protocol={protocol}", f"host={HOST}").silent
    assert world.call("get", "protocol=http", "host=127.0.0.1:8080").values["password"] == "old-token"


BLANK = [
    ("protocol=https",),
    (f"host={HOST}",),
    (),
    ("protocol=https", "host="),
    ("protocol=https", "host= "),
    ("protocol=", f"host={HOST}"),
    ("protocol=https", "", f"host={HOST}"),
]


@pytest.mark.parametrize("lines", BLANK)
@pytest.mark.parametrize("storage", ["off", "file"])
def test_a_blank_pattern_gets_nothing_and_changes_nothing(world: World, lines: tuple[str, ...], storage: str) -> None:
    """CVE-2020-11008; and a git that dies while it writes leaves just ``protocol=https``."""
    world.sign_in()
    world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = storage
    world.store("username=a", "password=b")
    assert world.call("get", *lines).silent
    assert world.call("erase", *lines).silent
    assert world.call("store", *lines, "username=x", "password=y").silent
    assert world.token == "old-token"
    got = world.get(host="elsewhere.example")
    assert got.lines == (["username=a", "password=b"] if storage == "file" else [])


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"host=evil.example\rhost=git.example.com", id="CVE-2024-50338"),
        pytest.param(b"host=git.example.com\rhost=evil.example", id="CVE-2024-52006"),
        pytest.param(b"host=git.example.com\r\r", id="CVE-2024-53263"),
        pytest.param(b"host=git.example.com\0", id="NUL"),
        pytest.param(b"rubbish", id="no ="),
    ],
)
@pytest.mark.parametrize("operation", ["get", "store", "erase"])
def test_a_request_with_a_carriage_return_inside_is_answered_by_nothing(
    world: World, operation: str, line: bytes
) -> None:
    world.sign_in()
    got = world.call(operation, "protocol=https", f"host={HOST}", line, "password=old-token")
    assert (got.code, got.stdout) == (65, b"")
    assert got.stderr.startswith("credential-helper: stdin, line 3: ")
    assert "evil" not in got.stderr
    assert world.token == "old-token"


HOSTILE = "a\x1b[31m\x07\x9b\u202eb"


@pytest.mark.parametrize(
    ("lines", "code", "description"),
    [
        ((f"username={HOSTILE}",), CODE, "no"),
        ((f"path={HOSTILE}",), CODE, "no"),
        ((), CODE, HOSTILE),
        ((), CODE | {"user_code": HOSTILE}, "no"),
        ((), CODE | {"verification_uri": f"http://127.0.0.1/{HOSTILE}"}, "no"),
        ((), CODE | {"verification_uri": "javascript:alert(1)"}, "no"),
    ],
)
def test_control_characters_reach_no_terminal(
    world: World, lines: tuple[str, ...], code: dict[str, object], description: str
) -> None:
    """CVE-2024-50349: neither git's nor the provider's."""
    world.environ["CREDENTIAL_HELPER_INTERACTIVE"] = "always"
    world.provider.script("/device", answer(code))
    world.provider.script("/token", oauth_error("access_denied", description=description))
    got = world.get(*lines)
    assert got.code in (76, 77)
    assert got.stdout == b"quit=1\n"
    assert not set(got.stderr) & set("\x1b\x07\x9b\u202e")
    assert "javascript" not in got.stderr
    assert world.get(host=HOSTILE).silent


@pytest.mark.parametrize("length", [1001, 65535, 10 << 20])
def test_a_long_line_neither_breaks_nor_moves_the_answer(world: World, length: int) -> None:
    """git 71201ab0e5: ``wwwauth[]=…host=victim``; larger requests than our own JSON may be are git's right."""
    world.sign_in()
    header = b"wwwauth[]=basic realm=" + b"a" * length + b"host=other.example.com"
    assert world.get(header).values["password"] == "old-token"
    assert world.get(header, host="elsewhere.example").silent


def test_a_long_token_is_answered_whole(world: World) -> None:
    """CVE-2025-48386 and git d22a488482: C buffers cut, or lost, long tokens."""
    world.sign_in("x" * 100_000)
    assert world.get().values["password"] == "x" * 100_000
    assert base64.b64decode(world.get(*CAPABLE).values["credential"]) == b"oauth2:" + b"x" * 100_000


def test_a_user_name_is_sent_to_no_provider(world: World) -> None:
    """git-credential-oauth 0.4.2 pastes it into an address as it is: ``username=x&redirect_uri=…``."""
    world.environ["CREDENTIAL_HELPER_INTERACTIVE"] = "always"
    world.provider.script("/device", answer(CODE))
    world.provider.script("/token", oauth_error("access_denied"))
    assert world.get("username=canary&scope=admin").code == 77
    assert world.provider.to("/device")
    for request in world.provider.requests:
        assert "canary" not in f"{request.target} {request.body!r} {request.headers}"


def test_a_provider_is_asked_over_https_only(world: World) -> None:
    """CVE-2019-10214: a token server over http."""
    text = world.config.read_text().replace(world.provider.issuer, "http://idp.example.com/")
    world.config.write_text(text)
    got = world.get()
    assert (got.code, got.stdout) == (78, b"quit=1\n")
    assert "is http, which is for loopback" in got.stderr


@pytest.mark.parametrize("trouble", ["open", "symlink", "file"])
def test_a_state_that_is_not_ours_alone_is_not_believed(world: World, trouble: str) -> None:
    """GHSA-3c3g-h9rx-f7vq."""
    world.sign_in()
    file = world.state / "sessions" / f"{world.place.session}.json"
    if trouble == "open":
        world.state.chmod(0o777)
    elif trouble == "symlink":
        world.state.rename(world.state.with_name("elsewhere"))
        world.state.symlink_to(world.state.with_name("elsewhere"))
    else:
        file.chmod(0o666)
    got = world.get()
    assert (got.code, got.stdout) == (66, b"quit=1\n")
    assert world.erase("password=old-token").stdout == b""


def test_an_erase_of_bytes_that_are_no_text_is_of_another_token(world: World) -> None:
    world.sign_in("old-token")
    for lines in ((b"password=\xff\xfe",), (b"username=\xff", b"password=old\xc3"), (b"path=\xff", b"credential=\xe9")):
        assert world.erase(*lines).silent
    assert b"password=old-token" in world.get().stdout


@pytest.mark.parametrize("trouble", [html(502), reset(), rate_limited(60), half_json()])
def test_a_provider_in_trouble_costs_neither_the_answer_nor_the_refresh_token(world: World, trouble: Behaviour) -> None:
    """What many command lines get wrong: only ``invalid_grant`` is the end of a refresh token."""
    world.sign_in(age=3560.0)
    world.provider.script("/token", trouble)
    got = world.get()
    assert world.grants >= 1
    if got.code == 0:
        assert got.values["password"] == "old-token"
    else:
        assert got.stdout == b"quit=1\n"
    assert world.session.refreshable


def test_an_invalid_grant_is_the_end_of_the_one_that_was_sent(world: World) -> None:
    world.sign_in(age=7200.0)
    world.provider.script("/token", oauth_error("invalid_grant"))
    got = world.get()
    assert (got.code, got.stdout) == (77, b"quit=1\n")
    assert not world.session.refreshable


def test_no_config_file_at_all_is_silence(world: World) -> None:
    world.config.unlink()
    assert world.get().silent
    assert world.store("username=a", "password=b", host=HOST).silent
    assert world.erase("password=b").silent
    assert not world.state.exists()


def test_a_profile_that_is_named_narrows_and_never_widens(world: World) -> None:
    world.sign_in()
    assert world.get(given={"profile": "prod"}).values["password"] == "old-token"
    assert world.get(given={"profile": "other"}).silent
    assert world.get(host="other.example.com", given={"profile": "prod"}).silent


@pytest.mark.parametrize("operation", ["", "fill", "approve", "list", "GET", "get "])
def test_an_operation_that_we_do_not_know_is_ignored(world: World, operation: str) -> None:
    world.sign_in()
    assert world.call(operation, "protocol=https", f"host={HOST}").silent


def test_the_capabilities_are_told_to_whoever_asks(world: World) -> None:
    assert world.call("capability").stdout == b"version 0\ncapability authtype\ncapability state\n"


def test_no_operation_is_a_usage_error(world: World) -> None:
    call = Call(argv=("git-credential-helper",), heard=b"", app=world.app)
    with pytest.raises(UsageError, match="no operation"):
        git_answers.answer(call, TOOLS["git"], {})


def test_lines_on_stdin_are_answered_without_the_word_git(world: World, capfdbinary: Any) -> None:
    world.sign_in()
    data = f"protocol=https\nhost={HOST}\n".encode()
    call = Call(argv=("credential-helper", "get"), heard=data, app=world.app)
    assert git_answers.answer_lines(call, {}) == 0
    assert b"\npassword=old-token\n" in capfdbinary.readouterr().out
    call = Call(argv=("credential-helper", "erase"), heard=data + b"password=old-token\n", app=world.app)
    assert git_answers.answer_lines(call, {}, "erase") == 0
    assert world.token is None


# --- a token that the server rejected ---------------------------------------------------------------------------------


def test_git_that_can_come_again_is_asked_to(world: World) -> None:
    world.sign_in()
    got = world.get(*CAPABLE)
    assert got.lines[:2] == ["capability[]=authtype", "capability[]=state"]
    assert got.lines[-2:] == [f"state[]={STATE_OF_OLD}", "continue=1"]
    password = world.get("capability[]=state")
    assert password.lines[0] == "capability[]=state"
    assert password.lines[-2:] == [f"state[]={STATE_OF_OLD}", "continue=1"]
    assert "password" in password.values
    assert not {"state[]", "continue"} & world.get().values.keys()
    assert not {"state[]", "continue"} & world.get("capability[]=authtype").values.keys()


def test_a_rejected_token_is_replaced_when_git_comes_again(world: World) -> None:
    world.sign_in()
    world.renews()
    again = world.get(*CAPABLE, f"state[]={STATE_OF_OLD}", "authtype=Basic", "username=oauth2")
    assert again.values["credential"] == basic("oauth2:new-1")
    assert not {"state[]", "continue"} & again.values.keys()
    assert (again.code, again.stderr, world.grants) == (0, "", 1)
    assert world.session.forced_at == world.clock.now()


def test_a_token_that_another_process_has_brought_is_answered_as_it_is(world: World) -> None:
    world.sign_in("newer-token")
    world.renews()
    again = world.get(*CAPABLE, f"state[]={STATE_OF_OLD}")
    assert again.values["credential"] == basic("oauth2:newer-token")
    assert "continue" not in again.values
    assert world.grants == 0


def test_a_state_of_somebody_else_changes_nothing(world: World) -> None:
    world.sign_in()
    world.renews()
    got = world.get(*CAPABLE, "state[]=other:1", f"state[]=x{STATE_OF_OLD}")
    assert got.values["credential"] == basic("oauth2:old-token")
    assert got.values["continue"] == "1"
    assert [line for line in got.lines if line.startswith("state")] == [f"state[]={STATE_OF_OLD}"]
    assert world.grants == 0


def test_a_server_that_always_says_401_gets_one_new_token_a_minute(world: World) -> None:
    world.sign_in()
    world.renews()
    for _ in range(5):  # commands of a git that comes again, and erases what was rejected
        first = world.get(*CAPABLE)
        token = base64.b64decode(first.values["credential"]).decode().partition(":")[2]
        state = f"credential_helper:{hashlib.sha256(token.encode()).hexdigest()[:16]}"
        if "continue" in first.values:
            first = world.get(*CAPABLE, f"state[]={state}")
        world.erase("authtype=Basic", f"credential={first.values['credential']}")
        world.clock.advance(5)
    assert world.grants == 1
    for _ in range(5):  # and of one that cannot
        world.erase("username=oauth2", f"password={world.get().values['password']}")
        world.clock.advance(5)
    assert world.grants == 1
    world.clock.advance(60)
    world.erase("username=oauth2", f"password={world.get().values['password']}")
    assert world.get().values["password"] == "new-2"
    assert world.grants == 2


def test_within_a_minute_nothing_is_promised_and_a_state_is_answered_with_the_same_token(world: World) -> None:
    world.sign_in(age=30.0)
    world.renews()
    assert "continue" not in world.get(*CAPABLE).values
    again = world.get(*CAPABLE, f"state[]={STATE_OF_OLD}")
    assert again.values["credential"] == basic("oauth2:old-token")
    assert world.grants == 0
    world.clock.advance(31)
    assert world.get(*CAPABLE).values["continue"] == "1"


def test_where_no_new_token_can_be_had_the_rejected_one_is_not_answered_again(world: World) -> None:
    world.sign_in(refresh=False)
    got = world.get(*CAPABLE, f"state[]={STATE_OF_OLD}")
    assert (got.code, got.stdout) == (66, b"quit=1\n")
    world.sign_in()
    world.provider.script("/token", oauth_error("invalid_grant"))
    got = world.get(*CAPABLE, f"state[]={STATE_OF_OLD}")
    assert (got.code, got.stdout) == (77, b"quit=1\n")


@pytest.mark.parametrize(
    "lines",
    [
        ("username=oauth2", "password=old-token"),
        ("authtype=Bearer", "credential=old-token"),
        ("authtype=Basic", f"credential={basic('oauth2:old-token')}"),
        (*CAPABLE, "username=oauth2", "password=old-token", "wwwauth[]=Basic"),
    ],
)
def test_erase_drops_the_access_token_and_the_next_command_works(world: World, lines: tuple[str, ...]) -> None:
    world.sign_in()
    world.renews()
    assert world.erase(*lines).silent
    assert world.token is None
    assert world.session.refreshable
    assert world.grants == 0
    assert world.get().values["password"] == "new-1"


@pytest.mark.parametrize(
    "lines",
    [
        ("username=oauth2", "password=an-older-token"),
        ("authtype=Basic", f"credential={basic('oauth2:an-older-token')}"),
        ("authtype=Bearer", "credential=refresh-token"),
        ("username=oauth2",),
        ("username=oauth2", "password="),
        (),
    ],
)
def test_erase_of_anything_else_is_no_change_and_no_error(world: World, lines: tuple[str, ...]) -> None:
    """GCM#1555: the process that comes late with an old token must not throw the new one away."""
    world.sign_in()
    before = world.session
    assert world.erase(*lines).silent
    assert world.session == before


def test_erase_keeps_a_token_that_is_younger_than_a_minute(world: World) -> None:
    world.sign_in(age=59.0)
    assert world.erase("password=old-token").silent
    assert world.token == "old-token"
    world.clock.advance(2)
    assert world.erase("password=old-token").silent
    assert world.token is None


def test_erase_leaves_nothing_behind_where_nobody_ever_signed_in(world: World) -> None:
    assert world.erase("username=a", "password=b").silent
    assert not world.state.exists()


def test_erase_waits_for_no_sign_in_and_says_nothing(world: World) -> None:
    world.sign_in()
    name = world.sessions.grants.lock_name(world.place.grant)
    with lock.held(world.app.state, name, clock=world.clock, waiting=lambda _: False) as mine:
        assert mine
        erased = world.erase("password=old-token")
    assert (erased.code, erased.stdout, erased.stderr) == (75, b"", "")
    assert world.token == "old-token"


def test_store_for_a_host_of_ours_keeps_nothing(world: World) -> None:
    world.sign_in()
    world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    before = world.session
    assert world.store("username=foreign", "password=foreign", host=HOST).silent
    assert world.store("username=foreign", "password=foreign", host="other.example.com").silent
    assert world.session == before
    assert not (world.state / "passwords").exists()


# --- the hot path -----------------------------------------------------------------------------------------------------


def test_an_answer_is_kept_for_the_identical_request(world: World) -> None:
    world.sign_in()
    got = world.get(argv=("--profile", "prod"), given={"profile": "prod"})
    assert world.replayed(argv=("--profile", "prod")) == got.stdout
    assert world.replayed() is None
    assert world.replayed("username=oauth2", argv=("--profile", "prod")) is None


def test_a_kept_answer_ends_with_its_session(world: World) -> None:
    world.sign_in()
    got = world.get(*CAPABLE)
    assert "continue" in got.values
    assert world.replayed(*CAPABLE) == got.stdout
    world.erase("authtype=Basic", f"credential={got.values['credential']}")
    assert world.token is None
    assert world.replayed(*CAPABLE) is None


def kept_until(world: World) -> float:
    (reply,) = (world.state / "replies").iterdir()
    return float(reply.read_bytes().split(b"\n")[3])


def test_an_answer_that_asks_nobody_to_come_again_is_kept_until_it_would(world: World) -> None:
    """Else a token revoked half an hour later would not be replaced in the same command."""
    world.sign_in(age=20.0)
    made = world.clock.now() - 20
    assert "continue" not in world.get(*CAPABLE).values
    assert kept_until(world) == pytest.approx(made + 60)
    session, token = world.session, world.session.access
    assert token is not None
    until = kept_until(world)
    assert freshness.just_made(session, token, until - 0.001)
    assert not freshness.just_made(session, token, until)


def test_an_answer_for_a_git_that_never_comes_again_is_kept_while_it_is_fresh(world: World) -> None:
    world.sign_in(age=20.0)
    world.get()
    fresh_until = freshness.until(world.session, "access", request_by("git"))
    assert fresh_until is not None
    assert kept_until(world) == fresh_until - freshness.SOON


@pytest.mark.parametrize(
    "lines",
    [
        (f"state[]={STATE_OF_OLD}",),
        ("password=x",),
        ("credential=x",),
        ("oauth_refresh_token=x",),
    ],
)
def test_a_request_with_a_secret_or_a_state_of_ours_is_never_kept(world: World, lines: tuple[str, ...]) -> None:
    world.sign_in("another-token")
    assert world.get(*CAPABLE, *lines).code == 0
    assert not (world.state / "replies").exists()


def test_the_git_that_asks_is_part_of_the_request(world: World) -> None:
    world.sign_in()
    world.environ["GIT_EXEC_PATH"] = "/usr/lib/git-core"
    got = world.get(*CAPABLE)
    assert world.replayed(*CAPABLE) == got.stdout
    world.environ["GIT_EXEC_PATH"] = "/opt/git-2.39/libexec"
    assert world.replayed(*CAPABLE) is None


def test_under_verbose_nothing_is_kept_and_no_secret_is_told(world: World) -> None:
    """CVE-2021-45449: tokens in logs."""
    world.sign_in()
    world.renews()
    world.environ["CREDENTIAL_HELPER_VERBOSE"] = "1"
    world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    said = world.get(*CAPABLE).stderr
    said += world.get(*CAPABLE, f"state[]={STATE_OF_OLD}").stderr
    said += world.erase("password=old-token").stderr + world.erase().stderr
    said += world.store("username=a", "password=canary-1", "oauth_refresh_token=canary-2").stderr
    said += (
        world.get(host="elsewhere.example").stderr + world.erase("password=canary-3", host="elsewhere.example").stderr
    )
    said += world.call("nonsense").stderr
    assert "git names no token that was rejected" in said
    assert "not known" in said
    for secret in ("old-token", "new-1", "refresh-token", "r-1", "canary"):
        assert secret not in said
    assert not (world.state / "replies").exists()


# --- a storage helper, where that is asked for ------------------------------------------------------------------------


@pytest.fixture
def storage(world: World) -> World:
    world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    return world


def found(world: World, *lines: str, host: str = "elsewhere.example") -> list[str]:
    got = world.get(*lines, host=host)
    assert (got.code, got.stderr) == (0, "")
    return got.lines


@pytest.mark.parametrize("setting", ["", 'password_storage = "auto"', 'password_storage = "off"'])
def test_nothing_is_stored_unless_that_is_asked_for(world: World, setting: str) -> None:
    world.configure(top=setting)
    assert world.store("username=a", "password=b").silent
    assert found(world) == []
    assert not (world.state / "passwords").exists()


def test_the_variable_overrides_the_file(world: World) -> None:
    world.configure(top='password_storage = "file"')
    assert world.store("username=a", "password=b").silent
    assert found(world) == ["username=a", "password=b"]
    for off in ("off", "auto"):
        world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = off
        assert found(world) == []
    world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = " File "
    assert found(world) == ["username=a", "password=b"]
    world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "yes"
    assert world.get(host="elsewhere.example").silent
    world.environ["CREDENTIAL_HELPER_VERBOSE"] = "1"
    got = world.get(host="elsewhere.example")
    assert 'CREDENTIAL_HELPER_PASSWORD_STORAGE is "yes", which is none of auto, keyring, file, off' in got.stderr


def test_a_stored_password_is_a_private_file_and_never_a_kept_reply(storage: World) -> None:
    storage.store("username=a", "password=b")
    assert found(storage) == ["username=a", "password=b"]
    files = [path for path in storage.state.rglob("*") if path.is_file()]
    assert files
    assert all(places.private(path.stat()) for path in files)
    assert not (storage.state / "replies").exists()


def test_matching_is_by_protocol_host_path_and_username(storage: World) -> None:
    storage.store("username=a", "password=b", "path=x.git")
    assert found(storage) == ["username=a", "password=b"]
    assert found(storage, "path=x.git", "username=a") == ["username=a", "password=b"]
    assert found(storage, "path=y.git") == []
    assert found(storage, "username=c") == []
    assert found(storage, host="another.example") == []
    assert found(storage, host="elsewhere.example:8443") == []
    assert storage.call("get", "protocol=http", "host=elsewhere.example").silent


def test_store_overwrites_and_two_users_stay_apart(storage: World) -> None:
    storage.store("username=a", "password=1")
    storage.store("username=b", "password=2")
    storage.store("username=a", "password=3")
    assert found(storage, "username=a") == ["username=a", "password=3"]
    assert found(storage, "username=b") == ["username=b", "password=2"]


def test_an_empty_user_name_and_password_are_values(storage: World) -> None:
    storage.store("username=", "password=")
    assert found(storage) == ["username=", "password="]
    assert found(storage, "username=") == ["username=", "password="]
    assert found(storage, "username=a") == []


def test_a_distinct_password_is_not_erased(storage: World) -> None:
    storage.store("username=a", "password=new")
    storage.erase("username=a", "password=old", host="elsewhere.example")
    assert found(storage) == ["username=a", "password=new"]
    storage.erase("username=a", "password=new", host="elsewhere.example")
    assert found(storage) == []


def test_erase_removes_all_matches(storage: World) -> None:
    for user in ("a", "b", "c"):
        storage.store(f"username={user}", "password=p")
    storage.store("username=a", "password=p", host="another.example")
    storage.erase(host="elsewhere.example")
    assert found(storage) == []
    assert found(storage, host="another.example") == ["username=a", "password=p"]


def test_expiry_and_refresh_token_are_kept_and_overwritten(storage: World) -> None:
    later = int(storage.clock.now()) + 100
    storage.store("username=a", "password=1", f"password_expiry_utc={later}", "oauth_refresh_token=r1")
    assert found(storage) == ["username=a", "password=1", f"password_expiry_utc={later}", "oauth_refresh_token=r1"]
    storage.store("username=a", "password=2", "oauth_refresh_token=r2")
    assert found(storage) == ["username=a", "password=2", "oauth_refresh_token=r2"]
    storage.store("username=a", "password=3", f"password_expiry_utc={later}")
    assert found(storage) == ["username=a", "password=3", f"password_expiry_utc={later}"]
    storage.clock.advance(200)
    assert found(storage) == []


def test_what_has_expired_is_not_stored(storage: World) -> None:
    storage.store("username=a", "password=1", f"password_expiry_utc={int(storage.clock.now()) - 1}")
    assert found(storage) == []
    assert not (storage.state / "passwords").exists()


def test_an_authtype_is_answered_to_a_git_that_knows_it(storage: World) -> None:
    storage.store(*CAPABLE, "authtype=Bearer", "credential=c")
    assert found(storage, *CAPABLE) == ["capability[]=authtype", "authtype=Bearer", "credential=c"]
    assert found(storage) == []
    assert storage.erase("authtype=Bearer", "credential=other", host="elsewhere.example").silent
    assert len(found(storage, *CAPABLE)) == 3
    assert storage.erase("authtype=Bearer", "credential=c", host="elsewhere.example").silent
    assert found(storage, *CAPABLE) == []


def test_what_is_ephemeral_or_partial_is_not_stored(storage: World) -> None:
    storage.store(*CAPABLE, "authtype=Bearer", "credential=c", "ephemeral=1")
    storage.store("username=a", "password=p", "ephemeral=1")
    storage.store("username=a")
    storage.store("password=p")
    assert not (storage.state / "passwords").exists()


@pytest.mark.parametrize("password", [b"a=b c", "schlüssel".encode(), b"\xff\xfe", b"x" * 100_000, b"' \"\\$%"])
def test_a_password_comes_back_byte_for_byte(storage: World, password: bytes) -> None:
    """CVE-2025-48386 and git d22a488482: C buffers cut long tokens."""
    storage.store(b"username=" + password, b"password=" + password)
    got = storage.get(host="elsewhere.example")
    assert got.stdout == b"username=" + password + b"\npassword=" + password + b"\n"


def test_a_host_that_another_profile_lists_is_never_stored(storage: World) -> None:
    """Two helpers, one a profile: each sees what the other answered."""
    narrowed = {"profile": "prod"}
    for _ in range(2):
        assert storage.store("username=oauth2", "password=token", host="other.example.com", given=narrowed).silent
        assert storage.get(host="other.example.com", given=narrowed).silent
    assert not (storage.state / "passwords").exists()


def test_docker_s_passwords_are_not_git_s(storage: World) -> None:
    from credential_helper.stores.passwords import Passwords

    app = storage.app
    passwords = Passwords(app.state, app.keyring(), storage="file", clock=storage.clock, note=lambda _line: None)
    passwords.store(DOCKER, {"server": "https://elsewhere.example", "username": "a", "password": "b"})
    assert found(storage) == []
    storage.store("username=c", "password=d")
    assert len(passwords.listing(DOCKER)) == 1
    storage.erase(host="elsewhere.example")
    assert len(passwords.listing(DOCKER)) == 1


def test_a_keyring_that_cannot_be_used_is_said_and_git_asks_on(world: World) -> None:
    """The host is not ours: a person may well know the password."""
    world.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "keyring"
    got = world.get(host="elsewhere.example")
    assert got.silent
    kept = world.store("username=a", "password=canary")
    assert (kept.code, kept.stdout) == (74, b"")
    assert "the password is not kept" in kept.stderr
    assert "canary" not in kept.stderr


def test_a_stored_password_in_a_keyring_that_cannot_be_read_does_not_stop_git(storage: World) -> None:
    storage.store("username=a", "password=b")
    index = storage.state / "passwords" / "index.json"
    document = msgspec.json.decode(index.read_bytes())
    document["records"][0] |= {"record": ["f" * 32, "git"], "secrets": None}
    index.write_bytes(msgspec.json.encode(document))
    got = storage.get(host="elsewhere.example")
    assert (got.code, got.stdout) == (74, b"")
    assert got.stderr.startswith("credential-helper: ")


def test_a_stored_value_with_a_line_end_is_never_written(storage: World) -> None:
    storage.store("username=a", "password=b")
    index = storage.state / "passwords" / "index.json"
    index.write_bytes(index.read_bytes().replace(b'"username": "a"', b'"username": "a\\nhost=evil.example"'))
    got = storage.get(host="elsewhere.example")
    assert (got.code, got.stdout) == (76, b"")
    assert "evil" not in got.stderr
