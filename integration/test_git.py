"""Real git, against a real ``git http-backend`` that verifies the real provider's tokens; and git's own helper suite.

Every git that is found takes part: the one on PATH, and those that CREDENTIAL_HELPER_GITS names (absolute paths,
colon-separated). What git 2.46 can do and older ones cannot is told apart by version, as the program does.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from integration.clients.real import missing, need
from integration.scenes.homes import NOBODY, Home
from integration.scenes.sign_ins import asked, gone, wait_until
from integration.servers.git_server import AUTHOR, GitServer, Scheme
from integration.servers.oidc import AUDIENCE, CLI, M2M_BASIC, ODD_SECRET, OidcProvider
from integration.servers.tls import Authority
from tests.helpers.programs import Options, Result, Running

COMES_AGAIN = (2, 46)
SENDS_AUTHTYPE = (2, 54)
CAPABLE = "capability[]=authtype\ncapability[]=state\n"


class Git(msgspec.Struct, frozen=True):
    """A real git."""

    version: tuple[int, int]
    path: str

    @property
    def name(self) -> str:
        return ".".join(map(str, self.version))


def gits() -> list[Git]:
    """Return every git found, oldest first."""
    paths = [shutil.which("git"), *os.environ.get("CREDENTIAL_HELPER_GITS", "").split(":")]
    found: dict[tuple[int, int], Git] = {}
    for path in filter(None, paths):
        said = subprocess.run([path, "version"], capture_output=True, text=True, timeout=30, check=False).stdout
        if number := re.match(r"git version (\d+)\.(\d+)", said):
            version = int(number[1]), int(number[2])
            found.setdefault(version, Git(version, path))
    return [found[version] for version in sorted(found)]


GITS: list[Git | None] = [*gits()]
NEW_GITS: list[Git | None] = [git for git in GITS if git and git.version >= COMES_AGAIN]


@pytest.fixture(params=GITS or [None], ids=lambda git: git.name if git else "missing")
def git(request: pytest.FixtureRequest) -> Git:
    """Return one git after the other."""
    if request.param is None:
        missing("git is not installed")
    assert isinstance(request.param, Git)
    return request.param


@pytest.fixture(params=NEW_GITS or [None], ids=lambda git: git.name if git else "missing")
def new_git(request: pytest.FixtureRequest) -> Git:
    """Return one git after the other that can come again."""
    if request.param is None:
        pytest.skip("no git 2.46 or newer: CREDENTIAL_HELPER_GITS may name some")
    assert isinstance(request.param, Git)
    return request.param


@pytest.fixture(scope="session")
def git_server_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """Run the server for the whole session; tests take ``server``."""
    need("git")
    folder = tmp_path_factory.mktemp("git-server")
    with GitServer(folder, authority=Authority(folder, "Git Server Test CA")) as server:
        server.make("project.git", {"README": b"hello\n"})
        for number in range(4):
            server.make(f"part-{number}.git", {"README": b"part\n"})
        server.make("whole.git", {"README": b"whole\n"})
        server.add_submodules("whole.git", [f"part-{number}.git" for number in range(4)])
        yield server


@pytest.fixture
def server(git_server_of_all: GitServer, oidc: OidcProvider) -> GitServer:
    """Return a server with a project, and one of four submodules; it trusts the provider."""
    git_server_of_all.reset()
    git_server_of_all.trust(oidc.issuer, [AUDIENCE])
    return git_server_of_all


class Desk(Home):
    """A home whose git asks the program for the server's tokens, by a script that tells who was called."""

    server: GitServer
    program: Path

    def lay(self, server: GitServer, **profile: object) -> None:
        """Configure profile and git; the password boxes of git are there, and tell when they are opened."""
        self.server = server
        self.environ |= {**AUTHOR, "GIT_ASKPASS": str(self.script("askpass", 'echo asked >>"$HOME/asked"; exit 1'))}
        self.environ["PATH"] = f"{self.program.parent}:{self.environ['PATH']}"
        self.configure(audience=AUDIENCE, git=[server.url], **profile)
        (self.folder / ".gitconfig").write_text(
            f"[http]\n\tsslCAInfo = {server.authority.ca_file if server.authority else ''}\n"
            f"[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
        )
        self.use("", "helper")

    def use(self, *helpers: str) -> None:
        """Let git ask these helpers for the server, in this order."""
        lines = "".join(f'\thelper = "{helper}"\n' for helper in helpers)
        config = self.folder / ".gitconfig"
        text = config.read_text().partition("[credential ")[0]
        config.write_text(f'{text}[credential "{self.server.url}"]\n{lines}')

    def entry(self, **settings: str) -> None:
        """Let the profile list the server with more than its URL."""
        config = Path(self.environ["XDG_CONFIG_HOME"], "credential-helper", "config.toml")
        more = "".join(f', {name} = "{value}"' for name, value in settings.items())
        text = re.sub(r"^git = .*$", f'git = [{{ url = "{self.server.url}"{more} }}]', config.read_text(), flags=re.M)
        config.write_text(text)

    def script(self, name: str, line: str) -> Path:
        """Write a shell script."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o700)
        return path

    @property
    def asked(self) -> bool:
        """Say whether git opened its password box."""
        return (self.folder / "asked").exists()

    # --- git ---

    def start(self, git: Git, *words: str, **options: object) -> Running:
        """Start a git command, and return at once."""
        given: Options = {"cwd": self.folder, **options}  # type: ignore[typeddict-item]
        return self.launcher.start([git.path, *words], **given)

    def git(self, git: Git, *words: str, **options: object) -> Result:
        """Run a git command to its end."""
        return self.start(git, *words, **options).finish(60)

    def ok(self, git: Git, *words: str, **options: object) -> str:
        """Run a git command that has to work in silence; return its stdout."""
        done = self.git(git, *words, **options)
        assert done.code == 0, done
        assert "credential-helper" not in done.stderr, done
        assert not self.asked
        return done.text

    def fails(self, git: Git, *words: str, **options: object) -> str:
        """Run a git command that has to fail; return its stderr."""
        done = self.git(git, *words, **options)
        assert done.code != 0, done
        return done.stderr

    def clone(self, git: Git, name: str = "project.git", *words: str) -> Path:
        """Clone a repository of the server, and return the work tree."""
        folder = self.folder / f"{name}-{git.name}"
        self.ok(git, "clone", "--quiet", *words, f"{self.server.url}/{name}", str(folder))
        return folder

    def fetch_all(self, git: Git, folders: Sequence[Path]) -> list[Result]:
        """Fetch in several clones at once."""
        running = [self.start(git, "-C", str(folder), "fetch", "--quiet") for folder in folders]
        return [one.finish(60) for one in running]

    # --- tokens ---

    def old(self) -> None:
        """Let the token be an hour younger than its life is long, and older than a minute."""
        self.age(received=600, expires=3000)

    def token(self) -> str:
        """Return the access token that is kept."""
        value: str = self.session()["access"]["value"]
        return value

    def secrets_outside(self, secrets: set[str]) -> list[str]:
        """Return the files of the home that hold a secret and are not ours."""
        state = ".local/state/credential-helper/"
        found = {name: data for name, data in self.files().items() if not name.startswith(state)}
        return [name for name, data in found.items() if any(secret.encode() in data for secret in secrets)]


@pytest.fixture
def desk(tmp_path: Path, installed: Path, server: GitServer, oidc: OidcProvider) -> Iterator[Desk]:
    """Return a person's home: signed in, and the token a while old."""
    made = Desk(tmp_path / "desk", installed)
    made.program = installed
    made.lay(server, issuer=oidc.issuer)
    made.sign_in(oidc)
    made.old()
    oidc.reset_counts()
    yield made
    made.launcher.stop()


