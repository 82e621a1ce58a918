"""A real Chromium, without a window, driven through chromedriver's own protocol (W3C WebDriver) over HTTP.

    with Chromium() as chromium:
        chromium.open("http://127.0.0.1:8080/")
        chromium.type("#username", "ada")
        chromium.click("#sign-in")
        chromium.wait_for("#scopes")
        chromium.screenshot(artefacts / "consent.png")

Rules of this file:
- Nothing but loopback is reached: no other name is resolved, no other address asked, no component updated.
- Its profile, HOME and caches are one folder of a short name (a socket in it may have a path of 107 characters). It is
  gone afterwards, as are all its processes, whatever happens in between, kill -9 of ourselves included: a watchman
  sees that. They are ended by their ids: chromedriver leads a session of its own, and its children stay in it.
- No certificate is believed but the system's and those of the files in ``trust``, by their public keys.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from integration.clients.real import need
from integration.servers.lifecycle import Started

START_TRIES = 5  # the driver takes a free port for IPv6 and ends if the same one is not free for IPv4
START_DEADLINE = 60.0  # seconds, for the driver as for the browser: a cold disk, two busy cores
END_DEADLINE = 30.0  # seconds
PATIENCE = 60.0  # seconds that a page may take
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the name of an element's id (WebDriver §12.2)
SIZE = "800,600"

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root, in CI
    "--disable-dev-shm-usage",  # /dev/shm of a container is small
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--no-proxy-server",
    "--password-store=basic",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost , EXCLUDE [::1]",
    f"--window-size={SIZE}",
)

# The watchman of a driver and its folder. One word on stdin dismisses it; an end without a word is our death, for the
# kernel closes the pipe. The browser's processes are in the driver's session, or name the folder, and come and go.
WATCHMAN = """\
import os, shutil, signal, sys, time
driver, folder = sys.argv[1:]
if not sys.stdin.buffer.read():
    found = True
    while found:
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = open(f"/proc/{pid}/cmdline", "rb").read()
                state, _, _, session = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[:4]
                theirs = session == driver or os.fsencode(folder) in words
                if theirs and int(pid) != os.getpid() and state not in "ZX":
                    found.append(pid)
                    os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)
