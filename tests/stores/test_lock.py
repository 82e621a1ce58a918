from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from credential_helper.errors import StoreError
from credential_helper.stores import lock
from credential_helper.stores.private_files import State
from credential_helper.system.clock import SystemClock
from tests.helpers.clock import FakeClock

HOLDER = """
import sys, time
from credential_helper.system.clock import SystemClock
from credential_helper.stores import lock
from credential_helper.stores.private_files import State
with lock.held(State(sys.argv[1]), "sessions/a.lock", clock=SystemClock(), waiting=lambda _: False) as mine:
    print("held" if mine else "not held", flush=True)
    time.sleep(300)
"""


def hold(state: State) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(state.path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_lock_file_is_private_and_stays(state: State) -> None:
    with lock.held(state, "sessions/a.lock", clock=SystemClock(), waiting=lambda _: False) as mine:
        assert mine
    assert os.stat(state.locate("sessions/a.lock")).st_mode & 0o777 == 0o600


def test_a_second_process_waits_at_the_documented_pace(state: State, clock: FakeClock) -> None:
    holder = hold(state)
    try:
        waits: list[float] = []

        def waiting(waited: float) -> bool:
            waits.append(waited)
            return waited < 3

        with lock.held(state, "sessions/a.lock", clock=clock, waiting=waiting) as mine:
            assert not mine
    finally:
        stop(holder)
    assert waits[0] == 0
    assert clock.slept[:40] == [0.05] * 40
    assert set(clock.slept[41:]) == {0.25}


def test_a_killed_holder_frees_the_lock_at_once(state: State) -> None:
    stop(hold(state))
    with lock.held(state, "sessions/a.lock", clock=SystemClock(), waiting=lambda _: False) as mine:
        assert mine


def test_what_waiting_raises_passes_through(state: State, clock: FakeClock) -> None:
    def waiting(_waited: float) -> bool:
        raise KeyError("gone")

    holder = hold(state)
    try:
        with pytest.raises(KeyError), lock.held(state, "sessions/a.lock", clock=clock, waiting=waiting):
            pass
    finally:
        stop(holder)


def test_a_linked_lock_file_is_refused(state: State, clock: FakeClock, tmp_path: Path) -> None:
    state.prepare("sessions")
    os.symlink(tmp_path / "elsewhere", state.locate("sessions/a.lock"))
    with (
        pytest.raises(StoreError, match="cannot be locked"),
        lock.held(state, "sessions/a.lock", clock=clock, waiting=lambda _: False),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_an_error_inside_the_block_releases_the_lock(state: State, clock: FakeClock) -> None:
    with (
        pytest.raises(OSError, match="inside"),
        lock.held(state, "sessions/a.lock", clock=clock, waiting=lambda _: False),
    ):
        raise OSError("inside")
    with lock.held(state, "sessions/a.lock", clock=clock, waiting=lambda _: False) as mine:
        assert mine


def test_the_lock_is_not_inherited_by_children(state: State) -> None:
    with lock.held(state, "sessions/a.lock", clock=SystemClock(), waiting=lambda _: False):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], close_fds=False)
    try:
        with lock.held(state, "sessions/a.lock", clock=SystemClock(), waiting=lambda _: False) as mine:
            assert mine
    finally:
        child.kill()
        child.wait()


# --- many of them -----------------------------------------------------------------------------------------------------


def stems(state: State, ending: str) -> set[str]:
    return {name.partition(".")[0] for name in state.names("sessions") if name.endswith(f".{ending}")}


def take(state: State, stem: str) -> None:
    with lock.held(state, f"sessions/{stem}.lock", clock=SystemClock(), waiting=lambda _: False) as mine:
        assert mine


def test_locks_that_protect_nothing_are_bounded_and_the_oldest_go(state: State) -> None:
    for number in range(10):
        take(state, f"kept{number}")
        state.write(f"sessions/kept{number}.json", b"{}")
    take(state, "asked")
    state.write("sessions/asked.prompt", b"{}")
    with lock.held(state, "sessions/held.lock", clock=SystemClock(), waiting=lambda _: False):
        for number in range(400):
            take(state, f"refused{number}")
            state.write(f"sessions/refused{number}.failure", b"{}")
    locks = stems(state, "lock")
    assert len(locks) <= lock.MOST + 1
    assert {"asked", "held", "refused399", *(f"kept{number}" for number in range(10))} <= locks
    assert "refused0" not in locks
    assert stems(state, "failure") <= locks


