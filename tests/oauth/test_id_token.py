"""The ID token's checks, with real keys that are published over real HTTP."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import traceback
from email.utils import formatdate
from typing import Any

import pytest

from credential_helper.errors import AuthorizationError, TransportError, Unproven, UnpublishedKey
from credential_helper.model import Endpoints, Identity, Secret
from credential_helper.oauth.claims import claims_of
from credential_helper.oauth.id_token import validate
from integration.servers.hostile_provider import (
    Behaviour,
    HostileProvider,
    SigningKey,
    answer,
    empty,
    half_json,
    html,
    rate_limited,
    raw,
    reset,
    signing_key,
)
from tests.helpers import providers
from tests.helpers.clock import FakeClock

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
K1 = signing_key("ES256", "k1")
K2 = signing_key("ES256", "k2")


class World(providers.World):
    """A provider that publishes K1, a client of it, and a disk that outlives the client's processes."""

    def token(self, key: SigningKey = K1, header: dict[str, object] | None = None, /, **changes: object) -> Secret:
        return Secret(key.sign(self.hostile.claims("cli", **changes), **(header or {})))

    def accepts(self, token: Secret, **options: Any) -> Identity:
        return validate(self.process(), token, **options)

    def refuses(self, token: Secret, **options: Any) -> str:
        """Expect a failed check whose exception holds nothing of the token; return its sentence."""
        with pytest.raises(AuthorizationError) as caught:
            validate(self.process(), token, **options)
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert token.reveal() == "" or token.reveal() not in told
        assert "ada@example.com" not in told
        return caught.value.sentence

    def asked(self, path: str = "/jwks") -> int:
        return super().asked(path)


@pytest.fixture
def hostile(hostile: HostileProvider) -> HostileProvider:
    hostile.serve_metadata(id_token_signing_alg_values_supported=ALGORITHMS)
    hostile.serve_keys(K1)
    return hostile


@pytest.fixture
def world(hostile: HostileProvider, clock: FakeClock) -> World:
    return World(hostile, clock)


def encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# --- without believing it ---------------------------------------------------------------------------------------------


def test_claims_are_read_without_a_signature() -> None:
    assert claims_of(f"{encoded({})}.{encoded({'exp': 1, 'sub': 'ü'})}.") == {"exp": 1, "sub": "ü"}
    assert claims_of(f"anything.{encoded({})}.at-all") == {}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b",
        "eyJhbGciOiJkaXIi..a.b.c",
        f"x.{encoded({})}.y.z",
        f"x.{encoded([1])}.y",
        f"x.{encoded('text')}.y",
        f"x.{encoded(b'{half')}.y",
        f"x.{encoded(bytes([0x7B, 0xFF]))}.y",
        f"x.{encoded(b'[' * 50_000)}.y",
        f"x.{encoded(b'{1:2}')}.y",
        "x..y",
        "x.e30=.y",
        "x.e30 .y",
        "x.é.y",
        "x.a.y",
    ],
)
def test_what_is_no_jwt_has_no_claims(token: str) -> None:
    assert claims_of(token) is None


def test_reading_claims_loads_neither_pyjwt_nor_requests() -> None:
    code = (
        "import sys; from credential_helper.oauth.claims import claims_of; claims_of('a.e30.b');"
        "sys.exit(any(name in sys.modules for name in ('jwt', 'requests', 'cryptography', 'ssl')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- a good token -----------------------------------------------------------------------------------------------------


def test_a_good_token_names_who_signed_in(world: World) -> None:
    identity = world.accepts(world.token(preferred_username="ada", name="Ada L.", groups=["x"], age=36, verified=True))
    assert identity.subject == "ada"
    assert identity.name == "ada"
    claims = dict(identity.claims)
    assert claims["email"] == "ada@example.com"
    assert set(claims) == {"iss", "sub", "aud", "email", "preferred_username", "name"}


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "p", "email": "e", "name": "n"}, "p"),
        ({"preferred_username": "", "email": "e", "name": "n"}, "e"),
        ({"preferred_username": 7, "email": None, "name": "n"}, "n"),
        ({"email": None}, None),
    ],
)
def test_a_person_is_called_by_the_first_name_there_is(
    world: World, claims: dict[str, object], name: str | None
) -> None:
    assert world.accepts(world.token(**claims)).name == name


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("kid", ["k1", None])
def test_every_allowed_algorithm(world: World, alg: str, kid: str | None) -> None:
    key = signing_key(alg, kid)
    world.hostile.serve_keys(key)
    assert world.accepts(world.token(key)).subject == "ada"
    assert world.refuses(Secret(spoilt(world.token(key)))).endswith("has a signature that its key does not explain")


