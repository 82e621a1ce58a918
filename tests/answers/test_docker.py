"""What docker is answered, over a real state directory, without the hot path and without docker."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credential_helper import __version__, places, replies
from credential_helper.answers import docker as docker_answers
from credential_helper.answers import stored_passwords
from credential_helper.answers.call import Call
from credential_helper.answers.stored_passwords import GIT
from credential_helper.app import App
from credential_helper.model import Identity, Profile, Secret
from credential_helper.profiles.configuration import load
from credential_helper.session import Place, place_of
from credential_helper.stores.passwords import INDEX
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from credential_helper.tools import TOOLS, docker
from integration.servers.hostile_provider import HostileProvider, answer, html, oauth_error, signing_key
from tests.helpers.clock import FakeClock
from tests.helpers.keyrings import MemoryKeyring
from tests.helpers.sessions import keep, token

NAME = "docker-credential-helper"
NOT_FOUND = b"credentials not found in native keychain\n"
CONFIG = """
[profiles.prod]
issuer = "{issuer}"
client_id = "cli"
docker = ["registry.example.com:5000", {{ server = "harbor.example.com", username = "{{email}}", audience = "harbor" }}]

[profiles.ci]
issuer = "{issuer}"
client_id = "machine"
flow = "client-credentials"
client_secret = {{ env = "CI_SECRET" }}
docker = [{{ server = "ci.example.com", username = "<token>" }}]
"""


SERVED = {"registry.example.com:5000", "harbor.example.com", "ci.example.com"}  # where somebody is signed in to prod


class Said(NamedTuple):
    """What one call left behind."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def json(self) -> Any:
        assert (self.code, self.stderr) == (0, "")
        return json.loads(self.stdout)


class House:
    """A home, a clock, and the helper in it."""

    def __init__(self, environ: dict[str, str], clock: FakeClock, capfd: pytest.CaptureFixture[str]) -> None:
        self.environ = environ
        self.clock = clock
        self.capfd = capfd
        self.program = [NAME]
        self.issuer = "https://idp.example.com"
        self.config = Path(environ["HOME"]) / ".config" / "credential-helper" / "config.toml"
        self.config.parent.mkdir(parents=True)
        self.write()

    def write(self, text: str = CONFIG, *, before: str = "") -> None:
        self.config.write_text(before + text.format(issuer=self.issuer))
        self.config.chmod(0o600)

    def __call__(self, *words: str, stdin: bytes = b"") -> Said:
        app = App(self.environ, clock=self.clock, verbose=False)
        call = Call(argv=[*self.program, *words], heard=stdin, app=app)
        self.capfd.readouterr()
        code = docker_answers.answer(call, TOOLS["docker"], words)
        out, err = self.capfd.readouterr()
        return Said(code, out.encode(errors="surrogateescape"), err)

    def get(self, server: str) -> Said:
        return self("get", stdin=server.encode())

    def store(self, server: str, username: str = "ada", secret: str = "s3cret") -> Said:
        data = {"ServerURL": server, "Username": username, "Secret": secret}
        return self("store", stdin=json.dumps(data).encode() + b"\n")

    def erase(self, server: str) -> Said:
        return self("erase", stdin=server.encode())

    def names(self) -> Said:
        return self("list", stdin=b"unused")

    # --- what is there ---

    @property
    def state(self) -> State:
        return State(places.state_directory(self.environ))

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.state, MemoryKeyring(), note=lambda _line: None)

    def profile(self, name: str = "prod", audience: str | None = None) -> Profile:
        return msgspec.structs.replace(load(self.environ).profile(name), audience=audience)

    @property
    def place(self) -> Place:
        return place_of(self.profile())

    def sign_in(
        self,
        profile: str = "prod",
        audience: str | None = None,
        *,
        access: str | None = "the-token",
        lifetime: float | None = 3600.0,
        age: float = 0.0,
        refresh_token: str | None = "the-refresh-token",
        **changes: Any,
    ) -> None:
        left = None if lifetime is None else lifetime - age
        keep(
            self.sessions,
            self.profile(profile, audience),
            access=token(access, self.clock.now(), age=age, left=left) if access else None,
            identity=Identity(subject="ada", claims=(("email", "ada@example.com"),)),
            refresh_token=refresh_token,
            **changes,
        )

    def stamps(self) -> dict[str, str]:
        files = (f"{folder}/{name}" for folder in ("grants", "sessions") for name in self.state.names(folder))
        return {file: self.state.stamp(file) for file in files if not file.endswith(".lock")}

    def replies(self) -> list[str]:
        return self.state.names("replies")

    def on_disk(self) -> bytes:
        return b"".join(file.read_bytes() for file in Path(self.environ["HOME"]).rglob("*") if file.is_file())


@pytest.fixture
def house(environ: dict[str, str], clock: FakeClock, capfd: pytest.CaptureFixture[str]) -> House:
    return House(environ, clock, capfd)


@pytest.fixture
def in_file(house: House) -> House:
    house.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    return house


