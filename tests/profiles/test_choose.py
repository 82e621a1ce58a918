from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from credential_helper import places, urls
from credential_helper.errors import (
    AuthorizationError,
    ConfigurationError,
    CredentialHelperError,
    ProtocolError,
    UsageError,
)
from credential_helper.model import Profile, Request, Secret, Source
from credential_helper.profiles import settings
from credential_helper.profiles.choose import choose, is_ad_hoc
from credential_helper.profiles.configuration import Configuration, load
from credential_helper.profiles.hints import hint_flags
from credential_helper.profiles.matching import serves
from credential_helper.profiles.ownership import Owners
from credential_helper.profiles.sources import read_secret
from credential_helper.proof import UNKNOWN, Proof
from credential_helper.tools import TOOLS
from tests.helpers.profiles import choose_docker, choose_git, git_url
from tests.helpers.requests import request_by
from tests.helpers.sessions import same_session

Environ = dict[str, str]

KUBECTL = request_by("kubectl")
GIT = request_by("git")
DOCKER = request_by("docker")

ONE = """
[profiles.prod]
issuer = "https://example.eu.auth0.com/"
client_id = "Xyz"
"""
TWO = """
[profiles.prod]
issuer = "https://example.eu.auth0.com/"
client_id = "Xyz"
audience = "https://kubernetes.example.com"
git = ["https://git.example.com", { url = "https://git.example.com/big", audience = "big", scope = "read" }]
docker = ["registry.example.com:5000"]

[profiles.dev]
issuer = "https://dev.eu.auth0.com/"
client_id = "Dev"
git = ["https://git.example.com/dev", "http://127.0.0.1:3000"]
docker = ["registry.example.com:5000/dev", { server = "https://index.docker.io/v1/", username = "<token>" }]
"""


def put(path: Path, content: str) -> str:
    path.write_text(content)
    path.chmod(0o600)
    return str(path)


