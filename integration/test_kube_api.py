"""The API server and every real kubectl agree, and kubectl calls a plugin as often as we think it does.

The plugin is a shell script that prints one fixed token: nothing of ours runs here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import requests

from integration.clients.programs import Kubectl, kubectls
from integration.servers.kube_api import POD, KubeApi, write_kubeconfig
from integration.servers.oidc import AUDIENCE, CLI, DEVICE_CODE_GRANT, OidcProvider
from tests.helpers.programs import DEADLINE, Launcher

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
PODS = "/api/v1/namespaces/default/pods"


class Plugin:
    """An exec plugin that hands out one token and keeps what it was given."""

    def __init__(self, folder: Path, version: str = "v1", token: str = "static") -> None:
        self.path = folder / "plugin"
        self._calls = folder / "calls"
        status = {"token": token}
        answer = {"kind": "ExecCredential", "apiVersion": f"client.authentication.k8s.io/{version}", "status": status}
        script = f"#!/bin/sh\nprintf '%s' \"$KUBERNETES_EXEC_INFO\" >> '{self._calls}'\necho '{json.dumps(answer)}'\n"
        self.path.write_text(script)
        self.path.chmod(0o700)

    @property
    def calls(self) -> list[str]:
        """Return the KUBERNETES_EXEC_INFO of each call."""
        return self._calls.read_text().splitlines(keepends=True) if self._calls.exists() else []


@pytest.fixture
def kube(bare_kube_api: KubeApi) -> KubeApi:
    bare_kube_api.trust_token("static", user="ada")
    return bare_kube_api


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


@pytest.fixture
def kubeconfig(tmp_path: Path, kube: KubeApi, plugin: Plugin) -> Path:
    return write_kubeconfig(tmp_path / "kubeconfig", kube, command=str(plugin.path))


def test_get_pods_calls_the_plugin_once(
    each_kubectl: Kubectl, launch: Launcher, kubeconfig: Path, kube: KubeApi, plugin: Plugin
) -> None:
    done = launch.run([each_kubectl.path, "--kubeconfig", kubeconfig, "get", "pods"])
    assert (done.code, done.stderr) == (0, "")
    assert POD in done.text
    assert plugin.calls == [kube.exec_info()]
    assert kube.counts() == {"/api": 1, "/apis": 1, "/api/v1": 1, PODS: 1}
    assert {call.user for call in kube.calls} == {"ada"}


def test_apply_from_stdin_calls_the_plugin_twice(
    each_kubectl: Kubectl, launch: Launcher, kubeconfig: Path, kube: KubeApi, plugin: Plugin
) -> None:
    document = json.dumps(CONFIG_MAP).encode()
    done = launch.run([each_kubectl.path, "--kubeconfig", kubeconfig, "apply", "-f", "-"], stdin=document)
    assert (done.code, done.text, done.stderr) == (0, "configmap/settings created\n", "")
    assert len(plugin.calls) == 2
    [created] = [call for call in kube.calls if call.method == "POST"]
    assert json.loads(created.body)["data"] == {"a": "b"}


def test_version_asks_the_server(
    each_kubectl: Kubectl, launch: Launcher, kubeconfig: Path, kube: KubeApi, plugin: Plugin
) -> None:
    done = launch.run([each_kubectl.path, "--kubeconfig", kubeconfig, "version", "--output=json"])
    assert done.code == 0
    assert json.loads(done.stdout)["serverVersion"]["gitVersion"] == "v1.30.0"
    assert len(plugin.calls) == 1
    assert kube.counts() == {"/version": 1}


def test_a_401_runs_the_plugin_again_and_the_command_goes_on(
    each_kubectl: Kubectl, launch: Launcher, kubeconfig: Path, kube: KubeApi, plugin: Plugin
) -> None:
    kube.refuse(1)
    done = launch.run([each_kubectl.path, "--kubeconfig", kubeconfig, "get", "pods"])
    assert done.code == 0
    assert POD in done.text
    assert len(done.stderr.splitlines()) == 1
    assert len(plugin.calls) == 2
    assert [call.status for call in kube.calls] == [401, 200, 200, 200, 200]


def test_401_for_ever_runs_the_plugin_six_times(
    each_kubectl: Kubectl, launch: Launcher, kubeconfig: Path, kube: KubeApi, plugin: Plugin
) -> None:
    kube.refuse()
    done = launch.run([each_kubectl.path, "--kubeconfig", kubeconfig, "get", "pods"])
    assert done.code == 1
    assert "You must be logged in" in done.stderr
    assert len(plugin.calls) == 6
    assert set(plugin.calls) == {kube.exec_info()}  # nothing tells the plugin why it is called again
    assert {call.refused for call in kube.calls} == {"told to refuse"}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_cluster_info_and_its_config_reach_the_plugin(
    kubectl: Kubectl, launch: Launcher, tmp_path: Path, kube: KubeApi, version: Literal["v1", "v1beta1"]
) -> None:
    config = {"audience": AUDIENCE, "profile": "prod"}
    plugin = Plugin(tmp_path, version)
    kubeconfig = write_kubeconfig(
        tmp_path / "kubeconfig",
        kube,
        command=str(plugin.path),
        version=version,
        interactive_mode=None if version == "v1beta1" else "IfAvailable",
        provide_cluster_info=True,
        config=config,
    )
    done = launch.run([kubectl.path, "--kubeconfig", kubeconfig, "get", "pods"])
    assert (done.code, done.stderr) == (0, "")
    assert plugin.calls == [kube.exec_info(version=version, cluster=True, config=config)]


def test_args_env_and_install_hint_reach_kubectl(
    kubectl: Kubectl, launch: Launcher, tmp_path: Path, kube: KubeApi
) -> None:
    script = 'printf \'{"kind":"ExecCredential","apiVersion":"%s","status":{"token":"%s"}}\' "$1" "$TOKEN"'
    kubeconfig = write_kubeconfig(
        tmp_path / "kubeconfig",
        kube,
        command="/bin/sh",
        args=["-c", script, "plugin", "client.authentication.k8s.io/v1"],
        env={"TOKEN": "static"},
    )
    assert launch.run([kubectl.path, "--kubeconfig", kubeconfig, "get", "pods"]).code == 0
    for command, shown in (("no-such-plugin", True), ("/no/such/plugin", False)):  # the hint is for bare names
        missing = write_kubeconfig(tmp_path / "kubeconfig", kube, command=command, install_hint="install it so")
        done = launch.run([kubectl.path, "--kubeconfig", missing, "get", "pods"])
        assert done.code != 0
        assert ("install it so" in done.stderr) == shown


def test_the_prompt_of_a_plugin_reaches_the_terminal(
    kubectl: Kubectl, launch: Launcher, tmp_path: Path, kube: KubeApi, plugin: Plugin
) -> None:
    prompting = tmp_path / "prompting"
    prompting.write_text(f"#!/bin/sh\necho question >&2\nread answer < /dev/tty\necho got $answer >&2\n{plugin.path}\n")
    prompting.chmod(0o700)
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", kube, command=str(prompting))
    running = launch.start([kubectl.path, "--kubeconfig", kubeconfig, "get", "pods"], terminal=True)
    running.wait_for("question", where="terminal")
    running.type(b"yes\r")
    running.wait_for("got yes", where="terminal")
    done = running.finish()
    assert (done.code, done.stderr) == (0, "")
    assert POD in done.text
    assert POD not in done.terminal


def test_a_program_has_no_terminal_unless_it_is_given_one(launch: Launcher) -> None:
    command = ["/bin/sh", "-c", "if (: < /dev/tty) 2> /dev/null; then echo terminal; else echo none; fi"]
    assert launch.run(command).text == "none\n"
    assert launch.run(command, terminal=True, stderr="pipe").text == "terminal\n"


def test_ctrl_c_on_the_terminal_reaches_the_program(launch: Launcher) -> None:
    running = launch.start(["/bin/sh", "-c", "echo ready; exec /bin/sleep 300"], terminal=True)
    running.wait_for("ready", where="stdout")
    running.type(b"\x03")
    assert running.finish().code == -2


def test_a_terminal_that_is_closed_hangs_up(launch: Launcher) -> None:
    running = launch.start(["/bin/sh", "-c", "echo ready; exec /bin/sleep 300"], terminal=True)
    running.wait_for("ready", where="stdout")
    running.hang_up()
    assert running.finish().code == -1


# --- tokens of the real provider --------------------------------------------------------------------------------------


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def sign_in(http: requests.Session, oidc: OidcProvider) -> Any:
    fields = {"client_id": CLI, "scope": "openid email offline_access", "audience": AUDIENCE}
    asked = http.post(oidc.device_authorization_endpoint, data=fields, timeout=DEADLINE).json()
    oidc.approve(asked["user_code"], "ada")
    fields = {"client_id": CLI, "grant_type": DEVICE_CODE_GRANT, "device_code": asked["device_code"]}
    return http.post(oidc.token_endpoint, data=fields, timeout=DEADLINE).json()


def test_access_and_id_tokens_are_verified(http: requests.Session, oidc: OidcProvider, kube_api: KubeApi) -> None:
    tokens = sign_in(http, oidc)
    oidc.reset_counts()
    assert get(http, kube_api, tokens["access_token"]) == ("ada", None)
    assert get(http, kube_api, tokens["id_token"]) == ("ada@example.com", None)
    assert oidc.counts() == {}  # the API server's own look at the keys is not a client's
    oidc.rotate_keys()
    assert get(http, kube_api, sign_in(http, oidc)["access_token"]) == ("ada", None)
    assert kube_api.tokens()[:2] == [tokens["access_token"], tokens["id_token"]]


def test_what_is_wrong_with_a_token_is_said(http: requests.Session, oidc: OidcProvider, kube_api: KubeApi) -> None:
    oidc.configure(CLI, access_token_ttl=1)
    token = sign_in(http, oidc)["access_token"]
    head, body, signature = token.split(".")
    assert get(http, kube_api, None) == (None, "no bearer token")
    for bad, reason in (
        ("opaque", "DecodeError"),
        (f"{head}.{body}.{'A' * len(signature)}", "InvalidSignatureError"),
    ):
        user, refused = get(http, kube_api, bad)
        assert user is None
        assert reason in (refused or "")
    time.sleep(1.2)
    assert "ExpiredSignatureError" in (get(http, kube_api, token)[1] or "")
    kube_api.trust(oidc.issuer, ["https://elsewhere.example.com"])
    assert "InvalidAudienceError" in (get(http, kube_api, sign_in(http, oidc)["access_token"])[1] or "")
    kube_api.reset()
    assert "KeyError" in (get(http, kube_api, sign_in(http, oidc)["access_token"])[1] or "")


def get(http: requests.Session, kube: KubeApi, token: str | None) -> tuple[str | None, str | None]:
    """Ask for pods, and return who the server took us for, or why it refused."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = http.get(kube.server + PODS, headers=headers, verify=kube.ca_file, timeout=DEADLINE)
    call = kube.calls[-1]
    assert answer.status_code == call.status == (200 if call.user else 401)
    if call.status == 401:
        assert answer.json()["kind"] == "Status"
    return call.user, call.refused


def test_no_kubectl_is_a_dispatcher(launch: Launcher) -> None:
    found = kubectls()
    assert [k.version for k in found] == sorted({k.version for k in found}, key=lambda v: int(v.split(".")[1]))
    for kubectl in found:
        said = json.loads(launch.run([kubectl.path, "version", "--client", "--output=json"]).stdout)
        assert said["clientVersion"]["gitVersion"].startswith(f"v{kubectl.version}.")
        assert "dispatcher" not in said["clientVersion"]["gitVersion"]
