"""Every setting of a profile, in one table: its key, flag, variable, judge and help.

The table makes the command line's options, says which keys a file may have and which variables an ad-hoc profile reads,
and puts a profile together from whatever was written; ``origins`` then tells where each setting came from.

- A setting that is ``fixed`` is about who is asked and with what: no flag may change it in a profile of the file.
- "Not supported yet" is said of what is planned and no code serves, with what works instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from credential_helper import hosts, judges, places
from credential_helper.errors import CredentialHelperError
from credential_helper.judges import WRITE_INSTEAD, Place, Written, choice, not_yet
from credential_helper.model import Endpoints, Profile

if TYPE_CHECKING:
    import argparse

SECRET_VARIABLE = "CREDENTIAL_HELPER_CLIENT_SECRET"  # the secret itself, for an ad-hoc profile


# --- the table --------------------------------------------------------------------------------------------------------


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting. A dot in its name is a key inside a table; the name is the flag's dest, too."""

    name: str
    judge: Callable[[Written], object]
    metavar: str = ""
    help: str = ""  # empty: the flag works, and is not offered
    flag: str | None = None
    variable: str | None = None  # read for an ad-hoc profile only
    repeat: bool = False  # the flag may be given several times; the variable is split at spaces
    fixed: bool = False  # a flag may not change it in a profile of the file


def _setting(name: str, judge: Callable[[Written], object], metavar: str, help: str, **more: Any) -> Setting:  # noqa: A002
    """Return a setting whose flag and variable are named after it, where nothing else is said."""
    flag = more.setdefault("flag", "--" + name.replace("_", "-"))
    more.setdefault("variable", "CREDENTIAL_HELPER_" + flag[2:].replace("-", "_").upper())
    return Setting(name=name, judge=judge, metavar=metavar, help=help, **more)


_FLOW = choice(
    *("auto", "device", "client-credentials"),
    also={"device-code": "device", "urn:ietf:params:oauth:grant-type:device-code": "device"},
    later=("authorization-code", "password"),
)
_TOKEN = choice(
    *("auto", "access", "id"),
    also={
        "access-token": "access",
        "id-token": "id",
        "urn:ietf:params:oauth:token-type:access-token": "access",
        "urn:ietf:params:oauth:token-type:id-token": "id",
    },
)
_CLIENT_AUTHENTICATION = choice(
    *("auto", "none", "basic", "post"),
    also={"client-secret-basic": "basic", "client-secret-post": "post"},
    later=("private-key-jwt",),
)

PROFILE = _setting("profile", judges.text, "NAME", "take this profile from the config file")

SETTINGS: tuple[Setting, ...] = (
    _setting("issuer", judges.issuer, "URL", "make a profile of flags and variables; no file is read", fixed=True),
    _setting("client_id", judges.text, "ID", "the client id that the provider gave", fixed=True),
    _setting("flow", _FLOW, "FLOW", "how to sign in: auto, device or client-credentials"),
    _setting("audience", judges.text, "API", "the API that the token is for (Auth0's identifier)"),
    _setting("resource", judges.resource, "URI", "the resource that the token is for (RFC 8707)", repeat=True),
    _setting("scope", judges.scope, "SCOPE", "the scopes to ask for, instead of the default", repeat=True),
    _setting("token", _TOKEN, "KIND", "what the tools get: auto, access or id"),
    _setting("account", judges.text, "NAME", "who signs in; keeps two accounts of one issuer apart"),
    _setting(
        "interactive",
        choice("auto", "always", "never"),
        "WHEN",
        "may a person be asked: auto, always or never",
        variable=None,  # CREDENTIAL_HELPER_INTERACTIVE overrides every profile; terminal reads it
    ),
    _setting(
        "store",
        choice("auto", "keyring", "file", "none"),
        "STORE",
        "where the refresh token lives: auto, keyring, file or none",
    ),
    _setting("ca_file", judges.path, "PATH", "trust these certificates, too (PEM)", fixed=True),
    _setting(
        "parameters",
        judges.parameter,  # one at a time: parameters.NAME
        "NAME=VALUE",
        "one more parameter of the sign-in and token requests",
        flag="--parameter",
        variable="CREDENTIAL_HELPER_PARAMETERS",
        repeat=True,
    ),
    *(
        _setting(f"endpoints.{name}", judges.endpoint, "URL", f"{what}, instead of discovery", flag=flag, fixed=True)
        for name, what, flag in (
            ("token", "the token endpoint", "--token-endpoint"),
            ("device_authorization", "the device authorization endpoint", "--device-authorization-endpoint"),
            ("revocation", "the revocation endpoint", "--revocation-endpoint"),
            ("jwks", "where the provider's keys are", "--jwks-uri"),
        )
    ),
    _setting(
        "client_authentication",
        _CLIENT_AUTHENTICATION,
        "METHOD",
        "how the client authenticates: auto, none, basic or post",
        fixed=True,
    ),
    _setting(
        "client_secret.env",
        judges.source_env,
        "NAME",
        "read the client secret from this variable",
        flag="--client-secret-env",
        variable=None,  # CREDENTIAL_HELPER_CLIENT_SECRET is the secret itself, see from_variables
        fixed=True,
    ),
    _setting(
        "client_secret.file",
        judges.source_file,
        "PATH",
        "read the client secret from this file",
        flag="--client-secret-file",
        fixed=True,
    ),
    Setting(name="client_secret.command", judge=judges.source_command),
    Setting(name="client_secret.keyring", judge=not_yet("a keyring source", f"write {WRITE_INSTEAD}")),
    _setting(
        "private_key.file",
        not_yet("a private key", "--client-secret-env NAME and --client-secret-file PATH work"),
        "PATH",
        "",
        flag="--private-key-file",
        variable=None,
        fixed=True,
    ),
    _setting("git", judges.git, "URL", "serve git for this URL", repeat=True),
    _setting("docker", judges.docker, "SERVER", "serve docker, podman and skopeo for this registry", repeat=True),
    _setting("kubernetes", judges.kubernetes, "URL", "serve only this Kubernetes server", repeat=True),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}


