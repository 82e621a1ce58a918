"""Bazel's credential helper, by EngFlow's specification: its two schemas, and a client that is in a hurry."""

from __future__ import annotations

import json

import msgspec
import pytest

from credential_helper.errors import ProtocolError
from credential_helper.model import Credential, Request, Secret
from credential_helper.tools import bazel
from credential_helper.tools.contract import Asked, Exchange
from tests.tools.contract import ListedToolContract

NOW = 1_893_456_000.0
CREDENTIAL = Credential(
    profile="prod",
    kind="access",
    token=Secret("abc.def"),
    token_type="Bearer",
    received_at=NOW,
    expires_at=NOW + 3600,
    fresh_until=NOW + 3540,
    scope=(),
)


def read(data: bytes) -> Exchange:
    return bazel.read(Asked(data=data, operation="get"))


def render(**changes: object) -> dict[str, object]:
    exchange = Exchange(request=Request(tool="bazel"))
    answer = bazel.render(exchange, msgspec.structs.replace(CREDENTIAL, **changes), NOW)
    assert answer.endswith(b"\n")
    found: dict[str, object] = json.loads(answer)
    return found


@pytest.mark.parametrize(
    "uri", ["https://cache.example.com/a?b=c", "https://rbe.example.com/google.bytestream.ByteStream"]
)
def test_a_uri_is_what_is_asked_for_and_other_members_are_ignored(uri: str) -> None:
    exchange = read(json.dumps({"uri": uri, "later": [1]}).encode())
    assert (exchange.url, exchange.request.target, exchange.request.tool) == (uri, uri, "bazel")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"uri": 1}', b'{"uri": ""}', b"https://x", b'["https://x"]'])
def test_what_is_no_request_is_refused_without_its_text(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(data)
    assert "https://x" not in caught.value.sentence


def test_the_answer_is_a_header_and_the_moment_when_we_would_renew_it() -> None:
    assert render() == {"headers": {"Authorization": ["Bearer abc.def"]}, "expires": "2030-01-01T00:59:00Z"}


def test_a_token_that_is_valid_though_not_fresh_says_its_own_expiry() -> None:
    assert render(fresh_until=NOW - 1)["expires"] == "2030-01-01T01:00:00Z"


@pytest.mark.parametrize("expires_at", [None, NOW - 1, float("inf")])
def test_an_expiry_that_is_unknown_or_past_is_left_out(expires_at: float | None) -> None:
    assert "expires" not in render(expires_at=expires_at, fresh_until=None)


class TestContract(ListedToolContract):
    tool = "bazel"
    words = ("get",)
    listed = 'bazel = ["https://cache.example.com", "https://rbe.example.com/google.bytestream.ByteStream"]'
    mine = b'{"uri": "https://rbe.example.com/google.bytestream.ByteStream", "later": true}'
    others = b'{"uri": "https://rbe.example.com/another.Service"}'
    not_mine = (b"", 78)  # an error: Bazel would go on without credentials
    silent = False
    broken = ((b"", b"", 65), (b"{}", b"", 65), (b'{"uri": "https://a", "uri": "https://b"}', b"", 65))

    def token(self, stdout: bytes) -> str:
        [header] = json.loads(stdout)["headers"]["Authorization"]
        return str(header).removeprefix("Bearer ")

    def test_another_word_than_get_is_refused(self, home: dict[str, str]) -> None:
        for words in ((), ("store",)):
            done = self.run(home, self.mine, "bazel-credential-helper", *words)
            assert (done.code, done.stdout) == (64, b"")
            assert done.stderr.startswith("credential-helper: bazel says get, and nothing else\n")
