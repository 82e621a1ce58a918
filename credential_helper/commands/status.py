"""Who is signed in, until when, and what a tool would be told now: read without a lock or a request, never a token.

Each profile has a row, whose ``exit_code`` is that of a call that nobody can help with (``broker.outlook``). Below it
stand the other sessions that its grant serves. Grants that serve no profile here stand apart, and count for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from credential_helper import __version__, places
from credential_helper.app import App, write
from credential_helper.broker import freshness
from credential_helper.broker.outlook import Outlook
from credential_helper.commands.selection import selected
from credential_helper.errors import ConfigurationError, CredentialHelperError, InteractionRequired, StoreError
from credential_helper.model import Profile, TokenKind
from credential_helper.profiles.choose import is_ad_hoc
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.configuration import Configuration, read
from credential_helper.profiles.remarks import remarks_on
from credential_helper.session import Grant, Session, is_of, place_of
from credential_helper.stores.grant_notes import Failure
from credential_helper.stores.sessions import Sessions
from credential_helper.text import foreign, host_of, json_line, rfc3339, span

VERSION = 3  # of the JSON; docs/status.md describes it


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session of a grant; its fields are keys of ``--json``, and every one is always there."""

    audience: str | None
    resource: tuple[str, ...]
    scope: tuple[str, ...]
    token: TokenKind | None
    expires_at: str | None  # RFC 3339
    expires_in: int | None  # seconds, never below 0


class GrantRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in and what was made from it; its fields are keys of ``--json``, and every one is always there."""

    id: str
    profiles: tuple[str, ...]  # that it serves; none: it was made by something else than the profiles here
    made_by: str  # the profile that signed in
    issuer: str
    client_id: str
    account: str | None
    machine: bool
    who: str | None
    refresh_token: str  # keyring, file, none, or not needed
    single: bool  # it serves one session: the provider gives one token per sign-in
    sessions: tuple[SessionRow, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One profile; its fields are the keys of ``--json``, and every one is always there."""

    profile: str
    issuer: str
    client_id: str
    flow: str
    account: str | None
    audience: str | None
    resource: tuple[str, ...]
    ready: bool  # True: it answers without a person
    exit_code: int  # what a call that nobody can help with would exit with
    problem: str | None = None  # why, or what is in the way once the token that is kept has ended
    who: str | None = None
    token: TokenKind | None = None
    expires_at: str | None = None  # RFC 3339
    expires_in: int | None = None  # seconds, never below 0
    renewable: bool = False  # without a person
    refresh_token: str = "none"  # keyring, file, none, or not needed
    same_sign_in_as: str | None = None  # the first profile that this grant serves, too
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
    """Print the table, or JSON; the exit code is 78 for a bad file, else of the first profile that is not ready."""
    as_json = bool(given.pop("json", False))
    problems: list[ConfigurationError] = []
    if given or is_ad_hoc({}, app.environ):
        subjects = list(selected(given, app))
        every = False
    else:
        configuration = read(app.environ, note=app.note)
        problems = configuration.problems()
        files, hidden = configuration.files, configuration.hidden
        subjects = [Chosen(profile=one, files=files, hidden=hidden) for one in configured(configuration, app)]
        every = True
        for remark in remarks_on(configuration, app.environ):
            app.terminal.warn(remark)
    sessions = app.sessions()
    rows = _rows(subjects, sessions, app)
    grants = _grants([chosen.profile for chosen in subjects], sessions, app, every=every)
    if not rows and not grants and not problems:
        try:
            list(selected({}, app))  # says what the smallest configuration is
        except ConfigurationError as error:
            problems = [error]
    if as_json:
        wrong = [_problem(problem) for problem in problems]
        document = {"version": VERSION, "profiles": rows, "grants": grants, "problems": wrong}
        write(json_line(msgspec.to_builtins(document)))
    else:
        in_file = {chosen.profile.name for chosen in subjects if chosen.profile.store == "file"}
        write(_text(rows, grants, lambda row: row.profile in in_file or app.has_keyring).encode())
    if app.verbose:
        _tell_more([chosen.profile for chosen in subjects], app)
    for problem in problems:
        app.terminal.error(problem)
    if problems:
        return ConfigurationError.exit_code
    return next((row.exit_code for row in rows if row.exit_code), 0)


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows(subjects: Iterable[Chosen], sessions: Sessions, app: App) -> list[Row]:
    """Return a row per profile."""
    rows: list[Row] = []
    first: dict[str, str] = {}  # the profile by the grant
    for chosen in subjects:
        place = place_of(chosen.profile)
        row = _row(chosen.profile, app.outlook(chosen), app.clock.now())
        rows.append(
            msgspec.structs.replace(
                row,
                same_sign_in_as=first.get(place.grant) if row.token or row.renewable else None,
                last_failure=_last_failure(place.grant, place.session, sessions, app.clock.now()),
            )
        )
        first.setdefault(place.grant, chosen.profile.name)
    return rows


