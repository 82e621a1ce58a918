"""kubectl's exec-credential protocol."""

from __future__ import annotations

import functools
import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    InteractionRequired,
    LockTimeout,
    ProtocolError,
    StoreError,
    TokenResponseError,
    TransportError,
    UsageError,
)
from credential_helper.model import Credential, Secret
from credential_helper.tools import contract, kubectl
from credential_helper.tools.contract import Asked, Exchange
from tests.helpers.credentials import CANARY, NOW, answer_or_refusal, credential, credentials, json_values, patient
from tests.helpers.requests import request_by
from tests.tools.contract import TOKEN, ListedToolContract, write_config

# Recorded from kubectl 1.33 [reference: provideClusterInfo: true, an extension with an audience].
RECORDED = (
    '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{'
    '"server":"https://h:6443","tls-server-name":"x","certificate-authority-data":"LS0t","config":{"audience":"abc"}},'
    '"interactive":false}}\n'
)


def read(
    text: str | bytes | None, *, default_version: str | None = None, where: str = "KUBERNETES_EXEC_INFO"
) -> Exchange:
    """Read what the environment, or stdin, says; an environment's text comes as its bytes."""
    data = text if isinstance(text, bytes) else (text or "").encode(errors="surrogatepass")
    options = {} if default_version is None else {"api_version": default_version}
    return kubectl.read(Asked(data=data, where=where, options=options))


def render(credential: Credential, version: str, *, now: float) -> bytes:
    return kubectl.render(Exchange(request=request_by("kubectl"), form=version), credential, now)


def info(**parts: Any) -> str:
    return json.dumps({"kind": "ExecCredential", "apiVersion": kubectl.V1, "spec": {"interactive": False}} | parts)


def config(value: object) -> str:
    return info(spec={"interactive": True, "cluster": {"server": "https://h:6443", "config": value}})


def refusal(text: str | bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        read(text)
    assert caught.value.exit_code == 65
    return caught.value


# --- reading ----------------------------------------------------------------------------------------------------------


def test_what_kubectl_sends_is_read() -> None:
    exchange = read(RECORDED)
    assert exchange.form == "client.authentication.k8s.io/v1"
    assert exchange.request == request_by("kubectl", target="https://h:6443", audience="abc")


@pytest.mark.parametrize("version", ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"])
def test_both_versions_are_spoken_and_echoed(version: str) -> None:
    assert read(info(apiVersion=version)).form == version
    assert read(info(apiVersion=version), default_version="v1").form == version


@pytest.mark.parametrize("absent", [None, "", "\n"])
def test_without_exec_info_the_version_is_v1beta1_or_the_one_that_is_passed_in(absent: str | None) -> None:
    assert read(absent) == Exchange(request=request_by("kubectl"), form=kubectl.V1BETA1)
    assert read(absent, default_version="v1").form == kubectl.V1
    assert read(absent, default_version=kubectl.V1).form == kubectl.V1
    with pytest.raises(UsageError, match="--api-version should be v1 or v1beta1"):
        read(absent, default_version="v1alpha1")


@pytest.mark.parametrize(
    "text",
    [
        info(),
        info(spec=None),
        '{"apiVersion":"client.authentication.k8s.io/v1"}',
        info(spec={"interactive": True, "cluster": None}),
        info(spec={"cluster": {"server": "", "insecure-skip-tls-verify": True, "config": None}}),
        info(spec={"interactive": "perhaps"}, status={"token": "ignored"}, unknown=[1]),
    ],
)
def test_a_request_may_leave_out_what_kubectl_may(text: str) -> None:
    assert read(text).request == request_by("kubectl")


def test_an_exec_credential_on_stdin_is_named_so() -> None:
    assert read(RECORDED.encode(), where="stdin").request.target == "https://h:6443"
    with pytest.raises(
        ProtocolError, match=r"^stdin has no apiVersion; expected client\.authentication\.k8s\.io/v1 or "
    ):
        read(b'{"kind":"ExecCredential"}', where="stdin")


def test_the_cluster_extension_says_what_differs_between_clusters() -> None:
    wishes = {"profile": "prod", "audience": "a", "resource": "https://r", "scope": ["s"], "token": "id"}
    assert read(config(wishes)).request == request_by(
        "kubectl",
        target="https://h:6443",
        profile="prod",
        audience="a",
        resource=("https://r",),
        scope=("s",),
        token="id",
    )
    assert read(config({})).request == request_by("kubectl", target="https://h:6443")


EXTENSION = "the cluster extension client.authentication.k8s.io/exec"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"audiance": "a"}, f'{EXTENSION}: unknown key "audiance"'),
        ({"Audience": "a"}, f'{EXTENSION}: unknown key "Audience"'),
        ({"scopes": ["s"], "shootRef": {}}, f'{EXTENSION}: unknown key "scopes"'),
        ({"profiles": "prod"}, f'{EXTENSION}: unknown key "profiles"'),
        ({"audience": ["a"]}, f'{EXTENSION}: "audience" should be a string of printable characters; found a list'),
    ],
)
def test_a_key_that_is_nearly_ours_and_another_type_of_ours_are_refused_by_name(value: object, sentence: str) -> None:
    assert refusal(config(value)).sentence == sentence


