"""The values that are handed from one module to the next: small, immutable, on the ground with ``flows``.

Times are seconds since the epoch (float), durations are seconds. None means "absent" or "unknown", never "empty".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NoReturn

import msgspec

from credential_helper import light
from credential_helper.flows import FLOWS
from credential_helper.workloads import Workload

TokenKind = Literal["access", "id"]
SessionKind = Literal["person", "client"]  # who the provider knows: a person, or a client acting for itself


class Secret:
    """A string that prints as stars; ``reveal()`` unwraps it, so that one grep lists every place that does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the string itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, format_spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        import hmac  # brings hashlib, 2.5 ms, and few processes compare secrets

        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(*(one._value.encode(errors="surrogatepass") for one in (self, other)))  # PEP 383

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


# --- what is asked ----------------------------------------------------------------------------------------------------


Run = Callable[[Sequence[str]], str | None]  # runs a command of the tool's; what it wrote, None where it failed


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool behaves, as far as it matters to whoever serves it; the defaults are those of a plain one."""

    token: TokenKind = "access"  # what it gets where neither it nor the profile says, of a person without an audience
    warns: bool = True  # False: it shows stderr over and over, or draws over it; a warning is for --verbose then
    repeats: bool = False  # it calls several times in a row: one sentence is enough
    asks: Literal["terminal", "always"] = "terminal"  # always: a person is asked only where the profile says so
    says_no: Callable[[Mapping[str, str], Run], str | None] | None = None  # why nobody is to be asked, by its own word
    patience: float | None = None  # seconds of a sign-in after which it complains, though it goes on
    complaint: str = ""  # what it says then
    deadline: float | None = None  # seconds after which it gives us up: for locks and networks
    written: str = "the request's {key}"  # where a person writes what it asks for


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool asked for, whatever its protocol. None leaves the answer to the profile."""

    tool: str  # the word for it in a prompt: kubectl, git, docker, or credential-helper itself
    manners: Manners = Manners()
    target: str | None = None  # the resource that the token is for, where known: https://kubernetes.example.com:6443
    profile: str | None = None  # spec.cluster.config.profile, or "profile" of our JSON
    audience: str | None = None
    resource: tuple[str, ...] | None = None
    scope: tuple[str, ...] | None = None
    token: TokenKind | None = None
    minimum_validity: float = 0.0
    refused: str | None = None  # SHA-256 of a token that was rejected: lower-case hex, the first 16 digits will do


# --- who is asked, and how --------------------------------------------------------------------------------------------

SECRET_NAME = r"[A-Za-z0-9._-]{1,100}"  # of a secret in the keyring, as a regular expression


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a secret is read from, when it is needed; never the secret itself."""

    kind: Literal["env", "file", "command", "keyring"]
    value: tuple[str, ...]  # one item: a variable's name or an absolute path; a command's words
    origin: str  # where this was written, for messages: "/etc/…/config.toml: profiles.prod.client_secret"
    public: bool = False  # a certificate: no secret
    may_be_empty: bool = False  # a client's, whose method is written: Cloud Foundry's UAA knows an empty one


class PrivateKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key that a client signs its assertions with (RFC 7523 §2.2, OIDC Core §9), and what they say."""

    source: Source  # of a PEM or a JWK
    kid: str | None = None  # None: the JWK's own, if it has one
    algorithm: str | None = None  # RS256 …, see private_keys; None: the JWK's own, or the key's
    certificate: str | None = None  # absolute path of a PEM; None: the provider knows the key without it
    audience: str | None = None  # None: what this provider wants


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoint addresses that override or replace discovery."""

    authorization: str | None = None
    token: str | None = None
    device_authorization: str | None = None
    revocation: str | None = None
    jwks: str | None = None
    pushed_authorization_request: str | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A URL or server that a profile lists for a tool."""

    url: str  # normalised: scheme://host:port/path without a final slash
    username: str = ""  # what the answer says, ``{claim}`` replaced by what the ID token says
    scheme: Literal["auto", "basic", "bearer"] = "auto"  # how the token goes out (RFC 9110 §11.1)
    audience: str | None = None  # instead of the profile's audience and resource
    resource: tuple[str, ...] | None = None  # instead of the profile's audience and resource
    scope: tuple[str, ...] | None = None  # instead of the profile's


