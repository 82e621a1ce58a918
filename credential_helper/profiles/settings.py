"""Every setting of a profile, in one table: its key, flag, variable, parser and help.

The table makes the command line's options, says which keys a file may have and which variables an ad-hoc profile reads,
and puts a profile together from whatever was written; ``origins`` then tells where each setting came from.

- A setting that is ``fixed`` is about who is asked and with what: no flag may change it in a profile of the file.
- A secret has one source, of which the keyring and a command are for config files only: whoever wrote a command line
  may have written its issuer, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from credential_helper import places, providers, urls
from credential_helper.errors import CredentialHelperError
from credential_helper.model import Endpoints, PrivateKey, Profile, Source
from credential_helper.profiles import parse
from credential_helper.profiles.entries import docker_servers, git_urls, kubernetes_servers
from credential_helper.profiles.parse import choice, write_instead
from credential_helper.profiles.written import Origin, Written, check_keys, typed

if TYPE_CHECKING:
    import argparse

# The settings that say where a secret is read; each has a variable that holds the secret itself, for an ad-hoc profile.
SECRETS = {name: f"CREDENTIAL_HELPER_{name.upper()}" for name in ("client_secret", "private_key", "password")}
KINDS = ("env", "file", "command", "keyring")  # of model.Source


# --- the table --------------------------------------------------------------------------------------------------------


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting. A dot in its name is a key inside a table; the name is the flag's dest, too."""

    name: str
    parse: Callable[[Written], object]
    metavar: str = ""
    help: str = ""
    flag: str | None = None
    variable: str | None = None  # read for an ad-hoc profile only
    repeat: bool = False  # the flag may be given several times; the variable is split at spaces
    switch: bool = False  # the flag has no value
    fixed: bool = False  # a flag may not change it in a profile of the file


def _setting(name: str, parser: Callable[[Written], object], metavar: str, help: str, **more: Any) -> Setting:  # noqa: A002
    """Return a setting whose flag and variable are named after it, where nothing else is said."""
    flag = more.setdefault("flag", "--" + name.replace("_", "-"))
    more.setdefault("variable", "CREDENTIAL_HELPER_" + flag[2:].replace("-", "_").upper())
    return Setting(name=name, parse=parser, metavar=metavar, help=help, **more)


def _source(name: str, what: str) -> tuple[Setting, ...]:
    """Return the settings that say where a secret is read."""
    flag = "--" + name.replace("_", "-")
    return (
        _setting(
            f"{name}.env",
            parse.source_env,
            "NAME",
            f"read {what} from this variable",
            flag=f"{flag}-env",
            variable=None,  # the variable of that name holds the secret itself, see from_variables
            fixed=True,
        ),
        _setting(
            f"{name}.file", parse.source_file, "PATH", f"read {what} from this file", flag=f"{flag}-file", fixed=True
        ),
        Setting(name=f"{name}.command", parse=parse.source_command),
        Setting(name=f"{name}.keyring", parse=parse.source_keyring),
    )


_FLOW = choice(
    *("auto", "device", "authorization-code", "client-credentials", "password"),
    also={"device-code": "device", "urn:ietf:params:oauth:grant-type:device-code": "device"},
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
    *("auto", "none", "basic", "post", "private_key_jwt"),
    also={"client-secret-basic": "basic", "client-secret-post": "post", "private-key-jwt": "private_key_jwt"},
)

PROFILE = _setting("profile", parse.text, "NAME", "take this profile from the config file")

