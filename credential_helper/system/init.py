"""Whether a process that has left its caller goes on, and is reaped at its end: whether process 1 is an init."""

from __future__ import annotations

import sys
from functools import cache

_OF_MACHINES = {
    *("systemd", "init", "launchd", "openrc-init", "runit", "runsvdir", "s6-svscan", "busybox", "dinit", "procd"),
}
_OF_CONTAINERS = {*("tini", "tini-static", "dumb-init", "docker-init", "catatonit", "podman-init", "pid1", "conmon")}


@cache
def there_is_an_init(path: str = "/proc/1/comm", *, for_good: bool = False) -> bool:
    """Say whether process 1 is one, as far as the system tells; in a container it may be anything.

    ``for_good``: one that ends with the machine, and not with one command. Where process 1 is hidden (hidepid), it is
    such a one: that is done on machines that many share.
    """
    if not sys.platform.startswith("linux"):
        return True
    try:
        with open(path, "rb") as file:
            name = file.read(64).decode(errors="replace").strip()
    except OSError:
        return True
    return name.partition("(")[0] in (_OF_MACHINES if for_good else _OF_MACHINES | _OF_CONTAINERS)
