"""The system's browser: whether one can be seen here, and how it is started.

Rules of this page:
- $BROWSER counts wherever we are; the desktop's own browser only where there is a display and no SSH_CONNECTION, which
  says that the person sits elsewhere.
- In a workspace that is looked at from another machine (Codespaces, a dev container) $BROWSER opens a page over there.
  That will do for a page with a code; a browser that has to come back to our loopback would come to its own.
- One browser is started per sign-in, and only for a web address.
- It is started by its absolute path, without a shell, in a session of its own, with the address as one argument. Its
  output is discarded, and its environment holds none of our variables and no secret that a profile takes from one.
- Nothing is said here: whether the person is shown an address as well is the terminal's business.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping

DESKTOP_BROWSERS: dict[str, list[list[str]]] = {
    "linux": [["xdg-open"], ["wslview"], ["x-www-browser"]],
    "darwin": [["open"]],
    "win32": [["rundll32.exe", "url.dll,FileProtocolHandler"]],
}

# What says that the person looks at this machine from another one, where $BROWSER then opens pages: GitHub, VS Code's
# dev containers, Gitpod, the cloud shells of Google and Azure, Coder. AWS's says it in AWS_EXECUTION_ENV.
_WORKSPACES = (
    "CODESPACES",
    "REMOTE_CONTAINERS",
    "GITPOD_WORKSPACE_ID",
    "CLOUD_SHELL",
    "ACC_CLOUD",
    "CODER_WORKSPACE_NAME",
)
_HELPER = "/helpers/browser.sh"  # what a remote VS Code sets $BROWSER to; its terminals have VSCODE_IPC_HOOK_CLI, too


def over_ssh(environ: Mapping[str, str]) -> str | None:
    """Name the variable that says that the person sits at the other end of SSH (ssh(1)); None: nothing says so."""
    return next((name for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY") if environ.get(name)), None)


class Browser:
    """The browser that this environment names, for one sign-in. Nothing here raises."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        allowed: bool,
        find: Callable[[str, Mapping[str, str]], str | None],
        hidden: Collection[str],
    ) -> None:
        """Store what starting a browser needs.

        allowed: False after ``--no-browser``.  find: ``children.find``, which returns a program's absolute path.
        hidden: variables that a browser must not see; those of our prefix it never sees.
        """
        self._environ = environ
        self._allowed = allowed
        self._find = find
        self._hidden = hidden
        self._opened = False

    def available(self) -> tuple[bool, str]:
        """Say whether a browser of this machine can be started here, and what tells so: "there is a display"."""
        if not self._allowed:
            return False, "--no-browser was given"
        if (elsewhere := self.elsewhere()) is not None:
            return False, elsewhere
        named = bool(self._environ.get("BROWSER"))
        if self._command("") is not None:
            return True, "BROWSER is set" if named else "there is a display"
        if named:
            return False, "no program that BROWSER names was found"
        if (ssh := over_ssh(self._environ)) is not None:
            return False, f"{ssh} is set"
        return False, "no program that opens one was found" if self._display() else "there is no display"

    def elsewhere(self) -> str | None:
        """Say what tells that $BROWSER opens pages on another machine, None where nothing does."""
        for name in _WORKSPACES:
            if self._environ.get(name, "").lower() not in ("", "0", "false"):
                return f"{name} is set"
        if self._environ.get("AWS_EXECUTION_ENV") == "CloudShell":
            return "this is AWS CloudShell"
        if not self._wsl:  # its browser is Windows', which reaches our loopback by its own
            if self._environ.get("VSCODE_IPC_HOOK_CLI") and self._environ.get("BROWSER") and not self._display():
                return "VSCODE_IPC_HOOK_CLI is set"
            if self._environ.get("BROWSER", "").endswith(_HELPER):
                return "BROWSER is a remote editor's"
        return None

    @property
    def _wsl(self) -> bool:
        return bool(self._environ.get("WSL_DISTRO_NAME"))

    def open(self, url: str) -> bool:
        """Ask a browser to show an address, once; False where none can be seen or started, or one was asked before."""
        if not self._allowed or self._opened or not url.startswith(("https://", "http://")):
            return False
        command = self._command(url)
        self._opened = command is not None and self._start(command)
        return self._opened

    def _display(self) -> bool:
        return bool(
            self._environ.get("DISPLAY") or self._environ.get("WAYLAND_DISPLAY") or sys.platform in ("darwin", "win32")
        )

    def _command(self, url: str) -> list[str] | None:
        """Return $BROWSER's first command that exists (colon-separated, %s is the address), else the desktop's own."""
        import shlex

        candidates: list[list[str]] = []
        for command in self._environ.get("BROWSER", "").split(os.pathsep):
            try:
                words = shlex.split(command)
            except ValueError:  # a quote that is never closed
                continue
            if words:
                candidates.append([w.replace("%s", url) for w in words] if "%s" in command else [*words, url])
        if over_ssh(self._environ) is None:
            candidates += [[*words, url] for words in self._desktop()]
        for program, *arguments in candidates:
            path = self._find(program, self._environ)
            if path is not None:
                return [path, *arguments]
        return None

    def _desktop(self) -> list[list[str]]:
        if self._wsl:  # with a display or without one: xdg-open may be there, and know of no browser
            return [["wslview"], *([["xdg-open"]] if self._display() else [])]
        return DESKTOP_BROWSERS.get(sys.platform, DESKTOP_BROWSERS["linux"]) if self._display() else []

    def _start(self, command: list[str]) -> bool:
        import subprocess
        import threading

        environ = {
            name: value
            for name, value in self._environ.items()
            if name not in self._hidden and not name.startswith("CREDENTIAL_HELPER_")
        }
        quiet = subprocess.DEVNULL
        try:
            child = subprocess.Popen(  # noqa: S603 - an absolute path, no shell
                command, stdin=quiet, stdout=quiet, stderr=quiet, env=environ, start_new_session=True
            )
        except (OSError, ValueError):
            return False
        threading.Thread(target=child.wait, daemon=True).start()  # some browsers stay: nobody else waits for it
        return True
