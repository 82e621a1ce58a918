"""The program as it is seen from outside: what was typed, what came back, and nothing else came back.

Each file of tests/conversations holds scenes, each scene begins in an empty home. A line's first character says what it
is; silence is asserted, too: a step without ``>`` lines has printed nothing.

    == TITLE                      a new scene
    # …                           a remark
    + PATH [MODE] [ENCODING]      a file is written (0600, utf-8), its lines follow
    | …
    * provider [NAME=VALUE …]     the embedded provider starts; a NAME is one of its settings
    * provider stops              it stops
    * SECONDS seconds pass        for what has to expire
    * provider saw NAME=N …       it has counted so many requests and grants of these names, so far
    * hostile PATH STATUS [HEADER:VALUE …] [BODY]      the hostile provider answers this, whatever it is asked there
    * then STATUS [HEADER:VALUE …] [BODY]     … and this the next time, and from then on
    * hostile signs NAME CLIENT [CLAIMS]      {NAME} is an ID token for that client, with these claims changed
    * hostile got PATH [HEADER:VALUE …] [FORM]      the last request there was this form, or query; its headers began so
    * hostile never got PATH
    * browser PATH FORM           the next step has a browser, which PATH sends back with this form and the state
    * browser shows TITLE         the page that it ended at
    * ada approves | * ada refuses            a person answers the code of the next step
    $ [NAME=VALUE …] PROGRAM [ARGUMENT …]     a step, in the words of a shell; PROGRAM becomes argv[0]
    < …                           its stdin; without such a line it is empty
    > …                           its stdout
    ! …                           its stderr
    = N                           its exit code

``{issuer}``, ``{host}``, ``{home}``, ``{secret}`` (the machine client's), ``{nobody}`` (an address where nobody
listens), ``{nobody-host}`` and ``{version}`` are put in first. In what is expected, forms included, ``<token>``,
``<time>`` (RFC 3339), ``<clock>`` (local), ``<n>`` (a number), ``<hex>``, ``<any>`` and ``<lines>`` stand for what
changes. There is no terminal: a step in which a person is asked sets CREDENTIAL_HELPER_INTERACTIVE=always, and reads
the prompt on stderr. A signed ID token has the nonce of the browser's request, and a code is redeemed with that one's
verifier.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import queue
import re
import shlex
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import credential_helper
from credential_helper.flows import PEOPLE
from credential_helper.providers import PROVIDERS
from integration.servers.embedded_provider import EmbeddedProvider
from integration.servers.hostile_provider import (
    Behaviour,
    Exchange,
    HostileProvider,
    Received,
    answer,
    closed_port,
    redirect,
    signing_key,
)
from tests.helpers.programs import DEADLINE, START

FOLDER = Path(__file__).parent / "conversations"


# $BROWSER: it follows the address that it is given, says which page it ended at, and is gone.
BROWSER = """\
import http.client, sys, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
try:
    with opener.open(sys.argv[1], timeout={deadline}) as answer:
        page = answer.read()
except urllib.error.HTTPError as error:
    page = error.read()
except (OSError, http.client.HTTPException):
    page = b""
