"""A successful answer of the token endpoint (RFC 6749 §5.1).

Where the access token is not one that a tool can carry (it is absent, broken, or of a type such as DPoP), there may be
an ID token all the same, and ``Tokens.lacking`` says why there is nothing else. Any other member that does not fit is
dropped and said under --verbose (§5.1: unknown ones are ignored).

What comes of a token exchange says what it is (RFC 8693 §2.2.1). An ID token or another JWT is of the type N_A, because
it is no access token, and yet it is one that a tool can carry: clusters trust such. Anything else of that type is not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from credential_helper.errors import TokenResponseError
from credential_helper.model import Tokens
from credential_helper.oauth.client_authentication import tls
from credential_helper.oauth.endpoints.reply import Reply, bearer_token, number
from credential_helper.oauth.endpoints.wording import NO_DPOP
from credential_helper.providers import TOKEN_EXCHANGE, TOKEN_TYPE
from credential_helper.text import foreign

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider

_CARRIED = {f"{TOKEN_TYPE}{name}": name != "access_token" for name in ("access_token", "id_token", "jwt")}  # as N_A?
LONGEST_LIFETIME = 10 * 365 * 86400.0  # seconds; more overflows somebody's dates

_Member = TypeVar("_Member")


def tokens_of(provider: Provider, reply: Reply) -> Tokens:
    """Check the shape of a token answer (RFC 6749 §5.1).

    Raises TokenResponseError for one without a token that a tool could get.
    """
    body, host = reply.body or {}, reply.answer.host

    def member(name: str, read: Callable[[object], _Member | None]) -> _Member | None:
        value = body.get(name)
        found = None if value is None else read(value)
        if found is None and value is not None:
            provider.note(f"{host} sent a {name} that does not fit: dropped")
        return found

    token_type = member("token_type", _text) or "Bearer"
    lacking = _lacking(host, body.get("access_token"), reply.details)
    if reply.grant_type == TOKEN_EXCHANGE and lacking is None:
        issued = body.get("issued_token_type")
        if issued is None:  # required, and left out by Auth0 among others
            provider.note(f"{host} does not say of what type the token is that it gave for another one")
        lacking = _not_issued(host, issued)
        if lacking is None and token_type.casefold() == "n_a" and _CARRIED.get(str(issued)):
            token_type = "Bearer"
    lacking = lacking or _no_bearer(host, token_type)
    tokens = Tokens(
        access_token=None if lacking else bearer_token(body.get("access_token")),
        token_type=token_type,
        received_at=reply.answer.received_at,
        expires_in=member("expires_in", _lifetime),
        refresh_token=member("refresh_token", bearer_token),
        id_token=member("id_token", bearer_token),
        scope=member("scope", partial(_scope, commas=provider.known.comma_scopes)),
        lacking=lacking,
    )
    if lacking is not None and tokens.id_token is None:
        raise TokenResponseError(lacking[0], hint=lacking[1])
    if not lacking:
        tls.tell_if_bound(provider, host, str(body.get("access_token")))
    if tokens.scope is not None and set(tokens.scope) != set(provider.scopes()):
        provider.note(f"{host} granted the scope {' '.join(tokens.scope)!r}, not {' '.join(provider.scopes())!r}")
    return tokens


def _lacking(host: str, access_token: object, details: str) -> tuple[str, str | None] | None:
    if not isinstance(access_token, str) or not access_token:
        return f"{host} answered without an access token{details}", None
    if bearer_token(access_token) is None:
        return f"{host} sent an access token with white space or control characters in it", None
    return None


def _not_issued(host: str, issued: object) -> tuple[str, str | None] | None:
    """Let pass the types of RFC 8693 §3 that can be carried, and an answer that names none."""
    if issued is None or (isinstance(issued, str) and issued in _CARRIED):
        return None
    if issued == f"{TOKEN_TYPE}refresh_token":
        return f"{host} gave a refresh token for the token, which no tool can carry", _ASK_FOR_ACCESS
    named = f"of the type {foreign(issued, 80)!r}" if isinstance(issued, str) else "without a type that is one"
    return f"{host} gave a token {named} for the token, which no tool can carry", _ASK_FOR_ACCESS


_ASK_FOR_ACCESS = "have the provider issue access tokens for this exchange (RFC 8693 §2.2.1)"


def _no_bearer(host: str, token_type: str) -> tuple[str, str | None] | None:
    """Let pass the only type that kubectl, git and docker can carry; types are compared without case (§5.1)."""
    if token_type.casefold() == "bearer":
        return None
    if token_type.casefold() == "dpop":
        return f"{host} sent a token that is bound to a key (DPoP), which no tool can carry", NO_DPOP
    return f"{host} sent a token of the type {foreign(token_type, 40)!r}, which no tool can carry", None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _lifetime(value: object) -> float | None:
    """Read expires_in (seconds); some providers send a string."""
    seconds = number(value)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_LIFETIME)


def _scope(value: object, *, commas: bool) -> tuple[str, ...] | None:
    """Split at spaces (§3.3), and at ``commas`` where the provider means them so; some providers send a list."""
    if isinstance(value, str):
        value = (value.replace(",", " ") if commas else value).split(" ")
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    scopes = tuple(dict.fromkeys(item for item in value if item))
    return scopes if all(bearer_token(item) for item in scopes) else None
