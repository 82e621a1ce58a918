"""The hot path: ready-made answers, kept and replayed.

Imports time, light, places and the table of tools only: each other module costs more than the whole answer. A reply
holds a head of one value per line, then the whole request, then the finished bytes of stdout. It is replayed while its
time has not passed and every file that the answer was made from is, by its stamp, the file that was read; so validity
needs no bookkeeping. Secrecy does: whoever writes or erases a session empties the folder. A machine's reply is replayed
only to who has the same proof: each file and each variable with a secret in it is as it was when it was read. If
anything is unusual the slow path answers. Answers are kept by ``keep``, which is not loaded here.
"""

import time

from credential_helper import __version__, places, tools
from credential_helper.light import WINDOWS, base_name, decode, encode, join, sha256, system

TYPE_CHECKING = False  # typing takes longer than all that is here
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = "credential-helper reply 2"
LARGEST = 64 * 1024  # bytes of input; longer ones take the slow path
_BACKWARDS = 60.0  # seconds that the clock may have been set back since the reply was made
_CONFIDENTIAL = (b"\npassword=", b"\ncredential=", b"\noauth_refresh_token=", b"\nstate[]=credential_helper:")
PREFIX = "CREDENTIAL_HELPER_"
_PRIME = 2**61 - 1
_NOWHERE = "nul" if WINDOWS else "/dev/null"
CONFIG = "config"  # stands in the head for a config file, whose path is not written there
PROOF_FILE = "file"  # a file with a secret in it: the path in hex, the stamp
PROOF_VARIABLES = "variables"  # the salt and the digest in hex, the variables' names in hex; see ``digest``


def request_of(argv: "Sequence[str]", environ: "Mapping[str, str]", tool_input: bytes) -> bytes | None:
    """Join all that an answer depends on; None: too long, or not to be written anywhere.

    The base name of argv[0], the arguments, the protocol's own input, the config paths, GIT_EXEC_PATH and every
    variable of ours but the secret ones. Input with a secret of git's in it, or a token that it rejected, is not kept.
    """
    if len(tool_input) > LARGEST or any(line in b"\n" + tool_input for line in _CONFIDENTIAL):
        return None
    parts = [base_name(argv[0]), *argv[1:], "", *(path for _, path in places.config_files(environ))]
    parts.append(environ.get("GIT_EXEC_PATH", ""))  # which git calls decides what it can be answered
    parts += [
        f"{name}={environ[name]}"
        for name in sorted(name for name in environ if name.startswith(PREFIX))
        if name not in places.SECRET_VARIABLES
    ]
    text = "\0".join(parts)
    if len(text) > LARGEST:
        return None
    return encode(text) + b"\0\0" + tool_input


def name_of(request: bytes) -> str:
    """Name a reply by the request's length and a cheap checksum; the whole request is compared afterwards."""
    return f"{len(request)}-{int.from_bytes(request, 'little') % _PRIME:x}"


def stamp_now(path: str) -> str | None:
    """Return the stamp of a file as it is now; None: it cannot be told. Nothing is read, so nothing is opened."""
    try:
        return places.stamp(system.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return places.ABSENT
    except OSError:
        return None


def find(request: bytes, environ: "Mapping[str, str]") -> bytes | None:
    """Return the answer that was given to an identical request, if every reason for it still holds."""
    state = places.state_directory(environ)
    if state is None:
        return None
    try:
        folder = join(state, "replies")
        if not (private_folder(state) and private_folder(folder)):
            return None
        descriptor = system.open(join(folder, name_of(request)), system.O_RDONLY | places.OPEN_FLAGS)
    except OSError:
        return None
    try:
        status = system.fstat(descriptor)
        if not places.private(status) or status.st_size > 4 * 1024 * 1024:
            return None
        content = system.read(descriptor, status.st_size + 1)
    except OSError:
        return None
    finally:
        system.close(descriptor)
    try:
        return _judge(content, request, state, environ) if len(content) == status.st_size else None
    except ValueError:
        return None  # a head that nobody of this version wrote


def private_folder(path: str) -> bool:
    """Say whether a path is a folder, not a link to one, that is ours alone. OSError: it is not there."""
    status = system.lstat(path)
    return places.private(status) and (status.st_mode & 0o170000) == 0o040000


def _judge(content: bytes, request: bytes, state: str, environ: "Mapping[str, str]") -> bytes | None:
    """Return the answer in a reply's content if the head allows it. ValueError: the head is none."""
    head, separator, body = content.partition(b"\n\n")
    lines = head.split(b"\n")
    if not separator or len(lines) < 6:
        return None
    if lines[0] != FORMAT.encode() or lines[1] != __version__.encode():
        return None
    made, until = float(lines[2]), float(lines[3])
    length, answer_length = int(lines[4]), int(lines[5])
    if not made - _BACKWARDS <= time.time() < until:
        return None
    if len(body) != length + answer_length or body[:length] != request:
        return None
    # What it was made from: the files of the state directory that the head names, and the config files as they are
    # worked out now, which the head does not name.
    named = [line.decode().split(" ", 1) for line in lines[6:]]
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
            path = decode(bytes.fromhex(path))
        if stamp_now(path) != stamp:
            return None
    return body[length:]


def _is_inside(name: str) -> bool:
    """Say whether a head names a file in one of our folders, and not one elsewhere."""
    return name.count("/") == 1 and name[0] not in "./"


def _proven(value: str, environ: "Mapping[str, str]") -> bool:
    """Say whether the variables that a head names have the values that they had. ValueError: it names none."""
    salt, wanted, *names = value.split(" ")
    variables = [(name, environ.get(name)) for name in (decode(bytes.fromhex(name)) for name in names)]
    found = digest(salt, variables)
    # The first digit that differs ends nothing; who knows no salt could learn nothing from the time anyway.
    return found is not None and int(found, 16) ^ int(wanted, 16) == 0


def digest(salt: str, variables: "Sequence[tuple[str, str | None]]") -> str | None:
    """Return the SHA-256 (FIPS 180-4) over a salt, both in hex, and variables with their values; None: not to be had.

    A value is None where the variable is not set. Each part is preceded by its length, so that none can be shifted into
    the next.
    """
    whole = bytes.fromhex(salt)
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


def replay(argv: "Sequence[str]", environ: "Mapping[str, str]") -> tuple[bool, bytes | None]:
    """Answer from a kept reply if there is one: (answered, what was read from stdin; None: it was not touched).

    OSError: the answer was begun and cannot be finished.
    """
    kind = None if places.WINDOWS else tools.input_of(base_name(argv[0]), list(argv[1:]), environ)
    if kind is None:
        return False, None
    heard = None
    tool_input = b""
    if kind == tools.ENVIRONMENT:
        tool_input = encode(environ.get(tools.EXEC_INFO, ""))
    elif kind in (tools.STDIN, tools.LINES):
        tool_input = heard = read_input(lines=kind == tools.LINES)
    request = request_of(argv, environ, tool_input)
    answer = find(request, environ) if request is not None else None
    if answer is None:
        return False, heard
    write_out(answer)
    return True, heard
