"""What a person is told of a sign-in: who is signed in, until when, and what the provider needs for more."""

from __future__ import annotations

from credential_helper.broker.errand import Errand, Means, Obtained
from credential_helper.model import Session
from credential_helper.text import foreign


def signed_in(errand: Errand, means: Means, found: Obtained, *, took: float) -> None:
    """Say who is signed in; ``took`` is in seconds."""
    means.person.signed_in(
        found.credential,
        request=errand.request,
        took=took,
        refresh_token=found.session.refreshable or errand.profile.session_kind == "client",
        advice=_advice(errand, means),
    )


def _advice(errand: Errand, means: Means) -> str | None:
    """Say how to get the refresh token that was wanted."""
    wanted = errand.profile.store in ("auto", "file") and "offline_access" in errand.profile.scopes
    return means.provider(errand.profile).known.no_refresh_token if wanted else None


def new_person(errand: Errand, means: Means, old: Session | None, new: Session) -> None:
    """Warn where another person than before has signed in."""
    if old is None or old.identity is None or new.identity is None or old.identity.subject == new.identity.subject:
        return
    means.person.warn(
        f"{errand.profile.name} is now {foreign(new.identity.shown)}; it was {foreign(old.identity.shown)}"
    )
