from __future__ import annotations

import argparse
import itertools

import pytest

from credential_helper import judges, settings
from credential_helper.errors import ConfigurationError, CredentialHelperError, UsageError
from credential_helper.judges import Place, Written
from credential_helper.model import Endpoints, Profile

Environ = dict[str, str]


def flags_of(*argv: str) -> dict[str, object]:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    settings.add_flags(parser)
    return vars(parser.parse_args(argv))


def written(table: dict[str, object], name: str = "prod", kind: judges.FileKind = "user") -> Written:
    return Written(table, f"f.toml: profiles.{name}", Place(kind=kind, folder="/etc/x"))


def assembled(values: dict[str, Written], *, ad_hoc: bool = False) -> Profile:
    profile, errors = settings.assemble("prod", values, absent=missing, ad_hoc=ad_hoc)
    for error in errors:
        raise error
    assert profile is not None
    return profile


def missing(setting: settings.Setting) -> CredentialHelperError:
    return UsageError(f"{setting.name} is missing")


def from_file(**table: object) -> Profile:
    values, errors = settings.from_table(written({"issuer": "https://x", "client_id": "c"} | table))
    for error in errors:
        raise error
    return assembled(values)


def refused(**table: object) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        from_file(**table)
    return caught.value


# --- the table


def test_every_setting_that_is_no_secret_and_no_table_has_a_flag() -> None:
    assert [s.name for s in settings.SETTINGS if not s.flag] == ["client_secret.command", "client_secret.keyring"]


def test_flags_and_variables_are_each_named_once() -> None:
    for names in ([s.flag for s in settings.SETTINGS if s.flag], [s.variable for s in settings.SETTINGS if s.variable]):
        assert len(set(names)) == len(names)


def test_no_variable_is_one_of_another_tool_s() -> None:
    taken = ("CONFIG_FILE", "LOGGING", "BIN", "STANDALONE", "IDLE_TIMEOUT", "AGENT_")
    ours = ("CONFIG", "STATE_DIR", "VERBOSE", "INTERACTIVE", "PROMPT", "PRIVATE_KEY", "PASSWORD", "CLIENT_SECRET")
    for setting, name in itertools.product((*settings.SETTINGS, settings.PROFILE), taken):
        assert not (setting.variable or "").startswith(f"CREDENTIAL_HELPER_{name}")
        assert setting.variable not in {f"CREDENTIAL_HELPER_{name}" for name in ours}


def test_every_setting_becomes_a_field_of_the_profile() -> None:
    for setting in settings.SETTINGS:
        table, _, key = setting.name.partition(".")
        assert table in Profile.__struct_fields__ or table in settings.LATER
        assert table != "endpoints" or key in Endpoints.__struct_fields__


def test_who_is_asked_and_with_what_is_fixed() -> None:
    with_flags = {setting.name for setting in settings.SETTINGS if setting.fixed}
    assert with_flags == {
        *("issuer", "client_id", "client_authentication", "client_secret.env", "client_secret.file", "ca_file"),
        *("endpoints.token", "endpoints.device_authorization", "endpoints.revocation", "endpoints.jwks"),
        "private_key.file",
    }


# --- flags


def test_flags_that_are_not_given_leave_no_trace() -> None:
    assert flags_of() == {}


def test_a_flag_s_dest_is_the_setting_s_name() -> None:
    argv = [word for setting in settings.SETTINGS if setting.flag for word in (setting.flag, "x")]
    assert set(flags_of(*argv, "--profile", "prod")) == {"profile", *(s.name for s in settings.SETTINGS if s.flag)}


def test_lists_are_flags_that_may_be_given_several_times() -> None:
    flags = flags_of("--scope", "a", "--scope", "b c", "--parameter", "x=1", "--parameter", "y=a=b")
    assert flags == {"scope": ["a", "b c"], "parameters": ["x=1", "y=a=b"]}


def test_a_flag_that_another_argument_replaces_can_be_left_out() -> None:
    parser = argparse.ArgumentParser()
    settings.add_flags(parser, without=("profile",))
    assert "--profile" not in parser.format_help()
    assert "--issuer" in parser.format_help()


def test_what_is_not_supported_yet_is_not_offered() -> None:
    parser = argparse.ArgumentParser()
    settings.add_flags(parser)
    assert "--private-key-file" not in parser.format_help()


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
        },
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
        token="https://t", device_authorization="https://d", revocation="https://r", jwks="https://j"
    )
    assert profile.client_authentication == "post"
    assert profile.client_secret is not None
    assert profile.client_secret.value == ("CI_SECRET",)
    assert profile.client_secret.origin == "f.toml: profiles.prod.client_secret.env"
    assert profile.git[0].url == "https://git.example.com:443"
    assert profile.docker[0].server == "https://registry.example.com:443"
    assert profile.kubernetes == ("https://api.example.com:443",)
    assert dict(profile.origins)["endpoints.jwks"] == "f.toml: profiles.prod.endpoints.jwks"
    assert dict(profile.origins)["parameters.organization"] == "f.toml: profiles.prod.parameters.organization"


