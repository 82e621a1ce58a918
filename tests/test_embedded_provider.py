"""The demo's provider: it has to be right, or what is shown with it proves nothing."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from integration.servers.embedded_provider import (
    DEVICE_CLIENT,
    DEVICE_GRANT,
    MACHINE_CLIENT,
    SECRET_VARIABLE,
    EmbeddedProvider,
    Provider,
)
from tests.helpers.clock import FakeClock
from tests.helpers.programs import CHECKOUT, DEADLINE

AUDIENCE = "https://kubernetes.example.com"
SECRET = "s e/cr:et%+"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """Return one key for the whole file: it takes a tenth of a second to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def provider(key: rsa.RSAPrivateKey, clock: FakeClock) -> Provider:
    provider = Provider(client_secret=SECRET, key=key, clock=clock.now)
    provider.issuer = "http://127.0.0.1:9/"
    return provider


def post(provider: Provider, path: str, fields: Any, authorization: str | None = None) -> tuple[int, Any]:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    if authorization is not None:
        headers["authorization"] = authorization
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    reply = provider.handle("POST", path, headers, body)
    assert reply.headers["Cache-Control"] == "no-store"
    return reply.status, json.loads(reply.body) if reply.body else None


def device(provider: Provider, **fields: str) -> Any:
    status, answer = post(provider, "/oauth/device/code", {"client_id": DEVICE_CLIENT, "audience": AUDIENCE} | fields)
    assert status == 200, answer
    return answer


def poll(provider: Provider, asked: Any, client_id: str = DEVICE_CLIENT) -> tuple[int, Any]:
    fields = {"grant_type": DEVICE_GRANT, "device_code": asked["device_code"], "client_id": client_id}
    return post(provider, "/oauth/token", fields)


def signed_in(provider: Provider, **fields: str) -> Any:
    asked = device(provider, **fields)
    assert provider.approve(asked["user_code"])
    status, answer = poll(provider, asked)
    assert status == 200, answer
    return answer


def refresh(provider: Provider, refresh_token: str, **fields: str) -> tuple[int, Any]:
    given = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": DEVICE_CLIENT}
    return post(provider, "/oauth/token", given | fields)


def claims(provider: Provider, token: str, audience: str, clock: FakeClock) -> dict[str, Any]:
    reply = provider.handle("GET", "/jwks.json", {}, b"")
    keys = jwt.PyJWKSet.from_dict(json.loads(reply.body))
    header = jwt.get_unverified_header(token)
    options = {"verify_exp": False, "verify_iat": False}  # the clock is a fake one; compared below
    found: dict[str, Any] = jwt.decode(
        token,
        keys[header["kid"]],
        algorithms=["RS256"],
        audience=audience,
        issuer=provider.issuer,
        options=options,  # type: ignore[arg-type]
    )
    assert found["iat"] == int(clock.now())
    assert found["exp"] == int(clock.now() + provider.token_lifetime)
    return found


# --- metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
def test_the_metadata_names_endpoints_that_exist(provider: Provider, path: str) -> None:
    document = json.loads(provider.handle("GET", f"/.well-known/{path}", {}, b"").body)
    assert document["issuer"] == provider.issuer
    for name, url in document.items():
        if name.endswith("_endpoint"):
            assert provider.handle("GET", urlsplit(url).path, {}, b"").status == 405
    assert provider.handle("GET", urlsplit(document["jwks_uri"]).path, {}, b"").status == 200
    assert provider.handle("GET", "/authorize", {}, b"").status == 404


# --- device authorization ---------------------------------------------------------------------------------------------


