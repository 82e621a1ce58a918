"""The token endpoint (RFC 6749 §3.2), and what every endpoint that takes a form has in common.

- POST only; no parameter is ever part of an address, none is empty, none is sent twice (§3.2) but ``resource``
  (RFC 8707 §2).
- An answer is judged by its ``error``, also on a 200 (GitHub), and never by its status: Auth0 sends 403 for
  authorization_pending and 429 for slow_down. Only an answer without an OAuth error is judged by its status.
- What only one provider does is data, in its row of providers.py: how it takes an audience, how it spells an error,
  where a person clicks to mend one.
- Of a success ``access_token`` is strict and ``token_type`` must be one that a tool can carry; any other member that
  does not fit is dropped and said under --verbose (§5.1: unknown ones are ignored).
- What a provider says is quoted in one harmless line. Whatever secret we sent is cut out of it first: some providers
  repeat the request in error_description.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, quote_plus, urlsplit

import msgspec

from credential_helper.errors import (
    AuthorizationError,
    CredentialHelperError,
    RateLimited,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Secret, Tokens
from credential_helper.oauth import client_authentication
from credential_helper.oauth.client_authentication import private_key_jwt
from credential_helper.providers import DEVICE_CODE, PASSWORD_REALM, SPELLINGS
from credential_helper.text import foreign, span
from credential_helper.transport.answer import http_date

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Metadata, Provider
    from credential_helper.transport.answer import Answer

LONGEST_WAIT = 10.0  # seconds that a request waits for Retry-After before it gives up
UNKNOWN_WAIT = 10.0  # seconds, where a 429 does not say
LONGEST_LIFETIME = 10 * 365 * 86400.0  # seconds; more overflows somebody's dates

Result = TypeVar("Result")


class Refusal(AuthorizationError):
    """An OAuth error, with what a grant may need to say it in its own words.

    ``error`` is the code in the RFC's spelling. ``details`` is what the provider said, harmless and in parentheses.
    """

    def __init__(self, sentence: str, *, error: str, hint: str | None, details: str, interval: float | None) -> None:
        super().__init__(sentence, error=error, hint=hint)
        self.details = details
        self.interval = interval  # seconds; GitHub sends it with slow_down


# --- requests ---------------------------------------------------------------------------------------------------------


def request(
    provider: Provider,
    grant_type: str,
    fields: Sequence[tuple[str, str]],
    *,
    refused: str,
    busy: Collection[int] = (429,),
) -> Tokens:
    """Exchange a grant for tokens (RFC 6749 §4, §5.1); whatever was sent may be spent afterwards.

    ``refused`` is the predicate of the sentence for an OAuth error: ``HOST refused the refresh token (…)``. An
    answer of one of the ``busy`` statuses is waited for once, if it asks for at most 10 s.

    Raises Refusal (an AuthorizationError), RateLimited, TransportError, TokenResponseError, ConfigurationError.
    """
    sent = (("grant_type", grant_type), *fields, *provider.profile.parameters)

    def ask(address: str) -> _Reply:
        return _exchange(provider, address, sent, grant_type, refused=refused, busy=busy)

    return _tokens(provider, at_current_address(provider, _token_endpoint, ask))


def post(
    provider: Provider,
    endpoint_url: str,
    fields: Sequence[tuple[str, str]],
    *,
    refused: str,
    grant_type: str = "",
    content: bool = True,
    busy: Collection[int] = (429,),
) -> dict[str, object]:
    """Send a form to an endpoint, authenticated as the profile says, and return the JSON object of a success.

    ``grant_type`` is the grant that the request prepares, for hints. ``content=False``: a 2xx answer without an
    OAuth error is a success whatever its body. An answer of one of the ``busy`` statuses is waited for once if it
    asks for at most 10 s. Raises as ``request`` does.
    """
    reply = _exchange(provider, endpoint_url, fields, grant_type, refused=refused, content=content, busy=busy)
    return reply.body or {}


def at_current_address(provider: Provider, find: Callable[[Metadata], str], ask: Callable[[str], Result]) -> Result:
    """Call ``ask`` with the endpoint that ``find`` takes from the metadata; where nothing is there, once more.

    Kept metadata is used whatever its age, so an unknown host, an untrusted certificate or a 404 may only mean that
    the endpoint has moved. None of them spends what was sent.
    """
    address = find(provider.metadata())
    try:
        return ask(address)
    except TransportError as error:
        if not error.stale_address:
            raise
        renewed = _renewed(provider, find)
        if renewed in ("", address):
            raise
    provider.note(f"{provider.host} has moved the endpoint to {renewed}")
    return ask(renewed)


def what_for(provider: Provider) -> list[tuple[str, str]]:
    """Return the parameters that say what the tokens are for: scope, audience (Auth0), resource (RFC 8707 §2).

    Providers have an audience in a parameter of some name, as a scope (``Provider.scopes`` has it then), or not at all.
    """
    profile, known = provider.profile, provider.known
    fields = [("scope", " ".join(provider.scopes()))]
    if known.audience_parameter is not None:
        fields.append((known.audience_parameter, profile.audience or ""))
    elif profile.audience and known.audience_scope is None:
        provider.note(f"{known.title} takes no audience with a request: not sent")
    return fields + [("resource", resource) for resource in profile.resource]


def refusal(
    provider: Provider, error: str, description: str = "", *, grant_type: str, refused: str, secrets: Sequence[str] = ()
) -> Refusal:
    """Return the exception for an OAuth error that came by another way: to the redirect_uri (RFC 6749 §4.1.2.1).

    ``error`` and ``description`` are foreign; ``secrets`` are cut out of them. ``refused`` is the predicate of the
    sentence, as for ``request``.
    """
    code = _code_of(provider, error, grant_type) if _CODE.fullmatch(error) else "invalid_request"
    said = [foreign(_without(foreign(text, 4000), secrets), 300) for text in (error, description) if text]
    details = f" ({': '.join(said)})" if said else ""
    sentence, hint = _words(provider, code, grant_type, client_authentication.methods(provider)[0])
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


def _token_endpoint(metadata: Metadata) -> str:
    return metadata.token_endpoint


def _renewed(provider: Provider, find: Callable[[Metadata], str]) -> str:
    try:
        return find(provider.renew_metadata())
    except CredentialHelperError as error:
        provider.note(f"the metadata of {provider.host} cannot be renewed: {error.sentence}")
        return ""


def _exchange(
    provider: Provider,
    address: str,
    fields: Sequence[tuple[str, str]],
    grant_type: str,
    *,
    refused: str,
    busy: Collection[int],
    content: bool = True,
) -> _Reply:
    """Send a form with each method of client authentication that is to be tried, and judge the last answer."""
    methods = client_authentication.methods(provider)
    for method in methods:
        believed = provider.transport.skew or 0.0
        reply = _send(provider, address, fields, method, grant_type)
        if reply.refuses_client and method == "private_key_jwt" and _clock_was_wrong(provider, believed):
            provider.note(f"this machine's clock is not that of {reply.answer.host}: its answer tells the time")
            reply = _send(provider, address, fields, method, grant_type)
        wait = _retry_after(provider, reply) if reply.answer.status in busy and reply.unavailable else None
        if wait is not None and wait <= LONGEST_WAIT:
            provider.note(f"{reply.answer.host} asks for a pause of {span(wait)}")
            provider.clock.sleep(wait)
            reply = _send(provider, address, fields, method, grant_type)
        if not reply.refuses_client or method == methods[-1]:
            break
        provider.note(f"{reply.answer.host} refused the client with the authentication method {method}")
    error = _verdict(provider, reply, grant_type, refused=refused, content=content)
    if (error is None or reply.code in _PENDING) and len(methods) > 1 and provider.authentication_worked != method:
        provider.authentication_worked = method
    if error is not None:
        raise error
    return reply


def _clock_was_wrong(provider: Provider, believed: float) -> bool:
    """Say whether an assertion that was made by a clock ``believed`` seconds ahead of ours may be too old or too new.

    With kept metadata the first request of a process is this one, and a cache may have told us its own time. A refused
    client has spent nothing.
    """
    return abs((provider.transport.skew or 0.0) - believed) > private_key_jwt.CLOCK


def _send(provider: Provider, address: str, fields: Sequence[tuple[str, str]], method: str, grant_type: str) -> _Reply:
    sent, authorization = client_authentication.authenticate(provider, method, tuple(tidy(fields)))
    answer = provider.transport.post(address, sent, authorization=authorization)
    return _Reply(
        answer,
        client_authentication.secrets_in(sent, authorization),
        method=method,
        address=address,
        grant_type=grant_type,
        meaning=lambda said: _code_of(provider, said, grant_type),
    )


def tidy(fields: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Drop empty parameters, and all but the first of a name (RFC 6749 §3.2); ``resource`` may come several times."""
    kept: dict[tuple[str, str], tuple[str, str]] = {}
    for name, value in fields:
        if value:
            kept.setdefault((name, value if name == "resource" else ""), (name, value))
    return list(kept.values())