def spoilt(token: Secret) -> str:
    """Return the token with another subject under the same signature."""
    header, payload, signature = token.reveal().split(".")
    claims = claims_of(token.reveal()) or {}
    assert payload != encoded({**claims, "sub": "eve"})
    return f"{header}.{encoded({**claims, 'sub': 'eve'})}.{signature}"


# --- the algorithm ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS512", "ES256K", "", "RS1", 7, None, ["RS256"]])
def test_no_other_algorithm_is_accepted_whatever_the_metadata_say(world: World, alg: object) -> None:
    world.hostile.serve_metadata(id_token_signing_alg_values_supported=["none", "HS256", "HS512", "ES256K", "RS256"])
    for signature in ("", "c2ln"):
        token = f"{encoded({'alg': alg, 'kid': 'k1'})}.{encoded(world.hostile.claims('cli'))}.{signature}"
        sentence = world.refuses(Secret(token))
        assert re.search("is not signed|which proves nothing|cannot be checked here|does not say what", sentence)
    assert world.asked() == 0


@pytest.mark.parametrize(
    ("alg", "said"),
    [
        ("none", "is not signed (alg none)"),
        ("HS256", "is signed with HS256, a secret that is shared, which proves nothing about who made it"),
        ("ES256K", "is signed with ES256K, which cannot be checked here"),
        (None, "does not say what it is signed with (alg)"),
        ("", "does not say what it is signed with (alg)"),
    ],
)
def test_what_is_wrong_with_an_algorithm_is_said(world: World, alg: object, said: str) -> None:
    token = f"{encoded({'alg': alg, 'kid': 'k1'})}.{encoded(world.hostile.claims('cli'))}.c2ln"
    assert world.refuses(Secret(token)) == f"the ID token of {world.hostile.host} {said}"


