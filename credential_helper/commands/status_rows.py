"""The rows of ``status``: one per profile, one per grant. Their fields are the keys of ``--json``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from credential_helper.app import App
from credential_helper.broker import freshness
from credential_helper.broker.outlook import Outlook
from credential_helper.commands.what_ends import SignIn, is_own, sign_ins
from credential_helper.errors import CredentialHelperError, StoreError
from credential_helper.model import Profile, TokenKind
from credential_helper.profiles.chosen import Chosen
from credential_helper.session import Grant, Session, place_of
from credential_helper.stores import format_1
from credential_helper.stores.grant_notes import Failure
from credential_helper.stores.sessions import Sessions
from credential_helper.text import rfc3339, span


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session of a grant; its fields are keys of ``--json``, and every one is always there."""

    id: str
    audience: str | None
    resource: tuple[str, ...]
    scope: tuple[str, ...]
    token: TokenKind | None
    expires_at: str | None  # RFC 3339
    expires_in: int | None  # seconds, never below 0


class GrantRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in and what was made from it; its fields are keys of ``--json``, and every one is always there."""

    id: str
    profiles: tuple[str, ...]  # whose own it is; none: it was made by something else than the profiles here
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


def profile_rows(subjects: Iterable[Chosen], sessions: Sessions, app: App) -> tuple[list[Row], set[str]]:
    """Return a row per profile, and the ids of the sessions that they are about."""
    rows: list[Row] = []
    own: set[str] = set()
    first: dict[str, str] = {}  # the profile by the grant
    for chosen in subjects:
        outlook = app.outlook(chosen)
        place = outlook.place or place_of(chosen.profile)
        own |= {place.session, format_1.session_id(chosen.profile)}
        row = _row(chosen.profile, outlook, app.clock.now())
        rows.append(
            msgspec.structs.replace(
                row,
                same_sign_in_as=first.get(place.grant) if row.token or row.renewable else None,
                last_failure=_last_failure(place.grant, place.session, sessions, app.clock.now()),
            )
        )
        first.setdefault(place.grant, chosen.profile.name)
    return rows, own


def grant_rows(profiles: Sequence[Profile], sessions: Sessions, app: App, *, every: bool) -> list[GrantRow]:
    """Return a row per grant: of those of the profiles, or of ``every`` one."""
    found: list[GrantRow] = []
    try:
        for one in sign_ins(sessions):
            kept = _sessions_of(one, sessions)
            names = tuple(profile.name for profile in profiles if is_own(one, profile, sessions))
            if kept is not None and (names or every):
                found.append(_grant(one, kept, names, app.clock.now()))
    except StoreError as error:
        app.terminal.warn(f"nothing is known of any sign-in: {error.sentence}", hint=error.hint)
    return found


def _sessions_of(one: SignIn, sessions: Sessions) -> list[tuple[str, Session]] | None:
    """Return what a grant serves, by id; None: it is not verified yet."""
    if one.format_1:
        session = sessions.of_format_1(one.id)
        return None if session is None else [(one.id, session)]
    file = sessions.grants.look(one.id)
    if file is None or file.grant is None:
        return None
    return [(identifier, stored.session) for identifier, stored in sessions.of_grant(one.id, file.grant)]


def _grant(one: SignIn, sessions: Sequence[tuple[str, Session]], profiles: tuple[str, ...], now: float) -> GrantRow:
    grant = one.grant
    return GrantRow(
        id=one.id,
        profiles=profiles,
        made_by=grant.profile,
        issuer=grant.issuer,
        client_id=grant.client_id,
        account=grant.account,
        machine=grant.kind == "client",
        who=grant.identity.shown if grant.identity is not None else None,
        refresh_token=_refresh_token(grant),
        single=grant.main is not None,
        sessions=tuple(_session(identifier, session, now) for identifier, session in sessions),
    )


def _session(identifier: str, session: Session, now: float) -> SessionRow:
    kind: TokenKind = "access" if session.access is not None else "id"
    token = freshness.token_of(session, kind)
    expires_at = token.expires_at if token is not None else None
    return SessionRow(
        id=identifier,
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
        problem=None if error is None else with_hint(error),
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


def with_hint(error: CredentialHelperError) -> str:
    """Return what a person is told, in one line."""
    return f"{error.sentence}; {error.hint}" if error.hint else error.sentence


def _last_failure(grant_id: str, session_id: str, sessions: Sessions, now: float) -> str | None:
    try:
        failure: Failure | None = sessions.notes.failure(grant_id, session_id)
    except StoreError:  # said already
        return None
    if failure is None or failure.made > now:
        return None
    return f"{span(now - failure.made)} ago: {failure.sentence}"
