"""What stands in a fleet's cache: names that tell nothing, and values that only its own machines can read or make.

Both come from a secret that all machines have, and with which each could fetch a token itself: HKDF-SHA256 (RFC 5869)
makes of it a key for names (HMAC-SHA256 of what a token is for) and one for values (AES-256-GCM, NIST SP 800-38D).
Another secret makes other names and other keys, so what an old one has left is never found.

A value's name, generation and expiry are the associated data. So whoever can write there, and has no secret, can delete
a value, or bring back one that is still valid, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec

from credential_helper.model import Secret

PREFIX = "credential-helper:"  # of every name there, for the server's ACL
_NONCE = 12  # bytes, drawn for each sealing: random ones are safe for 2^32 values (SP 800-38D §8.3)

T = TypeVar("T")

# Why there is no token: the provider asks to wait; none that comes is for sharing; none was to be had.
Kind = Literal["later", "alone", "failed"]


class Names(NamedTuple):
    """The names of one token there; what stands in braces puts them into one slot of a cluster."""

    token: str
    lock: str
    generation: str
    note: str
    channel: str


class SharedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, sealed there."""

    value: str
    lifetime: float  # seconds, of all its life
    expires_at: float  # by the clock of the machine that fetched it
    scope: tuple[str, ...] = ()


class SharedNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine found out, for all: sealed, too."""

    kind: Kind


class Keys:
    """The two keys of one secret. Their repr shows nothing."""

    def __init__(self, parts: Sequence[Secret]) -> None:
        """``parts`` are the secrets that all machines have, in order."""
        material = b""
        for part in parts:
            content = part.reveal().encode(errors="surrogatepass")
            material += len(content).to_bytes(8, "big") + content
        self._name = _derived(material, b"credential-helper shared cache 1: names")
        self._value = _derived(material, b"credential-helper shared cache 1: values")

    def names(self, identity: Mapping[str, object]) -> Names:
        """Name what a token is for; the order of keys does not matter."""
        import hashlib
        import hmac
        import json

        canonical = json.dumps(identity, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest = hmac.new(self._name, canonical.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()[:32]
        stem = f"{PREFIX}{{{digest}}}"
        return Names(*(f"{stem}:{end}" for end in ("token", "lock", "generation", "note", "done")))

    def seal(self, content: SharedToken | SharedNote, name: str, generation: int, expires_at: int) -> bytes:
        """Seal what is to stand under a name; ``expires_at`` is by the server's clock."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self._value).encrypt(
            nonce, msgspec.json.encode(content), _associated(name, generation, expires_at)
        )
        return nonce + sealed

    def unseal(self, sealed: bytes, kind: type[T], name: str, generation: int, expires_at: int) -> T | None:
        """Open what stands under a name; None: it was sealed under another key or for something else, or is damaged."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            content = AESGCM(self._value).decrypt(
                sealed[:_NONCE], sealed[_NONCE:], _associated(name, generation, expires_at)
            )
            return msgspec.json.decode(content, type=kind)
        except (InvalidTag, ValueError):  # of a nonce of another length; msgspec's are among them
            return None


def _associated(name: str, generation: int, expires_at: int) -> bytes:
    return f"{name}\n{generation}\n{expires_at}".encode()


def _derived(material: bytes, purpose: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(material)
