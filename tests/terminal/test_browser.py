"""Whether a browser can be seen, and how it is started: a real program that notes down what it was given."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.programs import DEADLINE
from tests.helpers.terminal import AUTHORIZE, PLAIN, UTF8, Pty, in_a_browser, prompt, terminal


class Recorder:
    """A browser that notes down how it was started."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "started"
        self.path = folder / "browser"
        self.path.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/new\nenv >> {folder}/new\n'
            f"echo noise; echo noise >&2\nmv {folder}/new {self.log}\nsleep 0.2\n"
        )
        self.path.chmod(0o700)

    def find(self, program: str, _environ: Mapping[str, str]) -> str | None:
        return str(self.path) if program in ("browser", "xdg-open") else None

    def arguments(self) -> list[str]:
        """Return its arguments and then its environment, one a line; waits for it to start."""
        deadline = time.monotonic() + DEADLINE
        while not self.log.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.log.read_text().splitlines()


def no_find(program: str, _environ: Mapping[str, str]) -> str | None:
    raise AssertionError(f"no program may be looked for here: {program}")


# --- whether one can be opened ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "options", "reason"),
    [
        ({}, {}, "there is no display"),
        ({"DISPLAY": ":0"}, {}, "+there is a display"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, {}, "+there is a display"),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"}, {}, "SSH_CONNECTION is set"),
        ({"SSH_CONNECTION": "1 2 3 4"}, {}, "SSH_CONNECTION is set"),
        ({"SSH_CONNECTION": "1 2 3 4", "BROWSER": "browser"}, {}, "+BROWSER is set"),
        ({"BROWSER": "browser"}, {}, "+BROWSER is set"),
        ({"BROWSER": "missing"}, {}, "no program that BROWSER names was found"),
        ({"BROWSER": "browser", "DISPLAY": ":0"}, {"browser": False}, "--no-browser was given"),
        ({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/1"}, {}, "SSH_TTY is set"),
        ({"DISPLAY": ":0", "SSH_CLIENT": "1 2 3"}, {}, "SSH_CLIENT is set"),
        ({"DISPLAY": ":0", "SSH_CONNECTION": ""}, {}, "+there is a display"),
        # The browser would come back to another machine's loopback.
        ({"BROWSER": "browser", "CODESPACES": "true"}, {}, "CODESPACES is set"),
        ({"BROWSER": "browser", "REMOTE_CONTAINERS": "true", "DISPLAY": ":0"}, {}, "REMOTE_CONTAINERS is set"),
        ({"BROWSER": "browser", "GITPOD_WORKSPACE_ID": "a-b"}, {}, "GITPOD_WORKSPACE_ID is set"),
        ({"BROWSER": "browser", "CLOUD_SHELL": "true"}, {}, "CLOUD_SHELL is set"),
        ({"BROWSER": "browser", "ACC_CLOUD": "PROD"}, {}, "ACC_CLOUD is set"),
        ({"BROWSER": "browser", "AWS_EXECUTION_ENV": "CloudShell"}, {}, "this is AWS CloudShell"),
        ({"BROWSER": "browser", "CODER_WORKSPACE_NAME": "dev"}, {}, "CODER_WORKSPACE_NAME is set"),
        ({"BROWSER": "browser", "VSCODE_IPC_HOOK_CLI": "/tmp/v.sock"}, {}, "VSCODE_IPC_HOOK_CLI is set"),
        ({"BROWSER": "/a/.vscode-server/bin/1f/bin/helpers/browser.sh"}, {}, "BROWSER is a remote editor's"),
        ({"BROWSER": "browser", "SSH_CONNECTION": "1 2 3 4", "CODESPACES": "true"}, {}, "CODESPACES is set"),
        # Windows' browser reaches WSL's loopback; a container of toolbox or distrobox has the machine's.
        ({"BROWSER": "browser", "VSCODE_IPC_HOOK_CLI": "/v", "WSL_DISTRO_NAME": "Debian"}, {}, "+BROWSER is set"),
        ({"DISPLAY": ":0", "VSCODE_IPC_HOOK_CLI": "/v"}, {}, "+there is a display"),
        ({"BROWSER": "browser", "TOOLBOX_PATH": "/usr/bin/toolbox"}, {}, "+BROWSER is set"),
        ({"DISPLAY": ":0", "container": "oci", "DISTROBOX_ENTER_PATH": "/d"}, {}, "+there is a display"),
        (
            {"DISPLAY": ":0", "CODESPACES": "false", "REMOTE_CONTAINERS": "0", "SNAP": "/snap"},
            {},
            "+there is a display",
        ),
    ],
)
def test_whether_a_browser_can_be_opened_and_why(
    screen: Pty, clock: FakeClock, environ: dict[str, str], options: dict[str, bool], reason: str
) -> None:
    def find(program: str, _environ: Mapping[str, str]) -> str | None:
        return f"/usr/bin/{program}" if program in ("browser", "xdg-open") else None

    told = terminal(screen, clock, environ, children_find=find, **options)
    assert told.browser() == (reason.startswith("+"), reason.removeprefix("+"))


def test_wsl_asks_windows_for_its_browser(screen: Pty, clock: FakeClock) -> None:
    """xdg-open may be there without any browser that it knows, and says nothing of that."""
    for environ in ({"WSL_DISTRO_NAME": "Debian"}, {"WSL_DISTRO_NAME": "Debian", "DISPLAY": ":0"}):
        looked_for: list[str] = []

        def find(program: str, _environ: Mapping[str, str], looked_for: list[str] = looked_for) -> str:
            looked_for.append(program)
            return f"/usr/bin/{program}"

        assert terminal(screen, clock, environ, children_find=find).browser() == (True, "there is a display")
        assert looked_for == ["wslview"]
    told = terminal(screen, clock, {"WSL_DISTRO_NAME": "Debian"}, children_find=lambda _p, _e: None)
    assert told.browser() == (False, "there is no display")


@pytest.mark.parametrize("name", ["CODESPACES", "REMOTE_CONTAINERS", "VSCODE_IPC_HOOK_CLI"])
def test_a_browser_elsewhere_shows_the_page_of_a_code(screen: Pty, clock: FakeClock, tmp_path: Path, name: str) -> None:
    browser = Recorder(tmp_path)
    environ = PLAIN | {"BROWSER": "browser", "PATH": os.environ["PATH"], name: "true"}
    assert terminal(screen, clock, environ, tool_is_login=True, children_find=browser.find).show(prompt(clock))
    assert browser.arguments()[0] == URI


def test_a_display_without_a_program_that_opens_a_browser(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"DISPLAY": ":0"}, children_find=lambda _p, _e: None)
    assert told.browser() == (False, "no program that opens one was found")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "--version", ""])
