"""When a server wants to be asked again."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credential_helper.transport import waits

NOW = 1_900_000_000.0


def asked(*, limited: bool = True, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return waits.seconds_to_wait(named, there=NOW, limited=limited)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("47", 47.0),
        (" 47 ", 47.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("47, 47", 47.0),
        ("47s", 47.0),
        ("47 s", 47.0),
        (f"{NOW + 47:.0f}", 47.0),
        (f"{(NOW + 47) * 1000:.0f}", 47.0),
        (datetime.fromtimestamp(NOW + 47, UTC).isoformat(), 47.0),
        ("47m", None),
        (formatdate(NOW + 47, usegmt=True), 47.0),
        (formatdate(NOW - 47, usegmt=True), 0.0),
        ("9" * 15, waits.LONGEST),
        ("Fri, 31 Dec 9999 23:59:59 GMT", waits.LONGEST),
        ("9" * 16, None),
        ("9" * 100_000, None),
        ("-7", None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("true", None),
        ("soon", None),
        ("\u0665", None),
        ("", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert asked(retry_after=value) == seconds
    assert asked(limited=False, retry_after=value) == seconds


@pytest.mark.parametrize(
    "name",
    [
        "ratelimit_reset",
        "x_ratelimit_reset",
        "x_rate_limit_reset",
        "x_ratelimit_reset_after",
        "ratelimit_resettime",
        "x_retry_after",
    ],
)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("47", 47.0),
        (f"{NOW + 47:.0f}", 47.0),
        (f"{NOW + 47:.2f}", 47.0),
        (f"{(NOW + 47) * 1000:.0f}", 47.0),
        (f"{NOW - 47:.0f}", 0.0),
        (formatdate(NOW + 47, usegmt=True), 47.0),
        (datetime.fromtimestamp(NOW + 47, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), 47.0),
        (datetime.fromtimestamp(NOW + 47, UTC).strftime("%Y-%m-%dT%H:%M:%S"), 47.0),
        ("47;w=60", 47.0),
        ("999999999", waits.LONGEST),
        ("999999999999999", waits.LONGEST),
        ("1e400", None),
        ("Infinity", None),
        ("-47", None),
    ],
)
def test_the_end_of_a_rate_limit(name: str, value: str, seconds: float | None) -> None:
    headers = {name.replace("_", "-"): value}
    assert waits.seconds_to_wait(headers, there=NOW, limited=True) == seconds
    assert waits.seconds_to_wait(headers, there=NOW, limited=False) is None


@pytest.mark.parametrize("value", ['"default";r=0;t=47', "limit=100, remaining=0, reset=47", 'default;t=47, "b";t=9'])
def test_the_end_of_a_rate_limit_in_one_structured_header(value: str) -> None:
    assert asked(ratelimit=value) == 47.0
    assert asked(limited=False, ratelimit=value) is None


def test_retry_after_comes_first_and_nonsense_is_passed_over() -> None:
    assert asked(retry_after="3", x_rate_limit_reset="47") == 3.0
    assert asked(retry_after="soon", ratelimit_reset="x", x_rate_limit_reset="47") == 47.0
    assert asked() is None


# --- dates of HTTP (RFC 9110 §5.6.7)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Sun, 06 Nov 94 08:49:37 GMT", 784111777.0),
        ("Sun Nov  6 08:49:37 1994", 784111777.0),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 784111777.0),
        (" Thu, 29 Feb 2024 23:59:59 GMT ", 1709251199.0),
        ("Thu, 30 Feb 2024 23:59:59 GMT", None),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("Sun, \u0661 Nov 1994 08:49:37 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati"])
def test_a_date_is_read_in_each_of_its_formats_wherever_we_are(
    monkeypatch: pytest.MonkeyPatch, written: str, moment: float | None, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert waits.http_date(written) == moment
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.integers(0, 4_000_000_000))
def test_the_preferred_format_is_read_as_python_writes_it(moment: int) -> None:
    assert waits.http_date(formatdate(moment, usegmt=True)) == moment