"""


class ChromiumError(AssertionError):
    """The browser could not be started, or what was asked of it is not on the page."""


class Chromium(Started):
    """One browser with one profile, from ``start`` to ``stop``; also a context manager."""

    def __init__(self, *, trust: Sequence[Path] = ()) -> None:
        self.folder = Path()  # made by start, removed by stop
        self._trust = trust
        self._http = requests.Session()
        self._http.trust_env = False
        self._driver: subprocess.Popen[bytes] | None = None
        self._watchman: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._session = ""

    def start(self) -> Self:
        """Start driver and browser; skips or fails the test where one of them is not installed."""
        chromium, chromedriver = need("chromium"), need("chromedriver")
        self.folder = Path(tempfile.mkdtemp(prefix="chromium-"))
        try:
            self._start_driver(chromedriver)
            self._start_browser(chromium)
        except BaseException:
            self.stop()
            raise
        return self

    def _start_driver(self, chromedriver: str) -> None:
        for _ in range(START_TRIES):
            said = self._launch(chromedriver)
            if found := re.search(rb"successfully on port (\d+)", said):
                self._address = f"http://127.0.0.1:{int(found[1])}"
                return
            self._end()
        raise ChromiumError(f"chromedriver did not start: {said!r} {self.log.read_text()[-2000:]}")

    def _launch(self, chromedriver: str) -> bytes:
        """Start the driver, and return what it says until it is ready, or ends."""
        folder = str(self.folder)
        homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"), folder)
        with self.log.open("ab") as log:
            self._driver = subprocess.Popen(
                [chromedriver, "--port=0"],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **homes},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._watchman = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WATCHMAN, str(self._driver.pid), folder],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._driver.stdout is not None
        said, deadline = b"", time.monotonic() + START_DEADLINE
        while b"successfully on port" not in said or not said.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic())
            readable = select.select([self._driver.stdout], [], [], left)[0]
            data = os.read(self._driver.stdout.fileno(), 4096) if readable else b""
            if not data:
                break
            said += data
        return said

    def _start_browser(self, chromium: str) -> None:
        flags = [*FLAGS, f"--user-data-dir={self.folder / 'profile'}"]
        if self._trust:
            keys = ",".join(_key_hash(file) for file in self._trust)
            flags.append(f"--ignore-certificate-errors-spki-list={keys}")
        options = {"binary": chromium, "args": flags}
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "pageLoadStrategy": "eager"}
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}}, START_DEADLINE)
        self._session = f"/session/{answer['sessionId']}"
        self._ask("POST", f"{self._session}/timeouts", {"pageLoad": int(PATIENCE * 1000), "implicit": 0})

    @property
    def log(self) -> Path:
        """Return the file with what both wrote to stderr."""
        return self.folder / "stderr.log"

    def stop(self) -> None:
        """End both, and remove the folder; may be called twice, and before anything was started."""
        if self._session:
            with contextlib.suppress(requests.RequestException, ChromiumError):
                self._ask("DELETE", self._session, None, END_DEADLINE)
        self._session = ""
        self._end()
        self._http.close()
        if self.folder.name:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        """End driver, browser and crash handlers, by their ids."""
        if self._driver is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + END_DEADLINE
            while self.processes and time.monotonic() < deadline:
                time.sleep(0.05)
        self._driver.wait(END_DEADLINE)
        if self._driver.stdout is not None:
            self._driver.stdout.close()
        watchman, self._watchman = self._watchman, None
        if watchman is not None:
            watchman.communicate(b"dismissed", END_DEADLINE)

    @property
    def processes(self) -> list[int]:
        """Return what runs of it: the driver's session, and the crash handlers, which lead sessions of their own."""
        if self._driver is None:
            return []
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            pid = int(entry.name)
            with contextlib.suppress(OSError):  # it has ended meanwhile
                words = (entry / "cmdline").read_bytes()
                handler = b"crashpad" in words.split(b"\0")[0] and os.fsencode(self.folder) in words
                state, _, _, session = _stat(pid)[:4]
                if (int(session) == self._driver.pid or handler) and state not in "ZX":
                    found.append(pid)
        return found

    # --- what a person does ---

    @property
    def endpoint(self) -> str:
        """Return where another process can POST ``{"url": …}`` to open an address in this browser."""
        return f"{self._address}{self._session}/url"

    def open(self, url: str) -> None:
        """Go to an address, in the tab that is in front; returns when the page is there."""
        self._command("POST", "/url", {"url": url})

    def new_tab(self, url: str) -> None:
        """Go to an address in a tab of its own, which comes to the front."""
        handle = self._command("POST", "/window/new", {"type": "tab"})["handle"]
        self._command("POST", "/window", {"handle": handle})
        self.open(url)

    @property
    def tabs(self) -> int:
        """Return how many tabs are open."""
        return len(self._command("GET", "/window/handles"))

    def type(self, css: str, text: str) -> None:
        """Empty a field and type into it; ChromiumError if it does not come within PATIENCE."""
        element = self.wait_for(css)
        self._command("POST", f"/element/{element}/clear", {})
        self._command("POST", f"/element/{element}/value", {"text": text})

    def click(self, css: str) -> None:
        """Press a button or a link; ChromiumError if it does not come within PATIENCE."""
        self._command("POST", f"/element/{self.wait_for(css)}/click", {})

    def wait_for(self, css: str, *, timeout: float = PATIENCE) -> str:
        """Wait for the first element that a selector finds, and return its id."""
        deadline = time.monotonic() + timeout
        while not (found := self._find(css)):
            if time.monotonic() > deadline:
                raise ChromiumError(f"no {css} on {self.url}: {self.text[:500]!r}")
            time.sleep(0.05)
        return found[0]

    def wait_for_text(self, pattern: str, *, timeout: float = PATIENCE) -> str:
        """Wait until a regular expression is found in what the page shows, and return all that it shows."""
        deadline = time.monotonic() + timeout
        while not re.search(pattern, shown := self.text):
            if time.monotonic() > deadline:
                raise ChromiumError(f"no {pattern!r} on {self.url}: {shown[:500]!r}")
            time.sleep(0.05)
        return shown

    # --- what a person sees ---

    @property
    def url(self) -> str:
        """Return the address of the page in front."""
        return str(self._command("GET", "/url"))

    @property
    def title(self) -> str:
        """Return its title."""
        return str(self._command("GET", "/title"))

    @property
    def text(self) -> str:
        """Return what it shows; empty while it is changing."""
        with contextlib.suppress(ChromiumError):  # the element belongs to a page that has just gone
            for element in self._find("body"):
                return str(self._command("GET", f"/element/{element}/text"))
        return ""

    def texts(self, css: str) -> list[str]:
        """Return the text of each element that a selector finds."""
        return [str(self._command("GET", f"/element/{element}/text")) for element in self._find(css)]

    def run(self, script: str) -> Any:
        """Run a piece of JavaScript in the page, and return what it returns."""
        return self._command("POST", "/execute/sync", {"script": script, "args": []})

    @property
    def loaded(self) -> list[str]:
        """Return the addresses of all that the page in front has asked for, itself not among them."""
        return list(self.run("return performance.getEntriesByType('resource').map((one) => one.name)"))

    def screenshot(self, path: Path) -> None:
        """Write what is seen now as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._command("GET", "/screenshot")))

    # --- the protocol ---

    def _find(self, css: str) -> list[str]:
        found = self._command("POST", "/elements", {"using": "css selector", "value": css})
        return [element[ELEMENT] for element in found]

    def _command(self, method: str, path: str, body: object = None) -> Any:
        return self._ask(method, self._session + path, body)

    def _ask(self, method: str, path: str, body: object, timeout: float = PATIENCE + 10.0) -> Any:
        answer = self._http.request(method, self._address + path, json=body, timeout=timeout)
        value = answer.json()["value"]
        if answer.status_code != 200:
            log = self.log.read_text(errors="replace")[-1000:]
            raise ChromiumError(f"{method} {path}: {value['error']}: {value['message'][:500]} {log}")
        return value


def _key_hash(file: Path) -> str:
    """Return how Chromium names the public key of a certificate."""
    key = x509.load_pem_x509_certificate(file.read_bytes()).public_key()
    return base64.b64encode(
        hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()


def _stat(pid: int) -> list[str]:
    """Return what Linux tells of a process, from its state on (proc_pid_stat(5)); OSError if there is none."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
