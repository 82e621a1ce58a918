"""Which protocol a request on stdin speaks."""

from __future__ import annotations

from typing import Literal

from credential_helper.errors import ProtocolError
from credential_helper.tools.wire import BOM, LIMIT, json_object

Protocol = Literal["json", "exec-credential", "git", "uri", "empty"]

_GIT_KEYS = frozenset((b"protocol", b"host", b"url", b"capability[]"))  # what git or a person begins a request with


def detect(data: bytes) -> Protocol | None:
    """Say which protocol a request on stdin speaks; None for none that we know. Reads it no further than that.

    JSON of any kind that is neither an ExecCredential nor ``{"uri": …}`` is "json", broken JSON too: ``read`` has the
    sentence for it.
    """
    start = data.removeprefix(BOM).lstrip()
    if not start:
        return "empty"
    if start[:1] in (b"[", b'"'):
        return "json"
    if start[:1] != b"{":
        return "git" if _is_git(data) else None
    try:
        names = json_object(data, "stdin").keys()
    except ProtocolError:
        return "json"
    if "kind" in names or "apiVersion" in names:
        return "exec-credential"
    return "uri" if "uri" in names else "json"


def unanswerable(found: Protocol | None) -> ProtocolError:
    """Return the refusal of a request in a protocol that the command does not speak."""
    if found == "uri":
        return ProtocolError('a request by "uri" on stdin is not supported yet')
    if found == "empty":
        return ProtocolError("stdin is empty")
    return ProtocolError(
        "stdin is neither a JSON object, nor an ExecCredential, nor git's key=value lines",
        hint='an empty request, or {"version": 1}, asks for the default profile\'s token',
    )


def _is_git(data: bytes) -> bool:
    lines = data[:LIMIT].split(b"\n")
    keys = [line.partition(b"=")[0] for line in lines[: lines.index(b"") if b"" in lines else None] if b"=" in line]
    return b"=" in lines[0] and not _GIT_KEYS.isdisjoint(keys)
