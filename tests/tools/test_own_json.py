"""Our own JSON on stdin and stdout."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credential_helper.errors import AuthorizationError, CredentialHelperError, ProtocolError, TokenResponseError
from credential_helper.model import Credential, Request, Secret
from credential_helper.tools import contract, detect, own_json, wire
from credential_helper.tools.contract import Asked, Exchange
from tests.helpers.credentials import CANARY, answer_or_refusal, credential, credentials, json_values, patient
from tests.tools.contract import ToolContract

REFUSED = hashlib.sha256(b"an old token").hexdigest()


def read(data: bytes) -> Request:
    exchange = own_json.read(Asked(data=data))
    assert exchange.url is None
    return exchange.request


def render(credential: Credential) -> bytes:
    return own_json.render(Exchange(request=Request(tool="credential-helper")), credential, 0.0)


def refusal(data: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        read(data)
    error = caught.value
    assert error.exit_code == 65
    assert not error.sentence.endswith(".")
    assert "\n" not in error.sentence
    return error


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t", b"{}", b'{"version":1}', b'  {"version": 1}\n'])
def test_a_request_may_say_nothing(data: bytes) -> None:
    assert read(data) == Request(tool="credential-helper")


def test_every_key_of_a_request_is_read() -> None:
    data = {
        "version": 1,
        "profile": "prod",
        "audience": "https://api.example.com",
        "resource": ["https://a.example.com/", "urn:b"],
        "scope": ["openid", "email"],
        "token": "id",
        "minimum_validity": 300,
        "refused": REFUSED,
    }
    assert read(json.dumps(data).encode()) == Request(
        tool="credential-helper",
        profile="prod",
        audience="https://api.example.com",
        resource=("https://a.example.com/", "urn:b"),
        scope=("openid", "email"),
        token="id",
        minimum_validity=300.0,
        refused=REFUSED,
    )


def test_scope_and_resource_may_be_one_string() -> None:
    request = read(b'{"scope": "openid  email ", "resource": "https://a.example.com"}')
    assert request.scope == ("openid", "email")
    assert request.resource == ("https://a.example.com",)


def test_an_empty_scope_is_none_at_all_and_not_the_profile_s() -> None:
    assert read(b'{"scope": ""}').scope == ()
    assert read(b'{"scope": []}').scope == ()
    assert read(b'{"resource": []}').resource == ()
    assert read(b"{}").scope is None


def test_the_digest_of_a_refused_token_is_compared_in_lower_case() -> None:
    assert read(json.dumps({"refused": REFUSED.upper()}).encode()).refused == REFUSED


EXPECTED = {
    "version": "1",
    "profile": "a profile's name",
    "audience": "a string of printable characters",
    "resource": "an absolute URI without a fragment, or a list of them",
    "scope": "scopes with a space between them, or a list of them",
    "token": '"access" or "id"',
    "minimum_validity": "a number of seconds, 0 or more",
    "refused": "the SHA-256 of a token as 64 hex digits",
}


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("version", "2", "another number"),
        ("version", "true", "true or false"),
        ("version", "1.0", "another number"),
        ("version", '"1"', "a string"),
        ("profile", "null", "null (leave the key out instead)"),
        ("profile", '""', "an empty string"),
        ("profile", '"a\\u0000b"', "another string"),
        ("audience", "7", "a number"),
        ("audience", '"a\\nb"', "another string"),
        ("audience", '"\\ud800"', "another string"),
        ("audience", '["a"]', "a list"),
        ("token", '"refresh"', "another string"),
        ("token", "{}", "an object"),
        ("minimum_validity", "-1", "another number"),
        ("minimum_validity", "1e999", "another number"),
        ("minimum_validity", "1" + "0" * 400, "another number"),
        ("minimum_validity", '"60"', "a string"),
        ("minimum_validity", "false", "true or false"),
        ("refused", '"abc"', "another string"),
        ("refused", f'"{REFUSED}\\n"', "another string"),
        ("scope", '["a b"]', "another list"),
        ("scope", '["a", ""]', "another list"),
        ("scope", '"a\\tb"', "another string"),
        ("scope", '{"a": 1}', "an object"),
        ("resource", '"kubernetes"', "another string"),
        ("resource", '"https://a/#b"', "another string"),
        ("resource", '["https://a", "//b"]', "another list"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_was_expected(key: str, value: str, found: str) -> None:
    error = refusal(f'{{"{key}": {value}}}'.encode())
    assert error.sentence == f'stdin: "{key}" should be {EXPECTED[key]}; found {found}'


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ('{"audiance": "x"}', 'stdin: unknown key "audiance"'),
        ('{"a\\u001b[31m\\u202e": "x"}', 'stdin: unknown key "a[31m"'),
        ('{"token": "id", "token": "id"}', 'stdin has the key "token" twice'),
        ('{"x": {"y": 1, "y": 2}}', 'stdin has the key "y" twice'),
        ('{"minimum_validity": NaN}', "stdin holds a number that JSON cannot write (RFC 8259 §6)"),
        ('{"minimum_validity": -Infinity}', "stdin holds a number that JSON cannot write (RFC 8259 §6)"),
        ('{"version": ' + "9" * 5000 + "}", "stdin holds a number of too many digits"),
        ("[]", "stdin should be one JSON object; found a list"),
        ("null", "stdin should be one JSON object; found null"),
        ('"prod"', "stdin should be one JSON object; found a string"),
        ("{}{}", "stdin is not one JSON object: extra data (line 1, column 3)"),
        ('{\n"token": ', "stdin is not one JSON object: expecting value (line 2, column 10)"),
        ("[" * 200_000, "stdin is nested too deeply"),
        ('{"audience": "' + "x" * wire.LIMIT + '"}', "stdin is larger than 1 MiB"),
    ],
)
def test_what_is_not_one_plain_json_object_is_refused(data: str, sentence: str) -> None:
    assert refusal(data.encode()).sentence == sentence


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'{"audience": "\xff"}', "stdin is not UTF-8"),
        (b"\xef\xbb\xbf{}", "stdin begins with a byte order mark, which JSON may not have (RFC 8259 §8.1)"),
        ("{}".encode("utf-16"), "stdin is UTF-16; JSON is UTF-8 (RFC 8259 §8.1)"),
    ],
)
def test_bytes_that_are_not_json_text_are_named(data: bytes, sentence: str) -> None:
    assert refusal(data).sentence == sentence


def test_an_unknown_key_s_hint_lists_the_keys() -> None:
    hint = refusal(b'{"audiance": "x"}').hint
    assert hint == "the keys are version, profile, audience, resource, scope, token, minimum_validity, refused"


@pytest.mark.parametrize(
    "data",
    [
        '{"token": "canary-3f1c"}',
        '{"refused": "canary-3f1c"}',
        '{"access_token": "canary-3f1c"}',
        '{"profile": ["canary-3f1c"]}',
        '{"profile": "canary-3f1c',
        'canary-3f1c {"profile": 1}',
        '{"token": "canary-3f1c", "token": 1}',
    ],
)
def test_a_value_is_never_quoted(data: str) -> None:
    error = refusal(data.encode())
    assert CANARY not in f"{error.sentence}{error.hint}{error!r}"
    assert error.__suppress_context__ or error.__context__ is None


@patient
@given(st.binary(max_size=300))
def test_bytes_are_a_request_or_a_refusal(data: bytes) -> None:
    answer_or_refusal(lambda: read(data))
    detect.detect(data)


key_names = st.sampled_from(
    ["version", "profile", "audience", "resource", "scope", "token", "minimum_validity", "refused"]
)


@patient
@given(st.dictionaries(key_names | st.text(max_size=8), json_values, max_size=4))
def test_an_object_of_anything_is_a_request_or_a_refusal(found: dict[str, Any]) -> None:
    request = answer_or_refusal(lambda: read(json.dumps(found).encode()))
    if request is not None:
        msgspec.json.encode(request)  # every string in it can be written and sent
        assert math.isfinite(request.minimum_validity)


# --- answering --------------------------------------------------------------------------------------------------------


def test_an_answer_holds_the_token_that_was_asked_for_and_no_other() -> None:
    assert render(credential) == (
        b'{"version":1,"token_type":"Bearer","access_token":"eyJ.abc.def",'
        b'"expires_at":"2030-03-17T18:46:40Z","scope":"openid email"}\n'
    )
    answer = json.loads(render(msgspec.structs.replace(credential, kind="id")))
    assert answer["id_token"] == "eyJ.abc.def"
    assert "access_token" not in answer


def test_what_is_unknown_is_left_out_of_an_answer() -> None:
    bare = msgspec.structs.replace(credential, expires_at=None, scope=())
    assert json.loads(render(bare)) == {"version": 1, "token_type": "Bearer", "access_token": "eyJ.abc.def"}


def test_what_a_provider_should_not_have_said_breaks_no_answer() -> None:
    odd = msgspec.structs.replace(credential, expires_at=math.nan, scope=("a\nb", "\ud800", '"'))
    assert json.loads(render(odd)) == {
        "version": 1,
        "token_type": "Bearer",
        "access_token": "eyJ.abc.def",
        "scope": 'a\nb ? "',
    }


def test_bearer_is_spelled_as_the_rfc_does_whatever_the_provider_wrote() -> None:
    assert json.loads(render(msgspec.structs.replace(credential, token_type="bearer")))["token_type"] == "Bearer"


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "abc\n", "a\x00", "ä", "\ud800", "a\x7f"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(TokenResponseError, match="the access token has characters"):
        render(msgspec.structs.replace(credential, token=Secret(token)))
    with pytest.raises(TokenResponseError):
        render(msgspec.structs.replace(credential, token_type=f"x{token} "))


def test_a_failure_leaves_stdout_empty() -> None:
    assert contract.decline(own_json, AuthorizationError("no")) == (b"", 77)
    assert contract.decline(own_json, CredentialHelperError("what")) == (b"", 70)


@patient
@given(credentials)
def test_an_answer_is_always_exactly_one_json_document(credential: Credential) -> None:
    try:
        data = render(credential)
    except TokenResponseError:
        return
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    answer = json.loads(data)
    assert answer[f"{credential.kind}_token"] == credential.token.reveal()
    if "expires_at" in answer:
        moment = datetime.strptime(answer["expires_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert credential.expires_at is not None
        assert moment.timestamp() <= max(credential.expires_at, 0)


class TestContract(ToolContract):
    tool = "get"
    mine = b'{"version": 1}'
    broken = ((b"{", b"", 65), (b'{"audience": null}', b"", 65), (b"hunter2", b"", 65))

    def token(self, stdout: bytes) -> str:
        return str(json.loads(stdout)["access_token"])
