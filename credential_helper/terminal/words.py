"""The words of a prompt, of its end and of an error: values in, lines out.

Lower case, no full stop; an error is ``credential-helper: PROFILE: sentence`` and its next step a second line,
``hint: …``. What comes from outside goes through ``text.foreign``, and what a token is for through ``text.escaped``;
addresses and codes are reduced to printable ASCII.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper import PROGRAM
from credential_helper.errors import CredentialHelperError, InteractionRequired
from credential_helper.text import escaped, foreign, host_of, moment, printable_ascii, time_left
from credential_helper.urls import parse_url

if TYPE_CHECKING:
    from credential_helper.model import Credential, Prompt


QR_LONGEST = 300  # characters; a longer address makes a code that no terminal holds
QR_BORDER = 2  # modules; ISO/IEC 18004 asks for 4, phones read 2, and a small terminal has no room for more


def prompt_lines(
    prompt: Prompt,
    *,
    now: float,
    browser: bool = False,
    ours: bool = True,
    remote: bool = False,
    paste: bool = False,
    machine: str = "",
) -> list[str]:
    """Say who asks for what, where to go, which code belongs there, and for how long (RFC 8628 §3.3).

    ``browser``: one has been asked to show the address. ``ours``: this process signs in; else it waits for another.
    ``remote``: the person sits elsewhere (SSH), where an address that leads back to this machine's loopback needs its
    port; ``machine`` is this one's name. ``paste``: the address at which a browser ends can be pasted here.
    """
    issuer_host = printable_ascii(host_of(prompt.issuer))
    account = f" as {foreign(prompt.account, 100)}" if prompt.account else ""
    profile = f"{foreign(prompt.profile)}{account} ({issuer_host})"
    tool = foreign(prompt.tool)
    if not ours and prompt.flow == "password":
        return [f"{PROGRAM}: waiting for a sign-in to {profile}, whose password is asked for in another terminal"]
    if not ours and prompt.flow == "browser" and remote:
        return [f"{PROGRAM}: waiting for a sign-in to {profile}, which goes on in a browser on this machine"]
    asks = f"signing in to {profile}" if tool == PROGRAM else f"{tool} needs a sign-in to {profile}"
    target = ", ".join(escaped(one) for one in (prompt.target or "").split(", "))
    purpose = ": ".join(part for part in (target, foreign(" ".join(prompt.scope))) if part)
    because = f"  {_WAYS[prompt.flow]}, because {foreign(prompt.because)}" if prompt.because else ""
    head = [f"{PROGRAM}: {asks}", *([f"  for {purpose}"] if purpose else []), *([because] if because else [])]
    if prompt.flow == "password":
        return head
    back = _way_back(prompt, machine if remote else "", paste=paste) if ours and prompt.redirect_uri else []
    return head + _where_to_go(prompt, issuer_host, now=now, browser=browser, back=back)


_WAYS = {"device": "with a code", "browser": "in a browser", "password": "with a password"}


def _way_back(prompt: Prompt, machine: str, *, paste: bool) -> list[str]:
    """Say how a browser of another machine comes back to this one (RFC 8252 §7.3 knows none but this one's)."""
    redirect = parse_url(prompt.redirect_uri)
    here = redirect.host if redirect.host.startswith("[") else "127.0.0.1"
    tunnel = f"ssh -L {redirect.port}:{here}:{redirect.port} {''.join(c for c in machine if c.isalnum() or c in '-._')}"
    lines = [f"  it comes back to port {redirect.port} here"]
    if machine:
        lines = [f"{lines[0]}; where the browser is, forward that with", f"    {tunnel}"]
    return [*lines, "  or paste the final address here, which is not shown"] if paste else lines if machine else []


def _where_to_go(prompt: Prompt, issuer_host: str, *, now: float, browser: bool, back: list[str]) -> list[str]:
    uri = printable_ascii(prompt.verification_uri_complete or prompt.verification_uri)
    host = printable_ascii(host_of(uri))
    check = "and check that it shows" if prompt.verification_uri_complete else "and enter"
    left = f"{time_left(prompt.expires_at - now)}; Ctrl-C stops"
    code = f"  {check}  {_code(prompt.user_code)}        {left}" if prompt.user_code else f"  within {left}"
    return [
        f"  open  {uri}",
        *(["  (a browser has been asked to show it)"] if browser else []),
        *back,
        *([f"  that page is on {host}, not on {issuer_host}"] if host != issuer_host else []),
        code,
        "  go on only if you started this",
    ]


def _code(user_code: str) -> str:
    """Return a code as it is shown; several spaces in it would move the rest to the terminal's next line."""
    return " ".join(printable_ascii(user_code).split())[:64]


def closing_line(
    credential: Credential, *, now: float, refresh_token: bool, advice: str | None, unkept: str | None = None
) -> str:
    """Say who is signed in, until when, and what happens then; ``unkept``: why a refresh token could not be kept."""
    name = foreign(credential.identity.shown, 100) if credential.identity else ""
    until = None if credential.expires_at is None else moment(credential.expires_at, now)
    words = [f"signed in to {foreign(credential.profile)}"]
    words += [f" as {name}"] if name else []
    words += [f" until {until}" if until else " for as long as the provider lets it"]
    words += [", renews by itself" if refresh_token else ", then a new sign-in"]
    if unkept and not refresh_token:
        words += [f" (the refresh token could not be kept: {foreign(unkept)})"]
    elif advice and not refresh_token:
        words += [f" (no refresh token came: {foreign(advice)})"]
    return "".join(words)


def error_lines(error: CredentialHelperError, *, ci: bool) -> list[str]:
    """Say what went wrong and what to do about it."""
    where = f"{PROGRAM}: {foreign(error.profile)}" if error.profile else PROGRAM
    hint = error.hint
    if ci and isinstance(error, InteractionRequired):
        hint = 'use a profile with flow = "client-credentials"'
    lines = [f"{where}: {foreign(error.sentence, 2000)}"]
    return [*lines, f"hint: {foreign(hint, 4000)}"] if hint else lines


def with_qr(lines: list[str], uri: str, *, size: tuple[int, int]) -> list[str]:
    """Add a QR code where it can be read: not where it would scroll away; ``size`` is in columns and rows."""
    from credential_helper.urls import is_loopback  # a phone would knock at its own door

    columns, rows = size
    host = host_of(uri)
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    if is_loopback(name) or columns == 0 or len(uri) > QR_LONGEST:
        return lines
    drawing = qr_lines(uri)
    text_rows = sum(-(-len(line) // columns) for line in lines)
    if len(drawing[0]) + 2 > columns or len(drawing) + text_rows + 1 > rows:
        return lines
    coloured = [f"  \x1b[97;40m{line}\x1b[0m" for line in drawing]
    return [*lines[:-1], *coloured, lines[-1]]


def qr_lines(uri: str) -> list[str]:
    """Draw a QR code with half blocks, white on black whatever the terminal's colours are."""
    import io

    import segno  # 25 ms, and only where a code is drawn

    drawing = io.StringIO()
    segno.make_qr(uri, error="l").terminal(drawing, border=QR_BORDER, compact=True)
    return drawing.getvalue().splitlines()
