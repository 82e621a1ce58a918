"""Enough for most tools: read, choose, obtain, render, write, keep.

The answer is written once, when it is whole, and kept for an identical request. Whatever fails is reported on stderr;
what the tool itself is told then is its own affair (``tools.contract.decline``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

import msgspec

from credential_helper import replies
from credential_helper.answers.call import Call
from credential_helper.app import App, write
from credential_helper.broker import freshness
from credential_helper.broker.ahead import ahead_from
from credential_helper.broker.errand import Obtained
from credential_helper.errors import ConfigurationError, CredentialHelperError, StoreError, UsageError
from credential_helper.model import Credential, Profile, Request
from credential_helper.profiles.choose import choose
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.matching import serves
from credential_helper.profiles.settings import VARIABLES, Given
from credential_helper.proof import UNKNOWN, Proof
from credential_helper.replies.keep import NEVER, keep, may_be_written
from credential_helper.tools import ENVIRONMENT, EXEC_INFO, NOTHING, Tool, contract
from credential_helper.tools.contract import Asked, Exchange
from credential_helper.urls import parse_url

Render = Callable[[Credential, float], bytes]  # the credential, and the time in seconds since the epoch


def answer(call: Call, row: Tool, given: Given) -> int:
    """Answer one call by the tool of a row."""
    options = {name: given.pop(name) for name in _options(row) if name in given}
    asked = _asked(call, row, options)
    tool = _module(row)
    return answer_or_decline(call, row, tool, asked, given)


def _module(row: Tool) -> contract.Tool:
    found: contract.Tool = import_module(f"credential_helper.tools.{row.name}")
    return found


def decline(row: Tool, error: CredentialHelperError) -> None:
    """Tell a tool in its own words that its command line is invalid; whoever sees the error says so on stderr."""
    write(contract.decline(_module(row), error)[0])


def answer_or_decline(call: Call, row: Tool, tool: contract.Tool, asked: Asked, given: Given) -> int:
    """Answer what a tool sent; where that fails, tell it so in its own words."""
    try:
        return serve(call, row, tool, asked, given)
    except CredentialHelperError as error:
        stdout, code = contract.decline(tool, error)
        call.app.terminal.error(error)
        write(stdout)
        return code


def _options(row: Tool) -> list[str]:
    return ["operation", *(name.removeprefix("--").replace("-", "_") for name, _ in row.arguments)]


def _asked(call: Call, row: Tool, options: Mapping[str, object]) -> Asked:
    """Return what the tool sent, from the place that its row names. Raises UsageError for another operation."""
    operation = str(options.get("operation") or "")
    kind = row.input_of(operation)
    if kind is None:
        words = " or ".join(row.replayed)
        raise UsageError(f"{row.name} says {words}, and nothing else", hint=f"credential-helper {row.name} --help")
    if kind == ENVIRONMENT:
        return Asked(data=os.fsencode(call.exec_info or ""), where=EXEC_INFO, operation=operation, options=options)
    return Asked(data=b"" if kind == NOTHING else call.read(), operation=operation, options=options)


def serve(call: Call, row: Tool, tool: contract.Tool, asked: Asked, flags: Mapping[str, object]) -> int:
    """Answer what a tool's file reads. Any error may come, and nothing is on stdout then."""
    exchange = tool.read(asked)
    for line in exchange.notes:
        call.app.note(line)
    chosen = _chosen(call, row, exchange, flags)
    if chosen is None:
        problem = contract.not_mine(tool, row.hosts.key if row.hosts is not None else "", exchange)
        call.app.tell_troubles(row, flags, always=problem is not None)
        if problem is not None:
            raise problem
        keep_silence(call, row, asked.data, flags)
        return 0
    return deliver(
        call, asked.data, chosen, exchange.request, lambda credential, now: tool.render(exchange, credential, now)
    )


def _chosen(call: Call, row: Tool, exchange: Exchange, flags: Mapping[str, object]) -> Chosen | None:
    """Return the profile that serves; None: no profile lists what is asked for."""
    app, request, hosts = call.app, exchange.request, row.hosts
    if hosts is None or hosts.restricts:
        chosen = choose(request, flags, app.environ, key=hosts.key if hosts is not None else None, note=app.note)
        if hosts is not None:
            serves(chosen, hosts.key, request.target)
        return chosen
    try:
        url = parse_url(exchange.url or "")
    except ValueError:
        return None
    found = app.owners(flags).choose(row, url, request)
    return None if found is None else found[0]


