"""What a value may be. Where it matters how a value is written, it comes from TOML."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from credential_helper import places
from credential_helper.errors import ConfigurationError, CredentialHelperError, ProtocolError, UsageError
from credential_helper.model import Listed, Source
from credential_helper.profiles import parse
from credential_helper.profiles.written import SINGLE_QUOTES, Origin, Written, check_keys
from tests.helpers.profiles import parse_list

HOME = {"HOME": "/home/ada"}
REMARKS: list[str] = []

FILE = Origin(kind="user", expand=lambda path: places.expand(path, HOME), folder="/etc/x", remark=REMARKS.append)
SYSTEM = Origin(kind="system", expand=lambda path: places.expand(path, HOME), folder="/etc/x", remark=REMARKS.append)
FLAG = Origin(kind="flag", expand=lambda path: places.expand(path, HOME))
VARIABLE = Origin(kind="variable", expand=lambda path: places.expand(path, HOME))
REQUEST = Origin(kind="request")

git_urls = partial(parse_list, "git")
docker_servers = partial(parse_list, "docker")
kubernetes_servers = partial(parse_list, "kubernetes")


def in_file(value: Any, key: str = "key") -> Written:
    return Written(value, "f.toml:", FILE).part(key, value)


def refused(parser: Callable[[Written], object], written: Written) -> CredentialHelperError:
    with pytest.raises(CredentialHelperError) as caught:
        parser(written)
    return caught.value


# --- which error, and what it shows


def test_where_a_value_stands_decides_which_error_it_is() -> None:
    kinds = {FILE: ConfigurationError, FLAG: UsageError, VARIABLE: ConfigurationError, REQUEST: ProtocolError}
    for place, kind in kinds.items():
        assert type(refused(parse.text, Written(1, "here", place))) is kind


def test_what_is_impossible_is_78_in_a_flag_too() -> None:
    error = refused(parse.issuer, Written("http://example.com", "--issuer", FLAG))
    assert type(error) is ConfigurationError
    assert error.sentence.startswith("--issuer: is http")


def test_a_value_is_never_part_of_a_repr() -> None:
    assert repr(in_file("hunter2", "client_secret")) == "<Written f.toml: client_secret>"


@pytest.mark.parametrize(
    ("toml", "found"),
    [
        *(("1", "a number"), ("1.5", "a number"), ("true", "true or false"), ("[1]", "a list"), ("{a = 1}", "a table")),
        *(("1979-05-27", "a date or time"), ("07:32:00", "a date or time")),
    ],
)
def test_a_wrong_type_is_told_with_what_was_found_and_expected(toml: str, found: str) -> None:
    written = in_file(tomllib.loads(f"key = {toml}")["key"])
    assert refused(parse.text, written).sentence == f"f.toml: key: found {found}, expected a string"


# --- strings


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "\x1b[31m", "a\x7f", "a\x9b", "\0"])
def test_a_control_character_is_refused(value: str) -> None:
    error = refused(parse.text, in_file(value))
    assert error.sentence == "f.toml: key: has a control character in it"
    assert error.hint == SINGLE_QUOTES


def test_a_windows_path_whose_escapes_are_valid_is_told_by_its_control_characters() -> None:
    written = in_file(tomllib.loads(r'ca_file = "C:\new\table.pem"')["ca_file"], "ca_file")
    assert refused(parse.path, written).hint == SINGLE_QUOTES


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        *(("", "found an empty string"), (" x", "has spaces around it"), ("x ", "has spaces around it")),
        (os.fsdecode(b"caf\xe9"), "is not UTF-8"),
    ],
)
def test_an_empty_padded_or_undecodable_string_is_refused(value: str, sentence: str) -> None:
    assert refused(parse.text, Written(value, "--account", FLAG)).sentence == f"--account: {sentence}"


# --- words of a list

WORD = parse.choice("auto", "device", "client-credentials", also={"device-code": "device"})


@pytest.mark.parametrize(
    ("value", "word"),
    [
        *(("device", "device"), ("client-credentials", "client-credentials")),
        *(("client_credentials", "client-credentials"), ("device_code", "device"), ("device-code", "device")),
    ],
)
def test_in_values_hyphen_and_underscore_are_equal(value: str, word: str) -> None:
    assert WORD(in_file(value)) == word


def test_a_word_that_is_not_allowed_is_shown_with_those_that_are() -> None:
    expected = 'f.toml: flow: found "devcie", expected auto, device or client-credentials'
    assert refused(WORD, in_file("devcie", "flow")).sentence == expected


@pytest.mark.parametrize("written", [in_file("eyJ" * 20, "token"), Written("hunter2", "--token", FLAG)])
def test_what_may_be_a_secret_is_not_shown(written: Written) -> None:
    assert refused(WORD, written).sentence == f"{written.where}: expected auto, device or client-credentials"


def test_a_word_that_is_shown_can_do_nothing_to_a_terminal() -> None:
    assert 'found "[31mx"' in refused(WORD, in_file("\x1b[31mx")).sentence


# --- true and false


def test_true_and_false_are_what_toml_and_a_flag_without_a_value_say() -> None:
    assert parse.boolean(in_file(True)) is True
    assert parse.boolean(in_file(False)) is False
    assert parse.boolean(Written(True, "--legacy", FLAG)) is True
    for value, found in (("true", "a string"), (1, "a number"), ([], "a list")):
        assert refused(parse.boolean, in_file(value)).sentence == f"f.toml: key: found {found}, expected true or false"


@pytest.mark.parametrize(
    ("value", "truth"), [("true", True), ("1", True), ("TRUE", True), ("false", False), ("0", False)]
)
def test_a_variable_says_it_in_words(value: str, truth: bool) -> None:
    assert parse.boolean(Written(value, "LEGACY", VARIABLE)) is truth


def test_any_other_word_is_refused_and_not_shown() -> None:
    assert refused(parse.boolean, Written("yes", "LEGACY", VARIABLE)).sentence == "LEGACY: expected true, false, 1 or 0"


# --- paths


@pytest.mark.parametrize(
    ("value", "path"),
    [("~/ca.pem", "/home/ada/ca.pem"), ("/ca.pem", "/ca.pem"), ("ca.pem", "/etc/x/ca.pem"), ("../ca", "/etc/x/../ca")],
)
def test_in_a_file_a_path_is_relative_to_that_file(value: str, path: str) -> None:
    assert parse.path(in_file(value)) == path


@pytest.mark.parametrize("place", [FLAG, VARIABLE])
def test_in_a_flag_or_a_variable_a_path_is_absolute_or_of_the_home(place: Origin) -> None:
    assert parse.path(Written("~/ca.pem", "--ca-file", place)) == "/home/ada/ca.pem"
    assert parse.path(Written("/ca.pem", "--ca-file", place)) == "/ca.pem"
    for value in ("ca.pem", "./ca.pem", "../ca.pem", "~bob/ca.pem"):
        error = refused(parse.path, Written(value, "--ca-file", place))
        assert error.sentence == "--ca-file: expected an absolute path or ~/…"


def test_somebody_else_s_home_is_not_expanded() -> None:
    assert "~NAME" in refused(parse.path, in_file("~bob/ca.pem")).sentence


# --- addresses


@pytest.mark.parametrize(
    "value",
    [
        *("https://example.eu.auth0.com/", "https://example.com", "https://example.com/realms/a", "https://x:8443"),
        *("http://127.0.0.1:9000", "http://[::1]:9000/", "http://localhost/", "https://Example.com/"),
    ],
)
def test_an_issuer_is_https_or_loopback_and_kept_as_written(value: str) -> None:
    assert parse.issuer(in_file(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        *("ftp://x", "example.com", "https:/x", "https://example.com/#f", "https://ada@example.com/"),
        *("https://example.com/a b", "https://example.com/ä", "https://exämple.com", 'https://example.com/"'),
        *("https://example.com\\@evil.example/", "https://example.com:0", "https://example.com:99999", "https://"),
    ],
)
@pytest.mark.parametrize("parser", [parse.issuer, parse.endpoint])
def test_an_address_that_cannot_be_understood_is_64_in_a_flag(parser: Callable[[Written], str], value: str) -> None:
    assert type(refused(parser, Written(value, "--issuer", FLAG))) is UsageError
    assert type(refused(parser, Written(value, "CREDENTIAL_HELPER_ISSUER", VARIABLE))) is ConfigurationError
    assert type(refused(parser, in_file(value))) is ConfigurationError


@pytest.mark.parametrize(
    "value",
    [
        *("http://example.com", "http://127.0.0.2", "http://localhost.example.com"),
        *("https://example.com/?a=b", "https://example.com?"),
    ],
)
def test_any_other_issuer_is_78(value: str) -> None:
    assert type(refused(parse.issuer, Written(value, "--issuer", FLAG))) is ConfigurationError


def test_an_address_that_is_refused_is_not_shown() -> None:
    error = refused(parse.issuer, in_file("https://ada:hunter2@example.com/", "issuer"))
    assert error.sentence.startswith("f.toml: issuer: has a user name in it")
    assert "hunter2" not in error.sentence


def test_an_endpoint_may_have_a_query() -> None:
    assert parse.endpoint(in_file("https://example.com/token?p=1")) == "https://example.com/token?p=1"
    assert type(refused(parse.endpoint, in_file("https://example.com/token#x"))) is ConfigurationError


@pytest.mark.parametrize(
    "value",
    [
        *("http://127.0.0.1/callback", "http://127.0.0.1:8252/callback", "http://127.0.0.1", "http://127.0.0.1/"),
        *("https://localhost:8000/callback", "https://127.0.0.1/", "https://[::1]:1/a"),
        *("http://[::1]/callback", "http://[::1]:1/a/b/", "http://localhost:8252", "http://localhost/a%20b"),
    ],
)
def test_a_redirect_uri_is_http_on_loopback_and_kept_as_written(value: str) -> None:
    assert parse.redirect_uri(in_file(value)) == value


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("https://example.com/callback", "is not on this machine, expected http://127.0.0.1[:PORT][/PATH]"),
        ("http://example.com/callback", "is not on this machine, expected http://127.0.0.1[:PORT][/PATH]"),
        ("http://127.0.0.2/callback", "is not on this machine, expected http://127.0.0.1[:PORT][/PATH]"),
        ("http://0.0.0.0/callback", "is not on this machine, expected http://127.0.0.1[:PORT][/PATH]"),
        ("http://LOCALHOST/callback", "expected the host as it is registered: 127.0.0.1, [::1], localhost"),
        ("http://localhost./callback", "expected the host as it is registered: 127.0.0.1, [::1], localhost"),
        ("http://localhost.example.com/", "is not on this machine, expected http://127.0.0.1[:PORT][/PATH]"),
        ("http://127.0.0.1/callback?a=b", "has a query (?…), expected http://127.0.0.1[:PORT][/PATH]"),
        ("http://127.0.0.1/callback?", "has a query (?…)"),
        ("http://127.0.0.1/a/../b", "has an empty, . or .. segment in its path"),
        ("http://127.0.0.1/a/%2e%2e/b", "has an empty, . or .. segment in its path"),
        ("http://127.0.0.1//", "has an empty, . or .. segment in its path"),
    ],
)
def test_any_other_redirect_uri_is_78(value: str, sentence: str) -> None:
    for written in (in_file(value, "redirect_uri"), Written(value, "--redirect-uri", FLAG)):
        error = refused(parse.redirect_uri, written)
        assert type(error) is ConfigurationError
        assert error.sentence.startswith(f"{written.where}: {sentence}")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("127.0.0.1/callback", "does not begin with http://"),
        ("com.example.app:/callback", "does not begin with http://"),
        ("ftp://127.0.0.1/callback", "does not begin with http://"),
        ("http://ada@localhost/callback", "has a user name in it"),
        ("http://localhost@example.com/", "has a user name in it"),
        ("http://127.0.0.1/callback#a", "has a fragment (#…)"),
        ("http://127.0.0.1/a b", "has a character in it that a URL cannot have"),
        ("http://127.0.0.1:0/callback", "has no valid host[:port]"),
        ("http://127.0.0.1:*/callback", "has no valid host[:port]"),
        ("http://127.0.0.1:/callback", "has no valid host[:port]"),
    ],
)
def test_a_redirect_uri_that_cannot_be_understood_is_64_in_a_flag(value: str, sentence: str) -> None:
    for written, kind in (
        (in_file(value, "redirect_uri"), ConfigurationError),
        (Written(value, "--redirect-uri", FLAG), UsageError),
    ):
        error = refused(parse.redirect_uri, written)
        assert type(error) is kind
        assert error.sentence.startswith(f"{written.where}: {sentence}")


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *(("issuer", "issuer"), ("token_endpoint", "token_endpoint"), ("token-endpoint", "token_endpoint")),
        *((value, value) for value in ("https://x/", "urn:example:as", "https://x/oauth/token?a=b")),
    ],
)
def test_an_assertion_is_for_a_uri_or_for_what_the_provider_says(value: str, meant: str) -> None:
    assert parse.assertion_audience(in_file(value)) == meant


@pytest.mark.parametrize("value", ["hunter2", "token endpoint", "https://x/#a", "https://x/ä", "x.example.com/token"])
def test_any_other_word_for_an_assertion_s_audience_is_not_understood(value: str) -> None:
    error = refused(parse.assertion_audience, Written(value, "--private-key-audience", FLAG))
    assert type(error) is UsageError
    assert error.sentence == "--private-key-audience: expected issuer, token_endpoint or an absolute URI"


# --- scope and resource


@pytest.mark.parametrize(
    ("value", "scopes"),
    [
        ("openid  email ", ("openid", "email")),
        (["openid", "email"], ("openid", "email")),
        (["openid email", "x"], ("openid", "email", "x")),
        ("b a b", ("b", "a", "b")),
        ("", ()),
        ([], ()),
    ],
)
def test_scope_is_a_string_or_a_list_and_kept_in_order(value: object, scopes: tuple[str, ...]) -> None:
    assert parse.scope(in_file(value)) == scopes


@pytest.mark.parametrize("value", ['a"b', "a\\b", "ä", "a\tb", "a\nb"])
def test_a_scope_has_the_characters_of_rfc_6749(value: str) -> None:
    assert isinstance(refused(parse.scope, in_file(value)), ConfigurationError)
    assert isinstance(refused(parse.scope, Written([value], "--scope", FLAG)), UsageError)


def test_an_item_that_is_no_string_is_named_by_its_index() -> None:
    sentence = "f.toml: scope[1]: found a number, expected a string or a list of strings"
    assert refused(parse.scope, in_file(["openid", 1], "scope")).sentence == sentence
    assert refused(parse.resource, in_file(5, "resource")).sentence.startswith("f.toml: resource: found a number")


@pytest.mark.parametrize(
    ("value", "resources"),
    [("https://a.example/x", ("https://a.example/x",)), (["urn:a:b", "https://x"], ("urn:a:b", "https://x"))],
)
def test_resource_is_an_absolute_uri_or_a_list_of_them(value: object, resources: tuple[str, ...]) -> None:
    assert parse.resource(in_file(value)) == resources


@pytest.mark.parametrize("value", ["x", "/x", "https://x/#f", "https://x y", "", ":x", "ä:x"])
def test_any_other_resource_is_refused(value: str) -> None:
    assert isinstance(refused(parse.resource, in_file(value)), ConfigurationError)


# --- parameters


@pytest.mark.parametrize(
    "name",
    [
        *("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "audience"),
        *("resource", "code", "code_verifier", "device_code", "refresh_token", "username", "password"),
        *("redirect_uri", "state", "nonce", "realm", "response_type", "code_challenge", "code_challenge_method"),
        *("response_mode", "request", "request_uri", "assertion", "subject_token", "subject_token_type"),
        *("actor_token", "actor_token_type", "requested_token_type"),
    ],
)
def test_a_parameter_that_this_program_sets_is_78(name: str) -> None:
    for place in (FILE, FLAG, VARIABLE):
        with pytest.raises(ConfigurationError, match=f"this program sets {name} itself"):
            parse.check_parameter_name(Written("x", "parameters", place), name)


@pytest.mark.parametrize("name", ["organization", "login_hint", "connection", "State", "prompt", "max_age"])
def test_any_other_parameter_is_fine(name: str) -> None:
    parse.check_parameter_name(in_file("x"), name)


def test_a_parameter_is_a_string_that_may_be_empty() -> None:
    assert parse.parameter(in_file("")) == ""
    assert parse.parameter(in_file("a=b, c")) == "a=b, c"
    assert "found a number" in refused(parse.parameter, in_file(1)).sentence
    assert "control character" in refused(parse.parameter, in_file("a\nb")).sentence


# --- where a secret is read


def test_a_secret_s_source_says_where_it_was_written() -> None:
    assert parse.source_env(in_file("CI_SECRET")) == Source(kind="env", value=("CI_SECRET",), origin="f.toml: key")
    assert parse.source_file(in_file("key.txt")).value == ("/etc/x/key.txt",)
    assert parse.source_command(in_file(["op", "read", "op://x y/$z"])).value == ("op", "read", "op://x y/$z")
    named = Source(kind="keyring", value=("ci-key_1.pem",), origin="f.toml: key")
    assert parse.source_keyring(in_file("ci-key_1.pem")) == named


def test_a_command_with_a_path_is_of_the_home_or_relative_to_the_file() -> None:
    assert parse.source_command(in_file(["~/bin/op", "~/x"])).value == ("/home/ada/bin/op", "~/x")
    assert parse.source_command(in_file(["bin/op"])).value == ("/etc/x/bin/op",)


@pytest.mark.parametrize("value", ["op read", [], [""], ["op", 1], ["op", ""], {"a": "b"}])
def test_a_command_is_a_list_of_words(value: object) -> None:
    assert isinstance(refused(parse.source_command, in_file(value)), ConfigurationError)


def test_what_is_no_variable_s_name_is_refused_and_not_shown() -> None:
    for value in ("hunter2-hunter2", "$CI_SECRET", "1A", "A B", "A="):
        error = refused(parse.source_env, Written(value, "--client-secret-env", FLAG))
        assert error.sentence == "--client-secret-env: expected the name of a variable"


@pytest.mark.parametrize("value", ["hunter 2", "a/b", "ä", "a$b", "", "a" * 101, "-----BEGIN\nx"])
def test_what_is_no_name_in_the_keyring_is_refused_and_not_shown(value: str) -> None:
    error = refused(parse.source_keyring, in_file(value))
    assert not value or value not in error.sentence
    if value and value.isprintable():
        assert error.sentence == "f.toml: key: expected a name of up to 100 letters, digits, -, _ and ."


def test_what_to_write_instead_of_a_secret_can_be_written() -> None:
    told = parse.write_instead("private_key").removeprefix("write private_key = ")
    for one in told.replace(" or ", ", ").split("}, "):
        (kind, value), *more = tomllib.loads(f"key = {one.rstrip('}')}}}")["key"].items()
        assert not more
        assert getattr(parse, f"source_{kind}")(in_file(value)).kind == kind


# --- git, docker, kubernetes


def test_a_git_entry_is_a_url_or_a_table() -> None:
    table = {
        "url": "https://GIT.example.com./group/",
        "username": "ada",
        "scheme": "bearer",
        "audience": "api",
        "scope": "a b",
    }
    assert git_urls(in_file(["https://git.example.com", table])) == (
        Listed(url="https://git.example.com:443", username="oauth2"),
        Listed(
            url="https://git.example.com:443/group", username="ada", scheme="bearer", audience="api", scope=("a", "b")
        ),
    )


def test_a_docker_entry_is_a_server_or_a_table() -> None:
    table = {"server": "https://index.docker.io/v1/", "username": "<token>", "audience": "api", "scope": ["a"]}
    assert docker_servers(in_file(["registry.example.com:5000", "localhost:5000", table])) == (
        Listed(url="https://registry.example.com:5000", username="oauth2accesstoken"),
        Listed(url="https://localhost:5000", username="oauth2accesstoken"),
        Listed(url="https://index.docker.io:443/v1", username="<token>", audience="api", scope=("a",)),
    )


def test_the_usual_user_names_are_the_default() -> None:
    assert git_urls(in_file(["https://x"]))[0].username == "oauth2"
    assert git_urls(in_file(["https://x"]))[0].scheme == "auto"
    assert docker_servers(in_file(["x"]))[0].username == "oauth2accesstoken"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://git.example.com", "is http, which is for loopback"),
        ("http://127.0.0.1", "is loopback, expected its port, too"),
        ("https://localhost/x", "is loopback, expected its port, too"),
        ("http://[::1]", "is loopback, expected its port, too"),
        ("https://git.example.com/?x", "has a query"),
        ("https://git.example.com/a%20b", "has a % in its path"),
        ("https://git.example.com/a;b", "has a ; in its path"),
        ("https://git.example.com/a//b", "has an empty, . or .. segment"),
        ("https://git.example.com/../b", "has an empty, . or .. segment"),
        ("https://git.example.com//", "has an empty, . or .. segment"),
        ("https://ada@git.example.com", "has a user name in it"),
        ("https://*.example.com", "has no valid host[:port]"),
        ("git@git.example.com:group/repo", "does not begin with https://"),
        ("git.example.com", "does not begin with https://"),
    ],
)
def test_a_listed_url_is_https_or_loopback_with_its_port(url: str, sentence: str) -> None:
    for parser, value in ((git_urls, [url]), (kubernetes_servers, [url]), (git_urls, [{"url": url}])):
        assert sentence in refused(parser, in_file(value)).sentence


def test_loopback_with_its_port_may_be_http() -> None:
    assert git_urls(in_file(["http://127.0.0.1:3000/x"]))[0].url == "http://127.0.0.1:3000/x"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("https://x", "f.toml: git: found a string, expected a list of URLs or tables"),
        (
            [1],
            "f.toml: git[0]: found a number, expected a string or a table with url, username, scheme, audience, "
            "resource, scope",
        ),
        ([{"username": "x"}], "f.toml: git[0]: url is missing"),
        (
            ["https://x", {"url": "https://y", "usrname": "x"}],
            "f.toml: git[1].usrname: unknown key; did you mean username?",
        ),
        (
            [{"url": "https://y", "scheme": "digest"}],
            'f.toml: git[0].scheme: found "digest", expected auto, basic or bearer',
        ),
        ([{"url": "https://y", "username": "a\nhost=evil"}], "f.toml: git[0].username: has a control character in it"),
    ],
)
def test_a_wrong_git_entry_is_named_by_its_place(value: object, sentence: str) -> None:
    assert refused(git_urls, in_file(value, "git")).sentence == sentence


def test_kubernetes_servers_are_normalised() -> None:
    listed = kubernetes_servers(in_file(["https://API.example.com", "https://x:6443/k8s/"]))
    assert [entry.url for entry in listed] == ["https://api.example.com:443", "https://x:6443/k8s"]


# --- unknown keys


def test_an_unknown_key_names_the_one_that_was_probably_meant() -> None:
    table = {"clientid": 1, "Client-ID": 1, "zzz": 1, "client_id": 1}
    errors = check_keys(Written(table, "f.toml:", FILE), table, ("issuer", "client_id"))
    assert [error.sentence for error in errors] == [
        "f.toml: clientid: unknown key; did you mean client_id?",
        "f.toml: Client-ID: unknown key; did you mean client_id?",
        "f.toml: zzz: unknown key, expected one of issuer, client_id",
    ]


def test_an_unknown_key_in_the_system_file_is_only_remarked() -> None:
    REMARKS.clear()
    assert check_keys(Written({}, "f.toml:", SYSTEM), {"clientid": 1}, ("client_id",)) == []
    assert REMARKS == ["f.toml: clientid: unknown key; did you mean client_id?"]


def test_a_hostile_key_is_harmless_in_a_message() -> None:
    (error,) = check_keys(Written({}, "f.toml:", FILE), {"a\x1b]0;x\nb" + "c" * 100: 1}, ())
    assert error.sentence.isprintable()
    assert len(error.sentence) < 130