@pytest.fixture
def provider(house: House) -> Iterator[HostileProvider]:
    with HostileProvider(now=house.clock.now) as provider:
        provider.serve_metadata()
        house.issuer = provider.issuer
        house.write()
        yield provider


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("get", "x"), ("a", "b", "c"), ("--profile", "prod", "get")])
def test_a_wrong_number_of_arguments_is_the_usage(house: House, words: tuple[str, ...]) -> None:
    assert house(*words) == (1, b"Usage: docker-credential-helper <store|get|erase|list|version>\n", "")


@pytest.mark.parametrize("word", ["login", "", "GET", "get "])
def test_an_unknown_action_is_said_as_the_reference_says_it(house: House, word: str) -> None:
    said = house(word)
    assert said == (1, f"docker-credential-helper: unknown action: {word.strip()}\n".encode(), "")


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("get", "--help"), ("-h", "list")])
def test_help(house: House, words: tuple[str, ...]) -> None:
    assert house(*words) == (0, b"Usage: docker-credential-helper <store|get|erase|list|version>\n", "")


@pytest.mark.parametrize("word", ["version", "--version", "-v"])
def test_version(house: House, word: str) -> None:
    assert house(word) == (0, f"docker-credential-helper (credential-helper) {__version__}\n".encode(), "")


def test_it_says_the_name_it_was_called_by(house: House) -> None:
    house.program = ["/opt/x/bin/credential-helper", "docker"]
    assert house("version").stdout.startswith(b"credential-helper docker (credential-helper) ")
    assert house().stdout.startswith(b"Usage: credential-helper docker <")
    house.program = ["/usr/bin/docker-credential-helper"]
    assert house("docker").stdout == b"docker-credential-helper: unknown action: docker\n"


# --- hostile input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["get", "erase"])
@pytest.mark.parametrize("stdin", [b"", b"  ", b"\n"])
def test_no_server(house: House, action: str, stdin: bytes) -> None:
    assert house(action, stdin=stdin) == (1, b"no credentials server URL\n", "")


@pytest.mark.parametrize("action", ["get", "erase"])
@pytest.mark.parametrize("stdin", [b"https://a\n.evil", b"a\0b", b"registry.example.com:5000\r\n.evil", b"\xff"])
def test_a_server_that_is_none_is_refused(in_file: House, action: str, stdin: bytes) -> None:
    in_file.sign_in()
    in_file.store("a")
    said = in_file(action, stdin=stdin)
    assert said.code == 65
    assert said.stdout.startswith(b"credential-helper: the server URL ")
    assert said.stderr.encode() == said.stdout
    assert set(in_file.names().json) == {"a", *SERVED}


@pytest.mark.parametrize("server", ["ftp://x", "//x", "/x", "x" * 1_000_000, "http://registry.example.com:5000", "@"])
def test_a_server_that_nobody_knows_is_not_found_and_erased_without_a_word(in_file: House, server: str) -> None:
    in_file.sign_in()
    assert in_file.get(server) == (1, NOT_FOUND, "")
    assert in_file.erase(server) == (0, b"", "")


@pytest.mark.parametrize(
    ("stdin", "stdout"),
    [
        (b"{}", b"no credentials server URL\n"),
        (b'{"ServerURL":"","Username":"u"}', b"no credentials server URL\n"),
        (b'{"ServerURL":"x","Username":""}', b"no credentials username\n"),
    ],
)
def test_store_of_too_little(in_file: House, stdin: bytes, stdout: bytes) -> None:
    assert in_file("store", stdin=stdin) == (1, stdout, "")
    assert in_file.names().json == {"ci.example.com": "<token>"}


def test_store_of_too_much_is_refused_before_it_is_looked_at(in_file: House) -> None:
    said = in_file.store("a", secret="y" * (docker.LARGEST + 1))
    assert (said.code, said.stdout) == (65, b"credential-helper: what should be stored is larger than 4 MiB\n")
    assert in_file.names().json == {"ci.example.com": "<token>"}


@pytest.mark.parametrize(
    "stdin", [b"", b"not json", b"[]", b'{"ServerURL":"x","Username":"u","Secret":"s3cret"} garbage']
)
def test_store_of_what_is_no_json(in_file: House, stdin: bytes) -> None:
    said = in_file("store", stdin=stdin)
    assert said.code == 65
    assert said.stdout.startswith(b"credential-helper: what should be stored is not one JSON object")
    assert "s3cret" not in said.stderr
    assert b"s3cret" not in in_file.on_disk()


# --- servers that a profile lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "server",
    [
        "registry.example.com:5000",
        "https://registry.example.com:5000",
        "https://registry.example.com:5000/",
        "REGISTRY.example.com:5000",
        "registry.example.com.:5000",
        "https://registry.example.com:5000/v2/team/image",
    ],
)
def test_a_listed_server_gets_the_token_and_its_own_words_back(house: House, server: str) -> None:
    house.sign_in()
    assert house.get(server).json == {"ServerURL": server, "Username": "oauth2accesstoken", "Secret": "the-token"}