def deliver(call: Call, tool_input: bytes, chosen: Chosen, request: Request, render: Render) -> int:
    """Obtain a chosen profile's credential, write the answer, and keep it for an identical request."""
    app = call.app
    obtained = app.obtain(chosen, request)
    text = render(shown(app, obtained.credential), app.clock.now())
    write(text)
    if request.refused is None:
        until, renew = fresh_until(obtained), renewed_from(app, chosen, request, obtained)
        keep_answer(call, tool_input, text, obtained, chosen, until=until, renew=renew)
    return 0


def shown(app: App, credential: Credential) -> Credential:
    """Return a credential as it may be written to stdout."""
    return msgspec.structs.replace(credential, token=app.shown(credential.token))


def fresh_until(obtained: Obtained) -> float:
    """Say until when an answer may be repeated (seconds since the epoch)."""
    until = obtained.credential.fresh_until
    return float("inf") if until is None else until - freshness.SOON


def renewed_from(app: App, chosen: Chosen, request: Request, obtained: Obtained) -> float:
    """Return from when on an answer is renewed ahead by whoever repeats it (seconds since the epoch)."""
    return ahead_from(app.errand(chosen, request), obtained, ci=app.in_ci)


def keep_silence(
    call: Call,
    row: Tool,
    tool_input: bytes | None,
    given: Given | Mapping[str, object],
    *,
    answer: bytes = b"",
    code: int = 0,
    files: Sequence[tuple[str, str]] = (),
) -> None:
    """Keep what is said where nothing is served: it stands on the config files alone, and on ``files`` (name, stamp).

    Not where something is wrong with them, which is told again.
    """
    app = call.app
    owners = app.owners(given)
    key = key_for_all(call, tool_input, given) if tool_input is not None else None
    if key is None or owners.troubles(row):
        return
    if owners.configuration is not None and not owners.configuration.found:  # who has not begun has no state directory
        return
    try:
        app.state.prepare("replies")
        origin = app.state.origin()
    except StoreError as error:
        app.note(f"nothing is kept: {error.sentence}")
        return
    keep_for_all(call, key, answer, given, code=code, until=NEVER, files=[*files, *origin])


def key_for_all(call: Call, tool_input: bytes, given: Given | Mapping[str, object]) -> bytes | None:
    """Return the request whose answer is of no one profile; None: it is not to be written, so nothing is kept."""
    app = call.app
    configuration = app.owners(given).configuration
    hidden = app.hidden if configuration is None else configuration.hidden
    if app.verbose or not may_be_written(app.environ, VARIABLES, hidden):
        return None
    return replies.request_of(call.argv, app.environ, tool_input)


def keep_for_all(
    call: Call,
    key: bytes,
    answer: bytes,
    given: Given | Mapping[str, object],
    *,
    until: float,
    files: Sequence[tuple[str, str]],
    code: int = 0,
) -> None:
    """Keep an answer that is of no one profile: it stands on the config files, and on ``files`` (name, stamp)."""
    configuration = call.app.owners(given).configuration
    keep(
        key,
        answer,
        code=code,
        until=until,
        state_files=files,
        config_stamps=[file.stamp for file in configuration.files] if configuration is not None else None,
        environ=call.app.environ,
    )


def keep_answer(
    call: Call, tool_input: bytes, answer: bytes, obtained: Obtained, chosen: Chosen, *, until: float, renew: float
) -> None:
    """Keep a profile's answer for an identical request: not one that is unverified or stands on no disk.

    A machine's is bound to its proof. From ``renew`` on whoever repeats it renews it ahead.
    """
    app = call.app
    key = replies.request_of(call.argv, app.environ, tool_input)
    if key is None or not obtained.stamp or app.verbose or not may_be_written(app.environ, VARIABLES, app.hidden):
        return
    proof = _proof(app, chosen.profile) + obtained.trace
    if proof.replayable:
        keep(
            key,
            answer,
            until=until,
            renew=renew,
            state_files=[(f"sessions/{obtained.session_id}.json", obtained.stamp)],
            config_stamps=[file.stamp for file in chosen.files] or None,
            environ=app.environ,
            proof_files=proof.files,
            proof_variables=[(name, None if value is None else value.reveal()) for name, value in proof.variables],
        )


def _proof(app: App, profile: Profile) -> Proof:
    try:
        return app.proof(profile)
    except ConfigurationError:  # a session is served without its secret, but who has none gets no kept answer
        return UNKNOWN
