"""GitHub Actions: a token for the audience that is asked for, from an address that the job is told.

https://docs.github.com/actions/reference/security/oidc. The job's request token is a secret as well: whoever has it can
ask for a token of any audience. It goes to an https address only (http on loopback).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from credential_helper.errors import AuthorizationError, ConfigurationError, TokenResponseError
from credential_helper.model import Secret
from credential_helper.transport.addresses import parse
from credential_helper.workloads import WORKLOADS

if TYPE_CHECKING:
    from credential_helper.oauth.workload.job import Job

_URL, _TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_HINT = WORKLOADS["github"].missing


def token(job: Job) -> Secret | None:
    """Return the job's token; None outside of GitHub Actions.

    Raises ConfigurationError for a job that may not ask for one, AuthorizationError, TransportError, RateLimited,
    TokenResponseError.
    """
    address, proof = job.variable(_URL), job.variable(_TOKEN)
    if not (address and proof):
        if job.variable("GITHUB_ACTIONS") != "true":
            return None
        raise ConfigurationError(
            f"this job of GitHub Actions has no identity: {_TOKEN if address else _URL} is not set", hint=_HINT
        )
    _check(address, proof)
    joint = "&" if "?" in address else "?"
    answer = job.get(f"{address}{joint}audience={quote(job.audience(), safe='')}", Secret(f"Bearer {proof}"))
    if answer.status in (401, 403, 404):
        raise AuthorizationError(f"{answer.host} gives this job no token: it answered {answer.status}", hint=_HINT)
    answer.require_available("token")
    value = answer.json_object("token").get("value")
    if not isinstance(value, str) or not value:
        raise TokenResponseError(f"{answer.host} answered {answer.status} without a token for this job")
    return Secret(value)


def _check(address: str, proof: str) -> None:
    """Raise ConfigurationError for variables that are not GitHub's; neither is repeated."""
    try:
        url = parse(address)
    except ValueError as error:
        raise ConfigurationError(f"{_URL} {error}") from None
    if url.scheme != "https" and not url.loopback:
        raise ConfigurationError(f"{_URL} is not https: the job's token is not asked for at {url.authority}")
    if not (proof.isascii() and proof.isprintable()) or " " in proof:
        raise ConfigurationError(f"{_TOKEN} has a character in it that no token has")
