"""Passwords of hosts that no profile lists: whether they are kept, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from credential_helper import urls
from credential_helper.app import App
from credential_helper.stores.passwords import Kind, Passwords
from credential_helper.tools import TOOLS

GIT = Kind("git", key=("protocol", "host", "path", "username"), required=("protocol", "host"))
DOCKER = Kind("docker", key=("server",), required=("server",))


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


def git_passwords(app: App, given: Mapping[str, object], url: urls.Url | None) -> Passwords | None:
    """Return the store for a host that no profile lists, not even one that this helper does not serve; None: no."""
    owners = app.owners(given)
    storage = owners.password_storage
    if storage == "auto" or storage == "off":
        return None
    if owners.lister(TOOLS["git"], url) is not None:
        app.note("another profile lists this host, so its password is not stored")
        return None
    return _passwords(app, storage)


def _passwords(app: App, storage: Literal["auto", "keyring", "file"]) -> Passwords:
    keyring = app.keyring(store="keyring" if storage == "keyring" else "auto")
    return Passwords(
        app.state, keyring, storage="file" if storage == "file" else "keyring", clock=app.clock, note=app.note
    )
