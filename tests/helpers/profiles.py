"""Who serves a git or docker request, in the words of the tests."""

from __future__ import annotations

from collections.abc import Mapping

from credential_helper import urls
from credential_helper.answers.git import url_of
from credential_helper.model import Listed, Request
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.entries import parser_of
from credential_helper.profiles.ownership import Owners
from credential_helper.profiles.written import Written
from credential_helper.text import Note, silent
from credential_helper.tools import LISTED, TOOLS, git
from credential_helper.urls import Url


def git_url(protocol: str, host: str, path: str | None) -> Url | None:
    """Return what git asks for by these three attributes; a path of None is not sent."""
    fields = {"protocol": protocol, "host": host} | ({} if path is None else {"path": path})
    return url_of(git.Message(fields, {}))


def choose_git(
    request: Request,
    protocol: str,
    host: str,
    path: str | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    note: Note = silent,
) -> tuple[Chosen, Listed] | None:
    return Owners(flags, environ, note=note).choose(TOOLS["git"], git_url(protocol, host, path), request)


def choose_docker(
    request: Request, server: str, flags: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Chosen, Listed] | None:
    return Owners(flags, environ).choose(TOOLS["docker"], urls.parse_server(server), request)


def parse_list(key: str, written: Written) -> tuple[Listed, ...]:
    """Parse what a profile lists under a key."""
    hosts = LISTED[key].hosts
    assert hosts is not None
    return parser_of(hosts)(written)
