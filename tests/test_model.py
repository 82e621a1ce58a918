from __future__ import annotations

import pickle
from typing import Any

import pytest

from credential_helper.flows import FLOWS
from credential_helper.model import Profile, Secret, Source, Token

PROFILE = Profile(
    name="prod",
    issuer="https://example.eu.auth0.com/",
    client_id="Xyz",
    audience="https://kubernetes.example.com",
)


def _changed(other: dict[str, object]) -> Profile:
    import msgspec

    return msgspec.structs.replace(PROFILE, **other)


def test_a_secret_prints_as_stars() -> None:
    secret = Secret("canary")
    token = Token(value=secret, received_at=0.0)
    assert "canary" not in f"{secret} {secret!r} {secret!s} {secret:>20} {token!r} {[secret]!r}"
    assert secret.reveal() == "canary"


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret("canary"))


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("ä") == Secret("ä")
    assert not Secret("")
    assert (Secret("a") == "a") is False
    odd = b"\xff\xed\xa0\x80".decode(errors="surrogateescape")
    assert Secret(odd) == Secret(odd)
    assert Secret(odd) != Secret("a")


def test_the_sha256_of_a_token_is_lower_case_hex() -> None:
    token = Token(value=Secret("abc"), received_at=0.0)
    assert token.sha256() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# --- who has to be there


@pytest.mark.parametrize("flow", ["auto", *FLOWS])
def test_a_person_has_to_be_there_unless_a_machine_signs_in(flow: Any) -> None:
    assert _changed({"flow": flow}).unattended == (flow in ("client-credentials", "jwt-bearer", "token-exchange"))


def test_a_password_that_can_be_read_needs_nobody() -> None:
    source = Source(kind="env", value=("PASSWORD",), origin="config.toml: profiles.old.password")
    assert _changed({"flow": "password", "password": source}).unattended
    assert _changed({"flow": "password", "password": source}).session_kind == "person"