def write(environ: Environ, content: str) -> str:
    path = Path(environ["HOME"], ".config", "credential-helper", "config.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    return put(path, content)


def chosen_by(
    environ: Mapping[str, str], request: Request = KUBECTL, flags: Mapping[str, object] | None = None
) -> Profile:
    return choose(request, flags or {}, environ).profile


def refused(call: Callable[[], object]) -> CredentialHelperError:
    with pytest.raises(CredentialHelperError) as caught:
        call()
    return caught.value


# --- the files


def test_the_user_s_profile_replaces_the_system_s_as_a_whole(environ: Environ, tmp_path: Path) -> None:
    system = put(
        tmp_path / "system.toml",
        'default_profile = "prod"\npassword_storage = "file"\n'
        '[profiles.prod]\nissuer = "https://s"\nclient_id = "s"\naudience = "s"\n'
        '[profiles.corp]\nissuer = "https://s"\nclient_id = "s"\n',
    )
    user = write(environ, 'password_storage = "off"\n[profiles.prod]\nissuer = "https://u"\nclient_id = "u"\n')
    configuration = Configuration(environ)
    configuration.add("system", system)
    configuration.add("user", user)
    assert configuration.names() == ("prod", "corp")
    assert configuration.profile("prod").audience is None
    assert configuration.profile("prod").issuer == "https://u"
    assert configuration.profile("corp").issuer == "https://s"
    assert (configuration.default_profile, configuration.password_storage) == ("prod", "off")
    assert [(file.place, file.path) for file in configuration.files] == [("system", system), ("user", user)]


def test_the_system_s_file_comes_before_the_user_s(environ: Environ) -> None:
    user = write(environ, ONE)
    files = load(environ).files
    assert [file.place for file in files] == ["system", "user"]
    assert (files[1].path, files[1].stamp) == (user, places.stamp(os.stat(user)))


def test_the_variable_names_the_only_file_that_is_read(environ: Environ, tmp_path: Path) -> None:
    write(environ, "this is no TOML")
    named = put(tmp_path / "named.toml", ONE)
    environ["CREDENTIAL_HELPER_CONFIG"] = named
    configuration = load(environ)
    assert configuration.names() == ("prod",)
    assert [(file.place, file.path) for file in configuration.files] == [("named", named)]


def test_a_relative_path_in_the_variable_is_refused(environ: Environ) -> None:
    environ["CREDENTIAL_HELPER_CONFIG"] = "config.toml"
    assert refused(lambda: load(environ)).exit_code == 78


def test_an_absent_file_is_part_of_what_was_read(environ: Environ) -> None:
    assert [file.stamp for file in load(environ).files][-1] == places.ABSENT


def test_each_file_is_told_under_verbose(environ: Environ) -> None:
    path = write(environ, TWO)
    notes: list[str] = []
    load(environ, note=notes.append)
    assert notes[-1] == f"read {path}: prod, dev"


@pytest.mark.parametrize(
    ("content", "sentence", "hint"),
    [
        ("defalt_profile = 'x'", "defalt_profile: unknown key; did you mean default_profile?", None),
        ("issuer = 'x'", "issuer: unknown key, expected one of", "a profile's keys stand below [profiles.NAME]"),
        ("[prod]\nissuer = 'x'", "prod: unknown key, expected one of", "write [profiles.prod]"),
        ("[profile.prod]\nissuer = 'x'", "profile: unknown key; did you mean profiles?", None),
        ("default_profile = 1", "default_profile: found a number, expected a string", None),
        ("password_storage = 'x'", 'password_storage: found "x", expected auto, keyring, file or off', None),
        ("profiles = 1", "profiles: found a number, expected tables [profiles.NAME]", None),
        ("secret_files = 'x'", "secret_files: found a string, expected a list of folders", None),
        ("secret_files = [1]", "secret_files[0]: found a number, expected a string", None),
    ],
)
def test_four_keys_are_all_that_stands_at_the_top(
    environ: Environ, content: str, sentence: str, hint: str | None
) -> None:
    path = write(environ, content)
    error = refused(lambda: load(environ))
    assert error.exit_code == 78
    assert error.sentence.startswith(f"{path}: line 1: {sentence}")
    assert error.hint == hint


def test_all_that_is_wrong_with_a_file_is_told_at_once(environ: Environ) -> None:
    path = write(environ, "defalt_profile = 'x'\npassword_storage = 1\n" + ONE)
    error = refused(lambda: chosen_by(environ))
    assert [one.sentence.removeprefix(f"{path}: ") for one in (error, *error.also)] == [
        "line 1: defalt_profile: unknown key; did you mean default_profile?",
        "line 2: password_storage: found a number, expected auto, keyring, file or off",
    ]
    write(environ, ONE + "flow = 1\nisuer = 2\n")
    error = refused(lambda: chosen_by(environ))
    assert [one.sentence.removeprefix(f"{path}: ").partition(": ")[0] for one in (error, *error.also)] == [
        "line 5",
        "line 6",
    ]


def test_an_unknown_key_in_the_system_file_is_told_and_stops_nothing(environ: Environ, tmp_path: Path) -> None:
    wrong = "clientid = 1\nendpoints = { tokn = 1 }\ngit = [{ url = 'https://x', new = 1 }]\n"
    system = put(tmp_path / "system.toml", "new = 1\n" + ONE + wrong)
    notes: list[str] = []
    configuration = Configuration(environ, note=notes.append)
    configuration.add("system", system)
    assert configuration.profile("prod").client_id == "Xyz"
    assert configuration.problems() == []
    assert [remark.removeprefix(f"{system}: line ").split(":")[:2] for remark in configuration.remarks] == [
        ["1", " new"],
        ["6", " profiles.prod.clientid"],
        ["7", " profiles.prod.endpoints.tokn"],
        ["8", " profiles.prod.git[0].new"],
    ]
    assert set(configuration.remarks) < set(notes)


def test_a_wrong_type_in_the_system_file_is_78(environ: Environ, tmp_path: Path) -> None:
    configuration = Configuration(environ)
    configuration.add("system", put(tmp_path / "system.toml", ONE + "flow = 1\n"))
    assert refused(lambda: configuration.profile("prod")).exit_code == 78


def test_a_profile_s_name_has_letters_digits_hyphen_and_underscore(environ: Environ) -> None:
    write(environ, ONE.replace("profiles.prod", "profiles.Prod-1_a"))
    assert chosen_by(environ).name == "Prod-1_a"
    write(environ, ONE.replace("profiles.prod", 'profiles."prod.eu"'))
    assert "letters, digits, - and _ only" in refused(lambda: chosen_by(environ)).sentence


def test_what_is_heavy_is_imported_only_where_it_is_needed() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import credential_helper.profiles.choose; print(*sys.modules)"
    command = [sys.executable, "-I", "-c", code, str(Path(__file__).parents[2])]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "credential_helper.profiles.configuration" in loaded
    assert not loaded & {"tomllib", "difflib", "subprocess", "argparse", "json", "dataclasses", "pathlib"}


# --- only the profile in use is judged


def test_only_the_profile_in_use_is_judged(environ: Environ) -> None:
    path = write(environ, TWO + "[profiles.bad]\nisuer = 1\nflow = 'x'\n")
    assert chosen_by(environ, flags={"profile": "prod"}).name == "prod"
    assert choose_git(GIT, "https", "git.example.com", None, {}, environ)
    error = refused(lambda: chosen_by(environ, flags={"profile": "bad"}))
    line = Path(path).read_text().split("\n").index("isuer = 1") + 1
    assert error.sentence == f"{path}: line {line}: profiles.bad.isuer: unknown key; did you mean issuer?"


def test_status_judges_all(environ: Environ) -> None:
    write(
        environ,
        'default_profile = "prd"\n' + TWO + "[profiles.bad]\nflow = 'x'\ngit = ['https://git.example.com', 'x']\n",
    )
    problems = [re.sub(r"^.*: line \d+: ", "", problem.sentence) for problem in load(environ).problems()]
    assert problems == [
        'profiles.bad.flow: found "x", expected auto, device, authorization-code, client-credentials, password, '
        "jwt-bearer or token-exchange",
        "profiles.bad.git[1]: does not begin with https://, expected https://HOST[:PORT][/PATH]",
        "profiles.bad: issuer is missing",
        "profiles.bad: client_id is missing",
        "profiles.bad.git: https://git.example.com:443 is listed by profile prod, too",
        'default_profile: there is no profile "prd"; did you mean prod?',
    ]


def test_a_fine_configuration_has_no_problems(environ: Environ) -> None:
    write(environ, TWO)
    assert load(environ).problems() == []


@pytest.mark.parametrize(("missing", "rest"), [("issuer", 'client_id = "x"'), ("client_id", 'issuer = "https://x"')])
def test_issuer_and_client_id_are_required(environ: Environ, missing: str, rest: str) -> None:
    path = write(environ, f"[profiles.prod]\n{rest}\n")
    assert refused(lambda: chosen_by(environ)).sentence == f"{path}: line 1: profiles.prod: {missing} is missing"


# --- a profile comes whole from one place


def test_the_request_s_profile_comes_first(environ: Environ) -> None:
    write(environ, 'default_profile = "prod"\n' + TWO)
    environ["CREDENTIAL_HELPER_PROFILE"] = "prod"
    request = request_by("kubectl", profile="dev")
    assert chosen_by(environ, request, {"profile": "prod"}).name == "dev"


def test_then_the_flag(environ: Environ) -> None:
    write(environ, 'default_profile = "prod"\n' + TWO)
    environ["CREDENTIAL_HELPER_PROFILE"] = "prod"
    environ["CREDENTIAL_HELPER_ISSUER"] = "https://ignored"
    assert chosen_by(environ, flags={"profile": "dev"}).name == "dev"
    assert chosen_by(environ, flags={"issuer": "https://i", "client_id": "c"}).issuer == "https://i"


def test_then_the_variable(environ: Environ) -> None:
    write(environ, 'default_profile = "prod"\n' + TWO)
    assert chosen_by(environ | {"CREDENTIAL_HELPER_PROFILE": "dev"}).name == "dev"
    ad_hoc = {"CREDENTIAL_HELPER_ISSUER": "https://i", "CREDENTIAL_HELPER_CLIENT_ID": "c"}
    assert chosen_by(environ | ad_hoc).issuer == "https://i"


def test_then_the_default(environ: Environ) -> None:
    write(environ, 'default_profile = "dev"\n' + TWO)
    assert chosen_by(environ).name == "dev"
    assert chosen_by(environ | {"CREDENTIAL_HELPER_PROFILE": "", "CREDENTIAL_HELPER_ISSUER": ""}).name == "dev"


def test_then_the_only_one(environ: Environ) -> None:
    write(environ, ONE)
    assert chosen_by(environ).name == "prod"


def test_of_several_without_a_default_one_has_to_be_named(environ: Environ) -> None:
    write(environ, TWO)
    error = refused(lambda: chosen_by(environ))
    assert (error.exit_code, error.sentence) == (64, "which profile? there are prod, dev")


def test_without_any_the_hint_is_the_smallest_config_that_works(environ: Environ) -> None:
    error = refused(lambda: chosen_by(environ))
    assert (error.exit_code, error.sentence) == (78, "no profile is configured")
    assert error.hint is not None
    path = f"{environ['HOME']}/.config/credential-helper/config.toml"
    lead, _, config = error.hint.partition(": ")
    assert lead == f"write into {path}"
    assert "\n" not in config
    write(environ, config)
    assert chosen_by(environ).issuer == "https://example.eu.auth0.com/"


def test_the_smallest_config_can_grow(environ: Environ) -> None:
    config = (refused(lambda: chosen_by(environ)).hint or "").partition(": ")[2]
    write(environ, config + "\n" + ONE.replace("prod", "dev"))
    assert load(environ).names() == ("prod", "dev")


GITHUB = {"provider": "github", "client_id": "c"}


def test_a_provider_with_one_public_service_is_as_good_as_an_issuer(environ: Environ) -> None:
    write(environ, ONE)
    profile = chosen_by(environ, flags=GITHUB)
    assert (profile.ad_hoc, profile.issuer, profile.provider) == (True, "https://github.com", "github")
    assert profile.name.startswith("github.com/")
    assert hint_flags(profile) == ["--client-id", "c", "--provider", "github"]
    variables = {"CREDENTIAL_HELPER_PROVIDER": "github", "CREDENTIAL_HELPER_CLIENT_ID": "c"}
    assert same_session(chosen_by(environ | variables), profile)
    assert chosen_by(environ | variables, flags={"profile": "prod"}).name == "prod"
    assert chosen_by(environ | variables | {"CREDENTIAL_HELPER_PROFILE": "prod"}).name == "prod"
    assert chosen_by(environ, flags=GITHUB | {"issuer": "https://git.example.com"}).issuer == "https://git.example.com"


def test_a_provider_does_not_change_a_profile_that_is_named(environ: Environ) -> None:
    write(environ, ONE)
    for flags, request in (({"profile": "prod"}, KUBECTL), ({}, request_by("kubectl", profile="prod"))):
        error = refused(lambda flags=flags, request=request: chosen_by(environ, request, GITHUB | flags))  # type: ignore[misc]
        assert (error.exit_code, error.sentence.split(":")[0]) == (64, "--client-id cannot change profile prod")


def test_such_a_provider_serves_git_and_docker_and_reads_no_file(environ: Environ) -> None:
    write(environ, "this is no config file")
    chosen = choose_git(KUBECTL, "https", "github.com", None, GITHUB | {"git": ["https://github.com"]}, environ)
    assert chosen is not None
    assert chosen[0].profile.issuer == "https://github.com"
    assert is_ad_hoc(GITHUB, environ)
    assert is_ad_hoc({}, environ | {"CREDENTIAL_HELPER_PROVIDER": "github"})
    assert not is_ad_hoc({"profile": "prod"}, environ | {"CREDENTIAL_HELPER_PROVIDER": "github"})
    assert not is_ad_hoc({"provider": "okta"}, environ)


@pytest.mark.parametrize("config", ["", TWO])
@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"client_id": "c"}, "--client-id"),
        ({"client_secret.env": "X"}, "--client-secret-env"),
        ({"provider": "okta", "client_id": "c"}, "--client-id"),
        ({"provider": "okta"}, "--provider"),
    ],
)
def test_a_flag_of_no_use_without_an_issuer_is_64(
    environ: Environ, config: str, flags: dict[str, object], named: str
) -> None:
    write(environ, config)
    error = refused(lambda: chosen_by(environ, flags=flags))
    assert (error.exit_code, error.sentence) == (64, f"{named} needs --issuer, too")
    assert error.hint == "--provider google, github, gitlab or google-sts stands for one"


