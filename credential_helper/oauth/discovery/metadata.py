"""What a provider says of itself: its metadata (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).

When it is asked. A kept document serves whatever its age. A sign-in renews one that is older than 24 h, a refresh only
after an address in it failed; each at most once per process. Before an ID token is refused for what the document says,
it has to be newer than the token (keys.py). Where the profile's endpoints are all that is needed, or the provider's row
knows of no document, nothing is asked.

What it may say. The document's issuer is judged by the rules of issuer.py. The profile's own endpoints are laid over
the document's, and those of the row in providers.py stand in for what it lacks.

Addresses. Beside an https issuer, https only. An http issuer, or an http endpoint in the profile, has to be loopback,
and then every endpoint must be on that same origin. A host that is not the issuer's is allowed, and reported under
--verbose. In a document, an address that may not be used counts as absent until a request needs it, and only then is
refused (``Metadata.address``); the token endpoint is needed by each. A client that shows a certificate takes the
addresses of ``mtls_endpoint_aliases`` before those of the same name (RFC 8705 §5), under the same rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from credential_helper.errors import ConfigurationError, CredentialHelperError, TokenResponseError, TransportError
from credential_helper.flows import FLOWS
from credential_helper.oauth.discovery.cache import KEPT, Cache
from credential_helper.transport.addresses import address_problem, authority_of

if TYPE_CHECKING:
    from credential_helper.model import Profile
    from credential_helper.oauth.discovery.issuer import Issuer
    from credential_helper.text import Note
    from credential_helper.transport.answer import Answer
    from credential_helper.transport.client import Transport


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a provider's metadata that is used (RFC 8414 §2), judged."""

    issuer: str  # in the document's form
    token_endpoint: str
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None  # RFC 9126 §5
    jwks_uri: str | None = None
    scopes_supported: tuple[str, ...] | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    prompt_values_supported: tuple[str, ...] | None = None  # Initiating User Registration via OpenID Connect 1.0 §5
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    grant_types_supported: tuple[str, ...] | None = None
    dpop_signing_alg_values_supported: tuple[str, ...] | None = None  # RFC 9449 §5.1
    authorization_response_iss_parameter_supported: bool = False  # RFC 9207 §3
    require_pushed_authorization_requests: bool = False  # RFC 9126 §5
    require_signed_request_object: bool = False  # RFC 9101 §10.5
    tls_client_certificate_bound_access_tokens: bool = False  # RFC 8705 §3.3
    unusable: dict[str, str] = {}  # what is wrong with an address that counts as absent, by its member

    def address(self, member: str) -> str | None:
        """Return the address that a request needs, None where there is none.

        Raises TokenResponseError for one that may not be used.
        """
        if member in self.unusable:
            raise TokenResponseError(
                self.unusable[member], hint=f"if the provider has a good one, name it: endpoints.{ADDRESSES[member]}"
            )
        found: str | None = getattr(self, member)
        return found


# The members that are addresses, and the profile's name for an endpoint of that kind.
ADDRESSES = {
    "token_endpoint": "token",
    "authorization_endpoint": "authorization",
    "device_authorization_endpoint": "device_authorization",
    "revocation_endpoint": "revocation",
    "pushed_authorization_request_endpoint": "pushed_authorization_request",
    "jwks_uri": "jwks",
}
# Those where a client says who it is, so where it shows a certificate.
_ALIASED = (
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "pushed_authorization_request_endpoint",
)
_ALIASES = "mtls_endpoint_aliases"
_LISTS = (
    "scopes_supported",
    "id_token_signing_alg_values_supported",
    "token_endpoint_auth_methods_supported",
    "prompt_values_supported",
    "grant_types_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
)
_SWITCHES = (
    "authorization_response_iss_parameter_supported",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
    "tls_client_certificate_bound_access_tokens",
)
_MEMBERS = ("issuer", *ADDRESSES, *_LISTS, *_SWITCHES, _ALIASES)


