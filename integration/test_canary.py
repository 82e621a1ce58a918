"""Canaries: secrets that can be recognised anywhere, sent through every error that can be provoked from outside.

None of them is ever seen but in the answer that was asked for: not on stderr or the terminal, not under --verbose nor
in its file, not in a child's environment or arguments, not in /proc/PID/cmdline. An ID token that fails its check is
answered by no call, the second included.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import jwt
import pytest

from integration.clients.installers import layer
from integration.scenes.homes import NOBODY, PERSON, PROMPT, Home, each, walk
from integration.servers.hostile_provider import (
    Behaviour,
    Exchange,
    HostileProvider,
    answer,
    broken_length,
    empty,
    garbage,
    half_json,
    html,
    oauth_error,
    oversized,
    raw,
    redirect,
    reset,
    signing_key,
)
from integration.servers.oidc import CLI, OidcProvider
from tests.helpers.programs import DEADLINE, Result

# "%", "/" and "+" would each be written differently in a form, in a URL and in a header.
CLIENT_SECRET = "canary-client%secret/+cafe"
REFRESH_TOKEN = "canary-refresh/+token-cafe"
ACCESS_TOKEN = "canary-access/+token-cafe"
DEVICE_CODE = "canary-device/+code-cafe"
PASTED = "canary-pasted/+secret-cafe"
SECRETS = (CLIENT_SECRET, REFRESH_TOKEN, ACCESS_TOKEN, DEVICE_CODE, PASTED)


def spellings(secret: str) -> set[str]:
    """Return how a secret looks in a form, a URL, JSON and a Basic header."""
    basic = {f"{quote_plus(CLI)}:{part}" for part in (secret, quote_plus(secret))}
    encoded = {base64.b64encode(text.encode()).decode() for text in basic}
    return {secret, quote(secret), quote_plus(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], *encoded}


class Flown(AssertionError):
    """A canary was seen where it does not belong."""


def caged(*texts: str, secrets: set[str] | None = None) -> None:
    """Check that no canary is in any of these texts."""
    for needle in secrets or {s for secret in SECRETS for s in spellings(secret)}:
        for text in texts:
            if needle in text:
                at = text.index(needle)
                raise Flown(f"{needle} in …{text[max(0, at - 200) : at + 200]}…")


def silent(result: Result) -> bool:
    """Say whether stdout has nothing, or what kubectl is told where it gets no token; ``caged`` has read it."""
    return result.stdout == b"" or result.stdout.startswith(b'{"kind":"Status","apiVersion":"v1","metadata":{},')


def judge(result: Result, *, codes: set[int] | None = None, secrets: set[str] | None = None) -> None:
    """Check a run that failed: its words, its silence on stdout, its exit code."""
    caged(result.stderr, result.terminal, result.text, secrets=secrets)
    assert "Traceback" not in result.stderr + result.terminal
    assert silent(result)
    assert result.code != 0
    if codes is not None:
        assert result.code in codes, result.stderr


# --- ways to say a step -----------------------------------------------------------------------------------------------

MODES = ("quiet", "--verbose", "file")


class Desk:
    """A home whose program talks in one of the MODES, and all that it ever said."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.log = home.folder / "verbose.log"
        self._turn = 0

    def run(self, *argv: str, mode: str | None = None, **environ: str) -> Result:
        """Run a command, each time in the next mode unless one is named; what its file says is added to stderr."""
        mode = mode or MODES[self._turn % len(MODES)]
        self._turn += 1
        self.log.unlink(missing_ok=True)
        env = {**NOBODY, **environ}
        if mode == "file":
            env["CREDENTIAL_HELPER_VERBOSE"] = str(self.log)
        words = (*argv, "--verbose") if mode == "--verbose" else argv
        result = self.home.run(*words, env=env)
        told = ""
        if mode == "file" and self.log.exists():
            assert stat.S_IMODE(self.log.stat().st_mode) == 0o600
            told = self.log.read_text()
        return Result(
            code=result.code,
            stdout=result.stdout,
            stderr=result.stderr + told,
            terminal=result.terminal,
            seconds=result.seconds,
        )


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with HostileProvider() as hostile:
        hostile.serve_metadata()
        hostile.serve_keys(signing_key())
        yield hostile