def test_a_provider_that_is_none_is_told_so(environ: Environ) -> None:
    error = refused(lambda: chosen_by(environ, flags={"client_id": "c", "provider": "githb"}))
    assert error.exit_code == 64
    assert error.sentence.startswith("--provider: expected generic, ")


def test_what_a_provider_needs_besides_is_asked_for_where_it_was_named(environ: Environ) -> None:
    error = refused(lambda: chosen_by(environ, flags={"provider": "github"}))
    sentence = "--provider needs --client-id ID (or CREDENTIAL_HELPER_CLIENT_ID), too"
    assert (error.exit_code, error.sentence) == (64, sentence)
    error = refused(lambda: chosen_by(environ | {"CREDENTIAL_HELPER_PROVIDER": "github"}))
    assert (error.exit_code, error.sentence) == (78, sentence.replace("--provider", "CREDENTIAL_HELPER_PROVIDER"))
    variable = environ | {"CREDENTIAL_HELPER_PROVIDER": "github"}
    error = refused(lambda: chosen_by(variable, flags={"provider": "okta", "client_id": "c"}))
    assert error.sentence == "--provider needs --issuer URL (or CREDENTIAL_HELPER_ISSUER), too"


@pytest.mark.parametrize("name", ["CLIENT_ID", "PROVIDER", "CLIENT_SECRET", "CA_FILE"])
def test_variables_without_an_issuer_break_no_profile_of_the_file(environ: Environ, name: str) -> None:
    lone = environ | {f"CREDENTIAL_HELPER_{name}": "okta"}
    error = refused(lambda: chosen_by(lone))
    assert (error.exit_code, error.sentence) == (78, f"CREDENTIAL_HELPER_{name} needs CREDENTIAL_HELPER_ISSUER, too")
    write(lone, TWO)
    assert refused(lambda: chosen_by(lone)).sentence.startswith("which profile?")
    write(lone, ONE)
    assert (chosen_by(lone).name, chosen_by(lone).client_id) == ("prod", chosen_by(environ).client_id)


def test_two_of_one_level_are_64(environ: Environ) -> None:
    write(environ, TWO)
    flags = {"profile": "prod", "issuer": "https://i"}
    error = refused(lambda: chosen_by(environ, flags=flags))
    assert (error.exit_code, error.sentence) == (64, "--profile and --issuer are both given")
    environ |= {"CREDENTIAL_HELPER_PROFILE": "prod", "CREDENTIAL_HELPER_ISSUER": "https://i"}
    error = refused(lambda: chosen_by(environ))
    assert error.exit_code == 64
    assert error.sentence == "CREDENTIAL_HELPER_PROFILE and CREDENTIAL_HELPER_ISSUER are both given"


@pytest.mark.parametrize(
    ("request_", "flags", "variables", "named_by"),
    [
        (request_by("kubectl", profile="prd"), {}, {}, "spec.cluster.config.profile"),
        (Request(tool="credential-helper", profile="prd"), {}, {}, "the request's profile"),
        (KUBECTL, {"profile": "prd"}, {}, "--profile"),
        (KUBECTL, {}, {"CREDENTIAL_HELPER_PROFILE": "prd"}, "CREDENTIAL_HELPER_PROFILE"),
    ],
)
def test_a_profile_that_is_not_there_is_told_with_who_names_it(
    environ: Environ, request_: Request, flags: Mapping[str, object], variables: Environ, named_by: str
) -> None:
    write(environ, TWO)
    error = refused(lambda: chosen_by(environ | variables, request_, flags))
    assert error.sentence == f'{named_by}: there is no profile "prd"; did you mean prod?'
    assert (error.exit_code, error.hint) == (78, "there are prod, dev")


def test_a_default_that_is_not_there_says_so(environ: Environ) -> None:
    write(environ, 'default_profile = "zzz"\n' + TWO)
    assert refused(lambda: chosen_by(environ)).sentence == 'default_profile: there is no profile "zzz"'


def test_a_dotted_name_gets_a_hint(environ: Environ) -> None:
    write(environ, ONE.replace("profiles.prod", "profiles.prod.eu"))
    hint = "a dot makes a table inside a table: write [profiles.prod-eu]"
    assert refused(lambda: chosen_by(environ, flags={"profile": "prod.eu"})).hint == hint
    assert refused(lambda: chosen_by(environ)).hint == hint


# --- a name: from the file


def test_variables_never_change_a_named_profile(environ: Environ) -> None:
    write(environ, ONE)
    expected = chosen_by(environ)
    names = {setting.variable for setting in settings.SETTINGS if setting.variable} - {"CREDENTIAL_HELPER_ISSUER"}
    environ |= dict.fromkeys([*names, *settings.SECRETS.values()], "https://evil.example")
    assert chosen_by(environ, flags={"profile": "prod"}) == expected
    assert chosen_by(environ) == expected


