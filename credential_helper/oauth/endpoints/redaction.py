"""Secrets in what a provider says: cut out, because some repeat the request in error_description."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from urllib.parse import quote, quote_plus

_PART = 8  # characters of a secret that are too many to show
_MANY, _LONG = 64, 1 << 16  # secrets of an answer, and characters of them all: more is an attack on our time


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """Replace by stars what is a secret, in any form that it may come back in, or any eight characters of one.

    The work grows with the text and with the secrets, not with their product. Of a text beside too many or too long
    secrets nothing is shown.
    """
    if len(secrets) > _MANY or sum(map(len, secrets)) > _LONG:
        return ""
    folded = _folded(text)
    hidden = [False] * len(text)
    places: dict[int, dict[str, list[int]]] = {}  # by length: where a part of the text stands
    for form in {_folded(form) for secret in secrets for form in _forms(secret)} - {""}:
        size = min(len(form), _PART)
        if size not in places:
            places[size] = _parts(folded, size)
        for begin in range(len(form) - size + 1):
            for start in places[size].pop(form[begin : begin + size], ()):  # once is enough
                hidden[start : start + size] = [True] * size
    runs = groupby(zip(hidden, text, strict=True), key=lambda pair: pair[0])
    return "".join("***" if secret else "".join(c for _, c in run) for secret, run in runs)


def _parts(text: str, size: int) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {}
    for start in range(len(text) - size + 1):
        parts.setdefault(text[start : start + size], []).append(start)
    return parts


def _forms(secret: str) -> tuple[str, ...]:
    """Return a secret as it stands, form-urlencoded, percent-encoded, and with its white space in one line."""
    return secret, quote_plus(secret), quote(secret, safe=""), " ".join(secret.split())


def _folded(text: str) -> str:
    """Lower the case of ASCII letters, which keeps the length: some providers write %2f for %2F."""
    return text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
