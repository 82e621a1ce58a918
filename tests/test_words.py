"""What is read without argparse is what argparse reads; what is left to it is whatever it might refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credential_helper import command_line, words
from credential_helper.commands import COMMANDS
from credential_helper.errors import UsageError
from credential_helper.profiles.settings import PROFILE, SETTINGS
from credential_helper.tools import TOOLS

READ = [row.name for row in TOOLS.values() if not row.whole] + [row.name for row in COMMANDS.values() if row.flags]
OF_PROFILES = [setting.flag for setting in (PROFILE, *SETTINGS) if setting.flag]
ARGUMENTS = [
    name
    for arguments in (*(row.arguments for row in TOOLS.values()), *(row.arguments for row in COMMANDS.values()))
    for name, _ in arguments
]
OWN = [name for name in ARGUMENTS if name.startswith("-")]
FLAGS = st.sampled_from([*OF_PROFILES, *OWN, "--verbose"])
VALUES = st.sampled_from(["", "x", "get", "a b", "a=b", "-", "--", "-1", "-x y", "ü\udc80"]) | st.text(max_size=6)
PARTS = st.one_of(
    FLAGS.map(lambda flag: [flag]),
    st.tuples(FLAGS, VALUES).map(list),
    st.tuples(FLAGS, VALUES).map(lambda two: [f"{two[0]}={two[1]}"]),
    VALUES.map(lambda value: [value]),
    FLAGS.map(lambda flag: [flag[:-1]]),
    st.sampled_from([["--help"], ["-h"], ["--version"], ["--all"], ["--unknown", "x"], ["-v"]]),
)
LINES = st.lists(PARTS, max_size=5).map(lambda parts: [word for part in parts for word in part])


def quickly(command: str, line: list[str]) -> dict[str, Any] | None:
    """Read a command line as ``cli`` does first."""
    return words.of_tool(TOOLS[command], line) if command in TOOLS else words.of_command([command, *line])


@pytest.fixture(scope="module")
def parser() -> Any:
    return command_line.parser_of()


@settings(max_examples=1500, deadline=None)
@given(command=st.sampled_from(READ), line=LINES)
def test_what_is_read_is_what_argparse_reads(parser: Any, command: str, line: list[str]) -> None:
    read = quickly(command, line)
    if read is not None:
        by_argparse = vars(parser.parse_args([command, *line]))  # raises what it refuses
        assert read == by_argparse
        flags, by_argparse_s = ([name for name in one if name not in ARGUMENTS] for one in (read, by_argparse))
        assert flags == by_argparse_s


@pytest.mark.parametrize(
    ("command", "line", "given"),
    [
        ("kubectl", [], {}),
        ("kubectl", ["--profile", "prod", "--api-version=v1"], {"profile": "prod", "api_version": "v1"}),
        (
            "kubectl",
            ["--kubernetes", "https://a", "--kubernetes=https://b"],
            {"kubernetes": ["https://a", "https://b"]},
        ),
        ("kubectl", ["--issuer=", "--verbose", "--legacy"], {"issuer": "", "verbose": True, "legacy": True}),
        ("kubectl", ["--tls-certificate", "/a", "--jwks-uri", "u"], {"tls.certificate": "/a", "endpoints.jwks": "u"}),
        ("git", ["get"], {"operation": "get"}),
        ("git", ["--profile=prod", "get", "--verbose"], {"profile": "prod", "operation": "get", "verbose": True}),
        ("git", ["--profile", "--"], None),
        ("bazel", ["get"], {"operation": "get"}),
        ("get", ["--audience", "a b"], {"audience": "a b"}),
        ("store", [], {}),
        ("erase", ["--profile", "prod"], {"profile": "prod"}),
        ("token", ["prod"], {"profiles": "prod"}),
        ("token", ["prod", "other"], None),
        ("login", ["a", "b", "--no-browser"], {"profiles": ["a", "b"], "no_browser": True}),
        ("login", ["a", "--no-browser", "b"], None),
        ("logout", ["--all", "--keyring"], {"all": True, "keyring": True}),
        ("status", ["--json"], {"json": True}),
    ],
)
def test_what_tools_and_people_say_is_read(command: str, line: list[str], given: dict[str, object] | None) -> None:
    assert quickly(command, line) == (None if given is None else {"command": command, **given})


@pytest.mark.parametrize(
    "line",
    [
        ["--unknown"],
        ["--unknown=x"],
        ["--profile"],
        ["--profile", "--verbose"],
        ["--profil", "prod"],
        ["--verbose=yes"],
        ["-h"],
        ["--help"],
        ["--version"],
        ["--client-secret", "x"],
        ["too", "many"],
        ["-"],
        ["--", "get"],
        ["--issuer", "-1"],
    ],
)
@pytest.mark.parametrize("command", READ)
def test_all_else_is_argparse_s(command: str, line: list[str]) -> None:
    if line == ["too", "many"] and command in COMMANDS and command != "refresh":
        line = ["one", "--verbose", "two"]  # they take several, but not on both sides of a flag
    assert quickly(command, line) is None


def test_a_tool_whose_words_are_its_own_and_a_command_without_a_profile_s_flags_are_not_read() -> None:
    assert words.of_tool(TOOLS["docker"], ["get"]) is None
    assert words.of_command(["secret", "list"]) is None
    assert words.of_command(["unknown"]) is None
    assert words.of_command([]) is None


def test_arguments_that_say_more_than_is_known_here_are_argparse_s() -> None:
    """A row may use what argparse offers; then its command is read by argparse, not wrongly."""
    number = ("--count", {"metavar": "N", "help": "how many", "type": int})
    assert words._read("x", [number], ["--count", "1"]) is None
    assert words._read("x", [number], ["--verbose"]) == {"command": "x", "verbose": True}
    needed = ("name", {"metavar": "NAME", "help": "a name"})
    assert words._read("x", [needed], ["one"]) is None
    assert words._read("x", [("name", {"nargs": "?", "choices": ("a",)})], ["b"]) is None


def test_argparse_refuses_what_only_it_can_refuse() -> None:
    with pytest.raises(UsageError):
        command_line.parse(["--unknown"], TOOLS["kubectl"], name="credential-helper")
