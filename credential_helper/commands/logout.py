"""``run``: erase sessions here, revoke them at the provider, and say what stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from credential_helper.app import App
from credential_helper.broker.forget import SignedOut, forget, same_account
from credential_helper.commands import status
from credential_helper.commands.selection import as_profile, selected
from credential_helper.errors import CredentialHelperError, TransportError, UsageError
from credential_helper.model import Profile, Session, session_id
from credential_helper.profiles.configuration import load
from credential_helper.profiles.settings import Given
from credential_helper.stores.sessions import Sessions
from credential_helper.text import foreign, moment


def run(given: Given, app: App) -> int:
    """Erase sessions here and revoke them there; the exit code is that of the first thing that went wrong."""
    sessions = app.sessions()
    if given.pop("all", False):
        if given:
            raise UsageError("--all takes neither profiles nor their flags")
        known = status.configured(load(app.environ, note=app.note), app)
        ids = sessions.ids("json", "prompt", "failure")
        codes = [_forget(one, lambda session: _revoker_of(session, known), app) or 0 for one in ids]
        if not ids:
            app.terminal.say("nobody is signed in")
        return next((code for code in codes if code), 0)
    codes = [code for chosen in list(selected(given, app)) for code in _sign_out(chosen.profile, sessions, app)]
    return next((code for code in codes if code), 0)


def _sign_out(profile: Profile, sessions: Sessions, app: App) -> list[int]:
    """End every session of a profile's issuer, client and account; return the exit codes of those there were."""
    ids = [session_id(profile)]
    ids += [one for one in sessions.ids("json", "prompt") if one not in ids and _same(sessions, one, profile)]
    ended = [_forget(one, lambda _session: profile, app) for one in ids]
    codes = [code for code in ended if code is not None]
    if not codes:
        app.terminal.say(f"nobody was signed in to {foreign(profile.name)}")
    return codes


def _same(sessions: Sessions, identifier: str, profile: Profile) -> bool:
    """Say whether a session, or a sign-in under way, is of the profile's issuer, client and account."""
    stored = sessions.read(identifier)
    if stored is None:
        prompt = sessions.notes.prompt(identifier)
        return prompt is not None and prompt.profile == profile.name and prompt.issuer == profile.issuer
    return same_account(stored.session, profile)


def _revoker_of(session: Session, known: Iterable[Profile]) -> Profile:
    """Return the profile that knows how to revoke a session: a configured one, else what the session itself says."""
    configured = (profile for profile in known if same_account(session, profile))
    return next(configured, None) or as_profile(session)


def _forget(identifier: str, profile_of: Callable[[Session], Profile], app: App) -> int | None:
    """End one session and say what stays; None: there was none."""
    try:
        ended = forget(identifier, profile_of, app.means)
    except CredentialHelperError as error:
        app.terminal.error(error)
        return error.exit_code
    if ended is None:
        return None
    who = f" ({foreign(ended.identity.shown, 100)})" if ended.identity else ""
    app.terminal.say(f"signed out of {foreign(ended.profile)}{who}")
    stays = list(_what_stays(ended, app.clock.now()))
    if stays:
        app.terminal.say("; ".join(stays))
    if ended.error is not None:
        ended.error.profile = ended.profile
        ended.error.sentence = f"the refresh token was erased here but not revoked: {ended.error.sentence}"
        app.terminal.error(ended.error)
        return TransportError.exit_code
    return 0


def _what_stays(ended: SignedOut, now: float) -> Iterator[str]:
    if ended.revoked:
        yield "the refresh token is revoked"
    elif ended.revoked is False:
        yield f"{ended.host} revokes no tokens: the refresh token ends by itself"
    if ended.had_access:
        until = moment(ended.accepted_until, now) if ended.accepted_until is not None else None
        yield f"the access token is accepted until {until}" if until else "the access token may still be accepted"
    if ended.kind == "person":
        yield f"the browser stays signed in at {ended.host}"
