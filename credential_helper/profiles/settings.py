"""Every setting of a profile, in one table: its key, flag, variable, parser and help.

The table makes the command line's options, says which keys a file may have and which variables an ad-hoc profile reads,
and puts a profile together from whatever was written; ``origins`` then tells where each setting came from.

- A setting that is ``fixed`` is about who is asked and with what: no flag may change it in a profile of the file.
- A secret has one source, of which the keyring and a command are for config files only: whoever wrote a command line
  may have written its issuer, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from credential_helper import providers
from credential_helper.errors import CredentialHelperError
from credential_helper.flows import CLIENT_AUTHENTICATION, FLOWS, spelt
from credential_helper.profiles import parse, proofs, shared
from credential_helper.profiles.entries import parser_of
from credential_helper.profiles.parse import choice
from credential_helper.profiles.written import Written
from credential_helper.text import either
from credential_helper.tools import LISTED
from credential_helper.workloads import WORKLOADS

if TYPE_CHECKING:
    import argparse

# The settings that say where a secret is read; each has a variable that holds the secret itself, for an ad-hoc profile.
SECRETS = {
    name: f"CREDENTIAL_HELPER_{name.upper().replace('.', '_')}"
    for name in ("client_secret", "private_key", "tls.private_key", "password", "shared_cache_password", "cache_key")
}
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

    @property
    def common(self) -> bool:
        """Say whether --help names it without being asked for every flag."""
        return self.name in _COMMON


_COMMON = ("profile", "issuer", "client_id", "flow", "audience", "scope", "token", "account")


def _setting(name: str, parser: Callable[[Written], object], metavar: str, help: str, **more: Any) -> Setting:  # noqa: A002
    """Return a setting whose flag and variable are named after it, where nothing else is said."""
    flag = more.setdefault("flag", "--" + name.replace("_", "-"))
    more.setdefault("variable", "CREDENTIAL_HELPER_" + flag[2:].replace("-", "_").upper())
    return Setting(name=name, parse=parser, metavar=metavar, help=help, **more)


def _source(name: str, what: str) -> tuple[Setting, ...]:
    """Return the settings that say where a secret is read."""
    flag = "--" + name.replace("_", "-").replace(".", "-")
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


_FLOW = choice("auto", *FLOWS, also=spelt(FLOWS))
_TOKEN = choice(
    *("auto", "access", "id"),
    also={
        "access-token": "access",
        "id-token": "id",
        "urn:ietf:params:oauth:token-type:access-token": "access",
        "urn:ietf:params:oauth:token-type:id-token": "id",
    },
)
_CLIENT_AUTHENTICATION = choice("auto", *CLIENT_AUTHENTICATION, also=spelt(CLIENT_AUTHENTICATION))

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
        f"how to sign in: {either(['auto', *FLOWS])}",
    ),
    _setting(
        "redirect_uri",
        parse.redirect_uri,
        "URL",
        "where the browser brings its answer, on loopback; without a port, any free one",
    ),
    _setting(
        "redirect_certificate",
        parse.path,
        "PATH",
        "the certificate (PEM) of an https redirect URI, which the browser trusts",
        fixed=True,
    ),
    _setting(
        "redirect_private_key.file",
        parse.source_file,
        "PATH",
        "that certificate's private key (PEM)",
        flag="--redirect-private-key-file",
        fixed=True,
    ),
    _setting(
        "pushed_authorization_requests",
        parse.boolean,
        "",
        "send the request to the provider first, and the browser after it (RFC 9126)",
        switch=True,
    ),
    _setting("audience", parse.text, "API", "the API that the token is for (Auth0's identifier)"),
    _setting("resource", parse.resource, "URI", "the resource that the token is for (RFC 8707)", repeat=True),
    _setting(
        "multi_resource",
        choice("auto", "refresh", "exchange", "off"),
        "HOW",
        "how one sign-in serves several audiences: auto, refresh, exchange, or off (a sign-in for each)",
    ),
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
    _setting(
        "renew",
        choice("auto", "ahead", "on-demand"),
        "WHEN",
        "when a token is renewed: auto, ahead (also in CI and containers), or on-demand",
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
            (
                "pushed_authorization_request",
                "the endpoint for pushed authorization requests",
                "--pushed-authorization-request-endpoint",
            ),
            ("jwks", "where the provider's keys are", "--jwks-uri"),
        )
    ),
    _setting(
        "client_authentication",
        _CLIENT_AUTHENTICATION,
        "METHOD",
        f"how the client authenticates: {either(['auto', *CLIENT_AUTHENTICATION])}",
        fixed=True,
    ),
    *_source("client_secret", "the client secret"),
    *_source("private_key", "the private key (PEM or JWK)"),
    _setting("private_key.kid", parse.text, "ID", "the key's id at the provider", flag="--private-key-kid", fixed=True),
    _setting(
        "private_key.algorithm",
        choice("RS256", "RS384", "PS256", "PS384", "ES256", "ES384", "EdDSA", "Ed25519", "Ed448"),
        "ALGORITHM",
        "how the key signs: RS256, PS256, ES256 or the same with 384, EdDSA, Ed25519 or Ed448",
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
        "tls.certificate",
        parse.certificate,
        "PATH",
        "the certificate (PEM) that the client shows, for mutual TLS (RFC 8705)",
        flag="--tls-certificate",
        fixed=True,
    ),
    *_source("tls.private_key", "that certificate's private key (PEM)"),
    _setting(
        "workload",
        proofs.workload,
        "PLATFORM",
        f"sign in with the token that a platform gives the job: {either(['auto', *WORKLOADS])}",
        fixed=True,
    ),
    Setting(name="subject", parse=proofs.subject),
    _setting(
        "subject_token_type",
        proofs.subject_token_type,
        "TYPE",
        "what the token is that is exchanged: jwt, id-token, access-token or a URI",
        fixed=True,
    ),
    _setting(
        "legacy", parse.boolean, "", "allow the flow password, which nothing new should use", switch=True, fixed=True
    ),
    _setting("realm", parse.text, "NAME", "the connection that knows the password (Auth0)", fixed=True),
    *_source("password", "the password"),
    _setting(
        "shared_cache",
        shared.address,
        "URL",
        "the Redis or Valkey server where machines share a token: rediss://USER@HOST:6380/0",
        fixed=True,
    ),
    *_source("shared_cache_password", "that server's password"),
    *_source("cache_key", "the key that the machines of a fleet have in common"),
    *(
        _setting(key, parser_of(tool.hosts), tool.hosts.metavar, tool.hosts.help, repeat=True)
        for key, tool in LISTED.items()
        if tool.hosts is not None
    ),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}

# Every variable of our prefix that is known, but those that hold a secret. The last are another program's.
_OTHERS = "CONFIG INTERACTIVE PASSWORD_STORAGE PROMPT STATE_DIR VERBOSE BIN CONFIG_FILE IDLE_TIMEOUT LOGGING STANDALONE"
VARIABLES = {setting.variable for setting in (PROFILE, *SETTINGS) if setting.variable}
VARIABLES |= {f"CREDENTIAL_HELPER_{name}" for name in _OTHERS.split()}


def by_key(key: str) -> Setting:
    """Return the setting of a key; each parameters.NAME is one of ``parameters``."""
    return BY_NAME["parameters" if key.startswith("parameters.") else key]


def names_an_issuer(provider: Written) -> bool:
    """Say whether a provider, as it was written, has one public service: its issuer need not be given."""
    try:
        return providers.PROVIDERS[str(BY_NAME["provider"].parse(provider))].issuer is not None
    except CredentialHelperError:
        return False


def without_issuer(setting: str) -> str:
    """Say which providers need no issuer; ``setting`` is how a provider is given."""
    names = [known.name for known in providers.PROVIDERS.values() if known.issuer is not None]
    return f"{setting} {either(names)} stands for one"


# The keys that a file may have: of a profile, and of the tables in it (and in them) whose keys are known.
PROFILE_KEYS = tuple(dict.fromkeys(setting.name.partition(".")[0] for setting in SETTINGS))
TABLE_KEYS = {
    table: tuple(
        dict.fromkeys(
            name.removeprefix(f"{table}.").partition(".")[0] for name in BY_NAME if name.startswith(f"{table}.")
        )
    )
    for table in ("endpoints", "redirect_private_key", "tls", *SECRETS)
}


def add_flags(
    parser: argparse.ArgumentParser, *, without: Sequence[str] = (), every: bool = True, remark: str | None = None
) -> None:
    """Add every flag of the table; each dest is a setting's name, and a flag that is not given leaves no trace.

    ``every``: help names them all, else only the common ones, below ``remark``. No ``type`` and no ``choices``:
    argparse's own errors echo values.
    """
    import argparse

    group = parser.add_argument_group("profile", remark)
    for setting in (PROFILE, *SETTINGS):
        if setting.flag and setting.name not in without:
            value: dict[str, Any] = {"action": "append" if setting.repeat else "store", "metavar": setting.metavar}
            group.add_argument(
                setting.flag,
                dest=setting.name,
                default=argparse.SUPPRESS,
                help=setting.help if every or setting.common else argparse.SUPPRESS,
                **({"action": "store_true"} if setting.switch else value),
            )


Given = dict[str, object]  # the flags that were given, by setting name

TYPED = "typed"  # among the flags: a person typed them at a terminal
