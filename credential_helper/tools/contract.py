"""What a tool's file offers, and the defaults of what it does not.

    read(asked) -> Exchange                      what is asked for. Raises ProtocolError, UsageError
    render(exchange, credential, now) -> bytes   the answer. Raises TokenResponseError, ConfigurationError
    decline(error) -> (stdout, exit code)        what the tool is told where it gets no token
    not_mine(exchange) -> error                  what is wrong with a URL that no profile lists; None: silence

The first two have to be there. A tool's file is pure: it reads and writes nothing, and knows no profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from credential_helper.errors import ConfigurationError, CredentialHelperError
from credential_helper.model import Credential, Request
from credential_helper.text import escaped


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool sent."""

    data: bytes = b""  # stdin, or the variable
    where: str = "stdin"  # the source of ``data``, for messages
    operation: str = ""  # the last word of its call
    options: Mapping[str, object] = {}  # the arguments of its row that were given

    def __repr__(self) -> str:
        return f"<Asked {self.operation}>"  # the data may hold a secret


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    request: Request
    url: str | None = None  # a profile has to list it; None: the profile is named, or the default one
    form: str = ""  # what the answer's form depends on, where the tool has several
    notes: tuple[str, ...] = ()  # what was passed over, for --verbose


class Tool(Protocol):
    """The least that a tool's file offers."""

    def read(self, asked: Asked) -> Exchange:
        """Return what is asked for."""

    def render(self, exchange: Exchange, credential: Credential, now: float) -> bytes:
        """Return the whole answer; ``now`` is in seconds since the epoch."""


def decline(tool: object, error: CredentialHelperError) -> tuple[bytes, int]:
    """Return stdout and the exit code for a request that fails; by default nothing, and the error's own code."""
    own = getattr(tool, "decline", None)
    return (b"", error.exit_code) if own is None else own(error)


def not_mine(tool: object, key: str, exchange: Exchange) -> CredentialHelperError | None:
    """Return what is wrong with a URL that no profile lists; by default that it is not listed.

    ``key`` is that of a profile's list.
    """
    own = getattr(tool, "not_mine", None)
    if own is not None:
        found: CredentialHelperError | None = own(exchange)
        return found
    url = escaped(exchange.url or "", 200)
    return ConfigurationError(
        f"no profile lists {url} for {exchange.request.tool}",
        hint=f'write {key} = ["https://HOST"] into the profile that signs in to it',
    )
