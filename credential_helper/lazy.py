"""Imports that wait until what they name is used (PEP 810), where Python can do that: 3.15 and newer.

A call needs a part of what our modules and the libraries import at their heads. PYTHON_LAZY_IMPORTS=all in a caller's
environment has the same effect from the first line on, so what cannot be imported late must be known either way.
"""

from __future__ import annotations

import sys

# What is imported at once. truststore deletes names of its own that a late import would look for. requests tells of
# what it depends on, on stderr, and looks for what we hide from it: in the moment in which transport/ imports it.
_AT_ONCE = ("truststore", "requests")


def begin() -> None:
    """Have imports wait from here on; older Pythons know nothing of it."""
    set_filter, set_mode = (getattr(sys, name, None) for name in ("set_lazy_imports_filter", "set_lazy_imports"))
    if set_filter is not None and set_mode is not None:
        set_filter(_may_wait)
        set_mode("all")


def _may_wait(_importer: str, imported: str, _names: tuple[str, ...] | None) -> bool:
    return imported.partition(".")[0] not in _AT_ONCE
