"""launcher.c to a program, by the system's own compiler.

- The compiler is ``$CC`` where that is an absolute path, else ``musl-gcc`` or ``cc``, found on PATH's absolute entries.
- A static program starts faster, and with musl fastest: what can be linked is taken, in this order. What a compiler
  complains of is shown for the last try only.
- All is written into a folder of our own, which is removed afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from credential_helper import PROGRAM
from credential_helper.errors import ConfigurationError, StoreError
from credential_helper.launcher.table import table
from credential_helper.system import children

MARK = "credential_helper.launcher:"  # stands in a launcher's bytes, before the digest of what it was made from
FLAGS = ("-std=gnu11", "-O2", "-fstack-protector-strong")
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.c")

_DYNAMIC = "dynamic"
_STATIC = "static"


def build(workspace: str, folder: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Compile a launcher for the installation whose programs are in a folder; return its path, and how it was made.

    Raises ConfigurationError where there is no compiler, or none that works; StoreError where nothing can be written.
    """
    path = os.path.join(workspace, PROGRAM)
    try:
        with open(os.path.join(workspace, "table.h"), "w", encoding="ascii") as file:
            file.write(table(folder, mark(folder)))
    except OSError as error:
        raise _unwritable(workspace, error) from None
    tries = list(_tries(environ))
    for compiler, how in tries:
        words = [compiler, *FLAGS, *(["-static"] if how == _STATIC else []), "-I", workspace, "-o", path, SOURCE]
        last = (compiler, how) == tries[-1]
        try:
            children.run(words, environ=environ, quiet=not last)
        except ConfigurationError:
            if last:
                raise
        else:
            return path, f"{how}, by {os.path.basename(compiler)}"
    raise ConfigurationError(
        "there is no C compiler on PATH",
        hint="install one (Debian: apt install gcc, macOS: xcode-select --install), or name it by its path in CC",
    )


def mark(folder: str) -> str:
    """Return what a launcher for this installation, of this version, has in its bytes."""
    import hashlib

    with open(SOURCE, "rb") as file:
        made_from = file.read() + table(folder, "").encode()
    return MARK + hashlib.sha256(made_from).hexdigest()


def _tries(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each compiler, by its path, and what is linked with it: the fastest program first."""
    named = environ.get("CC", "")
    small = None if os.path.isabs(named) else children.find("musl-gcc", environ)
    usual = children.find(named if os.path.isabs(named) else "cc", environ)
    if small is not None:
        yield small, _STATIC
    if usual is not None:
        yield usual, _STATIC
        yield usual, _DYNAMIC


def installation() -> str:
    """Return the folder of the program that this package was installed with; ConfigurationError: there is none."""
    path = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for _ in range(4):  # site-packages, python3.11, lib: the farthest that an installer puts between the two
        path = os.path.dirname(path)
        program = os.path.join(path, "bin", PROGRAM)
        if os.access(program, os.X_OK) and os.path.isfile(f"{program}.py"):
            return os.path.join(path, "bin")
    raise ConfigurationError(
        "the program that this package is installed with cannot be found beside it",
        hint="install it with pip, pipx or uv, and not as an editable one",
    )


@contextmanager
def workspace_in(parent: str) -> Iterator[str]:
    """Make a folder that is ours alone, and remove it at the end. Raises StoreError."""
    import shutil

    path = os.path.join(parent, f".{PROGRAM}.{os.urandom(8).hex()}")
    try:
        os.mkdir(path, 0o700)
    except OSError as error:
        raise _unwritable(parent, error) from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def temporary(environ: Mapping[str, str]) -> str:
    """Return the folder for what is not kept."""
    named = environ.get("TMPDIR", "")
    return named if os.path.isabs(named) else "/tmp"  # noqa: S108 - a folder of random name is made there, by mkdir


def listed(words: Sequence[str]) -> str:
    """Join words for a sentence: a, b and c."""
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _unwritable(path: str, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be written: {os.strerror(error.errno or 0).lower()}")
