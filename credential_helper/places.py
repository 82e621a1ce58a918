"""Where configuration and state live, and what counts as private.

Imports nothing but what is built in, because the hot path reads this file; replies, profiles and the stores share it.
"""

from credential_helper import light
from credential_helper.light import exists, is_absolute, join, system

TYPE_CHECKING = False  # typing takes longer than all that is here
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

WINDOWS = light.WINDOWS

# How every private file is opened: no link is followed, no child inherits it, no line end is changed, and nobody waits
# for a FIFO's other end or gets a terminal by it.
OPEN_FLAGS = 0
for _flag in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY", "O_NONBLOCK", "O_NOCTTY"):
    OPEN_FLAGS |= getattr(system, _flag, 0)

ABSENT = "absent"  # the stamp of a file that is not there
ELSEWHERE = "set CREDENTIAL_HELPER_STATE_DIR to a folder of yours that nobody else can write"

_LOCAL_STATE = join(".local", "state")
_WINDOWS_HOME = ("USERPROFILE", "LOCALAPPDATA")

# Values of these are secrets: never part of a kept reply's request, never handed to a child process.
SECRET_VARIABLES = (
    "CREDENTIAL_HELPER_CLIENT_SECRET",
    "CREDENTIAL_HELPER_PRIVATE_KEY",
    "CREDENTIAL_HELPER_TLS_PRIVATE_KEY",
    "CREDENTIAL_HELPER_PASSWORD",
    "CREDENTIAL_HELPER_SHARED_CACHE_PASSWORD",
    "CREDENTIAL_HELPER_CACHE_KEY",
)


def expand(path: str, environ: "Mapping[str, str]") -> str | None:
    """Return an absolute path for an absolute one or one that begins with ``~/``; None for any other."""
    if path[:2] in ("~/", "~\\") or path == "~":
        home = home_directory(environ)
        return None if home is None else join(home, path[2:]) if len(path) > 2 else home
    return path if is_absolute(path) else None


def home_directory(environ: "Mapping[str, str]") -> str | None:
    """Return the home directory, None where there is none."""
    home = environ.get("USERPROFILE" if WINDOWS else "HOME", "")
    if not home:
        from os.path import expanduser  # the password database; imports pwd

        home = expanduser("~")
    return home if is_absolute(home) else None


def _xdg(variable: str, default: str, environ: "Mapping[str, str]") -> str | None:
    """Return an XDG base directory; relative and empty values are ignored, as the specification says."""
    value = environ.get(variable, "")
    if is_absolute(value):
        return value
    home = home_directory(environ)
    return None if home is None else join(home, default)


def config_files(environ: "Mapping[str, str]") -> list[tuple[str, str]]:
    """Return (place, path) of each config file to read, in order; place is "named", "system" or "user".

    CREDENTIAL_HELPER_CONFIG, where set, names the only one; its path may be relative here, whoever reads it refuses it.
    """
    named = environ.get("CREDENTIAL_HELPER_CONFIG", "")
    if named:
        return [("named", expand(named, environ) or named)]
    if WINDOWS:
        bases = [("system", environ.get("PROGRAMDATA", "")), ("user", environ.get("APPDATA", ""))]
    else:
        bases = [("system", "/etc"), ("user", _xdg("XDG_CONFIG_HOME", ".config", environ) or "")]
    return [(place, join(base, "credential-helper", "config.toml")) for place, base in bases if base]


def state_directory(environ: "Mapping[str, str]") -> str | None:
    """Return our private directory, made or not; None where no absolute path can be worked out.

    Where a read-only home has no room for it, the person's runtime directory has, until they log out of the machine;
    sessions that are there already can be read all the same.
    """
    named = environ.get("CREDENTIAL_HELPER_STATE_DIR", "")
    if named:
        return expand(named, environ)
    base = environ.get("LOCALAPPDATA") if WINDOWS else _xdg("XDG_STATE_HOME", _LOCAL_STATE, environ)
    usual = join(base, "credential-helper") if base else None
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if not is_absolute(runtime) or WINDOWS or (usual is not None and _can_be_used(usual)):
        return usual
    return join(runtime, "credential-helper") if _ours_alone(runtime) else usual


def _can_be_used(path: str) -> bool:
    """Say whether a state directory can be written, made or read: what is unsafe there is for others to judge."""
    if exists(join(path, "sessions")):
        return True
    while not exists(path):
        path = path.rstrip("/").rpartition("/")[0] or "/"
    return system.access(path, system.W_OK | system.X_OK)


def _ours_alone(path: str) -> bool:
    """Say whether this is a folder as XDG_RUNTIME_DIR has to be: no link, and nobody else's business."""
    try:
        status = system.lstat(path)
    except OSError:
        return False
    return private(status) and (status.st_mode & 0o170000) == 0o040000


def is_default_state(path: str, environ: "Mapping[str, str]") -> bool:
    """Say whether a state directory is the one that no variable of ours or of XDG chose.

    Another one may have come with somebody's files: see ``stores.provenance``.
    """
    default = state_directory({name: environ[name] for name in ("HOME", *_WINDOWS_HOME) if name in environ})
    if default is None:
        return False
    import os

    if os.path.normpath(path) == os.path.normpath(default):
        return True
    try:
        return os.path.samestat(os.lstat(path), os.lstat(default))
    except OSError:
        return False


def stamp(status: "os.stat_result") -> str:
    """Return what changes whenever a file's content, owner or mode does; taken by fstat before reading."""
    return (
        f"{status.st_mode} {status.st_uid} {status.st_mtime_ns} {status.st_ctime_ns} "
        f"{status.st_size} {status.st_ino} {status.st_dev}"
    )


def regular(status: "os.stat_result") -> bool:
    """Say whether this is a regular file: no folder, link, FIFO or device."""
    return status.st_mode & 0o170000 == 0o100000


def ours(status: "os.stat_result") -> bool:
    """Say whether a file belongs to this process's user; on Windows the folder's ACL is trusted."""
    return WINDOWS or status.st_uid == system.geteuid()


def writable_by_others(status: "os.stat_result") -> bool:
    """Say whether group or others may write."""
    return not WINDOWS and status.st_mode & 0o022 != 0


def private(status: "os.stat_result") -> bool:
    """Say whether nobody else may read or write, and the file is ours."""
    return WINDOWS or (status.st_uid == system.geteuid() and status.st_mode & 0o077 == 0)