opener.open({shown!r}, page, timeout={deadline}).close()
"""
SHOWN = "/shown"  # where it says so

PLACEHOLDERS = {
    "token": r"[A-Za-z0-9_.~-]+",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "clock": r"(?:\d{4}-\d\d-\d\d )?\d\d:\d\d",
    "n": r"\d+",
    "hex": r"[0-9a-f]+",
    "any": r".*",
    "lines": r"[\s\S]*",
}


class Step(msgspec.Struct):
    """One call of the program, and all that is expected of it."""

    where: str  # FILE:LINE
    words: list[str]
    stdin: list[str]
    stdout: list[str]
    stderr: list[str]
    code: int | None = None


class Remark(msgspec.Struct):
    """A ``*`` line."""

    where: str
    words: list[str]


class WrittenFile(msgspec.Struct):
    """A ``+`` line, and the lines of the file."""

    where: str
    words: list[str]
    lines: list[str]


class Scene(msgspec.Struct):
    """What happens in one home."""

    file: str
    title: str
    acts: list[Step | Remark | WrittenFile]


def parse(path: Path) -> list[Scene]:
    """Return the scenes of a file; AssertionError for a line that is out of place."""
    scenes: list[Scene] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        kind, rest = line[:1], line[2:]
        if line.startswith("== "):
            scenes.append(Scene(path.stem, line[3:], []))
            continue
        if kind in ("", "#"):
            continue
        assert line[1:2] in ("", " "), f"{where}: a space belongs after {kind}"
        assert scenes, f"{where}: a scene begins with =="
        acts = scenes[-1].acts
        last = acts[-1] if acts else None
        if kind == "$":
            acts.append(Step(where, shlex.split(rest), [], [], []))
        elif kind == "*":
            acts.append(Remark(where, rest.split()))
        elif kind == "+":
            acts.append(WrittenFile(where, rest.split(), []))
        elif kind == "|":
            assert isinstance(last, WrittenFile), f"{where}: this line belongs to no file"
            last.lines.append(rest)
        else:
            assert isinstance(last, Step), f"{where}: this line belongs to no step"
            assert last.code is None, f"{where}: the exit code is a step's last line"
            if kind == "=":
                last.code = int(rest)
            else:
                {"<": last.stdin, ">": last.stdout, "!": last.stderr}[kind].append(rest)
    for scene in scenes:
        for act in scene.acts:
            assert not isinstance(act, Step) or act.code is not None, f"{act.where}: no exit code"
    return scenes


class Stage:
    """One home, and the provider that is talked to."""

    def __init__(self, home: Path, nobody: int, key: rsa.RSAPrivateKey, stack: contextlib.ExitStack) -> None:
        """``stack`` ends what is started here."""
        self.home = home
        self.key = key
        self.stack = stack
        self.provider: EmbeddedProvider | None = None
        self.hostile: HostileProvider | None = None
        self.values = {
            "home": str(home),
            "nobody": f"http://127.0.0.1:{nobody}",
            "nobody-host": f"127.0.0.1:{nobody}",
            "version": credential_helper.__version__,
        }
        self.answers: Callable[[str], bool] | None = None  # what the person does with the next code
        self.scripted: tuple[str, list[Behaviour]] = ("", [])  # a path of the hostile provider, and what it answers
        self.signed: dict[str, tuple[str, dict[str, Any]]] = {}  # ID tokens by name: the client and changed claims
        self.browser: dict[str, str] = {}  # the next step's environment
        self.pages: queue.SimpleQueue[bytes] = queue.SimpleQueue()  # where the browser ended
        self.page = b""  # and where it did in the last step

    def fill(self, text: str) -> str:
        """Put the values in."""
        for name, value in self.values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def remark(self, remark: Remark) -> None:
        """Do what a ``*`` line says."""
        subject, *words = remark.words
        if words == ["seconds", "pass"]:
            time.sleep(float(subject))
        elif subject == "ada":
            assert self.provider is not None
            self.answers = {"approves": self.provider.approve, "refuses": self.provider.deny}[words[0]]
        elif subject == "hostile":
            self.play(words, remark.where)
        elif subject == "then":
            path, behaviours = self.scripted
            behaviours.append(self.behaviour(*words))
            self.malice().script(path, *behaviours)
        elif subject == "browser":
            self.browse(words, remark.where)
        else:
            assert subject == "provider", remark.where
            self.direct(words, remark.where)

    def malice(self) -> HostileProvider:
        """Return the hostile provider, which begins with the first line that needs it."""
        if self.hostile is None:
            self.hostile = self.stack.enter_context(HostileProvider())
            self.hostile.serve_metadata()
            self.values |= {"issuer": self.hostile.issuer, "host": self.hostile.issuer.removeprefix("http://")}
        return self.hostile

    def play(self, words: list[str], where: str) -> None:
        """Let the hostile provider answer something, or look at what it was asked."""
        hostile = self.malice()
        match words:
            case ["signs", name, client, *claims]:
                hostile.serve_keys(signing_key("ES256", "k1"))
                changes = msgspec.json.decode(self.fill(" ".join(claims)) or "{}", type=dict[str, Any])
                self.signed[name] = (client, changes)
                self.sign(nonce=None)
            case ["got", path, *rest]:
                headers, form = headers_and_body([self.fill(word) for word in rest])
                received = hostile.to(path)[-1]
                assert fits(dict(urllib.parse.parse_qsl(form)), parameters(received)), f"{where}: {received}"
                for name, value in headers.items():
                    assert received.headers.get(name.lower(), "").startswith(value), where
                self.check_code(parameters(received), where)
            case ["never", "got", path]:
                assert hostile.to(path) == [], where
            case [path, *rest]:
                self.scripted = (path, [self.behaviour(*rest)])
                hostile.script(path, *self.scripted[1])

    def sign(self, *, nonce: str | None) -> None:
        """Make the ID tokens anew: each request of a browser has its own nonce."""
        for name, (client, changes) in self.signed.items():
            claims = self.malice().claims(client, **{"nonce": nonce, **changes})
            self.values[name] = signing_key("ES256", "k1").sign(claims)

    def check_code(self, given: Mapping[str, str], where: str) -> None:
        """Look whether a code is redeemed by who asked for it (RFC 6749 §4.1.3, RFC 7636 §4.6)."""
        if given.get("grant_type") != "authorization_code":
            return
        asked = [parameters(request) for request in self.malice().requests if "code_challenge=" in request.query][-1]
        digest = hashlib.sha256(given["code_verifier"].encode()).digest()
        assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), where
        assert asked["redirect_uri"] == given["redirect_uri"], where

    def browse(self, words: list[str], where: str) -> None:
        """Give the next step a browser and its person, or look at what it showed."""
        hostile = self.malice()
        if words[0] == "shows":
            title = re.search(rb"<title>(.*)</title>", self.page)
            assert title is not None, where
            assert title[1].decode() == " ".join(words[1:]), where
            return
        path, form = words

        def send_back(exchange: Exchange) -> None:
            asked = parameters(exchange.received)
            self.sign(nonce=asked.get("nonce"))
            given = [*urllib.parse.parse_qsl(self.fill(form)), ("state", asked["state"])]
            redirect(302, f"{asked['redirect_uri']}?{urllib.parse.urlencode(given)}")(exchange)

        def hear(exchange: Exchange) -> None:
            answer(b"")(exchange)
            self.pages.put(exchange.received.body)

        hostile.script(path, send_back)
        hostile.script(SHOWN, hear)
        script = self.home.parent / "browser.py"
        script.write_text(BROWSER.format(shown=hostile.url + SHOWN, deadline=DEADLINE))
        self.browser = {"BROWSER": shlex.join([sys.executable, "-I", "-S", str(script)])}

    def behaviour(self, status: str, *words: str) -> Behaviour:
        """Return an answer; the values are those of when it is given."""
        headers, body = headers_and_body(words)
        return lambda exchange: answer(self.fill(body), int(status), headers)(exchange)

    def direct(self, words: list[str], where: str) -> None:
        """Start or stop the embedded provider, or look at what it has counted."""
        if words == ["stops"]:
            assert self.provider is not None
            self.provider.stop()
        elif words[:1] == ["saw"]:
            assert self.provider is not None
            expected = {name: int(count) for name, count in (word.split("=") for word in words[1:])}
            seen = {name: self.provider.counters[name] for name in expected}
            assert seen == expected, where
        else:
            settings: dict[str, Any] = {name: float(value) for name, value in (word.split("=") for word in words)}
            self.provider = EmbeddedProvider(**{"interval": 1, "key": self.key, **settings})
            self.stack.enter_context(self.provider)
            issuer = self.provider.issuer
            self.values |= {
                "issuer": issuer,
                "host": issuer.removeprefix("http://").rstrip("/"),
                "secret": self.provider.client_secret,
            }

    def write(self, file: WrittenFile) -> None:
        """Write a file."""
        name, *more = file.words
        path = Path(self.fill(name).replace("~", str(self.home), 1))
        modes = [word for word in more if word.isdigit()]
        encodings = [word for word in more if not word.isdigit()]
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(self.fill("".join(f"{line}\n" for line in file.lines)), encoding=(encodings or ["utf-8"])[0])
        path.chmod(int((modes or ["0600"])[0], 8))

    def call(self, step: Step) -> tuple[str, str, int]:
        """Run the program; return stdout, stderr and the exit code."""
        words = [self.fill(word) for word in step.words]
        environ = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC0"}
        browser, self.browser, self.page = self.browser, {}, b""
        environ |= browser
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        with self.person():
            done = subprocess.run(
                [sys.executable, "-c", START, *words],
                input=self.fill("".join(f"{line}\n" for line in step.stdin)).encode(),
                capture_output=True,
                env=environ,
                cwd=self.home,
                timeout=DEADLINE,
                start_new_session=True,  # no terminal
            )
        if browser and b"(a browser has been asked to show it)" in done.stderr:
            self.page = self.pages.get(timeout=DEADLINE)  # its last act
        return done.stdout.decode(), done.stderr.decode(), done.returncode

    @contextlib.contextmanager
    def person(self) -> Iterator[None]:
        """Let the person answer each code that appears while the step runs."""
        decide, self.answers = self.answers, None
        if decide is None or self.provider is None:
            yield
            return
        provider, done = self.provider, threading.Event()

        def answer() -> None:
            while not done.wait(0.02):
                for code in provider.pending():
                    decide(code)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def headers_and_body(words: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return the first words that are headers, NAME:VALUE, and the text of the others."""
    headers = list(takewhile(re.compile(r"[A-Za-z-]+:[^{\"]*").fullmatch, words))
    return dict(word.split(":", 1) for word in headers), " ".join(words[len(headers) :])


