"""Clients that show a certificate (RFC 8705), and the real provider on a port that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from integration.clients.programs import Runner
from integration.scenes.client_certificates import MACHINE, PERSON, Files, keep, profile, register
from integration.scenes.homes import Home
from integration.scenes.keyrings import KeyringSession, on_disk
from integration.scenes.sign_ins import asked, sign_in, write_profiles
from integration.servers.hostile_provider import HostileProvider, answer
from integration.servers.oidc import Face, OidcProvider
from integration.servers.tls import Authority
from tests.helpers.programs import Options, Result


@pytest.fixture
def face(oidc: OidcProvider) -> Face:
    return oidc.tls


@pytest.fixture
def authority(oidc: OidcProvider) -> Authority:
    return oidc.authority


def by_file(files: Files) -> dict[str, object]:
    return {"certificate": str(files.certificate), "private_key": {"file": str(files.key)}}


@pytest.fixture
def ci(face: Face, authority: Authority, home: dict[str, str]) -> Files:
    """Register a machine by its subject, and write its profile, certificate and key."""
    files = keep(home, authority.issue_client("ci"))
    register(face, MACHINE)
    write_profiles(home, prod=profile(face, MACHINE, by_file(files)))
    return files


def token_of(done: Result) -> dict[str, Any]:
    """Return the claims of a token that was printed, and nothing else was."""
    assert (done.code, done.stderr) == (0, ""), done
    found: dict[str, Any] = jwt.decode(done.text.strip(), options={"verify_signature": False})
    return found


def shown(face: Face) -> list[tuple[str, str | None]]:
    """Return to which endpoint what was shown; all of it at the addresses for mutual TLS, and nothing elsewhere."""
    found = face.requests()
    for request in found:
        there = f"https://{request.headers['host']}" == face.mtls
        assert there == (request.endpoint not in ("discovery", "jwks")), request
        assert (request.certificate is not None) == there, request
    return [(request.endpoint, request.certificate) for request in found if request.certificate is not None]


# --- machines ---------------------------------------------------------------------------------------------------------


def test_a_machine_that_an_authority_vouches_for(run: Runner, face: Face, ci: Files) -> None:
    for _ in range(2):
        assert token_of(run("token", "prod"))["sub"] == MACHINE
    assert shown(face) == [("token", ci.sha256)]
    (request,) = face.requests("token")
    assert request.fields["client_id"] == MACHINE
    assert not {"client_secret", "client_assertion"} & request.fields.keys()
    assert "authorization" not in request.headers


@pytest.mark.parametrize("method", ["tls", "tls_client_auth", "self_signed_tls_client_auth"])
def test_a_machine_whose_certificate_signs_itself(
    run: Runner, face: Face, authority: Authority, home: dict[str, str], method: str
) -> None:
    files = keep(home, authority.issue_client("own", own=True))
    register(face, MACHINE, own=files.certificate)
    write_profiles(home, prod=profile(face, MACHINE, by_file(files), client_authentication=method))
    assert token_of(run("token", "prod"))["sub"] == MACHINE
    assert shown(face) == [("token", files.sha256)]


@pytest.mark.parametrize("kind", ["command", "env"])
def test_where_certificate_and_key_are_read(
    run: Runner, face: Face, ci: Files, home: dict[str, str], kind: str
) -> None:
    home |= {"CI_CERTIFICATE": ci.certificate.read_text(), "CI_KEY": ci.key.read_text()}
    sources: dict[str, dict[str, object]] = {
        "command": {
            "certificate": {"command": ["cat", str(ci.certificate)]},
            "private_key": {"command": ["cat", str(ci.key)]},
        },
        "env": {"certificate": {"env": "CI_CERTIFICATE"}, "private_key": {"env": "CI_KEY"}},
    }
    write_profiles(home, prod=profile(face, MACHINE, sources[kind]))
    token_of(run("token", "prod"))
    assert shown(face) == [("token", ci.sha256)]


def test_it_needs_no_config_file(run: Runner, face: Face, ci: Files, home: dict[str, str]) -> None:
    Path(home["XDG_CONFIG_HOME"], "credential-helper", "config.toml").unlink()
    assert face.ca_file is not None
    home["CREDENTIAL_HELPER_TLS_PRIVATE_KEY"] = ci.key.read_text()
    flags = ["--issuer", face.issuer, "--client-id", MACHINE, "--flow", "client-credentials", "--ca-file", face.ca_file]
    token_of(run("token", *flags, "--audience", "https://api.example.com", "--tls-certificate", str(ci.certificate)))
    assert shown(face) == [("token", ci.sha256)]


@pytest.fixture
def with_keyring(tmp_path: Path, installed: Path, keyring: KeyringSession) -> Iterator[Home]:
    home = Home(tmp_path / "with-keyring", installed)
    home.environ["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
    yield home
    home.launcher.stop()


def test_a_key_in_the_keyring_is_on_no_disk(face: Face, authority: Authority, with_keyring: Home) -> None:
    certificate, key = authority.issue_client("in-keyring")
    secret = key.read_text()
    assert with_keyring.run("secret", "set", "ci-key", stdin=secret.encode()).code == 0
    register(face, MACHINE)
    table = {"certificate": str(certificate), "private_key": {"keyring": "ci-key"}}
    write_profiles(with_keyring.environ, prod=profile(face, MACHINE, table))
    with_keyring.environ["TMPDIR"] = str(with_keyring.folder / "tmp")
    assert token_of(with_keyring.run("token", "prod"))["sub"] == MACHINE
    assert on_disk(with_keyring, secret.splitlines()[1]) == []
    assert not (with_keyring.folder / "tmp").exists()


# --- rotated ----------------------------------------------------------------------------------------------------------


def test_a_renewed_certificate_is_the_next_one_that_is_shown(
    run: Runner, face: Face, authority: Authority, home: dict[str, str], ci: Files
) -> None:
    token_of(run("token", "prod"))
    first = ci.sha256
    keep(home, authority.issue_client("renewed"))
    assert run("refresh", "prod").code == 0
    assert shown(face) == [("token", first), ("token", ci.sha256)]
    assert first != ci.sha256


def test_one_that_is_renewed_while_a_person_signs_in(
    run: Runner, face: Face, authority: Authority, home: dict[str, str]
) -> None:
    """One process, which polls: no restart."""
    files = keep(home, authority.issue_client("ci"))
    first = files.sha256
    register(face, PERSON)
    write_profiles(home, prod=profile(face, PERSON, by_file(files)))
    running = run.start("login", "prod", **Options(terminal=True))
    code = asked(running)
    keep(home, authority.issue_client("renewed"))
    face.approve(code)
    assert running.finish().code == 0
    found = shown(face)
    assert found[0] == ("device_authorization", first)
    assert found[-1] == ("token", files.sha256)


# --- people -----------------------------------------------------------------------------------------------------------


def test_a_client_with_a_certificate_signs_a_person_in_renews_and_signs_out(
    run: Runner, face: Face, authority: Authority, home: dict[str, str]
) -> None:
    files = keep(home, authority.issue_client("ci"))
    register(face, PERSON)
    write_profiles(home, prod=profile(face, PERSON, by_file(files)))
    sign_in(run, face, "prod")
    first = token_of(run("token", "prod"))
    assert first["sub"] == "ada"
    assert run("refresh", "prod").code == 0
    assert token_of(run("token", "prod"))["jti"] != first["jti"]
    assert run("logout", "prod").code == 0
    assert face.refresh_tokens() == []
    assert {certificate for _, certificate in shown(face)} == {files.sha256}
    assert {endpoint for endpoint, _ in shown(face)} == {"device_authorization", "token", "revocation"}


# --- refused ----------------------------------------------------------------------------------------------------------


def test_one_for_another_name_is_refused_and_told(
    run: Runner, face: Face, authority: Authority, home: dict[str, str], ci: Files
) -> None:
    keep(home, authority.issue_client("other", "somebody-else"))
    done = run("token", "prod")
    assert (done.code, done.stdout) == (77, b"")
    sentence, hint = done.stderr.splitlines()
    host = face.mtls.partition("//")[2]
    assert sentence.startswith(f"credential-helper: prod: {host} refused the client's certificate (invalid_client")
    assert hint.startswith(
        "hint: check client_id, and that the certificate is registered for this client: it saw "
        f"{ci.certificate} (CN=somebody-else, valid until "
    )
    assert hint.endswith("), names somebody-else.test, issued by CN=Credential Helper Test CA")


@pytest.mark.usefixtures("ci")
@pytest.mark.parametrize("own", [True, False])
def test_one_of_another_authority_is_refused(
    run: Runner, face: Face, home: dict[str, str], tmp_path: Path, own: bool
) -> None:
    (tmp_path / "other").mkdir()
    keep(home, Authority(tmp_path / "other", "Other CA").issue_client("ci", own=own))
    done = run("token", "prod")
    assert (done.code, done.stdout) == (77, b"")
    assert "refused the client's certificate" in done.stderr
    assert [request.error for request in face.requests("token")] == ["invalid_client"]


def test_one_that_has_expired_is_not_even_shown(
    run: Runner, face: Face, authority: Authority, home: dict[str, str], ci: Files
) -> None:
    keep(home, authority.issue_client("old", begins=timedelta(days=-9), ends=timedelta(days=-2)))
    done = run("token", "prod")
    assert (done.code, done.stdout) == (78, b"")
    sentence, hint = done.stderr.splitlines()
    assert f"profiles.prod.tls.certificate: the client certificate {ci.certificate} (CN=ci, valid until " in sentence
    assert sentence.endswith(") has expired")
    assert hint == "hint: renew it; it is read anew each time, so nothing has to be restarted"
    assert not face.requests("token")
    assert "has expired" in run("status").text


def test_at_an_address_that_does_not_ask_for_it_nobody_sees_it(
    run: Runner, face: Face, home: dict[str, str], ci: Files
) -> None:
    """The profile's own endpoint comes before an alias."""
    settings = profile(face, MACHINE, by_file(ci), endpoints={"token": face.token_endpoint})
    write_profiles(home, prod=settings)
    assert run("token", "prod").code == 77
    (request,) = face.requests("token")
    assert (request.certificate, request.error) == (None, "invalid_client")


