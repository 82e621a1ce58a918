"""The ID token: who signed in (OpenID Connect Core 1.0 §2, §3.1.3.7, §12.2).

``claims.py`` looks into a token without believing it. ``validate`` believes: signed by a key of the provider's with an
algorithm of ours (algorithms.py) and of the provider's, made by the issuer, for this client, now. PyJWT checks the
signature, aud and that nothing required is missing; iss, which for some providers depends on the tenant, azp, nonce and
the times, which PyJWT takes from the machine, are checked here.

No token is refused by keys or metadata that are older than itself: where those do not explain it, they are renewed, as
far as the rules in discovery/keys.py let it. A check that fails is an AuthorizationError; one that cannot be made now
is a TransportError. A key or an algorithm that is not published even now is an UnpublishedKey: it may yet be, where
what is published comes through a cache.

A token that proves nothing (no signature that can be checked, a claim that is missing or broken) is Unproven, unless
it says of itself that it is not this answer's: another issuer, another client, another request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from credential_helper.errors import (
    AuthorizationError,
    ClockError,
    CredentialHelperError,
    RateLimited,
    TokenResponseError,
    TransportError,
    Unproven,
    UnpublishedKey,
)
from credential_helper.model import Identity, Secret
from credential_helper.oauth import algorithms
from credential_helper.oauth.claims import BASE64URL, LEEWAY, audiences, claims_of, json_object, time_problem
from credential_helper.oauth.loading import load_jwt
from credential_helper.text import foreign, span

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider

_MOST_KEYS = 20  # that one signature is compared with


def prepare() -> None:
    """Import what ``validate`` needs: 25 ms, for which there is time while the answer is waited for."""
    load_jwt()


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
    now = provider.clock.now()
    try:
        return _identity(
            _checked(
                provider,
                id_token.reveal(),
                nonce=nonce,
                at=now if at is None else at,
                came=now if came is None else came,
                new=new,
            )
        )
    except (TransportError, TokenResponseError, RateLimited) as error:
        raise _without_keys(provider, id_token.reveal(), nonce, now if came is None else came, error) from None


def _without_keys(
    provider: Provider, token: str, nonce: str | None, came: float, error: CredentialHelperError
) -> CredentialHelperError:
    """Return what to raise for a token whose keys cannot be had; that it is another's is known without them."""
    if contradiction := _of_another(provider, claims_of(token) or {}, nonce):
        return _raised_for(provider, contradiction)
    if provider.publishes_no_keys(came):
        return Unproven(f"the ID token of {provider.host} cannot be checked: {error.sentence}", hint=error.hint)
    if isinstance(error, TransportError):
        return error
    return TransportError(f"the ID token of {provider.host} cannot be checked now: {error.sentence}", hint=error.hint)


def _checked(provider: Provider, token: str, *, nonce: str | None, at: float, came: float, new: bool) -> dict[str, Any]:
    try:
        claims = _explained(provider, token, came, new=new)
        _judge(provider, claims, nonce)
        _judge_times(provider, claims, at)
    except _Failed as failed:
        raise _refusal(provider, token, failed, nonce) from None
    return claims


class _Failed(Exception):
    """A check failed; the text goes on from "the ID token of HOST …"."""

    kind: type[AuthorizationError] = AuthorizationError  # to be raised for it

    def __init__(self, problem: str, mend: str | None = None) -> None:
        super().__init__(problem)
        self.mend = mend  # what to do at the provider


class _Unproven(_Failed):
    """The token proves nothing; that it is another's answer is not said."""

    kind = Unproven


class _Unexplained(_Failed):
    """What is kept of the provider does not explain the token; what it publishes now may."""


class _Unpublished(_Unexplained):
    """No published key is the one that signed, or its algorithm is not among the published ones."""

    kind = UnpublishedKey


def _refusal(provider: Provider, token: str, failed: _Failed, nonce: str | None) -> AuthorizationError:
    """Return what to raise: of a token that proves nothing, what it says against itself counts all the same."""
    if issubclass(failed.kind, Unproven):
        failed = _contradiction(provider, claims_of(token) or {}, nonce) or failed
    return _raised_for(provider, failed)


