"""The real docker CLI (no daemon is needed) and the real skopeo, real registries, and the installed program between.

docker finds the program through a script that writes down what it was called for; a small fake daemon shows what
credentials docker would have sent to a real one. One registry is behind a token service that believes the provider's
own tokens, the other one has htpasswd.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

import pytest

from integration.clients.programs import Runner
from integration.clients.real import need
from integration.scenes.secret_service import run as in_a_keyring_session
from integration.scenes.sign_ins import person, sign_in, write_profiles
from integration.servers.oidc import AUDIENCE, M2M_BASIC, ODD_SECRET, OidcProvider
from integration.servers.registry import FakeDaemon, Registry, Sent, TokenService, provider_tokens, write_image
from tests.helpers.programs import Launcher, Options, Result

NOT_FOUND = b"credentials not found in native keychain\n"
HUB = "https://index.docker.io/v1/"
PASSWORD = "the-password-of-ada"
PROGRAM = "docker-credential-helper"


class Desk:
    """A home with docker, skopeo and the helper."""

    def __init__(self, folder: Path, home: dict[str, str], launch: Launcher, run: Runner) -> None:
        self.folder = folder
        self.home = home
        self.run = run
        self._launch = launch
        self._calls = folder / "calls"
        tools = folder / "bin"
        tools.mkdir()
        real = run.executable.with_name(PROGRAM)
        # What was asked for is written outside HOME: of a store its server, of the others all of stdin.
        (tools / PROGRAM).write_text(
            f"#!{sys.executable}\n"
            "import json, os, sys\n"
            "heard = sys.stdin.buffer.read()\n"
            "said = json.loads(heard)['ServerURL'] if sys.argv[1] == 'store' else heard.decode()\n"
            f"with open({str(self._calls)!r}, 'a') as file:\n"
            "    file.write(f'{sys.argv[1]} {said}\\n')\n"
            "reader, writer = os.pipe()\n"
            "os.write(writer, heard)\n"
            "os.close(writer)\n"
            "os.dup2(reader, 0)\n"
            f"os.execv({str(real)!r}, [{PROGRAM!r}, *sys.argv[1:]])\n"
        )
        (tools / PROGRAM).chmod(0o700)
        home["PATH"] = f"{tools}:{home['PATH']}"
        home["REGISTRY_AUTH_FILE"] = str(Path(home["HOME"], "auth.json"))
        self.config = Path(home["HOME"], ".docker", "config.json")
        self.config.parent.mkdir()

    def configure(self, *servers: str, store: bool = False) -> None:
        """Let docker and skopeo ask for these servers, and docker for all others where ``store`` says so."""
        helpers = {"credHelpers": dict.fromkeys(servers, "helper")}
        self.config.write_text(json.dumps({**helpers, **({"credsStore": "helper"} if store else {})}))
        Path(self.home["REGISTRY_AUTH_FILE"]).write_text(json.dumps(helpers))

    def docker(self, *argv: str, **options: Unpack[Options]) -> Result:
        """Run docker to its end."""
        return self._launch.run([need("docker"), *argv], **options)

    def skopeo(self, *argv: str, **options: Unpack[Options]) -> Result:
        """Run skopeo to its end."""
        return self._launch.run([need("skopeo"), *argv], **options)

    def helper(self, *argv: str, stdin: str | bytes = b"") -> Result:
        """Run the helper itself."""
        return self.run(*argv, program=PROGRAM, stdin=stdin.encode() if isinstance(stdin, str) else stdin)

    def store(self, server: str, username: str = "ada", secret: str = PASSWORD) -> None:
        data = json.dumps({"ServerURL": server, "Username": username, "Secret": secret})
        done = self.helper("store", stdin=data)
        assert (done.code, done.stdout, done.stderr) == (0, b"", "")

    def calls(self) -> list[str]:
        """Return what the helper was called for since the last time, as ``action stdin``."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return lines

    def files_with(self, *secrets: str) -> list[Path]:
        """Return the files of the home that hold a secret."""
        files = [path for path in Path(self.home["HOME"]).rglob("*") if path.is_file()]
        return [path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]

    @property
    def auths(self) -> dict[str, Any]:
        """Return what docker has written into its own config."""
        auths: dict[str, Any] = json.loads(self.config.read_text()).get("auths", {})
        return auths


