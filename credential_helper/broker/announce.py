"""What a person is told of a sign-in: who is signed in, until when, and what the provider needs for more."""

from __future__ import annotations

from credential_helper.broker import new_session
from credential_helper.broker.errand import Errand, Means, Obtained
from credential_helper.oauth.claims import audiences
from credential_helper.session import Session
from credential_helper.text import foreign, span


def signed_in(errand: Errand, means: Means, found: Obtained, *, took: float, unkept: str | None = None) -> None:
    """Say who is signed in; ``took`` is in seconds, ``unkept`` why the refresh token that came could not be kept."""
    means.person.signed_in(
        found.credential,
        request=errand.request,
        took=took,
        refresh_token=found.session.refreshable or errand.profile.session_kind == "client",
        advice=_advice(errand, means),
        unkept=unkept,
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


def described(found: Obtained, *, began: float, now: float) -> str:
    """Say under --verbose what is answered: which token, whose, for whom, how old, and for how long; never the token.

    ``began`` is when this process began. What a JWT says of itself is not checked here.
    """
    credential = found.credential
    age = now - credential.received_at
    come = f"kept for {span(age)}" if credential.received_at < began else "fetched now"
    left = "its life is not known" if credential.expires_at is None else f"{span(credential.expires_at - now)} left"
    token = "an ID token" if credential.kind == "id" else "an access token"
    return f"{token}, {come}, {left}, {_of_itself(new_session.claims_in(credential))}"


def _of_itself(claims: dict[str, object]) -> str:
    """Say what a JWT names as its issuer and audience."""
    if not claims:
        return "opaque (not a JWT)"
    whom = ", ".join(map(str, audiences(claims))) or "nobody"
    return f"a JWT of {foreign(str(claims.get('iss') or 'nobody'))} for {foreign(whom)}"
