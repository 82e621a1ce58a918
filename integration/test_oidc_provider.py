"""The real provider does what other integration tests count on: seen with plain requests, without a line of ours."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
import requests

from integration.servers.oidc import (
    AUDIENCE,
    CLI,
    CLI_CONFIDENTIAL,
    CLI_NO_REFRESH,
    CLI_SHORT,
    DEVICE_CODE_GRANT,
    M2M_BASIC,
    M2M_POST,
    M2M_SHORT,
    ODD_SECRET,
    SHORT_SECRET,
    Face,
    OidcProvider,
    ProviderError,
)
from tests.helpers.programs import DEADLINE

SCOPE = "openid profile email offline_access"


class Client:
    """A client of one face that does nothing by itself: no proxy, no retry, no redirect."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = face.ca_file or True

    def get(self, endpoint: str) -> Any:
        answer = self.session.get(self.face.url(endpoint), timeout=DEADLINE)
        assert answer.status_code == 200
        return answer.json()

    def post(self, endpoint: str, basic: tuple[str, str] | None = None, /, **fields: str) -> tuple[int, Any]:
        headers = {}
        if basic:
            pair = ":".join(quote_plus(half) for half in basic)  # RFC 6749 §2.3.1
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        answer = self.session.post(self.face.url(endpoint), data=fields, headers=headers, timeout=DEADLINE)
        return answer.status_code, answer.json() if answer.content else None

    def ask(self, client_id: str = CLI, **fields: str) -> Any:
        """Get a device code and a user code."""
        status, answer = self.post("device_authorization", client_id=client_id, **{"scope": SCOPE, **fields})
        assert status == 200
        return answer

    def poll(self, asked: Any, client_id: str = CLI, **fields: str) -> tuple[int, Any]:
        fields |= {"client_id": client_id, "device_code": asked["device_code"]}
        return self.post("token", grant_type=DEVICE_CODE_GRANT, **fields)

    def sign_in(self, account: str = "ada", client_id: str = CLI, **fields: str) -> Any:
        asked = self.ask(client_id, **fields)
        self.face.approve(asked["user_code"], account)
        status, tokens = self.poll(asked, client_id)
        assert status == 200
        return tokens

    def refresh(self, refresh_token: str, client_id: str = CLI) -> tuple[int, Any]:
        return self.post("token", grant_type="refresh_token", client_id=client_id, refresh_token=refresh_token)


@pytest.fixture
def client(oidc: OidcProvider) -> Iterator[Client]:
    client = Client(oidc)
    yield client
    client.session.close()


@pytest.fixture(params=["plain", "auth0", "tls", "auth0_tls"])
def every_face(request: pytest.FixtureRequest, oidc: OidcProvider) -> Iterator[Client]:
    client = Client(next(face for face in oidc.faces if face.name == request.param))
    yield client
    client.session.close()


@pytest.fixture
def auth0_client(auth0: Face) -> Iterator[Client]:
    client = Client(auth0)
    yield client
    client.session.close()


def claims_of(face: Client, token: str, audience: str) -> dict[str, Any]:
    """Verify a JWT against the face's own keys."""
    keys = {key["kid"]: jwt.PyJWK(key) for key in face.get("jwks")["keys"]}
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["RS256"], audience=audience, issuer=face.face.issuer, leeway=5
    )
    return claims


# --- every face -------------------------------------------------------------------------------------------------------


def test_metadata_names_the_issuer_and_every_endpoint(every_face: Client) -> None:
    metadata, face = every_face.get("discovery"), every_face.face
    assert metadata["issuer"] == face.issuer
    assert face.issuer.endswith("/") == face.name.startswith("auth0")
    assert face.issuer.startswith("https://") == face.name.endswith("tls")
    for name in ("token_endpoint", "device_authorization_endpoint", "revocation_endpoint", "jwks_uri"):
        assert metadata[name] == getattr(face, name)
    assert metadata["scopes_supported"] == ["openid", "offline_access", "profile", "email"]


