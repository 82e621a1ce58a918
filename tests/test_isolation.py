"""What is loaded beyond the hot path, each time in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import credential_helper
from credential_helper import isolation

PACKAGE = Path(credential_helper.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of packages with ours in it, a newer msgspec, a module that Python has, too, and a .pth file."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "credential_helper").symlink_to(PACKAGE)
    (folder / "msgspec.py").write_text("")
    (folder / "json.py").write_text("")
    (folder / "own.pth").write_text("more\n")
    (folder / "more").mkdir()
    (folder / "more" / "plugin.py").write_text("")
    return folder


def loaded(folder: Path, program: str, *flags: str, **environ: str) -> list[str]:
    """Run a program that begins as the executable does, and return what it prints, a line each."""
    begin = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); from credential_helper import isolation; del sys.path[0]\n"
    )
    done = subprocess.run(
        [sys.executable, *flags, "-c", begin + program],
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_our_folder_comes_after_python_and_before_other_packages(folder: Path) -> None:
    program = "isolation.add_packages(); import json, msgspec, plugin, pytest\n"
    program += "for module in json, msgspec, plugin: print(module.__file__)"
    said = loaded(folder, program, "-I", "-S")
    assert said == [os.path.realpath(Path(os.__file__).parent / "json" / "__init__.py"), *said[1:]]
    assert said[1:] == [str(folder / "msgspec.py"), str(folder / "more" / "plugin.py")]


@pytest.mark.parametrize("flags", [(), ("-I",)])
def test_a_python_that_has_its_packages_is_left_alone(folder: Path, flags: tuple[str, ...]) -> None:
    said = loaded(folder, "before = sys.path[:]; isolation.add_packages(); print(sys.path == before)", *flags)
    assert said == ["True"]


def test_packages_are_added_once(folder: Path) -> None:
    """The executable has done so already after an editable installation."""
    program = "import site; site.main(); before = sys.path[:]; isolation.add_packages(); print(sys.path == before)"
    assert loaded(folder, program, "-I", "-S") == ["True"]


def test_pythonpath_is_dropped_but_for_our_own_folder(folder: Path, tmp_path: Path) -> None:
    """Windows' start script obeys it, and --target needs it there."""
    path = os.pathsep.join(["", str(tmp_path / "x"), str(folder)])
    program = "import os; isolation.drop_pythonpath(os.environ); print(*sys.path, sep='\\n')"
    said = loaded(folder, program, PYTHONPATH=path)
    assert str(folder) in said
    assert str(tmp_path / "x") not in said


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, {}),
        ({"SSLKEYLOGFILE": "/home/ada/keys", "HOME": "/home/ada"}, {"HOME": "/home/ada"}),
        ({"OPENSSL_CONF": "openssl.cnf"}, {}),
        ({"OPENSSL_CONF": "/etc/pki/openssl.cnf"}, {"OPENSSL_CONF": "/etc/pki/openssl.cnf"}),
        ({"OPENSSL_CONF": ""}, {"OPENSSL_CONF": ""}),
        ({"OPENSSL_MODULES": "./modules", "OPENSSL_ENGINES": ".."}, {}),
    ],
)
def test_variables_that_libraries_obey(given: dict[str, str], left: dict[str, str]) -> None:
    before = dict(given)
    assert isolation.clean(given) == before  # what we start is given all
    assert given == left


def test_what_was_taken_out_of_the_library_path_is_given_to_what_we_start() -> None:
    environ = {"_CALLERS_LD_LIBRARY_PATH": "/x:/y", "LD_LIBRARY_PATH": "/y"}
    assert isolation.clean(environ) == {"LD_LIBRARY_PATH": "/x:/y"}
    assert environ == {"LD_LIBRARY_PATH": "/y"}