@pytest.fixture
def desk(tmp_path: Path, home: dict[str, str], launch: Launcher, run: Runner) -> Desk:
    need("docker")
    need("skopeo")
    return Desk(tmp_path, home, launch, run)


@pytest.fixture
def in_file(desk: Desk) -> Desk:
    """A desk without a keyring, where passwords are kept in a file."""
    desk.home["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    return desk


@pytest.fixture
def service(tmp_path: Path, oidc: OidcProvider) -> TokenService:
    return TokenService(tmp_path / "service", provider_tokens(oidc, AUDIENCE))


@pytest.fixture
def registry(tmp_path: Path, service: TokenService) -> Iterator[Registry]:
    """A registry that believes the provider's tokens."""
    need("docker-registry")
    with Registry(tmp_path / "registry", service=service) as registry:
        yield registry


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Registry]:
    """A registry with htpasswd."""
    need("docker-registry")
    with Registry(tmp_path / "guarded", users={"ada": PASSWORD}) as registry:
        yield registry


@pytest.fixture
def daemon(home: dict[str, str]) -> Iterator[FakeDaemon]:
    with FakeDaemon() as daemon:
        home["DOCKER_HOST"] = daemon.address
        yield daemon


@pytest.fixture
def signed_in(desk: Desk, registry: Registry, oidc: OidcProvider) -> Desk:
    """A desk whose profile lists the registry, and where ada has signed in."""
    write_profiles(desk.home, prod=person(oidc, docker=[registry.host]))
    desk.configure(registry.host)
    sign_in(desk.run, oidc, "prod")
    return desk


def token_of(oidc: OidcProvider) -> str:
    token = oidc.issued()[-1].access_token
    assert token is not None
    return token


def seed(desk: Desk, folder: Path, host: str) -> Result:
    """Push an image with skopeo, which asks the helper for credentials."""
    image = write_image(folder / "image")
    copy = ("copy", "--insecure-policy", "--dest-tls-verify=false", "--format", "v2s2")
    return desk.skopeo(*copy, image, f"docker://{host}/team/image:1")


# --- servers that a profile lists -------------------------------------------------------------------------------------


def test_docker_login_manifest_and_logout_of_a_profiles_registry(
    signed_in: Desk, registry: Registry, service: TokenService, oidc: OidcProvider, daemon: FakeDaemon, tmp_path: Path
) -> None:
    desk, host = signed_in, registry.host
    assert daemon.received == []
    token = token_of(oidc)
    oidc.reset_counts()

    done = desk.docker("login", host, stdin=None)
    assert (done.code, "Login Succeeded" in done.text) == (0, True), done
    assert desk.calls() == [f"get {host}", f"store {host}"]
    assert f"credential-helper: nothing is stored for {host}: profile prod signs in to it" in done.stderr
    assert service.knocks[-1].password == token
    assert (service.knocks[-1].username, service.knocks[-1].subject) == ("oauth2accesstoken", "ada")
    assert {path.parent.name for path in desk.files_with(token)} == {"sessions", "replies"}

    assert seed(desk, tmp_path, host).code == 0
    assert desk.calls() == [f"get {host}"]
    done = desk.docker("manifest", "inspect", "--insecure", f"{host}/team/image:1")
    assert done.code == 0, done
    assert '"schemaVersion": 2' in done.text
    assert desk.calls() == [f"get {host}"] * 2
    assert "credential-helper" not in done.stderr
    assert set(oidc.counts()) == {"jwks"}  # the token service's own

    done = desk.docker("logout", host)
    assert done.code == 0
    assert desk.calls() == [f"erase {host}"] * 2  # http://HOST and https://HOST are other keys of credHelpers
    assert "credential-helper" not in done.stderr
    assert desk.helper("get", stdin=host).code == 0
    assert oidc.counts()["refresh_token"] == 1
    assert token_of(oidc) != token


