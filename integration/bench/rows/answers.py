"""What is answered without a provider: from a kept answer, by silence, from a session that is valid.

The provider is stopped before anything is measured, so that nothing else can have answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from integration.bench.homes import AUDIENCE, GIT_HOST, REGISTRY, Place
from integration.bench.installations import Installation
from integration.bench.measuring import Command, Failed, Run, bare, measure, true
from integration.bench.providers import Provider
from integration.bench.ratios import Ratios
from integration.bench.report import Report
from integration.bench.setting import Setting
from integration.servers.embedded_provider import MACHINE_CLIENT

SERVERS = 500  # that docker has stored
ELSEWHERE = "git.elsewhere.example"
TOKENS = ("kubectl", "git get", "docker get", "bazel get", "get", "token")  # who is given the token
NOT_FOUND = b"credentials not found in native keychain"

# What git says: of a host that it wants a password for, and of one that it has signed in to.
WANTED = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost={}\nwwwauth[]=Basic realm=x\n\n"
GIVEN = "protocol=https\nhost={}\nusername=ada\npassword=made-up\n\n"


def signed_in(setting: Setting, installation: Installation, name: str) -> tuple[Place, bytes]:
    """Return a home with a session that is valid for long, and its token; nothing answers at its provider."""
    with Provider() as provider:
        place = Place(setting.place(name), installation, provider)
        place.signed_in(provider)
        place.age(received=600, expires=3000)  # in its first minute git is answered without ``state``
        token = once(Command(place.call("token", "prod"), place.environ), place).strip()
    return place, token


def once(command: Command, place: Place) -> bytes:
    """Run a command, and return its answer."""
    done = place.launcher.run(command.words, stdin=command.tool_input, env=command.environ, timeout=60)
    if done.code != command.code:
        raise Failed(f"{command.words} ended with {done.code}: {done.stderr}")
    return done.stdout


def calls(place: Place) -> dict[str, Command]:
    """Return what tools call, and are given the token of the session."""
    request = {"version": 1, "profile": "prod"}
    return {
        "kubectl": place.kubectl(),
        "git get": Command(
            place.call("get", program="git-credential-helper"), place.as_git(), WANTED.format(GIT_HOST).encode()
        ),
        "docker get": Command(place.call("get", program="docker-credential-helper"), place.environ, REGISTRY.encode()),
        "bazel get": Command(
            place.call("bazel", "get"), place.environ, json.dumps({"uri": "https://cache.example.com/x"}).encode()
        ),
        "get": Command(place.call("get"), place.environ, json.dumps(request).encode()),
        "token": Command(place.call("token", "prod"), place.environ),
    }


def silent(place: Place) -> dict[str, Command]:
    """Return what git and docker call, and are told nothing by."""
    git = [
        ("git store", "store", GIVEN.format(GIT_HOST)),
        ("git store, not mine", "store", GIVEN.format(ELSEWHERE)),
        ("git get, not mine", "get", WANTED.format(ELSEWHERE)),
        ("git capability", "capability", ""),
    ]
    commands = {
        label: Command(place.call(word, program="git-credential-helper"), place.as_git(), given.encode())
        for label, word, given in git
    }
    docker = place.call("get", program="docker-credential-helper")
    commands["docker get, not mine"] = Command(docker, place.environ, b"registry.elsewhere.example", code=1)
    return commands


def machine(setting: Setting, installation: Installation) -> Command:
    """Return kubectl's call of a machine whose secret is in a variable, which is a hash instead of a stamp."""
    with Provider() as provider:
        place = Place(setting.place("machine"), installation, provider)
        place.configure(
            issuer=provider.issuer,
            client_id=MACHINE_CLIENT,
            client_secret={"env": "BENCH_SECRET"},
            flow="client-credentials",
            audience=AUDIENCE,
        )
        place.environ["BENCH_SECRET"] = provider.client_secret
        command = place.kubectl()
        once(command, place)
    return command


