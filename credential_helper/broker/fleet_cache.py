"""A profile's tokens in its fleet's cache: what they are called, whether one can be trusted, and when it is over.

- A failure of the server is a note under --verbose, and no more: from then on nothing is there, and for a while nobody
  on this machine asks it.
- Clocks disagree. A token ends when the server's clock says so, or that of this machine, or the token's own ``exp``:
  whichever is first. So one that has expired by any of them is not there.
- Never shared: a token that lives for less than two minutes, or nobody knows how long, or is bound to a key (``cnf``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import msgspec

from credential_helper.broker import freshness
from credential_helper.broker.errand import Means, Obtained
from credential_helper.errors import ConfigurationError, StoreError
from credential_helper.model import Profile, Secret, SharedCache, Source, Token
from credential_helper.oauth.claims import claims_of, numeric_date
from credential_helper.session import place_of
from credential_helper.stores.fleet import FREE, LEFT, Connect, Listener, Server, Unavailable
from credential_helper.stores.fleet_notes import FleetNotes, left
from credential_helper.stores.fleet_scripts import Kept, Seen
from credential_helper.stores.fleet_values import Keys, Kind, Names, SharedNote, SharedToken
from credential_helper.text import rfc3339

SHORTEST = 120.0  # seconds of life that are worth sharing
_KEY = 32  # bytes that a cache_key has at least
_SECRET = 16  # bytes of a client secret: a shorter one could be guessed from what the server holds
_SERVERS_CLOCK = 60.0  # seconds that it may have been set back by

# How long a note counts, in seconds, where the provider does not say.
NOTED: dict[Kind, float] = {"alone": 600.0, "failed": 60.0}
LONGEST_NOTE = 3600.0

T = TypeVar("T")


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """What another machine found out."""

    kind: Kind
    left: float  # seconds that it counts for


def of(profile: Profile, means: Means) -> Cache | None:
    """Return the cache of a machine's profile; None: it has none, or it cannot be used now, which is noted."""
    where = profile.shared_cache
    if where is None or profile.session_kind != "client":
        return None
    notes, now = _notes(profile, where, means), means.clock.now()
    if (away := notes.away(now)) is not None:
        means.note(f"the shared cache {where.place} is left alone for {left(away, now)} more: it {away.why}")
        return None
    try:
        return Cache(profile, means, where, notes)
    except (ConfigurationError, StoreError) as error:
        means.note(f"nothing is shared: {error.sentence}")
        return None


def _notes(profile: Profile, where: SharedCache, means: Means) -> FleetNotes:
    return FleetNotes(means.sessions.state, where.shown, place_of(profile).session)


