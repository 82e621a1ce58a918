"""Only our own code runs, whatever the caller's environment says and wherever it stands; however it was installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.clients.installers import INSTALLERS, PROGRAMS, call, layer, once, packages_of, python_of, source
from integration.clients.programs import Runner
from integration.clients.real import need
from integration.scenes.sign_ins import write_profiles
from integration.servers.embedded_provider import MACHINE_CLIENT, EmbeddedProvider
from tests.helpers.programs import Launcher

HOST = "git.example.com"
REQUEST = f"protocol=https\nhost={HOST}\n\n".encode()
VERSION = "git-credential-helper 0.1.0\n"

# What a hostile checkout may bring: our own package, what it is installed with, what Python loads by itself.
MODULES = (
    *("credential_helper", "msgspec", "requests", "urllib3", "keyring", "jwt", "filelock", "truststore", "segno"),
    *("site", "sitecustomize", "usercustomize", "argparse", "signal", "json", "enum", "time"),
)

# Meant for other programs; several of them end any Python that obeys them before its first line.
VARIABLES = {
    "PYTHONHOME": ".",
    "PYTHONPLATLIBDIR": "lib",
    "PYTHONHASHSEED": "abc",
    "PYTHONUTF8": "abc",
    "PYTHONMALLOC": "abc",
    "PYTHONTRACEMALLOC": "abc",
    "PYTHONUSERBASE": ".",
    "PYTHONSTARTUP": "sitecustomize.py",
    "PYTHONBREAKPOINT": "sitecustomize.run",
    "PYTHONPYCACHEPREFIX": ".",
    "PYTHONIOENCODING": "abc",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "PYTHONVERBOSE": "1",
    "PYTHONDEBUG": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPROFILEIMPORTTIME": "1",
    "PYTHONCASEOK": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHON_LAZY_IMPORTS": "all",
    "__PYVENV_LAUNCHER__": "/nowhere/python",
    "SSLKEYLOGFILE": "/nowhere/keys",
    "OPENSSL_CONF": "openssl.cnf",
    "ENV": "start.sh",
    "BASH_ENV": "start.sh",
    "CDPATH": "/",
    "BASH_FUNC_read%%": "() { echo run >>ran; }",
    "BASH_FUNC_test%%": "() { echo run >>ran; }",
}


@pytest.fixture(params=INSTALLERS)
def each_installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Path:
    """Return the program as each installer makes it."""
    if request.param == "pip":
        return installed
    need(request.param)
    return once(f"installed-by-{request.param}", tmp_path_factory, INSTALLERS[request.param])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder in which whatever is loaded leaves the file ``ran``."""
    folder = tmp_path / "checkout"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for place in (folder, folder / "lib" / version, folder / "lib" / version / "site-packages"):
        place.mkdir(parents=True)
        for module in MODULES:
            (place / f"{module}.py").write_text(f"open({str(folder / 'ran')!r}, 'a').write(__name__ + '\\n')\n")
    package = folder / "credential_helper"
    package.mkdir()
    for name in ("__init__", "__main__"):
        shutil.copy(folder / "site.py", package / f"{name}.py")
    (folder / "start.sh").write_text(f"echo start >>{folder}/ran\n")
    (folder / "openssl.cnf").write_text("openssl_conf = [broken\n")
    return folder


@pytest.fixture
def provider() -> Iterator[EmbeddedProvider]:
    with EmbeddedProvider() as provider:
        yield provider


@pytest.fixture
def machine(home: dict[str, str], provider: EmbeddedProvider) -> dict[str, str]:
    """Return ``home`` with a machine's profile in it, for git, by variables."""
    home |= {
        "CREDENTIAL_HELPER_ISSUER": provider.issuer,
        "CREDENTIAL_HELPER_CLIENT_ID": MACHINE_CLIENT,
        "CREDENTIAL_HELPER_CLIENT_SECRET": provider.client_secret,
        "CREDENTIAL_HELPER_FLOW": "client-credentials",
        "CREDENTIAL_HELPER_AUDIENCE": "https://git.example.com",
        "CREDENTIAL_HELPER_STORE": "file",
        "CREDENTIAL_HELPER_GIT": f"https://{HOST}",
    }
    return home


