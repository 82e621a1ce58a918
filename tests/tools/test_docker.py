from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credential_helper import urls
from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    InteractionRequired,
    ProtocolError,
    RememberedError,
    StoreError,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Credential, Identity, Listed, Secret
from credential_helper.profiles.matching import longest_match
from credential_helper.tools import docker
from tests.tools.contract import ListedToolContract

HUB = [
    f"{scheme}{name}{slash}"
    for name in (
        "index.docker.io/v1",
        "index.docker.io",
        "docker.io",
        "registry-1.docker.io",
        "registry.hub.docker.com",
    )
    for scheme in ("", "https://")
    for slash in ("", "/")
]
ADA = Identity(subject="ada", name="Ada", claims=(("sub", "ada"), ("email", "ada@example.com"), ("odd", "a:b")))


def entry(server: str = "https://registry.example.com:443", username: str = "oauth2accesstoken") -> Listed:
    return Listed(url=server, username=username)


# --- get and erase ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "server"),
    [
        (b"registry.example.com", "registry.example.com"),
        (b"registry.example.com\n", "registry.example.com"),
        (b" \t\r\nhttps://index.docker.io/v1/\r\n ", "https://index.docker.io/v1/"),
        ("\u00a0a\u0085".encode(), "a"),
        (b"ftp://x", "ftp://x"),
        (b"//x", "//x"),
        (b"/x", "/x"),
        (b"a b", "a b"),
        ("bücher.example".encode(), "bücher.example"),
        (b"x" * 1_000_000, "x" * 1_000_000),
    ],
)
def test_a_server_is_what_stands_between_the_white_space(data: bytes, server: str) -> None:
    assert docker.read_server(data) == server


@pytest.mark.parametrize("data", [b"", b" ", b"\n", b" \t\r\n\v\f "])
def test_no_server_is_said_in_dockers_words(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        docker.read_server(data)
    assert docker.decline(caught.value) == (b"no credentials server URL\n", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"https://good.example\n.evil.example",
        b"https://good.example\r.evil.example",
        b"good.example\r\nevil.example",
        b"a\0b",
        b"\0",
        b"\x1b[31mred",
        b"\x1ca",
        b"a\x7fb",
        "a\u0085b".encode(),
        "a\u2028b".encode(),
        b"\xff\xfe",
        b"caf\xe9.example",
    ],
)
def test_control_characters_and_other_encodings_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        docker.read_server(data)
    stdout, code = docker.decline(caught.value)
    assert stdout.startswith(b"credential-helper: the server URL ")
    assert code == 65


@given(st.binary(max_size=40))
def test_no_bytes_make_two_lines_of_a_server(data: bytes) -> None:
    try:
        server = docker.read_server(data)
    except ProtocolError:
        return
    assert len(server.splitlines()) == 1
    assert server.encode() in data
    assert docker.read_server(f" {server}\n".encode()) == server


# --- store ------------------------------------------------------------------------------------------------------------


def test_store_reads_gos_json() -> None:
    found = docker.read_store(b'{"ServerURL":"r.example.com","Username":"\\u003ctoken\\u003e","Secret":"s"}\n')
    assert (found.server, found.username, found.secret.reveal()) == ("r.example.com", "<token>", "s")


@pytest.mark.parametrize("size", [0, 70_000, 2_000_000])
def test_a_secret_may_have_any_length(size: int) -> None:
    data = json.dumps({"ServerURL": "r", "Username": "u", "Secret": "s" * size}).encode()
    assert docker.read_store(data).secret == Secret("s" * size)


