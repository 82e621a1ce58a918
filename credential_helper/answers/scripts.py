"""What kubectl and scripts ask for; git and docker have files of their own."""

from __future__ import annotations

import os
from collections.abc import Callable

from credential_helper import PROGRAM
from credential_helper.answers.plain import Call, serve
from credential_helper.errors import UsageError
from credential_helper.model import Request
from credential_helper.profiles.choose import by_position
from credential_helper.profiles.settings import Given
from credential_helper.tools import detect, kubectl, own_json, wire


def answer_kubectl(call: Call, given: Given) -> int:
    """Answer an exec plugin's call; stdin is kubectl's own."""
    info = call.exec_info
    exchange = kubectl.read(info, default_version=str(given.pop("api_version", kubectl.V1BETA1)))
    return _serve_kubectl(call, os.fsencode(info or ""), exchange, given)


def _serve_kubectl(call: Call, tool_input: bytes, exchange: kubectl.Exchange, given: Given) -> int:
    version = exchange.api_version
    return serve(call, tool_input, exchange.request, given, lambda c, now: kubectl.render(c, version, now=now))


def answer_get(call: Call, given: Given) -> int:
    """Answer in the protocol that is read."""
    if call.exec_info is not None:
        return answer_kubectl(call, given)
    data = call.read()
    found = detect.detect(data)
    if found == "exec-credential":
        return _serve_kubectl(call, data, kubectl.read(data, where="stdin"), given)
    if found in ("json", "empty"):
        return serve(call, data, own_json.read(data), given, lambda credential, _now: own_json.render(credential))
    if found == "git":
        from credential_helper.answers import git  # which needs this module

        return git.answer_lines(call, given, data)
    raise detect.unanswerable(found)


def bare(call: Call) -> int:
    """Answer in the protocol that is read; with nothing to read, say how we are used."""
    if call.exec_info is None and detect.detect(call.read()) == "empty":
        raise UsageError("no command, and nothing on stdin", hint=f"{PROGRAM} --help")
    return answer_get(call, {})


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