class SharedCache(msgspec.Struct, frozen=True, kw_only=True):
    """The server where the machines of a fleet share their tokens."""

    scheme: Literal["rediss", "redis", "unix"]  # TLS; none, on loopback; a socket's file
    host: str = ""  # without brackets
    port: int = 6379
    path: str = ""  # absolute, of a socket
    database: int = 0
    user: str | None = None

    @property
    def shown(self) -> str:
        """Return its address, as a message has it and as it is told from another one; no secret is in it."""
        user = f"{self.user}@" if self.user else ""
        if self.scheme == "unix":
            return f"unix://{user}{self.path}" + (f"?db={self.database}" if self.database else "")
        return f"{self.scheme}://{user}{self.place}/{self.database}"

    @property
    def place(self) -> str:
        """Return where it is, in short."""
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one provider, one client and one kind of token; whole from one place (file, or flags)."""

    name: str  # the table's name, or HOST/CLIENT_ID for an ad-hoc profile
    ad_hoc: bool = False
    issuer: str
    client_id: str
    flow: str = "auto"  # a name of flows.FLOWS, or auto
    audience: str | None = None
    resource: tuple[str, ...] = ()
    scope: tuple[str, ...] | None = None  # None: the default of the flow
    other_resources: tuple[str, ...] = ()  # those of what it lists: a sign-in asks for them, too (RFC 8707)
    multi_resource: Literal["auto", "refresh", "exchange", "off"] = "auto"  # how one sign-in serves several audiences
    token: Literal["auto", "access", "id"] = "auto"
    account: str | None = None
    interactive: Literal["auto", "always", "never"] = "auto"
    store: Literal["auto", "keyring", "file", "none"] = "auto"
    renew: Literal["auto", "ahead", "on-demand"] = "auto"  # before a token's time has passed, or when one is asked for
    ca_file: str | None = None  # absolute
    parameters: tuple[tuple[str, str], ...] = ()
    endpoints: Endpoints = Endpoints()
    client_authentication: str = "auto"  # a name of flows.CLIENT_AUTHENTICATION, or auto
    client_secret: Source | None = None
    private_key: PrivateKey | None = None
    tls: tuple[Source, Source] | None = None  # the certificate that the client shows (RFC 8705 §2), and its key; PEM
    workload: Workload | None = None  # where the token of the job is that we are part of
    subject: str | None = None  # of the flow token-exchange: the name of a profile whose access token is exchanged
    subject_token_type: str | None = None  # a URI (RFC 8693 §3); None: what the provider wants
    provider: str | None = None  # a name of providers.PROVIDERS; None: whoever the issuer's host is known to be
    redirect_uri: str | None = None  # on loopback; without a port any free one; None: the provider's default
    redirect_certificate: str | None = None  # absolute path of a PEM, where redirect_uri is https
    redirect_private_key: Source | None = None  # that certificate's, a file
    pushed_authorization_requests: bool = False  # also where the provider's metadata do not demand it (RFC 9126)
    legacy: bool = False  # allows the password flow
    realm: str | None = None  # Auth0's connection, of the password flow
    password: Source | None = None  # of the password flow, unattended
    shared_cache: SharedCache | None = None  # of a machine: where its fleet shares tokens
    shared_cache_password: Source | None = None  # that server's
    cache_key: Source | None = None  # what the machines of the fleet have in common, beside or instead of a secret
    listed: tuple[tuple[str, tuple[Listed, ...]], ...] = ()  # by the key of the profile: whose requests it serves
    origins: tuple[tuple[str, str], ...] = ()  # (setting, where it came from), for status --verbose

    def lists(self, key: str) -> tuple[Listed, ...]:
        """Return what is listed under a key; empty: nothing, or the key is not there."""
        return dict(self.listed).get(key, ())

    @property
    def session_kind(self) -> SessionKind:
        """Say whether a person or the client itself signs in."""
        flow = FLOWS.get(self.flow)
        return "person" if flow is None else flow.who

    @property
    def unattended(self) -> bool:
        """Say whether a sign-in needs nobody: a machine's, or one whose password can be read."""
        flow = FLOWS.get(self.flow)
        source = None if flow is None or flow.unattended_with is None else getattr(self, flow.unattended_with)
        return self.session_kind == "client" or source is not None

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes to ask for before the provider's ``scopes_supported`` is known."""
        if self.scope is not None:
            return self.scope
        return DEFAULT_SCOPES if self.session_kind == "person" else ()


