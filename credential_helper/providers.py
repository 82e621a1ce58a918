"""Provider behaviour that neither a standard nor their metadata describes; one row per provider, data only.

- A row is found by ``provider`` in the profile, else by the host of its issuer, else it is ``generic``, the standards
  and nothing else. ``provider = "generic"`` switches the table off.
- A row fills in what is missing: the profile comes first, then the provider's metadata, then the row.
- Nothing of a row is part of a session's name: a better row must not sign anybody out.

A row that says nothing of something does as the standards do. What was read stands above each row. Tried with the real
provider: generic (npm's oidc-provider), keycloak, hydra and dex (integration/providers); the rest is as documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from credential_helper import urls
from credential_helper.flows import FLOWS, PEOPLE
from credential_helper.model import Profile

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"  # the types of RFC 8693 §3 begin so
TOKEN_TYPE_JWT = f"{TOKEN_TYPE}jwt"
PASSWORD_REALM = "http://auth0.com/oauth/grant-type/password-realm"
TENANT = "{tenantid}"  # in an issuer: the tenant of whoever signs in

# (context, OAuth error): the context is a grant type, "confidential" or "public", or "" for any.
Case = tuple[str, str]


# Spellings of the RFCs' codes that can mean nothing else: GitHub, Entra, and who has learnt from them.
SPELLINGS: Mapping[Case, str] = {
    ("", "incorrect_client_credentials"): "invalid_client",
    ("", "incorrect_device_code"): "invalid_grant",
    ("", "bad_verification_code"): "invalid_grant",
    ("", "bad_refresh_token"): "invalid_grant",
    ("", "token_expired"): "expired_token",
    ("", "code_expired"): "expired_token",
    ("", "invalid_resource"): "invalid_target",
    ("", "authorization_declined"): "access_denied",
}

_EXACT = "http://127.0.0.1:8252/callback"  # for who compares the whole address, which RFC 8252 §7.3 forbids


class KnownProvider(msgspec.Struct, frozen=True, kw_only=True):
    """How one provider differs from the standards."""

    name: str  # of the setting
    title: str  # for people
    hosts: tuple[str, ...] = ()  # of its issuers: exact, ".auth0.com" for any host below, "*" for one label
    issuer: str | None = None  # of its one public service

    issuer_form: str | None = None  # what its issuers look like, for whoever wrote another form
    discovery: bool = True  # False: nothing is asked, its endpoints are all there is
    # By the names of model.Endpoints; {issuer} is without a final slash, and without what response_issuers add to it.
    endpoints: Mapping[str, str] = {}
    flows: frozenset[str] = frozenset(FLOWS)  # what it has at all
    tenants: Mapping[str, str | None] = {}  # words for several tenants in an issuer → the one that it always is
    response_issuers: tuple[str, ...] = ()  # what it calls itself at the redirect_uri beside its issuer (RFC 9207)

    redirect_uri: str = "http://127.0.0.1/callback"  # with a port where it compares the port, too
    needs_secret: frozenset[str] = frozenset()  # flows of people that want a client_secret all the same
    authorization_parameters: tuple[tuple[str, str], ...] = ()
    prompts: tuple[str, ...] = ()  # the values of "prompt" beside login (OIDC Core §3.1.2.1), where no document says
    consent_for_offline_access: bool = False  # offline_access is dropped without prompt=consent (OIDC Core §11)
    client_authentication: Literal["basic", "post"] = "basic"  # what "auto" tries first with a secret
    assertion_audience: Literal["issuer", "token_endpoint"] = "issuer"  # "aud" of an assertion
    assertion_algorithm: str | None = None  # what private_key_jwt signs with where nobody says, if the key can

    # What it takes of a platform's token is in ``flows``, but for the client's own proof (RFC 7523 §2.2):
    federated: bool = False  # its clients may prove by such a token who they are
    # Whom such a token is for, with {audience}, or {issuer} without a final slash; None: the issuer.
    workload_audience: str | None = None
    subject_token_type: str | None = TOKEN_TYPE_JWT  # of RFC 8693 §3; None: one of the provider's own, see the profile
    requested_token_type: str = f"{TOKEN_TYPE}access_token"  # of RFC 8693 §3: what is asked for in exchange
    no_clients: bool = False  # it knows none, and is sent no client_id

    audience_parameter: str | None = "audience"  # None: no parameter carries an audience
    audience_scope: str | None = None  # the scope that carries it instead, with {audience}
    # How a grant gives a token for another audience than its sign-in's; none: it does not.
    other_audiences: Literal["refresh", "exchange", "none"] = "refresh"
    refresh_ends: bool = False  # a refresh ends the access token before it, whatever its life
    several_resources: bool = False  # a sign-in may ask for more than one resource (RFC 8707 §2.1)
    scopes_supported: tuple[str, ...] | None = None  # where its metadata does not say
    comma_scopes: bool = False  # its answers separate scopes with commas, which RFC 6749 §3.3 lets a scope contain
    # What to do where none came; None: it has none, or always sends one.
    no_refresh_token: str | None = "allow this client refresh tokens at the provider"

    spellings: Mapping[Case, str] = {}  # beside SPELLINGS
    switches: Mapping[str, str] = {}  # grant type → what the provider calls it
    places: Mapping[Case, str] = {}  # where an error is mended: "Applications > NAME > Settings"


def of(profile: Profile) -> KnownProvider:
    """Return the row of a profile's provider."""
    if profile.provider is not None:
        return PROVIDERS[profile.provider]
    try:
        host = urls.parse_url(profile.issuer).host
    except ValueError:
        return PROVIDERS["generic"]
    found = (row for row in PROVIDERS.values() if any(_matches(pattern, host) for pattern in row.hosts))
    return next(found, PROVIDERS["generic"])


