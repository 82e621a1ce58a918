from __future__ import annotations

import base64
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from credential_helper.errors import ConfigurationError
from credential_helper.model import Endpoints, Secret
from credential_helper.oauth.client_authentication import private_key_jwt, private_keys
from credential_helper.oauth.provider import Provider
from integration.servers.hostile_provider import HostileProvider, signing_key, write_certificates
from tests.helpers.assertions import ORIGIN, Assertion, certificate_of, client_at, jwk, pem, verified
from tests.helpers.clock import FakeClock

ALGORITHMS = ["RS256", "RS384", "PS256", "PS384", "ES256", "ES384", "EdDSA", "Ed25519", "Ed448"]
JWKS = ["RS256", "ES256", "ES384", "EdDSA"]  # one of each kind of key


def public_pem(private: Any) -> str:
    written: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return written.decode()


def made(provider: Provider, alg: str = "ES256") -> Assertion:
    """Return an assertion, verified with the public half of ``signing_key(alg)``."""
    return verified(private_key_jwt.make(provider).reveal(), signing_key(alg).private)


# --- the assertion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_an_assertion_says_who_for_whom_and_for_how_long(hostile: HostileProvider, clock: FakeClock, alg: str) -> None:
    provider = client_at(hostile, clock, pem(signing_key(alg).private), algorithm=alg, kid="k7")
    header, claims = made(provider, alg)
    assert header == {"alg": alg, "typ": "JWT", "kid": "k7"}
    jti = claims.pop("jti")
    assert claims == {
        "iss": "cli",
        "sub": "cli",
        "aud": hostile.issuer,
        "iat": int(clock.now()),
        "exp": int(clock.now()) + 60,
    }
    assert len(jti) == 32


