"""What one run works with: the environment, the clock, the terminal and the stores, put together once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Literal

from credential_helper import PROGRAM, places, replies
from credential_helper.broker.announce import described
from credential_helper.broker.errand import Errand, Means, Mode, Obtained
from credential_helper.broker.obtain import obtain
from credential_helper.broker.outlook import Outlook, outlook
from credential_helper.broker.whereabouts import place_now
from credential_helper.errors import ConfigurationError, StoreError
from credential_helper.model import Profile, Request, Secret, Source
from credential_helper.profiles.choose import named
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.configuration import load
from credential_helper.profiles.hints import login_command
from credential_helper.profiles.ownership import Owners
from credential_helper.profiles.sources import read_secret, trimmed
from credential_helper.proof import UNKNOWN, Proof, sources
from credential_helper.session import grant_id, place_of
from credential_helper.stores.named_secrets import NamedSecrets
from credential_helper.stores.os_keyring import Keyring
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from credential_helper.system import children
from credential_helper.system.caller import Caller
from credential_helper.system.clock import Clock
from credential_helper.system.signals import Interrupts
from credential_helper.terminal.terminal import Terminal
from credential_helper.terminal.verbose import Verbose
from credential_helper.tools import Tool

_KEYRING_DEADLINE = 3.0  # seconds
_KEYRING_DEADLINE_PERSON = 15.0  # where a person can be asked to unlock it


class App:
    """One run."""

    def __init__(self, environ: Mapping[str, str], *, clock: Clock, verbose: bool) -> None:
        self.environ = environ
        self.clock = clock
        self.began = clock.now()  # seconds since the epoch
        self.interrupts = Interrupts()
        self.caller = Caller()
        path = places.state_directory(environ)
        chosen = path is not None and not places.is_default_state(path, environ)
        self.state = State(path, default=not chosen, note=self.note)
        self.hidden: set[str] = set(places.SECRET_VARIABLES)
        self._secrets: dict[Source, tuple[Secret, Proof]] = {}
        self._told_apart: tuple[str, ...] = ()  # profiles whose sign-ins are being told apart: one may name the next
        self._errands: tuple[tuple[Chosen, Request], ...] = ()  # under way: one may need the token of another profile
        self._owners: Owners | None = None
        self._flag = verbose  # --verbose was given
        self.configure()

    def configure(self, *, verbose: bool | None = None, login: bool = False, browser: bool = True) -> None:
        """Take in what the command line said about talking to people; ``verbose`` None: as before."""
        self._flag = self._flag if verbose is None else verbose
        told = Verbose(self.environ, self._flag)
        self.verbose, self._tells_terminal = told.on, told.on_stderr
        self.terminal = Terminal(
            self.environ,
            clock=self.clock,
            tool_is_login=login,
            browser=browser,
            verbose=self._flag,
            children_find=children.find,
            run=self._run,
            hidden=self.hidden,
        )

    def _run(self, words: Sequence[str]) -> str | None:
        """Run a command of a tool's, as the tool that called us would; None where it fails."""
        try:
            said = children.run(words, environ=self.environ, hidden=self.hidden)
        except ConfigurationError:  # what is asked for is not set, or there is no such program
            return None
        return said.decode(errors="replace").strip()

    def note(self, line: str) -> None:
        """Tell a step under --verbose."""
        self.terminal.note(line)

    def owners(self, flags: Mapping[str, object]) -> Owners:
        """Return who owns which host, found out once per run; a run has one command line."""
        if self._owners is None:
            self._owners = Owners(flags, self.environ, note=self.note)
        return self._owners

    def tell_troubles(self, tool: Tool, flags: Mapping[str, object], *, always: bool = False) -> None:
        """Tell what spoils the lists for a tool, where nobody's host was asked for: it stops nothing.

        A person reads it where stderr is a terminal, everybody else under --verbose; ``always``: the tool fails anyway,
        and shows stderr.
        """
        for error in self.owners(flags).troubles(tool):
            if always or os.isatty(2):
                self.terminal.warn(error.sentence, hint=error.hint)
            else:
                self.note(error.sentence)

    def keyring(
        self, profile: Profile | None = None, *, person: bool = True, store: Literal["auto", "keyring"] = "auto"
    ) -> Keyring:
        """Return the keyring that a profile or a setting means; ``person`` False: none is to be asked to unlock it."""
        return Keyring(
            environ=self.environ,
            deadline=self._keyring_deadline(profile if person else None),
            store="keyring" if profile is not None and profile.store == "keyring" else store,
            note=self.note,
        )

    def _keyring_deadline(self, profile: Profile | None) -> Callable[[], float]:
        def deadline() -> float:
            asked = profile is not None and self.terminal.can_answer(profile, Request(tool=PROGRAM))
            return _KEYRING_DEADLINE_PERSON if asked else _KEYRING_DEADLINE

        return deadline

    @cached_property
    def has_keyring(self) -> bool:
        """Say whether a keyring can be used here, without a dialog."""
        return self.keyring(person=False).usable("auto")

    def named_secrets(self, profile: Profile | None = None, *, person: bool = False) -> NamedSecrets:
        """Return the secrets that a person put into the keyring, for a profile to read: both say "keyring".

        ``person``: one is there to unlock it, whatever a profile says.
        """
        deadline = (lambda: _KEYRING_DEADLINE_PERSON) if person else self._keyring_deadline(profile)
        keyring = Keyring(environ=self.environ, deadline=deadline, store="keyring", note=self.note)
        return NamedSecrets(self.state, keyring, clock=self.clock, note=self.note)

    def sessions(self, profile: Profile | None = None, *, person: bool = True) -> Sessions:
        """Return the sessions, with the keyring that a profile means; ``person`` as for ``keyring``."""
        return Sessions(self.state, self.keyring(profile, person=person), note=self.note)

    def outlook(self, chosen: Chosen) -> Outlook:
        """Say what a call for a chosen profile would be answered, without asking or changing anything."""
        profile = chosen.profile
        sessions = self.sessions(profile, person=False)
        means = self._means(sessions, lambda source: self._look_at(source, profile), asks=False)
        return outlook(self.errand(chosen, Request(tool=PROGRAM)), means)

    def shared_cache(self, profile: Profile) -> str | None:
        """Say how a machine's shared cache does; None: it has none."""
        if profile.shared_cache is None:
            return None
        from credential_helper.broker import fleet_cache  # few machines have one

        sessions = self.sessions(profile, person=False)
        means = self._means(sessions, lambda source: self._look_at(source, profile), asks=False)
        return fleet_cache.described(profile, means)

    def _look_at(self, source: Source, profile: Profile) -> Secret:
        """Read a secret, but run no command for it, which may take a minute or ask a person: it has to be there."""
        if source.kind == "keyring":
            return self._from_keyring(source, None)
        if source.kind != "command":
            return self._read_secret(source, profile)
        if children.find(source.value[0], self.environ) is None:
            raise ConfigurationError(f"{source.origin}: {children.not_found(source.value[0])}")
        return Secret("")

    def means(self, profile: Profile | None, *, deadline: float | None = None, warns: bool = True) -> Means:
        """Return what the broker works with; ``deadline`` is the seconds that a tool waits, ``warns`` as it behaves."""
        return self._means(self.sessions(profile), lambda source: self._read_secret(source, profile), deadline, warns)

    def _means(
        self,
        sessions: Sessions,
        read_secret: Callable[[Source], Secret],
        deadline: float | None = None,
        warns: bool = True,
        asks: bool = True,
    ) -> Means:
        return Means(
            sessions=sessions,
            person=self.terminal,
            interrupts=self.interrupts,
            caller=self.caller,
            clock=self.clock,
            note=self.note,
            read_secret=read_secret,
            deadline=deadline,
            environ=self.environ,
            warns=warns,
            hidden=self.hidden,
            subject=self._subject,
            asks=asks,
            signed_in=self._signed_in,
        )

    def _subject(self, name: str) -> Secret:
        """Return another profile's access token, for the profile that is being served to exchange.

        Raises ConfigurationError for a circle of profiles, and what obtaining it does.
        """
        names = [chosen.profile.name for chosen, _ in self._errands]
        if name in names:
            circle = " → ".join((*names[names.index(name) :], name))
            raise ConfigurationError(
                f"the profiles exchange each other's tokens in a circle: {circle}",
                hint="have the last one sign in by itself",
            )
        asked = Request(tool=PROGRAM, token="access")
        if self._errands:  # whoever has to be asked is asked for the same tool
            asked = Request(tool=self._errands[-1][1].tool, manners=self._errands[-1][1].manners, token="access")
        chosen = self._whose_token(name, asked)
        self.note(f"the token of profile {name} is to be exchanged")
        return self.obtain(chosen, asked).credential.token

    def _whose_token(self, name: str, asked: Request) -> Chosen:
        """Choose the profile that ``subject`` names. Raises ConfigurationError where there is none."""
        configuration = load(self.environ, note=self.note)
        configuration.table(name, "subject")
        return named(configuration, name, asked, {}, self.environ)

    def _signed_in(self, name: str) -> str:
        """Return what tells the sign-in of a profile from its next one; where nobody is signed in, what nothing is."""
        profile = self._whose_token(name, Request(tool=PROGRAM, token="access")).profile
        if name in self._told_apart:  # a circle, which is refused once a token is asked for
            return name
        means = self.means(profile)
        self._told_apart = (*self._told_apart, name)
        try:
            main = place_of(profile, means.proof(profile))
        finally:
            self._told_apart = self._told_apart[:-1]
        if profile.session_kind == "client":
            return main.session
        try:
            grant = means.sessions.grants.standing(place_now(means.sessions, profile, main).grant)
        except StoreError:
            grant = None
        return grant.sign_in if grant is not None else os.urandom(16).hex()

    def _read_secret(self, source: Source, profile: Profile | None) -> Secret:
        return self._read(source, profile)[0]

    def _read(self, source: Source, profile: Profile | None) -> tuple[Secret, Proof]:
        """Read a secret once per run: its command may ask a person.

        A password is not kept (RFC 6749 §4.3.2), nor a file with a client certificate or its key: it may be replaced.
        """
        if source in self._secrets:
            return self._secrets[source]
        if source.kind == "keyring":
            read = self._from_keyring(source, profile), Proof()
        else:
            read = read_secret(source, self.environ, hidden=self.hidden, note=self.note)
        certificate = () if profile is None else profile.tls or ()
        if profile is None or not (source == profile.password or (source.kind == "file" and source in certificate)):
            self._secrets[source] = read
        return read

    def proof(self, profile: Profile) -> Proof:
        """Say what a machine proves itself with in this run; what has not been read yet is read now.

        No command is run for it, and the keyring is not asked: whoever sets or deletes a secret there empties
        ``replies/``. Raises ConfigurationError.
        """
        proof = Proof()
        for source in sources(profile):
            if source.kind == "command":
                return UNKNOWN
            if source.kind != "keyring":
                proof += self._read(source, profile)[1]
        return proof

    def _from_keyring(self, source: Source, profile: Profile | None) -> Secret:
        try:
            return trimmed(self.named_secrets(profile).read(source.value[0]))
        except (ConfigurationError, StoreError) as error:
            error.sentence = f"{source.origin}: {error.sentence}"
            raise

    def obtain(self, chosen: Chosen, request: Request, *, mode: Mode = "any") -> Obtained:
        """Obtain a credential for a chosen profile."""
        self.hidden |= chosen.hidden
        manners = request.manners
        errand = self.errand(chosen, request, mode=mode)
        if self.verbose:
            name = grant_id(chosen.profile)[:8]
            self.note(f"profile {chosen.profile.name} from {_where_from(chosen.profile)}, sign-in {name}…")
        outer, self._errands = self._errands, (*self._errands, (chosen, request))
        try:
            obtained = obtain(errand, self.means(chosen.profile, deadline=manners.deadline, warns=manners.warns))
        finally:
            self._errands = outer
        if self.verbose:
            self.note(described(obtained, began=self.began, now=self.clock.now()))
        return obtained

    def errand(self, chosen: Chosen, request: Request, *, mode: Mode = "any") -> Errand:
        """Return what is to be had for a chosen profile."""
        return Errand(
            profile=chosen.profile,
            request=request,
            mode=mode,
            login=login_command(chosen.profile),
            config_changed_at=max((_changed_at(file.stamp) for file in chosen.files), default=0.0),
        )

    @property
    def watched(self) -> bool:
        """Say whether an answer goes to a person who wants to see what is done: no secret is written then.

        A tool reads from a pipe; ``token`` without --verbose is typed for the token itself.
        """
        return self._tells_terminal and os.isatty(1)

    def shown(self, secret: Secret) -> Secret:
        """Return a secret as it may be written to stdout."""
        return Secret("***") if self.watched else secret


def _where_from(profile: Profile) -> str:
    """Say where a profile was written: the file that has its issuer, or the command line."""
    origin = dict(profile.origins).get("issuer", "")
    return "flags and variables" if profile.ad_hoc else origin.rpartition(": profiles.")[0] or "the config files"


def _changed_at(stamp: str) -> float:
    """Return when a file was last changed, from its stamp, in seconds since the epoch."""
    parts = stamp.split()
    return int(parts[2]) / 1e9 if len(parts) > 2 else 0.0


def write(answer: bytes) -> None:
    """Write the whole answer to stdout. Raises StoreError."""
    try:
        replies.write_out(answer)
    except OSError as error:
        raise StoreError(f"the answer cannot be written to stdout: {os.strerror(error.errno or 0).lower()}") from None
