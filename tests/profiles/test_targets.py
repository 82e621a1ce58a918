"""What a token is for: of a profile, of the hosts that it lists, and of whoever names less than the level below."""

from __future__ import annotations

import msgspec
import pytest

from credential_helper.model import Listed, Profile, Request
from credential_helper.profiles.choose import choose
from credential_helper.profiles.configuration import load
from credential_helper.profiles.targets import at, only_what_is_named, others, with_all_resources
from tests.helpers.config import write_config
from tests.helpers.profiles import choose_docker, choose_git
from tests.helpers.requests import request_by
from tests.helpers.sessions import same_session

A, R, S = "https://a.example.com", "https://r.example.com", "https://s.example.com"
BOTH = Profile(
    name="prod",
    issuer="https://idp.example.com",
    client_id="client",
    audience=A,
    resource=(R,),
    scope=("openid",),
    origins=(("audience", "the file"), ("resource", "the file"), ("scope", "the file")),
)

Purpose = tuple[str | None, tuple[str, ...], tuple[str, ...] | None]


def purpose(profile: Profile) -> Purpose:
    return profile.audience, profile.resource, profile.scope


# --- a listed host ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, (A, (R,), ("openid",))),
        ({"audience": "b"}, ("b", (), ("openid",))),
        ({"resource": (S,)}, (None, (S,), ("openid",))),
        ({"audience": "b", "resource": (S,)}, ("b", (S,), ("openid",))),
        ({"scope": ("read",)}, (A, (R,), ("read",))),
        ({"scope": ()}, (A, (R,), ())),
        ({"resource": (S,), "scope": ("read",)}, (None, (S,), ("read",))),
    ],
)
def test_a_host_that_names_an_audience_or_a_resource_has_neither_of_its_profile_s(
    entry: dict[str, object], expected: Purpose
) -> None:
    found = at(BOTH, Listed(url="https://x.example.com", **entry))  # type: ignore[arg-type]
    assert purpose(found) == expected
    origins = dict(found.origins)
    assert {key for key, where in origins.items() if where == "https://x.example.com"} == entry.keys()
    assert ("audience" in origins, "resource" in origins) == (found.audience is not None, found.resource != ())


def test_hosts_with_the_same_purpose_are_one_and_the_profile_s_own_is_none() -> None:
    entries = (
        Listed(url="https://same.example.com", audience=A, resource=(R,)),
        Listed(url="https://plain.example.com"),
        Listed(url="https://one.example.com", resource=(R, S)),
        Listed(url="https://two.example.com", resource=(S, R, S)),
        Listed(url="https://scope.example.com", scope=("read", "openid")),
    )
    servers = (Listed(url="https://three.example.com", resource=(R, S)), Listed(url="https://d", audience="harbor"))
    profile = msgspec.structs.replace(BOTH, listed=(("git", entries), ("docker", servers)))
    assert [entry.url for entry, _ in others(profile)] == [
        "https://one.example.com",
        "https://scope.example.com",
        "https://d",
    ]
    assert all(purpose(found) == purpose(at(profile, entry)) for entry, found in others(profile))
    assert list(others(BOTH)) == []


def test_a_sign_in_knows_the_resources_of_all_that_its_profile_lists() -> None:
    entries = (
        Listed(url="https://one.example.com", resource=(S,)),
        Listed(url="https://two.example.com", resource=("urn:x", S)),
        Listed(url="https://three.example.com", audience="b"),
    )
    profile = msgspec.structs.replace(BOTH, listed=(("git", entries),))
    assert with_all_resources(profile, profile).other_resources == (S, "urn:x")
    first = with_all_resources(at(profile, entries[0]), profile)
    assert (first.resource, first.other_resources) == ((S,), (R, "urn:x"))
    again = with_all_resources(at(with_all_resources(profile, profile), entries[1]), profile)
    assert (again.resource, again.other_resources) == (("urn:x", S), (R,))
    assert with_all_resources(BOTH, BOTH) == BOTH
    assert same_session(first, at(profile, entries[0]))


# --- levels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "audience", "resource"),
    [
        ([], A, (R,)),
        ([{}, {"scope": "x"}], A, (R,)),
        ([{"audience": None, "resource": None}], A, (R,)),
        ([{"audience": "x"}], A, ()),
        ([{"resource": "x"}], None, (R,)),
        ([{"audience": "x", "resource": "x"}], A, (R,)),
        ([{"scope": "x"}, {"resource": "x"}], None, (R,)),
        ([{"audience": "x"}, {"resource": "x"}], A, ()),
        ([{"resource": "x"}, {"audience": "x", "resource": "x"}], None, (R,)),
    ],
)
def test_the_most_specific_level_that_names_either_is_alone_with_it(
    levels: list[dict[str, object]], audience: str | None, resource: tuple[str, ...]
) -> None:
    found = only_what_is_named(BOTH, *levels)
    assert (found.audience, found.resource) == (audience, resource)
    origins = dict(found.origins)
    assert ("audience" in origins, "resource" in origins) == (audience is not None, bool(resource))


CONFIG = f"""
[profiles.prod]
issuer = "https://idp.example.com"
client_id = "client"
audience = "{A}"
git = ["https://git.example.com", {{ url = "https://r.example.com", resource = "{R}" }}]
docker = [{{ server = "r.example.com", resource = ["{R}", "{S}"] }}]
"""


def test_a_resource_alone_drops_the_audience_of_the_level_below(environ: dict[str, str]) -> None:
    write_config(environ, CONFIG)
    plain = Request(tool="credential-helper")
    for request, flags, expected in (
        (plain, {}, (A, ())),
        (plain, {"resource": [S]}, (None, (S,))),
        (plain, {"resource": [S], "audience": "b"}, ("b", (S,))),
        (request_by("kubectl", resource=(S,)), {}, (None, (S,))),
        (request_by("kubectl", resource=(S,)), {"audience": "b"}, (None, (S,))),
        (request_by("kubectl", audience="c"), {"resource": [S]}, ("c", ())),
    ):
        profile = choose(request, flags, environ).profile
        assert (profile.audience, profile.resource) == expected
    ad_hoc = {"issuer": "https://idp.example.com", "client_id": "client", "audience": "b"}
    profile = choose(request_by("kubectl", resource=(S,)), ad_hoc, environ).profile
    assert (profile.audience, profile.resource) == (None, (S,))


def test_a_listed_host_may_have_a_resource(environ: dict[str, str]) -> None:
    write_config(environ, CONFIG)
    for host, flags, expected in (
        ("git", {}, (A, ())),
        ("r", {}, (None, (R,))),
        ("r", {"audience": "b"}, ("b", ())),
        ("r", {"resource": [S]}, (None, (S,))),
    ):
        found = choose_git(request_by("git"), "https", f"{host}.example.com", None, flags, environ)
        assert found is not None
        assert (found[0].profile.audience, found[0].profile.resource) == expected
    found = choose_docker(request_by("docker"), "r.example.com", {}, environ)
    assert found is not None
    assert (found[0].profile.audience, found[0].profile.resource) == (None, (R, S))
    assert found[0].profile.other_resources == ()
    assert [entry.url for entry, _ in others(load(environ).profile("prod"))] == [
        "https://r.example.com:443",
        "https://r.example.com:443",
    ]
