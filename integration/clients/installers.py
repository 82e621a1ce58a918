"""The program as pip, pipx and uv install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from integration.clients.real import need
from tests.helpers.programs import CHECKOUT

if TYPE_CHECKING:
    import pytest  # the bench installs with pipx and uv, and runs without it

PACKAGED = ("credential_helper", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")
DEADLINE = 600.0  # seconds, for each call of an installer
PROGRAMS = ("credential-helper", "git-credential-helper", "docker-credential-helper")

Install = Callable[[Path], Path]  # into a folder; returns the absolute path of ``credential-helper``


def once(name: str, factory: pytest.TempPathFactory, install: Install) -> Path:
    """Install, once a session: where several workers run, the first one does it for all."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return install(factory.mktemp(name))
    folder = factory.getbasetemp().parent / name  # the workers' folders are neighbours
    with filelock.FileLock(f"{folder}.lock"):
        done = folder / "done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            done.write_text(str(install(folder)))
        return Path(done.read_text())


def with_pip(folder: Path, extra: str = "") -> Path:
    """Make a virtual environment with the program in it, and perhaps an extra of it, as ``[fleet]``."""
    call(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", f"{source(folder / 'source')}{extra}")
    return python.with_name("credential-helper")


def with_pipx(folder: Path) -> Path:
    """Have pipx install it; a space is in the path of its environments, so that no first line can hold it."""
    places = {"PIPX_HOME": str(folder / "pipx home"), "PIPX_BIN_DIR": str(folder / "bin")}
    call(need("pipx"), "install", "--quiet", "--python", sys.executable, source(folder / "source"), environ=places)
    return folder / "bin" / "credential-helper"


def with_uv(folder: Path) -> Path:
    """Have uv install it as a tool."""
    places = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    words = ("tool", "install", "--quiet", "--python", sys.executable)
    call(need("uv"), *words, source(folder / "source"), environ=places)
    return folder / "bin" / "credential-helper"


INSTALLERS: Mapping[str, Install] = {"pip": with_pip, "pipx": with_pipx, "uv": with_uv}


def python_of(executable: Path) -> Path:
    """Return the interpreter that the program runs in, which lies beside it, or beside what it is a link to."""
    return executable.resolve().with_name("python")


def packages_of(executable: Path) -> Path:
    """Return the folder that the program's packages are in."""
    (folder,) = executable.resolve().parents[1].glob("lib/python*/site-packages")
    return folder


def layer(executable: Path, folder: Path) -> Path:
    """Install the program once more, on top of another installation that has what it needs, as pip --user may do.

    Returns the folder for its packages; the program is ``folder/bin/credential-helper``.
    """
    below = packages_of(executable)
    packages = folder / "lib" / below.parent.name / below.name
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    for name in (*PROGRAMS, "credential-helper.py"):
        shutil.copy(executable.with_name(name), folder / "bin")
    shutil.copytree(below / "credential_helper", packages / "credential_helper")
    return packages


def source(folder: Path) -> Path:
    """Copy what a wheel is made of: setuptools builds inside the tree it is given, which should not be the checkout."""
    folder.mkdir()
    for name in PACKAGED:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, folder / name)
    return folder


def call(*command: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> None:
    """Run an installer; AssertionError with what it said where it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