def test_every_assertion_has_an_identity_of_its_own(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = client_at(hostile, clock)
    assert len({made(provider).claims["jti"] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("alg", "default"),
    [("PS384", "RS256"), ("ES256", "ES256"), ("ES384", "ES384"), ("Ed25519", "EdDSA"), ("Ed448", "EdDSA")],
)
def test_what_a_key_signs_with_where_nobody_says(
    hostile: HostileProvider, clock: FakeClock, alg: str, default: str
) -> None:
    assert made(client_at(hostile, clock, pem(signing_key(alg).private)), alg).header == {"alg": default, "typ": "JWT"}


@pytest.mark.parametrize(
    ("alg", "listed", "chosen"),
    [
        ("RS256", ["PS256", "ES256"], "PS256"),  # FAPI
        ("RS256", ["PS384", "RS384"], "RS384"),
        ("RS256", ["HS256", "RS256", "PS256"], "RS256"),
        ("EdDSA", ["RS256", "Ed25519"], "Ed25519"),
        ("EdDSA", ["Ed25519", "EdDSA"], "EdDSA"),
        ("Ed448", ["Ed448"], "Ed448"),
        ("RS256", ["ES256", "HS256", "ML-DSA-44"], "RS256"),
        ("RS256", [], "RS256"),
        ("RS256", None, "RS256"),
    ],
)
def test_the_metadata_choose_among_what_a_key_can(
    hostile: HostileProvider, clock: FakeClock, alg: str, listed: list[str] | None, chosen: str
) -> None:
    hostile.serve_metadata(token_endpoint_auth_signing_alg_values_supported=listed)
    key = pem(signing_key(alg).private)
    assert made(client_at(hostile, clock, key), alg).header["alg"] == chosen
    own = "RS384" if alg == "RS256" else alg
    assert made(client_at(hostile, clock, key, algorithm=own), alg).header["alg"] == own


def test_what_a_provider_is_known_to_want_comes_first_unless_its_metadata_have_no_use_for_it(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    for listed, chosen in ((["RS256", "PS256"], "PS256"), (["RS256"], "RS256")):
        hostile.serve_metadata(token_endpoint_auth_signing_alg_values_supported=listed)
        provider = client_at(hostile, clock, pem(signing_key("RS256").private), provider="entra")
        assert made(provider, "RS256").header["alg"] == chosen


# Fractions of a second are cut, not rounded: an assertion from the future is refused.
@pytest.mark.parametrize("ahead", [840.0, -840.0, 0.25])
def test_the_times_are_the_providers_where_its_clock_is_known(clock: FakeClock, ahead: float) -> None:
    with HostileProvider(now=lambda: clock.now() + ahead) as hostile:
        hostile.serve_metadata()
        claims = made(client_at(hostile, clock)).claims
    assert claims["iat"] == int(clock.now() + ahead)
    assert claims["exp"] == claims["iat"] + 60


def test_the_times_are_this_machines_where_nobody_has_answered_yet(hostile: HostileProvider, clock: FakeClock) -> None:
    endpoints = Endpoints(token=f"{hostile.url}/token", jwks=f"{hostile.url}/jwks")
    provider = client_at(hostile, clock, endpoints=endpoints, flow="client-credentials")
    assert made(provider).claims["iat"] == int(clock.now())
    assert provider.transport.skew is None
    assert not hostile.requests


@pytest.mark.parametrize(("configured", "written"), [("", "/"), ("/", "/"), ("/", ""), ("", "")])
def test_the_issuer_is_meant_in_the_form_of_its_own_document(
    hostile: HostileProvider, clock: FakeClock, configured: str, written: str
) -> None:
    hostile.serve_metadata(issuer=hostile.url + written)
    assert made(client_at(hostile, clock, issuer=hostile.url + configured)).claims["aud"] == hostile.url + written


@pytest.mark.parametrize(
    ("aud", "meant"),
    [
        ("issuer", "{url}"),
        ("token_endpoint", "{url}/token"),
        ("https://elsewhere.example/a", "https://elsewhere.example/a"),
        ("urn:x", "urn:x"),
    ],
)
@pytest.mark.parametrize("known", ["generic", "entra"])  # the issuer's, and the token endpoint's
def test_the_profile_can_name_another_audience(
    hostile: HostileProvider, clock: FakeClock, aud: str, meant: str, known: str
) -> None:
    provider = client_at(hostile, clock, aud=aud, provider=known)
    assert made(provider).claims["aud"] == meant.format(url=hostile.url)


def test_without_a_word_in_the_profile_the_provider_is_known_for_its_audience(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    assert made(client_at(hostile, clock, provider="entra")).claims["aud"] == f"{hostile.url}/token"


def test_an_assertion_that_no_provider_takes_is_not_sent(hostile: HostileProvider, clock: FakeClock) -> None:
    key = pem(signing_key("RS256").private)
    assert len(private_key_jwt.make(client_at(hostile, clock, key, kid="k" * 60)).reveal()) < 800
    provider = client_at(hostile, clock, key, aud="https://op.example/" + "a" * 2000)
    with pytest.raises(ConfigurationError, match=r"the client assertion has 3\d{3} bytes, .* at most 2048"):
        private_key_jwt.make(provider)


def test_a_profile_without_a_key_is_told_so(hostile: HostileProvider, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="no private_key") as caught:
        private_key_jwt.make(client_at(hostile, clock, private_key=None))
    assert "private_key = { file" in (caught.value.hint or "")


# --- the certificate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["PS256", "ES256", "ES384", "EdDSA", "Ed448"])
def test_the_thumbprint_of_the_certificate_is_in_the_header(
    hostile: HostileProvider, clock: FakeClock, tmp_path: Path, alg: str
) -> None:
    private = signing_key(alg).private
    own, thumbprint = certificate_of(private)
    other, _ = certificate_of(rsa())
    path = tmp_path / "cert.pem"
    for written in (own, own.replace("\n", "\r\n"), f"subject=CN = ci\n{own}{other}", f"{pem(private)}{own}"):
        path.write_text(written, newline="")
        provider = client_at(hostile, clock, pem(private), algorithm=alg, certificate=path, kid="k7")
        header = made(provider, alg).header
        assert header == {"alg": alg, "typ": "JWT", "kid": "k7", "x5t#S256": thumbprint}
        private_keys.load.cache_clear()  # it knows the path, and not that the test has changed what is there


def test_the_provider_is_known_for_its_algorithm_where_nobody_says_and_the_key_can(
    hostile: HostileProvider, clock: FakeClock
) -> None:
    def signed(key: Any, alg: str, **more: Any) -> object:
        return made(client_at(hostile, clock, key, provider="entra", **more), alg).header["alg"]

    assert signed(pem(rsa()), "RS256") == "PS256"
    assert signed(pem(rsa()), "RS256", algorithm="RS256") == "RS256"
    assert signed(jwk("RS256", alg="RS384"), "RS256") == "RS384"
    assert signed(pem(p256()), "ES256") == "ES256"


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        pytest.param(None, "cannot be read: no such file or directory", id="missing"),
        pytest.param("", "has no certificate in PEM form in it", id="empty"),
        pytest.param("\udcff\0", "has no certificate in PEM form in it", id="not text"),
        pytest.param(
            "-----BEGIN CERTIFICATE-----\n!?\n-----END CERTIFICATE-----\n",
            "has no certificate in PEM form in it",
            id="damaged",
        ),
        pytest.param("key", "has no certificate in PEM form in it", id="the key"),
        pytest.param("other", "is of another key", id="another key's"),
    ],
)
def test_a_certificate_that_will_not_do_is_told_with_what_to_do(
    hostile: HostileProvider, clock: FakeClock, tmp_path: Path, written: str | None, sentence: str
) -> None:
    path = tmp_path / "cert.pem"
    key = pem(p256())
    if written is not None:
        texts = {"key": key, "other": certificate_of(signing_key("ES256", "another").private)[0]}
        path.write_text(texts.get(written, written), errors="surrogateescape")
    said, advice = refused(hostile, clock, key, certificate=path).split("\n")
    assert said == f": private_key's certificate {path} {sentence}"
    assert "openssl req -x509 -new -key key.pem" in advice


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
def test_a_certificate_is_a_regular_file(hostile: HostileProvider, clock: FakeClock, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, "/dev/zero"):
        said = refused(hostile, clock, pem(p256()), certificate=path)
        assert f"certificate {path} is not a regular file" in said


# --- keys that will do ------------------------------------------------------------------------------------------------


def beside_other_blocks(written: str) -> str:
    """What ``openssl ecparam -genkey`` and ``openssl pkcs12 -nodes`` leave around a key."""
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    certificate = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUE\n-----END CERTIFICATE-----\n"
    return f"Bag Attributes\n    friendlyName: k\n{parameters}{written}{certificate}"


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda text: text, id="as it is"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="crlf"),
        pytest.param(lambda text: "\ufeff" + text, id="bom"),
        pytest.param(lambda text: text.replace("\n", "\n    "), id="indented"),
        pytest.param(lambda text: text.replace("\n", " "), id="joined lines"),
        pytest.param(beside_other_blocks, id="beside other blocks"),
    ],
)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("alg", JWKS)
def test_a_pem_key_signs(
    hostile: HostileProvider, clock: FakeClock, alg: str, form: PrivateFormat, written: Callable[[str], str]
) -> None:
    if alg == "EdDSA":
        form = PrivateFormat.PKCS8  # there is no older one
    text = pem(signing_key(alg).private, form)
    kind = "" if form is PrivateFormat.PKCS8 else "RSA " if alg == "RS256" else "EC "
    assert text.startswith(f"-----BEGIN {kind}PRIVATE KEY-----")
    assert made(client_at(hostile, clock, written(text)), alg).header["alg"] == alg


