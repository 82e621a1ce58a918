"""A secret goes nowhere because a command line, a variable or a checkout says so."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from credential_helper import places
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Source
from credential_helper.profiles import leave
from credential_helper.profiles.choose import choose
from credential_helper.profiles.settings import SECRETS, TYPED
from tests.helpers.requests import request_by

Environ = dict[str, str]

EVIL = {"issuer": "https://evil.example", "client_id": "x", "flow": "client-credentials"}
PROFILE = '[profiles.prod]\nissuer = "https://evil.example"\nclient_id = "x"\nclient_secret = {}\n'


def put(path: Path, content: str = "", mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def source(environ: Mapping[str, str], flags: Mapping[str, object]) -> Source | None:
    return choose(request_by("kubectl"), flags, environ).profile.client_secret


def refused(environ: Mapping[str, str], flags: Mapping[str, object]) -> CredentialHelperError:
    with pytest.raises(ConfigurationError) as caught:
        choose(request_by("kubectl"), flags, environ)
    return caught.value


@pytest.fixture
def config(environ: Environ) -> Path:
    return Path(environ["HOME"], ".config", "credential-helper", "config.toml")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Start every test in a folder that is no checkout of ours."""
    here = tmp_path / "work"
    here.mkdir()
    with contextlib.chdir(here):
        yield here


# --- flags and variables


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "X_CREDENTIAL_HELPER_Y", "credential_helper_x"]
)
def test_a_flag_names_variables_of_our_prefix_only(environ: Environ, name: str) -> None:
    error = refused(environ, EVIL | {"client_secret.env": name})
    assert error.sentence == ("--client-secret-env: names a variable that does not begin with CREDENTIAL_HELPER_")
    found = source(environ, EVIL | {"client_secret.env": "CREDENTIAL_HELPER_CI"})
    assert found is not None
    assert found.value == ("CREDENTIAL_HELPER_CI",)


MINE = {
    "CREDENTIAL_HELPER_ISSUER": "https://mine.example",
    "CREDENTIAL_HELPER_CLIENT_ID": "me",
    "CREDENTIAL_HELPER_CLIENT_SECRET": "s",
    "CREDENTIAL_HELPER_TOKEN_ENDPOINT": "https://mine.example/token",
}


@pytest.mark.parametrize(
    ("key", "flag"),
    [
        ("endpoints.token", "--token-endpoint"),
        ("endpoints.revocation", "--revocation-endpoint"),
        ("endpoints.device_authorization", "--device-authorization-endpoint"),
        ("ca_file", "--ca-file"),
    ],
)
def test_the_secret_of_variables_goes_to_no_server_that_a_flag_names(environ: Environ, key: str, flag: str) -> None:
    """Neither beside the variables' issuer, nor where the flag's issuer is the same one."""
    mine = environ | MINE
    evil = {key: "/evil/ca.pem" if key == "ca_file" else "https://evil.example/x"}
    with pytest.raises(UsageError) as caught:
        source(mine, evil)
    assert caught.value.sentence == (
        f"{flag} cannot change the profile of CREDENTIAL_HELPER_ISSUER: who is asked is said there"
    )
    assert source(mine, {**evil, "issuer": "https://mine.example", "client_id": "me"}) is None
    assert source(mine, {}) is not None
    same = {"endpoints.token": "https://mine.example/token"}
    assert source(mine, same) is not None
    assert source(mine, {**same, "issuer": "https://mine.example/"}) is not None


def test_the_secret_of_variables_makes_no_key_for_a_cache_that_a_flag_names(environ: Environ) -> None:
    """What stands there is sealed under it: who has that, and time, could guess a short one."""
    mine = environ | MINE | {"CREDENTIAL_HELPER_FLOW": "client-credentials"}
    with pytest.raises(UsageError) as caught:
        source(mine, {"shared_cache": "rediss://evil.example"})
    assert caught.value.sentence == (
        "--shared-cache cannot change the profile of CREDENTIAL_HELPER_ISSUER: who is asked is said there"
    )
    assert source(mine | {"CREDENTIAL_HELPER_SHARED_CACHE": "rediss://mine.example"}, {}) is not None