@pytest.mark.parametrize(
    "server",
    [
        "registry.example.com",
        "registry.example.com:5001",
        "http://registry.example.com:5000",
        "registry.example.com:5000.evil.example",
        "registry.example.com:5000@evil.example",
        "evil.example/registry.example.com:5000",
        "https://registry.example.com:5000?x",
        "https://registry.example.com:5000#x",
        "https://registry.example.com:5000\\@evil.example",
        "HTTPS://registry.example.com:5000",
        "xregistry.example.com:5000",
        "reg\u0131stry.example.com:5000",
    ],
)
def test_no_other_server_gets_it(house: House, server: str) -> None:
    house.sign_in()
    assert house.get(server) == (1, NOT_FOUND, "")


def test_a_user_name_may_be_a_claim_and_a_server_have_an_audience_of_its_own(house: House) -> None:
    house.sign_in()
    house.sign_in(audience="harbor", access="harbors-token")
    assert house.get("harbor.example.com").json == {
        "ServerURL": "harbor.example.com",
        "Username": "ada@example.com",
        "Secret": "harbors-token",
    }


def test_a_claim_that_is_not_there_is_told(house: House) -> None:
    house.write(CONFIG.replace("email", "nickname"))
    house.sign_in(audience="harbor")
    said = house.get("harbor.example.com")
    assert said.code == 78
    assert said.stdout.startswith(b'credential-helper: username = "{nickname}"')
    assert "hint: " in said.stderr


def test_nobody_is_signed_in_is_dockers_sentence_and_the_hint_is_on_stderr(house: House) -> None:
    said = house.get("registry.example.com:5000")
    assert (said.code, said.stdout) == (1, NOT_FOUND)
    assert said.stderr == (
        "credential-helper: prod: nobody is signed in to idp.example.com: "
        'docker does not ask unless the profile says interactive = "always"\n'
        "hint: credential-helper login prod\n"
    )


def test_the_hint_makes_the_session_of_this_very_server(house: House) -> None:
    said = house.get("harbor.example.com")
    assert said.stderr.splitlines()[1] == "hint: credential-helper login prod --audience harbor"


def test_a_refused_refresh_token_is_nobody_signed_in(house: House, provider: HostileProvider) -> None:
    provider.script("/token", oauth_error("invalid_grant"))
    house.sign_in(age=4000)
    said = house.get("registry.example.com:5000")
    assert (said.code, said.stdout) == (1, NOT_FOUND)
    assert "refused the refresh token (invalid_grant" in said.stderr
    assert said.stderr.splitlines()[1] == "hint: credential-helper login prod"


def test_a_network_that_is_down_is_told_in_our_words(house: House, provider: HostileProvider) -> None:
    provider.script("/token", html(502))
    house.sign_in(age=4000)
    said = house.get("registry.example.com:5000")
    assert said.code == 69
    assert said.stdout.startswith(b"credential-helper: prod: ")
    assert said.stderr.startswith("credential-helper: prod: ")


def test_a_machine_that_is_refused_is_told_in_our_words(house: House, provider: HostileProvider) -> None:
    house.environ["CI_SECRET"] = "wrong"
    provider.script("/token", oauth_error("invalid_client", 401))
    said = house.get("ci.example.com")
    assert said.code == 77
    assert said.stdout.startswith(b"credential-helper: ci: ")
    assert b"wrong" not in said.stdout + said.stderr.encode()


def test_a_machine_signs_in_by_itself(house: House, provider: HostileProvider) -> None:
    house.environ["CI_SECRET"] = "right"
    provider.script("/token", answer({"access_token": "machines", "token_type": "Bearer", "expires_in": 3600}))
    expected = {"ServerURL": "ci.example.com", "Username": "<token>", "Secret": "machines"}
    assert house.get("ci.example.com").json == expected
    assert house.get("ci.example.com").json == expected
    assert len(provider.to("/token")) == 1


def test_docker_asks_a_person_only_where_the_profile_says_always(house: House, provider: HostileProvider) -> None:
    provider.script(
        "/device/code",
        answer(
            {
                "device_code": "d",
                "user_code": "WDJB-MJHT",
                "verification_uri": "http://127.0.0.1/activate",
                "expires_in": 900,
            }
        ),
    )
    provider.script("/token", oauth_error("access_denied"))
    house.get("registry.example.com:5000")
    assert provider.to("/device/code") == []
    house.write(CONFIG.replace('client_id = "cli"', 'client_id = "cli"\ninteractive = "always"'))
    said = house.get("registry.example.com:5000")
    assert len(provider.to("/device/code")) == 1
    assert "docker needs a sign-in to prod" in said.stderr
    assert "WDJB-MJHT" in said.stderr
    assert (said.code, said.stdout) == (1, NOT_FOUND)


def test_store_for_a_listed_server_keeps_nothing_and_says_so(in_file: House) -> None:
    said = in_file.store("https://registry.example.com:5000", "oauth2accesstoken", "the-pasted-token")
    assert said == (
        0,
        b"",
        "credential-helper: nothing is stored for https://registry.example.com:5000: profile prod signs in to it\n",
    )
    assert b"the-pasted-token" not in in_file.on_disk()


