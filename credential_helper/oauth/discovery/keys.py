"""A provider's keys: its JWKS (RFC 7517 §5), and when it is asked for again.

Keys are kept for 24 h; older ones serve while the provider cannot be reached. An unknown key makes them renewed: once
per process, and at most once in 5 minutes by the time on disk. They are asked for where the metadata say now: an
address that was left may go on serving old keys. Where nothing is there any more (404), the metadata are renewed once.

Only public members of asymmetric keys are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper.errors import CredentialHelperError, TokenResponseError, TransportError
from credential_helper.oauth.discovery.cache import KEPT, Cache, KeptKeys

if TYPE_CHECKING:
    from credential_helper.oauth.discovery.metadata import Discovery
    from credential_helper.text import Note
    from credential_helper.transport.client import Transport

KEYS_RENEWED = 300.0  # seconds between two renewals of the keys

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
        self.are_new = False  # fetched by this process: a key that is not among them is not published

    def key_set(self, *, renew: bool = False) -> dict[str, object]:
        """Return the JWKS; ``renew`` asks for a new one as far as the rules let it.

        ``are_new`` says afterwards whether this process has fetched it. Raises TransportError, RateLimited,
        TokenResponseError.
        """
        jwks_uri = self._discovery.metadata(fresh=renew).jwks_uri  # old keys may go on at an address that was left
        if jwks_uri is None:
            raise TokenResponseError(
                f"{self._discovery.host} publishes no keys (no jwks_uri in its metadata)",
                hint="endpoints.jwks can name them",
            )
        if self._kept is None:
            self._kept = self._cache.keys()
        kept = self._kept
        if kept is None or kept.jwks_uri != jwks_uri:
            return _key_set(self._renew(jwks_uri))
        if self.are_new or self._cache.is_young(kept.made, KEYS_RENEWED if renew else KEPT):
            return _key_set(kept)
        try:
            return _key_set(self._renew(jwks_uri))
        except CredentialHelperError as error:
            if renew:
                raise
            self._note(f"the kept keys of {self._discovery.host} serve on: {error.sentence}")
            return _key_set(kept)

    def _renew(self, jwks_uri: str) -> KeptKeys:
        try:
            keys = self._fetch(jwks_uri)
        except TransportError as error:
            moved = self._discovery.renew().jwks_uri if error.stale_address and not self._discovery.asked else None
            if moved is None or moved == jwks_uri:
                raise
            jwks_uri, keys = moved, self._fetch(moved)
        self._kept = self._cache.keep_keys(keys, jwks_uri=jwks_uri)
        self.are_new = True
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
