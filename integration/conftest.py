"""What the integration tests share: a provider, an API server, the installed program, a home of its own, a terminal.

Servers run once a session and are reset before each test that asks for them, so no test sees another's sign-ins.
Programs are started in a session of their own (setsid): they have no terminal unless a test gives them one, whatever
pytest itself was started from, and inherit no variable.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, NoReturn, TypedDict, Unpack

import filelock
import msgspec
import pytest

from integration.clients.chromium import Chromium
from integration.clients.real import missing, need
from integration.servers.kube_api import KubeApi
from integration.servers.oidc import AUDIENCE, CLI, Authority, Face, OidcProvider, ProviderError

CHECKOUT = Path(__file__).parent.parent
PACKAGED = ("credential_helper", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")
PIP_DEADLINE = 600.0  # seconds, for each of two calls

# Prepares the new session, then becomes the program. Signals that whoever started pytest ignores (a shell's `&` does so
# with SIGINT, nohup with SIGHUP) would stay ignored in every child. A preexec_fn would do as well, but a fork with
# Python code in a process with threads may deadlock, and Python 3.12 warns of it. The terminal's descriptor stays open
# in the program: where only /dev/tty is used, nobody else would hold it, and its reader would be told that all is over.
PREPARE = """\
import os, signal, sys
for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM:
    signal.signal(number, signal.SIG_DFL)
if sys.argv[1] != "none":
    import fcntl, termios
    fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""

Where = Literal["stdout", "stderr", "terminal"]


@pytest.fixture(autouse=True, scope="session")
def umask() -> Iterator[None]:
    """Write what tests write as most people would: under umask 000 every config file would be one to refuse."""
    before = os.umask(0o022)
    yield
    os.umask(before)


# --- programs ---------------------------------------------------------------------------------------------------------


class Options(TypedDict, total=False):
    """How a program is started, where it matters to a test.

    With ``terminal`` it leads a session whose controlling terminal is a new one of ``size`` (rows, columns; 24, 80),
    and stderr is that terminal; ``stderr`` says otherwise. ``stdin`` None is the terminal, or /dev/null without one;
    left out, it is empty. ``env`` is laid over the home's environment, None takes a variable out.
    """

    stdin: bytes | None
    env: Mapping[str, str | None]
    cwd: Path
    terminal: bool
    stderr: Literal["pipe", "terminal", "null"]
    size: tuple[int, int]


class Result(msgspec.Struct, frozen=True):
    """What a program left behind."""

    code: int  # negative: the signal that ended it
    stdout: bytes
    stderr: str
    terminal: str  # all that was shown on its terminal, keys that were echoed too; line ends are \n
    seconds: float

    @property
    def text(self) -> str:
        """Return stdout as text."""
        return self.stdout.decode()


