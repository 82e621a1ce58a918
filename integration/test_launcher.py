"""The launcher: whatever is asked and whatever lies in the state directory, it decides as Python does.

The cases are those of ``credential-helper launcher --check``, here with each way to compile it. What no table can say
(descriptors, pipes, terminals, other users) stands below them, and what nobody thought of is for ``odd_calls``:

    CREDENTIAL_HELPER_FUZZ_SECONDS=3600 .venv/bin/python -m pytest integration/test_launcher.py -k odd -s
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from credential_helper.launcher import build, readers
from credential_helper.launcher.cases import cases
from credential_helper.launcher.readers import CODE, HANDED_ON, Outcome
from credential_helper.launcher.world import ANSWER, ENTRY, TOKEN, USUAL, Call, Case, Kept, World, call_of
from integration.clients.installers import call as call_installer
from integration.clients.installers import layer, once
from integration.clients.programs import Runner
from integration.clients.readers import WAYS, by_launcher, compiled
from integration.clients.real import missing, need
from integration.scenes.odd_calls import odd
from integration.scenes.sign_ins import person, write_profiles
from integration.servers.oidc import M2M_BASIC, ODD_SECRET, OidcProvider
from tests.helpers.programs import Launcher

CASES = list(cases())
FUZZED = float(os.environ.get("CREDENTIAL_HELPER_FUZZ_SECONDS", "60"))
NAMES = ["bazel-credential-helper", "credential-helper", "docker-credential-helper", "git-credential-helper"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the launchers of every way, which hand on to a script; compiled once for all workers."""

    def compile_all(folder: Path) -> Path:
        (folder / "script").mkdir()
        readers.write_script(str(folder / "script"), os.environ)
        for way in WAYS:
            compiled(way, folder / way, folder / "script")
        return folder

    return once("launchers", tmp_path_factory, compile_all)


@pytest.fixture
def launchers(built: Path) -> Mapping[str, Path]:
    """Return the launchers by the way in which they were compiled; each has to be there in CI."""
    found = {way: path for way in WAYS if (path := built / way / "credential-helper").exists()}
    if len(found) < len(WAYS):
        need("cc")
        need("musl-gcc")
        missing(f"a library to compile: {', '.join(WAYS.keys() - found.keys())}")
    return found


@pytest.fixture
def launcher(launchers: Mapping[str, Path]) -> Path:
    """Return the launcher that a sanitizer watches."""
    return launchers["sanitized"]


def python(call: Call, folder: Path) -> Outcome:
    """Let Python judge one call."""
    (found,) = readers.by_python([call], str(folder))
    return found


# --- the cases --------------------------------------------------------------------------------------------------------


def test_there_are_enough_cases_each_by_its_own_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    answered = [case for case in CASES if case.wanted == "answered"]
    assert 60 < len(answered) < len(CASES) - 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_readers_agree(case: Case, launchers: Mapping[str, Path], tmp_path: Path) -> None:
    call = case.prepare(str(tmp_path))
    found = {way: by_launcher(path, call, tmp_path / "stdin") for way, path in launchers.items()}
    wanted = python(call, tmp_path)
    assert wanted.answered == (case.wanted == "answered"), wanted
    assert found == dict.fromkeys(launchers, wanted)