@pytest.mark.parametrize("alg", JWKS)
def test_a_jwk_signs_and_names_itself(hostile: HostileProvider, clock: FakeClock, alg: str) -> None:
    assert made(client_at(hostile, clock, jwk(alg)), alg).header == {"alg": alg, "typ": "JWT"}
    written = jwk(alg, kid="own", use="sig", key_ops=["sign", "verify"], alg=alg)
    assert made(client_at(hostile, clock, written), alg).header == {"alg": alg, "typ": "JWT", "kid": "own"}


def test_a_jwk_without_its_primes_signs(hostile: HostileProvider, clock: FakeClock) -> None:
    bare = jwk("RS256", p=None, q=None, dp=None, dq=None, qi=None)
    assert made(client_at(hostile, clock, bare), "RS256").header["alg"] == "RS256"


def test_a_jwk_says_with_what_it_signs_and_the_profile_knows_better(hostile: HostileProvider, clock: FakeClock) -> None:
    written = jwk("RS256", kid="own", alg="PS384")
    assert made(client_at(hostile, clock, written), "RS256").header == {"alg": "PS384", "typ": "JWT", "kid": "own"}
    provider = client_at(hostile, clock, written, kid="k9", algorithm="RS384")
    assert made(provider, "RS256").header == {"alg": "RS384", "typ": "JWT", "kid": "k9"}
    unknown = client_at(hostile, clock, {**written, "alg": "RS512"}, algorithm="PS256")
    assert made(unknown, "RS256").header["alg"] == "PS256"


