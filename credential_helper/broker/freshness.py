"""How long a token is answered without asking the provider again; all pure, all in seconds.

*Fresh*: more than the wanted validity is left and the token was not received in the future. *Valid*: it has not
expired; answered only where nothing fresh can be had now.
"""

from __future__ import annotations

import math

from credential_helper.model import Request, Token, TokenKind
from credential_helper.session import Session

SKEW = 60.0  # that two clocks may disagree by
MARGIN = 60.0  # of a token's life that is left to the tool, at most a quarter of it
_ASSUMED_LIFETIME = 3600.0  # of a token whose provider names none, where it can be renewed
SOON = 5.0  # a kept answer ends that much before its token stops being fresh
_AHEAD = 600.0  # before a kept answer ends, at most a quarter of the time until then
FORCED_PAUSE = 60.0  # a server that answers 401 for "no permission" must not cause one new token per command


def token_of(session: Session, kind: TokenKind) -> Token | None:
    """Return the token that would be answered."""
    return session.id if kind == "id" else session.access


def until(session: Session, kind: TokenKind, request: Request) -> float | None:
    """Return until when a token counts as fresh; None: until it is refused or erased.

    The wanted validity counts for at most three quarters of the lifetime: whoever asks for more than the provider
    gives would renew at every call.
    """
    token = token_of(session, kind)
    if token is None:
        return 0.0
    expires_at = token.expires_at
    if expires_at is None:
        if not session.refreshable:
            return None
        expires_at = token.received_at + _ASSUMED_LIFETIME
    if kind == "id" and session.id_not_renewed:
        return expires_at  # a refresh would bring no other one
    lifetime = max(0.0, expires_at - token.received_at)
    wanted = min(request.minimum_validity, 0.75 * lifetime)
    return expires_at - max(wanted, min(MARGIN, lifetime / 4))


def ahead_from(session: Session, kind: TokenKind, request: Request) -> float:
    """Return from when on a token that is still fresh is renewed ahead: for the last part of its life; ``inf``: never.

    Whether it can be renewed is for others to know.
    """
    token, end = token_of(session, kind), until(session, kind, request)
    if token is None or end is None or (kind == "id" and session.id_not_renewed):
        return math.inf
    end -= SOON
    return end - min(_AHEAD, (end - token.received_at) / 4)


def fresh(session: Session, kind: TokenKind, request: Request, now: float) -> bool:
    """Say whether the token may be answered without any work."""
    token = token_of(session, kind)
    if token is None or session.unverified or token.unverified or refused(session, token, request, now):
        return False
    end = until(session, kind, request)
    return token.received_at <= now + SKEW and (end is None or now < end)


def valid(session: Session, kind: TokenKind, request: Request, now: float) -> bool:
    """Say whether the token, verified or not, is better than none."""
    token = token_of(session, kind)
    if token is None or refused(session, token, request, now) or token.received_at > now + SKEW:
        return False
    return token.expires_at is None or now < token.expires_at


def refused(session: Session, token: Token, request: Request, now: float) -> bool:
    """Say whether this very token was rejected, and is not one that was made a moment ago."""
    if request.refused is None or not token.sha256().startswith(request.refused):
        return False
    return not just_made(session, token, now)


def just_made(session: Session, token: Token, now: float) -> bool:
    """Say whether a token is so young, or was so lately forced, that another one would not fare better."""
    made = max(session.forced_at or 0.0, token.received_at)
    return 0.0 <= now - made < FORCED_PAUSE
