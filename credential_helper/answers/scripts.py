"""``credential-helper token``: the token and a newline, for curl and scripts."""

from __future__ import annotations

import os

from credential_helper import PROGRAM
from credential_helper.answers.call import Call
from credential_helper.answers.plain import deliver
from credential_helper.model import Request
from credential_helper.profiles.choose import by_position, choose
from credential_helper.profiles.settings import Given
from credential_helper.tools import Tool
from credential_helper.tools.wire import token_text


def answer(call: Call, row: Tool, given: Given) -> int:  # noqa: ARG001 - as every answer
    """Print the token; its profile may be named by position."""
    name = given.pop("profiles", None)
    if name is not None:
        given = by_position(given, str(name))
    request = Request(tool=PROGRAM)
    chosen = choose(request, given, call.app.environ, note=call.app.note)
    for remark in chosen.remarks:
        call.app.terminal.warn(remark) if os.isatty(2) else call.app.note(remark)
    return deliver(call, b"", chosen, request, lambda c, _now: token_text(c).encode() + b"\n")
