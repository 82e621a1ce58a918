"""What a provider may demand of a client, and the real one, which demands it."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from integration.clients.programs import Runner
from integration.scenes.browsers import Tabs, closed_session
from integration.scenes.private_keys import MACHINE, with_key
from integration.scenes.sign_ins import Value, sign_in, wait_until, write_profiles
from integration.servers.hostile_provider import signing_key
from integration.servers.oidc import AUDIENCE, CLI_BROWSER, DEVICE_CODE_GRANT, Face, OidcProvider
from tests.helpers.programs import Result

CLIENT = "demanding"
SECRET = "a secret of more than thirty-two bytes & odd characters: +%"
CALLBACK = ["http://127.0.0.1/callback"]
BROWSER_GRANTS = ["authorization_code", "refresh_token"]


def profile(face: Face, **more: Value) -> dict[str, Value]:
    return {"issuer": face.issuer, "client_id": CLIENT, "audience": AUDIENCE, "flow": "authorization-code", **more}


def by_browser(run: Runner, tabs: Tabs) -> Result:
    """Sign in with a browser, wherever it is sent."""
    running = run.start("token", "prod", terminal=True)
    wait_until(lambda: len(tabs.opened) == 1, "the one tab")
    with closed_session() as session:
        session.get(tabs.opened[0], timeout=60)
    return running.finish()


def refused(run: Runner, tabs: Tabs) -> Result:
    """Return what is said where no browser opens."""
    done = run("token", "prod", terminal=True)
    assert tabs.opened == []
    assert done.stdout == b""
    return done


# --- pushed authorization requests (RFC 9126) -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post", "client_secret_jwt"])
def test_a_client_that_has_to_push_pushes(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs, method: Any
) -> None:
    oidc.add_client(
        CLIENT,
        authentication=method,
        client_secret=None if method == "none" else SECRET,
        grant_types=BROWSER_GRANTS,
        redirect_uris=CALLBACK,
        require_pushed_authorization_requests=True,
    )
    more: dict[str, Value] = {} if method == "none" else {"client_secret": {"env": "CREDENTIAL_HELPER_PUSHED"}}
    if method == "client_secret_jwt":
        more["client_authentication"] = method
    home["CREDENTIAL_HELPER_PUSHED"] = SECRET
    write_profiles(home, prod=profile(oidc, pushed_authorization_requests=True, **more))
    done = by_browser(run, tabs)
    [issued] = oidc.issued("authorization_code")
    assert (done.code, done.text) == (0, f"{issued.access_token}\n"), done
    assert sorted(part.partition("=")[0] for part in tabs.opened[0].partition("?")[2].split("&")) == [
        "client_id",
        "request_uri",
    ]
    pushed = oidc.requests("pushed_authorization_request")
    assert (pushed[-1].authentication, pushed[-1].status) == (method, 201)
    assert len(pushed) == (2 if method == "client_secret_post" else 1)


def test_a_client_that_has_to_push_and_does_not_is_told_so(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    oidc.add_client(
        CLIENT, grant_types=BROWSER_GRANTS, redirect_uris=CALLBACK, require_pushed_authorization_requests=True
    )
    write_profiles(home, prod=profile(oidc))
    done = by_browser(run, tabs)
    assert (done.code, done.stdout) == (77, b"")
    assert "Pushed Authorization Request must be used" in done.terminal
    assert "hint: write pushed_authorization_requests = true into the profile" in done.terminal


def test_where_the_metadata_demand_it_every_client_pushes(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    oidc.configure(require_par=True)
    write_profiles(home, prod=profile(oidc, client_id=CLI_BROWSER))
    done = by_browser(run, tabs)
    assert done.code == 0, done
    assert oidc.counts()["pushed_authorization_request"] == 1


def test_a_pushed_request_that_the_provider_does_not_like_opens_no_browser(
    run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs
) -> None:
    write_profiles(
        home,
        prod=profile(
            oidc,
            client_id=CLI_BROWSER,
            pushed_authorization_requests=True,
            redirect_uri="http://127.0.0.1/not-registered",
        ),
    )
    done = refused(run, tabs)
    assert done.code == 77
    assert "redirect_uri" in done.terminal
    assert "register http://127.0.0.1/not-registered at the provider" in done.terminal


# --- a secret that is not sent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("auto", [True, False])
def test_a_client_that_proves_its_secret(run: Runner, oidc: OidcProvider, home: dict[str, str], auto: bool) -> None:
    oidc.add_client(
        CLIENT, authentication="client_secret_jwt", client_secret=SECRET, grant_types=["client_credentials"]
    )
    home["CREDENTIAL_HELPER_PROVEN"] = SECRET
    settings: dict[str, Value] = {"flow": "client-credentials"}
    settings["client_secret"] = {"env": "CREDENTIAL_HELPER_PROVEN"}
    method: dict[str, Value] = {} if auto else {"client_authentication": "client_secret_jwt"}
    write_profiles(home, prod=profile(oidc, **settings, **method))
    done = run("token", "prod")
    if auto:
        assert done.code == 77
        assert 'client_authentication = "client_secret_jwt"' in done.stderr
        return
    assert (done.code, done.stderr) == (0, ""), done
    assert [request.authentication for request in oidc.requests("token")] == ["client_secret_jwt"]
    assert SECRET not in json.dumps([request.fields for request in oidc.requests()])


# --- EdDSA, by both its names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["Ed25519", "EdDSA", "ES256"])
def test_the_id_token_may_be_signed_with(run: Runner, oidc: OidcProvider, home: dict[str, str], alg: str) -> None:
    oidc.configure(id_token_algorithms=[alg])
    oidc.add_client(CLIENT, id_token_signed_response_alg=alg)
    write_profiles(home, prod=profile(oidc, flow="device", token="id"))
    sign_in(run, oidc, "prod")
    done = run("token", "prod")
    assert (done.code, done.stderr) == (0, ""), done
    assert jwt.get_unverified_header(done.text.strip())["alg"] == alg


@pytest.mark.parametrize("alg", ["Ed25519", "EdDSA"])
def test_a_machine_signs_with(run: Runner, oidc: OidcProvider, home: dict[str, str], alg: str) -> None:
    with_key(home, oidc, MACHINE, signing_key(alg), kid="k1")
    done = run("token", "prod")
    assert (done.code, done.stderr) == (0, ""), done
    (request,) = oidc.requests("token")
    assert jwt.get_unverified_header(request.fields["client_assertion"])["alg"] == alg


def test_an_id_token_with_a_shared_secret_leaves_the_access_token(
    run: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    oidc.configure(id_token_algorithms=["RS256", "HS256"])
    oidc.add_client(
        CLIENT,
        authentication="client_secret_basic",
        client_secret=SECRET,
        grant_types=[DEVICE_CODE_GRANT, "refresh_token"],
        id_token_signed_response_alg="HS256",
    )
    home["CREDENTIAL_HELPER_SHARED"] = SECRET
    settings = profile(oidc, flow="device", client_secret={"env": "CREDENTIAL_HELPER_SHARED"})
    write_profiles(home, prod=settings)
    signed_in = sign_in(run, oidc, "prod")
    assert "is signed with HS256" in signed_in.terminal
    assert "who signed in is not known" in signed_in.terminal
    [issued] = oidc.issued("device_code")
    done = run("token", "prod")
    assert (done.code, done.text, done.stderr) == (0, f"{issued.access_token}\n", "")


# --- what is not supported --------------------------------------------------------------------------------------------


def test_signed_requests_of_a_client(run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs) -> None:
    oidc.add_client(CLIENT, grant_types=BROWSER_GRANTS, redirect_uris=CALLBACK, require_signed_request_object=True)
    write_profiles(home, prod=profile(oidc))
    done = by_browser(run, tabs)
    assert (done.code, done.stdout) == (77, b"")
    assert "demands a signed request object (RFC 9101), which is not supported" in done.terminal
    assert "hint: switch off signed request objects for this client" in done.terminal


def test_signed_requests_of_everybody(run: Runner, oidc: OidcProvider, home: dict[str, str], tabs: Tabs) -> None:
    oidc.configure(require_jar=True)
    write_profiles(home, prod=profile(oidc, client_id=CLI_BROWSER))
    done = refused(run, tabs)
    assert done.code == 77
    assert "demands a signed request object (RFC 9101), which is not supported" in done.terminal


def test_tokens_that_are_bound_to_a_key(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    oidc.add_client(
        CLIENT,
        authentication="client_secret_basic",
        client_secret=SECRET,
        grant_types=["client_credentials"],
        dpop_bound_access_tokens=True,
    )
    home["CREDENTIAL_HELPER_BOUND"] = SECRET
    settings: dict[str, Value] = {"flow": "client-credentials"}
    settings["client_secret"] = {"env": "CREDENTIAL_HELPER_BOUND"}
    write_profiles(home, prod=profile(oidc, **settings))
    done = run("token", "prod")
    assert (done.code, done.stdout) == (77, b"")
    assert "(invalid_grant: grant request is invalid)" in done.stderr  # that is all that it says
    assert "hint: if this client is registered for tokens that are bound to a key, switch off DPoP" in done.stderr
