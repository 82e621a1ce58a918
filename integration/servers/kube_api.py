"""As much of a Kubernetes API server as kubectl needs to believe in it: TLS, discovery, pods, config maps, tokens.

    with KubeApi(authority) as kube:
        kube.trust(oidc.issuer, [AUDIENCE, CLI])       # JWTs: signature, iss, aud and exp are checked
        kube.trust_token("static", user="ada")         # or a token that is no JWT
        write_kubeconfig(path, kube, command="/…/credential-helper", args=["kubectl"])
        kube.refuse(1)                                 # 401 to the next request, whatever its token
        kube.calls, kube.counts()["/api/v1/namespaces/default/pods"]

Every path needs a token, /version as well: a stock cluster shows it to anybody, but then one could not tell who asked.
Objects that were applied are kept and answered again. Only what kubectl 1.27 to 1.33 ask for is here.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import jwt
import msgspec
import requests

from integration.servers.lifecycle import LoopbackServer, Served
from integration.servers.tls import Authority, server_tls

ALGORITHMS = ("RS256", "ES256")
POD = "hello"  # the name of the only pod

Claims = dict[str, Any]


class Call(msgspec.Struct, frozen=True):
    """A request that reached the API server."""

    at: float  # seconds since the epoch
    method: str
    path: str
    query: str
    status: int
    user: str | None  # who the token says it is; None when it was refused
    refused: str | None  # why it was
    token: str | None  # the bearer token itself
    claims: Claims
    body: bytes


class Unauthorized(Exception):
    """The token is not good enough; the text says why."""


class KubeApi(Served):
    """The server; each connection has a thread, and what it remembers is behind one lock."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.ca_file = str(authority.ca_file)
        self._lock = threading.Lock()
        self.reset()

    def _made(self) -> LoopbackServer:
        return _Server(self, server_tls(self.authority, "kube-api"))

    @property
    def server(self) -> str:
        """Return the address, as a kubeconfig and ``spec.cluster.server`` have it."""
        assert self._server is not None, "the API server is not running"
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ca_pem(self) -> bytes:
        """Return the certificate authority, as ``spec.cluster.certificate-authority-data`` has it (in base64)."""
        return self.authority.ca_pem

    # --- whom it believes ---

    def reset(self) -> None:
        """Forget calls, objects, refusals and everybody who was trusted."""
        with self._lock:
            self.calls: list[Call] = []
            self._issuers: dict[str, Issuer] = {}
            self._tokens: dict[str, str] = {}
            self._objects: dict[str, bytes] = {}
            self._refusals: int | None = 0  # None: for ever

    def trust(self, issuer: str, audiences: Sequence[str], *, ca_file: str | None = None) -> None:
        """Believe JWTs of an issuer, as ``--oidc-issuer-url`` does; its keys are fetched when the first one comes."""
        with self._lock:
            self._issuers[issuer] = Issuer(issuer, tuple(audiences), ca_file)

    def trust_token(self, token: str, *, user: str) -> None:
        """Believe one token as it stands."""
        with self._lock:
            self._tokens[token] = user

    def refuse(self, times: int | None = None) -> None:
        """Answer 401 to the next ``times`` requests; None: to all until ``refuse(0)``."""
        with self._lock:
            self._refusals = times

    # --- what it saw ---

    def counts(self) -> Counter[str]:
        """Return how often each path was asked for, without its query."""
        with self._lock:
            return Counter(call.path for call in self.calls)

    def tokens(self) -> list[str]:
        """Return the different tokens that came, in order of their first use."""
        with self._lock:
            return list(dict.fromkeys(call.token for call in self.calls if call.token))

    def exec_info(
        self,
        *,
        version: Literal["v1", "v1beta1"] = "v1",
        interactive: bool = False,
        cluster: bool = False,
        config: object = None,
    ) -> str:
        """Return the KUBERNETES_EXEC_INFO with which kubectl runs a plugin for this server, byte for byte."""
        spec: dict[str, object] = {}
        if cluster:
            authority = {"certificate-authority-data": b64encode(self.ca_pem).decode()}
            extension = {} if config is None else {"config": config}
            spec["cluster"] = {"server": self.server, **authority, **extension}
        spec["interactive"] = interactive
        api_version = f"client.authentication.k8s.io/{version}"
        document = {"kind": "ExecCredential", "apiVersion": api_version, "spec": spec}
        return json.dumps(document, separators=(",", ":")) + "\n"

    # --- answers; called by the threads ---

    def _answer(self, method: str, path: str, query: str, token: str | None, body: bytes) -> tuple[int, bytes]:
        user: str | None = None
        reason: str | None = None
        claims: Claims = {}
        try:
            user, claims = self._authenticate(token)
        except Unauthorized as error:
            reason = str(error)
        with self._lock:
            status, document = _status(401, "Unauthorized") if user is None else self._resource(method, path, body)
            call = Call(time.time(), method, path, query, status, user, reason, token, claims, body)
            self.calls.append(call)
        return status, document

    def _authenticate(self, token: str | None) -> tuple[str, Claims]:
        with self._lock:
            refusals, issuers, tokens = self._refusals, dict(self._issuers), dict(self._tokens)
            if refusals:
                self._refusals = refusals - 1
        if refusals != 0:
            raise Unauthorized("told to refuse")
        if token is None:
            raise Unauthorized("no bearer token")
        if token in tokens:
            return tokens[token], {}
        try:
            issuer = issuers[jwt.decode(token, options={"verify_signature": False})["iss"]]
            claims = issuer.verify(token)
        except (jwt.InvalidTokenError, KeyError, requests.RequestException) as error:
            raise Unauthorized(repr(error)) from None
        return str(claims.get("email") or claims["sub"]), claims

    def _resource(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "GET" and path in DOCUMENTS:
            return 200, json.dumps(DOCUMENTS[path]).encode()
        if method == "GET" and path == "/openapi/v2":
            return 200, OPENAPI_V2
        if method == "POST" and path == "/api/v1/namespaces/default/configmaps":
            self._objects[f"{path}/{json.loads(body)['metadata']['name']}"] = body
            return 201, body
        if method == "PATCH" and path in self._objects:
            return 200, self._objects[path]
        if method == "GET" and path in self._objects:
            return 200, self._objects[path]
        return _status(404, "NotFound")


class Issuer:
    """An issuer that is trusted, and its keys as far as they are known."""

    def __init__(self, issuer: str, audiences: tuple[str, ...], ca_file: str | None) -> None:
        self._issuer = issuer
        self._audiences = audiences
        self._ca_file = ca_file
        self._keys: dict[str, jwt.PyJWK] = {}

    def verify(self, token: str) -> Claims:
        """Return the claims; raises what jwt and requests raise."""
        kid = jwt.get_unverified_header(token)["kid"]
        if kid not in self._keys:
            self._keys = self._fetch()
        claims: Claims = jwt.decode(
            token,
            self._keys[kid],
            algorithms=ALGORITHMS,
            audience=self._audiences,
            issuer=self._issuer,
            options={"require": ["iss", "sub", "aud", "exp"]},
        )
        return claims

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = self._ca_file or True
            session.headers["x-uncounted"] = "1"  # the provider's counts are about the clients under test
            metadata = session.get(self._issuer.rstrip("/") + "/.well-known/openid-configuration", timeout=60).json()
            keys = session.get(metadata["jwks_uri"], timeout=60).json()["keys"]
        return {key["kid"]: jwt.PyJWK(key) for key in keys}


# --- documents --------------------------------------------------------------------------------------------------------


def _resource_type(name: str, singular: str, kind: str, short: str) -> dict[str, object]:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return {
        "name": name,
        "singularName": singular,
        "namespaced": True,
        "kind": kind,
        "verbs": verbs,
        "shortNames": [short],
    }


def _status(code: int, reason: str) -> tuple[int, bytes]:
    """Return what a cluster says in trouble (meta/v1 Status)."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return code, json.dumps(status | {"message": reason, "reason": reason, "code": code}).encode()


DOCUMENTS: Mapping[str, object] = {
    "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0", "platform": "linux/amd64"},
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            _resource_type("pods", "pod", "Pod", "po"),
            _resource_type("configmaps", "configmap", "ConfigMap", "cm"),
        ],
    },
    "/openapi/v3": {"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=1"}}},
    "/openapi/v3/api/v1": {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.30.0"},
        "paths": {
            f"/api/v1/namespaces/{{namespace}}/configmaps{name}": {
                verb: {
                    "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                    "responses": {},
                    "x-kubernetes-group-version-kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
                }
            }
            for name, verb in (("", "post"), ("/{name}", "patch"))
        },
    },
    "/api/v1/namespaces/default/pods": {
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "1"},
        "items": [
            {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {"name": POD, "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"containers": []},
                "status": {"phase": "Running"},
            }
        ],
    },
}


def _protobuf(*fields: tuple[int, str | bytes]) -> bytes:
    """Return a protobuf message of length-delimited fields, each shorter than 16 KiB."""
    encoded = b""
    for number, value in fields:
        data = value.encode() if isinstance(value, str) else value
        low, high = len(data) & 0x7F, len(data) >> 7
        encoded += bytes([number << 3 | 2]) + (bytes([low | 0x80, high]) if high else bytes([low])) + data
    return encoded


def _openapi_v2() -> bytes:
    """Return the little of OpenAPI v2 that kubectl before 1.29 looks for: PATCH of a config map takes fieldValidation.

    It is asked for as protobuf only, with the field numbers of gnostic's OpenAPIv2.proto.
    """
    query_parameter = _protobuf((2, "query"), (4, "fieldValidation"))
    parameter = _protobuf((1, _protobuf((2, _protobuf((3, query_parameter))))))
    kind = _protobuf((2, 'group: ""\nkind: ConfigMap\nversion: v1\n'))
    extension = _protobuf((1, "x-kubernetes-group-version-kind"), (2, kind))
    operation = _protobuf((8, parameter), (13, extension))
    path = _protobuf((1, "/api/v1/namespaces/{namespace}/configmaps/{name}"), (2, _protobuf((8, operation))))
    return _protobuf((1, "2.0"), (8, _protobuf((2, path))))


OPENAPI_V2 = _openapi_v2()


# --- HTTP over TLS ----------------------------------------------------------------------------------------------------


class _Server(LoopbackServer):
    def __init__(self, api: KubeApi, context: ssl.SSLContext) -> None:
        super().__init__(_Handler, context)
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        bearer = token if scheme == "Bearer" else None
        status, document = self.server.api._answer(self.command, url.path, url.query, bearer, body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Keep quiet: ``calls`` is the log."""


# --- the client's side ------------------------------------------------------------------------------------------------


def write_kubeconfig(
    path: Path,
    kube: KubeApi,
    *,
    command: str,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    version: Literal["v1", "v1beta1"] = "v1",
    interactive_mode: Literal["Never", "IfAvailable", "Always"] | None = "Never",
    provide_cluster_info: bool = False,
    install_hint: str | None = None,
    config: object = None,
    server: str | None = None,
) -> Path:
    """Write a kubeconfig (mode 0600) whose only user is an exec plugin, and return its path.

    ``config`` becomes the cluster's extension, which a plugin sees as ``spec.cluster.config`` where
    ``provide_cluster_info`` lets it; ``interactive_mode`` None leaves the key out (v1beta1 allows that).
    """
    cluster: dict[str, object] = {"server": server or kube.server, "certificate-authority": kube.ca_file}
    if config is not None:
        cluster["extensions"] = [{"name": "client.authentication.k8s.io/exec", "extension": config}]
    plugin: dict[str, object] = {
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "command": command,
        "args": list(args),
        "env": [{"name": name, "value": value} for name, value in (env or {}).items()],
        "provideClusterInfo": provide_cluster_info,
    }
    if interactive_mode is not None:
        plugin["interactiveMode"] = interactive_mode
    if install_hint is not None:
        plugin["installHint"] = install_hint
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"exec": plugin}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(json.dumps(kubeconfig, indent=2))  # JSON is YAML
    path.chmod(0o600)  # kubectl warns about more
    return path