@pytest.mark.parametrize("command", ["pull", "push"])
def test_pull_and_push_send_the_token(
    signed_in: Desk, registry: Registry, daemon: FakeDaemon, oidc: OidcProvider, command: str
) -> None:
    done = signed_in.docker(command, f"{registry.host}/team/image:1")
    assert "this daemon is a fake" in done.stderr
    assert "credential-helper" not in done.stderr
    assert signed_in.calls() == [f"get {registry.host}"]
    assert [sent.auth for sent in daemon.received] == [{"username": "oauth2accesstoken", "password": token_of(oidc)}]


def test_nobody_signed_in_is_anonymous_and_the_hint_is_seen(
    signed_in: Desk, registry: Registry, daemon: FakeDaemon
) -> None:
    assert signed_in.run("logout", "prod").code == 0
    done = signed_in.docker("pull", f"{registry.host}/team/image:1", terminal=True)
    assert signed_in.calls() == [f"get {registry.host}"]
    assert [sent.auth for sent in daemon.received] == [None]
    assert "credential-helper: prod: nobody is signed in to" in done.terminal
    assert "hint: credential-helper login prod\n" in done.terminal
    assert "go on only if you started this" not in done.terminal


def test_docker_asks_a_person_where_the_profile_says_always(
    desk: Desk, registry: Registry, daemon: FakeDaemon, oidc: OidcProvider
) -> None:
    write_profiles(desk.home, prod=person(oidc, docker=[registry.host], interactive="always"))
    desk.configure(registry.host)
    running = desk._launch.start([need("docker"), "pull", f"{registry.host}/a"])
    code = running.wait_for(r"shows  ([A-Z]{4}-[A-Z]{4}) ", where="stderr")[1]
    assert "docker needs a sign-in to prod" in running.output("stderr")
    oidc.approve(code)
    running.finish()
    (sent,) = daemon.received
    assert sent.auth is not None
    assert sent.auth["password"] == token_of(oidc)


def test_a_machine_pulls_with_a_token_of_its_own(
    desk: Desk, registry: Registry, daemon: FakeDaemon, oidc: OidcProvider
) -> None:
    write_profiles(
        desk.home,
        ci={
            "issuer": oidc.issuer,
            "client_id": M2M_BASIC,
            "flow": "client-credentials",
            "client_secret": {"env": "CI_SECRET"},
            "audience": AUDIENCE,
            "docker": [registry.host],
        },
    )
    desk.configure(registry.host)
    desk.docker("pull", f"{registry.host}/a", env={"CI_SECRET": ODD_SECRET, "CI": "true"})
    (sent,) = daemon.received
    assert sent.auth is not None
    assert sent.auth["password"] == token_of(oidc)


def test_the_hub_is_the_profiles_by_all_its_names(desk: Desk, daemon: FakeDaemon, oidc: OidcProvider) -> None:
    write_profiles(desk.home, prod=person(oidc, docker=["docker.io"]))
    desk.configure(HUB, "docker.io")
    sign_in(desk.run, oidc, "prod")
    desk.docker("pull", "team/image:1")
    assert desk.calls() == [f"get {HUB}"]
    (sent,) = daemon.received
    assert sent.auth == {"username": "oauth2accesstoken", "password": token_of(oidc)}
    done = desk.skopeo("login", "--get-login", "docker.io")
    assert (done.code, done.text) == (0, "oauth2accesstoken\n")
    assert desk.calls() == ["get docker.io"]


# --- passwords that docker stores -------------------------------------------------------------------------------------


def test_docker_login_with_a_password_is_stored_used_and_logged_out(
    in_file: Desk, guarded: Registry, daemon: FakeDaemon
) -> None:
    desk, host = in_file, guarded.host
    desk.configure(store=True)
    done = desk.docker("login", "-u", "ada", "--password-stdin", host, stdin=PASSWORD.encode())
    assert (done.code, "Login Succeeded" in done.text) == (0, True), done
    assert "credential-helper" not in done.stderr
    assert "unencrypted" not in done.stderr
    assert desk.calls() == [f"store {host}"]
    assert desk.auths == {host: {}}
    assert [path.name for path in desk.files_with(PASSWORD)] == ["index.json"]

    desk.docker("pull", f"{host}/a")
    assert desk.calls() == [f"get {host}"]
    assert daemon.received[-1].auth == {"username": "ada", "password": PASSWORD}

    done = desk.docker("logout", host)
    assert (done.code, done.stderr) == (0, "")
    assert desk.calls() == [f"erase {host}", f"erase {host}", f"erase http://{host}", f"erase https://{host}"]
    assert desk.auths == {}
    assert desk.files_with(PASSWORD) == []
    desk.docker("pull", f"{host}/a")
    assert daemon.received[-1].auth is None