class Cache:
    """One token's place there, for one errand. What cannot be asked is None, and noted."""

    def __init__(self, profile: Profile, means: Means, where: SharedCache, notes: FleetNotes) -> None:
        """Raises ConfigurationError and StoreError where a secret cannot be read, or is no good."""
        self._means = means
        self._where = where
        self._notes = notes
        self._keys = Keys(_material(profile, means))
        self._names: Names = self._keys.names(identity_of(profile, means))
        self._owner = os.urandom(16).hex()
        self._server = server_of(profile, means)
        self._gone = False

    # --- the server ---

    def look(self) -> Seen | None:
        """Say what stands there."""
        return self._try(lambda: self._server.look(self._names))

    def enter(self) -> Seen | None:
        """Take the lock, if it is free, and say what stands there."""
        return self._try(lambda: self._server.enter(self._names, self._owner))

    def wait_for_others(self) -> Listener | None:
        """Hear what others tell; what is waited for from now on is not the server's fault."""
        self._server.renew_patience()
        return self._try(lambda: self._server.listen(self._names), spoils=False)

    def heard(self, listener: Listener, seconds: float) -> bytes | None:
        """Return what was told within so many seconds."""
        self._server.renew_patience()
        return self._try(lambda: listener.wait(seconds))

    def keep(self, entered: Seen, obtained: Obtained) -> None:
        """Leave a token for the others, with the generation of our lock; or say that there is none to share."""
        token = obtained.session.access
        why = None if token is None else unshareable(token)
        if token is None or token.expires_at is None or why is not None:
            self._means.note(f"the token is not shared: {why}")
            self.leave("alone")
            return
        lifetime = token.expires_at - token.received_at
        shared = SharedToken(
            value=token.value.reveal(),
            lifetime=lifetime,
            expires_at=token.expires_at,
            scope=obtained.session.scope,
        )
        # From when the lock was taken, which was before the token came: it never seems to live too long.
        ends = entered.now + int(lifetime)
        sealed = self._keys.seal(shared, self._names.token, entered.mine, ends)
        kept = Kept(entered.mine, ends, sealed)
        forget_at = ends - int(min(freshness.MARGIN, lifetime / 4))
        stored = self._try(lambda: self._server.store(self._names, self._owner, kept, forget_at))
        if stored is not None:
            self._means.note("the token is shared" if stored else "a newer token than this one is shared already")

    def leave(self, kind: Kind | None, seconds: float | None = None) -> None:
        """Release the lock, and tell the others why there is no token; None: it is anybody's turn."""
        note = None
        here = self.look() if kind is not None else None
        if kind is not None and here is not None:
            ends = here.now + int(min(seconds or NOTED[kind], LONGEST_NOTE)) + 1
            note = Kept(0, ends, self._keys.seal(SharedNote(kind=kind), self._names.note, 0, ends))
        message = FREE if kind is None else LEFT
        self._try(lambda: self._server.leave(self._names, self._owner, message, note))

    def drop(self, generation: int) -> None:
        """Remove a token, unless it was replaced."""
        if self._try(lambda: self._server.drop(self._names, generation)):
            self._means.note("the token is no longer shared")

    def close(self) -> None:
        """Let go of the server."""
        self._server.close()

    def count(self, *, hit: bool) -> None:
        """Count a look."""
        self._notes.count(self._means.clock.now(), hit=hit)

    def _try(self, work: Callable[[], T], *, spoils: bool = True) -> T | None:
        if self._gone:
            return None
        try:
            return work()
        except Unavailable as error:
            if spoils:
                self._gone = True
                self._means.note(f"the shared cache {self._where.place} {error.why}")
                if error.lasting:
                    self._notes.leave_alone(error.why, self._means.clock.now())
            return None

    # --- what is read ---

    def token(self, seen: Seen) -> tuple[Token, tuple[str, ...]] | None:
        """Return the token that stands there, by this machine's clock, with its scope; None: none that can be used.

        What cannot be opened is removed: nobody else of ours could open it.
        """
        kept = seen.token
        if kept is None:
            return None
        shared = self._keys.unseal(kept.sealed, SharedToken, self._names.token, kept.generation, kept.expires_at)
        if shared is None:
            self._means.note("what the shared cache holds was not made by this fleet")
            self.drop(kept.generation)
            return None
        now = self._means.clock.now()
        by_server = float(kept.expires_at - seen.now)
        ends = [by_server, shared.expires_at - now]
        if (exp := numeric_date((claims_of(shared.value) or {}).get("exp"))) is not None:
            ends.append(exp - now)
        lifetime = shared.lifetime
        if min(ends) <= 0 or lifetime < SHORTEST or by_server > lifetime + _SERVERS_CLOCK:
            return None
        age = max(0.0, lifetime - by_server)
        token = Token(value=Secret(shared.value), received_at=now - age, expires_at=now + min(ends))
        return token, shared.scope

    def noted(self, seen: Seen) -> Noted | None:
        """Return what another machine found out, while it counts."""
        kept = seen.note
        if kept is None or not seen.now < kept.expires_at <= seen.now + LONGEST_NOTE + _SERVERS_CLOCK:
            return None
        found = self._keys.unseal(kept.sealed, SharedNote, self._names.note, 0, kept.expires_at)
        return None if found is None else Noted(kind=found.kind, left=float(kept.expires_at - seen.now))


def reject(profile: Profile, means: Means, rejected: Token) -> None:
    """Remove a token that a server rejected, if it is still the one that is shared; another one stays."""
    cache = of(profile, means)
    if cache is None:
        return
    try:
        seen = cache.look()
        found = cache.token(seen) if seen is not None else None
        if seen is not None and seen.token is not None and found is not None and found[0].value == rejected.value:
            cache.drop(seen.token.generation)
    finally:
        cache.close()