class Discovery:
    """The metadata of a profile's provider, for the time of one process.

    Raises ConfigurationError when the issuer or an endpoint in the profile is not one that may be used.
    """

    def __init__(self, profile: Profile, issuer: Issuer, *, transport: Transport, cache: Cache, note: Note) -> None:
        self._issuer = issuer
        self._transport = transport
        self._cache = cache
        self._note = note
        self._endpoints: dict[str, str] = {
            name: url for name, url in msgspec.structs.asdict(profile.endpoints).items() if url
        }
        self._origin = _judge_profile(profile.issuer, self._endpoints)
        self._shows_certificate = profile.tls is not None
        self.host = authority_of(profile.issuer)
        # What the metadata has to tell, beside the profile's endpoints.
        self._missing = _needed(profile) - self._endpoints.keys() if issuer.known.discovery else set()
        self._metadata: Metadata | None = None
        self._made: float | None = None  # when the document in use was received; None: not by this process
        self.asked = False  # the provider, by this process
        self._looked = False  # the kept document was judged, by this process

    def metadata(self, *, fresh: bool = False) -> Metadata:
        """Return the metadata with the profile's endpoints laid over; ``fresh`` renews what is older than 24 h.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        known = self.known()
        if known is None:
            return self._discover()
        if fresh and self._missing and not self.asked and not self._cache.is_young(self._cache.metadata().made, KEPT):
            return self._discover(otherwise=known)
        return known

    def known(self) -> Metadata | None:
        """Return the metadata as far as the provider need not be asked; None: it has to be.

        Raises TokenResponseError.
        """
        if self._metadata is None and not self._missing:
            self._metadata = self._judge({"issuer": self._issuer.configured})
        elif self._metadata is None and not self._looked:
            self._looked = True
            self._metadata = self._judged_kept()
        return self._metadata

    def renew(self) -> Metadata:
        """Ask the provider, unless this process has; return what holds now.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        return self._discover() if self._missing and not self.asked else self.metadata()

    def renew_for(self, came: float, *, at_once: bool) -> Metadata:
        """Ask for a newer document, as far as the rules let it, for a token that came at ``came``.

        Returns what holds now. Raises as ``renew`` does.
        """
        renewable = self._missing and self._cache.may_be_renewed(self._received(), came, at_once=at_once)
        return self._discover() if renewable else self.metadata()

    def is_newer_than(self, moment: float) -> bool:
        """Say whether the document in use was received after ``moment``, or none is needed."""
        return not self._missing or self._cache.is_newer(self._received(), moment)

    def has_no(self, member: str, moment: float) -> bool:
        """Say whether the document in use was received after ``moment``, and has no such address that may be used."""
        known = self._metadata  # nothing is asked for here
        return known is not None and getattr(known, member) is None and self.is_newer_than(moment)

    def _received(self) -> float:
        return self._cache.metadata().made if self._made is None else self._made

    @property
    def issuers(self) -> tuple[str, ...]:
        """Return what ``iss`` may be in an ID token: the document's form; without a document, both.

        One with the literal {tenantid} stands for that of each tenant, see ``Issuer.is_one_of``. Raises as
        ``metadata`` does.
        """
        return (self.metadata().issuer,) if self._missing else self._issuer.spellings

    def _discover(self, otherwise: Metadata | None = None) -> Metadata:
        """Fetch the document, judge it and keep it; while none can be had, ``otherwise`` serves."""
        self.asked = True
        try:
            document = self._fetch()
        except CredentialHelperError as error:
            if otherwise is None:
                raise
            self._note(f"the kept metadata of {self.host} serves on: {error.sentence}")
            return otherwise
        metadata = self._judge(document)
        if metadata.issuer != self._issuer.configured:
            self._note(f"the issuer is {metadata.issuer}: {self.host} writes it so")
        self._cache.keep_document({name: document[name] for name in _MEMBERS if name in document})
        self._metadata, self._made = metadata, self._cache.now()
        return metadata

    def _fetch(self) -> dict[str, object]:
        """Return the document of the first well-known address that has one (OIDC Discovery §4.1, RFC 8414 §3.1).

        NOTE: a 404, a 5xx and an HTML page are all ways to say that nothing is there.
        """
        scheme, _, rest = self._issuer.configured.rstrip("/").partition("://")
        authority, slash, path = rest.partition("/")
        problem: CredentialHelperError | None = None
        for address in (
            f"{scheme}://{rest}/.well-known/openid-configuration",
            f"{scheme}://{authority}/.well-known/oauth-authorization-server{slash}{path}",
        ):
            answer = self._transport.get(address)
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
            self._note(f"the kept metadata cannot be used: {error.sentence}")
            return None

    def _judge(self, document: dict[str, object]) -> Metadata:
        """Return what a document says, under the rules at the head of this file.

        Raises TokenResponseError.
        """
        unusable: dict[str, str] = {}
        told: dict[str, object] = {"issuer": self._issuer.adopt(document.get("issuer")), "unusable": unusable}
        for member, name in ADDRESSES.items():
            url = self._endpoints.get(name) or self._published(document, member) or self._otherwise(name)
            if url is None:
                continue
            problem = address_problem(url, self._origin) if isinstance(url, str) else "is not a string"
            if problem is None:
                told[member] = url
                if authority_of(str(url)) != self.host:
                    self._note(f"the {member} of {self.host} is on {authority_of(str(url))}")
            else:
                unusable[member] = f"the {member} in the metadata of {self.host} {problem}"
                self._note(f"{unusable[member]}: it counts as absent")
        if "token_endpoint" not in told:
            none = f"the metadata of {self.host} names no token_endpoint"
            raise TokenResponseError(
                unusable.get("token_endpoint", none), hint="if the provider has a good one, name it: endpoints.token"
            )
        for member in _LISTS:
            value = document.get(member) or None  # an empty list says nothing: RFC 8414 §2 forbids it
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                told[member] = value
            elif value is not None:
                self._note(f"{member} in the metadata of {self.host} does not fit: dropped")
        told |= {member: document.get(member) is True for member in _SWITCHES}
        return msgspec.convert(told, Metadata)

    def _published(self, document: dict[str, object], member: str) -> object:
        """Return what the document has for a member: of this client, whether it shows a certificate or not."""
        aliases = document.get(_ALIASES) if self._shows_certificate and member in _ALIASED else None
        alias = aliases.get(member) if isinstance(aliases, dict) else None
        return alias or document.get(member)

    def _otherwise(self, name: str) -> str | None:
        """Return the address of an endpoint that this provider's document keeps to itself, where it may be used."""
        template = self._issuer.known.endpoints.get(name)
        url = None if template is None else template.format(issuer=self._issuer.base)
        return url if url is not None and address_problem(url, self._origin) is None else None


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
    flow = FLOWS.get(profile.flow)
    if flow is not None and flow.endpoint is not None:
        needed.add(flow.endpoint)
    if flow is None and not (profile.endpoints.authorization or profile.endpoints.device_authorization):
        needed |= {"authorization", "device_authorization"}
    if "openid" in profile.scopes:
        needed.add("jwks")
    return needed
