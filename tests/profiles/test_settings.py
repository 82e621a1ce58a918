from __future__ import annotations

import argparse
import itertools
import re

import pytest

from credential_helper import places, providers
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.model import Endpoints, PrivateKey, Profile, Source
from credential_helper.profiles import parse, settings
from credential_helper.profiles.assembly import assemble
from credential_helper.profiles.hints import hint_flags
from credential_helper.profiles.inputs import from_flags, from_table, from_variables
from credential_helper.profiles.written import FileKind, Origin, Written
from credential_helper.tools import LISTED

Environ = dict[str, str]


def flags_of(*argv: str) -> dict[str, object]:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    settings.add_flags(parser)
    return vars(parser.parse_args(argv))


def as_written(table: dict[str, object], name: str = "prod", kind: FileKind = "user") -> Written:
    return Written(table, f"f.toml: profiles.{name}", Origin(kind=kind, folder="/etc/x"))


def assembled(values: dict[str, Written], *, ad_hoc: bool = False) -> Profile:
    profile, errors = assemble("prod", values, absent=missing, ad_hoc=ad_hoc)
    for error in errors:
        raise error
    assert profile is not None
    return profile


def missing(setting: settings.Setting) -> CredentialHelperError:
    return UsageError(f"{setting.name} is missing")


def from_file(**table: object) -> Profile:
    values, errors = from_table(as_written({"issuer": "https://x", "client_id": "c"} | table))
    for error in errors:
        raise error
    return assembled(values)


def refused(**table: object) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        from_file(**table)
    return caught.value


# --- the table


def test_every_setting_that_is_no_secret_and_no_table_has_a_flag() -> None:
    """Whoever wrote a command line wrote its issuer, too: what the keyring holds is not for them to send anywhere.

    Nor is another profile's token.
    """
    without = [f"{secret}.{kind}" for secret in settings.SECRETS for kind in ("command", "keyring")]
    assert sorted(s.name for s in settings.SETTINGS if not s.flag) == sorted([*without, "subject"])


def test_flags_and_variables_are_each_named_once() -> None:
    for names in ([s.flag for s in settings.SETTINGS if s.flag], [s.variable for s in settings.SETTINGS if s.variable]):
        assert len(set(names)) == len(names)


def test_no_variable_is_one_of_another_tool_s() -> None:
    taken = ("CONFIG_FILE", "LOGGING", "BIN", "STANDALONE", "IDLE_TIMEOUT", "AGENT_")
    ours = ("CONFIG", "STATE_DIR", "VERBOSE", "INTERACTIVE", "PROMPT", "PRIVATE_KEY", "PASSWORD", "CLIENT_SECRET")
    for setting, name in itertools.product((*settings.SETTINGS, settings.PROFILE), taken):
        assert not (setting.variable or "").startswith(f"CREDENTIAL_HELPER_{name}")
        assert setting.variable not in {f"CREDENTIAL_HELPER_{name}" for name in ours}
    assert set(settings.SECRETS.values()) == set(places.SECRET_VARIABLES)


def test_every_setting_becomes_a_field_of_the_profile() -> None:
    for setting in settings.SETTINGS:
        table, _, key = setting.name.partition(".")
        assert table in (*Profile.__struct_fields__, *LISTED)
        assert table != "endpoints" or key in Endpoints.__struct_fields__
        assert table != "private_key" or key in (*settings.KINDS, *PrivateKey.__struct_fields__)


def test_who_is_asked_and_with_what_is_fixed() -> None:
    with_flags = {setting.name for setting in settings.SETTINGS if setting.fixed}
    assert with_flags == {
        *("issuer", "client_id", "provider", "client_authentication", "ca_file", "legacy", "realm"),
        *(f"endpoints.{name}" for name in Endpoints.__struct_fields__),
        *(f"{secret}.{kind}" for secret in settings.SECRETS for kind in ("env", "file")),
        *("redirect_certificate", "redirect_private_key.file"),
        *("private_key.kid", "private_key.algorithm", "private_key.certificate", "private_key.audience"),
        "tls.certificate",
        *("workload", "subject_token_type", "shared_cache"),
    }


# --- flags


def test_flags_that_are_not_given_leave_no_trace() -> None:
    assert flags_of() == {}


def test_a_flag_s_dest_is_the_setting_s_name() -> None:
    argv = [word for s in settings.SETTINGS if s.flag for word in ([s.flag] if s.switch else [s.flag, "x"])]
    assert set(flags_of(*argv, "--profile", "prod")) == {"profile", *(s.name for s in settings.SETTINGS if s.flag)}


def test_lists_are_flags_that_may_be_given_several_times() -> None:
    flags = flags_of("--scope", "a", "--scope", "b c", "--parameter", "x=1", "--parameter", "y=a=b")
    assert flags == {"scope": ["a", "b c"], "parameters": ["x=1", "y=a=b"]}


def test_a_flag_that_another_argument_replaces_can_be_left_out() -> None:
    parser = argparse.ArgumentParser()
    settings.add_flags(parser, without=("profile",))
    assert "--profile" not in parser.format_help()
    assert "--issuer" in parser.format_help()