# RFC 9864: EdDSA by the names of its curves.
@pytest.mark.parametrize("curve", ["Ed25519", "Ed448"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("published", ["EdDSA", "its own", None, "absent"])
@pytest.mark.parametrize("listed", [["EdDSA"], ["Ed25519", "Ed448"], ["RS256", "EdDSA", "Ed25519"], None, ["X"]])
def test_eddsa_has_two_names(
    world: World, curve: str, named: bool, published: str | None, listed: list[str] | None
) -> None:
    key = signing_key("EdDSA" if curve == "Ed25519" else "Ed448", "k9")
    jwk = {**key.jwk(), "alg": curve if published == "its own" else published}
    if published == "absent":
        del jwk["alg"]
    world.hostile.serve_metadata(id_token_signing_alg_values_supported=listed)
    world.hostile.serve_keys(jwk)
    header: dict[str, object] = {"alg": curve if named else "EdDSA"}
    assert world.accepts(world.token(key, header)).subject == "ada"
    assert "does not explain" in world.refuses(Secret(spoilt(world.token(key, header))))


def test_a_name_of_eddsa_is_good_for_its_own_curve(world: World) -> None:
    key = signing_key("EdDSA", "k9")
    world.hostile.serve_keys(key)
    world.hostile.serve_metadata(id_token_signing_alg_values_supported=None)
    assert "for which the key that it names is not meant" in world.refuses(world.token(key, {"alg": "Ed448"}))


@pytest.mark.parametrize("listed", [["ES256K"], ["none"], ["HS256", "ML-DSA-44"], []])
def test_a_list_without_any_algorithm_that_is_known_says_nothing(world: World, listed: list[str]) -> None:
    world.hostile.serve_metadata(id_token_signing_alg_values_supported=listed)
    assert world.accepts(world.token()).subject == "ada"


def test_a_public_key_is_no_hmac_secret(world: World) -> None:
    """The classic confusion: an HS256 signature made with the published key's bytes."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives import serialization

    key = signing_key("RS256", "k1")
    world.hostile.serve_keys(key)
    pem = key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{encoded(world.hostile.claims('cli'))}"
    mac = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    assert "HS256, a secret that is shared" in world.refuses(Secret(f"{signed}.{encoded(mac)}"))


def test_the_metadata_narrow_the_algorithms(world: World) -> None:
    world.hostile.serve_metadata(id_token_signing_alg_values_supported=["RS256"])
    assert "is signed with ES256, which is not among the algorithms" in world.refuses(world.token())
    world.hostile.serve_metadata(id_token_signing_alg_values_supported=None)
    world.disk.kept.clear()
    assert world.accepts(world.token()).subject == "ada"


@pytest.mark.parametrize("header", [{"crit": ["exp"], "exp": 1}, {"crit": ["x"], "x": 1}])
def test_critical_headers_that_are_not_understood_are_refused(world: World, header: dict[str, object]) -> None:
    assert world.refuses(world.token(K1, header)).endswith("cannot be used (InvalidTokenError)")


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "is not a JWT"),
        ("opaque", "is not a JWT"),
        ("a.b.c", "is not a JWT"),
        ("a.b.c.d.e", "is encrypted, which is not supported"),
        (f"{encoded([])}.e30.", "is not a JWT"),
        (f"{encoded({'alg': 'ES256', 'kid': 7})}.e30.", "names its key with something that is no string"),
        (f"{encoded({'alg': 'ES256', 'kid': 'k1'})}.e30.", "has a signature that its key does not explain"),
        (f"{encoded({'alg': 'ES256', 'kid': 'k1'})}.é.c2ln", "is not a JWT"),
    ],
)
def test_what_is_no_signed_token_is_refused(world: World, token: str, said: str) -> None:
    assert world.refuses(Secret(token)) == f"the ID token of {world.hostile.host} {said}"


# --- the key ----------------------------------------------------------------------------------------------------------


def test_the_key_is_chosen_by_its_id(world: World) -> None:
    world.hostile.serve_keys(K2, K1, signing_key("RS256", "k3"))
    assert world.accepts(world.token(K1)).subject == "ada"
    assert world.accepts(world.token(K2)).subject == "ada"
    assert "does not explain" in world.refuses(world.token(K1, {"kid": "k2"}))


def test_two_keys_of_one_id_are_both_tried(world: World) -> None:
    world.hostile.serve_keys(K2.jwk(kid="k1"), signing_key("RS256", "k1"), K1)
    assert world.accepts(world.token(K1)).subject == "ada"


def test_without_an_id_the_only_key_that_fits_is_taken(world: World) -> None:
    world.hostile.serve_keys(signing_key("RS256", "r"), signing_key("ES384", "e"), K1, K2.jwk(use="enc"))
    assert world.accepts(world.token(K1, {"kid": None})).subject == "ada"


def test_without_an_id_each_key_that_fits_is_tried(world: World) -> None:
    world.hostile.serve_keys(K1, K2)
    assert world.accepts(world.token(K1, {"kid": None})).subject == "ada"
    assert world.accepts(world.token(K2, {"kid": None})).subject == "ada"
    stranger = signing_key("ES256", "k3")
    assert "a signature that its key does not explain" in world.refuses(world.token(stranger, {"kid": None}))


@pytest.mark.parametrize(
    "jwk",
    [
        K1.jwk(use="enc"),
        K1.jwk(alg="ES384"),
        K1.jwk(alg="HS256"),
        K1.jwk(key_ops=["sign"]),
        K1.jwk(key_ops="verify"),
        K1.jwk(kty="RSA"),
        K1.jwk(crv="P-384"),
        signing_key("ES384", "k1").jwk(alg=None),
        signing_key("RS256", "k1").jwk(alg=None),
    ],
)
def test_a_key_that_is_meant_for_something_else_is_not_used(world: World, jwk: dict[str, object]) -> None:
    world.hostile.serve_keys(jwk)
    assert world.refuses(world.token()).endswith("for which the key that it names is not meant")


@pytest.mark.parametrize(
    "jwk", [K1.jwk(use=None, alg=None), K1.jwk(key_ops=["verify"]), K1.jwk(use="sig", alg="ES256")]
)
def test_a_key_that_does_not_say_what_it_is_for_is_used(world: World, jwk: dict[str, object]) -> None:
    world.hostile.serve_keys(jwk)
    assert world.accepts(world.token()).subject == "ada"


@pytest.mark.parametrize("jwk", [K1.jwk(x=None), K1.jwk(x="!"), K1.jwk(x=7), {**K1.jwk(), "x": K2.jwk()["x"]}])
def test_a_key_that_is_none_is_refused(world: World, jwk: dict[str, object]) -> None:
    world.hostile.serve_keys(jwk)
    assert "cannot be used" in world.refuses(world.token())


def test_a_short_key_warns_nobody(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    weak = signing_key("RS256", "weak", 1024)
    world.hostile.serve_keys(weak)
    assert world.accepts(world.token(weak)).subject == "ada"
    assert capfd.readouterr().err == ""


# --- keys that change -------------------------------------------------------------------------------------------------


def test_an_unknown_key_makes_the_keys_renewed_once(world: World) -> None:
    world.accepts(world.token(K1))
    world.hostile.serve_keys(K1, K2)
    world.clock.advance(301)
    assert world.accepts(world.token(K2)).subject == "ada"
    assert world.asked() == 2


def test_a_key_that_is_not_published_is_refused_when_the_keys_are_new(world: World) -> None:
    assert "a key that the provider does not publish" in world.refuses(world.token(K2))
    assert world.asked() == 1, "they were new"
    assert not any("again" in line for line in world.notes)
    world.clock.advance(301)
    assert "a key that the provider does not publish" in world.refuses(world.token(K2))
    assert world.asked() == 2


def test_an_unknown_key_within_five_minutes_is_not_decided(world: World) -> None:
    """The provider may have changed its keys just now: the tokens must not be thrown away for it."""
    world.accepts(world.token(K1))
    world.hostile.serve_keys(K2)
    world.clock.advance(200)
    token = world.token(K2)
    with pytest.raises(TransportError, match="asked for once in 5 minutes"):
        world.accepts(token)
    assert world.asked() == 1
    world.clock.advance(100)
    assert world.accepts(token).subject == "ada"


def test_a_changed_key_under_the_same_id_is_found(world: World) -> None:
    world.accepts(world.token(K1))
    world.hostile.serve_keys(K2.jwk(kid="k1"))
    world.clock.advance(301)
    assert world.accepts(world.token(K2, {"kid": "k1"})).subject == "ada"
    assert world.asked() == 2


def test_a_changed_key_without_an_id_is_found(world: World) -> None:
    world.hostile.serve_keys(K1.jwk(kid=None))
    world.accepts(world.token(K1, {"kid": None}))
    world.hostile.serve_keys(K2.jwk(kid=None))
    world.clock.advance(301)
    assert world.accepts(world.token(K2, {"kid": None})).subject == "ada"


@pytest.mark.parametrize("kid", ["k1", None])
@pytest.mark.parametrize("seconds", [200, 301])
def test_keys_that_changed_while_they_cannot_be_had_decide_nothing(world: World, kid: str | None, seconds: int) -> None:
    """The same id, or none: the signature is wrong only by keys that are older than the token."""
    world.hostile.serve_keys(K1.jwk(kid=kid))
    world.accepts(world.token(K1, {"kid": kid}))
    world.hostile.script("/jwks", reset())
    world.clock.advance(seconds)
    token, came = world.token(K2, {"kid": kid}), world.clock.now()
    with pytest.raises(TransportError):
        world.accepts(token, came=came)
    world.hostile.serve_keys(K2.jwk(kid=kid))
    world.clock.advance(301)
    assert world.accepts(token, came=came).subject == "ada"


@pytest.mark.parametrize("kid", ["k1", None])
def test_a_wrong_signature_is_decided_by_keys_that_are_newer_than_the_token(world: World, kid: str | None) -> None:
    world.hostile.serve_keys(K1.jwk(kid=kid))
    world.accepts(world.token(K1, {"kid": kid}))
    world.clock.advance(301)
    token, came = world.token(K2, {"kid": kid}), world.clock.now()
    assert "does not explain" in world.refuses(token, came=came)
    world.clock.advance(1)
    world.hostile.script("/jwks", reset())
    assert "does not explain" in world.refuses(token, came=came), "kept since it came"


def test_for_a_new_sign_in_the_keys_are_asked_for_at_once_and_once(world: World) -> None:
    world.accepts(world.token(K1))
    world.hostile.serve_keys(K2)
    world.clock.advance(1)
    token, came = world.token(K2), world.clock.now()
    assert world.accepts(token, came=came, new=True).subject == "ada"
    for _ in range(3):
        world.refuses(world.token(K1), came=came, new=True)
    assert world.asked() == 2


def test_an_algorithm_is_refused_by_new_metadata_only(world: World) -> None:
    world.accepts(world.token(K1))
    rs256 = signing_key("RS256", "k1")
    world.hostile.serve_metadata(id_token_signing_alg_values_supported=["RS256"])
    world.hostile.serve_keys(rs256)
    world.clock.advance(7200)
    assert world.accepts(world.token(rs256)).subject == "ada"
    world.clock.advance(7200)
    with pytest.raises(UnpublishedKey, match="not among the algorithms"):
        world.accepts(world.token(K1))


def test_an_algorithm_within_five_minutes_of_the_metadata_is_not_decided(world: World) -> None:
    world.accepts(world.token(K1))
    rs256 = signing_key("RS256", "k2")
    world.hostile.serve_metadata(id_token_signing_alg_values_supported=["RS256"])
    world.hostile.serve_keys(rs256)
    world.clock.advance(200)
    with pytest.raises(TransportError):
        world.accepts(world.token(rs256))
    assert world.accepts(world.token(rs256), new=True).subject == "ada"


@pytest.mark.parametrize("left", ["old", 404, 502, "reset"])
def test_keys_are_found_where_new_metadata_have_them(world: World, left: object) -> None:
    """The address that was left may go on serving old keys, answer anything, or be gone."""
    world.accepts(world.token(K1))
    moved = f"{world.hostile.url}/keys"
    world.hostile.serve_metadata(jwks_uri=moved, id_token_signing_alg_values_supported=ALGORITHMS)
    world.hostile.script("/keys", answer({"keys": [K2.jwk()]}))
    if left != "old":
        world.hostile.script("/jwks", reset() if left == "reset" else empty(int(str(left))))
    world.clock.advance(7200)
    assert world.accepts(world.token(K2)).subject == "ada"
    assert world.accepts(world.token(K2)).subject == "ada"
    assert (world.asked(), world.asked("/keys")) == (2, 1)


def test_an_issuer_that_changed_its_final_slash_is_found_in_new_metadata(world: World) -> None:
    world.accepts(world.token())
    issuer = f"{world.hostile.url}/"
    world.hostile.serve_metadata(issuer=issuer)
    world.clock.advance(7200)
    assert world.accepts(world.token(iss=issuer)).subject == "ada"


def test_metadata_that_cannot_be_renewed_decide_nothing(world: World) -> None:
    world.accepts(world.token(K1))
    world.hostile.script("/.well-known/openid-configuration", html(502))
    world.clock.advance(7200)
    with pytest.raises(TransportError):
        world.accepts(world.token(K2))
    with pytest.raises(TransportError):
        world.accepts(world.token(iss="https://elsewhere.example"))


def test_what_was_kept_by_a_wrong_clock_decides_nothing(world: World) -> None:
    world.clock.advance(100_000)
    world.accepts(world.token(K1))
    world.clock.advance(-100_000)
    world.hostile.script("/jwks", reset())
    with pytest.raises(TransportError):
        world.accepts(world.token(K2))


def test_what_is_not_the_keys_matter_is_decided_without_the_provider(world: World) -> None:
    world.accepts(world.token(K1))
    world.hostile.script("/jwks", reset())
    world.hostile.script("/.well-known/openid-configuration", reset())
    world.clock.advance(7200)
    assert "another client" in world.refuses(world.token(aud="other"))
    assert "nonce" in world.refuses(world.token(nonce="other"), nonce="mine")
    payload = world.token().reveal().split(".")[1]
    assert "is not signed" in world.refuses(Secret(f"{encoded({'alg': 'none'})}.{payload}."))


TROUBLES = [html(502), html(200), empty(404), empty(200), half_json(), reset(), rate_limited(5), answer({"keys": 1})]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_keys_that_cannot_be_had_are_a_matter_of_transport(world: World, trouble: Behaviour) -> None:
    world.hostile.script("/jwks", trouble)
    with pytest.raises(TransportError):
        world.accepts(world.token())


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_unknown_key_that_cannot_be_asked_for_is_a_matter_of_transport(world: World, trouble: Behaviour) -> None:
    world.accepts(world.token(K1))
    world.hostile.script("/jwks", trouble)
    world.clock.advance(301)
    with pytest.raises(TransportError):
        world.accepts(world.token(K2))


@pytest.mark.parametrize("trouble", [html(502), empty(404), rate_limited(5)])
def test_metadata_that_cannot_be_had_are_a_matter_of_transport(world: World, trouble: Behaviour) -> None:
    world.hostile.script("/.well-known/openid-configuration", trouble)
    with pytest.raises(TransportError):
        world.accepts(world.token())


# --- the claims -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "iat"])
def test_required_claims(world: World, claim: str) -> None:
    assert world.refuses(world.token(**{claim: None})).endswith(f"lacks {claim}")


@pytest.mark.parametrize("issuer", ["https://evil.example/", "", 7, ["x"]])
def test_another_issuer_is_refused(world: World, issuer: object) -> None:
    said = "another issuer" if isinstance(issuer, str) else "no string (iss)"
    assert said in world.refuses(world.token(iss=issuer))


def test_a_tenants_token_is_the_providers_and_another_tenants_is_not(world: World) -> None:
    """Entra's common/v2.0: the issuer is {tenantid}, and each token's own tenant takes its place."""
    ours, other = "72f988bf-86f1-41af-91ab-2d7cd011db47", "9188040d-6c67-4c5b-b112-36a304b66dad"
    url = world.hostile.url
    path = "/common/v2.0/.well-known/openid-configuration"
    world.hostile.serve_metadata(path, issuer=url + "/{tenantid}/v2.0")
    provider = world.process(provider="entra", issuer=f"{url}/common/v2.0")
    assert validate(provider, world.token(iss=f"{url}/{ours}/v2.0", tid=ours)).subject == "ada"
    for changes in (
        {"iss": f"{url}/{ours}/v2.0", "tid": other},
        {"iss": f"{url}/{ours}/v2.0"},
        {"iss": f"{url}/common/v2.0", "tid": ours},
        {"iss": url + "/{tenantid}/v2.0", "tid": "{tenantid}"},
        {"iss": f"{url}/../v2.0", "tid": ".."},
    ):
        with pytest.raises(AuthorizationError, match="comes from another issuer"):
            validate(provider, world.token(**changes))


OURS, OTHER = "72f988bf-86f1-41af-91ab-2d7cd011db47", "9188040d-6c67-4c5b-b112-36a304b66dad"


@pytest.mark.parametrize(
    ("signer", "right"),
    [
        (None, True),
        ("{tenantid}/v2.0", True),
        (f"{OURS}/v2.0", True),
        (f"{OTHER}/v2.0", False),
        ("{tenantid}/v1.0", False),
        ("{tenantid}", False),
        (7, False),
        ([], False),
    ],
)
@pytest.mark.parametrize("word", ["common", OURS])
def test_a_key_signs_for_the_tenants_that_it_is_published_for(
    world: World, word: str, signer: object, *, right: bool
) -> None:
    """Entra's keys have an issuer of their own; kept ones, too."""
    url = world.hostile.url
    issuer = f"{url}/{OURS if word == OURS else '{tenantid}'}/v2.0"
    world.hostile.serve_metadata(f"/{word}/v2.0/.well-known/openid-configuration", issuer=issuer)
    world.hostile.serve_keys(K1.jwk(issuer=f"{url}/{signer}" if isinstance(signer, str) else signer))
    token = world.token(iss=f"{url}/{OURS}/v2.0", tid=OURS)
    for _ in ("asked", "kept"):
        provider = world.process(provider="entra", issuer=f"{url}/{word}/v2.0")
        if right:
            assert validate(provider, token).subject == "ada"
        else:
            with pytest.raises(AuthorizationError, match="is signed with the key of another issuer"):
                validate(provider, token)


def test_a_key_that_is_published_for_two_tenants_signs_for_both(world: World) -> None:
    url = world.hostile.url
    path = "/common/v2.0/.well-known/openid-configuration"
    world.hostile.serve_metadata(path, issuer=url + "/{tenantid}/v2.0")
    world.hostile.serve_keys(K1.jwk(issuer=f"{url}/{OTHER}/v2.0"), K1.jwk(issuer=f"{url}/{OURS}/v2.0"))
    provider = world.process(provider="entra", issuer=f"{url}/common/v2.0")
    for tenant in (OURS, OTHER):
        assert validate(provider, world.token(iss=f"{url}/{tenant}/v2.0", tid=tenant)).subject == "ada"


def test_the_issuer_of_a_key_means_nothing_where_there_are_no_tenants(world: World) -> None:
    world.hostile.serve_keys(K1.jwk(issuer="https://elsewhere.example"))
    assert world.accepts(world.token()).subject == "ada"


def test_the_issuer_has_the_final_slash_of_the_metadata(world: World) -> None:
    bare = world.hostile.url
    assert "another issuer" in world.refuses(world.token(iss=f"{bare}/"))
    world.hostile.serve_metadata(issuer=f"{bare}/")
    world.disk.kept.clear()
    assert world.accepts(world.token(iss=f"{bare}/")).subject == "ada"
    assert "another issuer" in world.refuses(world.token(iss=bare))


def test_without_metadata_the_issuer_may_have_a_final_slash_or_not(world: World) -> None:
    url = world.hostile.url
    endpoints = Endpoints(token=f"{url}/token", device_authorization=f"{url}/device", jwks=f"{url}/jwks")
    for iss in (url, f"{url}/"):
        assert validate(world.process(endpoints=endpoints), world.token(iss=iss)).subject == "ada"
    with pytest.raises(AuthorizationError, match="another issuer"):
        validate(world.process(endpoints=endpoints), world.token(iss=f"{url}//"))
    assert world.hostile.to("/.well-known/openid-configuration") == []


@pytest.mark.parametrize("audience", ["other", ["other"], [], "", 7, {"cli": 1}, ["cli", 7], "clii", "cl"])
def test_another_audience_is_refused(world: World, audience: object) -> None:
    sentence = world.refuses(world.token(aud=audience))
    assert "(aud)" in sentence or "lacks aud" in sentence


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"aud": []}, Unproven),
        ({"aud": 7}, Unproven),
        ({"aud": {"cli": 1}}, Unproven),
        ({"aud": ["cli", 7]}, Unproven),
        ({"azp": ["cli"]}, Unproven),
        ({"azp": ""}, Unproven),
        ({"iss": 7}, Unproven),
        ({"aud": ["other", 7]}, AuthorizationError),
        ({"aud": "other"}, AuthorizationError),
        ({"azp": "other"}, AuthorizationError),
        ({"nonce": "n-2"}, AuthorizationError),
    ],
)
def test_a_claim_that_is_no_name_proves_nothing_and_names_nobody_else(
    world: World, changes: dict[str, object], kind: type[Exception]
) -> None:
    assert refusal(world, world.token(**{"nonce": "n-1", **changes}), nonce="n-1") is kind


