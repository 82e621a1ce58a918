"""The session as this process sees it on disk; the disk may be lost, and then nothing there is read or written.

It stands at a place: with the grant that serves all audiences of a profile, or, where the provider gives one token per
sign-in, with a grant of its own (``deriving``).

Of a token that may be answered: *fresh* needs no work, *valid* is better than none (see ``freshness``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper import places
from credential_helper.broker import freshness
from credential_helper.broker.errand import Attempt, Errand, Means, Obtained
from credential_helper.broker.whereabouts import before, place_now, take_over_format_1
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
from credential_helper.model import Credential, Secret
from credential_helper.proof import Proof
from credential_helper.session import Grant, Place, Session, place_of
from credential_helper.stores.sessions import Stored

if TYPE_CHECKING:
    from credential_helper.stores.replacing import Reservation

# Exit codes of what may pass by itself: no network, nobody to ask, a locked keyring, a full disk, a rate limit.
PASSING = (
    TransportError.exit_code,
    InteractionRequired.exit_code,
    StoreError.exit_code,
    RateLimited.exit_code,
)


class NeedsItsOwn(Exception):
    """The grant does not serve this session, which needs a sign-in of its own; ``why`` is a sentence for people."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class CachedSession:
    """The session of one errand. It is read when this object is made."""

    def __init__(self, errand: Errand, means: Means, *, of_its_own: str | None = None) -> None:
        """``of_its_own``: why the session needs a grant of its own; None: it has one already, or none is known of."""
        self.disk = True  # False: the state directory cannot be used
        self.stored: Stored | None = None  # what stands now; None: nothing, or the disk is lost
        self._errand = errand
        self._means = means
        self.began = means.clock.now()  # seconds since the epoch
        self._replaces_newer = False  # what is brought takes the place of a session that a later version has kept
        self._seen = places.ABSENT  # the stamp of the file when it was last read
        self._last: Stored | None = None  # what was read last, wherever the disk is now
        self.lost_because: str | None = None  # why the disk is lost
        self._lost: StoreError | None = None  # why a refresh token that is there is not spent
        self.why_of_its_own = of_its_own
        self.format_1: str | None = None  # the id of a session of an earlier version that stands here
        self.main = place_of(errand.profile, means.proof(errand.profile))
        if (unbound := means.unbound.get(errand.profile)) is not None:
            self.lose_disk(unbound)
        self.place = self._place()
        self._read()

    def _place(self) -> Place:
        if self.why_of_its_own is not None:
            return self.main.own
        if self._errand.mode == "sign-in":
            return self._place_of_a_sign_in()
        try:
            return place_now(self._means.sessions, self._errand.profile, self.main)
        except StoreError:  # told when the session is read
            return self.main

    def _place_of_a_sign_in(self) -> Place:
        """Return where a new sign-in belongs: not to a grant that serves another session and cannot serve this one."""
        try:
            grant = self._means.sessions.grants.standing(self.main.grant)
        except StoreError:
            return self.main
        from credential_helper.broker.reach import may_be_possible

        profile, now = self._errand.profile, self._means.clock.now()
        serves = grant is None or may_be_possible(profile, grant, self.main.session, now)
        return self.main if serves else self.main.own

    # --- what is there ---

    def _read(self) -> Stored | None:
        self.stored = None
        if not self.disk:
            return None
        try:
            self.stored = self._means.sessions.read(self.place)
            self.format_1 = None
            if self.stored is None:
                self.format_1, self.stored = before(self._means.sessions, self._errand.profile)
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
        return self._means.sessions.stamp(self.place.session) != (self._seen or places.ABSENT)

    @property
    def grant(self) -> Grant | None:
        """Return the grant that stands, if any."""
        return self.stored.session.grant if self.stored is not None else None

    @property
    def is_derived(self) -> bool:
        """Say whether the grant that stands was made for another session than this one."""
        grant = self.grant
        if grant is None or self.format_1 is not None or self.place.stands_alone:
            return False
        return grant.session != self.place.session

    def take_over_format_1(self) -> None:
        """Make a grant and a session of what an earlier version has kept, with the lock of each held.

        What has a refresh token of its own keeps it: where there is a grant already, it becomes one that stands alone.
        """
        try:
            if self.disk:
                take_over_format_1(self._means, self._errand.profile, self.place, self.main)
        except StoreError as error:
            self.lose_disk(error)
        if self.format_1 is not None:
            self._read()

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
        if self.format_1 is not None and self.disk:  # taken over first, with the lock
            return None
        kind, now = self._errand.kind, self._means.clock.now()
        if stored is None or not freshness.fresh(stored.session, kind, self._errand.request, now):
            return None
        token = freshness.token_of(stored.session, kind)
        if self._errand.mode == "ahead":
            soon = now >= freshness.ahead_from(stored.session, kind, self._errand.request)
        else:
            soon = self._errand.mode != "any" and (token is None or token.received_at <= self.began)
        if soon:
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
        if token is None:
            host = self._means.provider(self._errand.profile).host
            if kind == "access":
                raise TokenResponseError(f"{host} sent no access token")
            raise AuthorizationError(
                f"{host} sent no ID token",
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
        trace = self._means.traces.get(self._errand.profile, Proof())
        return Obtained(credential=credential, session_id=self.place.session, session=session, stamp=stamp, trace=trace)

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

    def save(
        self,
        session: Session,
        new: Secret | None = None,
        reservation: Reservation | None = None,
        *,
        place: Place | None = None,
    ) -> Stored:
        """Keep a session, with a ``new`` refresh token; where that fails the answer is still given, without a stamp.

        ``place``: where it stands, if not here; then what is here is read again.
        """
        saved = self._saved(session, new, reservation, place or self.place) or Stored(session=session, stamp="")
        if place not in (None, self.place):
            self._read()
        else:
            self.stored = saved
        return saved

    def arrived(self) -> tuple[Place, Session] | None:
        """Return what a sign-in brought that is not verified yet, and where it belongs, if it stands on disk."""
        try:
            return self._means.sessions.arrived(self.place.grant) if self.disk else None
        except StoreError as error:
            self.lose_disk(error)
            return None

    def prepare(self, label: str) -> str | None:
        """Have a key for the refresh token that a sign-in will bring; return why there is none."""
        if not self.disk:
            return None
        try:
            return self._means.sessions.grants.prepare(self.place.grant, self._errand.profile.store, label)
        except StoreError as error:
            self.lose_disk(error)
            return None

    @property
    def restorable(self) -> bool:
        """Say whether a grant stands behind a sign-in that is not verified yet."""
        file = self._means.sessions.grants.before(self.place.grant) if self.disk else None
        return file is not None and file.grant is not None

    def restore(self) -> None:
        """Have the grant that was there before a sign-in stand again."""
        try:
            self._means.sessions.grants.restore(self.place.grant)
        except StoreError as error:
            self.lose_disk(error)
        self._read()

    def _saved(
        self, session: Session, new: Secret | None, reservation: Reservation | None, place: Place
    ) -> Stored | None:
        if not self.disk:
            return None
        store, grant = self._errand.profile.store, session.grant
        if store == "none" and grant.has_refresh_token and grant.profile != self._errand.profile.name:
            store = "auto" if grant.in_keyring else "file"  # the profile that has signed in keeps it
        try:
            stored = self._means.sessions.save(place, session, store=store, refresh_token=new, reservation=reservation)
        except StoreError as error:
            self.lose_disk(error)
            return None
        if self._replaces_newer:
            self._replaces_newer = False
            tell = self._means.note if self._errand.profile.unattended else self._means.person.warn
            tell("the sign-in that a newer version of this program has kept is replaced")
        return stored
