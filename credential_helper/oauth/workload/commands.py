"""Platforms whose own command makes a job's token, and a command that the profile names.

They are run as every command that a secret is read from: by the absolute path, without a shell, and neither what they
write nor their arguments are ever part of a message.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError
from credential_helper.oauth.workload.job import text_of
from credential_helper.oauth.workload.variables import of_circleci
from credential_helper.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credential_helper.model import Secret
    from credential_helper.oauth.workload.job import Job


def buildkite(job: Job) -> Secret | None:
    """Return a token for the audience; None outside of Buildkite. Raises ConfigurationError."""
    if job.variable("BUILDKITE") != "true":
        return None
    return _run(job, ("buildkite-agent", "oidc", "request-token", "--audience", job.audience()), "buildkite")


def circleci(job: Job) -> Secret | None:
    """Return the job's token, or one that is made for the audience where the profile gives one; None outside of it.

    Raises ConfigurationError.
    """
    if job.variable("CIRCLECI") != "true":
        return None
    if job.settings.audience is None:
        return of_circleci(job)
    claims = json.dumps({"aud": job.audience()})
    return _run(job, ("circleci", "run", "oidc", "get", "--claims", claims), "circleci")


def command(job: Job) -> Secret:
    """Return what the profile's command writes. Raises ConfigurationError."""
    return _run(job, job.settings.value, None)


def _run(job: Job, words: Sequence[str], platform: str | None) -> Secret:
    named = f"{job.settings.origin}: " if platform is None else f"the token of {WORKLOADS[platform].title}: "
    hint = None if platform is None else WORKLOADS[platform].missing
    try:
        data = job.run(words)
    except ConfigurationError as error:
        raise ConfigurationError(f"{named}{error.sentence}", hint=error.hint or hint) from None
    token = text_of(data, f"{named}the command's stdout")
    if token is None:
        raise ConfigurationError(f"{named}the command wrote nothing", hint=hint)
    return token
