"""kubectl's exec-credential protocol: KUBERNETES_EXEC_INFO in, an ExecCredential on stdout.

The other side is client-go's plugin/pkg/client/auth/exec/exec.go; the types are client.authentication.k8s.io's.

- The version that kubectl is configured with is echoed, or kubectl refuses the answer. Without KUBERNETES_EXEC_INFO
  (run by hand, or by a client that is not Go's) everything is left to the profile.
- stdin is not read here: it belongs to ``kubectl apply -f -``.
- Of spec.cluster only ``server`` and ``config`` concern us. ``config`` is the cluster's extension
  client.authentication.k8s.io/exec, where one user entry that clusters share says what differs between them. It may
  have been written for another plugin (Gardener's ``shootRef``): what is not ours is passed over, but a key that is
  nearly one of ours is a mistake, with which a token for another audience would be answered.
- Only what is used is checked: the kind is not (.NET's client writes ExecCredentials).
- An expirationTimestamp in the past makes kubectl call us for every HTTP request (kubernetes/kubernetes#106768); none
  makes it keep the token until the API server answers 401. So when in doubt, none.
- A failure is a metav1.Status on stdout beside the reason on stderr. client-go from 1.37 on shows it where stderr is
  lost (kubernetes/kubernetes#139150); an older one ignores stdout where the exit code is not 0. Nothing in the request
  says which one asks, so everybody gets it.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from credential_helper.errors import CredentialHelperError, ProtocolError, UsageError
from credential_helper.model import Credential, Manners, Request
from credential_helper.text import foreign, rfc3339
from credential_helper.tools.contract import Asked, Exchange
from credential_helper.tools.wire import json_object, token_text

GROUP = "client.authentication.k8s.io"
V1 = f"{GROUP}/v1"
V1BETA1 = f"{GROUP}/v1beta1"
VERSIONS = (V1, V1BETA1)

EXTENSION = f"{GROUP}/exec"
CONFIG_KEYS = ("profile", "audience", "resource", "scope", "token")

SOON = 5.0  # seconds; an expiry as close as that is past before the answer is used
MANNERS = Manners(
    token="id",  # which stock clusters trust
    repeats=True,  # its five tries take half a second
    patience=30.0,  # its discovery takes 32 s
    complaint='"context deadline exceeded"',
    written="spec.cluster.config.{key}",
)

KIND = "ExecCredential"
_NEAR = 0.86  # audiance, Audience, scopes; not resourceRef, token_type

CLOCK_TOLERANCE = 60.0  # seconds that a token may come from the future


def read(asked: Asked) -> Exchange:
    """Return what an ExecCredential asks for; the exchange's ``form`` is the version to answer in.

    The option ``api_version`` (``v1``, or with its group) is for a caller that says none. Raises ProtocolError when it
    is not an ExecCredential that we can answer, or when the cluster's extension has a key or a value that it may not
    have; UsageError when that option is not a version that we speak.
    """
    where = asked.where
    if not asked.data.strip():
        version = _version(str(asked.options.get("api_version", V1BETA1)))
        return Exchange(request=Request(tool="kubectl", manners=MANNERS), form=version)
    document = json_object(asked.data, where)
    version = _api_version(document, where)
    cluster = _object(_object(document, "spec", where), "spec.cluster", where)
    server = cluster.get("server")
    if not isinstance(server, str | None):
        raise ProtocolError(f"{where}: spec.cluster.server should be a string")
    wishes, notes = _extension(cluster.get("config"))
    kind = document.get("kind")
    if kind not in (None, KIND):
        notes = (f"{where} is of kind {foreign(str(kind), 60)}, and read as an {KIND}", *notes)
    request = Request(tool="kubectl", manners=MANNERS, target=server or None, **wishes)
    return Exchange(request=request, form=version, notes=notes)


def _extension(config: object) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a cluster's extension asks of us, and what of it is passed over, in words."""
    extension = f"the cluster extension {EXTENSION}"
    if config is None:
        return {}, ()
    if not isinstance(config, dict):
        return {}, (f"{extension} is no object, so it is not for us: ignored",)
    # In Kubernetes' own objects null is what is not set.
    theirs = [name for name, value in config.items() if value is None or (name not in CONFIG_KEYS and not _near(name))]
    from credential_helper.tools.wishes import read_keys  # few clusters say anything

    wishes = read_keys({name: value for name, value in config.items() if name not in theirs}, CONFIG_KEYS, extension)
    names = foreign(", ".join(theirs), 200)
    return wishes, (f"{extension}: {names} is not for us: ignored",) if theirs else ()