def test_what_another_profile_lists_is_not_stored_where_the_environment_narrows(in_file: House) -> None:
    in_file.sign_in()
    in_file.environ["CREDENTIAL_HELPER_PROFILE"] = "ci"
    assert in_file.get("registry.example.com:5000") == (1, NOT_FOUND, "")
    assert in_file.store("registry.example.com:5000").stderr.endswith("profile prod signs in to it\n")
    assert in_file.names().json == {"ci.example.com": "<token>"}
    assert b"s3cret" not in in_file.on_disk()


def test_erase_drops_the_token_however_young_and_keeps_the_refresh_token(house: House) -> None:
    house.sign_in()
    assert house.erase("registry.example.com:5000") == (0, b"", "")
    stored = house.sessions.read(house.place)
    assert stored is not None
    assert stored.session.access is None
    assert stored.session.grant.refresh_token == Secret("the-refresh-token")
    before = house.stamps()
    assert house.erase("registry.example.com:5000") == (0, b"", "")
    assert house.stamps() == before


def test_dockers_four_erases_of_a_logout_succeed(in_file: House) -> None:
    in_file.sign_in()
    for prefix in ("", "", "http://", "https://"):
        assert in_file.erase(f"{prefix}registry.example.com:5000") == (0, b"", "")
        assert in_file.erase(f"{prefix}unknown.example.com") == (0, b"", "")


BROKEN = [
    ("nonsense", 0o600),
    (CONFIG, 0o646),
    ('[profiles.prod\ndocker = ["registry.example.com:5000"]', 0o600),
    ("profiles = 1", 0o600),
    ('password_storage = "disk"\n', 0o600),
]


@pytest.mark.parametrize(("text", "mode"), BROKEN)
def test_a_config_file_that_is_wrong_owns_nothing(in_file: House, text: str, mode: int) -> None:
    in_file.config.write_text(text)
    in_file.config.chmod(mode)
    assert in_file.get("docker.io") == Said(1, NOT_FOUND, "")
    assert in_file.names() == Said(0, b"{}\n", "")
    assert in_file.store("x.example.com") == Said(0, b"", "")
    assert in_file.get("x.example.com").json["Secret"] == "s3cret"
    assert in_file.names().json == {"x.example.com": "ada"}
    assert in_file.erase("x.example.com") == Said(0, b"", "")
    assert in_file.erase("docker.io") == Said(0, b"", "")


def test_a_mistake_in_a_profile_is_for_its_own_servers(house: House) -> None:
    house.write(CONFIG.replace('flow = "client-credentials"', "flow = 1") + '[profiles.x]\ndocker = ["*.corp"]\n')
    house.sign_in()
    assert house.get("registry.example.com:5000").json["Secret"] == "the-token"
    assert house.get("docker.io") == Said(1, NOT_FOUND, "")
    said = house.get("ci.example.com")
    assert (said.code, b"profiles.ci.flow: found a number" in said.stdout) == (78, True)
    assert set(house.names().json) == SERVED - {"ci.example.com"}


@pytest.mark.parametrize(
    "variables",
    [
        {"PROFILE": "nope"},
        {"PROFILE": " "},
        {"PROFILE": "prod", "ISSUER": "https://idp.example.com"},
        {"ISSUER": "nonsense"},
        {"ISSUER": "https://idp.example.com"},
        {"ISSUER": "https://idp.example.com", "DOCKER": "*.corp"},
        {"CONFIG": "relative.toml"},
        {"CONFIG": "/nowhere/config.toml"},
        {"CONFIG": "/dev/zero"},
        {"CONFIG": "/"},
        {"STATE_DIR": "relative"},
        {"STATE_DIR": "/dev/null/x"},
        {"PASSWORD_STORAGE": "disk"},
        {"INTERACTIVE": "sometimes"},
        {"VERBOSE": "/nowhere/log"},
    ],
)
def test_a_variable_that_is_wrong_owns_nothing(house: House, variables: dict[str, str]) -> None:
    house.environ |= {f"CREDENTIAL_HELPER_{name}": value for name, value in variables.items()}
    assert house.get("docker.io")[:2] == (1, NOT_FOUND)
    assert house.erase("docker.io")[:2] == (0, b"")
    assert house.names()[0] == 0


def test_without_a_home_nothing_is_owned(house: House) -> None:
    house.environ["HOME"] = "relative"
    assert house.get("docker.io") == Said(1, NOT_FOUND, "")
    assert house.names() == Said(0, b"{}\n", "")