def parameters(received: Received) -> dict[str, str]:
    """Return the form of a POST, the query of a GET, none of which has a name twice."""
    given = urllib.parse.parse_qsl(received.query) if received.method == "GET" else received.fields
    assert len(dict(given)) == len(given), received
    return dict(given)


def fits(expected: Mapping[str, str], given: Mapping[str, str]) -> bool:
    """Say whether these are the parameters, whose values may be placeholders."""
    return expected.keys() == given.keys() and all(
        re.fullmatch(pattern([value], str), f"{given[name]}\n") for name, value in expected.items()
    )


def pattern(lines: list[str], fill: Callable[[str], str]) -> str:
    """Return a regular expression for the lines that are expected."""
    names = "|".join(PLACEHOLDERS)
    text = "".join(f"{fill(line)}\n" for line in lines)
    parts = re.split(f"<({names})>", text)  # literal, name, literal, name, …
    return "".join(PLACEHOLDERS[part] if index % 2 else re.escape(part) for index, part in enumerate(parts))


def as_written(step: Step, stdout: str, stderr: str, code: int) -> str:
    """Write what came as a transcript would."""
    shown = [f"{step.where}: $ {shlex.join(step.words)}"]
    shown += [f"> {line}" for line in stdout.splitlines()] + [f"! {line}" for line in stderr.splitlines()]
    return "\n".join([*shown, f"= {code}"])