def docker_list(setting: Setting, installation: Installation) -> Command:
    """Return ``list`` where docker has stored many servers."""
    with Provider() as provider:
        place = Place(setting.place("list"), installation, provider)
    index = place.state / "passwords" / "index.json"
    index.parent.mkdir(mode=0o700, parents=True)
    place.state.chmod(0o700)
    records = [
        {
            "tool": "docker",
            "attributes": {"server": f"registry-{number}.example.com", "username": "ada"},
            "secrets": json.dumps({"password": "made-up"}),
        }
        for number in range(SERVERS)
    ]
    index.touch(0o600)
    index.write_text(json.dumps({"version": 1, "records": records}))
    storing = place.environ | {"CREDENTIAL_HELPER_PASSWORD_STORAGE": "file"}
    command = Command(place.call("list", program="docker-credential-helper"), storing)
    if len(json.loads(once(command, place))) < SERVERS:
        raise Failed("the list lacks servers")
    return command


def require(runs: Mapping[str, Run], token: bytes) -> None:
    """Raise Failed where an answer changed, or where who is given the token was not given this one."""
    for label, run in runs.items():
        answer = run.output
        if label in TOKENS and token not in answer:
            raise Failed(f"{label} gave another answer: {answer[-300:]!r}")


def in_turns(
    setting: Setting, report: Report, installation: Installation, commands: Mapping[str, Command], token: bytes = b""
) -> list[Ratios]:
    """Measure commands beside each other, and tell what each took; who is given the token has to be given this one."""
    environ = next(iter(commands.values())).environ
    every = [bare(installation.python, environ), true(environ), *commands.values()]
    runs = measure(every, setting.turns)
    require(dict(zip(commands, runs[2:], strict=True)), token)
    return report.lines([f"{label} ({installation.name})" for label in commands], runs)


def cached(setting: Setting, report: Report) -> None:
    """Measure a kept answer, for every command that a tool calls."""
    report.title("cached answer")
    for installation in setting.installations:
        place, token = signed_in(setting, installation, "cached")
        commands = calls(place)
        commands["kubectl, machine, secret in a variable"] = machine(setting, installation)
        commands[f"docker list of {SERVERS} stored servers"] = docker_list(setting, installation)
        for command in commands.values():
            once(command, place)
        found = in_turns(setting, report, installation, commands, token)
        report.keep("cached", *(one.cpu for one in found))


def silence(setting: Setting, report: Report) -> None:
    """Measure what is answered by saying nothing, or that there is nothing."""
    report.title("silence")
    for installation in setting.installations:
        place, _ = signed_in(setting, installation, "silence")
        commands = silent(place)
        for label, command in commands.items():
            answer = once(command, place)
            expected = {"git capability": b"version 0\n", "docker get, not mine": NOT_FOUND}.get(label, b"")
            if not answer.startswith(expected) or bool(answer) != bool(expected):
                raise Failed(f"{label} says {answer!r}")
        found = in_turns(setting, report, installation, commands)
        report.keep("silence", *(one.cpu for one in found))


def valid(setting: Setting, report: Report) -> None:
    """Measure an answer that is made from a session on disk, as nothing was kept that could be replayed."""
    report.title("valid session, nothing kept")
    for installation in setting.installations:
        place, token = signed_in(setting, installation, "valid")
        commands = {
            label: command._replace(prepare=place.forget_replies)
            for label, command in calls(place).items()
            if label in ("kubectl", "git get", "docker get")
        }
        found = in_turns(setting, report, installation, commands, token)
        report.keep("valid", *(one.cpu for one in found))
    listing = docker_list(setting, setting.own)
    told = listing._replace(environ={**listing.environ, "CREDENTIAL_HELPER_VERBOSE": "/dev/null"})  # is never kept
    in_turns(setting, report, setting.own, {f"docker list of {SERVERS} stored servers": told})