def test_device_sign_in_gives_a_jwt_for_the_audience_and_an_id_token(every_face: Client) -> None:
    asked = every_face.ask(audience=AUDIENCE)
    assert asked["interval"] == 1
    assert asked["expires_in"] == 900
    assert asked["verification_uri_complete"] == f"{asked['verification_uri']}?user_code={asked['user_code']}"
    assert every_face.face.pending() == [asked["user_code"]] == [every_face.face.wait_for_user_code()]
    assert every_face.poll(asked)[1]["error"] == "authorization_pending"
    every_face.face.configure(enforce_interval=False)
    every_face.face.approve(asked["user_code"], "bob")

    status, tokens = every_face.poll(asked)

    assert status == 200
    assert tokens["token_type"] == "Bearer"
    assert claims_of(every_face, tokens["access_token"], AUDIENCE)["sub"] == "bob"
    assert claims_of(every_face, tokens["id_token"], CLI)["email"] == "bob@example.com"
    assert every_face.face.pending() == []
    assert every_face.face.honoured(tokens["refresh_token"])
    expected = {tokens["access_token"], tokens["refresh_token"], tokens["id_token"], asked["device_code"]}
    assert every_face.face.secrets() == expected


def test_https_is_trusted_by_nobody_without_the_ca_file(oidc: OidcProvider) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for face in (oidc.tls, oidc.auth0_tls):
            with pytest.raises(requests.exceptions.SSLError):
                session.get(face.url("discovery"), timeout=DEADLINE)


def test_every_face_has_sign_ins_and_counts_of_its_own(client: Client, oidc: OidcProvider) -> None:
    tokens = client.sign_in()
    assert oidc.counts() == {"device_authorization": 1, "token": 1, "device_code": 1}
    for face in oidc.faces[1:]:
        assert face.counts() == {}
        assert not face.honoured(tokens["refresh_token"])


# --- the RFCs' statuses -----------------------------------------------------------------------------------------------


def test_denied_pending_expired_and_spent_codes_are_400(client: Client, oidc: OidcProvider) -> None:
    pending, denied, expired, spent = (client.ask() for _ in range(4))
    oidc.deny(denied["user_code"])
    oidc.expire_device_code(expired["user_code"])
    oidc.approve(spent["user_code"])
    assert client.poll(spent)[0] == 200
    oidc.configure(enforce_interval=False)
    for asked, error in (
        (pending, "authorization_pending"),
        (denied, "access_denied"),
        (expired, "expired_token"),
        (expired, "expired_token"),
        (spent, "invalid_grant"),
    ):
        status, answer = client.poll(asked)
        assert (status, answer["error"]) == (400, error)


def test_a_code_is_answered_once(client: Client, oidc: OidcProvider) -> None:
    asked = client.ask()
    oidc.approve(asked["user_code"])
    with pytest.raises(ProviderError, match="AlreadyUsedError"):
        oidc.deny(asked["user_code"])
    with pytest.raises(ProviderError, match="NotFoundError"):
        oidc.approve("BCDF-GHJK")


def test_an_early_poll_is_told_to_slow_down_and_later_ones_wait_five_seconds_more(
    client: Client, oidc: OidcProvider
) -> None:
    oidc.configure(interval=3)
    asked = client.ask()
    assert client.poll(asked)[1]["error"] == "authorization_pending"
    status, answer = client.poll(asked)
    assert (status, answer["error"]) == (400, "slow_down")
    oidc.approve(asked["user_code"])
    time.sleep(3.1)  # enough for the interval that was sent, not for the one that slow_down made of it
    assert client.poll(asked)[1]["error"] == "slow_down"


def test_a_poll_after_the_interval_is_in_time(client: Client, oidc: OidcProvider) -> None:
    asked = client.ask()
    client.poll(asked)
    time.sleep(1.0)
    assert client.poll(asked)[1]["error"] == "authorization_pending"
    assert [r.error for r in oidc.requests("device_code")] == ["authorization_pending"] * 2


def test_refresh_tokens_rotate_and_a_reused_one_ends_the_family(client: Client, oidc: OidcProvider) -> None:
    first = client.sign_in(audience=AUDIENCE)["refresh_token"]
    status, tokens = client.refresh(first)
    second = tokens["refresh_token"]
    assert status == 200
    assert claims_of(client, tokens["access_token"], AUDIENCE)["sub"] == "ada"
    assert not oidc.honoured(first)
    assert [(t.refresh_token, t.rotations) for t in oidc.refresh_tokens()] == [(second, 1)]

    status, answer = client.refresh(first)

    assert (status, answer["error"]) == (400, "invalid_grant")
    assert not oidc.honoured(second)
    assert client.refresh(second)[1]["error"] == "invalid_grant"