def test_the_one_private_key_of_a_set_that_may_sign_is_taken(hostile: HostileProvider, clock: FakeClock) -> None:
    others: list[object] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        jwk("ES384", d=None, kid="b"),
        jwk("RS256", use="enc", kid="c"),
        jwk("RS256", key_ops=["decrypt"], kid="d"),
        "no key",
    ]
    provider = client_at(hostile, clock, {"keys": [*others, jwk("ES256", kid="e", use="sig")]})
    assert made(provider).header == {"alg": "ES256", "typ": "JWT", "kid": "e"}


def test_among_several_keys_the_profiles_kid_chooses(hostile: HostileProvider, clock: FakeClock) -> None:
    key_set: dict[str, object] = {"keys": [jwk("RS256", kid="old"), jwk("ES256", kid="new")]}
    assert made(client_at(hostile, clock, key_set, kid="new")).header["kid"] == "new"


class Looked(Secret):
    """A secret that counts how often it was unwrapped."""

    __slots__ = ("times",)

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.times = 0

    def reveal(self) -> str:
        self.times += 1
        return super().reveal()


def test_a_key_is_parsed_once(hostile: HostileProvider, clock: FakeClock) -> None:
    provider = client_at(hostile, clock)
    secret = Looked(pem(ec.generate_private_key(ec.SECP256R1())))
    provider.private_key = lambda: secret
    assert len({private_key_jwt.make(provider).reveal() for _ in range(5)}) == 5
    assert secret.times == 1


def test_a_key_is_not_mixed_up_with_another_clients(hostile: HostileProvider, clock: FakeClock) -> None:
    first, second = (client_at(hostile, clock, pem(signing_key(alg).private)) for alg in ("ES256", "RS256"))
    third = client_at(hostile, clock, pem(signing_key("RS256").private), algorithm="PS256")
    for _ in range(2):
        assert made(first, "ES256").header["alg"] == "ES256"
        assert made(second, "RS256").header["alg"] == "RS256"
        assert made(third, "RS256").header["alg"] == "PS256"


# --- keys that will not do --------------------------------------------------------------------------------------------


def error_of(provider: Provider) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        private_key_jwt.make(provider)
    return caught.value


def refused(hostile: HostileProvider, clock: FakeClock, key: str | dict[str, object], **settings: Any) -> str:
    """Return what is said of a key, sentence and hint; none of it may be the key, or lead to it."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        error = error_of(client_at(hostile, clock, key, notes=notes, **settings))
    assert not warned
    assert not notes
    assert error.__cause__ is error.__context__ is None
    assert error.sentence.startswith(f"{ORIGIN}: ")
    assert error.hint
    said = f"{error.sentence.removeprefix(ORIGIN)}\n{error.hint}"
    text = key if isinstance(key, str) else json.dumps(key)
    material = [line for line in text.replace('"', "\n").replace("-----", "\n").splitlines() if len(line) > 20]
    assert not [line for line in material if line in said]
    assert not hostile.requests
    return said


def rsa() -> Any:
    return signing_key("RS256").private


def p256() -> Any:
    return signing_key("ES256").private


def old_encrypted() -> str:
    """RFC 1421's encryption of a PKCS #1 key, which says so inside."""
    return pem(rsa(), PrivateFormat.TraditionalOpenSSL, b"passphrase")


