"""From when on a token is renewed before anybody has to wait for it: by a process that has left its caller.

Not where nobody would want one: in CI (but for a machine, whose token costs one request and spends nothing), in a
container (its end kills all that is in it, and with it a refresh token that was just used; a machine has none to lose,
but needs an init, which reaps what is left behind), and where the profile says so. Not where a command would be run for
it, which may ask a person, and not where a refresh ends the token that was just handed out.
"""

from __future__ import annotations

import math

from credential_helper import providers
from credential_helper.broker import freshness
from credential_helper.broker.errand import Errand, Obtained
from credential_helper.model import Profile, Source
from credential_helper.system.init import there_is_an_init


def ahead_from(errand: Errand, obtained: Obtained, *, ci: bool) -> float:
    """Return from when on (seconds since the epoch) whoever replays the answer renews it; ``inf``: never.

    ``ci``: nothing that goes on after its caller is wanted here.
    """
    profile, session = errand.profile, obtained.session
    if not (profile.session_kind == "client" or session.refreshable) or not is_wanted(profile, ci=ci):
        return math.inf
    return freshness.ahead_from(session, errand.kind, errand.request)


def is_wanted(profile: Profile, *, ci: bool) -> bool:
    """Say whether a process that nobody waits for may renew a profile's token, here and now."""
    machine = profile.session_kind == "client"
    if profile.renew == "on-demand" or profile.store == "none" or providers.of(profile).refresh_ends:
        return False
    if profile.renew == "auto" and ((ci and not machine) or not there_is_an_init(for_good=not machine)):
        return False
    workload = profile.workload
    runs = workload is not None and workload.source in ("auto", "buildkite", "command")
    return not runs and not any(source.kind == "command" for source in _sources(profile))


def _sources(profile: Profile) -> list[Source]:
    """Return the sources of all that is sent to the provider."""
    key = profile.private_key
    given = (profile.client_secret, None if key is None else key.source, *(profile.tls or ()))
    return [source for source in given if source is not None]
