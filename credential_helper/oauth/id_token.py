"""The ID token: who signed in (OpenID Connect Core 1.0 §2, §3.1.3.7, §12.2).

``claims_of`` looks into a token without believing it. ``validate`` believes: signed by a key of the provider's with an
algorithm of our list and of the provider's, made by the issuer, for this client, now. PyJWT checks the signature, aud
and that nothing required is missing; iss, which for some providers depends on the tenant, azp, nonce and the times,
which PyJWT takes from the machine, are checked here.

No token is refused by keys or metadata that are older than itself: where those do not explain it, they are renewed, as
far as the rules in discovery/keys.py let it. A check that fails is an AuthorizationError; one that cannot be made now
is a TransportError. A key or an algorithm that is not published even now is an UnpublishedKey: it may yet be, where
what is published comes through a cache.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from credential_helper.errors import (
    AuthorizationError,
    ClockError,
    RateLimited,
    TokenResponseError,
    TransportError,
    UnpublishedKey,
)
from credential_helper.model import Identity, Secret
from credential_helper.text import foreign, span

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider

LEEWAY = 60.0  # seconds that two clocks may differ

# Never none, never HS*: a client secret, or a public key taken for one, is not a signature (RFC 8725 §2.1).
# The key that belongs to each: its type, and its curve where the algorithm has one (RFC 7518 §3.1, RFC 8037 §3.1).
_ALGORITHMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "RS256": ("RSA", ()),
    "RS384": ("RSA", ()),
    "RS512": ("RSA", ()),
    "PS256": ("RSA", ()),
    "PS384": ("RSA", ()),
    "PS512": ("RSA", ()),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


# --- without believing it ---------------------------------------------------------------------------------------------


def claims_of(token: str) -> dict[str, object] | None:
    """Return the claims of a JWT, unverified; None for anything but three segments around a JSON object.

    An opaque token may well begin like a JWT: Auth0's has five segments (RFC 7516).
    """
    segments = token.split(".")
    return _json_object(segments[1]) if len(segments) == 3 else None


def _json_object(segment: str) -> dict[str, object] | None:
    if not _BASE64URL.fullmatch(segment):
        return None
    padded = segment.replace("-", "+").replace("_", "/") + "=" * (-len(segment) % 4)
    try:
        value = msgspec.json.decode(binascii.a2b_base64(padded))
    except (binascii.Error, msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def numeric_date(value: object) -> float | None:
    """Return a NumericDate in seconds since the epoch (RFC 7519 §2); None for what is none, or beyond a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


# --- believing it -----------------------------------------------------------------------------------------------------


def validate(
    provider: Provider,
    id_token: Secret,
    *,
    nonce: str | None = None,
    at: float | None = None,
    came: float | None = None,
    new: bool = False,
) -> Identity:
    """Check an ID token and return who it names.

    ``nonce`` is the one that was sent with the request, if one was. ``at`` is the time to judge by (seconds since the
    epoch), ``came`` the time when the token was received; now where absent. ``new``: a person has just signed in for
    it, so the provider is asked for its keys at once. Raises AuthorizationError when a check fails, TransportError when
    the provider's keys cannot be had now.
    """
    host, token = provider.host, id_token.reveal()
    now = provider.clock.now()
    try:
        claims = _explained(provider, token, now if came is None else came, new=new)
        _judge(provider, claims, nonce)
        _judge_times(provider, claims, now if at is None else at)
    except _Failed as failed:
        kind = UnpublishedKey if isinstance(failed, _Unpublished) else AuthorizationError
        raise kind(f"the ID token of {host} {failed}") from None
    except (TokenResponseError, RateLimited) as error:
        raise TransportError(f"the ID token of {host} cannot be checked now: {error.sentence}") from None
    return _identity(claims)


class _Failed(Exception):
    """A check failed; the text goes on from "the ID token of HOST …"."""


class _Unexplained(_Failed):
    """What is kept of the provider does not explain the token; what it publishes now may."""


class _Unpublished(_Unexplained):
    """No published key is the one that signed, or its algorithm is not among the published ones."""


def _explained(provider: Provider, token: str, came: float, *, new: bool) -> dict[str, Any]:
    """Return the claims under a signature that one of the provider's keys explains."""
    alg, kid = _header(token)
    unexplained: _Unexplained | None = None
    for keys in provider.editions_of_keys(came, at_once=new):
        try:
            return _verified(provider, token, alg, kid, keys)
        except _Unexplained as failed:
            unexplained = failed
            provider.note(f"the ID token of {provider.host} {failed}, by what is known of it so far")
    assert unexplained is not None
    if provider.knows_better_than(came):
        raise unexplained
    raise TransportError(
        f"the ID token of {provider.host} {unexplained}; its keys are asked for once in 5 minutes"
    ) from None


def _header(token: str) -> tuple[str, str | None]:
    """Return the algorithm and the key's id, both as the token claims them (RFC 7515 §4.1)."""
    segments = token.split(".")
    header = _json_object(segments[0])
    # NOTE: json, which PyJWT reads with, lets NaN and half a surrogate pair pass; what is kept must be real JSON.
    if header is None or claims_of(token) is None or not _BASE64URL.fullmatch(segments[2]):
        raise _Failed("is encrypted, which is not supported" if len(segments) == 5 else "is not a JWT")
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in _ALGORITHMS:
        raise _Failed(f"is signed with {foreign(str(alg), 20)}, which proves nothing")
    if kid is not None and not isinstance(kid, str):
        raise _Failed("names its key with something that is no string")
    return alg, kid


