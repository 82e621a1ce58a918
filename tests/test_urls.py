from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credential_helper import urls
from credential_helper.profiles.matching import longest_match

LISTED = "https://git.example.com:443"
EQUAL = {"git.example.com", "git.example.com.", "git.example.com:443", "git.example.com.:443"}


def serves(host: str, *, scheme: str = "https", path: str = "", listed: str = LISTED) -> bool:
    asked = urls.parse_host(scheme, host)
    if asked is None:
        return False
    with_path = urls.Url(scheme=asked.scheme, host=asked.host, port=asked.port, port_given=asked.port_given, path=path)
    return longest_match([listed], with_path) is not None


@pytest.mark.parametrize("host", [*sorted(EQUAL), "GIT.example.COM", "Git.Example.Com.:443"])
def test_a_host_is_compared_in_lower_case_without_a_final_dot_with_the_default_port(host: str) -> None:
    assert serves(host)


# reference: vscode#320634, Clone2Leak, CVE-2024-50338, CVE-2020-5260, CVE-2020-11008
@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        ".",
        "com",
        "example.com",
        "git.example.com.attacker.example",
        "xgit.example.com",
        "x.git.example.com",
        "git-example.com",
        "gitxexample.com",
        "git.example.com@evil.example",
        "git@git.example.com",
        "user:password@git.example.com",
        "git.example.com:8443",
        "git.example.com:80",
        "git.example.com:",
        "git.example.com:0443",
        "git.example.com:+443",
        "git.example.com:443:443",
        "git.example.com:65979",  # 443 + 2**16
        "git.example.com:\uff14\uff14\uff13",
        "git.example.com..",
        ".git.example.com",
        "git..example.com",
        "git.example.com/",
        "git.example.com/path",
        "git.example.com\\",
        "evil.example\\git.example.com",
        "git.example.com#",
        "evil.example#git.example.com",
        "git.example.com?",
        "git.example.com%00",
        "git%2eexample.com",
        "git.example.com%0d",
        "git.example.com\0",
        "git.example.com\n",
        "\ngit.example.com",
        "evil.example\rgit.example.com",
        " git.example.com",
        "git.example.com ",
        "git.example.com\t",
        "\u0261it.example.com",  # LATIN SMALL LETTER SCRIPT G
        "g\u0131t.example.com",
        "\uff47it.example.com",
        "git\u3002example.com",
        "git.example.com\u200b",
        "git.example.com\udcff",
        "[::1]",
        "[git.example.com]",
        "git_example.com",
        "https://git.example.com",
    ],
)
def test_any_other_host_is_not_mine(host: str) -> None:
    assert not serves(host)


@pytest.mark.parametrize("scheme", ["http", "HTTPS", "ssh", "", "https:", "ftp", "http\u017f"])
def test_another_scheme_is_not_mine(scheme: str) -> None:
    assert not serves("git.example.com", scheme=scheme)
    assert not serves("git.example.com:443", scheme=scheme)


CONFUSING = st.sampled_from(
    [
        *"gitexamplcom.:@/\\#%?[] 0123456789-_\0\r\n",
        "GIT",
        "\u0130",
        "\u212a",
        "\u0131",
        "\u3002",
        "\u200b",
        "443",
        "\uff18",
    ]
)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """Return a host that is almost the listed one."""
    host = list(draw(st.sampled_from(sorted(EQUAL))))
    for _ in range(draw(st.integers(0, 3))):
        index = draw(st.integers(0, len(host)))
        length = draw(st.integers(0, 2))
        host[index : index + length] = draw(st.lists(CONFUSING, max_size=2))
    return "".join(host)


@given(mutations() | st.text())
def test_no_host_but_an_equal_one_ever_matches(host: str) -> None:
    assert serves(host) == (host.isascii() and host.lower() in EQUAL)


@given(st.text(), st.text())
def test_whatever_is_asked_for_is_a_url_or_not_mine(scheme: str, text: str) -> None:
    for url in (urls.parse_host(scheme, text), urls.parse_server(text), urls.parse_server(f"https://{text}")):
        assert url is None or (url.host.isascii() and urls.parse_url(url.origin).origin == url.origin)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "LOCALHOST", "localhost."])
def test_loopback_is_one_of_three_literals(host: str) -> None:
    url = urls.parse_host("https", host)
    assert url is not None
    assert url.loopback


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.2", "127.1", "0x7f.0.0.1", "2130706433", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"),
        *("[0:0:0:0:0:0:0:1]", "localhost.example.com", "ip6-localhost", "127.0.0.1.example.com"),
    ],
)
def test_nothing_else_is_loopback(host: str) -> None:
    url = urls.parse_host("https", host)
    assert url is not None
    assert not url.loopback


@pytest.mark.parametrize(
    "host", ["[", "]", "[]", "[:]", "[::1", "::1", "[::1]:", "[::1]x", "[fe80::1%eth0]", "[1.2.3.4]", "[:::::]"]
)
def test_what_is_no_ipv6_literal_is_not_a_host(host: str) -> None:
    assert urls.parse_host("https", host) is None


def test_an_ipv6_literal_is_compared_as_it_is_written() -> None:
    assert serves("[2001:DB8::1]:8443", listed="https://[2001:db8::1]:8443")
    assert not serves("[2001:db8:0::1]:8443", listed="https://[2001:db8::1]:8443")


# --- paths


@pytest.mark.parametrize("path", ["group", "group/repo.git", "group/sub/repo"])
def test_an_entry_with_a_path_matches_whole_segments(path: str) -> None:
    assert serves("git.example.com", path=path, listed=f"{LISTED}/group")


