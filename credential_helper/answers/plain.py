"""One call by a tool, and its answer: obtained, written once when it is whole, kept for an identical request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from credential_helper import replies
from credential_helper.answers.call import Call
from credential_helper.app import write
from credential_helper.broker.errand import Obtained
from credential_helper.model import Credential, Request
from credential_helper.profiles.choose import choose
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.config_file import ConfigFile
from credential_helper.profiles.matching import serves
from credential_helper.replies.keep import keep

Render = Callable[[Credential, float], bytes]  # the credential, and the time in seconds since the epoch

SOON = 5.0  # seconds; a kept answer ends that much before its token does


def serve(call: Call, tool_input: bytes, request: Request, flags: Mapping[str, object], render: Render) -> int:
    """Choose a profile, obtain its credential and answer with it."""
    app = call.app
    chosen = choose(request, flags, app.environ, note=app.note)
    if request.tool == "kubectl":
        serves(chosen.profile, "kubernetes", request.target)
    return deliver(call, tool_input, chosen, request, render)


def deliver(call: Call, tool_input: bytes, chosen: Chosen, request: Request, render: Render) -> int:
    """Obtain a chosen profile's credential, write the answer, and keep it for an identical request."""
    app = call.app
    obtained = app.obtain(chosen, request)
    answer = render(obtained.credential, app.clock.now())
    write(answer)
    if request.refused is None:
        keep_answer(call, tool_input, answer, obtained, chosen.files, until=fresh_until(obtained))
    return 0


def fresh_until(obtained: Obtained) -> float:
    """Say until when an answer may be repeated (seconds since the epoch)."""
    until = obtained.credential.fresh_until
    return float("inf") if until is None else until - SOON


def keep_answer(
    call: Call, tool_input: bytes, answer: bytes, obtained: Obtained, files: Sequence[ConfigFile], *, until: float
) -> None:
    """Keep a profile's answer for an identical request: not one that is unverified or stands on no disk."""
    app = call.app
    key = replies.request_of(call.argv, app.environ, tool_input)
    if key is not None and obtained.stamp and not app.verbose:
        keep(
            key,
            answer,
            until=until,
            state_files=[(f"sessions/{obtained.session_id}.json", obtained.stamp)],
            config_stamps=[file.stamp for file in files] or None,
            environ=app.environ,
        )
