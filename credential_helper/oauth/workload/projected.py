"""Tokens in files that a kubelet keeps new: a projected service account token, Azure's, and a file of the profile's.

Such a file is replaced while the job runs, hence it is read at each use. The token that every pod has for the API
server is none of them: another server that gets it could be the pod there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError
from credential_helper.text import foreign

if TYPE_CHECKING:
    from credential_helper.model import Secret
    from credential_helper.oauth.workload.job import Job

FOLDER = "/var/run/secrets/tokens"


def azure(job: Job) -> Secret | None:
    """Return the token whose file the webhook of Azure Workload Identity names; None where it names none."""
    path = job.variable("AZURE_FEDERATED_TOKEN_FILE")
    return job.file_token(path, "AZURE_FEDERATED_TOKEN_FILE") if path else None


def kubernetes(job: Job, folder: str = FOLDER) -> Secret | None:
    """Return the token in the file that the profile names, or in the only one of the folder; None where it has none.

    Raises ConfigurationError, also for several: which one is meant is not guessed.
    """
    if job.path is not None:
        return job.file_token(job.path, job.settings.origin)
    paths = _files(folder)
    if len(paths) > 1:
        shown = ", ".join(foreign(os.path.basename(path), 60) for path in paths[:5])
        raise ConfigurationError(
            f"there are several tokens in {folder}: {shown}",
            hint=f'say which one: workload = {{ kubernetes = {{ path = "{folder}/NAME" }} }}',
        )
    return job.file_token(paths[0], "the pod's projected token") if paths else None


def file(job: Job) -> Secret:
    """Return the token in the file that the profile names. Raises ConfigurationError."""
    return job.file_token(job.settings.value[0], job.settings.origin)


def _files(folder: str) -> list[str]:
    """Return the files of a folder; a projected volume's own links (..data, ..2026_11_27…) are none."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:  # there is no such folder, or it is not for us
        return []
    paths = [os.path.join(folder, name) for name in names]
    nested = [os.path.join(path, name) for path in paths if os.path.isdir(path) for name in sorted(os.listdir(path))]
    return [path for path in (*paths, *nested) if os.path.isfile(path) and not os.path.basename(path).startswith(".")]
