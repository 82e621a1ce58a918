"""Text that is shown or written: one harmless line, a host, a span of time, a moment.

Everybody may use it; it imports nothing of ours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence


def foreign(text: str, limit: int = 300) -> str:
    """Reduce what a provider or a file said to one harmless line of at most ``limit`` columns.

    Characters of the Unicode categories C*, Zl and Zp (escapes, bidi controls, zero-width, line ends) are dropped:
    a terminal must not obey them (CVE-2024-50349). What looks blank becomes a space, and several spaces become one:
    enough of them would put what follows at the beginning of a line of the terminal, where it reads as ours.
    """
    line = _with_few_marks("".join(_harmless(character) for character in text[: limit * 8]))
    line = " ".join(line.split())
    return line if _columns(line) <= limit else _cut(line, limit - 1) + "…"


def _harmless(character: str) -> str:
    if " " <= character <= "~":
        return character
    if character in "\t\n\r" or character in _BLANK:
        return " "
    import unicodedata  # a library of its own, and most texts are ASCII

    category = unicodedata.category(character)
    dropped = category[0] == "C" or category in ("Zl", "Zp") or ord(character) in _UNSEEN
    return "" if dropped else character


# Letters and symbols without ink: fillers of Hangul, Braille without dots, a note head that is none, half blanks.
_BLANK = "\u115f\u1160\u2800\u303f\u3164\uffa0\ufffc\U0001d159\U00013441\U00013442"

# Default_Ignorable_Code_Point (DerivedCoreProperties.txt) as far as it is neither in C* nor above.
_UNSEEN = frozenset(
    (0x034F, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x16FE4, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
)

_MARKS = 2  # on one letter: Vietnamese has two; a stack of them covers the lines above


def _with_few_marks(line: str) -> str:
    """Return a line without the combining marks that are too many, or have no letter below them."""
    if line.isascii():
        return line
    import unicodedata

    kept, room = [], 0
    for character in line:
        if unicodedata.category(character) not in ("Mn", "Me"):
            room = 0 if character == " " else _MARKS
        elif room > 0:
            room -= 1
        else:
            continue
        kept.append(character)
    return "".join(kept)


def _columns(line: str) -> int:
    return len(line) if line.isascii() else sum(_width(character) for character in line)


def _width(character: str) -> int:
    import unicodedata

    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _cut(line: str, columns: int) -> str:
    kept = 0
    for character in line:
        columns -= _width(character)
        if columns < 0:
            break
        kept += 1
    return line[:kept]


def json_line(document: object) -> bytes:
    """Return a document as one line of JSON in UTF-8; what ``foreign`` would not show is escaped (RFC 8259 §7)."""
    import json  # not for the hot path
    import unicodedata

    def shown(character: str) -> str:
        if _harmless(character) == character and not unicodedata.combining(character):
            return character
        units = character.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))

    line = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return "".join(map(shown, line)).encode() + b"\n"


def escaped(address: str, limit: int = 300) -> str:
    """Return an address on one line, percent-encoded but for visible ASCII (RFC 3986 §2.1), and cut at ``limit``.

    Somebody else wrote it, a submodule's path for example: with spaces in it, it reads as more than an address.
    """
    line = "".join(
        character
        if "!" <= character <= "~"
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        for character in address[: limit + 1]
    )
    return line if len(line) <= limit else line[: limit - 1] + "…"


def harmless_word(text: str) -> bool:
    """Say whether a word of a command line can be repeated in a message: what was pasted there may be a secret.

    A short word of lower-case letters is none; with a digit or a capital in it, it may be one.
    """
    return len(text) <= 20 and all("a" <= character <= "z" or character in "-_" for character in text)


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