def test_a_wrong_password_is_not_stored(in_file: Desk, guarded: Registry) -> None:
    in_file.configure(store=True)
    done = in_file.docker("login", "-u", "ada", "--password-stdin", guarded.host, stdin=b"wrong")
    assert done.code != 0
    assert in_file.calls() == []
    assert in_file.helper("list").stdout == b"{}\n"


def test_without_a_keyring_docker_login_says_what_to_do(desk: Desk, guarded: Registry) -> None:
    desk.configure(store=True)
    done = desk.docker("login", "-u", "ada", "--password-stdin", guarded.host, stdin=PASSWORD.encode())
    assert done.code != 0
    assert 'password_storage = "file"' in done.stderr
    assert desk.files_with(PASSWORD) == []
    desk.home["CREDENTIAL_HELPER_PASSWORD_STORAGE"] = "file"
    assert desk.docker("login", "-u", "ada", "--password-stdin", guarded.host, stdin=PASSWORD.encode()).code == 0
    assert desk.helper("list").stdout == json.dumps({guarded.host: "ada"}).encode() + b"\n"


def test_an_identity_token_is_kept_as_it_comes(in_file: Desk, daemon: FakeDaemon, tmp_path: Path) -> None:
    service = TokenService(tmp_path / "offline", lambda user, pw: user if pw == PASSWORD else None, offline=True)
    need("docker-registry")
    with Registry(tmp_path / "with-offline", service=service) as registry:
        in_file.configure(store=True)
        host = registry.host
        done = in_file.docker("login", "-u", "ada", "--password-stdin", host, stdin=PASSWORD.encode())
        assert done.code == 0, done
        (token,) = service.refresh_tokens
        kept = json.loads(in_file.helper("get", stdin=host).stdout)
        assert kept == {"ServerURL": host, "Username": "<token>", "Secret": token}
        in_file.docker("pull", f"{host}/team/image:1")
        assert daemon.received[-1].auth is not None
        assert daemon.received[-1].auth["identitytoken"] == token
        in_file.docker("manifest", "inspect", "--insecure", f"{host}/team/image:1")
        assert service.knocks[-1].grant_type == "refresh_token"
        assert service.knocks[-1].subject == "ada"


def test_a_logout_of_the_hub_reads_its_refresh_token_first(in_file: Desk) -> None:
    in_file.configure(store=True)
    in_file.store(HUB)
    in_file.store(f"{HUB}access-token", "ada", "an-access-token")
    in_file.store(f"{HUB}refresh-token", "ada", "not two parts")
    done = in_file.docker("logout")
    assert done.code == 0
    calls = in_file.calls()
    assert f"erase {HUB}" in calls
    version = re.search(r"version (\d+)", in_file.docker("--version").text)
    assert version is not None
    assert version[1] == "27" or (f"get {HUB}refresh-token" in calls) is (int(version[1]) > 27)  # since 27.2
    assert set(json.loads(in_file.helper("list").stdout)) == {f"{HUB}access-token", f"{HUB}refresh-token"}


# --- docker build: list, and a get for everything ---------------------------------------------------------------------


def build(desk: Desk, daemon: FakeDaemon) -> tuple[Result, Sent]:
    folder = desk.folder / "context"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    done = desk.docker("build", ".", cwd=folder, env={"DOCKER_BUILDKIT": "0"})
    (sent,) = (sent for sent in daemon.received if sent.path == "/build")
    daemon.received.clear()
    return done, sent


