"""What a provider says of itself: its metadata (OpenID Connect Discovery 1.0 §4, RFC 8414 §3) and its keys (RFC 7517).

Metadata. A kept document serves whatever its age. A sign-in renews one that is older than 24 h, a refresh only after
an address in it failed or its keys did not do; either asks once a process. The document's issuer must be the configured
one but for one final slash, whose form in the document is adopted; where the row in providers.py says so, it may hold
the literal {tenantid} in the place of a tenant. The profile's own endpoints are laid over, and those of the row stand
in for what the document lacks; where the profile's are all that is needed, or the row knows of no document, nothing
is asked.

Keys. Kept for 24 h; older ones serve while the provider cannot be reached. An unknown key makes them renewed: once a
process, and at most once in 5 minutes by the time on disk.

Addresses. Beside an https issuer, https only. An http issuer, or an http endpoint in the profile, has to be loopback,
and then every endpoint must be on that same origin. A host that is not the issuer's is allowed, and said under
--verbose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

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
from credential_helper.system.clock import Clock
from credential_helper.text import Note, silent
from credential_helper.transport.addresses import address_problem, authority_of, require_address

if TYPE_CHECKING:
    from credential_helper.transport.answer import Answer
    from credential_helper.transport.client import Transport

KEYS_RENEWED = 300.0  # seconds between two renewals of the keys


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a provider's metadata that is used (RFC 8414 §2), judged."""

    issuer: str  # in the document's form
    token_endpoint: str
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    jwks_uri: str | None = None
    scopes_supported: tuple[str, ...] | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool = False  # RFC 9207 §3