@pytest.fixture
def bare_desk(tmp_path: Path, installed: Path, server: GitServer, oidc: OidcProvider) -> Iterator[Desk]:
    """Return the home of somebody who has not signed in."""
    made = Desk(tmp_path / "desk", installed)
    made.program = installed
    made.lay(server, issuer=oidc.issuer)
    yield made
    made.launcher.stop()


# --- clone, fetch, push -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offered", [("basic",), ("bearer",), ("basic", "bearer")], ids="+".join)
def test_clone_fetch_and_push(
    desk: Desk, git: Git, server: GitServer, oidc: OidcProvider, offered: tuple[Scheme, ...]
) -> None:
    server.offer(*offered)
    if offered == ("bearer",) and git.version < SENDS_AUTHTYPE:
        desk.entry(scheme="bearer")
        if git.version < COMES_AGAIN:
            said = desk.fails(git, "ls-remote", f"{server.url}/project.git")
            assert 'takes Bearer tokens only (scheme = "bearer"); this git cannot send one' in said
            assert not desk.asked
            return
    work = desk.clone(git)
    assert (work / "README").read_bytes() == b"hello\n"
    server.commit("project.git", "second")
    desk.ok(git, "-C", str(work), "pull", "--quiet", "--ff-only")
    assert desk.ok(git, "-C", str(work), "log", "-1", "--format=%s") == "second\n"
    branch = f"by-{git.name}-{'-'.join(offered)}"
    desk.ok(git, "-C", str(work), "commit", "--quiet", "--allow-empty", "--message", "mine")
    desk.ok(git, "-C", str(work), "push", "--quiet", "origin", f"HEAD:{branch}")
    assert server.head("project.git", branch) == desk.ok(git, "-C", str(work), "rev-parse", "HEAD").strip()

    expected = (
        "bearer" if "bearer" in offered and (git.version >= SENDS_AUTHTYPE or offered == ("bearer",)) else "basic"
    )
    assert server.schemes() == {expected}
    assert server.tokens() == [desk.token()]
    assert {call.username for call in server.calls if call.scheme == "basic" and call.token} <= {"oauth2"}
    assert oidc.counts() == {}
    assert desk.secrets_outside({desk.token(), desk.refresh_token() or "none"}) == []


@pytest.mark.parametrize("offered", [("basic",), ("bearer",), ("basic", "bearer")], ids="+".join)
def test_a_push_larger_than_the_post_buffer(
    desk: Desk, git: Git, server: GitServer, offered: tuple[Scheme, ...]
) -> None:
    """What authtype cannot do before git 2.54: its probe request carries no credentials."""
    if offered == ("bearer",) and git.version < SENDS_AUTHTYPE:
        pytest.skip(f"git {git.name} cannot: see the next test")
    server.offer(*offered)
    work = desk.clone(git)
    (work / "large").write_bytes(os.urandom(3 << 20))
    desk.ok(git, "-C", str(work), "add", "large")
    desk.ok(git, "-C", str(work), "commit", "--quiet", "--message", "large")
    branch = f"large-{git.name}-{'-'.join(offered)}"
    desk.ok(git, "-C", str(work), "-c", "http.postBuffer=65536", "push", "--quiet", "origin", f"HEAD:{branch}")
    assert server.head("project.git", branch) == desk.ok(git, "-C", str(work), "rev-parse", "HEAD").strip()
    assert max(call.size for call in server.calls) > 3 << 20


