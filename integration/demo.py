"""``make demo``: one sign-in, one cached answer, one machine, through the executable as it was installed.

Everything happens in a folder of its own (HOME and the XDG folders are in it) against the provider in
``embedded_provider``, a child process that is ended by its pid and that ends by itself when we do. Nothing is kept: not
even the keyring is touched (CREDENTIAL_HELPER_STORE=file).

With a terminal, the reader answers: in the browser, or with Enter where the browser cannot reach this machine's
loopback. Without one (CI, a pipe) the demo answers by itself.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from integration.servers.embedded_provider import DEVICE_CLIENT, MACHINE_CLIENT, SECRET_VARIABLE

ROOT = Path(__file__).parents[1]
EXECUTABLE = Path(sys.executable).with_name("credential-helper")
AUDIENCE = "https://kubernetes.example.com"
PATIENCE = 60.0  # seconds for anything that does not wait for a person
KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "PATH", "TERM")

# What kubectl sets for a plugin with provideClusterInfo: true and interactiveMode: Never.
EXEC_INFO = {
    "kind": "ExecCredential",
    "apiVersion": "client.authentication.k8s.io/v1",
    "spec": {"cluster": {"server": "https://kubernetes.example.com:6443"}, "interactive": False},
}


class Stopped(Exception):
    """The demo cannot go on; says why."""


class Provider:
    """The embedded provider in a process of its own, as the demo sees it."""

    def __init__(self, client_secret: str) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "integration.servers.embedded_provider",
                "--interval",
                "1",
                "--parent",
                str(os.getpid()),
            ],
            cwd=ROOT,
            env=os.environ | {SECRET_VARIABLE: client_secret},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.issuer = self._process.stdout.readline().strip()
        if not self.issuer:
            raise Stopped("the embedded provider did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def requests(self) -> int:
        """Return how many requests it has had, the approval page apart."""
        return int(self._state()["counters"].get("requests", 0))

    def approve(self, give_up: threading.Event) -> None:
        """Allow the sign-in that waits, by the form that a browser would send; wait for one if there is none."""
        while not give_up.is_set():
            for user_code in self._state()["pending"]:
                status, _ = self._send("POST", "/activate", urlencode({"user_code": user_code, "action": "allow"}))
                if status == http.client.OK:
                    return
            give_up.wait(0.1)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._send("GET", "/demo/state")[1])
        return state

    def _send(self, method: str, path: str, body: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.issuer).netloc, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-www-form-urlencoded"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


# --- what is printed --------------------------------------------------------------------------------------------------


def say(text: str = "") -> None:
    print(text, flush=True)


def indented(text: str) -> str:
    return textwrap.indent(text.rstrip("\n"), "   ")


def shown(words: list[str]) -> str:
    """Return a command line as one types it, folded at options."""
    lines = ["$"]
    for word in words:
        option = word.startswith("--")
        if option and len(lines[-1]) + len(word) + len(words[words.index(word) + 1]) > 70:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}"
    return indented("\n".join(lines))


def shortened(answer: bytes) -> str:
    """Return an ExecCredential folded to the screen, its token cut short."""
    document = json.loads(answer)
    token = document["status"]["token"]
    document["status"]["token"] = f"{token[:12]}… ({len(token)} characters)"
    text = json.dumps(document, ensure_ascii=False)
    return indented(text.replace(', "status": {', ',\n "status": {').replace(', "expir', ',\n  "expir'))


# --- the three calls --------------------------------------------------------------------------------------------------


def environment(folder: Path) -> dict[str, str]:
    """Return an environment that knows nothing of the reader's own configuration, sign-ins and keyring."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    places = {
        name: str(folder / name.lower())
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
    }
    for place in places.values():
        Path(place).mkdir(mode=0o700)
    return kept | places | {"CREDENTIAL_HELPER_STORE": "file", "KUBERNETES_EXEC_INFO": json.dumps(EXEC_INFO)}


