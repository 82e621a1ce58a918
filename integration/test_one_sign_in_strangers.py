"""Whoever has prod's issuer and client id has nothing of prod's for that, and a sign-in that fails costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from integration.scenes.audiences import GIT, KUBE, Desk, prod
from integration.scenes.homes import NOBODY, PERSON, PROMPT
from integration.servers.hostile_provider import HostileProvider, signing_key
from integration.servers.oidc import CLI, Face, OidcProvider


@pytest.fixture
def desk(tmp_path: Path, installed: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "desk", installed)
    yield made
    made.launcher.stop()


@pytest.fixture
def evil() -> Iterator[HostileProvider]:
    """Return a server of somebody else's, which remembers what it is sent."""
    with HostileProvider(tls="good") as provider:
        provider.serve_metadata()
        yield provider


ASKS = {
    "git": (("git", "get"), "CREDENTIAL_HELPER_GIT", "https://evil.example", "protocol=https\nhost=evil.example\n\n"),
    "docker": (("docker", "get"), "CREDENTIAL_HELPER_DOCKER", "evil.example", "evil.example"),
    "token": (("token",), "CREDENTIAL_HELPER_RESOURCE", KUBE, ""),
}


@pytest.mark.parametrize("tool", ASKS)
def test_variables_with_prods_issuer_and_client_get_nothing_of_prods(
    desk: Desk, oidc: OidcProvider, evil: HostileProvider, tool: str
) -> None:
    """They name prod's issuer and client, hosts of their own, and who is to be believed (H2)."""
    face = oidc.tls
    desk.begin(face, ca_file=face.ca_file)
    token = desk.token(KUBE)
    secrets = {token} | {one.refresh_token for one in face.refresh_tokens()}
    words, variable, value, stdin = ASKS[tool]
    plain = {
        "CREDENTIAL_HELPER_ISSUER": face.issuer,
        "CREDENTIAL_HELPER_CLIENT_ID": CLI,
        "CREDENTIAL_HELPER_CA_FILE": both_authorities(desk, face, evil),
        "CREDENTIAL_HELPER_RESOURCE": KUBE,
        variable: value,
    }
    elsewhere = {
        **plain,
        "CREDENTIAL_HELPER_TOKEN_ENDPOINT": f"{evil.url}/token",
        "CREDENTIAL_HELPER_REVOCATION_ENDPOINT": f"{evil.url}/revoke",
        "CREDENTIAL_HELPER_JWKS_URI": f"{evil.url}/jwks",
    }

    def nothing_comes(*asks: str, variables: dict[str, str]) -> None:
        done = desk.run(*asks, env=NOBODY | variables, stdin=stdin.encode())
        assert "nobody" in done.stderr, done  # is signed in, or was
        assert not any(secret in done.text + done.stderr for secret in secrets), done

    for variables in (plain, elsewhere):
        nothing_comes(*words, variables=variables)
    desk.expire_all()
    for variables in (plain, elsewhere):
        nothing_comes(*words, variables=variables)
        nothing_comes("logout", variables=variables)
    nothing_comes("refresh", variables=elsewhere)
    assert face.requests("token") == face.requests("revocation") == []
    assert evil.requests == []
    assert desk.token(KUBE) != token


def both_authorities(desk: Desk, face: Face, evil: HostileProvider) -> str:
    """Write a file that has whoever is believed by it believe two servers, and return its path."""
    path = desk.folder / "both.pem"
    path.write_text(Path(face.ca_file or "").read_text() + Path(evil.ca_file).read_text())
    return str(path)


def test_a_profile_with_other_endpoints_posts_nothing_of_prods_there(
    desk: Desk, oidc: OidcProvider, evil: HostileProvider
) -> None:
    """``lab`` has prod's issuer and client id, and says that tokens are had and revoked elsewhere (H3)."""
    both = both_authorities(desk, oidc.tls, evil)
    endpoints = {"token": f"{evil.url}/token", "revocation": f"{evil.url}/revoke"}
    mine = prod(oidc.tls, ca_file=both)
    lab = {"issuer": oidc.tls.issuer, "client_id": CLI, "resource": KUBE, "ca_file": both, "endpoints": endpoints}
    desk.lay(prod=mine, lab={**lab, "store": "file"})
    desk.sign_in_for(oidc.tls, KUBE)
    oidc.tls.reset_counts()
    assert desk.ask(KUBE, "lab").code == 66
    assert desk.run("refresh", "lab", env=NOBODY).code == 66
    for _ in range(2):
        done = desk.run("logout", "lab")
        assert (done.code, "nobody was signed in to lab" in done.stderr) == (0, True), done
    assert evil.requests == []
    assert oidc.tls.counts() == {}
    desk.expire_all()
    desk.token(KUBE)


def test_a_login_whose_id_token_fails_its_check_costs_nothing(desk: Desk, oidc: OidcProvider) -> None:
    """What it brought is given back; what was there before goes on, for every server (M6)."""
    desk.lay(prod=prod(oidc))
    desk.sign_in_for(oidc, KUBE)
    kid = jwt.get_unverified_header(oidc.issued("device_code")[0].id_token or "")["kid"]
    before = {purpose: desk.token(purpose) for purpose in (KUBE, GIT)}
    claims: dict[str, object] = {"iss": oidc.issuer, "sub": "ada", "aud": CLI, "iat": 1, "exp": 9e9}
    brought = {"access_token": "forged-access-token", "refresh_token": "forged-refresh-token"}
    brought["id_token"] = signing_key(kid=kid).sign(claims)  # not by the key of that name
    running = desk.run.start("login", "prod", env=PERSON)
    code = running.wait_for(PROMPT)[1]
    oidc.reset_counts()
    oidc.fail_next("device_code", status=200, body={**brought, "token_type": "Bearer", "expires_in": 3600})
    oidc.approve(code)
    done = running.finish()
    assert done.code == 77, done
    assert "signature" in done.stderr
    assert [one.fields["token"] for one in oidc.requests("revocation")] == ["forged-refresh-token"]
    assert not any(desk.arrives(token) for token in brought.values())
    oidc.reset_counts()
    assert {purpose: desk.token(purpose) for purpose in before} == before
    assert oidc.counts() == {}
    desk.expire_all()
    for purpose in before:
        desk.token(purpose)
    assert oidc.counts() == {"token": 2, "refresh_token": 2}
