"""What an answer of an endpoint says, read once (RFC 6749 §5.2).

- An answer is judged by its ``error``, also on a 200 (GitHub), and not by its status: Auth0 sends 403 for
  authorization_pending and 429 for slow_down. A 5xx comes first, because it says that the request was not judged; so
  does the status of an answer without an OAuth error.
- How a provider spells an error is data, in its row of providers.py.
- What a provider says is quoted in one harmless line. Whatever secret we sent is cut out of it first: some providers
  repeat the request in error_description.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from math import isfinite
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    RateLimited,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Secret
from credential_helper.oauth import client_authentication
from credential_helper.oauth.client_authentication import tls
from credential_helper.oauth.endpoints.redaction import without_secrets
from credential_helper.oauth.endpoints.wording import demand_in, sentence_and_hint
from credential_helper.providers import DEVICE_CODE, PASSWORD_REALM, SPELLINGS
from credential_helper.text import foreign, span

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider
    from credential_helper.transport.answer import Answer


UNKNOWN_WAIT = 10.0  # seconds, where a 429 does not say


class Refusal(AuthorizationError):
    """An OAuth error, with what a grant may need to say it in its own words.

    ``error`` is the code in the RFC's spelling. ``details`` is what the provider said, harmless and in parentheses.
    """

    def __init__(self, sentence: str, *, error: str, hint: str | None, details: str, interval: float | None) -> None:
        super().__init__(sentence, error=error, hint=hint)
        self.details = details
        self.interval = interval  # seconds; GitHub sends it with slow_down


def refusal(
    provider: Provider, error: str, description: str = "", *, grant_type: str, refused: str, secrets: Sequence[str] = ()
) -> Refusal:
    """Return the exception for an OAuth error that came by another way: to the redirect_uri (RFC 6749 §4.1.2.1).

    ``error`` and ``description`` are foreign; ``secrets`` are cut out of them. ``refused`` is the predicate of the
    sentence, as for ``request``.
    """
    code = code_of(provider, error, grant_type) if _CODE.fullmatch(error) else "invalid_request"
    code = demand_in(code, description)
    said = [foreign(without_secrets(foreign(text, 4000), secrets), 300) for text in (error, description) if text]
    details = f" ({': '.join(said)})" if said else ""
    method = client_authentication.methods(provider)[0]
    sentence, hint = sentence_and_hint(provider, code, grant_type, method, scoped=bool(provider.scopes()))
    return Refusal(
        f"{provider.host} {sentence or refused}{details}",
        error=code,
        hint=hint,
        details=details.strip(),
        interval=None,
    )


def number(value: object) -> float | None:
    """Return a JSON number, or a string that spells one, as a finite float; None for anything else."""
    try:
        found = msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        return None
    return found if isfinite(found) else None


def bearer_token(value: object) -> Secret | None:
    """Return what can be a token (RFC 6749 appendix A.12); one with a space in it would end a header."""
    return Secret(value) if isinstance(value, str) and _TOKEN.fullmatch(value) else None


_TOKEN = re.compile(r"[!-~]+")

# RFC 6749 §5.2 allows spaces, but no code has one: HTTP's reason phrases do ({"error": "Not Found"}: not OAuth).
_CODE = re.compile(r"[!#-\[\]-~]{1,100}")

_PENDING = frozenset({"authorization_pending", "slow_down"})  # RFC 8628 §3.5: refused is neither client nor code
_OUTAGES = frozenset({"temporarily_unavailable", "server_error"})
_LIMITS = frozenset({"too_many_requests", "rate_limit_exceeded"})

# Codes that mean themselves with a 429, too; any other beside that status only repeats it, or says nothing.
_MEANT = frozenset(
    {"invalid_grant", "invalid_client", "unauthorized_client", "expired_token", "access_denied", "too_many_attempts"}
)

# What a 401 says of a client that proved who it is, because RFC 6749 §5.2 keeps that status for one that could not: no
# reason at all, or Auth0's access_denied for a wrong secret (a person's refusal is a 403 there). Where no person is
# part of it, unauthorized is one more (Cloud Foundry's UAA); elsewhere it is Auth0's for a blocked account.
# Where a password travels the answer may be about that, and a second method would send it again: a few wrong ones lock
# an account. A code is good for one request (§4.1.2), so there the answer has to name a reason, too.
_OF_A_CLIENT: frozenset[str | None] = frozenset({None, "access_denied"})
_OF_A_CLIENT_WITH: Mapping[str, frozenset[str | None]] = {
    "client_credentials": _OF_A_CLIENT | {"unauthorized"},
    "authorization_code": _OF_A_CLIENT - {None},
    "password": frozenset(),
    PASSWORD_REALM: frozenset(),
}

_REQUEST_ID_HEADERS = (
    "x-auth0-requestid",
    "x-okta-request-id",
    "x-ms-request-id",
    "x-github-request-id",
    "x-amzn-requestid",
    "x-request-id",
    "request-id",
    "x-correlation-id",
)
_REQUEST_ID_MEMBERS = ("trace_id", "correlation_id", "request_id", "requestId", "errorId")
_DESCRIPTIONS = ("error_description", "message", "errorSummary", "description")


def code_of(provider: Provider, said: str, grant_type: str) -> str:
    """Return the RFC's spelling of an error."""
    cases = ((grant_type, said), ("", said))
    found = (spellings.get(case) for spellings in (provider.known.spellings, SPELLINGS) for case in cases)
    return next((code for code in found if code is not None), said)


