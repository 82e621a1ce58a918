"""The browser flow: a real Chromium, the real provider, and the installed program with its listener between them.

$BROWSER is a script that notes every address that it is given, so that tabs can be counted, and hands it to Chromium
where a test has one. Elsewhere the person is a few lines of HTTP: the provider's pages are off, and whoever comes to it
is ada, so following its redirects is all that a browser would do. Who else knocks at the listener uses bare sockets.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from integration.clients.chromium import Chromium
from integration.clients.programs import Kubectl, Runner
from integration.clients.real import need
from integration.scenes import sign_ins
from integration.scenes.browsers import Asked, Begin, Tabs, by_browser, closed_session
from integration.scenes.clusters import Cluster
from integration.scenes.homes import walk
from integration.scenes.private_keys import keep, written
from integration.scenes.sign_ins import CLOSING, Value, asked, gone, person, wait_until, write_profiles
from integration.servers.git_server import GitServer
from integration.servers.hostile_provider import signing_key
from integration.servers.kube_api import POD, KubeApi
from integration.servers.oidc import (
    ADA,
    AUDIENCE,
    CLI_BROWSER,
    CLI_BROWSER_CONFIDENTIAL,
    ODD_SECRET,
    PASSWORD,
    Face,
    OidcProvider,
)
from integration.servers.registry import FakeDaemon
from integration.servers.tls import Authority
from tests.helpers.programs import CHECKOUT, DEADLINE, Launcher, Running

SELF = "signing in to prod"  # what a prompt says when no other tool asks
SIGNED_IN = "Signed in"  # the titles of the listener's pages
FAILED = "The sign-in did not work"
# Auth0 as the program knows it, but for the fixed port, which another test run may have taken.
AUTH0: dict[str, Value] = {"provider": "auth0", "redirect_uri": "http://127.0.0.1/callback"}


# --- the person's side ------------------------------------------------------------------------------------------------


def get(url: str, method: str = "GET", **headers: str) -> requests.Response:
    with closed_session() as session:
        return session.request(method, url, headers=headers, timeout=30, allow_redirects=False)


def prompt(
    face: Face, wanted: Asked, *, asks: str = SELF, because: str = "", opened: bool = True, ssh: bool = False
) -> str:
    """Return the browser flow's prompt as a regular expression: every line, nothing but lines."""
    lines = [
        re.escape(f"credential-helper: {asks} ({face.host})"),
        r"  for (\S+: )?openid profile email offline_access",
        *([f"  in a browser, because {because}"] if because else []),
        re.escape(f"  open  {wanted.url}"),
        *([r"  \(a browser has been asked to show it\)"] if opened else _way_back(wanted, ssh=ssh)),
        r"  within \d+ minutes; Ctrl-C stops",
        r"  go on only if you started this",
    ]
    return "".join(line + "\n" for line in lines)


def prompt_text(face: Face, wanted: Asked, *, because: str) -> str:
    """Return what an editor gets on stderr."""
    return (
        f"credential-helper: {SELF} ({face.host})\n"
        f"  for {AUDIENCE}: openid profile email offline_access\n"
        f"  in a browser, because {because}\n"
        f"  open  {wanted.url}\n"
        "  (a browser has been asked to show it)\n"
        "  within 5 minutes; Ctrl-C stops\n"
        "  go on only if you started this\n"
    )


def _way_back(wanted: Asked, *, ssh: bool) -> list[str]:
    forward = rf"    ssh -L {wanted.port}:127\.0\.0\.1:{wanted.port} {re.escape(os.uname().nodename)}"
    first = f"  it comes back to port {wanted.port} here"
    return [
        *([f"{first}; where the browser is, forward that with", forward] if ssh else [first]),
        "  or paste the final address here, which is not shown",
    ]


def sign_in_with(chromium: Chromium, *, shots: Path | None = None) -> None:
    """Fill in the provider's two pages."""
    chromium.wait_for("#password")
    chromium.type("#username", "ada")
    if shots is not None:
        chromium.screenshot(shots / "1-sign-in.png")
    chromium.type("#password", PASSWORD)
    chromium.click("#sign-in")
    chromium.wait_for("#scopes")
    if shots is not None:
        chromium.screenshot(shots / "2-consent.png")
    chromium.click("#allow")


def no_leftovers(home: dict[str, str]) -> None:
    """Check that no prompt and no unfinished file is left."""
    state = Path(home["XDG_STATE_HOME"], "credential-helper")
    assert [file.name for file in walk(state) if file.suffix in (".prompt", ".new")] == []


@pytest.fixture
def cluster(
    tmp_path: Path,
    kube_api: KubeApi,
    launch: Launcher,
    kubectl: Kubectl,
    run: Runner,
    oidc: OidcProvider,
    home: dict[str, str],
    tabs: Tabs,  # noqa: ARG001 - $BROWSER
) -> Cluster:
    """Return a cluster that wants a sign-in with a browser."""
    write_profiles(home, prod=by_browser(oidc))
    return Cluster(tmp_path, kube_api, launch, kubectl, run)


def token_of(face: Face) -> str:
    """Return the access token of the only exchange."""
    [issued] = face.issued("authorization_code")
    assert issued.access_token is not None
    return issued.access_token


# --- a real browser ---------------------------------------------------------------------------------------------------


def test_a_real_browser_completes_the_code_flow(
    begin: Begin, oidc: OidcProvider, home: dict[str, str], tabs: Tabs, chromium: Chromium, artefacts: Path
) -> None:
    oidc.configure(pages=True)
    tabs.hand_to(chromium)
    running, wanted = begin()

    sign_in_with(chromium, shots=artefacts)
    shown = chromium.wait_for_text(SIGNED_IN)
    chromium.screenshot(artefacts / "3-signed-in.png")
    done = running.finish()

    assert chromium.title == SIGNED_IN
    assert shown.splitlines() == [SIGNED_IN, "You can close this tab."]
    assert chromium.loaded == []
    assert chromium.tabs == 1
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")
    assert re.fullmatch(prompt(oidc, wanted) + CLOSING, done.terminal)
    counts = oidc.counts()
    assert counts == {"discovery": 1, "authorization": 1, "token": 1, "authorization_code": 1, "jwks": 1}
    [asking] = oidc.requests("authorization")
    assert asking.fields["code_challenge_method"] == "S256"
    assert asking.fields["prompt"] == "consent"  # or there is no refresh token (OpenID Connect Core §11)
    [exchange] = oidc.requests("authorization_code")
    assert exchange.fields["redirect_uri"] == wanted.redirect_uri
    assert wanted.redirect_uri == f"http://127.0.0.1:{wanted.port}/callback"
    assert wanted.gone
    no_leftovers(home)


