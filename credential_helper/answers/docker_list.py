"""docker's ``list``: who signs in where, without a person and without a token."""

from __future__ import annotations

from collections.abc import Sequence

from credential_helper import urls
from credential_helper.answers.call import Call
from credential_helper.answers.plain import keep_for_all, key_for_all
from credential_helper.answers.stored_passwords import DOCKER, docker_passwords
from credential_helper.app import App, write
from credential_helper.broker import freshness
from credential_helper.broker.errand import Errand
from credential_helper.broker.reach import may_be_possible
from credential_helper.broker.whereabouts import before, place_now
from credential_helper.errors import CredentialHelperError, StoreError
from credential_helper.model import Identity, Listed, Profile
from credential_helper.profiles import targets
from credential_helper.profiles.ad_hoc import ad_hoc_profile
from credential_helper.profiles.configuration import Claim
from credential_helper.profiles.matching import longest_match
from credential_helper.session import Session, place_of
from credential_helper.stores.passwords import INDEX, Passwords
from credential_helper.tools import TOOLS, docker


def answer_list(call: Call) -> int:
    """Answer user names by server; stdin is docker's word "unused", and is not read."""
    app = call.app
    owners = app.owners({})
    claims = owners.claims(TOOLS["docker"])
    passwords = docker_passwords(app)
    servers = _stored_servers(passwords, [claim.url for claim in claims]) if passwords is not None else {}
    seen = {INDEX: passwords.seen} if passwords is not None else {}  # the stamps of all that is read
    until = float("inf")
    for claim in claims:
        try:
            profile, entry = _profile_of(app, claim)
            reached = _without_a_person(app, targets.at(profile, entry), seen)
            if reached is not None:
                servers[docker.key_of(entry)] = docker.username_of(entry, reached[0])
                until = min(until, reached[1])
        except CredentialHelperError as error:  # of this server alone: its ``get`` says why
            app.note(f"{docker.key_of(Listed(url=claim.url))} is not listed: {error.sentence}")
    app.tell_troubles(TOOLS["docker"], {})
    answer = docker.render_list(servers)
    write(answer)
    if (key := key_for_all(call, b"", {})) is not None:
        keep_for_all(call, key, answer, {}, until=until, files=list(seen.items()))
    return 0


def _profile_of(app: App, claim: Claim) -> tuple[Profile, Listed]:
    """Return the profile that lists a server, and how. Raises what is wrong with it."""
    owners = app.owners({})
    if owners.configuration is not None:
        return owners.profile_of(TOOLS["docker"], claim)
    profile = ad_hoc_profile(docker.request(), {}, app.environ).profile
    return profile, next(entry for entry in profile.lists("docker") if entry.url == claim.url)


def _without_a_person(app: App, profile: Profile, seen: dict[str, str]) -> tuple[Identity | None, float] | None:
    """Return who is signed in, and until when it can be answered without a person; None: it cannot.

    Of a machine nothing is looked at: it can always be answered.
    """
    if profile.session_kind == "client":
        return None, float("inf")
    sessions, main = app.sessions(), place_of(profile)
    session: Session | None = None
    place = main
    files = (f"grants/{main.grant}.json", f"grants/{main.session}.json", f"sessions/{main.session}.json")
    seen.update({name: app.state.stamp(name) for name in files})  # before they are read
    try:
        place = place_now(sessions, profile, main)
        stored = sessions.read(place) or before(sessions, profile)[1]
        session = stored.session if stored is not None else None
    except StoreError as error:
        app.note(error.sentence)
    if session is None:
        return None
    if session.refreshable and may_be_possible(profile, session.grant, place.session, app.clock.now()):
        return session.identity, float("inf")
    request = docker.request()
    kind = Errand(profile=profile, request=request).kind
    token = freshness.token_of(session, kind)
    if token is None or not freshness.valid(session, kind, request, app.clock.now()):
        return None
    return session.identity, float("inf") if token.expires_at is None else token.expires_at


def _stored_servers(passwords: Passwords, listed: Sequence[str]) -> dict[str, str]:
    """Return the user names of all that is stored, without the servers that a profile lists: theirs is not answered."""
    names = {urls.parse_url(server).host for server in listed}

    def ours(server: str) -> bool:
        asked = urls.parse_server(server)
        if asked is None or (asked.host not in names and not docker.hub(server)):  # 500 servers are looked at
            return False
        spellings = [urls.parse_server(spelling) for spelling in docker.spellings(server)]
        return any(url is not None and longest_match(listed, url) is not None for url in spellings)

    stored = passwords.listing(DOCKER)
    return {record["server"]: record.get("username", "") for record in stored if not ours(record.get("server", ""))}
