"""Child processes: the commands that secrets are read from, ``git config``, the browser.

- A program is started by the absolute path found on PATH's absolute entries: never through a shell, never from the
  current directory (git runs us inside other people's checkouts).
- stdin is /dev/null; stdout is a pipe, never ours, read up to a limit; stderr is ours, so that ``op`` can say that it
  wants to be unlocked.
- It runs in a session of its own, without a controlling terminal: it cannot stop in the background to wait for keys.
- Past the deadline, past the limit, or when we are interrupted, the child's whole process group is killed; when we are
  killed ourselves a shell does it, which waits for the end of a pipe that only we hold open.
- It does not see our secret variables, nor any that the config names as the source of a secret.
- Nothing that it wrote to stdout, and none of its arguments, is ever part of a message.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, BinaryIO

from credential_helper import places
from credential_helper.errors import ConfigurationError
from credential_helper.text import foreign

if TYPE_CHECKING:
    import subprocess

DEADLINE = 60.0  # seconds
LIMIT = 65536  # bytes of stdout
GRACE = 1.0  # seconds for stdout's end once the child has ended: something that it left behind may hold it open
_SHELL = "/bin/sh"
SLICE = 0.05  # seconds between two looks whether the child has ended


def find(program: str, environ: Mapping[str, str]) -> str | None:
    """Return the absolute path of a program: itself, where it is one already, or what PATH's absolute entries have.

    None when there is none. On Windows only .exe and .com are found: CreateProcess hands a .bat to a shell.
    """
    endings = ("",) if not places.WINDOWS or program.lower().endswith((".exe", ".com")) else (".exe", ".com")
    if os.path.dirname(program) or os.path.splitdrive(program)[0]:
        folders = [""] if os.path.isabs(program) else []
    else:
        folders = [entry for entry in environ.get("PATH", "").split(os.pathsep) if os.path.isabs(entry)]
    for folder in folders:
        for ending in endings:
            path = os.path.join(folder, program + ending)
            if _executable(path):
                return path
    return None


def not_found(program: str) -> str:
    """Return the sentence for a command that is not there."""
    if os.path.isabs(program):
        return f"the command {foreign(program, 200)} is not there, or cannot be run"
    if os.path.dirname(program):
        return f"the command {foreign(program, 200)} is a relative path, which means another program in each folder"
    return f"the command {foreign(program, 60)} was not found on PATH"


def _executable(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except (OSError, ValueError):  # ValueError: a NUL
        return False


def environment(environ: Mapping[str, str], hidden: Collection[str] = ()) -> dict[str, str]:
    """Return the environment of a child: ours without our secret variables and without ``hidden`` ones."""
    unseen = {_comparable(name) for name in (*places.SECRET_VARIABLES, *hidden)}
    return {name: value for name, value in environ.items() if _comparable(name) not in unseen}


def _comparable(name: str) -> str:
    return name.upper() if places.WINDOWS else name


def run(
    words: Sequence[str],
    *,
    environ: Mapping[str, str],
    hidden: Collection[str] = (),
    deadline: float = DEADLINE,
    limit: int = LIMIT,
    quiet: bool = False,
) -> bytes:
    """Run a command and return what it wrote to stdout, at most ``limit`` bytes; ``deadline`` is in seconds.

    ``quiet``: nobody is to read what it says on stderr.
    Raises ConfigurationError when it is not found, cannot be started, takes or says too much, or fails.
    """
    import subprocess  # 10 ms, and most requests start no child

    name = foreign(os.path.basename(words[0]), 60)
    path = find(words[0], environ)
    if path is None:
        hint = None if os.path.isabs(words[0]) else "write its absolute path"
        raise ConfigurationError(not_found(words[0]), hint=hint)
    output = bytearray()
    with _watcher() as watch:
        try:
            process = subprocess.Popen(  # noqa: S603 - an absolute path, no shell
                [path, *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if quiet else None,
                env=environment(environ, hidden),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be started"
            raise ConfigurationError(f"the command {name} cannot be started: {reason}") from None
        try:
            watch(process.pid)
            ended = _follow(process, output, deadline, limit)
        except BaseException:  # Ctrl-C above all
            _kill(process)
            raise
        if not ended:
            _kill(process)
    if not ended:
        what = f"wrote more than {limit // 1024} KiB" if len(output) > limit else f"did not end within {deadline:g} s"
        raise ConfigurationError(f"the command {name} {what}")
    if process.returncode:
        status = process.returncode
        how = f"exited with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise ConfigurationError(f"the command {name} {how}", hint="run it by hand, what it says is not shown here")
    return bytes(output)


def ask(words: Sequence[str], *, environ: Mapping[str, str], stdin: bytes) -> tuple[int, bytes]:
    """Call a program of ours, by its absolute path, as a tool does: with these variables alone, and with this stdin.

    Returns its exit code and its whole stdout. Raises ConfigurationError where it cannot be started, or does not end.
    """
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - an absolute path, no shell
            words,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
            timeout=DEADLINE,
            check=False,
        )
    except OSError as error:
        hint = "set TMPDIR to a folder whose programs may be run" if isinstance(error, PermissionError) else None
        raise ConfigurationError(f"{foreign(words[0])} cannot be started: {error.strerror}", hint=hint) from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{foreign(words[0])} did not end within {DEADLINE:g} s") from None
    return done.returncode, done.stdout


@contextmanager
def _watcher() -> Iterator[Callable[[int], None]]:
    """Have a process group killed if this process is, which cannot do it then: ``op`` would wait for a person for ever.

    Yield what is told the group. The watcher stands before there is one; it sees the end of its stdin, and a second
    line there tells it that all is well.
    """
    import subprocess

    watcher = None
    if os.path.exists(_SHELL):
        with suppress(OSError):  # then the child is on its own
            watcher = subprocess.Popen(  # noqa: S603 - no word of it is from outside
                [_SHELL, "-c", 'read -r group && { read -r _ || kill -s KILL -- "-$group"; }'],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )

    def watch(group: int) -> None:
        if watcher is not None and watcher.stdin is not None:
            with suppress(OSError):  # somebody has ended it
                watcher.stdin.write(f"{group}\n".encode())
                watcher.stdin.flush()

    try:
        yield watch
    finally:
        if watcher is not None:
            watcher.communicate(b"\n")


def _follow(process: subprocess.Popen[bytes], output: bytearray, deadline: float, limit: int) -> bool:
    """Collect stdout until the child has ended; False when it must be killed."""
    import threading  # a pipe cannot be waited for with a deadline on Windows

    assert process.stdout is not None
    reader = threading.Thread(target=_drain, args=(process.stdout, output, limit), daemon=True)
    ends = time.monotonic() + deadline
    reader.start()
    while reader.is_alive() and process.poll() is None and time.monotonic() < ends:
        reader.join(SLICE)
    if process.returncode is not None:
        reader.join(GRACE)
        while reader.is_alive() and _unread(process.stdout) and time.monotonic() < ends:  # a machine that is busy
            reader.join(GRACE)
    if len(output) > limit:
        return False
    import subprocess

    try:
        process.wait(max(0.0, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _unread(pipe: IO[bytes]) -> bool:
    """Say whether a pipe has something to read, or its end; where that cannot be asked, no."""
    if sys.platform == "win32":
        return False
    import select

    with suppress(ValueError, OSError):  # closed meanwhile: all has been read
        return bool(select.select([pipe], [], [], 0)[0])
    return False


def _drain(pipe: BinaryIO, output: bytearray, limit: int) -> None:
    with pipe:
        while len(output) <= limit:
            chunk = os.read(pipe.fileno(), limit + 1 - len(output))
            if not chunk:
                return
            output += chunk


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the child's process group, and wait for the child."""
    if process.poll() is None:  # once reaped, its number may be somebody else's
        if sys.platform == "win32":
            process.kill()
        else:
            import signal

            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
