"""What kubectl and scripts ask for; git and docker have files of their own."""

from __future__ import annotations

from collections.abc import Callable

from credential_helper import PROGRAM
from credential_helper.answers.call import Call
from credential_helper.answers.get import answer_get
from credential_helper.answers.kubectl import answer_kubectl
from credential_helper.answers.plain import serve
from credential_helper.model import Request
from credential_helper.profiles.choose import by_position
from credential_helper.profiles.settings import Given
from credential_helper.tools import wire


def answer_token(call: Call, given: Given) -> int:
    """Print the token, for curl and scripts."""
    if name := given.pop("profiles", None):
        given = by_position(given, str(name))
    return serve(call, b"", Request(tool=PROGRAM), given, lambda c, _now: wire.token_text(c).encode() + b"\n")


COMMANDS: dict[str, Callable[[Call, Given], int]] = {
    "kubectl": answer_kubectl,
    "get": answer_get,
    "token": answer_token,
}
