"""What the real providers are made of: fetched or built once, and kept outside the checkout.

    python -m integration.servers.providers.made    # all of them, before tests have to wait for one

Keycloak is its own distribution, from Maven's registry, pinned by version and SHA-256, and augmented once (its word for
``kc.sh build``). Hydra and Dex are built by Go from the module that their pinned go.mod and go.sum name, which is how
Go checks what it fetched. CREDENTIAL_HELPER_PROVIDERS names another folder to keep them in.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
DEADLINE = 900.0  # seconds a step; Go builds some hundred packages

KEYCLOAK = "26.7.3"
KEYCLOAK_SHA256 = "77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47"
JAVA = 17  # the oldest that this Keycloak runs on
MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"

HYDRA = "2.3.0"
DEX = "2.45.1"  # as its commit: the tags of its second version do not follow Go's rules


class Absent(Exception):
    """This machine has not what the provider is made with: there is no Java, no Maven, no Go, or an old one."""


class ArtefactError(Exception):
    """It should have been had, and was not; says what the tool wrote."""


def folder() -> Path:
    """Return where providers are kept between runs."""
    if named := os.environ.get("CREDENTIAL_HELPER_PROVIDERS"):
        return Path(named).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "credential-helper-providers")


def keycloak() -> Path:
    """Return the folder of Keycloak's distribution, ready to start."""
    java()
    maven = _program("mvn")
    return _once(f"keycloak-{KEYCLOAK}-{KEYCLOAK_SHA256[:8]}", lambda new: _fetch_keycloak(maven, new))


def hydra() -> Path:
    """Return the executable of Ory Hydra."""
    return _built("hydra", HYDRA, "github.com/ory/hydra/v2", "-tags=sqlite")


def dex() -> Path:
    """Return the executable of Dex."""
    return _built("dex", DEX, "github.com/dexidp/dex/cmd/dex")


ALL: Mapping[str, Callable[[], Path]] = {"hydra": hydra, "dex": dex, "keycloak": keycloak}


# --- programs ---------------------------------------------------------------------------------------------------------


def java() -> str:
    """Return the path of a Java that is new enough; Absent."""
    path = _program("java")
    said = subprocess.run([path, "-version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r'version "(\d+)', said.stderr)
    if said.returncode != 0 or found is None or int(found[1]) < JAVA:
        raise Absent(f"no Java {JAVA} or newer")
    return path


def _go(module: Path) -> str:
    """Return the path of a Go that is new enough for a module; Absent."""
    path = _program("go")
    wanted = re.search(r"^go (\d+)\.(\d+)", (module / "go.mod").read_text(), re.MULTILINE)
    assert wanted is not None
    said = subprocess.run([path, "version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r"go(\d+)\.(\d+)", said.stdout)
    if found is None or tuple(map(int, found.groups())) < tuple(map(int, wanted.groups())):
        raise Absent(f"no Go {'.'.join(wanted.groups())} or newer")
    return path


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Absent(f"no {name}")
    return path


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtefactError(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        raise ArtefactError(f"{command[0]}: exit {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")


# --- making -----------------------------------------------------------------------------------------------------------


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """Return ``folder()/name``; whoever comes first makes it under another name, the others wait for the lock."""
    folder().mkdir(parents=True, exist_ok=True)
    made = folder() / name
    with (folder() / f"{name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=folder(), prefix=f"{name}-") as unfinished:
                make(Path(unfinished, "made"))
                Path(unfinished, "made").rename(made)
    return made


def _built(name: str, version: str, package: str, *flags: str) -> Path:
    module = HERE / f"{name}_build"
    go = _go(module)
    pins = hashlib.sha256((module / "go.mod").read_bytes() + (module / "go.sum").read_bytes()).hexdigest()[:8]
    words = ("build", "-mod=readonly", "-ldflags=-s -w", *flags)
    return _once(f"{name}-{version}-{pins}", lambda new: _run(go, *words, "-o", new, package, cwd=module))


def _fetch_keycloak(maven: str, new: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder()) as repository:
        artefact = f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:tar.gz"
        goal = (f"{MAVEN_PLUGIN}:get", f"-Dartifact={artefact}", "-Dtransitive=false")
        _run(maven, "--quiet", "--batch-mode", f"-Dmaven.repo.local={repository}", *goal)
        (archive,) = Path(repository).glob("org/keycloak/keycloak-quarkus-dist/*/*.tar.gz")
        with archive.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest != KEYCLOAK_SHA256:
            raise ArtefactError(f"{archive.name} has the SHA-256 {digest}")
        with tarfile.open(archive) as content_of_archive:
            content_of_archive.extractall(repository, filter="data")
        distribution = Path(repository, f"keycloak-{KEYCLOAK}")
        _run(distribution / "bin" / "kc.sh", "build", "--db=dev-mem", "--cache=local")
        distribution.rename(new)


def main() -> None:
    """Have all that can be had here, and say what; the tests say what it means that one could not."""
    for name, make in ALL.items():
        started = time.monotonic()
        try:
            print(f"{name}: {make()} ({time.monotonic() - started:.0f} s)", flush=True)
        except Absent as error:
            print(f"{name}: left out, {error}", flush=True)
        except ArtefactError as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
