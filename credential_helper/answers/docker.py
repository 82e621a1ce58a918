"""What docker, podman and skopeo ask for: ``get``, ``store``, ``erase`` and ``list``.

1. A server that a profile lists gets the profile's token. Nothing is stored for it, and ``erase`` drops its cached
   token; both say so, or nothing, and succeed.
2. Every other server is a password that docker stored: kept, answered, listed and erased as it came.
3. Who has to sign in gets docker's own words for "no credentials", and the reason on stderr: any other sentence makes
   docker drop the credentials of all servers. ``list`` names a profile's server only where nobody has to.
4. On success stderr is silent, but for the note that nothing was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from credential_helper import PROGRAM, __version__, urls
from credential_helper.answers import plain
from credential_helper.answers.call import Call
from credential_helper.app import App, write
from credential_helper.errors import ConfigurationError, CredentialHelperError, StoreError
from credential_helper.model import Credential, Listed, Profile, Secret
from credential_helper.profiles.chosen import Chosen
from credential_helper.text import foreign
from credential_helper.tools import TOOLS, Tool, docker

if TYPE_CHECKING:
    from credential_helper.stores.passwords import Passwords  # a server of ours has none

Action = Callable[[Call], int]


def answer(call: Call, _row: Tool, words: Sequence[str]) -> int:
    """Answer one call; ``words`` is what follows our name. Every failure has a sentence on stdout."""
    name = _name(call)
    if "--help" in words or "-h" in words:
        return _said(docker.usage(name), 0)
    if len(words) != 1:
        return _said(docker.usage(name), 1)
    word = words[0]
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


def _name(call: Call) -> str:
    """Return the name that we were called by: docker-credential-helper, or credential-helper docker."""
    return f"{PROGRAM} docker" if call.program == PROGRAM else call.program


def _said(answer: bytes, code: int) -> int:
    write(answer)
    return code


def _declined(call: Call, error: CredentialHelperError, stdout: bytes, code: int) -> int:
    """Say docker's sentence on stdout, and to the person who may look at stderr what it is about."""
    write(stdout)
    if error.sentence not in (docker.NO_SERVER, docker.NO_USERNAME):
        call.app.terminal.error(error)
    return code


# --- the four actions -------------------------------------------------------------------------------------------------


def _get(call: Call) -> int:
    data = call.read()
    server = docker.read_server(data)
    found = _profile_of(call.app, server)
    if found is None:
        call.app.tell_troubles(TOOLS["docker"], {})
        return _get_stored(call, data, server)
    chosen, entry = found

    def render(credential: Credential, _now: float) -> bytes:
        return docker.render_token(server, entry, credential)

    try:
        return plain.deliver(call, data, chosen, docker.request(server), render)
    except CredentialHelperError as error:
        if chosen.profile.session_kind == "person" and docker.signed_out(error):
            return _declined(call, error, *docker.decline(None))
        raise


def _get_stored(call: Call, data: bytes, server: str) -> int:
    """Answer a stored password. What goes wrong is told, and docker goes on without: the server is not ours."""
    from credential_helper.answers.stored_passwords import DOCKER, docker_passwords
    from credential_helper.stores.passwords import INDEX

    files: list[tuple[str, str]] | None = []  # that "not found" stands on; None: it is not to be repeated
    found = None
    try:
        passwords = docker_passwords(call.app)
        if passwords is not None:
            keys = _stored_keys(passwords, server)
            found = next((one for key in keys if (one := passwords.get(DOCKER, {"server": key})) is not None), None)
            held = any(passwords.holds(DOCKER, {"server": key}) for key in keys)
            files = None if held else [(INDEX, passwords.seen)]
    except CredentialHelperError as error:
        return _declined(call, error, *docker.decline(None))
    if found is None:
        answer, code = docker.decline(None)
        write(answer)
        if files is not None and b"@" not in data:  # who pastes a URL may paste a password in it
            plain.keep_silence(call, TOOLS["docker"], data, {}, answer=answer, code=code, files=files)
        return code
    secret = call.app.shown(Secret(found.get("password", "")))
    return _said(docker.render(server, found.get("username", ""), secret), 0)


def _store(call: Call) -> int:
    from credential_helper.answers.stored_passwords import DOCKER, another_profile, docker_passwords

    given = docker.read_store(call.read(docker.LARGEST))
    app = call.app
    found = _profile_of(app, given.server)
    name = found[0].profile.name if found is not None else another_profile(app, given.server)
    if name is not None:
        server = foreign(given.server, 200)
        app.terminal.say(f"{PROGRAM}: nothing is stored for {server}: profile {foreign(name)} signs in to it")
        return 0
    app.tell_troubles(TOOLS["docker"], {})
    passwords = docker_passwords(app)
    if passwords is None:
        raise ConfigurationError(
            f'nothing is stored for {foreign(given.server, 200)}: password_storage is "off"',
            hint='set password_storage to "keyring" or "file"',
        )
    record = {"server": given.server, "username": given.username, "password": given.secret.reveal()}
    passwords.store(DOCKER, record)
    return 0


def _erase(call: Call) -> int:
    from credential_helper.answers.stored_passwords import DOCKER, docker_passwords

    server = docker.read_server(call.read())
    app = call.app
    found = _profile_of(app, server)
    if found is not None:
        _drop_token(app, found[0].profile)
    passwords = docker_passwords(app)  # a password may be older than the line in the profile
    if passwords is not None:
        for key in _stored_keys(passwords, server):
            passwords.erase(DOCKER, {"server": key})
    return 0


def _list(call: Call) -> int:
    from credential_helper.answers.docker_list import answer_list

    return answer_list(call)


ACTIONS: dict[str, Action] = {"get": _get, "store": _store, "erase": _erase, "list": _list}


# --- servers that a profile lists -------------------------------------------------------------------------------------


def _profile_of(app: App, server: str) -> tuple[Chosen, Listed] | None:
    """Return the profile that lists a server, and how; None: not a profile's. Raises what is wrong with that one."""
    request = docker.request(server)
    found: list[tuple[Chosen, Listed]] = []
    for spelling in docker.spellings(server):
        match = app.owners({}).choose(TOOLS["docker"], urls.parse_server(spelling), request)
        if match is not None:
            found.append(match)
    names = {chosen.profile.name for chosen, _ in found}
    if len(names) > 1:
        raise ConfigurationError(
            f"Docker Hub is listed by more than one profile: {', '.join(map(foreign, sorted(names)))}",
            hint="list it once, by one of its names",
        )
    return found[0] if found else None


def _drop_token(app: App, profile: Profile) -> None:
    """Drop the cached token, however young it is, and keep the refresh token: a person typed ``docker logout``."""
    from credential_helper.broker.forget import drop  # and all of oauth

    try:
        drop(profile, None, app.means(profile))
    except StoreError as error:
        app.note(f"nothing is cached: {error.sentence}")


# --- stored passwords -------------------------------------------------------------------------------------------------


def _stored_keys(passwords: Passwords, server: str) -> list[str]:
    """Return the keys under which a server may be stored, the exact one first; the Hub has several names."""
    if not docker.hub(server):
        return [server]
    from credential_helper.answers.stored_passwords import DOCKER

    others = [record["server"] for record in passwords.listing(DOCKER) if docker.hub(record.get("server", ""))]
    return [server, *(other for other in others if other != server)]