def test_a_lock_that_was_used_lately_is_not_the_oldest(state: State) -> None:
    take(state, "used")
    for number in range(lock.MOST - 1):
        take(state, f"refused{number}")
    take(state, "used")
    take(state, "one-more")
    assert "used" in stems(state, "lock")
    assert len(stems(state, "lock")) <= lock.MOST // 2 + 1


RIVAL = """
import os, sys
from credential_helper.system.clock import SystemClock
from credential_helper.stores import lock
from credential_helper.stores.private_files import State
state = State(sys.argv[1])
for _ in range(int(sys.argv[2])):
    if sys.argv[3] == "remove":
        lock._remove(state, "sessions/a")
        continue
    with lock.held(state, "sessions/a.lock", clock=SystemClock(), waiting=lambda _: True):
        os.close(os.open(sys.argv[1] + "/inside", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(sys.argv[1] + "/inside")
"""


def test_no_two_hold_a_lock_that_a_third_removes_all_the_time(state: State) -> None:
    state.prepare("sessions")
    works = [("40", "hold"), ("40", "hold"), ("40", "hold"), ("400", "remove")]
    rivals = [subprocess.Popen([sys.executable, "-c", RIVAL, str(state.path), *work]) for work in works]
    assert [rival.wait(120) for rival in rivals] == [0, 0, 0, 0]


# --- beside filelock --------------------------------------------------------------------------------------------------

FILELOCK = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1], fallback_to_soft=False):
    print("held", flush=True)
    time.sleep(300)
"""


def test_who_takes_the_file_with_filelock_keeps_us_out(state: State) -> None:
    take(state, "a")
    path = state.locate("sessions/a.lock")
    with subprocess.Popen([sys.executable, "-c", FILELOCK, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with lock.held(state, "sessions/a.lock", clock=SystemClock(), waiting=lambda _: False) as mine:
            assert not mine
        stop(holder)
    take(state, "a")


def test_who_holds_it_keeps_out_whoever_takes_it_with_filelock(state: State) -> None:
    with lock.held(state, "sessions/a.lock", clock=SystemClock(), waiting=lambda _: False):
        rival = FileLock(state.locate("sessions/a.lock"), fallback_to_soft=False)
        with pytest.raises(Timeout):
            rival.acquire(timeout=0)
    rival.acquire(timeout=0)
    rival.release()


LOADED = """
import sys
from credential_helper.stores import lock
from credential_helper.stores.private_files import State
from credential_helper.system.clock import SystemClock
if sys.argv[2] != "flock":
    import fcntl
    def refused(*_):
        raise OSError(38, "Function not implemented")
    fcntl.flock = refused
    if sys.argv[2] == "missing":
        sys.modules["fcntl"] = None
try:
    with lock.held(State(sys.argv[1]), "sessions/a.lock", clock=SystemClock(), waiting=lambda _: False) as mine:
        print("held" if mine else "not held", end=" ")
except Exception as error:
    print(type(error).__name__, end=" ")
print("filelock" in sys.modules)
"""


@pytest.mark.parametrize(
    ("flock", "said"), [("flock", "held False"), ("missing", "held True"), ("refused", "StoreError True")]
)
def test_filelock_is_loaded_where_there_is_no_flock(state: State, flock: str, said: str) -> None:
    command = [sys.executable, "-c", LOADED, str(state.path), flock]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip() == said
    assert not os.path.exists(f"{state.locate('sessions/a.lock')}.lock")


@pytest.mark.skipif(sys.platform == "win32", reason="no umask and no FIFOs there")
def test_a_lock_file_can_be_opened_again_whatever_the_umask(state: State) -> None:
    old = os.umask(0o777)
    try:
        take(state, "a")
    finally:
        os.umask(old)
    assert os.stat(state.locate("sessions/a.lock")).st_mode & 0o777 == 0o600
