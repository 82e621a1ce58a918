"""``run``: end a profile's sign-in here, revoke it at the provider, and say what ends with it and what stays.

A profile's own is the grant that serves all its audiences, those of single sessions that were made under its name as
long as they are of the same person, and what an earlier version of this program has kept of either. Where an audience,
a resource or a scope is given, that one session is meant. Profiles that shared the grant are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from credential_helper.app import App
from credential_helper.broker.cached_session import before, place_now
from credential_helper.broker.forget import SignedOut, forget, forget_format_1, forget_session
from credential_helper.commands import kept_besides, status
from credential_helper.commands.selection import PURPOSE, as_profile, selected
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Profile
from credential_helper.profiles.configuration import load
from credential_helper.profiles.settings import Given
from credential_helper.session import Grant, Place, is_of, place_of, same_person
from credential_helper.stores.sessions import Sessions
from credential_helper.text import foreign, moment

_End = Callable[..., SignedOut | None]  # forget, or forget_format_1


def run(given: Given, app: App) -> int:
    """End sign-ins here and revoke them there; the exit code is that of the first thing that went wrong."""
    everything, keyring = given.pop("all", False), given.pop("keyring", False)
    if keyring and not everything:
        raise UsageError("--keyring goes with --all", hint="credential-helper logout --all --keyring")
    if everything:
        if given:
            raise UsageError("--all takes neither profiles nor their flags")
        return _everything(app, keyring=bool(keyring))
    exactly = any(key in given for key in PURPOSE)
    profiles = [chosen.profile for chosen in selected(given, app)]
    known = [] if all(profile.ad_hoc for profile in profiles) else _known(app)
    ended: set[str] = set()
    codes = []
    for profile in profiles:
        mine = _Mine(profile, app.sessions(), exactly=exactly)
        if mine.main.grant in ended:  # it was said with the profile that has the same one
            continue
        ended.update(mine.grants)
        codes += _sign_out(profile, mine, known, app)
    return next((code for code in codes if code), 0)


def _everything(app: App, *, keyring: bool) -> int:
    sessions, known = app.sessions(), _known(app)

    def revoker(grant: Grant) -> Profile:
        """Return the profile that knows how to revoke a grant: a configured one, else what the grant itself says."""
        return next((profile for profile in known if is_of(grant, profile)), None) or as_profile(grant)

    ids, old = sessions.grants.ids("json", "prompt", "failure"), sessions.ids_of_format_1()
    codes = [_forget(forget, one, revoker, app) or 0 for one in ids]
    codes += [_forget(forget_format_1, one, revoker, app) or 0 for one in old]
    if not ids and not old:
        app.terminal.say("nobody is signed in")
    if keyring:
        codes.append(kept_besides.erase(app))
    else:
        kept_besides.report(app)
    return next((code for code in codes if code), 0)


def _known(app: App) -> list[Profile]:
    """Return the profiles of the config files; none where they cannot be read: a grant says what it needs itself."""
    try:
        return status.configured(load(app.environ, note=app.note), app)
    except ConfigurationError as error:
        app.terminal.warn(error.sentence, hint=error.hint)
        return []


class _Mine:
    """What a logout of one profile is about."""

    def __init__(self, profile: Profile, sessions: Sessions, *, exactly: bool) -> None:
        self.main = place_of(profile)  # of a machine: of one without a proof, which nobody is
        self.grants: list[str] = []
        self.format_1: list[str] = []
        self.session: Place | None = None  # one that ends alone; its grant serves others, too
        self.stay: list[Grant] = []  # of somebody else, under the profile's name
        self._profile = profile
        self._sessions = sessions
        if exactly:
            self._find_one()
        else:
            self._find_all()

    def _find_one(self) -> None:
        sessions, profile = self._sessions, self._profile
        if profile.session_kind == "client":
            self.grants = [one for one, grant in self._known() if grant.session == one and self._is_for(grant)]
            return
        place = place_now(sessions, profile, self.main)
        file = sessions.grants.look(place.grant)
        if file is not None and file.grant is not None and file.grant.session != place.session:
            self.session = place
        else:
            self.grants = [place.grant]
        old = before(sessions, profile)[0]
        self.format_1 = [] if old is None else [old]

    def _is_for(self, grant: Grant) -> bool:
        profile = self._profile
        return is_of(grant, profile) and (grant.audience, grant.resource) == (profile.audience, profile.resource)

    def _find_all(self) -> None:
        profile, main = self._profile, self.main.grant
        file = self._sessions.grants.look(main)
        who = file.grant.identity if file is not None and file.grant is not None else None
        self.grants = [main] if profile.session_kind == "person" else []
        for identifier, grant in self._known():
            if identifier == main or not is_of(grant, profile) or not self._is_by(grant):
                continue
            if same_person(who, grant.identity):
                who = who or grant.identity
                self.grants.append(identifier)
            else:
                self.stay.append(grant)
        self.grants += [one for one in self._sessions.grants.ids("prompt") if self._asks(one)]
        self.grants = list(dict.fromkeys(self.grants))
        for identifier in self._sessions.ids_of_format_1():
            session = self._sessions.of_format_1(identifier)
            if session is not None and self._is_by(session.grant) and _is_of_format_1(session.grant, profile):
                self.format_1.append(identifier)

    def _known(self) -> Iterator[tuple[str, Grant]]:
        """Yield every grant that is known of."""
        for identifier in self._sessions.grants.ids("json"):
            file = self._sessions.grants.look(identifier)
            if file is not None and (grant := file.grant or (file.arrival and file.arrival.grant)):
                yield identifier, grant

    def _is_by(self, grant: Grant) -> bool:
        """Say whether a grant was made under the profile's name; of ad-hoc profiles any, for each has its own."""
        return grant.profile == self._profile.name or (self._profile.ad_hoc and grant.ad_hoc)

    def _asks(self, identifier: str) -> bool:
        """Say whether a sign-in is under way for the profile."""
        prompt = self._sessions.notes.prompt(identifier)
        mine = (self._profile.name, self._profile.issuer)
        return prompt is not None and (prompt.profile, prompt.issuer) == mine