def test_a_server_that_refuses_it_in_the_handshake(
    run: Runner, face: Face, authority: Authority, home: dict[str, str], ci: Files, tmp_path: Path
) -> None:
    """As nginx's and Go's do; the certificate is then replaced by one that the server takes."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "Other CA")
    with HostileProvider(tls="good", clients=other.ca_file) as strict:
        strict.script("/token", answer({"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600}))
        both = Path(home["HOME"], "ca.pem")
        both.write_bytes(Path(strict.ca_file).read_bytes() + authority.ca_pem)
        both.chmod(0o600)
        settings = profile(face, MACHINE, by_file(ci), endpoints={"token": f"{strict.url}/token"}, ca_file=str(both))
        write_profiles(home, prod=settings)
        done = run("token", "prod")
        assert (done.code, done.stdout) == (77, b"")
        about = f"{strict.host} refused the client certificate {ci.certificate} (CN=ci, valid until "
        assert done.stderr.startswith(f"credential-helper: prod: {about}")
        assert "(unknown ca)" in done.stderr
        keep(home, other.issue_client("ci"))
        assert run("token", "prod").text == "at-1\n", "a refusal in the handshake is not remembered"


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ci")
def test_a_token_that_is_bound_to_the_certificate_brings_a_warning(run: Runner, face: Face) -> None:
    register(face, MACHINE, tls_client_certificate_bound_access_tokens=True)
    done = run("token", "prod")
    assert done.code == 0
    claims = jwt.decode(done.text.strip(), options={"verify_signature": False})
    assert "x5t#S256" in claims["cnf"]
    host = face.mtls.partition("//")[2]
    assert done.stderr.splitlines() == [
        f"credential-helper: warning: {host} bound the access token to the client certificate (RFC 8705 §3): a server "
        "that checks this refuses every tool",
        "hint: switch off certificate-bound tokens for this client: tls_client_certificate_bound_access_tokens",
    ]
    assert run("token", "prod").stderr == "", "once per token"


def test_nothing_that_is_said_has_a_key_in_it(run: Runner, home: dict[str, str], ci: Files) -> None:
    home["CREDENTIAL_HELPER_VERBOSE"] = "1"
    said = ""
    for command in (["token", "prod"], ["refresh", "prod"], ["status", "--verbose"], ["logout", "prod"]):
        done = run(*command)
        assert done.code == 0, done
        said += done.text + done.stderr
    lines = [line for line in ci.key.read_text().splitlines() if not line.startswith("-")]
    assert not [line for line in lines if line in said]