@pytest.mark.parametrize(
    ("value", "ignored"),
    [
        ({"shootRef": {"name": "a"}, "gardenClusterIdentity": "b"}, "shootRef, gardenClusterIdentity"),
        ({"apiVersion": "x/v1", "kind": "Config", "resourceRef": 1, "issuer": "https://a.example"}, "apiVersion, kind"),
        ({"token": None, "audience": None}, "token, audience"),
        ({"a\x1b\u2800b": 1}, "a b is"),
        ("prod", "is no object"),
        (["prod"], "is no object"),
        (False, "is no object"),
        (7, "is no object"),
    ],
)
def test_what_another_plugin_s_extension_says_is_passed_over(value: object, ignored: str) -> None:
    """Gardener writes its own into the same place; one entry of the cluster serves every plugin."""
    found = read(config(value))
    assert found.request == request_by("kubectl", target="https://h:6443")
    assert len(found.notes) == 1
    assert ignored in found.notes[0]
    assert found.notes[0].endswith(": ignored")
    assert read(config(None)).notes == read(config({"audience": "a"})).notes == ()


def test_our_keys_count_beside_another_plugin_s() -> None:
    found = read(config({"shootRef": {}, "audience": "a", "scope": None}))
    assert found.request == request_by("kubectl", target="https://h:6443", audience="a")


@pytest.mark.parametrize("kind", ["ExecCredentials", "Pod", "", 7, ["x"], {}])
def test_another_kind_is_answered_and_noted(kind: object) -> None:
    """.NET's client writes ExecCredentials; nothing depends on it."""
    found = read(info(kind=kind))
    assert found.request == request_by("kubectl")
    assert "and read as an ExecCredential" in found.notes[0]
    assert read(info(kind=None)).notes == ()


