"""What somebody wrote about tokens that others give: a platform's for a job, and another profile's.

- A word names a platform, or ``auto``; a table says where else the token is, or more about a platform.
- From flags and variables only a platform is named, and a token that is good for more than the issuer is not sent then:
  whoever wrote a command line may have written its issuer, too. A config file that stands in a working tree names none,
  and no other profile either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from credential_helper.model import Source
from credential_helper.profiles import parse
from credential_helper.profiles.written import Written, typed
from credential_helper.text import either, foreign
from credential_helper.workloads import WORKLOADS, Workload

_PLATFORM = parse.choice("auto", *WORKLOADS)
_SOURCES: Mapping[str, Callable[[Written], Source]] = {
    "file": parse.source_file,
    "env": parse.source_env,
    "command": parse.source_command,
}
_TABLE = '{ file = "PATH" }, { env = "NAME" }, { command = ["…", "…"] } or { github = { audience = "…" } }'
_URN = "urn:ietf:params:oauth:token-type:"
_TYPES = {"jwt": f"{_URN}jwt", "id-token": f"{_URN}id_token", "access-token": f"{_URN}access_token"}
_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+"


def workload(written: Written) -> Workload:
    """Return where a job's token is: a platform's name, or a table with one key."""
    if not isinstance(written.value, dict):
        typed(written, str, f"a word ({either(['auto', *WORKLOADS])}) or a table")
        name = _PLATFORM(written)
        _require_leave(written, "workload", name)
        return Workload(source=name, origin=written.where, for_issuer_only=not written.origin.is_file)
    table: dict[str, Any] = written.value
    if len(table) != 1:
        found = "an empty table" if not table else "several keys"
        raise written.malformed(f"found {found}, expected one: {_TABLE}")
    ((key, value),) = table.items()
    part = written.part(key, value)
    if key in _SOURCES:
        source = _SOURCES[key](part)
        return Workload(source=key, value=source.value, origin=part.where)
    if key not in WORKLOADS:
        raise part.malformed(f"unknown key, expected one of {', '.join((*_SOURCES, *WORKLOADS))}")
    _require_leave(written, "workload", key)
    return _of_platform(part)


def _of_platform(part: Written) -> Workload:
    """Return what a table says about a platform: for whom its token is to be, or where it is."""
    name = str(part.path[-1])
    row = WORKLOADS[name]
    table: dict[str, Any] = typed(part, dict[str, Any], 'a table, as { audience = "…" }')
    known = [key for key, has in (("audience", row.audience), ("path", row.path)) if has]
    for key in table:
        if key not in known:
            expected = f"expected {either(known)}" if known else f'write workload = "{name}"'
            why = "; the audience is said where the job is" if key == "audience" else ""
            raise part.part(key, table[key]).impossible(f"{row.title} has no such key{why}", hint=expected)
    audience = parse.text(part.part("audience", table["audience"])) if "audience" in table else None
    value = parse.source_file(part.part("path", table["path"])).value if "path" in table else ()
    return Workload(source=name, audience=audience, value=value, origin=part.where)


def subject(written: Written) -> str:
    """Return the name of the profile whose token is exchanged: ``{ profile = "NAME" }``."""
    table: dict[str, Any] = typed(written, dict[str, Any], 'a table, as { profile = "NAME" }')
    if list(table) != ["profile"]:
        raise written.malformed('expected { profile = "NAME" }: another profile, whose access token is exchanged')
    part = written.part("profile", table["profile"])
    name = parse.text(part)
    if len(written.path) > 1 and name == written.path[1]:
        raise part.impossible(f'"{foreign(name, 60)}" is this profile itself', hint="name another one")
    _require_leave(written, "profile", name)
    return name


def subject_token_type(written: Written) -> str:
    """Return the type of a token that is exchanged (RFC 8693 §3), or a provider's own: a URI."""
    value = parse.text(written)
    known = _TYPES.get(value.replace("_", "-"))
    if known is not None:
        return known
    if not re.fullmatch(_URI, value):
        raise written.malformed(f"expected {either([*_TYPES])}, or a URI")
    return value


def _require_leave(written: Written, kind: str, name: str) -> None:
    """Raise the error for what whoever wrote it here has no leave to name."""
    refusal = written.origin.refuses(kind, name)
    if refusal is not None:
        raise written.impossible(refusal[0], hint=refusal[1])
