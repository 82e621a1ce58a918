"""Where settings are written: a profile's table in a file, flags, variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from credential_helper import places
from credential_helper.errors import CredentialHelperError
from credential_helper.profiles import elsewhere
from credential_helper.profiles.parse import write_instead
from credential_helper.profiles.settings import PROFILE_KEYS, SECRETS, SETTINGS, TABLE_KEYS
from credential_helper.profiles.written import Origin, Refusal, Written, check_keys, typed

Refuses = Callable[[str, str], Refusal | None]


def refuses_nothing(_kind: str, _value: str) -> None:
    """Read every source: what is given is not about secrets, or is not used."""


def from_table(written: Written) -> tuple[dict[str, Written], list[CredentialHelperError]]:
    """Take a profile's table apart into settings; its unknown keys and odd tables are the errors."""
    table: dict[str, Any] = typed(written, dict[str, Any], "a table")
    errors = check_keys(written, table, PROFILE_KEYS, elsewhere.of_a_profile)
    values: dict[str, Written] = {}
    for key, value in table.items():
        part = written.part(key, value)
        try:
            if key in TABLE_KEYS or key == "parameters":
                values |= _settings_in(key, part, errors)
            elif key in PROFILE_KEYS:
                values[key] = part
        except CredentialHelperError as error:
            errors.append(error)
    return values, errors


def _settings_in(key: str, part: Written, errors: list[CredentialHelperError]) -> dict[str, Written]:
    """Take a table in a profile's table apart, and the one in that; what is wrong with their keys joins ``errors``."""
    inner = _inner_table(key, part)
    known = TABLE_KEYS.get(key, tuple(inner))
    errors += check_keys(part, inner, known)
    values: dict[str, Written] = {}
    for name in inner:
        whole = f"{key}.{name}"
        if whole in TABLE_KEYS:
            values |= _settings_in(whole, part.part(name, inner[name]), errors)
        elif name in known:
            values[whole] = part.part(name, inner[name])
    return values


def _inner_table(key: str, part: Written) -> dict[str, Any]:
    """Return a table in a profile's table; a secret that is written out, or nowhere, is told what to write instead."""
    hint = write_instead(key) if key in SECRETS else f'write {key} = {{ file = "PATH" }}'
    if key.endswith("private_key") and key not in SECRETS and not (isinstance(part.value, dict) and part.value):
        raise part.malformed("expected the file to read it from", hint=hint)
    if key in SECRETS and isinstance(part.value, str):
        itself = (
            "a string" if key.endswith("private_key") else f"the {key.rpartition('_')[2]} itself"
        )  # a key's may be a path
        raise part.malformed(f"found {itself}, expected where to read it", hint=hint)
    inner: dict[str, Any] = typed(part, dict[str, Any], "a table")
    if key in SECRETS and not inner:
        raise part.malformed("found an empty table, expected where to read it", hint=hint)
    return inner


def from_flags(
    flags: Mapping[str, object], environ: Mapping[str, str], refuses: Refuses = refuses_nothing
) -> dict[str, Written]:
    """Return the settings that were given as flags, by setting name; ``refuses`` says why a secret is not read."""
    origin = Origin(kind="flag", expand=lambda path: places.expand(path, environ), refuses=refuses)
    given = {s.name: Written(flags[s.name], s.flag or s.name, origin) for s in SETTINGS if s.name in flags}
    return _parameters_apart(given)


def from_variables(environ: Mapping[str, str], refuses: Refuses = refuses_nothing) -> dict[str, Written]:
    """Return the settings that CREDENTIAL_HELPER_… variables give to an ad-hoc profile; empty means unset."""
    origin = Origin(kind="variable", expand=lambda path: places.expand(path, environ), refuses=refuses)
    given: dict[str, Written] = {}
    for setting in SETTINGS:
        value = environ.get(setting.variable, "") if setting.variable else ""
        if setting.variable and value:
            given[setting.name] = Written(value.split() if setting.repeat else value, setting.variable, origin)
    for name, variable in SECRETS.items():
        sent = name == "client_secret" and environ.get("CREDENTIAL_HELPER_CLIENT_AUTHENTICATION")
        if environ.get(variable) or (sent and variable in environ):  # an empty secret is one where its method is given
            given[f"{name}.env"] = Written(variable, variable, origin)
    return _parameters_apart(given)


def _parameters_apart(given: dict[str, Written]) -> dict[str, Written]:
    """Take ``NAME=VALUE`` words apart."""
    if "parameters" in given:
        words = given.pop("parameters")
        for word in words.value:
            name, equals, value = word.partition("=")
            if not (name and equals):
                raise words.malformed("expected NAME=VALUE")
            given[f"parameters.{name}"] = Written(value, words.where, words.origin)
    return given