def test_flags_may_change_what_is_asked_for(environ: Environ) -> None:
    write(environ, TWO + "parameters = { a = '1', b = '2' }\n")
    flags = {
        "profile": "dev",
        "audience": "api",
        "resource": ["https://r"],
        "scope": ["a b"],
        "token": "id",
        "account": "ada",
        "flow": "device",
        "interactive": "never",
        "store": "none",
        "parameters": ["b=3", "c=4"],
        "kubernetes": ["https://k"],
    }
    chosen = choose(KUBECTL, flags, environ)
    profile = chosen.profile
    assert (profile.name, profile.issuer, profile.audience) == ("dev", "https://dev.eu.auth0.com/", "api")
    assert (profile.resource, profile.scope, profile.token) == (("https://r",), ("a", "b"), "id")
    assert (profile.account, profile.flow, profile.interactive, profile.store) == ("ada", "device", "never", "none")
    assert profile.parameters == (("a", "1"), ("b", "3"), ("c", "4"))
    assert chosen.narrowed == {"kubernetes": ("https://k:443",)}
    assert dict(profile.origins)["audience"] == "--audience"
    assert dict(profile.origins)["issuer"].endswith("config.toml: profiles.dev.issuer")


def test_another_flow_for_once_is_another_way_into_the_same_session(environ: Environ) -> None:
    legacy = 'flow = "password"\nlegacy = true\nrealm = "Users"\naccount = "ada"\npassword = { env = "P" }\n'
    write(environ, ONE + legacy)
    once = chosen_by(environ, flags={"flow": "device"})
    assert (once.flow, once.realm) == ("device", "Users")
    assert same_session(once, chosen_by(environ))
    assert hint_flags(once) == ["prod", "--flow", "device"]


@pytest.mark.parametrize(
    "name", sorted(setting.name for setting in settings.SETTINGS if setting.fixed and setting.name != "issuer")
)
def test_flags_may_not_change_who_is_asked_and_with_what(environ: Environ, name: str) -> None:
    write(environ, ONE)
    flag = settings.BY_NAME[name].flag
    for flags in ({"profile": "prod", name: "https://evil.example"}, {name: "https://evil.example"}):
        error = refused(lambda flags=flags: chosen_by(environ, flags=flags))  # type: ignore[misc]
        assert type(error) is UsageError
        assert error.sentence.startswith(f"{flag} cannot change profile prod")
        assert "evil" not in f"{error.sentence}{error.hint}"


def test_an_issuer_flag_cannot_change_the_profile_that_the_request_names(environ: Environ) -> None:
    write(environ, ONE)
    request = request_by("kubectl", profile="prod")
    error = refused(lambda: chosen_by(environ, request, {"issuer": "https://evil.example", "client_id": "c"}))
    assert error.exit_code == 64


def test_a_flag_s_value_is_judged_as_the_file_s(environ: Environ) -> None:
    write(environ, ONE)
    error = refused(lambda: chosen_by(environ, flags={"flow": "hunter2"}))
    sentence = (
        "--flow: expected auto, device, authorization-code, client-credentials, password, jwt-bearer or token-exchange"
    )
    assert (error.exit_code, error.sentence) == (64, sentence)


def test_the_files_that_were_read_come_along(environ: Environ) -> None:
    path = write(environ, ONE)
    chosen = choose(KUBECTL, {}, environ)
    assert chosen.files[-1].path == path
    assert chosen.files[-1].stamp == places.stamp(os.stat(path))


def test_every_variable_that_the_config_takes_a_secret_from_is_hidden_from_children(environ: Environ) -> None:
    write(
        environ,
        TWO
        + 'client_secret = { env = "DEV_SECRET" }\n'
        + '[profiles.key]\nprivate_key = { env = "KEY", kid = "1" }\npassword = { env = "PASSWORD" }\n'
        + '[profiles.wrong]\npassword = { deep = { env = "DEEP" } }\nenv = "x"\n',
    )
    hidden = choose(KUBECTL, {"profile": "prod"}, environ).hidden
    assert hidden == {"DEV_SECRET", "KEY", "PASSWORD", "DEEP", "x"}


def test_a_variable_named_by_any_file_is_hidden(environ: Environ, tmp_path: Path) -> None:
    configuration = Configuration(environ)
    configuration.add("system", put(tmp_path / "system.toml", ONE + 'client_secret = { env = "SYSTEM_SECRET" }\n'))
    configuration.add("user", write(environ, ONE + 'client_secret = { env = "USER_SECRET" }\n'))
    assert configuration.hidden == {"SYSTEM_SECRET", "USER_SECRET"}


# --- an issuer: ad hoc


AD_HOC = {"issuer": "https://Example.com:8443/realm/", "client_id": "c"}


def test_for_an_ad_hoc_profile_no_file_is_read(environ: Environ) -> None:
    write(environ, "this is no TOML")
    chosen = choose(KUBECTL, AD_HOC, environ)
    assert chosen.files == ()
    assert chosen.profile.ad_hoc


def test_an_ad_hoc_profile_is_named_after_its_host_and_client(environ: Environ) -> None:
    assert chosen_by(environ, flags=AD_HOC).name == "example.com:8443/c"
    long = chosen_by(environ, flags=AD_HOC | {"client_id": "0123456789" * 5})
    assert long.name == f"example.com:8443/{'0123456789' * 3}012345678…"


def test_an_ad_hoc_profile_is_made_of_flags_then_variables(environ: Environ) -> None:
    environ |= {
        "CREDENTIAL_HELPER_CLIENT_ID": "ignored",
        "CREDENTIAL_HELPER_AUDIENCE": "api",
        "CREDENTIAL_HELPER_CLIENT_SECRET": "hunter2",
    }
    chosen = choose(KUBECTL, AD_HOC, environ)
    profile = chosen.profile
    assert (profile.client_id, profile.audience) == ("c", "api")
    assert profile.client_secret == Source(
        kind="env", value=("CREDENTIAL_HELPER_CLIENT_SECRET",), origin="CREDENTIAL_HELPER_CLIENT_SECRET"
    )
    assert "hunter2" not in repr(chosen)
    assert dict(profile.origins) == {
        "issuer": "--issuer",
        "client_id": "--client-id",
        "audience": "CREDENTIAL_HELPER_AUDIENCE",
        "client_secret.env": "CREDENTIAL_HELPER_CLIENT_SECRET",
    }


@pytest.mark.parametrize(
    "named", [{"CREDENTIAL_HELPER_ISSUER": "https://prod.example.com"}, {"CREDENTIAL_HELPER_PROVIDER": "github"}]
)
def test_what_stands_beside_an_issuer_in_the_environment_is_for_no_other(
    environ: Environ, named: Mapping[str, str]
) -> None:
    """A kubeconfig's args may name any issuer; the secret of a CI job is for the job's own."""
    environ |= named
    environ |= {
        "CREDENTIAL_HELPER_CLIENT_ID": "prod",
        "CREDENTIAL_HELPER_CLIENT_SECRET": "hunter2",
        "CREDENTIAL_HELPER_CA_FILE": "/ca.pem",
        "CREDENTIAL_HELPER_TOKEN_ENDPOINT": "https://prod.example.com/token",
        "CREDENTIAL_HELPER_PARAMETERS": "organization=1",
    }
    profile = chosen_by(environ, flags=AD_HOC)
    assert (profile.client_secret, profile.ca_file, profile.endpoints.token, profile.parameters) == (
        None,
        None,
        None,
        (),
    )
    error = refused(lambda: chosen_by(environ, flags={"issuer": "https://evil.example"}))
    assert error.sentence.startswith("--issuer needs --client-id")
    error = refused(lambda: chosen_by(environ, flags=AD_HOC | {"client_secret.env": "CREDENTIAL_HELPER_CLIENT_SECRET"}))
    assert (error.exit_code, "hunter2" in error.sentence) == (78, False)