MUTANTS = {
    "the owner and the mode of the state directory": ("return status->st_uid == geteuid() && ", "return true || "),
    "a link in place of the reply": ("O_RDONLY | O_NOFOLLOW | O_CLOEXEC", "O_RDONLY | O_CLOEXEC"),
    "a folder that somebody brought": ("need(own || is_default_state(state));", ""),
    "the end of the time": ("now < until && ", ""),
    "a clock that was set back": ("made - BACKWARDS <= now && ", ""),
    "the whole request": ("need(memcmp(body.at, request, request_length) == 0);", ""),
    "the number of config files": ("need(configs == known);", ""),
    "the digest": ("need(differs == 0);", ""),
    "another version": ("&& is(lines[1], VERSION)", ""),
    "small letters in hex": ("digit >= 'a' && digit <= 'f'", "(digit |= 32) >= 'a' && digit <= 'f'"),
    "who renews ahead": ("need_not_due(cut(&first, ' '), state, now);", ""),
    "the order of the variables": ("qsort(ours, count, sizeof *ours, by_name);", ""),
    "what is read on from stdin": ("feed(pipes[1], all);", "feed(pipes[1], true);"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_the_cases_find_what_is_left_out(name: str, built: Path, tmp_path: Path) -> None:
    need("cc")
    old, new = MUTANTS[name]
    text = Path(build.SOURCE).read_text()
    assert text.count(old) == 1
    (tmp_path / "mutant.c").write_text(text.replace(old, new))
    mutant = compiled("glibc", tmp_path / "mutant", built / "script", tmp_path / "mutant.c")
    assert mutant is not None
    judged = readers.judged(CASES, str(mutant), str(tmp_path))
    assert any(by_mutant != by_python for _, by_mutant, by_python in judged)


# --- descriptors, pipes, terminals ------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a home with a reply for ``token prod``."""
    world = World(str(tmp_path), call_of(*TOKEN))
    world.keep(USUAL)
    return world


def kept(tmp_path: Path, call: Call, reply: Kept = USUAL) -> World:
    world = World(str(tmp_path), call)
    world.keep(reply)
    return world


def shell(script: str, program: Path, world: World, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a program by a script of a shell, which gives it its descriptors."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        ["/bin/bash", "-c", script, str(program), *world.call.argv[1:]],
        env={**world.environ, "PATH": os.environ["PATH"]},
        capture_output=True,
        timeout=60,
        **{"stdin": subprocess.DEVNULL, **options},
    )


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_with_a_closed_descriptor_it_is_left_to_python(launcher: Path, world: World, closed: str) -> None:
    done = shell(f'exec "$0" "$@" {closed}', launcher, world)
    assert (done.returncode, done.stdout) == (CODE, HANDED_ON + b"credential-helper\ntoken\nprod\n")


@pytest.mark.parametrize(
    ("redirected", "sentence"),
    [
        (">&-", "stdout is closed: there is nowhere to write the answer to"),
        (">/dev/full", "the answer cannot be written to stdout"),
    ],
)
def test_where_no_answer_can_be_written_both_say_so(
    put: Path, installed: Path, world: World, redirected: str, sentence: str
) -> None:
    for program in (put / "credential-helper", installed):
        done = shell(f'exec "$0" "$@" {redirected}', program, world)
        assert (done.returncode, done.stderr) == (74, f"credential-helper: {sentence}\n".encode())


def test_who_has_gone_is_told_nothing(put: Path, installed: Path, world: World) -> None:
    for program in (put / "credential-helper", installed):
        done = shell('sleep 0.2 | { "$0" "$@"; echo $? >&2; } | :', program, world)
        assert done.stderr in (b"74\n", b"0\n")  # 0: it was faster than the end of its reader
        reader, writer = os.pipe()
        os.close(reader)
        gone = subprocess.run([program, *TOKEN], env=world.environ, stdout=writer, stderr=subprocess.PIPE, timeout=60)
        os.close(writer)
        assert (gone.returncode, gone.stderr) == (74, b"")


def test_a_pipe_that_does_not_block_gets_the_whole_answer(launcher: Path, tmp_path: Path) -> None:
    world = kept(tmp_path, call_of(*TOKEN), Kept(answer=bytes(range(256)) * 2000))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen([launcher, *TOKEN], env=world.environ, stdout=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read() == bytes(range(256)) * 2000
    assert process.wait(60) == 0


def test_stdin_that_does_not_block_is_waited_for(launcher: Path, tmp_path: Path) -> None:
    world = kept(tmp_path, call_of("get", stdin=ENTRY))
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    process = subprocess.Popen([launcher, "get"], env=world.environ, stdout=subprocess.PIPE, stdin=reader)
    os.close(reader)
    os.write(writer, ENTRY[:9])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    os.write(writer, ENTRY[9:])  # and it stays open: what follows the empty line is not waited for
    assert process.communicate(timeout=60)[0] == ANSWER
    os.close(writer)


def test_lines_whose_pipe_stays_open_are_handed_on(launcher: Path, tmp_path: Path) -> None:
    world = kept(tmp_path, call_of("get", stdin=ENTRY))
    reader, writer = os.pipe()
    process = subprocess.Popen([launcher, "get"], env=world.environ, stdout=subprocess.PIPE, stdin=reader)
    os.close(reader)
    other = ENTRY.replace(b"example", b"other")
    os.write(writer, other)
    assert process.communicate(timeout=60)[0] == HANDED_ON + b"credential-helper\nget\n" + other
    os.close(writer)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("launchers")
def test_stdin_without_an_end_is_handed_on_as_it_comes(way: str, tmp_path: Path) -> None:
    """No process is left behind, and stdin is not read on, once nobody reads it."""
    (tmp_path / "script").mkdir()
    script = tmp_path / "script" / "credential-helper"
    script.write_text("#!/bin/sh\nhead -c 3000000 | cksum\n")
    script.chmod(0o755)
    program = compiled(way, tmp_path / "built", tmp_path / "script")
    assert program is not None
    world = kept(tmp_path, call_of("get"))
    reader, writer = os.pipe()
    environ = {**world.environ, "PATH": os.environ["PATH"]}
    process = subprocess.Popen([program, "get"], env=environ, stdin=reader, stdout=subprocess.PIPE)
    os.close(reader)
    line = b"a line that goes on\n"
    with pytest.raises(BrokenPipeError):
        while True:
            os.write(writer, line)
    os.close(writer)
    wanted = subprocess.run(["cksum"], input=line * 150_000, capture_output=True, timeout=60)
    assert process.communicate(timeout=60)[0] == wanted.stdout


def test_a_terminal_is_never_read(launcher: Path, launch: Launcher, tmp_path: Path) -> None:
    world = kept(tmp_path / "other", call_of("get"))
    elsewhere = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_STATE_HOME"))
    done = launch.run([launcher, "get"], terminal=True, stdin=None, env={**elsewhere, **world.environ})
    assert (done.code, done.stdout) == (0, ANSWER)


TWICE = """\
import ctypes, os, sys
libc = ctypes.CDLL(None)
words = [os.fsencode(word) for word in sys.argv[1:]]
entries = [b"%b=%b" % item for item in os.environb.items()] + [b"CREDENTIAL_HELPER_A=1", b"CREDENTIAL_HELPER_A=2"]
strings = lambda values: (ctypes.c_char_p * (len(values) + 1))(*values)
libc.execve(words[0], strings(words), strings(entries))
"""


def test_a_variable_that_is_there_twice_is_left_to_python(launcher: Path, tmp_path: Path) -> None:
    """sh takes the last one of a name, and Python the first: what is behind us may see another than we do."""
    for value in ("1", "2"):
        world = kept(tmp_path / value, call_of(*TOKEN, environ={"CREDENTIAL_HELPER_A": value}))
        environ = {name: value for name, value in world.environ.items() if name != "CREDENTIAL_HELPER_A"}
        words = [sys.executable, "-I", "-S", "-c", TWICE, str(launcher), *TOKEN]
        done = subprocess.run(words, env=environ, capture_output=True, timeout=60)
        assert done.stdout.startswith(HANDED_ON)


def test_a_home_that_only_the_password_database_knows_is_left_to_python(launcher: Path) -> None:
    done = subprocess.run([launcher, *TOKEN], env={}, capture_output=True, timeout=60)
    assert done.stdout.startswith(HANDED_ON)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("what", ["state", "replies", "reply"])
def test_what_is_somebody_else_s_is_no_reply(
    launchers: Mapping[str, Path], world: World, tmp_path: Path, what: str
) -> None:
    path = getattr(world, what)
    os.chown(path, 1234, 1234)
    for launcher in launchers.values():
        found = by_launcher(launcher, world.call, tmp_path / "stdin")
        assert found == python(world.call, tmp_path)
        assert not found.answered
    os.chown(path, 0, 0)  # and the time of a change is in no stamp of these
    assert by_launcher(launcher, world.call, tmp_path / "stdin") == Outcome(0, ANSWER)


# --- whatever comes ---------------------------------------------------------------------------------------------------


@pytest.mark.timeout(FUZZED + 240)
def test_odd_calls_and_odd_replies(launchers: Mapping[str, Path], tmp_path: Path) -> None:
    seed = os.environ.get("CREDENTIAL_HELPER_FUZZ_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"CREDENTIAL_HELPER_FUZZ_SEED={seed}, {FUZZED:g} s")
    counted = {True: 0, False: 0}
    ways = list(launchers.items())
    made = 0
    until = time.monotonic() + FUZZED
    while time.monotonic() < until:
        some = {}
        numbers = range(made, made + 32)
        made += 32
        for number in numbers:
            home = tmp_path / f"fuzzed-{number}"
            home.mkdir(mode=0o700)
            if (call := odd(f"{seed}-{number}", home)) is not None:
                some[number] = call
        found = [by_launcher(ways[one % len(ways)][1], call, tmp_path / "stdin") for one, call in some.items()]
        wanted = readers.by_python(list(some.values()), str(tmp_path))
        for (one, call), ours, python_s in zip(some.items(), found, wanted, strict=True):
            counted[python_s.answered] += 1
            # Python finds a home in the password database, too.
            if ours != python_s:  # some time may have passed between the two
                ours, python_s = by_launcher(ways[one % len(ways)][1], call, tmp_path / "stdin"), python(call, tmp_path)
            if ours != python_s and not (call.environ.get("HOME", "") == "" and not ours.answered):
                pytest.fail(f"{seed}-{one}, {ways[one % len(ways)][0]}: {ours}, {python_s}\n{call}", pytrace=False)
        for number in numbers:
            _remove(tmp_path / f"fuzzed-{number}")
    print(f"{made} homes, answered: {counted[True]}, handed on: {counted[False]}")
    assert min(counted.values()) > made / 20


def _remove(folder: Path) -> None:
    """Remove a folder in which there may be folders that cannot be looked into."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o700)
    shutil.rmtree(folder)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def put(installed: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Return a folder that the launcher was put into, which a test may change."""
    need("cc")

    def put_there(folder: Path) -> Path:
        (folder / "put").mkdir()
        call_installer(installed, "launcher", folder / "put")
        return folder / "put"

    shutil.copytree(once("put", tmp_path_factory, put_there), tmp_path / "put", symlinks=True)
    return tmp_path / "put"


def test_it_is_put_into_a_folder_under_every_name(run: Runner, put: Path, home: dict[str, str]) -> None:
    assert sorted(path.name for path in put.iterdir()) == NAMES
    again = run("launcher", str(put), timeout=120, env={"PATH": f"{put}:{home['PATH']}"})
    first, *rest = again.stderr.splitlines()
    assert first.startswith("put credential-helper, git-credential-helper, docker-credential-helper and bazel-")
    assert rest == []
    assert sorted(path.name for path in put.iterdir()) == NAMES
    checked = run("launcher", "--check", str(put), timeout=120)
    assert checked.stderr == f"{len(CASES)} cases: the launcher and Python answer alike\n"


def test_an_answer_needs_no_python_and_the_rest_is_python_s(
    launch: Launcher, installed: Path, oidc: OidcProvider, home: dict[str, str], tmp_path: Path
) -> None:
    layer(installed, tmp_path / "layer")
    bin_ = tmp_path / "layer" / "bin"
    (tmp_path / "put").mkdir()
    done = launch.run([bin_ / "credential-helper", "launcher", str(tmp_path / "put")], timeout=120)
    assert done.code == 0, done
    launched = Runner(launch, tmp_path / "put" / "credential-helper")
    home["OUR_SECRET"] = ODD_SECRET
    machine = person(oidc, client_id=M2M_BASIC, flow="client-credentials", client_secret={"env": "OUR_SECRET"})
    write_profiles(home, prod=machine | {"bazel": ["https://bazel.example.com"]})
    first = launched("token", "prod")
    assert first.code == 0, first
    asked = b'{"uri":"https://bazel.example.com/x"}'
    bazel = launched("get", program="bazel-credential-helper", stdin=asked)
    assert bazel.code == 0, bazel
    assert first.text.strip() in bazel.text
    assert launched("--version", program="git-credential-helper").text.startswith("git-credential-helper ")
    assert launched("--version", program="bazel-credential-helper").text.startswith("bazel-credential-helper ")
    oidc.reset_counts()
    bin_.rename(tmp_path / "layer" / "moved")
    assert launched("token", "prod").stdout == first.stdout
    assert launched("get", program="bazel-credential-helper", stdin=asked).stdout == bazel.stdout
    assert oidc.counts() == {}
    gone = launched("token", "prod", env={"OUR_SECRET": "another"})
    assert (gone.code, gone.stdout) == (70, b"")
    assert gone.stderr.startswith(
        "credential-helper: the installation that this launcher was made for has gone\nhint: "
    )


def test_a_launcher_never_starts_a_launcher(launch: Launcher, installed: Path, tmp_path: Path) -> None:
    layer(installed, tmp_path / "layer")
    program = tmp_path / "layer" / "bin" / "credential-helper"
    (tmp_path / "put").mkdir()
    assert launch.run([program, "launcher", str(tmp_path / "put")], timeout=120).code == 0
    shutil.copy(tmp_path / "put" / "credential-helper", program)
    assert launch.run([program, "--version"]).code == 70


def refuse_other_file(folder: Path) -> str:
    (folder / "git-credential-helper").write_text("somebody else's\n")
    return f"{folder}/git-credential-helper is there, and is no launcher: nothing was written"


def refuse_link(folder: Path) -> str:
    (folder / "credential-helper").symlink_to("/nowhere")
    return f"{folder}/credential-helper is there, and is no launcher: nothing was written"


def refuse_open(folder: Path) -> str:
    folder.chmod(0o777)
    return f"others may write to {folder}"


def refuse_nothing_there(folder: Path) -> str:
    folder.rmdir()
    return f"{folder}: no such file or directory"


def refuse_file(folder: Path) -> str:
    folder.rmdir()
    folder.write_text("")
    return f"{folder} is no folder"


@pytest.mark.parametrize(
    "spoil", [refuse_other_file, refuse_link, refuse_open, refuse_nothing_there, refuse_file], ids=lambda f: f.__name__
)
def test_it_is_not_put_where_it_does_not_belong(run: Runner, tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    folder = tmp_path / "put"
    folder.mkdir()
    sentence = spoil(folder)
    before = sorted(folder.iterdir()) if folder.is_dir() else []
    done = run("launcher", str(folder), timeout=120)
    assert done.code == 64, done
    assert done.stderr.startswith(f"credential-helper: {sentence}\n")
    assert (sorted(folder.iterdir()) if folder.is_dir() else []) == before


def test_the_folder_of_the_installed_program_is_not_one_to_put_it_into(run: Runner, installed: Path) -> None:
    done = run("launcher", str(installed.parent))
    assert done.code == 64
    assert "is no launcher: nothing was written" in done.stderr


def test_without_a_compiler_nothing_is_put_there(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "put").mkdir()
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "cat").symlink_to(need("cat"))
    done = run("launcher", str(tmp_path / "put"), env={"PATH": str(tmp_path / "path")})
    assert done.code == 78
    assert done.stderr.startswith("credential-helper: there is no C compiler on PATH\nhint: install one ")
    assert list((tmp_path / "put").iterdir()) == []


def test_a_compiler_that_fails_is_heard(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "put").mkdir()
    broken = tmp_path / "broken"
    broken.write_text('#!/bin/sh\necho "broken: $*" >&2\nexit 1\n')
    broken.chmod(0o755)
    done = run("launcher", str(tmp_path / "put"), env={"CC": str(broken)})
    assert done.code == 78
    said, sentence, _ = done.stderr.split("\n", 2)
    assert said.startswith("broken: ")  # of the last try
    assert " -static " not in said
    assert sentence == "credential-helper: the command broken exited with status 1"
    assert list((tmp_path / "put").iterdir()) == []


def test_what_cannot_be_static_is_dynamic(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "put").mkdir()
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\ncase " $* " in *" -static "*) exit 1 ;; esac\nexec {need("cc")} "$@"\n')
    compiler.chmod(0o755)
    done = run("launcher", str(tmp_path / "put"), env={"CC": str(compiler)}, timeout=120)
    assert done.code == 0, done
    assert "(dynamic, by compiler)" in done.stderr
    assert "warning: tools that look for credential-helper on PATH do not find this one first\n" in done.stderr
    assert f"hint: put {tmp_path / 'put'} at the beginning of PATH" in done.stderr


def test_check_says_what_is_not_of_this_installation(run: Runner, put: Path) -> None:
    assert run("launcher", "--check", str(put), timeout=120).code == 0
    program = put / "credential-helper"
    content = program.read_bytes()
    at = content.index(build.MARK.encode()) + len(build.MARK)
    program.write_bytes(content[:at] + b"0" * 8 + content[at + 8 :])
    done = run("launcher", "--check", str(put))
    assert done.code == 64
    assert (
        " is no launcher of this installation and version\nhint: credential-helper launcher DIRECTORY\n" in done.stderr
    )


def test_a_folder_has_to_be_named(run: Runner) -> None:
    done = run("launcher")
    assert (done.code, done.stderr.splitlines()[0]) == (64, "credential-helper: DIRECTORY is missing")