def _grants(profiles: Sequence[Profile], sessions: Sessions, app: App, *, every: bool) -> list[GrantRow]:
    """Return a row per grant: of those that serve one of the profiles, or of ``every`` one."""
    now = app.clock.now()
    found: list[GrantRow] = []
    try:
        for identifier in sessions.grants.ids("json"):
            file = sessions.grants.look(identifier)
            if file is not None and file.grant is not None:
                kept = [stored.session for _, stored in sessions.of_grant(identifier, file.grant)]
                found.append(_grant(identifier, file.grant, kept, profiles, now))
        for identifier in sessions.ids_of_format_1():
            session = sessions.of_format_1(identifier)
            if session is not None:
                found.append(_grant(identifier, session.grant, [session], profiles, now))
    except StoreError as error:
        app.terminal.warn(f"nothing is known of any sign-in: {error.sentence}", hint=error.hint)
    return [row for row in found if row.profiles or every]


def _grant(
    identifier: str, grant: Grant, sessions: Sequence[Session], profiles: Sequence[Profile], now: float
) -> GrantRow:
    served = [one.name for one in profiles if is_of(grant, one) and (grant.main is None or grant.profile == one.name)]
    return GrantRow(
        id=identifier,
        profiles=tuple(served),
        made_by=grant.profile,
        issuer=grant.issuer,
        client_id=grant.client_id,
        account=grant.account,
        machine=grant.kind == "client",
        who=grant.identity.shown if grant.identity is not None else None,
        refresh_token=_refresh_token(grant),
        single=grant.main is not None,
        sessions=tuple(_session(session, now) for session in sessions),
    )


def _session(session: Session, now: float) -> SessionRow:
    kind: TokenKind = "access" if session.access is not None else "id"
    token = freshness.token_of(session, kind)
    expires_at = token.expires_at if token is not None else None
    return SessionRow(
        audience=session.audience,
        resource=session.resource,
        scope=session.scope,
        token=kind if token is not None else None,
        expires_at=rfc3339(expires_at) if expires_at is not None else None,
        expires_in=max(0, int(expires_at - now)) if expires_at is not None else None,
    )


def _refresh_token(grant: Grant) -> str:
    if grant.kind == "client":
        return "not needed"
    return "keyring" if grant.in_keyring else "file" if grant.refresh_token is not None else "none"


def _row(profile: Profile, outlook: Outlook, now: float) -> Row:
    machine = profile.session_kind == "client"
    error = outlook.error
    row = Row(
        profile=profile.name,
        issuer=profile.issuer,
        client_id=profile.client_id,
        flow=profile.flow,
        account=profile.account,
        audience=profile.audience,
        resource=profile.resource,
        ready=outlook.ready,
        exit_code=0 if outlook.ready or error is None else error.exit_code,
        problem=None if error is None else _problem(error),
        renewable=profile.unattended and error is None,
        refresh_token="not needed" if machine else "none",
    )
    session = outlook.session
    if session is None:
        return row
    row = _with_session(row, session, "id" if profile.token == "id" or session.access is None else "access", now)
    return msgspec.structs.replace(row, renewable=error is None and (profile.unattended or session.refreshable))


def _with_session(row: Row, session: Session, kind: TokenKind, now: float) -> Row:
    token = freshness.token_of(session, kind)
    expires_at = token.expires_at if token is not None else None
    return msgspec.structs.replace(
        row,
        who=session.identity.shown if session.identity is not None else None,
        token=kind if token is not None else None,
        expires_at=rfc3339(expires_at) if expires_at is not None else None,
        expires_in=max(0, int(expires_at - now)) if expires_at is not None else None,
        refresh_token=_refresh_token(session.grant),
    )


def _problem(error: CredentialHelperError) -> str:
    return f"{error.sentence}; {error.hint}" if error.hint else error.sentence


