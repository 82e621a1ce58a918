"""Keep a finished answer for the next identical request: the slow half of ``replies``, which replays it.

Only a profile's token from a verified session on disk is kept, what ``list`` says, and silence; never another host's
stored password. A secret is never written: not by its variable, and of its value nothing but a salted digest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence

from credential_helper import __version__, places, replies

_SALT = 16  # bytes, random for each reply
NEVER = float("inf")
_LAST = 1e12  # what comes later never does
MOST = 256  # replies that are kept; a script may ask a thousand different things, and no end of the time may be known


def may_be_written(environ: Mapping[str, str], known: Collection[str], hidden: Collection[str] = ()) -> bool:
    """Say whether a request has no secret in it: every variable of our prefix is part of it, but those of places.

    ``known`` are those that never hold one. Any other may be where a profile's secret comes from, be it one of a config
    file that was not read; ``hidden`` are those that are.
    """
    ours = [name for name in environ if name.startswith(replies.PREFIX) and name not in places.SECRET_VARIABLES]
    return all(name in known and name not in hidden for name in ours)


def keep(
    request: bytes,
    answer: bytes,
    *,
    until: float,
    state_files: Sequence[tuple[str, str]],
    config_stamps: Sequence[str] | None,
    environ: Mapping[str, str],
    proof_files: Sequence[tuple[str, str]] = (),
    proof_variables: Sequence[tuple[str, str | None]] = (),
    renew: float = NEVER,
    code: int = 0,
) -> None:
    """Keep an answer and its exit code for the next identical request, or don't: this is never an error.

    ``until`` is the end of its life in seconds since the epoch; from ``renew`` on, whoever replays it renews it ahead.
    ``state_files`` are the files of the state directory that it was made from (name, stamp), a session's first. The
    stamps were taken by fstat of the very descriptors that were read (or written); ``config_stamps`` is None where no
    config file was read. They are compared once more afterwards: whoever changed one in between removed what stands on
    it before this reply was there.

    What a machine proves itself with binds its reply: ``proof_files`` are the files of its secrets (absolute path,
    stamp), ``proof_variables`` its variables and their values as they were read (None: not set).
    """
    state = places.state_directory(environ)
    if state is None:
        return
    now = time.time()
    files = [path for _, path in places.config_files(environ)]
    stamps = list(config_stamps) if config_stamps is not None else [replies.stamp_now(path) or "" for path in files]
    proof = _proof(proof_files, proof_variables)
    if len(stamps) != len(files) or "" in stamps or until <= now or proof is None:
        return
    sizes = (str(code), str(len(request)), str(len(answer)))
    head = [replies.FORMAT, __version__, *map(_time, (now, until, renew)), *sizes]
    head += [f"{name} {stamp}" for name, stamp in state_files]
    head += [*(f"{replies.CONFIG} {stamp}" for stamp in stamps), *proof]
    content = "\n".join(head).encode() + b"\n\n" + request + answer
    folder = os.path.join(state, "replies")
    path = os.path.join(folder, replies.name_of(request))
    try:
        if not replies.private_folder(state):
            return
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            if not replies.private_folder(folder):
                return
        _remove_past(folder, now, MOST - 1)
        _write(path, content)
        sources = [(os.path.join(state, name), stamp) for name, stamp in state_files]
        sources += [*zip(files, stamps, strict=True), *proof_files]
        if any(replies.stamp_now(source) != stamp for source, stamp in sources):
            os.unlink(path)
    except OSError:
        return


def _time(seconds: float) -> str:
    """Write a time as ``replies.number`` reads it."""
    return "inf" if seconds > _LAST else repr(float(seconds))


def _proof(files: Sequence[tuple[str, str]], variables: Sequence[tuple[str, str | None]]) -> list[str] | None:
    """Return the lines of the head that bind a reply; None: it cannot be bound, so it is not to be kept.

    What is compared last stands last: the digest costs more than a stamp.
    """
    if not all(os.path.isabs(path) for path, _ in files):
        return None
    lines = [f"{replies.PROOF_FILE} {os.fsencode(path).hex()} {stamp}" for path, stamp in files]
    if not variables:
        return lines
    salt = os.urandom(_SALT).hex()
    digest = replies.digest(salt, variables)
    if digest is None:
        return None
    names = (os.fsencode(name).hex() for name, _ in variables)
    return [*lines, " ".join((replies.PROOF_VARIABLES, salt, digest, *names))]


def _write(path: str, content: bytes) -> None:
    """Write beside and replace; two writers of one reply write the same, and the size in the head tells a torn one."""
    new = f"{path}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | places.OPEN_FLAGS, 0o600)
    try:
        written = os.write(descriptor, content)
    except OSError:
        written = -1
    finally:
        os.close(descriptor)
    if written == len(content):
        os.replace(new, path)
    else:
        os.unlink(new)


def _remove_past(folder: str, now: float, most: int) -> None:
    """Remove replies whose time has passed, what a killed writer left, and the oldest of more than ``most``."""
    kept = []
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        try:
            made = os.lstat(path).st_mtime
            if "." in name:
                stale = made < now - 60
            else:
                content = replies.read_reply(path) or b""
                stale = replies.number(content[:256].split(b"\n")[3]) <= now
        except (OSError, ValueError, IndexError):
            stale = True
        if stale:
            _remove(path)
        else:
            kept.append((made, path))
    for _, path in sorted(kept)[: max(0, len(kept) - most)]:
        _remove(path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
