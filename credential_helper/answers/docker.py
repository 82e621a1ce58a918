"""What docker, podman and skopeo ask for: ``get``, ``store``, ``erase`` and ``list``.

1. A server that a profile lists gets the profile's token. Nothing is stored for it, and ``erase`` drops its cached
   token; both say so, or nothing, and succeed.
2. Every other server is a password that docker stored: kept, answered, listed and erased as it came.
3. Who has to sign in gets docker's own words for "no credentials", and the reason on stderr: any other sentence makes
   docker drop the credentials of all servers. ``list`` names a profile's server only where nobody has to.
4. On success stderr is silent, but for the note that nothing was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import msgspec

from credential_helper import PROGRAM, __version__, broker, freshness, places, replies, urls
from credential_helper.answers import plain
from credential_helper.app import App, write
from credential_helper.errors import ConfigurationError, CredentialHelperError, StoreError
from credential_helper.model import DockerEntry, Identity, Profile, Request, Secret, session_id
from credential_helper.profiles.choose import choose, choose_docker, is_ad_hoc
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.configuration import Configuration, load, password_storage
from credential_helper.profiles.matching import longest_match, match_docker
from credential_helper.replies.keep import keep
from credential_helper.stores.passwords import INDEX, Passwords
from credential_helper.text import foreign
from credential_helper.tools import docker, wire

LARGEST = 1 << 26  # bytes of a ``store``: a secret of any length, but not an endless one


Action = Callable[[plain.Call], int]


def answer(call: plain.Call, words: Sequence[str]) -> int:
    """Answer one call; ``words`` is what follows our name. Every failure has a sentence on stdout."""
    name = _name(call)
    if len(words) != 1:
        return _said(docker.usage(name), 1)
    word = words[0]
    if word in ("--help", "-h"):
        return _said(docker.usage(name), 0)
    if word in ("version", "--version", "-v"):
        return _said(docker.version(name, PROGRAM, __version__), 0)
    if word not in ACTIONS:
        return _said(docker.unknown_action(name, word), 1)
    try:
        return ACTIONS[word](call)
    except CredentialHelperError as error:
        return _declined(call, error, *docker.decline(error))
    except Exception:
        write(b"credential-helper: a defect of ours, which stderr names\n")
        raise


def _name(call: plain.Call) -> str:
    """Return the name that we were called by: docker-credential-helper, or credential-helper docker."""
    return f"{PROGRAM} docker" if call.program == PROGRAM else call.program


def _said(answer: bytes, code: int) -> int:
    write(answer)
    return code


def _declined(call: plain.Call, error: CredentialHelperError, stdout: bytes, code: int) -> int:
    """Say docker's sentence on stdout, and to the person who may look at stderr what it is about."""
    write(stdout)
    if error.sentence not in (docker.NO_SERVER, docker.NO_USERNAME):
        call.context.terminal.error(error)
    return code


# --- the four actions -------------------------------------------------------------------------------------------------


def _get(call: plain.Call) -> int:
    data = call.read()
    server = docker.read_server(data)
    found = _profile_of(call.context, server)
    if found is None:
        return _get_stored(call.context, server)
    chosen, entry = found
    request = Request(tool="docker", target=server)
    try:
        return plain.deliver(
            call, data, chosen, request, lambda credential, _now: docker.render_token(server, entry, credential)
        )
    except CredentialHelperError as error:
        if chosen.profile.session_kind == "person" and docker.signed_out(error):
            return _declined(call, error, *docker.decline(None))
        raise


def _get_stored(context: App, server: str) -> int:
    passwords = _passwords(context)
    for key in _stored_keys(passwords, server) if passwords is not None else ():
        found = passwords.get("docker", {"server": key}) if passwords is not None else None
        if found is not None:
            secret = Secret(found.get("password", ""))
            return _said(docker.render(server, found.get("username", ""), secret), 0)
    return _said(*docker.decline(None))


