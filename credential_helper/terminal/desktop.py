"""Whether somebody sits at this machine's screen, for a process that has no terminal: an editor, a desktop client.

A browser that opens by itself is a question to a person, so every sign that nobody asked for it counts:
- a stderr that is /dev/null: somebody wants silence (completion in a shell does that, with a display in sight);
- SSH: the person sits elsewhere;
- a service of systemd or launchd, and cron with it: it runs whether anybody is there or not. A program that the desktop
  has started is none, though some desktops run those as services, too: their names begin with ``app-`` or ``dbus-``
  (https://systemd.io/DESKTOP_ENVIRONMENTS/).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from credential_helper.terminal.browser import over_ssh
from credential_helper.terminal.devices import is_silenced

_CGROUP = "/proc/self/cgroup"


def somebody_is_there(environ: Mapping[str, str], *, stderr_fd: int, cgroup: str = _CGROUP) -> bool:
    """Say whether a window may be opened for whoever called us; ``cgroup`` is what Linux tells of this process."""
    return (
        has_display(environ)
        and over_ssh(environ) is None
        and not is_silenced(stderr_fd)
        and not _is_service(environ, cgroup)
    )


def has_display(environ: Mapping[str, str]) -> bool:
    """Say whether windows can be seen here."""
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY") or sys.platform in ("darwin", "win32"))


def _is_service(environ: Mapping[str, str], cgroup: str) -> bool:
    if sys.platform == "darwin":  # a launchd job's label; an application's, or 0, where a person started it
        name = environ.get("XPC_SERVICE_NAME", "0")
        return name != "0" and not name.startswith("application.")
    if sys.platform == "win32":  # services have no session (untested)
        return environ.get("SESSIONNAME", "Services") == "Services"
    for unit in _units(cgroup):
        if unit == "system.slice":
            return True
        if unit.endswith(".service") and not unit.startswith(("app-", "dbus-", "user@")):
            return True
    return False


def _units(cgroup: str) -> list[str]:
    """Return the units of systemd that this process is in, the outermost first (cgroups(7))."""
    try:
        with open(cgroup, encoding="utf-8", errors="replace") as file:
            lines = file.read(65536).splitlines()
    except OSError:
        return []
    paths = [line.split(":", 2)[2] for line in lines if line.startswith("0::") or ":name=systemd:" in line]
    return [os.path.basename(part) for path in paths for part in path.split("/") if part]