@pytest.mark.parametrize("path", [":/opt/x", "/opt/x:", "/opt/x::/opt/y", ".", "", "{checkout}"])
def test_git_in_a_hostile_checkout(
    each_installed: Path, launch: Launcher, machine: dict[str, str], checkout: Path, path: str
) -> None:
    """The first call obtains a token, the second one repeats it; then any command of a person."""
    machine |= VARIABLES | {"PYTHONPATH": path.format(checkout=checkout)}
    machine["PATH"] = f"{each_installed.parent}:{machine['PATH']}"
    git: list[str | os.PathLike[str]] = [
        need("git"),
        "-c",
        "credential.helper=",
        "-c",
        "credential.helper=helper",
        "credential",
        "fill",
    ]
    answers = [launch.run(git, stdin=REQUEST, cwd=checkout) for _ in range(2)]
    assert [(answer.code, answer.stderr) for answer in answers] == [(0, ""), (0, "")]
    assert answers[0].stdout == answers[1].stdout
    assert b"\npassword=ey" in answers[0].stdout
    status = launch.run([each_installed, "status"], cwd=checkout)
    assert (status.code, status.stderr) == (0, "")
    assert not (checkout / "ran").exists(), (checkout / "ran").read_text()


@pytest.mark.parametrize("name", ["PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONMALLOC", "PYTHONTRACEMALLOC"])
def test_these_variables_end_a_python_that_obeys_them(installed: Path, checkout: Path, name: str) -> None:
    """Else the test above would show nothing."""
    done = subprocess.run(
        [python_of(installed), "-c", "pass"],
        env={name: VARIABLES[name]},
        cwd=checkout,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0 or (checkout / "ran").exists()


@pytest.mark.parametrize("name", ["PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"])
def test_a_checkout_that_looks_like_an_environment_of_pythons(
    installed: Path, launch: Launcher, checkout: Path, name: str
) -> None:
    """Beside the path that they name stands a pyvenv.cfg: Python would take its own library from there, even with -I.

    They are given by env(1), as what starts the tests' programs is a Python, too.
    """
    (checkout / "pyvenv.cfg").write_text(f"home = {checkout}\n")
    shutil.copy(checkout / "site.py", next((checkout / "lib").iterdir()) / "os.py")
    ends: list[str | os.PathLike[str]] = [python_of(installed), "-I", "-c", "pass"]
    assert name == "__PYVENV_LAUNCHER__" or launch.run([need("env"), f"{name}=./python", *ends], cwd=checkout).code
    done = launch.run([need("env"), f"{name}=./python", installed, "--version"], cwd=checkout)
    assert (done.code, done.stdout, done.stderr) == (0, b"credential-helper 0.1.0\n", "")
    assert not (checkout / "ran").exists()


def test_this_checkout_is_hostile(installed: Path, checkout: Path) -> None:
    done = subprocess.run(
        [python_of(installed), "-c", "import credential_helper"],
        env={"PYTHONPATH": ":/opt/x"},
        cwd=checkout,
        check=False,
    )
    assert done.returncode == 0
    assert {"sitecustomize", "credential_helper"} <= set((checkout / "ran").read_text().split())


def test_git_under_a_foreign_library_path(
    each_installed: Path, launch: Launcher, machine: dict[str, str], tmp_path: Path
) -> None:
    """What Python and its modules need is there, and broken; git itself needs none of it. Children get all of it."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for name in (f"libpython{version}.so.1.0", "libssl.so.3", "libcrypto.so.3", "libffi.so.8", "libexpat.so.1"):
        (foreign / name).write_text("of another machine")
    machine["PATH"] = f"{each_installed.parent}:{machine['PATH']}"
    secret = machine["CREDENTIAL_HELPER_CLIENT_SECRET"]
    say = tmp_path / "say"
    say.write_text(f'#!/bin/sh\necho "$LD_LIBRARY_PATH" >{tmp_path}/seen\necho {secret}\n')
    say.chmod(0o755)
    prod = {
        "issuer": machine["CREDENTIAL_HELPER_ISSUER"],
        "client_id": MACHINE_CLIENT,
        "client_secret": {"command": [str(say)]},
        "flow": "client-credentials",
        "audience": "https://git.example.com",
        "git": [f"https://{HOST}"],
    }
    for name in [name for name in machine if name.startswith("CREDENTIAL_HELPER_")]:
        del machine[name]
    write_profiles(machine, prod=prod)
    git = [need("git"), "-c", "credential.helper=", "-c", "credential.helper=helper", "credential", "fill"]
    git = [need("env"), f"LD_LIBRARY_PATH={foreign}:", *git]
    answers = [launch.run(git, stdin=REQUEST) for _ in range(2)]
    assert [(answer.code, answer.stderr) for answer in answers] == [(0, ""), (0, "")]
    assert answers[0].stdout == answers[1].stdout
    assert (tmp_path / "seen").read_text() == f"{foreign}:\n"


def test_python_keeps_the_libraries_of_its_own_installation(installed: Path, launch: Launcher, tmp_path: Path) -> None:
    """A Python that was built with a library of its own may find it by LD_LIBRARY_PATH only."""
    home = Path(sys.base_prefix)
    say = tmp_path / "env"
    say.symlink_to(need("env"))
    lines = installed.read_text().replace(' -I -S -X utf8 -c "$credential_helper_python" "$0" "$@"', "")
    (tmp_path / "credential-helper").write_text(lines)
    (tmp_path / "credential-helper").chmod(0o755)
    (tmp_path / "credential-helper.py").write_text(f"#!{tmp_path}/venv/bin/env\n")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "env").symlink_to(say)
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {home}/bin\nversion = 3\n")
    own = f"{home}/lib:{home}/lib64"
    said = launch.run([tmp_path / "credential-helper"], env={"LD_LIBRARY_PATH": f":/x:{home}/lib:/y z:{home}/lib64:"})
    assert f"LD_LIBRARY_PATH={own}\n" in said.text
    assert f"_CALLERS_LD_LIBRARY_PATH=:/x:{own.replace(':', ':/y z:')}:\n" in said.text
    said = launch.run([tmp_path / "credential-helper"], env={"LD_LIBRARY_PATH": f"{home}/lib;/x:/y"})
    assert "\nLD_LIBRARY_PATH=" not in said.text


def test_an_installers_own_start_script_hands_over(each_installed: Path, launch: Launcher, checkout: Path) -> None:
    script = each_installed.with_name("git-credential-helper.py")
    done = launch.run([script, "--version"], cwd=checkout)
    assert (done.text, done.stderr) == (VERSION, "")


# --- where it is installed, and how it is called ----------------------------------------------------------------------


def version(launch: Launcher, *command: str | os.PathLike[str], **environ: str) -> str:
    """Run it with --version, which loads what a kept answer needs not."""
    done = launch.run([*command, "--version"], env=environ)
    assert (done.code, done.stderr) == (0, ""), done
    return done.text


def test_links(installed: Path, launch: Launcher, tmp_path: Path) -> None:
    """A link alone in a folder; a link to a link, of another name and in a folder with a space; without any PATH."""
    (tmp_path / "a b").mkdir()
    alone = tmp_path / "git-credential-helper"
    alone.symlink_to(installed.with_name("git-credential-helper"))
    (tmp_path / "a b" / "docker-credential-helper").symlink_to("../git-credential-helper")
    for path in (os.environ["PATH"], "", "."):
        assert version(launch, alone, PATH=path) == VERSION
        said = version(launch, tmp_path / "a b" / "docker-credential-helper", PATH=path)
        assert said == "docker-credential-helper (credential-helper) 0.1.0\n"


def test_a_relative_path_and_a_search(installed: Path, launch: Launcher) -> None:
    env = need("env")
    launcher = Launcher({**launch.environ, "HOME": str(installed.parent)})
    assert version(launcher, env, "./git-credential-helper") == VERSION
    assert version(launcher, env, "../bin/git-credential-helper") == VERSION
    assert version(launcher, env, "git-credential-helper", PATH=":/nowhere") == VERSION
    assert version(launcher, env, "git-credential-helper", PATH=f"/nowhere:{installed.parent}") == VERSION


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_each_shell_that_may_be_sh(shell: str, installed: Path, launch: Launcher, tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to(need(shell))
    link = tmp_path / "links" / "git-credential-helper"
    link.parent.mkdir()
    link.symlink_to(installed.with_name("git-credential-helper"))
    for program in (installed.with_name("git-credential-helper"), link):
        assert version(launch, tmp_path / "sh", program, IFS="/e", OPTIND="1", credential_helper="x") == VERSION


def test_what_was_copied_away_says_so(installed: Path, launch: Launcher, tmp_path: Path) -> None:
    shutil.copy(installed, tmp_path)
    done = launch.run([tmp_path / "credential-helper", "status"])
    assert done.code == 70
    assert done.stderr == (
        f"credential-helper: {tmp_path}/credential-helper was moved away from credential-helper.py\n"
        "hint: install it again, and call it from elsewhere by a link (ln -s)\n"
    )


@pytest.mark.parametrize("line", ["", "import sys\n", "#!/bin/sh\n", "#!\n"])
def test_a_start_script_that_names_no_python(installed: Path, launch: Launcher, tmp_path: Path, line: str) -> None:
    shutil.copy(installed, tmp_path)
    (tmp_path / "credential-helper.py").write_text(line)
    done = launch.run([tmp_path / "credential-helper", "status"])
    assert done.code == 70
    assert done.stderr == (
        f"credential-helper: the first line of {tmp_path}/credential-helper.py names no Python\n"
        "hint: install it again\n"
    )


ENTRIES = {
    "a plain path": "#!{python}\n",
    "with options, as pipx and Fedora write it": "#!{python} -sP\n",
    "a path with a space, by pip": "#!/bin/sh\n'''exec' \"{spaced}\" \"$0\" \"$@\"\n' '''\n",
    "a long path, by pip": "#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n",
    "a path with a quote, by uv": "#!/bin/sh\n'''exec' '{quoted}' \"$0\" \"$@\"\n' '''\n",
    "relocatable, by uv": '#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/\'python\' "$0" "$@"\n',
    "a search": "#!/usr/bin/env {python}\n",
    "without a line's end": "#!{python}",
}


@pytest.mark.parametrize("how", ENTRIES)
def test_how_installers_write_where_python_is(how: str, installed: Path, launch: Launcher, tmp_path: Path) -> None:
    folder = tmp_path / "it's [a] folder"
    python = python_of(installed)
    layer(installed, folder)
    (folder / "bin" / "python").symlink_to(python)
    (tmp_path / "a b").symlink_to(python.parent)
    (folder / "bin" / "credential-helper.py").write_text(
        ENTRIES[how].format(
            python=python,
            spaced=tmp_path / "a b" / "python",
            quoted=str(tmp_path / "a b" / "python").replace("'", "'\"'\"'"),
        )
    )
    packages = packages_of(installed)
    (folder / "lib" / packages.parent.name / packages.name / "below.pth").write_text(f"{packages}\n")
    assert version(launch, folder / "bin" / "git-credential-helper") == VERSION


@pytest.fixture(scope="session")
def wheel(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    python = python_of(installed)
    call(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source(folder / "source"))
    (made,) = folder.glob("*.whl")
    return made


def install(installed: Path, wheel: Path, *options: str | os.PathLike[str], python: Path | None = None) -> None:
    words = ("-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed", "--no-warn-script-location")
    environ = {"PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    call(python or python_of(installed), *words, *options, wheel, environ=environ)


@pytest.mark.parametrize("option", ["--target", "--prefix"])
def test_a_folder_of_its_own(option: str, installed: Path, wheel: Path, launch: Launcher, tmp_path: Path) -> None:
    """No PYTHONPATH is needed; another version beside it is not what runs."""
    folder = tmp_path / "a folder"
    install(installed, wheel, option, folder)
    package = next(path.parent for path in folder.rglob("credential_helper/__init__.py"))
    shutil.rmtree(package / "__pycache__")  # of the same second and length: Python would take it for the changed file's
    package.joinpath("__init__.py").write_text(package.joinpath("__init__.py").read_text().replace("0.1.0", "0.1.1"))
    assert version(launch, folder / "bin" / "git-credential-helper") == VERSION.replace("0.1.0", "0.1.1")


def test_the_users_own_folder(installed: Path, wheel: Path, launch: Launcher, tmp_path: Path) -> None:
    """``pip install --user`` goes on working, a .pth file there too, and no usercustomize runs."""
    base = tmp_path / "home" / ".local"
    python = Path(os.path.realpath(sys.executable))
    done = subprocess.run([python, "-c", "import pip"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("this Python has no pip of its own")
    words = ("-m", "pip", "install", "--quiet", "--user", "--no-deps", "--no-warn-script-location", wheel)
    environ = {"PYTHONUSERBASE": str(base), "PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    call(python, *words, environ=environ)
    packages = next(path.parents[1] for path in base.rglob("credential_helper/__init__.py"))
    (packages / "below.pth").write_text(f"{packages_of(installed)}\n")
    (packages / "usercustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert version(launch, base / "bin" / "git-credential-helper") == VERSION
    assert not (tmp_path / "ran").exists()


def test_an_editable_installation(installed: Path, launch: Launcher, tmp_path: Path) -> None:
    """Its package is found by a .pth file: not in any of the folders where it is looked for first."""
    packages = layer(installed, tmp_path / "editable")
    elsewhere = tmp_path / "checkout"
    elsewhere.mkdir()
    shutil.move(packages / "credential_helper", elsewhere)
    shutil.copytree(installed.parents[1], tmp_path / "venv", symlinks=True)
    below = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    shutil.rmtree(below / "credential_helper")
    (below / "editable.pth").write_text(f"{elsewhere}\n")
    program = tmp_path / "venv" / "bin" / "git-credential-helper"
    program.with_name("credential-helper.py").write_text(f"#!{tmp_path}/venv/bin/python\n")
    assert version(launch, program) == VERSION


def test_a_package_of_the_installation_is_found_where_it_is_needed(
    installed: Path, home: dict[str, str], tmp_path: Path
) -> None:
    """A .pth file of the installation runs before anything that is not a kept answer."""
    packages = layer(installed, tmp_path / "layered")
    (packages / "own.pth").write_text(f"import sys; open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    run = Runner(Launcher(home), tmp_path / "layered" / "bin" / "credential-helper")
    assert run("--version").text == "credential-helper 0.1.0\n"
    assert (tmp_path / "ran").exists()


def test_every_name_is_the_same_program(installed: Path) -> None:
    texts = {installed.with_name(name).read_text() for name in PROGRAMS}
    assert len(texts) == 1