def test_revocation_ends_a_sign_in(client: Client, oidc: OidcProvider) -> None:
    token, other = client.sign_in()["refresh_token"], client.sign_in("bob")["refresh_token"]
    assert client.post("revocation", client_id=CLI, token=token, token_type_hint="refresh_token") == (200, None)
    assert client.refresh(token)[1]["error"] == "invalid_grant"
    assert oidc.honoured(other)
    assert client.post("revocation", client_id=CLI, token="unknown") == (200, None)  # RFC 7009 §2.2


def test_the_administrator_ends_sign_ins_too(client: Client, oidc: OidcProvider) -> None:
    ada, bob = client.sign_in("ada")["refresh_token"], client.sign_in("bob")["refresh_token"]
    assert oidc.revoke_grants("bob") == 1
    assert client.refresh(bob)[1]["error"] == "invalid_grant"
    assert client.refresh(ada)[0] == 200


def test_without_audience_the_access_token_is_opaque(client: Client) -> None:
    assert "." not in client.sign_in()["access_token"]


def test_a_client_without_the_refresh_grant_gets_no_refresh_token(client: Client) -> None:
    assert "refresh_token" not in client.sign_in(client_id=CLI_NO_REFRESH)


def test_a_confidential_client_authenticates_at_both_endpoints(client: Client, oidc: OidcProvider) -> None:
    basic = (CLI_CONFIDENTIAL, ODD_SECRET)
    assert client.post("device_authorization", client_id=CLI_CONFIDENTIAL)[1]["error"] == "invalid_client"
    _, asked = client.post("device_authorization", basic, scope=SCOPE)
    oidc.approve(asked["user_code"])
    fields = {"grant_type": DEVICE_CODE_GRANT, "device_code": asked["device_code"]}
    status, tokens = client.post("token", basic, **fields)
    assert status == 200
    assert oidc.honoured(tokens["refresh_token"])


# --- machines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["audience", "resource"])
def test_client_credentials_with_odd_characters_as_basic_and_as_post(client: Client, name: str) -> None:
    target = {"grant_type": "client_credentials", name: AUDIENCE, "scope": "read:pods"}
    status, tokens = client.post("token", (M2M_BASIC, ODD_SECRET), **target)
    assert status == 200
    assert claims_of(client, tokens["access_token"], AUDIENCE)["sub"] == M2M_BASIC
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "read:pods"
    status, tokens = client.post("token", client_id=M2M_POST, client_secret=ODD_SECRET, **target)
    assert status == 200
    assert claims_of(client, tokens["access_token"], AUDIENCE)["sub"] == M2M_POST
    assert [r.authentication for r in client.face.requests()] == [
        "client_secret_basic",
        "none",  # the keys
        "client_secret_post",
        "none",
    ]


def test_a_client_is_authenticated_only_the_way_it_is_registered(client: Client) -> None:
    grant = {"grant_type": "client_credentials"}
    for status, answer in (
        client.post("token", (M2M_POST, ODD_SECRET), **grant),
        client.post("token", client_id=M2M_BASIC, client_secret=ODD_SECRET, **grant),
        client.post("token", (M2M_BASIC, "wrong"), **grant),
        client.post("token", ("nobody", ODD_SECRET), **grant),
    ):
        assert (status, answer["error"]) == (401, "invalid_client")


def test_basic_halves_that_are_not_form_encoded_are_refused(client: Client) -> None:
    raw = base64.b64encode(f"{M2M_BASIC}:{ODD_SECRET}".encode()).decode()
    headers = {"Authorization": f"Basic {raw}"}
    fields = {"grant_type": "client_credentials"}
    answer = client.session.post(client.face.token_endpoint, data=fields, headers=headers, timeout=DEADLINE)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


def test_an_unknown_resource_is_an_invalid_target(client: Client) -> None:
    fields = {"grant_type": "client_credentials", "resource": "https://unknown.example.com"}
    status, answer = client.post("token", (M2M_BASIC, ODD_SECRET), **fields)
    assert (status, answer["error"]) == (400, "invalid_target")


# --- settings and trouble ---------------------------------------------------------------------------------------------


