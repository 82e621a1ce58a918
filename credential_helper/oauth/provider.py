"""A profile's provider: its profile, its row in providers.py and what it says of itself, as one object.

discovery/ asks for what it says of itself: its metadata, its keys and the names that it goes by. What follows for a
sign-in stands here: the scopes to ask for, and what its authorization endpoint wants beside the standard's parameters.
The secrets are handed in as functions, and read by whoever needs one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from credential_helper import providers
from credential_helper.errors import ConfigurationError, CredentialHelperError
from credential_helper.model import Profile, Secret
from credential_helper.oauth.discovery.cache import Cache, Documents
from credential_helper.oauth.discovery.issuer import Issuer, tenant_in
from credential_helper.oauth.discovery.keys import Keys
from credential_helper.oauth.discovery.metadata import Discovery, Metadata
from credential_helper.system.clock import Clock
from credential_helper.text import Note, silent

if TYPE_CHECKING:
    from credential_helper.transport.client import Transport


class Provider:
    """One profile's provider, for the time of one process.

    Raises ConfigurationError when the issuer or an endpoint in the profile is not one that may be used.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        transport: Transport,
        documents: Documents,
        clock: Clock,
        client_secret: Callable[[], Secret] | None = None,
        private_key: Callable[[], Secret] | None = None,
        password: Callable[[], Secret] | None = None,
        tls: Callable[[], tuple[Secret, Secret]] | None = None,
        subject: Callable[[], Secret] | None = None,
        environ: Mapping[str, str] | None = None,
        hidden: Collection[str] = (),
        note: Note = silent,
        warn: Callable[[str, str], None] | None = None,
    ) -> None:
        """``client_secret``, ``private_key`` and ``password`` are read when they are needed; None: there is none.

        ``tls`` reads the client's certificate and its key, for each handshake. ``warn`` tells a sentence and what to
        do; None: it is noted.
        ``subject`` obtains another profile's access token, to be exchanged. ``environ`` is where a platform leaves a
        job's token, and ``hidden`` are the variables that a command for it must not see.
        """
        self.profile = profile
        self.known = providers.of(profile)
        self._issuer = Issuer(profile.issuer, self.known)
        self.transport = transport
        self.clock = clock
        self.note = note
        self.client_secret = client_secret
        self.private_key = private_key
        self.password = password
        self.tls = tls
        self.warn = warn or (lambda sentence, hint: note(f"{sentence}; {hint}"))
        self.subject = subject
        self.environ: Mapping[str, str] = environ or {}
        self.hidden = hidden
        self.identified: tuple[str, Secret] | None = None  # a job's token, and what it is called; for the next request
        self.identity_sent = ""  # whom the workload identity token named that was sent last, for a hint
        self.other_account = False  # the last sign-in was somebody else's than the profile is for
        self._cache = Cache(profile, documents, clock=clock, note=note)
        self._discovery = Discovery(profile, self._issuer, transport=transport, cache=self._cache, note=note)
        self.host = self._discovery.host
        self._keys = Keys(self._discovery, transport=transport, cache=self._cache, note=note)

    def metadata(self, *, fresh: bool = False) -> Metadata:
        """Return the metadata with the profile's endpoints laid over; ``fresh`` renews what is older than 24 h.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        return self._discovery.metadata(fresh=fresh)

    def expect_token_request(self) -> None:
        """Have the connection for it opened while its sender is being loaded, where it is known whereto."""
        with contextlib.suppress(CredentialHelperError):  # told by whoever needs it
            metadata = self._discovery.known()
            if metadata is not None and self.tls is None:  # a certificate is for one host's eyes, once
                self.transport.expect(metadata.token_endpoint)

    def renew_metadata(self) -> Metadata:
        """Ask the provider, unless this process has; return what holds now.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        return self._discovery.renew()

    def keys(self) -> dict[str, object]:
        """Return the JWKS (RFC 7517 §5) as it is kept, or for lack of one asked for.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        return self._keys.key_set()

    def editions_of_keys(self, came: float, *, at_once: bool) -> Iterator[dict[str, object]]:
        """Yield the JWKS as it is kept, then newer ones, for a token that came at ``came`` and is not explained.

        ``at_once``: however short the last time is ago. The metadata are renewed on the way. Raises as ``keys`` does.
        """
        return self._keys.editions(came, at_once=at_once)

    def knows_better_than(self, came: float) -> bool:
        """Say whether keys and metadata were received after ``came``: what they do not explain is not published."""
        return self._keys.is_newer_than(came)

    def publishes_no_keys(self, came: float) -> bool:
        """Say whether metadata that were received after ``came`` name no address of keys that may be used."""
        return self._discovery.has_no("jwks_uri", came)

    @property
    def issuers(self) -> tuple[str, ...]:
        """Return what ``iss`` may be in an ID token: the document's form; without a document, both.

        One with the literal {tenantid} stands for that of each tenant, see ``is_issuer``. Raises as ``metadata`` does.
        """
        return self._discovery.issuers

    def is_issuer(self, iss: object, tid: object) -> bool:
        """Say whether an ID token with these two claims is the provider's own (OIDC Core §3.1.3.7, point 2).

        Raises as ``metadata`` does.
        """
        return self._issuer.is_one_of(self.issuers, iss, tid)

    def is_response_issuer(self, iss: str) -> bool:
        """Say whether an authorization response with this ``iss`` is the provider's own (RFC 9207 §2.4).

        Where the issuer names no tenant, any one's may stand there; the ID token says whose it is. The literal
        {tenantid} is nobody's. Raises as ``metadata`` does.
        """
        return self._issuer.is_response_name(iss) or self.is_issuer(iss, tenant_in(iss))

    def is_key_for(self, key: Mapping[str, object], iss: object, tid: object) -> bool:
        """Say whether a key (RFC 7517 §4) may sign for the issuer of an ID token with these two claims."""
        return self._issuer.is_key_for(key, iss, tid)

    def scopes(self) -> tuple[str, ...]:
        """Return the scopes to ask for: the profile's as they are, else those of the defaults that are supported.

        Where the provider takes an audience in the form of a scope, that is one of them, unless one names it already.
        Raises as ``metadata`` does, and ConfigurationError for an audience that cannot be part of a scope.
        """
        return self._plain_scopes() + self._audience_scope()

    def resources(self) -> tuple[str, ...]:
        """Return the resources that a person's sign-in asks for: also what else the profile lists, if it may."""
        profile = self.profile
        several = self.known.several_resources and profile.session_kind == "person" and profile.multi_resource != "off"
        return tuple(dict.fromkeys((*profile.resource, *(profile.other_resources if several else ()))))

    def authorization_parameters(self) -> tuple[tuple[str, str], ...]:
        """Return what this provider wants beside the standard's parameters in an authorization request.

        Where the browser may be signed in as somebody else, a person is to choose. Raises as ``metadata`` does.
        """
        own = self.known.authorization_parameters
        prompts = [value for name, value in own if name == "prompt"]
        if self.known.consent_for_offline_access and {"openid", "offline_access"} <= set(self.scopes()):
            prompts.append("consent")
        if self.other_account:
            supported = self.metadata().prompt_values_supported or self.known.prompts
            prompts.insert(0, "select_account" if "select_account" in supported else "login")
        others = tuple((name, value) for name, value in own if name != "prompt")
        return (*others, ("prompt", " ".join(prompts))) if prompts else others

    def _plain_scopes(self) -> tuple[str, ...]:
        if self.profile.scope is not None or not self.profile.scopes:
            return self.profile.scopes
        supported = self.metadata().scopes_supported
        if supported is None:
            supported = self.known.scopes_supported
        return tuple(scope for scope in self.profile.scopes if supported is None or scope in supported)

    def _audience_scope(self) -> tuple[str, ...]:
        template, audience = self.known.audience_scope, self.profile.audience
        if template is None or not audience or any(audience in scope for scope in self.profile.scope or ()):
            return ()
        if not _SCOPE.fullmatch(audience):
            raise ConfigurationError(
                f"{self.known.title} takes an audience as part of a scope, and this one has a character that none has",
                hint="check audience; a scope is printable ASCII without spaces",
            )
        return (template.format(audience=audience),)

    @property
    def authentication_worked(self) -> str | None:
        """Which of "basic" and "post" worked for this client, where it had to find out; kept with the metadata."""
        return self._cache.authentication_worked

    @authentication_worked.setter
    def authentication_worked(self, method: str | None) -> None:
        self._cache.authentication_worked = method


_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 §3.3
