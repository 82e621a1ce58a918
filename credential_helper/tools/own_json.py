"""Our own JSON, version 1: an object on stdin, an object on stdout.

    in   {"version": 1, "profile", "audience", "resource", "scope", "token", "minimum_validity", "refused"}
    out  {"version": 1, "token_type": "Bearer", "access_token" or "id_token", "expires_at", "scope"}

Every key of a request is optional, so is the request itself. Only the token that was asked for is in an answer, as one
line.
"""

from __future__ import annotations

import math

import msgspec

from credential_helper.model import Credential, Request
from credential_helper.text import rfc3339
from credential_helper.tools.contract import Asked, Exchange
from credential_helper.tools.wire import json_object, token_text, token_type
from credential_helper.tools.wishes import KEYS, read_keys

VERSION = 1


def read(asked: Asked) -> Exchange:
    """Return what our JSON asks for; no bytes, or nothing but white space, leave everything to the profile.

    Raises ProtocolError when it is not one JSON object, or when a key or a value does not fit.
    """
    wishes = read_keys(json_object(asked.data, asked.where), KEYS, asked.where) if asked.data.strip() else {}
    wishes.pop("version", None)
    return Exchange(request=Request(tool="credential-helper", **wishes))


def render(_exchange: Exchange, credential: Credential, _now: float) -> bytes:
    """Return the answer: one JSON object and a newline.

    ``expires_at`` is the token's own expiry (UTC, RFC 3339, whole seconds rounded down), absent when it is unknown;
    ``scope`` is absent when nothing is known of it.

    Raises TokenResponseError when the token cannot stand in an Authorization header.
    """
    answer: dict[str, object] = {
        "version": VERSION,
        "token_type": token_type(credential),
        f"{credential.kind}_token": token_text(credential),
    }
    if credential.expires_at is not None and math.isfinite(credential.expires_at):
        answer["expires_at"] = rfc3339(credential.expires_at)
    if credential.scope:
        answer["scope"] = " ".join(credential.scope).encode(errors="replace").decode()
    return msgspec.json.encode(answer) + b"\n"
