"""The order of things: from a profile and a request to a credential, and back to nothing.

1. A fresh session answers at once: no lock, no request, no question.
2. Else one process works, under the session's lock, and looks again first; the others wait for what it brings.
3. A refusal that the provider gave a moment ago is repeated, not provoked again.
4. An answer that was saved but not yet verified is verified, before anything new is asked for.
5. A refresh token renews the session without a person.
6. Else the profile's flow signs in: a machine by itself, a person only where one can be asked.
7. What a grant brings is saved at once and answered when it is verified.
8. Where nothing new can be had now, a token that is still valid is better than none.
9. A disk that cannot be used costs the memory, not the answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Literal, Protocol

import msgspec

from credential_helper import places
from credential_helper.broker import freshness
from credential_helper.broker.interaction import OTHERS_PROMPT, Showing, SignIn, current_prompt, under_way
from credential_helper.broker.refusals import Refusals
from credential_helper.errors import (
    AuthorizationError,
    ClockError,
    ConfigurationError,
    CredentialHelperError,
    InteractionRequired,
    LockTimeout,
    RateLimited,
    StoreError,
    TransportError,
)
from credential_helper.model import (
    Credential,
    Identity,
    Profile,
    Prompt,
    Request,
    Secret,
    Session,
    SessionKind,
    Source,
    Token,
    TokenKind,
    Tokens,
    session_id,
)
from credential_helper.oauth import grants, id_token
from credential_helper.oauth.endpoints import revocation
from credential_helper.oauth.grants import refresh_token
from credential_helper.oauth.provider import Provider
from credential_helper.stores import lock
from credential_helper.stores.documents import DiskDocuments
from credential_helper.stores.private_files import Reservation
from credential_helper.stores.sessions import Sessions, Stored
from credential_helper.system.caller import Abandoned, Caller
from credential_helper.system.clock import Clock
from credential_helper.system.signals import Interrupts
from credential_helper.text import Note, foreign
from credential_helper.transport.client import Transport

Mode = Literal["any", "renew", "sign-in"]

LOGOUT_DEADLINE = 10.0

# Exit codes of what may pass by itself: no network, nobody to ask, a locked keyring, a full disk, a rate limit.
_PASSING = (
    TransportError.exit_code,
    InteractionRequired.exit_code,
    StoreError.exit_code,
    RateLimited.exit_code,
)


class Person(Showing, Protocol):
    """Whoever sits at the terminal."""

    def can_answer(self, profile: Profile, tool: str) -> bool:
        """Say whether a person can be asked here and now."""

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        """Say what did not go as it should, and what to do about it."""

    def signed_in(
        self,
        credential: Credential,
        *,
        tool: str,
        took: float,
        refresh_token: bool,
        advice: str | None,
    ) -> None:
        """Say who is signed in, and until when; ``took`` is in seconds.

        ``advice`` is what to do where a refresh token was asked for and none came; None: none was asked for.
        """


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be had: from whom, for which tool, and how far to go for it."""

    profile: Profile
    request: Request
    mode: Mode = "any"
    login: str = "credential-helper login"  # the command that makes exactly this session
    config_changed_at: float = 0.0  # a remembered refusal older than this is void

    @property
    def kind(self) -> TokenKind:
        """Say which token the tool gets: a stock cluster trusts the ID token, a machine has none."""
        token = self.request.token or self.profile.token
        if token != "auto":
            return token
        plain = not self.profile.audience and not self.profile.resource and self.profile.session_kind == "person"
        return "id" if self.request.tool == "kubectl" and plain else "access"


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What the work is done with."""

    sessions: Sessions
    person: Person
    interrupts: Interrupts
    caller: Caller
    clock: Clock
    note: Note
    read_secret: Callable[[Source], Secret]

    def provider(self, profile: Profile) -> Provider:
        """Return the way to a profile's provider; nothing is opened yet."""

        def reader(source: Source | None) -> Callable[[], Secret] | None:
            return None if source is None else lambda: self.read_secret(source)

        return Provider(
            profile,
            transport=Transport(clock=self.clock, ca_file=profile.ca_file, note=self.note),
            documents=DiskDocuments(self.sessions.state),
            clock=self.clock,
            client_secret=reader(profile.client_secret),
            private_key=reader(profile.private_key.source if profile.private_key is not None else None),
            password=reader(profile.password),
            note=self.note,
        )