def test_a_real_browser_signs_in_at_auth0_over_https(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs, chromium: Chromium
) -> None:
    face = oidc.auth0_tls
    face.configure(pages=True)
    assert face.ca_file is not None
    write_profiles(home, prod=by_browser(face, ca_file=face.ca_file, account=ADA, **AUTH0))
    tabs.hand_to(chromium)
    running = run.start("login", "prod", terminal=True)
    wanted = tabs.wait()
    assert wanted.parameters["login_hint"] == ADA
    assert wanted.parameters["audience"] == AUDIENCE
    assert "prompt" not in wanted.parameters  # a second consent at each sign-in
    chromium.wait_for("#password")
    assert chromium.run("return document.getElementById('username').value") == ADA
    sign_in_with(chromium)
    chromium.wait_for_text(SIGNED_IN)
    done = running.finish()
    assert (done.code, done.stdout) == (0, b"")
    assert re.search(CLOSING, done.terminal)
    assert run("token", "prod").text == f"{token_of(face)}\n"


def test_cancel_in_a_real_browser_is_a_refusal(
    begin: Begin, run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs, chromium: Chromium, artefacts: Path
) -> None:
    oidc.configure(pages=True)
    tabs.hand_to(chromium)
    running, wanted = begin()
    chromium.type("#username", "ada")
    chromium.type("#password", PASSWORD)
    chromium.click("#sign-in")
    chromium.wait_for("#scopes")
    chromium.click("#cancel")
    shown = chromium.wait_for_text(FAILED)
    chromium.screenshot(artefacts / "4-refused.png")
    done = running.finish()

    assert shown.splitlines() == [FAILED, "The terminal says why. You can close this tab."]
    assert (done.code, done.stdout) == (77, b"")
    assert re.search(rf"^credential-helper: prod: .*declined at {re.escape(oidc.host)}", done.terminal, re.MULTILINE)
    assert wanted.gone
    assert "token" not in oidc.counts()
    no_leftovers(home)

    again = run("token", "prod", terminal=True)  # and nobody is bothered a second time
    assert again.code == 77
    assert len(tabs.opened) == 1
    assert re.search(r"\d+ s ago, and credential-helper login prod asks again", again.terminal)


def test_a_wrong_password_in_a_real_browser_is_between_it_and_the_provider(
    begin: Begin, oidc: OidcProvider, tabs: Tabs, chromium: Chromium
) -> None:
    oidc.configure(pages=True)
    tabs.hand_to(chromium)
    running, _ = begin()
    chromium.type("#username", "ada")
    chromium.type("#password", "wrong")
    chromium.click("#sign-in")
    chromium.wait_for("#wrong")
    sign_in_with(chromium)
    chromium.wait_for_text(SIGNED_IN)
    assert running.finish().code == 0


def test_a_browser_leaves_nothing_behind_even_when_a_test_fails() -> None:
    with pytest.raises(ZeroDivisionError), Chromium() as chromium:
        chromium.open("about:blank")
        assert chromium.processes
        assert chromium.folder.exists()
        raise ZeroDivisionError
    assert chromium.processes == []
    assert not chromium.folder.exists()


def test_a_browser_does_not_outlive_a_pytest_that_was_killed() -> None:
    need("chromium")
    need("chromedriver")
    code = "import time; from integration.clients.chromium import Chromium; browser = Chromium().start()\n"
    code += "print(browser.folder, *browser.processes, flush=True); time.sleep(300)"
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout:
        folder, *processes = starter.stdout.readline().split()
    starter.kill()
    starter.wait(DEADLINE)
    assert len(processes) > 2
    wait_until(lambda: not Path(folder).exists(), "the watchman's end")
    assert all(gone(int(pid)) for pid in processes)


# --- our page ---------------------------------------------------------------------------------------------------------


def test_the_page_holds_nothing_from_outside(begin: Begin, oidc: OidcProvider) -> None:
    running, wanted = begin()
    callback = wanted.authorize()
    page = get(f"{callback}&name=%3Cscript%3Ealert(1)%3C/script%3E&canary=caw")
    assert running.finish().code == 0
    assert page.status_code == 200
    for text in (page.text, str(page.headers)):
        for value in (*parse_qs(urlsplit(callback).query), "caw", "alert", oidc.host, str(wanted.port)):
            for said in parse_qs(urlsplit(callback).query).get(value, [value] if value in ("caw", "alert") else []):
                assert said not in text
    assert not re.search(r"\b(src|href|action|url|import|script|iframe|img|link)\b", page.text)
    assert "http" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert "Location" not in page.headers
    assert "Set-Cookie" not in page.headers


def test_the_page_does_not_say_signed_in_before_it_is_true(begin: Begin, oidc: OidcProvider) -> None:
    oidc.fail_next("authorization_code", status=400, body={"error": "invalid_grant"})
    running, wanted = begin()
    page = wanted.visit()
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "invalid_grant" in done.terminal
    assert FAILED in page.text
    assert SIGNED_IN not in page.text


def test_an_id_token_that_fails_its_check_fails_the_page_too(begin: Begin, run: Runner) -> None:
    running, wanted = begin()
    page = get(wanted.with_nonce("n" * 43).authorize())
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "nonce" in done.terminal
    assert FAILED in page.text
    assert run("token", "prod").stdout == b""