def _matches(pattern: str, host: str) -> bool:
    """Compare whole labels: ``.auth0.com`` is neither auth0.com nor evilauth0.com."""
    if pattern.startswith("."):
        return host.endswith(pattern) and host != pattern
    wanted, labels = pattern.split("."), host.split(".")
    return len(wanted) == len(labels) and all(one in ("*", other) for one, other in zip(wanted, labels, strict=True))


# --- the rows ---------------------------------------------------------------------------------------------------------

_BASIC = frozenset(FLOWS) - {"jwt-bearer", "token-exchange"}
_AUTH0_GRANTS = "Applications > NAME > Settings > Advanced Settings > Grant Types"
_OKTA_GRANTS = "Applications > NAME > General > Grant type"
_KEYCLOAK_FLOWS = "Clients > NAME > Settings > Capability config"

_ROWS = (
    # OIDC Core §9 has an assertion name the token endpoint. Metadata that lie about that address make it good at
    # another server: draft-ietf-oauth-rfc7523bis has the issuer alone. oidc-provider, Keycloak and Zitadel take it.
    KnownProvider(
        name="generic",
        title="this provider",
        consent_for_offline_access=True,
        federated=True,
        several_resources=True,
    ),
    # https://auth0.com/docs/api/authentication, auth0.com/docs/get-started/applications. Custom Token Exchange: an
    # Action of the tenant's judges the token, by a type that is a URI of the tenant's own; urn:ietf:… is reserved.
    KnownProvider(
        name="auth0",
        title="Auth0",
        hosts=(".auth0.com",),
        endpoints={  # a lean document, or that of a proxy before a custom domain
            "authorization": "{issuer}/authorize",
            "token": "{issuer}/oauth/token",
            "device_authorization": "{issuer}/oauth/device/code",
            "revocation": "{issuer}/oauth/revoke",
            "jwks": "{issuer}/.well-known/jwks.json",
        },
        flows=_BASIC | {"token-exchange"},
        redirect_uri=_EXACT,
        subject_token_type=None,
        places={
            ("client_credentials", "access_denied"): "APIs > NAME > Machine to Machine Applications",
            ("public", "invalid_client"): "application type Native, authentication method None",
            (TOKEN_EXCHANGE, "invalid_request"): "the Custom Token Exchange Profile of this type, and its Action",
            (TOKEN_EXCHANGE, "consent_required"): 'APIs > NAME > Settings > "Allow Skipping User Consent"',
            (TOKEN_EXCHANGE, "unauthorized_client"): "Applications > NAME > Token Exchange > Custom Token Exchange",
            ("", "unauthorized_client"): _AUTH0_GRANTS,
            ("", "redirect_uri_mismatch"): "Applications > NAME > Settings > Allowed Callback URLs",
            (DEVICE_CODE, "access_denied"): "APIs > NAME > Settings > Identifier",
            ("password", "server_error"): "Settings > General > Default Directory, or realm",
            ("password", "unauthorized"): "User Management > Users > NAME > Unblock",
            (PASSWORD_REALM, "unauthorized"): "User Management > Users > NAME > Unblock",
        },
        no_refresh_token='switch on "Allow Offline Access" of the API, and the grant "Refresh Token" of the client',
    ),
    # https://developer.okta.com/docs/reference/api/oidc/: issuers with a path (/oauth2/default) or without (the org's
    # own, whose access tokens are for Okta alone); the audience is a setting of the authorization server. Its token
    # exchange takes its own access tokens: https://developer.okta.com/docs/guides/set-up-token-exchange/main/.
    KnownProvider(
        name="okta",
        title="Okta",
        hosts=(".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com", ".okta.mil"),
        flows=_BASIC | {"token-exchange"},
        redirect_uri=_EXACT,
        assertion_audience="token_endpoint",
        other_audiences="none",
        subject_token_type=f"{TOKEN_TYPE}access_token",
        audience_parameter=None,
        switches={
            DEVICE_CODE: "Device Authorization",
            "password": "Resource Owner Password",
            TOKEN_EXCHANGE: "Token Exchange",
        },
        places={
            ("", "unauthorized_client"): _OKTA_GRANTS,
            ("", "access_denied"): "Security > API > Authorization Servers > NAME > Access Policies needs a rule",
            ("", "invalid_scope"): "Security > API > Authorization Servers > NAME > Scopes",
            ("public", "invalid_client"): "Applications > NAME > General > Client authentication None",
        },
        no_refresh_token='switch on "Refresh Token" in Applications > NAME > General > Grant type',
    ),
    # https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code, …/reply-url: the port of localhost is
    # ignored, that of 127.0.0.1 is not; …/access-tokens: the document of common and organizations has {tenantid} in its
    # issuer, and each token its own tenant's. The tenant of consumers is always the same. PS256:
    # …/certificate-credentials. A platform's token proves who a client is (…/workload-identity-federation), and is
    # for the exchange's own audience, whatever the tenant.
    KnownProvider(
        name="entra",
        title="Entra ID",
        hosts=("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"),
        issuer_form="an issuer of Entra ID is https://HOST/TENANT/v2.0, with the tenant's id (not its domain name)",
        flows=_BASIC,
        federated=True,
        workload_audience="api://AzureADTokenExchange",
        tenants={"common": None, "organizations": None, "consumers": "9188040d-6c67-4c5b-b112-36a304b66dad"},
        redirect_uri="http://localhost/callback",
        prompts=("select_account",),  # https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
        assertion_audience="token_endpoint",
        assertion_algorithm="PS256",
        audience_parameter=None,
        audience_scope="{audience}/.default",
        places={
            ("public", "invalid_client"): 'Authentication > Advanced settings > "Allow public client flows"',
            ("", "unauthorized_client"): "Authentication: the supported account types, and public client flows",
            (DEVICE_CODE, "invalid_grant"): 'Conditional Access may forbid codes: flow = "authorization-code"',
            ("client_credentials", "invalid_scope"): "it wants one scope, RESOURCE/.default: set audience",
            ("client_credentials", "invalid_request"): "it wants one scope, RESOURCE/.default: set audience",
            ("password", "invalid_grant"): "an account with a second factor, or a federated one, cannot use a password",
        },
    ),
    # https://www.keycloak.org/securing-apps/oidc-layers: audiences come from mappers, any port of 127.0.0.1 will do.
    # …/jwt-authorization-grant, …/token-exchange (of its own access tokens); the "Signed JWT - Federated" of a client
    # since 26.4: https://www.keycloak.org/docs/latest/server_admin/#_identity_broker_kubernetes. Tried with 26.7.3: a
    # wrong secret is an unauthorized_client, too; an audience that is no client is an invalid_client of an exchange.
    KnownProvider(
        name="keycloak",
        title="Keycloak",
        endpoints={
            "authorization": "{issuer}/protocol/openid-connect/auth",
            "token": "{issuer}/protocol/openid-connect/token",
            "device_authorization": "{issuer}/protocol/openid-connect/auth/device",
            "revocation": "{issuer}/protocol/openid-connect/revoke",
            "jwks": "{issuer}/protocol/openid-connect/certs",
        },
        other_audiences="exchange",
        federated=True,
        audience_parameter=None,
        spellings={(TOKEN_EXCHANGE, "invalid_client"): "invalid_target"},
        switches={
            TOKEN_EXCHANGE: "Standard Token Exchange",
            JWT_BEARER: "JWT Authorization Grant",
            DEVICE_CODE: "OAuth 2.0 Device Authorization Grant",
            "client_credentials": "Service accounts roles",
            "authorization_code": "Standard flow",
            "password": "Direct access grants",
        },
        places={
            ("confidential", "unauthorized_client"): f"{_KEYCLOAK_FLOWS}, or Credentials: the secret",
            ("", "unauthorized_client"): _KEYCLOAK_FLOWS,
            ("public", "invalid_client"): f"{_KEYCLOAK_FLOWS} > Client authentication off",
            ("", "invalid_scope"): "Clients > NAME > Client scopes",
            (TOKEN_EXCHANGE, "invalid_target"): "audience is the Client ID of a client, as is client_id",
            (JWT_BEARER, "invalid_grant"): "Identity providers > NAME, and Users > NAME > Identity provider links: sub",
        },
        no_refresh_token="give the client the scope offline_access, and the person the role of that name",
    ),
    # https://developers.google.com/identity/protocols/oauth2/limited-input-device and …/native-app: a client secret
    # that is none, sent as a parameter; a refresh token by access_type=offline, and again only by prompt=consent.
    KnownProvider(
        name="google",
        title="Google",
        hosts=("accounts.google.com",),
        issuer="https://accounts.google.com",
        flows=PEOPLE,
        needs_secret=PEOPLE,
        authorization_parameters=(("access_type", "offline"), ("prompt", "consent")),
        prompts=("select_account",),  # https://developers.google.com/identity/openid-connect/openid-connect
        client_authentication="post",
        other_audiences="none",
        audience_parameter=None,
        scopes_supported=("openid", "profile", "email"),
        places={
            ("public", "invalid_request"): "a client of Google has a client_secret, of a desktop or a TV client, too",
            ("public", "invalid_client"): "a client of Google has a client_secret, of a desktop or a TV client, too",
            (DEVICE_CODE, "invalid_client"): "the client type for codes is TVs and Limited Input devices",
            (DEVICE_CODE, "unauthorized_client"): "the client type for codes is TVs and Limited Input devices",
            (DEVICE_CODE, "invalid_scope"): "with a code only openid, profile, email and a few more scopes are given",
            ("", "redirect_uri_mismatch"): "the client type for a browser is Desktop app",
        },
        no_refresh_token="take this client's access back at myaccount.google.com/permissions, then sign in anew",
    ),
    # https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps: OAuth without OpenID Connect;
    # any port of 127.0.0.1; tokens that do not expire, but for GitHub Apps. The comma is no part of any of its scopes.
    # Since 2026 the redirect says iss=https://github.com/login/oauth, and of a server of one's own the same of that:
    # https://github.com/openiddict/openiddict-core/pull/2529, https://github.com/nextauthjs/next-auth/pull/13410. With
    # that for an issuer its endpoints are still where they were.
    KnownProvider(
        name="github",
        refresh_ends=True,
        title="GitHub",
        hosts=("github.com", ".ghe.com"),
        issuer="https://github.com",
        discovery=False,
        endpoints={
            "authorization": "{issuer}/login/oauth/authorize",
            "token": "{issuer}/login/oauth/access_token",
            "device_authorization": "{issuer}/login/device/code",
        },
        response_issuers=("{issuer}/login/oauth",),
        flows=PEOPLE,
        needs_secret=frozenset({"authorization-code"}),  # whatever PKCE says
        client_authentication="post",
        other_audiences="none",
        audience_parameter=None,
        scopes_supported=(),
        comma_scopes=True,
        spellings={("", "application_suspended"): "unauthorized_client"},
        places={
            ("", "device_flow_disabled"): 'Developer settings > OAuth Apps > NAME > "Enable Device Flow"',
            ("", "redirect_uri_mismatch"): "Developer settings > OAuth Apps > NAME > Authorization callback URL",
            ("public", "invalid_client"): "the browser flow needs the client_secret, too",
            ("", "unverified_user_email"): "the primary e-mail address has to be verified",
        },
        no_refresh_token=None,
    ),
    # https://docs.gitlab.com/api/oauth2/; doorkeeper ignores the port of a loopback address, not that of localhost.
    # Every grant brings a refresh token, and offline_access is none of its scopes. A password only where the
    # application may, and not on gitlab.com; client credentials are the application's, which may read nothing of the
    # API (config/initializers/doorkeeper.rb of GitLab).
    KnownProvider(
        name="gitlab",
        refresh_ends=True,
        title="GitLab",
        hosts=("gitlab.com",),
        issuer="https://gitlab.com",
        endpoints={
            "authorization": "{issuer}/oauth/authorize",
            "token": "{issuer}/oauth/token",
            "device_authorization": "{issuer}/oauth/authorize_device",
            "revocation": "{issuer}/oauth/revoke",
            "jwks": "{issuer}/oauth/discovery/keys",
        },
        other_audiences="none",
        flows=_BASIC,
        audience_parameter=None,
        places={
            ("", "invalid_scope"): "Applications > NAME > Scopes",
            ("public", "invalid_client"): "Applications > NAME > Confidential off",
            ("", "redirect_uri_mismatch"): "Applications > NAME > Redirect URI",
        },
        no_refresh_token=None,
    ),
    # https://www.ory.sh/docs/hydra. Tried with 2.3.0: an assertion has to name the token endpoint, a job's token, too,
    # and audience wants each value to be listed in the client. Several are separated by spaces; a refresh gives all of
    # them again.
    KnownProvider(
        name="hydra",
        title="Ory Hydra",
        flows=PEOPLE | {"client-credentials", "jwt-bearer"},
        workload_audience="{issuer}/oauth2/token",
        assertion_audience="token_endpoint",
        other_audiences="none",
        places={
            ("", "unauthorized_client"): "the client's grant_types",
            ("", "invalid_client"): "the client's token_endpoint_auth_method",
            ("", "invalid_scope"): "the client's scope",
            ("", "invalid_request"): "the client's audience and redirect_uris",
            (JWT_BEARER, "invalid_grant"): "/admin/trust/grants/jwt-bearer/issuers; aud is the token endpoint",
        },
        no_refresh_token="add refresh_token to the client's grant_types, and offline_access to its scope",
    ),
    # https://dexidp.io/docs/: of a public client without redirectURIs any port of loopback will do.
    # …/docs/guides/token-exchange/: by an OIDC connector, which connector_id names.
    # Tried with 2.45.1: a code that is unknown, and a refresh token that was used, are an invalid_request, a wrong
    # password is an access_denied, a code that was declined stays pending, and it has no client credentials. A refresh
    # may be for an audience that the sign-in's scope named, and each sign-in ends the refresh token of the one before.
    KnownProvider(
        name="dex",
        title="Dex",
        flows=PEOPLE | {"password", "token-exchange"},
        subject_token_type=f"{TOKEN_TYPE}id_token",
        audience_parameter=None,
        audience_scope="audience:server:client_id:{audience}",
        spellings={
            (DEVICE_CODE, "invalid_request"): "invalid_grant",
            ("refresh_token", "invalid_request"): "invalid_grant",
            ("password", "access_denied"): "invalid_grant",
        },
        places={
            ("", "unsupported_grant_type"): "oauth2.grantTypes in its config.yaml",
            (
                TOKEN_EXCHANGE,
                "invalid_request",
            ): "connector_id, in parameters, names an OIDC connector of its config.yaml",
            (TOKEN_EXCHANGE, "access_denied"): "the issuer of the connector in its config.yaml is that of the token",
            ("", "invalid_client"): "staticClients in its config.yaml",
            ("", "invalid_scope"): "trustedPeers of the client that audience names",
        },
    ),
    # https://zitadel.com/docs/apis/openidoauth/scopes, …/grant-types, …/authn-methods: an audience is a project, asked
    # for as a scope. It has no password grant. An assertion names the issuer. It knows a service user by that user's
    # own key, with which the assertion of jwt-bearer is signed. Its token exchange takes its own tokens, and gives an
    # access token that is opaque unless a JWT is asked for: https://zitadel.com/docs/guides/integrate/token-exchange.
    KnownProvider(
        name="zitadel",
        title="Zitadel",
        hosts=(".zitadel.cloud",),
        other_audiences="exchange",
        flows=PEOPLE | {"client-credentials", "jwt-bearer", "token-exchange"},
        requested_token_type=TOKEN_TYPE_JWT,
        audience_parameter=None,
        audience_scope="urn:zitadel:iam:org:project:id:{audience}:aud",
        places={
            ("", "unauthorized_client"): "Projects > NAME > Applications > NAME > Grant Types",
            ("public", "invalid_client"): "Projects > NAME > Applications > NAME > Authentication Method None",
            ("client_credentials", "invalid_scope"): "a service user has to ask for openid, too",
        },
        no_refresh_token='switch on "Refresh Token" in Projects > NAME > Applications > NAME > Grant Types',
    ),
    # https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-app-idp-settings.html: no device
    # flow; http for localhost only, the whole address is compared. Scopes are RESOURCE SERVER/SCOPE, and every code
    # brings a refresh token. Its document names endpoints on the user pool's domain, another host than the issuer's.
    KnownProvider(
        name="cognito",
        title="Amazon Cognito",
        hosts=("cognito-idp.*.amazonaws.com", "cognito-idp.*.amazonaws.com.cn"),
        flows=frozenset({"authorization-code", "client-credentials"}),
        redirect_uri="http://localhost:8252/callback",
        other_audiences="none",
        audience_parameter=None,
        scopes_supported=("openid", "profile", "email"),
        switches={
            "authorization_code": "Authorization code grant",
            "client_credentials": "Client credentials",
        },
        places={
            ("", "unauthorized_client"): "App clients > NAME > Login pages > OAuth grant types",
            ("", "invalid_scope"): "App clients > NAME > Login pages > OpenID Connect scopes and Custom scopes",
            ("", "redirect_uri_mismatch"): "App clients > NAME > Login pages > Allowed callback URLs",
        },
        no_refresh_token=None,
    ),
    # https://docs.pingidentity.com/pingfederate/latest/: aud picks one of its access token managers by resource URI.
    KnownProvider(
        name="pingfederate",
        title="PingFederate",
        endpoints={
            "authorization": "{issuer}/as/authorization.oauth2",
            "token": "{issuer}/as/token.oauth2",
            "device_authorization": "{issuer}/as/device_authz.oauth2",
            "revocation": "{issuer}/as/revoke_token.oauth2",
            "jwks": "{issuer}/pf/JWKS",
        },
        redirect_uri=_EXACT,
        assertion_audience="token_endpoint",
        audience_parameter="aud",
        places={
            ("", "unauthorized_client"): "Applications > OAuth > Clients > NAME > Allowed Grant Types",
            ("", "invalid_scope"): "System > OAuth Settings > Scope Management",
            ("", "invalid_target"): "Applications > OAuth > Access Token Management > NAME > Resource URIs",
            ("", "redirect_uri_mismatch"): "Applications > OAuth > Clients > NAME > Redirection URIs",
        },
        no_refresh_token='allow the client the grant "Refresh Token" and the scope offline_access',
    ),
    # https://docs.cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token: workload identity federation. An
    # Authorization header makes it fail; audience is the provider of a pool, //iam.googleapis.com/projects/…, and the
    # token that is exchanged is for the same, with https: before it (if the provider names no audience of its own).
    KnownProvider(
        name="google-sts",
        title="Google's Security Token Service",
        hosts=("sts.googleapis.com",),
        issuer="https://sts.googleapis.com",
        discovery=False,
        endpoints={"token": "{issuer}/v1/token"},
        other_audiences="none",
        flows=frozenset({"token-exchange"}),
        workload_audience="https:{audience}",
        no_clients=True,
        scopes_supported=(),
        places={
            (TOKEN_EXCHANGE, "invalid_request"): "audience is //iam.googleapis.com/projects/NUMBER/locations/global/"
            "workloadIdentityPools/POOL/providers/NAME, and a scope has to be given",
            (TOKEN_EXCHANGE, "invalid_grant"): "IAM > Workload Identity Federation > POOL > NAME: issuer, allowed "
            "audiences, attribute condition",
            (TOKEN_EXCHANGE, "invalid_target"): "IAM > Workload Identity Federation: the pool and its provider",
        },
        no_refresh_token=None,
    ),
)

PROVIDERS: Mapping[str, KnownProvider] = {row.name: row for row in _ROWS}
