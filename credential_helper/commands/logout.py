"""``run``: erase a profile's own sign-in here, revoke it at the provider, and say what ends with it and what stays.

A profile's own are the session that it names and those that were made under its name for another audience, as long as
they are of the same person; where an audience, a resource or a scope is given, that one alone. Another profile's
session is its own affair, unless it is the same one: then it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from credential_helper.app import App
from credential_helper.broker.forget import SignedOut, forget, same_account, same_person
from credential_helper.commands import kept_besides, status
from credential_helper.commands.selection import as_profile, selected
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Profile, Session, session_id
from credential_helper.profiles.configuration import NAME, load
from credential_helper.profiles.settings import Given
from credential_helper.stores.sessions import Sessions
from credential_helper.text import foreign, moment


def run(given: Given, app: App) -> int:
    """Erase sessions here and revoke them there; the exit code is that of the first thing that went wrong."""
    sessions = app.sessions()
    everything, keyring = given.pop("all", False), given.pop("keyring", False)
    if keyring and not everything:
        raise UsageError("--keyring goes with --all", hint="credential-helper logout --all --keyring")
    if everything:
        if given:
            raise UsageError("--all takes neither profiles nor their flags")
        known = _known(app)
        ids = sessions.ids("json", "prompt", "failure")
        codes = [_forget(one, lambda session: _revoker_of(session, known), app) or 0 for one in ids]
        if not ids:
            app.terminal.say("nobody is signed in")
        if keyring:
            codes.append(kept_besides.erase(app))
        else:
            kept_besides.report(app)
        return next((code for code in codes if code), 0)
    exactly = any(key in given for key in ("audience", "resource", "scope"))  # that one session is meant
    profiles = [chosen.profile for chosen in selected(given, app)]
    known = [] if all(profile.ad_hoc for profile in profiles) else _known(app)
    ended: set[str] = set()
    codes = []
    for profile in profiles:
        if session_id(profile) not in ended:  # else it was said with the profile that has the same one
            mine, stay = ([session_id(profile)], []) if exactly else _own(profile, sessions)
            ended.update(mine)
            codes += _sign_out(profile, mine, stay, known, app)
    return next((code for code in codes if code), 0)


def _known(app: App) -> list[Profile]:
    """Return the profiles of the config files; none where they cannot be read: a session says what it needs itself."""
    try:
        return status.configured(load(app.environ, note=app.note), app)
    except ConfigurationError as error:
        app.terminal.warn(error.sentence, hint=error.hint)
        return []


def _sign_out(
    profile: Profile, mine: Sequence[str], stay: Iterable[Session], known: Sequence[Profile], app: App
) -> list[int]:
    """End a profile's sessions, say whose ``stay``, and return the exit codes of those there were."""
    codes = []
    for one in mine:
        sharing = [other.name for other in known if other.name != profile.name and session_id(other) == one]
        code = _forget(one, lambda _session: profile, app, named=profile, sharing=sharing)
        codes += [] if code is None else [code]
    if not codes:
        app.terminal.say(f"nobody was signed in to {foreign(profile.name)}")
    for session in stay:
        who = foreign(session.identity.shown, 100) if session.identity is not None else "somebody"
        app.terminal.say(f"{who} stays signed in to {foreign(profile.name)}{_purpose(session.audience)}")
    return codes


def _own(profile: Profile, sessions: Sessions) -> tuple[list[str], list[Session]]:
    """Return the ids of a profile's own sessions, and those of another person that were made under its name."""
    first = session_id(profile)
    mine, stay = [first], []
    stored = sessions.look(first)
    who = stored.session.identity if stored is not None else None
    for one in sessions.ids("json", "prompt"):
        found = sessions.look(one)
        if one == first:
            continue
        if found is None:
            mine += [one] if _asked_for(sessions, one, profile) else []
        elif same_account(found.session, profile) and _made_by(found.session, profile):
            if same_person(who, found.session.identity):
                who = who or found.session.identity
                mine.append(one)
            else:
                stay.append(found.session)
    return mine, stay


def _made_by(session: Session, profile: Profile) -> bool:
    """Say whether a session was made under a profile's name; of ad-hoc profiles any, for each has its own."""
    return session.profile == profile.name or (profile.ad_hoc and NAME.fullmatch(session.profile) is None)


def _asked_for(sessions: Sessions, identifier: str, profile: Profile) -> bool:
    """Say whether a sign-in is under way for a profile."""
    prompt = sessions.notes.prompt(identifier)
    return prompt is not None and prompt.profile == profile.name and prompt.issuer == profile.issuer


def _purpose(audience: str | None) -> str:
    return f" for {foreign(audience, 200)}" if audience else ""


def _revoker_of(session: Session, known: Iterable[Profile]) -> Profile:
    """Return the profile that knows how to revoke a session: a configured one, else what the session itself says."""
    configured = (profile for profile in known if same_account(session, profile))
    return next(configured, None) or as_profile(session)


def _forget(
    identifier: str,
    profile_of: Callable[[Session], Profile],
    app: App,
    *,
    named: Profile | None = None,
    sharing: Sequence[str] = (),
) -> int | None:
    """End one session and say what stays; None: there was none.

    ``named`` is the profile that is signed out of (None: whichever it is), ``sharing`` are others that have the same
    session.
    """
    name = None if named is None else named.name
    try:
        ended = forget(identifier, profile_of, app.means)
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
    if sharing:
        names = ", ".join(map(foreign, sharing))
        app.terminal.say(
            f"{names} had the same sign-in, which has ended for {'it' if len(sharing) == 1 else 'them'}, too"
        )
    stays = list(_what_stays(ended, app.clock.now()))
    if stays:
        app.terminal.say("; ".join(stays))
    if ended.error is not None:
        ended.error.profile = name
        ended.error.sentence = f"the refresh token was erased here but not revoked: {ended.error.sentence}"
        app.terminal.error(ended.error)
        return ended.error.exit_code
    return 0


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