def test_the_same_issuer_by_flag_and_variable_is_one(environ: Environ) -> None:
    environ |= {"CREDENTIAL_HELPER_ISSUER": AD_HOC["issuer"], "CREDENTIAL_HELPER_CLIENT_SECRET": "hunter2"}
    assert chosen_by(environ, flags=AD_HOC).client_secret is not None


def test_a_secret_by_flag_replaces_one_by_variable(environ: Environ, tmp_path: Path) -> None:
    write(environ, f'secret_files = ["{tmp_path}"]\n')
    environ |= {
        "CREDENTIAL_HELPER_CLIENT_SECRET": "x",
        "CREDENTIAL_HELPER_CLIENT_SECRET_FILE": str(tmp_path / "x"),
    }
    error = refused(lambda: chosen_by(environ, flags=AD_HOC))
    assert (error.exit_code, error.hint) == (78, "give one source of a secret")
    chosen = choose(KUBECTL, AD_HOC | {"client_secret.env": "CREDENTIAL_HELPER_CI"}, environ)
    assert chosen.profile.client_secret is not None
    assert chosen.profile.client_secret.value == ("CREDENTIAL_HELPER_CI",)
    assert chosen.hidden == {"CREDENTIAL_HELPER_CI"}


def test_a_key_by_flag_replaces_one_by_variable(environ: Environ) -> None:
    environ |= {"CREDENTIAL_HELPER_PRIVATE_KEY": "x", "CREDENTIAL_HELPER_PRIVATE_KEY_KID": "k1"}
    chosen = choose(KUBECTL, AD_HOC, environ)
    assert chosen.profile.private_key is not None
    assert chosen.profile.private_key.source.value == ("CREDENTIAL_HELPER_PRIVATE_KEY",)
    assert chosen.hidden == {"CREDENTIAL_HELPER_PRIVATE_KEY"}
    chosen = choose(KUBECTL, AD_HOC | {"private_key.env": "CREDENTIAL_HELPER_K"}, environ)
    assert chosen.profile.private_key is not None
    assert (chosen.profile.private_key.source.value, chosen.profile.private_key.kid) == (("CREDENTIAL_HELPER_K",), "k1")
    assert chosen.hidden == {"CREDENTIAL_HELPER_K"}


def test_a_password_by_flag_replaces_one_by_variable(environ: Environ) -> None:
    environ |= {"CREDENTIAL_HELPER_PASSWORD": "hunter2", "CREDENTIAL_HELPER_LEGACY": "1"}
    flags = AD_HOC | {"flow": "password", "account": "ada"}
    chosen = choose(KUBECTL, flags, environ)
    assert chosen.profile.password is not None
    assert chosen.profile.password.value == ("CREDENTIAL_HELPER_PASSWORD",)
    assert "hunter2" not in repr(chosen)
    chosen = choose(KUBECTL, flags | {"password.file": "/password", settings.TYPED: True}, environ)
    assert chosen.profile.password is not None
    assert (chosen.profile.password.kind, chosen.hidden) == ("file", frozenset())


def test_an_ad_hoc_profile_without_a_client_id_says_how_to_give_one(environ: Environ) -> None:
    error = refused(lambda: chosen_by(environ, flags={"issuer": "https://i"}))
    assert (error.exit_code, error.sentence) == (
        64,
        "--issuer needs --client-id ID (or CREDENTIAL_HELPER_CLIENT_ID), too",
    )
    error = refused(lambda: chosen_by(environ | {"CREDENTIAL_HELPER_ISSUER": "https://i"}))
    assert (error.exit_code, error.sentence.split()[0]) == (78, "CREDENTIAL_HELPER_ISSUER")


def test_a_variable_with_an_impossible_value_is_78_and_not_shown(environ: Environ) -> None:
    environ |= {"CREDENTIAL_HELPER_ISSUER": "https://i", "CREDENTIAL_HELPER_CLIENT_ID": "c"}
    error = refused(lambda: chosen_by(environ | {"CREDENTIAL_HELPER_TOKEN": "hunter2"}))
    assert (error.exit_code, error.sentence) == (78, "CREDENTIAL_HELPER_TOKEN: expected auto, access or id")


def test_variables_of_other_tools_are_ignored(environ: Environ) -> None:
    write(environ, ONE)
    names = ("CONFIG_FILE", "LOGGING", "BIN", "STANDALONE", "IDLE_TIMEOUT", "AGENT_SOCKET", "UNKNOWN")
    assert chosen_by(environ | {f"CREDENTIAL_HELPER_{name}": "x" for name in names}) == chosen_by(environ)


# --- the request first, then flags, then the profile


def test_the_request_s_wishes_come_before_the_flags_and_these_before_the_profile(environ: Environ) -> None:
    write(environ, ONE + 'audience = "file"\nresource = "https://file"\nscope = "file"\ntoken = "access"\n')
    assert chosen_by(environ).audience == "file"
    flags = {"audience": "flag", "resource": ["https://flag"], "scope": ["flag"], "token": "id"}
    profile = chosen_by(environ, flags=flags)
    assert (profile.audience, profile.resource, profile.scope) == ("flag", ("https://flag",), ("flag",))
    assert profile.token == "id"
    request = request_by("kubectl", audience="r", resource=("https://r",), scope=("r",), token="access")
    profile = chosen_by(environ, request, flags)
    assert (profile.audience, profile.resource, profile.scope) == ("r", ("https://r",), ("r",))
    assert profile.token == "access"
    assert dict(profile.origins)["scope"] == "spec.cluster.config.scope"


def test_what_a_request_leaves_out_is_the_profile_s(environ: Environ) -> None:
    write(environ, ONE + 'audience = "file"\nscope = "a"\n')
    profile = chosen_by(environ, request_by("kubectl", scope=()))
    assert (profile.audience, profile.scope, profile.token) == ("file", (), "auto")


def test_a_request_s_wish_that_cannot_be_is_65(environ: Environ) -> None:
    write(environ, ONE)
    for request in (request_by("kubectl", audience="a\nb"), request_by("kubectl", resource=("x#y",))):
        assert type(refused(lambda request=request: chosen_by(environ, request))) is ProtocolError  # type: ignore[misc]


def test_the_hint_makes_the_session_that_the_request_asked_for(environ: Environ) -> None:
    write(environ, ONE)
    profile = chosen_by(environ, request_by("kubectl", audience="my api", token="id"))
    assert hint_flags(profile) == ["prod", "--audience", "my api"]
    assert same_session(chosen_by(environ, flags={"profile": "prod", "audience": "my api"}), profile)


# --- who gets a token: git


def git(environ: Environ, host: str, path: str | None = None, scheme: str = "https", **flags: object) -> str | None:
    found = choose_git(GIT, scheme, host, path, flags, environ)
    return None if found is None else f"{found[0].profile.name} {found[1].url}"


def test_git_is_served_by_the_longest_match(environ: Environ) -> None:
    write(environ, TWO)
    assert git(environ, "git.example.com") == "prod https://git.example.com:443"
    assert git(environ, "git.example.com", "dev") == "dev https://git.example.com:443/dev"
    assert git(environ, "git.example.com", "dev/repo.git") == "dev https://git.example.com:443/dev"
    assert git(environ, "git.example.com", "devs/repo.git") == "prod https://git.example.com:443"
    assert git(environ, "GIT.example.com.:443", "big/x") == "prod https://git.example.com:443/big"


