"""msgspec without what it loads for types that we have none of: what that changes for ours, and for others."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

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
import msgspec, msgspec.json
print(hasattr(msgspec.json, "schema"))
"""
    assert python(code).splitlines() == [
        "1.5 00000000-0000-0000-0000-000000000001 IntType(gt=None, ge=None, lt=None, le=None, multiple_of=None) x",
        "False",
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