SETTINGS: tuple[Setting, ...] = (
    _setting("issuer", parse.issuer, "URL", "make a profile of flags and variables; no file is read", fixed=True),
    _setting("client_id", parse.text, "ID", "the client id that the provider gave", fixed=True),
    _setting(
        "provider",
        choice(*providers.PROVIDERS),
        "PROVIDER",
        "how this provider differs: auth0, github and so on (default: by the issuer's host)",
        fixed=True,
    ),
    _setting(
        "flow",
        _FLOW,
        "FLOW",
        "how to sign in: auto, device, authorization-code, client-credentials or password",
    ),
    _setting(
        "redirect_uri",
        parse.redirect_uri,
        "URL",
        "where the browser brings its answer: http on loopback; without a port, any free one",
        fixed=True,
    ),
    _setting("audience", parse.text, "API", "the API that the token is for (Auth0's identifier)"),
    _setting("resource", parse.resource, "URI", "the resource that the token is for (RFC 8707)", repeat=True),
    _setting("scope", parse.scope, "SCOPE", "the scopes to ask for, instead of the default", repeat=True),
    _setting("token", _TOKEN, "KIND", "what the tools get: auto, access or id"),
    _setting("account", parse.text, "NAME", "who signs in; keeps two accounts of one issuer apart"),
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
    _setting("ca_file", parse.path, "PATH", "trust these certificates, too (PEM)", fixed=True),
    _setting(
        "parameters",
        parse.parameter,  # one at a time: parameters.NAME
        "NAME=VALUE",
        "one more parameter of the sign-in and token requests",
        flag="--parameter",
        variable="CREDENTIAL_HELPER_PARAMETERS",
        repeat=True,
    ),
    *(
        _setting(f"endpoints.{name}", parse.endpoint, "URL", f"{what}, instead of discovery", flag=flag, fixed=True)
        for name, what, flag in (
            ("authorization", "the authorization endpoint", "--authorization-endpoint"),
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
        "how the client authenticates: auto, none, basic, post or private_key_jwt",
        fixed=True,
    ),
    *_source("client_secret", "the client secret"),
    *_source("private_key", "the private key (PEM or JWK)"),
    _setting("private_key.kid", parse.text, "ID", "the key's id at the provider", flag="--private-key-kid", fixed=True),
    _setting(
        "private_key.algorithm",
        choice("RS256", "RS384", "PS256", "PS384", "ES256", "ES384"),
        "ALGORITHM",
        "how the key signs: RS256, PS256, ES256 or the same with 384",
        flag="--private-key-algorithm",
        fixed=True,
    ),
    _setting(
        "private_key.certificate",
        parse.path,
        "PATH",
        "the key's certificate (PEM), where the provider knows the key by it (Entra ID)",
        flag="--private-key-certificate",
        fixed=True,
    ),
    _setting(
        "private_key.audience",
        parse.assertion_audience,
        "URL",
        "whom the client's assertion is for, where not as the provider wants it",
        flag="--private-key-audience",
        fixed=True,
    ),
    _setting(
        "legacy", parse.boolean, "", "allow the flow password, which nothing new should use", switch=True, fixed=True
    ),
    _setting("realm", parse.text, "NAME", "the connection that knows the password (Auth0)", fixed=True),
    *_source("password", "the password"),
    _setting("git", git_urls, "URL", "serve git for this URL", repeat=True),
    _setting("docker", docker_servers, "SERVER", "serve docker, podman and skopeo for this registry", repeat=True),
    _setting("kubernetes", kubernetes_servers, "URL", "serve only this Kubernetes server", repeat=True),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}


def by_key(key: str) -> Setting:
    """Return the setting of a key; each parameters.NAME is one of ``parameters``."""
    return BY_NAME["parameters" if key.startswith("parameters.") else key]


# Settings that neither name a session nor change where it is kept.
NOT_OF_THE_SESSION = ("token", "interactive", "git", "docker", "kubernetes")


def names_an_issuer(provider: Written) -> bool:
    """Say whether a provider, as it was written, has one public service: its issuer need not be given."""
    try:
        return providers.PROVIDERS[str(BY_NAME["provider"].parse(provider))].issuer is not None
    except CredentialHelperError:
        return False


def without_issuer(setting: str) -> str:
    """Say which providers need no issuer; ``setting`` is how a provider is given."""
    names = [known.name for known in providers.PROVIDERS.values() if known.issuer is not None]
    return f"{setting} {', '.join(names[:-1])} or {names[-1]} stands for one"


# The keys that a file may have: of a profile, and of the tables in it whose keys are known.
PROFILE_KEYS = tuple(dict.fromkeys(setting.name.partition(".")[0] for setting in SETTINGS))
TABLE_KEYS = {
    table: tuple(name.partition(".")[2] for name in BY_NAME if name.startswith(f"{table}."))
    for table in ("endpoints", *SECRETS)
}


def add_flags(parser: argparse.ArgumentParser, *, without: Sequence[str] = ()) -> None:
    """Add every flag of the table; each dest is a setting's name, and a flag that is not given leaves no trace.

    No ``type`` and no ``choices``: argparse's own errors echo values.
    """
    import argparse

    group = parser.add_argument_group("profile")
    for setting in (PROFILE, *SETTINGS):
        if setting.flag and setting.name not in without:
            value: dict[str, Any] = {"action": "append" if setting.repeat else "store", "metavar": setting.metavar}
            group.add_argument(
                setting.flag,
                dest=setting.name,
                default=argparse.SUPPRESS,
                help=setting.help,
                **({"action": "store_true"} if setting.switch else value),
            )


# --- where values come from -------------------------------------------------------------------------------------------


def from_table(written: Written) -> tuple[dict[str, Written], list[CredentialHelperError]]:
    """Take a profile's table apart into settings; its unknown keys and odd tables are the errors."""
    table: dict[str, Any] = typed(written, dict[str, Any], "a table")
    errors = check_keys(written, table, PROFILE_KEYS)
    values: dict[str, Written] = {}
    for key, value in table.items():
        part = written.part(key, value)
        try:
            if key in TABLE_KEYS or key == "parameters":
                inner = _inner_table(key, part)
                known = TABLE_KEYS.get(key, tuple(inner))
                errors += check_keys(part, inner, known)
                values |= {f"{key}.{name}": part.part(name, inner[name]) for name in inner if name in known}
            elif key in PROFILE_KEYS:
                values[key] = part
        except CredentialHelperError as error:
            errors.append(error)
    return values, errors


def _inner_table(key: str, part: Written) -> dict[str, Any]:
    """Return a table in a profile's table; a secret that is written out, or nowhere, is told what to write instead."""
    hint = write_instead(key)
    if key in SECRETS and isinstance(part.value, str):
        itself = "a string" if key == "private_key" else f"the {key.rpartition('_')[2]} itself"  # a key's may be a path
        raise part.malformed(f"found {itself}, expected where to read it", hint=hint)
    inner: dict[str, Any] = typed(part, dict[str, Any], "a table")
    if key in SECRETS and not inner:
        raise part.malformed("found an empty table, expected where to read it", hint=hint)
    return inner


def from_flags(flags: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, Written]:
    """Return the settings that were given as flags, by setting name."""
    origin = Origin(kind="flag", expand=lambda path: places.expand(path, environ))
    given = {s.name: Written(flags[s.name], s.flag or s.name, origin) for s in SETTINGS if s.name in flags}
    return _parameters_apart(given)


def from_variables(environ: Mapping[str, str]) -> dict[str, Written]:
    """Return the settings that CREDENTIAL_HELPER_… variables give to an ad-hoc profile; empty means unset."""
    origin = Origin(kind="variable", expand=lambda path: places.expand(path, environ))
    given: dict[str, Written] = {}
    for setting in SETTINGS:
        value = environ.get(setting.variable, "") if setting.variable else ""
        if setting.variable and value:
            given[setting.name] = Written(value.split() if setting.repeat else value, setting.variable, origin)
    for name, variable in SECRETS.items():
        if environ.get(variable):
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
                parse.check_parameter_name(written, inner)
            judged[key] = by_key(key).parse(written)
        except CredentialHelperError as error:
            errors.append(error)
    known = providers.PROVIDERS.get(judged.get("provider", ""))
    if known is not None and known.issuer is not None and "issuer" not in values:
        judged["issuer"] = known.issuer
    errors += [absent(BY_NAME[key]) for key in ("issuer", "client_id") if key not in values and key not in judged]
    errors = errors or list(_contradictions(judged, values))
    if errors:
        return None, errors

    profile = Profile(
        name=name,
        ad_hoc=ad_hoc,
        **{key: value for key, value in judged.items() if "." not in key},
        parameters=tuple(_table_of("parameters", judged).items()),
        endpoints=Endpoints(**_table_of("endpoints", judged)),
        client_secret=_source_of("client_secret", judged),
        private_key=_private_key_of(judged),
        password=_source_of("password", judged),
        origins=tuple((key, written.where) for key, written in values.items()),
    )
    errors = list(_lacking(profile, values))
    return (None if errors else profile), errors


def _table_of(table: str, judged: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table's settings by their keys in it."""
    return {key.partition(".")[2]: value for key, value in judged.items() if key.startswith(f"{table}.")}


def _source_of(secret: str, judged: Mapping[str, Any]) -> Source | None:
    return next((judged[key] for kind in KINDS if (key := f"{secret}.{kind}") in judged), None)


def _private_key_of(judged: Mapping[str, Any]) -> PrivateKey | None:
    source = _source_of("private_key", judged)
    about = {key: value for key, value in _table_of("private_key", judged).items() if key not in KINDS}
    return None if source is None else PrivateKey(source=source, **about)


def _contradictions(judged: Mapping[str, Any], values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with settings that are fine one by one."""
    sources = {name: [key for kind in KINDS if (key := f"{name}.{kind}") in judged] for name in SECRETS}
    for several in sources.values():
        if len(several) > 1:
            yield values[several[1]].impossible(
                f"{values[several[0]].where} is given, too", hint="give one source of a secret"
            )
    yield from _of_the_client(judged, values, sources["client_secret"], sources["private_key"])
    yield from _of_the_flow(judged, values, sources["password"])

    # http is for one loopback origin: a second one, or https beside it, would take a secret somewhere else.
    endpoints = [key for key in judged if key.startswith("endpoints.")]
    plain = [key for key in ("issuer", *endpoints) if judged[key].startswith("http:")]
    if plain:
        origin = urls.parse_url(judged[plain[0]]).origin
        for key in endpoints:
            if urls.parse_url(judged[key]).origin != origin:
                yield values[key].impossible(f"expected an address on {origin}, as {values[plain[0]].where} is http")


# What each client_authentication needs.
_NEEDED = {"basic": "client_secret", "post": "client_secret", "private_key_jwt": "private_key"}


def _of_the_client(
    judged: Mapping[str, Any], values: Mapping[str, Written], secrets: Sequence[str], keys: Sequence[str]
) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with how the client says who it is: with nothing, with a secret, or with a key."""
    method = judged.get("client_authentication", "auto")
    given = [*secrets, *keys]
    unmet = _NEEDED.get(method, "") not in ("", *(key.partition(".")[0] for key in given))
    if secrets and keys:
        yield values[keys[0]].impossible(
            f"{values[secrets[0]].where} is given, too", hint="give a client secret or a private key"
        )
    elif given and (unmet or (keys and method == "none")):
        yield values["client_authentication"].impossible(f"{method} does not go with {values[given[0]].where}")
    elif unmet:
        what = _NEEDED[method].replace("_", " ")
        yield values["client_authentication"].impossible(
            f"{method} needs a {what}", hint=_how_to_give(_NEEDED[method], values)
        )
    elif judged.get("flow") == "client-credentials" and method != "none" and not given:
        yield values["flow"].impossible(
            "client-credentials needs a client secret or a private key", hint=_how_to_give("client_secret", values)
        )
    about = next((key for key in judged if key.startswith("private_key.")), None)
    if about is not None and not keys:
        yield values[about].impossible("there is no key", hint=_how_to_give("private_key", values))


def _how_to_give(name: str, values: Mapping[str, Written]) -> str:
    """Say where a secret's source is written; a flag cannot give one to a profile of the file."""
    if _of_file(values):
        return write_instead(name)
    flag = "--" + name.replace("_", "-")
    return f"give {flag}-env NAME or {flag}-file PATH, or set {SECRETS[name]}"


def _of_file(values: Mapping[str, Written]) -> bool:
    """Say whether this is a profile of the file, whatever is laid over it."""
    return values["client_id"].origin.is_file


def _of_the_flow(
    judged: Mapping[str, Any], values: Mapping[str, Written], passwords: Sequence[str]
) -> Iterator[CredentialHelperError]:
    """Yield what is wrong with settings that are for one way to sign in."""
    flow = judged.get("flow", "auto")
    if flow == "password" and not judged.get("legacy"):
        yield values["flow"].impossible(
            "password shows this program the password, which RFC 9700 §2.4 forbids, and needs legacy = true",
            hint=f"if no other flow can be used, {'write legacy = true' if _of_file(values) else 'give --legacy'}",
        )
    only = {**dict.fromkeys(("realm", *passwords), ("password",)), "redirect_uri": ("auto", "authorization-code")}
    for key, flows in only.items():
        # A flow that a flag chooses for once does not make the rest of the profile wrong.
        beside = key in values and ("flow" not in values or values["flow"].origin.kind == values[key].origin.kind)
        if beside and flow not in flows:
            yield values[key].impossible(f'does not go with flow = "{flow}"', hint=f'it is for flow = "{flows[-1]}"')
    if flow == "password" and passwords and "account" not in judged:
        yield values[passwords[0]].impossible(
            "there is no account, whose password it is",
            hint='write account = "NAME"' if _of_file(values) else "give --account NAME",
        )


def _lacking(profile: Profile, values: Mapping[str, Written]) -> Iterator[CredentialHelperError]:
    """Yield what the provider cannot do."""
    known = providers.of(profile)
    if profile.flow != "auto" and profile.flow not in known.flows:
        generic = 'provider = "generic"' if _of_file(values) else "--provider generic"
        yield values["flow"].impossible(
            f'{known.title} has no flow "{profile.flow}"',
            hint=f"it has {', '.join(sorted(known.flows))}; {generic} tries it all the same",
        )


# --- back to the command line -----------------------------------------------------------------------------------------


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
        if not setting.flag or in_file or ours or setting.name in NOT_OF_THE_SESSION:
            continue
        if setting.switch:
            words += [setting.flag] if getattr(profile, key) else []
        else:
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
    if table == "private_key" and inner in KINDS:
        return list(value.source.value)
    if table == "private_key":
        return [getattr(value, inner)]
    if table in SECRETS:
        return list(value.value)
    if table == "scope":
        return [" ".join(value)]
    return value if isinstance(value, tuple) else [value]
