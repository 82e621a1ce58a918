from __future__ import annotations

import os
from pathlib import Path

import pytest

from credential_helper import places

HOME = {"HOME": "/home/ada"}


@pytest.mark.parametrize("value", ["", "relative", "./state", "~/state"])
def test_relative_and_empty_xdg_values_are_ignored(value: str) -> None:
    environ = {**HOME, "XDG_STATE_HOME": value, "XDG_CONFIG_HOME": value}
    assert places.state_directory(environ) == "/home/ada/.local/state/credential-helper"
    assert places.config_files(environ)[-1] == ("user", "/home/ada/.config/credential-helper/config.toml")


def test_xdg_values_are_used() -> None:
    environ = {**HOME, "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c"}
    assert places.state_directory(environ) == "/s/credential-helper"
    assert places.config_files(environ) == [
        ("system", "/etc/credential-helper/config.toml"),
        ("user", "/c/credential-helper/config.toml"),
    ]


def test_the_named_config_is_the_only_one() -> None:
    environ = {**HOME, "CREDENTIAL_HELPER_CONFIG": "~/x.toml"}
    assert places.config_files(environ) == [("named", "/home/ada/x.toml")]


def test_the_state_directory_can_be_named() -> None:
    assert places.state_directory({**HOME, "CREDENTIAL_HELPER_STATE_DIR": "~/x"}) == "/home/ada/x"
    assert places.state_directory({**HOME, "CREDENTIAL_HELPER_STATE_DIR": "relative"}) is None


def test_the_default_state_directory_is_known_by_any_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environ = {"HOME": str(home)}
    default = home / ".local" / "state" / "credential-helper"
    assert places.is_default_state(str(default), environ)
    assert places.is_default_state(f"{default}/", {**environ, "CREDENTIAL_HELPER_STATE_DIR": f"{default}/"})
    assert places.is_default_state(str(default), {**environ, "XDG_STATE_HOME": str(home / ".local" / "state")})
    (tmp_path / "other").symlink_to(home)
    through_a_link = tmp_path / "other" / ".local" / "state" / "credential-helper"
    assert not places.is_default_state(str(through_a_link), environ)
    default.mkdir(parents=True)
    assert places.is_default_state(str(through_a_link), environ)
    for chosen in (tmp_path / "checkout", default / "below", default.parent):
        assert not places.is_default_state(str(chosen), {**environ, "XDG_STATE_HOME": str(tmp_path / "checkout")})


@pytest.fixture
def unwritable(tmp_path: Path) -> dict[str, str]:
    """Return variables of a home where nothing can be made, not even by root, and of a private runtime directory."""
    home, runtime = tmp_path / "home", tmp_path / "runtime"
    home.write_text("no folder")
    runtime.mkdir(mode=0o700)
    return {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}


def test_where_the_home_cannot_be_written_the_runtime_directory_is_used(unwritable: dict[str, str]) -> None:
    assert places.state_directory(unwritable) == f"{unwritable['XDG_RUNTIME_DIR']}/credential-helper"


@pytest.mark.parametrize("spoil", ["mode", "link", "file", "absent", "relative", "empty"])
def test_a_runtime_directory_that_is_not_private_is_not_used(unwritable: dict[str, str], spoil: str) -> None:
    runtime = Path(unwritable["XDG_RUNTIME_DIR"])
    if spoil == "mode":
        runtime.chmod(0o755)
    elif spoil == "relative":
        unwritable["XDG_RUNTIME_DIR"] = "runtime"
    elif spoil == "empty":
        unwritable["XDG_RUNTIME_DIR"] = ""
    else:
        other = runtime.rename(runtime.with_name("other"))
        if spoil == "link":
            runtime.symlink_to(other)
        elif spoil == "file":
            runtime.touch(0o600)
    assert places.state_directory(unwritable) == f"{unwritable['HOME']}/.local/state/credential-helper"


@pytest.mark.parametrize("there", ["", ".local", ".local/state/credential-helper"])
def test_a_home_that_can_be_written_is_used(unwritable: dict[str, str], tmp_path: Path, there: str) -> None:
    home = tmp_path / "writable"
    (home / there).mkdir(parents=True)
    unwritable["HOME"] = str(home)
    assert places.state_directory(unwritable) == f"{home}/.local/state/credential-helper"


def test_sessions_in_a_read_only_home_are_read_on(unwritable: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "was-writable"
    (home / ".local" / "state" / "credential-helper" / "sessions").mkdir(parents=True)
    unwritable["HOME"] = str(home)
    for folder in (home / ".local" / "state" / "credential-helper", home):
        folder.chmod(0o500)
    assert places.state_directory(unwritable) == f"{home}/.local/state/credential-helper"


def test_a_directory_that_is_named_is_used_or_none(unwritable: dict[str, str]) -> None:
    named = f"{unwritable['HOME']}/state"
    assert places.state_directory({**unwritable, "CREDENTIAL_HELPER_STATE_DIR": named}) == named


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a", "/a"), ("~/a", "/home/ada/a"), ("~", "/home/ada"), ("a", None), ("~bob/a", None), ("", None)],
)
def test_expand(path: str, expected: str | None) -> None:
    assert places.expand(path, HOME) == expected


def test_a_stamp_tells_a_rewritten_file_and_a_changed_mode(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    before = places.stamp(file.stat())
    os.chmod(file, 0o600)
    changed_mode = places.stamp(file.stat())
    os.replace(file, tmp_path / "g")
    file.write_text("a")
    assert len({before, changed_mode, places.stamp(file.stat())}) == 3
