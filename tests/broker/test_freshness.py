from __future__ import annotations

import pytest

from credential_helper.broker import freshness
from credential_helper.model import Request, Secret, Token
from credential_helper.session import Session
from tests.helpers.grants import a_grant
from tests.helpers.requests import request_by

NOW = 1_900_000_000.0


def session(
    *,
    lifetime: float | None = 3600.0,
    age: float = 0.0,
    refresh: bool = True,
    unverified: bool = False,
    id_not_renewed: bool = False,
    forced_at: float | None = None,
) -> Session:
    received_at = NOW - age
    token = Token(
        value=Secret("token"),
        received_at=received_at,
        expires_at=None if lifetime is None else received_at + lifetime,
    )
    return Session(
        grant=a_grant(refresh_token=Secret("refresh") if refresh else None),
        access=token,
        id=token,
        unverified=unverified,
        id_not_renewed=id_not_renewed,
        forced_at=forced_at,
    )


def request(minimum_validity: float = 0.0, refused: str | None = None) -> Request:
    return request_by("kubectl", minimum_validity=minimum_validity, refused=refused)


def fresh(one: Session, asked: Request | None = None) -> bool:
    return freshness.fresh(one, "access", asked or request(), NOW)


@pytest.mark.parametrize(("left", "expected"), [(61, True), (60, False), (59, False), (-1, False)])
def test_a_minute_is_left_to_the_tool(left: float, expected: bool) -> None:
    assert fresh(session(lifetime=3600, age=3600 - left)) is expected


@pytest.mark.parametrize(("left", "expected"), [(11, True), (10, False)])
def test_of_a_short_life_a_quarter_is_left(left: float, expected: bool) -> None:
    assert fresh(session(lifetime=40, age=40 - left)) is expected


@pytest.mark.parametrize(("left", "expected"), [(601, True), (600, False)])
def test_minimum_validity_is_kept(left: float, expected: bool) -> None:
    assert fresh(session(lifetime=3600, age=3600 - left), request(600)) is expected


def test_minimum_validity_counts_for_three_quarters_of_the_lifetime_at_most() -> None:
    assert fresh(session(lifetime=3600, age=899), request(86400))
    assert not fresh(session(lifetime=3600, age=900), request(86400))


def test_a_token_from_the_future_is_not_fresh() -> None:
    assert fresh(session(age=-60))
    assert not fresh(session(age=-61))


def test_an_unknown_lifetime_is_an_hour_where_it_can_be_renewed() -> None:
    assert fresh(session(lifetime=None, age=3500))
    assert not fresh(session(lifetime=None, age=3541))


def test_an_unknown_lifetime_without_a_refresh_token_lasts() -> None:
    assert fresh(session(lifetime=None, age=10**7, refresh=False))
    assert freshness.until(session(lifetime=None, refresh=False), "access", request()) is None


def test_an_unverified_session_is_not_fresh() -> None:
    assert not fresh(session(unverified=True))


def test_an_id_token_that_is_not_renewed_lasts_until_its_end() -> None:
    one = session(lifetime=3600, age=3590, id_not_renewed=True)
    assert freshness.fresh(one, "id", request(), NOW)
    assert not freshness.fresh(one, "access", request(), NOW)


def test_valid_is_what_has_not_expired() -> None:
    assert freshness.valid(session(lifetime=3600, age=3599), "access", request(), NOW)
    assert not freshness.valid(session(lifetime=3600, age=3600), "access", request(), NOW)
    assert not freshness.valid(session(age=-61), "access", request(), NOW)


def test_a_refused_token_is_neither_fresh_nor_valid() -> None:
    one = session(age=120)
    assert one.access is not None
    refused = request(refused=one.access.sha256())
    assert not fresh(one, refused)
    assert not freshness.valid(one, "access", refused, NOW)
    assert fresh(one, request(refused="0" * 64))


def test_a_refused_token_of_a_moment_ago_is_answered_again() -> None:
    for one in (session(age=30), session(age=3000, forced_at=NOW - 30)):
        assert one.access is not None
        assert fresh(one, request(refused=one.access.sha256()))
