"""The algorithms that a signature may be made with, and what is wrong with any other (RFC 7518 §3.1, RFC 9864)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from credential_helper.text import foreign

# Never none, never HS*: a client secret, or a public key taken for one, is not a signature (RFC 8725 §2.1).
# The key that belongs to each: its type, and its curve where the algorithm has one (RFC 7518 §3.1, RFC 8037 §3.1).
ALGORITHMS: dict[str, tuple[str, tuple[str, ...]]] = {
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
    "Ed25519": ("OKP", ("Ed25519",)),  # RFC 9864 §2.2: what EdDSA means depends on the key, these do not
    "Ed448": ("OKP", ("Ed448",)),
}
SIGNED = "have the provider sign this client's ID tokens with RS256, ES256 or EdDSA (id_token_signed_response_alg)"
UNENCRYPTED = "switch off encrypted ID tokens for this client at the provider (id_token_encrypted_response_alg)"
EDDSA = frozenset({"EdDSA", "Ed25519", "Ed448"})  # names of one algorithm, where the key's curve fits


def is_listed(alg: str, listed: Collection[str] | None) -> bool:
    """Say whether metadata let one of ours be used; a list without any of them says nothing."""
    ours = set(listed or ()) & ALGORITHMS.keys()
    return not ours or alg in ours or (alg in EDDSA and bool(ours & EDDSA))


def no_signature(alg: object) -> str:
    """Say what is wrong with an algorithm that is none of ours."""
    if not isinstance(alg, str) or not alg:
        return "does not say what it is signed with (alg)"
    if alg.lower() == "none":
        return "is not signed (alg none)"
    if alg.startswith("HS"):
        return f"is signed with {foreign(alg, 20)}, a secret that is shared, which proves nothing about who made it"
    return f"is signed with {foreign(alg, 20)}, which cannot be checked here"


def fits(key: Mapping[str, object], alg: str) -> bool:
    """Say whether a key may have signed with an algorithm; its use, key_ops and alg are obeyed (RFC 7517 §4)."""
    kty, curves = ALGORITHMS[alg]
    key_ops = key.get("key_ops")
    return (
        key.get("kty") == kty
        and (not curves or key.get("crv") in curves)
        and key.get("use") in (None, "sig")
        and (key.get("alg") in (None, alg) or {key.get("alg"), alg} <= EDDSA)
        and (key_ops is None or (isinstance(key_ops, list) and "verify" in key_ops))
    )
