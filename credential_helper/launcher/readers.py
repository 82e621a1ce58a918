"""Calls through both readers: answered, or handed on, and then with what name, what arguments and what stdin.

Either reader ends by its answer and its exit code. What is handed on goes to a script that tells what it was given,
so two outcomes are alike where their bytes are.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from credential_helper import PROGRAM
from credential_helper.errors import ConfigurationError, CredentialHelperError
from credential_helper.launcher.build import workspace_in
from credential_helper.launcher.world import Call, Case
from credential_helper.system import children

HANDED_ON = b"handed on\n"
CODE = 99  # of the script

# What Python does, call after call. Where a reply has to be renewed ahead it replays it and begins; the launcher leaves
# that to it, so here it is no answer.
_JUDGE = """\
import marshal, sys
sys.path.insert(0, sys.argv[1])
from credential_helper import replies
from credential_helper.light import base_name, decode, encode, system
find = replies.find
def find_what_is_not_due(request, environ):
    reply = find(request, environ)
    return None if reply is not None and reply.due is not None else reply
replies.find = find_what_is_not_due
def judge(argv, environ):
    done = replies.replay(argv, environ)
    if isinstance(done, int):
        return done
    said = b"handed on\\n" + b"".join(encode(word) + b"\\n" for word in (base_name(argv[0]), *argv[1:]))
    said += done.heard or b""
    while (done.heard is None or len(done.heard) > replies.LARGEST) and (piece := system.read(0, 65536)):
        said += piece
    replies.write_out(said)
    return 99
calls = b""
while piece := system.read(0, 1 << 20):
    calls += piece
codes = []
answers = system.dup(1)
for argv, environ, stdin, stdout in marshal.loads(calls):
    for descriptor, path, flags in (0, stdin, system.O_RDONLY), (1, stdout, system.O_WRONLY | system.O_CREAT):
        opened = system.open(path, flags, 0o600)
        system.dup2(opened, descriptor)
        system.close(opened)
    environ = {decode(name): decode(value) for name, value in environ.items()}
    codes.append(judge([decode(word) for word in argv], environ))
system.write(answers, marshal.dumps(codes))
"""
_TOGETHER = 32  # cases; Python is started once for so many, and nothing in them grows old meanwhile


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    code: int
    stdout: bytes

    @property
    def answered(self) -> bool:
        """Say whether it was answered from a reply."""
        return not self.stdout.startswith(HANDED_ON)


def write_script(folder: str, environ: Mapping[str, str]) -> None:
    """Put the script that stands in for the installed program into a folder, which has to be there."""
    cat = children.find("cat", environ)
    if cat is None:
        raise ConfigurationError(children.not_found("cat"))
    text = f"""#!/bin/sh\nprintf 'handed on\\n'\nprintf '%s\\n' "${{0##*/}}" "$@"\n{shlex.quote(cat)}\nexit {CODE}\n"""
    path = os.path.join(folder, PROGRAM)
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.chmod(path, 0o755)  # noqa: S103 - a script, which has no secret in it


def judged(cases: Iterable[Case], launcher: str, workspace: str) -> Iterator[tuple[Case, Outcome, Outcome]]:
    """Let both judge cases, each in a folder that is made for it: the case, what the launcher did, what Python did."""
    every = list(cases)
    for start in range(0, len(every), _TOGETHER):
        some = every[start : start + _TOGETHER]
        calls = []
        for number, case in enumerate(some, start):
            folder = os.path.join(workspace, f"case-{number}")
            os.mkdir(folder, 0o700)
            calls.append(case.prepare(folder))
        found = [by_launcher(launcher, call) for call in calls]
        yield from zip(some, found, by_python(calls, workspace), strict=True)


def by_launcher(launcher: str, call: Call) -> Outcome:
    """Let a launcher that hands on to the script decide; a link of the name that it is called by is made beside it."""
    path = os.path.join(os.path.dirname(launcher), call.argv[0])
    if not os.path.lexists(path):
        os.symlink(os.path.basename(launcher), path)
    code, stdout = children.ask([path, *call.argv[1:]], environ=call.environ, stdin=call.stdin)
    return Outcome(code, stdout)


def by_python(calls: Sequence[Call], workspace: str) -> list[Outcome]:
    """Let ``replies`` decide, in a Python that is started as the installed program is."""
    import marshal

    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with workspace_in(workspace) as folder:
        jobs = []
        for number, call in enumerate(calls):
            stdin, stdout = os.path.join(folder, f"{number}.stdin"), os.path.join(folder, f"{number}.stdout")
            with open(stdin, "wb") as file:
                file.write(call.stdin)
            environ = {os.fsencode(name): os.fsencode(value) for name, value in call.environ.items()}
            jobs.append(([os.fsencode(word) for word in call.argv], environ, os.fsencode(stdin), os.fsencode(stdout)))
        words = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _JUDGE, package]
        code, codes = children.ask(words, environ={}, stdin=marshal.dumps(jobs))
        if code:
            raise CredentialHelperError("Python's half of the comparison has failed")
        found = []
        for exit_code, (*_, stdout_path) in zip(marshal.loads(codes), jobs, strict=True):  # noqa: S302 - our own
            with open(stdout_path, "rb") as file:
                found.append(Outcome(exit_code, file.read()))
    return found
