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
