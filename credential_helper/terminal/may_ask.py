"""Whether a person can be asked, here and now."""

from __future__ import annotations

from collections.abc import Mapping


def is_utf8(environ: Mapping[str, str]) -> bool:
    """Say whether the locale's characters are UTF-8 (POSIX: LC_ALL, then LC_CTYPE, then LANG)."""
    value = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    return value.partition("@")[0].lower().replace("-", "").endswith("utf8")


def in_ci(environ: Mapping[str, str]) -> bool:
    """Say whether CI is set to anything but empty, 0 or false."""
    return environ.get("CI", "").strip().lower() not in ("", "0", "false")