def unshareable(token: Token) -> str | None:
    """Say why a token is not for sharing; None: it is."""
    if token.expires_at is None:
        return "nobody knows how long it lives"
    if token.expires_at - token.received_at < SHORTEST:
        return "it lives for less than two minutes"
    if "cnf" in (claims_of(token.value.reveal()) or {}):
        return "it is bound to a key (cnf)"
    return None


def described(profile: Profile, means: Means) -> str | None:
    """Say how a profile's cache does; None: it has none. The server is asked, whatever it did a moment ago."""
    where = profile.shared_cache
    if where is None or profile.session_kind != "client":
        return None
    notes, now = _notes(profile, where, means), means.clock.now()
    said = [f"shared cache {where.shown}: {_state(profile, means)}"]
    if (counted := notes.counters()) is not None:
        said.append(f"hits {counted.hits}, misses {counted.misses} since {rfc3339(counted.since)}")
    if (away := notes.away(now)) is not None:
        said.append(f"left alone for {left(away, now)} more")
    return "; ".join(said)


def _state(profile: Profile, means: Means) -> str:
    """Ask the server for a token that nobody has: that takes all that is needed to find one."""
    password = profile.shared_cache_password
    if password is not None and password.kind == "command":
        return "not asked, because a command says its password"
    try:
        if all(source.kind != "command" for source in _in_common(profile)):
            _material(profile, means)
        server = server_of(profile, means)
    except (ConfigurationError, StoreError) as error:
        return f"not used: {error.sentence}"
    try:
        server.look(Keys([]).names({}))
    except Unavailable as error:
        return f"it {error.why}"
    finally:
        server.close()
    return "it answers"


# --- what it is made of -----------------------------------------------------------------------------------------------


def identity_of(profile: Profile, means: Means) -> dict[str, object]:
    """Return what a token is for: whom it is fetched from, by which client, how, and for what."""
    return {
        "issuer": profile.issuer.rstrip("/"),
        "token_endpoint": profile.endpoints.token,
        "client_id": profile.client_id,
        "flow": profile.flow,
        "provider": profile.provider,
        "audience": profile.audience,
        "resource": sorted(set(profile.resource)),
        "scope": sorted(set(profile.scopes)),
        "parameters": sorted(profile.parameters),
        "subject_token_type": profile.subject_token_type,
        "job": means.jobs.get(profile),
    }


def _in_common(profile: Profile) -> list[Source]:
    """Return where the secrets are that the machines have in common, in order."""
    key = profile.private_key
    given = (profile.cache_key, profile.client_secret, None if key is None else key.source)
    return [source for source in given if source is not None]


def _material(profile: Profile, means: Means) -> list[Secret]:
    """Read the secrets that the machines have in common."""
    material = []
    for source in _in_common(profile):
        secret = Secret(means.read_secret(source).reveal().strip())
        _require_length(profile, source, secret)
        material.append(secret)
    return material


def _require_length(profile: Profile, source: Source, secret: Secret) -> None:
    least = _KEY if source == profile.cache_key else _SECRET if source == profile.client_secret else 0
    if profile.cache_key is not None and source != profile.cache_key:
        return
    if len(secret.reveal().encode(errors="surrogatepass")) < least:
        instead = "" if least == _KEY else ", and could be guessed: cache_key names a longer one"
        raise ConfigurationError(f"{source.origin}: the secret has less than {least} bytes{instead}")


def server_of(profile: Profile, means: Means) -> Server:
    """Return the way to a profile's cache; nothing is opened yet. Raises ConfigurationError and StoreError."""
    where = profile.shared_cache
    assert where is not None
    if means.server is not None:
        return means.server(where)
    password = None if profile.shared_cache_password is None else means.read_secret(profile.shared_cache_password)
    user = where.user or ("default" if password is not None else None)
    return Server(_connect(profile, where, means), database=where.database, user=user, password=password)


def _connect(profile: Profile, where: SharedCache, means: Means) -> Connect:
    from credential_helper.transport import sockets

    if where.scheme == "unix":
        return lambda _, seconds: sockets.to_file(where.path, seconds=seconds)
    context = None
    if where.scheme == "rediss":
        from credential_helper.transport.certificates import read_roots

        context = read_roots(profile.ca_file, means.environ or {}, means.note).context
    return lambda connect, seconds: sockets.to_host(
        where.host, where.port, context=context, connect=connect, seconds=seconds, clock=means.clock
    )
