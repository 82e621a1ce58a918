"""What a call would be answered now, found out without a lock, a request or a question: what ``status`` says.

It goes the way of ``obtain`` with the same objects, and takes it that a provider which is asked says yes: a renewal
stands on a refresh token that can be had and on the client's secrets, a sign-in on those secrets and on nobody being
needed. Nothing is written.
"""

from __future__ import annotations

import msgspec

from credential_helper import errors
from credential_helper.broker import freshness, sign_in
from credential_helper.broker.cached_session import PASSING, CachedSession
from credential_helper.broker.client_secrets import bring_secrets
from credential_helper.broker.errand import Errand, Means
from credential_helper.broker.reach import may_be_possible
from credential_helper.broker.refusals import Refusals
from credential_helper.errors import CredentialHelperError, InteractionRequired, StoreError
from credential_helper.session import Place, Session


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be expected of one profile."""

    session: Session | None
    ready: bool  # it would be answered, and nobody asked
    place: Place | None = None  # where the session is
    error: CredentialHelperError | None = None  # what a call would fail with; if it is ready, what comes after that


def outlook(errand: Errand, means: Means) -> Outlook:
    """Say what a call would be answered; this raises nothing."""
    stored: Session | None = None
    place: Place | None = None
    try:
        with errors.of_profile(errand.profile.name):
            errand.refuse_the_impossible()
            session = CachedSession(errand, means)
            place = session.place
            stored = session.stored.session if session.stored is not None else None
            fresh = stored is not None and _fresh(errand, stored, means.clock.now())
    except CredentialHelperError as error:
        return Outlook(session=stored, ready=False, place=place, error=error)
    try:
        with errors.of_profile(errand.profile.name):
            _require_a_way(errand, session, means, stored)
    except CredentialHelperError as error:
        ready = fresh or (
            error.exit_code in PASSING and stored is not None and _valid(errand, stored, means.clock.now())
        )
        ends = ready and isinstance(error, InteractionRequired) and (stored is None or stored.grant.refused is None)
        return Outlook(session=stored, ready=ready, place=place, error=None if ends else error)
    return Outlook(session=stored, ready=True, place=place)


def _fresh(errand: Errand, stored: Session, now: float) -> bool:
    """Say whether a session answers, once the check that it may wait for is made."""
    identity = msgspec.structs.replace(stored.id, unverified=False) if stored.id is not None else None
    checked = msgspec.structs.replace(stored, id=identity, unverified=False)
    return freshness.fresh(checked, errand.kind, errand.request, now)


def _valid(errand: Errand, stored: Session, now: float) -> bool:
    return not stored.unverified and freshness.valid(stored, errand.kind, errand.request, now)


def _require_a_way(errand: Errand, session: CachedSession, means: Means, stored: Session | None) -> None:
    """Raise what stands in the way of something new."""
    profile, provider = errand.profile, means.provider(errand.profile)
    if standing := Refusals(errand, session, means).standing():
        raise standing
    trouble: StoreError | None = None
    grant = stored.grant if stored is not None else None
    serves = grant is not None and (
        not session.is_derived or may_be_possible(profile, grant, session.place.session, means.clock.now())
    )
    if stored is not None and serves and stored.refreshable and stored.grant.refused is None:
        try:
            token = means.sessions.grants.refresh_token(session.place.grant, stored.grant)
        except StoreError as error:  # a locked keyring: then only a sign-in can help
            trouble = error
        else:
            if token is not None:
                bring_secrets(profile, provider, run=False)
                provider.transport.require_roots()
                return
    if not profile.unattended:
        if trouble is None and (stored is None or stored.grant.refused is None):
            raise InteractionRequired(f"nobody is signed in to {provider.host}", hint=errand.login)
        raise trouble or sign_in.nobody_to_ask(errand, means, session.stored)
    bring_secrets(profile, provider, run=False)
    provider.transport.require_roots()
    if provider.password is not None:
        provider.password()
