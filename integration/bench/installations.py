"""The program as installers make it."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from integration.clients.installers import INSTALLERS, python_of


class Installation(NamedTuple):
    """An executable, and the interpreter that it runs in."""

    name: str
    executable: Path
    python: Path


def own() -> Installation:
    """Return the one in the environment that we run in; say so where that is not a user's."""
    if importlib.util.find_spec("typing_extensions") is not None:
        print("this environment has typing_extensions, which msgspec loads: figures are worse than a user's")
    python = Path(sys.executable)
    return Installation("pip", python.with_name("credential-helper"), python)


def of_installers(folder: Path) -> list[Installation]:
    """Return what pipx and uv make of this checkout, in a folder that goes; say so where one of them cannot."""
    found = []
    for name in ("pipx", "uv"):
        if shutil.which(name) is None:
            print(f"{name} is not on PATH")
            continue
        place = folder / name
        place.mkdir()
        try:
            executable = INSTALLERS[name](place)
        except AssertionError as error:
            print(f"{name} could not install: {error}")
            continue
        found.append(Installation(name, executable, python_of(executable)))
    return found