def test_a_stored_password_that_cannot_be_had_is_told_and_docker_goes_on(in_file: House) -> None:
    in_file.store("other.example.com")
    index = in_file.state.locate(INDEX)
    text = Path(index).read_text()
    record = json.dumps(["f" * 32, "docker other.example.com ada"])
    Path(index).write_text(
        re.sub(r'"secrets": "(?:[^"\\]|\\.)*", "record": null', f'"secrets": null, "record": {record}', text)
    )
    said = in_file.get("other.example.com")  # it is in the keyring, and there is none
    assert said[:2] == (1, NOT_FOUND)
    assert "credential-helper: " in said.stderr
    assert in_file.get("docker.io") == Said(1, NOT_FOUND, "")
    Path(index).write_text("{")
    assert in_file.get("other.example.com") == Said(1, NOT_FOUND, "")


def test_a_defect_of_ours_has_a_sentence_on_stdout_too(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    app = App(house.environ, clock=house.clock, verbose=False)
    call = Call(argv=[NAME, "get"], heard="no bytes", app=app)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        docker_answers.answer(call, TOOLS["docker"], ["get"])
    assert capfd.readouterr().out == "credential-helper: a defect of ours, which stderr names\n"


# --- Docker Hub -------------------------------------------------------------------------------------------------------

HUB = ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io", "registry.hub.docker.com"]
HUB_CONFIG = """
[profiles.prod]
issuer = "{{issuer}}"
client_id = "cli"
docker = ["{server}"]
"""


@pytest.mark.parametrize("listed", HUB)
def test_a_profile_that_lists_the_hub_by_any_name_serves_all_of_them(house: House, listed: str) -> None:
    house.write(HUB_CONFIG.format(server=listed))
    house.sign_in()
    for asked in [*HUB, "https://index.docker.io/v1", "https://docker.io/"]:
        found = house.get(asked).json
        assert (found["ServerURL"], found["Secret"]) == (asked, "the-token")
    for other in ("https://index.docker.io/v1/access-token", "docker.io/library", "https://index.docker.io/v2/"):
        assert house.get(other) == (1, NOT_FOUND, "")
    assert house.names().json == {"https://index.docker.io/v1/": "oauth2accesstoken"}


def test_the_hubs_own_tokens_are_kept_beside_a_profile_that_lists_it(in_file: House) -> None:
    in_file.write(HUB_CONFIG.format(server="docker.io"))
    for key in ("access-token", "refresh-token"):
        assert in_file.store(f"https://index.docker.io/v1/{key}", "u", key) == (0, b"", "")
        assert in_file.get(f"https://index.docker.io/v1/{key}").json["Secret"] == key
    assert in_file.store("https://index.docker.io/v1/").stderr != ""


def test_two_profiles_that_list_the_hub_are_an_error(house: House) -> None:
    other = HUB_CONFIG.format(server="index.docker.io").replace("prod", "other")
    house.write(HUB_CONFIG.format(server="docker.io") + other)
    said = house.get("docker.io")
    assert said.code == 78
    assert b"Docker Hub is listed by more than one profile: other, prod" in said.stdout


def test_the_stored_hub_is_one_server_too(in_file: House) -> None:
    in_file.store("https://index.docker.io/v1/")
    assert in_file.get("docker.io").json == {"ServerURL": "docker.io", "Username": "ada", "Secret": "s3cret"}
    in_file.store("docker.io", "bob")
    assert in_file.get("docker.io").json["Username"] == "bob"
    assert in_file.get("https://index.docker.io/v1/").json["Username"] == "ada"
    assert set(in_file.names().json) == {"https://index.docker.io/v1/", "docker.io", "ci.example.com"}
    in_file.store("https://index.docker.io/v1/refresh-token", "u", "kept")
    in_file.erase("https://index.docker.io/v1/")
    assert in_file.get("docker.io") == (1, NOT_FOUND, "")
    assert in_file.get("https://index.docker.io/v1/refresh-token").json["Secret"] == "kept"


# --- stored passwords -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("username", ["ada", "<token>", 'odd "é\\'])
@pytest.mark.parametrize("secret", ["s3cret", "", "é\n\0", "x" * 70_000, "y" * 3_000_000], ids=len)
def test_what_is_stored_is_answered_listed_and_erased(in_file: House, username: str, secret: str) -> None:
    server = "https://other.example.com/v2"
    assert in_file.store(server, username, secret) == (0, b"", "")
    assert in_file.get(server).json == {"ServerURL": server, "Username": username, "Secret": secret}
    assert in_file.names().json == {server: username, "ci.example.com": "<token>"}
    assert in_file.get("other.example.com") == (1, NOT_FOUND, "")
    assert in_file.erase(server) == (0, b"", "")
    assert in_file.get(server) == (1, NOT_FOUND, "")


def test_a_stored_password_is_private_and_never_kept_as_a_reply(in_file: House) -> None:
    in_file.store("other.example.com")
    in_file.get("other.example.com")
    assert in_file.replies() == []
    index = Path(in_file.state.locate(INDEX))
    assert stat.S_IMODE(index.stat().st_mode) == 0o600


def test_without_a_keyring_store_names_the_setting_that_works(house: House) -> None:
    said = house.store("other.example.com")
    assert said.code == 74
    assert said.stdout == (
        b"credential-helper: the password is not kept: there is no keyring here (no D-Bus session); "
        b'password_storage = "file" keeps passwords in a private file instead\n'
    )
    assert "CREDENTIAL_HELPER_PASSWORD_STORAGE=file" in said.stderr
    assert b"s3cret" not in house.on_disk()
    house.write(before='password_storage = "file"\n')
    assert house.store("other.example.com") == (0, b"", "")
    assert house.get("other.example.com").json["Secret"] == "s3cret"
    house.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "keyring"  # the variable is the last word
    assert house.store("another.example.com").code == 74


def test_without_a_keyring_everything_else_answers(house: House) -> None:
    assert house.get("other.example.com") == (1, NOT_FOUND, "")
    assert house.erase("other.example.com") == (0, b"", "")
    assert house.names().json == {"ci.example.com": "<token>"}


def test_off_stores_nothing_and_says_so(house: House) -> None:
    house.write(before='password_storage = "off"\n')
    said = house.store("other.example.com")
    assert said.code == 78
    assert said.stdout == b'credential-helper: nothing is stored for other.example.com: password_storage is "off"\n'
    assert house.get("other.example.com") == (1, NOT_FOUND, "")
    assert house.erase("other.example.com") == (0, b"", "")
    assert house.names().json == {"ci.example.com": "<token>"}


def test_a_storage_that_is_none_is_told(house: House) -> None:
    house.environ["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "disk"
    house.environ["CREDENTIAL_HELPER_VERBOSE"] = "1"
    said = house.get("other.example.com")
    assert said[:2] == (1, NOT_FOUND)
    assert 'CREDENTIAL_HELPER_PASSWORD_STORAGE is "disk", which is none of auto, keyring, file, off' in said.stderr


def test_with_an_issuer_in_the_environment_no_file_is_read(in_file: House) -> None:
    in_file.config.write_text("nonsense")
    in_file.environ |= {
        "CREDENTIAL_HELPER_ISSUER": "https://idp.example.com",
        "CREDENTIAL_HELPER_CLIENT_ID": "cli",
        "CREDENTIAL_HELPER_DOCKER": "registry.example.com",
    }
    assert in_file.store("other.example.com") == (0, b"", "")
    assert in_file.names().json == {"other.example.com": "ada"}
    assert in_file.store("registry.example.com").stderr.startswith("credential-helper: nothing is stored for registry")
    assert in_file.get("registry.example.com").stdout == NOT_FOUND


_servers = st.sampled_from(
    [
        "a",
        "b:5000",
        "https://a",
        "https://a/",
        "docker.io",
        HUB[0],
        f"{HUB[0]}access-token",
        "é",
        "/x",
        "a b",
        "a\nb",
        "",
    ]
)
_steps = st.tuples(
    st.sampled_from(["get", "store", "erase", "list"]), _servers, st.sampled_from(["", "ada", "<token>"]), st.text()
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(_steps, max_size=10))
def test_get_store_and_erase_behave_as_a_table(in_file: House, steps: list[tuple[str, str, str, str]]) -> None:
    table: dict[str, tuple[str, str]] = {}
    for server in list(in_file.names().json):
        if server != "ci.example.com":
            in_file.erase(server)
    for action, server, name, secret in steps:
        same = [key for key in table if key == server or (docker.hub(key) and docker.hub(server))]
        good = server not in ("", "a\nb")
        if action == "list":
            assert in_file.names().json == {"ci.example.com": "<token>"} | {k: v[0] for k, v in table.items()}
        elif action == "store":
            said = in_file.store(server, name, secret)
            valid = good and name != ""
            assert (said.code == 0) is valid
            assert (said.stdout == b"") is valid
            if valid:
                table.pop(server, None)
                table[server] = (name, secret)
        elif action == "erase":
            assert (in_file.erase(server).code == 0) is good
            for key in same:
                del table[key]
        elif same:
            key = server if server in table else same[0]
            found = dict(zip(("Username", "Secret"), table[key], strict=True))
            assert in_file.get(server).json == {"ServerURL": server} | found
        else:
            said = in_file.get(server)
            assert said.code != 0
            assert (said.stdout == NOT_FOUND) is good


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["get", "store", "erase"]), st.binary(max_size=60))
def test_no_bytes_make_it_crash_print_half_an_answer_or_give_the_token_away(
    in_file: House, action: str, stdin: bytes
) -> None:
    in_file.sign_in()
    said = in_file(action, stdin=stdin)
    assert said.code in (0, 1, 65)
    assert b"the-token" not in said.stdout or stdin.strip().lower().removeprefix(b"https://").startswith(b"registry.")
    assert said.code == 0 or said.stdout.endswith(b"\n")
    assert "a defect" not in said.stderr


