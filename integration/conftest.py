"""The fixtures of the integration tests: a provider, an API server, the installed program, a home of its own.

Servers run once a session and are reset before each test that asks for them, so no test sees another's sign-ins.
Programs are started in a session of their own (setsid): they have no terminal unless a test gives them one, whatever
pytest itself was started from, and inherit no variable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from integration.clients.chromium import Chromium
from integration.clients.installers import PROGRAMS, layer, once, with_pip
from integration.clients.programs import Kubectl, Runner, kubectls
from integration.clients.real import missing, need
from integration.scenes.browsers import Asked, Begin, Tabs, by_browser
from integration.scenes.keyrings import KeyringSession
from integration.scenes.sign_ins import Value, write_profiles
from integration.servers.kube_api import KubeApi
from integration.servers.oidc import AUDIENCE, CLI, Face, OidcProvider, ProviderError
from integration.servers.tls import Authority
from tests.helpers.programs import CHECKOUT, Launcher, Running
from tests.helpers.umask import umask as umask  # a fixture of every test

# --- kubectl ----------------------------------------------------------------------------------------------------------


def no_kubectl() -> NoReturn:
    """Skip or fail, and say why."""
    missing(f"{need('kubectl')} is a dispatcher, and what it picks from is not beside it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``each_kubectl`` once with each; without any, the one run says what is missing."""
    if "each_kubectl" in metafunc.fixturenames:
        found: list[Kubectl | None] = [*kubectls()] or [None]
        metafunc.parametrize("each_kubectl", found, indirect=True, ids=lambda k: k.version if k else "missing")


@pytest.fixture
def each_kubectl(request: pytest.FixtureRequest) -> Kubectl:
    """Return one kubectl after the other."""
    if request.param is None:
        no_kubectl()
    assert isinstance(request.param, Kubectl)
    return request.param


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Return the newest kubectl."""
    return (kubectls() or no_kubectl())[-1]


# --- servers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def oidc_server() -> Iterator[OidcProvider]:
    """Run the real provider for the whole session; tests take ``oidc``, which is reset for each."""
    need("node")
    need("npm")
    provider = OidcProvider()
    try:
        provider.start()
    except ProviderError as error:
        missing(f"oidc-provider: {error}")
    yield provider
    provider.stop()


@pytest.fixture
def oidc(oidc_server: OidcProvider) -> OidcProvider:
    """Return the provider as on its first day; its faces ``auth0``, ``tls`` and ``auth0_tls`` too."""
    oidc_server.reset_all()
    return oidc_server


@pytest.fixture
def auth0(oidc: OidcProvider) -> Face:
    """Return the face that answers as Auth0 does."""
    return oidc.auth0


@pytest.fixture(scope="session")
def kube_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """Run the API server for the whole session; tests take ``kube_api`` or ``kube_tls``."""
    with KubeApi(Authority(tmp_path_factory.mktemp("kube-api"))) as kube:
        yield kube


@pytest.fixture
def bare_kube_api(kube_api_server: KubeApi) -> KubeApi:
    """Return an API server that trusts nobody yet; needs no provider."""
    kube_api_server.reset()
    return kube_api_server


@pytest.fixture
def kube_api(bare_kube_api: KubeApi, oidc: OidcProvider) -> KubeApi:
    """Return an API server that trusts tokens of every face, for AUDIENCE and (ID tokens) for the client CLI."""
    for face in oidc.faces:
        bare_kube_api.trust(face.issuer, [AUDIENCE, CLI], ca_file=face.ca_file)
    return bare_kube_api


# --- a browser --------------------------------------------------------------------------------------------------------


@pytest.fixture
def chromium(oidc_server: OidcProvider) -> Iterator[Chromium]:
    """Return a real browser with a profile of its own; it believes the certificate of the provider's https faces."""
    with Chromium(trust=[oidc_server.certificate]) as chromium:
        yield chromium


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Return the folder for what is kept for people to look at; CREDENTIAL_HELPER_TEST_ARTEFACTS names another one."""
    named = os.environ.get("CREDENTIAL_HELPER_TEST_ARTEFACTS")
    return Path(named) if named else CHECKOUT / "artefacts"  # not build/, which make removes


# --- the program under test -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the absolute path of a ``credential-helper`` that was installed as users install it.

    CREDENTIAL_HELPER_EXECUTABLE names one that is there already; else pip makes one in a virtual environment.
    """
    if named := os.environ.get("CREDENTIAL_HELPER_EXECUTABLE"):
        if not os.path.isabs(named) or not os.access(named, os.X_OK):
            pytest.fail(f"CREDENTIAL_HELPER_EXECUTABLE is no program: {named}")
        return Path(named)
    return once("installed", tmp_path_factory, with_pip)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose home is empty and ours alone; PATH is all that it has from outside.

    There is no D-Bus session in it, so no keyring; git's system-wide configuration is left out. A test may add to it.
    """
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_STATE_HOME": str(folder / ".local" / "state"),
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
    }


@pytest.fixture
def launch(home: dict[str, str]) -> Iterator[Launcher]:
    """Return what starts other programs (kubectl, git, docker) in ``home``."""
    launcher = Launcher(home)
    yield launcher
    launcher.stop()


@pytest.fixture
def run(launch: Launcher, installed: Path) -> Runner:
    """Return what starts the installed program in ``home``."""
    return Runner(launch, installed)


@pytest.fixture
def observed(launch: Launcher, installed: Path, tmp_path: Path) -> Runner:
    """Return the installed program, which says on stderr what it imports (``imported``)."""
    layer(installed, tmp_path / "observed")
    for program in PROGRAMS:
        file = tmp_path / "observed" / "bin" / program
        text = file.read_text()
        assert text.count(" -I -S -X utf8 -c ") == 3
        file.write_text(text.replace(" -c ", " -X importtime -c "))
    return Runner(launch, tmp_path / "observed" / "bin" / "credential-helper")


# --- what several scenes begin with -----------------------------------------------------------------------------------


@pytest.fixture
def tabs(tmp_path: Path, home: dict[str, str]) -> Tabs:
    return Tabs(tmp_path, home)


@pytest.fixture
def begin(run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs) -> Begin:
    """Return what starts ``token prod`` on a terminal, by a profile with these settings, and waits for its tab."""

    def started(**more: Value) -> tuple[Running, Asked]:
        write_profiles(home, prod=by_browser(oidc, **more))
        running = run.start("token", "prod", terminal=True)
        return running, tabs.wait(len(tabs.opened) + 1)

    return started


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[KeyringSession]:
    session = KeyringSession(tmp_path / "keyring")
    yield session
    session.stop()