def _verified(provider: Provider, token: str, alg: str, kid: str | None, key_set: dict[str, object]) -> dict[str, Any]:
    """Return the claims if a key of the set explains the signature and may sign for their issuer, and aud is right."""
    import warnings

    import jwt  # 75 ms

    supported = provider.metadata().id_token_signing_alg_values_supported
    if supported is not None and alg not in supported:
        raise _Unpublished(f"is signed with {alg}, which is not among the algorithms in the provider's metadata")
    keys = _fitting(key_set, alg, kid)
    failed: _Failed = _Unexplained("has a signature that its key does not explain")
    for key in keys:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a short key is worth a word, but not one on stderr
                claims: dict[str, Any] = jwt.decode(
                    token,
                    jwt.PyJWK(key, algorithm=alg),
                    algorithms=[alg],
                    audience=provider.profile.client_id,
                    options={
                        "require": ["iss", "sub", "aud", "exp", "iat"],
                        "verify_iss": False,  # in _judge
                        "verify_exp": False,  # by our clock, in _judge_times
                        "verify_iat": False,
                        "verify_nbf": False,
                    },
                )
        except jwt.InvalidSignatureError:
            continue
        except Exception as error:
            if isinstance(error, jwt.InvalidTokenError):  # the signature is right, or the token cannot be read at all
                raise _Failed(_reason(error)) from None
            failed = _Unexplained(_reason(error))
        else:
            if provider.is_key_for(key, claims["iss"], claims.get("tid")):
                return _of_issuer(provider, claims)
            failed = _Unexplained("is signed with the key of another issuer")
    raise failed


def _of_issuer(provider: Provider, claims: dict[str, Any]) -> dict[str, Any]:
    """Return the claims if iss is the provider's (§3.1.3.7, point 2), by the metadata that are in use."""
    if not provider.is_issuer(claims["iss"], claims.get("tid")):
        raise _Unexplained(f"comes from another issuer ({foreign(str(claims['iss']), 100)})")
    return claims


def _fitting(key_set: dict[str, object], alg: str, kid: str | None) -> list[dict[str, Any]]:
    """Return the keys that may have signed: the ones with that id, or the only one that fits where there is no id.

    ``use``, ``key_ops`` and ``alg`` of a key are obeyed (RFC 7517 §4).
    """
    keys = key_set.get("keys")
    published = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    named = [key for key in published if kid is None or key.get("kid") == kid]
    if not named:
        raise _Unpublished("is signed with a key that the provider does not publish")
    kty, curves = _ALGORITHMS[alg]
    fitting = [
        key
        for key in named
        if key.get("kty") == kty
        and (not curves or key.get("crv") in curves)
        and key.get("use", "sig") == "sig"
        and key.get("alg", alg) == alg
        and _may_verify(key.get("key_ops"))
    ]
    if kid is None and len(fitting) != 1:
        raise _Unpublished(f"does not name its key, and {len(fitting)} of the provider's could be it")
    if not fitting:
        raise _Unpublished(f"is signed with {alg}, for which the key that it names is not meant")
    return fitting


def _may_verify(key_ops: object) -> bool:
    return key_ops is None or (isinstance(key_ops, list) and "verify" in key_ops)


def _reason(error: Exception) -> str:
    """Return what PyJWT found, in our words; its own may hold claims."""
    import jwt

    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"lacks {error.claim}"
    if isinstance(error, jwt.InvalidAudienceError):
        return "is for another client (aud)"
    if isinstance(error, jwt.InvalidKeyError | jwt.PyJWKError):
        return "is signed with a key that is published in a form that cannot be used"
    return f"cannot be used ({type(error).__name__})"


def _judge(provider: Provider, claims: dict[str, Any], nonce: str | None) -> None:
    """Check what PyJWT does not: sub, azp (§3.1.3.7, points 4 and 5) and nonce (point 11)."""
    if not claims["sub"]:
        raise _Failed("names nobody (sub is empty)")
    azp, aud = claims.get("azp"), claims["aud"]
    if azp is None and isinstance(aud, list) and len(set(aud)) > 1:
        raise _Failed("is for several clients and does not say for which (azp)")
    if azp is not None and azp != provider.profile.client_id:
        raise _Failed("was issued to another client (azp)")
    if nonce is not None and claims.get("nonce") != nonce:
        raise _Failed("answers another request (nonce)")


def _judge_times(provider: Provider, claims: dict[str, Any], now: float) -> None:
    """Check exp, iat and nbf (points 9 and 10); where our own clock explains a failure, say that instead."""
    problem = _time_problem(claims, now)
    if problem is None:
        return
    skew = provider.transport.skew
    if skew is not None and abs(skew) > LEEWAY and _time_problem(claims, now + skew) is None:
        way = "behind" if skew > 0 else "ahead of"
        raise ClockError(
            f"this machine's clock is {span(abs(skew))} {way} {provider.host}",
            hint="set the clock, then try again",
        )
    raise _Failed(problem)


def _time_problem(claims: dict[str, Any], now: float) -> str | None:
    exp, iat, nbf = (numeric_date(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if exp is None or iat is None or (nbf is None and claims.get("nbf") is not None):
        return "has a time that is no number"
    if exp + LEEWAY <= now:
        return f"expired {span(now - exp)} ago"
    if iat - LEEWAY > now:
        return f"was issued {span(iat - now)} in the future"
    if nbf is not None and nbf - LEEWAY > now:
        return f"is not valid before {span(nbf - now)} from now"
    return None


def _identity(claims: dict[str, Any]) -> Identity:
    return identity({name: value for name, value in claims.items() if isinstance(value, str)}, claims["sub"])


def identity(claims: Mapping[str, str], subject: str) -> Identity:
    """Return who claims name, all of them strings."""
    names = (claims.get(claim) for claim in ("preferred_username", "email", "name"))
    return Identity(
        subject=subject, name=next((name for name in names if name), None), claims=tuple(sorted(claims.items()))
    )
