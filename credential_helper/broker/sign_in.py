"""The profile's flow: a machine signs in by itself, a person only where one can be asked."""

from __future__ import annotations

from credential_helper.broker import announce, deriving, new_session, verification
from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.client_secrets import bring_secrets
from credential_helper.broker.errand import Attempt, Errand, Means, Obtained
from credential_helper.broker.forget import forget_own
from credential_helper.broker.give_back import give_back
from credential_helper.broker.interaction import SignIn, someone_is_asked, window_for_nothing
from credential_helper.broker.refusals import Refusals
from credential_helper.errors import AuthorizationError, CredentialHelperError, InteractionRequired
from credential_helper.model import Secret, Tokens
from credential_helper.oauth import grants
from credential_helper.stores.replacing import Reservation
from credential_helper.stores.sessions import Stored
from credential_helper.text import foreign, moment, span


def sign_in(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained:
    """Run the profile's flow. Raises InteractionRequired where nobody can be asked, and whatever the flow raises."""
    if errand.mode == "ahead" and errand.profile.session_kind == "person":
        raise InteractionRequired("nobody is asked for a renewal ahead")
    if deriving.is_needed(session) and not _takes_its_place(errand, session, attempt):
        raise deriving.needs_its_own(errand, means)
    unattended = errand.profile.unattended
    may_ask = unattended or (errand.mode != "renew" and means.person.can_answer(errand.profile, errand.request))
    ago = window_for_nothing(means, session) if may_ask and not unattended and errand.mode == "any" else None
    may_ask = may_ask and ago is None
    if not may_ask and not (session.disk and errand.mode == "any" and someone_is_asked(means, session.place.grant)):
        raise nobody_to_ask(errand, means, session.stored, ago, of_its_own=session.why_of_its_own)
    # Not the provider's word, so the prompt alone would puzzle.
    if not unattended and isinstance(attempt.refusal, InteractionRequired):
        means.person.warn(
            attempt.refusal.sentence, hint='token = "access" needs none, where the server takes that token'
        )
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


def _takes_its_place(errand: Errand, session: CachedSession, attempt: Attempt) -> bool:
    """Say whether a sign-in may replace a grant that was made for another session: it is dead, or somebody insists."""
    grant = session.grant
    dead = (
        attempt.refusal is not None
        or attempt.spent_nothing
        or (grant is not None and (grant.refused is not None or grant.revoke_only))
    )
    return errand.mode == "sign-in" or dead


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


def nobody_to_ask(
    errand: Errand,
    means: Means,
    stored: Stored | None,
    ago: float | None = None,
    *,
    of_its_own: str | None = None,
) -> InteractionRequired:
    """Return the error of a sign-in that needs a person; ``ago`` is since when a window was opened for nothing.

    ``of_its_own``: why the sign-in that is there does not serve.
    """
    host = means.provider(errand.profile).host
    if errand.mode == "sign-in":
        reason = means.person.why_not
        return InteractionRequired(
            f"a person has to sign in to {host}, and none can be asked{f': {reason}' if reason else ' here'}",
            hint=f"{_lifted(means)}{errand.login}" if reason else "run it in a terminal",
        )
    refused = stored.session.grant.refused if stored is not None else None
    if refused is not None:
        when = moment(refused[0], means.clock.now())
        return InteractionRequired(f"{refused[1]} at {when}: a new sign-in is needed", hint=errand.login)
    why = means.person.why_not or "nobody can be asked here"
    if errand.mode == "renew":
        why = "there is nothing to renew"
    if ago is not None:
        why = f"a browser was opened for it {span(ago)} ago, and is not opened again by itself"
    nobody = f"{of_its_own}, and nobody is signed in for it" if of_its_own else f"nobody is signed in to {host}"
    return InteractionRequired(f"{nobody}: {why}", hint=errand.login)


def _lifted(means: Means) -> str:
    """Return what a shell writes before a command where its own variable says that nobody may be asked."""
    said = (means.environ or {}).get("CREDENTIAL_HELPER_INTERACTIVE", "").strip().lower()
    return "CREDENTIAL_HELPER_INTERACTIVE=auto " if said == "never" else ""