class Running:
    """A program that was started, its output as it comes, and the keyboard of its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int | None) -> None:
        self.process = process
        self.pid = process.pid  # also its process group and its session
        self._started = time.monotonic()
        self._terminal = terminal
        self._changed = threading.Condition()
        self._output: dict[Where, bytearray] = {"stdout": bytearray(), "stderr": bytearray(), "terminal": bytearray()}
        self._readers = [
            _thread(lambda: self._read_pipe("stdout", process.stdout)),
            _thread(lambda: self._read_pipe("stderr", process.stderr)),
            _thread(self._read_terminal),
        ]

    def output(self, where: Where) -> str:
        """Return what has come so far."""
        with self._changed:
            return self._output[where].decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, pattern: str, *, where: Where | None = None, timeout: float = 20.0) -> re.Match[str]:
        """Wait until a regular expression is found in what was written (anywhere, or ``where``); AssertionError."""
        places: tuple[Where, ...] = ("terminal", "stderr", "stdout") if where is None else (where,)
        deadline = time.monotonic() + timeout
        while True:
            ended = self.process.poll() is not None and not any(reader.is_alive() for reader in self._readers)
            with self._changed:
                for place in places:
                    if found := re.search(pattern, self.output(place)):
                        return found
                if ended or time.monotonic() > deadline:
                    raise AssertionError(f"no {pattern!r} in {[self.output(place) for place in places]}")
                self._changed.wait(0.05)

    def type(self, keys: bytes) -> None:
        r"""Press keys on its terminal: b"\x03" is Ctrl-C, b"\r" is Return."""
        assert self._terminal is not None, "it was started without a terminal"
        os.write(self._terminal, keys)

    @property
    def echoes(self) -> bool:
        """Say whether its terminal shows what is typed."""
        assert self._terminal is not None, "it was started without a terminal"
        return bool(termios.tcgetattr(self._terminal)[3] & termios.ECHO)

    def hang_up(self) -> None:
        """Close the terminal's window."""
        assert self._terminal is not None, "it was started without a terminal"
        terminal, self._terminal = self._terminal, None
        self._readers[-1].join(1.0)  # while it reads, the kernel keeps the terminal open
        os.close(terminal)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def finish(self, timeout: float = 30.0) -> Result:
        """Wait for its end, and for the end of its output; kills it and raises AssertionError after ``timeout``."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            outputs = {place: self.output(place) for place in self._output}
            raise AssertionError(f"still running after {timeout} s: {outputs}") from None
        seconds = time.monotonic() - self._started
        self._drain()
        return Result(
            code=self.process.returncode,
            stdout=bytes(self._output["stdout"]),
            stderr=self.output("stderr"),
            terminal=self.output("terminal"),
            seconds=seconds,
        )

    def kill(self) -> None:
        """End it and what it started in its own process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(5)
        self._drain()

    def _drain(self) -> None:
        """Read what is left; a grandchild that holds on to a pipe is not waited for."""
        for reader in self._readers:
            reader.join(1.0)
        if self._terminal is not None:
            self.hang_up()

    def _keep(self, where: Where, data: bytes) -> None:
        with self._changed:
            self._output[where] += data
            self._changed.notify_all()

    def _read_pipe(self, where: Where, pipe: IO[bytes] | None) -> None:
        if pipe is not None:
            with pipe:
                while data := os.read(pipe.fileno(), 65536):
                    self._keep(where, data)

    def _read_terminal(self) -> None:
        while (terminal := self._terminal) is not None:
            if not select.select([terminal], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError as error:
                if error.errno == errno.EIO:  # Linux's word for: the last program has gone
                    return
                raise
            if not data:
                return
            self._keep("terminal", data)


def _thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


class Launcher:
    """Starts programs in the environment of ``home``, and ends those that a test leaves behind."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ  # not a copy: what a test adds to its home is seen
        self._all: list[Running] = []

    def start(self, argv: Sequence[str | os.PathLike[str]], **options: Unpack[Options]) -> Running:
        """Start a program by its absolute path, and return at once."""
        command = [os.fspath(word) for word in argv]
        assert os.path.isabs(command[0]), f"not an absolute path: {command[0]}"
        stdin = options.get("stdin", b"")
        master, slave = _terminal(options.get("size", (24, 80))) if options.get("terminal") else (None, None)
        command = [sys.executable, "-I", "-S", "-c", PREPARE, "none" if slave is None else str(slave), *command]
        errors = {"pipe": subprocess.PIPE, "null": subprocess.DEVNULL, "terminal": slave}
        process = subprocess.Popen(
            command,
            cwd=options.get("cwd", self.environ["HOME"]),
            env=self._environ(options),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL if slave is None else slave,
            stdout=subprocess.PIPE,
            stderr=errors[options.get("stderr", "pipe" if slave is None else "terminal")],
            start_new_session=True,
            pass_fds=() if slave is None else (slave,),
        )
        if slave is not None:
            os.close(slave)
        running = Running(process, master)
        self._all.append(running)
        if stdin is not None:
            _feed(process, stdin)
        return running

    def run(
        self, argv: Sequence[str | os.PathLike[str]], *, timeout: float = 30.0, **options: Unpack[Options]
    ) -> Result:
        """Run a program to its end; AssertionError after ``timeout`` seconds."""
        return self.start(argv, **options).finish(timeout)

    def _environ(self, options: Options) -> dict[str, str]:
        terminal = {"TERM": "xterm-256color"} if options.get("terminal") else {}
        wanted: dict[str, str | None] = {**self.environ, **terminal, **options.get("env", {})}
        return {name: value for name, value in wanted.items() if value is not None}

    def stop(self) -> None:
        """End every program that still runs."""
        for running in self._all:
            if running.process.poll() is None:
                running.kill()
            else:
                running.finish()


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write stdin and close it, from a thread where the pipe could fill up; who does not read it is left alone."""
    pipe = process.stdin
    assert pipe is not None

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), pipe:
            pipe.write(data)

    write() if len(data) <= 4096 else _thread(write)


