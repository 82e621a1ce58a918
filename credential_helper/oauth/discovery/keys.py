"""A provider's keys: its JWKS (RFC 7517 §5), and when it is asked for again.

Keys are kept for 24 h; older ones serve while the provider cannot be reached. A token that they do not explain is never
refused by what is kept from before it came: a provider may change its keys, their address and its algorithm whenever it
likes. So the keys are asked for again, and where that does not do, the metadata: an address that was left may go on
serving old keys. Of a new sign-in that happens at once, after a refresh at most once in 5 minutes.

Only public members of asymmetric keys are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from credential_helper.errors import CredentialHelperError, TokenResponseError, TransportError
from credential_helper.oauth.discovery.cache import KEPT, Cache, KeptKeys

if TYPE_CHECKING:
    from credential_helper.oauth.discovery.metadata import Discovery
    from credential_helper.text import Note
    from credential_helper.transport.client import Transport

# The members of a JWK that are used; a symmetric or private one is never kept (RFC 7517 §4, RFC 7518 §6). ``issuer`` is
# Entra's own: the tenants that the key may sign for.
_KEY_MEMBERS = ("kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y", "issuer")


class Keys:
    """The keys of a profile's provider, for the time of one process."""

    def __init__(self, discovery: Discovery, *, transport: Transport, cache: Cache, note: Note) -> None:
        self._discovery = discovery
        self._transport = transport
        self._cache = cache
        self._note = note
        self._kept: KeptKeys | None = None

    def key_set(self) -> dict[str, object]:
        """Return the JWKS: what is kept for a day, or for as long as there is none to be had.

        Raises TransportError, RateLimited, TokenResponseError.
        """
        jwks_uri = self._address()
        if self._kept is None:
            self._kept = self._cache.keys()
        kept = self._kept
        if kept is None or kept.jwks_uri != jwks_uri:
            return _key_set(self._renew(jwks_uri))
        if self._cache.is_young(kept.made, KEPT):
            return _key_set(kept)
        try:
            return _key_set(self._renew(jwks_uri))
        except CredentialHelperError as error:
            self._note(f"the kept keys of {self._discovery.host} serve on: {error.sentence}")
            return _key_set(kept)

    def editions(self, came: float, *, at_once: bool) -> Iterator[dict[str, object]]:
        """Yield the JWKS as it is kept, then as it is published now, then as new metadata have it.

        For a token that came at ``came`` (seconds since the epoch); each is asked for when the one before did not do.
        ``at_once``: however short the last time is ago. What could not be had is raised when all the rest is yielded:
        TransportError, RateLimited, TokenResponseError.
        """
        before = self._discovery.metadata()
        trouble: CredentialHelperError | None = None
        try:
            yield self.key_set()
            if self._renewed_for(came, at_once=at_once):
                yield self.key_set()
        except CredentialHelperError as error:
            trouble = error
        if self._discovery.renew_for(came, at_once=at_once) != before:
            yield self.key_set()
        elif trouble is not None:
            raise trouble

    def is_newer_than(self, moment: float) -> bool:
        """Say whether the keys in use were received after ``moment``, and the metadata that say where they are."""
        kept = self._kept
        newer = kept is not None and self._cache.is_newer(kept.made, moment)
        return newer and self._discovery.is_newer_than(moment)

    def _renewed_for(self, came: float, *, at_once: bool) -> bool:
        """Ask for keys that are newer than a token, as far as the rules let it; say whether that was done."""
        kept = self._kept
        if kept is None or not self._cache.may_be_renewed(kept.made, came, at_once=at_once):
            return False
        self._renew(self._address(fresh=True))  # old keys may go on at an address that was left
        return True

    def _address(self, *, fresh: bool = False) -> str:
        jwks_uri = self._discovery.metadata(fresh=fresh).address("jwks_uri")
        if jwks_uri is None:
            raise TokenResponseError(
                f"{self._discovery.host} publishes no keys (no jwks_uri in its metadata)",
                hint="endpoints.jwks can name them",
            )
        return jwks_uri

    def _renew(self, jwks_uri: str) -> KeptKeys:
        try:
            keys = self._fetch(jwks_uri)
        except TransportError as error:
            moved = self._discovery.renew().jwks_uri if error.stale_address and not self._discovery.asked else None
            if moved is None or moved == jwks_uri:
                raise
            jwks_uri, keys = moved, self._fetch(moved)
        self._kept = self._cache.keep_keys(keys, jwks_uri=jwks_uri)
        return self._kept

    def _fetch(self, jwks_uri: str) -> list[dict[str, object]]:
        answer = self._transport.get(jwks_uri)
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


def _key_set(kept: KeptKeys) -> dict[str, object]:
    return {"keys": kept.keys}