class Obtained(msgspec.Struct, frozen=True, kw_only=True):
    """A credential, and the stamp of the session file it stands in; None: not verified, or on no disk."""

    credential: Credential
    session_id: str
    stamp: str | None
    session: Session


def obtain(errand: Errand, tools: Tools) -> Obtained:
    """Return a credential. Any error but UsageError and ProtocolError may come, with the profile's name in it."""
    try:
        return _Work(errand, tools).run()
    except CredentialHelperError as error:
        error.profile = error.profile or errand.profile.name
        raise


class _Work:
    """One errand; the methods stand in the order in which they happen."""

    def __init__(self, errand: Errand, tools: Tools) -> None:
        self.errand = errand
        self.profile = errand.profile
        self.kind = errand.kind
        self.tool = errand.request.tool
        self.id = session_id(errand.profile)
        self.tools = tools
        self.sessions = tools.sessions
        self.clock = tools.clock
        self.provider = tools.provider(errand.profile)
        self.refusals = Refusals(tools.sessions, self.id, clock=tools.clock, parent=tools.caller.key, note=tools.note)
        self.began = tools.clock.now()
        self.disk = True  # False: the state directory cannot be used; nothing there is read or written
        self.seen = places.ABSENT  # the stamp of the session file when it was last read
        self.last: Stored | None = None  # what was in it
        self.found: Obtained | None = None  # what another process brought while we waited
        self.refusal: CredentialHelperError | None = None  # why the refresh token did not do
        self.kept: Stored | None = None  # what a sign-in brought
        self.browsed = False  # a browser was opened for it

    # --- the order of things ---

    def run(self) -> Obtained:
        self.refuse_the_impossible()
        if found := self.fresh(self.read()):
            return found
        with ExitStack() as stack:
            try:
                self.take_lock(stack)
            except (LockTimeout, InteractionRequired) as error:
                return self.better_than_none(error)
            return self.found or self.work()

    def work(self) -> Obtained:
        """Renew or sign in: the lock is ours, or there is no disk to share."""
        stored = self.read()
        if found := self.fresh(stored):
            return found
        self.drop_dead_prompt()
        try:
            self.recall_refusal()
            stored = self.check_again(stored)
            session = stored.session if stored is not None else None
            found = self.fresh(stored) or self.renew(session) or self.sign_in(session)
        except CredentialHelperError as error:
            if self.disk:
                self.remember(error)
            if error.exit_code in _PASSING:
                return self.better_than_none(error)
            raise
        if self.disk:
            self.refusals.forget()
        return found

    def remember(self, error: CredentialHelperError) -> None:
        """Keep a refusal; after a browser was opened any, but for a check of what is kept that could not be made."""
        browsed = self.browsed and not (self.kept is not None and isinstance(error, TransportError))
        self.refusals.remember(error, unattended=self.profile.unattended, tool=self.tool, browsed=browsed)

    def refuse_the_impossible(self) -> None:
        if self.kind == "access":
            return
        if self.profile.session_kind == "client":
            raise ConfigurationError(
                'a machine gets no ID token: token = "id" does not go with flow = "client-credentials"',
                hint='set token = "access"',
            )
        if "openid" not in self.profile.scopes:
            raise ConfigurationError(
                'the ID token is asked for, but the scope lacks "openid"',
                hint='add "openid" to scope, or set token = "access"',
            )

    # --- what is there ---

    def drop_dead_prompt(self) -> None:
        """Remove what asks nobody any more: the lock is ours, and a browser's prompt ended with its process."""
        if not self.disk:
            return
        try:
            prompt = self.sessions.prompt(self.id)
            if prompt is not None and not prompt.outlives_its_process:
                self.sessions.clear_prompt(self.id)
        except StoreError as error:
            self.tools.note(error.sentence)

    def read(self) -> Stored | None:
        if not self.disk:
            return None
        try:
            stored = self.sessions.read(self.id)
        except StoreError as error:
            self.lose_disk(error)
            return None
        self.seen = stored.stamp if stored is not None else places.ABSENT
        self.last = stored
        return stored

    def lose_disk(self, error: StoreError) -> None:
        """Go on without the state directory, and say so once."""
        if self.disk:
            self.disk = False
            if self.last is not None and self.last.session.refreshable:
                self.refusal = error  # what cannot be saved is not spent
            sentence = "; ".join(filter(None, (f"nothing is remembered: {error.sentence}", error.hint)))
            if self.tool in ("git", "docker"):  # they show it over and over, or mix it into what they draw
                self.tools.note(sentence)
            else:
                self.tools.person.warn(sentence)

    def fresh(self, stored: Stored | None) -> Obtained | None:
        """Return what is stored if it may be answered without any work."""
        if stored is None or not freshness.fresh(stored.session, self.kind, self.errand.request, self.clock.now()):
            return None
        token = freshness.token_of(stored.session, self.kind)
        if self.errand.mode != "any" and (token is None or token.received_at <= self.began):
            return None
        return self.answer(stored.session, stamp=stored.stamp)

    def answer(self, session: Session, *, stamp: str | None) -> Obtained:
        """Wrap the token that the tool gets."""
        token = freshness.token_of(session, self.kind)
        if token is None:
            raise AuthorizationError(
                f"{self.provider.host} sent no ID token",
                error="no_id_token",
                hint='ask for the scope "openid", or set token = "access"',
            )
        credential = Credential(
            profile=self.profile.name,
            kind=self.kind,
            token=token.value,
            token_type="Bearer",
            received_at=token.received_at,
            expires_at=token.expires_at,
            fresh_until=freshness.until(session, self.kind, self.errand.request),
            scope=session.scope,
            identity=session.identity,
        )
        return Obtained(credential=credential, session_id=self.id, session=session, stamp=stamp)

    def better_than_none(self, error: CredentialHelperError) -> Obtained:
        """Answer a token that is valid though not fresh, where nothing new can be had now; else raise."""
        stored = self.kept or self.read() or self.last
        if isinstance(error, InteractionRequired) and self.refusal is not None:
            error = self.refusal
        if stored is None or self.errand.mode != "any":
            raise error
        session = stored.session
        token = freshness.token_of(session, self.kind)
        if token is None or not freshness.valid(session, self.kind, self.errand.request, self.clock.now()):
            raise error
        if session.unverified or token.unverified:
            if self.kind == "id" or error.exit_code != TransportError.exit_code:
                raise error
            self.tools.person.warn(f"the sign-in is not verified yet: {error.sentence}")
        self.tools.note(f"answering what is still valid: {error.sentence}")
        return self.answer(session, stamp=None)

    # --- the lock ---

    def take_lock(self, stack: ExitStack) -> None:
        """Wait for the session's lock; afterwards it is ours, or ``found`` is set, or the disk is lost."""
        if not self.disk:
            return
        waiting = _Waiting(self)
        started = self.clock.monotonic()
        name = self.sessions.lock_name(self.id)
        try:
            stack.enter_context(lock.held(self.sessions.state, name, clock=self.clock, waiting=waiting.go_on))
        except StoreError as error:
            self.lose_disk(error)
            if self.last is not None and self._still_valid(self.last.session):
                self.found = self.better_than_none(error)
        if self.found is not None and waiting.showed:
            self.say_signed_in(self.found, took=self.clock.monotonic() - started)

    # --- refusals ---

    def recall_refusal(self) -> None:
        if self.errand.mode != "any" or not self.disk:
            return
        try:
            self.refusals.recall(
                config_changed_at=self.errand.config_changed_at,
                again=self.errand.login,
                quiet_repeats=self.tool == "kubectl",
            )
        except StoreError as error:
            self.tools.note(error.sentence)

    # --- an answer that waits for its check ---

    def check_again(self, stored: Stored | None) -> Stored | None:
        """Verify what was saved unverified, before anything stands on it; return what is stored then.

        A refresh would bring an ID token without the nonce, so a sign-in is judged by its own token whatever its age,
        as of the time when it came. An ID token that a refresh brought is judged only where it can be answered.
        """
        if stored is None or stored.session.id is None or self.errand.mode == "sign-in":
            return stored
        token, now = stored.session.id, self.clock.now()
        expired = token.expires_at is None or token.expires_at <= now
        if not stored.session.unverified and (expired or self.errand.mode == "renew"):
            return stored
        try:
            return self.settle(stored, at=token.received_at if expired else None)
        except AuthorizationError as error:
            error.hint = error.hint or self.errand.login
            raise

    def settle(self, stored: Stored, *, at: float | None = None) -> Stored:
        """Check the ID token if its answer depends on it, and save the session without the mark.

        ``at``: the time to judge it by, in seconds since the epoch; None: now.
        """
        session = stored.session
        if session.id is None or not (session.unverified or (self.kind == "id" and session.id.unverified)):
            return stored
        try:
            identity = id_token.validate(self.provider, session.id.value, nonce=session.id.nonce, at=at)
            self._same_person(session, identity)
        except ClockError:
            raise  # the mark stays: the check is repeated when the clock is right
        except AuthorizationError:
            self._wipe(session)
            raise
        settled = msgspec.structs.replace(
            session,
            unverified=False,
            identity=identity,
            id=msgspec.structs.replace(session.id, unverified=False),
        )
        return self.save(settled)

    def _same_person(self, session: Session, identity: Identity) -> None:
        account = self.account
        if account is not None and not _is(account, dict(identity.claims), identity.subject):
            raise self._wrong_account(identity.name or identity.subject)
        if _another(session.identity, dict(identity.claims) | {"sub": identity.subject}):
            raise self._another_subject()

    @property
    def account(self) -> str | None:
        """Whom the ID token must name; a password's user name was sent, and need not be a claim."""
        return None if self.profile.flow == "password" else self.profile.account

    def _wrong_account(self, who: str) -> AuthorizationError:
        return AuthorizationError(
            f"signed in as {foreign(who)}, but profile {self.profile.name} is for {self.profile.account}",
            hint="sign in with that account, or change account in the profile",
        )

    def _another_subject(self) -> AuthorizationError:
        return AuthorizationError(
            f"{self.provider.host} renewed the session for another person than the one who signed in",
            hint=self.errand.login,
        )

    def _wipe(self, session: Session) -> None:
        """Forget the tokens of an answer that failed its check; the refresh token stays for logout to revoke."""
        self.save(
            msgspec.structs.replace(session, access=None, id=None, identity=None, unverified=False, revoke_only=True)
        )

    # --- renewing ---

    def renew(self, session: Session | None) -> Obtained | None:
        """Spend the refresh token; None: there is none, or it is refused, and only a sign-in can help."""
        if session is None or not session.refreshable or self.errand.mode == "sign-in":
            return None
        try:
            token = self.sessions.refresh_token(session)
        except StoreError as error:  # a locked keyring
            self._not_now(session, error)
            return None
        self._bring_secret()
        try:
            reservation = self.sessions.reserve(self.id)
        except StoreError as error:  # a full disk: what cannot be saved is not spent
            self.lose_disk(error)
            self._not_now(session, error)
            return None
        if token is None:
            reservation.discard()
            self.tools.note("the keyring holds no refresh token any more")
            return None
        with reservation, self.tools.interrupts.held():
            try:
                tokens = refresh_token.refresh(self.provider, token)
            except AuthorizationError as error:
                if error.error != "invalid_grant":
                    raise
                error.hint = self.errand.login
                self.refusal = error
                # The lock is ours and the file was read under it, so this is the token that was sent.
                self.save(msgspec.structs.replace(session, refresh_token=None, in_keyring=False))
                self.tools.note(error.sentence)
                return None
            stored = self.save(self._renewed(session, tokens), tokens, reservation)
        if _another(session.identity, _claims(tokens)):
            self._wipe(stored.session)
            raise self._another_subject()
        if stored.session.unverified and tokens.id_token is None:
            return None  # who signed in was never verified, and there is nothing left to verify
        stored = self.settle(stored)
        if self.kind == "id" and not freshness.valid(stored.session, "id", self.errand.request, self.clock.now()):
            self.refusal = InteractionRequired(
                f'{self.provider.host} renews no ID tokens, so token = "id" needs a new sign-in', hint=self.errand.login
            )
            return None
        return self.answer(stored.session, stamp=stored.stamp or None)

    def _bring_secret(self) -> None:
        """Read the client's secrets before signals are held: a command may take a minute, and Ctrl-C ends it."""
        if self.profile.client_authentication != "none":
            for read in (self.provider.client_secret, self.provider.private_key):
                if read is not None:
                    read()

    def _not_now(self, session: Session, error: StoreError) -> None:
        """Raise where a token is still valid, for that to be answered; else only a sign-in can help."""
        if self._still_valid(session):
            raise error
        self.refusal = error

    def _still_valid(self, session: Session) -> bool:
        now = self.clock.now()
        return self.errand.mode == "any" and freshness.valid(session, self.kind, self.errand.request, now)

    def _renewed(self, session: Session, tokens: Tokens) -> Session:
        return msgspec.structs.replace(
            session,
            access=_access_token(tokens),
            id=_id_token(tokens, renewed=session.id) or session.id,
            id_not_renewed=tokens.id_token is None,
            scope=tokens.scope or session.scope,
            forced_at=self.clock.now() if self.errand.request.refused is not None else session.forced_at,
        )

    # --- signing in ---

    def sign_in(self, session: Session | None) -> Obtained:
        """Run the profile's flow."""
        unattended = self.profile.unattended
        may_ask = unattended or (self.errand.mode != "renew" and self.tools.person.can_answer(self.profile, self.tool))
        if not may_ask and not self._someone_is_asked():
            raise self._nobody_to_ask()
        interaction = SignIn(
            tool=self.tool,
            target=self.errand.request.target or self.profile.audience or ", ".join(self.profile.resource) or None,
            profile=self.profile.name,
            session_id=self.id,
            sessions=self.sessions if self.disk else None,
            person=self.tools.person,
            may_ask=may_ask,
            resume=self.errand.mode == "any",
            caller=self.tools.caller,
            interrupts=self.tools.interrupts,
            clock=self.clock,
            note=self.tools.note,
            keep=lambda tokens, reservation: self.keep(session, tokens, reservation),
            give_back=self.give_back,
        )
        started = self.clock.monotonic()
        self._bring_secret()
        stored: Stored | None = None
        try:
            grants.sign_in(self.provider, interaction)
            if self.kept is None:
                raise CredentialHelperError("the sign-in ended without tokens")
            stored = self.settle(self.kept)
        except AuthorizationError as error:
            if error.error == "expired_token" and may_ask and not unattended and not interaction.asked:
                raise InteractionRequired(
                    "another prompt has had this terminal all the time",
                    hint=f"answer that one, then {self.errand.login}",
                ) from None
            raise
        finally:
            self.browsed = interaction.browsed
            interaction.close(finished=self.kept is not None, verified=stored is not None)
        found = self.answer(stored.session, stamp=stored.stamp or None)
        self._tell_new_person(session, stored.session)
        if interaction.asked or (self.errand.mode == "sign-in" and self.profile.session_kind == "person"):
            self.say_signed_in(found, took=self.clock.monotonic() - started)
        return found

    def _nobody_to_ask(self) -> InteractionRequired:
        host = self.provider.host
        if self.errand.mode == "sign-in":
            return InteractionRequired(
                f"a person has to sign in to {host}, and none can be asked here",
                hint="run it in a terminal; --verbose says what is in the way",
            )
        why = "there is nothing to renew" if self.errand.mode == "renew" else "nobody can be asked here"
        return InteractionRequired(f"nobody is signed in to {host}: {why}", hint=self.errand.login)

    def _someone_is_asked(self) -> bool:
        """Say whether a holder that died was asking a person: the code may have been approved since."""
        if not self.disk or self.errand.mode != "any":
            return False
        prompt = current_prompt(self.sessions, self.id, self.clock.now())
        return prompt is not None and prompt.outlives_its_process

    def keep(self, old: Session | None, tokens: Tokens, reservation: Reservation | None) -> None:
        """Save what a sign-in brought, at once and unverified."""
        claims = _claims(tokens)
        account = self.account
        if account is not None and claims and not _is(account, claims, str(claims.get("sub"))):
            self.give_back(tokens)
            raise self._wrong_account(_who(claims) or "somebody else")
        self._require_id_token(tokens)
        self._tell_scope(tokens.scope)
        who = self.profile.account or _who(claims) or self.profile.client_id
        session = Session(
            profile=self.profile.name,
            issuer=self.profile.issuer,
            client_id=self.profile.client_id,
            kind=self.profile.session_kind,
            account=self.profile.account,
            audience=self.profile.audience,
            access=_access_token(tokens),
            id=_id_token(tokens),
            scope=tokens.scope or self.provider.scopes(),
            record=self._record(old, f"{self.profile.name} {foreign(who, 80)}"),
            unverified=tokens.id_token is not None,
            forced_at=self.clock.now() if self.errand.request.refused is not None else None,
        )
        self.kept = self.save(session, tokens, reservation)

    def _require_id_token(self, tokens: Tokens) -> None:
        """Say that nobody knows who signed in, where the provider owes an ID token (OIDC Core §3.1.3.3)."""
        asked = self.provider.scopes()
        granted = tokens.scope if tokens.scope is not None else asked
        if tokens.id_token is not None or "openid" not in asked or "openid" not in granted:
            return
        if self.account is not None:
            self.give_back(tokens)
            raise AuthorizationError(
                f"{self.provider.host} does not say who signed in (no ID token), "
                f"and profile {self.profile.name} is for {self.account}",
                error="no_id_token",
                hint="take account out of the profile, or openid into the client's scopes at the provider",
            )
        self.tools.person.warn(f"{self.provider.host} sent no ID token: who signed in is not known")

    def _record(self, old: Session | None, label: str) -> tuple[str, str]:
        """Name the keyring's record: 128 random bits for us, and a label that a person recognises."""
        if old is not None and old.record is not None and old.record[1] == label:
            return old.record
        return os.urandom(16).hex(), label

    def _tell_scope(self, granted: tuple[str, ...] | None) -> None:
        missing = [scope for scope in self.provider.scopes() if granted and scope not in granted]
        if missing:
            self.tools.note(f"{self.provider.host} did not grant {foreign(' '.join(missing))}")

    def give_back(self, tokens: Tokens) -> None:
        """Revoke what a sign-in brought that is not kept."""
        if tokens.refresh_token is not None:
            try:
                revocation.revoke(self.provider, tokens.refresh_token, "refresh_token")
            except CredentialHelperError as error:
                self.tools.note(f"the refused sign-in was not revoked: {error.sentence}")

    def _tell_new_person(self, old: Session | None, new: Session) -> None:
        if old is None or old.identity is None or new.identity is None or old.identity.subject == new.identity.subject:
            return
        before = old.identity.name or old.identity.subject
        now = new.identity.name or new.identity.subject
        self.tools.person.warn(f"{self.profile.name} is now {foreign(now)}; it was {foreign(before)}")

    def say_signed_in(self, found: Obtained, *, took: float) -> None:
        self.tools.person.signed_in(
            found.credential,
            tool=self.tool,
            took=took,
            refresh_token=found.session.refreshable or self.profile.session_kind == "client",
            advice=self._advice(),
        )

    def _advice(self) -> str | None:
        """Say how to get the refresh token that was wanted."""
        wanted = self.profile.store in ("auto", "file") and "offline_access" in self.profile.scopes
        return self.provider.known.no_refresh_token if wanted else None

    # --- saving ---

    def save(self, session: Session, tokens: Tokens | None = None, reservation: Reservation | None = None) -> Stored:
        """Keep a session; where that fails the answer is still given, and the stamp is empty."""
        if self.disk:
            new = tokens.refresh_token if tokens is not None else None
            try:
                stored = self.sessions.save(
                    self.id, session, store=self.profile.store, refresh_token=new, reservation=reservation
                )
            except StoreError as error:
                self.lose_disk(error)
            else:
                if new is not None and self.profile.store == "keyring" and not stored.session.in_keyring:
                    self.tools.person.warn(
                        'the refresh token is not kept: no keyring is usable, and the profile says store = "keyring"',
                        hint='unlock the keyring and sign in again, or set store = "auto"',
                    )
                return stored
        return Stored(session=session, stamp="")


