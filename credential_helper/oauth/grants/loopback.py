"""The listener that a browser brings the authorization response to (RFC 8252 §7.3).

Where. The literal 127.0.0.1 or [::1] of the redirect URI, nothing else; for ``localhost`` both, on one port, because a
browser may choose either, and whoever listens on the other one would be handed the code. The URI's port or a free one.
Nobody can share or take over the port while it is ours, and no child inherits it.

What. One valid callback: GET, exactly the URI's path, a Host that is exactly the URI's (a name that somebody points at
127.0.0.1 is not), the ``state`` of this sign-in, and either ``code`` or ``error``; none of these, nor ``iss``, twice.
Its connection is held until ``finish``, and so is every copy of it (a reload, a prefetch): they get the page that says
how it ended.

What is ignored. Everything else gets a 404, or is closed, and the wait goes on: without the state it comes from
somebody who was not sent by this sign-in (another page, a port scan, an old tab), and must not be able to end it. What
is not well-formed although its state is right goes the same way: no provider that is asked properly answers so. A
well-formed callback is judged by who asked for it: see ``authorization_code`` for ``iss``.

An https redirect URI is served with the person's own certificate; all the rest is the same.

How. There is no thread: ``wait`` and ``finish`` serve, and between two calls the system's queue holds who comes. No
read or write blocks, so a connection that stays silent or dribbles is in nobody's way; browsers open silent ones in
advance (https://github.com/browser-use/browser-harness/issues/691).
At most ``MOST`` connections with ``LONGEST_HEAD`` bytes each are kept; the oldest makes way for the newest, and none
lives for longer than ``PATIENCE`` without its whole request.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from credential_helper import urls
from credential_helper.errors import ConfigurationError

if TYPE_CHECKING:
    from socket import socket
    from ssl import SSLContext

PATIENCE = 5.0  # seconds for a request to arrive, and for a refused one to hang up
MOST = 32  # connections at a time
LONGEST_HEAD = 64 << 10  # bytes: a browser sends the cookies of every port of this host along

_CHUNK = 16 << 10  # bytes of one read
_QUEUE = 128  # connections that the system keeps for us
_TRIES = 10  # to find a port that is free for both families
_MOST_PARAMETERS = 100


class PortTaken(ConfigurationError):
    """Nobody can listen where the redirect URI points to: the port is ``in_use``, or the system forbids it.

    That program may be another sign-in of ours, and gone in a moment.
    """

    def __init__(self, sentence: str, *, hint: str, in_use: int | None = None) -> None:
        super().__init__(sentence, hint=hint)
        self.in_use = in_use


class Listener:
    """Listens from its making until ``finish`` or ``close``; belongs to the thread that made it.

    ``redirect_uri`` is what has to be sent, with the port. ``parameters`` holds, once the callback has come, those of
    ``state``, ``code``, ``error``, ``error_description`` and ``iss`` that it has.
    """

    def __init__(
        self,
        redirect_uri: str,
        *,
        state: str,
        tls: SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen for the callback that carries ``state``; ``tls`` is for an https redirect URI, and no other.

        Raises PortTaken; ConfigurationError for an address that is not on loopback.
        """
        import selectors

        url = _judged(redirect_uri, "http" if tls is None else "https")
        self._listening = _listen(url)
        port: int = self._listening[0].getsockname()[1]
        self.redirect_uri = redirect_uri if url.port_given else _with_port(redirect_uri, port)
        self.parameters: dict[str, str] = {}
        self._path = f"/{url.path}"
        self._names = (f"{url.host}:{port}", *([url.host] if port == urls.DEFAULT_PORTS[url.scheme] else []))
        self._state = state
        self._tls = tls
        self._monotonic = monotonic
        self._open: dict[socket, _Request] = {}  # the oldest first
        self._held: list[socket] = []  # those that brought the callback
        self._closed = False
        self._selector = selectors.DefaultSelector()
        for listening in self._listening:
            self._selector.register(listening, selectors.EVENT_READ)

    def wait(self, seconds: float) -> bool:
        """Serve for at most so many seconds; True as soon as the valid callback has come."""
        end = self._monotonic() + seconds
        while not self.parameters and not self._closed:
            left = end - self._monotonic()
            self._serve(left)
            if left <= 0:
                break
        return bool(self.parameters)

    def take(self, address: str) -> str | None:
        """Take an address that a person has brought from a browser elsewhere; return why it is no valid callback.

        Of an address that is too long for a terminal's line the query will do.
        """
        found = None if self.parameters else _pasted(address)
        if isinstance(found, str):
            return found
        if found is not None and not _same(found.get("state", ""), self._state):
            return "that address is of another sign-in: paste the one at which this one has ended"
        self.parameters = self.parameters or found or {}
        return None

    def finish(self, worked: bool) -> None:
        """Tell whoever brought the callback whether the sign-in worked, and listen no more; later calls do nothing."""
        if self._closed:
            return
        self._closed = True
        if self.parameters:
            self._serve(0.0)  # a reload meanwhile
        self._selector.close()
        for unanswered in (*self._listening, *self._open):
            unanswered.close()
        page = _response("200 OK", _WORKED if worked else _FAILED)
        for held in self._held:
            _send(held, page)
            held.close()

    def close(self) -> None:
        """Give up: as ``finish``, and the sign-in has not worked."""
        self.finish(False)

    # --- connections --------------------------------------------------------------------------------------------------

    def _serve(self, seconds: float) -> None:
        """Do what is to be done within so many seconds, once: read, accept, hang up."""
        deadlines = (request.deadline - self._monotonic() for request in self._open.values())
        ready = [key.fileobj for key, _ in self._selector.select(max(0.0, min(seconds, *deadlines, PATIENCE)))]
        for connection in [one for one in self._open if one in ready]:
            self._read(connection)
        for listening in self._listening:
            if listening in ready:
                self._accept(listening)
        for connection in [one for one, request in self._open.items() if request.deadline <= self._monotonic()]:
            self._drop(connection)

    def _accept(self, listening: socket) -> None:
        import selectors

        for _ in range(MOST):  # a flood leaves time for those that are open
            try:
                connection, _ = listening.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError:  # no descriptor is left: the oldest gives up its own
                self._make_room(0)
                return
            self._make_room(MOST - 1)
            connection.setblocking(False)
            if self._tls is not None:
                try:  # its handshake is done by the first reads
                    connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                except OSError:  # it has gone
                    connection.close()
                    continue
            self._open[connection] = _Request(self._monotonic() + PATIENCE)
            self._selector.register(connection, selectors.EVENT_READ)
            self._read(connection)

    def _read(self, connection: socket) -> None:
        request = self._open[connection]
        try:
            data = connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            if self._tls is not None and _is_under_way(error):
                return
            data = b""
        if not data:
            self._drop(connection)
        elif request.add(data):
            self._answer(connection, request)

    def _answer(self, connection: socket, request: _Request) -> None:
        found = callback(request.head, path=self._path, names=self._names, state=self._state)
        if found is None:
            # Hanging up while more arrives would reset the connection, and the answer with it: what comes is read away.
            _send(connection, _response("404 Not Found", _UNKNOWN))
            request.answered = True
            return
        self._selector.unregister(connection)
        del self._open[connection]
        self._held.append(connection)
        self.parameters = self.parameters or found

    def _make_room(self, left: int) -> None:
        if len(self._open) > left:
            self._drop(next(iter(self._open)))

    def _drop(self, connection: socket) -> None:
        self._selector.unregister(connection)
        del self._open[connection]
        connection.close()