@pytest.mark.parametrize("secret", SECRETS)
def test_a_file_that_a_flag_or_a_variable_names_needs_leave(environ: Environ, config: Path, secret: str) -> None:
    more: dict[str, object] = {"flow": "password", "legacy": True, "account": "a"} if secret == "password" else {}
    more |= {"tls.certificate": "/etc/cert.pem"} if secret.startswith("tls.") else {}
    if secret in ("shared_cache_password", "cache_key"):
        more |= {"flow": "client-credentials", "client_secret.env": "CREDENTIAL_HELPER_OTHER"}
        more |= {"shared_cache": "rediss://cache.example.com"}
    key = str(put(Path(environ["HOME"], ".ssh", "id_ed25519")))
    by_flag = EVIL | more | {f"{secret}.file": key}
    by_variable = environ | {f"{SECRETS[secret]}_FILE": key}
    for where, flags in ((environ, by_flag), (by_variable, EVIL | more)):
        error = refused(where, flags)
        assert "names a file that no secret_files of a config file has leave for" in error.sentence
        put(config, 'secret_files = ["~/.secrets"]\n')
        refused(where, flags)
        put(config, 'secret_files = ["~/.secrets", "~/.ssh"]\n')
        choose(request_by("kubectl"), flags, where)
        config.unlink()
    choose(request_by("kubectl"), {**by_flag, TYPED: True}, environ)
    refused(by_variable, EVIL | more | {TYPED: True})  # a person has not typed what a checkout's variables say


def test_leave_is_for_what_is_really_below_a_folder(environ: Environ, config: Path) -> None:
    home = Path(environ["HOME"])
    put(config, 'secret_files = ["~/.secrets"]\n')
    key = put(home / ".ssh" / "key")
    put(home / ".secrets" / "good")
    put(home / ".secrets2" / "key")
    (home / ".secrets" / "link").symlink_to(key)
    for path in ("~/.secrets/../.ssh/key", "~/.secrets/link", "~/.secrets2/key", "~/.secrets", "/proc/self/environ"):
        refused(environ, EVIL | {"client_secret.file": path})
    assert source(environ, EVIL | {"client_secret.file": "~/.secrets/good"})


def test_a_config_file_that_is_wrong_gives_no_leave(environ: Environ, config: Path) -> None:
    put(config, 'secret_files = ["~/.secrets"]\n', 0o606)
    refused(environ, EVIL | {"client_secret.file": "~/.secrets/x"})
    put(config, 'secret_files = "~/.secrets"\n')
    refused(environ, EVIL | {"client_secret.file": "~/.secrets/x"})


def test_a_profile_of_the_file_names_any(environ: Environ, config: Path) -> None:
    put(config, PROFILE.format('{ env = "AWS_SECRET_ACCESS_KEY" }'))
    assert source(environ, {})
    put(config, PROFILE.format('{ file = "/elsewhere" }'))
    assert source(environ, {})


# --- a config file that a variable names


def named(environ: Environ, path: Path) -> Environ:
    return environ | {"CREDENTIAL_HELPER_CONFIG": str(path)}


@pytest.mark.skipif(places.WINDOWS, reason="modes are not judged")
def test_it_runs_a_command_only_where_it_is_private(environ: Environ, tmp_path: Path) -> None:
    path = put(tmp_path / "ci" / "config.toml", PROFILE.format('{ command = ["op"] }'))
    assert source(named(environ, path), {})
    path.chmod(0o644)
    error = refused(named(environ, path), {})
    assert error.sentence.endswith("a file that CREDENTIAL_HELPER_CONFIG names runs no command here: it is not private")
    assert error.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    path.parent.chmod(0o757)
    assert "others may write to its folder" in refused(named(environ, path), {}).sentence
    path.parent.chmod(0o1757)  # as /tmp: nobody renames what is not his
    assert source(named(environ, path), {})


