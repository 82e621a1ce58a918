"""Libraries without what they load for what is never used here: to load that takes longer than what is used.

msgspec also reads and writes UUIDs and decimals, and describes types (msgspec.inspect, JSON Schema). requests reads
its version of HTTP/2 from the installed packages, roots from certifi, proxies from the environment. While such a
library is imported, modules stand in those places that are imported when something is first taken from them, as those
of importlib.util.LazyLoader are; or one counts as absent, where the library does without. Afterwards whoever imports
one gets the real one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# What msgspec asks for: classes that no value of ours is of. typing_extensions, which it prefers to typing where
# something else has installed it, brings inspect and ast, and most often is absent.
_ODD_TYPES = {
    "decimal": {"Decimal": type("Decimal", (), {})},
    "uuid": {"UUID": type("UUID", (), {}), "SafeUUID": type("SafeUUID", (), {"unknown": None})},
}
_DESCRIPTIONS = {
    "msgspec.inspect": (),
    "msgspec._json_schema": ("schema", "schema_components"),
}

_NONE: Mapping[str, Any] = {}


def load_msgspec() -> None:
    """Import msgspec, before any other module of ours does."""
    load("msgspec", later=_DESCRIPTIONS, instead=_ODD_TYPES, absent=("typing_extensions",))


def load(
    library: str,
    *,
    later: Mapping[str, Sequence[str]] = _NONE,
    instead: Mapping[str, Mapping[str, object]] = _NONE,
    absent: Sequence[str] = (),
) -> None:
    """Import a library without these modules; one that needs more of them than is said here has them all.

    ``later`` have functions by these names, which import the module when they are called. ``instead`` have something
    else in the place of what the module has. ``absent`` cannot be imported. Raises ImportError.
    """
    if library in sys.modules:
        return
    try:
        with _leaving_out(later, instead, absent):
            __import__(library)  # as the statement does, and -X importtime lists it
    except Exception:
        for name in [name for name in list(sys.modules) if name.partition(".")[0] == library]:
            del sys.modules[name]
        __import__(library)


@contextmanager
def _leaving_out(
    later: Mapping[str, Sequence[str]], instead: Mapping[str, Mapping[str, object]], absent: Sequence[str]
) -> Iterator[None]:
    standing: dict[str, ModuleType | None] = {}
    for name in (*later, *instead, *absent):
        if name not in sys.modules:
            standing[name] = None if name in absent else _Later(name)
    for name, module in standing.items():
        if module is not None and (parts := instead.get(name) or {part: _late(name, part) for part in later[name]}):
            vars(module).update(parts, __path__=())  # which `from … import …` asks for
    sys.modules.update(standing)  # type: ignore[arg-type]  # None: "not found", as the import system documents it
    try:
        yield
    finally:
        for name, module in standing.items():
            if name in sys.modules and sys.modules[name] is module:
                sys.modules.pop(name, None)
                package, _, last = name.rpartition(".")
                if module is not None and package in sys.modules:
                    setattr(sys.modules[package], last, module)  # where `import urllib.request` looks for it


class _Later(ModuleType):
    """A module that is imported when something is taken from it, by whoever imported it too early."""

    def __getattr__(self, name: str) -> object:
        return getattr(_imported(self.__name__), name)


def _late(module: str, name: str) -> Callable[..., object]:
    def call(*arguments: object, **named: object) -> object:
        return getattr(_imported(module), name)(*arguments, **named)

    return call


def _imported(name: str) -> ModuleType:
    if isinstance(sys.modules.get(name), _Later):
        sys.modules.pop(name, None)  # another thread may have been faster
    return importlib.import_module(name)
