"""Who may import whom, kept so by walking the syntax tree of every module.

    __main__            replies first, then the command line
    again               the call that was just answered, once more and for nobody
    isolation lazy lean what the process may load, once no reply was found; what it loads late, or does without
    cli                 argv, or argv[0] → a row of a table → a function that is loaded by name
    words command_line  what is given on a command line: the few words that tools say, and all that people type
    answers │ commands  what tools are answered, and what people type: these two never see each other
    app ← subjects      one run: the only place where all that follows is put together
    broker              how a credential is obtained: never sees profiles, terminal, tools or answers
    oauth → transport   profiles → tools (the table)   stores   terminal   replies → places, tools (the table)
    tools/NAME.py       pure: the words below, and what the formats share
    system  providers  urls  places  proof             small, or asked by many
    flows  workloads ← model ← session  errors  text   values and words that everybody may use

Arrows point down, between folders and within them: no two files import each other. A package that is not ours has one
owner, and a heavy one is imported inside the function that needs it. The table below is what is used, no more.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import credential_helper
from credential_helper.tools import TOOLS

PACKAGE = "credential_helper"
ROOT = Path(credential_helper.__file__).parent

EVERYBODY = {"model", "session", "errors", "text"}

# What each module may import beside model, session, errors and text; a folder's modules see each other.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"again", "cli", "isolation", "lazy", "light", "replies"},
    "again": {"cli", "places", "replies", "tools"},
    "answers": {"__init__", "app", "broker", "profiles", "proof", "replies", "stores", "system", "tools", "urls"},
    "app": {
        *("__init__", "broker", "places", "profiles", "proof", "replies", "stores", "subjects", "system", "terminal"),
        "tools",
    },
    "subjects": {"__init__", "broker", "profiles"},
    "broker": {"flows", "oauth", "places", "proof", "providers", "stores", "system", "transport"},
    "cli": {"__init__", "answers", "app", "command_line", "lean", "profiles", "replies", "system", "tools", "words"},
    "command_line": {"__init__", "app", "commands", "profiles", "tools", "words"},
    "commands": {
        *("__init__", "app", "broker", "launcher", "places", "profiles", "replies", "stores", "system", "urls"),
    },
    "errors": set(),
    "flows": set(),
    "isolation": set(),
    "lazy": set(),
    "lean": set(),
    "launcher": {"__init__", "places", "replies", "system", "tools"},
    "light": set(),
    "model": {"flows", "light", "workloads"},
    "oauth": {"flows", "lean", "places", "proof", "providers", "system", "transport", "urls", "workloads"},
    "places": {"light"},
    "profiles": {"__init__", "flows", "lean", "places", "proof", "providers", "system", "tools", "urls", "workloads"},
    "proof": set(),
    "providers": {"flows", "urls"},
    "session": {"model"},
    "replies": {"__init__", "light", "places", "tools"},
    "stores": {"lean", "places", "system"},
    "system": {"places"},
    "terminal": {"__init__", "system", "urls"},
    "text": set(),
    "tools": set(),
    "transport": {"__init__", "lean", "system", "urls"},
    "urls": set(),
    "words": {"commands", "profiles", "tools"},
    "workloads": set(),
}

# The owner of each package that is neither ours nor Python's; msgspec is everybody's.
OWNERS = {
    "requests": {"transport"},
    "truststore": {"transport"},
    "urllib3": {"transport"},  # requests stands on it, and shows it in its adapters
    "cryptography": {
        "transport",
        "stores/sealing",
        "stores/fleet_values",
    },  # PyJWT brings it; who issued a certificate; AES-GCM
    "jwt": {"oauth/id_token", "oauth/client_authentication/private_keys"},
    "keyring": {"stores/os_keyring", "stores/which_keyring"},
    "secretstorage": {"stores/which_keyring"},  # keyring's Secret Service stands on it
    "jeepney": {"stores/which_keyring"},  # and secretstorage on that
    "filelock": {"stores/lock"},
    "segno": {"terminal/words"},
    "redis": {"stores/fleet"},
}

# Of Python's own, what costs milliseconds and most calls do without: imported inside a function only.
HEAVY = {
    *("asyncio", "ctypes", "decimal", "difflib", "email", "fcntl", "hashlib", "hmac", "inspect", "logging"),
    *("pathlib", "select", "socket", "ssl", "subprocess", "tempfile", "termios", "tomllib", "zoneinfo"),
    *(SHA256 := ("_sha2", "_sha256")),  # of Python 3.12 and newer, of 3.11: the other one is in no list of names
}

# Where a secret is unwrapped, each with its reason.
REVEALS = {
    "broker/new_session": "an ID token's claims are looked at",
    "broker/verification": "a kept token's claims are looked at",
    "broker/deriving": "an access token says whom it is for",
    "broker/fleet_cache": "an access token says whether it is bound; a secret is long enough; what is shared is sealed",
    "answers/plain": "a kept answer is bound to a digest of the secret",
    "answers/docker": "what docker stores is handed on",
    "model": "a token is hashed, two secrets are compared",
    "oauth/grants/authorization_code": "code and verifier go into a request",
    "oauth/client_authentication/private_keys": "the client's private key is parsed",
    "oauth/client_authentication": "the client's secret goes into a request",
    "oauth/grants/device_authorization": "the device code goes into a request",
    "oauth/id_token": "an ID token is checked",
    "oauth/grants/password": "the password goes into a request",
    "oauth/grants/refresh_token": "the refresh token goes into a request",
    "oauth/grants/token_exchange": "the subject token goes into a request",
    "oauth/grants/jwt_bearer": "the job's token goes into a request",
    "oauth/workload": "the claims of a job's token are looked at",
    "oauth/endpoints/revocation": "the refresh token goes into a request",
    "transport/client": "the Authorization header",
    "transport/client_certificate": "the key of a client certificate is parsed, and given to TLS",
    "transport/proxies": "who we are to a proxy",
    "tools/docker": "the answer",
    "tools/wire": "the answer",
    "commands/secret": "a key is told from a client secret",
    "stores/os_keyring": "the keyring",
    "profiles/sources": "a newline at a secret's end is cut",
    "stores/passwords": "the index, where it holds the passwords",
    "stores/encoding": "the files of a grant and of a session",
    "stores/sealing": "a refresh token is sealed",
    "stores/fleet": "the password goes to the server",
    "stores/fleet_values": "keys are made of what a fleet has in common",
    "stores/proof_key": "what a machine proves itself with is digested",
}

HOT_PATH = {"__init__", "__main__", "light", "places", "replies", "tools"}


class Import(msgspec.Struct, frozen=True):
    """One name that a module imports."""

    module: str  # os.path, credential_helper.oauth.metadata
    line: int
    lazy: bool  # inside a function, or for the type checker only


class Module:
    """One file of the package."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__")
        self.group = self.name.partition("/")[0]
        self.folder = self.group if path.parent != ROOT else None
        self.source = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.source)
        self.imports = list(_imports(self.tree, lazy=False))
        self.names = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE
            for alias in node.names
        }

    @property
    def ours(self) -> Iterator[tuple[str, Import]]:
        """Yield the group of each module of ours that is imported."""
        for found in self.imports:
            package, _, rest = found.module.partition(".")
            if package == PACKAGE:
                yield rest.partition(".")[0] or "__init__", found

    def is_in(self, place: str) -> bool:
        """Say whether this is a module, or one of a folder."""
        return f"{self.name}/".startswith(f"{place}/")

    def calls(self) -> Iterator[tuple[str, int]]:
        """Yield the written name of every function that is called: print, os.system."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node.lineno


def _imports(node: ast.AST, *, lazy: bool) -> Iterator[Import]:
    """Walk a tree; what stands in a function or below ``if TYPE_CHECKING`` costs nothing when a module is loaded."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, lazy)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "an import is absolute"
            module = child.module or ""
            if module == PACKAGE:  # from credential_helper import broker, __version__
                for alias in child.names:
                    name = "" if alias.name.startswith("__") or alias.name.isupper() else f".{alias.name}"
                    yield Import(f"{PACKAGE}{name}", child.lineno, lazy)
            else:
                yield Import(module, child.lineno, lazy)
        else:
            typing_only = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, lazy=lazy or typing_only or function)


