"""We go where the tools beside us go: real curl, git and kubectl, and us, in the same environments.

A recording proxy refuses whatever it is asked for: what counts is whether it was asked. The hosts are those of a domain
that no name server knows, or this machine's own address, on which nobody listens: who goes straight fails at once.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from integration.clients.programs import Kubectl, Runner
from integration.clients.real import missing, need
from integration.servers.hostile_provider import HostileProvider, answer, closed_port
from integration.servers.proxy import RecordingProxy
from tests.helpers.programs import Launcher

Ask = Callable[..., str]  # ask(url, environ, ca_file) lets a program ask for a URL; returns what it said

MACHINE = ("--client-id", "c", "--flow", "client-credentials")


@pytest.fixture
def programs(run: Runner, launch: Launcher, kubectl: Kubectl, tmp_path: Path) -> dict[str, Ask]:
    """Return how each program asks for a URL."""
    curl, git = need("curl"), need("git")

    def said(*command: str, env: Mapping[str, str | None]) -> str:
        done = launch.run(command, env=env, timeout=60)
        return f"{done.text}{done.stderr}"

    def by_curl(url: str, env: Mapping[str, str], ca_file: str | None = None) -> str:
        more = ["--cacert", ca_file] if ca_file else []
        return said(curl, "-sS", "--max-time", "30", *more, url, env=env)

    def by_git(url: str, env: Mapping[str, str], ca_file: str | None = None) -> str:
        more = ["-c", f"http.sslCAInfo={ca_file}"] if ca_file else []
        return said(git, *more, "ls-remote", url, env={**env, "GIT_TERMINAL_PROMPT": "0"})

    def by_kubectl(url: str, env: Mapping[str, str], ca_file: str | None = None) -> str:
        more = [f"--certificate-authority={ca_file}"] if ca_file else []
        return said(
            kubectl.path, f"--server={url}", "--token=x", *more, "get", "--raw", "/x", "--request-timeout=30s", env=env
        )

    def by_us(url: str, env: Mapping[str, str], ca_file: str | None = None) -> str:
        more = ["--ca-file", ca_file] if ca_file else []
        state = tmp_path / "state"  # a new one each time: a failure is remembered for a while
        shutil.rmtree(state, ignore_errors=True)
        ours = {"CREDENTIAL_HELPER_STATE_DIR": str(state), "CREDENTIAL_HELPER_CLIENT_SECRET": "s"}
        return run("token", "--issuer", url, *MACHINE, *more, env={**env, **ours}).stderr

    return {"curl": by_curl, "git": by_git, "kubectl": by_kubectl, "us": by_us}


# --- proxies ----------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """An environment, a host, and who goes through the proxy."""

    environ: dict[str, str]  # PROXY is the proxy's host:port, OTHER that of one that is not there
    host: str = "idp.corp.test"
    proxied: bool = True  # us and kubectl
    curls: bool | None = None  # curl and git, which is built on it, where they read the environment in another way

    @property
    def name(self) -> str:
        return " ".join([*(f"{name}={value}" for name, value in self.environ.items()), self.host])


HTTP = {"HTTPS_PROXY": "http://PROXY"}
ADDRESS = "ADDRESS"  # this machine's own, which is not loopback

CASES = [
    Case(HTTP),
    Case({"https_proxy": "http://PROXY"}),
    Case({"HTTPS_PROXY": "PROXY"}),
    Case({"HTTPS_PROXY": "http://PROXY/path"}),
    Case({"HTTPS_PROXY": "socks5h://PROXY"}),
    Case({"HTTPS_PROXY": "socks5h://ada:hush@PROXY"}),
    Case({"HTTPS_PROXY": "http://ada:hu%40sh@PROXY"}),
    Case({"HTTPS_PROXY": "", "https_proxy": "http://PROXY"}),
    Case({}, proxied=False),
    Case({"HTTP_PROXY": "http://PROXY"}, proxied=False),
    Case({"http_proxy": "http://PROXY"}, proxied=False),
    Case({**HTTP, "REQUEST_METHOD": "GET"}),
    Case({**HTTP, "NO_PROXY": "*"}, proxied=False),
    Case({**HTTP, "NO_PROXY": "idp.corp.test"}, proxied=False),
    Case({**HTTP, "NO_PROXY": "corp.test"}, proxied=False),
    Case({**HTTP, "NO_PROXY": "corp.test"}, host="idp.xcorp.test"),
    Case({**HTTP, "NO_PROXY": ".corp.test"}, proxied=False),
    Case({**HTTP, "NO_PROXY": "x.test, corp.test ,y.test"}, proxied=False),
    Case({**HTTP, "NO_PROXY": "CORP.test"}, proxied=False),
    Case({**HTTP, "no_proxy": "corp.test"}, proxied=False),
    Case({**HTTP, "NO_PROXY": "ADDRESS"}, host=ADDRESS, proxied=False),
    Case({**HTTP, "NO_PROXY": "ADDRESS/24"}, host=ADDRESS, proxied=False),
    Case({**HTTP, "NO_PROXY": "203.0.113.0/24"}, host=ADDRESS),
    # --- where curl and git read the environment in another way ---
    Case({"HTTPS_PROXY": "http://PROXY", "https_proxy": "http://OTHER"}, curls=False),
    Case({"HTTPS_PROXY": "http://OTHER", "https_proxy": "http://PROXY"}, proxied=False, curls=True),
    Case({"ALL_PROXY": "http://PROXY"}, proxied=False, curls=True),
    Case({"all_proxy": "socks5h://PROXY"}, proxied=False, curls=True),
    Case({**HTTP, "NO_PROXY": "*.corp.test"}, proxied=False, curls=True),
    Case({**HTTP, "NO_PROXY": ".corp.test"}, host="corp.test", curls=False),
    Case({**HTTP, "NO_PROXY": "x.test corp.test"}, curls=False),
    Case({**HTTP, "NO_PROXY": "corp.test:443"}, proxied=False, curls=True),
    Case(HTTP, host="127.0.0.1", proxied=False, curls=True),
    Case(HTTP, host="localhost", proxied=False, curls=True),
    Case(HTTP, host="127.0.0.2", proxied=False, curls=True),
]


def own_address() -> str:
    """Return an address of this machine that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            missing("an address that is not loopback")
        address: str = probe.getsockname()[0]
        return address


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_goes_through_the_proxy(case: Case, programs: dict[str, Ask]) -> None:
    with closed_port() as nobody:
        words = {
            "PROXY": "",
            "OTHER": f"127.0.0.1:{nobody}",
            "ADDRESS": own_address() if "ADDRESS" in case.name else "",
        }
        port = "" if "corp.test" in case.host else f":{nobody}"
        for program, ask in programs.items():
            expected = case.curls if case.curls is not None and program in ("curl", "git") else case.proxied
            with RecordingProxy() as proxy:
                words["PROXY"] = proxy.host
                url = f"https://{_with(words, case.host)}{port}"
                told = ask(url, {name: _with(words, value) for name, value in case.environ.items()})
            assert bool(proxy.asked) == expected, f"{program}: {told}"
            assert {asked.host for asked in proxy.asked} <= {_with(words, case.host)}
            assert "hush" not in told
            assert "hu%40sh" not in told