class _Waiting:
    """What a process does while another one holds the session's lock."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._alone_since = 0.0
        self._asked_since: float | None = None
        self._name: str | None = None  # of the prompt that was dealt with
        self.showed = False

    def go_on(self, waited: float) -> bool:
        """Called between two tries; ``waited`` is in seconds. False: the other process brought what we need."""
        work = self._work
        if not work.tools.caller.waits():
            raise Abandoned
        if work.sessions.stamp(work.id) != work.seen:
            work.found = work.fresh(work.read())
            if work.found is not None or not work.disk:
                return False
        prompt = current_prompt(work.sessions, work.id, work.clock.now())
        if prompt is not None:
            self._alone_since = waited
            self._with_person(prompt, waited)
        elif waited - self._alone_since > lock.DEADLINE:
            raise LockTimeout(
                f"another process has held the session for {lock.DEADLINE:.0f} s",
                hint="try again, or look for a hanging credential-helper process",
            )
        return True

    def _with_person(self, prompt: Prompt, waited: float) -> None:
        work = self._work
        if work.errand.mode != "renew" and work.tools.person.can_answer(work.profile, work.tool):
            if prompt.name != self._name:
                terminal = work.tools.person.show(prompt, ours=False)
                self._name = prompt.name if terminal is not None else None
                self.showed = self.showed or (terminal is not None and terminal not in prompt.shown_on)
            return
        repeats = work.tool == "kubectl" and work.refusals.heard()  # of kubectl's five tries the first one waits
        if self._asked_since is None:
            self._asked_since = waited
        if repeats or waited - self._asked_since > OTHERS_PROMPT:
            error = under_way(work.profile.name)
            error.silent = repeats
            if not repeats:
                work.refusals.note_heard()
            raise error


# --- small helpers ---


def _claims(tokens: Tokens) -> dict[str, object]:
    """Return the ID token's claims, unverified: for a first look, never for a decision to trust."""
    return (id_token.claims_of(tokens.id_token.reveal()) or {}) if tokens.id_token is not None else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _access_token(tokens: Tokens) -> Token:
    if tokens.expires_in is not None:
        expires_at: float | None = tokens.received_at + tokens.expires_in
    else:
        expires_at = _number((id_token.claims_of(tokens.access_token.reveal()) or {}).get("exp"))
    return Token(value=tokens.access_token, received_at=tokens.received_at, expires_at=expires_at)


