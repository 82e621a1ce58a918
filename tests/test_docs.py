"""README and docs/ are true: what they name exists, what exists is named, and the program itself reads their examples.

README and the pages under docs/ are read together: a command, flag, key or variable is named if any page names it.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from credential_helper import command_line, errors, model, places, providers, tools
from credential_helper.commands import status, status_rows
from credential_helper.oauth.grants import authorization_code
from credential_helper.profiles import settings
from credential_helper.profiles.configuration import load
from credential_helper.profiles.elsewhere import TOP_LEVEL
from credential_helper.profiles.written import Origin, Written
from credential_helper.terminal.words import prompt_lines
from credential_helper.tools import kubectl, own_json, wishes
from credential_helper.tools.contract import Asked, Exchange
from integration.servers.providers import made
from tests.helpers.programs import CHECKOUT

FILES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
PAGES = {path.relative_to(CHECKOUT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
README = PAGES["README.md"]
ALL = "\n".join(PAGES.values())
SOURCE = "".join(path.read_text(encoding="utf-8") for path in sorted((CHECKOUT / "credential_helper").rglob("*.py")))

# Each tool, and its page under docs/tools.
TOOLS = {row.name: row.name if row.hosts is not None else "scripts" for row in tools.TOOLS.values()}

# Tools that README does not name yet: their pages alone say what they are, their key and their flag.
ON_THEIR_PAGES = {name for name, page in TOOLS.items() if f"(docs/tools/{page}.md)" not in README}


# Flags that the pages name and that are other programs': pip's, git's, kubectl's, the API server's, kubelogin's,
# Valkey's.
FOREIGN_FLAGS = {
    *("--prefix", "--target", "--user"),
    "--with",
    *("--global", "--add", "--replace-all"),
    *("--exec-api-version", "--exec-command", "--exec-arg", "--exec-interactive-mode", "--exec-provide-cluster-info"),
    *("--local-server-cert", "--local-server-key"),
    *("--current", "--user"),
    *("--oidc-issuer-url", "--oidc-client-id", "--oidc-client-secret", "--oidc-extra-scope"),
    *("--oidc-use-access-token", "--oidc-auth-request-extra-params", "--grant-type", "--certificate-authority"),
    *("--insecure-skip-tls-verify", "--token-cache-dir", "--token-cache-storage", "--force-refresh"),
    *("--username", "--password", "--listen-address", "--oidc-redirect-url", "--skip-open-browser"),
    "--browser-command",
    *("--port", "--tls-port", "--tls-cert-file", "--tls-key-file", "--tls-auth-clients"),
    *("--aclfile", "--maxmemory", "--maxmemory-policy", "--save"),
}

# Of the tests, not of the program.
TEST_VARIABLES = {
    *("CREDENTIAL_HELPER_REQUIRE_REAL", "CREDENTIAL_HELPER_GITS", "CREDENTIAL_HELPER_TEST_ARTEFACTS"),
    *("CREDENTIAL_HELPER_PROVIDERS", "CREDENTIAL_HELPER_FUZZ_SECONDS", "CREDENTIAL_HELPER_FUZZ_SEED"),
}


def page(name: str) -> str:
    """Return a page of docs/, named without its ending."""
    return PAGES[f"docs/{name}.md"]


def section(title: str, text: str, *, level: int = 2) -> str:
    """Return the text below a heading, by default of the second level, up to the next one that is no lower."""
    found = re.search(
        rf"^{'#' * level} {re.escape(title)}\n(.*?)(?=^#{{2,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, f"there is no section {title}"
    return found[1]


def blocks(language: str, text: str = ALL) -> list[str]:
    """Return the fenced code blocks of a language, without the indent of the list that they stand in."""
    found = re.finditer(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE) for match in found]


def prose(text: str) -> str:
    """Return a page without its code blocks, where a # begins a comment."""
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)


