"""The hot path: ready-made answers, kept and replayed.

Imports time, light, places and the table of tools only: each other module costs more than the whole answer. A reply
holds a head of one value per line, then the whole request, then the finished bytes of stdout, which may be none:
silence is an answer. It is replayed while its time has not passed and every file that it was made from is, by its
stamp, the file that was read; so validity needs no bookkeeping. Secrecy does: whoever writes or erases a session
removes the replies that stand on it. A machine's reply is replayed only to who has the same proof: each file and each
variable with a secret in it is as it was when it was read. If anything is unusual the slow path answers. Answers are
kept by ``keep``, and renewed by ``ahead`` before their time has passed; neither is loaded here.
"""

import time

from credential_helper import __version__, places, tools
from credential_helper.light import WINDOWS, base_name, decode, encode, join, sha256, system

TYPE_CHECKING = False  # typing takes longer than all that is here
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = "credential-helper reply 3"
LARGEST = 64 * 1024  # bytes of input; longer ones take the slow path
BACKWARDS = 60.0  # seconds that the clock may have been set back since the reply was made
SECRET_LINES = (b"password=", b"credential=", b"oauth_refresh_token=", b"state[]=credential_helper:")
WITH_SECRETS = (*SECRET_LINES, b"password_expiry_utc=", b"username=", b"state[]=")  # a user name may be a token
CONFIDENTIAL = tuple(b"\n" + line for line in (*SECRET_LINES, b"url="))  # a URL may have a password in it
PREFIX = "CREDENTIAL_HELPER_"
_PRIME = 2**61 - 1
_NOWHERE = "nul" if WINDOWS else "/dev/null"
CONFIG = "config"  # stands in the head for a config file, whose path is not written there
PROOF_FILE = "file"  # a file with a secret in it: the path in hex, the stamp
PROOF_VARIABLES = "variables"  # the salt and the digest in hex, the variables' names in hex; see ``digest``
VERBOSE = "CREDENTIAL_HELPER_VERBOSE"  # whoever sets it wants to read what is done
SESSIONS = "sessions/"
MARKERS = "flights"  # the folder of what processes leave for one another, see ``flights`` and ``ahead``
MARKED = 60.0  # seconds that nobody else renews ahead after somebody has begun to


class Rest:
    """What is left for the slow path: what was ``heard`` on stdin (None: it was not touched), and the ``request``.

    That is None where no reply can be had. ``reply``: it has been given, and may be due.
    """

    def __init__(
        self, heard: "bytes | None" = None, request: "bytes | None" = None, reply: "Reply | None" = None
    ) -> None:
        self.heard, self.request, self.reply = heard, request, reply


class Reply:
    """What is replayed. ``due``: the path of the marker of who renews it ahead; None: it is not to be renewed yet."""

    def __init__(self, answer: bytes, code: int, due: "str | None") -> None:
        self.answer, self.code, self.due = answer, code, due


def request_of(argv: "Sequence[str]", environ: "Mapping[str, str]", tool_input: bytes) -> bytes | None:
    """Join all that an answer depends on; None: too long, or not to be written anywhere.

    The base name of argv[0], the arguments, the protocol's own input, the config paths, GIT_EXEC_PATH and every
    variable of ours but the secret ones. Input with a secret of git's in it, or a token that it rejected, is not kept.
    """
    if len(tool_input) > LARGEST or any(line in b"\n" + tool_input for line in CONFIDENTIAL):
        return None
    parts = [base_name(argv[0]), *argv[1:], "", *(path for _, path in places.config_files(environ))]
    parts.append(environ.get("GIT_EXEC_PATH", ""))  # which git calls decides what it can be answered
    parts += [
        f"{name}={environ[name]}"
        for name in sorted((name for name in environ if name.startswith(PREFIX)), key=encode)
        if name not in places.SECRET_VARIABLES
    ]
    request = encode("\0".join(parts))
    return None if len(request) > LARGEST else request + b"\0\0" + tool_input


def without_secrets(lines: bytes) -> bytes | None:
    """Return git's lines up to the first empty one, without those that hold a secret; None: git writes no such lines.

    What is answered to them does not depend on a secret, or it is not kept.
    """
    if len(lines) > LARGEST or b"\0" in lines or b"\r" in lines:
        return None
    kept = []
    for line in lines.split(b"\n"):
        if not line:
            break
        if not line.startswith(WITH_SECRETS):
            kept.append(line)
    return b"\n".join(kept)


def name_of(request: bytes) -> str:
    """Name a reply by the request's length and a cheap checksum; the whole request is compared afterwards."""
    return f"{len(request)}-{checksum(request):x}"


def checksum(request: bytes) -> int:
    """Return a cheap checksum of a request, below 2**61."""
    return int.from_bytes(request, "little") % _PRIME


