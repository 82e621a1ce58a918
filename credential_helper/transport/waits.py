"""When a server wants to be asked again, and when it says that it is: the one reader of such headers.

``Retry-After`` counts seconds or is a date (RFC 9110 §10.2.3). Where a rate limit comes without it, its own headers say
when it ends: seconds, a moment in seconds or milliseconds since the epoch, or a date (Atlassian's is one of ISO 8601).
All are foreign: nothing that they hold is more than a bounded number, or none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

LONGEST = 31 * 86400.0  # seconds; more is nonsense, and a month is the longest quota that is known (Auth0)

# IETF's draft, Okta, and everybody else. A structured one says ``"default";r=0;t=47``, older ones ``reset=47``.
_LIMITS = (
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-after",
    "ratelimit-resettime",  # GitLab: a date
    "x-retry-after",
)
_STRUCTURED = re.compile(r"(?:^|[\s;,])(?:t|reset)=([0-9]{1,15})")
_NUMBER = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*s?\s*(?:[,;].*)?"
)  # a header that came twice is joined by a comma

_MOMENT, _MILLISECONDS = 1e9, 1e11  # from here on a number counts from the epoch


def seconds_to_wait(headers: Mapping[str, str], *, there: float, limited: bool) -> float | None:
    """Return the seconds that an answer asks to wait; None: it does not say, or nothing sensible.

    ``there`` is the server's time. ``limited``: the answer is a rate limit; many send its headers along with others.
    """
    asked = _until(headers.get("retry-after", ""), there)
    for name in _LIMITS if limited and asked is None else ():
        asked = _until(headers.get(name, ""), there)
        if asked is not None:
            break
    structured = _STRUCTURED.search(headers.get("ratelimit", "")[:1000]) if limited and asked is None else None
    if structured is not None:
        asked = float(structured[1])
    return None if asked is None else min(max(asked, 0.0), LONGEST)


def _until(value: str, there: float) -> float | None:
    number = _number(value)
    if number is None:
        return _from(_date(value), there)
    moment = number / 1000 if number >= _MILLISECONDS else number
    return _from(moment, there) if moment >= _MOMENT else number


def _from(moment: float | None, there: float) -> float | None:
    return None if moment is None else max(0.0, moment - there)


def _number(value: str) -> float | None:
    found = _NUMBER.fullmatch(value[:100].strip())
    return None if found is None else float(found[1])


def _date(value: str) -> float | None:
    found = http_date(value)
    if found is not None:
        return found
    from datetime import datetime

    try:
        return _seconds(datetime.fromisoformat(value[:100].strip()))
    except (ValueError, OverflowError):
        return None


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(value: str) -> float | None:
    """Return seconds since the epoch for an HTTP date (RFC 9110 §5.6.7), None for anything else."""
    if not value.isascii():
        return None
    try:
        return _preferred(value)
    except (ValueError, OverflowError):
        return _obsolete(value)


def _preferred(value: str) -> float:
    """Read the format that servers have to send: ``Sun, 06 Nov 1994 08:49:37 GMT``. Raises ValueError."""
    from datetime import UTC, datetime

    _, day, month, year, time, zone = value[:100].strip().split(" ")
    if zone != "GMT" or len(year) != 4:
        raise ValueError(value)
    hour, minute, second = map(int, time.split(":"))
    return datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC).timestamp()


def _obsolete(value: str) -> float | None:
    from email.utils import parsedate_to_datetime  # 2 ms

    try:
        return _seconds(parsedate_to_datetime(value[:100]))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _seconds(moment: datetime) -> float:
    """Return seconds since the epoch; without a zone, as C's asctime() writes it, it is UTC."""
    from datetime import UTC

    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
