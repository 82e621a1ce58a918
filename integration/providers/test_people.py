"""People at real providers: every way in, what tools get, renewal and the end, as far as the provider has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from integration.clients.programs import Runner
from integration.scenes.browsers import Tabs
from integration.scenes.real_providers import Person, claims, claims_of
from integration.servers.providers.real import EMAIL, RealProvider

Met = Callable[..., Person]

EVERY = ["keycloak", "rotating", "hydra", "dex"]
WITH_CODES = ["keycloak", "rotating", "dex"]  # Hydra has them since 25.4, which is no Go module's version
EXEC_INFO = json.dumps(
    {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {"interactive": False}}
)

LEGACY = 'credential-helper: warning: flow = "password"'

by = pytest.mark.parametrize


@pytest.fixture
def meet(run: Runner, home: dict[str, str], tabs: Tabs, provider: RealProvider) -> Met:
    """Return what makes the person with these settings."""

    def met(**settings: Any) -> Person:
        return Person(run, home, tabs, provider, **settings)

    return met


@by("provider", WITH_CODES, indirect=True)
def test_a_person_signs_in_with_a_code(meet: Met, provider: RealProvider) -> None:
    person = meet(flow="device")
    done = person.with_a_code()
    assert (done.code, done.stdout) == (0, b""), done
    assert f"signed in to prod as {provider.shown} until" in done.terminal
    assert person.token()["iss"] == provider.issuer


@by("provider", EVERY, indirect=True)
def test_a_person_signs_in_with_a_browser(meet: Met, provider: RealProvider) -> None:
    person = meet(flow="authorization-code")
    done, page = person.with_a_browser()
    assert (done.code, done.stdout) == (0, b""), done
    assert f"signed in to prod as {provider.shown} until" in done.terminal
    assert "signed in" in page.lower()
    assert person.token()["iss"] == provider.issuer


@by("provider", EVERY, indirect=True)
def test_kubectl_gets_the_id_token(meet: Met, provider: RealProvider) -> None:
    person = meet(flow="authorization-code")
    person.with_a_browser()
    done = person.run("kubectl", "--profile", "prod", env={"KUBERNETES_EXEC_INFO": EXEC_INFO})
    assert (done.code, done.stderr) == (0, ""), done
    found = claims(json.loads(done.stdout)["status"]["token"])
    assert found["iss"] == provider.issuer
    assert found["aud"] in ("people", ["people"])  # either is right (OIDC Core §2)
    assert found["email"] == EMAIL


@by("provider", EVERY, indirect=True)
def test_status_says_who_is_signed_in(meet: Met, provider: RealProvider) -> None:
    person = meet(flow="authorization-code")
    assert person.run("status", "prod").code == 66
    person.with_a_browser()
    done = person.run("status", "prod", "--json")
    (row,) = json.loads(done.stdout)["profiles"]
    assert done.code == 0
    assert row["who"] == provider.shown


@by("provider", EVERY, indirect=True)
def test_renewals_need_nobody(meet: Met) -> None:
    person = meet(flow="authorization-code")
    person.with_a_browser()
    tokens = {person.run("token", "prod").text}
    for _ in range(3):
        done = person.run("refresh", "prod")
        assert done.code == 0, done
        tokens.add(person.run("token", "prod").text)
    assert len(tokens) == 4


@by("provider", ["rotating", "hydra", "dex"], indirect=True)
def test_a_refresh_token_that_was_used_means_a_new_sign_in(meet: Met) -> None:
    """As after a restored backup. Dex says invalid_request, the others invalid_grant."""
    person = meet(flow="authorization-code")
    person.with_a_browser()
    old = person.refresh_token()
    assert person.run("refresh", "prod").code == 0
    assert person.refresh_token() != old
    person.put_back(old)
    done = person.run("refresh", "prod")
    assert done.code == 77, done
    assert "refused the refresh token" in done.stderr
    assert "hint: credential-helper login prod" in done.stderr


@by("provider", ["keycloak", "rotating", "hydra"], indirect=True)
def test_logout_ends_the_sign_in_at_the_provider(meet: Met, provider: RealProvider) -> None:
    person = meet(flow="authorization-code")
    person.with_a_browser()
    token = person.refresh_token()
    done = person.run("logout", "prod")
    assert done.code == 0, done
    assert provider.token(grant_type="refresh_token", client_id="people", refresh_token=token)[0] == 400


@by("provider", EVERY, indirect=True)
def test_a_person_who_does_not_agree_is_not_signed_in(meet: Met, tabs: Tabs, provider: RealProvider) -> None:
    client = {"client_id": "careful"} if provider.name == "keycloak" else {}
    person = meet(flow="authorization-code", **client)
    running = person.run.start("login", "prod", terminal=True)
    asked = tabs.wait()
    if provider.name == "dex":
        assert "Approval rejected" in provider.refuse(asked.url)  # the browser is not sent back
        running.type(b"\x03")
        assert running.finish().code == 130
    else:
        provider.refuse(asked.url)
        done = running.finish()
        assert done.code == 77, done
        assert "signed in" not in done.terminal.replace("a sign-in", "")


@by("provider", ["keycloak"], indirect=True)
def test_a_declined_code_is_said(meet: Met, provider: RealProvider) -> None:
    running, url = meet(flow="device").asked()
    provider.decline(url)
    done = running.finish()
    assert done.code == 77, done
    assert "declined" in done.terminal


@by("provider", ["keycloak"], indirect=True)
def test_a_code_that_is_too_old_is_replaced(meet: Met) -> None:
    person = meet(flow="device", client_id="impatient")
    running, _ = person.asked()
    running.wait_for("expired|too old|no longer", where="terminal")
    running.kill()


@by("provider", ["keycloak", "dex"], indirect=True)
def test_a_password_signs_in_where_the_provider_takes_one(
    meet: Met, home: dict[str, str], provider: RealProvider
) -> None:
    client: dict[str, Any] = {"client_id": "passwords"}
    if provider.name == "dex":
        client = {"client_id": "exchanger", "client_secret": {"env": "CLIENT_SECRET"}, "scope": "openid email"}
    person = meet(flow="password", legacy=True, account=EMAIL, password={"env": "PASSWORD"}, **client)
    home |= {"PASSWORD": "correct horse battery staple", "CLIENT_SECRET": "p%c+r t&=/e"}
    assert claims_of(person.run("token", "prod"), LEGACY)["iss"] == provider.issuer
    home["PASSWORD"] = "wrong"
    person.run("logout", "prod")
    done = person.run("token", "prod")
    assert done.code == 77, done
    assert "password" in done.stderr
