"""What is taken from the tokens of an answer, before anything of them is believed."""

from __future__ import annotations

import base64
import json

import pytest

from credential_helper.broker.new_session import access_token_of, id_token_of
from credential_helper.model import Secret, Tokens


def jwt_that_expires(exp: str) -> Secret:
    """Return an unsigned JWT with this ``exp``, as JSON."""
    segments = (json.dumps({"alg": "RS256"}), f'{{"exp": {exp}}}', "signature")
    return Secret(".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in segments))


@pytest.mark.parametrize(
    ("exp", "expires_at"),
    [
        ("1900003600", 1900003600.0),
        ("1900003600.5", 1900003600.5),
        pytest.param("1" + "0" * 400, None, id="more than a float holds"),
        ("1e999", None),
        ("true", None),
        ('"1900003600"', None),
        ("null", None),
    ],
)
def test_an_expiry_that_is_no_number_is_unknown_and_no_defect(exp: str, expires_at: float | None) -> None:
    """The answer is there, and what was sent for it is spent: nothing in it may stop it from being saved."""
    token = jwt_that_expires(exp)
    tokens = Tokens(access_token=token, token_type="Bearer", received_at=1900000000.0, id_token=token)
    for found in (access_token_of(tokens), id_token_of(tokens)):
        assert found is not None
        assert found.expires_at == expires_at


DAY = 86400.0


def jwt_with(**claims: object) -> Secret:
    segments = (json.dumps({"alg": "RS256"}), json.dumps(claims), "signature")
    return Secret(".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in segments))


@pytest.mark.parametrize(
    ("expires_in", "claims", "renewable", "lifetime"),
    [
        (3600.0, None, True, 3600.0),
        (3600.0, {"iat": 0, "exp": 7200}, True, 3600.0),
        (0.0, {"iat": 0, "exp": 1800}, True, 1800.0),
        (0.0, {"exp": 1800}, True, 1800.0),
        (0.0, None, True, 300.0),
        (0.0, {"iat": -3600, "exp": -10}, True, 300.0),
        (0.0, None, False, None),
        (0.0, {"exp": 1800}, False, 1800.0),
        (None, None, True, None),
        (None, None, False, None),
        (None, {"exp": 1800}, True, 1800.0),
        (10 * 365 * DAY, None, True, 3600.0),
        (10 * 365 * DAY, None, False, None),
        (10 * 365 * DAY, {"iat": 0, "exp": 1800}, True, 1800.0),
        (3_600_000.0, {"iat": 0, "exp": 3600}, True, 3600.0),
        (300 * DAY, None, True, 300 * DAY),
        (None, {"exp": 1e15}, True, 3600.0),
        (3600.0, {"iat": 0, "exp": 1e15}, True, 3600.0),
        (0.0, {"iat": 0, "exp": 1e15}, True, 300.0),
        (3600.0, {"iat": 0, "exp": -5}, True, 3600.0),
    ],
)
def test_a_lifetime_that_cannot_be_meant_is_not_believed(
    expires_in: float | None, claims: dict[str, float] | None, renewable: bool, lifetime: float | None
) -> None:
    received = 1900000000.0
    token = Secret("opaque") if claims is None else jwt_with(**{name: received + at for name, at in claims.items()})
    tokens = Tokens(access_token=token, token_type="Bearer", received_at=received, expires_in=expires_in)
    found = access_token_of(tokens, renewable=renewable)
    assert found is not None
    assert found.expires_at == (None if lifetime is None else received + lifetime)


@pytest.mark.parametrize(("expires_in", "renewable"), [(None, True), (None, False), (3600.0, True), (0.0, True)])
@pytest.mark.parametrize("with_iat", [True, False])
def test_a_jwt_that_counts_in_milliseconds_is_read_so(
    expires_in: float | None, *, renewable: bool, with_iat: bool
) -> None:
    """600 s would be a week, and then there is a token that no server takes."""
    received = 1900000000.0
    claims = {"iat": received * 1000, "exp": (received + 600) * 1000}
    token = jwt_with(**claims) if with_iat else jwt_with(exp=claims["exp"])
    tokens = Tokens(access_token=token, token_type="Bearer", received_at=received, expires_in=expires_in)
    found = access_token_of(tokens, renewable=renewable)
    assert found is not None
    assert found.expires_at == received + (3600.0 if expires_in and not with_iat else 600.0)


@pytest.mark.parametrize("wrong", [-7200.0, 7200.0])
def test_the_lifetime_of_a_jwt_does_not_depend_on_our_clock(wrong: float) -> None:
    """A clock that is ahead would have each call fetch another token."""
    received = 1900000000.0
    token = jwt_with(iat=received - wrong, exp=received - wrong + 3600)
    for expires_in in (3600.0, None):
        tokens = Tokens(access_token=token, token_type="Bearer", received_at=received, expires_in=expires_in)
        found = access_token_of(tokens)
        assert found is not None
        expires_at = found.expires_at
        assert expires_at == received + 3600.0


def test_an_id_token_for_ever_has_no_known_end() -> None:
    tokens = Tokens(
        access_token=Secret("a"), token_type="Bearer", received_at=1900000000.0, id_token=jwt_with(exp=1900003600000)
    )
    found = id_token_of(tokens)
    assert found is not None
    assert found.expires_at is None
