"""What Keycloak does, seen with plain requests: what its row and docs/providers/keycloak.md say."""

from __future__ import annotations

from integration.scenes.real_providers import (
    ACCESS_TOKEN,
    ASSERTION,
    EXCHANGE,
    ID_TOKEN,
    JWT,
    JWT_BEARER,
    REFRESH,
    assertion,
    audience,
    basic,
    by_browser,
    by_code,
    claims,
    error,
    good,
)
from integration.servers.hostile_provider import SigningKey
from integration.servers.oidc import DEVICE_CODE_GRANT
from integration.servers.providers.keycloak import (
    CI,
    CONSENT,
    EXCHANGER,
    FEDERATED,
    GRANTED,
    IMPATIENT,
    KEYED,
    KUBERNETES,
    MACHINE,
    PASSWORDS,
    PEOPLE,
    REGISTRY,
    SUBJECT,
    Keycloak,
)
from integration.servers.providers.real import PASSWORD, PERSON

EXCHANGED = {"grant_type": EXCHANGE, "subject_token_type": ACCESS_TOKEN}


def test_what_a_refresh_takes(keycloak: Keycloak) -> None:
    """Neither audience nor resource (RFC 8707); scope takes away what is optional, and nothing else."""
    token = by_browser(keycloak)["refresh_token"]
    first = {"grant_type": REFRESH, "client_id": PEOPLE, "refresh_token": token}
    for more in ({"audience": REGISTRY}, {"resource": "https://registry.example.com"}, {}):
        answer = good(keycloak.token(**first, **more))
        assert audience(answer["access_token"]) == {KUBERNETES, EXCHANGER}
    narrowed = claims(good(keycloak.token(**first, scope="openid email"))["access_token"])
    assert set(narrowed["scope"].split()) == {"openid", "email", "profile"}  # without offline_access


def test_what_becomes_of_a_refresh_token(keycloak: Keycloak, rotating: Keycloak) -> None:
    """Each refresh brings another one; the old one ends, and all with it, where the realm revokes them."""
    for realm in (keycloak, rotating):
        old = by_browser(realm)["refresh_token"]
        fields = {"grant_type": REFRESH, "client_id": PEOPLE}
        new = good(realm.token(**fields, refresh_token=old))["refresh_token"]
        assert new != old
        again = [realm.token(**fields, refresh_token=token) for token in (old, new)]
        if realm is keycloak:
            assert [status for status, _ in again] == [200, 200]
        else:
            assert [error(answer) for answer in again] == [(400, "invalid_grant")] * 2


def test_what_codes_end_in(keycloak: Keycloak) -> None:
    _, asked = keycloak.post("device_authorization_endpoint", client_id=IMPATIENT)
    assert asked["expires_in"] == 2
    fields = {"grant_type": DEVICE_CODE_GRANT, "client_id": IMPATIENT}
    assert error(keycloak.token(**fields, device_code="unknown")) == (400, "invalid_grant")
    _, asked = keycloak.post("device_authorization_endpoint", client_id=PEOPLE)
    keycloak.decline(asked["verification_uri_complete"])
    declined = keycloak.token(**fields | {"client_id": PEOPLE}, device_code=asked["device_code"])
    assert error(declined) == (400, "access_denied")


def test_what_a_client_that_demands_pkce_means_for_codes(keycloak: Keycloak) -> None:
    answer = keycloak.post("device_authorization_endpoint", client_id=CONSENT)
    assert error(answer) == (400, "invalid_request")
    assert "code_challenge_method" in answer[1]["error_description"]


def test_what_a_wrong_client_is_told(keycloak: Keycloak) -> None:
    machine = {"grant_type": "client_credentials"}
    assert error(keycloak.token((MACHINE, "wrong"), **machine)) == (401, "unauthorized_client")
    assert error(keycloak.token(("nobody", "wrong"), **machine)) == (401, "invalid_client")
    assert error(keycloak.token(**machine, client_id=PEOPLE)) == (401, "unauthorized_client")
    password = {"grant_type": "password", "username": PERSON, "password": PASSWORD}
    assert error(keycloak.token(**password, client_id=PEOPLE)) == (400, "unauthorized_client")
    assert error(keycloak.token(**password | {"password": "no"}, client_id=PASSWORDS)) == (400, "invalid_grant")


def test_what_a_machine_may_ask_for(keycloak: Keycloak) -> None:
    """Audiences come from mappers: neither parameter is read."""
    for more in ({}, {"audience": REGISTRY}, {"resource": "https://registry.example.com"}):
        answer = good(keycloak.token(basic(MACHINE), grant_type="client_credentials", **more))
        assert KUBERNETES in audience(answer["access_token"])
        assert REGISTRY not in audience(answer["access_token"])


def test_what_an_assertion_names(keycloak: Keycloak, client_key: SigningKey) -> None:
    """The issuer or the token endpoint; and it is good once."""
    fields = {"grant_type": "client_credentials", "client_id": KEYED, "client_assertion_type": ASSERTION}
    for named in (keycloak.issuer, keycloak.metadata()["token_endpoint"]):
        once = assertion(client_key, KEYED, named)
        good(keycloak.token(**fields, client_assertion=once))
        assert error(keycloak.token(**fields, client_assertion=once)) == (400, "invalid_client")
    other = assertion(client_key, KEYED, "https://other.example.com")
    assert keycloak.token(**fields, client_assertion=other)[0] in (400, 401)


