"""The table of ``status``: a line per profile, below it what else its grants serve; then the grants of no profile."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from credential_helper.commands.status_rows import GrantRow, Row, SessionRow
from credential_helper.errors import InteractionRequired
from credential_helper.text import foreign, host_of, span


def table(
    rows: Sequence[Row], grants: Sequence[GrantRow], own: Collection[str], by_choice: Callable[[Row], bool]
) -> str:
    """Return the table, with what else a grant serves below its profile; then the grants that serve no profile here.

    ``own`` are the ids of the sessions that the rows are about; ``by_choice`` says of a refresh token in a file that it
    need not be there.
    """
    text = _lines(rows, grants, own, by_choice) if rows else ""
    strangers = [grant for grant in grants if not grant.profiles]
    if strangers:
        text += ("\n" if text else "") + "of no profile here:\n" + "".join(map(_stranger, strangers))
    return text


def _lines(
    rows: Sequence[Row], grants: Sequence[GrantRow], own: Collection[str], by_choice: Callable[[Row], bool]
) -> str:
    head = ("profile", "issuer", "who", "token", "expires in", "refresh token")
    lines = [head, *(_cells(row, by_choice) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ""
    for line, row in zip(lines, [None, *rows], strict=True):
        text += "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        if row is not None:
            text += "".join(f"  {remark}\n" for remark in [*_remarks(row), *_also(row, grants, own)])
    return text


def _also(row: Row, grants: Iterable[GrantRow], own: Collection[str]) -> Iterator[str]:
    """Yield what the grants of a profile serve beside its own session, each below the first profile that has it.

    A machine's session that was made with another secret is none to speak of.
    """
    for grant in grants:
        if not grant.profiles or grant.profiles[0] != row.profile:
            continue
        for session in grant.sessions:
            same = grant.machine and (session.audience, session.resource) == (row.audience, row.resource)
            if session.id not in own and session.token is not None and not same:
                alone = ", by a sign-in of its own" if grant.single else ""
                yield f"also for {_purpose(session)}: {session.token}, {_left(session)}{alone}"


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
    if row.audience is not None or row.resource:
        yield f"for {foreign(row.audience or ' '.join(row.resource))}"
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