@pytest.mark.parametrize(
    "changes", [{"aud": "other"}, {"azp": "other"}, {"nonce": "n-2"}, {"aud": "other", "iss": "https://evil.example"}]
)
def test_another_s_token_is_that_where_no_keys_can_be_had_either(world: World, changes: dict[str, object]) -> None:
    world.hostile.script("/jwks", html(502))
    with pytest.raises(TransportError):
        validate(world.process(), world.token(nonce="n-1"), nonce="n-1")
    assert refusal(world, world.token(**{"nonce": "n-1", **changes}), nonce="n-1") is AuthorizationError


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"azp": "other"}, "was issued to another client (azp)"),
        ({"azp": ["cli"]}, "was issued to another client (azp)"),
        ({"azp": ""}, "was issued to another client (azp)"),
        ({"aud": ["cli", "api"], "azp": "other"}, "was issued to another client (azp)"),
    ],
)
def test_azp(world: World, claims: dict[str, object], said: str) -> None:
    assert world.refuses(world.token(**claims)).endswith(said)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["cli", "api"]},  # OIDC Core, errata set 2: azp is for extensions
        {"aud": ["api", "x", "cli"], "azp": None},
        {"azp": "cli"},
        {"aud": ["cli"]},
        {"aud": ["cli", "cli"]},
        {"aud": ["api", "cli"], "azp": "cli"},
    ],
)
def test_azp_of_ours(world: World, claims: dict[str, object]) -> None:
    assert world.accepts(world.token(**claims)).subject == "ada"


