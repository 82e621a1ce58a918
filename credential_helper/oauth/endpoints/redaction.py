"""Secrets in what a provider says: cut out, because some repeat the request in error_description."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from urllib.parse import quote, quote_plus

_PART = 8  # characters of a secret that are too many to show


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """Replace by stars what is a secret, in any form that it may come back in, or any eight characters of one."""
    folded = _folded(text)
    hidden = [False] * len(text)
    for form in {_folded(form) for secret in secrets for form in _forms(secret)} - {""}:
        size = min(len(form), _PART)
        for start in range(len(text) - size + 1):
            if folded[start : start + size] in form:
                hidden[start : start + size] = [True] * size
    runs = groupby(zip(hidden, text, strict=True), key=lambda pair: pair[0])
    return "".join("***" if secret else "".join(c for _, c in run) for secret, run in runs)


def _forms(secret: str) -> tuple[str, ...]:
    """Return a secret as it stands, form-urlencoded, percent-encoded, and with its white space in one line."""
    return secret, quote_plus(secret), quote(secret, safe=""), " ".join(secret.split())


def _folded(text: str) -> str:
    """Lower the case of ASCII letters, which keeps the length: some providers write %2f for %2F."""
    return text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
