"""Words that everybody may use."""

from __future__ import annotations

import math

import pytest

from credential_helper.text import rfc3339


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-5.5, "1970-01-01T00:00:00Z"),
        (1_893_456_000.999, "2030-01-01T00:00:00Z"),
        (1e300, "9999-12-31T23:59:59Z"),
        (math.inf, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_moment_is_written_in_utc_and_rounded_down(seconds: float, text: str) -> None:
    assert rfc3339(seconds) == text
