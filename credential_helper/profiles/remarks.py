"""What stops nothing and may be a mistake: told in commands that people type, and by ``status``.

Variables of our prefix that are not known are ignored, because other programs have some, too; only one that is a near
miss of ours is remarked, and none that is the source of a secret.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from credential_helper.profiles.settings import PROFILE, SECRETS, SETTINGS
from credential_helper.text import foreign

if TYPE_CHECKING:
    from credential_helper.profiles.configuration import Configuration

_PREFIX = "CREDENTIAL_HELPER_"
_OTHERS = ("CONFIG", "STATE_DIR", "PASSWORD_STORAGE", "INTERACTIVE", "PROMPT", "VERBOSE")
_NOT_OURS = ("CONFIG_FILE", "LOGGING", "BIN", "STANDALONE", "IDLE_TIMEOUT")
_NEAR = 0.8  # of difflib's ratio: AUDIANCE is 0.88 of AUDIENCE


def remarks_on(
    configuration: Configuration | None, environ: Mapping[str, str], used: Collection[str] = ()
) -> tuple[str, ...]:
    """Return a sentence for each; ``configuration`` is None where no file is read, ``used`` are sources of secrets."""
    said: list[str] = []
    if configuration is not None:
        said += [error.sentence for error in configuration.passed_over]
        said += configuration.remarks
        used = {*used, *configuration.hidden}
    return (*said, *_near_misses(environ, used))


def _near_misses(environ: Mapping[str, str], used: Collection[str]) -> list[str]:
    given = [name.removeprefix(_PREFIX) for name in sorted(environ) if name.startswith(_PREFIX) and name not in used]
    variables = (setting.variable for setting in (PROFILE, *SETTINGS))
    known = {name.removeprefix(_PREFIX) for name in (*SECRETS.values(), *variables) if name} | {*_OTHERS}
    unknown = [name for name in given if name not in known and name not in _NOT_OURS and not name.startswith("AGENT_")]
    if not unknown:
        return []
    import difflib  # 2 ms, and only for a message

    said = []
    for name in unknown:
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_NEAR)
        if near and not name.startswith(f"{near[0]}_"):
            said.append(f"the variable {_PREFIX}{foreign(name, 60)} is not known; did you mean {_PREFIX}{near[0]}?")
    return said
