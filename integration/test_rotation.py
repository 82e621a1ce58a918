"""A real provider that changes its keys, their address and its algorithm, and what that costs whoever is signed in.

What is kept of the provider on disk is made older from outside: nothing waits for hours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest

from integration.clients.programs import Runner
from integration.scenes.sign_ins import person, sign_in, write_profiles
from integration.servers.oidc import OidcProvider
from tests.helpers.programs import Result

CHANGES: list[dict[str, Any]] = [
    {"algorithm": "ES256"},
    {"algorithm": "ES256", "jwks": "/new/keys"},
    {"jwks": "/new/keys"},
    {},
]
REQUEST = json.dumps({"version": 1, "profile": "prod", "token": "id"}).encode()


def kept(home: Mapping[str, str], folder: str) -> list[Path]:
    return sorted(Path(home["XDG_STATE_HOME"], "credential-helper", folder).glob("*.json"))


def age(home: Mapping[str, str], seconds: float) -> None:
    """Make the metadata, the keys and the tokens older."""
    for file in kept(home, "metadata"):
        content = json.loads(file.read_bytes())
        file.write_text(json.dumps({**content, "made": content["made"] - seconds}))
    for file in kept(home, "sessions"):
        content = json.loads(file.read_bytes())
        for token in (content["session"]["access"], content["session"]["id"]):
            token["received_at"] -= seconds
            token["expires_at"] -= seconds
        file.write_text(json.dumps(content))


def id_token(done: Result) -> dict[str, Any]:
    assert (done.code, done.stderr) == (0, ""), done
    return jwt.get_unverified_header(json.loads(done.stdout)["id_token"])


def get(run: Runner) -> Result:
    return run("get", stdin=REQUEST)


def session(home: Mapping[str, str]) -> dict[str, Any]:
    (file,) = kept(home, "sessions")
    found: dict[str, Any] = json.loads(file.read_bytes())["session"]
    return found


def grant(home: Mapping[str, str]) -> dict[str, Any]:
    (file,) = kept(home, "grants")
    found: dict[str, Any] = json.loads(file.read_bytes())["grant"]
    return found


@pytest.mark.parametrize("keep_old", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_refresh_survives_whatever_the_provider_changes(
    run: Runner, oidc: OidcProvider, home: dict[str, str], change: dict[str, Any], *, keep_old: bool
) -> None:
    write_profiles(home, prod=person(oidc))
    sign_in(run, oidc, "prod")
    before = id_token(get(run))
    kid, *_ = oidc.rotate_keys(keep_old=keep_old, **change)
    age(home, 7200)
    after = id_token(get(run))
    assert after["alg"] == change.get("algorithm", "RS256")
    assert after["kid"] != before["kid"]
    assert (after["kid"] == kid) == (after["alg"] == "RS256")
    assert oidc.counts()["refresh_token"] == 1
    assert id_token(get(run)) == after


@pytest.mark.parametrize("change", CHANGES)
def test_a_new_sign_in_is_good_at_once(
    run: Runner, oidc: OidcProvider, home: dict[str, str], change: dict[str, Any]
) -> None:
    write_profiles(home, prod=person(oidc))
    sign_in(run, oidc, "prod")
    oidc.rotate_keys(keep_old=False, **change)
    sign_in(run, oidc, "prod")
    assert id_token(get(run))["alg"] == change.get("algorithm", "RS256")


@pytest.mark.parametrize("change", CHANGES)
def test_a_refresh_right_after_the_keys_were_fetched_loses_nothing(
    run: Runner, oidc: OidcProvider, home: dict[str, str], change: dict[str, Any]
) -> None:
    """They are asked for once in 5 minutes; then the same answer is checked again."""
    write_profiles(home, prod=person(oidc))
    sign_in(run, oidc, "prod")
    oidc.rotate_keys(keep_old=False, **change)
    for file in kept(home, "sessions"):
        content = json.loads(file.read_bytes())
        content["session"]["id"]["expires_at"] = content["session"]["id"]["received_at"] + 1
        content["session"]["id"]["received_at"] -= 3600
        file.write_text(json.dumps(content))
    done = get(run)
    assert done.code == 69
    assert "its keys are asked for once in 5 minutes" in done.stderr
    assert not grant(home)["revoke_only"]
    age(home, 301)
    (failure,) = Path(home["XDG_STATE_HOME"], "credential-helper", "grants").glob("*.failure")
    failure.unlink()
    assert id_token(get(run))["alg"] == change.get("algorithm", "RS256")
    assert oidc.counts()["refresh_token"] == 1