@pytest.fixture
def home(tmp_path: Path, installed: Path, provider: HostileProvider) -> Iterator[Home]:
    made = Home(tmp_path / "home", installed, issuer=provider.issuer)
    yield made
    made.launcher.stop()


@pytest.fixture
def desk(home: Home) -> Desk:
    return Desk(home)


Stage = Callable[[str], contextlib.AbstractContextManager[tuple[Desk, HostileProvider]]]


@pytest.fixture
def stage(tmp_path: Path, installed: Path) -> Stage:
    """Return what makes a desk and a provider of their own, for tests that do several things at once."""

    @contextlib.contextmanager
    def make(name: str) -> Iterator[tuple[Desk, HostileProvider]]:
        with HostileProvider() as hostile:
            hostile.serve_metadata()
            hostile.serve_keys(signing_key())
            home = Home(tmp_path / name, installed, issuer=hostile.issuer)
            try:
                yield Desk(home), hostile
            finally:
                home.launcher.stop()

    return make


def as_machine(desk: Desk, issuer: str, **more: object) -> None:
    desk.home.configure(issuer=issuer, flow="client-credentials", client_secret={"env": "MACHINE_SECRET"}, **more)
    desk.home.environ["MACHINE_SECRET"] = CLIENT_SECRET


def tokens(provider: HostileProvider, **changes: object) -> dict[str, object]:
    """Return a token answer; its ID token is a correct one."""
    body = {
        "access_token": ACCESS_TOKEN,
        "refresh_token": REFRESH_TOKEN,
        "id_token": signing_key().sign(provider.claims(CLI)),
        "token_type": "Bearer",
        "expires_in": 3600,
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def device(provider: HostileProvider, **changes: object) -> Behaviour:
    body = {
        "device_code": DEVICE_CODE,
        "user_code": "WDJB-MJHT",
        "verification_uri": f"{provider.url}/activate",
        "expires_in": 60,
        "interval": 1,
        **changes,
    }
    return answer(body)


def signed_in(desk: Desk, provider: HostileProvider, **changes: object) -> None:
    """Sign in; the token is expired afterwards."""
    provider.script("/device/code", device(provider))
    provider.script("/token", answer(tokens(provider, **changes)))
    result = desk.run("login", "prod", **PERSON)
    assert result.code == 0, result.stderr
    caged(result.stderr)
    desk.home.expire()


# --- what a provider can do wrong -------------------------------------------------------------------------------------


def mirrored(exchange: Exchange) -> str:
    """Return all that was sent, as it was and decoded: a provider in debug mode shows it to whoever asks."""
    received = exchange.received
    fields = " ".join(f"{name}={value}" for name, value in received.fields)
    return f"{fields} {received.body.decode()} {received.headers.get('authorization', '')}"


def mirror(status: int, code: str = "invalid_request") -> Behaviour:
    def behave(exchange: Exchange) -> None:
        body = {"error": code, "error_description": mirrored(exchange), "error_uri": mirrored(exchange)}
        answer(body, status)(exchange)

    return behave


def mirror_page(status: int) -> Behaviour:
    return lambda exchange: answer(f"<html><pre>{mirrored(exchange)}", status, {"Content-Type": "text/html"})(exchange)


def mirror_code(exchange: Exchange) -> None:
    answer({"error": mirrored(exchange)}, 400)(exchange)


def mirror_headers(exchange: Exchange) -> None:
    seen = mirrored(exchange)
    headers = {"X-Request-Id": seen, "X-Correlation-Id": seen, "Retry-After": seen, "WWW-Authenticate": f"Basic {seen}"}
    answer({"error": "invalid_request"}, 400, headers)(exchange)


def mirror_location(exchange: Exchange) -> None:
    redirect(307, f"https://127.0.0.1:1/?{quote(mirrored(exchange))}")(exchange)


def mirror_status_line(exchange: Exchange) -> None:
    raw(f"HTTP/1.1 500 {mirrored(exchange)}\r\nContent-Length: 0\r\n\r\n".encode())(exchange)


def mirror_nonsense(exchange: Exchange) -> None:
    raw(f"HTTP/9.9 {mirrored(exchange)}\r\n{mirrored(exchange)}\r\n\r\n".encode())(exchange)


SHAPES: dict[str, Behaviour] = {
    "html-502": mirror_page(502),
    "html-200": mirror_page(200),
    "html": html(404),
    "half-json": half_json(),
    "half-json-mirrored": lambda exchange: answer(f'{{"access_token": "{mirrored(exchange)}')(exchange),
    "not-utf-8": garbage(),
    "empty": empty(),
    "empty-400": empty(400),
    "too-large": oversized(),
    "cut": broken_length(),
    "reset": reset(),
    "307": mirror_location,
    "error-400": mirror(400),
    "error-401": mirror(401, "invalid_client"),
    "error-403": mirror(403, "access_denied"),
    "error-500": mirror(500, "server_error"),
    "error-200": mirror(200, "invalid_grant"),
    "code": mirror_code,
    "headers": mirror_headers,
    "status-line": mirror_status_line,
    "nonsense": mirror_nonsense,
    "list": lambda exchange: answer([mirrored(exchange)])(exchange),
    "numbers": answer({"access_token": 7, "refresh_token": REFRESH_TOKEN, "id_token": [ACCESS_TOKEN]}),
    "no-bearer": answer({"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "token_type": "mac"}),
    "control": answer({"access_token": f"{ACCESS_TOKEN}\n", "token_type": "Bearer"}),
}


def mode_of(name: str) -> str:
    """Return the mode that a case of SHAPES is run in: each in one, all of them taking turns."""
    return MODES[list(SHAPES).index(name) % len(MODES)]


@pytest.mark.parametrize("authentication", ["basic", "post"])
def test_a_machine_s_secret_through_every_bad_answer(stage: Stage, authentication: str) -> None:
    def ask(name: str, shape: Behaviour) -> None:
        with stage(name) as (desk, provider):
            as_machine(desk, provider.issuer, client_authentication=authentication)
            provider.script("/token", shape)
            judge(desk.run("token", "prod", mode=mode_of(name)))
            assert [file for file in walk(desk.home.state) if CLIENT_SECRET.encode() in file.read_bytes()] == []

    each(SHAPES, ask, at_once=3)


def test_a_refresh_token_through_every_bad_answer(desk: Desk, provider: HostileProvider) -> None:
    desk.home.configure(issuer=provider.issuer, client_secret={"env": "MACHINE_SECRET"}, client_authentication="post")
    desk.home.environ["MACHINE_SECRET"] = CLIENT_SECRET
    signed_in(desk, provider)
    file = desk.home.session_file()
    content = file.read_bytes()
    for name, shape in SHAPES.items():
        file.write_bytes(content)
        for failure in desk.home.grants.glob("*.failure"):
            failure.unlink()
        provider.script("/token", shape)
        result = desk.run("token", "prod")
        try:
            judge(result)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


@pytest.mark.parametrize("path", ["/device/code", "/.well-known/openid-configuration"])
def test_a_sign_in_through_every_bad_answer(stage: Stage, path: str) -> None:
    def sign_in(name: str, shape: Behaviour) -> None:
        with stage(name) as (desk, provider):
            source = {"env": "MACHINE_SECRET"}
            desk.home.configure(issuer=provider.issuer, client_secret=source, client_authentication="post")
            desk.home.environ["MACHINE_SECRET"] = CLIENT_SECRET
            provider.script(path, shape)
            judge(desk.run("login", "prod", mode=mode_of(name), **PERSON))

    each(SHAPES, sign_in, at_once=3)


POLLS = ("error-400", "error-403", "error-200", "code", "list", "numbers", "no-bearer", "control", "half-json-mirrored")


def test_a_device_code_through_every_bad_answer(stage: Stage) -> None:
    """What may pass by itself is polled on until the code expires, 3 s here."""

    def poll(name: str, shape: Behaviour) -> None:
        with stage(name) as (desk, provider):
            provider.script("/device/code", device(provider, expires_in=3))
            provider.script("/token", shape)
            judge(desk.run("token", "prod", mode="--verbose", **PERSON))

    each({name: SHAPES[name] for name in POLLS}, poll, at_once=len(POLLS))


@pytest.mark.parametrize(
    "changes",
    [
        {"user_code": DEVICE_CODE * 4},
        {"user_code": None},
        {"verification_uri": f"javascript:{DEVICE_CODE}"},
        {"verification_uri": None},
        {"device_code": f"{DEVICE_CODE}\x1b[2J"},
    ],
    ids=["long-code", "no-code", "script", "no-uri", "escape"],
)
def test_a_device_answer_that_cannot_be_shown(
    desk: Desk, provider: HostileProvider, changes: dict[str, object]
) -> None:
    provider.script("/device/code", device(provider, **changes))
    judge(desk.run("token", "prod", mode="--verbose", **PERSON), codes={76})


def test_a_revocation_through_every_bad_answer(desk: Desk, provider: HostileProvider) -> None:
    signed_in(desk, provider)
    file = desk.home.session_file()
    content = file.read_bytes()
    for name, shape in SHAPES.items():
        file.write_bytes(content)
        file.chmod(0o600)
        provider.script("/revoke", shape)
        result = desk.run("logout", "prod")
        caged(result.stderr, result.text)
        assert "Traceback" not in result.stderr
        assert result.stdout == b""
        assert result.code in (0, 69, 77), f"{name}: {result.stderr}"  # 77: it was heard, and refused
        assert not file.exists()


@pytest.mark.parametrize("kind", ["expired", "other-host", "self-signed", "good"])
def test_a_certificate_that_is_not_trusted(desk: Desk, kind: Any) -> None:
    with HostileProvider(tls=kind) as provider:
        as_machine(desk, provider.issuer)
        for mode in MODES:
            judge(desk.run("token", "prod", mode=mode), codes={69})
        assert provider.requests == []


def test_keys_that_make_no_sense(desk: Desk, provider: HostileProvider) -> None:
    """The ID token cannot be checked, so it is not answered, and nothing of it is said."""
    signed_in(desk, provider)
    identity = signing_key("RS256", "k2").sign(provider.claims(CLI))
    for name, shape in SHAPES.items():
        provider.script("/jwks", shape)
        provider.script("/token", answer(tokens(provider, id_token=identity)))
        (metadata_folder,) = (folder for folder in desk.home.state.iterdir() if folder.name == "metadata")
        for document in metadata_folder.iterdir():
            document.unlink()
        desk.home.expire()
        result = desk.run("token", "prod", "--token", "id")
        try:
            judge(result, secrets={identity, *(s for secret in SECRETS for s in spellings(secret))})
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


# --- what people can do wrong -----------------------------------------------------------------------------------------


ARGUMENTS: list[tuple[str, ...]] = [
    ("token", f"--client-secret={PASTED}"),
    ("token", "--client-secret", PASTED),
    ("token", f"--client_secret={PASTED}", "prod"),
    ("login", f"--password={PASTED}"),
    ("login", "--password", PASTED, "prod"),
    ("login", "prod", f"--token={PASTED}"),
    ("login", f"--no-browser={PASTED}"),
    ("token", f"--verbose={PASTED}"),
    ("status", f"--json={PASTED}"),
    ("token", f"--parameter={PASTED}"),
    ("token", f"--parameter=client_secret={PASTED}"),
    ("token", f"--parameter=refresh_token={PASTED}"),
    ("token", "prod", "prod", PASTED),
    ("kubectl", PASTED),
    ("get", PASTED),
    ("kubectl", f"--api-version={PASTED}"),
    (PASTED,),
    (f"--refresh-token={PASTED}", "token"),
    ("logout", "--all", f"--client-secret={PASTED}"),
]

# git's own rule: a helper ignores an operation that it does not know, and a host that is not its own.
IGNORED = [
    (("git", PASTED), ""),
    (("get",), f"protocol=https\nhost=example.com\npassword={PASTED}\n\n"),
    ((), f"protocol=https\nhost=example.com\npassword={PASTED}\n\n"),
]


def test_a_secret_pasted_into_the_command_line_is_not_echoed(home: Home) -> None:
    """Neither by argparse nor by us; ``ps`` shows it, but no log should."""

    def paste(_name: str, argv: tuple[str, ...]) -> None:
        judge(home.run(*argv, env=NOBODY), codes={64, 65, 78})

    each({" ".join(argv): argv for argv in ARGUMENTS}, paste, at_once=3)


def test_a_secret_in_what_is_ignored_is_not_echoed(home: Home) -> None:
    for argv, lines in IGNORED:
        result = home.run(*argv, stdin=lines.encode(), env=NOBODY)
        assert (result.code, result.stdout, result.stderr) == (0, b"", "")


LINES = [
    f'client_secret = "{PASTED}"',
    f"client_secret = {PASTED}",
    f'client_secret = "{PASTED}',
    f"client_secret: {PASTED}",
    f'client_secret = {{ literal = "{PASTED}" }}',
    f'client_secret = {{ value = "{PASTED}", env = "X" }}',
    f'client_secret = ["{PASTED}"]',
    f'private_key = "{PASTED}"',
    f'password = "{PASTED}"',
    f'clientsecret = "{PASTED}"',
    f'refresh_token = "{PASTED}"',
    f'parameters = {{ client_secret = "{PASTED}" }}',
    f'parameters = {{ password = "{PASTED}" }}',
    f'parameters = "client_secret={PASTED}"',
]


def test_a_secret_written_into_the_config_file_is_not_echoed(installed: Path, tmp_path: Path) -> None:
    def write(_name: str, line: str) -> None:
        home = Home(tmp_path / str(LINES.index(line)), installed, issuer="https://login.example.com")
        config = home.folder / ".config" / "credential-helper" / "config.toml"
        config.write_text(f"{config.read_text()}{line}\n")
        for words in (("token", "prod", "--verbose"), ("status", "--verbose"), ("login", "prod")):
            result = home.run(*words, env=NOBODY)
            caged(result.stderr, result.text)
            assert "Traceback" not in result.stderr
            assert result.code in (66, 78), result.stderr

    each({line: line for line in LINES}, write, at_once=3)


REQUESTS = [
    PASTED,
    f'{{"version":1,"password":"{PASTED}"}}',
    f'{{"version":"{PASTED}"}}',
    f'{{"version":1,"refused":"{PASTED}"}}',
    f'{{"version":1,"token":"{PASTED}"}}',
    f'{{"version":1,"minimum_validity":"{PASTED}"}}',
    f'{{"version":1,"profile":"prod","secret":"{PASTED}',
    f'{{"uri":"https://x:{PASTED}@example.com"}}',
]


@pytest.mark.parametrize("how", ["get", "bare", "exec-info"])
def test_a_secret_in_a_request_is_not_echoed(home: Home, how: str) -> None:
    def ask(_name: str, request: str) -> None:
        if how == "exec-info":
            result = home.run("kubectl", env=NOBODY | {"KUBERNETES_EXEC_INFO": request})
        else:
            result = home.run(*(("get",) if how == "get" else ()), stdin=request.encode(), env=NOBODY)
        judge(result)

    each({request: request for request in REQUESTS}, ask, at_once=3)


def test_a_command_that_fails_and_prints_the_secret(desk: Desk, provider: HostileProvider, tmp_path: Path) -> None:
    script = tmp_path / "vault"
    for ending in ("exit 3", "kill -9 $$", "exit 0; more", "head -c 100000 /dev/zero"):
        script.write_text(f"#!/bin/sh\necho '{CLIENT_SECRET}'\n{ending}\n")
        script.chmod(0o700)
        provider.script("/token", mirror(401, "invalid_client"))
        desk.home.configure(
            issuer=provider.issuer,
            flow="client-credentials",
            client_secret={"command": [str(script), "--token", PASTED]},
        )
        for mode in MODES:
            judge(desk.run("token", "prod", mode=mode))


def test_secret_sources_that_are_not_there(desk: Desk, provider: HostileProvider, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CLIENT_SECRET.encode() + b"\n\xff\n")
    for source in ({"env": "UNSET"}, {"file": str(tmp_path / "none")}, {"file": str(secret)}, {"command": ["no-such"]}):
        desk.home.configure(issuer=provider.issuer, flow="client-credentials", client_secret=source)
        provider.script("/token", mirror(401, "invalid_client"))
        for mode in ("quiet", "--verbose"):
            judge(desk.run("token", "prod", mode=mode))


# --- children, processes, defects -------------------------------------------------------------------------------------

DUMP = """#!/bin/sh
{{ env; tr '\\0' ' ' </proc/$PPID/cmdline; echo; echo "$0" "$@"; }} >>{seen}
echo '{secret}'
"""


def test_no_child_sees_a_secret(desk: Desk, provider: HostileProvider, tmp_path: Path) -> None:
    """A command source, and a browser: neither in their environment nor in anybody's arguments."""
    seen = tmp_path / "seen"
    script = tmp_path / "dump"
    script.write_text(DUMP.format(seen=seen, secret=CLIENT_SECRET))
    script.chmod(0o700)
    desk.home.environ |= {
        "CREDENTIAL_HELPER_CLIENT_SECRET": PASTED,
        "CREDENTIAL_HELPER_PRIVATE_KEY": PASTED,
        "CREDENTIAL_HELPER_PASSWORD": PASTED,
        "OTHER_SECRET": PASTED,
        "BROWSER": str(script),
    }
    secret = {"command": [str(script)]}
    desk.home.configure(issuer=provider.issuer, flow="device", client_secret=secret, client_authentication="post")
    config = desk.home.folder / ".config" / "credential-helper" / "config.toml"
    other = f'[profiles.other]\nissuer = "{provider.issuer}"\nclient_id = "x"\nflow = "client-credentials"\n'
    config.write_text(f'{config.read_text()}{other}client_secret = {{ env = "OTHER_SECRET" }}\n')
    provider.script("/device/code", device(provider, verification_uri_complete=f"{provider.url}/activate?u=WDJB-MJHT"))
    provider.script("/token", answer(tokens(provider)))
    running = desk.home.run.start("login", "prod", terminal=True)
    running.wait_for(r"WDJB-MJHT")
    result = running.finish()
    assert result.code == 0, result.terminal
    caged(result.terminal)
    deadline = time.monotonic() + DEADLINE
    while "activate" not in seen.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)  # the browser is not waited for
    told = seen.read_text()
    assert "activate?u=WDJB-MJHT" in told, "the browser was not started"
    assert "HOME=" in told
    caged(told)


def test_no_argument_of_ours_is_a_secret(home: Home, oidc: OidcProvider) -> None:
    home.configure(issuer=oidc.issuer)
    home.sign_in(oidc)
    home.expire()
    oidc.fail_next("refresh_token", delay=0.6)
    running = home.run.start("token", "prod", env=NOBODY)
    lines: set[str] = set()
    while running.process.poll() is None:
        for process in [running.pid, *children(running.pid)]:
            try:
                lines.add(Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        time.sleep(0.02)
    assert running.finish().code == 0
    assert any("credential-helper" in line for line in lines)
    caged(*lines, secrets=oidc.secrets())


def children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def test_nothing_is_said_of_what_was_issued(home: Home, oidc: OidcProvider) -> None:
    """The whole life of a session under --verbose, on a terminal and in a file: every token and code stays unsaid."""
    home.configure(issuer=oidc.issuer)
    log = home.folder / "verbose.log"
    env = {"CREDENTIAL_HELPER_VERBOSE": str(log)}
    said: list[str] = []
    running = home.run.start("login", "prod", "--verbose", terminal=True, env=env)
    oidc.approve(running.wait_for(PROMPT)[1])
    said.append(running.finish().terminal)
    for words in (("status", "--verbose"), ("status", "--json"), ("refresh", "prod"), ("token", "prod"), ("logout",)):
        home.expire()
        result = home.run(*words, env=env | NOBODY)
        said.append(result.stderr)
        if words[0] == "token":
            assert result.text.strip() == oidc.issued("refresh_token")[-1].access_token
        else:
            said.append(result.text)
    assert len(oidc.secrets()) >= 7
    assert log.stat().st_size > 100
    caged(*said, log.read_text(), secrets=oidc.secrets())


BREAKS = {
    "filelock": "import os\nraise ValueError(os.environ['MACHINE_SECRET'])",
    "requests": "import os\nraise ValueError(os.environ['MACHINE_SECRET'])",
    "truststore": "import os\ndef SSLContext(*_): raise KeyError(os.environ['MACHINE_SECRET'])",
    "msgspec": "import os\nraise RuntimeError(os.environ['MACHINE_SECRET'])",
}


@pytest.mark.parametrize("module", BREAKS)
def test_a_defect_names_its_place_and_not_its_words(installed: Path, module: str, tmp_path: Path) -> None:
    """A broken package on the way, whose exception holds the secret: 70, one sentence, no traceback."""
    with HostileProvider(tls="good") as provider:
        provider.serve_metadata()
        packages = layer(installed, tmp_path / "broken")
        (packages / f"{module}.py").write_text(BREAKS[module])
        program = tmp_path / "broken" / "bin" / "credential-helper"
        desk = Desk(Home(tmp_path / "home", program, issuer=provider.issuer))
        as_machine(desk, provider.issuer, ca_file=provider.ca_file)
        for mode in MODES:
            result = desk.run("token", "prod", mode=mode)
            judge(result, codes={69, 70, 74})


# --- forged ID tokens -------------------------------------------------------------------------------------------------


def unsigned(claims: dict[str, object]) -> str:
    return jwt.encode(claims, "", algorithm="none", headers={"kid": "k1"})


def with_public_key(claims: dict[str, object]) -> str:
    """Sign with the public key as the secret of an HMAC, the oldest trick of all."""
    header, payload = ({"alg": "HS256", "kid": "k1", "typ": "JWT"}, claims)
    text = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, payload)
    )
    secret = json.dumps(signing_key().jwk()).encode()
    signature = base64.urlsafe_b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")
    return f"{text}.{signature}"


def bent(token: str) -> str:
    """Change one claim and keep the signature."""
    header, _, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False}) | {"email": "eve@example.com"}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{header}.{payload}.{signature}"


