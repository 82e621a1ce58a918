"""What a renewal does without: to load each of these takes longer than the request itself, and none is needed."""

from __future__ import annotations

import pytest

from credential_helper.transport.certificates import read_roots
from integration.clients.programs import Runner, imported_by
from integration.scenes.sign_ins import person, sign_in, write_profiles
from integration.servers.oidc import M2M_BASIC, ODD_SECRET, OidcProvider

# Of what is hidden from requests its name is listed, as of all that is asked for, but nothing in it.
UNUSED = {"filelock", "charset_normalizer.api", "charset_normalizer.md", "chardet.enums", "pkgutil", "segno"}
UNUSED |= {"certifi.core", "csv", "idna.core", "locale", "mimetypes", "random", "stringprep", "urllib.error", "zipfile"}
KEYRING = {"keyring", "secretstorage", "jeepney"}
ID_TOKEN = {"jwt", "cryptography"}
ID_TOKEN_UNUSED = {"cryptography.x509", "cryptography.hazmat.primitives.ciphers", "dataclasses"}


def loaded(observed: Runner, *argv: str) -> set[str]:
    done = observed(*argv)
    assert done.code == 0, done
    return {name.partition(" ")[0] for name in imported_by(done.stderr)[0]}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
@pytest.mark.parametrize("token", ["access", "id"])
def test_a_persons(
    run: Runner, observed: Runner, oidc: OidcProvider, home: dict[str, str], tls: bool, token: str
) -> None:
    face = oidc.tls if tls else oidc
    settings = person(face, flow="device", token=token, store="file")
    write_profiles(home, prod=settings | ({"ca_file": face.ca_file} if face.ca_file is not None else {}))
    sign_in(run, face, "prod")
    face.reset_counts()
    modules = loaded(observed, "refresh", "prod")
    assert "requests" in modules
    assert modules & (UNUSED | ID_TOKEN_UNUSED | KEYRING) == set()
    assert bool(modules & ID_TOKEN) == (token == "id")
    assert ("ssl" in modules, "credential_helper.transport.early" in modules) == (True, tls)
    assert ("truststore" in modules) == (not read_roots(None, {}, lambda _: None).provisional)


def test_the_connection_is_begun_before_what_uses_it_is_loaded(
    run: Runner, observed: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc.tls, flow="device", store="file") | {"ca_file": oidc.tls.ca_file})
    sign_in(run, oidc.tls, "prod")
    said = observed("refresh", "prod").stderr
    early, renewal, requests = (
        said.index(f" {name}\n")
        for name in ("credential_helper.transport.early", "credential_helper.broker.renewal", "requests")
    )
    assert early < renewal < requests


def test_a_machines(observed: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    home["OUR_SECRET"] = ODD_SECRET
    secret = {"env": "OUR_SECRET"}
    write_profiles(home, prod=person(oidc, client_id=M2M_BASIC, flow="client-credentials", client_secret=secret))
    for argv in (("token", "prod"), ("refresh", "prod"), ("kubectl", "--profile", "prod")):
        assert loaded(observed, *argv) & (UNUSED | KEYRING | ID_TOKEN) == set(), argv