def test_every_flag_is_offered_with_a_word_of_help() -> None:
    parser = argparse.ArgumentParser()
    settings.add_flags(parser)
    assert all(setting.help for setting in settings.SETTINGS if setting.flag)
    assert set(re.findall(r"^  (--[a-z-]+)", parser.format_help(), re.MULTILINE)) == {
        *(setting.flag for setting in (settings.PROFILE, *settings.SETTINGS) if setting.flag)
    }


def test_a_switch_has_no_value() -> None:
    assert flags_of("--legacy") == {"legacy": True}


# --- a table of the file


def test_issuer_and_client_id_make_a_profile() -> None:
    expected = Profile(
        name="prod",
        issuer="https://x",
        client_id="c",
        origins=(("issuer", "f.toml: profiles.prod.issuer"), ("client_id", "f.toml: profiles.prod.client_id")),
    )
    assert from_file() == expected


def test_every_key_of_the_file_arrives() -> None:
    profile = from_file(
        flow="client_credentials",
        audience="api",
        resource=["https://r"],
        scope="a b",
        token="id_token",
        account="ada@example.com",
        interactive="never",
        store="none",
        ca_file="corp.pem",
        parameters={"organization": "org_1", "x": ""},
        endpoints={
            "token": "https://t",
            "device_authorization": "https://d",
            "revocation": "https://r",
            "jwks": "https://j",
            "authorization": "https://a",
        },
        provider="keycloak",
        client_authentication="client_secret_post",
        client_secret={"env": "CI_SECRET"},
        git=["https://git.example.com"],
        docker=["registry.example.com"],
        kubernetes=["https://api.example.com"],
    )
    assert profile.flow == "client-credentials"
    assert (profile.audience, profile.resource, profile.scope) == ("api", ("https://r",), ("a", "b"))
    assert (profile.token, profile.account, profile.interactive) == ("id", "ada@example.com", "never")
    assert (profile.store, profile.ca_file) == ("none", "/etc/x/corp.pem")
    assert profile.parameters == (("organization", "org_1"), ("x", ""))
    assert profile.endpoints == Endpoints(
        authorization="https://a",
        token="https://t",
        device_authorization="https://d",
        revocation="https://r",
        jwks="https://j",
    )
    assert (profile.provider, profile.client_authentication) == ("keycloak", "post")
    assert profile.client_secret is not None
    assert profile.client_secret.value == ("CI_SECRET",)
    assert profile.client_secret.origin == "f.toml: profiles.prod.client_secret.env"
    assert profile.lists("git")[0].url == "https://git.example.com:443"
    assert profile.lists("docker")[0].url == "https://registry.example.com:443"
    assert [entry.url for entry in profile.lists("kubernetes")] == ["https://api.example.com:443"]
    assert dict(profile.origins)["endpoints.jwks"] == "f.toml: profiles.prod.endpoints.jwks"
    assert dict(profile.origins)["parameters.organization"] == "f.toml: profiles.prod.parameters.organization"


def test_every_key_of_the_browser_flow_arrives() -> None:
    profile = from_file(
        flow="authorization_code",
        redirect_uri="http://localhost:8252/callback",
        client_authentication="private_key_jwt",
        private_key={
            "file": "key.pem",
            "kid": "k1",
            "algorithm": "PS256",
            "certificate": "cert.pem",
            "audience": "https://x/",
        },
    )
    assert (profile.flow, profile.redirect_uri) == ("authorization-code", "http://localhost:8252/callback")
    assert profile.client_authentication == "private_key_jwt"
    source = Source(kind="file", value=("/etc/x/key.pem",), origin="f.toml: profiles.prod.private_key.file")
    assert profile.private_key == PrivateKey(
        source=source, kid="k1", algorithm="PS256", certificate="/etc/x/cert.pem", audience="https://x/"
    )


TLS: dict[str, object] = {"certificate": "cert.pem", "private_key": {"file": "key.pem"}}


def test_a_certificate_and_its_key_arrive() -> None:
    profile = from_file(tls=TLS, client_authentication="tls")
    where = "f.toml: profiles.prod.tls"
    assert profile.tls == (
        Source(kind="file", value=("/etc/x/cert.pem",), origin=f"{where}.certificate", public=True),
        Source(kind="file", value=("/etc/x/key.pem",), origin=f"{where}.private_key.file"),
    )


@pytest.mark.parametrize(
    "method", ["tls", "tls_client_auth", "self_signed_tls_client_auth", "self-signed-tls-client-auth"]
)
def test_mutual_tls_may_be_spelt_as_in_its_rfc(method: str) -> None:
    assert from_file(tls=TLS, client_authentication=method).client_authentication == "tls"


@pytest.mark.parametrize(
    ("written", "kind", "value"),
    [
        ("cert.pem", "file", ("/etc/x/cert.pem",)),
        ({"file": "cert.pem"}, "file", ("/etc/x/cert.pem",)),
        ({"command": ["step", "ca"]}, "command", ("step", "ca")),
        ({"keyring": "ci-cert"}, "keyring", ("ci-cert",)),
        ({"env": "CI_CERT"}, "env", ("CI_CERT",)),
    ],
)
def test_a_certificate_is_read_where_a_secret_may_be(written: object, kind: str, value: tuple[str, ...]) -> None:
    profile = from_file(tls={**TLS, "certificate": written})
    assert profile.tls is not None
    assert (profile.tls[0].kind, profile.tls[0].value, profile.tls[0].public) == (kind, value, True)