MODULES = {module.name: module for module in (Module(path) for path in sorted(ROOT.rglob("*.py")))}
BY_NAME = pytest.mark.parametrize("module", MODULES.values(), ids=list(MODULES))


def test_the_whole_package_is_seen() -> None:
    assert {"__init__", "__main__", "broker/new_session", "oauth", "transport/client", "stores/encoding"} <= set(
        MODULES
    )
    assert {module.group for module in MODULES.values()} == set(MAY_IMPORT)
    assert any(found.lazy for found in MODULES["stores/lock"].imports)


@BY_NAME
def test_imports_point_one_way(module: Module) -> None:
    allowed = MAY_IMPORT[module.group] | ({module.group} if module.folder else set())
    if module.group not in (*EVERYBODY, "places", "replies"):
        allowed |= EVERYBODY
    wrong = [f"{module.name}:{found.line} imports {group}" for group, found in module.ours if group not in allowed]
    assert not wrong


def test_no_module_reaches_itself() -> None:
    """Only the folders' modules may see each other, and in the order in which they are loaded even those cannot."""
    graph = {group: set(allowed) for group, allowed in MAY_IMPORT.items()}
    while leaves := [group for group, allowed in graph.items() if not allowed]:
        for leaf in leaves:
            del graph[leaf]
            for allowed in graph.values():
                allowed.discard(leaf)
    assert not graph


