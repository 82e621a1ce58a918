"""Secrets are cut out in a time that grows with what there is to read, and no faster."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

import pytest

from credential_helper.oauth.endpoints.redaction import without_secrets
from credential_helper.oauth.endpoints.reply import Reply
from credential_helper.transport.answer import Answer


def steps(work: Callable[[], object]) -> int:
    """Return how many lines of Python ran."""
    count = 0

    def trace(*_: object) -> object:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def details_of(members: Mapping[str, object]) -> str:
    body = {"error": "invalid_grant", "error_description": "no such token " * 250, **members}
    answer = Answer(
        status=400, headers={}, body=json.dumps(body).encode(), host="op.example", received_at=1_900_000_000.0
    )
    return Reply(answer, (), method="none", address="", grant_type="refresh_token", meaning=lambda said: said).details


def test_many_tokens_in_an_answer_cost_what_it_takes_to_read_them() -> None:
    few, many = (
        {f"{number:x}_token": f"secret-number-{number:x}" for number in range(size)} for size in (4_000, 40_000)
    )
    assert details_of(many) == ""  # of so many nothing is shown
    assert steps(lambda: details_of(many)) < 11 * steps(lambda: details_of(few))
    assert steps(lambda: details_of(many)) < 1_000_000


@pytest.mark.parametrize("secret", ["s" * 60_000, "abcdefghij" * 6_000, "%2f" * 20_000, "no such token " * 4_000])
def test_a_long_secret_costs_no_more_than_its_length(secret: str) -> None:
    text = "no such token " * 280
    assert steps(lambda: without_secrets(text, [secret])) < 12 * (len(text) + 9 * len(secret))
    assert steps(lambda: without_secrets("s" * 4000, [secret])) < 12 * (4000 + 9 * len(secret))


def test_of_a_text_beside_a_secret_that_is_too_long_nothing_is_shown() -> None:
    assert without_secrets("said", ["x" * 70_000]) == ""
    assert details_of({"access_token": "x" * 70_000}) == ""


def test_what_is_shown_beside_a_few_tokens_is_what_it_was() -> None:
    assert details_of({"error_description": "no at-12345", "access_token": "at-12345"}) == " (invalid_grant: no ***)"
