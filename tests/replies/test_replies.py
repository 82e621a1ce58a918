"""The hot path: what is replayed, and every reason why it is not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from credential_helper import __version__, places, replies
from credential_helper.replies.keep import MOST, keep, may_be_written
from tests.helpers.programs import CHECKOUT

ARGV = ("/usr/bin/credential-helper", "kubectl", "--profile", "prod")
INFO = b'{"kind":"ExecCredential"}'
ANSWER = b'{"token":"the-token"}\n'
SESSION = "sessions/" + "a" * 64 + ".json"


class Proof(NamedTuple):
    """What a machine's reply is bound to: paths, variables with their values."""

    files: tuple[str, ...] = ()
    variables: tuple[tuple[str, str | None], ...] = ()


NO_PROOF = Proof()


class World:
    """A state directory, a config file and a session, and one reply that stands on them."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        home = Path(environ["HOME"])
        self.config = home / ".config" / "credential-helper" / "config.toml"
        self.config.parent.mkdir(parents=True)
        self.config.write_text("[profiles.prod]\n")
        self.state = home / ".local" / "state" / "credential-helper"
        self.session = self.state / SESSION
        self.session.parent.mkdir(parents=True)
        self.state.chmod(0o700)
        self.session.write_text("{}")
        self.session.chmod(0o600)

    @property
    def request(self) -> bytes:
        request = replies.request_of(ARGV, self.environ, INFO)
        assert request is not None
        return request

    @property
    def folder(self) -> Path:
        return self.state / "replies"

    @property
    def reply(self) -> Path:
        (only,) = self.folder.iterdir()
        return only

    def keep(self, until: float = 600.0, proof: Proof = NO_PROOF, **other: str) -> None:
        keep(
            self.request,
            ANSWER,
            until=time.time() + until,
            state_files=[(SESSION, other.get("session_stamp") or places.stamp(self.session.stat()))],
            config_stamps=[places.ABSENT, other.get("config_stamp") or places.stamp(self.config.stat())],
            environ=self.environ,
            proof_files=[(path, other.get("proof_stamp") or replies.stamp_now(path) or "") for path in proof.files],
            proof_variables=proof.variables,
        )

    def find(self) -> bytes | None:
        return answer_to(self.request, self.environ)


def answer_to(request: bytes, environ: dict[str, str]) -> bytes | None:
    found = replies.find(request, environ)
    return None if found is None else found.answer


@pytest.fixture
def world(environ: dict[str, str]) -> World:
    return World(environ)


def test_what_is_kept_is_found(world: World) -> None:
    world.keep()
    assert world.find() == ANSWER
    assert world.reply.stat().st_mode & 0o777 == 0o600
    assert world.folder.stat().st_mode & 0o777 == 0o700


def test_an_absent_config_file_is_a_stamp_too(world: World) -> None:
    stamp = places.stamp(world.config.stat())
    world.config.unlink()
    world.keep(config_stamp=stamp)
    assert list(world.folder.iterdir()) == []
    world.keep(config_stamp=places.ABSENT)
    assert world.find() == ANSWER
    world.config.write_text("")
    assert world.find() is None


def test_a_reply_may_stand_on_several_files_and_on_one_that_is_not_there(world: World) -> None:
    index = world.state / "passwords" / "index.json"
    files = [(SESSION, places.stamp(world.session.stat())), ("passwords/index.json", places.ABSENT)]
    keep(world.request, ANSWER, until=time.time() + 60, state_files=files, config_stamps=None, environ=world.environ)
    assert world.find() == ANSWER
    index.parent.mkdir()
    index.write_text("{}")
    assert world.find() is None


def test_without_config_stamps_the_files_are_looked_at_now(world: World) -> None:
    stamp = places.stamp(world.session.stat())
    keep(
        world.request,
        ANSWER,
        until=time.time() + 60,
        state_files=[(SESSION, stamp)],
        config_stamps=None,
        environ=world.environ,
    )
    assert world.find() == ANSWER


def replace_session(world: World) -> None:
    world.session.unlink()
    world.session.write_text("{}")


def link_reply(world: World) -> None:
    moved = world.reply.rename(world.state / "moved")
    (world.folder / replies.name_of(world.request)).symlink_to(moved)


BREAKS: dict[str, Callable[[World], object]] = {
    "the config file is rewritten": lambda w: w.config.write_text("[profiles.test]\n"),
    "the config file is touched": lambda w: os.utime(w.config, ns=(1, 1)),
    "the config file becomes writable by others": lambda w: w.config.chmod(0o666),
    "the config file is gone": lambda w: w.config.unlink(),
    "the session is rewritten with the same length": lambda w: w.session.write_text("[]"),
    "the session is replaced": replace_session,
    "the session is gone": lambda w: w.session.unlink(),
    "the reply is open to others": lambda w: w.reply.chmod(0o640),
    "the replies folder is open to others": lambda w: w.folder.chmod(0o750),
    "the state directory is open to others": lambda w: w.state.chmod(0o755),
    "the reply is cut short": lambda w: os.truncate(w.reply, w.reply.stat().st_size - 1),
    "the reply is longer than it says": lambda w: w.reply.write_bytes(w.reply.read_bytes() + b"x"),
    "the reply is of another format": lambda w: w.reply.write_bytes(
        w.reply.read_bytes().replace(b"reply 3", b"reply 2")
    ),
    "the reply is of another version": lambda w: w.reply.write_bytes(
        w.reply.read_bytes().replace(__version__.encode(), b"9.9.9", 1)
    ),
    "the reply is not one": lambda w: w.reply.write_bytes(b"\xff\x00\n\n"),
    "a time is no number": lambda w: w.reply.write_bytes(w.reply.read_bytes().replace(b"\n1", b"\nx", 1)),
    "a stamp is missing": lambda w: w.reply.write_bytes(w.reply.read_bytes().replace(b"\nconfig absent", b"\nconfig")),
    "a name is not UTF-8": lambda w: w.reply.write_bytes(w.reply.read_bytes().replace(b"sessions/", b"sessions\xff")),
    "the reply is empty": lambda w: w.reply.write_bytes(b""),
    "the reply is a link": link_reply,
}


@pytest.mark.parametrize("what", BREAKS)
def test_the_slow_path_answers_when(world: World, what: str) -> None:
    world.keep()
    assert world.find() == ANSWER
    BREAKS[what](world)
    assert world.find() is None


@pytest.mark.parametrize(
    ("argv", "variables", "tool_input"),
    [
        (("/x/credential-helper", "kubectl", "--profile", "test"), {}, INFO),
        (("/x/git-credential-helper", *ARGV[1:]), {}, INFO),
        (ARGV, {"CREDENTIAL_HELPER_PROFILE": "other"}, INFO),
        (ARGV, {"CREDENTIAL_HELPER_INTERACTIVE": "never"}, INFO),
        (ARGV, {"XDG_CONFIG_HOME": "/elsewhere"}, INFO),
        (ARGV, {}, INFO + b" "),
        ((*ARGV, ""), {}, INFO),
    ],
)
def test_another_request_is_another_one(
    world: World, argv: tuple[str, ...], variables: dict[str, str], tool_input: bytes
) -> None:
    world.keep()
    request = replies.request_of(argv, {**world.environ, **variables}, tool_input)
    assert request is not None
    assert request != world.request
    assert replies.find(request, world.environ) is None


def test_the_folder_that_holds_the_executable_does_not_matter(world: World) -> None:
    assert replies.request_of(("credential-helper", *ARGV[1:]), world.environ, INFO) == world.request


def test_words_cannot_be_shifted_into_each_other(environ: dict[str, str]) -> None:
    assert replies.request_of(("a", "b", "c"), environ, b"") != replies.request_of(("a", "b"), environ, b"c")
    assert replies.request_of(("a", "b c"), environ, b"") != replies.request_of(("a", "b", "c"), environ, b"")


@pytest.mark.parametrize("name", places.SECRET_VARIABLES)
def test_a_secret_variable_is_never_written(world: World, name: str) -> None:
    world.environ[name] = "the-secret"
    world.keep()
    assert b"the-secret" not in world.reply.read_bytes()


def test_a_checksum_collision_is_no_answer(world: World) -> None:
    world.keep()
    content = world.reply.read_bytes()
    world.reply.write_bytes(content.replace(b"--profile\0prod", b"--profile\0pred"))
    assert world.find() is None


def time_passes(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def test_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.keep(until=-1)
    assert not world.folder.exists()
    world.keep(until=300)
    assert world.find() == ANSWER
    time_passes(monkeypatch, 301)
    assert world.find() is None


@pytest.mark.parametrize(("shift", "answered"), [(-30, True), (30, True), (61 * 10, False), (-90, False)])
def test_a_clock_that_was_set(world: World, shift: float, answered: bool) -> None:
    # The reply's times are shifted instead of the clock: made in the future is a clock set back.
    world.keep(until=600)
    lines = world.reply.read_bytes().split(b"\n")
    made, until = float(lines[2]) - shift, float(lines[3]) - shift
    world.reply.write_bytes(b"\n".join([*lines[:2], repr(made).encode(), repr(until).encode(), *lines[4:]]))
    assert (world.find() == ANSWER) is answered


def test_a_session_that_changed_while_the_reply_was_kept_leaves_none(world: World) -> None:
    stamp = places.stamp(world.session.stat())
    world.session.write_text("[]")
    world.keep(session_stamp=stamp)
    assert list(world.folder.iterdir()) == []


def test_replies_past_their_time_and_torn_ones_are_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.keep(until=300)
    old = world.reply
    torn = world.folder / "5-abc.1234"
    torn.write_bytes(b"half")
    os.utime(torn, (0, 0))
    time_passes(monkeypatch, 301)
    world.environ["CREDENTIAL_HELPER_PROMPT"] = "plain"
    world.keep()
    assert not old.exists()
    assert not torn.exists()
    assert world.find() == ANSWER


def test_of_many_replies_the_oldest_go(world: World) -> None:
    world.keep()
    first = world.reply
    for number in range(MOST + 50):
        other = world.folder / f"9-{number:x}"
        other.write_bytes(first.read_bytes())
        other.chmod(0o600)
        os.utime(other, (1000.0 + number, 1000.0 + number))
    world.environ["CREDENTIAL_HELPER_PROMPT"] = "plain"
    world.keep()
    left = {path.name for path in world.folder.iterdir()}
    assert len(left) == MOST
    assert first.name in left
    assert "9-0" not in left
    assert f"9-{MOST + 49:x}" in left
    assert world.find() == ANSWER


# --- a machine's proof ---

OURS = "CREDENTIAL_HELPER_CLIENT_SECRET"


@pytest.mark.parametrize(
    ("kept", "now", "answered"),
    [
        ("right", "right", True),
        ("right", "wrong", False),
        ("right", "righ", False),
        ("right", "right\n", False),
        ("right", "", False),
        ("right", None, False),
        ("", "", True),
        ("", None, False),
        (None, None, True),
        (None, "", False),
        ("wörd \udcff\n", "wörd \udcff\n", True),
        ("wörd \udcff\n", "wörd \udcfe\n", False),
    ],
)
def test_only_who_has_the_same_secret_is_answered(
    world: World, kept: str | None, now: str | None, answered: bool
) -> None:
    world.keep(proof=Proof(variables=((OURS, kept),)))
    assert world.find() is None or kept is None
    if now is not None:
        world.environ[OURS] = now
    assert (world.find() == ANSWER) is answered


def test_each_variable_counts_and_none_can_be_shifted_into_the_next(world: World) -> None:
    names = ("CI_ID", "CI SECRET 2=ö\udcff")
    world.environ |= dict(zip(names, ("ab", "c"), strict=True))
    world.keep(proof=Proof(variables=tuple((name, world.environ[name]) for name in names)))
    assert world.find() == ANSWER
    for values in (("a", "bc"), ("ab", "d"), ("x", "c"), ("c", "ab")):
        world.environ |= dict(zip(names, values, strict=True))
        assert world.find() is None
    world.environ |= dict(zip(names, ("ab", "c"), strict=True))
    assert world.find() == ANSWER


def test_a_variable_that_was_read_twice_with_two_values_binds_to_neither(world: World) -> None:
    for value in ("a", "b"):
        world.environ["CI"] = value
        world.keep(proof=Proof(variables=(("CI", "a"), ("CI", "b"))))
        assert world.find() is None


def test_neither_a_secret_nor_the_same_digest_of_it_is_written_twice(world: World) -> None:
    world.environ[OURS] = "the-secret"
    digests = set()
    for _ in range(2):
        world.keep(proof=Proof(variables=((OURS, "the-secret"),)))
        content = world.reply.read_bytes()
        assert b"the-secret" not in content
        assert b"the-secret".hex().encode() not in content
        (line,) = [line for line in content.split(b"\n") if line.startswith(b"variables ")]
        digests.add(line)
        assert world.find() == ANSWER
    assert len(digests) == 2


def test_the_digest_is_sha256_of_salt_and_parts_with_their_lengths() -> None:
    expected = hashlib.sha256(b"\x01\xff" + b"2:CI" + b"5:s\xc3\xb6\xffx" + b"1:U" + b"-").hexdigest()
    assert replies.digest("01ff", [("CI", "s\u00f6\udcffx"), ("U", None)]) == expected
    assert replies.digest("01fe", [("CI", "s\u00f6\udcffx"), ("U", None)]) != expected


@pytest.mark.parametrize("name", ["secret", "a secret", "new\nline", "ö", "\udcff", "100% %41", "x" * 200])
def test_a_secret_s_file_may_have_any_name_and_has_to_be_the_one_that_was_read(world: World, name: str) -> None:
    path = Path(world.environ["HOME"], name)
    path.write_text("the-secret")
    world.keep(proof=Proof(files=(str(path),)))
    assert world.find() == ANSWER
    assert b"the-secret" not in world.reply.read_bytes()
    path.rename(path.with_name("old"))
    assert world.find() is None
    path.write_text("the-secret")
    assert world.find() is None
    path.unlink()
    path.with_name("old").rename(path)
    path.chmod(0o600)
    assert world.find() is None


def test_the_file_behind_a_link_counts(world: World) -> None:
    """Kubernetes and systemd exchange a link where a secret is rotated."""
    folder = Path(world.environ["HOME"])
    for name in ("old", "new"):
        folder.joinpath(name).write_text("the-secret")
    link = folder / "current"
    link.symlink_to("old")
    world.keep(proof=Proof(files=(str(link),)))
    assert world.find() == ANSWER
    link.unlink()
    link.symlink_to("new")
    assert world.find() is None


def test_a_secret_s_file_that_changed_while_the_reply_was_kept_leaves_none(world: World) -> None:
    path = Path(world.environ["HOME"], "secret")
    path.write_text("old")
    stamp = places.stamp(path.stat())
    path.write_text("new")
    world.keep(proof=Proof(files=(str(path),)), proof_stamp=stamp)
    assert list(world.folder.iterdir()) == []


def test_a_relative_path_binds_nothing_so_nothing_is_kept(world: World) -> None:
    world.keep(proof=Proof(files=("secret",)), proof_stamp=places.ABSENT)
    assert not world.folder.exists()


PROVEN = Proof(files=("/etc/passwd",), variables=((OURS, "right"),))
PROOF_BREAKS = {
    "a path is no hex": (b"\nfile 2f", b"\nfile xx"),
    "a path is of half a byte": (b"\nfile 2f", b"\nfile 2"),
    "a path has no stamp": (b"\nfile ", b"\nfile 2f\nfile "),
    "a salt is no hex": (b"\nvariables ", b"\nvariables x"),
    "a digest is none": (b"\nvariables ", b"\nvariables 00 "),
    "a name is no hex": (OURS.encode().hex().encode(), b"x"),
    "a name is missing": (b" " + OURS.encode().hex().encode(), b""),
    "another name": (b" " + OURS.encode().hex().encode(), b" " + b"CI".hex().encode()),
    "nothing is named": (b"\nvariables ", b"\nvariables\nvariables "),
}


@pytest.mark.parametrize("what", PROOF_BREAKS)
def test_a_head_whose_proof_is_none_answers_nobody(world: World, what: str) -> None:
    world.environ[OURS] = "right"
    world.keep(proof=PROVEN)
    assert world.find() == ANSWER
    content = world.reply.read_bytes()
    world.reply.write_bytes(content.replace(*PROOF_BREAKS[what], 1))
    assert world.reply.read_bytes() != content
    assert world.find() is None


def test_a_python_without_sha256_of_its_own_replays_nothing_that_is_bound_to_a_variable(world: World) -> None:
    world.environ |= {"KUBERNETES_EXEC_INFO": INFO.decode(), OURS: "right"}
    program = (
        "import sys\n"
        f"sys.argv = {list(ARGV)!r}\n"
        "from credential_helper import __main__ as m, replies\n"
        "sys.modules |= dict.fromkeys(('_sha2', '_sha256'))\n"
        "print(isinstance(replies.replay(sys.argv, m._environment()), int))\n"
    )
    for proof, said in ((PROVEN, b"False\n"), (Proof(files=PROVEN.files), ANSWER + b"True\n")):
        world.keep(proof=proof)
        done = subprocess.run([sys.executable, "-c", program], env=world.environ, capture_output=True, cwd=CHECKOUT)
        assert (done.stdout, done.stderr) == (said, b"")


def test_a_request_with_a_secret_in_a_variable_of_our_prefix_may_not_be_written(environ: dict[str, str]) -> None:
    known = {"CREDENTIAL_HELPER_STORE", "CREDENTIAL_HELPER_UNSET"}
    environ |= {OURS: "s", "CREDENTIAL_HELPER_STORE": "file", "CREDENTIAL_HELPER_CLIENT_SECRET": "s", "CI": "s"}
    assert may_be_written(environ, known, {OURS, "CI", "CREDENTIAL_HELPER_UNSET"})
    assert not may_be_written(environ, known, {"CREDENTIAL_HELPER_STORE"})
    environ["CREDENTIAL_HELPER_CI"] = "s"  # a config file that was not read may name it
    assert not may_be_written(environ, known)


# --- stdin and stdout ---


def read_in_a_process(pieces: list[bytes], *, lines: bool) -> bytes:
    """Return what ``read_input`` reads from a non-blocking stdin that stays open after these pieces."""
    program = (
        "import os, sys, threading, time\n"
        "from credential_helper import replies\n"
        "reader, writer = os.pipe()\n"
        "os.set_blocking(reader, False)\n"
        "os.dup2(reader, 0)\n"
        "def write():\n"
        f"    for piece in {pieces!r}:\n"
        "        time.sleep(0.05)\n"
        "        os.write(writer, piece)\n"
        "    closed = os.close(writer) if not %r else None\n"
        "threading.Thread(target=write, daemon=True).start()\n"
        "replies.write_out(replies.read_input(lines=%r))\n"
        "os._exit(0)\n"
    ) % (lines, lines)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=CHECKOUT, timeout=30)
    assert done.stderr == b""
    return done.stdout


def test_a_stdin_that_does_not_block_is_waited_for() -> None:
    assert read_in_a_process([b"https://", b"registry.example.com"], lines=False) == b"https://registry.example.com"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"host=a.example\n\n"],
        [b"host=a.example\r\n", b"\r\n"],
        [b"host=a.example\n", b"path=x\n", b"\n"],
        [b"host=a.example\n\nanother=request\n"],
    ],
)
def test_an_empty_line_ends_lines_though_the_pipe_stays_open(pieces: list[bytes]) -> None:
    assert read_in_a_process(pieces, lines=True) == b"".join(pieces)


def test_an_empty_line_ends_no_json_object() -> None:
    read = b'{"kind":\n\n"ExecCredential"}'
    assert not replies.has_ended(read)
    assert replies.has_ended(b"host=a.example\n\n")
    assert not replies.has_ended(b"host=a.example\n")


def test_a_stdout_that_does_not_block_gets_the_whole_answer() -> None:
    program = "import os\nfrom credential_helper import replies\nreplies.write_out(b'x' * 300_000)\nos._exit(0)\n"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen([sys.executable, "-c", program], stdout=writer, cwd=CHECKOUT) as process:
        os.close(writer)
        with open(reader, "rb") as answer:
            assert answer.read() == b"x" * 300_000
    assert process.returncode == 0


def test_input_that_is_too_long_is_neither_looked_up_nor_kept(environ: dict[str, str]) -> None:
    assert replies.request_of(ARGV, environ, b"x" * 64 * 1024) is not None
    assert replies.request_of(ARGV, environ, b"x" * (64 * 1024 + 1)) is None


def test_an_unknown_state_directory_is_no_error(environ: dict[str, str]) -> None:
    environ["CREDENTIAL_HELPER_STATE_DIR"] = "relative"
    assert replies.find(b"x", environ) is None


@pytest.mark.parametrize("variable", ["CREDENTIAL_HELPER_STATE_DIR", "XDG_STATE_HOME"])
@pytest.mark.parametrize("named", [[], [(SESSION, places.ABSENT)], ["outside"], ["above"]])
def test_a_reply_that_came_with_a_folder_is_not_replayed(
    environ: dict[str, str], tmp_path: Path, variable: str, named: list[object]
) -> None:
    """It can only stand on files that are not there, or that look alike on many machines."""
    folder = tmp_path / "checkout"
    state = folder if variable == "CREDENTIAL_HELPER_STATE_DIR" else folder / "credential-helper"
    state.mkdir(parents=True, mode=0o700)
    known = tmp_path / "known"
    known.write_text("of a golden image")
    paths = {"outside": str(known), "above": os.path.relpath(known, state)}
    files = [one if isinstance(one, tuple) else (paths[str(one)], places.stamp(known.stat())) for one in named]
    environ |= {variable: str(folder), "CREDENTIAL_HELPER_CONFIG": "/nowhere"}
    request = replies.request_of(ARGV, environ, INFO)
    assert request is not None
    keep(request, ANSWER, until=time.time() + 60, state_files=files, config_stamps=None, environ=environ)
    assert [file.read_bytes().endswith(ANSWER) for file in (state / "replies").iterdir()] == [True]
    assert replies.find(request, environ) is None
    own = state / SESSION
    own.parent.mkdir()
    own.write_text("{}")
    files = [(SESSION, places.stamp(own.stat()))]
    keep(request, ANSWER, until=time.time() + 60, state_files=files, config_stamps=None, environ=environ)
    assert answer_to(request, environ) == ANSWER


# --- the executable ---


SHA256 = "_sha2" if sys.version_info >= (3, 12) else "_sha256"


@pytest.mark.parametrize(("proof", "more"), [(NO_PROOF, set()), (Proof(files=PROVEN.files), set()), (PROVEN, {SHA256})])
def test_only_these_modules_are_loaded(world: World, proof: Proof, more: set[str]) -> None:
    world.environ |= {"KUBERNETES_EXEC_INFO": INFO.decode(), OURS: "right"}
    world.keep(proof=proof)
    program = (
        f"import sys; before = set(sys.modules); sys.path.insert(0, {str(CHECKOUT)!r})\n"
        f"sys.argv = {list(ARGV)!r}\n"
        "from credential_helper import __main__ as m, replies\n"
        "assert m.replies.replay(sys.argv, m._environment()) == 0\n"
        "sys.stderr.write(' '.join(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], env=world.environ, capture_output=True, check=True
    )
    assert done.stdout == ANSWER
    loaded = set(done.stderr.decode().split())
    ours = ("", ".__main__", ".light", ".places", ".replies", ".tools")
    assert loaded - more <= {"sys", "time"} | {f"credential_helper{name}" for name in ours}
    assert more <= loaded


def test_the_executable_replays_without_a_socket_or_the_slow_path(world: World) -> None:
    world.environ["KUBERNETES_EXEC_INFO"] = INFO.decode()
    world.keep()
    program = (
        "import sys\n"
        "sys.addaudithook(lambda event, _: event.startswith('socket.') and sys.exit('a socket'))\n"
        f"sys.argv = {list(ARGV)!r}\n"
        "from credential_helper.__main__ import main\n"
        "sys.modules['credential_helper.cli'] = None\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=world.environ, capture_output=True, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, ANSWER, b"")


def _run(world: World, *redirections: str) -> subprocess.CompletedProcess[bytes]:
    words = " ".join(redirections)
    return subprocess.run(
        ["/bin/sh", "-c", f'"$0" -m credential_helper kubectl --profile prod {words}', sys.executable],
        env={**world.environ, "KUBERNETES_EXEC_INFO": INFO.decode()},
        capture_output=True,
        cwd=Path(__file__).parents[2],
    )


def _keep_for_module(world: World) -> None:
    argv = ("__main__.py", *ARGV[1:])
    request = replies.request_of(argv, world.environ, INFO)
    assert request is not None
    keep(
        request,
        ANSWER,
        until=time.time() + 60,
        state_files=[(SESSION, places.stamp(world.session.stat()))],
        config_stamps=None,
        environ=world.environ,
    )


def test_a_closed_stdin_and_stderr_do_no_harm(world: World) -> None:
    _keep_for_module(world)
    done = _run(world, "<&-", "2>&-")
    assert (done.returncode, done.stdout) == (0, ANSWER)


def test_a_closed_stdout_is_refused(world: World) -> None:
    _keep_for_module(world)
    done = _run(world, ">&-")
    assert done.returncode == 74
    assert b"stdout is closed" in done.stderr


def test_a_stdout_that_cannot_be_written_ends_with_74_and_no_second_try(world: World) -> None:
    _keep_for_module(world)
    done = _run(world, ">/dev/full")
    assert done.returncode == 74
    assert done.stderr == b"credential-helper: the answer cannot be written to stdout\n"
