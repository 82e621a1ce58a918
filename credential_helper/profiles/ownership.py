"""Whose host it is: found out by a small reading of the lists of hosts, which nothing else can spoil.

- What cannot be read, parsed or understood owns nothing, and stops nobody: a file that others may write, a typing error
  in another profile, a name that no profile has. It is in ``troubles``, to be told where a person looks.
- Only when somebody's it is, that profile is judged as a whole, and its owner pays for a mistake in it.
- A profile that is named narrows to its own hosts. A flag narrows what a profile lists, and never widens it; only
  where a flag names the issuer, and so makes the profile, its list is the flag's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from credential_helper import PROGRAM
from credential_helper.errors import ConfigurationError, CredentialHelperError
from credential_helper.model import Listed, Profile, Request
from credential_helper.profiles.ad_hoc import ad_hoc_profile, list_of
from credential_helper.profiles.choose import named, selected
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.configuration import Claim, Configuration, read
from credential_helper.profiles.entries import parser_of, urls_in
from credential_helper.profiles.leave import made_by_flags
from credential_helper.profiles.matching import longest_match
from credential_helper.profiles.written import Origin, Written
from credential_helper.text import Note, foreign, silent
from credential_helper.tools import Tool
from credential_helper.urls import DEFAULT_PORTS, Url, parse_url

Storage = Literal["auto", "keyring", "file", "off"]

_STORAGE = "CREDENTIAL_HELPER_PASSWORD_STORAGE"
_NAMED = 5  # URLs that a line of --verbose names


class Owners:
    """Who owns which host, by the config files, flags and variables of one run."""

    def __init__(self, flags: Mapping[str, object], environ: Mapping[str, str], *, note: Note = silent) -> None:
        self.configuration: Configuration | None = None  # None: an issuer makes the profile, and no file is read
        self._flags = flags
        self._environ = environ
        self._note = note
        self._errors: list[CredentialHelperError] = []  # what is wrong with what names the profile
        self._told = False
        self._only: str | None = None  # the profile that is named; empty: nobody, as what names it is wrong
        how, name, named_by = "default", "", ""
        try:
            how, name, named_by = selected(Request(tool=PROGRAM), flags, environ)
        except CredentialHelperError as error:
            self._only = ""
            self._errors.append(error)
        if how == "issuer":
            return
        self.configuration = read(environ, note=note)
        if how == "profile":
            self._only = name
            try:
                self.configuration.table(name, named_by)
            except CredentialHelperError as error:
                self._errors.append(error)

    # --- whose it is

    def choose(self, tool: Tool, asked: Url | None, request: Request) -> tuple[Chosen, Listed] | None:
        """Return the profile that lists what a tool asks for, and how; None: not mine.

        ``asked`` None: what it asks for is no address. Raises what is wrong with the profile whose it is.
        """
        claim = self._owner(tool, asked)
        if claim is None:
            self._say_who_lists_what(tool, asked)
            return None
        if self.configuration is None:
            chosen = ad_hoc_profile(request, self._flags, self._environ)
            return chosen, _entry(chosen.profile, tool, claim.url)
        _, entry = self.profile_of(tool, claim)
        return named(self.configuration, claim.profile, request, self._flags, self._environ, entry), entry

    def claims(self, tool: Tool) -> list[Claim]:
        """Return every URL that is listed for a tool by whoever may serve in this run."""
        if self.configuration is None:
            return [Claim(profile="", url=url) for url in _urls(list_of(tool, self._flags, self._environ), tool)]
        return [claim for claim in self.configuration.claims(tool) if self._only in (None, claim.profile)]

    def profile_of(self, tool: Tool, claim: Claim) -> tuple[Profile, Listed]:
        """Return the profile of a claim of the files, judged as a whole, and its entry. Raises ConfigurationError."""
        assert self.configuration is not None
        if sum(1 for one in self.claims(tool) if one.url == claim.url) > 1:
            raise self.configuration.listed_twice(tool, claim.url)
        profile = self.configuration.profile(claim.profile)
        return profile, _entry(profile, tool, claim.url)

    def lister(self, tool: Tool, asked: Url | None) -> str | None:
        """Return the profile of the files that lists what a tool asks for, though it may not serve in this run."""
        claim = _longest(self.configuration.claims(tool), asked) if self.configuration is not None else None
        return None if claim is None else claim.profile

    def _owner(self, tool: Tool, asked: Url | None) -> Claim | None:
        """Return whose it is; a flag's list narrows the profile's, unless the flags make that profile."""
        assert tool.hosts is not None
        key, claims = tool.hosts.key, self.claims(tool)
        if key in self._flags and not (self.configuration is None and made_by_flags(self._flags)):
            flagged = [Claim(profile="", url=url) for url in _urls(self._flags[key], tool)]
            if _longest(flagged, asked) is None:
                return None
        return _longest(claims, asked)

    # --- what is wrong

    def troubles(self, tool: Tool) -> list[CredentialHelperError]:
        """Return what is wrong with the lists for a tool, and with all that stands before them: it owns nothing."""
        assert tool.hosts is not None
        errors = list(self._errors)
        try:
            self._storage()
        except CredentialHelperError as error:
            errors.append(error)
        if self.configuration is not None:
            errors += [*self.configuration.errors, *self.configuration.passed_over]
            errors += self.configuration.listing_errors(tool)
        else:
            try:
                parser_of(tool.hosts)(_written(list_of(tool, self._flags, self._environ), tool))
            except CredentialHelperError as error:
                errors.append(error)
        return errors

    def _say_who_lists_what(self, tool: Tool, asked: Url | None) -> None:
        """Tell once under --verbose why nobody's it is: another port, say, or another spelling."""
        if asked is None or self._told:
            return
        self._told = True
        claims = self.claims(tool)
        lists: dict[str, list[str]] = {}
        for claim in claims:
            lists.setdefault(claim.profile or "the issuer's profile", []).append(_plain(parse_url(claim.url)))
        said = [
            f"{foreign(name)} lists {', '.join(urls[:_NAMED])}{' …' if len(urls) > _NAMED else ''}"
            for name, urls in lists.items()
        ]
        self._note("; ".join([f"no profile lists {_plain(asked)}", *said]))
        for claim in claims:
            if not asked.path and claim.url.startswith(f"{asked.origin}/"):
                self._note(
                    f"{foreign(claim.url)} is listed with a path, which git sends with credential.useHttpPath only"
                )

    # --- passwords of hosts that no profile lists

    @property
    def password_storage(self) -> Storage:
        """Say where passwords of hosts that no profile lists are kept; what is no such place counts as not said."""
        try:
            return self._storage()
        except ConfigurationError:
            return "auto"

    def _storage(self) -> Storage:
        said = self._environ.get(_STORAGE, "").strip().lower()
        if said not in ("", "auto", "keyring", "file", "off"):
            raise ConfigurationError(f'{_STORAGE} is "{foreign(said, 40)}", which is none of auto, keyring, file, off')
        said = said or (self.configuration.password_storage if self.configuration is not None else "auto")
        return cast(Storage, said)


def _longest(claims: Sequence[Claim], asked: Url | None) -> Claim | None:
    found = None if asked is None else longest_match([claim.url for claim in claims], asked)
    return None if found is None else claims[found]


def _entry(profile: Profile, tool: Tool, url: str) -> Listed:
    assert tool.hosts is not None
    return next(entry for entry in profile.lists(tool.hosts.key) if entry.url == url)


def _written(listed: object, tool: Tool) -> Written:
    assert tool.hosts is not None
    return Written(listed, f"--{tool.hosts.key}", Origin(kind="flag"))


def _urls(listed: object, tool: Tool) -> list[str]:
    assert tool.hosts is not None
    return urls_in(_written(listed, tool), tool.hosts)


def _plain(url: Url) -> str:
    """Return a URL as a person writes it: without its scheme's own port."""
    port = "" if url.port == DEFAULT_PORTS[url.scheme] else f":{url.port}"
    return foreign(f"{url.scheme}://{url.host}{port}" + (f"/{url.path}" if url.path else ""))
