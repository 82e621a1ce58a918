"""msgspec without what it loads for types that we have none of.

msgspec also reads and writes UUIDs and decimals, and describes types (msgspec.inspect, JSON Schema). Loading what that
takes, for nothing, takes longer than msgspec itself: uuid alone brings platform, up to Python 3.12. While msgspec is
imported, empty modules stand in those places; afterwards whoever asks for one gets the real one. typing_extensions,
which msgspec prefers to typing where something else has installed it, brings inspect and ast: it counts as absent, as
most often it is.

A msgspec that needs more of them is imported as everybody imports it.
"""

from __future__ import annotations

import sys
from types import ModuleType

# What is missed while msgspec is imported, and what it takes from there.
_UNUSED = {
    "decimal": ("Decimal",),
    "uuid": ("UUID", "SafeUUID"),
    "msgspec.inspect": (),
    "msgspec._json_schema": ("schema", "schema_components"),
}
_ABSENT = "typing_extensions"


def load_msgspec() -> None:
    """Import msgspec, before any other module of ours does."""
    if "msgspec" in sys.modules:
        return
    standing = {name: _stand_in(name, parts) for name, parts in _UNUSED.items() if name not in sys.modules}
    masked = _ABSENT not in sys.modules
    sys.modules.update(standing)
    if masked:
        sys.modules[_ABSENT] = None  # type: ignore[assignment]  # "not found", as the import system documents it
    try:
        import msgspec
    except (ImportError, AttributeError, TypeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "msgspec"]:
            del sys.modules[name]
    else:
        del msgspec.inspect, msgspec.json.schema, msgspec.json.schema_components
    finally:
        for name, module in standing.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        if masked:
            del sys.modules[_ABSENT]


def _stand_in(name: str, parts: tuple[str, ...]) -> ModuleType:
    """Return a module with nothing in it but classes that are empty; of SafeUUID a member is taken."""
    module = ModuleType(name)
    for part in parts:
        setattr(module, part, type(part, (), {"unknown": None}))
    return module