@pytest.mark.parametrize("path", ["", "groups", "grou", "Group", "other/group", "group2/repo", "groupx"])
def test_an_entry_with_a_path_matches_no_other_path(path: str) -> None:
    assert not serves("git.example.com", path=path, listed=f"{LISTED}/group")


HOSTILE_PATHS = [
    *("group//repo", "/group/repo", "group/", "group/./repo", "group/../evil", "group/..", ".", ".."),
    *("group\\..\\evil", "group/a\\b", "group/a\nb", "group/a\0", "group/a\x7f", "group/\x85"),
    *("group/%2e%2e/evil", "group/%2E./evil", "group/a%2fb", "group/%5c"),
    *(
        "group/..;/evil",
        "group/%2e%2e;/evil",
        "group/.%2e/evil",
        "group/;x=1",
        "group;/../evil",
        "group/%252e%252e/evil",
    ),
    *("group/.. /evil", "group/.../evil", "group/ ../evil", "group/100%", "group/a;b"),
    *(
        "group/\uff0e\uff0e/evil",
        "group/\u2025/evil",
        "group/a\uff0f..\uff0fevil",
        "group/\u2100/evil",
        "group/a\uff1bb",
    ),
    *("group/\udcc0\udcae\udcc0\udcae/evil", "group/a\uff3cb"),
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_path_that_can_be_read_in_two_ways_matches_no_entry_with_a_path(path: str) -> None:
    assert not serves("git.example.com", path=path, listed=f"{LISTED}/group")
    assert serves("git.example.com", path=path)


@pytest.mark.parametrize(
    "path", ["group/repo.git", "group/a.b", "group/.git", "group/..a", "group/b\u00fccher", "group/a b"]
)
def test_a_path_that_only_looks_odd_matches(path: str) -> None:
    assert serves("git.example.com", path=path, listed=f"{LISTED}/group")


@pytest.mark.parametrize("host", ["git_lab.corp.test", "_git.corp.test", "git_.corp.test:8443", "GIT_LAB.corp.test."])
def test_an_underscore_is_part_of_a_host_as_for_git_and_curl(host: str) -> None:
    assert serves(host, listed=f"https://{host.lower().rstrip('.')}")
    assert not serves("git-lab.corp.test", listed=f"https://{host}")


def test_an_entry_without_a_path_serves_every_path() -> None:
    assert serves("git.example.com", path="any/thing.git")


def test_the_longest_path_wins_whatever_the_order() -> None:
    asked = urls.parse_url("https://git.example.com/a/b/c")
    listed = [LISTED, f"{LISTED}/a/b", f"{LISTED}/a", f"{LISTED}/a/b/c/d", "https://evil.example:443/a/b/c"]
    assert longest_match(listed, asked) == 1
    assert longest_match(listed[::-1], asked) == 3


# --- docker's servers


@pytest.mark.parametrize(
    ("server", "normal"),
    [
        ("registry.example.com", "https://registry.example.com:443"),
        ("registry.example.com:5000", "https://registry.example.com:5000"),
        ("https://Registry.Example.com", "https://registry.example.com:443"),
        ("http://registry.example.com", "http://registry.example.com:80"),
        ("https://index.docker.io/v1/", "https://index.docker.io:443/v1"),
        ("registry.example.com/team/app", "https://registry.example.com:443/team/app"),
        ("localhost:5000", "https://localhost:5000"),
    ],
)
def test_a_server_without_a_scheme_is_https(server: str, normal: str) -> None:
    url = urls.parse_server(server)
    assert url is not None
    assert url.normal == normal


@pytest.mark.parametrize(
    "server",
    [
        *("", " ", "//x", "/x", "ftp://x", "https://", "https:///x", "https://a\n.evil", "a\0b"),
        *("user@registry.example.com", "registry.example.com?x", "registry.example.com/?x", "registry.example.com#x"),
        *("https://https://x", "HTTPS://x", "https://registry.example.com\\@evil.example", "x" * 100_000 + "@"),
    ],
)
def test_any_other_server_is_not_mine(server: str) -> None:
    assert urls.parse_server(server) is None


# --- URLs of a config file


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("example.com", "does not begin with https://"),
        ("ftp://example.com", "does not begin with https://"),
        ("https://ada:secret@example.com/", "has a user name in it (what stands before @)"),
        ("https://example.com/#x", "has a fragment (#…)"),
        ("https://example.com\\x", "has a backslash in it"),
        ("https://example.com/\x1b", "has a control character in it"),
        ("https://exämple.com/", "has a host that is not ASCII (write its xn-- form)"),
        ("https://example.com:x/", "has no valid host[:port]"),
        ("https:///x", "has no valid host[:port]"),
    ],
)
def test_a_bad_url_is_told_by_its_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is compared whole
        urls.parse_url(url)
    assert str(caught.value) == reason


def test_a_url_keeps_path_and_query_as_written() -> None:
    url = urls.parse_url("https://Example.com:8443/Realm/A/?p=1/2@x")
    assert (url.authority, url.origin) == ("example.com:8443", "https://example.com:8443")
    assert (url.path, url.query) == ("Realm/A/", "p=1/2@x")
    assert urls.parse_url("https://example.com").authority == "example.com"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://git.example.com:443", "https://git.example.com"),
        ("https://git.example.com:8443/team", "https://git.example.com:8443/team"),
        ("http://127.0.0.1:80/a/b", "http://127.0.0.1/a/b"),
        ("https://[::1]:443", "https://[::1]"),
    ],
)
def test_an_address_is_shown_without_the_port_that_its_scheme_has(text: str, shown: str) -> None:
    assert urls.parse_url(text).shown == shown
