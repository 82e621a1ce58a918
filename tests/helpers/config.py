"""The config file of a home."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_config(environ: Mapping[str, str], text: str) -> Path:
    """Write the user's config file, and return where it is."""
    path = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path