# --- list -------------------------------------------------------------------------------------------------------------


def test_a_list_names_a_profiles_server_only_when_nobody_has_to_sign_in(house: House) -> None:
    assert house.names().json == {"ci.example.com": "<token>"}
    house.sign_in()
    one_sign_in = {"ci.example.com": "<token>", "registry.example.com:5000": "oauth2accesstoken"}
    assert house.names().json == {**one_sign_in, "harbor.example.com": "ada@example.com"}
    house.write(CONFIG.replace('client_id = "cli"', 'client_id = "cli"\nmulti_resource = "off"'))
    assert house.names().json == one_sign_in
    house.sign_in(audience="harbor", alone=True)
    assert house.names().json["harbor.example.com"] == "ada@example.com"


def test_a_list_leaves_out_a_server_for_which_the_provider_gave_no_token(house: House) -> None:
    harbor = place_of(house.profile(audience="harbor")).session
    house.sign_in(underivable=((harbor, house.clock.now() + 60),))
    assert set(house.names().json) == SERVED - {"harbor.example.com"}
    house.clock.advance(61)
    assert set(house.names().json) == SERVED


def test_one_sign_in_brings_each_server_its_own_token(house: House, provider: HostileProvider) -> None:
    house.sign_in()
    harbors = signing_key("ES256", "k1").sign(provider.claims("cli", aud="harbor"))
    provider.script("/token", answer({"access_token": harbors, "token_type": "Bearer", "expires_in": 3600}))
    for _ in range(2):
        assert house.get("harbor.example.com").json["Secret"] == harbors
    assert house.get("registry.example.com:5000").json["Secret"] == "the-token"
    [asked] = provider.to("/token")
    assert (asked.field("grant_type"), asked.field("audience")) == ("refresh_token", "harbor")
    assert house.erase("harbor.example.com") == (0, b"", "")
    assert house.get("registry.example.com:5000").json["Secret"] == "the-token"


