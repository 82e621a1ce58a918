"""An answer, whatever its status; neither its repr nor an exception repeats its body."""

from __future__ import annotations

import re
from math import isfinite

import msgspec

from credential_helper.errors import RateLimited, TokenResponseError, TransportError
from credential_helper.transport.waits import http_date, seconds_to_wait

RETRY_AFTER = 60.0  # seconds, where a rate limit names none
FRESH = 5.0  # seconds of age at which an answer still tells the time

FORM = "application/x-www-form-urlencoded"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back, whatever its status; its repr holds no body."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    host: str  # host, or host:port, for messages
    received_at: float  # seconds since the epoch, when the head had arrived

    def __repr__(self) -> str:
        return f"<Answer {self.status} of {self.host}, {len(self.body)} bytes>"

    def require_available(self, what: str) -> None:
        """Raise RateLimited for a 429 (RFC 6585 §4), TransportError for a 5xx; ``what`` was asked for: "metadata"."""
        if self.status == 429:
            wait = self.wait(limited=True)
            raise RateLimited(
                f"{self.host} gets too many requests (429 for its {what})",
                retry_after=RETRY_AFTER if wait is None else wait,
            )
        if self.status >= 500:
            raise TransportError(f"{self.host} answered {self.status} where its {what} were expected")

    def members(self, what: str) -> dict[str, object]:
        """Return the members of the body: of its JSON object, or of a form where Content-Type says that it is one.

        GitHub answers with a form to whoever does not ask for JSON; a proxy may take that wish away. Raises as
        ``json_object`` does, also for a member that comes twice.
        """
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM or not self.body:
            return self.json_object(what)
        members = _form(self.body)
        if members is None:
            raise TokenResponseError(
                f"{self.host} answered {self.status} with a broken form where a {what} was expected"
            )
        return members

    def json_object(self, what: str) -> dict[str, object]:
        """Return the body's JSON object; ``what`` is the noun for what was expected: "token answer".

        Raises TokenResponseError. The body is never repeated: there may be half a token in it.
        """
        body = self.body.removeprefix(b"\xef\xbb\xbf")
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            members = _with_any_numbers(body)
            if members is not None:
                return members
            found = self._nature(body.lstrip())
        else:
            if isinstance(value, dict):
                return value
            found = "JSON that is not an object"
        error = TokenResponseError(f"{self.host} answered {self.status} with {found} where a {what} was expected")
        error.page = found == _PAGE
        raise error

    def wait(self, *, skew: float = 0.0, limited: bool) -> float | None:
        """Return the seconds that this answer asks to wait, None where it does not say, or nothing sensible.

        ``skew`` is how far the server's clock is ahead of ours, for an answer that does not tell. ``limited``: it is a
        rate limit, whose own headers count, too.
        """
        there = self.received_at + skew if self.date is None else self.date
        return seconds_to_wait(self.headers, there=there, limited=limited)

    @property
    def date(self) -> float | None:
        """Return the server's clock (RFC 9110 §6.6.1) in seconds since the epoch, None where it is absent or nonsense.

        None also for an answer that a cache kept (RFC 9111 §5.1): its Date may be the time at which it was made. Adding
        the Age would not do: some caches write a Date of their own and the Age beside it.
        """
        age = self.headers.get("age", "0").strip()
        if not (age.isascii() and age.isdigit() and float(age) <= FRESH):
            return None
        return http_date(self.headers.get("date", ""))

    def _nature(self, body: bytes) -> str:
        if not body:
            return "an empty body"
        if body.startswith(b"<") or "html" in self.headers.get("content-type", ""):
            return _PAGE
        return "broken JSON" if body.startswith((b"{", b"[")) else "something that is not JSON"


_PAGE = "an HTML page"


def _with_any_numbers(body: bytes) -> dict[str, object] | None:
    """Return the JSON object in a body that only its numbers keep from being read; they become null.

    1e400 and 5,000 digits are JSON, and NaN and Infinity are what some servers write: the tokens beside them are good,
    and what was sent for them is spent. None for anything else that msgspec does not read.
    """
    import json  # 6 ms, and rarely

    def number(digits: str) -> object:
        return int(digits) if len(digits) < _DIGITS else None

    def fraction(digits: str) -> object:
        return value if isfinite(value := float(digits)) else None

    try:
        found = json.loads(body.decode(), parse_int=number, parse_float=fraction, parse_constant=lambda _: None)
        msgspec.json.encode(found)  # it must hold nothing else that msgspec refuses: half a surrogate pair
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None
    return found if isinstance(found, dict) else None


_DIGITS = 18  # of a number that every reader takes


def _form(body: bytes) -> dict[str, object] | None:
    """Return the members of a form, None for what is none: a name that is empty or comes twice, a broken escape."""
    from urllib.parse import unquote_to_bytes

    members: dict[str, object] = {}
    try:
        for pair in body.decode("ascii").strip().split("&"):
            if _BROKEN_ESCAPE.search(pair):
                return None
            name, equals, value = (unquote_to_bytes(part).decode() for part in pair.replace("+", " ").partition("="))
            if not name or not equals or name in members:
                return None
            members[name] = value
    except UnicodeError:
        return None
    return members


_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
