"""Which profiles a command is about: those that were named, or the one that is meant when none is."""

from __future__ import annotations

from collections.abc import Iterator

from credential_helper import PROGRAM
from credential_helper.app import App
from credential_helper.model import Request
from credential_helper.profiles.choose import choose, each_by_position
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.settings import Given


def selected(given: Given, app: App) -> Iterator[Chosen]:
    """Yield each profile that was named, or the one that is meant when none is."""
    for flags in each_by_position(given):
        yield choose(Request(tool=PROGRAM), flags, app.environ, note=app.note)