def test_bearer_with_a_large_post_buffer_is_what_older_gits_need(desk: Desk, new_git: Git, server: GitServer) -> None:
    server.offer("bearer")
    desk.entry(scheme="bearer")
    work = desk.clone(new_git)
    (work / "large").write_bytes(os.urandom(3 << 20))
    desk.ok(new_git, "-C", str(work), "add", "large")
    desk.ok(new_git, "-C", str(work), "commit", "--quiet", "--message", "large")
    push = ("push", "--quiet", "origin", f"HEAD:buffered-{new_git.name}")
    desk.ok(new_git, "-C", str(work), "-c", "http.postBuffer=16777216", *push)


def test_a_claim_as_the_user_name(desk: Desk, git: Git, server: GitServer) -> None:
    desk.entry(username="{email}", scheme="basic")
    desk.clone(git)
    assert {call.username for call in server.calls if call.token} == {"ada@example.com"}


def test_submodules_in_parallel(desk: Desk, git: Git, server: GitServer, oidc: OidcProvider) -> None:
    work = desk.clone(git, "whole.git")
    desk.expire()
    desk.ok(git, "-C", str(work), "submodule", "--quiet", "update", "--init", "--recursive", "-j", "4")
    assert [(work / f"part-{number}.git" / "README").read_bytes() for number in range(4)] == [b"part\n"] * 4
    assert oidc.counts().get("refresh_token") == 1
    assert len(server.tokens()) == 2


def test_a_machine_needs_nobody(bare_desk: Desk, git: Git, server: GitServer, oidc: OidcProvider) -> None:
    machine = {"flow": "client-credentials", "client_id": M2M_BASIC, "client_secret": {"env": "CI_SECRET"}}
    bare_desk.configure(issuer=oidc.issuer, audience=AUDIENCE, git=[server.url], **machine)
    bare_desk.environ |= {"CI_SECRET": ODD_SECRET, "CI": "true"}
    bare_desk.clone(git)
    bare_desk.ok(git, "ls-remote", f"{server.url}/project.git")
    assert oidc.counts()["client_credentials"] == 1


def test_the_second_command_replays_the_first_one_s_answer(desk: Desk, git: Git, server: GitServer) -> None:
    desk.ok(git, "ls-remote", f"{server.url}/project.git")
    replies = {path: path.stat().st_mtime_ns for path in (desk.state / "replies").iterdir()}
    assert len(replies) == 2  # to ``get``, and the silence that ``store`` gets
    desk.session_file().parent.chmod(0o700)
    desk.ok(git, "ls-remote", f"{server.url}/whole.git")
    assert {path: path.stat().st_mtime_ns for path in (desk.state / "replies").iterdir()} == replies
    for reply in replies:  # an answer that nobody makes any more: it is the kept one that git gets
        reply.write_bytes(reply.read_bytes().replace(b"oauth2", b"replay", 1))
    if git.version < SENDS_AUTHTYPE:
        server.forget_calls()
        desk.ok(git, "ls-remote", f"{server.url}/project.git")
        assert {call.username for call in server.calls if call.token} == {"replay"}


def test_git_finds_the_helper_by_an_absolute_path(desk: Desk, git: Git, server: GitServer) -> None:
    """GUI clients and IDEs have another PATH than a shell."""
    desk.environ["PATH"] = os.environ["PATH"]
    assert shutil.which("git-credential-helper", path=desk.environ["PATH"]) is None
    for helper in (f"{desk.program} git", f"{desk.program} git --profile prod", f"!{desk.program}"):
        desk.use("", helper)
        desk.ok(git, "ls-remote", f"{server.url}/project.git")


def test_no_other_helper_keeps_a_token_where_git_lets_us_say_so(desk: Desk, git: Git, server: GitServer) -> None:
    """cli/cli#6028: tokens in ~/.git-credentials. Before 2.54 only the empty helper keeps others out."""
    desk.use("store", "helper")
    desk.ok(git, "ls-remote", f"{server.url}/project.git")
    kept = (desk.folder / ".git-credentials").exists()
    assert kept == (git.version < SENDS_AUTHTYPE)
    desk.use("store", "", "helper")
    (desk.folder / ".git-credentials").unlink(missing_ok=True)
    desk.ok(git, "ls-remote", f"{server.url}/project.git")
    assert not (desk.folder / ".git-credentials").exists()


