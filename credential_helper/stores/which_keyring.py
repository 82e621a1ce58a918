"""Which keyring is meant: the system's own one for ``auto``, whatever the keyring package is told for ``keyring``.

- ``auto`` knows Secret Service, KWallet, the macOS Keychain and the Windows Credential Manager, by class and in this
  order, and loads nothing else: keyring's own discovery imports every installed plugin, and ``keyringrc.cfg`` a path of
  its choice, into a process that holds tokens. The first one that can be used is taken. A locked one can: what one
  desktop session wrote, another one must find.
- ``keyring`` takes what PYTHON_KEYRING_BACKEND or keyringrc.cfg names, else what ``auto`` takes, else what the keyring
  package discovers, but for the two that only pretend (fail, null). All of it is installed beside us: keyringrc.cfg
  may stand in a checkout (XDG_CONFIG_HOME), so its ``keyring-path`` adds no folder to what is loaded.
- The session bus is the one that DBUS_SESSION_BUS_ADDRESS names, else ``$XDG_RUNTIME_DIR/bus`` if it is ours, as in
  GLib and sd-bus: cron and units lack the variable. It is on this machine and of this user, or it is not used: an
  address may name a host (tcp:) or a program (unixexec:), and who sets a variable must not be handed our secrets.

KWallet, macOS and Windows are written after keyring's source and have not been run here.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from credential_helper import lean, places
from credential_helper.errors import StoreError
from credential_helper.text import foreign

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Store = Literal["auto", "keyring"]

USE_A_FILE = 'store = "file" in the profile keeps the refresh token in a private file instead'

_BUS = "DBUS_SESSION_BUS_ADDRESS"
_PACKAGE = "dbus-python"  # what keyring's KWallet stands on; it has to be compiled, so it does not come with us
_INSTALL = f"uv tool install --with {_PACKAGE} credential-helper (pipx inject credential-helper {_PACKAGE})"


# What keyring stands on imports for what it is not used for here: archives, folders, programs, plugins.
_LATER = {
    "backports.tarfile": (),
    "configparser": (),
    "importlib_metadata": (),
    "inspect": (),
    "more_itertools": (),
    "platform": (),
    "shutil": ("rmtree",),
    "subprocess": (),
    "tarfile": (),
    "tempfile": (),
    "urllib.request": (),
}


def choose(store: Store, environ: Mapping[str, str]) -> KeyringBackend:
    """Return the keyring that is meant. StoreError: there is none; whatever a plugin raises may come, too."""
    return _choose_auto(environ) if store == "auto" else _choose_any(environ)


def _choose_auto(environ: Mapping[str, str]) -> KeyringBackend:
    """Return the system's own keyring; StoreError: it has none. No variable changes the order."""
    if sys.platform == "darwin":
        _load_keyring()
        from keyring.backends.macOS import Keyring as Keychain

        return _viable(Keychain)
    if sys.platform == "win32":
        _load_keyring()
        from keyring.backends.Windows import WinVaultKeyring

        return _viable(WinVaultKeyring)
    if (problem := _bus_problem(environ)) is not None:  # spares servers and containers the import
        raise StoreError(f"there is no keyring here ({problem})", hint=USE_A_FILE)
    _load_keyring()
    from keyring.backends.SecretService import Keyring as SecretService

    try:
        service = _viable(SecretService)
        require_collection(service)
    except StoreError as error:
        from keyring.backends.kwallet import DBusKeyring as KWallet  # loads dbus-python, where it is installed

        try:
            return _viable(KWallet)
        except StoreError:
            if _lacks_package(KWallet):
                raise StoreError(
                    f"{error.sentence}; KWallet is there, but the Python package {_PACKAGE} is not installed",
                    hint=f"{_INSTALL} makes KWallet usable; or {USE_A_FILE}",
                ) from None
            raise error from None
    return service


def _viable(kind: type[KeyringBackend]) -> KeyringBackend:
    try:
        _ = kind.priority  # raises RuntimeError with the reason, that is its protocol
    except RuntimeError as error:
        reason = foreign(str(error), 120)
    except OSError as error:  # a session bus that has gone: an old tmux keeps its address
        reason = f"D-Bus: {foreign(error.strerror or type(error).__name__, 120)}"
    else:
        return kind()
    raise StoreError(f"there is no keyring here ({reason})", hint=USE_A_FILE)


def _choose_any(environ: Mapping[str, str]) -> KeyringBackend:
    """Return what the keyring package is told to use, or finds; StoreError: none, or one that only pretends."""
    _bus_problem(environ)
    _load_keyring()
    from keyring.backend import by_priority, get_all_keyring
    from keyring.backends import fail, null
    from keyring.core import load_keyring

    named = environ.get("PYTHON_KEYRING_BACKEND") or _named_in_file()
    try:
        backend: KeyringBackend | None = load_keyring(named) if named else None
    except (ImportError, AttributeError, ValueError):
        raise StoreError(
            f"there is no keyring {foreign(named or '', 120)}".rstrip(),
            hint="PYTHON_KEYRING_BACKEND or keyringrc.cfg names it; `keyring --list-backends` lists what is installed",
        ) from None
    none: StoreError | None = None
    if backend is None:
        try:
            return _choose_auto(environ)
        except StoreError as error:
            none = error
            backend = max(get_all_keyring(), key=by_priority)  # fail is always one of them
    if isinstance(backend, (fail.Keyring, null.Keyring)):
        raise none or StoreError(f"there is no keyring here (keyring chose {backend.name})", hint=USE_A_FILE)
    return backend


