"""The two pages that Ory Hydra leaves to others: who are you, and do you agree. Everybody may sign in as ada.

``GET /login?login_challenge=…`` and ``GET /consent?consent_challenge=…`` show a form each; its POST accepts or rejects
the challenge at Hydra's admin address, and sends the browser where Hydra says.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from integration.servers.lifecycle import LoopbackServer, Served

REMEMBER_NOTHING = {"remember": False}


class HydraPages(Served):
    """The login and consent app; ``admin`` is where Hydra's admin API is, once it runs."""

    def __init__(self, admin: str, account: str, claims: dict[str, Any]) -> None:
        self._admin = f"{admin}/admin/oauth2/auth/requests"
        self._account, self._claims = account, claims
        self._http = requests.Session()
        self._http.trust_env = False

    @property
    def url(self) -> str:
        """Return where it listens, without a final slash."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        super().stop()
        self._http.close()

    def _made(self) -> LoopbackServer:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Write nothing to stderr."""

            def do_GET(self) -> None:
                page = b"<form method=post><button name=answer value=accept><button name=answer value=reject></form>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def do_POST(self) -> None:
                address = urlsplit(self.path)
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                kind, challenge = address.path.strip("/"), parse_qs(address.query)
                self.send_response(303)
                self.send_header("Location", pages.answer(kind, challenge[f"{kind}_challenge"][0], form["answer"][0]))
                self.send_header("Content-Length", "0")
                self.end_headers()

        return LoopbackServer(Handler, None)

    def answer(self, kind: str, challenge: str, answer: str) -> str:
        """Accept or reject a challenge, and return where the browser has to go."""
        which = {f"{kind}_challenge": challenge}
        body: dict[str, Any] = {"error": "access_denied", "error_description": "the person said no"}
        if answer == "accept" and kind == "login":
            body = {"subject": self._account, **REMEMBER_NOTHING}
        elif answer == "accept":
            asked = self._http.get(f"{self._admin}/consent", params=which, timeout=30).json()
            body = {
                "grant_scope": asked["requested_scope"],
                "grant_access_token_audience": asked["requested_access_token_audience"],
                "session": {"id_token": self._claims},
                **REMEMBER_NOTHING,
            }
        done = self._http.put(f"{self._admin}/{kind}/{answer}", params=which, json=body, timeout=30)
        done.raise_for_status()
        return str(done.json()["redirect_to"])
