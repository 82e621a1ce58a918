from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credential_helper.profiles.lines import Lines

DOCUMENT = '''\
# a remark
default_profile = "x"

[profiles.prod]   # another = 1
issuer = """a
b = 1
"""
git = ["https://a",
  # c = "x"
  "https://b", { url = "c", a = 1 } ,
  { usernam = 1 },
  [1,
  2]
]
private_key.file = 'a'
parameters = { a = "]", b = "}" }
when = 1979-05-27 07:32:00
f = 3.14

[[profiles.prod.docker]]
server = "x"
[[profiles.prod.docker]]
sever = "x"
["profiles".'a.b']
x=1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("default_profile",), 2),
        (("profiles", "prod"), 4),
        (("profiles", "prod", "issuer"), 5),
        (("profiles", "prod", "git"), 8),
        (("profiles", "prod", "git", 0), 8),
        (("profiles", "prod", "git", 1), 10),
        (("profiles", "prod", "git", 2, "url"), 10),
        (("profiles", "prod", "git", 3, "usernam"), 11),
        (("profiles", "prod", "git", 4, 1), 13),
        (("profiles", "prod", "private_key", "file"), 15),
        (("profiles", "prod", "parameters", "b"), 16),
        (("profiles", "prod", "when"), 17),
        (("profiles", "prod", "f"), 18),
        (("profiles", "prod", "docker", 0), 20),
        (("profiles", "prod", "docker", 1, "sever"), 23),
        (("profiles", "a.b", "x"), 25),
        (("profiles", "prod", "audience"), 4),  # where it is missing
        (("remark",), None),
        (("b",), None),
        ((), None),
    ],
)
def test_a_key_stands_on_its_line(path: tuple[str | int, ...], line: int | None) -> None:
    tomllib.loads(DOCUMENT)
    assert Lines(DOCUMENT).of(path) == line


def test_a_large_file_takes_no_time_that_is_squared() -> None:
    document = "[profiles.p]\n" + "[[profiles.p.git]]\nurl = 'x'\n" * 20_000
    assert Lines(document).of(("profiles", "p", "git", 19_999, "url")) == 40_001


def test_lists_in_lists_have_no_lines_and_no_end() -> None:
    assert Lines("a = " + "[" * 5000 + "]" * 5000).of(("a",)) is None


@given(st.text(alphabet="[]{}=,.\n\"' a#\\", max_size=40))
def test_what_is_no_toml_has_some_lines(document: str) -> None:
    found = Lines(document).of(("a",))
    assert found is None or 1 <= found <= document.count("\n") + 1