def test_another_nonce_is_refused_where_the_keys_cannot_be_had_either(
    begin: Begin, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    """A refresh brings an ID token without a nonce (OpenID Connect Core §12.2): it proves nothing about the sign-in."""
    oidc.fail_next("jwks", times=None, status=503)
    running, wanted = begin()
    get(wanted.with_nonce("n" * 43).authorize())
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "answers another request (nonce)" in done.terminal
    [issued] = oidc.issued("authorization_code")
    oidc.clear_faults()
    done = run("refresh", "prod")
    assert (done.code, done.stdout) == (66, b"")
    assert "refresh_token" not in oidc.counts()
    assert run("token", "prod").stdout == b""
    kept = [file.read_bytes() for file in walk(Path(home["XDG_STATE_HOME"]))]
    assert not [token for token in (issued.access_token, issued.id_token) if (token or "?").encode() in b"".join(kept)]
    assert run("logout", "prod").code == 0
    assert oidc.refresh_tokens() == []  # kept until here, so that it could be revoked


def test_somebody_else_s_sign_in_is_refused(begin: Begin, oidc: OidcProvider) -> None:
    running, wanted = begin(account="bob@example.com")
    page = wanted.visit()
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "signed in as ada@example.com, but profile prod is for bob@example.com" in done.terminal
    assert FAILED in page.text
    assert oidc.refresh_tokens() == []


# --- one tab ----------------------------------------------------------------------------------------------------------

FIVE = 'for i in 1 2 3 4 5; do { "$@" >$i.out; echo $? >$i.code; } & done; wait'


def five(folder: Path, launch: Launcher, *argv: str) -> Running:
    """Start the same command five times on one terminal."""
    return launch.start([need("sh"), "-c", FIVE, "five", *argv], cwd=folder, terminal=True)


def test_five_helpers_on_one_terminal_open_one_tab(
    tmp_path: Path, launch: Launcher, run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    write_profiles(home, prod=by_browser(oidc))
    running = five(tmp_path, launch, str(run.executable), "token", "prod")
    wanted = tabs.wait()
    time.sleep(1.5)  # for the last of them to be waiting
    assert SIGNED_IN in wanted.visit().text
    done = running.finish()
    assert [file.read_text() for file in tmp_path.glob("*.code")] == ["0\n"] * 5
    assert [file.read_text() for file in tmp_path.glob("*.out")] == [f"{token_of(oidc)}\n"] * 5
    assert tabs.opened == [wanted.url]
    assert re.fullmatch(prompt(oidc, wanted) + CLOSING, done.terminal)
    counts = oidc.counts()
    assert counts == {"discovery": 1, "authorization": 1, "token": 1, "authorization_code": 1, "jwks": 1}


def test_five_terminals_show_one_address_and_open_one_tab(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    write_profiles(home, prod=by_browser(oidc))
    running = [run.start("token", "prod", terminal=True) for _ in range(5)]
    wanted = tabs.wait()
    for one in running:
        one.wait_for("go on only if you started this", where="terminal")
    assert SIGNED_IN in wanted.visit().text
    ended = [one.finish() for one in running]
    assert {(done.code, done.text) for done in ended} == {(0, f"{token_of(oidc)}\n")}
    assert tabs.opened == [wanted.url]
    shown = sorted(done.terminal for done in ended)
    assert sum("a browser has been asked to show it" in screen for screen in shown) == 1
    assert all(wanted.url in screen for screen in shown)
    assert oidc.counts()["authorization_code"] == 1


def test_five_kubectls_open_one_tab(
    cluster: Cluster,
    tmp_path: Path,
    kube_api: KubeApi,
    launch: Launcher,
    oidc: OidcProvider,
    tabs: Tabs,
    chromium: Chromium,
) -> None:
    oidc.configure(pages=True)
    tabs.hand_to(chromium)
    running = five(tmp_path, launch, *cluster.command, "get", "pods")
    wanted = tabs.wait()
    wait_until(lambda: len(cluster.calls) == 5, "every kubectl runs its helper")
    sign_in_with(chromium)
    chromium.wait_for_text(SIGNED_IN)
    done = running.finish(60.0)
    assert [file.read_text() for file in tmp_path.glob("*.code")] == ["0\n"] * 5
    assert all(POD in file.read_text() for file in tmp_path.glob("*.out"))
    assert tabs.opened == [wanted.url]
    assert chromium.tabs == 1
    assert re.fullmatch(prompt(oidc, wanted, asks="kubectl needs a sign-in to prod") + CLOSING, done.terminal)
    counts = oidc.counts()
    assert (counts["authorization"], counts["authorization_code"]) == (1, 1)
    assert len(kube_api.tokens()) == 1


def test_two_sign_ins_on_one_terminal_open_a_tab_each_in_turn(
    tmp_path: Path, launch: Launcher, run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    write_profiles(home, prod=by_browser(oidc), other=by_browser(oidc, audience="https://other.example.com"))
    both = "for name in prod other; do { $0 token $name >$name; echo $? >$name.code; } & done; wait"
    running = launch.start([need("sh"), "-c", both, run.executable], cwd=tmp_path, terminal=True)
    first = tabs.wait()
    time.sleep(1.0)
    assert tabs.opened == [first.url]
    first.visit()
    tabs.wait(2).visit()
    running.finish()
    assert [(tmp_path / f"{name}.code").read_text() for name in ("prod", "other")] == ["0\n", "0\n"]
    assert oidc.counts()["authorization_code"] == len(tabs.opened) == 2


def declined(wanted: Asked, face: Face) -> requests.Response:
    return get(wanted.callback(error="access_denied", state=wanted.state, iss=face.issuer))


def of_another_issuer(wanted: Asked, _face: Face) -> requests.Response:
    return get(wanted.callback(code="stolen", state=wanted.state, iss="https://evil.example"))


def of_another_person(wanted: Asked, _face: Face) -> requests.Response:
    return wanted.visit()  # ada


def without_an_answer(wanted: Asked, face: Face) -> requests.Response:
    face.fail_next("authorization_code", times=None, status=200, body="<html>welcome</html>")
    return wanted.visit()


def with_another_nonce(wanted: Asked, _face: Face) -> requests.Response:
    return get(wanted.with_nonce("n" * 43).authorize())


@pytest.mark.parametrize(
    ("trouble", "sentence", "more"),
    [
        (declined, "declined at HOST", {}),
        (of_another_issuer, "the browser brought an answer of another issuer", {}),
        (of_another_person, "signed in as ada@example.com, but", {"account": "bob@example.com"}),
        (without_an_answer, "HOST answered 200 with an HTML page", {}),
        (with_another_nonce, "the ID token of HOST answers another request (nonce)", {}),
    ],
    ids=["declined", "another issuer", "another person", "HTML", "another nonce"],
)
def test_what_went_wrong_is_said_once_although_kubectl_asks_five_times(
    cluster: Cluster,
    oidc: OidcProvider,
    home: dict[str, str],
    tabs: Tabs,
    trouble: Callable[[Asked, Face], requests.Response],
    sentence: str,
    more: dict[str, Value],
) -> None:
    """A browser that is signed in already comes back at once, and would do so five times."""
    write_profiles(home, prod=by_browser(oidc, **more))
    running = cluster.start("get", "pods", terminal=True)
    page = trouble(tabs.wait(), oidc)
    done = running.finish(60.0)
    assert FAILED in page.text
    assert (done.code, done.stdout) == (1, b"")
    assert len(cluster.calls) == 5
    assert len(tabs.opened) == 1
    said = [line for line in done.terminal.splitlines() if line.startswith("credential-helper: prod: ")]
    assert len(said) == 1
    assert said[0].startswith(f"credential-helper: prod: {sentence.replace('HOST', oidc.host)}")


# --- who else knocks at the listener ----------------------------------------------------------------------------------

Nuisance = Callable[[Asked], None]


def refused(answer: requests.Response) -> None:
    """Check that an answer is the page for whoever has no business here."""
    assert answer.status_code == 404
    assert SIGNED_IN not in answer.text
    assert FAILED not in answer.text


def favicon(wanted: Asked) -> None:
    refused(get(f"http://{wanted.host}:{wanted.port}/favicon.ico"))


def another_path(wanted: Asked) -> None:
    for path in ("/", "/callback/", "/callback/x", "/CALLBACK", "//callback", "/x/../callback"):
        query = urlencode({"code": "stolen", "state": wanted.state})
        with wanted.connect() as knock:
            knock.sendall(f"GET {path}?{query} HTTP/1.1\r\nHost: {wanted.host}:{wanted.port}\r\n\r\n".encode())
            assert knock.recv(4096).startswith(b"HTTP/1.1 404 ")


def wrong_state(wanted: Asked) -> None:
    for state in ("", "x", wanted.state[:-1], wanted.state + "x", wanted.state.swapcase()):
        refused(get(wanted.callback(code="stolen", state=state)))
    refused(get(wanted.callback(code="stolen")))
    refused(get(wanted.callback()))


def denied_by_a_stranger(wanted: Asked) -> None:
    refused(get(wanted.callback(error="access_denied", state="x")))
    refused(get(wanted.callback(error="access_denied")))


def twice_the_same_parameter(wanted: Asked) -> None:
    refused(get(f"{wanted.callback(code='stolen', state=wanted.state)}&state={wanted.state}"))
    refused(get(f"{wanted.callback(code='stolen', state=wanted.state)}&code=stolen"))


def another_method(wanted: Asked) -> None:
    url = wanted.callback(code="stolen", state=wanted.state)
    for method in ("POST", "HEAD", "OPTIONS", "PUT"):
        assert get(url, method).status_code == 404


def another_host(wanted: Asked) -> None:
    """A page of evil.example whose name has been pointed at 127.0.0.1."""
    refused(get(wanted.callback(code="stolen", state=wanted.state), Host=f"evil.example:{wanted.port}"))


def port_scan(wanted: Asked) -> None:
    for _ in range(50):
        wanted.connect().close()
    for _ in range(50):  # with a reset
        with wanted.connect() as knock:
            knock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def not_http(wanted: Asked) -> None:
    for words in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 4096, b"SSH-2.0-scan\r\n", b"GET\r\n\r\n"):
        with wanted.connect() as knock:
            knock.sendall(words)


def endless_line(wanted: Asked) -> None:
    with wanted.connect() as knock, contextlib.suppress(ConnectionError):
        knock.sendall(b"GET /")
        for _ in range(64):
            knock.sendall(b"a" * 65536)


NUISANCES: dict[str, Nuisance] = {
    "favicon": favicon,
    "another path": another_path,
    "wrong state": wrong_state,
    "denied by a stranger": denied_by_a_stranger,
    "twice the same parameter": twice_the_same_parameter,
    "another method": another_method,
    "another host": another_host,
    "port scan": port_scan,
    "not HTTP": not_http,
    "endless line": endless_line,
}


@pytest.mark.parametrize("nuisance", NUISANCES.values(), ids=NUISANCES)
def test_the_listener_survives(begin: Begin, oidc: OidcProvider, tabs: Tabs, nuisance: Nuisance) -> None:
    running, wanted = begin()
    nuisance(wanted)
    assert running.process.poll() is None
    assert SIGNED_IN in wanted.visit().text
    done = running.finish()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")
    assert re.fullmatch(prompt(oidc, wanted) + CLOSING, done.terminal)
    assert wanted.gone
    assert tabs.opened == [wanted.url]
    assert oidc.counts()["authorization_code"] == 1


def test_the_listener_survives_slow_connections_in_great_number(begin: Begin, oidc: OidcProvider) -> None:
    """Slow-loris: each of them sends a byte now and then, and never ends its request."""
    running, wanted = begin()
    enough = threading.Event()

    def dribble() -> None:
        with wanted.connect() as knock, contextlib.suppress(ConnectionError, TimeoutError):
            knock.sendall(b"GET /callback?code=")
            while not enough.wait(0.1):
                knock.sendall(b"a")

    with ThreadPoolExecutor(64) as pool:
        for _ in range(64):
            pool.submit(dribble)
        time.sleep(0.5)
        try:
            assert SIGNED_IN in wanted.visit().text
            done = running.finish()
        finally:
            enough.set()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")
    assert wanted.gone


def test_silent_connections_are_in_nobody_s_way(begin: Begin) -> None:
    """Browsers open connections in advance, and may never use them."""
    running, wanted = begin()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(wanted.connect())
        assert SIGNED_IN in wanted.visit().text
        done = running.finish()
    assert done.code == 0


def test_a_callback_that_comes_again_exchanges_nothing_twice(begin: Begin, oidc: OidcProvider) -> None:
    oidc.fail_next("authorization_code", delay=3.0)
    running, wanted = begin()
    callback = wanted.authorize()
    with ThreadPoolExecutor(3) as pool:
        pages = [page.result() for page in [pool.submit(get, callback) for _ in range(3)]]
    done = running.finish()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")
    assert all(SIGNED_IN in page.text for page in pages)
    assert oidc.counts()["authorization_code"] == 1
    with pytest.raises(requests.ConnectionError):
        get(callback)


def test_the_code_of_another_sign_in_is_refused(begin: Begin, run: Runner, oidc: OidcProvider) -> None:
    """Even with the right state: its code was bound to another verifier (RFC 7636 §7.1), and is spent."""
    first, wanted = begin()
    spent = parse_qs(urlsplit(wanted.visit().url).query)["code"][0]
    assert first.finish().code == 0
    assert run("logout", "prod").code == 0

    running, wanted = begin()
    page = get(wanted.callback(code=spent, state=wanted.state, iss=oidc.issuer))
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "invalid_grant" in done.terminal
    assert FAILED in page.text
    assert run("token", "prod").stdout == b""


def test_a_callback_of_another_issuer_is_refused(begin: Begin, oidc: OidcProvider) -> None:
    """RFC 9207 §2.4: the code never goes to the token endpoint."""
    running, wanted = begin()
    page = get(wanted.callback(code="stolen", state=wanted.state, iss="https://evil.example"))
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "the browser brought an answer of another issuer (https://evil.example)" in done.terminal
    assert FAILED in page.text
    assert wanted.gone
    assert "token" not in oidc.counts()


# --- the wait ends ----------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_wait(begin: Begin, oidc: OidcProvider, home: dict[str, str]) -> None:
    running, wanted = begin()
    running.wait_for("Ctrl-C stops")
    assert not wanted.gone
    running.type(b"\x03")
    done = running.finish()
    assert (done.code, done.stdout) == (130, b"")
    assert "Traceback" not in done.terminal
    assert wanted.gone
    no_leftovers(home)
    assert "token" not in oidc.counts()


def test_ctrl_c_during_the_wait_of_kubectl(cluster: Cluster, home: dict[str, str], tabs: Tabs) -> None:
    running = cluster.start("get", "pods", terminal=True)
    wanted = tabs.wait()
    running.type(b"\x03")
    running.finish()
    wait_until(lambda: wanted.gone, "the listener's end")
    wait_until(
        lambda: not [file for file in walk(Path(home["XDG_STATE_HOME"])) if file.suffix == ".prompt"], "no prompt"
    )
    assert len(tabs.opened) == 1


def test_when_kubectl_is_killed_the_listener_ends(cluster: Cluster, launch: Launcher, tabs: Tabs) -> None:
    # A job of an interactive shell: kubectl's end hangs up no terminal, so nothing tells the helper of it.
    shell = launch.start([need("bash"), "--norc", "--noprofile", "-i"], terminal=True, stdin=None, env={"PS1": "$ "})
    shell.type(" ".join([*cluster.command, "get", "pods"]).encode() + b"\r")
    wanted = tabs.wait()
    [(helper, parent)] = cluster.calls
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: gone(helper), "the helper's end")
    assert wanted.gone


def test_a_browser_that_stays_inherits_nothing_of_the_listener(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tmp_path: Path
) -> None:
    write_profiles(home, prod=by_browser(oidc))
    browser, descriptors = tmp_path / "stays", tmp_path / "descriptors"
    browser.write_text(
        f"#!/bin/sh\nls -l /proc/self/fd >'{tmp_path}/new'; mv '{tmp_path}/new' '{descriptors}'; exec sleep 5\n"
    )
    browser.chmod(0o700)
    home["BROWSER"] = str(browser)
    running = run.start("token", "prod", terminal=True)
    wanted = Asked(running.wait_for(r"(?m)^  open  (\S+)\n", where="terminal")[1])
    assert SIGNED_IN in wanted.visit().text
    assert running.finish().code == 0
    assert wanted.gone
    wait_until(descriptors.exists, "the browser's list")
    assert "socket:" not in descriptors.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_killed_holder_is_followed_by_a_new_tab(begin: Begin, oidc: OidcProvider, number: signal.Signals) -> None:
    running, first = begin()
    running.signal(number)
    running.process.wait(DEADLINE)
    assert first.gone

    after, second = begin()
    assert second.state != first.state
    assert second.parameters["nonce"] != first.parameters["nonce"]
    assert second.parameters["code_challenge"] != first.parameters["code_challenge"]
    assert SIGNED_IN in second.visit().text
    done = after.finish()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")
    assert re.fullmatch(prompt(oidc, second) + CLOSING, done.terminal)


def test_who_waited_behind_a_killed_holder_opens_a_tab_of_its_own(
    begin: Begin, run: Runner, oidc: OidcProvider, tabs: Tabs
) -> None:
    leader, first = begin()
    waiter = run.start("token", "prod", terminal=True)
    waiter.wait_for(re.escape(first.url), where="terminal")
    leader.signal(signal.SIGKILL)
    leader.process.wait(DEADLINE)
    second = tabs.wait(2)
    assert second.state != first.state
    waiter.wait_for(re.escape(second.url), where="terminal")
    assert SIGNED_IN in second.visit().text
    done = waiter.finish()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")


def test_a_killed_holder_is_no_sign_in_that_is_under_way(
    begin: Begin, run: Runner, oidc: OidcProvider, tabs: Tabs
) -> None:
    """Its prompt asks nobody: who waits behind the next holder, which refreshes slowly, is not sent to it."""
    oidc.configure(access_token_ttl=3, id_token_ttl=3)
    running, wanted = begin()
    wanted.visit()
    assert running.finish().code == 0
    login = run.start("login", "prod", terminal=True)
    tabs.wait(2)
    login.wait_for("Ctrl-C stops")
    login.signal(signal.SIGKILL)
    login.process.wait(DEADLINE)

    oidc.reset_counts()
    oidc.configure(access_token_ttl=3600, id_token_ttl=3600)
    oidc.fail_next("refresh_token", delay=8.0)  # longer than anybody waits for a person who is asked elsewhere
    time.sleep(3.0)  # the tokens end
    holder = run.start("token", "prod")
    wait_until(lambda: oidc.counts().get("refresh_token") == 1, "the refresh")
    waiter = run.start("token", "prod")
    answers = [one.finish() for one in (waiter, holder)]
    [issued] = oidc.issued("refresh_token")
    assert [(done.code, done.text, done.stderr) for done in answers] == [(0, f"{issued.access_token}\n", "")] * 2
    assert len(tabs.opened) == 2


def test_logout_cancels_the_wait(begin: Begin, run: Runner, home: dict[str, str]) -> None:
    running, wanted = begin()
    assert run("logout", "prod").code == 0
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert "the sign-in was cancelled by a logout" in done.terminal
    assert wanted.gone
    no_leftovers(home)


def test_when_its_terminal_is_closed_the_listener_ends(begin: Begin) -> None:
    running, wanted = begin()
    running.hang_up()
    assert running.finish().stdout == b""
    assert wanted.gone


def test_who_may_not_ask_does_not_wait_for_a_browser_elsewhere(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    write_profiles(home, prod=by_browser(oidc))
    leader = run.start("token", "prod", terminal=True)
    wanted = tabs.wait()
    done = run("token", "prod")
    assert (done.code, done.stdout) == (66, b"")
    assert done.stderr.startswith("credential-helper: prod: a sign-in to prod is under way in another terminal\n")
    assert tabs.opened == [wanted.url]
    wanted.visit()
    assert leader.finish().code == 0


def test_where_nobody_can_be_asked_nothing_is_opened(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    write_profiles(home, prod=by_browser(oidc))
    done = run("token", "prod", terminal=True, env={"CI": "true"})
    assert (done.code, done.stdout) == (66, b"")
    assert run("token", "prod").code == 66
    assert tabs.opened == []
    assert "authorization" not in oidc.counts()


# --- which flow, and why ----------------------------------------------------------------------------------------------


def signs_in_with_a_code(face: Face, running: Running, because: str, *, answers: bool = True) -> None:
    """Check that a code is asked for, and why, and that it works."""
    user_code = asked(running)
    face.approve(user_code)
    done = running.finish()
    [issued] = face.issued("device_code")
    assert (done.code, done.text) == (0, f"{issued.access_token}\n" if answers else "")
    assert re.fullmatch(sign_ins.prompt(face, user_code, asks=SELF, because=because) + CLOSING, done.terminal)
    assert "authorization" not in face.counts()


def automatic(face: Face, **more: Value) -> dict[str, Value]:
    return person(face, client_id=CLI_BROWSER, **more)


def test_where_a_browser_can_be_opened_auto_opens_it_and_says_why(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    write_profiles(home, prod=automatic(oidc))
    running = run.start("token", "prod", terminal=True)
    wanted = tabs.wait()
    wanted.visit()
    done = running.finish()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")
    assert re.fullmatch(prompt(oidc, wanted, because="BROWSER is set") + CLOSING, done.terminal)
    assert "device_authorization" not in oidc.counts()


@pytest.fixture
def desktop(tmp_path: Path, home: dict[str, str], tabs: Tabs) -> Tabs:
    """A desktop without $BROWSER: xdg-open is there, and a display."""
    programs = tmp_path / "desktop"
    programs.mkdir()
    (programs / "xdg-open").symlink_to(tabs.script)
    home["PATH"] = f"{programs}:{home['PATH']}"
    home["DISPLAY"] = ":0"
    del home["BROWSER"]
    return tabs


def test_a_desktop_is_a_browser(run: Runner, oidc: OidcProvider, home: dict[str, str], desktop: Tabs) -> None:
    write_profiles(home, prod=automatic(oidc))
    running = run.start("token", "prod", terminal=True)
    wanted = desktop.wait()
    wanted.visit()
    done = running.finish()
    assert done.text == f"{token_of(oidc)}\n"
    assert re.fullmatch(prompt(oidc, wanted, because="there is a display") + CLOSING, done.terminal)


def test_an_editor_without_a_terminal_gets_a_browser_once(
    run: Runner, oidc: OidcProvider, home: dict[str, str], desktop: Tabs
) -> None:
    write_profiles(home, prod=automatic(oidc))
    running = run.start("token", "prod")
    wanted = desktop.wait()
    others = [run.start("token", "prod") for _ in range(3)]
    assert SIGNED_IN in wanted.visit().text
    done = running.finish()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")
    assert done.stderr == prompt_text(oidc, wanted, because="there is a display")
    assert [other.finish().text for other in others] == [done.text] * 3
    assert len(desktop.opened) == 1
    assert run("token", "prod").stderr == ""


def test_an_editor_s_refused_browser_is_remembered(
    run: Runner, oidc: OidcProvider, home: dict[str, str], desktop: Tabs
) -> None:
    write_profiles(home, prod=automatic(oidc))
    running = run.start("token", "prod")
    wanted = desktop.wait()
    get(wanted.callback(error="access_denied", state=wanted.state))
    assert running.finish().code == 77
    assert run("token", "prod").code == 77
    never = run("token", "prod", env={"CREDENTIAL_HELPER_INTERACTIVE": "never"})
    assert never.code == 77
    assert len(desktop.opened) == 1
    again = run.start("login", "prod", terminal=True)  # a person asks for it
    assert SIGNED_IN in desktop.wait(2).visit().text
    assert again.finish().code == 0


@pytest.mark.parametrize(
    ("name", "value"), [("CREDENTIAL_HELPER_INTERACTIVE", "never"), ("CI", "true"), ("SSH_TTY", "/dev/pts/9")]
)
def test_an_editor_s_browser_stays_shut_where_nobody_is_to_be_asked(
    run: Runner, oidc: OidcProvider, home: dict[str, str], desktop: Tabs, name: str, value: str
) -> None:
    write_profiles(home, prod=automatic(oidc))
    done = run("token", "prod", env={name: value})
    assert (done.code, done.stdout) == (66, b"")
    assert desktop.opened == []


def test_over_ssh_nothing_is_opened_and_the_device_flow_goes_on(
    run: Runner, oidc: OidcProvider, home: dict[str, str], desktop: Tabs
) -> None:
    write_profiles(home, prod=automatic(oidc))
    home["SSH_CONNECTION"] = "192.0.2.1 50000 192.0.2.2 22"
    signs_in_with_a_code(oidc, run.start("token", "prod", terminal=True), "SSH_CONNECTION is set")
    assert desktop.opened == []


def test_over_ssh_a_browser_that_somebody_named_is_opened(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    """As editors do that forward the port."""
    write_profiles(home, prod=automatic(oidc))
    home["SSH_CONNECTION"] = "192.0.2.1 50000 192.0.2.2 22"
    running = run.start("token", "prod", terminal=True)
    assert SIGNED_IN in tabs.wait().visit().text
    assert running.finish().code == 0


@pytest.mark.parametrize("name", ["CODESPACES", "REMOTE_CONTAINERS", "VSCODE_IPC_HOOK_CLI"])
def test_in_a_workspace_that_is_seen_from_elsewhere_a_code_is_asked_for(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs, name: str
) -> None:
    write_profiles(home, prod=automatic(oidc))
    home[name] = "true"
    signs_in_with_a_code(oidc, run.start("token", "prod", terminal=True), f"{name} is set")
    assert tabs.opened == []  # it would have come back to another machine's loopback


def test_over_ssh_the_last_address_of_a_real_browser_elsewhere_is_pasted(
    run: Runner, oidc: OidcProvider, home: dict[str, str], chromium: Chromium
) -> None:
    """The browser's machine has no way to this one's loopback: it shows an error, and the address."""
    oidc.configure(pages=True)
    write_profiles(home, prod=by_browser(oidc))
    home["SSH_CONNECTION"] = "192.0.2.1 50000 192.0.2.2 22"
    running = run.start("token", "prod", terminal=True)
    wanted = Asked(running.wait_for(r"(?m)^  open  (\S+)\r?\n", where="terminal")[1])
    running.wait_for("go on only if you started this", where="terminal")
    assert not running.echoes
    elsewhere = wanted.url.replace(f"127.0.0.1%3A{wanted.port}", "127.0.0.1%3A9")  # a port where nobody listens there
    chromium.open(elsewhere)
    sign_in_with(chromium)
    wait_until(lambda: "code=" in chromium.url, "the browser's last address")
    last = chromium.url
    assert last.startswith("http://127.0.0.1:9/callback?")
    running.type(b"https://elsewhere.example/?code=a&state=b\n")
    running.wait_for("that address is of another sign-in", where="terminal")
    running.type(b"\x1b[200~" + last.encode() + b"\x1b[201~\n")
    done = running.finish()
    assert "code=" not in done.terminal
    assert "it comes back to port" in done.terminal
    # It was sent for another redirect URI, so the provider refuses its code: what was pasted is redeemed as it is.
    assert (done.code, done.stdout) == (77, b"")
    assert "refused the authorization code" in done.terminal


def test_over_ssh_a_pasted_address_signs_in(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=by_browser(oidc))
    home["SSH_CONNECTION"] = "192.0.2.1 50000 192.0.2.2 22"
    running = run.start("token", "prod", terminal=True)
    wanted = Asked(running.wait_for(r"(?m)^  open  (\S+)\r?\n", where="terminal")[1])
    running.wait_for("go on only if you started this", where="terminal")
    callback = wanted.authorize()
    running.type(callback.encode() + b"\n")
    done = running.finish()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")
    assert re.fullmatch(prompt(oidc, wanted, opened=False, ssh=True) + CLOSING, done.terminal)
    assert wanted.gone


def test_over_ssh_the_port_can_be_forwarded_as_the_prompt_says(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=by_browser(oidc))
    home["SSH_CONNECTION"] = "192.0.2.1 50000 192.0.2.2 22"
    running = run.start("token", "prod", terminal=True)
    wanted = Asked(running.wait_for(r"(?m)^  open  (\S+)\r?\n", where="terminal")[1])
    running.wait_for(rf"ssh -L {wanted.port}:127\.0\.0\.1:{wanted.port} \S+", where="terminal")
    assert SIGNED_IN in wanted.visit().text  # what comes through the tunnel comes from loopback
    assert running.finish().code == 0


def test_ctrl_c_below_the_prompt_gives_the_terminal_back(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=by_browser(oidc))
    home["SSH_CONNECTION"] = "192.0.2.1 50000 192.0.2.2 22"
    running = run.start("token", "prod", terminal=True)
    running.wait_for("go on only if you started this", where="terminal")
    wait_until(lambda: not running.echoes, "the echo to be off")
    running.type(b"half an addr")
    running.signal(signal.SIGINT)
    wait_until(lambda: running.echoes, "the echo to be on again")
    assert running.finish().code == 130
    no_leftovers(home)


def test_without_a_display_the_device_flow_goes_on(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=automatic(oidc))
    signs_in_with_a_code(oidc, run.start("token", "prod", terminal=True), "there is no display")


@pytest.mark.usefixtures("tabs")
def test_no_browser_is_obeyed(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=automatic(oidc))
    running = run.start("login", "prod", "--no-browser", terminal=True, env={"NO_COLOR": "1"})
    signs_in_with_a_code(oidc, running, "--no-browser was given", answers=False)


def test_a_browser_that_is_not_there_is_told(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=automatic(oidc))
    home["BROWSER"] = "/nowhere/browser"
    running = run.start("token", "prod", terminal=True)
    signs_in_with_a_code(oidc, running, "no program that BROWSER names was found")


@pytest.mark.parametrize("argv", [("login", "prod", "--no-browser"), ("token", "prod")], ids=lambda argv: argv[-1])
def test_the_explicit_flow_shows_its_address_where_no_browser_is(
    run: Runner, oidc: OidcProvider, home: dict[str, str], argv: tuple[str, ...]
) -> None:
    write_profiles(home, prod=by_browser(oidc))
    running = run.start(*argv, terminal=True, env={"NO_COLOR": "1"})
    wanted = Asked(running.wait_for(r"(?m)^  open  (\S+)\n", where="terminal")[1])
    wanted.visit()
    done = running.finish()
    assert done.code == 0
    assert re.fullmatch(prompt(oidc, wanted, opened=False) + CLOSING, done.terminal)
    assert run("token", "prod").text == f"{token_of(oidc)}\n"


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port at which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_fixed_port_that_is_in_use_makes_auto_ask_for_a_code(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    with taken_port() as port:
        write_profiles(home, prod=automatic(oidc, redirect_uri=f"http://127.0.0.1:{port}/callback"))
        running = run.start("token", "prod", terminal=True)
        signs_in_with_a_code(oidc, running, f"the port {port} of redirect_uri is in use by another program")
    assert tabs.opened == []


def test_a_fixed_port_that_is_in_use_is_an_error_of_the_explicit_flow(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    with taken_port() as port:
        write_profiles(home, prod=by_browser(oidc, redirect_uri=f"http://127.0.0.1:{port}/callback"))
        done = run("token", "prod", terminal=True)
    assert (done.code, done.stdout) == (78, b"")
    told, first, second = done.terminal.splitlines()
    assert told == f"credential-helper: port {port} is in use; waiting 10 s for it"
    assert first.startswith("credential-helper: ")
    assert f"the port {port} of redirect_uri is in use by another program" in first
    assert second.startswith("hint: ")
    assert "redirect_uri" in second
    assert tabs.opened == []
    assert "authorization" not in oidc.counts()


# --- https on loopback ------------------------------------------------------------------------------------------------


def https_back(oidc: OidcProvider, authority: Authority, **changes: Value) -> tuple[str, dict[str, Value]]:
    """Register an https redirect URI at a free port, and return it with the profile that has its certificate."""
    with taken_port() as port:
        pass
    redirect_uri = f"https://localhost:{port}/callback"
    oidc.add_client(
        "secure",
        redirect_uris=[redirect_uri],
        grant_types=["authorization_code", "refresh_token"],
        application_type="web",
    )
    certificate, key = authority.issue("redirect")
    key.chmod(0o600)
    tls: dict[str, Value] = {"redirect_certificate": str(certificate), "redirect_private_key": {"file": str(key)}}
    return redirect_uri, by_browser(oidc, client_id="secure", redirect_uri=redirect_uri, **{**tls, **changes})


def test_a_real_browser_comes_back_over_https(
    tmp_path: Path, run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    need("chromium")
    need("chromedriver")
    authority = Authority(tmp_path, "Redirect Test CA")
    redirect_uri, profile = https_back(oidc, authority)
    write_profiles(home, prod=profile)
    oidc.configure(pages=True)
    with Chromium(trust=(tmp_path / "redirect.pem",)) as chromium:
        tabs.hand_to(chromium)
        running = run.start("token", "prod", terminal=True)
        assert tabs.wait().redirect_uri == redirect_uri
        sign_in_with(chromium)
        chromium.wait_for_text(SIGNED_IN)
        assert chromium.url.startswith(redirect_uri)
        done = running.finish()
    assert (done.code, done.text) == (0, f"{token_of(oidc)}\n")


def test_a_certificate_that_a_browser_would_refuse_is_told_before_it_opens(
    tmp_path: Path, run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    authority = Authority(tmp_path, "Redirect Test CA")
    _, profile = https_back(oidc, authority)
    (tmp_path / "redirect.key").chmod(0o644)
    write_profiles(home, prod=profile)
    done = run("token", "prod", terminal=True)
    assert done.code == 78
    assert f"redirect_private_key {tmp_path / 'redirect.key'} can be read by others" in done.terminal
    assert tabs.opened == []


# --- what a provider may demand ---------------------------------------------------------------------------------------


def test_a_fixed_redirect_uri_is_used_as_it_is(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    with taken_port() as port:
        pass  # it is free again
    redirect_uri = f"http://127.0.0.1:{port}/oauth/done"
    oidc.add_client("fixed", redirect_uris=[redirect_uri], grant_types=["authorization_code", "refresh_token"])
    write_profiles(home, prod=by_browser(oidc, client_id="fixed", redirect_uri=redirect_uri))
    for number in (1, 2):  # the second time the port was in use a moment ago
        running = run.start("token", "prod", terminal=True)
        wanted = tabs.wait(number)
        assert wanted.redirect_uri == redirect_uri
        assert SIGNED_IN in wanted.visit().text
        assert running.finish().code == 0
        assert run("logout", "prod").code == 0


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_another_name_of_loopback(begin: Begin, host: str) -> None:
    if host == "[::1]" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    running, wanted = begin(redirect_uri=f"http://{host}/callback")
    assert wanted.redirect_uri == f"http://{host}:{wanted.port}/callback"
    assert SIGNED_IN in wanted.visit().text
    assert running.finish().code == 0
    assert wanted.gone


@pytest.mark.parametrize("authentication", ["client_secret_basic", "private_key_jwt"])
def test_a_confidential_client_proves_itself_at_the_exchange_and_at_the_refresh(
    begin: Begin, run: Runner, oidc: OidcProvider, home: dict[str, str], authentication: str
) -> None:
    proof: dict[str, Value] = {"client_id": CLI_BROWSER_CONFIDENTIAL, "client_secret": {"env": "OUR_SECRET"}}
    home["OUR_SECRET"] = ODD_SECRET
    if authentication == "private_key_jwt":
        key = signing_key("ES256")
        oidc.add_client(
            "cli-browser-with-a-key",
            authentication="private_key_jwt",
            grant_types=["authorization_code", "refresh_token"],
            redirect_uris=["http://127.0.0.1/callback"],
            jwks={"keys": [key.jwk()]},
        )
        proof = {"client_id": "cli-browser-with-a-key", "private_key": {"file": keep(home, written(key))}}
    running, wanted = begin(**proof)
    assert not {"client_secret", "client_assertion"} & wanted.parameters.keys()
    wanted.visit()
    assert running.finish().code == 0
    assert run("refresh", "prod").code == 0
    [exchange] = oidc.requests("authorization_code")
    [refresh] = oidc.requests("refresh_token")
    assert "code_verifier" in exchange.fields
    assert [(made.authentication, made.status) for made in (exchange, refresh)] == [(authentication, 200)] * 2


def test_a_provider_that_lags_is_waited_for(begin: Begin, oidc: OidcProvider) -> None:
    oidc.fail_next("authorization", delay=2.0)
    oidc.fail_next("authorization_code", delay=2.0)
    running, wanted = begin()
    assert SIGNED_IN in wanted.visit().text
    assert running.finish().code == 0


def test_an_error_of_the_provider_is_explained_in_the_terminal(begin: Begin) -> None:
    """oidc-provider brings an unknown scope and the like back to the redirect URI."""
    running, wanted = begin(audience="https://unknown.example.com")
    page = wanted.visit()
    done = running.finish()
    assert (done.code, done.stdout) == (77, b"")
    assert FAILED in page.text
    assert "invalid_target" in done.terminal
    assert "hint: " in done.terminal


def test_an_exchange_in_trouble_is_told(begin: Begin, oidc: OidcProvider) -> None:
    oidc.fail_next("authorization_code", times=None, status=503, body="<html>busy</html>")
    running, wanted = begin()
    page = wanted.visit()
    done = running.finish(60.0)
    assert (done.code, done.stdout) == (69, b"")
    assert FAILED in page.text


# --- afterwards -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "auth0"])
def test_the_session_goes_on_without_a_browser(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs, name: str
) -> None:
    face = {"plain": oidc, "auth0": oidc.auth0}[name]
    write_profiles(home, prod=by_browser(face, **(AUTH0 if face is oidc.auth0 else {})))
    running = run.start("token", "prod", terminal=True)
    tabs.wait().visit()
    token = running.finish().text
    face.reset_counts()
    assert run("token", "prod").text == token
    assert face.counts() == {}
    assert run("refresh", "prod").code == 0
    assert face.counts()["refresh_token"] == 1
    renewed = run("token", "prod")
    assert (renewed.code, renewed.stderr) == (0, "")
    assert renewed.text != token
    assert run("token", "prod", "--token", "id").code == 0
    assert len(tabs.opened) == 1


def test_no_secret_of_the_flow_is_seen_anywhere(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs, tmp_path: Path
) -> None:
    write_profiles(home, prod=by_browser(oidc))
    oidc.fail_next("authorization_code", delay=0.5)
    log = tmp_path / "verbose.log"
    running = run.start("token", "prod", "--verbose", terminal=True, env={"CREDENTIAL_HELPER_VERBOSE": str(log)})
    wanted = tabs.wait()
    seen: list[bytes] = []
    enough = threading.Event()

    def look() -> None:
        while not enough.is_set():
            for name in ("cmdline", "environ"):
                for folder in Path("/proc").glob("[0-9]*"):
                    with contextlib.suppress(OSError):
                        if os.getsid(int(folder.name)) == running.pid:
                            seen.append((folder / name).read_bytes())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        callback = wanted.authorize()
        page = get(callback)
        done = running.finish()
    finally:
        enough.set()
        looking.join()
    [exchange] = oidc.requests("authorization_code")
    [issued] = oidc.issued("authorization_code")
    secrets = {exchange.fields["code"], exchange.fields["code_verifier"], *issued.secrets}
    assert len(secrets) == 5
    assert seen
    told = [done.terminal, done.stderr, page.text, wanted.url, log.read_text() if log.exists() else "", *tabs.opened]
    for secret in secrets:
        assert all(secret not in text for text in told)
        assert all(secret.encode() not in words for words in seen)
    state = Path(home["XDG_STATE_HOME"])
    gone = {exchange.fields["code"], exchange.fields["code_verifier"]}
    assert [file for file in walk(state) for secret in gone if secret.encode() in file.read_bytes()] == []


# --- git and docker ---------------------------------------------------------------------------------------------------


def test_a_git_clone_signs_in_with_a_browser(
    tmp_path: Path, launch: Launcher, run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    git = need("git")
    with GitServer(tmp_path / "git-server", authority=Authority(tmp_path, "Git Server Test CA")) as server:
        server.make("project.git", {"README": b"hello\n"})
        server.trust(oidc.issuer, [AUDIENCE])
        write_profiles(home, prod=by_browser(oidc, git=[server.url]))
        ca_file = server.authority.ca_file if server.authority else ""
        Path(home["HOME"], ".gitconfig").write_text(
            f'[http]\n\tsslCAInfo = {ca_file}\n[credential "{server.url}"]\n\thelper = {run.executable} git\n'
        )
        command = [git, "clone", "--quiet", f"{server.url}/project.git", str(tmp_path / "clone")]
        running = launch.start(command, terminal=True)
        wanted = tabs.wait()
        assert SIGNED_IN in wanted.visit().text
        done = running.finish()
    assert done.code == 0, done
    assert (tmp_path / "clone" / "README").read_text() == "hello\n"
    assert re.search(prompt(oidc, wanted, asks="git needs a sign-in to prod"), done.terminal)
    assert len(tabs.opened) == 1


def test_docker_signs_in_with_a_browser_where_the_profile_says_always(
    launch: Launcher, run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    docker = need("docker")
    with FakeDaemon() as daemon:
        host = "registry.example.com"
        write_profiles(home, prod=by_browser(oidc, docker=[host], interactive="always"))
        config = Path(home["HOME"], ".docker", "config.json")
        config.parent.mkdir()
        config.write_text(f'{{"credHelpers": {{"{host}": "helper"}}}}')
        home |= {"PATH": f"{run.executable.parent}:{home['PATH']}", "DOCKER_HOST": daemon.address}
        running = launch.start([docker, "pull", f"{host}/a"])
        wanted = tabs.wait()
        assert SIGNED_IN in wanted.visit().text
        running.finish()
        (sent,) = daemon.received
    assert sent.auth is not None
    assert sent.auth["password"] == token_of(oidc)
    assert re.search(prompt(oidc, wanted, asks="docker needs a sign-in to prod"), running.output("stderr"))
    assert len(tabs.opened) == 1