def _raised_for(provider: Provider, failed: _Failed) -> AuthorizationError:
    error = failed.kind(f"the ID token of {provider.host} {failed}", hint=failed.mend)
    error.error = error.error or ("wrong_id_token" if failed.mend == _OTHERS else None)
    return error


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
        f"the ID token of {provider.host} {unexplained}; its keys are asked for once in 5 minutes",
        hint="nothing is lost: try again in a few minutes; a new sign-in asks at once",
    ) from None


def _header(token: str) -> tuple[str, str | None]:
    """Return the algorithm and the key's id, both as the token claims them (RFC 7515 §4.1)."""
    segments = token.split(".")
    header = json_object(segments[0])
    # NOTE: json, which PyJWT reads with, lets NaN and half a surrogate pair pass; what is kept must be real JSON.
    if header is None or claims_of(token) is None or not BASE64URL.fullmatch(segments[2]):
        if len(segments) == 5:
            raise _Unproven("is encrypted, which is not supported", algorithms.UNENCRYPTED)
        raise _Unproven("is not a JWT", algorithms.SIGNED)
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in algorithms.ALGORITHMS:
        raise _Unproven(algorithms.no_signature(alg), algorithms.SIGNED)
    if kid is not None and not isinstance(kid, str):
        raise _Unproven("names its key with something that is no string")
    return alg, kid


