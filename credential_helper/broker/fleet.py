"""One token for a whole fleet: what a machine does before it asks the provider, while it does, and afterwards.

1. Its own files come first, and the grant's lock: of a machine one process at a time asks the fleet's cache.
2. A token that is there and fresh becomes this machine's session. The next call knows nothing of the cache.
3. Where there is none, one machine fetches it, under a lock there, and tells the others, who wait for it. Where it
   fails, each of them goes its own way, as it would have without a cache.
4. In the last quarter of a token's life, one machine that finds it fetches the next one, and no one waits for that.
5. Where the provider asks to wait, the whole fleet does.
6. A token that was rejected is removed if it is still the one: a thousand machines that hear it cost one new token.
7. A server that fails is as good as none: the answer is the provider's.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from credential_helper.broker import fleet_cache, freshness, new_session
from credential_helper.broker.cached_session import PASSING, CachedSession
from credential_helper.broker.errand import Errand, Means, Obtained
from credential_helper.broker.fleet_cache import Cache
from credential_helper.errors import CredentialHelperError, RateLimited
from credential_helper.session import Session
from credential_helper.stores.fleet import LEFT, LOCK, Listener
from credential_helper.stores.fleet_scripts import Seen
from credential_helper.system.caller import Abandoned
from credential_helper.text import span

_RENEWED_AT = (0.70, 0.80)  # of a token's life: drawn anew each time, so that few machines try at once
_LONGEST = LOCK + 1.0  # seconds that another machine is waited for: then its lock has ended
_LOOKS = (0.25, 0.75)  # seconds between two looks, where what others tell is heard
_LOOKS_ALONE = (0.03, 0.12)  # where it is not
_TOOLS_MARGIN = 1.0  # seconds of a tool's patience that are left for the provider


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A token that stands there, as this machine would have it."""

    session: Session
    fresh: bool  # it answers; else it is better than none
    due: bool  # it is time for the next one


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done."""

    found: Offer | None = None  # this is the answer
    entered: Seen | None = None  # the lock is ours: what the provider brings is shared
    spare: Offer | None = None  # what answers if the provider brings nothing


ALONE = Turn()  # as without a cache


def share(errand: Errand, session: CachedSession, means: Means, work: Callable[[], Obtained]) -> Obtained:
    """Return what the fleet has, or what ``work`` fetches from the provider, and leave that to the others.

    Raises as ``work`` does, and RateLimited where the provider has asked the fleet to wait.
    """
    cache = fleet_cache.of(errand.profile, means)
    if cache is None:
        return work()
    try:
        return _Sharing(errand, session, means, cache).obtain(work)
    finally:
        cache.close()


class _Sharing:
    """One errand with the cache."""

    def __init__(self, errand: Errand, session: CachedSession, means: Means, cache: Cache) -> None:
        self._errand = errand
        self._session = session
        self._means = means
        self._cache = cache
        self._grant = new_session.grant_of(errand, session, means)

    def obtain(self, work: Callable[[], Obtained]) -> Obtained:
        turn = self._turn()
        if turn.found is not None:
            return self._kept(turn.found)
        self._cache.count(hit=False)
        try:
            obtained = work()
        except RateLimited as error:
            self._cache.leave("later", error.retry_after)
            return self._spare(turn, error)
        except CredentialHelperError as error:
            if turn.entered is not None:
                self._cache.leave("failed")
            return self._spare(turn, error)
        except BaseException:  # a signal: the next one may fare better
            if turn.entered is not None:
                self._cache.leave(None)
            raise
        if turn.entered is not None:
            self._cache.keep(turn.entered, obtained)
        return obtained

    # --- whose turn it is ---

    def _turn(self) -> Turn:
        if self._errand.mode == "sign-in":  # whoever signs in wants a new one, and leaves it to all
            entered = self._cache.enter()
            return Turn(entered=entered) if entered is not None and entered.mine else ALONE
        seen = self._cache.look()
        if seen is None:
            return ALONE
        return self._decided(seen) or self._our_turn() or self._others_turn()

    def _decided(self, seen: Seen) -> Turn | None:
        """Say what is to be done with what stands there; None: there is nothing, and somebody has to fetch it."""
        offer, noted = self._offer(seen), self._cache.noted(seen)
        if offer is not None and offer.fresh:
            if not offer.due or noted is not None or seen.locked:
                return Turn(found=offer)
            return self._ahead(seen, offer)
        if noted is not None and noted.kind == "later":
            if offer is not None:
                return Turn(found=offer)
            host = self._means.provider(self._errand.profile).host
            raise RateLimited(
                f"{host} has asked another machine of this fleet to come back in {span(noted.left)}",
                retry_after=noted.left,
            )
        if noted is not None and noted.kind == "alone":
            return Turn(spare=offer)
        return None

    def _ahead(self, seen: Seen, offer: Offer) -> Turn:
        """Fetch the next token if nobody else does; who comes too late for that is served."""
        entered = self._cache.enter()
        if entered is None or not entered.mine:
            return Turn(found=offer)
        if entered.token != seen.token:  # somebody was faster
            self._cache.leave(None)
            return Turn(found=offer)
        return Turn(entered=entered, spare=offer)

    def _our_turn(self) -> Turn | None:
        """Take the lock if it is free; None: another machine has it."""
        entered = self._cache.enter()
        if entered is None:
            return ALONE
        if not entered.mine:
            return None
        offer = self._offer(entered)
        if offer is not None and offer.fresh:  # somebody was faster
            self._cache.leave(None)
            return Turn(found=offer)
        return Turn(entered=entered, spare=offer)

    def _others_turn(self) -> Turn:
        """Wait for what another machine fetches; where it takes too long, go and fetch one."""
        listener = self._cache.wait_for_others()
        try:
            return self._listen(listener)
        finally:
            if listener is not None:
                listener.close()

    def _listen(self, listener: Listener | None) -> Turn:
        clock, patience = self._means.clock, self._means.deadline
        longest = _LONGEST if patience is None else min(_LONGEST, patience - _TOOLS_MARGIN)
        until, told = clock.monotonic() + longest, None
        while clock.monotonic() < until:
            seen = self._cache.look()
            if seen is None:
                return ALONE
            turn = self._decided(seen)
            if turn is None and told == LEFT:
                return ALONE
            if turn is None and not seen.locked:
                turn = self._our_turn()
            if turn is not None:
                return turn
            if not self._means.caller.waits():
                raise Abandoned
            told = self._heard(listener)
        self._means.note(f"another machine has fetched a token for {longest:.0f} s: it is not waited for any longer")
        return ALONE

    def _heard(self, listener: Listener | None) -> bytes | None:
        if listener is not None:
            return self._cache.heard(listener, _between(*_LOOKS))
        self._means.clock.sleep(_between(*_LOOKS_ALONE))
        return None

    # --- what stands there ---

    def _offer(self, seen: Seen) -> Offer | None:
        """Return the token that stands there; one that was rejected is removed."""
        found = self._cache.token(seen)
        if found is None or seen.token is None:
            return None
        token, scope = found
        profile, request, kind = self._errand.profile, self._errand.request, self._errand.kind
        session = Session(
            grant=self._grant,
            audience=profile.audience,
            resource=profile.resource,
            access=token,
            scope=scope,
            forced_at=self._means.clock.now() if request.refused is not None else None,
        )
        now = self._means.clock.now()
        unforced = msgspec.structs.replace(session, forced_at=None)
        if self._is_old(session) or freshness.refused(unforced, token, request, now):
            self._cache.drop(seen.token.generation)
            return None
        assert token.expires_at is not None
        age, lifetime = now - token.received_at, token.expires_at - token.received_at
        return Offer(
            session=session,
            fresh=freshness.fresh(unforced, kind, request, now),
            due=age >= lifetime * _between(*_RENEWED_AT),
        )

    def _is_old(self, session: Session) -> bool:
        """Say whether somebody wants another token than this one, which this machine has already."""
        stored = self._session.stored
        own = stored.session.access if stored is not None else None
        assert session.access is not None
        return self._errand.mode == "renew" and own is not None and own.value == session.access.value

    # --- what comes of it ---

    def _kept(self, offer: Offer) -> Obtained:
        """Make a token that stands there this machine's own."""
        self._cache.count(hit=True)
        self._means.note("the token comes from the shared cache")
        stored = self._session.save(offer.session)
        return self._session.answer(stored.session, stamp=stored.stamp or None)

    def _spare(self, turn: Turn, error: CredentialHelperError) -> Obtained:
        """Answer what stood there, where the provider brings nothing new; else raise what it came to."""
        if turn.spare is None or not (turn.spare.fresh or error.exit_code in PASSING):
            raise error
        self._means.note(f"answering what is still valid: {error.sentence}")
        return self._kept(turn.spare)


def _between(low: float, high: float) -> float:
    """Draw a number, so that machines do not all do the same at once; random would load hashlib."""
    return low + (high - low) * int.from_bytes(os.urandom(4)) / 2**32
