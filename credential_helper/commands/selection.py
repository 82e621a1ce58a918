"""Which profiles a command is about: those that were named, the one that is meant when none is, or a session's own."""

from __future__ import annotations

import os
from collections.abc import Iterator

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.model import Profile, Request, Session
from credential_helper.profiles.choose import choose, each_by_position
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.settings import TYPED, Given


def as_profile(session: Session) -> Profile:
    """Return what a session itself says of its profile, which the config files may not have any more."""
    return Profile(
        name=session.profile,
        ad_hoc=True,
        issuer=session.issuer,
        client_id=session.client_id,
        audience=session.audience,
        flow="client-credentials" if session.kind == "client" else "device",
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
