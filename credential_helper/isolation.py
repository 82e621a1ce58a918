"""What this process may load: our own code and what it was installed with, whatever the caller's environment says.

``bin/credential-helper`` starts Python without the caller's PYTHON* variables and without any installed package (-I,
-S), which is all that a kept answer needs. Here, once no kept answer was found, the packages are added, and what their
libraries would take out of the environment is taken out of it. What acts before ``sh`` runs (LD_PRELOAD) cannot be
closed: docs/security.md says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping

_NEVER = ("SSLKEYLOGFILE",)  # urllib3 would write there what decrypts our connections
_LIBRARIES = "_CALLERS_LD_LIBRARY_PATH"  # the caller's LD_LIBRARY_PATH, where bin/ has taken something out of it
_ABSOLUTE = ("OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES")  # name code that OpenSSL loads


def add_packages() -> None:
    """Do what Python does at its start, where it was started without the installed packages.

    The folder that we are in comes first: after ``pip install --user``, ``--target`` or ``--prefix`` it is not among
    the interpreter's own. The user's own folder is not added otherwise, and no usercustomize runs.
    """
    if not sys.flags.no_site or "site" in sys.modules:
        return
    import site

    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    python = len(sys.path)
    site.main()
    if any(os.path.exists(folder) and os.path.samefile(folder, ours) for folder in sys.path):
        return
    installed = len(sys.path)
    site.addsitedir(ours)
    sys.path[python:] = sys.path[installed:] + sys.path[python:installed]


def clean(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Take out the variables that libraries would obey: those never meant for us, and paths into the current directory.

    Returns the environment as the caller gave it, which is what we go by ourselves and what we start is given.
    """
    libraries = environ.pop(_LIBRARIES, None)
    given = dict(environ)
    if libraries is not None:
        given["LD_LIBRARY_PATH"] = libraries
    for name in _NEVER:
        environ.pop(name, None)
    for name in _ABSOLUTE:
        if not os.path.isabs(environ.get(name) or os.path.sep):
            del environ[name]
    return given


def drop_pythonpath(environ: Mapping[str, str]) -> None:
    """Take out of sys.path what PYTHONPATH added, but for our own folder. On Windows nothing does so earlier."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    added = {os.path.abspath(folder) for folder in environ.get("PYTHONPATH", "").split(os.pathsep)} - {ours}
    if environ.get("PYTHONPATH") and not sys.flags.ignore_environment:
        sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) not in added]
