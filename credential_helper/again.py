"""Renew ahead: the call that was just answered is answered once more, for nobody, and so is every other kept one.

This is a process that has left its caller (``replies.ahead``). It renews the session under its lock, if nobody else
does; asks no person, opens no keyring and says nothing. Of what goes wrong it remembers only a pause that the provider
asks for. A save removes the kept answers that stand on the session, so their requests are read before, and answered
anew after it: whoever calls next waits for nothing. A request is complete: the words, the variables of ours, the input.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from credential_helper import cli, places, replies, tools

_MOST = 32  # replies that are made anew


class Kept:
    """A request as it stands in a reply: what a process of ours was called with."""

    def __init__(self, argv: list[str], environ: dict[str, str], heard: bytes | None) -> None:
        self.argv = argv
        self.environ = environ
        self.heard = heard


def run(argv: Sequence[str], environ: Mapping[str, str], rest: replies.Rest) -> int:
    """Renew what a reply was made from, then make it and the others of its session anew."""
    assert rest.reply is not None
    marker = rest.reply.due or ""
    session = os.path.basename(marker).removesuffix(".ahead")
    others = [found for found in kept(environ, f"sessions/{session}.json") if found[0] != rest.request]
    code = cli.run(argv, environ, heard=rest.heard, ahead=True)
    if code != 0:
        return code
    for _, one in others[:_MOST]:
        if cli.run(one.argv, one.environ, heard=one.heard, ahead=True) != 0:
            return 0
    try:
        os.unlink(marker)
    except OSError:
        return 0
    return 0


def kept(environ: Mapping[str, str], session: str) -> list[tuple[bytes, Kept]]:
    """Return every request that was answered from a session's file, and that this process can repeat."""
    state = places.state_directory(environ)
    return [] if state is None else list(_kept(state, environ, session))


def _kept(state: str, environ: Mapping[str, str], session: str) -> Iterator[tuple[bytes, Kept]]:
    """Yield what was answered from the session as it stands: who brings a folder cannot know its stamp."""
    line = f"{session} {replies.stamp_now(os.path.join(state, session))}".encode()
    folder = os.path.join(state, "replies")
    try:
        names = sorted(os.listdir(folder)) if replies.private_folder(folder) else []
    except OSError:
        return
    for name in names:
        try:
            head, _, body = (replies.read_reply(os.path.join(folder, name)) or b"").partition(b"\n\n")
            lines = head.split(b"\n")
            if line not in lines[replies.HEAD :]:
                continue
            request = body[: replies.whole(lines[replies.HEAD - 2])]
        except (OSError, ValueError, IndexError):
            continue
        found = repeated(request, environ)
        if found is not None:
            yield request, found


def repeated(request: bytes, environ: Mapping[str, str]) -> Kept | None:
    """Take a request apart (``replies.request_of``); None: it is none that this process would be called with."""
    files = len(places.config_files(environ))
    fields = request.split(b"\0")
    words = fields.index(b"") if b"" in fields else len(fields)
    git = words + 1 + files
    variables = git + 1
    end = variables
    while end < len(fields) and fields[end]:
        end += 1
    if end >= len(fields):
        return None
    argv = [os.fsdecode(word) for word in fields[:words]]
    tool_input = b"\0".join(fields[end + 1 :])
    changed = _with(environ, [os.fsdecode(field) for field in fields[variables:end]], os.fsdecode(fields[git]))
    kind = tools.input_of(argv[0], argv[1:], changed) if argv else None
    if kind is None or not _is_trusted(changed.get("GIT_EXEC_PATH")):
        return None
    if kind in (tools.STDIN, tools.LINES):
        heard: bytes | None = tool_input
    else:
        heard = None
    if kind == tools.ENVIRONMENT:
        changed[tools.EXEC_INFO] = os.fsdecode(tool_input)
    return Kept(argv, changed, heard) if replies.request_of(argv, changed, tool_input) == request else None


def _with(environ: Mapping[str, str], variables: Sequence[str], exec_path: str) -> dict[str, str]:
    """Return the environment of another call: its variables of ours, and its git first on PATH."""
    changed = {
        name: value
        for name, value in environ.items()
        if not name.startswith(replies.PREFIX) or name in places.SECRET_VARIABLES
    }
    changed |= dict(variable.split("=", 1) for variable in variables if "=" in variable)
    for name in ("GIT_EXEC_PATH", tools.EXEC_INFO):
        changed.pop(name, None)
    if exec_path:
        changed["GIT_EXEC_PATH"] = exec_path
        changed["PATH"] = os.pathsep.join(filter(None, (exec_path, environ.get("PATH", ""))))
    return changed


def _is_trusted(folder: str | None) -> bool:
    """Say whether a folder, whose git is run, is still there, and is nobody else's but root's; None: none is named."""
    if folder is None:
        return True
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return False
    return (status.st_uid == 0 or places.ours(status)) and not places.writable_by_others(status)