def test_a_classic_build_carries_what_is_stored_although_somebody_is_not_signed_in(
    in_file: Desk, daemon: FakeDaemon, oidc: OidcProvider
) -> None:
    desk = in_file
    write_profiles(desk.home, prod=person(oidc, docker=["listed.example.com", "helped.example.com"]))
    desk.configure("helped.example.com", store=True)
    desk.store("stored.example.com")
    stored = {"username": "ada", "password": PASSWORD}

    done, sent = build(desk, daemon)
    assert sent.config == {"stored.example.com": stored, "helped.example.com": {}}
    assert sorted(desk.calls()) == ["get helped.example.com", "get stored.example.com", "list unused"]
    assert "nobody is signed in" in done.stderr

    sign_in(desk.run, oidc, "prod")
    _, sent = build(desk, daemon)
    ours = {"username": "oauth2accesstoken", "password": token_of(oidc)}
    assert sent.config == {
        "stored.example.com": stored,
        "listed.example.com": ours,
        "helped.example.com": ours,
    }
    assert desk.calls()[0] == "list unused"


# --- skopeo: it never reads credsStore --------------------------------------------------------------------------------


def by_cred_helpers(desk: Desk, *hosts: str) -> None:
    desk.configure(*hosts)
    desk.config.unlink()  # skopeo reads docker's as well, and would ask a second time


def by_registries_conf(desk: Desk, *hosts: str) -> None:
    assert hosts
    path = Path(desk.home["XDG_CONFIG_HOME"], "containers", "registries.conf")
    path.parent.mkdir(parents=True)
    path.write_text('credential-helpers = ["helper"]\n')
    desk.configure()


ways = pytest.mark.parametrize("configure", [by_cred_helpers, by_registries_conf])


@ways
def test_skopeo_copies_and_inspects_with_a_profiles_token(
    desk: Desk,
    registry: Registry,
    service: TokenService,
    oidc: OidcProvider,
    tmp_path: Path,
    configure: Callable[..., None],
) -> None:
    host = registry.host
    write_profiles(desk.home, prod=person(oidc, docker=[host]))
    configure(desk, host)
    sign_in(desk.run, oidc, "prod")
    done = seed(desk, tmp_path, host)
    assert (done.code, done.stderr) == (0, "")
    done = desk.skopeo("inspect", "--tls-verify=false", f"docker://{host}/team/image:1")
    assert (done.code, done.stderr) == (0, "")
    assert json.loads(done.text)["Name"] == f"{host}/team/image"
    assert set(desk.calls()) == {f"get {host}"}
    assert {knock.subject for knock in service.knocks} == {"ada"}
    done = desk.skopeo(
        "copy", "--insecure-policy", "--src-tls-verify=false", f"docker://{host}/team/image:1", "dir:out"
    )
    assert done.code == 0


@ways
def test_skopeo_logs_in_and_out(in_file: Desk, guarded: Registry, configure: Callable[..., None]) -> None:
    desk, host = in_file, guarded.host
    configure(desk, host)
    done = desk.skopeo("login", "--tls-verify=false", "-u", "ada", "--password-stdin", host, stdin=PASSWORD.encode())
    assert (done.code, done.stderr) == (0, ""), done
    assert desk.calls() == [f"get {host}", f"store {host}"]
    done = desk.skopeo("login", "--get-login", host)
    assert (done.code, done.text, done.stderr) == (0, "ada\n", "")
    assert desk.calls() == [f"get {host}"]
    done = desk.skopeo("logout", host)
    assert (done.code, done.stderr) == (0, ""), done
    assert f"erase {host}" in desk.calls()
    assert desk.helper("get", stdin=host).stdout == NOT_FOUND
    assert desk.files_with(PASSWORD) == []


@ways
def test_skopeo_logs_out_of_what_nobody_stored(in_file: Desk, configure: Callable[..., None]) -> None:
    """Exit 1 here ends skopeo 1.9.3 with a stack overflow."""
    configure(in_file, "unknown.example.com")
    done = in_file.skopeo("logout", "unknown.example.com")
    assert "stack overflow" not in done.stderr
    assert "%!w" not in done.stderr
    assert "erase unknown.example.com" in in_file.calls()


@ways
def test_skopeo_logs_out_of_everything(in_file: Desk, configure: Callable[..., None]) -> None:
    desk = in_file
    configure(desk, "a.example.com")
    desk.store("a.example.com")
    desk.store("b.example.com")
    done = desk.skopeo("logout", "--all")
    assert (done.code, done.stderr) == (0, ""), done
    everything = configure is by_registries_conf
    listed, erased = ["list unused"], ["erase a.example.com", "erase b.example.com"]
    calls = desk.calls()
    assert sorted(calls) == (sorted([*erased, *listed]) if everything else erased[:1])
    assert json.loads(desk.helper("list").stdout) == ({} if everything else {"b.example.com": "ada"})


