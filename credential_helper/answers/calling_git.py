"""Which git has called us: it puts its own directory first on our PATH, and says its version when it is asked.

What it said is kept for as long as its file is the same: git calls us for every request, and to start it costs more
than to start Python. Only of a git that stands in GIT_EXEC_PATH: any other may be a script that starts one or another.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from credential_helper.app import App
from credential_helper.errors import ConfigurationError
from credential_helper.replies import stamp_now
from credential_helper.tools import git

_DEADLINE = 10.0  # seconds for ``git version``
_NOTE = "git"


def version(app: App, hidden: Collection[str]) -> git.Version | None:
    """Return the version of the git that called us; None: it is not known. ``hidden`` are variables it never sees."""
    from credential_helper.stores.documents import DiskDocuments
    from credential_helper.system import children

    path = children.find("git", app.environ)
    own = path is not None and os.path.dirname(path) == app.environ.get("GIT_EXEC_PATH")
    stamp = stamp_now(path) if path is not None and own else None
    notes = DiskDocuments(app.state)
    head = None if stamp is None else f"{path} {stamp}\n".encode(errors="surrogateescape")
    kept = notes.read(_NOTE) if head is not None else None
    if head is not None and kept is not None and kept.startswith(head):
        return git.version_of(kept.removeprefix(head))
    try:
        said = children.run(["git", "version"], environ=app.environ, hidden=hidden, deadline=_DEADLINE)
    except ConfigurationError as error:
        app.note(f"git's version is not known: {error.sentence}")
        return None
    if head is not None and path is not None and stamp_now(path) == stamp:
        notes.write(_NOTE, head + said)
    return git.version_of(said)
