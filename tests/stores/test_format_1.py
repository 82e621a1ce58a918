"""Files of format 1, which earlier versions have written: found by their name, read, and told from what is none."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from credential_helper.model import Endpoints, Identity, Profile, Token
from credential_helper.session import place_of
from credential_helper.stores import format_1
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from tests.helpers.format_1 import (
    ACCESS,
    ID,
    MADE,
    PROFILE,
    RECORD,
    RECORD_LATER,
    REFRESH,
    Kind,
    content,
    leave,
)
from tests.helpers.keyrings import MemoryKeyring

KINDS: list[Kind] = ["in_the_file", "in_the_keyring", "in_the_keyring_later"]


@pytest.fixture
def sessions(state: State, keyring: MemoryKeyring) -> Sessions:
    return Sessions(state, keyring, note=lambda _line: None)


def changed(kind: Kind, **other: object) -> bytes:
    document = json.loads(content(kind))
    document["session"] |= other
    return json.dumps(document).encode()


# --- names ------------------------------------------------------------------------------------------------------------

# As commit 21e00de named them; what has a pushed_authorization_request, as 336c181 did.
NAMES: list[tuple[dict[str, object], str]] = [
    ({}, ID),
    (
        {
            "issuer": "https://idp.example.com/",
            "resource": ("https://b.example.com", "https://a.example.com", "https://b.example.com"),
            "scope": ("openid", "email"),
            "account": "ada@example.com",
            "realm": "employees",
            "parameters": (("prompt", "login"), ("organization", "org_1")),
        },
        "f6603e4ef78aa08f192434b385e6d523f24b8aeb61aa33fc29eb88e7629e79fc",
    ),
    (
        {
            "endpoints": Endpoints(
                token="https://idp.example.com/t",
                authorization="https://idp.example.com/a",
            )
        },
        "e84171bf651228b967b662792d4b0ff828786c4da5ccc62122fa91a06c458827",
    ),
    (
        {"endpoints": Endpoints(pushed_authorization_request="https://idp.example.com/par")},
        "ee73ba37aa889638cbb809e6a307f6492b9dfc07c6105296f884f509e790cf4e",
    ),
    (
        {"flow": "client-credentials", "scope": ("read",)},
        "01eb265916deca9c983832085c5eb253d7a6fb7c61b5c880f6c178083ffa2c99",
    ),
    ({"audience": None}, "0de3d3403925e039655473ac50f8eb2395e92bd6dc0720a7fab8a823fc20540c"),
    ({"name": "idp.example.com/client", "ad_hoc": True}, ID),  # they shared their sessions with profiles of the file
    ({"ca_file": "/etc/ssl/corp.pem", "multi_resource": "off", "store": "keyring"}, ID),
    (
        {
            "issuer": "https://example.eu.auth0.com/",
            "client_id": "Xyz",
            "audience": "https://kubernetes.example.com",
            "flow": "auto",
        },
        "7c8a2c714551020c76ec33538d293859feda6909ce26ed292a75bfce1e77c433",
    ),
]


@pytest.mark.parametrize(
    ("other", "name"), NAMES, ids=[name[:8] + str(number) for number, (_, name) in enumerate(NAMES)]
)
def test_the_ids_are_those_of_the_version_that_wrote_them(other: dict[str, object], name: str) -> None:
    assert format_1.session_id(msgspec.structs.replace(PROFILE, **other)) == name


@pytest.mark.parametrize("kind", KINDS)
def test_the_id_of_the_profile_names_exactly_that_file(state: State, sessions: Sessions, kind: Kind) -> None:
    assert json.loads(content(kind))["id"] == format_1.session_id(PROFILE)
    state.write(f"sessions/{format_1.session_id(PROFILE)}.json", content(kind))
    assert sessions.of_format_1(format_1.session_id(PROFILE)) is not None
    assert sessions.ids_of_format_1() == [ID]


def test_no_name_of_this_format_is_one_of_the_next() -> None:
    assert ID not in place_of(PROFILE)


def test_a_file_made_for_another_profile_is_that_versions_but_for_what_differs(state: State) -> None:
    """The helper that the tests of the broker stand on."""
    assert leave(state, PROFILE) == ID
    found = state.read(f"sessions/{ID}.json")
    assert found is not None
    assert json.loads(found[0]) == json.loads(content("in_the_file"))


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_session_is_read_as_one_that_stands_alone() -> None:
    session = format_1.session_in(content("in_the_file"), ID)
    assert session is not None
    grant = session.grant
    assert (grant.session, grant.profile, grant.issuer, grant.client_id) == (ID, "prod", PROFILE.issuer, "client")
    assert (grant.kind, grant.account, grant.ad_hoc, grant.revoke_only, grant.refused) == (
        "person",
        None,
        False,
        False,
        None,
    )
    claims = (("iss", "https://idp.example.com"), ("preferred_username", "ada@example.com"), ("sub", "ada"))
    assert grant.identity == Identity(subject="ada", name="ada@example.com", claims=claims)
    assert session.access == Token(value=ACCESS, received_at=MADE, expires_at=MADE + 3600)
    assert session.id is not None
    assert session.scope == ("openid", "profile", "email", "offline_access")
    assert (session.audience, session.resource, session.unverified) == ("https://api.example.com", (), False)


def test_each_reading_is_a_sign_in_of_its_own() -> None:
    one, other = (format_1.session_in(content("in_the_file"), ID) for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.grant.sign_in != other.grant.sign_in


def test_the_refresh_token_stays_in_the_file(sessions: Sessions, keyring: MemoryKeyring) -> None:
    session = format_1.session_in(content("in_the_file"), ID)
    assert session is not None
    assert (session.grant.refresh_token, session.grant.in_keyring) == (REFRESH, False)  # the record is only a name
    assert sessions.grants.refresh_token(ID, session.grant) == REFRESH
    assert keyring.calls == []


@pytest.mark.parametrize(("kind", "record"), [("in_the_keyring", RECORD), ("in_the_keyring_later", RECORD_LATER)])
def test_the_refresh_token_stays_in_the_keyring(
    sessions: Sessions, keyring: MemoryKeyring, kind: Kind, record: tuple[str, str]
) -> None:
    session = format_1.session_in(content(kind), ID)
    assert session is not None
    assert (session.grant.refresh_token, session.grant.record) == (None, record)
    assert session.refreshable
    keyring.records[record] = REFRESH.reveal()
    assert sessions.grants.refresh_token(ID, session.grant) == REFRESH


def test_the_marks_are_read() -> None:
    """Those of the last version that wrote this format, too."""
    session = format_1.session_in(
        changed(
            "in_the_file",
            account="ada",
            revoke_only=True,
            unverified=True,
            id_not_renewed=True,
            sends_scope=True,
            forced_at=MADE,
            refused=[MADE, "no more"],
        ),
        ID,
    )
    assert session is not None
    assert (session.unverified, session.id_not_renewed, session.sends_scope) == (True, True, True)
    assert (session.forced_at, session.refreshable) == (MADE, False)
    assert (session.grant.account, session.grant.refused) == ("ada", (MADE, "no more"))


@pytest.mark.parametrize(
    ("name", "ad_hoc"), [("prod", False), ("prod-2_x", False), ("idp.example.com/client", True), ("[::1]:8443/c", True)]
)
def test_who_made_it_is_seen_by_the_name(name: str, *, ad_hoc: bool) -> None:
    session = format_1.session_in(changed("in_the_file", profile=name), ID)
    assert session is not None
    for one in (False, True):
        assert format_1.is_of(session, msgspec.structs.replace(PROFILE, ad_hoc=one)) == (ad_hoc == one)


def test_what_is_taken_over_knows_where_it_was_signed_in() -> None:
    session = format_1.session_in(content("in_the_keyring"), ID)
    assert session is not None
    profile = Profile(
        name="prod",
        issuer=PROFILE.issuer,
        client_id="client",
        audience=PROFILE.audience,
        resource=("https://a.example.com",),
        realm="employees",
        parameters=(("organization", "org_1"),),
        endpoints=Endpoints(revocation="https://idp.example.com/revoke"),
        provider="auth0",
        ca_file="/etc/ssl/corp.pem",
    )
    taken = format_1.taken_over(session, profile, "b" * 64, "a" * 64)
    grant = taken.grant
    assert (grant.session, grant.main, grant.record) == ("b" * 64, "a" * 64, RECORD)
    assert (grant.realm, grant.parameters, grant.endpoints, grant.provider, grant.ca_file) == (
        profile.realm,
        profile.parameters,
        profile.endpoints,
        profile.provider,
        profile.ca_file,
    )
    assert (taken.resource, taken.access, taken.id) == (profile.resource, session.access, session.id)


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"{", b"null", b"[]", b"\xff\xfe", b"\0" * 100, b'{"version":1}', b'{"version":1,"id":"x"}'),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"version":' * 100_000),
        b'{"version":1,"id":"%s","session":{"access":7}}' % ID.encode(),
        content("in_the_file").replace(b'"version":1', b'"version":0'),
        content("in_the_file").replace(b'"version":1', b'"version":2'),
        content("in_the_file").replace(b'"kind":"person"', b'"kind":"somebody"'),
        content("in_the_file").replace(ID.encode(), b"0" * 64),
    ],
)
def test_a_damaged_file_is_none(state: State, sessions: Sessions, damaged: bytes) -> None:
    state.write(f"sessions/{ID}.json", damaged)
    assert sessions.of_format_1(ID) is None
    assert sessions.ids_of_format_1() == []


def test_a_file_cut_short_at_any_length_is_none() -> None:
    whole = content("in_the_file")
    for length in range(len(whole)):
        assert format_1.session_in(whole[:length], ID) is None, length


@pytest.mark.parametrize(
    "name",
    [
        *("secret/ci", "../secret/ci", "session/ci", "password/" + "f" * 32, "grant/" + "f" * 32, "F" * 32, ""),
        *("f" * 31, "f" * 33, "f" * 32 + "\n", "session/" + "F" * 32, "x/session/" + "f" * 32),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_names_a_record_of_another_kind_is_none(
    state: State, sessions: Sessions, keyring: MemoryKeyring, kind: Kind, name: str
) -> None:
    """It must not have us read or delete what somebody else keeps in the keyring."""
    keyring.records[name, "ci"] = "the secret of somebody else"
    state.write(f"sessions/{ID}.json", changed(kind, record=[name, "ci"]))
    assert sessions.of_format_1(ID) is None
    sessions.erase_format_1(ID)
    assert keyring.calls == []


def test_a_file_without_a_record_is_one() -> None:
    """The refresh token of ``store = "none"`` was kept nowhere."""
    session = format_1.session_in(changed("in_the_file", record=None, refresh_token=None), ID)
    assert session is not None
    assert not session.refreshable


# --- in the state directory -------------------------------------------------------------------------------------------


def test_sessions_of_both_formats_stand_side_by_side(state: State, keyring: MemoryKeyring) -> None:
    notes: list[str] = []
    sessions = Sessions(state, keyring, note=notes.append)
    place = place_of(PROFILE)
    state.write(f"sessions/{ID}.json", content("in_the_file"))
    session = format_1.session_in(content("in_the_file"), ID)
    assert session is not None
    saved = sessions.save(place, format_1.taken_over(session, PROFILE, place.session, None))
    assert sessions.ids_of_format_1() == [ID]
    assert [identifier for identifier, _ in sessions.of_grant(place.grant, saved.session.grant)] == [place.session]
    assert notes == []  # neither is damaged
    sessions.erase(place.grant)
    assert sessions.ids_of_format_1() == [ID]


def test_a_save_that_its_writer_did_not_finish_is_taken_up(state: State, sessions: Sessions) -> None:
    state.write(f"sessions/{ID}.json", content("in_the_file").replace(b"the-refresh-token", b"spent"))
    new = Path(state.locate(f"sessions/{ID}.json.new"))
    new.write_bytes(content("in_the_file")[:-20])
    new.chmod(0o600)
    sessions.take_up_format_1(ID)
    session = sessions.of_format_1(ID)
    assert session is not None
    assert session.grant.refresh_token != REFRESH
    new.write_bytes(content("in_the_file") + b" " * 100)
    sessions.take_up_format_1(ID)
    session = sessions.of_format_1(ID)
    assert session is not None
    assert session.grant.refresh_token == REFRESH


def test_erasing_leaves_only_the_lock(state: State, sessions: Sessions) -> None:
    state.write("replies/one", b"")
    for ending in ("json", "json.new", "failure", "failure.new", "prompt", "prompt.new", "told", "told.new", "window"):
        state.write(f"sessions/{ID}.{ending}", b"")
    state.write(sessions.lock_of_format_1(ID), b"")
    sessions.erase_format_1(ID)
    assert state.names("sessions") == [f"{ID}.lock"]
    assert state.names("replies") == []