def _is_of_format_1(grant: Grant, profile: Profile) -> bool:
    """Say the same of what an earlier version has kept, which knew less of where it signed in."""
    mine = (profile.issuer.rstrip("/"), profile.client_id, profile.session_kind, profile.account, profile.ad_hoc)
    return mine == (grant.issuer.rstrip("/"), grant.client_id, grant.kind, grant.account, grant.ad_hoc)


def _sign_out(profile: Profile, mine: _Mine, known: Sequence[Profile], app: App) -> list[int]:
    """End what is a profile's own, say what stays, and return the exit codes of what there was."""
    codes: list[int | None] = []
    if mine.session is not None:
        codes.append(_forget_session(profile, mine.session, app))
    for end, identifiers in ((forget, mine.grants), (forget_format_1, mine.format_1)):
        codes += [_forget(end, one, lambda _grant: profile, app, named=profile, known=known) for one in identifiers]
    found = [code for code in codes if code is not None]
    if not found:
        app.terminal.say(f"nobody was signed in to {foreign(profile.name)}")
    for grant in mine.stay:
        who = foreign(grant.identity.shown, 100) if grant.identity is not None else "somebody"
        app.terminal.say(f"{who} stays signed in to {foreign(profile.name)}{_purpose(grant.audience)}")
    return found


def _forget_session(profile: Profile, place: Place, app: App) -> int | None:
    """Erase the tokens of one session, whose grant serves others; None: there are none."""
    try:
        if not forget_session(place, app.means(profile)):
            return None
    except CredentialHelperError as error:
        error.profile = profile.name
        app.terminal.error(error)
        return error.exit_code
    what = profile.audience or " ".join(profile.resource)
    app.terminal.say(f"the token of {foreign(profile.name)}{_purpose(what)} is erased")
    app.terminal.say(f"the sign-in serves on; credential-helper logout {foreign(profile.name)} ends it")
    return 0


def _purpose(audience: str | None) -> str:
    return f" for {foreign(audience, 200)}" if audience else ""


def _forget(
    end: _End,
    identifier: str,
    profile_of: Callable[[Grant], Profile],
    app: App,
    *,
    named: Profile | None = None,
    known: Sequence[Profile] = (),
) -> int | None:
    """End one sign-in and say what stays; None: there was none.

    ``named`` is the profile that is signed out of (None: whichever it is), ``known`` are those that may share it.
    """
    name = None if named is None else named.name
    try:
        ended = end(identifier, profile_of, app.means)
    except CredentialHelperError as error:
        error.profile = name or error.profile
        app.terminal.error(error)
        return error.exit_code
    if ended is None:
        return None
    name = name or ended.profile
    who = f" ({foreign(ended.identity.shown, 100)})" if ended.identity else ""
    purpose = _purpose(ended.audience) if named is not None and ended.audience != named.audience else ""
    app.terminal.say(f"signed out of {foreign(name)}{who}{purpose}")
    _tell_sharing([other.name for other in known if other.name != name and _shares(other, ended)], app)
    stays = list(_what_stays(ended, app.clock.now()))
    if stays:
        app.terminal.say("; ".join(stays))
    if ended.error is not None:
        ended.error.profile = name
        ended.error.sentence = f"the refresh token was erased here but not revoked: {ended.error.sentence}"
        app.terminal.error(ended.error)
        return ended.error.exit_code
    return 0


def _shares(profile: Profile, ended: SignedOut) -> bool:
    """Say whether another profile was served by the grant that has ended."""
    return ended.grant_id in place_of(profile) and profile.session_kind == ended.kind


def _tell_sharing(names: Iterable[str], app: App) -> None:
    sharing = [foreign(name) for name in names]
    if sharing:
        them = "it" if len(sharing) == 1 else "them"
        app.terminal.say(f"{', '.join(sharing)} had the same sign-in, which has ended for {them}, too")


def _what_stays(ended: SignedOut, now: float) -> Iterator[str]:
    if ended.revoked:
        yield "the refresh token is revoked"
    elif ended.revoked is False:
        yield f"{ended.host} revokes no tokens: the refresh token ends by itself"
    elif ended.error is not None:
        yield f"the refresh token stays good at {ended.host} until it ends by itself"
    if ended.had_access:
        until = moment(ended.accepted_until, now) if ended.accepted_until is not None else None
        yield f"the access token is accepted until {until}" if until else "the access token may still be accepted"
    if ended.kind == "person":
        yield f"the browser stays signed in at {ended.host}"