def stamp_now(path: str) -> str | None:
    """Return the stamp of a file as it is now; None: it cannot be told. Nothing is read, so nothing is opened."""
    try:
        return places.stamp(system.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return places.ABSENT
    except OSError:
        return None


def find(request: bytes, environ: "Mapping[str, str]") -> Reply | None:
    """Return the reply to an identical request, if every reason for it still holds."""
    state = places.state_directory(environ)
    if state is None:
        return None
    try:
        folder = join(state, "replies")
        if not (private_folder(state) and private_folder(folder)):
            return None
        content = read_reply(join(folder, name_of(request)))
        return None if content is None else _judge(content, request, state, environ)
    except (OSError, ValueError):  # ValueError: a head that nobody of this version wrote
        return None


def read_reply(path: str) -> bytes | None:
    """Return the content of a file in ``replies/``, None where it is none of ours. OSError: it cannot be read."""
    descriptor = system.open(path, system.O_RDONLY | places.OPEN_FLAGS)
    try:
        status = system.fstat(descriptor)
        if not places.private(status) or status.st_size > 4 * 1024 * 1024:
            return None
        content: bytes = system.read(descriptor, status.st_size + 1)
    finally:
        system.close(descriptor)
    return content if len(content) == status.st_size else None


def private_folder(path: str) -> bool:
    """Say whether a path is a folder, not a link to one, that is ours alone. OSError: it is not there."""
    status = system.lstat(path)
    return places.private(status) and (status.st_mode & 0o170000) == 0o040000


def _judge(content: bytes, request: bytes, state: str, environ: "Mapping[str, str]") -> Reply | None:
    """Return the reply in a file's content if the head allows it. ValueError: the head is none."""
    head, separator, body = content.partition(b"\n\n")
    lines = head.split(b"\n")
    if not separator or len(lines) < HEAD:
        return None
    if lines[0] != FORMAT.encode() or lines[1] != __version__.encode():
        return None
    made, until, renew = number(lines[2]), number(lines[3]), number(lines[4])
    code, length, answer_length = whole(lines[5]), whole(lines[6]), whole(lines[7])
    now = time.time()
    if not made - BACKWARDS <= now < until or code > 255:
        return None
    if len(body) != length + answer_length or body[:length] != request:
        return None
    # What it was made from: the files of the state directory that the head names, and the config files as they are
    # worked out now, which the head does not name.
    named = [line.decode("ascii").split(" ", 1) for line in lines[HEAD:]]
    known = [path for _, path in places.config_files(environ)]
    if [name for name, _ in named if name == CONFIG] != [CONFIG] * len(known):
        return None
    # Who brings a folder cannot know the stamp of a file in it: a reply that stands on none may have come with it.
    own = [name for name, stamp in named if name != CONFIG and stamp != places.ABSENT and _is_inside(name)]
    if not own and not places.is_default_state(state, environ):
        return None
    for name, value in named:
        if name == PROOF_VARIABLES:
            if not _proven(value, environ):
                return None
            continue
        path, stamp = join(state, name), value
        if name == CONFIG:
            path = known.pop(0)
        elif name == PROOF_FILE:
            path, stamp = value.split(" ", 1)
            path = decode(_unhex(path))
        if stamp_now(path) != stamp:
            return None
    marker = marker_of(named[0][0]) if named and renew <= now else None
    due = join(state, marker) if marker is not None and not is_marked(join(state, marker), now) else None
    return Reply(body[length:], code, due)


HEAD = 8  # lines: format, version, made, until, renewed ahead from, exit code, length of the request, of the answer


def number(text: bytes) -> float:
    """Read a time as it is written: digits with a point between them, or ``inf``. ValueError: it is none."""
    before, point, after = text.partition(b".")
    if text == b"inf":
        return float("inf")
    if len(text) > 24 or not point or not before.isdigit() or not after.isdigit():
        raise ValueError
    return float(text)


def whole(text: bytes) -> int:
    """Read a whole number. ValueError: it is none."""
    if len(text) > 12 or not text.isdigit():
        raise ValueError
    return int(text)


def marker_of(name: str) -> str | None:
    """Return where who renews a session ahead leaves a mark; ``name`` is the session's file, None: it is none."""
    if name[: len(SESSIONS)] != SESSIONS or name[-5:] != ".json":
        return None
    return f"{MARKERS}/{name[len(SESSIONS) : -5]}.ahead"


def is_marked(path: str, now: float) -> bool:
    """Say whether somebody began to renew ahead a moment ago."""
    try:
        return -MARKED < now - system.lstat(path).st_mtime < MARKED
    except OSError:
        return False


def _is_inside(name: str) -> bool:
    """Say whether a head names a file in our folder, or in one of its folders, and not one elsewhere."""
    return name.count("/") <= 1 and name not in (PROOF_FILE, PROOF_VARIABLES) and name[:1] not in "./"


def _proven(value: str, environ: "Mapping[str, str]") -> bool:
    """Say whether the variables that a head names have the values that they had. ValueError: it names none."""
    salt, wanted, *names = value.split(" ")
    variables = [(name, environ.get(name)) for name in (decode(_unhex(name)) for name in names)]
    found = digest(salt, variables)
    # The first digit that differs ends nothing; who knows no salt could learn nothing from the time anyway.
    return found is not None and int(found, 16) ^ int.from_bytes(_unhex(wanted), "big") == 0


def _unhex(text: str) -> bytes:
    """Read bytes in hex as they are written, in small letters with nothing between them. ValueError: otherwise."""
    data = bytes.fromhex(text)
    if data.hex() != text:
        raise ValueError
    return data


def digest(salt: str, variables: "Sequence[tuple[str, str | None]]") -> str | None:
    """Return the SHA-256 (FIPS 180-4) over a salt, both in hex, and variables with their values; None: not to be had.

    A value is None where the variable is not set. Each part is preceded by its length, so that none can be shifted into
    the next.
    """
    whole = _unhex(salt)
    for part in (part for variable in variables for part in variable):
        data = None if part is None else encode(part)
        whole += b"-" if data is None else b"%d:%b" % (len(data), data)
    return sha256(whole)


def write_out(answer: bytes) -> None:
    """Write a whole answer to stdout; OSError where it cannot be, and nothing may follow then."""
    while answer:
        try:
            answer = answer[system.write(1, answer) :]
        except BlockingIOError:  # whoever made the pipe made it non-blocking, for itself and so for us
            _wait(1, writing=True)


def _wait(descriptor: int, *, writing: bool) -> None:
    """Wait until a descriptor can be read or written."""
    import select  # needed here only

    waiting = [descriptor]
    select.select([] if writing else waiting, waiting if writing else [], [])


def standard_descriptors() -> bool:
    """Open descriptors 0 to 2 that are closed on /dev/null, before a file takes their place; False: stdout was."""
    open_stdout = True
    for descriptor in (0, 1, 2):
        try:
            system.fstat(descriptor)
        except OSError:
            open_stdout = open_stdout and descriptor != 1
            system.open(_NOWHERE, system.O_RDWR)  # the lowest free number: this one
    return open_stdout


def read_input(limit: int = LARGEST, heard: bytes = b"", *, lines: bool = False) -> bytes:
    """Read stdin on from what was ``heard`` to its end, or to one byte more than ``limit``; a terminal is never read.

    ``lines``: what follows the first empty line is no part of the request, and may never come (git-credential(1)).
    """
    if system.isatty(0):
        return heard
    read = bytearray(heard)
    while len(read) <= limit:
        try:
            piece = system.read(0, limit + 1 - len(read))
        except BlockingIOError:
            _wait(0, writing=False)
            continue
        if not piece:
            break
        before = len(read)
        read += piece
        if lines and has_ended(read, before):
            break
    return bytes(read)


def has_ended(heard: "bytes | bytearray", before: int = 0) -> bool:
    """Say whether a request of lines has had its empty line; it was looked for in the first ``before`` bytes."""
    start = max(0, before - 2)
    found = heard.find(b"\n\n", start) >= 0 or heard.find(b"\n\r\n", start) >= 0
    return found and heard.lstrip()[:1] not in (b"{", b"[", b'"')  # JSON may have empty lines in it


def replay(argv: "Sequence[str]", environ: "Mapping[str, str]") -> "int | Rest":
    """Answer from a kept reply if there is one, and return the exit code; or what is left to do.

    OSError: the answer was begun and cannot be finished.
    """
    if WINDOWS:
        return Rest()
    program, words = base_name(argv[0]), list(argv[1:])
    fixed = tools.fixed_answer(program, words)
    if fixed is not None and VERBOSE not in environ:
        write_out(fixed)
        return 0
    kind = tools.input_of(program, words, environ)
    if kind is None:
        return Rest()
    heard = None
    tool_input: bytes | None = b""
    if kind == tools.ENVIRONMENT:
        tool_input = encode(environ.get(tools.EXEC_INFO, ""))
    elif kind != tools.NOTHING:
        tool_input = heard = read_input(lines=kind != tools.STDIN)
    if kind == tools.SECRETLESS and heard is not None:
        tool_input = without_secrets(heard)
    request = request_of(argv, environ, tool_input) if tool_input is not None else None
    reply = find(request, environ) if request is not None else None
    if reply is None:
        return Rest(heard, request)
    write_out(reply.answer)
    return reply.code if reply.due is None else Rest(heard, request, reply)