def test_every_permission_is_used() -> None:
    used: dict[str, set[str]] = {group: set() for group in MAY_IMPORT}
    for module in MODULES.values():
        used[module.group] |= {group for group, _ in module.ours} - {module.folder}
    unused = {group: left for group, allowed in MAY_IMPORT.items() if (left := allowed - used[group])}
    assert not unused, "take these out of the table"


# Who never sees whom, not even by a detour through others of this list.
STRANGERS = {
    "answers": {"commands", "cli"},
    "commands": {"answers", "cli"},
    "broker": {"profiles", "terminal", "tools", "answers", "commands", "app"},
    "oauth": {"stores", "profiles", "terminal", "tools", "broker", "app"},
    "transport": {"oauth", "stores", "profiles", "terminal", "tools", "broker", "app"},
    "stores": {"oauth", "transport", "profiles", "terminal", "tools", "broker", "app"},
    "terminal": {"oauth", "transport", "stores", "profiles", "tools", "broker", "app"},
    "profiles": {"oauth", "transport", "stores", "terminal", "broker", "app"},
    "system": {"oauth", "transport", "stores", "profiles", "terminal", "tools", "broker", "app"},
}


@pytest.mark.parametrize("group", STRANGERS)
def test_strangers_do_not_meet_by_a_detour_either(group: str) -> None:
    seen, more = set[str](), {group}
    while more:
        seen |= more
        more = {name for one in more for name in MAY_IMPORT[one]} - seen
    assert not seen & STRANGERS[group]


def test_a_tool_is_pure_and_the_table_is_all_that_profiles_see_of_it() -> None:
    for module in MODULES.values():
        for found in module.imports:
            if module.folder == "tools":
                assert (
                    found.module.startswith("msgspec")
                    or found.module.partition(".")[0] != PACKAGE
                    or (found.module in TOOLS_MAY_IMPORT)
                ), f"{module.name} imports {found.module}"
            if module.folder in ("profiles", "replies"):
                assert not found.module.startswith(f"{PACKAGE}.tools."), f"{module.name} imports {found.module}"


TOOLS_MAY_IMPORT = {
    *(
        f"{PACKAGE}.{name}"
        for name in ("model", "errors", "text", "tools", "tools.wire", "tools.wishes", "tools.contract")
    ),
}


LONGEST_FILE, LONGEST_FUNCTION = 350, 60  # lines
LONG = {"providers", "oauth/grants/loopback"}  # a table; one protocol that is read as a whole


@BY_NAME
def test_a_file_and_a_function_can_be_read_at_once(module: Module) -> None:
    lines = len(module.source.splitlines())
    assert lines <= LONGEST_FILE or module.name in LONG
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, f"{module.name}:{node.lineno} {node.name}"


def test_how_a_credential_is_obtained_stands_on_one_screen() -> None:
    assert len(MODULES["broker/obtain"].source.splitlines()) <= 100


@BY_NAME
def test_no_tool_is_named_outside_its_folders(module: Module) -> None:
    """What other code has to know of a tool is data: its row, and its manners. get, token and the like are words.

    A platform that gives its jobs a token may have the name of a tool's key, and is in its own table alone.
    """
    if module.folder in ("tools", "answers") or module.name in ("workloads", "oauth/workload"):
        return
    own = {name for row in TOOLS.values() if row.hosts is not None for name in (row.name, *row.names, row.hosts.key)}
    literals = {node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant)}
    assert not own & literals


