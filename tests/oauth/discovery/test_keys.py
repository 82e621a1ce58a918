"""A provider's keys, over real HTTP, and when they are asked for again."""

from __future__ import annotations

import pytest

from credential_helper.errors import CredentialHelperError, TokenResponseError, TransportError
from credential_helper.model import Endpoints
from credential_helper.oauth.provider import Provider
from integration.servers.hostile_provider import (
    Behaviour,
    answer,
    empty,
    half_json,
    html,
    rate_limited,
    redirect,
    reset,
    signing_key,
)
from tests.helpers.providers import DAY, World

pytestmark = pytest.mark.usefixtures("silent_stderr")


def kids(provider: Provider) -> list[object]:
    return names_in(provider.keys())


def names_in(key_set: dict[str, object]) -> list[object]:
    keys = key_set["keys"]
    assert isinstance(keys, list)
    return [key.get("kid") for key in keys]


def editions(provider: Provider, *, at_once: bool = False) -> list[list[object]]:
    """Return what is tried for a token that comes now and is signed with none of it."""
    return [names_in(keys) for keys in provider.editions_of_keys(provider.clock.now(), at_once=at_once)]


@pytest.fixture
def keyed(world: World) -> World:
    world.hostile.serve_metadata()
    world.hostile.serve_keys(signing_key("ES256", "k1"))
    return world


def test_keys_are_kept_for_a_day(keyed: World) -> None:
    assert kids(keyed.process()) == ["k1"]
    keyed.clock.advance(DAY - 1)
    assert kids(keyed.process()) == ["k1"]
    assert keyed.asked("/jwks") == 1
    keyed.clock.advance(1)
    keyed.hostile.serve_keys(signing_key("ES256", "k2"))
    assert kids(keyed.process()) == ["k2"]
    assert keyed.asked("/jwks") == 2


def test_keys_from_the_future_are_old(keyed: World) -> None:
    keyed.clock.advance(300 * DAY)
    keyed.process().keys()
    keyed.clock.advance(-300 * DAY)
    assert not keyed.process().knows_better_than(keyed.clock.now())
    assert editions(keyed.process()) == [["k1"]]
    assert keyed.asked("/jwks") == 2


def test_keys_are_asked_for_again_once_in_five_minutes(keyed: World) -> None:
    keyed.process().keys()
    keyed.hostile.serve_keys(signing_key("ES256", "k2"))
    keyed.clock.advance(299)
    provider = keyed.process()
    assert editions(provider) == [["k1"]]
    assert not provider.knows_better_than(keyed.clock.now())
    keyed.clock.advance(1)
    assert editions(provider) == [["k1"], ["k2"]]
    assert provider.knows_better_than(keyed.clock.now())
    assert editions(provider) == [["k2"]]
    assert (keyed.asked(), keyed.asked("/jwks")) == (2, 2)


def test_keys_and_metadata_are_asked_for_at_once_where_they_are_older_than_the_token(keyed: World) -> None:
    keyed.process().keys()
    keyed.hostile.serve_keys(signing_key("ES256", "k2"))
    keyed.clock.advance(1)
    provider = keyed.process()
    assert editions(provider, at_once=True) == [["k1"], ["k2"]]
    assert editions(provider, at_once=True) == [["k2"]]
    assert editions(keyed.process(), at_once=True) == [["k2"]]
    assert (keyed.asked(), keyed.asked("/jwks")) == (2, 2)


def test_nothing_more_is_asked_than_the_keys_where_these_do(keyed: World) -> None:
    keyed.process().keys()
    keyed.hostile.serve_keys(signing_key("ES256", "k2"))
    keyed.clock.advance(301)
    tried = keyed.process().editions_of_keys(keyed.clock.now(), at_once=False)
    assert [names_in(next(tried)), names_in(next(tried))] == [["k1"], ["k2"]]
    tried.close()  # type: ignore[attr-defined]
    assert (keyed.asked(), keyed.asked("/jwks")) == (1, 2)


@pytest.mark.parametrize("trouble", [html(502), html(200), reset(), rate_limited(5), half_json(), answer({"keys": 7})])
def test_old_keys_serve_while_there_are_no_others(keyed: World, trouble: Behaviour) -> None:
    keyed.process().keys()
    keyed.clock.advance(2 * DAY)
    keyed.hostile.script("/jwks", trouble)
    provider = keyed.process()
    assert kids(provider) == ["k1"]
    assert keyed.said("serve on")
    with pytest.raises(CredentialHelperError):
        editions(provider)
    assert not provider.knows_better_than(keyed.clock.now())