def test_an_unlisted_host_is_not_mine_and_never_the_default_profile_s(environ: Environ) -> None:
    write(environ, 'default_profile = "prod"\n' + TWO)
    for host in ("github.com", "git.example.com:8443", "git.example.com.attacker.example", "x@git.example.com", ""):
        assert git(environ, host) is None
    assert git(environ, "git.example.com", scheme="http") is None
    write(environ, ONE)
    assert git(environ, "git.example.com") is None


def test_loopback_may_be_http_with_the_port_that_is_listed(environ: Environ) -> None:
    write(environ, TWO)
    assert git(environ, "127.0.0.1:3000", scheme="http") == "dev http://127.0.0.1:3000"
    for host in ("127.0.0.1", "127.0.0.1:3001", "localhost:3000", "[::1]:3000"):
        assert git(environ, host, scheme="http") is None
    assert git(environ, "127.0.0.1:3000") is None


def test_a_name_narrows_to_its_own_hosts_and_never_widens(environ: Environ) -> None:
    write(environ, TWO)
    assert git(environ, "git.example.com", "dev/x", profile="prod") == "prod https://git.example.com:443"
    assert git(environ, "git.example.com", profile="dev") is None
    assert git(environ, "github.com", profile="dev") is None
    assert git(environ | {"CREDENTIAL_HELPER_PROFILE": "dev"}, "git.example.com") is None
    assert git(environ, "git.example.com", profile="nope") is None


def test_an_entry_with_a_path_without_a_path_in_the_request_is_told_under_verbose(environ: Environ) -> None:
    write(environ, ONE + 'git = ["https://git.example.com/group"]\n')
    notes: list[str] = []
    assert choose_git(GIT, "https", "git.example.com", None, {}, environ, note=notes.append) is None
    assert "credential.useHttpPath" in notes[-1]
    notes.clear()
    assert choose_git(GIT, "https", "other.example.com", None, {}, environ, note=notes.append) is None
    assert "credential.useHttpPath" not in "".join(notes)


def test_a_listed_url_may_ask_for_another_audience_and_scope(environ: Environ) -> None:
    write(environ, TWO)
    found = choose_git(GIT, "https", "git.example.com", "big/x", {}, environ)
    assert found is not None
    profile = found[0].profile
    assert (profile.audience, profile.scope) == ("big", ("read",))
    assert hint_flags(profile) == ["prod", "--audience", "big", "--scope", "read"]
    found = choose_git(GIT, "https", "git.example.com", "big/x", {"audience": "flag"}, environ)
    assert found is not None
    assert (found[0].profile.audience, found[0].profile.scope) == ("flag", ("read",))


def test_an_ad_hoc_profile_serves_the_hosts_of_its_flags(environ: Environ) -> None:
    write(environ, TWO)
    flags = AD_HOC | {"git": ["https://git.other.example/x"]}
    found = choose_git(GIT, "https", "git.other.example", "x/y", flags, environ)
    assert found is not None
    assert found[0].profile.name.startswith("example.com:8443/")
    assert choose_git(GIT, "https", "git.example.com", None, flags, environ) is None
    assert choose_git(GIT, "https", "git.example.com", None, AD_HOC, environ) is None


@pytest.mark.parametrize("named", [{}, {"profile": "dev"}])
def test_a_list_by_flag_narrows_a_profile_s_and_never_widens_it(environ: Environ, named: dict[str, str]) -> None:
    write(environ, TWO)
    assert git(environ, "git.other.example", git=["https://git.other.example"], **named) is None
    assert git(environ, "127.0.0.1:3000", scheme="http", git=["https://git.other.example"], **named) is None
    own = ["http://127.0.0.1:3000", "https://git.example.com/dev/team"]
    assert git(environ, "127.0.0.1:3000", scheme="http", git=own, **named) == "dev http://127.0.0.1:3000"
    assert git(environ, "git.example.com", "dev/team/x", git=own, **named) == "dev https://git.example.com:443/dev"
    assert git(environ, "git.example.com", "dev/other", git=own, **named) is None


def test_a_list_by_flag_narrows_that_of_an_issuer_in_the_environment(environ: Environ) -> None:
    environ |= {"CREDENTIAL_HELPER_ISSUER": "https://i", "CREDENTIAL_HELPER_CLIENT_ID": "c"}
    assert git(environ, "git.example.com", git=["https://git.example.com"]) is None
    environ["CREDENTIAL_HELPER_GIT"] = "https://git.example.com https://other.example.com"
    assert git(environ, "git.example.com", git=["https://git.example.com"]) == "i/c https://git.example.com:443"
    assert git(environ, "other.example.com", git=["https://git.example.com"]) is None
    assert git(environ, "evil.example", git=["https://evil.example"]) is None


def test_a_cluster_by_flag_narrows_what_the_profile_serves(environ: Environ) -> None:
    write(environ, ONE + 'kubernetes = ["https://a.example.com", "https://b.example.com"]\n')
    chosen = choose(KUBECTL, {"kubernetes": ["https://b.example.com", "https://evil.example"]}, environ)
    serves(chosen, "kubernetes", "https://b.example.com")
    for server in ("https://a.example.com", "https://evil.example"):
        with pytest.raises(AuthorizationError, match="does not list the cluster"):
            serves(chosen, "kubernetes", server)


def test_two_profiles_that_list_the_same_are_78(environ: Environ) -> None:
    path = write(environ, TWO + '[profiles.x]\ngit = ["https://GIT.example.com:443/"]\n')
    error = refused(lambda: git(environ, "git.example.com"))
    line = Path(path).read_text().count("\n")
    assert error.sentence == (
        f"{path}: line {line}: profiles.x.git: https://git.example.com:443 is listed by profile prod, too"
    )
    assert git(environ, "git.example.com", "big/x") == "prod https://git.example.com:443/big"
    assert git(environ, "git.example.com", profile="prod") == "prod https://git.example.com:443"
    assert error.exit_code == 78
    assert error.sentence in [problem.sentence for problem in load(environ).problems()]
    write(environ, TWO + '[profiles.x]\ndocker = ["https://registry.example.com:5000"]\n')
    assert refused(lambda: docker(environ, "registry.example.com:5000")).exit_code == 78
    assert docker(environ, "registry.example.com") is None
    assert git(environ, "git.example.com")


def test_a_host_listed_twice_by_one_profile_is_78(environ: Environ) -> None:
    write(environ, ONE + 'docker = ["a.example", { server = "A.example" }]\n')
    assert docker(environ, "b.example") is None
    assert "is listed twice" in refused(lambda: docker(environ, "a.example")).sentence


def test_another_profile_s_wrong_host_stops_nobody(environ: Environ) -> None:
    write(environ, TWO + '[profiles.x]\ngit = ["git.example.org", "https://x.example.org"]\n')
    assert git(environ, "git.example.com") == "prod https://git.example.com:443"
    assert git(environ, "github.com") is None
    assert refused(lambda: git(environ, "x.example.org")).exit_code == 78
    (trouble,) = Owners({}, environ).troubles(TOOLS["git"])
    assert "profiles.x.git[0]: does not begin with https://" in trouble.sentence
    assert chosen_by(environ, flags={"profile": "prod"}).name == "prod"