@pytest.mark.parametrize(
    ("table", "flow"),
    [
        *(("device", "device"), ("device_code", "device"), ("urn:ietf:params:oauth:grant-type:device_code", "device")),
        ("client_credentials", "client-credentials"),
    ],
)
def test_a_flow_may_be_spelt_as_in_its_rfc(table: str, flow: str) -> None:
    assert from_file(flow=table, client_secret={"env": "X"}).flow == flow


@pytest.mark.parametrize(("value", "token"), [("access_token", "access"), ("id-token", "id"), ("auto", "auto")])
def test_a_token_may_be_spelt_as_in_its_rfc(value: str, token: str) -> None:
    assert from_file(token=value).token == token


@pytest.mark.parametrize(
    ("value", "method"), [("client_secret_basic", "basic"), ("client-secret-post", "post"), ("none", "none")]
)
def test_a_method_of_client_authentication_may_be_spelt_as_in_its_rfc(value: str, method: str) -> None:
    assert from_file(client_authentication=value, client_secret={"env": "X"}).client_authentication == method


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"flow": "authorization-code"}, 'flow: "authorization-code" is not supported yet'),
        ({"flow": "authorization_code"}, 'flow: "authorization-code" is not supported yet'),
        ({"flow": "password"}, 'flow: "password" is not supported yet'),
        ({"client_authentication": "private_key_jwt"}, 'client_authentication: "private-key-jwt" is not supported yet'),
        ({"client_secret": {"keyring": "NAME"}}, "client_secret.keyring: a keyring source is not supported yet"),
        ({"private_key": {"file": "key.pem"}}, "private_key: this key is not supported yet"),
        ({"provider": "auth0"}, "provider: this key is not supported yet"),
        ({"realm": "x"}, "realm: this key is not supported yet"),
        ({"legacy": True}, "legacy: this key is not supported yet"),
        ({"redirect_uri": "http://localhost"}, "redirect_uri: this key is not supported yet"),
    ],
)
def test_what_is_planned_is_recognised_and_refused_with_what_works(table: dict[str, object], sentence: str) -> None:
    error = refused(**table)
    assert error.sentence == f"f.toml: profiles.prod.{sentence}"
    assert error.hint


def test_a_secret_that_is_written_out_is_refused_with_what_to_write_instead() -> None:
    error = refused(client_secret="hunter2")
    assert error.sentence == "f.toml: profiles.prod.client_secret: found the secret itself, expected where to read it"
    assert error.hint == f"write {judges.WRITE_INSTEAD}"
    assert "hunter2" not in f"{error!r}{error.hint}"


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
        ({"flow": 1}, "flow: found a number, expected auto, device or client-credentials"),
        ({"issuer": ["x"]}, "issuer: found a list, expected a string"),
        ({"ca_file": True}, "ca_file: found true or false, expected a string"),
        ({"endpoints": "https://x"}, "endpoints: found a string, expected a table"),
        ({"endpoints": {"tokn": "https://x"}}, "endpoints.tokn: unknown key; did you mean token?"),
        ({"parameters": ["a=b"]}, "parameters: found a list, expected a table"),
        ({"parameters": {"max_age": 1}}, "parameters.max_age: found a number, expected a string"),
        ({"parameters": {"scope": "x"}}, "parameters.scope: this program sets scope itself"),
        ({"git": "https://x"}, "git: found a string, expected a list of URLs or tables"),
        ({"kubernetes": [1]}, "kubernetes[0]: found a number, expected a string"),
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
    values, errors = settings.from_table(written({"isuer": "x", "flow": 1, "scope": 2, "redirect_uri": ""}))
    _, more = settings.assemble("prod", values, absent=missing)
    assert [error.sentence.removeprefix("f.toml: profiles.prod.").partition(":")[0] for error in errors + more] == [
        *("isuer", "redirect_uri", "flow", "scope", "issuer is missing", "client_id is missing")
    ]


# --- settings that do not go together


@pytest.mark.parametrize(
    "table", [{"flow": "client-credentials"}, {"client_authentication": "basic"}, {"client_authentication": "post"}]
)
def test_what_needs_a_secret_says_so(table: dict[str, object]) -> None:
    error = refused(**table)
    assert error.sentence.endswith("needs a client secret")
    assert error.hint == f"write {judges.WRITE_INSTEAD}"
    assert from_file(**table, client_secret={"env": "X"})