def _terminal(size: tuple[int, int]) -> tuple[int, int]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    return master, slave


class Runner:
    """The installed ``credential-helper``: ``run("login", "prod")``, or ``run.start(…)`` where a test looks on.

    ``program`` is the name that it is called by: git-credential-helper, docker-credential-helper.
    """

    def __init__(self, launcher: Launcher, executable: Path) -> None:
        self._launcher = launcher
        self.executable = executable

    def __call__(
        self, *argv: str, timeout: float = 30.0, program: str = "credential-helper", **options: Unpack[Options]
    ) -> Result:
        """Run it to its end with these arguments; AssertionError after ``timeout`` seconds."""
        return self.start(*argv, program=program, **options).finish(timeout)

    def start(self, *argv: str, program: str = "credential-helper", **options: Unpack[Options]) -> Running:
        """Start it with these arguments, and return at once."""
        return self._launcher.start([self.executable.with_name(program), *argv], **options)


# --- kubectl ----------------------------------------------------------------------------------------------------------


class Kubectl(msgspec.Struct, frozen=True):
    """A real kubectl."""

    version: str  # "1.30"
    path: str


def kubectls() -> list[Kubectl]:
    """Return every kubectl found, oldest first: the one on PATH, and the kubectl.1.NN that the gcloud CLI brings.

    gcloud's own ``kubectl`` only picks one of those by asking the server for its version first, with a plugin call of
    its own: where it is the one on PATH, its choices stand in for it.
    """
    found: dict[str, Kubectl] = {}
    for program in ("kubectl", "gcloud"):
        path = shutil.which(program)
        for file in Path(path).resolve().parent.glob("kubectl.1.*") if path else ():
            if re.fullmatch(r"kubectl\.1\.\d+", file.name) and os.access(file, os.X_OK):
                version = file.name.removeprefix("kubectl.")
                found.setdefault(version, Kubectl(version, str(file)))
    on_path = shutil.which("kubectl")
    if on_path and (named := _kubectl_version(on_path)):
        found.setdefault(named, Kubectl(named, on_path))
    return sorted(found.values(), key=lambda kubectl: [int(part) for part in kubectl.version.split(".")])


def _kubectl_version(path: str) -> str | None:
    """Return "1.NN"; None for a dispatcher, or where it will not say."""
    command = [path, "version", "--client", "--output=json"]
    environ = {"PATH": os.environ["PATH"], "HOME": os.devnull, "KUBECONFIG": os.devnull}
    answer = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    said = re.search(r'"gitVersion": *"v(1\.\d+)[^"]*"', answer.stdout)
    return said[1] if said and "dispatcher" not in said[0] else None


