"""What somebody wrote about a fleet's cache: where the server is, and what its machines have in common.

- It is for machines, and for tokens that each of them could fetch: never a person's, and none that may be bound to the
  certificate of one of them.
- What stands there is sealed under a key that is made of a secret which all machines have. Without one, ``cache_key``
  names it.
- A password is never part of the address: a secret is never a literal. Nothing goes over a network without TLS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from credential_helper import urls
from credential_helper.errors import CredentialHelperError
from credential_helper.flows import FLOWS
from credential_helper.model import SharedCache
from credential_helper.profiles import parse
from credential_helper.profiles.written import Written
from credential_helper.text import either

_EXPECTED = (
    "expected rediss://[USER@]HOST[:PORT][/DATABASE], redis:// on loopback, or unix://[USER@]/PATH[?db=DATABASE]"
)
_PORTS = {"rediss": 6379, "redis": 6379}
_USER = r"[A-Za-z0-9._~-]{1,100}"  # what Redis takes, and no URL has to escape
_DATABASE = r"[0-9]{1,5}"


def address(written: Written) -> SharedCache:
    """Return where the server is; nothing of it is echoed, because a password may be in it."""
    scheme, separator, rest = parse.text(written).partition("://")
    if not separator or scheme not in (*_PORTS, "unix"):
        raise written.malformed(_EXPECTED)
    user, rest = _user(written, scheme, rest)
    if scheme == "unix":
        path, question, query = rest.partition("?")
        database = query.removeprefix("db=") if question else "0"
        if not path.startswith("/") or not re.fullmatch(_DATABASE, database):
            raise written.malformed(_EXPECTED)
        return SharedCache(scheme="unix", path=path, database=int(database), user=user)
    authority, _, database = rest.partition("/")
    # A host is a host: the scheme only says which port is left out.
    found = urls.parse_host("https", authority)
    if found is None or not re.fullmatch(_DATABASE, database or "0"):
        raise written.malformed(_EXPECTED)
    if scheme == "redis" and not found.loopback:
        raise written.impossible(f"redis:// is for loopback ({', '.join(urls.LOOPBACK)}) only; expected rediss://")
    return SharedCache(
        scheme="rediss" if scheme == "rediss" else "redis",
        host=found.host.strip("[]"),
        port=found.port if found.port_given else _PORTS[scheme],
        database=int(database or "0"),
        user=user,
    )


def _user(written: Written, scheme: str, rest: str) -> tuple[str | None, str]:
    """Take the user's name off the front of an address."""
    slash = rest.find("/") if scheme == "unix" else len(rest)  # a path may have an @ in it
    before, at, after = rest[:slash].rpartition("@")
    if not at:
        return None, rest
    if ":" in before:
        raise written.impossible("has a password in it", hint=parse.write_instead("shared_cache_password"))
    if not re.fullmatch(_USER, before):
        raise written.malformed("has a user name with other characters than letters, digits, -, _, . and ~")
    return before, after + rest[slash:]


def contradictions(judged: Mapping[str, Any], values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with a fleet's cache beside the rest of a profile."""
    about = next((key for key in judged if key.startswith(("shared_cache_password.", "cache_key."))), None)
    if "shared_cache" not in judged:
        if about is not None:
            instead = 'write shared_cache = "rediss://USER@HOST:6380/0"' if _in_file(values[about]) else None
            yield values[about].impossible("there is no shared_cache", hint=instead or "give --shared-cache URL, too")
        return
    written, name = values["shared_cache"], judged.get("flow", "auto")
    flow = FLOWS.get(name)
    machines = [f'"{row.name}"' for row in FLOWS.values() if row.who == "client"]
    if flow is None or flow.who != "client":
        # A flow that a flag chooses for once does not make the rest of the profile wrong: then nothing is shared.
        if "flow" not in values or values["flow"].origin.kind == written.origin.kind:
            yield written.impossible(
                f'is for machines, and does not go with flow = "{name}"', hint=f"it is for flow = {either(machines)}"
            )
    elif "subject" in judged:
        yield written.impossible(
            "the token of another profile is exchanged, which may be a person's and is never shared",
            hint="take shared_cache out of this profile; the other one may have it",
        )
    elif any(key.startswith("tls.") for key in judged):
        yield written.impossible(
            "a token that a client certificate brings may be bound to it, and is not shared",
            hint="have the client prove itself with a secret or a key, or take shared_cache out",
        )
    elif not any(key.startswith(("client_secret.", "private_key.", "cache_key.")) for key in judged):
        how = parse.write_instead("cache_key") if _in_file(written) else "give --cache-key-env NAME"
        yield written.impossible(
            "the machines have no secret in common, which only they could read with",
            hint=f"{how}: 32 bytes or more (openssl rand -hex 32)",
        )


def _in_file(written: Written) -> bool:
    return written.origin.is_file
