"""``run``: end a profile's sign-in here, revoke it at the provider, and say what ends with it and what stays.

What is a profile's own is found out in ``what_ends``. Profiles that had the same sign-in are named.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.broker.forget import SignedOut, forget, forget_format_1, forget_session
from credential_helper.commands import kept_besides, status
from credential_helper.commands.selection import PURPOSE, as_profile, selected
from credential_helper.commands.what_ends import SignIn, WhatEnds, all_of, is_own, one_of, purpose, serves, sign_ins
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Profile
from credential_helper.profiles.configuration import load
from credential_helper.profiles.hints import hint_flags
from credential_helper.profiles.settings import Given
from credential_helper.session import Grant, Place, is_of
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
    find = one_of if any(key in given for key in PURPOSE) else all_of
    profiles = [chosen.profile for chosen in selected(given, app)]
    known = [] if all(profile.ad_hoc for profile in profiles) else _known(app)
    codes: list[int] = []
    ended: set[str] = set()
    for profile, ends in [(profile, find(profile, app.sessions())) for profile in profiles]:
        if not ends.ids <= ended:  # else it was said with the profile that has the same one
            codes += _sign_out(profile, ends, ended, known, app)
            ended |= ends.ids
    return next((code for code in codes if code), 0)


def _everything(app: App, *, keyring: bool) -> int:
    sessions, known = app.sessions(), _known(app)

    def revoker(grant: Grant) -> Profile:
        """Return the profile that knows how to revoke a grant: a configured one, else what the grant itself says."""
        return next((profile for profile in known if is_of(grant, profile)), None) or as_profile(grant)

    there = {one.id: one for one in sign_ins(sessions)}

    def revoker_of_format_1(grant: Grant) -> Profile:
        one = there.get(grant.session) or SignIn(grant.session, grant, format_1=True)
        return next((profile for profile in known if is_own(one, profile, sessions)), None) or as_profile(grant)

    ids, old = sessions.grants.ids("json", "prompt", "failure"), sessions.ids_of_format_1()
    codes = [_forget(forget, one, revoker, app) or 0 for one in ids]
    codes += [_forget(forget_format_1, one, revoker_of_format_1, app) or 0 for one in old]
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


def _sign_out(
    profile: Profile, ends: WhatEnds, ended: Collection[str], known: Iterable[Profile], app: App
) -> list[int]:
    """End what is a profile's own and has not ``ended``, say what stays, and return the exit codes of what there was.

    ``known`` are the profiles that may have the same sign-in.
    """
    if ends.session is not None:
        return [_forget_session(profile, ends.session, app)]
    sessions = app.sessions()
    others = [other for other in known if other.name != profile.name]
    found: list[int] = []
    there = {one.id: one for one in sign_ins(sessions)}
    for identifier in (*ends.grants, *ends.format_1):
        if identifier in ended:
            continue
        one = there.get(identifier)
        sharing = [other.name for other in others if one is not None and serves(one, other, sessions)]
        another = one is not None and identifier != ends.main and purpose(one.grant) != purpose(profile)
        code = _forget(
            forget_format_1 if identifier in ends.format_1 else forget,
            identifier,
            lambda _grant: profile,
            app,
            name=profile.name,
            made_for=_for(one.grant) if one is not None and another else "",
            sharing=sharing,
        )
        found += [] if code is None else [code]
    if not found:
        app.terminal.say(f"nobody was signed in to {foreign(profile.name)}")
    for grant in ends.stay:
        who = foreign(grant.identity.shown, 100) if grant.identity is not None else "somebody"
        app.terminal.say(f"{who} stays signed in to {foreign(profile.name)}{_for(grant)}")
    return found


def _forget_session(profile: Profile, place: Place, app: App) -> int:
    """Erase the tokens of one session, whose grant serves others."""
    what = f"{foreign(profile.name)}{_for(profile)}"
    try:
        there = forget_session(place, app.means(profile))
    except CredentialHelperError as error:
        error.profile = profile.name
        app.terminal.error(error)
        return error.exit_code
    app.terminal.say(f"the token of {what} is erased" if there else f"there was no token of {what}")
    whole = [(key, where) for key, where in profile.origins if key not in PURPOSE]
    words = hint_flags(msgspec.structs.replace(profile, origins=tuple(whole)))
    app.terminal.say(f"the sign-in serves on; {shlex.join([PROGRAM, 'logout', *words])} ends it")
    return 0


def _for(made_for: Grant | Profile) -> str:
    what = made_for.audience or " ".join(made_for.resource)
    return f" for {foreign(what, 200)}" if what else ""


def _forget(
    end: _End,
    identifier: str,
    profile_of: Callable[[Grant], Profile],
    app: App,
    *,
    name: str | None = None,
    made_for: str = "",
    sharing: Sequence[str] = (),
) -> int | None:
    """End one sign-in and say what stays; None: there was none.

    ``name`` is the profile's that is signed out of; None: whichever it is. ``made_for`` says what it was made for,
    where that is something else; ``sharing`` are the other profiles that were answered from it.
    """
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
    app.terminal.say(f"signed out of {foreign(name)}{who}{made_for}")
    if sharing:
        them = "it" if len(sharing) == 1 else "them"
        app.terminal.say(f"{', '.join(map(foreign, sharing))} had the same sign-in, which has ended for {them}, too")
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