def _is_under_way(error: OSError) -> bool:
    """Say whether TLS only waits for more: of a handshake, or of a record."""
    import ssl

    return isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError)


class _Request:
    """What has arrived of one request, and until when it is waited for."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.answered = False
        self._received = bytearray()

    def add(self, data: bytes) -> bool:
        """Take in what arrived; True when the request can be judged."""
        if self.answered:
            return False
        seen = max(0, len(self._received) - len(_END) + 1)
        self._received += data
        ended = self._received.find(_END, seen) >= 0
        return ended or len(self._received) > LONGEST_HEAD or not _GET.startswith(self._received[: len(_GET)])

    @property
    def head(self) -> bytes:
        """The request line and the headers; empty if they have no end."""
        head, end, _ = bytes(self._received[:LONGEST_HEAD]).partition(_END)
        return head if end else b""


def _send(connection: socket, message: bytes) -> None:
    """Send what is smaller than any socket's buffer, without waiting; a browser that has gone has missed it."""
    from socket import SHUT_WR

    try:
        connection.send(message)
        connection.shutdown(SHUT_WR)
    except OSError:
        pass


# --- the address ------------------------------------------------------------------------------------------------------


def _judged(redirect_uri: str, scheme: str) -> urls.Url:
    try:
        url = urls.parse_url(redirect_uri)
    except ValueError as error:
        raise ConfigurationError(f"redirect_uri {error}") from None
    if url.scheme != scheme or not url.loopback or url.query is not None:
        raise ConfigurationError(
            f"redirect_uri is not an {scheme} address on 127.0.0.1, [::1] or localhost without a query",
            hint='for example redirect_uri = "http://127.0.0.1:8252/callback"',
        )
    return url


def _with_port(redirect_uri: str, port: int) -> str:
    scheme, separator, rest = redirect_uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}:{port}{slash}{path}"


def _listen(url: urls.Url) -> list[socket]:
    """Listen on each address of the host, all on one port.

    A port that is free for one family may be taken for the other: somebody there would be handed the code
    (https://github.com/giantswarm/muster/issues/1280).
    """
    addresses = ("127.0.0.1", "::1") if url.host == "localhost" else (url.host.strip("[]"),)
    problem: OSError | None = None
    for _ in range(1 if url.port_given else _TRIES):
        listening: list[socket] = []
        try:
            for address in addresses:
                port: int = listening[0].getsockname()[1] if listening else url.port if url.port_given else 0
                own = _bound(address, port)
                if own is not None:
                    listening.append(own)
            if listening:
                return listening
        except OSError as error:
            problem = error
            for own in listening:
                own.close()
    raise _taken(url, problem)


