"""What a source of workload identity tokens may look at, and how a token is taken out of what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from credential_helper import places
from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret
from credential_helper.proof import Proof
from credential_helper.system import files
from credential_helper.text import foreign
from credential_helper.workloads import Workload

if TYPE_CHECKING:
    from credential_helper.transport.answer import Answer

LIMIT = 1 << 16  # bytes, as for every secret


class Trace:
    """What a token was made of, so that a cached answer can be bound to the same job."""

    def __init__(self) -> None:
        self.variables: dict[str, str | None] = {}
        self.files: dict[str, str] = {}  # stamps by absolute path
        self.runs_commands = False

    def proof(self) -> Proof:
        """Return it as it is compared."""
        variables = {name: None if value is None else Secret(value) for name, value in self.variables.items()}
        return Proof(
            files=tuple(self.files.items()),
            variables=tuple(variables.items()),
            replayable=not self.runs_commands,
        )


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The job that we are part of."""

    settings: Workload
    environ: Mapping[str, str]
    audience: Callable[[], str]  # whom the token is to be for
    get: Callable[[str, Secret], Answer]  # of an address, with an Authorization header
    run: Callable[[Sequence[str]], bytes]  # a command, and what it wrote
    trace: Trace

    def variable(self, name: str) -> str:
        """Return what a variable holds; empty: nothing."""
        value = self.trace.variables[name] = self.environ.get(name)
        return (value or "").strip()

    def file_token(self, path: str, named: str) -> Secret:
        """Read a token from a file, which its platform replaces while the job runs. Raises ConfigurationError.

        ``named`` is who says that it is there.
        """
        try:
            data, status = files.read_bytes(path, LIMIT)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{named}: {foreign(path)} {files.reason(error)}") from None
        self.trace.files[path] = places.stamp(status)
        token = text_of(data, f"{named}: {foreign(path)}")
        if token is None:
            raise ConfigurationError(f"{named}: {foreign(path)} is empty")
        return token

    @property
    def path(self) -> str | None:
        """Return the path that the profile gives; None: none."""
        return self.settings.value[0] if self.settings.value else None


def text_of(data: bytes, what: str) -> Secret | None:
    """Return a token without the white space around it; None where there is nothing else.

    Raises ConfigurationError for what is no text.
    """
    try:
        value = data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{what} holds something that is no token") from None
    return Secret(value) if value else None