def test_skopeo_of_a_listed_server_without_a_session_is_anonymous(
    desk: Desk, registry: Registry, oidc: OidcProvider, service: TokenService
) -> None:
    write_profiles(desk.home, prod=person(oidc, docker=[registry.host]))
    desk.configure(registry.host)
    done = desk.skopeo("inspect", "--tls-verify=false", f"docker://{registry.host}/team/image:1")
    assert done.code != 0
    assert "hint: credential-helper login prod" in done.stderr
    assert [knock.subject for knock in service.knocks] == [None]


# --- a real keyring ---------------------------------------------------------------------------------------------------

LOG_IN = """
import subprocess
done = subprocess.run(
    [{docker!r}, "login", "-u", "ada", "--password-stdin", {host!r}], input={password!r}, capture_output=True, text=True
)
import secretstorage
items = list(secretstorage.get_default_collection(secretstorage.dbus_init()).get_all_items())
print(json.dumps([done.returncode, done.stderr, [[i.get_label(), i.get_secret().decode()] for i in items]]))
"""
LOOK = """
import subprocess
def helper(*words, stdin=""):
    done = subprocess.run([{helper!r}, *words], input=stdin, capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr]
seen = [helper("get", stdin={host!r}), helper("list")]
seen += [helper("erase", stdin={host!r}), helper("get", stdin={host!r})]
import secretstorage
seen.append(len(list(secretstorage.get_default_collection(secretstorage.dbus_init()).get_all_items())))
print(json.dumps(seen))
"""


def test_in_a_real_keyring_and_nowhere_on_disk_and_there_in_the_next_session(desk: Desk, guarded: Registry) -> None:
    desk.configure(store=True)
    home = Path(desk.home["HOME"])
    host = guarded.host
    environ = {"PATH": desk.home["PATH"]}

    def session(snippet: str, **values: str) -> Any:
        answer = in_a_keyring_session(home, "unlocked", snippet.format(**values), **environ).answer()
        shutil.rmtree(home / "run")
        return answer

    for _ in range(5):  # a keyring has 3 s, which are short on a machine that does much else: one tries again
        code, stderr, items = session(LOG_IN, docker=need("docker"), host=host, password=PASSWORD)
        if "did not answer within 3 s" not in stderr:
            break
    assert code == 0, stderr
    assert "credential-helper" not in stderr
    ((label, secret),) = items
    assert label.startswith(f"Password for 'docker {host} ada' on 'credential-helper/")
    assert json.loads(secret) == {"password": PASSWORD}
    encoded = b64encode(f"ada:{PASSWORD}".encode()).decode()  # as docker's own config would have it
    assert desk.files_with(PASSWORD, encoded) == []
    assert json.loads(desk.config.read_text())["auths"] == {host: {}}
    index = next(home.rglob("passwords/index.json"))
    assert index.stat().st_mode & 0o777 == 0o600

    got, listed, erased, after, left = session(LOOK, helper=str(desk.run.executable.with_name(PROGRAM)), host=host)
    assert got[0] == 0
    assert json.loads(got[1]) == {"ServerURL": host, "Username": "ada", "Secret": PASSWORD}
    assert json.loads(listed[1]) == {host: "ada"}
    assert erased == [0, "", ""]
    assert after == [1, NOT_FOUND.decode(), ""]
    assert left == 0


