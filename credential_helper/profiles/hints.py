"""Back from a profile to the command line that makes exactly its session."""

from __future__ import annotations

from collections.abc import Sequence

from credential_helper import PROGRAM
from credential_helper.model import Profile, Source
from credential_helper.profiles.settings import KINDS, SECRETS, by_key
from credential_helper.tools import LISTED
from credential_helper.workloads import Workload

# Settings that neither name a session nor change where it is kept.
NOT_OF_THE_SESSION = (
    *("token", "interactive", "multi_resource", "renew", "shared_cache", "shared_cache_password", "cache_key"),
    *LISTED,
)


def hint_flags(profile: Profile) -> list[str]:
    """Return the words after ``credential-helper login`` that make exactly this session; unquoted.

    A profile of the file is its name and what was laid over it; an ad-hoc one is its whole set of flags. A secret that
    a variable of ours holds is still read from there.
    """
    words: list[str] = [] if profile.ad_hoc else [profile.name]
    for key, origin in profile.origins:
        setting = by_key(key)
        in_file = not profile.ad_hoc and origin.endswith(f": profiles.{profile.name}.{key}")
        ours = origin in SECRETS.values()
        if not setting.flag or in_file or ours or setting.name.partition(".")[0] in NOT_OF_THE_SESSION:
            continue
        if setting.switch:
            words += [setting.flag] if getattr(profile, key) else []
        else:
            for value in _as_written(profile, key):
                words += [f"{setting.flag}={value}"] if value.startswith("-") else [setting.flag, value]
    return words


def came_from(profile: Profile) -> str:
    """Say which profile it is, and where it was written: the file that has its issuer, or the command line."""
    origin = dict(profile.origins).get("issuer", "")
    file = origin.rpartition(": profiles.")[0] or "the config files"
    return f"profile {profile.name} from {'flags and variables' if profile.ad_hoc else file}"


def _as_written(profile: Profile, key: str) -> Sequence[str]:
    """Return a setting as the values of its flag."""
    table, _, inner = key.partition(".")
    value = getattr(profile, table)
    if table == "parameters":
        return [f"{inner}={dict(profile.parameters)[inner]}"]
    if table == "tls":
        return list(value[0 if inner == "certificate" else 1].value)
    if table == "endpoints":
        return [getattr(value, inner)]
    if table == "private_key" and inner in KINDS:
        return list(value.source.value)
    if table == "private_key":
        return [getattr(value, inner)]
    if isinstance(value, Workload):
        return [value.source]
    if isinstance(value, Source):
        return list(value.value)
    if table == "scope":
        return [" ".join(value)]
    return value if isinstance(value, tuple) else [value]


def login_command(profile: Profile) -> str:
    """Return the command that makes exactly this session, quoted for a POSIX shell.

    Where the profile says that nobody may be asked, it lifts that for once: else it would end with the same words.
    """
    import shlex  # for a message

    command = shlex.join([PROGRAM, "login", *hint_flags(profile)])
    forbidden = profile.interactive == "never" and not profile.ad_hoc
    in_file = any(key == "interactive" and ": profiles." in origin for key, origin in profile.origins)
    return f"{command} --interactive auto" if forbidden and in_file else command