FORGERIES: dict[str, Callable[[HostileProvider], str]] = {
    "another-key": lambda p: signing_key("RS256", "other").sign(p.claims(CLI), kid="k1"),
    "none": lambda p: unsigned(p.claims(CLI)),
    "hmac": lambda p: with_public_key(p.claims(CLI)),
    "bent": lambda p: bent(signing_key().sign(p.claims(CLI))),
    "audience": lambda p: signing_key().sign(p.claims("somebody-else")),
    "issuer": lambda p: signing_key().sign(p.claims(CLI, iss="https://evil.example.com")),
    "azp": lambda p: signing_key().sign(p.claims(CLI, aud=[CLI, "other"], azp="other")),
    "expired": lambda p: signing_key().sign(p.claims(CLI, exp=int(time.time()) - 3600, iat=int(time.time()) - 7200)),
    "no-subject": lambda p: signing_key().sign(p.claims(CLI, sub=None)),
    "own-key": lambda p: signing_key("RS256", "k9").sign(p.claims(CLI), jwk=signing_key("RS256", "k9").jwk()),
}


# These prove nothing, so they say nothing against the access token that came with them; who signed in is not known.
PROVE_NOTHING = ("none", "hmac", "expired", "no-subject")


def get_the_access_token(desk: Desk, *commands: tuple[str, ...], secrets: set[str]) -> None:
    """Run commands that need no ID token; none of them may say one of these secrets."""
    for words in commands:
        result = desk.run(*words)
        assert result.code == 0, result.stderr
        assert ACCESS_TOKEN in result.text
        caged(result.stderr, result.text, secrets=secrets)


