"""A request on stdin or in the environment, answered in the protocol that is read."""

from __future__ import annotations

import os

from credential_helper import PROGRAM
from credential_helper.answers import git
from credential_helper.answers.call import Call
from credential_helper.answers.plain import answer_or_decline, serve
from credential_helper.errors import UsageError
from credential_helper.profiles.settings import Given
from credential_helper.tools import EXEC_INFO, TOOLS, Tool, kubectl, own_json
from credential_helper.tools.contract import Asked
from credential_helper.tools.detect import detect, unanswerable


def answer(call: Call, row: Tool, given: Given) -> int:
    """Answer ``credential-helper get``."""
    if call.exec_info is not None:
        asked = Asked(data=os.fsencode(call.exec_info), where=EXEC_INFO)
        return answer_or_decline(call, TOOLS["kubectl"], kubectl, asked, given)
    data = call.read(lines=True)
    found = detect(data)
    if found == "exec-credential":
        return answer_or_decline(call, TOOLS["kubectl"], kubectl, Asked(data=data), given)
    if found in ("json", "empty"):
        return serve(call, row, own_json, Asked(data=data), given)
    if found == "git":
        return git.answer_lines(call, given)
    raise unanswerable(found)


def bare(call: Call) -> int:
    """Answer a call without a command; with nothing to read, say how we are used. Raises UsageError."""
    if call.exec_info is None and detect(call.read(lines=True)) == "empty":
        raise UsageError("no command, and nothing on stdin", hint=f"{PROGRAM} --help")
    return answer(call, TOOLS["get"], {})
