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
    assert access_token_of(tokens).expires_at == expires_at
    found = id_token_of(tokens)
    assert found is not None
    assert found.expires_at == expires_at