def test_a_forged_id_token_at_a_sign_in_is_answered_by_no_call(stage: Stage) -> None:
    """One whose key nobody has published stays unverified, for a provider that publishes it late."""

    def sign_in(name: str, forge: Callable[[HostileProvider], str]) -> None:
        with stage(name) as (desk, provider):
            forged = forge(provider)
            provider.script("/device/code", device(provider))
            provider.script("/token", answer(tokens(provider, id_token=forged)), oauth_error("invalid_grant"))
            secrets = {forged, forged.split(".")[1], ACCESS_TOKEN, REFRESH_TOKEN}
            judge(desk.run("kubectl", mode="--verbose", **PERSON), codes={77}, secrets=secrets)
            for words in (("kubectl",), ("token", "prod", "--token", "id")):
                judge(desk.run(*words), codes={66, 77}, secrets=secrets)
            if name in PROVE_NOTHING:
                get_the_access_token(desk, ("token", "prod"), ("get",), secrets={forged, REFRESH_TOKEN})
            else:
                judge(desk.run("token", "prod"), codes={66, 77}, secrets=secrets)
                judge(desk.run("get"), codes={66, 77}, secrets=secrets)
            kept = b"".join(file.read_bytes() for file in walk(desk.home.state))
            marked = name in (*PROVE_NOTHING, "own-key")  # kept unverified, which the calls above were not answered
            assert (forged.encode() in kept, ACCESS_TOKEN.encode() in kept) == (marked, marked)

    each(FORGERIES, sign_in, at_once=5)


