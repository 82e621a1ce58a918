"""A state directory that came with somebody's checkout, named by a variable: no secret goes where it says.

The planter has an https server that this machine trusts. What is planted is what the program itself keeps, with the
planter's addresses in it; its files are ours, and as private as an archive can make them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.scenes.homes import Home, walk
from integration.servers.hostile_provider import HostileProvider, answer

SECRET = "the-client-secret"
TOKEN = {"access_token": "the-access-token", "token_type": "Bearer", "expires_in": 3600}


@pytest.fixture
def honest() -> Iterator[HostileProvider]:
    with HostileProvider(tls="good") as provider:
        provider.serve_metadata()
        provider.script("/token", answer(TOKEN))
        yield provider


@pytest.fixture
def planter() -> Iterator[HostileProvider]:
    with HostileProvider(tls="good") as provider:
        provider.fallback = answer({**TOKEN, "access_token": "the-planters-token"})
        yield provider


@pytest.fixture
def machine(tmp_path: Path, installed: Path, honest: HostileProvider) -> Iterator[Home]:
    made = Home(tmp_path / "home", installed)
    made.configure(
        issuer=honest.issuer,
        client_id="ci",
        flow="client-credentials",
        client_secret={"env": "MACHINE_SECRET"},
        ca_file=str(honest.ca_file),
    )
    made.environ["MACHINE_SECRET"] = SECRET
    yield made
    made.launcher.stop()


def planted(machine: Home, planter: HostileProvider, checkout: Path, *, private: bool) -> Path:
    """Make what the program keeps by itself, and put it into a checkout with the planter's addresses in it."""
    assert machine.run("token", "prod").code == 0
    (metadata,) = (file for file in walk(machine.state / "metadata") if not file.name.endswith(".keys.json"))
    record = json.loads(metadata.read_bytes())
    record["document"] |= {name: f"{planter.url}/{name}" for name in record["document"] if name != "issuer"}
    folder = checkout / "credential-helper"
    shutil.copytree(machine.state, folder)
    for one in (folder / "replies", folder / "sessions"):
        shutil.rmtree(one, ignore_errors=True)
    (folder / "metadata" / metadata.name).write_text(json.dumps(record))
    shutil.rmtree(machine.state)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o700 if path.is_dir() else 0o600) if private else (0o755 if path.is_dir() else 0o644))
    return folder


def by(variable: str, folder: Path) -> dict[str, str]:
    return {variable: str(folder if variable == "CREDENTIAL_HELPER_STATE_DIR" else folder.parent)}


@pytest.mark.parametrize("variable", ["CREDENTIAL_HELPER_STATE_DIR", "XDG_STATE_HOME"])
def test_planted_metadata_are_not_believed(
    machine: Home, honest: HostileProvider, planter: HostileProvider, tmp_path: Path, variable: str
) -> None:
    folder = planted(machine, planter, tmp_path / "checkout", private=True)
    honest.requests.clear()
    for _ in range(2):
        result = machine.run("token", "prod", env=by(variable, folder))
        assert (result.code, result.text.strip(), result.stderr) == (0, "the-access-token", "")
    assert planter.requests == []
    assert [one.path for one in honest.requests] == ["/.well-known/openid-configuration", "/token"]
    assert machine.run("logout", "--all", env=by(variable, folder)).code == 0
    assert planter.requests == []


@pytest.mark.parametrize("variable", ["CREDENTIAL_HELPER_STATE_DIR", "XDG_STATE_HOME"])
def test_a_checkout_that_others_can_read_is_not_adopted(
    machine: Home, planter: HostileProvider, tmp_path: Path, variable: str
) -> None:
    folder = planted(machine, planter, tmp_path / "checkout", private=False)
    before = {path: (path.stat().st_mode, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")}
    result = machine.run("token", "prod", env=by(variable, folder))
    assert (result.code, result.text.strip()) == (0, "the-access-token")
    assert result.stderr == (
        f"credential-helper: warning: nothing is remembered: {folder} can be read by others, so what is in it may be "
        f"anybody's; if it is yours: chmod 700 {folder}; or set CREDENTIAL_HELPER_STATE_DIR to a folder of yours that "
        "nobody else can write\n"
    )
    assert planter.requests == []
    assert {
        path: (path.stat().st_mode, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")
    } == before


def test_what_a_checkout_adds_later_is_not_believed(machine: Home, planter: HostileProvider, tmp_path: Path) -> None:
    folder = planted(machine, planter, tmp_path / "checkout", private=True)
    ours = tmp_path / "ours"
    env = by("CREDENTIAL_HELPER_STATE_DIR", ours)
    assert machine.run("token", "prod", env=env).code == 0
    for session in (ours / "sessions").glob("*.json"):
        session.unlink()
    for file in walk(folder / "metadata"):
        shutil.copy2(file, ours / "metadata" / file.name)
    result = machine.run("token", "prod", env=env)
    assert (result.code, result.text.strip(), result.stderr) == (0, "the-access-token", "")
    assert planter.requests == []
