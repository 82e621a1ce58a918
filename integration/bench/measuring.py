"""Programs measured beside each other: each turn starts all of them once, in an order of its own.

``runner`` starts them, a process that is smaller than any of them. What a program needs before it starts (an expired
session, no kept reply) is prepared while nothing is measured. A program that ends otherwise than expected is a failure,
never a number.
"""

from __future__ import annotations

import marshal
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from integration.bench.ratios import Spent

RUNNER = Path(__file__).with_name("runner.py")
WARM_UPS = 3  # turns that are not counted
PATIENCE = 20.0  # seconds for one program, on average


class Failed(Exception):
    """A program did not do what is measured."""


class Unmeasured(Exception):
    """A row cannot be measured here; says why."""


class Command(NamedTuple):
    """A program by its absolute path, and what it is given. ``code`` None: it may end as it likes.

    ``prepare`` is called before each start. With ``until``, the program runs on a terminal of its own until that stands
    there, and is killed.
    """

    words: Sequence[str]
    environ: Mapping[str, str]
    tool_input: bytes = b""
    code: int | None = 0
    prepare: Callable[[], None] | None = None
    until: bytes = b""


class Run(NamedTuple):
    """What one command took in each counted turn, and what it wrote to stdout (or its terminal) in all of them."""

    spent: list[Spent]
    outputs: list[bytes]

    @property
    def output(self) -> bytes:
        """Return what it wrote each time. Failed: not always the same."""
        if len(set(self.outputs)) != 1:
            raise Failed("an answer differs from the first one")
        return self.outputs[0]


def bare(python: Path, environ: Mapping[str, str]) -> Command:
    """Return the start of an interpreter that does nothing, in the environment that it has."""
    return Command([str(python), "-c", "pass"], environ)


def true(environ: Mapping[str, str]) -> Command:
    """Return the smallest program of this machine."""
    path = shutil.which("true")
    if path is None:
        raise Unmeasured("true is not on PATH")
    return Command([path], environ)


def measure(
    commands: Sequence[Command], turns: int, *, inside: Sequence[str] = (), deadline: float | None = None
) -> list[Run]:
    """Start each command once a turn, and return what came of each. ``inside``: words before those of the runner.

    Raises Failed; subprocess.TimeoutExpired after ``deadline`` seconds (default: ample).
    """
    deadline = deadline or PATIENCE * len(commands) * (turns + WARM_UPS)
    shuffled = random.Random(len(commands))
    orders = [shuffled.sample(range(len(commands)), len(commands)) for _ in range(turns + WARM_UPS)]
    with tempfile.TemporaryDirectory(prefix="credential-helper-bench-") as temporary:
        folder = Path(temporary)
        plan = [(list(c.words), dict(c.environ), c.until, c.prepare is not None) for c in commands]
        folder.joinpath("plan").write_bytes(marshal.dumps((plan, orders)))
        for number, command in enumerate(commands):
            folder.joinpath(f"input-{number}").write_bytes(command.tool_input)
        python = os.path.realpath(sys.executable)
        _attend([*inside, python, "-I", "-S", str(RUNNER), temporary], commands, deadline)
        spent: list[Spent] = [Spent(*one) for one in marshal.loads(folder.joinpath("spent").read_bytes())]
        runs = [Run([], []) for _ in commands]
        started = iter(spent)
        for turn, order in enumerate(orders):
            for number in order:
                one = next(started)
                output = folder.joinpath(f"{turn}-{number}").read_bytes()
                _judge(commands[number], one, output)
                runs[number].outputs.append(output)
                if turn >= WARM_UPS:
                    runs[number].spent.append(one)
    return runs


def _judge(command: Command, spent: Spent, output: bytes) -> None:
    name = " ".join([Path(command.words[0]).name, *command.words[1:]])
    code = os.waitstatus_to_exitcode(spent.status)
    if command.until:
        if code != -signal.SIGKILL or command.until not in output:
            raise Failed(f"{name} ended with {code}, and its terminal shows {output[-300:]!r}")
    elif command.code not in (None, code):
        raise Failed(f"{name} ended with {code}: {output[-300:]!r}")


def _attend(runner: Sequence[str], commands: Sequence[Command], deadline: float) -> None:
    """Start the runner, and prepare what it is about to start, to its end."""
    with subprocess.Popen(
        runner, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + deadline
        try:
            while line := _line(process.stdout.fileno(), until):
                prepare = commands[int(line)].prepare
                assert prepare is not None
                prepare()
                process.stdin.write(b"\n")
            if process.wait(10) != 0:
                raise Failed("the measuring program failed")
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _line(descriptor: int, until: float) -> bytes:
    """Read a line, of which no other follows before it is answered; empty at the end."""
    line = b""
    while not line.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise subprocess.TimeoutExpired("what is measured", 0)
        read = os.read(descriptor, 16)
        if not read:
            return b""
        line += read
    return line