@pytest.mark.parametrize(
    ("data", "server"),
    [
        (b'{"ServerURL":"r","Username":"u"}', "r"),
        (b'{"ServerURL":" r ","Username":"u","Secret":null}', "r"),
        (b'{"ServerURL":"r","Username":"u","Secret":"","More":[1]}', "r"),
    ],
)
def test_what_go_reads_is_read(data: bytes, server: str) -> None:
    found = docker.read_store(data)
    assert (found.server, found.username, found.secret) == (server, "u", Secret(""))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"[]",
        b'"x"',
        b"null",
        b"7",
        b'{"ServerURL":"x","Username":"u"',
        b'{"ServerURL":"x","Username":"u","Secret":"s3cret"} trailing',
        b'{"ServerURL":"x","Username":"u","Secret":"s3cret"}{}',
        b'{"ServerURL":7,"Username":"u","Secret":"s3cret"}',
        b'{"ServerURL":"x","Username":["u"],"Secret":"s3cret"}',
        b'{"ServerURL":"x","Username":"u","Secret":{"s3cret":1}}',
        b'{"ServerURL":"x","Username":"u","Secret":"s3cret\xff"}',
        b'{"ServerURL":"x","Username":"u","Secret":"s3cret\\ud800"}',
        b'\xef\xbb\xbf{"ServerURL":"x","Username":"u","Secret":"s3cret"}',
        b'{"ServerURL":' * 100_000,
    ],
)
def test_what_is_no_credentials_is_refused_and_not_quoted(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        docker.read_store(data)
    stdout, code = docker.decline(caught.value)
    assert stdout == (
        b"credential-helper: what should be stored is not one JSON object with ServerURL, Username and Secret\n"
    )
    assert code == 65
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"{}", b"no credentials server URL"),
        (b'{"ServerURL":"","Username":"u"}', b"no credentials server URL"),
        (b'{"ServerURL":null,"Username":""}', b"no credentials server URL"),
        (b'{"ServerURL":" ","Username":"u"}', b"no credentials server URL"),
        (b'{"ServerURL":"x"}', b"no credentials username"),
        (b'{"ServerURL":"x","Username":""}', b"no credentials username"),
        (b'{"ServerURL":"x","Username":null,"Secret":"s"}', b"no credentials username"),
    ],
)
def test_what_is_missing_is_said_in_dockers_words(data: bytes, sentence: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        docker.read_store(data)
    assert docker.decline(caught.value) == (sentence + b"\n", 1)


def test_a_control_character_in_a_stored_server_is_refused() -> None:
    with pytest.raises(ProtocolError, match="control character"):
        docker.read_store(b'{"ServerURL":"a\\nb","Username":"u","Secret":"s"}')


# --- servers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", HUB)
def test_the_hub_is_exactly_these_strings(server: str) -> None:
    assert docker.hub(server)
    assert docker.spellings(server) == docker.HUB


@pytest.mark.parametrize(
    "server",
    [
        "https://index.docker.io/v1/access-token",
        "https://index.docker.io/v1/refresh-token",
        "index.docker.io/v1/access-token",
        "https://index.docker.io/v2/",
        "https://INDEX.docker.io/v1/access-token",
        "https://index.docker.io:443/v1/refresh-token",
        "https://index.docker.io./v1/refresh-token",
        "docker.io/library",
        "https://index.docker.io/v1//",
    ],
)
def test_every_other_path_of_the_hub_is_a_key_of_its_own(server: str) -> None:
    assert not docker.hub(server)
    assert docker.spellings(server) == ()


@pytest.mark.parametrize(
    "server",
    [
        "registry.example.com",
        "https://registry.example.com:5000/a",
        "docker.io.evil.example",
        "xdocker.io",
        "http://docker.io",
        "hub.docker.com",
        "/v1/",
        "//docker.io",
        "",
    ],
)
def test_any_other_server_is_only_itself(server: str) -> None:
    assert not docker.hub(server)
    assert docker.spellings(server) == (server,)


@pytest.mark.parametrize(
    ("listed", "key"),
    [
        ("https://registry.example.com:443", "registry.example.com"),
        ("https://registry.example.com:5000", "registry.example.com:5000"),
        ("https://registry.example.com:443/team", "registry.example.com/team"),
        ("https://[::1]:5000", "[::1]:5000"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://index.docker.io:443/v1", "https://index.docker.io/v1/"),
        ("https://docker.io:443", "https://index.docker.io/v1/"),
        ("https://registry-1.docker.io:443", "https://index.docker.io/v1/"),
    ],
)
def test_a_listed_server_has_the_key_by_which_docker_asks(listed: str, key: str) -> None:
    assert docker.key_of(entry(listed)) == key
    asked = urls.parse_server(key)  # and by that key it is found again
    assert asked is not None
    assert docker.hub(key) or longest_match([listed], asked) == 0


# --- user names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("oauth2accesstoken", "oauth2accesstoken"),
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
        ("<token>", "<token>"),
        ("$oauthtoken", "$oauthtoken"),
        ("{email}", "ada@example.com"),
        ("oidc-{sub}", "oidc-ada"),
    ],
)
def test_a_user_name_is_written_or_a_claim(template: str, name: str) -> None:
    assert docker.username_of(entry(username=template), ADA) == name


