"""Tokens as a platform gives them to its jobs; nobody checks their signature here."""

from __future__ import annotations

import base64
import json

PLATFORM = "https://token.platform.example"


def job_token(**claims: object) -> str:
    """Return a JWT that says what a platform's does; ``claims`` change it."""
    said = {"iss": PLATFORM, "sub": "repo:acme/shop:ref:refs/heads/main", "aud": "https://login.example", **claims}
    return ".".join((_part({"alg": "RS256"}), _part(said), "c2lnbmF0dXJl"))


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