def test_large_files(desk: Desk, git: Git, server: GitServer) -> None:
    lfs = need("git-lfs")
    desk.environ["PATH"] = f"{Path(git.path).parent}:{Path(lfs).parent}:{desk.environ['PATH']}"
    work = desk.clone(git)
    desk.ok(git, "-C", str(work), "lfs", "install", "--local")
    desk.ok(git, "-C", str(work), "lfs", "track", "*.bin")
    content = os.urandom(100_000)
    (work / "large.bin").write_bytes(content)
    desk.ok(git, "-C", str(work), "add", "--all")
    desk.ok(git, "-C", str(work), "commit", "--quiet", "--message", "large file")
    desk.ok(git, "-C", str(work), "push", "--quiet", "origin", f"HEAD:lfs-{git.name}")
    other = desk.folder / "other"
    desk.ok(git, "clone", "--quiet", "--branch", f"lfs-{git.name}", f"{server.url}/project.git", str(other))
    desk.ok(git, "-C", str(other), "lfs", "install", "--local")
    desk.ok(git, "-C", str(other), "lfs", "pull")
    assert (other / "large.bin").read_bytes() == content
    assert server.tokens() == [desk.token()]
    assert desk.secrets_outside({desk.token()}) == []


# --- tokens that are no good any more ---------------------------------------------------------------------------------


def test_two_fetches_with_an_expired_token_make_one_refresh(desk: Desk, git: Git, oidc: OidcProvider) -> None:
    work = desk.clone(git)
    desk.expire()
    oidc.fail_next("refresh_token", delay=0.5)
    done = desk.fetch_all(git, [work] * 2)
    assert [one.code for one in done] == [0, 0], done
    assert oidc.counts().get("refresh_token") == 1
    assert not desk.asked


@pytest.mark.parametrize("offered", [("basic",), ("basic", "bearer")], ids="+".join)
def test_a_revoked_token_is_healed(
    desk: Desk, git: Git, server: GitServer, oidc: OidcProvider, offered: tuple[Scheme, ...]
) -> None:
    server.offer(*offered)
    work = desk.clone(git)
    old = desk.token()
    server.revoke(old)
    if git.version < COMES_AGAIN:
        assert "Authentication failed" in desk.fails(git, "-C", str(work), "fetch")
        assert desk.refresh_token()
    desk.ok(git, "-C", str(work), "fetch")
    assert desk.token() != old
    assert oidc.counts().get("refresh_token") == 1
    server.forget_calls()
    desk.ok(git, "-C", str(work), "fetch")
    assert server.tokens() == [desk.token()]
    assert oidc.counts().get("refresh_token") == 1


def test_a_revoked_token_is_healed_though_an_old_answer_was_replayed(
    desk: Desk, new_git: Git, server: GitServer, oidc: OidcProvider
) -> None:
    for _ in range(3):
        desk.ok(new_git, "ls-remote", f"{server.url}/project.git")
    assert list((desk.state / "replies").iterdir())
    server.revoke(desk.token())
    desk.ok(new_git, "ls-remote", f"{server.url}/project.git")
    assert oidc.counts().get("refresh_token") == 1


def test_a_revoked_token_is_healed_behind_git_s_own_cache(
    desk: Desk, new_git: Git, server: GitServer, oidc: OidcProvider
) -> None:
    (desk.folder / "cache").mkdir(mode=0o700)
    desk.use("", f"cache --socket {desk.folder}/cache/socket", "helper")
    try:
        desk.ok(new_git, "ls-remote", f"{server.url}/project.git")
        server.revoke(desk.token())
        if new_git.version < SENDS_AUTHTYPE:  # the cache keeps passwords, and asks nobody to come again
            desk.fails(new_git, "ls-remote", f"{server.url}/project.git")
        desk.ok(new_git, "ls-remote", f"{server.url}/project.git")
        assert oidc.counts().get("refresh_token") == 1
    finally:
        desk.git(new_git, "credential-cache", "--socket", f"{desk.folder}/cache/socket", "exit")


def test_two_commands_with_one_revoked_token_make_one_refresh(
    desk: Desk, git: Git, server: GitServer, oidc: OidcProvider
) -> None:
    work = desk.clone(git)
    server.revoke(desk.token())
    oidc.fail_next("refresh_token", delay=0.5)
    done = desk.fetch_all(git, [work] * 2)
    if git.version >= COMES_AGAIN:
        assert [one.code for one in done] == [0, 0], done
    else:
        done = desk.fetch_all(git, [work] * 2)
        assert [one.code for one in done] == [0, 0], done
    assert oidc.counts().get("refresh_token") == 1
    assert not desk.asked


def test_a_server_that_says_401_for_ever_gets_no_grant_a_command(
    desk: Desk, git: Git, server: GitServer, oidc: OidcProvider
) -> None:
    """401 for "no permission": one new token a minute may be a cure, one a command is not."""
    server.refuse()
    for _ in range(5):
        said = desk.fails(git, "ls-remote", f"{server.url}/project.git")
        assert "Authentication failed" in said
    assert oidc.counts().get("refresh_token", 0) <= 1
    assert not desk.asked
    server.refuse(0)
    desk.ok(git, "ls-remote", f"{server.url}/project.git")
    assert oidc.counts().get("refresh_token") == 1


def test_a_refused_refresh_token_is_told_and_nobody_is_asked(
    desk: Desk, git: Git, server: GitServer, oidc: OidcProvider
) -> None:
    desk.expire()
    oidc.revoke_grants()
    said = desk.fails(git, "ls-remote", f"{server.url}/project.git", env=NOBODY)
    assert "refused the refresh token" in said
    assert "hint: credential-helper login prod" in said
    assert "told us to quit" in said
    assert not desk.asked


# --- people -----------------------------------------------------------------------------------------------------------