DEFAULT_SCOPES = ("openid", "profile", "email", "offline_access")


# --- what the provider gave -------------------------------------------------------------------------------------------


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """A successful answer of the token endpoint (RFC 6749 §5.1, OIDC Core §3.1.3.3), already checked for shape."""

    access_token: Secret | None  # None: there is none that a tool could carry, see ``lacking``
    token_type: str  # as the provider wrote it; compared without case
    received_at: float
    expires_in: float | None = None
    refresh_token: Secret | None = None
    id_token: Secret | None = None
    scope: tuple[str, ...] | None = None  # None: as requested (RFC 6749 §5.1)
    nonce: str | None = None  # what the ID token must answer (OIDC Core §3.1.2.1); None: none was sent
    lacking: tuple[str, str | None] | None = None  # sentence and hint: why there is no access token


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that waits for a person; kept in ``ID.prompt`` while it does.

    Of the device flow it is a device authorization (RFC 8628 §3.2), which another process can go on with. Of the
    browser flow ``verification_uri`` is the authorization request; it and a password's prompt end with their process.
    """

    flow: Literal["device", "browser", "password"] = "device"
    tool: str
    profile: str
    issuer: str
    target: str | None  # what the token is for, where known
    scope: tuple[str, ...]
    device_code: Secret = Secret("")
    user_code: str = ""  # printable ASCII, at most 64 characters
    verification_uri: str = ""  # https, or http on loopback; printable ASCII
    verification_uri_complete: str | None = None
    redirect_uri: str = ""  # where a browser comes back to, on loopback and with its port
    interval: float  # seconds between the end of one poll and the start of the next
    next_poll: float  # not before
    made_at: float
    expires_at: float
    shown_on: tuple[str, ...] = ()  # the terminals that show it already
    because: str = ""  # why this flow, where flow = "auto" has chosen it
    account: str | None = None  # whom the profile is for, where it says
    trouble: str = ""  # why the provider does not say whether the person has decided: "HOST answers 502"; "": it does

    @property
    def name(self) -> str:
        """Tell this prompt from another one: what a person sees of it."""
        return self.user_code or self.verification_uri or self.flow

    @property
    def outlives_its_process(self) -> bool:
        """Say whether another process can go on with it."""
        return self.flow == "device"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed in, from the ID token's claims."""

    subject: str
    name: str | None = None  # the first of preferred_username, email, name: for people
    claims: tuple[tuple[str, str], ...] = ()  # every string claim, for username templates

    @property
    def shown(self) -> str:
        """Return what people know somebody by; it comes from outside."""
        return self.name or self.subject


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One token and what is known of its life."""

    value: Secret
    received_at: float
    expires_at: float | None = None  # None: the provider did not say
    unverified: bool = False  # an ID token whose check has still to be made
    nonce: str | None = None  # what an ID token must answer; None: nothing

    def sha256(self) -> str:
        """Return the lower-case hex SHA-256 of the token."""
        return sha256(self.value.reveal().encode())


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gets."""

    profile: str
    kind: TokenKind
    token: Secret
    token_type: str
    received_at: float
    expires_at: float | None  # None: unknown
    fresh_until: float | None  # until when the same answer may be repeated; None: as long as the session stands
    scope: tuple[str, ...]
    identity: Identity | None = None


def sha256(data: bytes) -> str:
    """Return the SHA-256 (FIPS 180-4) in hex."""
    found = light.sha256(data)
    if found is None:
        import hashlib

        found = hashlib.sha256(data).hexdigest()
    return found