def test_a_broken_profile_that_lists_the_host_is_an_error_and_not_not_mine(environ: Environ) -> None:
    write(environ, ONE + 'git = ["https://git.example.com"]\nflow = "x"\n')
    assert refused(lambda: git(environ, "git.example.com")).exit_code == 78
    assert git(environ, "other.example.com") is None


# --- who gets a token: docker


def docker(environ: Environ, server: str, **flags: object) -> str | None:
    found = choose_docker(DOCKER, server, flags, environ)
    return None if found is None else f"{found[0].profile.name} {found[1].url} {found[1].username}"


def test_docker_is_served_by_the_longest_match(environ: Environ) -> None:
    write(environ, TWO)
    for server in ("registry.example.com:5000", "https://Registry.example.com:5000/", "registry.example.com:5000/team"):
        assert docker(environ, server) == "prod https://registry.example.com:5000 oauth2accesstoken"
    assert docker(environ, "registry.example.com:5000/dev/x") == (
        "dev https://registry.example.com:5000/dev oauth2accesstoken"
    )
    assert docker(environ, "https://index.docker.io/v1/") == "dev https://index.docker.io:443/v1 <token>"


def test_any_other_registry_is_not_mine(environ: Environ) -> None:
    write(environ, TWO)
    for server in (
        *("registry.example.com", "http://registry.example.com:5000", "https://index.docker.io/", "index.docker.io"),
        *("https://index.docker.io/v1/access-token/../..", "docker.io", "", "registry.example.com:5000@evil.example"),
        *("https://a\n.evil", "evil.example/registry.example.com:5000", "xregistry.example.com:5000"),
    ):
        assert docker(environ, server) is None
    assert docker(environ, "registry.example.com:5000", profile="dev") is None


def test_who_lists_a_host_can_be_asked_whoever_may_serve(environ: Environ) -> None:
    write(environ, TWO)
    owners = Owners({"profile": "dev"}, environ)
    assert owners.lister(TOOLS["docker"], urls.parse_server("registry.example.com:5000")) == "prod"
    assert owners.lister(TOOLS["docker"], urls.parse_server("@")) is None
    assert owners.lister(TOOLS["git"], git_url("https", "git.example.com", "dev/x")) == "dev"
    assert git(environ, "git.example.com", profile="dev") is None
    assert [claim.profile for claim in Owners({}, environ).claims(TOOLS["docker"])] == ["prod", "dev", "dev"]
    assert [claim.profile for claim in owners.claims(TOOLS["docker"])] == ["dev", "dev"]


# --- who gets a token: kubernetes


CLUSTERS = """
audience = "https://kubernetes.example.com"
kubernetes = [
  "https://a.example.com",
  { url = "https://b.example.com:6443", resource = "https://b.example.com", scope = "read" },
  { url = "https://c.example.com", audience = "c" },
]
"""


@pytest.mark.parametrize(
    ("server", "audience", "resource"),
    [
        ("https://a.example.com", "https://kubernetes.example.com", ()),
        ("https://b.example.com:6443/", None, ("https://b.example.com",)),
        ("https://c.example.com:443", "c", ()),
        ("https://nobody.example.com", "https://kubernetes.example.com", ()),
        (None, "https://kubernetes.example.com", ()),
    ],
)
def test_a_listed_cluster_has_the_token_that_its_profile_says(
    environ: Environ, server: str | None, audience: str | None, resource: tuple[str, ...]
) -> None:
    write(environ, ONE + CLUSTERS)
    profile = choose(request_by("kubectl", target=server), {}, environ, key="kubernetes").profile
    assert (profile.audience, profile.resource) == (audience, resource)
    assert profile.scope == (("read",) if resource else None)
    assert set(profile.resource) | set(profile.other_resources) == {"https://b.example.com"}


def test_what_the_cluster_s_extension_or_a_flag_says_is_more_specific(environ: Environ) -> None:
    write(environ, ONE + CLUSTERS)
    asked = request_by("kubectl", target="https://c.example.com", resource=("urn:other",))
    profile = choose(asked, {}, environ, key="kubernetes").profile
    assert (profile.audience, profile.resource) == (None, ("urn:other",))
    flagged = choose(
        request_by("kubectl", target="https://c.example.com"), {"audience": "d"}, environ, key="kubernetes"
    )
    assert flagged.profile.audience == "d"
    assert hint_flags(flagged.profile) == ["prod", "--audience", "d"]


def test_without_a_list_every_cluster_is_served(environ: Environ) -> None:
    write(environ, ONE)
    serves(choose(KUBECTL, {}, environ), "kubernetes", None)
    serves(choose(KUBECTL, {}, environ), "kubernetes", "https://anything")


def test_with_a_list_only_these_clusters_are_served(environ: Environ) -> None:
    write(environ, ONE + 'kubernetes = ["https://API.example.com:6443", "https://rancher.example.com/k8s/a"]\n')
    profile = choose(KUBECTL, {}, environ)
    for server in (
        *("https://api.example.com:6443", "https://API.example.com.:6443/", "https://rancher.example.com:443/k8s/a"),
    ):
        serves(profile, "kubernetes", server)
    for server in (
        *("https://api.example.com", "http://api.example.com:6443", "https://api.example.com:6443.evil.example"),
        *(
            "https://api.example.com:6443@evil.example",
            "https://rancher.example.com/k8s/b",
            "https://rancher.example.com",
        ),
        *("https://rancher.example.com/k8s/a/b", "https://rancher.example.com/k8s/a?x", "api.example.com:6443", ""),
    ):
        with pytest.raises(AuthorizationError, match="does not list the cluster"):
            serves(profile, "kubernetes", server)


def test_with_a_list_and_no_cluster_info_the_hint_says_how_to_get_it(environ: Environ) -> None:
    write(environ, ONE + 'kubernetes = ["https://api.example.com:6443"]\n')
    with pytest.raises(AuthorizationError) as caught:
        serves(choose(KUBECTL, {}, environ), "kubernetes", None)
    assert caught.value.exit_code == 77
    assert caught.value.profile == "prod"
    assert "provideClusterInfo: true" in (caught.value.hint or "")


def test_a_cluster_that_is_not_listed_is_told_with_the_profile_and_its_list(environ: Environ) -> None:
    write(environ, ONE + 'kubernetes = ["https://api.example.com:6443"]\n')
    with pytest.raises(AuthorizationError) as caught:
        serves(choose(KUBECTL, {}, environ), "kubernetes", "https://other.example.com")
    assert caught.value.profile == "prod"
    assert caught.value.hint == "it serves https://api.example.com:6443 (its kubernetes says so)"


# --- secrets


def source(kind: str, *value: str) -> Source:
    return Source(kind=kind, value=value, origin="here")  # type: ignore[arg-type]


def test_a_source_is_not_read_before_it_is_asked_for(environ: Environ) -> None:
    write(environ, ONE + 'client_secret = { command = ["no-such-command"] }\n')
    assert chosen_by(environ).client_secret is not None


def test_a_secret_comes_from_a_variable_as_it_is(environ: Environ) -> None:
    assert read_secret(source("env", "CI"), environ | {"CI": " s3cr3t "})[0].reveal() == " s3cr3t "


def test_a_secret_in_a_variable_that_is_not_utf8_is_its_own_error(environ: Environ) -> None:
    error = refused(lambda: read_secret(source("env", "CI"), environ | {"CI": "s3cr3t\udcff"}))
    assert (error.exit_code, error.sentence) == (78, "here: the variable CI is not UTF-8")