# --- what an answer says ----------------------------------------------------------------------------------------------

# RFC 6749 §5.2 allows spaces, but no code has one: HTTP's reason phrases do ({"error": "Not Found"}: not OAuth).
_CODE = re.compile(r"[!#-\[\]-~]{1,100}")

_PENDING = frozenset({"authorization_pending", "slow_down"})  # RFC 8628 §3.5: refused is neither client nor code
_OUTAGES = frozenset({"temporarily_unavailable", "server_error"})
_LIMITS = frozenset({"too_many_requests", "rate_limit_exceeded"})

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


def _code_of(provider: Provider, said: str, grant_type: str) -> str:
    """Return the RFC's spelling of an error."""
    cases = ((grant_type, said), ("", said))
    found = (spellings.get(case) for spellings in (provider.known.spellings, SPELLINGS) for case in cases)
    return next((code for code in found if code is not None), said)


class _Reply:
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
    ) -> None:
        """``meaning`` turns the provider's spelling of an error into the RFC's."""
        self.answer = answer
        self.method = method  # of client authentication
        self.confidential = method != "none"  # the client proved who it is
        self.address = address
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
        of_a_client = _OF_A_CLIENT_WITH.get(grant_type, _OF_A_CLIENT)
        if self.confidential and answer.status == 401 and self.code in of_a_client:
            self.code = "invalid_client"

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
        return self.code == "invalid_client"

    @property
    def unavailable(self) -> bool:
        """The answer says nothing about the request: OAuth's word for that, or no OAuth error at all."""
        return self.code is None or self.code in _OUTAGES or self.code in _LIMITS

    @property
    def limited(self) -> bool:
        """A rate limit; slow_down is none but RFC 8628's own word, though Auth0 sends it with a 429."""
        return self.code in _LIMITS or (self.answer.status == 429 and self.unavailable)

    @property
    def details(self) -> str:
        """What the provider said, in parentheses and harmless: ``(CODE: DESCRIPTION; request ID)``."""
        said = [self._harmless(text) for text in self._words()]
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
        return foreign(_without(foreign(text, 4000), self._secrets), limit)