@pytest.mark.parametrize("subject", ["", 7, ["ada"], {"a": 1}])
def test_a_subject_is_a_name(world: World, subject: object) -> None:
    world.refuses(world.token(sub=subject))


def test_nonce(world: World) -> None:
    assert world.accepts(world.token(nonce="n-1"), nonce="n-1").subject == "ada"
    assert world.accepts(world.token(nonce="n-1")).subject == "ada"
    for claims in ({"nonce": "n-2"}, {"nonce": 1}, {"nonce": "ü"}):
        assert world.refuses(world.token(**claims), nonce="n-1").endswith("answers another request (nonce)")
    assert "does not say which request it answers (nonce)" in world.refuses(world.token(), nonce="n-1")


# --- what proves nothing, and what is another's -----------------------------------------------------------------------


def refusal(world: World, token: Secret, **options: Any) -> type[AuthorizationError]:
    with pytest.raises(AuthorizationError) as caught:
        validate(world.process(), token, **options)
    return type(caught.value)


def without_proof(world: World, header: dict[str, object], **changes: object) -> Secret:
    """Return a token that nobody signed."""
    return Secret(f"{encoded({'kid': 'k1', **header})}.{encoded(world.hostile.claims('cli', **changes))}.c2ln")


@pytest.mark.parametrize("alg", ["HS256", "none", "ES256K", "X"])
@pytest.mark.parametrize(
    "changes", [{"iss": "https://evil.example"}, {"aud": "other"}, {"azp": "other"}, {"nonce": "n-2"}]
)
def test_a_token_without_proof_that_says_it_is_another_s_is_that(
    world: World, alg: str, changes: dict[str, object]
) -> None:
    assert refusal(world, without_proof(world, {"alg": alg}, nonce="n-1"), nonce="n-1") is Unproven
    assert refusal(world, without_proof(world, {"alg": alg}, **changes), nonce="n-1") is AuthorizationError