def test_only_web_addresses_are_handed_to_a_browser(screen: Pty, clock: FakeClock, url: str) -> None:
    told = terminal(screen, clock, {"BROWSER": "browser"}, tool_is_login=True, children_find=no_find)
    assert not told.open_browser(url)


# --- the flow with a code ---------------------------------------------------------------------------------------------


URI = "https://example.eu.auth0.com/activate?user_code=WDJB-MJHT"


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        ({"BROWSER": "browser"}, [URI]),
        ({"BROWSER": "browser", "SSH_CONNECTION": "1 2 3 4"}, [URI]),
        ({"BROWSER": "missing:browser --new '%s#a b'"}, ["--new", f"{URI}#a b"]),
        ({"BROWSER": "'unclosed:browser"}, [URI]),
        ({"DISPLAY": ":0"}, [URI]),
        ({"WAYLAND_DISPLAY": "wayland-0"}, [URI]),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"}, None),
        ({"DISPLAY": "", "BROWSER": ""}, None),
        ({"BROWSER": "missing"}, None),
    ],
)
def test_login_opens_a_browser_where_one_can_be_seen(
    screen: Pty, clock: FakeClock, tmp_path: Path, environ: dict[str, str], arguments: list[str] | None
) -> None:
    browser = Recorder(tmp_path)
    told = terminal(
        screen, clock, PLAIN | {"PATH": os.environ["PATH"]} | environ, tool_is_login=True, children_find=browser.find
    )
    assert told.show(prompt(clock))
    text = screen.text()
    assert ("  (a browser has been asked to show it)\n" in text) is (arguments is not None)
    assert URI in text
    assert "WDJB-MJHT" in text
    if arguments is None:
        assert not browser.log.exists()
    else:
        assert browser.arguments()[: len(arguments)] == arguments
        assert screen.text() == ""  # its output is discarded