def by_key(key: str) -> Setting:
    """Return the setting of a key; each parameters.NAME is one of ``parameters``."""
    return BY_NAME["parameters" if key.startswith("parameters.") else key]


# Settings that neither name a session nor change where it is kept.
NOT_OF_THE_SESSION = ("token", "interactive", "git", "docker", "kubernetes")

# Keys of a profile that are planned and served by no code yet, with what works instead.
LATER = {
    "private_key": f"write {WRITE_INSTEAD}",
    "provider": "issuer and endpoints serve every provider",
    "realm": "issuer and endpoints serve every provider",
    "legacy": 'flow = "device" and flow = "client-credentials" work',
    "redirect_uri": 'flow = "device" and flow = "client-credentials" work',
}

# The keys that a file may have: of a profile, and of the tables in it whose keys are known.
PROFILE_KEYS = tuple(dict.fromkeys(key for key in (s.name.partition(".")[0] for s in SETTINGS) if key not in LATER))
TABLE_KEYS = {
    table: tuple(name.partition(".")[2] for name in BY_NAME if name.startswith(f"{table}."))
    for table in ("endpoints", "client_secret")
}


def add_flags(parser: argparse.ArgumentParser, *, without: Sequence[str] = ()) -> None:
    """Add every flag of the table; each dest is a setting's name, and a flag that is not given leaves no trace.

    No ``type`` and no ``choices``: argparse's own errors echo values.
    """
    import argparse

    group = parser.add_argument_group("profile")
    for setting in (PROFILE, *SETTINGS):
        if setting.flag and setting.name not in without:
            group.add_argument(
                setting.flag,
                dest=setting.name,
                metavar=setting.metavar,
                action="append" if setting.repeat else "store",
                default=argparse.SUPPRESS,
                help=setting.help or argparse.SUPPRESS,
            )


# --- where values come from -------------------------------------------------------------------------------------------


def from_table(written: Written) -> tuple[dict[str, Written], list[CredentialHelperError]]:
    """Take a profile's table apart into settings; its unknown keys and odd tables are the errors."""
    table: dict[str, Any] = judges.typed(written, dict[str, Any], "a table")
    errors = judges.check_keys(written, table, PROFILE_KEYS, also=tuple(LATER))
    values: dict[str, Written] = {}
    for key, value in table.items():
        part = written.part(key, value)
        try:
            if key in LATER:
                raise part.later("this key", LATER[key])
            if key == "client_secret" and isinstance(value, str):
                raise part.malformed(
                    "found the secret itself, expected where to read it", hint=f"write {WRITE_INSTEAD}"
                )
            if key in TABLE_KEYS or key == "parameters":
                inner: dict[str, Any] = judges.typed(part, dict[str, Any], "a table")
                if key == "client_secret" and not inner:
                    raise part.malformed(
                        "found an empty table, expected where to read it", hint=f"write {WRITE_INSTEAD}"
                    )
                known = TABLE_KEYS.get(key, tuple(inner))
                errors += judges.check_keys(part, inner, known)
                values |= {f"{key}.{name}": part.part(name, inner[name]) for name in inner if name in known}
            elif key in PROFILE_KEYS:
                values[key] = part
        except CredentialHelperError as error:
            errors.append(error)
    return values, errors


def from_flags(flags: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, Written]:
    """Return the settings that were given as flags, by setting name."""
    place = Place(kind="flag", expand=lambda path: places.expand(path, environ))
    given = {s.name: Written(flags[s.name], s.flag or s.name, place) for s in SETTINGS if s.name in flags}
    return _parameters_apart(given)