@pytest.mark.parametrize(
    "changes",
    [{"sub": None}, {"iat": None}, {"exp": None}, {"aud": None}, {"exp": 1}, {"exp": "soon"}, {"sub": ""}, {"sub": 7}],
)
def test_broken_claims_prove_nothing(world: World, changes: dict[str, object]) -> None:
    assert refusal(world, world.token(**changes)) is Unproven


def test_a_signature_that_its_key_does_not_explain_is_more_than_no_proof(world: World) -> None:
    assert refusal(world, Secret(spoilt(world.token()))) is AuthorizationError


def test_a_key_that_is_not_published_is_no_proof_either_but_another_s_token_is_another_s(world: World) -> None:
    stranger = signing_key("ES256", "k7")
    assert refusal(world, world.token(stranger)) is UnpublishedKey
    assert refusal(world, world.token(stranger, aud="other")) is AuthorizationError


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": -60}, "expired 60 s ago"),
        ({"exp": -7200}, "expired 2 h ago"),
        ({"iat": 61}, "was issued 61 s in the future"),
        ({"iat": 840, "exp": 4000}, "was issued 14 min in the future"),
        ({"nbf": 400}, "is not valid before 7 min from now"),
    ],
)
def test_times_have_sixty_seconds_of_leeway(world: World, changes: dict[str, float], said: str) -> None:
    now = int(world.clock.now())
    assert world.refuses(world.token(**{name: now + seconds for name, seconds in changes.items()})).endswith(said)


