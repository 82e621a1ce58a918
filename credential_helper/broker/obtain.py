"""How a credential is obtained, step by step.

1. A fresh session answers at once: no lock, no request, no question.
2. Otherwise one process takes the grant's lock, re-reads the session, and refreshes it; the others wait for its
   result.
3. A refusal that the provider gave a moment ago is repeated, not provoked again.
4. An answer that was saved but not yet verified is verified, before anything new is asked for.
5. The grant's refresh token renews the session without a person, or brings a token for another audience than that of
   the sign-in. Where the provider gives none for it, the session needs a sign-in, and has a grant, of its own.
   A machine first looks whether another one of its fleet has a token (``fleet``).
6. Else the profile's flow signs in: a machine by itself, a person only where one can be asked.
7. What a grant brings is saved at once and answered when it is verified.
8. Where nothing new can be had now, a token that is still valid is better than none.
9. If the state directory is unusable, the answer is still given; it is only not cached.
"""

from __future__ import annotations

from credential_helper import errors
from credential_helper.broker.cached_session import CachedSession, NeedsItsOwn
from credential_helper.broker.errand import Attempt, Errand, Means, Obtained
from credential_helper.errors import CredentialHelperError, InteractionRequired


def obtain(errand: Errand, means: Means) -> Obtained:
    """Return a credential. Any error but UsageError and ProtocolError may come, with the profile's name in it."""
    with errors.of_profile(errand.profile.name):
        errand.refuse_the_impossible()
        session = CachedSession(errand, means)
        try:
            return _obtain(errand, session, means)
        except NeedsItsOwn as need:
            try:
                return _obtain(errand, CachedSession(errand, means, of_its_own=need.why), means)
            except CredentialHelperError as error:
                return session.better_than_none(error)


def _obtain(errand: Errand, session: CachedSession, means: Means) -> Obtained:
    if found := session.fresh():  # 1. no lock, no request, no question
        return found
    from credential_helper.broker import waiting  # from here on, and in _work, all of oauth is loaded

    means.provider(errand.profile)  # one that may not be asked is told before anybody waits
    with waiting.for_our_turn(errand, session, means) as brought:  # 2. one process works, the others wait
        return brought or _work(errand, session, means)


def _work(errand: Errand, session: CachedSession, means: Means) -> Obtained:
    """Renew or sign in: the lock is ours, or there is no disk to share. Raises NeedsItsOwn, too."""
    from credential_helper.broker import interaction, refusals

    if found := session.fresh(again=True):  # 2. somebody else was first
        return found
    if errand.mode == "ahead" and session.stored is None:
        raise InteractionRequired("who has signed out meanwhile stays so")
    interaction.drop_dead_prompt(session, means)  # the lock is ours: a browser's prompt ended with its process
    attempt = Attempt()
    recent = refusals.Refusals(errand, session, means)
    try:
        session.take_over_format_1()
        recent.recall()  # 3. what was refused a moment ago is not provoked
        found = _of_the_fleet(errand, session, means, attempt)
    except CredentialHelperError as error:
        recent.remember(error, attempt)
        return session.better_than_none(error, attempt)  # 8. or raises
    recent.forget()
    interaction.drop_dead_prompt(session, means, signed_in=True)
    return found


def _of_the_fleet(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained:
    """Take what another machine has fetched, or ask the provider and leave it to the others."""
    if errand.profile.shared_cache is None:
        return _anew(errand, session, means, attempt)
    from credential_helper.broker import fleet  # few machines have one

    return fleet.share(errand, session, means, lambda: _anew(errand, session, means, attempt))


def _anew(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained:
    """Ask the provider."""
    if found := _by_what_is_there(errand, session, means, attempt):  # 4. and 5.
        return found
    from credential_helper.broker import sign_in

    return sign_in.sign_in(errand, session, means, attempt)  # 6. and 7. the profile's flow


def _by_what_is_there(errand: Errand, session: CachedSession, means: Means, attempt: Attempt) -> Obtained | None:
    """Verify and renew what has been saved; None: only a sign-in helps."""
    if session.stored is None:
        return None
    if session.stored.session.refreshable and errand.mode != "sign-in":
        means.provider(errand.profile).expect_token_request()
    from credential_helper.broker import deriving, renewal, verification

    verification.finish(errand, session, means)  # 4. what was saved unverified is checked first
    renew = deriving.derive if session.is_derived else renewal.renew  # 5. without a person
    return session.fresh() or renew(errand, session, means, attempt)