def _verified(provider: Provider, token: str, alg: str, kid: str | None, key_set: dict[str, object]) -> dict[str, Any]:
    """Return the claims if a key of the set explains the signature and may sign for their issuer, and aud is right."""
    import warnings

    load_jwt()
    import jwt

    if not algorithms.is_listed(alg, provider.metadata().id_token_signing_alg_values_supported):
        listed = "have the provider sign with an algorithm in its metadata (id_token_signing_alg_values_supported)"
        raise _Unpublished(
            f"is signed with {alg}, which is not among the algorithms in the provider's metadata", listed
        )
    keys = _fitting(key_set, alg, kid)
    failed: _Failed = _Unexplained("has a signature that its key does not explain")
    for key in keys:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a short key is worth a word, but not one on stderr
                claims: dict[str, Any] = jwt.decode(
                    token,
                    _public_key(key, alg),
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
                raise _reason(error) from None
            failed = _Unexplained(str(_reason(error)))
        else:
            if provider.is_key_for(key, claims["iss"], claims.get("tid")):
                return _of_issuer(provider, claims)
            failed = _Unexplained("is signed with the key of another issuer")
    raise failed


def _public_key(key: dict[str, Any], alg: str) -> Any:
    """Return PyJWT's key, which verifies with this algorithm and with no other."""
    import jwt

    if alg not in algorithms.EDDSA:
        return jwt.PyJWK(key, algorithm=alg)
    found = jwt.PyJWK(key, algorithm="EdDSA")
    found.algorithm_name = alg  # PyJWT 2.15 does not know RFC 9864's names; it compares this one with the header's
    return found


def _of_issuer(provider: Provider, claims: dict[str, Any]) -> dict[str, Any]:
    """Return the claims if iss is the provider's (§3.1.3.7, point 2), by the metadata that are in use."""
    if not isinstance(claims["iss"], str):
        raise _Unproven("names an issuer that is no string (iss)")
    if not provider.is_issuer(claims["iss"], claims.get("tid")):
        raise _another_issuer(claims)
    return claims


def _another_issuer(claims: Mapping[str, object]) -> _Unexplained:
    return _Unexplained(f"comes from another issuer ({foreign(str(claims['iss']), 100)})", _OTHERS)


def _fitting(key_set: dict[str, object], alg: str, kid: str | None) -> list[dict[str, Any]]:
    """Return the keys that may have signed: the ones with that id, or all that fit where there is no id.

    A provider owes the id where it has several keys (OIDC Core §10.1); while keys without one change, it has two.
    """
    keys = key_set.get("keys")
    published = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    named = [key for key in published if kid is None or key.get("kid") == kid]
    if not named:
        raise _Unpublished("is signed with a key that the provider does not publish")
    fitting = [key for key in named if algorithms.fits(key, alg)]
    if not fitting:
        meant = "none of the provider's keys is" if kid is None else "the key that it names is not"
        raise _Unpublished(f"is signed with {alg}, for which {meant} meant")
    return fitting[:_MOST_KEYS]


def _reason(error: Exception) -> _Failed:
    """Return what PyJWT found, in our words; its own may hold claims."""
    import jwt

    if isinstance(error, jwt.MissingRequiredClaimError):
        return _Unproven(f"lacks {error.claim}")
    if isinstance(error, jwt.InvalidAudienceError):
        return _Unproven("does not say for which client it is (aud)")  # another client's: in _of_another
    if isinstance(error, jwt.exceptions.InvalidSubjectError):
        return _Unproven("names somebody in a way that is no string (sub)")
    if isinstance(error, jwt.InvalidKeyError | jwt.PyJWKError):
        return _Unproven("is signed with a key that is published in a form that cannot be used")
    return _Unproven(f"cannot be used ({type(error).__name__})")


def _judge(provider: Provider, claims: dict[str, Any], nonce: str | None) -> None:
    """Check what PyJWT does not: azp, nonce and sub (§3.1.3.7)."""
    contradiction = _contradiction(provider, claims, nonce)
    if contradiction is not None:
        raise contradiction
    if claims.get("azp", provider.profile.client_id) not in (None, provider.profile.client_id):
        raise _Unproven("was issued to another client (azp)")
    if nonce is not None and claims.get("nonce") is None:
        raise _Unproven("does not say which request it answers (nonce)")
    if not claims["sub"]:
        raise _Unproven("names nobody (sub is empty)")


def _contradiction(provider: Provider, claims: Mapping[str, object], nonce: str | None) -> _Failed | None:
    """Return what in claims says that the token is not for us (§3.1.3.7, points 2, 3, 5 and 11)."""
    if isinstance(claims.get("iss"), str) and not provider.is_issuer(claims["iss"], claims.get("tid")):
        return _another_issuer(claims)
    return _of_another(provider, claims, nonce)


def _of_another(provider: Provider, claims: Mapping[str, object], nonce: str | None) -> _Failed | None:
    """Return what in claims names another client or request; a claim that is no name says nothing of the kind.

    Several audiences need no azp (as of errata set 2: azp is for extensions, and checked where it is there).
    """
    client_id = provider.profile.client_id
    azp = claims.get("azp")
    named = [name for name in audiences(claims) if isinstance(name, str)]
    if named and client_id not in named:
        return _Failed("is for another client (aud)", _OTHERS)
    if isinstance(azp, str) and azp not in ("", client_id):
        return _Failed("was issued to another client (azp)", _OTHERS)
    if nonce is not None and claims.get("nonce") not in (None, nonce):
        return _Failed("answers another request (nonce)", _OTHERS)
    return None


_OTHERS = "check issuer and client_id: an answer for somebody else is never used"


def _judge_times(provider: Provider, claims: dict[str, Any], now: float) -> None:
    """Check exp, iat and nbf (points 9 and 10); where our own clock explains a failure, say that instead."""
    problem = time_problem(claims, now)
    if problem is None:
        return
    skew = provider.transport.skew
    if skew is not None and abs(skew) > LEEWAY and time_problem(claims, now + skew) is None:
        way = "behind" if skew > 0 else "ahead of"
        raise ClockError(
            f"this machine's clock is {span(abs(skew))} {way} {provider.host}",
            hint="set the clock, then try again",
        )
    raise _Unproven(problem)


def _identity(claims: dict[str, Any]) -> Identity:
    return identity({name: value for name, value in claims.items() if isinstance(value, str)}, claims["sub"])


def identity(claims: Mapping[str, str], subject: str) -> Identity:
    """Return who claims name, all of them strings."""
    names = (claims.get(claim) for claim in ("preferred_username", "email", "name"))
    return Identity(
        subject=subject, name=next((name for name in names if name), None), claims=tuple(sorted(claims.items()))
    )