def _verdict(
    provider: Provider, reply: _Reply, grant_type: str, *, refused: str, content: bool
) -> CredentialHelperError | None:
    """Return what is wrong with an answer; None: nothing."""
    host, status = reply.answer.host, reply.answer.status
    success = 200 <= status < 300
    if reply.limited:
        return _too_many(provider, reply)
    if reply.code in _OUTAGES:
        hint = _words(provider, reply.code, grant_type, reply.method)[1]
        return TransportError(f"{host} cannot answer now{reply.details}", hint=hint)
    if reply.code is not None:
        return _refusal(provider, reply, reply.code, grant_type, refused)
    if success and not reply.strange and (reply.body is not None or not content):
        return None
    if status >= 500 or status in (408, 425):  # request timeout, too early: nobody has looked at the request
        wait = _retry_after(provider, reply)
        later = f"; it asks to come back in {span(wait)}" if wait else ""
        return TransportError(f"{host} answered {status} {reply.phrase}".rstrip() + reply.details + later)
    if status == 404:
        path = foreign(urlsplit(reply.address).path)
        return TransportError(f"{host} answered 404: nothing is at {path}{reply.details}", stale_address=True)
    hint = None
    if status == 401 and reply.confidential:
        hint = client_authentication.hint(provider, reply.method) or _METHOD
    if reply.trouble is not None and (success or reply.answer.body):
        return TokenResponseError(reply.trouble.sentence + reply.details, hint=reply.trouble.hint or hint)
    lacks = "with an error that is not OAuth's" if reply.strange else "without an OAuth error"
    return TokenResponseError(
        f"{host} answered {status} {reply.phrase}".rstrip() + f" {lacks}{reply.details}", hint=hint
    )


_METHOD = "check client_id, client_secret and client_authentication: only one method was tried"


def _refusal(provider: Provider, reply: _Reply, code: str, grant_type: str, refused: str) -> Refusal:
    sentence, hint = _words(provider, code, grant_type, reply.method)
    if reply.refuses_client:
        hint = client_authentication.hint(provider, reply.method) or hint
    return Refusal(
        f"{reply.answer.host} {sentence or refused}{reply.details}",
        error=code,
        hint=hint,
        details=reply.details.strip(),
        interval=number((reply.body or {}).get("interval")),
    )


# What a grant is called, where the provider's row has no name of its own.
_SWITCHES = {
    DEVICE_CODE: "Device Code",
    "client_credentials": "Client Credentials",
    "refresh_token": "Refresh Token",
    "authorization_code": "Authorization Code",
    "password": "Password",
    PASSWORD_REALM: "Password",
}