def test_a_person_signs_in(provider: Provider, clock: FakeClock) -> None:
    asked = device(provider)
    assert asked["verification_uri"] == f"{provider.issuer}activate"
    assert asked["verification_uri_complete"] == f"{provider.issuer}activate?user_code={asked['user_code']}"
    assert (asked["expires_in"], asked["interval"]) == (900, 5)
    assert provider.pending() == [asked["user_code"]]

    assert poll(provider, asked)[1]["error"] == "authorization_pending"
    assert provider.approve(asked["user_code"].lower().replace("-", " "))
    assert provider.pending() == []
    clock.advance(5)
    status, answer = poll(provider, asked)

    assert status == 200
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert answer["scope"] == "openid profile email offline_access"
    access = claims(provider, answer["access_token"], AUDIENCE, clock)
    assert (access["sub"], access["client_id"]) == ("demo|ada", DEVICE_CLIENT)
    identity = claims(provider, answer["id_token"], DEVICE_CLIENT, clock)
    assert (identity["sub"], identity["email"], identity["name"]) == ("demo|ada", "ada@example.com", "Ada")
    assert provider.counters["device_authorization"] == 1
    assert provider.counters["device_code"] == 1


def test_a_scope_that_was_not_asked_for_gives_nothing(provider: Provider, clock: FakeClock) -> None:
    answer = signed_in(provider, scope="openid")
    assert "refresh_token" not in answer
    assert "email" not in claims(provider, answer["id_token"], DEVICE_CLIENT, clock)
    assert "id_token" not in signed_in(provider, scope="offline_access")


def test_without_an_audience_the_access_token_is_opaque(provider: Provider) -> None:
    assert "." not in signed_in(provider, audience="")["access_token"]


def test_resources_are_audiences_too(provider: Provider, clock: FakeClock) -> None:
    fields = [("client_id", DEVICE_CLIENT), ("resource", "urn:a"), ("resource", "urn:b")]
    asked = post(provider, "/oauth/device/code", fields)[1]
    provider.approve(asked["user_code"])
    assert claims(provider, poll(provider, asked)[1]["access_token"], "urn:b", clock)["aud"] == ["urn:a", "urn:b"]


def test_polling_too_fast_is_slowed_down_for_good(provider: Provider, clock: FakeClock) -> None:
    asked = device(provider)
    assert poll(provider, asked)[1]["error"] == "authorization_pending"
    clock.advance(4.9)
    assert poll(provider, asked)[1]["error"] == "slow_down"
    provider.approve(asked["user_code"])
    clock.advance(9.9)
    assert poll(provider, asked)[1]["error"] == "slow_down"
    clock.advance(15)
    assert poll(provider, asked)[0] == 200


def test_a_person_may_refuse(provider: Provider) -> None:
    asked = device(provider)
    assert provider.deny(asked["user_code"])
    assert not provider.approve(asked["user_code"])
    assert poll(provider, asked) == (
        400,
        {"error": "access_denied", "error_description": "the person refused"},
    )


def test_a_code_expires(provider: Provider, clock: FakeClock) -> None:
    asked = device(provider)
    clock.advance(900)
    assert not provider.approve(asked["user_code"])
    assert provider.pending() == []
    assert poll(provider, asked)[1]["error"] == "expired_token"


def test_a_device_code_is_good_once(provider: Provider) -> None:
    asked = device(provider)
    provider.approve(asked["user_code"])
    refresh_token = poll(provider, asked)[1]["refresh_token"]
    assert poll(provider, asked)[1]["error"] == "invalid_grant"
    assert refresh(provider, refresh_token)[1]["error"] == "invalid_grant"


def test_a_client_has_no_use_for_another_s_code_or_refresh_token(provider: Provider) -> None:
    other = {"client_id": MACHINE_CLIENT, "client_secret": SECRET}
    asked = device(provider)
    provider.approve(asked["user_code"])
    fields = {"grant_type": DEVICE_GRANT, "device_code": asked["device_code"]}
    assert post(provider, "/oauth/token", fields | other)[1]["error"] == "invalid_grant"
    refresh_token = poll(provider, asked)[1]["refresh_token"]
    assert refresh(provider, refresh_token, **other)[1]["error"] == "invalid_grant"
    assert refresh(provider, refresh_token)[0] == 200