def test_a_client_may_say_that_it_authenticates_otherwise() -> None:
    assert from_file(flow="client-credentials", client_authentication="none").client_secret is None


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
    profile = assembled(settings.from_flags(flags, environ), ad_hoc=True)
    assert (profile.flow, profile.scope, profile.resource) == (
        "client-credentials",
        ("a", "b", "c"),
        ("https://r", "https://s"),
    )
    assert (profile.parameters, profile.endpoints.jwks) == ((("x", "1=2"),), "https://j")
    assert (profile.git[0].url, profile.docker[0].server) == ("https://g:443", "https://d:443")
    assert profile.kubernetes == ("https://k:443",)
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
        "GIT": "https://g https://h",
        "AUDIENCE": "",
        "LOGGING": "another tool's",
    }
    environ |= {f"CREDENTIAL_HELPER_{name}": value for name, value in variables.items()}
    profile = assembled(settings.from_variables(environ), ad_hoc=True)
    assert (profile.scope, profile.resource, profile.audience) == (("a", "b"), ("https://r", "https://s"), None)
    assert profile.parameters == (("x", "1"), ("y", "2"))
    assert profile.client_secret is not None
    assert profile.client_secret.value == (f"{environ['HOME']}/secret",)
    assert [entry.url for entry in profile.git] == ["https://g:443", "https://h:443"]
    assert dict(profile.origins)["endpoints.token"] == "CREDENTIAL_HELPER_TOKEN_ENDPOINT"


def test_the_secret_s_own_variable_is_a_source(environ: Environ) -> None:
    environ[settings.SECRET_VARIABLE] = "hunter2"
    values = settings.from_variables(environ)
    assert "hunter2" not in repr(values)
    source = values["client_secret.env"]
    assert (source.value, source.where) == (settings.SECRET_VARIABLE, settings.SECRET_VARIABLE)


@pytest.mark.parametrize("word", ["organization", "=x", ""])
def test_a_parameter_without_a_name_or_a_value_is_64(environ: Environ, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings.from_flags(flags_of("--parameter", word), environ)
    assert caught.value.sentence == "--parameter: expected NAME=VALUE"


# --- the flags of a hint


def again(profile: Profile, environ: Environ) -> Profile:
    """Return the profile that the hint's flags make."""
    return assembled(settings.from_flags(flags_of(*settings.hint_flags(profile)), environ), ad_hoc=True)


def test_a_profile_of_the_file_is_its_name() -> None:
    profile = from_file(audience="api", scope="a", parameters={"x": "1"}, endpoints={"token": "https://t"})
    assert settings.hint_flags(profile) == ["prod"]


def test_what_was_laid_over_a_profile_of_the_file_follows_its_name(environ: Environ) -> None:
    values, _ = settings.from_table(written({"issuer": "https://x", "client_id": "c", "parameters": {"x": "1"}}))
    flags = flags_of("--scope", "a b", "--audience", "my api", "--parameter", "y=2", "--token", "id", "--account=-x")
    profile = assembled(values | settings.from_flags(flags, environ))
    assert settings.hint_flags(profile) == [
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
    profile = assembled(settings.from_flags(flags_of(*argv), environ), ad_hoc=True)
    hint = settings.hint_flags(profile)
    assert sorted(hint) == sorted(argv)
    assert again(profile, environ) == profile


def test_an_ad_hoc_profile_of_variables_is_told_in_flags(environ: Environ) -> None:
    environ |= {
        "CREDENTIAL_HELPER_ISSUER": "https://x",
        "CREDENTIAL_HELPER_CLIENT_ID": "c",
        "CREDENTIAL_HELPER_SCOPE": "a b",
        "CREDENTIAL_HELPER_CLIENT_SECRET": "hunter2",
        "CREDENTIAL_HELPER_TOKEN": "id",
    }
    profile = assembled(settings.from_variables(environ), ad_hoc=True)
    hint = settings.hint_flags(profile)
    assert hint == ["--issuer", "https://x", "--client-id", "c", "--scope", "a b"]


def test_a_scope_that_is_given_and_empty_stays_so(environ: Environ) -> None:
    profile = assembled(
        settings.from_flags(flags_of("--issuer=https://x", "--client-id=c", "--scope="), environ), ad_hoc=True
    )
    assert profile.scope == ()
    assert settings.hint_flags(profile)[-2:] == ["--scope", ""]
    assert again(profile, environ).scope == ()
