"""An exec plugin's call by kubectl; stdin is kubectl's own."""

from __future__ import annotations

import os

from credential_helper.answers.call import Call
from credential_helper.answers.plain import serve
from credential_helper.profiles.settings import Given
from credential_helper.tools import kubectl


def answer_kubectl(call: Call, given: Given) -> int:
    """Answer an exec plugin's call; stdin is kubectl's own."""
    info = call.exec_info
    exchange = kubectl.read(info, default_version=str(given.pop("api_version", kubectl.V1BETA1)))
    return serve_kubectl(call, os.fsencode(info or ""), exchange, given)


def serve_kubectl(call: Call, tool_input: bytes, exchange: kubectl.Exchange, given: Given) -> int:
    """Answer in the version that was asked for, whether kubectl said it in the environment or on stdin."""
    version = exchange.api_version
    return serve(call, tool_input, exchange.request, given, lambda c, now: kubectl.render(c, version, now=now))
