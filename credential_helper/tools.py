"""What tools ask for: obtain a credential, write the answer once, and keep it for an identical request."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from credential_helper import __version__, profiles, replies
from credential_helper.context import PROGRAM, Context
from credential_helper.errors import StoreError, UsageError
from credential_helper.model import Credential, Request
from credential_helper.protocols import generic, kubectl

Given = dict[str, object]
Render = Callable[[Credential, float], bytes]  # the credential, and the time in seconds since the epoch


class Call:
    """One call of ours by a tool; ``heard`` is what the hot path has read from stdin already."""

    def __init__(self, *, argv: Sequence[str], heard: bytes | None, context: Context) -> None:
        self.argv = argv
        self.context = context
        self._heard = heard

    @property
    def exec_info(self) -> str | None:
        """Return what kubectl says, None where it is not kubectl."""
        return self.context.environ.get("KUBERNETES_EXEC_INFO")

    def read(self) -> bytes:
        """Return all of stdin, up to what a request may be long; a terminal is never read."""
        if self._heard is None:
            self._heard = replies.read_input(generic.LIMIT)
        elif len(self._heard) > replies.LARGEST:
            self._heard += replies.read_input(generic.LIMIT - len(self._heard))
        return self._heard


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
    found = generic.detect(data)
    if found == "exec-credential":
        return _serve_kubectl(call, data, kubectl.read(data, where="stdin"), given)
    if found in ("json", "empty"):
        return serve(call, data, generic.read(data), given, lambda credential, _now: generic.render(credential))
    if found == "git":
        raise UsageError(f"git is not served yet: it comes with a later version than {__version__}")
    raise generic.unanswerable(found)


def bare(call: Call) -> int:
    """Answer in the protocol that is read; with nothing to read, say how we are used."""
    if call.exec_info is None and generic.detect(call.read()) == "empty":
        raise UsageError("no command, and nothing on stdin", hint=f"{PROGRAM} --help")
    return answer_get(call, {})


def answer_token(call: Call, given: Given) -> int:
    """Print the token, for curl and scripts."""
    if name := given.pop("profiles", None):
        given = profiles.by_position(given, str(name))
    return serve(call, b"", Request(tool=PROGRAM), given, lambda c, _now: generic.token_text(c).encode() + b"\n")


COMMANDS: dict[str, Callable[[Call, Given], int]] = {
    "kubectl": answer_kubectl,
    "get": answer_get,
    "token": answer_token,
}


def serve(call: Call, tool_input: bytes, request: Request, flags: Mapping[str, object], render: Render) -> int:
    """Choose a profile, obtain its credential and answer with it."""
    context = call.context
    chosen = profiles.choose(request, flags, context.environ, note=context.note)
    if request.tool == "kubectl":
        profiles.serves(chosen.profile, request.target)
    return deliver(call, tool_input, chosen, request, render)


def deliver(call: Call, tool_input: bytes, chosen: profiles.Chosen, request: Request, render: Render) -> int:
    """Obtain a chosen profile's credential, write the answer, and keep it for an identical request."""
    context = call.context
    obtained = context.obtain(chosen, request)
    answer = render(obtained.credential, context.clock.now())
    write(answer)
    key = replies.request_of(call.argv, context.environ, tool_input)
    if key is not None and obtained.stamp and not context.verbose and request.refused is None:
        until = obtained.credential.fresh_until
        replies.keep(
            key,
            answer,
            until=float("inf") if until is None else until - kubectl.SOON,
            state_files=[(f"sessions/{obtained.session_id}.json", obtained.stamp)],
            config_stamps=[file.stamp for file in chosen.files] or None,
            environ=context.environ,
        )
    return 0


def write(answer: bytes) -> None:
    """Write the whole answer to stdout. Raises StoreError."""
    try:
        replies.write_out(answer)
    except OSError as error:
        raise StoreError(f"the answer cannot be written to stdout: {os.strerror(error.errno or 0).lower()}") from None