@pytest.mark.parametrize("trouble", [html(502), empty(403), reset(), redirect(307, "https://evil.example/")])
def test_keys_that_cannot_be_had_are_a_matter_of_transport(keyed: World, trouble: Behaviour) -> None:
    keyed.hostile.script("/jwks", trouble)
    with pytest.raises(TransportError):
        keyed.process().keys()


def test_keys_that_have_moved_are_found_through_new_metadata(keyed: World) -> None:
    keyed.process().metadata()
    keyed.hostile.script("/jwks", empty(404))
    keyed.hostile.serve_metadata(jwks_uri=f"{keyed.hostile.url}/jwks2")
    keyed.hostile.script("/jwks2", answer({"keys": [signing_key("ES256", "k2").jwk()]}))
    assert kids(keyed.process()) == ["k2"]
    assert kids(keyed.process()) == ["k2"]
    assert (keyed.asked(), keyed.asked("/jwks"), keyed.asked("/jwks2")) == (2, 1, 1)


@pytest.mark.parametrize("left", [None, empty(404), html(502), reset()])
def test_keys_are_asked_for_where_they_are_now(keyed: World, left: Behaviour | None) -> None:
    """The address that was left may go on serving the old keys, or serve none."""
    keyed.process().keys()
    keyed.hostile.serve_metadata(jwks_uri=f"{keyed.hostile.url}/jwks2")
    keyed.hostile.script("/jwks2", answer({"keys": [signing_key("ES256", "k2").jwk()]}))
    if left is not None:
        keyed.hostile.script("/jwks", left)
    keyed.clock.advance(301)
    provider = keyed.process()
    assert editions(provider)[-1] == ["k2"]
    assert provider.knows_better_than(keyed.clock.now())
    assert (keyed.asked(), keyed.asked("/jwks"), keyed.asked("/jwks2")) == (2, 2, 1)


def test_metadata_older_than_a_day_are_renewed_before_the_keys(keyed: World) -> None:
    keyed.process().keys()
    keyed.hostile.serve_metadata(jwks_uri=f"{keyed.hostile.url}/jwks2")
    keyed.hostile.script("/jwks2", answer({"keys": [signing_key("ES256", "k2").jwk()]}))
    keyed.clock.advance(DAY)
    assert editions(keyed.process())[-1] == ["k2"]


def test_no_network_is_tried_once(keyed: World) -> None:
    keyed.hostile.script("/.well-known/openid-configuration", reset())
    with pytest.raises(TransportError):
        editions(keyed.process(), at_once=True)
    assert keyed.asked() == 1


def test_keys_that_are_nowhere_are_asked_for_once_more_only_where_they_moved(keyed: World) -> None:
    keyed.process().metadata()
    keyed.hostile.script("/jwks", empty(404))
    with pytest.raises(TransportError, match="answered 404 where its keys were expected"):
        keyed.process().keys()
    assert (keyed.asked(), keyed.asked("/jwks")) == (2, 1)


def test_kept_keys_of_another_address_do_not_count(keyed: World) -> None:
    keyed.process().keys()
    keyed.hostile.script("/mine", answer({"keys": [signing_key("ES256", "mine").jwk()]}))
    assert kids(keyed.process(endpoints=Endpoints(jwks=f"{keyed.hostile.url}/mine"))) == ["mine"]


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"format": 1, "made": 1, "jwks_uri": "x", "keys": [7]}'])
def test_damaged_keys_count_as_absent(keyed: World, damage: bytes) -> None:
    keyed.process().keys()
    (name,) = (name for name in keyed.disk.kept if name.endswith(".keys.json"))
    keyed.disk.kept[name] = damage
    assert kids(keyed.process()) == ["k1"]
    assert keyed.asked("/jwks") == 2


def test_only_public_asymmetric_keys_are_kept(keyed: World) -> None:
    public = signing_key("ES256", "k1").jwk()
    keyed.hostile.script(
        "/jwks",
        answer(
            {
                "keys": [
                    {"kty": "oct", "k": "c2VjcmV0"},
                    7,
                    {"kid": "x"},
                    {**public, "d": "c2VjcmV0", "x5c": ["c2VjcmV0"]},
                ]
            }
        ),
    )
    assert keyed.process().keys() == {"keys": [public]}
    assert b"c2VjcmV0" not in b"".join(keyed.disk.kept.values())


def test_a_provider_without_jwks_uri(world: World) -> None:
    world.hostile.serve_metadata(jwks_uri=None)
    with pytest.raises(TokenResponseError, match="publishes no keys"):
        world.process().keys()
