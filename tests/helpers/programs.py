"""How a test starts the program of this checkout, and any program: in a session and on a terminal of its own."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, TypedDict, Unpack

import msgspec

CHECKOUT = Path(__file__).parents[2]

# A shell would put the path that it found into argv[0]; here a transcript does.
START = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); del sys.argv[0]; " + (
    "from credential_helper.__main__ import main; main()"
)
DEADLINE = 60.0  # seconds a step; generous, nothing here waits


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

    def wait_for(self, pattern: str, *, where: Where | None = None, timeout: float = DEADLINE) -> re.Match[str]:
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
        self._readers[-1].join(DEADLINE)  # while it reads, the kernel keeps the terminal open
        os.close(terminal)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def finish(self, timeout: float = DEADLINE) -> Result:
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
        self.process.wait(DEADLINE)
        self._drain()

    def _drain(self) -> None:
        """Read what is left; a grandchild that holds on to a pipe is not waited for."""
        deadline = time.monotonic() + DEADLINE
        for reader, source in zip(self._readers, self._sources(), strict=True):
            reader.join(1.0)
            while reader.is_alive() and _has_more(source) and time.monotonic() < deadline:  # it has had no time yet
                reader.join(0.1)
        if self._terminal is not None:
            self.hang_up()

    def _sources(self) -> tuple[IO[bytes] | int | None, ...]:
        """Return what each of the readers reads."""
        return self.process.stdout, self.process.stderr, self._terminal

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


def _has_more(source: IO[bytes] | int | None) -> bool:
    """Say whether there is something to read, be it the end."""
    try:
        return source is not None and bool(select.select([source], [], [], 0)[0])
    except ValueError:  # its reader has closed it
        return False


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
        self, argv: Sequence[str | os.PathLike[str]], *, timeout: float = DEADLINE, **options: Unpack[Options]
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