def test_a_forged_id_token_at_a_refresh_is_answered_by_no_call(stage: Stage) -> None:
    """A key that does not explain a signature is looked for once in 5 minutes; until then nothing can be said: 69."""

    def refresh(name: str, forge: Callable[[HostileProvider], str]) -> None:
        with stage(name) as (desk, provider):
            signed_in(desk, provider)
            forged = forge(provider)
            provider.script("/token", answer(tokens(provider, id_token=forged)), oauth_error("invalid_grant"))
            unknown = name in ("own-key", "another-key", "bent")
            secrets = {forged, ACCESS_TOKEN, REFRESH_TOKEN}
            judge(desk.run("kubectl", mode="--verbose"), codes={69 if unknown else 77}, secrets=secrets)
            for words in (("kubectl",), ("token", "prod", "--token", "id")):
                judge(desk.run(*words), codes={69} if unknown else {66, 77}, secrets=secrets)
            if name in PROVE_NOTHING:
                get_the_access_token(desk, ("token", "prod"), secrets={forged, REFRESH_TOKEN})
            elif not unknown:
                judge(desk.run("token", "prod"), codes={66, 77}, secrets=secrets)

    another: dict[str, Callable[[HostileProvider], str]] = {
        "another-person": lambda p: signing_key().sign(p.claims(CLI, sub="eve"))
    }
    each(FORGERIES | another, refresh, at_once=5)