def test_a_clone_signs_in_and_goes_on(bare_desk: Desk, git: Git, server: GitServer, oidc: OidcProvider) -> None:
    running = bare_desk.start(git, "clone", f"{server.url}/project.git", "work", terminal=True)
    oidc.approve(asked(running))
    done = running.finish()
    assert done.code == 0, done
    assert (bare_desk.folder / "work" / "README").exists()
    assert f"credential-helper: git needs a sign-in to prod ({oidc.host})\n  for {server.url}: " in done.terminal
    assert "signed in to prod as ada@example.com" in done.terminal
    assert done.terminal.count("go on only if you started this") == 1
    assert not bare_desk.asked


def test_the_path_of_a_url_fakes_no_line_of_the_prompt(bare_desk: Desk, git: Git, server: GitServer) -> None:
    """A submodule's URL is a stranger's; U+2800 is a symbol to Unicode, and looks blank."""
    blank = "%E2%A0%80" * 60
    url = f"{server.url}/{blank}open%20https:%2F%2Fevil.example%2Factivate{blank}and%20enter%20EVIL-CODE/project.git"
    running = bare_desk.start(git, "-c", "credential.useHttpPath=true", "ls-remote", url, terminal=True)
    user_code = asked(running)
    shown = running.output("terminal").partition("credential-helper: git needs a sign-in")[2]
    assert "\u2800" not in shown
    [target] = re.findall(r"(?m)^  for (\S+): openid", shown)
    assert target.startswith(f"{server.url}/%E2%A0%80")
    assert len(target) == 300
    assert "EVIL" not in shown
    assert user_code in shown
    running.type(b"\x03")
    running.finish()


def test_with_no_session_and_no_terminal_git_says_our_sentence(
    bare_desk: Desk, git: Git, server: GitServer, oidc: OidcProvider
) -> None:
    done = bare_desk.git(git, "clone", f"{server.url}/project.git", "work")
    assert done.code == 128
    lines = done.stderr.splitlines()
    assert f"credential-helper: prod: nobody is signed in to {oidc.host}: nobody can be asked here" in lines
    assert "hint: credential-helper login prod" in lines
    assert "told us to quit" in lines[-1]
    assert not bare_desk.asked
    assert "device_authorization" not in oidc.counts()


@pytest.mark.parametrize(
    ("words", "environ", "since"),
    [
        ((), {"GIT_TERMINAL_PROMPT": "0"}, (2, 3)),
        (("-c", "credential.interactive=never"), {}, (2, 25)),
        (("-c", "credential.interactive=false"), {}, (2, 25)),
        ((), {"CI": "true"}, (2, 25)),
    ],
)
def test_git_s_own_no_is_a_no(
    bare_desk: Desk,
    git: Git,
    server: GitServer,
    oidc: OidcProvider,
    words: tuple[str, ...],
    environ: dict[str, str],
    since: tuple[int, int],
) -> None:
    assert git.version >= since
    done = bare_desk.git(git, *words, "ls-remote", f"{server.url}/project.git", env=environ, terminal=True)
    assert done.code == 128
    assert "nobody is signed in" in done.terminal
    assert "go on only if" not in done.terminal
    assert not bare_desk.asked
    assert "device_authorization" not in oidc.counts()


def test_the_repository_s_own_configuration_is_git_s_no_too(bare_desk: Desk, git: Git, server: GitServer) -> None:
    bare_desk.ok(git, "init", "--quiet", "work")
    bare_desk.ok(git, "-C", "work", "config", "credential.interactive", "never")
    done = bare_desk.git(git, "-C", "work", "ls-remote", f"{server.url}/project.git", terminal=True)
    assert "nobody is signed in to " in done.terminal
    assert "credential.interactive" in done.terminal
    assert "go on only if" not in done.terminal


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_clone_killed_while_a_sign_in_waits_leaves_nobody_waiting(
    bare_desk: Desk, git: Git, server: GitServer, oidc: OidcProvider, number: signal.Signals
) -> None:
    pids = bare_desk.folder / "pids"
    script = bare_desk.script("counted", f"echo $$ >>'{pids}'\nexec '{bare_desk.program}' git \"$@\"")
    bare_desk.use("", str(script))
    oidc.configure(interval=1)
    running = bare_desk.start(git, "clone", f"{server.url}/project.git", "work", terminal=True)
    asked(running)
    [helper] = [int(line) for line in pids.read_text().split()]
    assert not gone(helper)
    running.signal(number)
    wait_until(lambda: gone(helper), "the helper's end")
    assert bare_desk.lock_is_free()
    running.kill()
    again = bare_desk.start(git, "ls-remote", f"{server.url}/project.git", terminal=True)
    oidc.approve(asked(again))
    assert again.finish().code == 0


def test_ctrl_c_in_a_clone_is_obeyed_at_once(bare_desk: Desk, git: Git, server: GitServer) -> None:
    running = bare_desk.start(git, "clone", f"{server.url}/project.git", "work", terminal=True)
    asked(running)
    running.type(b"\x03")
    done = running.finish()
    assert done.code != 0
    assert "Traceback" not in done.terminal
    assert "Username" not in done.terminal
    wait_until(bare_desk.lock_is_free, "the lock to be free")


# --- git's own helper suite (t/lib-credential.sh), through git and on stdin -------------------------------------------


