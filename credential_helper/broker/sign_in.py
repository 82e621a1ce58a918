"""Whether the profile's flow may run: a machine signs in by itself, a person only where one can be asked."""

from __future__ import annotations

from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Attempt, Errand, Means, Obtained
from credential_helper.broker.interaction import someone_is_asked, window_for_nothing
from credential_helper.errors import InteractionRequired
from credential_helper.stores.sessions import Stored
from credential_helper.text import moment, span


def sign_in(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained:
    """Run the profile's flow. Raises InteractionRequired where nobody can be asked, and whatever the flow raises."""
    if errand.mode == "ahead" and errand.profile.session_kind == "person":
        raise InteractionRequired("nobody is asked for a renewal ahead")
    if session.is_derived and not _takes_its_place(errand, session, attempt):
        from credential_helper.broker import deriving

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
    from credential_helper.broker import flow  # the rest of oauth: whoever is not asked has no use for it

    return flow.run(errand, session, means, attempt, may_ask=may_ask)


def _takes_its_place(errand: Errand, session: CachedSession, attempt: Attempt) -> bool:
    """Say whether a sign-in may replace a grant that was made for another session: it is dead, or somebody insists."""
    grant = session.grant
    dead = (
        attempt.refusal is not None
        or attempt.spent_nothing
        or (grant is not None and (grant.refused is not None or grant.revoke_only))
    )
    return errand.mode == "sign-in" or dead


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