def test_what_token_exchange_gives(keycloak: Keycloak) -> None:
    """One audience out of those of the client's mappers, for a token that is for this client."""
    subject = by_browser(keycloak)["access_token"]
    client = basic(EXCHANGER)
    for wanted in (KUBERNETES, REGISTRY):
        answer = good(keycloak.token(client, **EXCHANGED, subject_token=subject, audience=wanted))
        assert audience(answer["access_token"]) == {wanted}
        assert answer["issued_token_type"] == ACCESS_TOKEN
        assert "refresh_token" not in answer
        assert claims(answer["access_token"])["sub"] == claims(subject)["sub"]
    both = good(keycloak.token(client, **EXCHANGED, subject_token=subject, resource="https://ignored.example.com"))
    assert audience(both["access_token"]) == {KUBERNETES, REGISTRY}
    fields = {**EXCHANGED, "requested_token_type": ID_TOKEN, "scope": "openid"}
    identity = good(keycloak.token(client, **fields, subject_token=subject))
    assert audience(identity["access_token"]) == {EXCHANGER}  # an ID token for the client itself
    unknown = keycloak.token(client, **EXCHANGED, subject_token=subject, audience="nobody")
    assert error(unknown) == (400, "invalid_client")


def test_what_token_exchange_is_refused(keycloak: Keycloak) -> None:
    """Clients without the switch, public ones too, and tokens that are for others."""
    subject = by_browser(keycloak)["access_token"]
    fields = {**EXCHANGED, "audience": REGISTRY}
    public = keycloak.token(**fields, client_id=PEOPLE, subject_token=subject)
    assert error(public) == error(keycloak.token(basic(MACHINE), **fields, subject_token=subject))
    assert error(public) == (400, "invalid_request")
    assert "Standard token exchange is not enabled" in public[1]["error_description"]
    password = {"grant_type": "password", "client_id": PASSWORDS, "username": PERSON, "password": PASSWORD}
    other = good(keycloak.token(**password))["access_token"]
    assert error(keycloak.token(basic(EXCHANGER), **fields, subject_token=other)) == (403, "access_denied")


def test_a_foreign_token_is_not_exchanged(keycloak: Keycloak, ci_key: SigningKey) -> None:
    """Whatever its type is said to be: the standard token exchange takes Keycloak's own tokens."""
    foreign = assertion(ci_key, CI, keycloak.issuer, SUBJECT)
    for kind in (ACCESS_TOKEN, ID_TOKEN, JWT):
        fields = {"grant_type": EXCHANGE, "subject_token": foreign, "subject_token_type": kind}
        assert keycloak.token(basic(EXCHANGER), **fields)[0] == 400


def test_what_a_foreign_assertion_proves_of_a_client(keycloak: Keycloak, ci_key: SigningKey) -> None:
    """A client is who an identity provider says, with or without client_id; the issuer is named, and each good once."""
    endpoint = keycloak.metadata()["token_endpoint"]
    fields = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION}
    for more in ({}, {"client_id": FEDERATED}):
        once = assertion(ci_key, CI, keycloak.issuer, SUBJECT)
        answer = good(keycloak.token(**fields, **more, client_assertion=once))
        assert claims(answer["access_token"])["azp"] == FEDERATED
        assert keycloak.token(**fields, **more, client_assertion=once)[0] in (400, 401)
    to_endpoint, of_another = assertion(ci_key, CI, endpoint, SUBJECT), assertion(ci_key, CI, keycloak.issuer, "other")
    assert error(keycloak.token(**fields, client_assertion=to_endpoint)) == (400, "invalid_client")
    assert keycloak.token(**fields, client_assertion=of_another)[0] in (400, 401)


def test_what_a_foreign_assertion_is_exchanged_for(keycloak: Keycloak, ci_key: SigningKey) -> None:
    """The token of the person who is linked to its subject (RFC 7523 §2.1), where the client may ask for it."""
    endpoint = keycloak.metadata()["token_endpoint"]
    for named in (keycloak.issuer, endpoint):
        foreign = assertion(ci_key, CI, named, SUBJECT)
        answer = good(keycloak.token(basic(GRANTED), grant_type=JWT_BEARER, assertion=foreign))
        assert claims(answer["access_token"])["azp"] == GRANTED
        assert "refresh_token" not in answer
    for client, subject in ((GRANTED, "repo:other"), (MACHINE, SUBJECT)):
        foreign = assertion(ci_key, CI, keycloak.issuer, subject)
        refused = keycloak.token(basic(client), grant_type=JWT_BEARER, assertion=foreign)
        assert error(refused) == (400, "invalid_grant")


def test_what_revocation_ends(keycloak: Keycloak) -> None:
    token = by_code(keycloak)["refresh_token"]
    assert keycloak.post("revocation_endpoint", client_id=PEOPLE, token=token)[0] == 200
    answer = keycloak.token(grant_type=REFRESH, client_id=PEOPLE, refresh_token=token)
    assert error(answer) == (400, "invalid_grant")