def test_nobody_signs_in_with_a_code_that_was_never_given(provider: Provider) -> None:
    assert poll(provider, {"device_code": "guess"})[1]["error"] == "invalid_grant"
    assert not provider.approve("")
    assert not provider.approve("BBBB-BBBB-B")


# --- refresh, client credentials, revocation --------------------------------------------------------------------------


def test_a_refresh_token_is_rotated(provider: Provider, clock: FakeClock) -> None:
    first = signed_in(provider)
    clock.advance(3600)
    status, second = refresh(provider, first["refresh_token"])
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert claims(provider, second["id_token"], DEVICE_CLIENT, clock)["sub"] == "demo|ada"
    assert claims(provider, second["access_token"], AUDIENCE, clock)["aud"] == AUDIENCE
    assert provider.counters["refresh_token"] == 1


def test_a_spent_refresh_token_ends_its_family(provider: Provider) -> None:
    first = signed_in(provider)
    second = refresh(provider, first["refresh_token"])[1]
    assert refresh(provider, first["refresh_token"])[1]["error"] == "invalid_grant"
    assert refresh(provider, second["refresh_token"])[1]["error"] == "invalid_grant"


def test_a_refresh_may_ask_for_less_and_never_for_more(provider: Provider) -> None:
    first = signed_in(provider, scope="openid offline_access")
    assert refresh(provider, first["refresh_token"], scope="openid email")[1]["error"] == "invalid_scope"
    status, second = refresh(provider, first["refresh_token"], scope="offline_access")
    assert status == 200
    assert "id_token" not in second
    assert "id_token" in refresh(provider, second["refresh_token"])[1]


def machine(provider: Provider, authorization: str | None = None, **fields: str) -> tuple[int, Any]:
    given = {"grant_type": "client_credentials", "audience": AUDIENCE} | fields
    return post(provider, "/oauth/token", given, authorization)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def test_a_machine_signs_in_by_either_method(provider: Provider, clock: FakeClock) -> None:
    for status, answer in (
        machine(provider, client_id=MACHINE_CLIENT, client_secret=SECRET),
        machine(provider, basic(MACHINE_CLIENT, quote_plus(SECRET))),
    ):
        assert status == 200
        assert set(answer) == {"access_token", "token_type", "expires_in"}
        assert claims(provider, answer["access_token"], AUDIENCE, clock)["sub"] == f"{MACHINE_CLIENT}@clients"


@pytest.mark.parametrize(
    ("authorization", "fields", "status", "error"),
    [
        (None, {"client_id": MACHINE_CLIENT, "client_secret": "wrong"}, 401, "invalid_client"),
        (None, {"client_id": MACHINE_CLIENT}, 401, "invalid_client"),
        (None, {"client_id": "nobody"}, 401, "invalid_client"),
        (None, {}, 401, "invalid_client"),
        (basic(MACHINE_CLIENT, SECRET), {}, 401, "invalid_client"),  # not form-urlencoded first: RFC 6749 §2.3.1
        ("Basic !", {}, 401, "invalid_client"),
        ("Bearer x", {}, 401, "invalid_client"),
        (basic(MACHINE_CLIENT, quote_plus(SECRET)), {"client_secret": SECRET}, 400, "invalid_request"),
        (basic(MACHINE_CLIENT, quote_plus(SECRET)), {"client_id": DEVICE_CLIENT}, 400, "invalid_request"),
        (None, {"client_id": DEVICE_CLIENT}, 400, "unauthorized_client"),
        (None, {"client_id": DEVICE_CLIENT, "client_secret": "x"}, 401, "invalid_client"),
        (None, {"client_id": MACHINE_CLIENT, "client_secret": SECRET, "audience": ""}, 400, "invalid_request"),
        (None, {"client_id": MACHINE_CLIENT, "client_secret": SECRET, "scope": "openid"}, 400, "invalid_scope"),
    ],
)
def test_a_machine_that_is_not_itself_is_refused(
    provider: Provider, authorization: str | None, fields: dict[str, str], status: int, error: str
) -> None:
    answer = machine(provider, authorization, **fields)
    assert (answer[0], answer[1]["error"]) == (status, error)


