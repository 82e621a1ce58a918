"""Libraries without what they load for what is never used: what that changes for ours, and for others."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import credential_helper

ROOT = Path(credential_helper.__file__).parent
BEGIN = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); from credential_helper import lean\n"


def python(code: str, *folders: Path) -> str:
    """Run code behind the first lines; ``folders`` are searched first for packages. Return its stdout."""
    first = f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}\n"
    done = subprocess.run([sys.executable, "-I", "-c", f"{first}{BEGIN}{code}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_what_is_never_used_is_not_loaded() -> None:
    unused = {"uuid", "platform", "decimal", "numbers", "inspect", "textwrap", "typing_extensions"}
    unused |= {"msgspec.inspect", "msgspec._json_schema"}
    loaded = python("before = set(sys.modules); lean.load_msgspec(); print(*set(sys.modules) - before)").split()
    assert "msgspec._core" in loaded
    assert not unused & set(loaded)


def test_whoever_asks_later_gets_the_real_ones() -> None:
    code = """
lean.load_msgspec()
import decimal, uuid, msgspec.inspect, textwrap
print(decimal.Decimal("1.5"), uuid.UUID(int=1), msgspec.inspect.type_info(int), textwrap.dedent(" x"))
import msgspec.json
print(msgspec.json.schema(int))
"""
    assert python(code).splitlines() == [
        "1.5 00000000-0000-0000-0000-000000000001 IntType(gt=None, ge=None, lt=None, le=None, multiple_of=None) x",
        "{'type': 'integer'}",
    ]


def test_what_we_read_and_write_is_read_and_written_as_ever() -> None:
    code = """
lean.load_msgspec()
import msgspec
from credential_helper.model import Identity, Secret, Token
from credential_helper.stores.encoding import decode, encode
token = Token(value=Secret("a"), received_at=1.5, expires_at=None)
print(encode(token).decode(), decode(encode(token), Token) == token, decode(b'{"value": 1}', Token))
who = Identity(subject="s", claims=(("a", "b"),))
print(decode(encode(who), Identity) == who, msgspec.convert({"a": [1]}, dict[str, list[int]]))
"""
    said = '{"value":"a","received_at":1.5,"expires_at":null,"unverified":false,"nonce":null} True None'
    assert python(code).splitlines() == [said, "True {'a': [1]}"]


def test_a_msgspec_that_needs_more_is_imported_as_it_is(tmp_path: Path) -> None:
    package = tmp_path / "msgspec"
    package.mkdir()
    package.joinpath("__init__.py").write_text("from . import inspect\nfound = inspect.something\n")
    package.joinpath("inspect.py").write_text("import uuid\nsomething = str(uuid.UUID(int=2))[-1]\n")
    code = "lean.load_msgspec(); import msgspec; print(msgspec.found, msgspec.inspect.__file__ is not None)"
    assert python(code, tmp_path) == "2 True\n"


def test_one_that_is_there_already_is_left_as_it_is() -> None:
    assert python("import msgspec; lean.load_msgspec(); print(msgspec.inspect.__name__)") == "msgspec.inspect\n"


def test_no_type_of_ours_is_one_that_is_left_out() -> None:
    for path in {*ROOT.rglob("*.py")} - {ROOT / "lean.py"}:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"UUID", "Decimal", "schema_components"}, path


# --- any library

LIBRARY = """
import os, sys
import late, late_package.part
from late import function
from late_package import other
from given import value
try:
    import hidden
except ModuleNotFoundError:
    hidden = None
NAMES = sorted(name for name in sys.modules if name in ("late", "late_package.part", "given", "hidden"))
"""
LOAD = """
later = {"late": ("function",), "late_package.part": ()}
lean.load("library", later=later, instead={"given": {"value": 7}}, absent=("hidden",))
import library
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library, and modules that say on stdout when they are imported."""
    package = tmp_path / "late_package"
    package.mkdir()
    package.joinpath("__init__.py").write_text("other = 1\n")
    package.joinpath("part.py").write_text("print('part'); name = 'a part'\n")
    tmp_path.joinpath("library.py").write_text(LIBRARY)
    for name in "late", "given", "hidden":
        tmp_path.joinpath(f"{name}.py").write_text(f"print({name!r}); value = 8\ndef function(x, y): return x * y\n")
    return tmp_path


def test_what_is_taken_later_is_imported_then(library: Path) -> None:
    code = f"{LOAD}print(library.hidden, library.value); print(library.function(2, y=3)); print(library.late.value)"
    assert python(code, library).splitlines() == ["None 7", "late", "6", "8"]


def test_a_part_of_a_package_is_found_where_it_is_looked_for(library: Path) -> None:
    code = f"{LOAD}print(library.late_package.part.name); import late_package.part; print(late_package.part.__file__)"
    assert python(code, library).splitlines() == ["part", "a part", str(library / "late_package" / "part.py")]


def test_who_imports_it_afterwards_gets_it(library: Path) -> None:
    code = f"{LOAD}import late, given, hidden; print(late.value, given.value, hidden.value, library.late.value)"
    assert python(code, library).splitlines() == ["late", "given", "hidden", "8 8 8 8"]


def test_threads_that_take_something_at_once_get_the_same(library: Path) -> None:
    library.joinpath("late.py").write_text("import time; print('late'); time.sleep(0.2); value = object()\n")
    code = f"""{LOAD}
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    print(len(set(pool.map(lambda _: library.late.value, range(8)))))
"""
    assert python(code, library).splitlines() == ["late", "1"]


def test_what_is_there_is_left_as_it_is(library: Path) -> None:
    code = f"import given, hidden\n{LOAD}print(library.value, library.hidden.value, library.NAMES)"
    found = python(code, library).splitlines()
    assert found == ["given", "hidden", "8 8 ['given', 'hidden', 'late', 'late_package.part']"]


@pytest.mark.parametrize("more", ["import hidden", "import given; given.more", "class Mine(given.value): pass"])
def test_a_library_that_needs_more_has_it_all(library: Path, more: str) -> None:
    library.joinpath("given.py").write_text("more = 1\nclass value: pass\n")
    library.joinpath("library.py").write_text(f"import given\n{more}\nimport given, hidden\n")
    assert python(f"{LOAD}print(library.given.more, library.hidden.value)", library).splitlines()[-1] == "1 8"


def test_a_library_that_is_not_there_is_missing(tmp_path: Path) -> None:
    code = LOAD.replace("import library", "").replace("lean.load(", "try: lean.load(").rstrip()  # the last line
    assert python(f"{code}\nexcept ModuleNotFoundError as error: print(error.name)", tmp_path) == "library\n"
