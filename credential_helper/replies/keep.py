"""Keep a finished answer for the next identical request: the slow half of ``replies``, which replays it.

Only a profile's token from a verified session on disk is kept, and what ``list`` says; never another host's stored
password.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from credential_helper import __version__, places, replies

MOST = 256  # replies that are kept; a script may ask a thousand different things, and no end of the time may be known


def keep(
    request: bytes,
    answer: bytes,
    *,
    until: float,
    state_files: Sequence[tuple[str, str]],
    config_stamps: Sequence[str] | None,
    environ: Mapping[str, str],
) -> None:
    """Keep an answer for the next identical request, or don't: this is never an error.

    ``until`` is the end of its life in seconds since the epoch. ``state_files`` are the files of the state directory
    that it was made from (name, stamp). The stamps were taken by fstat of the very descriptors that were read (or
    written); ``config_stamps`` is None where no config file was read. They are compared once more afterwards: whoever
    changed one in between emptied the folder before this reply was in it.
    """
    state = places.state_directory(environ)
    if state is None:
        return
    now = time.time()
    files = [path for _, path in places.config_files(environ)]
    stamps = list(config_stamps) if config_stamps is not None else [replies.stamp_now(path) or "" for path in files]
    if len(stamps) != len(files) or "" in stamps or until <= now:
        return
    head = [
        replies.FORMAT,
        __version__,
        repr(now),
        repr(until),
        str(len(request)),
        str(len(answer)),
        *(f"{name} {stamp}" for name, stamp in state_files),
        *(f"{replies.CONFIG} {stamp}" for stamp in stamps),
    ]
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
        sources = [os.path.join(state, name) for name, _ in state_files] + files
        if [replies.stamp_now(source) for source in sources] != [*(stamp for _, stamp in state_files), *stamps]:
            os.unlink(path)
    except OSError:
        return


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
                with open(path, "rb") as file:
                    stale = float(file.read(256).split(b"\n")[3]) <= now
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
