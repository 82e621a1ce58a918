"""``make bench`` cannot rot: its numbers, what it measures with, and a few of its rows from beginning to end.

Nothing here looks at how long something takes.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from integration.bench import table
from integration.bench.crowds import crowd
from integration.bench.homes import Place
from integration.bench.installations import Installation
from integration.bench.line import line_to
from integration.bench.measuring import WARM_UPS, Command, Failed, measure
from integration.bench.providers import Provider
from integration.bench.ratios import Spent, proportional, ratios
from integration.bench.rows import ROWS, refreshes, waiters
from integration.bench.table import GOALS, MILLISECONDS, RATIO, Goal, reached, text
from integration.clients.installers import python_of
from integration.clients.real import need
from tests.helpers.programs import CHECKOUT

ENVIRON = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def shell(script: str) -> Command:
    return Command([need("sh"), "-c", script], ENVIRON)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_a_ratio_is_the_median_of_the_turns_ratios() -> None:
    own = [Spent(2.0, 1.0, 3072, 0), Spent(9.0, 3.0, 4096, 0), Spent(30.0, 1.0, 5120, 0)]
    other = [Spent(1.0, 1.0, 1024, 0), Spent(3.0, 1.0, 1024, 0), Spent(3.0, 0.5, 1024, 0)]
    found = ratios(own, other)
    assert (found.wall, found.cpu, found.longer) == (3.0, 2.0, 6.0)
    assert ratios(own, [one._replace(cpu=0.0) for one in other[:2]] + other[2:]).cpu == 2.0  # below a clock's tick


def test_turns_are_compared_with_their_own() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([Spent(1.0, 1.0, 1, 0)], [])


def test_the_share_of_memory_is_read_from_a_rollup() -> None:
    rollup = b"55d0-7ffd ---p 00000000 00:00 0    [rollup]\nRss:      9000 kB\nPss:      4321 kB\nPss_Dirty: 12 kB\n"
    assert proportional(rollup) == 4321
    assert proportional(b"") == 0  # the process is ending
    with pytest.raises(ValueError, match="MB"):
        proportional(b"Pss: 4 MB\n")


@pytest.mark.parametrize(
    ("figure", "goal", "beyond", "said"),
    [
        (1.004, 1.0, None, "yes"),  # as it is written
        (1.006, 1.0, None, "no"),
        (2.5, 4.0, 2.5, "beyond"),
        (2.6, 4.0, 2.5, "yes"),
        (4.1, 4.0, 2.5, "no"),
        (0.11, None, 0.1, "no"),
        (0.09, None, 0.1, "beyond"),
        (12.0, None, None, "no goal"),
    ],
)
def test_a_figure_is_compared_as_it_is_written(
    figure: float, goal: float | None, beyond: float | None, said: str
) -> None:
    assert reached(Goal("path", "row", "key", RATIO, goal, beyond), figure) == said


def test_the_table_says_what_is_wanted_what_is_and_why_something_is_not_there() -> None:
    lines = text({"refresh http": 11.8, "line": 228.4}, {"keyring": "there is none"}, ["refresh", "line", "keyring"])
    rows = [re.split(r"\s{2,}", line) for line in lines.splitlines()]
    assert rows[0] == ["path", "goal", "beyond", "now", "reached"]
    assert ["refresh, http", "≤ 9.50", "seen by no user", "11.80", "no"] in rows
    assert ["refresh, TLS", "≤ 10.50", "seen by no user", "-", "not measured"] in rows
    assert ["refresh, TLS, line of 30 ms, wall over bare", "≤ 155 ms", "≤ 0 ms", "228 ms", "no"] in rows
    assert ["refresh with keyring, wall", "≤ 16.00", "≤ 12.00", "-", "there is none"] in rows
    assert MILLISECONDS.write(1310.2) == "1,310 ms"


def test_every_goal_has_a_row_that_measures_it_and_a_figure_of_its_own() -> None:
    assert {goal.row for goal in GOALS} <= set(ROWS)
    assert len({goal.key for goal in GOALS}) == len(GOALS)
    assert table.keys("line") == ["line", "line id"]


# --- measuring --------------------------------------------------------------------------------------------------------


def test_every_command_is_started_once_a_turn_after_it_was_prepared(tmp_path: Path) -> None:
    file, prepared = tmp_path / "prepared", 0

    def prepare() -> None:
        nonlocal prepared
        prepared += 1
        file.write_text(str(prepared))

    commands = [
        shell("echo one; cat")._replace(tool_input=b"two"),
        shell("exit 3")._replace(code=3),
        shell(f"cat '{file}'")._replace(prepare=prepare),
    ]
    runs = measure(commands, 2)
    starts = 2 + WARM_UPS
    numbers = [str(number + 1).encode() for number in range(starts)]
    assert [run.outputs for run in runs] == [[b"one\ntwo"] * starts, [b""] * starts, numbers]
    assert [len(run.spent) for run in runs] == [2, 2, 2]
    assert prepared == starts


def test_another_exit_code_is_no_number() -> None:
    with pytest.raises(Failed, match="sh -c echo no; exit 4 ended with 4: b'no"):
        measure([shell("echo no; exit 4")], 1)
    assert measure([shell("exit 4")._replace(code=None)], 1)[0].output == b""


def test_an_answer_that_changes_is_no_answer() -> None:
    with pytest.raises(Failed, match="differs"):
        _ = measure([shell("echo $$")], 1)[0].output


def test_what_a_preparation_raises_ends_the_measurement() -> None:
    def prepare() -> None:
        raise LookupError("no session")

    with pytest.raises(LookupError):
        measure([shell("exit 0")._replace(prepare=prepare)], 1)


def test_a_deadline_ends_what_hangs() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        measure([shell("sleep 60")], 1, deadline=0.3)


def test_a_program_is_watched_on_a_terminal_of_its_own_and_killed() -> None:
    watched = shell("test -t 0 && test -t 2 && tty >/dev/tty && echo ready >&2; sleep 60")._replace(until=b"ready")
    (run,) = measure([watched], 1)
    assert all(b"/dev/" in output for output in run.outputs)
    with pytest.raises(Failed, match="its terminal shows b'over"):
        measure([shell("echo over >&2")._replace(until=b"ready")], 1)


def test_a_crowd_is_as_many_as_were_asked_for(tmp_path: Path) -> None:
    found = crowd(shell(f"echo $$ >>'{tmp_path}/all'; echo same; sleep 0.5"), 7, weighed=True)
    assert found.outputs == [b"same\n"] * 7
    assert len(set((tmp_path / "all").read_text().split())) == 7
    assert found.cpu > 0
    assert (found.memory > 0) == Path("/proc/self/smaps_rollup").exists()
    with pytest.raises(Failed, match="2 of 2 failed"):
        crowd(shell("exit 5"), 2)


def test_a_line_hands_on_what_both_ends_say_and_is_never_faster_than_it_should_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, line_to(server.getsockname()[1], 0.05) as port:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                heard = b""
                while piece := connection.recv(65536):
                    heard += piece
                connection.sendall(heard[::-1])

        threading.Thread(target=answer, daemon=True).start()
        said = os.urandom(200_000)
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as file:
                assert file.read() == said[::-1]
        assert time.monotonic() - began >= 0.1  # connecting, and a question with its answer


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_from_beginning_to_end_without_what_tests_need(installed: Path, tmp_path: Path) -> None:
    """The bench imports nothing that the program's own environment lacks."""
    need("openssl")
    rows = "cached,silence,valid,refresh,line,prompt"
    command = [str(python_of(installed)), "-m", "integration.bench", "--rows", rows, "--pairs", "1"]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.partition("\npath ")[2].splitlines()
    for path in ("cached answer, the dearest", "refresh, http", "refresh, TLS ", "device flow until the prompt stands"):
        (line,) = [line for line in lines if line.startswith(path)]
        assert re.search(r"\d(  +)(yes|no|beyond)$", line), line
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_there_is_not(installed: Path) -> None:
    command = [str(python_of(installed)), "-m", "integration.bench", "--rows", "cached,mystery"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no row 'mystery'" in done.stderr


def test_a_crowd_that_finds_its_session_expired(installed: Path, tmp_path: Path) -> None:
    with Provider() as provider:
        place = Place(tmp_path / "home", Installation("pip", installed, python_of(installed)), provider)
        place.signed_in(provider)
        provider.delay = 0.5
        command = refreshes.stale(place)
        found, late = waiters.once(command, provider, 3)
        assert len(found.outputs) == 3
        assert late > 0
        with pytest.raises(Failed, match="the provider was asked"), provider.asked(token=2, refresh_token=2):
            waiters.once(command, provider, 1)
