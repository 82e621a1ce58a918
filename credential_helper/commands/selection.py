"""Which profiles a command is about: those that were named, the one that is meant when none is, or a session's own."""

from __future__ import annotations

import os
from collections.abc import Iterator

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.model import Profile, Request
from credential_helper.profiles.choose import choose, each_by_position
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.settings import TYPED, Given
from credential_helper.session import Grant

PURPOSE = ("audience", "resource", "scope")  # flags that name one session of a sign-in


def as_profile(grant: Grant) -> Profile:
    """Return what a grant itself says of its profile, which the config files may not have any more."""
    return Profile(
        name=grant.profile,
        ad_hoc=True,
        issuer=grant.issuer,
        client_id=grant.client_id,
        audience=grant.audience,
        resource=grant.resource,
        account=grant.account,
        realm=grant.realm,
        parameters=grant.parameters,
        endpoints=grant.endpoints,
        provider=grant.provider,
        ca_file=grant.ca_file,
        flow="client-credentials" if grant.kind == "client" else "device",
    )


def selected(given: Given, app: App) -> Iterator[Chosen]:
    """Yield each profile that was named, or the one that is meant when none is; what is odd is told."""
    for flags in each_by_position(given):
        if typed():
            flags[TYPED] = True
        chosen = choose(Request(tool=PROGRAM), flags, app.environ, note=app.note)
        for remark in chosen.remarks:
            app.terminal.warn(remark)
        yield chosen


def typed() -> bool:
    """Say whether a person typed this at a terminal: a tool that starts us reads stdout, and a pipe is that."""
    return os.isatty(0) and os.isatty(1)