def test_no_two_modules_import_each_other() -> None:
    """In a folder, too, the files stand above one another; what is imported lazily, or for a type, counts as well."""
    graph = {module.name: _files_imported_by(module) for module in MODULES.values()}
    while leaves := [name for name, imported in graph.items() if not imported]:
        for leaf in leaves:
            del graph[leaf]
            for imported in graph.values():
                imported.discard(leaf)
    assert not graph, "these import each other"


def _files_imported_by(module: Module) -> set[str]:
    found = set()
    for name in module.names:
        path = name.removeprefix(PACKAGE).removeprefix(".").replace(".", "/") or "__init__"
        while path and path not in MODULES:
            path = path.rpartition("/")[0]
        found.add(path or "__init__")
    return found - {module.name}


@BY_NAME
def test_a_package_of_others_has_one_owner(module: Module) -> None:
    for found in module.imports:
        package = found.module.partition(".")[0]
        if package in (PACKAGE, "msgspec", *SHA256) or package in sys.stdlib_module_names:
            continue
        assert package in OWNERS, f"{module.name}:{found.line}: {package} has no owner"
        owners = OWNERS[package]
        assert any(module.is_in(owner) for owner in owners), f"{module.name}:{found.line}: {package} is {owners}'s"


def test_every_owner_uses_what_is_his() -> None:
    for package, owners in OWNERS.items():
        for owner in owners:
            used = (
                found.module.partition(".")[0] == package
                for module in MODULES.values()
                if module.is_in(owner)
                for found in module.imports
            )
            assert any(used), f"{owner} does not import {package}"


@BY_NAME
def test_what_is_heavy_is_imported_inside_functions(module: Module) -> None:
    wrong = [
        f"{module.name}:{found.line} loads {found.module}"
        for found in module.imports
        if found.module.partition(".")[0] in OWNERS.keys() | HEAVY and not found.lazy
    ]
    assert not wrong