def test_it_runs_no_command_out_of_the_working_tree(environ: Environ, tmp_path: Path) -> None:
    """Under umask 077 a checkout's files are private, too."""
    checkout = tmp_path / "checkout"
    path = put(checkout / "conf" / "config.toml", PROFILE.format('{ command = ["op"] }'))
    (checkout / "sub" / "sub").mkdir(parents=True)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    with contextlib.chdir(checkout):
        for way in (path, link, checkout / "sub" / ".." / "conf" / "config.toml"):
            error = refused(named(environ, way), {})
            assert error.sentence.endswith("runs no command here: it stands in the working tree")
            assert error.hint == "move it out of the checkout"
    with contextlib.chdir(checkout / "sub" / "sub"):
        assert source(named(environ, path), {})
        (checkout / ".git").mkdir()
        refused(named(environ, path), {})
    assert source(named(environ, path), {})


def test_a_home_is_no_working_tree(environ: Environ) -> None:
    home = Path(environ["HOME"])
    path = put(home / "ci.toml", PROFILE.format('{ command = ["op"] }'))
    (home / ".git").mkdir()  # dotfiles
    (home / "work").mkdir()
    for folder in (home, home / "work", home.parent, Path("/")):
        with contextlib.chdir(folder):
            assert source(named(environ, path), {})
    with contextlib.chdir(home / "work"):
        inside = put(home / "work" / "ci.toml", PROFILE.format('{ command = ["op"] }'))
        refused(named(environ, inside), {})