@pytest.mark.parametrize("certificate", [{}, {"file": "a", "env": "B"}, {"path": "a"}])
def test_a_certificate_has_one_source(certificate: object) -> None:
    error = refused(tls={**TLS, "certificate": certificate})
    assert error.sentence.endswith("profiles.prod.tls.certificate: expected a path, or a table with one source")
    assert error.hint == parse.write_instead("tls.certificate")


IN_THE_FILE = 'write tls = { certificate = "PATH", private_key = { file = "PATH" } }'


@pytest.mark.parametrize(
    ("table", "sentence", "hint"),
    [
        ({"tls": {"certificate": "c"}}, "tls.certificate: there is no private_key beside it", IN_THE_FILE),
        (
            {"tls": {"private_key": {"file": "k"}}},
            "tls.private_key.file: there is no certificate beside it",
            IN_THE_FILE,
        ),
        (
            {"tls": {}, "client_authentication": "tls"},
            "client_authentication: tls needs a certificate and its key",
            IN_THE_FILE,
        ),
        (
            {"tls": TLS, "client_secret": {"env": "S"}},
            "tls.certificate: f.toml: profiles.prod.client_secret.env is given, too",
            "give a client secret, a private key or a certificate",
        ),
        (
            {"tls": TLS, "private_key": {"env": "S"}},
            "tls.certificate: f.toml: profiles.prod.private_key.env is given, too",
            "give a client secret, a private key or a certificate",
        ),
        (
            {"tls": TLS, "client_authentication": "none"},
            "client_authentication: none does not go with f.toml: profiles.prod.tls.certificate",
            None,
        ),
        (
            {"tls": TLS, "client_authentication": "private_key_jwt"},
            "client_authentication: private_key_jwt does not go with f.toml: profiles.prod.tls.certificate",
            None,
        ),
        (
            {"tls": TLS, "issuer": "http://127.0.0.1:1"},
            "tls.certificate: a certificate is shown in TLS only, and f.toml: profiles.prod.issuer is http",
            None,
        ),
        (
            {"tls": TLS, "endpoints": {"token": "http://127.0.0.1:1/token"}},
            "tls.certificate: a certificate is shown in TLS only, and f.toml: profiles.prod.endpoints.token is http",
            None,
        ),
    ],
)
def test_what_does_not_go_with_a_certificate(table: dict[str, object], sentence: str, hint: str | None) -> None:
    error = refused(**table)
    assert (error.sentence, error.hint) == (f"f.toml: profiles.prod.{sentence}", hint)


@pytest.mark.parametrize("key", ["-----BEGIN PRIVATE KEY-----", {}, {"kty": "hunter2"}])
def test_the_key_of_a_certificate_is_not_written_out(key: object) -> None:
    error = refused(tls={**TLS, "private_key": key})
    assert "profiles.prod.tls.private_key" in error.sentence
    assert error.hint is None or error.hint.startswith('write tls.private_key = { env = "NAME" }')
    assert "BEGIN" not in f"{error!r}{error.hint}"
    assert "hunter2" not in f"{error!r}{error.hint}"


def test_a_certificate_of_flags_is_told_in_flags(environ: Environ) -> None:
    argv = [
        *("--issuer", "https://x/", "--client-id", "c", "--flow", "client-credentials"),
        *("--client-authentication", "tls", "--tls-certificate", "/cert", "--tls-private-key-file", "/key"),
    ]
    profile = assembled(from_flags(flags_of(*argv), environ), ad_hoc=True)
    assert sorted(hint_flags(profile)) == sorted(argv)
    assert again(profile, environ) == profile
    lacking = from_flags(flags_of(*argv[:-2]), environ)
    with pytest.raises(ConfigurationError) as caught:
        assembled(lacking, ad_hoc=True)
    assert caught.value.hint == (
        "give --tls-certificate PATH, and --tls-private-key-file PATH or --tls-private-key-env NAME"
    )


SECURE: dict[str, object] = {
    "redirect_uri": "https://localhost:8000/callback",
    "redirect_certificate": "cert.pem",
    "redirect_private_key": {"file": "key.pem"},
}


def test_every_key_of_an_https_redirect_uri_arrives() -> None:
    profile = from_file(**SECURE)
    assert (profile.redirect_uri, profile.redirect_certificate) == (SECURE["redirect_uri"], "/etc/x/cert.pem")
    origin = "f.toml: profiles.prod.redirect_private_key.file"
    assert profile.redirect_private_key == Source(kind="file", value=("/etc/x/key.pem",), origin=origin)


def test_every_key_of_the_password_flow_arrives() -> None:
    profile = from_file(
        flow="password", legacy=True, realm="Users", account="ada", password={"command": ["pass", "show", "ada"]}
    )
    assert (profile.flow, profile.legacy, profile.realm, profile.account) == ("password", True, "Users", "ada")
    assert profile.password is not None
    assert profile.password.value == ("pass", "show", "ada")


