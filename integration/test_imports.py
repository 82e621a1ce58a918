"""What the installed program loads on each way that is slower than a kept reply, and what it does without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from credential_helper import __version__
from integration.clients.programs import Runner, imported_by
from integration.scenes.sign_ins import asked, person, write_profiles
from integration.servers.oidc import OidcProvider

INFO = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {"interactive": False}}
FOR_GIT = b"protocol=https\nhost=git.example.com\n\n"

# Packages that a session is not needed for: to send, to lock, to keep, to read an ID token; and what argparse takes.
PACKAGES = {"requests", "urllib3", "truststore", "filelock", "keyring", "jwt", "cryptography", "segno", "argparse"}
# Of Python's own, what takes long; the second half is what msgspec would load for types that we have none of.
PYTHONS = {"ssl", "socket", "hashlib", "hmac", "logging", "threading", "shlex", "signal", "urllib.parse", "ipaddress"}
PYTHONS |= {"uuid", "platform", "decimal", "inspect", "textwrap", "msgspec.inspect"}
# Of our own, what asks: a provider, a person, the next process.
OURS = {
    *("command_line", "commands", "oauth", "transport", "terminal.terminal", "terminal.keyboard", "system.children"),
    *(f"broker.{name}" for name in ("waiting", "sign_in", "flow", "renewal", "deriving", "verification", "refusals")),
    *(f"broker.{name}" for name in ("interaction", "announce", "forget", "outlook", "new_session")),
    *("stores.lock", "stores.named_secrets", "stores.sealing", "stores.documents", "stores.proof_key"),
}


def unwelcome(modules: set[str], *, but: set[str] | None = None) -> set[str]:
    """Return the modules that a session without a reply is answered without, as far as they are there."""
    named = PACKAGES | PYTHONS | {f"credential_helper.{name}" for name in OURS}
    return {module for module in modules for name in named - (but or set()) if f"{module}.".startswith(f"{name}.")}


@pytest.fixture
def session(run: Runner, oidc: OidcProvider, home: dict[str, str]) -> OidcProvider:
    """Sign a person in with a code; the profile lists a host of each tool. No reply is kept."""
    lists = {"git": ["https://git.example.com"], "docker": ["registry.example.com"], "bazel": ["https://a.example.com"]}
    write_profiles(home, prod=person(oidc, flow="device", **lists))
    running = run.start("login", "prod", terminal=True)
    oidc.approve(asked(running))
    assert running.finish().code == 0
    shutil.rmtree(Path(home["XDG_STATE_HOME"], "credential-helper", "replies"), ignore_errors=True)
    oidc.reset_counts()
    return oidc


@pytest.mark.parametrize(
    ("program", "words", "stdin", "but"),
    [
        ("credential-helper", ("kubectl", "--profile", "prod"), b"", set()),
        ("credential-helper", ("token", "prod"), b"", set()),
        ("credential-helper", ("bazel", "get"), b'{"uri": "https://a.example.com/x"}', set()),
        ("docker-credential-helper", ("get",), b"registry.example.com", {"credential_helper.stores.lock"}),
        ("git-credential-helper", ("--profile=prod", "get"), FOR_GIT, {"credential_helper.stores.lock"}),
    ],
    ids=["kubectl", "token", "bazel", "docker", "git"],
)
def test_a_session_without_a_reply_loads_nothing_that_asks(
    session: OidcProvider,
    observed: Runner,
    home: dict[str, str],
    program: str,
    words: tuple[str, ...],
    stdin: bytes,
    but: set[str],
) -> None:
    home["KUBERNETES_EXEC_INFO"] = json.dumps(INFO)
    done = observed(*words, program=program, stdin=stdin)
    modules, said = imported_by(done.stderr)
    assert (done.code, said) == (0, "")
    assert done.stdout
    assert session.counts() == {}
    assert "credential_helper.broker.cached_session" in modules, "no reply was replayed"
    assert not unwelcome(modules, but=but)


@pytest.mark.parametrize("program", ["credential-helper", "git-credential-helper"])
def test_the_version_is_a_line_and_loads_next_to_nothing(observed: Runner, program: str) -> None:
    done = observed("--version", program=program)
    modules, said = imported_by(done.stderr)
    assert (done.code, done.text, said) == (0, f"{program} {__version__}\n", "")
    assert not modules & {"msgspec", "json", "tomllib", "argparse", "signal", "unicodedata"}
    ours = {name.removeprefix("credential_helper.") for name in modules if name.startswith("credential_helper.")}
    assert "cli" in ours
    assert ours <= {  # less where modules load when they are used (Python 3.15)
        *("__main__", "light", "places", "replies", "tools", "isolation", "lazy", "cli", "errors"),
        *("system", "system.caller", "system.limits", "system.signals"),
    }


def test_who_cannot_be_asked_loads_no_flow(observed: Runner, oidc: OidcProvider, home: dict[str, str]) -> None:
    write_profiles(home, prod=person(oidc))
    home["KUBERNETES_EXEC_INFO"] = json.dumps(INFO)
    done = observed("kubectl", "--profile", "prod")
    modules, said = imported_by(done.stderr)
    assert done.code == 66
    assert said.startswith(f"credential-helper: prod: nobody is signed in to {oidc.host}")
    assert oidc.counts() == {}
    ours = ("grants", "endpoints", "id_token", "client_authentication", "interaction")
    unloaded = {f"credential_helper.oauth.{name}" for name in ours}
    unloaded |= {
        f"credential_helper.broker.{name}" for name in ("flow", "renewal", "deriving", "verification", "forget")
    }
    unloaded |= {"credential_helper.command_line", "argparse", "requests", "ssl", "jwt", "keyring", "segno"}
    assert not {module for module in modules for name in unloaded if f"{module}.".startswith(f"{name}.")}


def test_until_a_code_is_shown_nothing_is_loaded_that_comes_after_it(
    observed: Runner, oidc: OidcProvider, home: dict[str, str]
) -> None:
    write_profiles(home, prod=person(oidc, flow="device", store="file"))
    running = observed.start("login", "prod", terminal=True, stderr="pipe", env={"LC_ALL": "C"})
    asked(running)
    running.process.kill()
    modules, _ = imported_by(running.finish().stderr)
    assert "requests" in modules
    assert not {"argparse", "jwt", "cryptography", "keyring", "segno"} & modules
    signs = {f"credential_helper.oauth.client_authentication.{name}" for name in ("private_keys", "client_secret_jwt")}
    assert not ({"credential_helper.command_line", "credential_helper.oauth.workload"} | signs) & modules
