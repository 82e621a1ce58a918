"""Which secrets may be named by a flag, by a variable, or by a config file that a variable names.

Whoever wrote a command line may have written its issuer, too: a kubeconfig's ``args`` and ``env``, a checkout's
``.envrc``. A secret that such a place names would be posted to a server that the same place names.

- A flag names variables of our prefix only, whose values were put there for us; of those, one that stands beside
  another issuer in the environment is that issuer's.
- A flag or a variable names files below a folder of ``secret_files`` only, which a config file says.
- The flags of ``login`` and the other commands, typed at a terminal, may name any: a person has written what stands
  there. That person has not written the variables.
- A config file that CREDENTIAL_HELPER_CONFIG names runs a command only where it is private and outside the working
  tree: a checkout's files are ours by owner and, under umask 077, private by mode, and prove nothing. One inside of it
  has no secret of the keyring either, no token of a platform or of another profile, files only of its own folder, none
  hidden, and variables only of our prefix; so has one below XDG_CONFIG_HOME.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence

from credential_helper import places
from credential_helper.profiles.settings import SECRETS, SETTINGS, names_an_issuer
from credential_helper.profiles.written import Origin, Refusal, Written
from credential_helper.system.files import others_may_write, quoted

_PREFIX = "CREDENTIAL_HELPER_"
NAMED = "CREDENTIAL_HELPER_CONFIG"
_FORBIDDEN = {
    "command": "runs no command",
    "keyring": "reads no secret of the keyring",
    "workload": "sends no token of a platform",
    "profile": "sends no token of a profile",
}
_PROFILE = "write the secret's source into a profile of the config file"


def of_command_line(
    flags: Mapping[str, object], environ: Mapping[str, str], folders: Callable[[], Sequence[str]]
) -> Callable[[str, str], Refusal | None]:
    """Return what says why a source that flags or variables name is not read; ``folders`` are those of secret_files.

    Where a person has typed the flags, these may name any, and this is about the variables alone.
    """

    def refuses(kind: str, value: str) -> Refusal | None:
        if kind == "file":
            if any(is_below(value, folder) for folder in folders()):
                return None
            return (
                "names a file that no secret_files of a config file has leave for",
                f'write secret_files = ["FOLDER"] at the top of config.toml, or {_PROFILE}',
            )
        if kind == "env" and not value.startswith(_PREFIX):
            return (
                f"names a variable that does not begin with {_PREFIX}",
                f"give it the secret under such a name, or {_PROFILE}",
            )
        if kind == "env" and value in SECRETS.values() and of_another_issuer(flags, environ):
            return (
                f"{_PREFIX}ISSUER names the issuer that this secret is for",
                "give it the secret in another variable",
            )
        return None

    return refuses


def of_another_issuer(flags: Mapping[str, object], environ: Mapping[str, str]) -> bool:
    """Say whether flags name an issuer, and the environment another one, whose its other variables are.

    One whose servers are others is another one.
    """
    asked = _issuer(flags.get("issuer"), flags.get("provider"))
    named = _issuer_of_variables(environ)
    if asked is None or named is None:
        return False
    return asked.rstrip("/") != named.rstrip("/") or redirected_by(flags, environ) is not None


def redirected_by(flags: Mapping[str, object], environ: Mapping[str, str]) -> str | None:
    """Return a flag that says which server answers for an issuer, unless the variables say the same; None: none."""
    for setting in SETTINGS:
        servers = setting.name in ("ca_file", "shared_cache") or setting.name.startswith("endpoints.")
        if setting.name not in flags or not servers:
            continue
        if str(flags[setting.name]) != environ.get(setting.variable or "", ""):
            return setting.flag
    return None


def made_by_flags(flags: Mapping[str, object]) -> bool:
    """Say whether it is flags that make an ad-hoc profile."""
    return _issuer(flags.get("issuer"), flags.get("provider")) is not None


def _issuer_of_variables(environ: Mapping[str, str]) -> str | None:
    return _issuer(environ.get(f"{_PREFIX}ISSUER"), environ.get(f"{_PREFIX}PROVIDER"))


def _issuer(issuer: object, provider: object) -> str | None:
    """Return who is asked, as it was written: an issuer, or a provider that stands for one; None: neither."""
    if issuer:
        return str(issuer)
    return str(provider) if provider and names_an_issuer(Written(provider, "", Origin(kind="flag"))) else None


class Named:
    """What a config file may do that a variable names, or whose folder one names."""

    def __init__(self, variable: str, path: str, status: os.stat_result, environ: Mapping[str, str]) -> None:
        self._variable = variable
        self._path = path
        self._status = status
        self._environ = environ

    def refuses(self, kind: str, value: str) -> Refusal | None:
        """Say why a source of a secret that stands in the file is not read; None: it is."""
        what, instead = _FORBIDDEN.get(kind), ""
        folder = os.path.dirname(self._path)
        if kind == "file" and not is_below(value, folder):
            what = "reads no file outside its own folder"
        elif kind == "file" and _is_hidden(value, folder):
            what = "reads no hidden file"
        if kind == "env" and not self._has_leave_for(value):
            what, instead = (
                f"reads no variable that does not begin with {_PREFIX}",
                ", or give the variable such a name",
            )
            if value in SECRETS.values():
                what, instead = f"reads no variable that is for {_PREFIX}ISSUER", ""
        if what is None:
            return None
        lead = f"a file that {self._variable} names {what} here"
        if self._is_inside:
            return f"{lead}: it stands in the working tree", f"move it out of the checkout{instead}"
        reason = self._too_open() if kind == "command" else None
        return None if reason is None else (f"{lead}: {reason}", f"chmod 600 {quoted(self._path)}")

    def _has_leave_for(self, variable: str) -> bool:
        """Say whether a variable holds what was put there for us, and for no other issuer."""
        of_an_issuer = variable in SECRETS.values() and _issuer_of_variables(self._environ) is not None
        return variable.startswith(_PREFIX) and not of_an_issuer

    @property
    def trusted(self) -> bool:
        """Say whether the file may say what others have leave for."""
        return not self._is_inside and self._too_open() is None

    @property
    def _is_inside(self) -> bool:
        tree = working_tree(self._environ)
        return tree is not None and is_below(self._path, tree)

    def _too_open(self) -> str | None:
        return _too_open(self._path, self._status) if self._variable == NAMED else None  # else it is the user's own


def named_by(place: str, path: str, status: os.stat_result, environ: Mapping[str, str]) -> Named | None:
    """Return what a config file may do; None: no variable names it, and it may do everything."""
    if place == "named":
        return Named(NAMED, path, status, environ)
    folder = environ.get("XDG_CONFIG_HOME", "")
    default = os.path.join(places.home_directory(environ) or "", ".config")
    elsewhere = os.path.isabs(folder) and os.path.realpath(folder) != os.path.realpath(default)
    if place == "user" and not places.WINDOWS and elsewhere:
        return Named("XDG_CONFIG_HOME", path, status, environ)
    return None


def _too_open(path: str, status: os.stat_result) -> str | None:
    """Say why others may have written a file, or its name; None: nobody else can."""
    if not places.private(status):
        return "it is not private"
    if places.WINDOWS:
        return None
    folder = os.path.dirname(os.path.realpath(path))
    above = os.stat(folder)
    if above.st_uid not in (0, os.geteuid()):
        return "its folder belongs to somebody else"
    sticky = above.st_mode & stat.S_ISVTX  # of /tmp: nobody renames what is not his
    return "others may write to its folder" if not sticky and others_may_write(folder, above) else None


def is_below(path: str, folder: str) -> bool:
    """Say whether a path is in a folder, all links followed."""
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    try:
        return path != folder and os.path.commonpath([path, folder]) == folder
    except ValueError:  # two drives
        return False


def _is_hidden(path: str, folder: str) -> bool:
    """Say whether a path below a folder has a part that begins with a dot: .env and .git/config hold a person's own."""
    below = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    return any(part.startswith(".") for part in below.split(os.path.sep))


def working_tree(environ: Mapping[str, str]) -> str | None:
    """Return the checkout that we were started in, or the current directory; a person's home is neither."""
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # it was removed
        return None
    home = os.path.realpath(places.home_directory(environ) or "/")

    def is_a_tree(folder: str) -> bool:
        return folder not in (home, os.path.dirname(folder)) and not is_below(home, folder)

    above = here
    while above != os.path.dirname(above):
        if os.path.lexists(os.path.join(above, ".git")) and is_a_tree(above):
            return above
        above = os.path.dirname(above)
    return here if is_a_tree(here) else None