def _last_failure(grant_id: str, session_id: str, sessions: Sessions, now: float) -> str | None:
    try:
        failure: Failure | None = sessions.notes.failure(grant_id, session_id)
    except StoreError:  # said already
        return None
    if failure is None or failure.made > now:
        return None
    return f"{span(now - failure.made)} ago: {failure.sentence}"


# --- the table --------------------------------------------------------------------------------------------------------


def _text(rows: Sequence[Row], grants: Sequence[GrantRow], by_choice: Callable[[Row], bool]) -> str:
    """Return the table, with what else a grant serves below its profile; then the grants that serve no profile here.

    ``by_choice`` says of a refresh token in a file that it need not be there.
    """
    text = _table(rows, grants, by_choice) if rows else ""
    strangers = [grant for grant in grants if not grant.profiles]
    if strangers:
        text += ("\n" if text else "") + "of no profile here:\n" + "".join(map(_stranger, strangers))
    return text


def _table(rows: Sequence[Row], grants: Sequence[GrantRow], by_choice: Callable[[Row], bool]) -> str:
    head = ("profile", "issuer", "who", "token", "expires in", "refresh token")
    lines = [head, *(_cells(row, by_choice) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ""
    for line, row in zip(lines, [None, *rows], strict=True):
        text += "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        if row is not None:
            text += "".join(f"  {remark}\n" for remark in [*_remarks(row), *_also(row, grants)])
    return text


def _also(row: Row, grants: Iterable[GrantRow]) -> Iterator[str]:
    """Yield what the grants of a profile serve beside its own session, each below the first profile that has it."""
    for grant in grants:
        if grant.profiles and grant.profiles[0] == row.profile:
            for session in grant.sessions:
                if (session.audience, session.resource) != (row.audience, row.resource) and session.token is not None:
                    own = ", by a sign-in of its own" if grant.single else ""
                    yield f"also for {_purpose(session)}: {session.token}, {_left(session)}{own}"


def _purpose(session: SessionRow) -> str:
    return foreign(session.audience or " ".join(session.resource) or " ".join(session.scope) or "no audience", 200)


def _left(session: SessionRow) -> str:
    if session.expires_in is None:
        return "for as long as the provider lets it"
    return span(session.expires_in) if session.expires_in > 0 else "expired"


def _stranger(grant: GrantRow) -> str:
    who = foreign(grant.who, 60) if grant.who else "a machine" if grant.machine else "somebody"
    host, name = foreign(host_of(grant.issuer), 80), foreign(grant.made_by, 60)
    text = f"{name}  {host}  {who}  refresh token: {grant.refresh_token}\n"
    tokens = [one for one in grant.sessions if one.token is not None]
    return text + "".join(f"  for {_purpose(one)}: {one.token}, {_left(one)}\n" for one in tokens)


def _remarks(row: Row) -> Iterator[str]:
    if row.audience is not None:
        yield f"for {foreign(row.audience)}"
    if row.same_sign_in_as is not None:
        yield f"same sign-in as {foreign(row.same_sign_in_as)}"
    if row.problem is not None and (row.who is not None or row.exit_code != InteractionRequired.exit_code):
        yield f"{'once it ends' if row.ready else 'not ready'}: {foreign(row.problem, 500)}"
    if row.last_failure is not None and row.last_failure.partition(": ")[2] not in (row.problem or ""):
        yield f"last failure {foreign(row.last_failure, 500)}"


def _cells(row: Row, by_choice: Callable[[Row], bool]) -> tuple[str, ...]:
    if row.expires_in is None:
        left = "unknown" if row.token is not None else "-"
    elif row.expires_in > 0:
        left = span(row.expires_in)
    else:
        left = "renews at the next use" if row.renewable else "expired"
    who = foreign(row.who, 60) if row.who else "-" if row.refresh_token == "not needed" else "nobody"
    kept = "file (no keyring here)" if row.refresh_token == "file" and not by_choice(row) else row.refresh_token
    return (foreign(row.profile, 60), foreign(host_of(row.issuer), 80), who, row.token or "-", left, kept)


def _tell_more(subjects: Iterable[Profile], app: App) -> None:
    say = app.terminal.say
    say(f"version: {__version__}")
    configuration = read(app.environ)
    for file in configuration.files:
        say(f"{file.place} config file: {file.path}{' (not there)' if file.stamp == places.ABSENT else ''}")
    say(f"state directory: {app.state.path or 'none'}")
    say(f"keyring: {app.keyring().backend()}")
    for profile in subjects:
        for setting, origin in profile.origins:
            say(f"{profile.name}: {setting} from {origin}")
