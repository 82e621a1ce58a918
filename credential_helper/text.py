"""Text that is shown or written: one harmless line, a host, a span of time, a moment.

Everybody may use it; it imports nothing of ours.
"""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Callable, Sequence


def foreign(text: str, limit: int = 300) -> str:
    """Reduce what a provider or a file said to one harmless line of at most ``limit`` characters.

    Characters of the Unicode categories C*, Zl and Zp (escapes, bidi controls, zero-width, line ends) are dropped:
    a terminal must not obey them (CVE-2024-50349).
    """
    kept = (" " if character in "\t\n\r" else character for character in text[: limit * 8])
    line = "".join(c for c in kept if unicodedata.category(c)[0] != "C" and unicodedata.category(c) not in ("Zl", "Zp"))
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def either(words: Sequence[str]) -> str:
    """Say several words as a choice: ``auto, access or id``."""
    return f"{', '.join(words[:-1])} or {words[-1]}"


def span(seconds: float) -> str:
    """Say a span of time in its largest unit that it has two of: ``14 min``."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def printable_ascii(text: str) -> str:
    """Reduce an address or a code to what a terminal shows as it is."""
    return "".join(character for character in text if " " <= character <= "~")


def host_of(url: str) -> str:
    """Return host[:port] of an address as a browser would read it (a backslash is a slash, what precedes @ is not)."""
    scheme, _, rest = url.partition("://")
    authority = rest.replace("\\", "/")
    for end in "/?#":
        authority = authority.partition(end)[0]
    host = authority.rpartition("@")[2].lower()
    return host.removesuffix({"https": ":443", "http": ":80"}.get(scheme.lower(), ":"))


def time_left(seconds: float) -> str:
    """Return whole minutes, of which the last may have lost 15 s on its way here, or seconds in the last minute."""
    minutes = int(seconds + 15) // 60
    if minutes >= 1:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{max(0, int(seconds))} seconds"


def moment(at: float, now: float) -> str | None:
    """Return local time, ``18:04``, with the date where it is not today's; None for what no calendar holds."""
    try:
        then, today = time.localtime(at), time.localtime(now)
    except (OverflowError, OSError, ValueError):
        return None
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)


_LATEST = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that RFC 3339 can write


def rfc3339(seconds: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, rounded down: ``2030-01-01T00:00:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(math.floor(min(max(seconds, 0), _LATEST))))


Note = Callable[[str], None]


def silent(_line: str) -> None:
    """Drop a line of --verbose."""