def _store(call: plain.Call) -> int:
    given = docker.read_store(_read_all(call))
    context = call.context
    found = _profile_of(context, given.server)
    name = found[0].profile.name if found is not None else _another_profile(context, given.server)
    if name is not None:
        server = foreign(given.server, 200)
        context.terminal.say(f"{PROGRAM}: nothing is stored for {server}: profile {foreign(name)} signs in to it")
        return 0
    passwords = _passwords(context)
    if passwords is None:
        raise ConfigurationError(
            f'nothing is stored for {foreign(given.server, 200)}: password_storage is "off"',
            hint='set password_storage to "keyring" or "file"',
        )
    record = {"server": given.server, "username": given.username, "password": given.secret.reveal()}
    passwords.store("docker", record)
    return 0


def _erase(call: plain.Call) -> int:
    server = docker.read_server(call.read())
    context = call.context
    found = _profile_of(context, server)
    if found is not None:
        _drop_token(context, found[0].profile)
    passwords = _passwords(context)  # a password may be older than the line in the profile
    if passwords is not None:
        for key in _stored_keys(passwords, server):
            passwords.erase("docker", {"server": key})
    return 0


def _list(call: plain.Call) -> int:
    """Answer user names by server; stdin is docker's word "unused", and is not read."""
    context = call.context
    configuration = _configuration(context)
    passwords = _passwords(context, configuration)
    entries = list(_entries(context, configuration))
    servers = _stored_servers(passwords, [entry for _, entry in entries]) if passwords is not None else {}
    seen = {INDEX: passwords.seen} if passwords is not None else {}  # the stamps of all that is read
    until = float("inf")
    for find_profile, entry in entries:
        try:
            reached = _without_a_person(context, _with_entry(find_profile(), entry), seen)
            if reached is not None:
                servers[docker.key_of(entry)] = docker.username_of(entry, reached[0])
                until = min(until, reached[1])
        except CredentialHelperError as error:  # of this server alone: its ``get`` says why
            context.note(f"{docker.key_of(entry)} is not listed: {error.sentence}")
    answer = docker.render_list(servers)
    write(answer)
    _keep_list(call, answer, until, seen, configuration)
    return 0


ACTIONS: dict[str, Action] = {"get": _get, "store": _store, "erase": _erase, "list": _list}


def _read_all(call: plain.Call) -> bytes:
    """Return all of stdin, beyond what a request of ours may be long."""
    data = call.read()
    return data + replies.read_input(LARGEST) if len(data) > wire.LIMIT else data


# --- servers that a profile lists -------------------------------------------------------------------------------------


def _profile_of(context: App, server: str) -> tuple[Chosen, DockerEntry] | None:
    """Return the profile that lists a server, and how; None: not a profile's. Raises ConfigurationError."""
    request = Request(tool="docker", target=server)
    found: list[tuple[Chosen, DockerEntry]] = []
    for spelling in docker.spellings(server):
        match = choose_docker(request, spelling, {}, context.environ, note=context.note)
        if match is not None:
            found.append(match)
    names = {chosen.profile.name for chosen, _ in found}
    if len(names) > 1:
        raise ConfigurationError(
            f"Docker Hub is listed by more than one profile: {', '.join(map(foreign, sorted(names)))}",
            hint="list it once, by one of its names",
        )
    return found[0] if found else None


def _another_profile(context: App, server: str) -> str | None:
    """Return the profile that would serve, did the environment not name another one: its token is no password."""
    configuration = _configuration(context) if context.environ.get("CREDENTIAL_HELPER_PROFILE") else None
    if configuration is None:
        return None
    for spelling in docker.spellings(server):
        if match := match_docker(configuration, spelling, note=context.note):
            return match[0].name
    return None


def _configuration(context: App) -> Configuration | None:
    """Return what the config files say; None: an issuer in the environment makes the profile, and no file is read."""
    if is_ad_hoc({}, context.environ):
        return None
    return load(context.environ, note=context.note)


def _entries(context: App, configuration: Configuration | None) -> Iterator[tuple[Callable[[], Profile], DockerEntry]]:
    """Yield every server that is listed, and what judges and returns its profile."""
    if configuration is None:
        profile = choose(Request(tool="docker"), {}, context.environ, note=context.note).profile
        yield from ((lambda: profile, entry) for entry in profile.docker)
        return
    only = context.environ.get("CREDENTIAL_HELPER_PROFILE") or None
    if only is not None:
        configuration.table(only, "CREDENTIAL_HELPER_PROFILE")
    for name, entry in configuration.docker_entries():
        if only in (None, name):
            yield partial(configuration.profile, name), entry