def _load_keyring() -> None:
    lean.load("keyring", later=_LATER)


def _named_in_file() -> str | None:
    """Return the keyring that keyringrc.cfg names; None: none, or no such file, or none that can be understood."""
    import configparser

    from keyring.util import platform_

    written = configparser.RawConfigParser()
    try:
        written.read(platform_.config_root() / "keyringrc.cfg", encoding="utf-8")
    except (configparser.Error, ValueError):
        return None
    return written.get("backend", "default-keyring", fallback="").strip() or None


# --- the session bus --------------------------------------------------------------------------------------------------


def _bus_problem(environ: Mapping[str, str]) -> str | None:
    """Say why there is no session bus; None: there is one, and this process knows its address."""
    address = environ.get(_BUS)
    if not address:
        path = os.path.join(environ.get("XDG_RUNTIME_DIR", ""), "bus")
        if not os.path.isabs(path) or not _is_our_socket(path):
            return "no D-Bus session"
        address = f"unix:path={_escaped(path)}"
        if isinstance(environ, MutableMapping):  # this process's own: the only way to tell the libraries below
            environ[_BUS] = address
    for part in address.split(";"):
        transport, _, values = part.partition(":")
        if transport != "unix":
            return f"the D-Bus session is none of this machine: {foreign(transport, 40)}"
        path = next((value[5:] for value in values.split(",") if value.startswith("path=")), "")
        if path and "%" not in path and os.path.lexists(path) and not _is_our_socket(path):
            return "the D-Bus session is somebody else's"
    return None


def _is_our_socket(path: str) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and (places.ours(status) or status.st_uid == 0)


def _escaped(path: str) -> str:
    """Write a path as a value of a D-Bus address (D-Bus Specification, "Server Addresses")."""
    plain = b"-_/.\\*"
    return "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in plain else f"%{byte:02x}"
        for byte in os.fsencode(path)
    )


def _lacks_package(kind: type[KeyringBackend]) -> bool:
    """Say whether a KWallet is on the bus that only the missing package keeps us from."""
    if hasattr(sys.modules.get(kind.__module__), "dbus"):
        return False
    from contextlib import closing

    import secretstorage
    from jeepney.bus_messages import message_bus

    try:
        with closing(secretstorage.dbus_init()) as connection:
            asked = (message_bus.ListNames(), message_bus.ListActivatableNames())
            names = [name for ask in asked for name in connection.send_and_get_reply(ask, timeout=1).body[0]]
    except Exception:  # of a library's: without an answer nothing is said of KWallet
        return False
    return any(str(name).startswith("org.kde.kwalletd") for name in names)


# --- a Secret Service and its dialogs ---------------------------------------------------------------------------------


def require_collection(backend: KeyringBackend) -> bool:
    """Say whether a Secret Service's default collection is locked. StoreError: it has none."""
    from contextlib import closing

    import secretstorage  # what keyring's Secret Service stands on
    from secretstorage.collection import DEFAULT_COLLECTION
    from secretstorage.exceptions import ItemNotFoundException, SecretServiceNotAvailableException

    path = getattr(backend, "preferred_collection", None)
    try:
        with closing(secretstorage.dbus_init()) as connection:
            return bool(secretstorage.Collection(connection, path or DEFAULT_COLLECTION).is_locked())
    except ItemNotFoundException:
        raise StoreError("the keyring has no default collection", hint="unlock the keyring, or make one") from None
    except SecretServiceNotAvailableException as error:
        raise StoreError(f"there is no keyring here ({foreign(str(error), 120)})", hint=USE_A_FILE) from None


def listing(backend: KeyringBackend, prefix: str) -> list[tuple[str, str]] | None:
    """Return service and user name of each record of a Secret Service whose service begins so; None: another keyring.

    Attributes are not secret, and can be read while the collection is locked.
    """
    from keyring.backends.SecretService import Keyring as SecretService

    if not isinstance(backend, SecretService):
        return None
    from contextlib import closing

    import secretstorage

    with closing(secretstorage.dbus_init()) as connection:
        found = [
            item.get_attributes() for item in secretstorage.search_items(connection, {"application": backend.appid})
        ]
    records = {(one.get("service", ""), one.get("username", "")) for one in found}
    return sorted(record for record in records if record[0].startswith(prefix))


@contextmanager
def dialogs(allowed: bool) -> Iterator[None]:
    """Have a Secret Service put up no dialog in this block, unless a person has the time to answer it.

    A service may ask before it unlocks a record, and KeePassXC before it overwrites or deletes one; secretstorage would
    wait for the answer without end. The dialog is dismissed before it comes up, and StoreError says so.
    """
    if allowed or "secretstorage" not in sys.modules:
        yield
        return
    from secretstorage import collection, item, util

    modules: list[Any] = [module for module in (util, collection, item) if hasattr(module, "exec_prompt")]
    own: list[Callable[..., Any]] = [module.exec_prompt for module in modules]
    for module in modules:
        module.exec_prompt = _dismiss
    try:
        yield
    finally:
        for module, function in zip(modules, own, strict=True):
            module.exec_prompt = function


def _dismiss(connection: Any, path: str, **_: object) -> Any:
    from contextlib import suppress

    from secretstorage.util import PROMPT_IFACE, DBusAddressWrapper

    with suppress(Exception):
        DBusAddressWrapper(path, PROMPT_IFACE, connection).call("Dismiss", "")
    raise StoreError("the keyring wants to ask a person first", hint="unlock the keyring")
