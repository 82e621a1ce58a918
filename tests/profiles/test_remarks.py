from __future__ import annotations

from pathlib import Path

import pytest

from credential_helper.profiles.configuration import Configuration
from credential_helper.profiles.remarks import remarks_on


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AUDIANCE", "AUDIENCE"),
        ("ISUER", "ISSUER"),
        ("CLIENTID", "CLIENT_ID"),
        ("SCOPES", "SCOPE"),
        ("PROFIL", "PROFILE"),
    ],
)
def test_a_variable_that_is_nearly_ours_is_remarked(name: str, meant: str) -> None:
    (remark,) = remarks_on(None, {f"CREDENTIAL_HELPER_{name}": "x"})
    assert remark == f"the variable CREDENTIAL_HELPER_{name} is not known; did you mean CREDENTIAL_HELPER_{meant}?"


@pytest.mark.parametrize(
    "name",
    [
        *("AUDIENCE", "CONFIG", "STATE_DIR", "CLIENT_SECRET", "CLIENT_SECRET_FILE", "PROFILE", "VERBOSE", "GIT"),
        *("CONFIG_FILE", "LOGGING", "BIN", "STANDALONE", "IDLE_TIMEOUT", "AGENT_SOCKET"),  # another tool's
        *("CLIENT_SECRET_PROD", "CI", "X"),  # secrets that flags may name
    ],
)
def test_any_other_variable_is_left_alone(name: str) -> None:
    assert remarks_on(None, {f"CREDENTIAL_HELPER_{name}": "x", "AUDIANCE": "x"}) == ()


def test_the_source_of_a_secret_is_left_alone(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[profiles.prod]\nclient_secret = { env = "CREDENTIAL_HELPER_CLIENT_SECRE" }\n')
    path.chmod(0o600)
    configuration = Configuration(environ)
    configuration.add("user", str(path))
    assert remarks_on(configuration, {"CREDENTIAL_HELPER_CLIENT_SECRE": "x"}) == ()
    assert remarks_on(None, {"CREDENTIAL_HELPER_CLIENT_SECRE": "x"}, {"CREDENTIAL_HELPER_CLIENT_SECRE"}) == ()


def test_a_near_miss_in_the_system_s_file_is_remarked_with_its_line(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[profiles.prod]\nissuer = "https://x"\nclient_id = "x"\naudiance = "x"\n')
    path.chmod(0o600)
    configuration = Configuration(environ)
    configuration.add("system", str(path))
    configuration.profile("prod")
    assert remarks_on(configuration, {}) == (
        f"{path}: line 4: profiles.prod.audiance: unknown key; did you mean audience?",
    )