def test_an_unknown_key_s_hint_lists_the_extension_s_keys() -> None:
    assert refusal(config({"audiance": "a"})).hint == "the keys are profile, audience, resource, scope, token"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("canary-3f1c", "KUBERNETES_EXEC_INFO is not one JSON object: expecting value (line 1, column 1)"),
        ("[]", "KUBERNETES_EXEC_INFO should be one JSON object; found a list"),
        ("{}", f"KUBERNETES_EXEC_INFO has no apiVersion; expected {kubectl.V1} or {kubectl.V1BETA1}"),
        (info(spec=[]), "KUBERNETES_EXEC_INFO: spec should be an object"),
        (info(spec={"cluster": "h"}), "KUBERNETES_EXEC_INFO: spec.cluster should be an object"),
        (info(spec={"cluster": {"server": 1}}), "KUBERNETES_EXEC_INFO: spec.cluster.server should be a string"),
        (
            info(apiVersion="client.authentication.k8s.io/v1alpha1"),
            "KUBERNETES_EXEC_INFO is of version client.authentication.k8s.io/v1alpha1; "
            f"expected {kubectl.V1} or {kubectl.V1BETA1}",
        ),
        ("\udcff", "KUBERNETES_EXEC_INFO is not UTF-8"),
        (
            "\ufeff" + info(),
            "KUBERNETES_EXEC_INFO begins with a byte order mark, which JSON may not have (RFC 8259 §8.1)",
        ),
        (info()[:-1] + ',"kind":"x"}', 'KUBERNETES_EXEC_INFO has the key "kind" twice'),
    ],
)
def test_what_is_not_an_exec_credential_is_refused(text: str, sentence: str) -> None:
    error = refusal(text)
    assert error.sentence == sentence
    assert CANARY not in repr(error)


def test_a_version_of_yesterday_gets_a_hint() -> None:
    hint = refusal(info(apiVersion="client.authentication.k8s.io/v1alpha1")).hint
    assert hint == "write apiVersion: client.authentication.k8s.io/v1 in the kubeconfig's exec section"


@patient
@given(st.text(alphabet=st.characters(codec=None)) | st.binary())
def test_anything_is_a_request_or_a_refusal(text: str | bytes) -> None:
    answer_or_refusal(lambda: read(text))


@patient
@given(json_values, json_values)
def test_any_cluster_is_a_request_or_a_refusal(cluster: Any, extension: Any) -> None:
    for text in (info(spec=cluster), info(spec={"cluster": cluster}), config(extension)):
        answer_or_refusal(functools.partial(read, text))


# --- answering --------------------------------------------------------------------------------------------------------


def expiration(now: float, **changes: Any) -> str | None:
    data = render(msgspec.structs.replace(credential, **changes), kubectl.V1, now=now)
    stamp: str | None = json.loads(data)["status"].get("expirationTimestamp")
    return stamp


@pytest.mark.parametrize("version", kubectl.VERSIONS)
def test_an_answer_is_one_exec_credential_in_the_version_asked(version: str) -> None:
    assert render(credential, version, now=NOW).decode() == (
        f'{{"kind":"ExecCredential","apiVersion":"{version}",'
        '"status":{"token":"eyJ.abc.def","expirationTimestamp":"2030-03-17T18:45:40Z"}}\n'
    )


def test_the_freshness_margin_is_taken_off() -> None:
    assert expiration(NOW, expires_at=NOW + 3600, fresh_until=NOW + 2700) == "2030-03-17T18:31:40Z"


def test_fractions_of_a_second_are_cut_off() -> None:
    assert expiration(NOW, fresh_until=NOW + 60.999) == "2030-03-17T17:47:40Z"


def test_an_unknown_expiry_is_left_out() -> None:
    assert expiration(NOW, expires_at=None, fresh_until=None) is None
    assert expiration(NOW, expires_at=None, fresh_until=NOW + 3600) is None


def test_an_expiry_without_a_margin_of_ours_is_sent_as_it_is() -> None:
    assert expiration(NOW, fresh_until=None) == "2030-03-17T18:46:40Z"


@pytest.mark.parametrize("left", [-86400.0, -1.0, 0.0, 4.0, 5.0, 5.9])
def test_a_moment_that_is_past_or_about_to_be_is_left_out(left: float) -> None:
    assert expiration(NOW, fresh_until=NOW + left) is None
    assert expiration(NOW, expires_at=NOW + left, fresh_until=NOW + 3000) is None


def test_a_moment_just_far_enough_away_is_sent() -> None:
    assert expiration(NOW, fresh_until=NOW + 6) == "2030-03-17T17:46:46Z"