def _with(words: Mapping[str, str], text: str) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def test_a_proxy_is_told_who_we_are_as_the_others_tell_it(programs: dict[str, Ask]) -> None:
    for scheme in ("http", "socks5h"):
        for program, ask in programs.items():
            with RecordingProxy(login=("ada", "hu@sh")) as proxy:
                told = ask("https://idp.corp.test", {"HTTPS_PROXY": f"{scheme}://ada:hu%40sh@{proxy.host}"})
            assert ("ada", "hu@sh") in [asked.login for asked in proxy.asked], f"{program} by {scheme}: {told}"


def test_a_machine_gets_its_token_through_a_socks_proxy(run: Runner) -> None:
    with HostileProvider(tls="good") as provider, RecordingProxy(to=provider.port) as proxy:
        provider.issuer = "https://provider.test"
        provider.serve_metadata(
            token_endpoint="https://provider.test/token", jwks_uri="https://provider.test/jwks",
            authorization_endpoint=None, device_authorization_endpoint=None, revocation_endpoint=None,
        )  # fmt: skip
        provider.script("/token", answer({"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600}))
        env = {"HTTPS_PROXY": f"socks5h://{proxy.host}", "CREDENTIAL_HELPER_CLIENT_SECRET": "s"}
        done = run("token", "--issuer", provider.issuer, *MACHINE, "--ca-file", provider.ca_file, env=env)
        assert (done.code, done.text, done.stderr) == (0, "a-token\n", "")
        assert {(asked.by, asked.host, asked.port) for asked in proxy.asked} == {("socks", "provider.test", 443)}


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def between() -> Iterator[HostileProvider]:
    """Serve under a certificate that an intermediate CA issued."""
    with HostileProvider(tls="intermediate") as provider:
        yield provider


def reached(provider: HostileProvider, ask: Ask, environ: Mapping[str, str], ca_file: str | None) -> bool:
    """Say whether a program believed the certificate: then its request arrives."""
    before = len(provider.requests)
    ask(provider.url, environ, ca_file)
    return len(provider.requests) > before


def files_of(provider: HostileProvider, folder: Path) -> dict[str, Path]:
    """Write what a person may name as a CA file."""
    root, issuer, leaf = (
        Path(file).read_text() for file in (provider.ca_file, provider.intermediate_file, provider.certificate)
    )
    with HostileProvider(tls="self-signed") as other:
        stranger = Path(other.certificate).read_text()
    leaf = "-----BEGIN CERT" + leaf.split("-----BEGIN CERT")[1]
    stranger = "-----BEGIN CERT" + stranger.split("-----BEGIN CERT")[1]
    written = {
        "root": root,
        "intermediate": issuer,
        "leaf": leaf,
        "bundle": f"# ours\n{stranger}{issuer}",
        "crlf": issuer.replace("\n", "\r\n"),
        "stranger": stranger,
    }
    for name, text in written.items():
        (folder / f"{name}.pem").write_text(text, newline="")
    return {name: folder / f"{name}.pem" for name in written}


def test_which_ca_file_is_believed(between: HostileProvider, programs: dict[str, Ask], tmp_path: Path) -> None:
    for name, file in files_of(between, tmp_path).items():
        for program, ask in programs.items():
            if name == "leaf" and program in ("curl", "git"):
                continue  # it depends on the version, and on the TLS library
            assert reached(between, ask, {}, str(file)) == (name != "stranger"), f"{program}, {name}"


# Of the program's own variables, and where TLS libraries differ (None: not compared).
BELIEVED: dict[str, dict[str, bool | None]] = {
    "SSL_CERT_FILE": {"us": True, "kubectl": True, "curl": True, "git": None},
    "CURL_CA_BUNDLE": {"us": False, "kubectl": False, "curl": True, "git": False},
    "GIT_SSL_CAINFO": {"us": False, "kubectl": False, "curl": False, "git": True},
    "REQUESTS_CA_BUNDLE": {"us": False, "kubectl": False, "curl": False, "git": False},
}


@pytest.mark.parametrize("variable", BELIEVED)
@pytest.mark.parametrize("name", ["root", "intermediate"])
def test_which_variable_names_a_ca_file(
    variable: str, name: str, between: HostileProvider, programs: dict[str, Ask], tmp_path: Path
) -> None:
    file = files_of(between, tmp_path)[name]
    for program, expected in BELIEVED[variable].items():
        if expected is not None:
            assert reached(between, programs[program], {variable: str(file)}, None) == expected, program


def test_which_folder_is_believed(between: HostileProvider, programs: dict[str, Ask], tmp_path: Path) -> None:
    """Go reads every file of SSL_CERT_DIR; OpenSSL, and so curl, only those whose names c_rehash made."""
    file = files_of(between, tmp_path)["root"]
    plain, hashed = tmp_path / "plain", tmp_path / "hashed"
    plain.mkdir()
    shutil.copy(file, plain / "corp.crt")
    shutil.copytree(plain, hashed)
    subprocess.run([need("openssl"), "rehash", hashed], check=True, capture_output=True, timeout=30)
    for folder in (plain, hashed):
        for more in ({}, {"SSL_CERT_FILE": str(tmp_path / "nothing.pem")}):
            for folders in (str(folder), f"/nowhere:{folder}"):
                environ = {"SSL_CERT_DIR": folders, **more}
                for program in ("us", "kubectl"):
                    assert reached(between, programs[program], environ, None), f"{program}, {environ}"
        assert reached(between, programs["curl"], {"SSL_CERT_DIR": str(folder)}, None) == (folder is hashed)
