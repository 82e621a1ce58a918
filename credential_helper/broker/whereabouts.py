"""Where a session stands: with the grant of all audiences, or with one of its own; or as an earlier version left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper import places
from credential_helper.model import Profile
from credential_helper.session import Place, same_person
from credential_helper.stores import format_1
from credential_helper.stores.sessions import Sessions, Stored

if TYPE_CHECKING:
    from credential_helper.broker.errand import Means

_OLDER_VERSION = 5.0  # seconds that one which runs beside this one is waited for


def place_now(sessions: Sessions, profile: Profile, main: Place) -> Place:
    """Return where a profile's session stands: with the grant of all its audiences, or with one of its own.

    What an earlier version has kept for it becomes one of its own where there is another grant already. Raises
    StoreError.
    """
    own = main.own
    if own == main or sessions.grants.standing(own.grant) is not None:
        return own
    if sessions.stamp(format_1.session_id(profile)) == places.ABSENT:
        return main
    grant = sessions.grants.standing(main.grant)
    return own if grant is not None and grant.session != main.session else main


def before(sessions: Sessions, profile: Profile) -> tuple[str | None, Stored | None]:
    """Return id and content of what an earlier version has kept for a profile; None and None: nothing.

    Profiles of the file and ad-hoc ones shared their sessions then; now they do not. Raises StoreError.
    """
    old = format_1.session_id(profile)
    session = sessions.of_format_1(old)
    if session is None or not format_1.is_of(session, profile):
        return None, None
    return old, Stored(session=session, stamp="")


def take_over_format_1(means: Means, profile: Profile, place: Place, main: Place) -> None:
    """Make a grant and a session of what an earlier version has kept, with the lock of each held.

    What has a refresh token of its own keeps it: where there is a grant already, it becomes one that stands alone. What
    another person left than the one who has signed in since goes. Raises StoreError and LockTimeout.
    """
    sessions, old = means.sessions, format_1.session_id(profile)
    if sessions.stamp(old) == places.ABSENT:
        return
    from credential_helper.stores import lock  # hardly anybody has one still

    name = sessions.lock_of_format_1(old)
    with lock.alone(sessions.state, name, "the session", clock=means.clock, deadline=_OLDER_VERSION):
        sessions.take_up_format_1(old)
        found = sessions.of_format_1(old)
        usable = found is not None and format_1.is_of(found, profile)
        if found is None or not (usable or found.grant.kind == "client"):
            return
        there, grant = sessions.grants.standing(place.grant), sessions.grants.standing(main.grant)
        if there is not None and there.session != place.session:
            return  # a sign-in takes its place, which may fail: until then nothing goes
        same = grant is None or same_person(grant.identity, found.identity)
        if there is None and same and usable:
            alone = main.grant if place != main else None
            sessions.save(place, format_1.taken_over(found, profile, place.session, alone))
            means.note("the sign-in of an earlier version is taken over")
        elif there is None or there.record != found.grant.record:
            sessions.grants.forget_record(found.grant.record)
        sessions.erase_format_1(old)
