"""Bazel's credential helper: ``get`` with a URI on stdin, headers on stdout.

    in   {"uri": "https://cache.example.com/…"}
    out  {"headers": {"Authorization": ["Bearer …"]}, "expires": "2030-01-01T00:00:00Z"}

The other side is EngFlow's credential-helper-spec, and Bazel's CredentialHelper.java.

- Other members of a request are ignored, as the specification asks. A call to gRPC arrives as
  ``https://HOST/package.Service``.
- Bazel keeps an answer for its whole URI until ``expires``, and for 30 minutes where there is none.
- It gives a helper up after 10 s, shows stderr only of one that failed, and has no terminal: nobody is asked.
"""

from __future__ import annotations

import json
import math

from credential_helper.errors import ProtocolError
from credential_helper.model import Credential, Manners, Request
from credential_helper.text import rfc3339
from credential_helper.tools.contract import Asked, Exchange
from credential_helper.tools.wire import json_object, token_text

MANNERS = Manners(warns=False, asks="always", deadline=8.0)


def read(asked: Asked) -> Exchange:
    """Return the URI that needs credentials. Raises ProtocolError."""
    uri = json_object(asked.data, asked.where).get("uri")
    if not isinstance(uri, str) or not uri:
        raise ProtocolError(f'{asked.where}: "uri" should be the URL that needs credentials')
    return Exchange(request=Request(tool="bazel", manners=MANNERS, target=uri), url=uri)


def render(_exchange: Exchange, credential: Credential, now: float) -> bytes:
    """Return the header, and until when Bazel may keep it: when we would renew it, or its expiry if that is past."""
    answer: dict[str, object] = {"headers": {"Authorization": [f"Bearer {token_text(credential)}"]}}
    moments = [moment for moment in (credential.fresh_until, credential.expires_at) if moment is not None]
    until = next((moment for moment in moments if math.isfinite(moment) and moment > now), None)
    if credential.expires_at is not None and until is not None:
        answer["expires"] = rfc3339(until)
    return json.dumps(answer).encode() + b"\n"
