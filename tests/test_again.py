"""A kept request is complete: a process that renews ahead is called as the one that was answered."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credential_helper import again, places, replies, tools
from credential_helper.replies.keep import keep

SESSION = "sessions/" + "a" * 64 + ".json"
WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
NAMES = st.from_regex(r"CREDENTIAL_HELPER_[A-Z]{1,8}", fullmatch=True)
CALLS = st.sampled_from(
    [
        ("credential-helper", "token"),
        ("git-credential-helper", "get"),
        ("docker-credential-helper", "get"),
        ("credential-helper", "kubectl"),
        ("credential-helper", "bazel", "get"),
    ]
)
HERE = {"HOME": "/home/ada", "PATH": "/usr/bin", "CREDENTIAL_HELPER_CLIENT_SECRET": "ours", "CREDENTIAL_HELPER_X": "y"}


@settings(max_examples=200)
@given(
    CALLS,
    st.lists(WORD, max_size=3),
    st.dictionaries(NAMES, st.text(max_size=5).filter(lambda text: "\0" not in text), max_size=3),
    st.binary(max_size=30),
    st.sampled_from(["", "/usr/lib/git-core"]),
)
def test_what_was_called_is_called_again(
    call: tuple[str, ...], more: list[str], variables: dict[str, str], data: bytes, exec_path: str
) -> None:
    variables.pop("CREDENTIAL_HELPER_PASSWORD", None)
    variables.pop("CREDENTIAL_HELPER_CONFIG", None)
    environ = {"HOME": "/home/ada", "PATH": "/opt/bin", **variables}
    if exec_path:
        environ["GIT_EXEC_PATH"] = exec_path
    try:
        argv = [os.fsdecode(os.fsencode(word)) for word in (call[0], *more, *call[1:])]
    except UnicodeError:
        return
    kind = tools.input_of(argv[0], argv[1:], environ)
    if kind not in (tools.STDIN, tools.LINES, tools.ENVIRONMENT, tools.NOTHING):
        return
    if kind == tools.NOTHING or (kind == tools.ENVIRONMENT and b"\0" in data):
        data = b""
    if kind == tools.ENVIRONMENT:
        environ[tools.EXEC_INFO] = os.fsdecode(data)
    request = replies.request_of(argv, environ, data)
    if request is None:
        return
    found = again.repeated(request, HERE)
    assert found is not None
    assert found.argv == argv
    assert found.heard == (data if kind in (tools.STDIN, tools.LINES) else None)
    ours = {name: value for name, value in found.environ.items() if name.startswith("CREDENTIAL_HELPER_")}
    assert ours == {**variables, "CREDENTIAL_HELPER_CLIENT_SECRET": "ours"}
    assert found.environ.get("GIT_EXEC_PATH", "") == exec_path
    assert found.environ["PATH"] == (f"{exec_path}:/usr/bin" if exec_path else "/usr/bin")
    if kind == tools.ENVIRONMENT:
        assert found.environ[tools.EXEC_INFO] == os.fsdecode(data)


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_what_is_no_request_is_nobody_s(request: bytes) -> None:
    found = again.repeated(request, HERE)
    assert found is None or replies.request_of(found.argv, found.environ, found.heard or b"") is not None


@pytest.mark.parametrize(
    "changes", [{"HOME": "/home/bob"}, {"XDG_CONFIG_HOME": "/etc/other"}, {"CREDENTIAL_HELPER_CONFIG": "/x.toml"}]
)
def test_a_call_with_other_config_files_is_not_ours_to_repeat(changes: dict[str, str]) -> None:
    environ = {"HOME": "/home/ada", **changes}
    request = replies.request_of(["credential-helper", "token"], environ, b"")
    assert request is not None
    found = again.repeated(request, HERE)
    assert found is None or "CREDENTIAL_HELPER_CONFIG" in found.environ


def test_only_what_stands_on_the_session_as_it_is_is_called_again(environ: dict[str, str]) -> None:
    """In a folder that came with somebody's files a reply may hold anything: it would be done in our name."""
    state = Path(environ["HOME"], ".local", "state", "credential-helper")
    session = state / SESSION
    session.parent.mkdir(parents=True)
    state.chmod(0o700)
    session.touch(0o600)
    right, wrong = places.stamp(session.stat()), places.stamp(state.stat())
    for profile, stamp in (("right", right), ("wrong", wrong)):
        request = replies.request_of(["credential-helper", "token", profile], environ, b"")
        assert request is not None
        path = state / "replies" / replies.name_of(request)
        until = time.time() + 60
        keep(request, b"t", until=until, state_files=[(SESSION, right)], config_stamps=None, environ=environ)
        path.write_bytes(path.read_bytes().replace(right.encode(), stamp.encode()))
    assert [found.argv[-1] for _, found in again.kept(environ, SESSION)] == ["right"]
    session.write_text("another")
    assert again.kept(environ, SESSION) == []