@pytest.mark.parametrize("method", ["basic", "post", "client_secret_basic"])
@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_client_secret_is_one_where_its_method_is_written(
    environ: Environ, tmp_path: Path, method: str, content: str
) -> None:
    """Cloud Foundry's UAA knows the client cf by an empty secret."""
    environ["S"] = content
    path = put(tmp_path / "secret", content)
    for written in ('{ env = "S" }', f'{{ file = "{path}" }}', f'{{ command = ["cat", "{path}"] }}'):
        write(environ, ONE + f'client_secret = {written}\nclient_authentication = "{method}"\n')
        asked = chosen_by(environ).client_secret
        assert asked is not None
        assert read_secret(asked, environ)[0].reveal() == ""
    write(environ, ONE + f'client_secret = {{ env = "UNSET" }}\nclient_authentication = "{method}"\n')
    unset = chosen_by(environ).client_secret
    assert unset is not None
    assert refused(lambda: read_secret(unset, environ)).exit_code == 78
    variables = {"CLIENT_SECRET": content, "CLIENT_AUTHENTICATION": method, "ISSUER": "https://i", "CLIENT_ID": "cf"}
    given = environ | {f"CREDENTIAL_HELPER_{name}": value for name, value in variables.items()}
    asked = chosen_by(given).client_secret
    assert asked is not None
    assert read_secret(asked, given)[0].reveal() == ""


def test_an_empty_client_secret_is_told_how_it_may_be_sent(environ: Environ) -> None:
    write(environ, ONE + 'client_secret = { env = "S" }\n')
    asked = chosen_by(environ).client_secret
    assert asked is not None
    error = refused(lambda: read_secret(asked, environ | {"S": ""}))
    assert error.hint == (
        'an empty one is sent only where the profile says how: client_authentication = "basic" or "post"'
    )
    assert refused(lambda: read_secret(asked, environ)).hint is None


@pytest.mark.parametrize("variables", [{}, {"CI_SECRET": ""}])
def test_a_variable_that_is_not_there_is_named_unless_it_may_be_the_secret(
    environ: Environ, variables: Environ
) -> None:
    error = refused(lambda: read_secret(source("env", "CI_SECRET"), environ | variables))
    assert (error.exit_code, error.sentence) == (78, "here: the variable CI_SECRET is not set, or empty")
    assert "s3cr3t" not in refused(lambda: read_secret(source("env", "s3cr3t"), environ)).sentence


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"x", "x"), (b"x\n", "x"), (b"x\r\n", "x"), (b"x\n\n", "x\n"), (b" x\r", " x\r"), (b"\n\n", "\n")],
)
def test_one_trailing_newline_is_cut(environ: Environ, tmp_path: Path, content: bytes, secret: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert read_secret(source("file", str(path)), environ)[0].reveal() == secret
    command = source("command", "cat", str(path))
    assert read_secret(command, environ)[0].reveal() == secret
    assert read_secret(source("env", "S"), environ | {"S": content.decode()})[0].reveal() == secret


def test_a_proof_says_what_was_read_and_where(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cr3t\n")
    stamp = places.stamp(path.stat())
    assert read_secret(source("file", str(path)), environ)[1] == Proof(files=((str(path), stamp),))
    by_variable = read_secret(source("env", "S"), environ | {"S": "s3cr3t\n"})[1]
    assert by_variable == Proof(variables=(("S", Secret("s3cr3t\n")),)), "the newline, which is cut, counts"
    assert "s3cr3t" not in repr(by_variable)
    assert read_secret(source("command", "echo", "s3cr3t"), environ)[1] == UNKNOWN


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_secret_is_an_error(environ: Environ, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    for asked in (source("file", str(path)), source("command", "cat", str(path))):
        error = refused(lambda asked=asked: read_secret(asked, environ))  # type: ignore[misc]
        assert (error.exit_code, error.sentence) == (78, "here: the secret is empty")


def test_a_secret_that_is_not_utf8_is_an_error_that_does_not_hold_it(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"s3cr3t\xff")
    error = refused(lambda: read_secret(source("file", str(path)), environ))
    assert (error.sentence, error.hint) == ("here: the secret is not UTF-8", None)
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize("length", [b"\x81\x87", b"\x82\x04\xbd"])  # of a P-256 and of an RSA key (PKCS #8)
def test_a_key_in_der_form_is_told_how_to_write_it(environ: Environ, tmp_path: Path, length: bytes) -> None:
    path = tmp_path / "key.der"
    path.write_bytes(b"\x30" + length + b"\x02\x01\x00s3cr3t")
    error = refused(lambda: read_secret(source("file", str(path)), environ))
    assert error.sentence == "here: the secret is not UTF-8"
    assert error.hint is not None
    assert "openssl pkcs8" in error.hint


@pytest.mark.skipif(places.WINDOWS, reason="modes are not judged")
def test_a_secret_s_file_that_others_may_read_is_told_under_verbose(environ: Environ, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cr3t")
    for mode, told in ((0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o644, 1)):
        notes: list[str] = []
        path.chmod(mode)
        assert read_secret(source("file", str(path)), environ, note=notes.append)[0]
        assert len(notes) == told, stat.filemode(mode)
        assert "s3cr3t" not in "".join(notes)


def test_a_secret_s_file_that_cannot_be_read_says_why(environ: Environ, tmp_path: Path) -> None:
    error = refused(lambda: read_secret(source("file", str(tmp_path / "x")), environ))
    assert error.sentence == f"here: {tmp_path}/x cannot be read: no such file or directory"
    error = refused(lambda: read_secret(source("file", str(tmp_path)), environ))
    assert error.sentence == f"here: {tmp_path} is not a regular file"


@pytest.mark.skipif(places.WINDOWS, reason="FIFOs")
def test_a_secret_s_file_that_never_ends_is_not_waited_for(environ: Environ, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), "/dev/zero"):
        error = refused(lambda path=path: read_secret(source("file", path), environ))  # type: ignore[misc]
        assert error.sentence == f"here: {path} is not a regular file"


def test_a_command_does_not_see_the_secrets_of_others(environ: Environ) -> None:
    environ |= {"DEV_SECRET": "s3cr3t", "CREDENTIAL_HELPER_CLIENT_SECRET": "s3cr3t", "OTHER": "x"}
    output = read_secret(source("command", "env"), environ, hidden={"DEV_SECRET"})[0].reveal()
    assert "s3cr3t" not in output
    assert "OTHER=x" in output


def test_a_command_s_failure_says_where_it_was_written(environ: Environ) -> None:
    error = refused(lambda: read_secret(source("command", "false"), environ))
    assert (error.exit_code, error.sentence) == (78, "here: the command false exited with status 1")
    assert type(error) is ConfigurationError


def test_a_name_in_the_keyring_is_never_run_as_a_command(environ: Environ, tmp_path: Path) -> None:
    program = tmp_path / "named-like-a-secret"
    program.write_text(f"#!/bin/sh\n: > {tmp_path}/was-run\n")
    program.chmod(0o700)
    with pytest.raises(AssertionError):
        read_secret(source("keyring", program.name), environ | {"PATH": f"{tmp_path}:{environ['PATH']}"})
    assert not (tmp_path / "was-run").exists()