def _id_token(tokens: Tokens, *, renewed: Token | None = None) -> Token | None:
    """Return the ID token, with the nonce that it must answer; a refresh may bring that of the sign-in, or none.

    OIDC Core §3.1.3.7 point 11, §12.2.
    """
    if tokens.id_token is None:
        return None
    claims = _claims(tokens)
    return Token(
        value=tokens.id_token,
        received_at=tokens.received_at,
        expires_at=_number(claims.get("exp")),
        unverified=True,
        nonce=renewed.nonce if renewed is not None and "nonce" in claims else tokens.nonce,
    )


def _another(identity: Identity | None, claims: Mapping[str, object]) -> bool:
    """Say whether claims name another person: a subject is one of its issuer only (OIDC Core §12.2)."""
    if identity is None:
        return False
    before = dict(identity.claims) | {"sub": identity.subject}
    return any(claims[name] != before[name] for name in ("iss", "sub") if name in claims and name in before)


def _who(claims: dict[str, object]) -> str | None:
    for claim in ("preferred_username", "email", "name", "sub"):
        if isinstance(value := claims.get(claim), str) and value:
            return value
    return None


def _is(account: str, claims: dict[str, object] | dict[str, str], subject: str) -> bool:
    names = {value.casefold() for claim in _ACCOUNT_CLAIMS if isinstance(value := claims.get(claim), str)}
    return account == subject or account.casefold() in names


