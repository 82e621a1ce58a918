"""A real pseudo-terminal, what stands on it, and what is shown there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from credential_helper.model import Credential, Identity, Profile, Prompt, Secret
from credential_helper.terminal.terminal import Terminal
from tests.helpers.clock import FakeClock
from tests.helpers.programs import CHECKOUT, DEADLINE
from tests.helpers.prompts import prompt_at

UTF8 = {"LANG": "C.UTF-8"}
PLAIN = UTF8 | {"CREDENTIAL_HELPER_PROMPT": "plain"}
PROMPT = """\
credential-helper: kubectl needs a sign-in to prod (example.eu.auth0.com)
  for https://kubernetes.example.com: openid profile email offline_access
  open  https://example.eu.auth0.com/activate?user_code=WDJB-MJHT
  and check that it shows  WDJB-MJHT        15 minutes; Ctrl-C stops
  go on only if you started this
"""
AUTHORIZE = "https://example.eu.auth0.com/authorize?response_type=code&client_id=Xyz&state=abc"


MARK = b"\0(so far)\0"


class Pty:
    """A terminal of 80 columns and 24 lines, and what stands on it."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.name = os.ttyname(self.slave)

    def text(self) -> str:
        """Return what was written since the last time."""
        data, end = b"", time.monotonic() + DEADLINE
        marked = self._mark()
        while select.select([self.master], [], [], 0.02)[0] or (marked and MARK not in data and time.monotonic() < end):
            if not select.select([self.master], [], [], 0)[0]:
                continue
            try:
                data += os.read(self.master, 65536)
            except OSError:  # EIO: the other end is closed
                break
        return data.replace(MARK, b"").decode().replace("\r\n", "\n")

    def _mark(self) -> bool:
        """Write a mark behind all that was written: the kernel hands it on in its own time. False: it takes none."""
        try:
            writer = os.open(self.name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            return os.isatty(self.slave) and os.write(writer, MARK) == len(MARK)
        except OSError:  # it is stopped, or hung up
            return False
        finally:
            os.close(writer)

    def reads(self, wanted: str, seconds: float = DEADLINE) -> bool:
        """Say whether a text is written within so many seconds; all that was written before it is read, too."""
        text, end = "", time.monotonic() + seconds
        while wanted not in text and time.monotonic() < end:
            text += self.text()
        return wanted in text

    def mode(self, flag: int, on: bool) -> None:
        attributes = termios.tcgetattr(self.slave)
        attributes[3] = attributes[3] | flag if on else attributes[3] & ~flag
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)

    def close(self) -> None:
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)


def profile(interactive: Literal["auto", "always", "never"] = "auto") -> Profile:
    return Profile(name="prod", issuer="https://example.eu.auth0.com/", client_id="c", interactive=interactive)


def prompt(clock: FakeClock, **changes: Any) -> Prompt:
    auth0 = {
        "issuer": "https://example.eu.auth0.com/",
        "target": "https://kubernetes.example.com",
        "scope": ("openid", "profile", "email", "offline_access"),
        "device_code": Secret("device-code-that-is-secret"),
        "verification_uri": "https://example.eu.auth0.com/activate",
        "verification_uri_complete": "https://example.eu.auth0.com/activate?user_code=WDJB-MJHT",
    }
    return prompt_at(clock.now(), **{**auth0, **changes})


def in_a_browser(clock: FakeClock, **changes: Any) -> Prompt:
    gone = {"device_code": Secret(""), "user_code": "", "verification_uri_complete": None}
    return prompt(
        clock, **{"flow": "browser", "verification_uri": AUTHORIZE, "expires_at": clock.now() + 300, **gone, **changes}
    )


def credential(clock: FakeClock, **changes: Any) -> Credential:
    whole = Credential(
        profile="prod",
        kind="access",
        token=Secret("access-token-that-is-secret"),
        token_type="Bearer",
        received_at=clock.now(),
        expires_at=clock.now() + 3600,
        fresh_until=clock.now() + 3540,
        scope=(),
        identity=Identity(subject="auth0|1", name="ada@example.com"),
    )
    return msgspec.structs.replace(whole, **changes)


def terminal(screen: Pty | int, clock: FakeClock, environ: Mapping[str, str] = UTF8, **options: Any) -> Terminal:
    fd = screen if isinstance(screen, int) else screen.slave
    return Terminal(environ, clock=clock, stderr_fd=fd, **options)


SESSION = """
import os, signal, subprocess, sys, time
from tests.helpers.clock import FakeClock
from tests.helpers.requests import request_by
from tests.helpers.terminal import PLAIN, profile, prompt, terminal
clock = FakeClock()
def report(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\\n").encode())
"""


def session(screen: Pty | None, snippet: str, *, stderr: int | None) -> str:
    """Run a snippet as leader of a session whose controlling terminal is screen, if any; stdin is not a terminal."""
    control = f"os.close(os.open({screen.name!r}, os.O_RDWR))\n" if screen else ""
    process = subprocess.run(
        [sys.executable, "-c", "import os\n" + control + SESSION + snippet],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    return process.stdout