_CREDENTIALS = ("refused the user name or password", "check account and password")
_DENIED = ("refused the client or this account", "check account, client_id and, where it has one, client_secret")
_BLOCKED = ("refused this account", "the account is blocked: whoever looks after it can say why")
_ATTEMPTS = ("refused this account for a while", "too many wrong passwords were tried: wait, or have it unblocked")

# (context, code) -> (predicate of the sentence, hint). The context is a grant type with a method of client
# authentication, a method, a grant type, "confidential" or "public", or "", looked for in this order. An empty
# predicate leaves the caller's.
_WORDS = {
    ("client_credentials private_key_jwt", "access_denied"): (
        "refused the client, or its right to this audience",
        "check client_id, private_key and audience",
    ),
    ("client_credentials", "access_denied"): (
        "refused the client id or secret, or its right to this audience",
        "check client_id, client_secret and audience",
    ),
    ("authorization_code", "invalid_grant"): (
        "",
        "sign in again: a code is good for a few minutes, once, and for the redirect_uri that it was sent to",
    ),
    ("authorization_code", "access_denied"): ("", "agree when the provider asks, or check who may use this client"),
    ("authorization_code", "redirect_uri_mismatch"): ("", "register redirect_uri with this client, exactly as it is"),
    ("authorization_code", "unsupported_response_type"): ("", "this client may not use the browser flow"),
    ("password", "invalid_grant"): _CREDENTIALS,
    (PASSWORD_REALM, "invalid_grant"): _CREDENTIALS,
    ("password", "unauthorized"): _BLOCKED,  # Auth0
    (PASSWORD_REALM, "unauthorized"): _BLOCKED,
    ("password", "access_denied"): _DENIED,
    (PASSWORD_REALM, "access_denied"): _DENIED,
    ("password", "too_many_attempts"): _ATTEMPTS,
    (PASSWORD_REALM, "too_many_attempts"): _ATTEMPTS,
    (PASSWORD_REALM, "invalid_request"): ("", "check realm: it is the name of a connection"),
    ("private_key_jwt", "invalid_client"): (
        "refused the client's assertion",
        "check client_id, and that the public key is registered for this client",
    ),
    ("confidential", "invalid_client"): (
        "refused the client id or secret",
        "check client_id, client_secret and client_authentication",
    ),
    ("public", "invalid_client"): (
        "refused the client",
        "check client_id; a client without a secret must be registered as one, any other needs client_secret",
    ),
    ("", "unauthorized_client"): ("", 'switch on the grant "{switch}" for this client'),
    ("", "unsupported_grant_type"): ("", "this provider does not have the grant {switch}: choose another flow"),
    ("", "device_flow_disabled"): ("", "switch on the device flow in the settings of this client"),
    ("", "redirect_uri_mismatch"): ("", "register redirect_uri with this client, exactly as it is"),
    ("", "invalid_scope"): ("", "check scope: this client may not ask for all of it"),
    ("", "invalid_target"): (
        "",
        "check audience and resource: the provider must know them exactly as written",
    ),
    (DEVICE_CODE, "access_denied"): ("", "check client_id and audience"),
    ("", "mfa_required"): (
        "",
        "the account needs a second factor, which only a browser can ask for: "
        'flow = "authorization-code" or flow = "device"',
    ),
    ("", "interaction_required"): ("", "the provider wants to see the person again: sign in anew"),
    ("", "login_required"): ("", "the provider wants to see the person again: sign in anew"),
    ("", "consent_required"): ("", "the provider wants the person to agree again: sign in anew"),
    ("", "use_dpop_nonce"): ("", "switch off DPoP (sender-constrained tokens) for this client"),
    ("", "invalid_dpop_proof"): ("", "switch off DPoP (sender-constrained tokens) for this client"),
}


def _words(provider: Provider, code: str, grant_type: str, method: str) -> tuple[str, str | None]:
    """Return the predicate of the sentence for an error, "" for the caller's, and the hint."""
    known = provider.known
    client = "public" if method == "none" else "confidential"
    cases = [(context, code) for context in (f"{grant_type} {method}", method, grant_type, client, "")]
    sentence, hint = next((_WORDS[case] for case in cases if case in _WORDS), ("", None))
    place = next((known.places[case] for case in cases if case in known.places), None)
    if hint is not None:
        switch = known.switches.get(grant_type) or _SWITCHES.get(grant_type, grant_type or "of this flow")
        hint = hint.format(switch=switch)
    if place is not None:
        hint = f"{known.title}: {place}" if hint is None else f"{hint} ({known.title}: {place})"
    return sentence, hint


