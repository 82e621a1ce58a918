"""From when on a token is renewed before anybody has to wait for it: by a process that has left its caller.

Not where nobody would want one: in CI (but for a machine, whose token costs one request and spends nothing), in a
container whose first process is no init (it reaps nobody, and kills at its end), and where the profile says so. Not
where a command would be run for it, which may ask a person.
"""

from __future__ import annotations

import math

from credential_helper.broker import freshness
from credential_helper.broker.errand import Errand, Obtained
from credential_helper.model import Profile, Source
from credential_helper.system.init import there_is_an_init


def ahead_from(errand: Errand, obtained: Obtained, *, ci: bool) -> float:
    """Return from when on (seconds since the epoch) whoever replays the answer renews it; ``inf``: never.

    ``ci``: nothing that goes on after its caller is wanted here.
    """
    profile, session = errand.profile, obtained.session
    machine = profile.session_kind == "client"
    if profile.renew == "on-demand" or profile.store == "none" or not (machine or session.refreshable):
        return math.inf
    if profile.renew == "auto" and ((ci and not machine) or not there_is_an_init()):
        return math.inf
    if any(source.kind == "command" for source in _sources(profile)):
        return math.inf
    return freshness.ahead_from(session, errand.kind, errand.request)


def _sources(profile: Profile) -> list[Source]:
    """Return the sources of all that is sent to the provider."""
    key, workload = profile.private_key, profile.workload
    given = (
        profile.client_secret,
        None if key is None else key.source,
        None if workload is None else workload.source,
        *(profile.tls or ()),
    )
    return [source for source in given if source is not None]