def test_a_server_may_have_a_resource_of_its_own(house: House, provider: HostileProvider) -> None:
    house.write(CONFIG.replace('audience = "harbor"', 'resource = ["https://harbor.example.com"]'))
    house.sign_in(resources=("https://harbor.example.com",))
    harbors = signing_key("ES256", "k1").sign(provider.claims("cli", aud="https://harbor.example.com"))
    provider.script("/token", answer({"access_token": harbors, "token_type": "Bearer", "expires_in": 3600}))
    assert house.get("harbor.example.com").json["Secret"] == harbors
    [asked] = provider.to("/token")
    assert asked.field("resource") == "https://harbor.example.com"


@pytest.mark.parametrize(
    ("session", "listed"),
    [
        ({"access": None}, True),  # a refresh token brings another one
        ({"age": 4000.0}, True),
        ({"age": 4000.0, "refresh_token": None}, False),
        ({"age": 3599.0, "refresh_token": None}, True),
        ({"access": None, "refresh_token": None}, False),
        ({"lifetime": None, "refresh_token": None}, True),
    ],
)
def test_what_counts_as_a_session(house: House, session: dict[str, Any], listed: bool) -> None:
    house.sign_in(**session)
    assert ("registry.example.com:5000" in house.names().json) is listed


def test_a_session_that_is_only_to_be_revoked_is_none(house: House) -> None:
    house.sign_in(access=None, revoke_only=True)
    assert house.names().json == {"ci.example.com": "<token>"}


def test_a_broken_profile_does_not_cost_the_list(in_file: House) -> None:
    in_file.write(CONFIG + '\n[profiles.bad]\nissuer = 7\ndocker = ["bad.example.com"]\n')
    in_file.store("other.example.com")
    assert in_file.names().json == {"other.example.com": "ada", "ci.example.com": "<token>"}
    assert in_file.get("bad.example.com").code == 78


@pytest.mark.parametrize("asked", ["registry.example.com:5000", "https://registry.example.com:5000/v2/"])
def test_what_was_stored_before_a_profile_listed_it_is_neither_answered_nor_listed_and_goes_at_logout(
    in_file: House, asked: str
) -> None:
    in_file.write("")
    for server in (asked, "registry.example.com", "http://registry.example.com:5000", "other.example.com"):
        in_file.store(server, secret="s3cret" if server == asked else "another")
    in_file.write()
    assert in_file.get(asked).stdout == NOT_FOUND
    others = {"registry.example.com", "http://registry.example.com:5000", "other.example.com", "ci.example.com"}
    assert set(in_file.names().json) == others
    in_file.sign_in()
    assert set(in_file.names().json) == others | SERVED
    assert b"s3cret" in in_file.on_disk()
    in_file.erase(asked)
    assert b"s3cret" not in in_file.on_disk()


def test_a_stored_hub_is_not_listed_where_a_profile_lists_it(in_file: House) -> None:
    in_file.write("")
    in_file.store("https://index.docker.io/v1/")
    in_file.store("https://index.docker.io/v1/access-token")
    in_file.write(HUB_CONFIG.format(server="docker.io"))
    assert in_file.names().json == {"https://index.docker.io/v1/access-token": "ada"}


@pytest.mark.parametrize("damage", ["chmod", "symlink", "garbage"])
def test_a_list_is_valid_json_whatever_the_disk_does(in_file: House, damage: str) -> None:
    in_file.store("other.example.com")
    index = Path(in_file.state.locate(INDEX))
    if damage == "chmod":
        index.chmod(0o666)
    elif damage == "symlink":
        index.rename(index.with_name("moved"))
        index.symlink_to(index.with_name("moved"))
    else:
        index.write_bytes(b"\xff{")
    assert in_file.names().json == {"ci.example.com": "<token>"}
    assert in_file.get("other.example.com") == (1, NOT_FOUND, "")