_ACCOUNT_CLAIMS = ("preferred_username", "email", "upn", "unique_name")


# --- a token that a server rejected ---


def drop(session_id: str, rejected: Secret | None, tools: Tools) -> bool:
    """Drop the tokens of a session but the refresh token; say whether any was dropped.

    Of a token that a server ``rejected`` only that very one goes: another process may have renewed it since, and one
    that was made less than a minute ago stays. None: a person wants them dropped, however young. StoreError and
    LockTimeout may come.
    """
    if tools.sessions.stamp(session_id) == places.ABSENT:
        return False
    sessions = tools.sessions

    def wait(waited: float) -> bool:
        return waited < LOGOUT_DEADLINE

    name = sessions.lock_name(session_id)
    with lock.held(sessions.state, name, clock=tools.clock, waiting=wait) as mine:
        if not mine:
            raise LockTimeout(f"another process has held the session for {LOGOUT_DEADLINE:.0f} s", hint="try again")
        stored = sessions.read(session_id)
        if stored is None:
            return False
        session, now = stored.session, tools.clock.now()

        def goes(token: Token | None) -> bool:
            if token is None or rejected is None:
                return token is not None
            return token.value == rejected and not freshness.just_made(session, token, now)

        changes: dict[str, object] = {kind: None for kind in ("access", "id") if goes(getattr(session, kind))}
        if changes:
            changes |= {"forced_at": now} if rejected is not None else {}
            sessions.save(session_id, msgspec.structs.replace(session, **changes))
        return bool(changes)