class Storage(Desk):
    """A home in which the program is git's storage helper for other hosts."""

    one: Git

    def lay_storage(self, git: Git) -> None:
        self.one = git
        self.environ["PATH"] = f"{self.program.parent}:{self.environ['PATH']}"
        self.environ |= {"CREDENTIAL_HELPER_PASSWORD_STORAGE": "file", "GIT_TERMINAL_PROMPT": "0"}
        (self.folder / ".gitconfig").write_text("[credential]\n\thelper = helper\n")
        self.configure(issuer="https://idp.example.com/", git=["https://git.example.com"])

    def say(self, operation: str, *lines: str, host: str = "example.com") -> Result:
        """Say something to ``git credential``, which says it to us."""
        text = "".join(f"{line}\n" for line in ("protocol=https", f"host={host}", *lines))
        return self.git(self.one, "credential", operation, stdin=text.encode())

    def approve(self, *lines: str, **more: str) -> None:
        done = self.say("approve", *lines, **more)
        assert (done.code, done.stdout, done.stderr) == (0, b"", ""), done

    def reject(self, *lines: str, **more: str) -> None:
        done = self.say("reject", *lines, **more)
        assert (done.code, done.stdout, done.stderr) == (0, b"", ""), done

    def fill(self, *lines: str, **more: str) -> list[str] | None:
        """Return what git got beside protocol and host; None: nobody knew, and it would have asked."""
        done = self.say("fill", *lines, **more)
        if done.code != 0:
            assert "terminal prompts disabled" in done.stderr or "unable to get password" in done.stderr, done
            return None
        ignored = ("protocol=", "host=", "path=", "capability[]=")
        return [line for line in done.text.splitlines() if not line.startswith(ignored)]


@pytest.fixture
def storage(tmp_path: Path, installed: Path, git: Git) -> Iterator[Storage]:
    """Return one home a git."""
    made = Storage(tmp_path / "storage", installed)
    made.program = installed
    made.lay_storage(git)
    yield made
    made.launcher.stop()


PAIR = ["username=user", "password=pass"]


def test_helper_has_no_existing_data(storage: Storage) -> None:
    assert storage.fill() is None


def test_helper_stores_password_and_can_retrieve_it(storage: Storage) -> None:
    storage.approve(*PAIR)
    assert storage.fill() == PAIR
    assert storage.fill("username=user") == PAIR


def test_helper_requires_matching_protocol_host_username_and_path(storage: Storage) -> None:
    storage.approve(*PAIR)
    assert storage.fill(host="other.example") is None
    assert storage.fill(host="example.com:8443") is None
    assert storage.fill("username=other") is None
    done = storage.git(storage.one, "credential", "fill", stdin=b"protocol=http\nhost=example.com\n")
    assert done.code != 0
    (storage.folder / ".gitconfig").write_text("[credential]\n\thelper = helper\n\tuseHttpPath = true\n")
    storage.approve("path=foo.git", "username=foo", "password=1")
    assert storage.fill("path=foo.git") == ["username=foo", "password=1"]
    assert storage.fill("path=bar.git") is None


def test_helper_overwrites_and_keeps_two_users_apart(storage: Storage) -> None:
    storage.approve("username=a", "password=1")
    storage.approve("username=b", "password=2")
    storage.approve("username=a", "password=3")
    assert storage.fill("username=a") == ["username=a", "password=3"]
    assert storage.fill("username=b") == ["username=b", "password=2"]


def test_helper_does_not_erase_a_distinct_password(storage: Storage) -> None:
    storage.approve("username=a", "password=new")
    storage.reject("username=a", "password=old")
    assert storage.fill() == ["username=a", "password=new"]
    storage.reject("username=a", "password=new")
    assert storage.fill() is None


def test_helper_erases_all_matches(storage: Storage) -> None:
    storage.approve("username=a", "password=1")
    storage.approve("username=b", "password=2")
    storage.approve("username=a", "password=3", host="other.example")
    storage.reject()
    assert storage.fill() is None
    assert storage.fill(host="other.example") == ["username=a", "password=3"]


def test_helper_can_store_an_empty_username(storage: Storage) -> None:
    storage.approve("username=", "password=pass")
    assert storage.fill() == ["username=", "password=pass"]


def test_helper_can_store_an_empty_password(storage: Storage) -> None:
    storage.approve("username=user", "password=")
    assert storage.fill("username=user") == ["username=user", "password="]


def test_helper_keeps_expiry_and_refresh_token(storage: Storage) -> None:
    if storage.one.version < (2, 41):
        pytest.skip(f"git {storage.one.name} does not carry them; on stdin they are tested always")
    storage.approve(*PAIR, "password_expiry_utc=9999999999", "oauth_refresh_token=again")
    first = {*PAIR, "password_expiry_utc=9999999999", "oauth_refresh_token=again"}
    assert set(storage.fill() or ()) == first
    second = {*PAIR, "password_expiry_utc=9999999998", "oauth_refresh_token=other"}
    storage.approve(*second)
    assert set(storage.fill() or ()) == second
    storage.approve(*PAIR, "password_expiry_utc=1")  # an expired one: git itself does not send it
    assert set(storage.fill() or ()) == second


