"""What one sign-in may serve, as far as that is known without asking the provider."""

from __future__ import annotations

from credential_helper import providers
from credential_helper.model import Profile
from credential_helper.session import Grant


def may_be_possible(profile: Profile, grant: Grant, session_id: str, now: float) -> bool:
    """Say whether a grant may serve a session."""
    if grant.session == session_id:
        return True
    if profile.multi_resource == "off" or any(one == session_id and now < until for one, until in grant.underivable):
        return False
    known = providers.of(profile).other_audiences
    return was_asked_for(profile, grant) and (profile.multi_resource != "auto" or known != "none")


def was_asked_for(profile: Profile, grant: Grant) -> bool:
    """Say whether a refresh may ask for a profile's resources: its sign-in did (RFC 8707 §2.2).

    Others are refused with ``invalid_target``, and oidc-provider has spent the refresh token by then: the new one is
    not in its answer, so asking would cost the whole sign-in.
    """
    by_refresh = profile.multi_resource == "auto" and providers.of(profile).other_audiences == "refresh"
    return not by_refresh or set(profile.resource) <= {*grant.resource, *grant.resources}
