"""Recent refusals, kept so that kubectl's five retries do not count against the provider's rate limit.

Written only by the lock's holder who was told by the provider, read only after the session was found stale.
"""

from __future__ import annotations

import msgspec

from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Attempt, Errand, Means
from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    InteractionRequired,
    RateLimited,
    RememberedError,
    StoreError,
    TokenResponseError,
    TransportError,
)
from credential_helper.stores.grant_notes import Failure
from credential_helper.text import span

_LONGEST = 3600.0
_TRANSPORT = 10.0
_FIVE_TRIES = 10.0  # of one process that repeats itself: half a second, and several on a machine that is busy
_MACHINE = 30.0  # Auth0 answers a machine's wrong secret with access_denied: no person declined

# How long a refusal is remembered, in seconds, by its OAuth error code.
_BY_CODE = {
    "access_denied": 60.0,
    "authorization_declined": 60.0,
    "wrong_account": 30.0,
    "wrong_id_token": 30.0,
    "expired_token": 300.0,
    "invalid_client": 30.0,
    "unauthorized_client": 30.0,
    "invalid_scope": 30.0,
    "invalid_target": 30.0,
    "mfa_required": 60.0,
    "no_id_token": 30.0,
    "clock": 30.0,
    "unpublished_key": 30.0,
}

_AFTER_A_BROWSER = 30.0  # whatever went wrong: a browser that is signed in already would come back at once

# Of who signs in unattended: a wrong password that is sent with every command locks the account.
_UNATTENDED = {
    "invalid_grant": 300.0,
    "invalid_user_password": 300.0,
    "password_leaked": 300.0,
    "mfa_required": 300.0,
    "too_many_attempts": 300.0,
    "unauthorized": 300.0,
}


