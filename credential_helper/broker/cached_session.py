"""The session as this process sees it on disk; the disk may be lost, and then nothing there is read or written.

Of a token that may be answered: *fresh* needs no work, *valid* is better than none (see ``freshness``).
"""

from __future__ import annotations

from credential_helper import places
from credential_helper.broker import freshness
from credential_helper.broker.errand import Attempt, Errand, Means, Obtained
from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    InteractionRequired,
    NewerFormat,
    RateLimited,
    StoreError,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Credential, Secret, Session, session_id
from credential_helper.stores.replacing import Reservation
from credential_helper.stores.sessions import Stored

# Exit codes of what may pass by itself: no network, nobody to ask, a locked keyring, a full disk, a rate limit.
PASSING = (
    TransportError.exit_code,
    InteractionRequired.exit_code,
    StoreError.exit_code,
    RateLimited.exit_code,
)


class CachedSession:
    """The session of one errand. It is read when this object is made."""

    def __init__(self, errand: Errand, means: Means) -> None:
        self.id = session_id(errand.profile)
        self.disk = True  # False: the state directory cannot be used
        self.stored: Stored | None = None  # what stands now; None: nothing, or the disk is lost
        self._errand = errand
        self._means = means
        self._provider = means.provider(errand.profile)
        self.began = means.clock.now()  # seconds since the epoch
        self._replaces_newer = False  # what is brought takes the place of a session that a later version has kept
        self._seen = places.ABSENT  # the stamp of the file when it was last read
        self._last: Stored | None = None  # what was read last, wherever the disk is now
        self.lost_because: str | None = None  # why the disk is lost
        self._lost: StoreError | None = None  # why a refresh token that is there is not spent
        self._read()

    # --- what is there ---

    def _read(self) -> Stored | None:
        self.stored = None
        if not self.disk:
            return None
        try:
            self.stored = self._means.sessions.read(self.id)
        except NewerFormat as error:
            # A machine's is one request away, and a build must not fail where an older version runs beside a newer one.
            if self._errand.mode != "sign-in" and not self._errand.profile.unattended:
                error.hint = f"use that version, or sign in anew with this one: {self._errand.login}"
                raise
            self._replaces_newer = True
            return None
        except StoreError as error:
            self.lose_disk(error)
            return None
        self._seen = self.stored.stamp if self.stored is not None else places.ABSENT
        self._last = self.stored
        return self.stored

    def changed(self) -> bool:
        """Say whether another process has written the file since it was read."""
        return self._means.sessions.stamp(self.id) != self._seen

    def lose_disk(self, error: StoreError) -> None:
        """Go on without the state directory, and say so once."""
        if not self.disk:
            return
        self.disk = False
        self.lost_because = error.sentence
        if self._last is not None and self._last.session.refreshable:
            self._lost = error  # what cannot be saved is not spent
        sentence = "; ".join(filter(None, (f"nothing is remembered: {error.sentence}", error.hint)))
        self._tell(sentence)

    def _tell(self, sentence: str) -> None:
        """Warn; a tool that shows stderr over and over has it under --verbose."""
        # With store = "none" nobody counts on what is kept.
        if self._errand.request.manners.warns and self._errand.profile.store != "none":
            self._means.person.warn(sentence)
        else:
            self._means.note(sentence)

    # --- what may be answered ---

    def fresh(self, *, again: bool = False) -> Obtained | None:
        """Return what may be answered without any work; ``again`` reads the file once more."""
        stored = self._read() if again else self.stored
        kind, now = self._errand.kind, self._means.clock.now()
        if stored is None or not freshness.fresh(stored.session, kind, self._errand.request, now):
            return None
        token = freshness.token_of(stored.session, kind)
        if self._errand.mode != "any" and (token is None or token.received_at <= self.began):
            return None
        return self.answer(stored.session, stamp=stored.stamp)

    def still_valid(self, session: Session | None = None) -> bool:
        """Say whether the token of a session (None: of the last one that was read) is better than none."""
        if session is None:
            session = self._last.session if self._last is not None else None
        if session is None or self._errand.mode != "any":
            return False
        return freshness.valid(session, self._errand.kind, self._errand.request, self._means.clock.now())

    def answer(self, session: Session, *, stamp: str | None) -> Obtained:
        """Wrap the token that the tool gets. Raises AuthorizationError where the provider sent none of that kind."""
        kind = self._errand.kind
        token = freshness.token_of(session, kind)
        if token is None and kind == "access":
            raise TokenResponseError(f"{self._provider.host} sent no access token")
        if token is None:
            raise AuthorizationError(
                f"{self._provider.host} sent no ID token",
                error="no_id_token",
                hint='let this client have the scope "openid" at the provider, or set token = "access"',
            )
        credential = Credential(
            profile=self._errand.profile.name,
            kind=kind,
            token=token.value,
            token_type="Bearer",
            received_at=token.received_at,
            expires_at=token.expires_at,
            fresh_until=freshness.until(session, kind, self._errand.request),
            scope=session.scope,
            identity=session.identity,
        )
        return Obtained(credential=credential, session_id=self.id, session=session, stamp=stamp)

    def better_than_none(self, error: CredentialHelperError, attempt: Attempt | None = None) -> Obtained:
        """Answer a token that is valid though not fresh, where nothing new can be had now; else raise ``error``."""
        if error.exit_code not in PASSING:
            raise error
        stored = (attempt.kept if attempt is not None else None) or self._read() or self._last
        if isinstance(error, InteractionRequired):
            error = self._lost or (attempt.refusal if attempt is not None else None) or error
        if stored is None or not self.still_valid(stored.session):
            raise error
        session, kind = stored.session, self._errand.kind
        token = freshness.token_of(session, kind)
        if session.unverified or (token is not None and token.unverified):
            if kind == "id" or error.exit_code != TransportError.exit_code:
                raise error
            self._means.person.warn(f"the sign-in is not verified yet: {error.sentence}")
        self._means.note(f"answering what is still valid: {error.sentence}")
        return self.answer(session, stamp=None)

    # --- saving ---

    def save(self, session: Session, new: Secret | None = None, reservation: Reservation | None = None) -> Stored:
        """Keep a session, with a ``new`` refresh token; where that fails the answer is still given, without a stamp."""
        self.stored = self._saved(session, new, reservation) or Stored(session=session, stamp="")
        return self.stored

    def _saved(self, session: Session, new: Secret | None, reservation: Reservation | None) -> Stored | None:
        if not self.disk:
            return None
        store = self._errand.profile.store
        try:
            stored = self._means.sessions.save(
                self.id, session, store=store, refresh_token=new, reservation=reservation
            )
        except StoreError as error:
            self.lose_disk(error)
            return None
        if stored.moved is not None:
            self._tell(f"the refresh token is in a private file now, and no longer in the keyring: {stored.moved}")
        if self._replaces_newer:
            self._replaces_newer = False
            tell = self._means.note if self._errand.profile.unattended else self._means.person.warn
            tell("the sign-in that a newer version of this program has kept is replaced")
        if new is not None and store == "keyring" and not stored.session.in_keyring:
            self._means.person.warn(
                'the refresh token is not kept: no keyring is usable, and the profile says store = "keyring"',
                hint='unlock the keyring and sign in again, or set store = "auto"',
            )
        return stored