def _bound(address: str, port: int) -> socket | None:
    """Return a listening socket of our own; None where this machine does not have the address.

    A port that was closed a moment ago is kept from everybody for a minute, lest a straggler reach the next one who
    listens (TIME_WAIT). SO_REUSEADDR lifts that, and on Linux and BSD nothing else: two sockets never listen on one
    address. On Windows it lets another program in, and SO_EXCLUSIVEADDRUSE keeps it out.
    """
    import errno
    import socket

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    own = None
    try:
        own = socket.socket(family, socket.SOCK_STREAM)  # not inheritable (PEP 446)
        if sys.platform == "win32":
            own.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif port:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind((address, port))
        own.listen(_QUEUE)
        own.setblocking(False)
    except OSError as error:
        if own is not None:
            own.close()
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            return None
        raise
    return own


def _taken(url: urls.Url, problem: OSError | None) -> PortTaken:
    import errno

    instead = 'register another redirect URI at the provider and set redirect_uri; flow = "device" needs none'
    if url.port_given and problem is not None and problem.errno == errno.EADDRINUSE:
        return PortTaken(
            f"the port {url.port} of redirect_uri is in use by another program",
            hint=f"another sign-in may be waiting in a browser: finish it, or end what else has the port, or {instead}",
            in_use=url.port,
        )
    why = "no such address on this machine" if problem is None else problem.strerror
    return PortTaken(f"cannot listen on {url.authority}, where redirect_uri points to ({why})", hint=instead)


# --- the request ------------------------------------------------------------------------------------------------------

_GET = b"GET "
_END = b"\r\n\r\n"
_ONCE = ("state", "code", "error", "error_description", "iss")  # RFC 6749 §4.1.2, RFC 9207 §2


def callback(head: bytes, *, path: str, names: tuple[str, ...], state: str) -> dict[str, str] | None:
    """Return the parameters of a valid callback; None for any other request.

    ``head`` is the request line and the headers, without the empty line that ends them; ``names`` are what the Host
    header may be. A parameter without a value counts as absent, an unknown one is ignored (RFC 6749 §3.1, §4.1.2).
    """
    request_line, *headers = head.decode("latin-1").split("\r\n")
    method, _, rest = request_line.partition(" ")
    target, _, version = rest.partition(" ")
    asked, _, query = target.partition("?")
    hosts_asked = [value for name, _, value in (line.partition(":") for line in headers) if name.lower() == "host"]
    if (method, asked) != ("GET", path) or version not in ("HTTP/1.1", "HTTP/1.0"):
        return None
    if len(hosts_asked) != 1 or hosts_asked[0].strip(" \t").lower() not in names:
        return None
    found = _parameters(query)
    if found is None or not _same(found.get("state", ""), state):
        return None
    return found if ("code" in found) != ("error" in found) else None


def _same(one: str, other: str) -> bool:
    import hmac

    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _pasted(address: str) -> dict[str, str] | str:
    """Return the parameters of a pasted address, or of its query alone; a sentence where it has not what it must."""
    _, mark, query = address.strip(" \"'<>").partition("#")[0].rpartition("?")
    found = _parameters(query)
    if found is None or ("code" in found and "error" in found):
        return "that address has a parameter twice, or both code= and error=: paste it as the browser shows it"
    if ("code" in found or "error" in found) and "state" in found:
        return found
    if "code" in found or "error" in found:
        return "that address has no state= in it, so it is not whole: paste all of it, on one line"
    if "state" in found and mark:
        return "that is the address to open; paste the one at which the browser ends, with code= in it"
    return "that is not the address at which the browser ends: it has code= and state= in it"


def _parameters(query: str) -> dict[str, str] | None:
    """Return those parameters that mean something here; None if one of them comes twice."""
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(query, errors="replace", max_num_fields=_MOST_PARAMETERS)
    except ValueError:  # too many
        return None
    known = [(name, value) for name, value in pairs if name in _ONCE]
    found = dict(known)
    return found if len(found) == len(known) else None


# --- the answer -------------------------------------------------------------------------------------------------------

_WORKED = ("Signed in", "You can close this tab.")
_FAILED = ("The sign-in did not work", "The terminal says why. You can close this tab.")
_UNKNOWN = ("No sign-in here", "No sign-in that is under way belongs to this address. You can close this tab.")

# No colour of its own: the browser's, on dark and on light.
_STYLE = (
    ":root{color-scheme:light dark}body{font:1.125rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto 0;"
    "padding:0 1.5rem}h1{font-size:1.5rem;font-weight:600}"
)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
</main>
</body>
</html>
"""


@cache
def _response(status: str, words: tuple[str, str]) -> bytes:
    """Return an answer; nothing in it comes from outside, and the page may load and run nothing."""
    import base64
    import hashlib

    title, text = words
    page = _PAGE.format(title=title, text=text, style=_STYLE).encode()
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    head = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(page)}",
        f"Content-Security-Policy: {policy}; frame-ancestors 'none'",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Connection: close",
    )
    return "\r\n".join(head).encode() + _END + page
