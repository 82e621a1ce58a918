"""What one run works with: the environment, the clock, the terminal and the stores, put together once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from credential_helper import PROGRAM, places, replies
from credential_helper.broker.ahead import is_wanted
from credential_helper.broker.errand import Errand, Means, Mode, Obtained
from credential_helper.broker.obtain import obtain
from credential_helper.errors import ConfigurationError, InteractionRequired, StoreError
from credential_helper.model import Profile, Request, Secret, Source
from credential_helper.proof import UNKNOWN, Proof, sources
from credential_helper.replies.flights import Flight
from credential_helper.session import grant_id
from credential_helper.stores.os_keyring import Keyring
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from credential_helper.subjects import Subjects
from credential_helper.system.caller import Caller, Nobody
from credential_helper.system.ci import in_ci
from credential_helper.system.signals import Interrupts
from credential_helper.terminal.verbose import Verbose

if TYPE_CHECKING:
    from credential_helper.broker.outlook import Outlook
    from credential_helper.profiles.chosen import Chosen
    from credential_helper.profiles.ownership import Owners
    from credential_helper.stores.named_secrets import NamedSecrets
    from credential_helper.system.clock import Clock
    from credential_helper.terminal.terminal import Terminal
    from credential_helper.tools import Tool

# Seconds of a machine's exchange that nobody waits for: logout waits 10 s for the lock. A person's has the time of
# every other: its answer may be the only copy of a refresh token.
_AHEAD_DEADLINE = 8.0
_KEYRING_DEADLINE = 3.0  # seconds
_KEYRING_DEADLINE_PERSON = 15.0  # where a person can be asked to unlock it


class App:
    """One run."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        clock: Clock,
        verbose: bool,
        ahead: bool = False,
        flight: Flight | None = None,
    ) -> None:
        """``ahead``: nobody waits for this run, which renews what is fresh; ``flight``: who waits for its reply."""
        self._flight = flight or Flight()
        self.in_ci = in_ci(environ)
        self.environ = environ
        self._ahead = ahead
        self.clock = clock
        self.began = clock.now()  # seconds since the epoch
        self.interrupts = Interrupts()
        self.caller = Nobody() if ahead else Caller()
        path = places.state_directory(environ)
        chosen = path is not None and not places.is_default_state(path, environ)
        self.state = State(path, default=not chosen, note=self.note)
        self.hidden: set[str] = set(places.SECRET_VARIABLES)
        self._secrets: dict[Source, tuple[Secret, Proof]] = {}
        self._subjects = Subjects(environ, means=self.means, obtain=self.obtain, note=self.note)
        self._owners: Owners | None = None
        self._flag = verbose  # --verbose was given
        self.configure()

    def configure(self, *, verbose: bool | None = None, login: bool = False, browser: bool = True) -> None:
        """Take in what the command line said about talking to people; ``verbose`` None: as before."""
        self._flag = self._flag if verbose is None else verbose
        self._is_login, self._browser = login, browser
        told = Verbose(self.environ, self._flag)
        self.verbose, self._tells_terminal = told.on, told.on_stderr
        if self.verbose:
            self._flight.asks()
        self._terminal: Terminal | None = None

    @property
    def terminal(self) -> Terminal:
        """Return the way to a person, made when there is something to say: most answers say nothing."""
        if self._terminal is None:
            from credential_helper.system import children
            from credential_helper.terminal.terminal import Terminal

            self._terminal = Terminal(
                self.environ,
                clock=self.clock,
                tool_is_login=self._is_login,
                browser=self._browser,
                verbose=self._flag,
                children_find=children.find,
                run=self._run,
                hidden=self.hidden,
                asks=self._flight.asks,
            )
        return self._terminal

    def finish(self) -> None:
        """Leave the terminal to others."""
        if self._terminal is not None:
            self._terminal.finish()

    def _run(self, words: Sequence[str]) -> str | None:
        """Run a command of a tool's, as the tool that called us would; None where it fails."""
        from credential_helper.system import children

        try:
            said = children.run(words, environ=self.environ, hidden=self.hidden)
        except ConfigurationError:  # what is asked for is not set, or there is no such program
            return None
        return said.decode(errors="replace").strip()

    def note(self, line: str) -> None:
        """Tell a step under --verbose."""
        if self.verbose:
            self.terminal.note(line)

    def owners(self, flags: Mapping[str, object]) -> Owners:
        """Return who owns which host, found out once per run; a run has one command line."""
        if self._owners is None:
            from credential_helper.profiles.ownership import Owners  # for hosts only

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
        from credential_helper.stores.named_secrets import NamedSecrets  # few profiles have one there

        deadline = (lambda: _KEYRING_DEADLINE_PERSON) if person else self._keyring_deadline(profile)
        keyring = Keyring(environ=self.environ, deadline=deadline, store="keyring", note=self.note)
        return NamedSecrets(self.state, keyring, clock=self.clock, note=self.note)

    def sessions(self, profile: Profile | None = None, *, person: bool = True) -> Sessions:
        """Return the sessions, with the keyring that a profile means; ``person`` as for ``keyring``."""
        return Sessions(self.state, self.keyring(profile, person=person), note=self.note)

    def outlook(self, chosen: Chosen) -> Outlook:
        """Say what a call for a chosen profile would be answered, without asking or changing anything."""
        from credential_helper.broker.outlook import outlook  # what status says

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
        from credential_helper.system import children

        if children.find(source.value[0], self.environ) is None:
            raise ConfigurationError(f"{source.origin}: {children.not_found(source.value[0])}")
        return Secret("")

    def means(self, profile: Profile | None, *, deadline: float | None = None, warns: bool = True) -> Means:
        """Return what the broker works with; ``deadline`` is the seconds that a tool waits, ``warns`` as it behaves."""
        # Nobody is there to answer a dialog: of a keyring that is not known by its class it may be the first sign.
        sessions = self.sessions(None, person=False) if self._ahead else self.sessions(profile)
        return self._means(sessions, lambda source: self._read_secret(source, profile), deadline, warns)

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
            person=lambda: self.terminal,
            interrupts=self.interrupts,
            caller=self.caller,
            clock=self.clock,
            note=self.note,
            read_secret=read_secret,
            deadline=deadline,
            environ=self.environ,
            warns=warns,
            hidden=self.hidden,
            subject=self._subjects.token,
            asks=asks,
            signed_in=self._subjects.signed_in,
        )

    def _read_secret(self, source: Source, profile: Profile | None) -> Secret:
        return self._read(source, profile)[0]

    def _read(self, source: Source, profile: Profile | None) -> tuple[Secret, Proof]:
        """Read a secret once per run: its command may ask a person.

        A password is not kept (RFC 6749 §4.3.2), nor a file with a client certificate or its key: it may be replaced.
        """
        if source in self._secrets:
            return self._secrets[source]
        if source.kind == "keyring":
            read = self._from_keyring(source, None if self._ahead else profile), Proof()
        else:
            from credential_helper.profiles.sources import read_secret

            if source.kind == "command":  # no answer is kept then, so nobody is to wait for one
                self._flight.asks()
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
        from credential_helper.profiles.sources import trimmed

        try:
            return trimmed(self.named_secrets(profile).read(source.value[0]))
        except (ConfigurationError, StoreError) as error:
            error.sentence = f"{source.origin}: {error.sentence}"
            raise

    def obtain(self, chosen: Chosen, request: Request, *, mode: Mode = "any") -> Obtained:
        """Obtain a credential for a chosen profile."""
        self.hidden |= chosen.hidden
        manners = request.manners
        if self._ahead:
            mode = "ahead"
            if not is_wanted(chosen.profile, ci=self.in_ci):  # here and now: the answer may have been made elsewhere
                raise InteractionRequired("nobody wants this profile renewed ahead")
        errand = self.errand(chosen, request, mode=mode)
        if self.verbose:
            from credential_helper.profiles.hints import came_from

            self.note(f"{came_from(chosen.profile)}, sign-in {grant_id(chosen.profile)[:8]}…")
        left = None if manners.deadline is None else max(1.0, manners.deadline - self._flight.waited)  # seconds
        if self._ahead:
            left = _AHEAD_DEADLINE if chosen.profile.session_kind == "client" else None
        with self._subjects.under_way(chosen.profile.name, request):
            obtained = obtain(errand, self.means(chosen.profile, deadline=left, warns=manners.warns))
        if self.verbose:
            from credential_helper.broker.announce import described

            self.note(described(obtained, began=self.began, now=self.clock.now()))
        return obtained

    def errand(self, chosen: Chosen, request: Request, *, mode: Mode = "any") -> Errand:
        """Return what is to be had for a chosen profile."""

        def command() -> str:
            from credential_helper.profiles.hints import login_command  # for what goes wrong

            return login_command(chosen.profile)

        return Errand(
            profile=chosen.profile,
            request=request,
            mode=mode,
            command=command,
            config_changed_at=max((file.changed_at for file in chosen.files), default=0.0),
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


def write(answer: bytes) -> None:
    """Write the whole answer to stdout. Raises StoreError."""
    try:
        replies.write_out(answer)
    except OSError as error:
        raise StoreError(f"the answer cannot be written to stdout: {os.strerror(error.errno or 0).lower()}") from None