def test_a_locked_keyring_is_told_and_costs_only_what_is_in_it(desk: Desk, oidc: OidcProvider) -> None:
    write_profiles(desk.home, prod=person(oidc, docker=["listed.example.com"], store="file"))
    sign_in(desk.run, oidc, "prod")
    home = Path(desk.home["HOME"])
    shutil.copytree(Path(desk.home["XDG_CONFIG_HOME"]), home / "CONFIG")  # where the keyring session looks
    state = {"XDG_STATE_HOME": desk.home["XDG_STATE_HOME"]}  # files that are brought elsewhere are not believed there
    helper = str(desk.run.executable.with_name(PROGRAM))
    store = json.dumps({"ServerURL": "stored.example.com", "Username": "ada", "Secret": PASSWORD})
    snippet = f"""
import subprocess
def helper(word, stdin=""):
    done = subprocess.run([{helper!r}, word], input=stdin, capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr]
print(json.dumps([helper("store", {store!r}), helper("get", "stored.example.com"), helper("list"),
    helper("get", "listed.example.com")]))
"""
    in_a_keyring_session(home, "unlocked", snippet, **state).answer()
    shutil.rmtree(home / "run")
    snippet = snippet.replace(PASSWORD, "another")
    stored, got, listed, token = in_a_keyring_session(home, "locked", snippet, **state).answer()
    assert stored[0] == 74
    assert stored[1].startswith("credential-helper: the password is not kept: the keyring is locked; password_storage")
    assert (got[0], got[1]) == (1, "credentials not found in native keychain\n")  # no profile lists it: docker goes on
    assert got[2].startswith("credential-helper: the keyring is locked\nhint: unlock the keyring, or store")
    assert json.loads(listed[1]) == {"stored.example.com": "ada", "listed.example.com": "oauth2accesstoken"}
    assert json.loads(token[1])["Secret"] == token_of(oidc)


# --- the program itself -----------------------------------------------------------------------------------------------


def test_twenty_parallel_stores_lose_nothing(in_file: Desk) -> None:
    running = []
    for number in range(20):
        data = {"ServerURL": f"r{number}.example.com", "Username": f"u{number}", "Secret": f"s{number}"}
        running.append(in_file.run.start("store", program=PROGRAM, stdin=json.dumps(data).encode()))
    for one in running:
        done = one.finish(60)
        assert (done.code, done.stdout, done.stderr) == (0, b"", "")
    assert json.loads(in_file.helper("list").stdout) == {f"r{number}.example.com": f"u{number}" for number in range(20)}
    for number in range(20):
        found = json.loads(in_file.helper("get", stdin=f"r{number}.example.com").stdout)
        assert found["Secret"] == f"s{number}"


@pytest.mark.parametrize(
    ("action", "stdin", "code", "stdout"),
    [
        ("get", b"", 1, b"no credentials server URL\n"),
        ("get", b"   ", 1, b"no credentials server URL\n"),
        ("get", b"https://a\n.evil", 65, b"credential-helper: the server URL has a control character in it\n"),
        ("get", b"a\0b", 65, b"credential-helper: the server URL has a control character in it\n"),
        ("get", b"ftp://x", 1, NOT_FOUND),
        ("get", b"//x", 1, NOT_FOUND),
        ("get", b"/x", 1, NOT_FOUND),
        ("get", b"x" * (1 << 20), 1, NOT_FOUND),
        ("erase", b"x" * (1 << 20), 0, b""),
        ("store", b"not json", 65, None),
        ("store", b"[]", 65, None),
        ("store", b"{}", 1, b"no credentials server URL\n"),
        ("store", b'{"ServerURL":"","Username":"u"}', 1, b"no credentials server URL\n"),
        ("store", b'{"ServerURL":"x","Username":""}', 1, b"no credentials username\n"),
        ("store", b'{"ServerURL":"x","Username":"u","Secret":"s"} x', 65, None),
        ("list", b"unused", 0, b"{}\n"),
        ("list", b"", 0, b"{}\n"),
        ("login", b"", 1, b"docker-credential-helper: unknown action: login\n"),
    ],
)
def test_hostile_input(in_file: Desk, action: str, stdin: bytes, code: int, stdout: bytes | None) -> None:
    for _ in range(2):  # the second time past the hot path
        done = in_file.helper(action, stdin=stdin)
        assert done.code == code
        assert done.stdout == stdout if stdout is not None else done.stdout.startswith(b"credential-helper: what ")
        assert done.stderr == "" or code == 65


@pytest.mark.parametrize("size", [70 * 1024, 2 * 1024 * 1024])
def test_a_secret_of_any_length_comes_back(in_file: Desk, size: int) -> None:
    in_file.store("long.example.com", "\u003ctoken\u003e", "s" * size)
    done = in_file.helper("get", stdin="long.example.com")
    assert json.loads(done.stdout) == {
        "ServerURL": "long.example.com",
        "Username": "<token>",
        "Secret": "s" * size,
    }