def der(private: Any) -> bytes:
    written: bytes = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return written


NEW, CONVERT = "openssl genpkey", "openssl pkcs8 -topk8 -nocrypt"
NONE = "key, which is not one of RSA, EC P-256, EC P-384 and Ed25519"


@pytest.mark.parametrize(
    ("key", "sentence", "hint"),
    [
        pytest.param(lambda: pem(rsa(), password=b"x"), "is encrypted", CONVERT, id="encrypted"),
        pytest.param(old_encrypted, "is encrypted", CONVERT, id="encrypted as of old"),
        pytest.param(lambda: public_pem(rsa()), "a public key", "private key", id="public RSA key"),
        pytest.param(lambda: public_pem(p256()), "a public key", "private key", id="public EC key"),
        pytest.param(
            lambda: rsa().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
            "a public key",
            "private key",
            id="public SSH key",
        ),
        pytest.param(lambda: pem(rsa(), PrivateFormat.OpenSSH), "an SSH key", NEW, id="SSH key"),
        pytest.param(
            lambda: der(rsa()).decode("latin-1"), "DER", f"{CONVERT} -in OLD -out key.pem -inform DER", id="DER"
        ),
        pytest.param(
            lambda: base64.b64encode(der(rsa())).decode(), "DER", "base64 -d OLD | openssl", id="DER in base64"
        ),
        pytest.param(
            lambda: base64.b64encode(pem(rsa()).encode()).decode(), "base64 once more", "base64 -d", id="PEM in base64"
        ),
        pytest.param(lambda: pem(rsa()).replace("\n", r"\n"), r"the two characters \n", "line ends", id="escaped"),
        pytest.param(lambda: pem(rsa())[:900], "cut short", "last line", id="cut short"),
        pytest.param(lambda: pem(rsa()).replace("MII", "MIJ"), "cannot be read", NEW, id="damaged"),
        pytest.param(lambda: pem(rsa()) + pem(p256()), "2 private keys", "keep the one", id="two keys"),
        pytest.param(lambda: pem(x25519.X25519PrivateKey.generate()), f"X25519 {NONE}", NEW, id="X25519"),
        pytest.param(lambda: {"kty": "OKP", "crv": "X25519", "d": "x"}, f"X25519 {NONE}", NEW, id="X25519 JWK"),
        pytest.param(lambda: {"kty": "OKP", "crv": "Ed25519", "d": "x"}, "cannot be read", NEW, id="damaged OKP"),
        pytest.param(lambda: pem(rsa()).replace("PRIVATE", "DSA PRIVATE"), "that is a DSA key", NEW, id="DSA"),
        pytest.param(lambda: pem(rsa()).replace("PRIVATE", "NEW PRIVATE"), "no private key", NEW, id="another label"),
        pytest.param(lambda: pem(signing_key("RS256", "k", 1024).private), "1024 bits", NEW, id="short RSA key"),
        pytest.param(lambda: pem(signing_key("ES512").private), "P-521", NEW, id="P-521"),
        pytest.param(
            lambda: pem(ec.generate_private_key(ec.SECP256K1())), "the curve secp256k1", NEW, id="another curve"
        ),
        pytest.param(lambda: "not-a-key-but-a-client-secret", "no private key in PEM or JWK", NEW, id="garbage"),
        pytest.param(lambda: '{"kty": "RSA", "n": "0vx7agoebGcQ', "not JSON", "whole", id="half a JWK"),
        pytest.param(lambda: '{"kty": "RSA\udcff"}', "not JSON", "whole", id="a JWK that is not Unicode"),
        pytest.param(lambda: '{"type": "service_account", "private_key": "…"}', "kty", "JWK", id="another JSON"),
        pytest.param(lambda: '{"keys": []}', "kty", "JWK", id="empty JWK Set"),
        pytest.param(lambda: {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}, "kty", "JWK", id="symmetric JWK"),
        pytest.param(lambda: jwk("ES256", d=None), "a public key", "private key", id="public JWK"),
        pytest.param(lambda: {"keys": [jwk("RS256", d=None)]}, "a public key", "private key", id="public JWK Set"),
        pytest.param(lambda: jwk("RS256", use="enc"), "not meant for signatures", NEW, id="JWK to encrypt"),
        pytest.param(lambda: jwk("ES256", key_ops=["verify"]), "not meant for signatures", NEW, id="JWK to verify"),
        pytest.param(lambda: {"keys": [jwk("ES256"), jwk("RS256")]}, "has 2 private keys", "kid", id="two JWKs"),
        pytest.param(lambda: jwk("RS256", d="AQAB"), "cannot be read", NEW, id="damaged JWK"),
        pytest.param(lambda: jwk("RS256", d=5), "cannot be read", NEW, id="JWK with a number"),
        pytest.param(lambda: jwk("RS256", p=None), "cannot be read", NEW, id="JWK without a prime"),
        pytest.param(lambda: jwk("ES256", crv="P-384"), "cannot be read", NEW, id="JWK of another curve"),
        pytest.param(lambda: jwk("ES512"), "P-521", NEW, id="JWK on P-521"),
        pytest.param(lambda: jwk("RS256", alg="RS512"), "alg of the JWK is RS512", "use RS256, RS384", id="RS512"),
        pytest.param(lambda: jwk("RS256", alg="HS256"), "alg of the JWK is HS256", "use RS256, RS384", id="HS256"),
        pytest.param(lambda: jwk("RS256", alg="none"), "alg of the JWK is none", "use RS256, RS384", id="none"),
        pytest.param(lambda: jwk("ES384", alg="ES256"), "alg of the JWK is ES256", "use ES384", id="another curve's"),
        pytest.param(lambda: jwk("RS256", alg=["RS256"]), "alg of the JWK", "use RS256", id="alg is a list"),
    ],
)
def test_a_key_that_will_not_do_is_told_with_what_to_do(
    hostile: HostileProvider, clock: FakeClock, key: Callable[[], str | dict[str, object]], sentence: str, hint: str
) -> None:
    said, advice = refused(hostile, clock, key()).split("\n")
    assert sentence in said
    assert hint in advice