def parser() -> argparse.ArgumentParser:
    return command_line.parser_of()


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the commands' parsers by name."""
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("no commands")


def flags() -> set[str]:
    """Return every flag of every command."""
    every = [parser(), *commands().values()]
    return {flag for one in every for action in one._actions for flag in action.option_strings if flag[:2] == "--"}


# --- the command line


def test_the_keys_of_status_are_those_of_the_page_with_their_types_and_version() -> None:
    text = page("status")
    names = {"str": "string", "int": "number", "bool": "boolean", "TokenKind": "string", "None": "null"}
    names |= {"tuple[str, ...]": "list of strings", "tuple[SessionRow, ...]": "list of objects"}
    rows = {"Profiles": status_rows.Row, "Grants": status_rows.GrantRow, "Sessions": status_rows.SessionRow}
    for heading, row in rows.items():
        types = {
            name: " or ".join(names[word] for word in str(kind).split(" | "))
            for name, kind in row.__annotations__.items()
        }
        documented = section(heading, text, level=3)
        assert dict(re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", documented, re.MULTILINE)) == types
    assert f'{{"version":{status.VERSION},"profiles":[…],"grants":[…],"problems":[…]}}' in section("JSON", text)
    exit_codes = re.search(r"The exit code is 0.*?(?=\n\n)", page("status"), re.DOTALL)
    assert exit_codes is not None
    assert {int(code) for code in re.findall(r"\b(66|78)\b", exit_codes[0])} == {
        errors.InteractionRequired.exit_code,
        errors.ConfigurationError.exit_code,
    }


def test_every_command_is_in_the_table_and_every_row_is_a_command() -> None:
    rows = re.findall(r"^\| `credential-helper (\S+?)[` ]", section("Commands", README), re.MULTILINE)
    assert rows == [name for name in commands() if name not in ON_THEIR_PAGES]


def test_every_flag_that_is_named_exists() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])", ALL))
    assert named - FOREIGN_FLAGS <= flags()
    assert named >= FOREIGN_FLAGS, "no page names these any more: take them out of the list"


def test_every_flag_that_exists_is_named() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", ALL))
    assert flags() <= named


def invocations() -> Iterator[list[str]]:
    """Yield the words after the program's name, of every command on the pages."""
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\$\(|\)|\||&&", line.partition("  #")[0]):
                words = shlex.split(part) if part.count('"') % 2 == 0 else part.split()
                if words[:1] == ["credential-helper"]:
                    yield [word for word in words[1:] if not word.startswith("<")]
    for span in re.findall(r"`credential-helper ([^`]+)`", ALL):
        yield [word for word in span.split() if not re.fullmatch(r"\[?PROFILE…?\]?|<.*", word)]


def test_every_command_line_can_be_typed() -> None:
    seen = list(invocations())
    assert ["token", "prod"] in seen
    assert ["logout", "--all"] in seen
    for words in seen:
        if words != ["--version"]:
            parser().parse_args(words)


def six_steps() -> str:
    return section("kubectl with Auth0, in six steps", page("tools/kubectl"))


def test_the_kubeconfig_and_kubectl_s_own_command_say_the_same() -> None:
    [yaml], [command] = blocks("yaml", six_steps()), blocks("sh", six_steps())
    [listed] = re.findall(r"args: \[(.*)\]", yaml)
    arguments = listed.split(", ")
    words = shlex.split(command.replace("\\\n", " "))
    assert [word.partition("=")[2] for word in words if word.startswith("--exec-arg=")] == arguments
    parser().parse_args(arguments)
    for value in (kubectl.V1, "credential-helper", "Never"):
        assert any(word.endswith(f"={value}") for word in words)
        assert f": {value}\n" in yaml
    assert "provideClusterInfo: true\n" in yaml
    assert "--exec-provide-cluster-info" in words
    [set_up] = blocks("sh", section("Set up", README))
    assert " ".join(words) in " ".join(shlex.split(set_up.replace("\\\n", " ")))