def test_both_names_say_the_same(in_file: Desk) -> None:
    in_file.store("stored.example.com")
    for words in (["list"], ["get"]):
        short = in_file.helper(*words, stdin="stored.example.com")
        long = in_file.run("docker", *words, stdin=b"stored.example.com")
        assert (short.code, short.stdout, short.stderr) == (long.code, long.stdout, long.stderr)
        assert short.code == 0
    version = re.fullmatch(r"docker-credential-helper \(credential-helper\) \S+\n", in_file.helper("version").text)
    assert version is not None
    assert in_file.helper("--version").text == in_file.helper("-v").text == version[0]
    for words in ([], ["get", "x"]):
        done = in_file.helper(*words)
        assert (done.code, done.text) == (1, "Usage: docker-credential-helper <store|get|erase|list|version>\n")
    assert in_file.helper("--help").code == 0


def test_an_answer_and_a_list_are_replayed_until_something_changes(in_file: Desk, oidc: OidcProvider) -> None:
    """A kept reply is altered: nothing else could answer so."""
    write_profiles(in_file.home, prod=person(oidc, docker=["listed.example.com"]))
    sign_in(in_file.run, oidc, "prod")
    in_file.store("stored.example.com")
    replies = Path(in_file.home["XDG_STATE_HOME"], "credential-helper", "replies")

    first = {word: in_file.helper(word, stdin="listed.example.com") for word in ("get", "list")}
    assert len(list(replies.iterdir())) == 2
    for reply in replies.iterdir():  # an answer that only a reply can have
        content = reply.read_bytes()
        reply.write_bytes(content.replace(b"oauth2accesstoken", b"replayedaccesstok"))
    for word, done in first.items():
        again = in_file.helper(word, stdin="listed.example.com")
        assert again.stdout == done.stdout.replace(b"oauth2accesstoken", b"replayedaccesstok")
    in_file.store("another.example.com")
    assert set(json.loads(in_file.helper("list").stdout)) == {
        "stored.example.com",
        "another.example.com",
        "listed.example.com",
    }


def test_a_list_of_five_hundred_servers_is_cheap_and_cheaper_the_second_time(in_file: Desk) -> None:
    """The least of several runs in turns, processor time, as ratios to the bare interpreter: the rest of it is out."""
    records = [
        {"tool": "docker", "attributes": {"server": f"r{number}.example.com", "username": "ada"}, "secrets": "{}"}
        for number in range(500)
    ]
    write_profiles(
        in_file.home, ci={"issuer": "https://idp.example.com", "client_id": "ci", "docker": ["x.example.com"]}
    )
    in_file.store("first.example.com")
    state = Path(in_file.home["XDG_STATE_HOME"], "credential-helper")
    (state / "passwords" / "index.json").write_text(json.dumps({"version": 1, "records": records}))
    python = str(in_file.run.executable.with_name("python"))
    program = str(in_file.run.executable.with_name(PROGRAM))

    def seconds(*command: str) -> float:
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, input=b"unused", capture_output=True, env=in_file.home, check=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime
        assert done.stderr == b""
        assert command[0] == python or len(json.loads(done.stdout)) == 500
        return took

    bare, first, again = [], [], []
    for _ in range(9):
        shutil.rmtree(state / "replies", ignore_errors=True)
        bare.append(seconds(python, "-c", "pass"))
        first.append(seconds(program, "list"))
        again.append(seconds(program, "list"))
    assert min(first) < 8 * min(bare)
    assert min(again) < 1.3 * min(bare)


def test_stdout_that_takes_nothing_is_told_on_stderr(in_file: Desk) -> None:
    in_file.store("stored.example.com")
    program = str(in_file.run.executable.with_name(PROGRAM))
    environ: Mapping[str, str] = in_file.home
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [program, "get"], input=b"stored.example.com", stdout=full, stderr=subprocess.PIPE, env=environ, check=False
        )
    assert done.returncode == 74
    assert b"cannot be written to stdout" in done.stderr
    assert PASSWORD.encode() not in done.stderr
    assert os.path.isabs(program)
