"""One sign-in, and a token of its own for each server: kubectl's clusters, git, a registry; whatever the provider can.

Every server trusts its own audience alone. The real provider obeys RFC 8707: a refresh may be for a resource that the
sign-in asked for. Auth0's face has Multi-Resource Refresh Tokens: any audience of the client's policy is served,
another one is silently ignored, and the token is for the old one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.clients.programs import Kubectl
from integration.clients.real import need
from integration.scenes.audiences import (
    ALL,
    GIT,
    KUBE,
    ONE,
    REGISTRY,
    TWO,
    Desk,
    asked_for,
    audience,
    prod,
    refreshes,
)
from integration.scenes.clusters import Cluster
from integration.scenes.sign_ins import asked, prompts
from integration.servers.git_server import AUTHOR, GitServer
from integration.servers.kube_api import POD, KubeApi
from integration.servers.oidc import CLI, Face, OidcProvider
from integration.servers.registry import FakeDaemon, Registry, TokenService, provider_tokens
from integration.servers.tls import Authority
from tests.helpers.programs import Result


@pytest.fixture
def desk(tmp_path: Path, installed: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "desk", installed)
    yield made
    made.launcher.stop()


def one_token_per_sign_in(face: Face, purpose: str) -> str:
    return f"{face.host} gives one token per sign-in; this one is for {purpose}"


# --- five servers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[Callable[[Face, str], KubeApi]]:
    """Return what starts an API server that believes tokens of one audience."""
    made: list[KubeApi] = []

    def start(face: Face, purpose: str) -> KubeApi:
        folder = tmp_path / f"cluster-{len(made)}"
        folder.mkdir()
        kube = KubeApi(Authority(folder)).start()
        kube.trust(face.issuer, [purpose])
        made.append(kube)
        return kube

    yield start
    for kube in made:
        kube.stop()


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    need("git")
    folder = tmp_path / "git-server"
    folder.mkdir()
    with GitServer(folder, authority=Authority(folder, "Git Server Test CA")) as server:
        server.make("project.git", {"README": b"hello\n"})
        yield server


@pytest.fixture(params=["resource", "audience"])
def face(request: pytest.FixtureRequest, desk: Desk, oidc: OidcProvider) -> Face:
    """Return a provider that gives tokens for several servers, by resource (RFC 8707) and by audience (Auth0)."""
    desk.by = request.param
    if desk.by == "resource":
        return oidc
    oidc.auth0.configure(CLI, multi_resource=[*ALL])
    return oidc.auth0


def test_one_prompt_serves_three_clusters_git_and_docker(
    desk: Desk,
    face: Face,
    clusters: Callable[[Face, str], KubeApi],
    git_server: GitServer,
    kubectl: Kubectl,
    tmp_path: Path,
) -> None:
    key = desk.by
    need("docker")
    need("docker-registry")
    git_server.trust(face.issuer, [GIT])
    service = TokenService(tmp_path / "service", provider_tokens(face, REGISTRY))
    with Registry(tmp_path / "registry", service=service) as registry, FakeDaemon() as daemon:
        desk.environ |= {**AUTHOR, "DOCKER_HOST": daemon.address, "GIT_TERMINAL_PROMPT": "0"}
        desk.environ["PATH"] = f"{desk.run.executable.parent}:{desk.environ['PATH']}"
        # That the two other clusters are served, too, RFC 8707 has us say when we sign in: somebody has to list them.
        git = [{"url": git_server.url, key: GIT}, *({"url": f"{one}/git", key: one} for one in (ONE, TWO))]
        docker = [{"server": registry.host, key: REGISTRY}]
        desk.lay(prod=prod(face, key=key, git=git, docker=docker))
        (desk.folder / ".gitconfig").write_text(
            f"[http]\n\tsslCAInfo = {git_server.authority.ca_file if git_server.authority else ''}\n"
            f'[credential "{git_server.url}"]\n\thelper = helper\n'
        )
        config = desk.folder / ".docker" / "config.json"
        config.parent.mkdir()
        config.write_text(json.dumps({"credHelpers": {registry.host: "helper"}}))

        def cluster(purpose: str) -> Cluster:
            folder = tmp_path / f"kubectl-{purpose.partition('://')[2].partition('.')[0]}"
            folder.mkdir()
            made = Cluster(folder, clusters(face, purpose), desk.launcher, kubectl, desk.run)
            if purpose != KUBE:
                made.configure(provide_cluster_info=True, config={"profile": "prod", key: purpose})
            return made

        first = cluster(KUBE)
        done = first.get_pods_as(face)
        assert (done.code, POD in done.text, prompts(done.terminal)) == (0, True, 1), done
        [request] = face.requests("device_authorization")
        assert set(request.resource) == (set(ALL) if key == "resource" else set())

        quiet(desk.launcher.run([need("git"), "clone", "--quiet", f"{git_server.url}/project.git", "clone"]))
        quiet(desk.launcher.run([need("docker"), "login", registry.host], terminal=True))
        for purpose in (ONE, TWO, KUBE):
            one = first if purpose == KUBE else cluster(purpose)
            done = one("get", "pods", terminal=True)
            quiet(done)
            assert POD in done.text
            assert {call.user for call in one.kube.calls} == {"ada"}
            assert {purpose} == audience(one.kube.tokens()[-1]) & set(ALL)
        assert service.knocks[-1].subject == "ada"
        given = {purpose: token for token in tokens_of(face) for purpose in audience(token) & set(ALL)}
        assert set(given) == set(ALL)
        assert len(tokens_of(face)) == len(ALL), "one token each, and one request for it"
        assert git_server.tokens() == [given[GIT]]
        assert service.knocks[-1].password == given[REGISTRY]

        assert face.counts()["device_authorization"] == 1
        assert [asked_for(one) for one in refreshes(face)] == [GIT, REGISTRY, ONE, TWO]
        assert len(face.refresh_tokens()) == 1
        assert desk.purposes() == sorted(ALL)
        assert len(list(desk.grants.glob("*.json"))) == 1
        shown = desk.run("status").text
        assert shown.count("also for ") == len(ALL) - 1


def quiet(done: Result) -> None:
    """Check that a tool had what it wanted, and nobody was told or asked anything."""
    assert done.code == 0, done
    assert "credential-helper:" not in re.sub(r"credential-helper: nothing is stored for .*", "", done.terminal), done
    assert "credential-helper:" not in done.stderr, done


def tokens_of(face: Face) -> list[str]:
    """Return every access token that was issued, in order."""
    return [one.access_token for one in face.issued("token") or face.issued() if one.access_token]


def test_login_gets_a_token_for_every_server_and_says_so(desk: Desk, face: Face) -> None:
    desk.lay(prod=prod(face, key=desk.by))
    running = desk.run.start("login", "prod", terminal=True)
    face.approve(asked(running))
    done = running.finish()
    assert (done.code, prompts(done.terminal)) == (0, 1), done
    assert len(re.findall(r"^https://\S+: got an? access token", done.terminal, re.MULTILINE)) == len(ALL) - 1, done
    assert desk.purposes() == sorted(ALL)
    counts = face.counts()
    assert (counts["device_authorization"], counts["refresh_token"]) == (1, len(ALL) - 1)


def test_logout_ends_them_all_and_revokes_the_one_refresh_token(desk: Desk, face: Face) -> None:
    desk.begin(face)
    for purpose in ALL:
        desk.token(purpose)
    done = desk.run("logout", "prod")
    assert done.code == 0, done
    assert face.refresh_tokens() == []
    assert face.counts()["revocation"] == 1
    assert (desk.kept(), list(desk.grants.glob("*.json"))) == ([], [])
    for purpose in ALL:
        assert desk.ask(purpose).code == 66


# --- providers that cannot --------------------------------------------------------------------------------------------


@pytest.fixture(params=["auth0", "plain"])
def one_only(request: pytest.FixtureRequest, desk: Desk, oidc: OidcProvider) -> Face:
    """Return a provider that ignores what a refresh is to be for: Auth0 without a policy, and one without RFC 8707."""
    if request.param == "auth0":
        desk.by = "audience"
        return oidc.auth0
    oidc.configure(CLI, multi_resource=[])
    return oidc


def test_a_token_for_the_old_audience_is_never_answered(desk: Desk, one_only: Face) -> None:
    """Each of the two has a sign-in of its own, of which a person is told why, and is quiet then."""
    face = one_only
    desk.begin(face)
    alone = desk.ask(GIT)
    assert (alone.code, alone.stdout) == (66, b""), alone
    [wrong] = face.issued("refresh_token")
    assert KUBE in audience(wrong.access_token or "")
    assert not desk.arrives(wrong.access_token or "?")
    assert desk.arrives(wrong.refresh_token or "?"), "it has rotated, whatever came with it"
    assert [one.honoured for one in face.refresh_tokens()] == [True]

    own = desk.sign_in_for(face, GIT, told=one_token_per_sign_in(face, GIT))
    assert len(refreshes(face)) == 1, "it is not asked again for what it does not give"
    face.reset_counts()
    assert desk.token(GIT) == own
    assert desk.token(KUBE) != own
    assert face.counts() == {}

    for _ in range(2):
        desk.expire_all()
        for purpose in (GIT, KUBE):
            desk.token(purpose)
    counts = face.counts()
    assert "device_authorization" not in counts
    assert counts["refresh_token"] == 4
    assert [one.error for one in refreshes(face)] == [None] * 4
    assert len(face.refresh_tokens()) == 2


def test_the_policy_of_a_client_is_what_decides(desk: Desk, auth0: Face) -> None:
    desk.by = "audience"
    auth0.configure(CLI, multi_resource=[GIT])
    desk.begin(auth0)
    desk.token(GIT)
    desk.sign_in_for(auth0, REGISTRY, told=one_token_per_sign_in(auth0, REGISTRY))
    auth0.reset_counts()
    desk.expire_all()
    for purpose in (KUBE, GIT, REGISTRY):
        desk.token(purpose)
    assert "device_authorization" not in auth0.counts()


def test_who_says_multi_resource_off_is_not_asked_for_another(desk: Desk, auth0: Face) -> None:
    desk.by = "audience"
    auth0.configure(CLI, multi_resource=[*ALL])
    desk.begin(auth0, multi_resource="off")
    desk.sign_in_for(auth0, GIT, told=one_token_per_sign_in(auth0, GIT))
    assert refreshes(auth0) == []


def test_invalid_target_costs_a_sign_in_of_its_own_and_no_other(desk: Desk, oidc: OidcProvider) -> None:
    """A resource that no sign-in asked for: the real provider would spend the refresh token before it refuses."""
    desk.lay(prod={"issuer": oidc.issuer, "client_id": CLI, "store": "file", "resource": KUBE})
    desk.sign_in_for(oidc, KUBE)
    desk.sign_in_for(oidc, GIT, told=one_token_per_sign_in(oidc, GIT))
    oidc.reset_counts()
    assert KUBE in audience(desk.token(KUBE))
    desk.expire_all()
    desk.token(GIT)
    desk.token(KUBE)
    assert "device_authorization" not in oidc.counts()


def test_invalid_target_that_spends_nothing_costs_a_sign_in_of_its_own(desk: Desk, oidc: OidcProvider) -> None:
    """A resource that the sign-in asked for, and a provider that refuses it before it spends what was sent."""
    desk.begin(oidc)
    oidc.fail_next("refresh_token", status=400, body={"error": "invalid_target"})
    desk.sign_in_for(oidc, GIT, told=one_token_per_sign_in(oidc, GIT))
    oidc.reset_counts()
    desk.expire_all()
    for purpose in (GIT, KUBE):
        desk.token(purpose)
    assert oidc.counts() == {"token": 2, "refresh_token": 2}