def test_tokens_live_as_long_as_told(client: Client, oidc: OidcProvider) -> None:
    assert client.sign_in()["expires_in"] == 3600
    assert client.sign_in(client_id=CLI_SHORT)["expires_in"] == 4
    grant = {"grant_type": "client_credentials"}
    assert client.post("token", (M2M_SHORT, SHORT_SECRET), **grant)[1]["expires_in"] == 4
    oidc.configure(access_token_ttl=20, id_token_ttl=10)
    oidc.configure(CLI_SHORT, access_token_ttl=2, id_token_ttl=1)
    for client_id, lifetimes in ((CLI, (20, 10)), (CLI_SHORT, (2, 1))):
        tokens = client.sign_in(client_id=client_id, audience=AUDIENCE)
        for token, lifetime in zip((tokens["access_token"], tokens["id_token"]), lifetimes, strict=True):
            claims = jwt.decode(token, options={"verify_signature": False})
            assert claims["exp"] - claims["iat"] == lifetime


def test_interval_code_lifetime_and_date_can_be_set(client: Client, oidc: OidcProvider) -> None:
    oidc.configure(interval=None, device_code_ttl=30, date_offset=-840)
    asked = client.ask()
    assert "interval" not in asked
    assert asked["expires_in"] == 30
    date = client.session.get(oidc.jwks_uri, timeout=DEADLINE).headers["Date"]
    assert parsedate_to_datetime(date).timestamp() == pytest.approx(time.time() - 840, abs=3)


def test_a_client_can_be_added(client: Client, oidc: OidcProvider) -> None:
    oidc.add_client("new", client_secret="s", authentication="client_secret_post", grant_types=["client_credentials"])
    assert client.post("token", grant_type="client_credentials", client_id="new", client_secret="s")[0] == 200
    oidc.reset()
    assert client.post("token", grant_type="client_credentials", client_id="new", client_secret="s")[0] == 401


def test_keys_rotate(client: Client, oidc: OidcProvider) -> None:
    before = [key["kid"] for key in client.get("jwks")["keys"]]
    tokens = client.sign_in(audience=AUDIENCE)
    fresh = oidc.rotate_keys()
    assert [key["kid"] for key in client.get("jwks")["keys"]] == fresh + before
    _, newer = client.refresh(tokens["refresh_token"])
    for token in (newer["id_token"], newer["access_token"]):
        assert jwt.get_unverified_header(token)["kid"] == fresh[0]
    assert claims_of(client, tokens["access_token"], AUDIENCE)["sub"] == "ada"
    last = oidc.rotate_keys(keep_old=False)
    assert [key["kid"] for key in client.get("jwks")["keys"]] == last


