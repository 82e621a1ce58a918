"""One call by a tool: argv, stdin, environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from credential_helper import replies
from credential_helper.tools import EXEC_INFO, program_name, wire

if TYPE_CHECKING:
    from credential_helper.app import App


class Call:
    """One call of ours by a tool; ``heard`` is what the hot path has read from stdin already."""

    def __init__(self, *, argv: Sequence[str], heard: bytes | None, app: App) -> None:
        self.argv = argv
        self.app = app
        self._heard = heard

    @property
    def program(self) -> str:
        """Return the name that we were called by."""
        return program_name(self.argv[0])

    @property
    def exec_info(self) -> str | None:
        """Return what kubectl says, None where it is not kubectl."""
        return self.app.environ.get(EXEC_INFO)

    def read(self, limit: int = wire.LIMIT, *, lines: bool = False) -> bytes:
        """Return stdin, up to one byte more than a request may be long; a terminal is never read.

        ``lines``: up to the first empty line, as git's protocol has it.
        """
        if self._heard is None:
            self._heard = replies.read_input(limit, lines=lines)
        elif replies.LARGEST < len(self._heard) <= limit and not (lines and replies.has_ended(self._heard)):
            self._heard = replies.read_input(limit, self._heard, lines=lines)
        return self._heard