@pytest.mark.parametrize(
    ("template", "identity"),
    [
        ("{nickname}", ADA),
        ("{email}", None),
        ("{odd}", ADA),
        ("{empty}", Identity(subject="a", claims=(("empty", ""),))),
        ("{line}", Identity(subject="a", claims=(("line", "a\nb"),))),
    ],
)
def test_a_user_name_that_cannot_be_is_an_error(template: str, identity: Identity | None) -> None:
    with pytest.raises(ConfigurationError, match="username = "):
        docker.username_of(entry(username=template), identity)


# --- answers ----------------------------------------------------------------------------------------------------------


def a_credential(token: str = "the-token") -> Credential:
    return Credential(
        profile="prod",
        kind="access",
        token=Secret(token),
        token_type="Bearer",
        received_at=0.0,
        expires_at=None,
        fresh_until=None,
        scope=(),
        identity=ADA,
    )


def test_an_answer_is_one_json_object_with_the_server_as_it_was_asked_for() -> None:
    answer = docker.render_token("https://Registry.example.com/", entry(username="{sub}"), a_credential())
    assert json.loads(answer) == {
        "ServerURL": "https://Registry.example.com/",
        "Username": "ada",
        "Secret": "the-token",
    }
    assert answer.endswith(b"}\n")
    assert answer.count(b"\n") == 1


@pytest.mark.parametrize("token", ["", "a\nb", "a b", "a\0", "é"])
def test_a_token_that_no_header_carries_is_refused(token: str) -> None:
    with pytest.raises(TokenResponseError):
        docker.render_token("r", entry(), a_credential(token))


@given(st.text(), st.text(), st.text())
def test_whatever_was_stored_is_valid_json_on_one_line(server: str, name: str, secret: str) -> None:
    answer = docker.render(server, name, Secret(secret))
    assert json.loads(answer) == {"ServerURL": server, "Username": name, "Secret": secret}
    assert answer.isascii()
    assert answer.count(b"\n") == 1
    assert json.loads(docker.render_list({server: name})) == {server: name}


def test_an_empty_list_is_an_empty_object() -> None:
    assert docker.render_list({}) == b"{}\n"


def test_words_of_the_reference_implementation() -> None:
    assert docker.usage("docker-credential-helper") == (
        b"Usage: docker-credential-helper <store|get|erase|list|version>\n"
    )
    assert docker.unknown_action("docker-credential-helper", "login") == (
        b"docker-credential-helper: unknown action: login\n"
    )
    assert docker.unknown_action("n", "\x1b[31m\nx") == b"n: unknown action\n"
    assert docker.unknown_action("n", "--token=hunter2") == b"n: unknown action\n"
    assert docker.version("docker-credential-helper", "credential-helper", "1.2") == (
        b"docker-credential-helper (credential-helper) 1.2\n"
    )


def test_there_is_nothing_is_said_in_dockers_words() -> None:
    assert docker.decline(None) == (b"credentials not found in native keychain\n", 1)


@pytest.mark.parametrize(
    ("error", "signed_out"),
    [
        (InteractionRequired("nobody is signed in"), True),
        (AuthorizationError("refused", error="invalid_grant"), True),
        (RememberedError("declined 12 s ago", exit_code=77), True),
        (RememberedError("no answer", exit_code=69), False),
        (TransportError("no network"), False),
        (StoreError("the keyring is locked"), False),
        (ConfigurationError("wrong"), False),
    ],
)
def test_who_is_signed_out_is_told_apart(error: CredentialHelperError, signed_out: bool) -> None:
    assert docker.signed_out(error) is signed_out


@pytest.mark.parametrize("sentence", ["no network", "é \x1b[31m\nsecond line", "\udcff"])
def test_any_other_error_is_one_line_with_the_profile_and_its_own_code(sentence: str) -> None:
    error = TransportError(sentence)
    error.profile = "prod"
    stdout, code = docker.decline(error)
    assert stdout.startswith(b"credential-helper: prod: ")
    assert stdout.endswith(b"\n")
    assert stdout.count(b"\n") == 1
    assert b"\x1b" not in stdout
    assert code == 69


class TestContract(ListedToolContract):
    tool = "docker"
    words = ("get",)
    listed = 'docker = ["registry.example.com"]\n[profiles.other]\nissuer = "https://idp.example.com"\nclient_id = "x"'
    mine = b"registry.example.com"
    others = b"other.example.com"
    not_mine = (b"credentials not found in native keychain\n", 1)
    refused = (b"credentials not found in native keychain\n", 1)
    broken = (
        (b"", b"no credentials server URL\n", 1),
        (b"a\nb", b"credential-helper: the server URL has a control character in it\n", 65),
    )

    def token(self, stdout: bytes) -> str:
        return str(json.loads(stdout)["Secret"])