@pytest.mark.parametrize("changes", [{"exp": -59}, {"iat": 60}, {"nbf": 60}, {"exp": 3600.5}, {"nbf": -10}])
def test_times_within_the_leeway(world: World, changes: dict[str, float]) -> None:
    now = int(world.clock.now())
    token = world.token(**{name: now + seconds for name, seconds in changes.items()})
    assert world.accepts(token).subject == "ada"


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["1900000000", True, [1], 10**400])
def test_times_are_numbers(world: World, claim: str, value: object) -> None:
    assert world.refuses(world.token(**{claim: value})).endswith("has a time that is no number")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
@pytest.mark.parametrize("claim", ["exp", "nbf", "email", "nonce"])
def test_claims_are_json_that_can_be_kept(world: World, claim: str, value: object) -> None:
    """Python's json reads more than JSON: NaN passes every comparison, half a surrogate pair cannot be written."""
    assert world.refuses(world.token(**{claim: value}), nonce="n-1").endswith("is not a JWT")


def test_a_token_is_judged_by_the_time_it_was_received(world: World) -> None:
    token, received = world.token(), world.clock.now()
    world.clock.advance(7200)
    assert "expired" in world.refuses(token)
    assert world.accepts(token, at=received).subject == "ada"


@pytest.mark.parametrize(("ahead", "said"), [(840.0, "14 min behind"), (-300.0, "5 min ahead of")])
def test_a_clock_that_is_wrong_is_said_to_be(world: World, ahead: float, said: str) -> None:
    world.hostile.now = lambda: world.clock.now() + ahead
    times = {"iat": int(world.hostile.now()), "exp": int(world.hostile.now()) + 120}
    sentence = world.refuses(world.token(**times))
    assert sentence == f"this machine's clock is {said} {world.hostile.host}"


def test_a_clock_that_does_not_explain_it_is_not_blamed(world: World) -> None:
    world.hostile.now = lambda: world.clock.now() + 840
    long_ago = int(world.clock.now()) - 90_000
    assert "expired" in world.refuses(world.token(iat=long_ago, exp=long_ago + 60))


def test_a_cache_that_tells_its_own_time_does_not_put_the_blame_on_the_clock(world: World) -> None:
    then = formatdate(world.clock.now() - 90_030, usegmt=True)
    head = f"HTTP/1.1 200 OK\r\nDate: {then}\r\nAge: 90030\r\n\r\n"
    world.hostile.script("/jwks", raw(head.encode() + json.dumps({"keys": [K1.jwk()]}).encode()))
    long_ago = int(world.clock.now()) - 90_000
    assert "expired" in world.refuses(world.token(iat=long_ago, exp=long_ago + 60))


def test_the_signature_comes_before_the_clock(world: World) -> None:
    world.hostile.now = lambda: world.clock.now() + 840
    assert "does not explain" in world.refuses(Secret(spoilt(world.token())))