def from_variables(environ: Mapping[str, str]) -> dict[str, Written]:
    """Return the settings that CREDENTIAL_HELPER_… variables give to an ad-hoc profile; empty means unset."""
    place = Place(kind="variable", expand=lambda path: places.expand(path, environ))
    given: dict[str, Written] = {}
    for setting in SETTINGS:
        value = environ.get(setting.variable, "") if setting.variable else ""
        if setting.variable and value:
            given[setting.name] = Written(value.split() if setting.repeat else value, setting.variable, place)
    if environ.get(SECRET_VARIABLE):
        given["client_secret.env"] = Written(SECRET_VARIABLE, SECRET_VARIABLE, place)
    return _parameters_apart(given)


def _parameters_apart(given: dict[str, Written]) -> dict[str, Written]:
    """Take ``NAME=VALUE`` words apart."""
    if "parameters" in given:
        words = given.pop("parameters")
        for word in words.value:
            name, equals, value = word.partition("=")
            if not (name and equals):
                raise words.malformed("expected NAME=VALUE")
            given[f"parameters.{name}"] = Written(value, words.where, words.place)
    return given


# --- a profile as a whole ---------------------------------------------------------------------------------------------


def assemble(
    name: str,
    values: Mapping[str, Written],
    *,
    absent: Callable[[Setting], CredentialHelperError],
    ad_hoc: bool = False,
) -> tuple[Profile | None, list[CredentialHelperError]]:
    """Judge every setting, then what they say about each other; no profile when anything is wrong.

    ``absent`` makes the error for a setting that has to be there.
    """
    judged: dict[str, Any] = {}
    errors: list[CredentialHelperError] = []
    for key, written in values.items():
        table, _, inner = key.partition(".")
        try:
            if table == "parameters":
                judges.check_parameter_name(written, inner)
            judged[key] = by_key(key).judge(written)
        except CredentialHelperError as error:
            errors.append(error)
    errors += [absent(BY_NAME[key]) for key in ("issuer", "client_id") if key not in values]
    errors = errors or list(_contradictions(judged, values))
    if errors:
        return None, errors

    def table_of(name: str) -> dict[str, Any]:
        return {key.partition(".")[2]: value for key, value in judged.items() if key.startswith(f"{name}.")}

    profile = Profile(
        name=name,
        ad_hoc=ad_hoc,
        **{key: value for key, value in judged.items() if "." not in key},
        parameters=tuple(table_of("parameters").items()),
        endpoints=Endpoints(**table_of("endpoints")),
        client_secret=next(iter(table_of("client_secret").values()), None),
        origins=tuple((key, written.where) for key, written in values.items()),
    )
    return profile, []


def _contradictions(judged: Mapping[str, Any], values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with settings that are fine one by one."""
    sources = [key for key in judged if key.startswith("client_secret.")]
    if len(sources) > 1:
        yield values[sources[1]].impossible(
            f"{values[sources[0]].where} is given, too", hint="give one source of a secret"
        )

    for key, needing in (("flow", ("client-credentials",)), ("client_authentication", ("basic", "post"))):
        if judged.get(key) in needing and not sources and judged.get("client_authentication") != "none":
            hint = f"write {WRITE_INSTEAD}"
            if not values[key].place.is_file:
                hint = f"give --client-secret-env NAME or --client-secret-file PATH, or set {SECRET_VARIABLE}"
            yield values[key].impossible(f"{judged[key]} needs a client secret", hint=hint)

    # http is for one loopback origin: a second one, or https beside it, would take a secret somewhere else.
    endpoints = [key for key in judged if key.startswith("endpoints.")]
    plain = [key for key in ("issuer", *endpoints) if judged[key].startswith("http:")]
    if plain:
        origin = hosts.parse_url(judged[plain[0]]).origin
        for key in endpoints:
            if hosts.parse_url(judged[key]).origin != origin:
                yield values[key].impossible(f"expected an address on {origin}, as {values[plain[0]].where} is http")


# --- back to the command line -----------------------------------------------------------------------------------------


def hint_flags(profile: Profile) -> list[str]:
    """Return the words after ``credential-helper login`` that make exactly this session; unquoted.

    A profile of the file is its name and what was laid over it; an ad-hoc one is its whole set of flags. A secret that
    CREDENTIAL_HELPER_CLIENT_SECRET holds is still read from there.
    """
    words: list[str] = [] if profile.ad_hoc else [profile.name]
    for key, origin in profile.origins:
        setting = by_key(key)
        in_file = not profile.ad_hoc and origin.endswith(f": profiles.{profile.name}.{key}")
        if setting.flag and not in_file and setting.name not in NOT_OF_THE_SESSION and origin != SECRET_VARIABLE:
            for value in _as_written(profile, key):
                words += [f"{setting.flag}={value}"] if value.startswith("-") else [setting.flag, value]
    return words


def _as_written(profile: Profile, key: str) -> Sequence[str]:
    """Return a setting as the values of its flag."""
    table, _, inner = key.partition(".")
    value = getattr(profile, table)
    if table == "parameters":
        return [f"{inner}={dict(profile.parameters)[inner]}"]
    if table == "endpoints":
        return [getattr(value, inner)]
    if table == "client_secret":
        return list(value.value)
    if table == "scope":
        return [" ".join(value)]
    return value if isinstance(value, tuple) else [value]
