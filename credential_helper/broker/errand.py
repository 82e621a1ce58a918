"""What is to be had, by what means, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from credential_helper import proof
from credential_helper.errors import ConfigurationError, CredentialHelperError, StoreError
from credential_helper.model import Credential, Profile, Request, Secret, SharedCache, Source, TokenKind
from credential_helper.session import Session
from credential_helper.text import Note

if TYPE_CHECKING:
    from credential_helper.broker.person import Person
    from credential_helper.oauth.provider import Provider
    from credential_helper.stores.documents import DiskDocuments
    from credential_helper.stores.fleet import Server
    from credential_helper.stores.sessions import Sessions, Stored
    from credential_helper.system.caller import Caller
    from credential_helper.system.clock import Clock
    from credential_helper.system.signals import Interrupts
    from credential_helper.transport.client import Transport

# any: whatever brings a token; renew: without a person; sign-in: by the profile's flow alone. ahead: what is fresh is
# renewed because it soon will not be, by a process that nobody waits for: no person, no waiting, nothing remembered.
Mode = Literal["any", "renew", "sign-in", "ahead"]


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be had: from whom, for which tool, and how far to go for it."""

    profile: Profile
    request: Request
    mode: Mode = "any"
    command: Callable[[], str] = lambda: "credential-helper login"  # which makes exactly this session; for a hint
    config_changed_at: float = 0.0  # a remembered refusal older than this is void

    @property
    def login(self) -> str:
        """Return the command that makes exactly this session."""
        return self.command()

    @property
    def kind(self) -> TokenKind:
        """Say which token the tool gets: a stock cluster trusts the ID token, a machine has none."""
        token = self.request.token or self.profile.token
        if token != "auto":
            return token
        plain = not self.profile.audience and not self.profile.resource and self.profile.session_kind == "person"
        return self.request.manners.token if plain else "access"

    def refuse_the_impossible(self) -> None:
        """Raise ConfigurationError where the profile can never bring the token that is asked for."""
        if self.kind == "access":
            return
        if self.profile.session_kind == "client":
            raise ConfigurationError(
                f'a machine gets no ID token: token = "id" does not go with flow = "{self.profile.flow}"',
                hint='set token = "access"',
            )
        if "openid" not in self.profile.scopes:
            raise ConfigurationError(
                'the ID token is asked for, but the scope lacks "openid"',
                hint='add "openid" to scope, or set token = "access"',
            )