def test_helper_stores_an_authtype_for_a_git_that_has_it(storage: Storage) -> None:
    if storage.one.version < COMES_AGAIN:
        pytest.skip(f"git {storage.one.name} has no authtype; on stdin it is tested always")
    capable = ("capability[]=authtype", "capability[]=state")
    storage.approve(*capable, "authtype=Bearer", "credential=c")
    assert storage.fill(*capable) == ["authtype=Bearer", "credential=c"]
    assert storage.fill() is None
    storage.approve(*capable, "authtype=Bearer", "credential=short", "ephemeral=1", host="other.example")
    assert storage.fill(*capable, host="other.example") is None


@pytest.mark.parametrize("length", [1001, 65_000, 10 << 20])
def test_helper_survives_long_header_lines(storage: Storage, length: int) -> None:
    """git's own test of 71201ab0e5, and longer ones."""
    storage.approve(*PAIR, host="victim.example.com")
    header = f"wwwauth[]=basic realm={'a' * length}host=victim.example.com"
    assert storage.fill(header) is None
    storage.approve("username=b", "password=2")
    assert storage.fill(header) in (
        ["username=b", "password=2"],
        ["username=b", "password=2", header],
    )


def test_helper_keeps_a_long_password(storage: Storage) -> None:
    """CVE-2025-48386, and the wincred fixes of 2026."""
    long = "x" * 100_000
    storage.approve("username=user", f"password={long}")
    assert storage.fill() == ["username=user", f"password={long}"]


def test_what_git_credential_store_kept_moves_as_readme_says(storage: Storage) -> None:
    (storage.folder / ".git-credentials").write_text(
        "https://ada:s%40c@old.example\nhttps://bob:x@o.example:8443/p%20q\n"
    )
    loop = 'while read -r url; do printf \'url=%s\\n\' "$url" | "$0" credential approve; done <~/.git-credentials'
    done = storage.launcher.run([need("sh"), "-c", loop, storage.one.path])
    assert (done.code, done.stdout, done.stderr) == (0, b"", "")
    assert storage.fill(host="old.example") == ["username=ada", "password=s@c"]
    assert storage.fill(host="o.example:8443") == ["username=bob", "password=x"]


def test_many_at_once_lose_nothing(storage: Storage) -> None:
    running = [
        storage.start(
            storage.one,
            *("credential", "approve"),
            stdin=f"protocol=https\nhost=h{number}.example\nusername=u\npassword=p{number}\n".encode(),
        )
        for number in range(10)
    ]
    assert {one.finish(60).code for one in running} == {0}
    for number in range(10):
        assert storage.fill(host=f"h{number}.example") == ["username=u", f"password=p{number}"]


# --- every advisory, through git --------------------------------------------------------------------------------------

TOKEN = "the-token-of-git.example.com"

PAYLOADS = [
    pytest.param("url=https://evil.example%0ahost=git.example.com/", id="CVE-2020-5260"),
    pytest.param("url=https:///a", id="CVE-2020-11008"),
    pytest.param("url=https://evil.example%0dhost=git.example.com/", id="CVE-2024-50338"),
    pytest.param("url=https://git.example.com%0dhost=evil.example/", id="CVE-2024-52006"),
    pytest.param("protocol=https\nhost=evil.example\rhost=git.example.com", id="CVE-2024-53263"),
    pytest.param("url=https://evil%1b[31m.example/", id="CVE-2024-50349"),
    pytest.param("url=https://git.example.com.evil.example/", id="CVE-2024-53858"),
    pytest.param("url=https://git.example.com@evil.example/", id="CVE-2025-23040"),
    pytest.param("url=https://xgit.example.com/", id="vscode#320634"),
    pytest.param("url=https://git.example.com:8443/", id="port"),
    pytest.param("url=http://git.example.com/", id="clear"),
    pytest.param("protocol=https\nhost=evil.example\n\nhost=git.example.com", id="past the blank line"),
    pytest.param(f"protocol=https\nhost=evil.example\nwwwauth[]={'a' * 2000}host=git.example.com", id="long line"),
]


@pytest.fixture
def victim(storage: Storage) -> Storage:
    """Return a home in which git.example.com has a password, and nobody else has one."""
    storage.configure(issuer="https://idp.example.com/")
    storage.approve("username=user", f"password={TOKEN}", host="git.example.com")
    assert storage.fill(host="git.example.com") == ["username=user", f"password={TOKEN}"]
    return storage


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_gets_another_host_s_password(victim: Storage, payload: str) -> None:
    """Through git, which stops some of them itself unless it is told not to."""
    for operation, protect in itertools.product(("fill", "reject"), ("true", "false")):
        words = ("-c", f"credential.protectProtocol={protect}", "credential", operation)
        done = victim.git(victim.one, *words, stdin=f"{payload}\n".encode())
        assert TOKEN not in done.text
        assert TOKEN not in done.stderr
        assert "\x1b" not in "".join(line for line in done.stderr.splitlines() if "credential-helper" in line)
    assert victim.fill(host="git.example.com") == ["username=user", f"password={TOKEN}"]


def test_a_request_that_git_left_half_written_changes_nothing(victim: Storage) -> None:
    """git dies of a CR in ``host`` after it has written ``protocol=https``."""
    for operation in ("get", "erase"):
        done = victim.run(operation, program="git-credential-helper", stdin=b"protocol=https\n")
        assert (done.code, done.stdout, done.stderr) == (0, b"", "")
    assert victim.fill(host="git.example.com") == ["username=user", f"password={TOKEN}"]


