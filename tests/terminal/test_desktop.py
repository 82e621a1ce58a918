"""Whether somebody sits at the screen of a machine, for a process without a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import pytest

from credential_helper.terminal.desktop import somebody_is_there
from tests.helpers.clock import FakeClock
from tests.helpers.requests import request_by
from tests.helpers.terminal import AUTHORIZE, UTF8, Pty, profile, session, terminal

DISPLAY = UTF8 | {"DISPLAY": ":0"}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Stderr, as an editor has it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def there(environ: Mapping[str, str], stderr_fd: int, cgroup: Path | str = os.devnull) -> bool:
    return somebody_is_there(environ, stderr_fd=stderr_fd, cgroup=str(cgroup))


def test_a_display_is_somebody(pipe: tuple[int, int]) -> None:
    assert there({"DISPLAY": ":0"}, pipe[1])
    assert there({"WAYLAND_DISPLAY": "wayland-0"}, pipe[1])
    assert not there({}, pipe[1])
    assert not there({"DISPLAY": ""}, pipe[1])


@pytest.mark.parametrize("name", ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"])
def test_over_ssh_nobody_sits_at_the_screen(pipe: tuple[int, int], name: str) -> None:
    assert not there({"DISPLAY": ":0", name: "1 2 3 4"}, pipe[1])


def test_silence_is_obeyed(pipe: tuple[int, int]) -> None:
    """Completion in a shell calls kubectl with stderr on /dev/null: a browser at each TAB."""
    with open(os.devnull, "wb") as null:
        assert not there({"DISPLAY": ":0"}, null.fileno())
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    assert not there({"DISPLAY": ":0"}, writing)
    assert there({"DISPLAY": ":0"}, pipe[1])


@pytest.mark.parametrize(
    ("path", "somebody"),
    [
        ("0::/user.slice/user-1000.slice/session-2.scope", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-code-4242.scope", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.kde.kate@1f.service", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/dbus-:1.2-org.gnome.Builder@0.service", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/snap.code.code-1f.scope", True),
        ("0::/", True),
        ("12:cpu:/\n1:name=systemd:/user.slice/user-1000.slice/session-2.scope\n0::/", True),
        ("0::/system.slice/cron.service", False),
        ("0::/system.slice/system-getty.slice/x.scope", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/backup.service", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/background.slice/run-u7.service/sub", False),
        ("1:name=systemd:/system.slice/gitlab-runner.service", False),
        ("nonsense", True),
        ("0::/\udcff.service".encode("utf-8", "surrogateescape"), False),
    ],
)
def test_a_service_of_systemd_asks_nobody(
    tmp_path: Path, pipe: tuple[int, int], path: str | bytes, somebody: bool
) -> None:
    file = tmp_path / "cgroup"
    file.write_bytes(path if isinstance(path, bytes) else path.encode() + b"\n")
    assert there({"DISPLAY": ":0"}, pipe[1], file) is somebody
    assert there({"DISPLAY": ":0"}, pipe[1], tmp_path / "absent")


# --- what is asked, and how -------------------------------------------------------------------------------------------


def in_an_editor(snippet: str, *, stderr: int) -> list[str]:
    """Run a snippet without a terminal; ``told`` is what it has, on a desktop with a browser."""
    made = """
told = terminal(2, clock, PLAIN | {"DISPLAY": ":0"}, children_find=lambda program, _environ: "/bin/true")
"""
    return session(None, made + snippet, stderr=stderr).splitlines()


def test_without_a_terminal_a_browser_alone_can_ask(pipe: tuple[int, int]) -> None:
    snippet = """
from tests.helpers.terminal import in_a_browser
report(told.can_answer(profile(), request_by("git")), told.by_window, told.can_paste())
report(told.show(in_a_browser(clock)), told.show(in_a_browser(clock)))
told.waiting(in_a_browser(clock))
told.finish()
"""
    assert in_an_editor(snippet, stderr=pipe[1]) == ["True True False", "window window"]
    said = os.read(pipe[0], 65536).decode()
    assert said.count(f"  open  {AUTHORIZE}\n  (a browser has been asked to show it)\n") == 1
    assert "paste" not in said


@pytest.mark.parametrize(
    ("environ", "interactive", "flow", "tool", "asks"),
    [
        ({}, "auto", "auto", "git", True),
        ({}, "auto", "authorization-code", "kubectl", True),
        ({}, "auto", "device", "kubectl", False),
        ({}, "auto", "password", "kubectl", False),
        ({}, "never", "auto", "kubectl", False),
        ({}, "auto", "auto", "docker", False),
        ({"CI": "true"}, "auto", "auto", "git", False),
        ({"GIT_TERMINAL_PROMPT": "0"}, "auto", "auto", "git", False),
        ({"GIT_TERMINAL_PROMPT": "0"}, "auto", "auto", "kubectl", True),
        ({"VSCODE_GIT_FETCH_SILENT": "true"}, "auto", "auto", "git", False),
        ({"CREDENTIAL_HELPER_INTERACTIVE": "never"}, "auto", "auto", "git", False),
        ({"SSH_CONNECTION": "1 2 3 4"}, "auto", "auto", "git", False),
        ({"SSH_CONNECTION": "1 2 3 4", "BROWSER": "firefox"}, "auto", "auto", "git", False),
        ({"DISPLAY": "", "BROWSER": "firefox"}, "auto", "auto", "git", False),
        ({"REMOTE_CONTAINERS": "true"}, "auto", "auto", "git", False),
    ],
)
def test_who_is_asked_by_a_browser_alone(
    pipe: tuple[int, int],
    environ: dict[str, str],
    interactive: Literal["auto", "never"],
    flow: str,
    tool: str,
    asks: bool,
) -> None:
    snippet = f"""
import msgspec
told = terminal(2, clock, PLAIN | {{"DISPLAY": ":0"}} | {environ!r}, children_find=lambda _p, _e: "/bin/true")
one = msgspec.structs.replace(profile({interactive!r}), flow={flow!r})
report(told.can_answer(one, request_by({tool!r})), told.by_window)
"""
    assert in_an_editor(snippet, stderr=pipe[1]) == [f"{asks} {asks}"]


def test_a_code_is_never_asked_for_where_it_cannot_be_shown(pipe: tuple[int, int]) -> None:
    snippet = """
told.can_answer(profile(), request_by("git"))
try:
    told.show(prompt(clock))
except Exception as error:
    report(type(error).__name__, error.sentence)
"""
    said = in_an_editor(snippet, stderr=pipe[1])
    assert said == ["InteractionRequired there is no terminal here, and a sign-in with a code has to be shown on one"]


def test_where_there_is_a_terminal_it_is_asked_on(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, DISPLAY, children_find=lambda _p, _e: "/bin/true")
    assert told.can_answer(profile(), request_by("git"))
    assert not told.by_window
