"""The system's browser: whether one can be seen here, and how it is started."""

from __future__ import annotations

DESKTOP_BROWSERS: dict[str, list[list[str]]] = {
    "linux": [["xdg-open"], ["wslview"], ["x-www-browser"]],
    "darwin": [["open"]],
    "win32": [["rundll32.exe", "url.dll,FileProtocolHandler"]],
}
