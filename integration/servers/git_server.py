"""A git server that believes the provider's tokens: real ``git http-backend`` behind a small HTTP(S) server.

    with GitServer(folder, authority=authority) as server:       # https; without an authority http on loopback
        server.trust(oidc.issuer, [AUDIENCE])                     # JWTs: signature, iss, aud and exp are checked
        server.make("project.git", {"README": b"hello"})          # a bare repository with one commit
        server.offer("basic")                                     # or "bearer", or "basic", "bearer"
        server.revoke(token)                                      # this one is refused from now on
        server.refuse()                                           # 401 to everybody, until refuse(0)
        server.calls, server.tokens(), server.statuses()

Every path needs a token. Basic takes it as the password, with any user name. Large files of git-lfs are kept and given
out, too: its batch API (https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md), without locks.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import jwt
import msgspec
import requests

from integration.servers.kube_api import Issuer, Unauthorized
from integration.servers.lifecycle import LoopbackServer, Served
from integration.servers.tls import Authority, server_tls

Scheme = Literal["basic", "bearer"]

AUTHOR = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


class Call(msgspec.Struct, frozen=True):
    """A request that reached the server."""

    at: float  # seconds since the epoch
    method: str
    path: str
    status: int
    scheme: str  # of the Authorization header, in lower case; empty where there is none
    username: str | None  # of Basic
    token: str | None
    refused: str | None  # why it was
    size: int  # bytes of the body


class GitServer(Served):
    """The server; each connection has a thread, and what it remembers is behind one lock."""

    def __init__(self, folder: Path, *, authority: Authority | None = None, git: str | None = None) -> None:
        """``folder`` holds the repositories; ``git`` is whose http-backend serves them."""
        self.folder = folder
        self.authority = authority
        self._git = git or shutil.which("git") or "git"
        self._lock = threading.Lock()
        self.reset()

    def _made(self) -> LoopbackServer:
        return _Server(self, None if self.authority is None else server_tls(self.authority, "git-server"))

    @property
    def host(self) -> str:
        """Return 127.0.0.1:PORT."""
        assert self._server is not None, "the git server is not running"
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Return the address without a final slash, as a profile's ``git`` lists it."""
        return f"{'https' if self.authority is not None else 'http'}://{self.host}"

    # --- repositories ---

    def make(self, name: str, files: Mapping[str, bytes]) -> str:
        """Make a bare repository with one commit on ``main``, and return its URL."""
        bare, work = self.folder / name, self.folder / f"{name}.work"
        self._call("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        self._call("init", "--quiet", "--initial-branch=main", str(work))
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content)
        self._call("-C", str(work), "add", "--all")
        self.commit(name, "first")
        return f"{self.url}/{name}"

    def commit(self, name: str, message: str) -> None:
        """Commit what is new in a repository's work tree; an empty commit will do."""
        work = str(self.folder / f"{name}.work")
        self._call("-C", work, "commit", "--quiet", "--all", "--allow-empty", "--message", message)
        self._call("-C", work, "push", "--quiet", str(self.folder / name), "main")

    def add_submodules(self, name: str, modules: Sequence[str]) -> None:
        """Let a repository have others of this server as submodules, by relative URLs."""
        work = self.folder / f"{name}.work"
        lines = [f'[submodule "{one}"]\n\tpath = {one}\n\turl = ../{one}\n' for one in modules]
        (work / ".gitmodules").write_text("".join(lines))
        self._call("-C", str(work), "add", ".gitmodules")
        for one in modules:
            head = self.head(one)
            self._call("-C", str(work), "update-index", "--add", "--cacheinfo", f"160000,{head},{one}")
        self._call("-C", str(work), "commit", "--quiet", "--message", "submodules")
        self._call("-C", str(work), "push", "--quiet", str(self.folder / name), "main")

    def head(self, name: str, branch: str = "main") -> str:
        """Return the commit that a branch is at."""
        return self._call("-C", str(self.folder / name), "rev-parse", branch)

    def _call(self, *words: str) -> str:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **AUTHOR}
        done = subprocess.run([self._git, *words], env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    # --- whom it believes ---

    def reset(self) -> None:
        """Forget calls, refusals, large files and everybody who was trusted; repositories stay."""
        with self._lock:
            self.calls: list[Call] = []
            self._issuers: dict[str, Issuer] = {}
            self._revoked: set[str] = set()
            self._refusals: int | None = 0  # None: for ever
            self._offered: tuple[Scheme, ...] = ("basic",)
            self._large: dict[str, bytes] = {}

    def trust(self, issuer: str, audiences: Sequence[str], *, ca_file: str | None = None) -> None:
        """Believe JWTs of an issuer; its keys are fetched when the first one comes."""
        with self._lock:
            self._issuers[issuer] = Issuer(issuer, tuple(audiences), ca_file)

    def offer(self, *schemes: Scheme) -> None:
        """Take these schemes and no other, and say so in WWW-Authenticate."""
        with self._lock:
            self._offered = schemes

    def revoke(self, token: str) -> None:
        """Take a token no more."""
        with self._lock:
            self._revoked.add(token)

    def refuse(self, times: int | None = None) -> None:
        """Answer 401 to the next ``times`` requests that bring a token; None: to all until ``refuse(0)``."""
        with self._lock:
            self._refusals = times

    # --- what it saw ---

    def forget_calls(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.calls = []

    def tokens(self) -> list[str]:
        """Return the different tokens that came, in order of their first use."""
        with self._lock:
            return list(dict.fromkeys(call.token for call in self.calls if call.token))

    def schemes(self) -> set[str]:
        """Return the schemes of all requests that were let in."""
        with self._lock:
            return {call.scheme for call in self.calls if call.status != 401}

    def statuses(self) -> list[int]:
        """Return the status of every answer."""
        with self._lock:
            return [call.status for call in self.calls]

    # --- answers; called by the threads ---

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        url = urlsplit(target)
        scheme, username, token = _credentials(headers.get("authorization", ""))
        try:
            self._authenticate(scheme, token)
            refused = None
        except Unauthorized as error:
            refused = str(error)
        if refused is not None:
            challenges = [("WWW-Authenticate", f'{one.capitalize()} realm="git"') for one in self._offered]
            answer = _Answer(401, [*challenges, ("Content-Type", "text/plain")], b"who are you?\n")
        elif "/info/lfs/" in url.path or url.path.startswith("/large/"):
            answer = self._large_files(method, url.path, body)
        else:
            answer = self._backend(method, url.path, url.query, headers, body)
        with self._lock:
            self.calls.append(
                Call(time.time(), method, url.path, answer.status, scheme, username, token, refused, len(body))
            )
        return answer

    def _authenticate(self, scheme: str, token: str | None) -> None:
        if token is None:
            raise Unauthorized("no token")
        with self._lock:
            refusals, issuers = self._refusals, dict(self._issuers)
            if refusals:
                self._refusals = refusals - 1
            if refusals != 0:
                raise Unauthorized("told to refuse")
            if scheme not in self._offered:
                raise Unauthorized(f"{scheme} is not taken here")
            if token in self._revoked:
                raise Unauthorized("revoked")
        try:
            issuers[jwt.decode(token, options={"verify_signature": False})["iss"]].verify(token)
        except (jwt.InvalidTokenError, KeyError, requests.RequestException) as error:
            raise Unauthorized(repr(error)) from None

    def _backend(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        """Run git http-backend as CGI (RFC 3875)."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "REMOTE_USER": "ada",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
        }
        done = subprocess.run(
            [self._git, "http-backend"], env=environ, input=body, capture_output=True, timeout=120, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.decode().split(": ", 1) for line in head.split(b"\r\n") if b": " in line]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        return _Answer(status, [(name, value) for name, value in fields if name != "Status"], content)

    def _large_files(self, method: str, path: str, body: bytes) -> _Answer:
        """Serve git-lfs: ``POST …/info/lfs/objects/batch``, and the objects themselves below /large/."""
        if path.startswith("/large/"):
            name = path.rpartition("/")[2]
            if method == "PUT":
                self._large[name] = body
            found = self._large.get(name)
            return _Answer(404, [], b"") if found is None else _Answer(200, [], found if method == "GET" else b"")
        if not path.endswith("/objects/batch"):
            return _Answer(404, [("Content-Type", "application/vnd.git-lfs+json")], b'{"message": "not here"}')
        asked = json.loads(body)
        objects = []
        for one in asked["objects"]:
            known = one["oid"] in self._large
            actions = {asked["operation"]: {"href": f"{self.url}/large/{one['oid']}"}}
            objects.append(one | ({} if asked["operation"] == "upload" and known else {"actions": actions}))
        answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
        return _Answer(200, [("Content-Type", "application/vnd.git-lfs+json")], answer)


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


def _credentials(header: str) -> tuple[str, str | None, str | None]:
    """Return (scheme in lower case, user name, token) of an Authorization header."""
    scheme, _, value = header.partition(" ")
    scheme = scheme.lower()
    if scheme != "basic":
        return scheme, None, value or None
    try:
        username, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return scheme, None, None
    return scheme, username, password


# --- HTTP -------------------------------------------------------------------------------------------------------------


class _Server(LoopbackServer):
    request_queue_size = 64

    def __init__(self, server: GitServer, context: ssl.SSLContext | None) -> None:
        super().__init__(_Handler, context)
        self.git = server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        body = self._chunks() if chunked else self.rfile.read(int(headers.get("content-length") or 0))
        answer = self.server.git._answer(self.command, self.path, headers, body)
        self.send_response(answer.status)
        for name, value in answer.headers:
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _chunks(self) -> bytes:
        """Read a body of unknown length (RFC 9112 §7.1): how git sends what is larger than http.postBuffer."""
        body = bytearray()
        while size := int(re.split(rb"[;\r\n]", self.rfile.readline(), maxsplit=1)[0] or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass
        return bytes(body)

    do_GET = do_POST = do_PUT = do_HEAD = _serve  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Keep quiet: ``calls`` is the log."""