def test_a_machine_signs_nobody_in(provider: Provider) -> None:
    fields = {"client_id": MACHINE_CLIENT, "client_secret": SECRET}
    assert post(provider, "/oauth/device/code", fields)[1]["error"] == "unauthorized_client"


def revoke(provider: Provider, token: str, **fields: str) -> tuple[int, Any]:
    return post(provider, "/oauth/revoke", {"client_id": DEVICE_CLIENT, "token": token} | fields)


def test_a_revoked_refresh_token_is_dead(provider: Provider) -> None:
    first = signed_in(provider)
    assert revoke(provider, first["refresh_token"], token_type_hint="refresh_token") == (200, None)
    assert refresh(provider, first["refresh_token"])[1]["error"] == "invalid_grant"


def test_revocation_tells_what_it_cannot_do(provider: Provider) -> None:
    first = signed_in(provider)
    assert revoke(provider, "never given") == (200, None)
    assert revoke(provider, first["access_token"])[1]["error"] == "unsupported_token_type"
    other = {"client_id": MACHINE_CLIENT, "client_secret": SECRET}
    assert revoke(provider, first["refresh_token"], **other)[1]["error"] == "invalid_grant"
    assert refresh(provider, first["refresh_token"])[0] == 200


# --- requests that are off --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_client"),
        (b"client_id=demo-kubectl", "invalid_request"),
        (b"client_id=demo-kubectl&grant_type=", "invalid_request"),
        (b"client_id=demo-kubectl&grant_type=password", "unsupported_grant_type"),
        (b"client_id=demo-kubectl&grant_type=refresh_token", "invalid_request"),
        (b"client_id=demo-kubectl&client_id=demo-kubectl&grant_type=refresh_token", "invalid_request"),
        (b"client_id=%ff&grant_type=refresh_token", "invalid_request"),
        (b"\xff", "invalid_request"),
        (b"&".join([b"a=1"] * 100), "invalid_request"),
    ],
)
def test_a_token_request_that_is_off_is_refused(provider: Provider, body: bytes, error: str) -> None:
    assert post(provider, "/oauth/token", body)[1]["error"] == error


def test_json_is_no_form(provider: Provider) -> None:
    reply = provider.handle("POST", "/oauth/token", {"content-type": "application/json"}, b"{}")
    assert (reply.status, json.loads(reply.body)["error"]) == (400, "invalid_request")


def test_a_scope_that_does_not_exist_is_refused(provider: Provider) -> None:
    fields = {"client_id": DEVICE_CLIENT, "scope": "openid admin"}
    assert post(provider, "/oauth/device/code", fields)[1]["error"] == "invalid_scope"


# --- the page ---------------------------------------------------------------------------------------------------------


def submit(provider: Provider, user_code: str, action: str, **headers: str) -> int:
    sent = {"content-type": "application/x-www-form-urlencoded", "host": "127.0.0.1:9"} | headers
    body = urlencode({"user_code": user_code, "action": action}).encode()
    return provider.handle("POST", "/activate", sent, body).status


def test_the_page_shows_the_code_and_asks(provider: Provider) -> None:
    asked = device(provider, audience="<b>&")
    reply = provider.handle("GET", f"/activate?user_code={asked['user_code']}", {}, b"")
    text = reply.body.decode()
    assert reply.status == 200
    assert asked["user_code"] in text
    assert DEVICE_CLIENT in text
    assert "&lt;b&gt;&amp;" in text
    assert "<b>" not in text
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "//" not in text  # nothing from elsewhere
    assert provider.pending() == [asked["user_code"]]  # looking is not allowing
    assert submit(provider, asked["user_code"], "allow") == 200
    assert poll(provider, asked)[0] == 200


