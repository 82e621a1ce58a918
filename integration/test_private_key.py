"""Clients with a private key and the real provider, which verifies every assertion and takes each of them once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from integration.clients.programs import Runner
from integration.scenes.private_keys import MACHINE, PERSON, keep, profile, register, with_key, written
from integration.scenes.sign_ins import Value, sign_in, write_profiles
from integration.servers.hostile_provider import signing_key
from integration.servers.oidc import AUDIENCE, Face, OidcProvider, Recorded
from tests.helpers.programs import DEADLINE, Result


def assertions(face: Face) -> list[Recorded]:
    """Return every request that needs a client; each came with an assertion that no other one came with."""
    found = [request for request in face.requests() if request.method == "POST"]
    assert {request.authentication for request in found} == {"private_key_jwt"}
    identities = [claims(request)["jti"] for request in found]
    assert len(set(identities)) == len(identities)
    return found


def claims(request: Recorded) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(request.fields["client_assertion"], options={"verify_signature": False})
    return found


def token_of(done: Result) -> dict[str, Any]:
    """Return the claims of a token that was printed, and nothing else was."""
    assert (done.code, done.stderr) == (0, ""), done
    found: dict[str, Any] = jwt.decode(done.text.strip(), options={"verify_signature": False})
    return found


# --- machines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["RS256", "RS384", "PS256", "PS384", "ES256", "ES384"])
def test_a_machine_signs_in_with_its_key(run: Runner, oidc: OidcProvider, home: dict[str, str], alg: str) -> None:
    with_key(home, oidc, MACHINE, signing_key(alg), kid="k1")
    for _ in range(2):
        assert token_of(run("token", "prod"))["sub"] == MACHINE
    (request,) = assertions(oidc)
    assert (request.status, request.fields["client_id"]) == (200, MACHINE)
    header = jwt.get_unverified_header(request.fields["client_assertion"])
    assert header == {"alg": alg, "typ": "JWT", "kid": "k1"}


def test_auth0s_issuer_keeps_its_slash(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    with_key(home, auth0, MACHINE, signing_key())
    write_profiles(home, prod=profile(auth0, MACHINE, file=f"{home['HOME']}/key.pem") | {"issuer": auth0.issuer[:-1]})
    assert token_of(run("token", "prod"))["sub"] == f"{MACHINE}@clients"
    (request,) = assertions(auth0)
    assert claims(request)["aud"] == auth0.issuer
    assert auth0.issuer.endswith("/")


def test_the_token_endpoint_is_an_audience_too(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    with_key(home, oidc, MACHINE, signing_key("ES256"), audience="token_endpoint")
    token_of(run("token", "prod"))
    (request,) = assertions(oidc)
    assert claims(request)["aud"] == oidc.token_endpoint


@pytest.mark.parametrize("source", ["file", "command", "env"])
def test_a_key_is_read_where_the_profile_says(
    run: Runner, oidc: OidcProvider, home: dict[str, str], source: str
) -> None:
    key = signing_key("ES256")
    register(oidc, MACHINE, key)
    file = keep(home, written(key))
    home["CI_KEY"] = written(key)
    sources: dict[str, Value] = {"file": "~/key.pem", "command": ["cat", file], "env": "CI_KEY"}
    write_profiles(home, prod=profile(oidc, MACHINE, **{source: sources[source]}))
    token_of(run("token", "prod"))
    assert len(assertions(oidc)) == 1


@pytest.mark.parametrize("source", ["flag", "variable"])
def test_a_key_needs_no_config_file(run: Runner, oidc: OidcProvider, home: dict[str, str], source: str) -> None:
    key = signing_key("ES384")
    register(oidc, MACHINE, key)
    flags = ["--issuer", oidc.issuer, "--client-id", MACHINE, "--flow", "client-credentials", "--audience", AUDIENCE]
    if source == "flag":
        path = keep(home, written(key))
        config = Path(home["HOME"], "config.toml")
        config.write_text(f'secret_files = ["{home["HOME"]}"]')
        config.chmod(0o600)
        home["CREDENTIAL_HELPER_CONFIG"] = str(config)
        flags += ["--private-key-file", path, "--private-key-kid", "k1"]
    else:
        home["CREDENTIAL_HELPER_PRIVATE_KEY"] = written(key)
    token_of(run("token", *flags))
    assert len(assertions(oidc)) == 1


def test_a_jwk_set_says_by_itself_which_key_it_is(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    old, new = signing_key("PS256", "old"), signing_key("PS256", "new")
    register(oidc, MACHINE, old, new)
    private = jwt.get_algorithm_by_name("PS256").to_jwk(new.private, as_dict=True)
    key_set = {"keys": [old.jwk(), {**new.jwk(), **private, "key_ops": ["sign"]}]}
    write_profiles(home, prod=profile(oidc, MACHINE, file=keep(home, json.dumps(key_set))))
    token_of(run("token", "prod"))
    (request,) = assertions(oidc)
    header = jwt.get_unverified_header(request.fields["client_assertion"])
    assert header == {"alg": "PS256", "typ": "JWT", "kid": "new"}


def test_an_assertion_that_was_overheard_is_good_for_nothing(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    with_key(home, oidc, MACHINE, signing_key("ES256"))
    token_of(run("token", "prod"))
    (request,) = assertions(oidc)
    with requests.Session() as session:
        session.trust_env = False
        again = session.post(oidc.token_endpoint, data=request.fields, timeout=DEADLINE)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert run("refresh", "prod").code == 0  # with one of its own
    assert oidc.requests("token")[-1].status == 200


# --- people -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384"])
def test_a_confidential_client_signs_a_person_in_renews_and_signs_out(
    run: Runner, oidc: OidcProvider, home: dict[str, str], alg: str
) -> None:
    with_key(home, oidc, PERSON, signing_key(alg), kid="k1")
    sign_in(run, oidc, "prod")
    first = token_of(run("token", "prod"))
    assert first["sub"] == "ada"
    assert run("refresh", "prod").code == 0
    assert token_of(run("token", "prod"))["jti"] != first["jti"]
    assert run("logout", "prod").code == 0
    assert oidc.refresh_tokens() == []

    made = assertions(oidc)
    assert [(request.endpoint, request.grant_type) for request in made if request.grant_type != "device_code"] == [
        ("device_authorization", ""),
        ("token", "refresh_token"),
        ("revocation", ""),
    ]
    assert {claims(request)["aud"] for request in made} == {oidc.issuer}
    assert {claims(request)["exp"] - claims(request)["iat"] for request in made} == {60}


# --- refused ----------------------------------------------------------------------------------------------------------


def refused(done: Result, face: Face, alg: str, audience: str, more: str = "") -> None:
    """Assert that the client was refused, and how that was told."""
    assert (done.code, done.stdout) == (77, b""), done
    sentence, hint = done.stderr.splitlines()
    assert sentence.startswith(f"credential-helper: prod: {face.host} refused the client's assertion")
    assert hint == (
        f"hint: check that the public key is registered for this client ({alg}), and the audience: the assertion was "
        f'for {audience}, private_key = {{ audience = "…" }} changes that{more}'
    )


@pytest.mark.parametrize("added", ["/", "/elsewhere"])
def test_an_assertion_for_somebody_else_is_refused(
    run: Runner, oidc: OidcProvider, home: dict[str, str], added: str
) -> None:
    with_key(home, oidc, MACHINE, signing_key("ES256"), audience=oidc.issuer + added)
    refused(run("token", "prod"), oidc, "ES256", oidc.issuer + added)
    assert [request.status for request in assertions(oidc)] == [401]


def test_a_key_that_is_not_registered_is_refused(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    with_key(home, auth0, MACHINE, signing_key("RS256"))
    register(auth0, MACHINE, signing_key("RS256", "another"))
    refused(run("token", "prod"), auth0, "RS256", auth0.issuer)


def test_a_clock_that_is_wrong_is_told(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    """Whose clock it is cannot be known: the provider shows one, by which the assertion was made, and has another."""
    with_key(home, oidc, MACHINE, signing_key("ES256"))
    oidc.configure(date_offset=-840)
    told = f"; this machine's clock is 14 min ahead of {oidc.host}"
    refused(run("token", "prod"), oidc, "ES256", oidc.issuer, told)


def test_a_key_that_cannot_be_used_is_told_before_anything_is_sent(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    key = signing_key("ES256")
    register(oidc, MACHINE, key)
    file = keep(home, written(key, b"passphrase"))
    config = write_profiles(home, prod=profile(oidc, MACHINE, file=file))
    done = run("token", "prod")
    assert (done.code, done.stdout) == (78, b"")
    sentence, hint = done.stderr.splitlines()
    assert sentence.startswith(f"credential-helper: prod: {config}: profiles.prod.private_key")
    assert sentence.endswith(": the private key is encrypted")
    assert hint == "hint: decrypt it: openssl pkcs8 -topk8 -nocrypt -in OLD -out key.pem"
    assert [request for request in oidc.requests() if request.method == "POST"] == []


def test_nothing_that_is_said_has_a_key_or_an_assertion_in_it(run: Runner, auth0: Face, home: dict[str, str]) -> None:
    key = signing_key("RS256")
    with_key(home, auth0, PERSON, key)
    home["CREDENTIAL_HELPER_VERBOSE"] = "1"
    said = sign_in(run, auth0, "prod").terminal
    for command in (["refresh", "prod"], ["token", "prod"], ["status", "--verbose"], ["logout", "prod"]):
        done = run(*command)
        assert done.code == 0, done
        said += done.text + done.stderr
    parts = [part for request in assertions(auth0) for part in request.fields["client_assertion"].split(".")[1:]]
    lines = [line for line in written(key).splitlines() if not line.startswith("-")]
    assert not [secret for secret in (*parts, *lines) if secret in said]
