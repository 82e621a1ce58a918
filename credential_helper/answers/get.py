"""A request on stdin or in the environment, answered in the protocol that is read."""

from __future__ import annotations

from credential_helper import PROGRAM
from credential_helper.answers.call import Call
from credential_helper.answers.kubectl import answer_kubectl, serve_kubectl
from credential_helper.answers.plain import serve
from credential_helper.errors import UsageError
from credential_helper.profiles.settings import Given
from credential_helper.tools import detect, kubectl, own_json


def answer_get(call: Call, given: Given) -> int:
    """Answer in the protocol that is read."""
    if call.exec_info is not None:
        return answer_kubectl(call, given)
    data = call.read()
    found = detect.detect(data)
    if found == "exec-credential":
        return serve_kubectl(call, data, kubectl.read(data, where="stdin"), given)
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