def test_a_certificate_is_no_key(hostile: HostileProvider, clock: FakeClock, tmp_path: Any) -> None:
    ca_file, server_file = write_certificates(tmp_path, "good")
    assert "that is a certificate" in refused(hostile, clock, ca_file.read_text())
    both = server_file.read_text()  # a key, then its certificate
    assert private_key_jwt.make(client_at(hostile, clock, both)).reveal().count(".") == 2


@pytest.mark.parametrize(
    ("alg", "algorithm", "own"),
    [
        ("RS256", "ES256", "RS256, RS384, PS256, PS384"),
        ("ES256", "RS256", "ES256"),
        ("ES256", "ES384", "ES256"),
        ("ES384", "ES256", "ES384"),
        ("RS256", "RS512", "RS256, RS384, PS256, PS384"),
        ("RS256", "HS256", "RS256, RS384, PS256, PS384"),
        ("RS256", "none", "RS256, RS384, PS256, PS384"),
    ],
)
def test_an_algorithm_that_does_not_fit_the_key_is_refused(
    hostile: HostileProvider, clock: FakeClock, alg: str, algorithm: str, own: str
) -> None:
    said = refused(hostile, clock, pem(signing_key(alg).private), algorithm=algorithm)
    assert said == f": the algorithm of private_key is {algorithm}, which does not fit the key\nuse {own}"