def test_a_whole_profile_fits_into_a_kubeconfig() -> None:
    listed = re.findall(r"`args: \[(.*?)\]`", ALL.replace("\n", " "))
    assert listed
    for arguments in listed:
        words = [word.strip('"') for word in arguments.split(", ")]
        parser().parse_args(words)


def test_yaml_is_indented_by_spaces_and_every_line_is_a_key_or_an_item() -> None:
    found = blocks("yaml")
    assert found
    for block in found:
        for line in block.splitlines():
            assert re.fullmatch(r"(  )*(- )?[\w.\-/]+:( .+)?", line), line
    exec_section = blocks("yaml", six_steps())[0].partition("exec:\n")[2]
    assert set(re.findall(r"^ +(\w+):", exec_section, re.MULTILINE)) == {
        *("apiVersion", "command", "args", "interactiveMode", "provideClusterInfo", "installHint")
    }


def test_what_the_cluster_s_extension_may_hold_is_told() -> None:
    told = re.search(r"It may hold ((?:`\w+`(?:, | and )?)+)", page("tools/kubectl"))
    assert told
    assert tuple(re.findall(r"`(\w+)`", told[1])) == kubectl.CONFIG_KEYS
    assert kubectl.EXTENSION in page("tools/kubectl")


# --- configuration


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_toml_block_is_a_config_file_that_loads(block: str, tmp_path: Path, environ: dict[str, str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block, encoding="utf-8")
    file.chmod(0o600)
    environ["CREDENTIAL_HELPER_CONFIG"] = str(file)
    configuration = load(environ)
    assert configuration.problems() == []
    assert configuration.names()


def reference() -> str:
    return blocks("toml", page("configuration"))[0]


def test_the_reference_has_every_key_and_no_other() -> None:
    document = tomllib.loads(reference())
    tables = document.pop("profiles").values()
    keys = {*TOP_LEVEL, *settings.PROFILE_KEYS} - {"profiles", *ON_THEIR_PAGES}
    assert {*document, *(key for table in tables for key in table)} == keys
    for name, known in settings.TABLE_KEYS.items():
        outer, _, inner = name.partition(".")  # tls.private_key is a table in a table
        [table] = [table[outer] for table in tables if outer in table]
        table = table[inner] if inner else table
        [line, *_] = [line for line in reference().splitlines() if re.match(rf"{name}\b", line)]
        alternatives = re.findall(r"\{ (\w+) =", line) + re.findall(r"\b(\w+)(?=,|;|$)", line.partition("# or ")[2])
        assert set(table) <= set(known)
        assert {*table, *(kind for kind in settings.KINDS if kind in alternatives)} == set(known), name


def test_the_values_of_each_choice_are_those_of_the_program() -> None:
    """``# auto | access | id`` beside a key, or above it, is what its parser says that it expects."""
    found: dict[str, list[str]] = {}
    above: list[str] = []
    for line in reference().splitlines():
        key, _, comment = (part.strip() for part in line.partition("#"))
        listed = re.search(r"(?:[\w-]+ \| )+[\w-]+", re.sub(r"\(.*?\)", "", comment))
        words = listed[0].split(" | ") if listed else []
        if key and (words or above):
            found[key.partition("=")[0].strip()] = words or above
        above = [] if key else words
    choices = {"provider", "flow", "token", "interactive", "store", "client_authentication", "private_key.algorithm"}
    choices |= {"workload", "multi_resource", "renew"}
    assert set(found) == choices
    for key, words in found.items():
        place = Origin(kind="variable")
        with pytest.raises(errors.ConfigurationError) as caught:
            settings.BY_NAME[key].parse(Written("no such word", "here", place))
        assert caught.value.sentence == f"here: expected {', '.join(words[:-1])} or {words[-1]}"


def test_flags_that_change_a_profile_and_those_that_may_not_are_told_apart() -> None:
    told = re.search(
        r"Flags may change .*? but not who is asked.*?--issuer`\.", page("configuration").replace("\n", " ")
    )
    assert told
    free, _, fixed = told[0].partition("but not who is asked")
    for setting in settings.SETTINGS:
        if setting.flag and setting.flag != "--issuer" and setting.name not in ON_THEIR_PAGES:
            here = re.compile(rf"`{setting.flag}(?![\w-])")
            assert bool(here.search(fixed)) == setting.fixed, setting.flag
            assert bool(here.search(free)) != setting.fixed, setting.flag


def test_every_variable_that_is_named_is_known_to_the_program() -> None:
    named = set(re.findall(r"CREDENTIAL_HELPER_[A-Z_]+", ALL))
    named |= {f"CREDENTIAL_HELPER_{name}" for name in re.findall(r"`…_([A-Z_]+)`", ALL)}
    assert named - TEST_VARIABLES <= variables()


def test_every_variable_of_the_program_is_named() -> None:
    named = set(re.findall(r"CREDENTIAL_HELPER_[A-Z_]+", ALL))
    table = {setting.variable for setting in settings.SETTINGS}  # configuration.md: each flag has its variable
    assert variables() - table <= named
    assert set(places.SECRET_VARIABLES) <= named


def variables() -> set[str]:
    """Return the variables that the program's text names, and those of the table of settings."""
    written = set(re.findall(r"CREDENTIAL_HELPER_[A-Z]+(?:_[A-Z]+)*(?![A-Z_])", SOURCE))
    return written | {setting.variable for setting in settings.SETTINGS if setting.variable}


# --- errors, words, places


def exit_codes(error: type[errors.CredentialHelperError] = errors.CredentialHelperError) -> set[int]:
    """Return the exit codes of an error and of all below it."""
    return {error.exit_code}.union(*(exit_codes(one) for one in error.__subclasses__()))


def test_every_exit_code_is_in_the_table_and_every_row_is_an_exit_code() -> None:
    rows = [
        int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes", page("configuration")), re.MULTILINE)
    ]
    assert rows == sorted(exit_codes() | {0, 130})
    told = {int(code) for code in re.findall(r"\b(\d\d) ", command_line._EPILOG)}
    assert told == exit_codes()
    assert "130 interrupted" in command_line._EPILOG


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = dict(re.findall(r"^    (?:[├└]── )?(\w+) +(\d+) ", errors.__doc__ or "", re.MULTILINE))

    def tree(error: type[errors.CredentialHelperError]) -> dict[str, str]:
        below = [tree(one) for one in error.__subclasses__()]
        return {error.__name__: str(error.exit_code)} | {k: v for one in below for k, v in one.items()}

    every = {name: code for name, code in tree(errors.CredentialHelperError).items() if name != "RememberedError"}
    ours = {name: code for name, code in every.items() if hasattr(errors, name)}
    assert drawn.items() >= {k: v for k, v in ours.items() if _direct(k)}.items()
    assert drawn.items() <= ours.items()


def _direct(name: str) -> bool:
    return getattr(errors, name).__base__ in (Exception, errors.CredentialHelperError)


def prompt(flow: Literal["device", "browser"], because: str, **more: Any) -> str:
    """Return what a person sees who is asked to sign in."""
    shown = model.Prompt(
        flow=flow,
        tool="kubectl",
        profile="prod",
        issuer="https://example.eu.auth0.com/",
        target="https://kubernetes.example.com:6443",
        scope=model.DEFAULT_SCOPES,
        interval=5,
        next_poll=5,
        made_at=0,
        because=because,
        **more,
    )
    return "\n".join(prompt_lines(shown, now=0, browser=flow == "browser")) + "\n"


def test_the_prompt_of_the_browser_flow_is_the_one_that_people_see() -> None:
    shown = prompt(
        "browser",
        "there is a display",
        verification_uri="https://example.eu.auth0.com/authorize?response_type=code&client_id=Xyz&",
        expires_at=authorization_code.DEADLINE,
    )
    assert shown in blocks("console", README)[0].replace("&…", "&")
    assert '"there is a display"' in SOURCE


def test_the_prompt_with_a_code_is_the_one_that_people_see() -> None:
    shown = prompt(
        "device",
        "SSH_CONNECTION is set",
        device_code=model.Secret("x"),
        user_code="WDJB-MJHT",
        verification_uri="https://example.eu.auth0.com/activate",
        verification_uri_complete="https://example.eu.auth0.com/activate?user_code=WDJB-MJHT",
        expires_at=900,
    )
    here, _ = blocks("console", page("signing-in"))
    assert shown in here
    there = shown.replace("kubectl", "git").replace("https://kubernetes.example.com:6443", "https://git.example.com")
    assert there in blocks("console", page("tools/git"))[0]
    assert '"SSH_CONNECTION"' in SOURCE


def test_the_prompt_over_ssh_is_the_one_that_people_see() -> None:
    _, here = blocks("console", page("signing-in"))
    shown = model.Prompt(
        flow="browser",
        tool="credential-helper",
        profile="prod",
        issuer="https://example.eu.auth0.com/",
        target=None,
        scope=model.DEFAULT_SCOPES,
        interval=5,
        next_poll=5,
        made_at=0,
        verification_uri="https://example.eu.auth0.com/authorize?response_type=code&",
        redirect_uri="http://127.0.0.1:41515/callback",
        expires_at=authorization_code.DEADLINE,
    )
    lines = prompt_lines(shown, now=0, remote=True, paste=True, machine="build7")
    assert "\n".join(lines) in here.replace("&…", "&")


# --- providers


def test_what_to_register_is_what_the_table_of_providers_says() -> None:
    text = section("What to register", page("signing-in"))
    for known in providers.PROVIDERS.values():
        assert f"`{known.redirect_uri}`" in text, known.name
        fixed = known.redirect_uri != providers.PROVIDERS["generic"].redirect_uri
        assert (known.title in text) == fixed, known.name


def test_the_six_steps_for_auth0_register_what_is_sent() -> None:
    assert f"`{providers.PROVIDERS['auth0'].redirect_uri}`" in six_steps()


def test_the_table_of_providers_is_the_program_s() -> None:
    table = re.search(r"^\| `provider` \|.*\n\|[-|]*\n((?:\|.*\n)*)", page("providers/index"), re.MULTILINE)
    assert table
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \|", table[1], re.MULTILINE)
    assert {name for name, *_ in rows} == set(providers.PROVIDERS)
    every = providers.PROVIDERS["generic"].flows
    for name, hosts, flows, redirect_uri in rows:
        known = providers.PROVIDERS[name]
        told = re.findall(r"`(.*?)`", hosts)
        assert {host if host in known.hosts else host.removeprefix("*") for host in told} <= set(known.hosts), name
        assert bool(told) == bool(known.hosts), name
        assert {host.removeprefix("*") for host in told} >= set(known.hosts[:1]), name
        assert (flows == "all") == (known.flows == every), name
        assert redirect_uri == f"`{known.redirect_uri}`" or redirect_uri.startswith("none, for a "), name


def test_every_row_of_readme_s_providers_is_a_row_of_the_table_and_a_link() -> None:
    rows = re.findall(
        r"^\| \[(.*?)\]\(docs/providers/([\w-]+)\.md\) \| `([\w-]+)` \| (.*?) \| (.*?) \| (?:.*?) \|$",
        section("Providers", README),
        re.MULTILINE,
    )
    names = [name for name in providers.PROVIDERS if name != "generic"]
    assert [name for _, _, name, *_ in rows] == [*names, "generic"]
    for title, linked, name, flows, several in rows:
        assert linked == name
        assert (several == "no") == (providers.PROVIDERS[name].other_audiences == "none"), name
        assert name == "generic" or title == providers.PROVIDERS[name].title
        [listed] = re.findall(rf"^\| `{name}` \| .*? \| (.*?) \|", page("providers/index"), re.MULTILINE)
        assert flows.partition(":")[0] == listed, name


def test_every_provider_has_a_page_and_every_page_is_a_provider_s() -> None:
    assert set(names_under("docs/providers")) == {*providers.PROVIDERS, "index"}


@pytest.mark.parametrize("name", sorted(set(providers.PROVIDERS) - {"generic"}))
def test_a_provider_s_page_has_a_profile_of_its_own(name: str) -> None:
    text = page(f"providers/{name}")
    known = providers.PROVIDERS[name]
    assert text.startswith(f"# {known.title}\n")
    for table in tomllib.loads(blocks("toml", text)[0])["profiles"].values():
        named = table.get("provider")
        issuer = table["issuer"] if named is None else "https://provider.example.com"
        profile = model.Profile(name="x", client_id="x", issuer=issuer, provider=named)
        assert providers.of(profile) is known


def test_those_that_need_no_issuer_are_named() -> None:
    told = re.search(r"((?:`[\w-]+`(?:,\s|\sand\s)?)+) need no `issuer`", page("providers/index"))
    assert told
    assert set(re.findall(r"`([\w-]+)`", told[1])) == {
        known.name for known in providers.PROVIDERS.values() if known.issuer
    }


def test_the_request_and_the_answer_of_get_are_told() -> None:
    text = page("tools/scripts")
    told = re.search(r"The request may hold (.*?) \(the SHA-256", text, re.DOTALL)
    assert told
    assert [key for key in re.findall(r"`(\w+)`", told[1]) if key not in ("access", "id")] == list(wishes.KEYS)
    [answer] = re.findall(r'`(\{"version":1,"token_type".*?\})`', text)
    credential = model.Credential(
        profile="prod",
        kind="access",
        token=model.Secret("x"),
        token_type="Bearer",
        received_at=0,
        expires_at=1893456000,
        fresh_until=None,
        scope=("a",),
    )
    mine = (
        own_json.render(Exchange(request=model.Request(tool="curl")), credential, 0.0)
        .decode()
        .replace('"x"', '"…"')
        .replace('"a"', '"…"')
    )
    assert mine == answer + "\n"
    for block in re.findall(r"echo '(.*?)'", text):
        assert own_json.read(Asked(data=block.encode())).request.profile == "prod"


@pytest.mark.parametrize("words", ["unlock the keyring", "this machine's clock is"])
def test_messages_that_are_quoted_are_said(words: str) -> None:
    assert words in page("troubleshooting")
    assert words in SOURCE


# --- the pages


def names_under(folder: str) -> list[str]:
    """Return the pages that stand in a folder, without their ending."""
    return [name.rpartition("/")[2].removesuffix(".md") for name in PAGES if name.rpartition("/")[0] == folder]


def anchors(text: str) -> set[str]:
    """Return where a link into a page may lead: its headings, as a renderer names them."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(name: str) -> list[tuple[str, str]]:
    """Return the file, from the checkout's root, and the anchor that each link of a page names."""
    found = []
    for link in re.findall(r"\]\(([^)]+)\)", prose(PAGES[name])):
        file, _, anchor = link.partition("#")
        found.append((posixpath.normpath(posixpath.join(posixpath.dirname(name), file)) if file else name, anchor))
    return found


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for file, anchor in links(name):
        assert (CHECKOUT / file).exists(), file
        assert not anchor or anchor in anchors(PAGES[file]), f"{file}#{anchor}"


def test_every_page_can_be_reached_from_readme_and_from_the_index() -> None:
    for start in ("README.md", "docs/index.md"):
        reached, ahead = {"README.md"}, [start]
        while ahead:
            name = ahead.pop()
            reached.add(name)
            if "docs/tools" in {
                file.rstrip("/") for file, _ in links(name)
            }:  # the folder: whoever opens it sees them all
                reached |= {page for page in PAGES if page.startswith("docs/tools/")}
            ahead += [file for file, _ in links(name) if file in PAGES and file not in reached]
        assert reached == set(PAGES)


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_with_its_title_and_a_sentence(name: str) -> None:
    title, nothing, sentence, *_ = PAGES[name].splitlines()
    assert title.startswith("# ")
    assert not nothing
    assert re.match(r"[A-Z`]", sentence)
    assert len(re.findall(r"^# ", prose(PAGES[name]), re.MULTILINE)) == 1


def test_every_tool_has_a_page_and_every_page_is_a_tool_s() -> None:
    assert sorted(names_under("docs/tools")) == sorted(set(TOOLS.values()))


@pytest.mark.parametrize("tool", sorted(set(TOOLS) - ON_THEIR_PAGES))
def test_readme_s_table_says_how_each_tool_is_set_up(tool: str) -> None:
    assert re.search(rf"^\|.*\(docs/tools/{TOOLS[tool]}\.md\) \|$", section("Set up", README), re.MULTILINE)


@pytest.mark.parametrize("row", [row for row in tools.TOOLS.values() if row.hosts], ids=lambda row: str(row.name))
def test_a_tool_s_page_has_its_command_and_its_key(row: tools.Tool) -> None:
    assert row.hosts is not None
    text = page(f"tools/{row.name}")
    assert re.search(rf"\b{row.hosts.key} += \[", text)
    assert "credential-helper" in text
    assert row.name in text


# --- the project


def test_the_providers_that_are_run_are_named_with_their_versions() -> None:
    """integration/providers: what was seen there is said of this version, and of no other."""
    found = {made.KEYCLOAK: "keycloak", made.HYDRA: "hydra", made.DEX: "dex"}
    for version, name in found.items():
        title = providers.PROVIDERS[name].title
        assert f"`{name}` with {title} {version}" in page("providers/index").replace("\n", " ")
        assert f"Seen with {title} {version}, which the tests run:" in page(f"providers/{name}")
        assert f"Tried with {version}: " in SOURCE


def test_what_can_be_made_can_be_made() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", "".join(blocks("sh")) + "".join(re.findall(r"`make [a-z-]+`", ALL))))
    assert named == {"demo", "test", "test-providers", "check", "bench"}
    assert named <= targets


def test_what_tests_leave_to_look_at_is_kept_by_make_and_ignored_by_git() -> None:
    """``make test`` removes build/ as soon as something has changed."""
    makefile, ignored, ci, fixture = (
        (CHECKOUT / name).read_text(encoding="utf-8")
        for name in ("Makefile", ".gitignore", ".ci/run", "integration/conftest.py")
    )
    assert re.search(r"^\trm -rf .*\bartefacts\b", makefile, re.MULTILINE)
    assert makefile.count("artefacts") == 1
    assert "/artefacts/" in ignored.splitlines()
    assert "$PWD/artefacts}" in ci
    assert 'CHECKOUT / "artefacts"' in fixture
    assert "`artefacts/`" in page("development")


def test_files_that_are_named_are_there() -> None:
    for name in ("credential_helper/broker/obtain.py", ".ci/run"):
        assert f"`{name}`" in page("development")
        assert (CHECKOUT / name).is_file()


def test_every_place_that_is_named_is_the_program_s(environ: dict[str, str]) -> None:
    files = [path for _, path in places.config_files(environ)]
    state = places.state_directory(environ)
    for path in (*files, state):
        assert path is not None
        assert f"`{path.replace(environ['HOME'], '~')}" in ALL


def test_nothing_starts_us_through_the_interpreter() -> None:
    """``python -m`` looks into the current directory first, and git runs us inside other people's checkouts."""
    assert not re.search(r"python3? -m credential_helper", ALL)
    assert "python -m credential_helper" not in (CHECKOUT / "Makefile").read_text(encoding="utf-8")
