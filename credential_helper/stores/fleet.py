"""A fleet's cache: a Redis or Valkey server, where one machine leaves a token and the others find it.

- Five names per token, in one slot: the token (a hash: generation, expiry, sealed value), the lock, the counter of
  generations, a note, and a channel. What is in them is sealed elsewhere (fleet_values.py): here nothing is secret.
- The lock saves requests, no more: two machines that both fetch a token do no harm. It ends by itself, is released by
  its owner only, and comes with a generation (a fencing number): an older one never takes the place of a newer one.
- All times there are the server's own, so machines whose clocks disagree agree about a token.
- A step is one script, and one answer. All of them together may take ``PATIENCE`` seconds, connecting included; nothing
  is tried twice (the retries that redis-py makes by itself cost 4 to 7 s where a server is away).
- Every failure is Unavailable, and says in words of ours what is wrong: what a server says of it may be anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from credential_helper.model import Secret
from credential_helper.stores.fleet_scripts import DROP, ENTER, LEAVE, LOOK, STORE, Kept, Seen, seen
from credential_helper.stores.fleet_values import Names

if TYPE_CHECKING:
    import socket

CONNECT = 0.25  # seconds, for TCP
PATIENCE = 0.35  # seconds, for all that is waited for a server
LEAST = 0.025  # seconds that a step has in any case
_SLICE = 0.05  # seconds of one wait: of a longer one, this process was kept from running, which is nobody's fault
LOCK = 15.0  # seconds that a lock lasts; a provider that takes longer costs another grant, and no more
_COUNTED = 400 * 86400  # seconds that a counter of generations lasts: longer than any token
_LONGEST = 1 << 20  # bytes of an answer

STORED, LEFT, FREE = b"stored", b"left", b"free"  # on the channel: a token is there; none was to be had; nobody's turn

T = TypeVar("T")

Connect = Callable[[float, float], "socket.socket"]  # seconds for TCP, seconds for all; raises OSError


class Unavailable(Exception):
    """The cache is of no use now; ``why`` completes "the shared cache …"."""

    def __init__(self, why: str, *, lasting: bool = True) -> None:
        super().__init__(why)
        self.why = why
        self.lasting = lasting  # it is the server that failed: for a while nobody asks it


class Server:
    """One server, as one process uses it; nothing is opened before it is asked. Every method raises Unavailable."""

    def __init__(
        self,
        connect: Connect,
        *,
        database: int,
        user: str | None = None,
        password: Secret | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._patience = _Patience(monotonic)
        self._settings = {
            "db": database,
            "username": user,
            "password": None if password is None else password.reveal(),
        }
        self._line: _Line | None = None

    def look(self, names: Names) -> Seen:
        """Say what stands there."""
        return self._seen(LOOK, names)

    def enter(self, names: Names, owner: str) -> Seen:
        """Take the lock if it is free, and say what stands there; ``owner`` is random."""
        return self._seen(ENTER, names, owner, int(LOCK * 1000), _COUNTED)

    def store(self, names: Names, owner: str, kept: Kept, forget_at: int) -> bool:
        """Put a value there unless a later generation is, release the lock, tell who waits; False: there was one.

        ``forget_at`` is by the server's clock.
        """
        arguments = (kept.generation, kept.expires_at, kept.sealed, forget_at, names.channel, STORED)
        return bool(self._run(STORE, names, owner, *arguments))

    def leave(self, names: Names, owner: str, message: bytes, note: Kept | None = None) -> None:
        """Release the lock if it is still ours, and leave a note."""
        what = ("", "") if note is None else (note.expires_at, note.sealed)
        self._run(LEAVE, names, owner, names.channel, message, *what)

    def drop(self, names: Names, generation: int) -> bool:
        """Remove the value if it is still of this generation; False: it was not."""
        return bool(self._run(DROP, names, generation))

    def listen(self, names: Names) -> Listener:
        """Hear what is told about a token from now on."""
        _require_redis()
        self._patience.begin()
        return Listener(self._open(), names.channel)

    def renew_patience(self) -> None:
        """Begin to count anew: what is waited for by intent, another machine's token, is not the server's fault."""
        self._patience.renew()

    def close(self) -> None:
        """Close the connection; may be called again."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _seen(self, script: str, names: Names, *arguments: object) -> Seen:
        try:
            return seen(self._run(script, names, *arguments))
        except ValueError as error:
            raise Unavailable(_why(error)) from None

    def _run(self, script: str, names: Names, *arguments: object) -> Any:
        _require_redis()
        self._patience.begin()
        try:
            if self._line is None:
                self._line = self._open()
            return self._line.ask("EVAL", script, 4, *names[:4], *arguments)
        except BaseException:
            self.close()
            raise

    def _open(self) -> _Line:
        left = self._patience.left
        try:
            with self._patience.spending(CONNECT):
                opened = self._connect(min(CONNECT, left), left)
        except OSError as error:
            raise Unavailable(_why(error)) from None
        return _Line(opened, self._patience, self._settings)


class Listener:
    """Hears what is told on one channel."""

    def __init__(self, line: _Line, channel: str) -> None:
        self._line = line
        try:
            line.ask("SUBSCRIBE", channel)
        except BaseException:
            line.close()
            raise

    def wait(self, seconds: float) -> bytes | None:
        """Return what was told within so many seconds; None: nothing. Raises Unavailable."""
        return self._line.hear(seconds)

    def close(self) -> None:
        """Close the connection."""
        self._line.close()