def test_a_list_survives_names_that_are_no_unicode(in_file: House) -> None:
    in_file.store("other.example.com")
    index = Path(in_file.state.locate(INDEX))
    index.write_bytes(index.read_bytes().replace(b"ada", b"\\ud800"))
    assert in_file.names().json["other.example.com"] == "\ud800"
    assert in_file.get("other.example.com").code == 0


def test_an_unsafe_state_directory_costs_the_memory_and_not_the_answer(house: House, provider: HostileProvider) -> None:
    house.environ["CI_SECRET"] = "right"
    provider.script("/token", answer({"access_token": "machines", "token_type": "Bearer", "expires_in": 3600}))
    state = Path(str(house.state.path))
    state.mkdir(parents=True)
    state.chmod(0o777)
    assert house.get("ci.example.com").json["Secret"] == "machines"
    assert house.names().json == {"ci.example.com": "<token>"}
    assert house.store("other.example.com").code == 74
    for server in ("ci.example.com", "other.example.com"):
        assert house.erase(server) == (0, b"", "")
    assert list(state.iterdir()) == []


def test_what_git_stored_is_neither_listed_nor_answered(in_file: House) -> None:
    app = App(in_file.environ, clock=in_file.clock, verbose=False)
    passwords = stored_passwords.docker_passwords(app)
    assert passwords is not None
    git = {"protocol": "https", "host": "other.example.com", "server": "other.example.com", "password": "gits"}
    passwords.store(GIT, git)
    assert in_file.get("other.example.com") == (1, NOT_FOUND, "")
    assert in_file.names().json == {"ci.example.com": "<token>"}
    assert in_file.erase("other.example.com") == (0, b"", "")
    assert passwords.get(GIT, git) == git


# --- what the hot path finds ------------------------------------------------------------------------------------------


def kept(house: House, action: str, stdin: bytes) -> bytes | None:
    request = replies.request_of([NAME, action], house.environ, stdin)
    assert request is not None
    found = replies.find(request, house.environ)
    return None if found is None else found.answer


def test_a_profiles_answer_is_kept_and_goes_with_its_session(house: House) -> None:
    house.sign_in()
    said = house.get("registry.example.com:5000")
    assert kept(house, "get", b"registry.example.com:5000") == said.stdout
    assert kept(house, "get", b"registry.example.com:5001") is None
    house.erase("registry.example.com:5000")
    assert kept(house, "get", b"registry.example.com:5000") is None


def test_a_list_is_kept_until_anything_changes(in_file: House) -> None:
    in_file.sign_in()
    in_file.store("other.example.com")
    said = in_file.names()
    assert kept(in_file, "list", b"") == said.stdout
    in_file.store("another.example.com")
    assert kept(in_file, "list", b"") is None
    in_file.names()
    in_file.sessions.erase(in_file.place.grant)
    assert kept(in_file, "list", b"") is None
    in_file.names()
    assert kept(in_file, "list", b"") is not None
    os.utime(in_file.config, (1, 1))
    assert kept(in_file, "list", b"") is None


def test_nothing_is_kept_under_verbose(in_file: House) -> None:
    in_file.environ["CREDENTIAL_HELPER_VERBOSE"] = "1"
    in_file.sign_in()
    said = in_file.names()
    assert said.code == 0
    assert set(json.loads(said.stdout)) == SERVED
    assert "is not listed" not in said.stderr
    in_file.get("registry.example.com:5000")
    assert in_file.replies() == []


@pytest.mark.parametrize("changed", ["index", "session"])
def test_a_list_is_void_when_what_it_was_made_from_is_another_file(in_file: House, changed: str) -> None:
    """Whoever writes empties the replies as well; here nobody does."""
    in_file.sign_in()
    in_file.store("other.example.com")
    in_file.names()
    assert kept(in_file, "list", b"") is not None
    name = INDEX if changed == "index" else f"sessions/{in_file.place.session}.json"
    found = in_file.state.read(name)
    assert found is not None
    in_file.state.write(name, found[0])
    assert kept(in_file, "list", b"") is None


def test_an_empty_list_is_kept_too_and_goes_when_somebody_signs_in(house: House) -> None:
    house.sign_in()
    house.sessions.erase(house.place.grant)
    house.names()
    assert kept(house, "list", b"") is not None
    house.sign_in()
    assert kept(house, "list", b"") is None


def test_a_list_lives_no_longer_than_a_token_that_nobody_can_renew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.clock.time = time.time()
    house.sign_in(refresh_token=None, lifetime=300)
    assert "registry.example.com:5000" in house.names().json
    assert kept(house, "list", b"") is not None
    monkeypatch.setattr(time, "time", lambda: house.clock.time + 301)
    assert kept(house, "list", b"") is None