@pytest.mark.parametrize("kind", settings.KINDS)
@pytest.mark.parametrize("secret", settings.SECRETS)
def test_every_secret_has_the_same_sources(secret: str, kind: str) -> None:
    value: object = ["op"] if kind == "command" else "x"
    shared: dict[str, object] = {"flow": "client-credentials", "client_secret": {"env": "X"}}
    shared["shared_cache"] = "rediss://cache.example.com"
    more = {
        "password": {"flow": "password", "legacy": True, "account": "a"},
        "shared_cache_password": shared,
        "cache_key": shared,
    }.get(secret, {})
    table, _, inner = secret.partition(".")
    beside = {"tls": {"certificate": "cert.pem"}}.get(table, {})
    profile = from_file(**{table: {**beside, inner: {kind: value}} if inner else {kind: value}}, **more)
    found = getattr(profile, table)
    source = found.source if isinstance(found, PrivateKey) else found[1] if table == "tls" else found
    assert (source.kind, source.origin) == (kind, f"f.toml: profiles.prod.{secret}.{kind}")


@pytest.mark.parametrize(
    ("table", "flow"),
    [
        *(("device", "device"), ("device_code", "device"), ("urn:ietf:params:oauth:grant-type:device_code", "device")),
        *(("client_credentials", "client-credentials"), ("authorization_code", "authorization-code")),
        *(("authorization-code", "authorization-code"), ("password", "password")),
    ],
)
def test_a_flow_may_be_spelt_as_in_its_rfc(table: str, flow: str) -> None:
    assert from_file(flow=table, client_secret={"env": "X"}, legacy=True).flow == flow


@pytest.mark.parametrize(("value", "token"), [("access_token", "access"), ("id-token", "id"), ("auto", "auto")])
def test_a_token_may_be_spelt_as_in_its_rfc(value: str, token: str) -> None:
    assert from_file(token=value).token == token


@pytest.mark.parametrize(
    ("value", "method"), [("client_secret_basic", "basic"), ("client-secret-post", "post"), ("none", "none")]
)
def test_a_method_of_client_authentication_may_be_spelt_as_in_its_rfc(value: str, method: str) -> None:
    assert from_file(client_authentication=value, client_secret={"env": "X"}).client_authentication == method


@pytest.mark.parametrize("value", ["private_key_jwt", "private-key-jwt"])
def test_so_may_the_one_with_a_key(value: str) -> None:
    profile = from_file(client_authentication=value, private_key={"env": "X"})
    assert profile.client_authentication == "private_key_jwt"


@pytest.mark.parametrize(
    ("secret", "found"),
    [("client_secret", "the secret itself"), ("password", "the password itself"), ("private_key", "a string")],
)
def test_a_secret_that_is_written_out_is_refused_with_what_to_write_instead(secret: str, found: str) -> None:
    error = refused(**{secret: "hunter2"})
    assert error.sentence == f"f.toml: profiles.prod.{secret}: found {found}, expected where to read it"
    assert error.hint == parse.write_instead(secret)
    assert error.hint.startswith(f'write {secret} = {{ env = "NAME" }}, {{ file = "PATH" }}, {{ keyring = "NAME" }} or')
    assert "hunter2" not in f"{error!r}{error.hint}"


