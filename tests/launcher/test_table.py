"""table.h: what it says of the tools, and that nothing in it can break out of a string. No compiler is needed here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from credential_helper import places, replies, tools
from credential_helper.launcher import build
from credential_helper.launcher.table import table

FOLDER = '/home/ada/it\'s "here"\\n%s ??/ä\udcff'


def define(name: str, folder: str = "/usr/bin") -> str:
    found = re.search(rf"^#define {name} (.*)$", table(folder, "mark"), re.MULTILINE)
    assert found, name
    return found[1]


def literal(text: str) -> bytes:
    """Return the bytes of a C string of plain characters and octal escapes, which Python reads alike."""
    value = ast.literal_eval(f"b{text}")
    assert isinstance(value, bytes)
    return value


def test_each_operation_of_each_tool_is_in_it_with_a_kind_that_the_launcher_knows() -> None:
    text = table("/usr/bin", "mark")
    source = Path(build.SOURCE).read_text(encoding="utf-8")
    for row in tools.TOOLS.values():
        for word in row.replayed:
            found = re.search(rf'\{{"{row.name}", "{word}", (\w+)\}}', text)
            assert found
            assert found[1] != "KIND_NOT_KEPT"
            assert found[1] in source
        for word, answer in row.fixed.items():
            found = re.search(rf'\{{"{row.name}", "{word}", \{{("[^"]*"), (\d+)\}}\}}', text)
            assert found
            assert literal(found[1]) == answer
            assert int(found[2]) == len(answer)
        for name in row.names:
            assert f'{{"{name}", "{row.name}"}}' in text


def test_the_words_and_the_limits_are_those_of_the_hot_path() -> None:
    assert literal(define("FORMAT")).decode() == replies.FORMAT
    assert int(define("LARGEST")) == replies.LARGEST
    assert float(define("BACKWARDS")) == replies.BACKWARDS
    text = table("/usr/bin", "mark")
    for name in places.SECRET_VARIABLES:
        assert f'"{name}"' in text


def test_every_word_that_the_launcher_uses_is_in_it() -> None:
    source = Path(build.SOURCE).read_text(encoding="utf-8")
    defined = set(
        re.findall(r"^#define (\w+)|(?<=\*const )(\w+)|struct \w+ (\w+)\[\]", table("/usr/bin", "mark"), re.M)
    )
    for word in {one for names in defined for one in names if one}:
        assert re.search(rf"\b{word}\b", source), f"{word} is not used"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=()), min_size=1))
def test_a_path_stays_in_its_string(name: str) -> None:
    folder = "/" + name.encode("utf-8", "replace").decode()
    text = define("FOLDER", folder)
    assert re.fullmatch(r'"(?:[\w /.:=\[\]-]|\\[0-3][0-7]{2})*"', text, re.ASCII)
    assert literal(text) == folder.encode()


def test_a_path_that_is_no_text_is_the_same_bytes() -> None:
    assert literal(define("FOLDER", FOLDER)) == FOLDER.encode("utf-8", "surrogateescape")
    sourced = literal(define("SOURCED", FOLDER)).decode("utf-8", "surrogateescape")
    assert sourced == ". '/home/ada/it'\"'\"'s \"here\"\\n%s ??/ä\udcff/credential-helper'"
