"""What a JWT says (RFC 7519), read without believing it; id_token.py believes."""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Mapping

import msgspec

from credential_helper.text import span

BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
LEEWAY = 60.0  # seconds that two clocks may differ


def claims_of(token: str) -> dict[str, object] | None:
    """Return the claims of a JWT, unverified; None for anything but three segments around a JSON object.

    An opaque token may well begin like a JWT: Auth0's has five segments (RFC 7516).
    """
    segments = token.split(".")
    return json_object(segments[1]) if len(segments) == 3 else None


def json_object(segment: str) -> dict[str, object] | None:
    """Return the JSON object in a segment of a JWT (RFC 7515 §2, base64url without padding); None for anything else."""
    if not BASE64URL.fullmatch(segment):
        return None
    padded = segment.replace("-", "+").replace("_", "/") + "=" * (-len(segment) % 4)
    try:
        value = msgspec.json.decode(binascii.a2b_base64(padded))
    except (binascii.Error, msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def audiences(claims: Mapping[str, object]) -> list[object]:
    """Return whom a JWT is for (RFC 7519 §4.1.3: one or several), as it says it; a claim need not be a name."""
    said = claims.get("aud")
    return said if isinstance(said, list) else [] if said is None else [said]


def numeric_date(value: object) -> float | None:
    """Return a NumericDate in seconds since the epoch (RFC 7519 §2); None for what is none, or no moment at all."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) and value > _EARLIEST else None
    except OverflowError:
        return None


_EARLIEST = -1e12  # long before any calendar's


def time_problem(claims: Mapping[str, object], now: float) -> str | None:
    """Say what is wrong with exp, iat and nbf at a time; None: nothing (OIDC Core §3.1.3.7, points 9 and 10)."""
    exp, iat, nbf = (numeric_date(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if exp is None or iat is None or (nbf is None and claims.get("nbf") is not None):
        return "has a time that is no number"
    if exp + LEEWAY <= now:
        return f"expired {span(now - exp)} ago"
    if iat - LEEWAY > now:
        return f"was issued {span(iat - now)} in the future"
    if nbf is not None and nbf - LEEWAY > now:
        return f"is not valid before {span(nbf - now)} from now"
    return None