def test_a_working_tree_that_was_removed_is_none(environ: Environ, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with contextlib.chdir(gone):
        gone.rmdir()
        assert leave.working_tree(environ) is None


def test_in_the_working_tree_it_reads_no_secret_of_a_person(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "checkout" / "config.toml"
    for written in ('{ keyring = "ci" }', '{ file = "~/.ssh/id_ed25519" }', '{ file = "../x" }'):
        put(path, PROFILE.format(written))
        assert source(named(environ, path), {})
        with contextlib.chdir(path.parent):
            assert "it stands in the working tree" in refused(named(environ, path), {}).sentence
    with contextlib.chdir(path.parent):
        for written in ('{ file = "key.pem" }', '{ env = "CREDENTIAL_HELPER_CI" }'):
            put(path, PROFILE.format(written))
            assert source(named(environ, path), {})


@pytest.mark.parametrize(
    "settings",
    [
        'flow = "token-exchange"\nworkload = "github"',
        'flow = "jwt-bearer"\nworkload = { github = { audience = "x" } }',
        'flow = "jwt-bearer"\nworkload = { command = ["x"] }',
        'flow = "jwt-bearer"\nworkload = { env = "AWS_SECRET" }',
        'flow = "jwt-bearer"\nworkload = { kubernetes = { path = "/var/run/secrets/tokens/x" } }',
        'flow = "token-exchange"\nsubject = { profile = "other" }',
    ],
)
def test_in_the_working_tree_it_sends_no_token_that_others_gave(
    environ: Environ, tmp_path: Path, settings: str
) -> None:
    """Whoever wrote it would choose the server, and the audience; another profile may be the person's own session."""
    path = put(
        tmp_path / "checkout" / "config.toml",
        f'[profiles.prod]\nissuer = "https://evil.example"\nclient_id = "x"\n{settings}\n',
    )
    at = named(environ, path)
    assert choose(request_by("kubectl"), {}, at).profile.flow in settings
    with contextlib.chdir(path.parent):
        assert "it stands in the working tree" in refused(at, {}).sentence


@pytest.mark.parametrize("name", [".env", ".git/config", "a/.b/c", "plain"])
def test_in_the_working_tree_it_reads_no_hidden_file(environ: Environ, tmp_path: Path, name: str) -> None:
    """What a person put there beside the checkout's own files: tokens in .git/config, anything in .env."""
    path = put(tmp_path / "checkout" / "config.toml", PROFILE.format(f'{{ file = "{name}" }}'))
    put(path.parent / ".env")
    (path.parent / "plain").symlink_to(".env")
    assert source(named(environ, path), {})
    with contextlib.chdir(path.parent):
        assert "reads no hidden file here: it stands in the working tree" in refused(named(environ, path), {}).sentence


@pytest.mark.parametrize("kind", ["client_secret", "private_key", "password"])
def test_in_the_working_tree_it_posts_no_variable_that_is_for_others(
    environ: Environ, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "checkout" / "config.toml"
    more = 'flow = "password"\nlegacy = true\naccount = "a"\n' if kind == "password" else ""
    profile = PROFILE.replace("client_secret = {}", f"{more}{kind} = {{}}")
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "CI_SECRET", "credential_helper_x"):
        put(path, profile.format(f'{{ env = "{name}" }}'))
        choose(request_by("kubectl"), {}, named(environ, path))
        with contextlib.chdir(path.parent):
            error = refused(named(environ, path), {})
        assert "reads no variable that does not begin with CREDENTIAL_HELPER_ here: it stands in" in error.sentence
        assert error.hint == "move it out of the checkout, or give the variable such a name"


def test_in_the_working_tree_it_posts_no_variable_that_is_for_another_issuer(environ: Environ, tmp_path: Path) -> None:
    """``--profile`` comes before CREDENTIAL_HELPER_ISSUER, and brings the checkout's issuer beside its secret."""
    path = tmp_path / "checkout" / "config.toml"
    put(path, PROFILE.format('{ env = "CREDENTIAL_HELPER_CLIENT_SECRET" }'))
    with contextlib.chdir(path.parent):
        assert source(named(environ, path), {"profile": "prod"})
        mine = named(environ, path) | {"CREDENTIAL_HELPER_ISSUER": "https://mine.example"}
        error = refused(mine, {"profile": "prod"})
    assert "reads no variable that is for CREDENTIAL_HELPER_ISSUER here: it stands in" in error.sentence


def test_it_gives_leave_only_where_it_may_run_commands(environ: Environ, tmp_path: Path) -> None:
    path = put(tmp_path / "checkout" / "config.toml", 'secret_files = ["~/.ssh"]\n')
    flags = EVIL | {"client_secret.file": os.path.join(environ["HOME"], ".ssh", "key")}
    assert source(named(environ, path), flags)
    path.chmod(0o644)
    refused(named(environ, path), flags)
    path.chmod(0o600)
    with contextlib.chdir(path.parent):
        refused(named(environ, path), flags)


def test_a_folder_that_a_variable_names_is_no_checkout_either(environ: Environ, tmp_path: Path) -> None:
    """A checkout's .envrc may say XDG_CONFIG_HOME=$PWD/.config."""
    checkout = tmp_path / "checkout"
    path = checkout / ".config" / "credential-helper" / "config.toml"
    environ["XDG_CONFIG_HOME"] = str(checkout / ".config")
    for written in ('{ command = ["op"] }', '{ keyring = "ci" }', '{ file = "~/.ssh/id_ed25519" }'):
        put(path, PROFILE.format(written), 0o644)
        assert source(environ, {})
        with contextlib.chdir(checkout):
            error = refused(environ, {})
        assert "a file that XDG_CONFIG_HOME names" in error.sentence
        assert error.sentence.endswith("it stands in the working tree")
    put(path, 'secret_files = ["~/.ssh"]\n')
    flags = EVIL | {"client_secret.file": os.path.join(environ["HOME"], ".ssh", "key")}
    assert source(environ, flags)
    with contextlib.chdir(checkout):
        refused(environ, flags)


def test_the_files_of_user_and_system_run_commands_wherever_they_stand(environ: Environ, config: Path) -> None:
    put(config, PROFILE.format('{ command = ["op"] }'), 0o644)
    with contextlib.chdir(config.parent):
        assert source(environ, {})
        assert source(environ | {"XDG_CONFIG_HOME": os.path.join(environ["HOME"], ".config")}, {})