def test_a_forged_id_token_that_nobody_asked_for_is_checked_before_it_is_answered(
    desk: Desk, provider: HostileProvider
) -> None:
    """A refresh for the access token keeps the ID token unchecked; whoever wants that one hears no, again and again."""
    signed_in(desk, provider)
    forged = FORGERIES["another-key"](provider)
    provider.script("/token", answer(tokens(provider, id_token=forged)), oauth_error("invalid_grant"))
    result = desk.run("token", "prod", mode="--verbose")
    assert (result.code, result.text.strip()) == (0, ACCESS_TOKEN)
    caged(result.stderr)
    for words in (("token", "prod", "--token", "id"), ("kubectl",), ("token", "prod", "--token", "id")):
        judge(desk.run(*words), codes={69}, secrets={forged, ACCESS_TOKEN})


def test_an_id_token_that_could_not_be_checked_is_checked_by_the_next_call(
    desk: Desk, provider: HostileProvider
) -> None:
    """No keys at the sign-in: the access token with a warning, the ID token not at all; then the keys say: forged."""
    forged = FORGERIES["another-key"](provider)
    provider.script("/jwks", html(503))
    provider.script("/device/code", device(provider))
    provider.script("/token", answer(tokens(provider, id_token=forged)), oauth_error("invalid_grant"))
    judge(desk.run("kubectl", mode="quiet", **PERSON), codes={69}, secrets={forged, ACCESS_TOKEN})
    for failure in desk.home.grants.glob("*.failure"):
        failure.unlink()
    result = desk.run("token", "prod", mode="quiet")
    assert (result.code, result.text.strip()) == (0, ACCESS_TOKEN), result.stderr
    assert "not verified" in result.stderr
    caged(result.stderr, secrets={forged, ACCESS_TOKEN})
    provider.serve_keys(signing_key())
    for failure in desk.home.grants.glob("*.failure"):
        failure.unlink()
    judge(desk.run("token", "prod"), codes={77}, secrets={forged, ACCESS_TOKEN})
    for words in (("kubectl",), ("token", "prod"), ("kubectl",)):
        judge(desk.run(*words), codes={66, 77}, secrets={forged, ACCESS_TOKEN})
    result = desk.run("token", "prod", "--token", "id")
    judge(result, codes={66, 77}, secrets={forged, ACCESS_TOKEN})