SCENES = [scene for path in sorted(FOLDER.glob("*.txt")) for scene in parse(path)]


@pytest.fixture(scope="module")
def nobody() -> Iterator[int]:
    with closed_port() as port:
        yield port


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.file}: {scene.title}")
def test_the_conversation_goes_as_written(scene: Scene, tmp_path: Path, nobody: int, key: rsa.RSAPrivateKey) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with contextlib.ExitStack() as stack:
        stage = Stage(home, nobody, key, stack)
        for act in scene.acts:
            if isinstance(act, Remark):
                stage.remark(act)
            elif isinstance(act, WrittenFile):
                stage.write(act)
            else:
                stdout, stderr, code = stage.call(act)
                met = (
                    re.fullmatch(pattern(act.stdout, stage.fill), stdout) is not None
                    and re.fullmatch(pattern(act.stderr, stage.fill), stderr) is not None
                    and code == act.code
                )
                assert met, as_written(act, stdout, stderr, code)


def test_every_scene_has_its_own_title_and_a_step() -> None:
    titles = [(scene.file, scene.title) for scene in SCENES]
    assert len(set(titles)) == len(titles) > 30
    assert all(any(isinstance(act, Step) for act in scene.acts) for scene in SCENES)


@pytest.mark.parametrize(
    "provider", sorted({name for name, row in PROVIDERS.items() if row.flows & PEOPLE} - {"generic"})
)
def test_every_provider_signs_people_in_and_refuses_them(provider: str) -> None:
    acts = [act for scene in SCENES if scene.file == f"provider-{provider}" for act in scene.acts]
    remarks = [" ".join(act.words) for act in acts if isinstance(act, Remark)]
    steps = [act for act in acts if isinstance(act, Step)]
    assert "browser shows Signed in" in remarks
    assert any(remark.startswith("hostile got ") and "code_challenge=" in remark for remark in remarks)
    assert any("grant_type=authorization_code" in remark for remark in remarks)
    if "device" in PROVIDERS[provider].flows:
        assert any(line.startswith("  and ") for step in steps for line in step.stderr)
    assert any(step.code == 77 for step in steps)


def test_a_difference_is_seen(tmp_path: Path) -> None:
    """The comparison itself: one more line, one line less, another word, a placeholder that does not fit."""
    expected = pattern(["until <clock>, {x}"], lambda line: line.replace("{x}", "then"))
    assert re.fullmatch(expected, "until 18:04, then\n")
    for other in ("", "until 18:04, then", "until 18:04, then\n\n", "until 18.04, then\n", "until 18:04, thEn\n"):
        assert re.fullmatch(expected, other) is None
    form = {"code": "<token>", "redirect_uri": "http://127.0.0.1:<n>/callback"}
    assert fits(form, {"redirect_uri": "http://127.0.0.1:8252/callback", "code": "a-b"})
    for more in ({"code": "a b"}, {"redirect_uri": "http://127.0.0.1:8252/callback/"}, {"iss": "x"}, {"code": "a\nb"}):
        assert not fits(form, {"redirect_uri": "http://127.0.0.1:8252/callback", "code": "a-b", **more})
    assert not fits(form, {"code": "a-b"})
    (tmp_path / "x.txt").write_text("== one\n$ credential-helper\n> never\n")
    with pytest.raises(AssertionError, match="no exit code"):
        parse(tmp_path / "x.txt")
