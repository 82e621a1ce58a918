"""Another profile's token, for a profile that exchanges it (``subject = { profile = "NAME" }``).

One may name the next, so what is under way is kept, and a circle is told as one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from credential_helper import PROGRAM
from credential_helper.errors import ConfigurationError, StoreError
from credential_helper.model import Profile, Request, Secret
from credential_helper.text import Note

if TYPE_CHECKING:
    from credential_helper.broker.errand import Means, Obtained
    from credential_helper.profiles.chosen import Chosen


class Subjects:
    """The profiles that one run asks for a token on behalf of others."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        means: Callable[[Profile], Means],
        obtain: Callable[[Chosen, Request], Obtained],
        note: Note,
    ) -> None:
        self._environ = environ
        self._means = means
        self._obtain = obtain
        self._note = note
        self._errands: tuple[tuple[str, Request], ...] = ()  # under way: the profile, for which request
        self._told_apart: tuple[str, ...] = ()  # whose sign-ins are being told apart

    @contextmanager
    def under_way(self, name: str, request: Request) -> Iterator[None]:
        """Say that a profile is being served: it may need the token of another one."""
        before, self._errands = self._errands, (*self._errands, (name, request))
        try:
            yield
        finally:
            self._errands = before

    def token(self, name: str) -> Secret:
        """Return a profile's access token. Raises ConfigurationError for a circle, and what obtaining it does."""
        names = [one for one, _ in self._errands]
        if name in names:
            circle = " → ".join((*names[names.index(name) :], name))
            raise ConfigurationError(
                f"the profiles exchange each other's tokens in a circle: {circle}",
                hint="have the last one sign in by itself",
            )
        asked = Request(tool=PROGRAM, token="access")
        if self._errands:  # whoever has to be asked is asked for the same tool
            asked = Request(tool=self._errands[-1][1].tool, manners=self._errands[-1][1].manners, token="access")
        chosen = self._chosen(name, asked)
        self._note(f"the token of profile {name} is to be exchanged")
        return self._obtain(chosen, asked).credential.token

    def signed_in(self, name: str) -> str:
        """Return what tells the sign-in of a profile from its next one; where nobody is signed in, what nothing is."""
        from credential_helper.broker.whereabouts import place_now
        from credential_helper.session import place_of

        profile = self._chosen(name, Request(tool=PROGRAM, token="access")).profile
        if name in self._told_apart:  # a circle, which is refused once a token is asked for
            return name
        means = self._means(profile)
        self._told_apart = (*self._told_apart, name)
        try:
            main = place_of(profile, means.proof(profile))
        finally:
            self._told_apart = self._told_apart[:-1]
        if profile.session_kind == "client":
            return main.session
        try:
            grant = means.sessions.grants.standing(place_now(means.sessions, profile, main).grant)
        except StoreError:
            grant = None
        return grant.sign_in if grant is not None else os.urandom(16).hex()

    def _chosen(self, name: str, asked: Request) -> Chosen:
        """Choose the profile that ``subject`` names. Raises ConfigurationError where there is none."""
        from credential_helper.profiles.choose import named
        from credential_helper.profiles.configuration import load

        configuration = load(self._environ, note=self._note)
        configuration.table(name, "subject")
        return named(configuration, name, asked, {}, self._environ)