# --- back to nothing ---


class Farewell(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a session at logout."""

    profile: str
    kind: SessionKind
    host: str
    identity: Identity | None
    had_access: bool  # an access token that the provider's resource servers still take
    accepted_until: float | None  # until when they do; None: unknown
    revoked: bool | None  # None: there was nothing to revoke; False: the provider revokes nothing
    error: CredentialHelperError | None = None  # why it was not revoked


def forget(
    session_id: str, profile_of: Callable[[Session], Profile], tools_for: Callable[[Profile | None], Tools]
) -> Farewell | None:
    """Erase a session here, then revoke it there; None: there was none.

    A sign-in that waits for a person is cancelled. LockTimeout: another process works on it for longer than 10 s;
    StoreError: the disk or a locked keyring keeps what should go.
    """
    tools = tools_for(None)
    state = tools.sessions.state

    def cancel(waited: float) -> bool:
        tools.sessions.clear_prompt(session_id)
        return waited < LOGOUT_DEADLINE

    with lock.held(state, tools.sessions.lock_name(session_id), clock=tools.clock, waiting=cancel) as mine:
        if not mine:
            raise LockTimeout(f"another process has held the session for {LOGOUT_DEADLINE:.0f} s", hint="try again")
        stored = tools.sessions.read(session_id)
        if stored is None:
            tools.sessions.erase(session_id)
            return None
        profile = profile_of(stored.session)
        tools = tools_for(profile)
        token = _last_use(session_id, stored.session, tools.sessions)
        tools.sessions.erase(session_id)
    return _revoke(stored.session, token, tools.provider(profile), tools.clock.now())


def _last_use(session_id: str, session: Session, sessions: Sessions) -> Secret | None:
    """Fetch the refresh token, to revoke it; where the keyring is locked the tokens go and its record stays known."""
    try:
        return sessions.refresh_token(session)
    except StoreError:
        wiped = msgspec.structs.replace(session, access=None, id=None, unverified=False, revoke_only=True)
        sessions.save(session_id, wiped)
        raise


def _revoke(session: Session, token: Secret | None, provider: Provider, now: float) -> Farewell:
    revoked: bool | None = None
    failure: CredentialHelperError | None = None
    if token is not None:
        try:
            revoked = revocation.revoke(provider, token, "refresh_token")
        except CredentialHelperError as error:
            failure = error
    access = session.access
    return Farewell(
        profile=session.profile,
        kind=session.kind,
        host=provider.host,
        identity=session.identity,
        had_access=access is not None and (access.expires_at is None or access.expires_at > now),
        accepted_until=access.expires_at if access is not None else None,
        revoked=revoked,
        error=failure,
    )
