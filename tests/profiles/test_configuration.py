from __future__ import annotations

from pathlib import Path

from credential_helper.profiles.configuration import Configuration
from credential_helper.tools import TOOLS

DOCKER = TOOLS["docker"]


def add(configuration: Configuration, path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o600)
    configuration.add("user", str(path))


def profile(name: str, *servers: str) -> str:
    return f'[profiles.{name}]\nissuer = "https://{name}.test"\nclient_id = "c"\ndocker = {list(servers)}\n'


def test_a_profile_and_its_lists_are_read_once(tmp_path: Path, environ: dict[str, str]) -> None:
    found = Configuration(environ)
    add(found, tmp_path / "one.toml", profile("one", "https://a.test", "https://b.test"))
    assert found.profile("one") is found.profile("one")
    assert found.claims(DOCKER) is found.claims(DOCKER)


def test_another_file_is_read_after_all(tmp_path: Path, environ: dict[str, str]) -> None:
    """What was made of the files before it does not stand in its way."""
    found = Configuration(environ)
    add(found, tmp_path / "one.toml", profile("one", "https://a.test"))
    assert found.profile("one").issuer == "https://one.test"
    assert [claim.url for claim in found.claims(DOCKER)] == ["https://a.test:443"]
    add(found, tmp_path / "two.toml", profile("one", "https://b.test").replace("//one.test", "//two.test"))
    assert found.profile("one").issuer == "https://two.test"
    assert [claim.url for claim in found.claims(DOCKER)] == ["https://b.test:443"]


def test_settings_that_are_laid_over_a_profile_do_not_stay(tmp_path: Path, environ: dict[str, str]) -> None:
    found = Configuration(environ)
    add(found, tmp_path / "one.toml", profile("one"))
    over = found.table("one").part("client_id", "other")
    assert found.profile("one", {"client_id": over}).client_id == "other"
    assert found.profile("one").client_id == "c"
    assert found.profile("one", {"client_id": over}).client_id == "other"


def test_a_url_that_is_listed_three_times_is_told_once(tmp_path: Path, environ: dict[str, str]) -> None:
    found = Configuration(environ)
    for name, servers in (("one", ["https://a.test", "https://b.test"]), ("two", ["https://b.test", "https://a.test"])):
        add(found, tmp_path / f"{name}.toml", profile(name, *servers))
    add(found, tmp_path / "three.toml", profile("three", "https://a.test"))
    sentences = [error.sentence.rpartition(": ")[2] for error in found.listing_errors(DOCKER)]
    assert sentences == [
        "https://b.test:443 is listed by profile one, too",
        "https://a.test:443 is listed by profile one, too",
    ]