# The members that are addresses, and the profile's name for an endpoint of that kind.
_ADDRESSES = {
    "token_endpoint": "token",
    "authorization_endpoint": "authorization",
    "device_authorization_endpoint": "device_authorization",
    "revocation_endpoint": "revocation",
    "jwks_uri": "jwks",
}
_LISTS = ("scopes_supported", "id_token_signing_alg_values_supported", "token_endpoint_auth_methods_supported")
_ISS_PARAMETER = "authorization_response_iss_parameter_supported"
_MEMBERS = ("issuer", *_ADDRESSES, *_LISTS, _ISS_PARAMETER)

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
        self._endpoints: dict[str, str] = {
            name: url for name, url in msgspec.structs.asdict(profile.endpoints).items() if url
        }
        self._origin = _judge_profile(profile.issuer, self._endpoints)
        self.host = authority_of(profile.issuer)
        # What the metadata has to tell, beside the profile's endpoints.
        self._missing = _needed(profile) - self._endpoints.keys() if self.known.discovery else set()
        self._metadata: Metadata | None = None
        self._asked = False  # for the metadata, by this process
        self._keys: KeptKeys | None = None

    # --- metadata -----------------------------------------------------------------------------------------------------

    def metadata(self, *, fresh: bool = False) -> Metadata:
        """Return the metadata with the profile's endpoints laid over; ``fresh`` renews what is older than 24 h.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        if self._metadata is None:
            self._metadata = self._judged_kept() if self._missing else self._judge({"issuer": self.profile.issuer})
        if self._metadata is None:
            return self._discover()
        if fresh and self._missing and not self._asked and not self._cache.is_young(self._cache.metadata().made, KEPT):
            return self._discover(otherwise=self._metadata)
        return self._metadata

    def renew_metadata(self) -> Metadata:
        """Ask the provider, unless this process has; return what holds now.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        return self._discover() if self._missing and not self._asked else self.metadata()

    @property
    def issuers(self) -> tuple[str, ...]:
        """Return what ``iss`` may be in an ID token: the document's form; without a document, both.

        One with the literal {tenantid} stands for that of each tenant, see ``is_issuer``. Raises as ``metadata`` does.
        """
        return (self.metadata().issuer,) if self._missing else self._issuer.spellings

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

    def _discover(self, otherwise: Metadata | None = None) -> Metadata:
        """Fetch the document, judge it and keep it; while none can be had, ``otherwise`` serves."""
        self._asked = True
        try:
            document = self._fetch()
        except CredentialHelperError as error:
            if otherwise is None:
                raise
            self.note(f"the kept metadata of {self.host} serves on: {error.sentence}")
            return otherwise
        metadata = self._judge(document)
        if metadata.issuer != self.profile.issuer:
            self.note(f"the issuer is {metadata.issuer}: {self.host} writes it so")
        self._cache.keep_document({name: document[name] for name in _MEMBERS if name in document})
        self._metadata = metadata
        return metadata

    def _fetch(self) -> dict[str, object]:
        """Return the document of the first well-known address that has one (OIDC Discovery §4.1, RFC 8414 §3.1).

        NOTE: a 404, a 5xx and an HTML page are all ways to say that nothing is there.
        """
        scheme, _, rest = self.profile.issuer.rstrip("/").partition("://")
        authority, slash, path = rest.partition("/")
        problem: CredentialHelperError | None = None
        for address in (
            f"{scheme}://{rest}/.well-known/openid-configuration",
            f"{scheme}://{authority}/.well-known/oauth-authorization-server{slash}{path}",
        ):
            answer = self.transport.get(address)
            try:
                return self._document(answer, address)
            except (TransportError, TokenResponseError) as error:
                problem = problem or error
        assert problem is not None
        raise problem

    def _document(self, answer: Answer, address: str) -> dict[str, object]:
        answer.require_available("metadata")
        # Of the two that begin a sign-in one is enough.
        wanted = self._missing - ({"authorization"} if "device_authorization" in self._missing else set())
        endpoints = ", ".join(f"endpoints.{name}" for name in sorted(wanted))
        hint = f"is the issuer right? If it publishes no metadata, write {endpoints} into the profile"
        if not 200 <= answer.status < 300:
            raise TokenResponseError(f"{answer.host} has no metadata ({answer.status} for {address})", hint=hint)
        try:
            document = answer.json_object("metadata document")
        except TokenResponseError as error:
            raise TokenResponseError(f"{error.sentence} ({address})", hint=hint) from None
        if not isinstance(document.get("issuer"), str):
            raise TokenResponseError(f"{answer.host} has no metadata (no issuer in {address})", hint=hint)
        return document

    def _judged_kept(self) -> Metadata | None:
        document = self._cache.metadata().document
        if document is None:
            return None
        try:
            return self._judge(document)
        except TokenResponseError as error:
            self.note(f"the kept metadata cannot be used: {error.sentence}")
            return None

    def _judge(self, document: dict[str, object]) -> Metadata:
        """Return what a document says, under the rules at the head of this file.

        Raises TokenResponseError.
        """
        told: dict[str, object] = {"issuer": self._issuer.adopt(document.get("issuer"))}
        for member, name in _ADDRESSES.items():
            url = self._endpoints.get(name) or document.get(member) or self._otherwise(name)
            what = f"the {member} in the metadata of {self.host}"
            if isinstance(url, str):
                told[member] = require_address(url, issuer=self._origin, what=what)
                if authority_of(url) != self.host:
                    self.note(f"the {member} of {self.host} is on {authority_of(url)}")
            elif url is not None:
                raise TokenResponseError(f"{what} is not a string")
        if "token_endpoint" not in told:
            raise TokenResponseError(f"the metadata of {self.host} names no token_endpoint")
        for member in _LISTS:
            value = document.get(member) or None  # an empty list says nothing: RFC 8414 §2 forbids it
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                told[member] = value
            elif value is not None:
                self.note(f"{member} in the metadata of {self.host} does not fit: dropped")
        told[_ISS_PARAMETER] = document.get(_ISS_PARAMETER) is True
        return msgspec.convert(told, Metadata)

    def _otherwise(self, name: str) -> str | None:
        """Return the address of an endpoint that this provider's document keeps to itself, where it may be used."""
        template = self.known.endpoints.get(name)
        url = None if template is None else template.format(issuer=self._issuer.base)
        return url if url is not None and address_problem(url, self._origin) is None else None

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
            moved = self.renew_metadata().jwks_uri if error.stale_address and not self._asked else None
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


def _judge_profile(issuer: str, endpoints: dict[str, str]) -> str:
    """Return the address whose scheme, and for http whose origin, every endpoint must have.

    Beside http endpoints an https issuer is a name only: there is no discovery whose endpoints would pass. Raises
    ConfigurationError.
    """
    settings = {"issuer": issuer} | {f"endpoints.{name}": url for name, url in endpoints.items()}
    plain = next((url for url in settings.values() if url.startswith("http://")), None)
    for setting, url in settings.items():
        own = url if setting == "issuer" else plain or issuer
        problem = address_problem(url, own)
        if problem is None and setting == "issuer" and "?" in url:
            problem = "has a query (?…)"  # RFC 8414 §2
        if problem is not None:
            raise ConfigurationError(f"{setting} {problem}")
    return plain or issuer


def _needed(profile: Profile) -> set[str]:
    """Return the endpoints that the profile cannot do without; of "auto" one flow's will do."""
    needed = {"token"}
    if profile.flow == "device":
        needed.add("device_authorization")
    if profile.flow == "authorization-code":
        needed.add("authorization")
    if profile.flow == "auto" and not (profile.endpoints.authorization or profile.endpoints.device_authorization):
        needed |= {"authorization", "device_authorization"}
    if "openid" in profile.scopes:
        needed.add("jwks")
    return needed


_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 §3.3


def _key_set(kept: KeptKeys) -> dict[str, object]:
    return {"keys": kept.keys}