def test_a_key_that_is_written_out_as_a_table_is_not_shown() -> None:
    error = refused(private_key={"kty": "RSA", "d": "hunter2"})
    assert error.sentence.startswith("f.toml: profiles.prod.private_key.kty: unknown key, expected one of env, file")
    assert "hunter2" not in f"{error!r}{error.sentence}{error.hint}"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({}, "client_secret: found an empty table, expected where to read it"),
        (1, "client_secret: found a number, expected a table"),
        ({"value": "x"}, "client_secret.value: unknown key, expected one of env, file, command, keyring"),
        ({"env": "A", "file": "b"}, "client_secret.file: f.toml: profiles.prod.client_secret.env is given, too"),
        (
            {"command": "op read x"},
            'client_secret.command: found a string, expected a list of words, as ["op", "read", "…"]',
        ),
    ],
)
def test_a_secret_has_exactly_one_source(table: object, sentence: str) -> None:
    assert refused(client_secret=table).sentence.startswith(f"f.toml: profiles.prod.{sentence}")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            {"flow": 1},
            "flow: found a number, expected auto, device, authorization-code, client-credentials, password, "
            "jwt-bearer or token-exchange",
        ),
        ({"legacy": "true"}, "legacy: found a string, expected true or false"),
        ({"realm": True}, "realm: found true or false, expected a string"),
        ({"redirect_uri": 8252}, "redirect_uri: found a number, expected a string"),
        ({"redirect_private_key": "key.pem"}, "redirect_private_key: expected the file to read it from"),
        ({"redirect_private_key": {}}, "redirect_private_key: expected the file to read it from"),
        ({"redirect_private_key": {"env": "K"}}, "redirect_private_key.env: unknown key, expected one of file"),
        (
            {"private_key": {"pem": "x"}},
            "private_key.pem: unknown key, expected one of env, file, command, keyring, kid, algorithm, certificate, "
            "audience",
        ),
        (
            {"private_key": {"env": "X", "audience": "hunter2"}},
            "private_key.audience: expected issuer, token_endpoint or an absolute URI",
        ),
        ({"private_key": {"env": "X", "certificate": 1}}, "private_key.certificate: found a number, expected a string"),
        (
            {"private_key": {"env": "X", "algorithm": "HS256"}},
            'private_key.algorithm: found "HS256", expected RS256, RS384, PS256, PS384, ES256, ES384, EdDSA, Ed25519 '
            "or Ed448",
        ),
        ({"password": {}}, "password: found an empty table, expected where to read it"),
        (
            {"password": {"keyring": "a b"}},
            "password.keyring: expected a name of up to 100 letters, digits, -, _ and .",
        ),
        ({"issuer": ["x"]}, "issuer: found a list, expected a string"),
        ({"ca_file": True}, "ca_file: found true or false, expected a string"),
        ({"endpoints": "https://x"}, "endpoints: found a string, expected a table"),
        ({"endpoints": {"tokn": "https://x"}}, "endpoints.tokn: unknown key; did you mean token?"),
        ({"parameters": ["a=b"]}, "parameters: found a list, expected a table"),
        ({"parameters": {"max_age": 1}}, "parameters.max_age: found a number, expected a string"),
        ({"parameters": {"scope": "x"}}, "parameters.scope: this program sets scope itself"),
        ({"git": "https://x"}, "git: found a string, expected a list of URLs or tables"),
        (
            {"kubernetes": [1]},
            "kubernetes[0]: found a number, expected a string or a table with url, audience, resource, scope",
        ),
        ({"clientid": "x"}, "clientid: unknown key; did you mean client_id?"),
        ({"client-secret": "x"}, "client-secret: unknown key; did you mean client_secret?"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(table: dict[str, object], sentence: str) -> None:
    assert refused(**table).sentence == f"f.toml: profiles.prod.{sentence}"


def test_a_dotted_name_is_told_how_to_write_it() -> None:
    error = refused(eu={"issuer": "https://x"})
    assert error.sentence.startswith("f.toml: profiles.prod.eu: unknown key")
    assert error.hint == "a dot makes a table inside a table: write [profiles.prod-eu]"


def test_all_that_is_wrong_is_found_at_once() -> None:
    values, errors = from_table(as_written({"isuer": "x", "flow": 1, "scope": 2, "password": ""}))
    _, more = assemble("prod", values, absent=missing)
    assert [error.sentence.removeprefix("f.toml: profiles.prod.").partition(":")[0] for error in errors + more] == [
        *("isuer", "password", "flow", "scope", "issuer is missing", "client_id is missing")
    ]


# --- settings that do not go together


@pytest.mark.parametrize(
    ("table", "what", "source"),
    [
        ({"flow": "client-credentials"}, "a client secret or a private key", "client_secret"),
        ({"client_authentication": "basic"}, "a client secret", "client_secret"),
        ({"client_authentication": "post"}, "a client secret", "client_secret"),
        ({"client_authentication": "private_key_jwt"}, "a private key", "private_key"),
        ({"client_authentication": "private_key_jwt", "flow": "client-credentials"}, "a private key", "private_key"),
    ],
)
def test_what_needs_a_secret_or_a_key_says_so(table: dict[str, object], what: str, source: str) -> None:
    error = refused(**table)
    assert error.sentence.endswith(f"needs {what}")
    assert error.hint == parse.write_instead(source)
    assert from_file(**table, **{source: {"env": "X"}})


def test_a_machine_may_have_a_key_instead_of_a_secret() -> None:
    profile = from_file(flow="client-credentials", private_key={"env": "X"})
    assert (profile.client_authentication, profile.client_secret) == ("auto", None)


def test_what_is_missing_is_told_as_it_can_be_given(environ: Environ) -> None:
    """A flag cannot give a secret to a profile of the file."""
    flags = from_flags(flags_of("--flow", "client-credentials"), environ)
    values, _ = from_table(as_written({"issuer": "https://x", "client_id": "c"}))
    _, (error,) = assemble("prod", values | flags, absent=missing)
    assert error.hint == parse.write_instead("client_secret")
    ad_hoc = from_flags(flags_of("--issuer=https://x", "--client-id=c"), environ)
    _, (error,) = assemble("", ad_hoc | flags, absent=missing, ad_hoc=True)
    assert error.hint == (
        "give --client-secret-env NAME or --client-secret-file PATH, or set CREDENTIAL_HELPER_CLIENT_SECRET"
    )
    key = from_flags(flags_of("--client-authentication=private_key_jwt"), environ)
    _, (error,) = assemble("", ad_hoc | key, absent=missing, ad_hoc=True)
    assert error.hint == "give --private-key-env NAME or --private-key-file PATH, or set CREDENTIAL_HELPER_PRIVATE_KEY"


def test_a_client_may_say_that_it_authenticates_otherwise() -> None:
    assert from_file(flow="client-credentials", client_authentication="none").client_secret is None


SECRET = {"client_secret": {"env": "S"}}
KEY = {"private_key": {"env": "K"}}
LEGACY = {"flow": "password", "legacy": True}


@pytest.mark.parametrize(
    ("table", "sentence", "hint"),
    [
        (
            SECRET | KEY,
            "private_key.env: f.toml: profiles.prod.client_secret.env is given, too",
            "give a client secret or a private key",
        ),
        (
            SECRET | KEY | {"client_authentication": "private_key_jwt"},
            "private_key.env: f.toml: profiles.prod.client_secret.env is given, too",
            "give a client secret or a private key",
        ),
        (
            SECRET | {"client_authentication": "private_key_jwt"},
            "client_authentication: private_key_jwt does not go with f.toml: profiles.prod.client_secret.env",
            None,
        ),
        *(
            (
                KEY | {"client_authentication": method},
                f"client_authentication: {method} does not go with f.toml: profiles.prod.private_key.env",
                None,
            )
            for method in ("none", "basic", "post")
        ),
        (
            {"private_key": {"kid": "k1"}},
            "private_key.kid: there is no key",
            parse.write_instead("private_key"),
        ),
        (
            {"private_key": {"env": "K", "file": "k.pem"}},
            "private_key.file: f.toml: profiles.prod.private_key.env is given, too",
            "give one source of a secret",
        ),
        (
            {"flow": "password"},
            "flow: password shows this program the password, which RFC 9700 §2.4 forbids, and needs legacy = true",
            "if no other flow can be used, write legacy = true",
        ),
        (
            {"flow": "password", "legacy": False},
            "flow: password shows this program the password, which RFC 9700 §2.4 forbids, and needs legacy = true",
            "if no other flow can be used, write legacy = true",
        ),
        *(
            (
                {key: value for key, value in SECURE.items() if key != missing},
                "redirect_uri: https needs a certificate of yours and its key",
                'write redirect_certificate = "PATH" and redirect_private_key = { file = "PATH" }',
            )
            for missing in ("redirect_certificate", "redirect_private_key")
        ),
        (
            SECURE | {"redirect_uri": "http://localhost/callback"},
            "redirect_certificate: it is for a redirect_uri that begins with https://",
            None,
        ),
        (
            {"redirect_private_key": {"file": "key.pem"}},
            "redirect_private_key.file: it is for a redirect_uri that begins with https://",
            None,
        ),
        ({"realm": "x"}, 'realm: does not go with flow = "auto"', 'it is for flow = "password"'),
        ({"realm": "x", "flow": "device"}, 'realm: does not go with flow = "device"', 'it is for flow = "password"'),
        (
            {"password": {"env": "P"}, "account": "ada"},
            'password.env: does not go with flow = "auto"',
            'it is for flow = "password"',
        ),
        (
            LEGACY | {"password": {"env": "P"}},
            "password.env: there is no account, whose password it is",
            'write account = "NAME"',
        ),
        *(
            (
                table | {"redirect_uri": "http://127.0.0.1/callback"},
                f'redirect_uri: does not go with flow = "{table["flow"]}"',
                'it is for flow = "authorization-code"',
            )
            for table in (LEGACY, {"flow": "device"}, SECRET | {"flow": "client-credentials"})
        ),
        (
            SECRET | {"flow": "client-credentials", "provider": "github"},
            'flow: GitHub has no flow "client-credentials"',
            'it has authorization-code, device; provider = "generic" tries it all the same',
        ),
        (
            {"flow": "device", "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x"},
            'flow: Amazon Cognito has no flow "device"',
            'it has authorization-code, client-credentials; provider = "generic" tries it all the same',
        ),
    ],
)
def test_what_does_not_go_together_is_told(table: dict[str, object], sentence: str, hint: str | None) -> None:
    error = refused(**table)
    assert error.sentence == f"f.toml: profiles.prod.{sentence}"
    assert error.hint == hint


def test_what_goes_together() -> None:
    assert from_file(**LEGACY).password is None
    assert from_file(**LEGACY, password={"env": "P"}, account="ada").account == "ada"
    assert from_file(legacy=True).flow == "auto"
    for flow in ("auto", "authorization-code"):
        assert from_file(flow=flow, redirect_uri="http://[::1]/callback").redirect_uri == "http://[::1]/callback"
    assert from_file(flow="device", provider="generic", issuer="https://cognito-idp.eu-west-1.amazonaws.com/x")


def test_a_flow_that_a_flag_chooses_for_once_leaves_the_profile_right(environ: Environ) -> None:
    """Who has to use a second factor signs in to a profile of passwords with ``--flow device``."""
    password: dict[str, object] = LEGACY | {"realm": "x", "account": "ada", "password": {"env": "P"}}
    browser: dict[str, object] = {"flow": "authorization-code", "redirect_uri": "http://127.0.0.1/callback"}
    for table in (password, browser, {"redirect_uri": "http://127.0.0.1/callback"}):
        values, errors = from_table(as_written({"issuer": "https://x", "client_id": "c", **table}))
        assert not errors
        flags = from_flags(flags_of("--flow", "device"), environ)
        assert assembled(values | flags).flow == "device"


def test_a_flag_cannot_make_a_profile_of_the_file_use_passwords(environ: Environ) -> None:
    values, _ = from_table(as_written({"issuer": "https://x", "client_id": "c"}))
    flags = from_flags(flags_of("--flow", "password"), environ)
    _, (error,) = assemble("prod", values | flags, absent=missing)
    assert error.sentence.startswith("--flow: password shows this program the password")
    assert error.hint == "if no other flow can be used, write legacy = true"
    ad_hoc = from_flags(flags_of("--issuer=https://x", "--client-id=c", "--flow=password"), environ)
    _, (error,) = assemble("", ad_hoc, absent=missing, ad_hoc=True)
    assert error.hint == "if no other flow can be used, give --legacy"


# --- providers


def test_the_issuer_of_a_provider_s_one_service_may_be_left_out() -> None:
    for name, known in providers.PROVIDERS.items():
        values, errors = from_table(as_written({"provider": name, "client_id": "c"}))
        profile, more = assemble("prod", values, absent=missing)
        assert not errors
        if known.issuer is None:
            assert [error.sentence for error in more] == ["issuer is missing"]
        else:
            assert profile is not None
            assert (profile.issuer, profile.provider) == (known.issuer, name)
            assert hint_flags(profile) == ["prod"]


def test_an_issuer_that_is_written_is_the_one_that_is_asked() -> None:
    assert from_file(provider="gitlab", issuer="https://gitlab.example.com").issuer == "https://gitlab.example.com"
    values, _ = from_table(as_written({"provider": "github", "client_id": "c", "issuer": 1}))
    _, errors = assemble("prod", values, absent=missing)
    assert [error.sentence for error in errors] == ["f.toml: profiles.prod.issuer: found a number, expected a string"]


def test_an_unknown_provider_is_told_with_those_that_are_known() -> None:
    names = list(providers.PROVIDERS)
    assert refused(provider="githb").sentence == (
        f'f.toml: profiles.prod.provider: found "githb", expected {", ".join(names[:-1])} or {names[-1]}'
    )


# --- http


def test_beside_an_http_issuer_every_endpoint_is_on_its_origin() -> None:
    assert from_file(issuer="http://127.0.0.1:9000", endpoints={"token": "http://127.0.0.1:9000/t"})
    for token in ("http://127.0.0.1:9001/t", "http://localhost:9000/t", "https://127.0.0.1:9000/t", "https://x/t"):
        error = refused(issuer="http://127.0.0.1:9000", endpoints={"token": token})
        assert error.sentence.startswith(
            "f.toml: profiles.prod.endpoints.token: expected an address on http://127.0.0.1:9000"
        )


def test_an_http_endpoint_is_loopback_and_takes_the_others_with_it() -> None:
    assert from_file(endpoints={"token": "http://127.0.0.1:9000/t", "jwks": "http://127.0.0.1:9000/j"})
    assert "is http" in refused(endpoints={"token": "http://x/t"}).sentence
    assert (
        "expected an address on" in refused(endpoints={"token": "http://127.0.0.1:1/t", "jwks": "https://x"}).sentence
    )


# --- flags and variables


def test_flags_become_the_same_profile_as_a_file(environ: Environ) -> None:
    flags = flags_of(
        *(
            "--issuer",
            "https://x",
            "--client-id",
            "c",
            "--flow",
            "client_credentials",
            "--scope",
            "a b",
            "--scope",
            "c",
        ),
        *("--resource", "https://r", "--resource", "https://s", "--parameter", "x=1=2", "--jwks-uri", "https://j"),
        *("--client-secret-env", "CI_SECRET", "--git", "https://g", "--docker", "d", "--kubernetes", "https://k"),
    )
    profile = assembled(from_flags(flags, environ), ad_hoc=True)
    assert (profile.flow, profile.scope, profile.resource) == (
        "client-credentials",
        ("a", "b", "c"),
        ("https://r", "https://s"),
    )
    assert (profile.parameters, profile.endpoints.jwks) == ((("x", "1=2"),), "https://j")
    assert (profile.lists("git")[0].url, profile.lists("docker")[0].url) == ("https://g:443", "https://d:443")
    assert [entry.url for entry in profile.lists("kubernetes")] == ["https://k:443"]
    assert dict(profile.origins)["parameters.x"] == "--parameter"


def test_variables_become_the_same_profile_as_flags(environ: Environ) -> None:
    variables = {
        "ISSUER": "https://x",
        "CLIENT_ID": "c",
        "SCOPE": "a b",
        "RESOURCE": "https://r https://s",
        "PARAMETERS": "x=1 y=2",
        "TOKEN_ENDPOINT": "https://t",
        "CLIENT_SECRET_FILE": "~/secret",
        "PROVIDER": "auth0",
        "AUTHORIZATION_ENDPOINT": "https://a",
        "REDIRECT_URI": "http://localhost/callback",
        "LEGACY": "0",
        "GIT": "https://g https://h",
        "AUDIENCE": "",
        "LOGGING": "another tool's",
    }
    environ |= {f"CREDENTIAL_HELPER_{name}": value for name, value in variables.items()}
    profile = assembled(from_variables(environ), ad_hoc=True)
    assert (profile.scope, profile.resource, profile.audience) == (("a", "b"), ("https://r", "https://s"), None)
    assert profile.parameters == (("x", "1"), ("y", "2"))
    assert profile.client_secret is not None
    assert profile.client_secret.value == (f"{environ['HOME']}/secret",)
    assert [entry.url for entry in profile.lists("git")] == ["https://g:443", "https://h:443"]
    assert (profile.provider, profile.redirect_uri, profile.legacy) == ("auth0", "http://localhost/callback", False)
    assert profile.endpoints.authorization == "https://a"
    assert dict(profile.origins)["endpoints.token"] == "CREDENTIAL_HELPER_TOKEN_ENDPOINT"


@pytest.mark.parametrize(("secret", "variable"), settings.SECRETS.items())
def test_a_secret_s_own_variable_is_a_source(environ: Environ, secret: str, variable: str) -> None:
    environ[variable] = "hunter2"
    values = from_variables(environ)
    assert "hunter2" not in repr(values)
    source = values[f"{secret}.env"]
    assert (source.value, source.where) == (variable, variable)


@pytest.mark.parametrize("word", ["organization", "=x", ""])
def test_a_parameter_without_a_name_or_a_value_is_64(environ: Environ, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_flags(flags_of("--parameter", word), environ)
    assert caught.value.sentence == "--parameter: expected NAME=VALUE"


# --- the flags of a hint


def again(profile: Profile, environ: Environ) -> Profile:
    """Return the profile that the hint's flags make."""
    return assembled(from_flags(flags_of(*hint_flags(profile)), environ), ad_hoc=True)


def test_a_profile_of_the_file_is_its_name() -> None:
    profile = from_file(audience="api", scope="a", parameters={"x": "1"}, endpoints={"token": "https://t"})
    assert hint_flags(profile) == ["prod"]


def test_what_was_laid_over_a_profile_of_the_file_follows_its_name(environ: Environ) -> None:
    values, _ = from_table(as_written({"issuer": "https://x", "client_id": "c", "parameters": {"x": "1"}}))
    flags = flags_of("--scope", "a b", "--audience", "my api", "--parameter", "y=2", "--token", "id", "--account=-x")
    profile = assembled(values | from_flags(flags, environ))
    assert hint_flags(profile) == [
        *("prod", "--audience", "my api", "--scope", "a b", "--account=-x", "--parameter", "y=2")
    ]


def test_an_ad_hoc_profile_is_its_whole_set_of_flags(environ: Environ) -> None:
    argv = [
        *("--issuer", "https://x/", "--client-id", "c", "--flow", "client-credentials", "--audience", "a b"),
        *(
            "--resource",
            "https://r",
            "--resource",
            "https://s",
            "--scope",
            "a b",
            "--account",
            "ada",
            "--store",
            "none",
        ),
        *("--ca-file", "/ca.pem", "--parameter", "x=1", "--parameter", "y=", "--token-endpoint", "https://t"),
        *(
            "--device-authorization-endpoint",
            "https://d",
            "--revocation-endpoint",
            "https://r",
            "--jwks-uri",
            "https://j",
        ),
        *("--client-authentication", "post", "--client-secret-file", "/secret"),
    ]
    profile = assembled(from_flags(flags_of(*argv), environ), ad_hoc=True)
    hint = hint_flags(profile)
    assert sorted(hint) == sorted(argv)
    assert again(profile, environ) == profile


def test_an_ad_hoc_profile_of_the_browser_flow_with_a_key_is_its_whole_set_of_flags(environ: Environ) -> None:
    argv = [
        *("--issuer", "https://x/", "--client-id", "c", "--provider", "keycloak", "--flow", "authorization-code"),
        *("--redirect-uri", "http://127.0.0.1:8252/callback", "--authorization-endpoint", "https://a"),
        *("--private-key-file", "/key", "--private-key-kid=-k", "--private-key-algorithm", "ES256"),
        *("--private-key-certificate", "/etc/cert.pem"),
        *("--private-key-audience", "https://x/token", "--client-authentication", "private_key_jwt"),
    ]
    profile = assembled(from_flags(flags_of(*argv), environ), ad_hoc=True)
    assert sorted(hint_flags(profile)) == sorted(argv)
    assert again(profile, environ) == profile


def test_an_ad_hoc_profile_of_the_password_flow_is_its_whole_set_of_flags(environ: Environ) -> None:
    argv = [
        *("--issuer", "https://x/", "--client-id", "c", "--flow", "password", "--legacy", "--realm", "Users"),
        *("--account", "ada", "--password-env", "CI_PASSWORD"),
    ]
    profile = assembled(from_flags(flags_of(*argv), environ), ad_hoc=True)
    assert sorted(hint_flags(profile)) == sorted(argv)
    assert again(profile, environ) == profile
    environ |= {"CREDENTIAL_HELPER_ISSUER": "https://x", "CREDENTIAL_HELPER_CLIENT_ID": "c"}
    for value, words in (("false", []), ("1", ["--legacy"])):
        environ["CREDENTIAL_HELPER_LEGACY"] = value
        profile = assembled(from_variables(environ), ad_hoc=True)
        assert hint_flags(profile)[4:] == words


def test_an_ad_hoc_profile_of_variables_is_told_in_flags(environ: Environ) -> None:
    environ |= {
        "CREDENTIAL_HELPER_ISSUER": "https://x",
        "CREDENTIAL_HELPER_CLIENT_ID": "c",
        "CREDENTIAL_HELPER_SCOPE": "a b",
        "CREDENTIAL_HELPER_CLIENT_SECRET": "hunter2",
        "CREDENTIAL_HELPER_TOKEN": "id",
    }
    expected = ["--issuer", "https://x", "--client-id", "c", "--scope", "a b"]
    profile = assembled(from_variables(environ), ad_hoc=True)
    assert hint_flags(profile) == expected
    del environ["CREDENTIAL_HELPER_CLIENT_SECRET"]
    environ |= {"CREDENTIAL_HELPER_PRIVATE_KEY": "hunter2", "CREDENTIAL_HELPER_PRIVATE_KEY_KID": "k1"}
    profile = assembled(from_variables(environ), ad_hoc=True)
    assert hint_flags(profile) == [*expected, "--private-key-kid", "k1"]


def test_a_scope_that_is_given_and_empty_stays_so(environ: Environ) -> None:
    profile = assembled(from_flags(flags_of("--issuer=https://x", "--client-id=c", "--scope="), environ), ad_hoc=True)
    assert profile.scope == ()
    assert hint_flags(profile)[-2:] == ["--scope", ""]
    assert again(profile, environ).scope == ()
