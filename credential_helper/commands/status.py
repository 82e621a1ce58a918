"""Who is signed in, until when, and what a tool would be told now: read without a lock or a request, never a token.

Each profile has a row, whose ``exit_code`` is that of a call that nobody can help with (``broker.outlook``). What else
the state directory holds stands apart and counts for nothing: a profile's session for another audience, and sign-ins
that no profile here names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from credential_helper import PROGRAM, __version__, places
from credential_helper.app import App, write
from credential_helper.broker import freshness
from credential_helper.broker.forget import same_account
from credential_helper.broker.outlook import Outlook
from credential_helper.commands.selection import as_profile, selected
from credential_helper.errors import ConfigurationError, CredentialHelperError, InteractionRequired, StoreError
from credential_helper.model import Profile, Request, Session, TokenKind, session_id
from credential_helper.profiles.choose import is_ad_hoc
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.configuration import Configuration, read
from credential_helper.profiles.remarks import remarks_on
from credential_helper.stores.session_notes import Failure
from credential_helper.stores.sessions import Sessions
from credential_helper.text import foreign, host_of, json_line, rfc3339, span

VERSION = 2  # of the JSON; docs/status.md describes it


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One profile, or one other session; its fields are the keys of ``--json``, and every one is always there."""

    profile: str
    issuer: str
    client_id: str
    flow: str | None  # null: the sign-in of a person, by a profile that is not known
    account: str | None
    audience: str | None
    ready: bool  # True: it answers without a person
    exit_code: int  # what a call that nobody can help with would exit with
    problem: str | None = None  # why, or what is in the way once the token that is kept has ended
    who: str | None = None
    token: TokenKind | None = None
    expires_at: str | None = None  # RFC 3339
    expires_in: int | None = None  # seconds, never below 0
    renewable: bool = False  # without a person
    refresh_token: str = "none"  # keyring, file, none, or not needed
    same_sign_in_as: str | None = None  # the first profile that has this session, too
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
    others = _others(subjects, sessions, app, every=every)
    if not rows and not others and not problems:
        try:
            list(selected({}, app))  # says what the smallest configuration is
        except ConfigurationError as error:
            problems = [error]
    if as_json:
        wrong = [_problem(problem) for problem in problems]
        document = {"version": VERSION, "profiles": rows, "others": others, "problems": wrong}
        write(json_line(msgspec.to_builtins(document)))
    else:
        in_file = {chosen.profile.name for chosen in subjects if chosen.profile.store == "file"}
        write(_text(rows, others, lambda row: row.profile in in_file or app.has_keyring).encode())
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
    first: dict[str, str] = {}  # the profile by the session
    for chosen in subjects:
        identifier = session_id(chosen.profile)
        row = _row(chosen.profile, app.outlook(chosen), app.clock.now())
        rows.append(
            msgspec.structs.replace(
                row,
                same_sign_in_as=first.get(identifier) if row.token or row.renewable else None,
                last_failure=_last_failure(identifier, sessions, app.clock.now()),
            )
        )
        first.setdefault(identifier, chosen.profile.name)
    return rows


def _others(subjects: Sequence[Chosen], sessions: Sessions, app: App, *, every: bool) -> list[Row]:
    """Return a row per other session on disk: first those of a profile's account, then, of all, those of no profile."""
    seen = {session_id(chosen.profile) for chosen in subjects}
    names = {chosen.profile.name for chosen in subjects}
    now = app.clock.now()
    mine: list[Row] = []
    strangers: list[Row] = []
    try:
        for identifier in sessions.ids("json"):
            stored = sessions.look(identifier)
            if stored is None or identifier in seen:
                continue
            session = stored.session
            its_own = session.profile in names and any(same_account(session, one.profile) for one in subjects)
            (mine if its_own else strangers).append(_of_session(session, now))
    except StoreError as error:
        app.terminal.warn(f"nothing is known of any sign-in: {error.sentence}", hint=error.hint)
    return mine + (strangers if every else [])


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


def _of_session(session: Session, now: float) -> Row:
    """Return the row of a session that is no profile's, as far as it says of itself what it needs."""
    profile = as_profile(session)
    kind: TokenKind = "access" if session.access is not None else "id"
    usable = freshness.valid(session, kind, Request(tool=PROGRAM), now) and not session.unverified
    ready = usable or session.refreshable or session.kind == "client"
    row = Row(
        profile=session.profile,
        issuer=session.issuer,
        client_id=session.client_id,
        flow=profile.flow if session.kind == "client" else None,
        account=session.account,
        audience=session.audience,
        ready=ready,
        exit_code=0 if ready else InteractionRequired.exit_code,
        renewable=session.refreshable or session.kind == "client",
    )
    return _with_session(row, session, kind, now)


def _with_session(row: Row, session: Session, kind: TokenKind, now: float) -> Row:
    token = freshness.token_of(session, kind)
    expires_at = token.expires_at if token is not None else None
    refresh_token = "keyring" if session.in_keyring else "file" if session.refresh_token is not None else "none"
    return msgspec.structs.replace(
        row,
        who=session.identity.shown if session.identity is not None else None,
        token=kind if token is not None else None,
        expires_at=rfc3339(expires_at) if expires_at is not None else None,
        expires_in=max(0, int(expires_at - now)) if expires_at is not None else None,
        refresh_token="not needed" if session.kind == "client" else refresh_token,
    )


def _problem(error: CredentialHelperError) -> str:
    return f"{error.sentence}; {error.hint}" if error.hint else error.sentence


def _last_failure(identifier: str, sessions: Sessions, now: float) -> str | None:
    try:
        failure: Failure | None = sessions.notes.failure(identifier)
    except StoreError:  # said already
        return None
    if failure is None or failure.made > now:
        return None
    return f"{span(now - failure.made)} ago: {failure.sentence}"


# --- the table --------------------------------------------------------------------------------------------------------


def _text(rows: Sequence[Row], others: Sequence[Row], by_choice: Callable[[Row], bool]) -> str:
    """Return the tables; what is no profile's own stands below, under a line that says so.

    ``by_choice`` says of a refresh token in a file that it need not be there.
    """
    names = {row.profile for row in rows}
    mine = [row for row in others if row.profile in names]
    strangers = [row for row in others if row.profile not in names]
    text = _table(rows, by_choice) if rows else ""
    for title, more in (("for another audience:", mine), ("of no profile here:", strangers)):
        text += ("\n" if text and more else "") + (f"{title}\n{_table(more, by_choice)}" if more else "")
    return text


def _table(rows: Sequence[Row], by_choice: Callable[[Row], bool]) -> str:
    head = ("profile", "issuer", "who", "token", "expires in", "refresh token")
    lines = [head, *(_cells(row, by_choice) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ""
    for line, row in zip(lines, [None, *rows], strict=True):
        text += "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        text += "".join(f"  {remark}\n" for remark in (_remarks(row) if row is not None else ()))
    return text


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