class Refusals:
    """The remembered refusal of one session or its grant; one parent process is told a sentence once.

    So is a terminal whose background jobs nobody can be asked by: six of them would say the same six times.
    """

    def __init__(self, errand: Errand, session: CachedSession, means: Means) -> None:
        self._errand = errand
        self._session = session
        self._sessions = means.sessions
        self._id, self._session_id = session.place.grant, session.place.session
        self._clock = means.clock
        self._parent = means.caller.key
        self._means = means
        self._note = means.note

    def recall(self) -> None:
        """Raise RememberedError if the provider refused a moment ago."""
        failure = self._standing()
        if failure is None:
            return
        said, told_terminal = self._parent in failure.told, self._told_terminal(failure)
        if not said and not told_terminal:
            self._keep(msgspec.structs.replace(failure, told=(*failure.told[-99:], self._parent)))
        repeated = self._repeated(failure)
        repeated.silent = (said and self._errand.request.manners.repeats) or told_terminal
        raise repeated

    def _told_terminal(self, failure: Failure) -> bool:
        """Say whether the terminal that this is a background job of was told that nobody can be asked."""
        person = failure.exit_code == InteractionRequired.exit_code and failure.passing
        return person and self._means.person.background in failure.told

    def standing(self) -> RememberedError | None:
        """Return what ``recall`` would raise; nothing is noted."""
        failure = self._standing()
        return None if failure is None else self._repeated(failure)

    def _standing(self) -> Failure | None:
        if self._errand.mode not in ("any", "ahead") or not self._session.disk:
            return None
        try:
            failure = self._sessions.notes.failure(self._id, self._session_id)
        except StoreError as error:
            self._note(error.sentence)
            return None
        return failure if failure is not None and self._counts(failure, self._clock.now()) else None

    def _repeated(self, failure: Failure) -> RememberedError:
        return RememberedError(
            f"{failure.sentence}; that was {span(self._clock.now() - failure.made)} ago, "
            f"and {self._errand.login} asks again",
            exit_code=failure.exit_code,
            hint=failure.hint,
        )

    def _counts(self, failure: Failure, now: float) -> bool:
        if not failure.made <= now < failure.until <= failure.made + _LONGEST:
            return False
        if self._errand.config_changed_at > failure.made:
            return False
        # No answer came, or nobody could be asked: the next caller may fare better, but not this one's repeats, nor
        # whoever waited for this very try, unless it has a person to ask.
        if not failure.passing or self._parent in failure.told or self._told_terminal(failure):
            return True
        return failure.exit_code != InteractionRequired.exit_code and self._session.began <= failure.made

    def remember(self, error: CredentialHelperError, attempt: Attempt) -> None:
        """Keep a refusal that the provider would only repeat; after a browser was opened, any.

        But not for a check of what is kept that could not be made. Of what happens to whom nobody waits for, only a
        pause that the provider asks for (RFC 6585 §4): the next one, a minute later, keeps it.
        """
        if not self._session.disk or (self._errand.mode == "ahead" and not isinstance(error, RateLimited)):
            return
        seconds = _memory(error, unattended=self._errand.profile.unattended)
        browsed = attempt.browsed and not (attempt.kept is not None and isinstance(error, TransportError))
        if browsed and not isinstance(error, (InteractionRequired, StoreError)) and not _cancelled(error):
            seconds = max(seconds, _AFTER_A_BROWSER)
        told: tuple[str, ...] = (self._parent,)
        if isinstance(error, InteractionRequired):
            repeats, terminal = self._errand.request.manners.repeats, self._means.person.background
            seconds = _FIVE_TRIES if repeats or terminal is not None else seconds
            # A shell is the parent of its next command, too, and that one may have the terminal to itself.
            told = (*(told if repeats else ()), *(() if terminal is None else (terminal,)))
        if seconds <= 0:
            return
        now = self._clock.now()
        self._keep(
            Failure(
                sentence=error.sentence,
                hint=error.hint,
                exit_code=error.exit_code,
                made=now,
                until=now + seconds,
                passing=isinstance(error, (TransportError, InteractionRequired)),
                told=told,
                other_account=_is_other_account(error) or self.other_account(),
                session=self._session_id if _is_of_the_session(error) else None,
            )
        )

    def other_account(self) -> bool:
        """Say whether somebody else than the profile is for signed in, and nobody has since."""
        try:
            failure = self._sessions.notes.failure(self._id, self._session_id) if self._session.disk else None
        except StoreError:
            return False
        return failure is not None and failure.other_account

    def heard(self) -> bool:
        """Say whether this parent was told that a person is being asked elsewhere."""
        return self._parent in self._sessions.notes.told(self._id)

    def note_heard(self) -> None:
        """Note that this parent is told. Whoever waits has no lock: two at once may lose a note, and say it twice."""
        try:
            told = self._sessions.notes.told(self._id)
            self._sessions.notes.keep_told(self._id, (*told[-99:], self._parent))
        except StoreError as error:
            self._note(error.sentence)

    def forget(self) -> None:
        """Remove the remembered refusal."""
        if not self._session.disk:
            return
        try:
            self._sessions.notes.clear_failure(self._id, self._session_id)
        except StoreError as error:
            self._note(f"an old refusal stays remembered: {error.sentence}")

    def _keep(self, failure: Failure) -> None:
        try:
            self._sessions.notes.remember(self._id, failure)
        except StoreError as error:
            self._note(f"the refusal is not remembered: {error.sentence}")


def _cancelled(error: CredentialHelperError) -> bool:
    return isinstance(error, AuthorizationError) and error.error == "cancelled"


def _is_other_account(error: CredentialHelperError) -> bool:
    return isinstance(error, AuthorizationError) and error.error == "wrong_account"


def _is_of_the_session(error: CredentialHelperError) -> bool:
    """Say whether a refusal is about what was asked for, so that the grant's other sessions are none the worse."""
    return isinstance(error, AuthorizationError) and error.error in ("invalid_scope", "invalid_target", "no_id_token")


def _memory(error: CredentialHelperError, *, unattended: bool) -> float:
    if isinstance(error, AuthorizationError) and error.error is not None:
        seconds = _BY_CODE.get(error.error, 0.0)
        return _UNATTENDED.get(error.error, min(seconds, _MACHINE)) if unattended else seconds
    if unattended and isinstance(error, TokenResponseError):  # a page of a gateway, say; a password was sent to it
        return _MACHINE
    if isinstance(error, RateLimited):
        return min(error.retry_after, _LONGEST)
    return _TRANSPORT if isinstance(error, TransportError) else 0.0
