"""The table of tools: who is called, where the input of a kept answer stands, and what each row has beside it."""

from __future__ import annotations

import itertools
import os
from importlib import import_module

import pytest

from credential_helper import tools
from credential_helper.tools import LISTED, TOOLS
from tests.helpers.programs import CHECKOUT

EXEC_INFO = {"KUBERNETES_EXEC_INFO": "{}"}
PROGRAMS = ("credential-helper", "git-credential-helper", "docker-credential-helper")
WORDS = (
    *((), ("get",), ("token",), ("kubectl",), ("git", "get"), ("git", "store"), ("git",), ("docker", "get")),
    *(("docker", "list"), ("docker", "erase"), ("docker",), ("list",), ("store",), ("erase",), ("login", "prod")),
    *(("--verbose",), ("token", "prod"), ("git", "--profile", "p", "get"), ("secret", "set", "ci"), ("status",)),
    ("kubectl", "--issuer", "https://idp.example.com"),
)


def kind_before_the_table(argv: list[str], environ: dict[str, str]) -> str | None:
    """What the hot path decided by hand, before there was a table; ``store`` came later."""
    words = argv[1:]
    program = os.path.basename(argv[0])
    if program == "git-credential-helper" or (program == "credential-helper" and words[:1] == ["git"]):
        return {"get": "lines", "store": "secretless"}.get(words[-1] if words else "")
    if program == "docker-credential-helper" or words[:1] == ["docker"]:
        return {"get": "stdin", "list": "nothing"}.get(words[-1] if words else "")
    command = words[0] if words else ""
    if command == "store":
        return "secretless"
    if command == "token":
        return "nothing"
    if command == "kubectl" or (command in ("get", "") and "KUBERNETES_EXEC_INFO" in environ):
        return "environment"
    return "lines" if command in ("get", "") else None


@pytest.mark.parametrize(("program", "words"), list(itertools.product(PROGRAMS, WORDS)))
@pytest.mark.parametrize("environ", [{}, EXEC_INFO], ids=["without", "with exec info"])
def test_the_input_of_a_kept_answer_stands_where_it_always_did(
    program: str, words: tuple[str, ...], environ: dict[str, str]
) -> None:
    assert tools.input_of(program, list(words), environ) == kind_before_the_table([program, *words], environ)


def test_a_program_s_own_name_is_its_tool_s() -> None:
    row, words = tools.called("git-credential-helper", ["get"])
    assert row is TOOLS["git"]
    assert words == ["get"]
    assert tools.called("credential-helper", ["git", "get"]) == (row, ["get"])
    assert tools.called("credential-helper", ["login"]) == (None, ["login"])
    assert tools.called("credential-helper", []) == (None, [])


def test_each_name_and_each_key_is_one_tool_s() -> None:
    names = [name for row in TOOLS.values() for name in (row.name, *row.names)]
    assert len(names) == len(set(names))
    hosts = [row for row in TOOLS.values() if row.hosts is not None]
    assert len(hosts) == len(LISTED)
    assert all(row.hosts is not None and row.hosts.key == key for key, row in LISTED.items())


def test_what_is_replayed_stands_in_a_place_that_the_hot_path_knows() -> None:
    known = {tools.STDIN, tools.LINES, tools.SECRETLESS, tools.ENVIRONMENT, tools.EITHER, tools.NOTHING}
    assert all(set(row.replayed.values()) <= known for row in TOOLS.values())


@pytest.mark.parametrize("row", [row for row in TOOLS.values() if row.hosts is not None], ids=lambda row: str(row.name))
def test_a_tool_has_a_file_a_transcript_a_suite_and_a_page(row: tools.Tool) -> None:
    """What a new tool costs: see docs/development.md."""
    assert (CHECKOUT / "credential_helper" / "tools" / f"{row.name}.py").is_file()
    assert (CHECKOUT / "tests" / "conversations" / f"{row.name}.txt").is_file()
    assert (CHECKOUT / "docs" / "tools" / f"{row.name}.md").is_file()
    suites = [file.read_text(encoding="utf-8") for file in (CHECKOUT / "tests").rglob(f"test_{row.name}.py")]
    assert any("ListedToolContract)" in suite and f'tool = "{row.name}"' in suite for suite in suites)


def test_a_file_of_a_tool_offers_what_the_contract_asks_for() -> None:
    for row in TOOLS.values():
        if row.answer == "plain":
            offered = import_module(f"credential_helper.tools.{row.name}")
            assert callable(offered.read)
            assert callable(offered.render)
