"""What an OAuth error means to a person, and what to do about it.

What only one provider does is data, in its row of providers.py: where a person clicks to mend an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from credential_helper.oauth.client_authentication import tls
from credential_helper.providers import DEVICE_CODE, JWT_BEARER, PASSWORD_REALM, TOKEN_EXCHANGE

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider


# What a grant is called, where the provider's row has no name of its own.
_SWITCHES = {
    DEVICE_CODE: "Device Code",
    "client_credentials": "Client Credentials",
    "refresh_token": "Refresh Token",
    "authorization_code": "Authorization Code",
    "password": "Password",
    PASSWORD_REALM: "Password",
    JWT_BEARER: "JWT Bearer",
    TOKEN_EXCHANGE: "Token Exchange",
}

# What some providers demand of a client and nobody can do here, told in words beside a code that means anything
# (oidc-provider: invalid_grant "DPoP proof JWT not provided").
_DEMANDS = (
    (re.compile(r"\bdpop\b", re.IGNORECASE), "invalid_dpop_proof"),
    (re.compile(r"(?i:\bpushed[ _]authorization)|\bPAR\b"), "pushed_request_required"),
    (re.compile(r"(?i:\brequest[ _]object\b|\bsigned request\b)|\bJAR\b"), "invalid_request_object"),
    (re.compile(r"\bmutual[ -]?tls\b|\bmtls\b|\bclient certificate\b", re.IGNORECASE), "certificate_required"),
)
_MEANS_ANYTHING = frozenset({"invalid_request", "invalid_grant", "unauthorized_client", "invalid_token"})

NO_DPOP = "switch off DPoP (sender-constrained tokens) for this client: dpop_bound_access_tokens"
SIGNED_REQUEST = (
    "demands a signed request object (RFC 9101), which is not supported",
    "switch off signed request objects for this client: require_signed_request_object, request_object_signing_alg",
)
_DPOP = ("demands tokens that are bound to a key (DPoP, RFC 9449), which no tool can carry", NO_DPOP)

_POLICY = ("", "no person is part of this flow: have the provider let this client in without one (its policies)")
_STRONGER = (
    "",
    "the provider wants a stronger sign-in: ask for it in parameters (acr_values), or ask who runs it",
)
_TRUST = "check that the provider trusts the issuer of the token that was sent, and its audience"
_CREDENTIALS = ("refused the user name or password", "check account and password")
_DENIED = ("refused the client or this account", "check account, client_id and, where it has one, client_secret")
_BLOCKED = ("refused this account", "the account is blocked: whoever looks after it can say why")
_ATTEMPTS = ("refused this account for a while", "too many wrong passwords were tried: wait, or have it unblocked")

# Grants that are refused where their client is registered for DPoP, and some providers do not say so (oidc-provider).
_NEW_GRANTS = ("client_credentials", "authorization_code", DEVICE_CODE)
_MAYBE_DPOP = f"if this client is registered for tokens that are bound to a key, {NO_DPOP}"

# (context, code) -> (predicate of the sentence, hint). The context is a grant type with a method of client
# authentication, a method, a grant type, "without a scope", "confidential" or "public", or "", looked for in this
# order. An empty predicate leaves the caller's.
_WORDS = {
    ("client_credentials private_key_jwt", "access_denied"): (
        "refused the client, or its right to this audience",
        "check client_id, private_key and audience",
    ),
    ("client_credentials tls", "access_denied"): (
        "refused the client, or its right to this audience",
        "check client_id, tls and audience",
    ),
    ("client_credentials", "access_denied"): (
        "refused the client id or secret, or its right to this audience",
        "check client_id, client_secret and audience",
    ),
    ("authorization_code", "invalid_grant"): (
        "",
        "sign in again: a code is good for a few minutes, once, and for the redirect_uri that it was sent to",
    ),
    ("authorization_code", "access_denied"): ("", "agree when the provider asks, or check who may use this client"),
    ("authorization_code", "redirect_uri_mismatch"): ("", "register redirect_uri with this client, exactly as it is"),
    ("authorization_code", "unsupported_response_type"): ("", "this client may not use the browser flow"),
    **{
        (grant_type, code): _POLICY
        for grant_type in ("client_credentials", JWT_BEARER, TOKEN_EXCHANGE)
        for code in ("interaction_required", "login_required", "consent_required")
    },
    (JWT_BEARER, "invalid_grant"): ("", f"{_TRUST}, and who may be meant by it"),
    (TOKEN_EXCHANGE, "invalid_grant"): ("", _TRUST),
    (TOKEN_EXCHANGE, "invalid_request"): (
        "",
        f"{_TRUST}; then audience, scope, subject_token_type and parameters: one is missing, or is none that it takes",
    ),
    ("password", "invalid_grant"): _CREDENTIALS,
    (PASSWORD_REALM, "invalid_grant"): _CREDENTIALS,
    ("password", "unauthorized"): _BLOCKED,  # Auth0
    (PASSWORD_REALM, "unauthorized"): _BLOCKED,
    ("password", "access_denied"): _DENIED,
    (PASSWORD_REALM, "access_denied"): _DENIED,
    ("password", "too_many_attempts"): _ATTEMPTS,
    (PASSWORD_REALM, "too_many_attempts"): _ATTEMPTS,
    (PASSWORD_REALM, "invalid_request"): ("", "check realm: it is the name of a connection"),
    ("client_secret_jwt", "invalid_client"): (
        "refused the client's assertion",
        "check client_id, client_secret, and that this client is registered for client_secret_jwt",
    ),
    ("private_key_jwt", "invalid_client"): (
        "refused the client's assertion",
        "check client_id, and that the public key is registered for this client",
    ),
    ("tls", "invalid_client"): ("refused the client's certificate", tls.REGISTER),
    ("tls", "certificate_required"): ("saw no client certificate", tls.NOT_SEEN),
    ("workload", "invalid_client"): (
        "refused the token of this job as the client's proof",
        f"check client_id; {_TRUST}",
    ),
    ("client_credentials workload", "access_denied"): (
        "refused the client, or its right to this audience",
        "check client_id, audience, and what the provider takes for this client's proof",
    ),
    ("confidential", "invalid_client"): (
        "refused the client id or secret",
        "check client_id, client_secret and client_authentication",
    ),
    ("public", "invalid_client"): (
        "refused the client",
        "check client_id; a client without a secret must be registered as one, any other needs client_secret",
    ),
    ("", "unauthorized_client"): ("", 'switch on the grant "{switch}" for this client'),
    ("", "unsupported_grant_type"): ("", "this provider does not have the grant {switch}: choose another flow"),
    ("", "device_flow_disabled"): ("", "switch on the device flow in the settings of this client"),
    ("", "redirect_uri_mismatch"): ("", "register redirect_uri with this client, exactly as it is"),
    ("", "invalid_scope"): ("", "check scope: this client may not ask for all of it"),
    ("without a scope", "invalid_scope"): ("", 'give a scope: scope = "NAME" in the profile, or --scope NAME'),
    ("refresh_token", "invalid_scope"): ("", "sign in again: what was granted may not be granted any more"),
    ("", "invalid_request"): (
        "",
        "check scope, audience, resource and parameters: one is missing, or is none that this provider takes",
    ),
    ("", "invalid_target"): (
        "",
        "check audience and resource: the provider must know them exactly as written",
    ),
    (DEVICE_CODE, "access_denied"): ("", "check client_id and audience"),
    ("", "mfa_required"): (
        "",
        "the account needs a second factor, which only a browser can ask for: "
        'flow = "authorization-code" or flow = "device"',
    ),
    ("", "interaction_required"): ("", "the provider wants to see the person again: sign in anew"),
    ("", "login_required"): ("", "the provider wants to see the person again: sign in anew"),
    ("", "account_selection_required"): ("", "the provider wants the person to choose an account: sign in anew"),
    ("", "unmet_authentication_requirements"): _STRONGER,  # OIDC's own
    ("", "insufficient_user_authentication"): _STRONGER,  # RFC 9470
    ("", "consent_required"): ("", "the provider wants the person to agree again: sign in anew"),
    ("", "use_dpop_nonce"): _DPOP,
    ("", "invalid_dpop_proof"): _DPOP,
    ("", "invalid_request_object"): SIGNED_REQUEST,
    ("", "request_not_supported"): (
        "takes no request object",
        "take request out of parameters; a client that must send one cannot be used here",
    ),
    ("", "request_uri_not_supported"): (
        "takes no request_uri",
        "take request_uri out of parameters, and pushed_authorization_requests out of the profile",
    ),
    ("", "invalid_request_uri"): ("", "sign in again, and at once: the address is good for a short time, and once"),
    ("", "pushed_request_required"): ("", "write pushed_authorization_requests = true into the profile"),
    ("", "certificate_required"): (
        "demands a client certificate (mutual TLS, RFC 8705)",
        "write tls.certificate and tls.private_key into the profile; or register this client with another method, "
        "without tls_client_certificate_bound_access_tokens",
    ),
}


def demand_in(code: str, description: str) -> str:
    """Return the code of what a provider demands, where it says so in words beside a code that means anything."""
    if code not in _MEANS_ANYTHING:
        return code
    return next((meant for words, meant in _DEMANDS if words.search(description[:4000])), code)


def sentence_and_hint(
    provider: Provider, code: str, grant_type: str, method: str, *, scoped: bool = True
) -> tuple[str, str | None]:
    """Return the predicate of the sentence for an error, "" for the caller's, and the hint.

    ``scoped``: the request asked for a scope.
    """
    known = provider.known
    grant_type = grant_type.removeprefix("pushed ")  # what is wrong with a request is, wherever it was sent first
    client = "public" if method == "none" else "confidential"
    scope = () if scoped else ("without a scope",)
    contexts = (f"{grant_type} {method}", method, grant_type, *scope, client, "")
    cases = [(context, code) for context in contexts]
    sentence, hint = next((_WORDS[case] for case in cases if case in _WORDS), ("", None))
    place = next((known.places[case] for case in cases if case in known.places), None)
    if hint is not None:
        switch = known.switches.get(grant_type) or _SWITCHES.get(grant_type, grant_type or "of this flow")
        hint = hint.format(switch=switch)
    if code == "invalid_grant" and grant_type in _NEW_GRANTS and provider.metadata().dpop_signing_alg_values_supported:
        hint = _MAYBE_DPOP if hint is None else f"{hint}; {_MAYBE_DPOP}"
    if place is not None:
        hint = f"{known.title}: {place}" if hint is None else f"{hint} ({known.title}: {place})"
    return sentence, hint