def test_the_page_takes_a_no(provider: Provider) -> None:
    asked = device(provider)
    assert submit(provider, asked["user_code"], "deny") == 200
    assert poll(provider, asked)[1]["error"] == "access_denied"


def test_the_page_knows_no_other_codes(provider: Provider) -> None:
    assert provider.handle("GET", "/activate", {}, b"").status == 200
    assert provider.handle("GET", "/activate?user_code=<script>", {}, b"").status == 404
    assert submit(provider, "BBBB-BBBB", "allow") == 404


def test_the_page_takes_no_form_from_another_site(provider: Provider) -> None:
    asked = device(provider)
    assert submit(provider, asked["user_code"], "allow", origin="https://evil.example") == 403
    assert provider.pending() == [asked["user_code"]]
    assert submit(provider, asked["user_code"], "allow", origin="http://127.0.0.1:9") == 200


def test_the_page_is_not_counted_among_the_requests(provider: Provider) -> None:
    provider.handle("GET", "/activate", {}, b"")
    state = json.loads(provider.handle("GET", "/demo/state", {}, b"").body)
    assert state == {"counters": {"page": 1}, "pending": []}


# --- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(key: rsa.RSAPrivateKey) -> Iterator[EmbeddedProvider]:
    with EmbeddedProvider(client_secret=SECRET, key=key) as provider:
        yield provider


def fetch(issuer: str, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(issuer).netloc, timeout=DEADLINE)
    try:
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        connection.request(method, f"/{path}", body, sent)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_answers_on_a_free_port_of_loopback_and_gives_it_back(running: EmbeddedProvider) -> None:
    issuer = running.issuer
    assert urlsplit(issuer).hostname == "127.0.0.1"
    status, body = fetch(issuer, "GET", ".well-known/openid-configuration")
    assert (status, json.loads(body)["issuer"]) == (200, issuer)
    running.stop()
    running.stop()
    with pytest.raises(ConnectionRefusedError):
        fetch(issuer, "GET", "jwks.json")


def test_requests_at_the_same_time_are_all_counted(running: EmbeddedProvider) -> None:
    threads = [threading.Thread(target=fetch, args=(running.issuer, "GET", "jwks.json")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert running.counters["requests"] == running.counters["keys"] == 8


def test_bodies_of_no_sane_length_are_refused(running: EmbeddedProvider) -> None:
    assert fetch(running.issuer, "POST", "oauth/token", b"", Content_Length="1000000")[0] == 413
    assert fetch(running.issuer, "POST", "oauth/token", b"", Content_Length="-1")[0] == 413
    assert fetch(running.issuer, "POST", "oauth/token", b"", Content_Length="x")[0] == 413


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "integration.servers.embedded_provider", *arguments],
        cwd=CHECKOUT,
        env=os.environ | {SECRET_VARIABLE: SECRET},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_as_a_program_it_prints_its_address_and_stops_when_told() -> None:
    with start() as process:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        fields = urlencode({"grant_type": "client_credentials", "audience": AUDIENCE}).encode()
        basic_header = basic(MACHINE_CLIENT, quote_plus(SECRET))
        assert fetch(issuer, "POST", "oauth/token", fields, Authorization=basic_header)[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        assert process.stdout.read() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a parent's end is seen by its pid")
def test_as_a_program_it_does_not_outlive_its_parent() -> None:
    program = (
        "import os, subprocess, sys\n"
        "command = [sys.executable, '-m', 'integration.servers.embedded_provider', '--parent', str(os.getpid())]\n"
        "child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)\n"
        "print(child.pid, child.stdout.readline(), end='', flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, timeout=DEADLINE
    )
    issuer = done.stdout.split()[1]
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            fetch(issuer, "GET", "jwks.json")
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    pytest.fail("it is still there")