def test_a_slow_answer_loads_nothing_heavy_before_it_is_needed() -> None:
    """What the tree says is true of the running program, too: nothing is loaded by a detour."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import {}; print(*sys.modules)"
    code = code.format(", ".join(f"{PACKAGE}.{name}" for name in ("cli", "words", "answers.get", "answers.docker")))
    command = [sys.executable, "-I", "-c", code, str(ROOT.parent)]
    bare = [sys.executable, "-I", "-c", "import sys; print(*sys.modules)"]
    loaded, before = (
        set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
        for words in (command, bare)
    )
    assert f"{PACKAGE}.broker" in loaded
    heavy = {"requests", "truststore", "jwt", "keyring", "filelock", "segno", "cryptography", "urllib3", "redis"}
    python = {"dataclasses", "hashlib", "logging", "pathlib", "socket", "ssl", "subprocess", "tomllib"}
    assert not (loaded - before) & (heavy | python)


@pytest.mark.parametrize("name", sorted(HOT_PATH))
def test_the_hot_path_imports_what_is_built_in(name: str) -> None:
    allowed = {"posix", "sys", "time", PACKAGE} | ({"os"} if name == "light" else set())  # os on Windows only
    loaded = {found.module.partition(".")[0] for found in MODULES[name].imports if not found.lazy}
    assert loaded <= allowed
    groups = {group for group, found in MODULES[name].ours if not found.lazy}
    assert groups <= HOT_PATH


@pytest.mark.parametrize("name", ["errors", "text", "light", "flows", "workloads"])
def test_the_words_of_all_import_nothing_of_ours(name: str) -> None:
    assert not list(MODULES[name].ours)


def test_the_values_stand_on_two_tables_and_the_hot_path_s_hash() -> None:
    assert {group for group, _ in MODULES["model"].ours} == {"flows", "light", "workloads"}


@BY_NAME
def test_every_module_opens_with_its_rules(module: Module) -> None:
    docstring = ast.get_docstring(module.tree)
    assert docstring is not None
    assert len(docstring) > 20


@BY_NAME
def test_nobody_prints_logs_or_runs_a_shell(module: Module) -> None:
    forbidden = re.compile(r"print|input|eval|exec|breakpoint|os\.system|os\.popen|sys\.std(out|err)\..*|os\.exec.*")
    handed_over = {"os.execv"} if module.name == "__main__" else set()  # by an installer's start script, to ours
    calls = [(name, line) for name, line in module.calls() if name not in handed_over]
    wrong = [f"{module.name}:{line} calls {name}" for name, line in calls if forbidden.fullmatch(name)]
    assert not wrong
    imported = {found.module.partition(".")[0] for found in module.imports}
    assert not imported & {"dataclasses", "pickle", "shelve", "webbrowser", "getpass", "tempfile", "urllib2", "netrc"}
    if module.name != "stores/os_keyring":  # it mutes the logging of keyring's backends, and logs nothing
        assert "logging" not in imported
    assert "shell=True" not in module.source


@BY_NAME
def test_the_environment_is_handed_in(module: Module) -> None:
    """One function owns argv, the environment and the way out."""
    used = {
        ast.unparse(node)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and re.fullmatch(r"(os|posix|system)\.(environb?|getenv|_exit)|sys\.(argv|exit)", ast.unparse(node))
    }
    own = {"os.environ", "system.environ", "sys.argv", "system._exit"}
    assert used == (own if module.name == "__main__" else set())


def test_wall_time_comes_from_the_clock() -> None:
    """A test hands in another one. The hot path has no room for it, its other half goes by the same time as it does,
    and their tests set files' times instead.
    """
    callers = {module.name for module in MODULES.values() for name, _ in module.calls() if name == "time.time"}
    assert callers == {"system/clock", "replies/ahead", "replies/keep", "replies"}


def test_a_secret_is_unwrapped_in_these_modules_only() -> None:
    found = {
        module.name
        for module in MODULES.values()
        if any(name.rpartition(".")[2] == "reveal" for name, _ in module.calls())
    }
    assert found == set(REVEALS)


def test_modules_are_loaded_by_name_from_tables_only() -> None:
    users = {
        module.name
        for module in MODULES.values()
        for name, _ in module.calls()
        if name in ("import_module", "importlib.import_module", "__import__")
    }
    assert users == {"answers/plain", "cli", "lean", "oauth/grants"}


def test_the_rules_can_be_broken() -> None:
    """The walk itself sees what it should: a detour through a function, a type-checking block, a dotted name."""
    tree = ast.parse(
        "import requests.adapters\n"
        "from credential_helper import broker\n"
        "from credential_helper.oauth import metadata\n"
        "if TYPE_CHECKING:\n    import jwt\n"
        "class A:\n    import keyring\n    def f(self):\n        import segno\n"
        "try:\n    import filelock\nexcept ImportError:\n    pass\n"
    )
    assert [(found.module, found.lazy) for found in _imports(tree, lazy=False)] == [
        ("requests.adapters", False),
        ("credential_helper.broker", False),
        ("credential_helper.oauth", False),
        ("jwt", True),
        ("keyring", False),
        ("segno", True),
        ("filelock", False),
    ]


# --- tests ------------------------------------------------------------------------------------------------------------

TESTS = {
    path.relative_to(top.parent).as_posix(): path.read_text(encoding="utf-8")
    for top in (Path(__file__).parent, Path(__file__).parents[1] / "integration")
    for path in sorted(top.rglob("*.py"))
}


def test_no_test_file_is_imported_by_another() -> None:
    """Nor by a program that stands in a string: what several need is in tests/helpers or integration/scenes."""
    module = r"(?:from|import)\s+(?:tests|integration)\.(?:\w+\.)*test_\w"
    name = r"from\s+(?:tests|integration)[\w.]*\s+import\s[^\n]*\btest_\w"
    assert not [path for path, text in TESTS.items() if re.search(f"{module}|{name}", text)]


def test_unit_tests_see_servers_and_nothing_else_of_integration() -> None:
    named = re.compile(r"\bintegration\.(?!servers\b)\w+|(?:from|import)\s+integration\s")
    found = {path: named.findall(text) for path, text in TESTS.items() if path.startswith("tests/")}
    assert not {path: names for path, names in found.items() if names}


def test_each_test_file_stands_where_its_module_does() -> None:
    folders = {path.rpartition("/")[0] for path in TESTS if path.startswith("tests/")} - {"tests", "tests/helpers"}
    assert {f"tests/{name}" for module in MODULES.values() if (name := module.name.rpartition("/")[0])} >= folders