def test_the_next_answers_of_an_endpoint_or_grant_fail_as_told(client: Client, oidc: OidcProvider) -> None:
    oidc.fail_next("token", status=502, body="<html>bad gateway</html>")
    oidc.fail_next("refresh_token", times=2, status=429, body={"error": "slow"}, headers={"Retry-After": "7"})
    oidc.fail_next("jwks", times=None, status=500)
    fields = {"grant_type": "refresh_token", "client_id": CLI, "refresh_token": "x"}
    answers = [client.session.post(oidc.token_endpoint, data=fields, timeout=DEADLINE) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [502, 429, 429, 400]
    assert answers[0].headers["Content-Type"].startswith("text/html")
    assert answers[1].headers["Retry-After"] == "7"
    assert answers[1].json() == {"error": "slow"}
    assert [client.session.get(oidc.jwks_uri, timeout=DEADLINE).status_code for _ in range(3)] == [500] * 3
    oidc.clear_faults()
    assert client.get("jwks")
    assert oidc.counts() == {"token": 4, "refresh_token": 4, "jwks": 4}
    assert [r.status for r in oidc.requests("refresh_token")] == [502, 429, 429, 400]


def test_a_failed_answer_leaves_the_refresh_token_and_a_lost_one_spends_it(client: Client, oidc: OidcProvider) -> None:
    token = client.sign_in()["refresh_token"]
    oidc.fail_next("refresh_token", status=503)
    assert client.post("token", grant_type="refresh_token", client_id=CLI, refresh_token=token)[0] == 503
    assert oidc.honoured(token)
    oidc.fail_next("refresh_token", lose=True)
    with pytest.raises(requests.ConnectionError):
        client.refresh(token)
    assert not oidc.honoured(token)


def test_an_answer_can_be_late(client: Client, oidc: OidcProvider) -> None:
    oidc.fail_next("jwks", delay=0.3)
    began = time.monotonic()
    assert client.get("jwks")["keys"]
    assert time.monotonic() - began >= 0.3


def test_requests_are_remembered_with_what_came_of_them(client: Client, oidc: OidcProvider) -> None:
    client.sign_in("ada", audience=AUDIENCE)
    asked, polled = oidc.requests()
    assert (asked.endpoint, asked.client_id, asked.fields["audience"]) == ("device_authorization", CLI, AUDIENCE)
    assert (polled.grant_type, polled.authentication, polled.status) == ("device_code", "none", 200)
    assert asked.at <= polled.at <= time.time()
    assert [answer.scope for answer in oidc.issued("device_code")] == [""]
    oidc.reset_counts()
    assert oidc.counts() == {}
    assert oidc.requests() == []
    assert oidc.issued() == []


# --- Auth0's words ----------------------------------------------------------------------------------------------------


def test_auth0_device_errors_are_403_429_and_expired_only_once(auth0_client: Client, auth0: Face) -> None:
    assert auth0.device_authorization_endpoint == f"{auth0.issuer}oauth/device/code"
    assert auth0.token_endpoint == f"{auth0.issuer}oauth/token"
    assert auth0.revocation_endpoint == f"{auth0.issuer}oauth/revoke"
    asked, denied, expired = (auth0_client.ask(audience=AUDIENCE) for _ in range(3))
    auth0.deny(denied["user_code"])
    auth0.expire_device_code(expired["user_code"])
    assert said(auth0_client.poll(asked)) == (403, "authorization_pending")
    assert said(auth0_client.poll(asked)) == (429, "slow_down")
    assert said(auth0_client.poll(denied)) == (403, "access_denied")
    auth0.configure(enforce_interval=False)
    assert said(auth0_client.poll(expired)) == (403, "expired_token")
    assert said(auth0_client.poll(expired)) == (403, "invalid_grant")
    assert said(auth0_client.poll(expired)) == (403, "invalid_grant")


def test_auth0_refresh_and_revocation(auth0_client: Client, auth0: Face) -> None:
    tokens = auth0_client.sign_in(audience=AUDIENCE)
    assert tokens["scope"] == SCOPE
    first = tokens["refresh_token"]
    status, tokens = auth0_client.refresh(first)
    assert (status, tokens["scope"]) == (200, SCOPE)
    audience = jwt.decode(tokens["access_token"], options={"verify_signature": False})["aud"]
    assert audience == [AUDIENCE, f"{auth0.issuer}userinfo"]
    assert said(auth0_client.refresh(first)) == (403, "invalid_grant")
    assert not auth0.honoured(tokens["refresh_token"])
    token = auth0_client.sign_in()["refresh_token"]
    assert auth0_client.post("revocation", client_id=CLI, token=token) == (200, None)
    assert not auth0.honoured(token)


def test_auth0_access_token_without_audience_is_a_jwe(auth0_client: Client) -> None:
    token = auth0_client.sign_in()["access_token"]
    head = token.split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))) == {"alg": "dir", "enc": "A256GCM"}
    assert token.count(".") == 4


def test_auth0_machines_need_an_audience_and_a_wrong_secret_is_access_denied(auth0_client: Client) -> None:
    grant = {"grant_type": "client_credentials"}
    right, wrong = (M2M_BASIC, ODD_SECRET), (M2M_BASIC, "wrong")
    assert auth0_client.post("token", right, audience=AUDIENCE, **grant)[0] == 200
    assert said(auth0_client.post("token", right, **grant)) == (403, "access_denied")
    answer = auth0_client.post("token", wrong, audience=AUDIENCE, **grant)
    assert answer == (401, {"error": "access_denied", "error_description": "Unauthorized"})
    unknown = auth0_client.post("token", right, audience="https://unknown.example.com", **grant)
    assert said(unknown) == (403, "access_denied")


def said(answer: tuple[int, Any]) -> tuple[int, str]:
    """Return status and OAuth error."""
    return answer[0], answer[1]["error"]
