"""The platforms that give a job a token of its own, one row each, in the order in which ``auto`` looks for them.

Data only: how each is asked stands in oauth/workload/. It imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """One platform whose jobs can have a token (a JWT) that says which job it is."""

    name: str  # of the setting
    title: str  # for people
    audience: bool = False  # it makes a token for the audience that is asked for
    path: bool = False  # its token is a file, whose path may be given
    missing: str  # how a job comes to have one: a hint


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Where a profile has its workload identity token from."""

    source: str = "auto"  # a name of WORKLOADS, auto, or file, env, command
    value: tuple[str, ...] = ()  # one item: an absolute path, or a variable's name; a command's words
    audience: str | None = None  # to ask for; None: what the provider wants, which is its issuer
    origin: str = "workload"  # where this was written, for messages
    for_issuer_only: bool = False  # whoever wrote it may have written the issuer: a token that is good elsewhere stays


# Platforms of CI come first: their jobs may well run in a cluster.
_ROWS = (
    # https://docs.github.com/actions/reference/security/oidc
    Platform(
        name="github",
        title="GitHub Actions",
        audience=True,
        missing="give the job, or the whole workflow, permissions: id-token: write",
    ),
    # https://docs.gitlab.com/ci/secrets/id_token_authentication/: the job names the variable, and the audience.
    Platform(
        name="gitlab",
        title="GitLab CI",
        missing="give the job id_tokens: GITLAB_OIDC_TOKEN: aud: the issuer; a variable of another name is "
        'workload = { env = "NAME" }',
    ),
    # https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/,
    # …/oidc-tokens-with-custom-claims: the audience is the organization's id, unless its command makes another one.
    Platform(
        name="circleci",
        title="CircleCI",
        audience=True,
        missing="give the job a context (jobs of forks have no token)",
    ),
    # https://buildkite.com/docs/agent/cli/reference/oidc
    Platform(
        name="buildkite",
        title="Buildkite",
        audience=True,
        missing="run it where the agent's own environment and its buildkite-agent are: BUILDKITE=true says so",
    ),
    # https://support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc/
    Platform(
        name="bitbucket",
        title="Bitbucket Pipelines",
        missing="write oidc: true into the step",
    ),
    # https://azure.github.io/azure-workload-identity/docs/: a projected token, and the variable that names its file.
    Platform(
        name="azure",
        title="Azure Workload Identity",
        missing="give the pod the label azure.workload.identity/use and a service account: AZURE_FEDERATED_TOKEN_FILE "
        "is set then",
    ),
    # https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#launch-a-pod-using-service-
    # account-token-projection. The pod's own token (/var/run/secrets/kubernetes.io) is for the API server, and is
    # never sent to anybody else.
    Platform(
        name="kubernetes",
        title="Kubernetes",
        path=True,
        missing="give the pod a projected volume with a serviceAccountToken below /var/run/secrets/tokens, "
        'or write workload = { kubernetes = { path = "PATH" } }',
    ),
)

WORKLOADS: Mapping[str, Platform] = {row.name: row for row in _ROWS}
