"""Sessions that are there already, as a sign-in would have left them; those of an earlier version are in format_1."""

from __future__ import annotations

from typing import Any

import msgspec

from credential_helper.model import Identity, Profile, Secret, Token
from credential_helper.session import Grant, Place, Session, grant_made, place_of
from credential_helper.stores.grants import Store
from credential_helper.stores.sessions import Sessions

ADA, BOB = Identity(subject="1", name="ada@example.com"), Identity(subject="2", name="bob@example.com")


def token(value: str, now: float, *, age: float = 60.0, left: float | None = 3600.0) -> Token:
    """Return a token that came ``age`` seconds ago and has some left; None: nobody knows how many."""
    return Token(value=Secret(value), received_at=now - age, expires_at=None if left is None else now + left)


def keep(
    sessions: Sessions,
    profile: Profile,
    *,
    alone: bool = False,
    proof: str | None = None,
    refresh_token: str | None = None,
    store: Store = "file",
    **changes: Any,
) -> Place:
    """Keep a session of a profile, and return where it stands.

    It joins the grant that stands there, else a grant is made for it. ``alone``: it has a grant of its own. ``proof``
    is a machine's. ``changes`` are fields of the session or of its grant.
    """
    place = place_of(profile, proof)
    if alone:
        place = place.own
    file = sessions.grants.read(place.grant)
    grant = file.grant if file is not None and file.grant is not None else _grant(profile, place, alone=alone)
    of_grant = {key: changes.pop(key) for key in list(changes) if key in Grant.__struct_fields__}
    session = Session(
        grant=msgspec.structs.replace(grant, **of_grant),
        audience=profile.audience,
        resource=profile.resource,
        **changes,
    )
    new = None if refresh_token is None else Secret(refresh_token)
    sessions.save(place, session, store=store, refresh_token=new)
    return place


def _grant(profile: Profile, place: Place, *, alone: bool) -> Grant:
    return grant_made(
        profile,
        sign_in=place.session[:32],
        session=place.session,
        main=place_of(profile).grant if alone else None,
        resources=(*profile.resource, *profile.other_resources),
    )


def same_session(one: Profile, other: Profile) -> bool:
    """Say whether two profiles have one session, with one grant."""
    return place_of(one) == place_of(other)