def call(words: list[str], environ: dict[str, str]) -> bytes:
    """Run the installed executable where nobody has to be asked; return its answer."""
    done = subprocess.run(
        [str(EXECUTABLE), *words[1:]], env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE
    )
    if done.returncode != 0:
        raise Stopped(f"{' '.join(words[:2])} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def sign_in(words: list[str], environ: dict[str, str], provider: Provider) -> bytes:
    """Run the installed executable where a person has to be asked; return its answer."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty() and not os.environ.get("CI")
    if not terminal:
        environ = environ | {"CREDENTIAL_HELPER_INTERACTIVE": "always"}  # a pipe may be asked, too
    process = subprocess.Popen(
        [str(EXECUTABLE), *words[1:]],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if terminal else subprocess.PIPE,
    )
    ended = threading.Event()
    deadline = threading.Timer(PATIENCE, process.kill)
    if terminal:
        say(indented("(allow it in the browser, or press Enter here)"))
        answering = threading.Thread(target=approve_at_enter, args=(provider, ended))
    else:
        say(indented("(no terminal here: the demo allows it by itself)"))
        answering = threading.Thread(target=provider.approve, args=(ended,))
        deadline.start()
    try:
        answering.start()
        for line in process.stderr or ():
            say(indented(line.decode(errors="replace")))
        answer, _ = process.communicate()
    finally:
        process.kill()
        deadline.cancel()
        ended.set()
        answering.join()
    if process.returncode != 0:
        raise Stopped(f"the sign-in ended with {process.returncode}")
    return answer


def approve_at_enter(provider: Provider, ended: threading.Event) -> None:
    """Allow the sign-in when the reader presses Enter, unless it is over by then."""
    while not ended.is_set():
        if select.select([sys.stdin], [], [], 0.1)[0]:
            sys.stdin.readline()
            provider.approve(ended)
            return


def demo(folder: Path) -> None:
    environ = environment(folder)
    client_secret = secrets.token_urlsafe(24)
    provider = Provider(client_secret)
    try:
        say(f"an OAuth provider of our own runs at {provider.issuer} until the demo ends")

        say("\n1. kubectl asks for a credential, and nobody is signed in:")
        words = ["credential-helper", "kubectl", "--issuer", provider.issuer, "--client-id", DEVICE_CLIENT]
        words += ["--audience", AUDIENCE]
        say(shown(words))
        first = sign_in(words, environ, provider)
        say("   kubectl gets:")
        say(shortened(first))

        before = provider.requests()
        second = call(words, environ)
        if second != first:
            raise Stopped("the second answer was another one")
        say("\n2. kubectl asks again, and gets the same answer from the cache;")
        say(f"   requests to the provider: {provider.requests() - before}")

        say("\n3. a build machine asks, with a secret from its environment instead of a person:")
        words = ["credential-helper", "kubectl", "--issuer", provider.issuer, "--client-id", MACHINE_CLIENT]
        words += ["--audience", AUDIENCE, "--flow", "client-credentials"]
        say(shown(["CREDENTIAL_HELPER_CLIENT_SECRET=***", *words]))
        environ["CREDENTIAL_HELPER_CLIENT_SECRET"] = client_secret
        before = provider.requests()
        say(shortened(call(words, environ)))
        middle = provider.requests()
        call(words, environ)
        say(f"   requests to the provider: {middle - before}; when asked again: {provider.requests() - middle}")
    finally:
        provider.stop()


def interrupted(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise SystemExit(128 + number)


def main() -> int:
    if not EXECUTABLE.exists():
        print(f"{EXECUTABLE} is missing; make demo installs it", file=sys.stderr)
        return 1
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupted)
    try:
        with tempfile.TemporaryDirectory(prefix="credential-helper-demo-") as folder:
            demo(Path(folder))
    except KeyboardInterrupt:
        return 130
    except (Stopped, subprocess.TimeoutExpired) as error:
        print(f"the demo stops here: {error}", file=sys.stderr)
        return 1
    say("\nnothing is left: the provider has stopped, and its folder is removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