def test_a_folder_that_others_may_write_is_not_read(victim: Storage) -> None:
    """GHSA-3c3g-h9rx-f7vq, for what is kept."""
    victim.state.chmod(0o777)
    assert victim.fill(host="git.example.com") is None
    victim.state.chmod(0o700)
    victim.state.rename(victim.state.with_name("elsewhere"))
    victim.state.symlink_to(victim.state.with_name("elsewhere"))
    assert victim.fill(host="git.example.com") is None


# --- as it is called --------------------------------------------------------------------------------------------------


def test_the_program_s_own_words(desk: Desk) -> None:
    ours = f"protocol=https\nhost={desk.server.host}\n".encode()
    for line in (
        "git-credential-helper get",
        "git-credential-helper --profile prod get",
        "credential-helper git get",
        "credential-helper git --profile prod get",
        "credential-helper get",
    ):
        program, *argv = line.split()
        for _ in range(2):  # the second one is replayed
            done = desk.run(*argv, program=program, stdin=ours)
            assert (done.code, done.stderr) == (0, "")
            assert f"\npassword={desk.token()}\n" in done.text
    ways: tuple[tuple[str, tuple[str, ...]], ...] = (("git-credential-helper", ()), ("credential-helper", ("git",)))
    for program, words in ways:
        done = desk.run(*words, "store", program=program, stdin=ours + b"username=a\npassword=b\n")
        assert (done.code, done.stdout, done.stderr) == (0, b"", "")
        done = desk.run(*words, "capability", program=program)
        assert done.text == "version 0\ncapability authtype\ncapability state\n"
        done = desk.run(*words, "frobnicate", program=program)
        assert (done.code, done.stdout, done.stderr) == (0, b"", "")
        done = desk.run(*words, program=program)
        assert (done.code, done.stdout) == (64, b"")
        assert desk.run(*words, "--version", program=program).text.startswith("git-credential-helper ") or words
    for operation in ("store", "erase"):
        done = desk.run(operation, stdin=ours + b"username=a\npassword=b\n")
        assert (done.code, done.stdout, done.stderr) == (0, b"", "")
    assert desk.run("git", "--profil", "x", "get", stdin=ours).code == 64


def test_the_program_starts_whatever_surrounds_it(desk: Desk) -> None:
    """CVE-2021-41092: a helper that cannot run sends people's secrets elsewhere."""
    nothing = dict.fromkeys(desk.environ) | {"PATH": "/nowhere"}
    foreign = b"protocol=https\nhost=github.com\n"
    for operation in ("get", "store", "erase"):
        done = desk.run(operation, program="git-credential-helper", stdin=foreign, env=nothing)
        assert (done.code, done.stdout, done.stderr) == (0, b"", "")
    unusable = {"CREDENTIAL_HELPER_STATE_DIR": "/proc/1/root/nowhere"}
    done = desk.run("get", program="git-credential-helper", stdin=foreign, env=unusable)
    assert (done.code, done.stdout, done.stderr) == (0, b"", "")


def test_twenty_gets_with_an_expired_token_make_one_refresh(desk: Desk, oidc: OidcProvider) -> None:
    """The race in which the loser of a rotation deletes the winner's token."""
    desk.expire()
    ours = f"protocol=https\nhost={desk.server.host}\n".encode()
    running = [desk.run.start("get", program="git-credential-helper", stdin=ours) for _ in range(20)]
    done = [one.finish(60) for one in running]
    assert {one.code for one in done} == {0}
    assert len({one.stdout for one in done}) == 1
    assert oidc.counts().get("refresh_token") == 1
    assert oidc.honoured(desk.refresh_token() or "")


def test_the_client_s_account_is_nobody_s(desk: Desk, git: Git, oidc: OidcProvider) -> None:
    """A user name in the URL is git's; whose session it is says the profile."""
    url = desk.server.url.replace("https://", "https://bob@")
    desk.use("", "helper")
    desk.ok(git, "ls-remote", f"{url}/project.git")
    assert oidc.counts() == {}
    assert CLI
    assert {call.username for call in desk.server.calls if call.scheme == "basic" and call.token} <= {"oauth2"}


# --- whatever is wrong with us, the other helpers are asked ---

BROKEN = {
    "others may write": ("", 0o606),
    "no TOML": ("[profiles.prod", 0o600),
    "another profile": ('[profiles.x]\ngit = ["https://*.corp"]\n', 0o600),
    "a name": ('default_profile = "nope"\n', 0o600),
}


@pytest.mark.parametrize("trouble", BROKEN)
def test_a_host_of_others_is_left_to_the_next_helper(bare_desk: Desk, git: Git, trouble: str) -> None:
    desk = bare_desk
    text, mode = BROKEN[trouble]
    config = Path(desk.environ["XDG_CONFIG_HOME"], "credential-helper", "config.toml")
    config.write_text(text + config.read_text())
    config.chmod(mode)
    (desk.folder / ".git-credentials").write_text("https://ada:secret@github.example\n")
    with (desk.folder / ".gitconfig").open("a") as more:
        more.write("[credential]\n\thelper = helper\n\thelper = store\n")
    asked = b"protocol=https\nhost=github.example\n\n"
    said = desk.ok(git, "credential", "fill", stdin=asked)
    assert "password=secret" in said.splitlines()
    done = desk.git(git, "credential", "approve", stdin=asked + b"username=ada\npassword=secret\n")
    assert (done.code, done.stderr) == (0, "")
