"""Which sign-ins are a profile's own, and which of them a logout ends.

A profile's own is what it is answered from, whoever has made it, and what was made under its name: the grant that
serves all its audiences, those of single sessions, and what an earlier version of this program has kept. All of that
ends which is of one person. Where an audience, a resource or a scope is given, that one session is meant.

A machine's grant has no name that could be found out without its secret: it is known by what it was made for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from credential_helper.broker.whereabouts import before, place_now
from credential_helper.model import Endpoints, Profile
from credential_helper.profiles import targets
from credential_helper.session import Grant, Place, Session, is_of, place_of, same_person
from credential_helper.stores import format_1
from credential_helper.stores.sessions import Sessions


class SignIn(NamedTuple):
    """A grant that is kept here, or a session of an earlier version, which is one of its own."""

    id: str
    grant: Grant
    format_1: bool = False


class WhatEnds(msgspec.Struct, frozen=True, kw_only=True):
    """What a logout of one profile is about."""

    main: str  # the id of the grant that serves all audiences of the profile
    grants: tuple[str, ...] = ()  # their ids
    format_1: tuple[str, ...] = ()
    session: Place | None = None  # one that ends alone; its grant serves others, too
    stay: tuple[Grant, ...] = ()  # of somebody else

    @property
    def ids(self) -> set[str]:
        """Return all ids of what ends."""
        return {*self.grants, *self.format_1, *(() if self.session is None else (self.session.session,))}


def sign_ins(sessions: Sessions) -> Iterator[SignIn]:
    """Yield every sign-in that is known of. Raises StoreError."""
    for identifier in sessions.grants.ids("json"):
        file = sessions.grants.look(identifier)
        if file is not None and (grant := file.latest):
            yield SignIn(identifier, grant)
    for identifier in sessions.ids_of_format_1():
        session = sessions.of_format_1(identifier)
        if session is not None:
            grant = msgspec.structs.replace(session.grant, audience=session.audience)
            yield SignIn(identifier, grant, format_1=True)


def serves(one: SignIn, profile: Profile, sessions: Sessions) -> bool:
    """Say whether a profile is answered from a sign-in. Raises StoreError."""
    if one.format_1:
        return one.id == format_1.session_id(profile) and format_1.is_of(Session(grant=one.grant), profile)
    if profile.session_kind == "client":
        return is_of(one.grant, profile) and purpose(one.grant) == purpose(profile)
    return one.id == place_now(sessions, profile, place_of(profile)).grant


def is_own(one: SignIn, profile: Profile, sessions: Sessions) -> bool:
    """Say whether a sign-in is a profile's own. Raises StoreError."""
    return serves(one, profile, sessions) or (_is_by(one.grant, profile) and _is_to(one, profile))


def _is_by(grant: Grant, profile: Profile) -> bool:
    """Say whether a grant was made under the profile's name; of ad-hoc profiles any, for each has its own."""
    return grant.profile == profile.name or (profile.ad_hoc and grant.ad_hoc)


def _is_to(one: SignIn, profile: Profile) -> bool:
    """Say whether a sign-in is to where a profile signs in.

    An earlier version kept less of where that is: by which CA an ad-hoc one was asked nobody knows, and the endpoints
    are in the session's id only.
    """
    if not one.format_1:
        return is_of(one.grant, profile)
    mine = (profile.issuer.rstrip("/"), profile.client_id, profile.session_kind, profile.account, profile.ad_hoc)
    grant = one.grant
    if mine != (grant.issuer.rstrip("/"), grant.client_id, grant.kind, grant.account, grant.ad_hoc):
        return False
    if profile.ad_hoc and profile.ca_file is not None:
        return False
    return profile.endpoints == Endpoints() or one.id in map(format_1.session_id, _made_then(one.grant, profile))


def _made_then(grant: Grant, profile: Profile) -> Iterator[Profile]:
    """Yield what a session of an earlier version may have been made for."""
    yield profile
    yield msgspec.structs.replace(profile, audience=grant.audience)
    yield msgspec.structs.replace(profile, audience=grant.audience, resource=())
    yield from (found for _, found in targets.others(profile))


def purpose(made_for: Grant | Profile) -> tuple[str | None, frozenset[str]]:
    """Return what tokens are for."""
    return made_for.audience, frozenset(made_for.resource)


# --- what a logout ends -----------------------------------------------------------------------------------------------


def all_of(profile: Profile, sessions: Sessions) -> WhatEnds:
    """Return every sign-in of a profile's own. Raises StoreError."""
    main = place_of(profile).grant
    own = [one for one in sign_ins(sessions) if is_own(one, profile, sessions)]
    own.sort(key=lambda one: one.id != main)  # whose that is, is meant
    who, ends, stay = None, [], []
    for one in own:
        if same_person(who, one.grant.identity):
            who = who or one.grant.identity
            ends.append(one)
        else:
            stay.append(one.grant)
    asking = [one for one in sessions.grants.ids("prompt") if _is_asked_for(one, profile, sessions)]
    grants = [*(one.id for one in ends if not one.format_1), *asking]
    if profile.session_kind == "person" or not ends:  # what stands beside it, and a disk that cannot be used
        grants.insert(0, main)
    return WhatEnds(
        main=main,
        grants=tuple(dict.fromkeys(grants)),
        format_1=tuple(one.id for one in ends if one.format_1),
        stay=tuple(stay),
    )


def _is_asked_for(grant_id: str, profile: Profile, sessions: Sessions) -> bool:
    """Say whether a sign-in is under way for a profile."""
    prompt = sessions.notes.prompt(grant_id)
    return prompt is not None and (prompt.profile, prompt.issuer) == (profile.name, profile.issuer)


def one_of(profile: Profile, sessions: Sessions) -> WhatEnds:
    """Return the one session of a profile, alone where its grant serves others. Raises StoreError."""
    place = main = place_of(profile)
    session: Place | None = None
    if profile.session_kind == "client":
        machines = [one.id for one in sign_ins(sessions) if not one.format_1 and serves(one, profile, sessions)]
        grants = tuple(machines) or (main.grant,)
    else:
        place = place_now(sessions, profile, main)
        session = place if _serves_others(place, sessions) else None
        grants = () if session is not None else (place.grant,)
    old = before(sessions, profile)[0]
    return WhatEnds(main=main.grant, grants=grants, format_1=() if old is None else (old,), session=session)


def _serves_others(place: Place, sessions: Sessions) -> bool:
    """Say whether the grant of a session was made for another one, or has brought another one."""
    file = sessions.grants.look(place.grant)
    grant = file.grant if file is not None else None
    if grant is None:
        return False
    brought = (identifier for identifier, _ in sessions.of_grant(place.grant, grant))
    return grant.session != place.session or any(identifier != place.session for identifier in brought)
