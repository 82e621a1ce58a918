"""The installed program, which says on stderr what it imports (-X importtime).

The program obeys no PYTHONPROFILEIMPORTTIME, so it is started from a copy of its first lines that has this option.
"""

from __future__ import annotations

import re
from pathlib import Path

from integration.clients.installers import PROGRAMS, layer
from integration.clients.programs import Runner
from tests.helpers.programs import Launcher, Result

_IMPORTED = re.compile(r"import time: +(\d+|self \[us\]) \| +(\d+|cumulative) \| +(\S.*)\n")


def observed(launch: Launcher, installed: Path, folder: Path) -> Runner:
    """Lay a copy of the installed program into a folder."""
    layer(installed, folder)
    for program in PROGRAMS:
        file = folder / "bin" / program
        text = file.read_text()
        assert text.count(" -I -S -X utf8 -c ") == 3
        file.write_text(text.replace(" -c ", " -X importtime -c "))
    return Runner(launch, folder / "bin" / "credential-helper")


def imported(done: Result) -> tuple[set[str], str]:
    """Return what a call of such a copy imported, and what it said on stderr beside that."""
    return {found[3] for found in _IMPORTED.finditer(done.stderr)}, _IMPORTED.sub("", done.stderr)
