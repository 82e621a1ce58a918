"""Platforms that put a job's token into a variable, and a variable that the profile names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret
from credential_helper.workloads import WORKLOADS

if TYPE_CHECKING:
    from credential_helper.oauth.workload.job import Job

# GitLab's documentation calls a job's token GITLAB_OIDC_TOKEN in its recipes for clouds; ID_TOKEN is others' habit.
_GITLAB = ("GITLAB_OIDC_TOKEN", "ID_TOKEN")


def gitlab(job: Job) -> Secret | None:
    """Return the token that the job's ``id_tokens`` ask for, by the first of two names; None outside of GitLab CI."""
    return _of(job, "gitlab", _GITLAB) if job.variable("GITLAB_CI") else None


def bitbucket(job: Job) -> Secret | None:
    """Return the step's token; None outside of Bitbucket Pipelines."""
    there = job.variable("BITBUCKET_BUILD_NUMBER") or job.variable("BITBUCKET_STEP_OIDC_TOKEN")
    return _of(job, "bitbucket", ("BITBUCKET_STEP_OIDC_TOKEN",)) if there else None


def env(job: Job) -> Secret:
    """Return what the variable holds that the profile names. Raises ConfigurationError."""
    value = job.variable(job.settings.value[0])
    if not value:
        raise ConfigurationError(f"{job.settings.origin}: the variable that it names is not set, or empty")
    return Secret(value)


def of_circleci(job: Job) -> Secret:
    """Return the token that every job of CircleCI has, for the organization's id; the newer form first."""
    return _of(job, "circleci", ("CIRCLE_OIDC_TOKEN_V2", "CIRCLE_OIDC_TOKEN"))


def _of(job: Job, platform: str, names: tuple[str, ...]) -> Secret:
    value = next((value for name in names if (value := job.variable(name))), None)
    if value is None:
        row = WORKLOADS[platform]
        words = " nor ".join(names)
        neither = "neither " if len(names) > 1 else ""
        not_set = "is" if len(names) > 1 else "is not"
        raise ConfigurationError(
            f"this job of {row.title} has no identity: {neither}{words} {not_set} set", hint=row.missing
        )
    return Secret(value)
