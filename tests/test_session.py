"""What a grant and a session are called, what their names depend on, and which profiles a grant is of."""

from __future__ import annotations

import msgspec
import pytest

from credential_helper.model import DEFAULT_SCOPES, Endpoints, Identity, Listed, Profile, Secret
from credential_helper.session import (
    Grant,
    Place,
    Session,
    grant_id,
    grant_made,
    is_of,
    place_of,
    same_person,
    session_id,
    with_grant,
)

PROFILE = Profile(
    name="prod",
    issuer="https://example.eu.auth0.com/",
    client_id="Xyz",
    audience="https://kubernetes.example.com",
)
AD_HOC = Profile(
    name="example.eu.auth0.com/Xyz",
    ad_hoc=True,
    issuer="https://example.eu.auth0.com/",
    client_id="Xyz",
    audience="https://kubernetes.example.com",
    ca_file="/etc/ssl/corp.pem",
)
MACHINE = Profile(
    name="ci", issuer="https://example.eu.auth0.com/", client_id="Xyz", flow="client-credentials", audience="https://a"
)
RICH = Profile(
    name="rich",
    issuer="https://example.eu.auth0.com/",
    client_id="Xyz",
    resource=("https://b.example.com", "https://a.example.com", "https://b.example.com"),
    scope=("openid", "email"),
    account="ada@example.com",
    realm="employees",
    parameters=(("prompt", "login"), ("organization", "org_1")),
    endpoints=Endpoints(token="https://example.eu.auth0.com/t"),
)

# A change of one of these values signs everybody out at the next upgrade.
PINNED: list[tuple[Profile, str | None, str, str]] = [
    (
        PROFILE,
        None,
        "dba48796b742345bbb91a989525438ff5d62c77fa503f785ae184192f213fcc8",
        "d5e0a266b2a340b5f9cf51265aebb12c61208c78509fb04af33a7125286281f3",
    ),
    (
        AD_HOC,
        None,
        "0f4a55f0b7a4a8142dba8ade88e1b6062dd49f2490f9490c2b10144bc7f63b1d",
        "637166e47ff892a552ba2414797c24854c28bed9d9d1a8d97d98407992920368",
    ),
    (
        MACHINE,
        None,
        "940fc6a28275a93aa5f22eeed02fc876a3feeae2c1407e008ad7771e2db900c4",
        "bbcbfdece68bbde604c255f51d410fb42375d7ab34acbea82ca9402245317dc3",
    ),
    (
        MACHINE,
        "c" * 64,
        "d6f81ceeabfb2a24de5454b6d9684e27100469decf31ea9182881b31bc3d9b5c",
        "fd251cf1c590657f9d2f2e67173cf865d88c70afb376b3688c4137758f764e9f",
    ),
    (
        RICH,
        None,
        "ff5e88d0f96145f4a39258376858acf1362dca72178417f207e73f3cbef089ab",
        "1d5ae77778291693a29d706d3944df86d7b778da14632e6ec0f51db99aa7128b",
    ),
]

GRANT = "a" * 64  # any


@pytest.mark.parametrize(("profile", "proof", "grant", "session"), PINNED, ids=lambda value: str(value)[:8])
def test_both_ids_are_pinned(profile: Profile, proof: str | None, grant: str, session: str) -> None:
    assert grant_id(profile, proof) == grant
    assert session_id(profile, grant) == session


# --- what they depend on ----------------------------------------------------------------------------------------------

# What it is for is the session's alone; how it is got, and where it is kept, is nobody's.
FOR: list[dict[str, object]] = [
    {"audience": None},
    {"audience": "https://other.example.com"},
    {"resource": ("https://a.example.com",)},
    {"scope": ("openid",)},
    {"scope": ()},
]
HOW: list[dict[str, object]] = [
    {"name": "another"},
    {"issuer": "https://example.eu.auth0.com"},
    {"scope": tuple(reversed(DEFAULT_SCOPES))},
    {"scope": (*DEFAULT_SCOPES, "openid")},
    {"flow": "device"},
    {"flow": "password"},
    {"store": "file"},
    {"ca_file": "/etc/ssl/corp.pem"},
    {"client_authentication": "post"},
    {"token": "id"},
    {"interactive": "never"},
    {"provider": "auth0"},
    {"redirect_uri": "http://127.0.0.1/callback"},
    {"legacy": True},
    {"multi_resource": "off"},
    {"other_resources": ("https://a.example.com",)},
    {"listed": (("git", (Listed(url="https://git.example.com", audience="https://other.example.com"),)),)},
]
WHO: list[dict[str, object]] = [
    {"issuer": "https://other.eu.auth0.com/"},
    {"issuer": "https://example.eu.auth0.com/tenant/"},
    {"client_id": "Abc"},
    {"flow": "client-credentials", "scope": DEFAULT_SCOPES},
    {"parameters": (("organization", "org_1"),)},
    {"endpoints": Endpoints(token="https://example.eu.auth0.com/t")},
    {"endpoints": Endpoints(authorization="https://example.eu.auth0.com/authorize")},
    {"endpoints": Endpoints(pushed_authorization_request="https://example.eu.auth0.com/par")},
    {"account": "ada@example.com"},
    {"account": ""},
    {"realm": "employees"},
    {"ad_hoc": True},
]


@pytest.mark.parametrize("other", HOW + FOR)
def test_a_grant_is_called_the_same(other: dict[str, object]) -> None:
    assert grant_id(_changed(other)) == grant_id(PROFILE)


@pytest.mark.parametrize("other", WHO)
def test_a_grant_of_somebody_else_or_elsewhere_is_called_otherwise(other: dict[str, object]) -> None:
    assert grant_id(_changed(other)) != grant_id(PROFILE)


