"""How a client says who it is (RFC 6749 §2.3): exactly one method per request, chosen here and nowhere else.

``auto`` is ``tls`` with a client certificate, ``private_key_jwt`` with a private key, ``workload`` with a platform's
token that is not the grant itself, and ``none`` without any. With a secret it is ``basic``, the method that every
server must know (RFC 6749 §2.3.1), once again as ``post`` when the client was refused; a provider that is known to want
it otherwise is asked the other way round. What worked is remembered by the provider object, and is then the first that
is tried. A provider whose metadata name neither, but ``client_secret_jwt``, gets that: it has no use for the secret.

What signs is loaded where it does: most clients are public, or send a secret.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, unquote_plus

from credential_helper.errors import ConfigurationError
from credential_helper.model import Secret
from credential_helper.oauth.client_authentication import assertion, federated, tls

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider
    from credential_helper.transport.client_certificate import ClientCertificate

Fields = tuple[tuple[str, str], ...]

# Parameters whose value is a secret (RFC 6749, 7009, 7523, 7636, 8628, 8693; Auth0 and OpenID Connect).
SECRET_FIELDS = frozenset(
    {
        "access_token",
        "actor_token",
        "assertion",
        "client_assertion",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "id_token",
        "mfa_token",
        "password",
        "refresh_token",
        "subject_token",
        "token",
    }
)


SECRET_SOURCES = 'name its source in the profile: client_secret = { env = "NAME" } or { keyring = "NAME" }, for example'


def methods(provider: Provider) -> tuple[str, ...]:
    """Return the methods to be tried in order; a later one only after the client was refused.

    Raises ConfigurationError for a method that needs a secret or a key where the profile has none, and what
    ``provider.metadata`` does.
    """
    configured = provider.profile.client_authentication
    if configured == "auto":
        if provider.tls is not None:
            return ("tls",)
        if provider.private_key is not None:
            return ("private_key_jwt",)
        if provider.client_secret is None:
            return ("workload",) if federated.is_meant(provider.profile) else ("none",)
        listed = provider.metadata().token_endpoint_auth_methods_supported or ()
        if "client_secret_jwt" in listed and not {"client_secret_basic", "client_secret_post"} & set(listed):
            return ("client_secret_jwt",)
        first = provider.authentication_worked or provider.known.client_authentication
        return ("post", "basic") if first == "post" else ("basic", "post")
    if configured == "private_key_jwt" and provider.private_key is None:
        from credential_helper.oauth.client_authentication import private_key_jwt

        raise ConfigurationError(
            f'client_authentication = "{configured}" needs a private_key', hint=private_key_jwt.KEY_SOURCES
        )
    if configured == "tls" and provider.tls is None:
        raise ConfigurationError(f'client_authentication = "{configured}" needs a certificate', hint=tls.SOURCES)
    if configured in ("basic", "post", "client_secret_jwt") and provider.client_secret is None:
        raise ConfigurationError(f'client_authentication = "{configured}" needs a client_secret', hint=SECRET_SOURCES)
    return (configured,)


def authenticate(provider: Provider, method: str, fields: Sequence[tuple[str, str]]) -> tuple[Fields, Secret | None]:
    """Return the request's fields with what the method adds, and the Authorization header's value if it has one.

    Called once per request, also for a repeated one: an assertion is good for one. Raises ConfigurationError where the
    secret or the key cannot be read or used, and what ``provider.metadata`` does.
    """
    return _METHODS[method](provider, tuple(fields))


def certificate(provider: Provider, method: str) -> ClientCertificate | None:
    """Return the certificate that the client shows in the request's TLS handshake; None: none, by this method.

    Called once per request: it may have been replaced. Raises ConfigurationError.
    """
    return tls.certificate(provider) if method == "tls" else None


def hint(provider: Provider, method: str) -> str | None:
    """Return what to check when a client that was authenticated by ``method`` was refused; None: no more than usual."""
    if method == "private_key_jwt":
        from credential_helper.oauth.client_authentication import private_key_jwt

        return private_key_jwt.hint(provider)
    if method == "client_secret_jwt":
        from credential_helper.oauth.client_authentication import client_secret_jwt

        return client_secret_jwt.hint(provider)
    if method == "tls":
        return tls.hint(provider)
    if method == "workload":
        return federated.hint(provider)
    listed = provider.metadata().token_endpoint_auth_methods_supported or ()
    if method in ("basic", "post") and "client_secret_jwt" in listed:
        return (
            "check client_id, client_secret and client_authentication: the provider also takes "
            'client_authentication = "client_secret_jwt", from clients that are registered for it'
        )
    return None


def secrets_in(fields: Iterable[tuple[str, str]], authorization: Secret | None) -> tuple[str, ...]:
    """Return every secret that a request carries, in each form it has there, to be cut out of foreign text."""
    found = [value for name, value in fields if name in SECRET_FIELDS and value]
    if authorization is not None:
        encoded = authorization.reveal().removeprefix("Basic ")
        secret = base64.b64decode(encoded).decode("ascii").partition(":")[2]
        found += [encoded, secret, unquote_plus(secret)]
    return tuple(dict.fromkeys(form for form in found if form))


def _name_alone(provider: Provider, fields: Fields) -> tuple[Fields, Secret | None]:
    """A public client names itself (RFC 6749 §3.2.1), as does one that shows a certificate (RFC 8705 §2).

    So it does where the provider knows clients at all.
    """
    if provider.known.no_clients:
        return fields, None
    return (*fields, ("client_id", provider.profile.client_id)), None


def _basic(provider: Provider, fields: Fields) -> tuple[Fields, Secret | None]:
    """Both halves are form-urlencoded before they are joined (RFC 6749 §2.3.1); most libraries forget that."""
    halves = (provider.profile.client_id, _client_secret(provider))
    joined = ":".join(quote_plus(half, safe="") for half in halves)
    return fields, Secret("Basic " + base64.b64encode(joined.encode("ascii")).decode("ascii"))


def _post(provider: Provider, fields: Fields) -> tuple[Fields, Secret | None]:
    own = (("client_id", provider.profile.client_id), ("client_secret", _client_secret(provider)))
    return (*fields, *own), None


def _private_key_jwt(provider: Provider, fields: Fields) -> tuple[Fields, Secret | None]:
    from credential_helper.oauth.client_authentication import private_key_jwt

    return _with_assertion(provider, fields, private_key_jwt.make(provider))


def _client_secret_jwt(provider: Provider, fields: Fields) -> tuple[Fields, Secret | None]:
    from credential_helper.oauth.client_authentication import client_secret_jwt

    return _with_assertion(provider, fields, client_secret_jwt.make(provider, _client_secret(provider)))


def _workload(provider: Provider, fields: Fields) -> tuple[Fields, Secret | None]:
    return _with_assertion(provider, fields, federated.read(provider))


def _with_assertion(provider: Provider, fields: Fields, made: Secret) -> tuple[Fields, Secret | None]:
    """A fresh assertion for this one request (RFC 7523 §2.2).

    NOTE: client_id is optional beside an assertion (RFC 7521 §4.2) and always sent: Entra ID and Spring's server demand
    it, Auth0 does at its device authorization endpoint, and nobody is known to refuse it.
    """
    own = (
        ("client_id", provider.profile.client_id),
        ("client_assertion_type", assertion.TYPE),
        ("client_assertion", made.reveal()),
    )
    return (*fields, *own), None


_METHODS: dict[str, Callable[[Provider, Fields], tuple[Fields, Secret | None]]] = {
    "none": _name_alone,
    "tls": _name_alone,
    "basic": _basic,
    "post": _post,
    "private_key_jwt": _private_key_jwt,
    "client_secret_jwt": _client_secret_jwt,
    "workload": _workload,
}


def _client_secret(provider: Provider) -> str:
    if provider.client_secret is None:
        raise ConfigurationError("the profile has no client_secret", hint=SECRET_SOURCES)
    return provider.client_secret().reveal()
