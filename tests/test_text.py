"""Words that everybody may use."""

from __future__ import annotations

import math

import pytest

from credential_helper.text import escaped, foreign, rfc3339


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


BLANK = ("\u2800", "\u3164", "\u115f", "\u1160", "\uffa0", "\u3000", "\u00a0", "\u2003", "\U0001d159", "\ufffc")


@pytest.mark.parametrize("blank", BLANK, ids=lambda blank: f"U+{ord(blank):04X}")
def test_what_looks_blank_cannot_push_words_to_the_next_line_of_the_terminal(blank: str) -> None:
    assert foreign("declined" + blank * 60 + "open https://evil.example") == "declined open https://evil.example"
    assert foreign(blank * 9 + "x" + blank) == "x"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\x1b[2K\x9bb\u202ec\u200bd\ufefff", "a[2Kbcdf"),
        ("a\r\n\u2028b\u2029\tc", "a b c"),
        ("a\u034f\u17b4\u180b\ufe0f\U000e0101b", "ab"),
        ("Nguye\u0302\u0303n", "Nguye\u0302\u0303n"),  # Vietnamese, decomposed
        ("Z" + "\u0335" * 40 + "a", "Z\u0335\u0335a"),
        ("\u0301\u0301 a \u0301b", "a b"),
        ("שלום עולם 你好 Zoë 👍", "שלום עולם 你好 Zoë 👍"),
    ],
)
def test_a_foreign_line_is_harmless(text: str, line: str) -> None:
    assert foreign(text) == line


def test_a_foreign_line_is_cut_at_its_columns() -> None:
    assert foreign("x" * 300) == "x" * 300
    assert foreign("x" * 301) == "x" * 299 + "…"
    assert foreign("全" * 150) == "全" * 150
    assert foreign("全" * 151) == "全" * 149 + "…"
    assert foreign("全全全", 5) == "全全…"


def test_an_address_is_escaped_and_cut() -> None:
    assert escaped("https://h/a b\u2800é%20?x=y#z") == "https://h/a%20b%E2%A0%80%C3%A9%20?x=y#z"
    assert escaped("\n\x1b\x7f\udcff") == "%0A%1B%7F%ED%B3%BF"
    assert escaped("a" * 300) == "a" * 300
    assert escaped("a" * 301) == "a" * 299 + "…"
    assert len(escaped("\u2800" * 5000)) == 300
