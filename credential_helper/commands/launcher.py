"""The command ``launcher``: compile the launcher, have it judge what ``replies`` judges, and put it into a folder.

What is compiled here is made for this installation and this version. After another one is installed the launcher of
before finds no reply of its version, and leaves everything to Python, until this is called again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from credential_helper import PROGRAM, __version__, places
from credential_helper.app import App
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.launcher import build, place, readers
from credential_helper.launcher.cases import cases
from credential_helper.system import children

_AGAIN = f"{PROGRAM} launcher DIRECTORY"


def run(given: dict[str, object], app: App) -> int:
    """Put it there, or only check."""
    named = given.get("directory")
    folder = os.path.abspath(named) if isinstance(named, str) else None
    if places.WINDOWS:
        raise UsageError("there is no launcher for Windows: nothing is kept there that it could answer from")
    if given.get("check"):
        return _check(folder, app)
    if folder is None:
        raise UsageError("DIRECTORY is missing", hint=f"{PROGRAM} launcher --help")
    _put(folder, app)
    return 0


def _put(folder: str, app: App) -> None:
    place.require_folder(folder)
    installed = build.installation()
    _agree(app)
    with build.workspace_in(folder) as workspace:
        launcher, how = build.build(workspace, installed, app.environ)
        _require_the_way_on(launcher, app.environ)
        place.put(launcher, folder)
    app.terminal.say(f"put {build.listed(place.NAMES)} into {folder} ({how})")
    found = children.find(PROGRAM, app.environ)
    if found is None or os.path.realpath(found) != os.path.realpath(os.path.join(folder, PROGRAM)):
        app.terminal.warn(
            f"tools that look for {PROGRAM} on PATH do not find this one first",
            hint=f"put {folder} at the beginning of PATH, or name the programs in it by their whole paths",
        )


def _require_the_way_on(launcher: str, environ: Mapping[str, str]) -> None:
    """Raise ConfigurationError where a launcher does not lead to the program of this version."""
    if children.run([launcher, "--version"], environ=environ) != f"{PROGRAM} {__version__}\n".encode():
        raise ConfigurationError(
            "the installed program is of another version than this one", hint="install it anew, and try again"
        )


def _check(folder: str | None, app: App) -> int:
    """Say whether both readers agree, and whether what is in a folder is of this installation."""
    if folder is not None:
        missing = place.missing(folder, build.mark(build.installation()))
        if missing:
            raise UsageError(
                f"in {folder}, {build.listed(missing)} is no launcher of this installation and version", hint=_AGAIN
            )
    count = _agree(app)
    app.terminal.say(f"{count} cases: the launcher and Python answer alike")
    return 0


def _agree(app: App) -> int:
    """Let both readers judge every case, and return how many there are; CredentialHelperError: they do not agree."""
    count = 0
    with build.workspace_in(build.temporary(app.environ)) as workspace:
        readers.write_script(workspace, app.environ)
        os.mkdir(os.path.join(workspace, "built"), 0o700)
        launcher, _ = build.build(os.path.join(workspace, "built"), workspace, app.environ)
        for case, by_launcher, by_python in readers.judged(cases(), launcher, workspace):
            app.note(f"{case.name}: {case.wanted}")
            count += 1
            if by_launcher != by_python or by_python.answered != (case.wanted == "answered"):
                raise CredentialHelperError(
                    f"the launcher and Python answer differently: {case.name}",
                    hint="please report this line to the project; without the launcher all is well",
                )
    return count
