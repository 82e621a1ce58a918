"""The guess which protocol a caller speaks."""

from __future__ import annotations

import pytest

from credential_helper.tools import detect


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"{}", "json"),
        (b'\n {"profile": "prod"}', "json"),
        (b'{"profile": "prod"', "json"),
        (b'\xef\xbb\xbf{"profile": "prod"}', "json"),
        (b'{"token": 1, "token": 2}', "json"),
        (b'["profile"]', "json"),
        (b'{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{}}', "exec-credential"),
        (b'{"apiVersion":"client.authentication.k8s.io/v1"}', "exec-credential"),
        (b'{"uri": "https://registry.example.com/"}', "uri"),
        (b"protocol=https\nhost=git.example.com\n", "git"),
        (b"protocol=https\r\nhost=git.example.com\r\n\r\n", "git"),
        (b"capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example.com\n\n", "git"),
        (b"somethingnew=1\nprotocol=https\n", "git"),
        (b"url=https://git.example.com/x\n", "git"),
        (b"protocol=https\n" + b"wwwauth[]=" + b"x" * 100_000, "git"),
        (b"https://index.docker.io/v1/\n", None),
        (b"first=1\n\nprotocol=https\n", None),  # git's requests end at the first blank line
        (b"protocol\nhost=git.example.com\n", None),
        (b"audience=https://api.example.com\n", None),
        (b"\x00\x01", None),
        (b"\xff\xfe{\x00}\x00", None),
        (b"null", None),
        (b" " * 10_000 + b"{}", "json"),
    ],
)
def test_the_protocol_is_recognised(data: bytes, protocol: str | None) -> None:
    assert detect.detect(data) == protocol


def test_a_request_that_nobody_answers_is_refused_in_words() -> None:
    assert detect.unanswerable("uri").sentence == 'a request by "uri" on stdin is not supported yet'
    assert detect.unanswerable(None).exit_code == 65
    assert "neither" in detect.unanswerable(None).sentence
    assert detect.unanswerable("empty").sentence == "stdin is empty"
