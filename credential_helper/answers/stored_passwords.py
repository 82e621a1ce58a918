"""Passwords of hosts that no profile lists: whether they are kept, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from credential_helper import urls
from credential_helper.app import App
from credential_helper.stores.passwords import Kind, Passwords
from credential_helper.tools import TOOLS

if TYPE_CHECKING:
    from credential_helper.tools import git

GIT = Kind("git", key=("protocol", "host", "path", "username"), required=("protocol", "host"))
DOCKER = Kind("docker", key=("server",), required=("server",))


def url_of(message: git.Message) -> urls.Url | None:
    """Return what git asks for as one address; None: that is no http or https one."""
    origin = urls.parse_host(message.protocol, message.host)
    return None if origin is None else msgspec.structs.replace(origin, path=message.path or "")


def another_profile(app: App, server: str) -> str | None:
    """Return the profile that would serve, did the environment not name another one: its token is no password."""
    from credential_helper.tools import docker  # git's answers need none of it

    spellings = (urls.parse_server(spelling) for spelling in docker.spellings(server))
    return next((name for one in spellings if (name := app.owners({}).lister(TOOLS["docker"], one))), None)


def docker_passwords(app: App) -> Passwords | None:
    """Return where passwords are kept; None: password_storage is off. For docker ``auto`` is the keyring."""
    storage = app.owners({}).password_storage
    if storage == "off":
        return None
    return _passwords(app, storage)


def git_passwords(app: App, given: Mapping[str, object], message: git.Message) -> Passwords | None:
    """Return the store for a host that no profile lists, not even one that this helper does not serve; None: no."""
    owners = app.owners(given)
    storage = owners.password_storage
    if not message.named or storage == "auto" or storage == "off":
        return None
    if owners.lister(TOOLS["git"], url_of(message)) is not None:
        app.note("another profile lists this host, so its password is not stored")
        return None
    return _passwords(app, storage)


def _passwords(app: App, storage: Literal["auto", "keyring", "file"]) -> Passwords:
    keyring = app.keyring(store="keyring" if storage == "keyring" else "auto")
    return Passwords(
        app.state, keyring, storage="file" if storage == "file" else "keyring", clock=app.clock, note=app.note
    )
