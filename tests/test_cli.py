"""What a transcript cannot hold: odd descriptors, huge input, signals, a defect of ours, bytes that are no text.

The program runs as it is installed: its own process, real descriptors, no terminal.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from credential_helper import __version__, cli
from credential_helper.errors import CredentialHelperError
from credential_helper.profiles import settings
from credential_helper.text import host_of
from credential_helper.tools import program_name
from integration.servers.embedded_provider import MACHINE_CLIENT, EmbeddedProvider
from integration.servers.hostile_provider import HostileProvider, answer, closed_port
from tests.helpers.programs import CHECKOUT, DEADLINE, START

CANARY = "hunter2-the-canary"

# cli.run with an environment in which one variable raises: a defect that no user can provoke.
DEFECT = f"""\
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from credential_helper import cli

class Trap(dict):
    def get(self, name, default=None):
        if name == "KUBERNETES_EXEC_INFO":
            raise ValueError(sys.argv[1]) from RuntimeError(sys.argv[1])
        return super().get(name, default)

sys.exit(cli.run(["credential-helper", "kubectl"], Trap()))
"""


def command(*words: str | bytes) -> list[str | bytes]:
    return [sys.executable, "-c", START, "credential-helper", *words]


def call(environ: dict[str, str], *words: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end; stdin is empty, stdout and stderr are pipes, where nothing else is said."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command(*words), env=environ, timeout=DEADLINE, start_new_session=True, **options)


def shell(environ: dict[str, str], redirections: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run it with descriptors that only a shell can arrange."""
    script = f'exec "$@" {redirections}'
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", *map(os.fsdecode, command(*words))],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE,
        start_new_session=True,
    )


def configure(environ: dict[str, str], text: str) -> None:
    folder = Path(environ["HOME"], ".config", "credential-helper")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(text)
    (folder / "config.toml").chmod(0o600)


@pytest.fixture(scope="module")
def provider() -> Iterator[EmbeddedProvider]:
    with EmbeddedProvider(interval=1) as provider:
        yield provider


@pytest.fixture
def machine(environ: dict[str, str], provider: EmbeddedProvider) -> dict[str, str]:
    """Return an environment in which every command is answered without a person."""
    secret = {"CI_SECRET": provider.client_secret}
    configure(
        environ,
        f"""\
        profiles.ci.issuer = "{provider.issuer}"
        profiles.ci.client_id = "{MACHINE_CLIENT}"
        profiles.ci.flow = "client-credentials"
        profiles.ci.audience = "https://api.example.com"
        profiles.ci.client_secret.env = "CI_SECRET"
        """,
    )
    return environ | secret


# --- a defect of ours


def test_a_defect_is_told_without_its_text(environ: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", DEFECT, CANARY], env=environ, capture_output=True, timeout=DEADLINE)
    said = done.stderr.decode()
    assert done.returncode == 70
    assert done.stdout == b""
    assert CANARY not in said
    assert "Traceback" not in said
    assert re.match(r"credential-helper: a defect of ours: ValueError at \w+\.py:\d+ of version ", said)
    assert f"of version {__version__}\nhint: please report" in said


def test_a_defect_names_the_innermost_line_of_ours() -> None:
    try:
        host_of(None)  # type: ignore[arg-type]
    except AttributeError as error:
        told = cli._defect(error)
    assert isinstance(told, CredentialHelperError)
    assert told.exit_code == 70
    assert "AttributeError at text.py:" in told.sentence
    assert "NoneType" not in told.sentence


# --- argv


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("credential-helper", "credential-helper"),
        ("/usr/bin/git-credential-helper", "git-credential-helper"),
        ("./docker-credential-helper", "docker-credential-helper"),
        ("C:\\Tools\\GIT-Credential-Helper.EXE", "git-credential-helper"),
        ("git-credential-helper.exe.exe", "git-credential-helper.exe"),
        ("exe", "exe"),
        ("", ""),
    ],
)
def test_the_program_s_name_has_no_folder_no_exe_and_no_case(path: str, name: str) -> None:
    assert program_name(path) == name


@pytest.mark.parametrize("words", [(b"token", b"pr\xff"), (b"get", b"--profile", b"\xff"), (b"\xff",), (b"--\xff",)])
def test_words_that_are_no_text_are_no_defect(environ: dict[str, str], words: tuple[bytes, ...]) -> None:
    done = call(environ, *words)
    assert done.returncode in (64, 78)
    assert done.stdout == b""
    assert done.stderr.startswith(b"credential-helper: ")
    assert b"defect" not in done.stderr