def _with_entry(profile: Profile, entry: DockerEntry) -> Profile:
    """Return the profile with the audience and the scope that a server asks for instead of its own."""
    return msgspec.structs.replace(
        profile, audience=entry.audience or profile.audience, scope=entry.scope or profile.scope
    )


def _without_a_person(context: App, profile: Profile, seen: dict[str, str]) -> tuple[Identity | None, float] | None:
    """Return who is signed in, and until when it can be answered without a person; None: it cannot."""
    name = session_id(profile)
    try:
        stored = context.sessions().read(name)
    except StoreError as error:
        context.note(error.sentence)
        stored = None
    seen[f"sessions/{name}.json"] = stored.stamp if stored is not None else places.ABSENT
    session = stored.session if stored is not None else None
    if session is None:
        return (None, float("inf")) if profile.session_kind == "client" else None
    if profile.session_kind == "client" or session.refreshable:
        return session.identity, float("inf")
    request = Request(tool="docker")
    kind = broker.Errand(profile=profile, request=request).kind
    token = freshness.token_of(session, kind)
    if token is None or not freshness.valid(session, kind, request, context.clock.now()):
        return None
    return session.identity, float("inf") if token.expires_at is None else token.expires_at


def _drop_token(context: App, profile: Profile) -> None:
    """Drop the cached token, however young it is, and keep the refresh token: a person typed ``docker logout``."""
    try:
        broker.drop(session_id(profile), None, context.tools(profile))
    except StoreError as error:
        context.note(f"nothing is cached: {error.sentence}")


# --- stored passwords -------------------------------------------------------------------------------------------------


def _passwords(context: App, configuration: Configuration | None = None) -> Passwords | None:
    """Return where passwords are kept; None: password_storage is off. For docker ``auto`` is the keyring."""
    storage = password_storage(configuration or _configuration(context), context.environ)
    if storage == "off":
        return None
    where: Literal["keyring", "file"] = "file" if storage == "file" else "keyring"
    return Passwords(context.state, context.keyring(), storage=where, clock=context.clock, note=context.note)


def _stored_keys(passwords: Passwords, server: str) -> list[str]:
    """Return the keys under which a server may be stored, the exact one first; the Hub has several names."""
    if not docker.hub(server):
        return [server]
    others = [record["server"] for record in passwords.listing("docker") if docker.hub(record.get("server", ""))]
    return [server, *(other for other in others if other != server)]


def _stored_servers(passwords: Passwords, entries: Sequence[DockerEntry]) -> dict[str, str]:
    """Return the user names of all that is stored, without the servers that a profile lists: theirs is not answered."""
    listed = [entry.server for entry in entries]
    names = {urls.parse_url(server).host for server in listed}

    def ours(server: str) -> bool:
        asked = urls.parse_server(server)
        if asked is None or (asked.host not in names and not docker.hub(server)):  # 500 servers are looked at
            return False
        spellings = [urls.parse_server(spelling) for spelling in docker.spellings(server)]
        return any(url is not None and longest_match(listed, url) is not None for url in spellings)

    stored = passwords.listing("docker")
    return {record["server"]: record.get("username", "") for record in stored if not ours(record.get("server", ""))}


# --- the hot path -----------------------------------------------------------------------------------------------------


def _keep_list(
    call: plain.Call,
    answer: bytes,
    until: float,
    seen: dict[str, str],
    configuration: Configuration | None,
) -> None:
    """Keep a list for the next identical call; its reasons are the config files, the index and sessions."""
    context = call.context
    key = replies.request_of(call.argv, context.environ, b"")
    if key is not None and not context.verbose:
        keep(
            key,
            answer,
            until=until,
            state_files=list(seen.items()),
            config_stamps=[file.stamp for file in configuration.files] if configuration is not None else None,
            environ=context.environ,
        )
