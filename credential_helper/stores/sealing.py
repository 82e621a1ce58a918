"""A refresh token sealed under a key that only the keyring holds: AES-256-GCM (NIST SP 800-38D).

The grant's id is the associated data, so what was sealed for one grant opens for no other. A key is made once per
grant: a keyring is slow, may lock in the middle, and takes no more than 2,560 bytes on Windows.
"""

from __future__ import annotations

import base64
import binascii
import os

from credential_helper.model import Secret

_NONCE = 12  # bytes, drawn for each sealing
_KEY = 32  # bytes


def new_key() -> Secret:
    """Draw a key, as text that a keyring can hold."""
    return Secret(base64.b64encode(os.urandom(_KEY)).decode())


def seal(token: Secret, key: Secret, grant: str) -> str:
    """Seal a token for a grant."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 20 ms, and only a grant in a keyring needs it

    nonce = os.urandom(_NONCE)
    sealed = AESGCM(_bytes(key)).encrypt(nonce, token.reveal().encode(), grant.encode())
    return base64.b64encode(nonce + sealed).decode()


def unseal(sealed: str, key: Secret, grant: str) -> Secret | None:
    """Open what was sealed for a grant; None: it was sealed under another key, or for another grant, or is damaged."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        content = base64.b64decode(sealed, validate=True)
        return Secret(AESGCM(_bytes(key)).decrypt(content[:_NONCE], content[_NONCE:], grant.encode()).decode())
    except (InvalidTag, ValueError):  # of base64, of a key or a nonce of another length, of UTF-8
        return None


def usable(key: Secret) -> bool:
    """Say whether this is a key that ``new_key`` has made."""
    try:
        return len(_bytes(key)) == _KEY
    except ValueError:
        return False


def _bytes(key: Secret) -> bytes:
    try:
        return base64.b64decode(key.reveal(), validate=True)
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("not base64") from error