class Means:
    """What the work is done with, for the time of one process."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        person: Callable[[], Person],
        interrupts: Interrupts,
        caller: Caller,
        clock: Clock,
        note: Note,
        read_secret: Callable[[Source], Secret],
        deadline: float | None = None,
        environ: Mapping[str, str] | None = None,
        warns: bool = True,
        hidden: Collection[str] = (),
        subject: Callable[[str], Secret] | None = None,
        asks: bool = True,
        signed_in: Callable[[str], str] | None = None,
        server: Callable[[SharedCache], Server] | None = None,
    ) -> None:
        """``person`` brings whoever sits at the terminal, when there is something to say: a fresh token needs nobody.

        ``deadline``: the seconds that the tool waits for us, where that is less than we would take.

        ``warns``: what is wrong with a token that came is a warning, and not for --verbose only.

        ``environ`` says which proxies and whose certificates stand between us and a provider; None: nothing does.
        ``hidden`` are the variables that no command of ours sees. ``subject`` obtains the access token of a profile,
        by its name, for another one's to be exchanged. ``asks``: False where nothing may be asked and no command run.
        ``signed_in`` tells a profile's sign-ins apart, by its name. ``server`` of a fleet's cache; None: the real one.
        """
        self.sessions = sessions
        self._person = person
        self.interrupts = interrupts
        self.caller = caller
        self.clock = clock
        self.note = note
        self.read_secret = read_secret
        self.deadline = deadline
        self.environ = environ
        self._warns = warns
        self.hidden = hidden
        self.subject = subject
        self.asks = asks
        self.signed_in = signed_in
        self.server = server
        self._documents: DiskDocuments | None = None
        self._providers: dict[Profile, Provider] = {}
        self._proofs: dict[Profile, str | None] = {}
        self.unbound: dict[Profile, StoreError] = {}  # why a machine's session cannot be told from another's
        self.jobs: dict[Profile, str] = {}  # whom the token of a job names
        self.traces: dict[Profile, proof.Proof] = {}  # what the token of a job was made of, where it was read

    @property
    def person(self) -> Person:
        """Return whoever sits at the terminal."""
        return self._person()

    def proof(self, profile: Profile) -> str | None:
        """Return a keyed digest of what a machine proves itself with; None: of a person, or there is no disk.

        It is part of the name of a machine's session, so it is read whether there is a session or not. Raises as
        ``read_secret`` does.
        """
        if profile.session_kind != "client":
            return None
        if profile not in self._proofs:
            from credential_helper.stores import proof_key  # of machines alone

            parts = [self._part(profile, source) for source in proof.sources(profile)]
            if profile.subject is not None and self.signed_in is not None:
                parts.append(Secret(self.signed_in(profile.subject)))
            if profile.workload is not None:
                from credential_helper.oauth import workload  # few clients have one

                subject, self.traces[profile] = workload.identify(self.provider(profile), ask=self.asks)
                self.jobs[profile] = subject
                parts.append(Secret(subject))
            try:
                digest = proof_key.digest(self.sessions.state, parts, clock=self.clock, make=self.asks)
                self._proofs[profile] = digest
            except StoreError as error:
                self._proofs[profile], self.unbound[profile] = None, error
        return self._proofs[profile]

    def _part(self, profile: Profile, source: Source) -> Secret:
        """Return what tells one job from another: the secret, or its name in the keyring, which is one person's.

        So a keyring that is locked now costs nothing while a token is kept. A client certificate is public and may be
        renewed: its key counts, whatever its spelling.
        """
        if source.kind == "keyring":
            return Secret(f"keyring {source.value[0]}")
        certificate, key = profile.tls or (None, None)
        if source == certificate:
            return Secret("")
        secret = self.read_secret(source)
        if source != key:
            return secret
        from credential_helper.oauth.client_authentication import tls  # few clients have a certificate

        return Secret(tls.fingerprint(secret, source))

    def provider(self, profile: Profile) -> Provider:
        """Return the way to a profile's provider, always the same one; nothing is opened yet.

        Raises ConfigurationError for an issuer or an endpoint that may not be used.
        """
        if profile not in self._providers:
            from credential_helper.oauth.provider import Provider  # and all of oauth: a fresh token needs nobody
            from credential_helper.stores.documents import DiskDocuments

            self._documents = self._documents or DiskDocuments(self.sessions.state)
            self._providers[profile] = Provider(
                profile,
                transport=self._transport(profile, self._documents),
                documents=self._documents,
                clock=self.clock,
                client_secret=self._reader(profile.client_secret),
                private_key=self._reader(profile.private_key.source if profile.private_key is not None else None),
                password=self._reader(profile.password),
                tls=self._pair_reader(profile.tls),
                subject=self._subject(profile.subject),
                environ=self.environ,
                hidden=self.hidden,
                note=self.note,
                warn=(lambda sentence, hint: self.person.warn(sentence, hint=hint)) if self._warns else None,
            )
        return self._providers[profile]

    def _transport(self, profile: Profile, documents: DiskDocuments) -> Transport:
        from credential_helper.transport.client import DEADLINE, Transport

        seconds = DEADLINE if self.deadline is None else min(self.deadline, DEADLINE)
        return Transport(
            clock=self.clock,
            environ=self.environ,
            documents=documents,
            ca_file=profile.ca_file,
            note=self.note,
            deadline=seconds,
        )

    def _subject(self, name: str | None) -> Callable[[], Secret] | None:
        subject = self.subject
        return None if name is None or subject is None else lambda: subject(name)

    def _reader(self, source: Source | None) -> Callable[[], Secret] | None:
        return None if source is None else lambda: self.read_secret(source)

    def _pair_reader(self, sources: tuple[Source, Source] | None) -> Callable[[], tuple[Secret, Secret]] | None:
        return None if sources is None else lambda: (self.read_secret(sources[0]), self.read_secret(sources[1]))


class Obtained(msgspec.Struct, frozen=True, kw_only=True):
    """A credential, and the stamp of the session file it stands in; None: not verified, or on no disk."""

    credential: Credential
    session_id: str
    stamp: str | None
    session: Session
    trace: proof.Proof = proof.Proof()  # what else the answer depends on: of a job's token, what it was made of


class Attempt:
    """What became of renewing and signing in: written by them, read where they fail."""

    def __init__(self) -> None:
        self.refusal: CredentialHelperError | None = None  # why the refresh token did not do
        self.spent_nothing = False  # there is no refresh token that could be sent now
        self.kept: Stored | None = None  # what a sign-in brought
        self.unkept: str | None = None  # why the refresh token in it is not kept, where the disk is to blame
        self.browsed = False  # a browser was opened for it