def _near(name: str) -> bool:
    """Say whether a key is probably one of ours, mistyped."""
    from difflib import SequenceMatcher

    return any(SequenceMatcher(None, name[:40].lower(), key).ratio() >= _NEAR for key in CONFIG_KEYS)


def _version(name: str) -> str:
    full = name if "/" in name else f"{GROUP}/{name}"
    if full not in VERSIONS:
        raise UsageError("--api-version should be v1 or v1beta1")
    return full


def _api_version(document: dict[str, object], where: str) -> str:
    version = document.get("apiVersion")
    if not isinstance(version, str):
        raise ProtocolError(f"{where} has no apiVersion; expected {V1} or {V1BETA1}")
    if version not in VERSIONS:
        raise ProtocolError(
            f"{where} is of version {foreign(version, 60)}; expected {V1} or {V1BETA1}",
            hint=f"write apiVersion: {V1} in the kubeconfig's exec section",
        )
    return version


def _object(parent: dict[str, object], path: str, where: str) -> dict[str, object]:
    """Return the member that the path's last name is; an empty object where it is absent or null."""
    value = parent.get(path.rpartition(".")[2])
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"{where}: {path} should be an object")
    return value


def render(exchange: Exchange, credential: Credential, now: float) -> bytes:
    """Return the ExecCredential for kubectl: one JSON document and a newline.

    Raises TokenResponseError when the token cannot stand in an Authorization header.
    """
    status: dict[str, str] = {"token": token_text(credential)}
    expiration = expiration_timestamp(credential, now=now)
    if expiration is not None:
        status["expirationTimestamp"] = expiration
    return msgspec.json.encode({"kind": KIND, "apiVersion": exchange.form, "status": status}) + b"\n"


_REASONS: dict[int, tuple[str, int]] = {  # by exit code: metav1.StatusReason, and the HTTP status that belongs to it
    **dict.fromkeys((64, 65, 78), ("BadRequest", 400)),
    **dict.fromkeys((66, 77), ("Unauthorized", 401)),
    **dict.fromkeys((69, 74, 75), ("ServiceUnavailable", 503)),
}


def decline(error: CredentialHelperError) -> tuple[bytes, int]:
    """Return a metav1.Status that says what stderr says, and the error's own exit code."""
    reason, code = _REASONS.get(error.exit_code, ("InternalError", 500))
    message = f"credential-helper: {f'{error.profile}: ' if error.profile else ''}{error.sentence}"
    if error.hint:
        message += f" (hint: {error.hint})"
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": foreign(message, 4000),
        "reason": reason,
        "code": code,
    }
    return msgspec.json.encode(status) + b"\n", error.exit_code


def expiration_timestamp(credential: Credential, *, now: float) -> str | None:
    """Return until when kubectl may keep the token, in the one form that every client takes; None: until a 401.

    It is when we would renew the token, not its expiry: kubectl takes no margin off. None when the expiry is unknown,
    when that moment is past or about to be, and when the token seems to come from the future (clocks disagree).
    """
    if credential.expires_at is None or credential.received_at > now + CLOCK_TOLERANCE:
        return None
    until = credential.expires_at
    if credential.fresh_until is not None:
        until = min(until, credential.fresh_until)
    # Compared after rounding down; NaN, should it ever come, is later than nothing.
    if not math.isfinite(until) or math.floor(until) <= now + SOON:
        return None
    return rfc3339(until)
