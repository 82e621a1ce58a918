"""Whatever way somebody signed in, the second identical call is a kept reply: no module of the slow path, no request.

Python itself says what the installed program imports (-X importtime). The program obeys no PYTHONPROFILEIMPORTTIME, so
it is started from a copy of its first lines that has this option.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.clients.programs import IMPORTED, Runner, imported
from integration.scenes.browsers import Begin
from integration.scenes.keyrings import KeyringSession
from integration.scenes.passwords import LABEL, configure, unattended
from integration.scenes.private_keys import MACHINE, with_key
from integration.scenes.sign_ins import asked, person, write_profiles
from integration.servers.hostile_provider import signing_key
from integration.servers.oidc import CONNECTION, M2M_BASIC, M2M_POST, ODD_SECRET, PASSWORD, Face, OidcProvider
from tests.helpers.programs import Result

HOT = {
    "credential_helper",
    *(f"credential_helper.{name}" for name in ("__main__", "light", "places", "replies", "tools")),
}
SLOW = {"hashlib", "site", "msgspec", "requests", "jwt", "keyring", "ssl", "socket", "_socket"}
INFO = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {"interactive": False}}

Replayed = Callable[[Face, Result], None]


@pytest.fixture
def replayed(run: Runner, observed: Runner, home: dict[str, str]) -> Replayed:
    """Return the check, which is given the first answer of ``token prod``."""

    def again(*argv: str) -> tuple[str, set[str]]:
        """Run the program once more, and return its answer and the modules that were imported for it."""
        done = observed(*argv)
        assert done.code == 0, done
        assert IMPORTED.sub("", done.stderr) == ""
        return done.text, imported(done.stderr)

    def check(face: Face, first: Result) -> None:
        assert first.code == 0, first
        face.reset_counts()
        home["KUBERNETES_EXEC_INFO"] = json.dumps(INFO)
        credential = run("kubectl", "--profile", "prod").text
        assert json.loads(credential)["status"]["token"] == first.text.strip()
        for argv, answer in ((("token", "prod"), first.text), (("kubectl", "--profile", "prod"), credential)):
            text, loaded = again(*argv)
            assert text == answer
            assert {name for name in loaded if name.partition(".")[0] == "credential_helper"} == HOT
            assert not loaded & SLOW
            assert bool(loaded & {"_sha2", "_sha256"}) == ("OUR_SECRET" in home)  # the proof of a variable alone
        assert face.counts() == {}

    return check


def machine(home: dict[str, str], face: Face, client_id: str, **secret: str) -> None:
    """Write the profile of a machine with a secret."""
    settings = person(face, client_id=client_id, flow="client-credentials", client_secret=secret)
    write_profiles(home, prod=settings)


def test_after_a_browser(begin: Begin, oidc: OidcProvider, replayed: Replayed) -> None:
    running, wanted = begin()
    wanted.visit()
    replayed(oidc, running.finish())


def test_after_a_code(run: Runner, oidc: OidcProvider, home: dict[str, str], replayed: Replayed) -> None:
    write_profiles(home, prod=person(oidc, flow="device"))
    running = run.start("token", "prod", terminal=True)
    oidc.approve(asked(running))
    replayed(oidc, running.finish())


@pytest.mark.parametrize("source", ["env", "file"])
def test_with_a_secret(run: Runner, oidc: OidcProvider, home: dict[str, str], replayed: Replayed, source: str) -> None:
    file = Path(home["HOME"], "secret")
    file.write_text(ODD_SECRET)
    file.chmod(0o600)
    if source == "env":
        home["OUR_SECRET"] = ODD_SECRET
    machine(home, oidc, M2M_BASIC, **{source: {"env": "OUR_SECRET", "file": str(file)}[source]})
    replayed(oidc, run("token", "prod"))


def test_with_a_secret_from_the_keyring(
    run: Runner, oidc: OidcProvider, home: dict[str, str], keyring: KeyringSession, replayed: Replayed
) -> None:
    home["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
    assert run("secret", "set", "ci", stdin=ODD_SECRET.encode()).code == 0
    machine(home, oidc, M2M_POST, keyring="ci")
    replayed(oidc, run("token", "prod"))


@pytest.mark.parametrize("name", ["plain", "auth0"])
def test_with_a_private_key(
    run: Runner, oidc: OidcProvider, home: dict[str, str], replayed: Replayed, name: str
) -> None:
    face = {"plain": oidc, "auth0": oidc.auth0}[name]
    with_key(home, face, MACHINE, signing_key("RS256"))
    replayed(face, run("token", "prod"))


def test_after_a_password_that_was_typed(run: Runner, auth0: Face, home: dict[str, str], replayed: Replayed) -> None:
    configure(home, auth0)
    running = run.start("token", "prod", terminal=True)
    running.wait_for(LABEL, where="terminal")
    running.type(f"{PASSWORD}\r".encode())
    replayed(auth0, running.finish())


def test_after_a_password_from_a_source(run: Runner, auth0: Face, home: dict[str, str], replayed: Replayed) -> None:
    unattended(home, auth0, realm=CONNECTION)
    replayed(auth0, run("token", "prod"))
