"""The person's side of a sign-in with a browser: $BROWSER, and what it is asked to show."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from integration.clients.chromium import Chromium
from integration.scenes.sign_ins import Value, person, wait_until
from integration.servers.oidc import CLI_BROWSER, Face
from tests.helpers.programs import DEADLINE, Running

HAND_OVER = """\
import json, sys, urllib.request
body = json.dumps({"url": sys.argv[1]}).encode()
request = urllib.request.Request(sys.argv[2], body, {"Content-Type": "application/json"})
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
"""


class Asked:
    """An authorization request (RFC 6749 §4.1.1), as the browser was given it, and the listener that waits for it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.parameters = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert len(self.parameters) == len(urlsplit(url).query.split("&"))
        self.redirect_uri = self.parameters["redirect_uri"]
        redirect = urlsplit(self.redirect_uri)
        assert redirect.port is not None
        assert redirect.hostname is not None
        self.host, self.port, self.path = redirect.hostname, redirect.port, redirect.path
        self.state = self.parameters["state"]

    def visit(self) -> requests.Response:
        """Go where a browser would be sent, to the listener's own page."""
        with closed_session() as session:
            return session.get(self.url, timeout=60)

    def authorize(self) -> str:
        """Sign in at the provider, and return the callback without going there."""
        with closed_session() as session:
            answer = session.get(self.url, allow_redirects=False, timeout=30)
            while answer.is_redirect and not answer.headers["location"].startswith(self.redirect_uri):
                answer = session.get(
                    requests.compat.urljoin(answer.url, answer.headers["location"]),
                    allow_redirects=False,
                    timeout=30,
                )
            assert answer.is_redirect, answer.text
            return answer.headers["location"]

    def with_nonce(self, nonce: str) -> Asked:
        """Return the request of another sign-in that comes back to the same listener."""
        return Asked(self.url.replace(self.parameters["nonce"], nonce))

    def callback(self, **parameters: str) -> str:
        """Return a callback of one's own making."""
        return f"{self.redirect_uri}?{urlencode(parameters)}"

    def connect(self) -> socket.socket:
        """Connect to the listener."""
        return socket.create_connection((self.host, self.port), timeout=DEADLINE)

    @property
    def gone(self) -> bool:
        """Say whether nobody listens any more."""
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        return False


@contextlib.contextmanager
def closed_session() -> Iterator[requests.Session]:
    """A browser without a face: no proxy, no netrc."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


class Tabs:
    """$BROWSER."""

    def __init__(self, folder: Path, home: dict[str, str]) -> None:
        self._opened = folder / "opened"
        self._endpoint = folder / "endpoint"
        self.script = folder / "browser"
        hand_over = folder / "hand_over.py"
        hand_over.write_text(HAND_OVER)
        self.script.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$1\" >>'{self._opened}'\n[ ! -e '{self._endpoint}' ] || "
            f"exec '{sys.executable}' -I -S '{hand_over}' \"$1\" \"$(cat '{self._endpoint}')\"\n"
        )
        self.script.chmod(0o700)
        home["BROWSER"] = str(self.script)

    def hand_to(self, chromium: Chromium) -> None:
        """Let every address be opened there from now on."""
        self._endpoint.write_text(chromium.endpoint)

    @property
    def opened(self) -> list[str]:
        """Return every address so far: one a tab."""
        return self._opened.read_text().splitlines() if self._opened.exists() else []

    def wait(self, number: int = 1) -> Asked:
        """Wait for a tab to be opened, by its number, and return what it was asked to show; there is none after it."""
        wait_until(lambda: len(self.opened) >= number, f"tab number {number}")
        assert len(self.opened) == number
        return Asked(self.opened[-1])


def by_browser(face: Face, **more: Value) -> dict[str, Value]:
    """Return a profile that signs in with a browser."""
    return person(face, **{"client_id": CLI_BROWSER, "flow": "authorization-code", **more})


Begin = Callable[..., tuple[Running, Asked]]