def test_words_are_ascii_where_the_locale_is(environ: dict[str, str]) -> None:
    words = ("token", "--issuer", "https://a.example", "--client-id", "x", "--ca-file", "corp.pem")
    done = call(environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, *words)
    assert done.returncode == 64
    assert done.stderr == b"credential-helper: --ca-file: expected an absolute path or ~/...\n"


def test_an_environment_that_is_empty_is_enough() -> None:
    done = call({}, "token", "--issuer", "https://a.example", "--client-id", "x", "--interactive", "never")
    assert done.returncode == 66
    assert b"defect" not in done.stderr


# --- stdin


@pytest.mark.parametrize("words", [(), ("get",)])
def test_too_much_on_stdin_is_refused(environ: dict[str, str], words: tuple[str, ...]) -> None:
    done = call(environ, *words, input=b'{"profile": "' + b"x" * (3 << 20) + b'"}')
    assert done.returncode == 65
    assert done.stdout == b""
    assert b"stdin is larger than 1 MiB" in done.stderr


def test_what_is_longer_than_a_kept_request_is_still_answered(machine: dict[str, str]) -> None:
    request = b'{"version": 1' + b" " * 100_000 + b"}"
    first, second = (call(machine, "get", input=request) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout != b""


@pytest.mark.parametrize(
    "words", [("kubectl",), ("token",), ("status",), ("login",), ("secret", "list"), ("--version",)]
)
def test_stdin_is_left_alone_where_nothing_is_asked_there(machine: dict[str, str], words: tuple[str, ...]) -> None:
    """``kubectl apply -f -`` and a shell's ``while read`` keep their input."""
    read, write = os.pipe()
    try:
        os.write(write, b"kind: Pod\n")
        os.close(write)
        assert call(machine, *words, stdin=read).returncode == 0
        assert os.read(read, 100) == b"kind: Pod\n"
    finally:
        os.close(read)


def test_a_closed_stdin_is_an_empty_one(machine: dict[str, str]) -> None:
    done = shell(machine, "<&-", "get")
    assert done.returncode == 0
    assert done.stdout.startswith(b'{"version":1')


def test_a_closed_stdin_holds_no_secret(environ: dict[str, str]) -> None:
    done = shell(environ, "<&-", "secret", "set", "ci")
    assert done.returncode == 64
    assert done.stderr.startswith(b"credential-helper: the secret on stdin is empty: nothing is kept\n")


# --- stdout and stderr


@pytest.mark.parametrize(
    "words", [("token",), ("get",), ("kubectl",), ("--version",), ("--help",), ("status",), ("secret", "list")]
)
def test_a_closed_stdout_is_refused_before_any_work(
    machine: dict[str, str], provider: EmbeddedProvider, words: tuple[str, ...]
) -> None:
    before = provider.counters["requests"]
    done = shell(machine, ">&-", *words)
    assert done.returncode == 74
    assert done.stderr == b"credential-helper: stdout is closed: there is nowhere to write the answer to\n"
    assert provider.counters["requests"] == before
    assert not Path(machine["HOME"], ".local").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("words", [("token",), ("get",), ("kubectl",), ("--version",), ("--help",), ("status",)])
def test_a_full_stdout_is_told_by_the_first_answer_and_by_the_kept_one(
    machine: dict[str, str], words: tuple[str, ...]
) -> None:
    for _ in range(2):
        done = shell(machine, ">/dev/full", *words)
        assert done.returncode == 74
        assert b"cannot be written to stdout" in done.stderr
        assert b"Traceback" not in done.stderr
        assert call(machine, *words).returncode == 0  # the second time round there is a kept reply


@pytest.mark.parametrize("words", [("token",), ("--help",), ("status",)])
def test_a_reader_that_has_gone_ends_it_quietly(machine: dict[str, str], words: tuple[str, ...]) -> None:
    for _ in range(2):
        read, write = os.pipe()
        os.close(read)
        done = call(machine, *words, stdout=write)
        os.close(write)
        assert done.returncode == 74
        assert b"Traceback" not in done.stderr
        call(machine, *words)


def test_a_closed_stderr_costs_the_words_and_not_the_answer(machine: dict[str, str]) -> None:
    done = shell(machine, "2>&-", "token")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == call(machine, "token").stdout
    assert shell(machine, "2>&-", "token", "nobody").returncode == 78


def test_all_descriptors_closed_is_no_reason_to_write_into_a_file(machine: dict[str, str]) -> None:
    done = shell(machine, "<&- >&- 2>&-", "token")
    assert (done.returncode, done.stdout, done.stderr) == (74, b"", b"")


# --- verbose


def test_verbose_goes_to_stderr_or_to_a_private_file(machine: dict[str, str], tmp_path: Path) -> None:
    told = call(machine, "token", "--verbose")
    assert told.returncode == 0
    assert b"credential-helper: read " in told.stderr
    log = tmp_path / "log"
    quiet = call(machine | {"CREDENTIAL_HELPER_VERBOSE": str(log)}, "token")
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    assert quiet.stdout == told.stdout
    assert "read " in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    size = log.stat().st_size
    call(machine | {"CREDENTIAL_HELPER_VERBOSE": str(log)}, "token", "--audience", "https://b.example.com")
    assert log.stat().st_size > size


@pytest.mark.parametrize("words", [("token",), ("login",), ("get",), ("kubectl",), ("logout",), ("status",)])
def test_verbose_tells_no_secret(machine: dict[str, str], words: tuple[str, ...]) -> None:
    token = call(machine, "token").stdout.strip()
    done = call(machine, *words, "--verbose")
    assert done.returncode == 0
    for secret in (token, machine["CI_SECRET"].encode()):
        assert len(secret) > 20
        assert secret not in done.stderr
    if words[0] in ("login", "logout", "status"):
        assert token not in done.stdout


# --- a person who types


def typed(environ: dict[str, str], *words: str, heard: bytes | None = None) -> tuple[int, str]:
    """Run it on a terminal; return the exit code and all that stands there. ``heard`` comes by a pipe."""
    master, slave = pty.openpty()
    stdin: Any = subprocess.PIPE if heard is not None else slave
    try:
        with subprocess.Popen(command(*words), env=environ, stdin=stdin, stdout=slave, stderr=slave) as program:
            os.close(slave)
            if program.stdin is not None:
                program.stdin.write(heard or b"")
                program.stdin.close()
            text = read_all(master)
            return program.wait(DEADLINE), text
    finally:
        os.close(master)


def read_all(master: int) -> str:
    """Return what comes to a terminal until nobody has its other end any more."""
    text = b""
    try:
        while piece := os.read(master, 65536):
            text += piece
    except OSError:  # EIO
        pass
    return text.decode().replace("\r\n", "\n")


GIT_GET = b"capability[]=authtype\nprotocol=https\nhost=git.example.com\n\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
@pytest.mark.parametrize(
    ("words", "heard"),
    [
        (("token",), None),
        (("kubectl", "--api-version", "v1"), None),
        (("get",), b"{}"),
        (("git", "get"), GIT_GET),
        (("git", "get"), GIT_GET.partition(b"\n")[2]),
        (("docker", "get"), b"registry.example.com"),
        (("bazel", "get"), b'{"uri": "https://cache.example.com/x"}'),
    ],
)
def test_under_verbose_no_terminal_shows_a_token(
    machine: dict[str, str], words: tuple[str, ...], heard: bytes | None
) -> None:
    with open(Path(machine["HOME"], ".config", "credential-helper", "config.toml"), "a") as file:
        file.write('profiles.ci.git = ["https://git.example.com"]\n')
        file.write('profiles.ci.docker = ["registry.example.com"]\nprofiles.ci.bazel = ["https://cache.example.com"]\n')
    token = call(machine, "token").stdout.decode().strip()
    for watched in (machine, machine | {"CREDENTIAL_HELPER_VERBOSE": "1"}):
        code, text = typed(watched, "--verbose", *words, heard=heard)
        assert code == 0, text
        assert "***" in text
        assert token not in text
        assert "an access token, kept for " in text
    for value in ("", "0", str(Path(machine["HOME"], "log"))):  # it was typed for that
        assert token in typed(machine | {"CREDENTIAL_HELPER_VERBOSE": value}, "token")[1]


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
@pytest.mark.parametrize("what", ["docker", "git"])
def test_under_verbose_no_terminal_shows_a_stored_password(environ: dict[str, str], what: str) -> None:
    environ = environ | {"CREDENTIAL_HELPER_PASSWORD_STORAGE": "file"}
    asked = {"docker": b"registry.example.com", "git": b"protocol=https\nhost=git.example.com\n"}[what]
    kept = {
        "docker": b'{"ServerURL":"registry.example.com","Username":"ada","Secret":"hunter2"}',
        "git": asked + b"username=ada\npassword=hunter2\n",
    }[what]
    assert call(environ, what, "store", input=kept).returncode == 0
    code, text = typed(environ, "--verbose", what, "get", heard=asked)
    assert (code, "hunter2" in text, "***" in text) == (0, False, True)
    assert "hunter2" in typed(environ, what, "get", heard=asked)[1]


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
@pytest.mark.parametrize("words", [(), ("--verbose",)])
def test_without_a_command_a_person_is_told_where_to_begin(environ: dict[str, str], words: tuple[str, ...]) -> None:
    code, text = typed(environ, *words)
    assert code == 64
    for line in (
        "to sign in: credential-helper login\n",
        "every command: credential-helper --help\n",
        "credential-helper: no profile is configured\n",
        "hint: write into ",
    ):
        assert line in text
    configure(environ, 'profiles.prod.issuer = "https://login.example.com"\nprofiles.prod.client_id = "x"\n')
    code, text = typed(environ, *words)
    assert (code, "no profile" in text, "hint" in text) == (64, False, False)


def test_help_names_the_common_flags_and_all_of_them_where_that_is_asked(environ: dict[str, str]) -> None:
    for words in (("token",), ("login",), ("logout",), ("kubectl",), ("git",)):
        common = call(environ, *words, "--help").stdout.decode()
        every = call(environ, *words, "--help", "--all").stdout.decode()
        assert "--profile NAME" in common
        assert "--private-key-kid" not in common
        assert "--help --all" in common
        assert len(re.findall(r"^  --", common, re.MULTILINE)) <= 12
        for setting in (settings.PROFILE, *settings.SETTINGS):
            assert setting.flag is None or setting.flag in every
        assert call(environ, *words, "--all", "-h").stdout.decode() == every


# The leader of a terminal's session, which starts six jobs in the background.
JOBS = f"""\
import fcntl, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
job = [sys.executable, "-c", {START!r}, "credential-helper", *sys.argv[1:]]
jobs = [subprocess.Popen(job, stdin=subprocess.DEVNULL, process_group=0) for _ in range(6)]
print("ended", *(one.wait() for one in jobs), file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="job control")
@pytest.mark.parametrize("words", [("token",), ("kubectl", "--api-version", "v1"), ("refresh",)])
def test_six_background_jobs_say_once_why_nobody_is_asked(environ: dict[str, str], words: tuple[str, ...]) -> None:
    configure(environ, 'profiles.prod.issuer = "https://login.example.com"\nprofiles.prod.client_id = "x"\n')
    master, slave = pty.openpty()
    command = [sys.executable, "-c", JOBS, *words]
    with subprocess.Popen(
        command, env=environ, stdin=slave, stdout=subprocess.DEVNULL, stderr=slave, start_new_session=True
    ) as leader:
        os.close(slave)
        text = read_all(master)
        assert leader.wait(DEADLINE) == 0
    os.close(master)
    assert text.endswith("ended 66 66 66 66 66 66\n")
    why = "nobody is signed in to login.example.com: "
    reason = ": there is nothing to renew\n" if words == ("refresh",) else ": this is a background job\n"
    times = 6 if words == ("refresh",) else 1  # each of them was typed
    assert (text.count(why), text.count(reason), text.count("hint: ")) == (times, times, times), text


# --- a canary through every error path


@pytest.mark.parametrize(
    "behaviour",
    [
        answer({"error": "invalid_client"}, 401),
        answer({"error": "access_denied"}, 401),
        answer("<html></html>", 502),
        answer(b"\xff\xfe"),
        answer('{"access_token": '),
        answer({"access_token": 7}),
        answer({"error": 7}, 400),
        answer([], 200),
        answer("", 429),
    ],
)
def test_the_client_s_secret_is_told_by_no_error(environ: dict[str, str], behaviour: Any) -> None:
    with HostileProvider() as provider:
        provider.serve_metadata()
        provider.script("/token", behaviour)
        environ = environ | {
            "CREDENTIAL_HELPER_ISSUER": provider.issuer,
            "CREDENTIAL_HELPER_CLIENT_ID": "ci",
            "CREDENTIAL_HELPER_FLOW": "client-credentials",
            "CREDENTIAL_HELPER_CLIENT_SECRET": CANARY,
            "CREDENTIAL_HELPER_VERBOSE": "1",
        }
        done = call(environ, "token")
        assert provider.to("/token")
    assert done.returncode in (69, 75, 76, 77)
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr
    assert CANARY.encode() not in done.stderr
    home = Path(environ["HOME"])
    kept = [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert kept == []


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (("secret", "set", "ci"), CANARY),
        (("secret", "set", "ci", "--verbose"), CANARY),
        (("secret", "set", "ci"), f"{CANARY}\0"),
        (("secret", "set", "ci"), CANARY * 5000),
        (("secret", "set", f"{CANARY}+"), CANARY),
        (("secret", "set", "ci", CANARY), CANARY),
        (("secret", CANARY), CANARY),
    ],
)
def test_a_secret_that_is_not_kept_is_told_by_no_error(
    environ: dict[str, str], words: tuple[str, ...], stdin: str
) -> None:
    """There is no keyring here, and some of it is wrong besides."""
    done = call(environ, *words, input=stdin.encode())
    assert done.returncode in (64, 74)
    assert done.stdout == b""
    assert CANARY.encode() not in done.stderr
    home = Path(environ["HOME"])
    assert not [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


# --- signals


class Started:
    """The program, waiting for something, and what it says meanwhile."""

    def __init__(self, environ: dict[str, str], *words: str, stdin: int | IO[bytes] = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            command(*words),
            env=environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def wait_for(self, words: bytes) -> None:
        assert self.process.stderr is not None
        timer = threading.Timer(DEADLINE, self.process.kill)
        timer.start()
        for line in self.process.stderr:
            if words in line:
                break
        else:
            raise AssertionError("it ended, or said nothing")
        timer.cancel()

    def end(self) -> tuple[int, bytes, bytes]:
        stdout, stderr = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, stdout, stderr


@pytest.mark.usefixtures("default_signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_sign_in_at_once(
    environ: dict[str, str], provider: EmbeddedProvider, number: signal.Signals, code: int
) -> None:
    environ |= {"CREDENTIAL_HELPER_INTERACTIVE": "always"}
    started = Started(environ, "token", "--issuer", provider.issuer, "--client-id", "demo-kubectl")
    started.wait_for(b"go on only if you started this")
    started.process.send_signal(number)
    assert started.end() == (code, b"", b"")
    left = [path.name for path in Path(environ["HOME"]).rglob("*.prompt")]
    assert left == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_a_process_with_tokens_in_its_memory_writes_no_core(
    environ: dict[str, str], provider: EmbeddedProvider
) -> None:
    environ |= {"CREDENTIAL_HELPER_INTERACTIVE": "always"}
    started = Started(environ, "token", "--issuer", provider.issuer, "--client-id", "demo-kubectl")
    started.wait_for(b"go on only if you started this")
    limits = Path(f"/proc/{started.process.pid}/limits").read_text(encoding="ascii")
    started.process.kill()
    started.end()
    (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core[4] in ("0", "1")


@pytest.mark.usefixtures("default_signals")
def test_ctrl_c_before_anything_is_130_and_silent(environ: dict[str, str]) -> None:
    """While stdin is read nothing of ours is loaded yet."""
    read, write = os.pipe()
    started = Started(environ, "get", stdin=read)
    os.close(read)
    try:
        os.write(write, b"{" + b" " * 60_000)  # fits the pipe; what follows only when the child has begun to read
        os.write(write, b" " * 60_000)
        started.process.send_signal(signal.SIGINT)
        assert started.end() == (130, b"", b"")
    finally:
        os.close(write)


def test_a_signal_that_the_caller_ignores_stays_ignored(environ: dict[str, str], provider: EmbeddedProvider) -> None:
    """Nohup: the window is closed, and the sign-in goes on."""
    environ |= {"CREDENTIAL_HELPER_INTERACTIVE": "always"}
    words = ("token", "--issuer", provider.issuer, "--client-id", "demo-kubectl", "--scope", "openid")
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", *map(os.fsdecode, command(*words))],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    started = Started.__new__(Started)
    started.process = process
    started.wait_for(b"go on only if you started this")
    process.send_signal(signal.SIGHUP)
    assert all(provider.approve(code) for code in provider.pending())
    code, stdout, _ = started.end()
    assert code == 0
    assert stdout.strip()


IGNORING = """\
import os, signal, sys
for name in sys.argv[1].split():
    signal.signal(getattr(signal, name), signal.SIG_IGN)
os.execv(sys.argv[2], sys.argv[2:])
"""


def ignoring(signals: str, *words: str) -> list[str]:
    """Return a command whose process ignores these signals from its first moment."""
    return [sys.executable, "-I", "-S", "-c", IGNORING, signals, *words]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("ended", ["exit 3", "kill -9 $$"])
def test_a_failure_is_one_where_the_caller_ignores_the_end_of_its_children(
    environ: dict[str, str], provider: EmbeddedProvider, ended: str
) -> None:
    """Linux then keeps no exit status, and what a command printed before it failed looks like the secret."""
    configure(
        environ,
        f"""\
        profiles.ci.issuer = "{provider.issuer}"
        profiles.ci.client_id = "{MACHINE_CLIENT}"
        profiles.ci.flow = "client-credentials"
        profiles.ci.client_secret.command = ["/bin/sh", "-c", "echo wrong; {ended}"]
        """,
    )
    done = subprocess.run(
        ignoring("SIGCHLD", *map(os.fsdecode, command("token", "ci"))),
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE,
        start_new_session=True,
    )
    assert (done.returncode, done.stdout) == (78, b"")
    assert b"the command sh " in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_tests_about_signals_do_not_depend_on_who_started_them() -> None:
    """As ``nohup make test &`` does."""
    files = (
        *("tests/test_cli.py", "tests/system/test_signals.py", "tests/system/test_children.py"),
        "tests/broker/test_interaction.py",
    )
    chosen = ("-k", "signal or ctrl_c or interruption", "--deselect", "tests/test_cli.py::" + OURSELVES)
    words = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, *chosen)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        ignoring("SIGINT SIGHUP SIGQUIT SIGTERM", *words),
        env=environ,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10 * DEADLINE,  # dozens of programs, and each has a DEADLINE of its own
        start_new_session=True,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 10


OURSELVES = test_the_tests_about_signals_do_not_depend_on_who_started_them.__name__


# --- what else is inherited


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
@pytest.mark.parametrize(
    ("prepare", "variables"),
    [
        ("exec <&-", {}),
        ("ulimit -n 256", {}),
        ("ulimit -n 16", {}),
        ("umask 000", {}),
        ("umask 077", {}),
        ("trap '' INT HUP QUIT TERM PIPE", {}),
        (":", {"LC_ALL": "C"}),
        (":", {"TZ": "Pacific/Kiritimati"}),
        (":", {"CI": "true"}),
        (":", {"TERM": ""}),
        (":", {"HOME": "{home}/not/there/yet"}),
    ],
    ids=lambda value: str(value),
)
def test_what_it_inherits_changes_neither_answer_nor_what_others_may_read(
    machine: dict[str, str], prepare: str, variables: dict[str, str]
) -> None:
    home = Path(machine["HOME"])
    config = {"CREDENTIAL_HELPER_CONFIG": str(home / ".config" / "credential-helper" / "config.toml")}
    given = {name: value.format(home=home) for name, value in variables.items()}
    for _ in "asked", "kept":
        done = subprocess.run(
            ["/bin/sh", "-c", f'{prepare}; exec "$@"', "sh", *map(os.fsdecode, command("token", "ci"))],
            env=machine | config | given,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DEADLINE,
            start_new_session=True,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.count(b".") == 2
    made = [path for path in home.rglob("*") if ".config" not in path.parts]
    assert any(path.is_file() for path in made)
    assert [path for path in made if path.stat().st_mode & 0o077] == []


# --- the network


def test_nothing_there_is_said_in_one_line(environ: dict[str, str]) -> None:
    with closed_port() as port:
        words = ("--issuer", f"http://127.0.0.1:{port}", "--client-id", "x", "--interactive", "always")
        done = call(environ, "login", *words)
    assert done.returncode == 69
    assert done.stderr.count(b"\n") == 1
    assert b"refused the connection" in done.stderr


# --- what a command line may name -------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
def test_only_who_types_at_a_terminal_names_any_secret(environ: dict[str, str], tmp_path: Path) -> None:
    """A kubeconfig's args may say login, too; kubectl reads our stdout."""
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    with closed_port() as port:
        profile = ["--issuer", f"http://127.0.0.1:{port}", "--client-id", "x", "--flow", "client-credentials"]
        words = ["login", *profile, "--client-secret-file", str(secret)]
        code, said = typed(environ, *words)
        assert (code, "refused the connection" in said) == (69, True)
        by_pipe = call(environ, *words)
        assert (by_pipe.returncode, b"has leave for" in by_pipe.stderr) == (78, True)
        code, said = typed(environ, "token", *words[1:])
        assert (code, "has leave for" in said) == (78, True)
