"""A refresh token under a key: what opens it, and that nothing else does."""

from __future__ import annotations

import base64

import pytest

from credential_helper.model import Secret
from credential_helper.stores.sealing import new_key, seal, unseal, usable

GRANT = "a" * 64
TOKEN = Secret("the-refresh-token")


def test_what_was_sealed_once_opens_for_ever() -> None:
    # AES-256-GCM (NIST SP 800-38D): the key is the bytes 0 to 31, the nonce 0 to 11, the grant's id authenticated data.
    key = Secret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    sealed = "AAECAwQFBgcICQoLM2qzNreApGnoMv+mxYYTCO1HdFKy8oWtKQwVBHtWzt4F"
    assert unseal(sealed, key, GRANT) == TOKEN


@pytest.mark.parametrize("token", ["the-refresh-token", "", "é" * 5000, "1/" + "x" * 10_000])
def test_a_token_comes_out_as_it_went_in(token: str) -> None:
    key = new_key()
    assert unseal(seal(Secret(token), key, GRANT), key, GRANT) == Secret(token)


def test_the_token_is_not_in_it_and_no_two_are_the_same() -> None:
    key = new_key()
    sealed = {seal(TOKEN, key, GRANT) for _ in range(100)}
    assert len(sealed) == 100
    assert all(TOKEN.reveal().encode() not in base64.b64decode(one) for one in sealed)
    assert len({base64.b64decode(one)[:12] for one in sealed}) == 100  # a nonce never comes twice


def test_it_opens_for_no_other_grant_and_under_no_other_key() -> None:
    key = new_key()
    sealed = seal(TOKEN, key, GRANT)
    assert unseal(sealed, key, "b" * 64) is None
    assert unseal(sealed, new_key(), GRANT) is None


def test_a_changed_bit_anywhere_is_noticed() -> None:
    key = new_key()
    content = base64.b64decode(seal(TOKEN, key, GRANT))
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        assert unseal(base64.b64encode(changed).decode(), key, GRANT) is None, position


def test_what_was_cut_short_is_noticed() -> None:
    key = new_key()
    content = base64.b64decode(seal(TOKEN, key, GRANT))
    for length in range(len(content)):
        assert unseal(base64.b64encode(content[:length]).decode(), key, GRANT) is None, length


@pytest.mark.parametrize("sealed", ["", "?", "é", "AAAA\n", " ", "the-refresh-token", "A" * 100_001])
def test_what_is_no_sealed_token_is_none(sealed: str) -> None:
    assert unseal(sealed, new_key(), GRANT) is None


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_256_random_bits_that_fit_into_every_keyring() -> None:
    keys = [new_key() for _ in range(100)]
    assert len(set(keys)) == 100
    assert {len(base64.b64decode(key.reveal())) for key in keys} == {32}
    assert all(usable(key) and len(key.reveal().encode("utf-16-le")) < 2560 for key in keys)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "the-refresh-token",
        "é",
        base64.b64encode(bytes(16)).decode(),
        base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(33)).decode(),
        base64.b64encode(bytes(32)).decode() + "\n",
        base64.b64encode(bytes(32)).decode()[:-1],
    ],
)
def test_what_is_no_key_is_not_used_and_opens_nothing(key: str) -> None:
    assert not usable(Secret(key))
    assert unseal(seal(TOKEN, new_key(), GRANT), Secret(key), GRANT) is None