@pytest.mark.parametrize("other", HOW)
def test_a_session_is_called_the_same(other: dict[str, object]) -> None:
    assert place_of(_changed(other)).session == place_of(PROFILE).session


@pytest.mark.parametrize("other", WHO + FOR)
def test_a_session_for_something_else_or_of_another_grant_is_called_otherwise(other: dict[str, object]) -> None:
    assert place_of(_changed(other)).session != place_of(PROFILE).session


def test_each_of_these_changes_makes_an_id_of_its_own() -> None:
    places = [place_of(_changed(other)) for other in WHO]
    assert len({place.grant for place in places}) == len(WHO)
    assert len({session_id(_changed(other), GRANT) for other in FOR}) == len(FOR)


def test_a_session_is_named_by_its_grant() -> None:
    assert session_id(PROFILE, GRANT) != session_id(PROFILE, "b" * 64)


def test_order_and_repetition_mean_nothing() -> None:
    turned = msgspec.structs.replace(
        RICH,
        resource=("https://a.example.com", "https://b.example.com"),
        scope=("email", "openid", "email"),
        parameters=(("organization", "org_1"), ("prompt", "login")),
    )
    assert place_of(turned) == place_of(RICH)


def test_the_scopes_of_a_flow_are_the_same_written_or_not() -> None:
    assert place_of(_changed({"scope": DEFAULT_SCOPES})) == place_of(PROFILE)


# --- an ad-hoc profile ------------------------------------------------------------------------------------------------


def test_an_ad_hoc_profile_shares_nothing_with_one_of_the_file() -> None:
    of_the_file = msgspec.structs.replace(AD_HOC, ad_hoc=False)
    mine, other = place_of(AD_HOC), place_of(of_the_file)
    assert not {*mine} & {*other}


@pytest.mark.parametrize(
    "other",
    [
        {"ca_file": None},
        {"ca_file": "/tmp/another.pem"},
        {"endpoints": Endpoints(jwks="https://example.eu.auth0.com/keys")},
        {"endpoints": Endpoints(revocation="https://example.eu.auth0.com/revoke")},
        {"endpoints": Endpoints(device_authorization="https://example.eu.auth0.com/device")},
    ],
)
def test_an_ad_hoc_profiles_word_on_whom_to_ask_and_by_which_ca_is_in_its_name(other: dict[str, object]) -> None:
    assert grant_id(msgspec.structs.replace(AD_HOC, **other)) != grant_id(AD_HOC)


def test_a_path_need_not_be_utf8() -> None:
    odd = msgspec.structs.replace(AD_HOC, ca_file=b"/etc/\xff.pem".decode(errors="surrogateescape"))
    assert len(grant_id(odd)) == 64


# --- a machine --------------------------------------------------------------------------------------------------------


def test_a_machines_session_has_a_grant_of_its_own() -> None:
    place = place_of(MACHINE)
    assert place.grant == place.session


def test_a_machine_that_proves_something_else_is_somebody_else() -> None:
    places = [place_of(MACHINE, proof) for proof in (None, "one", "two")]
    assert len({*places}) == 3
    assert place_of(MACHINE, "one") == places[1]


def test_all_audiences_of_a_person_share_a_grant() -> None:
    one, other = place_of(PROFILE), place_of(_changed({"audience": "https://other.example.com"}))
    assert one.grant == other.grant
    assert len({one.grant, one.session, other.session}) == 3
    assert one == Place(grant_id(PROFILE), session_id(PROFILE, grant_id(PROFILE)))


# --- whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", HOW + FOR)
def test_a_grant_is_of_each_profile_that_calls_it_the_same(other: dict[str, object]) -> None:
    assert is_of(_granted(PROFILE), _changed(other))


@pytest.mark.parametrize("other", WHO)
def test_a_grant_is_of_no_profile_that_calls_it_otherwise(other: dict[str, object]) -> None:
    assert not is_of(_granted(PROFILE), _changed(other))
    assert not is_of(_granted(_changed(other)), PROFILE)


def test_the_grant_of_an_ad_hoc_profile_is_of_no_other_ca_file() -> None:
    assert is_of(_granted(AD_HOC), AD_HOC)
    assert not is_of(_granted(AD_HOC), msgspec.structs.replace(AD_HOC, ca_file=None))


def test_who_is_not_known_may_be_the_same_person() -> None:
    ada, bob = Identity(subject="ada"), Identity(subject="bob")
    assert same_person(ada, Identity(subject="ada", name="Ada", claims=(("sub", "ada"),)))
    assert not same_person(ada, bob)
    assert same_person(ada, None)
    assert same_person(None, None)


# --- a refresh token, wherever it stands ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "there", "in_keyring"),
    [
        ({}, False, False),
        ({"refresh_token": Secret("refresh")}, True, False),
        ({"sealed": "c2VhbGVk"}, True, True),
        ({"record": ("session/" + "f" * 32, "prod")}, True, True),
    ],
)
def test_a_refresh_token_may_be_used_unless_it_is_only_there_to_be_revoked(
    kept: dict[str, object], *, there: bool, in_keyring: bool
) -> None:
    grant = msgspec.structs.replace(_granted(PROFILE), **kept)
    assert (grant.has_refresh_token, grant.in_keyring, grant.refreshable) == (there, in_keyring, there)
    session = with_grant(Session(grant=grant), revoke_only=True)
    assert (session.grant.has_refresh_token, session.refreshable) == (there, False)


def _changed(other: dict[str, object]) -> Profile:
    return msgspec.structs.replace(PROFILE, **other)


def _granted(profile: Profile) -> Grant:
    return grant_made(profile, sign_in="0" * 32, session="b" * 64)
