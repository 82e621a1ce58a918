"""A form, sent to an endpoint with the client's authentication (RFC 6749 §2.3, §3.2).

POST only; no parameter is ever part of an address, none is empty, none is sent twice (§3.2) but ``resource`` (RFC 8707
§2). How a provider takes an audience is data, in its row of providers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeVar

from credential_helper.errors import CredentialHelperError, TransportError
from credential_helper.oauth import client_authentication
from credential_helper.oauth.client_authentication import assertion
from credential_helper.oauth.endpoints.reply import Reply, code_of, verdict, wait_of
from credential_helper.text import span

if TYPE_CHECKING:
    from credential_helper.oauth.discovery.metadata import Metadata
    from credential_helper.oauth.provider import Provider

LONGEST_WAIT = 10.0  # seconds that a request waits for Retry-After before it gives up

Result = TypeVar("Result")


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
    reply = exchange(provider, endpoint_url, fields, grant_type, refused=refused, content=content, busy=busy)
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


def what_for(provider: Provider, *, everything: bool = False) -> list[tuple[str, str]]:
    """Return the parameters that say what the tokens are for: scope, audience (Auth0), resource (RFC 8707 §2).

    Providers have an audience in a parameter of some name, as a scope (``Provider.scopes`` has it then), or not at all.
    ``everything``: what a sign-in asks for, so that a person is asked once for all that the profile lists.
    """
    profile, known = provider.profile, provider.known
    fields = [("scope", " ".join(provider.scopes()))]
    if known.audience_parameter is not None:
        fields.append((known.audience_parameter, profile.audience or ""))
    elif profile.audience and known.audience_scope is None:
        provider.note(f"{known.title} takes no audience with a request: not sent")
    resources = provider.resources() if everything else profile.resource
    return fields + [("resource", resource) for resource in resources]


def which_one(provider: Provider) -> list[tuple[str, str]]:
    """Return what says which of several resources that were asked for the first token is for (RFC 8707 §2.2)."""
    several = provider.resources() != provider.profile.resource
    return [("resource", resource) for resource in provider.profile.resource if several]


def _renewed(provider: Provider, find: Callable[[Metadata], str]) -> str:
    try:
        return find(provider.renew_metadata())
    except CredentialHelperError as error:
        provider.note(f"the metadata of {provider.host} cannot be renewed: {error.sentence}")
        return ""


def exchange(
    provider: Provider,
    address: str,
    fields: Sequence[tuple[str, str]],
    grant_type: str,
    *,
    refused: str,
    busy: Collection[int],
    content: bool = True,
) -> Reply:
    """Send a form with each method of client authentication that is to be tried, and judge the last answer."""
    methods = client_authentication.methods(provider)
    for method in methods:
        believed = provider.transport.skew or 0.0
        reply = _send(provider, address, fields, method, grant_type)
        if reply.refuses_client and method.endswith("_jwt") and _clock_was_wrong(provider, believed):
            provider.note(f"this machine's clock is not that of {reply.answer.host}: its answer tells the time")
            reply = _send(provider, address, fields, method, grant_type)
        wait = (
            wait_of(provider, reply) if reply.answer.status in busy and (reply.unavailable or reply.limited) else None
        )
        if wait is not None and wait <= LONGEST_WAIT:
            provider.note(f"{reply.answer.host} asks for a pause of {span(wait)}")
            provider.clock.sleep(wait)
            reply = _send(provider, address, fields, method, grant_type)
        if not reply.refuses_client or method == methods[-1]:
            break
        provider.note(f"{reply.answer.host} refused the client with the authentication method {method}")
    error = verdict(provider, reply, grant_type, refused=refused, content=content)
    if (error is None or reply.pending) and len(methods) > 1 and provider.authentication_worked != method:
        provider.authentication_worked = method
    if error is not None:
        raise reply.spent_for(error)
    return reply


def _clock_was_wrong(provider: Provider, believed: float) -> bool:
    """Say whether an assertion that was made by a clock ``believed`` seconds ahead of ours may be too old or too new.

    With kept metadata the first request of a process is this one, and a cache may have told us its own time. A refused
    client has spent nothing.
    """
    return abs((provider.transport.skew or 0.0) - believed) > assertion.CLOCK


def _send(provider: Provider, address: str, fields: Sequence[tuple[str, str]], method: str, grant_type: str) -> Reply:
    sent, authorization = client_authentication.authenticate(provider, method, tuple(tidy(fields)))
    sent = tuple(dict.fromkeys(sent))  # a pushed authorization request has a client_id of its own
    certificate = client_authentication.certificate(provider, method)
    answer = provider.transport.post(address, sent, authorization=authorization, certificate=certificate)
    return Reply(
        answer,
        client_authentication.secrets_in(sent, authorization),
        method=method,
        address=address,
        grant_type=grant_type,
        meaning=lambda said: code_of(provider, said, grant_type),
        scoped=any(name == "scope" for name, _ in sent) or bool(provider.scopes()),
    )


def tidy(fields: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Drop empty parameters, and all but the first of a name (RFC 6749 §3.2); ``resource`` may come several times."""
    kept: dict[tuple[str, str], tuple[str, str]] = {}
    for name, value in fields:
        if value:
            kept.setdefault((name, value if name == "resource" else ""), (name, value))
    return list(kept.values())
