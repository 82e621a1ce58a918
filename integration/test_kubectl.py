"""Every real kubectl, the real provider, and the installed program between them.

kubectl runs the program through a script that counts the calls; the API server believes the provider's own JWTs. What
is asserted is what people see (prompts, pods, sentences) and what the provider saw (requests).
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Literal

import pytest

from integration.clients.programs import Kubectl, Runner
from integration.scenes.clusters import Cluster
from integration.scenes.sign_ins import CLOSING, asked, person, prompt, prompts, sign_in, wait_until, write_profiles
from integration.servers.kube_api import POD, KubeApi
from integration.servers.oidc import (
    AUDIENCE,
    CLI,
    M2M_BASIC,
    M2M_POST,
    M2M_SHORT,
    ODD_SECRET,
    SHORT_SECRET,
    Face,
    OidcProvider,
)
from tests.helpers.programs import Launcher, Result

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b" * 5000}}
DOCUMENT = json.dumps(CONFIG_MAP).encode()
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
OTHER_AUDIENCE = "https://other.example.com"


@pytest.fixture
def cluster(tmp_path: Path, kube_api: KubeApi, launch: Launcher, kubectl: Kubectl, run: Runner) -> Cluster:
    """The newest kubectl."""
    return Cluster(tmp_path, kube_api, launch, kubectl, run)


@pytest.fixture
def each_cluster(tmp_path: Path, kube_api: KubeApi, launch: Launcher, each_kubectl: Kubectl, run: Runner) -> Cluster:
    """One kubectl after the other."""
    return Cluster(tmp_path, kube_api, launch, each_kubectl, run)


def got_pods(done: Result) -> bool:
    return done.code == 0 and POD in done.text


def last_claims(kube: KubeApi) -> dict[str, object]:
    return kube.calls[-1].claims


# --- one sign-in, and then silence ------------------------------------------------------------------------------------


def test_one_prompt_then_no_request_and_apply_keeps_its_stdin(
    each_cluster: Cluster, oidc: OidcProvider, home: dict[str, str]
) -> None:
    cluster = each_cluster
    write_profiles(home, prod=person(oidc))

    first = cluster.start("get", "pods", terminal=True)
    user_code = asked(first)
    oidc.approve(user_code)
    done = first.finish()
    assert got_pods(done)
    assert re.fullmatch(prompt(oidc, user_code) + CLOSING, done.terminal)
    counts = oidc.counts()
    assert counts.pop("token") == counts.pop("device_code") <= 3
    assert counts == {"discovery": 1, "device_authorization": 1, "jwks": 1}
    assert len(cluster.calls) == 1
    assert {call.user for call in cluster.kube.calls} == {"ada"}

    oidc.reset_counts()
    second = cluster("get", "pods", terminal=True)
    assert got_pods(second)
    assert second.terminal == ""
    assert len(cluster.calls) == 2

    applied = cluster("apply", "-f", "-", stdin=DOCUMENT)
    assert (applied.code, applied.text, applied.stderr) == (0, "configmap/settings created\n", "")
    [created] = [call for call in cluster.kube.calls if (call.method, call.path) == ("POST", CONFIG_MAPS)]
    assert json.loads(created.body)["data"] == CONFIG_MAP["data"]
    assert len(cluster.calls) == 4
    assert oidc.counts() == {}
    assert len(cluster.kube.tokens()) == 1


@pytest.mark.parametrize("interactive_mode", ["Never", "IfAvailable"])
def test_apply_signs_in_while_its_stdin_waits(
    cluster: Cluster, oidc: OidcProvider, home: dict[str, str], interactive_mode: Literal["Never", "IfAvailable"]
) -> None:
    write_profiles(home, prod=person(oidc))
    cluster.configure(interactive_mode=interactive_mode)
    running = cluster.start("apply", "-f", "-", stdin=DOCUMENT, terminal=True)
    oidc.approve(asked(running))
    done = running.finish()
    assert (done.code, done.text) == (0, "configmap/settings created\n")
    assert prompts(done.terminal) == 1
    assert oidc.counts()["device_authorization"] == 1
    [created] = [call for call in cluster.kube.calls if (call.method, call.path) == ("POST", CONFIG_MAPS)]
    assert json.loads(created.body)["data"] == CONFIG_MAP["data"]
    assert len(cluster.calls) == 2


def test_an_expired_token_is_renewed_with_one_request_and_no_prompt(
    cluster: Cluster, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    oidc.configure(CLI, access_token_ttl=2)
    sign_in(run, oidc)
    oidc.configure(CLI, access_token_ttl=3600)
    oidc.reset_counts()
    time.sleep(2.1)

    done = cluster("get", "pods", terminal=True)
    assert got_pods(done)
    assert done.terminal == ""
    assert [(request.endpoint, request.grant_type) for request in oidc.requests()] == [("token", "refresh_token")]
    assert got_pods(cluster("get", "pods"))
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    assert len(oidc.refresh_tokens()) == 1


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_denied_sign_in_is_said_once_although_kubectl_asks_five_times(
    each_cluster: Cluster, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    running = each_cluster.start("get", "pods", terminal=True)
    user_code = asked(running)
    oidc.deny(user_code)
    done = running.finish()
    assert (done.code, done.stdout) == (1, b"")
    assert prompts(done.terminal) == 1
    said = [line for line in done.terminal.splitlines() if line.startswith("credential-helper: prod: ")]
    assert len(said) == 1
    assert said[0].startswith(f"credential-helper: prod: declined at {oidc.host}")
    assert len(each_cluster.calls) == 5
    assert len({kubectl for _, kubectl in each_cluster.calls}) == 1
    counts = oidc.counts()
    assert counts["device_authorization"] == 1
    assert counts["device_code"] == 1  # the poll that brought the news


def test_after_a_denial_the_next_kubectl_asks_nobody_and_login_asks_again(
    cluster: Cluster, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    running = cluster.start("get", "pods", terminal=True)
    oidc.deny(asked(running))
    running.finish()
    oidc.reset_counts()

    again = cluster("get", "pods", terminal=True)
    assert again.code == 1
    assert prompts(again.terminal) == 0
    assert (
        len(re.findall(r"declined .*; that was \d+ s ago, and credential-helper login prod asks again", again.terminal))
        == 1
    )
    assert oidc.counts() == {}

    sign_in(run, oidc, "prod")
    assert got_pods(cluster("get", "pods", terminal=True))


def test_a_code_that_nobody_used_is_not_followed_by_another(
    cluster: Cluster, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    running = cluster.start("get", "pods", terminal=True)
    oidc.expire_device_code(asked(running))
    for done in (running.finish(), cluster("get", "pods", terminal=True)):  # remembered for 5 minutes
        assert done.code == 1
        assert done.terminal.count("before the code expired") == 1
        assert "failed with exit code 77" in done.terminal
    assert prompts(running.output("terminal")) == 1
    assert oidc.counts()["device_authorization"] == 1


def test_a_revoked_refresh_token_is_tried_once_and_then_a_person_is_asked(
    cluster: Cluster, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    oidc.configure(CLI, access_token_ttl=1)
    sign_in(run, oidc)
    oidc.configure(CLI, access_token_ttl=3600)
    oidc.revoke_grants()
    oidc.reset_counts()
    time.sleep(1.1)

    alone = cluster("get", "pods")
    assert alone.code == 1
    said = re.findall("^credential-helper: prod: .*$", alone.stderr, re.MULTILINE)
    assert len(said) == 1
    assert "refused the refresh token (invalid_grant" in said[0]
    assert alone.stderr.count("hint: credential-helper login prod\n") == 1
    assert oidc.counts() == {"token": 1, "refresh_token": 1}

    assert got_pods(cluster.get_pods_as(oidc))
    assert oidc.counts()["refresh_token"] == 1


@pytest.mark.parametrize(
    ("status", "headers", "code"), [(503, {}, 69), (429, {"retry-after": "60"}, 75)], ids=["503", "429"]
)
def test_a_provider_in_trouble_is_asked_once_a_kubectl(
    cluster: Cluster,
    run: Runner,
    oidc: OidcProvider,
    home: dict[str, str],
    status: int,
    headers: dict[str, str],
    code: int,
) -> None:
    write_profiles(home, prod=person(oidc))
    oidc.configure(CLI, access_token_ttl=1)
    sign_in(run, oidc)
    oidc.configure(CLI, access_token_ttl=3600)
    oidc.reset_counts()
    oidc.fail_next("refresh_token", times=None, status=status, body="<html>busy</html>", headers=headers)
    time.sleep(1.1)

    done = cluster("get", "pods", terminal=True)
    assert done.code == 1
    assert len(cluster.calls) == 5
    assert len(re.findall("^credential-helper: prod: ", done.terminal, re.MULTILINE)) == 1
    assert f"failed with exit code {code}" in done.terminal
    assert prompts(done.terminal) == 0
    assert oidc.counts() == {"token": 1, "refresh_token": 1}

    oidc.clear_faults()
    assert run("refresh").code == 0  # nothing was lost, and a person's own word is not held back
    assert got_pods(cluster("get", "pods"))


def test_nobody_signed_in_and_nobody_to_ask_is_said_once(
    each_cluster: Cluster, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    done = each_cluster("get", "pods")
    assert (done.code, done.stdout) == (1, b"")
    assert done.stderr.count("credential-helper: prod: nobody is signed in") == 1
    assert done.stderr.count("hint: credential-helper login prod") == 1
    assert "failed with exit code 66" in done.stderr
    assert len(each_cluster.calls) == 5
    assert "device_authorization" not in oidc.counts()


def test_a_cluster_that_says_401_costs_the_provider_nothing(
    cluster: Cluster, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    sign_in(run, oidc)
    oidc.reset_counts()
    cluster.kube.refuse()
    done = cluster("get", "pods", terminal=True)
    assert done.code == 1
    assert "You must be logged in" in done.terminal
    assert len(cluster.calls) == 6
    assert oidc.counts() == {}

    cluster.kube.refuse(0)
    refreshed = run("refresh")
    assert (refreshed.code, refreshed.stdout) == (0, b"")
    assert got_pods(cluster("get", "pods"))
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    assert len(cluster.kube.tokens()) == 2


# --- what kubectl says, and what it is told ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_both_versions_and_a_terminal_on_stdin(
    cluster: Cluster, oidc: OidcProvider, home: dict[str, str], version: Literal["v1", "v1beta1"]
) -> None:
    write_profiles(home, prod=person(oidc))
    cluster.configure(version=version, interactive_mode=None if version == "v1beta1" else "Always")
    done = cluster.get_pods_as(oidc, stdin=None)
    assert got_pods(done)
    assert prompts(done.terminal) == 1
    assert len(cluster.calls) == 1


def test_clusters_that_share_a_user_say_their_own_audience(
    cluster: Cluster, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod={"issuer": oidc.issuer, "client_id": CLI})
    cluster.kube.trust(oidc.issuer, [AUDIENCE, OTHER_AUDIENCE])
    for audience in (AUDIENCE, OTHER_AUDIENCE):
        cluster.configure(provide_cluster_info=True, config={"profile": "prod", "audience": audience})
        done = cluster.get_pods_as(oidc)
        assert got_pods(done)
        assert f"  for {cluster.kube.server}: openid" in done.terminal
        assert last_claims(cluster.kube)["aud"] == audience
    oidc.reset_counts()
    cluster.configure(provide_cluster_info=True, config={"audience": AUDIENCE})
    assert got_pods(cluster("get", "pods"))
    assert last_claims(cluster.kube)["aud"] == AUDIENCE
    assert oidc.counts() == {}


def test_a_cluster_of_stock_gets_the_id_token(cluster: Cluster, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod={"issuer": oidc.issuer, "client_id": CLI})
    cluster.kube.reset()
    cluster.kube.trust(oidc.issuer, [CLI])  # what --oidc-client-id says
    oidc.configure(CLI, id_token_ttl=8, access_token_ttl=3600)
    assert got_pods(cluster.get_pods_as(oidc))
    claims = last_claims(cluster.kube)
    assert (claims["aud"], claims["email"]) == (CLI, "ada@example.com")
    oidc.configure(CLI, id_token_ttl=3600)
    oidc.reset_counts()
    time.sleep(8.1)  # its own expiry counts, not the access token's
    assert got_pods(cluster("get", "pods"))
    assert oidc.counts() == {"token": 1, "refresh_token": 1}
    assert len(cluster.kube.tokens()) == 2


def test_a_whole_profile_in_the_kubeconfig(cluster: Cluster, oidc: OidcProvider) -> None:
    cluster.configure(f"--issuer={oidc.issuer}", f"--client-id={CLI}", f"--audience={AUDIENCE}")
    done = cluster.get_pods_as(oidc)
    assert got_pods(done)
    assert re.search(rf"kubectl needs a sign-in to {re.escape(oidc.host)}/{CLI} ", done.terminal)
    oidc.reset_counts()
    assert got_pods(cluster("get", "pods"))
    assert oidc.counts() == {}


# --- Auth0 ------------------------------------------------------------------------------------------------------------


def test_auth0_with_its_slash_its_403_and_its_429(cluster: Cluster, auth0: Face, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(auth0))
    assert auth0.issuer.endswith("/")
    running = cluster.start("get", "pods", terminal=True)
    user_code = asked(running)
    wait_until(lambda: auth0.counts().get("device_code") == 1, "the first poll")
    auth0.fail_next("device_code", status=429, body={"error": "slow_down", "error_description": "too fast"})
    wait_until(lambda: auth0.counts().get("device_code") == 2, "the second poll")
    auth0.approve(user_code)
    done = running.finish()
    assert got_pods(done)
    assert re.fullmatch(prompt(auth0, user_code) + CLOSING, done.terminal)
    polls = auth0.requests("device_code")
    assert [(poll.status, poll.error) for poll in polls] == [
        (403, "authorization_pending"),
        (429, "slow_down"),
        (200, None),
    ]
    assert polls[2].at - polls[1].at > 5.9  # RFC 8628 section 3.5: 5 s more than the 1 s of before
    assert last_claims(cluster.kube)["aud"] == [AUDIENCE, f"{auth0.issuer}userinfo"]


def test_auth0_without_its_slash_renews_too(cluster: Cluster, run: Runner, auth0: Face, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(auth0, issuer=auth0.issuer.rstrip("/")))
    auth0.configure(CLI, access_token_ttl=2)
    sign_in(run, auth0)
    auth0.configure(CLI, access_token_ttl=3600)
    auth0.reset_counts()
    time.sleep(2.1)
    assert got_pods(cluster("get", "pods"))
    assert auth0.counts() == {"token": 1, "refresh_token": 1}


# --- machines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client_id", "sent"),
    [(M2M_BASIC, ["client_secret_basic"]), (M2M_POST, ["client_secret_basic", "client_secret_post"])],
)
def test_a_machine_needs_nobody(
    cluster: Cluster, auth0: Face, home: dict[str, str], client_id: str, sent: list[str]
) -> None:
    machine = person(auth0, client_id=client_id, flow="client-credentials", client_secret={"env": "CI_SECRET"})
    write_profiles(home, prod=machine)
    home |= {"CI": "true", "CI_SECRET": ODD_SECRET}
    for _ in range(2):
        done = cluster("get", "pods")
        assert got_pods(done)
        assert done.stderr == ""
    assert [request.authentication for request in auth0.requests("client_credentials")] == sent
    assert last_claims(cluster.kube)["sub"] == f"{client_id}@clients"
    assert len(cluster.kube.tokens()) == 1


def test_a_machine_fetches_one_more_token_when_its_own_expires(
    cluster: Cluster, oidc: OidcProvider, home: dict[str, str]
) -> None:
    machine = person(oidc, client_id=M2M_SHORT, flow="client-credentials", client_secret={"env": "CI_SECRET"})
    write_profiles(home, prod=machine)
    home["CI_SECRET"] = SHORT_SECRET
    assert got_pods(cluster("get", "pods"))
    oidc.reset_counts()
    time.sleep(3.1)  # of the 4 s that it lives, the last is left to the tool
    assert got_pods(cluster("get", "pods"))
    assert oidc.counts() == {"token": 1, "client_credentials": 1}
    assert len(cluster.kube.tokens()) == 2


# --- back to nothing --------------------------------------------------------------------------------------------------


def test_after_logout_kubectl_asks_again(
    cluster: Cluster, run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc))
    sign_in(run, oidc)
    assert got_pods(cluster("get", "pods"))

    farewell = run("logout", "prod")
    assert (farewell.code, farewell.stdout) == (0, b"")
    assert "signed out of prod (ada@example.com)" in farewell.stderr
    assert oidc.refresh_tokens() == []

    cluster.kube.calls.clear()
    done = cluster("get", "pods")
    assert (done.code, done.stdout) == (1, b"")
    assert "nobody is signed in" in done.stderr
    assert cluster.kube.calls == []  # the access token still lives, and is not used
    assert got_pods(cluster.get_pods_as(oidc))
