"""A profile's provider, as its row in providers.py, its profile and its own word describe it.

What it says of itself is asked in discovery/: its metadata and the names it goes by. What follows from that for a
sign-in stands here: the scopes to ask for, and what its authorization endpoint wants beside the standard's parameters.
The client's secrets are handed in as functions, and read by whoever needs one.

Keys. Kept for 24 h; older ones serve while the provider cannot be reached. An unknown key makes them renewed: once per
process, and at most once in 5 minutes by the time on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from credential_helper import providers
from credential_helper.errors import (
    ConfigurationError,
    CredentialHelperError,
    TokenResponseError,
    TransportError,
)
from credential_helper.model import Profile, Secret
from credential_helper.oauth.discovery.cache import KEPT, Cache, Documents, KeptKeys
from credential_helper.oauth.discovery.issuer import Issuer, tenant_in
from credential_helper.oauth.discovery.metadata import Discovery, Metadata
from credential_helper.system.clock import Clock
from credential_helper.text import Note, silent

if TYPE_CHECKING:
    from credential_helper.transport.client import Transport

KEYS_RENEWED = 300.0  # seconds between two renewals of the keys


# The members of a JWK that are used; a symmetric or private one is never kept (RFC 7517 §4, RFC 7518 §6). ``issuer`` is
# Entra's own: the tenants that the key may sign for.
_KEY_MEMBERS = ("kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y", "issuer")


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
        note: Note = silent,
    ) -> None:
        """``client_secret``, ``private_key`` and ``password`` are read when they are needed; None: there is none."""
        self.profile = profile
        self.known = providers.of(profile)
        self._issuer = Issuer(profile.issuer, self.known)
        self.transport = transport
        self.clock = clock
        self.note = note
        self.client_secret = client_secret
        self.private_key = private_key
        self.password = password
        self.keys_are_new = False  # fetched by this process: a key that is not among them is not published
        self._cache = Cache(profile, documents, clock=clock, note=note)
        self._discovery = Discovery(profile, self._issuer, transport=transport, cache=self._cache, note=note)
        self.host = self._discovery.host
        self._keys: KeptKeys | None = None

    # --- metadata -----------------------------------------------------------------------------------------------------

    def metadata(self, *, fresh: bool = False) -> Metadata:
        """Return the metadata with the profile's endpoints laid over; ``fresh`` renews what is older than 24 h.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        return self._discovery.metadata(fresh=fresh)

    def renew_metadata(self) -> Metadata:
        """Ask the provider, unless this process has; return what holds now.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        return self._discovery.renew()

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

    def authorization_parameters(self) -> tuple[tuple[str, str], ...]:
        """Return what this provider wants beside the standard's parameters in an authorization request.

        Raises as ``metadata`` does.
        """
        if self.known.consent_for_offline_access and {"openid", "offline_access"} <= set(self.scopes()):
            return (*self.known.authorization_parameters, ("prompt", "consent"))
        return self.known.authorization_parameters

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

    # --- keys ---------------------------------------------------------------------------------------------------------

    def keys(self, *, renew: bool = False) -> dict[str, object]:
        """Return the JWKS (RFC 7517 §5); ``renew`` asks for a new one as far as the rules let it.

        ``keys_are_new`` says afterwards whether this process has fetched it. Raises TransportError, RateLimited,
        TokenResponseError.
        """
        jwks_uri = self.metadata(fresh=renew).jwks_uri  # old keys may go on at an address that was left
        if jwks_uri is None:
            raise TokenResponseError(
                f"{self.host} publishes no keys (no jwks_uri in its metadata)", hint="endpoints.jwks can name them"
            )
        if self._keys is None:
            self._keys = self._cache.keys()
        kept = self._keys
        if kept is None or kept.jwks_uri != jwks_uri:
            return _key_set(self._renew_keys(jwks_uri))
        if self.keys_are_new or self._cache.is_young(kept.made, KEYS_RENEWED if renew else KEPT):
            return _key_set(kept)
        try:
            return _key_set(self._renew_keys(jwks_uri))
        except CredentialHelperError as error:
            if renew:
                raise
            self.note(f"the kept keys of {self.host} serve on: {error.sentence}")
            return _key_set(kept)

    def _renew_keys(self, jwks_uri: str) -> KeptKeys:
        try:
            keys = self._fetch_keys(jwks_uri)
        except TransportError as error:
            moved = self.renew_metadata().jwks_uri if error.stale_address and not self._discovery.asked else None
            if moved is None or moved == jwks_uri:
                raise
            jwks_uri, keys = moved, self._fetch_keys(moved)
        self._keys = self._cache.keep_keys(keys, jwks_uri=jwks_uri)
        self.keys_are_new = True
        return self._keys

    def _fetch_keys(self, jwks_uri: str) -> list[dict[str, object]]:
        answer = self.transport.get(jwks_uri)
        answer.require_available("keys")
        if not 200 <= answer.status < 300:
            raise TransportError(
                f"{answer.host} answered {answer.status} where its keys were expected",
                stale_address=answer.status == 404,
            )
        keys = answer.json_object("key set").get("keys")
        if not isinstance(keys, list):
            raise TokenResponseError(f"{answer.host} answered without keys where a key set was expected")
        return [
            {name: key[name] for name in _KEY_MEMBERS if name in key}
            for key in keys
            if isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP")
        ]


_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 §3.3


def _key_set(kept: KeptKeys) -> dict[str, object]:
    return {"keys": kept.keys}
