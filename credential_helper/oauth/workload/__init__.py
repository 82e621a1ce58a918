"""Workload identity: the token (a JWT) by which a platform says which job we are.

- Each source answers in three ways: the token; None for "not here"; an error for "here, but broken", which says what to
  do. ``auto`` takes the first that is here.
- The token is read anew at each use, never kept and never shown. Whom it names (``iss``, ``sub``, ``aud``) is no
  secret, and the best there is to say where a provider refuses it.
- One that has expired is not sent. It is expired by the provider's clock, where that is known.
- Whoever wrote a command line may have written its issuer, too. From there only a token that is for that issuer alone
  is sent: it is good nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import msgspec

from credential_helper import providers
from credential_helper.errors import AuthorizationError, ConfigurationError, TransportError
from credential_helper.model import Secret
from credential_helper.oauth.claims import audiences, claims_of, numeric_date
from credential_helper.oauth.workload import commands, github, projected, variables
from credential_helper.oauth.workload.job import Job, Trace
from credential_helper.proof import Proof
from credential_helper.system import children
from credential_helper.text import foreign, moment
from credential_helper.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider
    from credential_helper.transport.answer import Answer

_SOURCES: dict[str, Callable[[Job], Secret | None]] = {
    "github": github.token,
    "gitlab": variables.gitlab,
    "circleci": commands.circleci,
    "buildkite": commands.buildkite,
    "bitbucket": variables.bitbucket,
    "azure": projected.azure,
    "kubernetes": projected.kubernetes,
    "file": projected.file,
    "env": variables.env,
    "command": commands.command,
}


class _Enough(Exception):
    """The token is here, as far as can be seen without a request or a command."""


def read(provider: Provider) -> Secret:
    """Return the job's token, read now, for a request that is sent at once.

    Raises ConfigurationError where there is none, or none that may be sent; AuthorizationError for one that has
    expired; what the platform's own endpoint comes to: TransportError, RateLimited, TokenResponseError.
    """
    settings = provider.profile.workload or Workload()
    found, provider.identified = provider.identified, None
    if found is None or _has_expired(provider, _claims(*found)):
        found = _found(provider, _working_job(provider, settings, Trace()))
    source, token = found
    claims = _claims(source, token)
    provider.identity_sent = _shown(claims)
    _require_audience(provider, settings, claims)
    _require_unexpired(provider, source, claims)
    return token


def identify(provider: Provider, *, ask: bool = True) -> tuple[str, Proof]:
    """Return whom the job's token names, as ``subject_of``, whatever it is good for now; and what it was made of.

    It is what the next ``read`` returns, once: one platform is asked for one answer. ``ask``: a request or a command
    may be needed; without, nobody is named then. Raises as ``read`` does where there is no token.
    """
    trace, settings = Trace(), provider.profile.workload or Workload()
    job = _working_job(provider, settings, trace) if ask else _resting_job(provider, settings)
    try:
        found = _found(provider, job)
    except _Enough:
        return "", trace.proof()
    provider.identified = found
    return subject_of(found[1]), trace.proof()


def _working_job(provider: Provider, settings: Workload, trace: Trace) -> Job:
    skew = provider.transport.skew

    def get(address: str, authorization: Secret) -> Answer:
        try:
            return provider.transport.get(address, authorization=authorization)
        finally:
            provider.transport.skew = skew  # it is the provider's clock that counts

    def run(words: Sequence[str]) -> bytes:
        trace.runs_commands = True
        return children.run(words, environ=provider.environ, hidden=provider.hidden)

    return _job(provider, settings, get=get, run=run, trace=trace)


def _resting_job(provider: Provider, settings: Workload) -> Job:
    """Return a job that raises _Enough instead of asking anybody."""

    def enough(*_: object) -> NoReturn:
        raise _Enough

    return _job(provider, settings, get=enough, run=enough, trace=Trace())


def look(provider: Provider) -> None:
    """Raise what ``read`` would, as far as it can be seen without a request or a command."""
    with suppress(_Enough):
        source, token = _found(provider, _resting_job(provider, provider.profile.workload or Workload()))
        _claims(source, token)


def subject_of(token: Secret) -> str:
    """Return whom a token names, taken unverified: ``ISS SUB``. A key for a cache, and no proof of anything.

    Raises ConfigurationError for what is no JWT.
    """
    claims = _claims("the token", token)
    return f"{claims.get('iss', '')} {claims.get('sub', '')}"


@contextmanager
def named(provider: Provider) -> Iterator[None]:
    """Say in the hint of a refusal whom the token named that was sent: what the provider has to trust."""
    try:
        yield
    except AuthorizationError as error:
        error.hint = "; ".join(part for part in (error.hint, provider.identity_sent) if part) or None
        raise


def audience_for(provider: Provider) -> str:
    """Return whom a token is to be for: what the profile says, or what this provider wants; else its issuer."""
    settings, wanted = provider.profile.workload, provider.known.workload_audience
    if settings is not None and settings.audience is not None:
        return settings.audience
    if wanted is not None:
        return wanted.format(audience=provider.profile.audience or "", issuer=provider.profile.issuer.rstrip("/"))
    return provider.profile.issuer


# --- one source, or the first that is here ----------------------------------------------------------------------------


def _job(
    provider: Provider,
    settings: Workload,
    *,
    get: Callable[[str, Secret], Answer],
    run: Callable[[Sequence[str]], bytes],
    trace: Trace,
) -> Job:
    environ = provider.environ
    return Job(
        settings=settings, environ=environ, audience=lambda: audience_for(provider), get=get, run=run, trace=trace
    )


def _found(provider: Provider, job: Job) -> tuple[str, Secret]:
    """Return what the token is called in a message, and the token."""
    source = job.settings.source
    if source != "auto":
        token = _SOURCES[source](job)
        if token is None:
            row = WORKLOADS[source]
            raise ConfigurationError(f"{job.settings.origin}: there is no token of {row.title} here", hint=row.missing)
        title = WORKLOADS[source].title if source in WORKLOADS else job.settings.origin
        return f"the token of {title}", token
    for name, row in WORKLOADS.items():
        token = _SOURCES[name](job)
        if token is not None:
            provider.note(f"workload: this is a job of {row.title}, which has given it a token")
            return f"the token of {row.title}", token
    raise ConfigurationError(
        f"{job.settings.origin}: no platform that gives its jobs a token is found here",
        hint='where it is: workload = { file = "PATH" }, { env = "NAME" } or { command = ["…", "…"] }',
    )


# --- what may be sent -------------------------------------------------------------------------------------------------


def _claims(source: str, token: Secret) -> dict[str, object]:
    claims = claims_of(token.reveal())
    if claims is None:
        raise ConfigurationError(f"{source} is not a JWT (RFC 7519): three parts around a JSON object")
    return claims


def _shown(claims: dict[str, object]) -> str:
    whom = [one for one in audiences(claims) if isinstance(one, str)]
    parts = [f"{name} {foreign(str(claims.get(name, 'none')), 120)}" for name in ("iss", "sub")]
    return f"the token that was sent says {', '.join(parts)}, aud {foreign(' '.join(whom) or 'none', 120)}"


def _require_audience(provider: Provider, settings: Workload, claims: dict[str, object]) -> None:
    if not settings.for_issuer_only:
        return
    profile = provider.profile
    by_host = providers.of(msgspec.structs.replace(profile, provider=None)) is provider.known
    below_issuer = (provider.known.workload_audience or "").startswith("{issuer}/")  # and so good nowhere else
    wanted = audience_for(provider) if by_host or below_issuer else profile.issuer
    if [str(one).rstrip("/") for one in audiences(claims)] != [wanted.rstrip("/")]:
        raise ConfigurationError(
            f"{settings.origin}: the job's token is not for {foreign(wanted, 120)} alone, and could be used elsewhere",
            hint="have the platform make it for that audience, or write workload into a profile of the config file",
        )


def _require_unexpired(provider: Provider, source: str, claims: dict[str, object]) -> None:
    expires = numeric_date(claims.get("exp"))
    if expires is None or not _has_expired(provider, claims):
        return
    if provider.transport.skew is None:  # our clock may be what is wrong
        with suppress(TransportError):
            provider.renew_metadata()
        if expires > _now(provider):
            return
    raise AuthorizationError(
        f"{source} expired at {moment(expires, provider.clock.now())}, and was not sent",
        error="expired_subject",
        hint="a job has to have a new one: ask the platform for a token that lives longer, or ask for it later",
    )


def _has_expired(provider: Provider, claims: dict[str, object]) -> bool:
    expires = numeric_date(claims.get("exp"))
    return expires is not None and expires <= _now(provider)


def _now(provider: Provider) -> float:
    return provider.clock.now() + (provider.transport.skew or 0.0)