# --- a provider that asks us to come back later -----------------------------------------------------------------------


def _too_many(provider: Provider, reply: _Reply) -> RateLimited:
    wait = _retry_after(provider, reply)
    when = f"; it asks to come back in {span(wait)}" if wait else ""
    return RateLimited(
        f"{reply.answer.host} gets too many requests{reply.details}{when}",
        retry_after=wait or UNKNOWN_WAIT,
    )


def _retry_after(provider: Provider, reply: _Reply) -> float | None:
    """Return for how many seconds the provider asks us to wait; None: it does not say, or nothing sensible."""
    headers = reply.answer.headers
    there = provider.clock.now() + (provider.transport.skew or 0.0)  # dates are on the provider's clock
    retry_after = headers.get("retry-after", "")
    if (seconds := number(retry_after)) is not None and seconds >= 0:
        return seconds
    if (date := http_date(retry_after)) is not None:
        return max(0.0, date - there)
    if (reset := number(headers.get("x-ratelimit-reset"))) is not None:
        return max(0.0, reset - there if reset > 1e9 else reset)  # a date (Auth0, Okta, GitHub), or seconds
    return None


# --- a successful answer ----------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"[!-~]+")  # RFC 6749 appendix A.12, and no space: a header would end there


def _tokens(provider: Provider, reply: _Reply) -> Tokens:
    """Check the shape of a token answer (RFC 6749 §5.1)."""
    body, host = reply.body or {}, reply.answer.host
    access_token = body.get("access_token")
    if not isinstance(access_token, str) or not access_token:
        raise TokenResponseError(f"{host} answered without an access token{reply.details}")
    if not _TOKEN.fullmatch(access_token):
        raise TokenResponseError(f"{host} sent an access token with white space or control characters in it")

    def member(name: str, read: Callable[[object], Result | None]) -> Result | None:
        value = body.get(name)
        found = None if value is None else read(value)
        if found is None and value is not None:
            provider.note(f"{host} sent a {name} that does not fit: dropped")
        return found

    tokens = Tokens(
        access_token=Secret(access_token),
        token_type=_bearer(host, member("token_type", _text) or "Bearer"),
        received_at=reply.answer.received_at,
        expires_in=member("expires_in", _lifetime),
        refresh_token=member("refresh_token", _token),
        id_token=member("id_token", _token),
        scope=member("scope", partial(_scope, commas=provider.known.comma_scopes)),
    )
    if tokens.scope is not None and set(tokens.scope) != set(provider.scopes()):
        provider.note(f"{host} granted the scope {' '.join(tokens.scope)!r}, not {' '.join(provider.scopes())!r}")
    return tokens


def _bearer(host: str, token_type: str) -> str:
    """Let pass the only type that kubectl, git and docker can carry; types are compared without case (§5.1)."""
    if token_type.casefold() == "bearer":
        return token_type
    if token_type.casefold() == "dpop":
        raise TokenResponseError(
            f"{host} sent a token that is bound to a key (DPoP), which no tool can carry",
            hint="switch off DPoP (sender-constrained tokens) for this client",
        )
    raise TokenResponseError(f"{host} sent a token of the type {foreign(token_type, 40)!r}, which no tool can carry")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _token(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) and _TOKEN.fullmatch(value) else None


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
    return scopes if all(_TOKEN.fullmatch(item) for item in scopes) else None


# --- secrets in foreign text ------------------------------------------------------------------------------------------

_PART = 8  # characters of a secret that are too many to show


def _without(text: str, secrets: Sequence[str]) -> str:
    """Replace by stars what is a secret, in any form that it may come back in, or any eight characters of one."""
    folded = _folded(text)
    hidden = [False] * len(text)
    for form in {_folded(form) for secret in secrets for form in _forms(secret)} - {""}:
        size = min(len(form), _PART)
        for start in range(len(text) - size + 1):
            if folded[start : start + size] in form:
                hidden[start : start + size] = [True] * size
    runs = groupby(zip(hidden, text, strict=True), key=lambda pair: pair[0])
    return "".join("***" if secret else "".join(c for _, c in run) for secret, run in runs)


def _forms(secret: str) -> tuple[str, ...]:
    """Return a secret as it stands, form-urlencoded, percent-encoded, and with its white space in one line."""
    return secret, quote_plus(secret), quote(secret, safe=""), " ".join(secret.split())


def _folded(text: str) -> str:
    """Lower the case of ASCII letters, which keeps the length: some providers write %2f for %2F."""
    return text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