class _Line:
    """A connection that is spoken over by redis-py, and ends in time whatever the server does."""

    def __init__(self, opened: socket.socket, patience: _Patience, settings: dict[str, Any]) -> None:
        self._socket = _PunctualSocket(opened, patience)
        self._patience = patience
        try:
            self._connection = _connection(self._socket, settings)
            self._try(self._connection.connect)
        except BaseException:
            self._socket.close()
            raise

    def ask(self, *words: object) -> Any:
        """Send one command, and return its answer."""
        self._socket.punctual, self._socket.taken = True, 0
        self._try(lambda: self._connection.send_command(*words))
        return self._try(self._connection.read_response)

    def hear(self, seconds: float) -> bytes | None:
        self._socket.punctual, self._socket.taken = False, 0  # it waits for as long as it is told to
        if not self._try(lambda: self._connection.can_read(timeout=seconds)):
            return None
        self._socket.punctual = True
        self._patience.begin()
        told = self._try(self._connection.read_response)
        return told[2] if isinstance(told, list) and len(told) == 3 and isinstance(told[2], bytes) else None

    def close(self) -> None:
        self._socket.close()

    def _try(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:  # what a server says may break a parser in more ways than redis-py knows
            raise Unavailable(_why(error)) from None


class _Patience:
    """How long a server is waited for still: in a step, and in all of them."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._spent = 0.0  # seconds
        self.left = PATIENCE  # seconds of this step

    def renew(self) -> None:
        self._spent = 0.0

    def begin(self) -> None:
        """Begin a step."""
        self.left = max(LEAST, PATIENCE - self._spent)

    @contextmanager
    def spending(self, most: float) -> Iterator[None]:
        """Count the seconds of a block, up to so many."""
        started = self._monotonic()
        try:
            yield
        finally:
            took = min(self._monotonic() - started, most)
            self._spent += took
            self.left -= took


class _PunctualSocket:
    """A socket that waits no longer than there is patience, however slowly it trickles; what it brings has an end.

    It waits in slices: what is there when this process may run again is taken, however late that is.
    """

    def __init__(self, opened: socket.socket, patience: _Patience) -> None:
        self._socket = opened
        self._patience = patience
        self.punctual = True
        self.taken = 0  # bytes

    def recv(self, size: int) -> bytes:
        return self._counted(self._waited(lambda: self._socket.recv(size)))

    def recv_into(self, buffer: Any, *more: Any) -> int:
        taken = self._waited(lambda: self._socket.recv_into(buffer, *more))
        self._counted(b"", taken)
        return taken

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(max(LEAST, self._patience.left))
        with self._patience.spending(_SLICE):
            self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def _waited(self, read: Callable[[], T]) -> T:
        while self.punctual:
            seconds = max(0.001, min(_SLICE, self._patience.left))
            self._socket.settimeout(seconds)
            try:
                with self._patience.spending(seconds):
                    return read()
            except TimeoutError:
                if self._patience.left <= 0:
                    raise
        return read()

    def _counted(self, data: bytes, taken: int | None = None) -> bytes:
        self.taken += len(data) if taken is None else taken
        if self.taken > _LONGEST:
            raise OSError("too long an answer")
        return data


def _require_redis() -> None:
    """Import redis, 95 ms that no server is to blame for: only a machine whose own files have no token comes here."""
    try:
        import redis  # noqa: F401
    except ImportError:
        raise Unavailable("needs the package redis: install credential-helper[fleet]", lasting=False) from None


def _connection(opened: _PunctualSocket, settings: dict[str, Any]) -> Any:
    """Return redis-py's connection over a socket that stands; on it go AUTH, SELECT and what it is told."""
    from redis.connection import AbstractConnection

    class Over(AbstractConnection):
        host, port = "", 0
        used = False

        def _connect(self) -> Any:
            if self.used:  # nothing is tried twice
                raise ConnectionError
            self.used = True
            return opened

        def _host_error(self) -> str:
            return ""

        def repr_pieces(self) -> list[tuple[str, object]]:
            return []

    connection: Any = Over
    return connection(protocol=2, driver_info=None, socket_timeout=PATIENCE, **settings)


# --- what it says ----------------------------------------------------------------------------------------------------

# By the names of the classes of redis-py, ssl and the system, the nearest first.
_WHY = {
    "AuthenticationError": "refuses the user or the password",
    "AuthenticationWrongNumberOfArgsError": "refuses the user or the password",
    "NoPermissionError": "does not let this user do what is needed",
    "ReadOnlyError": "is a replica, which takes nothing",
    "OutOfMemoryError": "is full",
    "BusyLoadingError": "is still loading",
    "MovedError": "is part of a cluster, which is not supported",
    "SSLCertVerificationError": "shows a certificate that is not trusted, or is for another host",
    "SSLError": "speaks no TLS that can be understood",
    "TimeoutError": "does not answer in time",
    "ConnectionError": "cannot be reached",
    "OSError": "cannot be reached",
}


# What Redis and Valkey say of a script's user, which has no class of its own.
_IN_A_SCRIPT = ("The user executing the script can't", "ACL failure in script")


def _why(error: Exception) -> str:
    """Say in words of ours what is wrong."""
    names: Sequence[str] = [kind.__name__ for kind in type(error).__mro__]
    found = next((_WHY[name] for name in names if name in _WHY), "answers what it should not")
    if any(words in str(error)[:200] for words in _IN_A_SCRIPT):
        found = _WHY["NoPermissionError"]
    return found