class Reply:
    """An answer, read once: never printed whole, because it may repeat what was sent."""

    def __init__(
        self,
        answer: Answer,
        secrets: tuple[str, ...],
        *,
        method: str,
        address: str,
        grant_type: str,
        meaning: Callable[[str], str],
        scoped: bool = True,
    ) -> None:
        """``meaning`` turns the provider's spelling of an error into the RFC's; ``scoped``: a scope was asked for."""
        self.answer = answer
        self.method = method  # of client authentication
        self.confidential = method != "none"  # the client proved who it is
        self.scoped = scoped
        self.address = address
        self.grant_type = grant_type
        self.body: dict[str, object] | None = None
        self.trouble: TokenResponseError | None = None
        try:
            self.body = answer.members("JSON object")
        except TokenResponseError as error:
            self.trouble = error
        members = (self.body or {}).items()
        own = (value for name, value in members if name.endswith("_token") or name == "device_code")
        self._secrets = (*secrets, *(value for value in own if isinstance(value, str)))
        self.said = self._error()  # the provider's spelling
        self.code = None if self.said is None else meaning(self.said)  # the RFC's
        if self.code is not None:
            self.code = demand_in(self.code, " ".join(self._words()))
        self.pending = grant_type == DEVICE_CODE and self.code in _PENDING
        if answer.status >= 500 and not self.unavailable and not self.pending:
            self.code = None  # whatever it is called, the provider failed
        of_a_client = _OF_A_CLIENT_WITH.get(grant_type, _OF_A_CLIENT)
        if self.confidential and self.turned_away and self.code in of_a_client:
            self.code = "invalid_client"
        if method == "tls" and self.code is None and tls.is_refused_by_page(answer):
            self.code = "invalid_client"

    def spent_for(self, error: CredentialHelperError) -> CredentialHelperError:
        """Add to an error what must not be lost with this answer: what was sent may be spent, whatever is wrong."""
        error.status = self.answer.status
        if 200 <= self.answer.status < 300:
            error.refresh_token = bearer_token((self.body or {}).get("refresh_token"))
        return error

    def _error(self) -> str | None:
        said = (self.body or {}).get("error")
        return said if isinstance(said, str) and _CODE.fullmatch(said) and not self._is_phrase(said) else None

    def _is_phrase(self, said: object) -> bool:
        """Say whether it is HTTP's phrase, which has capitals; a code has none: ``unauthorized`` is Auth0's."""
        return isinstance(said, str) and not said.islower() and said.casefold() == self.phrase.casefold()

    @property
    def strange(self) -> bool:
        """There is an ``error``, but none of OAuth's: another type, or words instead of a code."""
        return (self.body or {}).get("error") not in (None, "") and self.said is None

    @property
    def phrase(self) -> str:
        """HTTP's words for the status."""
        try:
            return HTTPStatus(self.answer.status).phrase
        except ValueError:
            return ""

    @property
    def refuses_client(self) -> bool:
        """Say whether the client was refused, and so nothing that it brought was spent."""
        return self.code == "invalid_client"

    @property
    def turned_away(self) -> bool:
        """The status says that the client was not let in: a 401, or (Glewlwyd) a 403 without a word."""
        return self.answer.status == 401 or (self.answer.status == 403 and not self.answer.body.strip())

    @property
    def unavailable(self) -> bool:
        """The answer says nothing about the request: OAuth's word for that, or no OAuth error at all."""
        return self.code is None or self.code in _OUTAGES or self._names_a_limit

    @property
    def limited(self) -> bool:
        """A rate limit; of a polled code slow_down is RFC 8628's own word, though Auth0 sends it with a 429."""
        if self._names_a_limit:
            return True
        return self.answer.status == 429 and not self.pending and self.code not in _MEANT

    @property
    def _names_a_limit(self) -> bool:
        return self.code in _LIMITS or (self.code == "slow_down" and not self.pending)

    @property
    def details(self) -> str:
        """What the provider said, in parentheses and harmless: ``(CODE: DESCRIPTION; request ID)``."""
        said = [text for text in map(self._harmless, self._words()) if text]
        identifier = self._harmless(self._request_id(), limit=64)
        parts = [": ".join(said)] if said else []
        parts += [f"request {identifier}"] if identifier else []
        return f" ({'; '.join(parts)})" if parts else ""

    def _words(self) -> list[str]:
        members = dict(self.body or {})
        error = members.get("error")
        if isinstance(error, dict):  # {"error": {"code": 404, "message": "…"}}
            members, error = error, None
        described = (members.get(name) for name in _DESCRIPTIONS)
        description = next((text for text in described if isinstance(text, str) and text), None)
        if self._is_phrase(error):
            error = None  # said already, beside the status
        return [text for text in (error, description) if isinstance(text, str) and text]

    def _request_id(self) -> str:
        headers = (self.answer.headers.get(name) for name in _REQUEST_ID_HEADERS)
        members = ((self.body or {}).get(name) for name in _REQUEST_ID_MEMBERS)
        return next((text for text in (*headers, *members) if isinstance(text, str) and text), "")

    def _harmless(self, text: str, limit: int = 300) -> str:
        return foreign(without_secrets(foreign(text, 4000), self._secrets), limit)


