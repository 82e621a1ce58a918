"""From when on a token is renewed before anybody has to wait, and where nobody wants that."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from credential_helper.broker import freshness
from credential_helper.broker.ahead import is_wanted
from credential_helper.model import PrivateKey, Profile, Secret, Source, Token
from credential_helper.session import Session
from credential_helper.system.init import there_is_an_init
from credential_helper.workloads import WORKLOADS, Workload
from tests.helpers.grants import a_grant
from tests.helpers.requests import request_by

NOW = 1_900_000_000.0
COMMAND = Source(kind="command", value=("op", "read"), origin="client_secret.command")
VARIABLE = Source(kind="env", value=("OURS",), origin="client_secret.env")


def profile(**settings: Any) -> Profile:
    return Profile(name="prod", issuer="https://idp.example.com", client_id="client", **{"renew": "ahead", **settings})


def machine(**settings: Any) -> Profile:
    return profile(**{"flow": "client-credentials", **settings})


@pytest.mark.parametrize(
    ("lifetime", "ahead"),
    [(3600.0, 3600 - 60 - 5 - 600), (86400.0, 86400 - 60 - 5 - 600), (40.0, 0.75 * 25), (20.0, 0.75 * 10)],
)
def test_it_is_the_last_part_of_the_time_that_an_answer_is_kept(lifetime: float, ahead: float) -> None:
    token = Token(value=Secret("t"), received_at=NOW, expires_at=NOW + lifetime)
    session = Session(grant=a_grant(refresh_token=Secret("r")), access=token)
    assert freshness.ahead_from(session, "access", request_by("git")) == pytest.approx(NOW + ahead)


def test_what_nothing_better_can_be_had_for_is_not_renewed_ahead() -> None:
    endless = Session(grant=a_grant(), access=Token(value=Secret("t"), received_at=NOW, expires_at=None))
    assert freshness.ahead_from(endless, "access", request_by("git")) == math.inf
    token = Token(value=Secret("t"), received_at=NOW, expires_at=NOW + 3600)
    same = Session(grant=a_grant(refresh_token=Secret("r")), access=token, id=token, id_not_renewed=True)
    assert freshness.ahead_from(same, "id", request_by("kubectl")) == math.inf


def test_it_is_wanted_of_a_person_and_of_a_machine() -> None:
    assert is_wanted(profile(), ci=False)
    assert is_wanted(profile(), ci=True)  # whoever says so means it
    assert is_wanted(machine(client_secret=VARIABLE), ci=True)


@pytest.mark.parametrize(
    "unwanted",
    [
        profile(renew="on-demand"),
        profile(store="none"),
        profile(provider="github"),  # where a refresh ends the token that was just handed out
        profile(provider="gitlab"),
        profile(client_secret=COMMAND),
        machine(client_secret=COMMAND),
        machine(private_key=PrivateKey(source=COMMAND)),
        machine(tls=(VARIABLE, COMMAND)),
    ],
)
def test_it_is_not_wanted(unwanted: Profile) -> None:
    assert not is_wanted(unwanted, ci=False)


@pytest.mark.parametrize("source", [*WORKLOADS, "auto", "file", "env", "command"])
def test_a_platform_s_token_is_had_again_unless_a_command_brings_it(source: str) -> None:
    found = is_wanted(machine(flow="jwt-bearer", workload=Workload(source=source)), ci=True)
    assert found == (source not in ("auto", "command", "buildkite"))


def test_in_ci_none_is_wanted_for_people() -> None:
    assert not is_wanted(profile(renew="auto"), ci=True)


@pytest.mark.parametrize(
    ("name", "container", "for_good"),
    [
        ("systemd", True, True),
        ("init(Debian)", True, True),
        ("tini", True, False),
        ("docker-init", True, False),
        ("bash", False, False),
        ("node", False, False),
    ],
)
def test_an_init_of_a_container_ends_with_its_command(
    tmp_path: Path, name: str, container: bool, for_good: bool
) -> None:
    comm = tmp_path / "comm"
    comm.write_text(f"{name}\n")
    assert there_is_an_init(str(comm)) is container
    assert there_is_an_init(str(comm), for_good=True) is for_good


def test_a_hidden_init_is_one(tmp_path: Path) -> None:
    assert there_is_an_init(str(tmp_path / "nothing"), for_good=True)