def no_kubectl() -> NoReturn:
    """Skip or fail, and say why."""
    missing(f"{need('kubectl')} is a dispatcher, and what it picks from is not beside it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``each_kubectl`` once with each; without any, the one run says what is missing."""
    if "each_kubectl" in metafunc.fixturenames:
        found: list[Kubectl | None] = [*kubectls()] or [None]
        metafunc.parametrize("each_kubectl", found, indirect=True, ids=lambda k: k.version if k else "missing")


@pytest.fixture
def each_kubectl(request: pytest.FixtureRequest) -> Kubectl:
    """Return one kubectl after the other."""
    if request.param is None:
        no_kubectl()
    assert isinstance(request.param, Kubectl)
    return request.param


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Return the newest kubectl."""
    return (kubectls() or no_kubectl())[-1]


# --- servers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def oidc_server() -> Iterator[OidcProvider]:
    """Run the real provider for the whole session; tests take ``oidc``, which is reset for each."""
    need("node")
    need("npm")
    provider = OidcProvider()
    try:
        provider.start()
    except ProviderError as error:
        missing(f"oidc-provider: {error}")
    yield provider
    provider.stop()


@pytest.fixture
def oidc(oidc_server: OidcProvider) -> OidcProvider:
    """Return the provider as on its first day; its faces ``auth0``, ``tls`` and ``auth0_tls`` too."""
    oidc_server.reset_all()
    return oidc_server


@pytest.fixture
def auth0(oidc: OidcProvider) -> Face:
    """Return the face that answers as Auth0 does."""
    return oidc.auth0


@pytest.fixture(scope="session")
def kube_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """Run the API server for the whole session; tests take ``kube_api`` or ``kube_tls``."""
    with KubeApi(Authority(tmp_path_factory.mktemp("kube-api"))) as kube:
        yield kube


@pytest.fixture
def bare_kube_api(kube_api_server: KubeApi) -> KubeApi:
    """Return an API server that trusts nobody yet; needs no provider."""
    kube_api_server.reset()
    return kube_api_server


@pytest.fixture
def kube_api(bare_kube_api: KubeApi, oidc: OidcProvider) -> KubeApi:
    """Return an API server that trusts tokens of every face, for AUDIENCE and (ID tokens) for the client CLI."""
    for face in oidc.faces:
        bare_kube_api.trust(face.issuer, [AUDIENCE, CLI], ca_file=face.ca_file)
    return bare_kube_api


# --- a browser --------------------------------------------------------------------------------------------------------


@pytest.fixture
def chromium(oidc_server: OidcProvider) -> Iterator[Chromium]:
    """Return a real browser with a profile of its own; it believes the certificate of the provider's https faces."""
    with Chromium(trust=[oidc_server.certificate]) as chromium:
        yield chromium


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Return the folder for what is kept for people to look at; CREDENTIAL_HELPER_TEST_ARTEFACTS names another one."""
    named = os.environ.get("CREDENTIAL_HELPER_TEST_ARTEFACTS")
    return Path(named) if named else CHECKOUT / "artefacts"  # not build/, which make removes


# --- the program under test -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the absolute path of a ``credential-helper`` that was installed as users install it.

    CREDENTIAL_HELPER_EXECUTABLE names one that is there already; else a virtual environment is made, once a session,
    whose first worker makes it for all.
    pip is upgraded first: the entry scripts of pip before 25.2 are slower than the program's hot path.
    """
    if named := os.environ.get("CREDENTIAL_HELPER_EXECUTABLE"):
        if not os.path.isabs(named) or not os.access(named, os.X_OK):
            pytest.fail(f"CREDENTIAL_HELPER_EXECUTABLE is no program: {named}")
        return Path(named)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _install(tmp_path_factory.mktemp("installed"))
    folder = tmp_path_factory.getbasetemp().parent / "installed"  # the workers' folders are neighbours
    with filelock.FileLock(f"{folder}.lock"):
        done = folder / "done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            done.write_text(str(_install(folder)))
        return Path(done.read_text())


def _install(folder: Path) -> Path:
    """Make a virtual environment with the program in it, and return the program's path."""
    source = _source(folder / "source")  # setuptools builds inside the tree it is given: not in the checkout
    _call(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    _call(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.2")
    _call(python, "-m", "pip", "install", "--quiet", source)
    return folder / "venv" / "bin" / "credential-helper"


def _source(folder: Path) -> Path:
    """Copy what a wheel is made of."""
    folder.mkdir()
    for name in PACKAGED:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, folder / name)
    return folder


def _call(*command: str | os.PathLike[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PIP_DEADLINE)
    if done.returncode != 0:
        pytest.fail(f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose home is empty and ours alone; PATH is all that it has from outside.

    There is no D-Bus session in it, so no keyring; git's system-wide configuration is left out. A test may add to it.
    """
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_STATE_HOME": str(folder / ".local" / "state"),
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
    }


@pytest.fixture
def launch(home: dict[str, str]) -> Iterator[Launcher]:
    """Return what starts other programs (kubectl, git, docker) in ``home``."""
    launcher = Launcher(home)
    yield launcher
    launcher.stop()


@pytest.fixture
def run(launch: Launcher, installed: Path) -> Runner:
    """Return what starts the installed program in ``home``."""
    return Runner(launch, installed)