def test_a_token_from_the_future_has_no_expiry_that_can_be_trusted() -> None:
    assert expiration(NOW - 61) is None
    assert expiration(NOW - 60) is not None


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_an_impossible_expiry_is_left_out(broken: float) -> None:
    assert expiration(NOW, expires_at=broken, fresh_until=None) is None


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "abc\r\n", "a\x00b", "t\u00f6ken"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(TokenResponseError, match="token has characters that an HTTP header cannot carry"):
        render(msgspec.structs.replace(credential, token=Secret(token)), kubectl.V1, now=NOW)


def status(reason: str, code: int, message: str = "") -> dict[str, object]:
    said = {"message": message} if message else {}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": reason,
        "code": code,
    } | said


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (InteractionRequired("no"), "Unauthorized", 401),
        (AuthorizationError("no"), "Unauthorized", 401),
        (ConfigurationError("no"), "BadRequest", 400),
        (ProtocolError("no"), "BadRequest", 400),
        (TransportError("no"), "ServiceUnavailable", 503),
        (StoreError("no"), "ServiceUnavailable", 503),
        (LockTimeout("no"), "ServiceUnavailable", 503),
        (CredentialHelperError("no"), "InternalError", 500),
    ],
)
def test_a_failure_is_a_status_that_client_go_can_show(error: CredentialHelperError, reason: str, code: int) -> None:
    stdout, exit_code = contract.decline(kubectl, error)
    assert exit_code == error.exit_code
    assert stdout.endswith(b"\n")
    assert json.loads(stdout) == status(reason, code, "credential-helper: no")


def test_a_status_names_the_profile_and_what_to_do_and_is_one_line() -> None:
    error = InteractionRequired("nobody\x1b[2K\nhere", hint="credential-helper login prod")
    error.profile = "prod"
    stdout, _ = contract.decline(kubectl, error)
    said = "credential-helper: prod: nobody[2K here (hint: credential-helper login prod)"
    assert json.loads(stdout) == status("Unauthorized", 401, said)


@patient
@given(credentials, st.sampled_from(kubectl.VERSIONS), st.floats(0, 1e11))
def test_an_answer_is_always_exactly_one_document_that_kubectl_takes(
    credential: Credential, version: str, now: float
) -> None:
    try:
        data = render(credential, version, now=now)
    except TokenResponseError:
        return
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    answer = json.loads(data)
    assert answer["kind"] == "ExecCredential"
    assert answer["apiVersion"] == version
    assert answer["status"].pop("token") == credential.token.reveal()
    stamp = answer["status"].pop("expirationTimestamp", None)
    assert answer["status"] == {}
    if stamp is not None:
        moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        assert credential.expires_at is not None
        assert now < moment <= credential.expires_at


class TestContract(ListedToolContract):
    tool = "kubectl"
    listed = 'kubernetes = ["https://api.example.com:6443"]'
    mine = info(spec={"interactive": False, "cluster": {"server": "https://api.example.com:6443"}}).encode()
    others = info(spec={"interactive": False, "cluster": {"server": "https://other.example.com:6443"}}).encode()
    not_mine = (b"Unauthorized", 77)  # its list restricts: another cluster is refused
    refused = (b"Unauthorized", 66)
    silent = False
    broken = ((b"hunter2", b"BadRequest", 65), (info(apiVersion="v9").encode(), b"BadRequest", 65))

    def handed_over(self, data: bytes) -> tuple[bytes, dict[str, str]]:
        return b"stdin is not ours", {"KUBERNETES_EXEC_INFO": data.decode()}

    def declined(self, stdout: bytes) -> bytes:
        """Return the reason of a Status, whose message is what stderr says."""
        said = json.loads(stdout)
        assert said == status(said["reason"], said["code"], said["message"])
        return bytes(said["reason"], "ascii")

    def token(self, stdout: bytes) -> str:
        return str(json.loads(stdout)["status"]["token"])

    def test_without_a_list_nothing_is_mine(self, home: dict[str, str]) -> None:
        """Without a list every cluster is served."""
        write_config(home, "")
        assert self.token(self.run(home, self.others).stdout) == TOKEN
