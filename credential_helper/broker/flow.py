"""The profile's flow, run: what it brings is kept at once, verified, and told to whoever was asked."""

from __future__ import annotations

from credential_helper.broker import announce, new_session, verification
from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.client_secrets import bring_secrets
from credential_helper.broker.errand import Attempt, Errand, Means, Obtained
from credential_helper.broker.forget import forget_own
from credential_helper.broker.give_back import give_back
from credential_helper.broker.interaction import SignIn
from credential_helper.broker.refusals import Refusals
from credential_helper.errors import AuthorizationError, CredentialHelperError, InteractionRequired
from credential_helper.model import Secret, Tokens
from credential_helper.oauth import grants
from credential_helper.stores.replacing import Reservation
from credential_helper.stores.sessions import Stored
from credential_helper.text import foreign


def run(errand: Errand, session: CachedSession, means: Means, attempt: Attempt, *, may_ask: bool) -> Obtained:
    """Sign in. ``may_ask``: a person may be asked here. Raises whatever the flow raises."""
    unattended = errand.profile.unattended
    old = session.stored.session if session.stored is not None else None
    provider = means.provider(errand.profile)

    def keep(tokens: Tokens, reservation: Reservation | None) -> None:
        attempt.kept = new_session.keep(errand, session, means, tokens, reservation)
        if tokens.refresh_token is not None and errand.profile.store != "none":
            attempt.unkept = session.lost_because

    def not_kept(refresh_token: Secret | None) -> None:
        give_back(provider, refresh_token, means.note)

    interaction = SignIn(errand, session, means, may_ask=may_ask, keep=keep, give_back=not_kept)
    started = means.clock.monotonic()
    provider.other_account = Refusals(errand, session, means).other_account()
    bring_secrets(errand.profile, provider)
    if errand.profile.session_kind == "person":
        _prepare(errand, session, means)
    if session.why_of_its_own is not None:
        interaction.tell(session.why_of_its_own)
    stored: Stored | None = None
    try:
        grants.sign_in(provider, interaction)
        if attempt.kept is None:
            raise CredentialHelperError("the sign-in ended without tokens")
        stored = verification.settle(errand, session, means, attempt.kept.session)
    except AuthorizationError as error:
        interaction.shut_window()
        if error.error == "expired_token" and may_ask and not unattended and not interaction.asked:
            raise InteractionRequired(
                "another prompt has had this terminal all the time", hint=f"answer that one, then {errand.login}"
            ) from None
        raise
    finally:
        attempt.browsed = interaction.browsed
        interaction.close(finished=attempt.kept is not None, verified=stored is not None)
    found = session.answer(stored.session, stamp=stored.stamp or None)
    announce.new_person(errand, means, old, stored.session)
    if session.place == session.main and not session.place.stands_alone and session.disk:
        forget_own(session.main, means)
    if interaction.asked or (errand.mode == "sign-in" and errand.profile.session_kind == "person"):
        took = means.clock.monotonic() - started
        announce.signed_in(errand, means, found, took=took, unkept=attempt.unkept)
    return found


def _prepare(errand: Errand, session: CachedSession, means: Means) -> None:
    """Have a key for the refresh token before anybody signs in, and say so where none will be kept."""
    profile = errand.profile
    why = session.prepare(f"{profile.name} {foreign(profile.account or profile.client_id, 80)}")
    if why is not None and profile.store == "keyring":
        means.person.warn(
            f'the refresh token will not be kept: {why}, and the profile says store = "keyring"',
            hint='unlock the keyring first, or set store = "auto"',
        )
    elif why is not None:
        means.note(f"the refresh token will stand in a private file: {why}")
