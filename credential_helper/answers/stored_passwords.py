"""Passwords of hosts that no profile lists: whether they are kept, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from credential_helper import urls
from credential_helper.app import App
from credential_helper.profiles.choose import is_ad_hoc
from credential_helper.profiles.configuration import Configuration, load, password_storage
from credential_helper.profiles.matching import match_listed
from credential_helper.stores.passwords import Kind, Passwords
from credential_helper.tools import TOOLS, docker, git

GIT = Kind("git", key=("protocol", "host", "path", "username"), required=("protocol", "host"))
DOCKER = Kind("docker", key=("server",), required=("server",))


def url_of(message: git.Message) -> urls.Url | None:
    """Return what git asks for as one address; None: that is no http or https one."""
    origin = urls.parse_host(message.protocol, message.host)
    return None if origin is None else msgspec.structs.replace(origin, path=message.path or "")


def another_profile(app: App, server: str) -> str | None:
    """Return the profile that would serve, did the environment not name another one: its token is no password."""
    configuration = docker_configuration(app) if app.environ.get("CREDENTIAL_HELPER_PROFILE") else None
    if configuration is None:
        return None
    for spelling in docker.spellings(server):
        if match := match_listed(configuration, TOOLS["docker"], urls.parse_server(spelling), note=app.note):
            return match[0].name
    return None


def docker_configuration(app: App) -> Configuration | None:
    """Return what the config files say; None: an issuer in the environment makes the profile, and no file is read."""
    if is_ad_hoc({}, app.environ):
        return None
    return load(app.environ, note=app.note)


def docker_passwords(app: App, configuration: Configuration | None = None) -> Passwords | None:
    """Return where passwords are kept; None: password_storage is off. For docker ``auto`` is the keyring."""
    storage = password_storage(configuration or docker_configuration(app), app.environ)
    if storage == "off":
        return None
    where: Literal["keyring", "file"] = "file" if storage == "file" else "keyring"
    return Passwords(app.state, app.keyring(), storage=where, clock=app.clock, note=app.note)


def git_passwords(app: App, given: Mapping[str, object], message: git.Message) -> Passwords | None:
    """Return the store for a host that no profile lists, not even one that this helper does not serve; None: no."""
    if not message.named:
        return None
    storage, configuration = _storage(app, given)
    if storage is None:
        return None
    if configuration is not None and match_listed(configuration, TOOLS["git"], url_of(message)):
        app.note("another profile lists this host, so its password is not stored")
        return None
    return Passwords(app.state, app.keyring(), storage=storage, clock=app.clock, note=app.note)


def _storage(app: App, given: Mapping[str, object]) -> tuple[Literal["keyring", "file"] | None, Configuration | None]:
    """Say where passwords are kept, and what the config files say; an issuer by flag or variable reads none."""
    ad_hoc = is_ad_hoc(given, app.environ)
    configuration = None if ad_hoc else load(app.environ, note=app.note)
    storage = password_storage(configuration, app.environ)
    if storage == "auto" or storage == "off":
        return None, configuration
    return storage, configuration
