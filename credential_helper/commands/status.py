"""Who is signed in, and until when: read without a lock, without a request, and never a token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from credential_helper import PROGRAM, __version__, places
from credential_helper.app import App, write
from credential_helper.broker import freshness
from credential_helper.commands.selection import as_profile, selected
from credential_helper.errors import ConfigurationError, InteractionRequired, StoreError
from credential_helper.model import Profile, Request, Session, TokenKind, session_id
from credential_helper.profiles.choose import is_ad_hoc
from credential_helper.profiles.configuration import Configuration, load
from credential_helper.stores.session_notes import Failure
from credential_helper.stores.sessions import Sessions
from credential_helper.text import foreign, host_of, rfc3339, span


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the table; its fields are the keys of ``--json``."""

    profile: str
    issuer: str  # its host
    ready: bool  # True: it answers without a person
    audience: str | None = None
    who: str | None = None
    token: TokenKind | None = None
    expires_at: str | None = None  # RFC 3339
    expires_in: int | None = None  # seconds
    refresh_token: str = "none"  # keyring, file, none, or not needed
    last_failure: str | None = None


def configured(configuration: Configuration, app: App) -> list[Profile]:
    """Return every profile of the config files that can be used."""
    usable = []
    for name in configuration.names():
        try:
            usable.append(configuration.profile(name))
        except ConfigurationError as error:
            app.note(error.sentence)
    return usable


def run(given: dict[str, object], app: App) -> int:
    """Print the table, or JSON; 0 when each profile answers without a person, 66 when not, 78 for a bad file."""
    as_json = bool(given.pop("json", False))
    problems: list[ConfigurationError] = []
    if given or is_ad_hoc({}, app.environ):
        subjects = [chosen.profile for chosen in selected(given, app)]
        others = False
    else:
        configuration = load(app.environ, note=app.note)
        problems = configuration.problems()
        subjects, others = configured(configuration, app), True
    sessions = app.sessions()
    try:
        rows = _rows(subjects, sessions, app, others=others)
    except StoreError as error:
        app.terminal.warn(f"nothing is known of any sign-in: {error.sentence}", hint=error.hint)
        rows = _rows(subjects, None, app, others=False)
    if not rows and not problems:
        list(selected({}, app))  # says what the smallest configuration is
    if as_json:
        write(msgspec.json.encode({"version": 1, "profiles": rows}) + b"\n")
    elif rows:
        write(_table(rows).encode())
    if app.verbose:
        _tell_more(subjects, app)
    for problem in problems:
        app.terminal.error(problem)
    if problems:
        return ConfigurationError.exit_code
    return 0 if all(row.ready for row in rows) else InteractionRequired.exit_code


def _rows(subjects: Iterable[Profile], sessions: Sessions | None, app: App, *, others: bool) -> list[Row]:
    """Return a row per profile, then one for each other session on disk: of another audience, or ad hoc.

    ``sessions`` is None where the state directory cannot be used. Raises StoreError.
    """
    rows, seen = [], set()
    for profile in subjects:
        identifier = session_id(profile)
        if identifier not in seen:
            seen.add(identifier)
            rows.append(_row(profile, identifier, sessions, app))
    if sessions is not None:
        names = None if others else {row.profile for row in rows}
        rows += [_row(profile, one, sessions, app) for one, profile in _others(sessions, seen, names)]
    return rows


def _others(sessions: Sessions, seen: set[str], names: set[str] | None) -> Iterator[tuple[str, Profile]]:
    """Yield the other sessions on disk, of these names only or of any, with what they themselves say of a profile."""
    for identifier in sessions.ids("json"):
        stored = sessions.read(identifier)
        if stored is None or identifier in seen or (names is not None and stored.session.profile not in names):
            continue
        yield identifier, as_profile(stored.session)


def _row(profile: Profile, identifier: str, sessions: Sessions | None, app: App) -> Row:
    now = app.clock.now()
    stored = sessions.read(identifier) if sessions is not None else None
    failure = sessions.notes.failure(identifier) if sessions is not None else None
    machine = profile.session_kind == "client"
    session = stored.session if stored is not None else None
    row = Row(
        profile=profile.name,
        issuer=host_of(profile.issuer),
        ready=profile.unattended,
        audience=profile.audience,
        refresh_token="not needed" if machine else "none",
        last_failure=_last_failure(failure, now),
    )
    return row if session is None else _with_session(row, profile, session, now)


def _with_session(row: Row, profile: Profile, session: Session, now: float) -> Row:
    kind: TokenKind = "id" if profile.token == "id" or session.access is None else "access"
    token = freshness.token_of(session, kind)
    expires_at = token.expires_at if token is not None else None
    usable = freshness.valid(session, kind, Request(tool=PROGRAM), now) and not session.unverified
    refresh_token = "keyring" if session.in_keyring else "file" if session.refresh_token is not None else "none"
    return msgspec.structs.replace(
        row,
        ready=row.ready or usable or session.refreshable,
        who=session.identity.shown if session.identity is not None else None,
        token=kind if token is not None else None,
        expires_at=rfc3339(expires_at) if expires_at is not None else None,
        expires_in=int(expires_at - now) if expires_at is not None else None,
        refresh_token=row.refresh_token if session.kind == "client" else refresh_token,
    )


def _last_failure(failure: Failure | None, now: float) -> str | None:
    if failure is None or failure.made > now:
        return None
    return f"{span(now - failure.made)} ago: {failure.sentence}"


def _table(rows: list[Row]) -> str:
    head = ("profile", "issuer", "who", "token", "expires in", "refresh token")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ""
    for line, row in zip(lines, [None, *rows], strict=True):
        text += "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        if row is not None and row.audience is not None:
            text += f"  for {foreign(row.audience)}\n"
        if row is not None and row.last_failure is not None:
            text += f"  last failure {foreign(row.last_failure, 500)}\n"
    return text


def _cells(row: Row) -> tuple[str, ...]:
    if row.expires_in is None:
        left = "unknown" if row.token is not None else "-"
    else:
        left = span(row.expires_in) if row.expires_in > 0 else "expired"
    who = foreign(row.who, 60) if row.who else "-" if row.refresh_token == "not needed" else "nobody"
    return (foreign(row.profile, 60), foreign(row.issuer, 80), who, row.token or "-", left, row.refresh_token)


def _tell_more(subjects: Iterable[Profile], app: App) -> None:
    say = app.terminal.say
    say(f"version: {__version__}")
    configuration = load(app.environ)
    for file in configuration.files:
        say(f"{file.place} config file: {file.path}{' (not there)' if file.stamp == places.ABSENT else ''}")
    for remark in configuration.remarks:
        say(f"  {remark}")
    say(f"state directory: {app.state.path or 'none'}")
    say(f"keyring: {app.keyring().backend()}")
    for profile in subjects:
        for setting, origin in profile.origins:
            say(f"{profile.name}: {setting} from {origin}")