def verdict(
    provider: Provider, reply: Reply, grant_type: str, *, refused: str, content: bool
) -> CredentialHelperError | None:
    """Return what is wrong with an answer; None: nothing."""
    host, status = reply.answer.host, reply.answer.status
    success = 200 <= status < 300
    if reply.limited:
        return _too_many(provider, reply)
    if reply.code in _OUTAGES:
        hint = sentence_and_hint(provider, reply.code, grant_type, reply.method)[1]
        return TransportError(f"{host} cannot answer now{reply.details}", hint=hint)
    if reply.code is not None:
        return _refusal(provider, reply, reply.code, grant_type, refused)
    if success and not reply.strange and (reply.body is not None or not content):
        return None
    if status >= 500 or status in (408, 425):  # request timeout, too early: nobody has looked at the request
        wait = wait_of(provider, reply)
        later = f"; it asks to come back in {span(wait)}" if wait else ""
        return TransportError(f"{host} answered {status} {reply.phrase}".rstrip() + reply.details + later)
    if status == 404:
        path = foreign(urlsplit(reply.address).path)
        return TransportError(
            f"{host} answered 404: nothing is at {path}{reply.details}", hint=_WRONG_ADDRESS, stale_address=True
        )
    hint = _WRONG_ADDRESS if status in (405, 415) else None if success else _SILENT
    if reply.turned_away and reply.confidential:
        hint = client_authentication.hint(provider, reply.method) or _METHOD
    elif reply.turned_away:
        hint = sentence_and_hint(provider, "invalid_client", grant_type, reply.method)[1]
    if reply.trouble is not None and (success or reply.answer.body):
        hint = _NO_PROVIDER if reply.trouble.page and not reply.turned_away else hint
        error = TokenResponseError(reply.trouble.sentence + reply.details, hint=reply.trouble.hint or hint)
        error.page = reply.trouble.page
        return error
    lacks = "with an error that is not OAuth's" if reply.strange else "without an OAuth error"
    return TokenResponseError(
        f"{host} answered {status} {reply.phrase}".rstrip() + f" {lacks}{reply.details}", hint=hint
    )


_WRONG_ADDRESS = "check issuer; where the provider's metadata are wrong, endpoints in the profile name another address"
_NO_PROVIDER = "a gateway, a proxy or a portal of the network answers so: check issuer; --verbose names each address"
_SILENT = "the provider does not say what is wrong: check issuer, client_id and endpoints"
_METHOD = "check client_id, client_secret and client_authentication: only one method was tried"


def _refusal(provider: Provider, reply: Reply, code: str, grant_type: str, refused: str) -> Refusal:
    sentence, hint = sentence_and_hint(provider, code, grant_type, reply.method, scoped=reply.scoped)
    if reply.refuses_client:
        hint = client_authentication.hint(provider, reply.method) or hint
    return Refusal(
        f"{reply.answer.host} {sentence or refused}{reply.details}",
        error=code,
        hint=hint,
        details=reply.details.strip(),
        interval=number((reply.body or {}).get("interval")),
    )


def _too_many(provider: Provider, reply: Reply) -> RateLimited:
    wait = wait_of(provider, reply)
    when = f"; it asks to come back in {span(wait)}" if wait else ""
    return RateLimited(
        f"{reply.answer.host} gets too many requests{reply.details}{when}",
        retry_after=wait or UNKNOWN_WAIT,
    )


def wait_of(provider: Provider, reply: Reply) -> float | None:
    """Return for how many seconds the provider asks us to wait; None: it does not say, or nothing sensible."""
    return reply.answer.wait(skew=provider.transport.skew or 0.0, limited=reply.limited)