def test_a_browser_is_opened_once_a_sign_in(screen: Pty, clock: FakeClock, tmp_path: Path) -> None:
    browser = Recorder(tmp_path)
    environ = PLAIN | {"BROWSER": "browser", "PATH": os.environ["PATH"]}
    told = terminal(screen, clock, environ, tool_is_login=True, children_find=browser.find)
    told.show(prompt(clock))
    browser.arguments()
    browser.log.unlink()
    told.show(prompt(clock, user_code="SECOND"))
    assert screen.text().count("a browser has been asked") == 1
    time.sleep(0.1)
    assert not browser.log.exists()


@pytest.mark.parametrize("options", [{"tool_is_login": False}, {"tool_is_login": True, "browser": False}])
def test_helpers_and_no_browser_open_none(screen: Pty, clock: FakeClock, options: dict[str, bool]) -> None:
    environ = PLAIN | {"BROWSER": "browser", "DISPLAY": ":0"}
    assert terminal(screen, clock, environ, children_find=no_find, **options).show(prompt(clock))


def test_a_browser_sees_none_of_our_secrets(screen: Pty, clock: FakeClock, tmp_path: Path) -> None:
    browser = Recorder(tmp_path)
    environ = PLAIN | {"BROWSER": "browser", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    environ |= {"CREDENTIAL_HELPER_CLIENT_SECRET": "hidden-1", "MY_SECRET": "hidden-2"}
    told = terminal(
        screen, clock, environ, tool_is_login=True, children_find=browser.find, hidden=frozenset({"MY_SECRET"})
    )
    told.show(prompt(clock))
    started = browser.arguments()
    assert "LANG=C.UTF-8" in started
    assert not [line for line in started if "hidden" in line or line.startswith("CREDENTIAL_HELPER")]


def test_a_browser_that_cannot_be_started_leaves_the_prompt_and_the_qr_code(clock: FakeClock, tmp_path: Path) -> None:
    opened = Pty(columns=100, lines=50)
    broken = tmp_path / "broken"
    broken.write_text("not a program")
    environ = UTF8 | {"BROWSER": "browser"}
    told = terminal(opened, clock, environ, tool_is_login=True, children_find=lambda _p, _e: str(broken))
    assert told.show(prompt(clock))
    text = opened.text()
    assert "█" in text
    assert "browser" not in text
    opened.close()


# --- the browser flow -------------------------------------------------------------------------------------------------


IN_A_BROWSER = f"""\
credential-helper: kubectl needs a sign-in to prod (example.eu.auth0.com)
  for https://kubernetes.example.com: openid profile email offline_access
  in a browser, because BROWSER is set
  open  {AUTHORIZE}
  (a browser has been asked to show it)
  within 5 minutes; Ctrl-C stops
  go on only if you started this
"""


def test_the_browser_flow_opens_the_browser_of_any_tool(screen: Pty, clock: FakeClock, tmp_path: Path) -> None:
    browser = Recorder(tmp_path)
    environ = PLAIN | {"BROWSER": "browser", "PATH": os.environ["PATH"]}
    told = terminal(screen, clock, environ, children_find=browser.find)
    assert told.show(in_a_browser(clock, because="BROWSER is set"))
    assert screen.text() == IN_A_BROWSER
    assert browser.arguments()[0] == AUTHORIZE


def test_who_waits_for_another_process_opens_no_browser(screen: Pty, clock: FakeClock) -> None:
    for login in (True, False):
        told = terminal(screen, clock, PLAIN | {"BROWSER": "browser"}, tool_is_login=login, children_find=no_find)
        assert told.show(in_a_browser(clock, because="BROWSER is set"), ours=False)
        assert screen.text() == IN_A_BROWSER.replace("  (a browser has been asked to show it)\n", "")
        assert told.show(prompt(clock, user_code="SECOND"), ours=False)
        assert "a browser" not in screen.text()
        told.finish()
