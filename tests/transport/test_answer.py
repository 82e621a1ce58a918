"""What an answer's body says."""

from __future__ import annotations

import pytest

from credential_helper.errors import TokenResponseError
from credential_helper.transport.answer import Answer


def answer(body: str) -> Answer:
    return Answer(
        status=200, headers={}, body=body.encode("utf-8", "surrogatepass"), host="op.example", received_at=0.0
    )


@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1" + "0" * 5000, "-" + "9" * 4400]
)
def test_a_number_that_cannot_be_read_does_not_cost_what_stands_beside_it(number: str) -> None:
    said = answer(f'{{"refresh_token": "rt-2", "expires_in": {number}, "a": [{number}, 1, 1.5]}}').json_object("x")
    assert said == {"refresh_token": "rt-2", "expires_in": None, "a": [None, 1, 1.5]}


@pytest.mark.parametrize(
    "body",
    [
        '{"expires_in": 1e400',
        '{"expires_in": 1e400, "a": "\ud800"}',
        '{"expires_in": 1e400, "a": "\\ud800"}',
        '{"expires_in": 1e400, "a": "\n"}',
        "[" * 100_000 + "1e400" + "]" * 100_000,
        "1e400",
        "[1e400]",
    ],
)
def test_anything_else_that_is_broken_stays_so(body: str) -> None:
    with pytest.raises(TokenResponseError):
        answer(body).json_object("x")
