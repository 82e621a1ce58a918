"""Where a fleet's cache is, as it is written; and which profiles may have one."""

from __future__ import annotations

import pytest

from credential_helper.errors import ConfigurationError, CredentialHelperError
from credential_helper.model import SharedCache
from credential_helper.profiles.shared import address
from credential_helper.profiles.written import Origin, Written


def parsed(text: object) -> SharedCache:
    return address(Written(text, "here", Origin(kind="user")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rediss://cache.example.com", SharedCache(scheme="rediss", host="cache.example.com")),
        ("rediss://Cache.Example.com.:6380/0", SharedCache(scheme="rediss", host="cache.example.com", port=6380)),
        (
            "rediss://fleet@cache.example.com:6380/15",
            SharedCache(scheme="rediss", host="cache.example.com", port=6380, database=15, user="fleet"),
        ),
        ("rediss://[2001:db8::1]:6380", SharedCache(scheme="rediss", host="2001:db8::1", port=6380)),
        ("rediss://cache.example.com:443", SharedCache(scheme="rediss", host="cache.example.com", port=443)),
        ("redis://localhost/2", SharedCache(scheme="redis", host="localhost", database=2)),
        ("redis://[::1]:7000", SharedCache(scheme="redis", host="::1", port=7000)),
        ("unix:///run/redis@1/s", SharedCache(scheme="unix", path="/run/redis@1/s")),
        ("unix://fleet@/run/s?db=3", SharedCache(scheme="unix", path="/run/s", database=3, user="fleet")),
    ],
)
def test_an_address_that_is_one(text: str, expected: SharedCache) -> None:
    assert parsed(text) == expected
    assert parsed(expected.shown) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rediss://u:hunter2@cache.example.com", "has a password in it"),
        ("rediss://:hunter2@cache.example.com", "has a password in it"),
        ("rediss://u:hunter/2@cache.example.com", "has a password in it"),
        ("unix://u:hunter2@/run/s", "has a password in it"),
        ("redis://cache.example.com", "redis:// is for loopback"),
        ("redis://127.0.0.2", "redis:// is for loopback"),
        ("redis://localhost.example.com", "redis:// is for loopback"),
        ("https://cache.example.com", "expected rediss://"),
        ("cache.example.com:6379", "expected rediss://"),
        ("rediss://", "expected rediss://"),
        ("rediss://cache.example.com/zero", "expected rediss://"),
        ("rediss://cache.example.com/0/1", "expected rediss://"),
        ("rediss://cache.example.com?ssl_cert_reqs=none", "expected rediss://"),
        ("rediss://cache.example.com/0?ssl_cert_reqs=none", "expected rediss://"),
        ("rediss://cache.example.com:0", "expected rediss://"),
        ("rediss://caché.example.com", "expected rediss://"),
        ("rediss://a b@cache.example.com", "has a user name"),
        ("unix://run/s", "expected rediss://"),
        ("unix:///run/s?db=one", "expected rediss://"),
        (7, "expected a string"),
    ],
)
def test_an_address_that_is_none_is_not_echoed(text: object, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed(text)
    assert said in caught.value.sentence
    assert "hunter" not in caught.value.sentence + (caught.value.hint or "")


def test_a_list_is_no_address() -> None:
    with pytest.raises(CredentialHelperError):
        parsed(["rediss://cache.example.com"])
